// SPDX-License-Identifier: MIT
/*
 * irq_wait_test.c - every way to wait for an interrupt, and several who wait
 *
 * poll, select, epoll by level and by edge, signals that carry the descriptor; two readers, a reader
 * that a signal interrupts, one under whose feet the set-up changes. edu, by INTx and by MSI. The
 * hard part is to know that a thread waits before the interrupt comes: os_wait_blocked().
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
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

/* One is pending: take it. */
static void take(void)
{
	struct udrv_irq_record record;

	edu_ack(&edu);
	CHECK_EQ(read(edu.fd, &record, sizeof(record)), sizeof(record));
	check_record(&record, 1);
}

/* ---- poll and its relatives ------------------------------------------------------------------- */

static int poll_for(int timeout_ms, short *events)
{
	struct pollfd wait = { .fd = edu.fd, .events = POLLIN | POLLPRI };
	int n = poll(&wait, 1, timeout_ms);

	*events = wait.revents;
	return n;
}

static void *poll_thread(void *arg)
{
	short events;

	CHECK_EQ(poll_for(-1, &events), 1);
	CHECK_EQ(events, POLLIN);
	(void)arg;
	return NULL;
}

static int select_for(int timeout_ms)
{
	struct timeval timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(edu.fd, &set);
	return select(edu.fd + 1, &set, NULL, NULL, &timeout);
}

static void polling(unsigned int kind)
{
	struct os_thread thread;
	short events;

	begin(kind);
	for (int i = 0; i < 20; i++) {
		tap_step("%s: poll (%d)", kind_names[kind], i);
		CHECK_EQ(poll_for(0, &events), 0);
		CHECK_EQ(node_irq_info(&edu, 0).state & UDRV_IRQ_MASKED, 0);
		edu_raise(&edu, 1);
		CHECK_EQ(poll_for(30000, &events), 1);
		CHECK_EQ(events, POLLIN);
		CHECK_EQ(poll_for(0, &events), 1);
		take();
		CHECK_EQ(poll_for(i == 0 ? 50 : 0, &events), 0);
		tap_step("%s: a thread that sleeps in poll (%d)", kind_names[kind], i);
		os_thread_start(&thread, poll_thread, NULL);
		os_wait_blocked(thread.tid, SYS_poll);
		edu_raise(&edu, 1);
		os_thread_join(&thread);
		take();
		tap_step("%s: select (%d)", kind_names[kind], i);
		CHECK_EQ(select_for(0), 0);
		edu_raise(&edu, 1);
		CHECK_EQ(select_for(30000), 1);
		take();
	}
	CHECK_EQ(node_irq_info(&edu, 0).total, 60);
	node_close(&edu);
}

static void polling_intx(void)
{
	polling(UDRV_IRQ_INTX);
}

static void polling_msi(void)
{
	polling(UDRV_IRQ_MSI);
}

/* poll() sets a vector up, as read() does. */
static void bare_poll(void)
{
	short events;

	node_open_mapped(&edu, "edu");
	tap_step("sets up INTx");
	CHECK_EQ(poll_for(0, &events), 0);
	CHECK_EQ(node_irq_info(&edu, 0).kind, UDRV_IRQ_INTX);
	edu_raise(&edu, 1);
	CHECK_EQ(poll_for(30000, &events), 1);
	CHECK_EQ(events, POLLIN);
	take();
	node_close(&edu);
}

static int epoll_for(int epoll, int timeout_ms)
{
	struct epoll_event event = { 0 };
	int n = epoll_wait(epoll, &event, 1, timeout_ms);

	if (n == 1) {
		CHECK_EQ(event.events, EPOLLIN);
		CHECK_EQ(event.data.u64, 77);
	}
	return n;
}

static int epoll_on(uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = 77 };
	int epoll;

	REQUIRE_OK(epoll = epoll_create1(EPOLL_CLOEXEC));
	REQUIRE_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, edu.fd, &event));
	return epoll;
}

static void epolling(unsigned int kind)
{
	int epoll;

	begin(kind);
	tap_step("%s: by level", kind_names[kind]);
	epoll = epoll_on(EPOLLIN);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(epoll_for(epoll, 0), 0);
		edu_raise(&edu, 1);
		CHECK_EQ(epoll_for(epoll, 30000), 1);
		CHECK_EQ(epoll_for(epoll, 0), 1);
		CHECK_EQ(epoll_for(epoll, 0), 1);
		take();
	}
	close(epoll);
	tap_step("%s: by edge, armed by UNMASK", kind_names[kind]);
	epoll = epoll_on(EPOLLIN | EPOLLET);
	for (int i = 0; i < 20; i++) {
		CHECK_OK(node_irq_unmask(&edu, 0, 1));
		CHECK_EQ(epoll_for(epoll, 0), 0);
		edu_raise(&edu, 1);
		CHECK_EQ(epoll_for(epoll, 30000), 1);
		CHECK_EQ(epoll_for(epoll, 0), 0);
		take();
	}
	tap_step("%s: by edge, there when UNMASK is called", kind_names[kind]);
	if (kind == UDRV_IRQ_INTX)
		for (int i = 0; i < 20; i++) {
			edu_raise(&edu, 1);
			CHECK_EQ(epoll_for(epoll, i ? 0 : 20), 0);
			CHECK_OK(node_irq_unmask(&edu, 0, 1));
			CHECK_EQ(epoll_for(epoll, 30000), 1);
			take();
		}
	close(epoll);
	node_close(&edu);
}

static void epolling_intx(void)
{
	epolling(UDRV_IRQ_INTX);
}

static void epolling_msi(void)
{
	epolling(UDRV_IRQ_MSI);
}

/* ---- the upcall: a signal that carries the descriptor ----------------------------------------- */

static void async(unsigned int kind)
{
	const int number = SIGRTMIN + 3;
	struct timespec soon = { 0, 50000000 }, later = { 30, 0 };
	siginfo_t info;
	sigset_t set;

	begin(kind);
	sigemptyset(&set);
	sigaddset(&set, number);
	sigaddset(&set, SIGIO);
	REQUIRE_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	REQUIRE_OK(fcntl(edu.fd, F_SETOWN, getpid()));
	REQUIRE_OK(fcntl(edu.fd, F_SETSIG, number));
	REQUIRE_OK(fcntl(edu.fd, F_SETFL, O_RDWR | O_ASYNC));
	tap_step("%s: F_SETSIG", kind_names[kind]);
	for (int i = 0; i < 50; i++) {
		CHECK_OK(node_irq_unmask(&edu, 0, 1));
		edu_raise(&edu, 1);
		memset(&info, 0, sizeof(info));
		CHECK_EQ(sigtimedwait(&set, &info, &later), number);
		CHECK_EQ(info.si_fd, edu.fd);
		CHECK_EQ(info.si_code, POLL_IN);
		CHECK(info.si_band & POLLIN);
		take();
	}
	CHECK_ERROR(sigtimedwait(&set, &info, &soon), EAGAIN);
	tap_step("%s: without F_SETSIG, SIGIO", kind_names[kind]);
	REQUIRE_OK(fcntl(edu.fd, F_SETSIG, 0));
	CHECK_OK(node_irq_unmask(&edu, 0, 1));
	edu_raise(&edu, 1);
	CHECK_EQ(sigtimedwait(&set, &info, &later), SIGIO);
	take();
	tap_step("%s: without O_ASYNC, nothing", kind_names[kind]);
	REQUIRE_OK(fcntl(edu.fd, F_SETFL, O_RDWR));
	CHECK_OK(node_irq_unmask(&edu, 0, 1));
	edu_raise(&edu, 1);
	CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).pending == 1, 30000));
	CHECK_ERROR(sigtimedwait(&set, &info, &soon), EAGAIN);
	take();
	tap_step("%s: closed with O_ASYNC on", kind_names[kind]);
	REQUIRE_OK(fcntl(edu.fd, F_SETFL, O_RDWR | O_ASYNC));
	node_close(&edu);
	begin(kind);
	CHECK_OK(node_irq_unmask(&edu, 0, 1));
	edu_raise(&edu, 1);
	CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).pending == 1, 30000));
	take();
	/* The end may be told (POLL_HUP), but no interrupt of the next driver. */
	while (sigtimedwait(&set, &info, &soon) > 0)
		CHECK_NE(info.si_code, POLL_IN);
	node_close(&edu);
}

static void async_intx(void)
{
	async(UDRV_IRQ_INTX);
}

static void async_msi(void)
{
	async(UDRV_IRQ_MSI);
}

/* ---- several threads ---------------------------------------------------------------------------- */

static bool stop;
static uint64_t records_read;

static void on_signal(int number)
{
	(void)number;
}

static void install(int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	REQUIRE_OK(sigaction(SIGUSR1, &action, NULL));
}

static void *read_until_stopped(void *arg)
{
	struct udrv_irq_record record;
	ssize_t n;

	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
		n = read(edu.fd, &record, 24);
		if (n == 24) {
			edu_ack(&edu);
			__atomic_add_fetch(&records_read, record.count, __ATOMIC_SEQ_CST);
		} else {
			CHECK_EQ(n, -1);
			CHECK_EQ(errno, EINTR);
		}
	}
	return NULL;
}

/* With MSI each record goes to one reader, and no interrupt is seen twice. With INTx a second reader
 * that begins to wait arms the line under the first one's feet: more may be counted, never fewer. */
static void two_readers(unsigned int kind)
{
	struct os_thread readers[2];

	begin(kind);
	install(0);
	tap_step("%s", kind_names[kind]);
	for (int i = 0; i < 2; i++)
		os_thread_start(&readers[i], read_until_stopped, NULL);
	for (unsigned int i = 1; i <= 1000; i++) {
		edu_raise(&edu, 1);
		if (!CHECK(OS_WAIT_FOR(__atomic_load_n(&records_read, __ATOMIC_SEQ_CST) >= i &&
				       !node_read32(&edu, EDU_IRQ_STATUS), 30000)))
			break;
	}
	if (kind == UDRV_IRQ_MSI)
		CHECK_EQ(records_read, 1000);
	/* One may have been counted twice, and its second record be under way to the other reader. */
	CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).total ==
				  __atomic_load_n(&records_read, __ATOMIC_SEQ_CST), 30000));
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 2; i++) {
		while (pthread_tryjoin_np(readers[i].thread, NULL)) {
			pthread_kill(readers[i].thread, SIGUSR1);
			os_sleep_us(1000);
		}
	}
	node_close(&edu);
}

static void two_readers_intx(void)
{
	two_readers(UDRV_IRQ_INTX);
}

static void two_readers_msi(void)
{
	two_readers(UDRV_IRQ_MSI);
}

static void *read_interrupted(void *arg)
{
	struct udrv_irq_record record;

	(void)arg;
	CHECK_ERROR(read(edu.fd, &record, 24), EINTR);
	return NULL;
}

static void signals(void)
{
	struct udrv_irq_record record;
	struct os_thread reader;

	begin(UDRV_IRQ_INTX);
	tap_step("a signal ends a read: EINTR, nothing lost");
	install(0);
	os_thread_start(&reader, read_interrupted, NULL);
	os_wait_blocked(reader.tid, SYS_read);
	pthread_kill(reader.thread, SIGUSR1);
	os_thread_join(&reader);
	edu_raise(&edu, 1);
	CHECK_EQ(read(edu.fd, &record, 24), 24);
	check_record(&record, 1);
	edu_ack(&edu);
	tap_step("with SA_RESTART it goes on");
	install(SA_RESTART);
	os_thread_start(&reader, read_record, &record);
	for (int i = 0; i < 10; i++) {
		os_wait_blocked(reader.tid, SYS_read);
		pthread_kill(reader.thread, SIGUSR1);
		os_sleep_us(1000);
	}
	os_wait_blocked(reader.tid, SYS_read);
	edu_raise(&edu, 1);
	os_thread_join(&reader);
	check_record(&record, 1);
	edu_ack(&edu);
	node_close(&edu);
}

/* Whatever is set up under a reader's feet, the next interrupt wakes it. */
static void setup_under_a_reader(void)
{
	static const unsigned int kinds[] = { UDRV_IRQ_MSI, UDRV_IRQ_INTX, UDRV_IRQ_INTX,
					      UDRV_IRQ_MSI, UDRV_IRQ_MSI };
	struct udrv_irq_record record;
	struct os_thread reader;

	begin(UDRV_IRQ_INTX);
	CHECK_OK(node_bus_master(&edu, true));
	for (int give_back = 0; give_back < 2; give_back++) {
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
			tap_step("to %s%s (%zu)", kind_names[kinds[i]],
				 give_back ? ", with none between" : "", i);
			os_thread_start(&reader, read_record, &record);
			os_wait_blocked(reader.tid, SYS_read);
			if (give_back)
				CHECK_EQ(node_irq_setup(&edu, UDRV_IRQ_NONE, 0), 0);
			CHECK_EQ(node_irq_setup(&edu, kinds[i], 1), 1);
			/* The reader arms what is new. */
			CHECK(OS_WAIT_FOR(!(node_irq_info(&edu, 0).state & UDRV_IRQ_MASKED),
					  30000));
			edu_raise(&edu, 1);
			os_thread_join(&reader);
			check_record(&record, 1);
			CHECK_EQ(node_irq_info(&edu, 0).kind, kinds[i]);
			edu_ack(&edu);
		}
	}
	node_close(&edu);
}

/* Who waits while everything is given back waits for what a new read would set up. */
static void none_under_a_reader(void)
{
	struct udrv_irq_record record;
	struct os_thread reader;

	begin(UDRV_IRQ_INTX);
	CHECK_OK(node_bus_master(&edu, true));
	for (unsigned int kind = UDRV_IRQ_INTX; kind <= UDRV_IRQ_MSI; kind++) {
		tap_step("from %s to the default", kind_names[kind]);
		CHECK_EQ(node_irq_setup(&edu, kind, 1), 1);
		os_thread_start(&reader, read_record, &record);
		os_wait_blocked(reader.tid, SYS_read);
		CHECK_EQ(node_irq_setup(&edu, UDRV_IRQ_NONE, 0), 0);
		CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).kind == UDRV_IRQ_MSI, 30000));
		edu_raise(&edu, 1);
		os_thread_join(&reader);
		check_record(&record, 1);
		edu_ack(&edu);
	}
	node_close(&edu);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(bare_poll),
		TAP_TEST(polling_intx),
		TAP_TEST(polling_msi),
		TAP_TEST(epolling_intx),
		TAP_TEST(epolling_msi),
		TAP_TEST(async_intx),
		TAP_TEST(async_msi),
		TAP_TEST_LONG(two_readers_intx, 120),
		TAP_TEST_LONG(two_readers_msi, 120),
		TAP_TEST(signals),
		TAP_TEST(setup_under_a_reader),
		TAP_TEST(none_under_a_reader),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
