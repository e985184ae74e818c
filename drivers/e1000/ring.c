/* SPDX-License-Identifier: MIT */
/*
 * ring.c - descriptors: two rings in consistent memory, worked in batches
 *
 * Owns the ring registers, the descriptors and the memory that frames lie in. The rings follow
 * [3.2.6] and [3.4]: the card works from head to tail and says "done" (DD) in the descriptor
 * itself, so that no register is read for a frame; the tail is written once for a batch. The hard
 * part is who owns what: a descriptor is the card's from the write of the tail until DD is seen.
 * udrv_write32() orders the tail after the descriptors; udrv_rmb() orders what we read of a frame
 * after its DD.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "e1000.h"

static void set_base(struct e1000 *nic, unsigned int low, uint64_t iova)
{
	e1000_write(nic, low, (uint32_t)iova);
	e1000_write(nic, low + 4, (uint32_t)(iova >> 32));
}

/* ---- receive [3.2.3 to 3.2.6] ------------------------------------------------------- */

static uint64_t rx_buffer_iova(const struct e1000_rx *rx, unsigned int i)
{
	return rx->blocks[i / E1000_RX_PER_BLOCK].iova + i % E1000_RX_PER_BLOCK * E1000_RX_BUFFER;
}

static uint8_t *rx_buffer(const struct e1000_rx *rx, unsigned int i)
{
	uint8_t *block = rx->blocks[i / E1000_RX_PER_BLOCK].addr;

	return block + i % E1000_RX_PER_BLOCK * E1000_RX_BUFFER;
}

static void rx_desc_reset(struct e1000_rx *rx, unsigned int i)
{
	rx->desc[i].empty.address = htole64(rx_buffer_iova(rx, i));
	rx->desc[i].empty.zero = 0;
}

/* The ring of [14.4]; the tail is written when the receiver is on. */
int e1000_rx_start(struct e1000_queue *q, unsigned int count)
{
	struct e1000 *nic = q->nic;
	struct e1000_rx *rx = &q->rx;
	int error = udrv_dma_alloc(nic->device, count * sizeof(*rx->desc), &rx->ring);

	for (unsigned int i = 0; !error && !nic->zero_copy && i < count; i += E1000_RX_PER_BLOCK)
		error = udrv_dma_alloc(nic->device, (size_t)E1000_RX_PER_BLOCK * E1000_RX_BUFFER,
				       &rx->blocks[i / E1000_RX_PER_BLOCK]);
	if (error)
		return error;

	rx->desc = rx->ring.addr;
	rx->count = count;
	for (unsigned int i = 0; !nic->zero_copy && i < count; i++)
		rx_desc_reset(rx, i);
	/* One descriptor stays ours; net.c gives buffers later. */
	rx->tail = nic->zero_copy ? 0 : count - 1;
	set_base(nic, E1000_RDBAL(q->index), rx->ring.iova);
	e1000_write(nic, E1000_RDLEN(q->index), count * (uint32_t)sizeof(*rx->desc));
	return 0;
}

/* One descriptor that is done. True if it is a whole, good frame; @frame is filled then. */
static bool rx_frame(struct e1000_rx *rx, unsigned int i, uint8_t status, struct port_frame *frame)
{
	uint8_t errors = rx->desc[i].legacy.errors;
	bool end = status & E1000_RXD_EOP,
	     bad = rx->in_bad_frame || errors & E1000_RXD_FRAME_ERRORS;

	/* Buffers hold the longest frame that RCTL lets in: one in several pieces is a bad one. */
	rx->in_bad_frame = !end;
	if (bad || !end) {
		rx->errors += end;
		return false;
	}

	memset(frame, 0, sizeof(*frame));
	frame->data = rx_buffer(rx, i);
	frame->iova = rx_buffer_iova(rx, i);
	frame->length = le16toh(rx->desc[i].legacy.length);
	/* A wrong checksum is not ours to judge: the system looks again, and counts it [3.2.9]. */
	if (status & E1000_RXD_TCPCS && !(status & E1000_RXD_IXSM) && !(errors & E1000_RXD_TCPE))
		frame->offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	rx->frames++;
	rx->bytes += frame->length;
	return true;
}

unsigned int e1000_rx_take(struct e1000_queue *q, struct port_frame *frames, unsigned int count)
{
	struct e1000_rx *rx = &q->rx;
	unsigned int taken = 0;

	while (taken < count) {
		uint8_t status = rx->desc[rx->next].legacy.status;

		if (!(status & E1000_RXD_DD))
			break;
		udrv_rmb();
		taken += rx_frame(rx, rx->next, status, &frames[taken]);
		rx->next = (rx->next + 1) % rx->count;
		rx->held++;
	}
	return taken;
}

void e1000_rx_refill(struct e1000_queue *q)
{
	struct e1000_rx *rx = &q->rx;

	if (!rx->held)
		return;
	for (; rx->held; rx->held--)
		rx_desc_reset(rx, (rx->next + rx->count - rx->held) % rx->count);
	/* One descriptor stays ours: tail == head would say that the ring is empty [3.2.6]. */
	e1000_write(q->nic, E1000_RDT(q->index), (rx->next + rx->count - 1) % rx->count);
}

/*
 * A piece of a frame stays inside one page. The card would not mind, but behind an IOMMU a buffer
 * is put together of pages, and QEMU's 82574L drops a frame with a piece that lies in two of them.
 */
#define TX_PIECE 4096u

/* ---- transmit [3.3, 3.4] ------------------------------------------------------------ */

void e1000_tx_empty(struct e1000_queue *q)
{
	struct e1000_tx *tx = &q->tx;

	e1000_write(q->nic, E1000_TDH(q->index), 0);
	e1000_write(q->nic, E1000_TDT(q->index), 0);
	tx->clean = tx->next = 0;
	tx->batch_clean = tx->batch_next = 0;
	tx->store_clean = tx->store_next = 0;
	memset(&tx->context, 0, sizeof(tx->context)); /* it may have forgotten it */
}

int e1000_tx_start(struct e1000_queue *q, unsigned int count)
{
	struct e1000 *nic = q->nic;
	struct e1000_tx *tx = &q->tx;
	int error = udrv_dma_alloc(nic->device, count * sizeof(*tx->desc), &tx->ring);

	if (!error && !nic->zero_copy)
		error = udrv_dma_alloc(nic->device, E1000_TX_STORE, &tx->store);
	if (error)
		return error;
	tx->batches = calloc(count, sizeof(*tx->batches));
	if (!tx->batches)
		return -ENOMEM;

	tx->desc = tx->ring.addr;
	tx->count = count;
	set_base(nic, E1000_TDBAL(q->index), tx->ring.iova);
	e1000_write(nic, E1000_TDLEN(q->index), count * (uint32_t)sizeof(*tx->desc));
	return 0;
}

/* Lazily, when room is wanted: whole batches whose last descriptor is done. */
static void tx_reclaim(struct e1000_tx *tx)
{
	while (tx->batch_clean != tx->batch_next) {
		struct e1000_tx_batch *batch = &tx->batches[tx->batch_clean];

		if (!(tx->desc[batch->last].data.status & E1000_TXD_DD))
			break;
		tx->clean = (batch->last + 1) % tx->count;
		tx->store_clean = batch->store_end;
		tx->batch_clean = (tx->batch_clean + 1) % tx->count;
	}
	if (tx->batch_clean == tx->batch_next)
		tx->store_clean = tx->store_next = 0;
}

/* Bytes in one piece from store_next on. The store is never filled up: next == clean is "empty". */
static uint32_t tx_store_room(struct e1000_tx *tx, uint32_t frame_max)
{
	if (tx->store_next < tx->store_clean)
		return tx->store_clean - tx->store_next - PORT_ALIGN;
	if (E1000_TX_STORE - tx->store_next >= frame_max ||
	    tx->store_clean < frame_max + PORT_ALIGN)
		return E1000_TX_STORE - tx->store_next;
	tx->store_next = 0;
	return tx->store_clean - PORT_ALIGN;
}

uint8_t *e1000_tx_space(struct e1000_queue *q, uint32_t frame_max, uint64_t *iova, uint32_t *room,
			unsigned int *count)
{
	struct e1000_tx *tx = &q->tx;
	/* A context, and pieces; the ring's last descriptor stays free, as in the receive ring. */
	unsigned int each = 1 + frame_max / TX_PIECE + 2, free;

	tx_reclaim(tx);
	free = (tx->clean + tx->count - tx->next - 1) % tx->count / each;
	*room = tx_store_room(tx, frame_max);
	*iova = tx->store.iova + tx->store_next;
	if (*count > free)
		*count = free;
	if (*room < frame_max)
		*count = 0;
	return (uint8_t *)tx->store.addr + tx->store_next;
}

static volatile union e1000_tx_desc *tx_next(struct e1000_tx *tx)
{
	volatile union e1000_tx_desc *desc = &tx->desc[tx->next];

	tx->next = (tx->next + 1) % tx->count;
	return desc;
}

/* The card keeps the last context: one is written only where it differs [3.3.5]. */
void e1000_tx_put_context(struct e1000_tx *tx, const struct e1000_tx_context *wanted)
{
	volatile struct e1000_tx_context *context;

	if (!memcmp(wanted, &tx->context, sizeof(*wanted)))
		return;
	tx->context = *wanted;
	context = &tx_next(tx)->context;
	context->ipcss = wanted->ipcss;
	context->ipcso = wanted->ipcso;
	context->ipcse = htole16(wanted->ipcse);
	context->tucss = wanted->tucss;
	context->tucso = wanted->tucso;
	context->tucse = htole16(wanted->tucse);
	context->command = htole32(wanted->command);
	context->status = 0;
	context->header_length = wanted->header_length;
	context->mss = htole16(wanted->mss);
}

/* A context if the frame needs one, then its pieces [3.3.7]. */
static void tx_frame(struct e1000_tx *tx, struct port_frame *frame)
{
	struct e1000_tx_context context;
	uint8_t options = e1000_offload(tx, frame, &context);
	uint32_t command = E1000_TXD_DEXT | E1000_TXD_DATA | E1000_TXD_IFCS;

	if (options)
		e1000_tx_put_context(tx, &context);
	if (options && context.command & E1000_TXD_TSE)
		command |= E1000_TXD_TSE;

	for (uint32_t done = 0, piece; done < frame->length; done += piece) {
		volatile struct e1000_tx_data *data = &tx_next(tx)->data;

		piece = TX_PIECE - (frame->iova + done) % TX_PIECE;
		if (piece >= frame->length - done) {
			piece = frame->length - done;
			command |= E1000_TXD_EOP;
		}
		data->address = htole64(frame->iova + done);
		data->command = htole32(command | piece);
		data->status = 0;
		data->options = options;
		data->special = 0;
	}
	tx->frames++;
	tx->bytes += frame->length;
}

void e1000_tx_send(struct e1000_queue *q, struct port_frame *frames, unsigned int count)
{
	struct e1000_tx *tx = &q->tx;
	struct e1000_tx_batch *batch = &tx->batches[tx->batch_next];
	const struct port_frame *end = &frames[count - 1];

	if (!count)
		return;
	for (unsigned int i = 0; i < count; i++)
		tx_frame(tx, &frames[i]);

	/* Only the last one reports [3.4.2]: what comes before it is done then too. */
	batch->last = (tx->next + tx->count - 1) % tx->count;
	tx->desc[batch->last].data.command |= htole32(E1000_TXD_RS);
	tx->store_next =
		PORT_ALIGNED((uint32_t)(end->data + end->length - (uint8_t *)tx->store.addr));
	batch->store_end = tx->store_next;
	tx->batch_next = (tx->batch_next + 1) % tx->count;
	e1000_write(q->nic, E1000_TDT(q->index), tx->next);
}

/* ---- both --------------------------------------------------------------------------- */

void e1000_rings_free(struct e1000 *nic)
{
	for (struct e1000_queue *q = nic->queues; q < nic->queues + E1000_QUEUES; q++) {
		udrv_dma_free(nic->device, &q->rx.ring);
		for (size_t i = 0; i < E1000_RING_MAX / E1000_RX_PER_BLOCK; i++)
			udrv_dma_free(nic->device, &q->rx.blocks[i]);
		udrv_dma_free(nic->device, &q->tx.ring);
		udrv_dma_free(nic->device, &q->tx.store);
		free(q->tx.batches);
		q->tx.batches = NULL;
	}
}
