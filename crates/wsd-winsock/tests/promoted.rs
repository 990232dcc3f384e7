//! Two programs that know nothing of the switch, in each of the ways in which programs wait for sockets: their connection is promoted,
//! and nothing is lost.
//!
//! The programs are this test itself, started again in a role.
#![cfg(windows)]

#[path = "stage/script.rs"]
mod script;
mod stage;
#[path = "stage/talk.rs"]
mod talk;
#[path = "stage/ways.rs"]
mod ways;

use std::env;
use std::io::{BufRead, stdin};
use std::net::{TcpListener, TcpStream};

use script::say;
use stage::{Actor, connections, sum};
use talk::{answer, ask};
use ways::Way;

/// SW-002, SW-110: what goes by the SAN is the same stream; SW-160: its end, too.
fn promoted(way: &str) {
    let mut server = Actor::start("server", &[("WAY", way)]);
    let port = server.hears("port");
    let mut client = Actor::start("client", &[("WAY", way), ("PORT", &port)]);
    let sent = client.hears("sent");
    let ends = connections(&port);
    assert_eq!(ends.len(), 2, "{ends:?}");
    for end in &ends {
        assert_eq!(end.path, "shm", "{ends:?}");
        assert_eq!(end.reason, None, "{ends:?}");
    }
    client.tell("close");
    assert_eq!(server.hears("received"), sent);
    client.ends_well();
    server.ends_well();
}

#[test]
fn blocking() {
    promoted("blocking");
}

#[test]
fn by_select() {
    promoted("select");
}

#[test]
fn by_poll() {
    promoted("poll");
}

#[test]
fn by_events() {
    promoted("events");
}

#[test]
fn by_completion_port() {
    promoted("port");
}

#[test]
fn by_routines() {
    promoted("routines");
}

#[test]
fn by_routines_of_files() {
    promoted("file-routines");
}

#[test]
fn by_thread_pool() {
    promoted("pool");
}

#[test]
fn by_bound_callback() {
    promoted("bound");
}

/// The roles.
#[test]
fn role() {
    let way = || Way::named(&env::var("WSD_WAY").expect("told"));
    match env::var("WSD_ROLE").as_deref() {
        Ok("server") => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            say(&format!("port {}", listener.local_addr().expect("bound").port()));
            let peer = listener.accept().expect("a client").0;
            let all = answer(&mut ways::Peer::new(peer, way()));
            say(&format!("received {} {}", all.len(), sum(&all)));
        }
        Ok("client") => {
            let port: u16 = env::var("WSD_PORT").expect("told").parse().expect("a number");
            let peer = TcpStream::connect(("127.0.0.1", port)).expect("a server");
            let mut peer = ways::Peer::new(peer, way());
            let all = ask(&mut peer);
            say(&format!("sent {} {}", all.len(), sum(&all)));
            stdin().lock().read_line(&mut String::new()).expect("the test speaks");
        }
        _ => {}
    }
}
