// SPDX-License-Identifier: MIT
/* sysfs_test.c - what the command makes of sysfs: devices, capabilities, states, addresses alike */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../../libudrv/cli/cli.h"
#include "fake.h"
#include "tree.h"

static const struct udrv_address slot2 = { 0, 0, 2, 0 };

static void lists_in_order(void **state)
{
	struct udrv_address *list = NULL;

	(void)state;
	assert_int_equal(sysfs_list(&list), -ENOENT);
	tree_device("0001:00:00.0", NULL);
	tree_device("0000:0a:00.1", NULL);
	tree_device("0000:0a:00.0", NULL);
	tree_device("0000:00:1f.0", NULL);
	tree_device("0000:00:02.0", NULL);
	tree_file("sys/bus/pci/devices/README", "");
	assert_int_equal(sysfs_list(&list), 5);
	assert_int_equal(list[0].slot, 2);
	assert_int_equal(list[1].slot, 0x1f);
	assert_int_equal(list[2].bus, 10);
	assert_int_equal(list[3].function, 1);
	assert_int_equal(list[4].domain, 1);
	free(list);
}

static void loads(void **state)
{
	struct pci_entry entry;

	(void)state;
	tree_device("0000:00:02.0", "e1000");
	tree_link(TREE_DEVICE "0000:00:02.0/iommu_group", "sys/kernel/iommu_groups/17");
	assert_int_equal(sysfs_load(&slot2, &entry), 0);
	assert_string_equal(entry.sysfs, "0000:00:02.0");
	assert_string_equal(entry.brief, "00:02.0");
	assert_string_equal(entry.driver, "e1000");
	assert_int_equal(entry.vendor, 0x1234);
	assert_int_equal(entry.class_code, 0xff00);
	assert_int_equal(entry.iommu_group, 17);
	assert_false(entry.bound || entry.bridge || entry.mainboard || entry.intx);
	assert_int_equal(entry.msi, 0);
	assert_int_equal(sysfs_load(&(struct udrv_address){ 0, 0, 3, 0 }, &entry), -ENODEV);

	tree_device("0001:02:03.4", "udrv");
	tree_file(TREE_DEVICE "0001:02:03.4/class", "0x060400\n");
	assert_int_equal(sysfs_load(&(struct udrv_address){ 1, 2, 3, 4 }, &entry), 0);
	assert_string_equal(entry.brief, "0001:02:03.4");
	assert_true(entry.bound);
	assert_true(entry.mainboard);
	assert_int_equal(entry.iommu_group, -1);
}

static struct pci_entry load_with(const uint8_t *config, size_t length)
{
	struct pci_entry entry;

	tree_bytes(TREE_DEVICE "0000:00:02.0/config", config, length);
	assert_int_equal(sysfs_load(&slot2, &entry), 0);
	return entry;
}

static void capabilities(void **state)
{
	uint8_t config[256] = { 0 };
	struct pci_entry entry;

	(void)state;
	tree_device("0000:00:02.0", NULL);
	config[0x3d] = 1;
	entry = load_with(config, 256);
	assert_true(entry.intx);
	assert_int_equal(entry.msi, 0);
	config[0x34] = 0x40; /* a pointer, but no list by the status bit */
	config[0x40] = 0x05;
	entry = load_with(config, 256);
	assert_int_equal(entry.msi, 0);
	config[0x06] = 0x10;
	config[0x41] = 0x53;	      /* the two lowest bits are reserved */
	config[0x42] = 0x80 | 3 << 1; /* 64 bits, 8 vectors */
	config[0x50] = 0x11;
	config[0x52] = 0x7f; /* a table of 128 */
	config[0x53] = 0x80;
	entry = load_with(config, 256);
	assert_int_equal(entry.msi, 8);
	assert_int_equal(entry.msix, 128);
	/* Not root: 64 bytes, and the list is out of sight. */
	entry = load_with(config, 64);
	assert_true(entry.intx);
	assert_int_equal(entry.msi, -1);
	assert_int_equal(entry.msix, -1);
	/* A list that is a ring. */
	config[0x51] = 0x40;
	entry = load_with(config, 256);
	assert_int_equal(entry.msi, 8);
	/* One that points to its own end. */
	config[0x51] = 0xfc;
	entry = load_with(config, 256);
	assert_int_equal(entry.msix, 128);
	/* Nothing at all. */
	entry = load_with(config, 3);
	assert_int_equal(entry.msi, -1);
	assert_false(entry.intx);
	config[0x0e] = 0x81; /* a bridge with more functions */
	entry = load_with(config, 256);
	assert_true(entry.bridge);
}

static void node_states(void **state)
{
	struct node_state node;

	(void)state;
	assert_int_equal(sysfs_node_state(&slot2, &node), -ENOENT);
	assert_int_equal(node.owner, 0);
	assert_false(sysfs_module_loaded());
	tree_directory("sys/bus/pci/drivers/udrv");
	assert_true(sysfs_module_loaded());
	tree_file("sys/class/udrv/pci-00:02.0/owner", "0\n");
	assert_int_equal(sysfs_node_state(&slot2, &node), 0);
	assert_int_equal(node.owner, 0);
	tree_file("sys/class/udrv/pci-00:02.0/owner", "4711\n");
	tree_file("sys/class/udrv/pci-00:02.0/irq", "msix 64\n");
	tree_file("sys/class/udrv/pci-00:02.0/interrupts", "18446744073709551615\n");
	tree_file("sys/class/udrv/pci-00:02.0/bus_master", "1\n");
	tree_file("sys/class/udrv/pci-00:02.0/dma_consistent", "8192\n");
	tree_file("sys/class/udrv/pci-00:02.0/dma_streaming", "5\n");
	assert_int_equal(sysfs_node_state(&slot2, &node), 0);
	assert_int_equal(node.owner, 4711);
	assert_string_equal(node.command, "?");
	assert_string_equal(node.irq_kind, "msix");
	assert_int_equal(node.irq_count, 64);
	assert_true(node.interrupts == UINT64_MAX);
	assert_true(node.bus_master);
	assert_int_equal(node.dma_consistent, 8192);
	assert_int_equal(node.dma_streaming, 5);
	assert_false(node.confined);
	assert_string_equal(node.reason, "");
	tree_file("proc/4711/comm", "my \"driver\"\n");
	assert_int_equal(sysfs_node_state(&slot2, &node), 0);
	assert_string_equal(node.command, "my \"driver\"");
	tree_file("sys/class/udrv/pci-00:02.0/trust", "trusted: its IOMMU domain is lazy\n");
	assert_int_equal(sysfs_node_state(&slot2, &node), 0);
	assert_false(node.confined);
	assert_string_equal(node.reason, "its IOMMU domain is lazy");
	tree_file("sys/class/udrv/pci-00:02.0/trust", "confined\n");
	assert_int_equal(sysfs_node_state(&slot2, &node), 0);
	assert_true(node.confined);
	assert_string_equal(node.reason, "");
}

static void config_without_the_node(void **state)
{
	uint8_t config[256] = { 0x34, 0x12, 0xe8, 0x11 };
	struct pci_entry entry;
	unsigned int length = 0;
	uint64_t value = 0;

	(void)state;
	tree_device("0000:00:02.0", NULL);
	config[255] = 0x99;
	entry = load_with(config, 256);
	assert_int_equal(sysfs_config_read(&entry, 0, 4, &value, &length), 0);
	assert_int_equal(value, 0x11e81234);
	assert_int_equal(sysfs_config_read(&entry, 255, 1, &value, &length), 0);
	assert_int_equal(value, 0x99);
	assert_int_equal(sysfs_config_read(&entry, 255, 2, &value, &length), -ERANGE);
	assert_int_equal(length, 256);
	assert_int_equal(sysfs_config_read(&entry, UINT32_MAX, 4, &value, &length), -ERANGE);
	unlink(TREE_DEVICE "0000:00:02.0/config");
	assert_int_equal(sysfs_config_read(&entry, 0, 4, &value, &length), -ENOENT);
}

static void writes(void **state)
{
	char line[64];

	(void)state;
	tree_file("sys/file", "old");
	assert_int_equal(sysfs_write("new\nsecond", "%s", "file"), 0);
	assert_int_equal(sysfs_read(line, sizeof(line), "file"), 0);
	assert_string_equal(line, "new");
	assert_int_equal(sysfs_read(line, 3, "file"), 0);
	assert_string_equal(line, "ne");
	assert_int_equal(sysfs_write("x", "absent"), -ENOENT);
	assert_int_equal(sysfs_read(line, sizeof(line), "absent"), -ENOENT);
}

static void near(void **state)
{
	char text[128];

	(void)state;
	sysfs_near(&slot2, text, sizeof(text));
	assert_string_equal(text, "");
	tree_device("0000:00:04.0", NULL);
	tree_device("0000:00:05.0", NULL);
	tree_device("0000:00:1f.0", NULL);
	tree_device("0000:ab:10.3", NULL);
	sysfs_near(&(struct udrv_address){ 0, 0, 4, 1 }, text, sizeof(text));
	assert_string_equal(text, "00:04.0 or 00:05.0");
	sysfs_near(&(struct udrv_address){ 0, 0, 6, 0 }, text, sizeof(text));
	assert_string_equal(text, "00:05.0 or 00:04.0 or 00:1f.0");
	sysfs_near(&(struct udrv_address){ 0, 0xab, 0x10, 0 }, text, sizeof(text));
	assert_string_equal(text, "ab:10.3");
	sysfs_near(&(struct udrv_address){ 7, 0x77, 0x1c, 5 }, text, sizeof(text));
	assert_string_equal(text, "");
}

static void refusals(void **state)
{
	struct udrv_address address;
	struct pci_entry entry;
	struct udrv *device;

	(void)state;
	tree_device("0000:00:02.0", NULL);
	tree_device("0000:00:03.0", "e1000");
	assert_int_equal(parse_address("nonsense", &address), STATUS_USAGE);
	assert_non_null(strstr(tree_refusal, "'nonsense' is no PCI address"));
	assert_int_equal(require_entry(&(struct udrv_address){ 0, 0, 4, 0 }, &entry),
			 STATUS_NO_DEVICE);
	assert_non_null(strstr(tree_refusal, "did you mean 00:03.0 or 00:02.0?"));
	assert_int_equal(require_entry(&(struct udrv_address){ 9, 9, 9, 1 }, &entry),
			 STATUS_NO_DEVICE);
	assert_null(strstr(tree_refusal, "did you mean"));

	fake_fail(FAKE_OPEN, ENOENT, 0, 3);
	assert_int_equal(open_device(&slot2, &device), STATUS_NO_MODULE);
	tree_directory("sys/bus/pci/drivers/udrv");
	assert_int_equal(open_device(&slot2, &device), STATUS_NOT_BOUND);
	assert_non_null(
		strstr(tree_refusal, "00:02.0 is not bound to udrv: 'sudo udrv bind 00:02.0'"));
	assert_int_equal(open_device(&(struct udrv_address){ 0, 0, 3, 0 }, &device),
			 STATUS_NOT_BOUND);
	assert_non_null(strstr(tree_refusal, "its driver is e1000"));

	tree_link(TREE_DEVICE "0000:00:02.0/driver", "sys/bus/pci/drivers/udrv");
	fake_fail(FAKE_OPEN, ENOENT, 0, 1);
	assert_int_equal(open_device(&slot2, &device), STATUS_FAILED);
	assert_non_null(strstr(tree_refusal, "there is no node"));
	fake_fail(FAKE_OPEN, EBUSY, 0, 2);
	assert_int_equal(open_device(&slot2, &device), STATUS_BUSY);
	assert_non_null(strstr(tree_refusal, "try again"));
	tree_file("sys/class/udrv/pci-00:02.0/owner", "12\n");
	tree_file("proc/12/comm", "edu\n");
	assert_int_equal(open_device(&slot2, &device), STATUS_BUSY);
	assert_non_null(
		strstr(tree_refusal, "in use by edu (pid 12): end that process first (kill 12)"));
	fake_fail(FAKE_OPEN, EMFILE, 0, 1);
	assert_int_equal(open_device(&slot2, &device), STATUS_FAILED);
	assert_non_null(strstr(tree_refusal, "RLIMIT_NOFILE"));
	assert_int_equal(open_device(&slot2, &device), STATUS_OK);
	udrv_close(device);
}

static void expect_not_permitted(int error, const char *sentence)
{
	struct udrv *device;

	fake_fail(FAKE_OPEN, error, 0, 1);
	assert_int_equal(open_device(&slot2, &device), STATUS_NOT_PERMITTED);
	if (!strstr(tree_refusal, sentence))
		assert_string_equal(tree_refusal, sentence);
}

static void permissions(void **state)
{
	static const char because[] =
		"opening 00:02.0 needs root (CAP_SYS_RAWIO), because its IOMMU domain is lazy: run it again with sudo.";
	static const char trust[] = "sys/class/udrv/pci-00:02.0/trust";

	(void)state;
	tree_device("0000:00:02.0", "udrv");
	expect_not_permitted(EPERM, "needs root (CAP_SYS_RAWIO): run it again with sudo");
	tree_file("sys/class/udrv/pci-00:02.0/owner", "0\n");
	expect_not_permitted(EACCES, "needs root (CAP_SYS_RAWIO): run it again with sudo");
	/* To be in the group would not help with a device that is not confined. */
	tree_file(trust, "trusted: its IOMMU domain is lazy\n");
	expect_not_permitted(EPERM, because);
	expect_not_permitted(EACCES, because);
	tree_file("sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	expect_not_permitted(EPERM, because);
	tree_file("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	expect_not_permitted(EPERM, "its IOMMU domain is lazy and the kernel is locked down");
	tree_file(trust, "confined\n");
	expect_not_permitted(EACCES, "'sudo adduser USER udrv'");
	expect_not_permitted(EPERM, "although it is confined");
}

#define TREE_TEST(function) cmocka_unit_test_setup_teardown(function, tree_begin, tree_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TREE_TEST(lists_in_order),
		TREE_TEST(loads),
		TREE_TEST(capabilities),
		TREE_TEST(node_states),
		TREE_TEST(config_without_the_node),
		TREE_TEST(writes),
		TREE_TEST(near),
		TREE_TEST(refusals),
		TREE_TEST(permissions),
	};

	return RUN(tests);
}
