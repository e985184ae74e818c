// SPDX-License-Identifier: MIT
/*
 * net_pieces_test.c - frames that lie in several buffers: good ones, and nonsense
 *
 * Without a device, where packets are copied, and with edu, whose own DMA writes the pieces.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netif.h"
#include "node.h"
#include "os.h"
#include "tap.h"

static struct node edu;

/* Frames in several buffers, @rounds of them; @put puts a piece of one into a buffer. */
static void scattered(struct netif *n, uint32_t rounds, void (*put)(struct netif *, const struct udrv_net_fill *,
						   const uint8_t *, uint32_t))
{
	static const uint32_t pieces[] = { 14, 1024, 1, 1024, 1024, 500 };
	enum { COUNT = sizeof(pieces) / sizeof(pieces[0]) };
	static uint8_t frame[8192], got[8192];
	uint64_t bytes = 0;
	int fd = netif_socket(NETIF_NAME);

	for (uint32_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7 + i / 256);
	netif_frame(frame, 1);
	for (uint32_t round = 1; round <= rounds; round++) {
		uint32_t count = round % COUNT + 1, length = 0;

		for (uint32_t i = 0; i < count; length += pieces[i++]) {
			struct udrv_net_fill buffer = netif_buffer(n);

			CHECK_GE(buffer.length, 1536);
			put(n, &buffer, frame + length, pieces[i]);
			netif_arrived(n, buffer.slot, pieces[i],
				      i < count - 1 ? UDRV_NET_RX_MORE : 0);
			if (round % 2) { /* or in several turns */
				CHECK_EQ(netif_counter(NETIF_NAME, "rx_packets"), round - 1);
				netif_ready(n);
			}
		}
		netif_ready(n);
		bytes += length;
		REQUIRE_EQ(recv(fd, got, sizeof(got), 0), (ssize_t)length);
		CHECK_MEM(got, frame, length);
		CHECK_EQ(netif_counter(NETIF_NAME, "rx_packets"), round);
		CHECK_EQ(netif_counter(NETIF_NAME, "rx_bytes"), bytes);
	}
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), 0);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_dropped"), 0);
	close(fd);
}

static void put_copy(struct netif *n, const struct udrv_net_fill *buffer, const uint8_t *piece,
		     uint32_t length)
{
	memcpy(n->area + buffer->address, piece, length);
}

static void scattered_copied(void)
{
	struct udrv_ioc_net_attach o = netif_options(-1);
	struct netif n;

	o.features = UDRV_NET_SCATTER;
	o.max_mtu = 9000;
	netif_up_with(&n, &o);
	CHECK_ERROR(netif_set_mtu(NETIF_NAME, 2001), EINVAL); /* what is sent is in one piece */
	CHECK_OK(netif_set_mtu(NETIF_NAME, 2000));
	scattered(&n, 40, put_copy); /* more buffers than there are */
	tap_step("the end in the middle of a frame");
	netif_arrived(&n, netif_buffer(&n).slot, 100, UDRV_NET_RX_MORE);
	netif_ready(&n);
	netif_close(&n);
}

static uint64_t source_iova; /* of what edu writes from */
static uint8_t *source_view;

static void put_by_dma(struct netif *n, const struct udrv_net_fill *buffer, const uint8_t *piece,
		       uint32_t length)
{
	(void)n;
	memcpy(source_view, piece, length);
	edu_dma(&edu, false, source_iova, 0, length);
	edu_dma(&edu, true, buffer->address, 0, length);
}

static void scattered_device(void)
{
	struct udrv_ioc_net_attach o;
	struct udrv_ioc_dma_alloc source;
	struct udrv_ioc_net_state state = { .size = sizeof(state) };
	struct netif n;

	node_open_mapped(&edu, "edu");
	edu_dma_wait(&edu);
	o = netif_options(edu.fd);
	o.features = UDRV_NET_SCATTER;
	o.max_mtu = 9600;
	netif_up_with(&n, &o);
	REQUIRE_OK(node_dma_alloc(&edu, PAGE, &source));
	source_iova = source.iova;
	source_view = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, edu.fd, source.offset);
	REQUIRE(source_view != MAP_FAILED);
	REQUIRE_OK(node_bus_master(&edu, true));
	if (!(n.info.state & UDRV_NET_COPIES)) {
		CHECK_ERROR(netif_set_mtu(NETIF_NAME, 9601), EINVAL);
		CHECK_OK(netif_set_mtu(NETIF_NAME, 9600));
		CHECK_OK(ioctl(n.fd, UDRV_IOC_NET_STATE, &state));
		CHECK_EQ(state.mtu, 9600);
	}
	scattered(&n, 8, put_by_dma); /* edu takes 0.1 s for a transfer */
	tap_step("the end in the middle of a frame");
	netif_arrived(&n, netif_buffer(&n).slot, 100, UDRV_NET_RX_MORE);
	netif_ready(&n);
	munmap(source_view, PAGE);
	netif_close(&n);
	node_unmap(&edu);
	close(edu.fd);
	node_unbind(&edu);
}

/* ---- nonsense ---- */

/* Of a frame in several buffers. Each is one error, whatever else is wrong with it. */
static void nonsense_in_pieces(int device_fd)
{
	struct udrv_ioc_net_attach o = netif_options(device_fd);
	uint64_t errors = 0, packets = 0;
	struct udrv_net_fill buffer;
	struct netif n;

	o.features = UDRV_NET_SCATTER;
	netif_up_with(&n, &o);
	tap_step("more pieces than a packet can have");
	for (int i = 0; i < 1000; i++) {
		netif_arrived(&n, netif_buffer(&n).slot, 100, UDRV_NET_RX_MORE);
		netif_ready(&n);
	}
	netif_arrived(&n, netif_buffer(&n).slot, 100, 0);
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), ++errors);
	tap_step("a header that is cut");
	netif_arrived(&n, netif_buffer(&n).slot, 13, UDRV_NET_RX_MORE);
	netif_arrived(&n, netif_buffer(&n).slot, 100, 0);
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), ++errors);
	tap_step("pieces that make no sense after one that does");
	buffer = netif_buffer(&n);
	for (int i = 0; i < 4; i++) {
		const struct udrv_net_rx bad[] = {
			{ .slot = 64, .length = 100 },
			{ .slot = ~0U, .length = 100 },
			{ .slot = buffer.slot, .length = 0 },
			{ .slot = buffer.slot, .length = buffer.length + 1 },
		};

		for (uint16_t more = 0; more < 2; more++) { /* it may go on after that, or not */
			netif_arrived(&n, netif_buffer(&n).slot, 100, UDRV_NET_RX_MORE);
			netif_arrived(&n, bad[i].slot, bad[i].length, more ? UDRV_NET_RX_MORE : 0);
			if (more)
				netif_arrived(&n, netif_buffer(&n).slot, 100, 0);
			netif_ready(&n);
			CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), ++errors);
		}
		tap_step("and the next frame is a good one");
		netif_arrived(&n, netif_buffer(&n).slot, 100, 0);
		netif_ready(&n);
		CHECK_EQ(netif_counter(NETIF_NAME, "rx_packets"), ++packets);
	}
	tap_step("dropped in the middle");
	netif_arrived(&n, netif_buffer(&n).slot, 100, UDRV_NET_RX_MORE);
	netif_arrived(&n, netif_buffer(&n).slot, ~0U, UDRV_NET_RX_MORE | UDRV_NET_RX_DROP);
	netif_arrived(&n, netif_buffer(&n).slot, 100, 0);
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), errors);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_dropped"), 1);
	tap_step("down, with a frame by half");
	netif_arrived(&n, netif_buffer(&n).slot, 100, UDRV_NET_RX_MORE);
	netif_ready(&n);
	netif_set_up(NETIF_NAME, false);
	netif_arrived(&n, netif_buffer(&n).slot, 100, 0);
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_dropped"), 2);
	netif_set_up(NETIF_NAME, true);
	tap_step("an index far ahead, with a frame by half");
	netif_arrived(&n, netif_buffer(&n).slot, 100, UDRV_NET_RX_MORE);
	netif_ready(&n);
	n.rings->rx.produced += 65;
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), ++errors);
	netif_arrived(&n, netif_buffer(&n).slot, 100, 0);
	netif_ready(&n);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_packets"), ++packets);
	netif_close(&n);
}

static void nonsense_in_pieces_copied(void)
{
	nonsense_in_pieces(-1);
}

static void nonsense_in_pieces_device(void)
{
	node_open(&edu, "edu");
	nonsense_in_pieces(edu.fd);
	close(edu.fd);
	node_unbind(&edu);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(scattered_copied),
		TAP_TEST(scattered_device),
		TAP_TEST(nonsense_in_pieces_copied),
		TAP_TEST(nonsense_in_pieces_device),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
