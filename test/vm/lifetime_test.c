// SPDX-License-Identifier: MIT
/*
 * lifetime_test.c - the end of a driver, however it comes
 *
 * A process that holds everything ends by exit, by a signal, by kill -9, by exec, with threads that
 * wait; and everything is given back. A driver ends with its last descriptor and its last mapping, not
 * before. The hard part is DMA after death: a transfer that the device has not begun when the driver
 * dies must not reach memory any more.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define ENGINE_NS 100000000ULL /* how long edu waits before it copies */

static struct node edu;

static void *read_forever(void *arg)
{
	struct udrv_irq_record record;

	(void)arg;
	while (read(edu.fd, &record, sizeof(record)) == sizeof(record))
		edu_ack(&edu);
	return NULL;
}

static void *poll_forever(void *arg)
{
	struct pollfd wait = { .fd = edu.fd, .events = POLLIN };

	(void)arg;
	for (;;)
		poll(&wait, 1, -1);
	return NULL;
}

/* Everything that a driver can hold, in the calling process. */
static void hold_everything(unsigned int kind)
{
	struct udrv_ioc_dma_alloc buffers[3];
	struct udrv_dma_segment segments[8];
	static struct os_thread threads[2];
	uint32_t count, handle;
	int event;

	node_open_mapped(&edu, "edu");
	REQUIRE_OK(node_bus_master(&edu, true));
	REQUIRE_EQ(node_irq_setup(&edu, kind, 1), 1);
	for (int i = 0; i < 3; i++) {
		uint8_t *view;

		REQUIRE_OK(node_dma_alloc(&edu, (i + 1) * PAGE, &buffers[i]));
		view = mmap(NULL, PAGE, RW, MAP_SHARED, edu.fd, buffers[i].offset);
		REQUIRE(view != MAP_FAILED);
		memset(view, 0xdd, PAGE);
	}
	REQUIRE_OK(node_dma_free(&edu, buffers[1].handle)); /* mapped still */
	for (int i = 0; i < 8; i++) {
		uint8_t *memory = aligned_alloc(PAGE, 4 * PAGE);

		memset(memory, 0xdd, 4 * PAGE);
		count = 8;
		REQUIRE_OK(node_dma_map(&edu, memory, 4 * PAGE, UDRV_DMA_BIDIRECTIONAL, segments,
					&count, &handle));
	}
	REQUIRE_OK(event = eventfd(0, EFD_CLOEXEC));
	REQUIRE_OK(node_irq_attach(&edu, 0, event));
	REQUIRE_OK(node_irq_unmask(&edu, 0, 1));
	REQUIRE_OK(fcntl(edu.fd, F_SETOWN, getpid()));
	REQUIRE_OK(fcntl(edu.fd, F_SETFL, O_RDWR | O_ASYNC));
	os_thread_start(&threads[0], read_forever, NULL);
	os_thread_start(&threads[1], poll_forever, NULL);
	os_wait_blocked(threads[0].tid, SYS_read);
	os_wait_blocked(threads[1].tid, SYS_poll);
	/* An interrupt that is asserted and that nobody will acknowledge. */
	edu_raise(&edu, 1);
	CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).total == 1, 30000));
}

static void end_by_exit(void)
{
	_exit(0);
}

static void end_by_abort(void)
{
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void end_by_fault(void)
{
	volatile int *volatile nowhere = (volatile int *)8;

	signal(SIGSEGV, SIG_DFL);
	*nowhere = 0;
}

static void end_by_exec(void)
{
	execl("/bin/true", "true", NULL);
}

static void end_by_kill(void)
{
	pause();
}

static void ends(unsigned int kind)
{
	static const struct {
		const char *name;
		void (*end)(void);
		int signal; /* that it ends by */
	} ways[] = {
		{ "exit", end_by_exit, 0 },
		{ "abort", end_by_abort, SIGABRT },
		{ "a fault", end_by_fault, SIGSEGV },
		{ "exec", end_by_exec, 0 },
		{ "kill -9", end_by_kill, SIGKILL },
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int ready[2], status;
		char byte;
		pid_t child;

		tap_step("ended by %s", ways[i].name);
		REQUIRE_OK(pipe(ready));
		child = fork();
		if (child == 0) {
			signal(SIGIO, SIG_IGN);
			hold_everything(kind);
			REQUIRE_EQ(write(ready[1], "x", 1), 1);
			ways[i].end();
			_exit(1);
		}
		close(ready[1]);
		if (!CHECK_EQ(read(ready[0], &byte, 1), 1))
			tap_end();
		if (ways[i].signal == SIGKILL)
			REQUIRE_OK(kill(child, SIGKILL));
		status = os_wait_child(child);
		close(ready[0]);
		if (ways[i].signal)
			CHECK(WIFSIGNALED(status) && WTERMSIG(status) == ways[i].signal);
		else
			CHECK_EQ(status, 0);
		node_check_over(&edu, "edu");
	}
}

static void ends_intx(void)
{
	ends(UDRV_IRQ_INTX);
}

static void ends_msi(void)
{
	ends(UDRV_IRQ_MSI);
}

/* ---- what keeps a driver alive ------------------------------------------------------------------- */

static void mapping_outlives_descriptor(void)
{
	struct udrv_ioc_dma_alloc buffer;
	uint8_t *view;

	node_open_mapped(&edu, "edu");
	REQUIRE_OK(node_bus_master(&edu, true));
	REQUIRE_OK(node_dma_alloc(&edu, 2 * PAGE, &buffer));
	view = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, edu.fd, buffer.offset);
	REQUIRE(view != MAP_FAILED);
	view[0] = 0x42;
	tap_step("the descriptor is closed: everything goes on");
	close(edu.fd);
	CHECK_ERROR(open(edu.path, O_RDWR), EBUSY);
	CHECK_EQ(node_number(&edu, "owner"), getpid());
	CHECK_EQ(node_master(&edu), 1);
	CHECK_EQ(node_read32(&edu, EDU_ID), EDU_ID_VALUE);
	edu_dma(&edu, false, buffer.iova, 0, 100);
	edu_dma(&edu, true, buffer.iova + PAGE, 0, 100);
	CHECK_EQ(view[PAGE], 0x42);
	tap_step("one mapping is left, of registers or of a buffer");
	node_unmap(&edu);
	CHECK_ERROR(open(edu.path, O_RDWR), EBUSY);
	CHECK_OK(munmap(view, PAGE));
	CHECK_ERROR(open(edu.path, O_RDWR), EBUSY);
	CHECK_EQ(view[PAGE], 0x42);
	CHECK_EQ(os_status_kib("VmLck"), 8);
	tap_step("the last one: over, at once");
	CHECK_OK(munmap(view + PAGE, PAGE));
	CHECK_EQ(node_master(&edu), 0);
	CHECK_EQ(node_number(&edu, "owner"), 0);
	CHECK_EQ(os_status_kib("VmLck"), 0);
	node_reopen(&edu);
	node_close(&edu);
}

static void descriptor_in_another_process(void)
{
	int to_child[2];
	pid_t child;
	char byte;

	REQUIRE_OK(pipe(to_child));
	node_open_mapped(&edu, "edu");
	REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
	tap_step("the opener closes, a child has the descriptor");
	child = fork();
	if (child == 0) {
		struct udrv_irq_record record;
		uint32_t one = 1, all = ~0U;
		uint64_t bar = node_region(&edu, 0).offset;

		REQUIRE_EQ(read(to_child[0], &byte, 1), 1);
		for (int i = 0; i < 100; i++) {
			CHECK_EQ(pwrite(edu.fd, &one, 4, bar + EDU_IRQ_RAISE), 4);
			CHECK_EQ(read(edu.fd, &record, sizeof(record)), sizeof(record));
			CHECK_EQ(record.count, 1);
			CHECK_EQ(pwrite(edu.fd, &all, 4, bar + EDU_IRQ_ACK), 4);
		}
		_exit(0);
	}
	node_unmap(&edu);
	close(edu.fd);
	CHECK_ERROR(open(edu.path, O_RDWR), EBUSY);
	REQUIRE_EQ(write(to_child[1], "x", 1), 1);
	OS_CHILD_OK(child);
	tap_step("with the child's end it is over");
	node_reopen(&edu);
	node_close(&edu);
}

/* A thread waits in read() while another closes the descriptor: the file lives until it returns. */
static void closed_under_a_reader(void)
{
	struct os_thread reader;
	uint64_t bar;
	int copy;
	uint32_t one = 1;

	node_open_mapped(&edu, "edu");
	bar = node_region(&edu, 0).offset;
	REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
	tap_step("the reader hears of the next interrupt all the same");
	os_thread_start(&reader, read_forever, NULL);
	os_wait_blocked(reader.tid, SYS_read);
	REQUIRE_OK(copy = dup(edu.fd));
	close(edu.fd);
	CHECK_EQ(pwrite(copy, &one, 4, bar + EDU_IRQ_RAISE), 4);
	CHECK(OS_WAIT_FOR(!node_read32(&edu, EDU_IRQ_STATUS), 30000));
	os_thread_join(&reader); /* its next read finds the number closed */
	close(copy);
	node_unmap(&edu);
	node_reopen(&edu);
	node_close(&edu);
}

/* ---- DMA after death -------------------------------------------------------------------------------- */

struct shared {
	uint64_t started_ns;
	uint8_t memory[PAGE] __attribute__((aligned(4096)));
};

/*
 * edu begins to copy 100 ms after it is told to. The driver dies at once; what the device would have
 * overwritten is memory that this process still has, so that it can look. Returns false if the end took
 * so long that nothing can be said.
 */
static bool dies_with_a_transfer(struct shared *shared)
{
	uint64_t ended_ns;
	pid_t child;

	memset(shared->memory, 0x11, PAGE);
	child = fork();
	if (child == 0) {
		struct udrv_dma_segment segment;
		uint32_t count = 1, handle;

		node_open_mapped(&edu, "edu");
		REQUIRE_OK(node_bus_master(&edu, true));
		edu_dma_wait(&edu);
		REQUIRE_OK(node_dma_map(&edu, shared->memory, PAGE, UDRV_DMA_BIDIRECTIONAL,
					&segment, &count, &handle));
		edu_dma(&edu, false, segment.iova, 0, 2000); /* the device's buffer: 0x11 */
		memset(shared->memory, 0x22, PAGE);
		REQUIRE_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_DEVICE, 0, PAGE));
		shared->started_ns = os_now_ns();
		edu_dma_start(&edu, true, segment.iova, 0, 2000, false);
		kill(getpid(), SIGKILL);
	}
	os_wait_child(child);
	ended_ns = os_now_ns();
	/* Not opened before the transfer's time has come: opening turns bus mastering off, too. */
	CHECK(OS_WAIT_FOR(os_now_ns() > shared->started_ns + 3 * ENGINE_NS, 30000));
	node_get(&edu, "edu");
	node_open_mapped(&edu, "edu");
	edu_dma_wait(&edu); /* and gone */
	node_close(&edu);
	return ended_ns - shared->started_ns < 80000000;
}

static void dma_after_death(void)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int told = 0;

	REQUIRE(shared != MAP_FAILED);
	tap_step("the device does not write any more");
	for (int i = 0; i < 100 && told < 5; i++) {
		if (!dies_with_a_transfer(shared))
			continue;
		told++;
		for (unsigned int at = 0; at < PAGE; at++)
			if (shared->memory[at] != 0x22) {
				CHECK_EQ(shared->memory[at], 0x22);
				break;
			}
	}
	tap_note("%d deaths in time", told);
	CHECK_GT(told, 0);
	CHECK_EQ(os_pinned_pages(), 0);
}

/* The same with the driver alive: the transfer does arrive, or the test above says nothing. */
static void dma_in_life(void)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct udrv_dma_segment segment;
	uint32_t count = 1, handle;

	REQUIRE(shared != MAP_FAILED);
	tap_step("with the driver alive it does");
	memset(shared->memory, 0x11, PAGE);
	node_open_mapped(&edu, "edu");
	REQUIRE_OK(node_bus_master(&edu, true));
	REQUIRE_OK(node_dma_map(&edu, shared->memory, PAGE, UDRV_DMA_BIDIRECTIONAL, &segment,
				&count, &handle));
	edu_dma(&edu, false, segment.iova, 0, 2000);
	memset(shared->memory, 0x22, PAGE);
	REQUIRE_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_DEVICE, 0, PAGE));
	edu_dma(&edu, true, segment.iova, 0, 2000);
	CHECK_OK(node_dma_unmap(&edu, handle));
	CHECK_EQ(shared->memory[0], 0x11);
	CHECK_EQ(shared->memory[1999], 0x11);
	CHECK_EQ(shared->memory[2000], 0x22);
	tap_step("bus mastering turned off stops it, too");
	memset(shared->memory, 0x33, PAGE);
	count = 1;
	REQUIRE_OK(node_dma_map(&edu, shared->memory, PAGE, UDRV_DMA_BIDIRECTIONAL, &segment,
				&count, &handle));
	REQUIRE_OK(node_bus_master(&edu, false));
	edu_dma(&edu, true, segment.iova, 0, 2000);
	CHECK_OK(node_dma_unmap(&edu, handle));
	CHECK_EQ(shared->memory[0], 0x33);
	CHECK_EQ(shared->memory[1999], 0x33);
	node_close(&edu);
}

/* Many drivers, one after the other: nothing adds up. */
static void many_lives(void)
{
	unsigned int count = os_times("UDRV_LIVES", 100);

	tap_step("%u drivers that are killed", count);
	for (unsigned int i = 0; i < count; i++) {
		int ready[2];
		char byte;
		pid_t child;

		REQUIRE_OK(pipe(ready));
		child = fork();
		if (child == 0) {
			struct udrv_ioc_dma_alloc buffer;

			node_open_mapped(&edu, "edu");
			REQUIRE_OK(node_bus_master(&edu, true));
			REQUIRE_EQ(node_irq_setup(&edu, i % 2 ? UDRV_IRQ_MSI : UDRV_IRQ_INTX, 1), 1);
			REQUIRE_OK(node_dma_alloc(&edu, 4 * PAGE, &buffer));
			REQUIRE_EQ(write(ready[1], "x", 1), 1);
			pause();
		}
		close(ready[1]);
		REQUIRE_EQ(read(ready[0], &byte, 1), 1);
		REQUIRE_OK(kill(child, SIGKILL));
		os_wait_child(child);
		close(ready[0]);
		if (i % 20 == 0)
			node_check_over(&edu, "edu");
	}
	node_check_over(&edu, "edu");
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(ends_intx),
		TAP_TEST(ends_msi),
		TAP_TEST(mapping_outlives_descriptor),
		TAP_TEST(descriptor_in_another_process),
		TAP_TEST(closed_under_a_reader),
		TAP_TEST(dma_in_life),
		TAP_TEST(dma_after_death),
		TAP_TEST(many_lives),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
