// SPDX-License-Identifier: MIT
/*
 * device.c - opening a device, what it is, its bus mastering and its reset
 *
 * Owns struct udrv from udrv_open() to udrv_close(), the names of nodes, and the sentences for
 * errors. It asks for everything that does not change (DEVICE_INFO, REGION_INFO) once, at open, so
 * that the rest of the library checks bounds without a system call.
 *
 * The hard part: udrv_open_fd() must leave a descriptor that it refuses to its caller, untouched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"

#ifndef UDRV_VERSION
#error "the Makefile says which version this is: -DUDRV_VERSION=\"0.0.0\""
#endif

/* Up to @digits hexadecimal digits, at least one; the place after them, or NULL. */
static const char *parse_hex(const char *text, unsigned int digits, unsigned int *value)
{
	unsigned int n;

	*value = 0;
	for (n = 0; n < digits; n++, text++) {
		if (*text >= '0' && *text <= '9')
			*value = *value << 4 | (unsigned int)(*text - '0');
		else if (*text >= 'a' && *text <= 'f')
			*value = *value << 4 | (unsigned int)(*text - 'a' + 10);
		else if (*text >= 'A' && *text <= 'F')
			*value = *value << 4 | (unsigned int)(*text - 'A' + 10);
		else
			break;
	}
	return n ? text : NULL;
}

int udrv_address_parse(const char *text, struct udrv_address *address)
{
	unsigned int field[3], first_digits = 0, n = 0;
	const char *end;

	if (!text)
		return -EINVAL;
	if (strncmp(text, "pci-", 4) == 0)
		text += 4;

	/* [domain:]bus:slot.function; only the first of three fields, the domain, is longer than
	 * two. */
	for (;;) {
		end = parse_hex(text, 8, &field[n]);
		if (!end || (n > 0 && end - text > 2))
			return -EINVAL;
		if (n == 0)
			first_digits = (unsigned int)(end - text);
		if (*end == '.')
			break;
		if (*end != ':' || ++n == 3)
			return -EINVAL;
		text = end + 1;
	}
	text = end + 1;
	if (n == 0 || (n == 1 && first_digits > 2) || field[n] > 0x1f)
		return -EINVAL;
	if (text[0] < '0' || text[0] > '7' || text[1] != '\0')
		return -EINVAL;

	address->domain = n == 2 ? field[0] : 0;
	address->bus = field[n - 1];
	address->slot = field[n];
	address->function = (unsigned int)(text[0] - '0');
	return 0;
}

void udrv_address_node(const struct udrv_address *address, char name[UDRV_NODE_NAME_BYTES])
{
	if (address->domain)
		snprintf(name, UDRV_NODE_NAME_BYTES, "pci-%04x:%02x:%02x.%x", address->domain,
			 address->bus & 0xff, address->slot & 0x1f, address->function & 7);
	else
		snprintf(name, UDRV_NODE_NAME_BYTES, "pci-%02x:%02x.%x", address->bus & 0xff,
			 address->slot & 0x1f, address->function & 7);
}

int udrv_node_open(const char *name)
{
	char path[sizeof(UDRV_NODE_DIRECTORY) + 1 + UDRV_NODE_NAME_BYTES];
	char node[UDRV_NODE_NAME_BYTES];
	struct udrv_address address;
	int fd;

	if (!name)
		return -EINVAL;
	if (!strchr(name, '/')) {
		if (udrv_address_parse(name, &address))
			return -EINVAL;
		udrv_address_node(&address, node);
		snprintf(path, sizeof(path), "%s/%s", UDRV_NODE_DIRECTORY, node);
		name = path;
	}
	do
		fd = open(name, O_RDWR | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

int udrv_call(int fd, unsigned long request, void *argument)
{
	int rc;

	do
		rc = ioctl(fd, request, argument);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

/* Fill in what does not change while the descriptor is open. */
static int learn(struct udrv *device)
{
	unsigned int i, count;
	int rc;

	device->info.size = sizeof(device->info);
	rc = udrv_call(device->fd, UDRV_IOC_DEVICE_INFO, &device->info);
	if (rc)
		return rc;

	/* A newer kernel may have more regions than this library has names for. */
	count = device->info.region_count;
	if (count > UDRV_REGION_COUNT)
		count = UDRV_REGION_COUNT;
	for (i = 0; i < count; i++) {
		device->region[i].size = sizeof(device->region[i]);
		device->region[i].index = i;
		rc = udrv_call(device->fd, UDRV_IOC_REGION_INFO, &device->region[i]);
		if (rc)
			return rc;
	}
	return 0;
}

int udrv_open_fd(int fd, struct udrv **device)
{
	struct udrv *made;
	int rc;

	if (!device)
		return -EINVAL;
	made = calloc(1, sizeof(*made));
	if (!made)
		return -ENOMEM;
	made->fd = fd;
	rc = learn(made);
	if (rc) {
		free(made);
		return rc;
	}
	*device = made;
	return 0;
}

int udrv_open(const char *name, struct udrv **device)
{
	int fd, rc;

	if (!device)
		return -EINVAL;
	fd = udrv_node_open(name);
	if (fd < 0)
		return fd;
	rc = udrv_open_fd(fd, device);
	if (rc)
		close(fd);
	return rc;
}

void udrv_close(struct udrv *device)
{
	if (!device)
		return;
	/* Not again on EINTR: Linux has given the descriptor away by then. */
	close(device->fd);
	free(device);
}

int udrv_fd(const struct udrv *device)
{
	return device->fd;
}

const struct udrv_ioc_device_info *udrv_info(const struct udrv *device)
{
	return &device->info;
}

int udrv_bus_master(struct udrv *device, bool enable)
{
	struct udrv_ioc_device_bus_master call = { .size = sizeof(call), .enable = enable };

	return udrv_call(device->fd, UDRV_IOC_DEVICE_BUS_MASTER, &call);
}

int udrv_reset(struct udrv *device)
{
	struct udrv_ioc_device_reset call = { .size = sizeof(call) };

	return udrv_call(device->fd, UDRV_IOC_DEVICE_RESET, &call);
}

const char *udrv_version(void)
{
	return UDRV_VERSION;
}

const char *udrv_strerror(int error)
{
	switch (-error) {
	case 0:
		return "no error";
	case ENOENT:
		return "no such node or handle: bind the device with 'udrv bind', see 'udrv list'";
	case EBUSY:
		return "in use: 'udrv list' shows by whom (it, or a device of its IOMMU group); "
		       "end "
		       "that process, or free what is set up, first";
	case EACCES:
		return "the node's permissions do not admit this user: run as root, or join its "
		       "group (udrv)";
	case EPERM:
		return "not permitted: a device that no IOMMU confines ('udrv info' says why) is "
		       "opened with CAP_SYS_RAWIO only (run as root); of config space only the "
		       "fields that udrv(4) lists can be written, of the MSI-X table none";
	case EINVAL:
		return "a value out of range, misaligned or unknown: compare with <udrv/udrv.h>; "
		       "MSI and MSI-X need bus mastering on first";
	case ENODEV:
	case ENXIO:
		return "the device is gone, or was taken away: close it, and open it again when it "
		       "is back";
	case EOWNERDEAD:
		return "the device may still work for its last driver: reset it, and attach with "
		       "UDRV_BLK_DEVICE_IS_RESET";
	case ENOTTY:
		return "not a node of udrv, or a call that this kernel's udrv does not have: check "
		       "the path, and the feature bits in DEVICE_INFO";
	case EOPNOTSUPP:
		return "this device cannot do it: 'udrv info' shows what it can";
	case ENOSPC:
		return "too short or too few: make the segment list as long as it says, or ask for "
		       "fewer vectors or buffers";
	case ENOMEM:
		return "out of memory or over its limit: raise RLIMIT_MEMLOCK (ulimit -l), or use "
		       "less";
	case EAGAIN:
		return "not now: the device or the interrupt is not ready, try again";
	case EINTR:
		return "a signal arrived first: call again, unless the signal meant to stop";
	case EFAULT:
		return "memory that was passed is not accessible, or is not ordinary memory: check "
		       "the address and the length";
	case E2BIG:
		return "this program is newer than the kernel's udrv and uses what that does not "
		       "know: update the module";
	case EBADF:
		return "the descriptor is not open: check that nothing has closed it";
	case EMFILE:
	case ENFILE:
		return "too many open files: close some, or raise RLIMIT_NOFILE (ulimit -n)";
	case EIO:
		return "the device did not answer as a register access should: check its power and "
		       "its link";
	default:
		return "an error that libudrv has no words for: see errno(3) for its number";
	}
}
