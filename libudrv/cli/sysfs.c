// SPDX-License-Identifier: MIT
/*
 * sysfs.c - what the kernel says of PCI devices, read from sysfs
 *
 * Owns all paths in sysfs, the walk through the capability list (for the kinds of interrupts), and
 * the search for addresses like the one that was typed. Nothing here needs root, but config space
 * past its first 64 bytes: without root the numbers of MSI vectors are unknown, and said to be.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define DEVICES "bus/pci/devices"

static void make_path(char path[PATH_MAX], const char *format, va_list arguments)
{
	int used = snprintf(path, PATH_MAX, "%s/", CLI_SYS);

	vsnprintf(path + used, PATH_MAX - (size_t)used, format, arguments);
}

static int read_line(const char *path, char *line, size_t bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t done;
	int rc;

	if (fd < 0)
		return -errno;
	done = read(fd, line, bytes - 1);
	rc = done < 0 ? -errno : 0;
	close(fd);
	if (rc)
		return rc;
	line[done] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return 0;
}

int sysfs_read(char *line, size_t bytes, const char *format, ...)
{
	char path[PATH_MAX];
	va_list arguments;

	va_start(arguments, format);
	make_path(path, format, arguments);
	va_end(arguments);
	return read_line(path, line, bytes);
}

int sysfs_write(const char *text, const char *format, ...)
{
	char path[PATH_MAX];
	va_list arguments;
	ssize_t done;
	int fd, rc;

	va_start(arguments, format);
	make_path(path, format, arguments);
	va_end(arguments);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	done = write(fd, text, strlen(text));
	rc = done < 0 ? -errno : 0;
	close(fd);
	return rc;
}

/* The last part of a symbolic link below CLI_SYS; "" if there is none. */
static void link_name(char *name, size_t bytes, const char *format, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *last;
	va_list arguments;
	ssize_t length;

	name[0] = '\0';
	va_start(arguments, format);
	make_path(path, format, arguments);
	va_end(arguments);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return;
	target[length] = '\0';
	last = strrchr(target, '/');
	snprintf(name, bytes, "%.*s", (int)bytes - 1, last ? last + 1 : target);
}

void address_brief(const struct udrv_address *address, char text[ADDRESS_BYTES])
{
	char node[UDRV_NODE_NAME_BYTES];

	udrv_address_node(address, node);
	snprintf(text, ADDRESS_BYTES, "%.*s", ADDRESS_BYTES - 1, node + strlen("pci-"));
}

static void address_sysfs(const struct udrv_address *address, char text[ADDRESS_BYTES])
{
	snprintf(text, ADDRESS_BYTES, "%04x:%02x:%02x.%x", address->domain, address->bus & 0xff,
		 address->slot & 0x1f, address->function & 7);
}

static int compare(const void *left, const void *right)
{
	const struct udrv_address *a = left, *b = right;

	if (a->domain != b->domain)
		return a->domain < b->domain ? -1 : 1;
	if (a->bus != b->bus)
		return a->bus < b->bus ? -1 : 1;
	if (a->slot != b->slot)
		return a->slot < b->slot ? -1 : 1;
	return a->function < b->function ? -1 : a->function > b->function;
}

int sysfs_addresses(struct udrv_address **list, const char *format, ...)
{
	struct udrv_address *grown, *found = NULL;
	size_t count = 0, room = 0;
	struct dirent *entry;
	char path[PATH_MAX];
	va_list arguments;
	DIR *directory;

	va_start(arguments, format);
	make_path(path, format, arguments);
	va_end(arguments);
	directory = opendir(path);
	if (!directory)
		return -errno;
	while ((entry = readdir(directory))) {
		if (count == room) {
			room = room ? 2 * room : 32;
			grown = realloc(found, room * sizeof(*found));
			if (!grown) {
				free(found);
				closedir(directory);
				return -ENOMEM;
			}
			found = grown;
		}
		if (!udrv_address_parse(entry->d_name, &found[count]))
			count++;
	}
	closedir(directory);
	if (count)
		qsort(found, count, sizeof(*found), compare);
	*list = found;
	return (int)count;
}

int sysfs_list(struct udrv_address **list)
{
	return sysfs_addresses(list, DEVICES);
}

/* As much of config space as this user may see; a count. */
static size_t load_config(const char *name, uint8_t config[256])
{
	char path[PATH_MAX];
	size_t have = 0;
	ssize_t done;
	int fd;

	snprintf(path, sizeof(path), "%s/" DEVICES "/%s/config", CLI_SYS, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while (have < 256) {
		done = pread(fd, config + have, 256 - have, (off_t)have);
		if (done <= 0)
			break;
		have += (size_t)done;
	}
	close(fd);
	return have;
}

#define CONFIG_STATUS 0x06
#define CONFIG_STATUS_CAP_LIST 0x10
#define CONFIG_HEADER_TYPE 0x0e
#define CONFIG_CAP_POINTER 0x34
#define CONFIG_INTERRUPT_PIN 0x3d
#define CAP_MSI 0x05
#define CAP_MSIX 0x11

static void load_interrupts(struct pci_entry *entry)
{
	uint8_t config[256] = { 0 };
	size_t have = load_config(entry->sysfs, config);
	unsigned int at, left;
	uint16_t control;

	if (have < 64) {
		entry->msi = entry->msix = -1;
		return;
	}
	entry->bridge = (config[CONFIG_HEADER_TYPE] & 0x7f) != 0;
	entry->intx = config[CONFIG_INTERRUPT_PIN] != 0;
	if (!(config[CONFIG_STATUS] & CONFIG_STATUS_CAP_LIST))
		return;

	/* A broken list may be a ring: no list has more entries than fit. */
	at = config[CONFIG_CAP_POINTER] & 0xfc;
	for (left = 48; at >= 0x40 && left; left--) {
		if (at + 4 > have) {
			entry->msi = entry->msix = -1;
			return;
		}
		control = (uint16_t)(config[at + 2] | config[at + 3] << 8);
		if (config[at] == CAP_MSI)
			entry->msi = 1 << (control >> 1 & 7);
		else if (config[at] == CAP_MSIX)
			entry->msix = (control & 0x7ff) + 1;
		at = config[at + 1] & 0xfc;
	}
}

static unsigned int read_hex(const char *name, const char *attribute)
{
	char line[32];

	if (sysfs_read(line, sizeof(line), DEVICES "/%s/%s", name, attribute))
		return 0;
	return (unsigned int)strtoul(line, NULL, 16);
}

int sysfs_load(const struct udrv_address *address, struct pci_entry *entry)
{
	char path[PATH_MAX], group[16];

	memset(entry, 0, sizeof(*entry));
	entry->address = *address;
	address_sysfs(address, entry->sysfs);
	address_brief(address, entry->brief);
	snprintf(path, sizeof(path), "%s/" DEVICES "/%s", CLI_SYS, entry->sysfs);
	if (access(path, F_OK))
		return -ENODEV;

	entry->vendor = read_hex(entry->sysfs, "vendor");
	entry->device = read_hex(entry->sysfs, "device");
	entry->class_code = read_hex(entry->sysfs, "class");
	entry->mainboard = entry->class_code >> 16 == 0x06;
	link_name(entry->driver, sizeof(entry->driver), DEVICES "/%s/driver", entry->sysfs);
	entry->bound = strcmp(entry->driver, "udrv") == 0;
	link_name(group, sizeof(group), DEVICES "/%s/iommu_group", entry->sysfs);
	entry->iommu_group = group[0] ? atoi(group) : -1;
	load_interrupts(entry);
	return 0;
}

void process_name(pid_t pid, char *name, size_t bytes)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%d/comm", CLI_PROC, (int)pid);
	if (read_line(path, name, bytes))
		snprintf(name, bytes, "?");
}

int sysfs_node_state(const struct udrv_address *address, struct node_state *state)
{
	static const char trusted[] = "trusted: ";
	char node[UDRV_NODE_NAME_BYTES], line[128];
	int rc;

	memset(state, 0, sizeof(*state));
	udrv_address_node(address, node);
	rc = sysfs_read(line, sizeof(line), "class/udrv/%s/owner", node);
	if (rc)
		return rc;
	state->owner = (pid_t)atoi(line);
	if (state->owner)
		process_name(state->owner, state->command, sizeof(state->command));
	if (!sysfs_read(line, sizeof(line), "class/udrv/%s/irq", node))
		sscanf(line, "%7s %u", state->irq_kind, &state->irq_count);
	if (!sysfs_read(line, sizeof(line), "class/udrv/%s/interrupts", node))
		state->interrupts = strtoull(line, NULL, 10);
	if (!sysfs_read(line, sizeof(line), "class/udrv/%s/bus_master", node))
		state->bus_master = line[0] == '1';
	if (!sysfs_read(line, sizeof(line), "class/udrv/%s/dma_consistent", node))
		state->dma_consistent = strtoull(line, NULL, 10);
	if (!sysfs_read(line, sizeof(line), "class/udrv/%s/dma_streaming", node))
		state->dma_streaming = strtoull(line, NULL, 10);
	if (!sysfs_read(line, sizeof(line), "class/udrv/%s/trust", node)) {
		state->confined = strcmp(line, "confined") == 0;
		if (strncmp(line, trusted, strlen(trusted)) == 0)
			snprintf(state->reason, sizeof(state->reason), "%.*s",
				 (int)sizeof(state->reason) - 1, line + strlen(trusted));
	}
	return 0;
}

bool sysfs_module_loaded(void)
{
	return access(CLI_SYS "/bus/pci/drivers/udrv", F_OK) == 0;
}

int sysfs_config_read(const struct pci_entry *entry, unsigned int offset, unsigned int width,
		      uint64_t *value, unsigned int *length)
{
	char path[PATH_MAX];
	uint8_t bytes[8];
	struct stat status;
	ssize_t done;
	int fd, rc = 0;

	snprintf(path, sizeof(path), "%s/" DEVICES "/%s/config", CLI_SYS, entry->sysfs);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status)) {
		rc = -errno;
		goto out;
	}
	*length = (unsigned int)status.st_size;
	if (width > *length || offset > *length - width) {
		rc = -ERANGE;
		goto out;
	}
	done = pread(fd, bytes, width, offset);
	if (done < 0) {
		rc = -errno;
	} else if ((size_t)done != width) {
		/* The file says how long config space is, and shows the first 64 bytes to
		 * everybody. */
		rc = -EACCES;
	} else {
		*value = 0;
		while (width--)
			*value = *value << 8 | bytes[width];
	}
out:
	close(fd);
	return rc;
}

/* How many characters must be changed, added or dropped (Levenshtein); both are short. */
static unsigned int distance(const char *from, const char *to)
{
	unsigned int row[ADDRESS_BYTES + 1], i, j, diagonal, above, cost;
	size_t width = strlen(to);

	for (j = 0; j <= width; j++)
		row[j] = j;
	for (i = 0; from[i]; i++) {
		diagonal = row[0];
		row[0] = i + 1;
		for (j = 0; j < width; j++) {
			above = row[j + 1];
			cost = diagonal + (from[i] != to[j]);
			if (above + 1 < cost)
				cost = above + 1;
			if (row[j] + 1 < cost)
				cost = row[j] + 1;
			diagonal = above;
			row[j + 1] = cost;
		}
	}
	return row[width];
}

/* How unlike two addresses are: first as one types them, then by how far apart they lie. */
static unsigned int unlike(const struct udrv_address *wanted, const struct udrv_address *other)
{
	char left[ADDRESS_BYTES], right[ADDRESS_BYTES];
	int apart;

	address_sysfs(wanted, left);
	address_sysfs(other, right);
	apart = ((int)wanted->bus - (int)other->bus) * 32 + (int)wanted->slot - (int)other->slot;
	return distance(left, right) << 16 | (unsigned int)abs(apart);
}

void sysfs_near(const struct udrv_address *address, char *text, size_t bytes)
{
	unsigned int limit = 3 << 16, shown, best, this;
	struct udrv_address *list = NULL;
	char name[ADDRESS_BYTES];
	int count, i, nearest;

	text[0] = '\0';
	count = sysfs_list(&list);
	if (count <= 0 || !list)
		return;
	for (shown = 0; shown < 3; shown++) {
		best = limit;
		nearest = -1;
		for (i = 0; i < count; i++) {
			this = unlike(address, &list[i]);
			if (this < best) {
				best = this;
				nearest = i;
			}
		}
		if (nearest < 0)
			break;
		address_brief(&list[nearest], name);
		snprintf(text + strlen(text), bytes - strlen(text), "%s%s", shown ? " or " : "",
			 name);
		list[nearest] = list[--count];
	}
	free(list);
}
