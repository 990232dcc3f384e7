//! Python's standard library: an HTTP server with threads, an asyncio server with 500 connections.

use wsd_programs::{Expected, Program, RandomStream, Scene, three_ways, wait_listening};

fn http_server_and_client(scene: &Scene) {
    let port = scene.port();
    let file = scene.folder().join("content");
    std::fs::write(&file, RandomStream::new(3, 3_000_000).bytes()).expect("room for a file");
    let _server = scene.server(&Program::python(include_str!("../scripts/http_server.py")).arg(port));
    wait_listening(port);
    let watch = scene.watch(&[port]);
    let client =
        Program::python(include_str!("../scripts/http_client.py")).arg(port).arg(file.display()).arg(36);
    let mut client = scene.client(&client.piped());
    let payload = client.hear().parse().expect("a count");
    watch.settle();
    let seen = watch.stop();
    client.finish();
    scene.judge(&seen, &Expected { connections: 4, busy: 20_000_000, payload });
}

/// The server that comes with Python, as it is.
fn file_server(scene: &Scene) {
    let port = scene.port();
    let length: usize = 200_000_000;
    let content = RandomStream::new(u64::from(port), length as u64).bytes();
    std::fs::write(scene.folder().join("content"), &content).expect("room for a file");
    let server = Program::named("python3").args(["-u", "-m", "http.server", "--bind", "127.0.0.1"]).arg(port);
    let _server = scene.server(&server);
    wait_listening(port);
    let script = "import sys, urllib.request\n\
        answer = urllib.request.urlopen(f'http://127.0.0.1:{sys.argv[1]}/content')\n\
        while data := answer.read(1 << 18): sys.stdout.buffer.write(data)";
    let read = scene.client(&Program::python(script).arg(port)).finish();
    assert_eq!(read.len(), length);
    assert!(read == content, "the file differs");
}

fn hundreds_of_asyncio_connections(scene: &Scene) {
    let port = scene.port();
    let _server = scene.server(
        &Program::python(include_str!("../scripts/asyncio_server.py")).arg(scene.address()).arg(port),
    );
    wait_listening(port);
    let watch = scene.watch(&[port]);
    let connections = scene.amount(500, 200);
    let client = Program::python(include_str!("../scripts/asyncio_client.py")).arg(scene.address()).arg(port);
    let mut client = scene.client(&client.arg(connections).arg(80).piped());
    let payload = client.hear().parse().expect("a count");
    watch.settle();
    let seen = watch.stop();
    client.finish();
    scene.judge(&seen, &Expected { connections, busy: 200_000, payload });
}

three_ways!(http_server_and_client, file_server, hundreds_of_asyncio_connections);
