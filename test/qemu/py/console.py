# SPDX-License-Identifier: MIT
"""Finds the kernel's complaints in a console log.

Owns the list of what counts as one. A complaint that a test provokes on purpose can be allowed by a regular
expression; the hard part is that a warning is a block of lines: allowing its first line allows the block. So it is with
the report of an out-of-memory kill, whose block is the one trace that follows.
"""

import re

COMPLAINTS = [
    r"WARNING:", r"\bBUG\b", r"\bOops\b", r"general protection", r"Call Trace", r"Kernel panic",
    r"possible circular", r"INFO: possible", r"inconsistent lock state", r"suspicious RCU usage",
    r"bad unlock balance", r"held lock freed", r"nobody cared", r"Disabling IRQ", r"\bKASAN\b", r"\bUBSAN\b",
    r"\bKCSAN\b", r"kmemleak: [1-9]", r"unreferenced object", r"DMA-API:", r"DMAR:.*[Ff]ault", r"DMAR: \[DMA",
    r"hung_task", r"blocked for more than", r"soft lockup", r"hard LOCKUP", r"rcu.*stall", r"refcount_t",
    r"scheduling while atomic", r"Unable to handle", r"unable to handle", r"Bad page state", r"Bad rss-counter",
    r"corruption", r"ODEBUG", r"already registered", r"cannot create duplicate filename",
    r"Object .* still has|objects remaining", r"pagealloc: ", r"trying to register non-static key", r"switched off",
    r"invoked oom-killer", r"lab: ",
]
# Lines that hold one of these words and complain of nothing: a driver's or the kernel's own banner.
HARMLESS = [
    r"^kmemleak: Kernel memory leak detector (initialized|disabled)", r"^kasan: KernelAddressSanitizer initialized",
    r"DMA-API: preallocated", r"DMA-API: debugging enabled", r"^Command line:", r"^Kernel command line:",
    r"Running (RCU|lock)", r"^rcu: .*stall.*timeout",
    r"RCU CPU stall warnings timeout set",
]

_complaint = re.compile("|".join(COMPLAINTS))
_harmless = re.compile("|".join(HARMLESS))
_stamp = re.compile(r"^(<\d+>)?\[\s*\d+\.\d+\](\[[^]]*\])?\s?")


def scan(text, allow=()):
    """The lines of a console log that complain, without those (and their blocks) that `allow` matches."""
    allowed = [re.compile(a) for a in allow]
    found, block, trace = [], None, False
    for raw in text.replace("\r", "").split("\n"):
        line = _stamp.sub("", raw)
        if "[ cut here ]" in line:
            if block:
                found += block["lines"]
            block = {"lines": [], "allowed": False}
        if _complaint.search(line) and not _harmless.search(line):
            if any(a.search(line) for a in allowed):
                trace |= "invoked oom-killer" in line
                if block:
                    block["allowed"] = True
            elif trace and line.startswith("Call Trace"):
                trace = False
            else:
                (block["lines"] if block else found).append(raw)
        if block and "[ end trace" in line:
            if not block["allowed"]:
                found += block["lines"] or [raw]
            block = None
    if block and not block["allowed"]:
        found += block["lines"]
    return found
