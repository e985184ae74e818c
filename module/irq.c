// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts as something that a process reads
 *
 * Owns the fast path: the handlers of INTx, MSI and MSI-X, the counts, and the ways to hear of them
 * (read, poll, signal, eventfd). Setting vectors up and taking them down is irq_setup.c's. A
 * vector's count is raised in the hard interrupt handler and taken by a reader, both under the
 * vector's lock, so none is lost and none is counted twice.
 *
 * The hard part is INTx. The line is shared and level-triggered: the handler must tell whether its
 * own device asserts it, and mask the device before it returns, for the process will not have
 * acknowledged it by then. It is armed again by waiting: a read or poll that finds nothing pending.
 * If the device asserts the line at that moment, that is an interrupt, taken without one being
 * delivered.
 */
#include <linux/eventfd.h>
#include <linux/interrupt.h>
#include <linux/ktime.h>
#include <linux/pagemap.h>
#include <linux/rcuwait.h>
#include <linux/uaccess.h>

#include "irq.h"
#include "ring.h"

/* ---- one vector ---- */

/*
 * An interrupt happened. A queue, which v->lock keeps, is woken here, and nobody
 * else hears of it: false. Else the caller wakes readers (udrv_irq_wake) after it has dropped v->lock.
 */
static __always_inline bool vector_fire(struct udrv_vector *v)
{
	lockdep_assert_held(&v->lock);
	v->total++;
	if (v->eventfd) {
		udrv_eventfd_signal(v->eventfd);
		return true;
	}
	if (v->waiter) {
		v->pending++; /* its queue asks how many, not when */
		udrv_waiter_wake(v->waiter);
		return false;
	}
	if (likely(!v->pending++)) {
		v->time_ns = ktime_get_ns();
		set_bit(v->index, v->bits);
	}
	return true;
}

static noinline void irq_wake_sleepers(struct udrv_irq *irq)
{
	spin_lock(&irq->wait.lock);
	wake_up_locked_poll(&irq->wait, EPOLLIN | EPOLLRDNORM);
	spin_unlock(&irq->wait.lock);
}

/* Wake whoever waits for interrupts. Interrupts are off, and no vector's lock is held. */
static __always_inline void irq_wake(struct udrv_irq *irq)
{
	/*
	 * Pairs with the barriers in irq_sleep() and udrv_irq_poll(): a sleeper sees the bit, or we
	 * see the sleeper.
	 */
	smp_mb();
	if (rcuwait_active(&irq->reader))
		rcuwait_wake_up(&irq->reader);
	if (waitqueue_active(&irq->wait)) /* behind the barrier above */
		irq_wake_sleepers(irq);
	if (unlikely(READ_ONCE(irq->fasync)))
		kill_fasync(&irq->fasync, SIGIO, POLL_IN);
}

/**
 * udrv_irq_wake() - wake whoever waits for interrupts
 * @irq: the table
 *
 * Context: any, no vector's lock held.
 */
void udrv_irq_wake(struct udrv_irq *irq)
{
	rcuwait_wake_up(&irq->reader);
	if (wq_has_sleeper(&irq->wait))
		wake_up_poll(&irq->wait, EPOLLIN | EPOLLRDNORM);
	if (READ_ONCE(irq->fasync))
		kill_fasync(&irq->fasync, SIGIO, POLL_IN);
}

/*
 * Give a reader what is pending: a record, or the running total. It is written where it is taken,
 * under the vector's lock, so that nothing is taken that did not arrive; a page of the buffer that
 * is not there is not waited for, but left to the caller (vector_fault_in).
 *
 * Return the bytes written; 0 if there was nothing; -EFAULT.
 */
static __always_inline ssize_t vector_read(struct udrv_irq *irq, unsigned int index,
					   char __user *buf, bool as_total)
{
	struct udrv_irq_record __user *record = (struct udrv_irq_record __user *)buf;
	struct udrv_vector *v = &irq->vectors[index];
	size_t bytes = as_total ? sizeof(u32) : sizeof(*record);
	ssize_t ret = 0;
	u32 count;

	spin_lock_irq(&v->lock);
	count = min_t(u64, v->pending, U32_MAX);
	if (!count)
		goto out;

	pagefault_disable();
	ret = -EFAULT;
	if (!user_write_access_begin(buf, bytes))
		goto err_enable;
	if (as_total) {
		unsafe_put_user((u32)v->total, (u32 __user *)buf, err_fault);
	} else {
		unsafe_put_user(index, &record->vector, err_fault);
		unsafe_put_user(count, &record->count, err_fault);
		unsafe_put_user(v->time_ns, &record->time_ns, err_fault);
		unsafe_put_user(v->value, &record->value, err_fault);
	}
	user_write_access_end();
	pagefault_enable();

	v->value = 0;
	v->pending -= count;
	if (likely(!v->pending))
		clear_bit(index, irq->pending);
	ret = bytes;
out:
	spin_unlock_irq(&v->lock);
	return ret;

err_fault:
	user_write_access_end();
err_enable:
	pagefault_enable();
	spin_unlock_irq(&v->lock);
	return ret;
}

/* vector_read() found the buffer's page absent. Is it there now? No lock held: this may wait. */
static bool vector_fault_in(char __user *buf, size_t bytes)
{
	return access_ok(buf, bytes) && !fault_in_safe_writeable(buf, bytes);
}

/* ---- INTx ---- */

/*
 * Like pci_check_and_mask_intx(), but serialised with our other writers of PCI_COMMAND, and not
 * taking the all-ones of an absent device for an interrupt.
 */
static bool intx_mask_if_pending(struct udrv_device *udev)
{
	bool pending = false;
	u32 dword;

	spin_lock(&udev->command_lock);
	pci_read_config_dword(udev->pdev, PCI_COMMAND, &dword);
	if (!PCI_POSSIBLE_ERROR(dword) && (dword & ((u32)PCI_STATUS_INTERRUPT << 16))) {
		pending = true;
		pci_write_config_word(udev->pdev, PCI_COMMAND,
				      (u16)dword | PCI_COMMAND_INTX_DISABLE);
	}
	spin_unlock(&udev->command_lock);
	return pending;
}

/* The other way round: the bit is set; clear it unless that would interrupt at once. */
static enum { INTX_UNMASKED, INTX_PENDING, INTX_ABSENT }
intx_unmask_unless_pending(struct udrv_device *udev)
{
	int state;
	u32 dword;

	spin_lock(&udev->command_lock);
	pci_read_config_dword(udev->pdev, PCI_COMMAND, &dword);
	if (PCI_POSSIBLE_ERROR(dword)) {
		state = INTX_ABSENT;
	} else if (dword & ((u32)PCI_STATUS_INTERRUPT << 16)) {
		state = INTX_PENDING;
	} else {
		state = INTX_UNMASKED;
		pci_write_config_word(udev->pdev, PCI_COMMAND,
				      (u16)dword & ~PCI_COMMAND_INTX_DISABLE);
	}
	spin_unlock(&udev->command_lock);
	return state;
}

/**
 * udrv_irq_intx_disable() - set the interrupt disable bit, whatever the device's state
 * @udev: the device; may be absent: then there is nothing to mask
 */
void udrv_irq_intx_disable(struct udrv_device *udev)
{
	unsigned long flags;

	spin_lock_irqsave(&udev->command_lock, flags);
	pci_intx(udev->pdev, 0);
	spin_unlock_irqrestore(&udev->command_lock, flags);
}

/** udrv_irq_intx_enable() - clear the interrupt disable bit, whatever the device's state */
void udrv_irq_intx_enable(struct udrv_device *udev)
{
	unsigned long flags;

	spin_lock_irqsave(&udev->command_lock, flags);
	pci_intx(udev->pdev, 1);
	spin_unlock_irqrestore(&udev->command_lock, flags);
}

/**
 * udrv_irq_intx_mask() - mask INTx, if it is not masked
 * @v: vector 0, locked
 */
void udrv_irq_intx_mask(struct udrv_vector *v)
{
	lockdep_assert_held(&v->lock);
	if (v->masked)
		return;
	if (v->irq->intx_disint)
		udrv_irq_intx_disable(irq_client(v->irq)->udev);
	else if (!v->irq->ack)
		disable_irq_nosync(v->linux_irq);
	else
		return; /* the line is shared: the program goes on, until the handler is freed */
	v->masked = true;
}

/**
 * udrv_irq_intx_arm() - unmask INTx, or find its interrupt pending
 * @v: vector 0, locked
 *
 * Does nothing at the client's end, nor where a program acknowledges and INTx is not masked. While
 * a reset runs it is remembered, and done afterwards.
 *
 * Return: true if an interrupt was found (and recorded: wake the waiters after unlocking).
 */
bool udrv_irq_intx_arm(struct udrv_vector *v)
{
	struct udrv_irq *irq = v->irq;

	lockdep_assert_held(&v->lock);
	if (!v->masked || READ_ONCE(irq_client(irq)->ended))
		return false;
	if (irq->paused) {
		irq->arm_at_resume = true;
		return false;
	}
	if (!irq->intx_disint) {
		v->masked = false;
		enable_irq(v->linux_irq);
		return false;
	}
	if (irq->ack) {
		/* Let it interrupt: the program has to see it. */
		v->masked = false;
		udrv_irq_intx_enable(irq_client(irq)->udev);
		return false;
	}

	switch (intx_unmask_unless_pending(irq_client(irq)->udev)) {
	case INTX_UNMASKED:
		v->masked = false;
		return false;
	case INTX_PENDING:
		vector_fire(v);
		return true;
	default:
		return false;
	}
}

/* With a program: it tells whether the interrupt is ours, and makes the device release the line. */
static irqreturn_t intx_acknowledge(struct udrv_vector *v)
{
	struct udrv_irq *irq = v->irq;
	bool ours, readers = false;
	u64 value;

	spin_lock(&v->lock);
	ours = !irq->paused && !v->masked && udrv_prog_acknowledge(irq->ack, &value);
	if (ours) {
		if (!v->eventfd)
			v->value |= value;
		readers = vector_fire(v);
	}
	spin_unlock(&v->lock);

	if (!ours)
		return IRQ_NONE;
	if (readers)
		irq_wake(irq);
	return IRQ_HANDLED;
}

/** udrv_irq_intx_handler() - the hard interrupt handler of INTx; @data is vector 0 */
irqreturn_t udrv_irq_intx_handler(int linux_irq, void *data)
{
	struct udrv_vector *v = data;
	struct udrv_irq *irq = v->irq;
	bool readers;

	if (irq->ack)
		return intx_acknowledge(v);

	spin_lock(&v->lock);
	/* Masked: it is a neighbour's, whatever our status bit says. */
	if (v->masked || (irq->intx_disint && !intx_mask_if_pending(irq_client(irq)->udev))) {
		spin_unlock(&v->lock);
		return IRQ_NONE;
	}
	if (!irq->intx_disint)
		disable_irq_nosync(linux_irq);
	v->masked = true;
	readers = vector_fire(v);
	spin_unlock(&v->lock);

	if (readers)
		irq_wake(irq);
	return IRQ_HANDLED;
}

/* A waiter found nothing. Arm INTx. Return true if there is something now. */
static bool irq_arm(struct udrv_irq *irq)
{
	struct udrv_vector *v = irq->vectors;
	bool pending = false, fired = false;
	unsigned long flags;

	if (READ_ONCE(irq->kind) != UDRV_IRQ_INTX)
		return false;

	spin_lock_irqsave(&v->lock, flags);
	/*
	 * With an eventfd or a queue this waiter hears of nothing; and IRQ_SETUP may just have come
	 * and gone.
	 */
	if (irq->kind == UDRV_IRQ_INTX && !v->eventfd && !v->waiter) {
		/*
		 * The handler may have come since the caller looked. That interrupt has not been
		 * acknowledged, so arming would find the line asserted, and count it again.
		 */
		pending = v->pending;
		if (!pending)
			fired = udrv_irq_intx_arm(v);
	}
	spin_unlock_irqrestore(&v->lock, flags);

	if (fired)
		udrv_irq_wake(irq); /* the other waiters */
	return pending || fired;
}

/* ---- MSI and MSI-X ---- */

/** udrv_irq_msi_handler() - the hard interrupt handler of MSI and MSI-X; @data is the vector */
irqreturn_t udrv_irq_msi_handler(int linux_irq, void *data)
{
	struct udrv_vector *v = data;
	bool readers;

	spin_lock(&v->lock);
	readers = vector_fire(v);
	spin_unlock(&v->lock);

	if (readers)
		irq_wake(v->irq);
	return IRQ_HANDLED;
}

/* ---- waiting ---- */

/* Is there something to read, from vector 0 or from any? */
static __always_inline bool irq_pending(const struct udrv_irq *irq, bool vector0)
{
	if (vector0)
		return test_bit(0, irq->pending);
	if (likely(irq->capacity <= BITS_PER_LONG))
		return READ_ONCE(*irq->pending);
	return !bitmap_empty(irq->pending, irq->capacity);
}

/* Give a reader what is pending, as much as it has room for. Return 0 if there is nothing. */
static noinline ssize_t irq_read_pending(struct udrv_irq *irq, char __user *buf, size_t bytes)
{
	bool total = bytes == sizeof(u32);
	size_t each = total ? bytes : sizeof(struct udrv_irq_record), done = 0;
	unsigned int i = 0, end = total ? 1 : irq->capacity;
	ssize_t ret;

	for (;;) {
		i = find_next_bit(irq->pending, end, i);
		if (i >= end || bytes - done < each)
			return done;
		ret = total ? vector_read(irq, i, buf, true) :
			      vector_read(irq, i, buf + done, false);
		if (likely(ret >= 0)) {
			done += ret;
			i++;
		} else if (!vector_fault_in(buf + done, each)) {
			return done ?: -EFAULT;
		}
	}
}

/* The short way, for a reader of one record: the first vector's, if it is pending. */
static __always_inline ssize_t irq_read_first(struct udrv_client *client, char __user *buf)
{
	struct udrv_irq *irq = &client->irq;

	/* Acquire: pairs with irq_alloc_vectors(). There is always a bitmap, if but an empty one. */
	if (READ_ONCE(client->ended) || !test_bit(0, smp_load_acquire(&irq->pending)))
		return 0;
	return vector_read(irq, 0, buf, false);
}

/*
 * Sleep until there is something to read, or to look at: the client's end, another set-up than
 * @setups. Return 0 or -ERESTARTSYS.
 */
static int irq_sleep(struct udrv_client *client, bool vector0, unsigned int setups)
{
	struct udrv_irq *irq = &client->irq;
	DEFINE_WAIT(wait);
	bool first;
	int ret = 0;

	/* One reader is what most drivers have, and needs no queue. */
	first = !unrcu_pointer(cmpxchg(&irq->reader.task, NULL, RCU_INITIALIZER(current)));
	if (!first)
		add_wait_queue(&irq->wait, &wait);
	set_current_state(TASK_INTERRUPTIBLE); /* a barrier: pairs with irq_wake() */
	if (!irq_pending(irq, vector0) && !READ_ONCE(client->ended) &&
	    READ_ONCE(irq->setups) == setups) {
		if (signal_pending(current))
			ret = -ERESTARTSYS;
		else
			schedule();
	}
	if (first)
		finish_rcuwait(&irq->reader);
	else
		finish_wait(&irq->wait, &wait);
	return ret;
}

/**
 * udrv_irq_read_wait() - read() at position 0, the long way: any size, and waiting
 * @client: the caller
 * @buf: where records go
 * @bytes: room: 4 for vector 0's total, else at least one record
 * @nonblock: if not 0, do not wait
 *
 * Context: process, no lock held.
 * Return: bytes; -EINVAL bad size, -EAGAIN, -ERESTARTSYS, -EFAULT (nothing is lost), -ENODEV; what
 * setting up the default vector returned.
 */
ssize_t udrv_irq_read_wait(struct udrv_client *client, char __user *buf, size_t bytes,
			   unsigned int nonblock)
{
	struct udrv_irq *irq = &client->irq;
	bool total = bytes == sizeof(u32);
	unsigned int setups, kind, armed = READ_ONCE(irq->setups) - 1;
	ssize_t ret;

	if (!total && bytes < sizeof(struct udrv_irq_record))
		return -EINVAL;
	for (;;) {
		if (READ_ONCE(client->ended))
			return -ENODEV;
		/* Pairs with irq_configure(): what is set up is there to be used. */
		kind = smp_load_acquire(&irq->kind);
		if (kind == UDRV_IRQ_NONE) {
			ret = udrv_irq_setup_default(client);
			if (ret)
				return ret;
			continue;
		}
		if (irq_pending(irq, total)) {
			ret = irq_read_pending(irq, buf, bytes);
			if (ret)
				return ret;
		}

		/*
		 * Arm once for each call and set-up: a second reader that wakes up empty-handed
		 * must not arm under the feet of the first, who has yet to acknowledge its
		 * interrupt.
		 */
		setups = READ_ONCE(irq->setups);
		if (kind == UDRV_IRQ_INTX && armed != setups && READ_ONCE(irq->vectors->masked)) {
			armed = setups;
			if (irq_arm(irq))
				continue;
		}
		if (nonblock)
			return -EAGAIN;
		ret = irq_sleep(client, total, setups);
		if (ret)
			return ret;
		if (bytes == sizeof(struct udrv_irq_record)) {
			ret = irq_read_first(client, buf);
			if (likely(ret > 0))
				return ret;
		}
	}
}

/**
 * udrv_irq_read() - read() at position 0
 * @file: the caller's descriptor
 * @buf: where records go
 * @bytes: room
 *
 * Context, Return: as udrv_irq_read_wait().
 */
ssize_t udrv_irq_read(struct file *file, char __user *buf, size_t bytes)
{
	struct udrv_client *client = file->private_data;
	ssize_t ret;

	if (unlikely(bytes != sizeof(struct udrv_irq_record)))
		return udrv_irq_read_wait(client, buf, bytes, file->f_flags & O_NONBLOCK);
	ret = irq_read_first(client, buf);
	if (likely(ret > 0))
		return ret;
	return udrv_irq_read_wait(client, buf, sizeof(struct udrv_irq_record),
				  file->f_flags & O_NONBLOCK);
}

/**
 * udrv_irq_poll() - poll(), epoll, select
 * @client: the caller
 * @file: its descriptor
 * @wait: the poll table
 */
__poll_t udrv_irq_poll(struct udrv_client *client, struct file *file, poll_table *wait)
{
	struct udrv_irq *irq = &client->irq;

	poll_wait(file, &irq->wait, wait);
	/*
	 * Pairs with wq_has_sleeper() in udrv_irq_wake(): older kernels' poll_wait() has no
	 * barrier.
	 */
	smp_mb();
	if (READ_ONCE(client->ended))
		return EPOLLHUP;
	/* Pairs with irq_configure(), as in udrv_irq_read_wait(). */
	if (smp_load_acquire(&irq->kind) == UDRV_IRQ_NONE && udrv_irq_setup_default(client))
		return READ_ONCE(client->ended) ? EPOLLHUP : EPOLLERR;
	if (irq_pending(irq, false) || irq_arm(irq))
		return EPOLLIN | EPOLLRDNORM;
	return 0;
}
