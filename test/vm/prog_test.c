// SPDX-License-Identifier: MIT
/*
 * prog_test.c - register programs: what is refused, what a batch does, who acknowledges, how it ends
 *
 * On edu: its status register tells the causes, and a write of them takes them back. The hard part is
 * the line: with a program the kernel must neither mask nor arm INTx, so every interrupt raised is
 * counted at once, waiter or not.
 */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <string.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

static struct node edu;

#define OP_READ(at) { .op = UDRV_PROG_READ, .width = 4, .offset = (at) }
#define OP_WRITE(at, to) { .op = UDRV_PROG_WRITE, .width = 4, .offset = (at), .value = (to) }
#define OP_TEST(bits, want) { .op = UDRV_PROG_TEST, .mask = (bits), .value = (want) }
#define OP_ACK { .op = UDRV_PROG_WRITE, .flags = UDRV_PROG_LAST, .width = 4, .offset = EDU_IRQ_ACK, \
		 .mask = 0xffffffff }
#define OP_ANY { .op = UDRV_PROG_TEST, .flags = UDRV_PROG_NOT, .mask = 0xffffffff }

static const struct udrv_prog_op acknowledge[] = { OP_READ(EDU_IRQ_STATUS), OP_ANY, OP_ACK };

static int prog_set(unsigned int use, const struct udrv_prog_op *ops, unsigned int count)
{
	struct udrv_ioc_prog_set arg = NODE_ARG(arg);

	arg.use = use;
	arg.count = count;
	arg.ops = (uintptr_t)ops;
	return ioctl(edu.fd, UDRV_IOC_PROG_SET, &arg);
}

static int prog_run(const struct udrv_prog_op *ops, unsigned int count, uint64_t *values,
		    uint32_t *done)
{
	struct udrv_ioc_prog_run arg = NODE_ARG(arg);
	int result;

	arg.count = count;
	arg.ops = (uintptr_t)ops;
	arg.values = (uintptr_t)values;
	result = ioctl(edu.fd, UDRV_IOC_PROG_RUN, &arg);
	*done = arg.done;
	return result;
}

/* ---- what is refused -------------------------------------------------------------------------- */

/* A program of reads, as long as it may be, one longer, and of a length that no memory holds. */
static void many_operations(void)
{
	static struct udrv_prog_op ops[UDRV_PROG_MAX_OPS + 1];
	static const uint32_t counts[] = { UDRV_PROG_MAX_OPS, UDRV_PROG_MAX_OPS + 1, ~0U };
	struct udrv_ioc_prog_run run = NODE_ARG(run);
	struct udrv_ioc_prog_set set = NODE_ARG(set);

	for (unsigned int i = 0; i <= UDRV_PROG_MAX_OPS; i++)
		ops[i] = (struct udrv_prog_op){ .op = UDRV_PROG_READ, .width = 4 };
	set.use = UDRV_PROG_QUIESCE;
	run.ops = set.ops = (uintptr_t)ops;
	for (int i = 0; i < 3; i++) {
		run.count = set.count = counts[i];
		if (i == 0) {
			CHECK_OK(ioctl(edu.fd, UDRV_IOC_PROG_RUN, &run));
			CHECK_EQ(run.done, UDRV_PROG_MAX_OPS);
			CHECK_OK(ioctl(edu.fd, UDRV_IOC_PROG_SET, &set));
		} else {
			CHECK_ERROR(ioctl(edu.fd, UDRV_IOC_PROG_RUN, &run), EINVAL);
			CHECK_ERROR(ioctl(edu.fd, UDRV_IOC_PROG_SET, &set), EINVAL);
		}
	}
}

static void bad_operations(void)
{
	static const struct {
		const char *what;
		struct udrv_prog_op op;
	} bad[] = {
		{ "no operation", { .op = 0, .width = 4 } },
		{ "unknown operation", { .op = 6, .width = 4 } },
		{ "BAR 6", { .op = UDRV_PROG_READ, .bar = 6, .width = 4 } },
		{ "absent BAR", { .op = UDRV_PROG_READ, .bar = 1, .width = 4 } },
		{ "width 0", { .op = UDRV_PROG_READ } },
		{ "width 3", { .op = UDRV_PROG_READ, .width = 3 } },
		{ "width 16", { .op = UDRV_PROG_READ, .width = 16 } },
		{ "misaligned", { .op = UDRV_PROG_READ, .width = 4, .offset = 2 } },
		{ "behind the end", { .op = UDRV_PROG_READ, .width = 4, .offset = 1 << 20 } },
		{ "offset that wraps", { .op = UDRV_PROG_READ, .width = 4, .offset = ~3ULL } },
		{ "READ with a mask", { .op = UDRV_PROG_READ, .width = 4, .mask = 1 } },
		{ "READ with a value", { .op = UDRV_PROG_READ, .width = 4, .value = 1 } },
		{ "READ with a flag", { .op = UDRV_PROG_READ, .width = 4, .flags = 1 } },
		{ "READ with a time", { .op = UDRV_PROG_READ, .width = 4, .timeout_us = 1 } },
		{ "WRITE with a mask", { .op = UDRV_PROG_WRITE, .width = 4, .offset = 4, .mask = 1 } },
		{ "WRITE, value too wide",
		  { .op = UDRV_PROG_WRITE, .width = 4, .offset = 4, .value = 1ULL << 32 } },
		{ "WRITE of last with a value", { .op = UDRV_PROG_WRITE, .flags = UDRV_PROG_LAST,
						  .width = 4, .offset = 4, .value = 1 } },
		{ "WRITE with NOT",
		  { .op = UDRV_PROG_WRITE, .flags = UDRV_PROG_NOT, .width = 4, .offset = 4 } },
		{ "MODIFY with a flag", { .op = UDRV_PROG_MODIFY, .flags = 1, .width = 4 } },
		{ "MODIFY, mask too wide",
		  { .op = UDRV_PROG_MODIFY, .width = 1, .mask = 0x100, .offset = 4 } },
		{ "TEST with a width", { .op = UDRV_PROG_TEST, .width = 4, .mask = 1 } },
		{ "TEST with a BAR", { .op = UDRV_PROG_TEST, .bar = 1, .mask = 1 } },
		{ "TEST with an offset", { .op = UDRV_PROG_TEST, .offset = 4, .mask = 1 } },
		{ "TEST with LAST", { .op = UDRV_PROG_TEST, .flags = UDRV_PROG_LAST, .mask = 1 } },
		{ "POLL without a time", { .op = UDRV_PROG_POLL, .width = 4, .mask = 1 } },
		{ "POLL for too long",
		  { .op = UDRV_PROG_POLL, .width = 4, .mask = 1, .timeout_us = UDRV_PROG_MAX_US + 1 } },
	};
	struct udrv_prog_op two[2] = { OP_WRITE(EDU_LIVE, 1) };
	uint32_t done, live;

	node_open_mapped(&edu, "edu");
	node_write32(&edu, EDU_LIVE, 0x5a5a);
	live = node_read32(&edu, EDU_LIVE);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		tap_step("%s", bad[i].what);
		CHECK_ERROR(prog_run(&bad[i].op, 1, NULL, &done), EINVAL);
		CHECK_ERROR(prog_set(UDRV_PROG_QUIESCE, &bad[i].op, 1), EINVAL);
		/* Nothing of a program runs unless all of it is good. */
		two[1] = bad[i].op;
		CHECK_ERROR(prog_run(two, 2, NULL, &done), EINVAL);
		CHECK_EQ(node_read32(&edu, EDU_LIVE), live);
	}
	tap_step("as many operations as there may be, and no more");
	many_operations();
	node_close(&edu);
}

static void msix_table(void)
{
	struct udrv_prog_op op = { .op = UDRV_PROG_WRITE, .width = 4 };
	struct udrv_ioc_region_info region;
	unsigned int cap, table;
	uint32_t done;

	node_open(&edu, "e1000e");
	cap = node_capability(&edu, 0x11);
	REQUIRE(cap);
	table = node_config(&edu, cap + 4, 4);
	op.bar = table & 7;
	op.offset = table & ~7U;
	region = node_region(&edu, op.bar);
	REQUIRE(region.length > op.offset);
	tap_step("a program does not write the MSI-X table");
	CHECK_ERROR(prog_run(&op, 1, NULL, &done), EPERM);
	op.op = UDRV_PROG_MODIFY;
	CHECK_ERROR(prog_run(&op, 1, NULL, &done), EPERM);
	op.op = UDRV_PROG_READ;
	CHECK_OK(prog_run(&op, 1, NULL, &done));
	node_close(&edu);
}

/* ---- a batch ---------------------------------------------------------------------------------- */

static void batch(void)
{
	const struct udrv_prog_op ops[] = {
		OP_READ(EDU_ID),
		OP_WRITE(EDU_LIVE, 0x12345678),
		OP_READ(EDU_LIVE),
		OP_TEST(0xffffffff, 0xedcba987),
		{ .op = UDRV_PROG_MODIFY, .width = 4, .offset = EDU_LIVE, .mask = 0xffff, .value = 0x1111 },
		OP_READ(EDU_LIVE),
		OP_TEST(1, 1), /* stops: the bit is 0 */
		OP_WRITE(EDU_LIVE, 0),
	};
	const struct udrv_prog_op too_late[] = {
		OP_READ(EDU_ID),
		{ .op = UDRV_PROG_POLL, .width = 4, .offset = EDU_ID, .mask = 1, .timeout_us = 2000 },
		OP_WRITE(EDU_LIVE, 0),
	};
	uint64_t values[8], began;
	uint32_t done = 0, live;

	node_open_mapped(&edu, "edu");
	memset(values, 0xee, sizeof(values));
	tap_step("runs in order, and stops at a TEST that does not hold");
	CHECK_OK(prog_run(ops, 8, values, &done));
	CHECK_EQ(done, 7);
	CHECK_EQ(values[0], EDU_ID_VALUE);
	CHECK_EQ(values[2], 0xedcba987);
	CHECK_EQ(values[4], 0xedcba987);
	/* edu holds the inverse of what is written: (last & ~0xffff) | 0x1111, turned round */
	live = ~((0xedcba987U & ~0xffffU) | 0x1111U);
	CHECK_EQ(values[5], live);
	CHECK_EQ(values[6], live);
	CHECK_EQ(values[7], 0xeeeeeeeeeeeeeeeeULL);
	CHECK_EQ(node_read32(&edu, EDU_LIVE), live);

	tap_step("a POLL whose time is over");
	began = os_now_ns();
	CHECK_ERROR(prog_run(too_late, 3, values, &done), ETIMEDOUT);
	CHECK_GE(os_now_ns() - began, 2000000);
	CHECK_EQ(done, 2);
	CHECK_EQ(values[1], EDU_ID_VALUE);
	CHECK_EQ(node_read32(&edu, EDU_LIVE), live);
	node_close(&edu);
}

/* ---- acknowledge ------------------------------------------------------------------------------ */

/* On a confined device such a program could take its neighbours' line down: refused. */
static bool confined(void)
{
	if (!(node_info(&edu).state & UDRV_DEVICE_CONFINED))
		return false;
	tap_step("confined: refused, also with CAP_SYS_RAWIO");
	CHECK_ERROR(prog_set(UDRV_PROG_ACK, acknowledge, 3), EPERM);
	node_close(&edu);
	return true;
}

static void acknowledged(unsigned int flags)
{
	struct udrv_ioc_irq_setup setup = NODE_ARG(setup);
	struct udrv_irq_record record;

	node_open_mapped(&edu, "edu");
	if (confined())
		return;
	REQUIRE_OK(prog_set(UDRV_PROG_ACK, acknowledge, 3));
	setup.flags = flags;
	setup.kind = UDRV_IRQ_INTX;
	setup.count = 1;
	REQUIRE_OK(ioctl(edu.fd, UDRV_IOC_IRQ_SETUP, &setup));
	tap_step("EBUSY while it is in use");
	CHECK_ERROR(prog_set(UDRV_PROG_ACK, NULL, 0), EBUSY);

	tap_step("1000 interrupts without a waiter: each counted, each acknowledged");
	for (unsigned int i = 0; i < 1000; i++) {
		edu_raise(&edu, 1U << i % 20);
		REQUIRE(OS_WAIT_FOR(node_irq_info(&edu, 0).total == i + 1, 30000));
	}
	CHECK_EQ(node_read32(&edu, EDU_IRQ_STATUS), 0);
	tap_step("one record, with all causes");
	CHECK_EQ(read(edu.fd, &record, sizeof(record)), sizeof(record));
	CHECK_EQ(record.count, 1000);
	CHECK_EQ(record.value, (1U << 20) - 1);
	tap_step("the next one has its own cause only");
	edu_raise(&edu, 0x800000);
	CHECK_EQ(read(edu.fd, &record, sizeof(record)), sizeof(record));
	CHECK_EQ(record.count, 1);
	CHECK_EQ(record.value, 0x800000);
	node_close(&edu);
}

static void acknowledge_disint(void)
{
	acknowledged(0);
}

static void acknowledge_no_disint(void)
{
	acknowledged(UDRV_IRQ_SETUP_NO_DISINTX);
}

static void acknowledge_mask(void)
{
	struct udrv_irq_record record;

	node_open_mapped(&edu, "edu");
	if (confined())
		return;
	REQUIRE_OK(prog_set(UDRV_PROG_ACK, acknowledge, 3));
	REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
	tap_step("masked by hand it waits, and is delivered by the next wait");
	CHECK_OK(node_irq_mask(&edu, 0, 1));
	edu_raise(&edu, 2);
	os_sleep_us(2000); /* nothing may come: there is no event to wait for */
	CHECK_EQ(node_irq_info(&edu, 0).total, 0);
	CHECK_EQ(read(edu.fd, &record, sizeof(record)), sizeof(record));
	CHECK_EQ(record.count, 1);
	CHECK_EQ(record.value, 2);
	node_close(&edu);
}

static void acknowledge_rights(void)
{
	const struct udrv_prog_op poll = { .op = UDRV_PROG_POLL, .width = 4, .mask = 1, .timeout_us = 1 };

	node_open_mapped(&edu, "edu");
	if (confined())
		return;
	tap_step("no POLL in the handler");
	CHECK_ERROR(prog_set(UDRV_PROG_ACK, &poll, 1), EINVAL);
	tap_step("needs CAP_SYS_RAWIO");
	os_drop_capability(CAP_SYS_RAWIO);
	CHECK_ERROR(prog_set(UDRV_PROG_ACK, acknowledge, 3), EPERM);
	CHECK_OK(prog_set(UDRV_PROG_QUIESCE, acknowledge, 3));
	node_close(&edu);
}

/* ---- quiesce ---------------------------------------------------------------------------------- */

static void quiesce(void)
{
	const struct udrv_prog_op leave[] = { OP_WRITE(EDU_LIVE, 0x600df00d) };

	node_open_mapped(&edu, "edu");
	node_write32(&edu, EDU_LIVE, 0);
	REQUIRE_OK(prog_set(UDRV_PROG_QUIESCE, leave, 1));
	tap_step("not before the end");
	CHECK_EQ(node_read32(&edu, EDU_LIVE), 0xffffffff);
	node_close(&edu);
	node_open_mapped(&edu, "edu");
	tap_step("at the end");
	CHECK_EQ(node_read32(&edu, EDU_LIVE), ~0x600df00dU);
	tap_step("taken away, it does not run");
	node_write32(&edu, EDU_LIVE, 0);
	REQUIRE_OK(prog_set(UDRV_PROG_QUIESCE, leave, 1));
	REQUIRE_OK(prog_set(UDRV_PROG_QUIESCE, NULL, 0));
	node_close(&edu);
	node_open_mapped(&edu, "edu");
	CHECK_EQ(node_read32(&edu, EDU_LIVE), 0xffffffff);
	node_close(&edu);
}

static const struct tap_test tests[] = {
	TAP_TEST(bad_operations),	 TAP_TEST(msix_table),	     TAP_TEST(batch),
	TAP_TEST(acknowledge_disint),	 TAP_TEST(acknowledge_no_disint),
	TAP_TEST(acknowledge_mask),	 TAP_TEST(acknowledge_rights), TAP_TEST(quiesce),
};

int main(int argc, char **argv)
{
	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
