// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets on their way out: from the stack to the ring, and what happens when they are done
 *
 * A packet takes a free slot, its pieces are mapped for the device, and one entry for each goes into
 * the ring. Where the device must not see what lies beside a packet (confined), or there is none, it
 * is copied into the slot's own buffer, which stays mapped. Nothing is allocated.
 *
 * The hard part is that two sides work at once: the stack under the transmit queue's lock, and the
 * driver's call under the queue's. What passes between them is a ring of free slots, with one
 * producer and one consumer; a slot belongs to whoever took it from there.
 */
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/nospec.h>
#include <linux/tcp.h>
#include <net/ip6_checksum.h>

#include "net.h"

/* ---- room ---- */

/* Is there room for another packet, however many pieces it has? The transmit queue is locked. */
static bool tx_has_room(struct udrv_net_queue *q)
{
	struct udrv_net_session *s = q->session;
	u32 used;

	/* Pairs with slot_put(): who sees the slot free sees it empty. */
	if (smp_load_acquire(&q->free_put) == q->free_get)
		return false;
	used = udrv_ring_used(&q->rings->tx, q->tx_produced, s->tx_entries);
	return used <= s->tx_entries - UDRV_NET_PIECES; /* not if it is nonsense */
}

static void slot_put(struct udrv_net_queue *q, u16 slot)
{
	q->slots[slot].busy = false;
	q->free[q->free_put & (q->session->tx_slots - 1)] = slot;
	/* Pairs with tx_has_room(). */
	smp_store_release(&q->free_put, q->free_put + 1);
}

/* ---- what the device is to do ---- */

/*
 * Devices add each segment's own length to the sum, and fill in the lengths: both begin at nothing.
 */
static int tx_prepare_segmentation(struct sk_buff *skb)
{
	int ret = skb_cow_head(skb, 0);

	if (ret)
		return ret;
	if (skb_shinfo(skb)->gso_type & SKB_GSO_TCPV6) {
		ipv6_hdr(skb)->payload_len = 0;
		tcp_v6_gso_csum_prep(skb);
	} else {
		struct iphdr *ip = ip_hdr(skb);

		ip->tot_len = 0;
		ip->check = 0;
		tcp_hdr(skb)->check = ~csum_tcpudp_magic(ip->saddr, ip->daddr, 0, IPPROTO_TCP, 0);
	}
	return 0;
}

static u16 tx_checksum_flags(struct sk_buff *skb)
{
	u16 flags = UDRV_NET_TX_CSUM;
	u8 protocol = 0;

	switch (vlan_get_protocol(skb)) {
	case htons(ETH_P_IP):
		flags |= UDRV_NET_TX_IPV4;
		protocol = ip_hdr(skb)->protocol;
		break;
	case htons(ETH_P_IPV6):
		flags |= UDRV_NET_TX_IPV6;
		if (skb->csum_offset == offsetof(struct tcphdr, check))
			protocol = IPPROTO_TCP;
		else if (skb->csum_offset == offsetof(struct udphdr, check))
			protocol = IPPROTO_UDP;
		break;
	}
	if (protocol == IPPROTO_TCP)
		flags |= UDRV_NET_TX_TCP;
	else if (protocol == IPPROTO_UDP)
		flags |= UDRV_NET_TX_UDP;
	return flags;
}

/* The first entry's fields for the packet as a whole. */
static void tx_describe(struct sk_buff *skb, struct udrv_net_tx *e)
{
	*e = (struct udrv_net_tx){ .packet_length = skb->len };
	if (skb_vlan_tag_present(skb)) {
		e->flags |= UDRV_NET_TX_VLAN;
		e->vlan_tci = skb_vlan_tag_get(skb);
	}
	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return;
	/* All fit: udrv_net_features_check(). */
	e->flags |= tx_checksum_flags(skb);
	e->l3_offset = skb_network_offset(skb);
	e->l4_offset = skb_checksum_start_offset(skb);
	e->csum_offset = e->l4_offset + skb->csum_offset;
	if (skb_is_gso(skb)) {
		e->flags |= UDRV_NET_TX_TSO;
		e->gso_size = skb_shinfo(skb)->gso_size;
		e->header_length = skb_tcp_all_headers(skb);
	}
}

/**
 * udrv_net_features_check() - what the ring can say of a packet
 * @skb: the packet
 * @dev: the interface
 * @features: what it could do
 *
 * The offsets in an entry have one byte each.
 */
netdev_features_t udrv_net_features_check(struct sk_buff *skb, struct net_device *dev,
					  netdev_features_t features)
{
	unsigned int place;

	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		place = skb_checksum_start_offset(skb) + skb->csum_offset;
		if (place > U8_MAX || skb_network_offset(skb) < 0)
			features &= ~(NETIF_F_CSUM_MASK | NETIF_F_GSO_MASK);
	}
	/* The core lets CHECKSUM_UNNECESSARY pass, of which an entry cannot tell. */
	if (skb_is_gso(skb) && (skb->ip_summed != CHECKSUM_PARTIAL || skb->encapsulation ||
				skb_tcp_all_headers(skb) > U8_MAX))
		features &= ~NETIF_F_GSO_MASK;
	return vlan_features_check(skb, features);
}

/* ---- the way out ---- */

static void slot_unmap(struct udrv_net_queue *q, struct udrv_net_tx_slot *slot)
{
	struct device *dma = q->session->dma;
	u32 i;

	if (!slot->pieces)
		return;
	dma_unmap_single(dma, slot->map[0].address, slot->map[0].length, DMA_TO_DEVICE);
	for (i = 1; i < slot->pieces; i++)
		dma_unmap_page(dma, slot->map[i].address, slot->map[i].length, DMA_TO_DEVICE);
	slot->pieces = 0;
}

/* Map a packet's pieces into @slot. */
static int tx_map(struct udrv_net_queue *q, struct sk_buff *skb, struct udrv_net_tx_slot *slot)
{
	struct device *dma = q->session->dma;
	const skb_frag_t *frag;
	dma_addr_t address;
	u32 i;

	slot->pieces = 0;
	address = dma_map_single(dma, skb->data, skb_headlen(skb), DMA_TO_DEVICE);
	if (dma_mapping_error(dma, address))
		return -ENOMEM;
	slot->map[0].address = address;
	slot->map[0].length = skb_headlen(skb);
	slot->pieces = 1;

	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		frag = &skb_shinfo(skb)->frags[i];
		address = skb_frag_dma_map(dma, frag, 0, skb_frag_size(frag), DMA_TO_DEVICE);
		if (dma_mapping_error(dma, address)) {
			slot_unmap(q, slot);
			return -ENOMEM;
		}
		slot->map[i + 1].address = address;
		slot->map[i + 1].length = skb_frag_size(frag);
		slot->pieces++;
	}
	slot->skb = skb;
	return 0;
}

/* Or copy it into the slot's buffer. */
static int tx_copy(struct udrv_net_queue *q, struct sk_buff *skb, u16 number)
{
	struct udrv_net_buffer *buffer = &q->tx_buffers[number];

	if (skb->len > UDRV_NET_BUFFER_BYTES || skb_copy_bits(skb, 0, buffer->va, skb->len))
		return -EMSGSIZE;
	if (buffer->page && q->session->dma)
		dma_sync_single_range_for_device(q->session->dma, buffer->address - buffer->offset,
						 buffer->offset, skb->len, DMA_TO_DEVICE);
	q->slots[number].skb = NULL;
	return 0;
}

static void tx_write_entries(struct udrv_net_queue *q, struct udrv_net_tx *first, u16 number)
{
	struct udrv_net_tx_slot *slot = &q->slots[number];
	u32 mask = q->session->tx_entries - 1, i;

	first->slot = number;
	first->flags |= UDRV_NET_TX_FIRST;
	if (!slot->pieces) {
		first->address = q->tx_buffers[number].address;
		first->length = first->packet_length;
		first->flags |= UDRV_NET_TX_LAST;
		q->tx[q->tx_produced++ & mask] = *first;
		return;
	}
	first->address = slot->map[0].address;
	first->length = slot->map[0].length;
	if (slot->pieces == 1)
		first->flags |= UDRV_NET_TX_LAST;
	q->tx[q->tx_produced++ & mask] = *first;
	for (i = 1; i < slot->pieces; i++)
		q->tx[q->tx_produced++ & mask] = (struct udrv_net_tx){
			.address = slot->map[i].address,
			.length = slot->map[i].length,
			.slot = number,
			.flags = i == slot->pieces - 1 ? UDRV_NET_TX_LAST : 0,
		};
}

/* Returns the slot, or -errno: the packet is to be dropped. */
static int tx_take(struct udrv_net_queue *q, struct sk_buff *skb)
{
	u16 number = q->free[q->free_get & (q->session->tx_slots - 1)];
	struct udrv_net_tx_slot *slot = &q->slots[number];
	struct udrv_net_tx entry;
	int ret;

	/* Before the headers are prepared: all of it is told to the device by the entry. */
	if (skb_is_gso(skb)) {
		ret = tx_prepare_segmentation(skb);
		if (ret)
			return ret;
	}
	tx_describe(skb, &entry);
	ret = q->session->copies ? tx_copy(q, skb, number) : tx_map(q, skb, slot);
	if (ret)
		return ret;
	/* It stays as long as a process likes, and a namespace's end waits for these. */
	nf_reset_ct(skb);
	slot->bytes = skb->len;
	q->free_get++;
	tx_write_entries(q, &entry, number);
	return number;
}

static void tx_stop(struct udrv_net_queue *q, struct netdev_queue *txq)
{
	netif_tx_stop_queue(txq);
	/* Pairs with tx_wake(): it sees the queue stopped, or we see the room that it made. */
	smp_mb();
	if (tx_has_room(q))
		netif_tx_start_queue(txq);
}

/**
 * udrv_net_xmit() - a packet from the stack
 * @skb: the packet
 * @dev: the interface
 *
 * Context: softirq, under the transmit queue's lock.
 */
netdev_tx_t udrv_net_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct udrv_net *net = netdev_priv(dev);
	u16 index = skb_get_queue_mapping(skb);
	struct netdev_queue *txq = netdev_get_tx_queue(dev, index);
	struct udrv_net_session *s = rcu_dereference_bh(net->session);
	bool more = netdev_xmit_more(), told;
	struct udrv_net_queue *q;
	int number;

	if (unlikely(!s)) {
		/* netdev_part() is about to stop the queue: the packet is the next driver's. */
		netif_tx_stop_queue(txq);
		/* Pairs with netdev_link(): it wakes what is stopped, or we see its session. */
		smp_mb();
		if (rcu_access_pointer(net->session))
			netif_tx_start_queue(txq);
		return NETDEV_TX_BUSY;
	}
	q = &s->queues[index];
	if (unlikely(!tx_has_room(q))) {
		tx_stop(q, txq);
		if (netif_tx_queue_stopped(txq)) {
			udrv_waiter_wake(&q->waiter);
			return NETDEV_TX_BUSY;
		}
	}
	/* Where the device does not pad, its driver could not: it does not see the packet. */
	if (!(s->features & UDRV_NET_PADS) && eth_skb_pad(skb)) {
		udrv_net_count(&net->tx[index], &net->tx[index].dropped, 1);
		goto out_tell;
	}
	number = tx_take(q, skb);
	if (number < 0) {
		udrv_net_count(&net->tx[index], &net->tx[index].dropped, 1);
		dev_kfree_skb_any(skb);
		goto out_tell;
	}

	u64_stats_update_begin(&net->tx[index].sync);
	u64_stats_inc(&net->tx[index].packets);
	u64_stats_add(&net->tx[index].bytes, skb->len);
	u64_stats_update_end(&net->tx[index].sync);
	skb_tx_timestamp(skb);
	told = __netdev_tx_sent_queue(txq, skb->len, more);
	if (s->copies)
		dev_consume_skb_any(skb);
	/*
	 * From here on the driver may say that it is done, even if it was not told of it: pairs with
	 * udrv_net_tx_complete(). The packet is not to be touched any more.
	 */
	smp_store_release(&q->slots[number].busy, true);
	udrv_ring_publish(&q->rings->tx, q->tx_produced);
	if (!tx_has_room(q)) {
		tx_stop(q, txq);
		told = true;
	}
	if (told)
		udrv_waiter_wake(&q->waiter);
	return NETDEV_TX_OK;

out_tell:
	/* It was the last of a batch: what came before it was published, and nobody told. */
	if (!more)
		udrv_waiter_wake(&q->waiter);
	return NETDEV_TX_OK;
}

/* ---- done ---- */

static void tx_wake(struct udrv_net_queue *q, struct netdev_queue *txq)
{
	struct udrv_net *net = q->session->net;

	/* Pairs with tx_stop(). */
	smp_mb();
	if (likely(!netif_tx_queue_stopped(txq)))
		return;
	__netif_tx_lock(txq, smp_processor_id());
	/* Not if it was stopped for another reason: netdev_part() or netdev_stop(). */
	if (tx_has_room(q) && netif_running(net->dev) &&
	    rcu_access_pointer(net->session) == q->session)
		netif_tx_wake_queue(txq);
	__netif_tx_unlock(txq);
}

/**
 * udrv_net_tx_complete() - take what the driver put into tx_done
 * @q: the queue, linked
 *
 * Context: process, q->lock held, bottom halves off.
 */
void udrv_net_tx_complete(struct udrv_net_queue *q)
{
	struct udrv_net_session *s = q->session;
	struct udrv_net *net = s->net;
	struct netdev_queue *txq = netdev_get_tx_queue(net->dev, q->index);
	u32 filled = udrv_ring_filled(&q->rings->tx_done, q->tx_done_consumed, s->tx_slots);
	u32 packets = 0, bytes = 0, errors = 0;

	if (filled == UDRV_RING_BROKEN) {
		/* Where the driver says that it is. Its packets are lost until it attaches anew. */
		q->tx_done_consumed = READ_ONCE(q->rings->tx_done.produced);
		filled = 0;
		errors++;
	}
	for (; filled; filled--) {
		u32 number = READ_ONCE(q->tx_done[q->tx_done_consumed++ & (s->tx_slots - 1)]);
		struct udrv_net_tx_slot *slot;

		slot = &q->slots[array_index_nospec(number, s->tx_slots)];
		/* Pairs with udrv_net_xmit(): it has done with the packet. */
		if (number >= s->tx_slots || !smp_load_acquire(&slot->busy)) {
			errors++;
			continue;
		}
		packets++;
		bytes += slot->bytes;
		slot_unmap(q, slot);
		if (slot->skb)
			napi_consume_skb(slot->skb, 1); /* not 0: bottom halves are off */
		slot->skb = NULL;
		slot_put(q, number);
	}
	udrv_ring_release(&q->rings->tx_done, q->tx_done_consumed);
	if (unlikely(errors))
		udrv_net_count(&net->rx[q->index], &net->rx[q->index].done_errors, errors);
	if (packets)
		netdev_tx_completed_queue(txq, packets, bytes);
	tx_wake(q, txq);
}

/** udrv_net_tx_map() - at the beginning: where copied packets lie, for the device */
int udrv_net_tx_map(struct udrv_net_queue *q)
{
	return q->tx_buffers ? udrv_net_buffers_map(q->session, q->tx_buffers, q->session->tx_slots,
						    DMA_TO_DEVICE) :
			       0;
}

/** udrv_net_tx_unmap() - undo it; what is on its way is unmapped, and kept */
void udrv_net_tx_unmap(struct udrv_net_queue *q)
{
	struct udrv_net_session *s = q->session;
	u32 i;

	for (i = 0; i < s->tx_slots; i++)
		slot_unmap(q, &q->slots[i]);
	if (q->tx_buffers)
		udrv_net_buffers_unmap(s, q->tx_buffers, s->tx_slots, DMA_TO_DEVICE);
}

/** udrv_net_tx_free() - and then given back; the device reaches none of it any more */
void udrv_net_tx_free(struct udrv_net_queue *q)
{
	u32 i;

	for (i = 0; q->slots && i < q->session->tx_slots; i++) {
		dev_kfree_skb_any(q->slots[i].skb);
		q->slots[i].skb = NULL;
	}
	udrv_net_buffers_free(q->tx_buffers, q->session->tx_slots);
	kvfree(q->tx_buffers);
	kvfree(q->slots);
	kvfree(q->free);
	q->tx_buffers = NULL;
	q->slots = NULL;
	q->free = NULL;
}
