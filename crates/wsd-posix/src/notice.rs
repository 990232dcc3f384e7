//! What the switch is told about calls that the kernel serves.
//!
//! Each function is a barrier against unwinding, and none reaches the switch from inside the switch: what the C library
//! calls on behalf of the switch (when it starts a thread, loads a provider) is the switch's own business.

use std::cell::Cell;
use std::ffi::c_int;
use std::net::SocketAddr;

use rustix::io::Errno;
use wsd_switch::front::{self, EpollEvent, Socket};
use wsd_switch::reason::Reason;
use wsd_switch::registry::BuiltIn;

thread_local! {
    /// Whether this thread is in the switch already.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// The fork that this thread is in.
    static FORK: Cell<Fork> = const { Cell::new(Fork::None) };
}

/// How far a fork is whose result we will learn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fork {
    /// There is none, or the result is nobody's to tell.
    None,
    /// `fork` was called.
    Called,
    /// The parent's handlers are running: the switch still waits to be told.
    Parent,
}

/// Runs `call` unless this thread is in the switch already.
#[inline]
fn outside<R>(otherwise: R, call: impl FnOnce() -> R) -> R {
    INSIDE.with(|inside| {
        if inside.replace(true) {
            return otherwise;
        }
        if FORK.get() == Fork::Parent {
            // One of the program's own handlers makes a call. It must not wait for what the fork holds.
            FORK.set(Fork::None);
            front::after_fork_in_parent(false);
        }
        let result = call();
        inside.set(false);
        result
    })
}

/// `fork` is called: [`forked`] will tell its result.
pub(crate) extern "C" fn forking() {
    FORK.set(Fork::Called);
}

/// In the parent, the handlers that follow a fork are running. They are not told whether there is a child.
pub(crate) extern "C" fn in_parent() {
    match FORK.get() {
        Fork::Called => FORK.set(Fork::Parent),
        _ => after_fork_in_parent(false),
    }
}

/// `fork` returned.
pub(crate) extern "C" fn forked(failed: bool) {
    if FORK.replace(Fork::None) == Fork::Parent {
        after_fork_in_parent(failed);
    }
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
    /// After that, where threads may be made.
    serve_in_child();
    /// Before this process becomes, or starts, another program.
    before_exec();
    /// The process ends, or becomes another program.
    ending();
    /// It did not become another program.
    exec_failed();
    /// `socket` made `fd`.
    opened(fd: c_int, domain: c_int, kind: c_int, protocol: c_int);
    /// `accept` made `fd`.
    accepted(listener: Socket, fd: c_int);
    /// `connect` returned.
    connected(socket: Socket, result: Result<(), Errno>);
    /// The other end of `socket` has this name.
    peer_known(socket: Socket, peer: SocketAddr);
    /// `listen` succeeded.
    listening(socket: Socket);
    /// `new` is a copy of `old`.
    duplicated(old: c_int, new: c_int);
    /// `fd` is about to be closed.
    closing(fd: c_int);
    /// All of these are about to be closed.
    closing_range(first: u32, last: u32);
    /// `fd`, which is not tracked, is added to an epoll set.
    watched(fd: c_int);
    /// `fd` is now something new.
    reused(fd: c_int);
    /// An option was set.
    option_changed(socket: Socket, level: c_int, name: c_int);
    /// `O_NONBLOCK` was set or cleared.
    nonblocking_changed(socket: Socket, on: bool);
}

/// The process begins: what is wrong, if something is. The program then runs over TCP.
pub(crate) extern "C" fn start() -> Option<String> {
    let built_in = [BuiltIn { name: "shm", entry: wsd_shm::SAN_PROVIDER_ENTRY }];
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
    // Lent twice, used once.
    let kernel = Cell::new(Some(&mut kernel));
    match outside(None, || kernel.take().map(|kernel| front::epoll_ctl(set, operation, fd, event, kernel))) {
        Some(result) => result,
        None => kernel.take().map_or(Err(Errno::INVAL), |kernel| kernel(event)),
    }
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
