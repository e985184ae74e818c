/* SPDX-License-Identifier: MIT */
/*
 * nvme.h - what the files of this driver know of each other
 *
 * ctrl.c brings the controller up and talks to its admin queue, queue.c moves requests of the kernel to
 * a queue of the controller and back, main.c puts them together. Functions return 0 or a count, or a
 * negative errno after they have said on stderr what is wrong.
 */
#ifndef NVME_H
#define NVME_H

#include <libudrv_blk.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "../common.h"
#include "nvme_regs.h"

#define NVME_QUEUES UDRV_BLK_QUEUES_MAX
#define NVME_NAMESPACES 26u	 /* a letter for each: a digit behind letters is a partition's */
#define NVME_ENTRIES 128u	 /* of each queue, a power of two; a full one has a free entry */
#define NVME_BYTES (512u << 10)	 /* most in one request: its PRP list has NVME_LIST_BYTES */
#define NVME_LIST_BYTES 1024u	 /* a power of two up to a page: no list crosses one */

/* What this driver does instead of failing: all of it again, from the reset on (main.c). */
#define NVME_AGAIN (-ERESTART)

struct nvme;

/**
 * struct nvme_ring - a submission and a completion queue of the controller
 * @sq: commands
 * @cq: completions
 * @sq_iova: where they are, for the device
 * @cq_iova: likewise
 * @mask: entries, less one
 * @sq_tail: the next free entry
 * @cq_head: the next completion
 * @phase: what its phase bit will be
 * @sq_doorbell: register
 * @cq_doorbell: register
 */
struct nvme_ring {
	volatile struct nvme_command *sq;
	volatile struct nvme_completion *cq;
	uint64_t sq_iova, cq_iova;
	uint32_t mask, sq_tail, cq_head;
	uint16_t phase;
	volatile void *sq_doorbell, *cq_doorbell;
};

/** struct nvme_disk - a namespace, and the disk that it is; its unit is its index */
struct nvme_disk {
	uint32_t nsid;
	uint32_t shift; /* of a block's bytes */
	uint64_t bytes;
	bool zeroed; /* WRITE_ZEROES may deallocate */
	char id[UDRV_BLK_ID_BYTES];
	char name[UDRV_BLK_NAME_BYTES];
};

struct nvme_slot;

/** struct nvme_queue - one thread's: requests of the kernel in a ring of the controller */
struct nvme_queue {
	struct nvme *nvme;
	unsigned int index; /* the kernel's; the controller's, and its vector, is one more */
	struct nvme_ring ring;
	struct udrv_dma memory;
	uint64_t *lists; /* NVME_LIST_BYTES for each tag */
	uint64_t lists_iova;
	struct nvme_slot *slots;
	struct udrv_blk_queue *kernel;
	pthread_t thread;
	int error;
	/* Counters, read by another thread as they are. */
	uint64_t reads, writes, others, bytes, errors, retries, turns, interrupts;
};

/** struct nvme - the driver */
struct nvme {
	const char *name; /* the device's */
	struct udrv *device;
	uint8_t *regs;
	size_t regs_bytes;
	uint64_t cap;
	bool confined;

	pthread_mutex_t admin_lock;
	struct nvme_ring admin;
	struct udrv_dma admin_memory; /* the ring, and a page for data */
	void *data;
	uint64_t data_iova;
	uint16_t admin_id;

	struct nvme_controller controller;
	uint32_t max_bytes, depth;
	unsigned int queue_count, disk_count;
	struct nvme_queue queues[NVME_QUEUES];
	struct nvme_disk disks[NVME_NAMESPACES];
	struct udrv_blk *blk;
	uint64_t poll_ns; /* look as long before sleeping; UINT64_MAX: never sleep */
	volatile sig_atomic_t stopped, again;
};

/* ---- ctrl.c ---- */

/** nvme_open() - the device is ours: reset, with its admin queue, up to @queues vectors more than one */
int nvme_open(struct nvme *nvme, unsigned int queues);
/** nvme_identify() - who it is, its limits and its namespaces */
int nvme_identify(struct nvme *nvme);
/** nvme_create_queue() - the pair of queues of @queue, its memory made */
int nvme_create_queue(struct nvme *nvme, struct nvme_queue *queue);
/** nvme_set_queue_count() - tell how many there will be; fewer may be granted, in nvme->queue_count */
int nvme_set_queue_count(struct nvme *nvme);
/**
 * nvme_abort() - let a command of a queue be aborted
 * Context: any thread; waits.
 * Return: 0: it will be completed, sooner or later; NVME_AGAIN: the controller does not answer
 */
int nvme_abort(struct nvme *nvme, const struct nvme_queue *queue, uint16_t id);
/** nvme_failed() - the controller says that only a reset helps, or says nothing any more */
bool nvme_failed(const struct nvme *nvme);
/** nvme_get_smart() - its log of its health */
int nvme_get_smart(struct nvme *nvme, struct nvme_smart *smart);
/** nvme_shut_down() - it writes its cache, and is quiet; what there is of it */
void nvme_shut_down(struct nvme *nvme);
/** nvme_close() - give all of it back */
void nvme_close(struct nvme *nvme);

/** nvme_ring_put() - a command is written; the doorbell is rung by nvme_ring_tell() */
static inline void nvme_ring_put(struct nvme_ring *ring, const struct nvme_command *command)
{
	/* Nobody reads the entry before the doorbell, so it need not be volatile. */
	*(struct nvme_command *)&ring->sq[ring->sq_tail] = *command;
	ring->sq_tail = (ring->sq_tail + 1) & ring->mask;
}

/** nvme_ring_tell() - there are new commands */
static inline void nvme_ring_tell(const struct nvme_ring *ring)
{
	udrv_write32(ring->sq_doorbell, ring->sq_tail);
}

/** nvme_ring_done() - is there a completion to be taken? */
static inline bool nvme_ring_done(const struct nvme_ring *ring)
{
	uint16_t status = UDRV_LE(16, ring->cq[ring->cq_head].status);

	return (status & NVME_STATUS_PHASE) == ring->phase;
}

/** nvme_ring_take() - the completion that is there; the doorbell is rung by nvme_ring_taken() */
static inline struct nvme_completion nvme_ring_take(struct nvme_ring *ring)
{
	struct nvme_completion completion;

	udrv_rmb(); /* after its phase [4.6] */
	completion = *(const struct nvme_completion *)&ring->cq[ring->cq_head];
	ring->cq_head = (ring->cq_head + 1) & ring->mask;
	if (!ring->cq_head)
		ring->phase ^= NVME_STATUS_PHASE;
	return completion;
}

/** nvme_ring_taken() - completions were taken, their entries may be written again */
static inline void nvme_ring_taken(const struct nvme_ring *ring)
{
	udrv_write32(ring->cq_doorbell, ring->cq_head);
}

/* ---- queue.c ---- */

/** nvme_queue_init() - memory for its requests */
int nvme_queue_init(struct nvme_queue *queue);
/** nvme_queue_free() - undo it; the device is quiet */
void nvme_queue_free(struct nvme_queue *queue);
/** nvme_queue_turn() - once around: completions, requests, sleep; NVME_AGAIN: a reset is due */
int nvme_queue_turn(struct nvme_queue *queue, uint64_t timeout_ns);

#endif /* NVME_H */
