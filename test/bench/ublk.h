/* SPDX-License-Identifier: MIT */
/*
 * ublk.h - the other way to have a disk in a process: a server of ublk, in front of a disk of the kernel's
 *
 * As good as we know to write one: one queue, files and buffers registered, one io_uring_enter() for each turn.
 */
#ifndef UBLK_H
#define UBLK_H

#include <stdbool.h>
#include <sys/types.h>

/* Is there ublk in this kernel? Loads it. */
bool ublk_there(void);
/*
 * /dev/ublkb@id is served from @backing, in requests of @length bytes at most, @depth of them. @copies: data goes through the
 * server's memory; else its buffers are the requests' own pages (UBLK_F_AUTO_BUF_REG). Return: the server's process
 */
pid_t ublk_begin(unsigned int id, const char *backing, unsigned int depth, unsigned int length, bool copies);
void ublk_end(unsigned int id, pid_t server);

#endif
