// SPDX-License-Identifier: MIT
/*
 * count.c - a plugin of QEMU's that counts the instructions of all CPUs, while they run
 *
 *   -plugin count.so,count=FILE
 *
 * The first eight bytes of FILE are the count, in the host's byte order. `vm --count` gives that file to the guest as a
 * device's memory: a program there reads how much the machine has executed, with one load and nobody asked.
 *
 * It is where -icount cannot go: QEMU 7.2 boots no second CPU with it. CPUs have to be emulated in turn (thread=single):
 * the sum is one for all of them, and is added to without a lock.
 *
 * Debian has no header of the interface (docs/devel/tcg-plugins.rst of QEMU's): what is needed of version 1 is declared here.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define EXPORT __attribute__((visibility("default")))
#define FILE_BYTES 4096
#define INLINE_ADD_U64 0

struct qemu_plugin_tb;
struct qemu_plugin_insn;

extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*translated)(uint64_t id, struct qemu_plugin_tb *tb));
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *to, uint64_t n);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

static uint64_t *count;

/* Each instruction adds itself: of a block that an exception leaves in the middle only what was executed is counted. */
static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++)
		qemu_plugin_register_vcpu_insn_exec_inline(qemu_plugin_tb_get_insn(tb, i), INLINE_ADD_U64, count, 1);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	int fd;

	(void)info;
	if (argc != 1 || strncmp(argv[0], "count=", 6)) {
		fprintf(stderr, "count: say count=FILE\n");
		return 1;
	}
	fd = open(argv[0] + 6, O_RDWR | O_CLOEXEC);
	count = fd < 0 ? MAP_FAILED : mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (count == MAP_FAILED) {
		perror(argv[0] + 6);
		return 1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
