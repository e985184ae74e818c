// SPDX-License-Identifier: MIT
/*
 * bench_net.c - what a packet costs: the kernel's e1000, udrv's driver, and that over TAP
 *
 *   bench_net [--confined] [--quick]   on three 82540EM and a virtio-net on one hub (test/bench/run)
 *
 * A packet has no beginning and no end that a process sees, so what it costs is taken by windows. One
 * begins with a cause: a burst of packets is sent, or the card is let at a burst of frames that QEMU
 * has kept for it; then this thread counts to SPIN, as SCHED_IDLE, while whoever has something to do
 * does it, and goes first. What the window took, less the counting, is the cost of the burst, to the
 * last instruction: interrupts, softirqs, the driver's process. The CPU never idles, and how long a
 * burst takes plays no role. Windows with no packet ("nothing") are to be subtracted, and those
 * of an interface that forgets what it is given ("source") say what the sender's part is.
 *
 * In a burst that is sent, the sender goes first (SCHED_FIFO), so that the driver finds all of it: the
 * batch is as large as it is said to be. In one that is received, all frames are there at once.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "card.h"

#define KERNEL "00:04.0"
#define UDRV "00:05.0"
#define TAP "00:06.0"
#define WIRE "00:08.0"

/*
 * Times that a window's loop of two instructions runs: longer than QEMU's e1000 waits from one interrupt
 * to the next (128 us at least, whatever ITR says, which are 128,000 instructions), so that nothing is
 * left for the next window.
 */
#define SPIN 75000UL

#define BURST_MAX 128
#define FRAME_MAX 65536
#define SEGMENT 1460
#define SEGMENTS 44
#define TCP_HEADERS 54

/**
 * struct load - packets of a kind, through a card
 * @card: which; the source has no device
 * @burst: packets in a window; 0: nothing
 * @bytes: of each, from Ethernet header to payload
 * @tso: they are TCP, and the card makes segments of SEGMENT bytes of payload
 * @messages: one for each packet
 */
struct load {
	const struct card *card;
	unsigned int burst;
	unsigned int bytes;
	bool tso;
	struct mmsghdr messages[BURST_MAX];
	struct iovec parts[2];
	struct virtio_net_hdr header;
	uint8_t frame[FRAME_MAX];
};

static struct card source, cards[3]; /* the kernel's, udrv's, TAP's */
static bool confined;

enum { KERNEL_CARD, UDRV_CARD, TAP_CARD, CARDS };

static int wire;

static inline void spin(unsigned long count)
{
	__asm__ volatile("1: dec %0; jnz 1b" : "+r"(count));
}

static void schedule_as(int policy)
{
	const struct sched_param param = { .sched_priority = policy == SCHED_FIFO };

	REQUIRE(!sched_setscheduler(0, policy, &param));
}

static void send_burst(int fd, struct load *load)
{
	unsigned int sent = 0;

	while (sent < load->burst) {
		int n = sendmmsg(fd, load->messages + sent, load->burst - sent, 0);

		REQUIRE(n > 0);
		sent += (unsigned int)n;
	}
}

static void load_init(struct load *load, const struct card *card, unsigned int burst, unsigned int bytes)
{
	memset(load, 0, sizeof(*load));
	load->card = card;
	load->burst = burst;
	load->bytes = bytes;
	for (unsigned int i = 0; i < BURST_MAX; i++) {
		load->messages[i].msg_hdr.msg_iov = load->parts;
		load->messages[i].msg_hdr.msg_iovlen = 1;
	}
}

/*
 * TAP's driver looks after its interface once a second, which costs a hundred thousand instructions:
 * only in its own rounds.
 */
static void tap_pause(void)
{
	REQUIRE(!kill(cards[TAP_CARD].driver, SIGSTOP));
}

static void tap_resume(void)
{
	schedule_as(SCHED_OTHER);
	REQUIRE(!kill(cards[TAP_CARD].driver, SIGCONT));
	schedule_as(SCHED_IDLE);
	spin(SPIN);
}

static void begin_load(void *arg)
{
	if (((struct load *)arg)->card == &cards[TAP_CARD])
		tap_resume();
}

static void end_load(void *arg)
{
	if (((struct load *)arg)->card == &cards[TAP_CARD])
		tap_pause();
}

/* ---- transmit ---- */

static uint64_t measure_send(void *arg, unsigned long n)
{
	struct load *load = arg;
	int fd = load->tso ? load->card->raw : load->card->udp;
	unsigned long before = card_file(load->card->name, "statistics/tx_packets");
	unsigned long packets = n * load->burst;
	uint64_t start, sum = 0;

	while (n--) {
		schedule_as(SCHED_FIFO);
		start = bench_instructions();
		if (load->burst)
			send_burst(fd, load);
		schedule_as(SCHED_IDLE);
		spin(SPIN);
		sum += bench_instructions() - start - 2 * SPIN;
	}
	before = card_file(load->card->name, "statistics/tx_packets") - before;
	/* The kernel's e1000 counts segments. */
	if (load->tso ? before < packets : before != packets)
		die("%s has sent %lu packets of %lu", load->card->name, before, packets);
	return sum;
}

static void load_send(struct load *load, const struct card *card, unsigned int burst, unsigned int bytes)
{
	load_init(load, card, burst, bytes);
	load->parts[0].iov_base = load->frame;
	load->parts[0].iov_len = bytes - 42; /* Ethernet, IP, UDP */
}

static void load_tso(struct load *load, const struct card *card, unsigned int burst)
{
	load_init(load, card, burst, TCP_HEADERS + SEGMENTS * SEGMENT);
	load->tso = true;
	load->header = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = TCP_HEADERS,
		.gso_size = SEGMENT,
		.csum_start = 34,
		.csum_offset = 16,
	};
	card_frame_tcp(card, load->frame, load->bytes);
	load->parts[0] = (struct iovec){ &load->header, sizeof(load->header) };
	load->parts[1] = (struct iovec){ load->frame, load->bytes };
	for (unsigned int i = 0; i < BURST_MAX; i++)
		load->messages[i].msg_hdr.msg_iovlen = 2;
}

/* ---- receive ---- */

/* Have QEMU keep a burst for the card. */
static void queue_burst(struct load *load)
{
	int left;

	card_hold(load->card);
	if (!load->burst)
		return;
	send_burst(wire, load);
	/* When the virtio-net has done with all of them, they are where they should be. */
	do
		REQUIRE(!ioctl(wire, SIOCOUTQ, &left));
	while (left);
	spin(SPIN / 10);
}

static void drain(struct load *load)
{
	static struct mmsghdr messages[BURST_MAX];
	int got = recvmmsg(load->card->udp, messages, BURST_MAX, MSG_DONTWAIT, NULL);

	if (got != (int)load->burst && (load->burst || errno != EAGAIN))
		die("%s has received %d packets of %u", load->card->name, got, load->burst);
}

static uint64_t measure_receive(void *arg, unsigned long n)
{
	struct load *load = arg;
	uint64_t start, sum = 0;

	schedule_as(SCHED_IDLE);
	while (n--) {
		queue_burst(load);
		start = bench_instructions();
		card_release(load->card);
		spin(SPIN);
		sum += bench_instructions() - start - 2 * SPIN;
		drain(load);
	}
	return sum;
}

static void load_receive(struct load *load, const struct card *card, unsigned int burst, unsigned int bytes)
{
	load_init(load, card, burst, bytes);
	card_frame(card, load->frame, bytes);
	load->parts[0] = (struct iovec){ load->frame, bytes };
}

/* ---- round trip ---- */

/**
 * struct client - who asks, and waits for the answer
 * @load: an answer
 * @thread: the client
 * @asked: questions that were sent
 * @ready: it is about to wait
 * @stop: at the next answer
 */
struct client {
	struct load load;
	pthread_t thread;
	volatile unsigned long asked;
	volatile bool ready;
	volatile bool stop;
};

static void *client_main(void *arg)
{
	struct client *client = arg;
	int fd = client->load.card->udp;
	char data[18] = { 0 };

	client->ready = true;
	for (;;) {
		REQUIRE(recv(fd, data, sizeof(data), 0) == sizeof(data));
		if (client->stop)
			return NULL;
		client->asked++;
		REQUIRE(send(fd, data, sizeof(data), 0) == sizeof(data));
	}
}

/* From the answer's arrival at the card to the end of sending the next question. */
static uint64_t measure_round_trip(void *arg, unsigned long n)
{
	struct client *client = arg;
	unsigned long asked = client->asked + n;
	uint64_t start, sum = 0;

	while (n--) {
		queue_burst(&client->load);
		start = bench_instructions();
		card_release(client->load.card);
		spin(SPIN);
		sum += bench_instructions() - start - 2 * SPIN;
	}
	if (client->asked != asked)
		die("%s: %lu round trips are missing", client->load.card->name, asked - client->asked);
	return sum;
}

static void begin_client(void *arg)
{
	struct client *client = arg;

	begin_load(&client->load);
	client->stop = client->ready = false;
	/* Which is what it begins as, too. */
	schedule_as(SCHED_OTHER);
	REQUIRE(!pthread_create(&client->thread, NULL, client_main, client));
	while (!client->ready)
		sched_yield();
	/* It goes first from here on, until it waits. */
	schedule_as(SCHED_IDLE);
	spin(SPIN);
}

static void end_client(void *arg)
{
	struct client *client = arg;

	client->stop = true;
	queue_burst(&client->load);
	card_release(client->load.card);
	REQUIRE(!pthread_join(client->thread, NULL));
	end_load(&client->load);
}

/* ---- TAP alone ---- */

struct tap {
	int fd;
	struct load load;
};

static void run_tap_write(void *arg, unsigned long n)
{
	struct tap *tap = arg;

	while (n--)
		REQUIRE(writev(tap->fd, tap->load.parts, 2) > 0);
}

/* A TAP interface that is up, and a frame of a protocol that nobody takes. */
static void tap_open(struct tap *tap, unsigned int bytes)
{
	struct ifreq request = { .ifr_name = "alone", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(tap, 0, sizeof(*tap));
	tap->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	REQUIRE(tap->fd >= 0 && s >= 0);
	REQUIRE(!ioctl(tap->fd, TUNSETIFF, &request));
	REQUIRE(!ioctl(s, SIOCGIFHWADDR, &request));
	memcpy(tap->load.frame, request.ifr_hwaddr.sa_data, ETH_ALEN);
	tap->load.frame[12] = 0x88;
	tap->load.frame[13] = 0xb5;
	request.ifr_flags = IFF_UP;
	REQUIRE(!ioctl(s, SIOCSIFFLAGS, &request));
	close(s);
	tap->load.parts[0] = (struct iovec){ &tap->load.header, sizeof(tap->load.header) };
	tap->load.parts[1] = (struct iovec){ tap->load.frame, bytes };
}

static void bench_tap(const char *figure, unsigned int bytes)
{
	static struct tap tap;
	struct bench_side side = { .name = "tap-write", .run = run_tap_write, .arg = &tap,
				   .copied_bytes = bytes };

	tap_open(&tap, bytes);
	bench_figure(figure, &side, 1);
	close(tap.fd);
}

/* ---- from one driver to the next ---- */

#define RESTARTS 3
#define PROTOCOL 0x88b5 /* for experiments */

/* Counts while nobody else has anything to do, so that the CPU does not idle: three instructions each. */
static struct {
	volatile uint64_t count;
	volatile uint32_t stop;
	pthread_t thread;
} idler;

static void *idler_main(void *arg)
{
	(void)arg;
	schedule_as(SCHED_IDLE);
	__asm__ volatile("1: incq %0; cmpl $0, %1; je 1b" : "+m"(idler.count) : "m"(idler.stop) : "cc");
	return NULL;
}

/* Loads the kernel's driver again; sends until something arrives. */
static void restart_kernel(const struct card *card, int wire_end, const uint8_t *frame)
{
	struct pollfd arrived = { .fd = wire_end, .events = POLLIN };
	int fd = packet_socket((unsigned int)card_reload_kernel(card), 0);

	/* It is refused while there is no link. */
	do
		if (send(fd, frame, ETH_ZLEN, 0) < 0)
			REQUIRE(errno == ENETDOWN || errno == ENOBUFS);
	while (!poll(&arrived, 1, 1));
	close(fd);
}

/* Kills udrv's driver and starts another; what is sent meanwhile waits for that. */
static void restart_udrv(struct card *card, int wire_end, const uint8_t *frame)
{
	struct pollfd arrived = { .fd = wire_end, .events = POLLIN };
	int fd = packet_socket(if_nametoindex(card->name), 0);

	REQUIRE(!kill(card->driver, SIGKILL));
	REQUIRE(waitpid(card->driver, NULL, 0) == card->driver);
	card_start(card, "--net", confined);
	REQUIRE(send(fd, frame, ETH_ZLEN, 0) == ETH_ZLEN);
	REQUIRE(poll(&arrived, 1, -1) == 1);
	close(fd);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void report_restart(const char *figure, const char *name, double *values)
{
	qsort(values, RESTARTS, sizeof(*values), compare);
	printf("figure\t%s\t%s\t%.0f\t%.5f\t%d\t0\t0\t0\t0\t0\t0\n", figure, name, values[RESTARTS / 2],
	       (values[RESTARTS - 1] - values[0]) / values[RESTARTS / 2], RESTARTS);
}

static void bench_restart(void)
{
	int wire_end = packet_socket(if_nametoindex("wire"), PROTOCOL);
	uint8_t frame[ETH_ZLEN] = { [12] = PROTOCOL >> 8, [13] = PROTOCOL & 0xff }, data[ETH_ZLEN];
	double total[2][RESTARTS], busy[2][RESTARTS];
	uint64_t start, count;

	interface_address("wire", frame);
	memset(frame + ETH_ALEN, 2, ETH_ALEN);
	schedule_as(SCHED_OTHER);
	REQUIRE(!pthread_create(&idler.thread, NULL, idler_main, NULL));
	for (unsigned int i = 0; i < 2 * RESTARTS; i++) {
		start = bench_instructions();
		count = idler.count;
		if (i % 2)
			restart_udrv(&cards[UDRV_CARD], wire_end, frame);
		else
			restart_kernel(&cards[KERNEL_CARD], wire_end, frame);
		total[i % 2][i / 2] = (double)(bench_instructions() - start);
		busy[i % 2][i / 2] = total[i % 2][i / 2] - 3.0 * (double)(idler.count - count);
		/* That it is the one that drives from now on is not counted. */
		usleep(100000);
		while (recv(wire_end, data, sizeof(data), MSG_DONTWAIT) > 0)
			;
	}
	idler.stop = 1;
	REQUIRE(!pthread_join(idler.thread, NULL));
	for (unsigned int i = 0; i < 2; i++) {
		report_restart("restart-time", cards[i].name, total[i]);
		report_restart("restart", cards[i].name, busy[i]);
	}
}

/* ---- figures ---- */

static struct bench_side side_of(const struct card *card, void *arg, unsigned int parts, unsigned int bytes)
{
	const struct bench_side side = {
		.name = card->name,
		.arg = arg,
		.begin = begin_load,
		.end = end_load,
		.waits = 2 * SPIN,
		.parts = parts,
		.irq = card->irq,
		.process = card->driver,
		.copied_bytes = card == &cards[TAP_CARD] || (card == &cards[UDRV_CARD] && confined) ? bytes : 0,
	};

	return side;
}

/* @burst packets of @bytes; 0: TSO, for each segment */
static void bench_send(const char *figure, unsigned int burst, unsigned int bytes)
{
	static struct load loads[CARDS + 2];
	struct bench_side sides[CARDS + 2];
	unsigned int parts = bytes ? burst : burst * SEGMENTS;

	for (unsigned int i = 0; i < CARDS + 2; i++) {
		const struct card *card = i < CARDS ? &cards[i] : &source;

		if (bytes)
			load_send(&loads[i], card, burst, bytes);
		else
			load_tso(&loads[i], card, burst);
		sides[i] = side_of(card, &loads[i], parts, bytes ? bytes : SEGMENT);
		sides[i].measure = measure_send;
	}
	loads[CARDS + 1].burst = 0;
	sides[CARDS + 1].name = "nothing";
	bench_figure(figure, sides, CARDS + 2);
}

static void bench_receive(const char *figure, unsigned int burst, unsigned int bytes)
{
	static struct load loads[CARDS + 1];
	struct bench_side sides[CARDS + 1];

	for (unsigned int i = 0; i < CARDS + 1; i++) {
		const struct card *card = i < CARDS ? &cards[i] : &cards[KERNEL_CARD];

		load_receive(&loads[i], card, burst, bytes);
		sides[i] = side_of(card, &loads[i], burst, bytes);
		sides[i].measure = measure_receive;
	}
	/* The kernel's e1000 copies what is so short. */
	if (bytes <= 256)
		sides[KERNEL_CARD].copied_bytes = bytes;
	loads[CARDS].burst = 0;
	sides[CARDS].name = "nothing";
	bench_figure(figure, sides, CARDS + 1);
}

static void bench_round_trip(void)
{
	static struct client clients[CARDS];
	static struct load nothing;
	struct bench_side sides[CARDS + 1];

	for (unsigned int i = 0; i < CARDS; i++) {
		load_receive(&clients[i].load, &cards[i], 1, 60);
		sides[i] = side_of(&cards[i], &clients[i], 1, 120);
		sides[i].measure = measure_round_trip;
		sides[i].begin = begin_client;
		sides[i].end = end_client;
	}
	sides[KERNEL_CARD].copied_bytes = 60;
	load_receive(&nothing, &cards[KERNEL_CARD], 0, 60);
	sides[CARDS] = side_of(nothing.card, &nothing, 1, 0);
	sides[CARDS].measure = measure_receive;
	sides[CARDS].name = "nothing";
	bench_figure("round-trip", sides, CARDS + 1);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--confined")) {
		confined = true;
		argc--;
		argv++;
	}
	bench_init(argc, argv);
	card_setup(UDRV " " TAP, confined);
	card_open_kernel(&cards[KERNEL_CARD], KERNEL);
	card_open_udrv(&cards[UDRV_CARD], UDRV, "--net", confined);
	card_open_udrv(&cards[TAP_CARD], TAP, "--tap", confined);
	card_open_source(&source);
	wire = wire_open(WIRE);
	tap_pause();

	bench_total(300000000);
	bench_send("tx-1500", 32, 1514);
	bench_send("tx-64", 32, 60);
	bench_send("tx-tso", 8, 0);
	bench_receive("rx-1500", 32, 1514);
	bench_receive("rx-64", 32, 60);
	bench_receive("rx-burst", 128, 1514);
	bench_tap("tap-1500", 1514);
	bench_tap("tap-64", 60);
	/* Here a window is ten times as long as what is measured in it. */
	bench_total(500000000);
	bench_send("tx-one", 1, 60);
	bench_receive("rx-one", 1, 60);
	bench_round_trip();
	bench_restart();
	return bench_done();
}
