/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the parts of the fuzzer share
 *
 * A run is a number of rounds. A round is a process: it opens the node, several threads call it at
 * random, others take the device away meanwhile, and it ends in one of several ways. The supervisor
 * (main.c) starts rounds, watches for calls that do not return, and looks whether everything is
 * idle between them. What they share is one piece of memory.
 *
 * Safe by construction: the kernel is to be broken, not the machine under it. Which registers may
 * be written, and with what, is device.c's; threads reach device memory only at addresses that it
 * allows, whatever lies there at the moment.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../vm/node.h"
#include "../vm/os.h"
#include "../vm/tap.h"

#include <udrv/net.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ---- random numbers: the same from the same seed ---- */

uint64_t mix(uint64_t a, uint64_t b);
struct rng {
	uint64_t state;
};
uint64_t rng_next(struct rng *rng);
/* 0 to n - 1 */
uint32_t below(struct rng *rng, uint32_t n);
/* True once in n times. */
bool one_in(struct rng *rng, uint32_t n);

/* ---- shared by supervisor and rounds ---- */

#define THREADS_MAX 5 /* that call; the last one takes the device away */
#define OPS_MAX 96
#define ERRNOS 134
#define MODULE_BYTES (1U << 20)

struct shared {
	/* What each thread is in, for the watchdog: op + 1, 0 nothing. */
	struct activity {
		_Atomic uint32_t op;
		_Atomic pid_t pid, tid;
		_Atomic uint64_t since_ns;
		_Atomic bool may_wait; /* it is woken by a signal */
		_Atomic bool told;
	} activity[THREADS_MAX];
	_Atomic uint64_t results[OPS_MAX][ERRNOS];
	_Atomic uint32_t complaints;
	_Atomic uint64_t accesses, faults;
	_Atomic bool stop;
	_Atomic uint64_t taken_over, disks_taken_over;
	bool inject; /* the kernel has fault injection */
	_Atomic uint64_t injected;
	bool dma_debug;		     /* memory that a device writes may be mapped once only */
	pthread_mutex_t device_lock; /* robust: see device.c */
	_Atomic uint8_t reached[MODULE_BYTES]; /* bytes of the module's text at which code ran */
};
extern struct shared *shared;

/* A failure, with its place in the source; only the first of many is printed. */
#define COMPLAIN(...) complain(__FILE__, __LINE__, __VA_ARGS__)
void complain(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- a round's own state ---- */

#define ARG_ROOM 8192UL
#define NODES_MAX 4
#define EVENTS_MAX 4
#define OUT_BYTES (128UL << 10) /* whatever the kernel returns fits */

struct thread {
	unsigned int index;
	struct rng rng;
	struct activity *activity;
	/* Memory accesses that may fault: where to go on. */
	sigjmp_buf fault;
	volatile sig_atomic_t guarded;
	volatile sig_atomic_t signal;
	/* Memory of this thread alone: for a call's struct, then a page that is not there. */
	uint8_t *arg, *arg_end;
	uint8_t *out;		  /* OUT_BYTES for results */
	struct udrv_prog_op *ops; /* UDRV_PROG_MAX_OPS */
	int fail_nth; /* -1: none */
	volatile sig_atomic_t armed; /* a fault is ordered */
	bool hit; /* the last call had it */
	int kcov;
	uint64_t *cover;
};
extern __thread struct thread *self;

/* The shape of a round: all of it follows from its first seed. */
struct flavour {
	unsigned int threads;
	bool acknowledge; /* INTx with an acknowledge program; then no MSI */
	bool net;	  /* with network interfaces */
	bool blk;	  /* with disks */
	enum { ALONE, REVOKE, UNBIND, REMOVE, HOTPLUG } disturb;
	enum { END_CLEAN, END_EXIT, END_EXIT_BUSY, END_KILL } end;
};

struct round {
	struct node node;
	const struct device *device;
	struct flavour flavour;
	struct udrv_ioc_region_info regions[UDRV_REGION_COUNT];
	unsigned int vectors;
	_Atomic int nodes[NODES_MAX]; /* descriptors, -1: none */
	_Atomic int events[EVENTS_MAX];
	_Atomic int epoll;
};
extern struct round round_;

/* ---- operations ---- */

struct op {
	const char *name;
	unsigned int weight;
	long (*run)(const struct op *op); /* 0 or more, or -errno; SKIPPED: nothing was called */
	unsigned int cmd;		  /* ioctls */
	bool may_wait;
	bool net; /* only where the round is one with network interfaces */
	bool blk; /* with disks */
};
#define SKIPPED (-100000)

/* Now and then something in the system call between these two fails; errno stays. */
bool fault_begin(void);
void fault_end(bool begun);

/* calls.c: ioctls; files.c: what a descriptor can do else; memory.c: mappings; disturb.c: taking
 * the device away; net.c: a network interface's driver; stack.c: the system's side of it; blk.c: disks */
extern const struct op call_ops[], file_ops[], memory_ops[], net_ops[], stack_ops[], blk_ops[],
	disturb_ops[];
extern const size_t call_op_count, file_op_count, memory_op_count, net_op_count, stack_op_count, blk_op_count,
	disturb_op_count;

/* The whole table, in that order. */
const struct op *op_at(unsigned int index);
unsigned int op_total(void);

int any_node(void); /* a descriptor, mostly the node's; -1 at times */
int any_event(void);
void *user_pointer(size_t bytes,
		   bool *whole); /* for a result: mostly good; *whole: it is, for all of it */

/* memory.c */
#define TENURES 2
void memory_init(void);
void *memory_regs(unsigned int tenure); /* a page's address for device.c */
void memory_drop(void);			/* all mappings of the node */
uint8_t *memory_net(unsigned int net);	/* where a network descriptor's rings are mapped */
void memory_net_drop(unsigned int net);
void thread_init(struct thread *thread);
/* What was allocated and mapped, for sane arguments. */
uint64_t memory_buffer_offset(struct rng *rng, uint64_t *length);
/* @fresh: nothing of it was given out before, nor is it the same memory as something else. */
void *memory_for_dma(struct rng *rng, uint64_t *length, bool *fresh);
/* Pointers that are bad in all the ways there are; writable ones lead nowhere harmful. */
void *bad_pointer(struct rng *rng, size_t bytes);
void *read_only_pointer(struct rng *rng);
/* An access that may fault: false if it did. */
bool guarded_copy(void *where, const void *from, size_t bytes);
bool guarded_access(volatile void *address, unsigned int width, uint64_t *value, bool write);
bool guarded_get32(uint8_t *from, uint32_t *value);
bool guarded_put32(uint8_t *to, uint32_t value);

/* args.c */
void calls_forget(void); /* handles of a descriptor that is dead */

/* ---- net.c: /dev/udrv/net, and the rings ---- */

#define NETS 4
#define NET_BYTES (4UL << 20) /* of a mapping at most */
#define NET_NAMES 4	      /* that interfaces mostly have: fz0 and following */

void net_begin(void);
void net_end(void);
/* A descriptor's place: mostly one that is attached, or that is not. */
unsigned int net_pick(bool attached);
int net_fd(unsigned int net);
struct udrv_ioc_net_attach net_options(struct rng *rng);
uint32_t net_queue(struct rng *rng, unsigned int net); /* one that it has */
/* It is: as the kernel says. Maps it, mostly. */
void net_attached(unsigned int net, const struct udrv_ioc_net_attach *info);
/* After a round, in the supervisor: those that had to go are gone, the others are deleted. */
bool net_back(void);

/* ---- blk.c: /dev/udrv/blk ---- */

void blk_begin(void);
void blk_end(void);
/* After a round, in the supervisor: no disk is left. */
bool blk_back(struct node *node);

/* stack.c */
void stack_begin(void);
void stack_name(struct rng *rng, char *name); /* of an interface that may be there */
int stack_set_up(const char *name, short flags);
bool stack_has_device(const char *name); /* as ethtool says */
/* A frame that the system might look into; its length, 2000 at most. */
unsigned int stack_frame(struct rng *rng, uint8_t *frame);

/* ---- device.c: what a device may be told ---- */

struct device {
	const char *kind;
	const char *address; /* if it is not the kind's usual one */
	bool has_irq;
	bool dma;	/* it has an engine that we can start */
	bool removable; /* by /sys/.../remove, and nobody else takes it when it comes back */
	bool hotplug;	/* by the monitor */
	/* May it be written there? Makes *value harmless. For mapped memory: whatever the page. */
	bool (*writable)(struct rng *rng, unsigned int bar, uint64_t offset, unsigned int width,
			 uint64_t *value);
	void (*raise)(struct rng *rng, int fd);
};
extern const struct device devices_[];
extern const size_t device_count;

void device_lock(void);
void device_unlock(void);
/* A register that may be written, or at least read, somewhere in a BAR; false: none in this device.
 */
bool device_register(struct rng *rng, bool write, unsigned int *bar, uint64_t *offset,
		     unsigned int *width, uint64_t *value);
/* After open, before anybody knows the descriptor; before bus mastering goes on: may it? */
void device_opened(int fd);
bool device_may_master(int fd);
/* Handles that stay for as long as the device might use them. */
bool device_keeps_buffer(uint32_t handle);
bool device_keeps_mapping(uint32_t handle);
long device_start_dma(struct rng *rng);
void device_forget(unsigned int tenure);   /* drop what device_opened() holds of some descriptor */
void device_calm(const struct node *node); /* before a round */

/* disturb.c: the device is there and bound again, whatever the round has done to it */
void device_back(const struct node *node, const struct device *device,
		 const struct flavour *flavour);

/* ---- cover.c ---- */
bool cover_init(void); /* in the supervisor; false: no KCOV in this kernel */
void cover_prepare(struct thread *thread);
void cover_start(struct thread *thread); /* in the thread itself */
void cover_collect(struct thread *thread);
unsigned int cover_count(void); /* places reached so far */
void cover_report(void);
unsigned int cover_of(const char *name); /* places in a function */

/* round.c */
void round_run(const struct node *node, const struct device *device, const uint64_t *seeds,
	       const unsigned int *counts, unsigned int segments) __attribute__((noreturn));
struct flavour flavour_of(const struct device *device, uint64_t seed);

#endif
