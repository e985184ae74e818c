// SPDX-License-Identifier: MIT
/*
 * info.c - `udrv info` and `udrv reset`
 *
 * Owns the printout of one device. What sysfs knows is printed first, whether or not the node can
 * be opened: somebody who asks about a device in use wants to know by whom.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

static const struct argp info_argp = {
	.parser = parse_sole_address,
	.args_doc = "ADDRESS",
	.doc = "Show what a bound device is and can: interrupts, DMA, reset, BARs.",
};

static const struct argp reset_argp = {
	.parser = parse_sole_address,
	.args_doc = "ADDRESS",
	.doc = "Reset a bound device, by the quickest reset that it has.",
};

static void print_entry(const struct pci_entry *entry)
{
	struct names *names = names_open();
	char text[256], reason[REASON_BYTES];
	struct node_state state;

	names_line(names, entry, text, sizeof(text));
	printf("%s  %s\n", entry->brief, text);
	names_class(names, entry, text, sizeof(text));
	printf("  class        %06x%s%s\n", entry->class_code, text[0] ? " " : "", text);
	names_close(names);
	printf("  driver       %s\n", entry->driver[0] ? entry->driver : "none");
	if (entry->iommu_group < 0)
		puts("  IOMMU group  none");
	else
		printf("  IOMMU group  %d\n", entry->iommu_group);
	if (sysfs_node_state(&entry->address, &state))
		return;
	if (state.confined) {
		puts("  tier         confined: it reaches only what its driver was given");
	} else {
		group_reason(entry, &state, reason, sizeof(reason));
		printf("  tier         trusted: %s\n", reason);
	}
	if (!state.owner) {
		puts("  in use by    nobody");
		return;
	}
	printf("  in use by    %s (pid %d)\n", state.command, (int)state.owner);
	printf("  now          interrupts: %s %u, %llu so far; bus mastering %s; DMA: %llu bytes "
	       "consistent, %llu streaming\n",
	       state.irq_kind, state.irq_count, state.interrupts, state.bus_master ? "on" : "off",
	       state.dma_consistent, state.dma_streaming);
}

static void print_interrupts(const struct udrv_ioc_device_info *info)
{
	const char *between = "";

	fputs("  interrupts   ", stdout);
	if (info->intx_count) {
		printf("INTx (%s)", info->state & UDRV_DEVICE_INTX_MASK ? "can share its line"
									: "cannot share its line");
		between = ", ";
	}
	if (info->msi_count) {
		printf("%sMSI %u", between, info->msi_count);
		between = ", ";
	}
	if (info->msix_count) {
		printf("%sMSI-X %u", between, info->msix_count);
		between = ", ";
	}
	puts(between[0] ? "" : "none");
}

static void print_features(uint64_t features)
{
	static const struct {
		uint64_t bit;
		const char *name;
	} table[] = {
		{ UDRV_FEATURE_IRQ, "irq" },
		{ UDRV_FEATURE_IRQ_EVENTFD, "irq-eventfd" },
		{ UDRV_FEATURE_BAR_WC, "bar-wc" },
		{ UDRV_FEATURE_DMA_CONSISTENT, "dma-consistent" },
		{ UDRV_FEATURE_DMA_STREAMING, "dma-streaming" },
	};
	size_t i;

	fputs("  features    ", stdout);
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (features & table[i].bit)
			printf(" %s", table[i].name);
	putchar('\n');
}

static void print_length(uint64_t length)
{
	if (length >= 1 << 20 && length % (1 << 20) == 0)
		printf("%" PRIu64 " MiB", length >> 20);
	else if (length >= 1 << 10 && length % (1 << 10) == 0)
		printf("%" PRIu64 " KiB", length >> 10);
	else
		printf("%" PRIu64 " bytes", length);
}

static void print_region(const struct udrv_ioc_region_info *region)
{
	if (!region || !region->length)
		return;
	if (region->index == UDRV_REGION_CONFIG) {
		fputs("  config       ", stdout);
		print_length(region->length);
		printf(" at offset 0x%" PRIx64 "\n", (uint64_t)region->offset);
		return;
	}
	printf("  BAR %u        ", region->index);
	print_length(region->length);
	fputs(region->region_flags & UDRV_REGION_PORT ? " of I/O ports" : " of memory", stdout);
	if (region->region_flags & UDRV_REGION_64BIT)
		fputs(", 64 bits", stdout);
	if (region->region_flags & UDRV_REGION_PREFETCH)
		fputs(", prefetchable", stdout);
	printf(", at offset 0x%" PRIx64, (uint64_t)region->offset);
	if (!(region->region_flags & UDRV_REGION_MMAP))
		fputs(", by pread and pwrite only", stdout);
	else if (region->offset_wc)
		printf(" (write-combining 0x%" PRIx64 ")", (uint64_t)region->offset_wc);
	if (region->nomap_length)
		printf(", 0x%" PRIx64 " to 0x%" PRIx64 " not mappable (MSI-X table)",
		       (uint64_t)region->nomap_offset,
		       (uint64_t)(region->nomap_offset + region->nomap_length - 1));
	putchar('\n');
}

static void print_device(struct udrv *device)
{
	const struct udrv_ioc_device_info *info = udrv_info(device);
	unsigned int i;

	printf("  revision     %02x, subsystem [%04x:%04x]\n", info->revision,
	       info->subsystem_vendor, info->subsystem_device);
	print_interrupts(info);
	printf("  DMA          %s\n", info->state & UDRV_DEVICE_IOMMU
					      ? "translated by an IOMMU"
					      : "not translated: the device can reach all memory");
	printf("  reset        %s\n", info->state & UDRV_DEVICE_RESET ? "yes" : "none");
	print_features(info->features);
	for (i = 0; i < UDRV_REGION_COUNT; i++)
		print_region(udrv_region(device, i));
}

int command_info(int argc, char **argv)
{
	const char *text = NULL;
	struct udrv_address address;
	struct udrv *device;
	struct pci_entry entry;
	int rc;

	parse_arguments(&info_argp, argc, argv, &text);
	rc = parse_address(text, &address);
	if (!rc)
		rc = require_entry(&address, &entry);
	if (rc)
		return rc;
	print_entry(&entry);
	fflush(stdout);
	rc = open_device(&address, &device);
	if (rc)
		return rc;
	print_device(device);
	udrv_close(device);
	return STATUS_OK;
}

int command_reset(int argc, char **argv)
{
	const char *text = NULL;
	char brief[ADDRESS_BYTES];
	struct udrv_address address;
	struct udrv *device;
	int rc;

	parse_arguments(&reset_argp, argc, argv, &text);
	rc = parse_address(text, &address);
	if (rc)
		return rc;
	address_brief(&address, brief);
	rc = open_device(&address, &device);
	if (rc)
		return rc;
	rc = udrv_reset(device);
	udrv_close(device);
	if (rc == -EOPNOTSUPP)
		return refuse(STATUS_FAILED,
			      "%s has no reset that the kernel can use: its driver must reset it "
			      "through its own registers.",
			      brief);
	if (rc == -EAGAIN)
		return refuse(STATUS_FAILED, "%s is busy in the kernel: try again.", brief);
	if (rc)
		return refuse(STATUS_FAILED, "%s was not reset: %s (%s).", brief, udrv_strerror(rc),
			      strerror(-rc));
	printf("%s was reset.\n", brief);
	return STATUS_OK;
}
