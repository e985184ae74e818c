// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver's service of an interface, from attach to the end
 *
 * Owns the memory that it needs, and who may have it when. The hard part is who ends it. The client does, if there is a device: then the order of its end holds
 * (client.c), in which the interface is taken away, and the device's memory unmapped, after bus
 * mastering is off, and freed after the IOMMU was flushed. So the close of its descriptor ends the
 * client first. An interface that is deleted only parts from its session: the device may still be at
 * work, and the memory stays until the client's end.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/nsproxy.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <net/net_namespace.h>

#include "net.h"

DEFINE_MUTEX(udrv_net_lock);

/* ---- memory ---- */

static void session_layout(struct udrv_net_session *s, struct udrv_ioc_net_attach *p)
{
	size_t at = PAGE_SIZE; /* the indices have a page */

	p->tx_offset = at;
	at += s->tx_entries * sizeof(struct udrv_net_tx);
	p->tx_done_offset = at;
	at += ALIGN(s->tx_slots * sizeof(u32), SMP_CACHE_BYTES);
	p->fill_offset = at;
	at += s->rx_slots * sizeof(struct udrv_net_fill);
	p->rx_offset = at;
	at += s->rx_slots * sizeof(struct udrv_net_rx);
	s->queue_bytes = PAGE_ALIGN(at);
	s->area_bytes = s->queue_bytes * s->queue_count;
	if (!s->dma) /* packets lie behind the rings */
		s->area_bytes += (size_t)s->queue_count * (s->tx_slots + s->rx_slots) *
				 UDRV_NET_BUFFER_BYTES;
	p->queue_bytes = s->queue_bytes;
	p->map_bytes = s->area_bytes;
	p->tx_entries = s->tx_entries;
}

static int queue_alloc(struct udrv_net_session *s, u32 index, const struct udrv_ioc_net_attach *p)
{
	struct udrv_net_queue *q = &s->queues[index];
	void *base = s->area + index * s->queue_bytes;
	u64 packets = s->queue_bytes * s->queue_count +
		      (u64)index * (s->tx_slots + s->rx_slots) * UDRV_NET_BUFFER_BYTES;
	u32 i;
	int ret;

	q->index = index;
	q->rings = base;
	q->tx = base + p->tx_offset;
	q->tx_done = base + p->tx_done_offset;
	q->fill = base + p->fill_offset;
	q->rx = base + p->rx_offset;
	udrv_waiter_init(&q->waiter);
	mutex_init(&q->lock);

	q->free = kvcalloc(s->tx_slots, sizeof(*q->free), GFP_KERNEL_ACCOUNT);
	q->slots = kvcalloc(s->tx_slots, sizeof(*q->slots), GFP_KERNEL_ACCOUNT);
	if (!q->free || !q->slots)
		return -ENOMEM;
	for (i = 0; i < s->tx_slots; i++)
		q->free[i] = i;
	q->free_put = s->tx_slots;

	if (s->copies) {
		ret = udrv_net_buffers_alloc(s, &q->tx_buffers, s->tx_slots, packets);
		if (ret)
			return ret;
	}
	return udrv_net_buffers_alloc(s, &q->rx_buffers, s->rx_slots,
				      packets + (u64)s->tx_slots * UDRV_NET_BUFFER_BYTES);
}

/* Buffers for the device, if there is one, and those to receive into for the driver. */
static int session_map(struct udrv_net_session *s)
{
	u32 i;
	int ret;

	for (i = 0; i < s->queue_count; i++) {
		ret = udrv_net_tx_map(&s->queues[i]);
		if (ret)
			goto err_unmap;
		ret = udrv_net_rx_map(&s->queues[i]);
		if (ret) {
			udrv_net_tx_unmap(&s->queues[i]);
			goto err_unmap;
		}
	}
	return 0;

err_unmap:
	while (i--) {
		udrv_net_rx_unmap(&s->queues[i]);
		udrv_net_tx_unmap(&s->queues[i]);
	}
	return ret;
}

/* Undo it, with what is on its way: the device reaches nothing any more. Not linked by now. */
static void session_unmap(struct udrv_net_session *s)
{
	u32 i;

	if (!s->dma)
		return;
	for (i = s->queue_count; i--;) {
		udrv_net_rx_unmap(&s->queues[i]);
		udrv_net_tx_unmap(&s->queues[i]);
	}
	s->dma = NULL;
}

/**
 * udrv_net_free() - the last step of the end: packets and buffers are given back
 * @session: unmapped, and the IOMMU flushed; or NULL
 */
void udrv_net_free(struct udrv_net_session *session)
{
	u32 i;

	if (!session)
		return;
	for (i = 0; i < session->queue_count; i++) {
		udrv_net_tx_free(&session->queues[i]);
		udrv_net_rx_free(&session->queues[i]);
	}
}

static void session_destroy(struct udrv_net_session *s)
{
	u32 i;

	for (i = 0; i < s->queue_count; i++)
		udrv_net_watch_exit(&s->queues[i]);
	udrv_net_free(s);
	if (s->client)
		udrv_dma_uncharge(s->client, &s->charge);
	vfree(s->area);
	kvfree(s);
}

/* Pages that its device can reach. */
static unsigned long session_pages(const struct udrv_net_session *s)
{
	return (unsigned long)s->queue_count * (s->rx_slots + (s->copies ? s->tx_slots : 0));
}

static struct udrv_net_session *session_create(struct udrv_client *client,
					       struct udrv_ioc_net_attach *p)
{
	struct udrv_net_session *s;
	u32 frame = p->max_mtu + ETH_HLEN + VLAN_HLEN + ETH_FCS_LEN, i;
	bool one_buffer;
	int ret;

	s = kvzalloc(struct_size(s, queues, p->queue_count), GFP_KERNEL_ACCOUNT);
	if (!s)
		return ERR_PTR(-ENOMEM);
	s->client = client;
	s->dma = client ? &client->udev->pdev->dev : NULL;
	s->copies = !client || client->confined;
	s->features = p->features;
	s->queue_count = p->queue_count;
	s->tx_slots = p->tx_slots;
	s->tx_entries = roundup_pow_of_two(max_t(u32, 2 * p->tx_slots, 4 * UDRV_NET_PIECES));
	s->rx_slots = p->rx_slots;
	s->buffer_bytes = UDRV_NET_BUFFER_BYTES;
	one_buffer = !s->copies && !(p->features & UDRV_NET_SCATTER);
	if (one_buffer && frame > SKB_WITH_OVERHEAD(s->buffer_bytes) - UDRV_NET_HEADROOM)
		s->buffer_bytes = PAGE_SIZE;
	/* MTU_MAX_ONE_BUFFER fits a page, but where CONFIG_MAX_SKB_FRAGS is large. */
	if (one_buffer && frame > SKB_WITH_OVERHEAD(s->buffer_bytes) - UDRV_NET_HEADROOM) {
		kvfree(s);
		return ERR_PTR(-EINVAL);
	}
	session_layout(s, p);
	/* Of all, before anything can fail: what there is not is freed, too. */
	for (i = 0; i < s->queue_count; i++) {
		s->queues[i].session = s;
		udrv_net_watch_init(&s->queues[i]);
	}
	udrv_net_watch_deadline(s, p->hang_ms);

	ret = -ENOMEM;
	/* Charged to the caller's memory cgroup, as all of it is. */
	s->area = __vmalloc(s->area_bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
	if (!s->area)
		goto err_free;
	for (i = 0; i < s->queue_count; i++) {
		ret = queue_alloc(s, i, p);
		if (ret)
			goto err_free;
	}
	return s;

err_free:
	session_destroy(s);
	return ERR_PTR(ret);
}

/* ---- attach ---- */

static int attach_check(const struct udrv_ioc_net_attach *p)
{
	const u32 features = UDRV_NET_CSUM | UDRV_NET_TSO4 | UDRV_NET_TSO6 | UDRV_NET_RXCSUM |
			     UDRV_NET_VLAN_TX | UDRV_NET_VLAN_RX | UDRV_NET_PADS |
			     UDRV_NET_SCATTER;
	u32 max_mtu = p->features & UDRV_NET_SCATTER ? UDRV_NET_MTU_MAX :
						       UDRV_NET_MTU_MAX_ONE_BUFFER;

	if (p->flags || p->reserved0 || p->reserved1 || p->features & ~features)
		return -EINVAL;
	if (p->features & (UDRV_NET_TSO4 | UDRV_NET_TSO6) && !(p->features & UDRV_NET_CSUM))
		return -EINVAL;
	if (!p->queue_count || p->queue_count > UDRV_NET_QUEUES_MAX)
		return -EINVAL;
	if (!is_power_of_2(p->tx_slots) || p->tx_slots < UDRV_NET_SLOTS_MIN ||
	    p->tx_slots > UDRV_NET_SLOTS_MAX || !is_power_of_2(p->rx_slots) ||
	    p->rx_slots < UDRV_NET_SLOTS_MIN || p->rx_slots > UDRV_NET_SLOTS_MAX)
		return -EINVAL;
	if (p->max_mtu < ETH_MIN_MTU || p->max_mtu > max_mtu ||
	    p->grace_ms > UDRV_NET_GRACE_MS_MAX || p->hang_ms > UDRV_NET_HANG_MS_MAX)
		return -EINVAL;
	return 0;
}

/* The device is the client's, and the client's end ends the session: from here on. */
static int attach_to_client(struct udrv_net_session *s)
{
	struct udrv_client *client = s->client;
	int ret;

	ret = udrv_client_lock(client);
	if (ret)
		return ret;
	/* Packets are wherever there is memory. The mask stays as it is from here on. */
	if (client->net)
		ret = -EBUSY;
	else if (!udrv_dma_reaches_memory(s->dma))
		ret = -EOPNOTSUPP;
	else
		ret = session_map(s);
	if (!ret)
		client->net = s;
	udrv_client_unlock(client);
	return ret;
}

/* Undo it; the client lives on. Its device has been told of nothing in the session. */
static void detach_from_client(struct udrv_net_session *s)
{
	mutex_lock(&s->client->lock);
	if (s->client->net == s) { /* else the client's end has done it */
		s->client->net = NULL;
		session_unmap(s);
	}
	mutex_unlock(&s->client->lock);
}

/**
 * udrv_net_attach() - UDRV_IOC_NET_ATTACH
 * @session: set to a new session
 * @arg: the call, our copy
 */
int udrv_net_attach(void **session, void *arg)
{
	struct udrv_ioc_net_attach *p = arg;
	struct udrv_client *client = NULL;
	struct udrv_net_session *s;
	int ret;

	ret = attach_check(p);
	if (ret)
		return ret;
	if (p->device_fd != -1) {
		client = udrv_cdev_client_get(p->device_fd);
		if (IS_ERR(client))
			return PTR_ERR(client);
	} else if (!ns_capable(current->nsproxy->net_ns->user_ns, CAP_NET_ADMIN)) {
		/* It can only be made. And anybody may come here: before memory is taken. */
		return -EPERM;
	}
	s = session_create(client, p);
	if (IS_ERR(s)) {
		ret = PTR_ERR(s);
		goto err_client;
	}
	if (client) {
		/* What the device holds is locked memory, as that of DMA_ALLOC is. */
		ret = udrv_dma_charge(client, &s->charge, session_pages(s));
		if (ret)
			goto err_session;
		ret = attach_to_client(s);
	} else {
		ret = session_map(s);
	}
	if (ret)
		goto err_session;
	ret = udrv_net_link(s, p);
	if (ret)
		goto err_detach;
	if (s->copies)
		p->state |= UDRV_NET_COPIES;
	*session = s;
	return 0;

err_detach:
	if (client)
		detach_from_client(s);
err_session:
	session_destroy(s);
err_client:
	if (client)
		udrv_client_put(client);
	return ret;
}

/* Nobody refers to it but who found it under RCU, to wake it, and its watch. */
static void session_put(struct udrv_net_session *s)
{
	struct udrv_client *client = s->client;

	synchronize_rcu();
	session_destroy(s);
	if (client)
		udrv_client_put(client);
}

/**
 * udrv_net_attach_undo() - the answer could not be told: nothing is attached, nor was made
 * @session: of udrv_net_attach(), shown to nobody yet: its device was told no address
 * @arg: its call
 */
void udrv_net_attach_undo(void *session, const void *arg)
{
	const struct udrv_ioc_net_attach *p = arg;
	struct udrv_net_session *s = session;

	if (p->state & UDRV_NET_TAKEN_OVER)
		udrv_net_unlink(s);
	else
		udrv_net_delete(s);
	if (s->client)
		detach_from_client(s);
	session_put(s);
}

/**
 * udrv_net_release() - the descriptor is closed for good
 * @session: its session
 */
void udrv_net_release(void *session)
{
	struct udrv_net_session *s = session;

	if (s->client) {
		/* Whoever closes either descriptor has ended: see the top. */
		udrv_client_end_of(s->client);
	} else {
		WRITE_ONCE(s->ended, true);
		udrv_net_delete(s);
	}
	session_put(s);
}

/* ---- the client's end ---- */

/**
 * udrv_net_silence() - the first step of the end: whoever waits is told
 * @client: with client->lock held
 */
void udrv_net_silence(struct udrv_client *client)
{
	struct udrv_net_session *s = client->net;
	u32 i;

	if (!s)
		return;
	WRITE_ONCE(s->ended, true);
	for (i = 0; i < s->queue_count; i++)
		udrv_waiter_wake(&s->queues[i].waiter);
}

/**
 * udrv_net_detach() - a later step: the interface is without a driver, its packets are unmapped
 * @client: with client->lock held, its device quiet
 * Return: what is to be given to udrv_net_free() once the IOMMU is flushed, or NULL
 */
struct udrv_net_session *udrv_net_detach(struct udrv_client *client)
{
	struct udrv_net_session *s = client->net;

	if (!s)
		return NULL;
	udrv_net_unlink(s);
	session_unmap(s);
	client->net = NULL;
	return s;
}

