// SPDX-License-Identifier: MIT
/*
 * hotplug.c - pull the lab's hot-plug device out, and plug a new one in
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
	REQUIRE(OS_WAIT_FOR(node_find(node, "hot"), HOT_MS));
}
