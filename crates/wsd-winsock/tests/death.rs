//! A program that dies: its peer, under the switch as it was, gets all that was sent to it.
//!
//! The programs are this test itself, started again in a role.
#![cfg(windows)]

#[path = "stage/script.rs"]
mod script;
mod stage;

use std::env;
use std::io::{BufRead, Read, Write, stdin};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};

use script::{ROUND_TRIPS, SMALL, block, say};
use stage::{Actor, connections, sum};

/// Calls after which the switch takes notice of a connection, and some more.
const NOTICED: usize = 20;
/// How often the test looks whether the connection is promoted.
const LOOKS: usize = 20;
/// Longer than the switch gives TCP to say how a dead peer's stream ends.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// SW-110: bytes that came by TCP before those in the ring, and that nobody has read when the peer dies, are still there long after.
#[test]
fn what_nobody_had_read_is_there_after_the_death() {
    let mut server = Actor::start("server", &[]);
    let port = server.hears("port");
    let mut client = Actor::start("client", &[("PORT", &port)]);
    client.hears("sent");
    server.tell("begin");
    let promoted = (0..LOOKS).any(|_| {
        client.tell("again");
        client.hears("sent");
        let ends = connections(&port);
        ends.len() == 2 && ends.iter().all(|end| end.path == "shm" && end.reason.is_none())
    });
    assert!(promoted, "{:?}", connections(&port));
    client.tell("die");
    let sent = client.hears("all");
    client.ends_well();
    sleep(AFTERWARDS);
    server.tell("read");
    assert_eq!(server.hears("received"), sent);
    server.ends_well();
}

/// The roles.
#[test]
fn role() {
    let told = || stdin().lock().lines().next().expect("the test speaks").expect("readable");
    match env::var("WSD_ROLE").as_deref() {
        Ok("server") => {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            say(&format!("port {}", listener.local_addr().expect("bound").port()));
            let mut peer = listener.accept().expect("a client").0;
            assert_eq!(told(), "begin");
            let mut all = vec![0; NOTICED * SMALL];
            all.chunks_mut(SMALL).for_each(|message| peer.read_exact(message).expect("a message"));
            assert_eq!(told(), "read");
            // As it was killed, the end may be a reset.
            let _ = peer.read_to_end(&mut all);
            say(&format!("received {} {}", all.len(), sum(&all)));
        }
        Ok("client") => {
            let port: u16 = env::var("WSD_PORT").expect("told").parse().expect("a number");
            let mut peer = TcpStream::connect(("127.0.0.1", port)).expect("a server");
            let mut all = Vec::new();
            loop {
                for number in 0..ROUND_TRIPS {
                    let message = block(number, SMALL);
                    peer.write_all(&message).expect("a reader");
                    all.extend(message);
                }
                say("sent ");
                if told() == "die" {
                    break;
                }
            }
            say(&format!("all {} {}", all.len(), sum(&all)));
            // SAFETY: numbers only; it does not come back.
            unsafe { TerminateProcess(GetCurrentProcess(), 0) };
        }
        _ => {}
    }
}
