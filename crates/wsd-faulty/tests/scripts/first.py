"""A connection's beginning between two getppid(): connect or accept, and one round trip. Then enough traffic for a companion."""
import gc
import json
import os
import socket
import sys

REQUEST = b"a request that is longer than sixteen bytes"


def beginning(begin):
    gc.disable()
    os.getppid()
    connection = begin()
    os.getppid()
    return connection


def serve(listener):
    connection, _ = listener.accept()
    connection.sendall(connection.recv(1000))
    return connection


def ask(connection, address):
    connection.connect(address)
    connection.sendall(REQUEST)
    connection.recv(1000)
    return connection


def go_on(connection, asks):
    for _ in range(40):
        if asks:
            connection.sendall(REQUEST)
        data = connection.recv(1000)
        if not asks:
            connection.sendall(data)


if sys.argv[1] == "server":
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    go_on(beginning(lambda: serve(listener)), False)
else:
    socket_ = socket.socket()
    go_on(beginning(lambda: ask(socket_, ("127.0.0.1", int(sys.argv[2])))), True)
