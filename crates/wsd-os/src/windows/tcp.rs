//! Facts about TCP sockets, and moving bytes through them without blocking.
//!
//! Every function borrows the program's socket and changes nothing about it unless it says so. What a front end has hooked passes
//! from here to the system, since the caller is marked ([`thread::Inside`](crate::thread::Inside)).

use core::time::Duration;
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use windows_sys::Win32::Networking::WinSock as ws;

use super::Errno;
use super::address::Address;
use super::afd;
use super::fd::{AsRawFd, BorrowedFd};
use super::winsock::done;

#[path = "stand_in.rs"]
mod stand_in;

pub use super::counts::{has_received, has_sent};
pub use stand_in::{
    DescriptorFlags, connect_without_waiting, is_debugged, is_ipv6_only, like, name, set_debugged,
};

/// As much is sent at a time as a socket that can be written to takes at once, also a blocking one.
const PIECE: usize = 16 * 1024;

/// The state of a connection, as far as Windows tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It has a peer.
    Established,
    /// Not connected, or no longer.
    Closed,
}

/// A direction of a connection, seen from this end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From this end to the peer.
    Send,
    /// From the peer to this end.
    Receive,
}

/// Which directions [`shutdown`] closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// That from the peer.
    Read,
    /// That to the peer.
    Write,
    /// Both.
    Both,
}

/// Flags of one send or receive: bits of `MSG_*`, with Linux's values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(pub i32);

impl Flags {
    /// None.
    pub const NONE: Self = Self(0);
    /// No signal: there are none.
    pub const NO_SIGNAL: Self = Self(0);
    /// `MSG_PEEK`: leave what is received in the queue.
    pub const PEEK: Self = Self(0x2);
    /// `MSG_OOB`: urgent data.
    pub const OUT_OF_BAND: Self = Self(0x1);

    /// These flags and `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// As Winsock has them.
    fn winsock(self) -> i32 {
        let one = |flag, bit| if self.has(flag) { bit } else { 0 };
        one(Self::PEEK, ws::MSG_PEEK) | one(Self::OUT_OF_BAND, ws::MSG_OOB)
    }
}

/// What [`recv`] got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received {
    /// How many bytes; 0 is the end of the stream if there was room for one.
    pub len: usize,
}

/// The socket behind a descriptor.
pub(super) fn socket(fd: &BorrowedFd<'_>) -> ws::SOCKET {
    fd.as_raw_fd() as u32 as ws::SOCKET
}

/// Sends as much of `pieces` as the system takes now, at most some KiB, and returns how many bytes it was.
///
/// The caller sees to it that nobody else sends meanwhile: a blocking socket would wait.
///
/// # Errors
///
/// `AGAIN` if there is no room; `CONNRESET`, `NOTCONN`; else as send.
pub fn send(fd: BorrowedFd<'_>, pieces: &[IoSlice<'_>], flags: Flags) -> Result<usize, Errno> {
    let mut sent = 0;
    for piece in pieces.iter().flat_map(|piece| piece.chunks(PIECE)) {
        if !afd::is_ready(fd.as_raw_fd(), afd::WRITABLE)? {
            return if sent == 0 { Err(Errno::AGAIN) } else { Ok(sent) };
        }
        let (start, len) = (piece.as_ptr(), piece.len() as i32);
        // SAFETY: exactly the piece is read.
        let result = unsafe { ws::send(socket(&fd), start, len, flags.winsock()) };
        match usize::try_from(result) {
            Ok(now) => sent += now,
            Err(_) if sent != 0 => return Ok(sent),
            Err(_) => return Err(Errno::last_of_winsock()),
        }
        if result != len {
            break;
        }
    }
    Ok(sent)
}

/// Receives what is there, at most as much as fits into the first of `pieces`.
///
/// The caller sees to it that nobody else receives meanwhile: a blocking socket would wait.
///
/// # Errors
///
/// `AGAIN` if nothing is there; `CONNRESET`, `NOTCONN`; else as recv.
pub fn recv(fd: BorrowedFd<'_>, pieces: &mut [IoSliceMut<'_>], flags: Flags) -> Result<Received, Errno> {
    let Some(piece) = pieces.iter_mut().find(|piece| !piece.is_empty()) else {
        return Ok(Received { len: 0 });
    };
    if !afd::is_ready(fd.as_raw_fd(), afd::READABLE)? {
        return Err(Errno::AGAIN);
    }
    let len = i32::try_from(piece.len()).unwrap_or(i32::MAX);
    // SAFETY: at most the piece is written.
    let result = unsafe { ws::recv(socket(&fd), piece.as_mut_ptr(), len, flags.winsock()) };
    let len = usize::try_from(result).map_err(|_| Errno::last_of_winsock())?;
    Ok(Received { len })
}

/// Closes one direction or both of the connection, for all who have it.
///
/// # Errors
///
/// `NOTCONN`.
pub fn shutdown(fd: BorrowedFd<'_>, how: Shutdown) -> Result<(), Errno> {
    let how = match how {
        Shutdown::Read => ws::SD_RECEIVE,
        Shutdown::Write => ws::SD_SEND,
        Shutdown::Both => ws::SD_BOTH,
    };
    // SAFETY: numbers only.
    done(unsafe { ws::shutdown(socket(&fd), how) })
}

/// Resets the connection when the program closes it; until then both directions are closed.
///
/// # Errors
///
/// `NOTCONN`.
pub fn abort(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    set_linger(&fd, ws::LINGER { l_onoff: 1, l_linger: 0 })?;
    shutdown(fd, Shutdown::Both)
}

/// The socket's own address and port. An IPv6 socket that talks IPv4 has a mapped address.
///
/// # Errors
///
/// `NOTSOCK`; `INVAL` if it is not bound; `AFNOSUPPORT` if it is no internet socket.
pub fn local_name(fd: BorrowedFd<'_>) -> Result<SocketAddr, Errno> {
    // SAFETY: room for `length` bytes is given.
    Address::read(|place, length| unsafe { ws::getsockname(socket(&fd), place, length) })
}

/// The peer's address and port.
///
/// # Errors
///
/// `NOTCONN`, `NOTSOCK`; `AFNOSUPPORT` if it is no internet socket.
pub fn peer_name(fd: BorrowedFd<'_>) -> Result<SocketAddr, Errno> {
    // SAFETY: room for `length` bytes is given.
    Address::read(|place, length| unsafe { ws::getpeername(socket(&fd), place, length) })
}

/// Whether the descriptor is a TCP socket over IPv4 or IPv6.
pub fn is_stream_tcp(fd: BorrowedFd<'_>) -> bool {
    let kind = option::<i32>(&fd, ws::SOL_SOCKET, ws::SO_TYPE);
    let internet = local_name(fd).is_ok();
    kind == Ok(ws::SOCK_STREAM) && internet
}

/// The state of the connection.
///
/// # Errors
///
/// `NOTSOCK`.
pub fn state(fd: BorrowedFd<'_>) -> Result<State, Errno> {
    match peer_name(fd) {
        Ok(_) => Ok(State::Established),
        Err(Errno::NOTSOCK) => Err(Errno::NOTSOCK),
        Err(_) => Ok(State::Closed),
    }
}

/// Would be the system's number of this socket, which Windows does not tell.
///
/// # Errors
///
/// Always `OPNOTSUPP`.
pub fn cookie(_fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    Err(Errno::OPNOTSUPP)
}

/// Whether names mean the same for both sockets: processes that see each other's named objects have one network compartment.
pub fn same_stack(_one: BorrowedFd<'_>, _other: BorrowedFd<'_>) -> bool {
    true
}

/// Whether the socket is non-blocking: Windows does not tell, so the front end does.
///
/// # Errors
///
/// Always `OPNOTSUPP`.
pub fn is_nonblocking(_fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Err(Errno::OPNOTSUPP)
}

/// `SO_SNDTIMEO` or `SO_RCVTIMEO`: how long a blocking call may take, `None` for no limit.
///
/// # Errors
///
/// As getsockopt.
pub fn timeout(fd: BorrowedFd<'_>, direction: Direction) -> Result<Option<Duration>, Errno> {
    let name = match direction {
        Direction::Send => ws::SO_SNDTIMEO,
        Direction::Receive => ws::SO_RCVTIMEO,
    };
    let milliseconds = option::<u32>(&fd, ws::SOL_SOCKET, name)?;
    Ok((milliseconds != 0).then(|| Duration::from_millis(milliseconds.into())))
}

/// `SO_LINGER`: how long close waits for unsent data, `None` if it is off. Zero: close resets the connection.
///
/// # Errors
///
/// As getsockopt.
pub fn linger(fd: BorrowedFd<'_>) -> Result<Option<Duration>, Errno> {
    let value = option::<[u16; 2]>(&fd, ws::SOL_SOCKET, ws::SO_LINGER)?;
    Ok((value[0] != 0).then(|| Duration::from_secs(value[1].into())))
}

/// Close does not wait for unsent data any more, which the system goes on sending. A connection that close is to reset is still
/// reset; see [`linger`].
///
/// # Errors
///
/// As getsockopt and setsockopt.
pub fn stop_lingering(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    match linger(fd.clone())? {
        Some(limit) if !limit.is_zero() => set_linger(&fd, ws::LINGER { l_onoff: 0, l_linger: 0 }),
        _ => Ok(()),
    }
}

/// `SO_OOBINLINE`: whether urgent data is in the normal stream.
///
/// # Errors
///
/// As getsockopt.
pub fn out_of_band_inline(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    option::<i32>(&fd, ws::SOL_SOCKET, ws::SO_OOBINLINE).map(|on| on != 0)
}

/// How many bytes make the socket readable: always 1, as Windows has no `SO_RCVLOWAT`.
///
/// # Errors
///
/// None.
pub fn receive_low_water(_fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    Ok(1)
}

/// Whether the system holds small writes back until it is told otherwise: Windows has no such option.
///
/// # Errors
///
/// None.
pub fn is_corked(_fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(false)
}

/// Bytes that have arrived and were not received yet (`FIONREAD`).
///
/// # Errors
///
/// `INVAL` for a listener.
pub fn unread(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut bytes = 0;
    // SAFETY: the answer is one u32.
    done(unsafe { ws::ioctlsocket(socket(&fd), ws::FIONREAD, &raw mut bytes) })?;
    Ok(bytes as usize)
}

/// An option's value.
fn option<T: Copy + Default>(fd: &BorrowedFd<'_>, level: i32, name: i32) -> Result<T, Errno> {
    let mut value = T::default();
    let mut length = size_of::<T>() as i32;
    // SAFETY: at most the value is written; all that is asked for are integers, valid with any bytes.
    done(unsafe { ws::getsockopt(socket(fd), level, name, (&raw mut value).cast(), &raw mut length) })?;
    Ok(value)
}

fn set_linger(fd: &BorrowedFd<'_>, value: ws::LINGER) -> Result<(), Errno> {
    let (place, length) = ((&raw const value).cast(), size_of::<ws::LINGER>() as i32);
    // SAFETY: exactly the value is read.
    done(unsafe { ws::setsockopt(socket(fd), ws::SOL_SOCKET, ws::SO_LINGER, place, length) })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::windows::io::AsRawSocket;

    use super::super::fd::borrow;
    use super::*;

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let one = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        (one, listener.accept().expect("accepted").0)
    }

    fn fd(socket: &TcpStream) -> BorrowedFd<'static> {
        borrow(socket.as_raw_socket() as i32)
    }

    /// As recv(2) and send(2) with MSG_DONTWAIT on Linux, on blocking sockets.
    #[test]
    fn nothing_waits() {
        let (one, two) = connection();
        let mut bytes = [0; 8];
        let mut take = |flags| recv(fd(&two), &mut [IoSliceMut::new(&mut bytes)], flags).map(|got| got.len);
        assert_eq!(take(Flags::NONE), Err(Errno::AGAIN));
        assert_eq!(send(fd(&one), &[IoSlice::new(b"abc"), IoSlice::new(b"d")], Flags::NO_SIGNAL), Ok(4));
        while unread(fd(&two)) != Ok(4) {
            std::thread::yield_now();
        }
        assert_eq!((take(Flags::PEEK), take(Flags::NONE)), (Ok(4), Ok(4)));
        let mut sent = 0;
        let much = vec![7; 1 << 20];
        let error = loop {
            match send(fd(&one), &[IoSlice::new(&much)], Flags::NO_SIGNAL) {
                Ok(some) => sent += some,
                Err(error) => break error,
            }
        };
        assert_eq!(error, Errno::AGAIN);
        assert!(sent > 0);
        shutdown(fd(&two), Shutdown::Write).expect("connected");
        let end = loop {
            match recv(fd(&one), &mut [IoSliceMut::new(&mut [0; 8])], Flags::NONE) {
                Err(Errno::AGAIN) => std::thread::yield_now(),
                other => break other,
            }
        };
        assert_eq!(end, Ok(Received { len: 0 }));
    }

    #[test]
    fn names_and_options_are_told() {
        let (one, two) = connection();
        assert_eq!(local_name(fd(&one)), peer_name(fd(&two)));
        assert_eq!(local_name(fd(&one)).ok(), one.local_addr().ok());
        assert_eq!(state(fd(&one)), Ok(State::Established));
        assert!(is_stream_tcp(fd(&one)));
        one.set_read_timeout(Some(Duration::from_millis(1500))).expect("an open socket");
        assert_eq!(timeout(fd(&one), Direction::Receive), Ok(Some(Duration::from_millis(1500))));
        assert_eq!(timeout(fd(&one), Direction::Send), Ok(None));
        assert_eq!(linger(fd(&one)), Ok(None));
    }
}
