/* SPDX-License-Identifier: MIT */
/*
 * net.c - the card as a network interface of the kernel, without a copy
 *
 * Owns the loop between the card's rings and the kernel's (libudrv_net.h). One system call for each
 * turn: it tells what was sent and what has arrived, and sleeps when there is nothing else to do. Each
 * queue has a thread, that never meets the others but where tags are switched (follow()). Reading order:
 * net_run() at the end, turn(), queue.c.
 *
 * The hard part is to sleep: the card is allowed to interrupt, and then the kernel is asked to wait.
 * What arrives in between interrupts at once, for the card remembers causes that were masked.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "e1000.h"
#include "net.h"
#include "../notify.h"
#include "queue.h"

#define MTU_MAX 9000u /* the 82540EM can do more, the 82574L not */

/* Looks at the rings between two at the clock; how long never to sleep is, until the kernel is asked for news. */
#define LOOKS 64
#define NEWS_NS UINT64_C(1000000)

struct net {
	struct e1000 *nic;
	struct udrv_net *net;
	struct queue queues[E1000_QUEUES];
	bool promiscuous;
	bool sleeps;
	uint64_t poll_ns; /* how long to look before that, or, if it never does, before news are asked for */
};

/* For the signal handler. */
static struct net *stop_net;
static volatile sig_atomic_t stopped;
static const int stop_signals[] = { SIGINT, SIGTERM, SIGHUP };

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
	for (unsigned int i = 0; i < stop_net->nic->queue_count; i++)
		udrv_net_kick(stop_net->net, i);
}

/* ---- the loop ----------------------------------------------------------------------- */

static int follow(struct net *n)
{
	struct udrv_ioc_net_state state;
	struct port_mode mode = { 0 };
	int error = udrv_net_state(n->net, &state);

	if (error)
		return error;
	memcpy(mode.address, state.address, sizeof(mode.address));
	mode.promiscuous = n->promiscuous || state.state_flags & UDRV_NET_PROMISC;
	mode.all_multicast = state.state_flags & UDRV_NET_ALLMULTI;
	mode.group_count = state.group_count;
	memcpy(mode.groups, state.groups, sizeof(mode.groups));
	e1000_set_mode(n->nic, &mode);
	e1000_set_mtu(n->nic, state.mtu);
	/* Nobody writes a descriptor with a tag meanwhile. */
	for (unsigned int i = 0; i < n->nic->queue_count; i++)
		pthread_mutex_lock(&n->queues[i].sending);
	e1000_set_vlan(n->nic, state.state_flags & UDRV_NET_VLAN_RX_ON);
	for (unsigned int i = 0; i < n->nic->queue_count; i++)
		pthread_mutex_unlock(&n->queues[i].sending);
	return 0;
}

static int tell_link(struct net *n)
{
	return udrv_net_link(n->net, n->nic->link_up, n->nic->link_speed, n->nic->link_full);
}

/* A hint to the processor that we only look. */
static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/* Look for something to do, without the kernel, for as long as was asked for (--poll). */
static bool poll_rings(const struct queue *q)
{
	uint64_t end = driver_now_ns() + q->n->poll_ns;

	do {
		for (int i = 0; i < LOOKS; i++) {
			if (queue_more(q) || queue_sent(q))
				return true;
			relax();
		}
	} while (driver_now_ns() < end && !stopped);
	return false;
}

/* One turn of a queue. 0, or -errno. */
static int turn(struct queue *q, uint64_t timeout_ns)
{
	struct net *n = q->n;
	unsigned int moved = queue_receive(q) + queue_send(q) + queue_reclaim(q);
	bool sending = q->card->tx.batch_clean != q->card->tx.batch_next;
	bool busy;
	int ready, error;

	/*
	 * With nothing more to do, sleep; the card may interrupt from here on. Buffers come back when
	 * the call returns: if many were used, it is not one that sleeps.
	 */
	busy = moved && (queue_more(q) || queue_low(q));
	if (!busy && n->poll_ns) {
		if (!moved && poll_rings(q))
			return 0;
		busy = moved || !n->sleeps; /* what was moved is told before that */
	}
	if (!busy && q->armed < (sending ? ARMED_BOTH : ARMED_RECEIVE)) {
		e1000_irq_arm(q->card, sending);
		q->armed = sending ? ARMED_BOTH : ARMED_RECEIVE;
	}
	ready = udrv_net_turn(q->kernel, q->tx_full ? UDRV_NET_READY_TX : 0, busy ? 0 : timeout_ns);
	q->turns++;
	queue_refill(q);
	if (ready < 0)
		return ready == -EINTR ? 0 : ready;

	if (ready & UDRV_NET_READY_STALLED)
		queue_restart_transmitter(q);
	if (ready & UDRV_NET_READY_IRQ) {
		q->armed = ARMED_NOT;
		if (e1000_irq_taken(q->card, q->kernel->turn.irq_count,
				    (uint32_t)q->kernel->turn.irq_value) &&
		    e1000_link(n->nic)) {
			error = tell_link(n);
			if (error)
				return error;
		}
	}
	/* Without interrupts nobody tells. */
	if (!n->sleeps && !moved && !q->card->index && e1000_link(n->nic)) {
		error = tell_link(n);
		if (error)
			return error;
	}
	return ready & UDRV_NET_READY_STATE ? follow(n) : 0; /* queue 0's alone */
}

/* ---- up and down -------------------------------------------------------------------- */

static int attach(struct net *n, const struct net_options *options)
{
	struct e1000 *nic = n->nic;
	struct udrv_net_options o = {
		.name = options->name,
		.features = (options->offloads & PORT_OFFLOAD_CSUM ? UDRV_NET_CSUM | UDRV_NET_RXCSUM : 0) |
			    (options->offloads & PORT_OFFLOAD_TSO4 ? UDRV_NET_TSO4 : 0) |
			    (options->offloads ? UDRV_NET_VLAN_TX | UDRV_NET_VLAN_RX : 0) |
			    (nic->model->pads ? UDRV_NET_PADS : 0) | UDRV_NET_SCATTER,
		.queue_count = options->queues,
		.tx_slots = SLOTS,
		.rx_slots = SLOTS,
		.max_mtu = MTU_MAX,
		.hang_ms = options->hang_s * 1000,
	};
	int error;

	memcpy(o.address, nic->address, sizeof(o.address));
	error = udrv_net_attach(nic->device, &o, &n->net);
	if (error)
		return driver_fail(error, "the interface %s: %s%s", options->name, udrv_strerror(error),
				  error == -EPERM ? " (to make one: CAP_NET_ADMIN)" : "");
	driver_say("interface %s%s%s", udrv_net_name(n->net),
		  udrv_net_flags(n->net) & UDRV_NET_TAKEN_OVER ? ", taken over" : "",
		  udrv_net_flags(n->net) & UDRV_NET_COPIES ? ", packets are copied" : "");
	return 0;
}

/* The card runs: a queue's interrupts, and its first buffers. */
static int start_queue(struct queue *q)
{
	struct e1000_queue *card = q->card;
	int error;

	q->rx_slot = calloc(card->rx.count, sizeof(*q->rx_slot));
	q->tx_slot = malloc(card->tx.count * sizeof(*q->tx_slot));
	if (!q->rx_slot || !q->tx_slot)
		return driver_fail(-ENOMEM, "out of memory");
	memset(q->tx_slot, 0xff, card->tx.count * sizeof(*q->tx_slot)); /* SLOT_NONE */
	error = udrv_net_vector(q->n->net, card->index, card->index);
	if (error)
		return driver_fail(error, "the interrupt: %s", udrv_strerror(error));
	queue_refill(q);
	return 0;
}

static int start(struct net *n, const struct net_options *options)
{
	struct e1000 *nic = n->nic;
	int error;

	if (options->queues > nic->model->queues)
		return driver_fail(-EINVAL, "the %s has %u queue%s", nic->model->name,
				  nic->model->queues, nic->model->queues == 1 ? "" : "s");
	nic->queue_count = options->queues;
	error = attach(n, options);
	/* Two queues want a vector each. */
	if (!error)
		error = e1000_start(nic, options->queues > 1 ? UDRV_IRQ_MSIX : options->irq,
				    options->rings);
	for (unsigned int i = 0; !error && i < nic->queue_count; i++) {
		struct queue *q = &n->queues[i];

		q->n = n;
		q->card = &nic->queues[i];
		q->kernel = udrv_net_get_queue(n->net, i);
		pthread_mutex_init(&q->sending, NULL);
		error = start_queue(q);
	}
	if (!error)
		error = follow(n);
	return error ? error : tell_link(n);
}

static void catch_signals(struct net *n)
{
	struct sigaction action = { .sa_handler = stop };

	stop_net = n;
	for (size_t i = 0; i < sizeof(stop_signals) / sizeof(stop_signals[0]); i++)
		sigaction(stop_signals[i], &action, NULL);
}

/* Before the interface's object goes, which the handler uses. */
static void leave_signals(void)
{
	for (size_t i = 0; i < sizeof(stop_signals) / sizeof(stop_signals[0]); i++)
		signal(stop_signals[i], SIG_DFL);
}

/* ---- threads ------------------------------------------------------------------------ */

/* Another queue than the first. Whatever ends it ends the driver. */
static void *serve(void *arg)
{
	struct queue *q = arg;

	driver_no_rseq();
	while (!stopped && !q->error)
		q->error = turn(q, UDRV_NET_FOREVER);
	stop(0);
	return NULL;
}

/* Signals are the main thread's. */
static int start_threads(struct net *n)
{
	sigset_t every, before;
	int error = 0;

	sigfillset(&every);
	pthread_sigmask(SIG_SETMASK, &every, &before);
	for (unsigned int i = 1; !error && i < n->nic->queue_count; i++)
		error = -pthread_create(&n->queues[i].thread, NULL, serve, &n->queues[i]);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error ? driver_fail(error, "make a thread: %s", strerror(-error)) : 0;
}

static void print(const struct net *n, const struct net_options *options)
{
	uint64_t turns = 0;

	for (unsigned int i = 0; i < n->nic->queue_count; i++)
		turns += n->queues[i].turns;
	options->print(n->nic, turns);
}

/* Queue 0, and the counters, until a signal or an error; then the others are ended, too. */
static int run(struct net *n, const struct net_options *options)
{
	uint64_t wait_ns = notify_ready();
	const uint64_t interval_ns = options->stats_s * UINT64_C(1000000000);
	uint64_t next_ns = driver_now_ns() + interval_ns;
	int error = 0;

	if (options->stats_s && wait_ns > UINT64_C(1000000000))
		wait_ns = UINT64_C(1000000000);
	driver_no_rseq();
	while (!error && !stopped) {
		if (notify_due())
			notify_alive();
		error = turn(&n->queues[0], wait_ns);
		if (options->stats_s && driver_now_ns() >= next_ns) {
			print(n, options);
			next_ns = driver_now_ns() + interval_ns;
		}
	}
	stop(0);
	for (unsigned int i = 1; i < n->nic->queue_count; i++) {
		pthread_join(n->queues[i].thread, NULL);
		if (!error)
			error = n->queues[i].error;
	}
	if (error)
		driver_fail(error, "the interface %s: %s", udrv_net_name(n->net),
			   udrv_strerror(error));
	return error;
}

int net_run(struct e1000 *nic, const struct net_options *options)
{
	static struct net net;
	struct net *n = &net;
	int error;

	n->nic = nic;
	n->promiscuous = options->promiscuous;
	n->sleeps = options->poll_us != NET_POLL_FOREVER;
	n->poll_ns = n->sleeps ? options->poll_us * UINT64_C(1000) : NEWS_NS;
	nic->zero_copy = true;
	error = start(n, options);
	if (!error) {
		catch_signals(n);
		error = start_threads(n);
	}
	if (!error)
		error = run(n, options);
	/* The card first: its memory is the kernel's, which takes it back when this is closed. */
	e1000_quieten(nic);
	if (!error && options->stats_s)
		print(n, options);
	if (n->net && !error)
		udrv_net_link(n->net, false, 0, false);
	leave_signals();
	udrv_net_close(n->net);
	for (unsigned int i = 0; i < E1000_QUEUES; i++) {
		free(n->queues[i].rx_slot);
		free(n->queues[i].tx_slot);
	}
	return error;
}
