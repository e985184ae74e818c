/* SPDX-License-Identifier: MIT */
/*
 * card.h - one network card, driven by the kernel, by udrv's driver, or by that over TAP
 *
 * All of them are the same model on one hub, with a virtio-net ("wire") on it that sends to them. What
 * they send goes to an address that nobody on the hub has: it ends in QEMU, at no cost to the guest.
 */
#ifndef CARD_H
#define CARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * struct card - a card and its interface
 * @name: the interface's, and the side's
 * @address: of the PCI device; NULL: there is none, it is a dummy
 * @number: its network is 10.0.@number.0/24: it is .1 there, and nobody .2
 * @driver: the process that drives it, or 0
 * @config_fd: its config space
 * @command: the command register, with bus mastering
 * @irq: the kernel's number of its interrupt
 * @udp: a socket from .1 to .2, port CARD_PORT on both
 * @raw: a packet socket that takes a struct virtio_net_hdr before each frame
 */
struct card {
	const char *name;
	const char *address;
	unsigned int number;
	pid_t driver;
	int config_fd;
	uint16_t command;
	int irq;
	int udp;
	int raw;
};

#define CARD_PORT 9000

/* Modules, and udrv bound to @devices (words): once, before the others. */
void card_setup(const char *devices, bool confined);

void card_open_kernel(struct card *card, const char *address);
/* @port: --net or --tap. @confined: its driver has no CAP_SYS_RAWIO. */
void card_open_udrv(struct card *card, const char *address, const char *port, bool confined);
/* A dummy: what it is given is freed at once. */
void card_open_source(struct card *card);

/* The driver's process, started (again). */
void card_start(struct card *card, const char *port, bool confined);
/* Unload the kernel's e1000, load it again, and set the interface up; returns its index. */
int card_reload_kernel(const struct card *card);

/* Without bus mastering the card takes no frame, and QEMU keeps what is for it. */
void card_hold(const struct card *card);
void card_release(const struct card *card);

/* The other end: the interface of the virtio-net at @address. Returns a packet socket that sends. */
int wire_open(const char *address);
/* A packet socket on an interface that receives frames of @protocol (0: none). */
int packet_socket(unsigned int index, unsigned int protocol);

/* A frame of @length bytes, with its header for UDP: to the card's socket from the other end of it. */
void card_frame(const struct card *card, uint8_t *frame, unsigned int length);
/* The same outwards, for TCP. */
void card_frame_tcp(const struct card *card, uint8_t *frame, unsigned int length);

/* An interface's own address */
void interface_address(const char *name, uint8_t *address);
/* /sys/class/net/NAME/FILE as a number */
unsigned long card_file(const char *name, const char *file);

#endif
