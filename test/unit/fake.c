// SPDX-License-Identifier: MIT
/*
 * fake.c - the system calls under libudrv, as far as one node answers them
 *
 * The node is modelled on QEMU's edu, with a port BAR and one with an MSI-X table besides. The hard
 * part is to check as the kernel does what a library could get wrong: that each struct says its
 * size, that reserved fields and unused outputs come in as zero.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>

#include "fake.h"

struct fake fake;

static struct {
	int error;
	unsigned int skip;
	unsigned int times;
} failures[FAKE_CALLS];

static _Alignas(4096) uint8_t pages[8][4096];

uint8_t *fake_pages(void)
{
	return pages[0];
}

void fake_fail(enum fake_call call, int error, unsigned int skip, unsigned int times)
{
	failures[call].error = error;
	failures[call].skip = skip;
	failures[call].times = times;
}

/* Count the call; true, with errno set, if it is to fail. */
static bool fails(enum fake_call call)
{
	fake.count[call]++;
	if (!failures[call].times)
		return false;
	if (failures[call].skip) {
		failures[call].skip--;
		return false;
	}
	failures[call].times--;
	errno = failures[call].error;
	return true;
}

static void add_region(unsigned int index, uint32_t flags, uint64_t length)
{
	struct udrv_ioc_region_info *region = &fake.region[index];

	region->region_flags = flags | UDRV_REGION_READ | UDRV_REGION_WRITE;
	region->offset = (uint64_t)(index + 1) << 40;
	region->offset_wc = flags & UDRV_REGION_MMAP ? region->offset + (UINT64_C(1) << 39) : 0;
	region->length = length;
}

int fake_reset(void **state)
{
	unsigned int i;

	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(failures, 0, sizeof(failures));
	for (i = 0; i < UDRV_REGION_COUNT; i++) {
		fake.region[i].size = sizeof(fake.region[i]);
		fake.region[i].index = i;
	}
	fake.info.size = sizeof(fake.info);
	fake.info.features = UDRV_FEATURE_IRQ;
	fake.info.vendor = 0x1234;
	fake.info.device = 0x11e8;
	fake.info.region_count = UDRV_REGION_COUNT;
	add_region(0, UDRV_REGION_MMAP, 0x100000);
	add_region(1, UDRV_REGION_PORT, 0x10);
	add_region(2, UDRV_REGION_MMAP | UDRV_REGION_64BIT, 0x4000);
	fake.region[2].nomap_offset = 0x2000;
	fake.region[2].nomap_length = 0x1000;
	add_region(4, UDRV_REGION_MMAP, 0x100); /* shorter than a page */
	add_region(UDRV_REGION_CONFIG, 0, 256);
	fake.segments = 1;
	memset(pages, 0, sizeof(pages));
	return 0;
}

struct udrv *fake_open(void)
{
	struct udrv *device = NULL;

	assert_int_equal(udrv_open("00:04.0", &device), 0);
	assert_non_null(device);
	return device;
}

/* ---- ioctl ---- */

static int device_info(struct udrv_ioc_device_info *call)
{
	const struct udrv_ioc_device_info empty = { .size = sizeof(*call) };

	assert_memory_equal(call, &empty, sizeof(empty));
	*call = fake.info;
	return 0;
}

static int region_info(struct udrv_ioc_region_info *call)
{
	const struct udrv_ioc_region_info empty = { .size = sizeof(*call), .index = call->index };

	assert_memory_equal(call, &empty, sizeof(empty));
	if (call->index >= UDRV_REGION_COUNT) {
		errno = EINVAL;
		return -1;
	}
	*call = fake.region[call->index];
	return 0;
}

static int dma_map(struct udrv_ioc_dma_map *call)
{
	struct udrv_dma_segment *segments = (void *)(uintptr_t)call->segments;
	unsigned int i, room = call->segment_count;

	assert_int_equal(call->handle, 0);
	call->segment_count = fake.segments;
	if (room < fake.segments) {
		errno = ENOSPC;
		return -1;
	}
	for (i = 0; i < fake.segments; i++) {
		segments[i].iova = 0x10000 + 0x2000 * i;
		segments[i].length = 0x1000;
	}
	call->handle = 9;
	return 0;
}

static int net_attach(struct udrv_ioc_net_attach *call)
{
	const struct udrv_ioc_net_attach asked = {
		.size = sizeof(*call),
		.device_fd = call->device_fd,
		.features = call->features,
		.queue_count = call->queue_count,
		.tx_slots = call->tx_slots,
		.rx_slots = call->rx_slots,
		.max_mtu = call->max_mtu,
		.grace_ms = call->grace_ms,
		.hang_ms = call->hang_ms,
	};
	struct udrv_ioc_net_attach rest = *call;

	memset(rest.name, 0, sizeof(rest.name));
	memset(rest.address, 0, sizeof(rest.address));
	assert_memory_equal(&rest, &asked, sizeof(asked));
	strcpy((char *)call->name, "eth5");
	call->ifindex = 17;
	call->state = UDRV_NET_COPIES;
	call->tx_entries = FAKE_NET_TX_ENTRIES;
	call->map_bytes = sizeof(pages);
	call->queue_bytes = FAKE_NET_QUEUE_BYTES;
	call->tx_offset = FAKE_NET_TX;
	call->tx_done_offset = FAKE_NET_TX_DONE;
	call->fill_offset = FAKE_NET_FILL;
	call->rx_offset = FAKE_NET_RX;
	return 0;
}

static int net_turn(struct udrv_ioc_net_turn *call)
{
	const struct udrv_net_rings *rings =
		(void *)(pages[0] + call->queue * FAKE_NET_QUEUE_BYTES);

	assert_int_equal(call->irq_count, 0);
	assert_int_equal(call->irq_value, 0);
	fake.tx_done_told = rings->tx_done.produced;
	fake.rx_told = rings->rx.produced;
	call->ready = fake.ready;
	call->irq_count = fake.ready & UDRV_NET_READY_IRQ ? 3 : 0;
	call->irq_value = fake.ready & UDRV_NET_READY_IRQ ? 0x50 : 0;
	return 0;
}

static int net_state(struct udrv_ioc_net_state *call)
{
	const struct udrv_ioc_net_state empty = { .size = sizeof(*call) };

	assert_memory_equal(call, &empty, sizeof(empty));
	call->state_flags = UDRV_NET_UP;
	call->mtu = 1400;
	return 0;
}

static int blk_attach(struct udrv_ioc_blk_attach *call)
{
	const struct udrv_ioc_blk_attach asked = {
		.size = sizeof(*call),
		.flags = call->flags,
		.device_fd = call->device_fd,
		.queue_count = call->queue_count,
		.queue_depth = call->queue_depth,
		.max_segments = call->max_segments,
		.max_bytes = call->max_bytes,
		.max_segment_bytes = call->max_segment_bytes,
		.virt_boundary = call->virt_boundary,
		.dma_alignment = call->dma_alignment,
		.timeout_ms = call->timeout_ms,
		.deadline_ms = call->deadline_ms,
	};

	assert_memory_equal(call, &asked, sizeof(asked));
	call->state = UDRV_BLK_COPIES;
	call->ring_entries = FAKE_BLK_ENTRIES;
	call->map_bytes = sizeof(pages);
	call->queue_bytes = FAKE_BLK_QUEUE_BYTES;
	call->requests_offset = FAKE_BLK_REQUESTS;
	call->done_offset = FAKE_BLK_DONE;
	call->segments_offset = FAKE_BLK_SEGMENTS;
	return 0;
}

static int blk_turn(struct udrv_ioc_blk_turn *call)
{
	const struct udrv_blk_rings *rings =
		(void *)(pages[0] + call->queue * FAKE_BLK_QUEUE_BYTES);

	assert_int_equal(call->irq_count, 0);
	assert_int_equal(call->irq_value, 0);
	assert_int_equal(call->late_tag, 0);
	assert_int_equal(call->bad_entries, 0);
	fake.done_told = rings->done.produced;
	call->ready = fake.ready;
	call->late_tag = fake.ready & UDRV_BLK_READY_LATE ? 11 : 0;
	call->bad_entries = 2;
	return 0;
}

static int answer(unsigned long request, union fake_argument *argument)
{
	switch (request) {
	case UDRV_IOC_IRQ_SETUP:
		if (!argument->setup.count)
			argument->setup.count = 5;
		return 0;
	case UDRV_IOC_IRQ_INFO:
		argument->irq_info.kind = UDRV_IRQ_MSI;
		argument->irq_info.total = 42;
		return 0;
	case UDRV_IOC_DMA_ALLOC:
		assert_int_equal(argument->alloc.handle, 0);
		argument->alloc.length = (argument->alloc.length + 4095) & ~UINT64_C(4095);
		argument->alloc.iova = 0x12340000;
		argument->alloc.offset = UINT64_C(1) << 43;
		argument->alloc.handle = 7;
		return 0;
	case UDRV_IOC_DMA_MAP:
		return dma_map(&argument->map);
	case UDRV_IOC_NET_ATTACH:
		return net_attach(&argument->net_attach);
	case UDRV_IOC_NET_TURN:
		return net_turn(&argument->net_turn);
	case UDRV_IOC_NET_STATE:
		return net_state(&argument->net_state);
	case UDRV_IOC_BLK_ATTACH:
		return blk_attach(&argument->blk_attach);
	case UDRV_IOC_BLK_DISK_ADD:
		strcpy((char *)argument->blk_disk.name, "udrv3");
		return 0;
	case UDRV_IOC_BLK_TURN:
		return blk_turn(&argument->blk_turn);
	default:
		return 0;
	}
}

static size_t size_of(unsigned long request)
{
	switch (request) {
	case UDRV_IOC_DEVICE_RESET:
		return sizeof(struct udrv_ioc_device_reset);
	case UDRV_IOC_IRQ_INFO:
		return sizeof(struct udrv_ioc_irq_info);
	case UDRV_IOC_DMA_ALLOC:
		return sizeof(struct udrv_ioc_dma_alloc);
	case UDRV_IOC_DMA_MAP:
		return sizeof(struct udrv_ioc_dma_map);
	case UDRV_IOC_DMA_SYNC:
		return sizeof(struct udrv_ioc_dma_sync);
	case UDRV_IOC_NET_ATTACH:
		return sizeof(struct udrv_ioc_net_attach);
	case UDRV_IOC_NET_TURN:
		return sizeof(struct udrv_ioc_net_turn);
	case UDRV_IOC_NET_STATE:
		return sizeof(struct udrv_ioc_net_state);
	case UDRV_IOC_BLK_ATTACH:
		return sizeof(struct udrv_ioc_blk_attach);
	case UDRV_IOC_BLK_DISK_ADD:
	case UDRV_IOC_BLK_DISK_RESIZE:
	case UDRV_IOC_BLK_DISK_REMOVE:
		return sizeof(struct udrv_ioc_blk_disk);
	case UDRV_IOC_BLK_TURN:
		return sizeof(struct udrv_ioc_blk_turn);
	default:
		return 16;
	}
}

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, void *argument);

int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
	const uint32_t *head = argument;
	int rc;

	if (fd != FAKE_FD)
		return __real_ioctl(fd, request, argument);
	if (request == UDRV_IOC_DEVICE_INFO || request == UDRV_IOC_REGION_INFO) {
		if (fails(FAKE_IOCTL))
			return -1;
		return request == UDRV_IOC_DEVICE_INFO ? device_info(argument)
						       : region_info(argument);
	}
	fake.request = request;
	assert_int_equal(head[0], size_of(request));
	assert_int_equal(head[1], fake.call_flags);
	memset(&fake.argument, 0, sizeof(fake.argument));
	memcpy(&fake.argument, argument, size_of(request));
	if (fails(FAKE_IOCTL))
		return -1;
	rc = answer(request, argument);
	return rc;
}

/* ---- files ---- */

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...)
{
	if (strncmp(path, "/dev/udrv", 9) != 0)
		return __real_open64(path, flags, 0);
	snprintf(fake.path, sizeof(fake.path), "%s", path);
	fake.open_flags = flags;
	return fails(FAKE_OPEN) ? -1 : FAKE_FD;
}

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
	if (fd != FAKE_FD)
		return __real_close(fd);
	return fails(FAKE_CLOSE) ? -1 : 0;
}

static void fill_records(void *memory, size_t *length)
{
	struct udrv_irq_record *records = memory;
	unsigned int i, room = (unsigned int)(*length / sizeof(*records));

	if (room > fake.records)
		room = fake.records;
	for (i = 0; i < room; i++)
		records[i] = (struct udrv_irq_record){ .vector = i, .count = 1 };
	fake.records -= room;
	*length = room * sizeof(*records);
}

ssize_t __real_read(int fd, void *memory, size_t length);
ssize_t __wrap_read(int fd, void *memory, size_t length);

/* With nothing pending this returns 0, as no real one does: a test that waits for ever would. */
ssize_t __wrap_read(int fd, void *memory, size_t length)
{
	if (fd != FAKE_FD)
		return __real_read(fd, memory, length);
	fake.length = length;
	if (fails(FAKE_READ))
		return -1;
	fill_records(memory, &length);
	return (ssize_t)length;
}

ssize_t __wrap_preadv64v2(int fd, const struct iovec *vector, int count, off_t offset, int flags);

ssize_t __wrap_preadv64v2(int fd, const struct iovec *vector, int count, off_t offset, int flags)
{
	size_t length = vector->iov_len;

	assert_int_equal(fd, FAKE_FD);
	assert_int_equal(count, 1);
	fake.offset = offset;
	fake.flags = flags;
	fake.length = length;
	if (fails(FAKE_PREADV2))
		return -1;
	if (!fake.records) {
		errno = EAGAIN;
		return -1;
	}
	fill_records(vector->iov_base, &length);
	return (ssize_t)length;
}

int __wrap_poll(struct pollfd *waiters, nfds_t count, int timeout_ms);

int __wrap_poll(struct pollfd *waiters, nfds_t count, int timeout_ms)
{
	assert_int_equal(count, 1);
	assert_int_equal(waiters[0].fd, FAKE_FD);
	assert_int_equal(waiters[0].events, POLLIN);
	assert_true(timeout_ms >= 0);
	fake.timeout_ms = timeout_ms;
	if (fails(FAKE_POLL))
		return -1;
	if (fake.records_after_poll) {
		fake.records_after_poll = false;
		fake.records = 1;
		fake.now_ns += 1000000;
		waiters[0].revents = POLLIN;
		return 1;
	}
	fake.now_ns += timeout_ms * INT64_C(1000000);
	return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	assert_int_equal(clock, CLOCK_MONOTONIC);
	now->tv_sec = fake.now_ns / 1000000000;
	now->tv_nsec = fake.now_ns % 1000000000;
	return 0;
}

ssize_t __real_pread64(int fd, void *memory, size_t length, off_t offset);
ssize_t __wrap_pread64(int fd, void *memory, size_t length, off_t offset);

ssize_t __wrap_pread64(int fd, void *memory, size_t length, off_t offset)
{
	if (fd != FAKE_FD)
		return __real_pread64(fd, memory, length, offset);
	fake.length = length;
	fake.offset = offset;
	if (fails(FAKE_PREAD))
		return -1;
	memcpy(memory, &fake.value, length);
	return (ssize_t)(length - fake.short_by);
}

ssize_t __wrap_pwrite64(int fd, const void *memory, size_t length, off_t offset);

ssize_t __wrap_pwrite64(int fd, const void *memory, size_t length, off_t offset)
{
	assert_int_equal(fd, FAKE_FD);
	fake.length = length;
	fake.offset = offset;
	fake.written = 0;
	memcpy(&fake.written, memory, length);
	return fails(FAKE_PWRITE) ? -1 : (ssize_t)(length - fake.short_by);
}

void *__wrap_mmap64(void *addr, size_t length, int protection, int flags, int fd, off_t offset);

void *__wrap_mmap64(void *addr, size_t length, int protection, int flags, int fd, off_t offset)
{
	assert_null(addr);
	assert_int_equal(fd, FAKE_FD);
	assert_int_equal(protection, PROT_READ | PROT_WRITE);
	fake.length = length;
	fake.flags = flags;
	fake.offset = offset;
	return fails(FAKE_MMAP) ? MAP_FAILED : pages;
}

int __real_munmap(void *addr, size_t length);
int __wrap_munmap(void *addr, size_t length);

int __wrap_munmap(void *addr, size_t length)
{
	if (addr != pages)
		return __real_munmap(addr, length);
	fake.unmapped = addr;
	fake.length = length;
	return fails(FAKE_MUNMAP) ? -1 : 0;
}

/* ---- the process ---- */

int __wrap_mlockall(int flags);

int __wrap_mlockall(int flags)
{
	fake.flags_locked = flags;
	return fails(FAKE_MLOCKALL) ? -1 : 0;
}

int __wrap_prctl(int option, unsigned long value, unsigned long b, unsigned long c, unsigned long d);

int __wrap_prctl(int option, unsigned long value, unsigned long b, unsigned long c, unsigned long d)
{
	assert_int_equal(option, PR_SET_IO_FLUSHER);
	assert_int_equal(value, 1);
	assert_int_equal(b | c | d, 0);
	return fails(FAKE_PRCTL) ? -1 : 0;
}
