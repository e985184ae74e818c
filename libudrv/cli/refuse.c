// SPDX-License-Identifier: MIT
/*
 * refuse.c - how the command says no: one sentence that names the next step, and an exit status
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

int refuse(int status, const char *format, ...)
{
	va_list arguments;

	/* What was printed before comes before, also where both go to one file. */
	fflush(stdout);
	fputs("udrv: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return status;
}

void refuse_usage(const struct argp_state *state, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%s: ", state->name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(STATUS_USAGE);
}

error_t parse_sole_address(int key, char *text, struct argp_state *state)
{
	const char **address = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (*address)
			return ARGP_ERR_UNKNOWN;
		*address = text;
		return 0;
	case ARGP_KEY_END:
		if (!*address)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void parse_arguments(const struct argp *argp, int argc, char **argv, void *input)
{
	char name[32];

	/* argp takes its name from here: "udrv bind: ..." */
	snprintf(name, sizeof(name), "udrv %s", argv[0]);
	argv[0] = name;
	argp_parse(argp, argc, argv, 0, NULL, input);
}
