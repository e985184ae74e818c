/* SPDX-License-Identifier: MIT */
/*
 * nvme_regs.h - registers, commands and data structures of NVM Express
 *
 * Numbers in brackets are sections of the NVM Express Base Specification, revision 1.4, which
 * nvmexpress.org publishes. All of it is little-endian, in memory, too.
 */
#ifndef NVME_REGS_H
#define NVME_REGS_H

#include <stdint.h>

#define NVME_CLASS 0x010802u
#define NVME_PAGE 4096u /* CC.MPS 0 */
#define NVME_PAGES(bytes) (((bytes) + NVME_PAGE - 1) & ~(size_t)(NVME_PAGE - 1))

/* ---- registers, in BAR 0 [3.1] ------------------------------------------------------- */

#define NVME_CAP 0x00u
#define NVME_CAP_MQES(cap) ((uint32_t)((cap) & 0xffff))		    /* most entries, less one */
#define NVME_CAP_TO_MS(cap) ((uint32_t)((cap) >> 24 & 0xff) * 500)  /* to become ready, and not */
#define NVME_CAP_DSTRD(cap) ((uint32_t)((cap) >> 32 & 0xf))	    /* of doorbells: 4 << this */
#define NVME_CAP_NVM(cap) ((cap) >> 37 & 1)			    /* the NVM command set */
#define NVME_CAP_MPSMIN(cap) ((uint32_t)((cap) >> 48 & 0xf))
#define NVME_VS 0x08u
#define NVME_CC 0x14u
#define NVME_CC_EN (1u << 0)
#define NVME_CC_SHN_NORMAL (1u << 14)
#define NVME_CC_SHN_MASK (3u << 14)
#define NVME_CC_ENTRIES (6u << 16 | 4u << 20) /* of 64 and of 16 bytes */
#define NVME_CSTS 0x1cu
#define NVME_CSTS_RDY (1u << 0)
#define NVME_CSTS_CFS (1u << 1) /* it has failed: only a reset helps */
#define NVME_CSTS_SHST_MASK (3u << 2)
#define NVME_CSTS_SHST_DONE (2u << 2)
#define NVME_AQA 0x24u
#define NVME_ASQ 0x28u
#define NVME_ACQ 0x30u
#define NVME_DOORBELLS 0x1000u

/* ---- commands [4.2] ------------------------------------------------------------------- */

struct nvme_command {
	uint8_t opcode;
	uint8_t flags; /* 0: PRPs, nothing fused */
	uint16_t id;
	uint32_t nsid;
	uint64_t reserved;
	uint64_t metadata;
	uint64_t prp1;
	uint64_t prp2;
	uint32_t cdw10;
	uint32_t cdw11;
	uint32_t cdw12;
	uint32_t cdw13;
	uint32_t cdw14;
	uint32_t cdw15;
};

/* [4.6] */
struct nvme_completion {
	uint32_t result;
	uint32_t reserved;
	uint16_t sq_head;
	uint16_t sq_id;
	uint16_t id;
	uint16_t status; /* bit 0: the phase */
};

#define NVME_STATUS_PHASE 0x0001u
#define NVME_STATUS(status) ((status) >> 1 & 0x7ff) /* type and code */
#define NVME_STATUS_DNR 0x8000u			     /* it would fail again */

/* type << 8 | code [4.6.1.2] */
#define NVME_SC_OK 0x000u
#define NVME_SC_INVALID_OPCODE 0x001u
#define NVME_SC_INVALID_FIELD 0x002u
#define NVME_SC_ABORT_REQUESTED 0x007u
#define NVME_SC_CAPACITY 0x081u
#define NVME_SC_GUARD 0x282u
#define NVME_SC_APP_TAG 0x283u
#define NVME_SC_REF_TAG 0x284u
#define NVME_SC_UNRECOVERED_READ 0x281u
#define NVME_SC_DEALLOCATED 0x287u

/* Admin commands [5] */
#define NVME_ADMIN_CREATE_SQ 0x01u
#define NVME_ADMIN_GET_LOG 0x02u
#define NVME_ADMIN_CREATE_CQ 0x05u
#define NVME_ADMIN_IDENTIFY 0x06u
#define NVME_ADMIN_ABORT 0x08u
#define NVME_ADMIN_SET_FEATURES 0x09u

#define NVME_QUEUE_CONTIGUOUS 1u
#define NVME_QUEUE_INTERRUPTS 2u
#define NVME_FEATURE_QUEUES 0x07u
#define NVME_CNS_NAMESPACE 0u
#define NVME_CNS_CONTROLLER 1u
#define NVME_CNS_ACTIVE 2u
#define NVME_LOG_SMART 2u
#define NVME_NSID_ALL 0xffffffffu

/* NVM commands [6] */
#define NVME_FLUSH 0x00u
#define NVME_WRITE 0x01u
#define NVME_READ 0x02u
#define NVME_WRITE_ZEROES 0x08u
#define NVME_DATASET 0x09u /* management: of discarding */
#define NVME_FUA (1u << 30)	      /* in cdw12 */
#define NVME_DEALLOCATE (1u << 25)    /* in cdw12 of WRITE_ZEROES */
#define NVME_DATASET_DISCARD (1u << 2) /* in cdw11 */
#define NVME_BLOCKS_MAX 0x10000u      /* of one command but DATASET */

/* [6.7.1.1] */
struct nvme_range {
	uint32_t attributes;
	uint32_t blocks;
	uint64_t first;
};

/* ---- what it says of itself ------------------------------------------------------------ */

/* [5.15.2.2] */
struct nvme_controller {
	uint16_t vid, ssvid;
	char serial[20], model[40], firmware[8];
	uint8_t rab, ieee[3], cmic;
	uint8_t mdts; /* longest transfer: pages of MPSMIN << this; 0: any */
	uint8_t skipped1[178];
	uint16_t oacs;
	uint8_t acl, skipped2[257];
	uint32_t nn; /* highest namespace */
	uint16_t oncs;
	uint16_t fuses;
	uint8_t fna;
	uint8_t vwc; /* bit 0: it has a write cache */
	uint8_t skipped3[3570];
};
#define NVME_ONCS_DATASET (1u << 2)
#define NVME_ONCS_WRITE_ZEROES (1u << 3)
#define NVME_VWC_PRESENT 1u

/* [5.15.2.1] */
struct nvme_namespace {
	uint64_t blocks, capacity, used;
	uint8_t nsfeat, nlbaf, flbas, mc, dpc, dps, nmic, rescap, fpi;
	uint8_t dlfeat; /* bits 2:0: what deallocated blocks read as; bit 3: zeroes by deallocation */
	uint8_t skipped1[70];
	uint8_t nguid[16], eui64[8];
	struct {
		uint16_t metadata_bytes;
		uint8_t data_shift;
		uint8_t performance;
	} formats[16];
	uint8_t skipped2[3904];
};
#define NVME_DLFEAT_ZEROES_MASK 0xfu
#define NVME_DLFEAT_ZEROES 0x9u /* they read as zero, and WRITE_ZEROES may do it so */

/* [5.14.1.2] */
struct nvme_smart {
	uint8_t critical;
	uint8_t temperature_kelvin[2];
	uint8_t spare_percent, spare_threshold, used_percent;
	uint8_t skipped1[26];
	uint8_t units_read[16], units_written[16]; /* of 512,000 bytes */
	uint8_t reads[16], writes[16], busy_minutes[16], power_cycles[16], hours[16];
	uint8_t unsafe_shutdowns[16], media_errors[16], log_entries[16];
	uint8_t skipped2[320];
};

_Static_assert(sizeof(struct nvme_command) == 64, "section 4.2");
_Static_assert(sizeof(struct nvme_completion) == 16, "section 4.6");
_Static_assert(sizeof(struct nvme_controller) == 4096, "section 5.15.2.2");
_Static_assert(sizeof(struct nvme_namespace) == 4096, "section 5.15.2.1");
_Static_assert(sizeof(struct nvme_smart) == 512, "section 5.14.1.2");

#endif /* NVME_REGS_H */
