/* SPDX-License-Identifier: MIT */
/*
 * calls.h - the fields of a call's struct, and what fills them
 */
#ifndef CALLS_H
#define CALLS_H

#include "fuzz.h"

enum kind {
	END,
	FLAGS,
	SETUP_FLAGS,
	ZERO,
	BOOL,
	REGION,
	IRQ_KIND,
	IRQ_COUNT,
	VECTOR,
	VECTOR_COUNT,
	EVENT,
	NO_EVENT,
	PROG_USE,
	PROG_COUNT,
	PROG_OPS,
	PROG_VALUES,
	MASK_BITS,
	ALLOC_LENGTH,
	BUFFER,
	MAPPING,
	USER_ADDR,
	USER_LENGTH,
	SEGMENTS,
	SEGMENT_COUNT,
	DIRECTION,
	SYNC_TO,
	SYNC_OFFSET,
	SYNC_LENGTH,
	NET_OPTION,
	NET_NAME,
	NET_QUEUE,
	NET_READY,
	NET_TIMEOUT,
	NET_LINK,
	NET_SPEED,
};

#define FIELDS_MAX 12

#define E(number) (1ULL << ((number)&63))
/* All errors listed are below 64 but EOPNOTSUPP (95) and ETIMEDOUT (110), which fall on numbers
 * that nobody uses. */
#define ERRORS_OF_ALL                                                                         \
	(E(EFAULT) | E(E2BIG) | E(EINVAL) | E(EOPNOTSUPP) | E(ENODEV) | E(EINTR) | E(EBADF) | \
	 E(ENOTTY))

struct field {
	uint8_t at, width, kind;
};

struct call {
	unsigned int cmd;
	uint32_t size;
	uint64_t errors;
	struct field fields[FIELDS_MAX];
};

/* What was decided for one argument, that the next ones depend on. */
struct making {
	uint32_t use;
	uint64_t user_length;
	uint32_t handle;
	unsigned int vector;
	unsigned int net; /* a network call's descriptor (net.c) */
	struct udrv_ioc_net_attach options;
	bool fresh;	    /* memory_for_dma() says so */
	bool results_whole; /* what the call writes elsewhere goes to memory that is there */
};

/* Fill @arg (ARG_ROOM bytes); return what is to be known of it. */
struct making args_make(const struct call *call, uint8_t *arg);
uint64_t odd_number(struct rng *rng);

static inline bool call_is_net(unsigned int cmd)
{
	return cmd >= UDRV_IOC_NET_ATTACH && cmd <= UDRV_IOC_NET_KICK;
}

/* Handles that were given out: buffers, mappings. */
void handle_add(bool mapping, uint32_t handle, uint64_t length, uint64_t offset);
void handle_gone(bool mapping, uint32_t handle);

#endif
