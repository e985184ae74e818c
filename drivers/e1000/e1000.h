/* SPDX-License-Identifier: MIT */
/*
 * e1000.h - the driver's own structures, and who owns which function
 *
 * struct e1000 is one card. hw.c brings it up and down and knows its registers; ring.c moves frames
 * through its rings; main.c runs the loop between the rings and a port. One thread does it all, or
 * (net.c) one for each queue, of which queue 0's is the card's too: nothing here is locked.
 */
#ifndef E1000_H
#define E1000_H

#include <libudrv.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "../common.h"
#include "e1000_regs.h"
#include "port.h"

/* Where the two models differ. */
struct e1000_model {
	uint16_t device;
	const char *name;
	unsigned int irq;   /* UDRV_IRQ_*, the best that it has */
	unsigned int queues;
	uint32_t eerd_done; /* EERD: "done", and where the address is */
	unsigned int eerd_address_shift;
	uint32_t tipg; /* inter-packet gap [13.4.34] */
	bool pads;     /* short frames can be left to TCTL.PSP; the older one may spoil them */
};

/* What both do for the system; IPv6 segmentation is beyond the 82540EM. */
#define E1000_OFFLOADS (PORT_OFFLOAD_CSUM | PORT_OFFLOAD_TSO4)

struct e1000_statistics {
	uint64_t rx_good, rx_good_bytes, rx_broadcast,
		rx_multicast; /* bytes with CRC, as the card counts */
	uint64_t tx_good, tx_good_bytes;
	uint64_t rx_missed, rx_no_buffer, rx_crc_errors, rx_length_errors;
};

/* Receive ring: the card owns every descriptor but the one before `next`. */
#define E1000_RX_BUFFER 2048u
#define E1000_RX_PER_BLOCK 128u /* buffers in one allocation: large ones may not be had */
#define E1000_RING_MAX 4096u

struct e1000_rx {
	struct udrv_dma ring;
	struct udrv_dma blocks[E1000_RING_MAX / E1000_RX_PER_BLOCK];
	volatile union e1000_rx_desc *desc;
	unsigned int count;
	unsigned int next; /* first that may hold a frame */
	unsigned int held; /* before it: taken, and not given back to the card yet */
	unsigned int tail; /* the card has descriptors up to here, this one not (net.c) */
	bool in_bad_frame; /* dropping the pieces of a frame up to its end */
	uint64_t frames, bytes, errors, tags;
};

/*
 * Transmit ring: descriptors [clean, next) are the card's. Frames lie in a circular store of bytes,
 * never across its end. A batch is what was handed over by one write of the tail; its last
 * descriptor reports when all of it is sent.
 */
#define E1000_TX_STORE (512u << 10)

struct e1000_tx_batch {
	unsigned int last;  /* its last descriptor */
	uint32_t store_end; /* where its frames end in the store */
};

struct e1000_tx {
	struct udrv_dma ring;
	struct udrv_dma store;
	volatile union e1000_tx_desc *desc;
	struct e1000_tx_batch *batches; /* circular, as many as descriptors */
	unsigned int count;
	unsigned int clean, next;
	unsigned int batch_clean, batch_next;
	uint32_t store_clean, store_next;
	struct e1000_tx_context context; /* the last one given to the card */
	uint64_t frames, bytes, tags, software_checksums;
};

/* A receive ring and a transmit ring, one thread's. The 82574L has two queues, with MSI-X. */
#define E1000_QUEUES 2u

struct e1000_queue {
	struct e1000 *nic;
	unsigned int index;
	struct e1000_rx rx;
	struct e1000_tx tx;
	uint32_t irq_causes; /* what is unmasked while we sleep */
	uint64_t interrupts;
};

struct e1000 {
	struct udrv *device;
	const struct e1000_model *model;
	uint8_t *regs;
	size_t regs_length;
	unsigned int irq; /* UDRV_IRQ_* in use */
	uint32_t rctl;
	/*
	 * Buffers are the kernel's: net.c fills the rings. Each queue has a vector, by which queue
	 * 0's other causes interrupt, too.
	 */
	bool zero_copy;
	bool extended;	 /* receive descriptors: with more than one queue */
	bool vlan;	 /* the card takes VLAN tags out and puts them in */
	bool acked;	 /* INTx is acknowledged, and masked, in the handler */
	bool link_up;
	bool link_full;	     /* full duplex */
	uint32_t link_speed; /* Mbit/s */
	uint8_t address[ETH_ALEN]; /* from the EEPROM */
	struct e1000_queue queues[E1000_QUEUES];
	unsigned int queue_count; /* in use; set before e1000_start() */
	struct e1000_statistics statistics;
};

static inline uint32_t e1000_read(const struct e1000 *nic, unsigned int reg)
{
	return udrv_read32(nic->regs + reg);
}

static inline void e1000_write(const struct e1000 *nic, unsigned int reg, uint32_t value)
{
	udrv_write32(nic->regs + reg, value);
}

/* ---- hw.c: the card ----------------------------------------------------------------- */

/* Open the device, map its registers, stop whatever it does, read its address; DMA stays off */
int e1000_open(struct e1000 *nic, const char *name);
/* From a quiet card to a running one: PHY, filters, rings, interrupts. @irq: UDRV_IRQ_*, NONE: the
 * best */
int e1000_start(struct e1000 *nic, unsigned int irq, unsigned int ring_count);
/* An empty transmit ring, after whatever the card did with the last one; what was in it is lost */
void e1000_restart_transmitter(struct e1000_queue *q);
/* No interrupt, nothing received, nothing sent */
void e1000_quieten(struct e1000 *nic);
/* Back to a quiet card, and give everything back; after a failed open or start too */
void e1000_close(struct e1000 *nic);
void e1000_set_mode(struct e1000 *nic, const struct port_mode *mode);
/* Let frames in as the MTU says, those beyond 1500 in pieces; only for zero_copy */
void e1000_set_mtu(struct e1000 *nic, uint32_t mtu);
/* Take VLAN tags out of frames, and put them in where a descriptor says so; or neither */
void e1000_set_vlan(struct e1000 *nic, bool on);
/* Look at the link again: true if it has changed; it is in link_up */
bool e1000_link(struct e1000 *nic);
/* Add what the card counted since the last call */
void e1000_count(struct e1000 *nic);

/* ---- irq.c: interrupts -------------------------------------------------------------- */

int e1000_irq_start(struct e1000 *nic, unsigned int irq);
/* Before sleeping: let the card interrupt for received frames, link changes, and (if asked) sent
 * ones */
void e1000_irq_arm(struct e1000_queue *q, bool transmit);
/* After waking: take and acknowledge the interrupt. 1 if the link changed, 0, or -errno: device
 * gone */
int e1000_irq_take(struct e1000 *nic);
/* The same for zero_copy, where the kernel has taken it. True if the link may have changed */
bool e1000_irq_taken(struct e1000_queue *q, uint32_t count, uint32_t causes);

/* ---- ring.c: descriptors ------------------------------------------------------------ */

int e1000_rx_start(struct e1000_queue *q, unsigned int count);
int e1000_tx_start(struct e1000_queue *q, unsigned int count);
/* Empty, for a transmitter that is off */
void e1000_tx_empty(struct e1000_queue *q);
void e1000_rings_free(struct e1000 *nic);
/* Up to @count received frames, which stay where they are until e1000_rx_refill() */
unsigned int e1000_rx_take(struct e1000_queue *q, struct port_frame *frames, unsigned int count);
void e1000_rx_refill(struct e1000_queue *q);
/* Where the next frames to send go: @room bytes at what it returns, for at most @count frames */
uint8_t *e1000_tx_space(struct e1000_queue *q, uint32_t frame_max, uint64_t *iova, uint32_t *room,
			unsigned int *count);
/* A context descriptor, if it differs from the last one; there must be room */
void e1000_tx_put_context(struct e1000_tx *tx, const struct e1000_tx_context *wanted);
/* Send frames that lie there */
void e1000_tx_send(struct e1000_queue *q, struct port_frame *frames, unsigned int count);

/* ---- offload.c: checksums and segmentation ------------------------------------------ */

/*
 * What the card must be told to send @frame: fills @context (command 0: no context is needed) and
 * returns the options for its data descriptors. Prepares the headers in the frame, or computes the
 * checksum itself where the card cannot.
 */
uint8_t e1000_offload(struct e1000_tx *tx, struct port_frame *frame,
		      struct e1000_tx_context *context);

#endif /* E1000_H */
