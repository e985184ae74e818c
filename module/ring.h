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

#include <linux/ktime.h>
#include <linux/poll.h>
#include <linux/rcuwait.h>
#include <linux/wait.h>

#include <udrv/ring.h>

#include "udrv.h"

#define UDRV_RING_BROKEN U32_MAX

/* Beside what there is to do for a queue (UDRV_NET_READY_* or UDRV_BLK_READY_*): its driver has ended. */
#define UDRV_WAITER_ENDED BIT(31)

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
 * @kicked: it is to look up
 * @vector: the interrupt that wakes it, or NULL; written under client->lock
 */
struct udrv_waiter {
	struct rcuwait thread;
	wait_queue_head_t polls;
	unsigned long kicked;
	struct udrv_vector *vector;
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

/* End its wait, or the next one. */
static inline void udrv_waiter_kick(struct udrv_waiter *waiter)
{
	set_bit(0, &waiter->kicked);
	udrv_waiter_wake(waiter);
}

/* Has its vector fired? */
static inline bool udrv_waiter_fired(const struct udrv_waiter *waiter)
{
	const struct udrv_vector *v = READ_ONCE(waiter->vector);

	return v && READ_ONCE(v->pending) && READ_ONCE(v->waiter) == waiter;
}

/**
 * udrv_waiter_claim() - be the thread that sleeps here
 * @waiter: where
 * Return: false if another one is
 */
static __always_inline bool udrv_waiter_claim(struct udrv_waiter *waiter)
{
	return !unrcu_pointer(cmpxchg(&waiter->thread.task, NULL, RCU_INITIALIZER(current)));
}

/* It is about to wait: unmask INTx, which is masked by each interrupt. */
static __always_inline void udrv_waiter_arm(struct udrv_waiter *waiter)
{
	struct udrv_vector *v = READ_ONCE(waiter->vector);

	if (v && READ_ONCE(v->irq->kind) == UDRV_IRQ_INTX)
		udrv_irq_waiter_arm(v, waiter);
}

void udrv_waiter_release(struct udrv_waiter *waiter);
int udrv_waiter_sleep(ktime_t *expires);

/**
 * udrv_waiter_wait() - arm the vector, and sleep until there is something
 * @waiter: where
 * @timeout_ns: at most so long; KTIME_MAX and more: for ever
 * @found: what there is; asked with the thread set to sleep, and always before it does
 * @wanted: it sleeps on while there is nothing of this
 * @ready: set to what was found last, if 0 is returned
 *
 * Return: 0, also when the time is over; -EBUSY another thread waits here; -EINTR
 */
static __always_inline int udrv_waiter_wait(struct udrv_waiter *waiter, u64 timeout_ns,
					    u32 (*found)(struct udrv_waiter *waiter), u32 wanted,
					    u32 *ready)
{
	ktime_t expires, *until = NULL;
	int ret = 0;

	udrv_waiter_arm(waiter);
	if (!udrv_waiter_claim(waiter)) {
		*ready = found(waiter);
		return *ready & wanted ? 0 : -EBUSY;
	}
	if (timeout_ns < KTIME_MAX) {
		expires = ktime_add_safe(ktime_get(), ns_to_ktime(timeout_ns));
		until = &expires;
	}
	for (;;) {
		/* A barrier: pairs with udrv_waiter_wake(). */
		set_current_state(TASK_INTERRUPTIBLE);
		*ready = found(waiter);
		if (*ready & wanted)
			break;
		ret = udrv_waiter_sleep(until);
		if (ret)
			break;
	}
	udrv_waiter_release(waiter);
	if (ret != -ETIME)
		return ret;
	*ready = found(waiter);
	return 0;
}

#endif /* UDRV_RING_H */
