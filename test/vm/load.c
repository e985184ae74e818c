// SPDX-License-Identifier: MIT
/*
 * load.c - an edu under load: threads that use every kind of call until the device is gone
 *
 * Some wait, some work as fast as they can; each ends when it is told that the device is gone, in
 * the way that its call tells, and any other error is a failure. Owns the threads, not the device.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)

/* ---- threads that wait ---- */

static void *read_dies(void *arg)
{
	struct load *load = arg;
	struct udrv_irq_record record;
	ssize_t length;

	while ((length = read(load->node->fd, &record, sizeof(record))) == sizeof(record))
		edu_ack(load->node);
	CHECK_EQ(length, -1);
	CHECK_EQ(errno, ENODEV);
	return NULL;
}

static void *poll_dies(void *arg)
{
	struct load *load = arg;
	struct pollfd wait = { .fd = load->node->fd, .events = 0 };

	CHECK_EQ(poll(&wait, 1, -1), 1);
	CHECK_EQ(wait.revents & ~POLLERR, POLLHUP);
	return NULL;
}

static void *epoll_dies(void *arg)
{
	struct load *load = arg;
	struct epoll_event event = { .events = EPOLLET };
	int set = epoll_create1(EPOLL_CLOEXEC);

	REQUIRE_OK(set);
	REQUIRE_OK(epoll_ctl(set, EPOLL_CTL_ADD, load->node->fd, &event));
	do {
		CHECK_EQ(epoll_wait(set, &event, 1, -1), 1);
	} while (!(event.events & EPOLLHUP));
	close(set);
	return NULL;
}

/* ---- threads that work ---- */

static void did(struct load *load, unsigned int worker)
{
	__atomic_add_fetch(&load->rounds[worker], 1, __ATOMIC_SEQ_CST);
}

/* A register that never gets the value: 100 ms in the kernel each time. */
static void *programs(void *arg)
{
	struct load *load = arg;
	struct udrv_prog_op op = { .op = UDRV_PROG_POLL,
				   .width = 4,
				   .mask = ~0U,
				   .value = 1,
				   .timeout_us = UDRV_PROG_MAX_US };
	struct udrv_ioc_prog_run run = NODE_ARG(run);

	run.count = 1;
	run.ops = (uintptr_t)&op;
	while (ioctl(load->node->fd, UDRV_IOC_PROG_RUN, &run) && errno == ETIMEDOUT)
		did(load, 0);
	CHECK_EQ(errno, ENODEV);
	return NULL;
}

static void *look(void *arg)
{
	struct load *load = arg;
	uint32_t value;

	while ((value = node_read32(load->node, EDU_ID)) == EDU_ID_VALUE)
		did(load, 1);
	CHECK_EQ(value, ~0U);
	return NULL;
}

static void *access_by_call(void *arg)
{
	struct load *load = arg;
	uint32_t value;

	while (pread(load->node->fd, &value, 4, load->registers) == 4) {
		CHECK_EQ(value, EDU_ID_VALUE);
		did(load, 2);
	}
	CHECK_EQ(errno, ENODEV);
	return NULL;
}

static void *views(void *arg)
{
	struct load *load = arg;

	for (;;) {
		volatile uint32_t *view =
			mmap(NULL, PAGE, RW, MAP_SHARED, load->node->fd, load->registers);

		if (view == MAP_FAILED)
			break;
		CHECK(*view == EDU_ID_VALUE || *view == ~0U);
		CHECK_OK(munmap((void *)view, PAGE));
		did(load, 3);
	}
	CHECK_EQ(errno, ENODEV);
	return NULL;
}

static void *mappings(void *arg)
{
	struct load *load = arg;
	uint8_t *memory = aligned_alloc(PAGE, 4 * PAGE);
	int result;

	memset(memory, 1, 4 * PAGE);
	do {
		struct udrv_dma_segment segments[4];
		uint32_t count = 4, handle;

		result = node_dma_map(load->node, memory, 4 * PAGE, UDRV_DMA_BIDIRECTIONAL,
				      segments, &count, &handle);
		if (!result)
			result = node_dma_unmap(load->node, handle);
		did(load, 4);
	} while (!result);
	CHECK_EQ(errno, ENODEV);
	return NULL;
}

static void *buffers(void *arg)
{
	struct load *load = arg;
	struct udrv_ioc_dma_alloc buffer;
	int result;

	do {
		result = node_dma_alloc(load->node, 4 * PAGE, &buffer);
		if (!result)
			result = node_dma_free(load->node, buffer.handle);
		did(load, 5);
	} while (!result);
	CHECK_EQ(errno, ENODEV);
	return NULL;
}

/* Both ways in turn, an interrupt at the end of each. */
static void *transfers(void *arg)
{
	struct load *load = arg;
	uint64_t iova = load->iova;

	for (unsigned int i = 0;; i++) {
		uint32_t command;

		while ((command = node_read32(load->node, EDU_DMA_CMD)) != ~0U &&
		       command & EDU_DMA_RUN)
			os_sleep_us(500);
		if (command == ~0U)
			break;
		*(volatile uint64_t *)(load->node->bar0 + EDU_DMA_SRC) = i & 1 ? EDU_BUFFER : iova;
		*(volatile uint64_t *)(load->node->bar0 + EDU_DMA_DST) = i & 1 ? iova : EDU_BUFFER;
		node_write32(load->node, EDU_DMA_COUNT, 4000);
		node_write32(load->node, EDU_DMA_CMD,
			     EDU_DMA_RUN | EDU_DMA_IRQ | (i & 1 ? EDU_DMA_FROM_DEVICE : 0));
		did(load, 6);
	}
	return NULL;
}

/* ---- all of them ---- */

static void *(*const threads[LOAD_THREADS])(void *) = {
	programs, look,	     access_by_call, views,	mappings,
	buffers,  transfers, read_dies,	     poll_dies, epoll_dies,
};
#define WORKERS 7

void load_start(struct load *load, struct node *node, uint64_t iova)
{
	memset(load, 0, sizeof(*load));
	load->node = node;
	load->iova = iova;
	load->registers = node_region(node, 0).offset;
	for (int i = 0; i < LOAD_THREADS; i++)
		os_thread_start(&load->threads[i], threads[i], load);
	for (int i = 0; i < WORKERS; i++)
		REQUIRE(OS_WAIT_FOR(__atomic_load_n(&load->rounds[i], __ATOMIC_SEQ_CST) > 1,
				    30000));
}

void load_join(struct load *load)
{
	for (int i = 0; i < LOAD_THREADS; i++)
		os_thread_join(&load->threads[i]);
}
