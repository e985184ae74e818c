// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/udrv/net: its calls
 *
 * Owns the table of calls, and those that are a few lines; what the others come down to is in the other
 * files, and how a descriptor leads to a session in half.c.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>

#include "../half.h"
#include "net.h"

/* ---- calls ---- */

static int net_state(void *session, void *arg)
{
	struct udrv_net_session *s = session;
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

static int net_link(void *session, void *arg)
{
	const struct udrv_ioc_net_link *p = arg;
	struct udrv_net_session *s = session;
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

static struct udrv_waiter *net_waiter(void *session, u32 index)
{
	struct udrv_net_session *s = session;

	if (index >= s->queue_count)
		return NULL;
	return &s->queues[array_index_nospec(index, s->queue_count)].waiter;
}

static int net_vector(void *session, void *arg)
{
	const struct udrv_ioc_net_queue *p = arg;
	struct udrv_waiter *waiter = net_waiter(session, p->queue);
	struct udrv_client *client = ((struct udrv_net_session *)session)->client;

	if (p->flags || !client || !waiter)
		return -EINVAL;
	return udrv_irq_waiter_attach(client, p->vector, waiter, NULL);
}

static int net_kick(void *session, void *arg)
{
	const struct udrv_ioc_net_queue *p = arg;
	struct udrv_waiter *waiter = net_waiter(session, p->queue);

	if (p->flags || p->vector || !waiter)
		return -EINVAL;
	udrv_waiter_kick(waiter);
	return 0;
}

static const struct udrv_half_call net_calls[] = {
	UDRV_HALF_CALL(UDRV_IOC_NET_TURN, udrv_ioc_net_turn, irq_value,
		       .answers = true, .handler = udrv_net_turn),
	UDRV_HALF_CALL(UDRV_IOC_NET_ATTACH, udrv_ioc_net_attach, rx_offset),
	UDRV_HALF_CALL(UDRV_IOC_NET_STATE, udrv_ioc_net_state, groups,
		       .answers = true, .handler = net_state),
	UDRV_HALF_CALL(UDRV_IOC_NET_LINK, udrv_ioc_net_link, speed, .handler = net_link),
	UDRV_HALF_CALL(UDRV_IOC_NET_VECTOR, udrv_ioc_net_queue, vector, .handler = net_vector),
	UDRV_HALF_CALL(UDRV_IOC_NET_KICK, udrv_ioc_net_queue, vector, .handler = net_kick),
};

/* ---- the descriptor ---- */

static bool net_ended(const void *session)
{
	return READ_ONCE(((const struct udrv_net_session *)session)->ended);
}

static void *net_area(const void *session, size_t *bytes)
{
	const struct udrv_net_session *s = session;

	*bytes = s->area_bytes;
	return s->area;
}

static bool net_ready(struct udrv_waiter *waiter)
{
	return udrv_net_ready(container_of(waiter, struct udrv_net_queue, waiter)) &
	       ~UDRV_NET_READY_FILL;
}

static const struct udrv_half net_half = {
	.calls = net_calls,
	.call_count = ARRAY_SIZE(net_calls),
	.attach = udrv_net_attach,
	.attach_undo = udrv_net_attach_undo,
	.release = udrv_net_release,
	.ended = net_ended,
	.area = net_area,
	.waiter = net_waiter,
	.ready = net_ready,
};

static int net_open(struct inode *inode, struct file *file)
{
	return udrv_half_open(file, &net_half);
}

static long net_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct udrv_ioc_net_turn turn __udrv_uninitialized;

	if (likely(cmd == UDRV_IOC_NET_TURN))
		return udrv_half_turn(file, cmd, arg, &turn, sizeof(turn), udrv_net_turn);
	return udrv_half_ioctl(file, cmd, arg);
}

static const struct file_operations net_fops = {
	.owner = THIS_MODULE,
	.open = net_open,
	.release = udrv_half_release,
	.unlocked_ioctl = net_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = udrv_half_poll,
	.mmap = udrv_half_mmap,
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
