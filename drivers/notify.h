/* SPDX-License-Identifier: MIT */
/* notify.h - for whoever started us as a service (notify.c) */
#ifndef E1000_NOTIFY_H
#define E1000_NOTIFY_H

#include <stdint.h>

/* It is all there. Returns after how many nanoseconds notify_alive() is to be called at the latest;
 * UINT64_MAX: never */
uint64_t notify_ready(void);
/* We work; costs little */
void notify_alive(void);

#endif /* E1000_NOTIFY_H */
