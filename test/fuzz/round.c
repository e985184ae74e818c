// SPDX-License-Identifier: MIT
/*
 * round.c - one round: a process whose threads call the node at random, and how it ends
 *
 * What happens follows from the seeds: the first one gives the round its flavour, and each thread
 * draws from a stream of its own. (What a call finds also depends on the other threads, and on the
 * device.) A round is a list of seeds, each good for a number of operations: one that reached new
 * code can be gone through again and then leave the path.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fuzz.h"
#include "inject.h"

struct round round_;
__thread struct thread *self;

static const uint64_t *round_seeds;
static const unsigned int *round_counts;
static unsigned int round_segments;
static _Atomic bool others_done;
static _Atomic uint64_t ops_done;   /* by all threads of the round */
static pthread_barrier_t all_there; /* thread stacks are mapped before anything is unmapped */

/* ---- random numbers ---- */

uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = a + 0x9e3779b97f4a7c15ULL * (b + 1);

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

uint64_t rng_next(struct rng *rng)
{
	rng->state++;
	return mix(rng->state, 0);
}

uint32_t below(struct rng *rng, uint32_t n)
{
	return n ? (rng_next(rng) >> 32) * n >> 32 : 0;
}

bool one_in(struct rng *rng, uint32_t n)
{
	return !below(rng, n);
}

struct flavour flavour_of(const struct device *device, uint64_t seed)
{
	struct rng rng = { mix(seed, 0xf1) };
	struct flavour f = { .threads = 1 + below(&rng, THREADS_MAX - 1), .end = below(&rng, 4) };

	f.disturb = below(&rng, 5);
	if (f.disturb == HOTPLUG && !device->hotplug)
		f.disturb = REVOKE;
	if (f.disturb == REMOVE && !device->removable)
		f.disturb = UNBIND;
	f.acknowledge = device->dma && one_in(&rng, 4);
	f.net = one_in(&rng, 2);
	f.blk = one_in(&rng, 2);
	return f;
}

/* ---- the table of operations ---- */

static const struct {
	const struct op *ops;
	const size_t *count;
} tables[] = {
	{ call_ops, &call_op_count }, { file_ops, &file_op_count },	{ memory_ops, &memory_op_count },
	{ net_ops, &net_op_count },   { stack_ops, &stack_op_count }, { blk_ops, &blk_op_count },
	{ disturb_ops, &disturb_op_count },
};

unsigned int op_total(void)
{
	unsigned int total = 0;

	for (size_t i = 0; i < COUNT_OF(tables); i++)
		total += *tables[i].count;
	return total;
}

const struct op *op_at(unsigned int index)
{
	size_t i;

	for (i = 0; index >= *tables[i].count; i++)
		index -= *tables[i].count;
	return &tables[i].ops[index];
}

static unsigned int first_disturb(void)
{
	return op_total() - disturb_op_count;
}

static unsigned int weight(unsigned int index)
{
	const struct op *op = op_at(index);

	return (op->net && !round_.flavour.net) || (op->blk && !round_.flavour.blk) ? 0 : op->weight;
}

static unsigned int pick_op(void)
{
	static unsigned int sum;
	unsigned int i, at;

	if (!sum) {
		for (i = 0, at = 0; i < first_disturb(); i++)
			at += weight(i);
		sum = at;
	}
	at = below(&self->rng, sum);
	for (i = 0; at >= weight(i); i++)
		at -= weight(i);
	return i;
}

/*
 * Around one system call and nothing else: a signal whose frame cannot be copied would end us. So
 * they wait, and calls that a signal has to wake are left alone.
 */
static void mask_signals(int how)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGIO);
	sigaddset(&signals, SIGRTMIN);
	pthread_sigmask(how, &signals, NULL);
}

bool fault_begin(void)
{
	self->hit = false;
	if (self->fail_nth < 0 || !one_in(&self->rng, 5))
		return false;
	mask_signals(SIG_BLOCK);
	self->armed = 1;
	inject_at(self->fail_nth, 1 + below(&self->rng, one_in(&self->rng, 4) ? 60 : 8));
	return true;
}

void fault_end(bool begun)
{
	int error = errno;

	if (!begun)
		return;
	self->hit = inject_done(self->fail_nth);
	self->armed = 0;
	if (self->hit)
		atomic_fetch_add(&shared->injected, 1);
	mask_signals(SIG_UNBLOCK);
	errno = error;
}

static void do_op(unsigned int index)
{
	struct activity *activity = self->activity;
	const struct op *op = op_at(index);
	long result;

	atomic_store(&activity->may_wait, op->may_wait);
	atomic_store(&activity->since_ns, os_now_ns());
	atomic_store(&activity->op, index + 1);
	result = op->run(op);
	atomic_store(&activity->op, 0);
	atomic_fetch_add(&ops_done, 1);
	cover_collect(self);
	if (result == SKIPPED)
		return;
	if (result < 0 && -result >= ERRNOS)
		COMPLAIN("%s: errno %ld", op->name, -result);
	else
		atomic_fetch_add(&shared->results[index][result < 0 ? -result : 0], 1);
}

/* ---- threads ---- */

static void thread_begin(struct thread *thread, unsigned int index)
{
	self = thread;
	thread->index = index;
	thread->activity = &shared->activity[index];
	atomic_store(&thread->activity->told, false);
	atomic_store(&thread->activity->pid, getpid());
	atomic_store(&thread->activity->tid, os_gettid());
	thread->fail_nth = shared->inject ? inject_open() : -1;
	pthread_barrier_wait(&all_there);
	cover_start(thread);
}

static void *caller(void *arg)
{
	struct thread *thread = arg;

	thread_begin(thread, thread->index);
	for (unsigned int s = 0; s < round_segments; s++) {
		thread->rng.state = mix(round_seeds[s], thread->index);
		for (unsigned int i = 0; i < round_counts[s] && !atomic_load(&shared->stop); i++)
			do_op(pick_op());
	}
	return NULL;
}

/* Takes the device away and gives it back, every so many calls, until the callers are done. */
static void *disturber(void *arg)
{
	struct thread *thread = arg;

	thread_begin(thread, thread->index);
	thread->rng.state = mix(round_seeds[0], thread->index);
	while (!atomic_load(&others_done) && !atomic_load(&shared->stop)) {
		unsigned int i = below(&thread->rng, disturb_op_count);
		uint64_t next = atomic_load(&ops_done) + below(&thread->rng, 200);

		if (!(disturb_ops[i].weight & 1 << round_.flavour.disturb))
			continue;
		/* Where in those calls it comes is the scheduler's. They may all wait for
		 * something: not for ever. */
		for (int ms = 0;
		     ms < 300 && atomic_load(&ops_done) < next && !atomic_load(&others_done); ms++)
			os_sleep_us(1000);
		do_op(first_disturb() + i);
	}
	return NULL;
}

/* ---- signals ---- */

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)context;
	if (self && self->guarded) {
		self->signal = number;
		siglongjmp(self->fault, 1);
	}
	/*
	 * The fault hit what the kernel writes to each thread when it goes on (rseq), in a page
	 * that was to be copied after a fork: it will be written next time.
	 */
	if (self && self->armed && info->si_code == SI_KERNEL)
		return;
	/* Not an access that may fail: the fuzzer is wrong, or the kernel has written where it must
	 * not. */
	signal(number, SIG_DFL);
}

static void on_signal(int number)
{
	(void)number; /* it only ends a wait */
}

static void handle_signals(void)
{
	/* Not masked while it is handled: whoever jumps out of it needs to restore nothing. */
	struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct sigaction other = { .sa_handler = on_signal };

	REQUIRE_OK(sigaction(SIGSEGV, &fault, NULL));
	REQUIRE_OK(sigaction(SIGBUS, &fault, NULL));
	REQUIRE_OK(sigaction(SIGUSR1, &other, NULL));
	REQUIRE_OK(sigaction(SIGIO, &other, NULL));
	REQUIRE_OK(sigaction(SIGRTMIN, &other, NULL));
	REQUIRE(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
}

/* ---- the round ---- */

static void begin(const struct node *node, const struct device *device)
{
	struct udrv_ioc_device_info info;

	round_.node = *node;
	round_.device = device;
	round_.flavour = flavour_of(device, round_seeds[0]);
	handle_signals();
	memory_init();
	for (unsigned int i = 0; i < NODES_MAX; i++)
		atomic_store(&round_.nodes[i], -1);
	for (unsigned int i = 0; i < EVENTS_MAX; i++)
		atomic_store(&round_.events[i], eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	atomic_store(&round_.epoll, epoll_create1(EPOLL_CLOEXEC));
	node_reopen(&round_.node);
	for (unsigned int i = 0; i < UDRV_REGION_COUNT; i++)
		round_.regions[i] = node_region(&round_.node, i);
	info = node_info(&round_.node);
	round_.vectors = info.msix_count > info.msi_count ? info.msix_count : info.msi_count;
	if (!round_.vectors)
		round_.vectors = 1;
	device_opened(round_.node.fd);
	atomic_store(&round_.nodes[0], round_.node.fd);
	net_begin();
	blk_begin();
	if (round_.flavour.net)
		stack_begin();
}

void round_run(const struct node *node, const struct device *device, const uint64_t *seeds,
	       const unsigned int *counts, unsigned int segments)
{
	static struct thread threads[THREADS_MAX];
	pthread_t ids[THREADS_MAX];
	unsigned int total;

	round_seeds = seeds;
	round_counts = counts;
	round_segments = segments;
	begin(node, device);
	total = round_.flavour.threads;
	for (unsigned int i = 0; i < THREADS_MAX; i++) {
		thread_init(&threads[i]);
		cover_prepare(&threads[i]);
		threads[i].index = i;
	}
	REQUIRE_EQ(
		pthread_barrier_init(&all_there, NULL, total + (round_.flavour.disturb != ALONE)),
		0);
	for (unsigned int i = 0; i < total; i++)
		REQUIRE_EQ(pthread_create(&ids[i], NULL, caller, &threads[i]), 0);
	if (round_.flavour.disturb != ALONE)
		REQUIRE_EQ(pthread_create(&ids[THREADS_MAX - 1], NULL, disturber,
					  &threads[THREADS_MAX - 1]),
			   0);
	/* The first thread that is done ends it for all, where the end is to find them busy. */
	REQUIRE_EQ(pthread_join(ids[0], NULL), 0);
	if (round_.flavour.end == END_KILL)
		kill(getpid(), SIGKILL);
	if (round_.flavour.end == END_EXIT_BUSY)
		_exit(0);
	for (unsigned int i = 1; i < total; i++)
		REQUIRE_EQ(pthread_join(ids[i], NULL), 0);
	atomic_store(&others_done, true);
	if (round_.flavour.disturb != ALONE)
		REQUIRE_EQ(pthread_join(ids[THREADS_MAX - 1], NULL), 0);
	if (round_.flavour.end == END_CLEAN) {
		net_end();
		blk_end();
		for (unsigned int i = 0; i < NODES_MAX; i++)
			if (atomic_load(&round_.nodes[i]) >= 0)
				close(atomic_load(&round_.nodes[i]));
	}
	_exit(0);
}
