// SPDX-License-Identifier: MIT
/*
 * list.c - `udrv list`: what is there, who drives it, what it can
 *
 * Owns the table for people and the JSON for programs. All devices that udrv could drive are shown,
 * not only those that it does, because the first question is which address to bind; bridges, which
 * nobody wants to drive, only with --all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

struct options {
	bool all;
	bool bound;
	bool json;
};

enum { ADDRESS, DRIVER, NODE, GROUP, TIER, INTERRUPTS, OWNER, NAME, COLUMNS };

static const char *const titles[COLUMNS] = {
	"ADDRESS", "DRIVER", "NODE", "GROUP", "TIER", "INTERRUPTS", "OWNER", "DEVICE",
};

struct row {
	char column[COLUMNS][256];
};

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct options *options = state->input;

	(void)text;
	switch (key) {
	case 'a':
		options->all = true;
		return 0;
	case 'b':
		options->bound = true;
		return 0;
	case 'j':
		options->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "all", 'a', NULL, 0, "Bridges too", 0 },
	{ "bound", 'b', NULL, 0, "Only devices that are bound to udrv", 0 },
	{ "json", 'j', NULL, 0, "As a JSON array, for programs", 0 },
	{ 0 },
};

static const struct argp list_argp = {
	.options = option_table,
	.parser = parse_option,
	.args_doc = "",
	.doc = "List PCI devices: address, driver, node, IOMMU group, tier of trust, the "
	       "interrupts that they can have, and the process that has the node open.",
};

static bool wanted(const struct options *options, const struct pci_entry *entry)
{
	if (options->bound)
		return entry->bound;
	return options->all || (!entry->bridge && !entry->mainboard);
}

/* ---- the table ---- */

static void describe_interrupts(const struct pci_entry *entry, char *text, size_t bytes)
{
	int used = snprintf(text, bytes, "%s", entry->intx ? "INTx" : "");

	if (entry->msi < 0)
		snprintf(text + used, bytes - (size_t)used, "%sMSI?", used ? " " : "");
	if (entry->msi > 0)
		used += snprintf(text + used, bytes - (size_t)used, "%sMSI %d", used ? " " : "",
				 entry->msi);
	if (entry->msix > 0)
		snprintf(text + used, bytes - (size_t)used, "%sMSI-X %d", used ? " " : "",
			 entry->msix);
	if (!text[0])
		snprintf(text, bytes, "-");
}

static void fill_row(struct names *names, const struct pci_entry *entry, struct row *row)
{
	char node[UDRV_NODE_NAME_BYTES];
	struct node_state state;

	snprintf(row->column[ADDRESS], sizeof(row->column[0]), "%s", entry->brief);
	snprintf(row->column[DRIVER], sizeof(row->column[0]), "%s",
		 entry->driver[0] ? entry->driver : "-");
	snprintf(row->column[NODE], sizeof(row->column[0]), "-");
	snprintf(row->column[TIER], sizeof(row->column[0]), "-");
	snprintf(row->column[OWNER], sizeof(row->column[0]), "-");
	if (entry->bound && !sysfs_node_state(&entry->address, &state)) {
		udrv_address_node(&entry->address, node);
		snprintf(row->column[NODE], sizeof(row->column[0]), UDRV_NODE_DIRECTORY "/%s",
			 node);
		snprintf(row->column[TIER], sizeof(row->column[0]), "%s",
			 state.confined ? "confined" : "trusted");
		if (state.owner)
			snprintf(row->column[OWNER], sizeof(row->column[0]), "%s (%d)",
				 state.command, (int)state.owner);
	}
	if (entry->iommu_group < 0)
		snprintf(row->column[GROUP], sizeof(row->column[0]), "-");
	else
		snprintf(row->column[GROUP], sizeof(row->column[0]), "%d", entry->iommu_group);
	describe_interrupts(entry, row->column[INTERRUPTS], sizeof(row->column[0]));
	names_line(names, entry, row->column[NAME], sizeof(row->column[0]));
}

static void print_row(const char *const *columns, const size_t *widths)
{
	unsigned int i;

	for (i = 0; i < COLUMNS - 1; i++)
		printf("%-*s  ", (int)widths[i], columns[i]);
	puts(columns[i]);
}

static void print_table(const struct row *rows, size_t count)
{
	const char *columns[COLUMNS];
	size_t widths[COLUMNS], r;
	unsigned int i;

	for (i = 0; i < COLUMNS; i++) {
		widths[i] = strlen(titles[i]);
		for (r = 0; r < count; r++)
			if (strlen(rows[r].column[i]) > widths[i])
				widths[i] = strlen(rows[r].column[i]);
	}
	print_row(titles, widths);
	for (r = 0; r < count; r++) {
		for (i = 0; i < COLUMNS; i++)
			columns[i] = rows[r].column[i];
		print_row(columns, widths);
	}
}

/* ---- JSON ---- */

static void print_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
	putchar('"');
}

/* A string, or null where it is empty. */
static void print_member(const char *name, const char *text)
{
	printf(", \"%s\": ", name);
	if (text[0])
		print_string(text);
	else
		fputs("null", stdout);
}

/* A number, or null where it is not known. */
static void print_count(const char *name, int value)
{
	if (value < 0)
		printf(", \"%s\": null", name);
	else
		printf(", \"%s\": %d", name, value);
}

static void print_object(struct names *names, const struct pci_entry *entry)
{
	char text[256], node[UDRV_NODE_NAME_BYTES];
	struct node_state state = { 0 };
	bool have_state = entry->bound && !sysfs_node_state(&entry->address, &state);

	printf("{\"address\": \"%s\", \"vendor_id\": \"%04x\", \"device_id\": \"%04x\", \"class\": "
	       "\"%06x\"",
	       entry->sysfs, entry->vendor, entry->device, entry->class_code);
	names_vendor(names, entry, text, sizeof(text));
	print_member("vendor", text);
	names_device(names, entry, text, sizeof(text));
	print_member("device", text);
	names_class(names, entry, text, sizeof(text));
	print_member("class_name", text);
	print_member("driver", entry->driver);
	text[0] = '\0';
	if (have_state) {
		udrv_address_node(&entry->address, node);
		snprintf(text, sizeof(text), UDRV_NODE_DIRECTORY "/%s", node);
	}
	print_member("node", text);
	print_count("iommu_group", entry->iommu_group);
	print_member("tier", !have_state ? "" : state.confined ? "confined" : "trusted");
	print_member("trusted_because", state.reason);
	printf(", \"intx\": %s", entry->intx ? "true" : "false");
	print_count("msi", entry->msi);
	print_count("msix", entry->msix);
	if (have_state && state.owner) {
		printf(", \"owner\": {\"pid\": %d, \"command\": ", (int)state.owner);
		print_string(state.command);
		printf(", \"irq\": \"%s\", \"vectors\": %u, \"interrupts\": %llu, \"bus_master\": "
		       "%s",
		       state.irq_kind, state.irq_count, state.interrupts,
		       state.bus_master ? "true" : "false");
		printf(", \"dma_consistent_bytes\": %llu, \"dma_streaming_bytes\": %llu}",
		       state.dma_consistent, state.dma_streaming);
	} else {
		fputs(", \"owner\": null", stdout);
	}
	putchar('}');
}

/* ---- the command ---- */

/* On a terminal, a person reads this: say what comes next. */
static void print_hint(const struct pci_entry *entries, size_t count)
{
	size_t i;

	if (!isatty(STDOUT_FILENO))
		return;
	for (i = 0; i < count; i++)
		if (entries[i].bound)
			return;
	puts("\nNone is bound to udrv. 'sudo udrv bind ADDRESS' makes a device a process's to "
	     "drive.");
}

static int print_list(const struct options *options, const struct pci_entry *entries, size_t count)
{
	struct names *names = names_open();
	struct row *rows;
	size_t i;

	if (options->json) {
		putchar('[');
		for (i = 0; i < count; i++) {
			fputs(i ? ",\n " : "", stdout);
			print_object(names, &entries[i]);
		}
		puts("]");
	} else {
		rows = calloc(count ? count : 1, sizeof(*rows));
		if (!rows) {
			names_close(names);
			return refuse(STATUS_FAILED, "out of memory: end some other program.");
		}
		for (i = 0; i < count; i++)
			fill_row(names, &entries[i], &rows[i]);
		print_table(rows, count);
		print_hint(entries, count);
		free(rows);
	}
	names_close(names);
	return STATUS_OK;
}

int command_list(int argc, char **argv)
{
	struct udrv_address *addresses = NULL;
	struct options options = { 0 };
	struct pci_entry *entries;
	size_t shown = 0;
	int count, i, rc;

	parse_arguments(&list_argp, argc, argv, &options);
	count = sysfs_list(&addresses);
	if (count < 0)
		return refuse(STATUS_FAILED,
			      "the PCI devices cannot be listed (%s): is sysfs mounted on /sys?",
			      strerror(-count));
	entries = calloc(count ? (size_t)count : 1, sizeof(*entries));
	if (!entries) {
		free(addresses);
		return refuse(STATUS_FAILED, "out of memory: end some other program.");
	}
	for (i = 0; i < count; i++)
		if (!sysfs_load(&addresses[i], &entries[shown]) &&
		    wanted(&options, &entries[shown]))
			shown++;
	rc = print_list(&options, entries, shown);
	free(entries);
	free(addresses);
	return rc;
}
