"""Ask for answers of different lengths, each on a connection of its own, a few at a time, and compare them. A pause after the
first bytes fills the connection while it is being promoted. Arguments: port, connections."""

import socket
import sys
import threading
import time

EXPECTED = bytes(range(256)) * 65536
PAUSE_AFTER = 40_000
failures = []


def ask(number):
    total = 8_000_000 + number * 7919 % 4_000_000
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
        connection.sendall(b"%8d" % total)
        got, paused = bytearray(), False
        while len(got) < total:
            if len(got) > PAUSE_AFTER and not paused:
                paused = True
                time.sleep(0.001 * (number % 10))
            more = connection.recv(1 << 12 if not paused else 1 << 16)
            assert more, f"the answer ends after {len(got)} of {total} bytes"
            got += more
        assert got == EXPECTED[:total], "the answer differs"


def ask_all(first):
    try:
        for number in range(first, int(sys.argv[2]), 4):
            ask(number)
    except Exception as error:
        failures.append(repr(error))


threads = [threading.Thread(target=ask_all, args=(first,)) for first in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
print("all answered")
