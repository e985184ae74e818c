# SPDX-License-Identifier: MIT
"""The other side of an ivshmem-doorbell device: QEMU's docs/specs/ivshmem-spec, server's part, for one client.

The client is told a protocol version, its own number, the shared memory's descriptor, and one eventfd for each of its
vectors. There is no second machine: `fire` writes the client's own eventfds. They are semaphores, so that QEMU takes
one event for each message and N messages never melt into one on the way to the (emulated) interrupt controller.
"""

import os
import socket
import struct

VERSION = 0
CLIENT = 1


class Server:
    def __init__(self, vectors=128, size=4 << 20):
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.memory = os.memfd_create("ivshmem")
        os.ftruncate(self.memory, size)
        self.events = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_SEMAPHORE) for _ in range(vectors)]

    def greet(self):
        """Send everything; call when the client runs: the descriptors outgrow what a socket queues unread."""
        self._send(VERSION)
        self._send(CLIENT)
        self._send(-1, self.memory)
        for event in self.events:
            self._send(CLIENT, event)

    def _send(self, number, fd=None):
        data = struct.pack("<q", number)
        if fd is None:
            self.ours.sendall(data)
        else:
            socket.send_fds(self.ours, [data], [fd])

    def fire(self, vector, times=1):
        if not 0 <= vector < len(self.events):
            raise ValueError(f"vectors are 0 to {len(self.events) - 1}")
        if not 1 <= times <= 1000000:
            raise ValueError("1 to 1000000 times")
        os.eventfd_write(self.events[vector], times)
