// SPDX-License-Identifier: GPL-2.0-only
/*
 * What both kinds of DMA share: handles, the mask, accounting, and the end
 *
 * A handle names a consistent buffer (dma_consistent.c) or a streaming mapping (dma_streaming.c). A
 * stale one does not at once name something new. Buffers come and go seldom, and mmap() looks for
 * them where it may take no lock of ours: they are in an xarray. Mappings come and go with each
 * packet: they are in slots, the last one freed being the first one used, and the handle counts how
 * often its slot was. What holds pages is charged to the process that asked, and is uncharged when
 * the pages go back; and it is counted for the client, because pages outlive the process that mapped
 * them, and what it was charged dies with it.
 *
 * The hard part is where that may happen: the DMA API may only be called while the device is bound
 * (under dma_lock, the client not ended), the charge may only be given back where no lock is held
 * (it takes mmap_lock), and the last reference may be dropped by munmap(). So objects are unmapped
 * in place, and everything else is left to client->reap_work.
 */
#include <linux/dma-mapping.h>
#include <linux/iommu.h>
#include <linux/nospec.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "udrv.h"

/*
 * Handles: buffers have the lower range, because theirs are in file offsets too. A mapping's is
 * DMA_MAPPING, how often its slot was used, and the slot's number.
 */
#define DMA_BUFFER_HANDLES XA_LIMIT(1, UDRV_DMA_ALLOC_MAX_COUNT)
#define DMA_MAPPING BIT(31)
#define DMA_USES GENMASK(30, 20)
#define DMA_SLOT GENMASK(19, 0)
#define DMA_SLOTS_MAX (DMA_SLOT + 1)
#define DMA_SLOTS_MIN 64

/**
 * struct udrv_dma_slot - where a mapping's handle leads
 * @dma: its head, NULL while the slot is free
 * @handle: of @dma; while the slot is free, of the next one
 * @next_free: while it is free: the next free slot, or DMA_SLOTS_MAX
 */
struct udrv_dma_slot {
	struct udrv_dma *dma;
	u32 handle;
	u32 next_free;
};

/* ---- accounting ---- */

/*
 * Charge the caller's process and the client, if neither then has more than the caller may lock, or
 * it may lock more. The sum is charged first and looked at then: two that come at once may both be
 * refused, but not both pass.
 */
static int dma_charge(struct udrv_client *client, unsigned long pages, bool bypass)
{
	struct mm_struct *mm = current->mm;
	int ret;

	if (atomic_long_add_return(pages, &client->dma_pages) >
		    rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT && !bypass) {
		ret = -ENOMEM;
		goto err_client;
	}
	mmap_write_lock(mm);
	ret = __account_locked_vm(mm, pages, true, current, bypass);
	mmap_write_unlock(mm);
	if (ret)
		goto err_client;
	return 0;

err_client:
	atomic_long_sub(pages, &client->dma_pages);
	return ret;
}

/**
 * udrv_dma_charge() - charge pages to the current process, and to the client
 * @client: the caller; what it still has to give back is waited for before it is refused
 * @charge: to be filled
 * @pages: how many
 *
 * Context: process, no lock held.
 * Return: 0; -ENOMEM over RLIMIT_MEMLOCK.
 */
int udrv_dma_charge(struct udrv_client *client, struct udrv_charge *charge, unsigned long pages)
{
	struct mm_struct *mm = current->mm;
	int ret;

	if (!pages)
		return 0; /* there is nothing to uncharge later */
	if (!mm)
		return -EINVAL;
	/* Most stay below the limit: who may go beyond it is asked only then. */
	ret = dma_charge(client, pages, false);
	if (ret == -ENOMEM) {
		flush_work(&client->reap_work);
		ret = dma_charge(client, pages, capable(CAP_IPC_LOCK));
	}
	if (ret)
		return ret;

	mmgrab(mm);
	charge->mm = mm;
	charge->pages = pages;
	return 0;
}

/**
 * udrv_dma_uncharge() - undo udrv_dma_charge()
 * @client: who was charged with the process
 * @charge: may be empty
 *
 * Context: any process, no lock held.
 */
void udrv_dma_uncharge(struct udrv_client *client, struct udrv_charge *charge)
{
	if (!charge->pages)
		return;
	atomic_long_sub(charge->pages, &client->dma_pages);
	mmap_write_lock(charge->mm);
	__account_locked_vm(charge->mm, charge->pages, false, current, false);
	mmap_write_unlock(charge->mm);
	mmdrop(charge->mm);
	charge->pages = 0;
}

/* ---- handles ---- */

/* Twice as many slots, the new ones free. */
static int slots_grow(struct udrv_client *client)
{
	u32 old = client->dma_slot_count, count = old ? old * 2 : DMA_SLOTS_MIN, i;
	struct udrv_dma_slot *slots;

	if (count > DMA_SLOTS_MAX)
		return -ENOMEM; /* -ENOSPC says that a list of segments is too short */
	slots = kvcalloc(count, sizeof(*slots), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!slots)
		return -ENOMEM;
	if (old)
		memcpy(slots, client->dma_slots, old * sizeof(*slots));
	for (i = old; i < count; i++) {
		slots[i].handle = DMA_MAPPING | i;
		slots[i].next_free = i + 1 < count ? i + 1 : DMA_SLOTS_MAX;
	}
	kvfree(client->dma_slots);
	client->dma_slots = slots;
	client->dma_slot_count = count;
	client->dma_slot_free = old;
	return 0;
}

static int slot_insert(struct udrv_client *client, struct udrv_dma *dma)
{
	struct udrv_dma_slot *slot;
	int ret;

	if (client->dma_slot_free == DMA_SLOTS_MAX) {
		ret = slots_grow(client);
		if (ret)
			return ret;
	}
	slot = &client->dma_slots[client->dma_slot_free];
	client->dma_slot_free = slot->next_free;
	slot->dma = dma;
	dma->handle = slot->handle;
	client->dma_mappings++;
	return 0;
}

static struct udrv_dma_slot *slot_find(struct udrv_client *client, u32 handle)
{
	u32 index = array_index_nospec(handle & DMA_SLOT, client->dma_slot_count);
	struct udrv_dma_slot *slot = &client->dma_slots[index];

	if ((handle & DMA_SLOT) >= client->dma_slot_count || slot->handle != handle || !slot->dma)
		return NULL;
	return slot;
}

/* The slot's next handle is another one, until it was used as often as the handle can count. */
static void slot_free(struct udrv_client *client, struct udrv_dma_slot *slot)
{
	u32 uses = (slot->handle + DMA_SLOTS_MAX) & DMA_USES;

	slot->dma = NULL;
	slot->handle = DMA_MAPPING | uses | (slot->handle & DMA_SLOT);
	slot->next_free = client->dma_slot_free;
	client->dma_slot_free = slot - client->dma_slots;
	client->dma_mappings--;
}

/**
 * udrv_dma_insert() - give an object a handle
 * @client: the caller, dma_lock held
 * @dma: with @kind set
 * Return: 0; -ENOSPC no buffer's handle is free; -ENOMEM
 */
int udrv_dma_insert(struct udrv_client *client, struct udrv_dma *dma)
{
	int ret;

	lockdep_assert_held(&client->dma_lock);
	if (dma->kind == UDRV_DMA_MAPPING)
		return slot_insert(client, dma);

	ret = xa_alloc_cyclic(&client->dma_buffers, &dma->handle, dma, DMA_BUFFER_HANDLES,
			      &client->dma_next_buffer, GFP_KERNEL_ACCOUNT);
	if (ret == -EBUSY)
		return -ENOSPC;
	return min(ret, 0);
}

/**
 * udrv_dma_find_mapping() - what a handle names
 * @client: the caller, dma_lock held
 * @handle: from the user
 * Return: the mapping's head; NULL if there is no such one
 */
struct udrv_dma *udrv_dma_find_mapping(struct udrv_client *client, u32 handle)
{
	struct udrv_dma_slot *slot;

	lockdep_assert_held(&client->dma_lock);
	slot = slot_find(client, handle);
	return slot ? slot->dma : NULL;
}

/**
 * udrv_dma_remove() - take an object out of its table
 * @client: the caller, dma_lock held
 * @handle: from the user
 * @kind: what it must name
 * Return: the object, the caller's now; NULL if there is no such one
 */
struct udrv_dma *udrv_dma_remove(struct udrv_client *client, u32 handle, int kind)
{
	struct udrv_dma_slot *slot;
	struct udrv_dma *dma;

	lockdep_assert_held(&client->dma_lock);
	if (kind == UDRV_DMA_BUFFER)
		return xa_erase(&client->dma_buffers, handle);

	slot = slot_find(client, handle);
	if (!slot)
		return NULL;
	dma = slot->dma;
	slot_free(client, slot);
	return dma;
}

/* ---- giving back ---- */

/**
 * udrv_dma_reap() - have an object's pages and charge given back, later
 * @client: whose
 * @dma: in no table any more, referenced by nobody; or, at the end, a buffer with a reference for
 *	the work
 *
 * Context: any process context, any lock.
 */
void udrv_dma_reap(struct udrv_client *client, struct udrv_dma *dma)
{
	spin_lock(&client->reap_lock);
	list_add_tail(&dma->reap, &client->reap);
	spin_unlock(&client->reap_lock);
	queue_work(udrv_wq, &client->reap_work);
}

static void dma_reap_work(struct work_struct *work)
{
	struct udrv_client *client = container_of(work, struct udrv_client, reap_work);
	struct udrv_dma *dma, *next;
	LIST_HEAD(list);

	spin_lock(&client->reap_lock);
	list_splice_init(&client->reap, &list);
	spin_unlock(&client->reap_lock);

	list_for_each_entry_safe(dma, next, &list, reap) {
		list_del(&dma->reap); /* it may come again */
		if (dma->kind == UDRV_DMA_BUFFER)
			udrv_dma_consistent_reap(client, dma);
		else
			udrv_dma_streaming_reap(client, dma);
	}
}

/* ---- the client's life ---- */

/** udrv_dma_init() - a client without DMA */
void udrv_dma_init(struct udrv_client *client)
{
	mutex_init(&client->dma_lock);
	xa_init_flags(&client->dma_buffers, XA_FLAGS_ALLOC);
	client->dma_next_buffer = 1;
	client->dma_slot_free = DMA_SLOTS_MAX;
	INIT_LIST_HEAD(&client->buffers);
	INIT_LIST_HEAD(&client->reap);
	spin_lock_init(&client->reap_lock);
	INIT_WORK(&client->reap_work, dma_reap_work);
}

/**
 * udrv_dma_end() - the last step of the end: unmap, flush, give back
 * @client: ended, its device quiet, client->lock held
 *
 * When it returns the device has nothing mapped, and no buffer holds memory. Pinned pages go back
 * after that, by the work.
 */
void udrv_dma_end(struct udrv_client *client)
{
	struct device *dev = &client->udev->pdev->dev;
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	struct udrv_dma_slot *slot, *slots, *end;

	mutex_lock(&client->dma_lock);
	slots = client->dma_slots;
	end = slots + client->dma_slot_count;
	for (slot = slots; slot < end; slot++)
		if (slot->dma)
			udrv_dma_streaming_unmap(client, slot->dma);

	udrv_dma_consistent_end(client);

	/*
	 * A lazy IOMMU would let the device at the memory a while longer: at what was just unmapped,
	 * and at what the client has unmapped and freed in the last moments, too. Once for all of
	 * it, before pages are unpinned, and before anybody else may turn bus mastering on. Buffers
	 * are gone by now, for the DMA API unmaps and frees them in one; with bus mastering off.
	 */
	if (domain && (domain->type & __IOMMU_DOMAIN_PAGING))
		iommu_flush_iotlb_all(domain);

	for (slot = slots; slot < end; slot++) {
		if (!slot->dma)
			continue;
		udrv_dma_reap(client, slot->dma);
		slot_free(client, slot);
	}
	mutex_unlock(&client->dma_lock);
}

/** udrv_dma_free_client() - nothing is left; wait for the work, and free the tables */
void udrv_dma_free_client(struct udrv_client *client)
{
	flush_work(&client->reap_work);
	xa_destroy(&client->dma_buffers);
	kvfree(client->dma_slots);
}

/**
 * udrv_dma_mask() - UDRV_IOC_DMA_MASK
 * @client: the caller
 * @arg: struct udrv_ioc_dma_mask
 */
int udrv_dma_mask(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_dma_mask *p = arg;
	struct device *dev = &client->udev->pdev->dev;
	int ret;

	if (p->flags || p->reserved || p->bits < 24 || p->bits > 64)
		return -EINVAL;

	/* A buffer that was just freed and unmapped is no hindrance. */
	flush_work(&client->reap_work);

	ret = udrv_client_lock(client);
	if (ret)
		return ret;
	mutex_lock(&client->dma_lock);
	/* What is mapped already may lie above the new mask. */
	if (client->net || client->blk || client->dma_mappings || !xa_empty(&client->dma_buffers) ||
	    !list_empty(&client->buffers))
		ret = -EBUSY;
	else if (dma_set_mask_and_coherent(dev, DMA_BIT_MASK(p->bits)))
		ret = -EOPNOTSUPP;
	else
		client->dma_mask_bits = p->bits;
	mutex_unlock(&client->dma_lock);
	udrv_client_unlock(client);
	return ret;
}
