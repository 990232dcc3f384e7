"""Store and read back values of all sizes over several connections. Arguments: port, rounds. Prints how
many bytes went, and keeps the connections until standard input ends."""

import random
import socket
import sys
import time

# After so many rounds there is a pause of so many seconds: what the kernel carries shall be this, not what a busy machine makes of it.
FIRST, PAUSE = 40, 1

port, rounds = int(sys.argv[1]), int(sys.argv[2])
source = random.Random(port)


class Cache:
    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def store(self, key, value):
        self.socket.sendall(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value))
        assert self.file.readline() == b"STORED\r\n"

    def read(self, key):
        self.socket.sendall(b"get %s\r\n" % key)
        head = self.file.readline().split()
        assert head[:2] == [b"VALUE", key], head
        value = self.file.read(int(head[3]))
        assert self.file.readline() == b"\r\n" and self.file.readline() == b"END\r\n"
        return value


caches = [Cache() for _ in range(8)]
carried = 0
for number in range(rounds):
    size = 500_000 if number % 10 == 0 else source.randrange(1, 5000)
    key, value = b"key-%d" % (number % 50), source.randbytes(size)
    # One connection stores, another one reads.
    caches[number % 8].store(key, value)
    assert caches[(number + 3) % 8].read(key) == value
    carried += 2 * size
    if number == FIRST:
        time.sleep(PAUSE)
print(carried)
sys.stdin.read()
