// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is a queue's driver there, and does its device send?
 *
 * A driver that has died is noticed, for its descriptor is closed. One that hangs must be looked for:
 * now and then, while there is anything to see. Something is there for the driver, and it neither
 * waits in its turn nor comes: after hang_ms its tenure ends, as "udrv revoke" ends it, and the
 * interface stays for the next one. Packets are with the device, and none is done: after some seconds
 * the driver is told, once, and may reset it.
 *
 * The hard part is not to take a driver for hung that is not. What is counted is looks, each of which
 * found it away with something to do, and not the time between them: whoever stops the whole machine
 * for a while has cost one look. And a driver that is stopped, frozen or traced is somebody's who
 * looks into it. The other hard part is the end, which waits for the look: see watch_look().
 */
#include <linux/pid.h>
#include <linux/sched/signal.h>

#include "../half.h"
#include "net.h"

/* The longest time between two looks. */
#define WATCH_PERIOD HZ

static bool in_flight(const struct udrv_net_queue *q)
{
	return READ_ONCE(q->free_put) - READ_ONCE(q->free_get) != q->session->tx_slots;
}

static void watch_start(struct udrv_net_queue *q)
{
	lockdep_assert_held(&q->lock);
	WRITE_ONCE(q->watch.runs, true);
	queue_delayed_work(udrv_wq, &q->watch.work, q->session->watch_period);
}

/* One look at the driver. Return true if it has hung. */
static bool look_at_driver(struct udrv_net_queue *q, bool waits)
{
	struct udrv_net_session *s = q->session;
	struct udrv_net_watch *w = &q->watch;
	u32 ready = udrv_net_ready(q) & ~UDRV_NET_READY_FILL;
	u32 turns = READ_ONCE(w->turns), states = READ_ONCE(s->states);
	u32 consumed = READ_ONCE(q->rings->tx.consumed);
	bool there = !ready || waits || turns != w->seen_turns || consumed != w->seen_consumed;

	/* It reads the news, and there is always more. */
	if (ready == UDRV_NET_READY_STATE && states != w->seen_states)
		there = true;
	w->seen_turns = turns;
	w->seen_states = states;
	w->seen_consumed = consumed;
	/* Its driver: the process that made the last turn, or attached. */
	if (there || udrv_half_stopped(w->driver)) {
		w->hang_looks = 0;
		return false;
	}
	/* The first one begins the time, the last one ends it. */
	return ++w->hang_looks > s->hang_looks;
}

/* One look at the device: its driver is told if it sends nothing. */
static void look_at_device(struct udrv_net_queue *q)
{
	struct udrv_net_session *s = q->session;
	struct net_device *dev = s->net->dev;
	struct udrv_net_watch *w = &q->watch;
	u32 done = READ_ONCE(q->free_put);

	if (done != w->seen_done || !in_flight(q) || !netif_running(dev) || !netif_carrier_ok(dev)) {
		w->seen_done = done;
		w->stall_looks = 0;
		w->stall_told = false;
		return;
	}
	if (w->stall_told)
		return;
	if (udrv_half_stopped(w->driver)) { /* it could not have said so */
		w->stall_looks = 0;
		return;
	}
	if (++w->stall_looks <= s->stall_looks)
		return;
	w->stall_told = true;
	atomic_inc(&s->net->tx_stalls);
	netdev_dbg(dev, "queue %u: nothing was sent for %u ms\n", q->index, UDRV_NET_STALL_MS);
	set_bit(0, &q->stalled);
	udrv_waiter_wake(&q->waiter);
}

/* No lock is held: the end takes its own. */
static void session_hung(struct udrv_net_session *s)
{
	if (s->client) {
		udrv_client_end_of(s->client);
		return;
	}
	/* Without a device the interface goes, as it does when such a driver dies. */
	WRITE_ONCE(s->ended, true);
	udrv_net_delete(s);
}

/*
 * Whoever frees the session waits for this, with no lock held (udrv_net_watch_exit()); whoever ends it
 * does not, for it may be us.
 */
static void watch_look(struct work_struct *work)
{
	struct udrv_net_queue *q =
		container_of(to_delayed_work(work), struct udrv_net_queue, watch.work);
	struct udrv_net_session *s = q->session;
	bool hung, waits;

	/* Nobody waits here for its driver, who has it: it is at work. */
	if (!mutex_trylock(&q->lock)) {
		queue_delayed_work(udrv_wq, &q->watch.work, s->watch_period);
		return;
	}
	if (!q->linked || READ_ONCE(s->ended)) {
		WRITE_ONCE(q->watch.runs, false);
		mutex_unlock(&q->lock);
		return;
	}
	waits = rcuwait_active(&q->waiter.thread);
	hung = s->hang_looks && look_at_driver(q, waits);
	look_at_device(q);
	if (hung) {
		WRITE_ONCE(q->watch.runs, false);
		if (!test_and_set_bit(0, &s->hung)) { /* others of its queues may say so, too */
			atomic_inc(&s->net->driver_hangs);
			netdev_dbg(s->net->dev, "queue %u: its driver hangs\n", q->index);
		}
	} else if (!in_flight(q) && (waits || !s->hang_looks)) {
		WRITE_ONCE(q->watch.runs, false);
		/* Pairs with udrv_net_watch_back(): it sees that we do not run, or we that it is back. */
		smp_mb();
		if (s->hang_looks && !rcuwait_active(&q->waiter.thread))
			watch_start(q);
	} else {
		watch_start(q);
	}
	mutex_unlock(&q->lock);
	if (hung)
		session_hung(s);
}

/**
 * udrv_net_watch_init() - nothing is watched yet
 * @q: the queue, whose driver attaches
 */
void udrv_net_watch_init(struct udrv_net_queue *q)
{
	INIT_DELAYED_WORK(&q->watch.work, watch_look);
	q->watch.driver = get_pid(task_tgid(current));
}

/**
 * udrv_net_watch_exit() - nothing is watched any more
 * @q: the queue, not linked
 *
 * Context: process, no lock held: the watch may be at ending the client.
 */
void udrv_net_watch_exit(struct udrv_net_queue *q)
{
	cancel_delayed_work_sync(&q->watch.work);
	put_pid(q->watch.driver);
}

/**
 * udrv_net_watch_deadline() - what a session's queues are to be watched for
 * @session: not linked
 * @hang_ms: as for NET_ATTACH
 */
void udrv_net_watch_deadline(struct udrv_net_session *session, u32 hang_ms)
{
	unsigned long hang = msecs_to_jiffies(hang_ms), period = WATCH_PERIOD;

	if (hang_ms) /* one more: a timer's first jiffy is a part of one */
		period = min_t(unsigned long, period, hang / 4 + 1);
	session->watch_period = period;
	session->hang_looks = DIV_ROUND_UP(hang, period);
	session->stall_looks = DIV_ROUND_UP(msecs_to_jiffies(UDRV_NET_STALL_MS), period);
}

/** udrv_net_watch_link() - the interface is there; q->lock held */
void udrv_net_watch_link(struct udrv_net_queue *q)
{
	if (q->session->hang_looks)
		watch_start(q);
}

/** udrv_net_watch_turn() - its driver has come and handed in what it had; q->lock held */
void udrv_net_watch_turn(struct udrv_net_queue *q)
{
	struct udrv_net_watch *w = &q->watch;

	lockdep_assert_held(&q->lock);
	WRITE_ONCE(w->turns, w->turns + 1);
	if (unlikely(w->driver != task_tgid(current))) {
		put_pid(w->driver);
		w->driver = get_pid(task_tgid(current));
	}
	if (!w->runs && in_flight(q))
		watch_start(q);
}

/** udrv_net_watch_back() - its driver has waited, and goes back to work; no lock held */
void udrv_net_watch_back(struct udrv_net_queue *q)
{
	struct udrv_net_watch *w = &q->watch;

	/* Its own time begins here. Others count the turn, too: whoever it is, there is somebody. */
	WRITE_ONCE(w->turns, READ_ONCE(w->turns) + 1);
	if (!q->session->hang_looks)
		return;
	/* Pairs with watch_look(). */
	smp_mb();
	if (READ_ONCE(w->runs))
		return;
	mutex_lock(&q->lock);
	if (q->linked && !w->runs)
		watch_start(q);
	mutex_unlock(&q->lock);
}
