// SPDX-License-Identifier: MIT
/*
 * calls.c - every ioctl, of a node and of a network interface, with arguments made (args.c) from a table of its fields
 *
 * Two calls in three are sane; most others are wrong in one field, and some are noise.
 *
 * Owns what is to be held against an answer: an errno that the call's description does not list, a
 * struct that a failed call has changed, a result that cannot be. The hard part is what must not be
 * sent: see device.c, and filter() here.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "calls.h"
#define F(type, member, kind)                                                           \
	{                                                                               \
		offsetof(struct type, member), sizeof(((struct type *)0)->member), kind \
	}

static const struct call calls[] = {
	{ UDRV_IOC_DEVICE_INFO,
	  sizeof(struct udrv_ioc_device_info),
	  0,
	  { F(udrv_ioc_device_info, flags, FLAGS), F(udrv_ioc_device_info, reserved, ZERO) } },
	{ UDRV_IOC_DEVICE_BUS_MASTER,
	  sizeof(struct udrv_ioc_device_bus_master),
	  0,
	  { F(udrv_ioc_device_bus_master, flags, FLAGS),
	    F(udrv_ioc_device_bus_master, enable, BOOL),
	    F(udrv_ioc_device_bus_master, reserved, ZERO) } },
	{ UDRV_IOC_DEVICE_RESET,
	  sizeof(struct udrv_ioc_device_reset),
	  E(EAGAIN),
	  { F(udrv_ioc_device_reset, flags, FLAGS) } },
	{ UDRV_IOC_REGION_INFO,
	  sizeof(struct udrv_ioc_region_info),
	  0,
	  { F(udrv_ioc_region_info, flags, FLAGS), F(udrv_ioc_region_info, index, REGION) } },
	{ UDRV_IOC_IRQ_SETUP,
	  sizeof(struct udrv_ioc_irq_setup),
	  E(EPERM) | E(ENOSPC) | E(EBUSY) | E(ENOMEM),
	  { F(udrv_ioc_irq_setup, flags, SETUP_FLAGS), F(udrv_ioc_irq_setup, kind, IRQ_KIND),
	    F(udrv_ioc_irq_setup, count, IRQ_COUNT) } },
	{ UDRV_IOC_IRQ_INFO,
	  sizeof(struct udrv_ioc_irq_info),
	  0,
	  { F(udrv_ioc_irq_info, flags, FLAGS), F(udrv_ioc_irq_info, vector, VECTOR) } },
	{ UDRV_IOC_IRQ_MASK,
	  sizeof(struct udrv_ioc_irq_range),
	  0,
	  { F(udrv_ioc_irq_range, flags, FLAGS), F(udrv_ioc_irq_range, vector, VECTOR),
	    F(udrv_ioc_irq_range, count, VECTOR_COUNT) } },
	{ UDRV_IOC_IRQ_UNMASK,
	  sizeof(struct udrv_ioc_irq_range),
	  0,
	  { F(udrv_ioc_irq_range, flags, FLAGS), F(udrv_ioc_irq_range, vector, VECTOR),
	    F(udrv_ioc_irq_range, count, VECTOR_COUNT) } },
	{ UDRV_IOC_IRQ_ATTACH,
	  sizeof(struct udrv_ioc_irq_attach),
	  E(EBUSY),
	  { F(udrv_ioc_irq_attach, flags, FLAGS), F(udrv_ioc_irq_attach, vector, VECTOR),
	    F(udrv_ioc_irq_attach, fd, EVENT) } },
	{ UDRV_IOC_IRQ_DETACH,
	  sizeof(struct udrv_ioc_irq_attach),
	  E(ENOENT),
	  { F(udrv_ioc_irq_attach, flags, FLAGS), F(udrv_ioc_irq_attach, vector, VECTOR),
	    F(udrv_ioc_irq_attach, fd, NO_EVENT) } },
	{ UDRV_IOC_PROG_SET,
	  sizeof(struct udrv_ioc_prog_set),
	  E(EPERM) | E(EBUSY) | E(ENOMEM),
	  { F(udrv_ioc_prog_set, flags, FLAGS), F(udrv_ioc_prog_set, use, PROG_USE),
	    F(udrv_ioc_prog_set, count, PROG_COUNT), F(udrv_ioc_prog_set, ops, PROG_OPS) } },
	{ UDRV_IOC_PROG_RUN,
	  sizeof(struct udrv_ioc_prog_run),
	  E(EPERM) | E(ETIMEDOUT) | E(ENOMEM),
	  { F(udrv_ioc_prog_run, flags, FLAGS), F(udrv_ioc_prog_run, count, PROG_COUNT),
	    F(udrv_ioc_prog_run, ops, PROG_OPS), F(udrv_ioc_prog_run, values, PROG_VALUES) } },
	{ UDRV_IOC_DMA_MASK,
	  sizeof(struct udrv_ioc_dma_mask),
	  E(EBUSY),
	  { F(udrv_ioc_dma_mask, flags, FLAGS), F(udrv_ioc_dma_mask, bits, MASK_BITS),
	    F(udrv_ioc_dma_mask, reserved, ZERO) } },
	{ UDRV_IOC_DMA_ALLOC,
	  sizeof(struct udrv_ioc_dma_alloc),
	  E(ENOMEM) | E(ENOSPC),
	  { F(udrv_ioc_dma_alloc, flags, FLAGS), F(udrv_ioc_dma_alloc, length, ALLOC_LENGTH),
	    F(udrv_ioc_dma_alloc, reserved, ZERO) } },
	{ UDRV_IOC_DMA_FREE,
	  sizeof(struct udrv_ioc_dma_handle),
	  E(ENOENT),
	  { F(udrv_ioc_dma_handle, flags, FLAGS), F(udrv_ioc_dma_handle, handle, BUFFER),
	    F(udrv_ioc_dma_handle, reserved, ZERO) } },
	{ UDRV_IOC_DMA_MAP,
	  sizeof(struct udrv_ioc_dma_map),
	  E(ENOMEM) | E(ENOSPC),
	  { F(udrv_ioc_dma_map, flags, FLAGS), F(udrv_ioc_dma_map, user_addr, USER_ADDR),
	    F(udrv_ioc_dma_map, length, USER_LENGTH), F(udrv_ioc_dma_map, segments, SEGMENTS),
	    F(udrv_ioc_dma_map, segment_count, SEGMENT_COUNT),
	    F(udrv_ioc_dma_map, direction, DIRECTION), F(udrv_ioc_dma_map, reserved, ZERO) } },
	{ UDRV_IOC_DMA_UNMAP,
	  sizeof(struct udrv_ioc_dma_handle),
	  E(ENOENT),
	  { F(udrv_ioc_dma_handle, flags, FLAGS), F(udrv_ioc_dma_handle, handle, MAPPING),
	    F(udrv_ioc_dma_handle, reserved, ZERO) } },
	{ UDRV_IOC_DMA_SYNC,
	  sizeof(struct udrv_ioc_dma_sync),
	  E(ENOENT),
	  { F(udrv_ioc_dma_sync, flags, FLAGS), F(udrv_ioc_dma_sync, handle, MAPPING),
	    F(udrv_ioc_dma_sync, to, SYNC_TO), F(udrv_ioc_dma_sync, offset, SYNC_OFFSET),
	    F(udrv_ioc_dma_sync, length, SYNC_LENGTH) } },
	{ UDRV_IOC_NET_ATTACH,
	  sizeof(struct udrv_ioc_net_attach),
	  E(EPERM) | E(EBUSY) | E(EEXIST) | E(ENOMEM) | E(EOPNOTSUPP),
	  { F(udrv_ioc_net_attach, flags, FLAGS), F(udrv_ioc_net_attach, device_fd, NET_OPTION),
	    F(udrv_ioc_net_attach, features, NET_OPTION),
	    { offsetof(struct udrv_ioc_net_attach, name), 8, NET_NAME },
	    { offsetof(struct udrv_ioc_net_attach, name) + 8, 8, NET_OPTION },
	    F(udrv_ioc_net_attach, address, NET_OPTION), F(udrv_ioc_net_attach, reserved0, ZERO),
	    F(udrv_ioc_net_attach, queue_count, NET_OPTION),
	    F(udrv_ioc_net_attach, tx_slots, NET_OPTION),
	    F(udrv_ioc_net_attach, rx_slots, NET_OPTION),
	    F(udrv_ioc_net_attach, max_mtu, NET_OPTION),
	    F(udrv_ioc_net_attach, grace_ms, NET_OPTION) } },
	{ UDRV_IOC_NET_TURN,
	  sizeof(struct udrv_ioc_net_turn),
	  E(EBUSY),
	  { F(udrv_ioc_net_turn, flags, FLAGS), F(udrv_ioc_net_turn, queue, NET_QUEUE),
	    F(udrv_ioc_net_turn, ready, NET_READY), F(udrv_ioc_net_turn, timeout_ns, NET_TIMEOUT),
	    F(udrv_ioc_net_turn, reserved, ZERO) } },
	{ UDRV_IOC_NET_STATE,
	  sizeof(struct udrv_ioc_net_state),
	  0,
	  { F(udrv_ioc_net_state, flags, FLAGS) } },
	{ UDRV_IOC_NET_LINK,
	  sizeof(struct udrv_ioc_net_link),
	  0,
	  { F(udrv_ioc_net_link, flags, FLAGS), F(udrv_ioc_net_link, link, NET_LINK),
	    F(udrv_ioc_net_link, speed, NET_SPEED) } },
	{ UDRV_IOC_NET_VECTOR,
	  sizeof(struct udrv_ioc_net_queue),
	  E(EBUSY),
	  { F(udrv_ioc_net_queue, flags, FLAGS), F(udrv_ioc_net_queue, queue, NET_QUEUE),
	    F(udrv_ioc_net_queue, vector, VECTOR) } },
	{ UDRV_IOC_NET_KICK,
	  sizeof(struct udrv_ioc_net_queue),
	  0,
	  { F(udrv_ioc_net_queue, flags, FLAGS), F(udrv_ioc_net_queue, queue, NET_QUEUE),
	    F(udrv_ioc_net_queue, vector, ZERO) } },
};

/* What no call may say, whatever made it (device.c says why). False: do not call. */
static bool filter(unsigned int cmd, const uint8_t *arg, bool fresh)
{
	uint32_t words[4];

	memcpy(words, arg, sizeof(words));
	switch (cmd) {
	case UDRV_IOC_DMA_MAP:
		/* Twice for a device that writes is the driver's own fault; the DMA API's debugging
		 * says so. */
		return fresh || !shared->dma_debug ||
		       ((const struct udrv_ioc_dma_map *)arg)->direction == UDRV_DMA_TO_DEVICE;
	case UDRV_IOC_DMA_FREE:
		return !round_.device->dma || !device_keeps_buffer(words[2]);
	case UDRV_IOC_DMA_UNMAP:
		return !round_.device->dma || !device_keeps_mapping(words[2]);
	case UDRV_IOC_DEVICE_BUS_MASTER:
		return !(words[2] == 1 && round_.flavour.acknowledge);
	case UDRV_IOC_IRQ_SETUP:
		return !(words[2] >= UDRV_IRQ_MSI && round_.flavour.acknowledge);
	case UDRV_IOC_PROG_SET:
		return !(words[2] == UDRV_PROG_ACK && words[3] && !round_.flavour.acknowledge &&
			 round_.device->has_irq);
	}
	return true;
}

/* ---- answers ---- */

static void check_failure(const struct call *call, int error, const uint8_t *before,
			  const uint8_t *arg, bool whole)
{
	const struct op *op = op_at(atomic_load(&self->activity->op) - 1);

	/* What the interrupt core and the network core make of a fault is their own: -1, for one. */
	if (!((call->errors | ERRORS_OF_ALL) & E(error)) &&
	    !(self->hit &&
	      (call->cmd == UDRV_IOC_IRQ_SETUP || call->cmd == UDRV_IOC_NET_ATTACH)))
		COMPLAIN("%s fails with %s, which it does not list", op->name,
			 strerrorname_np(error) ?: "an unknown error");
	/* EFAULT: the struct may have been written in part, if not all of it is there. */
	if (whole && error != ENOSPC && error != ETIMEDOUT && memcmp(before, arg, ARG_ROOM))
		COMPLAIN("%s fails with %s, and has written to its struct", op->name,
			 strerrorname_np(error));
}

static void check_alloc(struct udrv_ioc_dma_alloc *arg)
{
	if (!arg->handle || arg->handle > UDRV_DMA_ALLOC_MAX_COUNT || arg->length % PAGE ||
	    arg->iova % PAGE || arg->offset % PAGE || arg->offset >> 44)
		COMPLAIN("DMA_ALLOC: handle %#x, length %#llx, iova %#llx, offset %#llx",
			 arg->handle, arg->length, arg->iova, arg->offset);
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
		COMPLAIN("DMA_MAP: handle %#x, %u segments of together %#llx, length %#llx",
			 arg->handle, arg->segment_count, (unsigned long long)sum, arg->length);
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
	case UDRV_IOC_NET_ATTACH:
		if (whole)
			net_attached(m->net, (void *)arg);
		break;
	case UDRV_IOC_NET_STATE:
		if (whole && ((struct udrv_ioc_net_state *)arg)->group_count > UDRV_NET_GROUPS_MAX)
			COMPLAIN("NET_STATE: %u groups",
				 ((struct udrv_ioc_net_state *)arg)->group_count);
		break;
	}
}

/* Calls that filter() looks into are made from memory that is the thread's own: nobody changes it
 * afterwards. */
static bool looked_into(unsigned int cmd)
{
	return cmd == UDRV_IOC_DMA_FREE || cmd == UDRV_IOC_DMA_UNMAP ||
	       cmd == UDRV_IOC_DEVICE_BUS_MASTER || cmd == UDRV_IOC_NET_ATTACH ||
	       cmd == UDRV_IOC_NET_TURN ||
	       (cmd == UDRV_IOC_IRQ_SETUP && round_.flavour.acknowledge) ||
	       cmd == UDRV_IOC_PROG_SET;
}

/* Who waits for long is woken by a signal, and signals are off while something is to fail. */
static bool may_fail(unsigned int cmd, const void *arg)
{
	return cmd != UDRV_IOC_NET_TURN ||
	       ((const struct udrv_ioc_net_turn *)arg)->timeout_ns < 100000000;
}

static long call_it(int fd, unsigned int cmd, void *arg, bool enable, bool fail)
{
	long result = SKIPPED;
	bool begun;

	/* Bus mastering goes on only while edu's engine is idle, and nobody starts it meanwhile. */
	if (enable)
		device_lock();
	if (!enable || device_may_master(fd)) {
		begun = fail && fault_begin();
		result = ioctl(fd, cmd, arg) < 0 ? -errno : 0;
		fault_end(begun);
	}
	if (enable)
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
	static __thread uint8_t before[ARG_ROOM] __attribute__((aligned(8)));
	const struct call *call = call_of(op->cmd);
	struct rng *rng = &self->rng;
	struct making m = args_make(call, self->arg);
	void *where = self->arg;
	bool whole = true, sealed = false;
	long result;

	if (!filter(op->cmd, self->arg, m.fresh))
		return SKIPPED;
	memcpy(before, self->arg, ARG_ROOM);
	if (one_in(rng, 12)) {
		/* At the end of what is there; or somewhere worse. */
		whole = false;
		where = self->arg_end - below(rng, call->size + 1);
		if (!looked_into(op->cmd))
			where = one_in(rng, 2)	 ? where
				: one_in(rng, 3) ? read_only_pointer(rng)
						 : bad_pointer(rng, call->size);
		guarded_copy(where, before, call->size);
	} else if (op->cmd == UDRV_IOC_NET_ATTACH && one_in(rng, 6)) {
		/* It can be read, and the answer cannot be told. */
		sealed = true;
		REQUIRE_OK(mprotect(self->arg, ARG_ROOM, PROT_READ));
	}
	result = call_it(op->net ? net_fd(m.net) : any_node(), op->cmd, where,
			 op->cmd == UDRV_IOC_DEVICE_BUS_MASTER &&
				 ((const struct udrv_ioc_device_bus_master *)before)->enable,
			 may_fail(op->cmd, before));
	if (sealed) {
		REQUIRE_OK(mprotect(self->arg, ARG_ROOM, PROT_READ | PROT_WRITE));
		if (!result)
			COMPLAIN("%s succeeds, and its answer cannot be written", op->name);
		whole = whole && result;
	}
	if (result == SKIPPED)
		return result;
	if (result < 0)
		check_failure(call, -result, before, self->arg, whole);
	else
		check_success(call, self->arg, &m, whole);
	return result;
}

/* Now and then one of the other kind. */
static int some_fd(unsigned int cmd)
{
	bool net = round_.flavour.net && call_is_net(cmd) != one_in(&self->rng, 16);

	return net ? net_fd(net_pick(true)) : any_node();
}

/* Noise: any number, any bytes. */
static long noise_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	unsigned int cmd = one_in(rng, 2) ? calls[below(rng, COUNT_OF(calls))].cmd
					  : UDRV_IOC_TYPE << 8 | below(rng, 256);
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
	/* Addresses that it makes up are where nothing of ours is, but for the lowest: results must
	 * not hit us. */
	if (cmd == UDRV_IOC_DEVICE_BUS_MASTER || !filter(cmd, self->arg, false))
		return SKIPPED;
	return ioctl(some_fd(cmd), cmd, self->arg) < 0 ? -errno : 0;
}

/* A struct in memory that another thread changes while the kernel reads it: its size, flags and
 * first field. */
static uint32_t contested[sizeof(struct udrv_ioc_net_state) / 4];

static long contest_run(const struct op *op)
{
	static const unsigned int cmds[] = { UDRV_IOC_DEVICE_INFO, UDRV_IOC_REGION_INFO,
					     UDRV_IOC_IRQ_INFO,	   UDRV_IOC_IRQ_MASK,
					     UDRV_IOC_IRQ_UNMASK,  UDRV_IOC_DMA_MASK,
					     UDRV_IOC_NET_STATE,   UDRV_IOC_NET_KICK };
	static const uint32_t values[] = { 0, 1, 8, 16, 24, 32, 40, 56, 72, 4096, 4097, ~0U };
	struct rng *rng = &self->rng;
	unsigned int cmd = cmds[below(rng, COUNT_OF(cmds))];
	volatile uint32_t *words = contested;

	(void)op;
	for (unsigned int i = 0; i < 200 && one_in(rng, 2); i++)
		words[below(rng, 3)] = values[below(rng, COUNT_OF(values))];
	words[0] = call_of(cmd)->size;
	words[1] = 0;
	return ioctl(some_fd(cmd), cmd, contested) < 0 ? -errno : 0;
}

#define CALL(name_, weight_, cmd_)                                             \
	{                                                                      \
		.name = name_, .weight = weight_, .run = call_run, .cmd = cmd_ \
	}

#define NET_CALL(name_, weight_, cmd_)                                                      \
	{                                                                                   \
		.name = name_, .weight = weight_, .run = call_run, .cmd = cmd_, .net = true \
	}

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
	NET_CALL("NET_ATTACH", 6, UDRV_IOC_NET_ATTACH),
	{ .name = "NET_TURN",
	  .weight = 24,
	  .run = call_run,
	  .cmd = UDRV_IOC_NET_TURN,
	  .may_wait = true,
	  .net = true },
	NET_CALL("NET_STATE", 6, UDRV_IOC_NET_STATE),
	NET_CALL("NET_LINK", 6, UDRV_IOC_NET_LINK),
	NET_CALL("NET_VECTOR", 10, UDRV_IOC_NET_VECTOR),
	NET_CALL("NET_KICK", 6, UDRV_IOC_NET_KICK),
	{ .name = "noise", .weight = 10, .run = noise_run, .may_wait = true },
	{ .name = "contested", .weight = 6, .run = contest_run },
};
const size_t call_op_count = COUNT_OF(call_ops);
