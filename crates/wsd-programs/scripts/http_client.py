"""Get and post a file again and again, over kept and over new connections. Arguments: port, file,
rounds. Prints how many bytes went, and keeps connections until standard input ends."""

import hashlib
import http.client
import pathlib
import sys
import threading

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
            if number % 4 == 0:
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
print(4 * 2 * len(content) * (rounds + (rounds + 3) // 4))
sys.stdin.read()
