// SPDX-License-Identifier: MIT
/* irq_test.c - how waiting is made of read(), preadv2() and poll(), and the calls beside it */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>

#include "fake.h"

static void for_ever_is_one_read(void **state)
{
	struct udrv_irq_record records[8];
	struct udrv *device = fake_open();

	(void)state;
	fake.records = 3;
	assert_int_equal(udrv_irq_wait(device, records, 8, -1), 3);
	assert_int_equal(records[2].vector, 2);
	assert_int_equal(fake.length, sizeof(records));
	assert_int_equal(fake.count[FAKE_READ], 1);
	assert_int_equal(fake.count[FAKE_POLL] + fake.count[FAKE_PREADV2], 0);
	assert_int_equal(fake.count[FAKE_IOCTL], 1 + UDRV_REGION_COUNT);

	fake_fail(FAKE_READ, EINTR, 0, 1);
	assert_int_equal(udrv_irq_wait(device, records, 8, -1), -EINTR);
	fake_fail(FAKE_READ, ENODEV, 0, 1);
	assert_int_equal(udrv_irq_wait(device, records, 8, -1), -ENODEV);
	/* O_NONBLOCK, set by the caller */
	fake_fail(FAKE_READ, EAGAIN, 0, 1);
	assert_int_equal(udrv_irq_wait(device, records, 8, -1), 0);
	assert_int_equal(fake.count[FAKE_READ], 4);
	/* the end of the file, which can only be the device's */
	assert_int_equal(udrv_irq_wait(device, records, 8, -1), -ENODEV);
	udrv_close(device);
}

static void not_at_all(void **state)
{
	struct udrv_irq_record records[2];
	struct udrv *device = fake_open();

	(void)state;
	assert_int_equal(udrv_irq_wait(device, records, 2, 0), 0);
	assert_int_equal(fake.flags, RWF_NOWAIT);
	assert_int_equal(fake.offset, -1);
	assert_int_equal(fake.count[FAKE_PREADV2], 1);
	fake.records = 5;
	assert_int_equal(udrv_irq_wait(device, records, 2, 0), 2);
	assert_int_equal(udrv_irq_wait(device, records, 2, 0), 2);
	assert_int_equal(udrv_irq_wait(device, records, 2, 0), 1);
	fake_fail(FAKE_PREADV2, ENODEV, 0, 1);
	assert_int_equal(udrv_irq_wait(device, records, 2, 0), -ENODEV);
	fake_fail(FAKE_PREADV2, EINTR, 0, 1);
	assert_int_equal(udrv_irq_wait(device, records, 2, 0), -EINTR);
	assert_int_equal(fake.count[FAKE_POLL] + fake.count[FAKE_READ], 0);
	udrv_close(device);
}

static void some_time(void **state)
{
	struct udrv_irq_record record;
	struct udrv *device = fake_open();

	(void)state;
	/* pending: no waiting */
	fake.records = 1;
	assert_int_equal(udrv_irq_wait(device, &record, 1, 50), 1);
	assert_int_equal(fake.count[FAKE_POLL], 0);
	/* comes while it waits */
	fake.records_after_poll = true;
	assert_int_equal(udrv_irq_wait(device, &record, 1, 50), 1);
	assert_int_equal(fake.count[FAKE_POLL], 1);
	assert_int_equal(fake.timeout_ms, 50);
	/* the time is over */
	assert_int_equal(udrv_irq_wait(device, &record, 1, 50), 0);
	assert_int_equal(fake.count[FAKE_POLL], 2);
	/* a signal */
	fake_fail(FAKE_POLL, EINTR, 0, 1);
	assert_int_equal(udrv_irq_wait(device, &record, 1, 50), -EINTR);
	udrv_close(device);
}

/* poll() saw it, another thread took it: wait for the rest of the time, and not in a read(). */
static void taken_by_another(void **state)
{
	struct udrv_irq_record record;
	struct udrv *device = fake_open();

	(void)state;
	fake.records_after_poll = true;
	fake_fail(FAKE_PREADV2, EAGAIN, 0, 2);
	assert_int_equal(udrv_irq_wait(device, &record, 1, 50), 0);
	assert_int_equal(fake.count[FAKE_POLL], 2);
	assert_int_equal(fake.timeout_ms, 49);
	assert_int_equal(fake.count[FAKE_READ], 0);
	udrv_close(device);
}

static void wait_refused(void **state)
{
	struct udrv_irq_record record;
	struct udrv *device = fake_open();

	(void)state;
	assert_int_equal(udrv_irq_wait(device, &record, 0, -1), -EINVAL);
	assert_int_equal(udrv_irq_wait(device, NULL, 1, 0), -EINVAL);
	assert_int_equal(fake.count[FAKE_READ] + fake.count[FAKE_PREADV2], 0);
	/* A count that no int could report is cut, never wrapped. */
	fake.records = 1;
	assert_int_equal(udrv_irq_wait(device, &record, UINT_MAX, -1), 1);
	assert_true(fake.length <= INT_MAX);
	assert_true(fake.length > INT_MAX - 24);
	udrv_close(device);
}

static void setup(void **state)
{
	struct udrv *device = fake_open();

	(void)state;
	assert_int_equal(udrv_irq_setup(device, UDRV_IRQ_MSIX, 3), 3);
	assert_int_equal(fake.request, UDRV_IOC_IRQ_SETUP);
	assert_int_equal(fake.argument.setup.kind, UDRV_IRQ_MSIX);
	assert_int_equal(fake.argument.setup.count, 3);
	assert_int_equal(udrv_irq_setup(device, UDRV_IRQ_MSI, 0), 5);
	fake_fail(FAKE_IOCTL, ENOSPC, 0, 1);
	assert_int_equal(udrv_irq_setup(device, UDRV_IRQ_MSIX, 64), -ENOSPC);
	udrv_close(device);
}

static void calls(void **state)
{
	struct udrv_ioc_irq_info info;
	struct udrv *device = fake_open();

	(void)state;
	assert_int_equal(udrv_irq_mask(device, 2, 5), 0);
	assert_int_equal(fake.request, UDRV_IOC_IRQ_MASK);
	assert_int_equal(fake.argument.range.vector, 2);
	assert_int_equal(fake.argument.range.count, 5);
	assert_int_equal(udrv_irq_unmask(device, 3, 1), 0);
	assert_int_equal(fake.request, UDRV_IOC_IRQ_UNMASK);
	assert_int_equal(fake.argument.range.vector, 3);
	assert_int_equal(udrv_irq_attach(device, 4, 11), 0);
	assert_int_equal(fake.request, UDRV_IOC_IRQ_ATTACH);
	assert_int_equal(fake.argument.attach.vector, 4);
	assert_int_equal(fake.argument.attach.fd, 11);
	assert_int_equal(udrv_irq_detach(device, 4), 0);
	assert_int_equal(fake.request, UDRV_IOC_IRQ_DETACH);
	assert_int_equal(fake.argument.attach.fd, -1);
	memset(&info, 0xff, sizeof(info));
	assert_int_equal(udrv_irq_info(device, 1, &info), 0);
	assert_int_equal(fake.request, UDRV_IOC_IRQ_INFO);
	assert_int_equal(fake.argument.irq_info.vector, 1);
	assert_int_equal(info.total, 42);
	assert_int_equal(info.state, 0);
	fake_fail(FAKE_IOCTL, EINVAL, 0, 1);
	assert_int_equal(udrv_irq_info(device, 9, &info), -EINVAL);
	fake_fail(FAKE_IOCTL, EBADF, 0, 1);
	assert_int_equal(udrv_irq_attach(device, 0, -1), -EBADF);
	udrv_close(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(for_ever_is_one_read),
		TEST(not_at_all),
		TEST(some_time),
		TEST(taken_by_another),
		TEST(wait_refused),
		TEST(setup),
		TEST(calls),
	};

	return RUN(tests);
}
