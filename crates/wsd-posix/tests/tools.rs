//! Programs that everybody has do the same under the library.

mod support;

use std::process::Command;
use std::time::Duration;

use support::{difference, run};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs a program both ways and compares. Skipped, with a note, where the program is not installed.
fn same(program: &str, arguments: &[&str]) {
    let known = Command::new("sh").args(["-c", "command -v \"$0\" >/dev/null", program]).status();
    if !known.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no {program} here");
        return;
    }
    let [without, with] = [false, true].map(|under| run(Command::new(program).args(arguments), under, LIMIT));
    assert!(without.success, "{program} fails without the library:\n{}", without.output);
    if let Some(difference) = difference(&without, &with) {
        panic!("the library changed {program}:\n{difference}");
    }
}

#[test]
fn ls_lists() {
    same("ls", &["-lR", "/etc", "/usr/share/doc"]);
}

#[test]
fn shells_pipe_and_redirect() {
    let script = "set -e; echo one | tr a-z A-Z; (exec 5>&1; echo two >&5); x=$(echo three); echo $x; \
                  for i in 1 2 3; do (echo $i; exit $i) || true; done; cat <(echo four) | wc -l; \
                  exec 3</dev/null; read -r line <&3 || echo end; trap 'echo bye' EXIT; sleep 0.05 & wait";
    same("bash", &["-c", script]);
}

#[test]
fn shells_speak_tcp() {
    // A shell has connections on descriptors of its choice, and gives them to its children.
    let script = r"
import os, socket, subprocess, threading
listener = socket.create_server(('127.0.0.1', 0))
def serve():
    for _ in range(2):
        connection = listener.accept()[0]
        with connection, connection.makefile('rwb') as stream:
            for line in stream:
                stream.write(line.upper()); stream.flush()
threading.Thread(target=serve, daemon=True).start()
port = listener.getsockname()[1]
script = 'exec 5<>/dev/tcp/127.0.0.1/%d; for i in $(seq 50); do echo line $i >&5; read -r answer <&5; echo $answer; done; ' \
         'echo from a child | cat >&5; head -n 1 <&5; exec 5>&-' % port
for _ in range(2):
    print(subprocess.run(['bash', '-c', script], capture_output=True, text=True).stdout, flush=True)
";
    same("python3", &["-c", script]);
}

#[test]
fn web_server_in_one_process() {
    let script = r"
import hashlib, http.server, threading, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = bytes(i * 7 % 251 for i in range(int(self.path[1:])))
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
for size in [0, 1, 10, 1000, 100000, 1000000] * 3:
    with urllib.request.urlopen('http://127.0.0.1:%d/%d' % (server.server_port, size)) as answer:
        body = answer.read()
        print(size, len(body), hashlib.sha256(body).hexdigest())
import http.client
connection = http.client.HTTPConnection('127.0.0.1', server.server_port)
for size in range(60):
    connection.request('GET', '/%d' % (size * 100))
    print(hashlib.sha256(connection.getresponse().read()).hexdigest())
server.shutdown()
";
    same("python3", &["-c", script]);
}

#[test]
fn web_server_and_client_are_processes() {
    let script = r"
import hashlib, os, re, subprocess, sys, tempfile, urllib.request
folder = tempfile.mkdtemp()
with open(folder + '/file', 'wb') as file:
    file.write(bytes(i * 13 % 241 for i in range(700000)))
server = subprocess.Popen([sys.executable, '-u', '-m', 'http.server', '--bind', '127.0.0.1', '--directory', folder, '0'],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
port = int(re.search(r'port (\d+)', server.stdout.readline()).group(1))
url = 'http://127.0.0.1:%d/file' % port
for _ in range(5):
    print(hashlib.sha256(urllib.request.urlopen(url).read()).hexdigest())
print(subprocess.run(['sh', '-c', 'command -v curl >/dev/null && curl -s %s | sha256sum' % url], capture_output=True, text=True).stdout)
server.terminate()
server.wait()
";
    same("python3", &["-c", script]);
}

#[test]
fn event_loops_run() {
    let script = r"
import asyncio, hashlib
async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line[::-1])
        await writer.drain()
    writer.close()
async def talk(port, number):
    reader, writer = await asyncio.open_connection('127.0.0.1', port)
    digest = hashlib.sha256()
    for i in range(60):
        writer.write(b'%d %s\n' % (number, b'x' * (i * 37 % 2000)))
        digest.update(await reader.readuntil(b'%d' % number if number < 10 else b'%s' % str(number)[::-1].encode()))
    writer.close()
    await writer.wait_closed()
    return digest.hexdigest()
async def main():
    server = await asyncio.start_server(serve, '127.0.0.1', 0)
    port = server.sockets[0].getsockname()[1]
    for digest in await asyncio.gather(*(talk(port, number) for number in range(20))):
        print(digest)
    server.close()
asyncio.run(main())
";
    same("python3", &["-c", script]);
}
