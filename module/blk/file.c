// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/udrv/blk: the descriptor, its calls, its mapping
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

#include "blk.h"

/**
 * struct blk_file - an open descriptor
 * @attached: a BLK_ATTACH has begun, and did not fail
 * @session: NULL until it has ended; from then on for the descriptor's life
 */
struct blk_file {
	unsigned long attached;
	struct udrv_blk_session *session;
};

static int blk_open(struct inode *inode, struct file *file)
{
	if ((file->f_flags & O_ACCMODE) != O_RDWR)
		return -EINVAL;
	file->private_data = kzalloc(sizeof(struct blk_file), GFP_KERNEL_ACCOUNT);
	return file->private_data ? 0 : -ENOMEM;
}

static int blk_release(struct inode *inode, struct file *file)
{
	struct blk_file *f = file->private_data;

	if (f->session)
		udrv_blk_release(f->session);
	kfree(f);
	return 0;
}

static struct udrv_blk_session *blk_session(struct file *file)
{
	struct blk_file *f = file->private_data;

	/* Pairs with blk_attach(). */
	return smp_load_acquire(&f->session);
}

/* ---- calls ---- */

static int blk_attach(struct file *file, struct udrv_ioc_blk_attach *p, void __user *user)
{
	struct blk_file *f = file->private_data;
	struct udrv_blk_session *s;
	int ret;

	if (test_and_set_bit(0, &f->attached))
		return -EBUSY;
	ret = udrv_blk_attach(&s, p);
	if (!ret && copy_to_user(user, p, min_t(u32, p->size, sizeof(*p)))) {
		udrv_blk_attach_undo(s);
		ret = -EFAULT;
	}
	if (ret) {
		clear_bit(0, &f->attached);
		return ret;
	}
	/* Pairs with blk_session(). */
	smp_store_release(&f->session, s);
	return 0;
}

static int blk_vector(struct udrv_blk_session *s, void *arg)
{
	const struct udrv_ioc_blk_queue *p = arg;
	struct udrv_blk_queue *q;
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

static int blk_kick(struct udrv_blk_session *s, void *arg)
{
	const struct udrv_ioc_blk_queue *p = arg;
	struct udrv_blk_queue *q;

	if (p->flags || p->vector || p->queue >= s->queue_count)
		return -EINVAL;
	q = &s->queues[array_index_nospec(p->queue, s->queue_count)];
	set_bit(0, &q->kicked);
	udrv_waiter_wake(&q->waiter);
	return 0;
}

union blk_arg {
	u32 size; /* the first field of all of them */
	struct udrv_ioc_blk_attach attach;
	struct udrv_ioc_blk_disk disk;
	struct udrv_ioc_blk_turn turn;
	struct udrv_ioc_blk_queue queue;
};

struct blk_call {
	unsigned int cmd;
	u32 size;
	bool answers; /* there is something to copy out */
	int (*handler)(struct udrv_blk_session *s, void *arg); /* NULL: it is blk_attach() */
};

static const struct blk_call blk_calls[] = {
	{ UDRV_IOC_BLK_TURN, sizeof(struct udrv_ioc_blk_turn), true, udrv_blk_turn },
	{ UDRV_IOC_BLK_ATTACH, sizeof(struct udrv_ioc_blk_attach), true, NULL },
	{ UDRV_IOC_BLK_DISK_ADD, sizeof(struct udrv_ioc_blk_disk), true, udrv_blk_disk_add },
	{ UDRV_IOC_BLK_DISK_RESIZE, sizeof(struct udrv_ioc_blk_disk), false,
	  udrv_blk_disk_resize },
	{ UDRV_IOC_BLK_DISK_REMOVE, sizeof(struct udrv_ioc_blk_disk), false,
	  udrv_blk_disk_remove },
	{ UDRV_IOC_BLK_VECTOR, sizeof(struct udrv_ioc_blk_queue), false, blk_vector },
	{ UDRV_IOC_BLK_KICK, sizeof(struct udrv_ioc_blk_queue), false, blk_kick },
};

static long blk_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct blk_call *call = blk_calls, *end = call + ARRAY_SIZE(blk_calls);
	struct udrv_blk_session *s = blk_session(file);
	void __user *user = (void __user *)arg;
	union blk_arg copy;
	int ret;

	while (call->cmd != cmd)
		if (++call == end)
			return -ENOTTY;
	if (call->handler && s && READ_ONCE(s->ended))
		return -ENODEV;
	ret = udrv_ioctl_copy_in(&copy, call->size, call->size, user);
	if (ret)
		return ret;
	if (!call->handler)
		return blk_attach(file, &copy.attach, user);
	if (!s)
		return -EINVAL;
	ret = call->handler(s, &copy);
	if (!ret && call->answers && copy_to_user(user, &copy, min(copy.size, call->size)))
		ret = -EFAULT;
	return ret;
}

/* ---- waiting, mapping ---- */

static __poll_t blk_poll(struct file *file, poll_table *wait)
{
	struct udrv_blk_session *s = blk_session(file);
	__poll_t mask = 0;
	u32 i;

	if (!s)
		return EPOLLERR;
	for (i = 0; i < s->queue_count; i++) {
		struct udrv_blk_queue *q = &s->queues[i];
		struct udrv_vector *v = READ_ONCE(q->vector);

		poll_wait(file, &q->waiter.polls, wait);
		smp_mb(); /* pairs with udrv_waiter_wake() */
		if (v && !(udrv_blk_ready(q) & UDRV_BLK_READY_IRQ))
			udrv_irq_waiter_arm(v, &q->waiter);
		if (udrv_blk_ready(q))
			mask = EPOLLIN | EPOLLRDNORM;
	}
	return READ_ONCE(s->ended) ? mask | EPOLLHUP : mask;
}

static int blk_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct udrv_blk_session *s = blk_session(file);
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

static const struct file_operations blk_fops = {
	.owner = THIS_MODULE,
	.open = blk_open,
	.release = blk_release,
	.unlocked_ioctl = blk_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = blk_poll,
	.mmap = blk_mmap,
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
