/* SPDX-License-Identifier: MIT */
/*
 * inject.h - the kernel's fault injection: the n-th allocation or copy of a thread fails
 */
#ifndef INJECT_H
#define INJECT_H

#include <stdbool.h>

/*
 * Prepares it, silent and for all kinds of allocation. False: this kernel has none. @all: also
 * where the DMA API's debugging is off, and what it needs fails, too (see inject.c).
 */
bool inject_init(bool *all);
/* Does the DMA API look for mistakes of its users? */
bool inject_dma_debug(void);
/* This thread's switch. */
int inject_open(void);
/* The @n-th attempt from here on fails, in this thread; 0: none. */
void inject_at(int fd, unsigned int n);
/* Has it failed? Whatever is left of the order is taken away. */
bool inject_done(int fd);

#endif
