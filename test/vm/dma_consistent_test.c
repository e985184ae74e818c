// SPDX-License-Identifier: MIT
/*
 * dma_consistent_test.c - memory that CPU and device share, and what both kinds of DMA have in common
 *
 * Buffers of every size, mapped whole, in part, split, freed while mapped; masks, handles, limits. edu
 * copies both ways, and every byte is compared. The hard part is the life of a buffer: it ends with the
 * later of its handle and its last mapping, and the charge for it not before.
 */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)

static struct node edu;

static void begin(const char *kind, unsigned int bits)
{
	node_open_mapped(&edu, kind);
	REQUIRE_OK(node_bus_master(&edu, true));
	REQUIRE_OK(node_dma_mask(&edu, bits));
}

static bool translated(const struct node *node)
{
	return node_info(node).state & UDRV_DEVICE_IOMMU;
}

static uint8_t *map(const struct udrv_ioc_dma_alloc *buffer, uint64_t at, uint64_t length)
{
	return mmap(NULL, length, RW, MAP_SHARED, edu.fd, buffer->offset + at);
}

static void fill(uint8_t *bytes, size_t length, unsigned int seed)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = seed = seed * 1103515245 + 12345 + (seed >> 16);
}

static long locked_bytes(void)
{
	return os_status_kib("VmLck") * 1024;
}

/* ---- sizes ---------------------------------------------------------------------------------------- */

static void sizes(unsigned int bits)
{
	static const uint64_t lengths[] = { 1,	   2,	    4095,     4096,    4097,	 8192,
					    12288, 20000,   65536,    65537,   1 << 18,	 1 << 20,
					    1 << 21, 3 << 20, 4 << 20, 9 << 20, 16 << 20 };
	struct udrv_ioc_dma_alloc buffer;
	unsigned int seen = 0;

	begin("edu", 32);
	REQUIRE_OK(node_dma_mask(&edu, bits));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint64_t rounded = (lengths[i] + PAGE - 1) & ~(PAGE - 1), align = PAGE;
		uint8_t *view;

		tap_step("%llu bytes below 2^%u", (unsigned long long)lengths[i], bits);
		while (align < rounded)
			align *= 2;
		/*
		 * Without an IOMMU a buffer is physically contiguous: the kernel has 4 MiB at a time
		 * at most, 1 MiB is always there. (Below 2^24 there are 16 MiB in the machine.)
		 */
		if (node_dma_alloc(&edu, lengths[i], &buffer)) {
			CHECK_EQ(errno, ENOMEM);
			if (translated(&edu)) /* page 0 is never given out */
				CHECK(bits < 64 && align >= 1ULL << bits);
			else
				CHECK(rounded > 1 << 20 || bits < 32);
			CHECK_EQ(node_number(&edu, "dma_consistent"), 0);
			CHECK_EQ(buffer.length, lengths[i]);
			continue;
		}
		seen++;
		CHECK_EQ(buffer.length, rounded);
		CHECK_NE(buffer.handle, 0);
		CHECK_EQ(buffer.iova % align, 0);
		CHECK_LE(buffer.iova + buffer.length - 1, bits == 64 ? ~0ULL >> 1 : (1ULL << bits) - 1);
		CHECK_EQ(buffer.offset % PAGE, 0);
		CHECK_LT(buffer.offset, 1ULL << 44);
		CHECK_EQ(node_number(&edu, "dma_consistent"), rounded);
		CHECK_EQ(locked_bytes(), rounded);
		view = map(&buffer, 0, rounded);
		REQUIRE(view != MAP_FAILED);
		for (uint64_t at = 0; at < rounded; at += 512)
			if (*(volatile uint64_t *)(view + at))
				CHECK_EQ(*(volatile uint64_t *)(view + at), 0);
		/* The next one must not see what this one has left. */
		memset(view, 0xee, rounded);
		CHECK_OK(munmap(view, rounded));
		CHECK_OK(node_dma_free(&edu, buffer.handle));
		CHECK_EQ(node_number(&edu, "dma_consistent"), 0);
		CHECK_EQ(locked_bytes(), 0);
	}
	CHECK_GE(seen, bits < 32 ? 8 : 12);
	node_close(&edu);
}

static void sizes_32(void)
{
	sizes(32);
}

static void sizes_64(void)
{
	sizes(64);
}

static void sizes_24(void)
{
	sizes(24);
}

/* ---- the device's view ----------------------------------------------------------------------------- */

#define PIECE 2048U

static void copied_by_device(const char *kind, unsigned int bits)
{
	struct udrv_ioc_dma_alloc from, to;
	uint8_t *source, *target, *wanted = calloc(1, 4 * PAGE);

	begin(kind, bits);
	tap_step("%s: from one buffer to another, byte for byte", kind);
	REQUIRE_OK(node_dma_alloc(&edu, 4 * PAGE, &from));
	REQUIRE_OK(node_dma_alloc(&edu, 4 * PAGE, &to));
	CHECK(from.iova + from.length <= to.iova || to.iova + to.length <= from.iova);
	source = map(&from, 0, 4 * PAGE);
	target = map(&to, 0, 4 * PAGE);
	REQUIRE(source != MAP_FAILED && target != MAP_FAILED);
	fill(source, 4 * PAGE, bits);
	for (unsigned int at = 0; at < 4 * PAGE; at += PIECE) {
		unsigned int offset = at / PIECE % 2 * PIECE;

		edu_dma(&edu, false, from.iova + at, offset, PIECE - 1);
		edu_dma(&edu, true, to.iova + at, offset, PIECE - 1);
		memcpy(wanted + at, source + at, PIECE - 1);
	}
	CHECK_MEM(target, wanted, 4 * PAGE);
	tap_step("%s: odd address and length, nothing beside it", kind);
	memset(target, 0xcc, 4 * PAGE);
	memset(wanted, 0xcc, 4 * PAGE);
	fill(source, 4 * PAGE, bits + 1);
	edu_dma(&edu, false, from.iova + PAGE - 777, 3, 1555); /* over a page boundary */
	edu_dma(&edu, true, to.iova + 2 * PAGE - 501, 3, 1555);
	memcpy(wanted + 2 * PAGE - 501, source + PAGE - 777, 1555);
	CHECK_MEM(target, wanted, 4 * PAGE);
	CHECK_OK(munmap(source, 4 * PAGE));
	CHECK_OK(munmap(target, 4 * PAGE));
	CHECK_OK(node_dma_free(&edu, from.handle));
	CHECK_OK(node_dma_free(&edu, to.handle));
	node_close(&edu);
}

static void copied_by_edu(void)
{
	copied_by_device("edu", 32);
}

/* As QEMU makes it: what lies above 256 MiB it would not find. */
static void copied_by_edu28(void)
{
	copied_by_device("edu28", 28);
}

/* ---- mappings -------------------------------------------------------------------------------------- */

static void mapped_in_parts(void)
{
	struct udrv_ioc_dma_alloc buffer, other;
	uint8_t *whole, *part;

	begin("edu", 32);
	REQUIRE_OK(node_dma_alloc(&edu, 8 * PAGE, &buffer));
	REQUIRE_OK(node_dma_alloc(&edu, 8 * PAGE, &other));
	whole = map(&buffer, 0, 8 * PAGE);
	REQUIRE(whole != MAP_FAILED);
	fill(whole, 8 * PAGE, 5);
	tap_step("parts show the same memory");
	for (unsigned int first = 0; first < 8; first++)
		for (unsigned int pages = 1; first + pages <= 8; pages += 3) {
			part = map(&buffer, first * PAGE, pages * PAGE);
			REQUIRE(part != MAP_FAILED);
			CHECK_MEM(part, whole + first * PAGE, pages * PAGE);
			part[0] ^= 0xff;
			CHECK_EQ(part[0], whole[first * PAGE]);
			CHECK_OK(munmap(part, pages * PAGE));
		}
	tap_step("refused: beyond the end, before the start, private, executable, no such buffer");
	CHECK(map(&buffer, 0, 9 * PAGE) == MAP_FAILED && errno == EINVAL);
	CHECK(map(&buffer, 8 * PAGE, PAGE) == MAP_FAILED && errno == EINVAL);
	CHECK(map(&buffer, PAGE, 8 * PAGE) == MAP_FAILED && errno == EINVAL);
	CHECK(map(&buffer, 1 << 27, PAGE) == MAP_FAILED && errno == EINVAL);
	CHECK(map(&buffer, 0, 1ULL << 32) == MAP_FAILED && errno == EINVAL);
	CHECK(map(&buffer, -PAGE, PAGE) == MAP_FAILED && errno == EINVAL);
	CHECK(map(&buffer, -PAGE, 2 * PAGE) == MAP_FAILED && errno == EINVAL);
	CHECK(map(&other, 1ULL << 28, PAGE) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, PAGE, RW, MAP_PRIVATE, edu.fd, buffer.offset) == MAP_FAILED &&
	      errno == EINVAL);
	CHECK(mmap(NULL, PAGE, RW | PROT_EXEC, MAP_SHARED, edu.fd, buffer.offset) == MAP_FAILED &&
	      errno == EPERM);
	tap_step("split, moved, not grown");
	CHECK_OK(munmap(whole + 3 * PAGE, 2 * PAGE));
	part = mremap(whole + 5 * PAGE, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		      mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	REQUIRE(part != MAP_FAILED);
	part[2 * PAGE] = 0x77;
	CHECK(mremap(part, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK_OK(munmap(whole, 3 * PAGE));
	CHECK_OK(munmap(part, 3 * PAGE));
	tap_step("all of it unmapped, the memory is still there");
	whole = map(&buffer, 0, 8 * PAGE);
	REQUIRE(whole != MAP_FAILED);
	CHECK_EQ(whole[7 * PAGE], 0x77);
	CHECK_OK(munmap(whole, 8 * PAGE));
	node_close(&edu);
}

static void not_for_children(void)
{
	struct udrv_ioc_dma_alloc buffer;
	volatile uint8_t *view;
	int status;
	pid_t child;

	begin("edu", 32);
	tap_step("a child has no part of it");
	REQUIRE_OK(node_dma_alloc(&edu, PAGE, &buffer));
	view = map(&buffer, 0, PAGE);
	REQUIRE(view != MAP_FAILED);
	view[0] = 1;
	child = fork();
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		_exit(view[0]);
	}
	status = os_wait_child(child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	CHECK_EQ(view[0], 1);
	CHECK_OK(munmap((void *)view, PAGE));
	node_close(&edu);
}

/* FREE with mappings left: the memory stays, and stays charged, until the last of them is gone. */
static void freed_while_mapped(void)
{
	struct udrv_ioc_dma_alloc buffer, next;
	uint8_t *view, copy[2 * PAGE];

	begin("edu", 32);
	REQUIRE_OK(node_dma_alloc(&edu, 2 * PAGE, &buffer));
	view = map(&buffer, 0, 2 * PAGE);
	REQUIRE(view != MAP_FAILED);
	fill(view, PAGE, 9); /* the second page is touched for the first time after FREE */
	tap_step("the handle is gone, the memory is not");
	CHECK_OK(node_dma_free(&edu, buffer.handle));
	CHECK_ERROR(node_dma_free(&edu, buffer.handle), ENOENT);
	CHECK(map(&buffer, 0, PAGE) == MAP_FAILED && errno == EINVAL);
	CHECK_EQ(node_number(&edu, "dma_consistent"), 2 * PAGE);
	CHECK_EQ(locked_bytes(), 2 * PAGE);
	CHECK_EQ(view[PAGE], 0);
	fill(view + PAGE, PAGE, 10);
	memcpy(copy, view, sizeof(copy));
	tap_step("others are allocated meanwhile, none is the same memory");
	for (int i = 0; i < 50; i++) {
		uint8_t *other;

		REQUIRE_OK(node_dma_alloc(&edu, 2 * PAGE, &next));
		CHECK_NE(next.handle, buffer.handle);
		other = map(&next, 0, 2 * PAGE);
		REQUIRE(other != MAP_FAILED);
		memset(other, i, 2 * PAGE);
		CHECK_OK(munmap(other, 2 * PAGE));
		CHECK_OK(node_dma_free(&edu, next.handle));
	}
	CHECK_MEM(view, copy, sizeof(copy));
	tap_step("half of the mapping is gone: it still lives");
	CHECK_OK(munmap(view, PAGE));
	CHECK_EQ(node_number(&edu, "dma_consistent"), 2 * PAGE);
	CHECK_MEM(view + PAGE, copy + PAGE, PAGE);
	tap_step("all of it: now it is over");
	CHECK_OK(munmap(view + PAGE, PAGE));
	CHECK(OS_WAIT_FOR(node_number(&edu, "dma_consistent") == 0, 30000));
	CHECK(OS_WAIT_FOR(locked_bytes() == 0, 30000));
	node_close(&edu);
}

/* ---- handles and masks ------------------------------------------------------------------------------ */

static void handles(void)
{
	struct udrv_ioc_dma_alloc buffer, other;
	struct udrv_dma_segment segment;
	uint32_t count = 1, mapping;
	struct node second, first;
	void *memory = aligned_alloc(PAGE, PAGE);

	memset(memory, 0, PAGE);
	begin("edu", 32);
	REQUIRE_OK(node_dma_alloc(&edu, PAGE, &buffer));
	REQUIRE_OK(node_dma_map(&edu, memory, PAGE, UDRV_DMA_TO_DEVICE, &segment, &count,
				&mapping));
	tap_step("of the other kind, of nobody");
	CHECK_NE(mapping, buffer.handle);
	CHECK_ERROR(node_dma_free(&edu, mapping), ENOENT);
	CHECK_ERROR(node_dma_unmap(&edu, buffer.handle), ENOENT);
	CHECK_ERROR(node_dma_sync(&edu, buffer.handle, UDRV_DMA_SYNC_FOR_CPU, 0, 1), ENOENT);
	CHECK_ERROR(node_dma_free(&edu, 0), ENOENT);
	CHECK_ERROR(node_dma_free(&edu, buffer.handle + 1), ENOENT);
	CHECK_ERROR(node_dma_free(&edu, ~0U), ENOENT);
	CHECK_ERROR(node_dma_unmap(&edu, mapping + 1), ENOENT);
	tap_step("of another device");
	if (node_find(&second, "edu28")) {
		first = edu;
		node_open(&second, "edu28");
		CHECK_ERROR(node_dma_free(&second, buffer.handle), ENOENT);
		CHECK_ERROR(node_dma_unmap(&second, mapping), ENOENT);
		edu = second;
		CHECK(map(&buffer, 0, PAGE) == MAP_FAILED && errno == EINVAL);
		edu = first;
		close(second.fd);
	}
	CHECK_EQ(node_number(&edu, "dma_consistent"), PAGE);
	CHECK_EQ(node_number(&edu, "dma_streaming"), PAGE);
	tap_step("twice, and stale: a handle does not come back at once");
	CHECK_OK(node_dma_free(&edu, buffer.handle));
	CHECK_ERROR(node_dma_free(&edu, buffer.handle), ENOENT);
	CHECK_OK(node_dma_unmap(&edu, mapping));
	CHECK_ERROR(node_dma_unmap(&edu, mapping), ENOENT);
	for (int i = 0; i < 100; i++) {
		uint32_t again;

		REQUIRE_OK(node_dma_alloc(&edu, PAGE, &other));
		CHECK_NE(other.handle, buffer.handle);
		CHECK_ERROR(node_dma_free(&edu, buffer.handle), ENOENT);
		CHECK_OK(node_dma_free(&edu, other.handle));
		count = 1;
		REQUIRE_OK(node_dma_map(&edu, memory, PAGE, UDRV_DMA_TO_DEVICE, &segment, &count,
					&again));
		CHECK_NE(again, mapping);
		CHECK_ERROR(node_dma_unmap(&edu, mapping), ENOENT);
		CHECK_OK(node_dma_unmap(&edu, again));
	}
	node_close(&edu);
}

static void masks(void)
{
	struct udrv_ioc_dma_alloc buffer;
	struct udrv_dma_segment segment;
	uint32_t count = 1, mapping;
	void *memory = aligned_alloc(PAGE, PAGE);

	memset(memory, 0, PAGE);
	begin("edu", 32);
	tap_step("24 to 64 bits");
	for (unsigned int bits = 24; bits <= 64; bits++) {
		CHECK_OK(node_dma_mask(&edu, bits));
		CHECK_EQ(node_info(&edu).dma_mask_bits, bits);
	}
	CHECK_ERROR(node_dma_mask(&edu, 23), EINVAL);
	CHECK_ERROR(node_dma_mask(&edu, 65), EINVAL);
	CHECK_EQ(node_info(&edu).dma_mask_bits, 64);
	CHECK_OK(node_dma_mask(&edu, 32));
	tap_step("not while there is a buffer or a mapping");
	REQUIRE_OK(node_dma_alloc(&edu, PAGE, &buffer));
	CHECK_ERROR(node_dma_mask(&edu, 30), EBUSY);
	CHECK_ERROR(node_dma_mask(&edu, 32), EBUSY);
	CHECK_OK(node_dma_free(&edu, buffer.handle));
	CHECK_OK(node_dma_mask(&edu, 30));
	CHECK_OK(node_dma_mask(&edu, 32));
	REQUIRE_OK(node_dma_map(&edu, memory, PAGE, UDRV_DMA_TO_DEVICE, &segment, &count,
				&mapping));
	CHECK_ERROR(node_dma_mask(&edu, 30), EBUSY);
	CHECK_OK(node_dma_unmap(&edu, mapping));
	CHECK_OK(node_dma_mask(&edu, 30));
	tap_step("the next driver begins with 32");
	node_close(&edu);
	node_open(&edu, "edu");
	CHECK_EQ(node_info(&edu).dma_mask_bits, 32);
	tap_step("the kernel's driver finds what the bus had set");
	CHECK_OK(node_dma_mask(&edu, 64));
	node_close(&edu);
	node_unbind(&edu);
	CHECK_EQ(node_pci_number(&edu, "dma_mask_bits"), 32);
	CHECK_EQ(node_pci_number(&edu, "consistent_dma_mask_bits"), 32);
}

/* ---- limits ------------------------------------------------------------------------------------------ */

static void limited(void)
{
	struct rlimit limit = { 16 * PAGE, 16 * PAGE };
	struct udrv_ioc_dma_alloc buffers[4], extra;
	struct udrv_dma_segment segments[64];
	uint32_t count, mapping;
	uint8_t *memory = aligned_alloc(PAGE, 32 * PAGE);

	memset(memory, 1, 32 * PAGE);
	begin("edu", 32);
	REQUIRE_OK(setrlimit(RLIMIT_MEMLOCK, &limit));
	os_drop_capability(CAP_IPC_LOCK);
	for (int round = 0; round < 3; round++) {
		tap_step("RLIMIT_MEMLOCK is reached (%d)", round);
		CHECK_ERROR(node_dma_alloc(&edu, 17 * PAGE, &extra), ENOMEM);
		CHECK_EQ(node_number(&edu, "dma_consistent"), 0);
		for (int i = 0; i < 4; i++)
			CHECK_OK(node_dma_alloc(&edu, 3 * PAGE, &buffers[i]));
		CHECK_EQ(locked_bytes(), 12 * PAGE);
		CHECK_ERROR(node_dma_alloc(&edu, 5 * PAGE, &extra), ENOMEM);
		count = 64;
		CHECK_ERROR(node_dma_map(&edu, memory, 5 * PAGE, UDRV_DMA_TO_DEVICE, segments,
					 &count, &mapping), ENOMEM);
		CHECK_EQ(locked_bytes(), 12 * PAGE);
		CHECK_EQ(os_pinned_pages(), 0);
		tap_step("up to the limit it works, for both kinds together (%d)", round);
		count = 64;
		CHECK_OK(node_dma_map(&edu, memory, 3 * PAGE + 1, UDRV_DMA_TO_DEVICE, segments,
				      &count, &mapping));
		CHECK_EQ(locked_bytes(), 16 * PAGE);
		CHECK_ERROR(node_dma_alloc(&edu, 1, &extra), ENOMEM);
		tap_step("given back, it can be had again (%d)", round);
		CHECK_OK(node_dma_unmap(&edu, mapping));
		CHECK_EQ(locked_bytes(), 12 * PAGE);
		CHECK_OK(node_dma_alloc(&edu, 4 * PAGE, &extra));
		CHECK_OK(node_dma_free(&edu, extra.handle));
		for (int i = 0; i < 4; i++)
			CHECK_OK(node_dma_free(&edu, buffers[i].handle));
		CHECK_EQ(locked_bytes(), 0);
	}
	tap_step("close gives everything back");
	for (int i = 0; i < 4; i++)
		CHECK_OK(node_dma_alloc(&edu, 3 * PAGE, &buffers[i]));
	node_close(&edu);
	CHECK_EQ(locked_bytes(), 0);
}

/* In a child: a buffer and a page, and it ends without giving them back. @left: is there room for them? */
static void child_holds(unsigned int buffer_pages, bool left)
{
	struct udrv_dma_segment segment;
	struct udrv_ioc_dma_alloc buffer;
	uint8_t *memory = aligned_alloc(PAGE, PAGE);
	uint32_t count = 1, mapping;

	memset(memory, 1, PAGE);
	CHECK_EQ(locked_bytes(), 0);
	if (left) {
		CHECK_OK(node_dma_alloc(&edu, buffer_pages * PAGE, &buffer));
		CHECK_OK(node_dma_map(&edu, memory, PAGE, UDRV_DMA_TO_DEVICE, &segment, &count,
				      &mapping));
		CHECK_EQ(locked_bytes(), (buffer_pages + 1) * PAGE);
	} else {
		CHECK_ERROR(node_dma_alloc(&edu, buffer_pages * PAGE, &buffer), ENOMEM);
		CHECK_ERROR(node_dma_map(&edu, memory, PAGE, UDRV_DMA_TO_DEVICE, &segment, &count,
					 &mapping), ENOMEM);
		CHECK_EQ(locked_bytes(), 0);
	}
	_exit(0);
}

/* What a process has mapped outlives it, and its limit with it: the descriptor's sum is limited too. */
static void limited_over_processes(void)
{
	struct rlimit limit = { 16 * PAGE, 16 * PAGE };
	struct udrv_ioc_dma_alloc buffer;
	pid_t child;

	begin("edu", 32);
	REQUIRE_OK(setrlimit(RLIMIT_MEMLOCK, &limit));
	for (int round = 0; round < 2; round++) {
		tap_step("children that map and end reach the limit together (%d)", round);
		for (int i = 0; i < 6; i++) {
			child = fork();
			if (child == 0) {
				os_drop_capability(CAP_IPC_LOCK);
				child_holds(3, i < 4);
			}
			OS_CHILD_OK(child);
		}
		CHECK_EQ(node_number(&edu, "dma_consistent"), 12 * PAGE);
		CHECK_EQ(node_number(&edu, "dma_streaming"), 4 * PAGE);
		CHECK_EQ(locked_bytes(), 0);
		tap_step("who may lock more goes on (%d)", round);
		CHECK_OK(node_dma_alloc(&edu, 10 * PAGE, &buffer));
		CHECK_OK(node_dma_free(&edu, buffer.handle));
		tap_step("the next to open begins at zero (%d)", round);
		node_close(&edu);
		CHECK_EQ(os_pinned_pages(), 0);
		begin("edu", 32);
	}
	node_close(&edu);
}

/* Buffers that nobody frees, up to what there may be at a time. */
static void many(void)
{
	struct udrv_ioc_dma_alloc buffer;
	unsigned int made = 0;
	uint64_t last = 0;

	begin("edu", 32);
	tap_step("2000 buffers, closed over");
	for (; made < 2000; made++) {
		REQUIRE_OK(node_dma_alloc(&edu, PAGE, &buffer));
		CHECK_NE(buffer.iova, last);
		last = buffer.iova;
	}
	CHECK_EQ(node_number(&edu, "dma_consistent"), made * PAGE);
	CHECK_EQ(locked_bytes(), made * PAGE);
	node_close(&edu);
	CHECK_EQ(locked_bytes(), 0);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(sizes_32),
		TAP_TEST(sizes_64),
		TAP_TEST(sizes_24),
		TAP_TEST(copied_by_edu),
		TAP_TEST(copied_by_edu28),
		TAP_TEST(mapped_in_parts),
		TAP_TEST(not_for_children),
		TAP_TEST(freed_while_mapped),
		TAP_TEST(handles),
		TAP_TEST(masks),
		TAP_TEST(limited),
		TAP_TEST(limited_over_processes),
		TAP_TEST(many),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
