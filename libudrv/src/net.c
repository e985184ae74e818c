// SPDX-License-Identifier: MIT
/*
 * net.c - a network interface: attach, its rings, one call for each turn
 *
 * Owns the descriptor of /dev/udrv/net and the mapping of the rings. What a driver does for each
 * packet is inline, in libudrv_net.h: it is a few loads and stores.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

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

static void queue_init(struct udrv_net *net, uint32_t index)
{
	struct udrv_net_queue *queue = &net->queues[index];
	uint8_t *base = net->area + index * net->info.queue_bytes;
	struct udrv_net_rings *rings = (void *)base;

	queue->tx = udrv_ring_side_of(&rings->tx, net->info.tx_entries);
	queue->tx_done = udrv_ring_side_of(&rings->tx_done, net->info.tx_slots);
	queue->fill = udrv_ring_side_of(&rings->fill, net->info.rx_slots);
	queue->rx = udrv_ring_side_of(&rings->rx, net->info.rx_slots);
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

	rc = udrv_half_open(NET_NODE, UDRV_IOC_NET_ATTACH, &net->info, &net->info.map_bytes, &net->area);
	if (rc < 0) {
		free(net);
		return rc;
	}
	net->fd = rc;
	for (uint32_t i = 0; i < net->info.queue_count; i++)
		queue_init(net, i);
	*result = net;
	return 0;
}

void udrv_net_close(struct udrv_net *net)
{
	if (!net)
		return;
	udrv_half_close(net->fd, net->area, net->info.map_bytes);
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

	udrv_ring_publish(&queue->tx_done);
	udrv_ring_publish(&queue->rx);
	call->ready = ignore;
	call->timeout_ns = timeout_ns;
	call->irq_count = 0;
	call->irq_value = 0;
	/* Not again after a signal: its handler may have been what the caller waits for. */
	return ioctl(queue->fd, UDRV_IOC_NET_TURN, call) ? -errno : (int)call->ready;
}
