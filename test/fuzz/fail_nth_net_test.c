// SPDX-License-Identifier: MIT
/*
 * fail_nth_net_test.c - every allocation and every copy in every call of /dev/udrv/net fails once
 *
 * As fail_nth_test.c, for a network interface: an attach that fails has made no interface, or left
 * the one that it was to take over as it was, and holds no memory; the same descriptor attaches
 * next. A turn that gets no memory loses frames, and no buffer.
 *
 * The hard part is time: an attach with eight queues has hundreds of allocations, and each interface
 * that comes and goes costs the debug kernel some ten milliseconds or more. Attaches are made in a network
 * namespace of their own: udev hears of nothing there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../vm/netif.h"
#include "../vm/node.h"
#include "../vm/os.h"
#include "../vm/tap.h"
#include "fail_nth.h"

static struct node node;
static struct netif n;
static struct udrv_ioc_net_attach options;
static unsigned int ifindex; /* of the interface that is there before, 0: none */

/* ---- attach ---- */

static long call_open(void)
{
	return n.fd = open(NETIF_NODE, O_RDWR | O_CLOEXEC);
}

static void undo_open(void)
{
	CHECK_OK(close(n.fd));
}

/*
 * What the kernel itself makes of it, while an interface is registered: a device's name that could
 * not be copied is no name (EINVAL), and sysctl has its own number (ENOBUFS).
 */
static const int attach_errors[] = { ENOMEM, EFAULT, EINVAL, ENOBUFS, 0 };

static long call_attach(void)
{
	n.info = options;
	return ioctl(n.fd, UDRV_IOC_NET_ATTACH, &n.info);
}

/* The interface is as it was, or there is none; nothing is charged. */
static void check_not_attached(void)
{
	CHECK_EQ(netif_index(NETIF_NAME), ifindex);
	CHECK_EQ(os_status_kib("VmLck"), 0);
}

static void undo_attach(void)
{
	CHECK_EQ(n.info.state & UDRV_NET_TAKEN_OVER, ifindex ? UDRV_NET_TAKEN_OVER : 0);
	CHECK_OK(close(n.fd));
	if (options.device_fd != -1) {
		/* The end of the node's client, too. */
		CHECK_OK(close(node.fd));
		if (!ifindex)
			CHECK_OK(netif_delete(netif_index(NETIF_NAME)));
		node_reopen(&node);
		options.device_fd = node.fd;
	}
	check_not_attached();
	REQUIRE_OK(call_open());
}

static void attach(void)
{
	CHECK_GT(fail_each_checked("NET_ATTACH", call_attach, undo_attach, check_not_attached,
				   ifindex ? fail_no_memory : attach_errors),
		 0);
}

static void opening(void)
{
	fail_begin();
	CHECK_GT(fail_each("open", call_open, undo_open, fail_no_memory), 0);
}

static void attaching(void)
{
	fail_begin();
	REQUIRE_OK(unshare(CLONE_NEWNET));
	options = netif_options(-1);
	options.queue_count = UDRV_NET_QUEUES_MAX;
	REQUIRE_OK(call_open());
	attach();
	CHECK_OK(close(n.fd));
}

static void begin_with_device(uint32_t queues)
{
	node_open(&node, "edu");
	fail_begin();
	REQUIRE_OK(unshare(CLONE_NEWNET));
	options = netif_options(node.fd);
	options.queue_count = queues;
	REQUIRE_OK(call_open());
}

static void end_with_device(void)
{
	CHECK_OK(close(n.fd));
	CHECK_OK(close(node.fd));
	node_unbind(&node); /* and the interface with it */
	CHECK(!netif_exists(NETIF_NAME));
}

static void attaching_device(void)
{
	begin_with_device(UDRV_NET_QUEUES_MAX);
	attach();
	end_with_device();
}

static void taking_over(void)
{
	begin_with_device(UDRV_NET_QUEUES_MAX);
	REQUIRE_OK(call_attach());
	ifindex = netif_index(NETIF_NAME);
	REQUIRE(ifindex);
	undo_open();
	CHECK_OK(close(node.fd));
	node_reopen(&node);
	options.device_fd = node.fd;
	REQUIRE_OK(call_open());
	attach();
	end_with_device();
}

/* ---- a turn ---- */

#define TURN_SWEEPS 5

static int sent; /* a packet socket */

/* Something each way. */
static void prepare_turn(void)
{
	struct udrv_net_fill buffer = netif_buffer(&n);
	uint32_t done = n.rings->tx.consumed;

	netif_arrived(&n, buffer.slot, NETIF_FRAME, 0);
	netif_send(sent, 1);
	while (done != __atomic_load_n(&n.rings->tx.produced, __ATOMIC_ACQUIRE))
		netif_done(&n, n.tx[done++ & (n.info.tx_entries - 1)].slot);
	n.rings->tx.consumed = done;
}

static long call_turn(void)
{
	struct udrv_ioc_net_turn turn = { .size = sizeof(turn) };

	return ioctl(n.fd, UDRV_IOC_NET_TURN, &turn);
}

/* Without memory the frame is lost; what it lay in, or another buffer, is handed out again. */
static void check_turned(void)
{
	/* What it did not come to is done by the next one. */
	CHECK_OK(call_turn());
	CHECK_EQ(n.rings->fill.produced - n.rings->fill.consumed, n.info.rx_slots);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), 0);
	CHECK_EQ(netif_counter(NETIF_NAME, "tx_done_errors"), 0);
	prepare_turn();
}

/*
 * Now and then a frame takes a new page for skbs, so the places of two turns differ, and the one way to fail for good, the
 * answer's copy, may be no turn's n-th: it is in some of several sweeps.
 */
static void turn(int device_fd)
{
	unsigned int refused = 0;

	fail_begin();
	options = netif_options(device_fd);
	options.max_mtu = UDRV_NET_MTU_MAX_ONE_BUFFER; /* each frame has a page, and wants another one for it */
	netif_up_with(&n, &options);
	sent = netif_socket(NETIF_NAME);
	prepare_turn();
	for (unsigned int sweep = 0; sweep < TURN_SWEEPS; sweep++)
		refused += fail_each_checked("NET_TURN", call_turn, check_turned, check_turned,
					     fail_no_memory);
	CHECK_GT(refused, 0);
	CHECK_OK(close(sent));
	netif_close(&n);
}

static void turning(void)
{
	turn(-1);
}

static void turning_device(void)
{
	node_open(&node, "edu");
	turn(node.fd);
	CHECK_OK(close(node.fd));
	node_unbind(&node);
}

/* ---- the other calls ---- */

static long call_mmap(void)
{
	n.area = mmap(NULL, n.info.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, n.fd, 0);
	return n.area == MAP_FAILED ? -1 : 0;
}

static void undo_mmap(void)
{
	CHECK_OK(munmap(n.area, n.info.map_bytes));
}

static long call_vector(void)
{
	struct udrv_ioc_net_queue arg = NODE_ARG(arg);

	return ioctl(n.fd, UDRV_IOC_NET_VECTOR, &arg);
}

static long call_kick(void)
{
	struct udrv_ioc_net_queue arg = NODE_ARG(arg);

	return ioctl(n.fd, UDRV_IOC_NET_KICK, &arg);
}

static long call_state(void)
{
	struct udrv_ioc_net_state arg = NODE_ARG(arg);

	return ioctl(n.fd, UDRV_IOC_NET_STATE, &arg);
}

static long call_link(void)
{
	struct udrv_ioc_net_link arg = NODE_ARG(arg);

	return ioctl(n.fd, UDRV_IOC_NET_LINK, &arg);
}

static void others(void)
{
	begin_with_device(1);
	REQUIRE_OK(call_attach());
	CHECK_GT(fail_each("mmap", call_mmap, undo_mmap, fail_no_memory), 0);
	CHECK_EQ(node_irq_setup(&node, UDRV_IRQ_INTX, 1), 1);
	CHECK_GT(fail_each("NET_VECTOR", call_vector, NULL, fail_no_memory), 0);
	CHECK_GT(fail_each("NET_KICK", call_kick, NULL, fail_no_memory), 0);
	CHECK_GT(fail_each("NET_STATE", call_state, NULL, fail_no_memory), 0);
	CHECK_GT(fail_each("NET_LINK", call_link, NULL, fail_no_memory), 0);
	end_with_device();
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST_LONG(opening, 300),	TAP_TEST_LONG(attaching, 300),
		TAP_TEST_LONG(taking_over, 300), TAP_TEST_LONG(attaching_device, 300),
		TAP_TEST_LONG(turning, 300),	TAP_TEST_LONG(turning_device, 300),
		TAP_TEST_LONG(others, 300),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
