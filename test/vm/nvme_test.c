// SPDX-License-Identifier: MIT
/*
 * nvme_test.c - a disk controller driven through the node: 65 vectors, queues and data by DMA
 *
 * As much of an NVMe driver as the proof needs (NVM Express 1.4; section numbers are its): one admin
 * queue, 64 pairs of queues with a vector each, reads and writes between the disk and memory of the
 * process. What was written is read back to other memory, and compared byte for byte; each command is
 * one interrupt of its queue's vector. The hard part is the list of pages (PRP, section 4.3): it is made
 * from the segments of DMA_MAP, and so holds only if those keep every page's offset.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define REG_CAP 0x00
#define REG_CC 0x14
#define REG_CSTS 0x1c
#define REG_AQA 0x24
#define REG_ASQ 0x28
#define REG_ACQ 0x30
#define REG_DOORBELLS 0x1000
#define CC_ENABLE 0x00460001U /* entries of 64 and 16 bytes */

#define ADMIN_CREATE_SQ 0x01
#define ADMIN_CREATE_CQ 0x05
#define ADMIN_IDENTIFY 0x06
#define IO_WRITE 0x01
#define IO_READ 0x02

#define QUEUES 65U /* the admin queue is 0 */
#define DEPTH 8U
#define BLOCK 512U
#define MAX_PAGES 128U

struct command {
	uint32_t dword[16];
};

static struct node nvme;
static struct queue {
	struct udrv_ioc_dma_alloc memory; /* a page of commands, one of completions */
	struct command *commands;
	volatile uint32_t (*completions)[4];
	unsigned int tail, head, phase;
} queues[QUEUES];
static struct udrv_ioc_dma_alloc list; /* PRPs */
static uint64_t *prps;
static uint64_t fired[QUEUES]; /* by the records that were read */

static void *buffer(struct udrv_ioc_dma_alloc *alloc, uint64_t length)
{
	void *view;

	REQUIRE_OK(node_dma_alloc(&nvme, length, alloc));
	view = mmap(NULL, alloc->length, PROT_READ | PROT_WRITE, MAP_SHARED, nvme.fd, alloc->offset);
	REQUIRE(view != MAP_FAILED);
	return view;
}

static void make_queue(unsigned int id)
{
	struct queue *q = &queues[id];

	q->commands = buffer(&q->memory, 2 * PAGE);
	q->completions = (void *)((uint8_t *)q->commands + PAGE);
	q->phase = 1;
}

static void doorbell(unsigned int id, bool completion, uint32_t value)
{
	node_write32(&nvme, REG_DOORBELLS + (2 * id + completion) * 4, value);
}

/* Take records until the queue's vector has fired. */
static void wait_vector(unsigned int id)
{
	struct pollfd wait = { .fd = nvme.fd, .events = POLLIN };
	struct udrv_irq_record record;
	uint64_t before = fired[id];

	while (fired[id] == before) {
		REQUIRE_EQ(poll(&wait, 1, 30000), 1);
		REQUIRE_EQ(read(nvme.fd, &record, sizeof(record)), sizeof(record));
		REQUIRE(record.vector < QUEUES);
		fired[record.vector] += record.count;
	}
}

/* One command, to its end: its completion's status. */
static unsigned int run(unsigned int id, struct command *command)
{
	struct queue *q = &queues[id];
	uint32_t status;

	command->dword[0] |= (q->tail + 1) << 16;
	q->commands[q->tail] = *command;
	q->tail = (q->tail + 1) % DEPTH;
	doorbell(id, false, q->tail);
	wait_vector(id);
	status = q->completions[q->head][3];
	REQUIRE_EQ(status >> 16 & 1, q->phase);
	CHECK_EQ(status & 0xffff, command->dword[0] >> 16);
	CHECK_EQ(q->completions[q->head][2] >> 16, id);
	q->head = (q->head + 1) % DEPTH;
	if (!q->head)
		q->phase ^= 1;
	doorbell(id, true, q->head);
	return status >> 17;
}

static void set_address(struct command *command, unsigned int dword, uint64_t address)
{
	command->dword[dword] = address;
	command->dword[dword + 1] = address >> 32;
}

/* Section 7.6.1: reset, admin queue, enable. */
static void begin(unsigned int vectors)
{
	uint64_t admin;

	node_open_mapped(&nvme, "nvme");
	REQUIRE_OK(node_dma_mask(&nvme, 64));
	node_write32(&nvme, REG_CC, 0);
	REQUIRE(OS_WAIT_FOR(!(node_read32(&nvme, REG_CSTS) & 1), 30000));
	REQUIRE_OK(node_bus_master(&nvme, true));
	REQUIRE_EQ(node_irq_setup(&nvme, UDRV_IRQ_MSIX, vectors), vectors);
	make_queue(0);
	prps = buffer(&list, PAGE);
	admin = queues[0].memory.iova;
	node_write32(&nvme, REG_AQA, (DEPTH - 1) << 16 | (DEPTH - 1));
	node_write32(&nvme, REG_ASQ, admin);
	node_write32(&nvme, REG_ASQ + 4, admin >> 32);
	node_write32(&nvme, REG_ACQ, admin + PAGE);
	node_write32(&nvme, REG_ACQ + 4, (admin + PAGE) >> 32);
	node_write32(&nvme, REG_CC, CC_ENABLE);
	REQUIRE(OS_WAIT_FOR(node_read32(&nvme, REG_CSTS) & 3, 30000));
	REQUIRE_EQ(node_read32(&nvme, REG_CSTS) & 3, 1);
}

/* Sections 5.3 and 5.4: a pair of queues with a vector of the same number. */
static void create_pair(unsigned int id)
{
	struct command cq = { { ADMIN_CREATE_CQ } }, sq = { { ADMIN_CREATE_SQ } };

	make_queue(id);
	set_address(&cq, 6, queues[id].memory.iova + PAGE);
	cq.dword[10] = (DEPTH - 1) << 16 | id;
	cq.dword[11] = id << 16 | 3;
	REQUIRE_EQ(run(0, &cq), 0);
	set_address(&sq, 6, queues[id].memory.iova);
	sq.dword[10] = (DEPTH - 1) << 16 | id;
	sq.dword[11] = id << 16 | 1;
	REQUIRE_EQ(run(0, &sq), 0);
}

/* Disabled, it has no queues any more; then there is nothing that it could write. */
static void end(void)
{
	node_write32(&nvme, REG_CC, 0);
	REQUIRE(OS_WAIT_FOR(!(node_read32(&nvme, REG_CSTS) & 1), 30000));
	for (unsigned int id = 0; id < QUEUES; id++)
		if (queues[id].commands)
			CHECK_OK(munmap(queues[id].commands, 2 * PAGE));
	CHECK_OK(munmap(prps, PAGE));
	node_close(&nvme);
}

static void identify(void)
{
	struct command command = { { ADMIN_IDENTIFY } };
	struct udrv_ioc_dma_alloc alloc;
	char *text;

	begin(1);
	tap_step("the controller says who it is");
	text = buffer(&alloc, PAGE);
	set_address(&command, 6, alloc.iova);
	command.dword[10] = 1; /* the controller */
	CHECK_EQ(run(0, &command), 0);
	CHECK_EQ(text[0] | text[1] << 8, node_pci_number(&nvme, "vendor"));
	CHECK(!strncmp(text + 24, "QEMU NVMe Ctrl", 14));
	CHECK_EQ(fired[0], 1);
	CHECK_OK(munmap(text, PAGE));
	end();
}

/* Section 4.3: the first entry may point into a page, the others are pages; more than two make a list. */
static void set_pages(struct command *command, const struct udrv_dma_segment *segments,
		      uint32_t count)
{
	unsigned int pages = 0;
	uint64_t first = 0;

	for (uint32_t i = 0; i < count; i++)
		for (uint64_t at = segments[i].iova, end = at + segments[i].length; at < end;
		     at = (at & ~(PAGE - 1)) + PAGE) {
			if (pages++ == 0)
				first = at;
			else
				prps[pages - 2] = at;
			REQUIRE(pages == 1 || at % PAGE == 0);
			REQUIRE(pages < MAX_PAGES);
		}
	set_address(command, 6, first);
	if (pages == 2)
		set_address(command, 8, prps[0]);
	else if (pages > 2)
		set_address(command, 8, list.iova);
}

static void disk(unsigned int id, bool write, uint64_t block, void *memory, uint32_t length)
{
	struct command command = { { write ? IO_WRITE : IO_READ, 1 } };
	struct udrv_dma_segment segments[MAX_PAGES];
	uint32_t count = MAX_PAGES, handle;

	REQUIRE_OK(node_dma_map(&nvme, memory, length,
				write ? UDRV_DMA_TO_DEVICE : UDRV_DMA_FROM_DEVICE, segments, &count,
				&handle));
	set_pages(&command, segments, count);
	command.dword[10] = block;
	command.dword[12] = length / BLOCK - 1;
	CHECK_EQ(run(id, &command), 0);
	CHECK_OK(node_dma_unmap(&nvme, handle));
}

static void fill(uint8_t *bytes, size_t length, unsigned int seed)
{
	for (size_t i = 0; i < length; i++)
		bytes[i] = seed = seed * 1103515245 + 12345 + (seed >> 16);
}

static void data(void)
{
	static const struct {
		uint32_t length, from, to; /* offsets in a page, of four bytes at least */
	} transfers[] = {
		{ 512, 0, 0 },	     { 4096, 0, 0 },	  { 4096, 512, 4 },   { 8192, 0, 0 },
		{ 8192, 100, 3072 }, { 12288, 0, 4092 },  { 65536, 0, 0 },    { 65536, 2048, 36 },
		{ 131072, 0, 0 },    { 262144, 1024, 8 }, { 327680, 4, 1024 },
	};
	const size_t room = 400 * 1024;
	uint8_t *from = aligned_alloc(PAGE, room), *to = aligned_alloc(PAGE, room);

	begin(2);
	create_pair(1);
	for (size_t i = 0; i < sizeof(transfers) / sizeof(transfers[0]); i++) {
		uint32_t length = transfers[i].length;
		uint8_t *source = from + transfers[i].from, *target = to + PAGE + transfers[i].to;

		tap_step("%u bytes from +%u to +%u", length, transfers[i].from, transfers[i].to);
		fill(source, length, i + 1);
		memset(to, 0x5c, room);
		disk(1, true, i * 1000, source, length);
		disk(1, false, i * 1000, target, length);
		CHECK_MEM(target, source, length);
		for (size_t at = 0; at < room; at++)
			if ((to + at < target || to + at >= target + length) && to[at] != 0x5c) {
				CHECK_EQ(to[at], 0x5c);
				break;
			}
	}
	tap_step("all of it is still on the disk");
	for (size_t i = 0; i < sizeof(transfers) / sizeof(transfers[0]); i++) {
		fill(from, transfers[i].length, i + 1);
		disk(1, false, i * 1000, to, transfers[i].length);
		CHECK_MEM(to, from, transfers[i].length);
	}
	CHECK_EQ(os_pinned_pages(), 0);
	end();
}

/* Pages that are not beside each other, so that the list has a piece for each; offsets must hold in all. */
static void scattered(void)
{
	enum { PAGES = 40 };
	const size_t room = PAGES * PAGE;
	uint8_t *memory[2], *between, *copy = malloc(room);

	begin(2);
	create_pair(1);
	for (int i = 0; i < 2; i++) {
		memory[i] = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		between = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		REQUIRE(memory[i] != MAP_FAILED && between != MAP_FAILED);
		REQUIRE_OK(madvise(memory[i], room, MADV_NOHUGEPAGE));
		REQUIRE_OK(madvise(between, room, MADV_NOHUGEPAGE));
		for (unsigned int page = 0; page < PAGES; page++)
			memory[i][page * PAGE] = between[page * PAGE] = 1;
	}
	for (unsigned int offset = 0; offset < PAGE; offset += 1364) {
		const uint32_t length = (PAGES - 2) * PAGE + 512;

		tap_step("from +%u to +%lu", offset, PAGE - 4 - offset);
		fill(memory[0], room, offset);
		memset(memory[1], 0x5d, room);
		disk(1, true, 777, memory[0] + offset, length);
		disk(1, false, 777, memory[1] + PAGE - 4 - offset, length);
		memset(copy, 0x5d, room);
		memcpy(copy + PAGE - 4 - offset, memory[0] + offset, length);
		CHECK_MEM(memory[1], copy, room);
	}
	end();
}

static void every_vector(void)
{
	uint8_t *memory = aligned_alloc(PAGE, 2 * PAGE);

	begin(QUEUES);
	tap_step("64 pairs of queues");
	for (unsigned int id = 1; id < QUEUES; id++)
		create_pair(id);
	tap_step("20 commands on each, an interrupt each, the right one");
	for (unsigned int round = 0; round < 10; round++)
		for (unsigned int id = 1; id < QUEUES; id++) {
			fill(memory, PAGE, round * 100 + id);
			disk(id, true, id * 8, memory, PAGE);
			disk(id, false, id * 8, memory + PAGE, PAGE);
			CHECK_MEM(memory + PAGE, memory, PAGE);
		}
	for (unsigned int id = 1; id < QUEUES; id++) {
		CHECK_EQ(fired[id], 20);
		CHECK_EQ(node_irq_info(&nvme, id).total, 20);
	}
	CHECK_EQ(fired[0], 2 * (QUEUES - 1));
	CHECK_EQ(node_number(&nvme, "interrupts"), 22 * (QUEUES - 1));
	end();
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(identify),
		TAP_TEST(data),
		TAP_TEST(scattered),
		TAP_TEST_LONG(every_vector, 120),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
