// SPDX-License-Identifier: GPL-2.0-only
/*
 * Base address registers: what is ours, what may be mapped, single accesses
 *
 * At probe each BAR is reserved, and it is settled which of its pages a process may map: not those
 * of the MSI-X table (a write there would aim an interrupt message anywhere), and not a page that
 * the BAR shares with somebody else's registers. What else lies there stays reachable by
 * pread/pwrite.
 *
 * The hard part is memory types: x86 wants one type for each page frame. Kernel mappings for
 * pread/pwrite are made page by page, and dropped where a process wants write-combining.
 */
#include <linux/io.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "bar.h"
#include "udrv.h"

/* On a page of bar->io: a register program uses it, until the client ends. */
#define BAR_PINNED XA_MARK_0

/* Keep part of a BAR from processes: no page of it is mapped, no byte of it written. */
static void bar_exclude(struct udrv_device *udev, unsigned int which, u32 location, u64 bytes)
{
	u32 bir = location & PCI_MSIX_TABLE_BIR;
	u64 offset = location & PCI_MSIX_TABLE_OFFSET;
	unsigned long first = offset >> PAGE_SHIFT;
	unsigned long end = DIV_ROUND_UP_ULL(offset + bytes, PAGE_SIZE);
	struct udrv_bar *bar;

	if (bir >= UDRV_BARS)
		return;
	bar = &udev->bars[bir];
	bar->msix[which].offset = offset;
	bar->msix[which].length = bytes;
	if (bar->nomap_pages) {
		first = min(first, bar->nomap_first);
		end = max(end, bar->nomap_first + bar->nomap_pages);
	}
	bar->nomap_first = first;
	bar->nomap_pages = end - first;
}

static void bar_exclude_msix(struct udrv_device *udev)
{
	struct pci_dev *pdev = udev->pdev;
	u32 location;

	if (!pdev->msix_cap)
		return;
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_TABLE, &location);
	bar_exclude(udev, 0, location, udev->msix_count * PCI_MSIX_ENTRY_SIZE);
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_PBA, &location);
	bar_exclude(udev, 1, location, DIV_ROUND_UP(udev->msix_count, 64) * 8);
}

/*
 * May the (only) page of a BAR shorter than a page be mapped? If nobody else's BAR can come there.
 */
static bool bar_own_page(struct udrv_device *udev, unsigned int index)
{
	struct udrv_bar *bar = &udev->bars[index];
	struct resource *tail;

	if (bar->start & ~PAGE_MASK)
		return false;
	tail = kzalloc(sizeof(*tail), GFP_KERNEL);
	if (!tail)
		return false;

	tail->name = "udrv";
	tail->start = bar->start + bar->length;
	tail->end = bar->start + PAGE_SIZE - 1;
	tail->flags = udev->pdev->resource[index].flags | IORESOURCE_BUSY;
	if (!udev->pdev->resource[index].parent ||
	    request_resource(udev->pdev->resource[index].parent, tail)) {
		kfree(tail);
		return false;
	}
	bar->tail = tail;
	return true;
}

static void bar_init_one(struct udrv_device *udev, unsigned int index)
{
	struct pci_dev *pdev = udev->pdev;
	struct udrv_bar *bar = &udev->bars[index];
	unsigned long flags = pci_resource_flags(pdev, index);

	/* Absent, not placed by the firmware, or claimed by another: as if there were none. */
	if (!pci_resource_len(pdev, index) || (flags & IORESOURCE_UNSET) ||
	    pci_resource_len(pdev, index) > UDRV_REGION_MAX_BYTES ||
	    pci_request_region(pdev, index, "udrv"))
		return;

	bar->start = pci_resource_start(pdev, index);
	bar->length = pci_resource_len(pdev, index);
	bar->flags = UDRV_REGION_READ | UDRV_REGION_WRITE;
	if (flags & IORESOURCE_IO) {
		bar->flags |= UDRV_REGION_PORT;
		return;
	}
	if (flags & IORESOURCE_PREFETCH)
		bar->flags |= UDRV_REGION_PREFETCH;
	if (flags & IORESOURCE_MEM_64)
		bar->flags |= UDRV_REGION_64BIT;
	if (bar->length >= PAGE_SIZE && !(bar->start & ~PAGE_MASK))
		bar->map_length = bar->length & PAGE_MASK;
	else if (bar->length < PAGE_SIZE && bar_own_page(udev, index))
		bar->map_length = PAGE_SIZE;
	if (bar->map_length)
		bar->flags |= UDRV_REGION_MMAP;
}

/**
 * udrv_bar_init() - take the device's BARs
 * @udev: enabled, its vectors counted
 * Return: 0
 */
int udrv_bar_init(struct udrv_device *udev)
{
	unsigned int i;

	for (i = 0; i < UDRV_BARS; i++) {
		xa_init(&udev->bars[i].io);
		bar_init_one(udev, i);
	}
	bar_exclude_msix(udev);
	return 0;
}

static void bar_drop_io(struct udrv_bar *bar, unsigned long first, unsigned long last, bool pinned)
{
	unsigned long page;
	void *entry;

	xa_for_each_range(&bar->io, page, entry, first, last) {
		if (!pinned && xa_get_mark(&bar->io, page, BAR_PINNED))
			continue;
		xa_erase(&bar->io, page);
		iounmap((__force void __iomem *)entry);
	}
}

/** udrv_bar_exit() - give them back; no client is left */
void udrv_bar_exit(struct udrv_device *udev)
{
	unsigned int i;

	for (i = 0; i < UDRV_BARS; i++) {
		struct udrv_bar *bar = &udev->bars[i];

		if (!bar->length)
			continue;
		bar_drop_io(bar, 0, ULONG_MAX, true);
		xa_destroy(&bar->io);
		if (bar->tail) {
			release_resource(bar->tail);
			kfree(bar->tail);
		}
		pci_release_region(udev->pdev, i);
	}
}

/** udrv_bar_init_client() - give a client its views of the BARs */
void udrv_bar_init_client(struct udrv_client *client)
{
	unsigned int i, wc;

	for (i = 0; i < UDRV_BARS; i++) {
		struct udrv_bar *bar = &client->udev->bars[i];

		for (wc = 0; wc < 2; wc++) {
			struct udrv_area *area = &client->bar_areas[i][wc];
			u64 offset = UDRV_REGION_OFFSET(i) + (wc ? UDRV_REGION_WC : 0);

			udrv_area_init(area, client, offset, bar->map_length >> PAGE_SHIFT);
			area->base_pfn = bar->start >> PAGE_SHIFT;
		}
	}
}

/* ---- single registers ---- */

/**
 * udrv_bar_io() - where the kernel reaches a register
 * @bar: a memory BAR
 * @offset: inside it
 *
 * Context: process, bar_sem held: nobody drops the mapping meanwhile.
 * Return: its address, or NULL.
 */
void __iomem *udrv_bar_io(struct udrv_bar *bar, u64 offset)
{
	unsigned long page = offset >> PAGE_SHIFT;
	resource_size_t start = (resource_size_t)page << PAGE_SHIFT;
	void *entry = xa_load(&bar->io, page);
	void __iomem *io;

	if (entry)
		return (__force void __iomem *)entry + offset_in_page(offset);
	io = ioremap(bar->start + start, min_t(resource_size_t, bar->length - start, PAGE_SIZE));
	if (!io)
		return NULL;

	entry = xa_cmpxchg(&bar->io, page, NULL, (__force void *)io, GFP_KERNEL_ACCOUNT);
	if (entry) {
		iounmap(io);
		if (xa_is_err(entry))
			return NULL;
		io = (__force void __iomem *)entry;
	}
	return io + offset_in_page(offset);
}

/** udrv_bar_pin() - udrv_bar_io() for a register program: it stays until the client ends */
void __iomem *udrv_bar_pin(struct udrv_bar *bar, u64 offset)
{
	void __iomem *reg = udrv_bar_io(bar, offset);

	if (reg)
		xa_set_mark(&bar->io, offset >> PAGE_SHIFT, BAR_PINNED);
	return reg;
}

/**
 * udrv_bar_check() - may this register be accessed?
 * @bar: the BAR, perhaps absent
 * @offset: in it, from the user
 * @width: 1, 2, 4 or 8
 * @write: direction
 *
 * Return: 0; -EINVAL no such BAR, misaligned, out of bounds, or a width that ports do not have;
 * -EPERM a write to the MSI-X table or its pending bits.
 */
int udrv_bar_check(const struct udrv_bar *bar, u64 offset, size_t width, bool write)
{
	unsigned int i;

	/* The offset is checked against the length before anything is subtracted. */
	if (offset >= bar->length || width > bar->length - offset || (offset & (width - 1)))
		return -EINVAL;
	if (width == 8 && ((bar->flags & UDRV_REGION_PORT) || !IS_ENABLED(CONFIG_64BIT)))
		return -EINVAL;
	for (i = 0; write && i < ARRAY_SIZE(bar->msix); i++)
		if (offset < bar->msix[i].offset + bar->msix[i].length &&
		    bar->msix[i].offset < offset + width)
			return -EPERM;
	return 0;
}

/**
 * udrv_bar_access() - read or write one register
 * @client: the caller
 * @index: BAR, below UDRV_BARS
 * @value: the kernel's copy of the value
 * @width: 1, 2, 4 or 8
 * @offset: in the BAR
 * @write: direction
 *
 * Context: process.
 * Return: @width; what udrv_bar_check() says; -ENOMEM; -ENODEV gone; -EINTR killed.
 */
ssize_t udrv_bar_access(struct udrv_client *client, unsigned int index, u64 *value, size_t width,
			u64 offset, bool write)
{
	struct udrv_device *udev = client->udev;
	struct udrv_bar *bar = &udev->bars[index];
	void __iomem *reg;
	ssize_t ret;

	if (down_read_killable(&udev->bar_sem))
		return -EINTR;
	ret = -ENODEV;
	if (READ_ONCE(client->ended))
		goto out;
	ret = udrv_bar_check(bar, offset, width, write);
	if (ret)
		goto out;

	if (write)
		WRITE_ONCE(udev->used, true);
	if (bar->flags & UDRV_REGION_PORT) {
		if (write)
			udrv_port_write(bar->start + offset, width, *value);
		else
			*value = udrv_port_read(bar->start + offset, width);
	} else {
		ret = -ENOMEM;
		reg = udrv_bar_io(bar, offset);
		if (!reg)
			goto out;
		if (write)
			udrv_mmio_write(reg, width, *value);
		else
			*value = udrv_mmio_read(reg, width);
	}
	ret = width;
out:
	up_read(&udev->bar_sem);
	return ret;
}

/* ---- mappings ---- */

static int bar_reserve_wc(struct udrv_client *client, unsigned int index, unsigned long first,
			  unsigned long pages)
{
	struct udrv_bar *bar = &client->udev->bars[index];
	resource_size_t start = bar->start + ((resource_size_t)first << PAGE_SHIFT);
	resource_size_t length = (resource_size_t)pages << PAGE_SHIFT;
	unsigned long page = first;
	unsigned int i;
	int ret;

	for (i = 0; i < bar->wc_count; i++)
		if (start >= bar->wc[i].start &&
		    start + length <= bar->wc[i].start + bar->wc[i].length)
			return 0;
	if (bar->wc_count == ARRAY_SIZE(bar->wc))
		return -ENOMEM;
	/* A register program uses one of the pages, uncached. */
	if (xa_find(&bar->io, &page, first + pages - 1, BAR_PINNED))
		return -EBUSY;

	bar_drop_io(bar, first, first + pages - 1, false);
	ret = arch_io_reserve_memtype_wc(start, length);
	if (ret)
		return ret;
	bar->wc[bar->wc_count].start = start;
	bar->wc[bar->wc_count].length = length;
	bar->wc_count++;
	/* What shows them uncached is faulted in again, write-combining. */
	unmap_mapping_range(client->mapping,
			    UDRV_REGION_OFFSET(index) + ((loff_t)first << PAGE_SHIFT), length, 1);
	return 0;
}

/**
 * udrv_bar_mmap_check() - may these pages be mapped, and prepare it
 * @client: the caller
 * @index: BAR, below UDRV_BARS
 * @wc: write-combining
 * @first: first page
 * @pages: how many, at least 1
 *
 * Context: process, mmap_lock held.
 * Return: 0; -EINVAL they may not; -ENOMEM too many different write-combining ranges (16); -EBUSY
 * a kept register program uses one of the pages, which are then uncached; -ENODEV; -EINTR killed.
 */
int udrv_bar_mmap_check(struct udrv_client *client, unsigned int index, bool wc,
			unsigned long first, unsigned long pages)
{
	struct udrv_device *udev = client->udev;
	struct udrv_bar *bar = &udev->bars[index];
	unsigned long map_pages = bar->map_length >> PAGE_SHIFT;
	int ret = 0;

	if (first >= map_pages || pages > map_pages - first)
		return -EINVAL;
	if (first < bar->nomap_first + bar->nomap_pages && bar->nomap_first < first + pages)
		return -EINVAL;

	/* The writer's side also for @used: a mapping made is a device used. */
	if (down_write_killable(&udev->bar_sem))
		return -EINTR;
	udev->used = true;
	/* Here, not before: udrv_bar_end() takes the lock after the client has ended. */
	if (READ_ONCE(client->ended))
		ret = -ENODEV;
	else if (wc)
		ret = bar_reserve_wc(client, index, first, pages);
	up_write(&udev->bar_sem);
	return ret;
}

/** udrv_bar_end() - a client's mappings and programs are gone: nothing is pinned or combined now */
void udrv_bar_end(struct udrv_device *udev)
{
	unsigned int i;

	down_write(&udev->bar_sem);
	for (i = 0; i < UDRV_BARS; i++) {
		struct udrv_bar *bar = &udev->bars[i];

		bar_drop_io(bar, 0, ULONG_MAX, true);
		while (bar->wc_count) {
			bar->wc_count--;
			arch_io_free_memtype_wc(bar->wc[bar->wc_count].start,
						bar->wc[bar->wc_count].length);
		}
	}
	up_write(&udev->bar_sem);
}

/**
 * udrv_bar_region_info() - UDRV_IOC_REGION_INFO
 * @client: the caller
 * @arg: struct udrv_ioc_region_info
 */
int udrv_bar_region_info(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_region_info *p = arg;
	struct udrv_device *udev = client->udev;
	u32 index = p->index;
	struct udrv_bar *bar;

	if (p->flags || index >= UDRV_REGION_COUNT)
		return -EINVAL;

	/* What is not told below is 0. */
	memset_after(p, 0, index);
	p->offset = UDRV_REGION_OFFSET(index);

	if (index == UDRV_REGION_CONFIG) {
		p->region_flags = UDRV_REGION_READ | UDRV_REGION_WRITE;
		p->length = udev->pdev->cfg_size;
		return 0;
	}

	bar = &udev->bars[index];
	p->region_flags = bar->flags;
	p->length = bar->length;
	if (bar->flags & UDRV_REGION_MMAP) {
		p->offset_wc = p->offset | UDRV_REGION_WC;
		p->nomap_offset = (u64)bar->nomap_first << PAGE_SHIFT;
		p->nomap_length = (u64)bar->nomap_pages << PAGE_SHIFT;
	}
	return 0;
}
