// SPDX-License-Identifier: MIT
/*
 * reader.c - see reader.h. System calls for AIO, not libaio: nothing else is in the figures.
 */
#define _GNU_SOURCE
#include <fcntl.h>
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
#include <unistd.h>

#include "bench.h"
#include "reader.h"

/* Of the loop in spin_begin(): the increment, and the jump. */
#define SPIN_INSTRUCTIONS 2u

/* ---- the process that never sleeps ---- */

static volatile uint64_t *spins;
static pid_t spinner;

void spin_begin(void)
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

void spin_end(void)
{
	kill(spinner, SIGKILL);
}

uint64_t spun(void)
{
	return *spins * SPIN_INSTRUCTIONS;
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

void disk_read(struct disk *d, unsigned long n)
{
	if (d->depth == 1)
		plain_read(d, n);
	else
		aio_read(d, n);
}

void disk_shape(struct disk *d, unsigned int depth, unsigned int length)
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

void disk_open(struct disk *d)
{
	char command[128];

	d->random = d->random ? d->random : UINT64_C(88172645463325252);
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
void wait_for(const char *path, bool there)
{
	static int fd = -1;
	char events[4096];

	if (fd < 0)
		fd = inotify_init1(IN_CLOEXEC);
	REQUIRE(fd >= 0 && inotify_add_watch(fd, "/dev", IN_CREATE | IN_DELETE) >= 0);
	while (!access(path, F_OK) != there)
		REQUIRE(read(fd, events, sizeof(events)) > 0);
}

void stay_on(unsigned int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	REQUIRE(!sched_setaffinity(0, sizeof(cpus), &cpus));
}

pid_t driver_start(const char *name, const char *queues, const char *device)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid) {
		int null = open("/dev/null", O_WRONLY);
		cpu_set_t every;

		memset(&every, 0xff, sizeof(every));
		REQUIRE(!sched_setaffinity(0, sizeof(every), &every));
		dup2(null, 1);
		execl("drivers/nvme/nvme", "nvme", "--name", name, "--queues", queues, device, NULL);
		_exit(127);
	}
	return pid;
}
