// SPDX-License-Identifier: MIT
/*
 * common.c - lines on stderr, each behind the driver's name
 */
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include "common.h"

const char *driver_name = "driver";
int driver_verbose;

static void say(const char *format, va_list arguments)
{
	fprintf(stderr, "%s: ", driver_name);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
}

int driver_fail(int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
	return error;
}

void driver_say(const char *format, ...)
{
	va_list arguments;

	if (!driver_verbose)
		return;
	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
}

/*
 * A thread's area for restartable sequences (rseq(2)) is written by the kernel after each sleep, on a slower way out of
 * the call. The C library has registered one, for sched_getcpu(), which can do without.
 */
void driver_no_rseq(void)
{
#ifdef RSEQ_SIG
	if (__rseq_size)
		(void)!syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, sizeof(struct rseq),
			       RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
#endif
}
