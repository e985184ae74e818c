#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""stream.py listen|connect ADDRESS: a TCP connection that is full both ways, and every byte that arrives is compared.

It goes on until SIGTERM, which ends both sides in order, with what is on its way. Each says `sent N received M` then, and
exits with 0 if all was as the other side's pattern has it; the caller compares the numbers. Nothing for a minute and a
half is a failure. The rate has a bound, so that a machine which does other things too still gets to them.
"""

import random
import signal
import socket
import sys
import threading

PORT = 5002
PERIOD = 999_983  # prime: a piece that is lost, doubled or moved does not fit
CHUNK = 65536
BYTES_PER_SECOND = 4_000_000
SO_MAX_PACING_RATE = 47


def pattern(seed):
    block = random.Random(seed).randbytes(PERIOD)
    return memoryview(block + block[:CHUNK])


def send(sock, mine, stop, sent):
    while not stop.is_set():
        at = sent[0] % PERIOD
        sent[0] += sock.send(mine[at : at + CHUNK])
    sock.shutdown(socket.SHUT_WR)


def receive(sock, theirs):
    """All of it, up to its end; the number of bytes."""
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    received = 0
    while count := sock.recv_into(buffer):
        at = received % PERIOD
        if view[:count] != theirs[at : at + count]:
            sys.exit(f"not what was sent, between {received} and {received + count}")
        received += count
    return received


def connection(way, address):
    if way == "connect":
        return socket.create_connection((address, PORT), 90)
    with socket.create_server((address, PORT)) as server:
        server.settimeout(90)
        return server.accept()[0]


def main(way, address):
    stop = threading.Event()
    sent = [0]
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    patterns = pattern(1), pattern(2)
    mine, theirs = patterns if way == "connect" else patterns[::-1]
    with connection(way, address) as sock:
        sock.settimeout(90)
        sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, BYTES_PER_SECOND)
        sender = threading.Thread(target=send, args=(sock, mine, stop, sent), daemon=True)
        sender.start()
        received = receive(sock, theirs)
        stop.set()
        sender.join()
    print(f"sent {sent[0]} received {received}")


main(*sys.argv[1:])
