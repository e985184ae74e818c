// SPDX-License-Identifier: MIT
/*
 * half.c - the descriptors of upper halves, /dev/udrv/net and /dev/udrv/blk: open, attach, map, and undo
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

int udrv_half_open(const char *node, unsigned long attach, void *info, const __u64 *map_bytes, uint8_t **area)
{
	int fd = open(node, O_RDWR | O_CLOEXEC), rc;
	void *mapped;

	if (fd < 0)
		return -errno;
	rc = udrv_call(fd, attach, info);
	if (!rc) {
		mapped = mmap(NULL, (size_t)*map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		rc = mapped == MAP_FAILED ? -errno : 0;
	}
	if (rc) {
		close(fd);
		return rc;
	}
	*area = mapped;
	return fd;
}

void udrv_half_close(int fd, uint8_t *area, uint64_t map_bytes)
{
	munmap(area, (size_t)map_bytes);
	close(fd);
}
