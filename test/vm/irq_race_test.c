// SPDX-License-Identifier: MIT
/*
 * irq_race_test.c - the INTx disable bit against everything else that happens at the same time
 *
 * The handler sets the bit in PCI_COMMAND; waiting, IRQ_UNMASK and IRQ_SETUP clear it; BUS_MASTER and a
 * reset rewrite the same register, and the end of a driver must have the last word. Threads do all of
 * that at once while the device keeps asserting its line. What goes wrong shows in three ways: an
 * interrupt that nobody masks (the line interrupts more often than it was raised; in the end the kernel
 * says "nobody cared", the lab fails the run), one that stays masked for good (a wait that does not
 * end), and a device that may interrupt when its driver is gone. The hard part is that no count of
 * events can be expected meanwhile: each round ends with one interrupt in peace, which must be counted
 * once.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define DISINTX (1U << 10)
#define WAIT_MS 60000

static struct node edu;
static bool stop;
static unsigned long raised;

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_SEQ_CST);
}

static void stop_and_join(struct os_thread *threads, unsigned int count)
{
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	while (count--)
		os_thread_join(&threads[count]);
	__atomic_store_n(&stop, false, __ATOMIC_SEQ_CST);
}

static bool masked_at_the_device(const struct node *node)
{
	return node_config(node, 4, 2) & DISINTX;
}

/*
 * The handler has seen the interrupt, or it cannot come: masked, not set up, gone. Released before that, it would be one
 * that nobody had asked for, and the kernel shuts a line down that has too many of those.
 */
static void wait_until_seen(uint64_t before)
{
	struct udrv_ioc_irq_info info;

	do
		info = (struct udrv_ioc_irq_info)NODE_ARG(info);
	while (!ioctl(edu.fd, UDRV_IOC_IRQ_INFO, &info) && info.kind == UDRV_IRQ_INTX &&
	       !(info.state & UDRV_IRQ_MASKED) && info.total == before);
}

/* The line is asserted and released, over and over; a revoked mapping takes the writes as well. */
static void *raise_and_ack(void *arg)
{
	struct udrv_ioc_irq_info info;

	(void)arg;
	while (!stopped()) {
		info = (struct udrv_ioc_irq_info)NODE_ARG(info);
		(void)!ioctl(edu.fd, UDRV_IOC_IRQ_INFO, &info); /* gone: the wait says so, too */
		edu_raise(&edu, 1);
		wait_until_seen(info.total);
		edu_ack(&edu);
		__atomic_add_fetch(&raised, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void *unmask_and_mask(void *arg)
{
	const struct node *node = arg;

	while (!stopped())
		if (node_irq_unmask(node, 0, 1) || node_irq_mask(node, 0, 1)) {
			CHECK(errno == ENODEV || errno == EINVAL); /* gone; nothing is set up */
			if (errno == ENODEV)
				break;
		}
	return NULL;
}

/* Arms by waiting, and takes what came. */
static void *poll_and_read(void *arg)
{
	const struct node *node = arg;
	struct pollfd wait = { .fd = node->fd, .events = POLLIN };
	struct udrv_irq_record record;

	while (!stopped() && poll(&wait, 1, 1) >= 0 && !(wait.revents & POLLHUP))
		if (wait.revents & POLLIN &&
		    preadv2(node->fd, &(struct iovec){ &record, sizeof(record) }, 1, 0,
			    RWF_NOWAIT) < 0)
			CHECK(errno == EAGAIN || errno == ENODEV);
	return NULL;
}

/* All is still; one interrupt is one interrupt. */
static void check_one(void)
{
	struct pollfd wait = { .fd = edu.fd, .events = POLLIN };
	struct udrv_irq_record record;

	edu_ack(&edu);
	REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
	CHECK_EQ(poll(&wait, 1, 0), 0);
	CHECK(!masked_at_the_device(&edu));
	edu_raise(&edu, 1);
	REQUIRE_EQ(poll(&wait, 1, WAIT_MS), 1);
	REQUIRE_EQ(read(edu.fd, &record, sizeof(record)), sizeof(record));
	CHECK_EQ(record.count, 1);
	CHECK(masked_at_the_device(&edu));
	edu_ack(&edu);
	CHECK_OK(node_irq_unmask(&edu, 0, 1));
	CHECK(!masked_at_the_device(&edu));
	CHECK_OK(node_irq_mask(&edu, 0, 1));
	CHECK(masked_at_the_device(&edu));
}

static void intx_masked_and_unmasked(void)
{
	struct os_thread threads[3];
	unsigned long before;

	node_open_mapped(&edu, "edu");
	REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
	tap_step("masked and unmasked while the device interrupts and threads wait");
	os_thread_start(&threads[0], raise_and_ack, NULL);
	os_thread_start(&threads[1], unmask_and_mask, &edu);
	os_thread_start(&threads[2], poll_and_read, &edu);
	before = node_irq_info(&edu, 0).total;
	CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).total > before + 3000, WAIT_MS));
	stop_and_join(threads, 3);
	check_one();
	tap_step("set up and taken down meanwhile");
	os_thread_start(&threads[0], raise_and_ack, NULL);
	os_thread_start(&threads[1], unmask_and_mask, &edu);
	os_thread_start(&threads[2], poll_and_read, &edu);
	for (int i = 0; i < 300; i++) {
		CHECK_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
		CHECK_EQ(node_irq_setup(&edu, UDRV_IRQ_NONE, 0), 0);
	}
	stop_and_join(threads, 3);
	check_one();
	node_close(&edu);
}

/* ---- on the CPU that takes the interrupt ---- */

#define TIMES 300

/* CPU 0 takes the interrupts, from the next one on; this thread is on CPU 1. Returns the interrupt's number. */
static unsigned int begin_on_two_cpus(void)
{
	unsigned int irq;
	char path[64];

	node_open_mapped(&edu, "edu");
	REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
	irq = node_irq_info(&edu, 0).linux_irq;
	snprintf(path, sizeof(path), "/proc/irq/%u/smp_affinity_list", irq);
	REQUIRE_OK(os_write(path, "0"));
	os_run_on(1);
	return irq;
}

/* The other CPU is in the midst of it: those that are emulated in turn stop anywhere. */
static void wait_for_another(const unsigned long *times)
{
	unsigned long seen = __atomic_load_n(times, __ATOMIC_SEQ_CST);

	while (__atomic_load_n(times, __ATOMIC_SEQ_CST) == seen)
		;
}

/* How often the line has interrupted, for whomever. */
static unsigned long long interrupts_of(unsigned int irq)
{
	char path[64], text[256], *p = text, *end;
	unsigned long long sum = 0;

	snprintf(path, sizeof(path), "/sys/kernel/irq/%u/per_cpu_count", irq);
	REQUIRE_OK(os_read(path, text, sizeof(text)));
	do {
		sum += strtoull(p, &end, 10);
		p = end + 1;
	} while (*end == ',');
	return sum;
}

static void *unmask_and_mask_on_cpu0(void *arg)
{
	unsigned long *times = arg;

	os_run_on(0);
	while (!stopped()) {
		CHECK_OK(node_irq_unmask(&edu, 0, 1));
		CHECK_OK(node_irq_mask(&edu, 0, 1));
		__atomic_add_fetch(times, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/*
 * One CPU masks and unmasks, and takes the interrupts; the other one makes the device interrupt. What the device's bit says
 * and what the module believes change together: else an interrupt in between is nobody's, and comes again and again. Seen
 * by counting: the line may interrupt once for each time that it was raised.
 */
static void intx_where_it_is_unmasked(void)
{
	struct udrv_irq_record record;
	struct os_thread thread;
	unsigned long long before;
	unsigned long times = 0;
	unsigned int irq;
	long long total;

	irq = begin_on_two_cpus();
	before = interrupts_of(irq);
	tap_step("interrupts one by one, on the CPU that masks and unmasks");
	os_thread_start(&thread, unmask_and_mask_on_cpu0, &times);
	for (int i = 0; i < TIMES; i++) {
		total = node_number(&edu, "interrupts");
		wait_for_another(&times);
		edu_raise(&edu, 1);
		/* Not by poll(): this CPU arms nothing, and so does not find what the other one leaves. */
		REQUIRE(OS_WAIT_FOR(node_number(&edu, "interrupts") != total, WAIT_MS));
		edu_ack(&edu);
		REQUIRE_EQ(read(edu.fd, &record, sizeof(record)), sizeof(record));
	}
	stop_and_join(&thread, 1);
	CHECK_LE(interrupts_of(irq) - before, TIMES);
	check_one();
	node_close(&edu);
}

static void *bus_master_on_and_off(void *arg)
{
	unsigned long *times = arg;

	os_run_on(0);
	while (!stopped()) {
		CHECK_OK(node_bus_master(&edu, true));
		CHECK_OK(node_bus_master(&edu, false));
		__atomic_add_fetch(times, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/*
 * BUS_MASTER rewrites the register that the handler, on the same CPU, and a waiter on the other one mask in. An interrupt
 * whose mask bit was overwritten comes again and again, or never.
 */
static void intx_beside_bus_master(void)
{
	struct udrv_irq_record record;
	struct os_thread thread;
	unsigned long long before;
	unsigned long times = 0;
	struct pollfd wait;
	unsigned int irq;

	irq = begin_on_two_cpus();
	wait = (struct pollfd){ .fd = edu.fd, .events = POLLIN };
	before = interrupts_of(irq);
	tap_step("interrupts one by one while PCI_COMMAND is rewritten");
	os_thread_start(&thread, bus_master_on_and_off, &times);
	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ(poll(&wait, 1, 0), 0); /* arms */
		wait_for_another(&times);
		edu_raise(&edu, 1);
		REQUIRE_EQ(poll(&wait, 1, WAIT_MS), 1);
		REQUIRE_EQ(read(edu.fd, &record, sizeof(record)), sizeof(record));
		edu_ack(&edu);
	}
	stop_and_join(&thread, 1);
	CHECK_LE(interrupts_of(irq) - before, TIMES);
	check_one();
	CHECK_OK(node_bus_master(&edu, true));
	CHECK_EQ(node_master(&edu), 1);
	node_close(&edu);
}

static void intx_taken_away(void)
{
	struct os_thread threads[3];
	char path[128];

	for (int i = 0; i < 30; i++) {
		unsigned long before = __atomic_load_n(&raised, __ATOMIC_SEQ_CST);

		tap_step("%s at work, round %d", i % 3 ? "revoked" : "unbound", i);
		node_open_mapped(&edu, "edu");
		REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
		os_thread_start(&threads[0], raise_and_ack, NULL);
		os_thread_start(&threads[1], unmask_and_mask, &edu);
		os_thread_start(&threads[2], poll_and_read, &edu);
		REQUIRE(OS_WAIT_FOR(raised > before + 100 && node_irq_info(&edu, 0).total > 10,
				    WAIT_MS));
		snprintf(path, sizeof(path), "/sys/class/udrv/%s/revoke", edu.name);
		if (i % 3)
			CHECK_OK(os_write(path, "1"));
		else
			node_unbind(&edu);
		CHECK(masked_at_the_device(&edu));
		CHECK_EQ(os_interrupts("udrv-00:02.0", NULL, 0), 0);
		os_thread_join(&threads[2]); /* it hears of the end by POLLHUP, the second one by ENODEV */
		os_thread_join(&threads[1]);
		stop_and_join(threads, 1);
		if (i % 3 == 0)
			node_bind(&edu);
		node_close(&edu);
		node_open_mapped(&edu, "edu");
		check_one();
		node_close(&edu);
	}
}

static pthread_barrier_t gate;

/* Arms at each turn, until it hears of the end. */
static void *poll_until_the_end(void *arg)
{
	unsigned int *running = arg;
	struct pollfd wait = { .fd = edu.fd, .events = POLLIN };

	pthread_barrier_wait(&gate);
	CHECK_EQ(poll(&wait, 1, 0), 0);
	__atomic_add_fetch(running, 1, __ATOMIC_SEQ_CST);
	while (poll(&wait, 1, 0) == 0)
		;
	CHECK(wait.revents & POLLHUP);
	return NULL;
}

/*
 * Many threads are about to arm when the end comes. Where the kernel itself is preempted (preempt=full) each of them may
 * be anywhere, also between its look at what is set up and its arming: that must not come after the end.
 */
static void intx_armed_at_the_end(void)
{
	enum { THREADS = 40, ROUNDS = 60 };
	struct os_thread threads[THREADS];
	char path[128];

	node_get(&edu, "edu");
	snprintf(path, sizeof(path), "/sys/class/udrv/%s/revoke", edu.name);
	REQUIRE_EQ(pthread_barrier_init(&gate, NULL, THREADS + 1), 0);
	tap_step("revoked under %u threads that poll, %u times", THREADS, ROUNDS);
	for (int i = 0; i < ROUNDS; i++) {
		unsigned int running = 0;

		node_open(&edu, "edu");
		REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
		for (int t = 0; t < THREADS; t++)
			os_thread_start(&threads[t], poll_until_the_end, &running);
		pthread_barrier_wait(&gate); /* else they would get in the way of those still to start */
		REQUIRE(OS_WAIT_FOR(__atomic_load_n(&running, __ATOMIC_SEQ_CST) == THREADS, WAIT_MS));
		CHECK_OK(os_write(path, "1"));
		for (int t = 0; t < THREADS; t++)
			os_thread_join(&threads[t]);
		CHECK(masked_at_the_device(&edu));
		node_close(&edu);
	}
}

/* Of the lab's devices only nvme has a reset; it interrupts nobody here, but its bit is seen. */
static void intx_beside_reset(void)
{
	struct udrv_ioc_device_reset reset = NODE_ARG(reset);
	struct os_thread threads[2];
	struct node nvme;

	node_open_mapped(&nvme, "nvme");
	REQUIRE_EQ(node_irq_setup(&nvme, UDRV_IRQ_INTX, 1), 1);
	os_thread_start(&threads[0], unmask_and_mask, &nvme);
	os_thread_start(&threads[1], poll_and_read, &nvme);
	for (int i = 0; i < 10; i++) {
		tap_step("reset %d while threads mask, unmask and wait", i);
		CHECK(OS_WAIT_FOR(!ioctl(nvme.fd, UDRV_IOC_DEVICE_RESET, &reset), WAIT_MS));
	}
	stop_and_join(threads, 2);
	tap_step("the device does as it is told");
	CHECK_OK(node_irq_unmask(&nvme, 0, 1));
	CHECK(!masked_at_the_device(&nvme));
	CHECK_OK(node_irq_mask(&nvme, 0, 1));
	CHECK(masked_at_the_device(&nvme));
	CHECK(OS_WAIT_FOR(!ioctl(nvme.fd, UDRV_IOC_DEVICE_RESET, &reset), WAIT_MS));
	CHECK(masked_at_the_device(&nvme));
	node_close(&nvme);
}

/* Two devices on one line (slots modulo 4), both armed: each counts its own interrupts only. */
static void another_on_the_line(void)
{
	struct udrv_irq_record record;
	struct node other;
	struct pollfd wait, other_wait;

	node_open_mapped(&edu, "edu28");
	node_open(&other, "nvme");
	REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
	REQUIRE_EQ(node_irq_setup(&other, UDRV_IRQ_INTX, 1), 1);
	REQUIRE_EQ(node_irq_info(&edu, 0).linux_irq, node_irq_info(&other, 0).linux_irq);
	wait = (struct pollfd){ .fd = edu.fd, .events = POLLIN };
	other_wait = (struct pollfd){ .fd = other.fd, .events = POLLIN };
	tap_step("the neighbour's interrupts are not counted");
	for (int i = 0; i < 1000; i++) {
		REQUIRE_EQ(poll(&other_wait, 1, 0), 0);
		REQUIRE_EQ(poll(&wait, 1, 0), 0);
		edu_raise(&edu, 1);
		REQUIRE_EQ(poll(&wait, 1, WAIT_MS), 1);
		REQUIRE_EQ(read(edu.fd, &record, sizeof(record)), sizeof(record));
		CHECK_EQ(record.count, 1);
		edu_ack(&edu);
	}
	CHECK_EQ(node_irq_info(&other, 0).total, 0);
	CHECK_EQ(node_irq_info(&edu, 0).total, 1000);
	node_close(&other);
	node_close(&edu);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST_LONG(intx_masked_and_unmasked, 120),
		TAP_TEST(intx_where_it_is_unmasked),
		TAP_TEST(intx_beside_bus_master),
		TAP_TEST_LONG(intx_taken_away, 120),
		TAP_TEST_LONG(intx_armed_at_the_end, 120),
		TAP_TEST(intx_beside_reset),
		TAP_TEST(another_on_the_line),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
