/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of libudrv share and nobody else sees
 *
 * Owns the layout of struct udrv, the one way to call ioctl(), and the names of nodes. Everything
 * here is hidden from the shared library; the command in ../cli links the static one and uses the
 * address functions too, so that there is one parser of addresses.
 */
#ifndef UDRV_INTERNAL_H
#define UDRV_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

/* The library is compiled with hidden visibility; what the public headers declare is the exception.
 */
#pragma GCC visibility push(default)
#include <libudrv.h>
#include <libudrv_ring.h>
#include <usr_pci.h>
#pragma GCC visibility pop

#define UDRV_NODE_DIRECTORY "/dev/udrv"

/*
 * Nothing in here changes after udrv_open_fd() has returned, so that all calls may run at the same
 * time without a lock; the kernel orders those that need an order.
 */
struct udrv {
	int fd;
	struct udrv_ioc_device_info info;
	struct udrv_ioc_region_info region[UDRV_REGION_COUNT];
};

/* where a device sits */
struct udrv_address {
	unsigned int domain;
	unsigned int bus;
	unsigned int slot;
	unsigned int function;
};

/**
 * udrv_address_parse() - read "00:04.0", "0000:00:04.0", "pci-00:04.0" or "pci-0000:00:04.0"
 * Return: 0, or -EINVAL if @text is anything else
 */
int udrv_address_parse(const char *text, struct udrv_address *address);

/* "pci-0123abcd:00:04.0" and the byte that ends it */
#define UDRV_NODE_NAME_BYTES 24

/** udrv_address_node() - write the node's name, "pci-00:04.0"; the domain only where it is not 0 */
void udrv_address_node(const struct udrv_address *address, char name[UDRV_NODE_NAME_BYTES]);

/** udrv_node_open() - open a node by any of its names, or by path; a descriptor, or -errno */
int udrv_node_open(const char *name);

/**
 * udrv_call() - one ioctl, again if a signal came in between
 *
 * A call that fails has changed nothing, and EINTR only says that it waited for its turn: to repeat
 * it is what every caller would do.
 *
 * Return: 0, or -errno
 */
int udrv_call(int fd, unsigned long request, void *argument);

/**
 * udrv_register_read() - one register by pread() at @offset of the descriptor
 * udrv_register_write() - one register by pwrite()
 * @width: 1, 2, 4 or 8; the caller has checked it, and that the register lies in its region
 */
int udrv_register_read(int fd, uint64_t offset, unsigned int width, uint64_t *value);
int udrv_register_write(int fd, uint64_t offset, unsigned int width, uint64_t value);

/** udrv_buffer_alloc() - DMA_ALLOC and the mmap that goes with it, from a descriptor alone */
int udrv_buffer_alloc(int fd, size_t length, struct udrv_dma *buffer);

/** udrv_buffer_free() - undo it; the buffer is unmapped, and @buffer clear, unless -EINVAL */
int udrv_buffer_free(int fd, struct udrv_dma *buffer);

/**
 * udrv_half_open() - open the descriptor of an upper half, attach, and map
 * @node: its path
 * @attach: the call
 * @info: its struct
 * @map_bytes: where the call answers how much to map
 * @area: set to where that is
 *
 * Return: the descriptor, or -errno
 */
int udrv_half_open(const char *node, unsigned long attach, void *info, const __u64 *map_bytes,
		   uint8_t **area);

/** udrv_half_close() - undo it */
void udrv_half_close(int fd, uint8_t *area, uint64_t map_bytes);

/* Our side of a ring of @entries, from its beginning. */
static inline struct udrv_ring_side udrv_ring_side_of(struct udrv_ring *shared, uint32_t entries)
{
	return (struct udrv_ring_side){ .shared = shared, .mask = entries - 1 };
}

#endif /* UDRV_INTERNAL_H */
