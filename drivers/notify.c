/* SPDX-License-Identifier: MIT */
/*
 * notify.c - the service manager is told that we are there, and that we still are
 *
 * What sd_notify(3) does, without its library: a datagram to the socket that the environment names.
 * A driver that hangs loses its card by itself (--hang); but only who started it can end it, and start
 * it again. systemd/udrv-e1000@.service asks for it (WatchdogSec).
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "e1000.h"
#include "notify.h"

static int notify_fd = -1;
static uint64_t interval_ns, next_ns;

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
	if (watchdog)
		interval_ns = strtoull(watchdog, NULL, 10) * 1000 / 2;
	return interval_ns ? interval_ns : UINT64_MAX;
}

void notify_alive(void)
{
	uint64_t now;

	if (!interval_ns)
		return;
	now = driver_now_ns();
	if (now < next_ns)
		return;
	next_ns = now + interval_ns / 2;
	tell("WATCHDOG=1");
}
