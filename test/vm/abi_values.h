/* SPDX-License-Identifier: MIT */
/*
 * abi_values.h - values that a call refuses, one field at a time; part of abi_test.c
 *
 * The rest of the argument is valid on edu, so that nothing but this value can be the reason.
 */
#ifndef ABI_VALUES_H
#define ABI_VALUES_H

enum special { LITERAL, OTHER_KIND, NOT_EVENT, CLOSED_FD };

#define VALUE(call, type, member, value, error) \
	{ UDRV_IOC_##call, FIELD(type, member), value, LITERAL, error }
#define VALUE_OF(call, type, member, special, error) \
	{ UDRV_IOC_##call, FIELD(type, member), 0, special, error }

static const struct bad_value {
	unsigned int cmd;
	struct field field;
	uint64_t value;
	enum special special;
	int error;
} bad_values[] = {
	VALUE(DEVICE_BUS_MASTER, udrv_ioc_device_bus_master, enable, 2, EINVAL),
	VALUE(DEVICE_BUS_MASTER, udrv_ioc_device_bus_master, enable, ~0U, EINVAL),
	VALUE(REGION_INFO, udrv_ioc_region_info, index, 7, EINVAL),
	VALUE(REGION_INFO, udrv_ioc_region_info, index, 0x10000, EINVAL),
	VALUE(REGION_INFO, udrv_ioc_region_info, index, ~0U, EINVAL),
	VALUE(IRQ_SETUP, udrv_ioc_irq_setup, kind, 4, EINVAL),
	VALUE(IRQ_SETUP, udrv_ioc_irq_setup, kind, 99, EINVAL),
	VALUE(IRQ_SETUP, udrv_ioc_irq_setup, kind, ~0U, EINVAL),
	VALUE(IRQ_SETUP, udrv_ioc_irq_setup, kind, UDRV_IRQ_MSI, EINVAL), /* not mastering */
	VALUE(IRQ_SETUP, udrv_ioc_irq_setup, kind, UDRV_IRQ_MSIX, EOPNOTSUPP),
	VALUE(IRQ_SETUP, udrv_ioc_irq_setup, count, 2, EINVAL),
	VALUE(IRQ_SETUP, udrv_ioc_irq_setup, count, 0x10000001, EINVAL),
	VALUE(IRQ_SETUP, udrv_ioc_irq_setup, count, ~0U, EINVAL),
	VALUE(IRQ_INFO, udrv_ioc_irq_info, vector, 1, EINVAL),
	VALUE(IRQ_INFO, udrv_ioc_irq_info, vector, ~0U, EINVAL),
	VALUE(IRQ_MASK, udrv_ioc_irq_range, count, 0, EINVAL),
	VALUE(IRQ_MASK, udrv_ioc_irq_range, count, 2, EINVAL),
	VALUE(IRQ_MASK, udrv_ioc_irq_range, count, ~0U, EINVAL),
	VALUE(IRQ_MASK, udrv_ioc_irq_range, vector, 1, EINVAL),
	VALUE(IRQ_MASK, udrv_ioc_irq_range, vector, ~0U, EINVAL), /* the sum wraps to 0 */
	VALUE(IRQ_UNMASK, udrv_ioc_irq_range, count, 0, EINVAL),
	VALUE(IRQ_UNMASK, udrv_ioc_irq_range, count, 2, EINVAL),
	VALUE(IRQ_UNMASK, udrv_ioc_irq_range, vector, 1, EINVAL),
	VALUE(IRQ_UNMASK, udrv_ioc_irq_range, vector, ~0U, EINVAL),
	VALUE(IRQ_ATTACH, udrv_ioc_irq_attach, vector, 1, EINVAL),
	VALUE(IRQ_ATTACH, udrv_ioc_irq_attach, vector, ~0U, EINVAL),
	VALUE(IRQ_ATTACH, udrv_ioc_irq_attach, fd, ~0U, EBADF),
	VALUE_OF(IRQ_ATTACH, udrv_ioc_irq_attach, fd, CLOSED_FD, EBADF),
	VALUE_OF(IRQ_ATTACH, udrv_ioc_irq_attach, fd, NOT_EVENT, EINVAL),
	VALUE(IRQ_DETACH, udrv_ioc_irq_attach, vector, 1, EINVAL),
	VALUE(IRQ_DETACH, udrv_ioc_irq_attach, fd, 0, EINVAL),
	VALUE(PROG_SET, udrv_ioc_prog_set, use, 0, EINVAL),
	VALUE(PROG_SET, udrv_ioc_prog_set, use, 4, EINVAL),
	VALUE(PROG_SET, udrv_ioc_prog_set, use, ~0U, EINVAL),
	VALUE(PROG_SET, udrv_ioc_prog_set, count, 257, EINVAL),
	VALUE(PROG_SET, udrv_ioc_prog_set, count, ~0U, EINVAL),
	VALUE(PROG_SET, udrv_ioc_prog_set, ops, 0, EFAULT),
	VALUE(PROG_SET, udrv_ioc_prog_set, ops, 0xffff888000001000, EFAULT),
	VALUE(PROG_RUN, udrv_ioc_prog_run, count, 0, EINVAL),
	VALUE(PROG_RUN, udrv_ioc_prog_run, count, 257, EINVAL),
	VALUE(PROG_RUN, udrv_ioc_prog_run, count, ~0U, EINVAL),
	VALUE(PROG_RUN, udrv_ioc_prog_run, ops, 0, EFAULT),
	VALUE(PROG_RUN, udrv_ioc_prog_run, ops, 0xffff888000001000, EFAULT),
	VALUE(PROG_RUN, udrv_ioc_prog_run, values, 1, EFAULT),
	VALUE(PROG_RUN, udrv_ioc_prog_run, values, 0xffff888000001000, EFAULT),
	VALUE(DMA_MASK, udrv_ioc_dma_mask, bits, 0, EINVAL),
	VALUE(DMA_MASK, udrv_ioc_dma_mask, bits, 23, EINVAL),
	VALUE(DMA_MASK, udrv_ioc_dma_mask, bits, 65, EINVAL),
	VALUE(DMA_MASK, udrv_ioc_dma_mask, bits, 288, EINVAL), /* 32 in a byte */
	VALUE(DMA_MASK, udrv_ioc_dma_mask, bits, ~0U, EINVAL),
	VALUE(DMA_ALLOC, udrv_ioc_dma_alloc, length, 0, EINVAL),
	VALUE(DMA_ALLOC, udrv_ioc_dma_alloc, length, UDRV_DMA_ALLOC_MAX_BYTES + 1, EINVAL),
	VALUE(DMA_ALLOC, udrv_ioc_dma_alloc, length, 1ULL << 32, EINVAL),
	VALUE(DMA_ALLOC, udrv_ioc_dma_alloc, length, (1ULL << 32) + 4096, EINVAL),
	VALUE(DMA_ALLOC, udrv_ioc_dma_alloc, length, 1ULL << 63, EINVAL),
	VALUE(DMA_ALLOC, udrv_ioc_dma_alloc, length, ~0ULL, EINVAL),
	VALUE(DMA_FREE, udrv_ioc_dma_handle, handle, 0, ENOENT),
	VALUE(DMA_FREE, udrv_ioc_dma_handle, handle, 0x12345678, ENOENT),
	VALUE(DMA_FREE, udrv_ioc_dma_handle, handle, ~0U, ENOENT),
	VALUE_OF(DMA_FREE, udrv_ioc_dma_handle, handle, OTHER_KIND, ENOENT),
	VALUE(DMA_MAP, udrv_ioc_dma_map, direction, 0, EINVAL),
	VALUE(DMA_MAP, udrv_ioc_dma_map, direction, 4, EINVAL),
	VALUE(DMA_MAP, udrv_ioc_dma_map, direction, ~0U, EINVAL),
	VALUE(DMA_MAP, udrv_ioc_dma_map, length, 0, EINVAL),
	VALUE(DMA_MAP, udrv_ioc_dma_map, length, ~0ULL, EINVAL), /* wraps */
	VALUE(DMA_MAP, udrv_ioc_dma_map, user_addr, ~0ULL - 100, EFAULT), /* wraps */
	VALUE(DMA_MAP, udrv_ioc_dma_map, user_addr, 0, EFAULT),
	VALUE(DMA_MAP, udrv_ioc_dma_map, user_addr, 0xffff888000001000, EFAULT),
	VALUE(DMA_MAP, udrv_ioc_dma_map, segments, 0, EFAULT),
	VALUE(DMA_MAP, udrv_ioc_dma_map, segments, 0xffff888000001000, EFAULT),
	VALUE(DMA_UNMAP, udrv_ioc_dma_handle, handle, 0, ENOENT),
	VALUE(DMA_UNMAP, udrv_ioc_dma_handle, handle, 0x12345678, ENOENT),
	VALUE(DMA_UNMAP, udrv_ioc_dma_handle, handle, ~0U, ENOENT),
	VALUE_OF(DMA_UNMAP, udrv_ioc_dma_handle, handle, OTHER_KIND, ENOENT),
	VALUE(DMA_SYNC, udrv_ioc_dma_sync, handle, 0, ENOENT),
	VALUE(DMA_SYNC, udrv_ioc_dma_sync, handle, 0x12345678, ENOENT),
	VALUE_OF(DMA_SYNC, udrv_ioc_dma_sync, handle, OTHER_KIND, ENOENT),
	VALUE(DMA_SYNC, udrv_ioc_dma_sync, to, 0, EINVAL),
	VALUE(DMA_SYNC, udrv_ioc_dma_sync, to, 3, EINVAL),
	VALUE(DMA_SYNC, udrv_ioc_dma_sync, length, 0, EINVAL),
	VALUE(DMA_SYNC, udrv_ioc_dma_sync, length, PAGE + 1, EINVAL),
	VALUE(DMA_SYNC, udrv_ioc_dma_sync, length, 1ULL << 63, EINVAL),
	VALUE(DMA_SYNC, udrv_ioc_dma_sync, length, ~0ULL, EINVAL),
	VALUE(DMA_SYNC, udrv_ioc_dma_sync, offset, 1, EINVAL),
	VALUE(DMA_SYNC, udrv_ioc_dma_sync, offset, PAGE, EINVAL),
	VALUE(DMA_SYNC, udrv_ioc_dma_sync, offset, 0ULL - PAGE, EINVAL), /* the end wraps to 0 */
	VALUE(DMA_SYNC, udrv_ioc_dma_sync, offset, 1ULL << 32, EINVAL),
};

#endif
