# SPDX-License-Identifier: MIT
"""udrv: drive a PCI device from Python, with nothing but the standard library.

    import udrv

    with udrv.open("00:04.0") as dev:
        print(hex(dev.bar(0).read32(0x00)))
        dev.bus_master(True)
        dev.irq.setup(udrv.MSI)
        dev.bar(0).write32(0x60, 1)
        for record in dev.irq.wait(timeout=1):
            print(record.vector, record.count)
        with dev.dma.alloc(4096) as buffer:
            buffer.memory[0:4] = b"\\x01\\x02\\x03\\x04"
            print(hex(buffer.iova))

The nouns are those of libudrv(3): device, bar, config, irq, dma. Whatever the kernel refuses is an OSError with the
errno that udrv(4) documents.
"""

from .abi import BIDIRECTIONAL, FROM_DEVICE, INTX, MSI, MSIX, NONE, TO_DEVICE, UdrvInfo, UdrvRegion
from .bar import Bar
from .config import Config
from .device import Device, node_path, open  # noqa: A004 - udrv.open is the noun's verb
from .dma import Buffer, Dma, Mapping, Segment
from .irq import Irq, Record, VectorInfo

__all__ = [
    "BIDIRECTIONAL", "FROM_DEVICE", "INTX", "MSI", "MSIX", "NONE", "TO_DEVICE",
    "Bar", "Buffer", "Config", "Device", "Dma", "Irq", "Mapping", "Record", "Segment", "UdrvInfo", "UdrvRegion",
    "VectorInfo", "node_path", "open",
]
