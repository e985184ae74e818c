/* SPDX-License-Identifier: MIT */
/*
 * e1000_regs.h - registers and descriptors of the 82540EM and the 82574L
 *
 * Names are the data sheets'. Numbers in brackets are sections: plain ones of the "PCI/PCI-X Family
 * of Gigabit Ethernet Controllers Software Developer's Manual" (8254x SDM, revision 4.0), those
 * with "82574:" of the "82574 GbE Controller Family Datasheet". Only what the driver uses is here.
 * All registers are 32 bits wide, in BAR 0; descriptors are little-endian, like the registers.
 */
#ifndef E1000_REGS_H
#define E1000_REGS_H

#include <stdint.h>

#define E1000_VENDOR 0x8086
#define E1000_DEVICE_82540EM 0x100e
#define E1000_DEVICE_82574L 0x10d3

/* Device control [13.4.1] */
#define E1000_CTRL 0x0000
#define E1000_CTRL_FD (1u << 0)	     /* full duplex */
#define E1000_CTRL_LRST (1u << 3)    /* link reset (fibre) */
#define E1000_CTRL_ASDE (1u << 5)    /* detect the speed automatically */
#define E1000_CTRL_SLU (1u << 6)     /* set link up: the MAC follows the PHY */
#define E1000_CTRL_ILOS (1u << 7)    /* invert loss of signal */
#define E1000_CTRL_FRCSPD (1u << 11) /* force speed */
#define E1000_CTRL_FRCDPX (1u << 12) /* force duplex */
#define E1000_CTRL_RST (1u << 26)    /* reset; clears itself */
#define E1000_CTRL_VME (1u << 30)    /* strip and insert VLAN tags [9.2; 82574: 7.5] */
#define E1000_CTRL_PHY_RST (1u << 31)

/* Device status [13.4.2] */
#define E1000_STATUS 0x0008
#define E1000_STATUS_FD (1u << 0)
#define E1000_STATUS_LU (1u << 1) /* link up */
#define E1000_STATUS_SPEED_SHIFT 6
#define E1000_STATUS_SPEED_MASK (3u << 6) /* 10, 100, 1000, 1000 Mbit/s */

/* EEPROM read [13.4.4; 82574: 10.2.2]; where "done" and the address are: struct e1000_model */
#define E1000_EERD 0x0014
#define E1000_EERD_START (1u << 0)
#define E1000_EERD_DATA_SHIFT 16
#define E1000_EEPROM_WORDS 0x40 /* words that the checksum covers, itself included */
#define E1000_EEPROM_SUM 0xbaba /* their sum [5.6] */

/* 82574L: who may use EEPROM and PHY, its firmware or the driver [82574: 10.2.2] */
#define E1000_EXTCNF_CTRL 0x0f00
#define E1000_EXTCNF_CTRL_SW_OWNER (1u << 5)

/* Extended device control, used on the 82574L only [82574: 10.2.2] */
#define E1000_CTRL_EXT 0x0018
#define E1000_CTRL_EXT_PBA_CLR (1u << 31) /* MSI-X: unmasking a cause clears its pending bit */

/* PHY access [13.4.7]; the PHY inside is number 1 */
#define E1000_MDIC 0x0020
#define E1000_MDIC_REG_SHIFT 16
#define E1000_MDIC_PHY_1 (1u << 21)
#define E1000_MDIC_OP_WRITE (1u << 26)
#define E1000_MDIC_OP_READ (2u << 26)
#define E1000_MDIC_READY (1u << 28)
#define E1000_MDIC_ERROR (1u << 30)

/* PHY registers [13.4.7.1; IEEE 802.3 clause 22] */
#define PHY_CONTROL 0
#define PHY_CONTROL_RESTART (1u << 9) /* restart auto-negotiation */
#define PHY_CONTROL_POWER_DOWN (1u << 11)
#define PHY_CONTROL_AUTONEG (1u << 12)
#define PHY_STATUS 1
#define PHY_STATUS_LINK (1u << 2)
#define PHY_STATUS_AUTONEG_DONE (1u << 5)
#define PHY_ID1 2
#define PHY_ID2 3

/* VLAN Ether type [13.4.11]: what a tag begins with */
#define E1000_VET 0x0038
#define E1000_VET_8021Q 0x8100u

/* Interrupts [13.4.17 to 13.4.21; 82574: 7.4 and 10.2.4] */
#define E1000_ICR 0x00c0  /* causes; reading clears them, or writing 1 */
#define E1000_ITR 0x00c4  /* least time between two interrupts, in 256 ns */
#define E1000_IMS 0x00d0  /* writing 1 unmasks a cause */
#define E1000_IMC 0x00d8  /* writing 1 masks it */
#define E1000_EIAC 0x00dc /* MSI-X: causes cleared and masked by their own message */
#define E1000_IVAR 0x00e4 /* MSI-X: which vector for which cause */
#define E1000_EITR(vector) (0x00e8 + 4 * (vector)) /* as ITR, for each vector */

#define E1000_IRQ_TXDW (1u << 0)   /* transmit descriptor written back */
#define E1000_IRQ_LSC (1u << 2)	   /* link status changed */
#define E1000_IRQ_RXDMT0 (1u << 4) /* few receive descriptors left */
#define E1000_IRQ_RXO (1u << 6)	   /* receiver overrun */
#define E1000_IRQ_RXT0 (1u << 7)   /* frames received */
#define E1000_IRQ_RXQ(queue) (1u << 20 << (queue)) /* MSI-X: as RXT0, for a queue */
#define E1000_IRQ_TXQ(queue) (1u << 22 << (queue)) /* MSI-X: as TXDW */
#define E1000_IRQ_OTHER (1u << 24) /* MSI-X: LSC, RXO and other rare ones */
#define E1000_IRQ_ALL 0xffffffffu

#define E1000_IVAR_VALID 0x8u
#define E1000_IVAR_RXQ(queue, vector) ((E1000_IVAR_VALID | (vector)) << 4 * (queue))
#define E1000_IVAR_TXQ(queue, vector) ((E1000_IVAR_VALID | (vector)) << (8 + 4 * (queue)))
#define E1000_IVAR_OTHER(vector) ((E1000_IVAR_VALID | (vector)) << 16)

/* Receive [13.4.22, 13.4.25 to 13.4.31] */
#define E1000_RCTL 0x0100
#define E1000_RCTL_EN (1u << 1)
#define E1000_RCTL_UPE (1u << 3) /* every unicast address */
#define E1000_RCTL_MPE (1u << 4) /* every multicast address */
#define E1000_RCTL_LPE (1u << 5) /* frames longer than 1522 bytes */
#define E1000_RCTL_RDMTS_EIGHTH (2u << 8)
#define E1000_RCTL_MO_47_36 (0u << 12) /* these bits of the address select in the MTA */
#define E1000_RCTL_BAM (1u << 15)      /* broadcast */
#define E1000_RCTL_BSIZE_2048 (0u << 16)
#define E1000_RCTL_BSIZE_1024 (1u << 16)
#define E1000_RCTL_SECRC (1u << 26) /* strip the Ethernet CRC */
#define E1000_RDBAL(queue) (0x2800 + 0x100 * (queue)) /* the 82540EM has queue 0 only */
#define E1000_RDBAH(queue) (0x2804 + 0x100 * (queue))
#define E1000_RDLEN(queue) (0x2808 + 0x100 * (queue))
#define E1000_RDH(queue) (0x2810 + 0x100 * (queue))
#define E1000_RDT(queue) (0x2818 + 0x100 * (queue))
#define E1000_RDTR 0x2820
#define E1000_RADV 0x282c
#define E1000_RXCSUM 0x5000 /* [3.2.9] */
#define E1000_RXCSUM_IPOFL (1u << 8)
#define E1000_RXCSUM_TUOFL (1u << 9)
#define E1000_RXCSUM_PCSD (1u << 13) /* 82574L: the hash in place of a checksum; RSS wants it */
#define E1000_RFCTL 0x5008 /* 82574L [82574: 10.2.5] */
#define E1000_RFCTL_ISCSI_DIS (1u << 0)
#define E1000_RFCTL_NFSW_DIS (1u << 6)
#define E1000_RFCTL_NFSR_DIS (1u << 7)
#define E1000_RFCTL_ACK_DIS (1u << 12) /* no interrupt for TCP acknowledgements alone */
#define E1000_RFCTL_EXSTEN (1u << 15)  /* extended receive descriptors; RSS wants them */

/* Which queue a frame goes to: a hash of addresses and ports chooses it (RSS) [82574: 10.2.5] */
#define E1000_MRQC 0x5818
#define E1000_MRQC_RSS (1u << 0)
#define E1000_MRQC_TCP_IPV4 (1u << 16)
#define E1000_MRQC_IPV4 (1u << 17)
#define E1000_MRQC_TCP_IPV6 (1u << 18)
#define E1000_MRQC_IPV6 (1u << 20)
#define E1000_RETA(n) (0x5c00 + 4 * (n)) /* 128 bytes, chosen by the hash */
#define E1000_RETA_WORDS 32
#define E1000_RETA_QUEUE_SHIFT 7 /* in each byte */
#define E1000_RSSRK(n) (0x5c80 + 4 * (n)) /* the key */
#define E1000_RSSRK_WORDS 10

/* Address filters [13.5.1 to 13.5.3] */
#define E1000_MTA(n) (0x5200 + 4 * (n)) /* 4096 bits */
#define E1000_MTA_WORDS 128
#define E1000_RAL(n) (0x5400 + 8 * (n))
#define E1000_RAH(n) (0x5404 + 8 * (n))
#define E1000_RAH_AV (1u << 31) /* address valid */
#define E1000_RA_ENTRIES 16

/* Transmit [13.4.33 and following] */
#define E1000_TCTL 0x0400
#define E1000_TCTL_EN (1u << 1)
#define E1000_TCTL_PSP (1u << 3) /* pad short packets */
#define E1000_TCTL_CT_SHIFT 4	 /* collision threshold */
#define E1000_TCTL_COLD_SHIFT 12 /* collision distance */
#define E1000_TIPG 0x0410
#define E1000_TDBAL(queue) (0x3800 + 0x100 * (queue))
#define E1000_TDBAH(queue) (0x3804 + 0x100 * (queue))
#define E1000_TDLEN(queue) (0x3808 + 0x100 * (queue))
#define E1000_TDH(queue) (0x3810 + 0x100 * (queue))
#define E1000_TDT(queue) (0x3818 + 0x100 * (queue))
#define E1000_TIDV 0x3820
#define E1000_TXDCTL(queue) (0x3828 + 0x100 * (queue))
#define E1000_TXDCTL_82574 (1u << 22 | 1u << 24) /* must be one; thresholds count descriptors */
#define E1000_TADV 0x382c

/* Statistics; reading clears them [13.7] */
#define E1000_CRCERRS 0x4000
#define E1000_MPC 0x4010 /* missed: no room in the card */
#define E1000_RLEC 0x4040
#define E1000_GPRC 0x4074
#define E1000_BPRC 0x4078
#define E1000_MPRC 0x407c
#define E1000_GPTC 0x4080
#define E1000_GORCL 0x4088
#define E1000_GORCH 0x408c
#define E1000_GOTCL 0x4090
#define E1000_GOTCH 0x4094
#define E1000_RNBC 0x40a0 /* no buffer in memory */
#define E1000_RUC 0x40a4
#define E1000_ROC 0x40ac

/* Receive descriptor [3.2.3; 82574: 7.1.4, "legacy" and "extended"] */
struct e1000_rx_legacy {
	uint64_t address;
	uint16_t length;
	uint16_t checksum;
	uint8_t status;
	uint8_t errors;
	uint16_t special; /* with VP: the tag */
};

/* As the card writes it; for the card it is an address and 64 bits of 0. */
struct e1000_rx_extended {
	uint32_t mrq;
	uint32_t hash;
	uint32_t status; /* bits as in legacy: status from bit 0 on, errors from bit 24 on */
	uint16_t length;
	uint16_t vlan;
};

union e1000_rx_desc {
	struct e1000_rx_legacy legacy;
	struct e1000_rx_extended extended;
	struct {
		uint64_t address, zero;
	} empty;
};

#define E1000_RXD_DD (1u << 0)	  /* done */
#define E1000_RXD_EOP (1u << 1)	  /* end of packet */
#define E1000_RXD_IXSM (1u << 2)  /* ignore what the checksum bits say */
#define E1000_RXD_VP (1u << 3)	  /* a VLAN tag was taken out [9.2.2] */
#define E1000_RXD_TCPCS (1u << 5) /* TCP or UDP checksum was looked at */
#define E1000_RXD_TCPE (1u << 5)  /* errors: it is wrong */
#define E1000_RXD_RXE (1u << 7)	  /* errors: receive data error */
#define E1000_RXD_FRAME_ERRORS \
	(E1000_RXD_RXE | 0x17u) /* CRC, symbol, sequence, carrier extension */

/* Transmit descriptors [3.3.6 context, 3.3.7 data]: 16 bytes each */
struct e1000_tx_context {
	uint8_t ipcss; /* IP header: first byte, checksum's place, last byte */
	uint8_t ipcso;
	uint16_t ipcse;
	uint8_t tucss; /* the same for TCP or UDP; last byte 0: to the end */
	uint8_t tucso;
	uint16_t tucse;
	uint32_t command; /* low 20 bits: length of the payload */
	uint8_t status;
	uint8_t header_length;
	uint16_t mss;
};

struct e1000_tx_data {
	uint64_t address;
	uint32_t command; /* low 20 bits: length of this piece */
	uint8_t status;
	uint8_t options;
	uint16_t special; /* with VLE: the tag */
};

union e1000_tx_desc {
	struct e1000_tx_context context;
	struct e1000_tx_data data;
};

#define E1000_TXD_DATA (1u << 20) /* a data descriptor; context: 0 */
#define E1000_TXD_EOP (1u << 24)  /* data: end of packet */
#define E1000_TXD_TCP (1u << 24)  /* context: TCP, not UDP */
#define E1000_TXD_IFCS (1u << 25) /* data: insert the Ethernet CRC */
#define E1000_TXD_IPV4 (1u << 25) /* context: IPv4, not IPv6 */
#define E1000_TXD_TSE (1u << 26)  /* TCP segmentation */
#define E1000_TXD_RS (1u << 27)	  /* report status: set DD when done */
#define E1000_TXD_DEXT (1u << 29) /* not the legacy format */
#define E1000_TXD_VLE (1u << 30)  /* data: insert a VLAN tag [9.2.1] */
#define E1000_TXD_DD (1u << 0)	  /* status */
#define E1000_TXD_IXSM (1u << 0)  /* options: insert the IP checksum */
#define E1000_TXD_TXSM (1u << 1)  /* options: insert the TCP or UDP checksum */

#endif /* E1000_REGS_H */
