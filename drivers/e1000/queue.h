/* SPDX-License-Identifier: MIT */
/* queue.h - one of the card's queues as one of the interface's: what goes between their rings (queue.c) */
#ifndef E1000_QUEUE_H
#define E1000_QUEUE_H

#include <libudrv_net.h>
#include <pthread.h>
#include "e1000.h"

#define SLOTS 256u	     /* packets on their way, and buffers */
#define SLOT_NONE UINT16_MAX /* tx_slot: no packet ends here */

struct net;

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

/* Give the card the buffers that the kernel has for it. */
void queue_refill(struct queue *q);
/* Frames that have arrived, at most a ring of them; returns the number of buffers */
unsigned int queue_receive(struct queue *q);
/* What the kernel has to send, as far as there is room. Returns the number of entries. */
uint32_t queue_send(struct queue *q);
/* Whole batches that the card has sent; returns the number of packets */
unsigned int queue_reclaim(struct queue *q);
/* Nothing was sent for seconds, with packets in the ring. Whatever it was: begin anew without them. */
void queue_restart_transmitter(struct queue *q);
/* Is there something to do that needs no waiting? Reads memory only */
bool queue_more(const struct queue *q);
/* Has the card sent what queue_reclaim() would take? Likewise */
bool queue_sent(const struct queue *q);
/* Has the card so few buffers that a burst might find none? */
bool queue_low(const struct queue *q);

#endif /* E1000_QUEUE_H */
