"""Writes, reads back and compares; then measures. Prints one line of JSON."""
import hashlib
import http.client
import json
import random
import sys
import time
import urllib.request

PORT = int(sys.argv[1])
SECONDS = 2.0
keys = random.Random(1)
blobs = {f"/{n}": keys.randbytes(1 + n * 997) for n in range(200)}
connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=15)


def ask(method, path, body=None):
    connection.request(method, path, body)
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        sys.exit(f"{method} {path}: status {answer.status}")
    return data


def repeat(method, path, body=None):
    """Requests per second."""
    end = time.monotonic() + SECONDS
    start, count = time.monotonic(), 0
    while time.monotonic() < end:
        ask(method, path, body)
        count += 1
    return count / (time.monotonic() - start)


for path, blob in blobs.items():
    ask("PUT", path, blob)
digest, size = hashlib.sha256(), 0
for path, blob in blobs.items():
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=15) as answer:
        once = answer.read()
    if not once == ask("GET", path) == blob:
        sys.exit(f"{path}: what was read is not what was written")
    digest.update(once)
    size += len(once)

large = keys.randbytes(8 << 20)
ask("PUT", "/small", large[:1024])
requests = repeat("GET", "/small")
upload = repeat("PUT", "/large", large) * len(large) / 1e6
download = repeat("GET", "/large") * len(large) / 1e6
if ask("GET", "/large") != large:
    sys.exit("/large: what was read is not what was written")
print(json.dumps({
    "requests_per_s": requests,
    "download_mb_s": download,
    "upload_mb_s": upload,
    "data": f"{len(blobs)} files, {size} bytes, sha256 {digest.hexdigest()[:16]}",
}))
