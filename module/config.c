// SPDX-License-Identifier: GPL-2.0-only
/*
 * Config space: all of it to read, an allow-list to write
 *
 * What a driver may write is a table by capability. It leaves out all that would change where the
 * device lies (BARs), what it may reach (bus mastering, ATS, PASID, SR-IOV, payload sizes), how it
 * interrupts (MSI, MSI-X, INTx disable), how it is powered or reset: those are the kernel's, or
 * have calls of their own. A capability that is not listed is read-only.
 *
 * The hard part is write-1-to-clear bits: a merge of old and new must never write back a 1 that
 * nobody meant. So they are known separately, also where they may not be written.
 */
#include <linux/pci.h>
#include <linux/slab.h>

#include "udrv.h"

/* One field: where it is in its structure, and which bits may be written or are cleared by a 1. */
struct config_field {
	u16 offset;
	u8 width;
	u32 rw;
	u32 w1c;	/* may be cleared by the driver */
	u32 w1c_kernel; /* cleared by a 1 too, and not the driver's to clear */
};

#define CONFIG_STATUS_W1C (PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT | \
			   PCI_STATUS_REC_TARGET_ABORT | PCI_STATUS_REC_MASTER_ABORT | \
			   PCI_STATUS_SIG_SYSTEM_ERROR | PCI_STATUS_DETECTED_PARITY)

static const struct config_field config_header[] = {
	{ PCI_COMMAND, 2, PCI_COMMAND_PARITY | PCI_COMMAND_SERR, 0, 0 },
	{ PCI_STATUS, 2, 0, CONFIG_STATUS_W1C, 0 },
	{ PCI_CACHE_LINE_SIZE, 1, 0xff, 0, 0 },
	{ PCI_LATENCY_TIMER, 1, 0xff, 0, 0 },
	{ PCI_INTERRUPT_LINE, 1, 0xff, 0, 0 },
	{ }
};

static const struct config_field config_pm[] = {
	{ PCI_PM_CTRL, 2, 0, 0, PCI_PM_CTRL_PME_STATUS },
	{ }
};

static const struct config_field config_exp[] = {
	{ PCI_EXP_DEVCTL, 2,
	  PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE |
	  PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_NOSNOOP_EN, 0, 0 },
	{ PCI_EXP_DEVSTA, 2, 0,
	  PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED | PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD, 0 },
	{ PCI_EXP_LNKSTA, 2, 0, 0, PCI_EXP_LNKSTA_LBMS | PCI_EXP_LNKSTA_LABS },
	{ }
};

static const struct config_field config_aer[] = {
	{ PCI_ERR_UNCOR_STATUS, 4, 0, 0xffffffff, 0 },
	{ PCI_ERR_UNCOR_MASK, 4, 0xffffffff, 0, 0 },
	{ PCI_ERR_UNCOR_SEVER, 4, 0xffffffff, 0, 0 },
	{ PCI_ERR_COR_STATUS, 4, 0, 0xffffffff, 0 },
	{ PCI_ERR_COR_MASK, 4, 0xffffffff, 0, 0 },
	{ }
};

/* As many capabilities as there is room for: a chain may be a circle. */
#define CONFIG_MAX_CAPS 48

static void config_allow(struct udrv_device *udev, u8 *w1c_all, unsigned int base,
			 const struct config_field *field)
{
	unsigned int i, at;

	for (; field->width; field++) {
		for (i = 0; i < field->width; i++) {
			at = base + field->offset + i;
			if (at >= udev->pdev->cfg_size)
				return;
			udev->config_rw[at] |= field->rw >> (8 * i);
			udev->config_rw[at] |= field->w1c >> (8 * i);
			w1c_all[at] |= (field->w1c | field->w1c_kernel) >> (8 * i);
		}
	}
}

/* A vendor-specific capability says its own length, which must be believed only so far. */
static void config_allow_vendor(struct udrv_device *udev, unsigned int cap)
{
	unsigned int i, end = PCI_CFG_SPACE_SIZE, count;
	u8 length, next;

	pci_read_config_byte(udev->pdev, cap + PCI_CAP_FLAGS, &length);
	end = min(end, cap + length);
	/* Not beyond the next capability: that one's fields have their own rules. */
	pci_read_config_byte(udev->pdev, PCI_CAPABILITY_LIST, &next);
	for (count = 0; next >= PCI_STD_HEADER_SIZEOF && count < CONFIG_MAX_CAPS; count++) {
		next &= ~3;
		if (next > cap)
			end = min_t(unsigned int, end, next);
		pci_read_config_byte(udev->pdev, next + PCI_CAP_LIST_NEXT, &next);
	}
	for (i = cap + 3; i < end; i++)
		udev->config_rw[i] = 0xff;
}

/**
 * udrv_config_init() - build the tables for this device
 * @udev: the device
 * Return: 0 or -ENOMEM
 */
int udrv_config_init(struct udrv_device *udev)
{
	struct pci_dev *pdev = udev->pdev;
	unsigned int cap, count;

	udev->config_rw = kzalloc(pdev->cfg_size, GFP_KERNEL);
	udev->config_w1c = kzalloc(pdev->cfg_size, GFP_KERNEL);
	if (!udev->config_rw || !udev->config_w1c) {
		udrv_config_exit(udev);
		return -ENOMEM;
	}

	/*
	 * First what claims most; what follows does not take away. The chain's length is bounded.
	 */
	cap = pci_find_capability(pdev, PCI_CAP_ID_VNDR);
	for (count = 0; cap && count < CONFIG_MAX_CAPS; count++) {
		config_allow_vendor(udev, cap);
		cap = pci_find_next_capability(pdev, cap, PCI_CAP_ID_VNDR);
	}

	config_allow(udev, udev->config_w1c, 0, config_header);
	cap = pci_find_capability(pdev, PCI_CAP_ID_PM);
	if (cap)
		config_allow(udev, udev->config_w1c, cap, config_pm);
	if (pci_is_pcie(pdev))
		config_allow(udev, udev->config_w1c, pci_pcie_cap(pdev), config_exp);
	cap = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_ERR);
	if (cap)
		config_allow(udev, udev->config_w1c, cap, config_aer);
	return 0;
}

/** udrv_config_exit() - free the tables */
void udrv_config_exit(struct udrv_device *udev)
{
	kfree(udev->config_rw);
	kfree(udev->config_w1c);
}

static u32 config_read(struct pci_dev *pdev, unsigned int offset, size_t width)
{
	u32 value32 = 0;
	u16 value16 = 0;
	u8 value8 = 0;

	switch (width) {
	case 1:
		pci_read_config_byte(pdev, offset, &value8);
		return value8;
	case 2:
		pci_read_config_word(pdev, offset, &value16);
		return value16;
	default:
		pci_read_config_dword(pdev, offset, &value32);
		return value32;
	}
}

static void config_write(struct pci_dev *pdev, unsigned int offset, size_t width, u32 value)
{
	switch (width) {
	case 1:
		pci_write_config_byte(pdev, offset, value);
		break;
	case 2:
		pci_write_config_word(pdev, offset, value);
		break;
	default:
		pci_write_config_dword(pdev, offset, value);
		break;
	}
}

/*
 * The no-snoop bit, where an access at @offset meets it: it would get past cache and zeroed pages.
 */
static u32 config_no_snoop(struct udrv_device *udev, unsigned int offset, size_t width)
{
	unsigned int at = pci_pcie_cap(udev->pdev) + PCI_EXP_DEVCTL + 1;

	if (!pci_is_pcie(udev->pdev) || at < offset || at >= offset + width)
		return 0;
	return (u32)(PCI_EXP_DEVCTL_NOSNOOP_EN >> 8) << (8 * (at - offset));
}

/** udrv_config_confine() - switch off what a confined driver may not use, before it has it */
void udrv_config_confine(struct udrv_device *udev)
{
	pcie_capability_clear_word(udev->pdev, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_NOSNOOP_EN);
}

static u32 config_mask(const u8 *table, unsigned int offset, size_t width)
{
	u32 mask = 0;
	unsigned int i;

	for (i = 0; i < width; i++)
		mask |= (u32)table[offset + i] << (8 * i);
	return mask;
}

/**
 * udrv_config_access() - read or write config space
 * @client: the caller
 * @value: the kernel's copy of the value
 * @width: 1, 2 or 4
 * @offset: in config space
 * @write: direction; bits that may not be written keep their value
 *
 * Context: process.
 * Return: @width; -EINVAL bad width, misaligned or out of bounds; -EPERM no bit may be written;
 * -ENODEV gone; -EINTR killed.
 */
ssize_t udrv_config_access(struct udrv_client *client, u64 *value, size_t width, u64 offset,
			   bool write)
{
	struct udrv_device *udev = client->udev;
	unsigned long flags;
	u32 rw, old, new;
	ssize_t ret;

	if (width > 4 || offset >= udev->pdev->cfg_size ||
	    width > udev->pdev->cfg_size - offset || (offset & (width - 1)))
		return -EINVAL;

	/* bar_sem keeps a reset away, during which config space does not answer. */
	if (down_read_killable(&udev->bar_sem))
		return -EINTR;
	ret = -ENODEV;
	if (READ_ONCE(client->ended))
		goto out;

	if (!write) {
		*value = config_read(udev->pdev, offset, width);
		ret = width;
		goto out;
	}

	ret = -EPERM;
	rw = config_mask(udev->config_rw, offset, width);
	if (client->confined)
		rw &= ~config_no_snoop(udev, offset, width);
	if (!rw)
		goto out;
	new = *value;

	spin_lock_irqsave(&udev->command_lock, flags);
	old = config_read(udev->pdev, offset, width);
	old &= ~config_mask(udev->config_w1c, offset, width);
	config_write(udev->pdev, offset, width, (old & ~rw) | (new & rw));
	spin_unlock_irqrestore(&udev->command_lock, flags);
	ret = width;
out:
	up_read(&udev->bar_sem);
	return ret;
}
