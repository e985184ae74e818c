// SPDX-License-Identifier: MIT
/*
 * dma_streaming_test.c - the process's own memory, reached by the device
 *
 * Every kind of memory that a process can have, at odd addresses and lengths; what the device must see
 * of later writes, what the process must see after sync and unmap; refusals, which must pin nothing.
 * edu copies, and every byte is compared. The hard part is what goes wrong silently: a page that the
 * process writes to after mapping must be the page that the device reads (zero page, fork, private
 * file pages), and with a bounce buffer (swiotlb=force) each sync must move exactly its part.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define SEGMENTS 64U

static struct node edu;
static struct udrv_dma_segment segments[SEGMENTS];
static uint32_t count;

static void begin(void)
{
	node_open_mapped(&edu, "edu");
	REQUIRE_OK(node_bus_master(&edu, true));
}

/* Everything bounces: what the CPU writes after DMA_MAP is not seen before a sync, and the reverse. */
static bool bounces(void)
{
	char line[2048];

	REQUIRE_OK(os_read("/proc/cmdline", line, sizeof(line)));
	return strstr(line, "swiotlb=force") && !(node_info(&edu).state & UDRV_DEVICE_IOMMU);
}

static uint32_t map(const void *address, uint64_t length, unsigned int direction)
{
	uint32_t handle;

	count = SEGMENTS;
	REQUIRE_OK(node_dma_map(&edu, address, length, direction, segments, &count, &handle));
	REQUIRE(count >= 1 && count <= SEGMENTS);
	return handle;
}

/* The device address of a byte, and how many follow it there. */
static uint64_t iova_of(uint64_t at, uint64_t *room)
{
	for (uint32_t i = 0; i < count; i++) {
		if (at < segments[i].length) {
			*room = segments[i].length - at;
			return segments[i].iova + at;
		}
		at -= segments[i].length;
	}
	CHECK(!"in the mapping");
	tap_end();
}

/* Between the mapping at @at and the device's buffer at 0, across segments. */
static void transfer(bool from_device, uint64_t at, unsigned int length)
{
	unsigned int offset = 0;

	while (length) {
		uint64_t room, iova = iova_of(at, &room);
		unsigned int piece = length < room ? length : room;

		edu_dma(&edu, from_device, iova, offset, piece);
		at += piece;
		offset += piece;
		length -= piece;
	}
}

static void fill(uint8_t *bytes, size_t length, unsigned int seed)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = seed = seed * 1103515245 + 12345 + (seed >> 16);
}

/* What the device has: read back into memory of its own. */
static void device_has(const uint8_t *wanted, unsigned int length)
{
	struct udrv_ioc_dma_alloc buffer;
	uint8_t *view;

	REQUIRE_OK(node_dma_alloc(&edu, PAGE, &buffer));
	view = mmap(NULL, PAGE, RW, MAP_SHARED, edu.fd, buffer.offset);
	REQUIRE(view != MAP_FAILED);
	edu_dma(&edu, true, buffer.iova, 0, length);
	CHECK_MEM(view, wanted, length);
	CHECK_OK(munmap(view, PAGE));
	CHECK_OK(node_dma_free(&edu, buffer.handle));
}

/* Give the device something to write. */
static void device_gets(const uint8_t *bytes, unsigned int length)
{
	struct udrv_ioc_dma_alloc buffer;
	uint8_t *view;

	REQUIRE_OK(node_dma_alloc(&edu, PAGE, &buffer));
	view = mmap(NULL, PAGE, RW, MAP_SHARED, edu.fd, buffer.offset);
	REQUIRE(view != MAP_FAILED);
	memcpy(view, bytes, length);
	edu_dma(&edu, false, buffer.iova, 0, length);
	CHECK_OK(munmap(view, PAGE));
	CHECK_OK(node_dma_free(&edu, buffer.handle));
}

static void nothing_held(void)
{
	CHECK_EQ(node_number(&edu, "dma_streaming"), 0);
	CHECK_EQ(os_pinned_pages(), 0);
	CHECK_EQ(os_status_kib("VmLck"), 0);
}

/* ---- all kinds of memory ------------------------------------------------------------------------- */

/*
 * The device reads what is there when it is mapped, then what is written later (unless the process
 * cannot), then the device writes (if it may) and the process sees it; and nothing beside it changed.
 */
static void both_ways(const char *name, uint8_t *memory, unsigned int length, bool writable)
{
	const unsigned int direction = writable ? UDRV_DMA_BIDIRECTIONAL : UDRV_DMA_TO_DEVICE;
	uint8_t pattern[PAGE], before, after;
	uint32_t handle;

	REQUIRE(length <= 3000);
	tap_step("%s: the device reads it", name);
	handle = map(memory, length, direction);
	CHECK_EQ(node_number(&edu, "dma_streaming"), length);
	transfer(false, 0, length);
	device_has(memory, length);
	if (writable) {
		tap_step("%s: and what is written to it afterwards", name);
		fill(memory, length, 77);
		CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_DEVICE, 0, length));
		transfer(false, 0, length);
		device_has(memory, length);
		tap_step("%s: the device writes it", name);
		before = memory[-1];
		after = memory[length];
		fill(pattern, length, 99);
		device_gets(pattern, length);
		transfer(true, 0, length);
		CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_CPU, 0, length));
		CHECK_MEM(memory, pattern, length);
		fill(pattern, length, 111);
		device_gets(pattern, length);
		transfer(true, 0, length);
		CHECK_OK(node_dma_unmap(&edu, handle));
		CHECK_MEM(memory, pattern, length);
		CHECK_EQ(memory[-1], before);
		CHECK_EQ(memory[length], after);
	} else {
		CHECK_OK(node_dma_unmap(&edu, handle));
	}
	nothing_held();
}

static uint8_t *anonymous(size_t length, int flags)
{
	uint8_t *memory = mmap(NULL, length, RW, MAP_ANONYMOUS | flags, -1, 0);

	REQUIRE(memory != MAP_FAILED);
	return memory;
}

static int temporary_file(size_t length)
{
	uint8_t bytes[PAGE];
	int fd;

	REQUIRE_OK(fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	for (size_t at = 0; at < length; at += PAGE) {
		fill(bytes, PAGE, at + 1);
		REQUIRE_EQ(write(fd, bytes, PAGE), PAGE);
	}
	return fd;
}

static void kinds_of_memory(void)
{
	uint8_t stack[3 * PAGE], *memory;
	int file = temporary_file(4 * PAGE);

	begin();
	memset(stack, 0x31, sizeof(stack));
	memory = malloc(10000);
	memset(memory, 0x32, 10000);
	both_ways("malloc", memory + 7, 3000, true);
	free(memory);
	both_ways("the stack", stack + 1001, 2999, true);
	memory = anonymous(4 * PAGE, MAP_PRIVATE);
	memset(memory, 0x33, 4 * PAGE);
	both_ways("over a page boundary", memory + PAGE - 1500, 2777, true);
	both_ways("one byte, the last of a page", memory + PAGE - 1, 1, true);
	munmap(memory, 4 * PAGE);
	memory = anonymous(4 * PAGE, MAP_SHARED);
	both_ways("shared memory", memory + 100, 3000, true);
	munmap(memory, 4 * PAGE);
	memory = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, file, 0);
	REQUIRE(memory != MAP_FAILED);
	both_ways("a shared file", memory + 1, 3000, true);
	munmap(memory, 4 * PAGE);
	memory = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, file, 0);
	REQUIRE(memory != MAP_FAILED);
	both_ways("a private file", memory + 2222, 3000, true);
	munmap(memory, 4 * PAGE);
	close(file);
	node_close(&edu);
}

static void read_only_memory(void)
{
	static const char constant[3000] = "constants of the program";
	uint8_t *memory = anonymous(2 * PAGE, MAP_PRIVATE);
	int file = temporary_file(2 * PAGE), read_only;
	uint32_t handle;
	char path[64];

	begin();
	fill(memory, 2 * PAGE, 4);
	REQUIRE_OK(mprotect(memory, 2 * PAGE, PROT_READ));
	both_ways("read-only memory", memory + 100, 3000, false);
	both_ways("constants", (uint8_t *)constant, sizeof(constant), false);
	munmap(memory, 2 * PAGE);
	memory = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, file, 0);
	both_ways("a private file, read-only", memory + 50, 3000, false);
	tap_step("the device may not write to any of it");
	for (unsigned int d = UDRV_DMA_FROM_DEVICE; d <= UDRV_DMA_BIDIRECTIONAL; d++) {
		count = SEGMENTS;
		CHECK_ERROR(node_dma_map(&edu, memory, PAGE, d, segments, &count, &handle), EFAULT);
		CHECK_ERROR(node_dma_map(&edu, constant, 100, d, segments, &count, &handle), EFAULT);
	}
	munmap(memory, 2 * PAGE);
	memory = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, file, 0);
	both_ways("a shared file, read-only", memory + 50, 3000, false);
	count = SEGMENTS;
	CHECK_ERROR(node_dma_map(&edu, memory, PAGE, UDRV_DMA_FROM_DEVICE, segments, &count,
				 &handle), EFAULT);
	munmap(memory, 2 * PAGE);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	REQUIRE_OK(read_only = open(path, O_RDONLY | O_CLOEXEC));
	memory = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, read_only, 0);
	REQUIRE(memory != MAP_FAILED);
	both_ways("a file that is open for reading only", memory + 50, 3000, false);
	munmap(memory, 2 * PAGE);
	close(read_only);
	memory = anonymous(2 * PAGE, MAP_PRIVATE);
	fill(memory, 2 * PAGE, 8);
	for (int first = 0; first < 2; first++) {
		REQUIRE_OK(mprotect(memory + first * PAGE, PAGE, PROT_READ));
		both_ways("half of it read-only", memory + PAGE - 1500, 3000, false);
		REQUIRE_OK(mprotect(memory + first * PAGE, PAGE, RW));
	}
	munmap(memory, 2 * PAGE);
	nothing_held();
	close(file);
	node_close(&edu);
}

static void huge_page(void)
{
	const size_t huge = 2 << 20;
	uint8_t *memory;

	begin();
	REQUIRE_OK(os_write("/proc/sys/vm/nr_hugepages", "4"));
	memory = anonymous(huge, MAP_PRIVATE | MAP_HUGETLB);
	memset(memory, 0x44, huge);
	both_ways("a huge page, in the middle", memory + huge / 2 + 5, 3000, true);
	tap_step("a huge page is one segment");
	CHECK_OK(node_dma_unmap(&edu, map(memory, huge, UDRV_DMA_BIDIRECTIONAL)));
	if (!bounces())
		CHECK_EQ(count, 1);
	munmap(memory, huge);
	REQUIRE_OK(os_write("/proc/sys/vm/nr_hugepages", "0"));
	node_close(&edu);
}

/* Memory that was never written is the zero page; mapping it must not keep the device at that page. */
static void zero_page(void)
{
	uint8_t *memory, wanted[2000];
	uint32_t handle;

	begin();
	for (int touched = 0; touched < 2; touched++) {
		tap_step("calloc%s, map, write: the device sees it", touched ? ", read" : "");
		memory = anonymous(2 * PAGE, MAP_PRIVATE);
		if (touched)
			CHECK_EQ(*(volatile uint8_t *)memory + *(volatile uint8_t *)(memory + PAGE), 0);
		handle = map(memory + PAGE - 1000, 2000, UDRV_DMA_TO_DEVICE);
		fill(wanted, sizeof(wanted), 17);
		memcpy(memory + PAGE - 1000, wanted, sizeof(wanted));
		CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_DEVICE, 0, sizeof(wanted)));
		transfer(false, 0, sizeof(wanted));
		device_has(wanted, sizeof(wanted));
		CHECK_OK(node_dma_unmap(&edu, handle));
		munmap(memory, 2 * PAGE);
	}
	node_close(&edu);
}

/* ---- sync ------------------------------------------------------------------------------------------ */

static void sync_parts(void)
{
	uint8_t *memory = anonymous(8 * PAGE, MAP_PRIVATE), wanted[3000], old[3000];
	const unsigned int at = 3 * PAGE - 1234, part = 1000, length = 700;
	uint32_t handle;

	begin();
	madvise(memory, 8 * PAGE, MADV_NOHUGEPAGE);
	fill(memory, 8 * PAGE, 1);
	handle = map(memory + 11, 7 * PAGE, UDRV_DMA_BIDIRECTIONAL);
	tap_step("to the device: the part that is synced");
	memcpy(old, memory + 11 + at, sizeof(old));
	fill(memory + 11 + at, sizeof(old), 2);
	CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_DEVICE, at + part, length));
	transfer(false, at, sizeof(old));
	memcpy(wanted, memory + 11 + at, sizeof(wanted));
	if (bounces()) {
		/* Only that part has moved: what the process wrote around it is still on this side. */
		memcpy(wanted, old, part);
		memcpy(wanted + part + length, old + part + length,
		       sizeof(old) - part - length);
	}
	device_has(wanted, sizeof(wanted));
	CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_DEVICE, 0, 7 * PAGE));
	transfer(false, at, sizeof(old));
	device_has(memory + 11 + at, sizeof(old));
	tap_step("to the CPU: the part that is synced");
	memcpy(old, memory + 11 + at, sizeof(old));
	fill(wanted, sizeof(wanted), 3);
	device_gets(wanted, sizeof(wanted));
	transfer(true, at, sizeof(wanted));
	CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_CPU, at + part, length));
	CHECK_MEM(memory + 11 + at + part, wanted + part, length);
	if (bounces()) {
		CHECK_MEM(memory + 11 + at, old, part);
		CHECK_MEM(memory + 11 + at + part + length, old + part + length,
			  sizeof(old) - part - length);
	}
	CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_CPU, 0, 7 * PAGE));
	CHECK_MEM(memory + 11 + at, wanted, sizeof(wanted));
	tap_step("bounds");
	CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_CPU, 7 * PAGE - 1, 1));
	CHECK_ERROR(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_CPU, 7 * PAGE, 1), EINVAL);
	CHECK_ERROR(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_CPU, 7 * PAGE - 1, 2), EINVAL);
	CHECK_ERROR(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_CPU, 0, 7 * PAGE + 1), EINVAL);
	CHECK_ERROR(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_CPU, 1, ~0ULL), EINVAL);
	CHECK_OK(node_dma_unmap(&edu, handle));
	CHECK_ERROR(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_CPU, 0, 1), ENOENT);
	nothing_held();
	node_close(&edu);
}

/*
 * Memory that does not begin where a slot of the bounce buffer (2048 bytes) does: kernels before 6.9
 * refuse to sync from the head of a slot. What was asked for must arrive; from up to 2047 bytes before
 * it may too, nothing else.
 */
#define SLOT 2048U

static void sync_odd_parts(void)
{
	static const unsigned int starts[] = { 256, SLOT - 1, 1, SLOT + 700 };
	enum { BYTES = 4000, PART = 100 };
	uint8_t *memory = anonymous(4 * PAGE, MAP_PRIVATE), *mapped, pattern[BYTES], wanted[BYTES];
	uint32_t handle;

	begin();
	memset(memory, 0x5a, 4 * PAGE);
	fill(pattern, BYTES, 5);
	for (unsigned int i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		const unsigned int head = starts[i] % SLOT, first = SLOT - head;
		/* From the head of each slot, and to either side of its ends. */
		const unsigned int parts[] = {
			0, first - 1, first, first + head / 2, first + head - 1, first + head,
			first + SLOT - 1, first + SLOT, first + SLOT + head / 2,
		};

		mapped = memory + starts[i];
		handle = map(mapped, BYTES, UDRV_DMA_BIDIRECTIONAL);
		device_gets(pattern, BYTES);
		transfer(true, 0, BYTES);
		for (unsigned int n = 0; n < sizeof(parts) / sizeof(parts[0]); n++) {
			const unsigned int at = parts[n];

			if (at + PART > BYTES)
				continue;
			tap_step("%u bytes into a page: to the CPU from byte %u", starts[i], at);
			if (bounces())
				memset(mapped, 0xa5, BYTES);
			CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_CPU, at, PART));
			CHECK_MEM(mapped + at, pattern + at, PART);
			if (!bounces())
				continue;
			for (unsigned int b = 0; b < BYTES; b++)
				if ((b + SLOT <= at || b >= at + PART) && mapped[b] != 0xa5)
					CHECK_EQ(b, at);
		}
		tap_step("%u bytes into a page: to the device", starts[i]);
		CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_CPU, 0, BYTES));
		CHECK_MEM(mapped, pattern, BYTES);
		memcpy(wanted, pattern, BYTES);
		fill(mapped + first + head / 2, PART, 6);
		memcpy(wanted + first + head / 2, mapped + first + head / 2, PART);
		CHECK_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_DEVICE, first + head / 2,
				       PART));
		transfer(false, 0, BYTES);
		device_has(wanted, BYTES);
		CHECK_OK(node_dma_unmap(&edu, handle));
	}
	nothing_held();
	node_close(&edu);
}

/* ---- the list of segments -------------------------------------------------------------------------- */

#define PAGES 48U

/* Pages that are not beside each other: two areas are touched in turn. */
static uint8_t *scattered(void)
{
	uint8_t *memory = anonymous(PAGES * PAGE, MAP_PRIVATE);
	uint8_t *between = anonymous(PAGES * PAGE, MAP_PRIVATE);

	REQUIRE_OK(madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE));
	REQUIRE_OK(madvise(between, PAGES * PAGE, MADV_NOHUGEPAGE));
	for (unsigned int i = 0; i < PAGES; i++) {
		memory[i * PAGE] = i;
		between[i * PAGE] = i;
	}
	return memory;
}

static void segment_list(void)
{
	uint8_t *memory = scattered();
	uint32_t needed, room, handle;
	bool one;

	begin();
	one = node_info(&edu).state & UDRV_DEVICE_IOMMU;
	tap_step("covers exactly the length, in order");
	for (unsigned int first = 0; first < PAGE; first += 1365)
		for (uint64_t length = 1; length < (PAGES - 1) * PAGE; length = length * 5 + 3) {
			uint64_t sum = 0;

			handle = map(memory + first, length, UDRV_DMA_BIDIRECTIONAL);
			for (uint32_t i = 0; i < count; i++) {
				CHECK_GT(segments[i].length, 0);
				CHECK_LE(segments[i].iova + segments[i].length, 1ULL << 32);
				sum += segments[i].length;
			}
			CHECK_EQ(sum, length);
			/* Offsets in the page stay, also of what is bounced. */
			CHECK_EQ(segments[0].iova % PAGE, first);
			for (uint32_t i = 1; i < count; i++)
				CHECK_EQ(segments[i].iova % PAGE, 0);
			if (one)
				CHECK_EQ(count, 1);
			CHECK_LE(count, (first + length + PAGE - 1) / PAGE);
			CHECK_OK(node_dma_unmap(&edu, handle));
		}
	tap_step("each page is where it says");
	handle = map(memory, PAGES * PAGE, UDRV_DMA_TO_DEVICE);
	needed = count;
	if (!one)
		CHECK_GT(needed, PAGES / 4);
	for (unsigned int i = 0; i < PAGES; i += 7) {
		transfer(false, i * PAGE, 16);
		device_has(memory + i * PAGE, 16);
	}
	CHECK_OK(node_dma_unmap(&edu, handle));
	tap_step("too short: ENOSPC, how long it must be, nothing mapped");
	for (room = 0; room < needed; room += room / 2 + 1) {
		memset(segments, 0xee, sizeof(segments));
		count = room;
		handle = 0;
		CHECK_ERROR(node_dma_map(&edu, memory, PAGES * PAGE, UDRV_DMA_TO_DEVICE, segments,
					 &count, &handle), ENOSPC);
		CHECK_EQ(count, needed);
		CHECK_EQ(handle, 0);
		for (uint32_t i = 0; i < SEGMENTS; i++)
			CHECK_EQ(segments[i].iova, 0xeeeeeeeeeeeeeeee);
		nothing_held();
	}
	tap_step("just long enough");
	count = needed;
	CHECK_OK(node_dma_map(&edu, memory, PAGES * PAGE, UDRV_DMA_TO_DEVICE, segments, &count,
			      &handle));
	CHECK_EQ(count, needed);
	CHECK_OK(node_dma_unmap(&edu, handle));
	node_close(&edu);
}

/* ---- handles --------------------------------------------------------------------------------------- */

#define HANDLES 300

static void handles(void)
{
	uint8_t *memory = anonymous(PAGE, MAP_PRIVATE);
	uint32_t handle[HANDLES], again[HANDLES];

	begin();
	memory[0] = 1;
	tap_step("many at once, each its own");
	for (unsigned int i = 0; i < HANDLES; i++) {
		handle[i] = map(memory + i, 1, UDRV_DMA_TO_DEVICE);
		CHECK_NE(handle[i], 0);
		for (unsigned int j = 0; j < i; j++)
			CHECK_NE(handle[j], handle[i]);
	}
	tap_step("freed in another order; what was not freed stays");
	for (unsigned int i = 0; i < HANDLES; i += 3)
		CHECK_OK(node_dma_unmap(&edu, handle[i]));
	for (unsigned int i = 0; i < HANDLES; i++) {
		if (i % 3)
			CHECK_OK(node_dma_sync(&edu, handle[i], UDRV_DMA_SYNC_FOR_DEVICE, 0, 1));
		else
			CHECK_ERROR(node_dma_sync(&edu, handle[i], UDRV_DMA_SYNC_FOR_DEVICE, 0, 1),
				    ENOENT);
	}
	tap_step("a freed one does not name what came after it");
	for (unsigned int i = 0; i < HANDLES; i += 3)
		again[i] = map(memory + i, 1, UDRV_DMA_TO_DEVICE);
	for (unsigned int i = 0; i < HANDLES; i += 3)
		CHECK_ERROR(node_dma_unmap(&edu, handle[i]), ENOENT);
	tap_step("none that was never given out");
	CHECK_ERROR(node_dma_unmap(&edu, 0), ENOENT);
	CHECK_ERROR(node_dma_unmap(&edu, ~0U), ENOENT);
	CHECK_ERROR(node_dma_unmap(&edu, handle[0] + 100000), ENOENT);
	CHECK_ERROR(node_dma_unmap(&edu, handle[0] & 0x7fffffff), ENOENT);
	for (unsigned int i = 0; i < HANDLES; i++)
		CHECK_OK(node_dma_unmap(&edu, i % 3 ? handle[i] : again[i]));
	nothing_held();
	node_close(&edu);
}

/* ---- refusals --------------------------------------------------------------------------------------- */

static void refused(const void *address, uint64_t length, unsigned int direction, int error)
{
	uint32_t handle = 0;

	count = SEGMENTS;
	if (!CHECK_ERROR(node_dma_map(&edu, address, length, direction, segments, &count, &handle),
			 error))
		tap_note("address %p length %#llx direction %u", address,
			 (unsigned long long)length, direction);
	CHECK_EQ(handle, 0);
	CHECK_EQ(count, SEGMENTS);
}

static void refusals(void)
{
	uint8_t *memory = anonymous(8 * PAGE, MAP_PRIVATE), *none, *view;
	struct udrv_ioc_dma_alloc buffer;

	begin();
	memset(memory, 1, 8 * PAGE);
	for (unsigned int d = UDRV_DMA_TO_DEVICE; d <= UDRV_DMA_BIDIRECTIONAL; d++) {
		tap_step("no memory there (direction %u)", d);
		none = anonymous(3 * PAGE, MAP_PRIVATE);
		munmap(none, 3 * PAGE);
		refused(none, PAGE, d, EFAULT);
		refused(NULL, PAGE, d, EFAULT);
		refused((void *)1, 1, d, EFAULT);
		refused((void *)0xffff888000000000, PAGE, d, EFAULT);
		refused((void *)0x7fffffffe000, 2 * PAGE, d, EFAULT);
		tap_step("a hole in the middle, at the end (direction %u)", d);
		none = anonymous(5 * PAGE, MAP_PRIVATE);
		memset(none, 1, 5 * PAGE);
		munmap(none + 2 * PAGE, PAGE);
		refused(none, 5 * PAGE, d, EFAULT);
		refused(none + PAGE, PAGE + 1, d, EFAULT);
		munmap(none, 5 * PAGE);
		none = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		refused(none, PAGE, d, EFAULT);
		munmap(none, 3 * PAGE);
		tap_step("registers, a buffer (direction %u)", d);
		refused((void *)edu.bar0, PAGE, d, EFAULT);
		REQUIRE_OK(node_dma_alloc(&edu, PAGE, &buffer));
		view = mmap(NULL, PAGE, RW, MAP_SHARED, edu.fd, buffer.offset);
		REQUIRE(view != MAP_FAILED);
		view[0] = 1;
		refused(view, PAGE, d, EFAULT);
		CHECK_OK(munmap(view, PAGE));
		CHECK_OK(node_dma_free(&edu, buffer.handle));
		tap_step("lengths (direction %u)", d);
		refused(memory, 0, d, EINVAL);
		refused(memory, ~0ULL, d, EINVAL);
		refused(memory, 1ULL << 63, d, EINVAL);
		refused((void *)-4096L, 8192, d, EFAULT);
		nothing_held();
	}
	tap_step("directions");
	refused(memory, PAGE, 0, EINVAL);
	refused(memory, PAGE, 4, EINVAL);
	refused(memory, PAGE, ~0U, EINVAL);
	tap_step("a list that cannot be written");
	{
		struct udrv_ioc_dma_map arg = NODE_ARG(arg);

		arg.user_addr = (uintptr_t)memory;
		arg.length = PAGE;
		arg.direction = UDRV_DMA_TO_DEVICE;
		arg.segment_count = 1;
		for (int i = 0; i < 3; i++) {
			none = anonymous(PAGE, MAP_PRIVATE);
			REQUIRE_OK(mprotect(none, PAGE, i == 1 ? PROT_READ : PROT_NONE));
			arg.segments = i == 2 ? 0 : (uintptr_t)none;
			CHECK_ERROR(ioctl(edu.fd, UDRV_IOC_DMA_MAP, &arg), EFAULT);
			CHECK_EQ(arg.handle, 0);
			munmap(none, PAGE);
		}
	}
	nothing_held();
	node_close(&edu);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST_LONG(kinds_of_memory, 120),
		TAP_TEST(read_only_memory),
		TAP_TEST(huge_page),
		TAP_TEST(zero_page),
		TAP_TEST(sync_parts),
		TAP_TEST(sync_odd_parts),
		TAP_TEST(segment_list),
		TAP_TEST(handles),
		TAP_TEST(refusals),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
