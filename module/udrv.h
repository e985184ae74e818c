/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The core structures, the lock table, and the prototypes by the file that owns them
 *
 * struct udrv_device is a PCI device bound to udrv: from probe to remove, and as memory for as long
 * as somebody refers to it. struct udrv_client is one driver's tenure of it: from open until the
 * end (release of the descriptor, or removal of the device, whichever is first), and as memory
 * until the descriptor and the last mapping are gone.
 *
 * Locks, in order of acquisition; a lock on the left may be held when one on the right is taken:
 *
 *	device_lock  >  udrv_trust_lock  >  udev->lock (tried only)
 *	device_lock  >  udev->lock
 *	mmap_lock  >  udev->lock  >  client->lock  >  udev->bar_sem  >  (page tables)
 *	                                                udev->bar_sem  >  pci_bus_sem (in a reset)
 *	                              client->lock  >  client->dma_lock
 *	                              client->lock  >  udrv_net_lock (net/net.h has what follows)
 *	                              client->lock  >  udrv_blk_lock (blk/blk.h likewise)
 *	                              client->lock  >  vector->lock  >  udev->command_lock
 *
 * - device_lock (the PCI device's, or another's that is being bound): the PCI core takes it before it
 *   calls us. Under a lock of ours it is only tried (reset).
 * - pci_bus_sem (the PCI core's): it tells of errors (AER) under it, where no lock of ours is taken.
 * - udrv_trust_lock (mutex): who has the devices of a group: opens, and the binding of others. It is
 *   everybody's: nobody waits under it for a device's own lock.
 * - udev->lock (mutex): who has the device: @client, @gone. Taken by open, release, revoke, remove.
 * - client->lock (mutex): setting things up against the end: interrupts, bus mastering, @ended.
 * - client->dma_lock (mutex): the DMA tables against the end: handles, @buffers. Never taken under
 *   mmap_lock: the last unmapping of a buffer leaves the work to client->reap_work.
 * - udev->bar_sem (rwsem): registers are reachable. Readers access registers or insert their pages
 *   (the fault handler, under mmap_lock); the writer takes them away (reset, revocation).
 * - vector->lock (spinlock, hard interrupt): one vector's counts, eventfd and mask state.
 * - udev->command_lock (spinlock, hard interrupt): read-modify-write of PCI_COMMAND and of the
 *   config fields that a driver may write.
 *
 * mmap() and faults run under mmap_lock. So nothing that they take (bar_sem, the handle table's own
 * spinlock) may be held across copy_*_user or pinning, and client->lock and client->dma_lock are
 * held across neither too: a process that blocks in its own page fault blocks nobody else.
 */
#ifndef UDRV_UDRV_H
#define UDRV_UDRV_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/kref.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/rcuwait.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <udrv/udrv.h>

#include "compat.h"

#define UDRV_BARS PCI_STD_NUM_BARS

/*
 * The descriptor's file offsets: region n begins at (n + 1) << 40, so that offset 0 is left for the
 * interrupt; the upper half of each BAR's range is its write-combining alias; consistent buffers
 * lie from 2^43 on, 2^28 bytes apart by handle. All is below 2^44, which is what a 32-bit mmap2()
 * reaches.
 */
#define UDRV_REGION_SHIFT 40
#define UDRV_REGION_OFFSET(index) ((u64)((index) + 1) << UDRV_REGION_SHIFT)
#define UDRV_REGION_WC BIT_ULL(UDRV_REGION_SHIFT - 1)
#define UDRV_REGION_MAX_BYTES BIT_ULL(UDRV_REGION_SHIFT - 1)
#define UDRV_DMA_OFFSET BIT_ULL(43)
#define UDRV_DMA_SHIFT 28

struct udrv_blk;
struct udrv_blk_session;
struct udrv_client;
struct udrv_dma_slot;
struct udrv_net_session;
struct udrv_prog;
struct udrv_waiter;

/* How a driver's tenure ends. */
enum udrv_end {
	UDRV_END_RELEASE, /* its last descriptor and mapping are gone */
	UDRV_END_REVOKE,  /* the node was taken from it */
	UDRV_END_ERROR,	  /* the device failed, and the PCI core resets it: keep off */
	UDRV_END_REMOVE,  /* the device was taken away; the PCI core holds its lock */
};

/**
 * struct udrv_area - what a mapping shows: page number -> page frame, and how
 * @client: whose it is; a mapping holds the file, and the file the client
 * @pgoff: file offset of the first page, in pages
 * @pages: length in pages
 * @base_pfn: the frames, where they are contiguous (BARs)
 * @pfns: else the frame of each page (consistent buffers); owned by the area's owner
 */
struct udrv_area {
	struct udrv_client *client;
	unsigned long pgoff;
	unsigned long pages;
	unsigned long base_pfn;
	unsigned long *pfns;
};

/**
 * struct udrv_bar - a base address register
 * @start: bus-independent physical address, or first port
 * @length: bytes, 0 if absent or not ours
 * @map_length: bytes that may be mapped, from the BAR's start, whole pages; 0 none
 * @nomap_first: first page that must not be mapped (MSI-X table and pending bits)
 * @nomap_pages: how many of them
 * @msix: the MSI-X table and the pending bits, in bytes: not to be written
 * @flags: UDRV_REGION_*
 * @tail: what was reserved behind a BAR shorter than a page, so that the page is ours alone
 * @io: page number -> kernel mapping for pread/pwrite, made on first use
 * @wc: ranges that were declared write-combining to the architecture; protected by bar_sem (write)
 * @wc_count: entries in @wc
 */
struct udrv_bar {
	resource_size_t start;
	resource_size_t length;
	resource_size_t map_length;
	unsigned long nomap_first;
	unsigned long nomap_pages;
	struct {
		u64 offset;
		u64 length;
	} msix[2];
	u32 flags;
	struct resource *tail;
	struct xarray io;
	struct udrv_bar_wc {
		resource_size_t start;
		resource_size_t length;
	} wc[16];
	unsigned int wc_count;
};

/**
 * struct udrv_device - a PCI device bound to udrv
 * @pdev: the device; valid until remove() has returned, so only where @gone or client->ended says
 *	so
 * @dev: its class device; its reference count is this structure's
 * @cdev: its node
 * @lock: protects @client and @gone
 * @client: the driver that has it open, or NULL
 * @gone: remove() has begun
 * @away: the PCI core resets it, or recovers it from an error; under @lock
 * @failed: and has given it up; under @lock
 * @error_work: does what the PCI core's recovery wants; see pci_error_note()
 * @error_events: what that is
 * @resetting: the task that resets it for us; it may ask for itself without a lock
 * @used: something was done to the device since its last reset
 * @own_reset: its last driver says that its program was one; @used stays, for who need not believe that
 * @name: of the node: "pci-00:04.0"
 * @bars: see there; constant after probe but for @io and @wc
 * @bar_sem: see the lock table
 * @command_lock: see the lock table
 * @config_rw: for each byte of config space, the bits that a driver may write; constant
 * @config_w1c: for each byte, the bits that a written 1 clears; constant
 * @intx_count: 1 if there is an INTx line
 * @intx_maskable: PCI_COMMAND_INTX_DISABLE works
 * @msi_count: vectors that the device offers
 * @msix_count: likewise
 * @trust_node: in the list of all bound devices; under udrv_trust_lock
 * @group: IOMMU group, -1 none; constant after probe
 * @held: somebody has it open, and who; written under udrv_trust_lock, cleared under @lock
 * @holder: see @held
 * @confined: see @held: its tier
 * @nets: its network interfaces; under rtnl
 * @blk: its disks, or NULL; under udrv_blk_lock
 * @saved_state: config space as it is while nobody drives the device, or NULL
 * @saved_dma_mask: the DMA parameters that the bus had set, for the next driver
 * @saved_coherent_mask: likewise
 * @saved_max_segment: likewise
 * @saved_boundary: likewise
 * @saved_min_align_mask: likewise
 */
struct udrv_device {
	struct pci_dev *pdev;
	struct device dev;
	struct cdev cdev;

	struct mutex lock;
	struct udrv_client *client;
	bool gone;
	bool away;
	bool failed;
	struct work_struct error_work;
	unsigned long error_events;
	struct task_struct *resetting;
	bool used;
	bool own_reset; /* under @lock */

	char name[32];
	struct udrv_bar bars[UDRV_BARS];
	struct rw_semaphore bar_sem;
	spinlock_t command_lock;
	u8 *config_rw;
	u8 *config_w1c;

	unsigned int intx_count;
	bool intx_maskable;
	unsigned int msi_count;
	unsigned int msix_count;

	struct list_head trust_node;
	int group;
	bool held;
	kuid_t holder;
	bool confined;

	struct list_head nets;
	struct udrv_blk *blk;

	struct pci_saved_state *saved_state;
	u64 saved_dma_mask;
	u64 saved_coherent_mask;
	unsigned int saved_max_segment;
	unsigned long saved_boundary;
	unsigned int saved_min_align_mask;
};

/**
 * struct udrv_vector - one interrupt vector; @lock protects the rest but the constants
 * @lock: taken in the interrupt handler
 * @masked: INTx: masked at the device (or at its controller), to be armed by waiting;
 *	MSI and MSI-X: by IRQ_MASK, also protected by client->lock
 * @pending: interrupts that nobody has read
 * @total: interrupts since set-up
 * @time_ns: when the first pending one came
 * @value: what the acknowledge program read for those pending, ORed
 * @eventfd: where they go instead, or NULL
 * @waiter: the queue of an upper half that they wake instead, or NULL
 * @irq: the table that this vector is in; constant
 * @bits: its @pending; constant
 * @index: its number there; constant
 * @linux_irq: the kernel's number; constant while it is set up
 * @name: in /proc/interrupts; constant while it is set up
 */
struct udrv_vector {
	spinlock_t lock;
	bool masked;
	u64 pending;
	u64 total;
	u64 time_ns;
	u64 value;
	struct eventfd_ctx *eventfd;
	struct udrv_waiter *waiter;
	struct udrv_irq *irq;
	unsigned long *bits;
	unsigned int index;
	int linux_irq;
	char name[40];
} ____cacheline_aligned_in_smp;

/**
 * struct udrv_irq - a client's interrupts
 * @vectors: as many as the device could have; allocated at the first set-up and kept until the
 *	client is freed, so that a reader needs no lock to find them
 * @capacity: entries in @vectors
 * @pending: one bit for each vector with something to read; set and cleared under its vector's lock;
 *	never NULL
 * @none: what @pending is before the first set-up
 * @kind: UDRV_IRQ_*; written under client->lock
 * @count: vectors in use; written under client->lock
 * @intx_disint: INTx is masked by PCI_COMMAND_INTX_DISABLE, else at the interrupt controller
 * @ack: INTx: runs in the handler instead of masking; constant while it is set up
 * @line_held: INTx: disabled at the interrupt controller while @paused; under client->lock
 * @paused: a reset runs: do not touch the device; under vector 0's lock
 * @arm_at_resume: and arm it afterwards; likewise
 * @setups: counts set-ups, for waiters that must arm anew; written under vector 0's lock
 * @reader: a thread that sleeps in read(), the first of them
 * @wait: more readers, and pollers
 * @fasync: O_ASYNC
 */
struct udrv_irq {
	struct udrv_vector *vectors;
	unsigned int capacity;
	unsigned long *pending;
	unsigned long none;
	unsigned int kind;
	unsigned int count;
	bool intx_disint;
	const struct udrv_prog *ack;
	bool line_held;
	bool paused;
	bool arm_at_resume;
	unsigned int setups;
	struct rcuwait reader;
	wait_queue_head_t wait;
	struct fasync_struct *fasync;
};

/**
 * struct udrv_charge - pages charged to a process
 * @mm: whose; referenced (mmgrab) while @pages is not 0
 * @pages: how many
 */
struct udrv_charge {
	struct mm_struct *mm;
	unsigned long pages;
};

/**
 * struct udrv_client - one driver's tenure of a device
 * @ref: descriptors (the node's, and later those of upper halves)
 * @udev: the device; referenced
 * @lock: see the lock table
 * @ended: nothing works any more; written under @lock. @dma_lock and vector 0's lock are taken and
 *	dropped after it was, so that each may be held to look; read without one only to fail early
 * @mapping: the opened inode's pages: what revocation unmaps; valid while the file lives
 * @read_only: its descriptor is open for reading only: it changes nothing; constant
 * @owner: the process that opened, for the tools
 * @bus_master: as it was asked for; under @lock
 * @revoked: mappings show @ones instead; written under bar_sem held for writing
 * @ones: a page of all-ones, what a read from an absent device gives
 * @bar_areas: uncached and write-combining view of each BAR
 * @irq: interrupts
 * @ack: program for the INTx handler, from the next set-up on; under @lock
 * @quiesce: program for the end; under @lock
 * @quiesce_resets: the driver says that it resets the device; under @lock
 * @confined: opened in the confined tier; constant
 * @net: its service of a network interface, or NULL; under @lock
 * @blk: its service of disks, or NULL; under @lock
 * @dma_lock: see the lock table
 * @dma_buffers: handle -> struct udrv_dma of a buffer
 * @dma_next_buffer: where the search for a free handle begins
 * @dma_slots: what mappings' handles lead to; with the next three under @dma_lock
 * @dma_slot_count: entries in @dma_slots
 * @dma_slot_free: the first free one
 * @dma_mappings: slots in use
 * @dma_mask_bits: as set
 * @buffers: consistent buffers that hold memory, freed by handle or not
 * @reap: objects whose pages and charges are to be given back; under @reap_lock
 * @reap_lock: spinlock
 * @reap_work: gives them back, where no lock is held
 * @dma_pages: charged for buffers and mappings, to whatever process
 * @consistent_bytes: held, for the tools
 * @streaming_bytes: held, for the tools
 */
struct udrv_client {
	struct kref ref;
	struct udrv_device *udev;
	struct mutex lock;
	bool ended;
	struct address_space *mapping;
	bool read_only;
	struct pid *owner;
	bool bus_master;

	bool revoked;
	struct page *ones;
	struct udrv_area bar_areas[UDRV_BARS][2];

	struct udrv_irq irq;
	struct udrv_prog *ack;
	struct udrv_prog *quiesce;
	bool quiesce_resets;
	bool confined;
	struct udrv_net_session *net;
	struct udrv_blk_session *blk;

	struct mutex dma_lock;
	struct xarray dma_buffers;
	u32 dma_next_buffer;
	struct udrv_dma_slot *dma_slots;
	u32 dma_slot_count;
	u32 dma_slot_free;
	u32 dma_mappings;
	unsigned int dma_mask_bits;
	struct list_head buffers;
	struct list_head reap;
	spinlock_t reap_lock;
	struct work_struct reap_work;
	atomic_long_t dma_pages;
	atomic64_t consistent_bytes;
	atomic64_t streaming_bytes;
};

/**
 * struct udrv_dma - what a DMA handle names; the common head of buffers and mappings
 * @kind: which of the two
 * @handle: by which the driver knows it
 * @reap: in client->reap
 * @charge: what it cost
 */
struct udrv_dma {
	enum { UDRV_DMA_BUFFER, UDRV_DMA_MAPPING } kind;
	u32 handle;
	struct list_head reap;
	struct udrv_charge charge;
};

/* main.c */
extern struct workqueue_struct *udrv_wq;

/* pci.c: from probe to remove; bus mastering and reset */
int udrv_pci_init(void);
void udrv_pci_exit(void);
bool udrv_pci_is_ours(const struct device_driver *driver);
bool udrv_pci_has_reset(const struct udrv_device *udev);
bool udrv_pci_is_quiet(const struct udrv_device *udev);
void udrv_pci_set_master(struct udrv_device *udev, bool enable);
int udrv_pci_reset(struct udrv_client *client);
void udrv_pci_restore_config(struct udrv_device *udev, enum udrv_end how);
int udrv_pci_reset_at_end(struct udrv_device *udev, enum udrv_end how);

/* cdev.c: the class, nodes and file operations */
int udrv_cdev_init(void);
void udrv_cdev_exit(void);
int udrv_cdev_add(struct udrv_device *udev);
void udrv_cdev_del(struct udrv_device *udev);
void udrv_cdev_init_device(struct udrv_device *udev);
struct udrv_client *udrv_cdev_client_get(int fd);

/* client.c: one driver's tenure */
struct udrv_client *udrv_client_create(struct udrv_device *udev, struct file *file, bool confined);
void udrv_client_end(struct udrv_client *client, enum udrv_end how);
bool udrv_client_leave(struct udrv_device *udev, enum udrv_end how);
void udrv_client_revoke(struct udrv_device *udev, bool confined_only);
void udrv_client_end_of(struct udrv_client *client);
void udrv_client_put(struct udrv_client *client);
int udrv_client_lock(struct udrv_client *client);
void udrv_client_unlock(struct udrv_client *client);
int udrv_client_bus_master(struct udrv_client *client, void *arg);
int udrv_client_reset(struct udrv_client *client, void *arg);

/* trust.c: who may open a device */
extern struct mutex udrv_trust_lock;
int udrv_trust_init(void);
void udrv_trust_exit(void);
void udrv_trust_add(struct udrv_device *udev);
void udrv_trust_del(struct udrv_device *udev);
const char *udrv_trust_reason(struct udrv_device *udev);
int udrv_trust_open(struct udrv_device *udev, bool *confined);
void udrv_trust_close(struct udrv_device *udev);

/* ioctl.c: the table of calls */
long udrv_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
int udrv_ioctl_copy_in(void *copy, u32 size, u32 min_size, void __user *user);

/* area.c: mappings, faults, revocation */
int udrv_area_mmap(struct udrv_client *client, struct vm_area_struct *vma);
void udrv_area_init(struct udrv_area *area, struct udrv_client *client, u64 offset,
		    unsigned long pages);
void udrv_area_revoke_all(struct udrv_client *client);

/* config.c: config space by a permission table */
int udrv_config_init(struct udrv_device *udev);
void udrv_config_exit(struct udrv_device *udev);
void udrv_config_confine(struct udrv_device *udev);
ssize_t udrv_config_access(struct udrv_client *client, u64 *value, size_t width, u64 offset,
			   bool write);

/* bar.c: registers */
int udrv_bar_init(struct udrv_device *udev);
void udrv_bar_exit(struct udrv_device *udev);
void udrv_bar_init_client(struct udrv_client *client);
ssize_t udrv_bar_access(struct udrv_client *client, unsigned int index, u64 *value, size_t width,
			u64 offset, bool write);
int udrv_bar_check(const struct udrv_bar *bar, u64 offset, size_t width, bool write);
void __iomem *udrv_bar_io(struct udrv_bar *bar, u64 offset);
void __iomem *udrv_bar_pin(struct udrv_bar *bar, u64 offset);
int udrv_bar_mmap_check(struct udrv_client *client, unsigned int index, bool wc,
			unsigned long first, unsigned long pages);
void udrv_bar_end(struct udrv_device *udev);
int udrv_bar_region_info(struct udrv_client *client, void *arg);

/*
 * irq.c: interrupts, the fast path; irq_setup.c: vectors coming and going; irq_attach.c: where they
 * go
 */
void udrv_irq_init(struct udrv_client *client);
void udrv_irq_free(struct udrv_client *client);
void udrv_irq_silence(struct udrv_client *client);
void udrv_irq_end(struct udrv_client *client);
void udrv_irq_pause(struct udrv_client *client);
void udrv_irq_resume(struct udrv_client *client);
ssize_t udrv_irq_read(struct file *file, char __user *buf, size_t bytes);
ssize_t udrv_irq_read_wait(struct udrv_client *client, char __user *buf, size_t bytes,
			   unsigned int nonblock);
__poll_t udrv_irq_poll(struct udrv_client *client, struct file *file, poll_table *wait);
int udrv_irq_setup(struct udrv_client *client, void *arg);
void udrv_irq_setup_undo(struct udrv_client *client, void *arg);
int udrv_irq_info(struct udrv_client *client, void *arg);
int udrv_irq_mask(struct udrv_client *client, void *arg);
int udrv_irq_unmask(struct udrv_client *client, void *arg);
int udrv_irq_attach(struct udrv_client *client, void *arg);
int udrv_irq_detach(struct udrv_client *client, void *arg);
int udrv_irq_waiter_attach(struct udrv_client *client, u32 index, struct udrv_waiter *waiter,
			   const struct cpumask *cpus);
void udrv_irq_waiter_arm(struct udrv_vector *v, struct udrv_waiter *waiter);
void udrv_irq_waiter_take(struct udrv_vector *v, struct udrv_waiter *waiter, u32 *count,
			  u64 *value);

/* prog.c: register programs */
int udrv_prog_set(struct udrv_client *client, void *arg);
int udrv_prog_run(struct udrv_client *client, void *arg);
bool udrv_prog_acknowledge(const struct udrv_prog *prog, u64 *value);
bool udrv_prog_quiesce(struct udrv_client *client);
void udrv_prog_free(struct udrv_client *client);

/* dma.c: handles, masks, accounting, the end */
void udrv_dma_init(struct udrv_client *client);
void udrv_dma_end(struct udrv_client *client);
void udrv_dma_free_client(struct udrv_client *client);
int udrv_dma_charge(struct udrv_client *client, struct udrv_charge *charge, unsigned long pages);
void udrv_dma_uncharge(struct udrv_client *client, struct udrv_charge *charge);
int udrv_dma_insert(struct udrv_client *client, struct udrv_dma *dma);
struct udrv_dma *udrv_dma_find_mapping(struct udrv_client *client, u32 handle);
struct udrv_dma *udrv_dma_remove(struct udrv_client *client, u32 handle, int kind);
void udrv_dma_reap(struct udrv_client *client, struct udrv_dma *dma);
int udrv_dma_mask(struct udrv_client *client, void *arg);

/* dma_consistent.c: buffers */
int udrv_dma_alloc(struct udrv_client *client, void *arg);
void udrv_dma_alloc_undo(struct udrv_client *client, void *arg);
int udrv_dma_free(struct udrv_client *client, void *arg);
struct udrv_area *udrv_dma_area_get(struct udrv_client *client, u64 offset);
void udrv_dma_area_ref(struct udrv_area *area);
void udrv_dma_area_put(struct udrv_area *area);
void udrv_dma_consistent_end(struct udrv_client *client);
void udrv_dma_consistent_reap(struct udrv_client *client, struct udrv_dma *dma);

/* dma_streaming.c: mappings of the process's own memory */
int udrv_dma_map(struct udrv_client *client, void *arg);
void udrv_dma_map_undo(struct udrv_client *client, void *arg);
int udrv_dma_unmap(struct udrv_client *client, void *arg);
int udrv_dma_sync(struct udrv_client *client, void *arg);
bool udrv_dma_reaches_memory(struct device *dev);
void udrv_dma_streaming_unmap(struct udrv_client *client, struct udrv_dma *dma);
void udrv_dma_streaming_reap(struct udrv_client *client, struct udrv_dma *dma);

/* net/: network interfaces */
int udrv_net_init(void);
void udrv_net_exit(void);
void udrv_net_silence(struct udrv_client *client);
struct udrv_net_session *udrv_net_detach(struct udrv_client *client);
void udrv_net_free(struct udrv_net_session *session);
void udrv_net_remove(struct udrv_device *udev);

/* blk/: disks */
int udrv_blk_init(void);
void udrv_blk_exit(void);
void udrv_blk_silence(struct udrv_client *client);
struct udrv_blk_session *udrv_blk_detach(struct udrv_client *client, bool safe);
void udrv_blk_free(struct udrv_blk_session *s);
void udrv_blk_remove(struct udrv_device *udev);

#endif /* UDRV_UDRV_H */
