// SPDX-License-Identifier: MIT
/*
 * net_gro_test.c - segments of a TCP connection that the stack puts together (GRO), or does not
 *
 * The driver is this program, and there is no device; a packet socket sees what the stack has made of its frames.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netif.h"
#include "os.h"
#include "tap.h"

#define SEGMENT_HEADERS 54U
#define SEGMENT_DATA 500U

/* The segment of a TCP connection that is @number in it, in the next buffer. */
static void segment_arrived(struct netif *n, uint32_t number)
{
	struct udrv_net_fill buffer = netif_buffer(n);
	uint8_t frame[SEGMENT_HEADERS + SEGMENT_DATA] = { 0x02, 0, 0, 0, 0, 0x77, 0x02, 0, 0, 0, 0, 0x78, 0x08, 0 };
	struct iphdr *ip = (void *)(frame + 14);
	struct tcphdr *tcp = (void *)(frame + 34);
	const uint16_t *word = (void *)ip;
	uint32_t sum = 0;

	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = htons(sizeof(frame) - 14),
		.frag_off = htons(0x4000), /* not to be fragmented: so the number is nobody's matter */
		.ttl = 64,
		.protocol = IPPROTO_TCP,
		.saddr = htonl(0x0a000002),
		.daddr = htonl(0x0a000001),
	};
	for (int i = 0; i < 10; i++)
		sum += word[i];
	ip->check = (uint16_t)~(sum + (sum >> 16));
	*tcp = (struct tcphdr){
		.source = htons(7),
		.dest = htons(7),
		.seq = htonl(1 + number * SEGMENT_DATA),
		.doff = 5,
		.ack = 1,
	};
	memset(frame + SEGMENT_HEADERS, (int)number, SEGMENT_DATA);
	memcpy(n->area + buffer.address, frame, sizeof(frame));
	netif_arrived(n, buffer.slot, sizeof(frame), UDRV_NET_RX_CSUM);
}

/* How many segments the next frame is made of; 0: there is none, and @wait is false. */
static uint32_t segments_in(int fd, bool wait)
{
	static uint8_t got[65536];
	ssize_t length = recv(fd, got, sizeof(got), wait ? 0 : MSG_DONTWAIT);

	if (length < 0) {
		REQUIRE(!wait && errno == EAGAIN);
		return 0;
	}
	REQUIRE_EQ((length - SEGMENT_HEADERS) % SEGMENT_DATA, 0);
	return (uint32_t)(length - SEGMENT_HEADERS) / SEGMENT_DATA;
}

static void gro(void)
{
	struct udrv_ioc_net_attach o = netif_options(-1);
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	uint32_t number = 0, merged = 0;
	struct netif n;
	int fd;

	o.features = UDRV_NET_RXCSUM;
	netif_up_with(&n, &o);
	fd = netif_socket(NETIF_NAME);
	address.sll_ifindex = (int)if_nametoindex(NETIF_NAME);
	REQUIRE_OK(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	tap_step("segments that are handed in together come as one");
	for (int i = 0; i < 4; i++)
		segment_arrived(&n, number++);
	netif_ready(&n);
	CHECK_EQ(segments_in(fd, true), 4);

	tap_step("those that come alone do at once");
	for (int i = 0; i < 3; i++) {
		segment_arrived(&n, number++);
		netif_ready(&n);
		CHECK_EQ(segments_in(fd, false), 1);
	}

	/*
	 * It is kept until the jiffy is over at most: a pair of which that is between the two is not put together. Of the
	 * others none would be, if those that come alone went by.
	 */
	tap_step("unless the system is told to keep them for a while");
	REQUIRE_OK(os_write("/sys/class/net/" NETIF_NAME "/gro_flush_timeout", "20000000"));
	for (int i = 0; i < 50; i++) {
		segment_arrived(&n, number++);
		netif_ready(&n);
		segment_arrived(&n, number++);
		netif_ready(&n);
		if (segments_in(fd, true) == 2)
			merged++;
		else
			CHECK_EQ(segments_in(fd, true), 1);
	}
	CHECK_GE(merged, 1);
	CHECK_EQ(segments_in(fd, false), 0);
	close(fd);
	netif_close(&n);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(gro),
	};

	return TAP_MAIN(argc, argv, tests, NULL);
}
