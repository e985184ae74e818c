// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver's service of its device's disks, from attach to the end
 *
 * Owns the memory that it needs: the rings and segments that the process maps, and buffers where data
 * is copied. The hard part is who ends it, as for the network half: the client does, if there is a
 * device, in the order of its end (client.c): requests are taken away once the device is quiet,
 * unmapped, and given back to blk-mq when the IOMMU has been flushed. So the close of its descriptor
 * ends the client first.
 */
#include <linux/bitmap.h>
#include <linux/dma-mapping.h>
#include <linux/log2.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "blk.h"

/* ---- memory ---- */

static void session_layout(struct udrv_blk_session *s, struct udrv_ioc_blk_attach *p)
{
	size_t at = PAGE_SIZE; /* the indices have a page */

	p->requests_offset = at;
	at += s->ring_entries * sizeof(struct udrv_blk_request);
	p->done_offset = at;
	at = ALIGN(at + s->ring_entries * sizeof(struct udrv_blk_done), SMP_CACHE_BYTES);
	p->segments_offset = at;
	at += (size_t)s->depth * s->max_segments * sizeof(struct udrv_blk_segment);
	s->queue_bytes = PAGE_ALIGN(at);
	s->area_bytes = s->queue_bytes * s->queue_count;
	if (!s->dma) /* data lies behind the rings */
		s->area_bytes += (size_t)s->queue_count * s->depth * s->max_bytes;
	p->queue_bytes = s->queue_bytes;
	p->map_bytes = s->area_bytes;
	p->ring_entries = s->ring_entries;
}

/* Places for buffers; without a device they are in the area. */
static int buffers_alloc(struct udrv_blk_queue *q)
{
	struct udrv_blk_session *s = q->session;
	u64 at = s->queue_bytes * s->queue_count + (u64)q->index * s->depth * s->max_bytes;
	u32 tag;

	q->buffers = kvcalloc(s->depth, sizeof(*q->buffers), GFP_KERNEL_ACCOUNT);
	q->buffer_addresses = kvcalloc(s->depth, sizeof(*q->buffer_addresses), GFP_KERNEL_ACCOUNT);
	if (!q->buffers || !q->buffer_addresses)
		return -ENOMEM;
	for (tag = 0; !s->dma && tag < s->depth; tag++, at += s->max_bytes) {
		q->buffers[tag] = s->area + at;
		q->buffer_addresses[tag] = at;
	}
	return 0;
}

/* Those of a device are given back: it is quiet, or never knew of them. client->lock is held. */
static void session_unmap(struct udrv_blk_session *s)
{
	u32 i, tag;

	for (i = 0; s->dma && s->copies && i < s->queue_count; i++) {
		struct udrv_blk_queue *q = &s->queues[i];

		for (tag = 0; tag < s->depth; tag++) {
			if (q->buffers[tag])
				dma_free_attrs(s->dma, s->max_bytes, q->buffers[tag],
					       q->buffer_addresses[tag], DMA_ATTR_NO_WARN);
			q->buffers[tag] = NULL;
		}
	}
	s->dma = NULL;
}

/* And made: one piece for the device, whatever pages it is of, since it is confined by an IOMMU. */
static int session_map(struct udrv_blk_session *s)
{
	dma_addr_t address;
	u32 i, tag;

	for (i = 0; s->copies && i < s->queue_count; i++) {
		struct udrv_blk_queue *q = &s->queues[i];

		for (tag = 0; tag < s->depth; tag++) {
			q->buffers[tag] = dma_alloc_attrs(s->dma, s->max_bytes, &address,
							  GFP_KERNEL_ACCOUNT | __GFP_ZERO,
							  DMA_ATTR_NO_WARN);
			if (!q->buffers[tag]) {
				session_unmap(s);
				return -ENOMEM;
			}
			q->buffer_addresses[tag] = address;
		}
	}
	return 0;
}

static int queue_alloc(struct udrv_blk_session *s, u32 index, const struct udrv_ioc_blk_attach *p)
{
	struct udrv_blk_queue *q = &s->queues[index];
	void *base = s->area + index * s->queue_bytes;

	q->rings = base;
	q->ring = base + p->requests_offset;
	q->done = base + p->done_offset;
	q->segments = base + p->segments_offset;
	q->requests = kvcalloc(s->depth, sizeof(*q->requests), GFP_KERNEL_ACCOUNT);
	q->late = bitmap_zalloc(s->depth, GFP_KERNEL_ACCOUNT);
	if (!q->requests || !q->late)
		return -ENOMEM;
	return s->copies ? buffers_alloc(q) : 0;
}

static void session_destroy(struct udrv_blk_session *s)
{
	u32 i;

	for (i = 0; i < s->queue_count; i++) {
		struct udrv_blk_queue *q = &s->queues[i];

		kvfree(q->buffers);
		kvfree(q->buffer_addresses);
		kvfree(q->requests);
		bitmap_free(q->late);
	}
	if (s->client)
		udrv_dma_uncharge(s->client, &s->charge);
	put_pid(s->driver);
	vfree(s->area);
	kvfree(s);
}

static unsigned long session_pages(const struct udrv_blk_session *s)
{
	return s->copies ? (unsigned long)s->queue_count * s->depth * (s->max_bytes >> PAGE_SHIFT) :
			   0;
}

/* Of no device: its close ends it, or its hanging, whichever comes first. */
static void session_end(struct udrv_blk_session *s)
{
	if (test_and_set_bit(0, &s->ending))
		return;
	WRITE_ONCE(s->ended, true);
	udrv_blk_unlink(s, true);
	udrv_blk_release_requests(s);
}

/* Its driver hangs, and has lost it: the end of a tenure, as "udrv revoke" is one. No lock is held. */
static void session_hung(struct work_struct *work)
{
	struct udrv_blk_session *s = container_of(work, struct udrv_blk_session, hung);

	pr_debug("blk: a driver hangs, and is ended\n");
	if (s->client)
		udrv_client_end_of(s->client);
	else
		session_end(s);
}

static struct udrv_blk_session *session_create(struct udrv_client *client,
					       struct udrv_ioc_blk_attach *p)
{
	struct udrv_blk_session *s;
	u32 i;

	s = kvzalloc(struct_size(s, queues, p->queue_count), GFP_KERNEL_ACCOUNT);
	if (!s)
		return ERR_PTR(-ENOMEM);
	s->client = client;
	s->end_hung = p->flags & UDRV_BLK_END_HUNG;
	s->driver = get_pid(task_tgid(current));
	INIT_WORK(&s->hung, session_hung);
	s->dma = client ? &client->udev->pdev->dev : NULL;
	s->copies = !client || client->confined;
	s->queue_count = p->queue_count;
	s->depth = p->queue_depth;
	s->ring_entries = roundup_pow_of_two(p->queue_depth);
	s->max_segments = p->max_segments;
	s->max_bytes = p->max_bytes;
	session_layout(s, p);
	/* Of all, before anything can fail: what there is not is freed, too. */
	for (i = 0; i < s->queue_count; i++) {
		struct udrv_blk_queue *q = &s->queues[i];

		q->session = s;
		q->index = i;
		udrv_waiter_init(&q->waiter);
		mutex_init(&q->lock);
		spin_lock_init(&q->submit);
	}
	return s;
}

static int session_alloc(struct udrv_blk_session *s, const struct udrv_ioc_blk_attach *p)
{
	u32 i;
	int ret;

	/* Charged to the caller's memory cgroup, as all of it is. */
	s->area = __vmalloc(s->area_bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
	if (!s->area)
		return -ENOMEM;
	for (i = 0; i < s->queue_count; i++) {
		ret = queue_alloc(s, i, p);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- attach ---- */

static int attach_check(struct udrv_ioc_blk_attach *p)
{
	if (p->flags & ~(UDRV_BLK_DEVICE_IS_RESET | UDRV_BLK_END_HUNG) || p->reserved)
		return -EINVAL;
	if (!p->queue_count || p->queue_count > UDRV_BLK_QUEUES_MAX ||
	    p->queue_depth < UDRV_BLK_DEPTH_MIN || p->queue_depth > UDRV_BLK_DEPTH_MAX ||
	    !p->max_segments || p->max_segments > UDRV_BLK_SEGMENTS_MAX)
		return -EINVAL;
	if (!p->max_bytes || p->max_bytes % PAGE_SIZE || p->max_bytes > UDRV_BLK_BYTES_MAX)
		return -EINVAL;
	if (p->max_segment_bytes && p->max_segment_bytes < PAGE_SIZE)
		return -EINVAL;
	/* What an IOMMU or a bounce buffer keeps of an address is its place in a page. */
	if (p->virt_boundary && p->virt_boundary != PAGE_SIZE)
		return -EINVAL;
	if (p->dma_alignment && !udrv_blk_power_within(p->dma_alignment, 4, PAGE_SIZE))
		return -EINVAL;
	if (p->timeout_ms > UDRV_BLK_MS_MAX || p->deadline_ms > UDRV_BLK_MS_MAX)
		return -EINVAL;
	/* With a boundary blk-mq keeps to no other limit. */
	if (p->virt_boundary && p->max_segment_bytes && p->max_segment_bytes < p->max_bytes)
		return -EINVAL;
	p->max_segment_bytes = min(p->max_segment_bytes ?: p->max_bytes, p->max_bytes);
	p->dma_alignment = p->dma_alignment ?: SECTOR_SIZE;
	p->timeout_ms = p->timeout_ms ?: UDRV_BLK_TIMEOUT_MS;
	return 0;
}

/* The device is the client's, and the client's end ends the session: from here on. */
static int attach_to_client(struct udrv_blk_session *s)
{
	struct udrv_client *client = s->client;
	int ret;

	ret = udrv_client_lock(client);
	if (ret)
		return ret;
	/* Requests' pages are wherever there is memory. The mask stays as it is from here on. */
	if (client->blk)
		ret = -EBUSY;
	else if (!udrv_dma_reaches_memory(s->dma))
		ret = -EOPNOTSUPP;
	else
		ret = session_map(s);
	if (!ret)
		client->blk = s;
	udrv_client_unlock(client);
	return ret;
}

/* Undo it; the client lives on. Its device has been told of nothing in the session. */
static void detach_from_client(struct udrv_blk_session *s)
{
	mutex_lock(&s->client->lock);
	if (s->client->blk == s) { /* else the client's end has done it */
		s->client->blk = NULL;
		session_unmap(s);
	}
	mutex_unlock(&s->client->lock);
}

/**
 * udrv_blk_attach() - UDRV_IOC_BLK_ATTACH
 * @session: set to a new session
 * @arg: the call, our copy
 */
int udrv_blk_attach(void **session, void *arg)
{
	struct udrv_ioc_blk_attach *p = arg;
	struct udrv_client *client = NULL;
	struct udrv_blk_session *s;
	int ret;

	ret = attach_check(p);
	if (ret)
		return ret;
	if (p->device_fd != -1) {
		client = udrv_cdev_client_get(p->device_fd);
		if (IS_ERR(client))
			return PTR_ERR(client);
	} else if (!capable(CAP_SYS_ADMIN)) {
		/* They can only be made. And anybody may come here: before memory is taken. */
		return -EPERM;
	}
	s = session_create(client, p);
	if (IS_ERR(s)) {
		ret = PTR_ERR(s);
		goto err_client;
	}
	ret = -EINVAL;
	if (s->copies && (u64)s->queue_count * s->depth * s->max_bytes > UDRV_BLK_COPY_BYTES_MAX)
		goto err_session;
	ret = session_alloc(s, p);
	if (ret)
		goto err_session;
	if (client) {
		/* What the device holds is locked memory, as that of DMA_ALLOC is. */
		ret = udrv_dma_charge(client, &s->charge, session_pages(s));
		if (ret)
			goto err_session;
		ret = attach_to_client(s);
		if (ret)
			goto err_session;
	}
	ret = udrv_blk_link(s, p);
	if (ret)
		goto err_detach;
	if (s->copies)
		p->state |= UDRV_BLK_COPIES;
	*session = s;
	return 0;

err_detach:
	if (client)
		detach_from_client(s);
err_session:
	session_destroy(s);
err_client:
	if (client)
		udrv_client_put(client);
	return ret;
}

static void session_put(struct udrv_blk_session *s)
{
	struct udrv_client *client = s->client;

	/* Who found it, to wake it or to end it. */
	synchronize_rcu();
	cancel_work_sync(&s->hung);
	session_destroy(s);
	if (client)
		udrv_client_put(client);
}

/**
 * udrv_blk_attach_undo() - the answer could not be told: nothing is attached
 * @session: of udrv_blk_attach(), shown to nobody yet
 * @arg: its call
 */
void udrv_blk_attach_undo(void *session, const void *arg)
{
	struct udrv_blk_session *s = session;

	/* First: from here on the client's end has ended all of it, or knows nothing of it. */
	if (s->client)
		detach_from_client(s);
	udrv_blk_unlink(s, true);
	udrv_blk_release_requests(s);
	session_put(s);
}

/**
 * udrv_blk_release() - the descriptor is closed for good
 * @session: its session
 */
void udrv_blk_release(void *session)
{
	struct udrv_blk_session *s = session;

	if (s->client) {
		/* Whoever closes either descriptor has ended: see the top. */
		udrv_client_end_of(s->client);
	} else {
		session_end(s);
	}
	session_put(s);
}

/* ---- the client's end ---- */

/**
 * udrv_blk_silence() - the first step of the end: whoever waits is told
 * @client: with client->lock held
 */
void udrv_blk_silence(struct udrv_client *client)
{
	struct udrv_blk_session *s = client->blk;
	u32 i;

	if (!s)
		return;
	WRITE_ONCE(s->ended, true);
	for (i = 0; i < s->queue_count; i++)
		udrv_waiter_wake(&s->queues[i].waiter);
}

/**
 * udrv_blk_detach() - a later step: the disks are without a driver, their requests are unmapped
 * @client: with client->lock held, its device quiet
 * @safe: the device certainly works on nothing any more
 * Return: what is to be given to udrv_blk_free() once the IOMMU is flushed, or NULL
 */
struct udrv_blk_session *udrv_blk_detach(struct udrv_client *client, bool safe)
{
	struct udrv_blk_session *s = client->blk;
	u32 i;

	if (!s)
		return NULL;
	udrv_blk_unlink(s, safe);
	for (i = 0; i < s->queue_count; i++)
		udrv_blk_queue_unmap(&s->queues[i]);
	/* Not behind the flush: they are a confined device's, and its IOMMU is strict. */
	session_unmap(s);
	client->blk = NULL;
	return s;
}

/**
 * udrv_blk_free() - the last step of the end: what was on its way is the next driver's
 * @s: unmapped, and the IOMMU flushed; or NULL
 */
void udrv_blk_free(struct udrv_blk_session *s)
{
	if (s)
		udrv_blk_release_requests(s);
}
