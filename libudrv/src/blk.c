// SPDX-License-Identifier: MIT
/*
 * blk.c - disks: attach, their rings, one call for each turn
 *
 * Owns the descriptor of /dev/udrv/blk and the mapping of the rings, and keeps the process in memory,
 * which must not wait for the disk that it drives. What a driver does for each request is inline, in
 * libudrv_blk.h: it is a few loads and stores.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "internal.h"

#pragma GCC visibility push(default)
#include <libudrv_blk.h>
#pragma GCC visibility pop

#define BLK_NODE UDRV_NODE_DIRECTORY "/blk"

struct udrv_blk {
	int fd;
	uint8_t *area;
	struct udrv_ioc_blk_attach info;
	struct udrv_blk_queue queues[UDRV_BLK_QUEUES_MAX];
};

static void queue_init(struct udrv_blk *blk, uint32_t index)
{
	struct udrv_blk_queue *queue = &blk->queues[index];
	uint8_t *base = blk->area + index * blk->info.queue_bytes;
	struct udrv_blk_rings *rings = (void *)base;

	queue->requests = udrv_ring_side_of(&rings->requests, blk->info.ring_entries);
	queue->done = udrv_ring_side_of(&rings->done, blk->info.ring_entries);
	queue->request_entries = (void *)(base + blk->info.requests_offset);
	queue->done_entries = (void *)(base + blk->info.done_offset);
	queue->segments = (void *)(base + blk->info.segments_offset);
	queue->max_segments = blk->info.max_segments;
	queue->turn.size = sizeof(queue->turn);
	queue->turn.queue = index;
	queue->fd = blk->fd;
}

/* Neither is possible for everybody, and a driver works without: but when memory is short. */
static void stay_in_memory(void)
{
	(void)!mlockall(MCL_CURRENT | MCL_FUTURE);
	(void)!prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
}

int udrv_blk_attach(struct udrv *device, const struct udrv_blk_options *options,
		    struct udrv_blk **result)
{
	struct udrv_blk *blk = calloc(1, sizeof(*blk));
	int rc;

	if (!blk)
		return -ENOMEM;
	blk->info = (struct udrv_ioc_blk_attach){
		.size = sizeof(blk->info),
		.flags = options->flags,
		.device_fd = device ? device->fd : -1,
		.queue_count = options->queue_count ? options->queue_count : 1,
		.queue_depth = options->queue_depth ? options->queue_depth : 64,
		.max_segments = options->max_segments ? options->max_segments : 64,
		.max_bytes = options->max_bytes ? options->max_bytes : 256 << 10,
		.max_segment_bytes = options->max_segment_bytes,
		.virt_boundary = options->virt_boundary,
		.dma_alignment = options->dma_alignment,
		.timeout_ms = options->timeout_ms,
		.deadline_ms = options->deadline_ms,
	};

	rc = udrv_half_open(BLK_NODE, UDRV_IOC_BLK_ATTACH, &blk->info, &blk->info.map_bytes, &blk->area);
	if (rc < 0) {
		free(blk);
		return rc;
	}
	blk->fd = rc;
	for (uint32_t i = 0; i < blk->info.queue_count; i++)
		queue_init(blk, i);
	stay_in_memory();
	*result = blk;
	return 0;
}

void udrv_blk_close(struct udrv_blk *blk)
{
	if (!blk)
		return;
	udrv_half_close(blk->fd, blk->area, blk->info.map_bytes);
	free(blk);
}

int udrv_blk_add(struct udrv_blk *blk, const struct udrv_blk_disk *disk, char *name)
{
	struct udrv_ioc_blk_disk call = {
		.size = sizeof(call),
		.unit = disk->unit,
		.features = disk->features,
		.bytes = disk->bytes,
		.logical_block = disk->logical_block ? disk->logical_block : 512,
		.physical_block = disk->physical_block,
		.io_opt = disk->io_opt,
		.discard_bytes = disk->discard_bytes,
		.discard_granularity = disk->discard_granularity,
		.zeroes_bytes = disk->zeroes_bytes,
	};
	const char *wanted = disk->name ? disk->name : "udrv%d";
	int rc;

	if (strlen(wanted) >= sizeof(call.name) || (disk->id && strlen(disk->id) >= sizeof(call.id)))
		return -EINVAL;
	strcpy((char *)call.name, wanted);
	if (disk->id)
		strcpy((char *)call.id, disk->id);
	rc = udrv_call(blk->fd, UDRV_IOC_BLK_DISK_ADD, &call);
	if (!rc && name)
		memcpy(name, call.name, sizeof(call.name));
	return rc;
}

int udrv_blk_resize(struct udrv_blk *blk, uint32_t unit, uint64_t bytes)
{
	struct udrv_ioc_blk_disk call = { .size = sizeof(call), .unit = unit, .bytes = bytes };

	return udrv_call(blk->fd, UDRV_IOC_BLK_DISK_RESIZE, &call);
}

int udrv_blk_remove(struct udrv_blk *blk, uint32_t unit)
{
	struct udrv_ioc_blk_disk call = { .size = sizeof(call), .unit = unit };

	return udrv_call(blk->fd, UDRV_IOC_BLK_DISK_REMOVE, &call);
}

unsigned int udrv_blk_flags(const struct udrv_blk *blk)
{
	return blk->info.state;
}

int udrv_blk_fd(const struct udrv_blk *blk)
{
	return blk->fd;
}

void *udrv_blk_data(const struct udrv_blk *blk, uint64_t address)
{
	return blk->area + address;
}

int udrv_blk_vector(struct udrv_blk *blk, unsigned int queue, unsigned int vector)
{
	struct udrv_ioc_blk_queue call = {
		.size = sizeof(call),
		.queue = queue,
		.vector = vector,
	};

	return udrv_call(blk->fd, UDRV_IOC_BLK_VECTOR, &call);
}

int udrv_blk_kick(struct udrv_blk *blk, unsigned int queue)
{
	struct udrv_ioc_blk_queue call = { .size = sizeof(call), .queue = queue };

	return udrv_call(blk->fd, UDRV_IOC_BLK_KICK, &call);
}

struct udrv_blk_queue *udrv_blk_get_queue(struct udrv_blk *blk, unsigned int index)
{
	return index < blk->info.queue_count ? &blk->queues[index] : NULL;
}

int udrv_blk_turn(struct udrv_blk_queue *queue, uint32_t ignore, uint64_t timeout_ns)
{
	struct udrv_ioc_blk_turn *call = &queue->turn;

	udrv_ring_publish(&queue->done);
	call->ready = ignore;
	call->timeout_ns = timeout_ns;
	call->irq_count = 0;
	call->late_tag = 0;
	call->irq_value = 0;
	call->bad_entries = 0;
	/* Not again after a signal: its handler may have been what the caller waits for. */
	return ioctl(queue->fd, UDRV_IOC_BLK_TURN, call) ? -errno : (int)call->ready;
}
