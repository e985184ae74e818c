// SPDX-License-Identifier: MIT
/*
 * device_test.c - the node: who may open it, what it says of the device, how it comes and goes
 *
 * What the node says is compared with what the kernel's own PCI code says in sysfs. Reset, unbind in
 * use and rmmod are unbind_test.c's. The hard part is to compare without using the module's own words:
 * capabilities and sizes are read again here, from config space.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

static void exclusive(void)
{
	struct node edu;
	pid_t child;

	node_open(&edu, "edu");
	tap_step("a second open, here and in a child");
	CHECK_ERROR(open(edu.path, O_RDWR), EBUSY);
	CHECK_ERROR(open(edu.path, O_RDONLY), EBUSY);
	CHECK_ERROR(open(edu.path, O_RDWR | O_NONBLOCK), EBUSY);
	child = fork();
	if (child == 0) {
		CHECK_ERROR(open(edu.path, O_RDWR), EBUSY);
		_exit(0);
	}
	OS_CHILD_OK(child);
	tap_step("again after close");
	close(edu.fd);
	for (int i = 0; i < 100; i++) {
		REQUIRE_OK(edu.fd = open(edu.path, O_RDWR));
		CHECK_ERROR(open(edu.path, O_RDWR), EBUSY);
		CHECK_OK(close(edu.fd));
	}
}

static void privilege(void)
{
	struct node edu;
	pid_t child;
	int fd;

	node_get(&edu, "edu");
	node_bind(&edu);
	tap_step("root without CAP_SYS_RAWIO");
	child = fork();
	if (child == 0) {
		os_drop_capability(CAP_SYS_RAWIO);
		if (strcmp(node_attribute(&edu, "trust"), "confined")) {
			CHECK_ERROR(open(edu.path, O_RDWR), EPERM);
			CHECK_ERROR(open(edu.path, O_RDONLY), EPERM);
		} else {
			CHECK_OK(open(edu.path, O_RDWR));
		}
		_exit(0);
	}
	OS_CHILD_OK(child);
	tap_step("another user: the node is root's");
	child = fork();
	if (child == 0) {
		REQUIRE_OK(setuid(65534));
		CHECK_ERROR(open(edu.path, O_RDWR), EACCES);
		CHECK_ERROR(open(edu.path, O_RDONLY), EACCES);
		_exit(0);
	}
	OS_CHILD_OK(child);
	tap_step("a refused open leaves the node free");
	REQUIRE_OK(fd = open(edu.path, O_RDWR));
	tap_step("a descriptor from before works without the capability");
	child = fork();
	if (child == 0) {
		os_drop_capability(CAP_SYS_RAWIO);
		edu.fd = fd;
		CHECK_EQ(node_info(&edu).device, 0x11e8);
		_exit(0);
	}
	OS_CHILD_OK(child);
	close(fd);
}

static void node_comes_and_goes(void)
{
	char path[128], target[256];
	struct stat st;
	struct node edu;
	ssize_t length;

	node_get(&edu, "edu");
	node_bind(&edu);
	tap_step("bound: a character device of root's and, by the udev rule, of the group udrv; a class device");
	REQUIRE_EQ(system("udevadm settle"), 0);
	REQUIRE_OK(stat(edu.path, &st));
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(st.st_mode & 0777, 0660);
	CHECK_EQ(st.st_uid, 0);
	REQUIRE(getgrnam("udrv"));
	CHECK_EQ(st.st_gid, getgrnam("udrv")->gr_gid);
	snprintf(path, sizeof(path), "/sys/class/udrv/%s/device", edu.name);
	length = readlink(path, target, sizeof(target) - 1);
	REQUIRE(length > 0);
	target[length] = 0;
	CHECK_STR(strrchr(target, '/') + 1, edu.address);
	CHECK(!os_read("/sys/module/udrv/version", target, sizeof(target)) && target[0]);

	for (int i = 0; i < 5; i++) {
		tap_step("unbound: neither (%d)", i);
		node_unbind(&edu);
		CHECK_ERROR(open(edu.path, O_RDWR), ENOENT);
		CHECK_ERROR(access(path, F_OK), ENOENT);
		node_bind(&edu);
		node_reopen(&edu);
		node_close(&edu);
	}
}

/* What the capability lists in config space say, read here without the module's help. */
static unsigned int msi_vectors(const struct node *node)
{
	unsigned int cap = node_capability(node, 0x05);

	return cap ? 1U << (node_config(node, cap + 2, 2) >> 1 & 7) : 0;
}

static unsigned int msix_vectors(const struct node *node)
{
	unsigned int cap = node_capability(node, 0x11);

	return cap ? (node_config(node, cap + 2, 2) & 0x7ff) + 1 : 0;
}

static bool translated(const struct node *node)
{
	char path[128], type[32];

	snprintf(path, sizeof(path), "%s/iommu_group/type", node->sysfs);
	return !os_read(path, type, sizeof(type)) && !strncmp(type, "DMA", 3);
}

static int iommu_group(const struct node *node)
{
	char path[128], target[256];
	ssize_t length;

	snprintf(path, sizeof(path), "%s/iommu_group", node->sysfs);
	length = readlink(path, target, sizeof(target) - 1);
	target[length < 0 ? 0 : length] = 0;
	return length < 0 ? -1 : atoi(strrchr(target, '/') + 1);
}

static void info(void)
{
	const uint64_t features = UDRV_FEATURE_IRQ | UDRV_FEATURE_IRQ_EVENTFD |
				  UDRV_FEATURE_BAR_WC | UDRV_FEATURE_DMA_CONSISTENT |
				  UDRV_FEATURE_DMA_STREAMING | UDRV_FEATURE_PROG;
	unsigned int known = UDRV_DEVICE_BUS_MASTER | UDRV_DEVICE_RESET | UDRV_DEVICE_IOMMU |
			     UDRV_DEVICE_INTX_MASK | UDRV_DEVICE_CONFINED;
	unsigned int devices = 0;

	for (size_t i = 0; node_kinds[i]; i++) {
		unsigned int domain, bus, slot, function;
		struct udrv_ioc_device_info info;
		struct node node;
		char path[128], text[64];

		if (!node_find(&node, node_kinds[i]))
			continue;
		devices++;
		tap_step("%s", node.kind);
		node_open(&node, node.kind);
		info = node_info(&node);
		sscanf(node.address, "%x:%x:%x.%x", &domain, &bus, &slot, &function);
		CHECK_EQ(info.size, sizeof(info));
		CHECK_EQ(info.features, features);
		CHECK_EQ(info.domain, domain);
		CHECK_EQ(info.bus, bus);
		CHECK_EQ(info.slot, slot);
		CHECK_EQ(info.function, function);
		CHECK_EQ(info.vendor, node_pci_number(&node, "vendor"));
		CHECK_EQ(info.device, node_pci_number(&node, "device"));
		CHECK_EQ(info.subsystem_vendor, node_pci_number(&node, "subsystem_vendor"));
		CHECK_EQ(info.subsystem_device, node_pci_number(&node, "subsystem_device"));
		CHECK_EQ(info.revision, node_pci_number(&node, "revision"));
		CHECK_EQ(info.class_code, node_pci_number(&node, "class"));
		CHECK_EQ(info.region_count, UDRV_REGION_COUNT);
		CHECK_EQ(info.intx_count, node_config(&node, 0x3d, 1) != 0);
		CHECK_EQ(info.msi_count, msi_vectors(&node));
		CHECK_EQ(info.msix_count, msix_vectors(&node));
		CHECK_EQ(info.dma_mask_bits, 32);
		CHECK_EQ(info.iommu_group, iommu_group(&node));
		snprintf(path, sizeof(path), "%s/numa_node", node.sysfs);
		/* A kernel without NUMA has no such file. */
		if (os_read(path, text, sizeof(text)) < 0)
			strcpy(text, "-1");
		CHECK_EQ(info.numa_node, atoi(text));
		CHECK_EQ(info.reserved, 0);
		CHECK_EQ(info.state & ~known, 0);
		CHECK_EQ(info.state & UDRV_DEVICE_BUS_MASTER, 0);
		CHECK_EQ(!!(info.state & UDRV_DEVICE_IOMMU), translated(&node));
		snprintf(path, sizeof(path), "%s/reset", node.sysfs);
		CHECK_EQ(!!(info.state & UDRV_DEVICE_RESET), !access(path, F_OK));
		/* It works on all of QEMU's devices; of those without a line nothing is said. */
		if (info.intx_count)
			CHECK(info.state & UDRV_DEVICE_INTX_MASK);
		node_close(&node);
	}
	CHECK_GT(devices, 0);
}

/* The resource file: one line for each BAR, of first address, last address, kernel's flags. */
static void check_region(const struct node *node, unsigned int index)
{
	struct udrv_ioc_region_info region = node_region(node, index);
	unsigned long long first = 0, last = 0, flags = 0;
	char path[128], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/resource", node->sysfs);
	file = fopen(path, "r");
	REQUIRE(file);
	for (unsigned int i = 0; i <= index; i++)
		REQUIRE(fgets(line, sizeof(line), file) &&
			sscanf(line, "%llx %llx %llx", &first, &last, &flags) == 3);
	fclose(file);
	if (!flags) {
		CHECK_EQ(region.length, 0);
		CHECK_EQ(region.region_flags, 0);
		CHECK_EQ(region.offset_wc, 0);
		CHECK_EQ(region.nomap_length, 0);
		return;
	}
	CHECK_EQ(region.length, last - first + 1);
	CHECK(region.region_flags & UDRV_REGION_READ);
	CHECK(region.region_flags & UDRV_REGION_WRITE);
	CHECK_EQ(!!(region.region_flags & UDRV_REGION_PORT), !!(flags & 0x100));
	CHECK_EQ(!!(region.region_flags & UDRV_REGION_PREFETCH), !!(flags & 0x2000));
	CHECK_EQ(!!(region.region_flags & UDRV_REGION_64BIT), !!(flags & 0x100000));
	CHECK_EQ(region.offset_wc != 0, !!(region.region_flags & UDRV_REGION_MMAP));
	if (flags & 0x100)
		CHECK_EQ(region.region_flags & UDRV_REGION_MMAP, 0);
	else if (region.length >= PAGE)
		CHECK(region.region_flags & UDRV_REGION_MMAP || region.nomap_length);
	CHECK_EQ(region.nomap_offset % PAGE, 0);
	CHECK_EQ(region.nomap_length % PAGE, 0);
}

/* MSI-X table and pending bits, by the capability, are inside what cannot be mapped. */
static void check_nomap(const struct node *node)
{
	unsigned int cap = node_capability(node, 0x11);

	for (unsigned int at = 4; cap && at <= 8; at += 4) {
		uint32_t where = node_config(node, cap + at, 4);
		struct udrv_ioc_region_info region = node_region(node, where & 7);
		uint64_t first = where & ~7U, vectors = msix_vectors(node);
		uint64_t end = first + (at == 4 ? vectors * 16 : (vectors + 63) / 64 * 8);

		if (!(region.region_flags & UDRV_REGION_MMAP))
			continue;
		CHECK_LE(region.nomap_offset, first);
		CHECK_GE(region.nomap_offset + region.nomap_length, end);
	}
}

static void regions(void)
{
	for (size_t i = 0; node_kinds[i]; i++) {
		struct udrv_ioc_region_info region = NODE_ARG(region), others[UDRV_REGION_COUNT];
		char path[128];
		struct stat st;
		struct node node;

		if (!node_find(&node, node_kinds[i]))
			continue;
		tap_step("%s", node.kind);
		node_open(&node, node.kind);
		for (unsigned int n = 0; n < UDRV_REGION_CONFIG; n++)
			check_region(&node, n);
		check_nomap(&node);

		snprintf(path, sizeof(path), "%s/config", node.sysfs);
		REQUIRE_OK(stat(path, &st));
		region = node_region(&node, UDRV_REGION_CONFIG);
		CHECK_EQ(region.length, st.st_size);
		CHECK_EQ(region.region_flags, UDRV_REGION_READ | UDRV_REGION_WRITE);
		CHECK_EQ(region.offset_wc, 0);

		for (unsigned int n = 0; n < UDRV_REGION_COUNT; n++) {
			others[n] = node_region(&node, n);
			CHECK_EQ(others[n].offset % PAGE, 0);
			CHECK_LE(others[n].offset + others[n].length, 1ULL << 44);
			CHECK_LE(others[n].offset_wc + others[n].length, 1ULL << 44);
			CHECK(others[n].offset || !others[n].length);
			for (unsigned int m = 0; m < n; m++)
				CHECK(others[m].offset + others[m].length <= others[n].offset ||
				      others[n].offset + others[n].length <= others[m].offset);
		}
		for (unsigned int n = UDRV_REGION_COUNT; n; n = n < 1U << 31 ? n * 2 : 0) {
			region.index = n;
			CHECK_ERROR(ioctl(node.fd, UDRV_IOC_REGION_INFO, &region), EINVAL);
		}
		node_close(&node);
	}
}

#define MASTER(node) (node_config(node, 4, 2) >> 2 & 1)

static void bus_master(void)
{
	struct udrv_ioc_device_bus_master arg = NODE_ARG(arg);
	struct node edu;

	node_get(&edu, "edu");
	node_bind(&edu);
	tap_step("off at open, whoever left it on");
	node_config_write(&edu, 4, 2, node_config(&edu, 4, 2) | 4);
	CHECK_EQ(MASTER(&edu), 1);
	node_reopen(&edu);
	CHECK_EQ(MASTER(&edu), 0);
	for (int i = 0; i < 2; i++) {
		tap_step("on, off (%d)", i);
		CHECK_OK(node_bus_master(&edu, true));
		CHECK_OK(node_bus_master(&edu, true));
		CHECK_EQ(MASTER(&edu), 1);
		CHECK_EQ(node_number(&edu, "bus_master"), 1);
		CHECK(node_info(&edu).state & UDRV_DEVICE_BUS_MASTER);
		CHECK_OK(node_bus_master(&edu, false));
		CHECK_OK(node_bus_master(&edu, false));
		CHECK_EQ(MASTER(&edu), 0);
		CHECK_EQ(node_number(&edu, "bus_master"), 0);
		CHECK(!(node_info(&edu).state & UDRV_DEVICE_BUS_MASTER));
	}
	tap_step("other values");
	arg.enable = 2;
	CHECK_ERROR(ioctl(edu.fd, UDRV_IOC_DEVICE_BUS_MASTER, &arg), EINVAL);
	arg.enable = ~0U;
	CHECK_ERROR(ioctl(edu.fd, UDRV_IOC_DEVICE_BUS_MASTER, &arg), EINVAL);
	CHECK_EQ(MASTER(&edu), 0);
	tap_step("off after close");
	CHECK_OK(node_bus_master(&edu, true));
	CHECK_EQ(MASTER(&edu), 1);
	node_close(&edu);
	CHECK_EQ(MASTER(&edu), 0);
}

static void reopen_is_clean(void)
{
	struct udrv_ioc_dma_alloc buffer;
	struct udrv_dma_segment segment;
	uint32_t count = 1, handle;
	struct node edu;
	void *memory = aligned_alloc(PAGE, PAGE);

	memset(memory, 1, PAGE);
	for (int i = 0; i < 20; i++) {
		tap_step("round %d", i);
		node_open_mapped(&edu, "edu");
		CHECK_EQ(node_info(&edu).state & UDRV_DEVICE_BUS_MASTER, 0);
		CHECK_EQ(node_info(&edu).dma_mask_bits, 32);
		CHECK_EQ(node_irq_info(&edu, 0).kind, UDRV_IRQ_NONE);
		CHECK_EQ(node_irq_info(&edu, 0).total, 0);
		CHECK_EQ(node_number(&edu, "owner"), getpid());
		CHECK_OK(node_bus_master(&edu, true));
		CHECK_EQ(node_irq_setup(&edu, i % 2 ? UDRV_IRQ_MSI : UDRV_IRQ_INTX, 1), 1);
		CHECK_OK(node_irq_unmask(&edu, 0, 1));
		edu_raise(&edu, 1);
		CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).total == 1, 30000));
		edu_ack(&edu);
		CHECK_OK(node_dma_mask(&edu, 31)); /* all of the lab's memory, bounce buffer or not */
		CHECK_OK(node_dma_alloc(&edu, 3 * PAGE, &buffer));
		count = 1;
		CHECK_OK(node_dma_map(&edu, memory, PAGE, UDRV_DMA_BIDIRECTIONAL, &segment, &count,
				      &handle));
		CHECK_EQ(node_number(&edu, "dma_consistent"), 3 * PAGE);
		CHECK_EQ(node_number(&edu, "dma_streaming"), PAGE);
		node_close(&edu);
		CHECK_EQ(node_number(&edu, "owner"), 0);
		CHECK_STR(node_attribute(&edu, "irq"), "none 0");
	}
}

static void send_descriptor(int socket, int fd)
{
	char room[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec io = { &byte, 1 };
	struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = room,
				  .msg_controllen = sizeof(room) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	REQUIRE_EQ(sendmsg(socket, &message, 0), 1);
}

static int receive_descriptor(int socket)
{
	char room[CMSG_SPACE(sizeof(int))] = "", byte;
	struct iovec io = { &byte, 1 };
	struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = room,
				  .msg_controllen = sizeof(room) };
	int fd;

	REQUIRE_EQ(recvmsg(socket, &message, 0), 1);
	REQUIRE(CMSG_FIRSTHDR(&message));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static void passed_and_inherited(void)
{
	int sockets[2], copy, from_child[2];
	char byte = 0;
	struct node edu;
	pid_t child;

	REQUIRE_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	REQUIRE_OK(pipe(from_child));
	tap_step("passed over a socket; the sender closes");
	child = fork();
	if (child == 0) {
		struct udrv_irq_record record;

		node_get(&edu, "edu");
		edu.fd = receive_descriptor(sockets[1]);
		REQUIRE_EQ(write(from_child[1], "x", 1), 1);
		REQUIRE_EQ(read(sockets[1], &byte, 1), 1);
		CHECK_EQ(node_info(&edu).vendor, 0x1234);
		CHECK_ERROR(open(edu.path, O_RDWR), EBUSY);
		REQUIRE_EQ(pwrite(edu.fd, &(uint32_t){ 1 }, 4,
				  node_region(&edu, 0).offset + EDU_IRQ_RAISE), 4);
		CHECK_EQ(read(edu.fd, &record, sizeof(record)), sizeof(record));
		CHECK_EQ(record.count, 1);
		REQUIRE_EQ(pwrite(edu.fd, &(uint32_t){ ~0U }, 4,
				  node_region(&edu, 0).offset + EDU_IRQ_ACK), 4);
		_exit(0);
	}
	node_open(&edu, "edu");
	send_descriptor(sockets[0], edu.fd);
	REQUIRE_EQ(read(from_child[0], &byte, 1), 1);
	close(edu.fd);
	CHECK_ERROR(open(edu.path, O_RDWR), EBUSY);
	REQUIRE_EQ(write(sockets[0], "x", 1), 1);
	OS_CHILD_OK(child);

	tap_step("inherited over fork and exec");
	node_reopen(&edu);
	child = fork();
	if (child == 0) {
		char fd[16];

		REQUIRE_OK(fcntl(edu.fd, F_SETFD, 0));
		snprintf(fd, sizeof(fd), "%d", edu.fd);
		execl("/proc/self/exe", "device_test", "--inherited", fd, NULL);
		_exit(127);
	}
	OS_CHILD_OK(child);

	tap_step("duplicated: the last close counts");
	REQUIRE_OK(copy = dup(edu.fd));
	node_close(&edu);
	CHECK_ERROR(open(edu.path, O_RDWR), EBUSY);
	edu.fd = copy;
	CHECK_EQ(node_info(&edu).device, 0x11e8);
	node_close(&edu);
	node_reopen(&edu);
	node_close(&edu);
}

/* The other side of "inherited over exec": no TAP here, the status is the answer. */
static int inherited(int fd)
{
	struct udrv_ioc_device_info info = NODE_ARG(info);

	return ioctl(fd, UDRV_IOC_DEVICE_INFO, &info) || info.vendor != 0x1234 ||
	       info.device != 0x11e8;
}

static void attributes(void)
{
	static const char *const names[] = { "owner", "irq", "interrupts", "bus_master",
					     "dma_consistent", "dma_streaming" };
	char path[128];
	struct node edu;

	node_open_mapped(&edu, "edu");
	tap_step("read-only");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/sys/class/udrv/%s/%s", edu.name, names[i]);
		CHECK_OK(access(path, R_OK));
		CHECK_ERROR(open(path, O_WRONLY), EACCES);
	}
	tap_step("owner");
	CHECK_EQ(node_number(&edu, "owner"), getpid());
	tap_step("irq, interrupts");
	CHECK_STR(node_attribute(&edu, "irq"), "none 0");
	CHECK_EQ(node_number(&edu, "interrupts"), 0);
	CHECK_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
	CHECK_STR(node_attribute(&edu, "irq"), "intx 1");
	for (int i = 1; i < 10; i++) {
		uint32_t total;

		edu_raise(&edu, 1);
		CHECK_EQ(read(edu.fd, &total, 4), 4);
		edu_ack(&edu);
		CHECK_EQ(node_number(&edu, "interrupts"), i);
	}
	CHECK_OK(node_bus_master(&edu, true));
	CHECK_EQ(node_irq_setup(&edu, UDRV_IRQ_MSI, 1), 1);
	CHECK_STR(node_attribute(&edu, "irq"), "msi 1");
	CHECK_EQ(node_number(&edu, "interrupts"), 0);
	CHECK_EQ(node_irq_setup(&edu, UDRV_IRQ_NONE, 0), 0);
	CHECK_STR(node_attribute(&edu, "irq"), "none 0");
	node_close(&edu);
	CHECK_EQ(node_number(&edu, "owner"), 0);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(exclusive),
		TAP_TEST(privilege),
		TAP_TEST(node_comes_and_goes),
		TAP_TEST(info),
		TAP_TEST(regions),
		TAP_TEST(bus_master),
		TAP_TEST(reopen_is_clean),
		TAP_TEST(passed_and_inherited),
		TAP_TEST(attributes),
	};

	if (argc == 3 && !strcmp(argv[1], "--inherited"))
		return inherited(atoi(argv[2]));
	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
