//! What a front end (the libc calls, ws2_32, the SPI) asks of the switch.
//!
//! All functions are safe to call from any thread, from signal handlers and in forked children; none
//! allocates on the data path. They make raw system calls only, never libc's.

use std::io::{IoSlice, IoSliceMut};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use crate::config::{Config, TRACE_VARIABLE};
use crate::family::record;
use crate::family::{self, Attach, Life, Role, table};
use crate::reason::Reason;
use crate::registry::{self, BuiltIn, Settings};
use crate::service::pump;
use crate::stream::state::Stream;
use crate::stream::{close, readiness, recv as receive, send as transmit, urgent};
use crate::wait::{epoll, sets};
use crate::{process, trace};

/// A socket that the switch tracks, found by its descriptor. Valid for the duration of one call.
#[derive(Clone, Copy, Debug)]
pub struct Socket {
    pub(crate) fd: i32,
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// Whether the switch did the work of a call, or the front end passes it to the kernel unchanged.
#[derive(Debug)]
pub enum Outcome<T> {
    /// Done here, with the result to hand to the program.
    Served(Result<T, Errno>),
    /// Not the switch's business.
    Pass,
}

/// One entry of a poll set, and one event of an epoll set, laid out as the C library has them.
pub use wsd_os::poll::{EpollEvent, PollFd};

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

/// Before `fork(2)`: takes what must be consistent across it, and counts the child as a holder of what it will inherit.
pub fn before_fork() {
    process::before_fork();
}

/// After `fork(2)` in the parent. `failed`: there is no child.
pub fn after_fork_in_parent(failed: bool) {
    process::after_fork_in_parent(failed);
}

/// After `fork(2)` in the child.
pub fn after_fork_in_child() {
    process::after_fork_in_child();
}

/// Before `execve(2)` and, in the parent, before a spawn: sockets that survive into the new image go back to TCP for good.
pub fn before_exec() {
    process::before_exec();
}

/// The process is about to end, or to become another program: what it has written and this process still holds leaves it first,
/// in bounded time.
pub fn ending() {
    pump::settle(Reason::Exec);
}

/// `execve(2)` returned: the process goes on.
pub fn exec_failed() {
    process::exec_failed();
}

/// The socket behind `fd`, if tracked. One bounds check and a few loads.
#[inline]
pub fn find(fd: i32) -> Option<Socket> {
    let family = family::get()?;
    let index = table::find(family, fd)?;
    let generation = family.record(index).generation.load(wsd_os::atomic::Ordering::Acquire);
    Some(Socket { fd, index, generation })
}

/// A new descriptor came from `socket(2)`. Tracks it if it is a TCP stream socket.
pub fn opened(fd: i32, domain: i32, kind: i32, protocol: i32) {
    const INET: i32 = 2;
    const INET6: i32 = 10;
    const STREAM: i32 = 1;
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
}

/// `connect(2)` returned `result` (`EINPROGRESS` included).
pub fn connected(socket: Socket, result: Result<(), Errno>) {
    let Some(stream) = Stream::of(socket) else { return };
    let record = stream.record;
    match result {
        Ok(()) | Err(Errno::ISCONN) => record.set_life(Life::Connected),
        Err(Errno::INPROGRESS | Errno::INTR) => record.set_life(Life::Connecting),
        Err(_) => return,
    }
    record.role.store(Role::Connector as u32, wsd_os::atomic::Ordering::Release);
}

/// `listen(2)` succeeded.
pub fn listening(socket: Socket) {
    if let Some(stream) = Stream::of(socket) {
        stream.record.set_life(Life::Listening);
        stream.record.set_attach(Attach::Never);
    }
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
            epoll::duplicated(old, new);
        }
    }
}

/// Before the kernel closes `fd` (socket or epoll set). If this is the last descriptor of a promoted connection the end of the
/// stream is told to the peer first. Does nothing in a `vfork` child.
pub fn closing(fd: i32) {
    let Some(family) = family::get() else { return };
    epoll::closing(fd);
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
    for fd in first..=last.min(highest.max(epoll::highest())) {
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

/// Receives. `flags` and `kernel` as in [`send`]. 0 means end of stream.
///
/// # Errors
/// As `recv(2)`.
#[inline]
pub fn recv(
    socket: Socket,
    data: &mut [IoSliceMut<'_>],
    flags: u32,
    mut kernel: impl FnMut(u32) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    match Stream::of(socket) {
        Some(stream) => receive::recv(stream, data, flags, &mut kernel),
        None => kernel(0),
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
        stream.record.mirror(stream.borrow());
    }
}

/// `O_NONBLOCK` was set or cleared (`fcntl`, `FIONBIO`).
pub fn nonblocking_changed(socket: Socket, on: bool) {
    if let Some(stream) = Stream::of(socket) {
        stream.record.set_option(record::NONBLOCK, on);
    }
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

/// `SO_ERROR` of a promoted connection, cleared by the call; `None`: ask the kernel.
pub fn take_error(socket: Socket) -> Option<Errno> {
    let stream = Stream::of(socket)?;
    let reset = readiness::of(&stream).events & readiness::ERR != 0
        && stream.record.recv.common.flag(record::RESET_SEEN);
    reset.then_some(Errno::CONNRESET)
}

/// `poll(2)`, `ppoll(2)`; `select` is turned into this by the front end. `timeout` `None` waits without limit.
pub fn poll(fds: &mut [PollFd], timeout: Option<Duration>, mask: Option<&SignalMask>) -> Outcome<usize> {
    sets::poll(fds, timeout, mask)
}

/// `epoll_ctl(2)`. `kernel` makes the kernel's call with the event it is given, which may carry another datum than the program's:
/// the switch translates it back in [`epoll_wait`].
///
/// # Errors
/// As `epoll_ctl(2)`.
pub fn epoll_ctl(
    epfd: i32,
    op: i32,
    fd: i32,
    event: Option<EpollEvent>,
    mut kernel: impl FnMut(Option<EpollEvent>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    epoll::control(epfd, op, fd, event, &mut kernel)
}

/// A descriptor that is not tracked is added to an epoll set: if it is an epoll set itself, the kernel alone must know what is ready in it.
pub fn watched(fd: i32) {
    epoll::expose(fd);
}

/// `epoll_wait(2)`, `epoll_pwait(2)`, `epoll_pwait2(2)`.
pub fn epoll_wait(
    epfd: i32,
    events: &mut [EpollEvent],
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
) -> Outcome<usize> {
    epoll::wait(epfd, events, timeout, mask)
}
