// SPDX-License-Identifier: MIT
/*
 * usr_pci.c - the interface of the 2004 proposal
 *
 * Owns the translation between its one call with commands and the calls of <udrv/udrv.h>. It keeps
 * nothing: a descriptor is all that a caller of this interface has, so everything that a later call
 * needs travels in the caller's struct mapping_info.
 */
#include <errno.h>
#include <stdint.h>

#include "internal.h"

/* The kernel fills the caller's list in place. */
_Static_assert(sizeof(struct mapping_segment) == sizeof(struct udrv_dma_segment), "same piece");
_Static_assert(offsetof(struct mapping_segment, dma_addr) ==
		       offsetof(struct udrv_dma_segment, iova),
	       "same address");
_Static_assert(offsetof(struct mapping_segment, size) == offsetof(struct udrv_dma_segment, length),
	       "same length");

_Static_assert(USR_DMA_TODEVICE == UDRV_DMA_TO_DEVICE &&
		       USR_DMA_FROMDEVICE == UDRV_DMA_FROM_DEVICE &&
		       USR_DMA_BIDIRECTIONAL == UDRV_DMA_BIDIRECTIONAL,
	       "same directions");

static int alloc_consistent(int fd, struct mapping_info *info)
{
	struct udrv_dma buffer;
	int rc = udrv_buffer_alloc(fd, info->size, &buffer);

	if (rc)
		return rc;
	info->virtaddr = buffer.addr;
	info->size = buffer.length;
	info->dma_addr = buffer.iova;
	info->handle = buffer.handle;
	return 0;
}

static int free_consistent(int fd, const struct mapping_info *info)
{
	struct udrv_dma buffer = {
		.addr = info->virtaddr,
		.iova = info->dma_addr,
		.length = info->size,
		.handle = info->handle,
	};

	return udrv_buffer_free(fd, &buffer);
}

static int map(int fd, struct mapping_info *info)
{
	struct udrv_ioc_dma_map call = {
		.size = sizeof(call),
		.user_addr = (uintptr_t)info->virtaddr,
		.length = info->size,
		.segments = (uintptr_t)info->sglist,
		.segment_count = info->nents,
		.direction = (uint32_t)info->direction,
	};
	int rc = udrv_call(fd, UDRV_IOC_DMA_MAP, &call);

	if (!rc || rc == -ENOSPC)
		info->nents = call.segment_count;
	if (rc)
		return rc;
	info->dma_addr = info->sglist[0].dma_addr;
	info->handle = call.handle;
	return 0;
}

static int unmap(int fd, const struct mapping_info *info)
{
	struct udrv_ioc_dma_handle call = { .size = sizeof(call), .handle = info->handle };

	return udrv_call(fd, UDRV_IOC_DMA_UNMAP, &call);
}

/* This interface reports as system calls do. */
static int answer(int rc)
{
	if (rc >= 0)
		return rc;
	errno = -rc;
	return -1;
}

int usr_pci_open(int bus, int slot, int function)
{
	struct udrv_address address = {
		.bus = (unsigned int)bus,
		.slot = (unsigned int)slot,
		.function = (unsigned int)function,
	};
	char name[UDRV_NODE_NAME_BYTES];

	if (address.bus > 0xff || address.slot > 0x1f || address.function > 7)
		return answer(-EINVAL);
	udrv_address_node(&address, name);
	return answer(udrv_node_open(name));
}

int usr_pci_map(int fd, int cmd, struct mapping_info *info)
{
	if (!info)
		return answer(-EFAULT);
	switch (cmd) {
	case USR_ALLOC_CONSISTENT:
		return answer(alloc_consistent(fd, info));
	case USR_FREE_CONSISTENT:
		return answer(free_consistent(fd, info));
	case USR_MAP:
		return answer(map(fd, info));
	case USR_UNMAP:
		return answer(unmap(fd, info));
	default:
		return answer(-EINVAL);
	}
}
