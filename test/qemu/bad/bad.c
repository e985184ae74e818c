// SPDX-License-Identifier: MIT
/*
 * bad.ko fault=NAME: makes one mistake when it is loaded, so that the lab's self test can see the debug kernel notice
 * it and the run fail. Owns nothing that lasts, but what it leaks on purpose. The hard part is to survive: no fault
 * here ends in an oops, so that one boot shows them all, and the compiler must not see what is wrong.
 */
#define pr_fmt(fmt) "bad: " fmt

#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

static char *fault = "none";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "name of the mistake to make");

static int nothing(void)
{
	return 0;
}

static int use_after_free(void)
{
	volatile char *p = kmalloc(64, GFP_KERNEL);

	if (!p)
		return -ENOMEM;
	kfree((void *)p);
	p[8] = 1;
	return 0;
}

static int out_of_bounds(void)
{
	char *p = kmalloc(64, GFP_KERNEL);
	size_t at = 64;

	if (!p)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(at);
	OPTIMIZER_HIDE_VAR(p);
	WRITE_ONCE(p[at], 1);
	kfree(p);
	return 0;
}

/* What a device does: a write that no instrumented code makes, to a page that was given back. */
static int write_to_freed_page(void)
{
	struct page *page = alloc_page(GFP_KERNEL), *taken[64];
	unsigned long address;
	int n, i;

	if (!page)
		return -ENOMEM;
	address = (unsigned long)page_address(page);
	__free_page(page);
	asm volatile("movl $0x12345678, 128(%0)" : : "r" (address) : "memory");
	/* The poison is looked at when the page is handed out again: next on this processor, in all likelihood. */
	for (n = 0; n < ARRAY_SIZE(taken); n++) {
		taken[n] = alloc_page(GFP_KERNEL);
		if (!taken[n] || taken[n] == page)
			break;
	}
	for (i = 0; i <= n && i < ARRAY_SIZE(taken); i++)
		if (taken[i])
			__free_page(taken[i]);
	return 0;
}

/* Several: a stale pointer on some stack may hide one. */
static noinline int leak(void)
{
	int i;

	for (i = 0; i < 8; i++) {
		void *p = kmalloc(192, GFP_KERNEL);

		OPTIMIZER_HIDE_VAR(p);
	}
	return 0;
}

static DEFINE_MUTEX(lock_a);
static DEFINE_MUTEX(lock_b);

static int lock_inversion(void)
{
	mutex_lock(&lock_a);
	mutex_lock(&lock_b);
	mutex_unlock(&lock_b);
	mutex_unlock(&lock_a);

	mutex_lock(&lock_b);
	mutex_lock(&lock_a);
	mutex_unlock(&lock_a);
	mutex_unlock(&lock_b);
	return 0;
}

static DEFINE_SPINLOCK(spin);

static int atomic_sleep(void)
{
	spin_lock(&spin);
	kfree(kmalloc(64, GFP_KERNEL));
	spin_unlock(&spin);
	return 0;
}

static int dma_wrong_size(void)
{
	struct platform_device *pdev = platform_device_register_simple("bad", PLATFORM_DEVID_NONE, NULL, 0);
	dma_addr_t address;
	void *p;
	int err = -ENOMEM;

	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	p = kmalloc(512, GFP_KERNEL);
	if (!p)
		goto out;
	address = dma_map_single(&pdev->dev, p, 512, DMA_TO_DEVICE);
	err = dma_mapping_error(&pdev->dev, address);
	if (!err)
		dma_unmap_single(&pdev->dev, address, 256, DMA_TO_DEVICE);
out:
	kfree(p);
	platform_device_unregister(pdev);
	return err;
}

struct timed {
	struct timer_list timer;
};

static void tick(struct timer_list *timer)
{
}

static int free_active_timer(void)
{
	struct timed *t = kzalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;
	timer_setup(&t->timer, tick, 0);
	mod_timer(&t->timer, jiffies + 3600 * HZ);
	kfree(t);
	return 0;
}

static int refcount_underflow(void)
{
	refcount_t count = REFCOUNT_INIT(0);

	refcount_dec(&count);
	return 0;
}

static int shift_out_of_bounds(void)
{
	volatile int by = 40, one = 1;

	one = one << by;
	return 0;
}

static int index_out_of_bounds(void)
{
	static int table[4];
	volatile int at = 4;
	int sum = 0, i;

	for (i = 0; i < 4; i++)
		sum += table[i];
	/* Read only: what follows the table in this module. */
	return (sum + table[at]) & 0;
}

static const struct {
	const char *name;
	int (*make)(void);
} faults[] = {
	{ "none", nothing },
	{ "use-after-free", use_after_free },
	{ "out-of-bounds", out_of_bounds },
	{ "write-to-freed-page", write_to_freed_page },
	{ "leak", leak },
	{ "lock-inversion", lock_inversion },
	{ "atomic-sleep", atomic_sleep },
	{ "dma-wrong-size", dma_wrong_size },
	{ "free-active-timer", free_active_timer },
	{ "refcount-underflow", refcount_underflow },
	{ "shift-out-of-bounds", shift_out_of_bounds },
	{ "index-out-of-bounds", index_out_of_bounds },
};

static int __init bad_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(faults); i++)
		if (!strcmp(faults[i].name, fault)) {
			pr_info("%s\n", fault);
			return faults[i].make();
		}
	return -EINVAL;
}

static void __exit bad_exit(void)
{
}

module_init(bad_init);
module_exit(bad_exit);

MODULE_DESCRIPTION("mistakes that a debug kernel has to notice");
MODULE_LICENSE("Dual MIT/GPL");
