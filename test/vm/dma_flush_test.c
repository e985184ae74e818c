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

static void begin(void)
{
	node_open_mapped(&edu, "edu");
	if (!(node_info(&edu).state & UDRV_DEVICE_IOMMU))
		tap_skip("no IOMMU");
}

static void trace_begin(void)
{
	REQUIRE_OK(os_write(TRACING "trace", ""));
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

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(at_the_end),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
