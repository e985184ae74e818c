// SPDX-License-Identifier: MIT
/*
 * irq_setup_test.c - choosing interrupts, and sending them to eventfds
 *
 * IRQ_SETUP with every kind on devices that have it and on devices that do not, what it replaces, the
 * names in /proc/interrupts, lines that are not shared; ATTACH and DETACH. The hard part is a vector
 * that changes its destination while something is pending: it must arrive once, and at one place.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

static struct node edu;
static const char *const kind_names[] = { "none", "INTx", "MSI" };

static void begin(unsigned int kind)
{
	node_open_mapped(&edu, "edu");
	REQUIRE_OK(fcntl(edu.fd, F_SETFL, O_RDWR | O_NONBLOCK));
	if (kind == UDRV_IRQ_MSI)
		REQUIRE_OK(node_bus_master(&edu, true));
	REQUIRE_EQ(node_irq_setup(&edu, kind, 1), 1);
}

/* Raise one and see it counted; INTx must be armed for that. */
static void fire(unsigned int kind)
{
	uint64_t total = node_irq_info(&edu, 0).total;

	if (kind == UDRV_IRQ_INTX)
		CHECK_OK(node_irq_unmask(&edu, 0, 1));
	edu_raise(&edu, 1);
	REQUIRE(OS_WAIT_FOR(node_irq_info(&edu, 0).total == total + 1, 30000));
	edu_ack(&edu);
}

/* ---- set-up ------------------------------------------------------------------------------------- */

static int setup(const struct node *node, unsigned int flags, unsigned int kind,
		 unsigned int count)
{
	struct udrv_ioc_irq_setup arg = NODE_ARG(arg);

	arg.flags = flags;
	arg.kind = kind;
	arg.count = count;
	return ioctl(node->fd, UDRV_IOC_IRQ_SETUP, &arg);
}

/* What each device has, it can have; what it has not, it cannot; and no more than it has. */
static void kinds(void)
{
	for (size_t i = 0; node_kinds[i]; i++) {
		struct udrv_ioc_device_info info;
		struct node node;
		unsigned int most[4] = { 0 };

		if (!node_find(&node, node_kinds[i]))
			continue;
		node_open(&node, node.kind);
		info = node_info(&node);
		most[UDRV_IRQ_INTX] = info.intx_count;
		most[UDRV_IRQ_MSI] = info.msi_count;
		most[UDRV_IRQ_MSIX] = info.msix_count;
		for (unsigned int kind = UDRV_IRQ_INTX; kind <= UDRV_IRQ_MSIX; kind++) {
			static const char *const names[] = { "none", "intx", "msi", "msix" };
			char text[32];

			tap_step("%s: %s", node.kind, names[kind]);
			CHECK_OK(node_bus_master(&node, false));
			if (!most[kind]) {
				CHECK_ERROR(setup(&node, 0, kind, 1), EOPNOTSUPP);
				CHECK_OK(node_bus_master(&node, true));
				CHECK_ERROR(setup(&node, 0, kind, 1), EOPNOTSUPP);
				CHECK_ERROR(setup(&node, 0, kind, 0), EOPNOTSUPP);
				CHECK_STR(node_attribute(&node, "irq"), "none 0");
				continue;
			}
			if (kind != UDRV_IRQ_INTX) {
				CHECK_ERROR(setup(&node, 0, kind, 1), EINVAL);
				CHECK_ERROR(setup(&node, 0, kind, 0), EINVAL);
				CHECK_STR(node_attribute(&node, "irq"), "none 0");
				CHECK_OK(node_bus_master(&node, true));
			}
			CHECK_ERROR(setup(&node, 0, kind, most[kind] + 1), EINVAL);
			CHECK_ERROR(setup(&node, 0, kind, 4096), EINVAL);
			CHECK_ERROR(setup(&node, 0, kind, ~0U), EINVAL);
			CHECK_EQ(node_irq_setup(&node, kind, 1), 1);
			CHECK_EQ(node_irq_info(&node, 0).count, 1);
			CHECK_EQ(node_irq_setup(&node, kind, 0), most[kind]);
			snprintf(text, sizeof(text), "%s %u", names[kind], most[kind]);
			CHECK_STR(node_attribute(&node, "irq"), text);
			CHECK_EQ(node_irq_info(&node, most[kind] - 1).kind, kind);
			/* Refused, it changes nothing. */
			CHECK_ERROR(setup(&node, 0, kind, most[kind] + 1), EINVAL);
			CHECK_ERROR(setup(&node, 0, 99, 1), EINVAL);
			CHECK_STR(node_attribute(&node, "irq"), text);
			CHECK_EQ(node_irq_setup(&node, UDRV_IRQ_NONE, 0), 0);
			CHECK_STR(node_attribute(&node, "irq"), "none 0");
			CHECK_EQ(node_irq_info(&node, 0).kind, UDRV_IRQ_NONE);
		}
		node_close(&node);
	}
}

/* A read without a set-up, on a device that has nothing to offer. */
static void no_interrupt(void)
{
	struct udrv_irq_record record;
	struct node node;

	node_open(&node, "testdev");
	tap_step("read of a device without interrupts");
	CHECK_EQ(node_info(&node).intx_count, 0);
	CHECK_ERROR(read(node.fd, &record, 24), EOPNOTSUPP);
	node_close(&node);
	node_open(&node, "ivshmem");
	tap_step("read of a device with MSI-X only, not mastering");
	CHECK_EQ(node_info(&node).intx_count, 0);
	CHECK_ERROR(read(node.fd, &record, 24), EINVAL);
	CHECK_OK(node_bus_master(&node, true));
	REQUIRE_OK(fcntl(node.fd, F_SETFL, O_RDWR | O_NONBLOCK));
	CHECK_ERROR(read(node.fd, &record, 24), EAGAIN);
	CHECK_STR(node_attribute(&node, "irq"), "msix 1");
	node_close(&node);
}

static void replaced(void)
{
	struct udrv_irq_record record;

	begin(UDRV_IRQ_INTX);
	CHECK_OK(node_bus_master(&edu, true));
	for (int i = 0; i < 10; i++) {
		unsigned int kind = i % 3 ? UDRV_IRQ_MSI : UDRV_IRQ_INTX;

		tap_step("what was pending is dropped (%d)", i);
		CHECK_EQ(node_irq_setup(&edu, kind, 1), 1);
		fire(kind);
		fire(kind);
		CHECK_EQ(node_irq_info(&edu, 0).pending, 2);
		CHECK_EQ(node_irq_setup(&edu, i % 2 ? UDRV_IRQ_MSI : UDRV_IRQ_INTX, 1), 1);
		CHECK_EQ(node_irq_info(&edu, 0).pending, 0);
		CHECK_EQ(node_irq_info(&edu, 0).total, 0);
		CHECK_ERROR(read(edu.fd, &record, 24), EAGAIN);
		fire(i % 2 ? UDRV_IRQ_MSI : UDRV_IRQ_INTX);
		CHECK_EQ(read(edu.fd, &record, 24), 24);
		CHECK_EQ(record.count, 1);
	}
	tap_step("with none set up");
	CHECK_EQ(node_irq_setup(&edu, UDRV_IRQ_NONE, 0), 0);
	CHECK_EQ(node_irq_info(&edu, 0).kind, UDRV_IRQ_NONE);
	CHECK_EQ(node_irq_info(&edu, 0).linux_irq, 0);
	CHECK_ERROR(node_irq_mask(&edu, 0, 1), EINVAL);
	CHECK_ERROR(node_irq_unmask(&edu, 0, 1), EINVAL);
	CHECK_ERROR(node_irq_attach(&edu, 0, eventfd(0, 0)), EINVAL);
	CHECK_ERROR(node_irq_detach(&edu, 0), EINVAL);
	CHECK_OK(setup(&edu, 0, UDRV_IRQ_NONE, 0));
	node_close(&edu);
}

static void names(void)
{
	char name[256], line[512];
	unsigned int irq;

	for (unsigned int kind = UDRV_IRQ_INTX; kind <= UDRV_IRQ_MSI; kind++) {
		tap_step("%s", kind_names[kind]);
		begin(kind);
		irq = node_irq_info(&edu, 0).linux_irq;
		REQUIRE(os_interrupt_name(irq, name, sizeof(name)));
		tap_note("%s", name);
		CHECK(strstr(name, "udrv"));
		CHECK(strstr(name, edu.name + strlen("pci-")));
		CHECK_EQ(os_interrupts("udrv", line, sizeof(line)), 1);
		tap_step("%s: gone when given back", kind_names[kind]);
		CHECK_EQ(node_irq_setup(&edu, UDRV_IRQ_NONE, 0), 0);
		CHECK_EQ(os_interrupts("udrv", line, sizeof(line)), 0);
		CHECK_EQ(node_irq_setup(&edu, kind, 1), 1);
		CHECK_EQ(os_interrupts("udrv", line, sizeof(line)), 1);
		tap_step("%s: gone after close", kind_names[kind]);
		node_close(&edu);
		CHECK_EQ(os_interrupts("udrv", line, sizeof(line)), 0);
	}
}

/* The line without the disable bit: it works, and it is not shared. 00:02.0 and 00:06.0 have one line. */
static void exclusive_line(void)
{
	struct udrv_irq_record record;
	int log = os_log_open();
	struct node other;

	begin(UDRV_IRQ_INTX);
	if (node_info(&edu).state & UDRV_DEVICE_CONFINED) {
		tap_step("confined: the line is not denied to others");
		CHECK_ERROR(setup(&edu, UDRV_IRQ_SETUP_NO_DISINTX, UDRV_IRQ_INTX, 1), EPERM);
		CHECK_STR(node_attribute(&edu, "irq"), "intx 1");
		node_close(&edu);
		return;
	}
	tap_step("NO_DISINTX: works");
	CHECK_OK(setup(&edu, UDRV_IRQ_SETUP_NO_DISINTX, UDRV_IRQ_INTX, 1));
	for (int i = 0; i < 200; i++) {
		CHECK_ERROR(read(edu.fd, &record, 24), EAGAIN);
		edu_raise(&edu, 1);
		CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).pending == 1, 30000));
		CHECK_EQ(node_config(&edu, 4, 2) & 0x400, 0);
		CHECK_EQ(node_irq_info(&edu, 0).state, UDRV_IRQ_MASKED);
		edu_ack(&edu);
		CHECK_EQ(read(edu.fd, &record, 24), 24);
		CHECK_EQ(record.count, 1);
	}
	CHECK_EQ(node_irq_info(&edu, 0).total, 200);
	tap_step("NO_DISINTX: only with INTx");
	CHECK_OK(node_bus_master(&edu, true));
	CHECK_ERROR(setup(&edu, UDRV_IRQ_SETUP_NO_DISINTX, UDRV_IRQ_MSI, 1), EINVAL);
	CHECK_STR(node_attribute(&edu, "irq"), "intx 1");
	if (!node_find(&other, "e1000e")) {
		node_close(&edu);
		return;
	}
	tap_step("NO_DISINTX: nobody else may have the line");
	node_open(&other, "e1000e");
	CHECK_ERROR(setup(&other, 0, UDRV_IRQ_INTX, 1), EBUSY);
	CHECK_STR(node_attribute(&other, "irq"), "none 0");
	tap_step("NO_DISINTX: nor may anybody have it already");
	CHECK_OK(setup(&edu, 0, UDRV_IRQ_INTX, 1));
	CHECK_OK(setup(&other, 0, UDRV_IRQ_INTX, 1));
	CHECK_EQ(node_irq_info(&other, 0).linux_irq, node_irq_info(&edu, 0).linux_irq);
	CHECK_ERROR(setup(&edu, UDRV_IRQ_SETUP_NO_DISINTX, UDRV_IRQ_INTX, 1), EBUSY);
	tap_step("NO_DISINTX: a refusal is no matter for the log");
	CHECK(!os_log_has(log, "Flags mismatch"));
	tap_step("without it, both work");
	CHECK_OK(setup(&edu, 0, UDRV_IRQ_INTX, 1));
	fire(UDRV_IRQ_INTX);
	CHECK_EQ(read(edu.fd, &record, 24), 24);
	CHECK_EQ(node_irq_info(&other, 0).total, 0);
	node_close(&other);
	node_close(&edu);
}

#define COMPUTING 1U /* in EDU_STATUS */

static uint64_t factorial_ns(uint32_t n)
{
	uint64_t start = os_now_ns();

	node_write32(&edu, EDU_FACTORIAL, n);
	REQUIRE(OS_WAIT_FOR(!(node_read32(&edu, EDU_STATUS) & COMPUTING), 30000));
	return os_now_ns() - start;
}

/*
 * The device interrupts while its vector goes away. A message then must not be sent to nowhere: address 0, where the
 * kernel leaves it. Only an IOMMU tells. edu's factorial ends at a time of its own, in a thread of QEMU's: any moment of
 * the call is tried.
 */
static void message_to_nowhere(void)
{
	const uint32_t interrupt = 0x80, slow = 20000000;
	uint64_t call_ns = ~0ULL, start, took, n;
	unsigned int times;
	int log = os_log_open();

	begin(UDRV_IRQ_MSI);
	times = node_info(&edu).state & UDRV_DEVICE_IOMMU ? os_times("UDRV_MESSAGES", 1000) : 50;
	tap_step("%u times", times);
	n = slow * 1000000ULL / factorial_ns(slow); /* of a millisecond */
	for (unsigned int i = 0; i < times; i++) {
		if (!CHECK_EQ(node_irq_setup(&edu, UDRV_IRQ_MSI, 1), 1))
			break;
		node_write32(&edu, EDU_STATUS, interrupt);
		node_write32(&edu, EDU_FACTORIAL,
			     i < 5 ? 0 : n * (call_ns / 1000) / 1000 * (i % 100) / 100);
		start = os_now_ns();
		CHECK_EQ(node_irq_setup(&edu, UDRV_IRQ_NONE, 0), 0);
		took = os_now_ns() - start;
		/* The shortest: one that was held up would make all that follow as long. */
		if (i < 5 && took < call_ns)
			call_ns = took;
		REQUIRE(OS_WAIT_FOR(!(node_read32(&edu, EDU_STATUS) & COMPUTING), 30000));
		node_write32(&edu, EDU_STATUS, 0);
		edu_ack(&edu);
	}
	tap_note("the call took %llu us, a factorial of %llu a millisecond", (unsigned long long)call_ns / 1000,
		 (unsigned long long)n);
	CHECK(!os_log_has(log, "DMAR"));
	/* edu keeps the line up that is acknowledged while MSI is on. */
	edu_raise(&edu, 1);
	edu_ack(&edu);
	node_close(&edu);
}

/* ---- eventfds ------------------------------------------------------------------------------------ */

static int new_eventfd(void)
{
	int fd;

	REQUIRE_OK(fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	return fd;
}

/* What it has counted since the last time; 0 nothing. */
static uint64_t count_of(int eventfd)
{
	uint64_t value = 0;

	if (read(eventfd, &value, 8) != 8)
		CHECK_EQ(errno, EAGAIN);
	return value;
}

static void eventfds(unsigned int kind)
{
	struct pollfd wait = { .fd = -1, .events = POLLIN };
	struct udrv_irq_record record;
	int first, second;

	begin(kind);
	first = new_eventfd();
	second = new_eventfd();
	tap_step("%s: goes to the eventfd and nowhere else", kind_names[kind]);
	CHECK_OK(node_irq_attach(&edu, 0, first));
	CHECK_EQ(node_irq_info(&edu, 0).state & UDRV_IRQ_EVENTFD, UDRV_IRQ_EVENTFD);
	for (int i = 1; i < 20; i++) {
		fire(kind);
		wait.fd = first;
		CHECK_EQ(poll(&wait, 1, 30000), 1);
		CHECK_EQ(count_of(first), 1);
		CHECK_EQ(node_irq_info(&edu, 0).pending, 0);
		wait.fd = edu.fd;
		CHECK_EQ(poll(&wait, 1, 0), 0);
		CHECK_ERROR(read(edu.fd, &record, 24), EAGAIN);
	}
	tap_step("%s: counts add up", kind_names[kind]);
	for (int i = 0; i < 5; i++)
		fire(kind);
	CHECK_EQ(count_of(first), 5);
	CHECK_EQ(count_of(first), 0);
	tap_step("%s: replaced", kind_names[kind]);
	fire(kind);
	CHECK_OK(node_irq_attach(&edu, 0, second));
	fire(kind);
	CHECK_EQ(count_of(first), 1);
	CHECK_EQ(count_of(second), 1);
	CHECK_OK(node_irq_attach(&edu, 0, second));
	fire(kind);
	CHECK_EQ(count_of(second), 1);
	tap_step("%s: detached, it is read again", kind_names[kind]);
	CHECK_OK(node_irq_detach(&edu, 0));
	CHECK_EQ(node_irq_info(&edu, 0).state & UDRV_IRQ_EVENTFD, 0);
	fire(kind);
	CHECK_EQ(count_of(first) + count_of(second), 0);
	CHECK_EQ(read(edu.fd, &record, 24), 24);
	CHECK_EQ(record.count, 1);
	CHECK_ERROR(node_irq_detach(&edu, 0), ENOENT);
	tap_step("%s: what is pending moves over", kind_names[kind]);
	fire(kind);
	fire(kind);
	CHECK_EQ(node_irq_info(&edu, 0).pending, 2);
	CHECK_OK(node_irq_attach(&edu, 0, first));
	CHECK_EQ(count_of(first), 2);
	CHECK_EQ(node_irq_info(&edu, 0).pending, 0);
	CHECK_ERROR(read(edu.fd, &record, 24), EAGAIN);
	tap_step("%s: held by the kernel", kind_names[kind]);
	REQUIRE_OK(wait.fd = dup(first));
	close(first);
	fire(kind);
	CHECK_EQ(count_of(wait.fd), 1);
	close(wait.fd); /* the last descriptor: nobody can hear it any more */
	fire(kind);
	tap_step("%s: a new set-up detaches", kind_names[kind]);
	CHECK_OK(node_irq_attach(&edu, 0, second));
	CHECK_EQ(node_irq_setup(&edu, kind, 1), 1);
	CHECK_EQ(node_irq_info(&edu, 0).state & UDRV_IRQ_EVENTFD, 0);
	fire(kind);
	CHECK_EQ(count_of(second), 0);
	CHECK_EQ(read(edu.fd, &record, 24), 24);
	tap_step("%s: so does close", kind_names[kind]);
	CHECK_OK(node_irq_attach(&edu, 0, second));
	node_close(&edu);
	begin(kind);
	fire(kind);
	CHECK_EQ(count_of(second), 0);
	node_close(&edu);
}

static void eventfds_intx(void)
{
	eventfds(UDRV_IRQ_INTX);
}

static void eventfds_msi(void)
{
	eventfds(UDRV_IRQ_MSI);
}

static void bad_eventfds(void)
{
	int pipes[2], event = new_eventfd(), closed;
	struct udrv_irq_record record;

	begin(UDRV_IRQ_MSI);
	REQUIRE_OK(pipe(pipes));
	REQUIRE_OK(closed = dup(event));
	close(closed);
	tap_step("not an eventfd, not open, no such vector");
	CHECK_OK(node_irq_attach(&edu, 0, event));
	CHECK_ERROR(node_irq_attach(&edu, 0, -1), EBADF);
	CHECK_ERROR(node_irq_attach(&edu, 0, closed), EBADF);
	CHECK_ERROR(node_irq_attach(&edu, 0, 1 << 30), EBADF);
	CHECK_ERROR(node_irq_attach(&edu, 0, pipes[1]), EINVAL);
	CHECK_ERROR(node_irq_attach(&edu, 0, edu.fd), EINVAL);
	CHECK_ERROR(node_irq_attach(&edu, 1, event), EINVAL);
	CHECK_ERROR(node_irq_detach(&edu, 1), EINVAL);
	tap_step("the one that was attached still is");
	fire(UDRV_IRQ_MSI);
	CHECK_EQ(count_of(event), 1);
	tap_step("a full one loses nothing else");
	CHECK_EQ(write(event, &(uint64_t){ ~0ULL - 1 }, 8), 8);
	for (int i = 0; i < 5; i++)
		fire(UDRV_IRQ_MSI);
	CHECK_GE(count_of(event), ~0ULL - 1);
	CHECK_OK(node_irq_detach(&edu, 0));
	fire(UDRV_IRQ_MSI);
	CHECK_EQ(read(edu.fd, &record, 24), 24);
	CHECK_EQ(node_irq_info(&edu, 0).total, 7);
	node_close(&edu);
}

/* INTx and an eventfd: UNMASK arms, and finds what is there already. */
static void eventfd_armed_by_unmask(void)
{
	int event = new_eventfd();
	struct pollfd wait = { .fd = event, .events = POLLIN };

	begin(UDRV_IRQ_INTX);
	CHECK_OK(node_irq_attach(&edu, 0, event));
	tap_step("raised after UNMASK");
	for (int i = 0; i < 500; i++) {
		CHECK_OK(node_irq_unmask(&edu, 0, 1));
		edu_raise(&edu, 1);
		CHECK_EQ(poll(&wait, 1, 30000), 1);
		CHECK_EQ(count_of(event), 1);
		edu_ack(&edu);
	}
	tap_step("raised before UNMASK");
	for (int i = 0; i < 500; i++) {
		edu_raise(&edu, 1);
		CHECK_EQ(count_of(event), 0);
		CHECK_OK(node_irq_unmask(&edu, 0, 1));
		CHECK_EQ(poll(&wait, 1, 30000), 1);
		CHECK_EQ(count_of(event), 1);
		edu_ack(&edu);
	}
	CHECK_EQ(node_irq_info(&edu, 0).total, 1000);
	node_close(&edu);
}

static bool stop;

static void *attach_and_detach(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		int event = new_eventfd();

		CHECK_OK(node_irq_attach(&edu, 0, event));
		close(event);
		CHECK_OK(node_irq_detach(&edu, 0));
	}
	return NULL;
}

/* Destinations change under the interrupts: none arrives twice, none is lost from the total. */
static void eventfd_changes_under_fire(void)
{
	struct os_thread thread;

	begin(UDRV_IRQ_MSI);
	tap_step("2000 interrupts");
	os_thread_start(&thread, attach_and_detach, NULL);
	for (int i = 0; i < 2000; i++) {
		edu_raise(&edu, 1);
		if (!CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).total == (uint64_t)i + 1, 30000)))
			break;
	}
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	os_thread_join(&thread);
	edu_ack(&edu);
	node_close(&edu);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(kinds),
		TAP_TEST(no_interrupt),
		TAP_TEST(replaced),
		TAP_TEST(names),
		TAP_TEST(exclusive_line),
		TAP_TEST_LONG(message_to_nowhere, 300),
		TAP_TEST(eventfds_intx),
		TAP_TEST(eventfds_msi),
		TAP_TEST(bad_eventfds),
		TAP_TEST(eventfd_armed_by_unmask),
		TAP_TEST_LONG(eventfd_changes_under_fire, 120),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
