/* SPDX-License-Identifier: MIT */
/*
 * common.h - what drivers of several files have in common: what they say, and the time
 */
#ifndef DRIVERS_COMMON_H
#define DRIVERS_COMMON_H

#include <stdint.h>
#include <time.h>

/** driver_name, driver_verbose - set by main(), before anything is said */
extern const char *driver_name;
extern int driver_verbose;

/** driver_fail() - say on stderr what is wrong, and return @error */
int driver_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** driver_say() - what is going on, if driver_verbose */
void driver_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** driver_no_rseq() - for each thread that sleeps in a queue's turns: a way out of them that is shorter */
void driver_no_rseq(void);

/** driver_now_ns() - CLOCK_MONOTONIC */
static inline uint64_t driver_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#endif
