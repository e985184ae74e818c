// SPDX-License-Identifier: MIT
/*
 * calls.c - every ioctl of a node, with arguments made from a table of its fields
 *
 * Most calls are sane, so that there is something to break; of the rest most are wrong in one field, some are noise. A
 * sane argument is one that some state could accept: a live handle, a vector that exists.
 *
 * Owns what is to be held against an answer: an errno that the call's description does not list, a struct that a failed
 * call has changed, a result that cannot be. The hard part is what must not be sent: see device.c, and filter() here.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fuzz.h"

enum kind {
	END,
	OUT, /* not looked at */
	FLAGS, SETUP_FLAGS, ZERO, BOOL, REGION, IRQ_KIND, IRQ_COUNT, VECTOR, VECTOR_COUNT, EVENT, NO_EVENT, PROG_USE,
	PROG_COUNT, PROG_OPS, PROG_VALUES, MASK_BITS, ALLOC_LENGTH, BUFFER, MAPPING, USER_ADDR, USER_LENGTH, SEGMENTS,
	SEGMENT_COUNT, DIRECTION, SYNC_TO, SYNC_OFFSET, SYNC_LENGTH,
};

struct field {
	uint8_t at, width, kind;
};

#define F(type, member, kind) { offsetof(struct type, member), sizeof(((struct type *)0)->member), kind }

#define E(number) (1ULL << ((number) & 63) )
/* All errors listed are below 64 but EOPNOTSUPP (95) and ETIMEDOUT (110), which fall on numbers that nobody uses. */
#define ERRORS_OF_ALL (E(EFAULT) | E(E2BIG) | E(EINVAL) | E(EOPNOTSUPP) | E(ENODEV) | E(EINTR) | E(EBADF) | E(ENOTTY))

struct call {
	unsigned int cmd;
	uint32_t size;
	uint64_t errors;
	struct field fields[10];
};

static const struct call calls[] = {
	{ UDRV_IOC_DEVICE_INFO, sizeof(struct udrv_ioc_device_info), 0,
	  { F(udrv_ioc_device_info, flags, FLAGS), F(udrv_ioc_device_info, reserved, ZERO) } },
	{ UDRV_IOC_DEVICE_BUS_MASTER, sizeof(struct udrv_ioc_device_bus_master), 0,
	  { F(udrv_ioc_device_bus_master, flags, FLAGS), F(udrv_ioc_device_bus_master, enable, BOOL),
	    F(udrv_ioc_device_bus_master, reserved, ZERO) } },
	{ UDRV_IOC_DEVICE_RESET, sizeof(struct udrv_ioc_device_reset), E(EAGAIN),
	  { F(udrv_ioc_device_reset, flags, FLAGS) } },
	{ UDRV_IOC_REGION_INFO, sizeof(struct udrv_ioc_region_info), 0,
	  { F(udrv_ioc_region_info, flags, FLAGS), F(udrv_ioc_region_info, index, REGION) } },
	{ UDRV_IOC_IRQ_SETUP, sizeof(struct udrv_ioc_irq_setup), E(ENOSPC) | E(EBUSY) | E(ENOMEM),
	  { F(udrv_ioc_irq_setup, flags, SETUP_FLAGS), F(udrv_ioc_irq_setup, kind, IRQ_KIND),
	    F(udrv_ioc_irq_setup, count, IRQ_COUNT) } },
	{ UDRV_IOC_IRQ_INFO, sizeof(struct udrv_ioc_irq_info), 0,
	  { F(udrv_ioc_irq_info, flags, FLAGS), F(udrv_ioc_irq_info, vector, VECTOR) } },
	{ UDRV_IOC_IRQ_MASK, sizeof(struct udrv_ioc_irq_range), 0,
	  { F(udrv_ioc_irq_range, flags, FLAGS), F(udrv_ioc_irq_range, vector, VECTOR),
	    F(udrv_ioc_irq_range, count, VECTOR_COUNT) } },
	{ UDRV_IOC_IRQ_UNMASK, sizeof(struct udrv_ioc_irq_range), 0,
	  { F(udrv_ioc_irq_range, flags, FLAGS), F(udrv_ioc_irq_range, vector, VECTOR),
	    F(udrv_ioc_irq_range, count, VECTOR_COUNT) } },
	{ UDRV_IOC_IRQ_ATTACH, sizeof(struct udrv_ioc_irq_attach), 0,
	  { F(udrv_ioc_irq_attach, flags, FLAGS), F(udrv_ioc_irq_attach, vector, VECTOR),
	    F(udrv_ioc_irq_attach, fd, EVENT) } },
	{ UDRV_IOC_IRQ_DETACH, sizeof(struct udrv_ioc_irq_attach), E(ENOENT),
	  { F(udrv_ioc_irq_attach, flags, FLAGS), F(udrv_ioc_irq_attach, vector, VECTOR),
	    F(udrv_ioc_irq_attach, fd, NO_EVENT) } },
	{ UDRV_IOC_PROG_SET, sizeof(struct udrv_ioc_prog_set), E(EPERM) | E(EBUSY) | E(ENOMEM),
	  { F(udrv_ioc_prog_set, flags, FLAGS), F(udrv_ioc_prog_set, use, PROG_USE),
	    F(udrv_ioc_prog_set, count, PROG_COUNT), F(udrv_ioc_prog_set, ops, PROG_OPS) } },
	{ UDRV_IOC_PROG_RUN, sizeof(struct udrv_ioc_prog_run), E(EPERM) | E(ETIMEDOUT) | E(ENOMEM),
	  { F(udrv_ioc_prog_run, flags, FLAGS), F(udrv_ioc_prog_run, count, PROG_COUNT),
	    F(udrv_ioc_prog_run, ops, PROG_OPS), F(udrv_ioc_prog_run, values, PROG_VALUES) } },
	{ UDRV_IOC_DMA_MASK, sizeof(struct udrv_ioc_dma_mask), E(EBUSY),
	  { F(udrv_ioc_dma_mask, flags, FLAGS), F(udrv_ioc_dma_mask, bits, MASK_BITS),
	    F(udrv_ioc_dma_mask, reserved, ZERO) } },
	{ UDRV_IOC_DMA_ALLOC, sizeof(struct udrv_ioc_dma_alloc), E(ENOMEM) | E(ENOSPC),
	  { F(udrv_ioc_dma_alloc, flags, FLAGS), F(udrv_ioc_dma_alloc, length, ALLOC_LENGTH),
	    F(udrv_ioc_dma_alloc, reserved, ZERO) } },
	{ UDRV_IOC_DMA_FREE, sizeof(struct udrv_ioc_dma_handle), E(ENOENT),
	  { F(udrv_ioc_dma_handle, flags, FLAGS), F(udrv_ioc_dma_handle, handle, BUFFER),
	    F(udrv_ioc_dma_handle, reserved, ZERO) } },
	{ UDRV_IOC_DMA_MAP, sizeof(struct udrv_ioc_dma_map), E(ENOMEM) | E(ENOSPC),
	  { F(udrv_ioc_dma_map, flags, FLAGS), F(udrv_ioc_dma_map, user_addr, USER_ADDR),
	    F(udrv_ioc_dma_map, length, USER_LENGTH), F(udrv_ioc_dma_map, segments, SEGMENTS),
	    F(udrv_ioc_dma_map, segment_count, SEGMENT_COUNT), F(udrv_ioc_dma_map, direction, DIRECTION),
	    F(udrv_ioc_dma_map, reserved, ZERO) } },
	{ UDRV_IOC_DMA_UNMAP, sizeof(struct udrv_ioc_dma_handle), E(ENOENT),
	  { F(udrv_ioc_dma_handle, flags, FLAGS), F(udrv_ioc_dma_handle, handle, MAPPING),
	    F(udrv_ioc_dma_handle, reserved, ZERO) } },
	{ UDRV_IOC_DMA_SYNC, sizeof(struct udrv_ioc_dma_sync), E(ENOENT),
	  { F(udrv_ioc_dma_sync, flags, FLAGS), F(udrv_ioc_dma_sync, handle, MAPPING),
	    F(udrv_ioc_dma_sync, to, SYNC_TO), F(udrv_ioc_dma_sync, offset, SYNC_OFFSET),
	    F(udrv_ioc_dma_sync, length, SYNC_LENGTH) } },
};

/* ---- handles that were given out: buffers, mappings ---- */

#define HANDLES 24

static struct handle {
	_Atomic uint32_t handle; /* 0: none */
	_Atomic uint64_t length, offset;
} handles[2][HANDLES];
static _Atomic uint32_t stale[2][8];

static void handle_add(bool mapping, uint32_t handle, uint64_t length, uint64_t offset)
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

static void handle_gone(bool mapping, uint32_t handle)
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

unsigned int build_program(struct rng *rng, struct udrv_prog_op *ops, bool valid, unsigned int use)
{
	static const struct udrv_prog_op acknowledge[] = {
		{ .op = UDRV_PROG_READ, .width = 4, .offset = EDU_IRQ_STATUS },
		{ .op = UDRV_PROG_TEST, .flags = UDRV_PROG_NOT, .mask = 0xffffffff },
		{ .op = UDRV_PROG_WRITE, .flags = UDRV_PROG_LAST, .width = 4, .offset = EDU_IRQ_ACK, .mask = 0xffffffff },
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
			op->op = UDRV_PROG_POLL; /* refused: so that no wrong one is ever installed */
		if (op->op == UDRV_PROG_TEST) {
			op->flags = one_in(rng, 4) ? UDRV_PROG_NOT : 0;
			op->mask = one_in(rng, 2) ? 0 : below(rng, 16);
			continue;
		}
		if (!device_register(rng, op->op == UDRV_PROG_WRITE || op->op == UDRV_PROG_MODIFY, &bar, &offset, &width,
				     &value)) {
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
			*op = (struct udrv_prog_op){ .op = UDRV_PROG_READ, .width = 4, .offset = rng_next(rng) };
			break;
		case 3:
			*op = (struct udrv_prog_op){ .op = UDRV_PROG_READ, .bar = rng_next(rng), .width = 4 };
			break;
		default:
			*op = (struct udrv_prog_op){ .op = UDRV_PROG_POLL, .width = 1, .timeout_us = rng_next(rng) | 1 << 20,
						     .mask = 1, .value = 2 };
		}
	}
	return count;
}

/* ---- arguments ---- */

static uint64_t odd_number(struct rng *rng)
{
	static const uint64_t numbers[] = {
		0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 2047, 2048, 4095, 4096, 4097, 65535, 65536,
		0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff, 0x100000000, 0x1000000000, 1ULL << 40, 1ULL << 43, 1ULL << 44,
		0x7ffffffff000, 0x800000000000, 0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffff000, ~0ULL,
	};

	return one_in(rng, 4) ? rng_next(rng) : numbers[below(rng, COUNT_OF(numbers))];
}

struct making {
	unsigned int program_ops; /* in self->ops */
	uint32_t use;
	uint64_t user_length;
	uint32_t handle;
	unsigned int vector;
	bool results_whole; /* what the call writes elsewhere goes to memory that is there */
};

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
		return 1 + below(rng, one_in(rng, 4) && m->vector < round_.vectors ? round_.vectors - m->vector : 1);
	case EVENT:
		return (uint32_t)any_event();
	case NO_EVENT:
		return ~0U;
	case PROG_USE:
		/* Acknowledge programs: only where the round is one of theirs (device.c). */
		m->use = round_.flavour.acknowledge && one_in(rng, 2) ? UDRV_PROG_ACK : UDRV_PROG_QUIESCE;
		return m->use;
	case PROG_COUNT:
		m->program_ops = build_program(rng, self->ops, !one_in(rng, 6), m->use);
		return m->program_ops;
	case PROG_OPS:
		return (uintptr_t)self->ops;
	case PROG_VALUES:
		return one_in(rng, 4) ? 0 : (uintptr_t)self->out;
	case MASK_BITS:
		return one_in(rng, 2) ? 32 : 24 + below(rng, 41);
	case ALLOC_LENGTH:
		return 1 + below(rng, one_in(rng, 20) ? 4U << 20 : one_in(rng, 4) ? 256U << 10 : 8192);
	case BUFFER:
	case MAPPING:
		return m->handle = handle_pick(kind == MAPPING, true);
	case USER_ADDR:
		return (uintptr_t)memory_for_dma(rng, &m->user_length);
	case USER_LENGTH:
		return m->user_length;
	case SEGMENTS:
		return (uintptr_t)self->out;
	case SEGMENT_COUNT:
		return one_in(rng, 6) ? 1 : one_in(rng, 10) ? ~0U : OUT_BYTES / sizeof(struct udrv_dma_segment);
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
	}
	return 0;
}

static uint64_t insane(struct making *m, unsigned int kind)
{
	struct rng *rng = &self->rng;

	switch (kind) {
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
		return one_in(rng, 2) ? (uintptr_t)bad_pointer(rng, m->user_length) : odd_number(rng);
	case USER_LENGTH:
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

static uint64_t get(const uint8_t *arg, const struct field *field)
{
	uint64_t value = 0;

	memcpy(&value, arg + field->at, field->width);
	return value;
}

/* Fill @arg; return what is to be known of it. */
static struct making make(const struct call *call, uint8_t *arg)
{
	struct making m = { .use = UDRV_PROG_QUIESCE, .results_whole = true };
	struct rng *rng = &self->rng;
	unsigned int wrong = one_in(rng, 3) ? below(rng, COUNT_OF(call->fields)) : ~0U;
	uint32_t size = call->size;

	memset(arg, 0, ARG_ROOM);
	for (unsigned int i = 0; i < COUNT_OF(call->fields) && call->fields[i].width; i++)
		put(arg, &call->fields[i],
		    i == wrong ? insane(&m, call->fields[i].kind) : sane(&m, call->fields[i].kind));
	/* The size: newer than the kernel, with and without something in the surplus; older; nonsense. */
	if (one_in(rng, 8)) {
		size = one_in(rng, 2) ? call->size + below(rng, PAGE + 8 - call->size) : odd_number(rng);
		if (one_in(rng, 3) && size > call->size && size <= ARG_ROOM)
			arg[call->size + below(rng, size - call->size)] = 1;
	}
	memcpy(arg, &size, sizeof(size));
	return m;
}

/* What no call may say, whatever made it (device.c says why). False: do not call. */
static bool filter(unsigned int cmd, const uint8_t *arg)
{
	uint32_t words[4];

	memcpy(words, arg, sizeof(words));
	switch (cmd) {
	case UDRV_IOC_DMA_FREE:
		return !round_.device->dma || !device_keeps_buffer(words[2]);
	case UDRV_IOC_DMA_UNMAP:
		return !round_.device->dma || !device_keeps_mapping(words[2]);
	case UDRV_IOC_DEVICE_BUS_MASTER:
		return !(words[2] == 1 && round_.flavour.acknowledge);
	case UDRV_IOC_IRQ_SETUP:
		return !(words[2] >= UDRV_IRQ_MSI && round_.flavour.acknowledge);
	case UDRV_IOC_PROG_SET:
		return !(words[2] == UDRV_PROG_ACK && words[3] && !round_.flavour.acknowledge && round_.device->has_irq);
	}
	return true;
}

/* ---- answers ---- */

static void check_failure(const struct call *call, int error, const uint8_t *before, const uint8_t *arg, bool whole)
{
	const struct op *op = op_at(atomic_load(&self->activity->op) - 1);

	if (!((call->errors | ERRORS_OF_ALL) & E(error)))
		COMPLAIN("%s fails with %s, which it does not list", op->name, strerrorname_np(error) ?: "an unknown error");
	/* EFAULT: the struct may have been written in part, if not all of it is there. */
	if (whole && error != ENOSPC && error != ETIMEDOUT && memcmp(before, arg, ARG_ROOM))
		COMPLAIN("%s fails with %s, and has written to its struct", op->name, strerrorname_np(error));
}

static void check_alloc(struct udrv_ioc_dma_alloc *arg)
{
	if (!arg->handle || arg->handle > UDRV_DMA_ALLOC_MAX_COUNT || arg->length % PAGE || arg->iova % PAGE ||
	    arg->offset % PAGE || arg->offset >> 44)
		COMPLAIN("DMA_ALLOC: handle %#x, length %#llx, iova %#llx, offset %#llx", arg->handle, arg->length, arg->iova,
			 arg->offset);
	if (!round_.device->dma || !device_keeps_buffer(arg->handle))
		handle_add(false, arg->handle, arg->length, arg->offset);
}

static void check_map(struct udrv_ioc_dma_map *arg, bool whole)
{
	struct udrv_dma_segment *segments = (void *)self->out;
	uint64_t sum = 0;

	for (uint32_t i = 0; whole && i < arg->segment_count; i++)
		sum += segments[i].length;
	if (!arg->handle || !arg->segment_count || (whole && sum != arg->length))
		COMPLAIN("DMA_MAP: handle %#x, %u segments of together %#llx, length %#llx", arg->handle,
			 arg->segment_count, (unsigned long long)sum, arg->length);
	if (!round_.device->dma || !device_keeps_mapping(arg->handle))
		handle_add(true, arg->handle, arg->length, 0);
}

/* @whole: the struct in @arg is what the kernel wrote to. */
static void check_success(const struct call *call, uint8_t *arg, struct making *m, bool whole)
{
	struct udrv_ioc_dma_handle *handle = (void *)arg;
	struct udrv_ioc_prog_run *run = (void *)arg;

	switch (call->cmd) {
	case UDRV_IOC_DMA_ALLOC:
		if (whole)
			check_alloc((void *)arg);
		break;
	case UDRV_IOC_DMA_MAP:
		if (whole)
			check_map((void *)arg, m->results_whole);
		break;
	case UDRV_IOC_DMA_FREE:
		handle_gone(false, handle->handle);
		break;
	case UDRV_IOC_DMA_UNMAP:
		handle_gone(true, handle->handle);
		break;
	case UDRV_IOC_PROG_RUN:
		if (whole && (!run->done || run->done > run->count))
			COMPLAIN("PROG_RUN: %u of %u operations done", run->done, run->count);
		break;
	}
}

/* Calls that filter() looks into are made from memory that is the thread's own: nobody changes it afterwards. */
static bool looked_into(unsigned int cmd)
{
	return cmd == UDRV_IOC_DMA_FREE || cmd == UDRV_IOC_DMA_UNMAP || cmd == UDRV_IOC_DEVICE_BUS_MASTER ||
	       (cmd == UDRV_IOC_IRQ_SETUP && round_.flavour.acknowledge) || cmd == UDRV_IOC_PROG_SET;
}

static long call_it(int fd, unsigned int cmd, void *arg, bool enable)
{
	long result;

	if (!enable)
		return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
	/* Bus mastering goes on only while edu's engine is idle, and nobody starts it meanwhile. */
	device_lock();
	result = device_may_master(fd) ? ioctl(fd, cmd, arg) : SKIPPED;
	if (result < 0 && result != SKIPPED)
		result = -errno;
	device_unlock();
	return result;
}

static const struct call *call_of(unsigned int cmd)
{
	for (size_t i = 0; i < COUNT_OF(calls); i++)
		if (calls[i].cmd == cmd)
			return &calls[i];
	return NULL;
}

static long call_run(const struct op *op)
{
	static __thread uint8_t before[ARG_ROOM];
	const struct call *call = call_of(op->cmd);
	struct rng *rng = &self->rng;
	struct making m = make(call, self->arg);
	void *where = self->arg;
	bool whole = true;
	long result;

	if (!filter(op->cmd, self->arg))
		return SKIPPED;
	memcpy(before, self->arg, ARG_ROOM);
	if (one_in(rng, 12)) {
		/* At the end of what is there; or somewhere worse. */
		whole = false;
		where = self->arg_end - below(rng, call->size + 1);
		if (!looked_into(op->cmd))
			where = one_in(rng, 2) ? where : one_in(rng, 3) ? read_only_pointer(rng) :
									  bad_pointer(rng, call->size);
		guarded_copy(where, before, call->size);
	}
	result = call_it(any_node(), op->cmd, where, op->cmd == UDRV_IOC_DEVICE_BUS_MASTER && get(before, &call->fields[1]));
	if (result == SKIPPED)
		return result;
	if (result < 0)
		check_failure(call, -result, before, self->arg, whole);
	else
		check_success(call, self->arg, &m, whole);
	return result;
}

/* Noise: any number, any bytes. */
static long noise_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	unsigned int cmd = one_in(rng, 2) ? calls[below(rng, COUNT_OF(calls))].cmd : UDRV_IOC_TYPE << 8 | below(rng, 256);
	uint32_t size = below(rng, one_in(rng, 8) ? ARG_ROOM : 80);

	(void)op;
	if (one_in(rng, 8))
		cmd = rng_next(rng);
	for (size_t i = 0; i < 96; i += 8) {
		uint64_t word = one_in(rng, 2) ? 0 : odd_number(rng);

		memcpy(self->arg + i, &word, 8);
	}
	if (!one_in(rng, 4))
		memcpy(self->arg, &size, 4);
	/* Addresses that it makes up are where nothing of ours is, but for the lowest: results must not hit us. */
	if (cmd == UDRV_IOC_DEVICE_BUS_MASTER || !filter(cmd, self->arg))
		return SKIPPED;
	return ioctl(any_node(), cmd, self->arg) < 0 ? -errno : 0;
}

/* A struct in memory that another thread changes while the kernel reads it: its size, flags and first field. */
static uint32_t contested[16];

static long contest_run(const struct op *op)
{
	static const unsigned int cmds[] = { UDRV_IOC_DEVICE_INFO, UDRV_IOC_REGION_INFO, UDRV_IOC_IRQ_INFO,
					     UDRV_IOC_IRQ_MASK, UDRV_IOC_IRQ_UNMASK, UDRV_IOC_DMA_MASK };
	static const uint32_t values[] = { 0, 1, 8, 16, 24, 32, 40, 56, 72, 4096, 4097, ~0U };
	struct rng *rng = &self->rng;
	unsigned int cmd = cmds[below(rng, COUNT_OF(cmds))];
	volatile uint32_t *words = contested;

	(void)op;
	for (unsigned int i = 0; i < 200 && one_in(rng, 2); i++)
		words[below(rng, 3)] = values[below(rng, COUNT_OF(values))];
	words[0] = call_of(cmd)->size;
	words[1] = 0;
	return ioctl(any_node(), cmd, contested) < 0 ? -errno : 0;
}

#define CALL(name_, weight_, cmd_) { .name = name_, .weight = weight_, .run = call_run, .cmd = cmd_ }

const struct op call_ops[] = {
	CALL("DEVICE_INFO", 2, UDRV_IOC_DEVICE_INFO),
	CALL("DEVICE_BUS_MASTER", 8, UDRV_IOC_DEVICE_BUS_MASTER),
	CALL("DEVICE_RESET", 2, UDRV_IOC_DEVICE_RESET),
	CALL("REGION_INFO", 3, UDRV_IOC_REGION_INFO),
	CALL("IRQ_SETUP", 12, UDRV_IOC_IRQ_SETUP),
	CALL("IRQ_INFO", 4, UDRV_IOC_IRQ_INFO),
	CALL("IRQ_MASK", 8, UDRV_IOC_IRQ_MASK),
	CALL("IRQ_UNMASK", 8, UDRV_IOC_IRQ_UNMASK),
	CALL("IRQ_ATTACH", 8, UDRV_IOC_IRQ_ATTACH),
	CALL("IRQ_DETACH", 6, UDRV_IOC_IRQ_DETACH),
	CALL("PROG_SET", 8, UDRV_IOC_PROG_SET),
	CALL("PROG_RUN", 10, UDRV_IOC_PROG_RUN),
	CALL("DMA_MASK", 3, UDRV_IOC_DMA_MASK),
	CALL("DMA_ALLOC", 14, UDRV_IOC_DMA_ALLOC),
	CALL("DMA_FREE", 10, UDRV_IOC_DMA_FREE),
	CALL("DMA_MAP", 16, UDRV_IOC_DMA_MAP),
	CALL("DMA_UNMAP", 12, UDRV_IOC_DMA_UNMAP),
	CALL("DMA_SYNC", 10, UDRV_IOC_DMA_SYNC),
	{ .name = "noise", .weight = 10, .run = noise_run },
	{ .name = "contested", .weight = 6, .run = contest_run },
};
const size_t call_op_count = COUNT_OF(call_ops);
