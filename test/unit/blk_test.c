// SPDX-License-Identifier: MIT
/* blk_test.c - what attaching and adding a disk say, where the rings lie, and what a turn tells */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "fake.h"

static const struct udrv_blk_options small = {
	.queue_count = 2,
	.queue_depth = 16,
	.max_segments = 4,
	.max_bytes = 16384,
};

static struct udrv_blk *attach(void)
{
	struct udrv_blk *blk = NULL;

	assert_int_equal(udrv_blk_attach(NULL, &small, &blk), 0);
	assert_non_null(blk);
	return blk;
}

/* The kernel's side of a queue. */
static struct udrv_blk_rings *rings(unsigned int queue)
{
	return (void *)(fake_pages() + queue * FAKE_BLK_QUEUE_BYTES);
}

static void *entries(unsigned int queue, unsigned int offset)
{
	return fake_pages() + queue * FAKE_BLK_QUEUE_BYTES + offset;
}

static void attach_alone(void **state)
{
	const struct udrv_ioc_blk_attach *call = &fake.argument.blk_attach;
	struct udrv_blk *blk = attach();

	(void)state;
	assert_string_equal(fake.path, "/dev/udrv/blk");
	assert_int_equal(fake.open_flags, O_RDWR | O_CLOEXEC);
	assert_int_equal(fake.request, UDRV_IOC_BLK_ATTACH);
	assert_int_equal(call->device_fd, -1);
	assert_int_equal(call->queue_count, 2);
	assert_int_equal(call->queue_depth, 16);
	assert_int_equal(call->max_segments, 4);
	assert_int_equal(call->max_bytes, 16384);
	assert_int_equal(call->virt_boundary, 0);
	assert_int_equal(call->deadline_ms, 0);
	assert_int_equal(fake.length, 8 * 4096);
	assert_int_equal(fake.flags, MAP_SHARED);
	/* The kernel may need this process to get memory. */
	assert_int_equal(fake.count[FAKE_MLOCKALL], 1);
	assert_int_equal(fake.flags_locked, MCL_CURRENT | MCL_FUTURE);
	assert_int_equal(fake.count[FAKE_PRCTL], 1);

	assert_int_equal(udrv_blk_flags(blk), UDRV_BLK_COPIES);
	assert_int_equal(udrv_blk_fd(blk), FAKE_FD);
	assert_ptr_equal(udrv_blk_data(blk, 0x4321), fake_pages() + 0x4321);
	udrv_blk_close(blk);
	assert_ptr_equal(fake.unmapped, fake_pages());
	assert_int_equal(fake.length, 8 * 4096);
	assert_int_equal(fake.count[FAKE_CLOSE], 1);
	udrv_blk_close(NULL);
}

static void attach_to_a_device(void **state)
{
	const struct udrv_blk_options options = {
		.flags = UDRV_BLK_DEVICE_IS_RESET,
		.max_segment_bytes = 65536,
		.virt_boundary = 4096,
		.dma_alignment = 4,
		.timeout_ms = 5000,
		.deadline_ms = 7000,
	};
	const struct udrv_ioc_blk_attach *call = &fake.argument.blk_attach;
	struct udrv *device = fake_open();
	struct udrv_blk *blk;

	(void)state;
	fake.call_flags = UDRV_BLK_DEVICE_IS_RESET;
	assert_int_equal(udrv_blk_attach(device, &options, &blk), 0);
	assert_int_equal(call->device_fd, FAKE_FD);
	assert_int_equal(call->queue_count, 1);
	assert_int_equal(call->queue_depth, 64);
	assert_int_equal(call->max_segments, 64);
	assert_int_equal(call->max_bytes, 256 << 10);
	assert_int_equal(call->max_segment_bytes, 65536);
	assert_int_equal(call->virt_boundary, 4096);
	assert_int_equal(call->dma_alignment, 4);
	assert_int_equal(call->timeout_ms, 5000);
	assert_int_equal(call->deadline_ms, 7000);
	udrv_blk_close(blk);
	udrv_close(device);
}

static void attach_refused(void **state)
{
	struct udrv_blk *blk;

	(void)state;
	/* Nothing is left open, whatever fails, and a process that drives nothing is not kept in memory. */
	fake_fail(FAKE_OPEN, ENOENT, 0, 1);
	assert_int_equal(udrv_blk_attach(NULL, &small, &blk), -ENOENT);
	assert_int_equal(fake.count[FAKE_CLOSE], 0);
	fake_fail(FAKE_IOCTL, EOWNERDEAD, 0, 1);
	assert_int_equal(udrv_blk_attach(NULL, &small, &blk), -EOWNERDEAD);
	assert_int_equal(fake.count[FAKE_CLOSE], 1);
	fake_fail(FAKE_MMAP, ENOMEM, 0, 1);
	assert_int_equal(udrv_blk_attach(NULL, &small, &blk), -ENOMEM);
	assert_int_equal(fake.count[FAKE_CLOSE], 2);
	assert_int_equal(fake.count[FAKE_MLOCKALL], 0);
	assert_int_equal(fake.count[FAKE_PRCTL], 0);
	/* It works without either. */
	fake_fail(FAKE_MLOCKALL, EPERM, 0, 1);
	fake_fail(FAKE_PRCTL, EPERM, 0, 1);
	assert_int_equal(udrv_blk_attach(NULL, &small, &blk), 0);
	udrv_blk_close(blk);
}

static void disks(void **state)
{
	const struct udrv_ioc_blk_disk *call = &fake.argument.blk_disk;
	struct udrv_blk_disk disk = { .bytes = 1 << 20 };
	struct udrv_blk *blk = attach();
	char name[UDRV_BLK_NAME_BYTES];
	char id[UDRV_BLK_ID_BYTES + 1];

	(void)state;
	assert_int_equal(udrv_blk_add(blk, &disk, NULL), 0);
	assert_int_equal(fake.request, UDRV_IOC_BLK_DISK_ADD);
	assert_string_equal(call->name, "udrv%d");
	assert_string_equal(call->id, "");
	assert_int_equal(call->unit, 0);
	assert_int_equal(call->features, 0);
	assert_int_equal(call->bytes, 1 << 20);
	assert_int_equal(call->logical_block, 512);
	assert_int_equal(call->physical_block, 0);

	disk = (struct udrv_blk_disk){
		.name = "udrvx",
		.unit = 3,
		.features = UDRV_BLK_READ_ONLY,
		.bytes = 8192,
		.logical_block = 4096,
		.physical_block = 8192,
		.io_opt = 12288,
		.discard_bytes = 16384,
		.discard_granularity = 32768,
		.zeroes_bytes = 65536,
	};
	memset(id, 'i', sizeof(id));
	id[UDRV_BLK_ID_BYTES - 1] = 0; /* as long as can be */
	disk.id = id;
	assert_int_equal(udrv_blk_add(blk, &disk, name), 0);
	assert_string_equal(name, "udrv3"); /* as the kernel says */
	assert_string_equal(call->name, "udrvx");
	assert_string_equal(call->id, id);
	assert_int_equal(call->unit, 3);
	assert_int_equal(call->features, UDRV_BLK_READ_ONLY);
	assert_int_equal(call->bytes, 8192);
	assert_int_equal(call->logical_block, 4096);
	assert_int_equal(call->physical_block, 8192);
	assert_int_equal(call->io_opt, 12288);
	assert_int_equal(call->discard_bytes, 16384);
	assert_int_equal(call->discard_granularity, 32768);
	assert_int_equal(call->zeroes_bytes, 65536);

	/* What does not fit is nobody else's to cut off. */
	id[UDRV_BLK_ID_BYTES - 1] = 'i';
	id[UDRV_BLK_ID_BYTES] = 0;
	fake.request = 0;
	assert_int_equal(udrv_blk_add(blk, &disk, name), -EINVAL);
	disk.id = NULL;
	disk.name = "udrvabcdefghijklmnopqrstuvwxyzabcd"; /* as long as the field */
	assert_int_equal(udrv_blk_add(blk, &disk, name), -EINVAL);
	assert_int_equal(fake.request, 0);
	disk.name = NULL;
	strcpy(name, "as it was");
	fake_fail(FAKE_IOCTL, EBUSY, 0, 1);
	assert_int_equal(udrv_blk_add(blk, &disk, name), -EBUSY);
	assert_string_equal(name, "as it was");

	assert_int_equal(udrv_blk_resize(blk, 3, 1 << 21), 0);
	assert_int_equal(fake.request, UDRV_IOC_BLK_DISK_RESIZE);
	assert_int_equal(call->unit, 3);
	assert_int_equal(call->bytes, 1 << 21);
	assert_int_equal(call->logical_block, 0);
	assert_int_equal(udrv_blk_remove(blk, 3), 0);
	assert_int_equal(fake.request, UDRV_IOC_BLK_DISK_REMOVE);
	assert_int_equal(call->unit, 3);
	assert_int_equal(call->bytes, 0);
	fake_fail(FAKE_IOCTL, ENOENT, 0, 1);
	assert_int_equal(udrv_blk_remove(blk, 4), -ENOENT);
	udrv_blk_close(blk);
}

static void queues(void **state)
{
	struct udrv_blk *blk = attach();

	(void)state;
	assert_null(udrv_blk_get_queue(blk, 2));
	assert_null(udrv_blk_get_queue(blk, UINT32_MAX));
	for (unsigned int i = 0; i < 2; i++) {
		struct udrv_blk_queue *queue = udrv_blk_get_queue(blk, i);

		assert_ptr_equal(queue->requests.shared, &rings(i)->requests);
		assert_ptr_equal(queue->done.shared, &rings(i)->done);
		assert_ptr_equal(queue->request_entries, entries(i, FAKE_BLK_REQUESTS));
		assert_ptr_equal(queue->done_entries, entries(i, FAKE_BLK_DONE));
		/* Those of a tag, whatever the others have. */
		assert_ptr_equal(udrv_blk_segments(queue, 0), entries(i, FAKE_BLK_SEGMENTS));
		assert_ptr_equal(udrv_blk_segments(queue, 15),
				 (struct udrv_blk_segment *)entries(i, FAKE_BLK_SEGMENTS) + 60);
		assert_int_equal(udrv_blk_turn(queue, 0, 0), 0);
		assert_int_equal(fake.argument.blk_turn.queue, i);
	}
	assert_int_equal(udrv_blk_vector(blk, 1, 4), 0);
	assert_int_equal(fake.request, UDRV_IOC_BLK_VECTOR);
	assert_int_equal(fake.argument.blk_queue.queue, 1);
	assert_int_equal(fake.argument.blk_queue.vector, 4);
	assert_int_equal(udrv_blk_kick(blk, 1), 0);
	assert_int_equal(fake.request, UDRV_IOC_BLK_KICK);
	assert_int_equal(fake.argument.blk_queue.queue, 1);
	assert_int_equal(fake.argument.blk_queue.vector, 0);
	fake_fail(FAKE_IOCTL, EBUSY, 0, 1);
	assert_int_equal(udrv_blk_vector(blk, 0, 0), -EBUSY);
	udrv_blk_close(blk);
}

/* Round a ring, and over the end of 2^32. */
static void taken(void **state)
{
	struct udrv_blk *blk = attach();
	struct udrv_blk_queue *queue = udrv_blk_get_queue(blk, 1);
	struct udrv_blk_request *request = entries(1, FAKE_BLK_REQUESTS);

	(void)state;
	assert_int_equal(udrv_blk_count(queue), 0);
	queue->requests.index = UINT32_MAX - 1;
	rings(1)->requests.produced = 2;
	request[30].tag = 1;
	request[31].tag = 2;
	request[0].tag = 3;
	request[1].tag = 4;
	assert_int_equal(udrv_blk_count(queue), 4);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(udrv_blk_at(queue, i)->tag, i + 1);
	udrv_blk_consume(queue, 3);
	assert_int_equal(rings(1)->requests.consumed, 1);
	assert_int_equal(udrv_blk_count(queue), 1);
	assert_int_equal(udrv_blk_at(queue, 0)->tag, 4);
	/* The other queue has seen nothing of it. */
	assert_int_equal(udrv_blk_count(udrv_blk_get_queue(blk, 0)), 0);
	udrv_blk_close(blk);
}

static void handed_in(void **state)
{
	struct udrv_blk *blk = attach();
	struct udrv_blk_queue *queue = udrv_blk_get_queue(blk, 1);
	const struct udrv_blk_done *done = entries(1, FAKE_BLK_DONE);

	(void)state;
	queue->done.index = UINT32_MAX;
	udrv_blk_complete(queue, 7, UDRV_BLK_OK, 4096);
	udrv_blk_complete(queue, 8, UDRV_BLK_MEDIUM, 512);
	assert_int_equal(done[31].tag, 7);
	assert_int_equal(done[31].status, UDRV_BLK_OK);
	assert_int_equal(done[31].bytes, 4096);
	assert_int_equal(done[0].tag, 8);
	assert_int_equal(done[0].status, UDRV_BLK_MEDIUM);
	assert_int_equal(done[0].bytes, 512);
	/* Not before the turn, and by then. */
	assert_int_equal(rings(1)->done.produced, 0);
	assert_int_equal(udrv_blk_turn(queue, 0, 0), 0);
	assert_int_equal(fake.done_told, 1);
	udrv_blk_close(blk);
}

static void turn(void **state)
{
	const struct udrv_ioc_blk_turn *call = &fake.argument.blk_turn;
	struct udrv_blk *blk = attach();
	struct udrv_blk_queue *queue = udrv_blk_get_queue(blk, 0);
	unsigned int before = fake.count[FAKE_IOCTL];

	(void)state;
	fake.ready = UDRV_BLK_READY_LATE | UDRV_BLK_READY_REQUEST;
	assert_int_equal(udrv_blk_turn(queue, UDRV_BLK_READY_REQUEST, UDRV_BLK_FOREVER), fake.ready);
	assert_int_equal(fake.request, UDRV_IOC_BLK_TURN);
	assert_int_equal(call->ready, UDRV_BLK_READY_REQUEST);
	assert_true(call->timeout_ns == UDRV_BLK_FOREVER);
	assert_int_equal(queue->turn.late_tag, 11);
	assert_int_equal(queue->turn.bad_entries, 2);
	/* What the last one answered is not what the next one asks: the fake looks at that, too. */
	fake.ready = 0;
	assert_int_equal(udrv_blk_turn(queue, 0, 5), 0);
	assert_int_equal(call->ready, 0);
	assert_int_equal(call->timeout_ns, 5);
	assert_int_equal(queue->turn.late_tag, 0);
	assert_int_equal(fake.count[FAKE_IOCTL], before + 2);
	/* A signal is the caller's to see; what was handed in stays so. */
	udrv_blk_complete(queue, 1, UDRV_BLK_OK, 512);
	fake_fail(FAKE_IOCTL, EINTR, 0, 1);
	assert_int_equal(udrv_blk_turn(queue, 0, 5), -EINTR);
	assert_int_equal(rings(0)->done.produced, 1);
	assert_int_equal(fake.count[FAKE_IOCTL], before + 3);
	fake_fail(FAKE_IOCTL, ENODEV, 0, 1);
	assert_int_equal(udrv_blk_turn(queue, 0, 5), -ENODEV);
	udrv_blk_close(blk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(attach_alone),
		TEST(attach_to_a_device),
		TEST(attach_refused),
		TEST(disks),
		TEST(queues),
		TEST(taken),
		TEST(handed_in),
		TEST(turn),
	};

	return RUN(tests);
}
