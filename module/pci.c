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
#include <linux/pci.h>
#include <linux/pci_hotplug.h>
#include <linux/pm_runtime.h>

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
 * udrv_pci_is_quiet() - is it certain that the device works on nothing any more?
 * @udev: the device, after udrv_pci_reset_at_end()
 *
 * A function-level reset ends whatever was asked for (PCIe 6.6.2), and so do those that the kernel prefers
 * to it, a device's own and ACPI's. Of the other kinds some do nothing to a function's engines: whoever
 * puts one of those first (reset_method in sysfs) answers for it.
 *
 * Context: process, client->lock held.
 */
bool udrv_pci_is_quiet(const struct udrv_device *udev)
{
	return !udev->used && !pcie_reset_flr(udev->pdev, PCI_RESET_PROBE);
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

	/* Of a device that is absent all-ones would be read, and waited for in vain. */
	if (!enable && pci_device_is_present(udev->pdev))
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
 * Return: 0; -EOPNOTSUPP there is no reset; -EAGAIN the device is busy in the kernel; -EIO it did not
 * come back.
 */
int udrv_pci_reset(struct udrv_client *client)
{
	struct udrv_device *udev = client->udev;
	bool master = client->bus_master;
	int ret;

	if (!udrv_pci_has_reset(udev))
		return -EOPNOTSUPP;
	if (!pci_device_is_present(udev->pdev))
		return -ENODEV;

	down_write(&udev->bar_sem);
	unmap_mapping_range(client->mapping, 0, UDRV_DMA_OFFSET, 1);
	udrv_pci_set_master(udev, false);
	client->bus_master = false;
	WRITE_ONCE(udev->resetting, current);
	ret = pci_try_reset_function(udev->pdev);
	WRITE_ONCE(udev->resetting, NULL);
	if (ret == -EAGAIN && master) {
		/* Nothing was done to the device: nor by us. */
		udrv_pci_set_master(udev, true);
		client->bus_master = true;
	}
	up_write(&udev->bar_sem);
	return ret == -ENOTTY ? -EIO : ret;
}

/*
 * The reset of a hot-plug slot takes a lock that hot-unplug holds around remove(): there, only the
 * function itself is reset, if it can.
 */
static int reset_in_remove(struct pci_dev *pdev)
{
	int ret;

	if (!pdev->slot || !pdev->slot->hotplug || !pdev->slot->hotplug->ops->reset_slot)
		return pci_reset_function_locked(pdev);

	pci_save_state(pdev);
	ret = pcie_reset_flr(pdev, PCI_RESET_DO_RESET);
	pci_restore_state(pdev);
	return ret;
}

/**
 * udrv_pci_reset_at_end() - leave no running engine to the next driver
 * @udev: the device
 * @how: how the driver ended
 *
 * Does nothing where there is no reset, or no need. But for remove(), which holds it, the device
 * lock is only tried, a few times, because somebody may look at the device for a moment. What fails
 * here is done by remove(), or before the device is given to the next driver.
 *
 * Context: process, client->lock held, interrupts paused, bus mastering off.
 * Return: 0, or -EAGAIN if the device was busy in the kernel all the while.
 */
int udrv_pci_reset_at_end(struct udrv_device *udev, enum udrv_end how)
{
	struct pci_dev *pdev = udev->pdev;
	int ret, tries = 5;

	/* After an error the PCI core resets the link; a reset of ours would come in between. */
	if (!udev->used || !udrv_pci_has_reset(udev) || how == UDRV_END_ERROR)
		return 0;
	/* Pulled out: a reset would wait a minute for an answer. */
	if (!pci_device_is_present(pdev)) {
		udev->used = false;
		return 0;
	}

	down_write(&udev->bar_sem);
	WRITE_ONCE(udev->resetting, current);
	if (how == UDRV_END_REMOVE) {
		ret = reset_in_remove(pdev);
	} else {
		while ((ret = pci_try_reset_function(pdev)) == -EAGAIN && --tries)
			msleep(20);
	}
	WRITE_ONCE(udev->resetting, NULL);
	up_write(&udev->bar_sem);

	if (!ret)
		udev->used = false;
	else
		pci_dbg(pdev, "reset at the end: %d\n", ret);
	return ret == -EAGAIN ? ret : 0; /* one that fails would fail again */
}

/**
 * udrv_pci_restore_config() - config space as it was before the driver
 * @udev: the device
 * @how: how the driver ended
 *
 * The next driver, ours or the kernel's, gets the device as the system had set it up.
 *
 * Context: process, client->lock held, no interrupt handler installed.
 */
void udrv_pci_restore_config(struct udrv_device *udev, enum udrv_end how)
{
	/* After an error the PCI core does it, once the device answers again. */
	if (how == UDRV_END_ERROR || !pci_device_is_present(udev->pdev))
		return;
	down_write(&udev->bar_sem);
	pci_load_saved_state(udev->pdev, udev->saved_state);
	pci_restore_state(udev->pdev);
	up_write(&udev->bar_sem);
}

static void pci_error_work(struct work_struct *work);

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
	INIT_WORK(&udev->error_work, pci_error_work);
	init_rwsem(&udev->bar_sem);
	spin_lock_init(&udev->command_lock);
	INIT_LIST_HEAD(&udev->nets);
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
	udev->saved_dma_mask = pdev->dma_mask;
	udev->saved_coherent_mask = pdev->dev.coherent_dma_mask;
	udev->saved_max_segment = dma_get_max_seg_size(&pdev->dev);
	udev->saved_boundary = dma_get_seg_boundary(&pdev->dev);
	udev->saved_min_align_mask = dma_get_min_align_mask(&pdev->dev);
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	dma_set_seg_boundary(&pdev->dev, ULONG_MAX);
	/* A bounced piece keeps its place in the page: lists of pages (NVMe's PRP) rely on it. */
	dma_set_min_align_mask(&pdev->dev, PAGE_SIZE - 1);

	/* For recovery after an error: enabled, quiet. */
	pci_save_state(pdev);
	udev->saved_state = pci_store_saved_state(pdev);
	udrv_trust_add(udev);
	ret = udrv_cdev_add(udev);
	if (ret)
		goto err_trust;

	/* The PCI core powered it for probe; from here on whoever opens it does. */
	pm_runtime_put(&pdev->dev);
	return 0;

err_trust:
	udrv_trust_del(udev);
	kfree(udev->saved_state);
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

	cancel_work_sync(&udev->error_work); /* the device lock is held: nothing new comes */
	mutex_lock(&udev->lock);
	udev->gone = true;
	udrv_client_leave(udev, UDRV_END_REMOVE);
	udrv_pci_reset_at_end(udev, UDRV_END_REMOVE); /* if an earlier end could not */
	mutex_unlock(&udev->lock);

	/* Not under the lock: it takes rtnl, under which anything may be waited for. */
	udrv_net_remove(udev);
	udrv_blk_remove(udev);
	udrv_trust_del(udev);
	/* Not under the lock: this waits for readers of our sysfs attributes, who take it. */
	udrv_cdev_del(udev);

	/* The next driver may rely on the masks being what they are by default. */
	pdev->dma_mask = udev->saved_dma_mask;
	pdev->dev.coherent_dma_mask = udev->saved_coherent_mask;
	dma_set_min_align_mask(&pdev->dev, udev->saved_min_align_mask);
	dma_set_seg_boundary(&pdev->dev, udev->saved_boundary);
	dma_set_max_seg_size(&pdev->dev, udev->saved_max_segment);
	udrv_config_exit(udev);
	udrv_bar_exit(udev);
	pci_disable_device(pdev);
	kfree(udev->saved_state);
	pm_runtime_get_noresume(&pdev->dev); /* what probe had put */
	put_device(&udev->dev);
}

/* ---- errors and power ---- */

/*
 * The PCI core is about to do something to the device: nobody has it until pci_give_back(). If the
 * device has @failed for good, that may never come.
 */
static void pci_take_away(struct udrv_device *udev, bool failed)
{
	mutex_lock(&udev->lock);
	udev->away = true;
	udev->failed = failed;
	udrv_client_leave(udev, UDRV_END_ERROR);
	mutex_unlock(&udev->lock);
}

static void pci_give_back(struct udrv_device *udev)
{
	mutex_lock(&udev->lock);
	udev->away = false;
	udev->failed = false;
	mutex_unlock(&udev->lock);
}

/* Bits of udev->error_events. */
enum { PCI_ERROR_AWAY, PCI_ERROR_FAILED, PCI_ERROR_BACK };

static void pci_error_work(struct work_struct *work)
{
	struct udrv_device *udev = container_of(work, struct udrv_device, error_work);

	if (test_and_clear_bit(PCI_ERROR_AWAY, &udev->error_events))
		pci_take_away(udev, test_bit(PCI_ERROR_FAILED, &udev->error_events));
	if (test_and_clear_bit(PCI_ERROR_BACK, &udev->error_events))
		pci_give_back(udev);
}

/*
 * The PCI core tells of an error under pci_bus_sem, for which a reset of ours waits under udev->lock:
 * so that lock is not for here. Nothing depends on when the driver hears of it. A device that is back
 * is away again with the next error, whether or not anybody has come to see it.
 */
static void pci_error_note(struct udrv_device *udev, int event)
{
	if (event == PCI_ERROR_AWAY)
		clear_bit(PCI_ERROR_BACK, &udev->error_events);
	set_bit(event, &udev->error_events);
	queue_work(system_long_wq, &udev->error_work);
}

/*
 * An uncorrectable error: what the driver believes of its device is no longer so. It is taken from
 * the driver; once the PCI core has done with it, the node can be opened again. After a fatal error
 * the link was reset by then; after another one not, but whoever opens it resets what was used.
 */
static pci_ers_result_t udrv_pci_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct udrv_device *udev = pci_get_drvdata(pdev);

	assign_bit(PCI_ERROR_FAILED, &udev->error_events, state == pci_channel_io_perm_failure);
	pci_error_note(udev, PCI_ERROR_AWAY);
	return state == pci_channel_io_perm_failure ? PCI_ERS_RESULT_DISCONNECT :
						      PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t udrv_pci_slot_reset(struct pci_dev *pdev)
{
	struct udrv_device *udev = pci_get_drvdata(pdev);

	/* Who ends at the same time writes the same (udrv_pci_restore_config). */
	pci_load_saved_state(pdev, udev->saved_state);
	pci_restore_state(pdev);
	return PCI_ERS_RESULT_RECOVERED;
}

static void udrv_pci_error_resume(struct pci_dev *pdev)
{
	pci_error_note(pci_get_drvdata(pdev), PCI_ERROR_BACK);
}

/* Somebody else resets the device (sysfs, another function's reset): its driver must begin anew. */
static void udrv_pci_reset_prepare(struct pci_dev *pdev)
{
	struct udrv_device *udev = pci_get_drvdata(pdev);

	if (READ_ONCE(udev->resetting) != current)
		pci_take_away(udev, false);
}

static void udrv_pci_reset_done(struct pci_dev *pdev)
{
	struct udrv_device *udev = pci_get_drvdata(pdev);

	if (READ_ONCE(udev->resetting) != current)
		pci_give_back(udev);
}

static const struct pci_error_handlers udrv_pci_errors = {
	.error_detected = udrv_pci_error_detected,
	.slot_reset = udrv_pci_slot_reset,
	.resume = udrv_pci_error_resume,
	.reset_prepare = udrv_pci_reset_prepare,
	.reset_done = udrv_pci_reset_done,
};

/*
 * A process cannot be asked to put its device's state away. Nobody has it open: the PCI core does.
 */
static int udrv_pci_suspend(struct device *dev)
{
	struct udrv_device *udev = dev_get_drvdata(dev);
	int ret;

	mutex_lock(&udev->lock);
	ret = udev->client ? -EBUSY : 0;
	mutex_unlock(&udev->lock);
	return ret;
}

static int udrv_pci_resume(struct device *dev)
{
	return 0;
}

static DEFINE_SIMPLE_DEV_PM_OPS(udrv_pci_pm, udrv_pci_suspend, udrv_pci_resume);

static struct pci_driver udrv_pci_driver = {
	.name = "udrv",
	.probe = udrv_pci_probe,
	.remove = udrv_pci_remove,
	.err_handler = &udrv_pci_errors,
	.driver.pm = pm_sleep_ptr(&udrv_pci_pm),
	/* No id_table: devices come by driver_override or new_id. */
};

/** udrv_pci_is_ours() - is this driver udrv? */
bool udrv_pci_is_ours(const struct device_driver *driver)
{
	return driver == &udrv_pci_driver.driver;
}

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
