/* SPDX-License-Identifier: MIT */
/*
 * libudrv_ring.h - a driver's side of a ring that it shares with the kernel
 *
 * <udrv/ring.h> says what the indices are. Queues of interfaces (libudrv_net.h) and disks (libudrv_blk.h)
 * are made of these. A ring is one thread's at a time.
 */
#ifndef LIBUDRV_RING_H
#define LIBUDRV_RING_H

#include <stdint.h>
#include <udrv/ring.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct udrv_ring_side - one ring as its driver sees it
 * @shared: the indices
 * @mask: entries of the ring, less one
 * @index: ours: entries that were consumed, or produced
 */
struct udrv_ring_side {
	struct udrv_ring *shared;
	uint32_t mask;
	uint32_t index;
};

/** udrv_ring_count() - entries that the kernel has produced and we have not consumed */
static inline uint32_t udrv_ring_count(const struct udrv_ring_side *ring)
{
	return __atomic_load_n(&ring->shared->produced, __ATOMIC_ACQUIRE) - ring->index;
}

/** udrv_ring_consume() - the first @count of them were taken, and may be written over */
static inline void udrv_ring_consume(struct udrv_ring_side *ring, uint32_t count)
{
	ring->index += count;
	__atomic_store_n(&ring->shared->consumed, ring->index, __ATOMIC_RELEASE);
}

/** udrv_ring_publish() - what we have written up to our index is the kernel's */
static inline void udrv_ring_publish(const struct udrv_ring_side *ring)
{
	/* Pairs with the kernel's acquire: the entries are there. */
	__atomic_store_n(&ring->shared->produced, ring->index, __ATOMIC_RELEASE);
}

#ifdef __cplusplus
}
#endif

#endif /* LIBUDRV_RING_H */
