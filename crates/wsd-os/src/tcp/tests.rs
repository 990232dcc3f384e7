use core::time::Duration;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use rustix::io::Errno;

use super::*;
use crate::fd::AsFd;
use crate::testing::eventually;

/// A connection over loopback: the end that connected and the end that was accepted.
fn connection(host: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((host, 0)).expect("a port");
    let one = TcpStream::connect(listener.local_addr().expect("its name")).expect("connected");
    let (other, _) = listener.accept().expect("accepted");
    (one, other)
}

#[track_caller]
fn check(connected: &TcpStream, accepted: &TcpStream, expected: [(u64, u64); 2]) {
    for (end, is_connected, (written, read)) in
        [(connected, true, expected[0]), (accepted, false, expected[1])]
    {
        let matches = || counts(end.as_fd(), is_connected) == Ok(Counts { written, read });
        assert!(eventually(matches), "{:?}, connected {is_connected}", counts(end.as_fd(), is_connected));
    }
}

#[test]
fn counts_are_the_bytes_written_and_read() {
    for host in ["127.0.0.1", "::1"] {
        let (mut one, mut other) = connection(host);
        check(&one, &other, [(0, 0), (0, 0)]);
        one.write_all(&[1; 1000]).expect("sent");
        check(&one, &other, [(1000, 0), (0, 0)]);
        other.read_exact(&mut [0; 600]).expect("received");
        check(&one, &other, [(1000, 0), (0, 600)]);
        other.write_all(&[2; 70_000]).expect("sent");
        one.read_exact(&mut [0; 5]).expect("received");
        check(&one, &other, [(1000, 5), (70_000, 600)]);
        other.read_exact(&mut [0; 400]).expect("received");
        one.read_exact(&mut vec![0; 69_995]).expect("received");
        check(&one, &other, [(1000, 70_000), (70_000, 1000)]);
    }
}

#[test]
fn counts_hold_with_full_queues() {
    let (mut one, mut other) = connection("127.0.0.1");
    one.set_nonblocking(true).expect("a flag");
    let mut sent = 0;
    while let Ok(taken) = one.write(&[3; 65_536]) {
        sent += taken as u64;
    }
    check(&one, &other, [(sent, 0), (0, 0)]);
    other.read_exact(&mut vec![0; 100_000]).expect("received");
    check(&one, &other, [(sent, 0), (0, 100_000)]);
}

#[test]
fn counts_leave_out_the_fins() {
    for connected_first in [true, false] {
        let (mut one, mut other) = connection("127.0.0.1");
        one.write_all(&[1; 10]).expect("sent");
        other.write_all(&[1; 20]).expect("sent");
        let (first, second) = if connected_first { (&one, &other) } else { (&other, &one) };
        shutdown(first.as_fd(), Shutdown::Write).expect("open");
        assert!(eventually(|| state(first.as_fd()) == Ok(State::FinWait2)));
        assert_eq!(state(second.as_fd()), Ok(State::CloseWait));
        check(&one, &other, [(10, 0), (20, 0)]);
        one.read_exact(&mut [0; 20]).expect("received");
        other.read_exact(&mut [0; 4]).expect("received");
        check(&one, &other, [(10, 20), (20, 4)]);
        other.read_exact(&mut [0; 6]).expect("received");
        let mut reader = if connected_first { &other } else { &one };
        assert_eq!(reader.read(&mut [0; 1]).expect("the end"), 0);
        check(&one, &other, [(10, 20), (20, 10)]);
    }
}

#[test]
fn counts_hold_when_the_fin_waits_behind_data() {
    let (mut one, other) = connection("127.0.0.1");
    one.set_nonblocking(true).expect("a flag");
    let mut sent = 0;
    while let Ok(taken) = one.write(&[3; 65_536]) {
        sent += taken as u64;
    }
    shutdown(one.as_fd(), Shutdown::Write).expect("open");
    assert_eq!(state(one.as_fd()), Ok(State::FinWait1));
    check(&one, &other, [(sent, 0), (0, 0)]);
}

#[test]
fn counts_of_no_connection_are_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    assert_eq!(counts(listener.as_fd(), false), Err(Errno::NOTCONN));
    let (read, _write) = rustix::pipe::pipe().expect("a pipe");
    assert!(counts(read.as_fd(), false).is_err());
}

#[test]
fn names_kind_and_cookies() {
    let (one, other) = connection("127.0.0.1");
    assert_eq!(local_name(one.as_fd()), peer_name(other.as_fd()));
    assert_eq!(Ok(one.local_addr().expect("its name")), local_name(one.as_fd()));
    assert_ne!(cookie(one.as_fd()), cookie(other.as_fd()));
    let duplicate = one.try_clone().expect("a duplicate");
    assert_eq!(cookie(one.as_fd()).expect("a cookie"), cookie(duplicate.as_fd()).expect("a cookie"));
    assert_eq!(netns_cookie(one.as_fd()), netns_cookie(other.as_fd()));
    assert!(is_stream_tcp(one.as_fd()));
    assert_eq!(state(one.as_fd()), Ok(State::Established));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    assert!(is_stream_tcp(listener.as_fd()));
    assert_eq!(state(listener.as_fd()), Ok(State::Listening));
    assert_eq!(peer_name(listener.as_fd()), Err(Errno::NOTCONN));
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let (local, _) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let (read, _write) = rustix::pipe::pipe().expect("a pipe");
    assert!(
        !is_stream_tcp(datagrams.as_fd()) && !is_stream_tcp(local.as_fd()) && !is_stream_tcp(read.as_fd())
    );
    assert_eq!(local_name(local.as_fd()), Err(Errno::AFNOSUPPORT));
}

#[test]
fn sockets_are_found_by_their_names() {
    // SAFETY: only returns a number.
    let uid = unsafe { libc::geteuid() };
    for host in ["127.0.0.1", "::1"] {
        let (one, other) = connection(host);
        let (near, far) = (one.local_addr().expect("a name"), one.peer_addr().expect("a name"));
        for (end, local, peer) in [(&one, near, far), (&other, far, near)] {
            let facts = crate::diag::find_tcp(local, peer).expect("found");
            assert_eq!((facts.uid, facts.state), (uid, State::Established));
            assert_eq!(Ok(facts.cookie), cookie(end.as_fd()));
            assert_eq!(u64::from(facts.inode), rustix::fs::fstat(end).expect("a socket").st_ino);
        }
        drop(other);
        let half_closed =
            || crate::diag::find_tcp(near, far).map(|facts| facts.state) == Ok(State::CloseWait);
        assert!(eventually(half_closed));
    }
}

#[test]
fn mapped_addresses_mean_the_same() {
    let listener = TcpListener::bind("[::]:0").expect("a port");
    let port = listener.local_addr().expect("its name").port();
    let one = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connected");
    let (other, _) = listener.accept().expect("accepted");
    let (local, peer) = (other.local_addr().expect("a name"), other.peer_addr().expect("a name"));
    assert!(local.is_ipv6(), "a mapped address");
    let plain = |name: SocketAddr| SocketAddr::new(name.ip().to_canonical(), name.port());
    for (local, peer) in [(local, peer), (plain(local), plain(peer)), (local, plain(peer))] {
        let facts = crate::diag::find_tcp(local, peer).expect("found");
        assert_eq!(Ok(facts.cookie), cookie(other.as_fd()));
    }
    let facts = crate::diag::find_tcp(peer, local).expect("found");
    assert_eq!(Ok(facts.cookie), cookie(one.as_fd()));
}

#[test]
fn listener_is_not_mistaken_for_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let local = listener.local_addr().expect("its name");
    let stranger = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    assert_eq!(crate::diag::find_tcp(local, stranger), Err(Errno::NOENT));
    assert_eq!(crate::diag::find_tcp(stranger, stranger), Err(Errno::NOENT));
    let other_family = SocketAddr::from((Ipv6Addr::LOCALHOST, 1));
    assert_eq!(crate::diag::find_tcp(local, other_family), Err(Errno::INVAL));
}

#[test]
fn options_are_read() {
    let (one, _other) = connection("127.0.0.1");
    let fd = one.as_fd();
    assert_eq!((is_nonblocking(fd), linger(fd)), (Ok(false), Ok(None)));
    assert_eq!((timeout(fd, Direction::Send), timeout(fd, Direction::Receive)), (Ok(None), Ok(None)));
    assert_eq!((out_of_band_inline(fd), receive_low_water(fd)), (Ok(false), Ok(1)));
    one.set_nonblocking(true).expect("a flag");
    one.set_read_timeout(Some(Duration::from_millis(1500))).expect("an option");
    one.set_write_timeout(Some(Duration::from_secs(3))).expect("an option");
    set(fd, libc::SO_LINGER, &[1, 4]);
    set(fd, libc::SO_OOBINLINE, &[1]);
    set(fd, libc::SO_RCVLOWAT, &[77]);
    set(fd, libc::SO_SNDBUF, &[50_000]);
    set(fd, libc::SO_RCVBUF, &[60_000]);
    assert_eq!((is_nonblocking(fd), linger(fd)), (Ok(true), Ok(Some(Duration::from_secs(4)))));
    let limits = (timeout(fd, Direction::Send), timeout(fd, Direction::Receive));
    assert_eq!(limits, (Ok(Some(Duration::from_secs(3))), Ok(Some(Duration::from_millis(1500)))));
    assert_eq!((out_of_band_inline(fd), receive_low_water(fd)), (Ok(true), Ok(77)));
    assert_eq!((send_buffer(fd), receive_buffer(fd)), (Ok(100_000), Ok(120_000)));
}

/// A connection that close is to reset is still reset (socket(7), SO_LINGER with no time).
#[test]
fn lingering_stops() {
    let (one, _other) = connection("127.0.0.1");
    for (before, after) in [([1, 4], Ok(None)), ([1, 0], Ok(Some(Duration::ZERO))), ([0, 0], Ok(None))] {
        set(one.as_fd(), libc::SO_LINGER, &before);
        assert_eq!(stop_lingering(one.as_fd()), Ok(()));
        assert_eq!(linger(one.as_fd()), after, "{before:?}");
    }
}

fn set(fd: crate::fd::BorrowedFd<'_>, name: i32, value: &[i32]) {
    use crate::fd::AsRawFd;
    let len = size_of_val(value) as u32;
    // SAFETY: the kernel reads `len` bytes of the live value.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, name, value.as_ptr().cast(), len) };
    assert_eq!(result, 0);
}

#[test]
fn pieces_are_sent_and_received_without_blocking() {
    let (one, other) = connection("127.0.0.1");
    let (near, far) = (one.as_fd(), other.as_fd());
    let (mut head, mut tail) = ([0; 3], [0; 10]);
    let none = recv(far, &mut [IoSliceMut::new(&mut head)], Flags::NONE);
    assert_eq!(none, Err(Errno::AGAIN), "although the socket is blocking");
    assert_eq!(send(near, &[IoSlice::new(b"ab"), IoSlice::new(b"cdef")], Flags::NO_SIGNAL), Ok(6));
    let peeked = recv(far, &mut [IoSliceMut::new(&mut tail)], Flags::PEEK).expect("arrived");
    assert_eq!((peeked.len, &tail[..6]), (6, b"abcdef".as_slice()));
    let got = recv(far, &mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)], Flags::NONE);
    assert_eq!(got.map(|got| got.len), Ok(6));
    assert_eq!((&head, &tail[..3]), (b"abc", b"def".as_slice()));
    let large = vec![0; 1 << 20];
    while send(near, &[IoSlice::new(&large)], Flags::NO_SIGNAL).is_ok() {}
    assert_eq!(send(near, &[IoSlice::new(&large)], Flags::NO_SIGNAL), Err(Errno::AGAIN));
    shutdown(near, Shutdown::Write).expect("open");
    assert_eq!(send(near, &[IoSlice::new(b"x")], Flags::NO_SIGNAL), Err(Errno::PIPE), "and no SIGPIPE");
}

#[test]
fn aborted_connection_is_reset() {
    let (one, other) = connection("127.0.0.1");
    let duplicate = one.try_clone().expect("a duplicate");
    abort(one.as_fd()).expect("a connection");
    let mut byte = [0];
    let mut received = || recv(other.as_fd(), &mut [IoSliceMut::new(&mut byte)], Flags::NONE);
    assert_eq!(received(), Err(Errno::CONNRESET));
    assert_eq!(state(duplicate.as_fd()), Ok(State::Closed));
}

#[test]
fn stand_ins_have_the_listeners_options() {
    let listener = TcpListener::bind("[::1]:0").expect("a port");
    rustix::net::sockopt::set_socket_oobinline(&listener, true).expect("an option");
    rustix::net::sockopt::set_tcp_nodelay(&listener, true).expect("an option");
    let flags = DescriptorFlags { nonblocking: true, close_on_exec: true };
    let socket = like(listener.as_fd(), flags).expect("a socket");
    assert_eq!(out_of_band_inline(socket.as_fd()), Ok(true));
    assert_eq!(rustix::net::sockopt::tcp_nodelay(&socket), Ok(true));
    assert_eq!(is_nonblocking(socket.as_fd()), Ok(true));
    assert!(crate::fd::is_close_on_exec(socket.as_fd()));
    assert!(local_name(socket.as_fd()).expect("a family").is_ipv6());
    let other = like(listener.as_fd(), DescriptorFlags::default()).expect("a socket");
    assert_eq!(is_nonblocking(other.as_fd()), Ok(false));
}

#[test]
fn connecting_without_waiting_leaves_the_mode() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let socket = like(listener.as_fd(), DescriptorFlags::default()).expect("a socket");
    let peer = listener.local_addr().expect("its name");
    let result = connect_without_waiting(socket.as_fd(), peer);
    assert!(matches!(result, Ok(()) | Err(Errno::INPROGRESS)), "{result:?}");
    assert_eq!(is_nonblocking(socket.as_fd()), Ok(false));
    assert!(eventually(|| peer_name(socket.as_fd()) == Ok(peer)));
}
