/* SPDX-License-Identifier: MIT */
/*
 * net.c - the card as a network interface of the kernel, without a copy
 *
 * Owns the loop between the card's rings and the kernel's (libudrv_net.h). The kernel hands out
 * addresses: of packets to send, of buffers to receive into. They go into descriptors, and nothing of
 * a packet is seen here. One system call for each turn: it tells what was sent and what has arrived,
 * and sleeps when there is nothing else to do. Each queue has a thread, that never meets the others but
 * where tags are switched (follow()). Reading order: net_run() at the end, turn(), send().
 *
 * The hard part is to sleep: the card is allowed to interrupt, and then the kernel is asked to wait.
 * What arrives in between interrupts at once, for the card remembers causes that were masked.
 */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "e1000.h"
#include "net.h"

#define SLOTS 256u /* packets on their way, and buffers */
#define SLOT_NONE UINT16_MAX /* tx_slot: no packet ends here */

/* As in ring.c: a piece of a packet stays inside one page. */
#define TX_PIECE 4096u

struct queue {
	struct net *n;
	struct e1000_queue *card;
	struct udrv_net_queue *kernel;
	uint16_t *rx_slot; /* the buffer in each receive descriptor */
	uint16_t *tx_slot; /* the packet that ends in each transmit descriptor */
	/* What the card may interrupt for: nothing, what arrives, also what was sent. */
	enum { ARMED_NOT, ARMED_RECEIVE, ARMED_BOTH } armed;
	bool tx_full;		 /* no room for the next packet */
	pthread_mutex_t sending; /* while descriptors with tags are written */
	pthread_t thread;	 /* but queue 0's, which is main()'s */
	int error;		 /* that ended it */
	uint64_t turns;
};

struct net {
	struct e1000 *nic;
	struct udrv_net *net;
	struct queue queues[E1000_QUEUES];
	bool promiscuous;
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

/* ---- receive ------------------------------------------------------------------------ */

/* Give the card the buffers that the kernel has for it. */
static void refill(struct queue *q)
{
	struct e1000_rx *rx = &q->card->rx;
	uint32_t count = udrv_net_fill_count(q->kernel);
	/* One descriptor stays free: tail == head would say that the ring is empty [3.2.6]. */
	unsigned int room = (rx->next + rx->count - rx->tail - 1) % rx->count;

	if (count > room)
		count = room;
	if (!count)
		return;
	for (uint32_t i = 0; i < count; i++) {
		const struct udrv_net_fill *fill = udrv_net_fill_at(q->kernel, i);

		rx->desc[rx->tail].empty.address = htole64(fill->address);
		rx->desc[rx->tail].empty.zero = 0;
		q->rx_slot[rx->tail] = (uint16_t)fill->slot;
		rx->tail = rx->tail + 1 == rx->count ? 0 : rx->tail + 1;
	}
	udrv_net_fill_consume(q->kernel, count);
	e1000_write(q->n->nic, E1000_RDT(q->card->index), rx->tail);
}

/* The status of the next descriptor, in either format. */
static uint8_t rx_status(const struct e1000_queue *card)
{
	volatile union e1000_rx_desc *desc = &card->rx.desc[card->rx.next];

	return card->nic->extended ? (uint8_t)le32toh(desc->extended.status) : desc->legacy.status;
}

/* What goes with it, once it is done. */
static void rx_details(const struct e1000_queue *card, uint8_t *errors, uint16_t *length, uint16_t *tag)
{
	volatile union e1000_rx_desc *desc = &card->rx.desc[card->rx.next];

	if (card->nic->extended) {
		*errors = (uint8_t)(le32toh(desc->extended.status) >> 24);
		*length = le16toh(desc->extended.length);
		*tag = le16toh(desc->extended.vlan);
	} else {
		*errors = desc->legacy.errors;
		*length = le16toh(desc->legacy.length);
		*tag = le16toh(desc->legacy.special);
	}
}

/* Frames that have arrived, at most a ring of them. */
static unsigned int receive(struct queue *q)
{
	struct e1000_rx *rx = &q->card->rx;
	unsigned int frames = 0;

	while (rx->next != rx->tail) {
		uint8_t status = rx_status(q->card), errors;
		uint16_t length, flags = 0, tag;
		bool end, bad;

		if (!(status & E1000_RXD_DD))
			break;
		udrv_rmb();
		rx_details(q->card, &errors, &length, &tag);
		end = status & E1000_RXD_EOP;
		bad = !end || rx->in_bad_frame || errors & E1000_RXD_FRAME_ERRORS;
		rx->in_bad_frame = !end;
		if (bad) {
			flags = UDRV_NET_RX_DROP;
			rx->errors += end;
		} else {
			/* A wrong checksum is not ours to judge [3.2.9]. */
			if (status & E1000_RXD_TCPCS && !(status & E1000_RXD_IXSM) &&
			    !(errors & E1000_RXD_TCPE))
				flags = UDRV_NET_RX_CSUM;
			if (status & E1000_RXD_VP) {
				flags |= UDRV_NET_RX_VLAN;
				rx->tags++;
			}
			rx->frames++;
			rx->bytes += length;
		}
		udrv_net_rx_frame(q->kernel, q->rx_slot[rx->next], length, flags, tag);
		rx->next = rx->next + 1 == rx->count ? 0 : rx->next + 1;
		frames++;
	}
	return frames;
}

/* ---- transmit ----------------------------------------------------------------------- */

/* What the card must be told of the headers [3.3.6]; returns the options of the data descriptors. */
static uint8_t context_of(const struct udrv_net_tx *tx, struct e1000_tx_context *context)
{
	memset(context, 0, sizeof(*context));
	if (!(tx->flags & UDRV_NET_TX_CSUM))
		return 0;
	context->tucss = tx->l4_offset;
	context->tucso = tx->csum_offset;
	context->command = E1000_TXD_DEXT | (tx->flags & UDRV_NET_TX_TCP ? E1000_TXD_TCP : 0) |
			   (tx->flags & UDRV_NET_TX_IPV4 ? E1000_TXD_IPV4 : 0);
	if (!(tx->flags & UDRV_NET_TX_TSO))
		return E1000_TXD_TXSM;
	context->command |= E1000_TXD_TSE | (tx->packet_length - tx->header_length);
	context->header_length = tx->header_length;
	context->mss = tx->gso_size;
	context->ipcss = tx->l3_offset;
	context->ipcso = (uint8_t)(tx->l3_offset + 10); /* of IPv4's header */
	context->ipcse = (uint16_t)(tx->l4_offset - 1);
	return E1000_TXD_TXSM | E1000_TXD_IXSM;
}

static unsigned int pieces_of(const struct udrv_net_tx *tx)
{
	return (unsigned int)((tx->address % TX_PIECE + tx->length + TX_PIECE - 1) / TX_PIECE);
}

static unsigned int tx_room(const struct e1000_tx *tx)
{
	return (tx->clean + tx->count - tx->next - 1) % tx->count;
}

/* One entry's descriptors; what follows it is what all of the packet's share. */
static void send_piece(struct queue *q, const struct udrv_net_tx *entry, uint32_t command,
		       uint8_t options, uint16_t tag)
{
	struct e1000_tx *tx = &q->card->tx;

	for (uint32_t done = 0, piece; done < entry->length; done += piece) {
		volatile struct e1000_tx_data *data = &tx->desc[tx->next].data;

		piece = TX_PIECE - (uint32_t)((entry->address + done) % TX_PIECE);
		if (piece >= entry->length - done) {
			piece = entry->length - done;
			if (entry->flags & UDRV_NET_TX_LAST) {
				command |= E1000_TXD_EOP;
				q->tx_slot[tx->next] = entry->slot;
			}
		}
		data->address = htole64(entry->address + done);
		data->command = htole32(command | piece);
		data->status = 0;
		data->options = options;
		data->special = htole16(tag);
		tx->next = tx->next + 1 == tx->count ? 0 : tx->next + 1;
	}
}

/* The packet at entry @at of @count that wait; returns its entries, 0: there is no room for it. */
static uint32_t send_packet(struct queue *q, uint32_t at, uint32_t count)
{
	const struct udrv_net_tx *first = udrv_net_tx_at(q->kernel, at), *entry = first;
	struct e1000_tx *tx = &q->card->tx;
	struct e1000_tx_context context;
	uint32_t command = E1000_TXD_DEXT | E1000_TXD_DATA | E1000_TXD_IFCS, entries = 1;
	unsigned int need = 1 + pieces_of(first); /* a context may be needed */
	uint8_t options;

	for (; !(entry->flags & UDRV_NET_TX_LAST) && entries < count; entries++) {
		entry = udrv_net_tx_at(q->kernel, at + entries);
		need += pieces_of(entry);
	}
	if (need > tx_room(tx))
		return 0;

	if (first->flags & UDRV_NET_TX_VLAN) {
		/* On its way here when that was switched off: not without its tag. */
		if (!q->n->nic->vlan) {
			udrv_net_tx_done(q->kernel, first->slot);
			return entries;
		}
		command |= E1000_TXD_VLE;
		tx->tags++;
	}
	options = context_of(first, &context);
	if (options) {
		e1000_tx_put_context(tx, &context);
		if (context.command & E1000_TXD_TSE)
			command |= E1000_TXD_TSE;
	}
	for (uint32_t i = 0; i < entries; i++)
		send_piece(q, udrv_net_tx_at(q->kernel, at + i), command, options, first->vlan_tci);
	tx->frames++;
	tx->bytes += first->packet_length;
	return entries;
}

/* What the kernel has to send, as far as there is room. Returns the number of entries. */
static uint32_t send(struct queue *q)
{
	struct e1000_tx *tx = &q->card->tx;
	uint32_t count = udrv_net_tx_count(q->kernel), done = 0, entries;
	unsigned int begin = tx->next;

	q->tx_full = false;
	if (!count)
		return 0;
	pthread_mutex_lock(&q->sending);
	while (done < count) {
		entries = send_packet(q, done, count - done);
		if (!entries) {
			q->tx_full = true;
			break;
		}
		done += entries;
	}
	udrv_net_tx_consume(q->kernel, done);
	if (tx->next == begin)
		goto out;
	/* Only the last one reports [3.4.2]: what comes before it is done then too. */
	tx->batches[tx->batch_next].last = (tx->next + tx->count - 1) % tx->count;
	tx->desc[tx->batches[tx->batch_next].last].data.command |= htole32(E1000_TXD_RS);
	tx->batch_next = (tx->batch_next + 1) % tx->count;
	e1000_write(q->n->nic, E1000_TDT(q->card->index), tx->next);
out:
	pthread_mutex_unlock(&q->sending);
	return done;
}

/* Whole batches that the card has sent. */
static unsigned int reclaim(struct queue *q)
{
	struct e1000_tx *tx = &q->card->tx;
	unsigned int packets = 0;

	while (tx->batch_clean != tx->batch_next) {
		unsigned int last = tx->batches[tx->batch_clean].last;
		unsigned int end = last + 1 == tx->count ? 0 : last + 1;

		if (!(tx->desc[last].data.status & E1000_TXD_DD))
			break;
		while (tx->clean != end) {
			if (q->tx_slot[tx->clean] != SLOT_NONE) {
				udrv_net_tx_done(q->kernel, q->tx_slot[tx->clean]);
				q->tx_slot[tx->clean] = SLOT_NONE;
				packets++;
			}
			tx->clean = tx->clean + 1 == tx->count ? 0 : tx->clean + 1;
		}
		tx->batch_clean = (tx->batch_clean + 1) % tx->count;
	}
	/* The room may be enough now, and no interrupt will tell of it again. */
	if (packets)
		q->tx_full = false;
	return packets;
}

/* Nothing was sent for seconds, with packets in the ring. Whatever it was: begin anew without them. */
static void restart_transmitter(struct queue *q)
{
	struct e1000_tx *tx = &q->card->tx;

	e1000_say("the card sends nothing: its transmitter is started again");
	reclaim(q); /* unless it has, meanwhile */
	e1000_restart_transmitter(q->card);
	for (unsigned int i = 0; i < tx->count; i++) {
		if (q->tx_slot[i] != SLOT_NONE)
			udrv_net_tx_done(q->kernel, q->tx_slot[i]);
		q->tx_slot[i] = SLOT_NONE;
	}
	q->tx_full = false;
}

/* ---- the loop ----------------------------------------------------------------------- */

/* Is there something to do that needs no waiting? */
static bool more(const struct queue *q)
{
	const struct e1000_rx *rx = &q->card->rx;

	return (udrv_net_tx_count(q->kernel) && !q->tx_full) ||
	       (rx->next != rx->tail && rx_status(q->card) & E1000_RXD_DD);
}

/* Has the card so few buffers that a burst might find none? */
static bool low(const struct queue *q)
{
	const struct e1000_rx *rx = &q->card->rx;
	unsigned int all = rx->count < SLOTS ? rx->count : SLOTS;

	return (rx->tail + rx->count - rx->next) % rx->count < all / 2;
}

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

/* One turn of a queue. 0, or -errno. */
static int turn(struct queue *q, uint64_t timeout_ns)
{
	struct net *n = q->n;
	unsigned int moved = receive(q) + send(q) + reclaim(q);
	bool sending = q->card->tx.batch_clean != q->card->tx.batch_next;
	bool busy;
	int ready, error;

	/*
	 * With nothing more to do, sleep; the card may interrupt from here on. Buffers come back when
	 * the call returns: if many were used, it is not one that sleeps.
	 */
	busy = moved && (more(q) || low(q));
	if (!busy && q->armed < (sending ? ARMED_BOTH : ARMED_RECEIVE)) {
		e1000_irq_arm(q->card, sending);
		q->armed = sending ? ARMED_BOTH : ARMED_RECEIVE;
	}
	ready = udrv_net_turn(q->kernel, q->tx_full ? UDRV_NET_READY_TX : 0, busy ? 0 : timeout_ns);
	q->turns++;
	refill(q);
	if (ready < 0)
		return ready == -EINTR ? 0 : ready;

	if (ready & UDRV_NET_READY_STALLED)
		restart_transmitter(q);
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
			    (nic->model->pads ? UDRV_NET_PADS : 0),
		.queue_count = options->queues,
		.tx_slots = SLOTS,
		.rx_slots = SLOTS,
		.hang_ms = options->hang_s * 1000,
	};
	int error;

	memcpy(o.address, nic->address, sizeof(o.address));
	error = udrv_net_attach(nic->device, &o, &n->net);
	if (error)
		return e1000_fail(error, "the interface %s: %s%s", options->name, udrv_strerror(error),
				  error == -EPERM ? " (to make one: CAP_NET_ADMIN)" : "");
	e1000_say("interface %s%s%s", udrv_net_name(n->net),
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
		return e1000_fail(-ENOMEM, "out of memory");
	memset(q->tx_slot, 0xff, card->tx.count * sizeof(*q->tx_slot)); /* SLOT_NONE */
	error = udrv_net_vector(q->n->net, card->index, card->index);
	if (error)
		return e1000_fail(error, "the interrupt: %s", udrv_strerror(error));
	refill(q);
	return 0;
}

static int start(struct net *n, const struct net_options *options)
{
	struct e1000 *nic = n->nic;
	int error;

	if (options->queues > nic->model->queues)
		return e1000_fail(-EINVAL, "the %s has %u queue%s", nic->model->name,
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
	return error ? e1000_fail(error, "make a thread: %s", strerror(-error)) : 0;
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
	struct timespec now;
	time_t next = 0;
	int error = 0;

	while (!error && !stopped) {
		error = turn(&n->queues[0], options->stats_s ? UINT64_C(1000000000) : UDRV_NET_FOREVER);
		if (!options->stats_s)
			continue;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec >= next) {
			if (next)
				print(n, options);
			next = now.tv_sec + options->stats_s;
		}
	}
	stop(0);
	for (unsigned int i = 1; i < n->nic->queue_count; i++) {
		pthread_join(n->queues[i].thread, NULL);
		if (!error)
			error = n->queues[i].error;
	}
	if (error)
		e1000_fail(error, "the interface %s: %s", udrv_net_name(n->net),
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
