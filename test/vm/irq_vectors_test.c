// SPDX-License-Identifier: MIT
/*
 * irq_vectors_test.c - many vectors, and the interrupts of real network cards
 *
 * ivshmem-doorbell has 128 MSI-X vectors and rings its own doorbell: the guest is client 1 of the
 * lab's server. The 82574L has five, the 82540EM one INTx line. Every interrupt is fired from here,
 * so each vector's count must be exact. The hard part is not to outrun the interrupt controller,
 * which keeps one interrupt of a vector while another is being served: each is waited for.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define VECTORS 128U
#define CLIENT 1U
#define DOORBELL 12U

static struct node ivshmem;
static uint64_t doorbell;

static uint64_t total_of(const struct node *node, unsigned int vector)
{
	return node_irq_info(node, vector).total;
}

static void ring(unsigned int vector)
{
	uint32_t value = CLIENT << 16 | vector;

	REQUIRE_EQ(pwrite(ivshmem.fd, &value, 4, doorbell), 4);
}

static void ring_and_wait(unsigned int vector)
{
	uint64_t total = total_of(&ivshmem, vector);

	ring(vector);
	REQUIRE(OS_WAIT_FOR(total_of(&ivshmem, vector) == total + 1, 30000));
}

static void begin(unsigned int count)
{
	node_open(&ivshmem, "ivshmem");
	doorbell = node_region(&ivshmem, 0).offset + DOORBELL;
	REQUIRE_OK(fcntl(ivshmem.fd, F_SETFL, O_RDWR | O_NONBLOCK));
	REQUIRE_OK(node_bus_master(&ivshmem, true));
	REQUIRE_EQ(node_irq_setup(&ivshmem, UDRV_IRQ_MSIX, count), count);
}

static void each_counted(void)
{
	struct udrv_irq_record record;

	begin(VECTORS);
	tap_step("each vector by itself");
	for (unsigned int v = 0; v < VECTORS; v++) {
		unsigned int times = 1 + v % 3;

		for (unsigned int i = 0; i < times; i++)
			ring_and_wait(v);
		CHECK_EQ(read(ivshmem.fd, &record, sizeof(record)), sizeof(record));
		CHECK_EQ(record.vector, v);
		CHECK_EQ(record.count, times);
		CHECK_ERROR(read(ivshmem.fd, &record, sizeof(record)), EAGAIN);
	}
	tap_step("no vector got another's");
	for (unsigned int v = 0; v < VECTORS; v++)
		CHECK_EQ(total_of(&ivshmem, v), 1 + v % 3);
	CHECK_EQ(node_number(&ivshmem, "interrupts"), 255);
	node_close(&ivshmem);
}

/* All pending at once, read with room for some at a time. */
static void read_in_pieces(void)
{
	static const unsigned int rooms[] = { 1, 7, 8, 9, 64, 128, 200 };
	struct udrv_irq_record records[200];

	begin(VECTORS);
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		unsigned int seen[VECTORS] = { 0 }, all = 0;
		uint64_t before = os_now_ns();
		ssize_t n;

		tap_step("room for %u", rooms[i]);
		for (unsigned int v = 0; v < VECTORS; v++) {
			ring_and_wait(v);
			if (v % 5 == 0)
				ring_and_wait(v);
		}
		while ((n = read(ivshmem.fd, records, rooms[i] * sizeof(records[0]))) > 0) {
			unsigned int count = n / sizeof(records[0]);

			CHECK_EQ(n % sizeof(records[0]), 0);
			CHECK_EQ(count, VECTORS - all < rooms[i] ? VECTORS - all : rooms[i]);
			for (unsigned int r = 0; r < count; r++) {
				REQUIRE(records[r].vector < VECTORS);
				seen[records[r].vector]++;
				CHECK_EQ(records[r].count, records[r].vector % 5 ? 1 : 2);
				CHECK_GT(records[r].time_ns, before);
				CHECK_LT(records[r].time_ns, os_now_ns());
			}
			all += count;
		}
		CHECK_EQ(errno, EAGAIN);
		for (unsigned int v = 0; v < VECTORS; v++)
			CHECK_EQ(seen[v], 1);
	}
	node_close(&ivshmem);
}

static void total_is_vector_0(void)
{
	struct udrv_irq_record record;
	struct pollfd wait;
	uint32_t total;

	begin(8);
	tap_step("four bytes wait for vector 0 alone");
	ring_and_wait(5);
	CHECK_ERROR(read(ivshmem.fd, &total, 4), EAGAIN);
	ring_and_wait(0);
	ring_and_wait(0);
	CHECK_EQ(read(ivshmem.fd, &total, 4), 4);
	CHECK_EQ(total, 2);
	CHECK_ERROR(read(ivshmem.fd, &total, 4), EAGAIN);
	tap_step("the other one is still there");
	wait = (struct pollfd){ .fd = ivshmem.fd, .events = POLLIN };
	CHECK_EQ(poll(&wait, 1, 0), 1);
	CHECK_EQ(read(ivshmem.fd, &record, sizeof(record)), sizeof(record));
	CHECK_EQ(record.vector, 5);
	node_close(&ivshmem);
}

static void masked_range(void)
{
	struct udrv_irq_record records[VECTORS];

	begin(VECTORS);
	tap_step("a masked range holds its own back");
	CHECK_OK(node_irq_mask(&ivshmem, 10, 20));
	for (unsigned int v = 0; v < VECTORS; v++) {
		CHECK_EQ(node_irq_info(&ivshmem, v).state, v >= 10 && v < 30 ? UDRV_IRQ_MASKED : 0);
		if (v < 10 || v >= 30)
			ring_and_wait(v);
		else
			for (int i = 0; i < 3; i++)
				ring(v);
	}
	CHECK(!OS_WAIT_FOR(node_number(&ivshmem, "interrupts") != VECTORS - 20, 100));
	CHECK_EQ(read(ivshmem.fd, records, sizeof(records)), (VECTORS - 20) * sizeof(records[0]));
	tap_step("each comes once when part of it is let go");
	CHECK_OK(node_irq_unmask(&ivshmem, 10, 5));
	CHECK(OS_WAIT_FOR(node_number(&ivshmem, "interrupts") == VECTORS - 15, 30000));
	CHECK_OK(node_irq_unmask(&ivshmem, 0, VECTORS));
	CHECK(OS_WAIT_FOR(node_number(&ivshmem, "interrupts") == VECTORS, 30000));
	CHECK(!OS_WAIT_FOR(node_number(&ivshmem, "interrupts") != VECTORS, 100));
	for (unsigned int v = 0; v < VECTORS; v++)
		CHECK_EQ(total_of(&ivshmem, v), 1);
	tap_step("bounds");
	CHECK_ERROR(node_irq_mask(&ivshmem, VECTORS - 1, 2), EINVAL);
	CHECK_ERROR(node_irq_mask(&ivshmem, VECTORS, 1), EINVAL);
	CHECK_ERROR(node_irq_mask(&ivshmem, 2, ~0U), EINVAL);
	CHECK_ERROR(node_irq_mask(&ivshmem, ~0U, 2), EINVAL);
	CHECK_EQ(node_irq_info(&ivshmem, VECTORS - 1).state, 0);
	node_close(&ivshmem);
}

/* Where vector 3 arrives on one CPU and is unmasked on another, there is time for it to come twice. */
static void masked_again_and_again(void)
{
	char path[64];
	cpu_set_t cpus;

	begin(4);
	REQUIRE_OK(sched_getaffinity(0, sizeof(cpus), &cpus));
	if (CPU_COUNT(&cpus) > 1) {
		CPU_ZERO(&cpus);
		CPU_SET(0, &cpus);
		REQUIRE_OK(sched_setaffinity(0, sizeof(cpus), &cpus));
		snprintf(path, sizeof(path), "/proc/irq/%u/smp_affinity_list",
			 node_irq_info(&ivshmem, 3).linux_irq);
		REQUIRE_OK(os_write(path, "1"));
	}
	ring_and_wait(3);
	tap_step("masked, fired three times, unmasked: one comes");
	for (unsigned int i = 2; i <= 300; i++) {
		CHECK_OK(node_irq_mask(&ivshmem, 3, 1));
		for (int n = 0; n < 3; n++)
			ring(3);
		/*
		 * QEMU looks for rung bells in turns: each turn takes one of each vector, in any order. So
		 * when another vector's has come, one of these has been sent, or is in the same turn; when
		 * four have come one after the other, all three have been.
		 */
		for (int n = 0; n < 4; n++)
			ring_and_wait(0);
		CHECK_EQ(total_of(&ivshmem, 3), i - 1);
		CHECK_OK(node_irq_unmask(&ivshmem, 3, 1));
		if (!CHECK(OS_WAIT_FOR(total_of(&ivshmem, 3) >= i, 30000)))
			break;
	}
	CHECK(!OS_WAIT_FOR(total_of(&ivshmem, 3) != 300, 100));
	node_close(&ivshmem);
}

static void eventfds(void)
{
	struct udrv_irq_record record;
	int events[VECTORS];

	begin(VECTORS);
	tap_step("every second vector has one");
	for (unsigned int v = 0; v < VECTORS; v += 2) {
		REQUIRE_OK(events[v] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
		CHECK_OK(node_irq_attach(&ivshmem, v, events[v]));
	}
	for (unsigned int v = 0; v < VECTORS; v++)
		ring_and_wait(v);
	for (unsigned int v = 0; v < VECTORS; v += 2) {
		uint64_t count = 0;

		CHECK_EQ(read(events[v], &count, 8), 8);
		CHECK_EQ(count, 1);
		CHECK_EQ(node_irq_info(&ivshmem, v).pending, 0);
	}
	tap_step("the others are read");
	for (unsigned int v = 1; v < VECTORS; v += 2) {
		CHECK_EQ(read(ivshmem.fd, &record, sizeof(record)), sizeof(record));
		CHECK_EQ(record.vector, v);
	}
	CHECK_ERROR(read(ivshmem.fd, &record, sizeof(record)), EAGAIN);
	node_close(&ivshmem);
}

static void names(void)
{
	char name[256], others[VECTORS][256];

	begin(VECTORS);
	tap_step("each vector has its own");
	for (unsigned int v = 0; v < VECTORS; v++) {
		REQUIRE(os_interrupt_name(node_irq_info(&ivshmem, v).linux_irq, name,
					  sizeof(name)));
		CHECK(strstr(name, ivshmem.name + strlen("pci-")));
		/* After the last blank: before it is the controller's part. */
		snprintf(others[v], sizeof(others[v]), "%s", strrchr(name, ' '));
		for (unsigned int w = 0; w < v; w++)
			CHECK(strcmp(others[w], others[v]));
	}
	CHECK_EQ(os_interrupts("udrv", NULL, 0), VECTORS);
	tap_step("fewer vectors, fewer names");
	CHECK_EQ(node_irq_setup(&ivshmem, UDRV_IRQ_MSIX, 3), 3);
	CHECK_EQ(os_interrupts("udrv", NULL, 0), 3);
	tap_step("none after close");
	node_close(&ivshmem);
	CHECK_EQ(os_interrupts("udrv", NULL, 0), 0);
}

/* The kernel's usual: smp_affinity decides where a vector arrives. */
/* The CPU that the kernel says it sends a vector to. */
static unsigned int effective(const char *path)
{
	char where[16];

	REQUIRE(os_read(path, where, sizeof(where)) >= 0);
	return strtoul(where, NULL, 10);
}

/* Where a vector goes is the kernel's to do, by the usual files: what we say is that none is lost. */
static void affinity(void)
{
	unsigned int irq, rung = 0;
	char path[64];
	cpu_set_t cpus;

	REQUIRE_OK(sched_getaffinity(0, sizeof(cpus), &cpus));
	if (CPU_COUNT(&cpus) < 2)
		tap_skip("one CPU");
	begin(4);
	irq = node_irq_info(&ivshmem, 3).linux_irq;
	for (unsigned int turn = 0; turn < 6; turn++) {
		tap_step("vector 3 to CPU %u", turn % 2);
		snprintf(path, sizeof(path), "/proc/irq/%u/smp_affinity_list", irq);
		REQUIRE_OK(os_write(path, turn % 2 ? "1" : "0"));
		/* It takes effect with an interrupt, once the CPU that had it before has let go. */
		snprintf(path, sizeof(path), "/proc/irq/%u/effective_affinity_list", irq);
		CHECK(OS_WAIT_FOR((ring_and_wait(3), rung++, effective(path) == turn % 2), 30000));
		for (int i = 0; i < 10; i++, rung++)
			ring_and_wait(3);
		CHECK_EQ(total_of(&ivshmem, 3), rung);
	}
	node_close(&ivshmem);
}

#define TIMES 300U

static uint64_t read_counts[VECTORS];

static void *ring_some(void *arg)
{
	unsigned int first = (uintptr_t)arg;

	for (unsigned int i = 0; i < TIMES; i++)
		ring_and_wait(first + i % 16);
	return NULL;
}

/* Two threads fire, one reads: everything arrives, once. */
static void under_load(void)
{
	struct udrv_irq_record records[16];
	struct os_thread threads[2];
	struct pollfd wait;
	uint64_t all = 0;
	ssize_t n;

	begin(VECTORS);
	tap_step("%u interrupts", 2 * TIMES);
	wait = (struct pollfd){ .fd = ivshmem.fd, .events = POLLIN };
	os_thread_start(&threads[0], ring_some, (void *)0);
	os_thread_start(&threads[1], ring_some, (void *)64);
	while (all < 2 * TIMES) {
		REQUIRE_EQ(poll(&wait, 1, 30000), 1);
		REQUIRE((n = read(ivshmem.fd, records, sizeof(records))) > 0);
		for (unsigned int r = 0; r < n / sizeof(records[0]); r++) {
			read_counts[records[r].vector] += records[r].count;
			all += records[r].count;
		}
	}
	os_thread_join(&threads[0]);
	os_thread_join(&threads[1]);
	CHECK_EQ(all, 2 * TIMES);
	CHECK_EQ(poll(&wait, 1, 50), 0);
	for (unsigned int v = 0; v < VECTORS; v++) {
		CHECK_EQ(read_counts[v], total_of(&ivshmem, v));
		CHECK_EQ(read_counts[v], v % 64 < 16 ? TIMES / 16 + (v % 64 < TIMES % 16) : 0);
	}
	node_close(&ivshmem);
}

/* On one CPU there are fewer vectors than these devices could use. */
static void exhausted(void)
{
	struct udrv_ioc_irq_setup arg = NODE_ARG(arg);
	struct node nvme;

	begin(VECTORS);
	node_open(&nvme, "nvme");
	CHECK_OK(node_bus_master(&nvme, true));
	arg.kind = UDRV_IRQ_MSIX;
	if (!ioctl(nvme.fd, UDRV_IOC_IRQ_SETUP, &arg))
		tap_skip("there are vectors for all: boot with one CPU");
	tap_step("ENOSPC, and how many there are");
	CHECK_EQ(errno, ENOSPC);
	CHECK_GT(arg.count, 0);
	CHECK_LT(arg.count, node_info(&nvme).msix_count);
	CHECK_STR(node_attribute(&nvme, "irq"), "none 0");
	tap_step("so many can be had");
	CHECK_EQ(node_irq_setup(&nvme, UDRV_IRQ_MSIX, arg.count), arg.count);
	tap_step("with fewer in use elsewhere, all");
	CHECK_EQ(node_irq_setup(&ivshmem, UDRV_IRQ_MSIX, 1), 1);
	CHECK_EQ(node_irq_setup(&nvme, UDRV_IRQ_MSIX, 0), node_info(&nvme).msix_count);
	ring_and_wait(0);
	node_close(&nvme);
	node_close(&ivshmem);
}

/* ---- network cards -------------------------------------------------------------------------------- */

#define E1000_CTRL 0x0000
#define E1000_CTRL_RST (1U << 26)
#define E1000_ICR 0x00c0
#define E1000_ICS 0x00c8
#define E1000_IMS 0x00d0
#define E1000_IMC 0x00d8
#define E1000_IVAR 0x00e4
#define E1000_CAUSE_MDAC (1U << 9) /* caused by nothing but us */

static void reset_card(const struct node *card)
{
	node_write32(card, E1000_IMC, ~0U);
	node_write32(card, E1000_CTRL, node_read32(card, E1000_CTRL) | E1000_CTRL_RST);
	REQUIRE(OS_WAIT_FOR(!(node_read32(card, E1000_CTRL) & E1000_CTRL_RST), 30000));
	node_write32(card, E1000_IMC, ~0U);
	node_read32(card, E1000_ICR);
}

static void e1000_intx(void)
{
	struct udrv_irq_record record;
	struct node card;

	node_open_mapped(&card, "e1000");
	tap_step("82540EM: 1000 causes set, 1000 read");
	reset_card(&card);
	REQUIRE_EQ(node_irq_setup(&card, UDRV_IRQ_INTX, 0), 1);
	node_write32(&card, E1000_IMS, E1000_CAUSE_MDAC);
	for (unsigned int i = 0; i < 1000; i++) {
		node_write32(&card, E1000_ICS, E1000_CAUSE_MDAC);
		REQUIRE_EQ(read(card.fd, &record, sizeof(record)), sizeof(record));
		REQUIRE_EQ(record.count, 1);
		REQUIRE_EQ(node_read32(&card, E1000_ICR) & E1000_CAUSE_MDAC, E1000_CAUSE_MDAC);
	}
	CHECK_EQ(total_of(&card, 0), 1000);
	node_write32(&card, E1000_IMC, ~0U);
	node_close(&card);
}

/*
 * Causes of the 82574L's queues, each with a vector of its own: ICR bits 20 to 24. Its throttling timers
 * cannot be turned off in QEMU, and may repeat an interrupt: more may come, but of no vector whose cause
 * was never set, and none may be missing.
 */
static void e1000e_msix(void)
{
	struct udrv_irq_record record;
	uint64_t counts[5] = { 0 };
	struct node card;

	node_open_mapped(&card, "e1000e");
	REQUIRE_OK(node_bus_master(&card, true));
	reset_card(&card);
	REQUIRE_EQ(node_irq_setup(&card, UDRV_IRQ_MSIX, 0), 5);
	node_write32(&card, E1000_IVAR, 0xcba98); /* cause 20 + n: vector n, valid */
	node_write32(&card, E1000_IMS, 0x1fU << 20);
	for (unsigned int v = 0; v < 5; v++) {
		tap_step("82574L: vector %u", v);
		for (unsigned int i = 0; i < 100; i++) {
			node_write32(&card, E1000_ICS, 1U << (20 + v));
			do {
				REQUIRE_EQ(read(card.fd, &record, sizeof(record)), sizeof(record));
				REQUIRE(record.vector <= v);
				counts[record.vector] += record.count;
			} while (record.vector != v);
			node_write32(&card, E1000_ICR, 1U << (20 + v));
		}
		CHECK_GE(counts[v], 100);
	}
	tap_step("82574L: all accounted for");
	node_write32(&card, E1000_IMC, ~0U);
	REQUIRE_OK(fcntl(card.fd, F_SETFL, O_RDWR | O_NONBLOCK));
	for (unsigned int v = 0; v < 5; v++) {
		struct udrv_ioc_irq_info info = node_irq_info(&card, v);

		CHECK_EQ(counts[v] + info.pending, info.total);
		CHECK_LE(info.total, 250);
	}
	node_close(&card);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(each_counted),
		TAP_TEST_LONG(read_in_pieces, 120),
		TAP_TEST(total_is_vector_0),
		TAP_TEST(masked_range),
		TAP_TEST(masked_again_and_again),
		TAP_TEST(eventfds),
		TAP_TEST(names),
		TAP_TEST(affinity),
		TAP_TEST(under_load),
		TAP_TEST(exhausted),
		TAP_TEST(e1000_intx),
		TAP_TEST(e1000e_msix),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
