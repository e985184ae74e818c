/* SPDX-License-Identifier: MIT */
/*
 * netif.h - a driver of a network interface, on raw system calls; and the system's side of it
 *
 * The driver's side can write any nonsense into the rings. The system's side is a packet socket on the
 * interface, which sends and receives whole frames.
 */
#ifndef NETIF_H
#define NETIF_H

#include <stdbool.h>
#include <stdint.h>
#include <udrv/net.h>

struct netif {
	int fd;
	uint8_t *area;
	struct udrv_ioc_net_attach info;
	/* of queue 0 */
	struct udrv_net_rings *rings;
	struct udrv_net_tx *tx;
	uint32_t *tx_done;
	struct udrv_net_fill *fill;
	struct udrv_net_rx *rx;
};

#define NETIF_NODE "/dev/udrv/net"
#define NETIF_NAME "test0"
#define NETIF_FRAME 100 /* bytes of a frame below */

/* What NET_ATTACH is given by default: one queue, 64 slots, nothing done by the device. */
struct udrv_ioc_net_attach netif_options(int device_fd);
/* Open and attach; 0 or -1 and errno, with nothing left open. */
int netif_attach(struct netif *n, const struct udrv_ioc_net_attach *options);
void netif_map(struct netif *n);
/* Both, and the interface up. */
void netif_up_with(struct netif *n, const struct udrv_ioc_net_attach *options);
void netif_up(struct netif *n, int device_fd);
void netif_close(struct netif *n);

/* NET_TURN of queue 0: 0 or -1; what it says is in @turn. */
int netif_turn(const struct netif *n, uint32_t ignore, uint64_t timeout_ns,
	       struct udrv_ioc_net_turn *turn);
/* For a thread: a turn that waits for anything but news, and what comes of it: ready bits, or -errno. */
struct netif_waiter {
	const struct netif *n;
	int result;
};
void *netif_wait(void *waiter);
/* A turn that does not wait; its ready bits. */
uint32_t netif_ready(const struct netif *n);

/* The next packet to send: waits for it, takes its entries, and returns the first one. */
struct udrv_net_tx netif_take(struct netif *n);
void netif_done(struct netif *n, uint32_t slot);
/* A buffer of the kernel's, taken. */
struct udrv_net_fill netif_buffer(struct netif *n);
void netif_arrived(struct netif *n, uint32_t slot, uint32_t length, uint16_t flags);

/* Interface flags, MTU: by ioctl, as ip(8) did once. */
void netif_set_up(const char *name, bool up);
int netif_set_mtu(const char *name, int mtu);
bool netif_exists(const char *name);
unsigned int netif_index(const char *name); /* 0: there is none */
/* As "ip link del" does; 0, or -1 and errno. */
int netif_delete(unsigned int ifindex);
/* Attach an XDP program, -1: none; @flags: XDP_FLAGS_*. 0, or -1 and errno. */
int netif_xdp(unsigned int ifindex, int program_fd, uint32_t flags);
/* A counter of "ethtool -S": the interface's, or queue 0's. */
uint64_t netif_counter(const char *name, const char *counter);

/* A packet socket on it, that gets everything. */
int netif_socket(const char *name);
/* A frame of NETIF_FRAME bytes, broadcast, with @mark in it. */
void netif_frame(uint8_t *frame, uint8_t mark);
void netif_send(int socket, uint8_t mark);

#endif
