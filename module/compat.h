/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that udrv is built for
 *
 * The only file that looks at LINUX_VERSION_CODE. The rest is written for the newest kernel; what
 * an older one lacks is given here under the new name. The floor is 6.1.
 */
#ifndef UDRV_COMPAT_H
#define UDRV_COMPAT_H

#include <linux/device.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/irqdomain.h>
#include <linux/mm.h>
#include <linux/swiotlb.h>
#include <linux/uio.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "udrv needs Linux 6.1 or newer"
#endif

/* 6.2: struct class takes its devices const. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define UDRV_CLASS_CONST
#else
#define UDRV_CLASS_CONST const
#endif

/* 6.2: a read-only long-term pin breaks copy-on-write by itself; before, only a writing pin did. */
#define UDRV_PIN_BREAKS_COW (LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0))

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags &= ~flags;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
static inline void __user *iter_iov_addr(const struct iov_iter *iter)
{
	return (iter_is_ubuf(iter) ? iter->ubuf : iter->iov->iov_base) + iter->iov_offset;
}
#endif

/* 6.8: one at a time. */
static inline void udrv_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

/* 6.3: it is a question to the group. */
static inline bool udrv_group_has_isolated_msi(struct iommu_group *group, struct device *dev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	return irq_domain_check_msi_remap() || device_iommu_capable(dev, IOMMU_CAP_INTR_REMAP);
#else
	return iommu_group_has_isolated_msi(group);
#endif
}

/* The highest address of the bounce buffer; 0 if there is none. 6.6 moved it into a pool. */
static inline phys_addr_t udrv_swiotlb_last(struct device *dev)
{
	phys_addr_t end = 0;

#ifdef CONFIG_SWIOTLB
	if (dev->dma_io_tlb_mem)
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
		end = dev->dma_io_tlb_mem->end;
#else
		end = dev->dma_io_tlb_mem->defpool.end;
#endif
#endif
	return end ? end - 1 : 0;
}

/*
 * 6.9: a sync may begin at any byte of what is bounced. Before, the bounce buffer takes each of its
 * slots to begin as far in as the first one, and copies nothing for an address before that. A byte
 * in the head of a slot is reached from the last byte of the slot before. Return how many bytes
 * earlier a sync at @offset of a piece at @start has to begin.
 */
static inline u64 udrv_swiotlb_sync_earlier(dma_addr_t start, u64 offset)
{
#if defined(CONFIG_SWIOTLB) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
	u64 in_slot = (start + offset) & (IO_TLB_SIZE - 1);

	if (in_slot < (start & (IO_TLB_SIZE - 1)))
		return in_slot + 1;
#endif
	return 0;
}

/* 6.14: what is notified of a file is told by two bits. */
#ifndef FMODE_FSNOTIFY_MASK
#define FMODE_FSNOTIFY_MASK FMODE_NONOTIFY
#endif

#endif /* UDRV_COMPAT_H */
