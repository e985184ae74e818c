// SPDX-License-Identifier: MIT
/*
 * driver_test.c - what the sample drivers have in common, as far as it needs no device
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "common.h"

static long rseq(int flags)
{
	return syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, sizeof(struct rseq), flags,
		       RSEQ_SIG);
}

struct seen {
	long again, anew;
	int again_errno, cpu;
};

static void *sleeper(void *arg)
{
	struct seen *seen = arg;

	driver_no_rseq();
	seen->again = rseq(RSEQ_FLAG_UNREGISTER);
	seen->again_errno = errno;
	seen->cpu = sched_getcpu();
	driver_no_rseq(); /* once more is no harm */
	seen->anew = rseq(0);
	return NULL;
}

/*
 * A thread's restartable sequences are off, and the C library does without. Where it has none (an older kernel, or
 * GLIBC_TUNABLES) there is nothing to be given back, and nothing happens.
 */
static void no_rseq(void **state)
{
	struct seen seen = { .again = 1 };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, sleeper, &seen), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(seen.again, -1);
	assert_true(seen.again_errno == EINVAL || (!__rseq_size && seen.again_errno == ENOSYS));
	assert_true(seen.cpu >= 0);
	if (__rseq_size)
		assert_int_equal(seen.anew, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_rseq),
	};

	return cmocka_run_group_tests_name("driver", tests, NULL, NULL);
}
