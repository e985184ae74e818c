// SPDX-License-Identifier: GPL-2.0-only
/*
 * Register programs: verified once, run anywhere
 *
 * A program is a short list of accesses to the device's own registers. It is checked and translated
 * when it is handed in: afterwards each step is a mapped address and a width, and running it needs
 * no lock, no lookup and no sleep (but for POLL). Three uses, one mechanism: the acknowledge step
 * of the INTx handler, the quiesce sequence at a driver's end, and a batch on request.
 *
 * The hard part is that the handler runs when it likes: the mappings that a kept program uses are
 * pinned (udrv_bar_pin) until the client ends, and while registers do not answer, in a reset, the
 * handler is told so (irq->paused) instead of taking bar_sem.
 */
#include <linux/capability.h>
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "bar.h"
#include "udrv.h"

/* How long a POLL sleeps between two looks, at least and at most. */
#define PROG_SLEEP_US 10
#define PROG_SLEEP_MAX_US 100

struct prog_step {
	u8 op;
	u8 width;
	bool negate;	/* UDRV_PROG_NOT */
	bool from_last;	/* UDRV_PROG_LAST */
	bool port;
	u32 timeout_us;
	union {
		void __iomem *reg;
		unsigned long port_number;
	};
	u64 mask;
	u64 value;
};

/**
 * struct udrv_prog - a translated program
 * @pdev: whose registers
 * @count: steps
 * @steps: in order
 */
struct udrv_prog {
	struct pci_dev *pdev;
	unsigned int count;
	struct prog_step steps[];
};

/* ---- verification ---- */

static bool value_fits(u64 value, unsigned int width)
{
	return width == 8 || !(value >> (8 * width));
}

/* Does @op have the fields that its kind has, and no others? */
static bool op_well_formed(const struct udrv_prog_op *op, bool may_poll)
{
	bool last = op->flags & UDRV_PROG_LAST;

	if ((op->op != UDRV_PROG_POLL) != !op->timeout_us)
		return false;

	switch (op->op) {
	case UDRV_PROG_READ:
		return !op->flags && !op->mask && !op->value;
	case UDRV_PROG_WRITE:
		return !(op->flags & ~UDRV_PROG_LAST) && (last ? !op->value : !op->mask);
	case UDRV_PROG_MODIFY:
		return !op->flags;
	case UDRV_PROG_TEST:
		return !(op->flags & ~UDRV_PROG_NOT) && !op->bar && !op->width && !op->offset;
	case UDRV_PROG_POLL:
		return !(op->flags & ~UDRV_PROG_NOT) && may_poll;
	}
	return false;
}

/* Verify one operation and translate it. bar_sem held. */
static int op_translate(struct udrv_client *client, const struct udrv_prog_op *op,
			struct prog_step *step, bool may_poll, bool pin)
{
	struct udrv_bar *bar;
	int ret;

	if (!op_well_formed(op, may_poll))
		return -EINVAL;

	step->op = op->op;
	step->width = op->width;
	step->negate = op->flags & UDRV_PROG_NOT;
	step->from_last = op->flags & UDRV_PROG_LAST;
	step->timeout_us = op->timeout_us;
	step->mask = op->mask;
	step->value = op->value;
	if (op->op == UDRV_PROG_TEST)
		return 0;

	if (op->bar >= UDRV_BARS || (op->width != 1 && op->width != 2 && op->width != 4 &&
				     op->width != 8))
		return -EINVAL;
	if (!value_fits(op->mask, op->width) || !value_fits(op->value, op->width))
		return -EINVAL;

	bar = &client->udev->bars[op->bar];
	ret = udrv_bar_check(bar, op->offset, op->width,
			     op->op == UDRV_PROG_WRITE || op->op == UDRV_PROG_MODIFY);
	if (ret)
		return ret;

	step->port = bar->flags & UDRV_REGION_PORT;
	if (step->port) {
		step->port_number = bar->start + op->offset;
		return 0;
	}
	step->reg = pin ? udrv_bar_pin(bar, op->offset) : udrv_bar_io(bar, op->offset);
	return step->reg ? 0 : -ENOMEM;
}

/* Verify and translate a program from the kernel's copy of it. bar_sem held. */
static struct udrv_prog *prog_translate(struct udrv_client *client, const struct udrv_prog_op *ops,
					unsigned int count, bool may_poll, bool pin)
{
	struct udrv_prog *prog;
	u64 total_us = 0;
	unsigned int i;
	int ret;

	prog = kvzalloc(struct_size(prog, steps, count), GFP_KERNEL_ACCOUNT);
	if (!prog)
		return ERR_PTR(-ENOMEM);
	prog->pdev = client->udev->pdev;
	prog->count = count;

	for (i = 0; i < count; i++) {
		ret = op_translate(client, &ops[i], &prog->steps[i], may_poll, pin);
		if (ret)
			goto err_free;
		total_us += ops[i].timeout_us;
	}
	ret = -EINVAL;
	if (total_us > UDRV_PROG_MAX_US)
		goto err_free;
	return prog;

err_free:
	kvfree(prog);
	return ERR_PTR(ret);
}

static struct udrv_prog_op *ops_from_user(u64 user, u32 count)
{
	return vmemdup_user(u64_to_user_ptr(user), array_size(count, sizeof(struct udrv_prog_op)));
}

/* ---- execution ---- */

static u64 step_read(const struct prog_step *step)
{
	return step->port ? udrv_port_read(step->port_number, step->width) :
			    udrv_mmio_read(step->reg, step->width);
}

static void step_write(const struct prog_step *step, u64 value)
{
	if (step->port)
		udrv_port_write(step->port_number, step->width, value);
	else
		udrv_mmio_write(step->reg, step->width, value);
}

static bool step_holds(const struct prog_step *step, u64 last)
{
	return ((last & step->mask) == step->value) != step->negate;
}

static bool step_poll(const struct prog_step *step, u64 *last)
{
	ktime_t end = ktime_add_us(ktime_get(), step->timeout_us);
	bool late;

	for (;;) {
		/* The time first: a look after the end decides, however long we slept. */
		late = ktime_after(ktime_get(), end);
		*last = step_read(step);
		if (step_holds(step, *last))
			return true;
		if (late)
			return false;
		usleep_range(PROG_SLEEP_US, PROG_SLEEP_MAX_US);
	}
}

/*
 * Run a program. @ored: what READs read, ORed; @values: "last" after each step, or NULL; @done:
 * steps executed. Return 0, 1 if a TEST stopped it, -ETIMEDOUT.
 */
static int prog_execute(const struct udrv_prog *prog, u64 *ored, u64 *values, unsigned int *done)
{
	u64 last = 0;
	unsigned int i;
	int ret = 0;

	*ored = 0;
	for (i = 0; i < prog->count && !ret; i++) {
		const struct prog_step *step = &prog->steps[i];

		switch (step->op) {
		case UDRV_PROG_READ:
			last = step_read(step);
			*ored |= last;
			break;
		case UDRV_PROG_WRITE:
			step_write(step, step->from_last ? last & step->mask : step->value);
			break;
		case UDRV_PROG_MODIFY:
			last = step_read(step);
			step_write(step, (last & ~step->mask) | step->value);
			break;
		case UDRV_PROG_TEST:
			if (!step_holds(step, last))
				ret = 1;
			break;
		case UDRV_PROG_POLL:
			if (!step_poll(step, &last))
				ret = -ETIMEDOUT;
			break;
		}
		if (values)
			values[i] = last;
	}
	*done = i;
	return ret;
}

/**
 * udrv_prog_acknowledge() - was it this device, and has it released the line?
 * @prog: an acknowledge program
 * @value: what it read
 *
 * Context: hard interrupt; registers answer.
 * Return: true if the interrupt was the device's.
 */
bool udrv_prog_acknowledge(const struct udrv_prog *prog, u64 *value)
{
	unsigned int done;

	if (prog_execute(prog, value, NULL, &done))
		return false;
	/* All-ones is what an absent device gives; only then is it worth to ask. */
	return !PCI_POSSIBLE_ERROR((u32)*value) || pci_device_is_present(prog->pdev);
}

/**
 * udrv_prog_quiesce() - run the client's quiesce program, if it has one and the device is there
 * @client: ended, client->lock held, bus mastering off
 *
 * Return: true if it has run to its end and is one that resets the device, by the word of a driver that
 * is believed.
 */
bool udrv_prog_quiesce(struct udrv_client *client)
{
	struct udrv_device *udev = client->udev;
	unsigned int done;
	u64 value;
	int ret;

	lockdep_assert_held(&client->lock);
	if (!client->quiesce || !pci_device_is_present(udev->pdev))
		return false;

	down_read(&udev->bar_sem);
	ret = prog_execute(client->quiesce, &value, NULL, &done);
	up_read(&udev->bar_sem);
	if (ret)
		pci_dbg(udev->pdev, "quiesce program: %d after %u steps\n", ret, done);
	return !ret && client->quiesce_resets && !client->confined;
}

/** udrv_prog_free() - free a client's programs; it has ended, and no handler is installed */
void udrv_prog_free(struct udrv_client *client)
{
	kvfree(client->ack);
	kvfree(client->quiesce);
}

/* ---- calls ---- */

/**
 * udrv_prog_set() - UDRV_IOC_PROG_SET
 * @client: the caller
 * @arg: struct udrv_ioc_prog_set
 */
int udrv_prog_set(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_prog_set *p = arg;
	struct udrv_device *udev = client->udev;
	struct udrv_prog *prog = NULL, **slot;
	struct udrv_prog_op *ops = NULL;
	bool ack = p->use == UDRV_PROG_ACK;
	int ret;

	if (p->flags || p->count > UDRV_PROG_MAX_OPS ||
	    (!ack && p->use != UDRV_PROG_QUIESCE && p->use != UDRV_PROG_RESET))
		return -EINVAL;
	/* A wrong one keeps the line asserted, and takes its neighbours down. */
	if (ack && !(capable(CAP_SYS_RAWIO) && !client->confined))
		return -EPERM;

	if (p->count) {
		ops = ops_from_user(p->ops, p->count);
		if (IS_ERR(ops))
			return PTR_ERR(ops);
	}

	ret = udrv_client_lock(client);
	if (ret)
		goto out_ops;
	ret = -EBUSY;
	if (ack && client->irq.kind != UDRV_IRQ_NONE)
		goto out_unlock;

	ret = 0;
	if (p->count) {
		down_read(&udev->bar_sem);
		prog = prog_translate(client, ops, p->count, !ack, true);
		up_read(&udev->bar_sem);
		ret = PTR_ERR_OR_ZERO(prog);
		if (ret)
			goto out_unlock;
	}
	slot = ack ? &client->ack : &client->quiesce;
	swap(*slot, prog);
	if (!ack)
		client->quiesce_resets = p->use == UDRV_PROG_RESET;
	kvfree(prog);
out_unlock:
	udrv_client_unlock(client);
out_ops:
	kvfree(ops);
	return ret;
}

/**
 * udrv_prog_run() - UDRV_IOC_PROG_RUN
 * @client: the caller
 * @arg: struct udrv_ioc_prog_run
 */
int udrv_prog_run(struct udrv_client *client, void *arg)
{
	struct udrv_ioc_prog_run *p = arg;
	struct udrv_device *udev = client->udev;
	struct udrv_prog_op *ops;
	struct udrv_prog *prog;
	u64 *values, ored;
	int ret;

	if (p->flags || !p->count || p->count > UDRV_PROG_MAX_OPS)
		return -EINVAL;
	ops = ops_from_user(p->ops, p->count);
	if (IS_ERR(ops))
		return PTR_ERR(ops);
	ret = -ENOMEM;
	values = kvcalloc(p->count, sizeof(*values), GFP_KERNEL_ACCOUNT);
	if (!values)
		goto out_ops;

	ret = -EINTR;
	if (down_read_killable(&udev->bar_sem))
		goto out_values;
	ret = -ENODEV;
	if (READ_ONCE(client->ended))
		goto out_sem;
	prog = prog_translate(client, ops, p->count, true, false);
	ret = PTR_ERR_OR_ZERO(prog);
	if (ret)
		goto out_sem;
	WRITE_ONCE(udev->used, true);
	ret = prog_execute(prog, &ored, values, &p->done);
	kvfree(prog);
out_sem:
	up_read(&udev->bar_sem);

	if (ret == 1)
		ret = 0; /* a TEST that stops is no error: @done tells */
	if ((!ret || ret == -ETIMEDOUT) && p->values &&
	    copy_to_user(u64_to_user_ptr(p->values), values, p->done * sizeof(*values)))
		ret = -EFAULT;
out_values:
	kvfree(values);
out_ops:
	kvfree(ops);
	return ret;
}
