// SPDX-License-Identifier: MIT
/*
 * power_test.c - power: held while a driver has the device, and no suspend under its feet
 *
 * A device may sleep while nobody has it open, and is awake from open to the end of its driver. The
 * system does not suspend while a driver has a device: a process cannot be asked to put its
 * device's state away. Device sets: hotplug, aer.
 *
 * The hard part is to try a suspend of a machine whose files come over virtio-9p, which does not
 * survive one. Devices are suspended one after the other, last come first; what is plugged in by
 * the test comes first, and one that refuses ends it before it reaches any other. So a device that
 * nobody has open is seen to be suspended and resumed, but not powered down.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define RAL0 0x5400U
#define RAL0_VALUE 0x00005452U /* 52:54:00:00 */

static struct node card, hot;

static const char *attribute(const struct node *node, const char *name)
{
	static char text[64];
	char path[128];

	snprintf(path, sizeof(path), "%s/power/%s", node->sysfs, name);
	REQUIRE_OK(os_read(path, text, sizeof(text)));
	return text;
}

static bool status_is(const struct node *node, const char *status)
{
	return !strcmp(attribute(node, "runtime_status"), status);
}

static void control(const struct node *node, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/power/control", node->sysfs);
	REQUIRE_OK(os_write(path, value));
}

static void runtime(void)
{
	void *view;

	node_get(&card, "aer");
	node_bind(&card);
	control(&card, "auto");
	for (int i = 0; i < 3; i++) {
		tap_step("nobody has it open: it sleeps (%d)", i);
		CHECK(OS_WAIT_FOR(status_is(&card, "suspended"), 30000));
		tap_step("open: awake, and its registers answer (%d)", i);
		node_open_mapped(&card, "aer");
		CHECK(status_is(&card, "active"));
		CHECK_EQ(node_read32(&card, RAL0), RAL0_VALUE);
		CHECK_EQ(node_config(&card, node_capability(&card, 0x01) + 4, 2) & 3, 0); /* D0 */
		CHECK_OK(node_bus_master(&card, true));
		CHECK_EQ(node_irq_setup(&card, UDRV_IRQ_MSIX, 2), 2);
		tap_step("a mapping alone keeps it awake (%d)", i);
		view = (void *)card.bar0;
		REQUIRE_OK(close(card.fd));
		card.fd = -1;
		CHECK(status_is(&card, "active"));
		CHECK_EQ(node_read32(&card, RAL0), RAL0_VALUE);
		REQUIRE_OK(munmap(view, card.bar0_length));
		card.bar0 = NULL;
	}
	CHECK(OS_WAIT_FOR(status_is(&card, "suspended"), 30000));
	tap_step("taken from its driver: it may sleep, although the descriptor is open");
	node_open(&card, "aer");
	CHECK(status_is(&card, "active"));
	node_unbind(&card);
	node_bind(&card);
	CHECK(OS_WAIT_FOR(status_is(&card, "suspended"), 30000));
	node_close(&card);
	tap_step("not allowed to sleep: it does not");
	control(&card, "on");
	CHECK(status_is(&card, "active"));
	node_open(&card, "aer");
	node_close(&card);
	CHECK(status_is(&card, "active"));
}

static const char *suspend_stat(const char *name)
{
	static char text[64];
	char path[128];

	snprintf(path, sizeof(path), "/sys/power/suspend_stats/%s", name);
	REQUIRE_OK(os_read(path, text, sizeof(text)));
	return text;
}

static void system_suspend(void)
{
	static const char plug[] =
		"lab monitor device_add edu,id=hot1,bus=rp1,addr=00.0,dma_mask=0xffffffff";
	struct node closed;

	/* Both new, the one that will be held older than the other. */
	node_get(&hot, "hot");
	node_pull(&hot);
	node_plug(&hot);
	node_open_mapped(&hot, "hot");
	edu_dma_wait(&hot);
	REQUIRE_EQ(system(plug), 0);
	REQUIRE_OK(setenv("UDRV_HOT", "02:00.0", 1));
	REQUIRE(OS_WAIT_FOR(node_find(&closed, "hot"), 30000));
	node_open_mapped(&closed, "hot");
	node_write32(&closed, EDU_LIVE, 0x55);
	node_close(&closed);

	tap_step("suspend is refused while a driver has a device");
	REQUIRE_OK(os_write("/sys/power/pm_async", "0"));
	REQUIRE_OK(os_write("/sys/power/pm_test", "devices"));
	for (int i = 0; i < 3; i++) {
		REQUIRE_OK(node_bus_master(&hot, true));
		CHECK_ERROR(os_write("/sys/power/state", "freeze"), EBUSY);
		CHECK_STR(suspend_stat("last_failed_dev"), hot.address);
		CHECK_STR(suspend_stat("last_failed_errno"), "-16");
		tap_step("and its driver has not noticed (%d)", i);
		CHECK_EQ(node_master(&hot), 1);
		CHECK_EQ(node_read32(&hot, EDU_ID), EDU_ID_VALUE);
		CHECK_EQ(node_irq_setup(&hot, i % 2 ? UDRV_IRQ_MSI : UDRV_IRQ_INTX, 1), 1);
		tap_step("the one that nobody had open went along, and works again (%d)", i);
		node_open_mapped(&closed, "hot");
		CHECK_EQ(node_read32(&closed, EDU_ID), EDU_ID_VALUE);
		CHECK_EQ(node_read32(&closed, EDU_LIVE), ~0x55U);
		CHECK_EQ(node_master(&closed), 0);
		node_close(&closed);
	}
	REQUIRE_OK(os_write("/sys/power/pm_test", "none"));
	REQUIRE_OK(os_write("/sys/power/pm_async", "1"));
	node_close(&hot);
	REQUIRE_EQ(system("lab monitor device_del hot1"), 0);
	REQUIRE(OS_WAIT_FOR(access(closed.sysfs, F_OK), 30000));
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(runtime),
		TAP_TEST(system_suspend),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
