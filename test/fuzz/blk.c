// SPDX-License-Identifier: MIT
/*
 * blk.c - the driver of disks: descriptors of /dev/udrv/blk, their calls, and what is done to rings
 *
 * As net.c does for interfaces: honest at times, so that requests move, and hostile at times. The system's
 * side is the kernel's own: it looks for partitions on what is added, and udev reads some more. Nobody
 * of this process does, who could not be killed while he waits for a disk that he is to serve himself.
 *
 * Options are few, so that an attach meets disks that an earlier driver has left. What a round leaves behind
 * is ended after it, by taking the device away from udrv for a moment.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <udrv/blk.h>
#include <unistd.h>

#include "../vm/os.h"
#include "calls.h"

#define BLK_NODE "/dev/udrv/blk"
#define BLKS 3
#define BLK_BYTES (4UL << 20) /* of a mapping at most */
#define DISKS 4		      /* units that there mostly are */

/* What a place's descriptor is. Other threads may have another one there at any moment. */
static struct {
	int fd;
	bool attached;
	struct udrv_ioc_blk_attach info;
	uint8_t *area; /* BLK_BYTES, where it is mapped */
} blks[BLKS];
static pthread_mutex_t blks_lock = PTHREAD_MUTEX_INITIALIZER;

void blk_begin(void)
{
	for (unsigned int i = 0; i < BLKS; i++) {
		blks[i].fd = -1;
		blks[i].area = mmap(NULL, BLK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		REQUIRE(blks[i].area != MAP_FAILED);
	}
}

void blk_end(void)
{
	for (unsigned int i = 0; i < BLKS; i++)
		if (blks[i].fd >= 0)
			close(blks[i].fd);
}

/* A place: mostly one that is attached, or that is not. Returns its descriptor, -1: none. */
static int pick(struct rng *rng, bool attached, unsigned int *place, struct udrv_ioc_blk_attach *info)
{
	int fd;

	*place = below(rng, BLKS);
	pthread_mutex_lock(&blks_lock);
	for (unsigned int tries = 0; tries < BLKS && !one_in(rng, 12); tries++) {
		if (blks[*place].attached == attached && blks[*place].fd >= 0)
			break;
		*place = (*place + 1) % BLKS;
	}
	fd = blks[*place].fd;
	*info = blks[*place].info;
	if (!blks[*place].attached)
		memset(info, 0, sizeof(*info));
	pthread_mutex_unlock(&blks_lock);
	return fd;
}

/* Another descriptor in a place; a mapping of the old one may keep it for a while. */
static void put(struct rng *rng, unsigned int place, int fd)
{
	int old;

	pthread_mutex_lock(&blks_lock);
	old = blks[place].fd;
	blks[place].fd = fd;
	blks[place].attached = false;
	pthread_mutex_unlock(&blks_lock);
	if (old < 0)
		return;
	if (!one_in(rng, 4))
		mmap(blks[place].area, BLK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	close(old);
}

static void attached(struct rng *rng, unsigned int place, int fd, const struct udrv_ioc_blk_attach *info)
{
	if (info->map_bytes % PAGE || info->queue_bytes % PAGE || info->ring_entries < info->queue_depth ||
	    info->queue_bytes * info->queue_count > info->map_bytes ||
	    info->segments_offset + (uint64_t)info->queue_depth * info->max_segments *
					    sizeof(struct udrv_blk_segment) > info->queue_bytes)
		COMPLAIN("BLK_ATTACH: %u queues of %#llx, of together %#llx", info->queue_count,
			 info->queue_bytes, info->map_bytes);
	if (info->state & UDRV_BLK_TAKEN_OVER)
		atomic_fetch_add(&shared->disks_taken_over, 1);
	pthread_mutex_lock(&blks_lock);
	if (blks[place].fd == fd) {
		blks[place].attached = true;
		blks[place].info = *info;
	}
	pthread_mutex_unlock(&blks_lock);
	/* If it is another one by now, it has other rings there, or none: no harm. */
	if (!one_in(rng, 10))
		mmap(blks[place].area, info->map_bytes < BLK_BYTES ? info->map_bytes : BLK_BYTES,
		     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
}

/* ---- calls ---- */

/* One field of a struct becomes anything; seldom. */
static void spoil(struct rng *rng, void *arg, size_t bytes)
{
	uint64_t value = odd_number(rng);
	size_t width = one_in(rng, 3) ? 8 : 4;

	if (!one_in(rng, 4))
		return;
	memcpy((uint8_t *)arg + below(rng, bytes / 4 - 1) * 4 / width * width, &value, width);
}

/* Returns its result; complains of an errno that is not in @errors, nor one that all calls have. */
static long call(int fd, unsigned int cmd, const char *name, void *arg, uint64_t errors, bool fail)
{
	bool begun = fail && fault_begin();
	long result = ioctl(fd, cmd, arg) < 0 ? -errno : 0;

	fault_end(begun);
	if (result < 0 && !((errors | ERRORS_OF_ALL) & E(-result)))
		COMPLAIN("%s fails with %s, which it does not list", name, strerrorname_np((int)-result) ?: "?");
	return result;
}

static struct udrv_ioc_blk_attach options(struct rng *rng)
{
	bool many = one_in(rng, 3);
	struct udrv_ioc_blk_attach o = {
		.size = sizeof(o),
		.flags = below(rng, 4), /* UDRV_BLK_DEVICE_IS_RESET, UDRV_BLK_END_HUNG */
		.device_fd = one_in(rng, 3) ? -1 : any_node(),
		.queue_count = many ? 3 : 1,
		.queue_depth = many ? 40 : 4,
		.max_segments = many ? 17 : 2,
		.max_bytes = many ? 65536 : 8192,
		.virt_boundary = many ? 4096 : 0,
		.timeout_ms = 20,
		.deadline_ms = 40, /* nobody waits for long */
	};

	spoil(rng, &o, sizeof(o));
	return o;
}

static long attach_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	struct udrv_ioc_blk_attach o = options(rng), info;
	unsigned int place;
	int fd = pick(rng, false, &place, &info);
	long result;

	(void)op;
	if (fd < 0)
		return SKIPPED;
	result = call(fd, UDRV_IOC_BLK_ATTACH, "BLK_ATTACH", &o,
		      E(EPERM) | E(EBUSY) | E(EOWNERDEAD) | E(ENOMEM), true);
	if (!result)
		attached(rng, place, fd, &o);
	return result;
}

static struct udrv_ioc_blk_disk some_disk(struct rng *rng)
{
	struct udrv_ioc_blk_disk disk = {
		.size = sizeof(disk),
		.unit = below(rng, DISKS),
		.features = one_in(rng, 4) ? below(rng, 16) : UDRV_BLK_WRITE_CACHE | UDRV_BLK_HAS_FUA,
		.bytes = 1 << 20,
		.logical_block = 512,
		.discard_bytes = 1 << 20,
		.zeroes_bytes = 1 << 20,
	};

	snprintf((char *)disk.name, sizeof(disk.name), one_in(rng, 3) ? "udrv%%d" : "udrvfz%u", disk.unit);
	spoil(rng, &disk, sizeof(disk));
	return disk;
}

static long disk_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	struct udrv_ioc_blk_disk disk = some_disk(rng);
	struct udrv_ioc_blk_attach info;
	unsigned int place;
	int fd = pick(rng, true, &place, &info);

	if (fd < 0)
		return SKIPPED;
	if (op->cmd != UDRV_IOC_BLK_DISK_ADD) {
		memset(&disk, 0, sizeof(disk));
		disk.size = sizeof(disk);
		disk.unit = below(rng, DISKS);
		disk.bytes = op->cmd == UDRV_IOC_BLK_DISK_RESIZE ? (1 + below(rng, 4000)) * 512ULL : 0;
		spoil(rng, &disk, sizeof(disk));
	}
	return call(fd, op->cmd, op->name, &disk,
		    E(EBUSY) | E(ENOMEM) | (op->cmd == UDRV_IOC_BLK_DISK_ADD ? E(EEXIST) : E(ENOENT)),
		    true);
}

static long queue_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	struct udrv_ioc_blk_attach info;
	unsigned int place;
	int fd = pick(rng, true, &place, &info);
	struct udrv_ioc_blk_queue arg = {
		.size = sizeof(arg),
		.queue = one_in(rng, 2) ? 0 : below(rng, 4),
		.vector = op->cmd == UDRV_IOC_BLK_VECTOR ? below(rng, round_.vectors + 1) : 0,
	};

	if (fd < 0)
		return SKIPPED;
	spoil(rng, &arg, sizeof(arg));
	return call(fd, op->cmd, op->name, &arg, E(EBUSY), true);
}

/* All that is needed before requests come. */
static long start_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	struct udrv_ioc_blk_attach o = options(rng);
	struct udrv_ioc_blk_disk disk = some_disk(rng);
	unsigned int place = below(rng, BLKS);
	int fd = open(BLK_NODE, O_RDWR | O_CLOEXEC);
	long result;

	(void)op;
	if (fd < 0)
		return -errno;
	/* Under another number, so that nobody closes it before it is there. */
	result = ioctl(fd, UDRV_IOC_BLK_ATTACH, &o) ? -errno : 0;
	put(rng, place, fd);
	if (result)
		return result;
	attached(rng, place, fd, &o);
	return ioctl(fd, UDRV_IOC_BLK_DISK_ADD, &disk) ? -errno : 0;
}

static long open_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	bool begun = fault_begin();
	int fd = open(BLK_NODE, (one_in(rng, 12) ? below(rng, 3) : O_RDWR) | O_CLOEXEC), error = errno;

	(void)op;
	fault_end(begun);
	if (fd < 0)
		return -error;
	put(rng, below(rng, BLKS), fd);
	return 0;
}

static long close_run(const struct op *op)
{
	struct udrv_ioc_blk_attach info;
	unsigned int place;

	(void)op;
	if (pick(&self->rng, true, &place, &info) < 0)
		return SKIPPED;
	put(&self->rng, place, -1);
	return 0;
}

/* ---- rings ---- */

#define RING(name, index) (offsetof(struct udrv_blk_rings, name) + offsetof(struct udrv_ring, index))

/* What was asked for is done; mostly. */
static bool serve(struct rng *rng, uint8_t *q, const struct udrv_ioc_blk_attach *info)
{
	uint32_t produced, consumed, done, bytes, word;

	if (!guarded_get32(q + RING(requests, produced), &produced) || !guarded_get32(q + RING(requests, consumed), &consumed) ||
	    !guarded_get32(q + RING(done, produced), &done))
		return false;
	if (produced - consumed > info->ring_entries)
		consumed = produced;
	for (unsigned int i = 0; i < 64 && consumed != produced; i++, consumed++) {
		uint8_t *entry = q + info->requests_offset +
				 (consumed & (info->ring_entries - 1)) * sizeof(struct udrv_blk_request);
		struct udrv_blk_done answer = { 0 };

		if (!guarded_get32(entry + offsetof(struct udrv_blk_request, bytes), &bytes) ||
		    !guarded_get32(entry + offsetof(struct udrv_blk_request, tag), &word))
			return false;
		if (one_in(rng, 20))
			continue; /* never */
		answer.tag = (uint16_t)(one_in(rng, 40) ? rng_next(rng) : word);
		answer.status = (uint16_t)(one_in(rng, 12) ? below(rng, 9) : UDRV_BLK_OK);
		answer.bytes = one_in(rng, 12) ? (uint32_t)odd_number(rng) : bytes;
		if (!guarded_copy(q + info->done_offset + (done++ & (info->ring_entries - 1)) * sizeof(answer),
				  &answer, sizeof(answer)))
			return false;
	}
	return guarded_put32(q + RING(requests, consumed), consumed) && guarded_put32(q + RING(done, produced), done);
}

static long serve_run(const struct op *op)
{
	struct udrv_ioc_blk_turn turn = { .size = sizeof(turn) };
	struct rng *rng = &self->rng;
	struct udrv_ioc_blk_attach info;
	unsigned int place, queue;
	int fd = pick(rng, true, &place, &info);
	long result = SKIPPED;
	uint8_t *q;

	(void)op;
	if (fd < 0 || !info.queue_count)
		return SKIPPED;
	queue = below(rng, info.queue_count);
	q = blks[place].area + queue * info.queue_bytes;
	if ((queue + 1) * info.queue_bytes > BLK_BYTES)
		return SKIPPED;
	for (unsigned int i = 1 + below(rng, 6); i; i--) {
		if (!serve(rng, q, &info))
			return -EFAULT;
		memset(&turn, 0, sizeof(turn));
		turn.size = sizeof(turn);
		turn.queue = queue;
		turn.ready = one_in(rng, 3) ? below(rng, 16) : 0;
		turn.timeout_ns = one_in(rng, 3) ? 0 : below(rng, 2000000);
		if (one_in(rng, 20)) {
			spoil(rng, &turn, sizeof(turn));
			turn.timeout_ns %= 10000000;
		}
		result = call(fd, UDRV_IOC_BLK_TURN, "BLK_TURN", &turn, E(EBUSY), true);
		if (result)
			break;
	}
	return result;
}

/* Anything into the rings, again and again: indices, entries, whole pages. */
static long scribble_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	struct udrv_ioc_blk_attach info;
	unsigned int place, queue;
	uint32_t value;
	uint8_t *q, *to;

	(void)op;
	if (pick(rng, true, &place, &info) < 0 || !info.queue_count)
		return SKIPPED;
	queue = below(rng, info.queue_count);
	if ((queue + 1) * info.queue_bytes > BLK_BYTES)
		return SKIPPED;
	q = blks[place].area + queue * info.queue_bytes;
	for (unsigned int i = 1 + below(rng, one_in(rng, 4) ? 400 : 20); i; i--) {
		if (one_in(rng, 2)) { /* an index */
			to = q + below(rng, sizeof(struct udrv_blk_rings) / 64) * 64;
			if (!guarded_get32(to, &value))
				return -EFAULT;
			value = one_in(rng, 3)	 ? value + 1 + below(rng, 70)
				: one_in(rng, 2) ? (uint32_t)odd_number(rng)
						 : value - 1;
		} else { /* an entry */
			to = q + PAGE + (rng_next(rng) % (info.queue_bytes - PAGE) & ~3ULL);
			value = one_in(rng, 2) ? below(rng, 70) : (uint32_t)odd_number(rng);
		}
		if (!guarded_put32(to, value))
			return -EFAULT;
	}
	return 0;
}

/* ---- the rest of what such a descriptor can do ---- */

static long other_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	struct udrv_ioc_blk_attach info;
	unsigned int place;
	int fd = pick(rng, true, &place, &info);
	struct pollfd wait = { .fd = fd, .events = one_in(rng, 3) ? POLLIN : 0x3ff };
	uint64_t length;
	void *address;

	(void)op;
	if (fd < 0)
		return SKIPPED;
	switch (below(rng, 5)) {
	case 0:
		return read(fd, &length, sizeof(length)) < 0 ? -errno : 0;
	case 1:
		return fcntl(fd, F_SETFL, one_in(rng, 2) ? O_NONBLOCK : O_ASYNC) ? -errno : 0;
	case 2:
		length = info.map_bytes && !one_in(rng, 3) ? info.map_bytes : (1 + below(rng, 64)) * PAGE;
		length = length + (one_in(rng, 8) ? PAGE : 0);
		address = mmap(blks[place].area, length < BLK_BYTES ? length : BLK_BYTES,
			       PROT_READ | PROT_WRITE | (one_in(rng, 8) ? PROT_EXEC : 0),
			       (one_in(rng, 8) ? MAP_PRIVATE : MAP_SHARED) | MAP_FIXED, fd,
			       one_in(rng, 8) ? (off_t)(odd_number(rng) & ~(PAGE - 1)) : 0);
		return address == MAP_FAILED ? -errno : 0;
	default:
		return poll(&wait, 1, one_in(rng, 2) ? 0 : below(rng, 10)) < 0 ? -errno : 0;
	}
}

/* Disks come and go slowly (hundreds of milliseconds on the debug kernel): not often. */
const struct op blk_ops[] = {
	{ .name = "blk: open", .weight = 4, .run = open_run, .blk = true },
	{ .name = "blk: close", .weight = 3, .run = close_run, .blk = true },
	{ .name = "blk: start", .weight = 8, .run = start_run, .blk = true },
	{ .name = "BLK_ATTACH", .weight = 6, .run = attach_run, .blk = true },
	{ .name = "BLK_DISK_ADD", .weight = 8, .run = disk_run, .cmd = UDRV_IOC_BLK_DISK_ADD, .blk = true },
	{ .name = "BLK_DISK_RESIZE", .weight = 4, .run = disk_run, .cmd = UDRV_IOC_BLK_DISK_RESIZE, .blk = true },
	{ .name = "BLK_DISK_REMOVE", .weight = 3, .run = disk_run, .cmd = UDRV_IOC_BLK_DISK_REMOVE, .blk = true },
	{ .name = "BLK_VECTOR", .weight = 8, .run = queue_run, .cmd = UDRV_IOC_BLK_VECTOR, .blk = true },
	{ .name = "BLK_KICK", .weight = 6, .run = queue_run, .cmd = UDRV_IOC_BLK_KICK, .blk = true },
	{ .name = "blk: serve", .weight = 60, .run = serve_run, .blk = true },
	{ .name = "blk: scribble", .weight = 30, .run = scribble_run, .blk = true },
	{ .name = "blk: other", .weight = 14, .run = other_run, .blk = true },
};
const size_t blk_op_count = COUNT_OF(blk_ops);

/* ---- afterwards, in the supervisor ---- */

static unsigned int disks_there(void)
{
	DIR *list = opendir("/sys/block");
	unsigned int count = 0;
	struct dirent *entry;

	REQUIRE(list);
	while ((entry = readdir(list)))
		count += !strncmp(entry->d_name, "udrv", 4);
	closedir(list);
	return count;
}

bool blk_back(struct node *node)
{
	/* Those of a device stand, for the next driver; those without one go with their descriptor. */
	if (disks_there()) {
		node_unbind(node);
		node_bind(node);
	}
	return CHECK(OS_WAIT_FOR(disks_there() == 0, 20000));
}
