// SPDX-License-Identifier: MIT
/*
 * irq.c - interrupts: set up, wait, hold back, send to an eventfd
 *
 * Owns the timeout of udrv_irq_wait(); everything else is one call to the kernel.
 *
 * The hard part: a wait with a timeout must not block for ever when another thread takes the record
 * between poll() and read(). O_NONBLOCK cannot help, it belongs to every user of the descriptor; so
 * the read itself is told not to wait (RWF_NOWAIT).
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

int udrv_irq_setup(struct udrv *device, unsigned int kind, unsigned int count)
{
	struct udrv_ioc_irq_setup call = { .size = sizeof(call), .kind = kind, .count = count };
	int rc = udrv_call(device->fd, UDRV_IOC_IRQ_SETUP, &call);

	return rc ? rc : (int)call.count;
}

/* What a read() that returned @done bytes means. */
static int records_of(ssize_t done)
{
	if (done < 0)
		return errno == EAGAIN ? 0 : -errno;
	/* A read that returns at all has at least one record; the end of the file is the device's.
	 */
	if (done == 0)
		return -ENODEV;
	return (int)((size_t)done / sizeof(struct udrv_irq_record));
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int udrv_irq_wait(struct udrv *device, struct udrv_irq_record *records, unsigned int count,
		  int timeout_ms)
{
	struct pollfd waiter = { .fd = device->fd, .events = POLLIN };
	struct iovec room = { .iov_base = records };
	int64_t end, left;
	ssize_t done;
	int rc;

	if (!records || !count)
		return -EINVAL;
	if (count > INT_MAX / sizeof(*records))
		count = INT_MAX / sizeof(*records);
	room.iov_len = count * sizeof(*records);

	if (timeout_ms < 0)
		return records_of(read(device->fd, records, room.iov_len));

	end = now_ns() + timeout_ms * INT64_C(1000000);
	for (;;) {
		done = preadv2(device->fd, &room, 1, -1, RWF_NOWAIT);
		if (done >= 0 || errno != EAGAIN)
			return records_of(done);
		left = end - now_ns();
		if (left <= 0)
			return 0;
		/* Rounded up: better a moment late than to spin through the last millisecond. */
		rc = poll(&waiter, 1, (int)((left + 999999) / 1000000));
		if (rc <= 0)
			return rc ? -errno : 0;
	}
}

static int range(struct udrv *device, unsigned long request, unsigned int vector,
		 unsigned int count)
{
	struct udrv_ioc_irq_range call = {
		.size = sizeof(call),
		.vector = vector,
		.count = count,
	};

	return udrv_call(device->fd, request, &call);
}

int udrv_irq_mask(struct udrv *device, unsigned int vector, unsigned int count)
{
	return range(device, UDRV_IOC_IRQ_MASK, vector, count);
}

int udrv_irq_unmask(struct udrv *device, unsigned int vector, unsigned int count)
{
	return range(device, UDRV_IOC_IRQ_UNMASK, vector, count);
}

int udrv_irq_attach(struct udrv *device, unsigned int vector, int eventfd)
{
	struct udrv_ioc_irq_attach call = {
		.size = sizeof(call),
		.vector = vector,
		.fd = eventfd,
	};

	return udrv_call(device->fd, UDRV_IOC_IRQ_ATTACH, &call);
}

int udrv_irq_detach(struct udrv *device, unsigned int vector)
{
	struct udrv_ioc_irq_attach call = { .size = sizeof(call), .vector = vector, .fd = -1 };

	return udrv_call(device->fd, UDRV_IOC_IRQ_DETACH, &call);
}

int udrv_irq_info(struct udrv *device, unsigned int vector, struct udrv_ioc_irq_info *info)
{
	*info = (struct udrv_ioc_irq_info){ .size = sizeof(*info), .vector = vector };
	return udrv_call(device->fd, UDRV_IOC_IRQ_INFO, info);
}
