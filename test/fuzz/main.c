// SPDX-License-Identifier: MIT
/*
 * fuzz: every call of the node, at random, from several threads, while the device is taken away
 *
 *	fuzz [--seed N] [--seconds S] [--round SEED:COUNT[,SEED:COUNT...]] [DEVICE...]
 *
 * Runs one round (round.c) after the other on each device that is there, and supervises: a call
 *that does not return, a process that does not end, a device that is not idle afterwards is a
 *failure; what the kernel complains of is the lab's to see. --round repeats one round again and
 *again, as it was printed.
 *
 * The hard part is "does not return": a read may wait, so whoever waits for long is sent a signal,
 *and must return then.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"
#include "inject.h"

#define TICK_MS 20
#define WAIT_NS 20000000ULL /* then a waiting call is sent a signal */
#define HANG_NS 60000000000ULL
#define SEGMENTS_MAX 4
#define CORPUS_MAX 128
#define OFTEN 300 /* calls of a kind, of which some should succeed */
#define MORE_ROUNDS 24 /* of a slow machine's, until all is reached */

struct shared *shared;

static uint64_t seed = 1;
static unsigned int seconds = 60;
static bool chosen; /* some devices only */

/* A round as it can be repeated. */
struct plan {
	unsigned int segments;
	uint64_t seeds[SEGMENTS_MAX];
	unsigned int counts[SEGMENTS_MAX];
};
static struct plan only;

static const char *plan_text(const struct plan *plan)
{
	static char text[160];
	int length = 0;

	for (unsigned int i = 0; i < plan->segments; i++)
		length += snprintf(text + length, sizeof(text) - length, "%s%#llx:%u", i ? "," : "",
				   (unsigned long long)plan->seeds[i], plan->counts[i]);
	return text;
}

void complain(const char *file, int line, const char *format, ...)
{
	unsigned int n = atomic_fetch_add(&shared->complaints, 1);
	char text[300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 20)
		tap_check(false, file, line, text);
}

/* ---- watching ---- */

static void print_stack(pid_t pid, pid_t tid)
{
	char path[64], text[4096], *line, *rest = text;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stack", pid, tid);
	if (os_read(path, text, sizeof(text)))
		return;
	tap_note("thread %d is in:", tid);
	while ((line = strsep(&rest, "\n")))
		tap_note("  %s", line);
}

static void print_stacks(pid_t pid)
{
	struct dirent *entry;
	char path[64];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			print_stack(pid, atoi(entry->d_name));
	if (tasks)
		closedir(tasks);
}

/* Wakes who waits; true if a thread is in a call that should be over. */
static bool hangs(pid_t pid)
{
	uint64_t now = os_now_ns();
	bool found = false;

	for (unsigned int i = 0; i < THREADS_MAX; i++) {
		struct activity *a = &shared->activity[i];
		uint64_t since = atomic_load(&a->since_ns);
		uint32_t op = atomic_load(&a->op);

		if (!op || atomic_load(&a->pid) != pid || now < since + WAIT_NS)
			continue;
		if (atomic_load(&a->may_wait))
			syscall(SYS_tgkill, pid, atomic_load(&a->tid), SIGUSR1);
		if (now < since + HANG_NS || atomic_exchange(&a->told, true))
			continue;
		COMPLAIN("%s has not returned for %llu s", op_at(op - 1)->name,
			 HANG_NS / 1000000000);
		found = true;
	}
	if (found)
		print_stacks(pid);
	return found;
}

/* Returns the wait status of the round; when it has been killed and does not end, does not return.
 */
static int watch(pid_t pid)
{
	int pidfd = pidfd_open(pid, 0), status = -1;
	struct pollfd wait = { .fd = pidfd, .events = POLLIN };
	uint64_t killed = 0;

	REQUIRE_OK(pidfd);
	while (!poll(&wait, 1, TICK_MS)) {
		if (!killed && hangs(pid)) {
			kill(pid, SIGKILL);
			killed = os_now_ns();
		}
		if (killed && os_now_ns() > killed + HANG_NS) {
			COMPLAIN("a round does not end");
			print_stacks(pid);
			tap_end();
		}
	}
	close(pidfd);
	REQUIRE_EQ(waitpid(pid, &status, 0), pid);
	/* Its children end by themselves; they may hold the node for that long. */
	alarm(120);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	alarm(0);
	return status;
}

/* ---- afterwards ---- */

static bool idle(const struct node *node, const char *name, const char *wanted)
{
	return OS_WAIT_FOR(!strcmp(node_attribute(node, name), wanted), 20000);
}

/* All of it, so that all of it is said. */
static bool check_idle(const struct node *node)
{
	bool fine = true;
	int fd;

	fine &= CHECK(idle(node, "owner", "0"));
	fine &= CHECK(idle(node, "irq", "none 0"));
	fine &= CHECK(idle(node, "bus_master", "0"));
	fine &= CHECK(idle(node, "dma_consistent", "0"));
	fine &= CHECK(idle(node, "dma_streaming", "0"));
	fine &= CHECK_EQ(node_config(node, 4, 2) & 4, 0);
	fine &= CHECK_EQ(os_interrupts(node->name + strlen("pci-"), NULL, 0), 0);
	fine &= CHECK(OS_WAIT_FOR(os_pinned_pages() == 0, 20000));
	fine &= CHECK_OK(fd = open(node->path, O_RDWR | O_CLOEXEC));
	if (fd >= 0)
		fine &= CHECK_OK(close(fd));
	return fine;
}

static long meminfo_kib(const char *name)
{
	char text[4096], *at;

	REQUIRE_OK(os_read("/proc/meminfo", text, sizeof(text)));
	at = strstr(text, name);
	REQUIRE(at);
	return strtol(at + strlen(name) + 1, NULL, 10);
}

/* KASAN keeps what was freed for a while; there kmemleak looks for what is lost. */
static void check_memory(long slab, long vmalloc)
{
	if (!access("/sys/kernel/debug/kmemleak", F_OK))
		return;
	CHECK(OS_WAIT_FOR(meminfo_kib("SUnreclaim") < slab + 8192, 10000));
	CHECK(OS_WAIT_FOR(meminfo_kib("VmallocUsed") < vmalloc + 8192, 10000));
}

/* ---- rounds ---- */

static struct plan next_plan(struct rng *rng, const struct device *device, const struct plan *corpus,
			     unsigned int size)
{
	struct plan plan = { 0 };
	bool slow;

	/* The way of one that found something, and somewhere on it a turn. */
	if (size && !one_in(rng, 3))
		plan = corpus[below(rng, size)];
	if (plan.segments == SEGMENTS_MAX)
		plan.segments--;
	if (plan.segments)
		plan.counts[plan.segments - 1] = 1 + below(rng, plan.counts[plan.segments - 1]);
	plan.seeds[plan.segments] = rng_next(rng);
	/* What is done to interfaces and disks takes long; and the time is looked at between rounds only. */
	slow = flavour_of(device, plan.seeds[0]).net || flavour_of(device, plan.seeds[0]).blk;
	plan.counts[plan.segments++] = 50 + below(rng, slow ? 150 : 400);
	return plan;
}

/* Returns false if the rounds should end: something is wrong. */
static bool run_round(struct node *node, const struct device *device, const struct plan *plan)
{
	struct flavour flavour = flavour_of(device, plan->seeds[0]);
	unsigned int before = atomic_load(&shared->complaints);
	pid_t pid;
	int status;

	for (unsigned int i = 0; i < THREADS_MAX; i++)
		atomic_store(&shared->activity[i].op, 0);
	if (device->dma)
		device_calm(node);
	pid = fork();
	if (pid == 0)
		round_run(node, device, plan->seeds, plan->counts, plan->segments);
	REQUIRE_OK(pid);
	status = watch(pid);
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		COMPLAIN("the round's process was ended by %s", strsignal(WTERMSIG(status)));
	device_back(node, device, &flavour);
	if (net_back() & blk_back(node) & check_idle(node) && atomic_load(&shared->complaints) == before)
		return true;
	tap_note("in the round: fuzz --round %s", plan_text(plan));
	return false;
}

static void init_lock(void)
{
	pthread_mutexattr_t how;

	pthread_mutexattr_init(&how);
	pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
	REQUIRE_EQ(pthread_mutex_init(&shared->device_lock, &how), 0);
}

static bool find(struct node *node, const struct device *device)
{
	bool found;

	if (device->address)
		setenv("UDRV_EDU", device->address, 1);
	found = node_find(node, device->kind);
	if (device->address)
		unsetenv("UDRV_EDU");
	return found;
}

static unsigned int seconds_each(void)
{
	unsigned int present = 0;
	struct node node;

	for (size_t i = 0; i < device_count; i++)
		present += find(&node, &devices_[i]);
	return seconds / (present ? present : 1) + 1;
}

static void before_rounds(void)
{
	bool all_fail;

	REQUIRE_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	/* udev has nothing to do with interfaces that are not in its own network namespace. */
	REQUIRE_OK(unshare(CLONE_NEWNET));
	/* Nor modprobe with names that are not there: an ioctl for one would wait for it. */
	REQUIRE_OK(os_write("/proc/sys/kernel/modprobe", "\n"));
	init_lock();
	cover_init();
	shared->inject = inject_init(&all_fail);
	shared->dma_debug = inject_dma_debug();
}

static void fuzz_device(unsigned int index)
{
	static struct plan corpus[CORPUS_MAX];
	const struct device *device = &devices_[index];
	struct rng rng = { mix(seed, index) };
	unsigned int rounds = 0, size = 0, reached = 0;
	long slab = 0, vmalloc = 0;
	struct node node;
	uint64_t end;

	if (!find(&node, device))
		tap_skip("no %s at %s", device->kind, node.address);
	tap_step("rounds end, and everything is idle after each");
	before_rounds();
	node_bind(&node);
	REQUIRE(check_idle(&node));
	end = os_now_ns() + seconds_each() * 1000000000ULL;
	do {
		struct plan plan = only.segments ? only : next_plan(&rng, device, corpus, size);

		if (!run_round(&node, device, &plan))
			break;
		if (rounds++ == 2) {
			slab = meminfo_kib("SUnreclaim");
			vmalloc = meminfo_kib("VmallocUsed");
		}
		if (cover_count() > reached && size < CORPUS_MAX)
			corpus[size++] = plan;
		reached = cover_count();
	} while (os_now_ns() < end);
	tap_note("%s: seed %llu, %u rounds, %u places reached so far, %u kept for finding new ones",
		 device->kind, (unsigned long long)seed, rounds, reached, size);
	if (rounds > 2) {
		tap_step("kernel memory is where it was");
		check_memory(slab, vmalloc);
	}
}

/* ---- the report ---- */

static uint64_t made(unsigned int index)
{
	uint64_t total = 0;

	for (unsigned int e = 0; e < ERRNOS; e++)
		total += atomic_load(&shared->results[index][e]);
	return total;
}

static void print_results(unsigned int index)
{
	uint64_t total = made(index);
	char text[400];
	int length = 0;

	for (unsigned int e = 0; e < ERRNOS; e++) {
		uint64_t count = atomic_load(&shared->results[index][e]);

		if (count && length < 320)
			length += snprintf(text + length, sizeof(text) - length, " %s %llu",
					   e ? strerrorname_np(e) ?: "?" : "ok",
					   (unsigned long long)count);
	}
	if (total)
		tap_note("%-17s %7llu:%s", op_at(index)->name, (unsigned long long)total, text);
}

/*
 * How much of what a run should reach this one has not, with every device there. Not on each
 * machine do the seconds suffice for it, so rounds go on until they do.
 */
static unsigned int missing(bool told)
{
	static const char *const network[] = { "udrv_net_attach",     "udrv_net_turn",
					       "udrv_net_xmit",	      "udrv_net_tx_complete",
					       "udrv_net_rx_receive", "udrv_net_release" };
	unsigned int count = 0;

	for (unsigned int i = 0; i < call_op_count; i++) {
		if (!op_at(i)->cmd || made(i) < OFTEN || atomic_load(&shared->results[i][0]))
			continue;
		count++;
		if (told)
			tap_note("missing: %s never succeeded", op_at(i)->name);
	}
	for (size_t i = 0; cover_count() && i < COUNT_OF(network); i++) {
		if (cover_of(network[i]))
			continue;
		count++;
		if (told)
			tap_note("missing: %s was not reached", network[i]);
	}
	return count;
}

/* With interrupts and DMA, and with a reset, in turn. */
static void more_rounds(void)
{
	static const unsigned int turns[] = { 0, 4 };
	struct rng rng = { mix(seed, device_count) };
	unsigned int rounds;

	for (rounds = 0; missing(false) && rounds < MORE_ROUNDS; rounds++) {
		const struct device *device = &devices_[turns[rounds % COUNT_OF(turns)]];
		struct plan plan = next_plan(&rng, device, NULL, 0);
		struct node node;

		REQUIRE(find(&node, device));
		node_bind(&node);
		if (!run_round(&node, device, &plan))
			return;
	}
	if (rounds)
		tap_note("%u rounds more, to reach all of it", rounds);
}

/* What was called, and what came of it: a fuzzer whose calls all fail looks at nothing. */
static void reach(void)
{
	uint64_t total = 0, good = 0;
	struct node node;

	before_rounds();
	/* Not every device has interrupts, or a reset. */
	if (!chosen && find(&node, &devices_[0]) && find(&node, &devices_[4])) {
		tap_step("calls made often succeed at times, the network half is reached by packets");
		more_rounds();
		CHECK_EQ(missing(true), 0);
	}
	tap_step("calls were made, and many of them succeeded");
	for (unsigned int i = 0; i < op_total(); i++) {
		print_results(i);
		total += made(i);
		good += atomic_load(&shared->results[i][0]);
	}
	tap_note("%llu calls, %llu succeeded; %llu accesses to mapped memory, %llu met nothing",
		 (unsigned long long)total, (unsigned long long)good,
		 (unsigned long long)atomic_load(&shared->accesses),
		 (unsigned long long)atomic_load(&shared->faults));
	if (shared->inject) {
		tap_note("%llu faults injected",
			 (unsigned long long)atomic_load(&shared->injected));
		CHECK_GT(atomic_load(&shared->injected), 0);
	}
	CHECK_GT(total, 0);
	CHECK_GT(good * 4, total);
	tap_note("%llu interfaces and %llu devices' disks were taken over",
		 (unsigned long long)atomic_load(&shared->taken_over),
		 (unsigned long long)atomic_load(&shared->disks_taken_over));
	cover_report();
}

#define FUZZ(name, index)           \
	static void name(void)      \
	{                           \
		fuzz_device(index); \
	}

FUZZ(edu, 0)
FUZZ(ivshmem, 1)
FUZZ(testdev, 2)
FUZZ(serial, 3)
FUZZ(nvme, 4)
FUZZ(hotplug, 5)

static void usage(void)
{
	fprintf(stderr, "usage: fuzz [--seed N] [--seconds S] [--round SEED:COUNT[,SEED:COUNT...]] "
			"[DEVICE...]\n"
			"devices: edu ivshmem testdev serial nvme hotplug; all that are there "
			"unless some are named\n");
	exit(2);
}

static uint64_t number(const char *text, char **end)
{
	char *behind;
	uint64_t value;

	if (!text)
		usage();
	value = strtoull(text, &behind, 0);
	if (behind == text || (!end && *behind))
		usage();
	if (end)
		*end = behind;
	return value;
}

static void parse_round(char *text)
{
	do {
		if (only.segments == SEGMENTS_MAX)
			usage();
		only.seeds[only.segments] = number(text, &text);
		if (*text++ != ':')
			usage();
		only.counts[only.segments++] = number(text, &text);
	} while (*text++ == ',');
}

int main(int argc, char **argv)
{
	struct tap_test tests[] = {
		TAP_TEST(edu),	TAP_TEST(ivshmem), TAP_TEST(testdev), TAP_TEST(serial),
		TAP_TEST(nvme), TAP_TEST(hotplug), TAP_TEST(reach),
	};
	char *names[argc + 2];
	int count = 1;

	names[0] = argv[0];
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--seed"))
			seed = number(argv[++i], NULL);
		else if (!strcmp(argv[i], "--seconds"))
			seconds = number(argv[++i], NULL);
		else if (!strcmp(argv[i], "--round") && argv[i + 1])
			parse_round(argv[++i]);
		else if (argv[i][0] == '-')
			usage();
		else
			names[count++] = argv[i];
	}
	chosen = count > 1;
	if (chosen)
		names[count++] = "reach";
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED) {
		perror("fuzz");
		return 2;
	}
	for (size_t i = 0; i < COUNT_OF(tests); i++)
		tests[i].timeout_s = seconds + 300;
	return TAP_MAIN(count, names, tests, node_check_idle);
}
