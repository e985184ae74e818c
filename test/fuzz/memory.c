// SPDX-License-Identifier: MIT
/*
 * memory.c - mappings of everything that can be mapped, and memory of all sorts for calls to look
 *at
 *
 * All of it lies in one reserved range of addresses, at addresses that are chosen here: whatever is
 *unmapped, moved or mapped over is never the fuzzer's own. Nothing else maps memory while a round
 *runs.
 *
 *	regs | device | buffers | rings | memory | scratch, a page that is not there, one that is read-only
 *
 * Device memory is written to only where device.c allows for every page of it. An access may meet
 *nothing (SIGSEGV: the thread goes on), but never SIGBUS: a device that went away shows all-ones.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuzz.h"

#define MIB (1UL << 20)
#define AREA_PAGES 64U
#define AREAS 16U
#define DEVICE_BYTES (AREAS * AREA_PAGES * PAGE)
#define SLOT_BYTES (2 * MIB)
_Static_assert(DEVICE_BYTES <= NET_BYTES, "rings are an area, too");
#define SLOTS 8U
#define RESERVED (64 * MIB)

static uint8_t *regs, *device, *buffers, *nets, *memory, *scratch, *scratch_end, *read_only,
	*read_only_alias;
static int memfd;

static void *fixed(void *address, size_t length, int prot, int flags, int fd, off_t offset)
{
	return mmap(address, length, prot, flags | MAP_FIXED, fd, offset);
}

void memory_init(void)
{
	uint8_t *start =
		mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	REQUIRE(start != MAP_FAILED);
	regs = start;
	start += TENURES * PAGE + OUT_BYTES;
	device = start;
	start += DEVICE_BYTES + OUT_BYTES;
	buffers = start;
	start += DEVICE_BYTES + OUT_BYTES;
	nets = start;
	start += NETS * NET_BYTES + OUT_BYTES;
	memory = (uint8_t *)(((uintptr_t)start + SLOT_BYTES - 1) & ~(SLOT_BYTES - 1));
	start = memory + SLOTS * SLOT_BYTES + OUT_BYTES;
	REQUIRE(fixed(memory, SLOTS * SLOT_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == memory);
	scratch = start;
	scratch_end = scratch + OUT_BYTES + PAGE;
	read_only = scratch_end + OUT_BYTES;
	read_only_alias = read_only + 2 * PAGE;
	REQUIRE(fixed(scratch, OUT_BYTES + PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == scratch);
	REQUIRE_OK(memfd = memfd_create("fuzz", MFD_CLOEXEC));
	REQUIRE_OK(ftruncate(memfd, SLOT_BYTES));
	REQUIRE(fixed(read_only, PAGE, PROT_READ, MAP_SHARED, memfd, 0) == read_only);
	REQUIRE(fixed(read_only_alias, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0) ==
		read_only_alias);
}

void thread_init(struct thread *thread)
{
	uint8_t *p = mmap(NULL, ARG_ROOM + PAGE + OUT_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	REQUIRE_OK(mprotect(p + ARG_ROOM, PAGE, PROT_NONE));
	thread->arg = p;
	thread->arg_end = p + ARG_ROOM;
	thread->out = p + ARG_ROOM + PAGE;
	thread->ops = mmap(NULL, UDRV_PROG_MAX_OPS * sizeof(*thread->ops), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(thread->ops != MAP_FAILED);
}

void *memory_regs(unsigned int tenure)
{
	return regs + tenure * PAGE;
}

void memory_drop(void)
{
	fixed(device, DEVICE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fixed(buffers, DEVICE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

uint8_t *memory_net(unsigned int net)
{
	return nets + net * NET_BYTES;
}

void memory_net_drop(unsigned int net)
{
	fixed(memory_net(net), NET_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	      -1, 0);
}

/* ---- accesses that may fault ---- */

/* Volatile accesses of one width; false if there was nothing. */
bool guarded_access(volatile void *address, unsigned int width, uint64_t *value, bool write)
{
	volatile uint64_t got = *value;

	if (sigsetjmp(self->fault, 0)) {
		self->guarded = 0;
		return false;
	}
	self->guarded = 1;
	switch (width) {
	case 1:
		if (write)
			*(volatile uint8_t *)address = got;
		else
			got = *(volatile uint8_t *)address;
		break;
	case 2:
		if (write)
			*(volatile uint16_t *)address = got;
		else
			got = *(volatile uint16_t *)address;
		break;
	case 4:
		if (write)
			*(volatile uint32_t *)address = got;
		else
			got = *(volatile uint32_t *)address;
		break;
	default:
		if (write)
			*(volatile uint64_t *)address = got;
		else
			got = *(volatile uint64_t *)address;
	}
	self->guarded = 0;
	*value = got;
	return true;
}

bool guarded_get32(uint8_t *from, uint32_t *value)
{
	uint64_t wide = 0;

	if (!guarded_access(from, 4, &wide, false))
		return false;
	*value = (uint32_t)wide;
	return true;
}

bool guarded_put32(uint8_t *to, uint32_t value)
{
	uint64_t wide = value;

	return guarded_access(to, 4, &wide, true);
}

bool guarded_copy(void *where, const void *from, size_t bytes)
{
	/* A page that cannot be written may have a twin that can. */
	bool twin = (uint8_t *)where >= read_only && (uint8_t *)where < read_only + PAGE;
	void *volatile to = twin ? (uint8_t *)where - read_only + read_only_alias : where;

	if (sigsetjmp(self->fault, 0)) {
		self->guarded = 0;
		return false;
	}
	self->guarded = 1;
	memcpy(to, from, bytes);
	self->guarded = 0;
	return true;
}

/* ---- pointers ---- */

static void *at(struct rng *rng, uint8_t *base, size_t bytes)
{
	size_t offset = rng_next(rng) % bytes;

	return base + (one_in(rng, 3) ? offset : offset & ~(size_t)7);
}

void *bad_pointer(struct rng *rng, size_t bytes)
{
	static const uint64_t nowhere[] = { 0,
					    8,
					    4095,
					    0x7ffffffff000,
					    0x800000000000,
					    0xffff800000000000,
					    0xffff888000000000,
					    0xffffffff81000000,
					    ~0ULL,
					    ~7ULL };

	switch (below(rng, 9)) {
	case 0:
		return (void *)nowhere[below(rng, COUNT_OF(nowhere))];
	case 1:
		return read_only + below(rng, PAGE);
	case 2:
		return scratch_end + below(rng, PAGE);
	case 3: /* ends in the middle */
		return scratch_end - below(rng, bytes < OUT_BYTES ? bytes + 1 : OUT_BYTES);
	case 4: /* good, but not aligned */
		return scratch + 1 + below(rng, 7);
	case 5:
		return at(rng, buffers, DEVICE_BYTES);
	case 6: /* the beginnings of rings: whatever is written there */
		return memory_net(below(rng, NETS)) + below(rng, 8 * PAGE);
	case 7: /* registers; where the kernel may write whatever it has to tell */
		if (!round_.device->dma && round_.regions[0].region_flags & UDRV_REGION_MMAP) {
			uint64_t value = 0;

			if (round_.device->writable(rng, 0, 0, 4, &value))
				return at(rng, device, DEVICE_BYTES);
		}
		/* fall through */
	default:
		return at(rng, memory, SLOTS * SLOT_BYTES);
	}
}

/* It can be read, and a result cannot be told. */
void *read_only_pointer(struct rng *rng)
{
	return read_only + 8 * below(rng, 256);
}

void *user_pointer(size_t bytes, bool *whole)
{
	*whole = !one_in(&self->rng, 10);
	return *whole ? self->out : bad_pointer(&self->rng, bytes);
}

/* By slot: how much was given out as fresh, from its start on; SLOT_BYTES: nothing of it is. */
static _Atomic uint64_t given[SLOTS];

void *memory_for_dma(struct rng *rng, uint64_t *length, bool *fresh)
{
	uint32_t slot = below(rng, SLOTS), offset = below(rng, SLOT_BYTES), most;

	*fresh = one_in(rng, 2);
	if (*fresh) {
		most = one_in(rng, 4) ? 16 * PAGE : 2 * PAGE;
		offset = atomic_fetch_add(&given[slot], most);
		*fresh = offset <= SLOT_BYTES - most;
		offset %= SLOT_BYTES - 16 * PAGE;
	} else {
		most = SLOT_BYTES - offset;
		if (one_in(rng, 2))
			offset &= ~(PAGE - 1);
		if (!one_in(rng, 8) && most > 16 * PAGE)
			most = 16 * PAGE;
	}
	*length = 1 + below(rng, most);
	return memory + slot * SLOT_BYTES + offset;
}

/* ---- operations ---- */

static long result_of(void *address)
{
	return address == MAP_FAILED ? -errno : 0;
}

static int some_prot(struct rng *rng)
{
	static const int prots[] = {
		PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_WRITE,
		PROT_NONE, PROT_READ | PROT_EXEC
	};

	return prots[below(rng, one_in(rng, 8) ? COUNT_OF(prots) : 3)];
}

/* Of DEVICE_BYTES. */
static uint8_t *some_area(struct rng *rng)
{
	if (round_.flavour.net && one_in(rng, 6))
		return memory_net(below(rng, NETS));
	return one_in(rng, 2) ? device : buffers;
}

/* Where a mapping may begin; mostly one of a few places, so that there is something. */
static uint8_t *some_start(struct rng *rng, uint8_t *area)
{
	return area + below(rng, one_in(rng, 3) ? AREAS : 4) * AREA_PAGES * PAGE;
}

/* Some pages of an area: a mapping, a part of one, several, or nothing. */
static uint8_t *some_pages(struct rng *rng, uint8_t *area, size_t *length)
{
	unsigned int first = below(rng, AREAS * AREA_PAGES), most = AREAS * AREA_PAGES - first;

	if (one_in(rng, 2))
		first &= ~(AREA_PAGES - 1);
	*length = (1 + below(rng, most < AREA_PAGES || one_in(rng, 10) ? most : AREA_PAGES)) * PAGE;
	return area + first * PAGE;
}

static long mmap_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	bool buffer = one_in(rng, 2);
	uint8_t *area = buffer ? buffers : device;
	const struct udrv_ioc_region_info *region = &round_.regions[below(rng, UDRV_REGION_CONFIG)];
	int flags = one_in(rng, 20) ? MAP_PRIVATE : MAP_SHARED;
	uint64_t offset, most, first = 0, length;
	void *address;
	bool begun;

	(void)op;
	for (int tries = 0; tries < 6 && !(region->region_flags & UDRV_REGION_MMAP); tries++)
		region = &round_.regions[below(rng, UDRV_REGION_CONFIG)];
	if (buffer) {
		offset = memory_buffer_offset(rng, &most);
		if (offset < 1ULL << 43)
			offset = 1ULL << 43 | 1ULL << 28;
	} else {
		offset = one_in(rng, 3) ? region->offset_wc : region->offset;
		most = region->length;
	}
	most = (most + PAGE - 1) / PAGE;
	if (most > 1 && one_in(rng, 2))
		first = rng_next(rng) % most;
	most -= first;
	if (!most || one_in(rng, 12))
		most = AREA_PAGES; /* too long */
	length = (1 + below(rng, most < 4				? most
				 : one_in(rng, 4) && most >= AREA_PAGES ? AREA_PAGES
									: 4)) *
		 PAGE;
	offset += first * PAGE;
	if (one_in(rng, 8)) { /* the edges of regions, and of numbers */
		static const uint64_t odd[] = { 0,
						PAGE,
						1ULL << 39,
						7ULL << 40,
						8ULL << 40,
						1ULL << 43,
						(1ULL << 44) - PAGE,
						1ULL << 44,
						1ULL << 62,
						~0ULL & ~(PAGE - 1) };

		area = device;
		offset = one_in(rng, 2) ? odd[below(rng, COUNT_OF(odd))]
					: rng_next(rng) & ~(PAGE - 1);
	}
	flags |= one_in(rng, 6) ? MAP_POPULATE : one_in(rng, 12) ? MAP_LOCKED : 0;
	begun = fault_begin();
	address = fixed(some_start(rng, area), length, some_prot(rng), flags, any_node(), offset);
	fault_end(begun);
	return result_of(address);
}

static long munmap_run(const struct op *op)
{
	size_t length;
	uint8_t *pages = some_pages(&self->rng, some_area(&self->rng), &length);

	(void)op;
	return munmap(pages, length) ? -errno : 0;
}

static long mremap_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	uint8_t *area = some_area(rng);
	size_t from_length, to_length;
	uint8_t *from = some_pages(rng, area, &from_length),
		*to = some_pages(rng, area, &to_length);
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;

	(void)op;
	if (one_in(rng, 2))
		to_length = from_length; /* else it grows, which must fail, or shrinks */
	if (to + to_length > area + DEVICE_BYTES)
		to = area;
	if (one_in(rng, 6)) {
		flags |= MREMAP_DONTUNMAP;
		to_length = from_length;
	} else if (one_in(rng, 4)) {
		return result_of(mremap(from, from_length, to_length, 0));
	}
	return result_of(mremap(from, from_length, to_length, flags, to));
}

static long mprotect_run(const struct op *op)
{
	size_t length;
	uint8_t *pages = some_pages(&self->rng, some_area(&self->rng), &length);

	(void)op;
	return mprotect(pages, length, some_prot(&self->rng)) ? -errno : 0;
}

static long madvise_run(const struct op *op)
{
	/* None that takes memory away from the system (HWPOISON, SOFT_OFFLINE). */
	static const int advice[] = { MADV_NORMAL,
				      MADV_RANDOM,
				      MADV_SEQUENTIAL,
				      MADV_WILLNEED,
				      MADV_DONTNEED,
				      MADV_FREE,
				      MADV_REMOVE,
				      MADV_DONTFORK,
				      MADV_DOFORK,
				      MADV_MERGEABLE,
				      MADV_UNMERGEABLE,
				      MADV_HUGEPAGE,
				      MADV_NOHUGEPAGE,
				      MADV_DONTDUMP,
				      MADV_DODUMP,
				      MADV_WIPEONFORK,
				      MADV_KEEPONFORK,
				      MADV_COLD,
				      MADV_PAGEOUT,
				      22,
				      23,
				      24,
				      25 };
	size_t length;
	uint8_t *pages = some_pages(&self->rng, some_area(&self->rng), &length);

	(void)op;
	return madvise(pages, length, advice[below(&self->rng, COUNT_OF(advice))]) ? -errno : 0;
}

static long misc_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	size_t length;
	uint8_t *pages = some_pages(rng, some_area(rng), &length);
	struct iovec ours = { self->out, PAGE }, theirs = { pages, PAGE };

	(void)op;
	switch (below(rng, 6)) {
	case 0:
		return mlock(pages, length) ? -errno : 0;
	case 1:
		return munlock(pages, length) ? -errno : 0;
	case 2:
		return msync(pages, length, one_in(rng, 2) ? MS_SYNC | MS_INVALIDATE : MS_ASYNC)
			       ? -errno
			       : 0;
	case 3:
		return mincore(pages, length, self->out) ? -errno : 0;
	case 4:
		return syscall(SYS_remap_file_pages, pages, length, 0, below(rng, 64), 0) ? -errno
											  : 0;
	default:
		return process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0) < 0 ? -errno : 0;
	}
}

static long touch_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	uint8_t *area = some_area(rng), *page;
	unsigned int width = 1U << below(rng, 4), offset = below(rng, PAGE) & ~(width - 1);
	uint64_t value = rng_next(rng);
	bool write = one_in(rng, 2), there;

	(void)op;
	if (write && area == device && !round_.device->writable(rng, 0, offset, width, &value))
		write = false;
	/* Where a mapping begins it is most likely to be. */
	page = some_start(rng, area) + below(rng, one_in(rng, 4) ? AREA_PAGES : 2) * PAGE;
	self->signal = 0;
	there = guarded_access(page + offset, width, &value, write);
	atomic_fetch_add(there ? &shared->accesses : &shared->faults, 1);
	/* Rings that MADV_DONTNEED threw out of a mapping do not come back. */
	if (!there && self->signal == SIGBUS && (area == device || area == buffers))
		COMPLAIN("SIGBUS from a mapping of the node");
	return there ? 0 : -EFAULT;
}

/* Another kind of memory for DMA_MAP to find. */
static long memory_run(const struct op *op)
{
	struct rng *rng = &self->rng;
	uint8_t *slot = memory + below(rng, SLOTS) * SLOT_BYTES;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS, prot = PROT_READ | PROT_WRITE, fd = -1;
	uint64_t value = 1;
	long result;

	(void)op;
	switch (below(rng, 9)) {
	case 0:
		prot = PROT_READ;
		break;
	case 1:
		prot = PROT_NONE;
		break;
	case 2:
		flags = MAP_SHARED | MAP_ANONYMOUS;
		break;
	case 3:
		flags = MAP_SHARED;
		fd = memfd;
		atomic_store(&given[(slot - memory) / SLOT_BYTES], SLOT_BYTES);
		prot = one_in(rng, 2) ? PROT_READ : prot;
		break;
	case 4:
		flags = MAP_PRIVATE;
		fd = memfd;
		prot = one_in(rng, 2) ? PROT_READ : prot;
		break;
	case 5: /* a hole */
		return munmap(slot + below(rng, SLOT_BYTES / PAGE) * PAGE, PAGE) ? -errno : 0;
	case 6: /* in one direction only, from here on */
		return mprotect(slot + below(rng, SLOT_BYTES / PAGE) * PAGE, PAGE, PROT_READ)
			       ? -errno
			       : 0;
	}
	result = result_of(fixed(slot, SLOT_BYTES, prot, flags, fd, 0));
	if (!result && one_in(rng, 3))
		madvise(slot, SLOT_BYTES, MADV_HUGEPAGE);
	if (!result && prot & PROT_WRITE)
		for (unsigned int i = 0; i < 8; i++)
			guarded_access(slot + below(rng, 64) * PAGE, 8, &value, true);
	return result;
}

const struct op memory_ops[] = {
	{ .name = "mmap", .weight = 22, .run = mmap_run },
	{ .name = "munmap", .weight = 5, .run = munmap_run },
	{ .name = "mremap", .weight = 6, .run = mremap_run },
	{ .name = "mprotect", .weight = 6, .run = mprotect_run },
	{ .name = "madvise", .weight = 6, .run = madvise_run },
	{ .name = "mlock...", .weight = 5, .run = misc_run },
	{ .name = "touch", .weight = 40, .run = touch_run },
	{ .name = "memory", .weight = 10, .run = memory_run },
};
const size_t memory_op_count = COUNT_OF(memory_ops);
