// SPDX-License-Identifier: MIT
/*
 * net_lifetime_test.c - who may have a network interface, and until when
 *
 * Its driver is this program, with edu as the device: takeover, the end of either descriptor, of the binding, of a network
 * namespace; what it costs, and the device's interrupts.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "netif.h"
#include "node.h"
#include "os.h"
#include "tap.h"

static struct node edu;
static struct netif waited;
static int home; /* the network namespace that we begin in */

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
	struct netif_waiter waiter = { .n = &waited };
	int fd;

	node_open(&edu, "edu");
	netif_up(&waited, edu.fd);
	fd = netif_socket(NETIF_NAME);
	for (int i = 0; i < 50; i++)
		netif_send(fd, (uint8_t)i);
	waited.rings->tx.consumed = waited.rings->tx.produced;
	os_thread_start(&thread, netif_wait, &waiter);
	os_wait_blocked(thread.tid, SYS_ioctl);
	node_unbind(&edu);
	os_thread_join(&thread);
	CHECK_EQ(waiter.result, -ENODEV);
	CHECK_ERROR(netif_turn(&waited, 0, 0, &turn), ENODEV);
	CHECK(!netif_exists(NETIF_NAME));
	close(fd);
	netif_close(&waited);
	close(edu.fd);
}

static void deleted_at_work(void)
{
	struct os_thread thread;
	struct netif_waiter waiter = { .n = &waited };

	node_open(&edu, "edu");
	netif_up(&waited, edu.fd);
	os_thread_start(&thread, netif_wait, &waiter);
	os_wait_blocked(thread.tid, SYS_ioctl);
	CHECK_OK(netif_delete(netif_index(NETIF_NAME)));
	os_thread_join(&thread);
	CHECK_EQ(waiter.result, -ENODEV);
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
	struct netif_waiter waiter = { .n = &waited };

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
			os_thread_start(&thread, netif_wait, &waiter);
			os_wait_blocked(thread.tid, SYS_ioctl);
			edu_raise(&edu, 1);
			os_thread_join(&thread);
			CHECK(waiter.result > 0 && waiter.result & UDRV_NET_READY_IRQ);
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
