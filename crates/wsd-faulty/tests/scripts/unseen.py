"""The server echoes, but for what it discards without looking at it. The client sends a file, or what is discarded, then goes on
with pings."""
import json
import os
import socket
import sys
import tempfile
import threading
import time


def exactly(connection, count, flags=0):
    while count:
        count -= len(connection.recv(count, flags))


def server():
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    connection, _ = listener.accept()
    if connection.recv(1, socket.MSG_PEEK) == b"d":
        exactly(connection, 40, socket.MSG_TRUNC)
    while data := connection.recv(1000):
        connection.sendall(data)


def client(port):
    way = sys.stdin.readline().strip()
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if way == "sendfile":
        with tempfile.TemporaryFile() as file:
            file.write(b"0123456789" * 50)
            file.flush()
            assert os.sendfile(connection.fileno(), file.fileno(), 0, 500) == 500
        exactly(connection, 500)
    else:
        connection.sendall(b"d" * 40)
    told = []
    threading.Thread(target=lambda: told.append(sys.stdin.readline()), daemon=True).start()
    while not told:
        connection.sendall(b"P" * 64)
        exactly(connection, 64)
        time.sleep(0.002)


if sys.argv[1] == "server":
    server()
else:
    client(int(sys.argv[2]))
