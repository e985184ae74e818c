// SPDX-License-Identifier: MIT
/*
 * queue.c - requests of the kernel become commands of the controller, and completions answers
 *
 * One thread, one ring of the kernel, one of the controller, one vector: nothing is shared with another
 * queue. What the kernel hands out are addresses of a request's own pages; they go into the command's
 * list of pages, and no data is seen here. Reading order: nvme_queue_turn(), submit(), reap().
 *
 * The hard part is a command that is not completed in time: it is aborted, and if that does not help
 * either, the controller is reset, which the kernel makes up for (main.c).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme.h"

#define TRIES 5 /* of a command that may do better another time */

/** struct nvme_slot - the command of a tag, whose id it is */
struct nvme_slot {
	struct nvme_command command;
	uint32_t bytes; /* of the request */
	uint8_t op;
	uint8_t tries;
	bool busy, aborted;
};

/* ---- to the controller ---------------------------------------------------------------- */

/*
 * Where the data is [4.3]: the first page may begin anywhere in it, the others are whole. Two are in the
 * command, more in the tag's list. The kernel's segments are made so (virt_boundary).
 */
static void put_pages(const struct nvme_queue *queue, struct nvme_command *command, uint16_t tag,
		      const struct udrv_blk_segment *segments, unsigned int count)
{
	uint64_t *list = &queue->lists[tag * (NVME_LIST_BYTES / sizeof(*queue->lists))];
	unsigned int pages = 0;

	command->prp1 = UDRV_LE(64, segments[0].address);
	for (unsigned int i = 0; i < count; i++) {
		uint64_t at = segments[i].address, end = at + segments[i].length;

		if (i == 0)
			at = (at & ~(uint64_t)(NVME_PAGE - 1)) + NVME_PAGE;
		for (; at < end; at += NVME_PAGE)
			list[pages++] = UDRV_LE(64, at);
	}
	if (pages == 1)
		command->prp2 = list[0];
	else if (pages)
		command->prp2 = UDRV_LE(64, queue->lists_iova + tag * NVME_LIST_BYTES);
}

/* One range, in the place of the tag's list [6.7]. */
static void put_range(const struct nvme_queue *queue, struct nvme_command *command, uint16_t tag,
		      uint64_t first, uint32_t blocks)
{
	struct nvme_range *range = (void *)&queue->lists[tag * (NVME_LIST_BYTES / sizeof(*queue->lists))];

	*range = (struct nvme_range){ .blocks = UDRV_LE(32, blocks), .first = UDRV_LE(64, first) };
	command->prp1 = UDRV_LE(64, queue->lists_iova + tag * NVME_LIST_BYTES);
	command->cdw10 = 0; /* one, less one */
	command->cdw11 = UDRV_LE(32, NVME_DATASET_DISCARD);
}

/* The command of a request; false: this driver knows no such. */
static bool translate(struct nvme_queue *queue, const struct udrv_blk_request *request,
		      struct nvme_command *command)
{
	const struct nvme_disk *disk = &queue->nvme->disks[request->unit];
	uint64_t first = request->offset >> disk->shift;
	uint32_t blocks = request->bytes >> disk->shift, control = 0;

	*command = (struct nvme_command){
		.id = UDRV_LE(16, request->tag),
		.nsid = UDRV_LE(32, disk->nsid),
	};
	switch (request->op) {
	case UDRV_BLK_READ:
		command->opcode = NVME_READ;
		break;
	case UDRV_BLK_WRITE:
		command->opcode = NVME_WRITE;
		control = request->flags & UDRV_BLK_FUA ? NVME_FUA : 0;
		break;
	case UDRV_BLK_WRITE_ZEROES:
		command->opcode = NVME_WRITE_ZEROES;
		control = disk->zeroed && !(request->flags & UDRV_BLK_NO_UNMAP) ? NVME_DEALLOCATE : 0;
		break;
	case UDRV_BLK_FLUSH:
		command->opcode = NVME_FLUSH;
		return true;
	case UDRV_BLK_DISCARD:
		command->opcode = NVME_DATASET;
		put_range(queue, command, request->tag, first, blocks);
		return true;
	default:
		return false;
	}
	command->cdw10 = UDRV_LE(32, (uint32_t)first);
	command->cdw11 = UDRV_LE(32, (uint32_t)(first >> 32));
	command->cdw12 = UDRV_LE(32, (blocks - 1) | control);
	if (request->segment_count)
		put_pages(queue, command, request->tag, udrv_blk_segments(queue->kernel, request->tag),
			  request->segment_count);
	return true;
}

/* All that the kernel has: there is an entry for each tag. One write of the doorbell for them. */
static uint32_t submit(struct nvme_queue *queue)
{
	uint32_t count = udrv_blk_count(queue->kernel);

	for (uint32_t i = 0; i < count; i++) {
		const struct udrv_blk_request *request = udrv_blk_at(queue->kernel, i);
		struct nvme_slot *slot = &queue->slots[request->tag];

		slot->bytes = request->bytes;
		slot->op = request->op;
		slot->tries = 1;
		slot->aborted = false;
		slot->busy = translate(queue, request, &slot->command);
		if (slot->busy)
			nvme_ring_put(&queue->ring, &slot->command);
		else
			udrv_blk_complete(queue->kernel, request->tag, UDRV_BLK_NOTSUPP, 0);
	}
	if (count) {
		nvme_ring_tell(&queue->ring);
		udrv_blk_consume(queue->kernel, count);
	}
	return count;
}

/* ---- and back -------------------------------------------------------------------------- */

static uint16_t status_of(unsigned int status)
{
	switch (status) {
	case NVME_SC_OK:
		return UDRV_BLK_OK;
	case NVME_SC_INVALID_OPCODE:
	case NVME_SC_INVALID_FIELD:
		return UDRV_BLK_NOTSUPP;
	case NVME_SC_ABORT_REQUESTED:
		return UDRV_BLK_TIMEOUT;
	case NVME_SC_CAPACITY:
		return UDRV_BLK_NOSPC;
	case NVME_SC_GUARD:
	case NVME_SC_APP_TAG:
	case NVME_SC_REF_TAG:
		return UDRV_BLK_PROTECTION;
	case NVME_SC_UNRECOVERED_READ:
	case NVME_SC_DEALLOCATED:
		return UDRV_BLK_MEDIUM;
	default:
		return UDRV_BLK_IOERR;
	}
}

static void count_done(struct nvme_queue *queue, const struct nvme_slot *slot)
{
	switch (slot->op) {
	case UDRV_BLK_READ:
		queue->reads++;
		queue->bytes += slot->bytes;
		break;
	case UDRV_BLK_WRITE:
		queue->writes++;
		queue->bytes += slot->bytes;
		break;
	default:
		queue->others++;
	}
}

/* A command failed: once more, where that may help, or it is told. */
static void fail(struct nvme_queue *queue, uint16_t tag, uint16_t status)
{
	struct nvme_slot *slot = &queue->slots[tag];

	if (!(status & NVME_STATUS_DNR) && slot->tries++ < TRIES) {
		slot->aborted = false;
		queue->retries++;
		nvme_ring_put(&queue->ring, &slot->command);
		nvme_ring_tell(&queue->ring);
		return;
	}
	driver_say("a command (%#x) failed with status %#x", slot->command.opcode, NVME_STATUS(status));
	slot->busy = false;
	queue->errors++;
	udrv_blk_complete(queue->kernel, tag, status_of(NVME_STATUS(status)), 0);
}

/* What the controller has completed, at most a ring of it. One write of the doorbell. */
static uint32_t reap(struct nvme_queue *queue)
{
	uint32_t count = 0;

	while (count <= queue->ring.mask && nvme_ring_done(&queue->ring)) {
		struct nvme_completion completion = nvme_ring_take(&queue->ring);
		uint16_t tag = UDRV_LE(16, completion.id), status = UDRV_LE(16, completion.status);

		count++;
		/* A controller that answers what was not asked is not to be trusted with an address. */
		if (tag >= queue->nvme->depth || !queue->slots[tag].busy) {
			queue->errors++;
			continue;
		}
		if (NVME_STATUS(status)) {
			fail(queue, tag, status);
			continue;
		}
		queue->slots[tag].busy = false;
		count_done(queue, &queue->slots[tag]);
		udrv_blk_complete(queue->kernel, tag, UDRV_BLK_OK, queue->slots[tag].bytes);
	}
	if (count)
		nvme_ring_taken(&queue->ring);
	return count;
}

/* ---- a turn ----------------------------------------------------------------------------- */

/* The kernel asks after a request. First it is aborted; the second time the controller is. */
static int late(struct nvme_queue *queue, uint16_t tag)
{
	struct nvme_slot *slot = &queue->slots[tag];

	if (!slot->busy)
		return 0;
	fprintf(stderr, "nvme: a command (%#x) of queue %u is late: %s\n", slot->command.opcode, queue->index + 1,
		slot->aborted || nvme_failed(queue->nvme) ? "reset" : "abort");
	if (slot->aborted || nvme_failed(queue->nvme))
		return NVME_AGAIN;
	slot->aborted = true;
	return nvme_abort(queue->nvme, queue, tag);
}

/* Before a sleep: something may come soon. Did it? */
static bool look(const struct nvme_queue *queue)
{
	const struct nvme *nvme = queue->nvme;
	/* For ever: with a turn now and then, for a request may be late, and there may be an end. */
	uint64_t end_ns = driver_now_ns() + (nvme->poll_ns == UINT64_MAX ? 1000000 : nvme->poll_ns);

	do {
		if (nvme_ring_done(&queue->ring) || udrv_blk_count(queue->kernel))
			return true;
	} while (!nvme->stopped && driver_now_ns() < end_ns);
	return false;
}

int nvme_queue_turn(struct nvme_queue *queue, uint64_t timeout_ns)
{
	uint32_t done = reap(queue);
	int ready;

	submit(queue);
	if (queue->nvme->poll_ns) {
		/* What is done is told first: somebody waits for it. */
		if (!done && look(queue))
			return 0;
		if (done || queue->nvme->poll_ns == UINT64_MAX)
			timeout_ns = 0;
	}
	ready = udrv_blk_turn(queue->kernel, 0, timeout_ns);
	queue->turns++;
	if (ready == -EINTR)
		return 0;
	if (ready < 0)
		return ready;
	queue->interrupts += queue->kernel->turn.irq_count;
	if (ready & UDRV_BLK_READY_LATE) {
		/* It may just have come. */
		reap(queue);
		return late(queue, (uint16_t)queue->kernel->turn.late_tag);
	}
	return 0;
}

/* ---- memory ----------------------------------------------------------------------------- */

int nvme_queue_init(struct nvme_queue *queue)
{
	struct nvme *nvme = queue->nvme;
	uint32_t entries = nvme->depth + 1;
	size_t lists_at = NVME_PAGES(entries * sizeof(struct nvme_command)) +
			  NVME_PAGES(entries * sizeof(struct nvme_completion));
	int rc;

	queue->slots = calloc(nvme->depth, sizeof(*queue->slots));
	if (!queue->slots)
		return driver_fail(-ENOMEM, "out of memory");
	rc = udrv_dma_alloc(nvme->device, lists_at + (size_t)entries * NVME_LIST_BYTES, &queue->memory);
	if (rc)
		return driver_fail(rc, "memory for a queue: %s", udrv_strerror(rc));
	queue->lists = (void *)((uint8_t *)queue->memory.addr + lists_at);
	queue->lists_iova = queue->memory.iova + lists_at;
	return 0;
}

void nvme_queue_free(struct nvme_queue *queue)
{
	free(queue->slots);
	queue->slots = NULL;
	if (queue->nvme && queue->nvme->device)
		udrv_dma_free(queue->nvme->device, &queue->memory);
}
