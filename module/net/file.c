// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/udrv/net: the descriptor, its calls, its mapping
 *
 * Owns the way from a file descriptor to a session, and the table of calls; what they come down to is
 * in the other files. The hard part is an attach whose answer cannot be told: it is undone before
 * anybody else can have seen it.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "net.h"

/**
 * struct net_file - an open descriptor
 * @attached: a NET_ATTACH has begun, and did not fail
 * @session: NULL until it has ended; from then on for the descriptor's life
 */
struct net_file {
	unsigned long attached;
	struct udrv_net_session *session;
};

static int net_open(struct inode *inode, struct file *file)
{
	if ((file->f_flags & O_ACCMODE) != O_RDWR)
		return -EINVAL;
	file->private_data = kzalloc(sizeof(struct net_file), GFP_KERNEL_ACCOUNT);
	return file->private_data ? 0 : -ENOMEM;
}

static int net_release(struct inode *inode, struct file *file)
{
	struct net_file *f = file->private_data;

	if (f->session)
		udrv_net_release(f->session);
	kfree(f);
	return 0;
}

static struct udrv_net_session *net_session(struct file *file)
{
	struct net_file *f = file->private_data;

	/* Pairs with net_attach(). */
	return smp_load_acquire(&f->session);
}

/* ---- calls ---- */

static int net_attach(struct file *file, struct udrv_ioc_net_attach *p, void __user *user)
{
	struct net_file *f = file->private_data;
	struct udrv_net_session *s;
	int ret;

	if (test_and_set_bit(0, &f->attached))
		return -EBUSY;
	ret = udrv_net_attach(&s, p);
	if (!ret && copy_to_user(user, p, min_t(u32, p->size, sizeof(*p)))) {
		udrv_net_attach_undo(s, p);
		ret = -EFAULT;
	}
	if (ret) {
		clear_bit(0, &f->attached);
		return ret;
	}
	/* Pairs with net_session(). */
	smp_store_release(&f->session, s);
	return 0;
}

static int net_state(struct udrv_net_session *s, void *arg)
{
	struct udrv_ioc_net_state *p = arg;
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
	WRITE_ONCE(s->states, s->states + 1);
	/* Pairs with news_tell(). */
	smp_mb();
	udrv_net_state_read(net, p);
	ret = 0;
out:
	mutex_unlock(&udrv_net_lock);
	return ret;
}

static int net_link(struct udrv_net_session *s, void *arg)
{
	const struct udrv_ioc_net_link *p = arg;
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

static int net_vector(struct udrv_net_session *s, void *arg)
{
	const struct udrv_ioc_net_queue *p = arg;
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

static int net_kick(struct udrv_net_session *s, void *arg)
{
	const struct udrv_ioc_net_queue *p = arg;
	struct udrv_net_queue *q;

	if (p->flags || p->vector || p->queue >= s->queue_count)
		return -EINVAL;
	q = &s->queues[array_index_nospec(p->queue, s->queue_count)];
	set_bit(0, &q->kicked);
	udrv_waiter_wake(&q->waiter);
	return 0;
}

union net_arg {
	u32 size; /* the first field of all of them */
	struct udrv_ioc_net_attach attach;
	struct udrv_ioc_net_turn turn;
	struct udrv_ioc_net_state state;
	struct udrv_ioc_net_link link;
	struct udrv_ioc_net_queue queue;
};

struct net_call {
	unsigned int cmd;
	u32 min_size; /* of the call's first version */
	u32 size;
	bool answers; /* there is something to copy out */
	int (*handler)(struct udrv_net_session *s, void *arg); /* NULL: it is net_attach() */
};

#define CALL(command, type, last, ...)                                                            \
	{ .cmd = (command), .min_size = offsetofend(struct type, last),                           \
	  .size = sizeof(struct type), __VA_ARGS__ }

static const struct net_call net_calls[] = {
	CALL(UDRV_IOC_NET_TURN, udrv_ioc_net_turn, irq_value,
	     .answers = true, .handler = udrv_net_turn),
	CALL(UDRV_IOC_NET_ATTACH, udrv_ioc_net_attach, rx_offset),
	CALL(UDRV_IOC_NET_STATE, udrv_ioc_net_state, groups,
	     .answers = true, .handler = net_state),
	CALL(UDRV_IOC_NET_LINK, udrv_ioc_net_link, speed, .handler = net_link),
	CALL(UDRV_IOC_NET_VECTOR, udrv_ioc_net_queue, vector, .handler = net_vector),
	CALL(UDRV_IOC_NET_KICK, udrv_ioc_net_queue, vector, .handler = net_kick),
};

static long net_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct net_call *call = net_calls, *end = call + ARRAY_SIZE(net_calls);
	struct udrv_net_session *s = net_session(file);
	void __user *user = (void __user *)arg;
	union net_arg copy;
	int ret;

	while (call->cmd != cmd)
		if (++call == end)
			return -ENOTTY;
	if (call->handler && s && READ_ONCE(s->ended))
		return -ENODEV;
	ret = udrv_ioctl_copy_in(&copy, call->size, call->min_size, user);
	if (ret)
		return ret;
	if (!call->handler)
		return net_attach(file, &copy.attach, user);
	if (!s)
		return -EINVAL;
	ret = call->handler(s, &copy);
	if (!ret && call->answers && copy_to_user(user, &copy, min(copy.size, call->size)))
		ret = -EFAULT;
	return ret;
}

/* ---- waiting, mapping ---- */

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
