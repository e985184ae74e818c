// SPDX-License-Identifier: GPL-2.0-only
/*
 * Init and exit of the module
 *
 * Brings the parts up in the order in which they need each other, and takes them down in reverse.
 * It owns the work queue on which memory is given back that could not be where it was let go, and
 * drivers of interfaces are watched.
 */
#include <linux/module.h>

#include "udrv.h"

struct workqueue_struct *udrv_wq;

static int __init udrv_init(void)
{
	int ret;

	udrv_wq = alloc_workqueue("udrv", WQ_UNBOUND, 0);
	if (!udrv_wq)
		return -ENOMEM;

	ret = udrv_cdev_init();
	if (ret)
		goto err_wq;

	ret = udrv_trust_init();
	if (ret)
		goto err_cdev;

	ret = udrv_net_init();
	if (ret)
		goto err_trust;

	ret = udrv_blk_init();
	if (ret)
		goto err_net;

	ret = udrv_pci_init();
	if (ret)
		goto err_blk;

	return 0;

err_blk:
	udrv_blk_exit();
err_net:
	udrv_net_exit();
err_trust:
	udrv_trust_exit();
err_cdev:
	udrv_cdev_exit();
err_wq:
	destroy_workqueue(udrv_wq);
	return ret;
}

static void __exit udrv_exit(void)
{
	udrv_pci_exit();
	udrv_blk_exit();
	udrv_net_exit();
	udrv_trust_exit();
	udrv_cdev_exit();
	destroy_workqueue(udrv_wq);
}

module_init(udrv_init);
module_exit(udrv_exit);

MODULE_DESCRIPTION("PCI devices driven by processes");
MODULE_AUTHOR("The udrv developers");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
