// SPDX-License-Identifier: MIT
/*
 * bench_dma.c - letting the device at the process's memory, and taking it away again
 *
 *   bench_dma [--no-vfio] [--quick]  on the lab's two edu devices (vm --devices edu)
 *
 * UDRV_IOC_DMA_MAP and DMA_UNMAP against VFIO_IOMMU_MAP_DMA and UNMAP_DMA, on the same memory: one
 * page, 1,024 pages no two of which lie side by side, and 64 MiB of hugepages. What the memory
 * looks like is checked, in /proc/self/pagemap.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <udrv/udrv.h>
#include <unistd.h>

#include "bench.h"
#include "device.h"

#define ADDRESS_UDRV "00:02.0"
#define ADDRESS_OTHER "00:03.0"

#define PAGE 4096UL
#define SCATTERED_PAGES 1024UL
#define HUGE_PAGE (2UL << 20)
#define HUGE_BYTES (64UL << 20)
#define HUGE_PAGES (HUGE_BYTES / PAGE)

struct mapping {
	int fd;
	void *address;
	size_t bytes;
	struct udrv_dma_segment *segments; /* room for one for each page */
};

static void run_udrv(void *arg, unsigned long n)
{
	const struct mapping *mapping = arg;

	while (n--) {
		struct udrv_ioc_dma_map map = {
			.size = sizeof(map),
			.user_addr = (uintptr_t)mapping->address,
			.length = mapping->bytes,
			.segments = (uintptr_t)mapping->segments,
			.segment_count = mapping->bytes / PAGE,
			.direction = UDRV_DMA_BIDIRECTIONAL,
		};
		struct udrv_ioc_dma_handle unmap = { .size = sizeof(unmap) };

		REQUIRE(!ioctl(mapping->fd, UDRV_IOC_DMA_MAP, &map));
		unmap.handle = map.handle;
		REQUIRE(!ioctl(mapping->fd, UDRV_IOC_DMA_UNMAP, &unmap));
	}
}

static void run_vfio(void *arg, unsigned long n)
{
	const struct mapping *mapping = arg;

	while (n--) {
		struct vfio_iommu_type1_dma_map map = {
			.argsz = sizeof(map),
			.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
			.vaddr = (uintptr_t)mapping->address,
			.iova = 0x10000000,
			.size = mapping->bytes,
		};
		struct vfio_iommu_type1_dma_unmap unmap = {
			.argsz = sizeof(unmap),
			.iova = map.iova,
			.size = mapping->bytes,
		};

		REQUIRE(!ioctl(mapping->fd, VFIO_IOMMU_MAP_DMA, &map));
		REQUIRE(!ioctl(mapping->fd, VFIO_IOMMU_UNMAP_DMA, &unmap));
		REQUIRE(unmap.size == mapping->bytes);
	}
}

/* ---- memory ---- */

static uint64_t frame(const char *address)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	REQUIRE(fd >= 0);
	REQUIRE(pread(fd, &entry, sizeof(entry), (uintptr_t)address / PAGE * sizeof(entry)) ==
		sizeof(entry));
	close(fd);
	REQUIRE(entry >> 63);
	return entry & ((1ULL << 55) - 1);
}

/*
 * Pages come from the allocator side by side. Touch them such that no two neighbours are touched
 * one after the other: in the order of their numbers' bits reversed.
 */
static char *memory_touched(void)
{
	char *memory = mmap(NULL, SCATTERED_PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long i, bit, page;

	REQUIRE(memory != MAP_FAILED);
	REQUIRE(!madvise(memory, SCATTERED_PAGES * PAGE, MADV_NOHUGEPAGE));
	for (i = 0; i < SCATTERED_PAGES; i++) {
		for (page = 0, bit = 1; bit < SCATTERED_PAGES; bit <<= 1)
			page = page << 1 | !!(i & bit);
		memory[page * PAGE] = 1;
	}
	return memory;
}

/* What failed stays mapped: the next one has other pages. */
static char *memory_scattered(void)
{
	for (unsigned int try = 0; try < 16; try++) {
		char *memory = memory_touched();
		unsigned long i;

		for (i = 1; i < SCATTERED_PAGES; i++)
			if (frame(memory + i * PAGE) == frame(memory + (i - 1) * PAGE) + 1)
				break;
		if (i == SCATTERED_PAGES)
			return memory;
	}
	die("no memory whose neighbouring pages do not lie side by side");
	return NULL;
}

static void *memory_huge(void)
{
	unsigned long page;
	char *memory;
	FILE *file = fopen("/proc/sys/vm/nr_hugepages", "w");

	REQUIRE(file);
	REQUIRE(fprintf(file, "%lu", HUGE_BYTES / HUGE_PAGE) > 0);
	REQUIRE(!fclose(file));
	memory = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	REQUIRE(memory != MAP_FAILED);
	for (page = 0; page < HUGE_BYTES / HUGE_PAGE; page++)
		memory[page * HUGE_PAGE] = 1;
	return memory;
}

/* ---- the sides ---- */

#define UDRV_COPIED (2 * (4 + sizeof(struct udrv_ioc_dma_map)) - 4 + sizeof(struct udrv_dma_segment) + \
		     4 + sizeof(struct udrv_ioc_dma_handle))
#define VFIO_COPIED (sizeof(struct vfio_iommu_type1_dma_map) + \
		     2 * sizeof(struct vfio_iommu_type1_dma_unmap))

static void bench_memory(const char *figure, const struct device *ours, const struct device *vfio,
			 void *address, size_t pages)
{
	struct udrv_dma_segment *segments = calloc(pages, sizeof(*segments));
	struct mapping by_udrv = { ours->fd, address, pages * PAGE, segments };
	struct mapping by_vfio = { vfio ? vfio->container_fd : -1, address, pages * PAGE, NULL };
	const struct bench_side sides[] = {
		{ .name = "udrv", .run = run_udrv, .arg = &by_udrv, .parts = pages,
		  .copied_bytes = UDRV_COPIED },
		{ .name = "vfio", .run = run_vfio, .arg = &by_vfio, .parts = pages,
		  .copied_bytes = VFIO_COPIED },
	};

	REQUIRE(segments);
	memset(segments, 0, pages * sizeof(*segments));
	bench_figure(figure, sides, vfio ? 2 : 1);
	free(segments);
}

int main(int argc, char **argv)
{
	bool with_vfio = argc < 2 || strcmp(argv[1], "--no-vfio");
	/* A lazy IOMMU gives addresses back later; below 4 GiB the large mappings would run out. */
	struct udrv_ioc_dma_mask mask = { .size = sizeof(mask), .bits = 64 };
	struct device ours, vfio;
	char *memory;

	bench_init(argc - !with_vfio, argv + !with_vfio);
	device_open_udrv(&ours, ADDRESS_UDRV);
	REQUIRE(!ioctl(ours.fd, UDRV_IOC_DMA_MASK, &mask));
	if (with_vfio)
		device_open_vfio(&vfio, ADDRESS_OTHER);

	memory = memory_scattered();
	bench_memory("dma-1", &ours, with_vfio ? &vfio : NULL, memory, 1);
	bench_memory("dma-1024", &ours, with_vfio ? &vfio : NULL, memory, SCATTERED_PAGES);
	bench_memory("dma-huge", &ours, with_vfio ? &vfio : NULL, memory_huge(), HUGE_PAGES);

	device_close(&ours);
	if (with_vfio)
		device_close(&vfio);
	return bench_done();
}
