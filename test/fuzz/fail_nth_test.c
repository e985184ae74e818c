// SPDX-License-Identifier: MIT
/*
 * fail_nth_test.c - every allocation and every copy in every call fails once
 *
 * A call that fails must say so and leave nothing behind; the same call must work afterwards. Leaks
 * are seen by the checks after each test, and by kmemleak when the module is gone. fail_nth.c does
 * it; the network half is in fail_nth_net_test.c.
 *
 * The hard part is the kernel's own code: where all allocations fail (inject.c has the two ways),
 * parts of it do not come through unharmed. /proc/irq is one such place (the matrix allows its
 * warning), probing a PCI device another.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../vm/node.h"
#include "../vm/os.h"
#include "../vm/tap.h"
#include "fail_nth.h"

static struct node node;
static const int no_memory_or_vectors[] = { ENOMEM, EFAULT, ENOSPC, EBUSY, 0 };

/* ---- open and its end ---- */

static long call_open(void)
{
	node.fd = open(node.path, O_RDWR);
	return node.fd < 0 ? -1 : 0;
}

static void undo_open(void)
{
	CHECK_OK(close(node.fd));
	node.fd = -1;
}

static void opening(void)
{
	node_get(&node, "edu");
	node_bind(&node);
	fail_begin();
	CHECK_GT(fail_each("open", call_open, undo_open, fail_no_memory), 0);
}

/* The end must get along without memory: nobody is there to be told. */
static void *view;

static long call_close(void)
{
	return close(node.fd);
}

static void undo_close(void)
{
	struct udrv_ioc_dma_alloc buffer;

	node_reopen(&node);
	CHECK_OK(node_bus_master(&node, true));
	CHECK_EQ(node_irq_setup(&node, UDRV_IRQ_INTX, 1), 1);
	CHECK_OK(node_dma_alloc(&node, 3 * PAGE, &buffer));
}

static void closing(void)
{
	node_open(&node, "edu");
	fail_begin();
	CHECK_EQ(fail_each("close", call_close, undo_close, fail_no_memory), 0);
	node_close(&node);
}

/* ---- interrupts ---- */

static unsigned int irq_kind, irq_count;

static long call_irq_setup(void)
{
	return node_irq_setup(&node, irq_kind, irq_count) < 0 ? -1 : 0;
}

static void undo_irq_setup(void)
{
	CHECK_EQ(node_irq_setup(&node, UDRV_IRQ_NONE, 0), 0);
	CHECK_STR(node_attribute(&node, "irq"), "none 0");
}

static long call_poll(void)
{
	struct pollfd wait = { .fd = node.fd, .events = POLLIN };

	/* Its only answers are events. */
	if (poll(&wait, 1, 0) < 0)
		return -1;
	errno = ENOMEM;
	return wait.revents & POLLERR ? -1 : 0;
}

static void interrupts(const char *kind, unsigned int irq, unsigned int count)
{
	node_open(&node, kind);
	fail_begin();
	CHECK_OK(node_bus_master(&node, true));
	irq_kind = irq;
	irq_count = count;
	CHECK_GT(fail_each("IRQ_SETUP", call_irq_setup, undo_irq_setup, no_memory_or_vectors), 0);
	CHECK_GT(fail_each("poll sets up", call_poll, undo_irq_setup, no_memory_or_vectors), 0);
	node_close(&node);
}

static void interrupts_intx(void)
{
	interrupts("edu", UDRV_IRQ_INTX, 1);
}

static void interrupts_msi(void)
{
	interrupts("edu", UDRV_IRQ_MSI, 1);
}

static void interrupts_msix(void)
{
	interrupts("ivshmem", UDRV_IRQ_MSIX, 7);
}

static struct udrv_irq_record record;
static int event;

static void raise_one(void)
{
	uint32_t bit = 1;

	/* Through the mapping: a fault must not meet it. */
	edu_ack(&node);
	node_write32(&node, EDU_IRQ_RAISE, bit);
}

static long call_read(void)
{
	return read(node.fd, &record, sizeof(record)) < 0 ? -1 : 0;
}

static void undo_read(void)
{
	raise_one();
}

static long call_attach(void)
{
	return node_irq_attach(&node, 0, event);
}

static void undo_attach(void)
{
	CHECK_OK(node_irq_detach(&node, 0));
}

static void reading(void)
{
	node_open_mapped(&node, "edu");
	fail_begin();
	CHECK_EQ(node_irq_setup(&node, UDRV_IRQ_INTX, 1), 1);
	raise_one();
	fail_each("read", call_read, undo_read, fail_no_memory);
	edu_ack(&node);
	REQUIRE_OK(event = eventfd(0, EFD_CLOEXEC));
	fail_each("IRQ_ATTACH", call_attach, undo_attach, fail_no_memory);
	close(event);
	node_close(&node);
}

/* ---- programs ---- */

static struct udrv_prog_op ops[UDRV_PROG_MAX_OPS];
static uint64_t values[UDRV_PROG_MAX_OPS];
static unsigned int op_count;

static long call_prog_set(void)
{
	struct udrv_ioc_prog_set arg = NODE_ARG(arg);

	arg.use = UDRV_PROG_QUIESCE;
	arg.count = op_count;
	arg.ops = (uintptr_t)ops;
	return ioctl(node.fd, UDRV_IOC_PROG_SET, &arg);
}

static long call_prog_run(void)
{
	struct udrv_ioc_prog_run arg = NODE_ARG(arg);

	arg.count = op_count;
	arg.ops = (uintptr_t)ops;
	arg.values = (uintptr_t)values;
	return ioctl(node.fd, UDRV_IOC_PROG_RUN, &arg);
}

static void programs(void)
{
	node_open(&node, "edu");
	fail_begin();
	for (unsigned int i = 0; i < UDRV_PROG_MAX_OPS; i++)
		ops[i] = (struct udrv_prog_op){ .op = UDRV_PROG_READ,
						.width = 4,
						.offset = i * PAGE };
	for (op_count = 1; op_count <= UDRV_PROG_MAX_OPS; op_count *= 16) {
		CHECK_GT(fail_each("PROG_RUN", call_prog_run, NULL, fail_no_memory), 0);
		CHECK_GT(fail_each("PROG_SET", call_prog_set, NULL, fail_no_memory), 0);
	}
	node_close(&node);
}

/* ---- DMA ---- */

static struct udrv_ioc_dma_alloc buffer;
static uint64_t bytes;

static long call_alloc(void)
{
	return node_dma_alloc(&node, bytes, &buffer);
}

static void undo_alloc(void)
{
	CHECK_OK(node_dma_free(&node, buffer.handle));
}

#define MAP_PAGES 33U
static uint8_t *memory;
static struct udrv_dma_segment segments[MAP_PAGES];
static uint32_t handle;
static unsigned int direction;

static long call_map(void)
{
	uint32_t count = MAP_PAGES;

	return node_dma_map(&node, memory, bytes, direction, segments, &count, &handle);
}

static void undo_map(void)
{
	CHECK_OK(node_dma_sync(&node, handle, UDRV_DMA_SYNC_FOR_CPU, 0, bytes));
	CHECK_OK(node_dma_unmap(&node, handle));
}

/* No memory charged or held: neither by what failed nor by what was undone. */
static void check_nothing_held(void)
{
	tap_step("nothing is held");
	CHECK_EQ(node_number(&node, "dma_consistent"), 0);
	CHECK_EQ(node_number(&node, "dma_streaming"), 0);
	CHECK_EQ(os_status_kib("VmLck"), 0);
	CHECK_EQ(os_pinned_pages(), 0);
}

static void buffers(void)
{
	static const uint64_t sizes[] = { 1, 5 * PAGE, 1 << 20 };

	node_open(&node, "edu");
	fail_begin();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		bytes = sizes[i];
		CHECK_GT(fail_each("DMA_ALLOC", call_alloc, undo_alloc, fail_no_memory), 0);
	}
	check_nothing_held();
	node_close(&node);
}

static void mappings(void)
{
	memory = mmap(NULL, MAP_PAGES * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	REQUIRE(memory != MAP_FAILED);
	node_open(&node, "edu");
	fail_begin();
	for (direction = UDRV_DMA_TO_DEVICE; direction <= UDRV_DMA_BIDIRECTIONAL; direction++) {
		bytes = 64;
		CHECK_GT(fail_each("DMA_MAP of a page", call_map, undo_map, fail_no_memory), 0);
		bytes = MAP_PAGES * PAGE;
		CHECK_GT(fail_each("DMA_MAP of many", call_map, undo_map, fail_no_memory), 0);
	}
	check_nothing_held();
	node_close(&node);
}

/* ---- mmap, registers ---- */

static uint64_t view_offset;
static size_t view_bytes;
static int view_flags;

static long call_mmap(void)
{
	view = mmap(NULL, view_bytes, PROT_READ | PROT_WRITE, view_flags, node.fd, view_offset);
	return view == MAP_FAILED ? -1 : 0;
}

static void undo_mmap(void)
{
	CHECK_OK(munmap(view, view_bytes));
}

static uint32_t value;

static long call_pread(void)
{
	return pread(node.fd, &value, sizeof(value), view_offset) < 0 ? -1 : 0;
}

static void views(void)
{
	node_open(&node, "edu");
	fail_begin();
	for (int populated = 0; populated < 2; populated++) {
		view_flags = MAP_SHARED | (populated ? MAP_POPULATE : 0);
		view_bytes = 16 * PAGE;
		view_offset = node_region(&node, 0).offset;
		CHECK_GT(fail_each("mmap of a BAR", call_mmap, undo_mmap, fail_no_memory), 0);
		view_offset = node_region(&node, 0).offset_wc;
		CHECK_GT(fail_each("mmap, write-combining", call_mmap, undo_mmap, fail_no_memory), 0);
		CHECK_OK(node_dma_alloc(&node, view_bytes, &buffer));
		view_offset = buffer.offset;
		CHECK_GT(fail_each("mmap of a buffer", call_mmap, undo_mmap, fail_no_memory), 0);
		CHECK_OK(node_dma_free(&node, buffer.handle));
		view_offset = node_region(&node, 0).offset + (64 + populated) * PAGE;
		CHECK_GT(fail_each("pread of a register", call_pread, NULL, fail_no_memory), 0);
	}
	node_close(&node);
	CHECK(OS_WAIT_FOR(os_status_kib("VmLck") == 0, 30000));
}

/* ---- binding ---- */

static const char *probing;

static long call_bind(void)
{
	return os_write("/sys/bus/pci/drivers/udrv/bind", probing);
}

static void undo_bind(void)
{
	CHECK_OK(os_write("/sys/bus/pci/drivers/udrv/unbind", probing));
}

/* open() of the sysfs file is part of the call, and the driver core's and sysfs's own faults are.
 */
static void binding(void)
{
	static const int errors[] = { ENOMEM, EFAULT, ENODEV, ENFILE, EINVAL, 0 };

	node_get(&node, "edu");
	node_bind(&node);
	probing = node.address;
	fail_begin();
	if (fail_all)
		tap_skip("ACPI in 6.1 uses what it has freed when pci_enable_device() gets no "
			 "memory");
	REQUIRE_OK(os_write("/sys/bus/pci/drivers/udrv/unbind", probing));
	fail_each("probe", call_bind, undo_bind, errors);
	node_bind(&node);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST_LONG(opening, 300),	     TAP_TEST_LONG(closing, 300),
		TAP_TEST_LONG(interrupts_intx, 300), TAP_TEST_LONG(interrupts_msi, 300),
		TAP_TEST_LONG(interrupts_msix, 300), TAP_TEST_LONG(reading, 300),
		TAP_TEST_LONG(programs, 300),	     TAP_TEST_LONG(buffers, 300),
		TAP_TEST_LONG(mappings, 300),	     TAP_TEST_LONG(views, 300),
		TAP_TEST_LONG(binding, 300),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
