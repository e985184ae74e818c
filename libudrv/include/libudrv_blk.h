/* SPDX-License-Identifier: MIT */
/*
 * libudrv_blk.h - be the driver of disks
 *
 * A thin layer over <udrv/blk.h>, which says what the rings are and what the kernel does with them.
 * A driver resets its device, attaches, adds its disks, and then, for each queue, repeats:
 *
 *   for each request (udrv_blk_count, udrv_blk_at, udrv_blk_segments): a command; consume
 *   for each command that the device has done: udrv_blk_complete()
 *   udrv_blk_turn(): hands in, and sleeps until there is more to do
 *
 * The kernel may need this very process to get memory: a driver that waits for memory, which waits for
 * its disk, waits for ever. udrv_blk_attach() keeps what the process has in memory (mlockall(2)), and
 * tells the kernel of it (PR_SET_IO_FLUSHER, prctl(2)), if it may; threads that are made afterwards
 * inherit it. So attach before they are made, and do not allocate in the loop. Stacks of threads are kept
 * whole: 8 MiB each, unless they are made smaller (pthread_attr_setstacksize(3)).
 *
 * Threads: each queue is one thread's at a time; different queues never interfere. udrv_blk_kick()
 * may be called from any thread and from a signal handler, the other calls from any thread.
 * udrv_blk_close() must be the last.
 *
 * Results: 0 or a count, -errno on failure.
 */
#ifndef LIBUDRV_BLK_H
#define LIBUDRV_BLK_H

#include <libudrv.h>
#include <libudrv_ring.h>
#include <udrv/blk.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct udrv_blk - disks that this process drives; made by udrv_blk_attach() */
struct udrv_blk;

/**
 * struct udrv_blk_options - what udrv_blk_attach() is told; see struct udrv_ioc_blk_attach
 * @flags: UDRV_BLK_DEVICE_IS_RESET: nothing runs in it that was begun before; UDRV_BLK_END_HUNG: who makes no
 *	turn from one time that a request is late to the next is ended
 * @queue_count: 0: 1
 * @queue_depth: most requests on their way in each queue, 0: 64
 * @max_segments: of a request, 0: 64
 * @max_bytes: of a request, 0: 256 KiB
 * @max_segment_bytes: 0: @max_bytes
 * @virt_boundary: 4096 for PRP lists; 0: none
 * @dma_alignment: 0: 512
 * @timeout_ms: 0: 30,000
 * @deadline_ms: how long disks wait for a driver before their requests fail; 0: for ever
 */
struct udrv_blk_options {
	uint32_t flags;
	uint32_t queue_count;
	uint32_t queue_depth;
	uint32_t max_segments;
	uint32_t max_bytes;
	uint32_t max_segment_bytes;
	uint32_t virt_boundary;
	uint32_t dma_alignment;
	uint32_t timeout_ms;
	uint32_t deadline_ms;
};

/**
 * struct udrv_blk_disk - what udrv_blk_add() is told; see struct udrv_ioc_blk_disk
 * @name: "udrv" and small letters, or digits; NULL: "udrv%d"
 * @id: what tells this medium from others, up to 63 characters; NULL: nothing
 * @unit: which of the device's disks, 0 to 255
 * @features: UDRV_BLK_WRITE_CACHE and others
 * @bytes: its capacity
 * @logical_block: bytes, 0: 512
 * @physical_block: 0: the logical block
 * @io_opt: 0: not said
 * @discard_bytes: most in one request, 0: none is sent
 * @discard_granularity: 0: the logical block
 * @zeroes_bytes: most in one request, 0: none is sent
 */
struct udrv_blk_disk {
	const char *name;
	const char *id;
	uint32_t unit;
	uint32_t features;
	uint64_t bytes;
	uint32_t logical_block;
	uint32_t physical_block;
	uint32_t io_opt;
	uint32_t discard_bytes;
	uint32_t discard_granularity;
	uint32_t zeroes_bytes;
};

/**
 * udrv_blk_attach() - be the driver of a device's disks, those that wait for one included
 * @device: whose device moves the data, with its DMA mask set; NULL: none, data is copied. It must
 *	outlive the new object
 * @options: how requests may be
 * @blk: where the new object goes
 *
 * Return: 0; -EPERM no right to it; -EBUSY they have a driver; -EOWNERDEAD the device may still work for
 * the driver before: reset it, and say so (UDRV_BLK_DEVICE_IS_RESET); -EINVAL, -ENOMEM; -ENOENT the
 * kernel module is not loaded
 */
int udrv_blk_attach(struct udrv *device, const struct udrv_blk_options *options,
		    struct udrv_blk **blk);

/**
 * udrv_blk_close() - stop driving them
 * @blk: may be NULL
 *
 * The device is no longer driven either, for it knew addresses of data: every call to it fails with
 * -ENODEV. Disks of a device stay, with what is asked of them, for the next driver; those without one are
 * gone.
 */
void udrv_blk_close(struct udrv_blk *blk);

/**
 * udrv_blk_add() - a disk, or one that waits for its driver (BLK_DISK_ADD)
 * @blk: the object
 * @disk: what it is
 * @name: where its name goes, UDRV_BLK_NAME_BYTES; may be NULL
 *
 * Return: 0, and the kernel reads from it next, before it appears: serve that; -EEXIST another disk has
 * that name; -EBUSY the unit is served; -EINVAL a bad value, or another disk than the one that waits
 */
int udrv_blk_add(struct udrv_blk *blk, const struct udrv_blk_disk *disk, char *name);

/** udrv_blk_resize() - the disk @unit has @bytes now */
int udrv_blk_resize(struct udrv_blk *blk, uint32_t unit, uint64_t bytes);

/** udrv_blk_remove() - the disk @unit goes, once what is still to be written was: serve that */
int udrv_blk_remove(struct udrv_blk *blk, uint32_t unit);

/** udrv_blk_flags() - UDRV_BLK_TAKEN_OVER, UDRV_BLK_COPIES */
unsigned int udrv_blk_flags(const struct udrv_blk *blk);

/** udrv_blk_fd() - the descriptor, for poll(): readable when a queue has something to do */
int udrv_blk_fd(const struct udrv_blk *blk);

/** udrv_blk_data() - without a device: where a segment's address lies in this process */
void *udrv_blk_data(const struct udrv_blk *blk, uint64_t address);

/**
 * udrv_blk_vector() - the interrupts of @vector wake @queue and nobody else (BLK_VECTOR)
 *
 * They arrive at the processors whose requests come to @queue, if there are other queues.
 */
int udrv_blk_vector(struct udrv_blk *blk, unsigned int queue, unsigned int vector);

/** udrv_blk_kick() - end @queue's wait, or its next one; async-signal-safe */
int udrv_blk_kick(struct udrv_blk *blk, unsigned int queue);

/* ---- queues ------------------------------------------------------------------------------- */

/**
 * struct udrv_blk_queue - a queue's rings; from udrv_blk_get_queue()
 * @turn: the call, with its answer: ready, irq_count, irq_value, late_tag
 */
struct udrv_blk_queue {
	struct udrv_ring_side requests, done;
	const struct udrv_blk_request *request_entries;
	struct udrv_blk_done *done_entries;
	const struct udrv_blk_segment *segments;
	uint32_t max_segments;
	struct udrv_ioc_blk_turn turn;
	int fd;
};

/** udrv_blk_get_queue() - queue @index; the object's, valid until udrv_blk_close(); NULL: there is none */
struct udrv_blk_queue *udrv_blk_get_queue(struct udrv_blk *blk, unsigned int index);

/** udrv_blk_count() - requests that wait to be taken */
static inline uint32_t udrv_blk_count(const struct udrv_blk_queue *queue)
{
	return udrv_ring_count(&queue->requests);
}

/** udrv_blk_at() - the request @n, from 0, of those that wait */
static inline const struct udrv_blk_request *udrv_blk_at(const struct udrv_blk_queue *queue,
							 uint32_t n)
{
	return &queue->request_entries[(queue->requests.index + n) & queue->requests.mask];
}

/** udrv_blk_consume() - the first @count were taken, and their entries may be used again */
static inline void udrv_blk_consume(struct udrv_blk_queue *queue, uint32_t count)
{
	udrv_ring_consume(&queue->requests, count);
}

/** udrv_blk_segments() - where the data of the request @tag lies; its, until it is done */
static inline const struct udrv_blk_segment *udrv_blk_segments(const struct udrv_blk_queue *queue,
							       uint16_t tag)
{
	return &queue->segments[tag * queue->max_segments];
}

/**
 * udrv_blk_complete() - a request is done; told by the next turn
 * @queue: the queue
 * @tag: which
 * @status: UDRV_BLK_OK and others
 * @bytes: as many were read or written
 */
static inline void udrv_blk_complete(struct udrv_blk_queue *queue, uint16_t tag, uint16_t status,
				 uint32_t bytes)
{
	struct udrv_blk_done *entry = &queue->done_entries[queue->done.index++ & queue->done.mask];

	entry->tag = tag;
	entry->status = status;
	entry->bytes = bytes;
}

/**
 * udrv_blk_turn() - hand in what is done, and wait for more to do (BLK_TURN)
 * @queue: the queue
 * @ignore: UDRV_BLK_READY_* bits that are not to be waited for
 * @timeout_ns: 0: do not wait; UDRV_BLK_FOREVER
 *
 * Return: UDRV_BLK_READY_* bits, 0 if the time was over; -EINTR a signal; -ENODEV the device is gone, or
 * was taken from this driver.
 */
int udrv_blk_turn(struct udrv_blk_queue *queue, uint32_t ignore, uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif /* LIBUDRV_BLK_H */
