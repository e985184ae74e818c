// SPDX-License-Identifier: MIT
/*
 * dma_pin_test.c - pinned pages: how long they stay, and that they always go back
 *
 * A mapping outlives what the process does to the memory meanwhile: fork, unmap, map it twice. Every
 * page that was pinned is unpinned, whether by unmap, by close or by the end of the process; the
 * kernel's own counters say so. The hard part is to know that the device still reaches the old page,
 * and nobody else does.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)

static struct node edu;

static void begin(void)
{
	node_open_mapped(&edu, "edu");
	REQUIRE_OK(node_bus_master(&edu, true));
}

static uint8_t *pages(unsigned int number)
{
	uint8_t *memory = mmap(NULL, number * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(memory != MAP_FAILED);
	memset(memory, 0x10, number * PAGE);
	return memory;
}

/* A page, or part of one: always one segment. */
static uint32_t map(const void *memory, unsigned int length, unsigned int direction, uint64_t *iova)
{
	struct udrv_dma_segment segment;
	uint32_t count = 1, handle;

	REQUIRE_OK(node_dma_map(&edu, memory, length, direction, &segment, &count, &handle));
	CHECK_EQ(segment.length, length);
	*iova = segment.iova;
	return handle;
}

static void fill(uint8_t *bytes, size_t length, unsigned int seed)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = seed = seed * 1103515245 + 12345 + (seed >> 16);
}

/* After fork the parent's page must stay the device's page, although both processes write. */
static void across_fork(void)
{
	uint8_t *memory, wanted[2000];
	uint64_t iova;
	uint32_t handle;
	int go[2], done[2];
	char byte = 0;
	pid_t child;

	begin();
	for (unsigned int d = UDRV_DMA_TO_DEVICE; d <= UDRV_DMA_BIDIRECTIONAL; d += 2) {
		tap_step("the device reads what the parent writes (direction %u)", d);
		REQUIRE_OK(pipe(go));
		REQUIRE_OK(pipe(done));
		memory = pages(1);
		handle = map(memory, sizeof(wanted), d, &iova);
		child = fork();
		if (child == 0) {
			REQUIRE_EQ(read(go[0], &byte, 1), 1);
			CHECK_EQ(memory[0], 0x10); /* its own copy, from before */
			memset(memory, 0xcc, PAGE);
			REQUIRE_EQ(write(done[1], "x", 1), 1);
			REQUIRE_EQ(read(go[0], &byte, 1), 1);
			for (unsigned int i = 0; i < PAGE; i += 64)
				CHECK_EQ(memory[i], 0xcc);
			_exit(0);
		}
		fill(memory, sizeof(wanted), d);
		memcpy(wanted, memory, sizeof(wanted));
		REQUIRE_EQ(write(go[1], "x", 1), 1);
		REQUIRE_EQ(read(done[0], &byte, 1), 1);
		CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_DEVICE, 0, sizeof(wanted)));
		edu_dma(&edu, false, iova, 0, sizeof(wanted));
		if (d == UDRV_DMA_BIDIRECTIONAL) {
			tap_step("the device writes to the parent's page alone");
			memset(memory, 0, sizeof(wanted));
			CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_DEVICE, 0,
					       sizeof(wanted)));
			edu_dma(&edu, true, iova, 0, sizeof(wanted));
			CHECK_OK(node_dma_unmap(&edu, handle));
			CHECK_MEM(memory, wanted, sizeof(wanted));
		} else {
			CHECK_OK(node_dma_unmap(&edu, handle));
			/* What it has read, read back. */
			memset(memory, 0, PAGE);
			handle = map(memory, sizeof(wanted), UDRV_DMA_FROM_DEVICE, &iova);
			edu_dma(&edu, true, iova, 0, sizeof(wanted));
			CHECK_OK(node_dma_unmap(&edu, handle));
			CHECK_MEM(memory, wanted, sizeof(wanted));
		}
		REQUIRE_EQ(write(go[1], "x", 1), 1);
		OS_CHILD_OK(child);
		munmap(memory, PAGE);
	}
	CHECK_EQ(os_pinned_pages(), 0);
	node_close(&edu);
}

static void mapped_twice(void)
{
	uint8_t *memory = pages(1), *other = pages(1);
	uint64_t first_iova, second_iova, iova;
	uint32_t first, second, handle;
	/* Two at a time by which a device may write are the driver's affair, but DMA-API debug warns of them. */
	bool watched = !access("/sys/kernel/debug/dma-api", F_OK);

	begin();
	tap_step("two handles for one page: the device reaches it by both");
	first = map(memory, 1000, watched ? UDRV_DMA_TO_DEVICE : UDRV_DMA_BIDIRECTIONAL, &first_iova);
	second = map(memory, 1000, UDRV_DMA_BIDIRECTIONAL, &second_iova);
	CHECK_NE(first, second);
	CHECK_EQ(node_number(&edu, "dma_streaming"), 2000);
	CHECK_EQ(os_status_kib("VmLck"), 8);
	fill(memory, 1000, 1);
	CHECK_OK(node_dma_sync(&edu, first, UDRV_DMA_SYNC_FOR_DEVICE, 0, 1000));
	edu_dma(&edu, false, first_iova, 0, 1000);
	tap_step("one is unmapped, the other works");
	CHECK_OK(node_dma_unmap(&edu, first));
	CHECK_GT(os_pinned_pages(), 0);
	fill(memory, 1000, 2);
	CHECK_OK(node_dma_sync(&edu, second, UDRV_DMA_SYNC_FOR_DEVICE, 0, 1000));
	edu_dma(&edu, false, second_iova, 0, 1000);
	handle = map(other, 1000, UDRV_DMA_FROM_DEVICE, &iova);
	edu_dma(&edu, true, iova, 0, 1000);
	CHECK_OK(node_dma_unmap(&edu, handle));
	CHECK_MEM(other, memory, 1000);
	tap_step("the device writes by the other");
	memset(memory, 0, 1000);
	CHECK_OK(node_dma_sync(&edu, second, UDRV_DMA_SYNC_FOR_DEVICE, 0, 1000));
	edu_dma(&edu, true, second_iova, 0, 1000);
	CHECK_OK(node_dma_unmap(&edu, second));
	CHECK_MEM(memory, other, 1000);
	CHECK_EQ(os_pinned_pages(), 0);
	node_close(&edu);
}

/* The memory is unmapped, and its address used again: the pages stay pinned, the device's. */
static void unmapped_meanwhile(void)
{
	uint8_t *memory = pages(1), *again;
	uint64_t iova;
	uint32_t handle;

	begin();
	fill(memory, 1000, 6);
	tap_step("the process unmaps, the device still writes to the old page only");
	handle = map(memory, 1000, UDRV_DMA_BIDIRECTIONAL, &iova);
	edu_dma(&edu, false, iova, 0, 1000);
	CHECK_OK(munmap(memory, PAGE));
	again = mmap(memory, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	REQUIRE(again == memory);
	memset(again, 0x77, PAGE);
	edu_dma(&edu, true, iova, 0, 1000);
	CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_CPU, 0, 1000));
	CHECK_GT(os_pinned_pages(), 0);
	CHECK_OK(node_dma_unmap(&edu, handle));
	for (unsigned int i = 0; i < PAGE; i++)
		if (again[i] != 0x77)
			CHECK_EQ(again[i], 0x77);
	CHECK_EQ(os_pinned_pages(), 0);
	CHECK_EQ(os_status_kib("VmLck"), 0);
	node_close(&edu);
}

static void many(void)
{
	enum { NUMBER = 1000 };
	uint8_t *memory = pages(NUMBER);
	static uint32_t handles[NUMBER];
	uint64_t iova;
	long pinned;

	begin();
	tap_step("1000 at a time");
	for (unsigned int i = 0; i < NUMBER; i++)
		handles[i] = map(memory + i * PAGE + i, PAGE - i, UDRV_DMA_TO_DEVICE, &iova);
	CHECK_EQ(os_status_kib("VmLck"), NUMBER * 4);
	CHECK_EQ(os_pinned_pages(), NUMBER);
	tap_step("unmapped in another order");
	for (unsigned int i = 0; i < NUMBER; i++)
		CHECK_OK(node_dma_unmap(&edu, handles[i * 7 % NUMBER]));
	CHECK_EQ(os_pinned_pages(), 0);
	CHECK_EQ(os_status_kib("VmLck"), 0);
	CHECK_EQ(node_number(&edu, "dma_streaming"), 0);
	tap_step("closed over");
	for (unsigned int i = 0; i < NUMBER; i++)
		map(memory + i * PAGE, PAGE, UDRV_DMA_BIDIRECTIONAL, &iova);
	pinned = os_pinned_pages();
	CHECK_EQ(pinned, NUMBER);
	node_close(&edu);
	CHECK_EQ(os_pinned_pages(), 0);
	CHECK_EQ(os_status_kib("VmLck"), 0);
	tap_step("the memory is the process's own again");
	memset(memory, 0, NUMBER * PAGE);
	CHECK_OK(munmap(memory, NUMBER * PAGE));
}

/* As large as a driver would map at once, and the same pages again and again. */
static void large(void)
{
	enum { NUMBER = 2048 };
	static struct udrv_dma_segment segments[NUMBER];
	uint8_t *memory = pages(NUMBER);
	uint32_t count, handle;

	begin();
	for (int i = 0; i < 20; i++) {
		uint64_t sum = 0;

		tap_step("8 MiB, round %d", i);
		count = NUMBER;
		REQUIRE_OK(node_dma_map(&edu, memory, NUMBER * PAGE, UDRV_DMA_BIDIRECTIONAL,
					segments, &count, &handle));
		for (uint32_t n = 0; n < count; n++)
			sum += segments[n].length;
		CHECK_EQ(sum, NUMBER * PAGE);
		CHECK_EQ(os_pinned_pages(), NUMBER);
		memory[i * PAGE] = i;
		CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_DEVICE, 0, NUMBER * PAGE));
		CHECK_OK(node_dma_unmap(&edu, handle));
		CHECK_EQ(os_pinned_pages(), 0);
		CHECK_EQ(memory[i * PAGE], i);
	}
	node_close(&edu);
}

/* A mapping made by one process, of a descriptor that another closes last. */
static void by_another_process(void)
{
	uint64_t iova;
	pid_t child;

	begin();
	tap_step("a child maps its memory and ends");
	child = fork();
	if (child == 0) {
		uint8_t *memory = pages(1);

		map(memory, PAGE, UDRV_DMA_BIDIRECTIONAL, &iova);
		CHECK_EQ(os_status_kib("VmLck"), 4);
		_exit(0);
	}
	OS_CHILD_OK(child);
	tap_step("its page stays pinned, for the device still has it");
	CHECK_EQ(os_pinned_pages(), 1);
	CHECK_EQ(node_number(&edu, "dma_streaming"), PAGE);
	CHECK_EQ(os_status_kib("VmLck"), 0);
	tap_step("until the parent closes");
	node_close(&edu);
	CHECK_EQ(os_pinned_pages(), 0);
	CHECK_EQ(os_status_kib("VmLck"), 0);
}

/* Is a frame in the zone from which everything must be able to move away? */
static bool frame_is_movable(uint64_t frame)
{
	unsigned long start = 0, present = 0, spanned = 0;
	bool found = false, movable = false;
	char line[256];
	FILE *file = fopen("/proc/zoneinfo", "r");

	REQUIRE(file);
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "Node ", 5))
			movable = strstr(line, "Movable");
		sscanf(line, " spanned %lu", &spanned);
		sscanf(line, " present %lu", &present);
		if (movable && sscanf(line, " start_pfn: %lu", &start) == 1 && present)
			found |= frame >= start && frame < start + spanned;
	}
	fclose(file);
	return found;
}

/* Memory that must stay movable is moved before it is pinned for long. With --append=movablecore=256M. */
static void not_movable(void)
{
	enum { NUMBER = 64 };
	uint8_t *memory = pages(NUMBER);
	uint64_t frames[NUMBER], iova;
	uint32_t handles[NUMBER];
	char cmdline[2048];
	unsigned int movable = 0, i;

	REQUIRE_OK(os_read("/proc/cmdline", cmdline, sizeof(cmdline)));
	if (!strstr(cmdline, "movablecore="))
		tap_skip("there is no movable zone: movablecore= on the kernel's command line");
	begin();
	os_frames(memory, NUMBER, frames);
	for (i = 0; i < NUMBER; i++)
		movable += frame_is_movable(frames[i]);
	tap_step("%u of %u pages are in the movable zone", movable, NUMBER);
	REQUIRE(movable > 0);
	for (i = 0; i < NUMBER; i++)
		handles[i] = map(memory + i * PAGE, PAGE, UDRV_DMA_BIDIRECTIONAL, &iova);
	tap_step("none is there any more once the device has them, and they hold what they held");
	os_frames(memory, NUMBER, frames);
	for (movable = 0, i = 0; i < NUMBER; i++) {
		movable += frame_is_movable(frames[i]);
		CHECK_EQ(memory[i * PAGE], 0x10);
	}
	CHECK_EQ(movable, 0);
	for (i = 0; i < NUMBER; i++)
		CHECK_OK(node_dma_unmap(&edu, handles[i]));
	CHECK_OK(munmap(memory, NUMBER * PAGE));
	node_close(&edu);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(across_fork),
		TAP_TEST(mapped_twice),
		TAP_TEST(unmapped_meanwhile),
		TAP_TEST(many),
		TAP_TEST(large),
		TAP_TEST(by_another_process),
		TAP_TEST(not_movable),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
