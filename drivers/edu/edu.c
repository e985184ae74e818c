/* SPDX-License-Identifier: MIT */
/*
 * edu.c - the smallest complete driver: QEMU's educational device
 *
 * Shows each thing that a driver does once, in the order in which a driver does them: find the
 * registers, quieten the device, allow its DMA, wait for an interrupt, let it read and write
 * memory. main() is the contents page. The hard part is the order: DMA is allowed only once the
 * device is quiet.
 *
 *   cc -o edu edu.c $(pkg-config --cflags --libs libudrv)
 *   udrv bind 00:02.0 && ./edu 00:02.0
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <libudrv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "edu_regs.h"

static struct udrv *device;
static uint8_t *regs;

/* Every call of the library returns 0 or a count, or a negative errno. */
static int must(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "edu: %s: %s\n", what, udrv_strerror(result));
		exit(1);
	}
	return result;
}

static void expect(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "edu: %s: not what an edu device answers\n", what);
	exit(1);
}

/* An earlier driver may have died half way: wait for its transfer's end, drop its interrupts. */
static void quieten(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	udrv_write32(regs + EDU_STATUS, 0);
	while (udrv_read32(regs + EDU_STATUS) & EDU_STATUS_COMPUTING ||
	       udrv_read64(regs + EDU_DMA_COMMAND) & EDU_DMA_START)
		nanosleep(&pause, NULL);
	udrv_write32(regs + EDU_IRQ_ACK, udrv_read32(regs + EDU_IRQ_STATUS));
}

/* Wait for @cause and acknowledge it. INTx is armed by the wait itself: no other call is needed. */
static uint64_t wait_for(uint32_t cause)
{
	struct udrv_irq_record record;
	uint32_t causes;

	do {
		if (!must(udrv_irq_wait(device, &record, 1, 5000), "wait for an interrupt"))
			must(-ETIMEDOUT, "wait for an interrupt");
		causes = udrv_read32(regs + EDU_IRQ_STATUS);
		udrv_write32(regs + EDU_IRQ_ACK, causes);
	} while (!(causes & cause));
	return record.time_ns;
}

static void identify(void)
{
	uint32_t id = udrv_read32(regs + EDU_ID);

	expect((id & EDU_ID_MASK) == EDU_ID_VALUE, "identification");
	printf("identification: 0x%08x, version %u.%u\n", id, id >> 24, id >> 16 & 0xff);
	udrv_write32(regs + EDU_LIVENESS, 0x12345678);
	expect(udrv_read32(regs + EDU_LIVENESS) == ~0x12345678u, "liveness");
	printf("liveness: wrote 0x12345678, read 0x%08x\n", ~0x12345678u);
}

static void factorial(void)
{
	udrv_write32(regs + EDU_STATUS, EDU_STATUS_IRQ);
	udrv_write32(regs + EDU_FACTORIAL, 12);
	wait_for(EDU_IRQ_FACTORIAL);
	expect(udrv_read32(regs + EDU_FACTORIAL) == 479001600, "factorial");
	printf("factorial: 12! = 479001600, its end told by an interrupt\n");
}

static void interrupt(const char *kind)
{
	struct timespec t;
	uint64_t then, fired;

	clock_gettime(CLOCK_MONOTONIC, &t);
	then = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	udrv_write32(regs + EDU_IRQ_RAISE, 0x2a0000);
	fired = wait_for(0x2a0000);
	printf("interrupt: %s, raised, handled after %u us, read\n", kind,
	       (unsigned int)((fired - then) / 1000));
}

/* Move @length bytes between memory that the device sees at @iova and its buffer at @offset. */
static void transfer(uint64_t iova, uint64_t offset, uint64_t length, bool from_edu)
{
	udrv_write64(regs + EDU_DMA_SOURCE, from_edu ? EDU_BUFFER + offset : iova);
	udrv_write64(regs + EDU_DMA_DEST, from_edu ? iova : EDU_BUFFER + offset);
	udrv_write64(regs + EDU_DMA_COUNT, length);
	udrv_write64(regs + EDU_DMA_COMMAND,
		     EDU_DMA_START | EDU_DMA_IRQ | (from_edu ? EDU_DMA_FROM_EDU : 0));
	wait_for(EDU_IRQ_DMA);
}

/* Consistent memory: allocated by the kernel for both sides, no call before or after a transfer. */
static void dma_consistent(void)
{
	struct udrv_dma buffer;
	uint8_t *out, *back;

	must(udrv_dma_alloc(device, 2 * EDU_BUFFER_BYTES, &buffer), "allocate DMA memory");
	out = buffer.addr;
	back = out + EDU_BUFFER_BYTES;
	for (unsigned int i = 0; i < EDU_BUFFER_BYTES; i++)
		out[i] = (uint8_t)(i * 7 + i / 256);
	transfer(buffer.iova, 0, EDU_BUFFER_BYTES, false);
	transfer(buffer.iova + EDU_BUFFER_BYTES, 0, EDU_BUFFER_BYTES, true);
	expect(!memcmp(out, back, EDU_BUFFER_BYTES), "DMA, consistent memory");
	printf("DMA, consistent memory: 4095 bytes to the device and back, equal\n");
	must(udrv_dma_free(device, &buffer), "free DMA memory");
}

/* Streaming memory: the process's own, wherever it lies; the device sees a list of segments. */
static void stream(uint8_t *data, bool from_edu)
{
	struct udrv_dma_segment segments[2]; /* one for each page that it touches is enough */
	unsigned int count = 2;
	uint64_t done = 0;
	uint32_t handle;

	must(udrv_dma_map(device, data, EDU_BUFFER_BYTES,
			  from_edu ? UDRV_DMA_FROM_DEVICE : UDRV_DMA_TO_DEVICE, segments, &count,
			  &handle),
	     "map memory for DMA");
	for (unsigned int i = 0; i < count; done += segments[i++].length)
		transfer(segments[i].iova, done, segments[i].length, from_edu);
	must(udrv_dma_unmap(device, handle), "unmap memory");
}

static void dma_streaming(void)
{
	uint8_t *out = malloc(EDU_BUFFER_BYTES), *back = calloc(1, EDU_BUFFER_BYTES);

	must(out && back ? 0 : -ENOMEM, "malloc");
	for (unsigned int i = 0; i < EDU_BUFFER_BYTES; i++)
		out[i] = (uint8_t)(i * 13 + i / 256);
	stream(out, false);
	stream(back, true);
	expect(!memcmp(out, back, EDU_BUFFER_BYTES), "DMA, streaming memory");
	printf("DMA, streaming memory: 4095 bytes of malloc() to the device and back, equal\n");
	free(out), free(back);
}

int main(int argc, char **argv)
{
	unsigned int kind = UDRV_IRQ_INTX, dma_bits = 28; /* QEMU's default, its option dma_mask */
	size_t mapped;
	void *bar0;

	for (; argc > 2; argc--, argv++) {
		if (!strcmp(argv[1], "--msi"))
			kind = UDRV_IRQ_MSI;
		else if (!strncmp(argv[1], "--dma-bits=", 11))
			dma_bits = (unsigned int)strtoul(argv[1] + 11, NULL, 10);
		else
			break;
	}
	if (argc != 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: edu [--msi] [--dma-bits=N] DEVICE, as in: edu 00:02.0\n");
		return 2;
	}

	must(udrv_open(argv[1], &device), argv[1]);
	expect(udrv_info(device)->vendor == EDU_VENDOR && udrv_info(device)->device == EDU_DEVICE,
	       "vendor and device ID");
	must(udrv_bar_map(device, 0, 0, 0, 0, &bar0, &mapped), "map BAR 0");
	regs = bar0;
	quieten();
	must(udrv_dma_set_mask(device, dma_bits), "set the width of DMA addresses");
	must(udrv_bus_master(device, true), "allow DMA");
	must(udrv_irq_setup(device, kind, 1), "set up the interrupt");
	identify();
	factorial();
	interrupt(kind == UDRV_IRQ_MSI ? "MSI" : "INTx");
	dma_consistent();
	dma_streaming();
	must(udrv_bar_unmap(device, bar0, mapped), "unmap BAR 0");
	udrv_close(device);
	return 0;
}
