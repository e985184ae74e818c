// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/udrv/net: a driver's service of an interface, from attach to the end
 *
 * Owns the descriptor, its calls and its mapping, and the memory that a driver's service needs. The
 * hard part is who ends it. The client does, if there is a device: then the order of its end holds
 * (client.c), in which the interface is taken away, and the device's memory unmapped, after bus
 * mastering is off, and freed after the IOMMU was flushed. So the close of this descriptor ends the
 * client first. An interface that is deleted only parts from its session: the device may still be at
 * work, and the memory stays until the client's end.
 */
#include <linux/etherdevice.h>
#include <linux/file.h>
#include <linux/if_vlan.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/nsproxy.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
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

/**
 * udrv_net_unmap() - the device reaches nothing of it any more
 * @session: unlinked, its device's bus mastering off
 */
void udrv_net_unmap(struct udrv_net_session *session)
{
	u32 i;

	if (!session->dma)
		return;
	for (i = 0; i < session->queue_count; i++) {
		udrv_net_tx_unmap(&session->queues[i]);
		udrv_net_rx_unmap(&session->queues[i]);
	}
	session->dma = NULL;
}

/** udrv_net_free() - give the packets and buffers back; after the IOMMU was flushed */
void udrv_net_free(struct udrv_net_session *session)
{
	u32 i;

	for (i = 0; i < session->queue_count; i++) {
		udrv_net_tx_free(&session->queues[i]);
		udrv_net_rx_free(&session->queues[i]);
	}
}

static void session_destroy(struct udrv_net_session *s)
{
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
	if (!s->copies && frame > SKB_WITH_OVERHEAD(s->buffer_bytes) - UDRV_NET_HEADROOM)
		s->buffer_bytes = PAGE_SIZE;
	/* MTU_MAX fits a page, but where CONFIG_MAX_SKB_FRAGS is large. */
	if (!s->copies && frame > SKB_WITH_OVERHEAD(s->buffer_bytes) - UDRV_NET_HEADROOM) {
		kvfree(s);
		return ERR_PTR(-EINVAL);
	}
	session_layout(s, p);
	/* Of all, before anything can fail: what there is not is freed, too. */
	for (i = 0; i < s->queue_count; i++)
		s->queues[i].session = s;

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
			     UDRV_NET_VLAN_TX | UDRV_NET_VLAN_RX | UDRV_NET_PADS;

	if (p->flags || p->reserved0 || p->features & ~features)
		return -EINVAL;
	if (p->features & (UDRV_NET_TSO4 | UDRV_NET_TSO6) && !(p->features & UDRV_NET_CSUM))
		return -EINVAL;
	if (!p->queue_count || p->queue_count > UDRV_NET_QUEUES_MAX)
		return -EINVAL;
	if (!is_power_of_2(p->tx_slots) || p->tx_slots < UDRV_NET_SLOTS_MIN ||
	    p->tx_slots > UDRV_NET_SLOTS_MAX || !is_power_of_2(p->rx_slots) ||
	    p->rx_slots < UDRV_NET_SLOTS_MIN || p->rx_slots > UDRV_NET_SLOTS_MAX)
		return -EINVAL;
	if (p->max_mtu < ETH_MIN_MTU || p->max_mtu > UDRV_NET_MTU_MAX ||
	    p->grace_ms > UDRV_NET_GRACE_MS_MAX)
		return -EINVAL;
	return 0;
}

/* The device is the client's, and the client's end ends the session: from here on. */
static int attach_to_client(struct udrv_net_session *s)
{
	struct udrv_client *client = s->client;
	int ret = 0;
	u32 i;

	ret = udrv_client_lock(client);
	if (ret)
		return ret;
	if (client->net) {
		ret = -EBUSY;
		goto out;
	}
	for (i = 0; i < s->queue_count; i++) {
		struct udrv_net_queue *q = &s->queues[i];

		if (q->tx_buffers)
			ret = udrv_net_buffers_map(s, q->tx_buffers, s->tx_slots, DMA_TO_DEVICE);
		if (!ret) {
			ret = udrv_net_rx_map(q);
			if (ret && q->tx_buffers)
				udrv_net_buffers_unmap(s, q->tx_buffers, s->tx_slots,
						       DMA_TO_DEVICE);
		}
		if (ret)
			goto err_unmap;
	}
	client->net = s;
out:
	udrv_client_unlock(client);
	return ret;

err_unmap:
	while (i--) {
		udrv_net_tx_unmap(&s->queues[i]);
		udrv_net_rx_unmap(&s->queues[i]);
	}
	goto out;
}

/* Undo it; the client lives on. Its device has been told of nothing in the session. */
static void detach_from_client(struct udrv_net_session *s)
{
	mutex_lock(&s->client->lock);
	if (s->client->net == s) { /* else the client's end has done it */
		s->client->net = NULL;
		udrv_net_unmap(s);
	}
	mutex_unlock(&s->client->lock);
}

/**
 * udrv_net_attach() - UDRV_IOC_NET_ATTACH
 * @session: set to a new session
 * @p: the call, our copy
 */
int udrv_net_attach(struct udrv_net_session **session, struct udrv_ioc_net_attach *p)
{
	struct udrv_client *client = NULL;
	struct udrv_net_session *s;
	u32 i;
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
		if (ret)
			goto err_session;
	} else {
		for (i = 0; i < s->queue_count; i++)
			udrv_net_rx_map(&s->queues[i]);
	}
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
 * Return: what is to be given to udrv_net_end() once the IOMMU is flushed, or NULL
 */
struct udrv_net_session *udrv_net_detach(struct udrv_client *client)
{
	struct udrv_net_session *s = client->net;

	if (!s)
		return NULL;
	udrv_net_unlink(s);
	udrv_net_unmap(s);
	client->net = NULL;
	return s;
}

/** udrv_net_end() - the last one: packets and buffers are given back */
void udrv_net_end(struct udrv_net_session *session)
{
	if (session)
		udrv_net_free(session);
}

/* ---- the descriptor ---- */

/**
 * struct net_file - an open descriptor
 * @attaching: one NET_ATTACH at a time
 * @session: NULL until then; once there, for the descriptor's life
 */
struct net_file {
	struct mutex attaching;
	struct udrv_net_session *session;
};

static int net_open(struct inode *inode, struct file *file)
{
	struct net_file *f;

	if ((file->f_flags & O_ACCMODE) != O_RDWR)
		return -EINVAL;
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	mutex_init(&f->attaching);
	file->private_data = f;
	return 0;
}

static int net_release(struct inode *inode, struct file *file)
{
	struct net_file *f = file->private_data;
	struct udrv_net_session *s = f->session;
	struct udrv_client *client;

	kfree(f);
	if (!s)
		return 0;
	client = s->client;
	if (client) {
		/* Whoever closes either descriptor has ended: see the top. */
		udrv_client_end_of(client);
	} else {
		WRITE_ONCE(s->ended, true);
		udrv_net_delete(s);
	}
	/* Somebody may have found it under RCU to wake it. */
	synchronize_rcu();
	session_destroy(s);
	if (client)
		udrv_client_put(client);
	return 0;
}

static struct udrv_net_session *net_session(struct file *file)
{
	struct net_file *f = file->private_data;

	/* Pairs with net_attach(). */
	return smp_load_acquire(&f->session);
}

static int net_attach(struct file *file, void *arg)
{
	struct net_file *f = file->private_data;
	struct udrv_net_session *s;
	int ret;

	if (mutex_lock_interruptible(&f->attaching))
		return -EINTR;
	ret = f->session ? -EBUSY : udrv_net_attach(&s, arg);
	if (!ret) {
		/* Pairs with net_session(). */
		smp_store_release(&f->session, s);
	}
	mutex_unlock(&f->attaching);
	return ret;
}

static int net_state(struct udrv_net_session *s, struct udrv_ioc_net_state *p)
{
	struct udrv_net *net;
	int ret = -ENODEV;

	if (p->flags)
		return -EINVAL;
	mutex_lock(&udrv_net_lock);
	net = s->net;
	if (!net || READ_ONCE(s->ended))
		goto out;
	/* Before looking: what changes from here on is news again. */
	WRITE_ONCE(s->news, 0);
	/* Pairs with news_tell(). */
	smp_mb();
	udrv_net_state_read(net, p);
	ret = 0;
out:
	mutex_unlock(&udrv_net_lock);
	return ret;
}

static int net_link_state(struct udrv_net_session *s, const struct udrv_ioc_net_link *p)
{
	int ret = -ENODEV;

	if (p->flags || p->link & ~(UDRV_NET_LINK_UP | UDRV_NET_LINK_FULL))
		return -EINVAL;
	mutex_lock(&udrv_net_lock);
	if (s->net && !READ_ONCE(s->ended)) {
		udrv_net_link_state(s->net, p);
		ret = 0;
	}
	mutex_unlock(&udrv_net_lock);
	return ret;
}

static int net_vector(struct udrv_net_session *s, const struct udrv_ioc_net_queue *p)
{
	struct udrv_net_queue *q;
	struct udrv_vector *v;
	int ret;

	if (p->flags || !s->client || p->queue >= s->queue_count)
		return -EINVAL;
	q = &s->queues[array_index_nospec(p->queue, s->queue_count)];
	ret = udrv_client_lock(s->client);
	if (ret)
		return ret;
	v = udrv_irq_waiter_attach(s->client, p->vector, &q->waiter, q->vector);
	if (IS_ERR(v))
		ret = PTR_ERR(v);
	else
		WRITE_ONCE(q->vector, v);
	udrv_client_unlock(s->client);
	return ret;
}

static int net_kick(struct udrv_net_session *s, const struct udrv_ioc_net_queue *p)
{
	struct udrv_net_queue *q;

	if (p->flags || p->vector || p->queue >= s->queue_count)
		return -EINVAL;
	q = &s->queues[array_index_nospec(p->queue, s->queue_count)];
	set_bit(0, &q->kicked);
	udrv_waiter_wake(&q->waiter);
	return 0;
}

union net_arg {
	u32 size;
	struct udrv_ioc_net_attach attach;
	struct udrv_ioc_net_turn turn;
	struct udrv_ioc_net_state state;
	struct udrv_ioc_net_link link;
	struct udrv_ioc_net_queue queue;
};

/* min_size: of a call's first version */
static long net_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;
	struct udrv_net_session *s = net_session(file);
	union net_arg copy;
	size_t size;
	bool answers = false;
	u32 user_size;
	int ret;

	switch (cmd) {
	case UDRV_IOC_NET_TURN:
		size = sizeof(copy.turn);
		answers = true;
		break;
	case UDRV_IOC_NET_ATTACH:
		size = sizeof(copy.attach);
		answers = true;
		break;
	case UDRV_IOC_NET_STATE:
		size = sizeof(copy.state);
		answers = true;
		break;
	case UDRV_IOC_NET_LINK:
		size = sizeof(copy.link);
		break;
	case UDRV_IOC_NET_VECTOR:
	case UDRV_IOC_NET_KICK:
		size = sizeof(copy.queue);
		break;
	default:
		return -ENOTTY;
	}

	if (get_user(user_size, (u32 __user *)user))
		return -EFAULT;
	if (user_size < size) /* the first versions */
		return -EINVAL;
	if (user_size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(&copy, size, user, user_size);
	if (ret)
		return ret;
	copy.size = user_size;

	if (cmd == UDRV_IOC_NET_ATTACH) {
		ret = net_attach(file, &copy);
	} else {
		if (!s)
			return -EINVAL;
		if (READ_ONCE(s->ended))
			return -ENODEV;
		switch (cmd) {
		case UDRV_IOC_NET_TURN:
			ret = udrv_net_turn(s, &copy.turn);
			break;
		case UDRV_IOC_NET_STATE:
			ret = net_state(s, &copy.state);
			break;
		case UDRV_IOC_NET_LINK:
			ret = net_link_state(s, &copy.link);
			break;
		case UDRV_IOC_NET_VECTOR:
			ret = net_vector(s, &copy.queue);
			break;
		default:
			ret = net_kick(s, &copy.queue);
		}
	}
	if (!ret && answers && copy_to_user(user, &copy, size))
		ret = -EFAULT;
	return ret;
}

static __poll_t net_poll(struct file *file, poll_table *wait)
{
	struct udrv_net_session *s = net_session(file);
	__poll_t mask = 0;
	u32 i;

	if (!s)
		return EPOLLERR;
	for (i = 0; i < s->queue_count; i++) {
		struct udrv_net_queue *q = &s->queues[i];
		struct udrv_vector *v = READ_ONCE(q->vector);

		poll_wait(file, &q->waiter.polls, wait);
		smp_mb(); /* pairs with udrv_waiter_wake() */
		if (v && !(udrv_net_ready(q) & UDRV_NET_READY_IRQ))
			udrv_irq_waiter_arm(v, &q->waiter);
		if (udrv_net_ready(q) & ~UDRV_NET_READY_FILL)
			mask = EPOLLIN | EPOLLRDNORM;
	}
	return READ_ONCE(s->ended) ? mask | EPOLLHUP : mask;
}

static int net_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct udrv_net_session *s = net_session(file);
	unsigned long bytes = vma->vm_end - vma->vm_start, at;
	int ret = 0;

	if (!s || !(vma->vm_flags & VM_SHARED) || vma->vm_pgoff || bytes > s->area_bytes)
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTDUMP | VM_DONTEXPAND);
	vm_flags_clear(vma, VM_MAYEXEC);
	for (at = 0; !ret && at < bytes; at += PAGE_SIZE)
		ret = vm_insert_page(vma, vma->vm_start + at, vmalloc_to_page(s->area + at));
	return ret;
}

static const struct file_operations net_fops = {
	.owner = THIS_MODULE,
	.open = net_open,
	.release = net_release,
	.unlocked_ioctl = net_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = net_poll,
	.mmap = net_mmap,
};

/* Whoever opens it can do nothing without a right of another kind: see NET_ATTACH. */
static struct miscdevice net_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "udrv-net",
	.nodename = "udrv/net",
	.mode = 0666,
	.fops = &net_fops,
};

/** udrv_net_init() - /dev/udrv/net */
int udrv_net_init(void)
{
	int ret = udrv_net_netdev_init();

	if (ret)
		return ret;
	ret = misc_register(&net_misc);
	if (ret)
		udrv_net_netdev_exit();
	return ret;
}

/** udrv_net_exit() - undo it */
void udrv_net_exit(void)
{
	misc_deregister(&net_misc);
	udrv_net_netdev_exit();
}
