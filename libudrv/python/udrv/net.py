# SPDX-License-Identifier: MIT
"""A network interface that this process drives: attach, its rings, one call for each turn.

Owns the descriptor of /dev/udrv/net and the mapping of the rings; <udrv/net.h> says what they are, and ring.py how they are
shared with the kernel.
"""

import collections
import os

from . import abi
from .ring import FromKernel, Half, ToKernel

NetState = collections.namedtuple("NetState", "state_flags mtu address groups")


class Queue:
    """A queue: its rings tx, tx_done, fill and rx, and turn(). One thread's at a time."""

    def __init__(self, net, index, info):
        base = index * info.queue_bytes
        at = {name: base + n * abi.RING.size for n, name in enumerate(("tx", "tx_done", "fill", "rx"))}
        self._net = net
        self._index = index
        self.tx = FromKernel(net.memory, at["tx"], base + info.tx_offset, info.tx_entries, abi.NET_TX, abi.NetTx)
        self.tx_done = ToKernel(net.memory, at["tx_done"], base + info.tx_done_offset, info.tx_slots, abi.NET_TX_DONE)
        self.fill = FromKernel(net.memory, at["fill"], base + info.fill_offset, info.rx_slots, abi.NET_FILL, abi.NetFill)
        self.rx = ToKernel(net.memory, at["rx"], base + info.rx_offset, info.rx_slots, abi.NET_RX)
        self.irq_count = 0  # what the last turn found
        self.irq_value = 0

    def done(self, slot):
        """The packet in this slot is sent: its memory is the system's again."""
        self.tx_done.put(slot)

    def frame(self, slot, length, flags=0, vlan_tci=0):
        """A frame has arrived in the buffer of this slot; flags: NET_RX_*."""
        self.rx.put(slot, length, flags, vlan_tci)

    def turn(self, ignore=0, timeout=None):
        """Hand in what is done and what has arrived, and wait for more to do: for ever, or some seconds.

        ignore: NET_READY_* bits that are not to be waited for. Return: NET_READY_* bits; 0 when the time is over, or a
        signal came in between (its handler has run by then, and may have raised).
        """
        self.tx_done.publish()
        self.rx.publish()
        timeout_ns = abi.NET_FOREVER if timeout is None else max(0, int(timeout * 1e9))
        call = abi.Call("udrv_ioc_net_turn", self._index, ignore, timeout_ns, 0, 0, 0)
        try:
            _, ready, _, self.irq_count, _, self.irq_value = call.run_once(self._net.fileno(), abi.NET_TURN)
        except InterruptedError:
            return 0
        return ready

    def release(self):
        for ring in (self.tx, self.tx_done, self.fill, self.rx):
            ring.release()


class Net(Half):
    """An interface that this process drives, from here until it is closed.

    name: of the interface; "eth%d" is the first that is free. If the device has an interface of this name that nobody
    drives, it is taken over, else it is made, with this Ethernet address (bytes, or text like "02:00:00:00:00:01").
    device: the Device that moves the data. Without one packets are copied: an entry's address is where it lies in
    .memory, and the interface goes when this is closed. features: NET_CSUM and others, what the device does. hang_ms: if
    this process makes no turn for as long, with something to do, the interface is taken from it; 0: never.
    """

    _node, _attach, _attach_struct = "net", abi.NET_ATTACH, "udrv_ioc_net_attach"
    _queue_struct, _vector, _kick = "udrv_ioc_net_queue", abi.NET_VECTOR, abi.NET_KICK

    def __init__(self, name, address=bytes(6), device=None, features=0, queue_count=1, tx_slots=256, rx_slots=256,
                 max_mtu=1500, grace_ms=0, hang_ms=0):
        name = os.fsencode(name)
        address = bytes.fromhex(address.replace(":", "")) if isinstance(address, str) else bytes(address)
        # The struct module would cut both.
        if len(name) >= abi.NET_NAME_BYTES or b"\0" in name:
            raise ValueError(f"{name!r} is no interface's name: it has 15 bytes at most")
        if len(address) != 6:
            raise ValueError(f"{address!r} is no Ethernet address: it has 6 bytes")
        info = self._open(device, abi.NetAttach, features, name, address, 0, queue_count, tx_slots, rx_slots, max_mtu,
                          grace_ms, *(0,) * 9, hang_ms, 0)
        self.name = os.fsdecode(info.name.rstrip(b"\0"))
        self.index = info.ifindex
        self.taken_over = bool(info.state & abi.NET_TAKEN_OVER)
        self.copies = bool(info.state & abi.NET_COPIES)
        self.queues = [Queue(self, index, info) for index in range(info.queue_count)]

    def state(self):
        """What the system wants of the interface: NET_UP and others, MTU, its address, multicast addresses."""
        state_flags, mtu, address, _, count, groups = abi.call(
            self.fileno(), abi.NET_STATE, "udrv_ioc_net_state", 0, 0, bytes(6), 0, 0, bytes(384))
        return NetState(state_flags, mtu, address, [groups[6 * i:6 * i + 6] for i in range(count)])

    def link(self, up, speed=0, full_duplex=True):
        """Tell the system of the link; speed in Mbit/s, 0: neither it nor the duplex mode is known."""
        abi.call(self.fileno(), abi.NET_LINK, "udrv_ioc_net_link",
                 (abi.NET_LINK_UP if up else 0) | (abi.NET_LINK_FULL if full_duplex else 0), speed)
