# SPDX-License-Identifier: MIT
"""Rings that the kernel and this process share: <udrv/ring.h>.

The hard part is that the kernel works in the same memory at the same time: an index is read and written in one access of
four bytes (one index of a memoryview cast to "I" is that in CPython), and entries before or after it in the order of the
source, which is what x86 keeps to. Python has no word for it on other machines.
"""

from . import abi

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
