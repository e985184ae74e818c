#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The installed Python package, on edu (device set `edu`): each noun, each way to fail that is the package's own.

A network interface is tried without a device and with edu, which is no network card, but whose interrupts and end are a
device's.
"""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

import udrv
from udrv import abi

EDU = "00:02.0"
ID, LIVENESS, STATUS, RAISE, ACK = 0x00, 0x04, 0x24, 0x60, 0x64
DMA_SOURCE, DMA_DESTINATION, DMA_COUNT, DMA_COMMAND = 0x80, 0x88, 0x90, 0x98
DMA_START, DMA_FROM_EDU, DMA_IRQ = 1, 2, 4
EDU_BUFFER = 0x40000
EDU_DMA_IRQ = 0x100
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def raises(what, function, *arguments, **more):
    """The exception that a call must raise; what: its type, or an errno."""
    try:
        result = function(*arguments, **more)
    except Exception as error:
        if isinstance(what, int):
            assert isinstance(error, OSError) and error.errno == what, f"{error!r}, wanted {errno.errorcode[what]}"
        else:
            assert isinstance(error, what), f"{error!r}, wanted {what.__name__}"
        return error
    raise AssertionError(f"{function.__qualname__}{arguments} returned {result!r}, wanted {what}")


def edu_dma(dev, source, destination, count, command):
    """One transfer of edu's engine; it ends with an interrupt."""
    bar = dev.bar(0)
    bar.write64(DMA_SOURCE, source)
    bar.write64(DMA_DESTINATION, destination)
    bar.write64(DMA_COUNT, count)
    bar.write64(DMA_COMMAND, command | DMA_START | DMA_IRQ)
    records = dev.irq.wait(timeout=60)
    assert len(records) == 1, records
    assert bar.read32(STATUS) == EDU_DMA_IRQ
    bar.write32(ACK, EDU_DMA_IRQ)


@test
def installed():
    assert "/dist-packages/" in udrv.__file__, udrv.__file__


@test
def names():
    for name in (EDU, "0000:00:02.0", "pci-00:02.0", "0:2.0", "/dev/udrv/pci-00:02.0"):
        with udrv.open(name) as dev:
            assert (dev.info.vendor, dev.info.device) == (0x1234, 0x11E8), dev.info
    for name in ("", "2", "00:02", "00:02.8", "00:20.0", "100:00.0", "x00:02.0", "00:02.0 "):
        raises(ValueError, udrv.open, name)
    raises(FileNotFoundError, udrv.open, "00:1e.7")
    raises(errno.ENOTTY, udrv.open, "/dev/null")


@test
def exclusive():
    with udrv.open(EDU):
        raises(errno.EBUSY, udrv.open, EDU)
    udrv.open(EDU).close()


@test
def closed():
    dev = udrv.open(EDU)
    dev.close()
    dev.close()
    for call in (dev.fileno, dev.reset, dev.irq.wait, lambda: dev.bar(0).read32(0)):
        raises(ValueError, call)


@test
def registers():
    with udrv.open(EDU) as dev:
        bar = dev.bar(0)
        assert bar.length == 0x100000 and bar.read32(ID) == 0x010000ED
        bar.write32(LIVENESS, 0x12345678)
        assert bar.read32(LIVENESS) == 0x12345678 ^ 0xFFFFFFFF
        raises(ValueError, bar.read32, 2)
        raises(ValueError, bar.write32, 4, 1 << 32)
        raises(ValueError, bar.write32, 4, -1)
        raises(IndexError, bar.read32, bar.length)
        raises(IndexError, bar.read64, -8)
        for index in (1, 5, 6, -1):
            raises(LookupError, dev.bar, index)


@test
def mapped_registers():
    with udrv.open(EDU) as dev:
        bar = dev.bar(0)
        memory = bar.map()
        assert len(memory) == bar.length
        with memoryview(memory) as view, view.cast("I") as registers:
            assert registers[ID // 4] == 0x010000ED
            registers[LIVENESS // 4] = 1
            assert registers[LIVENESS // 4] == 0xFFFFFFFE
        bar.unmap(memory)
        raises(ValueError, lambda: memory[0])
        assert len(bar.map(0x1000, 0x2000)) == 0x2000
        raises(IndexError, bar.map, 0, bar.length + 1)
        raises(IndexError, bar.map, bar.length)
        # Closing the device takes the second mapping down: the node is free again.
    udrv.open(EDU).close()


@test
def a_view_keeps_it_open():
    dev = udrv.open(EDU)
    view = memoryview(dev.bar(0).map())
    raises(BufferError, dev.close)
    raises(errno.EBUSY, udrv.open, EDU)
    view.release()
    dev.close()
    udrv.open(EDU).close()


@test
def config():
    with udrv.open(EDU) as dev:
        assert dev.config.length == 256
        assert dev.config.read32(0) == 0x11E81234 and dev.config.read16(2) == 0x11E8 and dev.config.read8(1) == 0x12
        dev.config.write8(0x0C, 0x20)
        assert dev.config.read8(0x0C) == 0x20
        raises(PermissionError, dev.config.write32, 0x10, 0)
        raises(IndexError, dev.config.read32, 256)


def interrupts(kind):
    with udrv.open(EDU) as dev:
        dev.bus_master(True)
        assert dev.irq.setup(kind) == 1
        assert dev.irq.wait(timeout=0) == []
        before = time.monotonic_ns()
        dev.bar(0).write32(RAISE, 1)
        records = dev.irq.wait()
        assert len(records) == 1 and records[0].vector == 0 and records[0].count == 1, records
        assert before < records[0].time_ns < time.monotonic_ns()
        dev.bar(0).write32(ACK, 1)
        assert dev.irq.wait(timeout=0.05) == []
        info = dev.irq.info()
        assert info.total == 1 and info.pending == 0 and info.count == 1, info
        raises(errno.EINVAL, dev.irq.info, 1)


@test
def intx():
    interrupts(udrv.INTX)


@test
def msi():
    interrupts("MSI")


@test
def setup_refused():
    with udrv.open(EDU) as dev:
        raises(errno.EINVAL, dev.irq.setup, udrv.MSI)
        raises(KeyError, dev.irq.setup, "legacy")
        raises(errno.EOPNOTSUPP, dev.irq.setup, udrv.MSIX)
        assert dev.irq.setup(udrv.NONE) == 0


@test
def eventfd_and_mask():
    with udrv.open(EDU) as dev:
        dev.bus_master(True)
        dev.irq.setup("msi")
        event = os.eventfd(0, os.EFD_NONBLOCK)
        dev.irq.attach(0, event)
        dev.irq.mask()
        dev.bar(0).write32(RAISE, 1)
        assert dev.bar(0).read32(STATUS) == 1
        raises(BlockingIOError, os.eventfd_read, event)
        dev.irq.unmask()
        os.set_blocking(event, True)
        assert os.eventfd_read(event) == 1
        assert dev.irq.wait(timeout=0) == []
        dev.bar(0).write32(ACK, 1)
        dev.irq.detach(0)
        raises(errno.ENOENT, dev.irq.detach, 0)
        os.close(event)


@test
def waits_with_a_timeout_do_not_block():
    """Two threads after the same records: whoever comes too late must find its time over, not a read that blocks."""
    with udrv.open(EDU) as dev:
        dev.bus_master(True)
        dev.irq.setup("msi")
        seen, stop = [], threading.Event()

        def wait():
            while not stop.is_set():
                seen.extend(dev.irq.wait(timeout=0.02))

        threads = [threading.Thread(target=wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        for raised in range(1, 201):
            dev.bar(0).write32(RAISE, 1)
            dev.bar(0).write32(ACK, 1)
            # The interrupt controller merges what comes while it has two of them.
            while dev.irq.info().total < raised:
                time.sleep(0)
        while sum(record.count for record in seen) < 200:
            time.sleep(0)
        stop.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a wait with a timeout did not return"
        assert sum(record.count for record in seen) == 200


@test
def consistent_dma():
    with udrv.open(EDU) as dev:
        dev.bus_master(True)
        dev.irq.setup("msi")
        with dev.dma.alloc(100) as out, dev.dma.alloc(4096) as back:
            assert out.length == 4096 and len(out.memory) == 4096 and out.memory[:] == bytes(4096)
            pattern = os.urandom(2048)
            out.memory[0:2048] = pattern
            edu_dma(dev, out.iova, EDU_BUFFER, 2048, 0)
            edu_dma(dev, EDU_BUFFER, back.iova + 1024, 2048, DMA_FROM_EDU)
            assert back.memory[:] == bytes(1024) + pattern + bytes(1024)
            raises(errno.EBUSY, dev.dma.set_mask, 40)
        out.free()
        dev.dma.set_mask(40)
        raises(errno.EINVAL, dev.dma.alloc, 0)


@test
def streaming_dma():
    with udrv.open(EDU) as dev:
        dev.bus_master(True)
        dev.irq.setup("msi")
        pattern = os.urandom(1000)
        out, back = bytearray(b"\xaa" * 3 + pattern), bytearray(b"\x55" * 3000)
        with dev.dma.map(out, udrv.TO_DEVICE) as mapping:
            assert sum(segment.length for segment in mapping.segments) == len(out)
            raises(BufferError, out.append, 1)
            edu_dma(dev, mapping.segments[0].iova + 3, EDU_BUFFER, min(1000, mapping.segments[0].length - 3), 0)
            if len(mapping.segments) > 1:
                at = mapping.segments[0].length - 3
                edu_dma(dev, mapping.segments[1].iova, EDU_BUFFER + at, 1000 - at, 0)
        out.append(1)
        with dev.dma.map(back, udrv.FROM_DEVICE) as mapping:
            done = 0
            for iova, length in mapping.segments:
                length = min(length, 1000 - done)
                if length:
                    edu_dma(dev, EDU_BUFFER + done, iova, length, DMA_FROM_EDU)
                    done += length
            mapping.sync_for_cpu()
            assert back[:1000] == pattern
            mapping.sync_for_device(0, 10)
            raises(errno.EINVAL, mapping.sync_for_cpu, 0, 3001)
        assert back[:1000] == pattern and back[1000:] == b"\x55" * 2000
        mapping.unmap()


@test
def many_segments():
    with udrv.open(EDU) as dev:
        dev.dma.set_mask(64)
        memory = bytearray(4 << 20)
        with dev.dma.map(memory) as mapping:
            assert sum(segment.length for segment in mapping.segments) == len(memory)
        raises(TypeError, dev.dma.map, b"read-only")
        raises(errno.EINVAL, dev.dma.map, memory, 7)
        memory.clear()


@test
def reset_refused():
    with udrv.open(EDU) as dev:
        raises(errno.EOPNOTSUPP, dev.reset)


@test
def tier():
    strict = os.path.exists(f"/sys/bus/pci/devices/0000:{EDU}/iommu_group")
    with udrv.open(EDU) as dev:
        assert dev.confined is strict, dev.info
        assert dev.trust == ("confined" if strict else "trusted: no IOMMU translates its DMA"), dev.trust
    raises(ValueError, lambda: dev.trust)


@test
def revoked():
    dev = udrv.open(EDU)
    bar = dev.bar(0)
    assert bar.read32(ID) == 0x010000ED
    subprocess.run(["udrv", "revoke", EDU], check=True, stdout=subprocess.DEVNULL)
    raises(errno.ENODEV, bar.read32, ID)
    with udrv.open(EDU) as other:
        assert other.bar(0).read32(ID) == 0x010000ED
        raises(errno.ENODEV, bar.read32, ID)
        dev.close()
        assert other.bar(0).read32(ID) == 0x010000ED


def interface(name):
    return os.path.exists(f"/sys/class/net/{name}")


def attribute(name, what):
    with open(f"/sys/class/net/{name}/{what}", encoding="ascii") as file:
        return file.read().strip()


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def wait_for(queue, bit):
    """A turn that waits for nothing else, which the system's own packets and news may bring."""
    every = abi.NET_READY_TX | abi.NET_READY_IRQ | abi.NET_READY_STATE | abi.NET_READY_KICK
    assert queue.turn(every & ~bit, timeout=60) & bit, f"nothing came, wanted {bit:#x}"


@test
def net_refused():
    address = "02:00:00:00:00:01"
    raises(ValueError, udrv.Net, "a" * 16, address)
    raises(ValueError, udrv.Net, "py\0", address)
    raises(ValueError, udrv.Net, "py0", "02:00:00:00:00")
    raises(errno.EINVAL, udrv.Net, "py0")
    raises(errno.EINVAL, udrv.Net, "py0", address, tx_slots=65)
    raises(errno.EEXIST, udrv.Net, "lo", address)
    assert not interface("py0")


@test
def net_state():
    with udrv.Net("py0", "02:00:00:00:00:01") as net:
        assert (net.name, net.index) == ("py0", socket.if_nametoindex("py0"))
        assert net.copies and not net.taken_over
        queue = net.queue()
        assert queue.turn(timeout=0) & abi.NET_READY_STATE
        state = net.state()
        assert not state.state_flags & abi.NET_UP and state.mtu == 1500, state
        assert state.address == bytes.fromhex("020000000001"), state
        assert not queue.turn(timeout=0) & abi.NET_READY_STATE
        ip("link", "set", "py0", "up", "mtu", "1400", "address", "02:00:00:00:00:07")
        wait_for(queue, abi.NET_READY_STATE)
        state = net.state()
        assert state.state_flags & abi.NET_UP and state.mtu == 1400 and state.address[5] == 7, state
        ip("maddr", "add", "33:33:00:00:12:34", "dev", "py0")
        assert bytes.fromhex("333300001234") in net.state().groups
        assert attribute("py0", "carrier") == "0"
        net.link(True, speed=2500)
        assert attribute("py0", "carrier") == "1" and attribute("py0", "speed") == "2500"
        assert attribute("py0", "duplex") == "full"
        net.link(False)
        assert attribute("py0", "carrier") == "0"
        raises(errno.EINVAL, net.vector, 0, 0)
        raises(errno.EINVAL, net.kick, 1)
    assert not interface("py0")
    net.close()
    for call in (net.fileno, net.state, net.kick, queue.turn, queue.tx.take):
        raises(ValueError, call)


@test
def net_frames():
    """One each way, often enough for each ring to begin anew."""
    with udrv.Net("py0", "02:00:00:00:00:01", tx_slots=64, rx_slots=64) as net, \
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as system:
        queue, buffers = net.queue(), []
        net.link(True)
        ip("link", "set", "py0", "up")
        system.bind(("py0", 0))
        system.settimeout(60)
        for number in range(300):
            frame = b"\xff" * 6 + bytes(6) + b"\x88\xb5" + number.to_bytes(2, "big") + bytes(84)
            system.send(frame)
            sent = []
            while not sent:
                wait_for(queue, abi.NET_READY_TX)
                for packet in queue.tx.take():
                    assert packet.flags == abi.NET_TX_FIRST | abi.NET_TX_LAST, packet
                    assert packet.length == packet.packet_length, packet
                    data = net.memory[packet.address:packet.address + packet.length]
                    queue.done(packet.slot)
                    if data[12:14] == b"\x88\xb5":
                        sent.append(data)
            assert sent == [frame], sent
            buffers += queue.fill.take(7)
            buffer = buffers.pop(0)
            assert buffer.length >= 1522
            net.memory[buffer.address:buffer.address + len(frame)] = frame
            queue.frame(buffer.slot, len(frame))
            queue.turn(timeout=0)
            assert system.recv(2048) == frame
        assert attribute("py0", "statistics/rx_packets") == "300"
        assert attribute("py0", "statistics/rx_errors") == "0" and attribute("py0", "statistics/tx_errors") == "0"


@test
def net_misused():
    """A slot that is not ours is counted, and a ring that is full says so."""
    with udrv.Net("py0", "02:00:00:00:00:01", tx_slots=64) as net:
        queue = net.queue()
        for slot in range(64):
            queue.done(slot)
        raises(IndexError, queue.done, 64)
        queue.turn(timeout=0)
        assert attribute("py0", "statistics/tx_errors") == "64"
        queue.done(0)
        raises(IndexError, net.queue, 1)
        view = memoryview(net.memory)
        raises(BufferError, net.close)
        assert interface("py0")
        view.release()
    assert not interface("py0")


@test
def net_kicked():
    with udrv.Net("py0", "02:00:00:00:00:01") as net:
        queue = net.queue()
        net.state()
        assert queue.turn(timeout=0.01) == abi.NET_READY_FILL
        thread = threading.Thread(target=net.kick)
        thread.start()
        assert queue.turn() & abi.NET_READY_KICK
        thread.join()
        # A signal's handler runs, and the turn is over.
        seen = []
        signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        while not seen:
            assert not queue.turn(timeout=60) & ~abi.NET_READY_FILL
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


@test
def net_with_a_device():
    """Its interrupt wakes the queue; its end is one; the interface waits for the next driver."""
    for taken_over in (False, True):
        dev = udrv.open(EDU)
        dev.bus_master(True)
        dev.irq.setup("msi")
        with udrv.Net("py1", "02:00:00:00:00:01", dev, rx_slots=128) as net:
            assert net.taken_over is taken_over and net.copies is dev.confined
            queue = net.queue()
            net.vector(0, 0)
            net.state()
            buffers = queue.fill.take()
            assert len(buffers) == 128 == len({buffer.address for buffer in buffers}) and not len(queue.fill)
            assert all(buffer.length >= 1522 for buffer in buffers)
            raises(errno.EBUSY, udrv.Net, "py2", "02:00:00:00:00:02", dev)
            dev.bar(0).write32(RAISE, 1)
            wait_for(queue, abi.NET_READY_IRQ)
            assert queue.irq_count == 1
            dev.bar(0).write32(ACK, 1)
        raises(errno.ENODEV, dev.bar(0).read32, ID)
        assert interface("py1")
        dev.close()
    ip("link", "del", "py1")


@test
def taken_away():
    dev = udrv.open(EDU)
    subprocess.run(["udrv", "unbind", "--force", EDU], check=True, stdout=subprocess.DEVNULL)
    raises(errno.ENODEV, dev.irq.wait)
    raises(errno.ENODEV, dev.irq.wait, timeout=1)
    raises(errno.ENODEV, lambda: dev.bar(0).read32(0))
    dev.close()
    subprocess.run(["udrv", "bind", EDU], check=True, stdout=subprocess.DEVNULL)
    udrv.open(EDU).close()


def main():
    subprocess.run(["udrv", "bind", EDU], check=True, stdout=subprocess.DEVNULL)
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, function in enumerate(TESTS, 1):
        try:
            function()
            print(f"ok {number} - {function.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"not ok {number} - {function.__name__}")
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="", flush=True)
    subprocess.run(["udrv", "unbind", EDU], check=True, stdout=subprocess.DEVNULL)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
