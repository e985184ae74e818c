/* SPDX-License-Identifier: MIT */
/*
 * tree.h - a /sys, a /proc and a /run of the test's own
 *
 * The command's files are compiled with CLI_SYS, CLI_PROC and CLI_RUN as "sys", "proc" and "run",
 * relative paths, and each test runs in a new directory. So what a machine looks like is written down in the test.
 */
#ifndef TREE_H
#define TREE_H

#include <stddef.h>

/* Setup and teardown of a test: a new, empty working directory with sys/, proc/ and run/. */
int tree_begin(void **state);
int tree_end(void **state);

/* A file with its content; the directories on the way are made. */
void tree_file(const char *path, const char *content);
void tree_bytes(const char *path, const void *content, size_t length);
/* A symbolic link to a path from the top of the tree. */
void tree_link(const char *path, const char *target);
void tree_directory(const char *path);

/*
 * A PCI device "0000:00:02.0" in sys/devices/pci0000:00, with its link in sys/bus/pci/devices, of
 * config space that begins with the 64 bytes of a plain endpoint; @driver may be NULL.
 */
void tree_device(const char *address, const char *driver);
/* The path of a device's directory, for links into it. */
#define TREE_DEVICE "sys/devices/pci0000:00/"

/* What refuse() was told, last: it prints nothing in these tests. "" after tree_begin(). */
extern char tree_refusal[1024];

/* How often udev was waited for, since tree_begin(): nobody waits here. */
extern unsigned int tree_waits_for_udev;

#endif /* TREE_H */
