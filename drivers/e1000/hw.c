/* SPDX-License-Identifier: MIT */
/*
 * hw.c - the card: reset, EEPROM, PHY, link, address filters, statistics
 *
 * Owns every register but the rings' (ring.c) and the interrupts' (irq.c). Sections in brackets as
 * in e1000_regs.h. The hard part is the beginning: the last driver may have been killed, so nothing
 * is known of the card's state, and its DMA must not be allowed (bus mastering) before receiver and
 * transmitter are off and their rings forgotten. A reset alone is not believed: QEMU's 82540EM
 * keeps RCTL, TCTL, the interrupt mask and the ring registers through it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "e1000.h"

static const struct e1000_model models[] = {
	{
		.device = E1000_DEVICE_82540EM,
		.name = "82540EM",
		.irq = UDRV_IRQ_INTX,
		.queues = 1,
		.eerd_done = 1u << 4,
		.eerd_address_shift = 8,
		.tipg = 10 | 8 << 10 | 6 << 20,
	},
	{
		.device = E1000_DEVICE_82574L,
		.name = "82574L",
		.irq = UDRV_IRQ_MSIX,
		.queues = E1000_QUEUES,
		.eerd_done = 1u << 1,
		.eerd_address_shift = 2,
		.tipg = 8 | 8 << 10 | 6 << 20,
		.pads = true,
	},
};

static void pause_us(long us)
{
	const struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	nanosleep(&t, NULL);
}

/* Look at @reg until (value & mask) == wanted, for at most @limit_us. Returns 0 or -ETIMEDOUT. */
static int wait_register(struct e1000 *nic, unsigned int reg, uint32_t mask, uint32_t wanted,
			 long limit_us)
{
	const long step_us = 50;

	for (long waited = 0;; waited += step_us) {
		if ((e1000_read(nic, reg) & mask) == wanted)
			return 0;
		if (waited >= limit_us)
			return -ETIMEDOUT;
		pause_us(step_us);
	}
}

/* ---- reset [14.3, 14.1; 82574: 4.6] ------------------------------------------------- */

/* No interrupt, nothing received, nothing sent. */
void e1000_quieten(struct e1000 *nic)
{
	e1000_write(nic, E1000_IMC, E1000_IRQ_ALL);
	e1000_write(nic, E1000_RCTL, 0);
	e1000_write(nic, E1000_TCTL, 0);
	e1000_read(nic, E1000_STATUS); /* a read: the writes have arrived */
}

static int reset(struct e1000 *nic)
{
	int error;

	/* Frames on their way through the card end within this time, the longest at 10 Mbit/s too.
	 */
	e1000_quieten(nic);
	pause_us(10000);

	/* The card loads its defaults from the EEPROM after it: no access before that is done. */
	e1000_write(nic, E1000_CTRL, e1000_read(nic, E1000_CTRL) | E1000_CTRL_RST);
	pause_us(10000);
	error = wait_register(nic, E1000_CTRL, E1000_CTRL_RST, 0, 100000);
	if (error)
		return driver_fail(error, "the card does not come out of its reset");

	e1000_quieten(nic);
	e1000_read(nic, E1000_ICR);
	for (unsigned int i = 0; i < nic->model->queues; i++) {
		const unsigned int rings[] = {
			E1000_RDLEN(i), E1000_RDH(i),	E1000_RDT(i), E1000_RDBAL(i), E1000_RDBAH(i),
			E1000_TDLEN(i), E1000_TDH(i),	E1000_TDT(i), E1000_TDBAL(i), E1000_TDBAH(i),
		};

		for (unsigned int k = 0; k < sizeof(rings) / sizeof(rings[0]); k++)
			e1000_write(nic, rings[k], 0);
	}
	return 0;
}

/* However we end: a card that is left at work goes on with our rings when the next driver allows DMA. */
static int see_to_the_end(struct e1000 *nic)
{
	static const struct udrv_prog_op quiesce[] = {
		UDRV_OP_WRITE(0, E1000_IMC, 4, E1000_IRQ_ALL),
		UDRV_OP_WRITE(0, E1000_RCTL, 4, 0),
		UDRV_OP_WRITE(0, E1000_TCTL, 4, 0),
	};
	int error = udrv_prog_set(nic->device, UDRV_PROG_QUIESCE, quiesce, 3);

	return error ? driver_fail(error, "see to the end: %s", udrv_strerror(error)) : 0;
}

/* ---- EEPROM [5.3, 13.4.4; 82574: 10.2.2] -------------------------------------------- */

/* The 82574L's firmware uses EEPROM and PHY too: take them, give them back. */
static int own(struct e1000 *nic)
{
	const uint32_t owner = E1000_EXTCNF_CTRL_SW_OWNER;

	if (nic->model->device != E1000_DEVICE_82574L)
		return 0;
	for (int i = 0; i < 50; i++) {
		e1000_write(nic, E1000_EXTCNF_CTRL, e1000_read(nic, E1000_EXTCNF_CTRL) | owner);
		if (e1000_read(nic, E1000_EXTCNF_CTRL) & owner)
			return 0;
		pause_us(2000);
	}
	return driver_fail(-ETIMEDOUT, "the card's firmware does not let go of EEPROM and PHY");
}

static void disown(struct e1000 *nic)
{
	if (nic->model->device != E1000_DEVICE_82574L)
		return;
	e1000_write(nic, E1000_EXTCNF_CTRL,
		    e1000_read(nic, E1000_EXTCNF_CTRL) & ~E1000_EXTCNF_CTRL_SW_OWNER);
}

static int eeprom_word(struct e1000 *nic, uint32_t address, uint16_t *word)
{
	uint32_t done = nic->model->eerd_done;

	e1000_write(nic, E1000_EERD, address << nic->model->eerd_address_shift | E1000_EERD_START);
	if (wait_register(nic, E1000_EERD, done, done, 100000))
		return driver_fail(-ETIMEDOUT, "the EEPROM does not answer");
	*word = (uint16_t)(e1000_read(nic, E1000_EERD) >> E1000_EERD_DATA_SHIFT);
	return 0;
}

/* Words 0 to 2 are the address, low byte first; the sum over all words is fixed [5.6]. */
static int eeprom_address(struct e1000 *nic)
{
	uint16_t sum = 0, word = 0;

	for (uint32_t i = 0; i < E1000_EEPROM_WORDS; i++) {
		int error = eeprom_word(nic, i, &word);

		if (error)
			return error;
		sum = (uint16_t)(sum + word);
		if (i < 3) {
			nic->address[2 * i] = (uint8_t)word;
			nic->address[2 * i + 1] = (uint8_t)(word >> 8);
		}
	}
	if (sum != E1000_EEPROM_SUM)
		return driver_fail(-EIO, "the EEPROM's checksum is 0x%04x, not 0x%04x", sum,
				  E1000_EEPROM_SUM);
	return 0;
}

/* ---- PHY [13.4.7] ------------------------------------------------------------------- */

static int mdic(struct e1000 *nic, uint32_t command, unsigned int reg)
{
	uint32_t value;

	e1000_write(nic, E1000_MDIC, command | E1000_MDIC_PHY_1 | reg << E1000_MDIC_REG_SHIFT);
	if (wait_register(nic, E1000_MDIC, E1000_MDIC_READY, E1000_MDIC_READY, 10000))
		return driver_fail(-ETIMEDOUT, "PHY register %u does not answer", reg);
	value = e1000_read(nic, E1000_MDIC);
	if (value & E1000_MDIC_ERROR)
		return driver_fail(-EIO, "PHY register %u: error", reg);
	return (int)(value & 0xffff);
}

static int phy_read(struct e1000 *nic, unsigned int reg)
{
	return mdic(nic, E1000_MDIC_OP_READ, reg);
}

static int phy_write(struct e1000 *nic, unsigned int reg, unsigned int value)
{
	int result = mdic(nic, E1000_MDIC_OP_WRITE | value, reg);

	return result < 0 ? result : 0;
}

/* A link that stands is left alone, so that a restarted driver works at once. */
static int phy_start(struct e1000 *nic)
{
	int id1 = phy_read(nic, PHY_ID1), id2 = phy_read(nic, PHY_ID2);
	int control = phy_read(nic, PHY_CONTROL), status;

	if (id1 < 0 || id2 < 0 || control < 0)
		return -EIO;
	phy_read(nic,
		 PHY_STATUS); /* a link loss is latched until it is read; the second read is now */
	status = phy_read(nic, PHY_STATUS);
	if (status < 0)
		return status;
	driver_say("PHY %04x:%04x, control 0x%04x, status 0x%04x", id1, id2, control, status);

	if (status & PHY_STATUS_LINK && status & PHY_STATUS_AUTONEG_DONE)
		return 0;
	control &= ~(int)PHY_CONTROL_POWER_DOWN;
	return phy_write(nic, PHY_CONTROL,
			 (unsigned int)control | PHY_CONTROL_AUTONEG | PHY_CONTROL_RESTART);
}

bool e1000_link(struct e1000 *nic)
{
	static const uint32_t speeds[] = { 10, 100, 1000, 1000 };
	uint32_t status = e1000_read(nic, E1000_STATUS);
	bool up = status & E1000_STATUS_LU;

	if (up == nic->link_up)
		return false;
	nic->link_up = up;
	nic->link_full = status & E1000_STATUS_FD;
	nic->link_speed = speeds[(status & E1000_STATUS_SPEED_MASK) >> E1000_STATUS_SPEED_SHIFT];
	if (up)
		driver_say("link up: %u Mbit/s, %s duplex", nic->link_speed,
			  nic->link_full ? "full" : "half");
	else
		driver_say("link down");
	return true;
}

/* ---- receive filters [3.2.1, 13.5.1 to 13.5.3] -------------------------------------- */

static void set_address(struct e1000 *nic, const uint8_t *a)
{
	e1000_write(nic, E1000_RAL(0),
		    a[0] | (uint32_t)a[1] << 8 | (uint32_t)a[2] << 16 | (uint32_t)a[3] << 24);
	e1000_write(nic, E1000_RAH(0), a[4] | (uint32_t)a[5] << 8 | E1000_RAH_AV);
}

void e1000_set_mode(struct e1000 *nic, const struct port_mode *mode)
{
	uint32_t table[E1000_MTA_WORDS] = { 0 };
	uint32_t rctl = nic->rctl & ~(E1000_RCTL_UPE | E1000_RCTL_MPE);

	set_address(nic, mode->address);

	/* Twelve bits of the address, 47:36 with RCTL.MO = 0, select one bit of 4096. */
	for (unsigned int i = 0; i < mode->group_count; i++) {
		unsigned int bit = mode->groups[i][4] >> 4 | mode->groups[i][5] << 4;

		table[bit / 32] |= 1u << bit % 32;
	}
	for (unsigned int i = 0; i < E1000_MTA_WORDS; i++)
		e1000_write(nic, E1000_MTA(i), table[i]);

	if (mode->promiscuous)
		rctl |= E1000_RCTL_UPE | E1000_RCTL_MPE;
	if (mode->all_multicast)
		rctl |= E1000_RCTL_MPE;
	/* Only if it changes: QEMU's 82540EM receives nothing for a second after each write. */
	if (rctl != nic->rctl)
		e1000_write(nic, E1000_RCTL, rctl);
	nic->rctl = rctl;
	driver_say("receive: own address, broadcast, %u group%s%s%s", mode->group_count,
		  mode->group_count == 1 ? "" : "s", mode->all_multicast ? ", all multicast" : "",
		  mode->promiscuous ? ", promiscuous" : "");
}

/*
 * Long frames [13.4.22] go into several buffers, of 1,024 bytes: ours are longer than that, and
 * shorter than the next size. The receiver is off while the size changes; what it is in the middle of
 * ends meanwhile, as in reset().
 */
void e1000_set_mtu(struct e1000 *nic, uint32_t mtu)
{
	const uint32_t long_frames = E1000_RCTL_LPE | E1000_RCTL_BSIZE_1024;
	bool on = mtu > 1500;

	if (on == !!(nic->rctl & E1000_RCTL_LPE))
		return;
	nic->rctl = on ? nic->rctl | long_frames : nic->rctl & ~long_frames;
	e1000_write(nic, E1000_RCTL, nic->rctl & ~E1000_RCTL_EN);
	e1000_read(nic, E1000_STATUS);
	pause_us(10000);
	e1000_write(nic, E1000_RCTL, nic->rctl);
	driver_say("receive: %s frames", on ? "long" : "no long");
}

/* ---- VLAN tags [9.2; 82574: 7.5] ---------------------------------------------------- */

/* One bit for both directions. */
void e1000_set_vlan(struct e1000 *nic, bool on)
{
	uint32_t ctrl;

	if (on == nic->vlan)
		return;
	/* What the card is to send gets its tags first; without a link it may not come to that. */
	for (unsigned int i = 0; !on && i < nic->queue_count; i++)
		wait_register(nic, E1000_TDH(i), UINT32_MAX, nic->queues[i].tx.next, 10000);
	ctrl = e1000_read(nic, E1000_CTRL) & ~E1000_CTRL_VME;
	e1000_write(nic, E1000_CTRL, ctrl | (on ? E1000_CTRL_VME : 0));
	nic->vlan = on;
	driver_say("VLAN tags are %s", on ? "the card's" : "left where they are");
}

/* ---- statistics [13.7] -------------------------------------------------------------- */

/* 64-bit counters: the low half first, reading the high one clears both. */
static uint64_t counter64(struct e1000 *nic, unsigned int low)
{
	uint64_t value = e1000_read(nic, low);

	return value | (uint64_t)e1000_read(nic, low + 4) << 32;
}

void e1000_count(struct e1000 *nic)
{
	struct e1000_statistics *s = &nic->statistics;

	s->rx_good += e1000_read(nic, E1000_GPRC);
	s->rx_good_bytes += counter64(nic, E1000_GORCL);
	s->rx_broadcast += e1000_read(nic, E1000_BPRC);
	s->rx_multicast += e1000_read(nic, E1000_MPRC);
	s->tx_good += e1000_read(nic, E1000_GPTC);
	s->tx_good_bytes += counter64(nic, E1000_GOTCL);
	s->rx_missed += e1000_read(nic, E1000_MPC);
	s->rx_no_buffer += e1000_read(nic, E1000_RNBC);
	s->rx_crc_errors += e1000_read(nic, E1000_CRCERRS);
	s->rx_length_errors += e1000_read(nic, E1000_RLEC) + e1000_read(nic, E1000_RUC) +
			       e1000_read(nic, E1000_ROC);
}

/* ---- up and down -------------------------------------------------------------------- */

int e1000_open(struct e1000 *nic, const char *name)
{
	const struct udrv_ioc_device_info *info;
	void *regs;
	int error;

	memset(nic, 0, sizeof(*nic));
	nic->queue_count = 1;
	for (unsigned int i = 0; i < E1000_QUEUES; i++)
		nic->queues[i] = (struct e1000_queue){ .nic = nic, .index = i };
	error = udrv_open(name, &nic->device);
	if (error)
		return driver_fail(error, "%s: %s", name, udrv_strerror(error));

	info = udrv_info(nic->device);
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		if (info->vendor == E1000_VENDOR && info->device == models[i].device)
			nic->model = &models[i];
	if (!nic->model)
		return driver_fail(
			-EINVAL,
			"%s is %04x:%04x; this drives 8086:100e (82540EM) and 8086:10d3 (82574L)",
			name, info->vendor, info->device);

	error = udrv_bar_map(nic->device, 0, 0, 0, 0, &regs, &nic->regs_length);
	if (error)
		return driver_fail(error, "map the registers: %s", udrv_strerror(error));
	nic->regs = regs;

	error = reset(nic);
	if (!error)
		error = see_to_the_end(nic);
	if (!error)
		error = own(nic);
	if (error)
		return error;
	error = eeprom_address(nic);
	disown(nic);
	return error;
}

/* General configuration [14.3]: the MAC follows the PHY, nothing is forced, VLAN tags stay in
 * place until e1000_set_vlan(). */
static int start_link(struct e1000 *nic)
{
	uint32_t ctrl = e1000_read(nic, E1000_CTRL);
	int error;

	ctrl &= ~(E1000_CTRL_LRST | E1000_CTRL_ILOS | E1000_CTRL_FRCSPD | E1000_CTRL_FRCDPX |
		  E1000_CTRL_VME | E1000_CTRL_PHY_RST);
	e1000_write(nic, E1000_CTRL, ctrl | E1000_CTRL_ASDE | E1000_CTRL_SLU | E1000_CTRL_FD);
	e1000_write(nic, E1000_VET, E1000_VET_8021Q);

	error = own(nic);
	if (error)
		return error;
	error = phy_start(nic);
	disown(nic);
	return error;
}

/*
 * The 82574L's two queues: a hash of addresses and ports chooses [82574: 7.1, "RSS"]. It has no room
 * in the legacy descriptor, and takes the place of the packet's checksum, which nobody asks for.
 */
static void start_queues(struct e1000 *nic)
{
	/* Any key will do; this is the one by which implementations are compared. */
	static const uint32_t key[E1000_RSSRK_WORDS] = {
		0xda565a6d, 0xc20e5b25, 0x3d256741, 0xb08fa343, 0xcb2bcad0,
		0xb4307bae, 0xa32dcb77, 0x0cf23080, 0x3bb7426a, 0xfa01acbe,
	};

	nic->extended = nic->queue_count > 1;
	if (nic->model->queues == 1)
		return;
	for (unsigned int i = 0; i < E1000_RSSRK_WORDS; i++)
		e1000_write(nic, E1000_RSSRK(i), key[i]);
	for (unsigned int i = 0; i < E1000_RETA_WORDS; i++) /* 0, 1, 0, 1 */
		e1000_write(nic, E1000_RETA(i), 0x01000100u << E1000_RETA_QUEUE_SHIFT);
	e1000_write(nic, E1000_RFCTL,
		    E1000_RFCTL_ISCSI_DIS | E1000_RFCTL_NFSW_DIS | E1000_RFCTL_NFSR_DIS |
			    E1000_RFCTL_ACK_DIS | (nic->extended ? E1000_RFCTL_EXSTEN : 0));
	e1000_write(nic, E1000_MRQC,
		    nic->extended ? E1000_MRQC_RSS | E1000_MRQC_TCP_IPV4 | E1000_MRQC_IPV4 |
					    E1000_MRQC_TCP_IPV6 | E1000_MRQC_IPV6 :
				    0);
}

/* Receive initialization [14.4]: filters first, the receiver last. */
static void start_receiver(struct e1000 *nic)
{
	for (unsigned int i = 1; i < E1000_RA_ENTRIES; i++) {
		e1000_write(nic, E1000_RAL(i), 0);
		e1000_write(nic, E1000_RAH(i), 0);
	}
	set_address(nic, nic->address);
	for (unsigned int i = 0; i < E1000_MTA_WORDS; i++)
		e1000_write(nic, E1000_MTA(i), 0);

	start_queues(nic);
	e1000_write(nic, E1000_RXCSUM,
		    E1000_RXCSUM_IPOFL | E1000_RXCSUM_TUOFL |
			    (nic->extended ? E1000_RXCSUM_PCSD : 0));

	nic->rctl = E1000_RCTL_EN | E1000_RCTL_BAM | E1000_RCTL_SECRC | E1000_RCTL_BSIZE_2048 |
		    E1000_RCTL_MO_47_36 | E1000_RCTL_RDMTS_EIGHTH;
	e1000_write(nic, E1000_RCTL, nic->rctl);
	/* Only now: [14.4], "enable, then bump the tail". */
	for (unsigned int i = 0; i < nic->queue_count; i++)
		e1000_write(nic, E1000_RDT(i), nic->queues[i].rx.tail);
}

/* Transmit initialization [14.5]. */
static void start_transmitter(struct e1000 *nic)
{
	e1000_write(nic, E1000_TIPG, nic->model->tipg);
	for (unsigned int i = 0; nic->model->device == E1000_DEVICE_82574L && i < nic->queue_count; i++)
		e1000_write(nic, E1000_TXDCTL(i),
			    e1000_read(nic, E1000_TXDCTL(i)) | E1000_TXDCTL_82574);
	e1000_write(nic, E1000_TCTL,
		    E1000_TCTL_EN | E1000_TCTL_PSP | 0x0f << E1000_TCTL_CT_SHIFT |
			    0x40 << E1000_TCTL_COLD_SHIFT);
}

void e1000_restart_transmitter(struct e1000_queue *q)
{
	/* The switch is for all queues: another one stands still meanwhile, and goes on. */
	e1000_write(q->nic, E1000_TCTL, 0);
	e1000_read(q->nic, E1000_STATUS); /* a read: the write has arrived */
	pause_us(10000);		  /* as in reset(): it reads no packet any more */
	e1000_tx_empty(q);
	start_transmitter(q->nic);
}

int e1000_start(struct e1000 *nic, unsigned int irq, unsigned int ring_count)
{
	int error;

	/* The card is quiet since e1000_open(): from here on it may reach memory. */
	error = udrv_bus_master(nic->device, true);
	if (error)
		return driver_fail(error, "allow DMA: %s", udrv_strerror(error));
	error = start_link(nic);
	if (error)
		return error;
	for (unsigned int i = 0; !error && i < nic->queue_count; i++) {
		error = e1000_rx_start(&nic->queues[i], ring_count);
		if (!error)
			error = e1000_tx_start(&nic->queues[i], ring_count);
	}
	if (error)
		return driver_fail(error, "rings of %u descriptors: %s", ring_count,
				  udrv_strerror(error));
	error = e1000_irq_start(nic, irq);
	if (error)
		return error;

	start_receiver(nic);
	start_transmitter(nic);
	e1000_link(nic);
	return 0;
}

void e1000_close(struct e1000 *nic)
{
	if (!nic->device)
		return;
	if (nic->regs) {
		e1000_quieten(nic);
		e1000_count(nic);
	}
	udrv_bus_master(nic->device, false); /* waits for what is under way: the rings can go */
	udrv_irq_setup(nic->device, UDRV_IRQ_NONE, 0);
	e1000_rings_free(nic);
	if (nic->regs)
		udrv_bar_unmap(nic->device, nic->regs, nic->regs_length);
	udrv_close(nic->device);
	nic->device = NULL;
}
