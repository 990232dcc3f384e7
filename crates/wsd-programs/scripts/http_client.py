"""Get and post a file again and again, over kept and over new connections. Arguments: port, file,
rounds. Prints how many bytes went, and keeps connections until standard input ends."""

import hashlib
import http.client
import pathlib
import sys
import threading
import time

# After its first answers each kept connection pauses for so many seconds. After so many rounds there is a new one.
PAUSE, OFTEN = 1, 24

port, rounds = int(sys.argv[1]), int(sys.argv[3])
content = pathlib.Path(sys.argv[2]).read_bytes()
expected = hashlib.sha256(content).hexdigest().encode()
connections, failures = [], []


def ask(connection):
    connection.request("GET", "/" + pathlib.Path(sys.argv[2]).name)
    assert connection.getresponse().read() == content
    connection.request("POST", "/", content)
    assert connection.getresponse().read() == expected


def converse():
    try:
        kept = http.client.HTTPConnection("127.0.0.1", port)
        connections.append(kept)
        for number in range(rounds):
            ask(kept)
            if number == 0:
                # What the kernel carries shall be this, not what a busy machine makes of it.
                time.sleep(PAUSE)
            if number % OFTEN == 0:
                new = http.client.HTTPConnection("127.0.0.1", port)
                ask(new)
                new.close()
    except Exception as error:
        failures.append(repr(error))


threads = [threading.Thread(target=converse) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
print(4 * 2 * len(content) * (rounds + (rounds + OFTEN - 1) // OFTEN))
sys.stdin.read()
