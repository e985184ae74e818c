// SPDX-License-Identifier: MIT
/*
 * disk_stress.c - a disk under load, of which every byte that was acknowledged is known
 *
 *   disk_stress [--until FILE] [--seconds N] DEVICE THREADS MEGABYTES
 *
 * Each thread has a part of the first MEGABYTES of the disk, and one request on its way at a time: a write,
 * a read, zeroes, a discard, a flush, past the page cache, of 512 bytes to 1 MiB. Every sector says which it is
 * and when it was written, so that a read tells whether it is the last write that was acknowledged, whole.
 * It ends after N seconds (10), or when FILE exists (a driver was killed often enough, say); then all of it
 * is read once more. Prints how much it did, and the longest that a request took. Status 1: an error, or
 * data that is not what was acknowledged.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "os.h"

#define SECTOR 512u
#define SECTORS_MAX 2048u /* 1 MiB */

/* What a sector holds: this, all over. */
struct stamp {
	uint64_t sector;
	uint64_t version; /* 0, with a sector of 0: zeroes */
};

struct part {
	pthread_t thread;
	unsigned int index;
	uint64_t first, count; /* sectors */
	uint64_t *versions;    /* of what was acknowledged */
	struct stamp *buffer;
	uint64_t random;
	uint64_t writes, reads, zeroes, discards, flushes, longest_ns;
};

static int disk;
static volatile bool over, failed;

static uint64_t next_random(struct part *p)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return p->random;
}

static void fail(const struct part *p, const char *what, uint64_t sector, int error)
{
	fprintf(stderr, "disk_stress: thread %u: %s at sector %llu: %s\n", p->index, what,
		(unsigned long long)sector, error ? strerror(error) : "not what was acknowledged");
	failed = true;
}

static void fill(struct part *p, uint64_t at, uint64_t count, uint64_t version)
{
	struct stamp *stamp = p->buffer;

	for (uint64_t sector = p->first + at; sector < p->first + at + count; sector++)
		for (unsigned int i = 0; i < SECTOR / sizeof(*stamp); i++)
			*stamp++ = (struct stamp){ sector, version };
}

/* After a discard a sector is what it was, or zeroes: the version's highest bit says that it was discarded. */
#define DISCARDED (UINT64_C(1) << 63)

static bool sector_is(const struct stamp *stamp, uint64_t sector, uint64_t version)
{
	for (unsigned int i = 0; i < SECTOR / sizeof(*stamp); i++)
		if (stamp[i].sector != (version ? sector : 0) || stamp[i].version != version)
			return false;
	return true;
}

static bool check(struct part *p, uint64_t at, uint64_t count)
{
	const struct stamp *stamp = p->buffer;

	for (uint64_t i = at; i < at + count; i++, stamp += SECTOR / sizeof(*stamp)) {
		uint64_t version = p->versions[i];

		if (sector_is(stamp, p->first + i, version & ~DISCARDED) ||
		    (version & DISCARDED && sector_is(stamp, p->first + i, 0)))
			continue;
		fail(p, "read", p->first + i, 0);
		fprintf(stderr, "disk_stress: found sector %llu version %llx, wanted version %llx\n",
			(unsigned long long)stamp->sector, (unsigned long long)stamp->version,
			(unsigned long long)version);
		return false;
	}
	return true;
}

static void settle(struct part *p, uint64_t at, uint64_t count, uint64_t version)
{
	for (uint64_t i = at; i < at + count; i++)
		p->versions[i] = version == DISCARDED ? p->versions[i] | DISCARDED : version;
}

static bool read_and_check(struct part *p, uint64_t at, uint64_t count)
{
	off_t offset = (off_t)(p->first + at) * SECTOR;

	if (pread(disk, p->buffer, count * SECTOR, offset) != (ssize_t)(count * SECTOR)) {
		fail(p, "read", p->first + at, errno ? errno : EIO);
		return false;
	}
	p->reads++;
	return check(p, at, count);
}

static void once(struct part *p, uint64_t version)
{
	/* Lengths of all sizes, the small ones as often as the large ones. */
	uint64_t count = (next_random(p) % SECTORS_MAX >> next_random(p) % 12) + 1;
	uint64_t at = next_random(p) % (p->count - count + 1);
	unsigned int what = (unsigned int)(next_random(p) % 100);
	uint64_t range[2] = { (p->first + at) * SECTOR, count * SECTOR };

	if (what < 50) {
		fill(p, at, count, version);
		if (pwrite(disk, p->buffer, count * SECTOR, (off_t)range[0]) != (ssize_t)(count * SECTOR))
			return fail(p, "write", p->first + at, errno ? errno : EIO);
		settle(p, at, count, version);
		p->writes++;
	} else if (what < 90) {
		read_and_check(p, at, count);
	} else if (what < 94) {
		if (ioctl(disk, BLKZEROOUT, range))
			return fail(p, "zeroes", p->first + at, errno);
		settle(p, at, count, 0);
		p->zeroes++;
	} else if (what < 98) {
		if (ioctl(disk, BLKDISCARD, range))
			return fail(p, "discard", p->first + at, errno);
		settle(p, at, count, DISCARDED);
		p->discards++;
	} else {
		if (fdatasync(disk))
			return fail(p, "flush", 0, errno);
		p->flushes++;
	}
}

static void *run(void *arg)
{
	struct part *p = arg;
	uint64_t version = 1, began_ns, took_ns;

	/* What was there before is nothing that was acknowledged. */
	for (uint64_t at = 0; at < p->count && !failed; at += SECTORS_MAX) {
		uint64_t range[2], count = p->count - at < SECTORS_MAX ? p->count - at : SECTORS_MAX;

		range[0] = (p->first + at) * SECTOR;
		range[1] = count * SECTOR;
		if (ioctl(disk, BLKZEROOUT, range))
			fail(p, "zeroes", p->first + at, errno);
	}
	while (!over && !failed) {
		began_ns = os_now_ns();
		once(p, version++);
		took_ns = os_now_ns() - began_ns;
		if (took_ns > p->longest_ns)
			p->longest_ns = took_ns;
	}
	for (uint64_t at = 0; at < p->count && !failed; at += SECTORS_MAX)
		read_and_check(p, at, p->count - at < SECTORS_MAX ? p->count - at : SECTORS_MAX);
	return NULL;
}

static void usage(void)
{
	fputs("usage: disk_stress [--until FILE] [--seconds N] DEVICE THREADS MEGABYTES\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	unsigned int threads, seconds = 10;
	const char *until = NULL, *path;
	struct part *parts, sum = { 0 };
	uint64_t megabytes, end_ns;

	for (; argc > 2 && argv[1][0] == '-'; argc -= 2, argv += 2) {
		if (!strcmp(argv[1], "--until"))
			until = argv[2];
		else if (!strcmp(argv[1], "--seconds"))
			seconds = (unsigned int)atoi(argv[2]);
		else
			usage();
	}
	if (argc != 4)
		usage();
	path = argv[1];
	threads = (unsigned int)atoi(argv[2]);
	megabytes = (uint64_t)atoi(argv[3]);
	if (!threads || megabytes < 2 * threads)
		usage();
	disk = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (disk < 0) {
		perror(path);
		return 1;
	}
	parts = calloc(threads, sizeof(*parts));
	end_ns = os_now_ns() + seconds * UINT64_C(1000000000);
	for (unsigned int i = 0; i < threads; i++) {
		struct part *p = &parts[i];

		p->index = i;
		p->count = megabytes * 2048 / threads;
		p->first = i * p->count;
		p->random = 88172645463325252u + i;
		p->versions = calloc(p->count, sizeof(*p->versions));
		p->buffer = aligned_alloc(4096, SECTORS_MAX * SECTOR);
		if (!p->versions || !p->buffer || pthread_create(&p->thread, NULL, run, p)) {
			fputs("disk_stress: out of memory\n", stderr);
			return 1;
		}
	}
	while (!failed && (until ? access(until, F_OK) != 0 : os_now_ns() < end_ns))
		os_sleep_us(20000);
	over = true;
	for (unsigned int i = 0; i < threads; i++) {
		struct part *p = &parts[i];

		pthread_join(p->thread, NULL);
		sum.writes += p->writes;
		sum.reads += p->reads;
		sum.zeroes += p->zeroes;
		sum.discards += p->discards;
		sum.flushes += p->flushes;
		if (p->longest_ns > sum.longest_ns)
			sum.longest_ns = p->longest_ns;
	}
	printf("writes=%llu reads=%llu zeroes=%llu discards=%llu flushes=%llu longest_ms=%llu\n",
	       (unsigned long long)sum.writes, (unsigned long long)sum.reads, (unsigned long long)sum.zeroes,
	       (unsigned long long)sum.discards, (unsigned long long)sum.flushes,
	       (unsigned long long)sum.longest_ns / 1000000);
	return failed;
}
