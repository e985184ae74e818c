// SPDX-License-Identifier: MIT
/*
 * net.c - the driver of a network interface: descriptors of /dev/udrv/net, and what it does to rings
 *
 * The calls themselves are made in calls.c, as all are; the system's side of an interface is
 * stack.c's. Here a driver is honest at times, so that packets move, and hostile at times: nothing
 * that it writes into a mapping may harm anybody.
 *
 * Interfaces have few names, and features and queues go by the name: so an attach meets a name that
 * is taken, or an interface that an earlier descriptor has left. What a round leaves behind is
 * deleted after it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../vm/netif.h"
#include "calls.h"

/* What a place's descriptor is. Other threads may have another one there at any moment. */
static struct {
	int fd;
	bool attached;
	struct udrv_ioc_net_attach info;
} nets[NETS];
static pthread_mutex_t nets_lock = PTHREAD_MUTEX_INITIALIZER;

void net_begin(void)
{
	for (unsigned int i = 0; i < NETS; i++)
		nets[i].fd = -1;
}

void net_end(void)
{
	for (unsigned int i = 0; i < NETS; i++)
		if (nets[i].fd >= 0)
			close(nets[i].fd);
}

int net_fd(unsigned int net)
{
	int fd;

	pthread_mutex_lock(&nets_lock);
	fd = nets[net].fd;
	pthread_mutex_unlock(&nets_lock);
	return fd;
}

/* False: it is not attached. */
static bool net_info(unsigned int net, int *fd, struct udrv_ioc_net_attach *info)
{
	bool attached;

	pthread_mutex_lock(&nets_lock);
	attached = nets[net].attached;
	*fd = nets[net].fd;
	*info = nets[net].info;
	pthread_mutex_unlock(&nets_lock);
	return attached;
}

unsigned int net_pick(bool attached)
{
	struct udrv_ioc_net_attach info;
	unsigned int net = below(&self->rng, NETS);
	int fd;

	for (unsigned int tries = 0; tries < NETS && !one_in(&self->rng, 12); tries++) {
		if (net_info(net, &fd, &info) == attached && fd >= 0)
			break;
		net = (net + 1) % NETS;
	}
	return net;
}

uint32_t net_queue(struct rng *rng, unsigned int net)
{
	struct udrv_ioc_net_attach info;
	int fd;

	return net_info(net, &fd, &info) && one_in(rng, 2) ? below(rng, info.queue_count) : 0;
}

/* Another descriptor in a place; a mapping of the old one may keep its interface for a while. */
static void net_put(unsigned int net, int fd)
{
	int old;

	pthread_mutex_lock(&nets_lock);
	old = nets[net].fd;
	nets[net].fd = fd;
	nets[net].attached = false;
	pthread_mutex_unlock(&nets_lock);
	if (old < 0)
		return;
	if (!one_in(&self->rng, 4))
		memory_net_drop(net);
	close(old);
}

/* ---- attach ---- */

struct udrv_ioc_net_attach net_options(struct rng *rng)
{
	static const struct {
		uint32_t features, queues;
	} kinds[NET_NAMES] = {
		{ 0, 1 },
		{ UDRV_NET_CSUM | UDRV_NET_TSO4 | UDRV_NET_TSO6 | UDRV_NET_RXCSUM |
			  UDRV_NET_VLAN_TX | UDRV_NET_VLAN_RX | UDRV_NET_PADS | UDRV_NET_SCATTER,
		  3 },
		{ UDRV_NET_CSUM | UDRV_NET_RXCSUM, 2 },
		{ UDRV_NET_CSUM | UDRV_NET_TSO4 | UDRV_NET_VLAN_TX, 1 },
	};
	unsigned int name = below(rng, NET_NAMES);
	struct udrv_ioc_net_attach o = {
		.size = sizeof(o),
		.device_fd = one_in(rng, 3) ? -1 : any_node(),
		.features = kinds[name].features,
		.queue_count = kinds[name].queues,
		.tx_slots = 64U << (one_in(rng, 4) ? below(rng, 4) : 0),
		.rx_slots = 64U << (one_in(rng, 4) ? below(rng, 4) : 0),
		.grace_ms = one_in(rng, 2) ? 1 : below(rng, 3000),
		.address = { 2, 0xf2, 0, 0, 0, (uint8_t)name },
	};
	uint32_t most;

	if (one_in(rng, 10)) {
		o.features = below(rng, UDRV_NET_SCATTER * 2);
		o.queue_count = 1 + below(rng, UDRV_NET_QUEUES_MAX);
	}
	most = o.features & UDRV_NET_SCATTER ? UDRV_NET_MTU_MAX : UDRV_NET_MTU_MAX_ONE_BUFFER;
	o.max_mtu = one_in(rng, 2) ? 1500 : 68 + below(rng, most - 67);
	snprintf((char *)o.name, sizeof(o.name), one_in(rng, 6) ? "fz%%d" : "fz%u", name);
	return o;
}

void net_attached(unsigned int net, const struct udrv_ioc_net_attach *info)
{
	int fd = -1;

	if (!info->ifindex || info->map_bytes % PAGE || info->queue_bytes % PAGE ||
	    strncmp((const char *)info->name, "fz", 2) || info->tx_entries < info->tx_slots ||
	    info->queue_bytes * info->queue_count > info->map_bytes ||
	    info->rx_offset + info->rx_slots * sizeof(struct udrv_net_rx) > info->queue_bytes)
		COMPLAIN("NET_ATTACH: ifindex %u, %u queues of %#llx, of together %#llx",
			 info->ifindex, info->queue_count, info->queue_bytes, info->map_bytes);
	if (info->state & UDRV_NET_TAKEN_OVER)
		atomic_fetch_add(&shared->taken_over, 1);
	pthread_mutex_lock(&nets_lock);
	if (nets[net].fd >= 0) {
		nets[net].attached = true;
		nets[net].info = *info;
		fd = nets[net].fd;
	}
	pthread_mutex_unlock(&nets_lock);
	if (fd < 0 || one_in(&self->rng, 10))
		return;
	/* If it is another one by now, it has other rings there, or none: no harm. */
	mmap(memory_net(net), info->map_bytes < NET_BYTES ? info->map_bytes : NET_BYTES,
	     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
}

static long open_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	bool begun = fault_begin();
	int fd = open(NETIF_NODE, (one_in(rng, 12) ? below(rng, 3) : O_RDWR) | O_CLOEXEC), error = errno;

	(void)op;
	fault_end(begun);
	if (fd < 0)
		return -error;
	net_put(below(rng, NETS), fd);
	return 0;
}

static long close_run(const struct op *op)
{
	unsigned int net = net_pick(true);

	(void)op;
	if (net_fd(net) < 0)
		return SKIPPED;
	net_put(net, -1);
	return 0;
}

/* All that is needed before packets move; without errors, if nobody comes between. */
static long start_run(const struct op *op)
{
	struct udrv_ioc_net_link link = { .size = sizeof(link),
					  .link = UDRV_NET_LINK_UP | UDRV_NET_LINK_FULL,
					  .speed = 1000 };
	struct udrv_ioc_net_attach o = net_options(&self->rng);
	unsigned int net = net_pick(false);
	int fd = open(NETIF_NODE, O_RDWR | O_CLOEXEC);
	long result;

	(void)op;
	if (fd < 0)
		return -errno;
	/* Under another number, so that nobody closes it before it is there. */
	result = ioctl(fd, UDRV_IOC_NET_ATTACH, &o) || ioctl(fd, UDRV_IOC_NET_LINK, &link) ||
				 stack_set_up((char *)o.name, IFF_UP)
			 ? -errno
			 : 0;
	net_put(net, fd);
	if (o.ifindex)
		net_attached(net, &o);
	return result;
}

/* ---- rings ---- */

#define RING(name, index) (offsetof(struct udrv_net_rings, name) + offsetof(struct udrv_ring, index))

/* What there is to send is sent, and done; mostly. */
static bool serve_tx(struct rng *rng, uint8_t *q, const struct udrv_ioc_net_attach *info)
{
	uint32_t produced, consumed, done, word;

	if (!guarded_get32(q + RING(tx, produced), &produced) ||
	    !guarded_get32(q + RING(tx, consumed), &consumed) ||
	    !guarded_get32(q + RING(tx_done, produced), &done))
		return false;
	if (produced - consumed > info->tx_entries)
		consumed = produced;
	for (unsigned int i = 0; i < 64 && consumed != produced; i++, consumed++) {
		uint8_t *entry = q + info->tx_offset +
				 (consumed & (info->tx_entries - 1)) * sizeof(struct udrv_net_tx);

		if (!guarded_get32(entry + offsetof(struct udrv_net_tx, slot), &word))
			return false;
		if (!(word >> 16 & UDRV_NET_TX_FIRST) || one_in(rng, 20))
			continue;
		if (!guarded_put32(q + info->tx_done_offset + (done++ & (info->tx_slots - 1)) * 4,
			   one_in(rng, 40) ? rng_next(rng) : word & 0xffff))
			return false;
	}
	return guarded_put32(q + RING(tx, consumed), consumed) && guarded_put32(q + RING(tx_done, produced), done);
}

/* Some frames arrive; without a device their contents are ours. */
static bool serve_rx(struct rng *rng, uint8_t *area, uint8_t *q,
		     const struct udrv_ioc_net_attach *info)
{
	static __thread uint8_t frame[2048];
	uint32_t produced, consumed, at, address, room, slot;

	if (!guarded_get32(q + RING(fill, produced), &produced) ||
	    !guarded_get32(q + RING(fill, consumed), &consumed) || !guarded_get32(q + RING(rx, produced), &at))
		return false;
	for (unsigned int i = below(rng, 12); i && consumed != produced; i--, consumed++) {
		uint8_t *fill = q + info->fill_offset +
				(consumed & (info->rx_slots - 1)) * sizeof(struct udrv_net_fill);
		struct udrv_net_rx rx = { 0 };

		if (!guarded_get32(fill, &address) || !guarded_get32(fill + 8, &room) || !guarded_get32(fill + 12, &slot))
			return false;
		rx.slot = slot;
		rx.length = stack_frame(rng, frame);
		rx.flags = one_in(rng, 4) ? below(rng, 16) : UDRV_NET_RX_CSUM;
		rx.vlan_tci = below(rng, 3);
		if (rx.length > room)
			rx.length = room;
		if (one_in(rng, 30))
			rx.length = odd_number(rng);
		if (one_in(rng, 30))
			rx.slot = rng_next(rng);
		if (address < NET_BYTES - sizeof(frame) && !guarded_copy(area + address, frame, 2000))
			return false;
		if (!guarded_copy(q + info->rx_offset + (at++ & (info->rx_slots - 1)) * sizeof(rx),
				  &rx, sizeof(rx)))
			return false;
	}
	return guarded_put32(q + RING(fill, consumed), consumed) && guarded_put32(q + RING(rx, produced), at);
}

/* Where a queue of a place is, if all of its rings are in what is mapped. */
static uint8_t *some_queue(struct rng *rng, unsigned int net, int *fd,
			   struct udrv_ioc_net_attach *info, uint32_t *queue)
{
	if (!net_info(net, fd, info))
		return NULL;
	*queue = below(rng, info->queue_count);
	if ((*queue + 1) * info->queue_bytes > NET_BYTES)
		return NULL;
	return memory_net(net) + *queue * info->queue_bytes;
}

static long serve_run(const struct op *op)
{
	struct udrv_ioc_net_turn turn = { .size = sizeof(turn) };
	struct rng *rng = &self->rng;
	unsigned int net = net_pick(true);
	struct udrv_ioc_net_attach info;
	long result = SKIPPED;
	uint8_t *q;
	bool begun;
	int fd;

	(void)op;
	q = some_queue(rng, net, &fd, &info, &turn.queue);
	for (unsigned int i = 1 + below(rng, 4); i && q; i--) {
		if (!serve_tx(rng, q, &info) || !serve_rx(rng, memory_net(net), q, &info))
			return -EFAULT;
		turn.ready = one_in(rng, 2) ? 0 : UDRV_NET_READY_STATE;
		turn.timeout_ns = one_in(rng, 2) ? 0 : below(rng, 1000000);
		begun = fault_begin();
		result = ioctl(fd, UDRV_IOC_NET_TURN, &turn) ? -errno : 0;
		fault_end(begun);
		if (result)
			break;
	}
	return result;
}

/* Anything into the rings, again and again: indices, entries, whole pages. */
static long scribble_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	unsigned int net = net_pick(true);
	struct udrv_ioc_net_attach info;
	uint32_t queue, value;
	uint8_t *q, *to;
	int fd;

	(void)op;
	q = some_queue(rng, net, &fd, &info, &queue);
	if (!q)
		return SKIPPED;
	for (unsigned int i = 1 + below(rng, one_in(rng, 4) ? 400 : 20); i; i--) {
		if (one_in(rng, 2)) { /* an index */
			to = q + below(rng, 8) * 64;
			if (!guarded_get32(to, &value))
				return -EFAULT;
			value = one_in(rng, 3)	 ? value + 1 + below(rng, 70)
				: one_in(rng, 2) ? odd_number(rng)
						 : value - 1;
		} else { /* an entry */
			to = q + PAGE + (rng_next(rng) % (info.queue_bytes - PAGE) & ~3ULL);
			value = one_in(rng, 2) ? below(rng, 70) : odd_number(rng);
		}
		if (!guarded_put32(to, value))
			return -EFAULT;
	}
	if (one_in(rng, 10))
		guarded_copy(q + below(rng, info.queue_bytes / PAGE) * PAGE, self->out, PAGE);
	return 0;
}

/* ---- the rest of what such a descriptor can do ---- */

static long mmap_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	unsigned int net = net_pick(true);
	struct udrv_ioc_net_attach info = { 0 };
	uint64_t length, offset = one_in(rng, 8) ? odd_number(rng) & ~(PAGE - 1) : 0;
	int fd, flags = one_in(rng, 12) ? MAP_PRIVATE : MAP_SHARED,
		prot = PROT_READ | (one_in(rng, 4) ? 0 : PROT_WRITE) |
		       (one_in(rng, 12) ? PROT_EXEC : 0);
	void *address;
	bool begun;

	(void)op;
	net_info(net, &fd, &info);
	length = info.map_bytes && !one_in(rng, 4) ? info.map_bytes : (1 + below(rng, 64)) * PAGE;
	if (one_in(rng, 8))
		length += PAGE;
	if (length > NET_BYTES)
		length = NET_BYTES;
	begun = fault_begin();
	address = mmap(memory_net(net), length, prot, flags | MAP_FIXED, fd, offset);
	fault_end(begun);
	return address == MAP_FAILED ? -errno : 0;
}

static long poll_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	int fd = net_fd(net_pick(true));
	struct pollfd wait = { .fd = fd, .events = one_in(rng, 3) ? POLLIN : 0x3ff };
	struct epoll_event event = { .events = EPOLLIN | (one_in(rng, 2) ? EPOLLET : 0) };

	(void)op;
	if (fd < 0)
		return SKIPPED;
	if (one_in(rng, 3))
		return epoll_ctl(atomic_load(&round_.epoll), 1 + below(rng, 3), fd, &event) ? -errno
											    : 0;
	return poll(&wait, 1, one_in(rng, 2) ? 0 : below(rng, 10)) < 0 ? -errno : 0;
}

/* What it cannot: it has to say so. */
static long other_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	int fd = net_fd(net_pick(true));
	uint32_t value = 0;

	(void)op;
	switch (below(rng, 4)) {
	case 0:
		return read(fd, &value, sizeof(value)) < 0 ? -errno : 0;
	case 1:
		return pwrite(fd, &value, sizeof(value), odd_number(rng)) < 0 ? -errno : 0;
	case 2:
		return fcntl(fd, F_SETFL, one_in(rng, 2) ? O_NONBLOCK : O_ASYNC) ? -errno : 0;
	default:
		return ftruncate(fd, below(rng, 8192)) ? -errno : 0;
	}
}

/* Interfaces come and go slowly (hundreds of milliseconds on the debug kernel): not often. */
const struct op net_ops[] = {
	{ .name = "net: open", .weight = 4, .run = open_run, .net = true },
	{ .name = "net: close", .weight = 3, .run = close_run, .net = true },
	{ .name = "net: start", .weight = 6, .run = start_run, .net = true },
	{ .name = "net: serve", .weight = 60, .run = serve_run, .net = true },
	{ .name = "net: scribble", .weight = 30, .run = scribble_run, .net = true },
	{ .name = "net: mmap", .weight = 8, .run = mmap_run, .net = true },
	{ .name = "net: poll", .weight = 10, .run = poll_run, .net = true },
	{ .name = "net: other", .weight = 2, .run = other_run, .net = true },
};
const size_t net_op_count = COUNT_OF(net_ops);

/* ---- afterwards, in the supervisor ---- */

/* Of the interfaces that are there: how many have no device, or all? @delete: and they go. */
static unsigned int left_over(bool all, bool delete)
{
	struct if_nameindex *list = if_nameindex();
	unsigned int found = 0;

	REQUIRE(list);
	for (struct if_nameindex *i = list; i->if_index; i++) {
		if (strncmp(i->if_name, "fz", 2))
			continue;
		found += all || !stack_has_device(i->if_name);
		if (delete)
			netif_delete(i->if_index);
	}
	if_freenameindex(list);
	return found;
}

bool net_back(void)
{
	/* Without a device they go with their descriptor. */
	bool fine = CHECK(OS_WAIT_FOR(left_over(false, false) == 0, 20000));

	left_over(true, true);
	return CHECK(OS_WAIT_FOR(left_over(true, false) == 0, 20000)) && fine;
}
