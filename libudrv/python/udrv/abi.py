# SPDX-License-Identifier: MIT
"""The calls of <udrv/udrv.h>, <udrv/net.h> and <udrv/blk.h>: numbers, and structs as the struct module writes them.

Owns every number that is shared with the kernel; test/abi compares them with the header. Formats begin with "=": sizes
are fixed and nothing is padded, because the header's structs have no holes. The byte order is the machine's, in registers
too: the kernel turns what comes from the bus.
"""

import collections
import fcntl
import struct

TYPE = 0xBE


def _io(number):
    return TYPE << 8 | number


DEVICE_INFO = _io(0x00)
DEVICE_BUS_MASTER = _io(0x01)
DEVICE_RESET = _io(0x02)
REGION_INFO = _io(0x03)
IRQ_SETUP = _io(0x10)
IRQ_INFO = _io(0x11)
IRQ_MASK = _io(0x12)
IRQ_UNMASK = _io(0x13)
IRQ_ATTACH = _io(0x14)
IRQ_DETACH = _io(0x15)
PROG_SET = _io(0x18)
PROG_RUN = _io(0x19)
DMA_MASK = _io(0x20)
DMA_ALLOC = _io(0x21)
DMA_FREE = _io(0x22)
DMA_MAP = _io(0x23)
DMA_UNMAP = _io(0x24)
DMA_SYNC = _io(0x25)
NET_ATTACH = _io(0x40)
NET_TURN = _io(0x41)
NET_STATE = _io(0x42)
NET_LINK = _io(0x43)
NET_VECTOR = _io(0x44)
NET_KICK = _io(0x45)
BLK_ATTACH = _io(0x60)
BLK_DISK_ADD = _io(0x61)
BLK_DISK_RESIZE = _io(0x62)
BLK_DISK_REMOVE = _io(0x63)
BLK_TURN = _io(0x64)
BLK_VECTOR = _io(0x65)
BLK_KICK = _io(0x66)

DEVICE_CONFINED = 1 << 4
REGION_CONFIG = 6
REGION_PORT = 1 << 3
REGION_MMAP = 1 << 2

NONE, INTX, MSI, MSIX = 0, 1, 2, 3
PROG_ACK, PROG_QUIESCE, PROG_RESET = 1, 2, 3
PROG_READ, PROG_WRITE, PROG_MODIFY, PROG_TEST, PROG_POLL = 1, 2, 3, 4, 5
PROG_LAST, PROG_NOT = 1 << 0, 1 << 1
TO_DEVICE, FROM_DEVICE, BIDIRECTIONAL = 1, 2, 3
SYNC_FOR_CPU, SYNC_FOR_DEVICE = 1, 2

# <udrv/net.h>, without UDRV_.
NET_NAME_BYTES = 16
NET_FOREVER = (1 << 64) - 1
NET_TX_FIRST, NET_TX_LAST, NET_TX_CSUM, NET_TX_TSO, NET_TX_VLAN = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4
NET_TX_TCP, NET_TX_UDP, NET_TX_IPV4, NET_TX_IPV6 = 1 << 5, 1 << 6, 1 << 7, 1 << 8
NET_RX_CSUM, NET_RX_VLAN, NET_RX_DROP, NET_RX_MORE = 1 << 0, 1 << 1, 1 << 2, 1 << 3
NET_CSUM, NET_TSO4, NET_TSO6, NET_RXCSUM = 1 << 0, 1 << 1, 1 << 2, 1 << 3
NET_VLAN_TX, NET_VLAN_RX, NET_PADS, NET_SCATTER = 1 << 4, 1 << 5, 1 << 6, 1 << 7
NET_TAKEN_OVER, NET_COPIES = 1 << 0, 1 << 1
NET_READY_TX, NET_READY_FILL, NET_READY_IRQ, NET_READY_STATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3
NET_READY_KICK, NET_READY_STALLED = 1 << 4, 1 << 5
NET_STALL_MS = 5000
NET_MTU_MAX, NET_MTU_MAX_ONE_BUFFER = 9600, 3400
NET_UP, NET_PROMISC, NET_ALLMULTI, NET_RXCSUM_ON, NET_VLAN_RX_ON = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 4
NET_LINK_UP, NET_LINK_FULL = 1 << 0, 1 << 1

# <udrv/blk.h>, without UDRV_.
BLK_NAME_BYTES, BLK_ID_BYTES = 32, 64
BLK_FOREVER = (1 << 64) - 1
BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_WRITE_ZEROES = 0, 1, 2, 3, 4
BLK_FUA, BLK_NO_UNMAP = 1 << 0, 1 << 1
BLK_OK, BLK_IOERR, BLK_NOTSUPP, BLK_MEDIUM, BLK_TIMEOUT, BLK_PROTECTION, BLK_NOSPC = 0, 1, 2, 3, 4, 5, 6
BLK_DEVICE_IS_RESET = 1 << 0
BLK_END_HUNG = 1 << 1
BLK_TAKEN_OVER, BLK_COPIES = 1 << 0, 1 << 1
BLK_WRITE_CACHE, BLK_HAS_FUA, BLK_ROTATIONAL, BLK_READ_ONLY = 1 << 0, 1 << 1, 1 << 2, 1 << 3
BLK_READY_REQUEST, BLK_READY_IRQ, BLK_READY_LATE, BLK_READY_KICK = 1 << 0, 1 << 1, 1 << 2, 1 << 3

UdrvInfo = collections.namedtuple("UdrvInfo", (
    "features state domain bus slot function revision vendor device subsystem_vendor subsystem_device class_code "
    "region_count intx_count msi_count msix_count dma_mask_bits iommu_group numa_node"))
UdrvRegion = collections.namedtuple("UdrvRegion", (
    "index region_flags offset offset_wc length nomap_offset nomap_length"))
NetTx = collections.namedtuple("NetTx", (
    "address length slot flags packet_length vlan_tci gso_size l3_offset l4_offset csum_offset header_length"))
NetAttach = collections.namedtuple("NetAttach", (
    "device_fd features name address reserved0 queue_count tx_slots rx_slots max_mtu grace_ms ifindex state tx_entries "
    "map_bytes queue_bytes tx_offset tx_done_offset fill_offset rx_offset hang_ms reserved1"))
BlkRequest = collections.namedtuple("BlkRequest", "offset bytes tag op flags segment_count unit")
BlkSegment = collections.namedtuple("BlkSegment", "address length")
BlkAttach = collections.namedtuple("BlkAttach", (
    "device_fd queue_count queue_depth max_segments max_bytes max_segment_bytes virt_boundary dma_alignment timeout_ms "
    "deadline_ms state ring_entries map_bytes queue_bytes requests_offset done_offset segments_offset reserved"))
NetFill = collections.namedtuple("NetFill", "address length slot")

# Without the "size" and "flags" that each begins with: call() writes them.
FORMATS = {
    "udrv_ioc_device_info": "QIIBBBBHHHHIIIIIIiiI",
    "udrv_ioc_device_bus_master": "II",
    "udrv_ioc_device_reset": "",
    "udrv_ioc_region_info": "IIQQQQQ",
    "udrv_ioc_irq_setup": "II",
    "udrv_ioc_irq_info": "IIIIIIQ",
    "udrv_ioc_irq_range": "II",
    "udrv_ioc_irq_attach": "Ii",
    "udrv_ioc_prog_set": "IIQ",
    "udrv_ioc_prog_run": "IIQQ",
    "udrv_ioc_dma_mask": "II",
    "udrv_ioc_dma_alloc": "QQQII",
    "udrv_ioc_dma_handle": "II",
    "udrv_ioc_dma_map": "QQQIIII",
    "udrv_ioc_dma_sync": "IIQQ",
    "udrv_ioc_net_attach": "iI16s6sHIIIIIIIIQQIIIIII",
    "udrv_ioc_net_turn": "IIQIIQ",
    "udrv_ioc_net_state": "II6sHI384s",
    "udrv_ioc_net_link": "II",
    "udrv_ioc_net_queue": "II",
    "udrv_ioc_blk_attach": "iIIIIIIIIIIIQQIIII",
    "udrv_ioc_blk_disk": "IIQIIIIIIQ64s32s",
    "udrv_ioc_blk_turn": "IIQIIQII",
    "udrv_ioc_blk_queue": "II",
}
STRUCTS = {name: struct.Struct("=II" + fields) for name, fields in FORMATS.items()}
PROG_OP = struct.Struct("=BBBBIQQQ")
RECORD = struct.Struct("=IIQQ")
SEGMENT = struct.Struct("=QQ")
NET_TX = struct.Struct("=QIHHIHHBBBB4x")
NET_TX_DONE = struct.Struct("=I")
NET_FILL = struct.Struct("=QII")
NET_RX = struct.Struct("=IIHH4x")
RING = struct.Struct("=I60xI60x")
NET_RINGS = struct.Struct(f"={4 * RING.size}s")  # tx, tx_done, fill, rx
BLK_REQUEST = struct.Struct("=QIHBBHH4x")
BLK_SEGMENT = struct.Struct("=QI4x")
BLK_DONE = struct.Struct("=HHI")
BLK_RINGS = struct.Struct(f"={2 * RING.size}s")  # requests, done

REGISTERS = {1: struct.Struct("=B"), 2: struct.Struct("=H"), 4: struct.Struct("=I"), 8: struct.Struct("=Q")}


class Call:
    """One call: its struct, filled in; after a failure too, for what the kernel writes back then."""

    def __init__(self, name, *values, flags=0):
        self.layout = STRUCTS[name]
        self.memory = bytearray(self.layout.pack(self.layout.size, flags, *values))

    @property
    def fields(self):
        return self.layout.unpack(self.memory)[2:]

    def run_once(self, fd, number):
        """Run it; InterruptedError if a signal came in between."""
        fcntl.ioctl(fd, number, self.memory, True)
        return self.fields

    def run(self, fd, number):
        """Run it, again if a signal came in between (its handler has run by then, and may have raised)."""
        while True:
            try:
                return self.run_once(fd, number)
            except InterruptedError:
                continue


def call(fd, number, name, *values, flags=0):
    """One call; the struct's fields after size and flags."""
    return Call(name, *values, flags=flags).run(fd, number)
