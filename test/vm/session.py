# SPDX-License-Identifier: MIT
"""session.py listen|connect ADDRESS: a TCP connection like that of a shell: somebody types, and each key comes back.

A key each 10 ms, and the next one only when the last was seen. It says `typing` when the first has come back, goes on until
SIGTERM, and then says `keys N longest M`: how many there were, and the longest time from a key to its echo, in milliseconds.
Nothing for a minute and a half is a failure.
"""

import signal
import socket
import sys
import threading
import time

PORT = 5022
PAUSE = 0.01


def listen(address):
    with socket.create_server((address, PORT)) as server:
        server.settimeout(90)
        sock = server.accept()[0]
    with sock:
        sock.settimeout(90)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while key := sock.recv(1):
            sock.sendall(key)


def connect(address):
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    keys, longest = 0, 0.0
    with socket.create_connection((address, PORT), 90) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not stop.wait(PAUSE):
            key = bytes([keys % 256])
            began = time.monotonic()
            sock.sendall(key)
            if sock.recv(1) != key:
                sys.exit(f"key {keys} did not come back")
            longest = max(longest, time.monotonic() - began)
            keys += 1
            if keys == 1:
                print("typing", flush=True)
    print(f"keys {keys} longest {longest * 1000:.0f}")


{"listen": listen, "connect": connect}[sys.argv[1]](sys.argv[2])
