//! What a front end (the libc calls, ws2_32, the SPI) asks of the switch.
//!
//! All functions are safe to call from any thread, from signal handlers and in forked children; none
//! allocates on the data path. They make raw system calls only, never libc's.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use wsd_os::Errno;
use wsd_os::fd::OwnedFd;

use crate::config::{Config, TRACE_VARIABLE};
use crate::family::record;
use crate::family::{self, Attach, Life, Role, table};
use crate::first::{self, connecting, listening as sanlisten};
use crate::reason::Reason;
use crate::registry::{self, BuiltIn, Settings};
use crate::service::pump;
use crate::stream::state::Stream;
use crate::stream::{close, hashing, readiness, recv as receive, send as transmit, urgent};
use crate::wait::{sets, watchers};
use crate::{networks, process, sharing, trace};

/// A socket that the switch tracks, found by its descriptor. Valid for the duration of one call.
#[derive(Clone, Copy, Debug)]
pub struct Socket {
    pub(crate) fd: i32,
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Socket {
    /// The descriptor by which it was found.
    pub fn descriptor(self) -> i32 {
        self.fd
    }
}

/// Whether the switch did the work of a call, or the front end passes it to the kernel unchanged.
#[derive(Debug)]
pub enum Outcome<T> {
    /// Done here, with the result to hand to the program.
    Served(Result<T, Errno>),
    /// Not the switch's business.
    Pass,
}

#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
mod fork;
#[cfg(windows)]
mod pending;

#[cfg(target_os = "linux")]
pub use epoll::{EpollEvent, epoll_ctl, epoll_wait, watched};
#[cfg(target_os = "linux")]
pub use fork::{
    after_fork_in_child, after_fork_in_parent, before_fork, exec_failed, forget_in_child, serve_in_child,
};
#[cfg(windows)]
pub use pending::{
    Event, Observer, Operation, Turn, Way, Which, cancel, enable, is_pending, observe, submit, turn,
};
/// One entry of a poll set, laid out as the C library has it.
pub use wsd_os::poll::PollFd;
/// How [`accept`] makes a descriptor.
pub use wsd_os::tcp::DescriptorFlags;

/// Signal mask of `ppoll`, `pselect` and `epoll_pwait`: the kernel's 64-bit form.
pub type SignalMask = u64;

/// Prepares the process: settings from the environment (`variable` reads one), family region, this process's slot.
/// Called once from the library's constructor; before it, and after a failure, everything passes to the kernel.
///
/// # Errors
/// What is wrong with the configuration, or with the process's limits, in words for the user.
pub fn start(built_in: &[BuiltIn], variable: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    if let Some(path) = variable(TRACE_VARIABLE).filter(|path| !path.is_empty()) {
        trace::start(Path::new(&path)).map_err(|error| format!("cannot write the trace {path}: {error}"))?;
    }
    let config = Config::from_environment(variable).map_err(|error| error.to_string())?;
    registry::settle(Settings { config, built_in: built_in.to_vec() });
    process::start().map_err(|error| format!("cannot set up shared memory: {error}"))
}

/// Before `execve(2)` and, in the parent, before a spawn: sockets that survive into the new image go back to TCP for good.
pub fn before_exec() {
    process::before_exec();
}

/// The process is about to end, or to become another program: what it has written and this process still holds leaves it first,
/// in bounded time.
pub fn ending() {
    process::close_san_first();
    pump::settle(Reason::Exec);
}

/// The socket behind `fd`, if tracked. One bounds check and a few loads.
#[inline]
pub fn find(fd: i32) -> Option<Socket> {
    let family = family::get()?;
    let index = table::find(family, fd)?;
    let generation = family.record(index).generation.load(wsd_os::atomic::Ordering::Acquire);
    Some(Socket { fd, index, generation })
}

/// `AF_INET`.
const INET: i32 = 2;
/// `SOCK_STREAM`.
const STREAM: i32 = 1;

/// A new descriptor came from `socket(2)`. Tracks it if it is a TCP stream socket.
pub fn opened(fd: i32, domain: i32, kind: i32, protocol: i32) {
    const INET6: i32 = 10;
    const TCP: i32 = 6;
    reused(fd);
    if (domain == INET || domain == INET6) && kind & 0xF == STREAM && (protocol == 0 || protocol == TCP) {
        process::track(fd, Life::Opened, Role::None);
    }
}

/// A new descriptor came from `accept(2)` on `listener`.
pub fn accepted(_listener: Socket, fd: i32) {
    reused(fd);
    process::track(fd, Life::Connected, Role::Acceptor);
    if let Some(stream) = find(fd).and_then(Stream::of) {
        connecting::stay_on_tcp(&stream);
    }
}

/// A socket that is known already is one end of a connection that was accepted (AcceptEx). What it has moved so far counts.
#[cfg(windows)]
pub fn accepted_before(socket: Socket) {
    let Some(stream) = Stream::of(socket) else { return };
    stream.record.set_life(Life::Connected);
    stream.record.role.store(Role::Acceptor as u32, wsd_os::atomic::Ordering::Release);
    connecting::stay_on_tcp(&stream);
    watchers::news(stream.index);
}

/// A connection is ended so that its socket can be used for another one (DisconnectEx).
#[cfg(windows)]
pub fn disconnected(socket: Socket) {
    if let Some(stream) = Stream::of(socket) {
        stream.record.set_life(Life::Disconnected);
    }
}

/// A socket is about to be connected, or accepted into. After [`disconnected`] that is another connection, and it is known by a
/// [`Socket`] of its own: whether it is so.
#[cfg(windows)]
pub fn begins_anew(fd: i32) -> bool {
    let Some(stream) = find(fd).and_then(Stream::of) else { return false };
    if stream.record.life() != Life::Disconnected {
        return false;
    }
    let nonblocking = stream.record.has(record::NONBLOCK);
    opened(fd, INET, STREAM, 0);
    if let Some(found) = find(fd) {
        nonblocking_changed(found, nonblocking);
        option_changed(found, 0, 0);
    }
    true
}

/// `connect(2)` returned `result` (`EINPROGRESS` included).
pub fn connected(socket: Socket, result: Result<(), Errno>) {
    let Some(stream) = Stream::of(socket) else { return };
    let record = stream.record;
    match result {
        Ok(()) | Err(Errno::ISCONN) => record.set_life(Life::Connected),
        Err(Errno::INPROGRESS | Errno::INTR) => record.set_life(Life::Connecting),
        Err(Errno::ALREADY) => return,
        Err(_) => return connecting::tcp_failed(&stream),
    }
    record.role.store(Role::Connector as u32, wsd_os::atomic::Ordering::Release);
    #[cfg(windows)]
    watchers::news(stream.index);
}

/// Whether [`peer_known`] wants to be told. One load.
pub fn asks_for_peers() -> bool {
    networks::any() && !registry::connects_san_first()
}

/// The other end of a connection that was accepted, or is being made, has this name. To be told before the first byte is moved, while
/// [`asks_for_peers`]: a connection that may be to another host is hashed from its first byte on, so that it can be proven there
/// that both ends have the same one (session protocol, section 9).
pub fn peer_known(socket: Socket, peer: SocketAddr) {
    if let Some(stream) = Stream::of(socket) {
        hashing::peer_known(&stream, peer.ip());
    }
}

/// `listen(2)` succeeded.
pub fn listening(socket: Socket) {
    if let Some(stream) = Stream::of(socket) {
        stream.record.set_life(Life::Listening);
        stream.record.set_attach(Attach::Never);
    }
}

/// Whether this process lets the SAN connect and accept first: then [`connect`], [`listen`] and [`accept`] are to be asked,
/// and [`local_name`] and [`peer_name`].
pub fn connects_san_first() -> bool {
    registry::connects_san_first() && family::get().is_some()
}

/// `connect(2)` by the SAN, and by TCP where SW-063 says so. On a blocking socket it waits, at most for SO_SNDTIMEO and until a
/// signal comes; the connection goes on being made then.
///
/// The end of what is under way is told by readiness: the socket polls writable, after a failure with ERR and HUP too. The
/// result is told once, by [`take_error`] or by the next call of this function.
///
/// `Pass`: the connection is TCP's, new or under way there (a fallback): make TCP's call and report it by [`connected`].
///
/// # Errors
/// As `connect(2)`: `EINPROGRESS`, `EALREADY`, `EISCONN`, `EINTR`; `ECONNREFUSED` and `EHOSTUNREACH` if the SAN says so
/// (SW-064).
pub fn connect(socket: Socket, peer: SocketAddr) -> Outcome<()> {
    match Stream::of(socket) {
        Some(stream) => connecting::connect(&stream, peer),
        None => Outcome::Pass,
    }
}

/// TCP's `listen(2)` with `backlog` has succeeded (SW-080): now the providers listen too (SW-081). Waits for them, boundedly. A
/// provider that cannot is left out (SW-082), so nothing fails here.
pub fn listen(socket: Socket, backlog: i32) {
    if let Some(stream) = Stream::of(socket) {
        sanlisten::listen(&stream, backlog);
    }
}

/// A connection that [`accept`] could return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Name of this end, in the form of the listener's family.
    pub local: SocketAddr,
    /// Name of the other end.
    pub peer: SocketAddr,
}

/// What an application's condition function answers (SW-092).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Accept it.
    Accept,
    /// Reset it, and ask for the next.
    Reject,
    /// Leave it first in the queue; the call says `EAGAIN`.
    Defer,
}

/// What [`accept`] returns.
#[derive(Debug)]
pub enum Accepted {
    /// A connection of the SAN, tracked already, under a new descriptor.
    San {
        /// The descriptor.
        fd: OwnedFd,
        /// Name of this end.
        local: SocketAddr,
        /// Name of the other end.
        peer: SocketAddr,
    },
    /// What TCP's accept returned: report it by [`accepted`].
    Tcp(i32),
}

/// `accept(2)` from the SAN's queue and TCP's, in turn (SW-084). A blocking listener waits for both, at most for SO_RCVTIMEO and
/// until a signal comes. `flags`: how the descriptor is made. `condition` is asked of each connection of the SAN, on this thread;
/// it may call any function of this module. `kernel` makes TCP's accept; it is called only while that does not wait, with signal
/// handlers deferred, and must not unwind.
///
/// `Pass`: TCP alone listens (in this process): make its call.
///
/// # Errors
/// As `accept(2)`.
pub fn accept(
    listener: Socket,
    flags: DescriptorFlags,
    mut condition: impl FnMut(&Request) -> Verdict,
    mut kernel: impl FnMut() -> Result<i32, Errno>,
) -> Outcome<Accepted> {
    match Stream::of(listener) {
        Some(stream) => sanlisten::accept(&stream, flags, &mut condition, &mut kernel),
        None => Outcome::Pass,
    }
}

/// `getsockname(2)` of a connection that the SAN made; `None`: ask the kernel.
pub fn local_name(socket: Socket) -> Option<SocketAddr> {
    first::local_name(&Stream::of(socket)?)
}

/// `getpeername(2)` of a connection that the SAN made; `None`: ask the kernel.
pub fn peer_name(socket: Socket) -> Option<SocketAddr> {
    first::peer_name(&Stream::of(socket)?)
}

pub use crate::sharing::Shared;

/// Another process is to use the connection or listener too (WSPDuplicateSocket of an application socket, SW-180): what it needs besides
/// a descriptor of the kernel's socket. This process goes on controlling it until the other one uses it.
///
/// # Errors
/// `EOPNOTSUPP`: not a connection or listener of the SAN, or a connection whose provider maps memory; `EMFILE`; `ENOMEM`.
pub fn share(socket: Socket) -> Result<Shared, Errno> {
    sharing::share(&Stream::of(socket).ok_or(Errno::BADF)?)
}

/// The other end of [`share`]: `fd` is the kernel's socket, as it came, and is the connection or listener from now on.
///
/// # Errors
/// `EINVAL`: `shared` is not what [`share`] gave; `EMFILE`: too many processes share it already, or the number of the descriptor is not
/// tracked; `ENFILE`; `ENOMEM`; `ECONNRESET`: this process has just closed the connection, and nobody lets it leave.
pub fn join(fd: i32, shared: Shared) -> Result<(), Errno> {
    reused(fd);
    sharing::join(family::get().ok_or(Errno::OPNOTSUPP)?, fd, shared)
}

/// `new` now refers to what `old` refers to (`dup`, `dup2`, `dup3`, `F_DUPFD`). For `dup2` call [`closing`] on `new` before.
pub fn duplicated(old: i32, new: i32) {
    let Some(family) = family::get() else { return };
    if table::in_vfork_child() {
        return;
    }
    match table::find(family, old) {
        Some(index) => drop(table::insert(family, new, index)),
        None => {
            reused(new);
            watchers::duplicated(old, new);
        }
    }
}

/// Before the kernel closes `fd` (socket or epoll set). If this is the last descriptor of a promoted connection the end of the
/// stream is told to the peer first. Does nothing in a `vfork` child.
pub fn closing(fd: i32) {
    let Some(family) = family::get() else { return };
    watchers::closing(fd);
    if table::find(family, fd).is_some() && !table::in_vfork_child() {
        process::untrack(family, fd);
    }
}

/// [`closing`] for every tracked descriptor in `first..=last`.
pub fn closing_range(first: u32, last: u32) {
    let Some(family) = family::get() else { return };
    if table::in_vfork_child() {
        return;
    }
    let highest = family.me().descriptors.load(wsd_os::atomic::Ordering::Acquire);
    for fd in first..=last.min(highest.max(watchers::highest())) {
        if let Ok(fd) = i32::try_from(fd) {
            closing(fd);
        }
    }
}

/// A descriptor of another kind appeared under this number: whatever was tracked under it was closed by an unseen way.
pub fn reused(fd: i32) {
    closing(fd);
}

/// Takes the connection to TCP for good because a call needs it there; waits (bounded) until its bytes flow by TCP.
///
/// # Errors
/// `ECONNRESET` if that was impossible and the connection had to be given up.
pub fn leave(socket: Socket, reason: Reason) -> Result<(), Errno> {
    match Stream::of(socket) {
        Some(stream) => process::leave(&stream, reason),
        None => Ok(()),
    }
}

/// Sends. `flags` are those of `send(2)`. `kernel(extra_flags)` makes the program's own call on the kernel socket with `extra_flags`
/// added; it is called at most once per attempt, with the switch holding no lock. Raises SIGPIPE itself where TCP would.
///
/// # Errors
/// As `send(2)`.
#[inline]
pub fn send(
    socket: Socket,
    data: &[IoSlice<'_>],
    flags: u32,
    mut kernel: impl FnMut(u32) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    match Stream::of(socket) {
        Some(stream) => transmit::send(stream, data, flags, &mut kernel),
        None => kernel(0),
    }
}

/// For calls that send without the program's memory (`sendfile`): makes `kernel`'s call, which returns how many bytes it sent, if
/// the connection is on TCP; `None`, without calling it, if its bytes have to go through [`send`] now, also because they are hashed.
pub fn send_by_kernel(
    socket: Socket,
    kernel: impl FnOnce() -> Result<usize, Errno>,
) -> Option<Result<usize, Errno>> {
    match Stream::of(socket) {
        Some(stream) => transmit::by_kernel(&stream, kernel),
        None => Some(kernel()),
    }
}

/// Receives. `flags` and `kernel` as in [`send`]; `kernel` gets `data` back. 0 means end of stream.
///
/// # Errors
/// As `recv(2)`.
#[inline]
pub fn recv(
    socket: Socket,
    data: &mut [IoSliceMut<'_>],
    flags: u32,
    mut kernel: impl FnMut(&mut [IoSliceMut<'_>], u32) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    match Stream::of(socket) {
        Some(stream) => receive::recv(stream, data, flags, &mut kernel),
        None => kernel(data, 0),
    }
}

/// `shutdown(2)`; `kernel` shuts the kernel socket down.
///
/// # Errors
/// As `shutdown(2)`.
pub fn shutdown(
    socket: Socket,
    how: i32,
    mut kernel: impl FnMut() -> Result<(), Errno>,
) -> Result<(), Errno> {
    match Stream::of(socket) {
        Some(stream) => close::shutdown(&stream, how, &mut kernel),
        None => kernel(),
    }
}

/// An option was set with success on the kernel socket; the switch reads back what it mirrors.
pub fn option_changed(socket: Socket, _level: i32, _name: i32) {
    if let Some(stream) = Stream::of(socket) {
        stream.record.mirror(&stream.borrow());
    }
}

/// `O_NONBLOCK` was set or cleared (`fcntl`, `FIONBIO`).
pub fn nonblocking_changed(socket: Socket, on: bool) {
    if let Some(stream) = Stream::of(socket) {
        stream.record.set_option(record::NONBLOCK, on);
    }
}

/// Whether the socket is non-blocking, as far as the program has said.
pub fn is_nonblocking(socket: Socket) -> bool {
    Stream::of(socket).is_some_and(|stream| stream.record.has(record::NONBLOCK))
}

/// `FIONREAD` of a promoted connection; `None`: ask the kernel.
pub fn readable_bytes(socket: Socket) -> Option<usize> {
    receive::readable_bytes(&Stream::of(socket)?)
}

/// `SIOCOUTQ` of a promoted connection; `None`: ask the kernel.
pub fn unsent_bytes(socket: Socket) -> Option<usize> {
    transmit::unsent_bytes(&Stream::of(socket)?)
}

/// `SIOCATMARK` of a promoted connection; `None`: ask the kernel.
pub fn at_mark(socket: Socket) -> Option<bool> {
    urgent::at_mark(&Stream::of(socket)?)
}

/// `SO_ERROR` of a promoted connection, or of one that the SAN could not make, cleared by the call; `None`: ask the kernel.
pub fn take_error(socket: Socket) -> Option<Errno> {
    let stream = Stream::of(socket)?;
    if let Some(error) = stream.record.take_connect_error() {
        return Some(error);
    }
    let reset = readiness::of(&stream).events & readiness::ERR != 0
        && stream.record.recv.common.flag(record::RESET_SEEN);
    reset.then_some(Errno::CONNRESET)
}

/// `poll(2)`, `ppoll(2)`; `select` is turned into this by the front end. `timeout` `None` waits without limit.
pub fn poll(fds: &mut [PollFd], timeout: Option<Duration>, mask: Option<&SignalMask>) -> Outcome<usize> {
    sets::poll(fds, timeout, mask)
}
