// SPDX-License-Identifier: MIT
/*
 * stack.c - the system's side of the interfaces: packets for them, and what an administrator does
 *
 * Frames are such that the system looks into them, on both ways: with headers that hold, mostly. A
 * packet socket can ask for checksums and segmentation (PACKET_VNET_HDR), so that all that an
 * interface may be told of a packet comes by. The interfaces have no way to anybody else's.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../vm/netif.h"
#include "calls.h"

static int control;	   /* for ioctls, and datagrams */
static int packets[3];	   /* plain, with a header for offloads, past the queueing discipline */
enum { PLAIN, OFFLOADS, BYPASS };

void stack_begin(void)
{
	int one = 1, room = 1 << 20;

	REQUIRE_OK(control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	for (unsigned int i = 0; i < COUNT_OF(packets); i++) {
		REQUIRE_OK(packets[i] = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
		REQUIRE_OK(setsockopt(packets[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)));
	}
	REQUIRE_OK(setsockopt(packets[OFFLOADS], SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)));
	REQUIRE_OK(setsockopt(packets[BYPASS], SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)));
}

void stack_name(struct rng *rng, char *name)
{
	snprintf(name, IFNAMSIZ, "fz%u", below(rng, one_in(rng, 12) ? 8 : NET_NAMES));
}

static struct ifreq named(struct rng *rng)
{
	struct ifreq r = { 0 };

	stack_name(rng, r.ifr_name);
	return r;
}

static long request(unsigned long call, struct ifreq *r)
{
	return ioctl(control, call, r) < 0 ? -errno : 0;
}

/* ---- frames ---- */

static uint16_t sum16(const uint8_t *at, unsigned int length)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i + 1 < length; i += 2)
		sum += at[i] << 8 | at[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static unsigned int put_ipv4(struct rng *rng, uint8_t *at, unsigned int length, uint8_t protocol)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(length),
		.ttl = 1 + below(rng, 64),
		.protocol = protocol,
		.saddr = htonl(0x0a630000 | below(rng, NET_NAMES) << 8 | below(rng, 3)),
		.daddr = htonl(one_in(rng, 3) ? 0xe0000001
					      : 0x0a630000 | below(rng, NET_NAMES) << 8 | 1),
	};

	if (one_in(rng, 12))
		ip.frag_off = htons(below(rng, 65536));
	ip.check = sum16((uint8_t *)&ip, sizeof(ip));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip);
}

static unsigned int put_ipv6(struct rng *rng, uint8_t *at, unsigned int length, uint8_t protocol)
{
	struct ipv6hdr ip = {
		.version = 6,
		.payload_len = htons(length - sizeof(ip)),
		.nexthdr = protocol,
		.hop_limit = 255,
	};

	ip.saddr.s6_addr[0] = 0xfe;
	ip.saddr.s6_addr[1] = 0x80;
	ip.saddr.s6_addr[15] = below(rng, 4);
	ip.daddr.s6_addr[0] = 0xff;
	ip.daddr.s6_addr[1] = 2;
	ip.daddr.s6_addr[15] = 1 + below(rng, 2);
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip);
}

static uint8_t some_protocol(struct rng *rng)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_TCP,	  IPPROTO_UDP,
					     IPPROTO_UDP, IPPROTO_ICMP,	  IPPROTO_ICMPV6,
					     IPPROTO_GRE, IPPROTO_SCTP };

	return protocols[below(rng, COUNT_OF(protocols))];
}

/* Ethernet, IP if @type says so, and random bytes with a TCP header's length in place. */
static void put_frame(struct rng *rng, uint8_t *frame, unsigned int length, uint16_t type,
		      uint8_t protocol)
{
	unsigned int at = ETH_HLEN, i;

	memset(frame, 0, length);
	for (i = 0; i < length; i += 16)
		frame[i + below(rng, length - i < 16 ? length - i : 16)] = rng_next(rng);
	memset(frame, 0xff, 6);
	if (one_in(rng, 2))
		memcpy(frame, (const uint8_t[]){ 2, 0xf2, 0, 0, 0, below(rng, NET_NAMES) }, 6);
	memcpy(frame + 6, "\x02\xf3\0\0\0\1", 6);
	if (one_in(rng, 6) && length > 80) {
		memcpy(frame + 12, (const uint8_t[]){ 0x81, 0, 0, below(rng, 3) }, 4);
		at += 4;
	}
	frame[at - 2] = type >> 8;
	frame[at - 1] = type & 0xff;
	if (type == ETH_P_IP && length >= at + 40)
		at += put_ipv4(rng, frame + at, length - at, protocol);
	else if (type == ETH_P_IPV6 && length >= at + 60)
		at += put_ipv6(rng, frame + at, length - at, protocol);
	else
		return;
	if (protocol == IPPROTO_TCP && !one_in(rng, 8))
		frame[at + 12] = (5 + (one_in(rng, 6) ? below(rng, 11) : 0)) << 4;
}

static uint16_t some_type(struct rng *rng)
{
	static const uint16_t types[] = { ETH_P_IP,  ETH_P_IP,	  ETH_P_IPV6, ETH_P_IPV6,
					  ETH_P_ARP, ETH_P_8021Q, 0x88b5,     64 };

	return types[below(rng, COUNT_OF(types))];
}

unsigned int stack_frame(struct rng *rng, uint8_t *frame)
{
	unsigned int length = one_in(rng, 4) ? ETH_HLEN + below(rng, 1500) : 60 + below(rng, 60);

	put_frame(rng, frame, length, some_type(rng), some_protocol(rng));
	if (one_in(rng, 6))
		frame[below(rng, length)] = rng_next(rng);
	return length;
}

/* ---- traffic ---- */

/* A packet that wants a checksum, or to be cut into segments. Returns its length. */
static unsigned int offload(struct rng *rng, struct virtio_net_hdr *h, uint8_t *frame)
{
	bool six = one_in(rng, 2), segments = !one_in(rng, 3);
	unsigned int ip = six ? 40 : 20, length = 100 + below(rng, segments ? 8000 : 1300);
	uint8_t protocol = segments || one_in(rng, 2) ? IPPROTO_TCP : IPPROTO_UDP;

	put_frame(rng, frame, length, six ? ETH_P_IPV6 : ETH_P_IP, protocol);
	*h = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = ETH_HLEN + ip + (frame[12] == 0x81 ? 4 : 0),
		.csum_offset = protocol == IPPROTO_TCP ? 16 : 6,
	};
	if (segments) {
		h->gso_type = six ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		h->gso_size = 200 + below(rng, 1200);
		h->hdr_len = h->csum_start + 20;
	}
	if (!one_in(rng, 5))
		return length;
	switch (below(rng, 5)) {
	case 0:
		h->csum_start = below(rng, 300);
		break;
	case 1:
		h->csum_offset = below(rng, 300);
		break;
	case 2:
		h->hdr_len = below(rng, 300);
		break;
	case 3:
		h->gso_size = one_in(rng, 2) ? below(rng, 8) : rng_next(rng);
		break;
	default:
		h->gso_type = below(rng, 6);
	}
	return length;
}

static long traffic_run(const struct op *op)
{
	static __thread uint8_t frame[8192];
	struct rng *rng = &self->rng;
	struct ifreq r = named(rng);
	struct virtio_net_hdr header;
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6 };
	struct iovec parts[2] = { { &header, sizeof(header) }, { frame, 0 } };
	struct msghdr message = { .msg_name = &to, .msg_namelen = sizeof(to) };
	unsigned int count = 1 + below(rng, one_in(rng, 4) ? 80 : 10), kind = below(rng, 3);
	long result = request(SIOCGIFINDEX, &r);
	bool begun;

	(void)op;
	to.sll_ifindex = r.ifr_ifindex;
	for (; count && !result; count--) {
		parts[1].iov_len = kind == OFFLOADS ? offload(rng, &header, frame)
						    : stack_frame(rng, frame);
		to.sll_protocol = frame[12] << 8 | frame[13];
		to.sll_protocol = htons(to.sll_protocol);
		message.msg_iov = kind == OFFLOADS ? parts : parts + 1;
		message.msg_iovlen = kind == OFFLOADS ? 2 : 1;
		begun = fault_begin();
		result = sendmsg(packets[kind], &message, MSG_DONTWAIT) < 0 ? -errno : 0;
		fault_end(begun);
		/* One that cannot be is refused; what comes after it may be better. */
		if (result == -EINVAL || result == -EMSGSIZE)
			result = 0;
	}
	return result;
}

/* Datagrams by way of routing and neighbours: many at once, more than a queue takes. */
static long datagrams_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	struct ifreq r = named(rng);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct ip_mreqn by = { 0 };
	long result = request(SIOCGIFINDEX, &r);
	int fd;

	(void)op;
	if (result)
		return result;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	by.imr_ifindex = r.ifr_ifindex;
	setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by));
	for (unsigned int i = below(rng, one_in(rng, 4) ? 150 : 10); i && !result; i--) {
		to.sin_addr.s_addr = htonl(one_in(rng, 3)
						   ? 0x0a630000 | below(rng, NET_NAMES) << 8 | 2
						   : 0xe0000000 | below(rng, 1000));
		result = sendto(fd, self->out, below(rng, one_in(rng, 6) ? 6000 : 1400),
				MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) < 0
				 ? -errno
				 : 0;
	}
	close(fd);
	return result;
}

/* ---- what an administrator does ---- */

int stack_set_up(const char *name, short flags)
{
	struct ifreq r = { .ifr_flags = flags };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return ioctl(control, SIOCSIFFLAGS, &r);
}

bool stack_has_device(const char *name)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq r = { .ifr_data = (void *)&info };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	REQUIRE_OK(fd);
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	/* One that goes at the moment does not count. */
	if (ioctl(fd, SIOCETHTOOL, &r) < 0)
		info.bus_info[0] = '?';
	close(fd);
	return info.bus_info[0];
}

static long flags_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	struct ifreq r = named(rng);

	(void)op;
	return stack_set_up(r.ifr_name, (one_in(rng, 4) ? 0 : IFF_UP) |
						(one_in(rng, 4) ? IFF_PROMISC : 0) |
						(one_in(rng, 4) ? IFF_ALLMULTI : 0))
		       ? -errno
		       : 0;
}

static long config_run(const struct op *op)
{
	static const unsigned long groups[] = { SIOCADDMULTI, SIOCDELMULTI };
	struct rng *rng = &self->rng;
	struct ifreq r = named(rng);
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0x0a630001 | below(rng, NET_NAMES) << 8),
	};
	long result = 0;
	bool begun;

	(void)op;
	switch (below(rng, 6)) {
	case 0:
		r.ifr_mtu = one_in(rng, 8) ? odd_number(rng) : 68 + below(rng, 3400);
		begun = fault_begin();
		result = request(SIOCSIFMTU, &r);
		fault_end(begun);
		return result;
	case 1:
		r.ifr_hwaddr.sa_family = 1;
		memcpy(r.ifr_hwaddr.sa_data,
		       (const uint8_t[]){ one_in(rng, 6), 0xf2, 0, 0, 0, below(rng, NET_NAMES) },
		       6);
		return request(SIOCSIFHWADDR, &r);
	case 2: /* more than NET_STATE tells */
		for (unsigned int i = below(rng, one_in(rng, 8) ? 100 : 10); i && !result; i--) {
			memcpy(r.ifr_hwaddr.sa_data,
			       (const uint8_t[]){ 1, 0, 0x5e, 0, 0, below(rng, 100) }, 6);
			result = request(groups[below(rng, 2)], &r);
		}
		return result;
	case 3:
		memcpy(&r.ifr_addr, &address, sizeof(address));
		return request(SIOCSIFADDR, &r);
	case 4: /* another name, if it is down */
		stack_name(rng, r.ifr_newname);
		return request(SIOCSIFNAME, &r);
	default:
		return request(SIOCGIFFLAGS, &r);
	}
}

static long ethtool_run(const struct op *op)
{
	static const uint32_t calls[] = { ETHTOOL_GDRVINFO,  ETHTOOL_GLINK,	ETHTOOL_GRINGPARAM,
					  ETHTOOL_GCHANNELS, ETHTOOL_GSSET_INFO, ETHTOOL_GFEATURES,
					  ETHTOOL_GSET,	     ETHTOOL_GTXCSUM,	ETHTOOL_GSTATS,
					  ETHTOOL_GSTRINGS };
	static const uint32_t switches[] = { ETHTOOL_SRXCSUM, ETHTOOL_STXCSUM, ETHTOOL_SSG,
					     ETHTOOL_STSO,    ETHTOOL_SGRO,    ETHTOOL_SGSO };
	struct rng *rng = &self->rng;
	struct ifreq r = named(rng);
	uint32_t *words = (void *)self->out;
	bool begun, loud;
	long result;

	(void)op;
	memset(words, 0, 64);
	r.ifr_data = (void *)words;
	if (one_in(rng, 3)) {
		words[0] = switches[below(rng, COUNT_OF(switches))];
		words[1] = below(rng, 2);
	} else {
		words[0] = calls[below(rng, COUNT_OF(calls))];
		if (words[0] == ETHTOOL_GSSET_INFO)
			words[2] = 1 << ETH_SS_STATS;
		else if (words[0] == ETHTOOL_GSTRINGS)
			words[1] = ETH_SS_STATS;
	}
	/* The kernel's own buffer for these is vmalloc's: without memory its log has a stack, as of a fault of ours. */
	loud = words[0] == ETHTOOL_GSTATS || words[0] == ETHTOOL_GSTRINGS;
	begun = !loud && fault_begin();
	result = request(SIOCETHTOOL, &r);
	fault_end(begun);
	return result;
}

static long delete_run(const struct op *op)
{
	struct ifreq r = named(&self->rng);
	long result = request(SIOCGIFINDEX, &r);

	(void)op;
	return result ?: netif_delete(r.ifr_ifindex) ? -errno : 0;
}

const struct op stack_ops[] = {
	{ .name = "traffic", .weight = 50, .run = traffic_run, .net = true },
	{ .name = "datagrams", .weight = 12, .run = datagrams_run, .net = true },
	{ .name = "link flags", .weight = 6, .run = flags_run, .net = true },
	{ .name = "link config", .weight = 8, .run = config_run, .net = true },
	{ .name = "ethtool", .weight = 10, .run = ethtool_run, .net = true },
	{ .name = "link delete", .weight = 1, .run = delete_run, .net = true },
};
const size_t stack_op_count = COUNT_OF(stack_ops);
