// SPDX-License-Identifier: MIT
/*
 * reset_test.c - resets that the driver did not ask for: by somebody else, and at its end
 *
 * unbind_test has the reset that a driver asks for. Here root resets the device through sysfs while
 * a driver is at work with it, while nobody has it open, and while others open and close it; and
 * drivers are killed whose device was left running. Device: nvme, the only one here that has FLR.
 * Its CC register is read-write, and 0 after reset: that tells.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define CC 0x14U
#define CC_MARK 0x460000U /* sizes of queue entries; not enabled */

static struct node nvme;

static void begin(void)
{
	node_open_mapped(&nvme, "nvme");
	node_write32(&nvme, CC, 0); /* the kernel's driver leaves it enabled */
	node_write32(&nvme, CC, CC_MARK);
	REQUIRE_EQ(node_read32(&nvme, CC), CC_MARK);
}

/* As root may. Whoever looks at the device at the moment is waited for. */
static int reset_by_sysfs(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/reset", nvme.sysfs);
	return os_write(path, "1");
}

static void *read_dies(void *arg)
{
	struct udrv_irq_record record;

	(void)arg;
	CHECK_ERROR(read(nvme.fd, &record, sizeof(record)), ENODEV);
	return NULL;
}

static void by_others(void)
{
	static uint8_t memory[PAGE] __attribute__((aligned(4096)));
	struct udrv_ioc_dma_alloc buffer;
	struct udrv_dma_segment segment;
	uint32_t count = 1, handle;
	struct os_thread reader;
	struct node again;

	begin();
	REQUIRE_OK(node_bus_master(&nvme, true));
	REQUIRE_EQ(node_irq_setup(&nvme, UDRV_IRQ_MSIX, 4), 4);
	REQUIRE_OK(node_dma_alloc(&nvme, PAGE, &buffer));
	REQUIRE_OK(node_dma_map(&nvme, memory, PAGE, UDRV_DMA_BIDIRECTIONAL, &segment, &count,
				&handle));
	os_thread_start(&reader, read_dies, NULL);
	os_wait_blocked(reader.tid, SYS_read);
	tap_step("a reset by somebody else takes the device from its driver");
	CHECK_OK(reset_by_sysfs());
	os_thread_join(&reader);
	CHECK_EQ(node_read32(&nvme, CC), ~0U);
	node_check_dead(nvme.fd);
	CHECK(OS_WAIT_FOR(os_pinned_pages() == 0, 30000));
	tap_step("the node opens again, the device was reset, and is off the bus");
	node_open_mapped(&again, "nvme");
	CHECK_EQ(node_read32(&again, CC), 0);
	CHECK_EQ(node_master(&again), 0);
	CHECK_EQ(node_irq_info(&again, 0).kind, UDRV_IRQ_NONE);
	tap_step("the old descriptor stays dead");
	node_check_dead(nvme.fd);
	node_close(&nvme);
	CHECK_EQ(node_read32(&again, CC), 0);
	node_close(&again);
}

static void nobody_has_it(void)
{
	begin();
	node_close(&nvme);
	tap_step("a reset while nobody has it open");
	for (int i = 0; i < 3; i++) {
		CHECK_OK(reset_by_sysfs());
		node_open_mapped(&nvme, "nvme");
		CHECK_EQ(node_read32(&nvme, CC), 0);
		node_close(&nvme);
	}
}

static bool stop;
static unsigned long lives;

static void *open_and_close(void *arg)
{
	struct node node = nvme;
	uint64_t bar = *(uint64_t *)arg;
	uint32_t value;

	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		node.fd = open(node.path, O_RDWR | O_CLOEXEC);
		if (node.fd < 0) {
			CHECK_EQ(errno, EBUSY); /* while it is reset */
			continue;
		}
		if (pread(node.fd, &value, 4, bar + CC) != 4 || node_bus_master(&node, true))
			CHECK_EQ(errno, ENODEV);
		CHECK_OK(close(node.fd));
		__atomic_add_fetch(&lives, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void against_opens(void)
{
	struct os_thread opener;
	uint64_t bar;

	begin();
	bar = node_region(&nvme, 0).offset;
	node_close(&nvme);
	tap_step("30 resets against a process that opens, works and closes");
	os_thread_start(&opener, open_and_close, &bar);
	for (int i = 0; i < 30; i++) {
		unsigned long before = __atomic_load_n(&lives, __ATOMIC_SEQ_CST);

		CHECK_OK(reset_by_sysfs());
		REQUIRE(OS_WAIT_FOR(__atomic_load_n(&lives, __ATOMIC_SEQ_CST) > before, 30000));
	}
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	os_thread_join(&opener);
	begin();
	node_close(&nvme);
}

/* Killed with its device in use: the next one finds it reset. */
static void after_kill(void)
{
	for (int i = 0; i < 4; i++) {
		int ready[2];
		char byte;
		pid_t child;

		tap_step(i % 2 ? "killed, after it mapped registers only" :
				 "killed, with bus mastering on and interrupts set up");
		REQUIRE_OK(pipe(ready));
		child = fork();
		if (child == 0) {
			begin();
			if (i % 2 == 0) {
				REQUIRE_OK(node_bus_master(&nvme, true));
				REQUIRE_EQ(node_irq_setup(&nvme, UDRV_IRQ_MSIX, 4), 4);
			}
			REQUIRE_EQ(write(ready[1], "x", 1), 1);
			pause();
		}
		close(ready[1]);
		REQUIRE_EQ(read(ready[0], &byte, 1), 1);
		close(ready[0]);
		REQUIRE_OK(kill(child, SIGKILL));
		CHECK(WIFSIGNALED(os_wait_child(child)));
		node_open_mapped(&nvme, "nvme");
		CHECK_EQ(node_read32(&nvme, CC), 0);
		CHECK_EQ(node_master(&nvme), 0);
		node_close(&nvme);
	}
}

/* A driver's own program is the reset, if it is believed and the program has run to its end. */
static void by_its_program(void)
{
	static const struct udrv_prog_op ops[] = {
		{ .op = UDRV_PROG_READ, .width = 4, .offset = CC },
		{ .op = UDRV_PROG_TEST, .mask = ~0U, .value = 0 }, /* stops: it is CC_MARK */
	};
	struct udrv_ioc_prog_set set = NODE_ARG(set);

	for (set.use = UDRV_PROG_QUIESCE; set.use <= UDRV_PROG_RESET; set.use++)
		for (set.count = 1; set.count <= 2; set.count++) {
			bool believed;

			begin();
			REQUIRE_OK(node_bus_master(&nvme, true));
			believed = set.use == UDRV_PROG_RESET && set.count == 1 &&
				   !(node_info(&nvme).state & UDRV_DEVICE_CONFINED);
			tap_step("use %u, %u operations: %s", set.use, set.count,
				 believed ? "the device is as it was" : "reset by the kernel");
			set.ops = (uintptr_t)ops;
			CHECK_OK(ioctl(nvme.fd, UDRV_IOC_PROG_SET, &set));
			node_close(&nvme);
			node_open_mapped(&nvme, "nvme");
			CHECK_EQ(node_read32(&nvme, CC), believed ? CC_MARK : 0);
			node_close(&nvme);
		}
	tap_step("who is believed by the next one is not by who takes the device away afterwards");
	begin();
	set.use = UDRV_PROG_RESET;
	set.count = 1;
	CHECK_OK(ioctl(nvme.fd, UDRV_IOC_PROG_SET, &set));
	node_close(&nvme);
	node_unbind(&nvme);
	node_open_mapped(&nvme, "nvme");
	CHECK_EQ(node_read32(&nvme, CC), 0);
	node_close(&nvme);
	tap_step("taken away from its driver for good, it is reset all the same");
	begin();
	CHECK_OK(ioctl(nvme.fd, UDRV_IOC_PROG_SET, &set));
	node_unbind(&nvme);
	node_close(&nvme);
	node_open_mapped(&nvme, "nvme");
	CHECK_EQ(node_read32(&nvme, CC), 0);
	node_close(&nvme);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(by_others),
		TAP_TEST(nobody_has_it),
		TAP_TEST(against_opens),
		TAP_TEST(after_kill),
		TAP_TEST(by_its_program),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
