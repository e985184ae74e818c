// SPDX-License-Identifier: MIT
/*
 * net_watch_test.c - a network interface whose driver hangs, or looks like it, or whose device sends nothing
 *
 * Drivers that must not be ended are given some deadlines' time: nothing tells that something does not
 * happen. A deadline is long enough for a thread of ours to be away for a while.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netif.h"
#include "node.h"
#include "os.h"
#include "tap.h"

#define HANG_MS 600U
#define LONG_MS (2 * HANG_MS) /* a driver that hangs is ended before: after 1.5 times the deadline */
#define END_MS 60000	      /* however slow the machine is */
#define MS 1000000ULL

static struct node edu;

static struct udrv_ioc_net_attach watched(int device_fd)
{
	struct udrv_ioc_net_attach o = netif_options(device_fd);

	o.hang_ms = HANG_MS;
	o.grace_ms = 60000;
	return o;
}

/* Attached with the deadline, up, and the news read. */
static void up(struct netif *n, int device_fd)
{
	const struct udrv_ioc_net_attach o = watched(device_fd);
	struct udrv_ioc_net_state state = { .size = sizeof(state) };

	netif_up_with(n, &o);
	REQUIRE_OK(ioctl(n->fd, UDRV_IOC_NET_STATE, &state));
	/* As many packets as there are slots, not as many as come back in time. */
	REQUIRE_OK(os_write("/sys/class/net/" NETIF_NAME "/queues/tx-0/byte_queue_limits/limit_min", "65536"));
}

static bool ended(const struct netif *n)
{
	struct pollfd p = { .fd = n->fd, .events = POLLIN };

	REQUIRE_OK(poll(&p, 1, 0));
	return p.revents & POLLHUP;
}

static void is_ended(const struct netif *n)
{
	struct udrv_ioc_net_state state = { .size = sizeof(state) };
	struct udrv_ioc_net_turn turn;

	CHECK(OS_WAIT_FOR(ended(n), END_MS));
	CHECK_ERROR(netif_turn(n, 0, UDRV_NET_FOREVER, &turn), ENODEV);
	CHECK_ERROR(ioctl(n->fd, UDRV_IOC_NET_STATE, &state), ENODEV);
}

/* ---- drivers that hang ---- */

/* A second process, while the first one still has its descriptors. */
static void successor(uint32_t index)
{
	struct udrv_ioc_net_attach o;
	struct netif n;
	char text[32];

	node_reopen(&edu);
	o = watched(edu.fd);
	memset(o.address, 0x22, sizeof(o.address));
	REQUIRE_OK(netif_attach(&n, &o));
	netif_map(&n);
	CHECK_EQ(n.info.state & UDRV_NET_TAKEN_OVER, UDRV_NET_TAKEN_OVER);
	CHECK_EQ(n.info.ifindex, index);
	REQUIRE_OK(os_read("/sys/class/net/" NETIF_NAME "/address", text, sizeof(text)));
	CHECK_STR(text, "02:00:00:00:00:77");
	REQUIRE_OK(os_read("/sys/class/net/" NETIF_NAME "/carrier", text, sizeof(text)));
	CHECK_STR(text, "1");
	CHECK_EQ(netif_counter(NETIF_NAME, "driver_hangs"), 1);
	tap_step("packets go on");
	for (int i = 0; i < 100; i++) {
		int fd = netif_socket(NETIF_NAME);

		netif_send(fd, (uint8_t)i);
		netif_done(&n, netif_take(&n).slot);
		close(fd);
	}
	CHECK_EQ(netif_counter(NETIF_NAME, "driver_hangs"), 1);
	_exit(0);
}

static void taken_over(void)
{
	uint64_t begin;
	struct netif n;
	pid_t child;
	int fd;

	node_open(&edu, "edu");
	up(&n, edu.fd);
	fd = netif_socket(NETIF_NAME);
	tap_step("a packet waits, and its driver does not come");
	netif_ready(&n);
	begin = os_now_ns();
	netif_send(fd, 1);
	CHECK(OS_WAIT_FOR(ended(&n), END_MS));
	CHECK_GE(os_now_ns() - begin, HANG_MS * MS);
	is_ended(&n);
	node_check_dead(edu.fd);
	CHECK(netif_exists(NETIF_NAME));
	tap_step("another process drives it");
	child = fork();
	if (child == 0)
		successor(n.info.ifindex);
	OS_CHILD_OK(child);
	close(fd);
	netif_close(&n);
	close(edu.fd);
	node_unbind(&edu);
}

static void news_unread(void)
{
	const struct udrv_ioc_net_attach o = watched(-1);
	struct netif n;

	tap_step("none of it, from the attach on");
	REQUIRE_OK(netif_attach(&n, &o));
	is_ended(&n);
	netif_close(&n);
	tap_step("later news");
	up(&n, -1);
	CHECK_OK(netif_set_mtu(NETIF_NAME, 1000));
	is_ended(&n);
	netif_close(&n);
}

static void interrupt_unread(void)
{
	struct udrv_ioc_net_queue queue = { .size = sizeof(queue) };
	struct netif n;

	node_open_mapped(&edu, "edu");
	REQUIRE_OK(node_bus_master(&edu, true));
	up(&n, edu.fd);
	REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_MSI, 1), 1);
	REQUIRE_OK(ioctl(n.fd, UDRV_IOC_NET_VECTOR, &queue));
	netif_ready(&n);
	edu_raise(&edu, 1);
	is_ended(&n);
	netif_close(&n);
	node_unmap(&edu);
	close(edu.fd);
	node_unbind(&edu);
}

/* There is nothing for it any more; but its packet does not come back, of which it should be told. */
static void hangs_with_a_packet(void)
{
	struct netif n;
	int fd;

	up(&n, -1);
	fd = netif_socket(NETIF_NAME);
	netif_send(fd, 1);
	netif_take(&n);
	netif_ready(&n);
	is_ended(&n);
	close(fd);
	netif_close(&n);
}

static void without_a_device(void)
{
	struct netif n, other;
	int fd;

	up(&n, -1);
	fd = netif_socket(NETIF_NAME);
	netif_send(fd, 1);
	is_ended(&n);
	tap_step("the interface has gone, as when its driver dies");
	CHECK(OS_WAIT_FOR(!netif_exists(NETIF_NAME), END_MS));
	close(fd);
	tap_step("and is made anew, while the old descriptor is there");
	up(&other, -1);
	netif_close(&n);
	CHECK(netif_exists(NETIF_NAME));
	netif_close(&other);
	CHECK(!netif_exists(NETIF_NAME));
}

/* ---- drivers that do not ---- */

static struct netif shared;

static void *in_turn(void *arg)
{
	struct udrv_ioc_net_turn turn;

	*(int *)arg = netif_turn(&shared, 0, UDRV_NET_FOREVER, &turn) ? -errno : (int)turn.ready;
	return NULL;
}

static void *in_poll(void *arg)
{
	struct pollfd p = { .fd = shared.fd, .events = POLLIN };

	*(int *)arg = poll(&p, 1, -1) == 1 && p.revents == POLLIN ? (int)netif_ready(&shared) : -1;
	return NULL;
}

static void idle(void *(*run)(void *), long call)
{
	struct os_thread thread;
	int fd, result = 0;

	up(&shared, -1);
	fd = netif_socket(NETIF_NAME);
	os_thread_start(&thread, run, &result);
	os_wait_blocked(thread.tid, call);
	os_sleep_us(LONG_MS * 1000);
	CHECK(!ended(&shared));
	netif_send(fd, 1);
	os_thread_join(&thread);
	CHECK(result > 0 && result & UDRV_NET_READY_TX);
	netif_done(&shared, netif_take(&shared).slot);
	netif_ready(&shared);
	CHECK_EQ(netif_counter(NETIF_NAME, "driver_hangs"), 0);
	tap_step("and hangs after that");
	netif_send(fd, 1);
	is_ended(&shared);
	close(fd);
	netif_close(&shared);
}

static void idle_in_turn(void)
{
	idle(in_turn, SYS_ioctl);
}

static void idle_in_poll(void)
{
	idle(in_poll, SYS_poll);
}

static void busy(void)
{
	struct udrv_ioc_net_state state = { .size = sizeof(state) };
	uint64_t end;
	struct netif n;
	int fd;

	up(&n, -1);
	fd = netif_socket(NETIF_NAME);
	tap_step("turns that do not wait, with a packet that is not taken");
	netif_send(fd, 1);
	for (end = os_now_ns() + LONG_MS * MS; os_now_ns() < end;)
		REQUIRE(netif_ready(&n) & UDRV_NET_READY_TX);
	netif_done(&n, netif_take(&n).slot);
	netif_ready(&n);
	tap_step("packets that are taken, without a turn");
	for (int i = 0; i < 60; i++) {
		netif_send(fd, 1);
		os_sleep_us(LONG_MS * 1000 / 60);
		n.rings->tx.consumed = n.rings->tx.produced;
	}
	CHECK(!ended(&n));
	for (uint32_t slot = 0; slot < 64; slot++)
		netif_done(&n, slot);
	netif_ready(&n);
	tap_step("news that are read, without a turn");
	for (int i = 0; i < 60; i++) {
		REQUIRE_OK(ioctl(n.fd, UDRV_IOC_NET_STATE, &state));
		REQUIRE_OK(netif_set_mtu(NETIF_NAME, 1000 + i));
		os_sleep_us(LONG_MS * 1000 / 60);
	}
	CHECK(!ended(&n));
	tap_step("but with a packet that waits they will not do");
	netif_send(fd, 1);
	CHECK(OS_WAIT_FOR(ioctl(n.fd, UDRV_IOC_NET_STATE, &state) && errno == ENODEV, END_MS));
	close(fd);
	netif_close(&n);
}

static void no_deadline(void)
{
	struct udrv_ioc_net_attach o = watched(-1);
	struct netif n;

	tap_step("none");
	o.hang_ms = 0;
	REQUIRE_OK(netif_attach(&n, &o));
	os_sleep_us(LONG_MS * 1000);
	CHECK(!ended(&n));
	netif_close(&n);
	tap_step("of a program that knows of none");
	o = watched(-1);
	o.size = offsetof(struct udrv_ioc_net_attach, hang_ms);
	REQUIRE_OK(netif_attach(&n, &o));
	CHECK_EQ(n.info.tx_entries, 128);
	os_sleep_us(LONG_MS * 1000);
	CHECK(!ended(&n));
	netif_close(&n);
	tap_step("the longest");
	o = watched(-1);
	o.hang_ms = 600000;
	REQUIRE_OK(netif_attach(&n, &o));
	netif_close(&n);
}

/* ---- drivers that are kept from it ---- */

static struct netif_child {
	pid_t pid;
	int go, said; /* pipes */
} child;

/* A process that drives the interface, and does nothing until it is told; then it takes a packet. */
static void child_start(void)
{
	int go[2], said[2];
	struct netif n;
	char byte;

	REQUIRE_OK(pipe2(go, O_CLOEXEC));
	REQUIRE_OK(pipe2(said, O_CLOEXEC));
	child = (struct netif_child){ .pid = fork(), .go = go[1], .said = said[0] };
	REQUIRE(child.pid >= 0);
	if (child.pid == 0) {
		struct os_thread thread;
		int result = 0;

		close(go[1]);
		up(&n, -1);
		shared = n;
		/* In a turn: whoever is stopped there is not when it goes on. */
		os_thread_start(&thread, in_turn, &result);
		os_wait_blocked(thread.tid, SYS_ioctl);
		REQUIRE_EQ(write(said[1], "", 1), 1);
		os_thread_join(&thread);
		if (read(go[0], &byte, 1) == 1) {
			netif_done(&n, netif_take(&n).slot);
			netif_ready(&n);
			netif_close(&n);
			_exit(0);
		}
		_exit(1);
	}
	close(go[0]);
	close(said[1]);
	REQUIRE_EQ(read(child.said, &byte, 1), 1);
}

static void child_goes_on(void)
{
	REQUIRE_EQ(write(child.go, "", 1), 1);
	OS_CHILD_OK(child.pid);
	close(child.go);
	close(child.said);
}

/* Longer than a driver may hang, with a packet that waits. */
static void not_ended(void)
{
	int fd = netif_socket(NETIF_NAME);

	netif_send(fd, 1);
	os_sleep_us(LONG_MS * 1000);
	CHECK(netif_exists(NETIF_NAME));
	close(fd);
}

static void stopped(void)
{
	int status;

	child_start();
	REQUIRE_OK(kill(child.pid, SIGSTOP));
	REQUIRE_EQ(waitpid(child.pid, &status, WUNTRACED), child.pid);
	REQUIRE(WIFSTOPPED(status));
	not_ended();
	REQUIRE_OK(kill(child.pid, SIGCONT));
	child_goes_on();
}

static void traced(void)
{
	child_start();
	tap_step("it runs, and somebody looks at it");
	REQUIRE_OK(ptrace(PTRACE_SEIZE, child.pid, NULL, NULL));
	not_ended();
	tap_step("no longer");
	/* Only who is stopped can be let go. */
	REQUIRE_OK(ptrace(PTRACE_INTERRUPT, child.pid, NULL, NULL));
	REQUIRE_EQ(waitpid(child.pid, NULL, __WALL), child.pid);
	REQUIRE_OK(ptrace(PTRACE_DETACH, child.pid, NULL, NULL));
	CHECK(OS_WAIT_FOR(!netif_exists(NETIF_NAME), END_MS));
	close(child.go); /* it ends without a word */
	CHECK_EQ(os_wait_child(child.pid), 1 << 8);
	close(child.said);
}

#define CGROUP "/sys/fs/cgroup/udrv-watch"

static bool is_frozen(void)
{
	char text[128];

	return !os_read(CGROUP "/cgroup.events", text, sizeof(text)) && strstr(text, "frozen 1");
}

/* By the freezer of its control group. */
static void frozen(void)
{
	char text[16];

	REQUIRE_OK(mkdir(CGROUP, 0755));
	child_start();
	snprintf(text, sizeof(text), "%d", child.pid);
	REQUIRE_OK(os_write(CGROUP "/cgroup.procs", text));
	REQUIRE_OK(os_write(CGROUP "/cgroup.freeze", "1"));
	REQUIRE(OS_WAIT_FOR(is_frozen(), 30000));
	not_ended();
	REQUIRE_OK(os_write(CGROUP "/cgroup.freeze", "0"));
	child_goes_on();
	REQUIRE_OK(rmdir(CGROUP));
}

/* ---- a device that sends nothing ---- */

static void stalled(void)
{
	struct udrv_ioc_net_turn turn;
	struct udrv_net_tx first, second;
	struct netif n;
	uint64_t begin;
	int fd;

	up(&n, -1);
	fd = netif_socket(NETIF_NAME);
	/* The system lets more than one go when one has come back. */
	netif_send(fd, 0);
	netif_done(&n, netif_take(&n).slot);
	netif_ready(&n);
	begin = os_now_ns();
	netif_send(fd, 1);
	netif_send(fd, 2);
	first = netif_take(&n);
	second = netif_take(&n);
	CHECK_OK(netif_turn(&n, 0, UDRV_NET_FOREVER, &turn));
	CHECK_EQ(turn.ready & ~UDRV_NET_READY_FILL, UDRV_NET_READY_STALLED);
	CHECK_GE(os_now_ns() - begin, 4900 * MS);
	CHECK_EQ(netif_counter(NETIF_NAME, "tx_stalls"), 1);
	tap_step("it is told once");
	CHECK_OK(netif_turn(&n, 0, 1000 * MS, &turn)); /* six looks */
	CHECK_EQ(turn.ready & ~UDRV_NET_READY_FILL, 0);
	CHECK_EQ(netif_counter(NETIF_NAME, "tx_stalls"), 1);
	tap_step("one is sent: again after that, if it is not the last; a turn may not want to know");
	netif_done(&n, first.slot);
	CHECK_OK(netif_turn(&n, UDRV_NET_READY_STALLED, 1, &turn));
	CHECK(OS_WAIT_FOR(netif_counter(NETIF_NAME, "tx_stalls") == 2, END_MS));
	CHECK_OK(netif_turn(&n, UDRV_NET_READY_STALLED, 1, &turn));
	CHECK_EQ(turn.ready & ~UDRV_NET_READY_FILL, UDRV_NET_READY_STALLED);
	netif_done(&n, second.slot);
	CHECK_EQ(netif_ready(&n) & UDRV_NET_READY_STALLED, 0);
	CHECK_EQ(netif_counter(NETIF_NAME, "driver_hangs"), 0);
	close(fd);
	netif_close(&n);
}

/* Some packets are always on their way, and all come back: each time another one. */
static void sends_slowly(void)
{
	uint64_t end = os_now_ns() + 6500 * MS;
	struct netif n;
	uint32_t slot;
	int fd;

	netif_up(&n, -1);
	fd = netif_socket(NETIF_NAME);
	netif_send(fd, 1);
	slot = netif_take(&n).slot;
	while (os_now_ns() < end) {
		netif_send(fd, 1);
		os_sleep_us(100000);
		netif_done(&n, slot);
		slot = netif_take(&n).slot;
	}
	CHECK_EQ(netif_counter(NETIF_NAME, "tx_stalls"), 0);
	close(fd);
	netif_close(&n);
}

/* ---- the end meets the watch ---- */

static void end_meets_the_watch(void)
{
	struct udrv_ioc_net_attach o;
	struct netif n;

	for (unsigned int i = 0; i < 60; i++) {
		bool device = i & 1;

		if (device)
			node_open(&edu, "edu");
		o = watched(device ? edu.fd : -1);
		if (device) /* which stays */
			strcpy((char *)o.name, "test1");
		o.hang_ms = 1 + i / 2;
		REQUIRE_OK(netif_attach(&n, &o));
		os_sleep_us((1 + i / 2) * 1000 + i % 7 * 3000);
		netif_close(&n);
		if (device)
			close(edu.fd);
	}
	CHECK(!netif_exists(NETIF_NAME));
	node_unbind(&edu);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(taken_over),
		TAP_TEST(news_unread),
		TAP_TEST(interrupt_unread),
		TAP_TEST(hangs_with_a_packet),
		TAP_TEST(without_a_device),
		TAP_TEST(idle_in_turn),
		TAP_TEST(idle_in_poll),
		TAP_TEST(busy),
		TAP_TEST(no_deadline),
		TAP_TEST(stopped),
		TAP_TEST(traced),
		TAP_TEST(frozen),
		TAP_TEST(stalled),
		TAP_TEST(sends_slowly),
		TAP_TEST(end_meets_the_watch),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
