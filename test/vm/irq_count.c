// SPDX-License-Identifier: MIT
/*
 * irq_count.c - 100,000 interrupts by INTx, one after the other, and every one counted
 *
 * For a line that is shared: share.sh runs it beside traffic on the neighbour. The neighbour's
 * interrupts call our handler too, and must not count; ours must, whatever comes in between. So each
 * is raised, read and acknowledged by itself, and each read() must bring exactly one.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define COUNT 100000U

static struct node edu;

static void count_exactly(void)
{
	struct udrv_irq_record record;
	struct pollfd waiter;
	unsigned int wrong = 0;
	uint64_t sum = 0;
	uint32_t total;

	node_open_mapped(&edu, "edu");
	REQUIRE_EQ(node_irq_setup(&edu, UDRV_IRQ_INTX, 1), 1);
	waiter = (struct pollfd){ .fd = edu.fd, .events = POLLIN };

	tap_step("raise, wait, acknowledge: %u times", COUNT);
	for (unsigned int i = 0; i < COUNT; i++) {
		edu_raise(&edu, 1U << i % 20);
		/* Both ways to arm: by the read itself, and by a poll before it. */
		if (i % 4 == 3)
			REQUIRE_EQ(poll(&waiter, 1, 30000), 1);
		REQUIRE_EQ(read(edu.fd, &record, sizeof(record)), sizeof(record));
		wrong += record.count != 1 || record.vector != 0;
		sum += record.count;
		edu_ack(&edu);
	}
	CHECK_EQ(wrong, 0);

	tap_step("they add up, everywhere");
	CHECK_EQ(sum, COUNT);
	CHECK_EQ(node_irq_info(&edu, 0).total, COUNT);
	CHECK_EQ(node_irq_info(&edu, 0).pending, 0);
	CHECK_EQ(node_number(&edu, "interrupts"), COUNT);

	tap_step("and one more makes one more");
	edu_raise(&edu, 1);
	CHECK_EQ(read(edu.fd, &total, sizeof(total)), sizeof(total));
	CHECK_EQ(total, COUNT + 1);
	edu_ack(&edu);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = { TAP_TEST_LONG(count_exactly, 300) };

	return TAP_MAIN(argc, argv, tests, NULL);
}
