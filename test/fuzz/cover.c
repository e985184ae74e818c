// SPDX-License-Identifier: MIT
/*
 * cover.c - what of the module the calls reach, where the kernel has KCOV
 *
 * KCOV tells each thread at which places of the module (module/Kbuild instruments it) its own
 * system calls came by. Interrupt handlers, work items and what happens while a process ends are
 * not seen: their functions are listed as not reached although they ran. Places are kept by their
 * distance from the module's start, so that they are the same ones in all processes, and counted by
 * function with the names of /proc/kallsyms.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kcov.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define COVER_WORDS (32U << 10)
#define KCOV "/sys/kernel/debug/kcov"
#define FUNCTIONS_MAX 1024

static uint64_t module_start, module_size;
static struct function {
	uint64_t start;
	char name[64];
} functions[FUNCTIONS_MAX];
static unsigned int function_count;

static int by_start(const void *a, const void *b)
{
	const struct function *l = a, *r = b;

	return l->start < r->start ? -1 : l->start > r->start;
}

/* Not what runs only when the module comes or goes, nor what the compiler has set apart of a
 * function. */
static bool counts(const char *name)
{
	static const char *const skip[] = { "udrv_net_init",   "udrv_net_exit",	  "udrv_net_netdev_init",
					    "udrv_net_netdev_exit",
					    "udrv_init",       "udrv_exit",	  "udrv_pci_init",
					    "udrv_pci_exit",   "udrv_cdev_init",  "udrv_cdev_exit",
					    "udrv_trust_init", "udrv_trust_exit", "init_module",
					    "cleanup_module" };

	for (size_t i = 0; i < COUNT_OF(skip); i++)
		if (!strcmp(name, skip[i]))
			return false;
	return !strstr(name, ".cold") && strncmp(name, "_sub_", 5) && strncmp(name, "__pfx", 5);
}

bool cover_init(void)
{
	char line[256], name[96], type;
	unsigned long long address;
	FILE *file;

	if (access(KCOV, F_OK))
		return false;
	file = fopen("/proc/modules", "r");
	REQUIRE(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "udrv %llu %*d %*s %*s 0x%llx", (unsigned long long *)&module_size,
			   &address) == 2)
			module_start = address;
	fclose(file);
	REQUIRE(module_start && module_size <= MODULE_BYTES);
	file = fopen("/proc/kallsyms", "r");
	REQUIRE(file);
	while (fgets(line, sizeof(line), file)) {
		if (!strstr(line, "[udrv]") ||
		    sscanf(line, "%llx %c %90s", &address, &type, name) != 3 ||
		    (type != 't' && type != 'T') || function_count == FUNCTIONS_MAX)
			continue;
		functions[function_count].start = address - module_start;
		snprintf(functions[function_count++].name, sizeof(functions[0].name), "%.60s",
			 name);
	}
	fclose(file);
	qsort(functions, function_count, sizeof(functions[0]), by_start);
	return true;
}

void cover_prepare(struct thread *thread)
{
	thread->cover = NULL;
	if (!module_start)
		return;
	thread->kcov = open(KCOV, O_RDWR | O_CLOEXEC);
	REQUIRE_OK(thread->kcov);
	REQUIRE_OK(ioctl(thread->kcov, KCOV_INIT_TRACE, COVER_WORDS));
	thread->cover = mmap(NULL, COVER_WORDS * sizeof(uint64_t), PROT_READ | PROT_WRITE,
			     MAP_SHARED, thread->kcov, 0);
	REQUIRE(thread->cover != MAP_FAILED);
}

void cover_start(struct thread *thread)
{
	if (!thread->cover)
		return;
	REQUIRE_OK(ioctl(thread->kcov, KCOV_ENABLE, KCOV_TRACE_PC));
	__atomic_store_n(&thread->cover[0], 0, __ATOMIC_RELAXED);
}

void cover_collect(struct thread *thread)
{
	uint64_t count;

	if (!thread->cover)
		return;
	count = __atomic_load_n(&thread->cover[0], __ATOMIC_RELAXED);
	for (uint64_t i = 1; i <= count && i < COVER_WORDS; i++) {
		uint64_t at = thread->cover[i] - module_start;

		if (at < module_size &&
		    !atomic_load_explicit(&shared->reached[at], memory_order_relaxed))
			atomic_store_explicit(&shared->reached[at], 1, memory_order_relaxed);
	}
	__atomic_store_n(&thread->cover[0], 0, __ATOMIC_RELAXED);
}

unsigned int cover_count(void)
{
	unsigned int count = 0;

	for (uint64_t i = 0; i < module_size; i++)
		count += shared->reached[i];
	return count;
}

static unsigned int places_of(unsigned int function)
{
	uint64_t end = function + 1 < function_count ? functions[function + 1].start : module_size;
	unsigned int places = 0;

	for (uint64_t at = functions[function].start; at < end; at++)
		places += shared->reached[at];
	return places;
}

unsigned int cover_of(const char *name)
{
	for (unsigned int i = 0; i < function_count; i++)
		if (!strcmp(functions[i].name, name))
			return places_of(i);
	return 0;
}

/* Of module/net: the names of symbols are all that there is to know it by. */
static bool of_network(const char *name)
{
	static const char *const begin[] = { "udrv_net_", "net_",	"netdev_", "tx_",     "rx_",
					     "session_",  "attach_",	"turn_",   "ethtool_", "slot_",
					     "buffer_",	  "queue_alloc" };

	for (size_t i = 0; i < COUNT_OF(begin); i++)
		if (!strncmp(name, begin[i], strlen(begin[i])))
			return true;
	return false;
}

void cover_report(void)
{
	unsigned int reached = 0, looked_at = 0, length = 0, net_places = 0, net_reached = 0,
		     net = 0;
	char line[400] = "";

	if (!module_start)
		return;
	for (unsigned int i = 0; i < function_count; i++) {
		unsigned int places = places_of(i);

		if (!counts(functions[i].name))
			continue;
		looked_at++;
		if (of_network(functions[i].name)) {
			net++;
			net_places += places;
			net_reached += places > 0;
		}
		if (places) {
			reached++;
			continue;
		}
		if (length > 90) {
			tap_note("  not reached: %s", line);
			length = 0;
		}
		length += snprintf(line + length, sizeof(line) - length, "%s ", functions[i].name);
	}
	if (length)
		tap_note("  not reached: %s", line);
	tap_note("coverage: %u places, %u of %u functions; network half: %u places, %u of %u",
		 cover_count(), reached, looked_at, net_places, net_reached, net);
}
