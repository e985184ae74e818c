// SPDX-License-Identifier: MIT
/*
 * unbind_test.c - a device that is reset or taken away while a process uses it
 *
 * Unbinding must be over within seconds, whatever the process is doing, and leave it with descriptors
 * that are dead for good, mappings that read all-ones, and no signal. The hard part is to have
 * everything in use at the same time: a thread that reads, one that polls, mappings of registers and
 * of buffers, pinned pages.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define SOON_NS 30000000000ULL

static struct node edu;

static void *read_dies(void *arg)
{
	struct udrv_irq_record record;

	(void)arg;
	CHECK_ERROR(read(edu.fd, &record, sizeof(record)), ENODEV);
	return NULL;
}

static void *poll_dies(void *arg)
{
	struct pollfd wait = { .fd = edu.fd, .events = POLLIN };

	(void)arg;
	CHECK_EQ(poll(&wait, 1, -1), 1);
	CHECK(wait.revents & POLLHUP);
	return NULL;
}

/* Unbind with everything in use, by INTx or MSI. */
static void taken_away(unsigned int kind)
{
	struct udrv_ioc_dma_alloc buffers[2];
	struct udrv_dma_segment segments[2];
	struct os_thread reader, poller;
	uint32_t count = 2, handle;
	uint8_t *view[2], *memory = aligned_alloc(PAGE, 2 * PAGE);
	struct node again;
	int event, old;
	uint64_t start;
	long locked = os_status_kib("VmLck");

	node_open_mapped(&edu, "edu");
	CHECK_OK(node_bus_master(&edu, true));
	REQUIRE_EQ(node_irq_setup(&edu, kind, 1), 1);
	for (int i = 0; i < 2; i++) {
		REQUIRE_OK(node_dma_alloc(&edu, 2 * PAGE, &buffers[i]));
		view[i] = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, edu.fd,
			       buffers[i].offset);
		REQUIRE(view[i] != MAP_FAILED);
		memset(view[i], 0x11, PAGE); /* the second page is not touched before the end */
	}
	REQUIRE_OK(node_dma_free(&edu, buffers[1].handle));
	memset(memory, 0x22, 2 * PAGE);
	REQUIRE_OK(node_dma_map(&edu, memory, 2 * PAGE, UDRV_DMA_BIDIRECTIONAL, segments, &count,
				&handle));
	os_thread_start(&reader, read_dies, NULL);
	os_thread_start(&poller, poll_dies, NULL);
	os_wait_blocked(reader.tid, SYS_read);
	os_wait_blocked(poller.tid, SYS_poll);

	tap_step("unbind ends, and the threads are told");
	start = os_now_ns();
	node_unbind(&edu);
	CHECK_LT(os_now_ns() - start, SOON_NS);
	os_thread_join(&reader);
	os_thread_join(&poller);
	CHECK_LT(os_now_ns() - start, SOON_NS);
	CHECK_ERROR(open(edu.path, O_RDWR), ENOENT);
	CHECK_EQ(node_master(&edu), 0);

	tap_step("mappings read all-ones and may be written, touched before or not");
	CHECK_EQ(node_read32(&edu, EDU_ID), ~0U);
	CHECK_EQ(node_read32(&edu, 0xff000), ~0U);
	node_write32(&edu, EDU_LIVE, 1);
	for (int i = 0; i < 2; i++)
		for (unsigned int at = 0; at < 2 * PAGE; at += PAGE) {
			CHECK_EQ(view[i][at], 0xff);
			view[i][at + 1] = 0xff;
		}
	tap_step("pinned memory is the process's own again, and nothing is charged");
	CHECK_EQ(memory[0], 0x22);
	CHECK_EQ(memory[2 * PAGE - 1], 0x22);
	CHECK(OS_WAIT_FOR(os_pinned_pages() == 0, 30000));
	CHECK(OS_WAIT_FOR(os_status_kib("VmLck") == locked, 30000));
	tap_step("every call fails with ENODEV");
	node_check_dead(edu.fd);

	tap_step("bound again: a new node works, the old descriptor stays dead");
	node_bind(&edu);
	old = edu.fd;
	node_open_mapped(&again, "edu");
	CHECK_EQ(node_read32(&again, EDU_ID), EDU_ID_VALUE);
	node_check_dead(old);
	CHECK_EQ(node_read32(&edu, EDU_ID), ~0U);
	CHECK_EQ(view[0][0], 0xff);
	node_write32(&again, EDU_LIVE, 0);
	CHECK_EQ(node_irq_setup(&again, UDRV_IRQ_INTX, 1), 1);
	tap_step("closing the old one changes nothing for the new one");
	node_close(&edu);
	CHECK_OK(munmap(view[0], 2 * PAGE));
	CHECK_OK(munmap(view[1], PAGE));
	CHECK_EQ(view[1][PAGE], 0xff);
	CHECK_OK(munmap(view[1] + PAGE, PAGE));
	CHECK_EQ(node_read32(&again, EDU_ID), EDU_ID_VALUE);
	CHECK_STR(node_attribute(&again, "irq"), "intx 1");
	REQUIRE_OK(event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	CHECK_OK(node_irq_attach(&again, 0, event));
	node_close(&again);
}

static void taken_away_intx(void)
{
	taken_away(UDRV_IRQ_INTX);
}

static void taken_away_msi(void)
{
	taken_away(UDRV_IRQ_MSI);
}

static bool stop;

static void *use_registers(void *arg)
{
	uint64_t offset = *(uint64_t *)arg;
	uint32_t value;

	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		value = node_read32(&edu, EDU_ID);
		CHECK(value == EDU_ID_VALUE || value == ~0U);
		if (pread(edu.fd, &value, 4, offset) == 4)
			CHECK_EQ(value, EDU_ID_VALUE);
		else
			CHECK_EQ(errno, ENODEV);
	}
	return NULL;
}

/* Registers in use at the moment of unbinding, many times. */
static void taken_away_in_use(void)
{
	struct os_thread threads[2];
	uint64_t offset;

	for (unsigned int i = 0; i < os_times("UDRV_UNBINDS", 20); i++) {
		tap_step("round %u", i);
		node_open_mapped(&edu, "edu");
		offset = node_region(&edu, 0).offset;
		__atomic_store_n(&stop, false, __ATOMIC_SEQ_CST);
		for (int n = 0; n < 2; n++)
			os_thread_start(&threads[n], use_registers, &offset);
		node_unbind(&edu);
		CHECK_EQ(node_read32(&edu, EDU_ID), ~0U);
		__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
		for (int n = 0; n < 2; n++)
			os_thread_join(&threads[n]);
		node_close(&edu);
		node_bind(&edu);
	}
}

/* The process that holds the device cannot run: unbinding does not wait for it. */
static void taken_away_stopped(void)
{
	int ready[2];
	uint64_t start;
	pid_t child;
	char byte;

	REQUIRE_OK(pipe(ready));
	child = fork();
	if (child == 0) {
		struct udrv_irq_record record;

		node_open_mapped(&edu, "edu");
		REQUIRE_EQ(write(ready[1], "x", 1), 1);
		CHECK_ERROR(read(edu.fd, &record, sizeof(record)), ENODEV);
		CHECK_EQ(node_read32(&edu, EDU_ID), ~0U);
		_exit(0);
	}
	REQUIRE_EQ(read(ready[0], &byte, 1), 1);
	node_get(&edu, "edu");
	REQUIRE_OK(kill(child, SIGSTOP));
	tap_step("its process is stopped");
	start = os_now_ns();
	node_unbind(&edu);
	CHECK_LT(os_now_ns() - start, SOON_NS);
	REQUIRE_OK(kill(child, SIGCONT));
	OS_CHILD_OK(child);
	node_bind(&edu);
}

static void module_in_use(void)
{
	void *view;

	tap_step("rmmod is refused while a descriptor is open");
	node_open(&edu, "edu");
	CHECK_ERROR(syscall(SYS_delete_module, "udrv", O_NONBLOCK), EAGAIN);
	CHECK_EQ(node_info(&edu).vendor, 0x1234);
	tap_step("and while a mapping is left");
	view = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, edu.fd, node_region(&edu, 0).offset);
	REQUIRE(view != MAP_FAILED);
	close(edu.fd);
	CHECK_ERROR(syscall(SYS_delete_module, "udrv", O_NONBLOCK), EAGAIN);
	CHECK_EQ(*(volatile uint32_t *)view, EDU_ID_VALUE);
	tap_step("also if the device is gone");
	node_unbind(&edu);
	CHECK_ERROR(syscall(SYS_delete_module, "udrv", O_NONBLOCK), EAGAIN);
	CHECK_EQ(*(volatile uint32_t *)view, ~0U);
	CHECK_OK(munmap(view, PAGE));
	node_bind(&edu);
}

/* ---- reset ---- */

static void reset_refused(void)
{
	struct udrv_ioc_device_reset reset = NODE_ARG(reset);

	node_open_mapped(&edu, "edu");
	tap_step("edu has none");
	CHECK_OK(node_bus_master(&edu, true));
	CHECK_EQ(node_info(&edu).state & UDRV_DEVICE_RESET, 0);
	CHECK_ERROR(ioctl(edu.fd, UDRV_IOC_DEVICE_RESET, &reset), EOPNOTSUPP);
	tap_step("nothing has changed");
	CHECK_EQ(node_master(&edu), 1);
	CHECK_EQ(node_read32(&edu, EDU_ID), EDU_ID_VALUE);
	node_close(&edu);
}

/* Somebody in the kernel may have the device for a moment, udev for one: EAGAIN. */
static bool reset_now(const struct node *node)
{
	struct udrv_ioc_device_reset reset = NODE_ARG(reset);

	int result = -1;

	OS_WAIT_FOR(!(result = ioctl(node->fd, UDRV_IOC_DEVICE_RESET, &reset)) || errno != EAGAIN,
		    30000);
	return result == 0;
}

static void reset(void)
{
	const unsigned int cc = 0x14; /* controller configuration: read-write, 0 after reset */
	const uint32_t entry_sizes = 0x460000; /* of queues; not enabled */
	struct udrv_ioc_dma_alloc buffer;
	struct node nvme;
	uint32_t bars[6];

	node_open_mapped(&nvme, "nvme");
	tap_step("nvme has FLR");
	CHECK(node_info(&nvme).state & UDRV_DEVICE_RESET);
	for (int i = 0; i < 6; i++)
		bars[i] = node_config(&nvme, 0x10 + 4 * i, 4);
	CHECK_OK(node_bus_master(&nvme, true));
	CHECK_OK(node_dma_alloc(&nvme, PAGE, &buffer));
	CHECK_EQ(node_irq_setup(&nvme, UDRV_IRQ_MSIX, 4), 4);
	node_write32(&nvme, cc, 0); /* the kernel's driver leaves it enabled */
	node_write32(&nvme, cc, entry_sizes);
	CHECK_EQ(node_read32(&nvme, cc), entry_sizes);
	REQUIRE(reset_now(&nvme));
	tap_step("registers are reset, the mapping stays, bus mastering is off");
	CHECK_EQ(node_read32(&nvme, cc), 0);
	CHECK_EQ(node_master(&nvme), 0);
	CHECK_EQ(node_number(&nvme, "bus_master"), 0);
	CHECK_EQ(node_info(&nvme).state & UDRV_DEVICE_BUS_MASTER, 0);
	for (int i = 0; i < 6; i++)
		CHECK_EQ(node_config(&nvme, 0x10 + 4 * i, 4), bars[i]);
	CHECK_EQ(node_config(&nvme, 4, 2) & 2, 2);
	tap_step("interrupts and DMA stay");
	CHECK_STR(node_attribute(&nvme, "irq"), "msix 4");
	CHECK(node_config(&nvme, node_capability(&nvme, 0x11) + 2, 2) & 0x8000);
	CHECK_EQ(node_number(&nvme, "dma_consistent"), PAGE);
	CHECK_OK(node_bus_master(&nvme, true));
	CHECK_OK(node_dma_free(&nvme, buffer.handle));
	tap_step("again and again");
	for (int i = 0; i < 5; i++)
		CHECK(reset_now(&nvme));
	CHECK_EQ(node_read32(&nvme, cc), 0);
	tap_step("and at the end of the driver");
	node_write32(&nvme, cc, entry_sizes);
	node_close(&nvme);
	node_open_mapped(&nvme, "nvme");
	CHECK_EQ(node_read32(&nvme, cc), 0);
	node_close(&nvme);
}

/* ---- killed while a reset runs ---- */

static atomic_bool resets;

static void *reset_thread(void *arg)
{
	CHECK(reset_now(arg));
	atomic_store(&resets, false);
	return NULL;
}

static char state_of(pid_t pid)
{
	char path[64], text[512], *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	REQUIRE_OK(os_read(path, text, sizeof(text)));
	REQUIRE((end = strrchr(text, ')')));
	return end[2];
}

/* Reach the device, in one way, until killed; say so, once. */
static void touch_for_ever(const struct node *nvme, const char *way, int ready)
{
	const off_t bar = node_region(nvme, 0).offset;
	const off_t config = node_region(nvme, UDRV_REGION_CONFIG).offset;
	struct udrv_prog_op op = { .op = UDRV_PROG_READ, .width = 4 };
	struct udrv_ioc_prog_run run = NODE_ARG(run);
	volatile uint32_t *page;
	uint32_t value;
	int ends[2];

	REQUIRE_OK(pipe(ends));
	run.count = 1;
	run.ops = (uintptr_t)&op;
	page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, nvme->fd, bar);
	REQUIRE(page != MAP_FAILED);
	for (;;) {
		if (!strcmp(way, "load"))
			(void)*page;
		else if (!strcmp(way, "pread"))
			REQUIRE_EQ(pread(nvme->fd, &value, 4, bar), 4);
		else if (!strcmp(way, "config space"))
			REQUIRE_EQ(pread(nvme->fd, &value, 4, config), 4);
		else if (!strcmp(way, "register program"))
			REQUIRE_OK(ioctl(nvme->fd, UDRV_IOC_PROG_RUN, &run));
		else if (!strcmp(way, "mmap"))
			REQUIRE_OK(munmap(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, nvme->fd, bar),
					  PAGE));
		else
			REQUIRE(write(ends[1], (void *)page, 4) == 4 &&
				read(ends[0], &value, 4) == 4);
		if (ready >= 0)
			REQUIRE_EQ(write(ready, "", 1), 1);
		ready = -1;
	}
}

/* Did a process that waited for the end of a reset die before that? */
static bool dies_during_reset(struct node *nvme, const char *way)
{
	struct os_thread thread;
	bool blocked, died;
	int ready[2];
	pid_t child;
	char byte;

	REQUIRE_OK(pipe(ready));
	child = fork();
	if (!child)
		touch_for_ever(nvme, way, ready[1]);
	REQUIRE(child > 0);
	close(ready[1]);
	REQUIRE_EQ(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	atomic_store(&resets, true);
	os_thread_start(&thread, reset_thread, nvme);
	blocked = OS_WAIT_FOR(state_of(child) == 'D' || !atomic_load(&resets), 30000) &&
		  atomic_load(&resets);
	CHECK_OK(kill(child, SIGKILL));
	CHECK_EQ(os_wait_child(child), SIGKILL);
	died = atomic_load(&resets);
	os_thread_join(&thread);
	return blocked && died;
}

/*
 * A reset can take a minute. Whoever waits for its end can be killed before. One of nvme takes a tenth of
 * a second: a busy machine may need longer to kill, so as many are tried as it takes to see some die in time.
 */
static void killed_during_reset(void)
{
	static const char *const ways[] = {
		"load", "pread", "config space", "register program", "mmap",
		"system call that reads a register",
	};
	enum { TRIES = 100, WANTED = 2 };
	struct node nvme;

	node_open(&nvme, "nvme");
	for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		unsigned int died = 0, tries = 0;

		tap_step("%s", ways[i]);
		for (; tries < TRIES && died < WANTED; tries++)
			died += dies_during_reset(&nvme, ways[i]);
		tap_note("%u of %u in time", died, tries);
		CHECK_EQ(died, WANTED);
	}
	node_close(&nvme);
}

/* ---- registers while a reset runs, by two ways ---- */

#define NVME_CAP 0x00 /* capabilities: constant, and neither 0 nor all-ones */

struct access {
	struct node *node;
	uint64_t offset;
	uint32_t value; /* what must be read */
	unsigned long reads; /* done so far */
	bool wrong;
};

static void did_read(struct access *access, uint32_t value)
{
	if (value == access->value)
		__atomic_add_fetch(&access->reads, 1, __ATOMIC_SEQ_CST);
	else if (!access->wrong)
		access->wrong = !CHECK_EQ(value, access->value); /* one is enough */
}

static void *read_by_call(void *arg)
{
	struct access *access = arg;
	uint32_t value = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		CHECK_EQ(pread(access->node->fd, &value, 4, access->offset), 4);
		did_read(access, value);
	}
	return NULL;
}

static void *read_by_mapping(void *arg)
{
	struct access *access = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		did_read(access, node_read32(access->node, NVME_CAP));
	return NULL;
}

/* A device that is being reset decodes no address: who asks it then would read what nobody answered. */
static void registers_wait_for_a_reset(void)
{
	struct access by_call, by_mapping;
	struct os_thread threads[2];
	struct node nvme;

	node_open_mapped(&nvme, "nvme");
	by_call = by_mapping = (struct access){
		.node = &nvme,
		.offset = node_region(&nvme, 0).offset + NVME_CAP,
		.value = node_read32(&nvme, NVME_CAP),
	};
	REQUIRE(by_call.value && by_call.value != ~0U);
	__atomic_store_n(&stop, false, __ATOMIC_SEQ_CST);
	os_thread_start(&threads[0], read_by_call, &by_call);
	os_thread_start(&threads[1], read_by_mapping, &by_mapping);
	for (int i = 0; i < 20; i++) {
		unsigned long before[2] = { by_call.reads, by_mapping.reads };

		tap_step("reset %d: both wait, and go on", i);
		CHECK(reset_now(&nvme));
		CHECK(OS_WAIT_FOR(__atomic_load_n(&by_call.reads, __ATOMIC_SEQ_CST) > before[0] &&
				  __atomic_load_n(&by_mapping.reads, __ATOMIC_SEQ_CST) > before[1],
				  30000));
	}
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	os_thread_join(&threads[0]);
	os_thread_join(&threads[1]);
	node_close(&nvme);
}

static void *nvme_read_dies(void *arg)
{
	const struct node *nvme = arg;
	struct udrv_irq_record record;

	CHECK_ERROR(read(nvme->fd, &record, sizeof(record)), ENODEV);
	return NULL;
}

/* Reset by somebody else, in sysfs: what the driver believes of its device is no longer so. */
static void reset_by_somebody_else(void)
{
	struct udrv_ioc_dma_alloc buffer;
	struct os_thread reader;
	struct node nvme, again;
	char path[128];
	uint32_t cap;
	int old;

	node_open_mapped(&nvme, "nvme");
	cap = node_read32(&nvme, NVME_CAP);
	REQUIRE_OK(node_bus_master(&nvme, true));
	REQUIRE_OK(node_dma_alloc(&nvme, PAGE, &buffer));
	os_thread_start(&reader, nvme_read_dies, &nvme);
	os_wait_blocked(reader.tid, SYS_read);
	tap_step("it is taken from its driver");
	snprintf(path, sizeof(path), "%s/reset", nvme.sysfs);
	CHECK_OK(os_write(path, "1"));
	os_thread_join(&reader);
	CHECK_EQ(node_number(&nvme, "owner"), 0);
	CHECK_EQ(node_master(&nvme), 0);
	CHECK_EQ(node_read32(&nvme, NVME_CAP), ~0U);
	node_check_dead(nvme.fd);
	tap_step("the next one has it; the old descriptor stays dead");
	old = nvme.fd;
	node_open_mapped(&again, "nvme");
	CHECK_EQ(node_read32(&again, NVME_CAP), cap);
	CHECK_OK(node_bus_master(&again, true));
	node_check_dead(old);
	CHECK_EQ(node_read32(&nvme, NVME_CAP), ~0U);
	tap_step("closing it changes nothing");
	node_close(&nvme);
	CHECK_EQ(node_read32(&again, NVME_CAP), cap);
	CHECK_EQ(node_master(&again), 1);
	node_close(&again);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(taken_away_intx),
		TAP_TEST(taken_away_msi),
		TAP_TEST_LONG(taken_away_in_use, 240),
		TAP_TEST(taken_away_stopped),
		TAP_TEST(module_in_use),
		TAP_TEST(reset_refused),
		TAP_TEST(reset),
		TAP_TEST_LONG(killed_during_reset, 300),
		TAP_TEST(registers_wait_for_a_reset),
		TAP_TEST(reset_by_somebody_else),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
