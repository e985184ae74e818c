/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The network half's own structures
 *
 * struct udrv_net is an interface: from its making until the device is unbound or it is deleted.
 * struct udrv_net_session is one driver's service of it: from NET_ATTACH until its descriptor is
 * closed, its client ends, or the interface is gone. The two are linked while both are there.
 *
 * Locks, in order; none of ours is held when rtnl is taken (but the device's lock, by remove()):
 *
 *	rtnl  >  udrv_net_lock  >  queue->lock  >  a transmit queue's lock
 *	udev->lock  >  client->lock  >  udrv_net_lock
 *
 * - rtnl: which interfaces there are, and their making.
 * - udrv_net_lock (mutex): the link between an interface and its driver.
 * - queue->lock (mutex): the driver's side of a queue: what is taken from the process. The watch
 *   (watch.c) only tries it, and holds no lock when it ends a client.
 * - the transmit queue's lock (the kernel's, softirq): the system's side of a queue.
 *
 * Memory that the device may reach is freed by the client's end only, after its bus mastering is off
 * and the IOMMU is flushed: until then a session keeps it, linked or not.
 */
#ifndef UDRV_NET_H
#define UDRV_NET_H

#include <linux/netdevice.h>
#include <linux/u64_stats_sync.h>

#include <udrv/net.h>

#include "../ring.h"
#include "../udrv.h"

#define UDRV_NET_PIECES (MAX_SKB_FRAGS + 1)

/* Bytes of a receive buffer, and of a copied packet's; two of them are a page's. */
#define UDRV_NET_BUFFER_BYTES 2048U
#define UDRV_NET_HEADROOM (NET_SKB_PAD + NET_IP_ALIGN)

/**
 * struct udrv_net_tx_slot - a packet on its way to the device
 * @skb: it, or NULL: it was copied
 * @busy: the driver has it
 * @pieces: entries in @map
 * @map: what is mapped for the device
 * @bytes: for the queue's limit
 */
struct udrv_net_tx_slot {
	struct sk_buff *skb;
	bool busy;
	u8 pieces;
	u32 bytes;
	struct {
		dma_addr_t address;
		u32 length;
	} map[UDRV_NET_PIECES];
};

/**
 * struct udrv_net_buffer - memory for one packet, received or copied out
 * @page: NULL where it lies in the area that the process maps
 * @va: its first byte
 * @address: the same for the device: of the page, or of the buffer where pages are not shared with
 *	the stack
 * @offset: of @va in the page
 * @bias: references to @page that are ours
 */
struct udrv_net_buffer {
	struct page *page;
	void *va;
	u64 address;
	u32 offset;
	u16 bias;
};

/* Counted where they happen; each has one writer at a time. */
struct udrv_net_counters {
	struct u64_stats_sync sync;
	u64_stats_t packets;
	u64_stats_t bytes;
	u64_stats_t dropped;
	u64_stats_t errors;	 /* entries of rx that made no sense */
	u64_stats_t done_errors; /* of tx_done: the same writer's, so with rx */
};

/* A queue's counters in the order of ethtool -S: first those of udrv_net.rx, then those of .tx. */
enum {
	UDRV_NET_RX_PACKETS,
	UDRV_NET_RX_BYTES,
	UDRV_NET_RX_DROPPED,
	UDRV_NET_RX_ERRORS,
	UDRV_NET_TX_DONE_ERRORS,
	UDRV_NET_TX_PACKETS,
	UDRV_NET_TX_BYTES,
	UDRV_NET_TX_DROPPED,
	UDRV_NET_COUNTERS
};

/**
 * struct udrv_net_watch - what is known of a queue's driver, and of its device
 * @work: looks
 * @runs: it is on its way; written under the queue's lock, as is the rest but @turns
 * @driver: the process that made the last turn, or attached; referenced
 * @turns: turns begun, and waits ended
 * @seen_turns: at the last look
 * @seen_states: likewise, of the session's
 * @seen_consumed: likewise, of the ring tx
 * @seen_done: likewise: packets that came back
 * @hang_looks: that have found the driver away with something to do, one behind the other
 * @stall_looks: that have found packets with the device, and none come back
 * @stall_told: the driver knows
 */
struct udrv_net_watch {
	struct delayed_work work;
	bool runs;
	struct pid *driver;
	u32 turns;
	u32 seen_turns;
	u32 seen_states;
	u32 seen_consumed;
	u32 seen_done;
	u32 hang_looks;
	u32 stall_looks;
	bool stall_told;
};

/**
 * struct udrv_net_queue - one queue of a session
 * @session: whose
 * @index: its number
 * @rings: the shared indices
 * @tx: entries of the shared rings
 * @tx_done: likewise
 * @fill: likewise
 * @rx: likewise
 * @waiter: the driver's thread
 * @stalled: it is to be told that its device sends nothing
 * @lock: see above; protects what follows, to @watch
 * @linked: the interface is there
 * @tx_done_consumed: our index
 * @fill_produced: our index
 * @rx_consumed: our index
 * @rx_frame: the frame that goes on in the next entry, as far as it has come, or NULL
 * @rx_spoiled: the rest of it is dropped, too
 * @free_put: of @free, where completions put
 * @watch: see there
 * @tx_produced: our index; with what follows under the transmit queue's lock
 * @free_get: of @free, where transmission takes
 * @free: circular: numbers of slots that are free
 * @slots: packets on their way
 * @tx_buffers: where copied packets lie, or NULL
 * @rx_buffers: what is received into
 */
struct udrv_net_queue {
	struct udrv_net_session *session;
	unsigned int index;
	struct udrv_net_rings *rings;
	struct udrv_net_tx *tx;
	u32 *tx_done;
	struct udrv_net_fill *fill;
	struct udrv_net_rx *rx;
	struct udrv_waiter waiter;
	unsigned long stalled;

	struct mutex lock ____cacheline_aligned_in_smp;
	bool linked;
	u32 tx_done_consumed;
	u32 fill_produced;
	u32 rx_consumed;
	struct sk_buff *rx_frame;
	bool rx_spoiled;
	u32 free_put;
	struct udrv_net_watch watch;

	u32 tx_produced ____cacheline_aligned_in_smp;
	u32 free_get;
	u16 *free;
	struct udrv_net_tx_slot *slots;
	struct udrv_net_buffer *tx_buffers;
	struct udrv_net_buffer *rx_buffers;
};

/**
 * struct udrv_net_session - a driver's service of an interface
 * @client: its device's, referenced; or NULL: no device
 * @dma: the device that moves the data, or NULL; valid until @ended
 * @net: the interface; under udrv_net_lock, and while a queue is @linked under its lock
 * @ended: nothing works any more
 * @news: NET_STATE has something to say
 * @states: how often it was asked; written under udrv_net_lock
 * @hung: its driver was found to hang
 * @watch_period: jiffies between two looks at a queue
 * @hang_looks: after so many the driver hangs; 0: never
 * @stall_looks: after so many its device has stalled
 * @copies: packets are copied
 * @features: as the driver declared them
 * @queue_count: entries in @queues
 * @tx_slots: of each queue
 * @tx_entries: likewise
 * @rx_slots: likewise
 * @buffer_bytes: of each receive buffer, with head and tail room where it is given to the stack
 * @charge: of the pages that the device reaches, to whoever attached
 * @area: what the process maps
 * @area_bytes: its length
 * @queue_bytes: a queue's part of it
 */
struct udrv_net_session {
	struct udrv_client *client;
	struct device *dma;
	struct udrv_net *net;
	bool ended;
	unsigned long news;
	u32 states;
	unsigned long hung;
	unsigned long watch_period;
	u32 hang_looks;
	u32 stall_looks;
	bool copies;
	u32 features;
	u32 queue_count;
	u32 tx_slots;
	u32 tx_entries;
	u32 rx_slots;
	u32 buffer_bytes;
	struct udrv_charge charge;
	void *area;
	size_t area_bytes;
	size_t queue_bytes;
	struct udrv_net_queue queues[];
};

/**
 * struct udrv_net - an interface
 * @dev: it
 * @udev: the device that it belongs to, or NULL
 * @node: in udev->nets, under rtnl
 * @owner: who made it
 * @session: its driver; written under udrv_net_lock, read under RCU
 * @features: as declared
 * @copies: see the session's
 * @queue_count: likewise
 * @grace: drops the carrier when nobody has come
 * @grace_ms: after so long
 * @mode_lock: protects what follows
 * @mode: what NET_STATE says of addresses
 * @speed: Mbit/s, 0 not known
 * @full_duplex: likewise
 * @driver_hangs: drivers that were ended because they hung
 * @tx_stalls: how often a driver was told that its device sends nothing
 * @napi: of each queue
 * @rx: counters of each queue
 * @tx: likewise
 */
struct udrv_net {
	struct net_device *dev;
	struct udrv_device *udev;
	struct list_head node;
	kuid_t owner;
	struct udrv_net_session __rcu *session;
	u32 features;
	bool copies;
	u32 queue_count;
	struct delayed_work grace;
	u32 grace_ms;
	spinlock_t mode_lock;
	struct {
		u8 address[ETH_ALEN];
		bool promiscuous;
		bool all_multicast;
		u32 group_count;
		u8 groups[UDRV_NET_GROUPS_MAX][ETH_ALEN];
	} mode;
	u32 speed;
	bool full_duplex;
	atomic_t driver_hangs;
	atomic_t tx_stalls;
	struct napi_struct napi[UDRV_NET_QUEUES_MAX];
	struct udrv_net_counters rx[UDRV_NET_QUEUES_MAX];
	struct udrv_net_counters tx[UDRV_NET_QUEUES_MAX];
};

extern struct mutex udrv_net_lock;

/* netdev.c: the interface */
int udrv_net_netdev_init(void);
void udrv_net_netdev_exit(void);
int udrv_net_link(struct udrv_net_session *session, struct udrv_ioc_net_attach *p);
void udrv_net_unlink(struct udrv_net_session *session);
void udrv_net_delete(struct udrv_net_session *session);

void udrv_net_state_read(struct udrv_net *net, struct udrv_ioc_net_state *p);
void udrv_net_link_state(struct udrv_net *net, const struct udrv_ioc_net_link *p);

/* ethtool.c: what it tells of itself */
extern const struct ethtool_ops udrv_net_ethtool_ops;
void udrv_net_counters_read(struct udrv_net *net, u32 queue, u64 *v);

/* session.c: what a driver holds (file.c, the descriptor, has the calls) */
int udrv_net_attach(void **session, void *arg);
void udrv_net_attach_undo(void *session, const void *arg);
void udrv_net_release(void *session);

/* queue.c: a turn of the driver's loop */
int udrv_net_turn(void *session, void *arg);
u32 udrv_net_ready(struct udrv_net_queue *q);

/* watch.c: is the driver there? */
void udrv_net_watch_init(struct udrv_net_queue *q);
void udrv_net_watch_exit(struct udrv_net_queue *q);
void udrv_net_watch_deadline(struct udrv_net_session *session, u32 hang_ms);
void udrv_net_watch_link(struct udrv_net_queue *q);
void udrv_net_watch_turn(struct udrv_net_queue *q);
void udrv_net_watch_back(struct udrv_net_queue *q);

/* tx.c */
netdev_tx_t udrv_net_xmit(struct sk_buff *skb, struct net_device *dev);
netdev_features_t udrv_net_features_check(struct sk_buff *skb, struct net_device *dev,
					  netdev_features_t features);
void udrv_net_tx_complete(struct udrv_net_queue *q);
int udrv_net_tx_map(struct udrv_net_queue *q);
void udrv_net_tx_unmap(struct udrv_net_queue *q);
void udrv_net_tx_free(struct udrv_net_queue *q);

/* rx.c */
void udrv_net_rx_receive(struct udrv_net_queue *q);
void udrv_net_rx_forget(struct udrv_net_queue *q);
int udrv_net_rx_map(struct udrv_net_queue *q);
void udrv_net_rx_unmap(struct udrv_net_queue *q);
void udrv_net_rx_free(struct udrv_net_queue *q);
int udrv_net_buffers_alloc(struct udrv_net_session *session, struct udrv_net_buffer **buffers,
			   u32 count, u64 area_offset);
int udrv_net_buffers_map(struct udrv_net_session *session, struct udrv_net_buffer *buffers,
			 u32 count, enum dma_data_direction direction);
void udrv_net_buffers_unmap(struct udrv_net_session *session, struct udrv_net_buffer *buffers,
			    u32 count, enum dma_data_direction direction);
void udrv_net_buffers_free(struct udrv_net_buffer *buffers, u32 count);

static inline void udrv_net_count(struct udrv_net_counters *counters, u64_stats_t *which, u64 n)
{
	u64_stats_update_begin(&counters->sync);
	u64_stats_add(which, n);
	u64_stats_update_end(&counters->sync);
}

#endif /* UDRV_NET_H */
