/* SPDX-License-Identifier: MIT */
/*
 * blkif.h - a driver of disks, on raw system calls; and the system's side of it
 *
 * Without a device, a thread serves a disk from memory; tests that write nonsense into the rings are a
 * driver of their own, with the same calls.
 */
#ifndef BLKIF_H
#define BLKIF_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <udrv/blk.h>

#define BLKIF_NODE "/dev/udrv/blk"
#define BLKIF_NAME "udrvtest"
#define BLKIF_PATH "/dev/" BLKIF_NAME
#define BLKIF_SYSFS "/sys/block/" BLKIF_NAME
#define BLKIF_DEPTH 16
#define BLKIF_BYTES (8U << 20) /* of a disk, by default */

struct blkif_queue {
	struct udrv_blk_rings *rings;
	struct udrv_blk_request *requests;
	struct udrv_blk_done *done;
	struct udrv_blk_segment *segments;
	uint32_t consumed;
	uint32_t produced;
};

struct blkif {
	int fd;
	uint8_t *area;
	struct udrv_ioc_blk_attach info;
	struct blkif_queue queues[4];
};

/* What BLK_ATTACH is given by default: one queue of BLKIF_DEPTH, requests of up to 64 KiB. */
struct udrv_ioc_blk_attach blkif_options(int device_fd);
/* Open and attach; 0 or -1 and errno, with nothing left open. Maps. */
int blkif_attach(struct blkif *b, const struct udrv_ioc_blk_attach *options);
void blkif_close(struct blkif *b);
/* What DISK_ADD is given by default: unit 0, BLKIF_NAME, BLKIF_BYTES, everything that there is. */
struct udrv_ioc_blk_disk blkif_disk(void);
/* One that fits into edu's buffer: seven sectors. */
#define BLKIF_EDU_BYTES (7 * 512)
struct udrv_ioc_blk_disk blkif_edu_disk(void);
int blkif_call(const struct blkif *b, unsigned long call, void *arg);
int blkif_kick(const struct blkif *b, uint32_t queue);

int blkif_turn(const struct blkif *b, uint32_t queue, uint32_t ignore, uint64_t timeout_ns,
	       struct udrv_ioc_blk_turn *turn);
/* The next request, if there is one. */
bool blkif_next(struct blkif *b, uint32_t queue, struct udrv_blk_request *request);
/* Wait for it. */
struct udrv_blk_request blkif_take(struct blkif *b, uint32_t queue);
void blkif_done(struct blkif *b, uint32_t queue, uint16_t tag, uint16_t status, uint32_t bytes);
/* Where the data of a request is, without a device. */
uint8_t *blkif_data(const struct blkif *b, uint32_t queue, const struct udrv_blk_request *request);

/* Memory that may be read to and written from directly; to be freed. */
uint8_t *blkif_memory(size_t bytes);

/* A disk in memory, of @b's queues, each with a thread of its own. */
struct blkif_ram {
	struct blkif *b;
	uint8_t *memory;
	uint64_t bytes;
	pthread_t threads[4];
	bool stop;
	/* what was asked for, of each op */
	unsigned int counts[8];
	unsigned int fua;
	unsigned int longest; /* bytes of a request */
};
void blkif_ram_start(struct blkif_ram *ram, struct blkif *b, uint64_t bytes);
/* Its threads have ended; the memory stays. */
void blkif_ram_stop(struct blkif_ram *ram);

/* Attach with a disk of @bytes that is served, and wait for it to be there. */
void blkif_up(struct blkif *b, struct blkif_ram *ram, const struct udrv_ioc_blk_attach *options,
	      const struct udrv_ioc_blk_disk *disk);
void blkif_down(struct blkif *b, struct blkif_ram *ram);
bool blkif_there(const char *name);
/* Does the system know it, with a node or without (yet, or any more)? */
bool blkif_in_sysfs(const char *name);
/* Wait for it to come, or go, and for udev to have done with it. */
void blkif_wait_there(const char *name, bool there);

#endif
