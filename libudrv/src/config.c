// SPDX-License-Identifier: MIT
/*
 * config.c - config space
 *
 * Owns the check that an access lies in config space and is aligned. Does not know which fields may
 * be written: the kernel's table decides that, and keeps the bits that are not the driver's.
 */
#include <errno.h>

#include "internal.h"

/* The file offset, or -errno. */
static int64_t locate(const struct udrv *device, unsigned int offset, unsigned int width)
{
	const struct udrv_ioc_region_info *region = udrv_region(device, UDRV_REGION_CONFIG);

	if (!region || (width != 1 && width != 2 && width != 4))
		return -EINVAL;
	if (offset % width || width > region->length || offset > region->length - width)
		return -EINVAL;
	return (int64_t)(region->offset + offset);
}

int udrv_config_read(struct udrv *device, unsigned int offset, unsigned int width, uint32_t *value)
{
	int64_t at = locate(device, offset, width);
	uint64_t wide;
	int rc;

	if (at < 0)
		return (int)at;
	rc = udrv_register_read(device->fd, (uint64_t)at, width, &wide);
	if (!rc)
		*value = (uint32_t)wide;
	return rc;
}

int udrv_config_write(struct udrv *device, unsigned int offset, unsigned int width, uint32_t value)
{
	int64_t at = locate(device, offset, width);

	return at < 0 ? (int)at : udrv_register_write(device->fd, (uint64_t)at, width, value);
}
