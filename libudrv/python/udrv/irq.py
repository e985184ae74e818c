# SPDX-License-Identifier: MIT
"""Interrupts: set up, wait, hold back, send to an eventfd.

Owns the timeout of wait(). The hard part: another thread may take the record between poll() and read(), so a read with
a timeout is one that does not wait (RWF_NOWAIT), and poll() does the waiting.
"""

import collections
import os
import select
import time

from . import abi

Record = collections.namedtuple("Record", "vector count time_ns value")
VectorInfo = collections.namedtuple("VectorInfo", "vector kind count state linux_irq pending total")

KINDS = {"none": abi.NONE, "intx": abi.INTX, "msi": abi.MSI, "msix": abi.MSIX}


class Irq:
    """A device's interrupts."""

    def __init__(self, device):
        self._device = device

    def setup(self, kind, count=0):
        """Choose the kind (INTX, MSI, MSIX, NONE, or its name) and the number of vectors, 0 for all.

        MSI and MSI-X need bus mastering on. Return: the number of vectors.
        """
        kind = KINDS[kind.lower()] if isinstance(kind, str) else kind
        return abi.call(self._device.fileno(), abi.IRQ_SETUP, "udrv_ioc_irq_setup", kind, count)[1]

    def wait(self, timeout=None, room=64):
        """Wait for interrupts, for ever or some seconds. Return: a list of Record; empty when the time is over.

        Without a timeout this is one read(2). Sets up a vector if none is set up.
        """
        fd = self._device.fileno()
        if timeout is None:
            return self._records(os.read(fd, room * abi.RECORD.size))
        end = time.monotonic() + timeout
        memory = bytearray(room * abi.RECORD.size)
        while True:
            try:
                return self._records(memory[:os.preadv(fd, [memory], 0, os.RWF_NOWAIT)])
            except BlockingIOError:
                pass
            left = end - time.monotonic()
            if left <= 0:
                return []
            poller = select.poll()
            poller.register(fd, select.POLLIN)
            poller.poll(left * 1000)

    @staticmethod
    def _records(data):
        return [Record(*fields) for fields in abi.RECORD.iter_unpack(data)]

    def _range(self, number, vector, count):
        abi.call(self._device.fileno(), number, "udrv_ioc_irq_range", vector, count)

    def mask(self, vector=0, count=1):
        """Hold vectors back; what they signal is delivered when they are unmasked."""
        self._range(abi.IRQ_MASK, vector, count)

    def unmask(self, vector=0, count=1):
        """Let vectors go; arms INTx."""
        self._range(abi.IRQ_UNMASK, vector, count)

    def attach(self, vector, eventfd):
        """Send a vector to an eventfd, and nowhere else."""
        fd = eventfd if isinstance(eventfd, int) else eventfd.fileno()
        abi.call(self._device.fileno(), abi.IRQ_ATTACH, "udrv_ioc_irq_attach", vector, fd)

    def detach(self, vector):
        """Back to wait()."""
        abi.call(self._device.fileno(), abi.IRQ_DETACH, "udrv_ioc_irq_attach", vector, -1)

    def info(self, vector=0):
        """A vector's state."""
        return VectorInfo(*abi.call(self._device.fileno(), abi.IRQ_INFO, "udrv_ioc_irq_info", vector, *(0,) * 6))
