// SPDX-License-Identifier: MIT
/*
 * abi_test.c - every call of the node with every kind of wrong argument
 *
 * Table driven: a call has a valid argument, and then everything that can be wrong with it is wrong
 * once. A refused call has its documented errno, has written nothing back and has changed nothing
 * that the kernel shows of the device. All of it twice: by the system call of 64-bit programs, and by
 * that of 32-bit ones (int $0x80 with addresses below 4 GiB, which is why all memory lies there).
 * Layouts are abi_layout.c's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

static struct node edu;
static bool compat; /* which system call */
static uint8_t *window; /* two pages, and one that is not there */
static uint8_t *memory; /* for streaming DMA, one page */
static struct udrv_dma_segment *segments;
static uint32_t buffer, mapping; /* handles made by prepare */
static int event = -1, not_event = -1;

static int call_ioctl(unsigned int cmd, const void *arg)
{
	if (!compat)
		return ioctl(edu.fd, cmd, arg);
#ifdef __x86_64__
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "0"(54L), "b"((long)edu.fd), "c"((long)cmd), "d"(arg)
			 : "r8", "r9", "r10", "r11", "memory");
	result = (int)result;
	if (result < 0) {
		errno = -result;
		return -1;
	}
	return result;
#else
	return ioctl(edu.fd, cmd, arg);
#endif
}

/* ---- the calls, and what makes them valid --------------------------------------------------- */

union argument {
	uint32_t size;
	struct {
		uint32_t size, flags, word[18];
	} raw;
	struct udrv_ioc_device_info device_info;
	struct udrv_ioc_device_bus_master bus_master;
	struct udrv_ioc_device_reset reset;
	struct udrv_ioc_region_info region_info;
	struct udrv_ioc_irq_setup irq_setup;
	struct udrv_ioc_irq_info irq_info;
	struct udrv_ioc_irq_range irq_range;
	struct udrv_ioc_irq_attach irq_attach;
	struct udrv_ioc_prog_set prog_set;
	struct udrv_ioc_prog_run prog_run;
	struct udrv_ioc_dma_mask dma_mask;
	struct udrv_ioc_dma_alloc dma_alloc;
	struct udrv_ioc_dma_handle dma_handle;
	struct udrv_ioc_dma_map dma_map;
	struct udrv_ioc_dma_sync dma_sync;
};

static void make_buffer(void)
{
	struct udrv_ioc_dma_alloc alloc;

	REQUIRE_OK(node_dma_alloc(&edu, PAGE, &alloc));
	buffer = alloc.handle;
}

static void make_mapping(void)
{
	uint32_t count = 1;

	REQUIRE_OK(node_dma_map(&edu, memory, PAGE, UDRV_DMA_BIDIRECTIONAL, segments, &count,
				&mapping));
}

static void fill_nothing(union argument *arg)
{
	(void)arg;
}

static void fill_bus_master(union argument *arg)
{
	arg->bus_master.enable = 1;
}

static void fill_irq_setup(union argument *arg)
{
	arg->irq_setup.kind = UDRV_IRQ_INTX;
	arg->irq_setup.count = 1;
}

static void set_up(union argument *arg)
{
	(void)arg;
	REQUIRE_OK(node_bus_master(&edu, true));
	REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_MSI, 1), 1);
}

static void fill_irq_range(union argument *arg)
{
	set_up(arg);
	arg->irq_range.count = 1;
}

static void fill_attach(union argument *arg)
{
	set_up(arg);
	arg->irq_attach.fd = event;
}

static void fill_detach(union argument *arg)
{
	set_up(arg);
	REQUIRE_OK(node_irq_attach(&edu, 0, event));
	arg->irq_attach.fd = -1;
}

/* A program of one read, in the page that else takes segments. */
static uint64_t make_program(void)
{
	const struct udrv_prog_op op = { .op = UDRV_PROG_READ, .width = 4 };

	memcpy(segments, &op, sizeof(op));
	return (uintptr_t)segments;
}

static void fill_prog_set(union argument *arg)
{
	arg->prog_set.use = UDRV_PROG_QUIESCE;
	arg->prog_set.count = 1;
	arg->prog_set.ops = make_program();
}

static void fill_prog_run(union argument *arg)
{
	arg->prog_run.count = 1;
	arg->prog_run.ops = make_program();
	arg->prog_run.values = (uintptr_t)memory;
}

static void fill_dma_mask(union argument *arg)
{
	arg->dma_mask.bits = 32;
}

static void fill_dma_alloc(union argument *arg)
{
	arg->dma_alloc.length = 5000;
}

static void fill_dma_free(union argument *arg)
{
	make_buffer();
	make_mapping();
	arg->dma_handle.handle = buffer;
}

static void fill_dma_map(union argument *arg)
{
	arg->dma_map.user_addr = (uintptr_t)memory;
	arg->dma_map.length = PAGE;
	arg->dma_map.segments = (uintptr_t)segments;
	arg->dma_map.segment_count = 1;
	arg->dma_map.direction = UDRV_DMA_BIDIRECTIONAL;
}

static void fill_dma_unmap(union argument *arg)
{
	make_buffer();
	make_mapping();
	arg->dma_handle.handle = mapping;
}

static void fill_dma_sync(union argument *arg)
{
	make_buffer();
	make_mapping();
	arg->dma_sync.handle = mapping;
	arg->dma_sync.to = UDRV_DMA_SYNC_FOR_CPU;
	arg->dma_sync.length = PAGE;
}

struct field {
	unsigned int at, bytes;
};

#define FIELD(type, member) { offsetof(struct type, member), sizeof(((struct type *)0)->member) }

static const struct call {
	const char *name;
	unsigned int cmd, size;
	void (*fill)(union argument *);
	uint32_t flags; /* known ones */
	int result; /* errno of the valid call on edu */
	bool writes_back;
	struct field reserved;
	struct field out[3]; /* ignored on the way in */
} calls[] = {
	{ "DEVICE_INFO", UDRV_IOC_DEVICE_INFO, 72, fill_nothing, 0, 0, true,
	  FIELD(udrv_ioc_device_info, reserved), { { 8, 60 } } },
	{ "DEVICE_BUS_MASTER", UDRV_IOC_DEVICE_BUS_MASTER, 16, fill_bus_master, 0, 0, false,
	  FIELD(udrv_ioc_device_bus_master, reserved), {} },
	{ "DEVICE_RESET", UDRV_IOC_DEVICE_RESET, 8, fill_nothing, 0, EOPNOTSUPP, false, {}, {} },
	{ "REGION_INFO", UDRV_IOC_REGION_INFO, 56, fill_nothing, 0, 0, true, {}, { { 12, 44 } } },
	{ "IRQ_SETUP", UDRV_IOC_IRQ_SETUP, 16, fill_irq_setup, UDRV_IRQ_SETUP_NO_DISINTX, 0, true,
	  {}, {} },
	{ "IRQ_INFO", UDRV_IOC_IRQ_INFO, 40, set_up, 0, 0, true, {}, { { 12, 28 } } },
	{ "IRQ_MASK", UDRV_IOC_IRQ_MASK, 16, fill_irq_range, 0, 0, false, {}, {} },
	{ "IRQ_UNMASK", UDRV_IOC_IRQ_UNMASK, 16, fill_irq_range, 0, 0, false, {}, {} },
	{ "IRQ_ATTACH", UDRV_IOC_IRQ_ATTACH, 16, fill_attach, 0, 0, false, {}, {} },
	{ "IRQ_DETACH", UDRV_IOC_IRQ_DETACH, 16, fill_detach, 0, 0, false, {}, {} },
	{ "PROG_SET", UDRV_IOC_PROG_SET, 24, fill_prog_set, 0, 0, false, {}, {} },
	{ "PROG_RUN", UDRV_IOC_PROG_RUN, 32, fill_prog_run, 0, 0, true, {}, { { 12, 4 } } },
	{ "DMA_MASK", UDRV_IOC_DMA_MASK, 16, fill_dma_mask, 0, 0, false,
	  FIELD(udrv_ioc_dma_mask, reserved), {} },
	{ "DMA_ALLOC", UDRV_IOC_DMA_ALLOC, 40, fill_dma_alloc, 0, 0, true,
	  FIELD(udrv_ioc_dma_alloc, reserved), { { 16, 20 } } },
	{ "DMA_FREE", UDRV_IOC_DMA_FREE, 16, fill_dma_free, 0, 0, false,
	  FIELD(udrv_ioc_dma_handle, reserved), {} },
	{ "DMA_MAP", UDRV_IOC_DMA_MAP, 48, fill_dma_map, 0, 0, true,
	  FIELD(udrv_ioc_dma_map, reserved), { { 40, 4 } } },
	{ "DMA_UNMAP", UDRV_IOC_DMA_UNMAP, 16, fill_dma_unmap, 0, 0, false,
	  FIELD(udrv_ioc_dma_handle, reserved), {} },
	{ "DMA_SYNC", UDRV_IOC_DMA_SYNC, 32, fill_dma_sync, 0, 0, false, {}, {} },
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* ---- what a refused call must not change ---------------------------------------------------- */

struct snapshot {
	struct udrv_ioc_device_info device;
	struct udrv_ioc_irq_info irq;
	char kind[32], consistent[32], streaming[32];
	uint32_t command;
	long pinned;
};

static void take(struct snapshot *now)
{
	memset(now, 0, sizeof(*now));
	now->device = node_info(&edu);
	now->irq = node_irq_info(&edu, 0);
	snprintf(now->kind, sizeof(now->kind), "%s", node_attribute(&edu, "irq"));
	snprintf(now->consistent, sizeof(now->consistent), "%s",
		 node_attribute(&edu, "dma_consistent"));
	snprintf(now->streaming, sizeof(now->streaming), "%s",
		 node_attribute(&edu, "dma_streaming"));
	now->command = node_config(&edu, 4, 2);
	now->pinned = os_pinned_pages();
}

static void same(const struct snapshot *before, const char *what)
{
	struct snapshot after;

	take(&after);
	if (!CHECK(!memcmp(before, &after, sizeof(after))))
		tap_note("changed by: %s", what);
}

/* A call that must be refused, with its argument at @at; @bytes of it must stay as they are. */
static void refused(const struct call *call, void *at, size_t bytes, int error, const char *what)
{
	uint8_t copy[2 * PAGE];

	memcpy(copy, at, bytes);
	if (!CHECK_ERROR(call_ioctl(call->cmd, at), error))
		tap_note("in: %s %s", call->name, what);
	if (!CHECK_MEM((uint8_t *)at, copy, bytes))
		tap_note("written by: %s %s", call->name, what);
}

/* A fresh driver, and a valid argument at the window's start. */
static union argument *begin(const struct call *call)
{
	union argument *arg = (union argument *)window;

	node_close(&edu);
	node_reopen(&edu);
	memset(window, 0, 2 * PAGE);
	memset(segments, 0, PAGE);
	buffer = mapping = 0;
	call->fill(arg);
	arg->size = call->size;
	return arg;
}

/* The valid argument at the end of what is mapped of the window, so that only @bytes of it are there. */
static void *at_end(const union argument *arg, size_t bytes)
{
	uint8_t *end = window + 2 * PAGE;

	memcpy(end - bytes, arg, bytes);
	return end - bytes;
}

static void bad_pointers(const struct call *call, const union argument *arg)
{
	static const uintptr_t bad[] = { 0, 8, 0xfffffff0, 0x7ffffffff000, 0xffff888000000000,
					 0xffffffff81000000, ~0xfffUL, ~7UL };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!compat || bad[i] >> 32 == 0)
			CHECK_ERROR(call_ioctl(call->cmd, (void *)bad[i]), EFAULT);
	for (size_t bytes = 0; bytes < call->size; bytes++)
		refused(call, at_end(arg, bytes), bytes, EFAULT, "partly unmapped");
}

static void bad_sizes(const struct call *call, union argument *arg)
{
	static const uint32_t huge[] = { PAGE + 1, PAGE + 8, 2 * PAGE, 0x7fffffff, 0x80000000,
					 ~0U };
	uint32_t larger[] = { call->size + 1, call->size + 8, 1000, PAGE };

	for (arg->size = 0; arg->size < call->size; arg->size++)
		refused(call, arg, call->size, EINVAL, "too small");
	for (size_t i = 0; i < sizeof(larger) / sizeof(larger[0]); i++) {
		arg->size = larger[i];
		window[call->size] = 1;
		refused(call, arg, 2 * PAGE, E2BIG, "tail begins with 1");
		window[call->size] = 0;
		window[larger[i] - 1] = 0x80;
		refused(call, arg, 2 * PAGE, E2BIG, "tail ends with 0x80");
		window[larger[i] - 1] = 0;
	}
	for (size_t i = 0; i < sizeof(huge) / sizeof(huge[0]); i++) {
		arg->size = huge[i];
		refused(call, arg, 2 * PAGE, E2BIG, "larger than a page");
	}
	arg->size = call->size;
}

static void bad_flags(const struct call *call, union argument *arg)
{
	for (uint32_t bit = 1; bit; bit <<= 1) {
		if (call->flags & bit)
			continue;
		arg->raw.flags = bit;
		refused(call, arg, call->size, EINVAL, "flags");
	}
	arg->raw.flags = 0;
	for (unsigned int i = 0; i < call->reserved.bytes; i++) {
		window[call->reserved.at + i] = 1;
		refused(call, arg, call->size, EINVAL, "reserved");
		window[call->reserved.at + i] = 0;
	}
}

/* Copying back fails; by then everything had been done, and must be undone. */
static void read_only(const struct call *call, union argument *arg)
{
	int wanted = call->result ? call->result : EFAULT;

	if (!call->writes_back && !call->result)
		return;
	REQUIRE_OK(mprotect(window, 2 * PAGE, PROT_READ));
	for (int i = 0; i < 3; i++)
		refused(call, arg, call->size, wanted, "in read-only memory");
	REQUIRE_OK(mprotect(window, 2 * PAGE, PROT_READ | PROT_WRITE));
}

static void refusals(const struct call *call)
{
	union argument *arg = begin(call);
	struct snapshot before;

	take(&before);
	bad_pointers(call, arg);
	same(&before, "bad pointers");
	bad_sizes(call, arg);
	same(&before, "bad sizes");
	bad_flags(call, arg);
	same(&before, "bad flags");
	read_only(call, arg);
	same(&before, "read-only memory");
}

static void accepted(const struct call *call, const void *at, const char *what)
{
	bool good = call->result ? CHECK_ERROR(call_ioctl(call->cmd, at), call->result) :
				   CHECK_OK(call_ioctl(call->cmd, at));

	if (!good)
		tap_note("in: %s %s", call->name, what);
}

static void acceptances(const struct call *call)
{
	uint32_t sizes[] = { call->size, call->size + 1, call->size + 8, PAGE };
	static const uint8_t zeros[2 * PAGE];
	union argument *arg;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		arg = begin(call);
		arg->size = sizes[i];
		accepted(call, arg, "of this size, with a tail of zeros");
		CHECK_EQ(arg->size, sizes[i]);
		CHECK_MEM(window + call->size, zeros, 2 * PAGE - call->size);
	}
	arg = begin(call);
	accepted(call, at_end(arg, call->size), "up to the end of a page");
	arg = begin(call);
	memmove(window + 1, arg, call->size);
	accepted(call, window + 1, "at an odd address");
	arg = begin(call);
	for (int i = 0; i < 3; i++)
		memset(window + call->out[i].at, 0xff, call->out[i].bytes);
	accepted(call, arg, "with out fields full of ones");
	if (call->writes_back)
		return;
	arg = begin(call);
	REQUIRE_OK(mprotect(window, 2 * PAGE, PROT_READ));
	accepted(call, arg, "in read-only memory: it has nothing to write back");
	REQUIRE_OK(mprotect(window, 2 * PAGE, PROT_READ | PROT_WRITE));
}

/* ---- values ---------------------------------------------------------------------------------- */

#include "abi_values.h"

static void bad_values_of(const struct call *call)
{
	union argument *arg = begin(call);
	struct snapshot before;
	char what[64];

	take(&before);
	for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++) {
		const struct bad_value *bad = &bad_values[i];
		uint64_t value = bad->value, old;

		if (bad->cmd != call->cmd)
			continue;
		if (bad->special == OTHER_KIND)
			value = call->cmd == UDRV_IOC_DMA_FREE ? mapping : buffer;
		if (bad->special == NOT_EVENT)
			value = not_event;
		if (bad->special == CLOSED_FD)
			value = 1000;
		memcpy(&old, window + bad->field.at, bad->field.bytes);
		memcpy(window + bad->field.at, &value, bad->field.bytes);
		snprintf(what, sizeof(what), "with %#llx at offset %u", (unsigned long long)value,
			 bad->field.at);
		refused(call, arg, call->size, bad->error, what);
		memcpy(window + bad->field.at, &old, bad->field.bytes);
	}
	same(&before, "bad values");
	/* With everything as it was, the call still works: only the bad value was refused. */
	accepted(call, arg, "after the bad values");
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void begin_test(void)
{
	node_open(&edu, "edu");
	window = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	REQUIRE(window != MAP_FAILED && memory != MAP_FAILED);
	REQUIRE_OK(munmap(window + 2 * PAGE, PAGE));
	segments = (void *)(memory + PAGE);
	memset(memory, 0x5a, PAGE);
	REQUIRE_OK(event = eventfd(0, EFD_CLOEXEC));
	REQUIRE_OK(not_event = open("/dev/null", O_RDWR | O_CLOEXEC));
}

static void all_calls(void)
{
	begin_test();
	for (size_t i = 0; i < CALLS; i++) {
		tap_step("%s refuses", calls[i].name);
		refusals(&calls[i]);
		tap_step("%s refuses values", calls[i].name);
		bad_values_of(&calls[i]);
		tap_step("%s accepts", calls[i].name);
		acceptances(&calls[i]);
	}
	node_close(&edu);
}

static bool only_looks(unsigned int cmd)
{
	return cmd == UDRV_IOC_DEVICE_INFO || cmd == UDRV_IOC_REGION_INFO ||
	       cmd == UDRV_IOC_IRQ_INFO;
}

/* Open for reading only: what changes something is refused, whatever it is given. */
static void read_only_descriptor(void)
{
	struct udrv_ioc_irq_info info = NODE_ARG(info);
	struct pollfd poll_fd = { .events = POLLIN };
	struct udrv_irq_record record;
	struct snapshot before;
	uint32_t total;

	begin_test();
	close(edu.fd);
	REQUIRE_OK(edu.fd = open(edu.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	take(&before);
	for (size_t i = 0; i < CALLS; i++) {
		tap_step("%s", calls[i].name);
		memset(window, 0, PAGE);
		*(uint32_t *)window = calls[i].size;
		if (only_looks(calls[i].cmd)) {
			CHECK_OK(call_ioctl(calls[i].cmd, window));
			continue;
		}
		CHECK_ERROR(call_ioctl(calls[i].cmd, window), EBADF);
		CHECK_ERROR(call_ioctl(calls[i].cmd, NULL), EBADF);
	}
	tap_step("read and poll set no interrupts up");
	CHECK_ERROR(read(edu.fd, &record, sizeof(record)), EBADF);
	CHECK_ERROR(read(edu.fd, &total, sizeof(total)), EBADF);
	poll_fd.fd = edu.fd;
	CHECK_EQ(poll(&poll_fd, 1, 0), 1);
	CHECK_EQ(poll_fd.revents, POLLERR);
	CHECK_OK(ioctl(edu.fd, UDRV_IOC_IRQ_INFO, &info));
	CHECK_EQ(info.kind, UDRV_IRQ_NONE);
	tap_step("no such call is no such call");
	CHECK_ERROR(call_ioctl(_IO(UDRV_IOC_TYPE, 0xff), window), ENOTTY);
	same(&before, "a read-only descriptor");
	node_close(&edu);
}

static bool known(unsigned int cmd)
{
	for (size_t i = 0; i < CALLS; i++)
		if (calls[i].cmd == cmd)
			return true;
	return false;
}

static void unknown_calls(void)
{
	static const unsigned int types[] = { 0x3E, 0xBC, 0xBD, 0xBF, 0xFE };
	struct snapshot before;

	begin_test();
	memset(window, 0, PAGE);
	*(uint32_t *)window = 16;
	take(&before);
	tap_step("each number that is none");
	for (unsigned int nr = 0; nr < 256; nr++)
		if (!known(_IO(UDRV_IOC_TYPE, nr))) {
			CHECK_ERROR(call_ioctl(_IO(UDRV_IOC_TYPE, nr), window), ENOTTY);
			CHECK_ERROR(call_ioctl(_IO(UDRV_IOC_TYPE, nr), NULL), ENOTTY);
		}
	tap_step("other types, directions and sizes");
	for (size_t i = 0; i < CALLS; i++) {
		for (size_t n = 0; n < sizeof(types) / sizeof(types[0]); n++)
			CHECK_ERROR(call_ioctl(_IO(types[n], calls[i].cmd & 0xff), window), ENOTTY);
		for (unsigned int bit = 16; bit < 32; bit++)
			CHECK_ERROR(call_ioctl(calls[i].cmd | 1U << bit, window), ENOTTY);
	}
	same(&before, "unknown calls");
	node_close(&edu);
}

static void have_compat(void)
{
	pid_t child = fork();

	if (child == 0) {
		edu.fd = -1;
		compat = true;
		_exit(call_ioctl(0, NULL) == -1 && errno == EBADF ? 0 : 1);
	}
	if (os_wait_child(child))
		tap_skip("this kernel has no 32-bit system calls");
	compat = true;
}

static void all_calls_32(void)
{
	have_compat();
	all_calls();
}

static void unknown_calls_32(void)
{
	have_compat();
	unknown_calls();
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST_LONG(all_calls, 300),
		TAP_TEST_LONG(unknown_calls, 120),
		TAP_TEST(read_only_descriptor),
		TAP_TEST_LONG(all_calls_32, 300),
		TAP_TEST_LONG(unknown_calls_32, 120),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
