// SPDX-License-Identifier: MIT
/*
 * bench_blk.c - what a request costs: the kernel's nvme, and udrv's driver, each on a controller with nothing behind it
 *
 *   bench_blk [--confined | --ublk] [--quick]   on two controllers of NVMe (test/bench/run)
 *
 * --ublk: and two disks of ublk before the kernel's: a server that is given data, and one that is not.
 *
 * How requests are made and counted, says reader.h.
 *
 * The time from `kill -9` to the first request that the next driver has served stands against that of unbinding
 * and binding the kernel's, in nanoseconds of the guest, which are instructions and waiting.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "reader.h"
#include "ublk.h"

#define KERNEL "0000:00:0c.0"
#define KERNEL_DISK "/dev/nvme0n1"
#define UDRV "00:0d.0"
#define UDRV_DISK "/dev/udrvbench"
#define RESTARTS 5u

static bool confined;
static struct disk kernel = { .path = KERNEL_DISK };
static struct disk udrv = { .path = UDRV_DISK };
static struct disk ublk_copy = { .path = "/dev/ublkb0" };
static struct disk ublk = { .path = "/dev/ublkb1" };
static pid_t driver, ublk_copy_server, ublk_server;

static uint64_t measure(void *arg, unsigned long n)
{
	uint64_t begun = bench_instructions(), before = spun();

	disk_read(arg, n);
	return bench_instructions() - begun - (spun() - before);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die("%s: %m", path);
	close(fd);
}

static int irq_of(const char *name)
{
	FILE *file = fopen("/proc/interrupts", "r");
	char line[512];
	int irq = 0;

	REQUIRE(file);
	while (!irq && fgets(line, sizeof(line), file))
		if (strstr(line, name))
			irq = atoi(line);
	fclose(file);
	if (!irq)
		die("no interrupt %s", name);
	return irq;
}

/* ---- figures ---- */

static void figure(const char *name, unsigned int depth, unsigned int length, int kernel_irq, int udrv_irq)
{
	const struct bench_side sides[] = {
		{ .name = "kernel", .measure = measure, .arg = &kernel, .irq = kernel_irq },
		{ .name = "udrv", .measure = measure, .arg = &udrv, .irq = udrv_irq, .process = driver,
		  .copied_bytes = confined ? length : 0 },
		{ .name = "ublk", .measure = measure, .arg = &ublk, .irq = kernel_irq, .process = ublk_server },
		{ .name = "ublk-copy", .measure = measure, .arg = &ublk_copy, .irq = kernel_irq, .process = ublk_copy_server,
		  .copied_bytes = length },
	};

	disk_shape(&kernel, depth, length);
	disk_shape(&udrv, depth, length);
	if (ublk_server) {
		disk_shape(&ublk, depth, length);
		disk_shape(&ublk_copy, depth, length);
	}
	bench_figure(name, sides, ublk_server ? 4 : 2);
}

static void first_read(const char *path)
{
	static uint8_t *memory;
	int fd;

	if (!memory)
		memory = aligned_alloc(4096, 4096);
	wait_for(path, true);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	REQUIRE(fd >= 0 && pread(fd, memory, 4096, 0) == 4096);
	close(fd);
}

static uint64_t restart_kernel(void)
{
	uint64_t begun = bench_ns();

	write_file("/sys/bus/pci/drivers/nvme/unbind", KERNEL);
	wait_for(KERNEL_DISK, false);
	write_file("/sys/bus/pci/drivers/nvme/bind", KERNEL);
	first_read(KERNEL_DISK);
	return bench_ns() - begun;
}

static uint64_t restart_udrv(void)
{
	uint64_t begun = bench_ns();

	REQUIRE(!kill(driver, SIGKILL) && waitpid(driver, NULL, 0) == driver);
	driver = driver_start("udrvbench", "1", UDRV);
	first_read(UDRV_DISK);
	return bench_ns() - begun;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void restarts(void)
{
	uint64_t theirs[RESTARTS], ours[RESTARTS];

	/* The kernel's disk is nobody's now. */
	close(kernel.fd);
	for (unsigned int i = 0; i < RESTARTS; i++) {
		theirs[i] = restart_kernel();
		ours[i] = restart_udrv();
	}
	qsort(theirs, RESTARTS, sizeof(theirs[0]), compare);
	qsort(ours, RESTARTS, sizeof(ours[0]), compare);
	printf("figure\trestart\tkernel\t%llu\n", (unsigned long long)theirs[RESTARTS / 2]);
	printf("figure\trestart\tudrv\t%llu\n", (unsigned long long)ours[RESTARTS / 2]);
}

int main(int argc, char **argv)
{
	bool with_ublk = argc > 1 && !strcmp(argv[1], "--ublk");
	int kernel_irq, udrv_irq;

	confined = argc > 1 && !strcmp(argv[1], "--confined");
	if (confined || with_ublk)
		argc--, argv++;
	bench_init(argc, argv);
	spin_begin();
	wait_for(KERNEL_DISK, true);
	REQUIRE(system(confined ? "udrv bind " UDRV " >/dev/null" : "udrv bind --lazy " UDRV " >/dev/null") == 0);
	driver = driver_start("udrvbench", "1", UDRV);
	wait_for(UDRV_DISK, true);
	disk_open(&kernel);
	disk_open(&udrv);
	if (with_ublk) {
		if (!ublk_there())
			die("no ublk in this kernel");
		ublk_copy_server = ublk_begin(0, KERNEL_DISK, DEPTH_MAX, LENGTH_MAX, true);
		ublk_server = ublk_begin(1, KERNEL_DISK, DEPTH_MAX, LENGTH_MAX, false);
		disk_open(&ublk_copy);
		disk_open(&ublk);
	}
	kernel_irq = irq_of("nvme0q1");
	udrv_irq = irq_of("udrv-" UDRV "-msix-1");

	figure("read-4k-32", 32, 4096, kernel_irq, udrv_irq);
	figure("read-4k-1", 1, 4096, kernel_irq, udrv_irq);
	figure("read-64k-1", 1, 65536, kernel_irq, udrv_irq);
	figure("read-512k-8", 8, 524288, kernel_irq, udrv_irq);
	/* Rounds of the usual length differed by 0.5 % with a lazy IOMMU. */
	bench_total(3000000000);
	figure("read-64k-8", 8, 65536, kernel_irq, udrv_irq);
	if (with_ublk) {
		close(ublk.fd);
		close(ublk_copy.fd);
		ublk_end(1, ublk_server);
		ublk_end(0, ublk_copy_server);
	}
	restarts();
	kill(driver, SIGTERM);
	waitpid(driver, NULL, 0);
	spin_end();
	/* The disk would hold the module. */
	close(udrv.fd);
	REQUIRE(system("udrv unbind " UDRV " >/dev/null") == 0);
	return bench_done();
}
