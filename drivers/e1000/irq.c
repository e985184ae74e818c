/* SPDX-License-Identifier: MIT */
/*
 * irq.c - the card's interrupts: INTx, MSI, or one or two vectors of MSI-X
 *
 * Owns ICR, IMS, IMC and the 82574L's vector registers [13.4.17 to 13.4.21; 82574: 7.4]. The hard
 * part is to lose none: the order is always "take the interrupt, acknowledge it in the card, empty
 * the ring, sleep". A frame that comes after the acknowledgement interrupts again, one before it is
 * in the ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "e1000.h"

#define VECTOR_QUEUE 0u /* receive and transmit */
#define VECTOR_OTHER 1u /* link, overrun */

#define OTHER_CAUSES (E1000_IRQ_OTHER | E1000_IRQ_LSC | E1000_IRQ_RXO)

/* At most 20,000 interrupts a second, in units of 256 ns [13.4.18]. */
#define INTERVAL (1000000000u / 256u / 20000u)

static uint32_t receive_causes(const struct e1000_queue *q)
{
	if (q->nic->irq == UDRV_IRQ_MSIX)
		return E1000_IRQ_RXQ(q->index) | (q->index ? 0 : OTHER_CAUSES);
	return E1000_IRQ_RXT0 | E1000_IRQ_RXDMT0 | E1000_IRQ_RXO | E1000_IRQ_LSC;
}

static int setup(struct e1000 *nic, unsigned int irq)
{
	static const struct udrv_prog_op acknowledge[] = {
		UDRV_OP_READ(0, E1000_ICR, 4),
		UDRV_OP_TEST_NOT(UINT64_MAX, 0), /* not ours */
		UDRV_OP_WRITE(0, E1000_IMC, 4, E1000_IRQ_ALL),
	};
	/* The TAP interface's loop has one for what is rare. */
	unsigned int count = nic->zero_copy ? nic->queue_count : 2;
	int vectors;

	/*
	 * INTx in a program of three accesses, instead of four of config space for each interrupt. It
	 * is for trusted drivers only; others do without.
	 */
	nic->acked = nic->zero_copy && irq == UDRV_IRQ_INTX &&
		     !udrv_prog_set(nic->device, UDRV_PROG_ACK, acknowledge, 3);
	vectors = udrv_irq_setup(nic->device, irq, irq == UDRV_IRQ_MSIX ? count : 1);

	return vectors < 0 ? vectors : 0;
}

int e1000_irq_start(struct e1000 *nic, unsigned int irq)
{
	static const char *const names[] = { "none", "INTx", "MSI", "MSI-X" };
	unsigned int first = irq == UDRV_IRQ_NONE ? nic->model->irq : irq;
	unsigned int last = irq == UDRV_IRQ_NONE ? UDRV_IRQ_INTX : irq;
	unsigned int other = nic->zero_copy ? VECTOR_QUEUE : VECTOR_OTHER;
	uint32_t ivar = E1000_IVAR_OTHER(other), eiac = 0;
	int error, flags;

	/* The best first, unless one was asked for. */
	for (nic->irq = first; (error = setup(nic, nic->irq)) && nic->irq > last; nic->irq--)
		;
	if (error)
		return driver_fail(error, "set up %s: %s", names[nic->irq], udrv_strerror(error));
	driver_say("interrupts by %s", names[nic->irq]);

	if (nic->irq == UDRV_IRQ_MSIX) {
		for (unsigned int i = 0; i < nic->queue_count; i++) {
			ivar |= E1000_IVAR_RXQ(i, i) | E1000_IVAR_TXQ(i, i);
			eiac |= E1000_IRQ_RXQ(i) | E1000_IRQ_TXQ(i);
			e1000_write(nic, E1000_EITR(i), INTERVAL);
		}
		e1000_write(nic, E1000_IVAR, ivar);
		e1000_write(nic, E1000_EIAC, eiac);
		e1000_write(nic, E1000_CTRL_EXT,
			    e1000_read(nic, E1000_CTRL_EXT) | E1000_CTRL_EXT_PBA_CLR);
		if (other == VECTOR_OTHER)
			e1000_write(nic, E1000_EITR(VECTOR_OTHER), INTERVAL);
	} else {
		if (nic->model->device == E1000_DEVICE_82574L) {
			e1000_write(nic, E1000_EIAC, 0);
			e1000_write(nic, E1000_CTRL_EXT,
				    e1000_read(nic, E1000_CTRL_EXT) & ~E1000_CTRL_EXT_PBA_CLR);
		}
		e1000_write(nic, E1000_ITR, INTERVAL);
	}
	/* The delay timers [13.4.30, 13.4.31] are superseded by ITR. */
	e1000_write(nic, E1000_RDTR, 0);
	e1000_write(nic, E1000_RADV, 0);
	e1000_write(nic, E1000_TIDV, 0);
	e1000_write(nic, E1000_TADV, 0);

	/* e1000_irq_take() must not block: the loop waits in poll(), for more than this card. */
	flags = fcntl(udrv_fd(nic->device), F_GETFL);
	if (flags < 0 || fcntl(udrv_fd(nic->device), F_SETFL, flags | O_NONBLOCK) < 0)
		return driver_fail(-errno, "set O_NONBLOCK: %s", strerror(errno));
	return 0;
}

void e1000_irq_arm(struct e1000_queue *q, bool transmit)
{
	struct e1000 *nic = q->nic;
	uint32_t causes = receive_causes(q);

	if (transmit)
		causes |= nic->irq == UDRV_IRQ_MSIX ? E1000_IRQ_TXQ(q->index) : E1000_IRQ_TXDW;
	if (q->irq_causes & ~causes)
		e1000_write(nic, E1000_IMC, q->irq_causes & ~causes);
	/*
	 * Messages are masked from one sleep to the next: with MSI-X by themselves (EIAC), with MSI
	 * by e1000_irq_take(). INTx is masked by the kernel and armed by the wait.
	 */
	if (nic->irq != UDRV_IRQ_INTX || nic->acked || causes != q->irq_causes)
		e1000_write(nic, E1000_IMS, causes);
	q->irq_causes = causes;
}

int e1000_irq_take(struct e1000 *nic)
{
	struct udrv_irq_record records[2];
	int count = udrv_irq_wait(nic->device, records, 2, -1);
	bool link = false;

	if (count <= 0)
		return count == -EINTR ? 0 : count;
	for (int i = 0; i < count; i++) {
		nic->queues[0].interrupts += records[i].count;
		link |= records[i].vector == VECTOR_OTHER;
	}
	if (nic->irq == UDRV_IRQ_MSI)
		e1000_write(nic, E1000_IMC, nic->queues[0].irq_causes);
	if (nic->irq != UDRV_IRQ_MSIX)
		return !!(e1000_read(nic, E1000_ICR) & E1000_IRQ_LSC);
	/* Reading ICR would clear the queue's causes too [82574: 10.2.4]: write what vector 1 is
	 * for. */
	if (link)
		e1000_write(nic, E1000_ICR, OTHER_CAUSES);
	return link;
}

bool e1000_irq_taken(struct e1000_queue *q, uint32_t count, uint32_t causes)
{
	struct e1000 *nic = q->nic;

	q->interrupts += count;
	if (nic->acked)
		return causes & E1000_IRQ_LSC;
	if (q->index)
		return false;
	/* Reading ICR would take the other queue's interrupt away: the status is read instead. */
	if (nic->queue_count > 1) {
		e1000_write(nic, E1000_ICR, OTHER_CAUSES);
		return true;
	}
	if (nic->irq == UDRV_IRQ_MSI)
		e1000_write(nic, E1000_IMC, nic->queues[0].irq_causes);
	/* The rings are looked at after this: whatever it clears is not missed. */
	causes = e1000_read(nic, E1000_ICR);
	/* Those that MSI-X does not clear by itself (EIAC) would interrupt for ever. */
	if (nic->irq == UDRV_IRQ_MSIX && causes & OTHER_CAUSES)
		e1000_write(nic, E1000_ICR, OTHER_CAUSES);
	return causes & E1000_IRQ_LSC;
}
