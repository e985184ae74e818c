// SPDX-License-Identifier: MIT
/*
 * end_test.c - the end of a driver in the middle of its work, and what it cost
 *
 * lifetime_test ends drivers that hold everything and wait. These are at work: the device's engine
 * runs, threads wait for interrupts, map and unmap, at the moment when the process exits, faults,
 * is killed by hand or by the kernel for want of memory, or closes the descriptor under its own
 * threads. Each is in a memory cgroup of its own, so that what it was charged for can be seen, and
 * seen to be gone.
 *
 * The hard part is the cgroup's charge after the end: the kernel keeps some in advance for each
 * CPU, and caches names and inodes that the driver looked up. A write to memory.high gives both
 * back, but for the rest of a page of small objects that it has begun to charge: CGROUP_REST.
 *
 * The kernel's report of an out-of-memory kill is expected: --allow='invoked oom-killer'.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory.h"
#include "node.h"
#include "os.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define CGROUP "/sys/fs/cgroup/udrv-end"
#define CGROUP_REST (4 * PAGE)
#define FD 500 /* a number that nothing else gets once it is closed */
#define BUFFER_BYTES (2UL << 20)
#define OWN_BYTES (1UL << 20)

static struct node edu;

/* ---- the cgroup ---- */

static long cgroup_number(const char *file)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), CGROUP "/%s", file);
	REQUIRE_OK(os_read(path, text, sizeof(text)));
	return strtol(text, NULL, 10);
}

static void cgroup_write(const char *file, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), CGROUP "/%s", file);
	REQUIRE_OK(os_write(path, text));
}

static long cgroup_event(const char *name)
{
	char text[512], *at;

	REQUIRE_OK(os_read(CGROUP "/memory.events", text, sizeof(text)));
	at = strstr(text, name);
	REQUIRE(at);
	return strtol(at + strlen(name), NULL, 10);
}

static void cgroup_make(const char *max)
{
	REQUIRE_OK(os_write("/sys/fs/cgroup/cgroup.subtree_control", "+memory"));
	rmdir(CGROUP);
	REQUIRE_OK(mkdir(CGROUP, 0755));
	cgroup_write("memory.max", max);
}

static bool cgroup_empty(void)
{
	cgroup_write("memory.high", "0");
	return cgroup_number("memory.current") <= (long)CGROUP_REST;
}

static void cgroup_check_empty(void)
{
	/* What KASAN holds back after it was freed is still charged, and nothing but this ends that. */
	if (!cgroup_empty())
		memory_give_back();
	if (!CHECK(OS_WAIT_FOR(cgroup_empty(), 30000)))
		tap_note("%ld bytes are still charged", cgroup_number("memory.current"));
	CHECK_OK(rmdir(CGROUP));
}

/* ---- a driver at work ---- */

static struct work {
	unsigned int kind;
	uint64_t buffer_iova, own_iova;
	struct os_thread transferrer, reader, poller, mapper, viewer;
	bool stop;
	unsigned long transfers, interrupts, maps; /* done so far */
} work;

static bool stopped(void)
{
	return __atomic_load_n(&work.stop, __ATOMIC_SEQ_CST);
}

static void did(unsigned long *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
}

/* The engine is never idle: to the device, from it, in the buffer and in own memory. */
static void *transfer(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; !stopped(); i++) {
		edu_dma_start(&edu, i & 1, i & 2 ? work.buffer_iova : work.own_iova, 0, 4000, true);
		did(&work.transfers);
	}
	return NULL;
}

static void *read_interrupts(void *arg)
{
	struct udrv_irq_record record;

	(void)arg;
	while (read(FD, &record, sizeof(record)) == sizeof(record)) {
		edu_ack(&edu);
		did(&work.interrupts);
	}
	return NULL;
}

static void *wait_for_interrupts(void *arg)
{
	struct pollfd wait = { .fd = FD, .events = POLLIN };

	(void)arg;
	while (poll(&wait, 1, -1) == 1 && !(wait.revents & POLLNVAL))
		;
	return NULL;
}

static void *map_and_unmap(void *arg)
{
	uint8_t *memory = aligned_alloc(PAGE, 16 * PAGE);

	(void)arg;
	memset(memory, 1, 16 * PAGE);
	for (;;) {
		struct udrv_dma_segment segments[16];
		uint32_t count = 16, handle;

		if (node_dma_map(&edu, memory, 16 * PAGE, UDRV_DMA_TO_DEVICE, segments, &count,
				 &handle))
			break;
		if (node_dma_unmap(&edu, handle))
			break;
		did(&work.maps);
	}
	CHECK_EQ(errno, EBADF);
	return NULL;
}

static void *map_views(void *arg)
{
	off_t offset = *(off_t *)arg;

	for (;;) {
		volatile uint32_t *view = mmap(NULL, PAGE, RW, MAP_SHARED, FD, offset);

		if (view == MAP_FAILED)
			break;
		CHECK_EQ(*view, EDU_ID_VALUE);
		CHECK_OK(munmap((void *)view, PAGE));
	}
	CHECK_EQ(errno, EBADF);
	return NULL;
}

static void start_work(unsigned int kind)
{
	static off_t registers;
	struct udrv_ioc_dma_alloc buffer;
	struct udrv_dma_segment segments[OWN_BYTES / PAGE];
	uint32_t count = OWN_BYTES / PAGE, handle;
	uint8_t *memory;
	int fd;

	node_open_mapped(&edu, "edu");
	fd = edu.fd;
	REQUIRE_EQ(dup3(fd, FD, O_CLOEXEC), FD);
	REQUIRE_OK(close(fd));
	edu.fd = FD;
	registers = node_region(&edu, 0).offset;
	edu_dma_wait(&edu); /* of the one before it, which goes nowhere while we wait */
	REQUIRE_OK(node_bus_master(&edu, true));
	REQUIRE_EQ(node_irq_setup(&edu, kind, 1), 1);
	REQUIRE_OK(node_dma_alloc(&edu, BUFFER_BYTES, &buffer));
	work.buffer_iova = buffer.iova;
	memory = mmap(NULL, OWN_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(memory != MAP_FAILED);
	REQUIRE_OK(node_dma_map(&edu, memory, OWN_BYTES, UDRV_DMA_BIDIRECTIONAL, segments, &count,
				&handle));
	work.own_iova = segments[0].iova;
	os_thread_start(&work.reader, read_interrupts, NULL);
	os_thread_start(&work.poller, wait_for_interrupts, NULL);
	os_thread_start(&work.mapper, map_and_unmap, NULL);
	os_thread_start(&work.viewer, map_views, &registers);
	os_thread_start(&work.transferrer, transfer, NULL);
	REQUIRE(OS_WAIT_FOR(work.interrupts >= 2 && work.maps >= 10, 30000));
}

/* ---- ends ---- */

static void end_by_exit(void)
{
	_exit(0);
}

static void end_by_fault(void)
{
	volatile int *volatile nowhere = (volatile int *)8;

	signal(SIGSEGV, SIG_DFL);
	*nowhere = 0;
}

static void end_by_kill(void)
{
	pause();
}

static void end_by_memory(void)
{
	cgroup_write("memory.max", "16M");
	for (;;) {
		uint8_t *memory = mmap(NULL, 1 << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		REQUIRE(memory != MAP_FAILED);
		memset(memory, 1, 1 << 20);
	}
}

static void ends(unsigned int kind, void (*end)(void), int signal)
{
	int ready[2], status;
	long charged;
	pid_t child;

	cgroup_make("max");
	REQUIRE_OK(pipe(ready));
	child = fork();
	if (child == 0) {
		char pid[16];

		snprintf(pid, sizeof(pid), "%d", getpid());
		cgroup_write("cgroup.procs", pid);
		start_work(kind);
		/* read by the child: for its parent it may be over by then */
		charged = cgroup_number("memory.current");
		REQUIRE_EQ(write(ready[1], &charged, sizeof(charged)), sizeof(charged));
		end();
		_exit(1);
	}
	close(ready[1]);
	REQUIRE_EQ(read(ready[0], &charged, sizeof(charged)), sizeof(charged));
	close(ready[0]);
	CHECK_GE(charged, BUFFER_BYTES + OWN_BYTES);
	if (end == end_by_kill)
		REQUIRE_OK(kill(child, SIGKILL));
	status = os_wait_child(child);
	if (signal)
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signal);
	else
		CHECK_EQ(status, 0);
	if (end == end_by_memory)
		CHECK_EQ(cgroup_event("oom_kill "), 1);
	node_check_over(&edu, "edu");
	cgroup_check_empty();
}

static void at_work(unsigned int kind, const char *name)
{
	tap_step("%s: exit", name);
	ends(kind, end_by_exit, 0);
	tap_step("%s: a fault", name);
	ends(kind, end_by_fault, SIGSEGV);
	tap_step("%s: kill -9", name);
	ends(kind, end_by_kill, SIGKILL);
}

static void at_work_intx(void)
{
	at_work(UDRV_IRQ_INTX, "INTx");
}

static void at_work_msi(void)
{
	at_work(UDRV_IRQ_MSI, "MSI");
}

static void out_of_memory(void)
{
	tap_step("INTx: the out-of-memory killer");
	ends(UDRV_IRQ_INTX, end_by_memory, SIGKILL);
	tap_step("MSI: the out-of-memory killer");
	ends(UDRV_IRQ_MSI, end_by_memory, SIGKILL);
}

/* ---- closed under its own threads ---- */

/* Close under the threads, and see them end. */
static void close_at_work(void)
{
	REQUIRE_OK(close(FD));
	/* Calls that have begun go on to their end: two wait for the next interrupt. */
	os_thread_join(&work.mapper);
	os_thread_join(&work.viewer);
	os_thread_join(&work.reader);
	os_thread_join(&work.poller);
	__atomic_store_n(&work.stop, true, __ATOMIC_SEQ_CST);
	os_thread_join(&work.transferrer);
}

static void closed_at_work(void)
{
	static const unsigned int kinds[] = { UDRV_IRQ_INTX, UDRV_IRQ_MSI };

	for (int i = 0; i < 6; i++) {
		tap_step("closed while threads read, poll, map and transfer (%d)", i);
		memset(&work, 0, sizeof(work));
		start_work(kinds[i % 2]);
		CHECK_GE(os_status_kib("VmLck"), (BUFFER_BYTES + OWN_BYTES) / 1024);
		close_at_work();
		tap_step("and its last mapping is gone: over, nothing is charged (%d)", i);
		node_unmap(&edu);
		CHECK_EQ(os_status_kib("VmLck"), 0);
		node_check_over(&edu, "edu");
	}
}

/* ---- a descriptor of an earlier life ---- */

/* Its driver lost the device long ago; that it closes now is no matter to the one that is at work. */
static void stale_closed_at_work(void)
{
	static const unsigned int kinds[] = { UDRV_IRQ_INTX, UDRV_IRQ_MSI };
	struct node stale;
	char path[128];

	for (int i = 0; i < 2; i++) {
		unsigned long transfers, interrupts;

		tap_step("revoked, and another driver at work (%d)", i);
		node_open_mapped(&stale, "edu");
		REQUIRE_OK(node_bus_master(&stale, true));
		snprintf(path, sizeof(path), "/sys/class/udrv/%s/revoke", stale.name);
		REQUIRE_OK(os_write(path, "1"));
		memset(&work, 0, sizeof(work));
		start_work(kinds[i]);
		tap_step("the old descriptor is closed: interrupts and DMA go on (%d)", i);
		node_close(&stale);
		CHECK_EQ(node_master(&edu), 1);
		transfers = work.transfers;
		interrupts = work.interrupts;
		CHECK(OS_WAIT_FOR(work.transfers >= transfers + 3 &&
				  work.interrupts >= interrupts + 3, 30000));
		CHECK_EQ(node_number(&edu, "owner"), getpid());
		CHECK_GE(node_number(&edu, "dma_consistent"), BUFFER_BYTES);
		close_at_work();
		node_unmap(&edu);
		node_check_over(&edu, "edu");
	}
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(at_work_intx),
		TAP_TEST(at_work_msi),
		TAP_TEST(out_of_memory),
		TAP_TEST(closed_at_work),
		TAP_TEST(stale_closed_at_work),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
