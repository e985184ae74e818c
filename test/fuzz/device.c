// SPDX-License-Identifier: MIT
/*
 * device.c - what each device may be told, so that neither QEMU nor the guest's memory is what
 * breaks
 *
 * A device that is told nonsense can end QEMU (edu: a transfer that leaves its 4 KiB buffer), write
 * to memory that is somebody else's by then (any DMA engine of a trusted driver), or storm an
 * interrupt line (edu in QEMU 7.2 leaves its INTx line up if its status is cleared while MSI is
 * on). None of that is a fault of the module. So:
 *
 * - Registers are written only where writable() says so, and it goes by the offset in the page
 * alone: then it does not matter which page a mapping shows when it is written to. edu's DMA
 * registers (0x80-0x9f) are in no such list.
 * - edu's transfers are started here only, under device_lock, all registers anew after the engine
 * was seen idle; its side of the transfer stays in its buffer; the other side is memory that no
 * call gives back before the descriptor's end: the first buffer (handle 1) and the first mapping
 * (slot 0), which FREE and UNMAP are never told.
 * - edu's engine runs 100 ms late, for an earlier driver perhaps: bus mastering goes on only once
 * it was seen idle. That is what every driver must do (uapi: "reset the device, or stop its
 * engines, before turning it on").
 * - Acknowledge programs are right ones, and a round has either those or MSI; its beginning puts
 * the line down.
 * - nvme: no register is written. ivshmem, pci-testdev, serial: QEMU checks what is written to
 * them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

/* ---- the lock that keeps edu's registers together ---- */

void device_lock(void)
{
	/* Whoever died with it has left nothing half done that the next one would not do anew. */
	if (pthread_mutex_lock(&shared->device_lock) == EOWNERDEAD)
		pthread_mutex_consistent(&shared->device_lock);
}

void device_unlock(void)
{
	pthread_mutex_unlock(&shared->device_lock);
}

/* ---- registers ---- */

static bool edu_writable(struct rng *rng, unsigned int bar, uint64_t offset, unsigned int width,
			 uint64_t *value)
{
	(void)bar;
	if (width != 4)
		return false;
	switch (offset & (PAGE - 1)) {
	case EDU_LIVE:
	case EDU_IRQ_ACK:
	case EDU_IRQ_RAISE:
		return true;
	case EDU_FACTORIAL: /* it computes for as long as that takes */
		*value = below(rng, 50);
		return true;
	case EDU_STATUS:
		*value &= 0x80;
		return true;
	}
	return false;
}

static bool all_writable(struct rng *rng, unsigned int bar, uint64_t offset, unsigned int width,
			 uint64_t *value)
{
	(void)rng;
	(void)bar;
	(void)offset;
	(void)width;
	(void)value;
	return true;
}

static bool none_writable(struct rng *rng, unsigned int bar, uint64_t offset, unsigned int width,
			  uint64_t *value)
{
	(void)rng;
	(void)bar;
	(void)offset;
	(void)width;
	(void)value;
	return false;
}

static void write_register(int fd, unsigned int offset, uint32_t value)
{
	/* The answer does not matter: the device may be gone. */
	if (pwrite(fd, &value, sizeof(value), round_.regions[0].offset + offset) < 0)
		return;
}

static void edu_raise_some(struct rng *rng, int fd)
{
	write_register(fd, one_in(rng, 4) ? EDU_IRQ_ACK : EDU_IRQ_RAISE, 1U << below(rng, 8));
}

static void ivshmem_ring(struct rng *rng, int fd)
{
	write_register(fd, 12, 1U << 16 | below(rng, one_in(rng, 4) ? 200 : 4));
}

static void serial_send(struct rng *rng, int fd)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x02, 0x03, 0x0f };
	uint8_t value = values[below(rng, COUNT_OF(values))];

	/* IER, then a byte, which comes back. */
	if (pwrite(fd, &value, 1, round_.regions[0].offset + 1) != 1 ||
	    pwrite(fd, &value, 1, round_.regions[0].offset) != 1)
		return;
}

const struct device devices_[] = {
	{ .kind = "edu",
	  .has_irq = true,
	  .dma = true,
	  .removable = true,
	  .writable = edu_writable,
	  .raise = edu_raise_some },
	{ .kind = "ivshmem",
	  .has_irq = true,
	  .removable = true,
	  .writable = all_writable,
	  .raise = ivshmem_ring },
	{ .kind = "testdev", .removable = true, .writable = all_writable },
	{ .kind = "serial", .has_irq = true, .writable = all_writable, .raise = serial_send },
	{ .kind = "nvme", .has_irq = true, .writable = none_writable },
	/* edu behind a root port: `hotplug` of test/qemu/devices. */
	{ .kind = "edu",
	  .address = "01:00.0",
	  .has_irq = true,
	  .dma = true,
	  .hotplug = true,
	  .removable = true,
	  .writable = edu_writable,
	  .raise = edu_raise_some },
};
const size_t device_count = COUNT_OF(devices_);

bool device_register(struct rng *rng, bool write, unsigned int *bar, uint64_t *offset,
		     unsigned int *width, uint64_t *value)
{
	static const uint16_t edu[] = { EDU_LIVE, EDU_FACTORIAL, EDU_STATUS, EDU_IRQ_RAISE,
					EDU_IRQ_ACK };

	for (int tries = 0; tries < 12; tries++) {
		*bar = below(rng, UDRV_REGION_CONFIG);
		*width = 1U << below(rng, 4);
		*value = one_in(rng, 2) ? below(rng, 256) : rng_next(rng);
		if (*width < 8)
			*value &= (1ULL << 8 * *width) - 1;
		if (!round_.regions[*bar].length)
			continue;
		*offset = rng_next(rng) % round_.regions[*bar].length & ~(uint64_t)(*width - 1);
		if (one_in(rng, 2))
			*offset &= 0xff & ~(uint64_t)(*width - 1);
		if (write && round_.device->dma && !one_in(rng, 4)) {
			*offset = edu[below(rng, COUNT_OF(edu))];
			*width = 4;
			*value &= 0xffffffff;
		}
		if (!write || round_.device->writable(rng, *bar, *offset, *width, value))
			return true;
	}
	return false;
}

/* ---- edu's engine ---- */

#define KEPT_BYTES (4 * PAGE)

/* What a descriptor must keep for as long as the engine might use it. Under device_lock. */
static struct tenure {
	volatile uint8_t *regs;	 /* NULL: free */
	uint64_t buffer, memory; /* device addresses, 0: none */
} tenures[TENURES];

static uint8_t kept_memory[KEPT_BYTES] __attribute__((aligned(4096)));

bool device_keeps_buffer(uint32_t handle)
{
	return handle == 1;
}

bool device_keeps_mapping(uint32_t handle)
{
	return !(handle & 0xfffff);
}

static uint64_t first_buffer(int fd)
{
	struct udrv_ioc_dma_alloc arg = NODE_ARG(arg);

	arg.length = KEPT_BYTES;
	return !ioctl(fd, UDRV_IOC_DMA_ALLOC, &arg) && device_keeps_buffer(arg.handle) ? arg.iova
										       : 0;
}

static uint64_t first_mapping(int fd)
{
	struct udrv_dma_segment segments[KEPT_BYTES / PAGE];
	struct udrv_ioc_dma_map arg = NODE_ARG(arg);

	arg.user_addr = (uintptr_t)kept_memory;
	arg.length = KEPT_BYTES;
	arg.segments = (uintptr_t)segments;
	arg.segment_count = COUNT_OF(segments);
	arg.direction = UDRV_DMA_BIDIRECTIONAL;
	if (ioctl(fd, UDRV_IOC_DMA_MAP, &arg) || !device_keeps_mapping(arg.handle) ||
	    segments[0].length < PAGE)
		return 0;
	return segments[0].iova;
}

void device_opened(int fd)
{
	struct tenure tenure = { 0 };

	if (!round_.device->dma)
		return;
	tenure.buffer = first_buffer(fd);
	tenure.memory = first_mapping(fd);
	if (!tenure.buffer || !tenure.memory)
		return;
	device_lock();
	for (unsigned int i = 0; i < TENURES; i++) {
		if (tenures[i].regs)
			continue;
		tenure.regs = mmap(memory_regs(i), PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_FIXED, fd, round_.regions[0].offset);
		if (tenure.regs != MAP_FAILED)
			tenures[i] = tenure;
		break;
	}
	device_unlock();
}

void device_forget(unsigned int i)
{
	device_lock();
	if (tenures[i].regs)
		mmap(memory_regs(i), PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		     0);
	tenures[i].regs = NULL;
	device_unlock();
}

static bool idle(uint32_t command)
{
	return !(command & EDU_DMA_RUN);
}

/* With device_lock held: nobody starts it until the caller drops it. */
bool device_may_master(int fd)
{
	uint32_t command;

	if (!round_.device->dma)
		return true;
	for (unsigned int tries = 0; tries < 40; tries++) {
		if (pread(fd, &command, 4, round_.regions[0].offset + EDU_DMA_CMD) != 4)
			return false;
		if (idle(command))
			return true;
		os_sleep_us(5000);
	}
	return false;
}

/* Registers of a device that went away take no harm: the mapping then shows memory of all-ones,
 * which is not idle. */
long device_start_dma(struct rng *rng)
{
	struct tenure *tenure = &tenures[below(rng, TENURES)];
	unsigned int length = 1 + below(rng, 2048),
		     offset = below(rng, EDU_BUFFER_BYTES - length - 1);
	uint64_t theirs = EDU_BUFFER + offset, ours;
	bool from_device = one_in(rng, 2);
	long result = SKIPPED;

	device_lock();
	if (tenure->regs && idle(*(volatile uint32_t *)(tenure->regs + EDU_DMA_CMD))) {
		ours = (one_in(rng, 2) ? tenure->buffer : tenure->memory) + below(rng, PAGE - 2048);
		*(volatile uint64_t *)(tenure->regs + EDU_DMA_SRC) = from_device ? theirs : ours;
		*(volatile uint64_t *)(tenure->regs + EDU_DMA_DST) = from_device ? ours : theirs;
		*(volatile uint32_t *)(tenure->regs + EDU_DMA_COUNT) = length;
		*(volatile uint32_t *)(tenure->regs + EDU_DMA_CMD) =
			EDU_DMA_RUN | (from_device ? EDU_DMA_FROM_DEVICE : 0) |
			(one_in(rng, 2) ? EDU_DMA_IRQ : 0);
		result = 0;
	}
	device_unlock();
	return result;
}

/* Nothing raised, and the line down: raise and acknowledge while MSI is off, which it is when
 * nobody has it open. */
void device_calm(const struct node *node)
{
	struct udrv_ioc_region_info region = NODE_ARG(region);
	static const struct {
		uint32_t offset, value;
	} writes[] = { { EDU_IRQ_ACK, ~0U }, { EDU_IRQ_RAISE, 1 }, { EDU_IRQ_ACK, ~0U } };
	int fd = open(node->path, O_RDWR | O_CLOEXEC);

	REQUIRE_OK(fd);
	REQUIRE_OK(ioctl(fd, UDRV_IOC_REGION_INFO, &region));
	for (size_t i = 0; i < COUNT_OF(writes); i++)
		REQUIRE_EQ(pwrite(fd, &writes[i].value, 4, region.offset + writes[i].offset), 4);
	REQUIRE_OK(close(fd));
}
