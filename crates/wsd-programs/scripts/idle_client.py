"""Open connections; exchange_for_lines.py follows. Arguments: port, connections."""

import socket
import sys

connections = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(int(sys.argv[2]))]
