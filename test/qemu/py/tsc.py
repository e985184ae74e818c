# SPDX-License-Identifier: MIT
"""tsc: how fast the time stamp counter of this machine runs, and so that of a guest which does not count instructions.

A guest kernel measures it against the PIT, by time that passes while it waits. In one boot of 149, with others at work beside
it, that was 42 times off: the clock ran so much too fast, and all deadlines were over at once. So it is told.
"""

import ctypes
import mmap
import platform
import time

# rdtsc; shl $32, %rdx; or %rdx, %rax; ret
READ = bytes.fromhex("0f31 48c1e220 4809d0 c3")
INTERVAL = 0.02  # s; a reading is good to a microsecond: 100 ppm
TRIES = 50


def khz():
    """The counter's frequency, or None: this machine has no such counter."""
    if platform.machine() != "x86_64":
        return None
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as page:
        page.write(READ)
        place = ctypes.c_char.from_buffer(page)
        ticks = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(place))

        def reading():
            """Both clocks at one time: of several tries the one that took the least."""
            tries = [(time.monotonic_ns(), ticks(), time.monotonic_ns()) for _ in range(TRIES)]
            begin, tick, end = min(tries, key=lambda t: t[2] - t[0])
            return (begin + end) / 2, tick

        first = reading()
        time.sleep(INTERVAL)
        last = reading()
        del place  # or the page could not be closed
    return round((last[1] - first[1]) * 1e6 / (last[0] - first[0]))
