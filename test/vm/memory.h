/* SPDX-License-Identifier: MIT */
/*
 * memory.h - how much memory the kernel uses, and whether it has become more
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stddef.h>

struct memory_state {
	long used_kib; /* not free, and not to be had back for the asking */
	long slab_kib; /* of it, the kernel's small objects */
	long pinned; /* pages, for DMA */
	size_t caches;
	struct memory_cache {
		char name[32];
		long objects;
		unsigned int object_bytes;
	} cache[512];
};

/* All that the kernel keeps for its own later use, KASAN's quarantine included. */
void memory_give_back(void);
/* The state now, after all that can be given back was: takes a second. */
void memory_read(struct memory_state *state);

/*
 * Checks that @rounds of something left no memory behind: @before is the state after some rounds to warm
 * up. No pinned page at all; no more memory in use than a quarter of a page for each round, no more
 * objects of a kmalloc cache than one for every fourth round, and on top of both what is found between
 * two looks at an idle machine (memory.c: NOISE_*). What is not so at once may become so within a minute.
 */
void memory_check(const struct memory_state *before, unsigned int rounds);

#endif
