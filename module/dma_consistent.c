// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers that CPU and device share without sync
 *
 * A buffer is referenced by its handle and by each of its mappings; its memory goes back when the
 * last of them is gone, or at the client's end, whichever is first. In the second case the
 * structure stays for its mappings, which have been revoked and show all-ones.
 */
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include "udrv.h"

/**
 * struct udrv_buffer - a consistent buffer
 * @dma: the common head
 * @ref: handle and mappings
 * @area: for mmap
 * @node: in client->buffers while it holds memory; under dma_lock
 * @cpu: its memory, NULL once that is freed; under dma_lock
 * @iova: for the device
 * @bytes: whole pages
 */
struct udrv_buffer {
	struct udrv_dma dma;
	struct kref ref;
	struct udrv_area area;
	struct list_head node;
	void *cpu;
	dma_addr_t iova;
	size_t bytes;
};

/* Give the memory back to the DMA API. dma_lock held, the device still bound. */
static void buffer_free_memory(struct udrv_client *client, struct udrv_buffer *buffer)
{
	lockdep_assert_held(&client->dma_lock);
	if (!buffer->cpu)
		return;
	dma_free_coherent(&client->udev->pdev->dev, buffer->bytes, buffer->cpu, buffer->iova);
	buffer->cpu = NULL;
	list_del(&buffer->node);
	atomic64_sub(buffer->bytes, &client->consistent_bytes);
}

static void buffer_destroy(struct udrv_client *client, struct udrv_buffer *buffer)
{
	mutex_lock(&client->dma_lock);
	buffer_free_memory(client, buffer);
	mutex_unlock(&client->dma_lock);

	udrv_dma_uncharge(client, &buffer->dma.charge);
	kvfree(buffer->area.pfns);
	kfree(buffer);
}

/* The last reference went where locks are held: leave the rest to the work. */
static void buffer_release_later(struct kref *ref)
{
	struct udrv_buffer *buffer = container_of(ref, struct udrv_buffer, ref);

	udrv_dma_reap(buffer->area.client, &buffer->dma);
}

static void buffer_release_now(struct kref *ref)
{
	struct udrv_buffer *buffer = container_of(ref, struct udrv_buffer, ref);

	buffer_destroy(buffer->area.client, buffer);
}

/* Fill area.pfns. The DMA API knows which pages it gave; nobody else has to guess. */
static int buffer_find_pages(struct udrv_client *client, struct udrv_buffer *buffer)
{
	unsigned long page = 0, i;
	struct scatterlist *sg;
	struct sg_table sgt;
	unsigned int n;
	int ret;

	ret = dma_get_sgtable(&client->udev->pdev->dev, &sgt, buffer->cpu, buffer->iova,
			      buffer->bytes);
	if (ret)
		return ret;
	for_each_sgtable_sg(&sgt, sg, n)
		for (i = 0; i < sg->length >> PAGE_SHIFT && page < buffer->area.pages; i++)
			buffer->area.pfns[page++] = page_to_pfn(sg_page(sg)) + i;
	sg_free_table(&sgt);
	return page == buffer->area.pages ? 0 : -ENOMEM;
}

/* Memory, pages, handle. dma_lock held. */
static int buffer_set_up(struct udrv_client *client, struct udrv_buffer *buffer)
{
	int ret;

	lockdep_assert_held(&client->dma_lock);
	if (client->ended)
		return -ENODEV;

	/* NOWARN: how much to ask for is the user's choice, and the log is not his. */
	buffer->cpu = dma_alloc_coherent(&client->udev->pdev->dev, buffer->bytes, &buffer->iova,
					 GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!buffer->cpu)
		return -ENOMEM;
	list_add(&buffer->node, &client->buffers);
	atomic64_add(buffer->bytes, &client->consistent_bytes);

	ret = buffer_find_pages(client, buffer);
	if (ret)
		goto err_memory;

	/* From here on mmap finds it. */
	ret = udrv_dma_insert(client, &buffer->dma);
	if (ret)
		goto err_memory;
	return 0;

err_memory:
	buffer_free_memory(client, buffer);
	return ret;
}

/**
 * udrv_dma_alloc() - UDRV_IOC_DMA_ALLOC
 * @client: the caller
 * @arg: struct udrv_ioc_dma_alloc
 */
int udrv_dma_alloc(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_dma_alloc *p = arg;
	struct udrv_buffer *buffer;
	unsigned long pages;
	int ret;

	if (p->flags || p->reserved || !p->length || p->length > UDRV_DMA_ALLOC_MAX_BYTES)
		return -EINVAL;
	pages = PAGE_ALIGN(p->length) >> PAGE_SHIFT;

	buffer = kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return -ENOMEM;
	buffer->dma.kind = UDRV_DMA_BUFFER;
	kref_init(&buffer->ref);
	buffer->bytes = pages << PAGE_SHIFT;
	buffer->area.client = client;
	buffer->area.pages = pages;

	ret = -ENOMEM;
	buffer->area.pfns = kvmalloc_array(pages, sizeof(*buffer->area.pfns), GFP_KERNEL_ACCOUNT);
	if (!buffer->area.pfns)
		goto err_free;
	ret = udrv_dma_charge(client, &buffer->dma.charge, pages);
	if (ret)
		goto err_free;

	mutex_lock(&client->dma_lock);
	ret = buffer_set_up(client, buffer);
	if (!ret) {
		/*
		 * Told under the lock: as soon as it is dropped, another thread may free the
		 * handle.
		 */
		p->length = buffer->bytes;
		p->iova = buffer->iova;
		p->handle = buffer->dma.handle;
		p->offset = UDRV_DMA_OFFSET + ((u64)buffer->dma.handle << UDRV_DMA_SHIFT);
	}
	mutex_unlock(&client->dma_lock);
	if (ret)
		goto err_charge;
	return 0;

err_charge:
	udrv_dma_uncharge(client, &buffer->dma.charge);
err_free:
	kvfree(buffer->area.pfns);
	kfree(buffer);
	return ret;
}

static int buffer_free_handle(struct udrv_client *client, u32 handle)
{
	struct udrv_dma *dma;

	mutex_lock(&client->dma_lock);
	dma = client->ended ? ERR_PTR(-ENODEV) : udrv_dma_remove(client, handle, UDRV_DMA_BUFFER);
	mutex_unlock(&client->dma_lock);
	if (IS_ERR(dma))
		return PTR_ERR(dma);
	if (!dma)
		return -ENOENT;
	kref_put(&container_of(dma, struct udrv_buffer, dma)->ref, buffer_release_now);
	return 0;
}

/** udrv_dma_alloc_undo() - the result could not be copied out: nobody knows the buffer, free it */
void udrv_dma_alloc_undo(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_dma_alloc *p = arg;

	buffer_free_handle(client, p->handle);
}

/**
 * udrv_dma_free() - UDRV_IOC_DMA_FREE
 * @client: the caller
 * @arg: struct udrv_ioc_dma_handle
 */
int udrv_dma_free(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_dma_handle *p = arg;

	if (p->flags || p->reserved)
		return -EINVAL;
	return buffer_free_handle(client, p->handle);
}

/**
 * udrv_dma_area_get() - find the buffer at a file offset
 * @client: the caller
 * @offset: at least UDRV_DMA_OFFSET
 *
 * Context: process, under mmap_lock: so it takes the handle table's own lock only.
 * Return: its area, with a reference for the mapping; NULL there is none.
 */
struct udrv_area *udrv_dma_area_get(struct udrv_client *client, u64 offset)
{
	unsigned long handle = (offset - UDRV_DMA_OFFSET) >> UDRV_DMA_SHIFT;
	struct udrv_buffer *buffer = NULL;
	struct udrv_dma *dma;

	xa_lock(&client->dma_buffers);
	dma = xa_load(&client->dma_buffers, handle);
	if (dma) {
		buffer = container_of(dma, struct udrv_buffer, dma);
		/* The table's own reference is dropped only after the entry is erased. */
		kref_get(&buffer->ref);
	}
	xa_unlock(&client->dma_buffers);
	if (!buffer)
		return NULL;

	/* Idempotent; written here because the handle is only known once it is in the table. */
	WRITE_ONCE(buffer->area.pgoff,
		   (UDRV_DMA_OFFSET + ((u64)handle << UDRV_DMA_SHIFT)) >> PAGE_SHIFT);
	return &buffer->area;
}

static struct udrv_buffer *area_to_buffer(struct udrv_area *area)
{
	return container_of(area, struct udrv_buffer, area);
}

/** udrv_dma_area_ref() - a mapping was split or moved: one more reference */
void udrv_dma_area_ref(struct udrv_area *area)
{
	kref_get(&area_to_buffer(area)->ref);
}

/** udrv_dma_area_put() - a mapping is gone; under mmap_lock */
void udrv_dma_area_put(struct udrv_area *area)
{
	kref_put(&area_to_buffer(area)->ref, buffer_release_later);
}

/**
 * udrv_dma_consistent_end() - free all memory, with a handle or without
 * @client: ended, its mappings revoked or gone, dma_lock held
 */
void udrv_dma_consistent_end(struct udrv_client *client)
{
	struct udrv_buffer *buffer, *next;
	struct udrv_dma *dma;
	unsigned long handle;

	list_for_each_entry_safe(buffer, next, &client->buffers, node) {
		buffer_free_memory(client, buffer);
		/* What is mapped still lives on as a structure; its charge must not. */
		if (kref_get_unless_zero(&buffer->ref))
			udrv_dma_reap(client, &buffer->dma);
	}

	xa_for_each(&client->dma_buffers, handle, dma) {
		xa_erase(&client->dma_buffers, handle);
		kref_put(&container_of(dma, struct udrv_buffer, dma)->ref, buffer_release_later);
	}
}

/**
 * udrv_dma_consistent_reap() - the work's part of a buffer's end
 * @client: whose
 * @dma: its head: without references, or with one of the work's own if the client has ended
 */
void udrv_dma_consistent_reap(struct udrv_client *client, struct udrv_dma *dma)
{
	struct udrv_buffer *buffer = container_of(dma, struct udrv_buffer, dma);

	if (!kref_read(&buffer->ref)) {
		buffer_destroy(client, buffer);
		return;
	}
	udrv_dma_uncharge(client, &buffer->dma.charge);
	kref_put(&buffer->ref, buffer_release_now);
}
