"""Talk over a connection, as often as each line that is read says; at the line `fork`, fork: parent and child talk over one of their own
each, until the next line. Arguments: address, port."""

import os
import select
import socket
import sys

MESSAGE = bytes(range(256)) * 16


def exchange(connection):
    connection.sendall(MESSAGE)
    left = len(MESSAGE)
    while left:
        left -= len(connection.recv(left))


def exchange_until(connection, readable):
    while not select.select([readable], [], [], 0)[0]:
        exchange(connection)


def own():
    return socket.create_connection((sys.argv[1], int(sys.argv[2])))


first = own()
while (line := sys.stdin.readline().strip()) != "fork":
    for _ in range(int(line)):
        exchange(first)
    print("exchanged", flush=True)
end, tell_end = os.pipe()
child = os.fork()
second = own()
if child == 0:
    exchange_until(second, end)
    os._exit(0)
print("forked", flush=True)
exchange_until(second, sys.stdin)
os.write(tell_end, b".")
_, status = os.waitpid(child, 0)
sys.exit(status)
