// SPDX-License-Identifier: MIT
/*
 * irq.c - `udrv irq`: watch interrupts come in
 *
 * Owns the loop of a first driver: set up, start the device (--write), wait, acknowledge (--ack). A
 * device that holds its line asks for both, and the node has one opener, so no other process could
 * do them.
 *
 * The hard part is to end well: --count, --timeout and SIGINT all end the loop with the total
 * printed, and a signal between two waits is not lost, because it is taken from a signalfd beside
 * the device.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define WRITES_MAX 16
#define RECORDS 64

struct write_step {
	struct reg reg;
	uint64_t value;
};

struct options {
	const char *address;
	unsigned int kind; /* UDRV_IRQ_NONE: what a bare read() would choose */
	unsigned int vectors;
	uint64_t count;	    /* 0: no end */
	int64_t timeout_ns; /* -1: no end */
	bool bus_master;
	struct write_step writes[WRITES_MAX];
	unsigned int write_count;
	struct write_step acks[WRITES_MAX];
	unsigned int ack_count;
};

static void parse_step(const struct argp_state *state, const char *text, struct write_step *steps,
		       unsigned int *count)
{
	const char *equals = strchr(text, '=');
	char name[64];

	if (*count == WRITES_MAX)
		refuse_usage(state, "more than %d writes: give fewer.", WRITES_MAX);
	if (!equals || (size_t)(equals - text) >= sizeof(name))
		refuse_usage(state, "'%s' is no write: write it like bar0+0x60=1.", text);
	memcpy(name, text, (size_t)(equals - text));
	name[equals - text] = '\0';
	if (parse_register(name, &steps[*count].reg))
		refuse_usage(state, "'%s' is no register: write it like bar0+0x10 or config+0x04.",
			     name);
	if (parse_number(equals + 1, &steps[*count].value))
		refuse_usage(state, "'%s' is no value: write it like 0x1f or 31.", equals + 1);
	++*count;
}

static void parse_kind(const struct argp_state *state, const char *text, struct options *options)
{
	if (strcmp(text, "intx") == 0)
		options->kind = UDRV_IRQ_INTX;
	else if (strcmp(text, "msi") == 0)
		options->kind = UDRV_IRQ_MSI;
	else if (strcmp(text, "msix") == 0 || strcmp(text, "msi-x") == 0)
		options->kind = UDRV_IRQ_MSIX;
	else
		refuse_usage(state, "'%s' is no kind of interrupt: it is intx, msi or msix.", text);
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct options *options = state->input;
	uint64_t number;
	char *end;
	double seconds;

	switch (key) {
	case 'k':
		parse_kind(state, text, options);
		return 0;
	case 'v':
		if (parse_number(text, &number) || !number || number > 2048)
			refuse_usage(state, "'%s' is no number of vectors: it is 1 to 2048.", text);
		options->vectors = (unsigned int)number;
		return 0;
	case 'n':
		if (parse_number(text, &options->count) || !options->count)
			refuse_usage(state, "'%s' is no count: it is a number from 1 on.", text);
		return 0;
	case 't':
		seconds = strtod(text, &end);
		if (end == text || *end || !(seconds >= 0 && seconds <= 1e9))
			refuse_usage(state, "'%s' is no time: give seconds, like 2 or 0.5.", text);
		options->timeout_ns = (int64_t)(seconds * 1e9);
		return 0;
	case 'm':
		options->bus_master = true;
		return 0;
	case 'w':
		parse_step(state, text, options->writes, &options->write_count);
		return 0;
	case 'a':
		parse_step(state, text, options->acks, &options->ack_count);
		return 0;
	case ARGP_KEY_ARG:
		if (options->address)
			return ARGP_ERR_UNKNOWN;
		options->address = text;
		return 0;
	case ARGP_KEY_END:
		if (!options->address)
			argp_usage(state);
		if (!options->bus_master && options->kind > UDRV_IRQ_INTX)
			refuse_usage(
				state,
				"MSI and MSI-X are writes by the device: they need --bus-master.");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option option_table[] = {
	{ "kind", 'k', "KIND", 0,
	  "intx, msi or msix; else INTx, or with --bus-master the best there is", 0 },
	{ "vectors", 'v', "N", 0, "Set up N vectors; else all that the device has", 0 },
	{ "count", 'n', "N", 0, "End after N interrupts", 0 },
	{ "timeout", 't', "SECONDS", 0, "End after this time", 0 },
	{ "bus-master", 'm', NULL, 0, "Reset the device if it can be, and turn bus mastering on",
	  0 },
	{ "write", 'w', "REGISTER=VALUE", 0,
	  "Write this register (4 bytes) when interrupts are set up, to start the device; may be "
	  "repeated",
	  0 },
	{ "ack", 'a', "REGISTER=VALUE", 0,
	  "Write this register (4 bytes) after each interrupt; may be repeated", 0 },
	{ 0 },
};

static const struct argp irq_argp = {
	.options = option_table,
	.parser = parse_option,
	.args_doc = "ADDRESS",
	.doc = "Watch a bound device's interrupts, one line for each: vector, how many since the "
	       "last line, the time (CLOCK_MONOTONIC) of the first of them. Ends with --count, "
	       "--timeout or ^C.",
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int run_steps(struct udrv *device, const char *brief, const struct write_step *steps,
		     unsigned int count)
{
	unsigned int i;
	int rc;

	for (i = 0; i < count; i++) {
		rc = register_write(device, brief, &steps[i].reg, 4, steps[i].value);
		if (rc)
			return rc;
	}
	return STATUS_OK;
}

static int refuse_setup(int rc, const char *brief, const char *kind)
{
	if (rc == -EOPNOTSUPP)
		return refuse(STATUS_FAILED,
			      "%s has no %s: 'udrv info %s' shows the interrupts that it has.",
			      brief, kind, brief);
	if (rc == -EINVAL)
		return refuse(STATUS_FAILED,
			      "%s has fewer %s vectors than that: 'udrv info %s' shows how many.",
			      brief, kind, brief);
	if (rc == -EBUSY)
		return refuse(STATUS_FAILED,
			      "%s cannot have its interrupt line to itself: another device is on "
			      "it, see /proc/interrupts.",
			      brief);
	return refuse(STATUS_FAILED, "%s of %s cannot be set up: %s (%s).", kind, brief,
		      udrv_strerror(rc), strerror(-rc));
}

static int set_up(struct udrv *device, const char *brief, struct options *options)
{
	static const char *const names[] = { "interrupt", "INTx", "MSI", "MSI-X" };
	const struct udrv_ioc_device_info *info = udrv_info(device);
	int rc;

	if (options->bus_master) {
		if (info->state & UDRV_DEVICE_RESET) {
			rc = udrv_reset(device);
			if (rc)
				return refuse(STATUS_FAILED, "%s was not reset: %s (%s).", brief,
					      udrv_strerror(rc), strerror(-rc));
		}
		rc = udrv_bus_master(device, true);
		if (rc)
			return refuse(STATUS_FAILED, "bus mastering of %s: %s (%s).", brief,
				      udrv_strerror(rc), strerror(-rc));
	}
	if (options->kind == UDRV_IRQ_NONE) {
		options->kind = UDRV_IRQ_INTX;
		if (options->bus_master && info->msix_count)
			options->kind = UDRV_IRQ_MSIX;
		else if (options->bus_master && info->msi_count)
			options->kind = UDRV_IRQ_MSI;
	}
	rc = udrv_irq_setup(device, options->kind, options->vectors);
	if (rc < 0)
		return refuse_setup(rc, brief, names[options->kind]);
	fprintf(stderr, "udrv: waiting for %s, %d vector%s; ^C ends.\n", names[options->kind], rc,
		rc == 1 ? "" : "s");
	return STATUS_OK;
}

/* SIGINT and SIGTERM as a descriptor: then they can be waited for beside the device. */
static int open_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

static uint64_t print_records(const struct udrv_irq_record *records, int count)
{
	uint64_t total = 0;
	int i;

	for (i = 0; i < count; i++) {
		total += records[i].count;
		printf("vector %u count %u time %" PRIu64 ".%09" PRIu64, records[i].vector,
		       records[i].count, (uint64_t)records[i].time_ns / 1000000000,
		       (uint64_t)records[i].time_ns % 1000000000);
		if (records[i].value)
			printf(" value 0x%" PRIx64, (uint64_t)records[i].value);
		putchar('\n');
	}
	fflush(stdout);
	return total;
}

static int watch(struct udrv *device, const char *brief, const struct options *options, int signals)
{
	struct pollfd waiters[2] = {
		{ .fd = udrv_fd(device), .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	struct udrv_irq_record records[RECORDS];
	int64_t end = options->timeout_ns < 0 ? -1 : now_ns() + options->timeout_ns, left;
	uint64_t total = 0;
	int got, rc = STATUS_OK;

	while (!options->count || total < options->count) {
		left = end < 0 ? -1 : end - now_ns();
		if (end >= 0 && left <= 0) {
			rc = options->count ? STATUS_TIMEOUT : STATUS_OK;
			break;
		}
		got = poll(waiters, 2,
			   end < 0 ? -1
				   : (int)(left / 1000000 > 3600000 ? 3600000
								    : (left + 999999) / 1000000));
		if (got < 0 && errno != EINTR)
			return refuse(STATUS_FAILED, "waiting failed: %s.", strerror(errno));
		if (waiters[1].revents)
			break;
		got = udrv_irq_wait(device, records, RECORDS, 0);
		if (got == -EINTR)
			continue;
		if (got == -ENODEV)
			return refuse(STATUS_FAILED,
				      "%s is gone, it was unplugged or unbound: 'udrv list' shows "
				      "what is there.",
				      brief);
		if (got < 0)
			return refuse(STATUS_FAILED, "waiting failed: %s (%s).", udrv_strerror(got),
				      strerror(-got));
		if (!got)
			continue;
		total += print_records(records, got);
		rc = run_steps(device, brief, options->acks, options->ack_count);
		if (rc)
			return rc;
	}
	if (rc == STATUS_TIMEOUT)
		return refuse(rc,
			      "%" PRIu64 " of %" PRIu64
			      " interrupts came in time: does the device need a --write to start, "
			      "or an --ack to go on?",
			      total, options->count);
	fprintf(stderr, "udrv: %" PRIu64 " interrupt%s.\n", total, total == 1 ? "" : "s");
	return rc;
}

int command_irq(int argc, char **argv)
{
	struct options options = { .timeout_ns = -1 };
	char brief[ADDRESS_BYTES];
	struct udrv_address address;
	struct udrv *device;
	int rc, signals;

	parse_arguments(&irq_argp, argc, argv, &options);
	rc = parse_address(options.address, &address);
	if (rc)
		return rc;
	address_brief(&address, brief);
	rc = open_device(&address, &device);
	if (rc)
		return rc;
	signals = open_signals();
	if (signals < 0)
		rc = refuse(STATUS_FAILED, "no descriptor for signals: %s.", strerror(errno));
	if (!rc)
		rc = set_up(device, brief, &options);
	if (!rc)
		rc = run_steps(device, brief, options.writes, options.write_count);
	if (!rc)
		rc = watch(device, brief, &options, signals);
	if (signals >= 0)
		close(signals);
	udrv_close(device);
	return rc;
}
