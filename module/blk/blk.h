/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The block half's own structures
 *
 * struct udrv_blk is a host: what a device's disks share, from the first attach until the device is
 * unbound, or its driver ends and no disk is left. struct udrv_blk_disk is a disk.
 * struct udrv_blk_session is one driver's service of them: from BLK_ATTACH until its descriptor is
 * closed or its client ends.
 *
 * Locks, in order:
 *
 *	udev->lock  >  client->lock  >  udrv_blk_lock  >  queue->lock  >  queue->submit
 *
 * - udrv_blk_lock (mutex): which hosts and disks there are, who drives them, and each disk's state.
 *   Never held where I/O is waited for: disks come and go by work items, and in remove().
 * - queue->lock (mutex): the driver's side of a queue: what is taken from the process.
 * - queue->submit (spinlock): the system's side: several processors may submit to a queue.
 *
 * A request on its way is in queue->requests; who takes it out (xchg) ends it, or keeps it for the next
 * driver. While nobody drives a disk its request queue is quiesced: blk-mq keeps what is issued.
 */
#ifndef UDRV_BLK_H
#define UDRV_BLK_H

#include <linux/blk-mq.h>
#include <linux/log2.h>
#include <linux/scatterlist.h>

#include <udrv/blk.h>

#include "../ring.h"
#include "../udrv.h"

/**
 * struct udrv_blk_slot - what a request needs of us; its private part
 * @late_turns: queue->turns when its driver was told that it is late; valid if its bit in queue->late is set
 * @nents: entries of @sg; 0: no data, or copied
 * @whole: they are one piece, which was mapped as such: its address is the first entry's
 * @sg: its pages
 */
struct udrv_blk_slot {
	u32 late_turns;
	unsigned int nents;
	bool whole;
	struct scatterlist sg[];
};

/**
 * struct udrv_blk_queue - one queue of a session
 * @session: whose
 * @index: its number
 * @rings: the shared indices
 * @ring: entries of the shared rings
 * @done: likewise
 * @segments: likewise, see uapi
 * @waiter: the driver's thread
 * @late: one bit for each tag that the driver is to be told of
 * @late_any: there is one
 * @turns: that were begun or woke: a driver that hangs makes none
 * @lock: see above; protects what follows
 * @linked: the host is there
 * @done_consumed: our index; that there is nothing is seen without the lock
 * @bad_entries: of done
 * @submit: see above; protects what follows
 * @produced: our index of requests
 * @requests: for each tag, the request that the driver has, or NULL
 * @buffers: where data is copied: of each tag, for us
 * @buffer_addresses: likewise, for the device or the process
 */
struct udrv_blk_queue {
	struct udrv_blk_session *session;
	unsigned int index;
	struct udrv_blk_rings *rings;
	struct udrv_blk_request *ring;
	struct udrv_blk_done *done;
	struct udrv_blk_segment *segments;
	struct udrv_waiter waiter;
	unsigned long *late;
	bool late_any;
	u32 turns;

	struct mutex lock ____cacheline_aligned_in_smp;
	bool linked;
	u32 done_consumed;
	u32 bad_entries;

	spinlock_t submit ____cacheline_aligned_in_smp;
	u32 produced;
	struct request **requests;
	void **buffers;
	u64 *buffer_addresses;
};

/**
 * struct udrv_blk_session - a driver's service of a device's disks
 * @client: its device's, referenced; or NULL: no device
 * @dma: the device that moves the data, or NULL; valid until @ended
 * @host: whose driver it is; under udrv_blk_lock, NULL once they have parted
 * @ended: nothing works any more
 * @ending: somebody has begun to end it; without a device
 * @end_hung: see uapi, UDRV_BLK_END_HUNG
 * @driver: the process that attached
 * @hung: ends it
 * @copies: data is copied
 * @queue_count: entries in @queues
 * @depth: requests of each queue
 * @ring_entries: of each ring
 * @max_segments: of a request
 * @max_bytes: likewise
 * @charge: of the pages that the device reaches, to whoever attached
 * @area: what the process maps
 * @area_bytes: its length
 * @queue_bytes: a queue's part of it
 * @queues: them
 */
struct udrv_blk_session {
	struct udrv_client *client;
	struct device *dma;
	struct udrv_blk *host;
	bool ended;
	unsigned long ending;
	bool end_hung;
	struct pid *driver;
	struct work_struct hung;
	bool copies;
	u32 queue_count;
	u32 depth;
	u32 ring_entries;
	u32 max_segments;
	u32 max_bytes;
	struct udrv_charge charge;
	void *area;
	size_t area_bytes;
	size_t queue_bytes;
	struct udrv_blk_queue queues[];
};

/**
 * struct udrv_blk_limits - what a host was made with; the same at every takeover
 * @queue_count: see uapi, struct udrv_ioc_blk_attach, as the rest
 */
struct udrv_blk_limits {
	u32 queue_count;
	u32 queue_depth;
	u32 max_segments;
	u32 max_bytes;
	u32 max_segment_bytes;
	u32 virt_boundary;
	u32 dma_alignment;
	u32 mapping_bytes; /* of one piece, at most max_bytes: a bounce buffer takes it as a whole */
	u32 copies; /* no holes: they are compared as memory */
};

/**
 * struct udrv_blk - a host
 * @udev: the device that it belongs to, or NULL
 * @owner: who made it
 * @session: its driver; written under udrv_blk_lock, read where a disk is UDRV_BLK_DISK_SERVED,
 *	and by request_late() (RCU)
 * @limits: see there; constant
 * @timeout_ms: of requests
 * @deadline_ms: how long disks wait for a driver; 0: for ever
 * @deadline: fails their requests then
 * @unsafe: the device may still work on requests that were taken from a driver
 * @removed: it takes no driver any more
 * @disks: under udrv_blk_lock
 * @tags: shared by its disks
 * @idle: two queues that nobody uses: when a tag set's second queue comes, or its last but one goes,
 *	blk-mq freezes the other, which waits for the driver
 */
struct udrv_blk {
	struct udrv_device *udev;
	kuid_t owner;
	struct udrv_blk_session *session;
	struct udrv_blk_limits limits;
	u32 timeout_ms;
	u32 deadline_ms;
	struct delayed_work deadline;
	bool unsafe;
	bool removed;
	struct list_head disks;
	struct blk_mq_tag_set tags;
	struct request_queue *idle[2];
};

/* Who has the requests of a disk. */
enum udrv_blk_disk_state {
	UDRV_BLK_DISK_WAITS,  /* blk-mq: its queue is quiesced */
	UDRV_BLK_DISK_SERVED, /* the driver gets them */
	UDRV_BLK_DISK_FAILS,  /* nobody: they fail */
};

/**
 * struct udrv_blk_disk - a disk
 * @host: whose
 * @node: in host->disks; under udrv_blk_lock
 * @all: in the list of all, for their names; likewise
 * @disk: it; NULL once it is gone; under udrv_blk_lock
 * @made: as it was added; constant but for @bytes
 * @state: see there; under udrv_blk_lock, read by queue_rq()
 * @add: puts it into the system
 * @remove: takes it out
 * @added: it is there; written by @add, read when that has ended
 * @removing: it goes: under udrv_blk_lock
 * @rcu: for its end
 */
struct udrv_blk_disk {
	struct udrv_blk *host;
	struct list_head node;
	struct list_head all;
	struct gendisk *disk;
	struct udrv_ioc_blk_disk made;
	enum udrv_blk_disk_state state;
	struct work_struct add;
	struct work_struct remove;
	bool added;
	bool removing;
	struct rcu_head rcu;
};

static inline bool udrv_blk_power_within(u32 value, u32 least, u32 most)
{
	return is_power_of_2(value) && value >= least && value <= most;
}

extern struct mutex udrv_blk_lock;
extern struct workqueue_struct *udrv_blk_wq;

/* host.c: a device's disks together, with their driver or without */
int udrv_blk_link(struct udrv_blk_session *s, struct udrv_ioc_blk_attach *p);
void udrv_blk_unlink(struct udrv_blk_session *s, bool safe);
void udrv_blk_release_requests(struct udrv_blk_session *s);
void udrv_blk_delete(struct udrv_blk *host);
void udrv_blk_queue_cpus(struct udrv_blk_session *s, u32 queue, struct cpumask *cpus);
void udrv_blk_host_put(struct udrv_blk *host);

/* disk.c: a disk */
int udrv_blk_disk_add(void *session, void *arg);
int udrv_blk_disk_resize(void *session, void *arg);
int udrv_blk_disk_remove(void *session, void *arg);
void udrv_blk_disk_set_state(struct udrv_blk_disk *disk, enum udrv_blk_disk_state state);
void udrv_blk_disk_lose(struct udrv_blk_disk *disk);

/* queue.c: requests, and a turn of the driver's loop */
extern const struct blk_mq_ops udrv_blk_mq_ops;
u32 udrv_blk_ready(struct udrv_blk_queue *q);
int udrv_blk_turn(void *session, void *arg);
void udrv_blk_queue_unmap(struct udrv_blk_queue *q);
void udrv_blk_queue_requeue(struct udrv_blk_queue *q);

/* session.c: what a driver holds */
int udrv_blk_attach(void **session, void *arg);
void udrv_blk_attach_undo(void *session, const void *arg);
void udrv_blk_release(void *session);

#endif /* UDRV_BLK_H */
