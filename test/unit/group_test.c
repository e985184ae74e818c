// SPDX-License-Identifier: MIT
/* group_test.c - a device's IOMMU group: its members, its domain's type there and back, what is
 * said of it */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../libudrv/cli/cli.h"
#include "fake.h"
#include "tree.h"

#define GROUP "sys/kernel/iommu_groups/3/"
#define TYPE GROUP "type"
#define NOTE "run/udrv/group-3-type"

static const struct udrv_address slot2 = { 0, 0, 2, 0 };

/* A device of group 3, loaded. */
static struct pci_entry member(const char *address, const char *driver)
{
	struct udrv_address parsed;
	struct pci_entry entry;
	char path[256];

	tree_device(address, driver);
	snprintf(path, sizeof(path), TREE_DEVICE "%s/iommu_group", address);
	tree_link(path, "sys/kernel/iommu_groups/3");
	snprintf(path, sizeof(path), GROUP "devices/%s", address);
	tree_file(path, "");
	assert_int_equal(udrv_address_parse(address, &parsed), 0);
	assert_int_equal(sysfs_load(&parsed, &entry), 0);
	return entry;
}

static void expect_file(const char *path, const char *content)
{
	char line[64] = "";
	FILE *file = fopen(path, "re");

	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	assert_string_equal(line, content);
}

static void expect_note(const char *type)
{
	struct stat status;
	char line[64];

	assert_int_equal(stat(GROUP, &status), 0);
	snprintf(line, sizeof(line), "%s %ju", type, (uintmax_t)status.st_ino);
	expect_file(NOTE, line);
}

static void members(void **state)
{
	struct pci_entry entry = { .iommu_group = -1 };
	struct udrv_address *list;

	(void)state;
	assert_int_equal(group_members(&entry, &list), 0);
	free(list);
	entry.iommu_group = 3;
	assert_int_equal(group_members(&entry, &list), -ENOENT);
	free(list);
	entry = member("0000:00:02.0", NULL);
	assert_int_equal(group_members(&entry, &list), 0);
	free(list);
	member("0000:00:05.0", NULL);
	member("0000:00:01.0", NULL);
	assert_int_equal(group_members(&entry, &list), 2);
	assert_int_equal(list[0].slot, 1);
	assert_int_equal(list[1].slot, 5);
	free(list);
}

static void there_and_back(void **state)
{
	struct pci_entry entry = member("0000:00:02.0", NULL);
	bool changed = true;

	(void)state;
	/* A kernel that does not say. */
	assert_int_equal(group_make_strict(&entry, &changed), 0);
	assert_false(changed);
	assert_int_equal(tree_waits_for_udev, 0);

	tree_file(TYPE, "DMA-FQ\n");
	assert_int_equal(group_make_strict(&entry, &changed), 0);
	assert_true(changed);
	assert_int_equal(tree_waits_for_udev, 1);
	expect_file(TYPE, "DMA");
	expect_note("DMA-FQ");
	/* Another of the group: strict already, and the note is the first one's. */
	tree_file(TYPE, "DMA\n");
	assert_int_equal(group_make_strict(&entry, &changed), 0);
	assert_false(changed);
	assert_int_equal(tree_waits_for_udev, 1);
	expect_note("DMA-FQ");
	group_restore(&entry);
	expect_file(TYPE, "DMA-FQ");
	assert_int_equal(access(NOTE, F_OK), -1);

	/* Nothing was changed, nothing is to be undone. */
	tree_file(TYPE, "DMA\n");
	group_restore(&entry);
	expect_file(TYPE, "DMA");

	tree_file(TYPE, "identity\n");
	assert_int_equal(group_make_strict(&entry, &changed), 0);
	assert_true(changed);
	group_restore(&entry);
	expect_file(TYPE, "identity");

	/* Another group with that number: what was noted is not its own. */
	tree_file(NOTE, "DMA-FQ 1\n");
	group_restore(&entry);
	expect_file(TYPE, "identity");
	assert_int_equal(access(NOTE, F_OK), -1);

	tree_file(TYPE, "unmanaged\n");
	assert_int_equal(group_make_strict(&entry, &changed), 0);
	assert_false(changed);
	expect_file(TYPE, "unmanaged");
}

static void not_under_another_driver_of_ours(void **state)
{
	struct pci_entry entry = member("0000:00:02.0", NULL);
	bool changed;

	(void)state;
	tree_file(TYPE, "DMA-FQ\n");
	member("0000:00:03.0", "udrv");
	assert_int_equal(group_make_strict(&entry, &changed), 0);
	tree_file(TYPE, "DMA\n");
	group_restore(&entry);
	expect_file(TYPE, "DMA");
	unlink(TREE_DEVICE "0000:00:03.0/driver");
	group_restore(&entry);
	expect_file(TYPE, "DMA-FQ");
}

static void expect_reason(const char *reason, const char *want)
{
	struct node_state node = { 0 };
	char text[REASON_BYTES];
	struct pci_entry entry;

	snprintf(node.reason, sizeof(node.reason), "%s", reason);
	assert_int_equal(sysfs_load(&slot2, &entry), 0);
	group_reason(&entry, &node, text, sizeof(text));
	assert_string_equal(text, want);
}

static void reasons(void **state)
{
	(void)state;
	tree_device("0000:00:02.0", "udrv");
	expect_reason("no IOMMU translates its DMA", "no IOMMU translates its DMA");
	tree_link(TREE_DEVICE "0000:00:02.0/iommu_group", "sys/kernel/iommu_groups/3");
	tree_file(GROUP "devices/0000:00:02.0", "");
	tree_file(TYPE, "DMA-FQ\n");
	expect_reason("lazy", "lazy (unbind it and bind it again to make the domain strict)");
	member("0000:00:03.0", NULL);
	expect_reason("lazy",
		      "lazy (before Linux 6.5 the domain of a group of several devices cannot be "
		      "changed: boot with iommu.strict=1)");
	member("0000:00:04.0", "e1000");
	expect_reason("lazy", "lazy (and stays so while 00:04.0 of its group has a driver, e1000)");
	tree_file(TYPE, "DMA\n");
	expect_reason("another", "another (00:04.0, driver e1000)");
	unlink(TREE_DEVICE "0000:00:04.0/driver");
	tree_link(TREE_DEVICE "0000:00:04.0/driver", "sys/bus/pci/drivers/udrv");
	expect_reason("another", "another");
}

#define TREE_TEST(function) cmocka_unit_test_setup_teardown(function, tree_begin, tree_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TREE_TEST(members),
		TREE_TEST(there_and_back),
		TREE_TEST(not_under_another_driver_of_ours),
		TREE_TEST(reasons),
	};

	return RUN(tests);
}
