// SPDX-License-Identifier: MIT
/*
 * Disks whose driver goes, answers nonsense, or does not answer
 *
 * What is asked of a disk is completed once: as its driver said, if that made sense, or by an error when it
 * goes. Nothing waits for it that need not.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blkif.h"
#include "node.h"
#include "os.h"
#include "tap.h"

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

struct waiting_read {
	ssize_t result;
	int error;
};

static void *read_once(void *arg)
{
	struct waiting_read *w = arg;
	uint8_t *memory = blkif_memory(4096);
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

/* One that does not come any more is ended, if it wants that; its disk goes, as when it dies. */
static void hangs(void)
{
	struct udrv_ioc_blk_attach options = blkif_options(-1);
	struct udrv_ioc_blk_disk disk = blkif_disk();
	struct blkif_ram ram = { 0 };
	struct pollfd p = { .events = POLLIN };
	struct udrv_ioc_blk_turn turn;
	struct hostile h;

	options.flags = UDRV_BLK_END_HUNG;
	options.timeout_ms = 1000;
	blkif_up(&h.b, &ram, &options, &disk);
	blkif_ram_stop(&ram);
	tap_step("not one that comes, with nothing done");
	hostile_begin(&h);
	p.fd = h.b.fd;
	for (int i = 0; i < 4; i++) {
		REQUIRE_EQ(poll(&p, 1, 30000), 1);
		CHECK_EQ(blkif_turn(&h.b, 0, 0, 0, &turn), 0);
		CHECK_EQ(turn.ready, UDRV_BLK_READY_LATE);
	}
	tap_step("nor one that waits, for something else");
	CHECK_EQ(blkif_turn(&h.b, 0, UDRV_BLK_READY_LATE, 4500000000ULL, &turn), 0);
	CHECK_EQ(turn.ready, UDRV_BLK_READY_LATE);
	blkif_done(&h.b, 0, h.r.tag, UDRV_BLK_OK, 4096);
	CHECK_EQ(hostile_turn(&h), 0);
	hostile_end(&h, 4096, 0);
	tap_step("one that does not");
	hostile_begin(&h);
	hostile_end(&h, -1, EIO);
	CHECK_ERROR(blkif_turn(&h.b, 0, 0, UDRV_BLK_FOREVER, &turn), ENODEV);
	blkif_wait_there(BLKIF_NAME, false);
	blkif_close(&h.b);
	free(ram.memory);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(two_disks),
		TAP_TEST(goes_at_work),
		TAP_TEST(nonsense),
		TAP_TEST(late),
		TAP_TEST(hangs),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
