// SPDX-License-Identifier: MIT
/* net_test.c - what attaching says, where the rings lie, and what a turn tells */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "fake.h"

static const struct udrv_net_options small = {
	.name = "eth%d",
	.address = { 2, 0, 0, 0, 0, 9 },
	.queue_count = 2,
	.tx_slots = 64,
	.rx_slots = 64,
};

static struct udrv_net *attach(void)
{
	struct udrv_net *net = NULL;

	assert_int_equal(udrv_net_attach(NULL, &small, &net), 0);
	assert_non_null(net);
	return net;
}

/* The kernel's side of a queue. */
static struct udrv_net_rings *rings(unsigned int queue)
{
	return (void *)(fake_pages() + queue * FAKE_NET_QUEUE_BYTES);
}

static void *entries(unsigned int queue, unsigned int offset)
{
	return fake_pages() + queue * FAKE_NET_QUEUE_BYTES + offset;
}

static void attach_alone(void **state)
{
	struct udrv_net *net = attach();
	const struct udrv_ioc_net_attach *call = &fake.argument.net_attach;

	(void)state;
	assert_string_equal(fake.path, "/dev/udrv/net");
	assert_int_equal(fake.open_flags, O_RDWR | O_CLOEXEC);
	assert_int_equal(fake.request, UDRV_IOC_NET_ATTACH);
	assert_int_equal(call->device_fd, -1);
	assert_string_equal(call->name, "eth%d");
	assert_memory_equal(call->address, small.address, 6);
	assert_int_equal(call->features, 0);
	assert_int_equal(call->queue_count, 2);
	assert_int_equal(call->tx_slots, 64);
	assert_int_equal(call->rx_slots, 64);
	assert_int_equal(call->max_mtu, 1500);
	assert_int_equal(call->grace_ms, 0);
	assert_int_equal(call->hang_ms, 0);
	assert_int_equal(fake.length, 8 * 4096);
	assert_int_equal(fake.offset, 0);
	assert_int_equal(fake.flags, MAP_SHARED);

	assert_string_equal(udrv_net_name(net), "eth5");
	assert_int_equal(udrv_net_index(net), 17);
	assert_int_equal(udrv_net_flags(net), UDRV_NET_COPIES);
	assert_int_equal(udrv_net_fd(net), FAKE_FD);
	assert_ptr_equal(udrv_net_data(net, 0x4321), fake_pages() + 0x4321);
	udrv_net_close(net);
	assert_ptr_equal(fake.unmapped, fake_pages());
	assert_int_equal(fake.length, 8 * 4096);
	assert_int_equal(fake.count[FAKE_CLOSE], 1);
	udrv_net_close(NULL);
}

static void attach_to_a_device(void **state)
{
	const struct udrv_net_options options = {
		.name = "card",
		.features = UDRV_NET_CSUM | UDRV_NET_PADS,
		.max_mtu = 3400,
		.grace_ms = 7,
		.hang_ms = 9000,
	};
	const struct udrv_ioc_net_attach *call = &fake.argument.net_attach;
	struct udrv *device = fake_open();
	struct udrv_net *net;

	(void)state;
	assert_int_equal(udrv_net_attach(device, &options, &net), 0);
	assert_int_equal(call->device_fd, FAKE_FD);
	assert_int_equal(call->features, UDRV_NET_CSUM | UDRV_NET_PADS);
	assert_int_equal(call->queue_count, 1);
	assert_int_equal(call->tx_slots, 256);
	assert_int_equal(call->rx_slots, 256);
	assert_int_equal(call->max_mtu, 3400);
	assert_int_equal(call->grace_ms, 7);
	assert_int_equal(call->hang_ms, 9000);
	udrv_net_close(net);
	udrv_close(device);
}

static void attach_refused(void **state)
{
	struct udrv_net_options options = small;
	struct udrv_net *net;

	(void)state;
	options.name = "a123456789012345"; /* one too many */
	assert_int_equal(udrv_net_attach(NULL, &options, &net), -EINVAL);
	options.name = NULL;
	assert_int_equal(udrv_net_attach(NULL, &options, &net), -EINVAL);
	assert_int_equal(fake.count[FAKE_OPEN], 0);
	options.name = "a12345678901234";
	assert_int_equal(udrv_net_attach(NULL, &options, &net), 0);
	assert_string_equal(fake.argument.net_attach.name, "a12345678901234");
	udrv_net_close(net);

	/* Nothing is left open, whatever fails. */
	fake_fail(FAKE_OPEN, ENOENT, 0, 1);
	assert_int_equal(udrv_net_attach(NULL, &small, &net), -ENOENT);
	assert_int_equal(fake.count[FAKE_CLOSE], 1);
	fake_fail(FAKE_IOCTL, EPERM, 0, 1);
	assert_int_equal(udrv_net_attach(NULL, &small, &net), -EPERM);
	assert_int_equal(fake.count[FAKE_CLOSE], 2);
	fake_fail(FAKE_MMAP, ENOMEM, 0, 1);
	assert_int_equal(udrv_net_attach(NULL, &small, &net), -ENOMEM);
	assert_int_equal(fake.count[FAKE_CLOSE], 3);
	/* A signal while it waited its turn: again. */
	fake_fail(FAKE_IOCTL, EINTR, 0, 2);
	assert_int_equal(udrv_net_attach(NULL, &small, &net), 0);
	udrv_net_close(net);
}

static void calls(void **state)
{
	struct udrv_ioc_net_state now;
	struct udrv_net *net = attach();

	(void)state;
	memset(&now, 0xff, sizeof(now));
	assert_int_equal(udrv_net_state(net, &now), 0);
	assert_int_equal(fake.request, UDRV_IOC_NET_STATE);
	assert_int_equal(now.state_flags, UDRV_NET_UP);
	assert_int_equal(now.mtu, 1400);
	assert_int_equal(now.group_count, 0);
	assert_int_equal(udrv_net_link(net, true, 1000, true), 0);
	assert_int_equal(fake.request, UDRV_IOC_NET_LINK);
	assert_int_equal(fake.argument.net_link.link, UDRV_NET_LINK_UP | UDRV_NET_LINK_FULL);
	assert_int_equal(fake.argument.net_link.speed, 1000);
	assert_int_equal(udrv_net_link(net, false, 0, false), 0);
	assert_int_equal(fake.argument.net_link.link, 0);
	assert_int_equal(udrv_net_vector(net, 1, 4), 0);
	assert_int_equal(fake.request, UDRV_IOC_NET_VECTOR);
	assert_int_equal(fake.argument.net_queue.queue, 1);
	assert_int_equal(fake.argument.net_queue.vector, 4);
	assert_int_equal(udrv_net_kick(net, 1), 0);
	assert_int_equal(fake.request, UDRV_IOC_NET_KICK);
	assert_int_equal(fake.argument.net_queue.queue, 1);
	assert_int_equal(fake.argument.net_queue.vector, 0);
	fake_fail(FAKE_IOCTL, EBUSY, 0, 1);
	assert_int_equal(udrv_net_vector(net, 0, 0), -EBUSY);
	fake_fail(FAKE_IOCTL, ENODEV, 0, 1);
	assert_int_equal(udrv_net_state(net, &now), -ENODEV);
	udrv_net_close(net);
}

static void queues(void **state)
{
	struct udrv_net *net = attach();

	(void)state;
	assert_null(udrv_net_get_queue(net, 2));
	assert_null(udrv_net_get_queue(net, UINT32_MAX));
	for (unsigned int i = 0; i < 2; i++) {
		struct udrv_net_queue *queue = udrv_net_get_queue(net, i);

		assert_ptr_equal(queue->tx.shared, &rings(i)->tx);
		assert_ptr_equal(queue->tx_done.shared, &rings(i)->tx_done);
		assert_ptr_equal(queue->fill.shared, &rings(i)->fill);
		assert_ptr_equal(queue->rx.shared, &rings(i)->rx);
		assert_ptr_equal(queue->tx_entries, entries(i, FAKE_NET_TX));
		assert_ptr_equal(queue->tx_done_entries, entries(i, FAKE_NET_TX_DONE));
		assert_ptr_equal(queue->fill_entries, entries(i, FAKE_NET_FILL));
		assert_ptr_equal(queue->rx_entries, entries(i, FAKE_NET_RX));
		assert_int_equal(udrv_net_turn(queue, 0, 0), 0);
		assert_int_equal(fake.argument.net_turn.queue, i);
	}
	udrv_net_close(net);
}

/* Round a ring, and over the end of 2^32. */
static void taken(void **state)
{
	struct udrv_net *net = attach();
	struct udrv_net_queue *queue = udrv_net_get_queue(net, 1);
	struct udrv_net_tx *tx = entries(1, FAKE_NET_TX);
	struct udrv_net_fill *fill = entries(1, FAKE_NET_FILL);

	(void)state;
	assert_int_equal(udrv_net_tx_count(queue), 0);
	assert_int_equal(udrv_net_fill_count(queue), 0);
	queue->tx.index = UINT32_MAX - 1;
	rings(1)->tx.produced = 3;
	tx[126].slot = 1;
	tx[127].slot = 2;
	tx[0].slot = 3;
	tx[2].slot = 5;
	assert_int_equal(udrv_net_tx_count(queue), 5);
	assert_ptr_equal(udrv_net_tx_at(queue, 0), &tx[126]);
	assert_int_equal(udrv_net_tx_at(queue, 0)->slot, 1);
	assert_int_equal(udrv_net_tx_at(queue, 1)->slot, 2);
	assert_int_equal(udrv_net_tx_at(queue, 2)->slot, 3);
	assert_int_equal(udrv_net_tx_at(queue, 4)->slot, 5);
	udrv_net_tx_consume(queue, 2);
	assert_int_equal(rings(1)->tx.consumed, 0);
	assert_int_equal(udrv_net_tx_count(queue), 3);
	assert_int_equal(udrv_net_tx_at(queue, 0)->slot, 3);

	queue->fill.index = UINT32_MAX;
	rings(1)->fill.produced = 1;
	fill[63].slot = 7;
	fill[0].slot = 8;
	assert_int_equal(udrv_net_fill_count(queue), 2);
	assert_int_equal(udrv_net_fill_at(queue, 0)->slot, 7);
	assert_int_equal(udrv_net_fill_at(queue, 1)->slot, 8);
	udrv_net_fill_consume(queue, 2);
	assert_int_equal(rings(1)->fill.consumed, 1);
	assert_int_equal(udrv_net_fill_count(queue), 0);
	/* The other queue has seen nothing of it. */
	assert_int_equal(udrv_net_tx_count(udrv_net_get_queue(net, 0)), 0);
	udrv_net_close(net);
}

static void handed_in(void **state)
{
	struct udrv_net *net = attach();
	struct udrv_net_queue *queue = udrv_net_get_queue(net, 1);
	const struct udrv_net_rx *rx = entries(1, FAKE_NET_RX);
	const uint32_t *done = entries(1, FAKE_NET_TX_DONE);

	(void)state;
	queue->tx_done.index = UINT32_MAX;
	queue->rx.index = UINT32_MAX;
	udrv_net_tx_done(queue, 40);
	udrv_net_tx_done(queue, 41);
	udrv_net_rx_frame(queue, 50, 60, 0, 0);
	udrv_net_rx_frame(queue, 51, 1514, UDRV_NET_RX_CSUM | UDRV_NET_RX_VLAN, 0x123);
	udrv_net_rx_frame(queue, 52, 0, UDRV_NET_RX_DROP, 0);
	assert_int_equal(done[63], 40);
	assert_int_equal(done[0], 41);
	assert_int_equal(rx[63].slot, 50);
	assert_int_equal(rx[63].length, 60);
	assert_int_equal(rx[0].slot, 51);
	assert_int_equal(rx[0].length, 1514);
	assert_int_equal(rx[0].flags, UDRV_NET_RX_CSUM | UDRV_NET_RX_VLAN);
	assert_int_equal(rx[0].vlan_tci, 0x123);
	assert_int_equal(rx[1].flags, UDRV_NET_RX_DROP);
	/* Not before the turn, and by then. */
	assert_int_equal(rings(1)->tx_done.produced, 0);
	assert_int_equal(rings(1)->rx.produced, 0);
	assert_int_equal(udrv_net_turn(queue, 0, 0), 0);
	assert_int_equal(fake.tx_done_told, 1);
	assert_int_equal(fake.rx_told, 2);
	udrv_net_close(net);
}

static void turn(void **state)
{
	struct udrv_net *net = attach();
	struct udrv_net_queue *queue = udrv_net_get_queue(net, 0);
	const struct udrv_ioc_net_turn *call = &fake.argument.net_turn;
	unsigned int before = fake.count[FAKE_IOCTL];

	(void)state;
	fake.ready = UDRV_NET_READY_IRQ | UDRV_NET_READY_FILL;
	assert_int_equal(udrv_net_turn(queue, UDRV_NET_READY_TX, UDRV_NET_FOREVER), fake.ready);
	assert_int_equal(fake.request, UDRV_IOC_NET_TURN);
	assert_int_equal(call->ready, UDRV_NET_READY_TX);
	assert_true(call->timeout_ns == UDRV_NET_FOREVER);
	assert_int_equal(queue->turn.irq_count, 3);
	assert_int_equal(queue->turn.irq_value, 0x50);
	/* What the last one answered is not what the next one asks. */
	fake.ready = 0;
	assert_int_equal(udrv_net_turn(queue, 0, 5), 0);
	assert_int_equal(call->ready, 0);
	assert_int_equal(call->timeout_ns, 5);
	assert_int_equal(queue->turn.irq_count, 0);
	assert_int_equal(queue->turn.irq_value, 0);
	assert_int_equal(fake.count[FAKE_IOCTL], before + 2);
	/* A signal is the caller's to see; what was handed in stays so. */
	udrv_net_tx_done(queue, 1);
	fake_fail(FAKE_IOCTL, EINTR, 0, 1);
	assert_int_equal(udrv_net_turn(queue, 0, 5), -EINTR);
	assert_int_equal(rings(0)->tx_done.produced, 1);
	assert_int_equal(fake.count[FAKE_IOCTL], before + 3);
	fake_fail(FAKE_IOCTL, ENODEV, 0, 1);
	assert_int_equal(udrv_net_turn(queue, 0, 5), -ENODEV);
	udrv_net_close(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(attach_alone),
		TEST(attach_to_a_device),
		TEST(attach_refused),
		TEST(calls),
		TEST(queues),
		TEST(taken),
		TEST(handed_in),
		TEST(turn),
	};

	return RUN(tests);
}
