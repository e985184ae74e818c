# SPDX-License-Identifier: MIT
"""ram_disk.py [MEGABYTES [NAME]]: a disk in this process's memory, until it is interrupted.

The smallest driver of a disk: requests are taken, done with a copy to or from a bytearray, and given back, one call of the
kernel for each batch. Needs root. Then, in another terminal: mkfs.ext4 /dev/udrv0; mount /dev/udrv0 /mnt.
"""

import sys

import udrv
from udrv import abi


def serve(disk, queue, request):
    """Do what is asked. Return: BLK_OK, or what went wrong."""
    part = slice(request.offset, request.offset + request.bytes)
    if part.stop > len(disk):
        return abi.BLK_IOERR
    if request.op == abi.BLK_READ:
        with queue.data(request) as data:
            data[:] = disk[part]
    elif request.op == abi.BLK_WRITE:
        with queue.data(request) as data:
            disk[part] = data
    elif request.op in (abi.BLK_DISCARD, abi.BLK_WRITE_ZEROES):
        disk[part] = bytes(request.bytes)
    elif request.op != abi.BLK_FLUSH:
        return abi.BLK_NOTSUPP
    return abi.BLK_OK


def main():
    disk = bytearray(int(sys.argv[1] if len(sys.argv) > 1 else 64) << 20)
    with udrv.Blk() as blk:
        name = blk.add(len(disk), sys.argv[2] if len(sys.argv) > 2 else "udrv%d", discard_bytes=1 << 20,
                       zeroes_bytes=1 << 20)
        print(f"/dev/{name}: {len(disk) >> 20} MiB", flush=True)
        queue = blk.queue(0)
        while True:
            queue.turn()
            for request in queue.requests():
                queue.done(request, serve(disk, queue, request))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
