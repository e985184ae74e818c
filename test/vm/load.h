/* SPDX-License-Identifier: MIT */
/*
 * load.h - an edu under load: threads that use every kind of call until the device is gone
 */
#ifndef LOAD_H
#define LOAD_H

#include "node.h"
#include "os.h"

#define LOAD_THREADS 10

struct load {
	struct node *node;
	uint64_t registers; /* file offset */
	uint64_t iova; /* of a page */
	struct os_thread threads[LOAD_THREADS];
	unsigned long rounds[LOAD_THREADS];
};

/*
 * On a node that is open and mapped, with bus mastering on and interrupts set up; @iova is a page
 * that the device may read and write. Returns when all threads are at work.
 */
void load_start(struct load *load, struct node *node, uint64_t iova);
/* They end when the device is gone. */
void load_join(struct load *load);

#endif
