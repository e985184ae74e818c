// SPDX-License-Identifier: MIT
/*
 * torture_test.c - the worst that a driver and its device can do, again and again
 *
 * Drivers that are killed at work, a device that is pulled out under load and plugged in again, a
 * device that is unbound while others open it, map it and read it. As many rounds as UDRV_LIVES,
 * UDRV_PULLS and UDRV_UNBINDS say (5; test/torture has the real numbers).
 * Nothing may add up: memory is compared with what it was after some rounds to warm up. Device
 * sets: edu; hotplug.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"
#include "memory.h"
#include "node.h"
#include "os.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define WARM_UP 3U

static unsigned int rounds_of(const char *variable)
{
	return os_times(variable, 5);
}

/* @what so many times; memory is looked at before and after. */
static void again_and_again(unsigned int rounds, void (*what)(unsigned int round))
{
	static struct memory_state before;

	tap_step("%u rounds, after %u to warm up", rounds, WARM_UP);
	for (unsigned int i = 0; i < WARM_UP; i++)
		what(i);
	memory_read(&before);
	for (unsigned int i = 0; i < rounds; i++)
		what(i);
	tap_step("memory is as it was");
	memory_check(&before, rounds);
}

/* Ready to be loaded: all that a driver holds, and a page that the device may read and write. */
static uint64_t take_all(struct node *node, const char *kind, unsigned int round)
{
	struct udrv_ioc_dma_alloc buffer;
	struct udrv_dma_segment segments[16];
	uint32_t count = 16, handle;
	uint8_t *view, *memory;

	node_open_mapped(node, kind);
	edu_dma_wait(node); /* of the one before it, which goes nowhere while we wait */
	REQUIRE_OK(node_bus_master(node, true));
	REQUIRE_EQ(node_irq_setup(node, round % 2 ? UDRV_IRQ_MSI : UDRV_IRQ_INTX, 1), 1);
	REQUIRE_OK(node_dma_alloc(node, 4 * PAGE, &buffer));
	view = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, node->fd, buffer.offset);
	memory = mmap(NULL, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(view != MAP_FAILED && memory != MAP_FAILED);
	memset(view, 0x11, 4 * PAGE);
	REQUIRE_OK(node_dma_map(node, memory, 16 * PAGE, UDRV_DMA_BIDIRECTIONAL, segments, &count,
				&handle));
	return round % 4 < 2 ? buffer.iova : segments[0].iova;
}

/* ---- killed at work ---- */

static struct node edu;

static void life(unsigned int round)
{
	int ready[2];
	pid_t child;
	char byte;

	REQUIRE_OK(pipe(ready));
	child = fork();
	if (child == 0) {
		static struct load load;

		load_start(&load, &edu, take_all(&edu, "edu", round));
		REQUIRE_EQ(write(ready[1], "x", 1), 1);
		pause();
	}
	close(ready[1]);
	REQUIRE_EQ(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	REQUIRE_OK(kill(child, SIGKILL));
	CHECK(WIFSIGNALED(os_wait_child(child)));
	node_get(&edu, "edu");
	CHECK_EQ(node_master(&edu), 0);
	CHECK_EQ(node_number(&edu, "owner"), 0);
	CHECK_EQ(os_pinned_pages(), 0);
}

static void lives(void)
{
	again_and_again(rounds_of("UDRV_LIVES"), life);
	node_check_over(&edu, "edu");
}

/* ---- pulled out under load ---- */

/* In a child: what it holds is gone with it. */
static void pull(unsigned int round)
{
	struct node hot;
	pid_t child = fork();

	if (child == 0) {
		static struct load load;

		load_start(&load, &hot, take_all(&hot, "hot", round));
		node_pull(&hot);
		load_join(&load);
		node_check_dead(hot.fd);
		_exit(0);
	}
	OS_CHILD_OK(child);
	node_plug(&hot);
}

static void pulls(void)
{
	struct node hot;

	node_get(&hot, "hot");
	again_and_again(rounds_of("UDRV_PULLS"), pull);
	node_open_mapped(&hot, "hot");
	CHECK_EQ(node_read32(&hot, EDU_ID), EDU_ID_VALUE);
	node_close(&hot);
}

/* ---- unbound while others come and go ---- */

static bool stop;
static unsigned long opened;

/* One short life, which may end at any point. */
static void come_and_go(void)
{
	static uint8_t memory[PAGE] __attribute__((aligned(4096)));
	struct udrv_ioc_region_info region = NODE_ARG(region);
	struct udrv_dma_segment segment;
	struct node node = edu;
	uint32_t value, count = 1, handle;
	volatile uint32_t *view;
	uint8_t record[24];

	node.fd = open(node.path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (node.fd < 0) {
		CHECK(errno == EBUSY || errno == ENOENT || errno == ENODEV || errno == ENXIO);
		return;
	}
	if (ioctl(node.fd, UDRV_IOC_REGION_INFO, &region))
		goto gone;
	view = mmap(NULL, PAGE, RW, MAP_SHARED, node.fd, region.offset);
	if (view == MAP_FAILED)
		goto gone;
	CHECK(*view == EDU_ID_VALUE || *view == ~0U);
	if (pread(node.fd, &value, 4, region.offset) != 4)
		goto gone_mapped;
	CHECK_EQ(value, EDU_ID_VALUE);
	if (node_bus_master(&node, true) || read(node.fd, record, sizeof(record)) >= 0)
		goto gone_mapped;
	if (errno != EAGAIN)
		goto gone_mapped;
	if (node_dma_map(&node, memory, PAGE, UDRV_DMA_BIDIRECTIONAL, &segment, &count, &handle) ||
	    node_dma_unmap(&node, handle))
		goto gone_mapped;
	errno = ENODEV;
	__atomic_add_fetch(&opened, 1, __ATOMIC_SEQ_CST);
gone_mapped:
	CHECK_EQ(errno, ENODEV);
	CHECK_OK(munmap((void *)view, PAGE));
	errno = ENODEV;
gone:
	CHECK_EQ(errno, ENODEV);
	CHECK_OK(close(node.fd));
}

static void *comes_and_goes(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		come_and_go();
	return NULL;
}

static void unbind(unsigned int round)
{
	enum { THREADS = 3 };
	struct os_thread threads[THREADS];

	node_bind(&edu);
	__atomic_store_n(&stop, false, __ATOMIC_SEQ_CST);
	__atomic_store_n(&opened, 0, __ATOMIC_SEQ_CST);
	for (int i = 0; i < THREADS; i++)
		os_thread_start(&threads[i], comes_and_goes, NULL);
	/* At another moment each time. */
	REQUIRE(OS_WAIT_FOR(__atomic_load_n(&opened, __ATOMIC_SEQ_CST) > round % 5, 30000));
	node_unbind(&edu);
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	for (int i = 0; i < THREADS; i++)
		os_thread_join(&threads[i]);
}

static void unbinds(void)
{
	node_get(&edu, "edu");
	again_and_again(rounds_of("UDRV_UNBINDS"), unbind);
	node_bind(&edu);
	node_check_over(&edu, "edu");
}

int main(int argc, char **argv)
{
	const struct tap_test tests[] = {
		TAP_TEST_LONG(lives, 120 + 10 * rounds_of("UDRV_LIVES")),
		TAP_TEST_LONG(pulls, 120 + 20 * rounds_of("UDRV_PULLS")),
		TAP_TEST_LONG(unbinds, 120 + 10 * rounds_of("UDRV_UNBINDS")),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
