# SPDX-License-Identifier: MIT
"""Register programs: a few accesses that the kernel verifies once, and runs by itself.

A program is a list of operations made by the functions below. It runs now (Prog.run), in the INTx handler (Prog.set_ack)
or when the driver ends, however it ends (Prog.set_quiesce).
"""

import ctypes

from . import abi


def read(bar, offset, width=4):
    """last = register; in an acknowledge program it also goes into the record's value."""
    return abi.PROG_OP.pack(abi.PROG_READ, bar, width, 0, 0, offset, 0, 0)


def write(bar, offset, value, width=4):
    """register = value"""
    return abi.PROG_OP.pack(abi.PROG_WRITE, bar, width, 0, 0, offset, 0, value)


def write_last(bar, offset, mask, width=4):
    """register = last & mask"""
    return abi.PROG_OP.pack(abi.PROG_WRITE, bar, width, abi.PROG_LAST, 0, offset, mask, 0)


def modify(bar, offset, mask, value, width=4):
    """last = register; register = (last & ~mask) | value"""
    return abi.PROG_OP.pack(abi.PROG_MODIFY, bar, width, 0, 0, offset, mask, value)


def test(mask, value, negate=False):
    """Go on only if (last & mask) == value; with negate, only if not."""
    return abi.PROG_OP.pack(abi.PROG_TEST, 0, 0, abi.PROG_NOT if negate else 0, 0, 0, mask, value)


def poll(bar, offset, mask, value, timeout_us, width=4, negate=False):
    """Look until (register & mask) == value (negate: until not), at most timeout_us microseconds."""
    return abi.PROG_OP.pack(abi.PROG_POLL, bar, width, abi.PROG_NOT if negate else 0, timeout_us, offset, mask, value)


class Prog:
    """A device's register programs."""

    def __init__(self, device):
        self._device = device

    def run(self, *ops):
        """Run a program now, in one call. Return: what was last read, after each operation that was executed.

        TimeoutError if a poll's time was over.
        """
        memory = ctypes.create_string_buffer(b"".join(ops))
        values = (ctypes.c_uint64 * len(ops))()
        done = abi.call(self._device.fileno(), abi.PROG_RUN, "udrv_ioc_prog_run", len(ops), 0, ctypes.addressof(memory),
                        ctypes.addressof(values))[1]
        return list(values[:done])

    def _set(self, use, ops):
        memory = ctypes.create_string_buffer(b"".join(ops) or b"\0")
        abi.call(self._device.fileno(), abi.PROG_SET, "udrv_ioc_prog_set", use, len(ops), ctypes.addressof(memory))

    def set_ack(self, *ops):
        """The INTx handler runs it, from the next irq.setup() on; without operations, no more."""
        self._set(abi.PROG_ACK, ops)

    def set_quiesce(self, *ops):
        """It runs when this driver ends; without operations, no more."""
        self._set(abi.PROG_QUIESCE, ops)

    def set_reset(self, *ops):
        """Likewise, and nothing runs in the device afterwards, by your word: no other reset follows."""
        self._set(abi.PROG_RESET, ops)
