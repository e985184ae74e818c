// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process's own memory, mapped for the device
 *
 * Pin, charge, map, tell; and back. The sg table is all that is kept: it says which pages to unpin
 * and which device addresses to sync, and a mapping of one page keeps it inline.
 *
 * The hard parts: pages must be pinned such that the device and the process see the same memory
 * ever after (pin() below), and no lock of ours is held while user memory is faulted in.
 */
#include <linux/dma-direct.h>
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "udrv.h"

/* The longest mapping: keeps page counts far from any overflow. */
#define MAPPING_MAX_BYTES (1ULL << 36)

/**
 * struct udrv_mapping - a streaming mapping
 * @dma: the common head
 * @direction: for the device
 * @bytes: length
 * @sgt: pages and device addresses
 * @one: the table's entry where one is enough
 */
struct udrv_mapping {
	struct udrv_dma dma;
	enum dma_data_direction direction;
	u64 bytes;
	struct sg_table sgt;
	struct scatterlist one;
};

static struct udrv_mapping *to_mapping(struct udrv_dma *dma)
{
	return container_of(dma, struct udrv_mapping, dma);
}

static int direction_from_user(u32 direction, enum dma_data_direction *out)
{
	switch (direction) {
	case UDRV_DMA_TO_DEVICE:
		*out = DMA_TO_DEVICE;
		return 0;
	case UDRV_DMA_FROM_DEVICE:
		*out = DMA_FROM_DEVICE;
		return 0;
	case UDRV_DMA_BIDIRECTIONAL:
		*out = DMA_BIDIRECTIONAL;
		return 0;
	}
	return -EINVAL;
}

/* ---- pinning ---- */

/* Is all of the range mapped? The flags that every part of it has. */
static unsigned long range_flags(unsigned long start, unsigned long end)
{
	struct mm_struct *mm = current->mm;
	unsigned long flags = ~0UL;
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	while (start < end && flags) {
		vma = find_vma(mm, start);
		flags = vma && vma->vm_start <= start ? flags & vma->vm_flags : 0;
		if (flags)
			start = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return flags;
}

/* Pin exactly @count pages, or none. */
static int pin_all(unsigned long start, int count, unsigned int flags, struct page **pages)
{
	int pinned = pin_user_pages_fast(start, count, flags, pages);

	if (pinned == count)
		return 0;
	if (pinned > 0)
		unpin_user_pages(pages, pinned);
	return pinned < 0 && pinned != -EAGAIN ? pinned : -EFAULT;
}

/*
 * LONGTERM: the pages stay for as long as the driver likes, so not those that must stay movable.
 *
 * Before 6.2 a pin for reading took what was there: the zero page, or a page that the process would
 * copy at its next write, and the device never saw that write. A pin for writing breaks the sharing
 * first. Where the mapping is read-only it needs FORCE, which also opens what may not even be read:
 * so only if it may. Shared memory cannot be forced, and need not be: nothing is copied there.
 */
static int pin(unsigned long start, int count, enum dma_data_direction direction,
	       struct page **pages)
{
	unsigned int write = direction != DMA_TO_DEVICE || !UDRV_PIN_BREAKS_COW ? FOLL_WRITE : 0;
	unsigned long flags;
	int ret;

	ret = pin_all(start, count, FOLL_LONGTERM | write, pages);
	if (ret != -EFAULT || !write || direction != DMA_TO_DEVICE)
		return ret;

	flags = range_flags(start, start + ((unsigned long)count << PAGE_SHIFT));
	if (!(flags & VM_READ))
		return ret;
	if (flags & VM_MAYSHARE)
		return pin_all(start, count, FOLL_LONGTERM, pages);
	return pin_all(start, count, FOLL_LONGTERM | FOLL_WRITE | FOLL_FORCE, pages);
}

static void mapping_unpin(struct udrv_mapping *mapping)
{
	bool dirty = mapping->direction != DMA_TO_DEVICE;
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_sg(&mapping->sgt, sg, i)
		unpin_user_page_range_dirty_lock(sg_page(sg),
						 DIV_ROUND_UP(sg->offset + sg->length, PAGE_SIZE),
						 dirty);
}

static void mapping_free_table(struct udrv_mapping *mapping)
{
	if (mapping->sgt.sgl != &mapping->one)
		sg_free_table(&mapping->sgt);
}

/* Pin the pages and describe them in the sg table. */
static int mapping_pin(struct udrv_client *client, struct udrv_mapping *mapping,
		       unsigned long addr, unsigned long count)
{
	unsigned int offset = addr & ~PAGE_MASK;
	struct page **pages, *page;
	size_t segment;
	int ret;

	if (count == 1) {
		ret = pin(addr & PAGE_MASK, 1, mapping->direction, &page);
		if (ret)
			return ret;
		sg_init_table(&mapping->one, 1);
		sg_set_page(&mapping->one, page, mapping->bytes, offset);
		mapping->sgt.sgl = &mapping->one;
		mapping->sgt.orig_nents = 1;
		return 0;
	}

	pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!pages)
		return -ENOMEM;
	ret = pin(addr & PAGE_MASK, count, mapping->direction, pages);
	if (ret)
		goto out;

	/*
	 * Where the bounce buffer serves, a piece must fit into it. Ask only while the device is
	 * bound.
	 */
	mutex_lock(&client->dma_lock);
	segment = PAGE_SIZE;
	if (!client->ended)
		segment = min_t(size_t, dma_max_mapping_size(&client->udev->pdev->dev), UINT_MAX);
	mutex_unlock(&client->dma_lock);
	ret = sg_alloc_table_from_pages_segment(&mapping->sgt, pages, count, offset,
						mapping->bytes, segment & PAGE_MASK,
						GFP_KERNEL_ACCOUNT);
	if (ret)
		unpin_user_pages(pages, count);
out:
	kvfree(pages);
	return ret;
}

/* ---- mapping ---- */

/* Undo all of udrv_dma_map() but the DMA mapping itself. */
static void mapping_destroy(struct udrv_client *client, struct udrv_mapping *mapping)
{
	mapping_unpin(mapping);
	mapping_free_table(mapping);
	udrv_dma_uncharge(client, &mapping->dma.charge);
	kfree(mapping);
}

/**
 * udrv_dma_streaming_unmap() - take a mapping away from the device
 * @client: whose, dma_lock held, the device still bound
 * @dma: the mapping's head; its pages stay pinned
 */
void udrv_dma_streaming_unmap(struct udrv_client *client, struct udrv_dma *dma)
{
	struct udrv_mapping *mapping = to_mapping(dma);

	lockdep_assert_held(&client->dma_lock);
	dma_unmap_sgtable(&client->udev->pdev->dev, &mapping->sgt, mapping->direction, 0);
	atomic64_sub(mapping->bytes, &client->streaming_bytes);
}

/** udrv_dma_streaming_reap() - give an unmapped mapping's pages and charge back; no lock held */
void udrv_dma_streaming_reap(struct udrv_client *client, struct udrv_dma *dma)
{
	mapping_destroy(client, to_mapping(dma));
}

/* Fill @segments, which has room for sgt.nents. */
static void mapping_list(struct udrv_mapping *mapping, struct udrv_dma_segment *segments)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(&mapping->sgt, sg, i) {
		segments[i].iova = sg_dma_address(sg);
		segments[i].length = sg_dma_len(sg);
	}
}

static u64 reachable_mask(struct device *dev)
{
	return min_not_zero(dma_get_mask(dev), dev->bus_dma_limit);
}

/* Is there a bounce buffer that the device reaches, or an IOMMU that brings it everywhere? */
static bool helped(struct device *dev)
{
	phys_addr_t bounce_last = udrv_swiotlb_last(dev);
	struct iommu_domain *domain;

	if (bounce_last && phys_to_dma(dev, bounce_last) <= reachable_mask(dev))
		return true;
	domain = iommu_get_domain_for_dev(dev);
	return domain && domain->type & __IOMMU_DOMAIN_PAGING;
}

/**
 * udrv_dma_reaches_memory() - can whatever memory there is be mapped for the device?
 * @dev: the device, with its mask set
 *
 * Where it cannot, the DMA API says so with a warning in the log when it comes to that.
 */
bool udrv_dma_reaches_memory(struct device *dev)
{
	return helped(dev) || (!is_swiotlb_force_bounce(dev) &&
			       dma_get_required_mask(dev) <= reachable_mask(dev));
}

/*
 * Would the DMA API find memory that the device or its bus does not reach, and no bounce buffer that
 * they reach either? It would say so with a warning in the log; the user is told by an error instead.
 */
static bool mapping_out_of_reach(struct device *dev, struct udrv_mapping *mapping)
{
	bool reached = !is_swiotlb_force_bounce(dev);
	u64 mask = reachable_mask(dev);
	struct scatterlist *sg;
	unsigned int i;

	if (reached && mask != DMA_BIT_MASK(64))
		for_each_sgtable_sg(&mapping->sgt, sg, i)
			reached &= phys_to_dma(dev, sg_phys(sg) + sg->length - 1) <= mask;
	return !reached && !helped(dev);
}

/*
 * Map for the device, list the segments, give out the handle. dma_lock is taken here and dropped
 * again: as soon as that happened, another thread may unmap the handle, and @mapping be gone.
 */
static int mapping_publish(struct udrv_client *client, struct udrv_mapping *mapping,
			   struct udrv_ioc_dma_map *p, struct udrv_dma_segment **segments,
			   struct udrv_dma_segment *one)
{
	struct device *dev = &client->udev->pdev->dev;
	u32 room = p->segment_count;
	int ret;

	mutex_lock(&client->dma_lock);
	ret = -ENODEV;
	if (client->ended)
		goto out;

	/* NO_WARN: a full bounce buffer is the user's to hear of, not the log's. */
	ret = -ENOMEM;
	if (mapping_out_of_reach(dev, mapping) ||
	    dma_map_sgtable(dev, &mapping->sgt, mapping->direction, DMA_ATTR_NO_WARN))
		goto out;

	p->segment_count = mapping->sgt.nents;
	ret = -ENOSPC;
	if (mapping->sgt.nents > room)
		goto err_unmap;

	*segments = one;
	ret = -ENOMEM;
	if (mapping->sgt.nents > 1) {
		*segments = kvmalloc_array(mapping->sgt.nents, sizeof(**segments),
					   GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!*segments)
			goto err_unmap;
	}
	mapping_list(mapping, *segments);

	ret = udrv_dma_insert(client, &mapping->dma);
	if (ret)
		goto err_segments;
	p->handle = mapping->dma.handle;
	atomic64_add(mapping->bytes, &client->streaming_bytes);
	mutex_unlock(&client->dma_lock);
	return 0;

err_segments:
	if (*segments != one)
		kvfree(*segments);
err_unmap:
	dma_unmap_sgtable(dev, &mapping->sgt, mapping->direction, DMA_ATTR_SKIP_CPU_SYNC);
out:
	mutex_unlock(&client->dma_lock);
	return ret;
}

/*
 * A confined device has a strict domain, when it is opened; but an administrator can make it lazy
 * under the client (a group's type goes from DMA to DMA-FQ while it is bound). A device that nobody
 * vouches for must not reach what was unmapped.
 */
static void flush_if_lazy(struct udrv_client *client)
{
	struct iommu_domain *domain;

	if (!client->confined)
		return;
	domain = iommu_get_domain_for_dev(&client->udev->pdev->dev);
	if (domain && READ_ONCE(domain->type) != IOMMU_DOMAIN_DMA)
		iommu_flush_iotlb_all(domain);
}

static int mapping_unmap_handle(struct udrv_client *client, u32 handle)
{
	struct udrv_dma *dma;

	mutex_lock(&client->dma_lock);
	dma = client->ended ? ERR_PTR(-ENODEV) : udrv_dma_remove(client, handle, UDRV_DMA_MAPPING);
	if (!IS_ERR_OR_NULL(dma)) {
		udrv_dma_streaming_unmap(client, dma);
		flush_if_lazy(client);
	}
	mutex_unlock(&client->dma_lock);
	if (IS_ERR(dma))
		return PTR_ERR(dma);
	if (!dma)
		return -ENOENT;
	udrv_dma_streaming_reap(client, dma);
	return 0;
}

/**
 * udrv_dma_map() - UDRV_IOC_DMA_MAP
 * @client: the caller
 * @arg: struct udrv_ioc_dma_map
 */
int udrv_dma_map(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_dma_map *p = arg;
	struct udrv_dma_segment one, *segments = NULL;
	enum dma_data_direction direction;
	struct udrv_mapping *mapping;
	unsigned long addr = p->user_addr, count;
	int ret;

	if (p->flags || p->reserved || !p->length || p->length > MAPPING_MAX_BYTES ||
	    direction_from_user(p->direction, &direction))
		return -EINVAL;
	if (addr != p->user_addr || addr + p->length < addr)
		return -EFAULT;
	count = DIV_ROUND_UP((addr & ~PAGE_MASK) + p->length, PAGE_SIZE);

	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL_ACCOUNT);
	if (!mapping)
		return -ENOMEM;
	mapping->dma.kind = UDRV_DMA_MAPPING;
	mapping->direction = direction;
	mapping->bytes = p->length;

	ret = udrv_dma_charge(client, &mapping->dma.charge, count);
	if (ret)
		goto err_free;
	ret = mapping_pin(client, mapping, addr, count);
	if (ret)
		goto err_charge;
	ret = mapping_publish(client, mapping, p, &segments, &one);
	if (ret)
		goto err_pin;

	if (copy_to_user(u64_to_user_ptr(p->segments), segments,
			 (size_t)p->segment_count * sizeof(*segments))) {
		mapping_unmap_handle(client, p->handle);
		ret = -EFAULT;
	}
	if (segments != &one)
		kvfree(segments);
	return ret;

err_pin:
	mapping_destroy(client, mapping);
	return ret;
err_charge:
	udrv_dma_uncharge(client, &mapping->dma.charge);
err_free:
	kfree(mapping);
	return ret;
}

/** udrv_dma_map_undo() - the result could not be copied out: nobody knows the mapping, undo it */
void udrv_dma_map_undo(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_dma_map *p = arg;

	mapping_unmap_handle(client, p->handle);
}

/**
 * udrv_dma_unmap() - UDRV_IOC_DMA_UNMAP
 * @client: the caller
 * @arg: struct udrv_ioc_dma_handle
 */
int udrv_dma_unmap(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_dma_handle *p = arg;

	if (p->flags || p->reserved)
		return -EINVAL;
	return mapping_unmap_handle(client, p->handle);
}

static void piece_sync(struct device *dev, dma_addr_t iova, size_t bytes,
		       enum dma_data_direction direction, bool for_cpu)
{
	if (for_cpu)
		dma_sync_single_for_cpu(dev, iova, bytes, direction);
	else
		dma_sync_single_for_device(dev, iova, bytes, direction);
}

/*
 * Sync [offset, offset + length) of the mapping. An IOMMU makes one segment of scattered memory,
 * but a sync translates an address once, and takes what follows it for contiguous: so pieces end
 * where a segment ends for the device, and where one ends for the CPU. What is bounced is never
 * merged: there a piece is what the bounce buffer was given.
 */
static void mapping_sync(struct device *dev, struct udrv_mapping *mapping, u64 offset, u64 length,
			 bool for_cpu)
{
	struct scatterlist *cpu = mapping->sgt.sgl, *sg;
	u64 cpu_left = cpu->length, dma_left, piece, bytes, earlier;
	dma_addr_t iova;
	unsigned int i;

	for_each_sgtable_dma_sg(&mapping->sgt, sg, i) {
		iova = sg_dma_address(sg);
		for (dma_left = sg_dma_len(sg); dma_left; dma_left -= piece) {
			if (!cpu_left) {
				cpu = sg_next(cpu);
				cpu_left = cpu->length;
			}
			piece = min(cpu_left, dma_left);
			if (offset < piece) {
				bytes = min(length, piece - offset);
				earlier = 0;
				if (iova != phys_to_dma(dev, sg_phys(cpu)))
					earlier = udrv_swiotlb_sync_earlier(iova, offset);
				piece_sync(dev, iova + offset - earlier, bytes + earlier,
					   mapping->direction, for_cpu);
				length -= bytes;
				if (!length)
					return;
				offset = 0;
			} else {
				offset -= piece;
			}
			cpu_left -= piece;
			iova += piece;
		}
	}
}

/**
 * udrv_dma_sync() - UDRV_IOC_DMA_SYNC
 * @client: the caller
 * @arg: struct udrv_ioc_dma_sync
 */
int udrv_dma_sync(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_dma_sync *p = arg;
	struct udrv_mapping *mapping;
	struct udrv_dma *dma;
	int ret = 0;

	if (p->flags || !p->length ||
	    (p->to != UDRV_DMA_SYNC_FOR_CPU && p->to != UDRV_DMA_SYNC_FOR_DEVICE))
		return -EINVAL;

	mutex_lock(&client->dma_lock);
	if (client->ended) {
		ret = -ENODEV;
		goto out;
	}
	dma = udrv_dma_find_mapping(client, p->handle);
	if (!dma) {
		ret = -ENOENT;
		goto out;
	}
	mapping = to_mapping(dma);
	if (p->offset >= mapping->bytes || p->length > mapping->bytes - p->offset)
		ret = -EINVAL;
	else
		mapping_sync(&client->udev->pdev->dev, mapping, p->offset, p->length,
			     p->to == UDRV_DMA_SYNC_FOR_CPU);
out:
	mutex_unlock(&client->dma_lock);
	return ret;
}
