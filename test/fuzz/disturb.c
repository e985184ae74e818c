// SPDX-License-Identifier: MIT
/*
 * disturb.c - taking the device away from under the calls, and giving it back
 *
 * One thread of a round does it, in the way that is the round's; the others open the node again
 * when they get to it. device_back() brings about what must hold before the next round: the device
 * is there and bound.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

static long told(const char *path, const char *text)
{
	return os_write(path, text) ? -errno : 0;
}

static long revoke_run(const struct op *op)
{
	char path[128];

	(void)op;
	snprintf(path, sizeof(path), "/sys/class/udrv/%s/revoke", round_.node.name);
	return told(path, "1");
}

static long unbind_run(const struct op *op)
{
	(void)op;
	return told("/sys/bus/pci/drivers/udrv/unbind", round_.node.address);
}

static long claim(const struct node *node)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/driver_override", node->sysfs);
	return told(path, "udrv") ?: told("/sys/bus/pci/drivers_probe", node->address);
}

static long bind_run(const struct op *op)
{
	(void)op;
	return claim(&round_.node);
}

static long remove_run(const struct op *op)
{
	char path[128];

	(void)op;
	snprintf(path, sizeof(path), "%s/remove", round_.node.sysfs);
	return told(path, "1");
}

static long rescan_run(const struct op *op)
{
	long result = told("/sys/bus/pci/rescan", "1");

	(void)op;
	return result ?: claim(&round_.node);
}

/* The lab's host does it; a refusal (it is being unplugged) is no error of ours. */
static long monitor(const char *command)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return -errno;
	if (child == 0) {
		int nothing = open("/dev/null", O_WRONLY);

		if (nothing >= 0)
			dup2(nothing, 2);
		execlp("lab", "lab", "monitor", command, NULL);
		_exit(127);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status ? -EIO : 0;
}

static long unplug_run(const struct op *op)
{
	(void)op;
	return monitor("device_del hot0");
}

static long plug_run(const struct op *op)
{
	long result = monitor("device_add edu,id=hot0,bus=rp0,addr=00.0,dma_mask=0xffffffff");

	(void)op;
	return result ?: claim(&round_.node);
}

/*
 * A removal that the monitor was asked for may still be under way, and nothing tells: so it is
 * brought to its end. Either request is refused while the other one is not through.
 */
static void plug_anew(const struct node *node)
{
	for (int i = 0; i < 20 && !access(node->sysfs, F_OK); i++) {
		monitor("device_del hot0");
		OS_WAIT_FOR(access(node->sysfs, F_OK) != 0, 3000);
	}
	for (int i = 0; i < 20 && access(node->sysfs, F_OK); i++) {
		plug_run(NULL);
		OS_WAIT_FOR(!access(node->sysfs, F_OK), 3000);
	}
}

void device_back(const struct node *node, const struct device *device,
		 const struct flavour *flavour)
{
	if (flavour->disturb == HOTPLUG)
		plug_anew(node);
	else if (access(node->sysfs, F_OK) && device->removable)
		REQUIRE_OK(os_write("/sys/bus/pci/rescan", "1"));
	/* One that is just being added does not take a driver yet. */
	REQUIRE(OS_WAIT_FOR(
		!access(node->path, F_OK) || (!claim(node) && !access(node->path, F_OK)), 20000));
}

const struct op disturb_ops[] = {
	{ .name = "revoke",
	  .run = revoke_run,
	  .weight = 1 << REVOKE | 1 << UNBIND | 1 << REMOVE | 1 << HOTPLUG },
	{ .name = "unbind", .run = unbind_run, .weight = 1 << UNBIND | 1 << REMOVE },
	{ .name = "bind", .run = bind_run, .weight = 1 << UNBIND | 1 << REMOVE | 1 << HOTPLUG },
	{ .name = "remove", .run = remove_run, .weight = 1 << REMOVE },
	{ .name = "rescan", .run = rescan_run, .weight = 1 << REMOVE },
	{ .name = "unplug", .run = unplug_run, .weight = 1 << HOTPLUG },
	{ .name = "plug", .run = plug_run, .weight = 1 << HOTPLUG },
};
const size_t disturb_op_count = COUNT_OF(disturb_ops);
