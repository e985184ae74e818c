// SPDX-License-Identifier: GPL-2.0-only
/*
 * Vectors coming and going
 *
 * Owns the set-up of a client's interrupts, the calls that change it, and its end. The vectors'
 * table is allocated once and kept until the client is freed, so that readers and handlers, which
 * take no lock of ours to find it, never see it go. The hard part is order: handlers are installed
 * before the vectors are shown, and taken away before the PCI core frees what they are installed
 * on.
 */
#include <linux/eventfd.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/rcuwait.h>
#include <linux/slab.h>

#include "irq.h"

static int irq_alloc_vectors(struct udrv_client *client)
{
	struct udrv_device *udev = client->udev;
	struct udrv_irq *irq = &client->irq;
	unsigned int capacity = max3(1U, udev->msi_count, udev->msix_count);
	unsigned long *pending;
	unsigned int i;

	if (irq->vectors)
		return 0;

	pending = bitmap_zalloc(capacity, GFP_KERNEL_ACCOUNT);
	if (!pending)
		return -ENOMEM;
	irq->vectors = kvcalloc(capacity, sizeof(*irq->vectors), GFP_KERNEL_ACCOUNT);
	if (!irq->vectors) {
		bitmap_free(pending);
		return -ENOMEM;
	}

	irq->capacity = capacity;
	for (i = 0; i < capacity; i++) {
		spin_lock_init(&irq->vectors[i].lock);
		irq->vectors[i].irq = irq;
		irq->vectors[i].bits = pending;
		irq->vectors[i].index = i;
	}
	/* Pairs with irq_read_first(): who sees a bit sees its vector. */
	smp_store_release(&irq->pending, pending);
	return 0;
}

/* Release one vector's handler, and forget its state. */
static void vector_release(struct udrv_vector *v)
{
	struct eventfd_ctx *eventfd;
	unsigned long flags;

	free_irq(v->linux_irq, v);

	spin_lock_irqsave(&v->lock, flags);
	eventfd = v->eventfd;
	v->eventfd = NULL;
	v->waiter = NULL;
	v->pending = 0;
	v->value = 0;
	v->total = 0;
	v->masked = false;
	clear_bit(v->index, v->irq->pending);
	spin_unlock_irqrestore(&v->lock, flags);
	if (eventfd)
		eventfd_ctx_put(eventfd);
}

/*
 * The device sends no MSI any more. free_irq() leaves address 0 as a vector's message, and the PCI
 * core disables MSI only after that: a device that interrupts in between would write there. (MSI-X
 * is masked by then; plain MSI need not have mask bits.)
 */
static void irq_disable_msi(struct udrv_device *udev)
{
	struct pci_dev *pdev = udev->pdev;
	unsigned long flags;
	u16 control;

	spin_lock_irqsave(&udev->command_lock, flags);
	pci_read_config_word(pdev, pdev->msi_cap + PCI_MSI_FLAGS, &control);
	pci_write_config_word(pdev, pdev->msi_cap + PCI_MSI_FLAGS, control & ~PCI_MSI_FLAGS_ENABLE);
	spin_unlock_irqrestore(&udev->command_lock, flags);
}

/* Undo what udrv_irq_pause() did to the line: on a shared one it would outlive our handler. */
static void irq_release_line(struct udrv_irq *irq)
{
	if (!irq->line_held)
		return;
	irq->line_held = false;
	enable_irq(irq->vectors[0].linux_irq);
}

static void irq_teardown(struct udrv_client *client)
{
	struct udrv_device *udev = client->udev;
	struct udrv_irq *irq = &client->irq;
	unsigned int kind = irq->kind, count = irq->count, i;
	unsigned long flags;

	lockdep_assert_held(&client->lock);
	if (kind == UDRV_IRQ_NONE)
		return;

	/* Nobody arms it from here on. */
	spin_lock_irqsave(&irq->vectors[0].lock, flags);
	WRITE_ONCE(irq->kind, UDRV_IRQ_NONE);
	WRITE_ONCE(irq->count, 0);
	if (kind == UDRV_IRQ_INTX)
		udrv_irq_intx_mask(&irq->vectors[0]);
	spin_unlock_irqrestore(&irq->vectors[0].lock, flags);

	/*
	 * A held line must be let go before the handler goes: the hold would outlive it. What the
	 * device has to say from here on nobody would answer.
	 */
	if (kind == UDRV_IRQ_INTX && udev->intx_maskable)
		udrv_irq_intx_disable(udev);
	irq_release_line(irq);
	if (kind == UDRV_IRQ_MSI)
		irq_disable_msi(udev);
	for (i = 0; i < count; i++)
		vector_release(&irq->vectors[i]);
	irq->paused = false;
	irq->ack = NULL; /* no handler is left to run it */
	if (kind != UDRV_IRQ_INTX) {
		pci_free_irq_vectors(udev->pdev);
		/* The PCI core has enabled INTx in exchange. */
		if (udev->intx_maskable)
			udrv_irq_intx_disable(udev);
	}
}

static int vector_request(struct udrv_client *client, struct udrv_vector *v, int linux_irq,
			  const char *kind, irq_handler_t handler, unsigned long flags)
{
	v->linux_irq = linux_irq;
	snprintf(v->name, sizeof(v->name), "udrv-%s-%s", client->udev->name + strlen("pci-"), kind);
	return request_irq(linux_irq, handler, flags, v->name, v);
}

static int irq_setup_intx(struct udrv_client *client, bool disint)
{
	struct udrv_device *udev = client->udev;
	struct udrv_irq *irq = &client->irq;
	struct udrv_vector *v = irq->vectors;
	unsigned long how = 0;
	int ret;

	/* Armed by waiting, but where a program acknowledges: that may happen at once. */
	irq->ack = client->ack;
	irq->intx_disint = disint;
	v->masked = !irq->ack;
	if (disint || irq->ack)
		how |= IRQF_SHARED;
	else
		how |= IRQF_NO_AUTOEN;
	/* That the line is another's already is for the caller to hear, not for the log. */
	how |= IRQF_PROBE_SHARED;
	ret = vector_request(client, v, udev->pdev->irq, "intx", udrv_irq_intx_handler, how);
	if (ret) {
		v->masked = false;
		irq->ack = NULL;
		return ret;
	}
	if (!disint || irq->ack)
		udrv_irq_intx_enable(udev);
	return 1;
}

static int irq_setup_msi(struct udrv_client *client, unsigned int kind, unsigned int *count)
{
	struct pci_dev *pdev = client->udev->pdev;
	unsigned int type = kind == UDRV_IRQ_MSI ? PCI_IRQ_MSI : PCI_IRQ_MSIX;
	struct udrv_irq *irq = &client->irq;
	unsigned int i;
	char name[16];
	int ret;

	ret = pci_alloc_irq_vectors(pdev, *count, *count, type);
	if (ret == -ENOSPC) {
		/* Tell the caller what there is. */
		ret = pci_alloc_irq_vectors(pdev, 1, *count, type);
		*count = max(ret, 0);
		if (ret > 0)
			pci_free_irq_vectors(pdev);
		return -ENOSPC;
	}
	if (ret < 0)
		return ret;

	for (i = 0; i < *count; i++) {
		snprintf(name, sizeof(name), "%s-%u", kind == UDRV_IRQ_MSI ? "msi" : "msix", i);
		ret = vector_request(client, &irq->vectors[i], pci_irq_vector(pdev, i), name,
				     udrv_irq_msi_handler, 0);
		if (ret)
			goto err_vectors;
		/*
		 * Masked means masked in the device. Else the core masks only when one comes, and
		 * remembers that one, and the device its own: at UNMASK both would be sent.
		 */
		irq_set_status_flags(pci_irq_vector(pdev, i), IRQ_DISABLE_UNLAZY);
	}
	return *count;

err_vectors:
	/* Allocation only reserves: the CPUs' vectors may run out as late as here. */
	if (ret == -ENOSPC)
		*count = i;
	if (kind == UDRV_IRQ_MSI)
		irq_disable_msi(client->udev);
	while (i--)
		vector_release(&irq->vectors[i]);
	pci_free_irq_vectors(pdev);
	return ret;
}

/* Nothing is set up now: who waited for what was before looks again. */
static void irq_look_again(struct udrv_irq *irq)
{
	WRITE_ONCE(irq->setups, irq->setups + 1);
	udrv_irq_wake(irq);
}

/*
 * Replace the set-up. client->lock held. @count: wanted, then had; with -ENOSPC what could be had.
 */
static int irq_configure(struct udrv_client *client, unsigned int kind, unsigned int *count,
			 bool no_disint)
{
	struct udrv_device *udev = client->udev;
	struct udrv_irq *irq = &client->irq;
	unsigned int most[] = { 0, udev->intx_count, udev->msi_count, udev->msix_count };
	unsigned long flags;
	int ret;

	lockdep_assert_held(&client->lock);
	if (kind > UDRV_IRQ_MSIX || (no_disint && kind != UDRV_IRQ_INTX) || *count > INT_MAX)
		return -EINVAL;
	if (kind == UDRV_IRQ_NONE) {
		if (*count)
			return -EINVAL;
		irq_teardown(client);
		irq_look_again(irq);
		return 0;
	}
	if (!most[kind])
		return -EOPNOTSUPP;
	if (*count > most[kind])
		return -EINVAL;
	if (kind != UDRV_IRQ_INTX && !client->bus_master)
		return -EINVAL;
	/* Not shared, by choice: the line would be denied to other drivers. */
	if (no_disint && client->confined && udev->intx_maskable)
		return -EPERM;
	if (!*count)
		*count = most[kind];
	/* Without the disable bit the line cannot be shared: the same as asking not to use it. */
	if (kind == UDRV_IRQ_INTX && !udev->intx_maskable)
		no_disint = true;

	ret = irq_alloc_vectors(client);
	if (ret)
		return ret;

	irq_teardown(client);
	udev->used = true;
	if (kind == UDRV_IRQ_INTX)
		ret = irq_setup_intx(client, !no_disint);
	else
		ret = irq_setup_msi(client, kind, count);
	if (ret < 0) {
		if (udev->intx_maskable)
			udrv_irq_intx_disable(udev);
		irq_look_again(irq);
		return ret;
	}

	/* What fired meanwhile is pending already; from here on it is seen. */
	spin_lock_irqsave(&irq->vectors[0].lock, flags);
	/* Pairs with udrv_irq_read() and interrupts_show(): who sees these sees the vectors. */
	smp_store_release(&irq->count, ret);
	/* Likewise. */
	smp_store_release(&irq->kind, kind);
	WRITE_ONCE(irq->setups, irq->setups + 1);
	spin_unlock_irqrestore(&irq->vectors[0].lock, flags);
	udrv_irq_wake(irq); /* a waiter arms anew, or finds what came */
	return 0;
}

/**
 * udrv_irq_setup_default() - for a bare read or poll: one vector, the best that can be had now
 * @client: the caller
 *
 * Context: process, no lock held. Return: 0 (also if another thread was first); -EINVAL the device
 * has MSI only and bus mastering is off; -EOPNOTSUPP it has no interrupt; -EBADF the descriptor is
 * open for reading only; -ENODEV, -EINTR.
 */
int udrv_irq_setup_default(struct udrv_client *client)
{
	struct udrv_device *udev = client->udev;
	unsigned int kind, count = 1;
	int ret;

	if (client->read_only)
		return -EBADF;
	/* Killable, not interruptible: poll() could make nothing of a signal. */
	if (mutex_lock_killable(&client->lock))
		return -EINTR;
	ret = client->ended ? -ENODEV : 0;
	if (ret || client->irq.kind != UDRV_IRQ_NONE)
		goto out;

	if (client->bus_master && udev->msix_count)
		kind = UDRV_IRQ_MSIX;
	else if (client->bus_master && udev->msi_count)
		kind = UDRV_IRQ_MSI;
	else if (!udev->intx_count && udev->msix_count)
		kind = UDRV_IRQ_MSIX; /* to be refused: bus mastering is off */
	else if (!udev->intx_count && udev->msi_count)
		kind = UDRV_IRQ_MSI; /* likewise */
	else
		kind = UDRV_IRQ_INTX;
	ret = irq_configure(client, kind, &count, false);
out:
	udrv_client_unlock(client);
	return ret;
}

/**
 * udrv_irq_setup() - UDRV_IOC_IRQ_SETUP
 * @client: the caller
 * @arg: struct udrv_ioc_irq_setup
 */
int udrv_irq_setup(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_irq_setup *p = arg;
	int ret;

	if (p->flags & ~UDRV_IRQ_SETUP_NO_DISINTX)
		return -EINVAL;

	ret = udrv_client_lock(client);
	if (ret)
		return ret;
	ret = irq_configure(client, p->kind, &p->count, p->flags & UDRV_IRQ_SETUP_NO_DISINTX);
	udrv_client_unlock(client);
	return ret;
}

/** udrv_irq_setup_undo() - the result could not be copied out: nothing is set up */
void udrv_irq_setup_undo(struct udrv_client *client, void *arg)
{
	mutex_lock(&client->lock);
	irq_teardown(client);
	irq_look_again(&client->irq);
	mutex_unlock(&client->lock);
}

/**
 * udrv_irq_info() - UDRV_IOC_IRQ_INFO
 * @client: the caller
 * @arg: struct udrv_ioc_irq_info
 */
int udrv_irq_info(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_irq_info *p = arg;
	struct udrv_irq *irq = &client->irq;
	struct udrv_vector *v;
	unsigned long flags;
	int ret;

	if (p->flags)
		return -EINVAL;

	ret = udrv_client_lock(client);
	if (ret)
		return ret;
	if (p->vector >= max(irq->count, 1U)) {
		ret = -EINVAL;
		goto out;
	}

	p->kind = irq->kind;
	p->count = irq->count;
	p->state = 0;
	p->linux_irq = 0;
	p->pending = 0;
	p->total = 0;
	if (irq->kind == UDRV_IRQ_NONE)
		goto out;

	v = &irq->vectors[p->vector];
	spin_lock_irqsave(&v->lock, flags);
	p->state = (v->masked ? UDRV_IRQ_MASKED : 0) | (v->eventfd ? UDRV_IRQ_EVENTFD : 0);
	p->linux_irq = v->linux_irq;
	p->pending = min_t(u64, v->pending, U32_MAX);
	p->total = v->total;
	spin_unlock_irqrestore(&v->lock, flags);
out:
	udrv_client_unlock(client);
	return ret;
}

static void irq_mask_one(struct udrv_irq *irq, struct udrv_vector *v, bool mask)
{
	unsigned long flags;
	bool fired = false;

	if (irq->kind == UDRV_IRQ_INTX) {
		spin_lock_irqsave(&v->lock, flags);
		if (mask)
			udrv_irq_intx_mask(v);
		else
			fired = udrv_irq_intx_arm(v);
		spin_unlock_irqrestore(&v->lock, flags);
		if (fired)
			udrv_irq_wake(irq);
		return;
	}

	/* The interrupt core keeps what comes meanwhile, and delivers it once at the end. */
	if (v->masked == mask)
		return;
	v->masked = mask;
	if (mask)
		disable_irq(v->linux_irq);
	else
		enable_irq(v->linux_irq);
}

static int irq_mask_range(struct udrv_client *client, struct udrv_ioc_irq_range *p, bool mask)
{
	struct udrv_irq *irq = &client->irq;
	u32 i;
	int ret;

	if (p->flags || !p->count)
		return -EINVAL;

	ret = udrv_client_lock(client);
	if (ret)
		return ret;
	ret = -EINVAL;
	if (p->vector >= irq->count || p->count > irq->count - p->vector)
		goto out;
	/* A shared line without the disable bit: only the driver can, in the device's registers. */
	ret = -EOPNOTSUPP;
	if (irq->kind == UDRV_IRQ_INTX && irq->ack && !irq->intx_disint)
		goto out;
	ret = 0;
	for (i = 0; i < p->count; i++)
		irq_mask_one(irq, &irq->vectors[p->vector + i], mask);
out:
	udrv_client_unlock(client);
	return ret;
}

/**
 * udrv_irq_mask() - UDRV_IOC_IRQ_MASK
 * @client: the caller
 * @arg: struct udrv_ioc_irq_range
 */
int udrv_irq_mask(struct udrv_client *client, void *arg)
{
	return irq_mask_range(client, arg, true);
}

/**
 * udrv_irq_unmask() - UDRV_IOC_IRQ_UNMASK
 * @client: the caller
 * @arg: struct udrv_ioc_irq_range
 */
int udrv_irq_unmask(struct udrv_client *client, void *arg)
{
	return irq_mask_range(client, arg, false);
}

/* ---- the client's life ---- */

/** udrv_irq_init() - a client without interrupts */
void udrv_irq_init(struct udrv_client *client)
{
	rcuwait_init(&client->irq.reader);
	init_waitqueue_head(&client->irq.wait);
	client->irq.pending = &client->irq.none;
}

/** udrv_irq_free() - free the tables; the client has ended and nobody reads any more */
void udrv_irq_free(struct udrv_client *client)
{
	kvfree(client->irq.vectors);
	if (client->irq.pending != &client->irq.none)
		bitmap_free(client->irq.pending);
}

/**
 * udrv_irq_silence() - the first step of the end: INTx stays masked, and waiters are told
 * @client: with @ended set, client->lock held
 */
void udrv_irq_silence(struct udrv_client *client)
{
	struct udrv_irq *irq = &client->irq;
	unsigned long flags;

	lockdep_assert_held(&client->lock);
	if (irq->kind == UDRV_IRQ_INTX) {
		/*
		 * Whoever arms has either done so before we mask, or sees that the client has
		 * ended.
		 */
		spin_lock_irqsave(&irq->vectors[0].lock, flags);
		udrv_irq_intx_mask(&irq->vectors[0]);
		spin_unlock_irqrestore(&irq->vectors[0].lock, flags);
	}
	rcuwait_wake_up(&irq->reader);
	wake_up_interruptible_poll(&irq->wait, EPOLLHUP);
	kill_fasync(&irq->fasync, SIGIO, POLL_HUP);
}

/** udrv_irq_end() - the later step: handlers and vectors are freed; client->lock held */
void udrv_irq_end(struct udrv_client *client)
{
	irq_teardown(client);
}

/**
 * udrv_irq_pause() - keep INTx masked while the device is reset
 * @client: the client, client->lock held
 *
 * MSI and MSI-X need no help: the PCI core restores them, and a device in reset sends none.
 */
void udrv_irq_pause(struct udrv_client *client)
{
	struct udrv_irq *irq = &client->irq;
	unsigned long flags;

	lockdep_assert_held(&client->lock);
	if (irq->kind != UDRV_IRQ_INTX)
		return;
	/* What cannot be masked at the device is held at the controller: late, but not lost. */
	if (irq->ack && !irq->intx_disint && !irq->line_held) {
		disable_irq(irq->vectors[0].linux_irq);
		irq->line_held = true;
	}
	spin_lock_irqsave(&irq->vectors[0].lock, flags);
	irq->arm_at_resume = !irq->vectors[0].masked;
	udrv_irq_intx_mask(&irq->vectors[0]);
	irq->paused = true;
	spin_unlock_irqrestore(&irq->vectors[0].lock, flags);
}

/** udrv_irq_resume() - undo udrv_irq_pause(); who waited, or began to, is waiting armed */
void udrv_irq_resume(struct udrv_client *client)
{
	struct udrv_irq *irq = &client->irq;
	unsigned long flags;
	bool fired = false;

	lockdep_assert_held(&client->lock);
	if (irq->kind != UDRV_IRQ_INTX)
		return;
	spin_lock_irqsave(&irq->vectors[0].lock, flags);
	irq->paused = false;
	if (irq->arm_at_resume)
		fired = udrv_irq_intx_arm(&irq->vectors[0]);
	spin_unlock_irqrestore(&irq->vectors[0].lock, flags);
	if (fired)
		udrv_irq_wake(irq);
	irq_release_line(irq);
}
