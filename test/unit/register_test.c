// SPDX-License-Identifier: MIT
/* register_test.c - registers and numbers as the command line writes them, and what is said to
 * wrong ones */
#include <errno.h>
#include <string.h>

#include "../../libudrv/cli/cli.h"
#include "fake.h"
#include "tree.h"

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t value;
	} good[] = {
		{ "0", 0 },
		{ "42", 42 },
		{ "010", 10 },
		{ "0x10", 16 },
		{ "0XaB", 0xab },
		{ "18446744073709551615", UINT64_MAX },
		{ "0xffffffffffffffff", UINT64_MAX },
		{ "0x0000000000000000000001", 1 },
	};
	static const char *const bad[] = { "",	  " 1", "1 ",  "-1",  "+1", "0x",
					   "x10", "1x", "0xg", "1.5", "ff" };
	uint64_t value;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		value = 1234;
		assert_int_equal(parse_number(good[i].text, &value), 0);
		assert_true(value == good[i].value);
	}
	value = 1234;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse_number(bad[i], &value) != -EINVAL)
			fail_msg("'%s' was accepted", bad[i]);
	assert_int_equal(parse_number("18446744073709551616", &value), -ERANGE);
	assert_int_equal(parse_number("0x10000000000000000", &value), -ERANGE);
	assert_int_equal(parse_number("99999999999999999999999", &value), -ERANGE);
	assert_int_equal(value, 1234);
}

static void registers(void **state)
{
	static const struct {
		const char *text;
		unsigned int region;
		uint64_t offset;
		const char *name;
	} good[] = {
		{ "bar0", 0, 0, "bar0" },
		{ "bar0+0x10", 0, 0x10, "bar0" },
		{ "BAR5+16", 5, 16, "bar5" },
		{ "config", UDRV_REGION_CONFIG, 0, "config" },
		{ "Config+0x04", UDRV_REGION_CONFIG, 4, "config" },
		{ "bar1+0xffffffffffffffff", 1, UINT64_MAX, "bar1" },
	};
	static const char *const bad[] = {
		"",	   "+",	      "bar",	 "bar+4",    "bar6",
		"bar-1",   "bar00",   "bar0+",	 "bar0+x",   "bar0+ 4",
		"bar0-4",  "bar0 +4", "bar0++4", "bar0+4+4", "conf",
		"configs", "config+", "0x10",	 "rom",	     "bar0+0x10000000000000000",
	};
	struct reg reg;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(parse_register(good[i].text, &reg), 0);
		assert_int_equal(reg.region, good[i].region);
		assert_true(reg.offset == good[i].offset);
		assert_string_equal(reg.name, good[i].name);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse_register(bad[i], &reg) != -EINVAL)
			fail_msg("'%s' was accepted", bad[i]);
}

static int checked(struct udrv *device, const char *text, unsigned int width)
{
	struct reg reg;

	tree_refusal[0] = '\0';
	assert_int_equal(parse_register(text, &reg), 0);
	return register_check(device, "00:04.0", &reg, width);
}

static void refused(struct udrv *device, const char *text, unsigned int width, const char *sentence)
{
	assert_int_equal(checked(device, text, width), STATUS_USAGE);
	assert_string_equal(tree_refusal, sentence);
}

static void checks(void **state)
{
	struct udrv *device = fake_open();

	(void)state;
	assert_int_equal(checked(device, "bar0", 4), STATUS_OK);
	assert_int_equal(checked(device, "bar0+0xffff8", 8), STATUS_OK);
	assert_int_equal(checked(device, "bar1+0xf", 1), STATUS_OK);
	assert_int_equal(checked(device, "config+0xfc", 4), STATUS_OK);
	assert_string_equal(tree_refusal, "");
	refused(device, "bar3", 4,
		"00:04.0 has no bar3: it has bar0, bar1, bar2, bar4 ('udrv info 00:04.0' shows "
		"them).");
	refused(device, "bar0+0x3", 4,
		"bar0+0x3 is not a multiple of the width, 4 bytes: use bar0+0x0, or another "
		"width.");
	refused(device, "bar0+0x100000", 4,
		"bar0+0x100000 is out of bounds: bar0 has 0x100000 bytes, the last 4-byte register "
		"is bar0+0xffffc.");
	refused(device, "bar0+0xfffffffffffffffc", 4,
		"bar0+0xfffffffffffffffc is out of bounds: bar0 has 0x100000 bytes, the last "
		"4-byte register is "
		"bar0+0xffffc.");
	refused(device, "bar1+0x10", 2,
		"bar1+0x10 is out of bounds: bar1 has 0x10 bytes, the last 2-byte register is "
		"bar1+0xe.");
	refused(device, "bar1", 8, "bar1 is accessed by 1, 2 or 4 bytes: use a width of 4, twice.");
	refused(device, "config", 8,
		"config is accessed by 1, 2 or 4 bytes: use a width of 4, twice.");
	refused(device, "config+256", 1,
		"config+0x100 is out of bounds: config has 0x100 bytes, the last 1-byte register "
		"is config+0xff.");
	udrv_close(device);

	memset(fake.region, 0, sizeof(fake.region[0]) * 6);
	device = fake_open();
	refused(device, "bar0", 4,
		"00:04.0 has no bar0: it has no BAR at all ('udrv info 00:04.0' shows them).");
	udrv_close(device);
}

static void reads_and_writes(void **state)
{
	struct udrv *device = fake_open();
	uint64_t value = 0;
	struct reg reg;

	(void)state;
	fake.value = 0x0102030405060708;
	parse_register("bar0+0x8", &reg);
	assert_int_equal(register_read(device, "00:04.0", &reg, 8, &value), STATUS_OK);
	assert_true(value == fake.value);
	assert_int_equal(register_write(device, "00:04.0", &reg, 1, 0xff), STATUS_OK);
	assert_int_equal(fake.written, 0xff);
	assert_int_equal(register_write(device, "00:04.0", &reg, 8, UINT64_MAX), STATUS_OK);
	assert_true(fake.written == UINT64_MAX);
	assert_int_equal(register_write(device, "00:04.0", &reg, 1, 0x100), STATUS_USAGE);
	assert_string_equal(tree_refusal,
			    "0x100 does not fit into a width of 1: use a greater one.");
	assert_int_equal(register_write(device, "00:04.0", &reg, 4, UINT64_C(1) << 32),
			 STATUS_USAGE);
	assert_int_equal(fake.count[FAKE_PWRITE], 2);

	fake_fail(FAKE_PWRITE, EPERM, 0, 1);
	assert_int_equal(register_write(device, "00:04.0", &reg, 4, 0), STATUS_FAILED);
	assert_string_equal(tree_refusal, "bar0+0x8 of 00:04.0 is the MSI-X table's, which the "
					  "kernel writes: 'udrv irq' sets vectors "
					  "up.");
	parse_register("config+0x4", &reg);
	assert_int_equal(register_read(device, "00:04.0", &reg, 2, &value), STATUS_OK);
	assert_int_equal(value, 0x0708);
	fake_fail(FAKE_PWRITE, EPERM, 0, 1);
	assert_int_equal(register_write(device, "00:04.0", &reg, 4, 0), STATUS_FAILED);
	assert_string_equal(tree_refusal, "config+0x4 of 00:04.0 has no bit that a driver may "
					  "write: udrv(4) lists those that it "
					  "may.");
	fake_fail(FAKE_PREAD, ENODEV, 0, 1);
	assert_int_equal(register_read(device, "00:04.0", &reg, 2, &value), STATUS_FAILED);
	assert_non_null(strstr(tree_refusal, "config+0x4 of 00:04.0: the device is gone"));
	udrv_close(device);
}

#define TREE_TEST(function) cmocka_unit_test_setup_teardown(function, tree_begin, tree_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TREE_TEST(numbers),
		TREE_TEST(registers),
		TREE_TEST(checks),
		TREE_TEST(reads_and_writes),
	};

	return RUN(tests);
}
