//! A name that other processes connect to, and that can be handed to another process.

use wsd_os::Errno;
use wsd_os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use wsd_os::link::{Link, Listener};

use crate::descriptors::Tracked;

/// How many processes may wait to be let in: we let in whoever comes, so these are those of a moment.
const WAITING: i32 = 4096;

/// A name that is ours.
#[derive(Debug)]
pub struct Door(Tracked<Listener>);

impl Door {
    /// Takes a name.
    ///
    /// # Errors
    /// `EADDRINUSE` if another process that could be met has it; `EMFILE`.
    pub fn open(name: &[u8]) -> Result<Self, Errno> {
        Listener::bind(name, WAITING).map(|listener| Self(Tracked::new(listener)))
    }

    /// Takes the descriptor of a door from another process. From now on whoever connects sees ours as the process
    /// behind it.
    ///
    /// # Errors
    /// As [`Listener::take_over`], if it is no such descriptor.
    pub fn take_over(fd: OwnedFd) -> Result<Self, Errno> {
        Listener::take_over(fd, WAITING).map(|listener| Self(Tracked::new(listener)))
    }

    /// Lets in one process that waits.
    ///
    /// # Errors
    /// `EAGAIN` if none waits; `EMFILE`, `ENFILE`.
    pub fn let_in(&self) -> Result<Link, Errno> {
        self.0.accept()
    }

    /// The descriptor, for epoll.
    pub fn raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
