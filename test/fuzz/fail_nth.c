// SPDX-License-Identifier: MIT
/*
 * fail_nth.c - every allocation and every copy in a call fails once (fail_nth.h)
 *
 * The kernel's fault injection makes the n-th attempt in the next system call fail
 * (/proc/thread-self/fail-nth): with n from 1 on until the call gets through without a fault, each
 * way out of the call is gone once. A fault may also be one that the kernel does without (the call
 * then succeeds): that is no failure.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../vm/os.h"
#include "../vm/tap.h"
#include "fail_nth.h"
#include "inject.h"

#define MOST 4000 /* attempts in one call */

static int fail_nth = -1;
bool fail_all;
const int fail_no_memory[] = { ENOMEM, EFAULT, 0 };

void fail_begin(void)
{
	if (!inject_init(&fail_all))
		tap_skip("no fault injection");
	fail_nth = inject_open();
}

unsigned int fail_each_checked(const char *name, long (*call)(void), void (*undo)(void),
			       void (*refused)(void), const int *errors)
{
	uint64_t begun = os_now_ns();
	unsigned int n, count = 0;
	bool injected = true, listed;
	long result;
	int error;

	tap_step("%s", name);
	for (n = 1; injected && n <= MOST; n++) {
		inject_at(fail_nth, n);
		errno = 0;
		result = call();
		error = errno;
		injected = inject_done(fail_nth);
		if (result == -1) {
			count++;
			listed = false;
			for (const int *e = errors; *e; e++)
				listed |= *e == error;
			if (!CHECK(injected) || !CHECK(listed))
				tap_note("%s with fault %u: %s", name, n, strerrorname_np(error));
			if (refused)
				refused();
		} else if (undo) {
			undo();
		}
	}
	CHECK(!injected);
	CHECK_OK(call());
	if (undo)
		undo();
	tap_note("%s: %u places to fail, %u refused, in %llu ms", name, n - 2, count,
		 (unsigned long long)(os_now_ns() - begun) / 1000000);
	return count;
}

unsigned int fail_each(const char *name, long (*call)(void), void (*undo)(void), const int *errors)
{
	return fail_each_checked(name, call, undo, NULL, errors);
}
