// SPDX-License-Identifier: GPL-2.0-only
/*
 * From probe to remove: the owner of the device's lifetime
 *
 * Binds what it is told to bind (driver_override, new_id) and nothing by itself. Between probe and
 * remove the device is enabled and its BARs are ours, but bus mastering is off and INTx is masked
 * unless a client asks. The hard part is remove(): it may come at any time, must not wait for a
 * process, and must leave nothing behind that could still touch the device; udrv_client_end() does
 * the work.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>

#include "udrv.h"

/**
 * udrv_pci_has_reset() - has this function any kind of reset?
 * @udev: the device
 */
bool udrv_pci_has_reset(const struct udrv_device *udev)
{
	return udev->pdev->reset_methods[0] != 0;
}

/**
 * udrv_pci_set_master() - bus mastering on or off
 * @udev: the device
 * @enable: which
 *
 * Off returns when the device's pending transactions are through.
 *
 * Context: process, client->lock or udev->lock held.
 */
void udrv_pci_set_master(struct udrv_device *udev, bool enable)
{
	unsigned long flags;

	/* The handler rewrites PCI_COMMAND to mask INTx: the two must not interleave. */
	spin_lock_irqsave(&udev->command_lock, flags);
	if (enable)
		pci_set_master(udev->pdev);
	else
		pci_clear_master(udev->pdev);
	spin_unlock_irqrestore(&udev->command_lock, flags);

	if (!enable)
		pci_wait_for_pending_transaction(udev->pdev);
}

/**
 * udrv_pci_reset() - reset on a client's request
 * @client: the client
 *
 * Registers do not answer while it runs: bar_sem is held for writing and BAR mappings are taken
 * away, so that an access waits in the fault handler.
 *
 * Context: process, client->lock held, interrupts paused. May take a second.
 * Return: 0, -EOPNOTSUPP there is no reset, -EAGAIN the device is busy in the kernel.
 */
int udrv_pci_reset(struct udrv_client *client)
{
	struct udrv_device *udev = client->udev;
	int ret;

	if (!udrv_pci_has_reset(udev))
		return -EOPNOTSUPP;

	down_write(&udev->bar_sem);
	unmap_mapping_range(client->mapping, 0, UDRV_DMA_OFFSET, 1);
	udrv_pci_set_master(udev, false);
	client->bus_master = false;
	ret = pci_try_reset_function(udev->pdev);
	up_write(&udev->bar_sem);
	return ret == -ENOTTY ? -EOPNOTSUPP : ret;
}

/**
 * udrv_pci_reset_at_end() - leave no running engine to the next driver
 * @udev: the device
 * @removing: called from remove(), where the device lock is held already
 *
 * Does nothing where there is no reset, or no need. At release the device lock is only tried, a few
 * times, because somebody may look at the device for a moment: if remove() has it, remove() will
 * reset.
 *
 * Context: process, client->lock held, interrupts silenced, bus mastering off.
 */
void udrv_pci_reset_at_end(struct udrv_device *udev, bool removing)
{
	int ret, tries = 5;

	if (!udev->used || !udrv_pci_has_reset(udev))
		return;

	down_write(&udev->bar_sem);
	if (removing) {
		ret = pci_reset_function_locked(udev->pdev);
	} else {
		while ((ret = pci_try_reset_function(udev->pdev)) == -EAGAIN && --tries)
			msleep(20);
	}
	up_write(&udev->bar_sem);

	if (!ret)
		udev->used = false;
	else
		pci_dbg(udev->pdev, "reset at the end: %d\n", ret);
}

static int udrv_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct udrv_device *udev;
	u8 pin;
	int ret;

	/* Bridges are the kernel's: what is behind them is not one process's to drive. */
	if (pdev->hdr_type != PCI_HEADER_TYPE_NORMAL)
		return -EINVAL;

	udev = kzalloc(sizeof(*udev), GFP_KERNEL);
	if (!udev)
		return -ENOMEM;

	udev->pdev = pdev;
	mutex_init(&udev->lock);
	init_rwsem(&udev->bar_sem);
	spin_lock_init(&udev->command_lock);
	udrv_cdev_init_device(udev); /* from here on put_device() frees it */
	pci_set_drvdata(pdev, udev);

	ret = pci_enable_device(pdev);
	if (ret)
		goto err_put;

	pci_clear_master(pdev);
	udev->intx_maskable = pci_intx_mask_supported(pdev);
	pci_read_config_byte(pdev, PCI_INTERRUPT_PIN, &pin);
	udev->intx_count = pin && pdev->irq && pdev->irq != IRQ_NOTCONNECTED;
	udev->msi_count = max(pci_msi_vec_count(pdev), 0);
	udev->msix_count = max(pci_msix_vec_count(pdev), 0);
	if (udev->intx_maskable)
		pci_intx(pdev, 0);

	ret = udrv_bar_init(udev);
	if (ret)
		goto err_disable;

	ret = udrv_config_init(udev);
	if (ret)
		goto err_bar;

	/* A streaming mapping is one segment where the IOMMU can make it one. */
	udev->saved_max_segment = dma_get_max_seg_size(&pdev->dev);
	udev->saved_boundary = dma_get_seg_boundary(&pdev->dev);
	udev->saved_min_align_mask = dma_get_min_align_mask(&pdev->dev);
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	dma_set_seg_boundary(&pdev->dev, ULONG_MAX);
	/* A bounced piece keeps its place in the page: lists of pages (NVMe's PRP) rely on it. */
	dma_set_min_align_mask(&pdev->dev, PAGE_SIZE - 1);

	ret = udrv_cdev_add(udev);
	if (ret)
		goto err_dma;

	return 0;

err_dma:
	dma_set_min_align_mask(&pdev->dev, udev->saved_min_align_mask);
	dma_set_seg_boundary(&pdev->dev, udev->saved_boundary);
	dma_set_max_seg_size(&pdev->dev, udev->saved_max_segment);
	udrv_config_exit(udev);
err_bar:
	udrv_bar_exit(udev);
err_disable:
	pci_disable_device(pdev);
err_put:
	put_device(&udev->dev);
	return ret;
}

static void udrv_pci_remove(struct pci_dev *pdev)
{
	struct udrv_device *udev = pci_get_drvdata(pdev);

	mutex_lock(&udev->lock);
	udev->gone = true;
	if (udev->client) {
		udrv_client_end(udev->client, true);
		udev->client = NULL;
	}
	mutex_unlock(&udev->lock);

	/* Not under the lock: this waits for readers of our sysfs attributes, who take it. */
	udrv_cdev_del(udev);

	dma_set_min_align_mask(&pdev->dev, udev->saved_min_align_mask);
	dma_set_seg_boundary(&pdev->dev, udev->saved_boundary);
	dma_set_max_seg_size(&pdev->dev, udev->saved_max_segment);
	udrv_config_exit(udev);
	udrv_bar_exit(udev);
	pci_disable_device(pdev);
	put_device(&udev->dev);
}

static struct pci_driver udrv_pci_driver = {
	.name = "udrv",
	.probe = udrv_pci_probe,
	.remove = udrv_pci_remove,
	/* No id_table: devices come by driver_override or new_id. */
};

/** udrv_pci_init() - begin to bind devices */
int udrv_pci_init(void)
{
	return pci_register_driver(&udrv_pci_driver);
}

/** udrv_pci_exit() - unbind them all */
void udrv_pci_exit(void)
{
	pci_unregister_driver(&udrv_pci_driver);
}
