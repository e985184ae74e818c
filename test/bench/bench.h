/* SPDX-License-Identifier: MIT */
/*
 * bench.h - counting what an operation costs, in guest instructions
 *
 * The unit is the executed instruction of a guest with one CPU whose time stamp counter counts
 * them (`vm --icount`): everything that the machine does for an operation is in it, interrupts,
 * softirqs and kernel threads too, but nothing that the machine under it does. It is exact where
 * wall time under emulation means nothing; it knows nothing of caches, of the price of a mode
 * switch or of a config access. So system calls, context switches, interrupts and copied bytes
 * stand beside it.
 *
 * Two sides of a figure are measured in turn, round by round, in one boot. There is no idle time in
 * a round, by construction: somebody always has something to do. That is checked.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/**
 * struct bench_side - one way to do the operation
 * @name: "udrv", "vfio" ...
 * @begin: called before each round, or NULL; not counted
 * @run: do it @n times
 * @measure: in place of @run: do it @n times, and return how many instructions it took, without those
 *	spent on waiting and on what is not to be counted. All that is reported is for a part then, and
 *	the spread is that of the rounds without the two dearest and the two cheapest
 * @waits: instructions that @measure waits for each; with what is measured they make a round's length
 * @end: called after each round, or NULL; not counted
 * @arg: for all of them
 * @parts: the figure is for the @parts-th part of one operation (pages of a mapping); 0 is 1
 * @copied_bytes: what one operation copies between kernel and process
 * @irq: the kernel's number of the interrupt that is counted, 0 for none
 * @process: with @measure: a driver's process, 0 for none. System calls are its own only, its switches
 *	are counted too, and the instructions that it executed are told
 */
struct bench_side {
	const char *name;
	void (*begin)(void *arg);
	void (*run)(void *arg, unsigned long n);
	uint64_t (*measure)(void *arg, unsigned long n);
	unsigned long waits;
	void (*end)(void *arg);
	void *arg;
	unsigned int parts;
	unsigned int copied_bytes;
	int irq;
	int process;
};

/* Read the common options (--quick), settle on the one CPU, check that the counter counts. */
void bench_init(int argc, char **argv);
/* From here on: instructions of all rounds of a side together, if it is not --quick; at first 10^9. */
void bench_total(unsigned long instructions);
/* Measure the sides in turn, print one line for each. */
void bench_figure(const char *figure, const struct bench_side *sides, unsigned int count);
/* Exit status of the program. */
int bench_done(void);

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
/* A condition without which a figure would mean nothing. */
#define REQUIRE(condition)                                                   \
	do {                                                                 \
		if (!(condition))                                            \
			die("%s:%d: %s: %m", __FILE__, __LINE__, #condition); \
	} while (0)

static inline uint64_t bench_instructions(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* CLOCK_MONOTONIC; where instructions are counted, each takes 1 ns. */
static inline uint64_t bench_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#endif
