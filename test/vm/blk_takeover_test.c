// SPDX-License-Identifier: MIT
/*
 * Disks of a device: data that the device moves itself, and the death of the driver
 *
 * The driver is a child, which is killed; the system's side is a reader or a writer here, which waits
 * meanwhile, and must get its data from the next driver, without an error. edu is the device: a disk of
 * seven sectors in its buffer. It has no reset that is known to work, so the next driver has to say that
 * it has made sure; nvme has one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blkif.h"
#include "node.h"
#include "os.h"
#include "tap.h"

#define LATE_MS 1000U

static struct node node;

static struct udrv_ioc_blk_attach edu_options(void)
{
	struct udrv_ioc_blk_attach options = blkif_options(node.fd);

	options.max_bytes = 4096;
	return options;
}

static void edu_serve(struct blkif *b, const struct udrv_blk_request *r)
{
	const struct udrv_blk_segment *segment =
		&b->queues[0].segments[r->tag * b->info.max_segments];
	uint64_t at = r->offset;

	for (unsigned int i = 0; i < r->segment_count; at += segment[i++].length)
		edu_dma(&node, r->op == UDRV_BLK_READ, segment[i].address, (unsigned int)at,
			segment[i].length);
	blkif_done(b, 0, r->tag, UDRV_BLK_OK, r->bytes);
}

/* What a driver does with a request that it sits on; it serves it if that returns. NULL: it forgets it. */
static void (*sits)(void);

static void hang(void)
{
	for (;;)
		pause();
}

static void stop(void)
{
	raise(SIGSTOP);
}

/* A driver that serves requests but those of @never (an op), which it sits on, and says so. */
static void drive(uint32_t flags, int never, int said)
{
	struct udrv_ioc_blk_disk disk = blkif_edu_disk();
	struct udrv_ioc_blk_attach options;
	struct udrv_blk_request r;
	struct blkif b;

	node_open_mapped(&node, "edu");
	REQUIRE_OK(node_dma_mask(&node, 32));
	REQUIRE_OK(node_bus_master(&node, true));
	options = edu_options();
	options.flags = flags;
	if (flags & UDRV_BLK_END_HUNG)
		options.timeout_ms = LATE_MS;
	REQUIRE_OK(blkif_attach(&b, &options));
	REQUIRE_OK(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &disk));
	for (;;) {
		struct udrv_ioc_blk_turn turn;

		while (!blkif_next(&b, 0, &r))
			if (blkif_turn(&b, 0, 0, UDRV_BLK_FOREVER, &turn))
				_exit(errno == ENODEV ? 0 : 1);
		if (r.op == never) {
			REQUIRE_EQ(write(said, "x", 1), 1);
			if (!sits)
				continue;
			sits();
		}
		edu_serve(&b, &r);
	}
}

static pid_t driver_start(uint32_t flags, int never, int *says)
{
	int ends[2];
	pid_t child;

	REQUIRE_OK(pipe(ends));
	child = fork();
	if (child == 0) {
		drive(flags, never, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	*says = ends[0];
	return child;
}

static void driver_kill(pid_t child, int says)
{
	int status;

	REQUIRE_OK(kill(child, SIGKILL));
	REQUIRE_EQ(waitpid(child, &status, 0), child);
	CHECK(WIFSIGNALED(status));
	close(says);
}

/* ---- the system's side ---- */

struct transfer {
	bool write;
	uint8_t *memory;
	ssize_t result;
	int error;
};

static void *transfer_run(void *arg)
{
	struct transfer *t = arg;
	int fd = open(BLKIF_PATH, O_RDWR | O_DIRECT | O_CLOEXEC);

	t->result = -2;
	if (fd >= 0)
		t->result = t->write ? pwrite(fd, t->memory, 1024, 512) :
				       pread(fd, t->memory, 1024, 512);
	t->error = errno;
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void transfer(bool write, uint8_t *memory)
{
	struct transfer t = { .write = write, .memory = memory };

	transfer_run(&t);
	CHECK_EQ(t.result, 1024);
}

/* The disk goes with its device. */
static void unbind_and_bind(void)
{
	node_get(&node, "edu");
	node_unbind(&node);
	CHECK(!blkif_there(BLKIF_NAME));
	node_bind(&node);
}

/* ---- tests ---- */

static void out_of_reach(void)
{
	struct udrv_ioc_blk_attach options;
	struct blkif b;

	node_open(&node, "edu");
	if (!(node_info(&node).state & UDRV_DEVICE_IOMMU)) {
		tap_step("a device that does not reach all memory");
		REQUIRE_OK(node_dma_mask(&node, 24));
		options = edu_options();
		CHECK_ERROR(blkif_attach(&b, &options), EOPNOTSUPP);
	}
	tap_step("once it is the disks', its mask stays as it is");
	REQUIRE_OK(node_dma_mask(&node, 32));
	options = edu_options();
	REQUIRE_OK(blkif_attach(&b, &options));
	CHECK_ERROR(node_dma_mask(&node, 64), EBUSY);
	blkif_close(&b);
	node_close(&node);
}

static void data_by_the_device(void)
{
	uint8_t *out = blkif_memory(PAGE), *in = blkif_memory(PAGE);
	int says;
	pid_t child = driver_start(0, -1, &says);

	blkif_wait_there(BLKIF_NAME, true);
	tap_step("written and read, without a copy");
	for (unsigned int i = 0; i < 1024; i++)
		out[i] = (uint8_t)(i * 7 + i / 256);
	transfer(true, out);
	transfer(false, in);
	CHECK(!memcmp(in, out, 1024));
	driver_kill(child, says);
	tap_step("the disk is still there, and goes with its device");
	CHECK(blkif_there(BLKIF_NAME));
	unbind_and_bind();
	free(in);
	free(out);
}

static void killed_at_work(void)
{
	struct transfer t = { .write = true, .memory = blkif_memory(PAGE) };
	struct udrv_ioc_blk_attach options;
	struct udrv_ioc_blk_disk disk;
	uint8_t *in = blkif_memory(PAGE);
	struct os_thread thread;
	struct blkif b;
	pid_t child;
	char byte;
	int says;

	tap_step("a driver dies with a write on its way");
	child = driver_start(0, UDRV_BLK_WRITE, &says);
	blkif_wait_there(BLKIF_NAME, true);
	memset(t.memory, 0x3c, 1024);
	os_thread_start(&thread, transfer_run, &t);
	REQUIRE_EQ(read(says, &byte, 1), 1);
	driver_kill(child, says);

	tap_step("the next one has to say that the device does not work on it any more");
	node_open_mapped(&node, "edu");
	options = edu_options();
	CHECK_ERROR(blkif_attach(&b, &options), EOWNERDEAD);
	tap_step("and to be as the one before");
	options.flags = UDRV_BLK_DEVICE_IS_RESET;
	options.queue_depth = BLKIF_DEPTH / 2;
	CHECK_ERROR(blkif_attach(&b, &options), EINVAL);
	options.queue_depth = BLKIF_DEPTH;
	REQUIRE_OK(blkif_attach(&b, &options));
	CHECK_EQ(b.info.state & UDRV_BLK_TAKEN_OVER, UDRV_BLK_TAKEN_OVER);
	disk = blkif_edu_disk();
	disk.id[0] = 'o';
	CHECK_ERROR(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &disk), EINVAL);
	disk = blkif_edu_disk();
	disk.bytes -= 512;
	CHECK_ERROR(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &disk), EINVAL);
	tap_step("nothing comes before it has named its disk");
	CHECK(!(blkif_turn(&b, 0, 0, 0, &(struct udrv_ioc_blk_turn){ 0 }) < 0));
	CHECK_EQ(b.queues[0].rings->requests.produced, 0);
	blkif_close(&b);
	node_close(&node);

	tap_step("a third one gets the write, and the writer no error");
	child = driver_start(UDRV_BLK_DEVICE_IS_RESET, -1, &says);
	os_thread_join(&thread);
	CHECK_EQ(t.result, 1024);
	transfer(false, in);
	CHECK(!memcmp(in, t.memory, 1024));
	driver_kill(child, says);

	tap_step("a driver that dies with nothing on its way leaves no doubt");
	child = driver_start(0, -1, &says);
	transfer(false, in);
	driver_kill(child, says);
	unbind_and_bind();
	free(in);
	free(t.memory);
}

/* A driver that hangs loses the device, while it lives: the next one does what it was asked. */
static void hung(void)
{
	struct transfer t = { .write = true, .memory = blkif_memory(PAGE) };
	uint8_t *in = blkif_memory(PAGE);
	struct os_thread thread;
	int says, other_says, status;
	pid_t child, other;
	char byte;

	memset(t.memory, 0x5a, 1024);
	tap_step("one that is stopped does not hang");
	sits = stop;
	child = driver_start(UDRV_BLK_END_HUNG, UDRV_BLK_WRITE, &says);
	blkif_wait_there(BLKIF_NAME, true);
	os_thread_start(&thread, transfer_run, &t);
	REQUIRE_EQ(read(says, &byte, 1), 1);
	REQUIRE_EQ(waitpid(child, &status, WUNTRACED), child);
	CHECK(WIFSTOPPED(status));
	/* That nothing happens can only be waited for. */
	os_sleep_us(4 * LATE_MS * 1000);
	REQUIRE_OK(kill(child, SIGCONT));
	os_thread_join(&thread);
	CHECK_EQ(t.result, 1024);
	driver_kill(child, says);

	tap_step("one that hangs is ended, and lives");
	sits = hang;
	child = driver_start(UDRV_BLK_END_HUNG, UDRV_BLK_WRITE, &says);
	memset(t.memory, 0xa5, 1024);
	os_thread_start(&thread, transfer_run, &t);
	REQUIRE_EQ(read(says, &byte, 1), 1);
	node_get(&node, "edu");
	CHECK(OS_WAIT_FOR(!strcmp(node_attribute(&node, "owner"), "0"), 10 * LATE_MS));
	tap_step("the next one gets the write, and the writer no error");
	sits = NULL;
	other = driver_start(UDRV_BLK_END_HUNG | UDRV_BLK_DEVICE_IS_RESET, -1, &other_says);
	os_thread_join(&thread);
	CHECK_EQ(t.result, 1024);
	transfer(false, in);
	CHECK(!memcmp(in, t.memory, 1024));
	driver_kill(child, says);
	driver_kill(other, other_says);
	unbind_and_bind();
	free(in);
	free(t.memory);
}

/* Nobody comes: the device is unbound, and the reader gets its error then. */
static void unbound_with_a_request(void)
{
	struct transfer t = { .memory = blkif_memory(PAGE) };
	struct os_thread thread;
	pid_t child;
	char byte;
	int says;

	child = driver_start(0, UDRV_BLK_WRITE, &says);
	blkif_wait_there(BLKIF_NAME, true);
	t.write = true;
	memset(t.memory, 0, 1024);
	os_thread_start(&thread, transfer_run, &t);
	REQUIRE_EQ(read(says, &byte, 1), 1);
	tap_step("with its driver");
	node_get(&node, "edu");
	node_unbind(&node);
	os_thread_join(&thread);
	CHECK_EQ(t.result, -1);
	CHECK_EQ(t.error, EIO);
	CHECK(!blkif_there(BLKIF_NAME));
	/* It was told (ENODEV), and has ended. */
	REQUIRE_EQ(waitpid(child, NULL, 0), child);
	close(says);
	node_bind(&node);

	tap_step("after its driver");
	child = driver_start(0, UDRV_BLK_WRITE, &says);
	blkif_wait_there(BLKIF_NAME, true);
	os_thread_start(&thread, transfer_run, &t);
	REQUIRE_EQ(read(says, &byte, 1), 1);
	driver_kill(child, says);
	unbind_and_bind();
	os_thread_join(&thread);
	CHECK_EQ(t.result, -1);
	CHECK_EQ(t.error, EIO);
	free(t.memory);
}

/* nvme is reset by the kernel when its driver ends, and that is known to work. */
static void reset_by_the_kernel(void)
{
	struct transfer t = { .memory = blkif_memory(PAGE) };
	struct udrv_ioc_blk_attach options;
	struct udrv_ioc_blk_disk disk;
	struct udrv_blk_request r;
	struct os_thread thread;
	struct blkif b;

	for (int life = 0; life < 2; life++) {
		tap_step("life %d", life);
		node_open(&node, "nvme");
		REQUIRE_OK(node_bus_master(&node, true));
		options = edu_options();
		options.deadline_ms = 2000;
		REQUIRE_OK(blkif_attach(&b, &options));
		disk = blkif_edu_disk();
		REQUIRE_OK(blkif_call(&b, UDRV_IOC_BLK_DISK_ADD, &disk));
		/* Without a device that works: what is read is what was there. */
		if (!life) {
			r = blkif_take(&b, 0); /* the kernel's look for partitions */
		} else {
			do {
				r = blkif_take(&b, 0);
				blkif_done(&b, 0, r.tag, UDRV_BLK_OK, r.bytes);
			} while (!blkif_there(BLKIF_NAME));
		}
		CHECK_EQ(r.op, UDRV_BLK_READ);
		blkif_close(&b);
		close(node.fd);
	}
	tap_step("nobody comes: what is asked for fails after a while");
	os_thread_start(&thread, transfer_run, &t);
	os_thread_join(&thread);
	CHECK(t.result < 0);
	node_open(&node, "nvme");
	node_close(&node);
	node_unbind(&node);
	CHECK(!blkif_there(BLKIF_NAME));
	free(t.memory);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(out_of_reach),
		TAP_TEST(data_by_the_device),
		TAP_TEST(killed_at_work),
		TAP_TEST(hung),
		TAP_TEST(unbound_with_a_request),
		TAP_TEST(reset_by_the_kernel),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
