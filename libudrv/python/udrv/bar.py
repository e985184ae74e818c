# SPDX-License-Identifier: MIT
"""Registers: one at a time by system call, or mapped.

Owns the check that a register lies inside its region: all regions are ranges of one file, so one past the end would be
another region's. The read and write calls are exactly one access of exactly that width, on memory and on port BARs.
map() is for those who need speed; how wide Python's accesses to it are is Python's to say (memoryview.cast("I") with
one index is one access of four bytes in CPython).
"""

import errno
import mmap
import os

from . import abi


def read(fd, region, offset, width):
    _check(region, offset, width)
    data = os.pread(fd, width, region.offset + offset)
    if len(data) != width:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return abi.REGISTERS[width].unpack(data)[0]


def write(fd, region, offset, width, value):
    _check(region, offset, width)
    if not 0 <= value < 1 << 8 * width:
        raise ValueError(f"{value:#x} does not fit into {width} bytes")
    if os.pwrite(fd, abi.REGISTERS[width].pack(value), region.offset + offset) != width:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def _check(region, offset, width):
    if offset % width:
        raise ValueError(f"{offset:#x} is not a multiple of the width, {width} bytes")
    if not 0 <= offset <= region.length - width:
        raise IndexError(f"{offset:#x} is out of bounds: the region has {region.length:#x} bytes")


class Bar:
    """A base address register."""

    def __init__(self, device, region):
        self._device = device
        self.region = region
        self.length = region.length

    def read8(self, offset):
        return read(self._device.fileno(), self.region, offset, 1)

    def read16(self, offset):
        return read(self._device.fileno(), self.region, offset, 2)

    def read32(self, offset):
        return read(self._device.fileno(), self.region, offset, 4)

    def read64(self, offset):
        return read(self._device.fileno(), self.region, offset, 8)

    def write8(self, offset, value):
        write(self._device.fileno(), self.region, offset, 1, value)

    def write16(self, offset, value):
        write(self._device.fileno(), self.region, offset, 2, value)

    def write32(self, offset, value):
        write(self._device.fileno(), self.region, offset, 4, value)

    def write64(self, offset, value):
        write(self._device.fileno(), self.region, offset, 8, value)

    def map(self, offset=0, length=0, write_combining=False):
        """Map registers from offset (whole pages) on; length 0: up to the end, or up to what must not be mapped.

        Return: an mmap.mmap, to be given back with unmap(), or by closing the device.
        """
        region = self.region
        start = region.offset_wc if write_combining else region.offset
        if not region.region_flags & abi.REGION_MMAP or not start:
            raise OSError(errno.EOPNOTSUPP, "this BAR cannot be mapped so: use read and write")
        end = region.length
        if region.nomap_length and offset < region.nomap_offset:
            end = min(end, region.nomap_offset)
        elif region.nomap_length and offset < region.nomap_offset + region.nomap_length:
            raise IndexError(f"{offset:#x} lies in the page of the MSI-X table, which is not mapped")
        if not length:
            length = end - offset
        if not (0 <= offset < end and 0 < length <= end - offset):
            raise IndexError(f"{length:#x} bytes at {offset:#x} are out of bounds: {end:#x} bytes can be mapped")
        return self._device.hold(mmap.mmap(self._device.fileno(), length, mmap.MAP_SHARED,
                                           mmap.PROT_READ | mmap.PROT_WRITE, offset=start + offset))

    def unmap(self, memory):
        """Give a mapping back."""
        self._device.release(memory)
