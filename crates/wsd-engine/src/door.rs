//! A name that other processes connect to: an abstract AF_UNIX listener that can be handed to another process.

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
};
use wsd_os::Errno;
use wsd_os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd, hidden};
use wsd_os::link::Link;

use crate::descriptors::Tracked;

/// How many processes may wait to be let in: we let in whoever comes, so these are those of a moment.
const WAITING: i32 = 4096;

/// A name in the abstract namespace.
#[derive(Debug)]
pub struct Door(Tracked<OwnedFd>);

impl Door {
    /// Takes a name.
    ///
    /// # Errors
    /// `EADDRINUSE` if another socket in this network namespace has it; `EMFILE`.
    pub fn open(name: &[u8]) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = hidden(|| socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None))?;
        bind(&fd, &SocketAddrUnix::new_abstract_name(name)?)?;
        Self::take_over(fd)
    }

    /// Takes the descriptor of a door from another process. From now on whoever connects sees ours as the process
    /// behind it.
    ///
    /// # Errors
    /// As listen(2), if it is no such descriptor.
    pub fn take_over(fd: OwnedFd) -> Result<Self, Errno> {
        listen(&fd, WAITING)?;
        Ok(Self(Tracked::new(fd)))
    }

    /// Lets in one process that waits.
    ///
    /// # Errors
    /// `EAGAIN` if none waits; `EMFILE`, `ENFILE`.
    pub fn let_in(&self) -> Result<Link, Errno> {
        loop {
            match hidden(|| accept_with(self.as_fd(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)) {
                Ok(fd) => return Link::from_fd(fd),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error),
            }
        }
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
