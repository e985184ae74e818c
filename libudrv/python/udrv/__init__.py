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

Or be the driver of a network interface, of a device or of nothing but this process (echo_net.py, beside raw.py):

    with udrv.Net("toy0", "02:00:00:00:00:01") as net:
        net.link(True)
        queue = net.queue(0)
        while True:
            queue.turn()
            for packet in queue.tx.take():
                print(net.memory[packet.address:packet.address + packet.length].hex())
                queue.done(packet.slot)

Or of a disk (ram_disk.py):

    with udrv.Blk() as blk:
        blk.add(64 << 20)
        queue = blk.queue(0)
        while True:
            queue.turn()
            for request in queue.requests():
                print(request)
                queue.done(request, abi.BLK_IOERR)

The nouns are those of libudrv(3): device, bar, config, irq, dma, net, blk. Numbers of the headers are in udrv.abi, under
their names without UDRV_: abi.NET_READY_TX. Whatever the kernel refuses is an OSError with the errno that udrv(4),
udrv_net(4) and udrv_blk(4) document.
"""

from .abi import BIDIRECTIONAL, FROM_DEVICE, INTX, MSI, MSIX, NONE, TO_DEVICE, UdrvInfo, UdrvRegion
from .bar import Bar
from .blk import Blk, BlkQueue
from .config import Config
from .device import Device, node_path, open  # noqa: A004 - udrv.open is the noun's verb
from .dma import Buffer, Dma, Mapping, Segment
from .irq import Irq, Record, VectorInfo
from .net import Net, NetState

__all__ = [
    "BIDIRECTIONAL", "FROM_DEVICE", "INTX", "MSI", "MSIX", "NONE", "TO_DEVICE",
    "Bar", "Blk", "BlkQueue", "Buffer", "Config", "Device", "Dma", "Irq", "Mapping", "Net", "NetState", "Record", "Segment", "UdrvInfo",
    "UdrvRegion", "VectorInfo", "node_path", "open",
]
