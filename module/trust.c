// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may open a device
 *
 * Today there is one tier: the opener is believed like a kernel driver, because its device may
 * write to any memory, and so must be somebody who may do that anyway. The tier for devices that an
 * IOMMU confines has its room here.
 */
#include <linux/capability.h>
#include <linux/iommu.h>

#include "udrv.h"

/**
 * udrv_trust_open() - may the current process drive this device?
 * @udev: the device
 *
 * Context: process, udev->lock held.
 * Return: 0, or -EPERM.
 */
int udrv_trust_open(struct udrv_device *udev)
{
	lockdep_assert_held(&udev->lock);
	return capable(CAP_SYS_RAWIO) ? 0 : -EPERM;
}

/**
 * udrv_trust_iommu_group() - the device's IOMMU group
 * @udev: the device, bound
 * Return: its number, or -1
 */
int udrv_trust_iommu_group(struct udrv_device *udev)
{
	struct iommu_group *group = iommu_group_get(&udev->pdev->dev);
	int id;

	if (!group)
		return -1;
	id = iommu_group_id(group);
	iommu_group_put(group);
	return id;
}
