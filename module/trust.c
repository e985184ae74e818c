// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may open a device: is this device confined?
 *
 * A device is confined if the IOMMU keeps it to what its driver was given: then whoever the node's
 * permissions admit may open it. Every other device can be made to write to any memory, so its
 * opener must be somebody who may do that anyway (CAP_SYS_RAWIO), and the kernel is marked.
 *
 * The hard part is the group: devices of one IOMMU group share what they reach. So all of a group
 * must be with one user, or with nobody. udrv_trust_lock serialises opens against each other and
 * against the notifier that takes a confined client's device away when another driver is about to
 * bind to a device of its group.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/iommu.h>
#include <linux/irqdomain.h>
#include <linux/panic.h>
#include <linux/security.h>

#include "udrv.h"

DEFINE_MUTEX(udrv_trust_lock);

/* All bound devices; under udrv_trust_lock. */
static LIST_HEAD(trust_devices);

static int group_id(struct device *dev)
{
	struct iommu_group *group = iommu_group_get(dev);
	int id;

	if (!group)
		return -1;
	id = iommu_group_id(group);
	iommu_group_put(group);
	return id;
}

/* Is @dev nobody's, ours, or a bridge? Then it is no way into the group. */
static int member_is_harmless(struct device *dev, void *data)
{
	struct device_driver *driver = READ_ONCE(dev->driver);

	if (!driver || udrv_pci_is_ours(driver))
		return 0;
	return dev_is_pci(dev) && pci_is_bridge(to_pci_dev(dev)) ? 0 : -EBUSY;
}

static bool group_has_direct_regions(struct iommu_group *group)
{
	struct iommu_resv_region *region, *next;
	LIST_HEAD(regions);
	bool found = false;

	/* Not knowing is no confinement. */
	if (iommu_get_group_resv_regions(group, &regions))
		found = true;
	list_for_each_entry_safe(region, next, &regions, list) {
		if (region->type == IOMMU_RESV_DIRECT ||
		    region->type == IOMMU_RESV_DIRECT_RELAXABLE)
			found = true;
		kfree(region);
	}
	return found;
}

/* Does another user than the current one have a device of @udev's group open? */
static bool group_has_other_user(struct udrv_device *udev)
{
	struct udrv_device *other;

	lockdep_assert_held(&udrv_trust_lock);
	if (udev->group < 0)
		return false;
	list_for_each_entry(other, &trust_devices, trust_node)
		if (other != udev && other->group == udev->group && READ_ONCE(other->held) &&
		    !uid_eq(other->holder, current_euid()))
			return true;
	return false;
}

/**
 * udrv_trust_reason() - why is this device not confined?
 * @udev: the device, bound
 *
 * Context: process, udrv_trust_lock held.
 * Return: a phrase, or NULL: it is confined.
 */
const char *udrv_trust_reason(struct udrv_device *udev)
{
	struct device *dev = &udev->pdev->dev;
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	struct iommu_group *group;
	const char *reason = NULL;

	lockdep_assert_held(&udrv_trust_lock);
	if (!domain || !(domain->type & __IOMMU_DOMAIN_PAGING))
		return "no IOMMU translates its DMA";
	if (domain->type != IOMMU_DOMAIN_DMA)
		return "its IOMMU domain is lazy";
	group = iommu_group_get(dev);
	if (!group)
		return "it has no IOMMU group";

	if (pci_num_vf(udev->pdev))
		reason = "it has virtual functions";
	else if (!udrv_group_has_isolated_msi(group, dev))
		reason = "its interrupts are not remapped";
	else if (group_has_direct_regions(group))
		reason = "the firmware has reserved memory for it";
	else if (iommu_group_for_each_dev(group, NULL, member_is_harmless))
		reason = "another driver has a device of its IOMMU group";
	iommu_group_put(group);
	return reason;
}

/* The kernel is marked once, with a line that says why. */
static void trust_mark(struct udrv_device *udev, const char *reason)
{
	static bool marked;

	lockdep_assert_held(&udrv_trust_lock);
	if (marked)
		return;
	marked = true;
	add_taint(TAINT_USER, LOCKDEP_STILL_OK);
	pci_notice(udev->pdev,
		   "driven by a process that must be trusted: %s. The kernel is tainted.\n",
		   reason);
}

/**
 * udrv_trust_open() - may the current process drive this device?
 * @udev: the device, which nobody has open
 * @confined: set to the tier
 *
 * Context: process, udrv_trust_lock and udev->lock held.
 * Return: 0; -EPERM not confined and no CAP_SYS_RAWIO, or the kernel is locked down; -EBUSY another
 * user has a device of the group.
 */
int udrv_trust_open(struct udrv_device *udev, bool *confined)
{
	const char *reason = udrv_trust_reason(udev);
	int ret;

	lockdep_assert_held(&udev->lock);
	*confined = !reason;
	if (reason) {
		if (!capable(CAP_SYS_RAWIO))
			return -EPERM;
		ret = security_locked_down(LOCKDOWN_PCI_ACCESS);
		if (ret)
			return ret;
	}
	/* For the trusted, too: the other user's device reaches what this one is given. */
	if (group_has_other_user(udev))
		return -EBUSY;

	if (reason)
		trust_mark(udev, reason);
	udev->holder = current_euid();
	udev->confined = *confined;
	WRITE_ONCE(udev->held, true);
	return 0;
}

/** udrv_trust_close() - undo udrv_trust_open(); udev->lock held */
void udrv_trust_close(struct udrv_device *udev)
{
	/* Without udrv_trust_lock: who looks meanwhile is refused, and may try again. */
	WRITE_ONCE(udev->held, false);
}

/** udrv_trust_add() - a device was bound */
void udrv_trust_add(struct udrv_device *udev)
{
	udev->group = group_id(&udev->pdev->dev);
	mutex_lock(&udrv_trust_lock);
	list_add(&udev->trust_node, &trust_devices);
	mutex_unlock(&udrv_trust_lock);
}

/** udrv_trust_del() - a device is being unbound */
void udrv_trust_del(struct udrv_device *udev)
{
	mutex_lock(&udrv_trust_lock);
	list_del(&udev->trust_node);
	mutex_unlock(&udrv_trust_lock);
}

/*
 * A device of the group that somebody has open, confined; referenced, and found without waiting for
 * its lock: an end may hold it for a second. NULL if there is none, or none is left.
 */
static struct udrv_device *trust_confined_in(int group)
{
	struct udrv_device *udev, *found = NULL;

	mutex_lock(&udrv_trust_lock);
	list_for_each_entry(udev, &trust_devices, trust_node) {
		if (udev->group == group && READ_ONCE(udev->held) && udev->confined) {
			found = udev;
			get_device(&found->dev);
			break;
		}
	}
	mutex_unlock(&udrv_trust_lock);
	return found;
}

/* Another driver binds to a device of a group: confined clients in it are confined no longer. */
static int trust_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	struct device *dev = data;
	struct udrv_device *udev;
	int group;

	if (action != BUS_NOTIFY_BIND_DRIVER || !member_is_harmless(dev, NULL))
		return NOTIFY_DONE;
	group = group_id(dev);
	if (group < 0)
		return NOTIFY_DONE;

	while ((udev = trust_confined_in(group))) {
		udrv_client_revoke(udev, true);
		put_device(&udev->dev);
	}
	return NOTIFY_DONE;
}

static struct notifier_block trust_notifier = {
	.notifier_call = trust_notify,
};

/** udrv_trust_init() - begin to watch other drivers */
int udrv_trust_init(void)
{
	return bus_register_notifier(&pci_bus_type, &trust_notifier);
}

/** udrv_trust_exit() - undo udrv_trust_init() */
void udrv_trust_exit(void)
{
	bus_unregister_notifier(&pci_bus_type, &trust_notifier);
}
