// SPDX-License-Identifier: GPL-2.0-only
/*
 * One table: call -> size, handler
 *
 * The only place that copies a call's struct in (net/file.c calls it, too). A handler gets the kernel's own copy, once
 * and whole, so no user value is read twice. A struct may be longer or shorter than ours
 * (uapi/udrv/udrv.h). A result that cannot be copied out is undone: the caller could not know what
 * it has.
 */
#include <linux/uaccess.h>

#include "udrv.h"

/* Room for any call's struct, aligned. */
union ioctl_arg {
	u32 size; /* the first field of all of them */
	struct udrv_ioc_device_info device_info;
	struct udrv_ioc_region_info region_info;
	struct udrv_ioc_irq_info irq_info;
	struct udrv_ioc_dma_alloc dma_alloc;
	struct udrv_ioc_dma_map dma_map;
};

struct ioctl_call {
	unsigned int cmd;
	u32 min_size; /* of the call's first version */
	u32 size;
	bool answers; /* there is something to copy out */
	bool reads;   /* changes nothing: a descriptor that is open for reading will do */
	int (*handler)(struct udrv_client *client, void *arg);
	void (*undo)(struct udrv_client *client, void *arg);
};

static int ioctl_device_info(struct udrv_client *client, void *arg);

#define CALL(command, type, last, ...)                                                            \
	[_IOC_NR(command)] = { .cmd = (command), .min_size = offsetofend(struct type, last),      \
			       .size = sizeof(struct type) +                                      \
				       BUILD_BUG_ON_ZERO(sizeof(struct type) >                    \
							 sizeof(union ioctl_arg)),                \
			       __VA_ARGS__ }

static const struct ioctl_call ioctl_calls[] = {
	CALL(UDRV_IOC_DEVICE_INFO, udrv_ioc_device_info, reserved,
	     .answers = true, .reads = true, .handler = ioctl_device_info),
	CALL(UDRV_IOC_DEVICE_BUS_MASTER, udrv_ioc_device_bus_master, reserved,
	     .handler = udrv_client_bus_master),
	CALL(UDRV_IOC_DEVICE_RESET, udrv_ioc_device_reset, flags,
	     .handler = udrv_client_reset),
	CALL(UDRV_IOC_REGION_INFO, udrv_ioc_region_info, nomap_length,
	     .answers = true, .reads = true, .handler = udrv_bar_region_info),
	CALL(UDRV_IOC_IRQ_SETUP, udrv_ioc_irq_setup, count,
	     .answers = true, .handler = udrv_irq_setup, .undo = udrv_irq_setup_undo),
	CALL(UDRV_IOC_IRQ_INFO, udrv_ioc_irq_info, total,
	     .answers = true, .reads = true, .handler = udrv_irq_info),
	CALL(UDRV_IOC_IRQ_MASK, udrv_ioc_irq_range, count,
	     .handler = udrv_irq_mask),
	CALL(UDRV_IOC_IRQ_UNMASK, udrv_ioc_irq_range, count,
	     .handler = udrv_irq_unmask),
	CALL(UDRV_IOC_IRQ_ATTACH, udrv_ioc_irq_attach, fd,
	     .handler = udrv_irq_attach),
	CALL(UDRV_IOC_IRQ_DETACH, udrv_ioc_irq_attach, fd,
	     .handler = udrv_irq_detach),
	CALL(UDRV_IOC_PROG_SET, udrv_ioc_prog_set, ops,
	     .handler = udrv_prog_set),
	CALL(UDRV_IOC_PROG_RUN, udrv_ioc_prog_run, values,
	     .answers = true, .handler = udrv_prog_run),
	CALL(UDRV_IOC_DMA_MASK, udrv_ioc_dma_mask, reserved,
	     .handler = udrv_dma_mask),
	CALL(UDRV_IOC_DMA_ALLOC, udrv_ioc_dma_alloc, reserved,
	     .answers = true, .handler = udrv_dma_alloc, .undo = udrv_dma_alloc_undo),
	CALL(UDRV_IOC_DMA_FREE, udrv_ioc_dma_handle, reserved,
	     .handler = udrv_dma_free),
	CALL(UDRV_IOC_DMA_MAP, udrv_ioc_dma_map, reserved,
	     .answers = true, .handler = udrv_dma_map, .undo = udrv_dma_map_undo),
	CALL(UDRV_IOC_DMA_UNMAP, udrv_ioc_dma_handle, reserved,
	     .handler = udrv_dma_unmap),
	CALL(UDRV_IOC_DMA_SYNC, udrv_ioc_dma_sync, length,
	     .handler = udrv_dma_sync),
};

static int ioctl_device_info(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_device_info *p = arg;
	struct udrv_device *udev = client->udev;
	struct pci_dev *pdev = udev->pdev;
	int ret;

	if (p->flags || p->reserved)
		return -EINVAL;

	/* The lock keeps the device bound while it is asked. */
	ret = udrv_client_lock(client);
	if (ret)
		return ret;
	p->features = UDRV_FEATURE_IRQ | UDRV_FEATURE_IRQ_EVENTFD | UDRV_FEATURE_BAR_WC |
		      UDRV_FEATURE_DMA_CONSISTENT | UDRV_FEATURE_DMA_STREAMING | UDRV_FEATURE_PROG;
	p->state = (client->bus_master ? UDRV_DEVICE_BUS_MASTER : 0) |
		   (udrv_pci_has_reset(udev) ? UDRV_DEVICE_RESET : 0) |
		   (device_iommu_mapped(&pdev->dev) ? UDRV_DEVICE_IOMMU : 0) |
		   (udev->intx_maskable ? UDRV_DEVICE_INTX_MASK : 0) |
		   (client->confined ? UDRV_DEVICE_CONFINED : 0);
	p->domain = pci_domain_nr(pdev->bus);
	p->bus = pdev->bus->number;
	p->slot = PCI_SLOT(pdev->devfn);
	p->function = PCI_FUNC(pdev->devfn);
	p->revision = pdev->revision;
	p->vendor = pdev->vendor;
	p->device = pdev->device;
	p->subsystem_vendor = pdev->subsystem_vendor;
	p->subsystem_device = pdev->subsystem_device;
	p->class_code = pdev->class;
	p->region_count = UDRV_REGION_COUNT;
	p->intx_count = udev->intx_count;
	p->msi_count = udev->msi_count;
	p->msix_count = udev->msix_count;
	p->dma_mask_bits = client->dma_mask_bits;
	p->iommu_group = udev->group;
	p->numa_node = dev_to_node(&pdev->dev);
	udrv_client_unlock(client);
	return 0;
}

/**
 * udrv_ioctl_copy_in() - a call's struct, once and whole
 * @copy: where it goes; its first field, the size, is what the caller passed and was checked
 * @size: of the struct in this kernel
 * @min_size: of its first version
 * @user: the caller's
 *
 * Return: 0; -EFAULT; -EINVAL smaller than the first version; -E2BIG larger, and the surplus not zero
 */
int udrv_ioctl_copy_in(void *copy, u32 size, u32 min_size, void __user *user)
{
	u32 user_size;
	int ret;

	if (get_user(user_size, (u32 __user *)user))
		return -EFAULT;
	if (user_size < min_size)
		return -EINVAL;
	if (user_size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(copy, size, user, user_size);
	if (!ret)
		*(u32 *)copy = user_size; /* what was checked, whatever stands there now */
	return ret;
}

/**
 * udrv_ioctl() - every call of a node
 * @file: the descriptor
 * @cmd: UDRV_IOC_*
 * @arg: address of the call's struct
 *
 * Return: 0 or -errno as in uapi/udrv/udrv.h
 */
long udrv_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct udrv_client *client = file->private_data;
	void __user *user = (void __user *)arg;
	unsigned int nr = _IOC_NR(cmd);
	const struct ioctl_call *call;
	union ioctl_arg copy;
	int ret;

	if (nr >= ARRAY_SIZE(ioctl_calls) || ioctl_calls[nr].cmd != cmd)
		return -ENOTTY;
	call = &ioctl_calls[nr];

	if (READ_ONCE(client->ended))
		return -ENODEV;
	if (!call->reads && client->read_only)
		return -EBADF;
	ret = udrv_ioctl_copy_in(&copy, call->size, call->min_size, user);
	if (ret)
		return ret;

	ret = call->handler(client, &copy);
	/* ENOSPC says how much would have done, ETIMEDOUT how far it came. */
	if ((!ret || ret == -ENOSPC || ret == -ETIMEDOUT) && call->answers &&
	    copy_to_user(user, &copy, min(copy.size, call->size))) {
		if (!ret && call->undo)
			call->undo(client, &copy);
		ret = -EFAULT;
	}
	return ret;
}
