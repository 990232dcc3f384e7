//! redis: many clients, deep pipelines, values of all sizes.

use std::io::Write;
use std::time::Duration;
use wsd_programs::{Expected, Process, Program, RandomStream, Scene, sha256, three_ways, wait_listening};

/// A server without persistence.
fn redis(scene: &Scene) -> (Process, u16) {
    let port = scene.port();
    let server =
        Program::named("redis-server").args(["--save", "", "--appendonly", "no", "--protected-mode", "no"]);
    let server = server.arg("--bind").arg(scene.address()).arg("--dir").arg(scene.folder().display());
    let server = scene.server(&server.arg("--port").arg(port));
    wait_listening(port);
    (server, port)
}

fn client(scene: &Scene, name: &str, port: u16) -> Program {
    Program::named(name).arg("-h").arg(scene.address()).arg("-p").arg(port)
}

fn benchmark(scene: &Scene, port: u16, arguments: &str) -> Program {
    client(scene, "redis-benchmark", port).arg("--csv").args(arguments.split(' '))
}

/// How many requests: where data is to be promoted, enough that what goes by TCP before counts little.
fn requests(scene: &Scene, promoted: u64, otherwise: u64) -> u64 {
    if scene.promotes() { promoted } else { otherwise }
}

/// Each test of the benchmark must have got somewhere.
fn check_rates(printed: &str, tests: usize) {
    let rate = |line: &str| -> Option<f64> { line.split(',').nth(1)?.trim_matches('"').parse().ok() };
    let rates: Vec<f64> = printed.lines().filter_map(rate).collect();
    assert!(rates.len() == tests && rates.iter().all(|rate| *rate > 0.0), "{printed}");
    assert!(!printed.contains("Error"), "{printed}");
}

fn many_clients(scene: &Scene) {
    let (_server, port) = redis(scene);
    let watch = scene.watch(&[port]);
    let (clients, requests) = (50, scene.amount(requests(scene, 180_000, 60_000), 16_000));
    let arguments = format!("-t get,set,mset -c {clients} -n {requests} -d 1000");
    let printed = scene.client(&benchmark(scene, port, &arguments)).finish_text();
    check_rates(&printed, 3);
    // SET and GET carry one value each, MSET carries ten.
    let payload = requests * 1000 * 12;
    let seen = watch.stop();
    scene.judge(&seen, &Expected { connections: clients, busy: payload / clients as u64 / 30, payload });
}

fn long_answers(scene: &Scene) {
    let (_server, port) = redis(scene);
    let watch = scene.watch(&[port]);
    let requests = requests(scene, 32_000, 8000);
    let arguments = format!("-t lrange -c 50 -n {requests} -d 100");
    let printed = scene.client(&benchmark(scene, port, &arguments)).finish_text();
    // The benchmark fills the list first, then asks for 100, 300, 500 and 600 elements.
    check_rates(&printed, 5);
    let payload = requests * 100 * (100 + 300 + 500 + 600);
    let seen = watch.stop();
    scene.judge(&seen, &Expected { connections: 50, busy: 1_000_000, payload });
}

fn two_hundred_clients_with_pipelines(scene: &Scene) {
    let (_server, port) = redis(scene);
    let watch = scene.watch(&[port]);
    let requests = requests(scene, 4_000_000, 300_000);
    let arguments = format!("-t get,set -P 16 -c 200 -d 200 -n {requests}");
    let printed = scene.client(&benchmark(scene, port, &arguments)).finish_text();
    check_rates(&printed, 2);
    let payload = requests * 200 * 2;
    let seen = watch.stop();
    scene.judge(&seen, &Expected { connections: 100, busy: 200_000, payload });
}

fn values_are_read_back(scene: &Scene) {
    let (_server, port) = redis(scene);
    let cli = client(scene, "redis-cli", port);

    let big = RandomStream::new(u64::from(port), 20_000_000).bytes();
    let file = scene.folder().join("big");
    std::fs::write(&file, &big).expect("room for a file");
    let stored = scene.client(&cli.clone().args(["-x", "set", "big"]).reading(&file)).finish_text();
    assert_eq!(stored.trim(), "OK");
    let mut read = scene.client(&cli.clone().args(["--raw", "get", "big"])).finish();
    assert_eq!(read.pop(), Some(b'\n'));
    assert_eq!(sha256(&read), sha256(&big));

    let count: usize = 3000;
    let mut session = scene.client(&cli.clone().piped());
    let mut commands = session.take_input();
    for number in 0..count {
        writeln!(commands, "set key:{number} {}", value(number)).expect("the client reads");
    }
    drop(commands);
    assert_eq!(session.finish_text(), "OK\n".repeat(count));
    let mut session = scene.client(&cli.piped());
    let mut commands = session.take_input();
    for number in 0..count {
        writeln!(commands, "get key:{number}").expect("the client reads");
    }
    drop(commands);
    let expected: String = (0..count).map(|number| value(number) + "\n").collect();
    assert!(session.finish_text() == expected, "values differ");
}

fn value(number: usize) -> String {
    format!("value-{number}-").repeat(number % 40 + 1)
}

/// A client that is killed in the midst of its work harms no other.
fn killed_client_harms_nobody(scene: &Scene) {
    let (_server, port) = redis(scene);
    let endless = scene.client(&benchmark(scene, port, "-t get,set -c 20 -l"));
    std::thread::sleep(Duration::from_millis(700));
    drop(endless);
    let printed = scene.client(&benchmark(scene, port, "-t get,set -c 20 -n 20000")).finish_text();
    check_rates(&printed, 2);
}

three_ways!(
    many_clients,
    long_answers,
    two_hundred_clients_with_pipelines,
    values_are_read_back,
    killed_client_harms_nobody,
);
