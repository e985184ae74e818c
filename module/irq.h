/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What irq.c (the fast path) and irq_setup.c (vectors coming and going) share
 */
#ifndef UDRV_IRQ_H
#define UDRV_IRQ_H

#include <linux/interrupt.h>

#include "udrv.h"

static inline struct udrv_client *irq_client(struct udrv_irq *irq)
{
	return container_of(irq, struct udrv_client, irq);
}

/* irq.c */
irqreturn_t udrv_irq_intx_handler(int linux_irq, void *data);
irqreturn_t udrv_irq_msi_handler(int linux_irq, void *data);
void udrv_irq_intx_disable(struct udrv_device *udev);
void udrv_irq_intx_enable(struct udrv_device *udev);
void udrv_irq_intx_mask(struct udrv_vector *v);
bool udrv_irq_intx_arm(struct udrv_vector *v);
void udrv_irq_wake(struct udrv_irq *irq);

/* irq_setup.c */
int udrv_irq_setup_default(struct udrv_client *client);

#endif /* UDRV_IRQ_H */
