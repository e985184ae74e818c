# SPDX-License-Identifier: MIT
"""A device: the descriptor, and the nouns that hang on it.

Owns the descriptor and the names of nodes. The hard part is the end: a mapping holds the device open as much as the
descriptor does (and an mmap object has a descriptor of its own), so close() takes down all that was made here first.
"""

import io
import os
import re

from . import abi
from .bar import Bar
from .config import Config
from .dma import Dma
from .irq import Irq
from .prog import Prog

DIRECTORY = "/dev/udrv"
_ADDRESS = re.compile(r"(?:pci-)?(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([01]?[0-9a-f])\.([0-7])", re.IGNORECASE)


def node_path(name):
    """The node's path of "00:04.0", "0000:00:04.0", "pci-00:04.0", or of a path."""
    name = os.fspath(name)
    if "/" in name:
        return name
    match = _ADDRESS.fullmatch(name)
    if not match:
        raise ValueError(f"{name!r} is no PCI address: write it like 00:04.0")
    domain, bus, slot, function = (int(field or "0", 16) for field in match.groups())
    prefix = f"{domain:04x}:" if domain else ""
    return f"{DIRECTORY}/pci-{prefix}{bus:02x}:{slot:02x}.{function}"


def open(name):  # noqa: A001
    """Open a device by address, node name or path."""
    fd = os.open(node_path(name), os.O_RDWR | os.O_CLOEXEC)
    try:
        return Device(fd)
    except BaseException:
        os.close(fd)
        raise


class Device:
    """An open device; made by udrv.open(), or of a descriptor, which then belongs to it."""

    def __init__(self, fd):
        # Asked first: a descriptor that is no node's is refused, and stays its owner's.
        self.info = abi.UdrvInfo(*abi.call(fd, abi.DEVICE_INFO, "udrv_ioc_device_info", *(0,) * 20)[:-1])
        self._regions = {}
        for index in range(min(self.info.region_count, abi.REGION_CONFIG + 1)):
            self._regions[index] = abi.UdrvRegion(
                *abi.call(fd, abi.REGION_INFO, "udrv_ioc_region_info", index, *(0,) * 6))
        self._fd = fd
        self._held = []
        self.config = Config(self)
        self.irq = Irq(self)
        self.dma = Dma(self)
        self.prog = Prog(self)

    def fileno(self):
        """The descriptor, for select and poll; ValueError once it is closed."""
        if self._fd is None:
            raise ValueError("the device is closed")
        return self._fd

    @property
    def confined(self):
        """The tier that it was opened in: True if the IOMMU keeps it to what it was given, False if we are trusted."""
        return bool(self.info.state & abi.DEVICE_CONFINED)

    @property
    def trust(self):
        """What the module says of its tier now: "confined", or "trusted: " and why."""
        number = os.fstat(self.fileno()).st_rdev
        with io.open(f"/sys/dev/char/{os.major(number)}:{os.minor(number)}/trust", encoding="ascii") as attribute:
            return attribute.read().strip()

    def region(self, index):
        """What REGION_INFO said; None where the device has no such BAR."""
        region = self._regions.get(index)
        return region if region and region.length else None

    def bar(self, index):
        """A base address register; LookupError if the device has none of this number."""
        if index not in range(abi.REGION_CONFIG) or not self.region(index):
            raise LookupError(f"the device has no BAR {index}")
        return Bar(self, self.region(index))

    def bus_master(self, enable):
        """Allow or stop the device's DMA; reset the device before it is allowed."""
        abi.call(self.fileno(), abi.DEVICE_BUS_MASTER, "udrv_ioc_device_bus_master", int(bool(enable)), 0)

    def reset(self):
        """Reset the function; bus mastering is off afterwards."""
        abi.call(self.fileno(), abi.DEVICE_RESET, "udrv_ioc_device_reset")

    def hold(self, memory):
        """Remember a mapping, to be closed with the device."""
        self._held.append(memory)
        return memory

    def release(self, memory):
        """Close a mapping now. BufferError while a memoryview of it lives."""
        memory.close()
        self._held = [held for held in self._held if held is not memory]

    def close(self):
        """Close the device: DMA stops, interrupts end, memory goes back. Again does nothing.

        BufferError if a memoryview of one of its mappings lives, which keeps the device open: release the view, and
        close again.
        """
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
        while self._held:
            self._held[-1].close()
            self._held.pop()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
