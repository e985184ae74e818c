# SPDX-License-Identifier: MIT
"""Rings that the kernel and this process share (<udrv/ring.h>), and the descriptors that they belong to.

The hard part is that the kernel works in the same memory at the same time: an index is read and written in one access of
four bytes (one index of a memoryview cast to "I" is that in CPython), and entries before or after it in the order of the
source, which is what x86 keeps to. Python has no word for it on other machines.
"""

import mmap
import os

from . import abi
from .device import DIRECTORY

_PRODUCED, _CONSUMED = 0, 16  # of a struct udrv_ring, in units of four bytes
_WRAP = 0xFFFFFFFF


class _Ring:
    def __init__(self, memory, indices, entries, count, layout):
        view = memoryview(memory)
        self._indices = view[indices:indices + abi.RING.size].cast("I")
        self._entries = view[entries:entries + count * layout.size]
        self._layout = layout
        self._count = count
        self._index = 0  # ours

    def _offset(self, index):
        return (index & self._count - 1) * self._layout.size

    def release(self):
        self._indices.release()
        self._entries.release()


class FromKernel(_Ring):
    """A ring that the kernel fills: tx and fill, or requests."""

    def __init__(self, memory, indices, entries, count, layout, entry):
        super().__init__(memory, indices, entries, count, layout)
        self._entry = entry

    def __len__(self):
        """Entries that wait."""
        return self._indices[_PRODUCED] - self._index & _WRAP

    def take(self, limit=None):
        """Take the entries that wait, at most as many as the limit. Return: a list of them."""
        count = len(self) if limit is None else min(len(self), limit)
        taken = [self._entry(*self._layout.unpack_from(self._entries, self._offset(self._index + i)))
                 for i in range(count)]
        self._index = self._index + count & _WRAP
        self._indices[_CONSUMED] = self._index
        return taken


class ToKernel(_Ring):
    """A ring that we fill: tx_done and rx, or done. What is put into it the next turn hands in."""

    def put(self, *fields):
        """An entry. IndexError: the ring is full, of what was put there more than once."""
        if self._index - self._indices[_CONSUMED] & _WRAP >= self._count:
            raise IndexError("the ring is full: a slot was given back twice, or no turn made")
        self._layout.pack_into(self._entries, self._offset(self._index), *fields)
        self._index = self._index + 1 & _WRAP

    def publish(self):
        self._indices[_PRODUCED] = self._index


class Half:
    """A descriptor of an upper half: /dev/udrv/net or /dev/udrv/blk. Its class says which, and what its calls are."""

    _node = _attach = _attach_struct = _queue_struct = _vector = _kick = None

    def _open(self, device, info, *fields, flags=0):
        """Attach and map. Return: what the call answered, as the named tuple info."""
        self.device = device
        self._fd = os.open(f"{DIRECTORY}/{self._node}", os.O_RDWR | os.O_CLOEXEC)
        try:
            answer = info(*abi.call(self._fd, self._attach, self._attach_struct, device.fileno() if device else -1, *fields,
                                    flags=flags))
            self.memory = mmap.mmap(self._fd, answer.map_bytes, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        except BaseException:
            os.close(self._fd)
            raise
        return answer

    def fileno(self):
        """The descriptor, for select and poll; ValueError once it is closed."""
        if self._fd is None:
            raise ValueError("it is closed")
        return self._fd

    def queue(self, index=0):
        """A queue."""
        return self.queues[index]

    def vector(self, queue, vector):
        """The interrupts of this vector of the device wake the queue, and nobody else."""
        abi.call(self.fileno(), self._vector, self._queue_struct, queue, vector)

    def kick(self, queue=0):
        """End the queue's wait, or its next one; from any thread."""
        abi.call(self.fileno(), self._kick, self._queue_struct, queue, 0)

    def close(self):
        """Stop driving. The device is no longer driven either; what it served stays, for the next driver.

        BufferError if a memoryview of .memory lives, which keeps all of it open: release it, and close again. Again does
        nothing.
        """
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
        while self.queues:
            self.queues.pop().release()
        self.memory.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
