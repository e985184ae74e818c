/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * udrv.h - the calls of a device node /dev/udrv/pci-B:S.F
 *
 * Everything that a driver in a process needs goes through one descriptor:
 *
 *   read()          waits for interrupts (struct udrv_irq_record, or 4 bytes)
 *   poll(), epoll   the same as readiness: POLLIN; POLLHUP once the device is gone
 *   pread/pwrite    one register, at a region's offset (REGION_INFO): 1, 2, 4 or 8 bytes, aligned
 *   mmap()          a BAR or a consistent DMA buffer, MAP_SHARED
 *   ioctl()         the calls below
 *
 * Each call takes one struct that begins with its own size and with flags. A caller built against
 * an older header passes a smaller struct, and the fields that it does not know read as zero; one
 * built against a newer header passes a larger one, and is refused (E2BIG) only if it uses what
 * this kernel does not know. Flags that are not listed and reserved fields must be zero (EINVAL).
 * The layout is the same for 32-bit and 64-bit callers. A call that fails has changed nothing and
 * has written nothing back, but where its comment says so.
 *
 * A descriptor that is open for reading only looks: pread, a read-only mmap, and the calls that end
 * in _INFO. Whatever would change something is refused (EBADF). So are read() and poll() (POLLERR),
 * which set interrupts up.
 *
 * Errors of every call:
 *   ENOTTY      no such call in this kernel
 *   EBADF       the descriptor is open for reading only, and the call changes something
 *   EFAULT      the struct, or memory that it points to, is not accessible
 *   E2BIG       the struct is larger than this kernel's, and the surplus is not zero
 *   EINVAL      a struct smaller than the call's first version, an unknown flag, a reserved field
 *               that is not zero, a value out of range
 *   EOPNOTSUPP  this device cannot do it
 *   ENODEV      the device is gone, or was taken from this descriptor; open the node again
 *   EINTR       a signal arrived while the call waited its turn
 *
 * States that a call can need: "open" (any descriptor), "mastering" (bus mastering is on).
 */
#ifndef _UAPI_UDRV_UDRV_H
#define _UAPI_UDRV_UDRV_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define UDRV_IOC_TYPE 0xBE

/* ------------------------------------------------------------------------------------------------
 * Device
 */

/* What this kernel's udrv can do: bits of udrv_ioc_device_info.features. */
#define UDRV_FEATURE_IRQ (1ULL << 0)		/* interrupts by read(), poll, signal */
#define UDRV_FEATURE_IRQ_EVENTFD (1ULL << 1)	/* IRQ_ATTACH, IRQ_DETACH */
#define UDRV_FEATURE_BAR_WC (1ULL << 2)		/* write-combining mappings */
#define UDRV_FEATURE_DMA_CONSISTENT (1ULL << 3) /* DMA_ALLOC, DMA_FREE */
#define UDRV_FEATURE_DMA_STREAMING (1ULL << 4)	/* DMA_MAP, DMA_UNMAP, DMA_SYNC */
#define UDRV_FEATURE_PROG (1ULL << 5)		/* PROG_SET, PROG_RUN */

/* udrv_ioc_device_info.state */
#define UDRV_DEVICE_BUS_MASTER (1U << 0) /* bus mastering is on */
#define UDRV_DEVICE_RESET (1U << 1)	 /* DEVICE_RESET can work here */
#define UDRV_DEVICE_IOMMU (1U << 2)	 /* an IOMMU translates this device's DMA */
#define UDRV_DEVICE_INTX_MASK (1U << 3)	 /* the interrupt disable bit works: a shared line */
#define UDRV_DEVICE_CONFINED (1U << 4)	 /* the IOMMU keeps the device to what it was given */

/**
 * struct udrv_ioc_device_info - UDRV_IOC_DEVICE_INFO: what device this is
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @features:	out: UDRV_FEATURE_* bits
 * @state:	out: UDRV_DEVICE_* bits
 * @domain:	out: PCI domain (segment)
 * @bus:	out: bus number
 * @slot:	out: device number on the bus, 0 to 31
 * @function:	out: function number, 0 to 7
 * @revision:	out: revision ID
 * @vendor:	out: vendor ID
 * @device:	out: device ID
 * @subsystem_vendor: out: subsystem vendor ID
 * @subsystem_device: out: subsystem ID
 * @class_code:	out: 24 bits: base class, sub-class, programming interface
 * @region_count: out: indices below this are valid for REGION_INFO
 * @intx_count:	out: 1 if the device has an INTx line, else 0
 * @msi_count:	out: most MSI vectors that the device offers, 0 to 32
 * @msix_count:	out: most MSI-X vectors that the device offers, 0 to 2048
 * @dma_mask_bits: out: DMA address width in force, in bits (32 until DMA_MASK)
 * @iommu_group: out: IOMMU group number, -1 if there is none
 * @numa_node:	out: memory node next to the device, -1 if not known
 *
 * State: open.
 */
struct udrv_ioc_device_info {
	__u32 size;
	__u32 flags;
	__aligned_u64 features;
	__u32 state;
	__u32 domain;
	__u8 bus;
	__u8 slot;
	__u8 function;
	__u8 revision;
	__u16 vendor;
	__u16 device;
	__u16 subsystem_vendor;
	__u16 subsystem_device;
	__u32 class_code;
	__u32 region_count;
	__u32 intx_count;
	__u32 msi_count;
	__u32 msix_count;
	__u32 dma_mask_bits;
	__s32 iommu_group;
	__s32 numa_node;
	__u32 reserved;
};
#define UDRV_IOC_DEVICE_INFO _IO(UDRV_IOC_TYPE, 0x00)

/**
 * struct udrv_ioc_device_bus_master - UDRV_IOC_DEVICE_BUS_MASTER: allow or stop the device's DMA
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @enable:	in: 1 on, 0 off
 * @reserved:	in: 0
 *
 * Off at open. Reset the device, or stop its engines, before turning it on: a device left running
 * by an earlier driver would go on with addresses that are no longer its own. MSI and MSI-X are
 * bus-master writes: without it they do not arrive. Off waits until pending transactions are
 * through.
 *
 * State: open.
 */
struct udrv_ioc_device_bus_master {
	__u32 size;
	__u32 flags;
	__u32 enable;
	__u32 reserved;
};
#define UDRV_IOC_DEVICE_BUS_MASTER _IO(UDRV_IOC_TYPE, 0x01)

/**
 * struct udrv_ioc_device_reset - UDRV_IOC_DEVICE_RESET: reset this function
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 *
 * The quickest reset that the device has (FLR, power cycle, secondary bus where it is alone there).
 * Afterwards bus mastering is off; interrupts that were set up and DMA mappings stay. BAR mappings
 * stay, and are not reachable while the reset runs: an access waits.
 *
 * Errors: EOPNOTSUPP the device has no reset; EAGAIN the device is busy in the kernel, try again; EIO
 * it did not come back (bus mastering is off).
 * State: open.
 */
struct udrv_ioc_device_reset {
	__u32 size;
	__u32 flags;
};
#define UDRV_IOC_DEVICE_RESET _IO(UDRV_IOC_TYPE, 0x02)

/* ------------------------------------------------------------------------------------------------
 * Regions: BARs and config space
 */

/* Region indices: BAR n is n. */
#define UDRV_REGION_BAR0 0U
#define UDRV_REGION_BAR5 5U
#define UDRV_REGION_CONFIG 6U
#define UDRV_REGION_COUNT 7U

/* udrv_ioc_region_info.region_flags */
#define UDRV_REGION_READ (1U << 0)	 /* pread */
#define UDRV_REGION_WRITE (1U << 1)	 /* pwrite */
#define UDRV_REGION_MMAP (1U << 2)	 /* mmap, but for the excluded range */
#define UDRV_REGION_PORT (1U << 3)	 /* I/O ports: pread and pwrite only, 1, 2 or 4 bytes */
#define UDRV_REGION_PREFETCH (1U << 4)	 /* the BAR is prefetchable */
#define UDRV_REGION_64BIT (1U << 5)	 /* the BAR is 64 bits wide, and takes two indices */

/**
 * struct udrv_ioc_region_info - UDRV_IOC_REGION_INFO: where a BAR lies in the descriptor
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @index:	in: UDRV_REGION_*
 * @region_flags: out: UDRV_REGION_* bits; 0 where the device has no such BAR
 * @offset:	out: file offset of the region's byte 0: never 0, below 2^44
 * @offset_wc:	out: file offset of the same BAR for a write-combining mmap; 0: none. A page has one
 *		memory type at a time: mapped write-combining once, it is so for every mapping until
 *		the descriptor's end. A page that a kept register program uses cannot be (EBUSY)
 * @length:	out: length in bytes; 0 where the device has no such BAR
 * @nomap_offset: out: first byte in the BAR that mmap refuses (MSI-X table and pending bits live
 *		there), a multiple of the page size
 * @nomap_length: out: length in bytes of that range, in whole pages; 0: all of it can be mapped
 *
 * pread and pwrite of a register fail with EINVAL for a width that the region does not have, an
 * offset that is not a multiple of it, or one past the end; with EPERM for a write to the MSI-X
 * table or to config space that a driver may not change. mmap fails with EINVAL outside a region,
 * for the excluded range and for MAP_PRIVATE; with EPERM for PROT_EXEC.
 *
 * State: open.
 */
struct udrv_ioc_region_info {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 region_flags;
	__aligned_u64 offset;
	__aligned_u64 offset_wc;
	__aligned_u64 length;
	__aligned_u64 nomap_offset;
	__aligned_u64 nomap_length;
};
#define UDRV_IOC_REGION_INFO _IO(UDRV_IOC_TYPE, 0x03)

/* ------------------------------------------------------------------------------------------------
 * Interrupts
 */

/**
 * struct udrv_irq_record - what read() returns for each vector that has fired
 * @vector:	vector number, from 0
 * @count:	interrupts since the last read of this vector, at least 1
 * @time_ns:	CLOCK_MONOTONIC time of the first of them
 * @value:	what the acknowledge program read (PROG_SET), of all of them, ORed; 0 without one
 *
 * read() with room for n records returns up to n of them, one for each vector with interrupts
 * pending. With exactly 4 bytes it waits for vector 0 and returns that vector's running total as a
 * __u32. Any other size below one record is EINVAL. If no interrupts are set up, read() sets up one
 * vector first: MSI-X or MSI if bus mastering is on, else INTx (EINVAL if the device has MSI only
 * and bus mastering is off, EOPNOTSUPP if it has no interrupt at all). So does poll(). A reader that
 * is blocked while IRQ_SETUP changes the set-up waits on, for what the new one brings; after
 * UDRV_IRQ_NONE that is one vector again. preadv2() at offset -1 (or 0) with RWF_NOWAIT is one read
 * that does not wait (EAGAIN).
 *
 * INTx is masked when it fires and armed by waiting: by a read() or poll() that finds nothing
 * pending (O_NONBLOCK: that returns EAGAIN). There is no call to make between two interrupts.
 */
struct udrv_irq_record {
	__u32 vector;
	__u32 count;
	__aligned_u64 time_ns;
	__aligned_u64 value;
};

#define UDRV_IRQ_NONE 0U
#define UDRV_IRQ_INTX 1U
#define UDRV_IRQ_MSI 2U
#define UDRV_IRQ_MSIX 3U

/* udrv_ioc_irq_setup.flags */
/*
 * INTx: the interrupt disable bit is broken, do not use it. The line can be shared then only with
 * an acknowledge program (PROG_SET); without one, EBUSY if it is. A confined driver may say so only
 * of a device that has no such bit (EPERM).
 */
#define UDRV_IRQ_SETUP_NO_DISINTX (1U << 0)

/**
 * struct udrv_ioc_irq_setup - UDRV_IOC_IRQ_SETUP: choose the kind and number of vectors
 * @size:	in: sizeof(this struct)
 * @flags:	in: UDRV_IRQ_SETUP_* bits
 * @kind:	in: UDRV_IRQ_*; UDRV_IRQ_NONE gives all vectors back
 * @count:	in: vectors wanted, 0 for all that the device has; out: vectors set up.
 *		With ENOSPC, out: what could be had
 *
 * Replaces an earlier set-up: its pending counts are dropped and its eventfds detached. Vectors are
 * unmasked; INTx starts masked and is armed by waiting.
 *
 * With ENOSPC, EBUSY and ENOMEM the earlier set-up is gone too, and nothing is set up.
 *
 * Errors: EINVAL MSI or MSI-X while bus mastering is off, or more vectors than the device has;
 * EOPNOTSUPP the device has no such kind; ENOSPC the kernel has fewer vectors free; EBUSY the line
 * cannot be had exclusively; EPERM UDRV_IRQ_SETUP_NO_DISINTX of a confined driver, where the bit works.
 * State: open; MSI and MSI-X: mastering.
 */
struct udrv_ioc_irq_setup {
	__u32 size;
	__u32 flags;
	__u32 kind;
	__u32 count;
};
#define UDRV_IOC_IRQ_SETUP _IO(UDRV_IOC_TYPE, 0x10)

/* udrv_ioc_irq_info.state */
#define UDRV_IRQ_MASKED (1U << 0)
#define UDRV_IRQ_EVENTFD (1U << 1)

/**
 * struct udrv_ioc_irq_info - UDRV_IOC_IRQ_INFO: a vector's state
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @vector:	in: vector number
 * @kind:	out: UDRV_IRQ_*
 * @count:	out: vectors set up
 * @state:	out: UDRV_IRQ_MASKED, UDRV_IRQ_EVENTFD
 * @linux_irq:	out: its number in /proc/interrupts and /proc/irq
 * @pending:	out: interrupts not read yet
 * @total:	out: interrupts since IRQ_SETUP
 *
 * Errors: EINVAL no such vector (with none set up: vector 0 answers with kind UDRV_IRQ_NONE).
 * State: open.
 */
struct udrv_ioc_irq_info {
	__u32 size;
	__u32 flags;
	__u32 vector;
	__u32 kind;
	__u32 count;
	__u32 state;
	__u32 linux_irq;
	__u32 pending;
	__aligned_u64 total;
};
#define UDRV_IOC_IRQ_INFO _IO(UDRV_IOC_TYPE, 0x11)

/**
 * struct udrv_ioc_irq_range - UDRV_IOC_IRQ_MASK, UDRV_IOC_IRQ_UNMASK: hold vectors back, let them
 * go
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @vector:	in: first vector
 * @count:	in: number of vectors, at least 1
 *
 * What a masked vector's device signals is delivered, once, when it is unmasked. UNMASK is also how
 * users of eventfd, O_ASYNC or edge-triggered epoll arm INTx. Masking twice is masking once.
 * On INTx, waiting arms: a mask by hand lasts until the next read() or poll() that finds nothing.
 *
 * Errors: EINVAL vectors beyond the set-up.
 * State: open, interrupts set up.
 */
struct udrv_ioc_irq_range {
	__u32 size;
	__u32 flags;
	__u32 vector;
	__u32 count;
};
#define UDRV_IOC_IRQ_MASK _IO(UDRV_IOC_TYPE, 0x12)
#define UDRV_IOC_IRQ_UNMASK _IO(UDRV_IOC_TYPE, 0x13)

/**
 * struct udrv_ioc_irq_attach - UDRV_IOC_IRQ_ATTACH, UDRV_IOC_IRQ_DETACH: send a vector to an
 * eventfd
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @vector:	in: vector number
 * @fd:		in: ATTACH: an eventfd; DETACH: -1
 *
 * While attached, the vector's interrupts add to the eventfd and wake nothing else: not read(), not
 * poll() on the node. What was pending is moved to the eventfd (at most 65536 of it). ATTACH on an
 * attached vector replaces the eventfd. The kernel holds the eventfd until DETACH, IRQ_SETUP or the
 * descriptor's end.
 *
 * Errors: EBADF fd is not open; EINVAL it is not an eventfd, no such vector; EBUSY ATTACH of a vector
 * that wakes a queue of an upper half (NET_VECTOR); ENOENT DETACH of a vector without one. State:
 * open, interrupts set up.
 */
struct udrv_ioc_irq_attach {
	__u32 size;
	__u32 flags;
	__u32 vector;
	__s32 fd;
};
#define UDRV_IOC_IRQ_ATTACH _IO(UDRV_IOC_TYPE, 0x14)
#define UDRV_IOC_IRQ_DETACH _IO(UDRV_IOC_TYPE, 0x15)

/* ------------------------------------------------------------------------------------------------
 * Register programs
 */

/* udrv_prog_op.op */
#define UDRV_PROG_READ 1U   /* last = register */
#define UDRV_PROG_WRITE 2U  /* register = value; with UDRV_PROG_LAST: last & mask */
#define UDRV_PROG_MODIFY 3U /* last = register; register = (last & ~mask) | value */
#define UDRV_PROG_TEST 4U   /* stop unless (last & mask) == value; with UDRV_PROG_NOT: if it is */
#define UDRV_PROG_POLL 5U   /* last = register, until (last & mask) == value; NOT: != */

/* udrv_prog_op.flags */
#define UDRV_PROG_LAST (1U << 0) /* WRITE */
#define UDRV_PROG_NOT (1U << 1)	 /* TEST, POLL */

/* Most operations in a program, and most time that its POLLs may take together. */
#define UDRV_PROG_MAX_OPS 256U
#define UDRV_PROG_MAX_US 100000U

/**
 * struct udrv_prog_op - one operation on a register
 * @op:		UDRV_PROG_*
 * @bar:	0 to 5 (TEST: 0)
 * @width:	1, 2, 4 or 8 bytes; a port BAR has no 8 (TEST: 0)
 * @flags:	UDRV_PROG_LAST, UDRV_PROG_NOT, where the operation has them
 * @timeout_us:	POLL: microseconds, at least 1, after which the program fails; others: 0
 * @offset:	in the BAR, a multiple of @width, outside the MSI-X table (TEST: 0)
 * @mask:	MODIFY, TEST, POLL, and WRITE with LAST; others: 0
 * @value:	WRITE without LAST, MODIFY, TEST, POLL; others: 0
 *
 * A program runs from its first operation on. "last" is what was last read, 0 at the start.
 */
struct udrv_prog_op {
	__u8 op;
	__u8 bar;
	__u8 width;
	__u8 flags;
	__u32 timeout_us;
	__aligned_u64 offset;
	__aligned_u64 mask;
	__aligned_u64 value;
};

/* udrv_ioc_prog_set.use */
#define UDRV_PROG_ACK 1U     /* in the interrupt handler of INTx */
#define UDRV_PROG_QUIESCE 2U /* at the driver's end */
#define UDRV_PROG_RESET 3U   /* likewise, and nothing runs in the device afterwards */

/**
 * struct udrv_ioc_prog_set - UDRV_IOC_PROG_SET: keep a program for a purpose
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @use:	in: UDRV_PROG_ACK, UDRV_PROG_QUIESCE or UDRV_PROG_RESET
 * @count:	in: operations, 0 to UDRV_PROG_MAX_OPS; 0 takes the program away
 * @ops:	in: address of an array of struct udrv_prog_op
 *
 * ACK (needs CAP_SYS_RAWIO, and not on a confined device): from the next IRQ_SETUP of INTx on, the
 * handler runs the program. If a TEST stops it, the interrupt was somebody else's; else it was this
 * device's, and what READs read is ORed into the record's value. The program must make the device
 * release the line: by acknowledging, or by masking in the device's own registers. INTx is not
 * masked otherwise and waiting does not arm it: the driver does, at the device. No POLL. It may run
 * at any time, for a neighbour's interrupt too, in the middle of PROG_RUN's program too: where
 * registers are behind an index, see udrv_prog(3).
 *
 * QUIESCE: runs when the driver ends, however it ends, after bus mastering went off: stop the
 * engines.
 *
 * RESET: in its place, and more: once it has run to its end (no TEST stopped it, no POLL's time was over),
 * nothing runs in the device that was begun before, by the driver's word. A function-level reset, which
 * takes 100 ms, is left out then at its end and at REVOKE's, and requests of its disks may be issued again
 * (blk.h). On a confined device it is a QUIESCE: nobody need trust the word of who had it before. So the
 * reset is made up for when the device is unbound, or opened in the confined tier.
 *
 * Errors: EINVAL an operation that is not valid; EPERM no right to ACK, or the MSI-X table; EBUSY
 * ACK while interrupts are set up; ENOMEM. State: open; ACK: no interrupts set up.
 */
struct udrv_ioc_prog_set {
	__u32 size;
	__u32 flags;
	__u32 use;
	__u32 count;
	__aligned_u64 ops;
};
#define UDRV_IOC_PROG_SET _IO(UDRV_IOC_TYPE, 0x18)

/**
 * struct udrv_ioc_prog_run - UDRV_IOC_PROG_RUN: run a program now: many register accesses, one call
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @count:	in: operations, 1 to UDRV_PROG_MAX_OPS
 * @done:	out: operations that were executed, a TEST that stopped or a POLL that failed
 *	included
 * @ops:	in: address of an array of struct udrv_prog_op
 * @values:	in: address of an array of @count __u64: "last" after each operation executed; 0:
 *	none
 *
 * Errors: EINVAL, EPERM as for PROG_SET; ETIMEDOUT a POLL's time was over (@done and @values are
 * written).
 * State: open.
 */
struct udrv_ioc_prog_run {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 done;
	__aligned_u64 ops;
	__aligned_u64 values;
};
#define UDRV_IOC_PROG_RUN _IO(UDRV_IOC_TYPE, 0x19)

/* ------------------------------------------------------------------------------------------------
 * DMA
 */

/* The longest consistent buffer, and the most of them at a time for one descriptor. */
#define UDRV_DMA_ALLOC_MAX_BYTES (1ULL << 28)
#define UDRV_DMA_ALLOC_MAX_COUNT 32767U

#define UDRV_DMA_TO_DEVICE 1U	  /* the device reads */
#define UDRV_DMA_FROM_DEVICE 2U	  /* the device writes */
#define UDRV_DMA_BIDIRECTIONAL 3U /* both */

/**
 * struct udrv_ioc_dma_mask - UDRV_IOC_DMA_MASK: how wide the device's addresses are
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @bits:	in: 24 to 64; addresses given out afterwards lie below 2^bits
 * @reserved:	in: 0
 *
 * 32 bits at open.
 *
 * Errors: EBUSY there are buffers or mappings; EOPNOTSUPP the system has no memory that low.
 * State: open.
 */
struct udrv_ioc_dma_mask {
	__u32 size;
	__u32 flags;
	__u32 bits;
	__u32 reserved;
};
#define UDRV_IOC_DMA_MASK _IO(UDRV_IOC_TYPE, 0x20)

/**
 * struct udrv_ioc_dma_alloc - UDRV_IOC_DMA_ALLOC: memory that CPU and device share without sync
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @length:	in: length in bytes, 1 to UDRV_DMA_ALLOC_MAX_BYTES; out: in whole pages
 * @iova:	out: address for the device, contiguous, aligned to a page; up to 1 MiB, to the
 *		length rounded up to a power of two pages
 * @offset:	out: file offset for mmap; any part of the buffer may be mapped, in whole pages
 * @handle:	out: for DMA_FREE, never 0
 * @reserved:	in: 0
 *
 * The memory is zeroed. It is charged to the caller's RLIMIT_MEMLOCK and memory cgroup. What a
 * descriptor holds in all, charged to whatever process, may not exceed the caller's RLIMIT_MEMLOCK
 * either, unless it has CAP_IPC_LOCK: pages stay after the process that mapped them has ended.
 *
 * Errors: ENOMEM no such memory, or the limit is reached; ENOSPC too many buffers.
 * State: open.
 */
struct udrv_ioc_dma_alloc {
	__u32 size;
	__u32 flags;
	__aligned_u64 length;
	__aligned_u64 iova;
	__aligned_u64 offset;
	__u32 handle;
	__u32 reserved;
};
#define UDRV_IOC_DMA_ALLOC _IO(UDRV_IOC_TYPE, 0x21)

/**
 * struct udrv_ioc_dma_handle - UDRV_IOC_DMA_FREE, UDRV_IOC_DMA_UNMAP: give a handle back
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @handle:	in: from DMA_ALLOC (FREE) or DMA_MAP (UNMAP)
 * @reserved:	in: 0
 *
 * FREE: the device must no longer use the memory. It goes back to the system when its last mapping
 * is gone too. UNMAP: what the device wrote is visible to the CPU when the call returns.
 *
 * Where the device is not confined and its IOMMU is lazy, or there is none, it could still reach the
 * memory after FREE and UNMAP (with a lazy IOMMU for some milliseconds): it must have been stopped
 * before, as by a kernel's driver. What is held at the descriptor's end is safe from that.
 *
 * Errors: ENOENT no such handle, or one of the other kind.
 * State: open.
 */
struct udrv_ioc_dma_handle {
	__u32 size;
	__u32 flags;
	__u32 handle;
	__u32 reserved;
};
#define UDRV_IOC_DMA_FREE _IO(UDRV_IOC_TYPE, 0x22)

/**
 * struct udrv_dma_segment - one contiguous piece of a streaming mapping
 * @iova:	address for the device
 * @length:	length in bytes
 */
struct udrv_dma_segment {
	__aligned_u64 iova;
	__aligned_u64 length;
};

/**
 * struct udrv_ioc_dma_map - UDRV_IOC_DMA_MAP: let the device reach the caller's own memory
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @user_addr:	in: start of the memory, any alignment
 * @length:	in: length in bytes
 * @segments:	in: address of an array of struct udrv_dma_segment
 * @segment_count: in: its length; out: segments used. With ENOSPC, out: segments needed
 * @direction:	in: UDRV_DMA_TO_DEVICE, UDRV_DMA_FROM_DEVICE or UDRV_DMA_BIDIRECTIONAL
 * @handle:	out: for DMA_SYNC and DMA_UNMAP, never 0
 * @reserved:	in: 0
 *
 * The pages are pinned, and charged to RLIMIT_MEMLOCK (see DMA_ALLOC), until DMA_UNMAP. The
 * segments cover the memory in order. With an IOMMU the list is usually one entry; a list of one
 * entry for each page is always long enough; each keeps the memory's offset in its page (before
 * kernel 6.9 not where an IOMMU's bounce buffer serves, for devices on external ports). Between map
 * and unmap the memory is the device's: use DMA_SYNC before the CPU looks, and before the device
 * looks again.
 *
 * Errors: EFAULT the memory is not mapped (or not writable, for a device that writes), or it is not
 * ordinary memory (a BAR, a consistent buffer); ENOSPC the list is too short (nothing is mapped);
 * ENOMEM the limit is reached, there are 2^20 mappings, there is no room in the IOMMU or the
 * bounce buffer, or (without an IOMMU) the memory lies above the DMA mask, and so does the bounce
 * buffer. State: open.
 */
struct udrv_ioc_dma_map {
	__u32 size;
	__u32 flags;
	__aligned_u64 user_addr;
	__aligned_u64 length;
	__aligned_u64 segments;
	__u32 segment_count;
	__u32 direction;
	__u32 handle;
	__u32 reserved;
};
#define UDRV_IOC_DMA_MAP _IO(UDRV_IOC_TYPE, 0x23)
#define UDRV_IOC_DMA_UNMAP _IO(UDRV_IOC_TYPE, 0x24)

#define UDRV_DMA_SYNC_FOR_CPU 1U    /* the CPU is about to read what the device wrote */
#define UDRV_DMA_SYNC_FOR_DEVICE 2U /* the device is about to look at what the CPU wrote */

/**
 * struct udrv_ioc_dma_sync - UDRV_IOC_DMA_SYNC: hand part of a streaming mapping over
 * @size:	in: sizeof(this struct)
 * @flags:	in: 0
 * @handle:	in: from DMA_MAP
 * @to:		in: UDRV_DMA_SYNC_FOR_CPU or UDRV_DMA_SYNC_FOR_DEVICE
 * @offset:	in: first byte, from the start of the mapped memory
 * @length:	in: length in bytes, at least 1
 *
 * What lies beside the range is the other side's still, and is left alone; but where the memory is
 * bounced and the mapping does not begin at a multiple of 2048, kernels before 6.9 can begin up to
 * 2047 bytes earlier (in the mapping), and what was changed there and not synced is lost.
 *
 * Errors: ENOENT no such handle; EINVAL the range is not inside the mapping.
 * State: open.
 */
struct udrv_ioc_dma_sync {
	__u32 size;
	__u32 flags;
	__u32 handle;
	__u32 to;
	__aligned_u64 offset;
	__aligned_u64 length;
};
#define UDRV_IOC_DMA_SYNC _IO(UDRV_IOC_TYPE, 0x25)

#endif /* _UAPI_UDRV_UDRV_H */
