// SPDX-License-Identifier: MIT
/*
 * danger_test.c - would the system miss the device? Every stack of block and network devices
 *
 * Each test asks for the device behind, and for its neighbour, which nobody would miss. (Swap is
 * asked for in a guest, test/vm/cli.sh: it needs a block device's node.)
 */
#include <string.h>

#include "../../libudrv/cli/cli.h"
#include "fake.h"
#include "tree.h"

#define DISK TREE_DEVICE "0000:00:02.0/nvme/nvme0"
#define CARD TREE_DEVICE "0000:00:03.0"

static char why[256];

static int begin(void **state)
{
	int rc = tree_begin(state);

	if (rc)
		return rc;
	why[0] = '\0';
	tree_device("0000:00:02.0", "nvme");
	/* a neighbour whose path begins with the same characters */
	tree_device("0000:00:02.01", "nvme");
	tree_device("0000:00:03.0", "virtio-pci");
	tree_device("0000:00:04.0", NULL);
	tree_directory(DISK "/nvme0n1/nvme0n1p1");
	tree_directory(CARD "/virtio1/net/eth0");
	tree_link("sys/dev/block/259:0", DISK "/nvme0n1");
	tree_link("sys/dev/block/259:1", DISK "/nvme0n1/nvme0n1p1");
	tree_link("sys/class/net/eth0", CARD "/virtio1/net/eth0");
	tree_directory("sys/devices/virtual/net/lo");
	tree_link("sys/class/net/lo", "sys/devices/virtual/net/lo");
	return 0;
}

static bool danger(unsigned int slot)
{
	struct pci_entry entry;

	assert_int_equal(sysfs_load(&(struct udrv_address){ 0, 0, slot, 0 }, &entry), 0);
	return danger_find(&entry, why, sizeof(why));
}

static void mounted(const char *line)
{
	char file[1024];

	snprintf(file, sizeof(file), "22 1 0:20 / /proc rw - proc proc rw\n%s\n", line);
	tree_file("proc/self/mountinfo", file);
}

static void nothing(void **state)
{
	(void)state;
	assert_false(danger(2));
	mounted("23 1 8:1 / / rw - ext4 /dev/sda1 rw");
	tree_file("proc/swaps", "Filename Type Size Used Priority\n");
	tree_file("proc/net/route", "Iface\tDestination\tGateway\n");
	tree_file("proc/net/ipv6_route", "");
	assert_false(danger(2));
	assert_false(danger(3));
}

static void disk(void **state)
{
	(void)state;
	mounted("23 1 259:0 / /mnt rw shared:1 - ext4 /dev/nvme0n1 rw");
	assert_true(danger(2));
	assert_string_equal(why, "a file system on it is mounted at /mnt");
	assert_false(danger(3));
	assert_false(danger(4));
}

static void partition(void **state)
{
	(void)state;
	mounted("23 1 259:1 / /my\\040disk rw - ext4 /dev/nvme0n1p1 rw");
	assert_true(danger(2));
	assert_string_equal(why, "a file system on it is mounted at /my disk");
}

static void device_mapper(void **state)
{
	(void)state;
	/* LVM on LUKS on a partition */
	tree_link("sys/devices/virtual/block/dm-0/slaves/nvme0n1p1", DISK "/nvme0n1/nvme0n1p1");
	tree_link("sys/devices/virtual/block/dm-1/slaves/dm-0", "sys/devices/virtual/block/dm-0");
	tree_link("sys/dev/block/253:1", "sys/devices/virtual/block/dm-1");
	mounted("23 1 253:1 / / rw - ext4 /dev/mapper/root rw");
	assert_true(danger(2));
	assert_false(danger(3));
}

static void partition_of_a_raid(void **state)
{
	(void)state;
	tree_directory("sys/devices/virtual/block/md0/md0p1");
	tree_link("sys/devices/virtual/block/md0/slaves/nvme0n1", DISK "/nvme0n1");
	tree_link("sys/dev/block/259:7", "sys/devices/virtual/block/md0/md0p1");
	mounted("23 1 259:7 / /srv rw - xfs /dev/md0p1 rw");
	assert_true(danger(2));
	assert_false(danger(4));
}

static void nvme_multipath(void **state)
{
	(void)state;
	tree_directory("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/nvme0n1p2");
	tree_link("sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0", DISK);
	tree_link("sys/dev/block/259:8",
		  "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/nvme0n1p2");
	mounted("23 1 259:8 / /srv rw - xfs /dev/nvme0n1p2 rw");
	assert_true(danger(2));
	assert_false(danger(4));
}

static void ring_of_links(void **state)
{
	(void)state;
	tree_link("sys/devices/virtual/block/dm-0/slaves/dm-1", "sys/devices/virtual/block/dm-1");
	tree_link("sys/devices/virtual/block/dm-1/slaves/dm-0", "sys/devices/virtual/block/dm-0");
	tree_link("sys/dev/block/253:1", "sys/devices/virtual/block/dm-1");
	mounted("23 1 253:1 / / rw - ext4 /dev/mapper/root rw");
	assert_false(danger(2));
}

static void route(const char *interface, const char *destination, const char *mask)
{
	char file[512];

	snprintf(
		file, sizeof(file),
		"Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
		"%s\t%s\t0100000A\t0003\t0\t0\t0\t%s\t0\t0\t0\n",
		interface, destination, mask);
	tree_file("proc/net/route", file);
}

static void default_route(void **state)
{
	(void)state;
	route("eth0", "0000000A", "00FFFFFF");
	assert_false(danger(3));
	route("eth0", "00000000", "00000080");
	assert_false(danger(3));
	route("eth0", "00000000", "00000000");
	assert_true(danger(3));
	assert_string_equal(why, "the default route leaves through it (eth0)");
	assert_false(danger(2));
}

static void route_through_a_stack(void **state)
{
	(void)state;
	tree_link("sys/devices/virtual/net/bond0/lower_eth0", CARD "/virtio1/net/eth0");
	tree_link("sys/devices/virtual/net/bond0.7/lower_bond0", "sys/devices/virtual/net/bond0");
	tree_link("sys/devices/virtual/net/br0/lower_bond0.7", "sys/devices/virtual/net/bond0.7");
	tree_link("sys/class/net/br0", "sys/devices/virtual/net/br0");
	route("br0", "00000000", "00000000");
	assert_true(danger(3));
	assert_false(danger(4));
}

#define V6(destination, length, interface)                                         \
	destination " " length " 00000000000000000000000000000000 00 "             \
		    "fe800000000000000000000000000001 00000400 00000001 00000000 " \
		    "00000003 " interface "\n"
#define V6_ANY "00000000000000000000000000000000"

static void default_route_of_ipv6(void **state)
{
	(void)state;
	tree_file("proc/net/ipv6_route", V6("fd000000000000000000000000000000", "08", "    eth0")
						 V6(V6_ANY, "00", "      lo"));
	assert_false(danger(3));
	tree_file("proc/net/ipv6_route", V6(V6_ANY, "40", "    eth0"));
	assert_false(danger(3));
	tree_file("proc/net/ipv6_route", V6(V6_ANY, "00", "      lo") V6(V6_ANY, "00", "    eth0"));
	assert_true(danger(3));
	assert_string_equal(why, "the default route leaves through it (eth0)");
	assert_false(danger(4));
}

#define DANGER_TEST(function) cmocka_unit_test_setup_teardown(function, begin, tree_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DANGER_TEST(nothing),
		DANGER_TEST(disk),
		DANGER_TEST(partition),
		DANGER_TEST(device_mapper),
		DANGER_TEST(partition_of_a_raid),
		DANGER_TEST(nvme_multipath),
		DANGER_TEST(ring_of_links),
		DANGER_TEST(default_route),
		DANGER_TEST(route_through_a_stack),
		DANGER_TEST(default_route_of_ipv6),
	};

	return RUN(tests);
}
