/* SPDX-License-Identifier: MIT */
/*
 * tap.c - a port that is a network interface of the system, by way of the TAP device
 *
 * Owns the TAP descriptor and a netlink socket. Frames are read from TAP straight into the card's
 * memory, and written to it from there: one copy each, by the kernel. With IFF_VNET_HDR a header
 * goes before each frame, in which the system leaves checksums and segmentation to the card and
 * learns which checksums the card found good. The hard part is to follow what the interface is to
 * receive: flags and address come by netlink; of multicast groups the kernel tells nobody, so their
 * list is read again once a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "e1000.h"

struct tap {
	struct port port; /* first: a port is what everybody else sees */
	char name[IFNAMSIZ];
	int fd;
	int netlink;
	int index;
	/* What netlink last said of the interface. */
	struct {
		bool known, promiscuous, all_multicast;
		uint8_t address[ETH_ALEN];
		uint32_t mtu;
	} link;
};

static struct tap *tap_of(struct port *port)
{
	return (struct tap *)port;
}

/* ---- frames ------------------------------------------------------------------------- */

static int pull(struct port *port, uint8_t *space, uint64_t iova, uint32_t room,
		struct port_frame *frames, unsigned int count)
{
	uint32_t used = 0;
	unsigned int n = 0;

	while (n < count && used + port->frame_max <= room) {
		struct port_frame *frame = &frames[n];
		struct iovec iov[2] = {
			{ &frame->offload, sizeof(frame->offload) },
			{ space + used, port->frame_max },
		};
		ssize_t got = readv(tap_of(port)->fd, iov, 2);

		port->counters.calls++;
		if (got < (ssize_t)sizeof(frame->offload) + ETH_HLEN)
			break; /* EAGAIN: no more for now */
		frame->data = space + used;
		frame->iova = iova + used;
		frame->length = (uint32_t)got - (uint32_t)sizeof(frame->offload);
		used += PORT_ALIGNED(frame->length);
		n++;
	}
	port->counters.pulled += n;
	return (int)n;
}

static void push(struct port *port, const struct port_frame *frames, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct virtio_net_hdr header = frames[i].offload;
		const struct iovec iov[2] = {
			{ &header, sizeof(header) },
			{ frames[i].data, frames[i].length },
		};

		/* It fails while the interface is down: then nobody wants the frame. */
		if (writev(tap_of(port)->fd, iov, 2) < 0)
			port->counters.push_dropped++;
		else
			port->counters.pushed++;
		port->counters.calls++;
	}
}

static unsigned int poll_both(struct port *port, struct pollfd *fds)
{
	fds[0] = (struct pollfd){ .fd = tap_of(port)->fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = tap_of(port)->netlink, .events = POLLIN };
	return 2;
}

static void carrier(struct port *port, bool up)
{
	int on = up;

	if (ioctl(tap_of(port)->fd, TUNSETCARRIER, &on))
		driver_fail(-errno, "%s: set the carrier: %s", tap_of(port)->name, strerror(errno));
}

/* ---- what to receive ---------------------------------------------------------------- */

static int request_link(struct tap *tap)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
	} request = {
		.header.nlmsg_len = sizeof(request),
		.header.nlmsg_type = RTM_GETLINK,
		.header.nlmsg_flags = NLM_F_REQUEST,
		.link.ifi_index = tap->index,
	};

	return send(tap->netlink, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

static void read_link(struct tap *tap, struct nlmsghdr *message)
{
	struct ifinfomsg *link = NLMSG_DATA(message);
	int left = (int)IFLA_PAYLOAD(message);
	uint32_t old_mtu = tap->link.mtu;

	if (link->ifi_index != tap->index)
		return;
	tap->link.known = message->nlmsg_type == RTM_NEWLINK;
	tap->link.promiscuous = link->ifi_flags & IFF_PROMISC;
	tap->link.all_multicast = link->ifi_flags & IFF_ALLMULTI;
	for (struct rtattr *a = IFLA_RTA(link); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		uint32_t number = 0;

		if (RTA_PAYLOAD(a) >= sizeof(number))
			memcpy(&number, RTA_DATA(a), sizeof(number));
		/* The flags say what was asked for by hand; these count sockets and bridges too. */
		if (a->rta_type == IFLA_PROMISCUITY)
			tap->link.promiscuous |= number;
		else if (a->rta_type == IFLA_ALLMULTI)
			tap->link.all_multicast |= number;
		else if (a->rta_type == IFLA_MTU)
			tap->link.mtu = number;
		else if (a->rta_type == IFLA_ADDRESS && RTA_PAYLOAD(a) == ETH_ALEN)
			memcpy(tap->link.address, RTA_DATA(a), ETH_ALEN);
	}
	if (tap->link.mtu > ETH_DATA_LEN && tap->link.mtu != old_mtu)
		driver_fail(-EMSGSIZE, "%s: an MTU of %u is beyond this driver, set it to %u",
			   tap->name, tap->link.mtu, ETH_DATA_LEN);
}

static void read_netlink(struct tap *tap)
{
	_Alignas(struct nlmsghdr) char buffer[16384];

	for (;;) {
		ssize_t got = recv(tap->netlink, buffer, sizeof(buffer), MSG_DONTWAIT);
		unsigned int left = (unsigned int)got;

		if (got < 0 && errno == ENOBUFS)
			request_link(tap); /* messages were lost: ask for the state as it is */
		else if (got <= 0)
			return;
		else
			for (struct nlmsghdr *m = (void *)buffer; NLMSG_OK(m, left);
			     m = NLMSG_NEXT(m, left))
				if (m->nlmsg_type == RTM_NEWLINK || m->nlmsg_type == RTM_DELLINK)
					read_link(tap, m);
	}
}

/* /proc/net/dev_mcast: index, name, two counts, address in hex. */
static void read_groups(const struct tap *tap, struct port_mode *mode)
{
	FILE *list = fopen("/proc/net/dev_mcast", "re");
	unsigned int a[ETH_ALEN];
	int index;

	mode->group_count = 0;
	if (!list) {
		mode->all_multicast = true;
		return;
	}
	while (fscanf(list, "%d %*s %*d %*d %2x%2x%2x%2x%2x%2x%*[^\n]", &index, &a[0], &a[1], &a[2],
		      &a[3], &a[4], &a[5]) == 7) {
		if (index != tap->index)
			continue;
		if (mode->group_count == PORT_MULTICAST) {
			mode->all_multicast = true;
			break;
		}
		for (int i = 0; i < ETH_ALEN; i++)
			mode->groups[mode->group_count][i] = (uint8_t)a[i];
		mode->group_count++;
	}
	fclose(list);
}

static bool mode(struct port *port, struct port_mode *mode)
{
	struct tap *tap = tap_of(port);
	struct port_mode new = *mode;

	read_netlink(tap);
	new.promiscuous = tap->link.promiscuous;
	new.all_multicast = tap->link.all_multicast;
	if (tap->link.known) {
		memcpy(new.address, tap->link.address, ETH_ALEN);
		read_groups(tap, &new);
	} else {
		/* It was moved into another network namespace: its groups cannot be seen from here.
		 */
		new.all_multicast = true;
	}
	if (!memcmp(&new, mode, sizeof(new)))
		return false;
	*mode = new;
	return true;
}

/* ---- open and close ----------------------------------------------------------------- */

static int open_interface(struct tap *tap, unsigned int offloads, const uint8_t *address)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	unsigned int tun = 0;

	tap->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap->fd < 0)
		return driver_fail(-errno, "/dev/net/tun: %s (if it is missing: modprobe tun)",
				  strerror(errno));
	memcpy(request.ifr_name, tap->name, IFNAMSIZ);
	if (ioctl(tap->fd, TUNSETIFF, &request))
		return driver_fail(-errno, "make the interface %s: %s", tap->name, strerror(errno));
	memcpy(tap->name, request.ifr_name, IFNAMSIZ);

	tun |= offloads & PORT_OFFLOAD_CSUM ? TUN_F_CSUM : 0;
	tun |= offloads & PORT_OFFLOAD_TSO4 ? TUN_F_TSO4 : 0;
	if (ioctl(tap->fd, TUNSETOFFLOAD, tun))
		return driver_fail(-errno, "%s: set offloads: %s", tap->name, strerror(errno));

	request.ifr_hwaddr.sa_family = 1; /* ARPHRD_ETHER */
	memcpy(request.ifr_hwaddr.sa_data, address, ETH_ALEN);
	if (ioctl(tap->fd, SIOCSIFHWADDR, &request))
		return driver_fail(-errno, "%s: set the address: %s", tap->name, strerror(errno));
	carrier(&tap->port, false);
	return 0;
}

static int open_netlink(struct tap *tap)
{
	struct sockaddr_nl local = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	struct ifreq request = { 0 };

	tap->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (tap->netlink < 0 || bind(tap->netlink, (struct sockaddr *)&local, sizeof(local)))
		return driver_fail(-errno, "open netlink: %s", strerror(errno));
	memcpy(request.ifr_name, tap->name, IFNAMSIZ);
	if (ioctl(tap->netlink, SIOCGIFINDEX, &request))
		return driver_fail(-errno, "%s: find its index: %s", tap->name, strerror(errno));
	tap->index = request.ifr_ifindex;
	return request_link(tap);
}

static void tap_close(struct port *port)
{
	struct tap *tap = tap_of(port);

	if (tap->fd >= 0)
		close(tap->fd);
	if (tap->netlink >= 0)
		close(tap->netlink);
	free(tap);
}

int tap_open(const char *name, unsigned int offloads, struct port_mode *first, struct port **port)
{
	static const struct port_ops ops = {
		.pull = pull,
		.push = push,
		.poll = poll_both,
		.carrier = carrier,
		.mode = mode,
		.close = tap_close,
	};
	struct tap *tap;
	int error;

	if (!*name || strlen(name) >= IFNAMSIZ)
		return driver_fail(-EINVAL, "'%s' is no name for an interface: 1 to 15 characters",
				  name);
	tap = calloc(1, sizeof(*tap));
	if (!tap)
		return driver_fail(-ENOMEM, "out of memory");
	tap->port.ops = &ops;
	tap->port.frame_max = offloads & PORT_OFFLOAD_TSO4 ? PORT_SEGMENT_MAX : PORT_FRAME_MAX;
	strcpy(tap->name, name);
	tap->fd = tap->netlink = -1;
	error = open_interface(tap, offloads, first->address);
	if (!error)
		error = open_netlink(tap);
	if (error) {
		tap_close(&tap->port);
		return error;
	}
	mode(&tap->port, first);
	*port = &tap->port;
	return 0;
}
