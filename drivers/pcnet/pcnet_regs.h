/* SPDX-License-Identifier: MIT */
/*
 * pcnet_regs.h - registers and memory of AMD's PCnet-PCI II and PCnet-FAST III
 *
 * As described in the data sheets of the Am79C970A (publication 19436) and the Am79C973/975
 * (21510). Their chapters of registers go by the names used here, in brackets; numbers differ from
 * one to the other. Everything is in 32-bit I/O mode (DWIO) and software style 2 (SWSTYLE):
 * accesses and descriptors of 32 bits.
 */
#ifndef PCNET_REGS_H
#define PCNET_REGS_H

#include <stdint.h>

#define PCNET_VENDOR 0x1022
#define PCNET_DEVICE 0x2000

/* [I/O Resources]: 32 bytes, in BAR 0 as ports and in BAR 1 as memory */
#define PCNET_BAR 1
#define PCNET_APROM 0x00   /* 16 bytes; the first six are the address */
#define PCNET_RDP 0x10	   /* the CSR that RAP selects; a 32-bit write switches to DWIO */
#define PCNET_RESET16 0x14 /* before DWIO: a read resets */
#define PCNET_RAP 0x14
#define PCNET_RESET 0x18 /* a read resets */
#define PCNET_BDP 0x1c	 /* the BCR that RAP selects */

/* [CSR0: Controller Status and Control Register] */
#define CSR0_INIT (1u << 0)
#define CSR0_STRT (1u << 1)
#define CSR0_STOP (1u << 2) /* and IENA goes off */
#define CSR0_TDMD (1u << 3) /* look at the transmit ring now */
#define CSR0_IENA (1u << 6) /* may interrupt */
#define CSR0_INTR (1u << 7) /* RO: has a cause to */
#define CSR0_IDON (1u << 8) /* initialization is done */
#define CSR0_TINT (1u << 9)
#define CSR0_RINT (1u << 10)
#define CSR0_MERR (1u << 11) /* a bus-master access failed */
#define CSR0_MISS (1u << 12) /* a frame, and no descriptor for it */
#define CSR0_CAUSES 0x7f00u  /* cleared by writing 1; while IENA is off they are kept */

#define CSR_IADR_LOW 1 /* [CSR1, CSR2: Initialization Block Address] */
#define CSR_IADR_HIGH 2

#define CSR_MASKS 3 /* [CSR3: Interrupt Masks and Deferral Control] */
#define CSR3_IDONM (1u << 8)
#define CSR3_BABLM (1u << 14)
#define CSR3_DXSUFLO (1u << 6) /* the transmitter survives an underflow */

#define CSR_FEATURES 4	      /* [CSR4: Test and Features Control] */
#define CSR4_MASKS 0x0115u    /* interrupts that nobody needs, as after a reset */
#define CSR4_DPOLL (1u << 12) /* the transmit ring is looked at on TDMD only */

#define CSR_EXTENDED 5	    /* [CSR5: Extended Control and Interrupt] */
#define CSR5_SPND (1u << 0) /* reads 1 once it is suspended */

#define CSR_LADRF 8 /* [CSR8 to CSR11: Logical Address Filter], 16 bits in each */
#define CSR_PADR 12 /* [CSR12 to CSR14: Physical Address Register], likewise */
#define CSR_MODE 15 /* [CSR15: Mode] */
#define CSR15_PROM (1u << 15)

#define BCR_SWS 20 /* [BCR20: Software Style] */
#define BCR20_SWSTYLE_2 2u

/* [Initialization Block], with 32-bit software structures */
struct pcnet_init {
	uint32_t mode; /* as CSR15; bits 23:20 and 31:28: log2 of the rings' lengths */
	uint32_t padr[2];
	uint32_t ladrf[2];
	uint32_t rdra, tdra; /* where the rings are, multiples of 16 */
};
#define PCNET_INIT_RINGS(log2) ((log2) << 20 | (log2) << 28)

/* [Receive Descriptors, Transmit Descriptors], SWSTYLE 2 */
struct pcnet_desc {
	uint32_t address; /* RMD0, TMD0 */
	uint32_t status;  /* RMD1, TMD1: the controller's while OWN is set */
	uint32_t more;	  /* RMD2: bits 11:0 are the frame's length, with its CRC; TMD2: errors */
	uint32_t user;
};

#define MD1_OWN (1u << 31)
#define MD1_ERR (1u << 30)
#define MD1_STP (1u << 25) /* a frame begins here */
#define MD1_ENP (1u << 24) /* and ends here */
/* BCNT, two's complement in twelve bits, and four ones */
#define MD1_BYTES(n) (0xf000u | (-(uint32_t)(n)&0xfffu))
#define MD1_BYTES_MAX 4096u
#define RMD2_LENGTH 0xfffu

#endif /* PCNET_REGS_H */
