/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rings that are shared with a process, and waiting for them
 *
 * What is in the shared memory is never believed: the kernel keeps its own index of what it produces
 * and of what it has consumed, and reads the other side's once, here. An index that cannot be (more
 * entries than the ring has) is told to the caller as such.
 *
 * Barriers: a producer's entries are written before its index (release), a consumer reads the index
 * (acquire) before the entries; and it has read the entries before its own index says so (release),
 * which the producer reads (acquire) before it writes over them. Who sleeps says so and then looks for
 * work, who has work says so and then looks for sleepers, with a full barrier between. test/model has
 * both as models, which a checker goes through with and without each barrier.
 */
#ifndef UDRV_RING_H
#define UDRV_RING_H

#include <linux/poll.h>
#include <linux/rcuwait.h>
#include <linux/wait.h>

#include <udrv/ring.h>

#define UDRV_RING_BROKEN U32_MAX

/* Entries that @produced (ours) has before it, unconsumed; UDRV_RING_BROKEN: nonsense. */
static inline u32 udrv_ring_used(const struct udrv_ring *ring, u32 produced, u32 entries)
{
	/* Pairs with the process's release, after it has read the entries. */
	u32 used = produced - smp_load_acquire(&ring->consumed);

	return likely(used <= entries) ? used : UDRV_RING_BROKEN;
}

/* Entries behind @consumed (ours) that the process has produced; UDRV_RING_BROKEN: nonsense. */
static inline u32 udrv_ring_filled(const struct udrv_ring *ring, u32 consumed, u32 entries)
{
	/* Pairs with the process's release, after it has written the entries. */
	u32 filled = smp_load_acquire(&ring->produced) - consumed;

	return likely(filled <= entries) ? filled : UDRV_RING_BROKEN;
}

/* What was written before is there to be read. */
static inline void udrv_ring_publish(struct udrv_ring *ring, u32 produced)
{
	/* Pairs with the process's acquire. */
	smp_store_release(&ring->produced, produced);
}

/* What was read before may be written over. */
static inline void udrv_ring_release(struct udrv_ring *ring, u32 consumed)
{
	/* Pairs with the process's acquire. */
	smp_store_release(&ring->consumed, consumed);
}

/**
 * struct udrv_waiter - a place to wait for rings and interrupts together
 * @thread: the one that sleeps in the call of its queue
 * @polls: pollers
 */
struct udrv_waiter {
	struct rcuwait thread;
	wait_queue_head_t polls;
};

static inline void udrv_waiter_init(struct udrv_waiter *waiter)
{
	rcuwait_init(&waiter->thread);
	init_waitqueue_head(&waiter->polls);
}

/* Whatever there is to see was written before. Context: any. */
static __always_inline void udrv_waiter_wake(struct udrv_waiter *waiter)
{
	/* Pairs with udrv_waiter_sleep() and poll: they see what there is, or we see them. */
	smp_mb();
	if (rcuwait_active(&waiter->thread))
		rcuwait_wake_up(&waiter->thread);
	if (unlikely(waitqueue_active(&waiter->polls))) /* behind the barrier above */
		wake_up_poll(&waiter->polls, EPOLLIN | EPOLLRDNORM);
}

bool udrv_waiter_claim(struct udrv_waiter *waiter);
void udrv_waiter_release(struct udrv_waiter *waiter);
int udrv_waiter_sleep(ktime_t *expires);

#endif /* UDRV_RING_H */
