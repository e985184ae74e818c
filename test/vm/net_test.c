// SPDX-License-Identifier: MIT
/*
 * net_test.c - a network interface whose driver is this program: honest, and dead
 *
 * Without a device, where packets are copied through memory that the driver sees, and with edu, which is
 * no network card, but whose end, trust and DMA are a device's. A hostile driver is net_hostile_test.c's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "netif.h"
#include "node.h"
#include "os.h"
#include "tap.h"

static struct node edu;
static int home; /* the network namespace that we begin in */

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

static void *turn_forever(void *arg)
{
	struct udrv_ioc_net_turn turn;

	*(int *)arg = netif_turn(&waited, UDRV_NET_READY_STATE, UDRV_NET_FOREVER, &turn) ? -errno :
										     (int)turn.ready;
	return NULL;
}

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
	const struct itimerval soon = { .it_value.tv_usec = 20000 };
	uint64_t before;
	int fd, result = 0;

	netif_up(&waited, -1);
	fd = netif_socket(NETIF_NAME);
	tap_step("for a time");
	before = os_now_ns();
	CHECK_OK(netif_turn(&waited, UDRV_NET_READY_STATE, 50000000, &turn));
	CHECK_GE(os_now_ns() - before, 50000000);
	CHECK_EQ(turn.ready & ~(UDRV_NET_READY_FILL | UDRV_NET_READY_STATE), 0);
	tap_step("for a packet");
	os_thread_start(&thread, turn_forever, &result);
	os_wait_blocked(thread.tid, SYS_ioctl);
	tap_step("a second thread");
	CHECK_ERROR(netif_turn(&waited, UDRV_NET_READY_STATE, 1000, &turn), EBUSY);
	netif_send(fd, 1);
	os_thread_join(&thread);
	CHECK(result > 0 && result & UDRV_NET_READY_TX);
	netif_done(&waited, netif_take(&waited).slot);
	tap_step("for a kick, from before and from another thread");
	CHECK_OK(ioctl(waited.fd, UDRV_IOC_NET_KICK, &kick));
	CHECK_OK(netif_turn(&waited, UDRV_NET_READY_STATE, UDRV_NET_FOREVER, &turn));
	CHECK(turn.ready & UDRV_NET_READY_KICK);
	CHECK_EQ(netif_ready(&waited) & UDRV_NET_READY_KICK, 0);
	os_thread_start(&thread, turn_forever, &result);
	os_wait_blocked(thread.tid, SYS_ioctl);
	CHECK_OK(ioctl(waited.fd, UDRV_IOC_NET_KICK, &kick));
	os_thread_join(&thread);
	CHECK(result > 0 && result & UDRV_NET_READY_KICK);
	tap_step("a signal");
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	CHECK_ERROR(netif_turn(&waited, UDRV_NET_READY_STATE, UDRV_NET_FOREVER, &turn), EINTR);
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

static void either_descriptor_ends_both(void)
{
	struct udrv_ioc_net_turn turn;
	struct pollfd p = { .events = POLLIN };
	struct netif n;
	int fd;

	tap_step("the interface's");
	node_open(&edu, "edu");
	netif_up(&n, edu.fd);
	fd = edu.fd;
	netif_close(&n);
	node_check_dead(fd);
	close(fd);
	CHECK(netif_exists(NETIF_NAME));

	tap_step("the node's");
	node_open(&edu, "edu");
	netif_up(&n, edu.fd);
	CHECK_EQ(n.info.state & UDRV_NET_TAKEN_OVER, UDRV_NET_TAKEN_OVER);
	close(edu.fd);
	CHECK_ERROR(netif_turn(&n, 0, UDRV_NET_FOREVER, &turn), ENODEV);
	p.fd = n.fd;
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
	n.rings->tx.consumed = 5; /* the mapping is there still, and means nothing */
	netif_close(&n);
	node_unbind(&edu);
	CHECK(!netif_exists(NETIF_NAME));
}

static void taken_over(void)
{
	struct udrv_ioc_net_attach o;
	struct netif n, other;
	uint32_t index;
	int fd;

	node_open(&edu, "edu");
	netif_up(&n, edu.fd);
	index = n.info.ifindex;
	fd = netif_socket(NETIF_NAME);
	tap_step("packets on their way, and in the system's queue, when the driver goes");
	for (int i = 0; i < 200; i++)
		netif_send(fd, (uint8_t)i);
	o = netif_options(edu.fd);
	CHECK_ERROR(netif_attach(&other, &o), EBUSY);
	netif_close(&n);
	close(edu.fd);

	tap_step("not with other features");
	node_open(&edu, "edu");
	o = netif_options(edu.fd);
	o.features = UDRV_NET_CSUM;
	CHECK_ERROR(netif_attach(&n, &o), EINVAL);
	o = netif_options(edu.fd);
	o.queue_count = 2;
	CHECK_ERROR(netif_attach(&n, &o), EINVAL);
	o = netif_options(edu.fd);
	o.max_mtu = 1499;
	CHECK_ERROR(netif_attach(&n, &o), EINVAL);
	tap_step("the same, by a pattern, more slots");
	o = netif_options(edu.fd);
	strcpy((char *)o.name, "eth%d");
	o.tx_slots = 128;
	REQUIRE_OK(netif_attach(&n, &o));
	netif_map(&n);
	CHECK_EQ(n.info.ifindex, index);
	CHECK_STR((char *)n.info.name, NETIF_NAME);
	CHECK_EQ(n.info.state & UDRV_NET_TAKEN_OVER, UDRV_NET_TAKEN_OVER);
	tap_step("what the system had queued comes");
	netif_done(&n, netif_take(&n).slot);
	tap_step("another interface of the same driver");
	strcpy((char *)o.name, "test1");
	CHECK_ERROR(netif_attach(&other, &o), EBUSY);
	close(fd);
	netif_close(&n);
	close(edu.fd);
	node_unbind(&edu);
	CHECK(!netif_exists(NETIF_NAME));
}

static void locked_memory(void)
{
	const struct rlimit limit = { 63 * PAGE, 63 * PAGE };
	pid_t child;

	node_open(&edu, "edu");
	child = fork();
	if (child == 0) {
		struct udrv_ioc_net_attach o = netif_options(edu.fd);
		struct netif n;
		long before = os_status_kib("VmLck");

		os_drop_capability(CAP_IPC_LOCK);
		REQUIRE_OK(setrlimit(RLIMIT_MEMLOCK, &limit));
		tap_step("64 buffers do not fit into 63 pages");
		CHECK_ERROR(netif_attach(&n, &o), ENOMEM);
		CHECK(!netif_exists(NETIF_NAME));
		CHECK_EQ(os_status_kib("VmLck"), before);
		tap_step("nor 8 queues of them, and nothing of it is left");
		o.queue_count = 8;
		o.tx_slots = o.rx_slots = 4096;
		CHECK_ERROR(netif_attach(&n, &o), ENOMEM);
		CHECK_EQ(os_status_kib("VmLck"), before);
		_exit(0);
	}
	OS_CHILD_OK(child);
	close(edu.fd);
	tap_step("those that do are counted, and given back");
	node_open(&edu, "edu");
	child = fork();
	if (child == 0) {
		struct udrv_ioc_net_attach o = netif_options(edu.fd);
		struct netif n;
		long before = os_status_kib("VmLck");

		REQUIRE_OK(netif_attach(&n, &o));
		CHECK_GE(os_status_kib("VmLck") - before, 64 * PAGE / 1024);
		netif_close(&n);
		CHECK_EQ(os_status_kib("VmLck"), before);
		_exit(0);
	}
	OS_CHILD_OK(child);
	close(edu.fd);
	node_unbind(&edu);
}

/* The interface goes with its network namespace; its descriptor, elsewhere, finds it gone. */
static void namespace_ends(void)
{
	const struct udrv_ioc_net_attach o = netif_options(-1);
	struct udrv_ioc_net_turn turn;
	struct netif n;

	REQUIRE_OK(unshare(CLONE_NEWNET));
	REQUIRE_OK(netif_attach(&n, &o));
	CHECK(netif_exists(NETIF_NAME));
	tap_step("back to where we were");
	REQUIRE_OK(setns(home, CLONE_NEWNET));
	CHECK(OS_WAIT_FOR(netif_turn(&n, 0, 0, &turn) && errno == ENODEV, 30000));
	CHECK(!netif_exists(NETIF_NAME));
	netif_close(&n);
}

static void not_by_another_user(void)
{
	pid_t child;
	struct netif n;

	node_open(&edu, "edu");
	netif_up(&n, edu.fd);
	netif_close(&n);
	close(edu.fd);
	node_open(&edu, "edu");
	child = fork();
	if (child == 0) {
		const struct udrv_ioc_net_attach o = netif_options(edu.fd);

		REQUIRE_OK(setuid(65534)); /* and the capabilities with it */
		CHECK_ERROR(netif_attach(&n, &o), EPERM);
		_exit(0);
	}
	OS_CHILD_OK(child);
	close(edu.fd);
	node_unbind(&edu);
}

static void unbound_at_work(void)
{
	struct udrv_ioc_net_turn turn;
	struct os_thread thread;
	int fd, result = 0;

	node_open(&edu, "edu");
	netif_up(&waited, edu.fd);
	fd = netif_socket(NETIF_NAME);
	for (int i = 0; i < 50; i++)
		netif_send(fd, (uint8_t)i);
	waited.rings->tx.consumed = waited.rings->tx.produced;
	os_thread_start(&thread, turn_forever, &result);
	os_wait_blocked(thread.tid, SYS_ioctl);
	node_unbind(&edu);
	os_thread_join(&thread);
	CHECK_EQ(result, -ENODEV);
	CHECK_ERROR(netif_turn(&waited, 0, 0, &turn), ENODEV);
	CHECK(!netif_exists(NETIF_NAME));
	close(fd);
	netif_close(&waited);
	close(edu.fd);
}

static void deleted_at_work(void)
{
	struct os_thread thread;
	int result = 0;

	node_open(&edu, "edu");
	netif_up(&waited, edu.fd);
	os_thread_start(&thread, turn_forever, &result);
	os_wait_blocked(thread.tid, SYS_ioctl);
	CHECK_OK(netif_delete(netif_index(NETIF_NAME)));
	os_thread_join(&thread);
	CHECK_EQ(result, -ENODEV);
	CHECK(!netif_exists(NETIF_NAME));
	tap_step("the device is its driver's still");
	CHECK_OK(node_bus_master(&edu, true));
	netif_close(&waited);
	node_check_dead(edu.fd);
	close(edu.fd);
	node_unbind(&edu);
}

static void interrupts(void)
{
	struct udrv_ioc_net_queue queue = { .size = sizeof(queue) };
	struct udrv_ioc_net_turn turn;
	struct os_thread thread;
	int result = 0;

	for (unsigned int kind = UDRV_IRQ_INTX; kind <= UDRV_IRQ_MSI; kind++) {
		node_open_mapped(&edu, "edu");
		REQUIRE_OK(node_bus_master(&edu, true));
		netif_up(&waited, edu.fd);
		CHECK_ERROR(ioctl(waited.fd, UDRV_IOC_NET_VECTOR, &queue), EINVAL); /* none yet */
		REQUIRE_EQ(node_irq_setup(&edu, kind, 1), 1);
		queue.vector = 1;
		CHECK_ERROR(ioctl(waited.fd, UDRV_IOC_NET_VECTOR, &queue), EINVAL);
		queue.vector = 0;
		REQUIRE_OK(ioctl(waited.fd, UDRV_IOC_NET_VECTOR, &queue));
		tap_step("kind %u: each wakes the queue once", kind);
		for (int i = 0; i < 20; i++) {
			os_thread_start(&thread, turn_forever, &result);
			os_wait_blocked(thread.tid, SYS_ioctl);
			edu_raise(&edu, 1);
			os_thread_join(&thread);
			CHECK(result > 0 && result & UDRV_NET_READY_IRQ);
			edu_ack(&edu);
		}
		tap_step("and is counted");
		edu_raise(&edu, 1);
		CHECK_OK(netif_turn(&waited, UDRV_NET_READY_STATE, UDRV_NET_FOREVER, &turn));
		CHECK_EQ(turn.irq_count, 1);
		CHECK_EQ(node_irq_info(&edu, 0).total, 21);
		CHECK_EQ(netif_ready(&waited) & UDRV_NET_READY_IRQ, 0);
		edu_ack(&edu);
		netif_close(&waited);
		node_unmap(&edu);
		close(edu.fd);
	}
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
		TAP_TEST(slow_driver),
		TAP_TEST(waits),
		TAP_TEST(device_frames),
		TAP_TEST(device_writes),
		TAP_TEST(either_descriptor_ends_both),
		TAP_TEST(taken_over),
		TAP_TEST(locked_memory),
		TAP_TEST(namespace_ends),
		TAP_TEST(not_by_another_user),
		TAP_TEST(unbound_at_work),
		TAP_TEST(deleted_at_work),
		TAP_TEST(interrupts),
	};

	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
