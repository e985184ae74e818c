// SPDX-License-Identifier: MIT
/*
 * group.c - the IOMMU group of a device: who else is in it, and the type of its domain
 *
 * Owns the change of a group's domain to a strict one, which makes a device that is bound to udrv a
 * confined one, and the way back. A strict domain forgets a mapping before the memory behind it is
 * used again; a lazy one (DMA-FQ), the kernel's default, some milliseconds later; an identity
 * domain has no mappings.
 *
 * The hard part is when the kernel allows it: before 6.5 for groups of one device that has no
 * driver, from then on for all groups in which no device has one. What the type was is kept in
 * CLI_RUN, because a process that binds and one that unbinds have nothing else in common; it is
 * forgotten at the next boot, as the kernel does. The number of a group may come back for another
 * one after a hot unplug, so the note has the inode of the group's directory too, which does not.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define GROUPS "kernel/iommu_groups"
#define NOTES CLI_RUN "/udrv"

int group_members(const struct pci_entry *entry, struct udrv_address **list)
{
	int count, i, others = 0;

	*list = NULL;
	if (entry->iommu_group < 0)
		return 0;
	count = sysfs_addresses(list, GROUPS "/%d/devices", entry->iommu_group);
	for (i = 0; i < count; i++)
		if (memcmp(&(*list)[i], &entry->address, sizeof(entry->address)) != 0)
			(*list)[others++] = (*list)[i];
	return count < 0 ? count : others;
}

static int read_type(int group, char *type, size_t bytes)
{
	return sysfs_read(type, bytes, GROUPS "/%d/type", group);
}

static int write_type(int group, const char *type)
{
	return sysfs_write(type, GROUPS "/%d/type", group);
}

static void note_path(int group, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, NOTES "/group-%d-type", group);
}

static uintmax_t group_inode(int group)
{
	char path[PATH_MAX];
	struct stat status;

	snprintf(path, sizeof(path), CLI_SYS "/" GROUPS "/%d", group);
	return stat(path, &status) ? 0 : status.st_ino;
}

/* What the type was. Without a note it stays strict after unbind: slower, and safe. */
static void take_note(int group, const char *type)
{
	char path[PATH_MAX];
	FILE *file;

	mkdir(NOTES, 0755);
	note_path(group, path);
	file = fopen(path, "we");
	if (!file)
		return;
	fprintf(file, "%s %ju\n", type, group_inode(group));
	fclose(file);
}

int group_make_strict(const struct pci_entry *entry, bool *changed)
{
	char type[32];
	int rc;

	*changed = false;
	/* Blocked and unmanaged domains are somebody's choice for now. */
	if (entry->iommu_group < 0 || read_type(entry->iommu_group, type, sizeof(type)) ||
	    (strcmp(type, "DMA-FQ") != 0 && strcmp(type, "identity") != 0))
		return 0;
	/*
	 * udev may still read a disk of the driver before. The nvme of 6.1 frees DMA memory at the
	 * last close, by the domain that the device has by then: it must be the same one.
	 */
	wait_for_udev();
	rc = write_type(entry->iommu_group, "DMA");
	if (rc)
		return rc;
	*changed = true;
	take_note(entry->iommu_group, type);
	return 0;
}

/* Another device of the group that has such a driver; false if none has. Bridges do not count. */
enum whose { ANY, OURS, FOREIGN };

static bool find_driven(const struct pci_entry *entry, enum whose whose, struct pci_entry *found)
{
	struct udrv_address *list;
	bool driven = false;
	int count, i;

	count = group_members(entry, &list);
	for (i = 0; i < count && !driven; i++)
		driven = !sysfs_load(&list[i], found) && found->driver[0] && !found->bridge &&
			 (whose == ANY || found->bound == (whose == OURS));
	free(list);
	return driven;
}

void group_restore(const struct pci_entry *entry)
{
	char path[PATH_MAX], type[32] = "";
	struct pci_entry other;
	uintmax_t inode = 0;
	FILE *file;

	/*
	 * Not under another driver of ours: from strict to lazy the kernel goes with drivers bound,
	 * and that one was let in because the domain is strict.
	 */
	if (entry->iommu_group < 0 || find_driven(entry, OURS, &other))
		return;
	note_path(entry->iommu_group, path);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fscanf(file, "%31s %ju", type, &inode) != 2 || inode != group_inode(entry->iommu_group))
		type[0] = '\0';
	fclose(file);
	/* Refused while a device of the group has a driver: at the next unbind, then. */
	if (!type[0] || !write_type(entry->iommu_group, type))
		unlink(path);
}

void group_reason(const struct pci_entry *entry, const struct node_state *state, char *text,
		  size_t bytes)
{
	struct udrv_address *list;
	struct pci_entry other;
	char type[32];
	bool strict;
	int used;

	used = snprintf(text, bytes, "%s", state->reason[0] ? state->reason : "no reason is known");
	text += used;
	bytes -= (size_t)used;
	if (entry->iommu_group < 0 || read_type(entry->iommu_group, type, sizeof(type)))
		return;
	strict = strcmp(type, "DMA") == 0;
	if (find_driven(entry, ANY, &other) && !strict) {
		snprintf(text, bytes, " (and stays so while %s of its group has a driver, %s)",
			 other.brief, other.driver);
	} else if (find_driven(entry, FOREIGN, &other)) {
		snprintf(text, bytes, " (%s, driver %s)", other.brief, other.driver);
	} else if (!strict) {
		snprintf(text, bytes, "%s",
			 group_members(entry, &list) > 0
				 ? " (before Linux 6.5 the domain of a group of several devices "
				   "cannot be changed: boot with iommu.strict=1)"
				 : " (unbind it and bind it again to make the domain strict)");
		free(list);
	}
}
