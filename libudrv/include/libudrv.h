/* SPDX-License-Identifier: MIT */
/*
 * libudrv.h - drive a PCI device from a process
 *
 * A thin layer over the calls of <udrv/udrv.h>: it opens a node, keeps what it learnt about the
 * device, and gives the calls C types. It has no global state, prints nothing, never exits, and
 * never starts a thread.
 *
 * Results: 0 or a count on success, -errno on failure; the errno of a refused system call is passed
 * on, and its meaning is in <udrv/udrv.h> beside the call.
 *
 * Threads: calls on different devices never interfere. On one device all calls may run at the same
 * time, but udrv_close(), which must be the last; two threads that free the same object are the
 * caller's bug, as with free().
 *
 * Units: every length and offset is in bytes.
 */
#ifndef LIBUDRV_H
#define LIBUDRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <udrv/udrv.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct udrv - one open device; made by udrv_open(), ended by udrv_close() */
struct udrv;

/* ---- device ------------------------------------------------------------------------------- */

/**
 * udrv_open() - open a device
 * @name: "00:04.0", "0000:00:04.0", "pci-00:04.0", or a path of a node
 * @device: where the new object goes
 *
 * Return: 0; -ENOENT no such node (the device is absent or not bound to udrv), -EBUSY somebody has
 * it open, -EACCES or -EPERM no right to it, -EINVAL the name is none.
 */
int udrv_open(const char *name, struct udrv **device);

/**
 * udrv_open_fd() - use a descriptor that was opened elsewhere (inherited, or passed over a socket)
 * @fd: a descriptor of a node; on success it belongs to the object, which closes it
 * @device: where the new object goes
 */
int udrv_open_fd(int fd, struct udrv **device);

/**
 * udrv_close() - close the device: its DMA stops, its interrupts end, its memory is given back
 * @device: may be NULL
 *
 * Mappings made by udrv_bar_map() and udrv_dma_alloc() that were not undone keep the device open
 * until the process ends; undo them first.
 */
void udrv_close(struct udrv *device);

/** udrv_fd() - the descriptor, for poll() and epoll; it stays the object's */
int udrv_fd(const struct udrv *device);

/** udrv_info() - what DEVICE_INFO said at open; valid until udrv_close() */
const struct udrv_ioc_device_info *udrv_info(const struct udrv *device);

/** udrv_bus_master() - allow or stop the device's DMA (DEVICE_BUS_MASTER); before on, reset it */
int udrv_bus_master(struct udrv *device, bool enable);

/** udrv_reset() - reset the function (DEVICE_RESET); bus mastering is off afterwards */
int udrv_reset(struct udrv *device);

/**
 * udrv_strerror() - a sentence for a negative result of this library that says what to do
 * @error: a negative errno
 * Return: a constant string, never NULL
 */
const char *udrv_strerror(int error);

/** udrv_version() - "major.minor.patch" of the library */
const char *udrv_version(void);

/* ---- bar ---------------------------------------------------------------------------------- */

/* flags of udrv_bar_map() */
#define UDRV_BAR_WC 1U /* write-combining instead of uncached */

/** udrv_region() - what REGION_INFO said at open; NULL if @index is no region. Valid until close */
const struct udrv_ioc_region_info *udrv_region(const struct udrv *device, unsigned int index);

/**
 * udrv_bar_map() - map registers
 * @device: the device
 * @bar: 0 to 5
 * @offset: first byte, a multiple of the page size
 * @length: bytes; 0 for all from @offset up to the end of the BAR, or to what must not be mapped
 * @flags: UDRV_BAR_WC or 0
 * @registers: where the address goes; undo with udrv_bar_unmap()
 * @mapped: where the length that was mapped goes; may be NULL
 *
 * Return: 0; -EINVAL no such BAR or range, -EOPNOTSUPP a port BAR, or one that cannot be mapped, as one
 * smaller than a page that has company in it (use udrv_bar_read()).
 */
int udrv_bar_map(struct udrv *device, unsigned int bar, uint64_t offset, size_t length,
		 unsigned int flags, void **registers, size_t *mapped);

/** udrv_bar_unmap() - undo udrv_bar_map(), with what it returned */
int udrv_bar_unmap(struct udrv *device, void *registers, size_t mapped);

/**
 * udrv_bar_read() - read one register by system call: on port BARs too, and beside the MSI-X table
 * @device: the device
 * @bar: 0 to 5
 * @offset: a multiple of @width
 * @width: 1, 2, 4 or 8 bytes (ports: not 8)
 * @value: where the value goes, zero-extended
 */
int udrv_bar_read(struct udrv *device, unsigned int bar, uint64_t offset, unsigned int width,
		  uint64_t *value);

/** udrv_bar_write() - write one register; see udrv_bar_read(); -EPERM in the MSI-X table */
int udrv_bar_write(struct udrv *device, unsigned int bar, uint64_t offset, unsigned int width,
		   uint64_t value);

/* ---- config ------------------------------------------------------------------------------- */

/** udrv_config_read() - read config space: @offset a multiple of @width, @width 1, 2 or 4 */
int udrv_config_read(struct udrv *device, unsigned int offset, unsigned int width, uint32_t *value);

/**
 * udrv_config_write() - write config space, as far as the kernel's table of writable fields goes
 * Return: 0; -EPERM no bit in there is the driver's to write. Bits beside writable ones are kept.
 */
int udrv_config_write(struct udrv *device, unsigned int offset, unsigned int width, uint32_t value);

/* ---- irq ---------------------------------------------------------------------------------- */

/**
 * udrv_irq_setup() - choose interrupts (IRQ_SETUP)
 * @device: the device
 * @kind: UDRV_IRQ_NONE, UDRV_IRQ_INTX, UDRV_IRQ_MSI, UDRV_IRQ_MSIX
 * @count: vectors wanted; 0 for all that the device has
 * Return: the number of vectors set up, or -errno
 */
int udrv_irq_setup(struct udrv *device, unsigned int kind, unsigned int count);

/**
 * udrv_irq_wait() - wait for interrupts
 * @device: the device
 * @records: where they go
 * @count: room in @records, at least 1
 * @timeout_ms: -1 for ever, 0 not at all
 *
 * With -1 this is one read(). Sets up a vector if none is set up, as read() does.
 *
 * Return: records filled; 0 the time is over (or, with O_NONBLOCK set on the descriptor by the
 * caller, nothing is pending); -EINTR a signal; -ENODEV the device is gone.
 */
int udrv_irq_wait(struct udrv *device, struct udrv_irq_record *records, unsigned int count,
		  int timeout_ms);

/** udrv_irq_mask() - hold @count vectors back from @vector on (IRQ_MASK) */
int udrv_irq_mask(struct udrv *device, unsigned int vector, unsigned int count);

/** udrv_irq_unmask() - let them go, arm INTx (IRQ_UNMASK) */
int udrv_irq_unmask(struct udrv *device, unsigned int vector, unsigned int count);

/** udrv_irq_attach() - send a vector's interrupts to an eventfd and nothing else (IRQ_ATTACH) */
int udrv_irq_attach(struct udrv *device, unsigned int vector, int eventfd);

/** udrv_irq_detach() - back to read() and poll() (IRQ_DETACH) */
int udrv_irq_detach(struct udrv *device, unsigned int vector);

/** udrv_irq_info() - a vector's state (IRQ_INFO); fills @info whole */
int udrv_irq_info(struct udrv *device, unsigned int vector, struct udrv_ioc_irq_info *info);

/* ---- prog --------------------------------------------------------------------------------- */

/*
 * A register program is an array of struct udrv_prog_op (<udrv/udrv.h>): a few accesses to the device's
 * registers that the kernel verifies and then runs by itself. The macros below write one operation each;
 * @bar_ is 0 to 5, @offset_ in bytes, @width_ 1, 2, 4 or 8.
 */
#define UDRV_OP_READ(bar_, offset_, width_) \
	{ .op = UDRV_PROG_READ, .bar = (bar_), .width = (width_), .offset = (offset_) }
#define UDRV_OP_WRITE(bar_, offset_, width_, value_) \
	{ .op = UDRV_PROG_WRITE, .bar = (bar_), .width = (width_), .offset = (offset_), .value = (value_) }
#define UDRV_OP_WRITE_LAST(bar_, offset_, width_, mask_) \
	{ .op = UDRV_PROG_WRITE, .bar = (bar_), .width = (width_), .flags = UDRV_PROG_LAST, \
	  .offset = (offset_), .mask = (mask_) }
#define UDRV_OP_MODIFY(bar_, offset_, width_, mask_, value_) \
	{ .op = UDRV_PROG_MODIFY, .bar = (bar_), .width = (width_), .offset = (offset_), \
	  .mask = (mask_), .value = (value_) }
/* go on only if (last & mask) == value; ..._NOT: only if it is not */
#define UDRV_OP_TEST(mask_, value_) { .op = UDRV_PROG_TEST, .mask = (mask_), .value = (value_) }
#define UDRV_OP_TEST_NOT(mask_, value_) \
	{ .op = UDRV_PROG_TEST, .flags = UDRV_PROG_NOT, .mask = (mask_), .value = (value_) }
/* look until (register & mask) == value, at most timeout_us_ microseconds */
#define UDRV_OP_POLL(bar_, offset_, width_, mask_, value_, timeout_us_) \
	{ .op = UDRV_PROG_POLL, .bar = (bar_), .width = (width_), .timeout_us = (timeout_us_), \
	  .offset = (offset_), .mask = (mask_), .value = (value_) }

/**
 * udrv_prog_set() - have a program run in the INTx handler, or at the driver's end (PROG_SET)
 * @device: the device
 * @use: UDRV_PROG_ACK, before udrv_irq_setup(), or UDRV_PROG_QUIESCE, or UDRV_PROG_RESET
 * @ops: the program; the kernel keeps a copy
 * @count: operations; 0 takes the program away
 *
 * Nothing excludes the handler's program, neither a mask of the device's own (the line may be shared)
 * nor a batch: between the two accesses of an index/data pair it may come, too. See udrv_prog(3).
 */
int udrv_prog_set(struct udrv *device, unsigned int use, const struct udrv_prog_op *ops,
		  unsigned int count);

/**
 * udrv_prog_run() - run a program now (PROG_RUN): many register accesses, one system call
 * @device: the device
 * @ops: the program
 * @count: operations
 * @values: room for @count values: what was last read, after each operation executed; or NULL
 *
 * Return: operations executed, fewer than @count if a TEST stopped it; -ETIMEDOUT a POLL's time was over;
 * -EINVAL, -EPERM an operation that is not allowed.
 */
int udrv_prog_run(struct udrv *device, const struct udrv_prog_op *ops, unsigned int count,
		  uint64_t *values);

/* ---- dma ---------------------------------------------------------------------------------- */

/** udrv_dma_set_mask() - how many address bits the device has (DMA_MASK), before the first buffer
 */
int udrv_dma_set_mask(struct udrv *device, unsigned int bits);

/** struct udrv_dma - a consistent buffer, mapped into the process and reachable for the device */
struct udrv_dma {
	void *addr;	 /* for the CPU */
	uint64_t iova;	 /* for the device */
	size_t length;	 /* bytes, whole pages */
	uint32_t handle; /* never 0 while it is allocated */
};

/** udrv_dma_alloc() - allocate a zeroed consistent buffer of at least @length bytes and map it */
int udrv_dma_alloc(struct udrv *device, size_t length, struct udrv_dma *buffer);

/** udrv_dma_free() - undo it; clears @buffer, and does nothing on a cleared one */
int udrv_dma_free(struct udrv *device, struct udrv_dma *buffer);

/**
 * udrv_dma_map() - let the device reach memory of the process (DMA_MAP)
 * @device: the device
 * @addr: start, any alignment
 * @length: bytes
 * @direction: UDRV_DMA_TO_DEVICE, UDRV_DMA_FROM_DEVICE, UDRV_DMA_BIDIRECTIONAL
 * @segments: where the device addresses go
 * @count: in: room in @segments; out: segments used, or with -ENOSPC: needed
 * @handle: where the handle goes; undo with udrv_dma_unmap()
 */
int udrv_dma_map(struct udrv *device, const void *addr, size_t length, unsigned int direction,
		 struct udrv_dma_segment *segments, unsigned int *count, uint32_t *handle);

/** udrv_dma_unmap() - undo udrv_dma_map(); what the device wrote is visible afterwards */
int udrv_dma_unmap(struct udrv *device, uint32_t handle);

/** udrv_dma_sync_for_cpu() - before the CPU reads @length bytes at @offset of a live mapping */
int udrv_dma_sync_for_cpu(struct udrv *device, uint32_t handle, uint64_t offset, uint64_t length);

/** udrv_dma_sync_for_device() - before the device looks at what the CPU changed */
int udrv_dma_sync_for_device(struct udrv *device, uint32_t handle, uint64_t offset,
			     uint64_t length);

/* ---- registers and barriers --------------------------------------------------------------- */

/*
 * udrv_readN() and udrv_writeN() are single accesses of N bits, never split, merged or moved
 * against each other by the compiler. A write is ordered after every earlier store of the CPU to
 * ordinary memory (so a descriptor is complete before its doorbell rings), a read before every
 * later load. Registers are little-endian, as PCI is; the values are the CPU's.
 *
 * udrv_wmb() and udrv_rmb() are for memory alone: between a descriptor's contents and the bit in it that
 * gives it to the device, and between that bit and the contents on the way back.
 */
#if defined(__x86_64__) || defined(__i386__)
/* Uncached accesses are strongly ordered here; only the compiler must be held. */
#define udrv_wmb() __asm__ __volatile__("" ::: "memory")
#define udrv_rmb() __asm__ __volatile__("" ::: "memory")
#define udrv_wc_flush() __asm__ __volatile__("sfence" ::: "memory")
#else
#define udrv_wmb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define udrv_rmb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define udrv_wc_flush() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define UDRV_LE(bits, value) __builtin_bswap##bits(value)
#else
#define UDRV_LE(bits, value) (value)
#endif

static inline uint8_t udrv_read8(const volatile void *reg)
{
	uint8_t value = *(const volatile uint8_t *)reg;

	udrv_rmb();
	return value;
}

static inline void udrv_write8(volatile void *reg, uint8_t value)
{
	udrv_wmb();
	*(volatile uint8_t *)reg = value;
}

#define UDRV_ACCESSORS(bits)                                                                 \
	static inline uint##bits##_t udrv_read##bits(const volatile void *reg)               \
	{                                                                                    \
		uint##bits##_t value = UDRV_LE(bits, *(const volatile uint##bits##_t *)reg); \
                                                                                             \
		udrv_rmb();                                                                  \
		return value;                                                                \
	}                                                                                    \
	static inline void udrv_write##bits(volatile void *reg, uint##bits##_t value)        \
	{                                                                                    \
		udrv_wmb();                                                                  \
		*(volatile uint##bits##_t *)reg = UDRV_LE(bits, value);                      \
	}

UDRV_ACCESSORS(16)
UDRV_ACCESSORS(32)
UDRV_ACCESSORS(64)

#undef UDRV_ACCESSORS

#ifdef __cplusplus
}
#endif

#endif /* LIBUDRV_H */
