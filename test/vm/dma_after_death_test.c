// SPDX-License-Identifier: MIT
/*
 * dma_after_death_test.c - a transfer that a dead driver began does not reach the memory's next
 * owner
 *
 * edu begins to copy 100 ms after it is told to. Its driver tells it to write to the driver's own
 * memory, and is killed at once: the pages go back to the system and are somebody else's when the
 * engine runs. That somebody is this test. It takes free memory until it has got the very frame
 * that the device was told to write to, fills it with a pattern, lets the engine's time pass, and
 * looks.
 *
 * The hard part is to know that all of this was so: frames are compared (pagemap), the pattern must
 * be there before the engine can have run (the clock: a timer is never early), and the engine must
 * have run before the pattern is looked at and before the node is opened again, for opening turns
 * bus mastering off too (its command bit: a timer may be late). A round in which it was not so says
 * nothing, and is not counted.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define ENGINE_NS 100000000ULL
#define LENGTH 4000U /* of a transfer */
#define VICTIM 0x11
#define DEVICE 0x22
#define POISON 0x5a
#define WANTED 3 /* rounds that count */
#define ROUNDS 100
#define CPUS_MAX 8U
#define BATCH 64U
#define BATCHES 256U /* 64 MiB for each CPU at most */
#define BUFFERS 256U

static struct node edu;

/* What the driver leaves of itself. */
static struct will {
	uint64_t started_ns;
	uint64_t frame; /* that the device will write to; 0: not known */
} *will;

enum target { STREAMING, CONSISTENT };

static bool translated(void)
{
	return node_info(&edu).state & UDRV_DEVICE_IOMMU;
}

/* In a child that is killed by its last line. */
static void drive(enum target target)
{
	struct udrv_ioc_dma_alloc buffer;
	struct udrv_dma_segment segment;
	uint32_t count = 1, handle;
	uint8_t *memory, *view;

	node_open_mapped(&edu, "edu");
	REQUIRE_OK(node_bus_master(&edu, true));
	edu_dma_wait(&edu);
	REQUIRE_OK(node_dma_alloc(&edu, PAGE, &buffer));
	view = mmap(NULL, PAGE, RW, MAP_SHARED, edu.fd, buffer.offset);
	memory = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(view != MAP_FAILED && memory != MAP_FAILED);
	memset(memory, VICTIM, PAGE);
	REQUIRE_OK(node_dma_map(&edu, memory, PAGE, UDRV_DMA_BIDIRECTIONAL, &segment, &count,
				&handle));
	/* The device has the pattern by which its writes are known. */
	memset(view, DEVICE, PAGE);
	edu_dma(&edu, false, buffer.iova, 0, LENGTH);
	memset(view, VICTIM, PAGE);
	if (target == STREAMING)
		os_frames(memory, 1, &will->frame);
	else
		will->frame = translated() ? 0 : buffer.iova / PAGE;
	REQUIRE(target == CONSISTENT || will->frame);
	will->started_ns = os_now_ns();
	edu_dma_start(&edu, true, target == STREAMING ? segment.iova : buffer.iova, 0, LENGTH,
		      false);
	kill(getpid(), SIGKILL);
}

/* ---- the memory's next owner ---- */

/*
 * Pages of a process go back to where processes' pages come from, on the CPU where that happened; a
 * buffer's to where the kernel's own come from. So there are takers of memory on each CPU, and one
 * who is another device's driver and takes buffers.
 */
static struct taker {
	struct os_thread thread;
	unsigned int cpu;
	uint8_t *memory;
	size_t pages;
} takers[CPUS_MAX];
static struct node other;
static uint8_t *buffers[BUFFERS];
static unsigned int buffer_count;
static bool found;

static bool go_on(void)
{
	return !__atomic_load_n(&found, __ATOMIC_SEQ_CST) &&
	       os_now_ns() < will->started_ns + ENGINE_NS;
}

static void *take(void *arg)
{
	struct taker *taker = arg;
	uint64_t frames[BATCH];

	os_run_on(taker->cpu);
	for (unsigned int n = 0; n < BATCHES && go_on(); n++) {
		uint8_t *batch = taker->memory + n * BATCH * PAGE;

		memset(batch, POISON, BATCH * PAGE);
		taker->pages += BATCH;
		os_frames(batch, BATCH, frames);
		for (unsigned int i = 0; i < BATCH; i++)
			if (frames[i] == will->frame)
				__atomic_store_n(&found, true, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void take_pages(unsigned int cpus)
{
	for (unsigned int i = 0; i < cpus; i++) {
		takers[i].cpu = i;
		takers[i].pages = 0;
		os_thread_start(&takers[i].thread, take, &takers[i]);
	}
	for (unsigned int i = 0; i < cpus; i++)
		os_thread_join(&takers[i].thread);
}

static void take_buffers(void)
{
	for (buffer_count = 0; buffer_count < BUFFERS && go_on(); buffer_count++) {
		struct udrv_ioc_dma_alloc buffer;

		REQUIRE_OK(node_dma_alloc(&other, PAGE, &buffer));
		buffers[buffer_count] = mmap(NULL, PAGE, RW, MAP_SHARED, other.fd, buffer.offset);
		REQUIRE(buffers[buffer_count] != MAP_FAILED);
		memset(buffers[buffer_count], POISON, PAGE);
		found = will->frame == buffer.iova / PAGE;
	}
}

static void check_intact(const uint8_t *page)
{
	for (unsigned int i = 0; i < PAGE; i++)
		if (page[i] != POISON) {
			CHECK_EQ(page[i], POISON);
			break;
		}
}

/* One death. Returns whether it says anything. */
static bool round_counts(enum target target, unsigned int cpus)
{
	bool in_time, had_run;
	pid_t child;

	found = false;
	child = fork();
	if (child == 0)
		drive(target);
	os_wait_child(child);
	if (target == STREAMING)
		take_pages(cpus);
	else
		take_buffers();
	in_time = os_now_ns() < will->started_ns + ENGINE_NS;

	/* Nothing tells that the engine has run that would not turn bus mastering off as well. */
	while (os_now_ns() < will->started_ns + 2 * ENGINE_NS)
		os_sleep_us(10000);
	node_open_mapped(&edu, "edu");
	had_run = !(node_read32(&edu, EDU_DMA_CMD) & EDU_DMA_RUN);
	edu_dma_wait(&edu);
	node_close(&edu);
	return had_run && in_time && (found || !will->frame);
}

static void after_death(enum target target)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int counted = 0, rounds = 0;

	REQUIRE(cpus >= 1 && cpus <= CPUS_MAX);
	os_run_on(0);
	will = mmap(NULL, sizeof(*will), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(will != MAP_FAILED);
	for (; rounds < ROUNDS && counted < WANTED; rounds++) {
		for (long i = 0; i < cpus; i++) {
			takers[i].memory = mmap(NULL, BATCHES * BATCH * PAGE, RW,
						MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			REQUIRE(takers[i].memory != MAP_FAILED);
			REQUIRE_OK(madvise(takers[i].memory, BATCHES * BATCH * PAGE,
					   MADV_NOHUGEPAGE));
		}
		node_open(&other, "edu28");
		counted += round_counts(target, cpus);
		for (unsigned int i = 0; i < buffer_count; i++) {
			check_intact(buffers[i]);
			REQUIRE_OK(munmap(buffers[i], PAGE));
		}
		buffer_count = 0;
		node_close(&other);
		for (long i = 0; i < cpus; i++) {
			for (size_t page = 0; page < takers[i].pages; page++)
				check_intact(takers[i].memory + page * PAGE);
			takers[i].pages = 0;
			REQUIRE_OK(munmap(takers[i].memory, BATCHES * BATCH * PAGE));
		}
	}
	tap_note("%d of %d rounds count%s", counted, rounds,
		 will->frame ? ": the device was to write to a frame that was ours by then" :
			       "; behind an IOMMU nobody tells which frames a buffer has");
	CHECK_EQ(counted, WANTED);
	CHECK_EQ(os_pinned_pages(), 0);
}

static void own_pages(void)
{
	tap_step("what were the driver's own pages, mapped for DMA, is left alone");
	after_death(STREAMING);
}

static void buffer(void)
{
	tap_step("what was a buffer of the kernel's is left alone");
	after_death(CONSISTENT);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST_LONG(own_pages, 240),
		TAP_TEST_LONG(buffer, 240),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
