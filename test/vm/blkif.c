// SPDX-License-Identifier: MIT
/*
 * blkif.c - a driver of disks, on raw system calls (blkif.h)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "blkif.h"
#include "os.h"
#include "tap.h"

struct udrv_ioc_blk_attach blkif_options(int device_fd)
{
	return (struct udrv_ioc_blk_attach){
		.size = sizeof(struct udrv_ioc_blk_attach),
		.device_fd = device_fd,
		.queue_count = 1,
		.queue_depth = BLKIF_DEPTH,
		.max_segments = 16,
		.max_bytes = 65536,
	};
}

struct udrv_ioc_blk_disk blkif_disk(void)
{
	return (struct udrv_ioc_blk_disk){
		.size = sizeof(struct udrv_ioc_blk_disk),
		.features = UDRV_BLK_WRITE_CACHE | UDRV_BLK_HAS_FUA,
		.bytes = BLKIF_BYTES,
		.logical_block = 512,
		.discard_bytes = 1 << 20,
		.zeroes_bytes = 1 << 20,
		.id = "test",
		.name = BLKIF_NAME,
	};
}

struct udrv_ioc_blk_disk blkif_edu_disk(void)
{
	struct udrv_ioc_blk_disk disk = blkif_disk();

	disk.bytes = BLKIF_EDU_BYTES;
	disk.discard_bytes = 0;
	disk.zeroes_bytes = 0;
	return disk;
}

int blkif_call(const struct blkif *b, unsigned long call, void *arg)
{
	return ioctl(b->fd, call, arg);
}

int blkif_attach(struct blkif *b, const struct udrv_ioc_blk_attach *options)
{
	int error;

	memset(b, 0, sizeof(*b));
	b->info = *options;
	REQUIRE_OK(b->fd = open(BLKIF_NODE, O_RDWR | O_CLOEXEC));
	if (blkif_call(b, UDRV_IOC_BLK_ATTACH, &b->info)) {
		error = errno;
		close(b->fd);
		b->fd = -1;
		errno = error;
		return -1;
	}
	b->area = mmap(NULL, b->info.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	REQUIRE(b->area != MAP_FAILED);
	REQUIRE(b->info.queue_count <= 4);
	for (uint32_t i = 0; i < b->info.queue_count; i++) {
		uint8_t *base = b->area + i * b->info.queue_bytes;

		b->queues[i] = (struct blkif_queue){
			.rings = (void *)base,
			.requests = (void *)(base + b->info.requests_offset),
			.done = (void *)(base + b->info.done_offset),
			.segments = (void *)(base + b->info.segments_offset),
		};
	}
	return 0;
}

void blkif_close(struct blkif *b)
{
	munmap(b->area, b->info.map_bytes);
	close(b->fd);
	b->fd = -1;
}

int blkif_kick(const struct blkif *b, uint32_t queue)
{
	struct udrv_ioc_blk_queue call = { .size = sizeof(call), .queue = queue };

	return blkif_call(b, UDRV_IOC_BLK_KICK, &call);
}

int blkif_turn(const struct blkif *b, uint32_t queue, uint32_t ignore, uint64_t timeout_ns,
	       struct udrv_ioc_blk_turn *turn)
{
	*turn = (struct udrv_ioc_blk_turn){
		.size = sizeof(*turn),
		.queue = queue,
		.ready = ignore,
		.timeout_ns = timeout_ns,
	};
	return blkif_call(b, UDRV_IOC_BLK_TURN, turn);
}

bool blkif_next(struct blkif *b, uint32_t queue, struct udrv_blk_request *request)
{
	struct blkif_queue *q = &b->queues[queue];

	if (__atomic_load_n(&q->rings->requests.produced, __ATOMIC_ACQUIRE) == q->consumed)
		return false;
	*request = q->requests[q->consumed++ & (b->info.ring_entries - 1)];
	__atomic_store_n(&q->rings->requests.consumed, q->consumed, __ATOMIC_RELEASE);
	return true;
}

struct udrv_blk_request blkif_take(struct blkif *b, uint32_t queue)
{
	struct udrv_blk_request request = { 0 };
	struct udrv_ioc_blk_turn turn;

	while (!blkif_next(b, queue, &request))
		REQUIRE_OK(blkif_turn(b, queue, 0, UDRV_BLK_FOREVER, &turn));
	return request;
}

void blkif_done(struct blkif *b, uint32_t queue, uint16_t tag, uint16_t status, uint32_t bytes)
{
	struct blkif_queue *q = &b->queues[queue];

	q->done[q->produced++ & (b->info.ring_entries - 1)] =
		(struct udrv_blk_done){ .tag = tag, .status = status, .bytes = bytes };
	__atomic_store_n(&q->rings->done.produced, q->produced, __ATOMIC_RELEASE);
}

uint8_t *blkif_data(const struct blkif *b, uint32_t queue, const struct udrv_blk_request *request)
{
	return b->area +
	       b->queues[queue].segments[request->tag * b->info.max_segments].address;
}

uint8_t *blkif_memory(size_t bytes)
{
	void *memory = NULL;

	REQUIRE_EQ(posix_memalign(&memory, PAGE, bytes), 0);
	return memory;
}

/* ---- a disk in memory ---- */

static uint16_t ram_do(struct blkif_ram *ram, uint32_t queue, const struct udrv_blk_request *r)
{
	__atomic_fetch_add(&ram->counts[r->op & 7], 1, __ATOMIC_RELAXED);
	if (r->offset > ram->bytes || r->bytes > ram->bytes - r->offset)
		return UDRV_BLK_IOERR;
	if (r->bytes > ram->longest)
		ram->longest = r->bytes;
	switch (r->op) {
	case UDRV_BLK_READ:
		memcpy(blkif_data(ram->b, queue, r), ram->memory + r->offset, r->bytes);
		break;
	case UDRV_BLK_WRITE:
		if (r->flags & UDRV_BLK_FUA)
			__atomic_fetch_add(&ram->fua, 1, __ATOMIC_RELAXED);
		memcpy(ram->memory + r->offset, blkif_data(ram->b, queue, r), r->bytes);
		break;
	case UDRV_BLK_DISCARD:
	case UDRV_BLK_WRITE_ZEROES:
		memset(ram->memory + r->offset, 0, r->bytes);
		break;
	case UDRV_BLK_FLUSH:
		break;
	default:
		return UDRV_BLK_NOTSUPP;
	}
	return UDRV_BLK_OK;
}

struct ram_thread {
	struct blkif_ram *ram;
	uint32_t queue;
};

static void *ram_serve(void *arg)
{
	struct ram_thread t = *(struct ram_thread *)arg;
	struct blkif_ram *ram = t.ram;
	struct udrv_ioc_blk_turn turn;
	struct udrv_blk_request r;

	free(arg);
	while (!__atomic_load_n(&ram->stop, __ATOMIC_ACQUIRE)) {
		while (blkif_next(ram->b, t.queue, &r))
			blkif_done(ram->b, t.queue, r.tag, ram_do(ram, t.queue, &r), r.bytes);
		if (blkif_turn(ram->b, t.queue, 0, UDRV_BLK_FOREVER, &turn) && errno != EINTR)
			break;
	}
	return NULL;
}

void blkif_ram_start(struct blkif_ram *ram, struct blkif *b, uint64_t bytes)
{
	ram->b = b;
	ram->stop = false;
	if (!ram->memory) {
		ram->bytes = bytes;
		ram->memory = calloc(1, bytes);
		REQUIRE(ram->memory);
	}
	for (uint32_t i = 0; i < b->info.queue_count; i++) {
		struct ram_thread *t = malloc(sizeof(*t));

		REQUIRE(t);
		*t = (struct ram_thread){ .ram = ram, .queue = i };
		REQUIRE_EQ(pthread_create(&ram->threads[i], NULL, ram_serve, t), 0);
	}
}

void blkif_ram_stop(struct blkif_ram *ram)
{
	__atomic_store_n(&ram->stop, true, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < ram->b->info.queue_count; i++) {
		struct udrv_ioc_blk_turn turn;

		CHECK_EQ(blkif_kick(ram->b, i), 0);
		pthread_join(ram->threads[i], NULL);
		/* It may have seen @stop first: then the kick is still there, for whoever turns next. */
		CHECK_EQ(blkif_turn(ram->b, i, 0, 0, &turn), 0);
	}
}

/* ---- the system's side ---- */

bool blkif_there(const char *name)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/dev/%s", name);
	return !stat(path, &st) && S_ISBLK(st.st_mode);
}

/* The device's own directory: it goes after udev is told, while the node in /dev goes before. */
bool blkif_in_sysfs(const char *name)
{
	glob_t found;
	char path[80];
	int ret;

	snprintf(path, sizeof(path), "/sys/devices/virtual/block/%s", name);
	if (!access(path, F_OK))
		return true;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/*/block/%s", name);
	ret = glob(path, 0, NULL, &found);
	if (!ret)
		globfree(&found);
	return !ret;
}

/* udev has looked at it, and said so. */
static bool known(const char *name)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/dev/%s", name);
	if (stat(path, &st))
		return false;
	snprintf(path, sizeof(path), "/run/udev/data/b%u:%u", major(st.st_rdev), minor(st.st_rdev));
	return !access(path, F_OK);
}

void blkif_wait_there(const char *name, bool there)
{
	if (there)
		REQUIRE(OS_WAIT_FOR(known(name), 60000));
	else
		REQUIRE(OS_WAIT_FOR(!blkif_there(name) && !blkif_in_sysfs(name), 60000));
	REQUIRE_EQ(system("udevadm settle"), 0);
}

void blkif_up(struct blkif *b, struct blkif_ram *ram, const struct udrv_ioc_blk_attach *options,
	      const struct udrv_ioc_blk_disk *disk)
{
	struct udrv_ioc_blk_disk call = *disk;

	REQUIRE_OK(blkif_attach(b, options));
	blkif_ram_start(ram, b, disk->bytes);
	REQUIRE_OK(blkif_call(b, UDRV_IOC_BLK_DISK_ADD, &call));
	blkif_wait_there((const char *)call.name, true);
}

void blkif_down(struct blkif *b, struct blkif_ram *ram)
{
	blkif_ram_stop(ram);
	blkif_close(b);
	free(ram->memory);
	ram->memory = NULL;
	blkif_wait_there(BLKIF_NAME, false);
}
