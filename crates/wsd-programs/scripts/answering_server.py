"""Send as many bytes as each connection asks for, never blocking: what does not fit waits until the connection is reported
writable. Arguments: port, how to wait (level, edge, poll, select)."""

import select
import selectors
import socket
import sys

BLOCK = bytes(range(256)) * 1024


class Edge:
    """An edge-triggered epoll set, as far as selectors' interface is used here."""

    def __init__(self):
        self.set, self.keys = select.epoll(), {}

    def register(self, connection, events, data=None):
        edge = select.EPOLLET if data else 0
        mask = select.EPOLLIN | (select.EPOLLOUT if data else 0)
        self.keys[connection.fileno()] = selectors.SelectorKey(connection, connection.fileno(), events, data)
        self.set.register(connection, mask | edge)

    def modify(self, connection, events, data):
        self.keys[connection.fileno()] = selectors.SelectorKey(connection, connection.fileno(), events, data)

    def unregister(self, connection):
        self.set.unregister(connection)
        del self.keys[connection.fileno()]

    def select(self):
        return [(self.keys[number], events) for number, events in self.set.poll() if number in self.keys]


class Answer:
    def __init__(self):
        self.asked, self.sent, self.total = b"", 0, 0

    def listen(self, connection):
        """False at the end of the connection."""
        try:
            while len(self.asked) < 8:
                more = connection.recv(8 - len(self.asked))
                if not more:
                    return False
                self.asked += more
            self.total = int(self.asked)
            return connection.recv(1) != b""
        except BlockingIOError:
            return True

    def send(self, connection):
        try:
            while self.sent < self.total:
                start = self.sent % 256
                self.sent += connection.send(memoryview(BLOCK)[start:start + self.total - self.sent])
        except BlockingIOError:
            pass


def answer(selector, key):
    try:
        alive = key.data.listen(key.fileobj)
        key.data.send(key.fileobj)
    except ConnectionError:
        alive = False
    if not alive:
        selector.unregister(key.fileobj)
        key.fileobj.close()
        return
    waits = key.data.sent < key.data.total
    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if waits else 0)
    if events != key.events:
        selector.modify(key.fileobj, events, key.data)


def main():
    kinds = {"level": selectors.EpollSelector, "edge": Edge, "poll": selectors.PollSelector,
             "select": selectors.SelectSelector}
    selector = kinds[sys.argv[2]]()
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ, Answer())
            else:
                answer(selector, key)


main()
