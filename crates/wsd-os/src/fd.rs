//! Owning file descriptors without libc, and keeping our own out of the program's way.

use core::fmt;
use core::mem::ManuallyDrop;
use std::os::fd as std_fd;

use rustix::io::{self, Errno};

use crate::{raw, tcp};

mod hidden;

pub(crate) use hidden::{Change, hidden_pair};
pub use hidden::{
    close_hidden_in_child, duplicate_high, hidden, hold_for_fork, is_hidden, move_high, release_after_fork,
    while_unchanged,
};
pub use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};

/// A file descriptor that is closed, by a raw system call, when this value is dropped.
///
/// Unlike [`std::os::fd::OwnedFd`], whose destructor calls libc's `close`, a function that the library above replaces.
/// Has the same size and the same niche: `Option<OwnedFd>` is one `int`.
pub struct OwnedFd(ManuallyDrop<std_fd::OwnedFd>);

impl OwnedFd {
    /// Another descriptor of the same open file, close-on-exec, out of the program's way as [`move_high`] does.
    ///
    /// # Errors
    ///
    /// `EMFILE` if the process has no free descriptor number.
    pub fn duplicate(&self) -> Result<Self, Errno> {
        duplicate_high(self.as_fd())
    }

    /// Whether close(2) may wait until a peer has got what was sent (`SO_LINGER`).
    fn closes_slowly(&self) -> bool {
        tcp::linger(self.as_fd()).is_ok_and(|limit| limit.is_some_and(|limit| !limit.is_zero()))
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        let change = hidden::show(self.0.as_raw_fd());
        // Nobody waits with a change begun. A child forked before the kernel has taken the number back, which it does first,
        // has a copy until it ends or becomes another program: then the peer's end of file comes late.
        let _change = change.filter(|_| !self.closes_slowly());
        close(self.0.as_raw_fd());
    }
}

/// Closes a descriptor of ours, if it still is one: a program that closes numbers which it does not know may have been faster,
/// and a fork that nobody announced (a system call of its own) may have copied a mark without its descriptor.
fn close(fd: RawFd) {
    // SAFETY: whoever calls this owns the descriptor and gives it up. EBADF is the only error that leaves anything as it was.
    let _ = unsafe { raw::syscall(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]) };
}

impl From<std_fd::OwnedFd> for OwnedFd {
    fn from(fd: std_fd::OwnedFd) -> Self {
        Self(ManuallyDrop::new(fd))
    }
}

impl From<OwnedFd> for std_fd::OwnedFd {
    fn from(fd: OwnedFd) -> Self {
        let raw = fd.into_raw_fd();
        // SAFETY: into_raw_fd gave up the ownership of the open descriptor, which passes to the new value.
        unsafe { Self::from_raw_fd(raw) }
    }
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl IntoRawFd for OwnedFd {
    /// The number is not hidden from the program any more.
    fn into_raw_fd(self) -> RawFd {
        let raw = ManuallyDrop::new(self).0.as_raw_fd();
        hidden::show(raw);
        raw
    }
}

impl FromRawFd for OwnedFd {
    /// Takes ownership of `fd`.
    ///
    /// # Safety
    ///
    /// `fd` must be open and owned by nobody else.
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: the caller gives us an open descriptor that nobody else owns.
        Self::from(unsafe { std_fd::OwnedFd::from_raw_fd(fd) })
    }
}

impl fmt::Debug for OwnedFd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "fd {}", self.as_raw_fd())
    }
}

/// The program's own descriptor, for one call on the program's behalf: whatever the number stands for then, the kernel
/// answers as it would have answered the program.
pub fn borrow(number: RawFd) -> BorrowedFd<'static> {
    // -1 is the one number that the type forbids; no descriptor can have this one either.
    let number = if number < 0 { RawFd::MAX } else { number };
    // SAFETY: not -1. That the descriptor may be closed or reused meanwhile is the program's race, as in its own calls.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Whether exec closes the descriptor; yes too if there is none.
pub fn is_close_on_exec(fd: BorrowedFd<'_>) -> bool {
    io::fcntl_getfd(fd).is_ok_and(|flags| flags.contains(io::FdFlags::CLOEXEC))
        || io::fcntl_getfd(fd).is_err()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use rustix::net::sockopt::set_socket_linger;

    use super::*;
    use crate::atomic::{AtomicBool, Ordering};
    use crate::testing::eventually;
    use rustix::pipe::pipe;

    #[test]
    fn dropped_descriptor_is_closed() {
        let (read, write) = pipe().expect("a pipe");
        let write = OwnedFd::from(write);
        drop(write);
        assert_eq!(io::read(&read, &mut [0; 1][..]), Ok(0), "end of file: the write end is closed");
        assert_eq!(size_of::<Option<OwnedFd>>(), 4);
    }

    /// close(2) of a socket with SO_LINGER (socket(7)) waits for the peer; a fork does not.
    #[test]
    fn forks_do_not_wait_for_a_lingering_close() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut sender = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let peer = listener.accept().expect("accepted").0;
        sender.set_nonblocking(true).expect("an open socket");
        while sender.write(&[0; 65536]).is_ok() {}
        set_socket_linger(&sender, Some(Duration::from_secs(600))).expect("an open socket");
        let sender = move_high(std_fd::OwnedFd::from(sender).into());
        let number = sender.as_raw_fd();
        let forked = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let closing = scope.spawn(|| drop(sender));
            assert!(eventually(|| !is_hidden(number)), "the close has begun");
            scope.spawn(|| {
                hold_for_fork();
                release_after_fork();
                forked.store(true, Ordering::Relaxed);
            });
            let first = eventually(|| forked.load(Ordering::Relaxed)) && !closing.is_finished();
            // Ends the close in any case, and with it the test.
            drop(peer);
            assert!(first, "the fork does not wait until the peer has read");
        });
    }
}
