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
#include <linux/uaccess.h>

#include "irq.h"

/* ---- one vector ---- */

/*
 * An interrupt happened. The caller wakes the waiters (udrv_irq_wake) after it has dropped v->lock.
 */
static __always_inline void vector_fire(struct udrv_vector *v)
{
	lockdep_assert_held(&v->lock);
	v->total++;
	if (v->eventfd) {
		udrv_eventfd_signal(v->eventfd);
		return;
	}
	if (!v->pending++) {
		v->time_ns = ktime_get_ns();
		set_bit(v->index, v->irq->pending);
	}
}

/* Wake whoever waits for interrupts. Interrupts are off, and no vector's lock is held. */
static __always_inline void irq_wake(struct udrv_irq *irq)
{
	/*
	 * Pairs with the barriers in irq_wait() and udrv_irq_poll(): a sleeper sees the bit, or we
	 * see the sleeper.
	 */
	if (wq_has_sleeper(&irq->wait)) {
		spin_lock(&irq->wait.lock);
		wake_up_locked_poll(&irq->wait, EPOLLIN | EPOLLRDNORM);
		spin_unlock(&irq->wait.lock);
	}
	if (READ_ONCE(irq->fasync))
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
	unsigned long flags;

	local_irq_save(flags);
	irq_wake(irq);
	local_irq_restore(flags);
}

/* The reader's buffer was bad: what was taken is pending again, if it is still the same set-up. */
static void vector_give_back(struct udrv_vector *v, u32 count, u64 time_ns, u64 value,
			     unsigned int setups)
{
	spin_lock_irq(&v->lock);
	if (READ_ONCE(v->irq->setups) == setups && !v->eventfd) {
		v->pending += count;
		v->value |= value;
		v->time_ns = time_ns;
		set_bit(v->index, v->irq->pending);
	}
	spin_unlock_irq(&v->lock);
	udrv_irq_wake(v->irq); /* another reader may have come and found nothing */
}

static int record_put(struct udrv_irq_record __user *record, u32 vector, u32 count, u64 time_ns,
		      u64 value)
{
	if (!user_write_access_begin(record, sizeof(*record)))
		return -EFAULT;
	unsafe_put_user(vector, &record->vector, err_fault);
	unsafe_put_user(count, &record->count, err_fault);
	unsafe_put_user(time_ns, &record->time_ns, err_fault);
	unsafe_put_user(value, &record->value, err_fault);
	user_write_access_end();
	return 0;

err_fault:
	user_write_access_end();
	return -EFAULT;
}

/*
 * Take what is pending and give it to a reader: a record, or the running total. Return the bytes
 * written; 0 if there was nothing; -EFAULT if the buffer is bad, and nothing was taken.
 */
static __always_inline ssize_t vector_read(struct udrv_vector *v, char __user *buf, bool as_total)
{
	unsigned int setups = READ_ONCE(v->irq->setups);
	u64 time_ns, value;
	u32 count, total;
	int ret;

	spin_lock_irq(&v->lock);
	count = min_t(u64, v->pending, U32_MAX);
	time_ns = v->time_ns;
	value = v->value;
	total = v->total;
	v->pending -= count;
	v->value = 0;
	if (!v->pending)
		clear_bit(v->index, v->irq->pending);
	spin_unlock_irq(&v->lock);
	if (!count)
		return 0;

	if (as_total)
		ret = put_user(total, (u32 __user *)buf);
	else
		ret = record_put((struct udrv_irq_record __user *)buf, v->index, count, time_ns,
				 value);
	if (ret) {
		vector_give_back(v, count, time_ns, value, setups);
		return ret;
	}
	return as_total ? sizeof(u32) : sizeof(struct udrv_irq_record);
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
	bool ours;
	u64 value;

	spin_lock(&v->lock);
	ours = !irq->paused && !v->masked && udrv_prog_acknowledge(irq->ack, &value);
	if (ours) {
		if (!v->eventfd)
			v->value |= value;
		vector_fire(v);
	}
	spin_unlock(&v->lock);

	if (!ours)
		return IRQ_NONE;
	irq_wake(irq);
	return IRQ_HANDLED;
}

/** udrv_irq_intx_handler() - the hard interrupt handler of INTx; @data is vector 0 */
irqreturn_t udrv_irq_intx_handler(int linux_irq, void *data)
{
	struct udrv_vector *v = data;
	struct udrv_irq *irq = v->irq;

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
	vector_fire(v);
	spin_unlock(&v->lock);

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
	 * With an eventfd the waiter hears of nothing; and IRQ_SETUP may just have come and gone.
	 */
	if (irq->kind == UDRV_IRQ_INTX && !v->eventfd) {
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

	spin_lock(&v->lock);
	vector_fire(v);
	spin_unlock(&v->lock);

	irq_wake(v->irq);
	return IRQ_HANDLED;
}

/* ---- waiting ---- */

/* The first vector with something to read; irq->capacity if there is none. */
static unsigned int irq_first_pending(const struct udrv_irq *irq)
{
	unsigned long bits;
	unsigned int i;

	for (i = 0; i < irq->capacity; i += BITS_PER_LONG) {
		bits = READ_ONCE(irq->pending[i / BITS_PER_LONG]);
		if (bits)
			return i + __ffs(bits);
	}
	return irq->capacity;
}

/* Is there something to read, from vector 0 or from any? */
static bool irq_pending(const struct udrv_irq *irq, bool vector0)
{
	return vector0 ? test_bit(0, irq->pending) : irq_first_pending(irq) < irq->capacity;
}

/* There is room for more records, from vector @i on. Return their bytes. */
static noinline size_t irq_read_more(struct udrv_irq *irq, unsigned int i, char __user *buf,
				     size_t bytes)
{
	size_t done = 0;
	ssize_t ret;

	for_each_set_bit_from(i, irq->pending, irq->capacity) {
		ret = vector_read(&irq->vectors[i], buf + done, false);
		if (ret < 0)
			break;
		done += ret;
		if (bytes - done < sizeof(struct udrv_irq_record))
			break;
	}
	return done;
}

/* Give a reader what is pending, as much as it has room for. Return 0 if there is nothing. */
static __always_inline ssize_t irq_read_pending(struct udrv_irq *irq, char __user *buf, size_t bytes)
{
	bool total = bytes == sizeof(u32);
	unsigned int i = irq_first_pending(irq);
	ssize_t ret;

	if (i >= irq->capacity || (total && i))
		return 0;
	ret = vector_read(&irq->vectors[i], buf, total);
	if (ret > 0 && bytes - ret >= sizeof(struct udrv_irq_record))
		ret += irq_read_more(irq, i + 1, buf + ret, bytes - ret);
	return ret;
}

/*
 * A reader has found nothing: wait. @armed: the set-up for which it has armed INTx, 0 for none yet.
 * Return that for which it has now, and it looks again; or -errno.
 */
static noinline int irq_wait(struct udrv_client *client, bool total, bool nonblock, int armed)
{
	struct udrv_irq *irq = &client->irq;
	DECLARE_WAITQUEUE(wait, current);
	int setups, ret;

	/* Pairs with irq_configure(): what is set up is there to be used. */
	if (smp_load_acquire(&irq->kind) == UDRV_IRQ_NONE)
		return udrv_irq_setup_default(client);

	/*
	 * Arm once for each call and set-up: a second reader that wakes up empty-handed must not
	 * arm under the feet of the first, who has yet to acknowledge its interrupt.
	 */
	setups = READ_ONCE(irq->setups) & INT_MAX;
	if (armed != setups && irq_arm(irq))
		return setups;
	if (nonblock)
		return -EAGAIN;

	ret = setups;
	spin_lock_irq(&irq->wait.lock);
	__add_wait_queue_entry_tail(&irq->wait, &wait);
	set_current_state(TASK_INTERRUPTIBLE); /* a barrier: pairs with irq_wake() */
	if (!irq_pending(irq, total) && !READ_ONCE(client->ended) &&
	    (READ_ONCE(irq->setups) & INT_MAX) == setups) {
		if (signal_pending(current)) {
			ret = -ERESTARTSYS;
		} else {
			spin_unlock_irq(&irq->wait.lock);
			schedule();
			spin_lock_irq(&irq->wait.lock);
		}
	}
	__remove_wait_queue(&irq->wait, &wait);
	__set_current_state(TASK_RUNNING);
	spin_unlock_irq(&irq->wait.lock);
	return ret;
}

/**
 * udrv_irq_read() - read() at position 0
 * @client: the caller
 * @buf: where records go
 * @bytes: room: 4 for vector 0's total, else at least one record
 * @nonblock: do not wait
 *
 * Context: process, no lock held.
 * Return: bytes; -EINVAL bad size, -EAGAIN, -ERESTARTSYS, -EFAULT (nothing is lost), -ENODEV; what
 * setting up the default vector returned.
 */
ssize_t udrv_irq_read(struct udrv_client *client, char __user *buf, size_t bytes, bool nonblock)
{
	struct udrv_irq *irq = &client->irq;
	int armed = 0;
	ssize_t ret;

	if (bytes != sizeof(u32) && bytes < sizeof(struct udrv_irq_record))
		return -EINVAL;

	for (;;) {
		if (READ_ONCE(client->ended))
			return -ENODEV;
		/* Pairs with irq_configure(), as in irq_wait(). */
		if (smp_load_acquire(&irq->kind) != UDRV_IRQ_NONE) {
			ret = irq_read_pending(irq, buf, bytes);
			if (ret)
				return ret;
		}
		armed = irq_wait(client, bytes == sizeof(u32), nonblock, armed);
		if (armed < 0)
			return armed;
	}
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
	/* Pairs with irq_configure(), as in udrv_irq_read(). */
	if (smp_load_acquire(&irq->kind) == UDRV_IRQ_NONE && udrv_irq_setup_default(client))
		return READ_ONCE(client->ended) ? EPOLLHUP : EPOLLERR;
	if (irq_pending(irq, false) || irq_arm(irq))
		return EPOLLIN | EPOLLRDNORM;
	return 0;
}
