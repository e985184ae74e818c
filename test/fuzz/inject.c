// SPDX-License-Identifier: MIT
/*
 * inject.c - the kernel's fault injection: the n-th allocation or copy of a thread fails
 *
 * Owns the switches in debugfs and /proc/thread-self/fail-nth. The hard part is the DMA API's
 * debugging, which switches itself off for good when *it* gets no memory. So: either it stays on,
 * and only those caches fail that the kernel's command line names (slub_debug=A,kmalloc-*: not the
 * tree nodes that it needs), or it is off from the start (dma_debug=off), and all fail.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../vm/os.h"
#include "../vm/tap.h"
#include "inject.h"

#define DEBUGFS "/sys/kernel/debug/"

static bool is(const char *path, const char *wanted)
{
	char text[16];

	return !os_read(path, text, sizeof(text)) && !strcmp(text, wanted);
}

bool inject_dma_debug(void)
{
	return is(DEBUGFS "dma-api/disabled", "N");
}

bool inject_init(bool *all)
{
	static const char *const settings[][2] = {
		{ "failslab/verbose", "0" },
		{ "failslab/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	char path[128];

	if (access("/proc/thread-self/fail-nth", F_OK) || access(DEBUGFS "failslab", F_OK))
		return false;
	*all = !inject_dma_debug();
	if (!*all && !is("/sys/kernel/slab/kmalloc-64/failslab", "1")) {
		tap_note("no faults: boot with slub_debug=A,kmalloc-* or dma_debug=off");
		return false;
	}
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		snprintf(path, sizeof(path), DEBUGFS "%s", settings[i][0]);
		REQUIRE_OK(os_write(path, settings[i][1]));
	}
	REQUIRE_OK(os_write(DEBUGFS "failslab/cache-filter", *all ? "N" : "Y"));
	return true;
}

int inject_open(void)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);

	REQUIRE_OK(fd);
	return fd;
}

/*
 * This is a call, too: what is left of an earlier order may hit its own copy. Then nothing is left,
 * so once more.
 */
void inject_at(int fd, unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(fd, text, length, 0) != length)
		REQUIRE_EQ(pwrite(fd, text, length, 0), length);
}

bool inject_done(int fd)
{
	char text[16] = "1";

	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		CHECK_EQ(errno, EFAULT);
	inject_at(fd, 0);
	return atoi(text) == 0;
}
