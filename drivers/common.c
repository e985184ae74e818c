// SPDX-License-Identifier: MIT
/*
 * common.c - lines on stderr, each behind the driver's name
 */
#include <stdarg.h>
#include <stdio.h>

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
