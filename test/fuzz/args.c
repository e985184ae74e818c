// SPDX-License-Identifier: MIT
/*
 * args.c - arguments: for each kind of field a value that some state could accept, and values that
 * none does
 *
 * Most arguments are sane, so that there is something to break: a live handle, a vector that
 * exists, memory that is there. Owns the handles that were given out. The hard part is that a
 * field's sane value depends on others: a length on its address, an offset on its handle.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/ioctl.h>

#include "calls.h"

/* ---- handles that were given out: buffers, mappings ---- */

#define HANDLES 24

static struct handle {
	_Atomic uint32_t handle; /* 0: none */
	_Atomic uint64_t length, offset;
} handles[2][HANDLES];
static _Atomic uint32_t stale[2][8];

void handle_add(bool mapping, uint32_t handle, uint64_t length, uint64_t offset)
{
	struct handle *h = &handles[mapping][below(&self->rng, HANDLES)];
	struct udrv_ioc_dma_handle arg = NODE_ARG(arg);

	atomic_store(&h->length, length);
	atomic_store(&h->offset, offset);
	arg.handle = atomic_exchange(&h->handle, handle);
	/* What is forgotten is given back, or memory would run out. */
	if (arg.handle)
		ioctl(any_node(), mapping ? UDRV_IOC_DMA_UNMAP : UDRV_IOC_DMA_FREE, &arg);
}

static uint32_t handle_pick(bool mapping, bool sane)
{
	struct rng *rng = &self->rng;
	struct handle *h = &handles[mapping][below(rng, HANDLES)];

	for (unsigned int tries = 0; sane && tries < HANDLES && !atomic_load(&h->handle); tries++)
		h = &handles[mapping][below(rng, HANDLES)];
	if (sane || one_in(rng, 3))
		return atomic_load(&h->handle);
	switch (below(rng, 4)) {
	case 0:
		return atomic_load(&stale[mapping][below(rng, COUNT_OF(stale[0]))]);
	case 1:
		return atomic_load(&handles[!mapping][below(rng, HANDLES)].handle);
	case 2:
		return below(rng, 70) | (mapping ? 1U << 31 : 0);
	}
	return rng_next(rng);
}

void handle_gone(bool mapping, uint32_t handle)
{
	for (unsigned int i = 0; i < HANDLES; i++) {
		uint32_t expected = handle;

		atomic_compare_exchange_strong(&handles[mapping][i].handle, &expected, 0);
	}
	atomic_store(&stale[mapping][below(&self->rng, COUNT_OF(stale[0]))], handle);
}

void calls_forget(void)
{
	for (unsigned int kind = 0; kind < 2; kind++)
		for (unsigned int i = 0; i < HANDLES; i++) {
			uint32_t handle = atomic_exchange(&handles[kind][i].handle, 0);

			if (handle)
				atomic_store(&stale[kind][i % COUNT_OF(stale[0])], handle);
		}
}

uint64_t memory_buffer_offset(struct rng *rng, uint64_t *length)
{
	struct handle *h = &handles[0][below(rng, HANDLES)];

	for (unsigned int tries = 0; tries < HANDLES && !atomic_load(&h->handle); tries++)
		h = &handles[0][below(rng, HANDLES)];
	*length = atomic_load(&h->length);
	return atomic_load(&h->offset);
}

/* ---- programs ---- */

static unsigned int build_program(struct rng *rng, struct udrv_prog_op *ops, bool valid,
				  unsigned int use)
{
	static const struct udrv_prog_op acknowledge[] = {
		{ .op = UDRV_PROG_READ, .width = 4, .offset = EDU_IRQ_STATUS },
		{ .op = UDRV_PROG_TEST, .flags = UDRV_PROG_NOT, .mask = 0xffffffff },
		{ .op = UDRV_PROG_WRITE,
		  .flags = UDRV_PROG_LAST,
		  .width = 4,
		  .offset = EDU_IRQ_ACK,
		  .mask = 0xffffffff },
	};
	unsigned int count = 1 + below(rng, one_in(rng, 20) ? UDRV_PROG_MAX_OPS : 6), bar, width;
	uint64_t offset, value;

	if (use == UDRV_PROG_ACK && valid) {
		memcpy(ops, acknowledge, sizeof(acknowledge));
		return COUNT_OF(acknowledge);
	}
	for (unsigned int i = 0; i < count; i++) {
		struct udrv_prog_op *op = &ops[i];

		memset(op, 0, sizeof(*op));
		op->op = 1 + below(rng, 5);
		if (use == UDRV_PROG_ACK)
			op->op = UDRV_PROG_POLL; /* refused: so that no wrong one is ever installed
						  */
		if (op->op == UDRV_PROG_TEST) {
			op->flags = one_in(rng, 4) ? UDRV_PROG_NOT : 0;
			op->mask = one_in(rng, 2) ? 0 : below(rng, 16);
			continue;
		}
		if (!device_register(rng, op->op == UDRV_PROG_WRITE || op->op == UDRV_PROG_MODIFY,
				     &bar, &offset, &width, &value)) {
			op->op = UDRV_PROG_TEST;
			continue;
		}
		op->bar = bar;
		op->offset = offset;
		op->width = width;
		if (op->op == UDRV_PROG_POLL) {
			op->timeout_us = 1 + below(rng, 50);
			op->value = op->mask = one_in(rng, 2) ? 0 : 1;
		} else if (op->op == UDRV_PROG_MODIFY && !round_.device->dma) {
			op->value = value;
			op->mask = value;
		} else if (op->op == UDRV_PROG_MODIFY || op->op == UDRV_PROG_WRITE) {
			/* What is written is the harmless value and nothing of what was there. */
			op->mask = op->op == UDRV_PROG_MODIFY ? ~0ULL >> (64 - 8 * width) : 0;
			op->value = value;
		}
	}
	if (!valid) {
		struct udrv_prog_op *op = &ops[below(rng, count)];

		/* Wrong in a way that is refused for sure, or in some other field of a read. */
		switch (below(rng, 5)) {
		case 0:
			op->op = 6 + below(rng, 250);
			break;
		case 1:
			op->width = 3;
			op->op = UDRV_PROG_READ;
			break;
		case 2:
			*op = (struct udrv_prog_op){ .op = UDRV_PROG_READ,
						     .width = 4,
						     .offset = rng_next(rng) };
			break;
		case 3:
			*op = (struct udrv_prog_op){ .op = UDRV_PROG_READ,
						     .bar = rng_next(rng),
						     .width = 4 };
			break;
		default:
			*op = (struct udrv_prog_op){ .op = UDRV_PROG_POLL,
						     .width = 1,
						     .timeout_us = rng_next(rng) | 1 << 20,
						     .mask = 1,
						     .value = 2 };
		}
	}
	return count;
}

/* ---- arguments ---- */

uint64_t odd_number(struct rng *rng)
{
	static const uint64_t numbers[] = {
		0,
		1,
		2,
		3,
		7,
		31,
		32,
		33,
		63,
		64,
		65,
		127,
		128,
		255,
		256,
		2047,
		2048,
		4095,
		4096,
		4097,
		65535,
		65536,
		0x7fffffff,
		0x80000000,
		0xfffff000,
		0xffffffff,
		0x100000000,
		0x1000000000,
		1ULL << 40,
		1ULL << 43,
		1ULL << 44,
		0x7ffffffff000,
		0x800000000000,
		0x7fffffffffffffff,
		0x8000000000000000,
		0xfffffffffffff000,
		~0ULL,
	};

	return one_in(rng, 4) ? rng_next(rng) : numbers[below(rng, COUNT_OF(numbers))];
}

static uint64_t sync_length_of(uint32_t handle)
{
	for (unsigned int i = 0; i < HANDLES; i++)
		if (atomic_load(&handles[1][i].handle) == handle)
			return atomic_load(&handles[1][i].length);
	return 0;
}

static uint64_t sane(struct making *m, unsigned int kind)
{
	struct rng *rng = &self->rng;
	uint64_t length;

	switch (kind) {
	case SETUP_FLAGS:
		return one_in(rng, 6) ? UDRV_IRQ_SETUP_NO_DISINTX : 0;
	case BOOL:
		return !one_in(rng, 4);
	case REGION:
		return below(rng, UDRV_REGION_COUNT);
	case IRQ_KIND:
		return below(rng, 4);
	case IRQ_COUNT:
		return one_in(rng, 3) ? 0 : 1 + below(rng, one_in(rng, 4) ? round_.vectors : 2);
	case VECTOR:
		return m->vector = below(rng, one_in(rng, 4) ? round_.vectors : 2);
	case VECTOR_COUNT:
		return 1 + below(rng, one_in(rng, 4) && m->vector < round_.vectors
					      ? round_.vectors - m->vector
					      : 1);
	case EVENT:
		return (uint32_t)any_event();
	case NO_EVENT:
		return ~0U;
	case PROG_USE:
		/* Acknowledge programs: only where the round is one of theirs (device.c). */
		m->use = round_.flavour.acknowledge && one_in(rng, 2) ? UDRV_PROG_ACK
			 : one_in(rng, 3) ? UDRV_PROG_RESET : UDRV_PROG_QUIESCE;
		return m->use;
	case PROG_COUNT:
		return build_program(rng, self->ops, !one_in(rng, 6), m->use);
	case PROG_OPS:
		return (uintptr_t)self->ops;
	case PROG_VALUES:
		return one_in(rng, 4) ? 0 : (uintptr_t)self->out;
	case MASK_BITS:
		return one_in(rng, 2) ? 32 : 24 + below(rng, 41);
	case ALLOC_LENGTH:
		return 1 + below(rng, one_in(rng, 20)  ? 4U << 20
				      : one_in(rng, 4) ? 256U << 10
						       : 8192);
	case BUFFER:
	case MAPPING:
		return m->handle = handle_pick(kind == MAPPING, true);
	case USER_ADDR:
		return (uintptr_t)memory_for_dma(rng, &m->user_length, &m->fresh);
	case USER_LENGTH:
		return m->user_length;
	case SEGMENTS:
		return (uintptr_t)self->out;
	case SEGMENT_COUNT:
		return one_in(rng, 6)	 ? 1
		       : one_in(rng, 10) ? ~0U
					 : OUT_BYTES / sizeof(struct udrv_dma_segment);
	case DIRECTION:
		return 1 + below(rng, 3);
	case SYNC_TO:
		return 1 + below(rng, 2);
	case SYNC_OFFSET:
		length = sync_length_of(m->handle);
		return m->user_length = length ? below(rng, length) : 0;
	case SYNC_LENGTH:
		length = sync_length_of(m->handle);
		return length > m->user_length ? 1 + below(rng, length - m->user_length) : 1;
	case NET_QUEUE:
		return net_queue(rng, m->net);
	case NET_READY: /* FILL alone would come back at once, or TX: not to be waited for */
		return one_in(rng, 2) ? 0 : below(rng, 32);
	case NET_TIMEOUT:
		return one_in(rng, 2)	 ? 0
		       : one_in(rng, 20) ? UDRV_NET_FOREVER
					 : below(rng, 2000000);
	case NET_LINK:
		return one_in(rng, 4) ? below(rng, 4) : UDRV_NET_LINK_UP | UDRV_NET_LINK_FULL;
	case NET_SPEED:
		return one_in(rng, 2) ? 1000 : odd_number(rng);
	}
	return 0;
}

static uint64_t insane(struct making *m, unsigned int kind)
{
	struct rng *rng = &self->rng;

	/* No name that would make an interface which nobody knows: fz and some more at most. */
	static const char names[][8] = { "",	 ".",	   "..", "a/b",	  "lo", "fz%s",
					 "fz%d%d", "fz 1", "f:1", "fz%c", "fz9" };
	uint64_t value;

	switch (kind) {
	case NET_NAME:
		memcpy(&value, names[below(rng, COUNT_OF(names))], sizeof(value));
		return one_in(rng, 8) ? 0x7a667a667a667a66 : value; /* no end: fzfzfzfz */
	case BUFFER:
	case MAPPING:
		return handle_pick(kind == MAPPING, false);
	case EVENT:
		return (uint32_t)(one_in(rng, 2) ? any_node() : (int)odd_number(rng));
	case PROG_COUNT:
		/* Never past the program that is there: what lies behind it is an older one. */
		build_program(rng, self->ops, !one_in(rng, 4), m->use);
		return one_in(rng, 2) ? 0 : UDRV_PROG_MAX_OPS + 1 + below(rng, 1000);
	case PROG_OPS:
		return (uintptr_t)bad_pointer(rng, 1);
	case PROG_USE:
		return m->use = 3 + odd_number(rng) % 1000;
	case PROG_VALUES:
	case SEGMENTS:
		m->results_whole = false;
		return (uintptr_t)bad_pointer(rng, OUT_BYTES);
	case USER_ADDR:
		sane(m, kind); /* for the length */
		m->fresh = false;
		return one_in(rng, 2) ? (uintptr_t)bad_pointer(rng, m->user_length)
				      : odd_number(rng);
	case USER_LENGTH:
		m->fresh = false;
		/* A huge one costs as much memory as a list of its pages; not often. */
		return one_in(rng, 8) ? odd_number(rng) : odd_number(rng) % (4U << 20);
	case ALLOC_LENGTH:
		return one_in(rng, 2) ? 0 : UDRV_DMA_ALLOC_MAX_BYTES + 1 + odd_number(rng) / 2;
	}
	return odd_number(rng);
}

static void put(uint8_t *arg, const struct field *field, uint64_t value)
{
	memcpy(arg + field->at, &value, field->width);
}

struct making args_make(const struct call *call, uint8_t *arg)
{
	struct making m = { .use = UDRV_PROG_QUIESCE, .results_whole = true };
	struct rng *rng = &self->rng;
	unsigned int wrong = one_in(rng, 3) ? below(rng, COUNT_OF(call->fields)) : ~0U;
	uint32_t size = call->size;

	memset(arg, 0, ARG_ROOM);
	m.net = net_pick(call->cmd != UDRV_IOC_NET_ATTACH);
	if (call->cmd == UDRV_IOC_NET_ATTACH)
		m.options = net_options(rng);
	for (unsigned int i = 0; i < COUNT_OF(call->fields) && call->fields[i].width; i++) {
		const struct field *field = &call->fields[i];

		if (i == wrong)
			put(arg, field, insane(&m, field->kind));
		else if (field->kind == NET_OPTION || field->kind == NET_NAME)
			memcpy(arg + field->at, (uint8_t *)&m.options + field->at, field->width);
		else
			put(arg, field, sane(&m, field->kind));
	}
	/* The size: newer than the kernel, with and without something in the surplus; older;
	 * nonsense. */
	if (one_in(rng, 8)) {
		size = one_in(rng, 2) ? call->size + below(rng, PAGE + 8 - call->size)
				      : odd_number(rng);
		if (one_in(rng, 3) && size > call->size && size <= ARG_ROOM)
			arg[call->size + below(rng, size - call->size)] = 1;
	}
	memcpy(arg, &size, sizeof(size));
	return m;
}
