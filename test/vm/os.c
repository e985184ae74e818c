// SPDX-License-Identifier: MIT
/*
 * os.c - what tests ask the kernel about: /proc, capabilities, threads that wait
 *
 * Owns no state. The hard part is "is that thread blocked yet": /proc/<tid>/syscall answers with the
 * call's number only while the thread sleeps in it, so nothing here has to guess with a delay.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os.h"
#include "tap.h"

int os_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;
	int error;

	if (fd < 0)
		return -1;
	length = read(fd, text, size - 1);
	error = errno;
	close(fd);
	errno = error;
	if (length < 0)
		return -1;
	if (length && text[length - 1] == '\n')
		length--;
	text[length] = 0;
	return 0;
}

int os_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t length = strlen(text), done;
	int error;

	if (fd < 0)
		return -1;
	done = write(fd, text, length);
	error = errno;
	close(fd);
	errno = error;
	return done == length ? 0 : -1;
}

static long number_in(const char *path, const char *name, const char *separators)
{
	size_t length = strlen(name);
	char line[256];
	long value = -1;
	FILE *file = fopen(path, "r");

	REQUIRE(file);
	while (value < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, length) && strchr(separators, line[length]))
			value = strtol(line + length + 1, NULL, 10);
	fclose(file);
	if (value < 0)
		tap_note("no %s in %s", name, path);
	REQUIRE(value >= 0);
	return value;
}

unsigned int os_times(const char *variable, unsigned int otherwise)
{
	const char *value = getenv(variable);
	unsigned long number = value ? strtoul(value, NULL, 10) : otherwise;

	if (!number || number > 1000000) {
		fprintf(stderr, "%s is not a number from 1 to 1000000\n", variable);
		exit(2);
	}
	return (unsigned int)number;
}

long os_status_kib(const char *name)
{
	return number_in("/proc/self/status", name, ":");
}

long os_vmstat(const char *name)
{
	char text[64];

	/* Reading it folds what each CPU has counted for itself. */
	REQUIRE_OK(os_read("/proc/sys/vm/stat_refresh", text, sizeof(text)));
	return number_in("/proc/vmstat", name, " ");
}

long os_pinned_pages(void)
{
	/* Released first: what comes between the two looks like a pin, never like less than none. */
	long released = os_vmstat("nr_foll_pin_released");

	return os_vmstat("nr_foll_pin_acquired") - released;
}

void os_frames(const void *address, size_t count, uint64_t *frames)
{
	const uint64_t present = 1ULL << 63, frame = (1ULL << 55) - 1;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t bytes = count * sizeof(*frames);

	REQUIRE(fd >= 0);
	REQUIRE_EQ(pread(fd, frames, bytes, (uintptr_t)address / PAGE * sizeof(*frames)), bytes);
	close(fd);
	for (size_t i = 0; i < count; i++)
		frames[i] = frames[i] & present ? frames[i] & frame : 0;
}

void os_run_on(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	REQUIRE_OK(sched_setaffinity(0, sizeof(set), &set));
}

unsigned int os_interrupts(const char *text, char *line, size_t size)
{
	FILE *file = fopen("/proc/interrupts", "r");
	unsigned int found = 0;
	char *buffer = NULL;
	size_t room = 0;

	REQUIRE(file);
	while (getline(&buffer, &room, file) > 0)
		if (strstr(buffer, text) && !found++ && line)
			snprintf(line, size, "%s", buffer);
	free(buffer);
	fclose(file);
	return found;
}

bool os_interrupt_name(unsigned int irq, char *name, size_t size)
{
	FILE *file = fopen("/proc/interrupts", "r");
	char *buffer = NULL, *p, *end;
	bool found = false;
	size_t room = 0;

	REQUIRE(file);
	while (!found && getline(&buffer, &room, file) > 0) {
		if (strtoul(buffer, &end, 10) != irq || end == buffer || *end != ':')
			continue;
		for (p = end + 1; strtoul(p, &end, 10), end != p; p = end)
			;
		p[strcspn(p, "\n")] = 0;
		snprintf(name, size, "%s", p);
		found = true;
	}
	free(buffer);
	fclose(file);
	return found;
}

int os_log_open(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	REQUIRE_OK(log);
	REQUIRE_OK(lseek(log, 0, SEEK_END));
	return log;
}

bool os_log_has(int log, const char *text)
{
	char line[2048];
	ssize_t length;

	/* A record each; EPIPE: some were overwritten before we came. */
	while ((length = read(log, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		line[length > 0 ? length : 0] = 0;
		if (strstr(line, text))
			return true;
	}
	return false;
}

uint64_t os_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

void os_sleep_us(unsigned int us)
{
	struct timespec t = { us / 1000000, us % 1000000 * 1000L };

	nanosleep(&t, NULL);
}

void os_drop_capability(unsigned int capability)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	REQUIRE_OK(syscall(SYS_capget, &header, data));
	REQUIRE(data[capability / 32].effective & (1U << (capability % 32)));
	data[capability / 32].effective &= ~(1U << (capability % 32));
	data[capability / 32].permitted &= ~(1U << (capability % 32));
	data[capability / 32].inheritable &= ~(1U << (capability % 32));
	REQUIRE_OK(syscall(SYS_capset, &header, data));
}

pid_t os_gettid(void)
{
	return syscall(SYS_gettid);
}

static bool sleeps_in(pid_t tid, long call)
{
	char path[64], text[256], *end;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	if (os_read(path, text, sizeof(text)))
		return false;
	return strtol(text, &end, 10) == call && end != text;
}

void os_wait_blocked(pid_t tid, long call)
{
	REQUIRE(OS_WAIT_FOR(sleeps_in(tid, call), 30000));
}

static void *thread_main(void *arg)
{
	struct os_thread *thread = arg;

	__atomic_store_n(&thread->tid, os_gettid(), __ATOMIC_SEQ_CST);
	return thread->run(thread->arg);
}

void os_thread_start(struct os_thread *thread, void *(*run)(void *), void *arg)
{
	thread->tid = 0;
	thread->run = run;
	thread->arg = arg;
	REQUIRE_EQ(pthread_create(&thread->thread, NULL, thread_main, thread), 0);
	REQUIRE(OS_WAIT_FOR(__atomic_load_n(&thread->tid, __ATOMIC_SEQ_CST), 30000));
}

/* A thread that does not end: the test's own deadline ends it, and shows where it hangs. */
void *os_thread_join(struct os_thread *thread)
{
	void *result = NULL;

	REQUIRE_EQ(pthread_join(thread->thread, &result), 0);
	return result;
}

int os_wait_child(pid_t pid)
{
	int status = -1;
	pid_t done;

	REQUIRE(pid > 0);
	do
		done = waitpid(pid, &status, 0);
	while (done < 0 && errno == EINTR);
	REQUIRE_EQ(done, pid);
	return status;
}
