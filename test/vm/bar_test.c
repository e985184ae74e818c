// SPDX-License-Identifier: MIT
/*
 * bar_test.c - registers: mapped, and by pread and pwrite
 *
 * Values are compared between the two ways; every offset, length, width and protection that is wrong
 * is refused, with nothing mapped and nothing accessed. The hard part are the pages that must never be
 * mapped, the MSI-X table's and those that a small BAR shares: what may be there is worked out here
 * from config space and /proc/iomem, not from what the node says.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)

static void *map(const struct node *node, uint64_t length, int prot, uint64_t offset)
{
	return mmap(NULL, length, prot, MAP_SHARED, node->fd, offset);
}

static uint32_t get32(volatile void *address)
{
	return *(volatile uint32_t *)address;
}

/* Does touching this address end a process? Asked in a child that does have the mapping (or not). */
static bool child_dies(volatile uint8_t *address, bool write)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		if (write)
			*(volatile uint32_t *)address = 0;
		else
			(void)get32(address);
		_exit(0);
	}
	status = os_wait_child(child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

/* ---- mappings ------------------------------------------------------------------------------------ */

static void map_whole_and_parts(void)
{
	struct udrv_ioc_region_info bar;
	uint8_t *whole, *part;
	struct node edu;

	node_open(&edu, "edu");
	bar = node_region(&edu, 0);
	tap_step("whole");
	whole = map(&edu, bar.length, RW, bar.offset);
	REQUIRE(whole != MAP_FAILED);
	CHECK_EQ(get32(whole), EDU_ID_VALUE);
	for (uint32_t i = 1; i; i *= 3) {
		*(volatile uint32_t *)(whole + EDU_LIVE) = i;
		if (get32(whole + EDU_LIVE) != ~i)
			CHECK_EQ(get32(whole + EDU_LIVE), ~i);
		if (i > 1U << 30)
			break;
	}
	tap_step("parts, at offsets");
	for (uint64_t at = 0; at < bar.length; at += 51 * PAGE) {
		part = map(&edu, PAGE, RW, bar.offset + at);
		REQUIRE(part != MAP_FAILED);
		/* The last one written is the one that both see, if they see the same device. */
		if (at == 0) {
			*(volatile uint32_t *)(part + EDU_LIVE) = 0x12345678;
			CHECK_EQ(get32(whole + EDU_LIVE), ~0x12345678U);
		}
		CHECK_EQ(get32(part), get32(whole + at));
		CHECK_OK(munmap(part, PAGE));
	}
	part = map(&edu, PAGE, RW, bar.offset + bar.length - PAGE);
	CHECK(part != MAP_FAILED);
	CHECK_EQ(get32(part + PAGE - 4), ~0U);
	CHECK_OK(munmap(part, PAGE));
	tap_step("read-only, from a descriptor that is");
	close(edu.fd);
	munmap(whole, bar.length);
	REQUIRE_OK(edu.fd = open(edu.path, O_RDONLY | O_CLOEXEC));
	part = map(&edu, PAGE, PROT_READ, bar.offset);
	REQUIRE(part != MAP_FAILED);
	CHECK_EQ(get32(part), EDU_ID_VALUE);
	CHECK_ERROR(mprotect(part, PAGE, RW), EACCES);
	CHECK(map(&edu, PAGE, RW, bar.offset) == MAP_FAILED && errno == EACCES);
	CHECK_ERROR(pwrite(edu.fd, part, 4, bar.offset + EDU_LIVE), EBADF);
	CHECK_OK(munmap(part, PAGE));
	node_close(&edu);
}

static void refused(const struct node *node, uint64_t length, int prot, int flags, uint64_t offset,
		    int error)
{
	void *address = mmap(NULL, length, prot, flags, node->fd, offset);
	int got = errno;

	if (!CHECK(address == MAP_FAILED)) {
		tap_note("length %#llx offset %#llx was mapped", (unsigned long long)length,
			 (unsigned long long)offset);
		munmap(address, length);
	} else if (!CHECK_EQ(got, error)) {
		tap_note("length %#llx offset %#llx", (unsigned long long)length,
			 (unsigned long long)offset);
	}
}

static void bad_maps(void)
{
	struct udrv_ioc_region_info bar;
	uint64_t views[2];
	struct node edu;

	node_open(&edu, "edu");
	bar = node_region(&edu, 0);
	views[0] = bar.offset;
	views[1] = bar.offset_wc;
	for (int i = 0; i < 2; i++) {
		tap_step("%s: beyond the end", i ? "write-combining" : "uncached");
		refused(&edu, bar.length + PAGE, RW, MAP_SHARED, views[i], EINVAL);
		refused(&edu, PAGE, RW, MAP_SHARED, views[i] + bar.length, EINVAL);
		refused(&edu, 2 * PAGE, RW, MAP_SHARED, views[i] + bar.length - PAGE, EINVAL);
		refused(&edu, bar.length, RW, MAP_SHARED, views[i] + PAGE, EINVAL);
		refused(&edu, 1ULL << 40, RW, MAP_SHARED, views[i], EINVAL);
		refused(&edu, PAGE, RW, MAP_SHARED, views[i] + (1ULL << 38), EINVAL);
		tap_step("%s: the end is before the start", i ? "write-combining" : "uncached");
		/* length - offset would be small */
		refused(&edu, 2 * bar.length, RW, MAP_SHARED, views[i] + 2 * bar.length, EINVAL);
		refused(&edu, PAGE, RW, MAP_SHARED, views[i] - PAGE, EINVAL);
		refused(&edu, 2 * PAGE, RW, MAP_SHARED, views[i] - PAGE, EINVAL);
		tap_step("%s: private, executable", i ? "write-combining" : "uncached");
		refused(&edu, PAGE, RW, MAP_PRIVATE, views[i], EINVAL);
		refused(&edu, PAGE, PROT_READ, MAP_PRIVATE, views[i], EINVAL);
		refused(&edu, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, views[i], EPERM);
		refused(&edu, PAGE, RW | PROT_EXEC, MAP_SHARED, views[i], EPERM);
	}
	tap_step("offsets that are no region's");
	refused(&edu, PAGE, RW, MAP_SHARED, 0, EINVAL);
	refused(&edu, PAGE, RW, MAP_SHARED, PAGE, EINVAL);
	for (unsigned int index = 1; index < UDRV_REGION_COUNT; index++)
		if (node_region(&edu, index).offset)
			refused(&edu, PAGE, RW, MAP_SHARED, node_region(&edu, index).offset, EINVAL);
	for (unsigned int bit = 41; bit < 63; bit++)
		refused(&edu, PAGE, RW, MAP_SHARED, bar.offset | 1ULL << bit, EINVAL);
	/* Linux itself refuses what does not fit a signed offset. */
	refused(&edu, PAGE, RW, MAP_SHARED, ~0ULL << 12, EOVERFLOW);
	refused(&edu, 2 * PAGE, RW, MAP_SHARED, (1ULL << 63) - PAGE, EINVAL);
	node_close(&edu);
}

static void split_and_moved(void)
{
	struct udrv_ioc_region_info bar;
	uint8_t *base, *moved, *part;
	struct node edu;

	node_open(&edu, "edu");
	bar = node_region(&edu, 0);
	tap_step("the middle is unmapped, both ends stay");
	base = map(&edu, 8 * PAGE, RW, bar.offset);
	REQUIRE(base != MAP_FAILED);
	CHECK_EQ(get32(base), EDU_ID_VALUE);
	CHECK_OK(munmap(base + 3 * PAGE, PAGE));
	CHECK_EQ(get32(base), EDU_ID_VALUE);
	CHECK_EQ(get32(base + 7 * PAGE), ~0U);
	tap_step("what is left, at its first touch");
	part = map(&edu, 4 * PAGE, RW, bar.offset);
	REQUIRE(part != MAP_FAILED);
	CHECK_OK(munmap(part, PAGE));
	CHECK_EQ(get32(part + PAGE), ~0U);
	CHECK_OK(munmap(part + PAGE, 3 * PAGE));
	tap_step("moved");
	moved = mremap(base, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	REQUIRE(moved != MAP_FAILED && moved != base);
	CHECK_EQ(get32(moved), EDU_ID_VALUE);
	*(volatile uint32_t *)(moved + EDU_LIVE) = 0x55aa;
	CHECK_EQ(get32(moved + EDU_LIVE), ~0x55aaU);
	CHECK(child_dies(base, false));
	tap_step("not grown");
	CHECK(mremap(moved, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
	CHECK_EQ(get32(moved), EDU_ID_VALUE);
	tap_step("protected");
	CHECK_OK(mprotect(moved, PAGE, PROT_READ));
	CHECK_EQ(get32(moved), EDU_ID_VALUE);
	CHECK(child_dies(moved, true));
	CHECK_OK(mprotect(moved, PAGE, RW));
	*(volatile uint32_t *)(moved + EDU_LIVE) = 1;
	CHECK_EQ(get32(moved + EDU_LIVE), ~1U);
	CHECK_ERROR(mprotect(moved, PAGE, PROT_READ | PROT_EXEC), EACCES);
	tap_step("each piece holds the node");
	close(edu.fd);
	CHECK_ERROR(open(edu.path, O_RDWR), EBUSY);
	CHECK_OK(munmap(moved, 2 * PAGE));
	CHECK_OK(munmap(base + 2 * PAGE, PAGE));
	CHECK_ERROR(open(edu.path, O_RDWR), EBUSY);
	CHECK_EQ(get32(base + 4 * PAGE), ~0U);
	CHECK_OK(munmap(base + 4 * PAGE, 4 * PAGE));
	node_reopen(&edu);
	node_close(&edu);
}

static long faults(void)
{
	struct rusage usage;

	REQUIRE_OK(getrusage(RUSAGE_THREAD, &usage));
	return usage.ru_minflt;
}

/* Faults that reading a register takes. */
static long faults_at(uint8_t *where)
{
	long before = faults();

	get32(where);
	return faults() - before;
}

/* A page has one memory type: what was mapped uncached is mapped anew when it becomes write-combining. */
static void one_memory_type(void)
{
	struct udrv_ioc_region_info bar;
	uint8_t *uncached, *combining;
	struct node edu;

	node_open(&edu, "edu");
	bar = node_region(&edu, 0);
	uncached = map(&edu, 8 * PAGE, RW, bar.offset);
	REQUIRE(uncached != MAP_FAILED);
	tap_step("mapped uncached, and there");
	get32(uncached);
	for (unsigned int i = 0; i < 8; i++)
		CHECK_EQ(faults_at(uncached + i * PAGE), 0);
	tap_step("pages that are mapped write-combining, too, are taken out of the first mapping");
	combining = map(&edu, 2 * PAGE, RW, bar.offset_wc + 3 * PAGE);
	REQUIRE(combining != MAP_FAILED);
	CHECK_EQ(faults_at(uncached), 0);
	CHECK_EQ(faults_at(uncached + 2 * PAGE), 0);
	CHECK_EQ(faults_at(uncached + 5 * PAGE), 0);
	CHECK_EQ(faults_at(uncached + 3 * PAGE), 1);
	tap_step("and come back at a touch");
	CHECK_EQ(faults_at(uncached + 3 * PAGE), 0);
	CHECK_EQ(faults_at(uncached + 4 * PAGE), 0);
	CHECK_EQ(get32(combining), get32(uncached + 3 * PAGE));
	tap_step("mapped write-combining again: nothing changes");
	CHECK_OK(munmap(combining, 2 * PAGE));
	combining = map(&edu, PAGE, RW, bar.offset_wc + 3 * PAGE);
	REQUIRE(combining != MAP_FAILED);
	CHECK_EQ(faults_at(uncached + 3 * PAGE), 0);
	CHECK_OK(munmap(combining, PAGE));
	CHECK_OK(munmap(uncached, 8 * PAGE));
	node_close(&edu);
}

static void not_for_children(void)
{
	struct node edu;

	node_open_mapped(&edu, "edu");
	tap_step("a child has no mapping");
	CHECK_EQ(node_read32(&edu, EDU_ID), EDU_ID_VALUE);
	CHECK(child_dies(edu.bar0, false));
	tap_step("and the parent cannot give it one");
	CHECK_ERROR(madvise((void *)edu.bar0, edu.bar0_length, MADV_DOFORK), EINVAL);
	CHECK(child_dies(edu.bar0, false));
	CHECK_EQ(node_read32(&edu, EDU_ID), EDU_ID_VALUE);
	node_close(&edu);
}

static bool memtype_is_wc(uint64_t start)
{
	char line[256], wanted[64];
	bool found = false;
	FILE *file = fopen("/sys/kernel/debug/x86/pat_memtype_list", "r");

	if (!file)
		tap_skip("no /sys/kernel/debug/x86/pat_memtype_list");
	snprintf(wanted, sizeof(wanted), "0x%016llx-", (unsigned long long)start);
	while (fgets(line, sizeof(line), file))
		found |= strstr(line, wanted) && strstr(line, "write-combining");
	fclose(file);
	return found;
}

static void write_combining(void)
{
	struct udrv_ioc_region_info bar;
	uint8_t *wc, *uc;
	uint64_t physical;
	uint32_t value;
	struct node shmem;

	/* ivshmem's shared memory, BAR 2, is what write-combining is for: plain memory of a device. */
	node_open(&shmem, "ivshmem");
	bar = node_region(&shmem, 2);
	physical = (node_config(&shmem, 0x18, 4) & ~15U) |
		   (uint64_t)node_config(&shmem, 0x1c, 4) << 32;
	tap_step("mapped, and of that type");
	CHECK(bar.region_flags & UDRV_REGION_PREFETCH);
	CHECK(!memtype_is_wc(physical));
	wc = map(&shmem, bar.length, RW, bar.offset_wc);
	REQUIRE(wc != MAP_FAILED);
	for (uint32_t i = 0; i < 4 * PAGE; i += 4)
		*(volatile uint32_t *)(wc + i) = i * 2654435761U;
	__builtin_ia32_sfence();
	CHECK(memtype_is_wc(physical));
	tap_step("what was written is there for pread");
	for (uint32_t i = 0; i < 4 * PAGE; i += 4 * 61) {
		CHECK_EQ(pread(shmem.fd, &value, 4, bar.offset + i), 4);
		CHECK_EQ(value, i * 2654435761U);
	}
	tap_step("no longer of that type when the driver has ended");
	CHECK_OK(munmap(wc, bar.length));
	node_close(&shmem);
	CHECK(!memtype_is_wc(physical));
	tap_step("and uncached for the next one");
	node_reopen(&shmem);
	uc = map(&shmem, bar.length, RW, bar.offset);
	REQUIRE(uc != MAP_FAILED);
	CHECK_EQ(get32(uc + 4), 4 * 2654435761U);
	CHECK(!memtype_is_wc(physical));
	CHECK_OK(munmap(uc, bar.length));
	node_close(&shmem);
}

/* Write-combining ranges are counted, and a page that a kept program uses uncached is none. */
static void write_combining_limits(void)
{
	struct udrv_prog_op op = { .op = UDRV_PROG_READ, .bar = 2, .width = 4, .offset = 40 * PAGE };
	struct udrv_ioc_prog_set prog = NODE_ARG(prog);
	struct udrv_ioc_region_info bar;
	uint8_t *view[16], *part;
	struct node shmem;

	node_open(&shmem, "ivshmem");
	bar = node_region(&shmem, 2);
	REQUIRE(bar.length > 48 * PAGE);
	tap_step("a page that a program uses");
	prog.use = UDRV_PROG_QUIESCE;
	prog.count = 1;
	prog.ops = (uintptr_t)&op;
	REQUIRE_OK(ioctl(shmem.fd, UDRV_IOC_PROG_SET, &prog));
	refused(&shmem, 2 * PAGE, RW, MAP_SHARED, bar.offset_wc + 39 * PAGE, EBUSY);
	tap_step("sixteen ranges, and no more");
	for (unsigned int i = 0; i < 16; i++) {
		view[i] = map(&shmem, 2 * PAGE, RW, bar.offset_wc + i * 2 * PAGE);
		REQUIRE(view[i] != MAP_FAILED);
	}
	refused(&shmem, PAGE, RW, MAP_SHARED, bar.offset_wc + 32 * PAGE, ENOMEM);
	tap_step("a part of one of them is no new one");
	part = map(&shmem, PAGE, RW, bar.offset_wc + 31 * PAGE);
	REQUIRE(part != MAP_FAILED);
	*(volatile uint32_t *)part = 0x600d0031;
	CHECK_EQ(get32(view[15] + PAGE), 0x600d0031);
	for (unsigned int i = 0; i < 16; i++)
		CHECK_OK(munmap(view[i], 2 * PAGE));
	CHECK_OK(munmap(part, PAGE));
	tap_step("the next driver has all of them");
	node_close(&shmem);
	node_reopen(&shmem);
	part = map(&shmem, 48 * PAGE, RW, bar.offset_wc);
	CHECK(part != MAP_FAILED);
	CHECK_OK(munmap(part, 48 * PAGE));
	node_close(&shmem);
}

/* ---- pages that are not to be mapped ------------------------------------------------------------- */

static void msix_page(void)
{
	static const char *const kinds[] = { "e1000e", "nvme", "ivshmem" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		unsigned int cap, bir, entries;
		struct udrv_ioc_region_info bar;
		uint32_t where, entry[4], old;
		uint64_t table, page;
		struct node node;

		if (!node_find(&node, kinds[i]))
			continue;
		node_open(&node, kinds[i]);
		cap = node_capability(&node, 0x11);
		where = node_config(&node, cap + 4, 4);
		entries = (node_config(&node, cap + 2, 2) & 0x7ff) + 1;
		bir = where & 7;
		table = where & ~7U;
		page = table & ~(PAGE - 1);
		bar = node_region(&node, bir);
		tap_step("%s: not mapped", kinds[i]);
		for (int wc = 0; wc < 2; wc++) {
			uint64_t view = wc ? bar.offset_wc : bar.offset;

			if (!view)
				continue;
			refused(&node, PAGE, RW, MAP_SHARED, view + page, EINVAL);
			refused(&node, PAGE, PROT_READ, MAP_SHARED, view + page, EINVAL);
			refused(&node, bar.length, RW, MAP_SHARED, view, EINVAL);
			if (page)
				refused(&node, page + PAGE, RW, MAP_SHARED, view, EINVAL);
		}
		tap_step("%s: what is beside it is", kinds[i]);
		for (uint64_t at = 0; at < bar.length; at += PAGE) {
			void *view = map(&node, PAGE, RW, bar.offset + at);
			bool may = at < bar.nomap_offset ||
				   at >= bar.nomap_offset + bar.nomap_length;

			CHECK_EQ(view != MAP_FAILED, may);
			if (view != MAP_FAILED)
				munmap(view, PAGE);
		}
		tap_step("%s: read by pread, not written", kinds[i]);
		REQUIRE_OK(node_bus_master(&node, true));
		REQUIRE_EQ(node_irq_setup(&node, UDRV_IRQ_MSIX, 0), entries);
		for (unsigned int n = 0; n < entries; n += entries / 4) {
			uint64_t at = bar.offset + table + n * 16;

			for (unsigned int word = 0; word < 4; word++) {
				CHECK_EQ(pread(node.fd, &entry[word], 4, at + 4 * word), 4);
				old = ~entry[word];
				CHECK_ERROR(pwrite(node.fd, &old, 4, at + 4 * word), EPERM);
				CHECK_EQ(pread(node.fd, &old, 4, at + 4 * word), 4);
				CHECK_EQ(old, entry[word]);
			}
			/* An address of the interrupt controller's, or of the IOMMU's table. */
			CHECK_EQ(entry[0] & 0xfff00000, 0xfee00000);
		}
		node_close(&node);
	}
}

/* Is any of [start, end] somebody else's in /proc/iomem? Lines at every depth; bridges' windows are not. */
static bool shared_page(uint64_t start, uint64_t own_end, uint64_t end, const char *address)
{
	FILE *file = fopen("/proc/iomem", "r");
	unsigned long long from, to;
	char line[256], name[128];
	bool shared = false;

	REQUIRE(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %llx-%llx : %127[^\n]", &from, &to, name) != 3)
			continue;
		if (to < start || from > end || (from <= start && to >= end))
			continue;
		if (from == start && to == own_end)
			continue;
		shared |= strcmp(name, "udrv") && strcmp(name, address);
	}
	fclose(file);
	return shared;
}

static void small_bars(void)
{
	unsigned int found = 0;

	for (size_t i = 0; node_kinds[i]; i++) {
		struct node node;

		if (!node_find(&node, node_kinds[i]))
			continue;
		node_open(&node, node.kind);
		for (unsigned int index = 0; index < 6; index++) {
			struct udrv_ioc_region_info bar = node_region(&node, index);
			uint64_t start, end;
			uint32_t value, mapped;
			void *view;

			if (!bar.length || bar.length >= PAGE ||
			    bar.region_flags & UDRV_REGION_PORT)
				continue;
			found++;
			start = node_config(&node, 0x10 + 4 * index, 4) & ~15U;
			end = (start | (PAGE - 1));
			tap_step("%s: BAR %u of %llu bytes", node.kind, index,
				 (unsigned long long)bar.length);
			CHECK_EQ(pread(node.fd, &value, 4, bar.offset), 4);
			view = map(&node, PAGE, RW, bar.offset);
			CHECK_EQ(view != MAP_FAILED, !!(bar.region_flags & UDRV_REGION_MMAP));
			if (view == MAP_FAILED)
				continue;
			CHECK_EQ(start % PAGE, 0);
			CHECK(!shared_page(start, start + bar.length - 1, end, node.address));
			mapped = get32(view);
			CHECK_EQ(mapped, value);
			CHECK_OK(munmap(view, PAGE));
			refused(&node, 2 * PAGE, RW, MAP_SHARED, bar.offset, EINVAL);
		}
		node_close(&node);
	}
	if (!found)
		tap_skip("no BAR shorter than a page in this machine");
}

/*
 * Firmware gives each BAR a page of its own; Linux, which places what is plugged in later, does not. Two devices in one
 * page: neither may be mapped, and each is reached. Alone there, it may.
 */
static void two_in_one_page(void)
{
	static const char *const kinds[] = { "small0", "small1" };
	struct udrv_ioc_region_info bars[2];
	struct node nodes[2], hot;
	uint64_t starts[2];
	uint32_t value;
	char path[128];
	void *view;
	int first;

	node_get(&hot, "hot");
	node_plug_small();
	/* Both are bound before one is open: a driver that looks at its neighbour would take it from us (trust.c). */
	for (int i = 0; i < 2; i++) {
		node_get(&nodes[i], kinds[i]);
		node_bind(&nodes[i]);
	}
	for (int i = 0; i < 2; i++) {
		node_reopen(&nodes[i]);
		bars[i] = node_region(&nodes[i], 0);
		starts[i] = node_config(&nodes[i], 0x10, 4) & ~15U;
	}
	tap_step("%llu bytes at %#llx and %#llx: not mapped", (unsigned long long)bars[0].length,
		 (unsigned long long)starts[0], (unsigned long long)starts[1]);
	REQUIRE_EQ(starts[0] / PAGE, starts[1] / PAGE);
	for (int i = 0; i < 2; i++) {
		CHECK(!(bars[i].region_flags & UDRV_REGION_MMAP));
		refused(&nodes[i], PAGE, RW, MAP_SHARED, bars[i].offset, EINVAL);
	}
	tap_step("each by pread and pwrite");
	for (uint32_t i = 0; i < 2; i++) {
		value = 5 + i; /* ivshmem's mask of interrupts */
		CHECK_EQ(pwrite(nodes[i].fd, &value, 4, bars[i].offset), 4);
	}
	for (uint32_t i = 0; i < 2; i++) {
		CHECK_EQ(pread(nodes[i].fd, &value, 4, bars[i].offset), 4);
		CHECK_EQ(value, 5 + i);
		CHECK_ERROR(pread(nodes[i].fd, &value, 4, bars[i].offset + bars[i].length), EINVAL);
		node_close(&nodes[i]);
	}
	tap_step("the first one alone in the page: mapped");
	first = starts[1] < starts[0];
	REQUIRE_EQ(starts[first] % PAGE, 0);
	snprintf(path, sizeof(path), "%s/remove", nodes[!first].sysfs);
	REQUIRE_OK(os_write(path, "1"));
	node_unbind(&nodes[first]);
	node_open(&nodes[first], kinds[first]);
	value = 7; /* it was reset, now that it can be */
	CHECK_EQ(pwrite(nodes[first].fd, &value, 4, bars[first].offset), 4);
	view = map(&nodes[first], PAGE, RW, bars[first].offset);
	REQUIRE(view != MAP_FAILED);
	CHECK_EQ(get32(view), 7);
	CHECK_OK(munmap(view, PAGE));
	node_close(&nodes[first]);
	node_pull_small();
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(map_whole_and_parts),
		TAP_TEST(bad_maps),
		TAP_TEST(split_and_moved),
		TAP_TEST(one_memory_type),
		TAP_TEST(not_for_children),
		TAP_TEST(write_combining),
		TAP_TEST(write_combining_limits),
		TAP_TEST(msix_page),
		TAP_TEST(small_bars),
		TAP_TEST(two_in_one_page),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
