// SPDX-License-Identifier: MIT
/*
 * prog.c - register programs: hand them to the kernel
 *
 * The kernel verifies every operation; nothing is checked twice here.
 */
#include "internal.h"

int udrv_prog_set(struct udrv *device, unsigned int use, const struct udrv_prog_op *ops,
		  unsigned int count)
{
	struct udrv_ioc_prog_set call = {
		.size = sizeof(call),
		.use = use,
		.count = count,
		.ops = (uintptr_t)ops,
	};

	return udrv_call(device->fd, UDRV_IOC_PROG_SET, &call);
}

int udrv_prog_run(struct udrv *device, const struct udrv_prog_op *ops, unsigned int count,
		  uint64_t *values)
{
	struct udrv_ioc_prog_run call = {
		.size = sizeof(call),
		.count = count,
		.ops = (uintptr_t)ops,
		.values = (uintptr_t)values,
	};
	int rc = udrv_call(device->fd, UDRV_IOC_PROG_RUN, &call);

	return rc ? rc : (int)call.done;
}
