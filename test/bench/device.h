/* SPDX-License-Identifier: MIT */
/*
 * device.h - an edu device, driven through udrv, UIO or VFIO
 *
 * Each way is what its documentation says to do, on raw system calls.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <stddef.h>
#include <stdint.h>

struct device {
	char address[16]; /* 0000:00:02.0 */
	int fd; /* the node; /dev/uioN; the VFIO device */
	int config_fd; /* UIO: sysfs config */
	int container_fd; /* VFIO */
	int group_fd;
	uint16_t command; /* UIO: the command register with INTx enabled */
	volatile uint32_t *bar;
};

/* Bind to the driver, open, map BAR 0, stop whatever interrupt is asserted. */
void device_open_udrv(struct device *device, const char *address);
void device_open_uio(struct device *device, const char *address);
/* The device's own group and container, type 1. */
void device_open_vfio(struct device *device, const char *address);
void device_close(struct device *device);

/* Bus mastering, without which MSI does not arrive. */
void device_bus_master_udrv(struct device *device);
void device_bus_master_vfio(struct device *device);

/* Number of the interrupt whose /proc/interrupts line ends in @name. */
int device_irq(const char *name);

/* edu's registers that matter here, in words. */
#define EDU_IRQ_STATUS (0x24 / 4)
#define EDU_IRQ_RAISE (0x60 / 4)
#define EDU_IRQ_ACK (0x64 / 4)

static inline void edu_raise(const struct device *device)
{
	device->bar[EDU_IRQ_RAISE] = 1;
}

static inline void edu_ack(const struct device *device)
{
	device->bar[EDU_IRQ_ACK] = 1;
}

#endif
