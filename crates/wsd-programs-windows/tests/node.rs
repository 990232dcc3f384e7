//! Unmodified programs of others: node as server and client, aria2 as client. The same with and without the switch.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wsd_programs_windows::{Program, Running, Under, await_ends, ends, told};

/// For a gigabyte on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(400);
const CONNECTIONS: usize = 200;

/// For all connections of a program to be promoted: hundreds that begin at a time take seconds, on a machine that does nothing else.
const PROMOTION: Duration = Duration::from_secs(60);

/// What may keep some of hundreds on TCP: of a busy machine's companions some meet too late, again and again.
const EXCUSE: &str = "PeerWithoutCompanion";

/// The programs go on until there is this file in their folder.
const ENOUGH: &str = "enough";

/// The folder with the programs.
const PROGRAMS: &str = "WSD_WINDOWS_PROGRAMS";

/// How many megabytes go over the connections: fewer for a quick run.
const MEGABYTES: &str = "WSD_WINDOWS_MEGABYTES";

fn program(under: Under, name: &str) -> Program {
    Program::new(under, PathBuf::from(told(PROGRAMS)).join(name))
}

fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node").join(name).display().to_string()
}

fn megabytes(default: u64) -> u64 {
    let told = std::env::var(MEGABYTES).ok().map(|told| told.parse().expect("a number of megabytes"));
    told.map_or(default, |told: u64| told.min(default))
}

/// A server with a file of that length, and its port.
fn serve(node: &Program, length: u64) -> (Running, String) {
    let mut server = node.start("server", &[&script("server.js"), &length.to_string(), ENOUGH]);
    let port = server.line("PORT ", LIMIT);
    let port = port.unwrap_or_else(|| panic!("no server: {}", server.said()));
    (server, port)
}

/// Under the switch, the programs go on until all ends of their connections are promoted, or excused.
fn let_go(node: &Program, port: &str, connections: usize) -> Result<(), String> {
    let seen = if node.is_switched() { await_ends(port, 2 * connections, PROMOTION) } else { Ok(()) };
    let seen = seen.or_else(|problem| excused(port, 2 * connections).map_err(|()| problem));
    std::fs::write(node.folder().join(ENOUGH), "").expect("the folder is there");
    seen
}

/// All ends are there, three quarters of them are promoted, and all others have the one excuse.
fn excused(port: &str, count: usize) -> Result<(), ()> {
    let seen = ends(port);
    let promoted = seen.iter().filter(|end| end.is_promoted()).count();
    let others = seen.iter().filter(|end| !end.is_promoted());
    let reasons: BTreeSet<&str> = others.filter_map(|end| end.reason.as_deref()).collect();
    println!("{promoted} of {} ends promoted; the others: {reasons:?}", seen.len());
    let is_excused = reasons.into_iter().all(|reason| reason == EXCUSE);
    let enough = promoted >= count * 3 / 4;
    if seen.len() == count && enough && is_excused { Ok(()) } else { Err(()) }
}

/// SW-002, SW-110: the bytes are the same, whichever way they take, and while they change it.
fn many_connections(under: Under) {
    let node = program(under, "node.exe");
    let (mut server, port) = serve(&node, 0);
    // Every 16th part goes both ways.
    let wanted = megabytes(1024) * 16 / 17;
    let begin = Instant::now();
    let client = [&script("client.js"), &port, &CONNECTIONS.to_string(), &wanted.to_string(), ENOUGH];
    let mut client = node.start("client", &client);
    assert!(client.line("TRANSFERRED ", LIMIT).is_some(), "{}", client.said());
    println!("{wanted} MiB over {CONNECTIONS} connections in {:.1} s", begin.elapsed().as_secs_f64());
    let promoted = let_go(&node, &port, CONNECTIONS);
    let ended = client.end(LIMIT);
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}: {}", client.said());
    let parts: u64 = client.line("PARTS ", LIMIT).expect("said at the end").parse().expect("a number");
    assert!(parts >= wanted, "{parts} of {wanted}");
    let bytes = (parts + parts.div_ceil(16)) << 20;
    assert_eq!(client.line("BYTES ", LIMIT), Some(bytes.to_string()));
    let served = server.line("SERVED ", LIMIT);
    assert_eq!(served, Some(CONNECTIONS.to_string()), "{}", server.said());
    assert_eq!(promoted, Ok(()), "when {parts} parts had been transferred");
}

/// As above, with a client that knows nothing of the test.
fn download(under: Under) {
    let (node, aria2) = (program(under, "node.exe"), program(under, "aria2c.exe"));
    let length = megabytes(100) * 1_000_000;
    let (mut server, port) = serve(&node, length);
    let hash = server.line("SHA256 ", LIMIT).expect("said before the port");
    let begin = Instant::now();
    let url = format!("http://127.0.0.1:{port}/file");
    let checksum = format!("--checksum=sha-256={hash}");
    let options =
        ["--no-conf", "--async-dns=false", "--file-allocation=none", "--summary-interval=0", "-x4", "-s4"];
    let arguments = [&options[..], &[&checksum, "--out=file", &url]].concat();
    let mut client = aria2.start("client", &arguments);
    let promoted = let_go(&node, &port, 4);
    let ended = client.end(LIMIT);
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}: {}", client.said());
    let file = aria2.folder().join("file");
    assert_eq!(std::fs::metadata(&file).expect("the file").len(), length);
    let summed = std::process::Command::new("sha256sum").arg(&file).output().expect("coreutils");
    assert!(String::from_utf8_lossy(&summed.stdout).starts_with(&hash), "{hash}");
    println!("{length} bytes by aria2 in {:.1} s", begin.elapsed().as_secs_f64());
    assert_eq!(promoted, Ok(()), "in the middle of the download");
}

#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn many_connections_of_node() {
    many_connections(Under::Winsock);
}

#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn many_connections_of_node_under_the_switch() {
    many_connections(Under::Switch);
}

#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn aria2_downloads_from_node() {
    download(Under::Winsock);
}

#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn aria2_downloads_from_node_under_the_switch() {
    download(Under::Switch);
}
