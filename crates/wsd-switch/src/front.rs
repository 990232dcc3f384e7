//! What a front end (the libc calls, ws2_32, the SPI) asks of the switch.
//!
//! All functions are safe to call from any thread, from signal handlers and in forked children; none
//! allocates on the data path. They make raw system calls only, never libc's.

use std::io::{IoSlice, IoSliceMut};
use std::time::Duration;

use rustix::io::Errno;

use crate::reason::Reason;

/// A socket that the switch tracks, found by its descriptor. Valid for the duration of one call.
#[derive(Clone, Copy, Debug)]
pub struct Socket {
    pub(crate) fd: i32,
    pub(crate) index: u32,
}

/// Whether the switch did the work of a call, or the front end passes it to the kernel unchanged.
#[derive(Debug)]
pub enum Outcome<T> {
    /// Done here, with the result to hand to the program.
    Served(Result<T, Errno>),
    /// Not the switch's business.
    Pass,
}

/// One entry of a poll set; the layout of `struct pollfd`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PollFd {
    /// Descriptor; negative entries are ignored.
    pub fd: i32,
    /// Requested events (`POLLIN`...).
    pub events: i16,
    /// Returned events.
    pub revents: i16,
}

/// One event of an epoll set; the layout of `struct epoll_event`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[cfg_attr(target_arch = "x86_64", repr(packed))]
pub struct EpollEvent {
    /// `EPOLLIN`... and the mode bits.
    pub events: u32,
    /// The program's own datum.
    pub data: u64,
}

/// Signal mask of `ppoll`, `pselect` and `epoll_pwait`: the kernel's 64-bit form.
pub type SignalMask = u64;

/// Prepares the process: settings from the environment, family region, this process's slot.
/// Called once from the library's constructor; calls before it pass everything.
pub fn start() {}

/// Before `fork(2)`: takes what must be consistent across it.
pub fn before_fork() {}

/// After `fork(2)` in the parent, also when it failed.
pub fn after_fork_in_parent() {}

/// After `fork(2)` in the child.
pub fn after_fork_in_child() {}

/// Before `execve(2)` and, in the parent, before a spawn: sockets that survive into the new image go back to TCP for good.
pub fn before_exec() {}

/// `execve(2)` returned: the process goes on.
pub fn exec_failed() {}

/// The socket behind `fd`, if tracked. One bounds check and one load.
#[inline]
pub fn find(_fd: i32) -> Option<Socket> {
    None
}

/// A new descriptor came from `socket(2)`. Tracks it if it is a TCP stream socket.
pub fn opened(_fd: i32, _domain: i32, _kind: i32, _protocol: i32) {}

/// A new descriptor came from `accept(2)` on `listener`.
pub fn accepted(_listener: Socket, _fd: i32) {}

/// `connect(2)` returned `result` (`EINPROGRESS` included).
pub fn connected(_socket: Socket, _result: Result<(), Errno>) {}

/// `listen(2)` succeeded.
pub fn listening(_socket: Socket) {}

/// `new` now refers to what `old` refers to (`dup`, `dup2`, `dup3`, `F_DUPFD`). For `dup2` call [`closing`] on `new` before.
pub fn duplicated(_old: i32, _new: i32) {}

/// Before the kernel closes `fd` (socket or epoll set). If this is the last descriptor of a promoted connection the end of the
/// stream is told to the peer first. Does nothing in a `vfork` child.
pub fn closing(_fd: i32) {}

/// [`closing`] for every tracked descriptor in `first..=last`.
pub fn closing_range(_first: u32, _last: u32) {}

/// A descriptor of another kind appeared under this number: whatever was tracked under it was closed by an unseen way.
pub fn reused(_fd: i32) {}

/// Takes the connection to TCP for good because a call needs it there; waits (bounded) until its bytes flow by TCP.
///
/// # Errors
/// `ECONNRESET` if that was impossible and the connection had to be given up.
pub fn leave(_socket: Socket, _reason: Reason) -> Result<(), Errno> {
    Ok(())
}

/// Sends. `flags` are those of `send(2)`. `kernel(extra_flags)` makes the program's own call on the kernel socket with `extra_flags`
/// added; it is called at most once per attempt, with the switch holding no lock. Raises SIGPIPE itself where TCP would.
///
/// # Errors
/// As `send(2)`.
pub fn send(
    _socket: Socket,
    _data: &[IoSlice<'_>],
    _flags: u32,
    mut kernel: impl FnMut(u32) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    kernel(0)
}

/// Receives. `flags` and `kernel` as in [`send`]. 0 means end of stream.
///
/// # Errors
/// As `recv(2)`.
pub fn recv(
    _socket: Socket,
    _data: &mut [IoSliceMut<'_>],
    _flags: u32,
    mut kernel: impl FnMut(u32) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    kernel(0)
}

/// `shutdown(2)`; `kernel` shuts the kernel socket down.
///
/// # Errors
/// As `shutdown(2)`.
pub fn shutdown(
    _socket: Socket,
    _how: i32,
    mut kernel: impl FnMut() -> Result<(), Errno>,
) -> Result<(), Errno> {
    kernel()
}

/// An option was set with success on the kernel socket; the switch reads back what it mirrors.
pub fn option_changed(_socket: Socket, _level: i32, _name: i32) {}

/// `O_NONBLOCK` was set or cleared (`fcntl`, `FIONBIO`).
pub fn nonblocking_changed(_socket: Socket, _on: bool) {}

/// `FIONREAD` of a promoted connection; `None`: ask the kernel.
pub fn readable_bytes(_socket: Socket) -> Option<usize> {
    None
}

/// `SIOCOUTQ` of a promoted connection; `None`: ask the kernel.
pub fn unsent_bytes(_socket: Socket) -> Option<usize> {
    None
}

/// `SIOCATMARK` of a promoted connection; `None`: ask the kernel.
pub fn at_mark(_socket: Socket) -> Option<bool> {
    None
}

/// `SO_ERROR` of a promoted connection, cleared by the call; `None`: ask the kernel.
pub fn take_error(_socket: Socket) -> Option<Errno> {
    None
}

/// `poll(2)`, `ppoll(2)`; `select` is turned into this by the front end. `timeout` `None` waits without limit.
pub fn poll(
    _fds: &mut [PollFd],
    _timeout: Option<Duration>,
    _mask: Option<&SignalMask>,
) -> Outcome<usize> {
    Outcome::Pass
}

/// `epoll_ctl(2)` succeeded in the kernel for a descriptor (tracked or not) of set `epfd`. `event` is `None` for `EPOLL_CTL_DEL`.
pub fn epoll_changed(_epfd: i32, _op: i32, _fd: i32, _event: Option<EpollEvent>) {}

/// `epoll_wait(2)`, `epoll_pwait(2)`, `epoll_pwait2(2)`.
pub fn epoll_wait(
    _epfd: i32,
    _events: &mut [EpollEvent],
    _timeout: Option<Duration>,
    _mask: Option<&SignalMask>,
) -> Outcome<usize> {
    Outcome::Pass
}
