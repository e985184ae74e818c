// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting for a ring
 *
 * Owns the sleep of a driver's thread in the call of its queue: one thread for each queue, so that it
 * is woken by its task and needs no wait queue. ring.h has the indices and the barriers.
 */
#include <linux/hrtimer.h>
#include <linux/sched/signal.h>

#include "ring.h"

/** udrv_waiter_release() - undo it, running again */
void udrv_waiter_release(struct udrv_waiter *waiter)
{
	finish_rcuwait(&waiter->thread);
}

/**
 * udrv_waiter_sleep() - sleep until woken
 * @expires: CLOCK_MONOTONIC, or NULL: for ever
 *
 * The caller has claimed the waiter, set TASK_INTERRUPTIBLE with a barrier (set_current_state), and
 * then found nothing to do.
 *
 * Return: 0 woken; -EINTR a signal; -ETIME
 */
int udrv_waiter_sleep(ktime_t *expires)
{
	if (signal_pending(current))
		return -EINTR;
	if (!expires) {
		schedule();
		return 0;
	}
	return schedule_hrtimeout_range(expires, current->timer_slack_ns, HRTIMER_MODE_ABS) ?
		       0 :
		       -ETIME;
}
