// SPDX-License-Identifier: MIT
/*
 * unplug_test.c - the device is pulled out while a process is at work with it
 *
 * unbind_test takes a device away that is waited for; here it is unplugged, and every call is under
 * way: read, poll and epoll wait, a program polls a register, registers are read by mapping and by
 * call, mappings and DMA mappings are made and undone, the engine transfers. Three more threads are
 * stuck in page faults in the middle of a call, which only this process could resolve, and it does
 * not until the device is gone. Removal waits for none of them; afterwards each is told, and what
 * is plugged in again is new. Device set: hotplug.
 *
 * The hard part is to be stuck at the right place: userfaultfd holds a thread at its first access
 * to a page, wherever in the kernel that is.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load.h"
#include "node.h"
#include "os.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define SOON_NS 60000000000ULL

static struct node hot;
static uint64_t registers; /* file offset */

/* ---- threads that are stuck ---- */

static struct trap {
	int fd;
	uint8_t *pages;
} trap;

/* Pages whose first access, by whomever, waits for trap_open(). */
static void trap_set(unsigned int pages)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	trap.fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	REQUIRE_OK(trap.fd);
	REQUIRE_OK(ioctl(trap.fd, UFFDIO_API, &api));
	trap.pages = mmap(NULL, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(trap.pages != MAP_FAILED);
	range.range.start = (uintptr_t)trap.pages;
	range.range.len = pages * PAGE;
	REQUIRE_OK(ioctl(trap.fd, UFFDIO_REGISTER, &range));
}

static void trap_open(unsigned int pages)
{
	struct uffdio_zeropage zero = { .range = { (uintptr_t)trap.pages, pages * PAGE } };

	REQUIRE_OK(ioctl(trap.fd, UFFDIO_ZEROPAGE, &zero));
	close(trap.fd);
}

/* The program is copied in: nothing is done yet. */
static void *stuck_before(void *arg)
{
	struct udrv_ioc_prog_run run = NODE_ARG(run);

	run.count = 1;
	run.ops = (uintptr_t)arg;
	CHECK_ERROR(ioctl(hot.fd, UDRV_IOC_PROG_RUN, &run), ENODEV);
	return NULL;
}

/* The mapping is made, and its list is copied out. */
static void *stuck_after(void *arg)
{
	static uint8_t memory[PAGE] __attribute__((aligned(4096)));
	uint32_t count = 1, handle;

	if (node_dma_map(&hot, memory, PAGE, UDRV_DMA_BIDIRECTIONAL, arg, &count, &handle))
		CHECK_EQ(errno, ENODEV);
	return NULL;
}

/* The register has been read, and its value is copied out. */
static void *stuck_with_a_value(void *arg)
{
	CHECK_EQ(pread(hot.fd, arg, 4, registers), 4);
	return NULL;
}

/* ---- the tests ---- */

static void pulled_at_work(unsigned int kind)
{
	enum { STUCK = 3 };
	static void *(*const sticks[STUCK])(void *) = { stuck_before, stuck_after,
							stuck_with_a_value };
	struct os_thread stuck[STUCK];
	struct load load;
	struct udrv_ioc_dma_alloc buffer;
	struct udrv_dma_segment segments[2];
	uint32_t count = 2, handle;
	uint8_t *view, *memory = aligned_alloc(PAGE, 2 * PAGE);
	long locked = os_status_kib("VmLck");
	struct node again;
	uint64_t start;
	int old;

	node_open_mapped(&hot, "hot");
	registers = node_region(&hot, 0).offset;
	edu_dma_wait(&hot);
	REQUIRE_OK(node_bus_master(&hot, true));
	REQUIRE_EQ(node_irq_setup(&hot, kind, 1), 1);
	REQUIRE_OK(node_dma_alloc(&hot, 2 * PAGE, &buffer));
	view = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, hot.fd, buffer.offset);
	REQUIRE(view != MAP_FAILED);
	memset(view, 0x11, PAGE); /* the second page is not touched before the end */
	memset(memory, 0x22, 2 * PAGE);
	REQUIRE_OK(node_dma_map(&hot, memory, 2 * PAGE, UDRV_DMA_TO_DEVICE, segments, &count,
				&handle));
	trap_set(STUCK);
	for (int i = 0; i < STUCK; i++) {
		os_thread_start(&stuck[i], sticks[i], trap.pages + i * PAGE);
		os_wait_blocked(stuck[i].tid, i == 2 ? SYS_pread64 : SYS_ioctl);
	}
	load_start(&load, &hot, buffer.iova);

	tap_step("it is gone, and all threads are told, before those that are stuck go on");
	start = os_now_ns();
	node_pull(&hot);
	CHECK_LT(os_now_ns() - start, SOON_NS);
	load_join(&load);
	CHECK_LT(os_now_ns() - start, SOON_NS);
	tap_note("%llu ms", (unsigned long long)(os_now_ns() - start) / 1000000);
	CHECK_ERROR(open(hot.path, O_RDWR), ENOENT);

	tap_step("those that are stuck go on");
	trap_open(STUCK);
	for (int i = 0; i < STUCK; i++)
		os_thread_join(&stuck[i]);

	tap_step("mappings read all-ones and may be written, touched before or not");
	CHECK_EQ(node_read32(&hot, EDU_ID), ~0U);
	CHECK_EQ(node_read32(&hot, 0xff000), ~0U);
	node_write32(&hot, EDU_LIVE, 1);
	for (unsigned int at = 0; at < 2 * PAGE; at += PAGE) {
		CHECK_EQ(view[at], 0xff);
		view[at + 1] = 0xff;
	}
	tap_step("memory is the process's own again, and nothing is charged");
	CHECK_EQ(memory[0], 0x22);
	CHECK_EQ(memory[2 * PAGE - 1], 0x22);
	CHECK(OS_WAIT_FOR(os_pinned_pages() == 0, 30000));
	CHECK(OS_WAIT_FOR(os_status_kib("VmLck") == locked, 30000));
	tap_step("every call fails with ENODEV");
	node_check_dead(hot.fd);

	tap_step("plugged in again: a new node works, the old descriptor stays dead");
	node_plug(&again);
	old = hot.fd;
	node_open_mapped(&again, "hot");
	CHECK_EQ(node_read32(&again, EDU_ID), EDU_ID_VALUE);
	node_check_dead(old);
	CHECK_EQ(node_read32(&hot, EDU_ID), ~0U);
	CHECK_EQ(view[0], 0xff);
	CHECK_EQ(node_irq_setup(&again, UDRV_IRQ_INTX, 1), 1);
	tap_step("closing the old one changes nothing for the new one");
	node_close(&hot);
	CHECK_OK(munmap(view, 2 * PAGE));
	CHECK_EQ(node_read32(&again, EDU_ID), EDU_ID_VALUE);
	CHECK_STR(node_attribute(&again, "irq"), "intx 1");
	node_close(&again);
}

static void pulled_at_work_intx(void)
{
	pulled_at_work(UDRV_IRQ_INTX);
}

static void pulled_at_work_msi(void)
{
	pulled_at_work(UDRV_IRQ_MSI);
}

/* Between open and close, again and again, at the moment of the unplug. */
static void open_and_close(unsigned long *opened)
{
	int fd;

	while ((fd = open(hot.path, O_RDWR | O_CLOEXEC)) >= 0) {
		close(fd);
		__atomic_add_fetch(opened, 1, __ATOMIC_SEQ_CST);
	}
	CHECK(errno == ENOENT || errno == ENODEV || errno == ENXIO);
}

static void pulled_while_opened(void)
{
	unsigned long *opened = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t opener;

	REQUIRE(opened != MAP_FAILED);
	node_get(&hot, "hot");
	for (int i = 0; i < 5; i++) {
		tap_step("between open and close (%d)", i);
		node_bind(&hot);
		__atomic_store_n(opened, 0, __ATOMIC_SEQ_CST);
		/* No thread: what pulls is a program, and would have its descriptor until exec closes it. */
		opener = fork();
		if (opener == 0) {
			open_and_close(opened);
			_exit(0);
		}
		REQUIRE(OS_WAIT_FOR(__atomic_load_n(opened, __ATOMIC_SEQ_CST) > 5, 30000));
		node_pull(&hot);
		OS_CHILD_OK(opener);
		node_plug(&hot);
	}
	tap_step("while it is held");
	node_open_mapped(&hot, "hot");
	node_pull(&hot);
	node_check_dead(hot.fd);
	tap_step("its descriptor and its mapping still hold the module");
	CHECK_ERROR(syscall(SYS_delete_module, "udrv", O_NONBLOCK), EAGAIN);
	node_close(&hot);
	node_plug(&hot);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST_LONG(pulled_at_work_intx, 300),
		TAP_TEST_LONG(pulled_at_work_msi, 300),
		TAP_TEST_LONG(pulled_while_opened, 300),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
