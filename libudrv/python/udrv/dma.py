# SPDX-License-Identifier: MIT
"""Memory that the device reaches: consistent buffers, and mappings of the process's own.

Owns the handles. The hard part: a streaming mapping names memory by its address, and Python may move or free what
nobody refers to; so a Mapping holds an export of the object, which forbids both, until it is unmapped.
"""

import collections
import ctypes
import errno
import mmap

from . import abi

Segment = collections.namedtuple("Segment", "iova length")


class Buffer:
    """A consistent buffer: .memory for the process (an mmap.mmap), .iova for the device."""

    def __init__(self, device, length):
        self._device = device
        self.length, self.iova, offset, self.handle, _ = abi.call(
            device.fileno(), abi.DMA_ALLOC, "udrv_ioc_dma_alloc", length, 0, 0, 0, 0)
        try:
            self.memory = device.hold(mmap.mmap(device.fileno(), self.length, mmap.MAP_SHARED,
                                                mmap.PROT_READ | mmap.PROT_WRITE, offset=offset))
        except BaseException:
            _give_back(device, abi.DMA_FREE, self.handle)
            raise

    def free(self):
        """Give it back; again does nothing. BufferError, and nothing done, while a memoryview of it lives."""
        if self.handle:
            self._device.release(self.memory)
            handle, self.handle = self.handle, 0
            _give_back(self._device, abi.DMA_FREE, handle)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.free()


class Mapping:
    """The process's memory, mapped for the device: .segments is where the device finds it."""

    def __init__(self, device, memory, direction):
        self._device = device
        # A view of the whole object; it also keeps the object where it is.
        self._view = (ctypes.c_char * memoryview(memory).nbytes).from_buffer(memory)
        self.length = len(self._view)
        count = 4
        while True:
            segments = (ctypes.c_uint64 * (2 * count))()
            call = abi.Call("udrv_ioc_dma_map", ctypes.addressof(self._view), self.length,
                            ctypes.addressof(segments), count, direction, 0, 0)
            try:
                call.run(device.fileno(), abi.DMA_MAP)
                break
            except OSError as error:
                # The kernel says how many there would be; by the next call it may be more.
                if error.errno != errno.ENOSPC or call.fields[3] <= count:
                    self._view = None
                    raise
                count = call.fields[3]
        self.segments = [Segment(segments[2 * i], segments[2 * i + 1]) for i in range(call.fields[3])]
        self.handle = call.fields[5]

    def sync_for_cpu(self, offset=0, length=None):
        """Before the process reads what the device wrote."""
        self._sync(abi.SYNC_FOR_CPU, offset, length)

    def sync_for_device(self, offset=0, length=None):
        """Before the device looks at what the process wrote."""
        self._sync(abi.SYNC_FOR_DEVICE, offset, length)

    def _sync(self, to, offset, length):
        length = self.length - offset if length is None else length
        abi.call(self._device.fileno(), abi.DMA_SYNC, "udrv_ioc_dma_sync", self.handle, to, offset, length)

    def unmap(self):
        """Take it from the device; what that wrote is visible afterwards. Again does nothing."""
        if self.handle:
            handle, self.handle = self.handle, 0
            try:
                _give_back(self._device, abi.DMA_UNMAP, handle)
            finally:
                self._view = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.unmap()


def _give_back(device, number, handle):
    abi.call(device.fileno(), number, "udrv_ioc_dma_handle", handle, 0)


class Dma:
    """A device's DMA."""

    def __init__(self, device):
        self._device = device

    def set_mask(self, bits):
        """How many address bits the device has, before the first buffer; 32 if nothing is said."""
        abi.call(self._device.fileno(), abi.DMA_MASK, "udrv_ioc_dma_mask", bits, 0)

    def alloc(self, length):
        """A zeroed consistent Buffer of at least this many bytes."""
        return Buffer(self._device, length)

    def map(self, memory, direction=abi.BIDIRECTIONAL):
        """Let the device reach a writable object (bytearray, array, anonymous mmap): a Mapping."""
        return Mapping(self._device, memory, direction)
