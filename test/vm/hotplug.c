// SPDX-License-Identifier: MIT
/*
 * hotplug.c - pull the lab's hot-plug devices out, and plug new ones in
 *
 * Through QEMU's monitor, which the program `lab` reaches. Owns the order of events: the monitor
 * answers before anything has happened. Gone is what is gone from sysfs; the slot is free again
 * when QEMU takes a device of the same name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define HOT_MS 60000

/*
 * The kernel makes the link in /sys/bus/pci/devices before it puts the device on the bus's list, and
 * drivers_probe knows the list: ENODEV in between. The directory of its power comes after both.
 */
static bool plugged(struct node *node, const char *kind)
{
	char power[80];

	if (!node_find(node, kind))
		return false;
	snprintf(power, sizeof(power), "%s/power", node->sysfs);
	return !access(power, F_OK);
}

void node_pull(const struct node *node)
{
	REQUIRE_EQ(system("lab monitor device_del hot0"), 0);
	REQUIRE(OS_WAIT_FOR(access(node->sysfs, F_OK), HOT_MS));
}

void node_plug(struct node *node)
{
	/* Refused, on stderr, for as long as the old one is not quite gone. */
	REQUIRE(OS_WAIT_FOR(!system("lab monitor device_add "
				    "edu,id=hot0,bus=rp0,addr=00.0,dma_mask=0xffffffff 2>/dev/null"),
			    HOT_MS));
	REQUIRE(OS_WAIT_FOR(plugged(node, "hot"), HOT_MS));
}

/* Function 0 comes last: it is what the guest is told of. */
void node_plug_small(void)
{
	struct node node;

	for (int i = 1; i >= 0; i--) {
		char command[256];

		snprintf(command, sizeof(command),
			 "lab monitor object_add memory-backend-ram,id=memory%d,size=1M && "
			 "lab monitor device_add ivshmem-plain,id=small%d,memdev=memory%d,bus=rp1,addr=00.%d,"
			 "multifunction=on", i, i, i, i);
		REQUIRE_EQ(system(command), 0);
	}
	REQUIRE(OS_WAIT_FOR(plugged(&node, "small0") && plugged(&node, "small1"), HOT_MS));
}

void node_pull_small(void)
{
	struct node node[2];

	/* Function 1 may be gone from sysfs already. */
	node_find(&node[0], "small0");
	node_find(&node[1], "small1");
	REQUIRE_EQ(system("lab monitor device_del small0"), 0);
	REQUIRE(OS_WAIT_FOR(access(node[0].sysfs, F_OK) && access(node[1].sysfs, F_OK), HOT_MS));
	/* In use, on stderr, for as long as the devices are not quite gone. */
	for (int i = 0; i < 2; i++)
		REQUIRE(OS_WAIT_FOR(!system(i ? "lab monitor object_del memory1 2>/dev/null" :
						"lab monitor object_del memory0 2>/dev/null"),
				    HOT_MS));
}
