// SPDX-License-Identifier: MIT
/*
 * bar.c - registers: mapped, or one at a time by system call
 *
 * Owns the arithmetic between a BAR and the descriptor's file offsets. Does not own the accessors
 * of mapped registers, which are inline in libudrv.h.
 *
 * The hard part: all regions lie in one file, so an offset past the end of a BAR would be another
 * region's register. Every range is checked against the BAR by subtraction, which cannot wrap,
 * before it becomes a file offset.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

_Static_assert(sizeof(off_t) == 8, "file offsets reach 2^44: compile with _FILE_OFFSET_BITS=64");

const struct udrv_ioc_region_info *udrv_region(const struct udrv *device, unsigned int index)
{
	if (index >= UDRV_REGION_COUNT || index >= device->info.region_count)
		return NULL;
	return &device->region[index];
}

/* The BAR, if the device has it. */
static const struct udrv_ioc_region_info *find_bar(const struct udrv *device, unsigned int bar)
{
	const struct udrv_ioc_region_info *region;

	if (bar > UDRV_REGION_BAR5)
		return NULL;
	region = udrv_region(device, bar);
	return region && region->length ? region : NULL;
}

int udrv_bar_map(struct udrv *device, unsigned int bar, uint64_t offset, size_t length,
		 unsigned int flags, void **registers, size_t *mapped)
{
	const struct udrv_ioc_region_info *region = find_bar(device, bar);
	uint64_t base, end, nomap_end;
	void *addr;

	if (!region || !registers || flags & ~UDRV_BAR_WC || offset >= region->length ||
	    offset % (uint64_t)sysconf(_SC_PAGESIZE))
		return -EINVAL;
	base = flags & UDRV_BAR_WC ? region->offset_wc : region->offset;
	if (!(region->region_flags & UDRV_REGION_MMAP) || !base)
		return -EOPNOTSUPP;

	end = region->length;
	if (region->nomap_length) {
		nomap_end = region->nomap_offset + region->nomap_length;
		if (offset < region->nomap_offset)
			end = region->nomap_offset;
		else if (offset < nomap_end)
			return -EINVAL;
	}
	/* The excluded range is in whole pages and may reach past the end of a short BAR. */
	if (end > region->length)
		end = region->length;
	if (length > end - offset)
		return -EINVAL;
	if (!length) {
		if (end - offset > SIZE_MAX)
			return -ENOMEM;
		length = (size_t)(end - offset);
	}

	addr = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, device->fd,
		    (off_t)(base + offset));
	if (addr == MAP_FAILED)
		return -errno;
	*registers = addr;
	if (mapped)
		*mapped = length;
	return 0;
}

int udrv_bar_unmap(struct udrv *device, void *registers, size_t mapped)
{
	(void)device;
	return munmap(registers, mapped) ? -errno : 0;
}

/* The file offset of a register, or -errno. */
static int64_t locate(const struct udrv *device, unsigned int bar, uint64_t offset,
		      unsigned int width)
{
	const struct udrv_ioc_region_info *region = find_bar(device, bar);

	if (!region || (width != 1 && width != 2 && width != 4 && width != 8))
		return -EINVAL;
	if (width == 8 && region->region_flags & UDRV_REGION_PORT)
		return -EINVAL;
	if (offset % width || width > region->length || offset > region->length - width)
		return -EINVAL;
	return (int64_t)(region->offset + offset);
}

int udrv_bar_read(struct udrv *device, unsigned int bar, uint64_t offset, unsigned int width,
		  uint64_t *value)
{
	int64_t at = locate(device, bar, offset, width);

	return at < 0 ? (int)at : udrv_register_read(device->fd, (uint64_t)at, width, value);
}

int udrv_bar_write(struct udrv *device, unsigned int bar, uint64_t offset, unsigned int width,
		   uint64_t value)
{
	int64_t at = locate(device, bar, offset, width);

	return at < 0 ? (int)at : udrv_register_write(device->fd, (uint64_t)at, width, value);
}

/* A register as the descriptor passes it: so many bytes, in the CPU's order. */
union word {
	uint8_t of_1;
	uint16_t of_2;
	uint32_t of_4;
	uint64_t of_8;
};

int udrv_register_read(int fd, uint64_t offset, unsigned int width, uint64_t *value)
{
	union word word;
	ssize_t done;

	do
		done = pread(fd, &word, width, (off_t)offset);
	while (done < 0 && errno == EINTR);
	if (done < 0)
		return -errno;
	if ((size_t)done != width)
		return -EIO;
	switch (width) {
	case 1:
		*value = word.of_1;
		break;
	case 2:
		*value = word.of_2;
		break;
	case 4:
		*value = word.of_4;
		break;
	default:
		*value = word.of_8;
		break;
	}
	return 0;
}

int udrv_register_write(int fd, uint64_t offset, unsigned int width, uint64_t value)
{
	union word word;
	ssize_t done;

	switch (width) {
	case 1:
		word.of_1 = (uint8_t)value;
		break;
	case 2:
		word.of_2 = (uint16_t)value;
		break;
	case 4:
		word.of_4 = (uint32_t)value;
		break;
	default:
		word.of_8 = value;
		break;
	}
	do
		done = pwrite(fd, &word, width, (off_t)offset);
	while (done < 0 && errno == EINTR);
	if (done < 0)
		return -errno;
	return (size_t)done == width ? 0 : -EIO;
}
