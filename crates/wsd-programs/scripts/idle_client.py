"""Open connections, and exchange messages over all of them for every line read. Arguments: port, connections."""

import socket
import sys

connections = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(int(sys.argv[2]))]
message = bytes(range(256)) * 16
for line in sys.stdin:
    for connection in connections * int(line):
        connection.sendall(message)
        left = len(message)
        while left:
            left -= len(connection.recv(left))
    print("exchanged")
