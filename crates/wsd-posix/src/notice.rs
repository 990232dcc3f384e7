//! What the switch is told about calls that the kernel serves.
//!
//! Each function is a barrier against unwinding, and none reaches the switch from inside the switch: what the C library
//! calls on behalf of the switch (when it starts a thread, loads a provider) is the switch's own business.

use std::cell::Cell;
use std::ffi::c_int;

use rustix::io::Errno;
use wsd_switch::front::{self, EpollEvent, Socket};
use wsd_switch::reason::Reason;
use wsd_switch::registry::BuiltIn;

thread_local! {
    /// Whether this thread is in the switch already.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call` unless this thread is in the switch already.
#[inline]
fn outside<R>(otherwise: R, call: impl FnOnce() -> R) -> R {
    INSIDE.with(|inside| {
        if inside.replace(true) {
            return otherwise;
        }
        let result = call();
        inside.set(false);
        result
    })
}

macro_rules! notices {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => {
        $($(#[$doc])* pub(crate) extern "C" fn $name($($argument: $type),*) {
            outside((), || front::$name($($argument),*));
        })*
    };
}

notices! {
    /// Before a fork.
    before_fork();
    /// After a fork, in the parent.
    after_fork_in_parent(failed: bool);
    /// After a fork, in the child.
    after_fork_in_child();
    /// Before this process becomes, or starts, another program.
    before_exec();
    /// It did not become another program.
    exec_failed();
    /// `socket` made `fd`.
    opened(fd: c_int, domain: c_int, kind: c_int, protocol: c_int);
    /// `accept` made `fd`.
    accepted(listener: Socket, fd: c_int);
    /// `connect` returned.
    connected(socket: Socket, result: Result<(), Errno>);
    /// `listen` succeeded.
    listening(socket: Socket);
    /// `new` is a copy of `old`.
    duplicated(old: c_int, new: c_int);
    /// `fd` is about to be closed.
    closing(fd: c_int);
    /// All of these are about to be closed.
    closing_range(first: u32, last: u32);
    /// `fd` is now something new.
    reused(fd: c_int);
    /// An option was set.
    option_changed(socket: Socket, level: c_int, name: c_int);
    /// `O_NONBLOCK` was set or cleared.
    nonblocking_changed(socket: Socket, on: bool);
}

/// The process begins: what is wrong, if something is. The program then runs over TCP.
pub(crate) extern "C" fn start() -> Option<String> {
    let built_in = [BuiltIn { name: "shm", entry: wsd_shm::ENTRY }];
    outside(None, || front::start(&built_in, |name| std::env::var(name).ok()).err())
}

/// `epoll_ctl`, which `kernel` makes with the event it is given.
pub(crate) fn epoll_ctl(
    set: c_int,
    operation: c_int,
    fd: c_int,
    event: Option<EpollEvent>,
    mut kernel: impl FnMut(Option<EpollEvent>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    INSIDE.with(|inside| {
        if inside.replace(true) {
            return kernel(event);
        }
        let result = front::epoll_ctl(set, operation, fd, event, kernel);
        inside.set(false);
        result
    })
}

/// A call that makes a descriptor returned `fd`: it is nothing that the switch tracks. Gives `fd` back.
#[inline]
pub(crate) fn made(fd: c_int) -> c_int {
    if fd >= 0 {
        reused(fd);
    }
    fd
}

/// Takes the connection behind `fd`, if the switch tracks one, to TCP for good.
pub(crate) extern "C" fn leave(fd: c_int, reason: Reason) -> Result<(), Errno> {
    match front::find(fd) {
        Some(socket) => outside(Ok(()), || front::leave(socket, reason)),
        None => Ok(()),
    }
}
