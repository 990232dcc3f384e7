//! The switch as a layered provider: a host in C plays Winsock, and another library the provider below. Wine loads no providers.
#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use wsd_programs_windows::{Program, Running, Under, await_ends, ends, told, windows_path};

/// Longer than the program itself waits for anything.
const LIMIT: Duration = Duration::from_secs(90);

/// For a connection to be promoted, or given up.
const PROMOTION: Duration = Duration::from_secs(30);

/// How often to look what the switch says.
const PAUSE: Duration = Duration::from_millis(50);

/// All ways of calling by which the stream takes the SAN.
const WAYS: &[&str] = &["blocking", "select", "overlapped", "files", "port"];

fn compile(to: &Path, sources: &[&str], options: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("layer");
    let mut compiler = Command::new("x86_64-w64-mingw32-gcc");
    compiler.args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(to);
    compiler.args(sources.iter().map(|name| folder.join(name))).args(options).arg("-lws2_32");
    assert!(compiler.status().expect("a C compiler for Windows").success());
}

/// The host, its provider below, and the library of the switch.
struct Scene {
    host: Program,
    base: String,
    layer: String,
}

impl Scene {
    fn new(under: Under) -> Self {
        let sources = ["main.c", "host.c", "ways.c", "checks.c"];
        let host = Program::made(under, "host.exe", |program| compile(program, &sources, &[]));
        let base = host.folder().join("base.dll");
        compile(&base, &["base.c"], &["-shared"]);
        let layer = PathBuf::from(told("WSD_WINDOWS_COMMAND")).with_file_name("wsd_winsock.dll");
        Self { host, base: windows_path(&base), layer: windows_path(&layer) }
    }

    fn start(&self, role: &str, rest: &[&str]) -> Running {
        self.host.start(role, &[&[role, &self.layer, &self.base], rest].concat())
    }

    /// A server and a client that talk in this way until `enough` says so: they end well, and what one gave the other took.
    fn talk(&self, way: &str, enough: impl FnOnce(&str) -> Result<(), String>) {
        let mut server = self.start("server", &[way]);
        let port = server.line("PORT ", LIMIT).unwrap_or_else(|| panic!("{way}: {}", server.said()));
        let stop = self.host.folder().join(format!("{way}.stop"));
        let mut client = self.start("client", &[way, &port, &windows_path(&stop)]);
        let held = client.line("HOLD", LIMIT);
        assert!(held.is_some(), "{way}: {}", client.said());
        let seen = enough(&port);
        std::fs::write(&stop, "").expect("the folder is there");
        for end in [&mut client, &mut server] {
            let status = end.end(LIMIT);
            assert!(status.is_some_and(|status| status.success()), "{way}: {status:?}: {}", end.said());
            assert!(end.line("ENDED", LIMIT).is_some(), "{way}: {}", end.said());
        }
        let given = |end: &mut Running, word: &str| end.line(word, LIMIT).expect("said before the end");
        assert_eq!(given(&mut client, "GAVE "), given(&mut server, "TOOK "), "{way}");
        assert_eq!(given(&mut server, "GAVE "), given(&mut client, "TOOK "), "{way}");
        assert_eq!(seen, Ok(()), "{way}");
    }
}

/// SW-002: the connection is promoted in whatever way the table, or the system's own functions for handles, are called; the
/// bytes are the same.
#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn the_layer_serves_what_comes_by_its_table() {
    let scene = Scene::new(Under::Winsock);
    for way in WAYS {
        scene.talk(way, |port| await_ends(port, 2, PROMOTION));
    }
}

/// Whoever asks for the base provider's handle may go around the layer: that connection stays on TCP.
#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn the_layer_leaves_a_connection_whose_base_handle_is_known() {
    let scene = Scene::new(Under::Winsock);
    let is_left = |port: &str| {
        let deadline = Instant::now() + PROMOTION;
        loop {
            let seen = ends(port);
            let gone = seen.iter().any(|end| end.reason.as_deref() == Some("DriverAsked"));
            if gone && seen.len() == 2 && seen.iter().all(|end| end.path == "tcp") {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{seen:#?}"));
            }
            std::thread::sleep(PAUSE);
        }
    };
    scene.talk("around", is_left);
    // Also in the middle of a stream that takes the SAN.
    scene.talk("around_later", |port| await_ends(port, 2, PROMOTION));
}

/// Whoever sets a variable need not have the rights of the program: what names a file is not read. The name of a provider is.
#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn the_layer_takes_no_file_from_the_environment() {
    let mut scene = Scene::new(Under::Winsock);
    scene.host = scene.host.told("WSDIRECT_CONFIG", r"Z:\nowhere");
    scene.talk("blocking", |port| await_ends(port, 2, PROMOTION));
    let mut scene = Scene::new(Under::Winsock);
    scene.host = scene.host.told("WSDIRECT_PROVIDER", "tcp");
    let is_unlisted = |port: &str| if ends(port).is_empty() { Ok(()) } else { Err("listed".to_owned()) };
    scene.talk("blocking", is_unlisted);
}

/// A process that `wsdirect run` has started has the switch before Winsock already: the layer passes, and nothing is served twice.
#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn the_layer_passes_where_hooks_serve() {
    let scene = Scene::new(Under::Switch);
    for way in ["blocking", "overlapped"] {
        scene.talk(way, |port| await_ends(port, 2, PROMOTION));
    }
}

/// Startups are counted, errors come by the caller's place, sockets say that they are the layer's, other protocols pass.
#[test]
#[ignore = "runs Windows programs: cargo xtask windows"]
fn the_layer_keeps_to_the_interface() {
    for under in [Under::Winsock, Under::Switch] {
        let scene = Scene::new(under);
        let mut checks = scene.start("checks", &[]);
        let status = checks.end(LIMIT);
        assert!(status.is_some_and(|status| status.success()), "{under:?}: {status:?}: {}", checks.said());
        assert!(checks.line("ENDED", LIMIT).is_some(), "{under:?}: {}", checks.said());
    }
}
