// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk: what the kernel sees, with a driver or without
 *
 * Owns the gendisk: its making and end, its limits, and who has its requests. A disk is put into the
 * system and taken out of it by work items: the kernel reads it for partitions then, or writes what is
 * dirty, and the driver has to serve that, whose call this was.
 *
 * The hard part is a driver that ends in the middle: the work item waits with the requests, for the
 * next driver or for the end of the disk, which makes them fail first, and then waits for the work.
 */
#include <linux/ctype.h>
#include <linux/dma-mapping.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "blk.h"

#define NAME_PREFIX "udrv"
#define NAME_LETTERS 20

struct workqueue_struct *udrv_blk_wq;
static LIST_HEAD(all_disks); /* under udrv_blk_lock */

/* ---- who has its requests ---- */

/**
 * udrv_blk_disk_set_state() - let another one have a disk's requests
 * @disk: the disk
 * @state: who
 *
 * When it returns, whoever had them gets none any more.
 *
 * Context: process, udrv_blk_lock held.
 */
void udrv_blk_disk_set_state(struct udrv_blk_disk *disk, enum udrv_blk_disk_state state)
{
	struct request_queue *queue;

	lockdep_assert_held(&udrv_blk_lock);
	if (disk->state == state || !disk->disk)
		return;
	queue = disk->disk->queue;
	/* Whoever is in queue_rq() is waited for. Not again: it counts. */
	if (disk->state != UDRV_BLK_DISK_WAITS)
		blk_mq_quiesce_queue(queue);
	WRITE_ONCE(disk->state, state);
	if (state != UDRV_BLK_DISK_WAITS) {
		blk_mq_unquiesce_queue(queue);
		blk_mq_kick_requeue_list(queue);
	}
}

/* ---- into the system and out of it ---- */

/* What its driver says that it is, for udev; it does not change. */
static ssize_t serial_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const struct udrv_blk_disk *disk = dev_to_disk(dev)->queue->queuedata;

	return sysfs_emit(buf, "%s\n", disk->made.id);
}
static DEVICE_ATTR_RO(serial);

static struct attribute *disk_attrs[] = {
	&dev_attr_serial.attr,
	NULL,
};
ATTRIBUTE_GROUPS(disk);

static void disk_add_work(struct work_struct *work)
{
	struct udrv_blk_disk *disk = container_of(work, struct udrv_blk_disk, add);
	struct udrv_device *udev = disk->host->udev;
	int ret;

	ret = device_add_disk(udev ? &udev->pdev->dev : NULL, disk->disk, disk_groups);
	if (ret)
		pr_debug("%s: %d\n", disk->disk->disk_name, ret);
	disk->added = !ret;
}

/* Nobody kicks it any more. */
static void gendisk_put(struct gendisk *gendisk)
{
	cancel_delayed_work_sync(&gendisk->queue->requeue_work);
	put_disk(gendisk);
}

/* By its driver's wish: what is dirty is written, and it is asked for that. */
static void disk_remove_work(struct work_struct *work)
{
	struct udrv_blk_disk *disk = container_of(work, struct udrv_blk_disk, remove);
	struct gendisk *gendisk;
	bool ours;

	flush_work(&disk->add);
	if (disk->added)
		del_gendisk(disk->disk);
	mutex_lock(&udrv_blk_lock);
	disk->added = false;
	gendisk = disk->disk;
	disk->disk = NULL;
	mutex_unlock(&udrv_blk_lock);
	gendisk_put(gendisk); /* while it is in a list, its host has the tag set that this may need */

	mutex_lock(&udrv_blk_lock);
	ours = !list_empty(&disk->node); /* else udrv_blk_delete() has it, and waits for us */
	if (ours) {
		list_del_init(&disk->node);
		list_del(&disk->all);
	}
	mutex_unlock(&udrv_blk_lock);
	if (ours)
		kfree_rcu(disk, rcu); /* commit_rqs() may look at it */
}

/**
 * udrv_blk_disk_lose() - a disk goes, whatever it is doing
 * @disk: no host's any more; its requests fail
 *
 * Context: process, no lock held under which I/O could be waited for.
 */
void udrv_blk_disk_lose(struct udrv_blk_disk *disk)
{
	flush_work(&disk->add);
	if (disk->removing) {
		flush_work(&disk->remove);
	} else if (disk->added) {
		/* First: nothing is to be written any more. */
		blk_mark_disk_dead(disk->disk);
	}
	if (disk->added)
		del_gendisk(disk->disk);
	if (disk->disk)
		gendisk_put(disk->disk);
	mutex_lock(&udrv_blk_lock);
	list_del(&disk->all); /* only now is its name free */
	mutex_unlock(&udrv_blk_lock);
	kfree_rcu(disk, rcu);
}

/* ---- making ---- */

static struct udrv_blk_disk *disk_find(struct udrv_blk *host, u32 unit)
{
	struct udrv_blk_disk *disk;

	list_for_each_entry(disk, &host->disks, node)
		if (disk->made.unit == unit)
			return disk;
	return NULL;
}

static bool bytes_valid(u64 bytes, u32 block)
{
	return bytes && bytes <= S64_MAX && !(bytes % block);
}

static int disk_check(struct udrv_ioc_blk_disk *p)
{
	const u32 features = UDRV_BLK_WRITE_CACHE | UDRV_BLK_HAS_FUA | UDRV_BLK_ROTATIONAL |
			     UDRV_BLK_READ_ONLY;

	if (p->flags || p->reserved || p->features & ~features || p->unit >= UDRV_BLK_UNITS_MAX)
		return -EINVAL;
	if (p->features & UDRV_BLK_HAS_FUA && !(p->features & UDRV_BLK_WRITE_CACHE))
		return -EINVAL;
	if (!udrv_blk_power_within(p->logical_block, SECTOR_SIZE, PAGE_SIZE))
		return -EINVAL;
	p->physical_block = p->physical_block ?: p->logical_block;
	p->discard_granularity = p->discard_granularity ?: p->logical_block;
	if (!udrv_blk_power_within(p->physical_block, p->logical_block, 65536) ||
	    !udrv_blk_power_within(p->discard_granularity, p->logical_block, 1U << 30))
		return -EINVAL;
	if (!bytes_valid(p->bytes, p->logical_block) ||
	    p->discard_bytes % p->logical_block || p->zeroes_bytes % p->logical_block ||
	    p->io_opt % p->logical_block)
		return -EINVAL;
	p->id[sizeof(p->id) - 1] = 0;
	memset(p->id + strlen(p->id), 0, sizeof(p->id) - strlen(p->id));
	return 0;
}

/*
 * "udrv", then small letters, or digits: no other driver's disk has such a name, and none is that of a
 * partition of another one.
 */
static bool name_valid(const char *name)
{
	size_t length = strnlen(name, UDRV_BLK_NAME_BYTES), i;

	if (strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) ||
	    length <= strlen(NAME_PREFIX) || length > strlen(NAME_PREFIX) + NAME_LETTERS)
		return false;
	for (i = strlen(NAME_PREFIX); i < length; i++)
		if (isdigit(name[strlen(NAME_PREFIX)]) ? !isdigit(name[i]) : !islower(name[i]))
			return false;
	return true;
}

static struct gendisk *gendisk_alloc(struct udrv_blk *host, const struct udrv_ioc_blk_disk *p,
				     void *queuedata)
{
	const struct udrv_blk_limits *h = &host->limits;
	struct udrv_disk_limits l = {
		.logical_block = p->logical_block,
		.physical_block = p->physical_block,
		.io_opt = p->io_opt,
		.max_bytes = h->max_bytes,
		.max_segments = h->max_segments,
		.max_segment_bytes = h->max_segment_bytes,
		.virt_boundary = h->virt_boundary,
		.dma_alignment = h->dma_alignment,
		.discard_bytes = p->discard_bytes,
		.discard_granularity = p->discard_granularity,
		.zeroes_bytes = p->zeroes_bytes,
		.write_cache = p->features & UDRV_BLK_WRITE_CACHE,
		.fua = p->features & UDRV_BLK_HAS_FUA,
		.rotational = p->features & UDRV_BLK_ROTATIONAL,
	};

	/* A boundary leaves pieces without a limit. */
	if (h->virt_boundary)
		l.max_bytes = h->mapping_bytes;
	else
		l.max_segment_bytes = min(h->max_segment_bytes, h->mapping_bytes);
	return udrv_alloc_disk(&host->tags, &l, queuedata);
}

static const struct block_device_operations disk_fops = {
	.owner = THIS_MODULE,
};

/* udrv_blk_lock held. */
static struct udrv_blk_disk *disk_create(struct udrv_blk *host, const struct udrv_ioc_blk_disk *p)
{
	struct udrv_blk_disk *disk;
	struct gendisk *gendisk;

	disk = kzalloc(sizeof(*disk), GFP_KERNEL_ACCOUNT);
	if (!disk)
		return ERR_PTR(-ENOMEM);
	disk->host = host;
	disk->made = *p;
	INIT_WORK(&disk->add, disk_add_work);
	INIT_WORK(&disk->remove, disk_remove_work);
	gendisk = gendisk_alloc(host, p, disk);
	if (IS_ERR(gendisk)) {
		kfree(disk);
		return ERR_CAST(gendisk);
	}
	disk->disk = gendisk;
	disk->state = UDRV_BLK_DISK_SERVED;
	gendisk->fops = &disk_fops;
	strscpy(gendisk->disk_name, p->name, sizeof(gendisk->disk_name));
	set_capacity(gendisk, p->bytes >> SECTOR_SHIFT);
	set_disk_ro(gendisk, p->features & UDRV_BLK_READ_ONLY);
	list_add_tail(&disk->node, &host->disks);
	list_add_tail(&disk->all, &all_disks);
	return disk;
}

/* udrv_blk_lock held. Is it the disk that it was? */
static bool disk_is_same(const struct udrv_blk_disk *disk, const struct udrv_ioc_blk_disk *p)
{
	struct udrv_ioc_blk_disk a = disk->made, b = *p;

	if (b.bytes < a.bytes)
		return false;
	if (!strcmp(b.name, NAME_PREFIX "%d"))
		memcpy(b.name, a.name, sizeof(b.name));
	a.size = b.size;
	a.bytes = b.bytes;
	return !memcmp(&a, &b, sizeof(a));
}

static void disk_set_bytes(struct udrv_blk_disk *disk, u64 bytes)
{
	disk->made.bytes = bytes;
	set_capacity_and_notify(disk->disk, bytes >> SECTOR_SHIFT);
}

/* Nothing is said but the unit, and how large it is to be. */
static bool disk_names_unit(const struct udrv_ioc_blk_disk *p, u64 bytes)
{
	const struct udrv_ioc_blk_disk wanted = {
		.size = p->size,
		.unit = p->unit,
		.bytes = bytes,
	};

	return p->unit < UDRV_BLK_UNITS_MAX && !memcmp(p, &wanted, sizeof(wanted));
}

static bool name_taken(const char *name)
{
	struct udrv_blk_disk *disk;

	list_for_each_entry(disk, &all_disks, all)
		if (!strcmp(disk->made.name, name))
			return true;
	return false;
}

/* udrv_blk_lock held. */
static int name_choose(struct udrv_ioc_blk_disk *p)
{
	unsigned int n = 0;

	if (strnlen(p->name, sizeof(p->name)) == sizeof(p->name))
		return -EINVAL;
	if (!strcmp(p->name, NAME_PREFIX "%d")) {
		do {
			snprintf(p->name, sizeof(p->name), NAME_PREFIX "%u", n++);
		} while (name_taken(p->name));
		return 0;
	}
	/* What follows its end is not looked at. */
	memset(p->name + strlen(p->name), 0, sizeof(p->name) - strlen(p->name));
	if (!name_valid(p->name))
		return -EINVAL;
	return name_taken(p->name) ? -EEXIST : 0;
}

/**
 * udrv_blk_disk_add() - UDRV_IOC_BLK_DISK_ADD
 * @session: the caller's
 * @arg: struct udrv_ioc_blk_disk, our copy
 */
int udrv_blk_disk_add(void *session, void *arg)
{
	struct udrv_blk_session *s = session;
	struct udrv_ioc_blk_disk *p = arg;
	struct udrv_blk_disk *disk;
	unsigned int noio;
	int ret;

	ret = disk_check(p);
	if (ret)
		return ret;
	noio = memalloc_noio_save(); /* as in udrv_blk_link() */
	mutex_lock(&udrv_blk_lock);
	ret = -ENODEV;
	if (!s->host || READ_ONCE(s->ended))
		goto out;
	disk = disk_find(s->host, p->unit);
	if (disk) {
		/* One that is being removed, too, is served until it is gone. */
		if (!disk->disk || disk->state == UDRV_BLK_DISK_SERVED)
			ret = -EBUSY;
		else if (!disk_is_same(disk, p))
			ret = -EINVAL;
		else
			ret = 0;
		if (ret)
			goto out;
		memcpy(p->name, disk->made.name, sizeof(p->name));
		if (p->bytes != disk->made.bytes)
			disk_set_bytes(disk, p->bytes);
		udrv_blk_disk_set_state(disk, UDRV_BLK_DISK_SERVED);
		goto out;
	}
	ret = name_choose(p);
	if (ret)
		goto out;
	disk = disk_create(s->host, p);
	ret = PTR_ERR_OR_ZERO(disk);
	if (!ret)
		queue_work(udrv_blk_wq, &disk->add);
out:
	mutex_unlock(&udrv_blk_lock);
	memalloc_noio_restore(noio);
	return ret;
}

/* udrv_blk_lock held. The disk of a call that names one, or an ERR_PTR. */
static struct udrv_blk_disk *disk_named(struct udrv_blk_session *s,
					const struct udrv_ioc_blk_disk *p, u64 bytes)
{
	struct udrv_blk_disk *disk;

	if (!s->host || READ_ONCE(s->ended))
		return ERR_PTR(-ENODEV);
	if (!disk_names_unit(p, bytes))
		return ERR_PTR(-EINVAL);
	disk = disk_find(s->host, p->unit);
	return disk && !disk->removing ? disk : ERR_PTR(-ENOENT);
}

/**
 * udrv_blk_disk_resize() - UDRV_IOC_BLK_DISK_RESIZE
 * @session: the caller's
 * @arg: struct udrv_ioc_blk_disk, our copy
 */
int udrv_blk_disk_resize(void *session, void *arg)
{
	const struct udrv_ioc_blk_disk *p = arg;
	unsigned int noio = memalloc_noio_save(); /* as in udrv_blk_link() */
	struct udrv_blk_disk *disk;
	int ret;

	mutex_lock(&udrv_blk_lock);
	disk = disk_named(session, p, p->bytes);
	ret = PTR_ERR_OR_ZERO(disk);
	if (!ret && !bytes_valid(p->bytes, disk->made.logical_block))
		ret = -EINVAL;
	if (!ret)
		disk_set_bytes(disk, p->bytes);
	mutex_unlock(&udrv_blk_lock);
	memalloc_noio_restore(noio);
	return ret;
}

/**
 * udrv_blk_disk_remove() - UDRV_IOC_BLK_DISK_REMOVE
 * @session: the caller's
 * @arg: struct udrv_ioc_blk_disk, our copy
 */
int udrv_blk_disk_remove(void *session, void *arg)
{
	struct udrv_blk_disk *disk;
	int ret;

	mutex_lock(&udrv_blk_lock);
	disk = disk_named(session, arg, 0);
	ret = PTR_ERR_OR_ZERO(disk);
	if (!ret) {
		disk->removing = true;
		queue_work(udrv_blk_wq, &disk->remove);
	}
	mutex_unlock(&udrv_blk_lock);
	return ret;
}
