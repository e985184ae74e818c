/* SPDX-License-Identifier: MIT */
/*
 * reader.h - reading from a disk past the page cache, and what that costs
 *
 * Requests are at random places, as fio makes them with libaio: as many as the depth says are on their
 * way at any time. Whoever reads sleeps when there is nothing to take, and so does the driver; where
 * instructions are counted the CPU must not, so there is a process of the class SCHED_IDLE that counts
 * how often it goes round a loop of two. What a round took, less these, is what the requests cost:
 * interrupts, softirqs, the driver's process, and all changes of context.
 */
#ifndef READER_H
#define READER_H

#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DISK_BYTES (UINT64_C(8) << 30)
#define DEPTH_MAX 32u
#define LENGTH_MAX (512u << 10)

/**
 * struct disk - a way to read; of one process
 * @path: set by the caller
 * @random: the place of the next request comes from it; 0 before disk_open(): where all begin
 */
struct disk {
	const char *path;
	uint64_t random;
	int fd;
	aio_context_t context;
	uint8_t *memory;
	struct iocb requests[DEPTH_MAX];
	unsigned int depth, length;
};

/* From here on the one CPU is not idle; the process ends with us, or with spin_end(). */
void spin_begin(void);
void spin_end(void);
/* Its instructions so far. */
uint64_t spun(void);

void disk_open(struct disk *d);
/* Requests are of @length bytes, @depth at a time. */
void disk_shape(struct disk *d, unsigned int depth, unsigned int length);
/* Read @n times. */
void disk_read(struct disk *d, unsigned long n);

/* A name below /dev comes, or goes. */
void wait_for(const char *path, bool there);
/* The NVMe driver, on any of the CPUs. Return: its process */
pid_t driver_start(const char *name, const char *queues, const char *device);
/* Keep this process on one CPU. */
void stay_on(unsigned int cpu);

#endif
