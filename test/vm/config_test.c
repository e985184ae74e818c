// SPDX-License-Identifier: MIT
/*
 * config_test.c - config space: all of it to read, a few bits to write
 *
 * For each device the bits that may be written are worked out here, from the PCI specification and the
 * device's own capability lists; then every register of config space is written to, in every width, and
 * nothing but those bits may have changed. The hard part is to leave the device as it was: what was
 * changed is written back, and the whole space compared with what it was before.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define MAX_BYTES 4096

static uint64_t config; /* the region's offset */
static unsigned int length; /* its length */
static uint8_t writable[MAX_BYTES]; /* bits that may be written, or cleared by a 1 */
static uint8_t clearing[MAX_BYTES]; /* those that a 1 clears */

static void allow(unsigned int at, unsigned int width, uint32_t bits, bool clears)
{
	for (unsigned int i = 0; i < width; i++) {
		writable[at + i] |= bits >> 8 * i;
		if (clears)
			clearing[at + i] |= bits >> 8 * i;
	}
}

/* The table of what a driver may write: section 3 of the design, bits by the PCI specifications. */
static void work_out(const struct node *node)
{
	bool confined = node_info(node).state & UDRV_DEVICE_CONFINED;
	unsigned int cap;

	memset(writable, 0, sizeof(writable));
	memset(clearing, 0, sizeof(clearing));
	allow(0x04, 2, 0x0140, false); /* command: parity error response, SERR */
	allow(0x06, 2, 0xf900, true); /* status: error bits */
	allow(0x0c, 1, 0xff, false); /* cache line size */
	allow(0x0d, 1, 0xff, false); /* latency timer */
	allow(0x3c, 1, 0xff, false); /* interrupt line */
	cap = node_capability(node, 0x10);
	if (cap) {
		/* error reporting, relaxed ordering; no snoop gets past the IOMMU's promise */
		allow(cap + 0x08, 2, confined ? 0x001f : 0x081f, false);
		allow(cap + 0x0a, 2, 0x000f, true); /* errors detected */
	}
	cap = node_capability(node, 0x09);
	if (cap)
		for (unsigned int i = 3; i < node_config(node, cap + 2, 1); i++)
			allow(cap + i, 1, 0xff, false);
	cap = node_extended_capability(node, 0x0001);
	if (cap) {
		allow(cap + 0x04, 4, ~0U, true); /* uncorrectable errors */
		allow(cap + 0x08, 4, ~0U, false); /* mask */
		allow(cap + 0x0c, 4, ~0U, false); /* severity */
		allow(cap + 0x10, 4, ~0U, true); /* correctable errors */
		allow(cap + 0x14, 4, ~0U, false); /* mask */
	}
}

static uint32_t bits_of(const uint8_t *table, unsigned int at, unsigned int width)
{
	uint32_t bits = 0;

	for (unsigned int i = 0; i < width; i++)
		bits |= (uint32_t)table[at + i] << 8 * i;
	return bits;
}

static void begin(struct node *node, const char *kind)
{
	struct udrv_ioc_region_info region;

	node_open(node, kind);
	region = node_region(node, UDRV_REGION_CONFIG);
	config = region.offset;
	length = region.length;
	REQUIRE(length == 256 || length == 4096);
	work_out(node);
}

static uint32_t get(const struct node *node, unsigned int at, unsigned int width)
{
	uint32_t value = 0;

	CHECK_EQ(pread(node->fd, &value, width, config + at), width);
	return value;
}

static void whole(const struct node *node, uint8_t *bytes)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/config", node->sysfs);
	REQUIRE_OK(fd = open(path, O_RDONLY | O_CLOEXEC));
	REQUIRE_EQ(pread(fd, bytes, length, 0), length);
	close(fd);
}

static void reads(void)
{
	for (size_t i = 0; node_kinds[i]; i++) {
		uint8_t bytes[MAX_BYTES], back[MAX_BYTES];
		struct node node;

		if (!node_find(&node, node_kinds[i]))
			continue;
		tap_step("%s: every register in every width is what sysfs says", node.kind);
		begin(&node, node.kind);
		whole(&node, bytes);
		CHECK_EQ(bytes[0] | bytes[1] << 8, node_info(&node).vendor);
		for (unsigned int width = 1; width <= 4; width *= 2) {
			memset(back, 0, sizeof(back));
			for (unsigned int at = 0; at < length; at += width)
				CHECK_EQ(pread(node.fd, back + at, width, config + at), width);
			CHECK_MEM(back, bytes, length);
		}
		node_close(&node);
	}
}

/* What a register becomes when root writes this to it through sysfs, which has no table; undone. */
static uint32_t by_sysfs(const struct node *node, unsigned int at, unsigned int width,
			 uint32_t value, uint32_t old)
{
	uint32_t now;

	node_config_write(node, at, width, value);
	now = node_config(node, at, width);
	node_config_write(node, at, width, old & ~bits_of(clearing, at, width));
	CHECK_EQ(node_config(node, at, width), old);
	return now;
}

/*
 * Write the complement of what is there: of the bits that may be written those change that do when root
 * writes them through sysfs, and no other bit does. Then write it back.
 */
static void try_register(const struct node *node, unsigned int at, unsigned int width)
{
	uint32_t old = get(node, at, width), bits = bits_of(writable, at, width);
	uint32_t value = ~old, wanted;
	bool good;

	if (!bits) {
		good = CHECK_ERROR(pwrite(node->fd, &value, width, config + at), EPERM);
		good &= CHECK_EQ(get(node, at, width), old);
	} else {
		wanted = by_sysfs(node, at, width, (old & ~bits) | (value & bits), old);
		good = CHECK_EQ(pwrite(node->fd, &value, width, config + at), width);
		good &= CHECK_EQ(get(node, at, width), wanted);
		value = old & ~bits_of(clearing, at, width);
		good &= CHECK_EQ(pwrite(node->fd, &value, width, config + at), width);
		good &= CHECK_EQ(get(node, at, width), old);
	}
	if (!good)
		tap_note("%s: %u bytes at %#x", node->kind, width, at);
}

static void writes(void)
{
	for (size_t i = 0; node_kinds[i]; i++) {
		uint8_t before[MAX_BYTES], after[MAX_BYTES];
		struct node node;

		if (!node_find(&node, node_kinds[i]))
			continue;
		begin(&node, node.kind);
		for (int state = 0; state < 2; state++) {
			/* With bus mastering and interrupts on there is more that must stay. */
			tap_step("%s: %s", node.kind, state ? "in use" : "idle");
			if (state) {
				REQUIRE_OK(node_bus_master(&node, true));
				if (node_info(&node).msix_count)
					CHECK_GT(node_irq_setup(&node, UDRV_IRQ_MSIX, 0), 0);
				else if (node_info(&node).msi_count)
					CHECK_GT(node_irq_setup(&node, UDRV_IRQ_MSI, 0), 0);
			}
			whole(&node, before);
			for (unsigned int width = 1; width <= 4; width *= 2)
				for (unsigned int at = 0; at < length; at += width)
					try_register(&node, at, width);
			whole(&node, after);
			CHECK_MEM(after, before, length);
		}
		node_close(&node);
	}
}

/* By name, what must not move: no table here, just registers and values. */
static void dangerous(void)
{
	const struct {
		const char *name;
		unsigned int at, width, value;
	} fixed[] = {
		{ "BAR 0", 0x10, 4, 0xdead0000 },   { "BAR 0 sizing", 0x10, 4, ~0U },
		{ "BAR 5", 0x24, 4, ~0U },	    { "expansion ROM", 0x30, 4, 1 },
		{ "capability pointer", 0x34, 1, 0 }, { "interrupt pin", 0x3d, 1, 0 },
		{ "vendor", 0x00, 2, 0x1234 },	    { "class", 0x08, 4, 0 },
		{ "header type", 0x0e, 1, 1 },	    { "BIST", 0x0f, 1, 0x40 },
		{ "subsystem", 0x2c, 4, 0 },
	};
	unsigned int cap;
	uint32_t old, value, command;
	struct node node;

	begin(&node, "e1000e");
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		tap_step("%s", fixed[i].name);
		old = get(&node, fixed[i].at, fixed[i].width);
		value = fixed[i].value;
		CHECK_ERROR(pwrite(node.fd, &value, fixed[i].width, config + fixed[i].at), EPERM);
		CHECK_EQ(node_config(&node, fixed[i].at, fixed[i].width), old);
	}
	for (int write = 0; write < 2; write++) {
		tap_step("command: decoding, bus mastering and INTx stay (%s)",
			 write ? "written as ones" : "written as zeros");
		command = node_config(&node, 4, 2);
		value = write ? 0xffff : 0;
		CHECK_EQ(pwrite(node.fd, &value, 2, config + 4), 2);
		CHECK_EQ(node_config(&node, 4, 2) & ~0x0140, command & ~0x0140U);
		CHECK_EQ(node_config(&node, 4, 2) & 0x0100, write ? 0x0100 : 0);
		/* The low byte alone has one bit to write, and the others with it. */
		CHECK_EQ(pwrite(node.fd, &value, 1, config + 4), 1);
		CHECK_EQ(node_config(&node, 4, 1) & ~0x40, command & 0xbf);
		value = command;
		CHECK_EQ(pwrite(node.fd, &value, 2, config + 4), 2);
		CHECK_EQ(node_config(&node, 4, 2), command);
	}
	REQUIRE_OK(node_bus_master(&node, true));
	CHECK_GT(node_irq_setup(&node, UDRV_IRQ_MSIX, 0), 0);
	tap_step("MSI-X control");
	cap = node_capability(&node, 0x11);
	REQUIRE(cap);
	old = node_config(&node, cap + 2, 2);
	CHECK_EQ(old & 0x8000, 0x8000);
	value = 0;
	CHECK_ERROR(pwrite(node.fd, &value, 2, config + cap + 2), EPERM);
	CHECK_EQ(node_config(&node, cap + 2, 2), old);
	tap_step("MSI control and address");
	cap = node_capability(&node, 0x05);
	REQUIRE(cap);
	value = 0xffff;
	CHECK_ERROR(pwrite(node.fd, &value, 2, config + cap + 2), EPERM);
	CHECK_ERROR(pwrite(node.fd, &value, 4, config + cap + 4), EPERM);
	CHECK_EQ(node_config(&node, cap + 2, 2) & 1, 0);
	tap_step("power state");
	cap = node_capability(&node, 0x01);
	REQUIRE(cap);
	value = 3;
	CHECK_ERROR(pwrite(node.fd, &value, 2, config + cap + 4), EPERM);
	CHECK_EQ(node_config(&node, cap + 4, 2) & 3, 0);
	tap_step("device control: payload sizes and the reset stay");
	cap = node_capability(&node, 0x10);
	REQUIRE(cap);
	old = node_config(&node, cap + 8, 2);
	for (int write = 0; write < 2; write++) {
		value = write ? 0xffff : 0;
		CHECK_EQ(pwrite(node.fd, &value, 2, config + cap + 8), 2);
		CHECK_EQ(node_config(&node, cap + 8, 2) & 0xf7e0, old & 0xf7e0);
	}
	CHECK_EQ(pwrite(node.fd, &old, 2, config + cap + 8), 2);
	CHECK_EQ(node_config(&node, cap + 8, 2), old);
	tap_step("link control");
	value = ~0U;
	CHECK_ERROR(pwrite(node.fd, &value, 2, config + cap + 0x10), EPERM);
	node_close(&node);
}

/* What may be written is: these work on QEMU's devices. */
static void allowed(void)
{
	unsigned int cap;
	uint32_t old, value;
	struct node node;

	begin(&node, "edu");
	tap_step("interrupt line, cache line size: all bits");
	for (unsigned int at = 0x0c; at; at = at == 0x0c ? 0x3c : 0) {
		old = get(&node, at, 1);
		for (value = 1; value < 0x100; value <<= 1) {
			CHECK_EQ(pwrite(node.fd, &value, 1, config + at), 1);
			CHECK_EQ(node_config(&node, at, 1), value);
		}
		CHECK_EQ(pwrite(node.fd, &old, 1, config + at), 1);
	}
	tap_step("SERR, beside what is not");
	old = get(&node, 4, 4);
	value = 0x100;
	CHECK_EQ(pwrite(node.fd, &value, 4, config + 4), 4);
	CHECK_EQ(get(&node, 4, 4), old | 0x100);
	value = 0;
	CHECK_EQ(pwrite(node.fd, &value, 4, config + 4), 4);
	CHECK_EQ(get(&node, 4, 4) & 0x100, 0);
	CHECK_EQ(pwrite(node.fd, &(uint16_t){ old }, 2, config + 4), 2);
	CHECK_EQ(get(&node, 4, 4), old);
	node_close(&node);

	begin(&node, "e1000e");
	tap_step("advanced error reporting: severity, mask of what was corrected");
	cap = node_extended_capability(&node, 0x0001);
	REQUIRE(cap);
	for (unsigned int at = cap + 0x0c; at <= cap + 0x14; at += 8) {
		old = get(&node, at, 4);
		value = old ^ 0x00001000;
		CHECK_EQ(pwrite(node.fd, &value, 4, config + at), 4);
		CHECK_EQ(node_config(&node, at, 4), value);
		CHECK_EQ(pwrite(node.fd, &old, 4, config + at), 4);
		CHECK_EQ(node_config(&node, at, 4), old);
	}
	node_close(&node);
}

/* What a driver wrote is not left to the next one, ours or the kernel's. */
static void given_back(void)
{
	uint32_t line, serr, severity, value;
	unsigned int cap;
	struct node node;

	begin(&node, "e1000e");
	cap = node_extended_capability(&node, 0x0001);
	REQUIRE(cap);
	line = get(&node, 0x0c, 1);
	serr = get(&node, 4, 2);
	severity = get(&node, cap + 0x0c, 4);
	tap_step("cache line size, SERR, severity of errors");
	value = line ^ 0x10;
	CHECK_EQ(pwrite(node.fd, &value, 1, config + 0x0c), 1);
	value = serr ^ 0x100;
	CHECK_EQ(pwrite(node.fd, &value, 2, config + 4), 2);
	value = severity ^ 0x1000;
	CHECK_EQ(pwrite(node.fd, &value, 4, config + cap + 0x0c), 4);
	CHECK_EQ(node_config(&node, cap + 0x0c, 4), value);
	node_close(&node);
	CHECK_EQ(node_config(&node, 0x0c, 1), line);
	CHECK_EQ(node_config(&node, 4, 2), serr);
	CHECK_EQ(node_config(&node, cap + 0x0c, 4), severity);
}

static void bad_accesses(void)
{
	static const size_t odd[] = { 0, 3, 5, 8, 16 };
	uint8_t value[16] = { 0 };
	struct node node;

	for (int express = 0; express < 2; express++) {
		begin(&node, express ? "e1000e" : "edu");
		CHECK_EQ(length, express ? 4096 : 256);
		tap_step("%s: widths", node.kind);
		for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
			CHECK_ERROR(pread(node.fd, value, odd[i], config), EINVAL);
			CHECK_ERROR(pwrite(node.fd, value, odd[i], config + 0x08), EINVAL);
		}
		tap_step("%s: misaligned", node.kind);
		for (unsigned int width = 2; width <= 4; width *= 2)
			for (unsigned int off = 1; off < width; off++) {
				CHECK_ERROR(pread(node.fd, value, width, config + 0x0c + off), EINVAL);
				CHECK_ERROR(pwrite(node.fd, value, width, config + 0x0c + off), EINVAL);
			}
		tap_step("%s: out of bounds", node.kind);
		for (unsigned int width = 1; width <= 4; width *= 2) {
			const uint64_t bad[] = { config + length, config + 2 * length, config - width,
						 config + 0x10000, config + (1ULL << 32),
						 config + (1ULL << 39) };

			CHECK_EQ(pread(node.fd, value, width, config + length - width), width);
			for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
				CHECK_ERROR(pread(node.fd, value, width, bad[i]), EINVAL);
				CHECK_ERROR(pwrite(node.fd, value, width, bad[i]), EINVAL);
			}
		}
		CHECK_ERROR(pread(node.fd, value, 2, config + length - 1), EINVAL);
		node_close(&node);
	}
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(reads),
		TAP_TEST_LONG(writes, 180),
		TAP_TEST(dangerous),
		TAP_TEST(allowed),
		TAP_TEST(given_back),
		TAP_TEST(bad_accesses),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
