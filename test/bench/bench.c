// SPDX-License-Identifier: MIT
/*
 * bench.c - rounds, repeats, and what stands beside the count
 *
 * Owns the method: so many operations that a round is long against a timer tick, sides in turn, the
 * median of the rounds and their spread. The hard part is not to trust it: the counter must count
 * instructions, the CPU must not have idled, and a side whose rounds differ is said to.
 *
 * System calls are counted in a round of their own, with a kernel tracepoint: having it on makes
 * them dearer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

/* Rounds of a side; together they have TOTAL instructions, the least that a figure is made of. */
#define ROUNDS 10
#define OUTLIERS 2
#define TOTAL 1000000000UL
#define QUICK_TOTAL 20000000UL

static unsigned long total = TOTAL;
static bool quick;

void bench_total(unsigned long instructions)
{
	if (!quick)
		total = instructions;
}

void die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* ---- what the kernel says ---- */

/* Ticks of 10 ms that the CPU has idled, or somebody waited for I/O. */
static unsigned long idle_ticks(void)
{
	unsigned long idle, iowait;
	FILE *file = fopen("/proc/stat", "r");

	REQUIRE(file);
	REQUIRE(fscanf(file, "cpu %*u %*u %*u %lu %lu", &idle, &iowait) == 2);
	fclose(file);
	return idle + iowait;
}

static unsigned long interrupts(int irq)
{
	unsigned long count = 0;
	char line[256];
	bool found = false;
	FILE *file;

	if (!irq)
		return 0;
	file = fopen("/proc/interrupts", "r");
	REQUIRE(file);
	while (!found && fgets(line, sizeof(line), file)) {
		int number;

		found = sscanf(line, " %d: %lu", &number, &count) == 2 && number == irq;
	}
	fclose(file);
	if (!found)
		die("no interrupt %d in /proc/interrupts", irq);
	return count;
}

/* Times that a process was switched from. */
static unsigned long switches(int process)
{
	unsigned long sum = 0, count;
	char path[64], line[128];
	FILE *file;

	if (!process)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/status", process);
	file = fopen(path, "r");
	REQUIRE(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "voluntary_ctxt_switches: %lu", &count) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %lu", &count) == 1)
			sum += count;
	fclose(file);
	return sum;
}

/* Nanoseconds that a process has run, in the kernel and outside: instructions, as the clock runs here. */
static uint64_t ran(int process)
{
	unsigned long long ns;
	char path[64];
	FILE *file;

	if (!process)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/schedstat", process);
	file = fopen(path, "r");
	REQUIRE(file);
	REQUIRE(fscanf(file, "%llu", &ns) == 1);
	fclose(file);
	return ns;
}

/* A counter of system calls, all on this CPU or those of @process, from now to its close. */
static int syscalls_begin(int process)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	FILE *file = fopen("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id", "r");
	int fd;

	REQUIRE(file);
	REQUIRE(fscanf(file, "%llu", &attr.config) == 1);
	fclose(file);
	fd = syscall(SYS_perf_event_open, &attr, process ? process : -1, process ? -1 : 0, -1,
		     PERF_FLAG_FD_CLOEXEC);
	REQUIRE(fd >= 0);
	return fd;
}

static uint64_t syscalls_read(int fd)
{
	uint64_t count;

	REQUIRE(read(fd, &count, sizeof(count)) == sizeof(count));
	return count;
}

/* ---- rounds ---- */

struct sum {
	double cost[ROUNDS];
	unsigned long operations, switches, interrupts, idle;
	uint64_t instructions, process_ran;
};

static void nothing(void *arg, unsigned long n)
{
	(void)arg;
	while (n--)
		__asm__ volatile("" : : : "memory");
}

/* Instructions of @n operations, the loop's own included. */
static uint64_t run_it(const struct bench_side *side, unsigned long n)
{
	uint64_t start = bench_instructions();

	if (side->measure)
		return side->measure(side->arg, n);
	side->run(side->arg, n);
	return bench_instructions() - start;
}

static uint64_t run_plain(const struct bench_side *side, unsigned long n)
{
	uint64_t spent;

	if (side->begin)
		side->begin(side->arg);
	spent = run_it(side, n);
	if (side->end)
		side->end(side->arg);
	return spent;
}

static void run_counted(const struct bench_side *side, unsigned long n, struct sum *sum,
			unsigned int round)
{
	unsigned long idle, irqs, theirs;
	struct rusage before, after;
	uint64_t spent, process_ran;

	if (side->begin)
		side->begin(side->arg);
	idle = idle_ticks();
	irqs = interrupts(side->irq);
	theirs = switches(side->process);
	process_ran = ran(side->process);
	REQUIRE(!getrusage(RUSAGE_SELF, &before));
	spent = run_it(side, n);
	REQUIRE(!getrusage(RUSAGE_SELF, &after));
	sum->process_ran += ran(side->process) - process_ran;
	sum->switches += switches(side->process) - theirs;
	sum->interrupts += interrupts(side->irq) - irqs;
	sum->idle += idle_ticks() - idle;
	if (side->end)
		side->end(side->arg);

	sum->cost[round] = (double)spent / n;
	sum->instructions += spent;
	sum->operations += n;
	sum->switches += after.ru_nvcsw - before.ru_nvcsw + after.ru_nivcsw - before.ru_nivcsw;
}

static double count_syscalls(const struct bench_side *side)
{
	const unsigned long n = 200;
	uint64_t none, count;
	int fd;

	if (side->measure && !side->process)
		return 0;
	if (side->begin)
		side->begin(side->arg);
	fd = syscalls_begin(side->process);
	/* The two reads themselves make one. */
	none = syscalls_read(fd) + !side->process;
	run_it(side, n);
	count = syscalls_read(fd) - none;
	close(fd);
	if (side->end)
		side->end(side->arg);
	return (double)count / n;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void report(const char *figure, const struct bench_side *side, struct sum *sum,
		   double loop, double syscalls)
{
	double n = sum->operations, parts = side->parts ? side->parts : 1, median, spread;
	unsigned int outliers = side->measure ? OUTLIERS : 0;

	qsort(sum->cost, ROUNDS, sizeof(sum->cost[0]), compare);
	median = (sum->cost[(ROUNDS - 1) / 2] + sum->cost[ROUNDS / 2]) / 2;
	/* A tick is 10^7 instructions. */
	if (sum->idle * 1e7 > sum->instructions * 0.001 + 1e7)
		die("%s, %s: the CPU was idle for %lu ticks of 10 ms", figure, side->name,
		    sum->idle);

	/* What others do now and then (a timer, a kernel thread) is more than a short window: see bench.h. */
	spread = (sum->cost[ROUNDS - 1 - outliers] - sum->cost[outliers]) / median;
	median = (median - (side->measure ? 0 : loop)) / parts;
	if (side->measure) {
		n *= parts;
		syscalls /= parts;
	}

	/* What run reads: see test/bench/run. */
	printf("figure\t%s\t%s\t%.2f\t%.5f\t%.0f\t%llu\t%.3f\t%.3f\t%.3f\t%u\t%.0f\n", figure,
	       side->name, median, spread, n, (unsigned long long)sum->instructions, syscalls,
	       sum->switches / n, sum->interrupts / n, side->copied_bytes, sum->process_ran / n);
	fflush(stdout);
}

void bench_figure(const char *figure, const struct bench_side *sides, unsigned int count)
{
	static const struct bench_side loop = { .name = "loop", .run = nothing };
	unsigned long n[count];
	struct sum sums[count];
	double loop_cost;

	memset(sums, 0, sizeof(sums));
	loop_cost = run_plain(&loop, 1000000) / 1e6;
	for (unsigned int i = 0; i < count; i++) {
		/* The first ones fault pages in and fill caches of the allocator. */
		run_plain(&sides[i], 20);
		n[i] = total / ROUNDS / (run_plain(&sides[i], 100) / 100 + sides[i].waits) + 1;
	}
	for (unsigned int round = 0; round < ROUNDS; round++)
		for (unsigned int i = 0; i < count; i++)
			run_counted(&sides[i], n[i], &sums[i], round);
	for (unsigned int i = 0; i < count; i++)
		report(figure, &sides[i], &sums[i], loop_cost, count_syscalls(&sides[i]));
}

/* ---- the program ---- */

/* Is it the instruction that is counted? A loop of known length says so. */
static void check_counter(void)
{
	uint64_t start, spent, count = UINT64_MAX;

	/* The least of some: a tick, and what it lets run, may be in one. */
	for (unsigned int try = 0; try < 5; try++) {
		unsigned long n = 1000000;

		start = bench_instructions();
		__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n));
		spent = bench_instructions() - start;
		count = spent < count ? spent : count;
	}
	if (count < 2000000 || count > 2100000)
		die("the counter does not count instructions: %llu for 2000000. vm --icount?",
		    (unsigned long long)count);
}

void bench_init(int argc, char **argv)
{
	cpu_set_t cpu;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--quick"))
			quick = true, total = QUICK_TOTAL;
		else
			die("usage: %s [--quick]", argv[0]);
	}
	if (sysconf(_SC_NPROCESSORS_ONLN) != 1)
		die("one CPU only: what another does would not be counted");
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	REQUIRE(!sched_setaffinity(0, sizeof(cpu), &cpu));
	check_counter();
}

int bench_done(void)
{
	/* Cut short output is told from complete output by this line. */
	printf("done\n");
	return fflush(stdout) ? 1 : 0;
}
