// SPDX-License-Identifier: MIT
/*
 * bench_irq.c - from the device's signal to a process that is ready for the next
 *
 *   bench_irq intx|msi [--quick]     on the lab's two edu devices (vm --devices edu)
 *
 * intx: udrv's read() against uio_pci_generic, whose INTx is masked when it fires and is re-enabled
 * by a write of the command register to sysfs `config`. The value is remembered from the start, so
 * that it is one system call, not a read and a write. msi: against the eventfd of vfio-pci.
 *
 * "pending": the interrupt is there when read() is called. "blocked": a thread sleeps in read(). The
 * one that raises the interrupt runs as SCHED_IDLE, so that a reader which wakes up goes first: as
 * soon as it is interrupted the reader runs, until it sleeps again. So nobody waits for anybody, the
 * CPU never idles, and each interrupt costs two switches, whoever delivers it.
 *
 * INTx is shown twice: masked by the disable bit, which any device has, and acknowledged by a register
 * program in the handler ("udrv-ack"), which the driver has to know how to write.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <udrv/udrv.h>
#include <unistd.h>

#include "bench.h"
#include "device.h"

#define ADDRESS_UDRV "00:02.0"
#define ADDRESS_OTHER "00:03.0"

/**
 * struct way - a descriptor to read, and what comes with it
 * @device: what raises
 * @fd: what is read
 * @bytes: how much
 * @re_enable: a config write after each interrupt
 * @udrv: UDRV_IRQ_*: what to set up before each round; else UDRV_IRQ_NONE
 * @acknowledged: by a register program in the handler: the reader has nothing to do there
 * @reader: the thread, while there is one
 * @done: interrupts that it has seen to
 * @stop: it is to end at the next one
 */
struct way {
	const struct device *device;
	int fd;
	size_t bytes;
	bool re_enable;
	unsigned int udrv;
	bool acknowledged;
	pthread_t reader;
	volatile unsigned long done;
	volatile bool stop;
};

static inline void take(const struct way *way)
{
	char buffer[32];

	REQUIRE(read(way->fd, buffer, way->bytes) == (ssize_t)way->bytes);
}

static inline void finish(const struct way *way)
{
	const struct device *device = way->device;

	if (!way->acknowledged)
		edu_ack(device);
	if (way->re_enable)
		REQUIRE(pwrite(device->config_fd, &device->command, 2, 4) == 2);
}

static void udrv_setup(const struct device *device, unsigned int kind, bool acknowledged)
{
	/* Was it this device? Then write back what it said. */
	struct udrv_prog_op program[] = {
		{ .op = UDRV_PROG_READ, .width = 4, .offset = 4 * EDU_IRQ_STATUS },
		{ .op = UDRV_PROG_TEST, .flags = UDRV_PROG_NOT, .mask = ~0U, .value = 0 },
		{ .op = UDRV_PROG_WRITE, .width = 4, .offset = 4 * EDU_IRQ_ACK,
		  .flags = UDRV_PROG_LAST, .mask = ~0U },
	};
	struct udrv_ioc_irq_setup setup = { .size = sizeof(setup), .kind = UDRV_IRQ_NONE };
	struct udrv_ioc_prog_set set = {
		.size = sizeof(set),
		.use = UDRV_PROG_ACK,
		.count = acknowledged ? sizeof(program) / sizeof(program[0]) : 0,
		.ops = (uintptr_t)program,
	};

	REQUIRE(!ioctl(device->fd, UDRV_IOC_IRQ_SETUP, &setup));
	REQUIRE(!ioctl(device->fd, UDRV_IOC_PROG_SET, &set));
	setup.kind = kind;
	setup.count = 1;
	REQUIRE(!ioctl(device->fd, UDRV_IOC_IRQ_SETUP, &setup));
}

/* ---- pending ---- */

static void begin_pending(void *arg)
{
	const struct way *way = arg;

	if (way->udrv != UDRV_IRQ_NONE)
		udrv_setup(way->device, way->udrv, way->acknowledged);
}

static void run_pending(void *arg, unsigned long n)
{
	const struct way *way = arg;

	while (n--) {
		edu_raise(way->device);
		take(way);
		finish(way);
	}
}

/* ---- blocked ---- */

static void *reader_main(void *arg)
{
	struct way *way = arg;

	for (;;) {
		take(way);
		finish(way);
		if (way->stop)
			return NULL;
		way->done++;
	}
}

static void run_blocked(void *arg, unsigned long n)
{
	struct way *way = arg;
	unsigned long late = 0, limit = n / 100 + 1;

	while (n--) {
		unsigned long before = way->done;

		edu_raise(way->device);
		if (way->done != before)
			continue;
		/* It runs when this thread's slice ends. */
		late++;
		while (way->done == before)
			;
	}
	if (late > limit)
		die("the reader did not run at once, %lu times", late);
}

static void begin_blocked(void *arg)
{
	static const struct sched_param none;
	struct way *way = arg;

	begin_pending(way);
	way->done = 0;
	way->stop = false;
	REQUIRE(!pthread_create(&way->reader, NULL, reader_main, way));
	REQUIRE(!sched_setscheduler(0, SCHED_IDLE, &none));
	/* Waits for it, wherever it is by now; afterwards it is in read(). */
	edu_raise(way->device);
	while (!way->done)
		;
}

static void end_blocked(void *arg)
{
	static const struct sched_param none;
	struct way *way = arg;

	way->stop = true;
	edu_raise(way->device);
	REQUIRE(!pthread_join(way->reader, NULL));
	REQUIRE(!sched_setscheduler(0, SCHED_OTHER, &none));
}

/* ---- the ways ---- */

static struct bench_side side(const char *name, struct way *way, int irq, bool blocked)
{
	struct bench_side side = {
		.name = name,
		.run = blocked ? run_blocked : run_pending,
		.begin = blocked ? begin_blocked : begin_pending,
		.end = blocked ? end_blocked : NULL,
		.arg = way,
		.copied_bytes = way->bytes + (way->re_enable ? 2 : 0),
		.irq = irq,
	};

	return side;
}

static void bench_intx(void)
{
	struct device ours, uio;
	int irq_ours, irq_uio;

	device_open_udrv(&ours, ADDRESS_UDRV);
	device_open_uio(&uio, ADDRESS_OTHER);
	udrv_setup(&ours, UDRV_IRQ_INTX, false);
	irq_ours = device_irq("udrv-" ADDRESS_UDRV "-intx");
	irq_uio = device_irq("uio_pci_generic");

	struct way way_uio = { .device = &uio, .fd = uio.fd, .bytes = 4, .re_enable = true };
	struct way total = { .device = &ours, .fd = ours.fd, .bytes = 4, .udrv = UDRV_IRQ_INTX };
	struct way record = { .device = &ours, .fd = ours.fd, .udrv = UDRV_IRQ_INTX,
			      .bytes = sizeof(struct udrv_irq_record) };
	struct way acknowledged = record;

	acknowledged.acknowledged = true;

	for (int blocked = 0; blocked < 2; blocked++) {
		const struct bench_side sides[] = {
			side("uio", &way_uio, irq_uio, blocked),
			side("udrv", &record, irq_ours, blocked),
			side("udrv-ack", &acknowledged, irq_ours, blocked),
			side("udrv-total", &total, irq_ours, blocked),
		};

		bench_figure(blocked ? "intx-blocked" : "intx-pending", sides, 4);
	}
	device_close(&ours);
	device_close(&uio);
}

static int vfio_eventfd(const struct device *device)
{
	char buffer[sizeof(struct vfio_irq_set) + sizeof(int)] = { 0 };
	struct vfio_irq_set *set = (struct vfio_irq_set *)buffer;
	int fd = eventfd(0, EFD_CLOEXEC);

	REQUIRE(fd >= 0);
	set->argsz = sizeof(buffer);
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = VFIO_PCI_MSI_IRQ_INDEX;
	set->count = 1;
	memcpy(set->data, &fd, sizeof(fd));
	REQUIRE(!ioctl(device->fd, VFIO_DEVICE_SET_IRQS, set));
	return fd;
}

static void bench_msi(void)
{
	struct device ours, vfio;
	int irq_ours, irq_vfio;

	device_open_udrv(&ours, ADDRESS_UDRV);
	device_open_vfio(&vfio, ADDRESS_OTHER);
	device_bus_master_udrv(&ours);
	device_bus_master_vfio(&vfio);
	udrv_setup(&ours, UDRV_IRQ_MSI, false);

	struct way way_vfio = { .device = &vfio, .fd = vfio_eventfd(&vfio), .bytes = 8 };
	struct way total = { .device = &ours, .fd = ours.fd, .bytes = 4, .udrv = UDRV_IRQ_MSI };
	struct way record = { .device = &ours, .fd = ours.fd, .udrv = UDRV_IRQ_MSI,
			      .bytes = sizeof(struct udrv_irq_record) };

	irq_ours = device_irq("udrv-" ADDRESS_UDRV "-msi-0");
	irq_vfio = device_irq("vfio-msi[0](0000:" ADDRESS_OTHER ")");

	for (int blocked = 0; blocked < 2; blocked++) {
		const struct bench_side sides[] = {
			side("vfio", &way_vfio, irq_vfio, blocked),
			side("udrv", &record, irq_ours, blocked),
			side("udrv-total", &total, irq_ours, blocked),
		};

		bench_figure(blocked ? "msi-blocked" : "msi-pending", sides, 3);
	}
	device_close(&ours);
	device_close(&vfio);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		die("usage: %s intx|msi [--quick]", argv[0]);
	bench_init(argc - 1, argv + 1);
	if (!strcmp(argv[1], "intx"))
		bench_intx();
	else if (!strcmp(argv[1], "msi"))
		bench_msi();
	else
		die("%s: intx or msi", argv[1]);
	return bench_done();
}
