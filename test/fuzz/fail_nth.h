/* SPDX-License-Identifier: MIT */
/*
 * fail_nth.h - every allocation and every copy in a call fails once
 */
#ifndef FAIL_NTH_H
#define FAIL_NTH_H

#include <stdbool.h>

/* Not only the caches fail that the kernel's command line names (inject.c). */
extern bool fail_all;
/* What a call fails with for lack of memory, or of the caller's: ends with 0, as all such lists. */
extern const int fail_no_memory[];

/* At the beginning of each test; skips it where the kernel has no fault injection. */
void fail_begin(void);
/*
 * Repeats @call with the n-th attempt in it failing, for n from 1 on until none fails any more. @call
 * returns -1 and sets errno, or something else; @undo (or NULL) takes back what a call that worked
 * has done; @errors: what it may fail with. Returns how many times it did.
 */
unsigned int fail_each(const char *name, long (*call)(void), void (*undo)(void), const int *errors);
/* @refused is called after each that failed. */
unsigned int fail_each_checked(const char *name, long (*call)(void), void (*undo)(void),
			       void (*refused)(void), const int *errors);

#endif
