// SPDX-License-Identifier: MIT
/*
 * bench_blk.c - what a request costs: the kernel's nvme, and udrv's driver, each on a controller with nothing behind it
 *
 *   bench_blk [--confined] [--quick]   on two controllers of NVMe (test/bench/run)
 *
 * Requests are read past the page cache, at random places, as fio does with libaio: as many as the depth says
 * are on their way at any time. Whoever reads sleeps when there is nothing to take, and so does the driver;
 * the CPU must not, so there is a process of the class SCHED_IDLE that counts how often it goes round a loop
 * of two instructions. What a round took, less these, is what the requests cost: interrupts, softirqs,
 * the driver's process, and all changes of context.
 *
 * The time from `kill -9` to the first request that the next driver has served stands against that of unbinding
 * and binding the kernel's, in nanoseconds of the guest, which are instructions and waiting.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define KERNEL "0000:00:0c.0"
#define KERNEL_DISK "/dev/nvme0n1"
#define UDRV "00:0d.0"
#define UDRV_DISK "/dev/udrvbench"
#define DISK_BYTES (UINT64_C(8) << 30)
#define DEPTH_MAX 32u
#define LENGTH_MAX (512u << 10)
#define RESTARTS 5u

/* Of the loop in spin(): the increment, and the jump. */
#define SPIN_INSTRUCTIONS 2u

static volatile uint64_t *spins;
static pid_t spinner;
static bool confined;

/** struct disk - a way to read */
struct disk {
	const char *path;
	int fd;
	aio_context_t context;
	uint8_t *memory;
	struct iocb requests[DEPTH_MAX];
	uint64_t random;
	unsigned int depth, length;
};

static struct disk kernel = { .path = KERNEL_DISK, .random = 88172645463325252u };
static struct disk udrv = { .path = UDRV_DISK, .random = 88172645463325252u };
static pid_t driver;

/* ---- the process that never sleeps ---- */

static void spin(void)
{
	const struct sched_param param = { 0 };
	pid_t parent = getpid();

	spins = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(spins != MAP_FAILED);
	spinner = fork();
	REQUIRE(spinner >= 0);
	if (spinner)
		return;
	/* It must not outlive us, who may die anywhere. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sched_setscheduler(0, SCHED_IDLE, &param) || getppid() != parent)
		_exit(1);
	for (;;)
		__asm__ volatile("1: incq %0; jmp 1b" : "+m"(*spins));
}

/* ---- reading ---- */

static uint64_t next_offset(struct disk *d)
{
	d->random ^= d->random << 13;
	d->random ^= d->random >> 7;
	d->random ^= d->random << 17;
	return d->random % (DISK_BYTES / d->length) * d->length;
}

static void aio_read(struct disk *d, unsigned long n)
{
	struct iocb *list[DEPTH_MAX];
	struct io_event events[DEPTH_MAX];
	unsigned long begun = 0, ended = 0;
	long got = d->depth < n ? d->depth : (long)n;

	for (long i = 0; i < got; i++)
		list[i] = &d->requests[i];
	while (ended < n) {
		for (long i = 0; i < got; i++)
			list[i]->aio_offset = (int64_t)next_offset(d);
		if (got)
			REQUIRE(syscall(SYS_io_submit, d->context, got, list) == got);
		begun += (unsigned long)got;
		got = syscall(SYS_io_getevents, d->context, 1, DEPTH_MAX, events, NULL);
		REQUIRE(got > 0);
		ended += (unsigned long)got;
		for (long i = 0; i < got; i++) {
			REQUIRE(events[i].res == d->length);
			list[i] = (struct iocb *)(uintptr_t)events[i].obj;
		}
		if (begun + (unsigned long)got > n)
			got = (long)(n - begun);
	}
}

static void plain_read(struct disk *d, unsigned long n)
{
	while (n--)
		REQUIRE(pread(d->fd, d->memory, d->length, (off_t)next_offset(d)) == d->length);
}

static uint64_t measure(void *arg, unsigned long n)
{
	struct disk *d = arg;
	uint64_t begun = bench_instructions(), spun = *spins;

	if (d->depth == 1)
		plain_read(d, n);
	else
		aio_read(d, n);
	return bench_instructions() - begun - (*spins - spun) * SPIN_INSTRUCTIONS;
}

static void disk_shape(struct disk *d, unsigned int depth, unsigned int length)
{
	d->depth = depth;
	d->length = length;
	for (unsigned int i = 0; i < depth; i++)
		d->requests[i] = (struct iocb){
			.aio_lio_opcode = IOCB_CMD_PREAD,
			.aio_fildes = (uint32_t)d->fd,
			.aio_buf = (uintptr_t)d->memory + (size_t)i * LENGTH_MAX,
			.aio_nbytes = length,
		};
}

/* Memory whose pages are beside no other: that is a segment for each, as it is in a page cache that was used. */
static uint8_t *scattered(size_t bytes)
{
	uint8_t *parts[2];

	for (unsigned int i = 0; i < 2; i++) {
		parts[i] = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		REQUIRE(parts[i] != MAP_FAILED && !madvise(parts[i], bytes, MADV_NOHUGEPAGE));
	}
	for (size_t at = 0; at < bytes; at += 4096)
		parts[0][at] = parts[1][at] = 1;
	return parts[0];
}

static void disk_open(struct disk *d)
{
	char command[128];

	/* Without one, both: with one queue blk-mq would choose a scheduler for either. */
	snprintf(command, sizeof(command), "echo none >/sys/block/%s/queue/scheduler", strrchr(d->path, '/') + 1);
	REQUIRE(system(command) == 0);
	d->fd = open(d->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (d->fd < 0)
		die("%s: %m", d->path);
	REQUIRE(syscall(SYS_io_setup, DEPTH_MAX, &d->context) == 0);
	d->memory = scattered((size_t)DEPTH_MAX * LENGTH_MAX);
}

/* ---- drivers ---- */

/* A name below /dev comes, or goes: devtmpfs tells. The watch stays, for its end would wait for others' (SRCU). */
static void wait_for(const char *path, bool there)
{
	static int fd = -1;
	char events[4096];

	if (fd < 0)
		fd = inotify_init1(IN_CLOEXEC);
	REQUIRE(fd >= 0 && inotify_add_watch(fd, "/dev", IN_CREATE | IN_DELETE) >= 0);
	while (!access(path, F_OK) != there)
		REQUIRE(read(fd, events, sizeof(events)) > 0);
}

static void driver_start(void)
{
	driver = fork();
	REQUIRE(driver >= 0);
	if (!driver) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		execl("drivers/nvme/nvme", "nvme", "--name", "udrvbench", "--queues", "1", UDRV, NULL);
		_exit(127);
	}
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
	};

	disk_shape(&kernel, depth, length);
	disk_shape(&udrv, depth, length);
	bench_figure(name, sides, 2);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
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
	uint64_t begun = now_ns();

	write_file("/sys/bus/pci/drivers/nvme/unbind", KERNEL);
	wait_for(KERNEL_DISK, false);
	write_file("/sys/bus/pci/drivers/nvme/bind", KERNEL);
	first_read(KERNEL_DISK);
	return now_ns() - begun;
}

static uint64_t restart_udrv(void)
{
	uint64_t begun = now_ns();

	REQUIRE(!kill(driver, SIGKILL) && waitpid(driver, NULL, 0) == driver);
	driver_start();
	first_read(UDRV_DISK);
	return now_ns() - begun;
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
	int kernel_irq, udrv_irq;

	if (argc > 1 && !strcmp(argv[1], "--confined")) {
		confined = true;
		argc--, argv++;
	}
	bench_init(argc, argv);
	spin();
	wait_for(KERNEL_DISK, true);
	REQUIRE(system(confined ? "udrv bind " UDRV " >/dev/null" : "udrv bind --lazy " UDRV " >/dev/null") == 0);
	driver_start();
	wait_for(UDRV_DISK, true);
	disk_open(&kernel);
	disk_open(&udrv);
	kernel_irq = irq_of("nvme0q1");
	udrv_irq = irq_of("udrv-" UDRV "-msix-1");

	figure("read-4k-32", 32, 4096, kernel_irq, udrv_irq);
	figure("read-4k-1", 1, 4096, kernel_irq, udrv_irq);
	figure("read-64k-8", 8, 65536, kernel_irq, udrv_irq);
	figure("read-64k-1", 1, 65536, kernel_irq, udrv_irq);
	figure("read-512k-8", 8, 524288, kernel_irq, udrv_irq);
	restarts();
	kill(driver, SIGTERM);
	waitpid(driver, NULL, 0);
	kill(spinner, SIGKILL);
	/* The disk would hold the module. */
	close(udrv.fd);
	REQUIRE(system("udrv unbind " UDRV " >/dev/null") == 0);
	return bench_done();
}
