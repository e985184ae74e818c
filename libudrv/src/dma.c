// SPDX-License-Identifier: MIT
/*
 * dma.c - memory that the device reaches: consistent buffers and streaming mappings
 *
 * Owns the pair of call and mmap() that makes a consistent buffer, in a form that needs no more
 * than a descriptor, because usr_pci.c has no more.
 *
 * The hard part: the mmap() of a buffer can fail after the kernel has made it; it is given back
 * then, and what the caller sees is the mmap()'s error.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

#include "internal.h"

static int give_back(int fd, unsigned long request, uint32_t handle)
{
	struct udrv_ioc_dma_handle call = { .size = sizeof(call), .handle = handle };

	return udrv_call(fd, request, &call);
}

int udrv_dma_set_mask(struct udrv *device, unsigned int bits)
{
	struct udrv_ioc_dma_mask call = { .size = sizeof(call), .bits = bits };

	return udrv_call(device->fd, UDRV_IOC_DMA_MASK, &call);
}

int udrv_buffer_alloc(int fd, size_t length, struct udrv_dma *buffer)
{
	struct udrv_ioc_dma_alloc call = { .size = sizeof(call), .length = length };
	void *addr;
	int rc;

	rc = udrv_call(fd, UDRV_IOC_DMA_ALLOC, &call);
	if (rc)
		return rc;
	/* At most UDRV_DMA_ALLOC_MAX_BYTES: it fits into a size_t. */
	addr = mmap(NULL, (size_t)call.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    (off_t)call.offset);
	if (addr == MAP_FAILED) {
		rc = -errno;
		give_back(fd, UDRV_IOC_DMA_FREE, call.handle);
		return rc;
	}
	buffer->addr = addr;
	buffer->iova = call.iova;
	buffer->length = (size_t)call.length;
	buffer->handle = call.handle;
	return 0;
}

int udrv_buffer_free(int fd, struct udrv_dma *buffer)
{
	uint32_t handle = buffer->handle;

	if (munmap(buffer->addr, buffer->length))
		return -errno;
	*buffer = (struct udrv_dma){ 0 };
	return give_back(fd, UDRV_IOC_DMA_FREE, handle);
}

int udrv_dma_alloc(struct udrv *device, size_t length, struct udrv_dma *buffer)
{
	return udrv_buffer_alloc(device->fd, length, buffer);
}

int udrv_dma_free(struct udrv *device, struct udrv_dma *buffer)
{
	return buffer->handle ? udrv_buffer_free(device->fd, buffer) : 0;
}

int udrv_dma_map(struct udrv *device, const void *addr, size_t length, unsigned int direction,
		 struct udrv_dma_segment *segments, unsigned int *count, uint32_t *handle)
{
	struct udrv_ioc_dma_map call = {
		.size = sizeof(call),
		.user_addr = (uintptr_t)addr,
		.length = length,
		.segments = (uintptr_t)segments,
		.segment_count = *count,
		.direction = direction,
	};
	int rc = udrv_call(device->fd, UDRV_IOC_DMA_MAP, &call);

	if (!rc || rc == -ENOSPC)
		*count = call.segment_count;
	if (!rc)
		*handle = call.handle;
	return rc;
}

int udrv_dma_unmap(struct udrv *device, uint32_t handle)
{
	return give_back(device->fd, UDRV_IOC_DMA_UNMAP, handle);
}

static int sync_to(struct udrv *device, uint32_t handle, uint32_t to, uint64_t offset,
		   uint64_t length)
{
	struct udrv_ioc_dma_sync call = {
		.size = sizeof(call),
		.handle = handle,
		.to = to,
		.offset = offset,
		.length = length,
	};

	return udrv_call(device->fd, UDRV_IOC_DMA_SYNC, &call);
}

int udrv_dma_sync_for_cpu(struct udrv *device, uint32_t handle, uint64_t offset, uint64_t length)
{
	return sync_to(device, handle, UDRV_DMA_SYNC_FOR_CPU, offset, length);
}

int udrv_dma_sync_for_device(struct udrv *device, uint32_t handle, uint64_t offset, uint64_t length)
{
	return sync_to(device, handle, UDRV_DMA_SYNC_FOR_DEVICE, offset, length);
}
