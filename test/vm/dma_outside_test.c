// SPDX-License-Identifier: MIT
/*
 * dma_outside_test.c - behind an IOMMU a device reaches what was mapped for it, and nothing else
 *
 * edu is told to write to and to read from addresses that its driver was never given, or has no
 * more: a page of this process by its physical address, a page that was unmapped, a buffer that was
 * freed, the page after a mapping. The IOMMU stops each, and says so in the kernel's log; memory is
 * unharmed, what the device was after does not reach it, and it goes on working. Whoever runs this
 * must expect the log's lines: --allow='DMAR: (DRHD: handling fault|\[DMA (Read|Write).* device
 * \[.*00:02.0\])'.
 *
 * The hard part is a lazy domain: there an unmapped page stays in reach until the IOTLB is flushed,
 * by design (the kernel flushes before a page goes to somebody else only in a strict one). So what
 * was mapped once is looked at in a strict domain only.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)
#define LENGTH 2000U
#define OURS 0x33
#define DEVICE 0x44
#define NOTHING 0x55

static struct node edu;
static struct udrv_ioc_dma_alloc buffer; /* that the device does reach */
static uint8_t *view;
static int log_fd;

static void begin(void)
{
	node_open_mapped(&edu, "edu");
	if (!(node_info(&edu).state & UDRV_DEVICE_IOMMU))
		tap_skip("no IOMMU translates");
	REQUIRE_OK(node_bus_master(&edu, true));
	REQUIRE_OK(node_dma_alloc(&edu, PAGE, &buffer));
	view = mmap(NULL, PAGE, RW, MAP_SHARED, edu.fd, buffer.offset);
	REQUIRE(view != MAP_FAILED);
	REQUIRE_OK(log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	REQUIRE_OK(lseek(log_fd, 0, SEEK_END));
}

static void need_strict(void)
{
	char path[128], type[32];

	node_get(&edu, "edu");
	snprintf(path, sizeof(path), "%s/iommu_group/type", edu.sysfs);
	if (os_read(path, type, sizeof(type)) || strcmp(type, "DMA"))
		tap_skip("the IOMMU is not strict");
}

/* Does the log say, from here on, that the IOMMU stopped an access to this page? */
static bool stopped(uint64_t address, bool write)
{
	char record[1024], wanted[64], from[32];
	bool said = false;
	ssize_t length;

	snprintf(wanted, sizeof(wanted), "fault addr 0x%llx ",
		 (unsigned long long)(address & ~(PAGE - 1)));
	snprintf(from, sizeof(from), "%.7s]", edu.address + 5); /* newer kernels: with its domain */
	while ((length = read(log_fd, record, sizeof(record) - 1)) > 0) {
		record[length] = 0;
		said |= strstr(record, write ? "[DMA Write" : "[DMA Read") &&
			strstr(record, "device [") && strstr(record, from) &&
			strstr(record, wanted);
	}
	REQUIRE_EQ(errno, EAGAIN);
	return said;
}

/*
 * The device is told to, until the log says that it was stopped: the kernel prints so many of these
 * lines in five seconds, and no more.
 */
static void access_is_stopped(uint64_t address, bool write)
{
	uint64_t end = os_now_ns() + 20000000000ULL;
	bool said;

	do {
		edu_dma(&edu, write, address, 0, LENGTH);
		said = OS_WAIT_FOR(stopped(address, write), 200);
	} while (!said && os_now_ns() < end);
	CHECK(said);
}

/* What the device's own buffer holds, by way of memory that it reaches. */
static void check_device_holds(uint8_t byte)
{
	memset(view, NOTHING, PAGE);
	edu_dma(&edu, true, buffer.iova, 0, LENGTH);
	CHECK_EQ(view[0], byte);
	CHECK_EQ(view[LENGTH - 1], byte);
	CHECK_EQ(view[LENGTH], NOTHING);
}

static void device_gets(uint8_t byte)
{
	memset(view, byte, PAGE);
	edu_dma(&edu, false, buffer.iova, 0, LENGTH);
}

/* The device is told to write to @address, then to read from it. @memory is what it would reach. */
static void try_both(uint64_t address, const uint8_t *memory)
{
	device_gets(DEVICE);
	access_is_stopped(address, true);
	for (unsigned int i = 0; i < LENGTH; i++)
		if (memory[i] != OURS) {
			CHECK_EQ(memory[i], OURS);
			break;
		}
	access_is_stopped(address, false);
	memset(view, NOTHING, PAGE);
	edu_dma(&edu, true, buffer.iova, 0, LENGTH);
	for (unsigned int i = 0; i < LENGTH; i++)
		if (view[i] == OURS) {
			CHECK_NE(view[i], OURS);
			break;
		}
	/* And it goes on. */
	device_gets(0x66);
	check_device_holds(0x66);
}

static uint8_t *page_of_ours(void)
{
	uint8_t *memory = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);

	REQUIRE(memory != MAP_FAILED);
	memset(memory, OURS, PAGE);
	return memory;
}

/* As a driver would that takes physical addresses from /proc/self/pagemap. */
static void physical_address(void)
{
	uint8_t *memory = page_of_ours();
	uint64_t frame;

	begin();
	os_frames(memory, 1, &frame);
	REQUIRE(frame && frame < 1 << 20);
	tap_step("a page of memory by its physical address");
	try_both(frame * PAGE, memory);
	node_close(&edu);
}

static void beyond_a_mapping(void)
{
	uint8_t *memory = page_of_ours();
	struct udrv_dma_segment segment;
	uint32_t count = 1, handle;

	begin();
	REQUIRE_OK(node_dma_map(&edu, memory, PAGE, UDRV_DMA_TO_DEVICE, &segment, &count, &handle));
	tap_step("a page that was mapped for reading is not written to");
	device_gets(DEVICE);
	access_is_stopped(segment.iova, true);
	CHECK_OK(node_dma_unmap(&edu, handle));
	CHECK_EQ(memory[0], OURS);
	CHECK_EQ(memory[LENGTH - 1], OURS);
	tap_step("the first page of all is nobody's");
	try_both(0, memory);
	node_close(&edu);
}

static void after_unmap(void)
{
	uint8_t *memory = page_of_ours();
	struct udrv_dma_segment segment;
	uint32_t count = 1, handle;

	need_strict();
	begin();
	REQUIRE_OK(node_dma_map(&edu, memory, PAGE, UDRV_DMA_BIDIRECTIONAL, &segment, &count,
				&handle));
	tap_step("mapped, the device reaches it");
	edu_dma(&edu, false, segment.iova, 0, LENGTH);
	check_device_holds(OURS);
	memset(memory, NOTHING, PAGE);
	REQUIRE_OK(node_dma_sync(&edu, handle, UDRV_DMA_SYNC_FOR_DEVICE, 0, PAGE));
	edu_dma(&edu, true, segment.iova, 0, LENGTH); /* both ways are in the IOTLB now */
	tap_step("unmapped, it does not");
	CHECK_OK(node_dma_unmap(&edu, handle));
	CHECK_EQ(memory[0], OURS);
	CHECK_EQ(memory[LENGTH], NOTHING);
	memset(memory, OURS, PAGE);
	try_both(segment.iova, memory);
	node_close(&edu);
}

static void after_free(void)
{
	struct udrv_ioc_dma_alloc freed;
	uint8_t *memory;

	need_strict();
	begin();
	REQUIRE_OK(node_dma_alloc(&edu, PAGE, &freed));
	memory = mmap(NULL, PAGE, RW, MAP_SHARED, edu.fd, freed.offset);
	REQUIRE(memory != MAP_FAILED);
	memset(memory, OURS, PAGE);
	tap_step("a buffer that was freed, and is mapped no more");
	edu_dma(&edu, false, freed.iova, 0, LENGTH);
	check_device_holds(OURS);
	CHECK_OK(munmap(memory, PAGE));
	CHECK_OK(node_dma_free(&edu, freed.handle));
	REQUIRE(OS_WAIT_FOR(node_number(&edu, "dma_consistent") == PAGE, 30000));
	memory = page_of_ours();
	try_both(freed.iova, memory);
	node_close(&edu);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(physical_address),
		TAP_TEST(beyond_a_mapping),
		TAP_TEST(after_unmap),
		TAP_TEST(after_free),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
