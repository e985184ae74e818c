// SPDX-License-Identifier: GPL-2.0-only
/*
 * The descriptors of upper halves: open, attach, calls, mapping, polling, release
 *
 * Owns the way from a file descriptor to a session; what a session is, is the upper half's. The hard
 * part is an attach whose answer cannot be told: it is undone before anybody else can have seen it.
 */
#include <linux/cgroup.h>
#include <linux/pid.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "half.h"

/**
 * struct half_file - an open descriptor
 * @half: of which upper half
 * @attached: an attach has begun, and did not fail
 * @session: NULL until it has ended; from then on for the descriptor's life
 */
struct half_file {
	const struct udrv_half *half;
	unsigned long attached;
	void *session;
};

/** udrv_half_open() - a descriptor of @half, attached to nothing */
int udrv_half_open(struct file *file, const struct udrv_half *half)
{
	struct half_file *f;

	if ((file->f_flags & O_ACCMODE) != O_RDWR)
		return -EINVAL;
	f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	if (!f)
		return -ENOMEM;
	f->half = half;
	file->private_data = f;
	return 0;
}

/** udrv_half_release() - struct file_operations.release */
int udrv_half_release(struct inode *inode, struct file *file)
{
	struct half_file *f = file->private_data;

	if (f->session)
		f->half->release(f->session);
	kfree(f);
	return 0;
}

/** udrv_half_session() - what a descriptor is attached to, or NULL */
void *udrv_half_session(const struct file *file)
{
	const struct half_file *f = file->private_data;

	/* Pairs with half_attach(). */
	return smp_load_acquire(&f->session);
}

static int half_attach(struct half_file *f, void *arg, u32 size, void __user *user)
{
	void *session;
	int ret;

	if (test_and_set_bit(0, &f->attached))
		return -EBUSY;
	ret = f->half->attach(&session, arg);
	if (!ret && copy_to_user(user, arg, size)) {
		f->half->attach_undo(session, arg);
		ret = -EFAULT;
	}
	if (ret) {
		clear_bit(0, &f->attached);
		return ret;
	}
	/* Pairs with udrv_half_session(). */
	smp_store_release(&f->session, session);
	return 0;
}

/** udrv_half_ioctl() - struct file_operations.unlocked_ioctl */
long udrv_half_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct half_file *f = file->private_data;
	const struct udrv_half_call *call = f->half->calls, *end = call + f->half->call_count;
	void *session = udrv_half_session(file);
	void __user *user = (void __user *)arg;
	u64 copy[UDRV_HALF_ARG_BYTES / sizeof(u64)];
	u32 size;
	int ret;

	while (call->cmd != cmd)
		if (++call == end)
			return -ENOTTY;
	if (call->handler && session && f->half->ended(session))
		return -ENODEV;
	ret = udrv_ioctl_copy_in(copy, call->size, call->min_size, user);
	if (ret)
		return ret;
	size = min(*(u32 *)copy, call->size); /* the first field of all of them */
	if (!call->handler)
		return half_attach(f, copy, size, user);
	if (!session)
		return -EINVAL;
	ret = call->handler(session, copy);
	if (!ret && call->answers && copy_to_user(user, copy, size))
		ret = -EFAULT;
	return ret;
}

/** udrv_half_poll() - struct file_operations.poll: readable when a queue has something to do */
__poll_t udrv_half_poll(struct file *file, poll_table *wait)
{
	struct half_file *f = file->private_data;
	void *session = udrv_half_session(file);
	struct udrv_waiter *waiter;
	__poll_t mask = 0;
	u32 i;

	if (!session)
		return EPOLLERR;
	for (i = 0; (waiter = f->half->waiter(session, i)); i++) {
		poll_wait(file, &waiter->polls, wait);
		smp_mb(); /* pairs with udrv_waiter_wake() */
		udrv_waiter_arm(waiter);
		if (f->half->ready(waiter))
			mask = EPOLLIN | EPOLLRDNORM;
	}
	return f->half->ended(session) ? mask | EPOLLHUP : mask;
}

/** udrv_half_mmap() - struct file_operations.mmap: the session's area, or its beginning */
int udrv_half_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct half_file *f = file->private_data;
	unsigned long bytes = vma->vm_end - vma->vm_start, at;
	void *session = udrv_half_session(file), *area;
	size_t area_bytes;
	int ret = 0;

	if (!session || !(vma->vm_flags & VM_SHARED) || vma->vm_pgoff)
		return -EINVAL;
	area = f->half->area(session, &area_bytes);
	if (bytes > area_bytes)
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTDUMP | VM_DONTEXPAND);
	vm_flags_clear(vma, VM_MAYEXEC);
	for (at = 0; !ret && at < bytes; at += PAGE_SIZE)
		ret = vm_insert_page(vma, vma->vm_start + at, vmalloc_to_page(area + at));
	return ret;
}

/**
 * udrv_half_stopped() - is somebody keeping a driver from working?
 * @driver: its process
 * Return: true: it is stopped, frozen or traced, if only one thread of it: no reason to think that it hangs
 */
bool udrv_half_stopped(struct pid *driver)
{
	struct task_struct *leader, *t;
	bool stopped = false;

	rcu_read_lock();
	leader = pid_task(driver, PIDTYPE_TGID);
	if (leader) {
		/* for_each_thread() asks lockdep, where it is on, for a lock that modules do not see. */
		list_for_each_entry_rcu(t, &leader->signal->thread_head, thread_node) {
			stopped = task_is_stopped_or_traced(t) || READ_ONCE(t->ptrace) ||
				  cgroup_task_frozen(t) || READ_ONCE(t->__state) & TASK_FROZEN;
			if (stopped)
				break;
		}
	}
	rcu_read_unlock();
	return stopped;
}
