/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * blk.h - the calls of /dev/udrv/blk: disks that a driver in a process serves
 *
 * A driver opens /dev/udrv/blk once for its device, attaches (BLK_ATTACH), maps the rings (mmap() of
 * the descriptor at offset 0, MAP_SHARED, map_bytes), adds its disks (BLK_DISK_ADD), and then repeats
 * one call for each turn of a queue's loop (BLK_TURN). Each queue has two rings (ring.h) and a table:
 *
 *   requests	kernel to driver: struct udrv_blk_request, one entry for each
 *   done	driver to kernel: struct udrv_blk_done
 *   segments	where the data of a request lies: struct udrv_blk_segment, max_segments of them for each
 *		tag, those of tag t from t * max_segments on
 *
 * A request's own pages are mapped for the PCI device, and the driver is told device addresses: no
 * payload is copied, and none can be seen by the driver. Where the device is confined to what its
 * driver was given, data goes through buffers that are the device's alone, one copy each
 * (UDRV_BLK_COPIES). Without a device, too, and there the driver sees those buffers: addresses are
 * offsets in the mapping.
 *
 * A disk outlives its driver, until the device is unbound. A driver that has died costs no error:
 * what it had not completed is issued again to the next one that attaches to the same device and adds
 * the same disk. Disks without a device go with their descriptor. Closing this descriptor is the
 * driver's end for the device as well, as is the closing of the node.
 *
 * Structs, versions and common errors are as in udrv.h.
 */
#ifndef _UAPI_UDRV_BLK_H
#define _UAPI_UDRV_BLK_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <udrv/ring.h>
#include <udrv/udrv.h>

/* ------------------------------------------------------------------------------------------------
 * Entries of the rings
 */

/* udrv_blk_request.op */
#define UDRV_BLK_READ 0U
#define UDRV_BLK_WRITE 1U
#define UDRV_BLK_FLUSH 2U	 /* what was written and completed before is to be kept; no data */
#define UDRV_BLK_DISCARD 3U	 /* no data */
#define UDRV_BLK_WRITE_ZEROES 4U /* no data */

/* udrv_blk_request.flags */
#define UDRV_BLK_FUA (1U << 0)	   /* with WRITE: complete it when the medium has it */
#define UDRV_BLK_NO_UNMAP (1U << 1) /* with WRITE_ZEROES: do not deallocate */

/**
 * struct udrv_blk_request - something to do
 * @offset:	first byte on the disk, a multiple of its logical block
 * @bytes:	how many, likewise; 0 with FLUSH
 * @tag:	its name, for done; less than queue_depth
 * @op:		UDRV_BLK_READ and the others
 * @flags:	UDRV_BLK_FUA, UDRV_BLK_NO_UNMAP
 * @segment_count: entries of segments that it uses
 * @unit:	which disk
 * @reserved:	0
 */
struct udrv_blk_request {
	__aligned_u64 offset;
	__u32 bytes;
	__u16 tag;
	__u8 op;
	__u8 flags;
	__u16 segment_count;
	__u16 unit;
	__u32 reserved;
};

/**
 * struct udrv_blk_segment - a piece of a request's data
 * @address:	where it lies, for the device (without one: offset in the mapping)
 * @length:	bytes
 * @reserved:	0
 */
struct udrv_blk_segment {
	__aligned_u64 address;
	__u32 length;
	__u32 reserved;
};

/* udrv_blk_done.status */
#define UDRV_BLK_OK 0U
#define UDRV_BLK_IOERR 1U	/* EIO */
#define UDRV_BLK_NOTSUPP 2U	/* EOPNOTSUPP */
#define UDRV_BLK_MEDIUM 3U	/* ENODATA: the medium has lost it */
#define UDRV_BLK_TIMEOUT 4U	/* ETIMEDOUT */
#define UDRV_BLK_PROTECTION 5U	/* EILSEQ: its check of the data failed */
#define UDRV_BLK_NOSPC 6U	/* ENOSPC */

/**
 * struct udrv_blk_done - a request is done
 * @tag:	which
 * @status:	UDRV_BLK_OK and the others; an unknown one is IOERR
 * @bytes:	from its beginning on, as many are read or written. If fewer than it asked for, the
 *		rest has failed, with OK as IOERR.
 */
struct udrv_blk_done {
	__u16 tag;
	__u16 status;
	__u32 bytes;
};

/**
 * struct udrv_blk_rings - the beginning of a queue's part of the mapping
 * @requests:	see above
 * @done:	likewise
 */
struct udrv_blk_rings {
	struct udrv_ring requests;
	struct udrv_ring done;
};

/* ------------------------------------------------------------------------------------------------
 * Calls
 */

#define UDRV_BLK_QUEUES_MAX 16U
#define UDRV_BLK_DEPTH_MIN 2U
#define UDRV_BLK_DEPTH_MAX 1024U
#define UDRV_BLK_SEGMENTS_MAX 256U
#define UDRV_BLK_BYTES_MAX (4U << 20)	    /* of a request */
#define UDRV_BLK_COPY_BYTES_MAX (128U << 20) /* of all buffers, where data is copied */
#define UDRV_BLK_UNITS_MAX 256U
#define UDRV_BLK_TIMEOUT_MS 30000U
#define UDRV_BLK_MS_MAX 600000U
#define UDRV_BLK_NAME_BYTES 32
#define UDRV_BLK_ID_BYTES 64

/* udrv_ioc_blk_attach.flags */
#define UDRV_BLK_DEVICE_IS_RESET (1U << 0) /* nothing runs in it that was begun before */
#define UDRV_BLK_END_HUNG (1U << 1)	   /* end this driver if it hangs */

/* udrv_ioc_blk_attach.state */
#define UDRV_BLK_TAKEN_OVER (1U << 0) /* there are disks already, waiting for their driver */
#define UDRV_BLK_COPIES (1U << 1)     /* data is copied: confined tier, or no device */

/**
 * struct udrv_ioc_blk_attach - UDRV_IOC_BLK_ATTACH: be the driver of a device's disks
 * @size:	in: sizeof(this struct)
 * @flags:	in: UDRV_BLK_DEVICE_IS_RESET, UDRV_BLK_END_HUNG
 * @device_fd:	in: the node whose device moves the data; -1: no device
 * @queue_count: in: 1 to 16
 * @queue_depth: in: most requests on their way in each queue, 2 to 1,024
 * @max_segments: in: of a request, 1 to 256
 * @max_bytes:	in: of a request, a multiple of 4,096, up to 4 MiB
 * @max_segment_bytes: in: at least 4,096; 0, and with @virt_boundary: @max_bytes
 * @virt_boundary: in: 4,096: segments but the first begin at a multiple of it, and those but the last
 *		end at one (PRP lists); 0: no such limit
 * @dma_alignment: in: a power of two, 4 to 4,096: what addresses are a multiple of, those of a direct
 *		request's memory too; 0: 512
 * @timeout_ms:	in: after how long a request that is not done is told of, up to 600,000; 0: 30,000
 * @deadline_ms: in: how long disks wait for a driver before their requests fail, up to 600,000; 0: for
 *		ever
 * @state:	out: UDRV_BLK_TAKEN_OVER, UDRV_BLK_COPIES
 * @ring_entries: out: entries of each ring, a power of two
 * @map_bytes:	out: to be mapped at offset 0
 * @queue_bytes: out: queue n begins at n * @queue_bytes, with struct udrv_blk_rings
 * @requests_offset: out: where its entries begin, from the queue's beginning
 * @done_offset: out: likewise
 * @segments_offset: out: likewise
 * @reserved:	in: 0
 *
 * Where a device has disks that nobody drives, they are taken over: all limits must be the same.
 * Otherwise the caller needs CAP_SYS_ADMIN. Taking over needs to be their owner (the user who made
 * them), or that capability. A disk that is taken over goes on when BLK_DISK_ADD has named it.
 *
 * Requests that the driver before had and did not complete are issued again. That must not be while
 * the device may still work on them: a write of the old life would land over one of the new. So they
 * are kept until the device was reset at that driver's end, by the kernel, if it has a function-level reset,
 * or by that driver's program (UDRV_PROG_RESET), or the next driver says UDRV_BLK_DEVICE_IS_RESET.
 *
 * With UDRV_BLK_END_HUNG, a driver hangs if a request is late, and late again after another @timeout_ms,
 * and nobody has made a turn of its queue meanwhile, nor waits in one; but not while its process, the one
 * that attached, is stopped, frozen or traced. It is ended then, as "udrv revoke" ends it: its calls fail
 * with ENODEV, and its disks and their requests wait for the next driver (without a device, they go).
 *
 * Errors: EBADF, EINVAL @device_fd is no node; EPERM; EBUSY somebody drives them, or this descriptor
 * is attached already; EOWNERDEAD the device may still work for the driver before: reset it, and say so
 * (UDRV_BLK_DEVICE_IS_RESET); EINVAL a bad value, or not what the disks were made with;
 * EOPNOTSUPP the device does not reach all memory (DMA_MASK), and nothing helps it; ENOMEM: also
 * RLIMIT_MEMLOCK, against which the buffers count that a confined device reaches.
 */
struct udrv_ioc_blk_attach {
	__u32 size;
	__u32 flags;
	__s32 device_fd;
	__u32 queue_count;
	__u32 queue_depth;
	__u32 max_segments;
	__u32 max_bytes;
	__u32 max_segment_bytes;
	__u32 virt_boundary;
	__u32 dma_alignment;
	__u32 timeout_ms;
	__u32 deadline_ms;
	__u32 state;
	__u32 ring_entries;
	__aligned_u64 map_bytes;
	__aligned_u64 queue_bytes;
	__u32 requests_offset;
	__u32 done_offset;
	__u32 segments_offset;
	__u32 reserved;
};
#define UDRV_IOC_BLK_ATTACH _IO(UDRV_IOC_TYPE, 0x60)

/* udrv_ioc_blk_disk.features */
#define UDRV_BLK_WRITE_CACHE (1U << 0)	/* a write may be lost until a FLUSH: send those */
#define UDRV_BLK_HAS_FUA (1U << 1)	/* wants WRITE_CACHE; else a flush follows such a write */
#define UDRV_BLK_ROTATIONAL (1U << 2)
#define UDRV_BLK_READ_ONLY (1U << 3)

/**
 * struct udrv_ioc_blk_disk - UDRV_IOC_BLK_DISK_ADD, _RESIZE, _REMOVE
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @unit:	in: which of the device's disks, 0 to 255
 * @features:	in: UDRV_BLK_WRITE_CACHE and the others
 * @bytes:	in: its capacity, a multiple of the logical block; with RESIZE the new one
 * @logical_block: in: bytes, a power of two, 512 to 4,096
 * @physical_block: in: likewise, to 65,536; 0: the logical block
 * @io_opt:	in: bytes, what requests are best a multiple of; 0
 * @discard_bytes: in: most in one DISCARD; 0: none is sent
 * @discard_granularity: in: bytes; 0: the logical block
 * @zeroes_bytes: in: most in one WRITE_ZEROES; 0: none is sent
 * @reserved:	in: 0
 * @id:		in: what tells this medium from others, its serial number for example, up to the first
 *		zero byte
 * @name:	in: "udrv" and up to 20 small letters, or as many digits; or "udrv%d": the first that is free.
 *		Taken over: the name that it has, or "udrv%d". out: its name
 *
 * DISK_ADD returns before the disk is there: the kernel looks for partitions first, which the caller
 * has to serve. It appears in /dev as any disk does. Of one that waits for its driver (same @unit) the
 * fields must be the same, but for @bytes, which may have grown; from then on requests come.
 *
 * RESIZE takes @unit and @bytes, REMOVE @unit; the others are 0. REMOVE returns before the disk is
 * gone; what is still to be written comes first.
 *
 * Errors: EINVAL not attached, a bad value, not what the disk was made with; EBUSY the unit is served
 * already; EEXIST another disk has that name; ENOENT RESIZE, REMOVE: no such disk; EFAULT, and where it
 * is only the answer of DISK_ADD that cannot be written, the disk is there; ENOMEM; ENODEV.
 */
struct udrv_ioc_blk_disk {
	__u32 size;
	__u32 flags;
	__u32 unit;
	__u32 features;
	__aligned_u64 bytes;
	__u32 logical_block;
	__u32 physical_block;
	__u32 io_opt;
	__u32 discard_bytes;
	__u32 discard_granularity;
	__u32 zeroes_bytes;
	__aligned_u64 reserved;
	__u8 id[UDRV_BLK_ID_BYTES];
	__u8 name[UDRV_BLK_NAME_BYTES];
};
#define UDRV_IOC_BLK_DISK_ADD _IO(UDRV_IOC_TYPE, 0x61)
#define UDRV_IOC_BLK_DISK_RESIZE _IO(UDRV_IOC_TYPE, 0x62)
#define UDRV_IOC_BLK_DISK_REMOVE _IO(UDRV_IOC_TYPE, 0x63)

/* udrv_ioc_blk_turn.ready */
#define UDRV_BLK_READY_REQUEST (1U << 0) /* there are entries in requests */
#define UDRV_BLK_READY_IRQ (1U << 1)	 /* the queue's vector has fired */
#define UDRV_BLK_READY_LATE (1U << 2)	 /* a request has not been done in time: @late_tag */
#define UDRV_BLK_READY_KICK (1U << 3)	 /* BLK_KICK was called */

#define UDRV_BLK_FOREVER (~0ULL)

/**
 * struct udrv_ioc_blk_turn - UDRV_IOC_BLK_TURN: hand in, wait
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @queue:	in: which
 * @ready:	in: UDRV_BLK_READY_* bits that are not to be waited for; out: what there is
 * @timeout_ns:	in: how long to wait if there is nothing; 0: not at all; UDRV_BLK_FOREVER
 * @irq_count:	out: interrupts of the queue's vector since the last turn
 * @late_tag:	out: with READY_LATE: which; one at a time
 * @irq_value:	out: what the acknowledge program read, ORed
 * @bad_entries: out: entries of done that made no sense since the attach
 * @reserved:	in: 0
 *
 * Takes what is in done, completes those requests, and then waits until there is an entry in requests
 * that was not consumed, an interrupt, or a request that is late. INTx is armed by waiting. A signal
 * ends the wait with EINTR; what was handed in stays so.
 *
 * LATE is told again whenever the time has passed once more. The request stays the driver's: it aborts
 * it or resets the device, and completes it.
 *
 * Entries that make no sense (a tag that is not on its way, or not there) are dropped and counted.
 *
 * Errors: EINVAL no such queue, not attached; EBUSY another thread waits in this queue (what was handed
 * in is taken all the same); EINTR; ENODEV the device is gone.
 */
struct udrv_ioc_blk_turn {
	__u32 size;
	__u32 flags;
	__u32 queue;
	__u32 ready;
	__aligned_u64 timeout_ns;
	__u32 irq_count;
	__u32 late_tag;
	__aligned_u64 irq_value;
	__u32 bad_entries;
	__u32 reserved;
};
#define UDRV_IOC_BLK_TURN _IO(UDRV_IOC_TYPE, 0x64)

/**
 * struct udrv_ioc_blk_queue - UDRV_IOC_BLK_VECTOR, UDRV_IOC_BLK_KICK
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @queue:	in: which
 * @vector:	in: BLK_VECTOR: the device's vector whose interrupts this queue is to be told of, and
 *		nobody else, until interrupts are set up anew; BLK_KICK: 0
 *
 * The vector's interrupts (MSI, MSI-X) are steered to the processors whose requests come to this queue, if there
 * are others; whoever sets their affinity afterwards has it.
 *
 * BLK_KICK ends the queue's wait, or its next one, from another thread or a signal handler.
 *
 * Errors: EINVAL no such queue or vector, no device, not attached; EBUSY the vector has an eventfd, or
 * is another queue's; ENOMEM; EINTR; ENODEV.
 */
struct udrv_ioc_blk_queue {
	__u32 size;
	__u32 flags;
	__u32 queue;
	__u32 vector;
};
#define UDRV_IOC_BLK_VECTOR _IO(UDRV_IOC_TYPE, 0x65)
#define UDRV_IOC_BLK_KICK _IO(UDRV_IOC_TYPE, 0x66)

#endif /* _UAPI_UDRV_BLK_H */
