"""Does what it is told on standard input: each line is Python. Prints the value of an expression, `None` for statements, and
the name of an error, one line each."""
import ctypes
import errno
import hashlib
import ipaddress
import os
import random
import select
import signal
import socket
import struct
import sys
import threading
import time

TCP = (socket.AF_INET, socket.SOCK_STREAM)
IP_FREEBIND = 15


def obey(line):
    try:
        try:
            code = compile(line, "<told>", "eval")
        except SyntaxError:
            exec(line, globals())
            return None
        return eval(code, globals())
    except OSError as error:
        return errno.errorcode.get(error.errno) or repr(error)


def pour(connection, seed, total):
    """Sends so many bytes in pieces of all sizes; their hash."""
    dice, seen = random.Random(seed), hashlib.sha256()
    source = random.Random(seed + 1).randbytes(1 << 20)
    while total:
        size = min(total, dice.choice([1, 100, 5000, 300_000]))
        start = dice.randrange(len(source) - size + 1)
        piece = source[start:start + size]
        seen.update(piece)
        connection.sendall(piece)
        total -= size
    return seen.hexdigest()


def drain(connection, total=None):
    """Reads so many bytes, or to the end; how many, and their hash."""
    count, seen = 0, hashlib.sha256()
    while count != total:
        data = connection.recv(1 << 17 if total is None else min(1 << 17, total - count))
        if not data:
            break
        count += len(data)
        seen.update(data)
    return f"{count} {seen.hexdigest()}"


def both(connection, seed, total):
    """Sends and reads so many bytes at a time; the hashes of what was sent and what came."""
    sent = []
    writer = threading.Thread(target=lambda: sent.append(pour(connection, seed, total)))
    writer.start()
    read = drain(connection, total)
    writer.join()
    return f"{total} {sent[0]}, {read}"


class Poll:
    """poll(2)."""

    def __init__(self, connection):
        self.connection, self.set = connection, select.poll()
        self.set.register(connection)

    def wait(self, write):
        self.set.modify(self.connection, select.POLLIN | (select.POLLOUT if write else 0))
        events = dict(self.set.poll(30_000)).get(self.connection.fileno(), 0)
        return events & ~select.POLLOUT, events & select.POLLOUT


class Epoll(Poll):
    """epoll(7), level-triggered."""
    MODE = 0

    def __init__(self, connection):
        self.connection, self.set, self.asked = connection, select.epoll(), select.EPOLLIN | self.MODE
        self.set.register(connection, self.asked)

    def wait(self, write):
        asked = self.MODE | select.EPOLLIN | (select.EPOLLOUT if write else 0)
        if asked != self.asked:
            self.set.modify(self.connection, asked)
            self.asked = asked
        events = dict(self.set.poll(30)).get(self.connection.fileno(), 0)
        return events & ~select.EPOLLOUT, events & select.EPOLLOUT


class EdgeEpoll(Epoll):
    """epoll(7), edge-triggered: the loop goes on until both calls say that they would wait."""
    MODE = select.EPOLLET


class Select:
    """select(2)."""

    def __init__(self, connection):
        self.connection = connection

    def wait(self, write):
        read, written, _ = select.select([self.connection], [self.connection] if write else [], [], 30)
        return read, written


def juggle(connection, seed, total, kind):
    """As `both`, by one thread that never waits in a call on the connection."""
    connection.setblocking(False)
    waiter, data = kind(connection), random.Random(seed).randbytes(total)
    sent, count, seen = 0, 0, hashlib.sha256()
    while sent < total or count < total:
        readable, writable = waiter.wait(sent < total)
        if not readable and not writable:
            return f"nothing in 30 seconds, {sent} sent, {count} read"
        try:
            while readable and count < total:
                piece = connection.recv(1 << 16)
                count += len(piece)
                seen.update(piece)
        except BlockingIOError:
            pass
        try:
            while (writable or kind is EdgeEpoll) and sent < total:
                sent += connection.send(data[sent:sent + 50_000])
        except BlockingIOError:
            pass
    connection.setblocking(True)
    return f"{total} {hashlib.sha256(data).hexdigest()}, {count} {seen.hexdigest()}"


def medley(connection, seed, total):
    """As `both`, by one thread that never waits in a call: a small send and a large one by turns, out of several buffers, and
    into several."""
    connection.setblocking(False)
    waiter, data = Poll(connection), random.Random(seed).randbytes(total)
    places = [bytearray(1), bytearray(999), bytearray(1 << 16)]
    sent, count, sizes, seen = 0, 0, 0, hashlib.sha256()
    while sent < total or count < total:
        readable, writable = waiter.wait(sent < total)
        if not readable and not writable:
            return f"nothing in 30 seconds, {sent} sent, {count} read"
        try:
            if readable and count < total:
                size = connection.recvmsg_into(places)[0]
                seen.update(b"".join(places)[:size])
                count += size
        except BlockingIOError:
            pass
        try:
            while writable and sent < total:
                piece = memoryview(data)[sent:sent + (20, 300_000)[sizes % 2]]
                sent += connection.sendmsg([piece[:1], piece[1:10], piece[10:5000], piece[5000:]])
                sizes += 1
        except BlockingIOError:
            pass
    connection.setblocking(True)
    return f"{total} {hashlib.sha256(data).hexdigest()}, {count} {seen.hexdigest()}"


def poll_once(connection, events, limit=30_000):
    """What one poll tells."""
    poll = select.poll()
    poll.register(connection, events)
    return poll.poll(limit)


def waiting(connection, events=select.EPOLLIN):
    """What one epoll_wait tells."""
    epoll = select.epoll()
    epoll.register(connection, events)
    return epoll.poll(30)


def drowned(connection):
    """Sends until there is an error."""
    while True:
        connection.send(b"x" * 65536)


def late(call):
    """Whether Python gave up the wait."""
    try:
        return call()
    except TimeoutError as error:
        return "late" if error.errno is None else errno.errorcode[error.errno]


def begin(connection, port):
    """A connect that goes on alone."""
    connection.setblocking(False)
    assert connection.connect_ex(("127.0.0.1", port)) == errno.EINPROGRESS


def accept4(listener, flags):
    """accept4(2), which Python calls with its own flags only."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.accept4(listener.fileno(), None, None, flags)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "accept4")
    return socket.socket(fileno=fd)


def accept_now(listener):
    """Accepts what waits; how many there were."""
    count, kept = 0, globals().setdefault("accepted", [])
    while poll_once(listener, select.POLLIN, 500):
        kept.append(listener.accept())
        count += 1
    return count


def ip(name):
    """The address in one form."""
    address = ipaddress.ip_address(name if isinstance(name, str) else name[0])
    return getattr(address, "ipv4_mapped", None) or address


def raise_at(number):
    """Lets a signal end the call that it interrupts."""
    def handler(*_):
        raise EOFError
    signal.signal(number, handler)


def seen(call):
    """The exception that a call ends with."""
    try:
        return call()
    except Exception as error:
        return repr(error)


def answer_all(listener):
    """Sends back a block to each client, a thread for each."""
    def answer(connection):
        with connection:
            while data := connection.recv(4096):
                connection.sendall(data)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=[connection], daemon=True).start()


def ask_all(port, threads, times):
    """So many threads connect so many times, ask, and close; how many answers were right."""
    right = []

    def ask():
        for number in range(times):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                block = random.randbytes(2000)
                connection.sendall(block)
                answer = connection.recv(2000, socket.MSG_WAITALL)
                right.append(answer == block)
    workers = [threading.Thread(target=ask) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(right)


def echo_all(sockets):
    """One thread, one set: accepts at each listener, and sends back what comes at every other socket. The names that it saw."""
    waiter, members, names = select.epoll(), {}, []

    def add(member):
        members[member.fileno()] = member
        waiter.register(member, select.EPOLLIN)
    for member in sockets:
        add(member)
    while members:
        for fd, _ in waiter.poll(30):
            member = members[fd]
            if member.type == socket.SOCK_DGRAM:
                member.sendto(*member.recvfrom(1 << 16))
            elif member.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                connection, name = member.accept()
                assert connection.getsockname() == member.getsockname() and connection.getpeername() == name
                names.append(name[:2])
                add(connection)
            elif data := member.recv(1 << 16):
                member.sendall(data)
            else:
                del members[fd]
                member.close()
                if len(members) == len(sockets):
                    return sorted(names)


def echoed(sockets, rounds):
    """Asks at all sockets at a time, and waits for all answers in one select; whether each was right."""
    for _ in range(rounds):
        blocks = {member: random.randbytes(random.choice([1, 1000, 9000])) for member in sockets}
        for member, block in blocks.items():
            member.sendall(block)
        while blocks:
            ready = select.select(list(blocks), [], [], 10)[0]
            if not ready:
                return "no answer in 10 seconds"
            for member in ready:
                data = member.recv(len(blocks[member]))
                if not data or not blocks[member].startswith(data):
                    return False
                blocks[member] = blocks[member][len(data):]
                if not blocks[member]:
                    del blocks[member]
    return True


def alone():
    """A network of this process's own, where it may change addresses."""
    new_network = 0x40000000
    if ctypes.CDLL(None, use_errno=True).unshare(new_network):
        raise OSError(ctypes.get_errno(), "unshare")


def hush():
    """From now on this thread may talk to the test, get memory and know the time; any other system call ends the process."""
    machine = os.uname().machine
    read, write, rest = {
        # exit_group, mmap, munmap, brk, mremap, madvise, clock_gettime
        "x86_64": (0, 1, [231, 9, 11, 12, 25, 28, 228]),
        "aarch64": (63, 64, [94, 222, 215, 214, 216, 233, 113]),
    }[machine]
    load, equal, less, end = 0x20, 0x15, 0x35, 0x06
    allow, kill = (end, 0, 0, 0x7FFF0000), (end, 0, 0, 0x80000000)
    # Field 0 of what the filter sees is the call's number, field 16 its first argument.
    code = [(load, 0, 0, 0)]
    for number in rest:
        code += [(equal, 0, 1, number), allow]
    code += [(equal, 1, 0, read), (equal, 0, 3, write), (load, 0, 0, 16), (less, 1, 0, 3), allow, kill]
    text = b"".join(struct.pack("HBBI", *step) for step in code)
    filter = ctypes.create_string_buffer(text, len(text))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(filter))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, by_filter = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, by_filter, program, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def ask_until_error(port):
    """As `ask_all`, one at a time, until the server is gone."""
    while True:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            for _ in range(10):
                connection.sendall(b"x" * 2000)
                if len(connection.recv(2000, socket.MSG_WAITALL)) != 2000:
                    return "end"


for line in sys.stdin:
    print(obey(line), flush=True)
