//! Two programs that know nothing of the switch, with blocking sockets: their connection is promoted, and nothing is lost.
//!
//! The programs are this test itself, started again in a role.
#![cfg(windows)]

mod stage;

use std::env;
use std::io::{BufRead, Read, Write, stdin, stdout};
use std::net::{TcpListener, TcpStream};

use stage::{Actor, connections, sum};

const ROUND_TRIPS: usize = 400;
const BULK: usize = 8 << 20;

fn block(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (number * 31 + at * 7 + at / 251) as u8).collect()
}

fn say(words: &str) {
    println!("\n@{words}");
    stdout().flush().expect("the test listens");
}

/// SW-002, SW-110: what goes by the SAN is the same stream; SW-160: its end, too.
#[test]
fn blocking_programs_are_promoted() {
    let mut server = Actor::start("blocking", "server", &[]);
    let port = server.hears("port");
    let mut client = Actor::start("blocking", "client", &[("PORT", &port)]);
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

/// The roles.
#[test]
fn role() {
    match env::var("WSD_ROLE").as_deref() {
        Ok("server") => serve(),
        Ok("client") => ask(),
        _ => {}
    }
}

fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    say(&format!("port {}", listener.local_addr().expect("bound").port()));
    let mut peer = listener.accept().expect("a client").0;
    let mut buffer = vec![0; 64];
    for number in 0..ROUND_TRIPS {
        peer.read_exact(&mut buffer).expect("a question");
        assert_eq!(buffer, block(number, 64), "question {number}");
        buffer.reverse();
        peer.write_all(&buffer).expect("a reader");
    }
    let mut all = Vec::new();
    peer.read_to_end(&mut all).expect("a stream to its end");
    say(&format!("received {} {}", all.len(), sum(&all)));
}

fn ask() {
    let port: u16 = env::var("WSD_PORT").expect("told").parse().expect("a number");
    let mut peer = TcpStream::connect(("127.0.0.1", port)).expect("a server");
    let mut buffer = vec![0; 64];
    for number in 0..ROUND_TRIPS {
        peer.write_all(&block(number, 64)).expect("a reader");
        peer.read_exact(&mut buffer).expect("an answer");
        buffer.reverse();
        assert_eq!(buffer, block(number, 64), "answer {number}");
    }
    let mut all = Vec::new();
    while all.len() < BULK {
        let piece = block(all.len(), 70_000);
        peer.write_all(&piece).expect("a reader");
        all.extend(piece);
    }
    say(&format!("sent {} {}", all.len(), sum(&all)));
    stdin().lock().read_line(&mut String::new()).expect("the test speaks");
}
