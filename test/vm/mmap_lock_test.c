// SPDX-License-Identifier: MIT
/*
 * mmap_lock_test.c - a process that waits in its own page fault holds up nobody, itself included
 *
 * Calls take pointers, and the memory behind them may not be there yet: the kernel waits for it, inside
 * the call. mmap() and faults run under mmap_lock and take locks of the node; so a call that held one of
 * those while it waits could wait for ever. userfaultfd makes the wait as long as the test likes: a
 * thread makes a call with such a page, and only when another one has done everything else with the
 * node, mapping included, the page is brought. On the debug kernel lockdep sees the order besides.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define WAIT_MS 60000

static struct node edu;

/* ---- a page that is not there until it is brought ---- */

static struct {
	int fd;
	uint8_t *page;
} late;

static void late_make(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	late.page = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(late.page != MAP_FAILED);
	REQUIRE_OK(late.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
	REQUIRE_OK(ioctl(late.fd, UFFDIO_API, &api));
	range.range.start = (uintptr_t)late.page;
	range.range.len = PAGE;
	REQUIRE_OK(ioctl(late.fd, UFFDIO_REGISTER, &range));
}

/* Somebody waits for it. */
static bool late_wanted(int ms)
{
	struct pollfd wait = { .fd = late.fd, .events = POLLIN };
	struct uffd_msg message;

	if (poll(&wait, 1, ms) != 1)
		return false;
	REQUIRE_EQ(read(late.fd, &message, sizeof(message)), sizeof(message));
	REQUIRE_EQ(message.event, UFFD_EVENT_PAGEFAULT);
	CHECK_EQ(message.arg.pagefault.address & ~(PAGE - 1), (uintptr_t)late.page);
	return true;
}

static void late_bring(const void *content, size_t bytes)
{
	static _Alignas(4096) uint8_t page[PAGE];
	struct uffdio_copy copy = { .dst = (uintptr_t)late.page, .src = (uintptr_t)page, .len = PAGE };

	memset(page, 0, PAGE);
	memcpy(page, content, bytes);
	REQUIRE_OK(ioctl(late.fd, UFFDIO_COPY, &copy));
}

static void late_drop(void)
{
	CHECK_OK(munmap(late.page, PAGE));
	CHECK_OK(close(late.fd));
}

/* ---- everything else meanwhile ---- */

static const struct udrv_prog_op read_id = { .op = UDRV_PROG_READ, .width = 4, .offset = EDU_ID };

static void map_and_touch(uint64_t offset)
{
	volatile uint32_t *view = mmap(NULL, PAGE, RW, MAP_SHARED, edu.fd, offset);

	REQUIRE(view != MAP_FAILED);
	(void)*view;
	CHECK_OK(munmap((void *)view, PAGE));
}

static void everything_else(void)
{
	static _Alignas(4096) uint8_t memory[PAGE];
	struct pollfd wait = { .fd = edu.fd, .events = POLLIN };
	struct udrv_ioc_prog_run run = NODE_ARG(run);
	struct udrv_ioc_dma_alloc buffer;
	struct udrv_dma_segment segment;
	uint32_t value, count = 1, handle;
	uint64_t values[1], registers = node_region(&edu, 0).offset;

	tap_step("registers and buffers are mapped and touched meanwhile");
	map_and_touch(registers);
	REQUIRE_OK(node_dma_alloc(&edu, PAGE, &buffer));
	map_and_touch(buffer.offset);
	CHECK_OK(node_dma_free(&edu, buffer.handle));
	tap_step("so are all calls");
	CHECK_EQ(pread(edu.fd, &value, 4, registers), 4);
	CHECK_EQ(value, EDU_ID_VALUE);
	CHECK_EQ(pwrite(edu.fd, &value, 4, registers + EDU_LIVE), 4);
	run.count = 1;
	run.ops = (uintptr_t)&read_id;
	run.values = (uintptr_t)values;
	CHECK_OK(ioctl(edu.fd, UDRV_IOC_PROG_RUN, &run));
	CHECK_EQ(values[0], EDU_ID_VALUE);
	CHECK_OK(node_dma_map(&edu, memory, PAGE, UDRV_DMA_TO_DEVICE, &segment, &count, &handle));
	CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_DEVICE, 0, PAGE));
	CHECK_OK(node_dma_unmap(&edu, handle));
	CHECK_EQ(node_irq_info(&edu, 0).kind, UDRV_IRQ_INTX);
	CHECK_OK(node_bus_master(&edu, true));
	CHECK_GE(poll(&wait, 1, 0), 0);
	CHECK_STR(node_attribute(&edu, "irq"), "intx 1");
	tap_step("and the call ends well");
}

static void begin(void)
{
	node_open_mapped(&edu, "edu");
	REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
	late_make();
}

/* Make a call in a thread; when it waits for the page, do everything else; then bring the page. */
static void in_the_middle_of(void *(*call)(void *), const void *content, size_t bytes)
{
	struct os_thread thread;

	os_thread_start(&thread, call, NULL);
	REQUIRE(late_wanted(WAIT_MS));
	everything_else();
	late_bring(content, bytes);
	os_thread_join(&thread);
}

static void end(void)
{
	late_drop();
	node_close(&edu);
}

/* ---- the calls ---- */

static void *run_batch(void *arg)
{
	struct udrv_ioc_prog_run run = NODE_ARG(run);
	uint64_t value = 0, *values = arg ? &value : (uint64_t *)late.page;

	run.count = 1;
	run.ops = arg ? (uintptr_t)late.page : (uintptr_t)&read_id;
	run.values = (uintptr_t)values;
	CHECK_OK(ioctl(edu.fd, UDRV_IOC_PROG_RUN, &run));
	CHECK_EQ(*values, EDU_ID_VALUE);
	return NULL;
}

static void *run_batch_of_late_operations(void *arg)
{
	(void)arg;
	return run_batch(late.page);
}

static void batch_values(void)
{
	begin();
	in_the_middle_of(run_batch, "", 0);
	end();
}

static void batch_operations(void)
{
	begin();
	in_the_middle_of(run_batch_of_late_operations, &read_id, sizeof(read_id));
	end();
}

static void *keep_program(void *arg)
{
	struct udrv_ioc_prog_set set = NODE_ARG(set);

	(void)arg;
	set.use = UDRV_PROG_QUIESCE;
	set.count = 1;
	set.ops = (uintptr_t)late.page;
	CHECK_OK(ioctl(edu.fd, UDRV_IOC_PROG_SET, &set));
	return NULL;
}

static void kept_program(void)
{
	begin();
	in_the_middle_of(keep_program, &read_id, sizeof(read_id));
	end();
}

static void *read_register(void *arg)
{
	(void)arg;
	CHECK_EQ(pread(edu.fd, late.page, 4, node_region(&edu, 0).offset), 4);
	CHECK_EQ(*(uint32_t *)late.page, EDU_ID_VALUE);
	return NULL;
}

static void *write_register(void *arg)
{
	(void)arg;
	CHECK_EQ(pwrite(edu.fd, late.page, 4, node_region(&edu, 0).offset + EDU_LIVE), 4);
	CHECK_EQ(node_read32(&edu, EDU_LIVE), ~0x1234U);
	return NULL;
}

static void registers(void)
{
	uint32_t value = 0x1234;

	begin();
	in_the_middle_of(read_register, "", 0);
	late_drop();
	late_make();
	in_the_middle_of(write_register, &value, sizeof(value));
	end();
}

static void *read_record(void *arg)
{
	const struct udrv_irq_record *record = (void *)late.page;

	(void)arg;
	CHECK_EQ(read(edu.fd, late.page, sizeof(*record)), sizeof(*record));
	CHECK_EQ(record->count, 1);
	return NULL;
}

static void interrupt(void)
{
	begin();
	edu_raise(&edu, 1);
	in_the_middle_of(read_record, "", 0);
	edu_ack(&edu);
	end();
}

static void *ask_device(void *arg)
{
	struct udrv_ioc_device_info *info = (void *)late.page;

	(void)arg;
	CHECK_OK(ioctl(edu.fd, UDRV_IOC_DEVICE_INFO, info));
	CHECK_EQ(info->vendor, 0x1234);
	return NULL;
}

static void call(void)
{
	struct udrv_ioc_device_info info = NODE_ARG(info);

	begin();
	in_the_middle_of(ask_device, &info, sizeof(info));
	end();
}

static void *map_for_device(void *arg)
{
	static _Alignas(4096) uint8_t memory[PAGE];
	uint32_t count = 1, handle;

	(void)arg;
	CHECK_OK(node_dma_map(&edu, memory, PAGE, UDRV_DMA_TO_DEVICE, (void *)late.page, &count,
			      &handle));
	CHECK_EQ(((struct udrv_dma_segment *)late.page)->length, PAGE);
	CHECK_OK(node_dma_unmap(&edu, handle));
	return NULL;
}

static void segments(void)
{
	begin();
	in_the_middle_of(map_for_device, "", 0);
	end();
}

static int pin_result;

static void *pin_late_page(void *arg)
{
	struct udrv_dma_segment segment;
	uint32_t count = 1, handle;

	(void)arg;
	if (node_dma_map(&edu, late.page, PAGE, UDRV_DMA_TO_DEVICE, &segment, &count, &handle))
		pin_result = errno;
	else
		CHECK_OK(node_dma_unmap(&edu, handle));
	return NULL;
}

/* Before 6.2 a long-term pin holds mmap_lock throughout, and such a page is refused. */
static void pinning(void)
{
	struct utsname kernel;
	int major, minor;

	REQUIRE_OK(uname(&kernel));
	REQUIRE_EQ(sscanf(kernel.release, "%d.%d", &major, &minor), 2);
	begin();
	if (major * 100 + minor >= 602) {
		in_the_middle_of(pin_late_page, "", 0);
		CHECK_EQ(pin_result, 0);
	} else {
		tap_step("refused, and nothing is left of it");
		pin_late_page(NULL);
		CHECK_EQ(pin_result, EFAULT);
		everything_else();
	}
	CHECK_EQ(os_pinned_pages(), 0);
	CHECK_EQ(os_status_kib("VmLck"), 0);
	end();
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(batch_values), TAP_TEST(batch_operations), TAP_TEST(kept_program),
		TAP_TEST(registers),	TAP_TEST(interrupt),	    TAP_TEST(call),
		TAP_TEST(segments),	TAP_TEST(pinning),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
