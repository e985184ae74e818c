/* SPDX-License-Identifier: MIT */
/*
 * pcnet.c - a network driver in one file: AMD's PCnet-PCI II (Am79C970A), PCnet-FAST III (Am79C973)
 *
 * The card becomes a network interface of the kernel (libudrv_net.h). The kernel hands out
 * addresses, of packets to send and of buffers to receive into; they go into descriptors, and
 * nothing of a packet is seen here. Reading order: main() at the end, turn(), receive(), send().
 * Names in brackets are the data sheets' (pcnet_regs.h).
 *
 * The hard part: every register but one is reached by an index (RAP), and the interrupt handler
 * reaches for CSR0. So the index is 0 whenever interrupts are set up; they are taken down for the
 * rare access to another register (follow()).
 *
 *   cc -o pcnet pcnet.c $(pkg-config --cflags --libs libudrv)
 *   udrv bind 00:17.0 && ./pcnet --net nic0 00:17.0
 */
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <libudrv_net.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "pcnet_regs.h"

#define RING_LOG2 8u
#define RING (1u << RING_LOG2)
#define SLOT_NONE UINT16_MAX /* tx.slot: no packet ends here */
#define FCS_BYTES 4u

static struct {
	const char *device, *net;
	int no_ack, promiscuous, verbose;
	unsigned int stats_s;
} opt = { .net = "eth%d" };

/* What the card and we look at. */
struct shared {
	struct pcnet_desc rx[RING], tx[RING]; /* first, for their alignment */
	struct pcnet_init init;
};

static struct udrv *device;
static uint8_t *regs; /* NULL: they cannot be mapped */
static struct udrv_net *net;
static struct udrv_net_queue *queue;
static volatile struct shared *shared;

static struct ring {
	volatile struct pcnet_desc *desc;
	uint32_t clean, next; /* the card's are [clean, next), modulo RING */
	uint16_t slot[RING];  /* rx: the buffer in each; tx: the packet that ends in each */
} rx, tx;

static bool rx_dropping; /* pieces of a frame, up to its end */
static bool tx_full;	 /* no room for the next packet */
static bool acked;	 /* the interrupt is acknowledged in the handler */
static bool armed;	 /* the card may interrupt */

static struct {
	uint64_t rx_frames, rx_bytes, rx_errors, tx_frames, tx_bytes, tx_errors;
	uint64_t misses, interrupts, turns;
} counters;

/* ---- what we say -------------------------------------------------------------------- */

#define say(...) (opt.verbose ? fprintf(stderr, "pcnet: " __VA_ARGS__) : 0)

/* Every call of the library returns 0 or a count, or a negative errno. The kernel tidies up. */
static int must(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "pcnet: %s: %s\n", what, udrv_strerror(result));
		exit(EXIT_FAILURE);
	}
	return result;
}

static void print_counters(void)
{
	printf("rx_frames=%" PRIu64 " rx_bytes=%" PRIu64 " rx_errors=%" PRIu64, counters.rx_frames,
	       counters.rx_bytes, counters.rx_errors);
	printf(" tx_frames=%" PRIu64 " tx_bytes=%" PRIu64 " tx_errors=%" PRIu64, counters.tx_frames,
	       counters.tx_bytes, counters.tx_errors);
	printf(" misses=%" PRIu64 " interrupts=%" PRIu64 " calls=%" PRIu64 "\n", counters.misses,
	       counters.interrupts, counters.turns);
	fflush(stdout);
}

/* ---- registers ---------------------------------------------------------------------- */

static uint32_t reg_read(unsigned int reg)
{
	uint64_t value;

	if (regs)
		return udrv_read32(regs + reg);
	must(udrv_bar_read(device, PCNET_BAR, reg, 4, &value), "read a register");
	return (uint32_t)value;
}

static void reg_write(unsigned int reg, uint32_t value)
{
	if (regs)
		udrv_write32(regs + reg, value);
	else
		must(udrv_bar_write(device, PCNET_BAR, reg, 4, value), "write a register");
}

/* While no interrupts are set up. CSR0 alone needs no index: it is PCNET_RDP. */
static void csr_write(unsigned int csr, uint32_t value)
{
	reg_write(PCNET_RAP, csr);
	reg_write(PCNET_RDP, value);
	reg_write(PCNET_RAP, 0);
}

static void csr_wait(unsigned int csr, uint32_t bit, const char *what)
{
	const struct udrv_prog_op wait[] = {
		UDRV_OP_WRITE(PCNET_BAR, PCNET_RAP, 4, csr),
		UDRV_OP_POLL(PCNET_BAR, PCNET_RDP, 4, bit, bit, UDRV_PROG_MAX_US),
		UDRV_OP_WRITE(PCNET_BAR, PCNET_RAP, 4, 0),
	};

	must(udrv_prog_run(device, wait, 3, NULL), what);
}

/* ---- the card, up and down ---------------------------------------------------------- */

/* Whatever an earlier driver has left: reset, in 32-bit mode [Software Access, S_RESET]. */
static void reset(void)
{
	uint64_t value;

	must(udrv_bar_read(device, PCNET_BAR, PCNET_RESET, 4, &value), "reset");
	must(udrv_bar_read(device, PCNET_BAR, PCNET_RESET16, 2, &value), "reset");
	reg_write(PCNET_RDP, 0); /* the index is 0, and CSR0 minds no zeroes */
	if ((reg_read(PCNET_RDP) & 0xffff) != CSR0_STOP)
		must(-EIO, "reset: the card is not stopped afterwards");
}

static void open_card(void)
{
	/* At our end, however we end: it must not go on looking for descriptors. */
	static const struct udrv_prog_op quiesce[] = {
		UDRV_OP_WRITE(PCNET_BAR, PCNET_RAP, 4, 0),
		UDRV_OP_WRITE(PCNET_BAR, PCNET_RDP, 4, CSR0_STOP),
	};
	void *registers;
	int result;

	must(udrv_open(opt.device, &device), opt.device);
	if (udrv_info(device)->vendor != PCNET_VENDOR || udrv_info(device)->device != PCNET_DEVICE)
		must(-EINVAL, "this drives 1022:2000 only");
	/* 32 bytes can be mapped only where they have their page to themselves. */
	result = udrv_bar_map(device, PCNET_BAR, 0, 0, 0, &registers, NULL);
	if (result != -EOPNOTSUPP)
		must(result, "map the registers");
	regs = result ? NULL : registers;
	reset();
	must(udrv_prog_set(device, UDRV_PROG_QUIESCE, quiesce, 2), "see to the end");
}

static void attach(void)
{
	struct udrv_net_options options = { .name = opt.net, .tx_slots = RING, .rx_slots = RING };

	for (unsigned int i = 0; i < sizeof(options.address); i++)
		options.address[i] = (uint8_t)(reg_read(PCNET_APROM + i / 4 * 4) >> i % 4 * 8);
	must(udrv_dma_set_mask(device, 32), "set the width of DMA addresses");
	must(udrv_net_attach(device, &options, &net), opt.net);
	queue = udrv_net_get_queue(net, 0);
	say("interface %s%s%s\n", udrv_net_name(net),
	    udrv_net_flags(net) & UDRV_NET_TAKEN_OVER ? ", taken over" : "",
	    udrv_net_flags(net) & UDRV_NET_COPIES ? ", packets are copied" : "");
}

/* [Initialization]: the card reads a block of memory; the filters in it come with follow(). */
static void start(void)
{
	struct udrv_dma memory;
	uint32_t base;

	must(udrv_dma_alloc(device, sizeof(*shared), &memory), "allocate DMA memory");
	shared = memory.addr;
	base = (uint32_t)memory.iova;
	shared->init.mode = htole32(PCNET_INIT_RINGS(RING_LOG2));
	shared->init.rdra = htole32(base + (uint32_t)offsetof(struct shared, rx));
	shared->init.tdra = htole32(base + (uint32_t)offsetof(struct shared, tx));
	rx.desc = shared->rx;
	tx.desc = shared->tx;
	memset(tx.slot, 0xff, sizeof(tx.slot)); /* SLOT_NONE */

	reg_write(PCNET_RAP, BCR_SWS);
	reg_write(PCNET_BDP, BCR20_SWSTYLE_2);
	csr_write(CSR_MASKS, CSR3_IDONM | CSR3_BABLM | CSR3_DXSUFLO);
	csr_write(CSR_FEATURES, CSR4_MASKS | CSR4_DPOLL);
	base += (uint32_t)offsetof(struct shared, init);
	csr_write(CSR_IADR_LOW, base & 0xffff);
	csr_write(CSR_IADR_HIGH, base >> 16);
	must(udrv_bus_master(device, true), "allow DMA"); /* it is quiet since reset() */
	reg_write(PCNET_RDP, CSR0_INIT);
	csr_wait(0, CSR0_IDON, "wait for the card to initialize");
	reg_write(PCNET_RDP, CSR0_STRT | CSR0_IDON);
	/* No PHY is asked: a link that is down loses frames, and nobody hears of it. */
	must(udrv_net_link(net, true, 0, false), "tell the link");
}

/* ---- interrupts and filters --------------------------------------------------------- */

/* Six bits of the address's CRC choose one of 64 [Logical Address Filter]. */
static unsigned int filter_bit(const uint8_t *address)
{
	uint32_t crc = ~0u;

	for (unsigned int bit = 0; bit < 48; bit++)
		crc = crc >> 1 ^ ((crc ^ address[bit / 8] >> bit % 8) & 1 ? 0xedb88320u : 0);
	return crc >> 26;
}

/* Receive what the system wants to hear of. The rings outlast the suspension [SPND]. */
static void set_filters(const struct udrv_ioc_net_state *state)
{
	bool all = opt.promiscuous || state->state_flags & UDRV_NET_PROMISC;
	uint64_t groups = state->state_flags & UDRV_NET_ALLMULTI ? UINT64_MAX : 0;

	for (unsigned int i = 0; i < state->group_count; i++)
		groups |= UINT64_C(1) << filter_bit(state->groups[i]);
	csr_write(CSR_EXTENDED, CSR5_SPND);
	csr_wait(CSR_EXTENDED, CSR5_SPND, "suspend the card");
	for (unsigned int i = 0; i < 4; i++)
		csr_write(CSR_LADRF + i, groups >> 16 * i & 0xffff);
	for (unsigned int i = 0; i < 6; i += 2)
		csr_write(CSR_PADR + i / 2,
			  state->address[i] | (uint32_t)state->address[i + 1] << 8);
	csr_write(CSR_MODE, all ? CSR15_PROM : 0);
	csr_write(CSR_EXTENDED, 0);
	say("receive: own address, broadcast, %u groups%s\n", state->group_count,
	    all ? ", and all others" : "");
}

/* The interface's state is new. INTx is set up anew; turn() lets the card use it. */
static void follow(void)
{
	/* With the right to it, the handler takes the causes and masks the card. */
	static const struct udrv_prog_op acknowledge[] = {
		UDRV_OP_READ(PCNET_BAR, PCNET_RDP, 4), UDRV_OP_TEST(CSR0_INTR, CSR0_INTR),
		UDRV_OP_WRITE_LAST(PCNET_BAR, PCNET_RDP, 4, CSR0_CAUSES), /* IENA: 0 */
	};
	struct udrv_ioc_net_state state;

	must(udrv_net_state(net, &state), "ask for the interface's state");
	reg_write(PCNET_RDP, 0); /* IENA */
	armed = false;
	must(udrv_irq_setup(device, UDRV_IRQ_NONE, 0), "give INTx back");
	set_filters(&state);
	acked = !opt.no_ack && !udrv_prog_set(device, UDRV_PROG_ACK, acknowledge, 3);
	must(udrv_irq_setup(device, UDRV_IRQ_INTX, 1), "set up INTx");
	must(udrv_net_vector(net, 0, 0), "give the queue its interrupt");
	say("INTx is acknowledged %s\n", acked ? "in its handler" : "here");
}

/* ---- receive ------------------------------------------------------------------------ */

static bool card_has_done(const struct ring *ring, uint32_t index)
{
	return index != ring->next && !(le32toh(ring->desc[index % RING].status) & MD1_OWN);
}

/* Give the card the buffers that the kernel has for it. */
static void refill(void)
{
	uint32_t count = udrv_net_fill_count(queue), room = RING - (rx.next - rx.clean);

	if (count > room)
		count = room;
	for (uint32_t i = 0; i < count; i++, rx.next++) {
		const struct udrv_net_fill *fill = udrv_net_fill_at(queue, i);
		volatile struct pcnet_desc *desc = &rx.desc[rx.next % RING];
		uint32_t length = fill->length < MD1_BYTES_MAX ? fill->length : MD1_BYTES_MAX;

		desc->address = htole32((uint32_t)fill->address);
		udrv_wmb();
		desc->status = htole32(MD1_OWN | MD1_BYTES(length));
		rx.slot[rx.next % RING] = (uint16_t)fill->slot;
	}
	if (count)
		udrv_net_fill_consume(queue, count);
}

/* Frames that have arrived, at most a ring of them. One that needs two buffers is too long. */
static unsigned int receive(void)
{
	unsigned int frames = 0;

	for (; card_has_done(&rx, rx.clean); frames++, rx.clean++) {
		volatile struct pcnet_desc *desc = &rx.desc[rx.clean % RING];
		bool next_done = card_has_done(&rx, rx.clean + 1), end, bad;
		uint32_t status, length;

		/* Without an end it is in the next buffer, or to come (QEMU: OWN goes first). */
		udrv_rmb();
		status = le32toh(desc->status);
		if (!(status & (MD1_ENP | MD1_ERR)) && !next_done)
			break;
		udrv_rmb();
		length = le32toh(desc->more) & RMD2_LENGTH;
		end = status & MD1_ENP;
		bad = !end || rx_dropping || status & MD1_ERR || length < FCS_BYTES;
		/* An error ends a frame as well: it may have no ENP then. */
		rx_dropping = !end && !(status & MD1_ERR);
		if (bad) {
			counters.rx_errors += !rx_dropping;
			length = FCS_BYTES;
		} else {
			counters.rx_frames++;
			counters.rx_bytes += length - FCS_BYTES;
		}
		udrv_net_rx_frame(queue, rx.slot[rx.clean % RING], length - FCS_BYTES,
				  bad ? UDRV_NET_RX_DROP : 0, 0);
	}
	return frames;
}

/* ---- transmit ----------------------------------------------------------------------- */

/* The packet at entry @at of @count; returns its entries, 0: there is no room for it. */
static uint32_t send_packet(uint32_t at, uint32_t count)
{
	uint32_t room = RING - (tx.next - tx.clean), entries = 0;
	const struct udrv_net_tx *entry;

	do {
		if (entries == count || entries == room)
			return 0;
		entry = udrv_net_tx_at(queue, at + entries++);
	} while (!(entry->flags & UDRV_NET_TX_LAST));

	/* Backwards: with its first descriptor the card may take them all. */
	for (uint32_t i = entries; i--;) {
		volatile struct pcnet_desc *desc = &tx.desc[(tx.next + i) % RING];
		uint32_t status = MD1_OWN;

		entry = udrv_net_tx_at(queue, at + i);
		status |= MD1_BYTES(entry->length);
		status |= entry->flags & UDRV_NET_TX_FIRST ? MD1_STP : 0;
		if (entry->flags & UDRV_NET_TX_LAST) {
			status |= MD1_ENP;
			tx.slot[(tx.next + i) % RING] = entry->slot;
		}
		desc->address = htole32((uint32_t)entry->address);
		desc->more = 0;
		udrv_wmb();
		desc->status = htole32(status);
	}
	tx.next += entries;
	counters.tx_frames++;
	counters.tx_bytes += entry->packet_length;
	return entries;
}

/* What the kernel has to send, as far as there is room. Returns the number of entries. */
static uint32_t send(void)
{
	uint32_t count = udrv_net_tx_count(queue), done = 0, entries = 1;

	while (done < count && entries) {
		entries = send_packet(done, count - done);
		done += entries;
	}
	tx_full = !entries;
	if (!done)
		return 0;
	udrv_net_tx_consume(queue, done);
	reg_write(PCNET_RDP, CSR0_TDMD); /* IENA: 0 */
	armed = false;
	return done;
}

/* Packets that the card has done with. */
static unsigned int reclaim(void)
{
	unsigned int packets = 0;

	for (; card_has_done(&tx, tx.clean); tx.clean++) {
		counters.tx_errors += !!(le32toh(tx.desc[tx.clean % RING].status) & MD1_ERR);
		if (tx.slot[tx.clean % RING] == SLOT_NONE)
			continue;
		udrv_net_tx_done(queue, tx.slot[tx.clean % RING]);
		tx.slot[tx.clean % RING] = SLOT_NONE;
		packets++;
	}
	if (packets)
		tx_full = false;
	return packets;
}

/* ---- the loop ----------------------------------------------------------------------- */

static void interrupted(void)
{
	uint32_t causes = (uint32_t)queue->turn.irq_value;

	counters.interrupts += queue->turn.irq_count;
	if (!acked) {
		causes = reg_read(PCNET_RDP);
		reg_write(PCNET_RDP, causes & CSR0_CAUSES); /* IENA: 0 */
	}
	armed = false;
	counters.misses += !!(causes & CSR0_MISS);
	if (causes & CSR0_MERR)
		must(-EIO, "the card could not access memory");
}

static void turn(uint64_t timeout_ns)
{
	unsigned int moved = receive() + send() + reclaim();
	bool busy;
	int ready;

	/* Buffers come back by a turn, and none is waited for: no sleep with half of them away. */
	busy = moved && (card_has_done(&rx, rx.clean) || rx.next - rx.clean < RING / 2 ||
			 (udrv_net_tx_count(queue) && !tx_full));
	if (!busy && !armed) {
		/* An interrupt comes at once if there was a cause; not for frames sent, if none is
		 * left. */
		reg_write(PCNET_RDP, CSR0_IENA | (tx.clean == tx.next ? CSR0_TINT : 0));
		armed = true;
	}
	ready = udrv_net_turn(queue, tx_full ? UDRV_NET_READY_TX : 0, busy ? 0 : timeout_ns);
	counters.turns++;
	refill();
	if (ready == -EINTR)
		return;
	must(ready, "drive the interface");
	if (ready & UDRV_NET_READY_IRQ)
		interrupted();
	if (ready & UDRV_NET_READY_STATE)
		follow();
}

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
	udrv_net_kick(net, 0); /* if it came before the wait */
}

static void run(void)
{
	struct sigaction action = { .sa_handler = stop };
	struct timespec now;
	time_t next = 0;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	while (!stopped) {
		turn(opt.stats_s ? UINT64_C(1000000000) : UDRV_NET_FOREVER);
		if (!opt.stats_s)
			continue;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (next && now.tv_sec >= next)
			print_counters();
		if (now.tv_sec >= next)
			next = now.tv_sec + opt.stats_s;
	}
	/* The handler uses the interface's object, which goes. */
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	if (opt.stats_s)
		print_counters();
}

/* ---- options ------------------------------------------------------------------------ */

static const char usage[] =
	"usage: pcnet [OPTION...] DEVICE, as in: pcnet --net nic0 00:17.0\n"
	"  --net NAME       be the network interface NAME; default: eth%d\n"
	"  --no-ack         do not acknowledge interrupts in their handler\n"
	"  --promisc        receive every frame (an interface asks for it by itself)\n"
	"  --stats SECONDS  print counters as often, and at the end\n"
	"  --verbose        tell what is going on\n";

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "net", required_argument, NULL, 'n' },
		{ "stats", required_argument, NULL, 's' },
		{ "no-ack", no_argument, &opt.no_ack, 1 },
		{ "promisc", no_argument, &opt.promiscuous, 1 },
		{ "verbose", no_argument, &opt.verbose, 1 },
		{ NULL, 0, NULL, 0 },
	};
	int key;

	while ((key = getopt_long(argc, argv, "", options, NULL)) != -1 && key != '?') {
		if (key == 'n')
			opt.net = optarg;
		else if (key == 's')
			opt.stats_s = (unsigned int)strtoul(optarg, NULL, 10);
	}
	if (key != -1 || optind != argc - 1) {
		fputs(usage, stderr);
		exit(2);
	}
	opt.device = argv[optind];
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	open_card();
	attach();
	start();
	follow();
	must(udrv_net_turn(queue, 0, 0), "ask for buffers");
	refill();
	run();

	/* The card first: its memory is the kernel's, which takes it back with the interface. */
	reg_write(PCNET_RDP, CSR0_STOP);
	must(udrv_net_link(net, false, 0, false), "tell the link");
	udrv_net_close(net);
	udrv_close(device);
	return EXIT_SUCCESS;
}
