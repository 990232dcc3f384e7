//! Links between processes of one user, and the names by which they find each other.
//!
//! A packet arrives whole or not at all, with up to [`MAX_FDS`] descriptors. Nothing here blocks: `AGAIN` means "wait
//! for readiness first". Nothing is left behind, and an end tells when the process at the other one ends.

use super::Errno;
use super::door::Door;
use super::end::End;
use super::fd::{AsFd, BorrowedFd, Object, OwnedFd};

/// How many descriptors can travel with one packet.
pub const MAX_FDS: usize = 8;

/// A name, waiting for connections.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl Listener {
    /// Takes `name` (at most 200 printable characters) and lets up to `backlog` connections wait to be accepted. The name
    /// is free again when the last descriptor of the listener is closed.
    ///
    /// # Errors
    ///
    /// `ADDRINUSE` if another listener in this session has the name; `NAMETOOLONG`; `INVAL`; `NOMEM`.
    pub fn bind(name: &[u8], backlog: i32) -> Result<Self, Errno> {
        Door::open(name, backlog).map(|door| Self(OwnedFd(Object::Door(door))))
    }

    /// Takes the descriptor of a listener from another process. From now on whoever connects sees ours as the process
    /// behind it.
    ///
    /// # Errors
    ///
    /// `INVAL` if it is no such descriptor.
    pub fn take_over(fd: OwnedFd, _backlog: i32) -> Result<Self, Errno> {
        if matches!(fd.0, Object::Door(_)) { Ok(Self(fd)) } else { Err(Errno::INVAL) }
    }

    /// Accepts a connection that waits.
    ///
    /// # Errors
    ///
    /// `AGAIN` if none waits.
    pub fn accept(&self) -> Result<Link, Errno> {
        match &self.0.0 {
            Object::Door(door) => door.let_in().map(Link::of),
            _ => Err(Errno::INVAL),
        }
    }
}

impl AsFd for Listener {
    /// Readable when a connection waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Who is at the other end of a [`Link`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerCredentials {
    /// Process number.
    pub pid: u32,
}

impl PeerCredentials {
    /// Whether it could do by itself whatever we do for it: always, as no other user gets at our sections.
    pub fn is_trusted(&self) -> bool {
        true
    }
}

/// A packet that was received.
#[derive(Debug)]
pub struct Packet {
    /// Its length in bytes.
    pub len: usize,
    /// The descriptors that came with it, in the order in which they were sent. Take what you want; the rest is closed
    /// with the packet.
    pub fds: [Option<OwnedFd>; MAX_FDS],
}

/// One end of a link.
#[derive(Debug)]
pub struct Link(OwnedFd);

impl Link {
    fn of(end: std::sync::Arc<End>) -> Self {
        Self(OwnedFd(Object::End(end)))
    }

    fn end(&self) -> Result<&End, Errno> {
        match &self.0.0 {
            Object::End(end) => Ok(end),
            _ => Err(Errno::BADF),
        }
    }

    /// Connects to the [`Listener`] that has `name`. The link can be used at once, before the other side accepts it.
    ///
    /// # Errors
    ///
    /// `CONNREFUSED` if nobody has the name; `AGAIN` if too many connections wait there; `ACCESS` if it is another user's;
    /// `NAMETOOLONG`; `NOMEM`.
    pub fn connect(name: &[u8]) -> Result<Self, Errno> {
        Door::knock(name).map(Self::of)
    }

    /// Two ends connected to each other.
    ///
    /// # Errors
    ///
    /// `NOMEM`.
    pub fn pair() -> Result<(Self, Self), Errno> {
        let (one, other) = End::pair()?;
        Ok((Self::of(one), Self::of(other)))
    }

    /// Takes a descriptor as one end of a link.
    ///
    /// # Errors
    ///
    /// `INVAL` if it is none.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, Errno> {
        if matches!(fd.0, Object::End(_)) { Ok(Self(fd)) } else { Err(Errno::INVAL) }
    }

    /// Who is at the other end.
    ///
    /// # Errors
    ///
    /// None.
    pub fn peer_credentials(&self) -> Result<PeerCredentials, Errno> {
        Ok(PeerCredentials { pid: self.end()?.peer() })
    }

    /// Sends one packet: `bytes`, not empty, and up to [`MAX_FDS`] descriptors. Of memory, processes and events the other
    /// side gets duplicates; an end of a link, or a listener, is the other side's from now on.
    ///
    /// # Errors
    ///
    /// `AGAIN` if the other side's queue is full; `PIPE` if it is gone; `MSGSIZE` if the packet is too long; `INVAL` for an
    /// empty packet or too many descriptors; `NFILE`, `NOMEM` if a descriptor cannot be duplicated.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let objects: Vec<&Object> = fds.iter().map(|fd| &fd.0).collect();
        self.end()?.send(bytes, &objects)
    }

    /// Receives one packet into `bytes`; `Ok(None)` if the other side closed the link.
    ///
    /// # Errors
    ///
    /// `AGAIN` if nothing is there; `MSGSIZE` if the packet was longer than `bytes`, or brought more than `max_fds`
    /// descriptors or one that is none: the packet is lost and its descriptors are closed; `CONNABORTED` if the other side
    /// has broken the link.
    pub fn recv(&self, bytes: &mut [u8], max_fds: usize) -> Result<Option<Packet>, Errno> {
        self.end()?.receive(bytes, max_fds)
    }
}

impl From<Link> for OwnedFd {
    fn from(link: Link) -> Self {
        link.0
    }
}

impl AsFd for Link {
    /// Readable when a packet or the end of the link waits; writable when a packet can be sent.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
