// SPDX-License-Identifier: MIT
/*
 * net_hostile_test.c - a network interface whose driver writes nonsense into the rings
 *
 * Whatever must not be believed: it is to lose its own packets, be counted, and nothing else.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netif.h"
#include "node.h"
#include "os.h"
#include "tap.h"

static struct node edu;

static void nonsense_in_tx_done(void)
{
	struct udrv_net_tx tx;
	struct netif n;
	int fd;

	netif_up(&n, -1);
	fd = netif_socket(NETIF_NAME);
	tap_step("slots that are not ours");
	netif_done(&n, 0);
	netif_done(&n, 64);
	netif_done(&n, 65536);
	netif_done(&n, ~0U);
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "tx_done_errors"), 4);
	tap_step("one of ours, three times, and one that is it only if cut short");
	netif_send(fd, 1);
	tx = netif_take(&n);
	netif_done(&n, tx.slot + 64);
	netif_done(&n, tx.slot + 65536);
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "tx_done_errors"), 6);
	netif_done(&n, tx.slot);
	netif_done(&n, tx.slot);
	netif_done(&n, tx.slot);
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "tx_done_errors"), 8);
	tap_step("an index far ahead, behind, and all around");
	for (int i = 0; i < 3; i++) {
		static const uint32_t steps[] = { 65, 0x80000000, ~0U };

		n.rings->tx_done.produced += steps[i];
		netif_ready(&n);
		CHECK_EQ(netif_counter(NETIF_NAME, "tx_done_errors"), 9 + (uint64_t)i);
	}
	tap_step("and it goes on");
	for (int i = 0; i < 200; i++) {
		netif_send(fd, (uint8_t)i);
		tx = netif_take(&n);
		netif_done(&n, tx.slot);
	}
	CHECK_EQ(netif_counter(NETIF_NAME, "tx_done_errors"), 11);
	close(fd);
	netif_close(&n);
}

static void nonsense_in_tx(void)
{
	struct netif n;
	int fd;
	uint8_t frame[NETIF_FRAME];

	netif_up(&n, -1);
	fd = netif_socket(NETIF_NAME);
	REQUIRE_OK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK));
	netif_frame(frame, 1);
	tap_step("consumed more than was produced: nothing is sent any more");
	n.rings->tx.consumed = 1000;
	while (send(fd, frame, sizeof(frame), 0) == sizeof(frame))
		netif_ready(&n);
	CHECK_LE(netif_counter(NETIF_NAME, "tx_packets"), 64);
	tap_step("until it says what is so");
	n.rings->tx.consumed = n.rings->tx.produced;
	netif_ready(&n);
	/* The slots are lost: they were never said to be done. But others are. */
	for (uint32_t i = 0; i < 64; i++)
		netif_done(&n, i);
	netif_ready(&n);
	CHECK(OS_WAIT_FOR(send(fd, frame, sizeof(frame), 0) == sizeof(frame), 10000));
	close(fd);
	netif_close(&n);
}

static void nonsense_in_rx(int device_fd)
{
	static const uint32_t lengths_refused[] = { 0, 13, 4096, 65536, ~0U };
	struct netif n;
	struct udrv_net_fill buffer;
	uint64_t errors = 0;

	netif_up(&n, device_fd);
	tap_step("buffers that are not there");
	netif_arrived(&n, 64, 100, 0);
	netif_arrived(&n, ~0U, 100, 0);
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), errors += 2);
	tap_step("lengths");
	for (int i = 0; i < 5; i++) {
		buffer = netif_buffer(&n);
		netif_arrived(&n, buffer.slot, lengths_refused[i], 0);
		netif_ready(&n);
		CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), ++errors);
	}
	buffer = netif_buffer(&n);
	netif_arrived(&n, buffer.slot, buffer.length + 1, 0);
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), ++errors);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_packets"), 0);
	tap_step("a frame that goes on, where the device has no such");
	for (int i = 0; i < 3; i++) {
		netif_arrived(&n, netif_buffer(&n).slot, 100, UDRV_NET_RX_MORE);
		netif_ready(&n);
		CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), ++errors);
	}
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_packets"), 0);
	tap_step("an index far ahead");
	n.rings->rx.produced += 65;
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), ++errors);
	n.rings->rx.produced -= 1;
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), ++errors);
	tap_step("given back without a frame");
	buffer = netif_buffer(&n);
	netif_arrived(&n, buffer.slot, ~0U, UDRV_NET_RX_DROP);
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), errors);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_dropped"), 1);
	tap_step("one buffer again and again, more than there are");
	for (int i = 0; i < 1000; i++) {
		netif_arrived(&n, buffer.slot, 100, UDRV_NET_RX_CSUM | UDRV_NET_RX_VLAN | 0xfff0);
		netif_ready(&n);
	}
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), errors);
	tap_step("nothing at all is believed of indices that are the kernel's");
	memset(n.rings, 0x5a, sizeof(*n.rings));
	netif_ready(&n);
	netif_close(&n);
}

static void nonsense_in_rx_copied(void)
{
	nonsense_in_rx(-1);
}

static void nonsense_in_rx_device(void)
{
	node_open(&edu, "edu");
	nonsense_in_rx(edu.fd);
	close(edu.fd);
	node_unbind(&edu); /* and the interface with it */
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(nonsense_in_tx_done),
		TAP_TEST(nonsense_in_tx),
		TAP_TEST(nonsense_in_rx_copied),
		TAP_TEST(nonsense_in_rx_device),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
