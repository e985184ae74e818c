/* SPDX-License-Identifier: MIT */
/*
 * libudrv_net.h - be the driver of a network interface
 *
 * A thin layer over <udrv/net.h>, which says what the rings are and what the kernel does with them.
 * A driver's loop, for each queue:
 *
 *   for each packet to send (udrv_net_tx_count, udrv_net_tx_at): descriptors from its pieces; consume
 *   for each packet that the device has sent: udrv_net_tx_done()
 *   for each empty buffer (udrv_net_fill_count, udrv_net_fill_at): a receive descriptor; consume
 *   for each frame that has arrived: udrv_net_rx_frame()
 *   udrv_net_turn(): hands in, and sleeps until there is more to do
 *
 * Buffers are there from the attach on: give them to the device before the first sleep.
 *
 * Threads: each queue is one thread's at a time; different queues never interfere. udrv_net_kick()
 * may be called from any thread and from a signal handler, the other calls from any thread.
 * udrv_net_close() must be the last.
 *
 * Results: 0 or a count, -errno on failure.
 */
#ifndef LIBUDRV_NET_H
#define LIBUDRV_NET_H

#include <libudrv.h>
#include <libudrv_ring.h>
#include <udrv/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct udrv_net - an interface that this process drives; made by udrv_net_attach() */
struct udrv_net;

/**
 * struct udrv_net_options - what udrv_net_attach() is told; see struct udrv_ioc_net_attach
 * @name: of the interface; "eth%d": the device's, if nobody drives it, or else the first that is free
 * @address: its Ethernet address, if it is made now
 * @features: UDRV_NET_CSUM and others: what the device does for the system
 * @queue_count: 0: 1
 * @tx_slots: most packets on their way in each queue, 0: 256
 * @rx_slots: buffers in each queue, 0: 256
 * @max_mtu: 0: 1500; more than 3400 with UDRV_NET_SCATTER only
 * @grace_ms: how long the carrier is held without a driver, 0: 3000
 * @hang_ms: after how long a driver that makes no turn, with something to do, is ended; 0: never
 */
struct udrv_net_options {
	const char *name;
	uint8_t address[6];
	uint32_t features;
	uint32_t queue_count;
	uint32_t tx_slots;
	uint32_t rx_slots;
	uint32_t max_mtu;
	uint32_t grace_ms;
	uint32_t hang_ms;
};

/**
 * udrv_net_attach() - make an interface, or take one over whose driver has ended
 * @device: whose device moves the data, with its DMA mask set; NULL: none, packets are copied. It must
 *	outlive the interface's object
 * @options: what it is to be
 * @net: where the new object goes
 *
 * Return: 0; -EPERM no right to it; -EBUSY it has a driver; -EEXIST another interface has that name;
 * -EINVAL, -ENOMEM; -ENOENT the kernel module is not loaded
 */
int udrv_net_attach(struct udrv *device, const struct udrv_net_options *options,
		    struct udrv_net **net);

/**
 * udrv_net_close() - stop driving it
 * @net: may be NULL
 *
 * The device is no longer driven either, for it knew addresses of packets: every call to it fails with
 * -ENODEV. An interface of a device stays, for the next driver; one without a device is gone.
 */
void udrv_net_close(struct udrv_net *net);

/** udrv_net_name() - the interface's name when it was attached to */
const char *udrv_net_name(const struct udrv_net *net);

/** udrv_net_index() - its number, for if_indextoname(3) and netlink */
unsigned int udrv_net_index(const struct udrv_net *net);

/** udrv_net_flags() - UDRV_NET_TAKEN_OVER, UDRV_NET_COPIES */
unsigned int udrv_net_flags(const struct udrv_net *net);

/** udrv_net_fd() - the descriptor, for poll(): readable when a queue has something to do */
int udrv_net_fd(const struct udrv_net *net);

/** udrv_net_data() - without a device: where an entry's address lies in this process */
void *udrv_net_data(const struct udrv_net *net, uint64_t address);

/** udrv_net_state() - what the system wants of the interface (NET_STATE); fills @state whole */
int udrv_net_state(struct udrv_net *net, struct udrv_ioc_net_state *state);

/** udrv_net_link() - tell of the link (NET_LINK); @speed in Mbit/s, 0: it and the duplex mode are not known */
int udrv_net_link(struct udrv_net *net, bool up, uint32_t speed, bool full_duplex);

/** udrv_net_vector() - the interrupts of @vector wake @queue and nobody else (NET_VECTOR) */
int udrv_net_vector(struct udrv_net *net, unsigned int queue, unsigned int vector);

/** udrv_net_kick() - end @queue's wait, or its next one; async-signal-safe */
int udrv_net_kick(struct udrv_net *net, unsigned int queue);

/* ---- queues ------------------------------------------------------------------------------- */

/**
 * struct udrv_net_queue - a queue's rings; from udrv_net_get_queue()
 * @turn: the call, with its answer: ready, irq_count, irq_value
 */
struct udrv_net_queue {
	struct udrv_ring_side tx, tx_done, fill, rx;
	const struct udrv_net_tx *tx_entries;
	uint32_t *tx_done_entries;
	const struct udrv_net_fill *fill_entries;
	struct udrv_net_rx *rx_entries;
	struct udrv_ioc_net_turn turn;
	int fd;
};

/** udrv_net_get_queue() - queue @index; the object's, valid until udrv_net_close(); NULL: there is none */
struct udrv_net_queue *udrv_net_get_queue(struct udrv_net *net, unsigned int index);

/** udrv_net_tx_count() - pieces of packets that wait to be sent */
static inline uint32_t udrv_net_tx_count(const struct udrv_net_queue *queue)
{
	return udrv_ring_count(&queue->tx);
}

/** udrv_net_tx_at() - the piece @n, from 0, of those that wait */
static inline const struct udrv_net_tx *udrv_net_tx_at(const struct udrv_net_queue *queue, uint32_t n)
{
	return &queue->tx_entries[(queue->tx.index + n) & queue->tx.mask];
}

/** udrv_net_tx_consume() - the first @count were taken, and their entries may be used again */
static inline void udrv_net_tx_consume(struct udrv_net_queue *queue, uint32_t count)
{
	udrv_ring_consume(&queue->tx, count);
}

/** udrv_net_tx_done() - the device has done with the packet in @slot; told by the next turn */
static inline void udrv_net_tx_done(struct udrv_net_queue *queue, uint32_t slot)
{
	queue->tx_done_entries[queue->tx_done.index++ & queue->tx_done.mask] = slot;
}

/** udrv_net_fill_count() - empty buffers that wait to be given to the device */
static inline uint32_t udrv_net_fill_count(const struct udrv_net_queue *queue)
{
	return udrv_ring_count(&queue->fill);
}

/** udrv_net_fill_at() - the buffer @n of them */
static inline const struct udrv_net_fill *udrv_net_fill_at(const struct udrv_net_queue *queue,
							    uint32_t n)
{
	return &queue->fill_entries[(queue->fill.index + n) & queue->fill.mask];
}

/** udrv_net_fill_consume() - the first @count were taken */
static inline void udrv_net_fill_consume(struct udrv_net_queue *queue, uint32_t count)
{
	udrv_ring_consume(&queue->fill, count);
}

/**
 * udrv_net_rx_frame() - a frame has arrived, or a part of one; told by the next turn
 * @queue: the queue
 * @slot: the buffer that it is in
 * @length: bytes, without CRC
 * @flags: UDRV_NET_RX_*; with UDRV_NET_RX_MORE the next call is for what it goes on in
 * @vlan_tci: with UDRV_NET_RX_VLAN
 */
static inline void udrv_net_rx_frame(struct udrv_net_queue *queue, uint32_t slot, uint32_t length,
				     uint16_t flags, uint16_t vlan_tci)
{
	struct udrv_net_rx *entry = &queue->rx_entries[queue->rx.index++ & queue->rx.mask];

	entry->slot = slot;
	entry->length = length;
	entry->flags = flags;
	entry->vlan_tci = vlan_tci;
}

/**
 * udrv_net_turn() - hand in what is done and what has arrived, and wait for more to do (NET_TURN)
 * @queue: the queue
 * @ignore: UDRV_NET_READY_* bits that are not to be waited for
 * @timeout_ns: 0: do not wait; UDRV_NET_FOREVER
 *
 * Return: UDRV_NET_READY_* bits, 0 if the time was over; -EINTR a signal; -ENODEV the interface or the
 * device is gone, or was taken from this driver.
 */
int udrv_net_turn(struct udrv_net_queue *queue, uint32_t ignore, uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif /* LIBUDRV_NET_H */
