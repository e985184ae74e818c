// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/udrv/blk: its calls
 *
 * Owns the table of calls; what they come down to is in the other files, and how a descriptor leads to
 * a session in half.c.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>

#include "../half.h"
#include "blk.h"

/* ---- calls ---- */

static struct udrv_waiter *blk_waiter(void *session, u32 index)
{
	struct udrv_blk_session *s = session;

	if (index >= s->queue_count)
		return NULL;
	return &s->queues[array_index_nospec(index, s->queue_count)].waiter;
}

/* A queue's completions arrive where its requests come from: its part of the processors, as for a kernel's driver. */
static int blk_vector(void *session, void *arg)
{
	const struct udrv_ioc_blk_queue *p = arg;
	struct udrv_waiter *waiter = blk_waiter(session, p->queue);
	struct udrv_blk_session *s = session;
	cpumask_var_t cpus;
	int ret;

	if (p->flags || !s->client || !waiter)
		return -EINVAL;
	if (!zalloc_cpumask_var(&cpus, GFP_KERNEL))
		return -ENOMEM;
	udrv_blk_queue_cpus(s, p->queue, cpus);
	ret = udrv_irq_waiter_attach(s->client, p->vector, waiter, cpus);
	free_cpumask_var(cpus);
	return ret;
}

static int blk_kick(void *session, void *arg)
{
	const struct udrv_ioc_blk_queue *p = arg;
	struct udrv_waiter *waiter = blk_waiter(session, p->queue);

	if (p->flags || p->vector || !waiter)
		return -EINVAL;
	udrv_waiter_kick(waiter);
	return 0;
}

static const struct udrv_half_call blk_calls[] = {
	UDRV_HALF_CALL(UDRV_IOC_BLK_TURN, udrv_ioc_blk_turn, reserved,
		       .answers = true, .handler = udrv_blk_turn),
	UDRV_HALF_CALL(UDRV_IOC_BLK_ATTACH, udrv_ioc_blk_attach, reserved),
	UDRV_HALF_CALL(UDRV_IOC_BLK_DISK_ADD, udrv_ioc_blk_disk, name,
		       .answers = true, .handler = udrv_blk_disk_add),
	UDRV_HALF_CALL(UDRV_IOC_BLK_DISK_RESIZE, udrv_ioc_blk_disk, name,
		       .handler = udrv_blk_disk_resize),
	UDRV_HALF_CALL(UDRV_IOC_BLK_DISK_REMOVE, udrv_ioc_blk_disk, name,
		       .handler = udrv_blk_disk_remove),
	UDRV_HALF_CALL(UDRV_IOC_BLK_VECTOR, udrv_ioc_blk_queue, vector, .handler = blk_vector),
	UDRV_HALF_CALL(UDRV_IOC_BLK_KICK, udrv_ioc_blk_queue, vector, .handler = blk_kick),
};

/* ---- the descriptor ---- */

static bool blk_ended(const void *session)
{
	return READ_ONCE(((const struct udrv_blk_session *)session)->ended);
}

static void *blk_area(const void *session, size_t *bytes)
{
	const struct udrv_blk_session *s = session;

	*bytes = s->area_bytes;
	return s->area;
}

static bool blk_ready(struct udrv_waiter *waiter)
{
	return udrv_blk_ready(container_of(waiter, struct udrv_blk_queue, waiter));
}

static const struct udrv_half blk_half = {
	.calls = blk_calls,
	.call_count = ARRAY_SIZE(blk_calls),
	.attach = udrv_blk_attach,
	.attach_undo = udrv_blk_attach_undo,
	.release = udrv_blk_release,
	.ended = blk_ended,
	.area = blk_area,
	.waiter = blk_waiter,
	.ready = blk_ready,
};

static int blk_open(struct inode *inode, struct file *file)
{
	return udrv_half_open(file, &blk_half);
}

static long blk_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct udrv_ioc_blk_turn turn __udrv_uninitialized;

	if (likely(cmd == UDRV_IOC_BLK_TURN))
		return udrv_half_turn(file, cmd, arg, &turn, sizeof(turn), udrv_blk_turn);
	return udrv_half_ioctl(file, cmd, arg);
}

static const struct file_operations blk_fops = {
	.owner = THIS_MODULE,
	.open = blk_open,
	.release = udrv_half_release,
	.unlocked_ioctl = blk_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = udrv_half_poll,
	.mmap = udrv_half_mmap,
};

/* Whoever opens it can do nothing without a right of another kind: see BLK_ATTACH. */
static struct miscdevice blk_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "udrv-blk",
	.nodename = "udrv/blk",
	.mode = 0666,
	.fops = &blk_fops,
};

/** udrv_blk_init() - /dev/udrv/blk */
int udrv_blk_init(void)
{
	int ret;

	/*
	 * Disks come and go there, and wait for their drivers meanwhile, and a disk's going for its coming.
	 * Nothing that gets memory back does: no rescuer, which would have to be one for both.
	 */
	udrv_blk_wq = alloc_workqueue("udrv-blk", WQ_UNBOUND, 0);
	if (!udrv_blk_wq)
		return -ENOMEM;
	ret = misc_register(&blk_misc);
	if (ret)
		destroy_workqueue(udrv_blk_wq);
	return ret;
}

/** udrv_blk_exit() - undo it */
void udrv_blk_exit(void)
{
	misc_deregister(&blk_misc);
	destroy_workqueue(udrv_blk_wq);
}
