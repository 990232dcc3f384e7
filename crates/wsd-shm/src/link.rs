//! One end of a link: an AF_UNIX connection to another engine, shared by all connections between the two.
//!
//! Packets are sent in the order: what the engines say to each other, then data of the sockets in turn. What the kernel
//! does not take waits here, bounded, until the link is writable again.

use std::collections::{HashSet, VecDeque};

use wsd_os::Errno;
use wsd_os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use wsd_os::link;

use crate::pool::store::Store;
use crate::pool::view::View;
use crate::wire::Packet;
use wsd_engine::Tracked;

/// Most packets without data that wait; a peer that makes us say more and does not listen is cut off.
const MAX_WAITING: usize = 4096;

/// One end of a link.
pub(crate) struct Link {
    end: Tracked<link::Link>,
    /// Process number of the peer when the link was made, 0 if it cannot be seen from here. A hint, not a proof.
    pub(crate) pid: u32,
    /// The other end has said who it is (or was called by us).
    pub(crate) open: bool,
    /// Made for one connection that moved to another process.
    pub(crate) dedicated: bool,
    /// Nothing can be sent any more: the peer is gone, or has to go.
    pub(crate) lost: bool,
    /// Readiness to write is waited for.
    pub(crate) waits_to_write: bool,
    /// Sockets that have something to send, in turn.
    pub(crate) senders: VecDeque<u32>,
    /// Sockets that use the link.
    pub(crate) sockets: HashSet<u32>,
    /// Our shared memory.
    pub(crate) store: Store,
    /// The peer's shared memory.
    pub(crate) view: View,
    waiting: VecDeque<(Packet, Option<OwnedFd>)>,
}

/// What came of an attempt to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    /// The kernel has it.
    Yes,
    /// The kernel has no room; later.
    Later,
    /// The link is lost.
    Never,
}

impl Link {
    /// An end that this engine made (`open`) or accepted.
    pub(crate) fn new(end: link::Link, pid: u32, open: bool) -> Self {
        Self {
            end: Tracked::new(end),
            pid,
            open,
            dedicated: false,
            lost: false,
            waits_to_write: false,
            senders: VecDeque::new(),
            sockets: HashSet::new(),
            store: Store::default(),
            view: View::default(),
            waiting: VecDeque::new(),
        }
    }

    /// The descriptor, for epoll.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.end.as_fd().as_raw_fd()
    }

    /// Says something, now or later.
    pub(crate) fn say(&mut self, packet: Packet, memory: Option<OwnedFd>) {
        if self.lost {
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.lost = true;
            return;
        }
        self.waiting.push_back((packet, memory));
        self.flush();
    }

    /// Sends what waits. [`Sent::Later`] if something still does.
    pub(crate) fn flush(&mut self) -> Sent {
        while let Some((packet, memory)) = self.waiting.front() {
            let sent = match memory {
                Some(memory) => self.send_with(packet.bytes(), Some(memory)),
                None => self.send_with(packet.bytes(), None),
            };
            match sent {
                Sent::Yes => drop(self.waiting.pop_front()),
                Sent::Later => return Sent::Later,
                Sent::Never => {
                    self.lost = true;
                    return Sent::Never;
                }
            }
        }
        if self.lost { Sent::Never } else { Sent::Yes }
    }

    /// Whether something waits to be sent.
    pub(crate) fn has_more(&self) -> bool {
        !self.lost && (!self.waiting.is_empty() || !self.senders.is_empty())
    }

    /// Sends one packet of data.
    pub(crate) fn send(&mut self, packet: &[u8]) -> Sent {
        if self.lost {
            return Sent::Never;
        }
        let sent = self.send_with(packet, None);
        self.lost |= sent == Sent::Never;
        sent
    }

    fn send_with(&self, packet: &[u8], memory: Option<&OwnedFd>) -> Sent {
        let result = match memory {
            Some(memory) => self.end.send(packet, &[memory.as_fd()]),
            None => self.end.send(packet, &[]),
        };
        match result {
            Ok(()) => Sent::Yes,
            // ETOOMANYREFS: too many descriptors of this user are on their way. Both pass.
            Err(Errno::AGAIN | Errno::TOOMANYREFS) => Sent::Later,
            Err(_) => Sent::Never,
        }
    }

    /// Receives one packet. `Ok(None)` if there is none now.
    ///
    /// # Errors
    /// The link has ended or its peer breaks the rules.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<(usize, Option<OwnedFd>)>, Ended> {
        for _ in 0..2 {
            return match self.end.recv(buffer, 1) {
                Ok(Some(mut packet)) => Ok(Some((packet.len, packet.fds[0].take()))),
                Err(Errno::AGAIN) => Ok(None),
                // Told once; what had arrived before is still there.
                Err(Errno::CONNRESET) => continue,
                Ok(None) | Err(_) => Err(Ended),
            };
        }
        Err(Ended)
    }
}

/// A link is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ended;
