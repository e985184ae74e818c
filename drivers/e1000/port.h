/* SPDX-License-Identifier: MIT */
/*
 * port.h - where frames come from and where they go
 *
 * A port is the system's side of the card: a TAP interface (tap.c), or the screen (dump.c). The
 * card's side (hw.c, ring.c) knows nothing of it, and the main loop knows it by these calls only,
 * so that another port can take its place: one that hands over device addresses instead of copying.
 *
 * Directions are named from the port: pull() takes what the system wants to send, push() gives it
 * what the card received. Both move batches; neither blocks.
 */
#ifndef E1000_PORT_H
#define E1000_PORT_H

#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#define PORT_BATCH 64		/* most frames in one pull() or push() */
#define PORT_MULTICAST 64	/* most groups in struct port_mode; more: all of them are let in */
#define PORT_POLL_MAX 2		/* most descriptors of a port */
#define PORT_FRAME_MAX 1518u	/* longest frame without segmentation: VLAN tag, no CRC */
#define PORT_SEGMENT_MAX 65568u /* longest with it */
#define PORT_ALIGN 64u		/* pull() begins each frame at a multiple of it */
#define PORT_ALIGNED(n) (((n) + PORT_ALIGN - 1) & ~(PORT_ALIGN - 1))

/* What the card does in hardware, for the port to ask of the system. */
#define PORT_OFFLOAD_CSUM \
	(1u << 0) /* checksums of TCP, UDP and whatever else starts within 255 bytes */
#define PORT_OFFLOAD_TSO4 (1u << 1)

/* One frame, from its destination address on, without CRC. */
struct port_frame {
	uint8_t *data;
	uint64_t iova;		       /* the same byte for the card; 0 if it does not matter */
	uint32_t length;	       /* bytes */
	struct virtio_net_hdr offload; /* checksum and segmentation: wanted (pull) or done (push) */
};

/* Which frames the card is to let in. */
struct port_mode {
	uint8_t address[ETH_ALEN];
	bool promiscuous;
	bool all_multicast;
	unsigned int group_count;
	uint8_t groups[PORT_MULTICAST][ETH_ALEN];
};

struct port_counters {
	uint64_t pulled, pushed; /* frames */
	uint64_t push_dropped;	 /* frames that the system did not take */
	uint64_t calls;		 /* system calls made for frames */
};

struct port;

struct port_ops {
	/*
	 * Up to @count frames, one behind the other in the @room bytes at @space, which is @iova
	 * for the card. Returns how many.
	 */
	int (*pull)(struct port *port, uint8_t *space, uint64_t iova, uint32_t room,
		    struct port_frame *frames, unsigned int count);
	/* All @count frames; what the system refuses is dropped and counted. */
	void (*push)(struct port *port, const struct port_frame *frames, unsigned int count);
	/* Descriptors to wait for. [0] is the one that becomes readable when pull() has something.
	 */
	unsigned int (*poll)(struct port *port, struct pollfd *fds);
	/* The link went up or down. */
	void (*carrier)(struct port *port, bool up);
	/*
	 * What the system wants to receive: called when a descriptor other than [0] is ready, and
	 * once a second. True if @mode changed.
	 */
	bool (*mode)(struct port *port, struct port_mode *mode);
	void (*close)(struct port *port);
};

struct port {
	const struct port_ops *ops;
	uint32_t frame_max; /* pull() needs this much room for each frame */
	struct port_counters counters;
};

/*
 * Both return 0 and the port, or -errno after saying why on stderr. @mode is what the card starts
 * with; the TAP interface takes its address from there.
 */
int tap_open(const char *name, unsigned int offloads, struct port_mode *mode, struct port **port);
int dump_open(struct port **port);

#endif /* E1000_PORT_H */
