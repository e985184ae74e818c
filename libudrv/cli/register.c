// SPDX-License-Identifier: MIT
/*
 * register.c - `udrv read` and `udrv write`, and registers as the command line names them
 *
 * Owns the syntax of registers and numbers, and the sentences for a register that is not there,
 * misaligned or out of bounds. The library would answer EINVAL to each of them; here each gets its
 * own sentence, with the bound in it, before the library is asked.
 *
 * Config space is read through sysfs, so that it works on every device and disturbs nobody; it is
 * written through the node, whose table says which bits are a driver's to write.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli.h"

int parse_number(const char *text, uint64_t *value)
{
	unsigned int base = 10, digit;
	uint64_t sum = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	}
	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text >= '0' && *text <= '9')
			digit = (unsigned int)(*text - '0');
		else if (base == 16 && isxdigit((unsigned char)*text))
			digit = (unsigned int)(tolower((unsigned char)*text) - 'a' + 10);
		else
			return -EINVAL;
		if (sum > (UINT64_MAX - digit) / base)
			return -ERANGE;
		sum = sum * base + digit;
	}
	*value = sum;
	return 0;
}

int parse_register(const char *text, struct reg *reg)
{
	size_t length = strcspn(text, "+");

	if (length == 4 && strncasecmp(text, "bar", 3) == 0 && text[3] >= '0' && text[3] <= '5') {
		reg->region = UDRV_REGION_BAR0 + (unsigned int)(text[3] - '0');
		snprintf(reg->name, sizeof(reg->name), "bar%c", text[3]);
	} else if (length == 6 && strncasecmp(text, "config", 6) == 0) {
		reg->region = UDRV_REGION_CONFIG;
		snprintf(reg->name, sizeof(reg->name), "config");
	} else {
		return -EINVAL;
	}
	reg->offset = 0;
	if (!text[length])
		return 0;
	return parse_number(text + length + 1, &reg->offset) ? -EINVAL : 0;
}

static int refuse_missing_bar(struct udrv *device, const char *brief, const struct reg *reg)
{
	const struct udrv_ioc_region_info *region;
	char have[32] = "";
	unsigned int i;

	for (i = UDRV_REGION_BAR0; i <= UDRV_REGION_BAR5; i++) {
		region = udrv_region(device, i);
		if (region && region->length)
			snprintf(have + strlen(have), sizeof(have) - strlen(have), "%sbar%u",
				 have[0] ? ", " : "", i);
	}
	return refuse(STATUS_USAGE, "%s has no %s: it has %s ('udrv info %s' shows them).", brief,
		      reg->name, have[0] ? have : "no BAR at all", brief);
}

static int check_alignment(const struct reg *reg, unsigned int width)
{
	if (reg->offset % width == 0)
		return STATUS_OK;
	return refuse(STATUS_USAGE,
		      "%s+0x%" PRIx64 " is not a multiple of the width, %u bytes: use %s+0x%" PRIx64
		      ", or another width.",
		      reg->name, reg->offset, width, reg->name, reg->offset - reg->offset % width);
}

static int refuse_bounds(const struct reg *reg, unsigned int width, uint64_t length)
{
	return refuse(STATUS_USAGE,
		      "%s+0x%" PRIx64 " is out of bounds: %s has 0x%" PRIx64
		      " bytes, the last %u-byte register is %s+0x%" PRIx64 ".",
		      reg->name, reg->offset, reg->name, length, width, reg->name,
		      (length - width) / width * width);
}

int register_check(struct udrv *device, const char *brief, const struct reg *reg,
		   unsigned int width)
{
	const struct udrv_ioc_region_info *region = udrv_region(device, reg->region);
	int rc;

	if (!region || region->length < width)
		return refuse_missing_bar(device, brief, reg);
	if (width == 8 &&
	    (reg->region == UDRV_REGION_CONFIG || region->region_flags & UDRV_REGION_PORT))
		return refuse(STATUS_USAGE,
			      "%s is accessed by 1, 2 or 4 bytes: use a width of 4, twice.",
			      reg->name);
	rc = check_alignment(reg, width);
	if (rc)
		return rc;
	if (reg->offset > region->length - width)
		return refuse_bounds(reg, width, region->length);
	return STATUS_OK;
}

static int refuse_access(int rc, const char *brief, const struct reg *reg)
{
	if (rc == -EPERM && reg->region != UDRV_REGION_CONFIG)
		return refuse(STATUS_FAILED,
			      "%s+0x%" PRIx64 " of %s is the MSI-X table's, which the kernel "
					      "writes: 'udrv irq' sets vectors up.",
			      reg->name, reg->offset, brief);
	if (rc == -EPERM)
		return refuse(STATUS_FAILED,
			      "%s+0x%" PRIx64 " of %s has no bit that a driver may write: udrv(4) "
					      "lists those that it may.",
			      reg->name, reg->offset, brief);
	return refuse(STATUS_FAILED, "%s+0x%" PRIx64 " of %s: %s (%s).", reg->name, reg->offset,
		      brief, udrv_strerror(rc), strerror(-rc));
}

int register_read(struct udrv *device, const char *brief, const struct reg *reg, unsigned int width,
		  uint64_t *value)
{
	uint32_t word;
	int rc;

	rc = register_check(device, brief, reg, width);
	if (rc)
		return rc;
	if (reg->region == UDRV_REGION_CONFIG) {
		rc = udrv_config_read(device, (unsigned int)reg->offset, width, &word);
		*value = word;
	} else {
		rc = udrv_bar_read(device, reg->region, reg->offset, width, value);
	}
	return rc ? refuse_access(rc, brief, reg) : STATUS_OK;
}

int register_write(struct udrv *device, const char *brief, const struct reg *reg,
		   unsigned int width, uint64_t value)
{
	int rc;

	rc = register_check(device, brief, reg, width);
	if (rc)
		return rc;
	if (width < 8 && value >> (8 * width))
		return refuse(STATUS_USAGE,
			      "0x%" PRIx64 " does not fit into a width of %u: use a greater one.",
			      value, width);
	if (reg->region == UDRV_REGION_CONFIG)
		rc = udrv_config_write(device, (unsigned int)reg->offset, width, (uint32_t)value);
	else
		rc = udrv_bar_write(device, reg->region, reg->offset, width, value);
	return rc ? refuse_access(rc, brief, reg) : STATUS_OK;
}

/* ---- the commands ---- */

struct access {
	const char *address;
	const char *name;
	struct reg reg;
	bool have_value;
	uint64_t value;
	unsigned int width;
	uint64_t count;
	bool write;
};

static void parse_width(const struct argp_state *state, struct access *access, const char *text)
{
	uint64_t width;

	if (parse_number(text, &width) || (width != 1 && width != 2 && width != 4 && width != 8))
		refuse_usage(state, "'%s' is no width: it is 1, 2, 4 or 8 bytes.", text);
	access->width = (unsigned int)width;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct access *access = state->input;
	unsigned int position = state->arg_num;

	switch (key) {
	case 'n':
		if (parse_number(text, &access->count) || !access->count || access->count > 1 << 20)
			refuse_usage(state, "'%s' is no number of registers: it is 1 to 1048576.",
				     text);
		return 0;
	case ARGP_KEY_ARG:
		if (position == 0) {
			access->address = text;
		} else if (position == 1) {
			access->name = text;
			if (parse_register(text, &access->reg))
				refuse_usage(state,
					     "'%s' is no register: write it like bar0+0x10 or "
					     "config+0x04.",
					     text);
		} else if (access->write && position == 2) {
			if (parse_number(text, &access->value))
				refuse_usage(state,
					     "'%s' is no value: write it like 0x1f or 31, in at "
					     "most 64 bits.",
					     text);
			access->have_value = true;
		} else if (position == (access->write ? 3U : 2U)) {
			parse_width(state, access, text);
		} else {
			return ARGP_ERR_UNKNOWN;
		}
		return 0;
	case ARGP_KEY_END:
		if (!access->name || (access->write && !access->have_value))
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option read_options[] = {
	{ "count", 'n', "COUNT", 0, "Read COUNT registers, one after the other", 0 },
	{ 0 },
};

static const struct argp read_argp = {
	.options = read_options,
	.parser = parse_option,
	.args_doc = "ADDRESS REGISTER [WIDTH]",
	.doc = "Read a register of a BAR (bar0+0x10) or of config space (config+0x04), WIDTH bytes "
	       "wide: 1, 2, 4 (if nothing is said) or 8.",
};

static const struct argp write_argp = {
	.parser = parse_option,
	.args_doc = "ADDRESS REGISTER VALUE [WIDTH]",
	.doc = "Write a register of a BAR (bar0+0x10), or a field of config space that a driver "
	       "may write (udrv(4) lists them), WIDTH bytes wide: 1, 2, 4 (if nothing is said) or "
	       "8.",
};

static void print_value(const struct access *access, const struct reg *reg, uint64_t value)
{
	if (access->count > 1)
		printf("%s+0x%04" PRIx64 ": ", reg->name, reg->offset);
	printf("0x%0*" PRIx64 "\n", (int)(2 * access->width), value);
}

/* One register of config space, without the node. */
static int read_config(const struct pci_entry *entry, const struct reg *reg, unsigned int width,
		       uint64_t *value)
{
	unsigned int length = 0;
	int rc;

	if (width == 8)
		return refuse(STATUS_USAGE,
			      "config is accessed by 1, 2 or 4 bytes: use a width of 4, twice.");
	rc = check_alignment(reg, width);
	if (rc)
		return rc;
	if (reg->offset > UINT16_MAX)
		rc = sysfs_config_read(entry, UINT16_MAX, width, value, &length);
	else
		rc = sysfs_config_read(entry, (unsigned int)reg->offset, width, value, &length);
	if (rc == -ERANGE)
		return refuse_bounds(reg, width, length);
	if (rc == -EACCES)
		return refuse(STATUS_NOT_PERMITTED, "config space past its first 64 bytes is shown "
						    "to root only: run it again with sudo.");
	return rc ? refuse_access(rc, entry->brief, reg) : STATUS_OK;
}

static int read_many(const struct access *access, struct udrv *device,
		     const struct pci_entry *entry)
{
	struct reg reg = access->reg;
	uint64_t value = 0, left;
	int rc;

	for (left = access->count; left; left--, reg.offset += access->width) {
		if (device)
			rc = register_read(device, entry->brief, &reg, access->width, &value);
		else
			rc = read_config(entry, &reg, access->width, &value);
		if (rc)
			return rc;
		print_value(access, &reg, value);
	}
	return STATUS_OK;
}

int command_read(int argc, char **argv)
{
	struct access access = { .width = 4, .count = 1 };
	struct udrv_address address;
	struct udrv *device = NULL;
	struct pci_entry entry;
	int rc;

	parse_arguments(&read_argp, argc, argv, &access);
	rc = parse_address(access.address, &address);
	if (!rc)
		rc = require_entry(&address, &entry);
	if (!rc && access.reg.region != UDRV_REGION_CONFIG)
		rc = open_device(&address, &device);
	if (!rc)
		rc = read_many(&access, device, &entry);
	udrv_close(device);
	return rc;
}

int command_write(int argc, char **argv)
{
	struct access access = { .width = 4, .write = true };
	char brief[ADDRESS_BYTES];
	struct udrv_address address;
	struct udrv *device = NULL;
	int rc;

	parse_arguments(&write_argp, argc, argv, &access);
	rc = parse_address(access.address, &address);
	if (rc)
		return rc;
	address_brief(&address, brief);
	rc = open_device(&address, &device);
	if (!rc)
		rc = register_write(device, brief, &access.reg, access.width, access.value);
	udrv_close(device);
	if (!rc && access.reg.region == UDRV_REGION_CONFIG)
		fprintf(stderr,
			"udrv: config space goes back to what it was when a node is closed, as now: 'sudo "
			"setpci -s %s ...' writes for longer.\n",
			brief);
	return rc;
}
