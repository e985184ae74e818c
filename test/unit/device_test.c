// SPDX-License-Identifier: MIT
/* device_test.c - names, opening, closing, and the sentences for errors */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fake.h"

static void names_that_are_addresses(void **state)
{
	static const struct {
		const char *name;
		struct udrv_address address;
		const char *node;
	} good[] = {
		{ "00:04.0", { 0, 0, 4, 0 }, "pci-00:04.0" },
		{ "0000:00:04.0", { 0, 0, 4, 0 }, "pci-00:04.0" },
		{ "pci-00:04.0", { 0, 0, 4, 0 }, "pci-00:04.0" },
		{ "pci-0000:00:04.0", { 0, 0, 4, 0 }, "pci-00:04.0" },
		{ "0:4.0", { 0, 0, 4, 0 }, "pci-00:04.0" },
		{ "fF:1f.7", { 0, 0xff, 0x1f, 7 }, "pci-ff:1f.7" },
		{ "1:00:04.0", { 1, 0, 4, 0 }, "pci-0001:00:04.0" },
		{ "10000:00:04.0", { 0x10000, 0, 4, 0 }, "pci-10000:00:04.0" },
		{ "ffffffff:ff:1f.7", { 0xffffffff, 0xff, 0x1f, 7 }, "pci-ffffffff:ff:1f.7" },
	};
	struct udrv_address address;
	char node[UDRV_NODE_NAME_BYTES];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		memset(&address, 0xff, sizeof(address));
		assert_int_equal(udrv_address_parse(good[i].name, &address), 0);
		assert_memory_equal(&address, &good[i].address, sizeof(address));
		udrv_address_node(&address, node);
		assert_string_equal(node, good[i].node);
	}
}

static void names_that_are_not(void **state)
{
	static const char *const bad[] = {
		"",
		"4",
		"04.0",
		"00:04",
		"00:04.",
		"00:04.8",
		"00:04.00",
		"00:04.0 ",
		" 00:04.0",
		"00:20.0",
		"100:04.0",
		"00:004.0",
		"000:04.0",
		"0000:000:04.0",
		"0:0:0:4.0",
		":04.0",
		"00:.0",
		"00:04:0",
		"00.04.0",
		"pci-",
		"pci-pci-00:04.0",
		"g0:04.0",
		"00:04.0\n",
		"123456789:00:04.0",
		"-1:04.0",
		"0x00:04.0",
		"::04.0",
		"00::04.0",
	};
	struct udrv_address address;
	struct udrv *device = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (udrv_address_parse(bad[i], &address) != -EINVAL)
			fail_msg("'%s' was accepted", bad[i]);
		assert_int_equal(udrv_open(bad[i], &device), -EINVAL);
	}
	assert_int_equal(udrv_address_parse(NULL, &address), -EINVAL);
	assert_int_equal(udrv_open(NULL, &device), -EINVAL);
	assert_int_equal(udrv_open("00:04.0", NULL), -EINVAL);
	assert_int_equal(fake.count[FAKE_OPEN], 0);
	assert_null(device);
}

static void open_asks_once(void **state)
{
	struct udrv *device = fake_open();

	(void)state;
	assert_string_equal(fake.path, "/dev/udrv/pci-00:04.0");
	assert_int_equal(fake.open_flags & O_ACCMODE, O_RDWR);
	assert_true(fake.open_flags & O_CLOEXEC);
	assert_int_equal(udrv_fd(device), FAKE_FD);
	assert_memory_equal(udrv_info(device), &fake.info, sizeof(fake.info));
	assert_memory_equal(udrv_region(device, 2), &fake.region[2], sizeof(fake.region[2]));
	assert_int_equal(udrv_region(device, UDRV_REGION_CONFIG)->length, 256);
	assert_null(udrv_region(device, UDRV_REGION_COUNT));
	assert_null(udrv_region(device, ~0U));
	assert_int_equal(fake.count[FAKE_IOCTL], 1 + UDRV_REGION_COUNT);
	udrv_close(device);
	assert_int_equal(fake.count[FAKE_CLOSE], 1);
	udrv_close(NULL);
}

static void open_by_path(void **state)
{
	struct udrv *device;

	(void)state;
	assert_int_equal(udrv_open("/dev/udrv/../udrv/pci-00:05.0", &device), 0);
	assert_string_equal(fake.path, "/dev/udrv/../udrv/pci-00:05.0");
	udrv_close(device);
}

static void open_refused(void **state)
{
	static const int errors[] = { ENOENT, EBUSY, EACCES, EPERM, ENXIO };
	struct udrv *device = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		fake_fail(FAKE_OPEN, errors[i], 0, 1);
		assert_int_equal(udrv_open("00:04.0", &device), -errors[i]);
	}
	assert_null(device);
	assert_int_equal(fake.count[FAKE_CLOSE], 0);
}

/* Whatever call fails on the way, the descriptor is closed, once. */
static void open_fails_halfway(void **state)
{
	struct udrv *device = NULL;
	unsigned int i;

	(void)state;
	for (i = 0; i < 1 + UDRV_REGION_COUNT; i++) {
		fake_reset(NULL);
		fake_fail(FAKE_IOCTL, ENOTTY, i, 1);
		assert_int_equal(udrv_open("00:04.0", &device), -ENOTTY);
		assert_int_equal(fake.count[FAKE_CLOSE], 1);
		assert_null(device);
	}
}

static void open_fd_refused_is_left_alone(void **state)
{
	struct udrv *device = NULL;

	(void)state;
	fake_fail(FAKE_IOCTL, ENOTTY, 0, 1);
	assert_int_equal(udrv_open_fd(FAKE_FD, &device), -ENOTTY);
	assert_int_equal(fake.count[FAKE_CLOSE], 0);
	assert_int_equal(udrv_open_fd(FAKE_FD, NULL), -EINVAL);
	assert_int_equal(udrv_open_fd(FAKE_FD, &device), 0);
	udrv_close(device);
	assert_int_equal(fake.count[FAKE_CLOSE], 1);
}

static void signals_are_not_seen(void **state)
{
	struct udrv *device;

	(void)state;
	fake_fail(FAKE_OPEN, EINTR, 0, 3);
	fake_fail(FAKE_IOCTL, EINTR, 1, 2);
	device = fake_open();
	assert_int_equal(fake.count[FAKE_OPEN], 4);
	assert_int_equal(fake.count[FAKE_IOCTL], 1 + UDRV_REGION_COUNT + 2);
	fake_fail(FAKE_IOCTL, EINTR, 0, 5);
	assert_int_equal(udrv_reset(device), 0);
	/* Linux has given the descriptor away by then: a second close() could be another's. */
	fake_fail(FAKE_CLOSE, EINTR, 0, 1);
	udrv_close(device);
	assert_int_equal(fake.count[FAKE_CLOSE], 1);
}

/* A newer kernel with more regions, an older one with fewer. */
static void other_kernels_regions(void **state)
{
	struct udrv *device;

	(void)state;
	fake.info.region_count = 12;
	device = fake_open();
	assert_non_null(udrv_region(device, UDRV_REGION_CONFIG));
	assert_null(udrv_region(device, UDRV_REGION_COUNT));
	udrv_close(device);

	fake.info.region_count = 6;
	device = fake_open();
	assert_non_null(udrv_region(device, UDRV_REGION_BAR5));
	assert_null(udrv_region(device, UDRV_REGION_CONFIG));
	assert_int_equal(udrv_config_write(device, 0, 4, 0), -EINVAL);
	udrv_close(device);
}

static void master_and_reset(void **state)
{
	struct udrv *device = fake_open();

	(void)state;
	assert_int_equal(udrv_bus_master(device, true), 0);
	assert_int_equal(fake.request, UDRV_IOC_DEVICE_BUS_MASTER);
	assert_int_equal(fake.argument.bus_master.enable, 1);
	assert_int_equal(fake.argument.bus_master.reserved, 0);
	assert_int_equal(udrv_bus_master(device, false), 0);
	assert_int_equal(fake.argument.bus_master.enable, 0);
	fake_fail(FAKE_IOCTL, ENODEV, 0, 1);
	assert_int_equal(udrv_bus_master(device, true), -ENODEV);
	assert_int_equal(udrv_reset(device), 0);
	assert_int_equal(fake.request, UDRV_IOC_DEVICE_RESET);
	fake_fail(FAKE_IOCTL, EOPNOTSUPP, 0, 1);
	assert_int_equal(udrv_reset(device), -EOPNOTSUPP);
	udrv_close(device);
}

/* Each errno that udrv(4) documents has a sentence of its own, and each other one has some. */
static void sentences(void **state)
{
	static const int documented[] = { ENOENT, EBUSY,      EACCES, EINVAL, ENODEV,
					  ENOTTY, EOWNERDEAD, EOPNOTSUPP, ENOSPC, ENOMEM, EAGAIN,
					  EINTR,  EFAULT,     E2BIG,  EBADF,  EPERM };
	const char *unknown = udrv_strerror(-4000);
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(documented) / sizeof(documented[0]); i++) {
		assert_non_null(strchr(udrv_strerror(-documented[i]), ':'));
		assert_string_not_equal(udrv_strerror(-documented[i]), unknown);
		for (j = 0; j < i; j++)
			assert_string_not_equal(udrv_strerror(-documented[i]),
						udrv_strerror(-documented[j]));
	}
	assert_string_equal(udrv_strerror(0), "no error");
	for (i = 0; i < 200; i++)
		assert_true(strlen(udrv_strerror(-(int)i)) > 0);
	assert_non_null(udrv_strerror(5));
	assert_string_equal(udrv_version(), UDRV_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_that_are_addresses),
		TEST(names_that_are_not),
		TEST(open_asks_once),
		TEST(open_by_path),
		TEST(open_refused),
		TEST(open_fails_halfway),
		TEST(open_fd_refused_is_left_alone),
		TEST(signals_are_not_seen),
		TEST(other_kernels_regions),
		TEST(master_and_reset),
		TEST(sentences),
	};

	return RUN(tests);
}
