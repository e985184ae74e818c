/* SPDX-License-Identifier: MIT */
/* net.h - the kernel's network interface as the card's other side (net.c) */
#ifndef E1000_NET_H
#define E1000_NET_H

#include <libudrv_net.h>
#include "e1000.h"

#define NET_POLL_FOREVER UINT32_MAX

struct net_options {
	const char *name;
	unsigned int offloads; /* PORT_OFFLOAD_* */
	unsigned int irq;      /* UDRV_IRQ_*; NONE: the best */
	unsigned int rings;    /* descriptors in each */
	unsigned int queues;   /* of the card's, each with a thread */
	unsigned int stats_s;  /* print counters as often; 0: never */
	unsigned int hang_s;   /* the interface is taken from us if we hang for as long; 0: never */
	unsigned int poll_us;  /* look for work as long before sleeping; NET_POLL_FOREVER: never sleep */
	bool promiscuous;
	void (*print)(struct e1000 *nic, uint64_t turns);
};

/* Be the driver of the interface until a signal or an error. 0, or -errno after saying why */
int net_run(struct e1000 *nic, const struct net_options *options);

#endif /* E1000_NET_H */
