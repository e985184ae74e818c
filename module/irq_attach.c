// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a vector's interrupts go instead of to a reader: an eventfd, or a queue
 *
 * An eventfd is told of each interrupt and keeps the count. A queue of an upper half (ring.h) only
 * wakes its driver's thread, which takes the count from the vector in the call that it sleeps in: one
 * place to wait for interrupts and for work. Both are set under client->lock and the vector's, and end
 * with the vector's set-up.
 */
#include <linux/eventfd.h>

#include "irq.h"
#include "ring.h"

/* Most pending interrupts that ATTACH tells its eventfd of. */
#define IRQ_MOVED_MAX 65536

/*
 * Exchange a vector's eventfd, client->lock held. What is pending moves to the new one, as far as
 * an eventfd can be told one by one. Return the old one.
 */
static struct eventfd_ctx *vector_swap_eventfd(struct udrv_vector *v, struct eventfd_ctx *eventfd)
{
	struct udrv_irq *irq = v->irq;
	struct eventfd_ctx *old;
	unsigned long flags;
	u64 moved = 0;

	lockdep_assert_held(&irq_client(irq)->lock);
	spin_lock_irqsave(&v->lock, flags);
	old = v->eventfd;
	v->eventfd = eventfd;
	v->value = 0;
	if (eventfd) {
		moved = min_t(u64, v->pending, IRQ_MOVED_MAX);
		v->pending = 0;
		clear_bit(v->index, irq->pending);
	}
	/* Waiters that the eventfd kept from arming INTx do it now. */
	if (old && !eventfd)
		WRITE_ONCE(irq->setups, irq->setups + 1);
	spin_unlock_irqrestore(&v->lock, flags);

	/* Outside of the lock: client->lock keeps the eventfd. */
	for (; moved; moved--)
		udrv_eventfd_signal(eventfd);
	if (old && !eventfd)
		udrv_irq_wake(irq);
	return old;
}

/**
 * udrv_irq_attach() - UDRV_IOC_IRQ_ATTACH
 * @client: the caller
 * @arg: struct udrv_ioc_irq_attach
 */
int udrv_irq_attach(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_irq_attach *p = arg;
	struct eventfd_ctx *eventfd;
	int ret;

	if (p->flags)
		return -EINVAL;
	eventfd = eventfd_ctx_fdget(p->fd);
	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);

	ret = udrv_client_lock(client);
	if (ret)
		goto out;
	if (p->vector >= client->irq.count)
		ret = -EINVAL;
	else if (client->irq.vectors[p->vector].waiter)
		ret = -EBUSY;
	else
		eventfd = vector_swap_eventfd(&client->irq.vectors[p->vector], eventfd);
	udrv_client_unlock(client);
out:
	if (eventfd)
		eventfd_ctx_put(eventfd);
	return ret;
}

/**
 * udrv_irq_detach() - UDRV_IOC_IRQ_DETACH
 * @client: the caller
 * @arg: struct udrv_ioc_irq_attach
 */
int udrv_irq_detach(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_irq_attach *p = arg;
	struct eventfd_ctx *eventfd = NULL;
	int ret;

	if (p->flags || p->fd != -1)
		return -EINVAL;

	ret = udrv_client_lock(client);
	if (ret)
		return ret;
	if (p->vector >= client->irq.count) {
		ret = -EINVAL;
	} else {
		eventfd = vector_swap_eventfd(&client->irq.vectors[p->vector], NULL);
		ret = eventfd ? 0 : -ENOENT;
	}
	udrv_client_unlock(client);
	if (eventfd)
		eventfd_ctx_put(eventfd);
	return ret;
}

/* What is pending goes to readers again, if @waiter is where it went. client->lock held. */
static void waiter_detach(struct udrv_vector *v, struct udrv_waiter *waiter)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	if (v->waiter == waiter) {
		v->waiter = NULL;
		if (v->pending) {
			v->time_ns = ktime_get_ns(); /* nobody has looked before */
			set_bit(v->index, v->bits);
		}
	}
	spin_unlock_irqrestore(&v->lock, flags);
	udrv_irq_wake(v->irq);
}

/**
 * udrv_irq_waiter_attach() - a vector's interrupts wake a queue, and nobody else
 * @client: the client
 * @index: the vector
 * @waiter: the queue's, which has another one so far, or none; lives until the client's end
 * @cpus: where they are to arrive from now on, as far as that can be had; NULL or empty: wherever they do
 *
 * Return: 0; -EINVAL there is no such vector, -EBUSY it goes somewhere else; -EINTR, -ENODEV
 */
int udrv_irq_waiter_attach(struct udrv_client *client, u32 index, struct udrv_waiter *waiter,
			   const struct cpumask *cpus)
{
	struct udrv_vector *v;
	unsigned long flags;
	int ret;

	ret = udrv_client_lock(client);
	if (ret)
		return ret;
	ret = -EINVAL;
	if (index >= client->irq.count)
		goto out;
	v = &client->irq.vectors[index];
	ret = -EBUSY;
	if (v->eventfd || (v->waiter && v->waiter != waiter))
		goto out;
	if (waiter->vector && waiter->vector != v)
		waiter_detach(waiter->vector, waiter);

	spin_lock_irqsave(&v->lock, flags);
	v->waiter = waiter;
	clear_bit(v->index, v->bits);
	spin_unlock_irqrestore(&v->lock, flags);
	WRITE_ONCE(waiter->vector, v);
	udrv_waiter_wake(waiter); /* what is pending already */
	/* A line is others', too. None of them online, or no way to steer: no error, it works everywhere. */
	if (cpus && !cpumask_empty(cpus) && client->irq.kind != UDRV_IRQ_INTX)
		irq_set_affinity(v->linux_irq, cpus);
	ret = 0;
out:
	udrv_client_unlock(client);
	return ret;
}

/**
 * udrv_irq_waiter_arm() - see udrv_waiter_arm(): unmask INTx, if it still is that
 * @v: its vector
 * @waiter: the queue's
 */
void udrv_irq_waiter_arm(struct udrv_vector *v, struct udrv_waiter *waiter)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	/* What is pending has not been acknowledged: armed now, it would be counted again. */
	if (v->irq->kind == UDRV_IRQ_INTX && v->waiter == waiter && !v->pending)
		udrv_irq_intx_arm(v); /* wakes the queue, if it finds one */
	spin_unlock_irqrestore(&v->lock, flags);
}

/**
 * udrv_irq_waiter_take() - what has fired since the last time
 * @v: the queue's vector
 * @waiter: the queue's
 * @count: set to how many
 * @value: set to what the acknowledge program read
 */
void udrv_irq_waiter_take(struct udrv_vector *v, struct udrv_waiter *waiter, u32 *count, u64 *value)
{
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	if (v->waiter == waiter) {
		*count = min_t(u64, v->pending, U32_MAX);
		*value = v->value;
		v->pending -= *count;
		v->value = 0;
	}
	spin_unlock_irqrestore(&v->lock, flags);
}
