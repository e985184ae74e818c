// SPDX-License-Identifier: GPL-2.0-only
/*
 * A turn of the driver's loop: hand in, take over, wait
 *
 * One call for all that a driver has to tell the kernel, and one sleep for all that it waits for: the
 * queue's ring, its vector, news of the interface, a word of the watch.
 *
 * The hard part is the sleep: whatever is to be seen is written before udrv_waiter_wake(), and looked
 * at after set_current_state(), so that either side sees the other.
 */
#include <linux/nospec.h>

#include "net.h"

/**
 * udrv_net_ready() - what there is for the driver of a queue
 * @q: the queue
 * Return: UDRV_NET_READY_*
 */
u32 udrv_net_ready(struct udrv_net_queue *q)
{
	u32 ready = 0;

	if (READ_ONCE(q->tx_produced) != READ_ONCE(q->rings->tx.consumed))
		ready |= UDRV_NET_READY_TX;
	if (READ_ONCE(q->fill_produced) != READ_ONCE(q->rings->fill.consumed))
		ready |= UDRV_NET_READY_FILL;
	if (udrv_waiter_fired(&q->waiter))
		ready |= UDRV_NET_READY_IRQ;
	if (!q->index && READ_ONCE(q->session->news))
		ready |= UDRV_NET_READY_STATE;
	if (READ_ONCE(q->waiter.kicked))
		ready |= UDRV_NET_READY_KICK;
	if (READ_ONCE(q->stalled))
		ready |= UDRV_NET_READY_STALLED;
	return ready;
}

static u32 turn_found(struct udrv_waiter *waiter)
{
	struct udrv_net_queue *q = container_of(waiter, struct udrv_net_queue, waiter);

	return udrv_net_ready(q) | (READ_ONCE(q->session->ended) ? UDRV_WAITER_ENDED : 0);
}

static int turn_hand_in(struct udrv_net_queue *q)
{
	int ret = -ENODEV;

	if (mutex_lock_interruptible(&q->lock))
		return -EINTR;
	if (q->linked) {
		local_bh_disable();
		udrv_net_tx_complete(q);
		udrv_net_rx_receive(q);
		local_bh_enable();
		udrv_net_watch_turn(q);
		ret = 0;
	}
	mutex_unlock(&q->lock);
	return ret;
}

/**
 * udrv_net_turn() - UDRV_IOC_NET_TURN
 * @session: the caller's
 * @arg: struct udrv_ioc_net_turn, our copy
 */
int udrv_net_turn(void *session, void *arg)
{
	struct udrv_net_session *s = session;
	struct udrv_ioc_net_turn *p = arg;
	const u32 every = UDRV_NET_READY_TX | UDRV_NET_READY_FILL | UDRV_NET_READY_IRQ |
			  UDRV_NET_READY_STATE | UDRV_NET_READY_KICK | UDRV_NET_READY_STALLED;
	struct udrv_net_queue *q;
	u32 wanted, ready;
	int ret;

	if (p->flags || p->reserved || p->ready & ~every || p->queue >= s->queue_count)
		return -EINVAL;
	q = &s->queues[array_index_nospec(p->queue, s->queue_count)];
	wanted = every & ~p->ready & ~UDRV_NET_READY_FILL;

	ret = turn_hand_in(q);
	if (ret)
		return ret;

	if (p->timeout_ns) {
		ret = udrv_waiter_wait(&q->waiter, p->timeout_ns, turn_found,
				       wanted | UDRV_WAITER_ENDED, &ready);
		udrv_net_watch_back(q);
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
	if (p->ready & UDRV_NET_READY_KICK)
		clear_bit(0, &q->waiter.kicked);
	if (p->ready & UDRV_NET_READY_STALLED)
		clear_bit(0, &q->stalled);
	if (p->ready & UDRV_NET_READY_IRQ)
		udrv_irq_waiter_take(q->waiter.vector, &q->waiter, &p->irq_count, &p->irq_value);
	return 0;
}
