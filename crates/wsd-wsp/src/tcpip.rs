//! The application socket's kernel socket, which never blocks: TCP/IP serves it, and a SAN where the switch can (SW-004).

use core::time::Duration;
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendFlags,
    Shutdown, SocketFlags, SocketType, ipproto, sockopt,
};
use wsd_os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd, hidden};
use wsd_os::poll::{PollFd, ppoll};
use wsd_spi::ffi::{AF_INET6, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM};
use wsd_spi::{SockAddr, WsaError};
use wsd_switch::front::{self, Accepted, DescriptorFlags, Outcome, Request, Shared, Verdict};
use wsd_switch::reason::Reason;

use crate::convert;

/// What a socket of the program's is: checked when it is made, the same ever after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// `AF_INET` or `AF_INET6`.
    pub(crate) family: i32,
    /// `SOCK_STREAM`, `SOCK_DGRAM` or `SOCK_RAW`.
    pub(crate) socket_type: i32,
    /// Protocol number.
    pub(crate) protocol: i32,
}

impl Kind {
    pub(crate) fn is_stream(self) -> bool {
        self.socket_type == SOCK_STREAM
    }
}

/// A kernel socket, non-blocking. The switch tracks those of TCP, whose bytes may go by a SAN.
pub(crate) struct Kernel(OwnedFd);

impl Drop for Kernel {
    fn drop(&mut self) {
        front::closing(self.raw_fd());
    }
}

/// What a receive got.
pub(crate) struct Received {
    pub(crate) bytes: usize,
    /// The message was longer.
    pub(crate) truncated: bool,
    pub(crate) from: Option<SockAddr>,
}

/// Pieces that one kernel call takes (`UIO_MAXIOV`).
const PIECES: usize = 1024;

impl Kernel {
    /// A new socket.
    pub(crate) fn open(kind: Kind) -> Result<Self, WsaError> {
        let family = if kind.family == AF_INET6 { AddressFamily::INET6 } else { AddressFamily::INET };
        let socket_type = match kind.socket_type {
            SOCK_DGRAM => SocketType::DGRAM,
            SOCK_RAW => SocketType::RAW,
            _ => SocketType::STREAM,
        };
        let protocol = match kind.protocol.cast_unsigned() {
            0 => None,
            number => core::num::NonZeroU32::new(number).map(Protocol::from_raw),
        };
        let protocol = if kind.is_stream() { Some(ipproto::TCP) } else { protocol };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = hidden(|| rustix::net::socket_with(family, socket_type, flags, protocol));
        let kernel = Self(fd.map_err(convert::error)?);
        let [family, socket_type] = [family.as_raw().into(), socket_type.as_raw().cast_signed()];
        front::opened(kernel.raw_fd(), family, socket_type, kind.protocol);
        if kind.family == AF_INET6 {
            // As in Winsock, where a socket of IPv6 serves IPv4 only when asked to.
            sockopt::set_ipv6_v6only(kernel.fd(), true).map_err(convert::error)?;
        }
        Ok(kernel)
    }

    /// A socket that another process handed over; `shared`: what belongs to a connection or listener of a SAN.
    pub(crate) fn adopt(fd: OwnedFd, shared: Option<Shared>) -> Result<Self, WsaError> {
        rustix::io::ioctl_fionbio(&fd, true).map_err(convert::error)?;
        let kernel = Self(fd);
        match shared {
            Some(shared) => front::join(kernel.raw_fd(), shared).map_err(convert::error)?,
            None => front::reused(kernel.raw_fd()),
        }
        Ok(kernel)
    }

    /// Another descriptor of the same socket, for another process: by TCP/IP from now on, but for a connection or listener of a SAN,
    /// with which goes what comes second.
    ///
    /// # Errors
    /// `WSAEOPNOTSUPP`: a SAN is making the connection.
    pub(crate) fn duplicate(&self) -> Result<(Self, Option<Shared>), WsaError> {
        let shared = match self.tracked().map(|socket| (socket, front::share(socket))) {
            Some((_, Ok(shared))) => Some(shared),
            Some((socket, Err(Errno::OPNOTSUPP))) => {
                front::leave(socket, Reason::PassedOn).map_err(convert::error)?;
                None
            }
            Some((_, Err(error))) => return Err(convert::error(error)),
            None => None,
        };
        let twin = Self(self.0.duplicate().map_err(convert::error)?);
        if shared.is_some() {
            // It keeps the socket, should the program close it before the other process has it.
            front::duplicated(self.raw_fd(), twin.raw_fd());
        }
        Ok((twin, shared))
    }

    /// The switch's view of the socket.
    pub(crate) fn tracked(&self) -> Option<front::Socket> {
        front::find(self.raw_fd())
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(crate) fn bind(&self, name: SockAddr) -> Result<(), WsaError> {
        rustix::net::bind(self.fd(), &name.socket_addr()).map_err(convert::error)
    }

    /// TCP/IP first (SW-080), then every SAN that fits.
    pub(crate) fn listen(&self, backlog: i32) -> Result<(), WsaError> {
        rustix::net::listen(self.fd(), backlog).map_err(convert::error)?;
        if let Some(socket) = self.tracked() {
            front::listen(socket, backlog);
        }
        Ok(())
    }

    /// The oldest connection of TCP/IP's queue or of a SAN's, in turn, and the peer's name; `WSAEWOULDBLOCK` if there is none.
    /// `condition` is asked of those of a SAN, with no lock of the switch held (SW-092).
    pub(crate) fn accept(
        &self,
        mut condition: impl FnMut(&Request) -> Verdict,
    ) -> Result<(Self, SockAddr), WsaError> {
        loop {
            match self.accept_once(&mut condition) {
                Ok(kernel) => {
                    // Reset already: as if it had never been there.
                    let Ok(peer) = kernel.peer_name() else { continue };
                    return Ok((kernel, peer));
                }
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(error) => return Err(convert::error(error)),
            }
        }
    }

    fn accept_once(&self, condition: impl FnMut(&Request) -> Verdict) -> Result<Self, Errno> {
        let Some(socket) = self.tracked() else { return self.accept_by_tcp() };
        let flags = DescriptorFlags { close_on_exec: true, nonblocking: true };
        let mut by_tcp = None;
        let accepted = front::accept(socket, flags, condition, || {
            let kernel = by_tcp.insert(self.accept_by_tcp()?);
            Ok(kernel.raw_fd())
        });
        let by_tcp = match accepted {
            Outcome::Served(Ok(Accepted::San { fd, .. })) => return Ok(Self(fd)),
            Outcome::Served(result) => result.map(|_| by_tcp)?.ok_or(Errno::AGAIN)?,
            Outcome::Pass => self.accept_by_tcp()?,
        };
        front::accepted(socket, by_tcp.raw_fd());
        Ok(by_tcp)
    }

    fn accept_by_tcp(&self) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        hidden(|| rustix::net::accept_with(self.fd(), flags)).map(Self)
    }

    /// Starts connecting, by a SAN if one reaches the peer: `WSAEWOULDBLOCK` as a rule. For datagrams: the peer from now on.
    pub(crate) fn connect(&self, name: SockAddr) -> Result<(), WsaError> {
        let socket = self.tracked();
        let by_san = socket.filter(|_| front::connects_san_first());
        let result = match by_san.map(|socket| front::connect(socket, name.socket_addr())) {
            Some(Outcome::Served(result)) => result,
            Some(Outcome::Pass) | None => {
                let result = rustix::net::connect(self.fd(), &name.socket_addr());
                if let Some(socket) = socket {
                    front::connected(socket, result);
                }
                result
            }
        };
        match result {
            Err(Errno::INPROGRESS) => Err(WsaError::WSAEWOULDBLOCK),
            result => result.map_err(convert::error),
        }
    }

    /// Forgets the peer of a datagram socket; resets a connection.
    pub(crate) fn disconnect(&self) -> Result<(), WsaError> {
        rustix::net::connect_unspec(self.fd()).map_err(convert::error)
    }

    /// The socket's error, cleared.
    pub(crate) fn take_error(&self) -> Result<(), WsaError> {
        match self.tracked().and_then(front::take_error) {
            Some(error) => Err(convert::error(error)),
            None => sockopt::socket_error(self.fd()).unwrap_or_else(Err).map_err(convert::error),
        }
    }

    pub(crate) fn local_name(&self) -> Result<SockAddr, WsaError> {
        let name = match self.tracked().and_then(front::local_name) {
            Some(name) => Ok(name),
            None => wsd_os::tcp::local_name(self.fd()),
        };
        name.map(SockAddr::from).map_err(convert::error)
    }

    pub(crate) fn peer_name(&self) -> Result<SockAddr, WsaError> {
        let name = match self.tracked().and_then(front::peer_name) {
            Some(name) => Ok(name),
            None => wsd_os::tcp::peer_name(self.fd()),
        };
        name.map(SockAddr::from).map_err(convert::error)
    }

    /// Sends what fits now; `WSAEWOULDBLOCK` if that is nothing.
    pub(crate) fn send(
        &self,
        pieces: &[IoSlice<'_>],
        flags: SendFlags,
        to: Option<SockAddr>,
    ) -> Result<usize, WsaError> {
        let pieces = &pieces[..pieces.len().min(PIECES)];
        let flags = flags | SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let by_kernel = |extra: SendFlags| {
            let mut control = SendAncillaryBuffer::default();
            match to {
                Some(to) => rustix::net::sendmsg_addr(
                    self.fd(),
                    &to.socket_addr(),
                    pieces,
                    &mut control,
                    flags | extra,
                ),
                None => rustix::net::sendmsg(self.fd(), pieces, &mut control, flags | extra),
            }
        };
        let sent = match self.tracked() {
            Some(socket) => front::send(socket, pieces, flags.bits(), |extra| {
                by_kernel(SendFlags::from_bits_retain(extra))
            }),
            None => by_kernel(SendFlags::empty()),
        };
        sent.map_err(|error| match error {
            // The program's own shutdown is known before; what is left is the peer's doing.
            Errno::PIPE => WsaError::WSAECONNRESET,
            Errno::DESTADDRREQ => WsaError::WSAENOTCONN,
            error => convert::error(error),
        })
    }

    /// Receives what is there now; `WSAEWOULDBLOCK` if that is nothing.
    pub(crate) fn receive(
        &self,
        pieces: &mut [IoSliceMut<'_>],
        flags: RecvFlags,
    ) -> Result<Received, WsaError> {
        let count = pieces.len().min(PIECES);
        let pieces = &mut pieces[..count];
        let flags = flags | RecvFlags::DONTWAIT;
        let Some(socket) = self.tracked() else {
            return self.receive_by_kernel(pieces, flags).map_err(convert::error);
        };
        let bytes = front::recv(socket, pieces, flags.bits(), |pieces, extra| {
            let flags = flags | RecvFlags::from_bits_retain(extra);
            self.receive_by_kernel(pieces, flags).map(|received| received.bytes)
        });
        Ok(Received { bytes: bytes.map_err(convert::error)?, truncated: false, from: None })
    }

    fn receive_by_kernel(&self, pieces: &mut [IoSliceMut<'_>], flags: RecvFlags) -> Result<Received, Errno> {
        let mut control = RecvAncillaryBuffer::default();
        let message = rustix::net::recvmsg(self.fd(), pieces, &mut control, flags)?;
        let from = message.address.and_then(|address| SocketAddr::try_from(address).ok());
        Ok(Received {
            bytes: message.bytes,
            truncated: message.flags.contains(ReturnFlags::TRUNC),
            from: from.map(SockAddr::from),
        })
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> Result<(), WsaError> {
        let by_kernel = || rustix::net::shutdown(self.fd(), how);
        let done = match self.tracked() {
            Some(socket) => front::shutdown(socket, how as i32, by_kernel),
            None => by_kernel(),
        };
        done.map_err(convert::error)
    }

    /// Which of `events` (`POLL*`) there are now, with `POLLERR` and `POLLHUP`.
    pub(crate) fn ready(&self, events: i16) -> i16 {
        let mut fds = [PollFd { fd: self.raw_fd(), events, revents: 0 }];
        // Interrupted (EINTR) or refused (ENOMEM) means that nothing is known to be ready.
        let _ = poll(&mut fds, Some(Duration::ZERO));
        fds[0].revents
    }

    /// Bytes to read without waiting.
    pub(crate) fn unread(&self) -> Result<u32, WsaError> {
        let bytes = match self.tracked().and_then(front::readable_bytes) {
            Some(bytes) => bytes as u64,
            None => rustix::io::ioctl_fionread(self.fd()).map_err(convert::error)?,
        };
        Ok(u32::try_from(bytes).unwrap_or(u32::MAX))
    }

    /// Whether the next byte to read is the one behind the urgent data.
    pub(crate) fn at_mark(&self) -> Result<bool, WsaError> {
        match self.tracked().and_then(front::at_mark) {
            Some(at_mark) => Ok(at_mark),
            None => wsd_os::tcp::at_mark(self.fd()).map_err(convert::error),
        }
    }

    /// An option of the kernel's was set.
    pub(crate) fn option_changed(&self, level: i32, name: i32) {
        if let Some(socket) = self.tracked() {
            front::option_changed(socket, level, name);
        }
    }
}

/// Waits until one of `fds` is ready, wherever its bytes go.
pub(crate) fn poll(fds: &mut [PollFd], timeout: Option<Duration>) -> Result<usize, Errno> {
    match front::poll(fds, timeout, None) {
        Outcome::Served(result) => result,
        Outcome::Pass => ppoll(fds, timeout, None),
    }
}
