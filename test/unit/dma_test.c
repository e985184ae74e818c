// SPDX-License-Identifier: MIT
/* dma_test.c - buffers and mappings, by libudrv.h and by usr_pci.h; nothing leaks when half of it
 * fails */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "fake.h"

static void buffer(void **state)
{
	struct udrv *device = fake_open();
	struct udrv_dma buffer = { 0 };

	(void)state;
	assert_int_equal(udrv_dma_alloc(device, 100, &buffer), 0);
	assert_int_equal(fake.argument.alloc.length, 100);
	assert_int_equal(fake.length, 4096);
	assert_int_equal(fake.offset, INT64_C(1) << 43);
	assert_int_equal(fake.flags, MAP_SHARED);
	assert_int_equal(buffer.length, 4096);
	assert_int_equal(buffer.iova, 0x12340000);
	assert_int_equal(buffer.handle, 7);
	assert_non_null(buffer.addr);
	assert_int_equal(udrv_dma_free(device, &buffer), 0);
	assert_int_equal(fake.request, UDRV_IOC_DMA_FREE);
	assert_int_equal(fake.argument.handle.handle, 7);
	assert_int_equal(fake.argument.handle.reserved, 0);
	assert_int_equal(fake.count[FAKE_MUNMAP], 1);
	assert_null(buffer.addr);
	assert_int_equal(buffer.handle, 0);
	/* and again: nothing */
	fake.request = 0;
	assert_int_equal(udrv_dma_free(device, &buffer), 0);
	assert_int_equal(fake.request, 0);
	assert_int_equal(fake.count[FAKE_MUNMAP], 1);
	udrv_close(device);
}

static void buffer_that_cannot_be_mapped(void **state)
{
	const struct udrv_dma before = { .length = 3 };
	struct udrv *device = fake_open();
	struct udrv_dma buffer = before;

	(void)state;
	fake_fail(FAKE_IOCTL, ENOMEM, 0, 1);
	assert_int_equal(udrv_dma_alloc(device, 4096, &buffer), -ENOMEM);
	assert_int_equal(fake.count[FAKE_MMAP], 0);
	fake_fail(FAKE_MMAP, EAGAIN, 0, 1);
	assert_int_equal(udrv_dma_alloc(device, 4096, &buffer), -EAGAIN);
	assert_int_equal(fake.request, UDRV_IOC_DMA_FREE);
	assert_int_equal(fake.argument.handle.handle, 7);
	assert_memory_equal(&buffer, &before, sizeof(buffer));
	udrv_close(device);
}

static void buffer_that_cannot_be_freed(void **state)
{
	struct udrv *device = fake_open();
	struct udrv_dma buffer = { 0 };

	(void)state;
	assert_int_equal(udrv_dma_alloc(device, 4096, &buffer), 0);
	/* not unmapped: nothing has changed */
	fake_fail(FAKE_MUNMAP, EINVAL, 0, 1);
	fake.request = 0;
	assert_int_equal(udrv_dma_free(device, &buffer), -EINVAL);
	assert_int_equal(buffer.handle, 7);
	assert_int_equal(fake.request, 0);
	/* unmapped, and the device gone: there is nothing left to free */
	fake_fail(FAKE_IOCTL, ENODEV, 0, 1);
	assert_int_equal(udrv_dma_free(device, &buffer), -ENODEV);
	assert_int_equal(buffer.handle, 0);
	assert_null(buffer.addr);
	udrv_close(device);
}

static void mapping(void **state)
{
	struct udrv *device = fake_open();
	struct udrv_dma_segment segments[4] = { 0 };
	unsigned int count = 4;
	uint32_t handle = 0;
	char memory[100];

	(void)state;
	fake.segments = 3;
	assert_int_equal(udrv_dma_map(device, memory, sizeof(memory), UDRV_DMA_TO_DEVICE, segments,
				      &count, &handle),
			 0);
	assert_int_equal(fake.argument.map.user_addr, (uintptr_t)memory);
	assert_int_equal(fake.argument.map.length, sizeof(memory));
	assert_int_equal(fake.argument.map.direction, UDRV_DMA_TO_DEVICE);
	assert_int_equal(fake.argument.map.segment_count, 4);
	assert_int_equal(count, 3);
	assert_int_equal(handle, 9);
	assert_int_equal(segments[2].iova, 0x14000);
	assert_int_equal(segments[3].length, 0);
	assert_int_equal(udrv_dma_sync_for_cpu(device, handle, 8, 16), 0);
	assert_int_equal(fake.request, UDRV_IOC_DMA_SYNC);
	assert_int_equal(fake.argument.sync.to, UDRV_DMA_SYNC_FOR_CPU);
	assert_int_equal(fake.argument.sync.offset, 8);
	assert_int_equal(fake.argument.sync.length, 16);
	assert_int_equal(fake.argument.sync.handle, 9);
	assert_int_equal(udrv_dma_sync_for_device(device, handle, 0, 1), 0);
	assert_int_equal(fake.argument.sync.to, UDRV_DMA_SYNC_FOR_DEVICE);
	assert_int_equal(udrv_dma_unmap(device, handle), 0);
	assert_int_equal(fake.request, UDRV_IOC_DMA_UNMAP);
	assert_int_equal(fake.argument.handle.handle, 9);
	assert_int_equal(udrv_dma_set_mask(device, 40), 0);
	assert_int_equal(fake.request, UDRV_IOC_DMA_MASK);
	assert_int_equal(fake.argument.mask.bits, 40);
	udrv_close(device);
}

static void mapping_refused(void **state)
{
	struct udrv *device = fake_open();
	struct udrv_dma_segment segments[2];
	unsigned int count = 2;
	uint32_t handle = 77;
	char memory[100];

	(void)state;
	fake.segments = 5;
	assert_int_equal(udrv_dma_map(device, memory, sizeof(memory), 1, segments, &count, &handle),
			 -ENOSPC);
	assert_int_equal(count, 5);
	assert_int_equal(handle, 77);
	count = 2;
	fake_fail(FAKE_IOCTL, EFAULT, 0, 1);
	assert_int_equal(udrv_dma_map(device, memory, sizeof(memory), 1, segments, &count, &handle),
			 -EFAULT);
	assert_int_equal(count, 2);
	assert_int_equal(handle, 77);
	fake_fail(FAKE_IOCTL, ENOENT, 0, 1);
	assert_int_equal(udrv_dma_unmap(device, 5), -ENOENT);
	udrv_close(device);
}

/* ---- usr_pci.h ---- */

static void usr_open(void **state)
{
	(void)state;
	assert_int_equal(usr_pci_open(0, 4, 0), FAKE_FD);
	assert_string_equal(fake.path, "/dev/udrv/pci-00:04.0");
	assert_int_equal(usr_pci_open(255, 31, 7), FAKE_FD);
	assert_string_equal(fake.path, "/dev/udrv/pci-ff:1f.7");
	fake.count[FAKE_OPEN] = 0;
	errno = 0;
	assert_int_equal(usr_pci_open(256, 0, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(usr_pci_open(0, 32, 0), -1);
	assert_int_equal(usr_pci_open(0, 0, 8), -1);
	assert_int_equal(usr_pci_open(-1, 0, 0), -1);
	assert_int_equal(fake.count[FAKE_OPEN], 0);
	fake_fail(FAKE_OPEN, EBUSY, 0, 1);
	errno = 0;
	assert_int_equal(usr_pci_open(0, 4, 0), -1);
	assert_int_equal(errno, EBUSY);
	/* No call but open(): a descriptor is all there is. */
	assert_int_equal(fake.count[FAKE_IOCTL], 0);
}

static void usr_consistent(void **state)
{
	struct mapping_info info = { .size = 5000 };

	(void)state;
	assert_int_equal(usr_pci_map(FAKE_FD, USR_ALLOC_CONSISTENT, &info), 0);
	assert_int_equal(info.size, 8192);
	assert_int_equal(info.dma_addr, 0x12340000);
	assert_int_equal(info.handle, 7);
	assert_non_null(info.virtaddr);
	assert_int_equal(usr_pci_map(FAKE_FD, USR_FREE_CONSISTENT, &info), 0);
	assert_int_equal(fake.request, UDRV_IOC_DMA_FREE);
	assert_ptr_equal(fake.unmapped, info.virtaddr);
	assert_int_equal(fake.length, 8192);

	fake_fail(FAKE_MMAP, ENOMEM, 0, 1);
	errno = 0;
	assert_int_equal(usr_pci_map(FAKE_FD, USR_ALLOC_CONSISTENT, &info), -1);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(fake.request, UDRV_IOC_DMA_FREE);
}

static void usr_streaming(void **state)
{
	struct mapping_segment list[3];
	char memory[64];
	struct mapping_info info = {
		.virtaddr = memory,
		.size = sizeof(memory),
		.direction = USR_DMA_FROMDEVICE,
		.nents = 3,
		.sglist = list,
	};

	(void)state;
	fake.segments = 2;
	assert_int_equal(usr_pci_map(FAKE_FD, USR_MAP, &info), 0);
	assert_int_equal(fake.argument.map.direction, UDRV_DMA_FROM_DEVICE);
	assert_int_equal(info.nents, 2);
	assert_int_equal(info.dma_addr, 0x10000);
	assert_int_equal(list[1].dma_addr, 0x12000);
	assert_int_equal(list[1].size, 0x1000);
	assert_int_equal(info.handle, 9);
	assert_int_equal(usr_pci_map(FAKE_FD, USR_UNMAP, &info), 0);
	assert_int_equal(fake.request, UDRV_IOC_DMA_UNMAP);
	assert_int_equal(fake.argument.handle.handle, 9);

	fake.segments = 4;
	info.nents = 3;
	errno = 0;
	assert_int_equal(usr_pci_map(FAKE_FD, USR_MAP, &info), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(info.nents, 4);
}

static void usr_refused(void **state)
{
	struct mapping_info info = { 0 };

	(void)state;
	errno = 0;
	assert_int_equal(usr_pci_map(FAKE_FD, 0, &info), -1);
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_int_equal(usr_pci_map(FAKE_FD, 5, &info), -1);
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_int_equal(usr_pci_map(FAKE_FD, USR_MAP, NULL), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(fake.count[FAKE_IOCTL], 0);
	fake_fail(FAKE_IOCTL, ENOENT, 0, 1);
	errno = 0;
	assert_int_equal(usr_pci_map(FAKE_FD, USR_UNMAP, &info), -1);
	assert_int_equal(errno, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(buffer),
		TEST(buffer_that_cannot_be_mapped),
		TEST(buffer_that_cannot_be_freed),
		TEST(mapping),
		TEST(mapping_refused),
		TEST(usr_open),
		TEST(usr_consistent),
		TEST(usr_streaming),
		TEST(usr_refused),
	};

	return RUN(tests);
}
