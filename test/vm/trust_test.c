// SPDX-License-Identifier: MIT
/*
 * trust_test.c - who may open a device: the two tiers, and the way from one to the other
 *
 * What the tier should be follows from how the machine was booted: /proc/cmdline and sysfs say whether
 * there is an IOMMU, and whether it is strict. The hard part is the user without rights: a child gives
 * up root, and does real work with the device.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define NOBODY 65534

static struct node edu;

/* The type of the device's IOMMU domain, "" if there is none. */
static const char *domain_type(const struct node *node)
{
	static char type[32];
	char path[128];

	type[0] = 0;
	snprintf(path, sizeof(path), "%s/iommu_group/type", node->sysfs);
	if (os_read(path, type, sizeof(type)) < 0)
		type[0] = 0;
	return type;
}

static bool strict(const struct node *node)
{
	return !strcmp(domain_type(node), "DMA");
}

/* In a child without any right but the node's permissions: its exit status, -1 if it did not exit. */
static int as_nobody(int (*work)(void))
{
	int status = -1;
	pid_t child = fork();

	if (!child) {
		if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
			_exit(100);
		_exit(work());
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int opens(void)
{
	int fd = open(edu.path, O_RDWR);

	return fd < 0 ? errno : 0;
}

/* The whole of a small driver: a register, an interrupt, DMA both ways. */
static int drives(void)
{
	static char data[] = "nobody's own data";
	struct udrv_ioc_dma_alloc buffer;
	struct udrv_irq_record record;
	uint8_t *memory;

	edu.fd = open(edu.path, O_RDWR);
	if (edu.fd < 0)
		return 1;
	edu.bar0 = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, edu.fd,
			node_region(&edu, 0).offset);
	if (edu.bar0 == MAP_FAILED || node_read32(&edu, EDU_ID) != EDU_ID_VALUE)
		return 2;
	edu_raise(&edu, 1);
	if (read(edu.fd, &record, sizeof(record)) != sizeof(record) || record.count != 1)
		return 3;
	edu_ack(&edu);
	if (node_bus_master(&edu, true) || node_dma_alloc(&edu, 8192, &buffer))
		return 4;
	memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, edu.fd, buffer.offset);
	if (memory == MAP_FAILED)
		return 5;
	memcpy(memory, data, sizeof(data));
	edu_dma(&edu, false, buffer.iova, 0, sizeof(data));
	edu_dma(&edu, true, buffer.iova + 4096, 0, sizeof(data));
	return memcmp(memory + 4096, data, sizeof(data)) ? 6 : 0;
}

static void tier(void)
{
	const char *trust;

	node_open(&edu, "edu");
	trust = node_attribute(&edu, "trust");
	if (strict(&edu)) {
		tap_step("a strict domain: confined");
		CHECK_STR(trust, "confined");
		CHECK(node_info(&edu).state & UDRV_DEVICE_CONFINED);
	} else {
		tap_step("no IOMMU, or a lazy one: trusted, and it says why");
		CHECK_STR(trust, *domain_type(&edu) ? "trusted: its IOMMU domain is lazy" :
						      "trusted: no IOMMU translates its DMA");
		CHECK(!(node_info(&edu).state & UDRV_DEVICE_CONFINED));
	}
	node_close(&edu);
}

static void permissions(void)
{
	struct stat mode;

	node_open(&edu, "edu");
	node_close(&edu);
	REQUIRE_EQ(system("udevadm settle"), 0); /* it sets the permissions once, and is not to do it later */
	REQUIRE_OK(stat(edu.path, &mode));
	tap_step("by default the node is root's, and its group's");
	CHECK_EQ(as_nobody(opens), EACCES);

	REQUIRE_OK(chmod(edu.path, 0666));
	if (strict(&edu)) {
		tap_step("admitted by its permissions, anybody drives a confined device");
		CHECK_EQ(as_nobody(drives), 0);
	} else {
		tap_step("admitted or not: a device that is not confined wants CAP_SYS_RAWIO");
		CHECK_EQ(as_nobody(opens), EPERM);
	}
	REQUIRE_OK(chmod(edu.path, mode.st_mode & 07777));
}

static void taint(void)
{
	char value[32];

	node_open(&edu, "edu");
	tap_step("a trusted driver marks the kernel");
	REQUIRE(os_read("/proc/sys/kernel/tainted", value, sizeof(value)) >= 0);
	if (!strict(&edu))
		CHECK(strtoul(value, NULL, 10) & (1 << 6)); /* TAINT_USER */
	node_close(&edu);
}

/* ---- revocation ------------------------------------------------------------------------------- */

static void *read_until_the_end(void *arg)
{
	struct udrv_irq_record record;

	(void)arg;
	CHECK_ERROR(read(edu.fd, &record, sizeof(record)), ENODEV);
	return NULL;
}

static void revocation(void)
{
	struct os_thread reader;
	struct node other;
	char path[128];

	node_open_mapped(&edu, "edu");
	REQUIRE_EQ(node_read32(&edu, EDU_ID), EDU_ID_VALUE);
	REQUIRE_OK(node_bus_master(&edu, true));
	os_thread_start(&reader, read_until_the_end, NULL);
	os_wait_blocked(reader.tid, SYS_read);

	tap_step("taken from a driver that hangs");
	snprintf(path, sizeof(path), "/sys/class/udrv/%s/revoke", edu.name);
	CHECK_OK(os_write(path, "1"));
	os_thread_join(&reader);
	CHECK_EQ(node_read32(&edu, EDU_ID), 0xffffffff);
	CHECK_ERROR(node_bus_master(&edu, true), ENODEV);
	CHECK_EQ(node_config(&edu, 4, 2) & 4, 0); /* bus mastering is off */
	struct pollfd wait = { .fd = edu.fd, .events = POLLIN };
	CHECK_EQ(poll(&wait, 1, 0), 1);
	CHECK(wait.revents & POLLHUP);

	tap_step("another driver has it at once; the old descriptor stays dead");
	node_open_mapped(&other, "edu");
	CHECK_EQ(node_read32(&other, EDU_ID), EDU_ID_VALUE);
	CHECK_EQ(node_read32(&edu, EDU_ID), 0xffffffff);
	CHECK_ERROR(node_bus_master(&edu, true), ENODEV);
	node_close(&edu);
	CHECK_EQ(node_read32(&other, EDU_ID), EDU_ID_VALUE);
	CHECK_OK(node_bus_master(&other, true));
	node_close(&other);

	tap_step("of a node that nobody has open there is nothing to take");
	CHECK_OK(os_write(path, "1"));
	CHECK_ERROR(os_write(path, "perhaps"), EINVAL);
}

static const struct tap_test tests[] = {
	TAP_TEST(tier),
	TAP_TEST(permissions),
	TAP_TEST(taint),
	TAP_TEST(revocation),
};

int main(int argc, char **argv)
{
	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
