// SPDX-License-Identifier: MIT
/*
 * Disks that a process serves: /dev/udrv/blk, without a device
 *
 * What is asked of a disk arrives at its driver and comes back, whatever it is, and the disk is what its
 * driver said.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blkif.h"
#include "node.h"
#include "os.h"
#include "tap.h"

static void fill(uint8_t *memory, size_t bytes, unsigned int seed)
{
	for (size_t i = 0; i < bytes; i++)
		memory[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
}

static long long queue_number(const char *attribute)
{
	char path[96], text[64];

	snprintf(path, sizeof(path), BLKIF_SYSFS "/%s", attribute);
	return os_read(path, text, sizeof(text)) < 0 ? -1 : strtoll(text, NULL, 0);
}

/* ---- data ---- */

static void reads_and_writes_with(uint32_t queues)
{
	static const size_t sizes[] = { 512, 1024, 4096, 65536, 69632, 1 << 20 };
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk disk = blkif_disk();
	struct blkif_ram ram = { 0 };
	struct blkif b;
	uint8_t *out = blkif_memory(1 << 20), *in = blkif_memory(1 << 20);
	int fd;

	options.queue_count = queues;
	blkif_up(&b, &ram, &options, &disk);
	REQUIRE_OK(fd = open(BLKIF_PATH, O_RDWR | O_DIRECT | O_CLOEXEC));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		off_t at = (off_t)(512 * (3 + i) + i * (1 << 20));

		tap_step("%zu bytes, %u queues", sizes[i], queues);
		fill(out, sizes[i], (unsigned int)i + 1);
		CHECK_EQ(pwrite(fd, out, sizes[i], at), (long long)sizes[i]);
		CHECK(!memcmp(ram.memory + at, out, sizes[i]));
		fill(ram.memory + at, sizes[i], (unsigned int)i + 100);
		CHECK_EQ(pread(fd, in, sizes[i], at), (long long)sizes[i]);
		CHECK(!memcmp(ram.memory + at, in, sizes[i]));
	}
	tap_step("no request is longer than was said, and some are as long");
	CHECK_EQ(ram.longest, 65536);
	close(fd);

	tap_step("by the page cache, with a flush");
	REQUIRE_OK(fd = open(BLKIF_PATH, O_RDWR | O_CLOEXEC));
	fill(out, 1 << 20, 7);
	CHECK_EQ(pwrite(fd, out, 1 << 20, 1000), 1 << 20);
	ram.counts[UDRV_BLK_FLUSH] = 0;
	CHECK_EQ(fsync(fd), 0);
	CHECK(!memcmp(ram.memory + 1000, out, 1 << 20));
	CHECK_EQ(ram.counts[UDRV_BLK_FLUSH], 1);
	close(fd);
	blkif_down(&b, &ram);
	free(in);
	free(out);
}

static void reads_and_writes(void)
{
	reads_and_writes_with(1);
	reads_and_writes_with(4);
}

static void *look_for_partitions(void *arg)
{
	int fd = open(BLKIF_PATH, O_RDONLY | O_CLOEXEC);

	*(int *)arg = fd < 0 ? errno : ioctl(fd, BLKRRPART) ? errno : 0;
	close(fd);
	return NULL;
}

/*
 * A read goes on while its file is closed: its end is that of the file. To release a disk takes the
 * lock under which somebody looks for partitions, who waits for the driver. The driver must not be
 * the one that has to wait for it.
 */
static void closed_before_done(void)
{
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk disk = blkif_disk();
	uint8_t *memory = blkif_memory(4096);
	struct iocb read = { .aio_lio_opcode = IOCB_CMD_PREAD,
			     .aio_buf = (uintptr_t)memory,
			     .aio_nbytes = 4096 };
	struct iocb *reads[] = { &read };
	struct udrv_blk_request ours, theirs;
	struct udrv_ioc_blk_turn turn;
	struct blkif_ram ram = { 0 };
	aio_context_t context = 0;
	struct io_event event;
	struct os_thread thread;
	struct blkif b;
	int fd, error = -1;

	blkif_up(&b, &ram, &options, &disk);
	blkif_ram_stop(&ram);
	REQUIRE_OK(syscall(SYS_io_setup, 1, &context));
	REQUIRE_OK(fd = open(BLKIF_PATH, O_RDONLY | O_DIRECT | O_CLOEXEC));
	read.aio_fildes = (uint32_t)fd;
	REQUIRE_EQ(syscall(SYS_io_submit, context, 1, reads), 1);
	ours = blkif_take(&b, 0);
	close(fd);
	os_thread_start(&thread, look_for_partitions, &error);
	theirs = blkif_take(&b, 0);
	CHECK_EQ(theirs.op, UDRV_BLK_READ);

	tap_step("the driver comes back");
	memset(blkif_data(&b, 0, &ours), 0x5a, ours.bytes);
	blkif_done(&b, 0, ours.tag, UDRV_BLK_OK, ours.bytes);
	CHECK_EQ(blkif_turn(&b, 0, 0, 0, &turn), 0);
	CHECK_EQ(syscall(SYS_io_getevents, context, 1, 1, &event, NULL), 1);
	CHECK_EQ(event.res, 4096);
	CHECK_EQ(memory[0], 0x5a);
	memset(blkif_data(&b, 0, &theirs), 0, theirs.bytes);
	blkif_done(&b, 0, theirs.tag, UDRV_BLK_OK, theirs.bytes);
	blkif_ram_start(&ram, &b, disk.bytes);
	os_thread_join(&thread);
	CHECK_EQ(error, 0);
	CHECK_EQ(syscall(SYS_io_destroy, context), 0);
	blkif_down(&b, &ram);
	free(memory);
}

static void other_requests(void)
{
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk disk = blkif_disk();
	uint64_t range[2] = { 1 << 20, 1 << 20 };
	struct blkif_ram ram = { 0 };
	struct blkif b;
	uint8_t *data = blkif_memory(4096);
	unsigned int flushes;
	int fd;

	blkif_up(&b, &ram, &options, &disk);
	REQUIRE_OK(fd = open(BLKIF_PATH, O_RDWR | O_DIRECT | O_CLOEXEC));
	tap_step("discard");
	memset(ram.memory, 0xaa, ram.bytes);
	CHECK_EQ(ioctl(fd, BLKDISCARD, range), 0);
	CHECK_EQ(ram.counts[UDRV_BLK_DISCARD], 1);
	CHECK_EQ(ram.memory[(1 << 20) - 1], 0xaa);
	CHECK_EQ(ram.memory[1 << 20], 0);
	CHECK_EQ(ram.memory[(2 << 20) - 1], 0);
	CHECK_EQ(ram.memory[2 << 20], 0xaa);
	tap_step("write zeroes, in two");
	range[0] = 4 << 20;
	range[1] = 2 << 20;
	CHECK_EQ(ioctl(fd, BLKZEROOUT, range), 0);
	CHECK_EQ(ram.counts[UDRV_BLK_WRITE_ZEROES], 2);
	CHECK_EQ(ram.memory[(4 << 20) - 1], 0xaa);
	CHECK_EQ(ram.memory[5 << 20], 0);
	CHECK_EQ(ram.memory[6 << 20], 0xaa);
	close(fd);

	tap_step("a write that is kept");
	REQUIRE_OK(fd = open(BLKIF_PATH, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC));
	memset(data, 0x55, 4096);
	ram.counts[UDRV_BLK_FLUSH] = 0;
	CHECK_EQ(pwrite(fd, data, 4096, 0), 4096);
	CHECK_EQ(ram.fua, 1);
	flushes = ram.counts[UDRV_BLK_FLUSH]; /* of the cache of pages, which there is nothing in */
	close(fd);
	blkif_down(&b, &ram);

	tap_step("a disk without FUA gets a flush instead");
	disk.features = UDRV_BLK_WRITE_CACHE;
	ram = (struct blkif_ram){ 0 };
	blkif_up(&b, &ram, &options, &disk);
	REQUIRE_OK(fd = open(BLKIF_PATH, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC));
	ram.counts[UDRV_BLK_FLUSH] = 0;
	CHECK_EQ(pwrite(fd, data, 4096, 0), 4096);
	CHECK_EQ(ram.fua, 0);
	CHECK_EQ(ram.counts[UDRV_BLK_FLUSH], flushes + 1);
	close(fd);
	blkif_down(&b, &ram);

	tap_step("one without a cache is asked for nothing");
	disk.features = 0;
	ram = (struct blkif_ram){ 0 };
	blkif_up(&b, &ram, &options, &disk);
	REQUIRE_OK(fd = open(BLKIF_PATH, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC));
	CHECK_EQ(pwrite(fd, data, 4096, 0), 4096);
	CHECK_EQ(fsync(fd), 0);
	CHECK_EQ(ram.fua, 0);
	CHECK_EQ(ram.counts[UDRV_BLK_FLUSH], 0);
	close(fd);
	blkif_down(&b, &ram);
	free(data);
}

/* ---- the disk is what its driver said ---- */

static void limits(void)
{
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk disk = blkif_disk();
	struct blkif_ram ram = { 0 };
	struct blkif b;
	int fd;

	tap_step("as said");
	disk.logical_block = 4096;
	disk.physical_block = 16384;
	disk.io_opt = 65536;
	disk.discard_granularity = 32768;
	disk.features = UDRV_BLK_ROTATIONAL | UDRV_BLK_READ_ONLY;
	options.timeout_ms = 12000;
	blkif_up(&b, &ram, &options, &disk);
	CHECK_EQ(queue_number("size"), BLKIF_BYTES / 512);
	CHECK_EQ(queue_number("ro"), 1);
	CHECK_EQ(queue_number("queue/logical_block_size"), 4096);
	CHECK_EQ(queue_number("queue/physical_block_size"), 16384);
	CHECK_EQ(queue_number("queue/optimal_io_size"), 65536);
	CHECK_EQ(queue_number("queue/rotational"), 1);
	CHECK_EQ(queue_number("queue/max_hw_sectors_kb"), 64);
	CHECK_EQ(queue_number("queue/max_segments"), 16);
	CHECK_EQ(queue_number("queue/discard_max_bytes"), 1 << 20);
	CHECK_EQ(queue_number("queue/discard_granularity"), 32768);
	CHECK_EQ(queue_number("queue/write_zeroes_max_bytes"), 1 << 20);
	CHECK_EQ(queue_number("queue/io_timeout"), 12000);
	CHECK_GE(queue_number("queue/nr_requests"), BLKIF_DEPTH); /* a scheduler has more */
	REQUIRE_OK(fd = open(BLKIF_PATH, O_RDONLY | O_CLOEXEC));
	close(fd);
	tap_step("read only");
	fd = open(BLKIF_PATH, O_RDWR | O_CLOEXEC);
	CHECK(fd < 0 || pwrite(fd, &options, 16, 0) < 0);
	if (fd >= 0)
		close(fd);
	blkif_down(&b, &ram);

	tap_step("the other way round");
	disk = blkif_disk();
	disk.discard_bytes = 0;
	disk.zeroes_bytes = 0;
	ram = (struct blkif_ram){ 0 };
	blkif_up(&b, &ram, &options, &disk);
	CHECK_EQ(queue_number("ro"), 0);
	CHECK_EQ(queue_number("queue/rotational"), 0);
	CHECK_EQ(queue_number("queue/physical_block_size"), 512);
	CHECK_EQ(queue_number("queue/discard_max_bytes"), 0);
	CHECK_EQ(queue_number("queue/write_zeroes_max_bytes"), 0);
	blkif_down(&b, &ram);
}

static void resize_and_remove(void)
{
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk disk = blkif_disk(), call = { .size = sizeof(call) };
	struct blkif_ram ram = { 0 };
	struct blkif b;

	blkif_up(&b, &ram, &options, &disk);
	tap_step("smaller");
	call.bytes = BLKIF_BYTES / 2;
	CHECK_EQ(blkif_call(&b, UDRV_IOC_BLK_DISK_RESIZE, &call), 0);
	CHECK_EQ(queue_number("size"), BLKIF_BYTES / 1024);
	tap_step("nonsense");
	call.bytes = 0;
	CHECK_ERROR(blkif_call(&b, UDRV_IOC_BLK_DISK_RESIZE, &call), EINVAL);
	call.bytes = 513;
	CHECK_ERROR(blkif_call(&b, UDRV_IOC_BLK_DISK_RESIZE, &call), EINVAL);
	call.bytes = BLKIF_BYTES;
	call.unit = 1;
	CHECK_ERROR(blkif_call(&b, UDRV_IOC_BLK_DISK_RESIZE, &call), ENOENT);
	call.unit = 0;
	CHECK_ERROR(blkif_call(&b, UDRV_IOC_BLK_DISK_REMOVE, &call), EINVAL);
	tap_step("removed, and another one made");
	call.bytes = 0;
	CHECK_EQ(blkif_call(&b, UDRV_IOC_BLK_DISK_REMOVE, &call), 0);
	blkif_wait_there(BLKIF_NAME, false);
	REQUIRE(OS_WAIT_FOR(blkif_call(&b, UDRV_IOC_BLK_DISK_REMOVE, &call) && errno == ENOENT,
			    30000));
	call = disk;
	CHECK_EQ(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &call), 0);
	blkif_wait_there(BLKIF_NAME, true);
	blkif_down(&b, &ram);
}

/* ---- names, rights, bad values ---- */

static void names(void)
{
	static const char *const bad[] = { "",	"udrv",	      "sda",   "udrv-a", "udrvA", "udrv/a",
					   ".", "udrv%d%d", "udrv%s", "nvme0n1",
					   "udrv012345678901234567890",
					   "udrv0p1", "udrva1" };
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk call, first;
	struct blkif_ram ram = { 0 }, other_ram = { 0 };
	struct blkif b, other;

	REQUIRE_OK(blkif_attach(&b, &options));
	blkif_ram_start(&ram, &b, BLKIF_BYTES);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		tap_step("'%s'", bad[i]);
		call = blkif_disk();
		memset(call.name, 0, sizeof(call.name));
		memcpy(call.name, bad[i], strlen(bad[i]));
		CHECK_ERROR(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &call), EINVAL);
	}
	tap_step("not ended");
	call = blkif_disk();
	memset(call.name, 'a', sizeof(call.name));
	CHECK_ERROR(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &call), EINVAL);

	tap_step("the first that is free");
	first = blkif_disk();
	strcpy((char *)first.name, "udrv%d");
	CHECK_EQ(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &first), 0);
	CHECK(!strcmp((char *)first.name, "udrv0"));
	REQUIRE_OK(blkif_attach(&other, &options));
	blkif_ram_start(&other_ram, &other, BLKIF_BYTES);
	call = blkif_disk();
	strcpy((char *)call.name, "udrv%d");
	CHECK_EQ(blkif_call(&other, UDRV_IOC_BLK_DISK_ADD, &call), 0);
	CHECK(!strcmp((char *)call.name, "udrv1"));
	tap_step("somebody else's");
	call.unit = 1;
	strcpy((char *)call.name, "udrv0");
	CHECK_ERROR(blkif_call(&other, UDRV_IOC_BLK_DISK_ADD, &call), EEXIST);
	tap_step("a unit twice");
	call.unit = 0;
	CHECK_ERROR(blkif_call(&other, UDRV_IOC_BLK_DISK_ADD, &call), EBUSY);
	blkif_wait_there("udrv0", true);
	blkif_wait_there("udrv1", true);
	blkif_down(&b, &ram);
	blkif_down(&other, &other_ram);
	blkif_wait_there("udrv0", false);
	blkif_wait_there("udrv1", false);
}

static void bad_attach(const struct udrv_ioc_blk_attach *options, const char *what, int error)
{
	struct blkif b;

	tap_step("%s", what);
	CHECK_ERROR(blkif_attach(&b, options), error);
}

#define BAD(field, value)                                      \
	do {                                                   \
		options = blkif_options(-1);                   \
		options.field = value;                         \
		bad_attach(&options, #field " " #value, EINVAL); \
	} while (0)

static void bad_values(void)
{
	struct udrv_ioc_blk_attach options;

	BAD(flags, 4);
	BAD(reserved, 1);
	BAD(queue_count, 0);
	BAD(queue_count, 17);
	BAD(queue_depth, 1);
	BAD(queue_depth, 1025);
	BAD(max_segments, 0);
	BAD(max_segments, 257);
	BAD(max_bytes, 0);
	BAD(max_bytes, 4095);
	BAD(max_bytes, (4 << 20) + 4096);
	BAD(max_segment_bytes, 4095);
	BAD(virt_boundary, 512);
	BAD(virt_boundary, 12288);
	BAD(virt_boundary, 8192);
	BAD(dma_alignment, 2);
	BAD(dma_alignment, 8192);
	BAD(timeout_ms, 600001);
	BAD(deadline_ms, 600001);
	BAD(device_fd, 0); /* a descriptor, of something else */
	options = blkif_options(-1);
	options.queue_count = 16;
	options.queue_depth = 1024;
	bad_attach(&options, "more to copy than there may be", EINVAL);
	options = blkif_options(1000);
	bad_attach(&options, "no descriptor", EBADF);
	options = blkif_options(-1);
	os_drop_capability(CAP_SYS_ADMIN);
	bad_attach(&options, "without the right", EPERM);
}

#define BAD_DISK(field, value)                                                       \
	do {                                                                         \
		tap_step(#field " " #value);                                         \
		disk = blkif_disk();                                                 \
		disk.field = value;                                                  \
		CHECK_ERROR(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &disk), EINVAL);   \
	} while (0)

static void bad_disks(void)
{
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk disk;
	struct blkif b;

	REQUIRE_OK(blkif_attach(&b, &options));
	BAD_DISK(flags, 1);
	BAD_DISK(reserved, 1);
	BAD_DISK(unit, 256);
	BAD_DISK(features, 16);
	BAD_DISK(features, UDRV_BLK_HAS_FUA);
	BAD_DISK(bytes, 0);
	BAD_DISK(bytes, 511);
	BAD_DISK(bytes, ~511ULL);
	BAD_DISK(logical_block, 0);
	BAD_DISK(logical_block, 256);
	BAD_DISK(logical_block, 8192);
	BAD_DISK(logical_block, 1536);
	BAD_DISK(physical_block, 256);
	BAD_DISK(physical_block, 131072);
	BAD_DISK(io_opt, 100);
	BAD_DISK(discard_bytes, 100);
	BAD_DISK(discard_granularity, 100);
	BAD_DISK(zeroes_bytes, 100);
	blkif_close(&b);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(reads_and_writes), TAP_TEST(closed_before_done), TAP_TEST(other_requests),
		TAP_TEST(limits),	    TAP_TEST(resize_and_remove),  TAP_TEST(names),
		TAP_TEST(bad_values),	    TAP_TEST(bad_disks),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
