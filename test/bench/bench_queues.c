// SPDX-License-Identifier: MIT
/*
 * bench_queues.c - what a request costs if there are two queues, each with a reader, a driver's thread and a CPU of its own
 *
 *   bench_queues [ROUNDS]   on two controllers of NVMe, two CPUs (test/bench/run)
 *
 * udrv's driver has both: one with one queue, one with two. Of the first there is one reader, and then two,
 * one on each CPU. How requests are made, says reader.h.
 *
 * The instructions of both CPUs are added up by QEMU (vm --count), what is measured is all that the machine does, too; the
 * controller answers at once, so that 32 requests of each reader keep it at work. The CPUs are emulated in turn, on one thread
 * of the host's, so that the time that a request takes is what both do for it, too. It is less exact, and stands beside.
 * Prints `figure queues SIDE N...`, for each read and in each round, `figure queues-ns SIDE N...`, and `done`.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "reader.h"

#define DEPTH 32u
#define LENGTH 4096u
#define READS 20000u /* of a round */
#define ROUNDS_MAX 15u
#define SIDES 3u
#define COUNTER "/sys/bus/pci/devices/0000:00:1b.0/"

static const struct {
	const char *device, *name, *path, *queues;
} controllers[] = {
	{ "00:0c.0", "udrvone", "/dev/udrvone", "1" },
	{ "00:0d.0", "udrvtwo", "/dev/udrvtwo", "2" },
};

/** struct order - to the second reader, and back when it is done */
struct order {
	unsigned int disk;
	unsigned long n;
};

/** struct load - who reads what */
struct load {
	unsigned int disk;
	unsigned int readers;
};

/** struct cost - what a read costs */
struct cost {
	uint64_t instructions, ns;
};

static const volatile uint64_t *executed; /* instructions, of all CPUs */

static void executed_open(void)
{
	uint64_t least = UINT64_MAX, loops, before, looped;
	int fd = open(COUNTER "resource2", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(COUNTER "resource2: %m: boot with vm --count");
	REQUIRE(system("echo 1 >" COUNTER "enable") == 0);
	executed = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(executed != MAP_FAILED);
	close(fd);
	/* Does it count? A loop of two, a million times. What the other CPU does meanwhile can only be more: so the least. */
	for (unsigned int i = 0; i < 10; i++) {
		loops = 1000000;
		before = *executed;
		__asm__ volatile("1: dec %0; jnz 1b" : "+r"(loops) : : "cc", "memory");
		looped = *executed - before;
		least = looped < least ? looped : least;
	}
	REQUIRE(least >= 2000000 && least < 2200000);
}

/* Each reader's own: contexts of AIO are a process's. */
static struct disk disks[2];
static int to_second, from_second;

/* @random: see struct disk */
static void disks_open(uint64_t random)
{
	for (unsigned int i = 0; i < 2; i++) {
		disks[i].path = controllers[i].path;
		disks[i].random = random;
		disk_open(&disks[i]);
		disk_shape(&disks[i], DEPTH, LENGTH);
	}
}

/* The reader on the second CPU. Return: its process */
static pid_t second_begin(void)
{
	int orders[2], answers[2];
	struct order order;
	pid_t parent = getpid(), pid;

	REQUIRE(!pipe(orders) && !pipe(answers));
	pid = fork();
	REQUIRE(pid >= 0);
	to_second = orders[1];
	from_second = answers[0];
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	stay_on(1);
	disks_open(UINT64_C(2463534242));
	for (;;) {
		REQUIRE(read(orders[0], &order, sizeof(order)) == sizeof(order));
		disk_read(&disks[order.disk], order.n);
		REQUIRE(write(answers[1], &order, sizeof(order)) == sizeof(order));
	}
}

/* Each of @n reads. */
static struct cost measure(const struct load *load, unsigned long n)
{
	struct order order = { .disk = load->disk, .n = load->readers > 1 ? n / 2 : 0 };
	struct cost begun = { *executed, bench_ns() };

	if (order.n)
		REQUIRE(write(to_second, &order, sizeof(order)) == sizeof(order));
	disk_read(&disks[load->disk], n - order.n);
	if (order.n)
		REQUIRE(read(from_second, &order, sizeof(order)) == sizeof(order));
	return (struct cost){ (*executed - begun.instructions) / n, (bench_ns() - begun.ns) / n };
}

int main(int argc, char **argv)
{
	static const struct load loads[SIDES] = { { 0, 1 }, { 0, 2 }, { 1, 2 } };
	static const char *const names[SIDES] = { "one", "shared", "two" };
	unsigned int rounds = argc > 1 ? (unsigned int)atoi(argv[1]) : ROUNDS_MAX;
	static struct cost costs[SIDES][ROUNDS_MAX];
	pid_t drivers[2], second;
	char command[64];

	REQUIRE(sysconf(_SC_NPROCESSORS_ONLN) == 2 && rounds && rounds <= ROUNDS_MAX);
	stay_on(0);
	executed_open();
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(command, sizeof(command), "udrv bind --lazy %s >/dev/null", controllers[i].device);
		REQUIRE(system(command) == 0);
		drivers[i] = driver_start(controllers[i].name, controllers[i].queues, controllers[i].device);
		wait_for(controllers[i].path, true);
	}
	second = second_begin();
	disks_open(0);
	for (unsigned int side = 0; side < SIDES; side++)
		measure(&loads[side], READS / 10);
	for (unsigned int round = 0; round < rounds; round++)
		for (unsigned int side = 0; side < SIDES; side++)
			costs[side][round] = measure(&loads[side], READS);
	for (unsigned int side = 0; side < SIDES; side++) {
		printf("figure\tqueues\t%s", names[side]);
		for (unsigned int round = 0; round < rounds; round++)
			printf("\t%" PRIu64, costs[side][round].instructions);
		printf("\nfigure\tqueues-ns\t%s", names[side]);
		for (unsigned int round = 0; round < rounds; round++)
			printf("\t%" PRIu64, costs[side][round].ns);
		printf("\n");
	}
	kill(second, SIGKILL);
	waitpid(second, NULL, 0);
	for (unsigned int i = 0; i < 2; i++) {
		/* The disk would hold the module. */
		close(disks[i].fd);
		kill(drivers[i], SIGTERM);
		waitpid(drivers[i], NULL, 0);
		snprintf(command, sizeof(command), "udrv unbind %s >/dev/null", controllers[i].device);
		REQUIRE(system(command) == 0);
	}
	return bench_done();
}
