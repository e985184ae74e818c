// SPDX-License-Identifier: MIT
/*
 * aer_test.c - an uncorrectable error takes the device from its driver, and recovery gives it back
 *
 * The errors are the kernel's own aer_inject's: it lets the root port's handler find them, and all
 * that follows is real. Device set: aer (a conventional device, such as edu, reports none).
 *
 * The hard part is that recovery goes on by itself, in the kernel, for seconds: between the error and
 * its end the node is nobody's, and an open is refused. It may also fail: QEMU's root port does not say
 * that its link is up again after the reset that a fatal error calls for, and on newer kernels every
 * uncorrectable one. Its log says how it ended. Newer kernels tell the driver of a failure, too.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node.h"
#include "os.h"
#include "tap.h"

#define RAL0 0x5400U /* receive address 0, low: the card loads it from its EEPROM at reset */
#define RAL0_VALUE 0x00005452U /* 52:54:00:00 */
#define UNCORRECTABLE_TLP 0x00001000U /* a poisoned TLP: not fatal */
#define UNCORRECTABLE_DLP 0x00000010U /* a data link protocol error: fatal */
#define CORRECTABLE_RCVR 0x00000001U /* a receiver error */

#define TRACING "/sys/kernel/tracing/"
#define PROBED TRACING "events/kprobes/udrv_aer/enable"

static struct node card;
static int log_fd;

/* As drivers/pci/pcie/aer_inject.c reads it. */
struct aer_error {
	uint8_t bus, dev, fn;
	uint32_t uncorrectable, correctable;
	uint32_t header[4];
	uint32_t domain;
};

static void inject(uint32_t uncorrectable, uint32_t correctable)
{
	struct aer_error error = { .uncorrectable = uncorrectable, .correctable = correctable };
	unsigned int domain, bus, slot, function;
	int fd;

	REQUIRE_EQ(sscanf(card.address, "%x:%x:%x.%x", &domain, &bus, &slot, &function), 4);
	error.bus = bus;
	error.dev = slot;
	error.fn = function;
	error.domain = domain;
	REQUIRE_EQ(system("modprobe aer_inject"), 0);
	REQUIRE_OK(log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	REQUIRE_OK(lseek(log_fd, 0, SEEK_END));
	REQUIRE_OK(fd = open("/dev/aer_inject", O_WRONLY | O_CLOEXEC));
	REQUIRE_EQ(write(fd, &error, sizeof(error)), sizeof(error));
	close(fd);
}

/* What the log says of the recovery since the injection: 1 successful, -1 failed, 0 not over. */
static int recovery(void)
{
	static int outcome;
	char record[1024];
	ssize_t length;

	while ((length = read(log_fd, record, sizeof(record) - 1)) > 0) {
		record[length] = 0;
		if (strstr(record, "device recovery successful"))
			outcome = 1;
		else if (strstr(record, "device recovery failed"))
			outcome = -1;
	}
	return outcome;
}

/* From here on: what the kernel tells the driver. A probe at its function, for nothing else shows it. */
static void watch_driver(void)
{
	static const char probe[] = "p:udrv_aer udrv:udrv_pci_error_detected state=$arg2:u32";
	int fd;

	/* Opened like this, they forget what was. */
	REQUIRE_OK(fd = open(TRACING "kprobe_events", O_WRONLY | O_TRUNC | O_CLOEXEC));
	REQUIRE_EQ(write(fd, probe, strlen(probe)), strlen(probe));
	close(fd);
	REQUIRE_OK(fd = open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
	close(fd);
	REQUIRE_OK(os_write(PROBED, "1"));
}

/* Was it told that the device has failed for good? Newer kernels do, when recovery has failed. */
static bool driver_was_told(void)
{
	bool told = false;
	char line[512];
	FILE *trace;

	REQUIRE((trace = fopen(TRACING "trace", "re")));
	while (fgets(line, sizeof(line), trace))
		told |= strstr(line, "udrv_aer: ") && strstr(line, " state=3\n");
	fclose(trace);
	return told;
}

/* Away from the bus, and found again: as good as pulled out and plugged in. */
static void find_again(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/remove", card.sysfs);
	REQUIRE_OK(os_write(path, "1"));
	REQUIRE_OK(os_write("/sys/bus/pci/rescan", "1"));
}

static void *read_dies(void *arg)
{
	struct udrv_irq_record record;

	(void)arg;
	CHECK_ERROR(read(card.fd, &record, sizeof(record)), ENODEV);
	return NULL;
}

/* The kernel's count of errors of this device. */
static long errors(const char *kind)
{
	char path[128], text[1024], *total;

	snprintf(path, sizeof(path), "%s/aer_dev_%s", card.sysfs, kind);
	REQUIRE_OK(os_read(path, text, sizeof(text)));
	total = strstr(text, "TOTAL_ERR_");
	REQUIRE(total);
	return strtol(strchr(total, ' '), NULL, 10);
}

static void uncorrectable(uint32_t status, const char *kind)
{
	static uint8_t memory[PAGE] __attribute__((aligned(4096)));
	struct udrv_ioc_dma_alloc buffer;
	struct udrv_dma_segment segment;
	uint32_t count = 1, handle, address;
	struct os_thread reader;
	struct node again;
	uint8_t *view;
	long before;
	int refusal;

	node_open_mapped(&card, "aer");
	address = node_read32(&card, RAL0);
	CHECK_EQ(address, RAL0_VALUE);
	before = errors(kind);
	REQUIRE_OK(node_bus_master(&card, true));
	REQUIRE_EQ(node_irq_setup(&card, UDRV_IRQ_MSIX, 1), 1);
	REQUIRE_OK(node_dma_alloc(&card, PAGE, &buffer));
	view = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, card.fd, buffer.offset);
	REQUIRE(view != MAP_FAILED);
	view[0] = 0x11;
	REQUIRE_OK(node_dma_map(&card, memory, PAGE, UDRV_DMA_BIDIRECTIONAL, &segment, &count,
				&handle));
	os_thread_start(&reader, read_dies, NULL);
	os_wait_blocked(reader.tid, SYS_read);

	tap_step("%s: its driver is told, and has it no more", kind);
	watch_driver();
	inject(status, 0);
	os_thread_join(&reader);
	/* What a device has to say of a fatal error is not read: its link may be down. */
	CHECK(status == UNCORRECTABLE_DLP || errors(kind) == before + 1);
	/* Its readers are told first. And bus mastering alone says nothing: the recovery puts config space back, too. */
	CHECK(OS_WAIT_FOR(!strcmp(node_attribute(&card, "owner"), "0"), 30000));
	CHECK(!node_master(&card));
	CHECK_EQ(node_read32(&card, RAL0), ~0U);
	CHECK_EQ(view[0], 0xff);
	node_check_dead(card.fd);
	CHECK(OS_WAIT_FOR(os_pinned_pages() == 0, 30000));

	REQUIRE(OS_WAIT_FOR(recovery(), 30000));
	REQUIRE_OK(os_write(PROBED, "0"));
	if (recovery() < 0) {
		tap_step("%s: not recovered, the node is refused until the device is found again",
			 kind);
		refusal = driver_was_told() ? EIO : EBUSY;
		tap_note("its driver was %stold", refusal == EIO ? "" : "not ");
		CHECK_ERROR(open(card.path, O_RDWR), refusal);
		find_again();
	} else {
		tap_step("%s: recovered, the node opens again, and works", kind);
	}
	node_open_mapped(&again, "aer");
	CHECK_EQ(node_read32(&again, RAL0), address);
	CHECK_EQ(node_irq_setup(&again, UDRV_IRQ_INTX, 1), 1);
	tap_step("%s: the old descriptor stays dead", kind);
	node_check_dead(card.fd);
	CHECK_OK(munmap(view, PAGE));
	node_close(&card);
	CHECK_STR(node_attribute(&again, "irq"), "intx 1");
	node_close(&again);
}

static void nonfatal(void)
{
	uncorrectable(UNCORRECTABLE_TLP, "nonfatal");
}

static void fatal(void)
{
	uncorrectable(UNCORRECTABLE_DLP, "fatal");
}

static void nobody_has_it(void)
{
	long before;

	node_open(&card, "aer");
	node_close(&card);
	tap_step("an error while nobody has it open");
	before = errors("nonfatal");
	inject(UNCORRECTABLE_TLP, 0);
	REQUIRE(OS_WAIT_FOR(errors("nonfatal") == before + 1, 30000));
	REQUIRE(OS_WAIT_FOR(recovery(), 30000));
	if (recovery() < 0)
		find_again();
	node_open_mapped(&card, "aer");
	CHECK_EQ(node_read32(&card, RAL0), RAL0_VALUE);
	node_close(&card);
}

static void correctable(void)
{
	long before;

	node_open_mapped(&card, "aer");
	tap_step("one that was corrected is no concern of the driver's");
	before = errors("correctable");
	REQUIRE_OK(node_bus_master(&card, true));
	inject(0, CORRECTABLE_RCVR);
	CHECK(OS_WAIT_FOR(errors("correctable") == before + 1, 30000));
	CHECK_EQ(node_read32(&card, RAL0), RAL0_VALUE);
	CHECK_EQ(node_master(&card), 1);
	node_close(&card);
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = {
		TAP_TEST(nonfatal),
		TAP_TEST(fatal),
		TAP_TEST(nobody_has_it),
		TAP_TEST(correctable),
	};

	return TAP_MAIN(argc, argv, tests, node_check_idle);
}
