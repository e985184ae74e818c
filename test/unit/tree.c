// SPDX-License-Identifier: MIT
/* tree.c - makes and removes the directories of tree.h; takes refuse()'s sentences, and wait_for_udev()'s place */
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../libudrv/cli/cli.h"
#include "fake.h"
#include "tree.h"

char tree_refusal[1024];
unsigned int tree_waits_for_udev;

static char top[] = "/tmp/udrv-unit.XXXXXX";
static char back[PATH_MAX];

int __wrap_refuse(int status, const char *format, ...);

void wait_for_udev(void)
{
	tree_waits_for_udev++;
}

int __wrap_refuse(int status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(tree_refusal, sizeof(tree_refusal), format, arguments);
	va_end(arguments);
	return status;
}

int tree_begin(void **state)
{
	fake_reset(state);
	tree_refusal[0] = '\0';
	tree_waits_for_udev = 0;
	strcpy(strrchr(top, '.') + 1, "XXXXXX");
	if (!getcwd(back, sizeof(back)) || !mkdtemp(top) || chdir(top))
		return -1;
	return mkdir("sys", 0777) || mkdir("proc", 0777) || mkdir("run", 0777);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

int tree_end(void **state)
{
	(void)state;
	return chdir(back) || nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_parents(const char *path)
{
	char parent[PATH_MAX], *slash;

	snprintf(parent, sizeof(parent), "%s", path);
	for (slash = strchr(parent, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(parent, 0777);
		*slash = '/';
	}
}

void tree_directory(const char *path)
{
	make_parents(path);
	assert_int_equal(mkdir(path, 0777), 0);
}

void tree_bytes(const char *path, const void *content, size_t length)
{
	FILE *file;

	make_parents(path);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(content, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

void tree_file(const char *path, const char *content)
{
	tree_bytes(path, content, strlen(content));
}

void tree_link(const char *path, const char *target)
{
	char absolute[PATH_MAX];

	make_parents(path);
	snprintf(absolute, sizeof(absolute), "%s/%s", top, target);
	assert_int_equal(symlink(absolute, path), 0);
}

void tree_device(const char *address, const char *driver)
{
	uint8_t config[256] = { 0x34, 0x12, 0xe8, 0x11 };
	char path[256], target[256];

	snprintf(path, sizeof(path), TREE_DEVICE "%s/vendor", address);
	tree_file(path, "0x1234\n");
	snprintf(path, sizeof(path), TREE_DEVICE "%s/device", address);
	tree_file(path, "0x11e8\n");
	snprintf(path, sizeof(path), TREE_DEVICE "%s/class", address);
	tree_file(path, "0x00ff00\n");
	snprintf(path, sizeof(path), TREE_DEVICE "%s/config", address);
	tree_bytes(path, config, sizeof(config));
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", address);
	snprintf(target, sizeof(target), TREE_DEVICE "%s", address);
	tree_link(path, target);
	if (driver) {
		snprintf(path, sizeof(path), TREE_DEVICE "%s/driver", address);
		snprintf(target, sizeof(target), "sys/bus/pci/drivers/%s", driver);
		tree_link(path, target);
	}
}
