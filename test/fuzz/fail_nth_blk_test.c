// SPDX-License-Identifier: MIT
/*
 * fail_nth_blk_test.c - every allocation and every copy in every call of /dev/udrv/blk fails once
 *
 * As fail_nth_net_test.c, for disks: an attach that fails has made nothing, or left the disks that it was
 * to take over waiting for their driver, and holds no memory; the same descriptor attaches next. A disk that
 * could not be made is not there, and can be made. Requests are not here: in a direct read and a direct
 * write there is nothing that fault injection can make fail.
 *
 * Where nobody serves a disk, it waits with the kernel's look for partitions: that is quicker than to serve
 * it, and the end of the driver in the middle of that is one more thing that is seen.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../vm/blkif.h"
#include "../vm/node.h"
#include "../vm/os.h"
#include "../vm/tap.h"
#include "fail_nth.h"

static struct node node;
static struct blkif b;
static struct udrv_ioc_blk_attach options;
static bool disk_waits; /* there is one, that waits for its driver */

/* ---- attach ---- */

static long call_open(void)
{
	return b.fd = open(BLKIF_NODE, O_RDWR | O_CLOEXEC);
}

static void undo_open(void)
{
	CHECK_OK(close(b.fd));
}

static void opening(void)
{
	fail_begin();
	CHECK_GT(fail_each("open", call_open, undo_open, fail_no_memory), 0);
}

static long call_attach(void)
{
	b.info = options;
	return ioctl(b.fd, UDRV_IOC_BLK_ATTACH, &b.info);
}

/* The disk is as it was, or there is none; nothing is charged. */
static void check_not_attached(void)
{
	CHECK_EQ(blkif_in_sysfs(BLKIF_NAME), disk_waits);
	CHECK_EQ(os_status_kib("VmLck"), 0);
}

/* The end of the driver. */
static void detach(void)
{
	CHECK_OK(close(b.fd));
	if (options.device_fd != -1) {
		CHECK_OK(close(node.fd));
		node_reopen(&node);
		options.device_fd = node.fd;
	}
}

static void undo_attach(void)
{
	CHECK_EQ(b.info.state & UDRV_BLK_TAKEN_OVER, disk_waits ? UDRV_BLK_TAKEN_OVER : 0);
	detach();
	check_not_attached();
	REQUIRE_OK(call_open());
}

static void attach(void)
{
	REQUIRE_OK(call_open());
	CHECK_GT(fail_each_checked("BLK_ATTACH", call_attach, undo_attach, check_not_attached,
				   fail_no_memory),
		 0);
	CHECK_OK(close(b.fd));
}

static void attaching(void)
{
	fail_begin();
	options = blkif_options(-1);
	options.queue_count = 2;
	options.queue_depth = 4;
	attach();
}

static void begin_with_device(void)
{
	node_open(&node, "edu");
	fail_begin();
	options = blkif_options(node.fd);
	options.queue_count = 2;
	options.max_bytes = 4096;
	/* A look for partitions is on its way when a driver ends, and edu has no reset that is known to work. */
	options.flags = UDRV_BLK_DEVICE_IS_RESET;
}

static void end_with_device(void)
{
	CHECK_OK(close(node.fd));
	node_unbind(&node); /* and its disks with it */
	CHECK(!blkif_in_sysfs(BLKIF_NAME));
}

static void attaching_device(void)
{
	begin_with_device();
	attach();
	end_with_device();
}

/* ---- disks ---- */

static struct udrv_ioc_blk_disk disk;

static long call_add(void)
{
	disk = options.device_fd == -1 ? blkif_disk() : blkif_edu_disk();
	return ioctl(b.fd, UDRV_IOC_BLK_DISK_ADD, &disk);
}

static void attach_again(void)
{
	detach();
	REQUIRE_OK(call_open());
	REQUIRE_OK(call_attach());
	CHECK_EQ(blkif_in_sysfs(BLKIF_NAME), disk_waits);
}

/* Put into the system by somebody else, who may not have come to it. */
static void wait_for_disk(void)
{
	REQUIRE(OS_WAIT_FOR(blkif_in_sysfs(BLKIF_NAME), 60000));
}

static void undo_add(void)
{
	wait_for_disk();
	attach_again();
}

/* Where only the answer could not be told, the disk is there. */
static void add(void)
{
	CHECK_GT(fail_each_checked("BLK_DISK_ADD", call_add, undo_add, attach_again,
				   fail_no_memory),
		 0);
}

static void adding(void)
{
	fail_begin();
	options = blkif_options(-1);
	REQUIRE_OK(call_open());
	REQUIRE_OK(call_attach());
	add();
	CHECK_OK(close(b.fd));
}

static void taking_over(void)
{
	begin_with_device();
	REQUIRE_OK(call_open());
	REQUIRE_OK(call_attach());
	REQUIRE_OK(call_add());
	wait_for_disk();
	disk_waits = true;
	detach();
	attach();
	REQUIRE_OK(call_open());
	REQUIRE_OK(call_attach());
	add();
	CHECK_OK(close(b.fd));
	end_with_device();
}

/* ---- the other calls ---- */

static long call_mmap(void)
{
	b.area = mmap(NULL, b.info.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b.fd, 0);
	return b.area == MAP_FAILED ? -1 : 0;
}

static void undo_mmap(void)
{
	CHECK_OK(munmap(b.area, b.info.map_bytes));
}

static long call_turn(void)
{
	struct udrv_ioc_blk_turn arg = NODE_ARG(arg);

	return ioctl(b.fd, UDRV_IOC_BLK_TURN, &arg);
}

static long call_vector(void)
{
	struct udrv_ioc_blk_queue arg = NODE_ARG(arg);

	return ioctl(b.fd, UDRV_IOC_BLK_VECTOR, &arg);
}

static long call_kick(void)
{
	struct udrv_ioc_blk_queue arg = NODE_ARG(arg);

	return ioctl(b.fd, UDRV_IOC_BLK_KICK, &arg);
}

static long call_resize(void)
{
	struct udrv_ioc_blk_disk arg = NODE_ARG(arg);

	arg.bytes = disk.bytes += disk.logical_block; /* else there is nothing to be told */
	return ioctl(b.fd, UDRV_IOC_BLK_DISK_RESIZE, &arg);
}

static long call_remove(void)
{
	struct udrv_ioc_blk_disk arg = NODE_ARG(arg);

	return ioctl(b.fd, UDRV_IOC_BLK_DISK_REMOVE, &arg);
}

static void undo_remove(void)
{
	attach_again();
	REQUIRE_OK(call_add());
}

static void others(void)
{
	begin_with_device();
	REQUIRE_OK(call_open());
	REQUIRE_OK(call_attach());
	CHECK_GT(fail_each("mmap", call_mmap, undo_mmap, fail_no_memory), 0);
	CHECK_EQ(node_irq_setup(&node, UDRV_IRQ_INTX, 1), 1);
	CHECK_GT(fail_each("BLK_TURN", call_turn, NULL, fail_no_memory), 0);
	CHECK_GT(fail_each("BLK_VECTOR", call_vector, NULL, fail_no_memory), 0);
	CHECK_GT(fail_each("BLK_KICK", call_kick, NULL, fail_no_memory), 0);
	CHECK_OK(close(b.fd));
	end_with_device();

	options = blkif_options(-1);
	REQUIRE_OK(call_open());
	REQUIRE_OK(call_attach());
	REQUIRE_OK(call_add());
	CHECK_GT(fail_each("BLK_DISK_RESIZE", call_resize, NULL, fail_no_memory), 0);
	CHECK_GT(fail_each("BLK_DISK_REMOVE", call_remove, undo_remove, fail_no_memory), 0);
	CHECK_OK(close(b.fd));
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST_LONG(opening, 300),	 TAP_TEST_LONG(attaching, 300),
		TAP_TEST_LONG(attaching_device, 300), TAP_TEST_LONG(adding, 300),
		TAP_TEST_LONG(taking_over, 300), TAP_TEST_LONG(others, 300),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
