/* SPDX-License-Identifier: MIT */
/*
 * os.h - what tests ask the kernel about: /proc, capabilities, threads that wait
 *
 * Nothing here knows of udrv. Failures to ask are failures of the test.
 */
#ifndef OS_H
#define OS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whole small file as a string, without its last newline; -1 and errno. */
int os_read(const char *path, char *text, size_t size);
int os_write(const char *path, const char *text);

/* How often, as the environment's @variable says (1 to 1,000,000: else the program ends), or @otherwise. */
unsigned int os_times(const char *variable, unsigned int otherwise);

/* A number behind a name in /proc/self/status (in KiB) and /proc/vmstat (refreshed first). */
long os_status_kib(const char *name);
long os_vmstat(const char *name);
/* Pages that are pinned for DMA by anybody: those ever acquired less those released. */
long os_pinned_pages(void);

/* Frames of @count pages from @address on, by /proc/self/pagemap; 0 where there is none. */
void os_frames(const void *address, size_t count, uint64_t *frames);
/* The calling thread runs on this CPU only. */
void os_run_on(unsigned int cpu);

/* Lines of /proc/interrupts that contain a text; the first one is copied to @line. */
unsigned int os_interrupts(const char *text, char *line, size_t size);
/* The name behind interrupt @irq there: everything after the counts; false if it is not there. */
bool os_interrupt_name(unsigned int irq, char *name, size_t size);

/* The kernel's log, from here on; has a line with this text come since? */
int os_log_open(void);
bool os_log_has(int log, const char *text);

uint64_t os_now_ns(void);
void os_sleep_us(unsigned int us);
/*
 * Evaluates until it holds or the time is over; its last value. The last time comes after the end of the
 * time: who was away meanwhile has waited for nothing.
 */
#define OS_WAIT_FOR(condition, ms)                                                                \
	({                                                                                        \
		uint64_t os_end = os_now_ns() + (ms) * 1000000ULL;                                \
		bool os_over, os_holds;                                                           \
		for (;;) {                                                                        \
			os_over = os_now_ns() >= os_end;                                          \
			os_holds = (condition);                                                   \
			if (os_holds || os_over)                                                  \
				break;                                                            \
			os_sleep_us(500);                                                         \
		}                                                                                 \
		os_holds;                                                                         \
	})

/* Give a capability (CAP_*) up, in this thread, for good. */
void os_drop_capability(unsigned int capability);

pid_t os_gettid(void);
/* Wait until a thread of this process sleeps inside a system call (SYS_*), or fail after 30 s. */
void os_wait_blocked(pid_t tid, long call);

/* A thread that says when it runs. */
struct os_thread {
	pthread_t thread;
	pid_t tid;
	void *(*run)(void *);
	void *arg;
};
void os_thread_start(struct os_thread *thread, void *(*run)(void *), void *arg);
void *os_thread_join(struct os_thread *thread);

/* Wait for a child: its wait status. CHILD_OK checks that it ended with status 0. */
int os_wait_child(pid_t pid);
#define OS_CHILD_OK(pid) CHECK_EQ(os_wait_child(pid), 0)

#define PAGE 4096UL

#endif
