// SPDX-License-Identifier: MIT
/*
 * bind.c - `udrv bind` and `udrv unbind`
 *
 * Owns the change of driver, both ways, by the kernel's own convention: driver_override names the
 * driver, the old one is unbound, the new one bound. What can go wrong is asked before anything is
 * changed; what goes wrong afterwards is undone, so that a refused bind leaves the device with the
 * driver that it had.
 *
 * The hard part is the order: the module is loaded before the old driver lets go, the old override
 * is kept until the new driver has the device, and in between, while it has none, its IOMMU group
 * gets a strict domain (group.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define NODE_TIMEOUT_MS 10000
#define NVME_TIMEOUT_MS 10000
#define MODPROBE "/sbin/modprobe"

extern char **environ;

struct options {
	const char *address;
	bool force;
	bool persist;
	bool leave;
	bool lazy;
};

/*
 * Run a program and keep the end of what it prints (its complaint, as a rule).
 * Return: its exit status, 127 if it is not there, -1 if it did not end by itself
 */
static int run_program(const char *const *arguments, char *output, size_t bytes)
{
	posix_spawn_file_actions_t actions;
	int pipes[2], status = 0, rc;
	size_t have = 0;
	ssize_t done;
	pid_t child;

	output[0] = '\0';
	if (pipe2(pipes, O_CLOEXEC))
		return -1;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDERR_FILENO);
	/* posix_spawn takes the arguments as char *const *, and does not write to them. */
	rc = posix_spawnp(&child, arguments[0], &actions, NULL, (char *const *)(uintptr_t)arguments,
			  environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipes[1]);
	if (rc) {
		close(pipes[0]);
		return rc == ENOENT ? 127 : -1;
	}
	while ((done = read(pipes[0], output + have, bytes - 1 - have)) != 0) {
		if (done < 0) {
			if (errno == EINTR)
				continue;
			break;
		}
		have += (size_t)done;
		/* Full: the first half has been said, the end matters. */
		if (have == bytes - 1) {
			memmove(output, output + have / 2, have - have / 2);
			have -= have / 2;
		}
	}
	close(pipes[0]);
	while (have && (output[have - 1] == '\n' || output[have - 1] == '.'))
		have--;
	output[have] = '\0';
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The last line of a program's output. */
static const char *last_line(const char *output)
{
	const char *newline = strrchr(output, '\n');

	return newline ? newline + 1 : output;
}

static int load_module(void)
{
	static const char *const modprobe[] = { MODPROBE, "udrv", NULL };
	struct utsname system;
	char output[1024];
	int rc;

	if (sysfs_module_loaded())
		return STATUS_OK;
	rc = run_program(modprobe, output, sizeof(output));
	if (rc == 0 && sysfs_module_loaded())
		return STATUS_OK;
	uname(&system);
	if (rc == 127)
		return refuse(STATUS_NO_MODULE,
			      "the module udrv is not loaded, and there is no " MODPROBE
			      " to load it: install the package kmod.");
	if (strstr(output, "not found"))
		return refuse(STATUS_NO_MODULE,
			      "the module udrv is not installed for this kernel, %s: run 'make "
			      "install' in udrv's source, or look at 'dkms status'.",
			      system.release);
	if (strstr(output, "Key was rejected"))
		return refuse(STATUS_NO_MODULE,
			      "Secure Boot does not admit the module udrv: enrol DKMS's key "
			      "(mokutil --import /var/lib/dkms/mok.pub) and boot again.");
	return refuse(STATUS_NO_MODULE,
		      "the module udrv could not be loaded (%s): 'sudo dmesg' may say more.",
		      output[0] ? last_line(output) : "modprobe said nothing");
}

void wait_for_udev(void)
{
	static const char *const settle[] = { "udevadm", "settle", "--timeout=10", NULL };
	char output[256];

	run_program(settle, output, sizeof(output));
}

/* Wait until the node is there: an event of the file system, not a guess at how long it takes. */
static bool wait_for_node(const char *node)
{
	char path[PATH_MAX], events[sizeof(struct inotify_event) + NAME_MAX + 1];
	struct timespec now;
	struct pollfd waiter;
	long long end, left;
	bool there = false;

	snprintf(path, sizeof(path), UDRV_NODE_DIRECTORY "/%s", node);
	waiter.fd = inotify_init1(IN_CLOEXEC);
	waiter.events = POLLIN;
	if (waiter.fd < 0)
		return access(path, F_OK) == 0;
	inotify_add_watch(waiter.fd, "/dev", IN_CREATE | IN_MOVED_TO);
	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec * 1000LL + now.tv_nsec / 1000000 + NODE_TIMEOUT_MS;
	for (;;) {
		/* The directory comes with its first node; until then the event is one of /dev. */
		inotify_add_watch(waiter.fd, UDRV_NODE_DIRECTORY, IN_CREATE | IN_MOVED_TO);
		there = access(path, F_OK) == 0;
		if (there)
			break;
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = end - (now.tv_sec * 1000LL + now.tv_nsec / 1000000);
		if (left <= 0 || poll(&waiter, 1, (int)left) <= 0)
			break;
		if (read(waiter.fd, events, sizeof(events)) < 0)
			break;
	}
	close(waiter.fd);
	return there;
}

static int set_override(const struct pci_entry *entry, const char *driver)
{
	return sysfs_write(driver[0] ? driver : "\n", "bus/pci/devices/%s/driver_override",
			   entry->sysfs);
}

static int require_root(const struct pci_entry *entry, const char *command)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), CLI_SYS "/bus/pci/devices/%s/driver_override", entry->sysfs);
	if (!access(path, W_OK))
		return STATUS_OK;
	if (errno == EROFS)
		return refuse(STATUS_NOT_PERMITTED,
			      "/sys is mounted read-only (in a container?): run 'udrv %s %s' on "
			      "the host.",
			      command, entry->brief);
	return refuse(STATUS_NOT_PERMITTED,
		      "changing a device's driver needs root: run 'sudo udrv %s %s'.", command,
		      entry->brief);
}

/* ---- driverctl: what was bound stays bound after a reboot ---- */

static bool have_driverctl(void)
{
	static const char *const help[] = { "driverctl", "--help", NULL };
	char output[256];

	return run_program(help, output, sizeof(output)) != 127;
}

/*
 * Run driverctl; 0, or -ECANCELED with what it said in @output. To set an override, it does the
 * whole change by itself and saves it if that went well; to unset one, with --noprobe (else it
 * keeps the override where the kernel has no driver for the device), it unbinds the device.
 */
static int driverctl(const struct pci_entry *entry, bool set, char *output, size_t bytes)
{
	const char *const set_override[] = { "driverctl", "set-override", entry->sysfs, "udrv",
					     NULL };
	const char *const unset_override[] = { "driverctl", "--noprobe", "unset-override",
					       entry->sysfs, NULL };

	return run_program(set ? set_override : unset_override, output, bytes) ? -ECANCELED : 0;
}

static int forget(const struct pci_entry *entry)
{
	char path[PATH_MAX], output[1024];

	snprintf(path, sizeof(path), CLI_ETC "/driverctl.d/pci-%s", entry->sysfs);
	if (access(path, F_OK) || !have_driverctl())
		return STATUS_OK;
	if (driverctl(entry, false, output, sizeof(output)))
		return refuse(STATUS_FAILED,
			      "driverctl would bind %s again at the next boot (%s): try 'sudo "
			      "driverctl unset-override %s'.",
			      entry->brief, last_line(output), entry->sysfs);
	return STATUS_OK;
}

/* ---- bind ---- */

static int refuse_probe(const struct pci_entry *entry, int rc, const char *output)
{
	if (rc == -ECANCELED)
		return refuse(STATUS_FAILED,
			      "%s was not bound, driverctl failed (%s): try without --persist.",
			      entry->brief, last_line(output));
	if (rc == -EBUSY)
		return refuse(STATUS_FAILED,
			      "%s was not bound, something else in the kernel holds its registers: "
			      "'sudo cat /proc/iomem' shows what.",
			      entry->brief);
	return refuse(STATUS_FAILED,
		      "%s was not bound, the kernel refused it (%s): 'sudo dmesg' may say why.",
		      entry->brief, strerror(-rc));
}

static int refuse_in_use(const struct pci_entry *entry, const char *or_else)
{
	struct node_state state;

	if (sysfs_node_state(&entry->address, &state) || !state.owner)
		return STATUS_OK;
	return refuse(STATUS_BUSY,
		      "%s is in use by %s (pid %d): end that process first (kill %d)%s.",
		      entry->brief, state.command, (int)state.owner, (int)state.owner, or_else);
}

/* What the kernel's nvme does with a controller that it has just found; "" if there is nothing to be seen of it. */
static void nvme_state(const struct pci_entry *entry, char *state, size_t bytes)
{
	char pattern[PATH_MAX];
	glob_t found;

	state[0] = '\0';
	snprintf(pattern, sizeof(pattern), CLI_SYS "/bus/pci/devices/%s/nvme/nvme*", entry->sysfs);
	if (!glob(pattern, 0, NULL, &found)) {
		if (sysfs_read(state, bytes, "%s/state", found.gl_pathv[0] + strlen(CLI_SYS "/")))
			state[0] = '\0';
		globfree(&found);
	}
}

/*
 * The nvme of 6.1 goes on with a controller when its probe has ended, and if the controller is taken from it
 * meanwhile, what is left over of it takes the device from its next driver a moment later: nvme_remove_dead_ctrl_work().
 * So it may begin in peace, and @now says who has the device then. Nothing tells when its state changes.
 */
static void nvme_settle(struct pci_entry *now)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	struct udrv_address address = now->address;
	char state[32];

	for (int i = 0; i < NVME_TIMEOUT_MS / 10; i++) {
		if (sysfs_load(&address, now) || strcmp(now->driver, "nvme") != 0)
			return;
		nvme_state(now, state, sizeof(state));
		if (state[0] && strcmp(state, "new") != 0 && strcmp(state, "resetting") != 0 &&
		    strcmp(state, "connecting") != 0)
			return;
		nanosleep(&pause, NULL);
	}
}

/* Give the device to udrv, or leave it as it was. */
static int change_driver(const struct options *options, const struct pci_entry *entry)
{
	char override[64], output[1024] = "";
	struct pci_entry now = *entry;
	bool strict = false;
	int rc = 0;

	if (sysfs_read(override, sizeof(override), "bus/pci/devices/%s/driver_override",
		       entry->sysfs) ||
	    strcmp(override, "(null)") == 0)
		override[0] = '\0';
	if (!options->persist)
		rc = set_override(entry, "udrv");
	/* The kernel may be giving it to one of its own just now: not after the override is set. */
	if (!rc)
		nvme_settle(&now);
	if (!rc && now.driver[0]) {
		rc = sysfs_write(entry->sysfs, "bus/pci/devices/%s/driver/unbind", entry->sysfs);
		/* It let go by itself: a driver that looked at what was just plugged in, say. */
		if (rc == -ENOENT || rc == -ENODEV)
			rc = 0;
	}
	/* Where the domain cannot be made strict the device is bound all the same, and said to be.
	 */
	if (!rc && !options->lazy)
		group_make_strict(entry, &strict);
	if (!rc && options->persist)
		rc = driverctl(entry, true, output, sizeof(output));
	else if (!rc)
		rc = sysfs_write(entry->sysfs, "bus/pci/drivers/udrv/bind");
	if (!rc)
		return STATUS_OK;

	/* Best effort: what the user must know is why it was not bound. */
	set_override(entry, override);
	if (strict)
		group_restore(entry);
	sysfs_write(entry->sysfs, "bus/pci/drivers_probe");
	return refuse_probe(entry, rc, output);
}

static int check_bind(const struct options *options, const struct pci_entry *entry)
{
	char why[PATH_MAX + 64];

	if (entry->bridge)
		return refuse(STATUS_FAILED,
			      "%s is a bridge: udrv drives the devices behind it ('udrv list' "
			      "shows them).",
			      entry->brief);
	if (options->persist && !have_driverctl())
		return refuse(STATUS_FAILED,
			      "--persist is driverctl's work, which is not installed: 'sudo apt "
			      "install driverctl', or bind without it.");
	if (!options->force && entry->mainboard)
		return refuse(STATUS_DANGEROUS,
			      "%s was not bound, it is part of the mainboard (class %06x): say "
			      "--force if you know better.",
			      entry->brief, entry->class_code);
	if (!options->force && danger_find(entry, why, sizeof(why)))
		return refuse(STATUS_DANGEROUS,
			      "%s was not bound, the system would miss it: %s. Undo that first, or "
			      "say --force if you know better.",
			      entry->brief, why);
	return STATUS_OK;
}

/* Who may open it now: the line that tells whether what was bound is safe to hand out. */
static void print_tier(const struct pci_entry *entry)
{
	struct node_state state;
	char reason[REASON_BYTES];

	if (sysfs_node_state(&entry->address, &state))
		return;
	if (state.confined) {
		puts("It is confined: whoever may open the node (group udrv) may drive it.");
		return;
	}
	group_reason(entry, &state, reason, sizeof(reason));
	printf("It is not confined, because %s: only root (CAP_SYS_RAWIO) may drive it.\n", reason);
}

static int bind_device(const struct options *options, const struct pci_entry *entry)
{
	char node[UDRV_NODE_NAME_BYTES];
	int rc;

	rc = check_bind(options, entry);
	if (!rc)
		rc = load_module();
	if (!rc)
		rc = change_driver(options, entry);
	if (rc)
		return rc;

	udrv_address_node(&entry->address, node);
	if (!wait_for_node(node))
		return refuse(STATUS_FAILED,
			      "%s is bound, but no node came up in " UDRV_NODE_DIRECTORY
			      ": mount a devtmpfs on /dev, or run udev.",
			      entry->brief);
	/* It gives the node to its group. Who binds for somebody else may start their driver next. */
	wait_for_udev();
	printf("%s is bound to udrv: " UDRV_NODE_DIRECTORY "/%s\n", entry->brief, node);
	print_tier(entry);
	printf("Next: 'sudo udrv info %s' shows its registers; 'sudo udrv unbind %s' gives it "
	       "back.\n",
	       entry->brief, entry->brief);
	return STATUS_OK;
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'f':
		options->force = true;
		return 0;
	case 'p':
		options->persist = true;
		return 0;
	case 'l':
		options->leave = true;
		return 0;
	case 'z':
		options->lazy = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->address)
			return ARGP_ERR_UNKNOWN;
		options->address = text;
		return 0;
	case ARGP_KEY_END:
		if (!options->address)
			argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option bind_options[] = {
	{ "force", 'f', NULL, 0,
	  "Even if the system would miss the device (mounted disk, default route)", 0 },
	{ "lazy", 'z', NULL, 0,
	  "Leave the IOMMU's domain as it is, which is faster: only root may drive the device then",
	  0 },
	{ "persist", 'p', NULL, 0, "After a reboot too, through driverctl", 0 },
	{ 0 },
};

static const struct argp bind_argp = {
	.options = bind_options,
	.parser = parse_option,
	.args_doc = "ADDRESS",
	.doc = "Take a device from its kernel driver and give it to udrv. The module is loaded if "
	       "it is not, and the IOMMU, where there is one, made to confine the device.",
};

int command_bind(int argc, char **argv)
{
	struct options options = { 0 };
	struct udrv_address address;
	struct pci_entry entry;
	int rc;

	parse_arguments(&bind_argp, argc, argv, &options);
	rc = parse_address(options.address, &address);
	if (!rc)
		rc = require_entry(&address, &entry);
	if (!rc)
		rc = require_root(&entry, "bind");
	if (rc)
		return rc;
	if (!entry.bound)
		return bind_device(&options, &entry);
	/* driverctl binds it anew, so nobody may have it open. */
	if (options.persist) {
		rc = refuse_in_use(&entry, "");
		return rc ? rc : bind_device(&options, &entry);
	}
	printf("%s is bound to udrv already.\n", entry.brief);
	print_tier(&entry);
	return STATUS_OK;
}

/* ---- unbind ---- */

static const struct argp_option unbind_options[] = {
	{ "force", 'f', NULL, 0, "Even if a process has it open: that process loses it", 0 },
	{ "leave", 'l', NULL, 0, "Leave it without a driver", 0 },
	{ 0 },
};

static const struct argp unbind_argp = {
	.options = unbind_options,
	.parser = parse_option,
	.args_doc = "ADDRESS",
	.doc = "Take a device from udrv and give it back to its kernel driver.",
};

/* Let the kernel look for a driver; one that is not loaded is, as at boot. */
static void probe(const struct pci_entry *entry)
{
	const char *modprobe[] = { MODPROBE, "-q", "-b", NULL, NULL };
	char modalias[128], output[256];
	struct pci_entry now;

	sysfs_write(entry->sysfs, "bus/pci/drivers_probe");
	if (sysfs_load(&entry->address, &now) || now.driver[0] ||
	    sysfs_read(modalias, sizeof(modalias), "bus/pci/devices/%s/modalias", entry->sysfs))
		return;
	/* A driver that is loaded now looks for its devices itself. */
	modprobe[3] = modalias;
	run_program(modprobe, output, sizeof(output));
}

static int report_unbound(const struct options *options, const struct pci_entry *entry)
{
	struct pci_entry now;

	if (sysfs_load(&entry->address, &now))
		return refuse(STATUS_NO_DEVICE, "%s is gone: it was unplugged just now.",
			      entry->brief);
	if (now.bound)
		return refuse(STATUS_FAILED,
			      "%s went straight back to udrv: its ID was given to it by new_id; "
			      "take it away with 'echo %04x %04x | sudo tee "
			      "/sys/bus/pci/drivers/udrv/remove_id'.",
			      now.brief, now.vendor, now.device);
	if (now.driver[0])
		printf("%s is back with %s.\n", now.brief, now.driver);
	else if (options->leave)
		printf("%s has no driver now.\n", now.brief);
	else
		printf("%s has no driver now: the kernel knows none for it.\n", now.brief);
	return STATUS_OK;
}

static int check_unbind(const struct options *options, const struct pci_entry *entry)
{
	if (!entry->bound && !sysfs_module_loaded())
		return refuse(STATUS_NO_MODULE,
			      "the module udrv is not loaded, so %s is not bound to it: there is "
			      "nothing to undo.",
			      entry->brief);
	if (!entry->bound)
		return refuse(STATUS_NOT_BOUND,
			      "%s is not bound to udrv (its driver: %s): there is nothing to undo.",
			      entry->brief, entry->driver[0] ? entry->driver : "none");
	if (options->force)
		return STATUS_OK;
	return refuse_in_use(entry, ", or say --force to take the device from it");
}

int command_unbind(int argc, char **argv)
{
	struct options options = { 0 };
	struct udrv_address address;
	struct pci_entry entry;
	int rc;

	parse_arguments(&unbind_argp, argc, argv, &options);
	rc = parse_address(options.address, &address);
	if (!rc)
		rc = require_entry(&address, &entry);
	if (!rc)
		rc = check_unbind(&options, &entry);
	if (!rc)
		rc = require_root(&entry, "unbind");
	if (!rc)
		rc = forget(&entry);
	if (rc)
		return rc;

	rc = set_override(&entry, "");
	/* driverctl may have unbound it already. */
	if (!rc && !sysfs_load(&address, &entry) && entry.bound)
		rc = sysfs_write(entry.sysfs, "bus/pci/drivers/udrv/unbind");
	if (rc)
		return refuse(STATUS_FAILED, "%s was not unbound (%s): 'sudo dmesg' may say why.",
			      entry.brief, strerror(-rc));
	group_restore(&entry);
	if (!options.leave)
		probe(&entry);
	return report_unbound(&options, &entry);
}
