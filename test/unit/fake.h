/* SPDX-License-Identifier: MIT */
/*
 * fake.h - a node that is none: the system calls under libudrv, replaced by the linker (--wrap)
 *
 * Owns what a test sees of them: how often each was made, with what, and the failures that it
 * orders. Only FAKE_FD is answered here; every other descriptor goes to the system. There is one
 * node, as there is one system; fake_reset() before each test makes it new.
 */
#ifndef FAKE_H
#define FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#include <cmocka.h>

#include "../../libudrv/src/internal.h"
#include "../../libudrv/include/libudrv_blk.h"
#include "../../libudrv/include/libudrv_net.h"

#define FAKE_FD 1077

enum fake_call {
	FAKE_OPEN,
	FAKE_CLOSE,
	FAKE_IOCTL,
	FAKE_READ,
	FAKE_PREADV2,
	FAKE_POLL,
	FAKE_PREAD,
	FAKE_PWRITE,
	FAKE_MMAP,
	FAKE_MUNMAP,
	FAKE_MLOCKALL,
	FAKE_PRCTL,
	FAKE_CALLS,
};

/* A structure of any call, as it came in. */
union fake_argument {
	struct udrv_ioc_device_bus_master bus_master;
	struct udrv_ioc_device_reset reset;
	struct udrv_ioc_irq_setup setup;
	struct udrv_ioc_irq_info irq_info;
	struct udrv_ioc_irq_range range;
	struct udrv_ioc_irq_attach attach;
	struct udrv_ioc_dma_mask mask;
	struct udrv_ioc_dma_alloc alloc;
	struct udrv_ioc_dma_handle handle;
	struct udrv_ioc_dma_map map;
	struct udrv_ioc_dma_sync sync;
	struct udrv_ioc_net_attach net_attach;
	struct udrv_ioc_net_turn net_turn;
	struct udrv_ioc_net_state net_state;
	struct udrv_ioc_net_link net_link;
	struct udrv_ioc_net_queue net_queue;
	struct udrv_ioc_blk_attach blk_attach;
	struct udrv_ioc_blk_disk blk_disk;
	struct udrv_ioc_blk_turn blk_turn;
	struct udrv_ioc_blk_queue blk_queue;
};

/* Where the rings lie in fake_pages(): NET_ATTACH answers so, for 2 queues of 64 slots. */
#define FAKE_NET_QUEUE_BYTES 0x3000
#define FAKE_NET_TX_ENTRIES 128
#define FAKE_NET_TX 0x1000
#define FAKE_NET_TX_DONE 0x2000
#define FAKE_NET_FILL 0x2200
#define FAKE_NET_RX 0x2800
/* And BLK_ATTACH, for 2 queues of up to 16 requests on their way. */
#define FAKE_BLK_QUEUE_BYTES 0x4000
#define FAKE_BLK_ENTRIES 32
#define FAKE_BLK_REQUESTS 0x1000
#define FAKE_BLK_DONE 0x1800
#define FAKE_BLK_SEGMENTS 0x2000

struct fake {
	/* what the node is; tests may change it before udrv_open() */
	struct udrv_ioc_device_info info;
	struct udrv_ioc_region_info region[UDRV_REGION_COUNT];

	/* what was asked, last */
	unsigned int count[FAKE_CALLS];
	char path[128];
	int open_flags;
	unsigned long request; /* of ioctl, but for the two that udrv_open() makes */
	union fake_argument argument;
	off_t offset;
	size_t length;
	uint64_t written;
	int flags; /* of preadv2 or mmap */
	int flags_locked; /* of mlockall */
	void *unmapped;
	int timeout_ms;
	uint32_t tx_done_told; /* produced indices of a queue's rings, when NET_TURN was called */
	uint32_t rx_told;
	uint32_t done_told; /* likewise, by BLK_TURN */

	/* what is answered, and what flags a call may have */
	uint32_t call_flags;
	uint64_t value;		 /* of registers */
	unsigned int records;	 /* pending interrupts */
	bool records_after_poll; /* they come while poll() waits */
	unsigned int short_by;	 /* pread and pwrite do less by this */
	unsigned int segments;	 /* that a DMA_MAP needs */
	uint32_t ready;		 /* of NET_TURN and BLK_TURN */
	int64_t now_ns;		 /* poll() with nothing to see moves it on */
};

extern struct fake fake;

int fake_reset(void **state);

/* The next @times calls of this kind fail with @error, after @skip that do not. */
void fake_fail(enum fake_call call, int error, unsigned int skip, unsigned int times);

/* What every mmap() returns. */
uint8_t *fake_pages(void);

/* An open device; ends the test if it cannot be opened. */
struct udrv *fake_open(void);

/* TAP, unless the caller chose otherwise. */
#define RUN(tests) \
	(setenv("CMOCKA_MESSAGE_OUTPUT", "TAP", 0), cmocka_run_group_tests(tests, NULL, NULL))
#define TEST(function) cmocka_unit_test_setup(function, fake_reset)

#endif /* FAKE_H */
