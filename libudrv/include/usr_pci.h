/* SPDX-License-Identifier: MIT */
/*
 * usr_pci.h - the interface of the 2004 proposal, over libudrv
 *
 * Two calls are enough for a whole driver: open a device, and set up its DMA. The descriptor is
 * that of the device node, so read() waits for an interrupt, mmap() maps a BAR (offsets from
 * UDRV_IOC_REGION_INFO), and close() ends it all. Use <libudrv.h> for anything new.
 *
 * Results are 0 or a descriptor, and -1 with errno set, as the proposal had it.
 */
#ifndef USR_PCI_H
#define USR_PCI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct mapping_segment - a contiguous piece, as the device sees it */
struct mapping_segment {
	uint64_t dma_addr;
	uint64_t size; /* bytes */
};

/* commands of usr_pci_map() */
#define USR_ALLOC_CONSISTENT 1 /* in: size; out: virtaddr, size, dma_addr, handle */
#define USR_FREE_CONSISTENT 2  /* in: virtaddr, size, handle, as returned */
#define USR_MAP 3   /* in: virtaddr, size, direction, sglist, nents; out: nents, dma_addr, handle */
#define USR_UNMAP 4 /* in: handle */

/* directions of USR_MAP */
#define USR_DMA_TODEVICE 1
#define USR_DMA_FROMDEVICE 2
#define USR_DMA_BIDIRECTIONAL 3

/**
 * struct mapping_info - what usr_pci_map() takes and gives back
 * @virtaddr:	address in the process
 * @size:	bytes
 * @dma_addr:	address for the device; USR_MAP: of the first segment
 * @direction:	USR_DMA_*
 * @nents:	USR_MAP: room in @sglist, then segments used (with errno ENOSPC: needed)
 * @sglist:	USR_MAP: the caller's array
 * @handle:	names the mapping to USR_UNMAP and USR_FREE_CONSISTENT
 */
struct mapping_info {
	void *virtaddr;
	size_t size;
	uint64_t dma_addr;
	int direction;
	unsigned int nents;
	struct mapping_segment *sglist;
	uint32_t handle;
};

/** usr_pci_open() - open device bus:slot.function of domain 0; a descriptor, or -1 */
int usr_pci_open(int bus, int slot, int function);

/** usr_pci_map() - set up or undo DMA; 0, or -1 */
int usr_pci_map(int fd, int cmd, struct mapping_info *info);

#ifdef __cplusplus
}
#endif

#endif /* USR_PCI_H */
