// SPDX-License-Identifier: MIT
/*
 * node_end.c - what must hold once a driver has ended, or has lost its device
 *
 * Two questions: is a descriptor dead for good (every call, each of them valid but for the device),
 * and is the node free with nothing left of whoever had it. Owns no state; the hard part of the
 * first is to have no call that fails for a reason of its own.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

void node_check_dead(int fd)
{
	static const struct {
		unsigned int cmd, size;
	} calls[] = {
		{ UDRV_IOC_DEVICE_INFO, 72 }, { UDRV_IOC_DEVICE_BUS_MASTER, 16 },
		{ UDRV_IOC_DEVICE_RESET, 8 }, { UDRV_IOC_REGION_INFO, 56 },
		{ UDRV_IOC_IRQ_SETUP, 16 },   { UDRV_IOC_IRQ_INFO, 40 },
		{ UDRV_IOC_IRQ_MASK, 16 },    { UDRV_IOC_IRQ_UNMASK, 16 },
		{ UDRV_IOC_IRQ_ATTACH, 16 },  { UDRV_IOC_IRQ_DETACH, 16 },
		{ UDRV_IOC_PROG_SET, 24 },    { UDRV_IOC_PROG_RUN, 32 },
		{ UDRV_IOC_DMA_MASK, 16 },    { UDRV_IOC_DMA_ALLOC, 40 },
		{ UDRV_IOC_DMA_FREE, 16 },    { UDRV_IOC_DMA_MAP, 48 },
		{ UDRV_IOC_DMA_UNMAP, 16 },   { UDRV_IOC_DMA_SYNC, 32 },
	};
	static const struct udrv_prog_op op = { .op = UDRV_PROG_READ, .width = 4 };
	static uint8_t memory[PAGE];
	struct udrv_dma_segment segment;
	int event = eventfd(0, EFD_CLOEXEC);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint8_t value[64];

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		uint64_t arg[9] = { calls[i].size };

		switch (calls[i].cmd) {
		case UDRV_IOC_IRQ_SETUP:
			arg[1] = UDRV_IRQ_INTX | 1ULL << 32;
			break;
		case UDRV_IOC_IRQ_MASK:
		case UDRV_IOC_IRQ_UNMASK:
			arg[1] = 1ULL << 32;
			break;
		case UDRV_IOC_IRQ_ATTACH:
			arg[1] = (uint64_t)event << 32;
			break;
		case UDRV_IOC_IRQ_DETACH:
			arg[1] = 0xffffffffULL << 32;
			break;
		case UDRV_IOC_PROG_SET:
			arg[1] = UDRV_PROG_QUIESCE; /* none */
			break;
		case UDRV_IOC_PROG_RUN:
			arg[1] = 1;
			arg[2] = (uintptr_t)&op;
			break;
		case UDRV_IOC_DMA_MASK:
			arg[1] = 32;
			break;
		case UDRV_IOC_DMA_ALLOC:
			arg[1] = PAGE;
			break;
		case UDRV_IOC_DMA_MAP:
			arg[1] = (uintptr_t)memory;
			arg[2] = PAGE;
			arg[3] = (uintptr_t)&segment;
			arg[4] = 1 | (uint64_t)UDRV_DMA_TO_DEVICE << 32;
			break;
		case UDRV_IOC_DMA_SYNC:
			arg[1] = 1 | (uint64_t)UDRV_DMA_SYNC_FOR_CPU << 32;
			arg[3] = 1;
			break;
		}
		if (!CHECK_ERROR(ioctl(fd, calls[i].cmd, arg), ENODEV))
			tap_note("call %#x", calls[i].cmd);
	}
	close(event);
	CHECK_ERROR(read(fd, value, 24), ENODEV);
	CHECK_ERROR(read(fd, value, 4), ENODEV);
	for (uint64_t n = 0; n < UDRV_REGION_COUNT; n += UDRV_REGION_CONFIG) {
		CHECK_ERROR(pread(fd, value, 4, (n + 1) << 40), ENODEV);
		CHECK_ERROR(pwrite(fd, value, 4, (n + 1) << 40), ENODEV);
	}
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 1ULL << 40) == MAP_FAILED);
	CHECK_EQ(errno, ENODEV);
	CHECK_EQ(poll(&wait, 1, 0), 1);
	CHECK(wait.revents & POLLHUP);
	CHECK(!(wait.revents & POLLIN));
}

void node_check_over(struct node *node, const char *kind)
{
	char line[256];

	node_get(node, kind);
	CHECK_EQ(node_number(node, "owner"), 0);
	CHECK_EQ(node_master(node), 0);
	if (!CHECK_EQ(os_interrupts("udrv", line, sizeof(line)), 0))
		tap_note("%s", line);
	CHECK_EQ(os_pinned_pages(), 0);
	node_open_mapped(node, kind);
	CHECK_EQ(node_read32(node, EDU_ID), EDU_ID_VALUE);
	CHECK_EQ(node_irq_info(node, 0).kind, UDRV_IRQ_NONE);
	CHECK_EQ(node_number(node, "dma_consistent"), 0);
	CHECK_EQ(node_number(node, "dma_streaming"), 0);
	CHECK_EQ(node_info(node).state & UDRV_DEVICE_BUS_MASTER, 0);
	node_close(node);
}
