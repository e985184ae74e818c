// SPDX-License-Identifier: MIT
/*
 * net_test.c - a network interface whose driver is this program, and honest
 *
 * Without a device, where packets are copied through memory that the driver sees, and with edu, which is
 * no network card, but whose DMA is a device's. Its end is net_lifetime_test.c's, a hostile driver
 * net_hostile_test.c's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "netif.h"
#include "node.h"
#include "os.h"
#include "tap.h"

static struct node edu;

/* ---- attach ---- */

#define REFUSED(field, value, error)                                                              \
	do {                                                                                      \
		struct udrv_ioc_net_attach o = netif_options(-1);                                 \
		struct netif n;                                                                   \
		o.field = value;                                                                  \
		tap_step("%s = %s", #field, #value);                                              \
		CHECK_ERROR(netif_attach(&n, &o), error);                                         \
		CHECK(!netif_exists(NETIF_NAME));                                                 \
	} while (0)

static void bad_options(void)
{
	int null = open("/dev/null", O_RDWR);
	struct udrv_ioc_net_attach o = netif_options(-1);
	struct netif n;

	REFUSED(size, offsetof(struct udrv_ioc_net_attach, hang_ms) - 1, EINVAL);
	REFUSED(size, 0, EINVAL);
	REFUSED(size, 1U << 20, E2BIG);
	REFUSED(flags, 1, EINVAL);
	REFUSED(device_fd, 999, EBADF);
	REFUSED(device_fd, -2, EBADF);
	REFUSED(device_fd, null, EINVAL);
	REFUSED(features, 1U << 31, EINVAL);
	REFUSED(features, UDRV_NET_TSO4, EINVAL);
	REFUSED(name[0], 0, EINVAL);
	REFUSED(name[1], '/', EINVAL);
	REFUSED(address[0], 0x03, EINVAL);
	REFUSED(reserved0, 1, EINVAL);
	REFUSED(queue_count, 0, EINVAL);
	REFUSED(queue_count, 9, EINVAL);
	REFUSED(queue_count, ~0U, EINVAL);
	REFUSED(tx_slots, 0, EINVAL);
	REFUSED(tx_slots, 32, EINVAL);
	REFUSED(tx_slots, 65, EINVAL);
	REFUSED(tx_slots, 8192, EINVAL);
	REFUSED(tx_slots, 1U << 31, EINVAL);
	REFUSED(rx_slots, 0, EINVAL);
	REFUSED(rx_slots, 100, EINVAL);
	REFUSED(rx_slots, 1U << 31, EINVAL);
	REFUSED(max_mtu, 67, EINVAL);
	REFUSED(max_mtu, 3401, EINVAL);
	tap_step("more with SCATTER, but not as much");
	o.features = UDRV_NET_SCATTER;
	o.max_mtu = 9601;
	CHECK_ERROR(netif_attach(&n, &o), EINVAL);
	o.max_mtu = 9600;
	CHECK_OK(netif_attach(&n, &o));
	netif_close(&n);
	o = netif_options(-1);
	REFUSED(max_mtu, ~0U, EINVAL);
	REFUSED(grace_ms, 60001, EINVAL);
	REFUSED(hang_ms, 600001, EINVAL);
	REFUSED(hang_ms, ~0U, EINVAL);
	REFUSED(reserved1, 1, EINVAL);

	tap_step("a name without an end");
	memset(o.name, 'x', sizeof(o.name));
	CHECK_ERROR(netif_attach(&n, &o), EINVAL);
	tap_step("a name that another interface has");
	o = netif_options(-1);
	strcpy((char *)o.name, "lo");
	CHECK_ERROR(netif_attach(&n, &o), EEXIST);
	tap_step("a descriptor for reading only");
	CHECK_ERROR(open(NETIF_NODE, O_RDONLY), EINVAL);
	CHECK_ERROR(open(NETIF_NODE, O_WRONLY), EINVAL);
	close(null);
}

static void no_right(void)
{
	pid_t child = fork();

	if (child == 0) {
		const struct udrv_ioc_net_attach o = netif_options(-1);
		struct netif n;

		os_drop_capability(CAP_NET_ADMIN);
		CHECK_ERROR(netif_attach(&n, &o), EPERM);
		_exit(0);
	}
	OS_CHILD_OK(child);
	CHECK(!netif_exists(NETIF_NAME));
}

static void not_attached(void)
{
	struct udrv_ioc_net_turn turn = { .size = sizeof(turn) };
	struct udrv_ioc_net_state state = { .size = sizeof(state) };
	int fd = open(NETIF_NODE, O_RDWR);

	REQUIRE(fd >= 0);
	CHECK_ERROR(ioctl(fd, UDRV_IOC_NET_TURN, &turn), EINVAL);
	CHECK_ERROR(ioctl(fd, UDRV_IOC_NET_STATE, &state), EINVAL);
	CHECK_ERROR(ioctl(fd, UDRV_IOC_DEVICE_INFO, &state), ENOTTY);
	CHECK_ERROR(ioctl(fd, _IO(UDRV_IOC_TYPE, 0x7f), &state), ENOTTY);
	CHECK_ERROR(ioctl(fd, UDRV_IOC_NET_ATTACH, NULL), EFAULT);
	CHECK_EQ(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
	close(fd);
}

static void twice(void)
{
	struct udrv_ioc_net_attach o = netif_options(-1);
	struct netif n, other;

	REQUIRE_OK(netif_attach(&n, &o));
	CHECK_ERROR(ioctl(n.fd, UDRV_IOC_NET_ATTACH, &o), EBUSY);
	tap_step("its name is taken: it is no device's that could be taken over");
	CHECK_ERROR(netif_attach(&other, &o), EEXIST);
	tap_step("the first free one");
	o = netif_options(-1);
	strcpy((char *)o.name, "test%d");
	REQUIRE_OK(netif_attach(&other, &o));
	CHECK_STR((char *)other.info.name, "test1");
	netif_close(&other);
	CHECK(!netif_exists("test1"));
	netif_close(&n);
	CHECK(!netif_exists(NETIF_NAME));
}

/* An attach whose answer cannot be written has attached nothing, and made nothing. */
static void answer_not_told(int device_fd)
{
	struct udrv_ioc_net_attach *o = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct netif n;
	int fd = open(NETIF_NODE, O_RDWR);

	REQUIRE(o != MAP_FAILED);
	REQUIRE(fd >= 0);
	*o = netif_options(device_fd);
	REQUIRE_OK(mprotect(o, PAGE, PROT_READ));
	for (int i = 0; i < 3; i++)
		CHECK_ERROR(ioctl(fd, UDRV_IOC_NET_ATTACH, o), EFAULT);
	CHECK(!netif_exists(NETIF_NAME));
	tap_step("and the same descriptor can attach");
	REQUIRE_OK(mprotect(o, PAGE, PROT_READ | PROT_WRITE));
	CHECK_OK(ioctl(fd, UDRV_IOC_NET_ATTACH, o));
	CHECK(netif_exists(NETIF_NAME));
	close(fd);
	if (device_fd < 0)
		return;
	close(device_fd);
	tap_step("one that would take over leaves the interface as it was");
	node_reopen(&edu);
	fd = open(NETIF_NODE, O_RDWR);
	*o = netif_options(edu.fd);
	REQUIRE_OK(mprotect(o, PAGE, PROT_READ));
	CHECK_ERROR(ioctl(fd, UDRV_IOC_NET_ATTACH, o), EFAULT);
	CHECK(netif_exists(NETIF_NAME));
	REQUIRE_OK(mprotect(o, PAGE, PROT_READ | PROT_WRITE));
	CHECK_OK(netif_attach(&n, o));
	CHECK_EQ(n.info.state & UDRV_NET_TAKEN_OVER, UDRV_NET_TAKEN_OVER);
	netif_close(&n);
	close(fd);
	munmap(o, PAGE);
}

static void answer_not_told_copied(void)
{
	answer_not_told(-1);
}

static void answer_not_told_device(void)
{
	node_open(&edu, "edu");
	answer_not_told(edu.fd);
	close(edu.fd);
	node_unbind(&edu);
}

static void bad_calls(void)
{
	struct udrv_ioc_net_turn turn;
	struct udrv_ioc_net_state state = { .size = sizeof(state) };
	struct udrv_ioc_net_link link = { .size = sizeof(link) };
	struct udrv_ioc_net_queue queue = { .size = sizeof(queue) };
	struct {
		struct udrv_ioc_net_link call;
		uint32_t more;
	} larger = { .call.size = sizeof(larger) };
	struct netif n;

	netif_up(&n, -1);
	turn = (struct udrv_ioc_net_turn){ .size = sizeof(turn), .queue = 1 };
	CHECK_ERROR(ioctl(n.fd, UDRV_IOC_NET_TURN, &turn), EINVAL);
	turn = (struct udrv_ioc_net_turn){ .size = sizeof(turn), .ready = 1U << 6 };
	CHECK_ERROR(ioctl(n.fd, UDRV_IOC_NET_TURN, &turn), EINVAL);
	turn = (struct udrv_ioc_net_turn){ .size = sizeof(turn), .reserved = 1 };
	CHECK_ERROR(ioctl(n.fd, UDRV_IOC_NET_TURN, &turn), EINVAL);
	turn = (struct udrv_ioc_net_turn){ .size = sizeof(turn), .flags = 1 };
	CHECK_ERROR(ioctl(n.fd, UDRV_IOC_NET_TURN, &turn), EINVAL);
	state.flags = 1;
	CHECK_ERROR(ioctl(n.fd, UDRV_IOC_NET_STATE, &state), EINVAL);
	link.link = 4;
	CHECK_ERROR(ioctl(n.fd, UDRV_IOC_NET_LINK, &link), EINVAL);
	link = (struct udrv_ioc_net_link){ .size = sizeof(link), .flags = 1 };
	CHECK_ERROR(ioctl(n.fd, UDRV_IOC_NET_LINK, &link), EINVAL);
	CHECK_OK(ioctl(n.fd, UDRV_IOC_NET_LINK, &larger));
	larger.more = 1;
	CHECK_ERROR(ioctl(n.fd, UDRV_IOC_NET_LINK, &larger), E2BIG);
	CHECK_ERROR(ioctl(n.fd, UDRV_IOC_NET_VECTOR, &queue), EINVAL); /* no device */
	queue.queue = 1;
	CHECK_ERROR(ioctl(n.fd, UDRV_IOC_NET_KICK, &queue), EINVAL);
	queue = (struct udrv_ioc_net_queue){ .size = sizeof(queue), .vector = 1 };
	CHECK_ERROR(ioctl(n.fd, UDRV_IOC_NET_KICK, &queue), EINVAL);
	tap_step("mappings");
	CHECK_EQ(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, n.fd, 0), MAP_FAILED);
	CHECK_EQ(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, n.fd, PAGE), MAP_FAILED);
	CHECK_EQ(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, n.fd, 0), MAP_FAILED);
	CHECK_EQ(mmap(NULL, n.info.map_bytes + PAGE, PROT_READ, MAP_SHARED, n.fd, 0), MAP_FAILED);
	netif_close(&n);
}

/* ---- frames ---- */

/* One each way; @device: its memory cannot be seen. */
static void exchange(struct netif *n, bool device)
{
	uint8_t frame[NETIF_FRAME], got[2048];
	int fd = netif_socket(NETIF_NAME);

	for (int i = 0; i < 200; i++) { /* more than there are slots */
		struct udrv_net_tx tx;
		struct udrv_net_fill buffer = netif_buffer(n);

		netif_frame(frame, (uint8_t)i);
		netif_send(fd, (uint8_t)i);
		tx = netif_take(n);
		REQUIRE_EQ(tx.packet_length, NETIF_FRAME);
		REQUIRE_EQ(tx.length, NETIF_FRAME);
		if (!device)
			CHECK_MEM(n->area + tx.address, frame, NETIF_FRAME);
		netif_done(n, tx.slot);

		CHECK_GE(buffer.length, 1522);
		if (!device)
			memcpy(n->area + buffer.address, frame, NETIF_FRAME);
		netif_arrived(n, buffer.slot, NETIF_FRAME, 0);
		netif_ready(n);
		if (device) /* what lies there is no frame of this type */
			continue;
		REQUIRE_EQ(recv(fd, got, sizeof(got), 0), NETIF_FRAME);
		CHECK_MEM(got, frame, NETIF_FRAME);
	}
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_packets"), 200);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_bytes"), 200 * NETIF_FRAME);
	CHECK_EQ(netif_counter(NETIF_NAME, "tx_packets"), 200);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), 0);
	CHECK_EQ(netif_counter(NETIF_NAME, "tx_done_errors"), 0);
	close(fd);
}

static void frames(void)
{
	struct netif n;

	netif_up(&n, -1);
	CHECK_EQ(n.info.state, UDRV_NET_COPIES);
	exchange(&n, false);
	netif_close(&n);
}

/* Frames of each length that the interface lets through, and no other. */
static void lengths(void)
{
	uint8_t frame[2048], got[2048];
	struct netif n;
	int fd;

	netif_up(&n, -1);
	fd = netif_socket(NETIF_NAME);
	memset(frame, 0xaa, sizeof(frame));
	netif_frame(frame, 1);
	for (uint32_t length = 14; length <= 1514; length += 50) {
		struct udrv_net_tx tx;

		REQUIRE_EQ(send(fd, frame, length, 0), (ssize_t)length);
		tx = netif_take(&n);
		CHECK_EQ(tx.packet_length, length < 60 ? 60 : length); /* padded */
		CHECK_MEM(n.area + tx.address, frame, length);
		netif_done(&n, tx.slot);
	}
	CHECK_ERROR(send(fd, frame, 1600, 0), EMSGSIZE);
	for (uint32_t length = 14; length <= 2048; length += 113) {
		struct udrv_net_fill buffer = netif_buffer(&n);

		memcpy(n.area + buffer.address, frame, length);
		netif_arrived(&n, buffer.slot, length, 0);
		netif_ready(&n);
		REQUIRE_EQ(recv(fd, got, sizeof(got), 0), (ssize_t)length);
		CHECK_MEM(got, frame, length);
	}
	close(fd);
	netif_close(&n);
}

/* A program that returns @verdict for every frame. */
static int xdp_program(int verdict)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)program,
		.insn_cnt = 2,
		.license = (uintptr_t)"GPL",
	};
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));

	if (fd < 0 && errno == ENOSYS)
		tap_skip("this kernel runs no BPF programs"); /* the lab's debug kernel */
	REQUIRE_OK(fd);
	return fd;
}

/* By the stack's own means: a driver in a process runs no programs of the kernel's. */
static void xdp_generic(void)
{
	static const struct {
		int verdict;
		bool arrives, sent;
	} cases[] = { { XDP_PASS, true, false }, { XDP_DROP, false, false }, { XDP_TX, false, true } };
	uint8_t frame[NETIF_FRAME], got[2048];
	struct netif n;
	int fd;

	netif_up(&n, -1);
	fd = netif_socket(NETIF_NAME);
	for (unsigned int i = 0; i < 3; i++) {
		int program = xdp_program(cases[i].verdict);
		struct udrv_net_fill buffer = netif_buffer(&n);

		tap_step("verdict %d", cases[i].verdict);
		CHECK_ERROR(netif_xdp(n.info.ifindex, program, XDP_FLAGS_DRV_MODE), EOPNOTSUPP);
		REQUIRE_OK(netif_xdp(n.info.ifindex, program, XDP_FLAGS_SKB_MODE));
		close(program);
		netif_frame(frame, (uint8_t)i);
		memcpy(n.area + buffer.address, frame, NETIF_FRAME);
		netif_arrived(&n, buffer.slot, NETIF_FRAME, 0);
		if (cases[i].sent) {
			struct udrv_net_tx tx = netif_take(&n);

			CHECK_EQ(tx.packet_length, NETIF_FRAME);
			CHECK_MEM(n.area + tx.address, frame, NETIF_FRAME);
			netif_done(&n, tx.slot);
		}
		netif_ready(&n);
		CHECK_EQ(recv(fd, got, sizeof(got), MSG_DONTWAIT),
			 cases[i].arrives ? NETIF_FRAME : -1);
		CHECK_OK(netif_xdp(n.info.ifindex, -1, XDP_FLAGS_SKB_MODE));
	}
	close(fd);
	netif_close(&n);
}

/* A driver that takes nothing: the system's queue waits; what is taken later is all there. */
static void slow_driver(void)
{
	struct netif n;
	int fd, flags;
	unsigned int sent = 0, taken = 0;
	uint8_t frame[NETIF_FRAME];

	netif_up(&n, -1);
	fd = netif_socket(NETIF_NAME);
	flags = fcntl(fd, F_GETFL);
	REQUIRE_OK(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
	netif_frame(frame, 9);
	while (send(fd, frame, sizeof(frame), 0) == sizeof(frame))
		REQUIRE(++sent < 100000);
	tap_note("%u frames fit", sent);
	CHECK_GT(sent, 64); /* the slots, and the system's own queue */
	while (taken < sent) {
		struct udrv_net_tx tx = netif_take(&n);

		CHECK_MEM(n.area + tx.address, frame, NETIF_FRAME);
		netif_done(&n, tx.slot);
		taken++;
	}
	CHECK_EQ(netif_ready(&n) & UDRV_NET_READY_TX, 0);
	close(fd);
	netif_close(&n);
}

/* ---- waiting ---- */

static struct netif waited;

static void caught(int signal)
{
	(void)signal;
}

static void waits(void)
{
	struct udrv_ioc_net_queue kick = { .size = sizeof(kick) };
	struct udrv_ioc_net_state state = { .size = sizeof(state) };
	struct udrv_ioc_net_turn turn;
	struct os_thread thread;
	struct sigaction action = { .sa_handler = caught };
	/* Again and again: the first may come before the wait. */
	const struct itimerval soon = { { .tv_usec = 20000 }, { .tv_usec = 20000 } }, never = { 0 };
	uint64_t before;
	struct netif_waiter waiter = { .n = &waited };
	int fd;

	netif_up(&waited, -1);
	fd = netif_socket(NETIF_NAME);
	tap_step("for a time");
	before = os_now_ns();
	CHECK_OK(netif_turn(&waited, UDRV_NET_READY_STATE, 50000000, &turn));
	CHECK_GE(os_now_ns() - before, 50000000);
	CHECK_EQ(turn.ready & ~(UDRV_NET_READY_FILL | UDRV_NET_READY_STATE), 0);
	tap_step("for a packet");
	os_thread_start(&thread, netif_wait, &waiter);
	os_wait_blocked(thread.tid, SYS_ioctl);
	tap_step("a second thread");
	CHECK_ERROR(netif_turn(&waited, UDRV_NET_READY_STATE, 1000, &turn), EBUSY);
	netif_send(fd, 1);
	os_thread_join(&thread);
	CHECK(waiter.result > 0 && waiter.result & UDRV_NET_READY_TX);
	netif_done(&waited, netif_take(&waited).slot);
	tap_step("for a kick, from before and from another thread");
	CHECK_OK(ioctl(waited.fd, UDRV_IOC_NET_KICK, &kick));
	CHECK_OK(netif_turn(&waited, UDRV_NET_READY_STATE, UDRV_NET_FOREVER, &turn));
	CHECK(turn.ready & UDRV_NET_READY_KICK);
	CHECK_EQ(netif_ready(&waited) & UDRV_NET_READY_KICK, 0);
	os_thread_start(&thread, netif_wait, &waiter);
	os_wait_blocked(thread.tid, SYS_ioctl);
	CHECK_OK(ioctl(waited.fd, UDRV_IOC_NET_KICK, &kick));
	os_thread_join(&thread);
	CHECK(waiter.result > 0 && waiter.result & UDRV_NET_READY_KICK);
	tap_step("a signal");
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	CHECK_ERROR(netif_turn(&waited, UDRV_NET_READY_STATE, UDRV_NET_FOREVER, &turn), EINTR);
	setitimer(ITIMER_REAL, &never, NULL);
	tap_step("for news");
	CHECK_OK(ioctl(waited.fd, UDRV_IOC_NET_STATE, &state));
	CHECK_EQ(netif_ready(&waited) & UDRV_NET_READY_STATE, 0);
	CHECK_OK(netif_set_mtu(NETIF_NAME, 1000));
	CHECK_OK(netif_turn(&waited, 0, UDRV_NET_FOREVER, &turn));
	CHECK(turn.ready & UDRV_NET_READY_STATE);
	CHECK_OK(ioctl(waited.fd, UDRV_IOC_NET_STATE, &state));
	CHECK_EQ(state.mtu, 1000);
	CHECK(state.state_flags & UDRV_NET_UP);
	CHECK_ERROR(netif_set_mtu(NETIF_NAME, 1501), EINVAL);
	netif_set_up(NETIF_NAME, false);
	CHECK_OK(ioctl(waited.fd, UDRV_IOC_NET_STATE, &state));
	CHECK(!(state.state_flags & UDRV_NET_UP));
	close(fd);
	netif_close(&waited);
}

/* ---- with a device ---- */

static void device_frames(void)
{
	struct netif n;

	node_open(&edu, "edu");
	netif_up(&n, edu.fd);
	CHECK_EQ(!!(n.info.state & UDRV_NET_COPIES),
		 !strcmp(node_attribute(&edu, "trust"), "confined"));
	exchange(&n, true);
	tap_step("the address width stays while there are buffers");
	CHECK_ERROR(node_dma_mask(&edu, 32), EBUSY);
	netif_close(&n);
	close(edu.fd);
	node_unbind(&edu);
}

/* What the device writes into a buffer arrives: its own DMA, and no copy by us. */
static void device_writes(void)
{
	uint8_t frame[NETIF_FRAME], got[2048];
	struct udrv_ioc_dma_alloc source;
	struct netif n;
	uint8_t *view;
	int fd;

	node_open_mapped(&edu, "edu");
	edu_dma_wait(&edu);
	netif_up(&n, edu.fd);
	REQUIRE_OK(node_dma_alloc(&edu, PAGE, &source));
	view = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, edu.fd, source.offset);
	REQUIRE(view != MAP_FAILED);
	REQUIRE_OK(node_bus_master(&edu, true));
	fd = netif_socket(NETIF_NAME);
	for (uint8_t mark = 1; mark < 8; mark++) {
		struct udrv_net_fill buffer = netif_buffer(&n);
		struct udrv_net_tx tx;

		netif_frame(frame, mark);
		memcpy(view, frame, NETIF_FRAME);
		edu_dma(&edu, false, source.iova, 0, NETIF_FRAME);
		edu_dma(&edu, true, buffer.address, 0, NETIF_FRAME);
		netif_arrived(&n, buffer.slot, NETIF_FRAME, 0);
		netif_ready(&n);
		REQUIRE_EQ(recv(fd, got, sizeof(got), 0), NETIF_FRAME);
		CHECK_MEM(got, frame, NETIF_FRAME);

		tap_step("and it reads what is sent, %d", mark);
		netif_send(fd, (uint8_t)(mark + 100));
		tx = netif_take(&n);
		edu_dma(&edu, false, tx.address, 0, tx.length);
		memset(view, 0, PAGE);
		edu_dma(&edu, true, source.iova, 0, tx.length);
		netif_frame(frame, (uint8_t)(mark + 100));
		CHECK_MEM(view, frame, NETIF_FRAME);
		netif_done(&n, tx.slot);
	}
	close(fd);
	munmap(view, PAGE);
	netif_close(&n);
	node_unmap(&edu);
	close(edu.fd);
	node_unbind(&edu);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(bad_options),
		TAP_TEST(no_right),
		TAP_TEST(not_attached),
		TAP_TEST(twice),
		TAP_TEST(answer_not_told_copied),
		TAP_TEST(answer_not_told_device),
		TAP_TEST(bad_calls),
		TAP_TEST(frames),
		TAP_TEST(lengths),
		TAP_TEST(xdp_generic),
		TAP_TEST(slow_driver),
		TAP_TEST(waits),
		TAP_TEST(device_frames),
		TAP_TEST(device_writes),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
