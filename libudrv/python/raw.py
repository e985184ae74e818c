#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Read a register of QEMU's edu device and wait for an interrupt, with os, fcntl, struct and mmap alone.

usage: raw.py /dev/udrv/pci-00:04.0

It shows that a device node needs no library in any language. Registers are those of QEMU's docs/specs/edu.rst. Says what
it does, exits 0 if each step gave what it must, else 1.
"""

import fcntl
import mmap
import os
import struct

REGION_INFO = 0xBE03                # _IO(0xBE, 0x03), <udrv/udrv.h>
REGION = struct.Struct("=IIIIQQQQQ")  # size flags index region_flags offset offset_wc length nomap_offset nomap_length
RECORD = struct.Struct("=IIQQ")     # vector count time_ns value

EDU_ID = 0x00           # identification: 0x010000ed
EDU_LIVENESS = 0x04     # reads as the complement of what was written
EDU_IRQ_STATUS = 0x24   # the interrupts that are raised
EDU_IRQ_RAISE = 0x60    # raises those whose bits are written
EDU_IRQ_ACK = 0x64      # lowers those whose bits are written


def step(what, good):
    print(("ok: " if good else "FAILED: ") + what, flush=True)
    if not good:
        raise SystemExit(1)


def main(node):
    fd = os.open(node, os.O_RDWR)

    region = bytearray(REGION.pack(REGION.size, 0, 0, 0, 0, 0, 0, 0, 0))
    fcntl.ioctl(fd, REGION_INFO, region)
    bar0, length = REGION.unpack(region)[4], REGION.unpack(region)[6]
    step(f"BAR 0 is {length:#x} bytes at file offset {bar0:#x}", length >= 0x100)

    value, = struct.unpack("=I", os.pread(fd, 4, bar0 + EDU_ID))
    step(f"pread: identification is {value:#010x}", value == 0x010000ED)

    with mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=bar0) as memory:
        registers = memoryview(memory).cast("I")  # each index one access of four bytes
        value = registers[EDU_ID // 4]
        step(f"mmap: identification is {value:#010x}", value == 0x010000ED)
        registers[EDU_LIVENESS // 4] = 0x12345678
        value = registers[EDU_LIVENESS // 4]
        step(f"mmap: liveness of 0x12345678 is {value:#010x}", value == 0x12345678 ^ 0xFFFFFFFF)
        registers.release()

    os.pwrite(fd, struct.pack("=I", 1), bar0 + EDU_IRQ_RAISE)
    print("raised an interrupt; read() waits for it", flush=True)
    vector, count, time_ns, _ = RECORD.unpack(os.read(fd, RECORD.size))
    step(f"read: vector {vector}, {count} interrupt, at {time_ns / 1e9:.6f} s", vector == 0 and count == 1)

    status, = struct.unpack("=I", os.pread(fd, 4, bar0 + EDU_IRQ_STATUS))
    step(f"pread: interrupt status is {status:#x}", status == 1)
    os.pwrite(fd, struct.pack("=I", status), bar0 + EDU_IRQ_ACK)

    # Lowered, the line must stay silent: a read that may not wait finds nothing.
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
    try:
        os.read(fd, RECORD.size)
        silent = False
    except BlockingIOError:
        silent = True
    step("acknowledged: no further interrupt", silent)
    os.close(fd)


if __name__ == "__main__":
    # sys.argv would be a fifth module: python3 raw.py NODE
    arguments = os.read(os.open("/proc/self/cmdline", os.O_RDONLY), 4096).split(b"\0")[1:-1]
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    main(os.fsdecode(arguments[1]))
