/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ring.h - the indices of a ring that the kernel and a driver share
 *
 * One side produces, the other consumes. Both indices run freely, modulo 2^32, and begin at 0; entry
 * i lies at (i & (entries - 1)), the number of entries is a power of two. The producer writes
 * entries, then @produced with release; the consumer reads @produced with acquire, the entries, then
 * writes @consumed with release. Each index has a cache line to itself.
 *
 * The kernel believes nothing here: it keeps its own copies of what it writes, and what it reads is
 * checked. A driver that writes nonsense loses its own packets or requests.
 */
#ifndef _UAPI_UDRV_RING_H
#define _UAPI_UDRV_RING_H

#include <linux/types.h>

/**
 * struct udrv_ring - the two indices
 * @produced:	entries that were ever produced; the producer's
 * @consumed:	entries that were ever consumed; the consumer's
 */
struct udrv_ring {
	__u32 produced;
	__u32 reserved0[15];
	__u32 consumed;
	__u32 reserved1[15];
};

#endif /* _UAPI_UDRV_RING_H */
