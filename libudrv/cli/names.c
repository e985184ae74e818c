// SPDX-License-Identifier: MIT
/*
 * names.c - what vendors, devices and classes are called, from libpci's database
 *
 * Owns the handle of libpci, which is used for its names only. pci_init() is not called: it looks
 * for a way to the bus, and ends the process where there is none. What it would have set up for
 * messages is set up here: none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pci/pci.h>

#include "cli.h"

struct names {
	struct pci_access *access;
};

static void say_nothing(char *message, ...)
{
	(void)message;
}

/* libpci does not expect this one to return; looking up names does not call it. */
static void __attribute__((noreturn)) give_up(char *message, ...)
{
	(void)message;
	exit(STATUS_FAILED);
}

struct names *names_open(void)
{
	struct names *names = malloc(sizeof(*names));

	if (!names)
		return NULL;
	names->access = pci_alloc();
	names->access->error = give_up;
	names->access->warning = say_nothing;
	names->access->debug = say_nothing;
	return names;
}

void names_close(struct names *names)
{
	if (!names)
		return;
	pci_free_name_list(names->access);
	pci_cleanup(names->access);
	free(names);
}

static void look_up(struct names *names, char *text, size_t bytes, int flags, unsigned int first,
		    unsigned int second)
{
	char found[256];
	const char *name = NULL;

	if (names)
		name = pci_lookup_name(names->access, found, sizeof(found),
				       flags | PCI_LOOKUP_NO_NUMBERS, first, second);
	snprintf(text, bytes, "%s", name ? name : "");
}

void names_vendor(struct names *names, const struct pci_entry *entry, char *text, size_t bytes)
{
	look_up(names, text, bytes, PCI_LOOKUP_VENDOR, entry->vendor, 0);
}

void names_device(struct names *names, const struct pci_entry *entry, char *text, size_t bytes)
{
	look_up(names, text, bytes, PCI_LOOKUP_DEVICE, entry->vendor, entry->device);
}

void names_class(struct names *names, const struct pci_entry *entry, char *text, size_t bytes)
{
	look_up(names, text, bytes, PCI_LOOKUP_CLASS, entry->class_code >> 8, 0);
}

void names_line(struct names *names, const struct pci_entry *entry, char *text, size_t bytes)
{
	char vendor[128], device[128];

	names_vendor(names, entry, vendor, sizeof(vendor));
	names_device(names, entry, device, sizeof(device));
	/* Where the database does not know the device, its class says at least what it is for. */
	if (!device[0])
		names_class(names, entry, device, sizeof(device));
	snprintf(text, bytes, "%s%s%s%s[%04x:%04x]", vendor, vendor[0] ? " " : "", device,
		 device[0] ? " " : "", entry->vendor, entry->device);
}
