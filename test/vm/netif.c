// SPDX-License-Identifier: MIT
/*
 * netif.c - a driver of a network interface, on raw system calls (netif.h)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netif.h"
#include "os.h"
#include "tap.h"

#define TYPE 0x88b5 /* for experiments: nobody else sends such frames */

static int request(unsigned long call, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret, error;

	REQUIRE(fd >= 0);
	ret = ioctl(fd, call, r);
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

static struct ifreq named(const char *name)
{
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return r;
}

struct udrv_ioc_net_attach netif_options(int device_fd)
{
	return (struct udrv_ioc_net_attach){
		.size = sizeof(struct udrv_ioc_net_attach),
		.device_fd = device_fd,
		.name = NETIF_NAME,
		.address = { 0x02, 0, 0, 0, 0, 0x77 },
		.queue_count = 1,
		.tx_slots = 64,
		.rx_slots = 64,
		.max_mtu = 1500,
	};
}

int netif_attach(struct netif *n, const struct udrv_ioc_net_attach *options)
{
	int error;

	memset(n, 0, sizeof(*n));
	n->info = *options;
	REQUIRE_OK(n->fd = open(NETIF_NODE, O_RDWR | O_CLOEXEC));
	if (!ioctl(n->fd, UDRV_IOC_NET_ATTACH, &n->info))
		return 0;
	error = errno;
	close(n->fd);
	n->fd = -1;
	errno = error;
	return -1;
}

void netif_map(struct netif *n)
{
	void *area = mmap(NULL, n->info.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, n->fd, 0);

	REQUIRE(area != MAP_FAILED);
	n->area = area;
	n->rings = area;
	n->tx = (void *)(n->area + n->info.tx_offset);
	n->tx_done = (void *)(n->area + n->info.tx_done_offset);
	n->fill = (void *)(n->area + n->info.fill_offset);
	n->rx = (void *)(n->area + n->info.rx_offset);
}

static bool is_up(const char *name)
{
	char path[64], state[32];

	snprintf(path, sizeof(path), "/sys/class/net/%s/operstate", name);
	return !os_read(path, state, sizeof(state)) && !strcmp(state, "up");
}

void netif_up_with(struct netif *n, const struct udrv_ioc_net_attach *options)
{
	struct udrv_ioc_net_link link = { .size = sizeof(link), .link = UDRV_NET_LINK_UP };

	REQUIRE_OK(netif_attach(n, options));
	netif_map(n);
	/* No packets but ours: no addresses are made for it. */
	os_write("/proc/sys/net/ipv6/conf/" NETIF_NAME "/disable_ipv6", "1");
	netif_set_up(NETIF_NAME, true);
	REQUIRE_OK(ioctl(n->fd, UDRV_IOC_NET_LINK, &link));
	/*
	 * The system's queues come some time after the driver's word, in a work item that holds rtnl: it
	 * has done with it when we get that.
	 */
	REQUIRE(OS_WAIT_FOR(is_up(NETIF_NAME), 10000));
	netif_set_up(NETIF_NAME, true);
}

void netif_up(struct netif *n, int device_fd)
{
	const struct udrv_ioc_net_attach options = netif_options(device_fd);

	netif_up_with(n, &options);
}

void netif_close(struct netif *n)
{
	if (n->area)
		REQUIRE_OK(munmap(n->area, n->info.map_bytes));
	n->area = NULL;
	REQUIRE_OK(close(n->fd));
}

int netif_turn(const struct netif *n, uint32_t ignore, uint64_t timeout_ns,
	       struct udrv_ioc_net_turn *turn)
{
	*turn = (struct udrv_ioc_net_turn){
		.size = sizeof(*turn),
		.ready = ignore,
		.timeout_ns = timeout_ns,
	};
	return ioctl(n->fd, UDRV_IOC_NET_TURN, turn);
}

void *netif_wait(void *arg)
{
	struct netif_waiter *waiter = arg;
	struct udrv_ioc_net_turn turn;

	waiter->result = netif_turn(waiter->n, UDRV_NET_READY_STATE, UDRV_NET_FOREVER, &turn) ?
				 -errno :
				 (int)turn.ready;
	return NULL;
}

uint32_t netif_ready(const struct netif *n)
{
	struct udrv_ioc_net_turn turn;

	REQUIRE_OK(netif_turn(n, 0, 0, &turn));
	return turn.ready;
}

struct udrv_net_tx netif_take(struct netif *n)
{
	struct udrv_ioc_net_turn turn;
	struct udrv_net_tx first, entry;
	uint32_t at = n->rings->tx.consumed;

	REQUIRE_OK(netif_turn(n, UDRV_NET_READY_STATE, 10000000000ULL, &turn));
	REQUIRE(turn.ready & UDRV_NET_READY_TX);
	first = entry = n->tx[at++ & (n->info.tx_entries - 1)];
	REQUIRE(first.flags & UDRV_NET_TX_FIRST);
	while (!(entry.flags & UDRV_NET_TX_LAST))
		entry = n->tx[at++ & (n->info.tx_entries - 1)];
	__atomic_store_n(&n->rings->tx.consumed, at, __ATOMIC_RELEASE);
	return first;
}

void netif_done(struct netif *n, uint32_t slot)
{
	uint32_t at = n->rings->tx_done.produced;

	n->tx_done[at & (n->info.tx_slots - 1)] = slot;
	__atomic_store_n(&n->rings->tx_done.produced, at + 1, __ATOMIC_RELEASE);
}

struct udrv_net_fill netif_buffer(struct netif *n)
{
	uint32_t at = n->rings->fill.consumed;
	struct udrv_net_fill fill;

	REQUIRE(at != __atomic_load_n(&n->rings->fill.produced, __ATOMIC_ACQUIRE));
	fill = n->fill[at & (n->info.rx_slots - 1)];
	__atomic_store_n(&n->rings->fill.consumed, at + 1, __ATOMIC_RELEASE);
	return fill;
}

void netif_arrived(struct netif *n, uint32_t slot, uint32_t length, uint16_t flags)
{
	uint32_t at = n->rings->rx.produced;

	n->rx[at & (n->info.rx_slots - 1)] = (struct udrv_net_rx){
		.slot = slot,
		.length = length,
		.flags = flags,
	};
	__atomic_store_n(&n->rings->rx.produced, at + 1, __ATOMIC_RELEASE);
}

/* ---- the system's side ---- */

void netif_set_up(const char *name, bool up)
{
	struct ifreq r = named(name);

	REQUIRE_OK(request(SIOCGIFFLAGS, &r));
	r.ifr_flags = up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP;
	REQUIRE_OK(request(SIOCSIFFLAGS, &r));
}

int netif_set_mtu(const char *name, int mtu)
{
	struct ifreq r = named(name);

	r.ifr_mtu = mtu;
	return request(SIOCSIFMTU, &r);
}

bool netif_exists(const char *name)
{
	return netif_index(name);
}

/* From a list of all: for a name that is not there, if_nametoindex() makes the kernel run modprobe. */
unsigned int netif_index(const char *name)
{
	struct if_nameindex *list = if_nameindex();
	unsigned int index = 0;

	REQUIRE(list);
	for (struct if_nameindex *i = list; i->if_index; i++)
		if (!strcmp(i->if_name, name))
			index = i->if_index;
	if_freenameindex(list);
	return index;
}

/* Ask rtnetlink for something, and hear whether it is done. */
static int rtnetlink(const struct nlmsghdr *ask)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char more[256];
	} answer = { 0 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), error;

	if (fd < 0)
		return -1;
	error = send(fd, ask, ask->nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0 ?
			errno :
			-answer.error.error;
	close(fd);
	errno = error;
	return error ? -1 : 0;
}

int netif_delete(unsigned int ifindex)
{
	const struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
	} ask = {
		.head = { .nlmsg_len = sizeof(ask),
			  .nlmsg_type = RTM_DELLINK,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.info = { .ifi_index = (int)ifindex },
	};

	return rtnetlink(&ask.head);
}

int netif_xdp(unsigned int ifindex, int program_fd, uint32_t flags)
{
	const struct {
		struct nlmsghdr head;
		struct ifinfomsg info;
		struct nlattr xdp, fd;
		int32_t fd_value;
		struct nlattr flags;
		uint32_t flags_value;
	} ask = {
		.head = { .nlmsg_len = sizeof(ask),
			  .nlmsg_type = RTM_SETLINK,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.info = { .ifi_index = (int)ifindex },
		.xdp = { .nla_len = 20, .nla_type = IFLA_XDP | NLA_F_NESTED },
		.fd = { .nla_len = 8, .nla_type = IFLA_XDP_FD },
		.fd_value = program_fd,
		.flags = { .nla_len = 8, .nla_type = IFLA_XDP_FLAGS },
		.flags_value = flags,
	};

	return rtnetlink(&ask.head);
}

uint64_t netif_counter(const char *name, const char *counter)
{
	struct {
		struct ethtool_gstrings head;
		char text[64][ETH_GSTRING_LEN];
	} strings = { .head = { .cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_STATS } };
	struct {
		struct ethtool_stats head;
		uint64_t value[64];
	} stats = { .head = { .cmd = ETHTOOL_GSTATS } };
	struct {
		struct ethtool_sset_info head;
		uint32_t number;
	} count = { .head = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_STATS } };
	struct ifreq r = named(name);
	char wanted[ETH_GSTRING_LEN];

	snprintf(wanted, sizeof(wanted), "queue_0_%s", counter);
	r.ifr_data = (void *)&count;
	REQUIRE_OK(request(SIOCETHTOOL, &r));
	REQUIRE(count.number <= 64);
	/* Newer kernels answer only if they are told right. */
	strings.head.len = stats.head.n_stats = count.number;
	r.ifr_data = (void *)&strings;
	REQUIRE_OK(request(SIOCETHTOOL, &r));
	r.ifr_data = (void *)&stats;
	REQUIRE_OK(request(SIOCETHTOOL, &r));
	for (uint32_t i = 0; i < strings.head.len; i++)
		if (!strcmp(strings.text[i], wanted) || !strcmp(strings.text[i], counter))
			return stats.value[i];
	tap_note("no counter %s", wanted);
	REQUIRE(false);
	return 0;
}

int netif_socket(const char *name)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(TYPE),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	const struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0);
	REQUIRE_OK(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	REQUIRE_OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	return fd;
}

void netif_frame(uint8_t *frame, uint8_t mark)
{
	memset(frame, 0xff, 6);
	memcpy(frame + 6, "\x02\0\0\0\0\x78", 6);
	frame[12] = TYPE >> 8;
	frame[13] = TYPE & 0xff;
	for (int i = ETH_HLEN; i < NETIF_FRAME; i++)
		frame[i] = (uint8_t)(mark + i);
}

void netif_send(int fd, uint8_t mark)
{
	uint8_t frame[NETIF_FRAME];

	netif_frame(frame, mark);
	REQUIRE_EQ(send(fd, frame, sizeof(frame), 0), (ssize_t)sizeof(frame));
}
