/* SPDX-License-Identifier: MIT */
/*
 * queue.c - a queue's rings, the card's and the kernel's, and what goes from one to the other
 *
 * The kernel hands out addresses: of packets to send, of buffers to receive into. They go into
 * descriptors, and nothing of a packet is seen here. No system call either: what is done is told by
 * the next turn (net.c).
 */
#include <endian.h>
#include <string.h>
#include "e1000.h"
#include "queue.h"

/* As in ring.c: a piece of a packet stays inside one page. */
#define TX_PIECE 4096u

/* ---- receive ------------------------------------------------------------------------ */

void queue_refill(struct queue *q)
{
	struct e1000_rx *rx = &q->card->rx;
	uint32_t count = udrv_net_fill_count(q->kernel);
	/* One descriptor stays free: tail == head would say that the ring is empty [3.2.6]. */
	unsigned int room = (rx->next + rx->count - rx->tail - 1) % rx->count;

	if (count > room)
		count = room;
	if (!count)
		return;
	for (uint32_t i = 0; i < count; i++) {
		const struct udrv_net_fill *fill = udrv_net_fill_at(q->kernel, i);

		rx->desc[rx->tail].empty.address = htole64(fill->address);
		rx->desc[rx->tail].empty.zero = 0;
		q->rx_slot[rx->tail] = (uint16_t)fill->slot;
		rx->tail = rx->tail + 1 == rx->count ? 0 : rx->tail + 1;
	}
	udrv_net_fill_consume(q->kernel, count);
	e1000_write(q->card->nic, E1000_RDT(q->card->index), rx->tail);
}

/* The status of the next descriptor, in either format. */
static uint8_t rx_status(const struct e1000_queue *card)
{
	volatile union e1000_rx_desc *desc = &card->rx.desc[card->rx.next];

	return card->nic->extended ? (uint8_t)le32toh(desc->extended.status) : desc->legacy.status;
}

/* What goes with it, once it is done. */
static void rx_details(const struct e1000_queue *card, uint8_t *errors, uint16_t *length, uint16_t *tag)
{
	volatile union e1000_rx_desc *desc = &card->rx.desc[card->rx.next];

	if (card->nic->extended) {
		*errors = (uint8_t)(le32toh(desc->extended.status) >> 24);
		*length = le16toh(desc->extended.length);
		*tag = le16toh(desc->extended.vlan);
	} else {
		*errors = desc->legacy.errors;
		*length = le16toh(desc->legacy.length);
		*tag = le16toh(desc->legacy.special);
	}
}

unsigned int queue_receive(struct queue *q)
{
	struct e1000_rx *rx = &q->card->rx;
	unsigned int frames = 0;

	while (rx->next != rx->tail) {
		uint8_t status = rx_status(q->card), errors;
		uint16_t length, flags = 0, tag;

		if (!(status & E1000_RXD_DD))
			break;
		udrv_rmb();
		rx_details(q->card, &errors, &length, &tag);
		if (!(status & E1000_RXD_EOP)) {
			flags = UDRV_NET_RX_MORE;
		} else if (errors & E1000_RXD_FRAME_ERRORS) {
			flags = UDRV_NET_RX_DROP;
			rx->errors++;
		} else {
			/* A wrong checksum is not ours to judge [3.2.9]. */
			if (status & E1000_RXD_TCPCS && !(status & E1000_RXD_IXSM) &&
			    !(errors & E1000_RXD_TCPE))
				flags = UDRV_NET_RX_CSUM;
			if (status & E1000_RXD_VP) {
				flags |= UDRV_NET_RX_VLAN;
				rx->tags++;
			}
			rx->frames++;
		}
		rx->bytes += length;
		udrv_net_rx_frame(q->kernel, q->rx_slot[rx->next], length, flags, tag);
		rx->next = rx->next + 1 == rx->count ? 0 : rx->next + 1;
		frames++;
	}
	return frames;
}

/* ---- transmit ----------------------------------------------------------------------- */

/* What the card must be told of the headers [3.3.6]; returns the options of the data descriptors. */
static uint8_t context_of(const struct udrv_net_tx *tx, struct e1000_tx_context *context)
{
	memset(context, 0, sizeof(*context));
	if (!(tx->flags & UDRV_NET_TX_CSUM))
		return 0;
	context->tucss = tx->l4_offset;
	context->tucso = tx->csum_offset;
	context->command = E1000_TXD_DEXT | (tx->flags & UDRV_NET_TX_TCP ? E1000_TXD_TCP : 0) |
			   (tx->flags & UDRV_NET_TX_IPV4 ? E1000_TXD_IPV4 : 0);
	if (!(tx->flags & UDRV_NET_TX_TSO))
		return E1000_TXD_TXSM;
	context->command |= E1000_TXD_TSE | (tx->packet_length - tx->header_length);
	context->header_length = tx->header_length;
	context->mss = tx->gso_size;
	context->ipcss = tx->l3_offset;
	context->ipcso = (uint8_t)(tx->l3_offset + 10); /* of IPv4's header */
	context->ipcse = (uint16_t)(tx->l4_offset - 1);
	return E1000_TXD_TXSM | E1000_TXD_IXSM;
}

static unsigned int pieces_of(const struct udrv_net_tx *tx)
{
	return (unsigned int)((tx->address % TX_PIECE + tx->length + TX_PIECE - 1) / TX_PIECE);
}

static unsigned int tx_room(const struct e1000_tx *tx)
{
	return (tx->clean + tx->count - tx->next - 1) % tx->count;
}

/* One entry's descriptors; what follows it is what all of the packet's share. */
static void send_piece(struct queue *q, const struct udrv_net_tx *entry, uint32_t command,
		       uint8_t options, uint16_t tag)
{
	struct e1000_tx *tx = &q->card->tx;

	for (uint32_t done = 0, piece; done < entry->length; done += piece) {
		volatile struct e1000_tx_data *data = &tx->desc[tx->next].data;

		piece = TX_PIECE - (uint32_t)((entry->address + done) % TX_PIECE);
		if (piece >= entry->length - done) {
			piece = entry->length - done;
			if (entry->flags & UDRV_NET_TX_LAST) {
				command |= E1000_TXD_EOP;
				q->tx_slot[tx->next] = entry->slot;
			}
		}
		data->address = htole64(entry->address + done);
		data->command = htole32(command | piece);
		data->status = 0;
		data->options = options;
		data->special = htole16(tag);
		tx->next = tx->next + 1 == tx->count ? 0 : tx->next + 1;
	}
}

/* The packet at entry @at of @count that wait; returns its entries, 0: there is no room for it. */
static uint32_t send_packet(struct queue *q, uint32_t at, uint32_t count)
{
	const struct udrv_net_tx *first = udrv_net_tx_at(q->kernel, at), *entry = first;
	struct e1000_tx *tx = &q->card->tx;
	struct e1000_tx_context context;
	uint32_t command = E1000_TXD_DEXT | E1000_TXD_DATA | E1000_TXD_IFCS, entries = 1;
	unsigned int need = 1 + pieces_of(first); /* a context may be needed */
	uint8_t options;

	for (; !(entry->flags & UDRV_NET_TX_LAST) && entries < count; entries++) {
		entry = udrv_net_tx_at(q->kernel, at + entries);
		need += pieces_of(entry);
	}
	if (need > tx_room(tx))
		return 0;

	if (first->flags & UDRV_NET_TX_VLAN) {
		/* On its way here when that was switched off: not without its tag. */
		if (!q->card->nic->vlan) {
			udrv_net_tx_done(q->kernel, first->slot);
			return entries;
		}
		command |= E1000_TXD_VLE;
		tx->tags++;
	}
	options = context_of(first, &context);
	if (options) {
		e1000_tx_put_context(tx, &context);
		if (context.command & E1000_TXD_TSE)
			command |= E1000_TXD_TSE;
	}
	for (uint32_t i = 0; i < entries; i++)
		send_piece(q, udrv_net_tx_at(q->kernel, at + i), command, options, first->vlan_tci);
	tx->frames++;
	tx->bytes += first->packet_length;
	return entries;
}

uint32_t queue_send(struct queue *q)
{
	struct e1000_tx *tx = &q->card->tx;
	uint32_t count = udrv_net_tx_count(q->kernel), done = 0, entries;
	unsigned int begin = tx->next;

	q->tx_full = false;
	if (!count)
		return 0;
	pthread_mutex_lock(&q->sending);
	while (done < count) {
		entries = send_packet(q, done, count - done);
		if (!entries) {
			q->tx_full = true;
			break;
		}
		done += entries;
	}
	udrv_net_tx_consume(q->kernel, done);
	if (tx->next == begin)
		goto out;
	/* Only the last one reports [3.4.2]: what comes before it is done then too. */
	tx->batches[tx->batch_next].last = (tx->next + tx->count - 1) % tx->count;
	tx->desc[tx->batches[tx->batch_next].last].data.command |= htole32(E1000_TXD_RS);
	tx->batch_next = (tx->batch_next + 1) % tx->count;
	e1000_write(q->card->nic, E1000_TDT(q->card->index), tx->next);
out:
	pthread_mutex_unlock(&q->sending);
	return done;
}

unsigned int queue_reclaim(struct queue *q)
{
	struct e1000_tx *tx = &q->card->tx;
	unsigned int packets = 0;

	while (queue_sent(q)) {
		unsigned int last = tx->batches[tx->batch_clean].last;
		unsigned int end = last + 1 == tx->count ? 0 : last + 1;

		while (tx->clean != end) {
			if (q->tx_slot[tx->clean] != SLOT_NONE) {
				udrv_net_tx_done(q->kernel, q->tx_slot[tx->clean]);
				q->tx_slot[tx->clean] = SLOT_NONE;
				packets++;
			}
			tx->clean = tx->clean + 1 == tx->count ? 0 : tx->clean + 1;
		}
		tx->batch_clean = (tx->batch_clean + 1) % tx->count;
	}
	/* The room may be enough now, and no interrupt will tell of it again. */
	if (packets)
		q->tx_full = false;
	return packets;
}

void queue_restart_transmitter(struct queue *q)
{
	struct e1000_tx *tx = &q->card->tx;

	driver_say("the card sends nothing: its transmitter is started again");
	queue_reclaim(q); /* unless it has, meanwhile */
	e1000_restart_transmitter(q->card);
	for (unsigned int i = 0; i < tx->count; i++) {
		if (q->tx_slot[i] != SLOT_NONE)
			udrv_net_tx_done(q->kernel, q->tx_slot[i]);
		q->tx_slot[i] = SLOT_NONE;
	}
	q->tx_full = false;
}

/* ---- what there is to do ------------------------------------------------------------ */

bool queue_more(const struct queue *q)
{
	const struct e1000_rx *rx = &q->card->rx;

	return (udrv_net_tx_count(q->kernel) && !q->tx_full) ||
	       (rx->next != rx->tail && rx_status(q->card) & E1000_RXD_DD);
}

bool queue_sent(const struct queue *q)
{
	const struct e1000_tx *tx = &q->card->tx;

	return tx->batch_clean != tx->batch_next &&
	       tx->desc[tx->batches[tx->batch_clean].last].data.status & E1000_TXD_DD;
}

bool queue_low(const struct queue *q)
{
	const struct e1000_rx *rx = &q->card->rx;
	unsigned int all = rx->count < SLOTS ? rx->count : SLOTS;

	return (rx->tail + rx->count - rx->next) % rx->count < all / 2;
}
