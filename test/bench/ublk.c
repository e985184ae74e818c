// SPDX-License-Identifier: MIT
/*
 * ublk.c - see ublk.h; the kernel's Documentation/block/ublk.rst says how a server works
 *
 * On system calls alone, for the compiler's headers are older than what the kernel can do. This process commands, a child serves:
 * the start of a disk reads from it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/ublk_cmd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "ublk.h"

/* Of later headers. */
#define F_CMD_IOCTL_ENCODE (1ULL << 6)
#define F_AUTO_BUF_REG (1ULL << 11)
#define CONTROL(number) _IOWR('u', number, struct ublksrv_ctrl_cmd)
#define IO(number) _IOWR('u', number, struct ublksrv_io_cmd)

/* The registered files. */
enum { FILE_REQUESTS, FILE_BACKING };

/* What an entry's completion is for; the tag is below. */
#define READ_DONE (UINT64_C(1) << 32)

/** struct ring - an io_uring, as much of it as is needed */
struct ring {
	int fd;
	size_t sqe_bytes;
	uint8_t *sqes;
	struct io_uring_cqe *cqes;
	uint32_t *sq_tail, *cq_head, *cq_tail;
	uint32_t sq_mask, cq_mask, filled;
};

static void ring_open(struct ring *ring, unsigned int entries, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags };
	uint8_t *sq, *cq;
	uint32_t *array;

	ring->fd = (int)syscall(SYS_io_uring_setup, entries, &p);
	REQUIRE(ring->fd >= 0 && fcntl(ring->fd, F_SETFD, FD_CLOEXEC) == 0);
	ring->sqe_bytes = flags & IORING_SETUP_SQE128 ? 128 : 64;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		  ring->fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_CQ_RING);
	ring->sqes = mmap(NULL, p.sq_entries * ring->sqe_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
			  IORING_OFF_SQES);
	REQUIRE(sq != MAP_FAILED && cq != MAP_FAILED && ring->sqes != MAP_FAILED);
	ring->sq_tail = (uint32_t *)(sq + p.sq_off.tail);
	ring->sq_mask = *(uint32_t *)(sq + p.sq_off.ring_mask);
	ring->cq_head = (uint32_t *)(cq + p.cq_off.head);
	ring->cq_tail = (uint32_t *)(cq + p.cq_off.tail);
	ring->cq_mask = *(uint32_t *)(cq + p.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	array = (uint32_t *)(sq + p.sq_off.array);
	for (uint32_t i = 0; i <= ring->sq_mask; i++)
		array[i] = i;
	ring->filled = 0;
}

/* A new entry, all zero. There is room: as many as there are tags, each in one place at a time. */
static struct io_uring_sqe *ring_entry(struct ring *ring)
{
	uint32_t at = (*ring->sq_tail + ring->filled++) & ring->sq_mask;

	return memset(ring->sqes + at * ring->sqe_bytes, 0, ring->sqe_bytes);
}

static void ring_turn(struct ring *ring)
{
	uint32_t filled = ring->filled;

	ring->filled = 0;
	__atomic_store_n(ring->sq_tail, *ring->sq_tail + filled, __ATOMIC_RELEASE);
	REQUIRE(syscall(SYS_io_uring_enter, ring->fd, filled, 1, IORING_ENTER_GETEVENTS, NULL, 0) == (long)filled);
}

/* ---- commands ---- */

static struct ring control;
static int control_fd = -1;

/* Return: what the kernel says. */
static int command(uint32_t op, unsigned int id, void *data, uint16_t bytes, uint64_t value)
{
	struct ublksrv_ctrl_cmd *cmd;
	struct io_uring_sqe *sqe;
	int result;

	sqe = ring_entry(&control);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = control_fd;
	sqe->cmd_op = op;
	cmd = (struct ublksrv_ctrl_cmd *)((uint8_t *)sqe + 48);
	*cmd = (struct ublksrv_ctrl_cmd){ .dev_id = id, .queue_id = UINT16_MAX, .addr = (uintptr_t)data, .len = bytes,
					  .data = { value } };
	ring_turn(&control);
	result = control.cqes[*control.cq_head & control.cq_mask].res;
	__atomic_store_n(control.cq_head, *control.cq_head + 1, __ATOMIC_RELEASE);
	return result;
}

bool ublk_there(void)
{
	if (system("modprobe -q ublk_drv") != 0)
		return false;
	control_fd = open("/dev/ublk-control", O_RDWR | O_CLOEXEC);
	if (control_fd < 0)
		return false;
	ring_open(&control, 4, IORING_SETUP_SQE128);
	return true;
}

/* ---- serving ---- */

struct server {
	struct ring ring;
	const struct ublksrv_io_desc *requests;
	uint8_t *memory; /* NULL: the requests' own pages */
	unsigned int length;
};

/* A tag's next request is to be told of. @op: FETCH_REQ, or COMMIT_AND_FETCH_REQ, which hands in @result before. */
static void fetch(struct server *s, uint32_t op, uint16_t tag, int32_t result)
{
	struct io_uring_sqe *sqe = ring_entry(&s->ring);

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->fd = FILE_REQUESTS;
	sqe->cmd_op = op;
	sqe->user_data = tag;
	if (!s->memory)
		sqe->addr = tag; /* where in the table of buffers */
	*(struct ublksrv_io_cmd *)((uint8_t *)sqe + 48) = (struct ublksrv_io_cmd){
		.tag = tag,
		.result = result,
		.addr = s->memory ? (uintptr_t)s->memory + (size_t)tag * s->length : 0,
	};
}

static void request(struct server *s, uint16_t tag)
{
	const struct ublksrv_io_desc *rq = &s->requests[tag];
	struct io_uring_sqe *sqe;

	if (ublksrv_get_op(rq) != UBLK_IO_OP_READ) {
		fetch(s, IO(UBLK_IO_COMMIT_AND_FETCH_REQ), tag, -EOPNOTSUPP);
		return;
	}
	sqe = ring_entry(&s->ring);
	sqe->opcode = s->memory ? IORING_OP_READ : IORING_OP_READ_FIXED;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->fd = FILE_BACKING;
	sqe->off = rq->start_sector << 9;
	sqe->len = rq->nr_sectors << 9;
	sqe->addr = s->memory ? (uintptr_t)s->memory + (size_t)tag * s->length : 0;
	sqe->buf_index = s->memory ? 0 : tag;
	sqe->user_data = READ_DONE | tag;
}

__attribute__((noreturn)) static void serve(unsigned int id, const char *backing, unsigned int depth, unsigned int length,
					    bool copies)
{
	struct io_uring_rsrc_register buffers = { .nr = depth, .flags = IORING_RSRC_REGISTER_SPARSE };
	struct server s = { .length = length };
	int files[2];
	char path[32];

	snprintf(path, sizeof(path), "/dev/ublkc%u", id);
	files[FILE_REQUESTS] = open(path, O_RDWR | O_CLOEXEC);
	files[FILE_BACKING] = open(backing, O_RDONLY | O_DIRECT | O_CLOEXEC);
	REQUIRE(files[FILE_REQUESTS] >= 0 && files[FILE_BACKING] >= 0);
	s.requests = mmap(NULL, depth * sizeof(*s.requests), PROT_READ, MAP_SHARED | MAP_POPULATE, files[FILE_REQUESTS],
			  UBLKSRV_CMD_BUF_OFFSET);
	REQUIRE(s.requests != MAP_FAILED);
	ring_open(&s.ring, 2 * depth, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN);
	REQUIRE(!syscall(SYS_io_uring_register, s.ring.fd, IORING_REGISTER_FILES, files, 2));
	if (copies) {
		s.memory = mmap(NULL, (size_t)depth * length, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		REQUIRE(s.memory != MAP_FAILED);
	} else {
		REQUIRE(!syscall(SYS_io_uring_register, s.ring.fd, IORING_REGISTER_BUFFERS2, &buffers, sizeof(buffers)));
	}
	for (unsigned int tag = 0; tag < depth; tag++)
		fetch(&s, IO(UBLK_IO_FETCH_REQ), (uint16_t)tag, 0);
	for (;;) {
		uint32_t head = *s.ring.cq_head, tail;

		ring_turn(&s.ring);
		tail = __atomic_load_n(s.ring.cq_tail, __ATOMIC_ACQUIRE);
		for (; head != tail; head++) {
			const struct io_uring_cqe *cqe = &s.ring.cqes[head & s.ring.cq_mask];
			uint16_t tag = (uint16_t)cqe->user_data;

			if (cqe->user_data & READ_DONE)
				fetch(&s, IO(UBLK_IO_COMMIT_AND_FETCH_REQ), tag, cqe->res);
			else if (cqe->res == UBLK_IO_RES_OK)
				request(&s, tag);
			else if (cqe->res == UBLK_IO_RES_ABORT)
				_exit(0);
			else
				die("ublk: tag %u: %s", tag, strerror(-cqe->res));
		}
		__atomic_store_n(s.ring.cq_head, head, __ATOMIC_RELEASE);
	}
}

/* ---- a disk ---- */

static uint64_t sectors_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t bytes;

	REQUIRE(fd >= 0);
	bytes = lseek(fd, 0, SEEK_END);
	REQUIRE(bytes > 0);
	close(fd);
	return (uint64_t)bytes >> 9;
}

/* What a command of ours cannot do without. */
static void commanded(const char *what, int result)
{
	if (result < 0)
		die("ublk: %s: %s", what, strerror(-result));
}

pid_t ublk_begin(unsigned int id, const char *backing, unsigned int depth, unsigned int length, bool copies)
{
	struct ublksrv_ctrl_dev_info info = {
		.nr_hw_queues = 1,
		.queue_depth = (uint16_t)depth,
		.max_io_buf_bytes = length,
		.dev_id = id,
		.flags = F_CMD_IOCTL_ENCODE | (copies ? 0 : F_AUTO_BUF_REG),
	};
	struct ublk_params params = {
		.len = sizeof(params),
		.types = UBLK_PARAM_TYPE_BASIC,
		.basic = { .logical_bs_shift = 9, .physical_bs_shift = 12, .io_opt_shift = 12, .io_min_shift = 9,
			   .max_sectors = length >> 9, .dev_sectors = sectors_of(backing) },
	};
	pid_t parent = getpid(), server;

	commanded("add a device", command(CONTROL(UBLK_CMD_ADD_DEV), id, &info, sizeof(info), 0));
	if (!copies && !(info.flags & F_AUTO_BUF_REG))
		die("ublk: this kernel has no UBLK_F_AUTO_BUF_REG");
	commanded("set its parameters", command(CONTROL(UBLK_CMD_SET_PARAMS), id, &params, sizeof(params), 0));
	server = fork();
	REQUIRE(server >= 0);
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		serve(id, backing, depth, length, copies);
	}
	commanded("start it", command(CONTROL(UBLK_CMD_START_DEV), id, NULL, 0, (uint64_t)server));
	return server;
}

void ublk_end(unsigned int id, pid_t server)
{
	int status;

	commanded("stop it", command(CONTROL(UBLK_CMD_STOP_DEV), id, NULL, 0, 0));
	REQUIRE(waitpid(server, &status, 0) == server && status == 0);
	commanded("delete it", command(CONTROL(UBLK_CMD_DEL_DEV), id, NULL, 0, 0));
}
