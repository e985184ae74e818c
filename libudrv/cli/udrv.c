// SPDX-License-Identifier: MIT
/*
 * udrv.c - the command: its main, and the table of what it can do
 *
 * Owns the choice of the command and the help for all of them; each command parses its own
 * arguments and answers with its own exit status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{ "list", command_list, "PCI devices: driver, node, tier, interrupts, who has them open" },
	{ "bind", command_bind, "take a device from its kernel driver, for a process to drive" },
	{ "unbind", command_unbind, "give it back" },
	{ "info", command_info, "what a bound device is and can" },
	{ "read", command_read, "read a register: udrv read 00:04.0 bar0+0x10" },
	{ "write", command_write, "write a register: udrv write 00:04.0 bar0+0x10 0x1f" },
	{ "irq", command_irq, "watch interrupts" },
	{ "reset", command_reset, "reset a bound device" },
	{ "revoke", command_revoke, "take a bound device from the process that has it open" },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
	size_t i;

	fputs("Usage: udrv COMMAND [ARGUMENTS]\n"
	      "Drive PCI devices from processes.\n\n",
	      out);
	for (i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\n"
	      "An ADDRESS is bus:slot.function, like 00:04.0; 'udrv COMMAND --help' says more, and "
	      "so does udrv(1).\n"
	      "In five minutes: 'udrv list', 'sudo udrv bind ADDRESS', 'sudo udrv info ADDRESS'.\n",
	      out);
}

/* Whatever was printed must have arrived: a full disk behind a redirection is a failure too. */
static int finish(int status)
{
	if (fflush(stdout) || ferror(stdout))
		return refuse(status ? status : STATUS_FAILED,
			      "the output could not be written: is the disk full?");
	return status;
}

int main(int argc, char **argv)
{
	size_t i;

	argp_err_exit_status = STATUS_USAGE;
	if (argc < 2) {
		print_help(stderr);
		return STATUS_USAGE;
	}
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return finish(STATUS_OK);
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("udrv %s\n", udrv_version());
		return finish(STATUS_OK);
	}
	for (i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return finish(commands[i].run(argc - 1, argv + 1));
	return refuse(STATUS_USAGE,
		      "there is no command '%s': 'udrv help' lists those that there are.", argv[1]);
}
