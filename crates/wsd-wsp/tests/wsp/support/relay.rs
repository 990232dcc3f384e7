//! A process between the two ends of a connection of one test, so that both of them are a SAN's.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::Stdio;

use wsd_spi::ffi::*;

use super::{Socket, loopback, own_process};

/// Set where tests connect through a relay.
pub(crate) const VARIABLE: &str = "WSP_TESTS_RELAY";

const MARK: &str = "relay at ";

/// Whether it is.
pub(crate) fn is_used() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Where a listener is reached: through a relay of its own, if tests are to use one.
pub(crate) fn reached_at(listener: SocketAddr) -> SocketAddr {
    if !is_used() {
        return listener;
    }
    let mut relay = own_process("support::relay::itself")
        .env(VARIABLE, listener.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this very program");
    let mut lines = BufReader::new(relay.stdout.take().expect("piped")).lines();
    let found = lines.find_map(|line| line.expect("text").strip_prefix(MARK).map(str::to_owned));
    // It ends when this process does, which then closes its end of the pipe.
    std::mem::forget((relay, lines));
    found.expect("the relay's address").parse().expect("an address")
}

#[test]
#[ignore = "needs a process of its own: listeners run it"]
fn itself() {
    let target = std::env::var(VARIABLE).expect("set").parse().expect("an address");
    let listener = Socket::stream();
    listener.bind(loopback(0)).expect("a free port");
    listener.listen(SOMAXCONN).expect("bound");
    println!("\n{MARK}{}", listener.local_name().expect("bound"));
    std::thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            std::thread::spawn(move || relay(&near, target));
        }
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(0);
}

fn relay(near: &Socket, target: SocketAddr) {
    let far = Socket::stream();
    if far.connect(target).is_err() {
        return reset(&[near]);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| copy(near, &far));
        copy(&far, near);
    });
}

/// Copies to the end of the stream, which the other end gets, too.
fn copy(from: &Socket, to: &Socket) {
    loop {
        match from.recv(65536) {
            Ok(data) if data.is_empty() => {
                // Gone already.
                let _ = to.shutdown(SD_SEND);
                return;
            }
            Ok(data) if to.send(&data).is_ok() => {}
            _ => return reset(&[from, to]),
        }
    }
}

fn reset(sockets: &[&Socket]) {
    for socket in sockets {
        let _ = socket.set_option(SOL_SOCKET, SO_LINGER, LINGER { l_onoff: 1, l_linger: 0 });
        let _ = socket.close();
    }
}
