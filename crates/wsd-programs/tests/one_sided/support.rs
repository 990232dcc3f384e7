//! Two accessors and their connections.

use std::time::Duration;

use wsd_programs::{Process, Program, Scene, Sides, wsdirect};

/// Bytes of a window, in digits.
pub(super) const DIGITS: usize = 512;

/// The first connection, or exposure, or operation.
pub(super) const FIRST: usize = 0;

/// Which provider the connection goes by.
#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    /// That of the test bed: on this host the built-in one, whose memory both ends map.
    Bed,
    /// The one that injects these faults at both ends.
    Faulty(&'static str),
}

impl By {
    pub(super) fn program(self, program: Program) -> Program {
        match self {
            Self::Bed => program,
            Self::Faulty(faults) => {
                let library = wsdirect().with_file_name("libwsd_faulty.so");
                let library = library.canonicalize().expect("cargo xtask test --only programs builds it");
                program.env("WSDIRECT_PROVIDER", library).env("WSD_FAULTY", faults)
            }
        }
    }
}

/// The server accepted, the client connected.
pub(super) struct Pair {
    pub(super) server: Process,
    pub(super) client: Process,
    /// Where the server listens.
    name: String,
    /// Milliseconds that getting ready may take.
    limit: u32,
}

/// A scene whose ends both run under the switch.
pub(super) fn scene() -> Scene {
    Scene::new(Sides::Both)
}

pub(super) fn accessor() -> Program {
    Program::at(env!("CARGO_BIN_EXE_wsd-accessor").as_ref()).piped()
}

impl Pair {
    /// Two programs with one connection, not ready.
    pub(super) fn connected(scene: &Scene, accessor: &Program) -> Self {
        let mut server = scene.server(accessor);
        let client = scene.client(accessor);
        let name = server.ask(&format!("listen {}", scene.address()));
        let mut pair = Self { server, client, name, limit: scene.amount(10_000, 60_000) };
        pair.connect();
        pair
    }

    /// Two programs with one connection that is ready at both ends.
    pub(super) fn ready(scene: &Scene, by: By) -> Self {
        let mut pair = Self::connected(scene, &by.program(accessor()));
        pair.make_ready(FIRST);
        pair
    }

    /// Another connection.
    pub(super) fn connect(&mut self) {
        assert_eq!(self.client.ask(&format!("connect {}", self.name)), "connected");
        assert_eq!(self.server.ask("accept"), "accepted");
    }

    pub(super) fn make_ready(&mut self, connection: usize) {
        let ready = format!("ready {connection} {}", self.limit);
        self.server.tell(&ready);
        assert_eq!(self.client.ask(&ready), "ready");
        assert_eq!(self.server.hear(), "ready");
    }

    /// The server exposes memory; its window.
    pub(super) fn expose(&mut self, connection: usize, length: usize, rights: &str) -> String {
        let window = self.server.ask(&format!("expose {connection} {length} {rights}"));
        assert_eq!(window.len(), DIGITS, "{window}");
        window
    }

    /// The client writes; how that ends.
    pub(super) fn write(
        &mut self,
        connection: usize,
        window: &str,
        offset: u64,
        length: usize,
        first: u8,
    ) -> String {
        let begun = self.client.ask(&format!("write {connection} {window} {offset} {length} {first}"));
        self.finish(begun)
    }

    /// The client reads; how that ends.
    pub(super) fn read(&mut self, connection: usize, window: &str, offset: u64, length: usize) -> String {
        let begun = self.client.ask(&format!("read {connection} {window} {offset} {length}"));
        self.finish(begun)
    }

    /// What came of what the client has begun.
    pub(super) fn finish(&mut self, begun: String) -> String {
        if begun.parse::<usize>().is_ok() { self.client.ask(&format!("finish {begun}")) } else { begun }
    }

    /// Waits until the server finds that its exposure has ended.
    pub(super) fn await_end_of(&mut self, exposure: usize) {
        wsd_programs::until(Duration::from_secs(10), "the end of the exposure", || {
            (self.server.ask(&format!("ended {exposure}")) == "true").then_some(())
        });
    }

    /// The connection's stream still works, both ways.
    pub(super) fn talk(&mut self, connection: usize) {
        assert_eq!(self.client.ask(&format!("say {connection} question")), "said");
        assert_eq!(self.server.ask(&format!("hear {connection} 8")), "question");
        assert_eq!(self.server.ask(&format!("say {connection} answer")), "said");
        assert_eq!(self.client.ask(&format!("hear {connection} 6")), "answer");
    }
}

/// A window with another byte at that place.
pub(super) fn changed(window: &str, at: usize, byte: u8) -> String {
    format!("{}{byte:02x}{}", &window[..2 * at], &window[2 * at + 2..])
}

/// How a refusal with that `errno` is told.
pub(super) fn refused(errno: i32) -> String {
    format!("refused {errno}")
}

/// How a failure with that `errno` is told.
pub(super) fn failed(errno: i32) -> String {
    format!("failed {errno}")
}
