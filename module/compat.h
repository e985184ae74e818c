/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that udrv is built for
 *
 * The only file that looks at LINUX_VERSION_CODE. The rest is written for the newest kernel; what
 * an older one lacks is given here under the new name. The floor is 6.1.
 */
#ifndef UDRV_COMPAT_H
#define UDRV_COMPAT_H

#include <linux/blk-mq.h>
#include <linux/device.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/irqdomain.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
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

/* 6.14: requests are merged without being asked for. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 14, 0)
#define UDRV_BLK_MQ_F_MERGE BLK_MQ_F_SHOULD_MERGE
#else
#define UDRV_BLK_MQ_F_MERGE 0
#endif

/*
 * Does GRO keep frames of a NAPI that is not running, or would it, for a while?
 * 6.13: each NAPI has its own time. 6.15: what is of GRO is a struct of its own.
 */
static inline bool udrv_gro_keeps(const struct napi_struct *napi)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	return napi->gro_bitmask || READ_ONCE(napi->dev->gro_flush_timeout);
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
	return napi->gro_bitmask || READ_ONCE(napi->gro_flush_timeout);
#else
	return napi->gro.bitmask || READ_ONCE(napi->gro_flush_timeout);
#endif
}

/* 6.16: the queue is the request's. */
static inline unsigned int udrv_blk_rq_map_sg(struct request *rq, struct scatterlist *sg)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
	return blk_rq_map_sg(rq->q, rq, sg);
#else
	return blk_rq_map_sg(rq, sg);
#endif
}

/* 6.9: a queue has limits from the beginning. */
static inline struct request_queue *udrv_alloc_queue(struct blk_mq_tag_set *tags)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
	return blk_mq_init_queue(tags);
#else
	return blk_mq_alloc_queue(tags, NULL, NULL);
#endif
}

/**
 * struct udrv_disk_limits - what a disk can do, bytes; see struct queue_limits
 * @write_cache: it has one
 * @fua: and a way around it
 * @rotational: it turns
 */
struct udrv_disk_limits {
	u32 logical_block;
	u32 physical_block;
	u32 io_opt;
	u32 max_bytes;
	u32 max_segments;
	u32 max_segment_bytes; /* 0: none, or a virtual boundary */
	u32 virt_boundary;     /* 0: none */
	u32 dma_alignment;
	u32 discard_bytes;
	u32 discard_granularity;
	u32 zeroes_bytes;
	bool write_cache;
	bool fua;
	bool rotational;
};

/* 6.9: limits come with the allocation; 6.11: as does what is a bit. */
static inline struct gendisk *udrv_alloc_disk(struct blk_mq_tag_set *tags,
					      const struct udrv_disk_limits *l, void *data)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
	struct gendisk *disk = blk_mq_alloc_disk(tags, data);
	struct request_queue *q;

	if (IS_ERR(disk))
		return disk;
	q = disk->queue;
	blk_queue_logical_block_size(q, l->logical_block);
	blk_queue_physical_block_size(q, l->physical_block);
	blk_queue_io_min(q, l->physical_block);
	blk_queue_io_opt(q, l->io_opt);
	blk_queue_max_hw_sectors(q, l->max_bytes >> SECTOR_SHIFT);
	blk_queue_max_segments(q, l->max_segments);
	if (l->virt_boundary)
		blk_queue_virt_boundary(q, l->virt_boundary - 1);
	else
		blk_queue_max_segment_size(q, l->max_segment_bytes);
	blk_queue_dma_alignment(q, l->dma_alignment - 1);
	if (l->discard_bytes) {
		blk_queue_max_discard_sectors(q, l->discard_bytes >> SECTOR_SHIFT);
		q->limits.discard_granularity = l->discard_granularity;
	}
	blk_queue_max_write_zeroes_sectors(q, l->zeroes_bytes >> SECTOR_SHIFT);
	blk_queue_write_cache(q, l->write_cache, l->fua);
	if (!l->rotational)
		blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	return disk;
#else
	struct queue_limits lim = {
		.logical_block_size = l->logical_block,
		.physical_block_size = l->physical_block,
		.io_min = l->physical_block,
		.io_opt = l->io_opt,
		.max_hw_sectors = l->max_bytes >> SECTOR_SHIFT,
		.max_segments = l->max_segments,
		.dma_alignment = l->dma_alignment - 1,
		.max_hw_discard_sectors = l->discard_bytes >> SECTOR_SHIFT,
		.discard_granularity = l->discard_bytes ? l->discard_granularity : 0,
		.max_write_zeroes_sectors = l->zeroes_bytes >> SECTOR_SHIFT,
	};

	if (l->virt_boundary)
		lim.virt_boundary_mask = l->virt_boundary - 1;
	else
		lim.max_segment_size = l->max_segment_bytes;
	if (l->write_cache)
		lim.features |= BLK_FEAT_WRITE_CACHE;
	if (l->fua)
		lim.features |= BLK_FEAT_FUA;
	if (l->rotational)
		lim.features |= BLK_FEAT_ROTATIONAL;
	return blk_mq_alloc_disk(tags, &lim, data);
#endif
}

/* 6.14: what is notified of a file is told by two bits. */
#ifndef FMODE_FSNOTIFY_MASK
#define FMODE_FSNOTIFY_MASK FMODE_NONOTIFY
#endif

#endif /* UDRV_COMPAT_H */
