"""Both ends of a conversation. They ping each other until told to begin (by a line on the client's standard input), then
play one scene, and tell in one line of JSON what they saw."""
import array
import hashlib
import json
import os
import random
import select
import socket
import struct
import sys
import threading
import time

BLOCK = 64
ENDLESS = 1 << 62
# The peer has said everything, or the harness that it is enough.
OVER = threading.Event()


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


class Story:
    """Bytes that both ends can make: pieces of all sizes up to `largest`."""

    def __init__(self, seed, total, largest):
        self.random = random.Random(seed)
        self.source = random.Random(seed + 1).randbytes(1 << 20)
        self.left, self.largest = total, largest
        self.hash = hashlib.sha256()

    def piece(self):
        size = min(self.left, self.random.choice([1, 100, 5000, self.largest]), len(self.source))
        start = self.random.randrange(len(self.source) - size + 1)
        self.left -= size
        piece = self.source[start:start + size]
        self.hash.update(piece)
        return piece


def send_story(connection, story, pause=None):
    """All of it, or until `pause` says that it is enough."""
    sent = 0
    while story.left:
        piece = story.piece()
        connection.sendall(piece)
        sent += len(piece)
        if pause and pause(sent):
            break
    return story.hash.hexdigest()


def read_all(connection, most=1 << 17, slowly=0.0, until=None):
    """Until the end of the stream, so many bytes, or an error."""
    seen, count = hashlib.sha256(), 0
    try:
        while True:
            data = b"" if count == until else connection.recv(most)
            if not data:
                return {"received": seen.hexdigest(), "count": count, "error": None}
            seen.update(data)
            count += len(data)
            if slowly:
                time.sleep(slowly)
    except OSError as error:
        return {"received": seen.hexdigest(), "count": count, "error": error.strerror}


def both(connection, me, scene, pause=None):
    """Two streams at a time, one in each direction."""
    story = Story(me, scene["total"], scene["largest"])
    result = {}

    def reader():
        result.update(read_all(connection, until=scene["total"] if scene.get("hold") else None))
        OVER.set()

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        result["sent"] = send_story(connection, story, pause)
        if not scene.get("hold"):
            connection.shutdown(socket.SHUT_WR)
    except OSError as error:
        result["send_error"] = error.strerror
    thread.join()
    return result


def half(connection, me, scene):
    """One direction after the other."""
    story = Story(me, scene["total"], scene["largest"])
    if me == 1:
        sent = send_story(connection, story)
        connection.shutdown(socket.SHUT_WR)
        return {"sent": sent, **read_all(connection)}
    result = read_all(connection)
    result["sent"] = send_story(connection, story)
    connection.close()
    return result


def burst(connection, me, scene):
    """The client writes, closes and is gone while the server sleeps."""
    if me == 1:
        sent = send_story(connection, Story(me, scene["total"], scene["largest"]))
        if scene.get("exit"):
            print(json.dumps({"sent": sent}), flush=True)
            os._exit(0)
        connection.close()
        return {"sent": sent}
    time.sleep(scene.get("sleep", 1.5))
    return read_all(connection, 40000, 0.002)


def backlog(connection, me, scene):
    """The writer writes as much as TCP takes, and the other one reads slowly."""
    if me == scene["writer"]:
        sent = send_story(connection, Story(me, scene["total"], scene["largest"]))
        if scene.get("exit"):
            print(json.dumps({"sent": sent}), flush=True)
            os._exit(0)
        connection.shutdown(socket.SHUT_WR)
        return {"sent": sent, **read_all(connection)}
    result = read_all(connection, 1 << 16, 0.01)
    connection.shutdown(socket.SHUT_WR)
    return {"sent": hashlib.sha256().hexdigest(), **result}


def begin(connection):
    """Tells of the first 1000 bytes when they are there."""
    print(json.dumps(read_all(connection, until=1000)), flush=True)


def die(connection, me, scene):
    """The harness kills the client when its bytes are there."""
    if me == 1:
        connection.sendall(b"x" * 1000)
        time.sleep(60)
    begin(connection)
    return read_all(connection)


def linger(connection, me, scene):
    """The client closes with SO_LINGER 0 when its bytes are there."""
    if me == 1:
        connection.sendall(b"x" * 1000)
        exactly(connection, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        return {}
    begin(connection)
    connection.sendall(b"!")
    return read_all(connection)


def leave(connection, me, scene):
    """As `both`, and in the middle the connection has to go back to TCP."""
    done = []
    ours, theirs = socket.socketpair()

    def pause(sent):
        if me == scene["leaver"] and not done and sent > scene["total"] // 2:
            done.append(True)
            time.sleep(scene["pause"])
            handle = array.array("i", [connection.fileno()])
            ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handle)])

    return both(connection, me, scene, pause)


def paced(connection, me, scene):
    """As `both`, with a rest after every piece, so that the streams last."""
    return both(connection, me, scene, lambda sent: time.sleep(scene["rest"]))


def unended(connection, me, scene):
    """As `paced`, until the client is told a line, and a little longer."""

    def listener():
        sys.stdin.readline()
        OVER.set()

    if me == 1:
        threading.Thread(target=listener, daemon=True).start()
    after = 20

    def pause(sent):
        nonlocal after
        time.sleep(scene["rest"])
        after -= OVER.is_set()
        return not after

    return both(connection, me, {**scene, "total": ENDLESS}, pause)


def urgent(connection, me, scene):
    """A byte out of line."""
    if me == 1:
        connection.sendall(b"before")
        connection.send(b"!", socket.MSG_OOB)
        connection.sendall(b"after")
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)
    select.select([], [], [connection], 20)
    mark = connection.recv(1, socket.MSG_OOB)
    text = b""
    while True:
        data = connection.recv(100)
        if not data:
            break
        text += data
    connection.close()
    return {"urgent": mark.decode(), "text": text.decode()}


def sets(connection, me, scene):
    """As `both`, by one thread that waits in epoll."""
    story = Story(me, scene["total"], scene["largest"])
    connection.setblocking(False)
    poll = select.epoll()
    poll.register(connection, select.EPOLLIN | select.EPOLLOUT)
    seen, count, rest, ended = hashlib.sha256(), 0, b"", False
    writing = True
    while writing or not ended:
        for _, events in poll.poll(30):
            if events & select.EPOLLIN:
                try:
                    data = connection.recv(1 << 16)
                except BlockingIOError:
                    continue
                ended = not data
                seen.update(data)
                count += len(data)
            if events & select.EPOLLOUT and writing:
                rest = rest or (story.piece() if story.left else b"")
                if rest:
                    try:
                        rest = rest[connection.send(rest):]
                    except BlockingIOError:
                        pass
                if not rest and not story.left:
                    writing = False
                    connection.shutdown(socket.SHUT_WR)
                    poll.modify(connection, select.EPOLLIN)
        if ended and not writing:
            break
    return {"sent": story.hash.hexdigest(), "received": seen.hexdigest(), "count": count, "error": None}


def play(connection, me, scene):
    result = globals()[scene["scene"]](connection, me, scene)
    print(json.dumps(result), flush=True)
    if scene.get("stay"):
        connection.close()
    if scene.get("hold") or scene.get("stay"):
        # With the connection open, or closed, until the harness has looked.
        while sys.stdin.readline().strip() != "end":
            pass


def server():
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    connection, _ = listener.accept()
    while True:
        block = exactly(connection, BLOCK)
        if block[:1] == b"G":
            scene = json.loads(exactly(connection, int(block[1:])))
            break
        connection.sendall(block)
    connection.sendall(b"R")
    if scene.get("stay"):
        listener.close()
    play(connection, 0, scene)


def client(port):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    told = []

    def listen():
        told.append(sys.stdin.readline())

    threading.Thread(target=listen, daemon=True).start()
    while not told:
        connection.sendall(b"P" * BLOCK)
        exactly(connection, BLOCK)
        time.sleep(0.002)
    scene = told[0].encode()
    connection.sendall(b"G" + str(len(scene)).encode().ljust(BLOCK - 1) + scene)
    exactly(connection, 1)
    play(connection, 1, json.loads(scene))


if sys.argv[1] == "server":
    server()
else:
    client(int(sys.argv[2]))
