/* SPDX-License-Identifier: MIT */
/*
 * dump.c - a port that prints what arrives, one line for each frame, and sends nothing
 *
 * For looking at a card before there is an interface. tcpdump on a TAP interface shows more; this
 * shows that descriptors, buffers and filters work.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "e1000.h"

static void print_address(const uint8_t *a)
{
	printf("%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3], a[4], a[5]);
}

static const char *type_name(uint16_t type)
{
	switch (type) {
	case ETHERTYPE_IP:
		return "IPv4";
	case ETHERTYPE_IPV6:
		return "IPv6";
	case ETHERTYPE_ARP:
		return "ARP";
	case ETHERTYPE_VLAN:
		return "VLAN";
	case 0x88cc:
		return "LLDP";
	default:
		return type < 1536 ? "LLC" : "other";
	}
}

static void print_ip(const uint8_t *ip, uint32_t length, uint16_t type)
{
	bool ipv6 = type == ETHERTYPE_IPV6;
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];

	if ((type != ETHERTYPE_IP && !ipv6) || length < (ipv6 ? 40 : 20))
		return;
	inet_ntop(ipv6 ? AF_INET6 : AF_INET, ip + (ipv6 ? 8 : 12), from, sizeof(from));
	inet_ntop(ipv6 ? AF_INET6 : AF_INET, ip + (ipv6 ? 24 : 16), to, sizeof(to));
	printf(", %s > %s", from, to);
	switch (ip[ipv6 ? 6 : 9]) {
	case IPPROTO_ICMP:
		printf(" ICMP");
		break;
	case IPPROTO_TCP:
		printf(" TCP");
		break;
	case IPPROTO_UDP:
		printf(" UDP");
		break;
	case IPPROTO_ICMPV6:
		printf(" ICMPv6");
		break;
	default:
		printf(" protocol %u", ip[ipv6 ? 6 : 9]);
	}
}

static void push(struct port *port, const struct port_frame *frames, unsigned int count)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	for (unsigned int i = 0; i < count; i++) {
		const uint8_t *data = frames[i].data;
		uint32_t length = frames[i].length;
		uint16_t type;

		if (length < ETH_HLEN)
			continue;
		type = (uint16_t)(data[12] << 8 | data[13]);
		printf("%02d:%02d:%02d.%06ld ", tm.tm_hour, tm.tm_min, tm.tm_sec,
		       now.tv_nsec / 1000);
		print_address(data + ETH_ALEN);
		printf(" > ");
		print_address(data);
		printf(", %s (0x%04x), length %u", type_name(type), type, length);
		print_ip(data + ETH_HLEN, length - ETH_HLEN, type);
		if (frames[i].offload.flags & VIRTIO_NET_HDR_F_DATA_VALID)
			printf(", checksum good");
		printf("\n");
	}
	fflush(stdout);
	port->counters.pushed += count;
}

static int pull(struct port *port, uint8_t *space, uint64_t iova, uint32_t room,
		struct port_frame *frames, unsigned int count)
{
	(void)port, (void)space, (void)iova, (void)room, (void)frames, (void)count;
	return 0;
}

static unsigned int poll_none(struct port *port, struct pollfd *fds)
{
	(void)port, (void)fds;
	return 0;
}

static void carrier(struct port *port, bool up)
{
	(void)port;
	printf("link %s\n", up ? "up" : "down");
	fflush(stdout);
}

static bool mode(struct port *port, struct port_mode *mode)
{
	(void)port, (void)mode;
	return false;
}

static void dump_close(struct port *port)
{
	free(port);
}

int dump_open(struct port **port)
{
	static const struct port_ops ops = {
		.pull = pull,
		.push = push,
		.poll = poll_none,
		.carrier = carrier,
		.mode = mode,
		.close = dump_close,
	};

	*port = calloc(1, sizeof(**port));
	if (!*port)
		return driver_fail(-ENOMEM, "out of memory");
	(*port)->ops = &ops;
	(*port)->frame_max = PORT_FRAME_MAX;
	return 0;
}
