// SPDX-License-Identifier: MIT
/*
 * device.c - an edu device, driven through udrv, UIO or VFIO
 *
 * Owns binding and opening; what is measured is in bench_*.c. Nothing is undone at the end of a
 * program but what the next one needs: the driver is exchanged when the device is opened again.
 * Nodes are there as soon as a device is bound: devtmpfs makes them, with or without udev.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <udrv/udrv.h>
#include <unistd.h>

#include "bench.h"
#include "device.h"

#define BAR_BYTES 0x1000
#define COMMAND 4
#define COMMAND_MEMORY 2
#define COMMAND_MASTER 4
#define COMMAND_INTX_DISABLE 0x400

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die("%s: %m", path);
	close(fd);
}

static void sysfs_path(const struct device *device, const char *name, char *path, size_t size)
{
	snprintf(path, size, "/sys/bus/pci/devices/%s/%s", device->address, name);
}

static void bind(struct device *device, const char *address, const char *module, const char *driver)
{
	char path[128], command[64];

	memset(device, 0, sizeof(*device));
	device->fd = device->config_fd = device->container_fd = device->group_fd = -1;
	snprintf(device->address, sizeof(device->address), "0000:%s", address);

	snprintf(command, sizeof(command), "modprobe %s", module);
	REQUIRE(system(command) == 0);
	sysfs_path(device, "driver_override", path, sizeof(path));
	write_file(path, driver);
	sysfs_path(device, "driver/unbind", path, sizeof(path));
	if (!access(path, F_OK))
		write_file(path, device->address);
	write_file("/sys/bus/pci/drivers_probe", device->address);
}

static void map_bar(struct device *device, int fd, off_t offset)
{
	void *bar = mmap(NULL, BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	REQUIRE(bar != MAP_FAILED);
	device->bar = bar;
	REQUIRE((device->bar[0] & 0xffff) == 0x00ed);
	device->bar[EDU_IRQ_ACK] = ~0U;
	REQUIRE(!device->bar[EDU_IRQ_STATUS]);
}

void device_open_udrv(struct device *device, const char *address)
{
	struct udrv_ioc_region_info region = { .size = sizeof(region), .index = UDRV_REGION_BAR0 };
	char path[64];

	bind(device, address, "udrv", "udrv");
	snprintf(path, sizeof(path), "/dev/udrv/pci-%s", address);
	device->fd = open(path, O_RDWR | O_CLOEXEC);
	if (device->fd < 0)
		die("%s: %m", path);
	REQUIRE(!ioctl(device->fd, UDRV_IOC_REGION_INFO, &region));
	map_bar(device, device->fd, region.offset);
}

void device_bus_master_udrv(struct device *device)
{
	struct udrv_ioc_device_bus_master master = { .size = sizeof(master), .enable = 1 };

	REQUIRE(!ioctl(device->fd, UDRV_IOC_DEVICE_BUS_MASTER, &master));
}

void device_open_uio(struct device *device, const char *address)
{
	char path[128], node[64] = "";
	struct dirent *entry;
	DIR *directory;
	int fd;

	bind(device, address, "uio_pci_generic", "uio_pci_generic");
	sysfs_path(device, "uio", path, sizeof(path));
	directory = opendir(path);
	if (!directory)
		die("%s: %m", path);
	while ((entry = readdir(directory)))
		if (!strncmp(entry->d_name, "uio", 3))
			snprintf(node, sizeof(node), "/dev/%.32s", entry->d_name);
	closedir(directory);
	device->fd = open(node, O_RDWR | O_CLOEXEC);
	if (device->fd < 0)
		die("%s: %m", node);

	sysfs_path(device, "config", path, sizeof(path));
	device->config_fd = open(path, O_RDWR | O_CLOEXEC);
	REQUIRE(device->config_fd >= 0);
	REQUIRE(pread(device->config_fd, &device->command, 2, COMMAND) == 2);
	device->command = (device->command | COMMAND_MEMORY) & ~COMMAND_INTX_DISABLE;
	REQUIRE(pwrite(device->config_fd, &device->command, 2, COMMAND) == 2);

	sysfs_path(device, "resource0", path, sizeof(path));
	fd = open(path, O_RDWR | O_CLOEXEC);
	REQUIRE(fd >= 0);
	map_bar(device, fd, 0);
	close(fd);
}

void device_open_vfio(struct device *device, const char *address)
{
	struct vfio_region_info region = { .argsz = sizeof(region),
					   .index = VFIO_PCI_BAR0_REGION_INDEX };
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[128], target[256], node[64];
	ssize_t length;

	bind(device, address, "vfio-pci", "vfio-pci");
	sysfs_path(device, "iommu_group", path, sizeof(path));
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		die("%s: %m (is there an IOMMU?)", path);
	target[length] = 0;
	snprintf(node, sizeof(node), "/dev/vfio/%.16s", strrchr(target, '/') + 1);

	device->container_fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	device->group_fd = open(node, O_RDWR | O_CLOEXEC);
	REQUIRE(device->container_fd >= 0 && device->group_fd >= 0);
	REQUIRE(!ioctl(device->group_fd, VFIO_GROUP_GET_STATUS, &status));
	REQUIRE(status.flags & VFIO_GROUP_FLAGS_VIABLE);
	REQUIRE(!ioctl(device->group_fd, VFIO_GROUP_SET_CONTAINER, &device->container_fd));
	REQUIRE(!ioctl(device->container_fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	device->fd = ioctl(device->group_fd, VFIO_GROUP_GET_DEVICE_FD, device->address);
	REQUIRE(device->fd >= 0);
	REQUIRE(!ioctl(device->fd, VFIO_DEVICE_GET_REGION_INFO, &region));
	map_bar(device, device->fd, region.offset);
}

void device_bus_master_vfio(struct device *device)
{
	struct vfio_region_info region = { .argsz = sizeof(region),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command;

	REQUIRE(!ioctl(device->fd, VFIO_DEVICE_GET_REGION_INFO, &region));
	REQUIRE(pread(device->fd, &command, 2, region.offset + COMMAND) == 2);
	command |= COMMAND_MASTER;
	REQUIRE(pwrite(device->fd, &command, 2, region.offset + COMMAND) == 2);
}

void device_close(struct device *device)
{
	const int fds[] = { device->fd, device->config_fd, device->group_fd, device->container_fd };

	REQUIRE(!munmap((void *)device->bar, BAR_BYTES));
	for (unsigned int i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

int device_irq(const char *name)
{
	char line[256], *at;
	int irq = 0, number;
	FILE *file = fopen("/proc/interrupts", "r");

	REQUIRE(file);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		at = strstr(line, name);
		if (!at || strcmp(at, name) || sscanf(line, " %d:", &number) != 1)
			continue;
		if (irq || strchr(line, ','))
			die("%s is not alone on its line: %s", name, line);
		irq = number;
	}
	fclose(file);
	if (!irq)
		die("no %s in /proc/interrupts", name);
	return irq;
}
