// SPDX-License-Identifier: MIT
/*
 * ram - a disk in this process's memory: the smallest driver of a disk
 *
 * There is no device: the kernel copies the data of a request to a buffer that both see, and back. A driver
 * of a device does the same with addresses that it gives to the device, in place of memcpy().
 *
 * Reading order: main(), serve(), do_request().
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <libudrv_blk.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint8_t *memory;
static uint64_t memory_bytes;
static struct udrv_blk *blk;
static volatile sig_atomic_t stop;

/* One request: all at once, for there is nothing to wait for. Returns UDRV_BLK_OK, or what went wrong. */
static uint16_t do_request(struct udrv_blk_queue *queue, const struct udrv_blk_request *request)
{
	const struct udrv_blk_segment *segment = udrv_blk_segments(queue, request->tag);
	uint8_t *place = memory + request->offset;

	/* The kernel asks for nothing beyond the disk; but an address is made of it here. */
	if (request->offset > memory_bytes || request->bytes > memory_bytes - request->offset)
		return UDRV_BLK_IOERR;
	switch (request->op) {
	case UDRV_BLK_READ:
	case UDRV_BLK_WRITE:
		for (unsigned int i = 0; i < request->segment_count; i++) {
			uint8_t *data = udrv_blk_data(blk, segment[i].address);

			if (request->op == UDRV_BLK_READ)
				memcpy(data, place, segment[i].length);
			else
				memcpy(place, data, segment[i].length);
			place += segment[i].length;
		}
		return UDRV_BLK_OK;
	case UDRV_BLK_DISCARD:
	case UDRV_BLK_WRITE_ZEROES:
		memset(place, 0, request->bytes);
		return UDRV_BLK_OK;
	case UDRV_BLK_FLUSH:
		return UDRV_BLK_OK; /* it is as safe as it will ever be */
	default:
		return UDRV_BLK_NOTSUPP;
	}
}

/* Until a signal. One system call for each batch: it hands in what is done, and waits for more. */
static int serve(struct udrv_blk_queue *queue)
{
	int ready = 0;

	while (!stop && (ready >= 0 || ready == -EINTR)) {
		uint32_t count = udrv_blk_count(queue);

		for (uint32_t i = 0; i < count; i++) {
			const struct udrv_blk_request *request = udrv_blk_at(queue, i);

			udrv_blk_complete(queue, request->tag, do_request(queue, request), request->bytes);
		}
		udrv_blk_consume(queue, count);
		ready = udrv_blk_turn(queue, 0, UDRV_BLK_FOREVER);
	}
	return stop ? 0 : ready;
}

static void on_signal(int number)
{
	(void)number;
	stop = 1;
	udrv_blk_kick(blk, 0); /* if it came just before the sleep */
}

static void usage(FILE *to)
{
	fprintf(to, "usage: ram [--name=NAME] [MEGABYTES]\n"
		    "A disk in memory (64 MiB), until it is interrupted. NAME begins with udrv.\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct udrv_blk_disk disk = { .discard_bytes = 1 << 20, .zeroes_bytes = 1 << 20 };
	struct sigaction action = { .sa_handler = on_signal };
	char name[UDRV_BLK_NAME_BYTES], *end = NULL;
	unsigned long megabytes = 64;
	int option, rc;

	while ((option = getopt_long(argc, argv, "n:h", options, NULL)) != -1) {
		switch (option) {
		case 'n':
			disk.name = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc)
		megabytes = strtoul(argv[optind], &end, 10);
	if (argc - optind > 1 || (end && (*end || end == argv[optind])) || !megabytes || megabytes > 1 << 20) {
		usage(stderr);
		return 2;
	}
	memory_bytes = disk.bytes = (uint64_t)megabytes << 20;
	memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "%lu MiB of memory", megabytes);

	rc = udrv_blk_attach(NULL, &(struct udrv_blk_options){ 0 }, &blk);
	if (rc == -EPERM)
		errx(1, "no right to make disks: it needs CAP_SYS_ADMIN (sudo)");
	if (rc == -ENOENT)
		errx(1, "no /dev/udrv/blk: load the module (sudo modprobe udrv)");
	if (rc)
		errx(1, "cannot attach: %s", strerror(-rc));
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);

	rc = udrv_blk_add(blk, &disk, name);
	if (rc == -EEXIST)
		errx(1, "there is a disk of the name %s: take another one (--name)", disk.name);
	if (rc == -EINVAL)
		errx(1, "%s is no name for it: \"udrv\" and up to 20 small letters, or digits",
		     disk.name ? disk.name : "it");
	if (rc)
		errx(1, "cannot add a disk: %s", strerror(-rc));
	printf("/dev/%s: %lu MiB\n", name, megabytes);
	fflush(stdout);

	rc = serve(udrv_blk_get_queue(blk, 0));
	udrv_blk_close(blk);
	if (rc)
		errx(1, "%s: %s", name, strerror(-rc));
	return 0;
}
