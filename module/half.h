/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The descriptors of upper halves: what /dev/udrv/net and /dev/udrv/blk have in common
 *
 * A descriptor is attached once, and has a session from then on; the process maps the session's area,
 * and waits in its queues. What a session is, its owner knows.
 */
#ifndef UDRV_HALF_H
#define UDRV_HALF_H

#include <linux/fault-inject-usercopy.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/uaccess.h>

#include "ring.h"
#include "udrv.h"

#define UDRV_HALF_ARG_BYTES 512 /* of the largest struct of a call */

/**
 * struct udrv_half_call - a call
 * @cmd: its number
 * @min_size: of the struct's first version
 * @size: of the struct
 * @answers: there is something to copy out
 * @handler: what it does; NULL: it attaches
 */
struct udrv_half_call {
	unsigned int cmd;
	u32 min_size;
	u32 size;
	bool answers;
	int (*handler)(void *session, void *arg);
};

#define UDRV_HALF_CALL(command, type, last, ...)                                                  \
	{ .cmd = (command), .min_size = offsetofend(struct type, last),                           \
	  .size = sizeof(struct type) +                                                           \
		  BUILD_BUG_ON_ZERO(sizeof(struct type) > UDRV_HALF_ARG_BYTES), __VA_ARGS__ }

/**
 * struct udrv_half - an upper half, to its descriptors
 * @calls: its calls, the most frequent first
 * @call_count: entries in @calls
 * @attach: make a session of a call, our copy, and write its answer there
 * @attach_undo: the answer could not be told: nothing is attached
 * @release: the descriptor is closed for good
 * @ended: nothing works any more
 * @area: what the process maps
 * @waiter: of a queue; NULL: there is none of this number
 * @ready: there is something to poll for
 */
struct udrv_half {
	const struct udrv_half_call *calls;
	unsigned int call_count;
	int (*attach)(void **session, void *arg);
	void (*attach_undo)(void *session, const void *arg);
	void (*release)(void *session);
	bool (*ended)(const void *session);
	void *(*area)(const void *session, size_t *bytes);
	struct udrv_waiter *(*waiter)(void *session, u32 index);
	bool (*ready)(struct udrv_waiter *waiter);
};

int udrv_half_open(struct file *file, const struct udrv_half *half);
void *udrv_half_session(const struct file *file);
int udrv_half_release(struct inode *inode, struct file *file);
long udrv_half_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
__poll_t udrv_half_poll(struct file *file, poll_table *wait);
int udrv_half_mmap(struct file *file, struct vm_area_struct *vma);
bool udrv_half_stopped(struct pid *driver);

/* Of a variable on the stack that is written as a whole first: kernels that zero them all spare this one. */
#if __has_attribute(__uninitialized__)
#define __udrv_uninitialized __attribute__((__uninitialized__))
#else
#define __udrv_uninitialized
#endif

/*
 * As copy_from_user() and copy_to_user() of words, as many as the compiler knows of: moves, without a call. They fail
 * where those are made to.
 */
static __always_inline bool udrv_half_get(u64 *to, const u64 __user *from, size_t words)
{
	size_t i;

	if (should_fail_usercopy() || !user_read_access_begin(from, words * sizeof(*from)))
		return false;
#pragma GCC unroll 16
	for (i = 0; i < words; i++)
		unsafe_get_user(to[i], &from[i], fault);
	user_read_access_end();
	return true;
fault:
	user_read_access_end();
	return false;
}

static __always_inline bool udrv_half_put(u64 __user *to, const u64 *from, size_t words)
{
	size_t i;

	if (should_fail_usercopy() || !user_write_access_begin(to, words * sizeof(*to)))
		return false;
#pragma GCC unroll 16
	for (i = 0; i < words; i++)
		unsafe_put_user(from[i], &to[i], fault);
	user_write_access_end();
	return true;
fault:
	user_write_access_end();
	return false;
}

/**
 * udrv_half_turn() - the call that is made for each turn of a driver's loop, the short way
 * @file: the descriptor
 * @cmd: the call, which is among udrv_half.calls, too
 * @arg: address of its struct
 * @copy: where our copy goes
 * @size: of the struct, in this kernel: a constant, so that the copies' bounds were checked by the compiler
 * @turn: what it does
 */
static __always_inline long udrv_half_turn(struct file *file, unsigned int cmd, unsigned long arg,
					   void *copy, size_t size,
					   int (*turn)(void *session, void *arg))
{
	void __user *user = (void __user *)arg;
	void *session = udrv_half_session(file);
	size_t words = size / sizeof(u64);
	long ret;

	BUILD_BUG_ON(size % sizeof(u64));
	/* Not attached, not there, or of another size: the long way reads it anew, and says what is wrong. */
	if (unlikely(!session || !udrv_half_get(copy, user, words) || *(u32 *)copy != size))
		return udrv_half_ioctl(file, cmd, arg);
	/* Else the address of each word is kept over the call. */
	OPTIMIZER_HIDE_VAR(user);
	ret = turn(session, copy);
	if (!ret && !udrv_half_put(user, copy, words))
		ret = -EFAULT;
	return ret;
}

#endif /* UDRV_HALF_H */
