// SPDX-License-Identifier: MIT
/*
 * memory.c - how much memory the kernel uses, and whether it has become more
 *
 * Owns the sum, and how much it may vary. The hard part is that a kernel keeps memory for its own
 * later use: caches are dropped, pages that each CPU has put by are collected, each cache of
 * objects gives back its empty slabs (only then are its numbers exact), and what is freed after a
 * grace period has been.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "os.h"
#include "tap.h"

/*
 * What is found between two looks at an idle machine, with some to spare. Objects of a cache count whole slabs that a CPU
 * keeps for itself: 154 of kmalloc-96 came and went with a network card's traffic, in 5 rounds and in none of 60.
 */
#define NOISE_KIB 256
#define NOISE_SLAB_KIB 256
#define NOISE_CACHE_BYTES 32768

void memory_give_back(void)
{
	struct dirent *entry;
	char path[320];
	DIR *caches;

	sync();
	REQUIRE_OK(os_write("/proc/sys/vm/drop_caches", "3"));
	REQUIRE_OK(os_write("/proc/sys/vm/compact_memory", "1"));
	caches = opendir("/sys/kernel/slab");
	REQUIRE(caches);
	while ((entry = readdir(caches))) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", entry->d_name);
		if (entry->d_name[0] != '.' && os_write(path, "1") && errno != ENOENT)
			tap_note("%s: not shrunk", path);
	}
	closedir(caches);
}

static long meminfo(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	REQUIRE(at);
	return strtol(at + strlen(name), NULL, 10);
}

/* Free pages that a CPU has put by; not in MemFree. */
static long put_by_kib(void)
{
	FILE *file = fopen("/proc/zoneinfo", "r");
	long pages = 0, count;
	char line[256];

	REQUIRE(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " count: %ld", &count) == 1)
			pages += count;
	fclose(file);
	return pages * 4;
}

static void read_used(struct memory_state *state)
{
	char text[8192];

	REQUIRE_OK(os_read("/proc/meminfo", text, sizeof(text)));
	state->used_kib = meminfo(text, "MemTotal:") - meminfo(text, "MemFree:") -
			  meminfo(text, "Buffers:") - meminfo(text, "\nCached:") -
			  meminfo(text, "SReclaimable:") - put_by_kib();
	state->slab_kib = meminfo(text, "SUnreclaim:");
}

static void read_caches(struct memory_state *state)
{
	FILE *file = fopen("/proc/slabinfo", "r");
	char line[512];

	REQUIRE(file);
	state->caches = 0;
	while (fgets(line, sizeof(line), file)) {
		struct memory_cache *cache = &state->cache[state->caches];

		if (sscanf(line, "%31s %ld %*u %u", cache->name, &cache->objects,
			   &cache->object_bytes) != 3)
			continue;
		REQUIRE(++state->caches < sizeof(state->cache) / sizeof(state->cache[0]));
	}
	fclose(file);
	REQUIRE(state->caches > 20);
}

/* udev's helpers come with a device and stay for seconds after it: megabytes. */
static bool udev_idle(void)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	bool idle = true;

	REQUIRE(processes);
	while ((entry = readdir(processes))) {
		char path[300], name[64];

		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    !os_read(path, name, sizeof(name)) && !strcmp(name, "(udev-worker)"))
			idle = false;
	}
	closedir(processes);
	return idle;
}

void memory_read(struct memory_state *state)
{
	REQUIRE(OS_WAIT_FOR(udev_idle(), 60000));
	/* Twice: what the first one lets go of may be freed only when a grace period is over. */
	memory_give_back();
	os_sleep_us(500000);
	memory_give_back();
	read_used(state);
	read_caches(state);
	state->pinned = os_pinned_pages();
}

static long objects_in(const struct memory_state *state, const char *name)
{
	for (size_t i = 0; i < state->caches; i++)
		if (!strcmp(state->cache[i].name, name))
			return state->cache[i].objects;
	return 0;
}

/* How many more objects of a cache there may be: those of kmalloc's are looked at, in which ours are. */
static long objects_allowed(const struct memory_cache *cache, unsigned int rounds)
{
	if (strncmp(cache->name, "kmalloc", 7))
		return LONG_MAX;
	return NOISE_CACHE_BYTES / cache->object_bytes + rounds / 4;
}

/* No more than before, but for the noise? */
static bool as_before(const struct memory_state *before, const struct memory_state *after,
		      unsigned int rounds)
{
	if (after->pinned != before->pinned ||
	    after->used_kib - before->used_kib > NOISE_KIB + (long)rounds ||
	    after->slab_kib - before->slab_kib > NOISE_SLAB_KIB + (long)rounds)
		return false;
	for (size_t i = 0; i < after->caches; i++)
		if (after->cache[i].objects - objects_in(before, after->cache[i].name) >
		    objects_allowed(&after->cache[i], rounds))
			return false;
	return true;
}

void memory_check(const struct memory_state *before, unsigned int rounds)
{
	static struct memory_state after;
	long used, slab;

	/* udev may have begun late, and the kernel may free late: what leaks does not come back. */
	OS_WAIT_FOR((memory_read(&after), as_before(before, &after, rounds)), 60000);
	used = after.used_kib - before->used_kib;
	slab = after.slab_kib - before->slab_kib;
	tap_note("%u rounds: memory in use %+ld KiB, slabs %+ld KiB", rounds, used, slab);
	CHECK_EQ(after.pinned, before->pinned);
	CHECK_LE(used, NOISE_KIB + (long)rounds);
	CHECK_LE(slab, NOISE_SLAB_KIB + (long)rounds);
	for (size_t i = 0; i < after.caches; i++) {
		const char *name = after.cache[i].name;
		long more = after.cache[i].objects - objects_in(before, name);

		if (!CHECK_LE(more, objects_allowed(&after.cache[i], rounds)))
			tap_note("%s: %+ld", name, more);
	}
}
