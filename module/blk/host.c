// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device's disks together, with their driver or without
 *
 * Owns the tag set that they share, and the time without a driver. The hard part is that time: what the
 * driver had not completed is kept, each disk's queue is quiesced, and nothing goes on before it is
 * certain that the device does not work for the old driver any more.
 */
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "blk.h"

DEFINE_MUTEX(udrv_blk_lock);

/* ---- making and end ---- */

static void deadline_over(struct work_struct *work)
{
	struct udrv_blk *host = container_of(to_delayed_work(work), struct udrv_blk, deadline);
	struct udrv_blk_disk *disk;

	mutex_lock(&udrv_blk_lock);
	/* Those, too, that a new driver has not named. */
	list_for_each_entry(disk, &host->disks, node)
		if (disk->state == UDRV_BLK_DISK_WAITS)
			udrv_blk_disk_set_state(disk, UDRV_BLK_DISK_FAILS);
	mutex_unlock(&udrv_blk_lock);
}

static struct udrv_blk_limits limits_of(const struct udrv_blk_session *s,
					const struct udrv_ioc_blk_attach *p)
{
	return (struct udrv_blk_limits){
		.queue_count = p->queue_count,
		.queue_depth = p->queue_depth,
		.max_segments = p->max_segments,
		.max_bytes = p->max_bytes,
		.max_segment_bytes = p->max_segment_bytes,
		.virt_boundary = p->virt_boundary,
		.dma_alignment = p->dma_alignment,
		.mapping_bytes = s->copies ? p->max_bytes :
					     min_t(size_t, dma_max_mapping_size(s->dma) & PAGE_MASK,
						   p->max_bytes),
		.copies = s->copies,
	};
}

static void idle_free(struct request_queue *queue)
{
	blk_mq_destroy_queue(queue);
	blk_put_queue(queue);
}

static struct udrv_blk *host_create(struct udrv_blk_session *s, struct udrv_ioc_blk_attach *p)
{
	struct udrv_blk *host;
	unsigned int i;
	int ret;

	if (!capable(CAP_SYS_ADMIN))
		return ERR_PTR(-EPERM);
	host = kzalloc(sizeof(*host), GFP_KERNEL_ACCOUNT);
	if (!host)
		return ERR_PTR(-ENOMEM);
	host->owner = current_euid();
	host->limits = limits_of(s, p);
	host->timeout_ms = p->timeout_ms;
	INIT_DELAYED_WORK(&host->deadline, deadline_over);
	INIT_LIST_HEAD(&host->disks);
	host->tags.ops = &udrv_blk_mq_ops;
	host->tags.nr_hw_queues = p->queue_count;
	host->tags.queue_depth = p->queue_depth;
	host->tags.numa_node = NUMA_NO_NODE;
	host->tags.timeout = msecs_to_jiffies(p->timeout_ms);
	host->tags.flags = UDRV_BLK_MQ_F_MERGE;
	/* Where data is copied, its pages are mapped for nobody. */
	host->tags.cmd_size = sizeof(struct udrv_blk_slot) +
			      (s->copies ? 0 : p->max_segments * sizeof(struct scatterlist));
	ret = blk_mq_alloc_tag_set(&host->tags);
	if (ret)
		goto err_free;
	for (i = 0; i < ARRAY_SIZE(host->idle); i++) {
		host->idle[i] = udrv_alloc_queue(&host->tags);
		if (IS_ERR(host->idle[i])) {
			ret = PTR_ERR(host->idle[i]);
			goto err_idle;
		}
	}
	__module_get(THIS_MODULE); /* rmmod does not end disks */
	return host;

err_idle:
	while (i--)
		idle_free(host->idle[i]);
	blk_mq_free_tag_set(&host->tags);
err_free:
	kfree(host);
	return ERR_PTR(ret);
}

/* Nobody refers to it, and it has no disk. */
static void host_free(struct udrv_blk *host)
{
	cancel_delayed_work_sync(&host->deadline);
	idle_free(host->idle[1]);
	idle_free(host->idle[0]);
	blk_mq_free_tag_set(&host->tags);
	kfree(host);
	module_put(THIS_MODULE);
}

/**
 * udrv_blk_delete() - its disks go, whatever they are doing
 * @host: without a driver, and it takes none any more (removed)
 *
 * Context: process, no lock held under which I/O could be waited for.
 */
void udrv_blk_delete(struct udrv_blk *host)
{
	struct udrv_blk_disk *disk;

	mutex_lock(&udrv_blk_lock);
	/* First, for all: nobody is to wait for what no driver will do. */
	list_for_each_entry(disk, &host->disks, node)
		udrv_blk_disk_set_state(disk, UDRV_BLK_DISK_FAILS);
	while (!list_empty(&host->disks)) {
		disk = list_first_entry(&host->disks, struct udrv_blk_disk, node);
		list_del_init(&disk->node);
		mutex_unlock(&udrv_blk_lock);
		udrv_blk_disk_lose(disk);
		mutex_lock(&udrv_blk_lock);
	}
	mutex_unlock(&udrv_blk_lock);
	host_free(host);
}

/**
 * udrv_blk_remove() - a device is being unbound: its disks go
 * @udev: the device, with @gone set and nobody's client
 */
void udrv_blk_remove(struct udrv_device *udev)
{
	struct udrv_blk *host;

	mutex_lock(&udrv_blk_lock);
	host = udev->blk;
	udev->blk = NULL;
	if (host)
		host->removed = true;
	mutex_unlock(&udrv_blk_lock);
	if (host)
		udrv_blk_delete(host);
}

/* ---- with a driver and without ---- */

/* May the caller's driver take them over? udrv_blk_lock is held. */
static int host_take_over(struct udrv_blk *host, struct udrv_blk_session *s,
			  const struct udrv_ioc_blk_attach *p)
{
	struct udrv_blk_limits limits = limits_of(s, p);

	if (!uid_eq(host->owner, current_euid()) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (host->session || host->removed)
		return -EBUSY;
	if (memcmp(&limits, &host->limits, sizeof(limits)) || host->timeout_ms != p->timeout_ms)
		return -EINVAL;
	if (host->unsafe && !(p->flags & UDRV_BLK_DEVICE_IS_RESET))
		return -EOWNERDEAD;
	return 0;
}

/**
 * udrv_blk_link() - find the device's disks, or begin with none, and link them to a driver
 * @s: the driver's, its client's if there is one
 * @p: the call, our copy: answers are written there
 *
 * Return: as for BLK_ATTACH
 */
int udrv_blk_link(struct udrv_blk_session *s, struct udrv_ioc_blk_attach *p)
{
	struct udrv_device *udev = s->client ? s->client->udev : NULL;
	struct udrv_blk *host, *old = NULL;
	unsigned int noio;
	int ret = 0;
	u32 i;

	p->state = 0;
	/* Memory that is waited for under the lock must not wait for a disk whose driver wants it. */
	noio = memalloc_noio_save();
	mutex_lock(&udrv_blk_lock);
	/* Once it is gone, nobody would remove what is made here. A client that ends from here on waits. */
	if (READ_ONCE(s->ended) || (udev && READ_ONCE(udev->gone))) {
		ret = -ENODEV;
		goto out;
	}
	host = udev ? udev->blk : NULL;
	if (host && !host->session && list_empty(&host->disks)) {
		/* Its last disk went after its driver: whatever it was made with is over. */
		host->removed = true;
		udev->blk = NULL;
		old = host;
		host = NULL;
	}
	if (host) {
		ret = host_take_over(host, s, p);
		p->state = UDRV_BLK_TAKEN_OVER;
	} else {
		host = host_create(s, p);
		ret = PTR_ERR_OR_ZERO(host);
	}
	if (ret)
		goto out;
	if (udev) {
		host->udev = udev;
		udev->blk = host;
	}
	host->unsafe = false;
	host->deadline_ms = p->deadline_ms;
	smp_store_release(&host->session, s); /* request_late() may find it at once */
	s->host = host;
	for (i = 0; i < s->queue_count; i++) {
		mutex_lock(&s->queues[i].lock);
		s->queues[i].linked = true;
		mutex_unlock(&s->queues[i].lock);
	}
out:
	mutex_unlock(&udrv_blk_lock);
	memalloc_noio_restore(noio);
	if (old)
		host_free(old);
	return ret;
}

/**
 * udrv_blk_queue_cpus() - the processors whose requests come to a queue
 * @s: the driver's
 * @queue: which
 * @cpus: they are added; none, if that is all of them: there is one queue only, or the session has ended
 */
void udrv_blk_queue_cpus(struct udrv_blk_session *s, u32 queue, struct cpumask *cpus)
{
	const struct blk_mq_queue_map *map;
	unsigned int cpu;

	mutex_lock(&udrv_blk_lock);
	if (s->host && s->host->tags.nr_hw_queues > 1) {
		map = &s->host->tags.map[HCTX_TYPE_DEFAULT];
		for_each_possible_cpu(cpu)
			if (map->mq_map[cpu] == queue)
				cpumask_set_cpu(cpu, cpus);
	}
	mutex_unlock(&udrv_blk_lock);
}

/**
 * udrv_blk_unlink() - a driver has ended, or is about to: part it from its disks
 * @s: the driver's; may have parted before
 * @safe: the device certainly works on nothing any more
 *
 * When this returns, nothing is put into the session's rings or taken from there. What was on its way
 * is still in queue->requests.
 */
void udrv_blk_unlink(struct udrv_blk_session *s, bool safe)
{
	struct udrv_blk_disk *disk;
	struct udrv_blk *host;
	u32 i, tag;

	mutex_lock(&udrv_blk_lock);
	WRITE_ONCE(s->ended, true);
	host = s->host;
	if (!host)
		goto out;
	list_for_each_entry(disk, &host->disks, node)
		if (disk->state == UDRV_BLK_DISK_SERVED)
			udrv_blk_disk_set_state(disk, UDRV_BLK_DISK_WAITS);
	for (i = 0; i < s->queue_count; i++) {
		struct udrv_blk_queue *q = &s->queues[i];

		mutex_lock(&q->lock);
		q->linked = false;
		mutex_unlock(&q->lock);
		udrv_waiter_wake(&q->waiter);
		for (tag = 0; !safe && tag < s->depth; tag++)
			if (q->requests[tag])
				host->unsafe = true;
	}
	WRITE_ONCE(host->session, NULL);
	if (host->deadline_ms)
		/* Not behind works that wait for a driver. */
		mod_delayed_work(udrv_wq, &host->deadline, msecs_to_jiffies(host->deadline_ms));
out:
	mutex_unlock(&udrv_blk_lock);
}

/**
 * udrv_blk_release_requests() - and its requests are the next driver's, or fail with the disks
 * @s: parted, its requests unmapped, and the IOMMU flushed
 */
void udrv_blk_release_requests(struct udrv_blk_session *s)
{
	struct udrv_blk_disk *disk;
	struct udrv_blk *host = s->host;
	bool idle;
	u32 i;

	for (i = 0; i < s->queue_count; i++)
		udrv_blk_queue_requeue(&s->queues[i]);
	if (!host)
		return;
	mutex_lock(&udrv_blk_lock);
	s->host = NULL;
	/* Without a device, nobody can come; without a disk, nobody has to. */
	idle = !host->session && (!host->udev || list_empty(&host->disks)) && !host->removed;
	if (idle) {
		host->removed = true;
		if (host->udev && host->udev->blk == host)
			host->udev->blk = NULL;
	} else {
		list_for_each_entry(disk, &host->disks, node)
			if (disk->state == UDRV_BLK_DISK_FAILS && disk->disk)
				blk_mq_kick_requeue_list(disk->disk->queue);
	}
	mutex_unlock(&udrv_blk_lock);
	if (idle)
		udrv_blk_delete(host);
}
