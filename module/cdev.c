// SPDX-License-Identifier: GPL-2.0-only
/*
 * The class, the nodes, and what each file operation comes down to
 *
 * Owns the way from a file descriptor to a client, and nothing else: each operation is passed to
 * the file that owns the noun. pread and pwrite are told apart by the file position (see udrv.h for
 * the layout): 0 is the interrupt, a region's range is a register. A node cannot seek, so that a
 * plain read() is always at 0.
 */
#include <linux/file.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "udrv.h"

static dev_t udrv_devt;
static DEFINE_IDA(udrv_minors);

/* ---- file operations ---- */

/*
 * Both locks that an open needs. Somebody's end may hold the device's for a second, and the other
 * one is everybody's: it is not held while waiting.
 */
static int cdev_lock_to_open(struct udrv_device *udev)
{
	for (;;) {
		if (mutex_lock_interruptible(&udrv_trust_lock))
			return -ERESTARTSYS;
		if (mutex_trylock(&udev->lock))
			return 0;
		mutex_unlock(&udrv_trust_lock);

		if (mutex_lock_interruptible(&udev->lock))
			return -ERESTARTSYS;
		mutex_unlock(&udev->lock);
	}
}

static int udrv_cdev_open(struct inode *inode, struct file *file)
{
	struct udrv_device *udev = container_of(inode->i_cdev, struct udrv_device, cdev);
	struct udrv_client *client;
	bool confined;
	int ret;

	/* What a recovery that is over wants of us: its outcome is known then. */
	flush_work(&udev->error_work);
	ret = cdev_lock_to_open(udev);
	if (ret)
		return ret;

	ret = -ENODEV;
	if (udev->gone)
		goto err_locks;

	ret = -EIO;
	if (udev->failed)
		goto err_locks;

	ret = -EBUSY;
	if (udev->client || udev->away)
		goto err_locks;

	ret = udrv_trust_open(udev, &confined);
	if (ret)
		goto err_locks;
	mutex_unlock(&udrv_trust_lock);

	/* Powered while it is open. */
	ret = pm_runtime_resume_and_get(&udev->pdev->dev);
	if (ret)
		goto err_trust;

	client = udrv_client_create(udev, file, confined);
	ret = PTR_ERR_OR_ZERO(client);
	if (ret)
		goto err_power;

	udev->client = client;
	file->private_data = client;
	file->f_mode |= FMODE_NOWAIT;
	/* When a device interrupts is not for others to watch, and to look for them costs time. */
	file->f_mode = (file->f_mode & ~FMODE_FSNOTIFY_MASK) | FMODE_NONOTIFY;
	mutex_unlock(&udev->lock);
	return 0;

err_power:
	pm_runtime_put(&udev->pdev->dev);
err_trust:
	udrv_trust_close(udev);
	mutex_unlock(&udev->lock);
	return ret;
err_locks:
	mutex_unlock(&udev->lock);
	mutex_unlock(&udrv_trust_lock);
	return ret;
}

static int udrv_cdev_release(struct inode *inode, struct file *file)
{
	struct udrv_client *client = file->private_data;
	struct udrv_device *udev = client->udev;

	mutex_lock(&udev->lock);
	if (udev->client == client)
		udrv_client_leave(udev, UDRV_END_RELEASE);
	mutex_unlock(&udev->lock);

	/*
	 * Who closes finds its limits as they were. Not under the lock: it waits for an mmap_lock.
	 */
	flush_work(&client->reap_work);
	udrv_client_put(client);
	return 0;
}

/* A register access at @pos; the value goes through the kernel's own copy. */
static ssize_t udrv_cdev_region(struct udrv_client *client, u64 *value, size_t width, loff_t pos,
				bool write)
{
	u64 offset = pos & (BIT_ULL(UDRV_REGION_SHIFT) - 1);
	u64 index = ((u64)pos >> UDRV_REGION_SHIFT) - 1;

	if (index < UDRV_BARS)
		return udrv_bar_access(client, index, value, width, offset, write);
	if (index == UDRV_REGION_CONFIG)
		return udrv_config_access(client, value, width, offset, write);
	return -EINVAL;
}

static bool udrv_cdev_width_ok(size_t width)
{
	return width == 1 || width == 2 || width == 4 || width == 8;
}

/* Where the @width bytes of a value lie in a u64 that holds it, in the CPU's order. */
static void *value_bytes(u64 *value, size_t width)
{
	return (u8 *)value + (IS_ENABLED(CONFIG_CPU_BIG_ENDIAN) ? sizeof(*value) - width : 0);
}

static ssize_t udrv_cdev_read_at(struct file *file, char __user *buf, size_t bytes, loff_t pos,
				 unsigned int nonblock)
{
	struct udrv_client *client = file->private_data;
	u64 value = 0;
	ssize_t ret;

	if (!pos)
		return udrv_irq_read_wait(client, buf, bytes, nonblock);

	if (!udrv_cdev_width_ok(bytes))
		return -EINVAL;
	ret = udrv_cdev_region(client, &value, bytes, pos, false);
	if (ret > 0 && copy_to_user(buf, value_bytes(&value, bytes), bytes))
		ret = -EFAULT;
	return ret;
}

static ssize_t udrv_cdev_read(struct file *file, char __user *buf, size_t bytes, loff_t *pos)
{
	if (likely(!*pos)) /* the short way */
		return udrv_irq_read(file, buf, bytes);
	return udrv_cdev_read_at(file, buf, bytes, *pos, file->f_flags & O_NONBLOCK);
}

/*
 * preadv2() and io_uring come this way, read() and pread() do not. With RWF_NOWAIT one read does
 * not wait although the descriptor does: what a wait with a timeout needs, where another thread may
 * take the record after poll() has seen it, and O_NONBLOCK would be that thread's too.
 */
static ssize_t udrv_cdev_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp;
	size_t bytes = iov_iter_count(to);

	if (!user_backed_iter(to) || iov_iter_single_seg_count(to) != bytes)
		return -EINVAL;
	return udrv_cdev_read_at(file, iter_iov_addr(to), bytes, iocb->ki_pos,
				 file->f_flags & O_NONBLOCK || iocb->ki_flags & IOCB_NOWAIT);
}

static ssize_t udrv_cdev_write(struct file *file, const char __user *buf, size_t bytes, loff_t *pos)
{
	struct udrv_client *client = file->private_data;
	u64 value = 0;
	ssize_t ret;

	if (!*pos || !udrv_cdev_width_ok(bytes))
		return -EINVAL;
	if (copy_from_user(value_bytes(&value, bytes), buf, bytes))
		return -EFAULT;
	ret = udrv_cdev_region(client, &value, bytes, *pos, true);
	if (ret > 0)
		*pos += ret; /* the next segment of a pwritev() is the next register */
	return ret;
}

static __poll_t udrv_cdev_poll(struct file *file, poll_table *wait)
{
	return udrv_irq_poll(file->private_data, file, wait);
}

static int udrv_cdev_fasync(int fd, struct file *file, int on)
{
	struct udrv_client *client = file->private_data;

	return fasync_helper(fd, file, on, &client->irq.fasync);
}

static int udrv_cdev_mmap(struct file *file, struct vm_area_struct *vma)
{
	return udrv_area_mmap(file->private_data, vma);
}

static const struct file_operations udrv_cdev_fops = {
	.owner = THIS_MODULE,
	.open = udrv_cdev_open,
	.release = udrv_cdev_release,
	.read = udrv_cdev_read,
	.read_iter = udrv_cdev_read_iter,
	.write = udrv_cdev_write,
	.poll = udrv_cdev_poll,
	.fasync = udrv_cdev_fasync,
	.mmap = udrv_cdev_mmap,
	.unlocked_ioctl = udrv_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/**
 * udrv_cdev_client_get() - the client behind a descriptor of the calling process
 * @fd: of a node, open for writing
 *
 * Return: a reference, or an ERR_PTR: -EBADF, -EINVAL it is something else
 */
struct udrv_client *udrv_cdev_client_get(int fd)
{
	struct file *file = fget(fd);
	struct udrv_client *client;

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op != &udrv_cdev_fops) {
		client = ERR_PTR(-EINVAL);
	} else {
		client = file->private_data;
		if (client->read_only)
			client = ERR_PTR(-EBADF);
		else
			kref_get(&client->ref);
	}
	fput(file);
	return client;
}

/* ---- sysfs: the state, for the tools ---- */

static struct udrv_device *to_udev(struct device *dev)
{
	return container_of(dev, struct udrv_device, dev);
}

static ssize_t owner_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct udrv_device *udev = to_udev(dev);
	pid_t pid;

	mutex_lock(&udev->lock);
	pid = udev->client ? pid_vnr(udev->client->owner) : 0;
	mutex_unlock(&udev->lock);
	return sysfs_emit(buf, "%d\n", pid);
}
static DEVICE_ATTR_RO(owner);

static ssize_t irq_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	static const char *const kinds[] = { "none", "intx", "msi", "msix" };
	struct udrv_device *udev = to_udev(dev);
	unsigned int kind = UDRV_IRQ_NONE, count = 0;

	mutex_lock(&udev->lock);
	if (udev->client) {
		kind = READ_ONCE(udev->client->irq.kind);
		count = READ_ONCE(udev->client->irq.count);
	}
	mutex_unlock(&udev->lock);
	return sysfs_emit(buf, "%s %u\n", kinds[kind], count);
}
static DEVICE_ATTR_RO(irq);

static ssize_t interrupts_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct udrv_device *udev = to_udev(dev);
	unsigned int count, i;
	u64 total = 0;

	mutex_lock(&udev->lock);
	/* Pairs with irq_configure(): as many vectors are there. */
	count = udev->client ? smp_load_acquire(&udev->client->irq.count) : 0;
	for (i = 0; i < count; i++)
		total += READ_ONCE(udev->client->irq.vectors[i].total);
	mutex_unlock(&udev->lock);
	return sysfs_emit(buf, "%llu\n", total);
}
static DEVICE_ATTR_RO(interrupts);

static ssize_t bus_master_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct udrv_device *udev = to_udev(dev);
	bool on;

	mutex_lock(&udev->lock);
	on = udev->client && READ_ONCE(udev->client->bus_master);
	mutex_unlock(&udev->lock);
	return sysfs_emit(buf, "%d\n", on);
}
static DEVICE_ATTR_RO(bus_master);

static ssize_t dma_consistent_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct udrv_device *udev = to_udev(dev);
	s64 bytes;

	mutex_lock(&udev->lock);
	bytes = udev->client ? atomic64_read(&udev->client->consistent_bytes) : 0;
	mutex_unlock(&udev->lock);
	return sysfs_emit(buf, "%lld\n", bytes);
}
static DEVICE_ATTR_RO(dma_consistent);

static ssize_t dma_streaming_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct udrv_device *udev = to_udev(dev);
	s64 bytes;

	mutex_lock(&udev->lock);
	bytes = udev->client ? atomic64_read(&udev->client->streaming_bytes) : 0;
	mutex_unlock(&udev->lock);
	return sysfs_emit(buf, "%lld\n", bytes);
}
static DEVICE_ATTR_RO(dma_streaming);

static ssize_t trust_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct udrv_device *udev = to_udev(dev);
	const char *reason;

	mutex_lock(&udrv_trust_lock);
	reason = udrv_trust_reason(udev);
	mutex_unlock(&udrv_trust_lock);
	return reason ? sysfs_emit(buf, "trusted: %s\n", reason) : sysfs_emit(buf, "confined\n");
}
static DEVICE_ATTR_RO(trust);

/* For root: take the node from a driver that hangs. */
static ssize_t revoke_store(struct device *dev, struct device_attribute *attr, const char *buf,
			    size_t count)
{
	bool yes;
	int ret;

	ret = kstrtobool(buf, &yes);
	if (ret)
		return ret;
	if (yes)
		udrv_client_revoke(to_udev(dev), false);
	return count;
}
static DEVICE_ATTR_WO(revoke);

static struct attribute *udrv_attrs[] = {
	&dev_attr_owner.attr,
	&dev_attr_irq.attr,
	&dev_attr_interrupts.attr,
	&dev_attr_bus_master.attr,
	&dev_attr_dma_consistent.attr,
	&dev_attr_dma_streaming.attr,
	&dev_attr_trust.attr,
	&dev_attr_revoke.attr,
	NULL,
};
ATTRIBUTE_GROUPS(udrv);

static char *udrv_devnode(UDRV_CLASS_CONST struct device *dev, umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "udrv/%s", dev_name(dev));
}

static struct class udrv_class = {
	.name = "udrv",
	.dev_groups = udrv_groups,
	.devnode = udrv_devnode,
};

/* ---- coming and going ---- */

static void udrv_cdev_release_device(struct device *dev)
{
	struct udrv_device *udev = to_udev(dev);

	pci_dev_put(udev->pdev);
	kfree(udev);
}

/**
 * udrv_cdev_init_device() - make the structure's class device: put_device() frees it from here on
 * @udev: with @pdev set
 */
void udrv_cdev_init_device(struct udrv_device *udev)
{
	struct pci_dev *pdev = udev->pdev;
	int domain = pci_domain_nr(pdev->bus);

	/* A descriptor may outlive the device: what it asks of @pdev must still be memory. */
	pci_dev_get(pdev);
	device_initialize(&udev->dev);
	udev->dev.class = &udrv_class;
	udev->dev.parent = &pdev->dev;
	udev->dev.release = udrv_cdev_release_device;

	if (domain)
		snprintf(udev->name, sizeof(udev->name), "pci-%04x:%02x:%02x.%d", domain,
			 pdev->bus->number, PCI_SLOT(pdev->devfn), PCI_FUNC(pdev->devfn));
	else
		snprintf(udev->name, sizeof(udev->name), "pci-%02x:%02x.%d",
			 pdev->bus->number, PCI_SLOT(pdev->devfn), PCI_FUNC(pdev->devfn));
}

/**
 * udrv_cdev_add() - show the device to the world
 * @udev: ready to be opened
 * Return: 0 or -errno
 */
int udrv_cdev_add(struct udrv_device *udev)
{
	int minor, ret;

	minor = ida_alloc_max(&udrv_minors, MINORMASK, GFP_KERNEL);
	if (minor < 0)
		return minor;

	udev->dev.devt = MKDEV(MAJOR(udrv_devt), minor);
	ret = dev_set_name(&udev->dev, "%s", udev->name);
	if (ret)
		goto err_minor;

	cdev_init(&udev->cdev, &udrv_cdev_fops);
	udev->cdev.owner = THIS_MODULE;
	ret = cdev_device_add(&udev->cdev, &udev->dev);
	if (ret)
		goto err_minor;

	return 0;

err_minor:
	ida_free(&udrv_minors, minor);
	return ret;
}

/** udrv_cdev_del() - hide it again; descriptors that are open live on, and find it gone */
void udrv_cdev_del(struct udrv_device *udev)
{
	cdev_device_del(&udev->cdev, &udev->dev);
	ida_free(&udrv_minors, MINOR(udev->dev.devt));
}

/** udrv_cdev_init() - class and device numbers */
int udrv_cdev_init(void)
{
	int ret;

	ret = alloc_chrdev_region(&udrv_devt, 0, MINORMASK + 1, "udrv");
	if (ret)
		return ret;

	ret = class_register(&udrv_class);
	if (ret)
		unregister_chrdev_region(udrv_devt, MINORMASK + 1);
	return ret;
}

/** udrv_cdev_exit() - undo udrv_cdev_init() */
void udrv_cdev_exit(void)
{
	class_unregister(&udrv_class);
	unregister_chrdev_region(udrv_devt, MINORMASK + 1);
	ida_destroy(&udrv_minors);
}
