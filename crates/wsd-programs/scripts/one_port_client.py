"""Connect to servers from one port; exchange_for_lines.py follows. Arguments: the servers' ports."""

import socket
import sys

connections = []
for port in sys.argv[1:]:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.bind(connections[0].getsockname() if connections else ("127.0.0.1", 0))
    connection.connect(("127.0.0.1", int(port)))
    connections.append(connection)
print("connected", flush=True)
