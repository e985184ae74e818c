// SPDX-License-Identifier: MIT
/*
 * device.c - from the ADDRESS argument to an open device, or to the reason why not
 *
 * Owns the way from a failed udrv_open() to its cause. The hard part is that one errno has several:
 * ENOENT is an address without a device, a device with its kernel driver, a module that is not
 * loaded, or a /dev without the node; sysfs tells them apart.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int parse_address(const char *text, struct udrv_address *address)
{
	if (udrv_address_parse(text, address))
		return refuse(STATUS_USAGE,
			      "'%s' is no PCI address: write it like 00:04.0 (bus:slot.function; "
			      "'udrv list' shows those that there are).",
			      text);
	return STATUS_OK;
}

int require_entry(const struct udrv_address *address, struct pci_entry *entry)
{
	char brief[ADDRESS_BYTES], near[3 * ADDRESS_BYTES + 16];

	if (!sysfs_load(address, entry))
		return STATUS_OK;
	address_brief(address, brief);
	sysfs_near(address, near, sizeof(near));
	if (near[0])
		return refuse(STATUS_NO_DEVICE,
			      "there is no PCI device %s: did you mean %s? ('udrv list --all' "
			      "shows them all.)",
			      brief, near);
	return refuse(STATUS_NO_DEVICE,
		      "there is no PCI device %s: 'udrv list --all' shows those that there are.",
		      brief);
}

/* A device of the group that somebody has open: of two users one could reach the other's memory. */
static bool find_group_user(const struct pci_entry *entry, char brief[ADDRESS_BYTES],
			    struct node_state *state)
{
	struct udrv_address *list;
	bool found = false;
	int count, i;

	count = group_members(entry, &list);
	for (i = 0; i < count && !found; i++) {
		found = !sysfs_node_state(&list[i], state) && state->owner;
		address_brief(&list[i], brief);
	}
	free(list);
	return found;
}

static int refuse_busy(const struct pci_entry *entry)
{
	char other[ADDRESS_BYTES];
	struct node_state state;

	if (!sysfs_node_state(&entry->address, &state) && state.owner)
		return refuse(STATUS_BUSY,
			      "%s is in use by %s (pid %d): end that process first (kill %d), or "
			      "wait for it.",
			      entry->brief, state.command, (int)state.owner, (int)state.owner);
	if (find_group_user(entry, other, &state))
		return refuse(STATUS_BUSY,
			      "another user drives %s, of the same IOMMU group as %s (%s, pid %d): "
			      "a group is one user's at a time, wait for that process to end.",
			      other, entry->brief, state.command, (int)state.owner);
	return refuse(STATUS_BUSY, "%s was in use a moment ago: try again.", entry->brief);
}

/* EPERM is the module's (or a container's), EACCES the node's permissions. */
static int refuse_permission(const struct pci_entry *entry, int rc)
{
	struct node_state state;
	char reason[REASON_BYTES];
	char locked[64] = "";

	if (sysfs_node_state(&entry->address, &state) || (!state.confined && !state.reason[0]))
		return refuse(STATUS_NOT_PERMITTED,
			      "opening %s needs root (CAP_SYS_RAWIO): run it again with sudo.",
			      entry->brief);
	if (state.confined && rc == -EACCES)
		return refuse(STATUS_NOT_PERMITTED,
			      "opening %s needs root, or to be in the group of its node "
			      "('sudo adduser USER udrv', and log in again): run it with sudo.",
			      entry->brief);
	if (state.confined)
		return refuse(STATUS_NOT_PERMITTED,
			      "opening %s was refused although it is confined: does this container "
			      "or service admit its node (DeviceAllow=)?",
			      entry->brief);
	group_reason(entry, &state, reason, sizeof(reason));
	if (!sysfs_read(locked, sizeof(locked), "kernel/security/lockdown") &&
	    !strstr(locked, "[none]"))
		return refuse(STATUS_NOT_PERMITTED,
			      "%s cannot be opened, because %s and the kernel is locked down (by "
			      "Secure Boot, as a rule): then only confined devices can be.",
			      entry->brief, reason);
	return refuse(STATUS_NOT_PERMITTED,
		      "opening %s needs root (CAP_SYS_RAWIO), because %s: run it again with sudo.",
		      entry->brief, reason);
}

int require_bound(const struct pci_entry *entry)
{
	if (!sysfs_module_loaded())
		return refuse(STATUS_NO_MODULE,
			      "the module udrv is not loaded: 'sudo udrv bind %s' loads it and "
			      "binds the device.",
			      entry->brief);
	if (!entry->bound && entry->driver[0])
		return refuse(STATUS_NOT_BOUND,
			      "%s is not bound to udrv, its driver is %s: 'sudo udrv bind %s' "
			      "takes it over.",
			      entry->brief, entry->driver, entry->brief);
	if (!entry->bound)
		return refuse(STATUS_NOT_BOUND,
			      "%s is not bound to udrv: 'sudo udrv bind %s' does it.", entry->brief,
			      entry->brief);
	return STATUS_OK;
}

/* The node is not there: which of the reasons is it? */
static int refuse_absent(const struct pci_entry *entry)
{
	int rc = require_bound(entry);

	if (rc)
		return rc;
	return refuse(STATUS_FAILED,
		      "%s is bound to udrv, but there is no node for it in " UDRV_NODE_DIRECTORY
		      ": mount a devtmpfs on /dev, or pass the node into this container.",
		      entry->brief);
}

int open_device(const struct udrv_address *address, struct udrv **device)
{
	char node[UDRV_NODE_NAME_BYTES];
	struct pci_entry entry;
	int rc;

	rc = require_entry(address, &entry);
	if (rc)
		return rc;
	udrv_address_node(address, node);
	rc = udrv_open(node, device);
	switch (rc) {
	case 0:
		return STATUS_OK;
	case -ENOENT:
		return refuse_absent(&entry);
	case -EBUSY:
		return refuse_busy(&entry);
	case -EACCES:
	case -EPERM:
		return refuse_permission(&entry, rc);
	default:
		return refuse(STATUS_FAILED, "%s cannot be opened: %s (%s).", entry.brief,
			      udrv_strerror(rc), strerror(-rc));
	}
}
