// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames on their way in: buffers for the device, and frames for the stack
 *
 * Each receive slot has a page. Where the driver is trusted, a frame goes to the stack in the page
 * that the device wrote it to. A page has two halves: while the stack has one of them, the device is
 * given the other, so that a page stays mapped for as long as the stack gives its halves back in
 * time; if it does not, it keeps the page, and the slot gets a new one. In the confined tier, and
 * without a device, a frame is copied out once, and the buffer never leaves us.
 *
 * A long frame may lie in several buffers: the first is the packet's linear part, and the others are its
 * fragments. It is put together over as many turns as its driver takes.
 *
 * Counting references: the page has many of ours from the beginning (@bias), and each frame takes one
 * of those along. So giving a half away costs no atomic operation, and the page's count less @bias is
 * what the stack has.
 */
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/nospec.h>

#include "net.h"

/* Frames handed to the stack with bottom halves off, at most. */
#define RX_BATCH 256

/* ---- buffers ---- */

static void buffer_drop(struct udrv_net_buffer *buffer)
{
	if (buffer->page)
		__page_frag_cache_drain(buffer->page, buffer->bias);
	buffer->page = NULL;
}

static bool buffer_fill(struct udrv_net_buffer *buffer, gfp_t gfp)
{
	struct page *page = alloc_page(gfp);

	if (!page)
		return false;
	page_ref_add(page, U16_MAX - 1);
	buffer->page = page;
	buffer->bias = U16_MAX;
	buffer->offset = 0;
	buffer->va = page_address(page);
	return true;
}

/**
 * udrv_net_buffers_alloc() - memory for packets
 * @session: for whom
 * @buffers: set to an array
 * @count: how many
 * @area_offset: where they lie in the area that the process maps, if there is no device
 *
 * Return: 0 or -ENOMEM; what was allocated is freed with the session.
 */
int udrv_net_buffers_alloc(struct udrv_net_session *session, struct udrv_net_buffer **buffers,
			   u32 count, u64 area_offset)
{
	struct udrv_net_buffer *b;
	u32 i;

	b = kvcalloc(count, sizeof(*b), GFP_KERNEL_ACCOUNT);
	*buffers = b;
	if (!b)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		if (session->dma) {
			if (!buffer_fill(&b[i], GFP_KERNEL_ACCOUNT | __GFP_ZERO))
				return -ENOMEM;
			continue;
		}
		b[i].address = area_offset + i * UDRV_NET_BUFFER_BYTES;
		b[i].va = session->area + b[i].address;
	}
	return 0;
}

static int buffer_map(struct udrv_net_session *session, struct udrv_net_buffer *buffer,
		      enum dma_data_direction direction)
{
	/* NO_WARN: a full bounce buffer is the user's to hear of, not the log's. */
	dma_addr_t address = dma_map_page_attrs(session->dma, buffer->page, 0, PAGE_SIZE, direction,
						DMA_ATTR_SKIP_CPU_SYNC | DMA_ATTR_NO_WARN);

	if (dma_mapping_error(session->dma, address))
		return -ENOMEM;
	buffer->address = address;
	dma_sync_single_for_device(session->dma, address, PAGE_SIZE, direction);
	return 0;
}

static void buffer_unmap(struct udrv_net_session *session, struct udrv_net_buffer *buffer,
			 enum dma_data_direction direction)
{
	dma_unmap_page_attrs(session->dma, buffer->address, PAGE_SIZE, direction,
			     DMA_ATTR_SKIP_CPU_SYNC);
	buffer->address = 0;
}

/** udrv_net_buffers_map() - let the device at them; 0 or -ENOMEM: none is mapped */
int udrv_net_buffers_map(struct udrv_net_session *session, struct udrv_net_buffer *buffers,
			 u32 count, enum dma_data_direction direction)
{
	u32 i;

	for (i = 0; session->dma && i < count; i++) {
		if (buffer_map(session, &buffers[i], direction)) {
			udrv_net_buffers_unmap(session, buffers, i, direction);
			return -ENOMEM;
		}
	}
	return 0;
}

/** udrv_net_buffers_unmap() - undo it */
void udrv_net_buffers_unmap(struct udrv_net_session *session, struct udrv_net_buffer *buffers,
			    u32 count, enum dma_data_direction direction)
{
	u32 i;

	for (i = 0; session->dma && i < count; i++)
		buffer_unmap(session, &buffers[i], direction);
}

/** udrv_net_buffers_free() - give the pages back; what the stack has of them is the stack's */
void udrv_net_buffers_free(struct udrv_net_buffer *buffers, u32 count)
{
	u32 i;

	for (i = 0; buffers && i < count; i++)
		buffer_drop(&buffers[i]);
}

/* ---- to the driver ---- */

static bool rx_halves(const struct udrv_net_session *s)
{
	return s->buffer_bytes <= PAGE_SIZE / 2;
}

/* Give slot @number to the driver. */
static void rx_post(struct udrv_net_queue *q, u32 number)
{
	struct udrv_net_session *s = q->session;
	struct udrv_net_buffer *buffer = &q->rx_buffers[number];
	u32 at = buffer->offset, room = s->buffer_bytes;

	if (!s->copies) {
		at += UDRV_NET_HEADROOM;
		room = SKB_WITH_OVERHEAD(room) - UDRV_NET_HEADROOM;
	}
	if (s->dma)
		dma_sync_single_range_for_device(s->dma, buffer->address, at, room,
						 DMA_FROM_DEVICE);
	q->fill[q->fill_produced++ & (s->rx_slots - 1)] = (struct udrv_net_fill){
		.address = buffer->address + at,
		.length = room,
		.slot = number,
	};
}

/* A half went to the stack: give the device the other, or another page. False: neither. */
static bool rx_turn_page(struct udrv_net_session *s, struct udrv_net_buffer *buffer)
{
	struct udrv_net_buffer fresh = {};

	/* Ours alone but for the half that was just given away, and not from an emergency reserve? */
	if (rx_halves(s) && page_ref_count(buffer->page) - buffer->bias <= 1 &&
	    !page_is_pfmemalloc(buffer->page) && page_to_nid(buffer->page) == numa_mem_id()) {
		buffer->offset ^= PAGE_SIZE / 2;
		buffer->va = page_address(buffer->page) + buffer->offset;
		if (unlikely(buffer->bias == 1)) {
			page_ref_add(buffer->page, U16_MAX - 1);
			buffer->bias = U16_MAX;
		}
		return true;
	}

	if (!buffer_fill(&fresh, GFP_ATOMIC | __GFP_NOWARN))
		return false;
	if (buffer_map(s, &fresh, DMA_FROM_DEVICE)) {
		buffer_drop(&fresh);
		return false;
	}
	buffer_unmap(s, buffer, DMA_FROM_DEVICE);
	buffer_drop(buffer);
	*buffer = fresh;
	return true;
}

/* ---- to the stack ---- */

/* The frame in the page that it was written to, or NULL: the buffer is as it was. */
static struct sk_buff *rx_give(struct udrv_net_queue *q, struct udrv_net_buffer *buffer, u32 length)
{
	struct udrv_net_session *s = q->session;
	u32 offset = buffer->offset;
	struct sk_buff *skb;

	dma_sync_single_range_for_cpu(s->dma, buffer->address, offset + UDRV_NET_HEADROOM, length,
				      DMA_FROM_DEVICE);
	skb = napi_build_skb(buffer->va, s->buffer_bytes);
	if (!skb)
		return NULL;
	if (page_is_pfmemalloc(buffer->page))
		skb->pfmemalloc = 1;
	skb_reserve(skb, UDRV_NET_HEADROOM);
	__skb_put(skb, length);

	buffer->bias--; /* the skb's */
	if (!rx_turn_page(s, buffer)) {
		/* It goes back to the device, so it is not given away. */
		kfree_skb(skb);
		buffer->bias++;
		page_ref_inc(buffer->page);
		return NULL;
	}
	return skb;
}

/* What the frame goes on in, as a fragment. False: the buffer is as it was. */
static bool rx_give_more(struct udrv_net_queue *q, struct udrv_net_buffer *buffer, u32 length)
{
	struct udrv_net_session *s = q->session;
	u32 offset = buffer->offset + UDRV_NET_HEADROOM;
	struct page *page = buffer->page;
	struct sk_buff *skb = q->rx_frame;

	dma_sync_single_range_for_cpu(s->dma, buffer->address, offset, length, DMA_FROM_DEVICE);
	buffer->bias--; /* the fragment's */
	if (!rx_turn_page(s, buffer)) {
		buffer->bias++;
		return false;
	}
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, offset, length, s->buffer_bytes);
	return true;
}

/* Or a copy of it, read once. */
static struct sk_buff *rx_copy(struct udrv_net_queue *q, struct udrv_net_buffer *buffer, u32 length)
{
	struct udrv_net_session *s = q->session;
	struct sk_buff *skb = napi_alloc_skb(&s->net->napi[q->index], length);

	if (!skb)
		return NULL;
	if (s->dma)
		dma_sync_single_range_for_cpu(s->dma, buffer->address, buffer->offset, length,
					      DMA_FROM_DEVICE);
	skb_put_data(skb, buffer->va, length);
	return skb;
}

static bool rx_copy_more(struct udrv_net_queue *q, struct udrv_net_buffer *buffer, u32 length)
{
	struct udrv_net_session *s = q->session;
	struct sk_buff *skb = q->rx_frame;
	void *copy = napi_alloc_frag(length);
	struct page *page;

	if (!copy)
		return false;
	if (s->dma)
		dma_sync_single_range_for_cpu(s->dma, buffer->address, buffer->offset, length,
					      DMA_FROM_DEVICE);
	memcpy(copy, buffer->va, length);
	page = virt_to_head_page(copy);
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, copy - page_address(page), length,
			length);
	return true;
}

/* Begin a frame, or go on with it. */
static bool rx_add(struct udrv_net_queue *q, struct udrv_net_buffer *buffer, u32 length)
{
	bool copies = q->session->copies;

	if (q->rx_frame)
		return copies ? rx_copy_more(q, buffer, length) : rx_give_more(q, buffer, length);
	q->rx_frame = copies ? rx_copy(q, buffer, length) : rx_give(q, buffer, length);
	return q->rx_frame;
}

/* Can @e be what it says, the beginning of a frame, or what it goes on with? */
static bool rx_makes_sense(const struct udrv_net_queue *q, const struct udrv_net_rx *e)
{
	const struct udrv_net_session *s = q->session;
	u32 room = s->copies ? s->buffer_bytes :
			       SKB_WITH_OVERHEAD(s->buffer_bytes) - UDRV_NET_HEADROOM;

	if (e->length > room || (e->flags & UDRV_NET_RX_MORE && !(s->features & UDRV_NET_SCATTER)))
		return false;
	if (q->rx_frame)
		return e->length && skb_shinfo(q->rx_frame)->nr_frags < MAX_SKB_FRAGS;
	return e->length >= ETH_HLEN;
}

/**
 * udrv_net_rx_forget() - the rest of what has arrived by half does not come any more
 * @q: the queue, with its lock held
 */
void udrv_net_rx_forget(struct udrv_net_queue *q)
{
	kfree_skb(q->rx_frame);
	q->rx_frame = NULL;
	q->rx_spoiled = false;
}

static void rx_spoil(struct udrv_net_queue *q, u32 *counter)
{
	udrv_net_rx_forget(q);
	q->rx_spoiled = true;
	(*counter)++;
}

/* One entry of the process's, in our copy. NULL: there is no frame, or not all of it, or a bad one. */
static struct sk_buff *rx_frame(struct udrv_net_queue *q, const struct udrv_net_rx *e, u32 *errors,
				u32 *dropped)
{
	struct udrv_net_session *s = q->session;
	struct net_device *dev = s->net->dev;
	bool known = e->slot < s->rx_slots;
	struct udrv_net_buffer *buffer;
	struct sk_buff *skb;

	buffer = &q->rx_buffers[array_index_nospec(e->slot, s->rx_slots)];
	/* A frame is counted once, whatever is wrong with it. */
	if (!q->rx_spoiled) {
		if (known && (e->flags & UDRV_NET_RX_DROP || !netif_running(dev)))
			rx_spoil(q, dropped);
		else if (!known || !rx_makes_sense(q, e))
			rx_spoil(q, errors);
		else if (!rx_add(q, buffer, e->length))
			rx_spoil(q, dropped);
	}
	if (known)
		rx_post(q, e->slot);
	if (e->flags & UDRV_NET_RX_MORE && s->features & UDRV_NET_SCATTER)
		return NULL;

	skb = q->rx_frame;
	q->rx_frame = NULL;
	q->rx_spoiled = false;
	if (!skb)
		return NULL;
	skb->protocol = eth_type_trans(skb, dev);
	skb_record_rx_queue(skb, q->index);
	if (e->flags & UDRV_NET_RX_CSUM && dev->features & NETIF_F_RXCSUM &&
	    s->features & UDRV_NET_RXCSUM)
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	if (e->flags & UDRV_NET_RX_VLAN && s->features & UDRV_NET_VLAN_RX)
		__vlan_hwaccel_put_tag(skb, htons(ETH_P_8021Q), e->vlan_tci);
	return skb;
}

/*
 * The stack's own batching (GRO) belongs to a NAPI that somebody runs: we, here. Where somebody else
 * does at the moment (a timer of its own, a busy poller), frames go without.
 */
static void rx_batch(struct udrv_net_queue *q, u32 count)
{
	struct udrv_net_session *s = q->session;
	struct udrv_net *net = s->net;
	struct udrv_net_counters *counters = &net->rx[q->index];
	struct napi_struct *napi = &net->napi[q->index];
	u32 packets = 0, bytes = 0, errors = 0, dropped = 0;
	/* A frame that is alone is put together with no other. */
	bool ours = (count > 1 || udrv_gro_keeps(napi)) && napi_schedule_prep(napi);
	const struct udrv_net_rx *theirs;
	struct udrv_net_rx entry;
	struct sk_buff *skb;

	for (; count; count--) {
		/* Once: what is checked is what is used. */
		theirs = &q->rx[q->rx_consumed++ & (s->rx_slots - 1)];
		entry.slot = READ_ONCE(theirs->slot);
		entry.length = READ_ONCE(theirs->length);
		entry.flags = READ_ONCE(theirs->flags);
		entry.vlan_tci = READ_ONCE(theirs->vlan_tci);
		skb = rx_frame(q, &entry, &errors, &dropped);
		if (!skb)
			continue;
		packets++;
		bytes += skb->len + ETH_HLEN;
		if (ours)
			napi_gro_receive(napi, skb);
		else
			netif_receive_skb(skb);
	}
	if (ours)
		napi_complete_done(napi, packets);

	u64_stats_update_begin(&counters->sync);
	u64_stats_add(&counters->packets, packets);
	u64_stats_add(&counters->bytes, bytes);
	if (unlikely(errors | dropped)) {
		u64_stats_add(&counters->errors, errors);
		u64_stats_add(&counters->dropped, dropped);
	}
	u64_stats_update_end(&counters->sync);
}

/**
 * udrv_net_rx_receive() - take what the driver put into rx
 * @q: the queue, linked
 *
 * Context: process, q->lock held, bottom halves off.
 */
void udrv_net_rx_receive(struct udrv_net_queue *q)
{
	struct udrv_net_session *s = q->session;
	struct udrv_net_counters *counters = &s->net->rx[q->index];
	u32 filled = udrv_ring_filled(&q->rings->rx, q->rx_consumed, s->rx_slots), batch;

	if (filled == UDRV_RING_BROKEN) {
		q->rx_consumed = READ_ONCE(q->rings->rx.produced);
		udrv_net_rx_forget(q);
		filled = 0;
		udrv_ring_release(&q->rings->rx, q->rx_consumed);
		udrv_net_count(counters, &counters->errors, 1);
	}
	if (!filled)
		return;
	for (;;) {
		batch = min_t(u32, filled, RX_BATCH);
		rx_batch(q, batch);
		filled -= batch;
		if (!filled)
			break;
		/* Let others run, as the kernel's own polling does. */
		local_bh_enable();
		cond_resched();
		local_bh_disable();
	}
	udrv_ring_release(&q->rings->rx, q->rx_consumed);
	udrv_ring_publish(&q->rings->fill, q->fill_produced);
}

/** udrv_net_rx_map() - at the beginning: every buffer is mapped, and the driver's */
int udrv_net_rx_map(struct udrv_net_queue *q)
{
	struct udrv_net_session *s = q->session;
	u32 i;
	int ret;

	ret = udrv_net_buffers_map(s, q->rx_buffers, s->rx_slots, DMA_FROM_DEVICE);
	if (ret)
		return ret;
	for (i = 0; i < s->rx_slots; i++)
		rx_post(q, i);
	udrv_ring_publish(&q->rings->fill, q->fill_produced);
	return 0;
}

/** udrv_net_rx_unmap() - at the end */
void udrv_net_rx_unmap(struct udrv_net_queue *q)
{
	udrv_net_buffers_unmap(q->session, q->rx_buffers, q->session->rx_slots, DMA_FROM_DEVICE);
}

/** udrv_net_rx_free() - and the pages; the device reaches them no more */
void udrv_net_rx_free(struct udrv_net_queue *q)
{
	udrv_net_buffers_free(q->rx_buffers, q->session->rx_slots);
	kvfree(q->rx_buffers);
	q->rx_buffers = NULL;
}
