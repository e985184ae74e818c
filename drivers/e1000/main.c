/* SPDX-License-Identifier: MIT */
/*
 * main.c - a driver for Intel's 82540EM and 82574L network cards, as a process
 *
 * Owns the options, the loop and the signals. The loop moves frames between the card's rings and a
 * port, in batches, for as long as there are any; then it lets the card interrupt and sleeps in one
 * poll() for the interrupt, the port, a timer and signals. Reading order: main() and run() here,
 * hw.c from e1000_open() down, ring.c, irq.c, offload.c, tap.c.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "e1000.h"
#include "net.h"

/* Turns of the loop after which it looks at signals and the timer even if there is more to do. */
#define TURNS 16

static struct {
	const char *device;
	const char *net;
	const char *tap;
	bool dump, promiscuous;
	unsigned int irq, queues, rings, stats_s, offloads, hang_s, poll_us;
} opt = { .queues = 1, .rings = 256, .offloads = E1000_OFFLOADS, .hang_s = 10 };

/* ---- what we say -------------------------------------------------------------------- */

static void print_frames(const struct e1000 *nic)
{
	struct e1000_rx rx = { 0 };
	struct e1000_tx tx = { 0 };

	for (const struct e1000_queue *q = nic->queues; q < nic->queues + nic->queue_count; q++) {
		rx.frames += q->rx.frames;
		rx.bytes += q->rx.bytes;
		rx.errors += q->rx.errors;
		rx.tags += q->rx.tags;
		tx.frames += q->tx.frames;
		tx.bytes += q->tx.bytes;
		tx.tags += q->tx.tags;
		tx.software_checksums += q->tx.software_checksums;
	}
	printf("rx_frames=%" PRIu64 " rx_bytes=%" PRIu64 " rx_errors=%" PRIu64 " tx_frames=%" PRIu64
	       " tx_bytes=%" PRIu64 " tx_software_checksums=%" PRIu64 " rx_tags=%" PRIu64
	       " tx_tags=%" PRIu64,
	       rx.frames, rx.bytes, rx.errors, tx.frames, tx.bytes, tx.software_checksums, rx.tags,
	       tx.tags);
}

static void print_card(const struct e1000 *nic, uint64_t calls)
{
	const struct e1000_statistics *s = &nic->statistics;
	uint64_t interrupts = 0;

	for (unsigned int i = 0; i < nic->queue_count; i++)
		interrupts += nic->queues[i].interrupts;

	printf(" card_rx=%" PRIu64 " card_rx_bytes=%" PRIu64 " card_tx=%" PRIu64
	       " card_tx_bytes=%" PRIu64,
	       s->rx_good, s->rx_good_bytes, s->tx_good, s->tx_good_bytes);
	printf(" card_missed=%" PRIu64 " card_no_buffer=%" PRIu64 " card_crc=%" PRIu64
	       " card_length=%" PRIu64,
	       s->rx_missed, s->rx_no_buffer, s->rx_crc_errors, s->rx_length_errors);
	printf(" interrupts=%" PRIu64 " calls=%" PRIu64 "\n", interrupts, calls);
	fflush(stdout);
}

static void print_statistics(const struct e1000 *nic, const struct port *port)
{
	print_frames(nic);
	printf(" port_pulled=%" PRIu64 " port_pushed=%" PRIu64 " port_dropped=%" PRIu64,
	       port->counters.pulled, port->counters.pushed, port->counters.push_dropped);
	print_card(nic, port->counters.calls);
}

static void print_net(struct e1000 *nic, uint64_t turns)
{
	e1000_count(nic);
	print_frames(nic);
	print_card(nic, turns);
}

/* ---- options ------------------------------------------------------------------------ */

enum { KEY_HANG = 256, KEY_POLL }; /* without a letter */

static const struct argp_option options[] = {
	{ "net", 'n', "NAME", 0, "be the network interface NAME, without a copy; default: eth%d", 0 },
	{ "hang", KEY_HANG, "SECONDS", 0,
	  "with --net: lose the interface if we hang for as long; 0: never; default: 10", 0 },
	{ "poll", KEY_POLL, "MICROSECONDS", OPTION_ARG_OPTIONAL,
	  "with --net: keep a processor busy looking for work, for as long (100000 at most) before each sleep; without a "
	  "number never sleep, and take no interrupts", 0 },
	{ "tap", 't', "NAME", 0, "be the TAP interface NAME", 0 },
	{ "dump", 'd', NULL, 0, "print what arrives, send nothing", 0 },
	{ "irq", 'i', "KIND", 0, "intx, msi or msix; default: the best that the card has", 0 },
	{ "promisc", 'p', NULL, 0, "receive every frame (an interface asks for it by itself)", 0 },
	{ "offload", 'o', "KIND", 0,
	  "none, csum or tso: the most that is left to the card; default: tso", 0 },
	{ "rings", 'r', "N", 0,
	  "descriptors in each ring: 128 to 4096, a multiple of 128; default: 256", 0 },
	{ "queues", 'q', "N", 0,
	  "of the card's queues, with --net, each with a thread and a processor: 1, or 2 on the 82574L "
	  "with MSI-X; default: 1", 0 },
	{ "stats", 's', "SECONDS", 0, "print counters every SECONDS, and at the end", 0 },
	{ "verbose", 'v', NULL, 0, "tell what is going on", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

/* Index of @word in @words; ends the program if it is none of them. */
static unsigned int choose(struct argp_state *state, const char *word, const char *const *words)
{
	for (unsigned int i = 0; words[i]; i++)
		if (!strcmp(word, words[i]))
			return i;
	argp_error(state, "'%s' is none of the kinds; see --help", word);
	return 0;
}

static unsigned int number(struct argp_state *state, const char *word, unsigned long min,
			   unsigned long max)
{
	char *end;
	unsigned long value = strtoul(word, &end, 10);

	if (!*word || *end || value < min || value > max)
		argp_error(state, "'%s' is not a number from %lu to %lu", word, min, max);
	return (unsigned int)value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	static const char *const irqs[] = { "best", "intx", "msi", "msix",
					    NULL }; /* as UDRV_IRQ_* */
	static const char *const offloads[] = { "none", "csum", "tso", NULL };
	static const unsigned int offload_bits[] = { 0, PORT_OFFLOAD_CSUM, E1000_OFFLOADS };

	switch (key) {
	case 'n':
		opt.net = arg;
		break;
	case KEY_HANG:
		opt.hang_s = number(state, arg, 0, UDRV_NET_HANG_MS_MAX / 1000);
		break;
	case KEY_POLL:
		opt.poll_us = arg ? number(state, arg, 1, 100000) : NET_POLL_FOREVER;
		break;
	case 't':
		opt.tap = arg;
		break;
	case 'd':
		opt.dump = true;
		break;
	case 'i':
		opt.irq = choose(state, arg, irqs);
		break;
	case 'p':
		opt.promiscuous = true;
		break;
	case 'o':
		opt.offloads = offload_bits[choose(state, arg, offloads)];
		break;
	case 'r':
		opt.rings = number(state, arg, E1000_RX_PER_BLOCK, E1000_RING_MAX);
		if (opt.rings % E1000_RX_PER_BLOCK)
			argp_error(state, "--rings must be a multiple of %u", E1000_RX_PER_BLOCK);
		break;
	case 'q':
		opt.queues = number(state, arg, 1, E1000_QUEUES);
		break;
	case 's':
		opt.stats_s = number(state, arg, 1, 86400);
		break;
	case 'v':
		driver_verbose = 1;
		break;
	case ARGP_KEY_ARG:
		if (opt.device)
			argp_error(state, "one device only");
		opt.device = arg;
		break;
	case ARGP_KEY_END:
		if (!opt.device)
			argp_error(state, "no device; see 'udrv list'");
		if (!!opt.net + !!opt.tap + opt.dump > 1)
			argp_error(state, "give one of --net NAME, --tap NAME and --dump");
		if (!opt.tap && !opt.dump && !opt.net)
			opt.net = "eth%d";
		if (opt.queues > 1 && (!opt.net || (opt.irq && opt.irq != UDRV_IRQ_MSIX)))
			argp_error(state, "more than one queue needs --net and MSI-X");
		if (opt.poll_us && !opt.net)
			argp_error(state, "--poll goes with --net only");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* ---- the loop ----------------------------------------------------------------------- */

struct loop {
	struct e1000 *nic;
	struct port *port;
	struct port_mode mode; /* what the port wants; --promisc comes on top */
	bool transmit_full;
	unsigned int seconds;
	/* What poll() waits for; the port's come last. */
	enum { CARD, SIGNALS, TIMER, PORT } fixed;
	struct pollfd fds[PORT + PORT_POLL_MAX];
	unsigned int fd_count;
};

/* One batch each way. Returns the number of frames moved. */
static unsigned int turn(struct loop *loop)
{
	static struct port_frame frames[PORT_BATCH];
	struct e1000_queue *card = &loop->nic->queues[0];
	struct port *port = loop->port;
	unsigned int received, sent = PORT_BATCH;
	uint32_t room;
	uint64_t iova;
	uint8_t *space;

	received = e1000_rx_take(card, frames, PORT_BATCH);
	if (received)
		port->ops->push(port, frames, received);
	e1000_rx_refill(card);

	space = e1000_tx_space(card, port->frame_max, &iova, &room, &sent);
	loop->transmit_full = !sent;
	if (sent)
		sent = (unsigned int)port->ops->pull(port, space, iova, room, frames, sent);
	if (sent)
		e1000_tx_send(card, frames, sent);
	return received + sent;
}

static void set_mode(struct loop *loop)
{
	struct port_mode mode = loop->mode;

	mode.promiscuous |= opt.promiscuous;
	e1000_set_mode(loop->nic, &mode);
}

static void tick(struct loop *loop)
{
	uint64_t times;

	if (read(loop->fds[TIMER].fd, &times, sizeof(times)) != sizeof(times))
		return;
	loop->seconds += (unsigned int)times;
	if (opt.stats_s && loop->seconds >= opt.stats_s) {
		loop->seconds = 0;
		e1000_count(loop->nic);
		print_statistics(loop->nic, loop->port);
	}
	if (loop->port->ops->mode(loop->port, &loop->mode))
		set_mode(loop);
}

/* Sleep (or only look, if @busy), then see to what woke us. 1: end; -errno: it is over. */
static int wait_and_serve(struct loop *loop, bool busy)
{
	struct pollfd *fds = loop->fds;
	int link = 0;

	/* With no room to send there is no point in hearing that there is something to send. */
	if (loop->fd_count > PORT)
		fds[PORT].events = loop->transmit_full ? 0 : POLLIN;
	if (!busy)
		e1000_irq_arm(&loop->nic->queues[0], loop->transmit_full);
	if (poll(fds, loop->fd_count, busy ? 0 : -1) < 0)
		return errno == EINTR ? 0 : driver_fail(-errno, "poll: %s", strerror(errno));

	if (fds[CARD].revents & POLLIN)
		link = e1000_irq_take(loop->nic);
	if (link < 0 || fds[CARD].revents & (POLLHUP | POLLERR | POLLNVAL))
		return driver_fail(-ENODEV, "%s: %s", opt.device,
				  udrv_strerror(link < 0 ? link : -ENODEV));
	if (link > 0 && e1000_link(loop->nic))
		loop->port->ops->carrier(loop->port, loop->nic->link_up);
	if (fds[TIMER].revents)
		tick(loop);
	for (unsigned int i = PORT; i < loop->fd_count; i++) {
		if (fds[i].revents & (POLLHUP | POLLERR | POLLNVAL))
			return driver_fail(-ENODEV, "the interface %s was removed", opt.tap);
		if (i > PORT && fds[i].revents && loop->port->ops->mode(loop->port, &loop->mode))
			set_mode(loop);
	}
	return !!fds[SIGNALS].revents;
}

static int run(struct loop *loop)
{
	int result;

	do {
		unsigned int turns = 0;

		while (turns < TURNS && turn(loop))
			turns++;
		result = wait_and_serve(loop, turns == TURNS);
	} while (!result);
	return result < 0 ? result : 0;
}

/* ---- up and down -------------------------------------------------------------------- */

static int open_events(struct loop *loop)
{
	const struct itimerspec second = { .it_interval.tv_sec = 1, .it_value.tv_sec = 1 };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	loop->fds[CARD] = (struct pollfd){ .fd = udrv_fd(loop->nic->device), .events = POLLIN };
	loop->fds[SIGNALS] =
		(struct pollfd){ .fd = signalfd(-1, &signals, SFD_CLOEXEC), .events = POLLIN };
	loop->fds[TIMER] =
		(struct pollfd){ .fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
				 .events = POLLIN };
	if (loop->fds[SIGNALS].fd < 0 || loop->fds[TIMER].fd < 0 ||
	    timerfd_settime(loop->fds[TIMER].fd, 0, &second, NULL))
		return driver_fail(-errno, "set up signals and timer: %s", strerror(errno));
	loop->fd_count = PORT + loop->port->ops->poll(loop->port, &loop->fds[PORT]);
	return 0;
}

static int drive(struct e1000 *nic, struct loop *loop)
{
	int error = e1000_open(nic, opt.device);

	if (error)
		return error;
	memcpy(loop->mode.address, nic->address, ETH_ALEN);
	loop->mode.all_multicast = opt.dump;
	driver_say("%s %s, address %02x:%02x:%02x:%02x:%02x:%02x", nic->model->name, opt.device,
		  nic->address[0], nic->address[1], nic->address[2], nic->address[3],
		  nic->address[4], nic->address[5]);

	if (opt.net) {
		const struct net_options net = {
			.name = opt.net,
			.offloads = opt.offloads,
			.irq = opt.irq,
			.rings = opt.rings,
			.queues = opt.queues,
			.stats_s = opt.stats_s,
			.hang_s = opt.hang_s,
			.poll_us = opt.poll_us,
			.promiscuous = opt.promiscuous,
			.print = print_net,
		};

		return net_run(nic, &net);
	}
	error = opt.dump ? dump_open(&loop->port)
			 : tap_open(opt.tap, opt.offloads, &loop->mode, &loop->port);
	if (error)
		return error;
	error = e1000_start(nic, opt.irq, opt.rings);
	if (error)
		return error;
	error = open_events(loop);
	if (error)
		return error;
	set_mode(loop);
	loop->port->ops->carrier(loop->port, nic->link_up);
	return run(loop);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		options,
		parse,
		"DEVICE",
		"Drives an Intel 82540EM or 82574L network card through udrv.\v"
		"DEVICE is what 'udrv list' shows, as in: e1000 --tap nic0 00:04.0",
		NULL,
		NULL,
		NULL
	};
	struct e1000 nic = { 0 };
	struct loop loop = { .nic = &nic };
	int error;

	driver_name = "e1000";
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	error = drive(&nic, &loop);

	/* The card first: no frame may be on its way when the memory goes. */
	e1000_close(&nic);
	if (loop.port) {
		loop.port->ops->carrier(loop.port, false);
		if (!error && opt.stats_s)
			print_statistics(&nic, loop.port);
		loop.port->ops->close(loop.port);
	}
	return error ? EXIT_FAILURE : EXIT_SUCCESS;
}
