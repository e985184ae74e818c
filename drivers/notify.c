/* SPDX-License-Identifier: MIT */
/*
 * notify.c - the service manager is told that we are there, and that we still are
 *
 * What sd_notify(3) does, without its library: a datagram to the socket that the environment names.
 * A driver that hangs can only be ended, and started again, by who started it: the units in systemd/ ask
 * for it (WatchdogSec).
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "common.h"
#include "notify.h"

static int notify_fd = -1;
static uint64_t sleep_ns, next_ns; /* 0: nobody waits for us to be alive */

static void tell(const char *what)
{
	/* Nobody there, or a queue that is full: then it is not known, which is his to judge. */
	(void)send(notify_fd, what, strlen(what), MSG_NOSIGNAL | MSG_DONTWAIT);
}

uint64_t notify_ready(void)
{
	const char *path = getenv("NOTIFY_SOCKET"), *watchdog = getenv("WATCHDOG_USEC");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = path ? strlen(path) : 0;

	if (notify_fd >= 0)
		return sleep_ns ? sleep_ns : UINT64_MAX;
	if (!length || length >= sizeof(address.sun_path))
		return UINT64_MAX;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@') /* not in the file system */
		address.sun_path[0] = 0;
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (notify_fd < 0 || connect(notify_fd, (struct sockaddr *)&address,
				     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)))
		return UINT64_MAX;
	tell("READY=1");
	if (watchdog) /* the time until we are given up: often enough in it that some may be missed */
		sleep_ns = strtoull(watchdog, NULL, 10) * 1000 / 6;
	return sleep_ns ? sleep_ns : UINT64_MAX;
}

bool notify_due(void)
{
	uint64_t now;

	if (!sleep_ns)
		return false;
	now = driver_now_ns();
	if (now < next_ns)
		return false;
	next_ns = now + sleep_ns;
	return true;
}

void notify_alive(void)
{
	tell("WATCHDOG=1");
}
