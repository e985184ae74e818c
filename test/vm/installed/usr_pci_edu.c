// SPDX-License-Identifier: MIT
/*
 * usr_pci_edu.c - a driver against usr_pci.h: consistent and streaming DMA, both ways, on QEMU's
 * edu
 *
 * Of the library it uses the two calls of 2004 and no other; read(), mmap() and ioctl() do the
 * rest. Built from what is installed. Prints TAP; data is compared byte for byte. Registers: QEMU,
 * docs/specs/edu.rst.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <udrv/udrv.h>
#include <usr_pci.h>

#define EDU_ID 0x00
#define EDU_IRQ_STATUS 0x24
#define EDU_IRQ_ACK 0x64
#define EDU_DMA_SOURCE 0x80
#define EDU_DMA_DESTINATION 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_COMMAND 0x98
#define EDU_DMA_START 1
#define EDU_DMA_TO_MEMORY 2
#define EDU_DMA_IRQ 4
#define EDU_BUFFER 0x40000
#define EDU_BUFFER_BYTES 4096

static volatile uint8_t *regs;
static int number, failed;

static void ok(int good, const char *what)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++number, what);
	failed |= !good;
	fflush(stdout);
}

static uint32_t get(unsigned int reg)
{
	return *(volatile uint32_t *)(regs + reg);
}

static void put(unsigned int reg, uint64_t value)
{
	if (reg >= EDU_DMA_SOURCE)
		*(volatile uint64_t *)(regs + reg) = value;
	else
		*(volatile uint32_t *)(regs + reg) = (uint32_t)value;
}

/* One transfer of the device's engine, awaited by a bare read(). */
static int transfer(int fd, uint64_t source, uint64_t destination, size_t count,
		    unsigned int command)
{
	struct udrv_irq_record record;
	uint32_t status;

	put(EDU_DMA_SOURCE, source);
	put(EDU_DMA_DESTINATION, destination);
	put(EDU_DMA_COUNT, count);
	put(EDU_DMA_COMMAND, EDU_DMA_START | EDU_DMA_IRQ | command);
	if (read(fd, &record, sizeof(record)) != sizeof(record))
		return 0;
	status = get(EDU_IRQ_STATUS);
	put(EDU_IRQ_ACK, status);
	return record.count == 1 && status == 0x100;
}

/* Out of the pieces of a mapping into the device, or from the device into them. */
static int transfer_list(int fd, const struct mapping_info *info, int to_memory)
{
	uint64_t done = 0;
	unsigned int i;

	for (i = 0; i < info->nents; i++) {
		const struct mapping_segment *piece = &info->sglist[i];

		if (!(to_memory ? transfer(fd, EDU_BUFFER + done, piece->dma_addr, piece->size,
					   EDU_DMA_TO_MEMORY)
				: transfer(fd, piece->dma_addr, EDU_BUFFER + done, piece->size, 0)))
			return 0;
		done += piece->size;
	}
	return done == info->size;
}

static int map_registers(int fd)
{
	struct udrv_ioc_region_info region = { .size = sizeof(region), .index = UDRV_REGION_BAR0 };
	struct udrv_ioc_device_bus_master master = { .size = sizeof(master), .enable = 1 };

	if (ioctl(fd, UDRV_IOC_REGION_INFO, &region) ||
	    ioctl(fd, UDRV_IOC_DEVICE_BUS_MASTER, &master))
		return 0;
	regs = mmap(NULL, region.length, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    (off_t)region.offset);
	return regs != MAP_FAILED;
}

static void consistent(int fd)
{
	struct mapping_info info = { .size = EDU_BUFFER_BYTES };
	uint8_t *memory, pattern[1024];
	unsigned int i;

	ok(usr_pci_map(fd, USR_ALLOC_CONSISTENT, &info) == 0 && info.size == EDU_BUFFER_BYTES,
	   "USR_ALLOC_CONSISTENT");
	memory = info.virtaddr;
	for (i = 0; i < sizeof(pattern); i++)
		memory[i] = pattern[i] = (uint8_t)rand();
	ok(transfer(fd, info.dma_addr, EDU_BUFFER, sizeof(pattern), 0),
	   "the device reads the buffer");
	ok(transfer(fd, EDU_BUFFER, info.dma_addr + 2048, sizeof(pattern), EDU_DMA_TO_MEMORY),
	   "the device writes the buffer");
	ok(memcmp(memory + 2048, pattern, sizeof(pattern)) == 0, "what came back is what went out");
	ok(memory[2047] == 0 && memory[2048 + 1024] == 0, "and nothing beside it was touched");
	ok(usr_pci_map(fd, USR_FREE_CONSISTENT, &info) == 0, "USR_FREE_CONSISTENT");
	errno = 0;
	ok(usr_pci_map(fd, USR_UNMAP, &info) == -1 && errno == ENOENT, "its handle is gone");
}

static void streaming(int fd)
{
	uint8_t *memory = malloc(3 * EDU_BUFFER_BYTES), *out = memory + 77,
		*in = out + EDU_BUFFER_BYTES;
	struct mapping_segment list[2];
	struct mapping_info info = {
		.virtaddr = out, .size = 3000, .direction = USR_DMA_TODEVICE, .sglist = list
	};
	unsigned int i;

	for (i = 0; i < 3 * EDU_BUFFER_BYTES; i++)
		memory[i] = (uint8_t)rand();
	errno = 0;
	ok(usr_pci_map(fd, USR_MAP, &info) == -1 && errno == ENOSPC && info.nents >= 1 &&
		   info.nents <= 2,
	   "a list too short: ENOSPC, and how long it must be");
	info.nents = 2;
	ok(usr_pci_map(fd, USR_MAP, &info) == 0 && info.dma_addr == list[0].dma_addr,
	   "USR_MAP, to the device");
	ok(transfer_list(fd, &info, 0), "the device reads it");
	ok(usr_pci_map(fd, USR_UNMAP, &info) == 0, "USR_UNMAP");

	info.virtaddr = in;
	info.direction = USR_DMA_FROMDEVICE;
	info.nents = 2;
	ok(usr_pci_map(fd, USR_MAP, &info) == 0, "USR_MAP, from the device");
	ok(transfer_list(fd, &info, 1), "the device writes it");
	ok(usr_pci_map(fd, USR_UNMAP, &info) == 0, "USR_UNMAP");
	ok(memcmp(in, out, 3000) == 0, "what came back is what went out");
	free(memory);
}

int main(void)
{
	int fd;

	errno = 0;
	ok(usr_pci_open(0, 0x1e, 7) == -1 && errno == ENOENT,
	   "usr_pci_open of a device that is not there");
	fd = usr_pci_open(0, 2, 0);
	ok(fd >= 0, "usr_pci_open");
	ok(map_registers(fd), "registers, bus mastering");
	ok(get(EDU_ID) == 0x010000ed, "it is edu");
	consistent(fd);
	streaming(fd);
	ok(close(fd) == 0, "close");
	printf("1..%d\n", number);
	return failed;
}
