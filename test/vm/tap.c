// SPDX-License-Identifier: MIT
/*
 * tap.c - runs the tests of a program, each in a process, and prints TAP
 *
 * Owns the processes of a test (all of them: this one is their subreaper, and none outlives its
 * test) and the numbering. The hard part is a test that does not come back: when its time is over,
 * what its threads wait for in the kernel is printed, and it is killed; one that cannot even be
 * killed ends the run, because whatever follows would be misjudged.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

/* Worth a remark: what takes long takes long in each of a dozen machines. */
#define SLOW_S 3
#define DEFAULT_TIMEOUT_S 120
#define KILL_TIMEOUT_MS 60000
#define EXIT_SKIP 77
#define EXIT_STOPPED 78 /* by a REQUIRE */

/* Shared by all processes of a test. */
static struct {
	unsigned int points; /* steps finished */
	unsigned int checks; /* of this step */
	unsigned int failures; /* of this step */
	unsigned int failed_points;
	char step[160];
	char skip[160];
} *state;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One write for each line: children and threads print too. */
static void say(const char *format, ...)
{
	char line[1024];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (length > (int)sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length++] = '\n';
	for (int done = 0, n; done < length; done += n) {
		n = write(STDOUT_FILENO, line + done, length - done);
		if (n < 0)
			_exit(2);
	}
}

static void finish_step(void)
{
	if (!state->step[0] || (!state->checks && !state->failures))
		return;
	state->points++;
	say("    %sok %u - %s", state->failures ? "not " : "", state->points, state->step);
	if (state->failures)
		state->failed_points++;
	state->checks = state->failures = 0;
}

static void set_step(const char *format, va_list args)
{
	finish_step();
	vsnprintf(state->step, sizeof(state->step), format, args);
}

void tap_step(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set_step(format, args);
	va_end(args);
}

void tap_note(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say("    # %s", text);
}

void tap_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(state->skip, sizeof(state->skip), format, args);
	va_end(args);
	_exit(EXIT_SKIP);
}

void tap_end(void)
{
	_exit(EXIT_STOPPED);
}

static void failed(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void failed(const char *file, int line, const char *format, ...)
{
	char text[800];
	va_list args;

	__atomic_add_fetch(&state->failures, 1, __ATOMIC_SEQ_CST);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say("    # %s:%d: %s", file, line, text);
}

static void count(void)
{
	__atomic_add_fetch(&state->checks, 1, __ATOMIC_RELAXED);
}

bool tap_check(bool holds, const char *file, int line, const char *text)
{
	count();
	if (!holds)
		failed(file, line, "failed: %s", text);
	return holds;
}

bool tap_compare(enum tap_op op, long long left, long long right, const char *file, int line,
		 const char *left_text, const char *right_text)
{
	static const char *const names[] = { "==", "!=", "<", "<=", ">", ">=" };
	bool holds = op == TAP_EQ ? left == right :
		     op == TAP_NE ? left != right :
		     op == TAP_LT ? left < right :
		     op == TAP_LE ? left <= right :
		     op == TAP_GT ? left > right :
				    left >= right;

	count();
	if (!holds)
		failed(file, line, "failed: %s %s %s: left is %lld (%#llx), right is %lld (%#llx)",
		       left_text, names[op], right_text, left, left, right, right);
	return holds;
}

bool tap_result(long long result, int error, int wanted, const char *file, int line,
		const char *text)
{
	count();
	if (!wanted) {
		if (result != -1)
			return true;
		failed(file, line, "%s: failed with %s", text, strerrorname_np(error));
		return false;
	}
	if (result == -1 && error == wanted)
		return true;
	if (result == -1)
		failed(file, line, "%s: failed with %s, not with %s", text, strerrorname_np(error),
		       strerrorname_np(wanted));
	else
		failed(file, line, "%s: returned %lld, did not fail with %s", text, result,
		       strerrorname_np(wanted));
	return false;
}

bool tap_strings(const char *left, const char *right, const char *file, int line,
		 const char *left_text)
{
	count();
	if (!strcmp(left, right))
		return true;
	failed(file, line, "%s is \"%s\", not \"%s\"", left_text, left, right);
	return false;
}

bool tap_memory(const void *left, const void *right, size_t length, const char *file, int line,
		const char *text)
{
	const unsigned char *l = left, *r = right;

	count();
	for (size_t i = 0; i < length; i++) {
		if (l[i] == r[i])
			continue;
		failed(file, line, "%s: byte %zu of %zu is %#x, not %#x", text, i, length, l[i],
		       r[i]);
		return false;
	}
	return true;
}

static void print_file(pid_t pid, const char *task, const char *name)
{
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%.20s/%s", pid, task, name);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		say("    #   %s", line);
	}
	if (file)
		fclose(file);
}

/* Where each thread of a process is in the kernel, and of its children, which it may wait for. */
static void print_stacks(pid_t pid)
{
	struct dirent *entry;
	char path[64];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		FILE *children;
		int child;

		if (entry->d_name[0] == '.')
			continue;
		say("    # thread %s of process %d:", entry->d_name, pid);
		print_file(pid, entry->d_name, "comm");
		print_file(pid, entry->d_name, "stack");
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", pid, entry->d_name);
		children = fopen(path, "r");
		while (children && fscanf(children, "%d", &child) == 1)
			print_stacks(child);
		if (children)
			fclose(children);
	}
	if (tasks)
		closedir(tasks);
}

/* Waits for the end of a process; false if the time was over first. */
static bool wait_end(int pidfd, int timeout_ms)
{
	struct pollfd wait = { .fd = pidfd, .events = POLLIN };
	int n;

	do
		n = poll(&wait, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

/* What a test left running is part of it, and must be gone before the next one opens the device. */
static void reap_rest(pid_t group)
{
	kill(-group, SIGKILL);
	alarm(KILL_TIMEOUT_MS / 1000); /* an unkillable one: end of the run */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	alarm(0);
}

static int run_process(void (*run)(void), unsigned int timeout_s)
{
	pid_t pid;
	int pidfd, status;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		run();
		_exit(0);
	}
	pidfd = pid < 0 ? -1 : pidfd_open(pid, 0);
	if (pidfd < 0) {
		say("Bail out! no process for a test: %s", strerror(errno));
		exit(2);
	}
	setpgid(pid, pid);
	if (!wait_end(pidfd, timeout_s * 1000)) {
		failed(__FILE__, __LINE__, "not finished after %u s", timeout_s);
		print_stacks(pid);
		kill(pid, SIGKILL);
		if (!wait_end(pidfd, KILL_TIMEOUT_MS)) {
			print_stacks(pid);
			say("Bail out! a test cannot be killed");
			exit(2);
		}
	}
	close(pidfd);
	if (waitpid(pid, &status, 0) != pid)
		status = -1;
	reap_rest(pid);
	return status;
}

/* Returns true if it passed (or was skipped). */
static bool run_test(unsigned int number, const struct tap_test *test, void (*after)(void))
{
	unsigned int timeout_s = test->timeout_s ? test->timeout_s : DEFAULT_TIMEOUT_S;
	struct timespec started, ended;
	int status;

	clock_gettime(CLOCK_MONOTONIC, &started);
	memset(state, 0, sizeof(*state));
	snprintf(state->step, sizeof(state->step), "%s", test->name);
	say("# Subtest: %s", test->name);
	status = run_process(test->run, timeout_s);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP && !state->failures &&
	    !state->failed_points) {
		say("    1..0 # SKIP %s", state->skip);
		say("ok %u - %s # SKIP %s", number, test->name, state->skip);
		return true;
	}
	if (WIFSIGNALED(status))
		failed(__FILE__, __LINE__, "ended by signal %d (%s)", WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) && WEXITSTATUS(status) != EXIT_STOPPED)
		failed(__FILE__, __LINE__, "ended with status %d", WEXITSTATUS(status));
	else if (WEXITSTATUS(status) == EXIT_STOPPED && !state->failures)
		failed(__FILE__, __LINE__, "ended early");
	if (after) {
		tap_step("nothing left behind");
		status = run_process(after, DEFAULT_TIMEOUT_S);
		if (WIFSIGNALED(status) || (WEXITSTATUS(status) && !state->failures))
			failed(__FILE__, __LINE__, "the checks after the test ended with %#x",
			       status);
	}
	finish_step();
	say("    1..%u", state->points);
	say("%sok %u - %s", state->failed_points ? "not " : "", number, test->name);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	if (ended.tv_sec - started.tv_sec >= SLOW_S)
		say("# %s took %ld s", test->name, (long)(ended.tv_sec - started.tv_sec));
	return !state->failed_points;
}

static bool wanted(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc < 2;
}

int tap_main(int argc, char **argv, const struct tap_test *tests, size_t count, void (*after)(void))
{
	unsigned int number = 0, failures = 0;
	size_t chosen = 0;

	for (size_t i = 0; i < count; i++) {
		if (argc == 2 && !strcmp(argv[1], "-l"))
			printf("%s\n", tests[i].name);
		chosen += wanted(argc, argv, tests[i].name);
	}
	if (argc == 2 && !strcmp(argv[1], "-l"))
		return 0;
	if (argc > 1 && chosen != (size_t)argc - 1) {
		fprintf(stderr, "%s: no such test; -l lists them\n", argv[0]);
		return 2;
	}
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (state == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1)) {
		perror(argv[0]);
		return 2;
	}
	say("TAP version 14");
	say("1..%zu", chosen);
	for (size_t i = 0; i < count; i++)
		if (wanted(argc, argv, tests[i].name))
			failures += !run_test(++number, &tests[i], after);
	if (failures)
		say("# %u of %zu failed", failures, chosen);
	return failures ? 1 : 0;
}
