// SPDX-License-Identifier: MIT
/*
 * files.c - what a descriptor can do besides ioctl: come and go, read, wait, tell, access registers
 *
 * Descriptors are closed and opened while other threads are in calls on them, so any of them may
 * name nothing, or another file, at any moment; results are judged only where that does not matter.
 * A read may wait: the supervisor sends a signal to whoever does for long.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

static int pick(_Atomic int *table, unsigned int count)
{
	int fd = -1;

	for (unsigned int tries = 0; fd < 0 && tries < 2 * count; tries++)
		fd = atomic_load(&table[below(&self->rng, count)]);
	return fd;
}

int any_node(void)
{
	return pick(round_.nodes, NODES_MAX);
}

int any_event(void)
{
	return pick(round_.events, EVENTS_MAX);
}

/* Put a descriptor into a table, in place of another one, which is closed. */
static void keep(_Atomic int *table, unsigned int count, int fd)
{
	int old = atomic_exchange(&table[below(&self->rng, count)], fd);

	if (old >= 0)
		close(old);
}

/* ---- coming and going ---- */

static bool none_open(void)
{
	for (unsigned int i = 0; i < NODES_MAX; i++)
		if (atomic_load(&round_.nodes[i]) >= 0)
			return false;
	return true;
}

static long open_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	int flags = one_in(rng, 10) ? O_RDONLY : one_in(rng, 10) ? O_WRONLY : O_RDWR;
	bool begun = fault_begin();
	int fd = open(round_.node.path, flags | O_CLOEXEC | (one_in(rng, 2) ? O_NONBLOCK : 0));
	int error = errno;

	fault_end(begun);
	(void)op;
	if (fd < 0) {
		/* All descriptors are closed, and mappings keep it: let go of them, too. */
		if (error == EBUSY && none_open()) {
			device_forget(0);
			device_forget(1);
			memory_drop();
		}
		return -error;
	}
	calls_forget();
	device_opened(fd);
	/* In more than one place: what was open before is dead now. */
	for (unsigned int i = below(rng, 3); i; i--)
		keep(round_.nodes, NODES_MAX, fcntl(fd, F_DUPFD_CLOEXEC, 3));
	keep(round_.nodes, NODES_MAX, fd);
	return 0;
}

static long close_run(const struct op *op)
{
	int fd = atomic_exchange(&round_.nodes[below(&self->rng, NODES_MAX)], -1);

	(void)op;
	if (one_in(&self->rng, 3))
		device_forget(below(&self->rng, TENURES));
	if (fd < 0)
		return SKIPPED;
	return close(fd) ? -errno : 0;
}

static long dup_run(const struct op *op)
{
	int fd = fcntl(any_node(), F_DUPFD_CLOEXEC, 3);

	(void)op;
	if (fd < 0)
		return -errno;
	keep(round_.nodes, NODES_MAX, fd);
	return 0;
}

/* A child has the descriptors, not the mappings. It makes some calls, and ends before or after
 * others do. */
static long fork_run(const struct op *op)
{
	pid_t child;
	int status;

	(void)op;
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0) {
		struct udrv_ioc_device_info info = NODE_ARG(info);
		struct udrv_irq_record record;
		struct iovec part = { &record, sizeof(record) };
		uint32_t value;

		for (unsigned int i = 0; i < NODES_MAX; i++) {
			int fd = atomic_load(&round_.nodes[i]);

			if (fd < 0 || ioctl(fd, UDRV_IOC_DEVICE_INFO, &info))
				continue;
			if (pread(fd, &value, 4, round_.regions[UDRV_REGION_CONFIG].offset) != 4 ||
			    preadv2(fd, &part, 1, -1, RWF_NOWAIT) < 0)
				continue;
		}
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return 0;
}

/* ---- interrupts ---- */

static void check_records(const struct udrv_irq_record *records, ssize_t bytes, size_t room)
{
	if ((size_t)bytes > room || bytes % sizeof(*records))
		COMPLAIN("read: %zd bytes of %zu", bytes, room);
	for (size_t i = 0; i < bytes / sizeof(*records); i++)
		if (!records[i].count || records[i].vector >= 2048 || !records[i].time_ns)
			COMPLAIN("read: vector %u, count %u", records[i].vector, records[i].count);
}

static size_t read_size(struct rng *rng)
{
	static const uint16_t sizes[] = { 24, 24, 48, 24 * 128, 4,  4,	0,   1,
					  3,  5,  8,  23,	25, 47, 4096 };

	return sizes[below(rng, COUNT_OF(sizes))];
}

static long read_run(const struct op *op)
{
	size_t room = read_size(&self->rng);
	bool whole;
	void *to = user_pointer(room, &whole);
	int fd = any_node();
	ssize_t done = read(fd, to, room);

	(void)op;
	/* An eventfd's 8 bytes, if the descriptor is one by now. */
	if (done > 8 && whole)
		check_records(to, done, room);
	return done < 0 ? -errno : 0;
}

static long preadv2_run(const struct op *op)
{
	static const int flags[] = { RWF_NOWAIT, RWF_NOWAIT, 0, RWF_HIPRI, RWF_NOWAIT | RWF_HIPRI,
				     RWF_APPEND };
	struct rng *rng = &self->rng;
	size_t room = read_size(rng);
	bool whole;
	struct iovec parts[3] = { { user_pointer(room, &whole), room },
				  { self->out + 8192, 24 },
				  { NULL, 0 } };
	unsigned int bar, width, count = one_in(rng, 4) ? below(rng, 4) : 1;
	uint64_t offset = one_in(rng, 2) ? ~0ULL : 0, value;

	(void)op;
	if (one_in(rng, 3) && device_register(rng, false, &bar, &offset, &width, &value)) {
		offset += round_.regions[bar].offset;
		parts[0].iov_len = width;
	}
	return preadv2(any_node(), parts, count, offset, flags[below(rng, COUNT_OF(flags))]) < 0
		       ? -errno
		       : 0;
}

static long poll_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	struct pollfd wait[2] = { { .fd = any_node(), .events = one_in(rng, 3) ? POLLIN : 0x3ff },
				  { .fd = any_event() } };

	(void)op;
	return poll(wait, 1 + below(rng, 2), one_in(rng, 2) ? 0 : below(rng, 20)) < 0 ? -errno : 0;
}

static long epoll_run(const struct op *op)
{
	static const uint32_t events[] = { EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLONESHOT,
					   EPOLLIN | EPOLLRDHUP, 0 };
	struct rng *rng = &self->rng;
	struct epoll_event event = { .events = events[below(rng, COUNT_OF(events))] };
	int fd = atomic_load(&round_.epoll);

	(void)op;
	if (one_in(rng, 2))
		return epoll_wait(fd, &event, 1, one_in(rng, 2) ? 0 : below(rng, 10)) < 0 ? -errno
											  : 0;
	return epoll_ctl(fd, 1 + below(rng, 3), any_node(), &event) ? -errno : 0;
}

static long eventfd_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	uint64_t count;
	int fd;

	(void)op;
	if (!one_in(rng, 4))
		return read(any_event(), &count, sizeof(count)) < 0 ? -errno : 0;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (one_in(rng, 2) ? EFD_SEMAPHORE : 0));
	if (fd < 0)
		return -errno;
	keep(round_.events, EVENTS_MAX, fd);
	return 0;
}

static long fcntl_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	int fd = any_node();

	(void)op;
	switch (below(rng, 8)) {
	case 0:
	case 1:
		return fcntl(fd, F_SETFL,
			     (one_in(rng, 2) ? O_NONBLOCK : 0) | (one_in(rng, 2) ? O_ASYNC : 0))
			       ? -errno
			       : 0;
	case 2:
		return fcntl(fd, F_SETOWN, one_in(rng, 2) ? getpid() : 0) ? -errno : 0;
	case 3: /* with a signal that is handled: SIGIO, or a real-time one */
		return fcntl(fd, F_SETSIG, one_in(rng, 2) ? 0 : SIGRTMIN) ? -errno : 0;
	case 4:
		return fcntl(fd, F_SETFL, O_APPEND | O_DIRECT | O_NOATIME) ? -errno : 0;
	case 5:
		return lseek(fd, rng_next(rng) >> below(rng, 64), below(rng, 5)) < 0 ? -errno : 0;
	case 6:
		return fsync(fd) ? -errno : 0;
	default:
		return ftruncate(fd, below(rng, 8192)) ? -errno : 0;
	}
}

static long splice_run(const struct op *op)
{
	int ends[2];
	long result = 0;

	(void)op;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	if (splice(any_node(), NULL, ends[1], NULL, 24, SPLICE_F_NONBLOCK) < 0)
		result = -errno;
	close(ends[0]);
	close(ends[1]);
	return result;
}

/* ---- registers ---- */

static uint64_t odd_offset(struct rng *rng)
{
	uint64_t offset = round_.regions[below(rng, UDRV_REGION_COUNT)].offset, length;

	switch (below(rng, 5)) {
	case 0:
		return offset - 1 - below(rng, 8);
	case 1:
		return offset + round_.regions[below(rng, UDRV_REGION_COUNT)].length -
		       below(rng, 9);
	case 2:
		return offset + (1ULL << 39);
	case 3: /* of a buffer: not a register */
		return memory_buffer_offset(rng, &length);
	}
	return rng_next(rng) >> (1 + below(rng, 40));
}

static long pread_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	unsigned int bar, width;
	uint64_t offset, value;
	bool whole;
	void *to = user_pointer(8, &whole);

	(void)op;
	if (!device_register(rng, false, &bar, &offset, &width, &value))
		return SKIPPED;
	offset += round_.regions[bar].offset;
	if (one_in(rng, 6))
		offset = odd_offset(rng);
	if (one_in(rng, 10))
		width = below(rng, 20);
	return pread(any_node(), to, width, offset) < 0 ? -errno : 0;
}

/* Nothing odd here that a BAR could contain: what may not be written must not be hit by chance. */
static long pwrite_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	unsigned int bar, width;
	uint64_t offset, value;

	(void)op;
	if (!device_register(rng, true, &bar, &offset, &width, &value))
		return SKIPPED;
	offset += round_.regions[bar].offset;
	if (one_in(rng, 10)) /* nothing there to be written; or a width that is refused */
		return one_in(rng, 2)
			       ? (pwrite(any_node(), self->arg_end, width, offset) < 0 ? -errno : 0)
			       : (pwrite(any_node(), self->out, 9 + below(rng, 100), offset) < 0
					  ? -errno
					  : 0);
	if (one_in(rng, 6)) {
		offset = round_.regions[bar].offset + round_.regions[bar].length + below(rng, 64);
		if (one_in(rng, 2))
			offset = round_.regions[bar].offset + (1ULL << 39) +
				 rng_next(rng) % (1ULL << 39);
	}
	return pwrite(any_node(), &value, width, offset) < 0 ? -errno : 0;
}

/* The table decides what a driver may change: whatever is asked, nothing bad may come of it. */
static long config_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	unsigned int width = one_in(rng, 10) ? below(rng, 9) : 1U << below(rng, 3);
	uint64_t offset = below(rng, one_in(rng, 4) ? 4200 : 256),
		 value = one_in(rng, 2) ? rng_next(rng) : ~0ULL;

	(void)op;
	if (!one_in(rng, 8) && width)
		offset -= offset % width;
	offset += round_.regions[UDRV_REGION_CONFIG].offset;
	if (one_in(rng, 2))
		return pread(any_node(), self->out, width, offset) < 0 ? -errno : 0;
	return pwrite(any_node(), &value, width, offset) < 0 ? -errno : 0;
}

static long pwritev_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	struct iovec parts[4];
	unsigned int bar, width, count = 1 + below(rng, COUNT_OF(parts));
	uint64_t offset, value, values[4];

	(void)op;
	if (!device_register(rng, true, &bar, &offset, &width, &value))
		return SKIPPED;
	for (unsigned int i = 0; i < count; i++) {
		values[i] = value;
		if (!round_.device->writable(rng, bar, offset + i * width, width, &values[i]))
			count = i;
		parts[i] = (struct iovec){ &values[i], width };
	}
	return pwritev(any_node(), parts, count, offset + round_.regions[bar].offset) < 0 ? -errno
											  : 0;
}

static long raise_run(const struct op *op)
{
	(void)op;
	if (!round_.device->raise)
		return SKIPPED;
	round_.device->raise(&self->rng, any_node());
	return 0;
}

static long dma_run(const struct op *op)
{
	(void)op;
	return round_.device->dma ? device_start_dma(&self->rng) : SKIPPED;
}

static long sysfs_run(const struct op *op)
{
	static const char *const names[] = { "owner",	       "irq",
					     "interrupts",     "bus_master",
					     "dma_consistent", "dma_streaming",
					     "trust" };
	char path[128], text[256];

	(void)op;
	snprintf(path, sizeof(path), "/sys/class/udrv/%s/%s", round_.node.name,
		 names[below(&self->rng, COUNT_OF(names))]);
	return os_read(path, text, sizeof(text)) ? -errno : 0;
}

const struct op file_ops[] = {
	{ .name = "open", .weight = 10, .run = open_run },
	{ .name = "close", .weight = 4, .run = close_run },
	{ .name = "dup", .weight = 4, .run = dup_run },
	{ .name = "fork", .weight = 1, .run = fork_run },
	{ .name = "read", .weight = 14, .run = read_run, .may_wait = true },
	{ .name = "preadv2", .weight = 8, .run = preadv2_run, .may_wait = true },
	{ .name = "poll", .weight = 8, .run = poll_run },
	{ .name = "epoll", .weight = 6, .run = epoll_run },
	{ .name = "eventfd", .weight = 5, .run = eventfd_run },
	{ .name = "fcntl", .weight = 6, .run = fcntl_run },
	{ .name = "splice", .weight = 1, .run = splice_run, .may_wait = true },
	{ .name = "pread", .weight = 12, .run = pread_run, .may_wait = true }, /* at 0 */
	{ .name = "pwrite", .weight = 12, .run = pwrite_run },
	{ .name = "pwritev", .weight = 3, .run = pwritev_run },
	{ .name = "config", .weight = 10, .run = config_run },
	{ .name = "raise", .weight = 20, .run = raise_run },
	{ .name = "dma", .weight = 12, .run = dma_run },
	{ .name = "sysfs", .weight = 3, .run = sysfs_run },
};
const size_t file_op_count = COUNT_OF(file_ops);
