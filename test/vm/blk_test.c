// SPDX-License-Identifier: MIT
/*
 * Disks that a process serves: /dev/udrv/blk, without a device
 *
 * What is asked of a disk arrives at its driver and comes back, whatever it is; the disk is what its
 * driver said; and it goes with its descriptor, with what is asked of it then, by errors.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkif.h"
#include "node.h"
#include "os.h"
#include "tap.h"

static uint8_t *aligned(size_t bytes)
{
	void *memory = NULL;

	REQUIRE_EQ(posix_memalign(&memory, PAGE, bytes), 0);
	return memory;
}

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
	uint8_t *out = aligned(1 << 20), *in = aligned(1 << 20);
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

static void other_requests(void)
{
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk disk = blkif_disk();
	uint64_t range[2] = { 1 << 20, 1 << 20 };
	struct blkif_ram ram = { 0 };
	struct blkif b;
	uint8_t *data = aligned(4096);
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

	BAD(flags, 2);
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

/* A disk comes, and goes, while another one of the same driver's has a request that waits for that driver. */
static void two_disks(void)
{
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk disk = blkif_disk(), call = { .size = sizeof(call), .unit = 1 };
	struct udrv_blk_request first, r;
	struct blkif b;

	REQUIRE_OK(blkif_attach(&b, &options));
	REQUIRE_OK(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &disk));
	first = blkif_take(&b, 0); /* the kernel's look for partitions, which is left waiting */
	CHECK_EQ(first.unit, 0);
	tap_step("another one comes");
	disk = blkif_disk();
	disk.unit = 1;
	strcpy((char *)disk.name, "udrvother");
	CHECK_EQ(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &disk), 0);
	do {
		r = blkif_take(&b, 0);
		CHECK_EQ(r.unit, 1);
		blkif_done(&b, 0, r.tag, UDRV_BLK_OK, r.bytes);
	} while (!blkif_there("udrvother"));
	tap_step("and goes");
	CHECK_EQ(blkif_call(&b, UDRV_IOC_BLK_DISK_REMOVE, &call), 0);
	blkif_close(&b);
	blkif_wait_there("udrvother", false);
	blkif_wait_there(BLKIF_NAME, false);
}

/* ---- the end ---- */

struct waiting_read {
	ssize_t result;
	int error;
};

static void *read_once(void *arg)
{
	struct waiting_read *w = arg;
	uint8_t *memory = aligned(4096);
	int fd = open(BLKIF_PATH, O_RDONLY | O_DIRECT | O_CLOEXEC);

	w->result = fd < 0 ? -2 : pread(fd, memory, 4096, 1 << 20);
	w->error = errno;
	if (fd >= 0)
		close(fd);
	free(memory);
	return NULL;
}

/* The driver goes with a request on its way, and with a partition scan on its way. */
static void goes_at_work(void)
{
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk disk = blkif_disk();
	struct blkif_ram ram = { 0 };
	struct waiting_read w = { 0 };
	struct udrv_blk_request r;
	struct os_thread thread;
	struct blkif b;

	tap_step("with a read on its way");
	blkif_up(&b, &ram, &options, &disk);
	blkif_ram_stop(&ram);
	os_thread_start(&thread, read_once, &w);
	r = blkif_take(&b, 0);
	CHECK_EQ(r.op, UDRV_BLK_READ);
	CHECK_EQ(r.offset, 1 << 20);
	CHECK_EQ(r.bytes, 4096);
	blkif_close(&b);
	os_thread_join(&thread);
	CHECK_EQ(w.result, -1);
	CHECK_EQ(w.error, EIO);
	blkif_wait_there(BLKIF_NAME, false);

	tap_step("while the kernel looks for partitions");
	REQUIRE_OK(blkif_attach(&b, &options));
	disk = blkif_disk();
	REQUIRE_OK(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &disk));
	r = blkif_take(&b, 0);
	CHECK_EQ(r.op, UDRV_BLK_READ);
	CHECK_EQ(r.offset, 0);
	blkif_close(&b);
	blkif_wait_there(BLKIF_NAME, false);

	tap_step("before anybody has looked");
	REQUIRE_OK(blkif_attach(&b, &options));
	disk = blkif_disk();
	REQUIRE_OK(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &disk));
	blkif_close(&b);
	blkif_wait_there(BLKIF_NAME, false);
	free(ram.memory);
}

/* ---- nonsense ---- */

/* One request, served by what the test writes: what the reader gets. */
struct hostile {
	struct blkif b;
	struct os_thread thread;
	struct waiting_read w;
	struct udrv_blk_request r;
};

static void hostile_begin(struct hostile *h)
{
	h->w = (struct waiting_read){ 0 };
	os_thread_start(&h->thread, read_once, &h->w);
	h->r = blkif_take(&h->b, 0);
}

static uint32_t hostile_turn(struct hostile *h)
{
	struct udrv_ioc_blk_turn turn;

	CHECK_EQ(blkif_turn(&h->b, 0, 0, 0, &turn), 0);
	return turn.bad_entries;
}

static void hostile_end(struct hostile *h, ssize_t result, int error)
{
	os_thread_join(&h->thread);
	CHECK_EQ(h->w.result, result);
	if (result < 0)
		CHECK_EQ(h->w.error, error);
}

static void nonsense(void)
{
	static const struct {
		uint16_t status;
		int error;
	} statuses[] = { { UDRV_BLK_IOERR, EIO },	{ UDRV_BLK_NOTSUPP, EOPNOTSUPP },
			 { UDRV_BLK_MEDIUM, ENODATA },	{ UDRV_BLK_TIMEOUT, ETIMEDOUT },
			 { UDRV_BLK_PROTECTION, EILSEQ }, { UDRV_BLK_NOSPC, ENOSPC },
			 { 7, EIO },			{ 0xffff, EIO } };
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk disk = blkif_disk();
	struct blkif_ram ram = { 0 };
	struct hostile h;
	uint32_t bad = 0;

	blkif_up(&h.b, &ram, &options, &disk);
	blkif_ram_stop(&ram);

	tap_step("tags that are not there, or not on their way");
	hostile_begin(&h);
	for (unsigned int tag = 0; tag < 0x10000; tag = tag < 64 ? tag + 1 : tag * 2 - 1) {
		if (tag == h.r.tag)
			continue;
		blkif_done(&h.b, 0, (uint16_t)tag, UDRV_BLK_OK, 4096);
		CHECK_EQ(hostile_turn(&h), ++bad);
	}
	blkif_done(&h.b, 0, h.r.tag, UDRV_BLK_OK, 4096);
	CHECK_EQ(hostile_turn(&h), bad);
	hostile_end(&h, 4096, 0);

	tap_step("done twice, in one turn and in two");
	hostile_begin(&h);
	blkif_done(&h.b, 0, h.r.tag, UDRV_BLK_OK, 4096);
	blkif_done(&h.b, 0, h.r.tag, UDRV_BLK_IOERR, 4096);
	CHECK_EQ(hostile_turn(&h), ++bad);
	blkif_done(&h.b, 0, h.r.tag, UDRV_BLK_OK, 4096);
	CHECK_EQ(hostile_turn(&h), ++bad);
	hostile_end(&h, 4096, 0);

	tap_step("an index far ahead: nothing is taken, then all goes on");
	hostile_begin(&h);
	h.b.queues[0].produced += h.b.info.ring_entries + 1;
	__atomic_store_n(&h.b.queues[0].rings->done.produced, h.b.queues[0].produced,
			 __ATOMIC_RELEASE);
	CHECK_EQ(hostile_turn(&h), ++bad);
	blkif_done(&h.b, 0, h.r.tag, UDRV_BLK_OK, 4096);
	CHECK_EQ(hostile_turn(&h), bad);
	hostile_end(&h, 4096, 0);

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		tap_step("status %u", statuses[i].status);
		hostile_begin(&h);
		blkif_done(&h.b, 0, h.r.tag, statuses[i].status, 0);
		CHECK_EQ(hostile_turn(&h), bad);
		hostile_end(&h, -1, statuses[i].error);
	}

	tap_step("short: what came is good, the rest is an error");
	hostile_begin(&h);
	blkif_done(&h.b, 0, h.r.tag, UDRV_BLK_OK, 1024);
	CHECK_EQ(hostile_turn(&h), bad);
	hostile_end(&h, -1, EIO);
	tap_step("more than there was");
	hostile_begin(&h);
	blkif_done(&h.b, 0, h.r.tag, UDRV_BLK_OK, ~0U);
	CHECK_EQ(hostile_turn(&h), bad);
	hostile_end(&h, 4096, 0);
	blkif_close(&h.b);
	blkif_wait_there(BLKIF_NAME, false);
	free(ram.memory);
}

/* A driver that does not answer is told so, again and again, and may answer then. */
static void late(void)
{
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk disk = blkif_disk();
	struct blkif_ram ram = { 0 };
	struct udrv_ioc_blk_turn turn;
	struct hostile h;

	options.timeout_ms = 1000;
	blkif_up(&h.b, &ram, &options, &disk);
	blkif_ram_stop(&ram);
	hostile_begin(&h);
	for (int i = 0; i < 2; i++) {
		tap_step("told, %d", i);
		CHECK_EQ(blkif_turn(&h.b, 0, 0, 30000000000ULL, &turn), 0);
		CHECK_EQ(turn.ready, UDRV_BLK_READY_LATE);
		CHECK_EQ(turn.late_tag, h.r.tag);
	}
	tap_step("answered");
	blkif_done(&h.b, 0, h.r.tag, UDRV_BLK_OK, 4096);
	CHECK_EQ(hostile_turn(&h), 0);
	hostile_end(&h, 4096, 0);
	blkif_close(&h.b);
	blkif_wait_there(BLKIF_NAME, false);
	free(ram.memory);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(reads_and_writes), TAP_TEST(other_requests), TAP_TEST(limits),
		TAP_TEST(resize_and_remove), TAP_TEST(names),	      TAP_TEST(bad_values),
		TAP_TEST(bad_disks),	     TAP_TEST(goes_at_work),  TAP_TEST(nonsense),
		TAP_TEST(late),		     TAP_TEST(two_disks),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
