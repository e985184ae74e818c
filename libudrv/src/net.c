// SPDX-License-Identifier: MIT
/*
 * net.c - a network interface: attach, its rings, one call for each turn
 *
 * Owns the descriptor of /dev/udrv/net and the mapping of the rings. What a driver does for each
 * packet is inline, in libudrv_net.h: it is a few loads and stores.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#pragma GCC visibility push(default)
#include <libudrv_net.h>
#pragma GCC visibility pop

#define NET_NODE UDRV_NODE_DIRECTORY "/net"

struct udrv_net {
	int fd;
	uint8_t *area;
	struct udrv_ioc_net_attach info;
	struct udrv_net_queue queues[UDRV_NET_QUEUES_MAX];
};

static struct udrv_net_ring ring(struct udrv_ring *shared, uint32_t entries)
{
	return (struct udrv_net_ring){ .shared = shared, .mask = entries - 1 };
}

static void queue_init(struct udrv_net *net, uint32_t index)
{
	struct udrv_net_queue *queue = &net->queues[index];
	uint8_t *base = net->area + index * net->info.queue_bytes;
	struct udrv_net_rings *rings = (void *)base;

	queue->tx = ring(&rings->tx, net->info.tx_entries);
	queue->tx_done = ring(&rings->tx_done, net->info.tx_slots);
	queue->fill = ring(&rings->fill, net->info.rx_slots);
	queue->rx = ring(&rings->rx, net->info.rx_slots);
	queue->tx_entries = (void *)(base + net->info.tx_offset);
	queue->tx_done_entries = (void *)(base + net->info.tx_done_offset);
	queue->fill_entries = (void *)(base + net->info.fill_offset);
	queue->rx_entries = (void *)(base + net->info.rx_offset);
	queue->turn.size = sizeof(queue->turn);
	queue->turn.queue = index;
	queue->fd = net->fd;
}

int udrv_net_attach(struct udrv *device, const struct udrv_net_options *options,
		    struct udrv_net **result)
{
	struct udrv_net *net;
	void *area;
	int rc;

	if (!options->name || strlen(options->name) >= UDRV_NET_NAME_BYTES)
		return -EINVAL;
	net = calloc(1, sizeof(*net));
	if (!net)
		return -ENOMEM;
	net->info = (struct udrv_ioc_net_attach){
		.size = sizeof(net->info),
		.device_fd = device ? device->fd : -1,
		.features = options->features,
		.queue_count = options->queue_count ? options->queue_count : 1,
		.tx_slots = options->tx_slots ? options->tx_slots : 256,
		.rx_slots = options->rx_slots ? options->rx_slots : 256,
		.max_mtu = options->max_mtu ? options->max_mtu : 1500,
		.grace_ms = options->grace_ms,
		.hang_ms = options->hang_ms,
	};
	strcpy((char *)net->info.name, options->name);
	memcpy(net->info.address, options->address, sizeof(net->info.address));

	net->fd = open(NET_NODE, O_RDWR | O_CLOEXEC);
	rc = net->fd < 0 ? -errno : udrv_call(net->fd, UDRV_IOC_NET_ATTACH, &net->info);
	if (rc)
		goto err_close;
	area = mmap(NULL, (size_t)net->info.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, net->fd, 0);
	if (area == MAP_FAILED) {
		rc = -errno;
		goto err_close;
	}
	net->area = area;
	for (uint32_t i = 0; i < net->info.queue_count; i++)
		queue_init(net, i);
	*result = net;
	return 0;

err_close:
	if (net->fd >= 0)
		close(net->fd);
	free(net);
	return rc;
}

void udrv_net_close(struct udrv_net *net)
{
	if (!net)
		return;
	munmap(net->area, (size_t)net->info.map_bytes);
	close(net->fd);
	free(net);
}

const char *udrv_net_name(const struct udrv_net *net)
{
	return (const char *)net->info.name;
}

unsigned int udrv_net_index(const struct udrv_net *net)
{
	return net->info.ifindex;
}

unsigned int udrv_net_flags(const struct udrv_net *net)
{
	return net->info.state;
}

int udrv_net_fd(const struct udrv_net *net)
{
	return net->fd;
}

void *udrv_net_data(const struct udrv_net *net, uint64_t address)
{
	return net->area + address;
}

int udrv_net_state(struct udrv_net *net, struct udrv_ioc_net_state *state)
{
	*state = (struct udrv_ioc_net_state){ .size = sizeof(*state) };
	return udrv_call(net->fd, UDRV_IOC_NET_STATE, state);
}

int udrv_net_link(struct udrv_net *net, bool up, uint32_t speed, bool full_duplex)
{
	struct udrv_ioc_net_link call = {
		.size = sizeof(call),
		.link = (up ? UDRV_NET_LINK_UP : 0) | (full_duplex ? UDRV_NET_LINK_FULL : 0),
		.speed = speed,
	};

	return udrv_call(net->fd, UDRV_IOC_NET_LINK, &call);
}

int udrv_net_vector(struct udrv_net *net, unsigned int queue, unsigned int vector)
{
	struct udrv_ioc_net_queue call = {
		.size = sizeof(call),
		.queue = queue,
		.vector = vector,
	};

	return udrv_call(net->fd, UDRV_IOC_NET_VECTOR, &call);
}

int udrv_net_kick(struct udrv_net *net, unsigned int queue)
{
	struct udrv_ioc_net_queue call = { .size = sizeof(call), .queue = queue };

	return udrv_call(net->fd, UDRV_IOC_NET_KICK, &call);
}

struct udrv_net_queue *udrv_net_get_queue(struct udrv_net *net, unsigned int index)
{
	return index < net->info.queue_count ? &net->queues[index] : NULL;
}

int udrv_net_turn(struct udrv_net_queue *queue, uint32_t ignore, uint64_t timeout_ns)
{
	struct udrv_ioc_net_turn *call = &queue->turn;

	/* Pairs with the kernel's acquire: the entries are there. */
	__atomic_store_n(&queue->tx_done.shared->produced, queue->tx_done.index, __ATOMIC_RELEASE);
	__atomic_store_n(&queue->rx.shared->produced, queue->rx.index, __ATOMIC_RELEASE);
	call->ready = ignore;
	call->timeout_ns = timeout_ns;
	call->irq_count = 0;
	call->irq_value = 0;
	/* Not again after a signal: its handler may have been what the caller waits for. */
	return ioctl(queue->fd, UDRV_IOC_NET_TURN, call) ? -errno : (int)call->ready;
}
