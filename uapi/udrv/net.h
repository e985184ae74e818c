/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * net.h - the calls of /dev/udrv/net: a network interface that a driver in a process serves
 *
 * A driver opens /dev/udrv/net once for each interface, attaches to an interface by name (NET_ATTACH),
 * maps the rings (mmap() of the descriptor at offset 0, MAP_SHARED, map_bytes), and then repeats one
 * call for each turn of its loop (NET_TURN). Each queue has four rings (ring.h):
 *
 *   tx       kernel to driver: packets to send, one entry for each piece (struct udrv_net_tx)
 *   tx_done  driver to kernel: slots of packets that the device has done with (__u32)
 *   fill     kernel to driver: empty buffers to receive into (struct udrv_net_fill)
 *   rx       driver to kernel: frames that have arrived (struct udrv_net_rx)
 *
 * A packet's own pages are mapped for the PCI device, and the driver is told device addresses: no
 * payload is copied and none can be seen by the driver. Where the device is confined to what its
 * driver was given, packets go through buffers that are the device's alone, one copy each
 * (UDRV_NET_COPIES). Without a device, too, and there the driver sees those buffers: addresses are
 * offsets in the mapping.
 *
 * The interface outlives its driver, until the device is unbound, or it is deleted, as it is with the
 * network namespace that it is in: a driver that has died leaves name, addresses, routes and sockets
 * in place, and the next one attaches to the same name. An interface without a device goes with its
 * descriptor. Closing this descriptor is the driver's end for the device as well, as is the closing
 * of the node.
 *
 * Structs, versions and common errors are as in udrv.h.
 */
#ifndef _UAPI_UDRV_NET_H
#define _UAPI_UDRV_NET_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <udrv/ring.h>
#include <udrv/udrv.h>

/* ------------------------------------------------------------------------------------------------
 * Entries of the rings
 */

/* udrv_net_tx.flags */
#define UDRV_NET_TX_FIRST (1U << 0) /* of a packet: what the whole packet needs is in this entry */
#define UDRV_NET_TX_LAST (1U << 1)  /* of a packet */
#define UDRV_NET_TX_CSUM (1U << 2)  /* insert the checksum: from @l4_offset on, at @csum_offset */
#define UDRV_NET_TX_TSO (1U << 3)   /* cut into segments of @gso_size bytes of payload */
#define UDRV_NET_TX_VLAN (1U << 4)  /* insert @vlan_tci */
#define UDRV_NET_TX_TCP (1U << 5)   /* with CSUM: TCP; neither TCP nor UDP: another protocol */
#define UDRV_NET_TX_UDP (1U << 6)   /* with CSUM: UDP */
#define UDRV_NET_TX_IPV4 (1U << 7)  /* with CSUM: over IPv4 */
#define UDRV_NET_TX_IPV6 (1U << 8)  /* with CSUM: over IPv6 */

/**
 * struct udrv_net_tx - a piece of a packet to send
 * @address:	where it lies, for the device (without one: offset in the mapping)
 * @length:	of this piece, bytes
 * @slot:	the packet's name, for tx_done
 * @flags:	UDRV_NET_TX_*; those but FIRST and LAST are in the first entry only, as are the rest
 * @packet_length: of all pieces, bytes
 * @vlan_tci:	with VLAN: the tag
 * @gso_size:	with TSO: payload bytes in each segment
 * @l3_offset:	with CSUM: of the IP header
 * @l4_offset:	with CSUM: of the TCP or UDP header, where the sum begins
 * @csum_offset: with CSUM: where the sum goes, from the packet's start
 * @header_length: with TSO: all headers
 * @reserved:	0
 *
 * A packet has at most as many pieces as the kernel's fragments and one more (18 on most), and all of
 * them are in the ring when the first one is.
 *
 * With CSUM the sum of the pseudo header is in place, and the device adds the rest. With TSO it is
 * without a length, the IP header's length is zero, and so is IPv4's checksum: what devices ask for.
 */
struct udrv_net_tx {
	__aligned_u64 address;
	__u32 length;
	__u16 slot;
	__u16 flags;
	__u32 packet_length;
	__u16 vlan_tci;
	__u16 gso_size;
	__u8 l3_offset;
	__u8 l4_offset;
	__u8 csum_offset;
	__u8 header_length;
	__u32 reserved;
};

/**
 * struct udrv_net_fill - an empty buffer
 * @address:	where the frame is to go, for the device (without one: offset in the mapping)
 * @length:	room, bytes, less than a page: with SCATTER at least 1,536, else enough for a frame of
 *		max_mtu with a VLAN tag and its CRC
 * @slot:	the buffer's name, for rx
 */
struct udrv_net_fill {
	__aligned_u64 address;
	__u32 length;
	__u32 slot;
};

/* udrv_net_rx.flags */
#define UDRV_NET_RX_CSUM (1U << 0) /* the device found the TCP or UDP checksum good */
#define UDRV_NET_RX_VLAN (1U << 1) /* the device took a tag out: @vlan_tci */
#define UDRV_NET_RX_DROP (1U << 2) /* there is no frame, or a bad one: take the buffer back; no length */
#define UDRV_NET_RX_MORE (1U << 3) /* with SCATTER: the frame goes on in the next entry */

/**
 * struct udrv_net_rx - a frame that has arrived
 * @slot:	the buffer that it is in
 * @length:	bytes, without the Ethernet CRC
 * @flags:	UDRV_NET_RX_*
 * @vlan_tci:	with VLAN
 *
 * A frame may lie in several buffers, up to 17, its Ethernet header in the first. MORE is in each of its
 * entries but the last, and CSUM and VLAN in the last; DROP in any of them drops all of the frame. Its
 * entries may come in several turns.
 */
struct udrv_net_rx {
	__u32 slot;
	__u32 length;
	__u16 flags;
	__u16 vlan_tci;
	__u32 reserved;
};

/**
 * struct udrv_net_rings - the beginning of a queue's part of the mapping
 * @tx:		see above
 * @tx_done:	likewise
 * @fill:	likewise
 * @rx:		likewise
 */
struct udrv_net_rings {
	struct udrv_ring tx;
	struct udrv_ring tx_done;
	struct udrv_ring fill;
	struct udrv_ring rx;
};

/* ------------------------------------------------------------------------------------------------
 * Calls
 */

#define UDRV_NET_NAME_BYTES 16
#define UDRV_NET_QUEUES_MAX 8U
#define UDRV_NET_SLOTS_MIN 64U
#define UDRV_NET_SLOTS_MAX 4096U
#define UDRV_NET_MTU_MAX 9600U /* with SCATTER */
#define UDRV_NET_MTU_MAX_ONE_BUFFER 3400U
#define UDRV_NET_GRACE_MS 3000U /* while nobody drives it, the carrier is held as long, by default */
#define UDRV_NET_GRACE_MS_MAX 60000U
#define UDRV_NET_HANG_MS_MAX 600000U
#define UDRV_NET_STALL_MS 5000U /* see UDRV_NET_READY_STALLED */

/* udrv_ioc_net_attach.features: what the device does for the system */
#define UDRV_NET_CSUM (1U << 0)	   /* UDRV_NET_TX_CSUM */
#define UDRV_NET_TSO4 (1U << 1)	   /* UDRV_NET_TX_TSO over IPv4; wants CSUM */
#define UDRV_NET_TSO6 (1U << 2)	   /* over IPv6; wants CSUM */
#define UDRV_NET_RXCSUM (1U << 3)  /* UDRV_NET_RX_CSUM */
#define UDRV_NET_VLAN_TX (1U << 4) /* UDRV_NET_TX_VLAN; with VLAN_RX: while VLAN_RX_ON only */
#define UDRV_NET_VLAN_RX (1U << 5) /* UDRV_NET_RX_VLAN */
#define UDRV_NET_PADS (1U << 6)	   /* frames shorter than 60 bytes are padded by the device, not before */
#define UDRV_NET_SCATTER (1U << 7) /* UDRV_NET_RX_MORE: long frames go into several buffers */

/* udrv_ioc_net_attach.state */
#define UDRV_NET_TAKEN_OVER (1U << 0) /* the interface was there already */
#define UDRV_NET_COPIES (1U << 1)     /* packets are copied: confined tier, or no device */

/**
 * struct udrv_ioc_net_attach - UDRV_IOC_NET_ATTACH: be the driver of an interface
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @device_fd:	in: the node whose device moves the data; -1: no device
 * @features:	in: UDRV_NET_* bits
 * @name:	in: the interface's name, ended by a zero; "eth%d": an interface of the device's that nobody
 *		drives, or else a new one, of the first such name that is free. out: its name
 * @address:	in: its Ethernet address, if it is made now
 * @reserved0:	in: 0
 * @queue_count: in: 1 to 8
 * @tx_slots:	in: most packets on their way in each queue, a power of two, 64 to 4096
 * @rx_slots:	in: buffers in each queue, a power of two, 64 to 4096
 * @max_mtu:	in: the largest that the device can do, 68 to 3,400, with SCATTER to 9,600; where packets
 *		are copied, no more than 2,000 of it is used
 * @grace_ms:	in: how long the carrier is held without a driver, up to 60,000; 0: 3,000
 * @ifindex:	out: the interface's number
 * @state:	out: UDRV_NET_TAKEN_OVER, UDRV_NET_COPIES
 * @tx_entries:	out: entries of the ring tx; tx_done has @tx_slots, fill and rx have @rx_slots
 * @map_bytes:	out: to be mapped at offset 0
 * @queue_bytes: out: queue n begins at n * @queue_bytes, with struct udrv_net_rings
 * @tx_offset:	out: where the entries of tx begin, from the queue's beginning
 * @tx_done_offset: out: likewise
 * @fill_offset: out: likewise
 * @rx_offset:	out: likewise
 * @hang_ms:	in: after how long a driver that does not come hangs, up to 600,000; 0: never; see below
 * @reserved1:	in: 0
 *
 * If the device has an interface of that name that nobody drives, it is taken over: features and
 * @queue_count must be the same, and its MTU possible. Otherwise it is made: that needs CAP_NET_ADMIN
 * in the current network namespace. Taking over needs to be its owner (the user who made it), or that
 * capability in the interface's namespace.
 *
 * What was on its way under the driver before may be lost. Every attach begins with empty rings.
 *
 * With @hang_ms, a driver hangs if for as long there is something for it in a queue, as NET_TURN would
 * tell (but FILL), and it neither waits in NET_TURN there, nor makes one, nor takes entries out of tx;
 * for news alone NET_STATE will do. That holds from the attach on, for each queue. Time does not count
 * while its process (the one that made the last turn in that queue, or attached) is stopped, frozen or
 * traced. A driver that hangs is ended, which takes up to half as long again, at most three seconds:
 * its descriptors are dead as after "udrv revoke", and the interface is the next one's. Without a
 * device the interface goes, and with it what the descriptor can do. "ethtool -S" counts it
 * (driver_hangs). The struct's first version ended before @hang_ms.
 *
 * Errors: EBADF, EINVAL @device_fd is no node; EPERM; EBUSY somebody drives it, this descriptor is
 * attached already, or the device serves another interface; EEXIST another interface has that name;
 * EINVAL a bad value, or not what the interface was made with; EOPNOTSUPP the device does not reach
 * all memory (DMA_MASK), and nothing helps it; ENOMEM: also RLIMIT_MEMLOCK, against
 * which the buffers count that the device reaches (a page for each slot).
 */
struct udrv_ioc_net_attach {
	__u32 size;
	__u32 flags;
	__s32 device_fd;
	__u32 features;
	__u8 name[UDRV_NET_NAME_BYTES];
	__u8 address[6];
	__u16 reserved0;
	__u32 queue_count;
	__u32 tx_slots;
	__u32 rx_slots;
	__u32 max_mtu;
	__u32 grace_ms;
	__u32 ifindex;
	__u32 state;
	__u32 tx_entries;
	__aligned_u64 map_bytes;
	__aligned_u64 queue_bytes;
	__u32 tx_offset;
	__u32 tx_done_offset;
	__u32 fill_offset;
	__u32 rx_offset;
	__u32 hang_ms;
	__u32 reserved1;
};
#define UDRV_IOC_NET_ATTACH _IO(UDRV_IOC_TYPE, 0x40)

/* udrv_ioc_net_turn.ready */
#define UDRV_NET_READY_TX (1U << 0)	 /* there are entries in tx */
#define UDRV_NET_READY_FILL (1U << 1)	 /* there are entries in fill */
#define UDRV_NET_READY_IRQ (1U << 2)	 /* the queue's vector has fired */
#define UDRV_NET_READY_STATE (1U << 3)	 /* NET_STATE has something new (told to queue 0) */
#define UDRV_NET_READY_KICK (1U << 4)	 /* NET_KICK was called */
#define UDRV_NET_READY_STALLED (1U << 5) /* packets are on their way, and none comes back: see below */

#define UDRV_NET_FOREVER (~0ULL)

/**
 * struct udrv_ioc_net_turn - UDRV_IOC_NET_TURN: hand in, take over, wait
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @queue:	in: which
 * @ready:	in: UDRV_NET_READY_* bits that are not to be waited for; out: what there is
 * @timeout_ns:	in: how long to wait if there is nothing; 0: not at all; UDRV_NET_FOREVER
 * @irq_count:	out: interrupts of the queue's vector since the last turn
 * @reserved:	in: 0
 * @irq_value:	out: what the acknowledge program read, ORed
 *
 * Takes what is in tx_done and rx, puts free buffers into fill, and then waits until there is an
 * entry in tx that was not consumed, an interrupt, news of the interface, or a stall. FILL is never
 * waited for: buffers are there from the attach on, and those handed in come back in the same call,
 * which may then sleep; so do not wait with most of the device's ring empty. Do not pass TX in @ready while
 * nothing is on its way: nothing would tell of the room. INTx is armed by waiting. A signal ends the
 * wait with EINTR; what was handed in stays so.
 *
 * STALLED is told once for each stall: some packets of the queue are on their way, the interface is up
 * and has a carrier, and for five seconds none came back by tx_done. (The kernel's own drivers are told
 * so by ndo_tx_timeout.) A driver resets its transmitter then, and gives back what that had.
 *
 * Entries that make no sense (a slot that is not there, a packet that is not on its way, a length
 * beyond the buffer) are dropped and counted (ethtool -S). A buffer that is handed in twice is given
 * out twice: the driver's own frames suffer.
 *
 * Errors: EINVAL no such queue, not attached; EBUSY another thread waits in this queue (what was handed
 * in is taken all the same); EINTR; ENODEV the interface or the device is gone.
 */
struct udrv_ioc_net_turn {
	__u32 size;
	__u32 flags;
	__u32 queue;
	__u32 ready;
	__aligned_u64 timeout_ns;
	__u32 irq_count;
	__u32 reserved;
	__aligned_u64 irq_value;
};
#define UDRV_IOC_NET_TURN _IO(UDRV_IOC_TYPE, 0x41)

#define UDRV_NET_GROUPS_MAX 64U

/* udrv_ioc_net_state.state_flags */
#define UDRV_NET_UP (1U << 0)	     /* the interface is up: receive */
#define UDRV_NET_PROMISC (1U << 1)   /* every frame */
#define UDRV_NET_ALLMULTI (1U << 2)  /* every multicast frame; also where there are too many groups */
#define UDRV_NET_RXCSUM_ON (1U << 3) /* ethtool has it on */
#define UDRV_NET_VLAN_RX_ON (1U << 4) /* likewise: take tags out; off: leave them, and insert none */

/**
 * struct udrv_ioc_net_state - UDRV_IOC_NET_STATE: what the system wants of the interface
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @state_flags: out: UDRV_NET_UP and the others
 * @mtu:	out: bytes
 * @address:	out: the Ethernet address in use
 * @reserved:	out: 0
 * @group_count: out: entries in @groups
 * @groups:	out: multicast addresses to let in
 *
 * Whatever changes afterwards is announced by UDRV_NET_READY_STATE.
 *
 * Errors: EINVAL not attached; ENODEV.
 */
struct udrv_ioc_net_state {
	__u32 size;
	__u32 flags;
	__u32 state_flags;
	__u32 mtu;
	__u8 address[6];
	__u16 reserved;
	__u32 group_count;
	__u8 groups[UDRV_NET_GROUPS_MAX][6];
};
#define UDRV_IOC_NET_STATE _IO(UDRV_IOC_TYPE, 0x42)

#define UDRV_NET_LINK_UP (1U << 0)
#define UDRV_NET_LINK_FULL (1U << 1) /* full duplex */

/**
 * struct udrv_ioc_net_link - UDRV_IOC_NET_LINK: tell the system of the link
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @link:	in: UDRV_NET_LINK_*
 * @speed:	in: Mbit/s; 0: not known, and neither is the duplex mode then
 *
 * Errors: EINVAL not attached; ENODEV.
 */
struct udrv_ioc_net_link {
	__u32 size;
	__u32 flags;
	__u32 link;
	__u32 speed;
};
#define UDRV_IOC_NET_LINK _IO(UDRV_IOC_TYPE, 0x43)

/**
 * struct udrv_ioc_net_queue - UDRV_IOC_NET_VECTOR, UDRV_IOC_NET_KICK
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @queue:	in: which
 * @vector:	in: NET_VECTOR: the device's vector whose interrupts this queue is to be told of, and
 *		nobody else, until interrupts are set up anew; NET_KICK: 0
 *
 * NET_KICK ends the queue's wait, or its next one, from another thread or a signal handler.
 *
 * Errors: EINVAL no such queue or vector, no device, not attached; EBUSY the vector has an eventfd, or
 * is another queue's; ENODEV.
 */
struct udrv_ioc_net_queue {
	__u32 size;
	__u32 flags;
	__u32 queue;
	__u32 vector;
};
#define UDRV_IOC_NET_VECTOR _IO(UDRV_IOC_TYPE, 0x44)
#define UDRV_IOC_NET_KICK _IO(UDRV_IOC_TYPE, 0x45)

#endif /* _UAPI_UDRV_NET_H */
