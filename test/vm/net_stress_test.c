// SPDX-License-Identifier: MIT
/*
 * net_stress_test.c - the rings and the sleep, hurried: nothing is lost, changed or out of order
 *
 * One thread sends numbered frames of all lengths in bursts, the driver's thread looks at each and
 * sends it back as one that has arrived, a third looks at what comes. After a burst all is waited
 * for, so that the driver goes to sleep and the first frame of the next burst has to wake it: each
 * burst is a chance to forget that. UDRV_BURSTS is how many. What the barriers are for, test/model
 * has in every order; here they are the machine's.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "netif.h"
#include "node.h"
#include "os.h"
#include "tap.h"

#define BURST_MAX 150U /* more than twice the slots, less than a socket may have on its way */
#define HEADER 14
#define LIMIT_S 60

struct stress {
	struct netif n;
	int fd;
	unsigned int frames; /* of all bursts */
	unsigned int burst_ends; /* the frame after the last one of the burst */
	sem_t burst_done;
	unsigned int sleeps; /* turns that began with nothing to do */
};

static unsigned int length_of(uint32_t number)
{
	return 60 + number * 37 % (1514 - 60);
}

static void fill_in(uint8_t *frame, uint32_t number)
{
	unsigned int length = length_of(number);

	netif_frame(frame, 0);
	memcpy(frame + HEADER, &number, sizeof(number));
	for (unsigned int i = HEADER + sizeof(number); i < length; i++)
		frame[i] = (uint8_t)(number * 7 + i);
}

/* The driver: what is to be sent is compared, and comes back. */
static void *drive(void *arg)
{
	struct stress *s = arg;
	struct netif *n = &s->n;
	uint8_t wanted[2048];
	uint32_t number = 0;

	while (number < s->frames) {
		struct udrv_ioc_net_turn turn;
		uint32_t at = n->rings->tx.consumed;

		s->sleeps += at == __atomic_load_n(&n->rings->tx.produced, __ATOMIC_ACQUIRE);
		REQUIRE_OK(netif_turn(n, UDRV_NET_READY_STATE, LIMIT_S * 1000000000ULL, &turn));
		REQUIRE(turn.ready & UDRV_NET_READY_TX);
		for (; at != __atomic_load_n(&n->rings->tx.produced, __ATOMIC_ACQUIRE); number++) {
			const struct udrv_net_tx tx = n->tx[at & (n->info.tx_entries - 1)];
			struct udrv_net_fill buffer;

			if (n->rings->fill.consumed ==
			    __atomic_load_n(&n->rings->fill.produced, __ATOMIC_ACQUIRE))
				break;
			fill_in(wanted, number);
			REQUIRE_EQ(tx.flags, UDRV_NET_TX_FIRST | UDRV_NET_TX_LAST);
			REQUIRE_EQ(tx.length, length_of(number));
			REQUIRE(!memcmp(n->area + tx.address, wanted, tx.length));
			buffer = netif_buffer(n);
			memcpy(n->area + buffer.address, n->area + tx.address, tx.length);
			netif_arrived(n, buffer.slot, tx.length, 0);
			netif_done(n, tx.slot);
			__atomic_store_n(&n->rings->tx.consumed, ++at, __ATOMIC_RELEASE);
		}
	}
	netif_ready(n);
	return NULL;
}

static void *receive(void *arg)
{
	struct stress *s = arg;
	uint8_t frame[2048], wanted[2048];

	for (uint32_t number = 0; number < s->frames; number++) {
		fill_in(wanted, number);
		REQUIRE_EQ(recv(s->fd, frame, sizeof(frame), 0), (ssize_t)length_of(number));
		REQUIRE(!memcmp(frame, wanted, length_of(number)));
		if (number + 1 == __atomic_load_n(&s->burst_ends, __ATOMIC_ACQUIRE))
			sem_post(&s->burst_done);
	}
	return NULL;
}

static void in_bursts(void)
{
	const struct timeval limit = { .tv_sec = LIMIT_S };
	const char *wanted = getenv("UDRV_BURSTS");
	const unsigned int bursts = wanted ? (unsigned int)atoi(wanted) : 300;
	const int room = 16 << 20;
	struct stress s = { 0 };
	pthread_t driver, receiver;
	uint8_t frame[2048];
	uint32_t number = 0, random = 1;

	REQUIRE_OK(sem_init(&s.burst_done, 0, 0));
	for (unsigned int i = 0; i < bursts; i++)
		s.frames += 1 + i * 31 % BURST_MAX;
	netif_up(&s.n, -1);
	s.fd = netif_socket(NETIF_NAME);
	REQUIRE_OK(setsockopt(s.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	REQUIRE_OK(setsockopt(s.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)));
	REQUIRE_EQ(pthread_create(&driver, NULL, drive, &s), 0);
	REQUIRE_EQ(pthread_create(&receiver, NULL, receive, &s), 0);

	for (unsigned int i = 0; i < bursts; i++) {
		uint32_t end = number + 1 + i * 31 % BURST_MAX;
		struct timespec until;

		__atomic_store_n(&s.burst_ends, end, __ATOMIC_RELEASE);
		for (; number < end; number++) {
			fill_in(frame, number);
			REQUIRE_EQ(send(s.fd, frame, length_of(number), 0), (ssize_t)length_of(number));
			/* Now and then the driver gets ahead, or both run at once: not always in step. */
			random = random * 1103515245 + 12345;
			if (!(random >> 16 & 7))
				sched_yield();
		}
		REQUIRE_OK(clock_gettime(CLOCK_REALTIME, &until));
		until.tv_sec += LIMIT_S;
		REQUIRE_OK(sem_timedwait(&s.burst_done, &until));
	}
	REQUIRE_EQ(pthread_join(driver, NULL), 0);
	REQUIRE_EQ(pthread_join(receiver, NULL), 0);
	tap_note("%u frames each way; the driver slept up to %u times", s.frames, s.sleeps);
	/* Else it was no test of the sleep. */
	CHECK_GE(s.sleeps, bursts / 2);
	CHECK_EQ(netif_counter(NETIF_NAME, "tx_packets"), s.frames);
	CHECK_EQ(netif_counter(NETIF_NAME, "tx_dropped"), 0);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_packets"), s.frames);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_dropped"), 0);
	CHECK_EQ(netif_counter(NETIF_NAME, "rx_errors"), 0);
	close(s.fd);
	netif_close(&s.n);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST_LONG(in_bursts, 600),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
