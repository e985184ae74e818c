// SPDX-License-Identifier: MIT
/* bar_test.c - registers: where an access goes, and which must never be made */
#include <errno.h>
#include <sys/mman.h>

#include "fake.h"

#define BAR(index) ((int64_t)((index) + 1) << 40)

static void maps(void **state)
{
	struct udrv *device = fake_open();
	void *registers = NULL;
	size_t mapped = 0;

	(void)state;
	assert_int_equal(udrv_bar_map(device, 0, 0, 0, 0, &registers, &mapped), 0);
	assert_non_null(registers);
	assert_int_equal(mapped, 0x100000);
	assert_int_equal(fake.length, 0x100000);
	assert_int_equal(fake.offset, BAR(0));
	assert_int_equal(fake.flags, MAP_SHARED);
	assert_int_equal(udrv_bar_unmap(device, registers, mapped), 0);
	assert_ptr_equal(fake.unmapped, registers);
	fake_fail(FAKE_MUNMAP, EINVAL, 0, 1);
	assert_int_equal(udrv_bar_unmap(device, registers, mapped), -EINVAL);

	assert_int_equal(udrv_bar_map(device, 0, 0x3000, 0x2000, 0, &registers, NULL), 0);
	assert_int_equal(fake.offset, BAR(0) + 0x3000);
	assert_int_equal(fake.length, 0x2000);
	assert_int_equal(udrv_bar_map(device, 0, 0x1000, 0, UDRV_BAR_WC, &registers, &mapped), 0);
	assert_int_equal(fake.offset, BAR(0) + (INT64_C(1) << 39) + 0x1000);
	assert_int_equal(mapped, 0xff000);
	assert_int_equal(udrv_bar_map(device, 4, 0, 0, 0, &registers, &mapped), 0);
	assert_int_equal(mapped, 0x100);
	udrv_close(device);
}

static void map_around_the_msix_table(void **state)
{
	struct udrv *device = fake_open();
	void *registers;
	size_t mapped;

	(void)state;
	assert_int_equal(udrv_bar_map(device, 2, 0, 0, 0, &registers, &mapped), 0);
	assert_int_equal(mapped, 0x2000);
	assert_int_equal(udrv_bar_map(device, 2, 0x1000, 0, 0, &registers, &mapped), 0);
	assert_int_equal(mapped, 0x1000);
	assert_int_equal(udrv_bar_map(device, 2, 0x3000, 0, 0, &registers, &mapped), 0);
	assert_int_equal(mapped, 0x1000);
	fake.count[FAKE_MMAP] = 0;
	assert_int_equal(udrv_bar_map(device, 2, 0x2000, 0, 0, &registers, &mapped), -EINVAL);
	assert_int_equal(udrv_bar_map(device, 2, 0x1000, 0x1001, 0, &registers, &mapped), -EINVAL);
	assert_int_equal(udrv_bar_map(device, 2, 0, 0x4000, 0, &registers, &mapped), -EINVAL);
	assert_int_equal(fake.count[FAKE_MMAP], 0);
	udrv_close(device);
}

static void maps_refused(void **state)
{
	struct udrv *device = fake_open();
	void *registers = device;
	size_t mapped = 99;

	(void)state;
	assert_int_equal(udrv_bar_map(device, 3, 0, 0, 0, &registers, &mapped), -EINVAL);
	assert_int_equal(udrv_bar_map(device, 6, 0, 0, 0, &registers, &mapped), -EINVAL);
	assert_int_equal(udrv_bar_map(device, ~0U, 0, 0, 0, &registers, &mapped), -EINVAL);
	assert_int_equal(udrv_bar_map(device, 0, 1, 0, 0, &registers, &mapped), -EINVAL);
	assert_int_equal(udrv_bar_map(device, 0, 0x100000, 0, 0, &registers, &mapped), -EINVAL);
	assert_int_equal(udrv_bar_map(device, 0, ~UINT64_C(0xfff), 0, 0, &registers, &mapped),
			 -EINVAL);
	assert_int_equal(udrv_bar_map(device, 0, 0, 0x100001, 0, &registers, &mapped), -EINVAL);
	assert_int_equal(udrv_bar_map(device, 0, 0x1000, SIZE_MAX, 0, &registers, &mapped),
			 -EINVAL);
	assert_int_equal(udrv_bar_map(device, 0, 0, 0, 2, &registers, &mapped), -EINVAL);
	assert_int_equal(udrv_bar_map(device, 0, 0, 0, 0, NULL, &mapped), -EINVAL);
	assert_int_equal(udrv_bar_map(device, 1, 0, 0, 0, &registers, &mapped), -EOPNOTSUPP);
	assert_int_equal(fake.count[FAKE_MMAP], 0);
	fake_fail(FAKE_MMAP, ENOMEM, 0, 1);
	assert_int_equal(udrv_bar_map(device, 0, 0, 0, 0, &registers, &mapped), -ENOMEM);
	assert_ptr_equal(registers, device);
	assert_int_equal(mapped, 99);
	udrv_close(device);

	fake.region[0].offset_wc = 0;
	device = fake_open();
	assert_int_equal(udrv_bar_map(device, 0, 0, 0, UDRV_BAR_WC, &registers, NULL), -EOPNOTSUPP);
	udrv_close(device);
}

static void registers_of_each_width(void **state)
{
	static const struct {
		unsigned int width;
		uint64_t value;
	} widths[] = { { 1, 0x88 }, { 2, 0x7788 }, { 4, 0x55667788 }, { 8, 0x1122334455667788 } };
	struct udrv *device = fake_open();
	uint64_t value;
	size_t i;

	(void)state;
	fake.value = 0x1122334455667788;
	for (i = 0; i < 4; i++) {
		value = ~UINT64_C(0);
		assert_int_equal(udrv_bar_read(device, 0, 0x40, widths[i].width, &value), 0);
		assert_int_equal(value, widths[i].value);
		assert_int_equal(fake.length, widths[i].width);
		assert_int_equal(fake.offset, BAR(0) + 0x40);
		assert_int_equal(udrv_bar_write(device, 2, 0x2000, widths[i].width, fake.value), 0);
		assert_int_equal(fake.written, widths[i].value);
		assert_int_equal(fake.offset, BAR(2) + 0x2000);
	}
	/* the last of a BAR */
	assert_int_equal(udrv_bar_read(device, 0, 0xffff8, 8, &value), 0);
	assert_int_equal(udrv_bar_read(device, 1, 0xf, 1, &value), 0);
	udrv_close(device);
}

static void registers_refused(void **state)
{
	struct udrv *device = fake_open();
	uint64_t value = 5;

	(void)state;
	assert_int_equal(udrv_bar_read(device, 3, 0, 4, &value), -EINVAL);
	assert_int_equal(udrv_bar_read(device, 6, 0, 4, &value), -EINVAL);
	assert_int_equal(udrv_bar_read(device, 0, 0, 0, &value), -EINVAL);
	assert_int_equal(udrv_bar_read(device, 0, 0, 3, &value), -EINVAL);
	assert_int_equal(udrv_bar_read(device, 0, 0, 16, &value), -EINVAL);
	assert_int_equal(udrv_bar_read(device, 0, 2, 4, &value), -EINVAL);
	assert_int_equal(udrv_bar_read(device, 0, 0x100000, 1, &value), -EINVAL);
	assert_int_equal(udrv_bar_read(device, 0, 0x100000, 4, &value), -EINVAL);
	/* These would be a register of another region, or wrap to one of this. */
	assert_int_equal(udrv_bar_read(device, 0, UINT64_C(1) << 40, 4, &value), -EINVAL);
	assert_int_equal(udrv_bar_read(device, 0, UINT64_MAX - 3, 4, &value), -EINVAL);
	assert_int_equal(udrv_bar_write(device, 0, (uint64_t)-8, 8, 0), -EINVAL);
	assert_int_equal(udrv_bar_write(device, 1, 0x10, 1, 0), -EINVAL);
	assert_int_equal(udrv_bar_read(device, 1, 0, 8, &value), -EINVAL);
	assert_int_equal(fake.count[FAKE_PREAD] + fake.count[FAKE_PWRITE], 0);
	assert_int_equal(value, 5);
	udrv_close(device);
}

static void register_errors(void **state)
{
	struct udrv *device = fake_open();
	uint64_t value = 5;

	(void)state;
	fake_fail(FAKE_PREAD, EINTR, 0, 2);
	assert_int_equal(udrv_bar_read(device, 0, 0, 4, &value), 0);
	assert_int_equal(fake.count[FAKE_PREAD], 3);
	fake_fail(FAKE_PWRITE, EINTR, 0, 2);
	assert_int_equal(udrv_bar_write(device, 0, 0, 4, 1), 0);
	assert_int_equal(fake.count[FAKE_PWRITE], 3);
	value = 5;
	fake_fail(FAKE_PREAD, ENODEV, 0, 1);
	assert_int_equal(udrv_bar_read(device, 0, 0, 4, &value), -ENODEV);
	fake_fail(FAKE_PWRITE, ENODEV, 0, 1);
	assert_int_equal(udrv_bar_write(device, 0, 0, 4, 1), -ENODEV);
	fake.short_by = 1;
	assert_int_equal(udrv_bar_read(device, 0, 0, 4, &value), -EIO);
	assert_int_equal(udrv_bar_write(device, 0, 0, 4, 1), -EIO);
	fake.short_by = 4;
	assert_int_equal(udrv_bar_read(device, 0, 0, 4, &value), -EIO);
	assert_int_equal(value, 5);
	udrv_close(device);
}

static void config_space(void **state)
{
	struct udrv *device = fake_open();
	uint32_t value = 7;

	(void)state;
	fake.value = 0x11e81234;
	assert_int_equal(udrv_config_read(device, 0, 4, &value), 0);
	assert_int_equal(value, 0x11e81234);
	assert_int_equal(fake.offset, BAR(UDRV_REGION_CONFIG));
	assert_int_equal(udrv_config_read(device, 0xfe, 2, &value), 0);
	assert_int_equal(value, 0x1234);
	assert_int_equal(udrv_config_write(device, 0x0c, 1, 0x10), 0);
	assert_int_equal(fake.length, 1);
	assert_int_equal(fake.written, 0x10);
	value = 7;
	assert_int_equal(udrv_config_read(device, 0, 8, &value), -EINVAL);
	assert_int_equal(udrv_config_read(device, 1, 2, &value), -EINVAL);
	assert_int_equal(udrv_config_read(device, 256, 1, &value), -EINVAL);
	assert_int_equal(udrv_config_read(device, UINT32_MAX - 3, 4, &value), -EINVAL);
	fake_fail(FAKE_PWRITE, EPERM, 0, 1);
	assert_int_equal(udrv_config_write(device, 0x10, 4, 0), -EPERM);
	fake_fail(FAKE_PREAD, ENODEV, 0, 1);
	assert_int_equal(udrv_config_read(device, 0, 4, &value), -ENODEV);
	assert_int_equal(value, 7);
	udrv_close(device);
}

/* The inline accessors: one access of the width, the value unchanged. */
static void accessors(void **state)
{
	union {
		uint8_t bytes[8];
		uint64_t align;
	} reg = { .bytes = { 1, 2, 3, 4, 5, 6, 7, 8 } };

	(void)state;
	assert_int_equal(udrv_read8(&reg.bytes[1]), 2);
	assert_int_equal(udrv_read16(&reg.bytes[2]), 0x0403);
	assert_int_equal(udrv_read32(&reg.bytes[4]), 0x08070605);
	assert_int_equal(udrv_read64(&reg), 0x0807060504030201);
	udrv_write8(&reg.bytes[0], 0xff);
	udrv_write16(&reg.bytes[2], 0xaabb);
	udrv_write32(&reg.bytes[4], 0x11223344);
	udrv_wc_flush();
	assert_memory_equal(reg.bytes, ((uint8_t[]){ 0xff, 2, 0xbb, 0xaa, 0x44, 0x33, 0x22, 0x11 }),
			    8);
	udrv_write64(&reg, 0x0102030405060708);
	assert_int_equal(reg.bytes[0], 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(maps),
		TEST(map_around_the_msix_table),
		TEST(maps_refused),
		TEST(registers_of_each_width),
		TEST(registers_refused),
		TEST(register_errors),
		TEST(config_space),
		TEST(accessors),
	};

	return RUN(tests);
}
