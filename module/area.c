// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings: what lies behind each page, and how it is taken away
 *
 * BARs and consistent buffers are mapped alike: mmap() finds an area, pages are inserted on fault,
 * and revocation unmaps them and lets later faults find a page of all-ones. No process ever gets
 * SIGBUS for a device that went away. Mappings may be split, moved and unmapped in parts: an area
 * is found by the mapping's file offset, which all those keep.
 *
 * The hard part is the race of a fault with revocation: the fault handler looks at client->revoked
 * and inserts under bar_sem; revocation sets it under bar_sem held for writing, and unmaps
 * afterwards.
 */
#include <linux/cc_platform.h>
#include <linux/dma-map-ops.h>
#include <linux/mm.h>

#include "udrv.h"

/*
 * Pages put in place by one fault: a ring or a register block costs one fault, not one for each
 * page.
 */
#define AREA_FAULT_PAGES 512UL

static bool area_is_buffer(const struct udrv_area *area)
{
	return area->pfns;
}

static unsigned long area_pfn(const struct udrv_area *area, unsigned long page)
{
	return area->pfns ? area->pfns[page] : area->base_pfn + page;
}

static vm_fault_t area_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct udrv_area *area = vma->vm_private_data;
	struct udrv_client *client = area->client;
	unsigned long page = vmf->pgoff - area->pgoff;
	unsigned long addr = vmf->address & PAGE_MASK;
	unsigned long last;
	vm_fault_t ret;

	if (page >= area->pages)
		return VM_FAULT_SIGBUS; /* mmap and DONTEXPAND do not let it come to this */

	/*
	 * A reset may take long, and a process that is killed must not wait for its end. To the
	 * process itself it does not matter what is returned then. But where the kernel has touched
	 * the page, only an error keeps it from trying again for ever.
	 */
	if (down_read_killable(&client->udev->bar_sem))
		return vmf->flags & FAULT_FLAG_USER ? VM_FAULT_NOPAGE : VM_FAULT_SIGBUS;
	if (client->revoked) {
		ret = vmf_insert_pfn_prot(vma, addr, page_to_pfn(client->ones),
					  vm_get_page_prot(vma->vm_flags));
		goto out;
	}

	ret = vmf_insert_pfn_prot(vma, addr, area_pfn(area, page), vma->vm_page_prot);
	if (ret != VM_FAULT_NOPAGE)
		goto out;

	/* Fault-around, upwards: best effort, the page that was asked for is there. */
	last = min3(page + AREA_FAULT_PAGES, area->pages,
		    page + ((vma->vm_end - addr) >> PAGE_SHIFT));
	for (page++, addr += PAGE_SIZE; page < last; page++, addr += PAGE_SIZE)
		if (vmf_insert_pfn_prot(vma, addr, area_pfn(area, page), vma->vm_page_prot) !=
		    VM_FAULT_NOPAGE)
			break;
out:
	up_read(&client->udev->bar_sem);
	return ret;
}

static void area_open(struct vm_area_struct *vma)
{
	struct udrv_area *area = vma->vm_private_data;

	if (area_is_buffer(area))
		udrv_dma_area_ref(area);
}

static void area_close(struct vm_area_struct *vma)
{
	struct udrv_area *area = vma->vm_private_data;

	if (area_is_buffer(area))
		udrv_dma_area_put(area);
}

static const struct vm_operations_struct area_vm_ops = {
	.open = area_open,
	.close = area_close,
	.fault = area_fault,
};

static int area_mmap_bar(struct udrv_client *client, struct vm_area_struct *vma, u64 offset)
{
	u64 index = (offset >> UDRV_REGION_SHIFT) - 1;
	bool wc = offset & UDRV_REGION_WC;
	unsigned long first = (offset & (UDRV_REGION_WC - 1)) >> PAGE_SHIFT;
	int ret;

	if (index >= UDRV_BARS)
		return -EINVAL;

	ret = udrv_bar_mmap_check(client, index, wc, first, vma_pages(vma));
	if (ret)
		return ret;

	vma->vm_private_data = &client->bar_areas[index][wc];
	vma->vm_page_prot = pgprot_decrypted(wc ? pgprot_writecombine(vma->vm_page_prot) :
						  pgprot_noncached(vma->vm_page_prot));
	return 0;
}

static int area_mmap_buffer(struct udrv_client *client, struct vm_area_struct *vma, u64 offset)
{
	struct udrv_area *area = udrv_dma_area_get(client, offset);
	unsigned long first;

	if (!area)
		return -EINVAL;

	first = vma->vm_pgoff - area->pgoff;
	if (first >= area->pages || vma_pages(vma) > area->pages - first) {
		udrv_dma_area_put(area);
		return -EINVAL;
	}

	vma->vm_private_data = area; /* the mapping's reference */
	if (!dev_is_dma_coherent(&client->udev->pdev->dev))
		vma->vm_page_prot = pgprot_dmacoherent(vma->vm_page_prot);
	/* In an encrypted guest the DMA API gives memory that is not. */
	if (cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT))
		vma->vm_page_prot = pgprot_decrypted(vma->vm_page_prot);
	return 0;
}

/**
 * udrv_area_mmap() - map part of a BAR or of a consistent buffer
 * @client: whose
 * @vma: where; its offset says what
 *
 * Context: process, mmap_lock held for writing.
 * Return: 0; -EINVAL not an area, not inside it, not shared; -EPERM executable; -ENODEV gone.
 */
int udrv_area_mmap(struct udrv_client *client, struct vm_area_struct *vma)
{
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	int ret;

	if (READ_ONCE(client->ended))
		return -ENODEV;
	/*
	 * A private mapping would copy on write, and page-frame mappings cannot. (MAYSHARE: of a
	 * read-only descriptor the kernel drops SHARED itself, and the right to write with it.)
	 */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	if (vma->vm_pgoff >= BIT_ULL(44) >> PAGE_SHIFT)
		return -EINVAL;

	if (offset >= UDRV_DMA_OFFSET)
		ret = area_mmap_buffer(client, vma, offset);
	else
		ret = area_mmap_bar(client, vma, offset);
	if (ret)
		return ret;

	/*
	 * DONTCOPY: a child has no part in the tenure, and must not keep it alive. IO: madvise()
	 * cannot change that.
	 */
	vm_flags_set(vma, VM_IO | VM_DONTDUMP | VM_PFNMAP | VM_DONTEXPAND | VM_DONTCOPY);
	vm_flags_clear(vma, VM_MAYEXEC);
	vma->vm_ops = &area_vm_ops;
	return 0;
}

/**
 * udrv_area_init() - describe an area
 * @area: to be filled; frames are the caller's to set
 * @client: whose
 * @offset: its file offset, whole pages
 * @pages: its length
 */
void udrv_area_init(struct udrv_area *area, struct udrv_client *client, u64 offset,
		    unsigned long pages)
{
	area->client = client;
	area->pgoff = offset >> PAGE_SHIFT;
	area->pages = pages;
}

/**
 * udrv_area_revoke_all() - take all of a client's mappings away, for good
 * @client: whose
 *
 * When it returns no process reaches the device or its buffers; what is touched later is a page of
 * the client's own that was filled with ones. It can be written, so that a write that comes late is
 * no SIGSEGV; who writes finds that, instead of ones.
 *
 * Context: process, client->lock held. Waits for no process.
 */
void udrv_area_revoke_all(struct udrv_client *client)
{
	down_write(&client->udev->bar_sem);
	client->revoked = true;
	up_write(&client->udev->bar_sem);

	unmap_mapping_range(client->mapping, 0, 0, 1);
}
