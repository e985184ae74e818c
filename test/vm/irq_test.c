// SPDX-License-Identifier: MIT
/*
 * irq_test.c - interrupts as something to read: edu, by INTx and by MSI
 *
 * edu raises an interrupt when it is told to, so every one is known, and all are counted. Other ways to
 * wait, and several waiters, are irq_wait_test.c's; set-up and eventfds irq_setup_test.c's; many
 * vectors irq_vectors_test.c's. The hard part is to prove that nothing is lost between a reader that is about
 * to wait and an interrupt that is about to come: the ping-pong tests give that race thousands of
 * chances, and every count must be exact.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

static struct node edu;
static const char *const kind_names[] = { "none", "INTx", "MSI" };

/* Open, with one vector of this kind. */
static void begin(unsigned int kind)
{
	node_open_mapped(&edu, "edu");
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
}

static void check_record(const struct udrv_irq_record *record, unsigned int count)
{
	CHECK_EQ(record->vector, 0);
	CHECK_EQ(record->count, count);
	CHECK_EQ(record->value, 0);
}

static void *read_record(void *arg)
{
	CHECK_EQ(read(edu.fd, arg, sizeof(struct udrv_irq_record)),
		 sizeof(struct udrv_irq_record));
	return NULL;
}

/* ---- the set-up that read() makes ------------------------------------------------------------ */

static void bare_read(void)
{
	struct udrv_irq_record record;
	struct os_thread reader;
	uint32_t total;

	node_open_mapped(&edu, "edu");
	tap_step("without bus mastering: INTx");
	CHECK_EQ(node_irq_info(&edu, 0).kind, UDRV_IRQ_NONE);
	os_thread_start(&reader, read_record, &record);
	os_wait_blocked(reader.tid, SYS_read);
	/* It may have slept while it set up, too. */
	CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).kind == UDRV_IRQ_INTX &&
			  node_irq_info(&edu, 0).state == 0, 30000));
	CHECK_EQ(node_irq_info(&edu, 0).count, 1);
	edu_raise(&edu, 1);
	os_thread_join(&reader);
	check_record(&record, 1);
	CHECK_EQ(node_irq_info(&edu, 0).state, UDRV_IRQ_MASKED);
	edu_ack(&edu);
	node_close(&edu);

	tap_step("raised before the read");
	node_open_mapped(&edu, "edu");
	edu_raise(&edu, 1);
	CHECK_EQ(read(edu.fd, &record, sizeof(record)), sizeof(record));
	check_record(&record, 1);
	edu_ack(&edu);
	node_close(&edu);

	tap_step("with bus mastering: MSI");
	node_open_mapped(&edu, "edu");
	CHECK_OK(node_bus_master(&edu, true));
	os_thread_start(&reader, read_record, &record);
	os_wait_blocked(reader.tid, SYS_read);
	CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).kind == UDRV_IRQ_MSI, 30000));
	edu_raise(&edu, 1);
	os_thread_join(&reader);
	check_record(&record, 1);
	edu_ack(&edu);
	node_close(&edu);

	tap_step("of four bytes");
	node_open_mapped(&edu, "edu");
	edu_raise(&edu, 1);
	CHECK_EQ(read(edu.fd, &total, 4), 4);
	CHECK_EQ(total, 1);
	edu_ack(&edu);
	node_close(&edu);

	tap_step("a refused size sets nothing up");
	node_open_mapped(&edu, "edu");
	CHECK_ERROR(read(edu.fd, &record, 8), EINVAL);
	CHECK_EQ(node_irq_info(&edu, 0).kind, UDRV_IRQ_NONE);
	node_close(&edu);
}

/* ---- read() ------------------------------------------------------------------------------------ */

static void read_sizes(unsigned int kind)
{
	static const size_t bad[] = { 0, 1, 2, 3, 5, 7, 8, 12, 16, 20, 23 };
	static const size_t good[] = { 24, 25, 47, 48, 240, 65536 };
	static uint8_t buffer[65536];
	uint32_t total;

	begin(kind);
	tap_step("%s: sizes that are none", kind_names[kind]);
	fire(kind);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_ERROR(read(edu.fd, buffer, bad[i]), EINVAL);
	CHECK_EQ(node_irq_info(&edu, 0).pending, 1);
	tap_step("%s: sizes with room for a record", kind_names[kind]);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (i) {
			edu_ack(&edu);
			fire(kind);
		}
		memset(buffer, 0xa5, sizeof(buffer));
		CHECK_EQ(read(edu.fd, buffer, good[i]), 24);
		check_record((void *)buffer, 1);
		for (size_t n = 24; n < good[i]; n++)
			if (buffer[n] != 0xa5)
				CHECK_EQ(buffer[n], 0xa5);
	}
	edu_ack(&edu);
	tap_step("%s: four bytes are the running total", kind_names[kind]);
	for (uint32_t i = 1; i < 20; i++) {
		fire(kind);
		edu_ack(&edu);
		CHECK_EQ(read(edu.fd, &total, 4), 4);
		CHECK_EQ(total, i + 6);
	}
	tap_step("%s: pread at 0 is read, and the position stays there", kind_names[kind]);
	fire(kind);
	edu_ack(&edu);
	CHECK_EQ(pread(edu.fd, buffer, 24, 0), 24);
	check_record((void *)buffer, 1);
	CHECK_ERROR(lseek(edu.fd, 8, SEEK_SET), ESPIPE);
	CHECK_ERROR(write(edu.fd, buffer, 4), EINVAL);
	node_close(&edu);
}

static void read_sizes_intx(void)
{
	read_sizes(UDRV_IRQ_INTX);
}

static void read_sizes_msi(void)
{
	read_sizes(UDRV_IRQ_MSI);
}

static void bad_buffers(unsigned int kind)
{
	/* Volatile: the compiler knows what read() must not be given. */
	void *volatile nowhere[] = { NULL, (void *)8, (void *)0xffff888000000000 };
	struct udrv_irq_record record;
	uint32_t total;
	uint8_t *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);

	REQUIRE(page != MAP_FAILED);
	REQUIRE_OK(mprotect(page + PAGE, PAGE, PROT_READ));
	begin(kind);
	tap_step("%s: refused, and not lost", kind_names[kind]);
	fire(kind);
	edu_ack(&edu);
	CHECK_ERROR(read(edu.fd, nowhere[0], 24), EFAULT);
	CHECK_ERROR(read(edu.fd, nowhere[1], 4), EFAULT);
	CHECK_ERROR(read(edu.fd, page + PAGE, 24), EFAULT);
	CHECK_ERROR(read(edu.fd, page + PAGE - 12, 24), EFAULT);
	CHECK_ERROR(read(edu.fd, page + PAGE - 2, 4), EFAULT);
	CHECK_ERROR(read(edu.fd, nowhere[2], 24), EFAULT);
	CHECK_EQ(node_irq_info(&edu, 0).pending, 1);
	CHECK_EQ(read(edu.fd, &record, 24), 24);
	check_record(&record, 1);
	fire(kind);
	CHECK_ERROR(read(edu.fd, page + PAGE, 4), EFAULT);
	CHECK_EQ(read(edu.fd, &total, 4), 4);
	CHECK_EQ(total, 2);
	edu_ack(&edu);
	node_close(&edu);
}

static void bad_buffers_intx(void)
{
	bad_buffers(UDRV_IRQ_INTX);
}

static void bad_buffers_msi(void)
{
	bad_buffers(UDRV_IRQ_MSI);
}

static void nonblock(unsigned int kind)
{
	struct udrv_irq_record record;
	uint32_t total;

	begin(kind);
	REQUIRE_OK(fcntl(edu.fd, F_SETFL, O_RDWR | O_NONBLOCK));
	tap_step("%s: EAGAIN, which arms", kind_names[kind]);
	for (unsigned int i = 1; i < 50; i++) {
		CHECK_ERROR(read(edu.fd, &record, 24), EAGAIN);
		CHECK_ERROR(read(edu.fd, &total, 4), EAGAIN);
		CHECK_EQ(node_irq_info(&edu, 0).state & UDRV_IRQ_MASKED, 0);
		edu_raise(&edu, 1);
		CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).pending == 1, 30000));
		edu_ack(&edu);
		CHECK_EQ(read(edu.fd, &record, 24), 24);
		check_record(&record, 1);
		CHECK_EQ(node_irq_info(&edu, 0).total, i);
	}
	node_close(&edu);
}

static void nonblock_intx(void)
{
	nonblock(UDRV_IRQ_INTX);
}

static void nonblock_msi(void)
{
	nonblock(UDRV_IRQ_MSI);
}

/* ---- INTx: masked when it fires, armed by waiting --------------------------------------------- */

static void intx_masked_until_wait(void)
{
	struct udrv_irq_record record;

	begin(UDRV_IRQ_INTX);
	tap_step("starts masked");
	CHECK_EQ(node_irq_info(&edu, 0).state, UDRV_IRQ_MASKED);
	CHECK_EQ(node_config(&edu, 4, 2) & 0x400, 0x400);
	edu_raise(&edu, 1);
	CHECK(!OS_WAIT_FOR(node_irq_info(&edu, 0).total, 50));
	tap_step("not acknowledged, it is there again at each wait");
	for (unsigned int i = 1; i < 20; i++) {
		CHECK_EQ(read(edu.fd, &record, 24), 24);
		check_record(&record, 1);
		CHECK_EQ(node_irq_info(&edu, 0).total, i);
		CHECK_EQ(node_irq_info(&edu, 0).state, UDRV_IRQ_MASKED);
	}
	tap_step("acknowledged, it is not");
	edu_ack(&edu);
	REQUIRE_OK(fcntl(edu.fd, F_SETFL, O_RDWR | O_NONBLOCK));
	CHECK_ERROR(read(edu.fd, &record, 24), EAGAIN);
	tap_step("armed once, it fires once, however often it is raised");
	CHECK_EQ(node_config(&edu, 4, 2) & 0x400, 0);
	for (int i = 0; i < 10; i++)
		edu_raise(&edu, 1 << i);
	CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).pending, 30000));
	CHECK_EQ(node_config(&edu, 4, 2) & 0x400, 0x400);
	edu_ack(&edu);
	CHECK_EQ(read(edu.fd, &record, 24), 24);
	check_record(&record, 1);
	node_close(&edu);
}

static void masking(unsigned int kind)
{
	struct udrv_irq_record record;
	uint64_t total;

	begin(kind);
	REQUIRE_OK(fcntl(edu.fd, F_SETFL, O_RDWR | O_NONBLOCK));
	for (int twice = 0; twice < 2; twice++) {
		tap_step("%s: masked%s, it does not come", kind_names[kind],
			 twice ? " twice" : "");
		fire(kind);
		edu_ack(&edu);
		CHECK_EQ(read(edu.fd, &record, 24), 24);
		CHECK_OK(node_irq_unmask(&edu, 0, 1));
		CHECK_EQ(node_irq_info(&edu, 0).state, 0);
		total = node_irq_info(&edu, 0).total;
		for (int i = 0; i <= twice; i++)
			CHECK_OK(node_irq_mask(&edu, 0, 1));
		CHECK_EQ(node_irq_info(&edu, 0).state, UDRV_IRQ_MASKED);
		for (int i = 0; i < 3; i++)
			edu_raise(&edu, 1);
		CHECK(!OS_WAIT_FOR(node_irq_info(&edu, 0).total != total, 100));
		CHECK_EQ(node_irq_info(&edu, 0).pending, 0);
		tap_step("%s: unmasked%s, it comes once", kind_names[kind],
			 twice ? " once" : "");
		CHECK_OK(node_irq_unmask(&edu, 0, 1));
		CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).total == total + 1, 30000));
		CHECK(!OS_WAIT_FOR(node_irq_info(&edu, 0).total != total + 1, 50));
		edu_ack(&edu);
		CHECK_EQ(read(edu.fd, &record, 24), 24);
		check_record(&record, 1);
	}
	tap_step("%s: nothing signalled while masked, nothing comes", kind_names[kind]);
	total = node_irq_info(&edu, 0).total;
	CHECK_OK(node_irq_mask(&edu, 0, 1));
	CHECK_OK(node_irq_unmask(&edu, 0, 1));
	CHECK_OK(node_irq_unmask(&edu, 0, 1));
	CHECK(!OS_WAIT_FOR(node_irq_info(&edu, 0).total != total, 50));
	tap_step("%s: and then it works as before", kind_names[kind]);
	for (int i = 0; i < 20; i++) {
		fire(kind);
		edu_ack(&edu);
		CHECK_EQ(read(edu.fd, &record, 24), 24);
		check_record(&record, 1);
	}
	CHECK_OK(node_irq_mask(&edu, 0, 1));
	node_close(&edu); /* masked: the next driver must not find it so */
	begin(kind);
	fire(kind);
	edu_ack(&edu);
	node_close(&edu);
}

static void masking_intx(void)
{
	masking(UDRV_IRQ_INTX);
}

static void masking_msi(void)
{
	masking(UDRV_IRQ_MSI);
}

/* ---- counts and times --------------------------------------------------------------------------- */

static void counts_and_times(void)
{
	struct udrv_irq_record record;
	uint64_t before, after, last = 0;

	begin(UDRV_IRQ_MSI);
	for (unsigned int n = 1; n <= 64; n *= 4) {
		tap_step("%u before the read", n);
		before = os_now_ns();
		fire(UDRV_IRQ_MSI);
		after = os_now_ns();
		for (unsigned int i = 1; i < n; i++)
			fire(UDRV_IRQ_MSI);
		CHECK_EQ(node_irq_info(&edu, 0).pending, n);
		CHECK_EQ(read(edu.fd, &record, 24), 24);
		check_record(&record, n);
		CHECK_GE(record.time_ns, before);
		CHECK_LE(record.time_ns, after);
		CHECK_GT(record.time_ns, last);
		CHECK_EQ(node_irq_info(&edu, 0).pending, 0);
		last = record.time_ns;
	}
	CHECK_EQ(node_irq_info(&edu, 0).total, 1 + 4 + 16 + 64);
	edu_ack(&edu);
	node_close(&edu);
}

/* One thread: each interrupt is raised before the read, so waiting must find it. */
static void count_pending(unsigned int times)
{
	struct udrv_irq_record record;

	for (unsigned int i = 0; i < times; i++) {
		edu_raise(&edu, 1);
		if (read(edu.fd, &record, 24) != 24 || record.count != 1) {
			CHECK_EQ(record.count, 1);
			break;
		}
		edu_ack(&edu);
	}
	CHECK_EQ(node_irq_info(&edu, 0).total, times);
	CHECK_EQ(node_number(&edu, "interrupts"), times);
}

static unsigned int read_so_far;

static void *count_reader(void *arg)
{
	unsigned int times = *(unsigned int *)arg;
	struct udrv_irq_record record;

	for (unsigned int i = 1; i <= times; i++) {
		if (read(edu.fd, &record, 24) != 24 || record.count != 1) {
			CHECK_EQ(record.count, 1);
			return NULL;
		}
		edu_ack(&edu);
		__atomic_store_n(&read_so_far, i, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* Two threads: the next one is raised as soon as the last one is acknowledged, and meets the reader
 * before, in or after its going to sleep. */
static void count_blocked(unsigned int times)
{
	struct os_thread reader;
	uint64_t end;

	read_so_far = 0;
	os_thread_start(&reader, count_reader, &times);
	for (unsigned int i = 0; i < times; i++) {
		edu_raise(&edu, 1);
		end = os_now_ns() + 30000000000ULL;
		while (__atomic_load_n(&read_so_far, __ATOMIC_SEQ_CST) <= i) {
			sched_yield();
			if (os_now_ns() > end) {
				CHECK_EQ(read_so_far, i + 1); /* lost */
				tap_end();
			}
		}
		/* Now and then let it fall asleep for certain. */
		if (i % 16 == 0 && i + 1 < times)
			os_wait_blocked(reader.tid, SYS_read);
	}
	os_thread_join(&reader);
}

static void counted_exactly(unsigned int kind, unsigned int times)
{
	uint32_t total;

	begin(kind);
	tap_step("%s: %u, raised before the read", kind_names[kind], times);
	count_pending(times);
	tap_step("%s: %u, raised while a reader waits or is about to", kind_names[kind], times);
	count_blocked(times);
	CHECK_EQ(node_irq_info(&edu, 0).total, 2 * times);
	CHECK_EQ(node_irq_info(&edu, 0).pending, 0);
	edu_raise(&edu, 1);
	CHECK_EQ(read(edu.fd, &total, 4), 4);
	CHECK_EQ(total, 2 * times + 1);
	edu_ack(&edu);
	node_close(&edu);
}

/* UDRV_INTERRUPTS: as many as will find a rare race, on one machine of the matrix; the others look whether it works at all. */
static unsigned int interrupts(void)
{
	return os_times("UDRV_INTERRUPTS", 1000);
}

static void counted_exactly_intx(void)
{
	counted_exactly(UDRV_IRQ_INTX, interrupts());
}

static void counted_exactly_msi(void)
{
	counted_exactly(UDRV_IRQ_MSI, (interrupts() + 1) / 2);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(bare_read),
		TAP_TEST(read_sizes_intx),
		TAP_TEST(read_sizes_msi),
		TAP_TEST(bad_buffers_intx),
		TAP_TEST(bad_buffers_msi),
		TAP_TEST(nonblock_intx),
		TAP_TEST(nonblock_msi),
		TAP_TEST(intx_masked_until_wait),
		TAP_TEST(masking_intx),
		TAP_TEST(masking_msi),
		TAP_TEST(counts_and_times),
		TAP_TEST_LONG(counted_exactly_intx, 180),
		TAP_TEST_LONG(counted_exactly_msi, 180),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
