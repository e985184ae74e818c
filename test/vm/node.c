// SPDX-License-Identifier: MIT
/*
 * node.c - a device under test: find it, bind it, open it, reach its registers
 *
 * Owns the table of devices and the calls' boiler plate; judges nothing but what it needs to go on.
 * The hard part is node_check_idle(): it is what makes each test a test for leaks as well.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

static const struct {
	const char *kind, *address;
	unsigned int vendor, device;
} devices[] = {
	{ "edu", "00:02.0", 0x1234, 0x11e8 }, /* DMA addresses of 32 bits */
	{ "edu28", "00:03.0", 0x1234, 0x11e8 }, /* of 28 bits */
	{ "e1000", "00:04.0", 0x8086, 0x100e },
	{ "e1000e", "00:06.0", 0x8086, 0x10d3 },
	{ "serial", "00:08.0", 0x1b36, 0x0002 },
	{ "testdev", "00:09.0", 0x1b36, 0x0005 },
	{ "ivshmem", "00:0a.0", 0x1af4, 0x1110 },
	{ "nvme", "00:0b.0", 0x1b36, 0x0010 },
	{ "hot", "01:00.0", 0x1234, 0x11e8 }, /* edu that can be pulled out */
	{ "aer", "01:00.0", 0x8086, 0x10d3 }, /* 82574L behind a port that reports errors */
	{ "small0", "02:00.0", 0x1af4, 0x1110 }, /* node_plug_small() */
	{ "small1", "02:00.1", 0x1af4, 0x1110 },
};

#define DEVICES (sizeof(devices) / sizeof(devices[0]))

const char *const node_kinds[] = { "edu", "edu28", "e1000", "e1000e", "serial", "testdev",
				   "ivshmem", "nvme", "hot", "aer", "small0", "small1", NULL };

static const char *address_of(size_t index)
{
	char variable[32] = "UDRV_";
	const char *value;

	for (size_t i = 0; devices[index].kind[i]; i++)
		variable[5 + i] = toupper(devices[index].kind[i]);
	value = getenv(variable);
	return value ? value : devices[index].address;
}

bool node_find(struct node *node, const char *kind)
{
	unsigned int domain = 0, bus, slot, function;
	const char *address;
	size_t i;

	for (i = 0; i < DEVICES && strcmp(devices[i].kind, kind); i++)
		;
	REQUIRE(i < DEVICES);
	address = address_of(i);
	if (sscanf(address, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4) {
		domain = 0;
		REQUIRE_EQ(sscanf(address, "%x:%x.%x", &bus, &slot, &function), 3);
	}
	memset(node, 0, sizeof(*node));
	node->kind = devices[i].kind;
	node->fd = -1;
	snprintf(node->address, sizeof(node->address), "%04x:%02x:%02x.%x", domain & 0xffff,
		 bus & 0xff, slot & 0x1f, function & 7);
	snprintf(node->name, sizeof(node->name), "pci-%s", node->address + (domain ? 0 : 5));
	snprintf(node->path, sizeof(node->path), "/dev/udrv/%s", node->name);
	snprintf(node->sysfs, sizeof(node->sysfs), "/sys/bus/pci/devices/%s", node->address);
	return node_pci_number(node, "vendor") == devices[i].vendor &&
	       node_pci_number(node, "device") == devices[i].device;
}

void node_get(struct node *node, const char *kind)
{
	if (node_find(node, kind))
		return;
	if (!getenv("UDRV_NO_SKIP"))
		tap_skip("no %s at %s", kind, node->address);
	tap_note("no %s at %s", kind, node->address);
	REQUIRE(node_find(node, kind));
}

static const char *current_driver(const struct node *node, char *name, size_t size)
{
	char path[128], target[PATH_MAX];
	ssize_t length;

	snprintf(path, sizeof(path), "%s/driver", node->sysfs);
	length = readlink(path, target, sizeof(target) - 1);
	target[length < 0 ? 0 : length] = 0;
	snprintf(name, size, "%.60s", strrchr(target, '/') ? strrchr(target, '/') + 1 : "");
	return name;
}

void node_unbind(struct node *node)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/driver/unbind", node->sysfs);
	REQUIRE_OK(os_write(path, node->address));
}

void node_bind(struct node *node)
{
	char path[128], driver[64];

	if (!strcmp(current_driver(node, driver, sizeof(driver)), "udrv"))
		return;
	snprintf(path, sizeof(path), "%s/driver_override", node->sysfs);
	REQUIRE_OK(os_write(path, "udrv"));
	/*
	 * What was plugged in just now may be in the hands of a driver that is about to refuse it (virtio-pci looks at
	 * all of Red Hat's devices): there is a link for that long, and no driver a moment later.
	 */
	snprintf(path, sizeof(path), "%s/driver/unbind", node->sysfs);
	if (driver[0] && os_write(path, node->address))
		REQUIRE(errno == ENOENT || errno == ENODEV);
	REQUIRE_OK(os_write("/sys/bus/pci/drivers_probe", node->address));
	/* One that was just plugged in may be probed only later, by the kernel itself. */
	CHECK(OS_WAIT_FOR(!access(node->path, F_OK), 30000));
	CHECK_STR(current_driver(node, driver, sizeof(driver)), "udrv");
}

void node_reopen(struct node *node)
{
	REQUIRE_OK(node->fd = open(node->path, O_RDWR | O_CLOEXEC));
}

void node_open(struct node *node, const char *kind)
{
	node_get(node, kind);
	node_bind(node);
	node_reopen(node);
}

void node_open_mapped(struct node *node, const char *kind)
{
	struct udrv_ioc_region_info region;
	void *address;

	node_open(node, kind);
	region = node_region(node, 0);
	REQUIRE(region.length && region.region_flags & UDRV_REGION_MMAP);
	node->bar0_length = region.nomap_length ? region.nomap_offset : region.length;
	address = mmap(NULL, node->bar0_length, PROT_READ | PROT_WRITE, MAP_SHARED, node->fd,
		       region.offset);
	REQUIRE(address != MAP_FAILED);
	node->bar0 = address;
	if (!strncmp(kind, "edu", 3))
		edu_ack(node);
}

void node_unmap(struct node *node)
{
	if (node->bar0)
		REQUIRE_OK(munmap((void *)node->bar0, node->bar0_length));
	node->bar0 = NULL;
}

void node_close(struct node *node)
{
	node_unmap(node);
	if (node->fd >= 0)
		REQUIRE_OK(close(node->fd));
	node->fd = -1;
}

void node_check_idle(void)
{
	char line[512] = "";

	for (size_t i = 0; node_kinds[i]; i++) {
		struct node node;

		if (!node_find(&node, node_kinds[i]) || access(node.path, F_OK))
			continue;
		CHECK_STR(node_attribute(&node, "owner"), "0");
		CHECK_STR(node_attribute(&node, "irq"), "none 0");
		CHECK_STR(node_attribute(&node, "bus_master"), "0");
		CHECK_STR(node_attribute(&node, "dma_consistent"), "0");
		CHECK_STR(node_attribute(&node, "dma_streaming"), "0");
		CHECK_EQ(node_config(&node, 4, 2) & 4, 0);
	}
	if (os_interrupts("udrv", line, sizeof(line)))
		tap_note("%s", line);
	CHECK_EQ(os_interrupts("udrv", NULL, 0), 0);
	/* The last pages go back from a work item. */
	if (!OS_WAIT_FOR(os_pinned_pages() == 0, 30000))
		CHECK_EQ(os_pinned_pages(), 0);
}

const char *node_attribute(const struct node *node, const char *name)
{
	static __thread char text[256];
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/udrv/%s/%s", node->name, name);
	if (os_read(path, text, sizeof(text)))
		text[0] = 0;
	return text;
}

static long long number(const char *text)
{
	char *end;
	long long value = strtoll(text, &end, 0);

	return end == text ? -1 : value;
}

long long node_number(const struct node *node, const char *name)
{
	return number(node_attribute(node, name));
}

long long node_pci_number(const struct node *node, const char *name)
{
	char path[128], text[64];

	snprintf(path, sizeof(path), "%s/%s", node->sysfs, name);
	return os_read(path, text, sizeof(text)) ? -1 : number(text);
}

static int open_config(const struct node *node)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/config", node->sysfs);
	REQUIRE_OK(fd = open(path, O_RDWR | O_CLOEXEC));
	return fd;
}

uint32_t node_config(const struct node *node, unsigned int offset, unsigned int width)
{
	int fd = open_config(node);
	uint32_t value = 0;

	REQUIRE_EQ(pread(fd, &value, width, offset), width);
	close(fd);
	return value;
}

void node_config_write(const struct node *node, unsigned int offset, unsigned int width,
		       uint32_t value)
{
	int fd = open_config(node);

	REQUIRE_EQ(pwrite(fd, &value, width, offset), width);
	close(fd);
}

unsigned int node_capability(const struct node *node, unsigned int id)
{
	unsigned int offset;

	if (!(node_config(node, 6, 2) & 0x10))
		return 0;
	for (offset = node_config(node, 0x34, 1) & 0xfc; offset;
	     offset = node_config(node, offset + 1, 1) & 0xfc)
		if (node_config(node, offset, 1) == id)
			return offset;
	return 0;
}

unsigned int node_extended_capability(const struct node *node, unsigned int id)
{
	unsigned int offset;
	uint32_t header;

	if (!node_capability(node, 0x10))
		return 0;
	for (offset = 0x100; offset; offset = header >> 20) {
		header = node_config(node, offset, 4);
		if (!header || header == ~0U)
			return 0;
		if ((header & 0xffff) == id)
			return offset;
	}
	return 0;
}

struct udrv_ioc_region_info node_region(const struct node *node, unsigned int index)
{
	struct udrv_ioc_region_info region = NODE_ARG(region);

	region.index = index;
	REQUIRE_OK(ioctl(node->fd, UDRV_IOC_REGION_INFO, &region));
	return region;
}

struct udrv_ioc_device_info node_info(const struct node *node)
{
	struct udrv_ioc_device_info info = NODE_ARG(info);

	REQUIRE_OK(ioctl(node->fd, UDRV_IOC_DEVICE_INFO, &info));
	return info;
}

struct udrv_ioc_irq_info node_irq_info(const struct node *node, unsigned int vector)
{
	struct udrv_ioc_irq_info info = NODE_ARG(info);

	info.vector = vector;
	REQUIRE_OK(ioctl(node->fd, UDRV_IOC_IRQ_INFO, &info));
	return info;
}

int node_bus_master(const struct node *node, bool enable)
{
	struct udrv_ioc_device_bus_master arg = NODE_ARG(arg);

	arg.enable = enable;
	return ioctl(node->fd, UDRV_IOC_DEVICE_BUS_MASTER, &arg);
}

int node_irq_setup(const struct node *node, unsigned int kind, unsigned int count)
{
	struct udrv_ioc_irq_setup arg = NODE_ARG(arg);

	arg.kind = kind;
	arg.count = count;
	return ioctl(node->fd, UDRV_IOC_IRQ_SETUP, &arg) ? -1 : (int)arg.count;
}

static int irq_range(const struct node *node, unsigned int call, unsigned int vector,
		     unsigned int count)
{
	struct udrv_ioc_irq_range arg = NODE_ARG(arg);

	arg.vector = vector;
	arg.count = count;
	return ioctl(node->fd, call, &arg);
}

int node_irq_mask(const struct node *node, unsigned int vector, unsigned int count)
{
	return irq_range(node, UDRV_IOC_IRQ_MASK, vector, count);
}

int node_irq_unmask(const struct node *node, unsigned int vector, unsigned int count)
{
	return irq_range(node, UDRV_IOC_IRQ_UNMASK, vector, count);
}

static int irq_attach(const struct node *node, unsigned int call, unsigned int vector, int fd)
{
	struct udrv_ioc_irq_attach arg = NODE_ARG(arg);

	arg.vector = vector;
	arg.fd = fd;
	return ioctl(node->fd, call, &arg);
}

int node_irq_attach(const struct node *node, unsigned int vector, int eventfd)
{
	return irq_attach(node, UDRV_IOC_IRQ_ATTACH, vector, eventfd);
}

int node_irq_detach(const struct node *node, unsigned int vector)
{
	return irq_attach(node, UDRV_IOC_IRQ_DETACH, vector, -1);
}

int node_dma_mask(const struct node *node, unsigned int bits)
{
	struct udrv_ioc_dma_mask arg = NODE_ARG(arg);

	arg.bits = bits;
	return ioctl(node->fd, UDRV_IOC_DMA_MASK, &arg);
}

int node_dma_alloc(const struct node *node, uint64_t length, struct udrv_ioc_dma_alloc *buffer)
{
	memset(buffer, 0, sizeof(*buffer));
	buffer->size = sizeof(*buffer);
	buffer->length = length;
	return ioctl(node->fd, UDRV_IOC_DMA_ALLOC, buffer);
}

static int dma_handle(const struct node *node, unsigned int call, uint32_t handle)
{
	struct udrv_ioc_dma_handle arg = NODE_ARG(arg);

	arg.handle = handle;
	return ioctl(node->fd, call, &arg);
}

int node_dma_free(const struct node *node, uint32_t handle)
{
	return dma_handle(node, UDRV_IOC_DMA_FREE, handle);
}

int node_dma_unmap(const struct node *node, uint32_t handle)
{
	return dma_handle(node, UDRV_IOC_DMA_UNMAP, handle);
}

int node_dma_map(const struct node *node, const void *address, uint64_t length,
		 unsigned int direction, struct udrv_dma_segment *segments, uint32_t *count,
		 uint32_t *handle)
{
	struct udrv_ioc_dma_map arg = NODE_ARG(arg);
	int result;

	arg.user_addr = (uintptr_t)address;
	arg.length = length;
	arg.segments = (uintptr_t)segments;
	arg.segment_count = *count;
	arg.direction = direction;
	result = ioctl(node->fd, UDRV_IOC_DMA_MAP, &arg);
	*count = arg.segment_count;
	*handle = arg.handle;
	return result;
}

int node_dma_sync(const struct node *node, uint32_t handle, unsigned int to, uint64_t offset,
		  uint64_t length)
{
	struct udrv_ioc_dma_sync arg = NODE_ARG(arg);

	arg.handle = handle;
	arg.to = to;
	arg.offset = offset;
	arg.length = length;
	return ioctl(node->fd, UDRV_IOC_DMA_SYNC, &arg);
}

void edu_dma_start(const struct node *node, bool from_device, uint64_t iova, unsigned int offset,
		   unsigned int length, bool interrupt)
{
	uint64_t buffer = EDU_BUFFER + offset;

	/* QEMU 7.2 ends on a transfer that reaches the buffer's last byte. */
	REQUIRE(length > 0 && offset < EDU_BUFFER_BYTES && length < EDU_BUFFER_BYTES - offset);
	edu_dma_wait(node);
	*(volatile uint64_t *)(node->bar0 + EDU_DMA_SRC) = from_device ? buffer : iova;
	*(volatile uint64_t *)(node->bar0 + EDU_DMA_DST) = from_device ? iova : buffer;
	node_write32(node, EDU_DMA_COUNT, length);
	node_write32(node, EDU_DMA_CMD, EDU_DMA_RUN | (from_device ? EDU_DMA_FROM_DEVICE : 0) |
						(interrupt ? EDU_DMA_IRQ : 0));
}

void edu_dma_wait(const struct node *node)
{
	REQUIRE(OS_WAIT_FOR(!(node_read32(node, EDU_DMA_CMD) & EDU_DMA_RUN), 30000));
}

void edu_dma(const struct node *node, bool from_device, uint64_t iova, unsigned int offset,
	     unsigned int length)
{
	edu_dma_start(node, from_device, iova, offset, length, false);
	edu_dma_wait(node);
}
