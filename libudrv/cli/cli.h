/* SPDX-License-Identifier: MIT */
/*
 * cli.h - what the files of the command share
 *
 * One file for each few commands (list, bind, info, register, irq, revoke); sysfs.c knows what the
 * kernel says of PCI devices, device.c how to open one, danger.c who would miss it, group.c its
 * IOMMU group, names.c what it is called, refuse.c how to say no. Every function that answers the
 * user returns an exit status, so that a refusal is `return refuse(...)`.
 */
#ifndef UDRV_CLI_H
#define UDRV_CLI_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../src/internal.h"

/* The unit tests build these files against directories of their own; nothing else may. */
#ifndef CLI_SYS
#define CLI_SYS "/sys"
#endif
#ifndef CLI_PROC
#define CLI_PROC "/proc"
#endif
#ifndef CLI_ETC
#define CLI_ETC "/etc"
#endif
#ifndef CLI_RUN
#define CLI_RUN "/run"
#endif

/* exit statuses; udrv(1) documents them */
enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1, /* the kernel or the device refused, for a reason that was printed */
	STATUS_USAGE = 2,  /* the command line: unknown command, address, register, value, width */
	STATUS_NO_DEVICE = 3,	  /* no PCI device at this address */
	STATUS_NOT_BOUND = 4,	  /* the device is not bound to udrv */
	STATUS_BUSY = 5,	  /* a process has it open */
	STATUS_NOT_PERMITTED = 6, /* not root */
	STATUS_NO_MODULE = 7,	  /* the module is not loaded, and could not be */
	STATUS_DANGEROUS = 8,	  /* somebody would miss the device; --force overrides */
	STATUS_TIMEOUT = 9,	  /* irq: fewer interrupts came than were asked for */
};

/* ---- refuse.c ---- */

/** refuse() - print "udrv: " and one sentence to stderr; returns @status */
int refuse(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** parse_arguments() - run @argp with the command's name in its messages */
void parse_arguments(const struct argp *argp, int argc, char **argv, void *input);

/** parse_sole_address() - argp parser of commands with an ADDRESS alone, which input points to */
error_t parse_sole_address(int key, char *text, struct argp_state *state);

/** refuse_usage() - from inside an argp parser: print the sentence, and end with STATUS_USAGE */
void refuse_usage(const struct argp_state *state, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* ---- device.c ---- */

struct pci_entry;

/** parse_address() - the ADDRESS argument, or a refusal */
int parse_address(const char *text, struct udrv_address *address);

/** open_device() - open a bound device, or refuse and say what to do */
int open_device(const struct udrv_address *address, struct udrv **device);

/** require_entry() - sysfs_load(), or a refusal with the near matches */
int require_entry(const struct udrv_address *address, struct pci_entry *entry);

/** require_bound() - the device is bound to udrv, or a refusal that says how to bind it */
int require_bound(const struct pci_entry *entry);

/* ---- sysfs.c ---- */

#define ADDRESS_BYTES 20 /* "0123abcd:00:04.0" */

/** struct pci_entry - what sysfs says of one PCI device */
struct pci_entry {
	struct udrv_address address;
	char sysfs[ADDRESS_BYTES]; /* "0000:00:04.0", its name in sysfs */
	char brief[ADDRESS_BYTES]; /* "00:04.0", its name for people */
	unsigned int vendor;
	unsigned int device;
	unsigned int class_code;
	bool bridge;	 /* by its header: udrv does not bind it */
	bool mainboard;	 /* host bridge, ISA bridge and the like */
	char driver[64]; /* "" if none */
	bool bound;	 /* to udrv */
	int iommu_group; /* -1 if none */
	bool intx;
	int msi;  /* most vectors; 0 none, -1 not known (only root may look) */
	int msix; /* likewise */
};

/** struct node_state - what the module says of a bound device */
struct node_state {
	pid_t owner; /* 0: nobody has it open */
	char command[32];
	char irq_kind[8];
	unsigned int irq_count;
	unsigned long long interrupts;
	bool bus_master;
	unsigned long long dma_consistent;
	unsigned long long dma_streaming;
	bool confined;
	char reason[96]; /* why it is not; "" if it is, or where the module does not say */
};

/** sysfs_read() - the first line of a file below CLI_SYS, without its newline; 0 or -errno */
int sysfs_read(char *line, size_t bytes, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** sysfs_write() - write a string to a file below CLI_SYS; 0 or -errno */
int sysfs_write(const char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** sysfs_list() - the addresses of all PCI devices, in order; free() @list. A count, or -errno */
int sysfs_list(struct udrv_address **list);

/** sysfs_load() - fill in @entry; 0, or -ENODEV if there is no such device */
int sysfs_load(const struct udrv_address *address, struct pci_entry *entry);

/** sysfs_addresses() - the PCI addresses that the entries of a directory below CLI_SYS are named
 * after, in order; free() @list. A count, or -errno
 */
int sysfs_addresses(struct udrv_address **list, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** sysfs_node_state() - 0, or -errno if the module has no node for it */
int sysfs_node_state(const struct udrv_address *address, struct node_state *state);

/** sysfs_module_loaded() - is there a PCI driver called udrv? */
bool sysfs_module_loaded(void);

/** sysfs_config_read() - config space without the node; 0, -ERANGE past its end (@length), -errno
 */
int sysfs_config_read(const struct pci_entry *entry, unsigned int offset, unsigned int width,
		      uint64_t *value, unsigned int *length);

/** sysfs_near() - the addresses most like @address, "00:04.0 or 00:05.0"; "" if none is */
void sysfs_near(const struct udrv_address *address, char *text, size_t bytes);

/** address_brief() - "00:04.0", with the domain where it is not 0 */
void address_brief(const struct udrv_address *address, char text[ADDRESS_BYTES]);

/** process_name() - the command of a process; "?" if it cannot be told */
void process_name(pid_t pid, char *name, size_t bytes);

/* ---- danger.c ---- */

/** danger_find() - would the running system miss this device? Says why in @why */
bool danger_find(const struct pci_entry *entry, char *why, size_t bytes);

/* ---- bind.c ---- */

/** wait_for_udev() - until it has done what it knows of, at most 10 s; without udev there is nothing to wait for */
void wait_for_udev(void);

/* ---- group.c ---- */

/** group_members() - the others of @entry's IOMMU group; free() @list. A count, or -errno */
int group_members(const struct pci_entry *entry, struct udrv_address **list);

/**
 * group_make_strict() - give the device's IOMMU group a strict domain, if it has another one
 * @entry: the device, which has no driver
 * @changed: set if it has been changed, by this call
 *
 * Return: 0, also where there is nothing to change, or -errno.
 */
int group_make_strict(const struct pci_entry *entry, bool *changed);

/** group_restore() - undo what group_make_strict() did, once udrv has no device of the group */
void group_restore(const struct pci_entry *entry);

#define REASON_BYTES 256

/**
 * group_reason() - why the device is not confined, and what in its group is to blame
 * @entry: the device, bound
 * @state: what the module says of it
 * @text: where the phrase goes, REASON_BYTES
 */
void group_reason(const struct pci_entry *entry, const struct node_state *state, char *text,
		  size_t bytes);

/* ---- names.c ---- */

struct names;
struct names *names_open(void);
void names_close(struct names *names);
/** names_vendor(), names_device(), names_class() - "" where the database has none */
void names_vendor(struct names *names, const struct pci_entry *entry, char *text, size_t bytes);
void names_device(struct names *names, const struct pci_entry *entry, char *text, size_t bytes);
void names_class(struct names *names, const struct pci_entry *entry, char *text, size_t bytes);
/** names_line() - "Intel Corporation 82540EM [8086:100e]", for people */
void names_line(struct names *names, const struct pci_entry *entry, char *text, size_t bytes);

/* ---- register.c ---- */

/** struct reg - a register as the command line names it */
struct reg {
	unsigned int region; /* UDRV_REGION_* */
	uint64_t offset;
	char name[24]; /* "bar0" or "config" */
};

/** parse_register() - "bar0+0x10", "config+4", "bar2"; 0 or -EINVAL */
int parse_register(const char *text, struct reg *reg);

/** parse_number() - decimal, or hexadecimal after 0x; 0, -EINVAL, -ERANGE past 64 bits */
int parse_number(const char *text, uint64_t *value);

/** register_check() - 0, or a refusal: no such BAR, misaligned, out of bounds */
int register_check(struct udrv *device, const char *brief, const struct reg *reg,
		   unsigned int width);

/** register_read(), register_write() - 0, or a refusal */
int register_read(struct udrv *device, const char *brief, const struct reg *reg, unsigned int width,
		  uint64_t *value);
int register_write(struct udrv *device, const char *brief, const struct reg *reg,
		   unsigned int width, uint64_t value);

/* ---- the commands ---- */

int command_list(int argc, char **argv);
int command_bind(int argc, char **argv);
int command_unbind(int argc, char **argv);
int command_info(int argc, char **argv);
int command_read(int argc, char **argv);
int command_write(int argc, char **argv);
int command_irq(int argc, char **argv);
int command_reset(int argc, char **argv);
int command_revoke(int argc, char **argv);

#endif /* UDRV_CLI_H */
