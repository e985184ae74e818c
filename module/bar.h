/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Single accesses to registers by width, for the files that make them (bar.c, prog.c)
 *
 * Widths have been checked: 1, 2, 4, 8; ports have no 8. Registers are little-endian; the values
 * are the CPU's.
 */
#ifndef UDRV_BAR_H
#define UDRV_BAR_H

#include <linux/io.h>

static inline u64 udrv_mmio_read(void __iomem *reg, unsigned int width)
{
	switch (width) {
	case 1:
		return readb(reg);
	case 2:
		return readw(reg);
	case 4:
		return readl(reg);
#ifdef CONFIG_64BIT
	case 8:
		return readq(reg);
#endif
	}
	return 0;
}

static inline void udrv_mmio_write(void __iomem *reg, unsigned int width, u64 value)
{
	switch (width) {
	case 1:
		writeb(value, reg);
		break;
	case 2:
		writew(value, reg);
		break;
	case 4:
		writel(value, reg);
		break;
#ifdef CONFIG_64BIT
	case 8:
		writeq(value, reg);
		break;
#endif
	}
}

static inline u64 udrv_port_read(unsigned long port, unsigned int width)
{
	switch (width) {
	case 1:
		return inb(port);
	case 2:
		return inw(port);
	case 4:
		return inl(port);
	}
	return 0;
}

static inline void udrv_port_write(unsigned long port, unsigned int width, u64 value)
{
	switch (width) {
	case 1:
		outb(value, port);
		break;
	case 2:
		outw(value, port);
		break;
	case 4:
		outl(value, port);
		break;
	}
}

#endif /* UDRV_BAR_H */
