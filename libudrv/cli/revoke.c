// SPDX-License-Identifier: MIT
/*
 * revoke.c - `udrv revoke`
 *
 * Owns the way to take a node from a driver that hangs: the module does to it what unplug would,
 * and the device stays bound, for the next process to open. Whom it was taken from is asked first;
 * a driver that ends by itself just then is named all the same.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const struct argp revoke_argp = {
	.parser = parse_sole_address,
	.args_doc = "ADDRESS",
	.doc = "Take a bound device from the process that has it open, as unplug would. It stays "
	       "bound, and another process can open it.",
};

static int refuse_revoke(const struct pci_entry *entry, int rc)
{
	if (rc == -EACCES || rc == -EPERM)
		return refuse(STATUS_NOT_PERMITTED,
			      "taking a device from its driver needs root: run 'sudo udrv revoke "
			      "%s'.",
			      entry->brief);
	if (rc == -EROFS)
		return refuse(
			STATUS_NOT_PERMITTED,
			"/sys is mounted read-only (in a container?): run 'udrv revoke %s' on "
			"the host.",
			entry->brief);
	if (rc == -ENOENT || rc == -ENODEV)
		return refuse(STATUS_NO_DEVICE, "%s is gone: it was unplugged or unbound just now.",
			      entry->brief);
	return refuse(STATUS_FAILED, "%s was not taken (%s): 'sudo dmesg' may say why.",
		      entry->brief, strerror(-rc));
}

int command_revoke(int argc, char **argv)
{
	char node[UDRV_NODE_NAME_BYTES];
	struct udrv_address address;
	struct node_state state;
	const char *text = NULL;
	struct pci_entry entry;
	int rc;

	parse_arguments(&revoke_argp, argc, argv, &text);
	rc = parse_address(text, &address);
	if (!rc)
		rc = require_entry(&address, &entry);
	if (!rc)
		rc = require_bound(&entry);
	if (rc)
		return rc;
	udrv_address_node(&address, node);
	rc = sysfs_node_state(&address, &state);
	if (!rc)
		rc = sysfs_write("1", "class/udrv/%s/revoke", node);
	if (rc)
		return refuse_revoke(&entry, rc);
	if (state.owner)
		printf("%s was taken from %s (pid %d), whose calls fail with ENODEV from now on.\n",
		       entry.brief, state.command, (int)state.owner);
	else
		printf("Nobody had %s open: there was nothing to take.\n", entry.brief);
	return STATUS_OK;
}
