// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests: from blk-mq to the ring, and back when they are done; a turn of the driver's loop
 *
 * A request's pages are mapped for the device, its segments are written to the place of its tag, and
 * one entry goes into the ring. Where the device must not see what lies beside them (confined), or
 * there is none, its data is copied to the tag's own buffer, which stays mapped. Nothing is allocated.
 *
 * The hard part is that a request is ended once, whoever comes: the driver, the driver again, or the
 * end of the driver. Its place in queue->requests decides: it is taken from there by an exchange.
 */
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/nospec.h>

#include "../half.h"
#include "blk.h"

/* ---- to the driver ---- */

static bool request_has_data(struct request *rq)
{
	return req_op(rq) == REQ_OP_READ || req_op(rq) == REQ_OP_WRITE;
}

static blk_status_t request_describe(struct request *rq, struct udrv_blk_request *e)
{
	*e = (struct udrv_blk_request){
		.offset = (u64)blk_rq_pos(rq) << SECTOR_SHIFT,
		.bytes = blk_rq_bytes(rq),
		.tag = rq->tag,
	};
	switch (req_op(rq)) {
	case REQ_OP_READ:
		e->op = UDRV_BLK_READ;
		break;
	case REQ_OP_WRITE:
		e->op = UDRV_BLK_WRITE;
		if (rq->cmd_flags & REQ_FUA)
			e->flags |= UDRV_BLK_FUA;
		break;
	case REQ_OP_FLUSH:
		e->op = UDRV_BLK_FLUSH;
		e->offset = 0;
		e->bytes = 0;
		break;
	case REQ_OP_DISCARD:
		e->op = UDRV_BLK_DISCARD;
		break;
	case REQ_OP_WRITE_ZEROES:
		e->op = UDRV_BLK_WRITE_ZEROES;
		if (rq->cmd_flags & REQ_NOUNMAP)
			e->flags |= UDRV_BLK_NO_UNMAP;
		break;
	default:
		return BLK_STS_NOTSUPP;
	}
	return BLK_STS_OK;
}

static enum dma_data_direction request_direction(struct request *rq)
{
	return req_op(rq) == REQ_OP_WRITE ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
}

static void request_copy(struct request *rq, void *buffer, u32 bytes)
{
	struct req_iterator iter;
	struct bio_vec bv;

	rq_for_each_segment(bv, rq, iter) {
		struct bio_vec part = bv; /* the loop goes on by @bv's length */

		part.bv_len = min(bv.bv_len, bytes);
		if (!part.bv_len)
			break;
		if (req_op(rq) == REQ_OP_WRITE)
			memcpy_from_bvec(buffer, &part);
		else
			memcpy_to_bvec(&part, buffer);
		buffer += part.bv_len;
		bytes -= part.bv_len;
	}
}

/* Its data is copied: there is one segment, the tag's buffer. */
static void request_copy_out(struct udrv_blk_queue *q, struct request *rq,
			     struct udrv_blk_request *e)
{
	if (req_op(rq) == REQ_OP_WRITE)
		request_copy(rq, q->buffers[rq->tag], e->bytes);
	q->segments[rq->tag * q->session->max_segments] = (struct udrv_blk_segment){
		.address = q->buffer_addresses[rq->tag],
		.length = e->bytes,
	};
	e->segment_count = 1;
}

static void request_unmap(struct udrv_blk_session *s, struct request *rq)
{
	struct udrv_blk_slot *slot = blk_mq_rq_to_pdu(rq);

	if (slot->nents && s->dma) {
		if (slot->whole)
			dma_unmap_page(s->dma, sg_dma_address(slot->sg), sg_dma_len(slot->sg),
				       request_direction(rq));
		else
			dma_unmap_sg(s->dma, slot->sg, slot->nents, request_direction(rq));
	}
	slot->nents = 0;
}

/* Most requests are one piece of memory, for which a scatterlist is a detour. */
static blk_status_t request_map_whole(struct udrv_blk_queue *q, struct request *rq,
				      const struct bio_vec *bv, struct udrv_blk_request *e)
{
	struct udrv_blk_session *s = q->session;
	struct udrv_blk_slot *slot = blk_mq_rq_to_pdu(rq);
	dma_addr_t address;

	address = dma_map_page_attrs(s->dma, bv->bv_page, bv->bv_offset, bv->bv_len,
				     request_direction(rq), DMA_ATTR_NO_WARN);
	if (dma_mapping_error(s->dma, address))
		return BLK_STS_RESOURCE; /* as below */
	sg_dma_address(slot->sg) = address;
	sg_dma_len(slot->sg) = bv->bv_len;
	slot->whole = true;
	slot->nents = 1;
	q->segments[rq->tag * s->max_segments] = (struct udrv_blk_segment){
		.address = address,
		.length = bv->bv_len,
	};
	e->segment_count = 1;
	return BLK_STS_OK;
}

/* Map its pages, and say where they are. */
static blk_status_t request_map(struct udrv_blk_queue *q, struct request *rq,
				struct udrv_blk_request *e)
{
	struct udrv_blk_session *s = q->session;
	struct udrv_blk_segment *segment = &q->segments[rq->tag * s->max_segments];
	struct udrv_blk_slot *slot = blk_mq_rq_to_pdu(rq);
	u32 longest = s->host->limits.max_segment_bytes;
	unsigned int i, mapped;
	struct scatterlist *sg;

	if (blk_rq_nr_phys_segments(rq) == 1) {
		struct bio_vec bv = req_bvec(rq);

		if (likely(bv.bv_len == e->bytes && bv.bv_len <= longest))
			return request_map_whole(q, rq, &bv, e);
	}
	slot->whole = false;
	sg_init_table(slot->sg, blk_rq_nr_phys_segments(rq));
	slot->nents = udrv_blk_rq_map_sg(rq, slot->sg);
	if (!slot->nents)
		return BLK_STS_IOERR;
	/* NO_WARN: a full bounce buffer is no news; blk-mq tries again. */
	mapped = dma_map_sg_attrs(s->dma, slot->sg, slot->nents, request_direction(rq),
				  DMA_ATTR_NO_WARN);
	if (!mapped) {
		slot->nents = 0;
		return BLK_STS_RESOURCE;
	}
	for_each_sg(slot->sg, sg, mapped, i) {
		u64 address = sg_dma_address(sg);
		u32 left = sg_dma_len(sg);

		/* An IOMMU makes longer ones, never more of them than there were. */
		while (left && e->segment_count < s->max_segments) {
			u32 length = min(left, longest);

			segment[e->segment_count++] = (struct udrv_blk_segment){
				.address = address,
				.length = length,
			};
			address += length;
			left -= length;
		}
		if (WARN_ON_ONCE(left)) {
			request_unmap(s, rq);
			return BLK_STS_IOERR;
		}
	}
	return BLK_STS_OK;
}

static blk_status_t queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *bd)
{
	struct udrv_blk_disk *disk = hctx->queue->queuedata;
	struct udrv_blk_slot *slot = blk_mq_rq_to_pdu(bd->rq);
	struct udrv_blk_session *s;
	struct udrv_blk_request e;
	struct udrv_blk_queue *q;
	blk_status_t status;

	/* WAITS is not seen here: the queue is quiesced before, and until after. */
	if (READ_ONCE(disk->state) != UDRV_BLK_DISK_SERVED)
		return BLK_STS_IOERR;
	s = disk->host->session;
	q = &s->queues[hctx->queue_num];
	OPTIMIZER_HIDE_VAR(q); /* else it is looked for at each use */

	status = request_describe(bd->rq, &e);
	if (status)
		return status;
	e.unit = disk->made.unit;
	slot->nents = 0;
	if (request_has_data(bd->rq)) {
		if (s->copies)
			request_copy_out(q, bd->rq, &e);
		else
			status = request_map(q, bd->rq, &e);
		if (status)
			return status;
	}
	blk_mq_start_request(bd->rq);

	spin_lock(&q->submit);
	q->ring[q->produced & (s->ring_entries - 1)] = e;
	if (unlikely(test_bit(e.tag, q->late))) /* that was another one of this tag */
		clear_bit(e.tag, q->late);
	/* From here on the driver may say that it is done: pairs with the exchange there. */
	smp_store_release(&q->requests[e.tag], bd->rq);
	udrv_ring_publish(&q->rings->requests, ++q->produced);
	spin_unlock(&q->submit);
	if (bd->last)
		udrv_waiter_wake(&q->waiter);
	return BLK_STS_OK;
}

/* What was published without @last is to be told of. */
static void commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	struct udrv_blk_disk *disk = hctx->queue->queuedata;

	if (READ_ONCE(disk->state) == UDRV_BLK_DISK_SERVED)
		udrv_waiter_wake(&disk->host->session->queues[hctx->queue_num].waiter);
}

/*
 * A request is late. Does its driver hang? It has been told of this very request when it was late before,
 * and has not come since. Times are not looked at: a machine that stood still for a while costs one telling.
 */
static bool driver_hangs(struct udrv_blk_queue *q, struct request *rq, bool told_before)
{
	struct udrv_blk_slot *slot = blk_mq_rq_to_pdu(rq);
	u32 turns = READ_ONCE(q->turns);
	bool came = !told_before || slot->late_turns != turns;

	slot->late_turns = turns;
	if (!q->session->end_hung || rcuwait_active(&q->waiter.thread))
		return false;
	if (udrv_half_stopped(q->session->driver)) {
		/* It may go on at once, and its time begins then: with the next telling. */
		slot->late_turns--;
		return false;
	}
	return !came;
}

/* A request is late: its driver is told, and keeps it. blk-mq holds a reference to it. */
static enum blk_eh_timer_return request_late(struct request *rq)
{
	struct udrv_blk_disk *disk = rq->q->queuedata;
	struct udrv_blk_session *s;
	struct udrv_blk_queue *q;
	bool told_before;

	/*
	 * Not under udrv_blk_lock: whoever holds it waits for timeouts, where blk-mq cannot make a disk and takes back
	 * what it has. A session that is found is not freed meanwhile: session_put().
	 */
	rcu_read_lock();
	s = READ_ONCE(disk->host->session);
	if (s && READ_ONCE(disk->state) == UDRV_BLK_DISK_SERVED) {
		q = &s->queues[rq->mq_hctx->queue_num];
		if (rq->tag >= 0 && READ_ONCE(q->requests[rq->tag]) == rq) {
			/* Orders, and pairs with late_take(). */
			told_before = test_and_set_bit(rq->tag, q->late);
			WRITE_ONCE(q->late_any, true);
			udrv_waiter_wake(&q->waiter);
			if (driver_hangs(q, rq, told_before))
				queue_work(udrv_wq, &s->hung);
		}
	}
	rcu_read_unlock();
	return BLK_EH_RESET_TIMER;
}

const struct blk_mq_ops udrv_blk_mq_ops = {
	.queue_rq = queue_rq,
	.commit_rqs = commit_rqs,
	.timeout = request_late,
};

/* ---- done ---- */

static blk_status_t done_status(u16 status)
{
	static const blk_status_t known[] = {
		[UDRV_BLK_OK] = BLK_STS_OK,
		[UDRV_BLK_IOERR] = BLK_STS_IOERR,
		[UDRV_BLK_NOTSUPP] = BLK_STS_NOTSUPP,
		[UDRV_BLK_MEDIUM] = BLK_STS_MEDIUM,
		[UDRV_BLK_TIMEOUT] = BLK_STS_TIMEOUT,
		[UDRV_BLK_PROTECTION] = BLK_STS_PROTECTION,
		[UDRV_BLK_NOSPC] = BLK_STS_NOSPC,
	};

	if (status >= ARRAY_SIZE(known))
		return BLK_STS_IOERR;
	return known[array_index_nospec(status, ARRAY_SIZE(known))];
}

/*
 * The driver has done with @rq, which is ours now.
 *
 * Requests are ended with bottom halves off. Whoever asked may have closed the disk meanwhile, and then the last
 * reference to its file is put here: fput() would leave the release to this very process, for its way out of the
 * call. But that waits for who looks for partitions, say, and he for the driver. So it is a worker that does it.
 */
static void request_end(struct udrv_blk_queue *q, struct request *rq, struct udrv_blk_done e,
			struct io_comp_batch *batch)
{
	blk_status_t status = done_status(e.status);
	u32 bytes = blk_rq_bytes(rq), good = 0;

	request_unmap(q->session, rq);
	if (q->session->copies && req_op(rq) == REQ_OP_READ)
		request_copy(rq, q->buffers[rq->tag], min(e.bytes, bytes));
	if (request_has_data(rq) && e.bytes < bytes) {
		/* As many are good, the rest is not. */
		good = e.bytes & ~(SECTOR_SIZE - 1);
		status = status ?: BLK_STS_IOERR;
	}
	if (blk_mq_add_to_batch(rq, batch, status != BLK_STS_OK, blk_mq_end_request_batch))
		return;
	local_bh_disable();
	if (good)
		blk_update_request(rq, BLK_STS_OK, good);
	blk_mq_end_request(rq, status);
	local_bh_enable();
}

/* Take what the driver put into done. */
static void done_take(struct udrv_blk_queue *q)
{
	struct udrv_blk_session *s = q->session;
	u32 filled = udrv_ring_filled(&q->rings->done, q->done_consumed, s->ring_entries);
	DEFINE_IO_COMP_BATCH(batch);

	if (filled == UDRV_RING_BROKEN) {
		/* Where the driver says that it is. Its requests are late, and the next driver's. */
		q->done_consumed = READ_ONCE(q->rings->done.produced);
		filled = 0;
		q->bad_entries++;
	}
	for (; filled; filled--) {
		const struct udrv_blk_done *shared;
		struct request *rq = NULL;
		struct udrv_blk_done e;
		u32 tag;

		shared = &q->done[q->done_consumed++ & (s->ring_entries - 1)];
		e.tag = READ_ONCE(shared->tag);
		e.status = READ_ONCE(shared->status);
		e.bytes = READ_ONCE(shared->bytes);
		tag = array_index_nospec(e.tag, s->depth);
		/* Pairs with queue_rq(): it has done with the request. */
		if (e.tag < s->depth)
			rq = xchg(&q->requests[tag], NULL);
		if (!rq) {
			q->bad_entries++;
			continue;
		}
		request_end(q, rq, e, &batch);
	}
	udrv_ring_release(&q->rings->done, q->done_consumed);
	if (batch.complete) {
		local_bh_disable(); /* see request_end() */
		batch.complete(&batch);
		local_bh_enable();
	}
}

/**
 * udrv_blk_queue_unmap() - a driver has ended: the device reaches none of its requests any more
 * @q: the queue, its disks quiesced, not linked
 */
void udrv_blk_queue_unmap(struct udrv_blk_queue *q)
{
	u32 tag;

	for (tag = 0; tag < q->session->depth; tag++)
		if (q->requests[tag])
			request_unmap(q->session, q->requests[tag]);
}

/**
 * udrv_blk_queue_requeue() - and they are blk-mq's again, for the next driver
 * @q: the queue, unmapped, and the IOMMU flushed
 */
void udrv_blk_queue_requeue(struct udrv_blk_queue *q)
{
	struct request *rq;
	u32 tag;

	for (tag = 0; tag < q->session->depth; tag++) {
		rq = xchg(&q->requests[tag], NULL);
		if (rq)
			blk_mq_requeue_request(rq, false);
	}
}

/* ---- a turn ---- */

#define TURN_READY \
	(UDRV_BLK_READY_REQUEST | UDRV_BLK_READY_IRQ | UDRV_BLK_READY_LATE | UDRV_BLK_READY_KICK)

static __always_inline u32 queue_ready(struct udrv_blk_queue *q)
{
	u32 ready = 0;

	if (READ_ONCE(q->produced) != READ_ONCE(q->rings->requests.consumed))
		ready |= UDRV_BLK_READY_REQUEST;
	if (udrv_waiter_fired(&q->waiter))
		ready |= UDRV_BLK_READY_IRQ;
	/* Both are rare: one jump for them. */
	if (unlikely(READ_ONCE(q->late_any) | READ_ONCE(q->waiter.kicked))) {
		if (READ_ONCE(q->late_any))
			ready |= UDRV_BLK_READY_LATE;
		if (READ_ONCE(q->waiter.kicked))
			ready |= UDRV_BLK_READY_KICK;
	}
	return ready;
}

/**
 * udrv_blk_ready() - what there is for the driver of a queue
 * @q: the queue
 * Return: UDRV_BLK_READY_*
 */
u32 udrv_blk_ready(struct udrv_blk_queue *q)
{
	return queue_ready(q);
}

static __always_inline u32 turn_found(struct udrv_waiter *waiter)
{
	struct udrv_blk_queue *q = container_of(waiter, struct udrv_blk_queue, waiter);

	return queue_ready(q) | (READ_ONCE(q->session->ended) ? UDRV_WAITER_ENDED : 0);
}

static int turn_hand_in(struct udrv_blk_queue *q)
{
	int ret = -ENODEV;

	WRITE_ONCE(q->turns, READ_ONCE(q->turns) + 1);
	/* Half the turns of requests that come alone hand nothing in. The end of the session, turn_found() sees. */
	if (READ_ONCE(q->rings->done.produced) == READ_ONCE(q->done_consumed))
		return 0;
	if (mutex_lock_interruptible(&q->lock))
		return -EINTR;
	if (q->linked) {
		done_take(q);
		ret = 0;
	}
	mutex_unlock(&q->lock);
	return ret;
}

/* The tag of a request that is late, and still on its way. False: none is any more. */
static bool late_take(struct udrv_blk_queue *q, u32 *tag)
{
	u32 depth = q->session->depth, i;

	/* Before looking: what comes from here on is news again. Pairs with request_late(). */
	WRITE_ONCE(q->late_any, false);
	smp_mb(); /* request_late() */
	for_each_set_bit(i, q->late, depth) {
		clear_bit(i, q->late);
		if (!READ_ONCE(q->requests[i]))
			continue;
		*tag = i;
		if (find_first_bit(q->late, depth) < depth)
			WRITE_ONCE(q->late_any, true);
		return true;
	}
	return false;
}

/* Not inlined: the compiler would look for @q in the session again and again. */
static noinline int queue_turn(struct udrv_blk_queue *q, struct udrv_ioc_blk_turn *p)
{
	u32 wanted = TURN_READY & ~p->ready, ready;
	int ret;

	ret = turn_hand_in(q);
	if (ret)
		return ret;
	if (p->timeout_ns) {
		ret = udrv_waiter_wait(&q->waiter, p->timeout_ns, turn_found,
				       wanted | UDRV_WAITER_ENDED, &ready);
		/* Its own time begins here. Others count, too: whoever it is, there is somebody. */
		WRITE_ONCE(q->turns, READ_ONCE(q->turns) + 1);
		if (ret)
			return ret;
	} else {
		ready = turn_found(&q->waiter);
	}
	if (ready & UDRV_WAITER_ENDED)
		return -ENODEV;

	p->ready = ready;
	p->irq_count = 0;
	p->irq_value = 0;
	p->late_tag = 0;
	p->bad_entries = READ_ONCE(q->bad_entries);
	if (ready & UDRV_BLK_READY_KICK)
		clear_bit(0, &q->waiter.kicked);
	if (ready & UDRV_BLK_READY_LATE && !late_take(q, &p->late_tag))
		p->ready &= ~UDRV_BLK_READY_LATE;
	if (ready & UDRV_BLK_READY_IRQ)
		udrv_irq_waiter_take(q->waiter.vector, &q->waiter, &p->irq_count, &p->irq_value);
	return 0;
}

/**
 * udrv_blk_turn() - UDRV_IOC_BLK_TURN
 * @session: the caller's
 * @arg: struct udrv_ioc_blk_turn, our copy
 */
int udrv_blk_turn(void *session, void *arg)
{
	struct udrv_blk_session *s = session;
	struct udrv_ioc_blk_turn *p = arg;

	if (p->flags || p->reserved || p->ready & ~TURN_READY || p->queue >= s->queue_count)
		return -EINVAL;
	return queue_turn(&s->queues[array_index_nospec(p->queue, s->queue_count)], p);
}
