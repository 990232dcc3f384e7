//! WSPSelect.

use std::ptr;
use std::time::Duration;

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{Socket, call, connected_pair, listener};

/// A set with room for more sockets than the type declares, as a program with its own FD_SETSIZE has.
#[repr(C)]
pub(crate) struct Set {
    count: UINT,
    sockets: [SOCKET; 512],
}

impl Set {
    pub(crate) fn of(sockets: &[&Socket]) -> Self {
        let mut set = Self { count: sockets.len() as UINT, sockets: [0; 512] };
        set.sockets.iter_mut().zip(sockets).for_each(|(slot, socket)| *slot = socket.handle);
        set
    }

    fn pointer(&mut self) -> *mut WS_FD_SET {
        ptr::from_mut(self).cast()
    }

    pub(crate) fn left(&self) -> Vec<SOCKET> {
        self.sockets[..self.count as usize].to_vec()
    }
}

pub(crate) fn select(
    read: &mut Set,
    write: &mut Set,
    except: &mut Set,
    limit: Option<Duration>,
) -> Result<usize, WsaError> {
    let limit = limit
        .map(|limit| WS_TIMEVAL { tv_sec: limit.as_secs() as LONG, tv_usec: limit.subsec_micros() as LONG });
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    call!(lpWSPSelect(0, read.pointer(), write.pointer(), except.pointer(), limit), SOCKET_ERROR)
        .map(|count| count as usize)
}

/// SW-141: many sockets, of which the ready ones are left, each in the set in which it is ready.
#[test]
fn many_sockets() {
    let pairs: Vec<_> = (0..100).map(|_| connected_pair()).collect();
    let servers: Vec<&Socket> = pairs.iter().map(|(_, server)| server).collect();
    let mut read = Set::of(&servers);
    let nobody = || Set::of(&[]);
    let short = Some(Duration::from_millis(20));
    assert_eq!(select(&mut read, &mut nobody(), &mut nobody(), short), Ok(0));
    assert_eq!(read.left(), []);
    for index in [3, 77] {
        pairs[index].0.send(b"x").expect("connected");
    }
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let (mut read, mut write) = (Set::of(&servers), Set::of(&[&pairs[5].0]));
        let count = select(&mut read, &mut write, &mut nobody(), None).expect("ready");
        assert_eq!(count, read.left().len() + 1);
        assert_eq!(write.left(), [pairs[5].0.handle]);
        seen = read.left();
    }
    assert_eq!(seen, [pairs[3].1.handle, pairs[77].1.handle]);
}

/// A waiting select sees what happens meanwhile: data, a request, urgent data, an end.
#[test]
fn woken() {
    let (client, server) = connected_pair();
    let (listener, address) = listener();
    let mut sets = [Set::of(&[&server, &listener]), Set::of(&[]), Set::of(&[&server])];
    let mut next = |read: &[&Socket]| {
        sets[0] = Set::of(read);
        sets[2] = Set::of(&[&server]);
        let [read, write, except] = &mut sets;
        select(read, write, except, None).expect("ready");
        (read.left(), except.left())
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            client.send_flags(b"!", MSG_OOB).expect("connected");
        });
        assert_eq!(next(&[&listener]), (vec![], vec![server.handle]));
    });
    assert_eq!(server.recv_flags(1, MSG_OOB), Ok(b"!".to_vec()));
    let other = Socket::stream();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            other.connect(address).expect("somebody listens");
        });
        assert_eq!(next(&[&listener]), (vec![listener.handle], vec![]));
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            client.shutdown(SD_SEND).expect("connected");
        });
        assert_eq!(next(&[&server]), (vec![server.handle], vec![]));
    });
    assert_eq!(server.recv(1), Ok(Vec::new()));
}

/// A non-blocking connect ends in the write set, or in the except set if it fails.
#[test]
fn connects() {
    let (listener, address) = listener();
    let client = Socket::stream();
    client.set_nonblocking(true);
    let started = client.connect(address);
    assert!(matches!(started, Ok(()) | Err(WsaError::WSAEWOULDBLOCK)));
    let (mut write, mut except) = (Set::of(&[&client]), Set::of(&[&client]));
    assert_eq!(select(&mut Set::of(&[]), &mut write, &mut except, None), Ok(1));
    assert_eq!(write.left(), [client.handle]);
    assert_eq!(client.peer_name(), Ok(address));
    listener.close().expect("a socket");
    let late = Socket::stream();
    late.set_nonblocking(true);
    let refused = late.connect(address);
    assert!(matches!(refused, Err(WsaError::WSAEWOULDBLOCK | WsaError::WSAECONNREFUSED)));
    if refused == Err(WsaError::WSAEWOULDBLOCK) {
        let (mut write, mut except) = (Set::of(&[&late]), Set::of(&[&late]));
        assert_eq!(select(&mut Set::of(&[]), &mut write, &mut except, None), Ok(1));
        assert_eq!(except.left(), [late.handle]);
        assert_eq!(late.option(SOL_SOCKET, SO_ERROR), Ok(WsaError::WSAECONNREFUSED.code()));
    }
}

/// No sockets, no such socket, and one that is closed under the call.
#[test]
fn refused() {
    let nobody = || Set::of(&[]);
    let answer = select(&mut nobody(), &mut nobody(), &mut nobody(), Some(Duration::ZERO));
    assert_eq!(answer, Err(WsaError::WSAEINVAL));
    let none = ptr::null_mut::<WS_FD_SET>();
    let mut set = Set { count: 1, sockets: [7; 512] };
    let answer = call!(lpWSPSelect(0, set.pointer(), none, none, ptr::null()), SOCKET_ERROR);
    assert_eq!(answer.err(), Some(WsaError::WSAENOTSOCK));
    let (_client, server) = connected_pair();
    let bad = WS_TIMEVAL { tv_sec: -1, tv_usec: 0 };
    let mut set = Set::of(&[&server]);
    let answer = call!(lpWSPSelect(0, set.pointer(), none, none, &raw const bad), SOCKET_ERROR);
    assert_eq!(answer.err(), Some(WsaError::WSAEINVAL));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| select(&mut Set::of(&[&server]), &mut nobody(), &mut nobody(), None));
        std::thread::sleep(Duration::from_millis(30));
        server.close().expect("a socket");
        assert_eq!(waiting.join().expect("no panic"), Err(WsaError::WSAENOTSOCK));
    });
}
