// SPDX-License-Identifier: MIT
/*
 * nvme - a disk driver in a process, for controllers of NVM Express
 *
 * Its namespaces become disks of the kernel (libudrv_blk.h), with no copy of their data: the kernel hands
 * out addresses of what is to be read and written, and they go into the controller's commands. It may be
 * killed and started again at any time: what is asked of the disks waits meanwhile, and no request
 * fails.
 *
 * That is also how a controller is reset that has failed, or does not answer: drive() ends, all that it had
 * is given back, and it begins again; the kernel issues again what was not completed. Reading order:
 * main() at the end, drive(), serve(); then queue.c, then ctrl.c.
 *
 *   udrv bind 00:0b.0
 *   nvme --name udrvdisk 00:0b.0
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../notify.h"
#include "nvme.h"

#define STACK_BYTES (256u << 10)
#define RESETS 3 /* that did not help, before this gives up */

static struct {
	const char *name;
	unsigned int queues, stats_s, timeout_s, deadline_s;
	uint64_t poll_ns;
	int info;
} opt = { .timeout_s = 30 };

static struct nvme nvme = { .admin_lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- what it says --------------------------------------------------------------------- */

static void print_counters(void)
{
	uint64_t reads = 0, writes = 0, others = 0, bytes = 0, errors = 0, retries = 0, turns = 0, interrupts = 0;

	for (unsigned int i = 0; i < nvme.queue_count; i++) {
		const struct nvme_queue *q = &nvme.queues[i];

		reads += q->reads;
		writes += q->writes;
		others += q->others;
		bytes += q->bytes;
		errors += q->errors;
		retries += q->retries;
		turns += q->turns;
		interrupts += q->interrupts;
	}
	printf("reads=%" PRIu64 " writes=%" PRIu64 " others=%" PRIu64 " bytes=%" PRIu64 " errors=%" PRIu64
	       " retries=%" PRIu64 " interrupts=%" PRIu64 " calls=%" PRIu64 "\n",
	       reads, writes, others, bytes, errors, retries, interrupts, turns);
	fflush(stdout);
}

/* Of sixteen bytes as many as fit; a disk that was used more than that is not to be had. */
static uint64_t counter(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return UDRV_LE(64, value);
}

static int print_info(void)
{
	const struct nvme_controller *c = &nvme.controller;
	struct nvme_smart smart;
	int rc = nvme_get_smart(&nvme, &smart);

	if (rc)
		return rc;
	printf("model: %.40s\nserial number: %.20s\nfirmware: %.8s\n", c->model, c->serial, c->firmware);
	printf("longest transfer: %u bytes\n", nvme.max_bytes);
	for (unsigned int i = 0; i < nvme.disk_count; i++)
		printf("namespace %u: %" PRIu64 " bytes, blocks of %u, %s\n", nvme.disks[i].nsid,
		       nvme.disks[i].bytes, 1u << nvme.disks[i].shift, nvme.disks[i].id);
	printf("critical warnings: %#x\n", smart.critical);
	printf("temperature: %d C\n", (smart.temperature_kelvin[0] | smart.temperature_kelvin[1] << 8) - 273);
	printf("spare: %u %%, threshold %u %%\nused: %u %%\n", smart.spare_percent, smart.spare_threshold,
	       smart.used_percent);
	printf("read: %" PRIu64 " times 512,000 bytes, %" PRIu64 " commands\n", counter(smart.units_read),
	       counter(smart.reads));
	printf("written: %" PRIu64 " times 512,000 bytes, %" PRIu64 " commands\n", counter(smart.units_written),
	       counter(smart.writes));
	printf("hours: %" PRIu64 ", power cycles: %" PRIu64 ", unsafe shutdowns: %" PRIu64 "\n",
	       counter(smart.hours), counter(smart.power_cycles), counter(smart.unsafe_shutdowns));
	printf("media errors: %" PRIu64 ", entries of its error log: %" PRIu64 "\n",
	       counter(smart.media_errors), counter(smart.log_entries));
	return 0;
}

/* ---- disks ------------------------------------------------------------------------------ */

static int attach(void)
{
	struct udrv_blk_options options = {
		.flags = UDRV_BLK_DEVICE_IS_RESET | /* by nvme_open() */
			 UDRV_BLK_END_HUNG,
		.queue_count = nvme.queue_count,
		.queue_depth = nvme.depth,
		.max_segments = nvme.max_bytes / NVME_PAGE + 1,
		.max_bytes = nvme.max_bytes,
		.virt_boundary = NVME_PAGE,
		.dma_alignment = 4,
		.timeout_ms = opt.timeout_s * 1000,
		.deadline_ms = opt.deadline_s * 1000,
	};
	int rc = udrv_blk_attach(nvme.device, &options, &nvme.blk);

	if (rc == -EPERM)
		return driver_fail(rc, "no right to make disks: it needs CAP_SYS_ADMIN (sudo)");
	if (rc == -EINVAL)
		return driver_fail(rc, "its disks are there, made with other queues or times: start it as it was, or "
				     "'udrv unbind' and 'udrv bind' it, which removes them");
	if (rc)
		return driver_fail(rc, "attach to /dev/udrv/blk: %s", udrv_strerror(rc));
	driver_say("%u queues of %u requests of %u bytes%s%s", nvme.queue_count, nvme.depth, nvme.max_bytes,
		 udrv_blk_flags(nvme.blk) & UDRV_BLK_TAKEN_OVER ? ", taken over" : "",
		 udrv_blk_flags(nvme.blk) & UDRV_BLK_COPIES ? ", data is copied" : "");
	for (unsigned int i = 0; i < nvme.queue_count; i++) {
		nvme.queues[i].kernel = udrv_blk_get_queue(nvme.blk, i);
		rc = udrv_blk_vector(nvme.blk, i, i + 1);
		if (rc)
			return driver_fail(rc, "give queue %u its interrupt: %s", i + 1, udrv_strerror(rc));
	}
	return 0;
}

static int add_disk(unsigned int unit)
{
	const struct nvme_controller *c = &nvme.controller;
	struct nvme_disk *disk = &nvme.disks[unit];
	char name[UDRV_BLK_NAME_BYTES] = "udrv%d";
	uint16_t oncs = UDRV_LE(16, c->oncs);
	struct udrv_blk_disk options = {
		.name = name,
		.id = disk->id,
		.unit = unit,
		.features = c->vwc & NVME_VWC_PRESENT ? UDRV_BLK_WRITE_CACHE | UDRV_BLK_HAS_FUA : 0,
		.bytes = disk->bytes,
		.logical_block = 1u << disk->shift,
		.discard_bytes = oncs & NVME_ONCS_DATASET ? 1u << 30 : 0,
		.zeroes_bytes = oncs & NVME_ONCS_WRITE_ZEROES ? (NVME_BLOCKS_MAX / 2) << disk->shift : 0,
	};
	int rc;

	/* Too long a name is refused, not cut. */
	if (opt.name && nvme.disk_count > 1)
		snprintf(name, sizeof(name), "%.30s%c", opt.name, 'a' + (int)unit);
	else if (opt.name)
		snprintf(name, sizeof(name), "%s", opt.name);
	rc = udrv_blk_add(nvme.blk, &options, disk->name);
	if (rc == -EEXIST)
		return driver_fail(rc, "there is a disk of the name %s: take another one (--name)", name);
	if (rc == -EINVAL)
		return driver_fail(rc, "%s: a name is \"udrv\" and up to 20 small letters, or digits alone; and that of "
				     "a disk that is there stays", name);
	if (rc)
		return driver_fail(rc, "add a disk: %s", udrv_strerror(rc));
	printf("/dev/%s: %" PRIu64 " MiB\n", disk->name, disk->bytes >> 20);
	fflush(stdout);
	return 0;
}

/* ---- service ---------------------------------------------------------------------------- */

static void wake_all(void)
{
	for (unsigned int i = 0; nvme.blk && i < nvme.queue_count; i++)
		udrv_blk_kick(nvme.blk, i);
}

static void on_signal(int number)
{
	(void)number;
	nvme.stopped = 1;
	wake_all();
}

/*
 * Who started us is told that we are alive if all queues have turned since the last time: those that sleep were woken then.
 * A thread that hangs ends all, and the next driver begins anew.
 */
static void tell_alive(void)
{
	static uint64_t seen[NVME_QUEUES];
	bool all = true;

	if (!notify_due())
		return;
	for (unsigned int i = 1; i < nvme.queue_count; i++) {
		uint64_t turns = nvme.queues[i].turns;

		all = all && turns != seen[i];
		seen[i] = turns;
		udrv_blk_kick(nvme.blk, i);
	}
	if (all)
		notify_alive();
}

/* A queue, until a signal, an error, or a reset is due; whatever ends one ends all. */
static void *serve(void *arg)
{
	struct nvme_queue *queue = arg;
	bool first = queue->index == 0;
	uint64_t interval_ns = first ? opt.stats_s * UINT64_C(1000000000) : 0;
	uint64_t sleep_ns = first ? notify_ready() : UDRV_BLK_FOREVER;
	uint64_t next_ns = driver_now_ns() + interval_ns;
	bool tells = sleep_ns != UDRV_BLK_FOREVER; /* a service manager wants to hear that we live */

	if (interval_ns && sleep_ns > UINT64_C(1000000000))
		sleep_ns = UINT64_C(1000000000);

	driver_no_rseq();
	while (!nvme.stopped && !nvme.again && !queue->error) {
		queue->error = nvme_queue_turn(queue, sleep_ns);
		if (tells)
			tell_alive();
		if (interval_ns && driver_now_ns() >= next_ns) {
			print_counters();
			next_ns += interval_ns;
		}
	}
	if (queue->error)
		nvme.again = 1;
	wake_all();
	return NULL;
}

/* Queue 0 is the first thread's, which signals come to. */
static int serve_all(void)
{
	sigset_t every, before;
	unsigned int threads = 1;
	pthread_attr_t how;
	int rc = 0;

	/* All of a stack is locked in memory (udrv_blk_attach()), so it is a small one. */
	pthread_attr_init(&how);
	pthread_attr_setstacksize(&how, STACK_BYTES);
	sigfillset(&every);
	pthread_sigmask(SIG_SETMASK, &every, &before);
	for (; !rc && threads < nvme.queue_count; threads += !rc)
		rc = -pthread_create(&nvme.queues[threads].thread, &how, serve, &nvme.queues[threads]);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&how);
	if (rc) {
		nvme.again = 1;
		wake_all();
		driver_fail(rc, "make a thread: %s", strerror(-rc));
	} else {
		serve(&nvme.queues[0]);
	}
	for (unsigned int i = 1; i < threads; i++)
		pthread_join(nvme.queues[i].thread, NULL);
	for (unsigned int i = 0; i < nvme.queue_count; i++)
		if (!rc || nvme.queues[i].error == NVME_AGAIN)
			rc = nvme.queues[i].error ? nvme.queues[i].error : rc;
	if (rc && rc != NVME_AGAIN)
		driver_fail(rc, "serve %s: %s", nvme.name, udrv_strerror(rc));
	return rc;
}

/* All of it, from the reset on. NVME_AGAIN: and once more. */
static int drive(void)
{
	int rc = nvme_open(&nvme, opt.queues);

	if (!rc)
		rc = nvme_identify(&nvme);
	if (rc)
		return rc;
	if (opt.info)
		return print_info();
	rc = nvme_set_queue_count(&nvme);
	for (unsigned int i = 0; !rc && i < nvme.queue_count; i++) {
		nvme.queues[i].nvme = &nvme;
		nvme.queues[i].index = i;
		nvme.queues[i].error = 0;
		rc = nvme_queue_init(&nvme.queues[i]);
		if (!rc)
			rc = nvme_create_queue(&nvme, &nvme.queues[i]);
	}
	if (!rc)
		rc = attach();
	for (unsigned int i = 0; !rc && i < nvme.disk_count; i++)
		rc = add_disk(i);
	return rc ? rc : serve_all();
}

/* ---- options ----------------------------------------------------------------------------- */

static const char usage[] =
	"usage: nvme [OPTION...] DEVICE, as in: nvme --name udrvdisk 00:0b.0\n"
	"  --name NAME       of its disk: \"udrv\" and small letters, or digits; default: udrv0 or the next;\n"
	"                    with several namespaces NAMEa, NAMEb and so on\n"
	"  --queues N        and as many threads; default: one for each processor, up to 16\n"
	"  --poll[=USEC]     look for work as long before sleeping; alone: never sleep\n"
	"  --timeout SECONDS for a request, before it is aborted; default: 30\n"
	"  --deadline SECONDS  how long requests wait for a driver before they fail; default: for ever\n"
	"  --info            print who it is and its health, make no disk\n"
	"  --stats SECONDS   print counters as often, and at the end\n"
	"  --verbose         tell what is going on\n";

static unsigned int number(const char *text, unsigned int low, unsigned int high)
{
	char *end;
	unsigned long value;

	text = text ? text : "nothing";
	value = strtoul(text, &end, 10);
	if (end == text || *end || value < low || value > high) {
		fprintf(stderr, "nvme: %s is no number from %u to %u\n", text, low, high);
		exit(2);
	}
	return (unsigned int)value;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "queues", required_argument, NULL, 'q' },
		{ "poll", optional_argument, NULL, 'p' },
		{ "timeout", required_argument, NULL, 't' },
		{ "deadline", required_argument, NULL, 'd' },
		{ "stats", required_argument, NULL, 's' },
		{ "info", no_argument, &opt.info, 1 },
		{ "verbose", no_argument, &driver_verbose, 1 },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int key;

	while ((key = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (key) {
		case 0:
			break;
		case 'n':
			opt.name = optarg;
			break;
		case 'q':
			opt.queues = number(optarg, 1, NVME_QUEUES);
			break;
		case 'p':
			opt.poll_ns = optarg ? number(optarg, 1, 1000000) * UINT64_C(1000) : UINT64_MAX;
			break;
		case 't':
			opt.timeout_s = number(optarg, 1, UDRV_BLK_MS_MAX / 1000);
			break;
		case 'd':
			opt.deadline_s = number(optarg, 1, UDRV_BLK_MS_MAX / 1000);
			break;
		case 's':
			opt.stats_s = number(optarg, 1, 86400);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind != argc - 1) {
		fputs(usage, stderr);
		exit(2);
	}
	nvme.name = argv[optind];
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	unsigned int resets = 0;
	uint64_t began_ns;
	long cpus;
	int rc;

	driver_name = "nvme";
	parse(argc, argv);
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	if (!opt.queues)
		opt.queues = cpus < 1 ? 1 : cpus > (long)NVME_QUEUES ? NVME_QUEUES : (unsigned int)cpus;
	nvme.poll_ns = opt.poll_ns;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	do {
		nvme.again = 0;
		began_ns = driver_now_ns();
		rc = drive();
		if (!rc)
			nvme_shut_down(&nvme);
		nvme_close(&nvme);
		/* One that runs for a while is one that helped. */
		if (driver_now_ns() - began_ns > 2 * opt.timeout_s * UINT64_C(1000000000) + UINT64_C(60000000000))
			resets = 0;
	} while (rc == NVME_AGAIN && !nvme.stopped && resets++ < RESETS);
	if (rc == NVME_AGAIN)
		driver_fail(rc, "%s was reset %u times, which did not help", nvme.name, resets);
	if (opt.stats_s)
		print_counters();
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
