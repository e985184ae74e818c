#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A network interface with nothing behind it but this process, which answers ARP and ping for one IPv4 address.

usage: echo_net.py INTERFACE ADDRESS

    python3 echo_net.py toy0 10.1.0.2 &         # wants CAP_NET_ADMIN
    ip addr add 10.1.0.1/24 dev toy0 && ip link set toy0 up
    ping 10.1.0.2

The whole of a driver: what the system sends is taken from a ring, and looked at where it lies; what "arrives" is written
into a buffer that the system has given. There is no device, so packets are copied, and the interface goes with us.
"""

import socket
import sys

import udrv

HERE, THERE = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")  # the interface, and who answers


def answer(frame, address):
    """The frame that answers this one, or None."""
    reply = bytearray(frame)
    reply[0:6], reply[6:12] = frame[6:12], THERE
    if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == address:  # ARP: who has it?
        reply[20:22] = b"\0\2"
        reply[22:32], reply[32:42] = THERE + address, frame[22:32]
        return reply
    echo = 14 + 4 * (frame[14] & 15)  # behind the IP header
    if frame[12:14] == b"\x08\0" and frame[23] == 1 and frame[30:34] == address and frame[echo:echo + 2] == b"\x08\0":
        reply[26:30], reply[30:34] = address, frame[26:30]  # no sum changes by that
        total = int.from_bytes(frame[echo + 2:echo + 4], "big") + 0x0800  # as the type goes from 8 to 0
        reply[echo] = 0
        reply[echo + 2:echo + 4] = ((total & 0xFFFF) + (total >> 16)).to_bytes(2, "big")
        return reply
    return None


def main(name, address):
    with udrv.Net(name, HERE) as net:
        queue, buffers = net.queue(0), []
        net.link(True)
        print(f"{net.name}: {socket.inet_ntoa(address)} answers", flush=True)
        while True:
            queue.turn()
            buffers += queue.fill.take()
            for packet in queue.tx.take():
                reply = answer(net.memory[packet.address:packet.address + packet.length], address)
                queue.done(packet.slot)
                if reply and buffers:
                    buffer = buffers.pop()
                    net.memory[buffer.address:buffer.address + len(reply)] = reply
                    queue.frame(buffer.slot, len(reply))


if __name__ == "__main__":
    main(sys.argv[1], socket.inet_aton(sys.argv[2])) if len(sys.argv) == 3 else sys.exit(__doc__)
