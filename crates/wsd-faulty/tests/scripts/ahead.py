"""The client writes what it can, from the beginning; the server reads next to nothing of it, and more when it is told."""
import hashlib
import json
import select
import socket
import sys

TOTAL = 24 << 20


def server():
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    connection, _ = listener.accept()
    seen = hashlib.sha256()
    read = 0

    def take(most, until):
        nonlocal read
        while read < until:
            data = connection.recv(min(most, until - read))
            if not data:
                break
            seen.update(data)
            read += len(data)

    while not select.select([sys.stdin], [], [], 0.005)[0]:
        take(10, read + 10)
    sys.stdin.readline()
    take(1000, TOTAL // 3)
    sys.stdin.readline()
    take(1 << 17, TOTAL)
    print(json.dumps({"received": seen.hexdigest()}), flush=True)


def client(port):
    connection = socket.create_connection(("127.0.0.1", port))
    sent = hashlib.sha256()
    for number in range(TOTAL >> 14):
        piece = number.to_bytes(8, "big") * (1 << 11)
        connection.sendall(piece)
        sent.update(piece)
    print(json.dumps({"sent": sent.hexdigest()}), flush=True)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1)


if sys.argv[1] == "server":
    server()
else:
    client(int(sys.argv[2]))
