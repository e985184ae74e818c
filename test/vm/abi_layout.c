// SPDX-License-Identifier: MIT
/*
 * abi_layout.c - the layout of every struct of the ABI, nailed down
 *
 * Compiled for 32 and for 64 bits, never linked: what does not hold is a compile error. The numbers
 * are written out here, and not computed, so that a change of the header cannot pass unseen.
 */
#include <stddef.h>
#include <udrv/blk.h>
#include <udrv/net.h>
#include <udrv/ring.h>
#include <udrv/udrv.h>

#define SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type " has changed its size")
#define AT(type, member, bytes) \
	_Static_assert(offsetof(struct type, member) == (bytes), #type "." #member " has moved")
#define CALL(name, number) _Static_assert((name) == (0xBE00 | (number)), #name " has changed")

CALL(UDRV_IOC_DEVICE_INFO, 0x00);
CALL(UDRV_IOC_DEVICE_BUS_MASTER, 0x01);
CALL(UDRV_IOC_DEVICE_RESET, 0x02);
CALL(UDRV_IOC_REGION_INFO, 0x03);
CALL(UDRV_IOC_IRQ_SETUP, 0x10);
CALL(UDRV_IOC_IRQ_INFO, 0x11);
CALL(UDRV_IOC_IRQ_MASK, 0x12);
CALL(UDRV_IOC_IRQ_UNMASK, 0x13);
CALL(UDRV_IOC_IRQ_ATTACH, 0x14);
CALL(UDRV_IOC_IRQ_DETACH, 0x15);
CALL(UDRV_IOC_PROG_SET, 0x18);
CALL(UDRV_IOC_PROG_RUN, 0x19);
CALL(UDRV_IOC_DMA_MASK, 0x20);
CALL(UDRV_IOC_DMA_ALLOC, 0x21);
CALL(UDRV_IOC_DMA_FREE, 0x22);
CALL(UDRV_IOC_DMA_MAP, 0x23);
CALL(UDRV_IOC_DMA_UNMAP, 0x24);
CALL(UDRV_IOC_DMA_SYNC, 0x25);
CALL(UDRV_IOC_NET_ATTACH, 0x40);
CALL(UDRV_IOC_NET_TURN, 0x41);
CALL(UDRV_IOC_NET_STATE, 0x42);
CALL(UDRV_IOC_NET_LINK, 0x43);
CALL(UDRV_IOC_NET_VECTOR, 0x44);
CALL(UDRV_IOC_NET_KICK, 0x45);
CALL(UDRV_IOC_BLK_ATTACH, 0x60);
CALL(UDRV_IOC_BLK_DISK_ADD, 0x61);
CALL(UDRV_IOC_BLK_DISK_RESIZE, 0x62);
CALL(UDRV_IOC_BLK_DISK_REMOVE, 0x63);
CALL(UDRV_IOC_BLK_TURN, 0x64);
CALL(UDRV_IOC_BLK_VECTOR, 0x65);
CALL(UDRV_IOC_BLK_KICK, 0x66);

SIZE(udrv_ioc_device_info, 72);
AT(udrv_ioc_device_info, features, 8);
AT(udrv_ioc_device_info, state, 16);
AT(udrv_ioc_device_info, domain, 20);
AT(udrv_ioc_device_info, bus, 24);
AT(udrv_ioc_device_info, slot, 25);
AT(udrv_ioc_device_info, function, 26);
AT(udrv_ioc_device_info, revision, 27);
AT(udrv_ioc_device_info, vendor, 28);
AT(udrv_ioc_device_info, device, 30);
AT(udrv_ioc_device_info, subsystem_vendor, 32);
AT(udrv_ioc_device_info, subsystem_device, 34);
AT(udrv_ioc_device_info, class_code, 36);
AT(udrv_ioc_device_info, region_count, 40);
AT(udrv_ioc_device_info, intx_count, 44);
AT(udrv_ioc_device_info, msi_count, 48);
AT(udrv_ioc_device_info, msix_count, 52);
AT(udrv_ioc_device_info, dma_mask_bits, 56);
AT(udrv_ioc_device_info, iommu_group, 60);
AT(udrv_ioc_device_info, numa_node, 64);
AT(udrv_ioc_device_info, reserved, 68);

SIZE(udrv_ioc_device_bus_master, 16);
AT(udrv_ioc_device_bus_master, enable, 8);
SIZE(udrv_ioc_device_reset, 8);

SIZE(udrv_ioc_region_info, 56);
AT(udrv_ioc_region_info, index, 8);
AT(udrv_ioc_region_info, region_flags, 12);
AT(udrv_ioc_region_info, offset, 16);
AT(udrv_ioc_region_info, offset_wc, 24);
AT(udrv_ioc_region_info, length, 32);
AT(udrv_ioc_region_info, nomap_offset, 40);
AT(udrv_ioc_region_info, nomap_length, 48);

SIZE(udrv_irq_record, 24);
AT(udrv_irq_record, vector, 0);
AT(udrv_irq_record, count, 4);
AT(udrv_irq_record, time_ns, 8);
AT(udrv_irq_record, value, 16);

SIZE(udrv_ioc_irq_setup, 16);
AT(udrv_ioc_irq_setup, kind, 8);
AT(udrv_ioc_irq_setup, count, 12);

SIZE(udrv_ioc_irq_info, 40);
AT(udrv_ioc_irq_info, vector, 8);
AT(udrv_ioc_irq_info, kind, 12);
AT(udrv_ioc_irq_info, count, 16);
AT(udrv_ioc_irq_info, state, 20);
AT(udrv_ioc_irq_info, linux_irq, 24);
AT(udrv_ioc_irq_info, pending, 28);
AT(udrv_ioc_irq_info, total, 32);

SIZE(udrv_ioc_irq_range, 16);
AT(udrv_ioc_irq_range, vector, 8);
AT(udrv_ioc_irq_range, count, 12);
SIZE(udrv_ioc_irq_attach, 16);
AT(udrv_ioc_irq_attach, vector, 8);
AT(udrv_ioc_irq_attach, fd, 12);

SIZE(udrv_prog_op, 32);
AT(udrv_prog_op, op, 0);
AT(udrv_prog_op, bar, 1);
AT(udrv_prog_op, width, 2);
AT(udrv_prog_op, flags, 3);
AT(udrv_prog_op, timeout_us, 4);
AT(udrv_prog_op, offset, 8);
AT(udrv_prog_op, mask, 16);
AT(udrv_prog_op, value, 24);
SIZE(udrv_ioc_prog_set, 24);
AT(udrv_ioc_prog_set, use, 8);
AT(udrv_ioc_prog_set, count, 12);
AT(udrv_ioc_prog_set, ops, 16);
SIZE(udrv_ioc_prog_run, 32);
AT(udrv_ioc_prog_run, count, 8);
AT(udrv_ioc_prog_run, done, 12);
AT(udrv_ioc_prog_run, ops, 16);
AT(udrv_ioc_prog_run, values, 24);

SIZE(udrv_ioc_dma_mask, 16);
AT(udrv_ioc_dma_mask, bits, 8);
SIZE(udrv_ioc_dma_alloc, 40);
AT(udrv_ioc_dma_alloc, length, 8);
AT(udrv_ioc_dma_alloc, iova, 16);
AT(udrv_ioc_dma_alloc, offset, 24);
AT(udrv_ioc_dma_alloc, handle, 32);
AT(udrv_ioc_dma_alloc, reserved, 36);
SIZE(udrv_ioc_dma_handle, 16);
AT(udrv_ioc_dma_handle, handle, 8);
SIZE(udrv_dma_segment, 16);
AT(udrv_dma_segment, iova, 0);
AT(udrv_dma_segment, length, 8);
SIZE(udrv_ioc_dma_map, 48);
AT(udrv_ioc_dma_map, user_addr, 8);
AT(udrv_ioc_dma_map, length, 16);
AT(udrv_ioc_dma_map, segments, 24);
AT(udrv_ioc_dma_map, segment_count, 32);
AT(udrv_ioc_dma_map, direction, 36);
AT(udrv_ioc_dma_map, handle, 40);
AT(udrv_ioc_dma_map, reserved, 44);
SIZE(udrv_ioc_dma_sync, 32);
AT(udrv_ioc_dma_sync, handle, 8);
AT(udrv_ioc_dma_sync, to, 12);
AT(udrv_ioc_dma_sync, offset, 16);
AT(udrv_ioc_dma_sync, length, 24);

SIZE(udrv_ring, 128);
AT(udrv_ring, produced, 0);
AT(udrv_ring, consumed, 64);
SIZE(udrv_net_tx, 32);
AT(udrv_net_tx, address, 0);
AT(udrv_net_tx, length, 8);
AT(udrv_net_tx, slot, 12);
AT(udrv_net_tx, flags, 14);
AT(udrv_net_tx, packet_length, 16);
AT(udrv_net_tx, vlan_tci, 20);
AT(udrv_net_tx, gso_size, 22);
AT(udrv_net_tx, l3_offset, 24);
AT(udrv_net_tx, l4_offset, 25);
AT(udrv_net_tx, csum_offset, 26);
AT(udrv_net_tx, header_length, 27);
SIZE(udrv_net_fill, 16);
AT(udrv_net_fill, address, 0);
AT(udrv_net_fill, length, 8);
AT(udrv_net_fill, slot, 12);
SIZE(udrv_net_rx, 16);
AT(udrv_net_rx, slot, 0);
AT(udrv_net_rx, length, 4);
AT(udrv_net_rx, flags, 8);
AT(udrv_net_rx, vlan_tci, 10);
SIZE(udrv_net_rings, 512);
AT(udrv_net_rings, tx, 0);
AT(udrv_net_rings, tx_done, 128);
AT(udrv_net_rings, fill, 256);
AT(udrv_net_rings, rx, 384);
SIZE(udrv_ioc_net_attach, 112);
AT(udrv_ioc_net_attach, device_fd, 8);
AT(udrv_ioc_net_attach, features, 12);
AT(udrv_ioc_net_attach, name, 16);
AT(udrv_ioc_net_attach, address, 32);
AT(udrv_ioc_net_attach, queue_count, 40);
AT(udrv_ioc_net_attach, tx_slots, 44);
AT(udrv_ioc_net_attach, rx_slots, 48);
AT(udrv_ioc_net_attach, max_mtu, 52);
AT(udrv_ioc_net_attach, grace_ms, 56);
AT(udrv_ioc_net_attach, ifindex, 60);
AT(udrv_ioc_net_attach, state, 64);
AT(udrv_ioc_net_attach, tx_entries, 68);
AT(udrv_ioc_net_attach, map_bytes, 72);
AT(udrv_ioc_net_attach, queue_bytes, 80);
AT(udrv_ioc_net_attach, tx_offset, 88);
AT(udrv_ioc_net_attach, tx_done_offset, 92);
AT(udrv_ioc_net_attach, fill_offset, 96);
AT(udrv_ioc_net_attach, rx_offset, 100);
AT(udrv_ioc_net_attach, hang_ms, 104);
SIZE(udrv_ioc_net_turn, 40);
AT(udrv_ioc_net_turn, queue, 8);
AT(udrv_ioc_net_turn, ready, 12);
AT(udrv_ioc_net_turn, timeout_ns, 16);
AT(udrv_ioc_net_turn, irq_count, 24);
AT(udrv_ioc_net_turn, irq_value, 32);
SIZE(udrv_ioc_net_state, 412);
AT(udrv_ioc_net_state, state_flags, 8);
AT(udrv_ioc_net_state, mtu, 12);
AT(udrv_ioc_net_state, address, 16);
AT(udrv_ioc_net_state, group_count, 24);
AT(udrv_ioc_net_state, groups, 28);
SIZE(udrv_ioc_net_link, 16);
AT(udrv_ioc_net_link, link, 8);
AT(udrv_ioc_net_link, speed, 12);
SIZE(udrv_ioc_net_queue, 16);
AT(udrv_ioc_net_queue, queue, 8);
AT(udrv_ioc_net_queue, vector, 12);
SIZE(udrv_blk_request, 24);
AT(udrv_blk_request, offset, 0);
AT(udrv_blk_request, bytes, 8);
AT(udrv_blk_request, tag, 12);
AT(udrv_blk_request, op, 14);
AT(udrv_blk_request, flags, 15);
AT(udrv_blk_request, segment_count, 16);
AT(udrv_blk_request, unit, 18);
SIZE(udrv_blk_segment, 16);
AT(udrv_blk_segment, address, 0);
AT(udrv_blk_segment, length, 8);
SIZE(udrv_blk_done, 8);
AT(udrv_blk_done, tag, 0);
AT(udrv_blk_done, status, 2);
AT(udrv_blk_done, bytes, 4);
SIZE(udrv_blk_rings, 256);
AT(udrv_blk_rings, requests, 0);
AT(udrv_blk_rings, done, 128);
SIZE(udrv_ioc_blk_attach, 88);
AT(udrv_ioc_blk_attach, device_fd, 8);
AT(udrv_ioc_blk_attach, queue_count, 12);
AT(udrv_ioc_blk_attach, queue_depth, 16);
AT(udrv_ioc_blk_attach, max_segments, 20);
AT(udrv_ioc_blk_attach, max_bytes, 24);
AT(udrv_ioc_blk_attach, max_segment_bytes, 28);
AT(udrv_ioc_blk_attach, virt_boundary, 32);
AT(udrv_ioc_blk_attach, dma_alignment, 36);
AT(udrv_ioc_blk_attach, timeout_ms, 40);
AT(udrv_ioc_blk_attach, deadline_ms, 44);
AT(udrv_ioc_blk_attach, state, 48);
AT(udrv_ioc_blk_attach, ring_entries, 52);
AT(udrv_ioc_blk_attach, map_bytes, 56);
AT(udrv_ioc_blk_attach, queue_bytes, 64);
AT(udrv_ioc_blk_attach, requests_offset, 72);
AT(udrv_ioc_blk_attach, done_offset, 76);
AT(udrv_ioc_blk_attach, segments_offset, 80);
SIZE(udrv_ioc_blk_disk, 152);
AT(udrv_ioc_blk_disk, unit, 8);
AT(udrv_ioc_blk_disk, features, 12);
AT(udrv_ioc_blk_disk, bytes, 16);
AT(udrv_ioc_blk_disk, logical_block, 24);
AT(udrv_ioc_blk_disk, physical_block, 28);
AT(udrv_ioc_blk_disk, io_opt, 32);
AT(udrv_ioc_blk_disk, discard_bytes, 36);
AT(udrv_ioc_blk_disk, discard_granularity, 40);
AT(udrv_ioc_blk_disk, zeroes_bytes, 44);
AT(udrv_ioc_blk_disk, id, 56);
AT(udrv_ioc_blk_disk, name, 120);
SIZE(udrv_ioc_blk_turn, 48);
AT(udrv_ioc_blk_turn, queue, 8);
AT(udrv_ioc_blk_turn, ready, 12);
AT(udrv_ioc_blk_turn, timeout_ns, 16);
AT(udrv_ioc_blk_turn, irq_count, 24);
AT(udrv_ioc_blk_turn, late_tag, 28);
AT(udrv_ioc_blk_turn, irq_value, 32);
AT(udrv_ioc_blk_turn, bad_entries, 40);
SIZE(udrv_ioc_blk_queue, 16);
AT(udrv_ioc_blk_queue, queue, 8);
AT(udrv_ioc_blk_queue, vector, 12);
