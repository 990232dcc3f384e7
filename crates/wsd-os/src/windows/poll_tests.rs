//! What comes while questions about other sockets are still being asked.

use core::time::Duration;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::windows::io::AsRawSocket;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use super::fd::{AsFd, AsRawFd};
use super::poll::{
    EPOLLIN, EpollEvent, EpollOperation, POLLIN, PollFd, epoll_create, epoll_ctl, epoll_pwait, ppoll,
};

/// Longest silence.
const LIMIT: Duration = Duration::from_secs(20);
/// To ask about so many takes long enough for something to come meanwhile.
const SOCKETS: usize = 24;
const ROUNDS: u64 = 60;

/// Sockets in the order in which they are asked about, the peer of the first, and those of the others.
fn sockets() -> (Vec<TcpStream>, TcpStream, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let name = listener.local_addr().expect("bound");
    let mut pairs: Vec<_> = (0..SOCKETS)
        .map(|_| {
            let one = TcpStream::connect(name).expect("connected");
            (one, listener.accept().expect("accepted").0)
        })
        .collect();
    pairs.sort_by_key(|(one, _)| one.as_raw_socket());
    let (ours, mut peers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let first = peers.remove(0);
    (ours, first, peers)
}

/// Writes a byte a little later each time that it is told to.
fn writer(mut peer: TcpStream) -> SyncSender<u64> {
    let (tell, told): (_, Receiver<u64>) = sync_channel(0);
    std::thread::spawn(move || {
        for round in told {
            for _ in 0..round * 400 {
                core::hint::spin_loop();
            }
            peer.write_all(b"x").expect("a reader");
        }
    });
    tell
}

/// Has rounds done by another thread, which waits without limit: what is lost is found by its silence.
fn rounds(mut one: impl FnMut(u64) + Send + 'static) {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for round in 0..ROUNDS {
            one(round);
            tell.send(round).expect("the test listens");
        }
    });
    for round in 0..ROUNDS {
        assert_eq!(told.recv_timeout(LIMIT), Ok(round));
    }
}

fn take(socket: &mut TcpStream) {
    socket.read_exact(&mut [0]).expect("a byte");
}

#[test]
fn a_set_loses_nothing_while_it_asks() {
    let (mut ours, first, others) = sockets();
    let tell = writer(first);
    rounds(move |round| {
        let _open = &others;
        let set = epoll_create().expect("a set");
        for (datum, one) in ours.iter().enumerate() {
            let event = EpollEvent { events: EPOLLIN as u32, u64: datum as u64 };
            epoll_ctl(set.as_fd(), EpollOperation::Add, one.as_raw_socket() as i32, event).expect("added");
        }
        tell.send(round).expect("a writer");
        let mut events = [EpollEvent { events: 0, u64: 9 }; 2];
        assert_eq!(epoll_pwait(set.as_raw_fd(), &mut events, None, None), Ok(1));
        assert_eq!(events[0].u64, 0);
        take(&mut ours[0]);
    });
}

#[test]
fn a_poll_loses_nothing_while_it_asks() {
    let (mut ours, first, others) = sockets();
    let tell = writer(first);
    rounds(move |round| {
        let _open = &others;
        let of = |one: &TcpStream| PollFd { fd: one.as_raw_socket() as i32, events: POLLIN, revents: 0 };
        let mut fds: Vec<PollFd> = ours.iter().map(of).collect();
        tell.send(round).expect("a writer");
        assert_eq!(ppoll(&mut fds, None, None), Ok(1));
        assert_ne!(fds[0].revents, 0);
        take(&mut ours[0]);
    });
}
