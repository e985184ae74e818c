# SPDX-License-Identifier: MIT
"""Disks that this process drives: attach, their rings, one call for each turn.

Owns the descriptor of /dev/udrv/blk and the mapping of the rings; <udrv/blk.h> says what they are. How the memory is
shared with the kernel is said in ring.py. What the library does against deadlocks (libudrv_blk.h) is not done here: a
process in Python needs memory whenever it works. So do not put a swap area or a file system that is written to in earnest
on such a disk.
"""

import os

from . import abi
from .ring import FromKernel, Half, ToKernel


class BlkQueue:
    """A queue: requests() to take, done() to say, and turn(). One thread's at a time."""

    def __init__(self, blk, index, info):
        base = index * info.queue_bytes
        self._blk = blk
        self._index = index
        self._segments = memoryview(blk.memory)[base + info.segments_offset:base + info.queue_bytes]
        self._max_segments = info.max_segments
        self._requests = FromKernel(blk.memory, base, base + info.requests_offset, info.ring_entries, abi.BLK_REQUEST,
                                    abi.BlkRequest)
        self._done = ToKernel(blk.memory, base + abi.RING.size, base + info.done_offset, info.ring_entries, abi.BLK_DONE)
        self.irq_count = 0  # what the last turn found
        self.irq_value = 0
        self.late_tag = None
        self.bad_entries = 0

    def requests(self, limit=None):
        """Take the requests that wait, at most as many as the limit. Return: a list of BlkRequest."""
        return self._requests.take(limit)

    def segments(self, request):
        """Where its data lies: a list of BlkSegment."""
        at = request.tag * self._max_segments
        return [abi.BlkSegment(*abi.BLK_SEGMENT.unpack_from(self._segments, (at + i) * abi.BLK_SEGMENT.size))
                for i in range(request.segment_count)]

    def data(self, request):
        """Without a device: its data, a part of .memory. Release it (with) before the disks are closed."""
        address = self.segments(request)[0].address
        return memoryview(self._blk.memory)[address:address + request.bytes]

    def done(self, request, status=abi.BLK_OK, done_bytes=None):
        """A request is done: BLK_OK and others, and as many bytes of it (all)."""
        self._done.put(request.tag, status, request.bytes if done_bytes is None else done_bytes)

    def turn(self, ignore=0, timeout=None):
        """Hand in what is done, and wait for more to do: for ever, or some seconds.

        ignore: BLK_READY_* bits that are not to be waited for. Return: BLK_READY_* bits; 0 when the time is over, or a
        signal came in between (its handler has run by then, and may have raised).
        """
        self._done.publish()
        timeout_ns = abi.BLK_FOREVER if timeout is None else max(0, int(timeout * 1e9))
        call = abi.Call("udrv_ioc_blk_turn", self._index, ignore, timeout_ns, 0, 0, 0, 0, 0)
        try:
            _, ready, _, self.irq_count, late, self.irq_value, self.bad_entries, _ = call.run_once(
                self._blk.fileno(), abi.BLK_TURN)
        except InterruptedError:
            return 0
        self.late_tag = late if ready & abi.BLK_READY_LATE else None
        return ready

    def release(self):
        self._requests.release()
        self._done.release()
        self._segments.release()


class Blk(Half):
    """Disks that this process drives, from here until it is closed.

    device: the Device that moves the data; its disks that wait for a driver are taken over. Without one data is copied,
    and the disks go when this is closed. flags: BLK_DEVICE_IS_RESET, BLK_END_HUNG. The limits are those of requests.
    """

    _node, _attach, _attach_struct = "blk", abi.BLK_ATTACH, "udrv_ioc_blk_attach"
    _queue_struct, _vector, _kick = "udrv_ioc_blk_queue", abi.BLK_VECTOR, abi.BLK_KICK

    def __init__(self, device=None, flags=0, queue_count=1, queue_depth=64, max_segments=64, max_bytes=256 << 10,
                 max_segment_bytes=0, virt_boundary=0, dma_alignment=0, timeout_ms=0, deadline_ms=0):
        info = self._open(device, abi.BlkAttach, queue_count, queue_depth, max_segments, max_bytes, max_segment_bytes,
                          virt_boundary, dma_alignment, timeout_ms, deadline_ms, *(0,) * 8, flags=flags)
        self.taken_over = bool(info.state & abi.BLK_TAKEN_OVER)
        self.copies = bool(info.state & abi.BLK_COPIES)
        self.queues = [BlkQueue(self, index, info) for index in range(info.queue_count)]

    def add(self, size, name="udrv%d", unit=0, features=0, logical_block=512, physical_block=0, io_opt=0,
            discard_bytes=0, discard_granularity=0, zeroes_bytes=0, identity=""):
        """A disk of this many bytes, or one that waits for its driver. Return: its name.

        The kernel reads from it next, before it appears in /dev: serve that.
        """
        name, identity = os.fsencode(name), os.fsencode(identity)
        if len(name) >= abi.BLK_NAME_BYTES or len(identity) >= abi.BLK_ID_BYTES or b"\0" in name + identity:
            raise ValueError(f"{name!r}, {identity!r}: a name has 31 bytes at most, an identity 63")
        fields = abi.call(self.fileno(), abi.BLK_DISK_ADD, "udrv_ioc_blk_disk", unit, features, size, logical_block,
                          physical_block, io_opt, discard_bytes, discard_granularity, zeroes_bytes, 0, identity, name)
        return os.fsdecode(fields[-1].rstrip(b"\0"))

    def _disk(self, number, unit, size):
        abi.call(self.fileno(), number, "udrv_ioc_blk_disk", unit, 0, size, 0, 0, 0, 0, 0, 0, 0, b"", b"")

    def resize(self, size, unit=0):
        """The disk has this many bytes now."""
        self._disk(abi.BLK_DISK_RESIZE, unit, size)

    def remove(self, unit=0):
        """The disk goes, once what is still to be written was: serve that."""
        self._disk(abi.BLK_DISK_REMOVE, unit, 0)
