//! redis over the example provider in C: a third party's library that has the documented functions only.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use wsd_programs::{
    Expected, Program, RandomStream, Scene, Sides, assert_travelled_by, sha256, sha256_of, wait_listening,
};

/// Its own `Makefile` builds it.
fn build(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/provider-c");
    let mut make = Command::new("make");
    make.args(["-s", "-C"]).arg(source).arg(format!("OUT={}", folder.display()));
    assert!(make.status().expect("make is installed").success());
    folder.join("libprovider_c.so")
}

/// A server and clients that use that provider.
struct Redis {
    provider: PathBuf,
    port: u16,
    _server: wsd_programs::Process,
}

impl Redis {
    fn start(scene: &Scene) -> Self {
        let (provider, port) = (build(scene.folder()), scene.port());
        let server = Program::named("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(scene.folder().display())
            .arg("--port")
            .arg(port)
            .env("WSDIRECT_PROVIDER", &provider);
        let server = scene.server(&server);
        wait_listening(port);
        Self { provider, port, _server: server }
    }

    fn client(&self, name: &str, arguments: &str) -> Program {
        let client = Program::named(name).arg("-p").arg(self.port).args(arguments.split(' '));
        client.env("WSDIRECT_PROVIDER", &self.provider)
    }
}

/// SW-111, SW-113: small values, in messages.
#[test]
fn fifty_clients() {
    let scene = Scene::new(Sides::Both);
    let redis = Redis::start(&scene);
    let watch = scene.watch(&[redis.port]);
    let arguments = "--csv -t get,set,mset -c 50 -n 90000 -d 1000";
    let printed = scene.client(&redis.client("redis-benchmark", arguments)).finish_text();
    assert_eq!(printed.lines().count(), 4, "{printed}");
    let seen = watch.stop();
    // Not by another provider, which would serve these addresses too.
    assert_travelled_by(&seen, "provider_c");
    let payload = 90_000 * 1000 * 12;
    scene.judge(&seen, &Expected { connections: 50, busy: 500_000, payload });
}

/// SW 10.3: a large value, by RDMA writes, as there are no reads.
#[test]
fn large_value_is_read_back() {
    let scene = Scene::new(Sides::Both);
    let redis = Redis::start(&scene);
    let watch = scene.watch(&[redis.port]);
    let length: u64 = 100_000_000;
    let mut big = RandomStream::new(u64::from(redis.port), length).bytes();
    let file = scene.folder().join("big");
    std::fs::write(&file, &big).expect("room for a file");
    let stored = scene.client(&redis.client("redis-cli", "-x set big").reading(&file)).finish_text();
    assert_eq!(stored.trim(), "OK");
    let mut session = scene.client(&redis.client("redis-cli", "--raw").piped());
    scene.await_promotion(redis.port, 2, || assert_eq!(session.ask("ping"), "PONG"));
    session.tell("get big");
    // As redis-cli prints it.
    big.push(b'\n');
    let printed = length + 1;
    let mut output = session.take_output();
    let read = sha256_of(output.by_ref().take(printed)).expect("a pipe");
    watch.settle();
    let seen = watch.stop();
    session.finish();
    assert_eq!(read, (sha256(&big), printed));
    // Not by another provider, which would serve these addresses too.
    assert_travelled_by(&seen, "provider_c");
    let promoted = seen.connections.values().filter(|observed| observed.connection.is_promoted());
    let carried: u64 = promoted.map(|observed| observed.connection.san_bytes_received).sum();
    assert!(carried >= length, "{carried} bytes of {length}");
}
