/* SPDX-License-Identifier: MIT */
/*
 * notify.h - what a service manager wants to hear of a driver (sd_notify(3))
 *
 * Of a process; one thread calls them.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/**
 * notify_ready() - the driver works, if somebody wants to hear of it; once is enough, more does not matter
 * Return: in ns, how long to sleep at most before notify_due() is asked; UINT64_MAX: nobody waits for that
 */
uint64_t notify_ready(void);
/** notify_due() - is it time to tell that we are alive? Asked after each turn of a driver's loop. */
bool notify_due(void);
/** notify_alive() - and we are */
void notify_alive(void);

#endif /* NOTIFY_H */
