// SPDX-License-Identifier: MIT
/*
 * ctrl.c - the controller: reset, admin queue, who it is, its queues, its end
 *
 * nvme_open() follows [7.6.1], nvme_shut_down() [7.6.2]. Admin commands are rare, one at a time, and
 * wait for vector 0; the other vectors are the queues'. The hard part is a controller that does not
 * answer: nothing waits for longer than it says that it may take (CAP.TO), and then all begins anew.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nvme.h"

#define ADMIN_ENTRIES 32u
#define ADMIN_MS 10000

static uint32_t reg_read32(const struct nvme *nvme, unsigned int reg)
{
	return udrv_read32(nvme->regs + reg);
}

static void reg_write32(const struct nvme *nvme, unsigned int reg, uint32_t value)
{
	udrv_write32(nvme->regs + reg, value);
}

/* Two halves: a controller need not take eight bytes at once [3.1]. */
static void reg_write64(const struct nvme *nvme, unsigned int reg, uint64_t value)
{
	reg_write32(nvme, reg, (uint32_t)value);
	reg_write32(nvme, reg + 4, (uint32_t)(value >> 32));
}

/* The status register becomes @value under @mask, in as long as the controller may take. */
static int wait_status(const struct nvme *nvme, uint32_t mask, uint32_t value, const char *what)
{
	const struct timespec pause = { .tv_nsec = 200000 };
	uint64_t end_ns = driver_now_ns() + (NVME_CAP_TO_MS(nvme->cap) + 1000) * UINT64_C(1000000);
	uint32_t status;

	for (;;) {
		bool over = driver_now_ns() > end_ns;

		status = reg_read32(nvme, NVME_CSTS);
		if (status == UINT32_MAX)
			return driver_fail(-ENODEV, "%s: the device is gone", what);
		if ((status & mask) == value)
			return 0;
		if (over)
			return driver_fail(-ETIMEDOUT, "%s: the controller did not answer in %u ms (status %#x)", what,
					 NVME_CAP_TO_MS(nvme->cap) + 1000, status);
		nanosleep(&pause, NULL);
	}
}

static void ring_init(const struct nvme *nvme, struct nvme_ring *ring, unsigned int id,
		      uint8_t *memory, uint64_t iova, uint32_t entries)
{
	size_t stride = (size_t)4 << NVME_CAP_DSTRD(nvme->cap);
	uint8_t *doorbells = nvme->regs + NVME_DOORBELLS + 2 * id * stride;
	size_t cq_at = NVME_PAGES(entries * sizeof(*ring->sq)); /* each on a page [3.1.9, 5.3] */

	*ring = (struct nvme_ring){
		.sq = (void *)memory,
		.cq = (void *)(memory + cq_at),
		.sq_iova = iova,
		.cq_iova = iova + cq_at,
		.mask = entries - 1,
		.phase = NVME_STATUS_PHASE,
		.sq_doorbell = doorbells,
		.cq_doorbell = doorbells + stride,
	};
}

/* ---- admin commands ------------------------------------------------------------------ */

/* Wait for vector 0, up to a time. */
static int admin_wait(struct nvme *nvme)
{
	uint64_t end_ns = driver_now_ns() + ADMIN_MS * UINT64_C(1000000);
	struct udrv_irq_record record;
	int rc;

	while (!nvme_ring_done(&nvme->admin)) {
		uint64_t now_ns = driver_now_ns();

		if (nvme_failed(nvme) || now_ns >= end_ns)
			return NVME_AGAIN;
		rc = udrv_irq_wait(nvme->device, &record, 1, (int)((end_ns - now_ns) / 1000000) + 1);
		if (rc < 0 && rc != -EINTR)
			return driver_fail(rc, "wait for the controller: %s", udrv_strerror(rc));
	}
	return 0;
}

/* One admin command, to its end. Returns 0, its status if that is none, or -errno. */
static int admin(struct nvme *nvme, struct nvme_command *command, uint32_t *result)
{
	struct nvme_completion completion;
	int rc;

	pthread_mutex_lock(&nvme->admin_lock);
	command->id = UDRV_LE(16, nvme->admin_id);
	nvme_ring_put(&nvme->admin, command);
	nvme_ring_tell(&nvme->admin);
	rc = admin_wait(nvme);
	if (!rc) {
		completion = nvme_ring_take(&nvme->admin);
		nvme_ring_taken(&nvme->admin);
		rc = NVME_STATUS(UDRV_LE(16, completion.status));
		if (completion.id != command->id)
			rc = NVME_AGAIN;
		else if (result)
			*result = UDRV_LE(32, completion.result);
		nvme->admin_id++;
	}
	pthread_mutex_unlock(&nvme->admin_lock);
	return rc;
}

/* A status that is not wanted is an error, as a controller that does not answer is. */
static int refused(int rc, const char *what)
{
	if (rc == NVME_AGAIN)
		return driver_fail(rc, "%s: the controller does not answer", what);
	return rc > 0 ? driver_fail(-EIO, "%s: status %#x", what, (unsigned int)rc) : rc;
}

static int identify(struct nvme *nvme, uint32_t cns, uint32_t nsid, const char *what)
{
	struct nvme_command command = {
		.opcode = NVME_ADMIN_IDENTIFY,
		.nsid = UDRV_LE(32, nsid),
		.prp1 = UDRV_LE(64, nvme->data_iova),
		.cdw10 = UDRV_LE(32, cns),
	};

	return refused(admin(nvme, &command, NULL), what);
}

bool nvme_failed(const struct nvme *nvme)
{
	uint32_t status = reg_read32(nvme, NVME_CSTS);

	return status == UINT32_MAX || status & NVME_CSTS_CFS || !(status & NVME_CSTS_RDY);
}

int nvme_abort(struct nvme *nvme, const struct nvme_queue *queue, uint16_t id)
{
	struct nvme_command command = {
		.opcode = NVME_ADMIN_ABORT,
		.cdw10 = UDRV_LE(32, (uint32_t)id << 16 | (queue->index + 1)),
	};
	int rc = admin(nvme, &command, NULL);

	return rc < 0 ? rc : 0;
}

int nvme_get_smart(struct nvme *nvme, struct nvme_smart *smart)
{
	struct nvme_command command = {
		.opcode = NVME_ADMIN_GET_LOG,
		.nsid = NVME_NSID_ALL,
		.prp1 = UDRV_LE(64, nvme->data_iova),
		.cdw10 = UDRV_LE(32, (uint32_t)(sizeof(*smart) / 4 - 1) << 16 | NVME_LOG_SMART),
	};
	int rc = refused(admin(nvme, &command, NULL), "read the log of its health");

	if (!rc)
		memcpy(smart, nvme->data, sizeof(*smart));
	return rc;
}

/* ---- who it is ------------------------------------------------------------------------ */

static void trim(char *to, const char *from, size_t length)
{
	while (length && from[length - 1] == ' ')
		length--;
	memcpy(to, from, length);
	to[length] = 0;
}

/* What tells it from others: the best name that it has. */
static void disk_id(const struct nvme *nvme, const struct nvme_namespace *ns, struct nvme_disk *disk)
{
	static const uint8_t none[sizeof(ns->nguid)];
	char serial[sizeof(nvme->controller.serial) + 1];

	if (memcmp(ns->nguid, none, sizeof(ns->nguid))) {
		strcpy(disk->id, "nguid.");
		for (size_t i = 0; i < sizeof(ns->nguid); i++)
			sprintf(disk->id + 6 + 2 * i, "%02x", ns->nguid[i]);
		return;
	}
	trim(serial, nvme->controller.serial, sizeof(nvme->controller.serial));
	snprintf(disk->id, sizeof(disk->id), "%s.%u", serial, disk->nsid);
}

/* A namespace becomes a disk, if it can. */
static int look_at_namespace(struct nvme *nvme, uint32_t nsid)
{
	const struct nvme_namespace *ns = nvme->data;
	struct nvme_disk *disk = &nvme->disks[nvme->disk_count];
	unsigned int format;
	int rc;

	rc = identify(nvme, NVME_CNS_NAMESPACE, nsid, "identify a namespace");
	if (rc)
		return rc;
	if (!ns->blocks)
		return 0;
	format = ns->flbas & 0xf;
	if (ns->formats[format].metadata_bytes || ns->formats[format].data_shift < 9 ||
	    ns->formats[format].data_shift > 12) {
		fprintf(stderr, "nvme: namespace %u has blocks of 2^%u and %u bytes, which this driver does not know\n",
			nsid, ns->formats[format].data_shift, UDRV_LE(16, ns->formats[format].metadata_bytes));
		return 0;
	}
	disk->nsid = nsid;
	disk->shift = ns->formats[format].data_shift;
	disk->bytes = UDRV_LE(64, ns->blocks) << disk->shift;
	disk->zeroed = (ns->dlfeat & NVME_DLFEAT_ZEROES_MASK) == NVME_DLFEAT_ZEROES;
	disk_id(nvme, ns, disk);
	driver_say("namespace %u: %llu bytes, blocks of %u, %s", nsid, (unsigned long long)disk->bytes,
		 1u << disk->shift, disk->id);
	nvme->disk_count++;
	return 0;
}

int nvme_identify(struct nvme *nvme)
{
	uint32_t nsids[NVME_NAMESPACES], count = 0;
	struct nvme_controller *c = &nvme->controller;
	char model[sizeof(c->model) + 1], serial[sizeof(c->serial) + 1];
	int rc;

	rc = identify(nvme, NVME_CNS_CONTROLLER, 0, "identify the controller");
	if (rc)
		return rc;
	memcpy(c, nvme->data, sizeof(*c));
	trim(model, c->model, sizeof(c->model));
	trim(serial, c->serial, sizeof(c->serial));
	driver_say("%s, serial number %s", model, serial);

	/* Where data is copied, each tag has a buffer of the longest request. */
	nvme->max_bytes = nvme->confined ? 128u << 10 : NVME_BYTES;
	if (c->mdts && c->mdts < 20 && nvme->max_bytes > NVME_PAGE << c->mdts)
		nvme->max_bytes = NVME_PAGE << c->mdts;

	rc = identify(nvme, NVME_CNS_ACTIVE, 0, "list the namespaces");
	if (rc)
		return rc;
	for (const uint32_t *list = nvme->data; count < NVME_NAMESPACES && list[count]; count++)
		nsids[count] = UDRV_LE(32, list[count]);
	if (count == NVME_NAMESPACES)
		fprintf(stderr, "nvme: no more than %u namespaces are served\n", NVME_NAMESPACES);
	nvme->disk_count = 0;
	for (uint32_t i = 0; !rc && i < count; i++)
		rc = look_at_namespace(nvme, nsids[i]);
	if (!rc && !nvme->disk_count)
		return driver_fail(-ENXIO, "it has no namespace that can be served");
	return rc;
}

/* ---- its queues ------------------------------------------------------------------------ */

int nvme_set_queue_count(struct nvme *nvme)
{
	struct nvme_command command = {
		.opcode = NVME_ADMIN_SET_FEATURES,
		.cdw10 = UDRV_LE(32, NVME_FEATURE_QUEUES),
		.cdw11 = UDRV_LE(32, (nvme->queue_count - 1) << 16 | (nvme->queue_count - 1)),
	};
	uint32_t granted = 0, submission, completion;
	int rc;

	rc = refused(admin(nvme, &command, &granted), "ask for queues");
	if (rc)
		return rc;
	submission = (granted & 0xffff) + 1;
	completion = (granted >> 16) + 1;
	if (nvme->queue_count > submission)
		nvme->queue_count = submission;
	if (nvme->queue_count > completion)
		nvme->queue_count = completion;
	return 0;
}

int nvme_create_queue(struct nvme *nvme, struct nvme_queue *queue)
{
	uint32_t id = queue->index + 1, entries = nvme->depth + 1;
	struct nvme_command cq = {
		.opcode = NVME_ADMIN_CREATE_CQ,
		.cdw10 = UDRV_LE(32, (entries - 1) << 16 | id),
		.cdw11 = UDRV_LE(32, id << 16 | NVME_QUEUE_INTERRUPTS | NVME_QUEUE_CONTIGUOUS),
	};
	struct nvme_command sq = {
		.opcode = NVME_ADMIN_CREATE_SQ,
		.cdw10 = UDRV_LE(32, (entries - 1) << 16 | id),
		.cdw11 = UDRV_LE(32, id << 16 | NVME_QUEUE_CONTIGUOUS),
	};
	int rc;

	ring_init(nvme, &queue->ring, id, queue->memory.addr, queue->memory.iova, entries);
	cq.prp1 = UDRV_LE(64, queue->ring.cq_iova);
	sq.prp1 = UDRV_LE(64, queue->ring.sq_iova);
	rc = refused(admin(nvme, &cq, NULL), "create a completion queue");
	return rc ? rc : refused(admin(nvme, &sq, NULL), "create a submission queue");
}

/* ---- up and down ------------------------------------------------------------------------ */

/* Whatever an earlier driver has left: nothing runs in it afterwards [7.3.2]. */
static int reset(struct nvme *nvme)
{
	uint32_t config = reg_read32(nvme, NVME_CC);

	if (config == UINT32_MAX)
		return driver_fail(-ENODEV, "the device is gone");
	if (config & NVME_CC_EN) {
		/* It is to have become ready before it is told not to be; one that never does is, too. */
		if (!(reg_read32(nvme, NVME_CSTS) & (NVME_CSTS_RDY | NVME_CSTS_CFS)))
			(void)wait_status(nvme, NVME_CSTS_RDY, NVME_CSTS_RDY, "become ready");
		reg_write32(nvme, NVME_CC, config & ~NVME_CC_EN);
	}
	return wait_status(nvme, NVME_CSTS_RDY, 0, "reset");
}

static int enable(struct nvme *nvme)
{
	int rc;

	rc = udrv_dma_alloc(nvme->device, 2 * NVME_PAGE + NVME_PAGE, &nvme->admin_memory);
	if (rc)
		return driver_fail(rc, "memory for the admin queue: %s", udrv_strerror(rc));
	ring_init(nvme, &nvme->admin, 0, nvme->admin_memory.addr, nvme->admin_memory.iova, ADMIN_ENTRIES);
	nvme->data = (uint8_t *)nvme->admin_memory.addr + 2 * NVME_PAGE;
	nvme->data_iova = nvme->admin_memory.iova + 2 * NVME_PAGE;
	reg_write32(nvme, NVME_AQA, (ADMIN_ENTRIES - 1) << 16 | (ADMIN_ENTRIES - 1));
	reg_write64(nvme, NVME_ASQ, nvme->admin.sq_iova);
	reg_write64(nvme, NVME_ACQ, nvme->admin.cq_iova);
	reg_write32(nvme, NVME_CC, NVME_CC_ENTRIES | NVME_CC_EN);
	rc = wait_status(nvme, NVME_CSTS_RDY, NVME_CSTS_RDY, "enable");
	return rc;
}

/* A vector for admin commands, and one for each queue, of as many as there are. */
static int set_up_vectors(struct nvme *nvme, unsigned int queues)
{
	const struct udrv_ioc_device_info *info = udrv_info(nvme->device);
	unsigned int count = queues + 1;
	int rc;

	if (count > info->msix_count)
		count = info->msix_count;
	if (count < 2)
		return driver_fail(-EOPNOTSUPP, "it has no two MSI-X vectors, which this driver wants");
	while ((rc = udrv_irq_setup(nvme->device, UDRV_IRQ_MSIX, count)) == -ENOSPC && count > 2)
		count--;
	if (rc < 0)
		return driver_fail(rc, "set up %u MSI-X vectors: %s", count, udrv_strerror(rc));
	nvme->queue_count = count - 1;
	return 0;
}

int nvme_open(struct nvme *nvme, unsigned int queues)
{
	/* At our end, however we end: no command runs on [7.3.2]. Quicker than a reset of the function. */
	static const struct udrv_prog_op quiesce[] = {
		UDRV_OP_WRITE(0, NVME_CC, 4, NVME_CC_ENTRIES),
		UDRV_OP_POLL(0, NVME_CSTS, 4, NVME_CSTS_RDY, 0, 100000),
	};
	const struct udrv_ioc_device_info *info;
	void *registers;
	size_t mapped;
	int rc;

	rc = udrv_open(nvme->name, &nvme->device);
	if (rc)
		return driver_fail(rc, "%s: %s", nvme->name, udrv_strerror(rc));
	info = udrv_info(nvme->device);
	if (info->class_code != NVME_CLASS)
		return driver_fail(-EINVAL, "%s is of class %06x: this drives %06x, NVM Express", nvme->name,
				 info->class_code, NVME_CLASS);
	nvme->confined = info->state & UDRV_DEVICE_CONFINED;
	rc = udrv_bar_map(nvme->device, 0, 0, 0, 0, &registers, &mapped);
	if (rc)
		return driver_fail(rc, "map the registers: %s", udrv_strerror(rc));
	nvme->regs = registers;
	nvme->regs_bytes = mapped;
	nvme->cap = udrv_read64(nvme->regs + NVME_CAP);
	if (NVME_DOORBELLS + (2 * (queues + 1) * ((size_t)4 << NVME_CAP_DSTRD(nvme->cap))) > mapped)
		return driver_fail(-EOPNOTSUPP, "the doorbells of %u queues are not in the %zu bytes that can be mapped",
				 queues, mapped);
	if (!NVME_CAP_NVM(nvme->cap) || NVME_CAP_MPSMIN(nvme->cap))
		return driver_fail(-EOPNOTSUPP, "it has no NVM command set, or no pages of 4 KiB");
	nvme->depth = NVME_ENTRIES - 1;
	while (nvme->depth > NVME_CAP_MQES(nvme->cap))
		nvme->depth >>= 1;
	/* Where data is copied, each request has a buffer. */
	if (nvme->confined && nvme->depth > 31)
		nvme->depth = 31;

	rc = reset(nvme);
	if (!rc && (rc = udrv_dma_set_mask(nvme->device, 64)))
		return driver_fail(rc, "set the width of DMA addresses: %s", udrv_strerror(rc));
	if (!rc && (rc = udrv_prog_set(nvme->device, UDRV_PROG_RESET, quiesce, 2)))
		return driver_fail(rc, "see to the end: %s", udrv_strerror(rc));
	if (!rc && (rc = udrv_bus_master(nvme->device, true)))
		return driver_fail(rc, "allow DMA: %s", udrv_strerror(rc));
	if (!rc)
		rc = set_up_vectors(nvme, queues);
	return rc ? rc : enable(nvme);
}

void nvme_shut_down(struct nvme *nvme)
{
	uint32_t config;

	if (!nvme->regs || nvme_failed(nvme))
		return;
	config = reg_read32(nvme, NVME_CC);
	reg_write32(nvme, NVME_CC, (config & ~NVME_CC_SHN_MASK) | NVME_CC_SHN_NORMAL);
	wait_status(nvme, NVME_CSTS_SHST_MASK, NVME_CSTS_SHST_DONE, "shut down");
}

void nvme_close(struct nvme *nvme)
{
	struct udrv_blk *blk = nvme->blk;

	/* The disks' descriptor first: the kernel ends all of it, this device included. A signal may come. */
	nvme->blk = NULL;
	udrv_blk_close(blk);
	for (unsigned int i = 0; i < NVME_QUEUES; i++)
		nvme_queue_free(&nvme->queues[i]);
	if (nvme->device) {
		udrv_dma_free(nvme->device, &nvme->admin_memory);
		if (nvme->regs)
			udrv_bar_unmap(nvme->device, nvme->regs, nvme->regs_bytes);
	}
	nvme->regs = NULL;
	udrv_close(nvme->device);
	nvme->device = NULL;
}
