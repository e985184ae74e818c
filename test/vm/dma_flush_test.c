// SPDX-License-Identifier: MIT
/*
 * dma_flush_test.c - what was unmapped is out of the IOMMU's cache before its memory is anybody else's
 *
 * A lazy IOMMU forgets a mapping milliseconds after it was undone. No device of the lab is quick enough
 * to be caught at it, so the kernel's tracepoints are asked: after the last unmapping that this process
 * has made, has it had the cache emptied? What interrupts do meanwhile, the lazy domain's own timer
 * first, is not counted.
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

#define TRACING "/sys/kernel/tracing/"
#define UNMAPPED TRACING "events/iommu/unmap/enable"
#define SUBMITTED TRACING "events/intel_iommu/qi_submit/enable"

static struct node edu;

static void set_group_type(const char *type)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/iommu_group/type", edu.sysfs);
	REQUIRE_OK(os_write(path, type));
}

/* The type of the device's IOMMU domain, "" if there is none. */
static const char *group_type(void)
{
	static char type[32];
	char path[128];

	snprintf(path, sizeof(path), "%s/iommu_group/type", edu.sysfs);
	if (os_read(path, type, sizeof(type)) < 0)
		type[0] = 0;
	return type;
}

static void begin(void)
{
	node_open_mapped(&edu, "edu");
	if (!(node_info(&edu).state & UDRV_DEVICE_IOMMU))
		tap_skip("no IOMMU");
}

static void trace_begin(void)
{
	int fd;

	/* Opened like this, it forgets what was. */
	REQUIRE_OK(fd = open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
	close(fd);
	REQUIRE_OK(os_write(UNMAPPED, "1"));
	REQUIRE_OK(os_write(SUBMITTED, "1"));
}

/* What this process did since: unmappings, and how often the cache was emptied after the last of them. */
static void trace_end(unsigned int *unmapped, unsigned int *emptied_after)
{
	char line[512], task[32], flags[16], event[32], what[32];
	FILE *trace;
	int pid;

	REQUIRE_OK(os_write(UNMAPPED, "0"));
	REQUIRE_OK(os_write(SUBMITTED, "0"));
	*unmapped = *emptied_after = 0;
	REQUIRE((trace = fopen(TRACING "trace", "re")));
	while (fgets(line, sizeof(line), trace)) {
		/* task-pid [cpu] flags time: event: ...; the third flag tells an interrupt */
		if (sscanf(line, " %31[^-]-%d [%*d] %15s %*f: %31[^:]: %31s", task, &pid, flags,
			   event, what) != 5 ||
		    pid != getpid() || flags[2] != '.')
			continue;
		if (!strcmp(event, "unmap")) {
			++*unmapped;
			*emptied_after = 0;
		} else if (!strcmp(event, "qi_submit") && !strcmp(what, "iotlb_inv")) {
			++*emptied_after;
		}
	}
	fclose(trace);
	tap_note("%u unmapped, then emptied %u times", *unmapped, *emptied_after);
}

static void map_page(void *memory, uint32_t *handle)
{
	struct udrv_dma_segment segment;
	uint32_t count = 1;

	REQUIRE_OK(node_dma_map(&edu, memory, PAGE, UDRV_DMA_BIDIRECTIONAL, &segment, &count,
				handle));
}

static void at_the_end(void)
{
	uint8_t *memory = aligned_alloc(PAGE, PAGE);
	struct udrv_ioc_dma_alloc buffer;
	unsigned int unmapped, emptied;
	uint32_t handle;

	memset(memory, 1, PAGE);
	for (int round = 0; round < 3; round++) {
		begin();
		tap_step(round == 0 ? "a buffer" : round == 1 ? "a mapping" :
			 "nothing any more, but a moment ago");
		if (round == 0)
			REQUIRE_OK(node_dma_alloc(&edu, 4 * PAGE, &buffer));
		else
			map_page(memory, &handle);
		trace_begin();
		if (round == 2)
			CHECK_OK(node_dma_unmap(&edu, handle));
		node_close(&edu);
		trace_end(&unmapped, &emptied);
		CHECK_GT(unmapped, 0);
		CHECK_GT(emptied, 0);
	}
}

/* Strict when it was opened, and made lazy meanwhile. */
static void made_lazy(void)
{
	uint8_t *memory = aligned_alloc(PAGE, PAGE);
	unsigned int unmapped, emptied;
	uint32_t handle;

	begin();
	if (strcmp(group_type(), "DMA"))
		tap_skip("the IOMMU is lazy already");
	memset(memory, 1, PAGE);
	for (int lazy = 0; lazy < 2; lazy++) {
		tap_step("a confined client unmaps, in a %s domain", lazy ? "lazy" : "strict");
		if (lazy)
			set_group_type("DMA-FQ");
		CHECK_STR(group_type(), lazy ? "DMA-FQ" : "DMA");
		CHECK(node_info(&edu).state & UDRV_DEVICE_CONFINED);
		map_page(memory, &handle);
		trace_begin();
		CHECK_OK(node_dma_unmap(&edu, handle));
		trace_end(&unmapped, &emptied);
		CHECK_GT(unmapped, 0);
		CHECK_GT(emptied, 0);
	}
	tap_step("strict again, for the next");
	node_close(&edu);
	node_unbind(&edu);
	set_group_type("DMA");
	node_bind(&edu);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(at_the_end),
		TAP_TEST(made_lazy),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
