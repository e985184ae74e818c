/* SPDX-License-Identifier: MIT */
/*
 * node.h - a device under test: find it, bind it, open it, reach its registers
 *
 * Devices have names here ("edu"), and by those the lab's addresses (test/qemu/devices). Another
 * address, or another machine: an environment variable of the device's name in capitals with UDRV_
 * before it, "UDRV_EDU=00:10.0". A test of a device that is not there is skipped, unless UDRV_NO_SKIP
 * is set: then it fails.
 */
#ifndef NODE_H
#define NODE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <udrv/udrv.h>

struct node {
	const char *kind; /* "edu" */
	int fd; /* -1: not open */
	char address[16]; /* 0000:00:02.0 */
	char name[32]; /* pci-00:02.0 */
	char path[64]; /* of the node */
	char sysfs[64]; /* of the PCI device */
	volatile uint8_t *bar0; /* NULL: not mapped */
	size_t bar0_length;
};

/* Kinds, in the order of the lab's slots; NULL at the end. */
extern const char *const node_kinds[];

/* Is there such a device? Fills in everything but the descriptor. */
bool node_find(struct node *node, const char *kind);
/* There must be. */
void node_get(struct node *node, const char *kind);

/* Through sysfs, as driverctl does: driver_override, unbind, probe. */
void node_bind(struct node *node);
/* Only take the driver away. */
void node_unbind(struct node *node);

/* Get, bind, open read-write; node_open_mapped() maps BAR 0 too. */
void node_open(struct node *node, const char *kind);
void node_open_mapped(struct node *node, const char *kind);
void node_reopen(struct node *node);
void node_unmap(struct node *node);
/* Undo what was done. */
void node_close(struct node *node);

/* After each test: nothing of any device is left behind. For TAP_MAIN(). */
void node_check_idle(void);

/* Kind "hot" only: take the device out of its slot, as unplug does; put a new one in. */
void node_pull(const struct node *node);
void node_plug(struct node *node);
/* Two functions with a BAR of 256 bytes each, "small0" and "small1", in the lab's empty slot; and out again. */
void node_plug_small(void);
void node_pull_small(void);

/* Right after the end of an edu's driver: all of it is gone, the next one finds it as it must be. */
void node_check_over(struct node *node, const char *kind);
/* A descriptor whose device is gone: every call fails with ENODEV, poll() says POLLHUP. */
void node_check_dead(int fd);

/* Attribute of the node in sysfs, "" if there is none; and as a number. */
const char *node_attribute(const struct node *node, const char *name);
long long node_number(const struct node *node, const char *name);
/* Attribute of the PCI device as a number (any base), -1 if there is none. */
long long node_pci_number(const struct node *node, const char *name);
/* Config space through sysfs. */
uint32_t node_config(const struct node *node, unsigned int offset, unsigned int width);
void node_config_write(const struct node *node, unsigned int offset, unsigned int width,
		       uint32_t value);
static inline bool node_master(const struct node *node)
{
	return node_config(node, 4, 2) >> 2 & 1;
}
/* First capability of a kind in the list at 0x34, 0 if none. Extended: in the list at 0x100. */
unsigned int node_capability(const struct node *node, unsigned int id);
unsigned int node_extended_capability(const struct node *node, unsigned int id);

/* The struct of a call, ready but for its own fields: struct udrv_ioc_x x = NODE_ARG(x); */
#define NODE_ARG(variable) { .size = sizeof(variable) }

struct udrv_ioc_region_info node_region(const struct node *node, unsigned int index);
struct udrv_ioc_device_info node_info(const struct node *node);
struct udrv_ioc_irq_info node_irq_info(const struct node *node, unsigned int vector);
int node_bus_master(const struct node *node, bool enable);
int node_irq_setup(const struct node *node, unsigned int kind, unsigned int count);
int node_irq_mask(const struct node *node, unsigned int vector, unsigned int count);
int node_irq_unmask(const struct node *node, unsigned int vector, unsigned int count);
int node_irq_attach(const struct node *node, unsigned int vector, int eventfd);
int node_irq_detach(const struct node *node, unsigned int vector);
int node_dma_mask(const struct node *node, unsigned int bits);
int node_dma_alloc(const struct node *node, uint64_t length, struct udrv_ioc_dma_alloc *buffer);
int node_dma_free(const struct node *node, uint32_t handle);
int node_dma_map(const struct node *node, const void *address, uint64_t length,
		 unsigned int direction, struct udrv_dma_segment *segments, uint32_t *count,
		 uint32_t *handle);
int node_dma_unmap(const struct node *node, uint32_t handle);
int node_dma_sync(const struct node *node, uint32_t handle, unsigned int to, uint64_t offset,
		  uint64_t length);

/* Registers through the mapping of BAR 0. */
static inline uint32_t node_read32(const struct node *node, unsigned int offset)
{
	return *(volatile uint32_t *)(node->bar0 + offset);
}

static inline void node_write32(const struct node *node, unsigned int offset, uint32_t value)
{
	*(volatile uint32_t *)(node->bar0 + offset) = value;
}

/*
 * edu, QEMU's teaching device: docs/specs/edu. Its DMA engine has a buffer of 4 KiB and runs 100 ms
 * after it is told to; leaving the buffer's bounds ends QEMU.
 */
#define EDU_ID 0x00
#define EDU_ID_VALUE 0x010000edU
#define EDU_LIVE 0x04
#define EDU_FACTORIAL 0x08
#define EDU_STATUS 0x20
#define EDU_IRQ_STATUS 0x24
#define EDU_IRQ_RAISE 0x60
#define EDU_IRQ_ACK 0x64
#define EDU_DMA_SRC 0x80
#define EDU_DMA_DST 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_CMD 0x98
#define EDU_DMA_RUN 1U
#define EDU_DMA_FROM_DEVICE 2U
#define EDU_DMA_IRQ 4U
#define EDU_BUFFER 0x40000U
#define EDU_BUFFER_BYTES 4096U

static inline void edu_raise(const struct node *node, uint32_t bits)
{
	node_write32(node, EDU_IRQ_RAISE, bits);
}

static inline void edu_ack(const struct node *node)
{
	node_write32(node, EDU_IRQ_ACK, ~0U);
}

/* Start a transfer between memory at @iova and @offset in the device's buffer, clear of its last byte. */
void edu_dma_start(const struct node *node, bool from_device, uint64_t iova, unsigned int offset,
		   unsigned int length, bool interrupt);
void edu_dma_wait(const struct node *node);
/* Start, and wait for its end. */
void edu_dma(const struct node *node, bool from_device, uint64_t iova, unsigned int offset,
	     unsigned int length);

#endif
