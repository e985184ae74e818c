// SPDX-License-Identifier: MIT
/*
 * bar_access_test.c - single registers by pread and pwrite, in memory and in ports
 *
 * Every width at every kind of offset: aligned or not, inside, across and beyond the end, negative,
 * huge. What is refused must not have touched the device, so each refused write is followed by a look
 * at what it would have changed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define RW (PROT_READ | PROT_WRITE)

static uint32_t peek(const struct node *node, uint64_t offset)
{
	uint32_t value = 0;

	CHECK_EQ(pread(node->fd, &value, 4, offset), 4);
	return value;
}

static void poke(const struct node *node, uint64_t offset, uint32_t value)
{
	CHECK_EQ(pwrite(node->fd, &value, 4, offset), 4);
}

static void same_as_mapped(void)
{
	struct node edu;
	uint64_t bar;

	node_open_mapped(&edu, "edu");
	bar = node_region(&edu, 0).offset;
	tap_step("32 bits");
	CHECK_EQ(peek(&edu, bar + EDU_ID), EDU_ID_VALUE);
	for (uint32_t value = 1; value < 0x80000000; value *= 7) {
		poke(&edu, bar + EDU_LIVE, value);
		CHECK_EQ(node_read32(&edu, EDU_LIVE), ~value);
		node_write32(&edu, EDU_LIVE, ~value);
		CHECK_EQ(peek(&edu, bar + EDU_LIVE), value);
	}
	tap_step("64 bits, in one access");
	for (uint64_t value = 1; value < 1ULL << 60; value *= 1009) {
		uint64_t back;

		CHECK_EQ(pwrite(edu.fd, &value, 8, bar + EDU_DMA_SRC), 8);
		CHECK_EQ(*(volatile uint64_t *)(edu.bar0 + EDU_DMA_SRC), value);
		CHECK_EQ(pread(edu.fd, &back, 8, bar + EDU_DMA_SRC), 8);
		CHECK_EQ(back, value);
	}
	tap_step("edu does not answer to 8 and 16 bits: the width is the one that was asked for");
	for (unsigned int width = 1; width <= 2; width++) {
		uint32_t value = 0;

		CHECK_EQ(pread(edu.fd, &value, width, bar + EDU_ID), width);
		CHECK_EQ(value, width == 1 ? *(volatile uint8_t *)edu.bar0 :
					     *(volatile uint16_t *)edu.bar0);
		CHECK_EQ(pwrite(edu.fd, &value, width, bar + EDU_LIVE), width);
	}
	node_close(&edu);
}

/* Memory that takes every width: ivshmem's BAR 2. */
static void every_width(void)
{
	struct udrv_ioc_region_info bar;
	uint8_t bytes[64], back[64];
	struct node node;

	node_open(&node, "ivshmem");
	bar = node_region(&node, 2);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = 0x30 + i * 7;
	for (unsigned int width = 1; width <= 8; width *= 2) {
		uint8_t *view = mmap(NULL, PAGE, RW, MAP_SHARED, node.fd, bar.offset);

		REQUIRE(view != MAP_FAILED);
		tap_step("%u bytes", width);
		memset(back, 0, sizeof(back));
		for (unsigned int at = 0; at < sizeof(bytes); at += width)
			CHECK_EQ(pwrite(node.fd, bytes + at, width, bar.offset + at), width);
		CHECK_MEM(view, bytes, sizeof(bytes));
		for (unsigned int at = 0; at < sizeof(bytes); at += width)
			CHECK_EQ(pread(node.fd, back + at, width, bar.offset + at), width);
		CHECK_MEM(back, bytes, sizeof(bytes));
		CHECK_EQ(pwrite(node.fd, bytes, width, bar.offset + bar.length - width), width);
		CHECK_EQ(pread(node.fd, back, width, bar.offset + bar.length - width), width);
		CHECK_MEM(back, bytes, width);
		memset(view, 0, sizeof(bytes));
		munmap(view, PAGE);
	}
	node_close(&node);
}

/* One access that must be refused, both ways. */
static void refused(const struct node *node, size_t width, uint64_t offset)
{
	uint8_t value[32], copy[32];

	memset(value, 0xa5, sizeof(value));
	memset(copy, 0xa5, sizeof(copy));
	if (!CHECK_ERROR(pread(node->fd, value, width, offset), EINVAL) ||
	    !CHECK_ERROR(pwrite(node->fd, value, width, offset), EINVAL) ||
	    !CHECK_MEM(value, copy, sizeof(value)))
		tap_note("%zu bytes at %#llx", width, (unsigned long long)offset);
}

static void bad_accesses(void)
{
	static const size_t odd[] = { 0, 3, 5, 6, 7, 9, 12, 16, 24, 32 };
	static const uint64_t huge[] = { 1ULL << 38, 1ULL << 39, 0xfffffffff, 0x80000000,
					 0xffffffff, 0x100000000 };
	struct udrv_ioc_region_info bar;
	struct node edu;

	node_open_mapped(&edu, "edu");
	bar = node_region(&edu, 0);
	node_write32(&edu, EDU_LIVE, 0x1111);
	tap_step("byte counts that are no width");
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		refused(&edu, odd[i], bar.offset + EDU_LIVE);
	tap_step("misaligned");
	for (unsigned int width = 2; width <= 8; width *= 2)
		for (unsigned int off = 1; off < width; off++)
			refused(&edu, width, bar.offset + EDU_DMA_SRC - width + off);
	tap_step("across and beyond the end");
	for (unsigned int width = 1; width <= 8; width *= 2) {
		refused(&edu, width, bar.offset + bar.length);
		refused(&edu, width, bar.offset + 2 * bar.length);
		for (size_t i = 0; i < sizeof(huge) / sizeof(huge[0]); i++)
			refused(&edu, width, bar.offset + (huge[i] & ~7ULL));
		if (width > 1) {
			refused(&edu, width, bar.offset + bar.length - width / 2);
			refused(&edu, width, bar.offset - width / 2);
		}
		refused(&edu, width, bar.offset - width);
	}
	tap_step("no region there");
	for (unsigned int index = 1; index < 6; index++)
		if (node_region(&edu, index).offset)
			refused(&edu, 4, node_region(&edu, index).offset);
	refused(&edu, 4, 4);
	refused(&edu, 4, PAGE);
	for (unsigned int bit = 43; bit < 63; bit++) {
		refused(&edu, 4, bar.offset | 1ULL << bit);
		refused(&edu, 4, 1ULL << bit);
	}
	tap_step("negative, and as large as can be");
	refused(&edu, 4, 1ULL << 63);
	refused(&edu, 4, ~3ULL);
	refused(&edu, 4, (1ULL << 63) - 4);
	refused(&edu, 8, (1ULL << 63) - 8);
	tap_step("nothing was touched");
	CHECK_EQ(node_read32(&edu, EDU_LIVE), ~0x1111U);
	CHECK_EQ(node_irq_info(&edu, 0).kind, UDRV_IRQ_NONE);
	node_close(&edu);
}

static void bad_pointers(void)
{
	void *volatile bad[] = { NULL, (void *)8, (void *)0xffff888000000000 };
	struct node edu;
	uint8_t *page;
	uint64_t bar;

	page = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(page != MAP_FAILED);
	REQUIRE_OK(munmap(page + PAGE, PAGE));
	node_open_mapped(&edu, "edu");
	bar = node_region(&edu, 0).offset;
	node_write32(&edu, EDU_LIVE, 0x2222);
	tap_step("read to, write from");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_ERROR(pread(edu.fd, bad[i], 4, bar), EFAULT);
		CHECK_ERROR(pwrite(edu.fd, bad[i], 4, bar + EDU_LIVE), EFAULT);
	}
	CHECK_ERROR(pread(edu.fd, page + PAGE - 2, 4, bar), EFAULT);
	CHECK_ERROR(pwrite(edu.fd, page + PAGE - 2, 4, bar + EDU_LIVE), EFAULT);
	REQUIRE_OK(mprotect(page, PAGE, PROT_READ));
	CHECK_ERROR(pread(edu.fd, page, 4, bar), EFAULT);
	CHECK_EQ(node_read32(&edu, EDU_LIVE), ~0x2222U);
	node_close(&edu);
}

/* A 16550A: register 7 is a scratch byte, 4 the modem control whose low five bits can be set. */
static void ports(void)
{
	struct udrv_ioc_region_info bar;
	struct node serial;
	uint8_t byte, back;
	uint16_t word;
	uint64_t bar8;

	node_open(&serial, "serial");
	bar = node_region(&serial, 0);
	REQUIRE(bar.region_flags & UDRV_REGION_PORT);
	CHECK_EQ(bar.length, 8);
	tap_step("scratch register");
	for (unsigned int value = 0; value < 256; value++) {
		byte = value;
		CHECK_EQ(pwrite(serial.fd, &byte, 1, bar.offset + 7), 1);
		CHECK_EQ(pread(serial.fd, &back, 1, bar.offset + 7), 1);
		CHECK_EQ(back, value);
	}
	tap_step("two registers at a time");
	byte = 0x5a;
	CHECK_EQ(pwrite(serial.fd, &byte, 1, bar.offset + 7), 1);
	CHECK_EQ(pread(serial.fd, &word, 2, bar.offset + 6), 2);
	CHECK_EQ(word >> 8, 0x5a);
	CHECK_EQ(pread(serial.fd, &back, 1, bar.offset + 6), 1);
	CHECK_EQ(word & 0xf0, back & 0xf0);
	tap_step("four");
	CHECK_EQ(peek(&serial, bar.offset + 4) >> 24, 0x5a);
	tap_step("refused: eight, misaligned, beyond the end");
	CHECK_ERROR(pread(serial.fd, &bar8, 8, bar.offset), EINVAL);
	CHECK_ERROR(pwrite(serial.fd, &bar8, 8, bar.offset), EINVAL);
	refused(&serial, 2, bar.offset + 5);
	refused(&serial, 4, bar.offset + 2);
	refused(&serial, 1, bar.offset + 8);
	refused(&serial, 4, bar.offset + 8);
	refused(&serial, 2, bar.offset + 7);
	tap_step("never mapped");
	CHECK(mmap(NULL, PAGE, RW, MAP_SHARED, serial.fd, bar.offset) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(bar.offset_wc, 0);
	CHECK_EQ(pread(serial.fd, &back, 1, bar.offset + 7), 1);
	CHECK_EQ(back, 0x5a);
	node_close(&serial);
}

/* The interrupt of a device that has only ports: the transmitter is empty. */
static void port_interrupt(void)
{
	struct udrv_irq_record record;
	struct node serial;
	uint8_t on = 2, off = 0, loop = 0x1b, identity;
	uint64_t bar;

	node_open(&serial, "serial");
	bar = node_region(&serial, 0).offset;
	tap_step("200 interrupts of an empty transmitter");
	CHECK_EQ(pwrite(serial.fd, &off, 1, bar + 1), 1);
	CHECK_EQ(pwrite(serial.fd, &loop, 1, bar + 4), 1);
	REQUIRE_EQ(node_irq_setup(&serial, UDRV_IRQ_INTX, 1), 1);
	for (unsigned int i = 1; i <= 200; i++) {
		CHECK_EQ(pwrite(serial.fd, &on, 1, bar + 1), 1);
		REQUIRE_EQ(read(serial.fd, &record, sizeof(record)), sizeof(record));
		CHECK_EQ(record.count, 1);
		CHECK_EQ(pread(serial.fd, &identity, 1, bar + 2), 1);
		CHECK_EQ(identity & 15, 2);
		CHECK_EQ(pwrite(serial.fd, &off, 1, bar + 1), 1);
		CHECK_EQ(node_irq_info(&serial, 0).total, i);
	}
	node_close(&serial);
}

/* The 82574L by its two doors: registers in BAR 0, and the same by an index and a data port. */
static void index_and_data(void)
{
	const uint32_t registers[] = { 0x0008, 0x5400, 0x5404, 0x0000 }; /* STATUS, RAL, RAH, CTRL */
	struct udrv_ioc_region_info bar;
	unsigned int port = 0;
	struct node card;

	node_open_mapped(&card, "e1000e");
	while (port < 6 && !(node_region(&card, port).region_flags & UDRV_REGION_PORT))
		port++;
	REQUIRE(port < 6);
	bar = node_region(&card, port);
	tap_step("the same registers");
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
		poke(&card, bar.offset, registers[i]);
		CHECK_EQ(peek(&card, bar.offset), registers[i]);
		CHECK_EQ(peek(&card, bar.offset + 4), node_read32(&card, registers[i]));
	}
	CHECK_EQ(node_read32(&card, 0x5400), 0x00005452); /* 52:54:00:00:... */
	CHECK(mmap(NULL, PAGE, RW, MAP_SHARED, card.fd, bar.offset) == MAP_FAILED);
	node_close(&card);
}

/* preadv2: RWF_NOWAIT on position 0 does not wait, whatever the descriptor says; registers as by pread. */
static void by_vector(void)
{
	struct udrv_irq_record record;
	struct iovec io = { &record, sizeof(record) }, two[2];
	struct node edu;
	uint32_t value, halves[2];
	uint64_t bar;

	node_open_mapped(&edu, "edu");
	bar = node_region(&edu, 0).offset;
	tap_step("an interrupt, without waiting");
	REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
	CHECK_ERROR(preadv2(edu.fd, &io, 1, 0, RWF_NOWAIT), EAGAIN);
	edu_raise(&edu, 1);
	CHECK(OS_WAIT_FOR(node_irq_info(&edu, 0).pending == 1, 30000));
	CHECK_EQ(preadv2(edu.fd, &io, 1, 0, RWF_NOWAIT), sizeof(record));
	CHECK_EQ(record.count, 1);
	edu_ack(&edu);
	CHECK_ERROR(preadv2(edu.fd, &io, 1, 0, RWF_NOWAIT), EAGAIN);
	tap_step("a register");
	io = (struct iovec){ &value, 4 };
	CHECK_EQ(preadv(edu.fd, &io, 1, bar), 4);
	CHECK_EQ(value, EDU_ID_VALUE);
	tap_step("never two at once");
	two[0] = (struct iovec){ &halves[0], 4 };
	two[1] = (struct iovec){ &halves[1], 4 };
	CHECK_ERROR(preadv(edu.fd, two, 2, bar), EINVAL);
	node_close(&edu);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(same_as_mapped),
		TAP_TEST(every_width),
		TAP_TEST(bad_accesses),
		TAP_TEST(bad_pointers),
		TAP_TEST(ports),
		TAP_TEST(port_interrupt),
		TAP_TEST(index_and_data),
		TAP_TEST(by_vector),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
