"""A client that asks and a server that answers, never at the same time. The client writes at once, and waits until it may write only
when it could not. Arguments: server | client PORT. The client plays the scene of a line on its standard input: `epoll` and `poll` are
how it waits, until the next line comes; `crowd` is as `poll`, while other threads wait for the same connection without end;
`close` is to say what needs no answer, and to close as soon as it would have to wait."""
import errno
import json
import os
import select
import socket
import sys
import threading

SILENCE = b"\xff"
QUESTION = bytes(range(255)) * 4


class Epoll:
    """Waits by a set in which the connection stays."""

    def __init__(self, connection):
        self.set = select.epoll()
        self.set.register(connection, select.EPOLLIN)
        self.connection = connection

    def writable(self):
        self.set.modify(self.connection, select.EPOLLIN | select.EPOLLOUT)
        self.set.poll()
        self.set.modify(self.connection, select.EPOLLIN)

    def readable(self):
        self.set.poll()


class Poll:
    """Waits by poll(2)."""

    def __init__(self, connection):
        self.connection = connection

    def wait(self, events):
        poll = select.poll()
        poll.register(self.connection, events)
        poll.poll()

    def writable(self):
        self.wait(select.POLLOUT)

    def readable(self):
        self.wait(select.POLLIN)


class Crowd(Poll):
    """With threads that poll, without a limit, all the time."""

    def __init__(self, connection):
        super().__init__(connection)
        self.empty, self.over = 0, False
        self.threads = [threading.Thread(target=self.watch) for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def watch(self):
        poll = select.poll()
        poll.register(self.connection, select.POLLOUT)
        while not self.over:
            self.empty += not poll.poll()

    def end(self):
        self.over = True
        for thread in self.threads:
            thread.join()
        return self.empty


class Held(Exception):
    """The connection takes nothing."""


class Close(Epoll):
    """Does not wait to write."""

    def writable(self):
        raise Held


def say(connection, waits, left):
    while left:
        try:
            left = left[connection.send(left):]
        except BlockingIOError:
            waits.writable()


def ask(connection, waits):
    if isinstance(waits, Close):
        say(connection, waits, SILENCE * len(QUESTION))
        return
    say(connection, waits, QUESTION)
    count = 0
    while count < len(QUESTION):
        waits.readable()
        try:
            data = connection.recv(len(QUESTION) - count)
        except BlockingIOError:
            continue
        if not data:
            raise EOFError
        count += len(data)


def client(port):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setblocking(False)
    waits = {"epoll": Epoll, "poll": Poll, "crowd": Crowd, "close": Close}[sys.stdin.readline().strip()](connection)
    rounds = 0
    try:
        while not select.select([sys.stdin], [], [], 0.002)[0]:
            ask(connection, waits)
            rounds += 1
        held = False
    except Held:
        held = True
    empty = waits.end() if isinstance(waits, Crowd) else 0
    connection.close()
    print(json.dumps({"rounds": rounds, "held": held, "empty": empty}), flush=True)
    # The process stays until the harness has looked.
    sys.stdin.readline()


def server():
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    connection, _ = listener.accept()
    error = None
    try:
        while data := connection.recv(1 << 16):
            if answer := data.replace(SILENCE, b""):
                connection.sendall(answer)
    except OSError as failure:
        error = errno.errorcode[failure.errno]
    print(json.dumps({"error": error}), flush=True)
    os._exit(0)


if sys.argv[1] == "server":
    server()
else:
    client(int(sys.argv[2]))
