/* SPDX-License-Identifier: MIT */
/*
 * edu_regs.h - registers of QEMU's educational PCI device
 *
 * As described in QEMU's docs/specs/edu (BAR 0, 1 MiB). Below 0x80 an access is 4 bytes wide, from
 * there on 4 or 8.
 */
#ifndef EDU_REGS_H
#define EDU_REGS_H

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8

#define EDU_ID 0x00	     /* RO: 0xRRrr00ed, major and minor version */
#define EDU_LIVENESS 0x04    /* RW: reads back inverted */
#define EDU_FACTORIAL 0x08   /* RW: write n, read n! (32 bits) once STATUS says that it is done */
#define EDU_STATUS 0x20	     /* RW */
#define EDU_IRQ_STATUS 0x24  /* RO: causes not acknowledged yet */
#define EDU_IRQ_RAISE 0x60   /* WO: sets causes, and interrupts */
#define EDU_IRQ_ACK 0x64     /* WO: clears causes */
#define EDU_DMA_SOURCE 0x80  /* RW, 64 bits */
#define EDU_DMA_DEST 0x88    /* RW, 64 bits */
#define EDU_DMA_COUNT 0x90   /* RW, 64 bits */
#define EDU_DMA_COMMAND 0x98 /* RW, 64 bits */

#define EDU_ID_MASK 0x0000ffffu
#define EDU_ID_VALUE 0x000000edu

#define EDU_STATUS_COMPUTING 0x01u /* RO */
#define EDU_STATUS_IRQ 0x80u	   /* interrupt when the factorial is done */

#define EDU_IRQ_FACTORIAL 0x001u /* causes that the device sets itself */
#define EDU_IRQ_DMA 0x100u

#define EDU_DMA_START 0x1u    /* reads 1 until the transfer is done, about 100 ms later */
#define EDU_DMA_FROM_EDU 0x2u /* else from memory into the device */
#define EDU_DMA_IRQ 0x4u      /* interrupt when it is done */

#define EDU_BUFFER 0x40000u /* the device's side of a transfer */
/*
 * Its buffer is one byte longer, but QEMU up to 9.0 ends itself where a transfer reaches the last
 * byte.
 */
#define EDU_BUFFER_BYTES 4095u

#endif /* EDU_REGS_H */
