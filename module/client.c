// SPDX-License-Identifier: GPL-2.0-only
/*
 * One driver's tenure: what it holds, and how it ends
 *
 * A client is made by open and ended once: by the release of its descriptor, or by remove(). The
 * end is the hard part; its order is fixed (design, "The end of a driver"), and each step says why
 * it stands where it does. After the end the structure lives on, dead, until its descriptor is
 * closed and its last mapping is gone.
 */
#include <linux/dma-mapping.h>
#include <linux/pid.h>
#include <linux/pm_runtime.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "udrv.h"

/**
 * udrv_client_create() - begin a tenure
 * @udev: the device, which has no client
 * @file: the descriptor being opened
 * @confined: its tier
 *
 * Context: process, udev->lock held.
 * Return: a client with one reference, or an ERR_PTR.
 */
struct udrv_client *udrv_client_create(struct udrv_device *udev, struct file *file, bool confined)
{
	struct udrv_client *client;
	int ret;

	client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);
	if (!client)
		return ERR_PTR(-ENOMEM);

	ret = -ENOMEM;
	client->ones = alloc_page(GFP_KERNEL_ACCOUNT);
	if (!client->ones)
		goto err_free;
	memset(page_address(client->ones), 0xff, PAGE_SIZE);

	/* What an earlier driver chose is not this one's. */
	client->dma_mask_bits = 32;
	ret = dma_set_mask_and_coherent(&udev->pdev->dev, DMA_BIT_MASK(32));
	if (ret)
		goto err_page;

	/* Off since probe, unless somebody wrote to config space through sysfs. */
	udrv_pci_set_master(udev, false);
	/*
	 * If an earlier end could not: what still runs would run with this driver's memory. Or if it left that to the
	 * driver before, whom a confined one need not believe.
	 */
	if (!udev->own_reset || confined)
		ret = udrv_pci_reset_at_end(udev, UDRV_END_REVOKE);
	if (ret) {
		ret = -EBUSY;
		goto err_page;
	}
	udev->own_reset = false;
	if (confined)
		udrv_config_confine(udev);

	kref_init(&client->ref);
	mutex_init(&client->lock);
	client->udev = udev;
	client->confined = confined;
	get_device(&udev->dev);
	client->mapping = file->f_mapping;
	client->read_only = !(file->f_mode & FMODE_WRITE);
	client->owner = get_pid(task_tgid(current));
	udrv_irq_init(client);
	udrv_bar_init_client(client);
	udrv_dma_init(client);
	return client;

err_page:
	__free_page(client->ones);
err_free:
	kfree(client);
	return ERR_PTR(ret);
}

/**
 * udrv_client_end() - the end of a driver, however it comes
 * @client: may have ended before: then nothing happens
 * @how: but for a release, mappings are revoked; nothing waits for a process
 *
 * Pages and charges are given back by client->reap_work, which the caller may wait for.
 *
 * Context: process, udev->lock held.
 */
void udrv_client_end(struct udrv_client *client, enum udrv_end how)
{
	struct udrv_device *udev = client->udev;
	struct udrv_net_session *net;
	struct udrv_blk_session *blk;
	bool quiet;

	lockdep_assert_held(&udev->lock);
	mutex_lock(&client->lock);
	if (client->ended)
		goto out;

	/* 1. Nothing reaches the process any more, and nothing that it calls reaches the device. */
	WRITE_ONCE(client->ended, true);
	udrv_irq_silence(client);
	udrv_net_silence(client);
	udrv_blk_silence(client);
	if (how != UDRV_END_RELEASE)
		udrv_area_revoke_all(client); /* at release there are no mappings left */

	/* 2. The device starts no more DMA, and what it has started is through. */
	udrv_pci_set_master(udev, false);
	client->bus_master = false;
	/* Not earlier: who has it may be waiting for memory. Who comes later sees the end. */
	mutex_lock(&client->dma_lock);
	mutex_unlock(&client->dma_lock);

	/*
	 * 3. Its driver knew how to stop its engines. 4. Reset, where there is one, and the driver's program was
	 * none. Who takes the device away gets it as the kernel leaves it.
	 */
	quiet = udrv_prog_quiesce(client) && (how == UDRV_END_RELEASE || how == UDRV_END_REVOKE);
	udrv_irq_pause(client);
	udev->own_reset = quiet;
	if (!quiet)
		udrv_pci_reset_at_end(udev, how);

	/*
	 * 5. Interrupt handlers, only now: before, a level line that is still asserted would have
	 * had nobody who knows how to mask it.
	 */
	udrv_irq_end(client);
	udrv_pci_restore_config(udev, how);

	/* 6. Upper halves. 7. and 8. DMA is unmapped, flushed, then freed: theirs too. */
	net = udrv_net_detach(client);
	blk = udrv_blk_detach(client, quiet || udrv_pci_is_quiet(udev));
	udrv_dma_end(client);
	udrv_net_free(net);
	udrv_blk_free(blk);
	udrv_bar_end(udev);
out:
	mutex_unlock(&client->lock);
}

/**
 * udrv_client_leave() - end the tenure of whoever has the device
 * @udev: the device
 * @how: why
 *
 * Context: process, udev->lock held.
 * Return: true if somebody had it.
 */
bool udrv_client_leave(struct udrv_device *udev, enum udrv_end how)
{
	lockdep_assert_held(&udev->lock);
	if (!udev->client)
		return false;
	udrv_client_end(udev->client, how);
	udev->client = NULL;
	udrv_trust_close(udev);
	pm_runtime_put(&udev->pdev->dev);
	return true;
}

/**
 * udrv_client_revoke() - take the node from whoever has it, as unplug would
 * @udev: the device, bound
 * @confined_only: only from a client of the confined tier
 *
 * Another process may open it as soon as this returns. The old descriptor is dead.
 *
 * Context: process, udev->lock not held.
 */
void udrv_client_revoke(struct udrv_device *udev, bool confined_only)
{
	mutex_lock(&udev->lock);
	if (udev->client && (udev->client->confined || !confined_only))
		udrv_client_leave(udev, UDRV_END_REVOKE);
	mutex_unlock(&udev->lock);
}

/**
 * udrv_client_end_of() - end this client's tenure, if it has not ended
 * @client: whose
 *
 * Context: process, udev->lock not held.
 */
void udrv_client_end_of(struct udrv_client *client)
{
	struct udrv_device *udev = client->udev;

	mutex_lock(&udev->lock);
	if (udev->client == client)
		udrv_client_leave(udev, UDRV_END_REVOKE);
	mutex_unlock(&udev->lock);
}

static void client_free(struct kref *ref)
{
	struct udrv_client *client = container_of(ref, struct udrv_client, ref);

	udrv_dma_free_client(client);
	udrv_irq_free(client);
	udrv_prog_free(client);
	put_pid(client->owner);
	put_device(&client->udev->dev);
	__free_page(client->ones);
	kfree(client);
}

/** udrv_client_put() - drop a reference; the last one, after the end, frees the client */
void udrv_client_put(struct udrv_client *client)
{
	kref_put(&client->ref, client_free);
}

/**
 * udrv_client_lock() - take client->lock if the client still lives
 * @client: the client
 * Return: 0 with the lock held; -EINTR, -ENODEV without it
 */
int udrv_client_lock(struct udrv_client *client)
{
	if (mutex_lock_interruptible(&client->lock))
		return -EINTR;
	if (client->ended) {
		mutex_unlock(&client->lock);
		return -ENODEV;
	}
	return 0;
}

/** udrv_client_unlock() - release client->lock */
void udrv_client_unlock(struct udrv_client *client)
{
	mutex_unlock(&client->lock);
}

/**
 * udrv_client_bus_master() - UDRV_IOC_DEVICE_BUS_MASTER
 * @client: the caller
 * @arg: struct udrv_ioc_device_bus_master
 */
int udrv_client_bus_master(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_device_bus_master *p = arg;
	int ret;

	if (p->flags || p->reserved || p->enable > 1)
		return -EINVAL;

	ret = udrv_client_lock(client);
	if (ret)
		return ret;
	client->udev->used = true;
	udrv_pci_set_master(client->udev, p->enable);
	client->bus_master = p->enable;
	udrv_client_unlock(client);
	return 0;
}

/**
 * udrv_client_reset() - UDRV_IOC_DEVICE_RESET
 * @client: the caller
 * @arg: struct udrv_ioc_device_reset
 */
int udrv_client_reset(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_device_reset *p = arg;
	int ret;

	if (p->flags)
		return -EINVAL;

	ret = udrv_client_lock(client);
	if (ret)
		return ret;
	udrv_irq_pause(client);
	ret = udrv_pci_reset(client);
	udrv_irq_resume(client);
	udrv_client_unlock(client);
	return ret;
}
