// SPDX-License-Identifier: MIT
/*
 * danger.c - would the running system miss this device?
 *
 * Owns the two questions that can be answered from outside: does a mounted file system or swap area
 * live on a disk behind the device, and does the default route leave through it. The hard part is
 * what lies in between (partitions, LVM, RAID, bonds, bridges): all of it is a walk through sysfs,
 * downwards by "slaves" and "lower_*", until a path begins with the device's own.
 *
 * A "no" is no promise. It is what keeps a person from sawing off the branch in the first five
 * minutes; --force is for those who know better.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cli.h"

/* No stack of block or network devices is deeper; a ring of links in sysfs would be a kernel bug.
 */
#define DEPTH 8

/* Does @path, with all links resolved, lie inside the device's directory @root? */
static bool lies_inside(const char *path, const char *root)
{
	char resolved[PATH_MAX];
	size_t length = strlen(root);

	return realpath(path, resolved) && strncmp(resolved, root, length) == 0 &&
	       (resolved[length] == '/' || resolved[length] == '\0');
}

static bool behind(const char *path, const char *root, unsigned int depth);

/*
 * Is one of @directory's entries that begin with @prefix behind the device? With @depth 0 only what
 * lies in its directory itself counts.
 */
static bool any_behind(const char *directory, const char *prefix, const char *root,
		       unsigned int depth)
{
	char path[PATH_MAX];
	struct dirent *entry;
	bool found = false;
	DIR *handle;

	handle = opendir(directory);
	if (!handle)
		return false;
	while (!found && (entry = readdir(handle))) {
		if (entry->d_name[0] == '.' || strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) <
		    (int)sizeof(path))
			found = behind(path, root, depth);
	}
	closedir(handle);
	return found;
}

/*
 * NVMe multipath: the disk is a child of its subsystem, whose directory has links to the
 * controllers:
 * .../nvme-subsys0/nvme0n1 for the disk, .../nvme-subsys0/nvme0 for a controller.
 */
static bool multipath_behind(const char *path, const char *root)
{
	char directory[PATH_MAX], *end;

	if (!realpath(path, directory))
		return false;
	end = strstr(directory, "/nvme-subsys");
	/* The first hit may be the class's directory, "/nvme-subsystem/". */
	if (end && strncmp(end, "/nvme-subsystem/", 16) == 0)
		end = strstr(end + 1, "/nvme-subsys");
	end = end ? strchr(end + 1, '/') : NULL;
	if (!end)
		return false;
	*end = '\0';
	return any_behind(directory, "nvme", root, 0);
}

/* Is the block or network device at @path behind the PCI device at @root? */
static bool behind(const char *path, const char *root, unsigned int depth)
{
	char inner[PATH_MAX];

	if (lies_inside(path, root))
		return true;
	if (!depth)
		return false;
	/* device mapper, md: the disks below; for a partition of such a disk, the disk's */
	if (snprintf(inner, sizeof(inner), "%s/slaves", path) < (int)sizeof(inner) &&
	    any_behind(inner, "", root, depth - 1))
		return true;
	if (snprintf(inner, sizeof(inner), "%s/../slaves", path) < (int)sizeof(inner) &&
	    any_behind(inner, "", root, depth - 1))
		return true;
	/* bond, bridge, VLAN */
	if (any_behind(path, "lower_", root, depth - 1))
		return true;
	return multipath_behind(path, root);
}

static bool block_behind(unsigned int first, unsigned int second, const char *root)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/dev/block/%u:%u", CLI_SYS, first, second);
	return behind(path, root, DEPTH);
}

/* The kernel writes a space in a path as \040. */
static void unescape(char *text)
{
	char *out = text;
	unsigned int code;

	for (; *text; text++) {
		if (*text == '\\' && sscanf(text + 1, "%3o", &code) == 1) {
			*out++ = (char)code;
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

/* By the path of a block device's node, where the kernel gives no number. */
static bool node_behind(const char *path, const char *root)
{
	struct stat status;

	return !stat(path, &status) && S_ISBLK(status.st_mode) &&
	       block_behind(major(status.st_rdev), minor(status.st_rdev), root);
}

static bool find_mount(const char *root, char *why, size_t bytes)
{
	char line[PATH_MAX + 512], point[PATH_MAX], source[PATH_MAX];
	unsigned int first, second;
	bool found = false;
	char *tail;
	FILE *file;

	file = fopen(CLI_PROC "/self/mountinfo", "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		/* id parent major:minor root point options [tags] - type source options */
		if (sscanf(line, "%*u %*u %u:%u %*s %4095s", &first, &second, point) != 3)
			continue;
		found = block_behind(first, second, root);
		/* btrfs and others have no number of their own, only a source. */
		tail = strstr(line, " - ");
		if (!found && first == 0 && tail && sscanf(tail, " - %*s %4095s", source) == 1) {
			unescape(source);
			found = source[0] == '/' && node_behind(source, root);
		}
		if (found) {
			unescape(point);
			snprintf(why, bytes, "a file system on it is mounted at %s", point);
		}
	}
	fclose(file);
	return found;
}

static bool find_swap(const char *root, char *why, size_t bytes)
{
	char line[PATH_MAX + 128], path[PATH_MAX];
	bool found = false;
	FILE *file;

	file = fopen(CLI_PROC "/swaps", "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%4095s", path) != 1 || path[0] != '/')
			continue;
		unescape(path);
		found = node_behind(path, root);
		if (found)
			snprintf(why, bytes, "the system swaps to it (%s)", path);
	}
	fclose(file);
	return found;
}

static bool interface_behind(const char *name, const char *root, char *why, size_t bytes)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/class/net/%s", CLI_SYS, name);
	if (!behind(path, root, DEPTH))
		return false;
	snprintf(why, bytes, "the default route leaves through it (%s)", name);
	return true;
}

static bool find_route(const char *root, char *why, size_t bytes)
{
	char line[256], name[32];
	unsigned int destination, length, flags, mask;
	bool found = false;
	FILE *file;

	file = fopen(CLI_PROC "/net/route", "re");
	while (file && !found && fgets(line, sizeof(line), file))
		if (sscanf(line, "%31s %x %*x %*x %*d %*d %*d %x", name, &destination, &mask) ==
			    3 &&
		    destination == 0 && mask == 0)
			found = interface_behind(name, root, why, bytes);
	if (file)
		fclose(file);

	/* IPv6 keeps an unreachable default of its own, on lo: it is behind no device. */
	file = found ? NULL : fopen(CLI_PROC "/net/ipv6_route", "re");
	while (file && !found && fgets(line, sizeof(line), file))
		if (sscanf(line,
			   "00000000000000000000000000000000 %x %*s %*x %*s %*x %*x %*x %x %31s",
			   &length, &flags, name) == 3 &&
		    length == 0)
			found = interface_behind(name, root, why, bytes);
	if (file)
		fclose(file);
	return found;
}

bool danger_find(const struct pci_entry *entry, char *why, size_t bytes)
{
	char path[PATH_MAX], root[PATH_MAX];

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s", CLI_SYS, entry->sysfs);
	if (!realpath(path, root))
		return false;
	return find_mount(root, why, bytes) || find_swap(root, why, bytes) ||
	       find_route(root, why, bytes);
}
