"""One end of a connection whose socket has an option that a provider may get (SO_DEBUG, set before there is a connection). The
ends exchange bytes until a line comes on standard input."""
import json
import socket
import sys
import threading
import time

BLOCK = 64


def debugged():
    made = socket.socket()
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_DEBUG, 1)
    except PermissionError:
        print(json.dumps({"allowed": False}), flush=True)
        sys.exit()
    return made


def exchange(connection, me):
    told = []
    threading.Thread(target=lambda: told.append(sys.stdin.readline()), daemon=True).start()
    try:
        while not told:
            if me:
                connection.sendall(b"x" * BLOCK)
                time.sleep(0.002)
            if not connection.recv(BLOCK, socket.MSG_WAITALL):
                break
            if not me:
                connection.sendall(b"x" * BLOCK)
    except OSError:
        # The other end was told first, and is gone.
        pass
    while not told:
        time.sleep(0.01)
    connection.close()


made = debugged()
if sys.argv[1] == "server":
    made.bind(("127.0.0.1", 0))
    made.listen()
    print(json.dumps({"allowed": True, "port": made.getsockname()[1]}), flush=True)
    exchange(made.accept()[0], 0)
else:
    made.connect(("127.0.0.1", int(sys.argv[2])))
    exchange(made, 1)
