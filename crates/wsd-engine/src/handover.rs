//! How a socket gets from one process to the next (SP-151): by a value that one process, and no other, can use once.
//!
//! The value is a random number, and part of the name of a [`Door`] at which the next process claims the socket.

use std::num::NonZeroU32;
use std::time::Duration;

use wsd_os::Errno;
use wsd_os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use wsd_os::link::Link;
use wsd_os::memory::{RegionOptions, SharedRegion, page_size};
use wsd_os::poll::{POLLIN, PollFd, ppoll};
use wsd_os::process::{self, ProcessId};
use wsd_spi::WsaError;

use crate::descriptors::Tracked;
use crate::door::Door;

/// What all segments with messages have in common.
const SEGMENT: RegionOptions = RegionOptions { fixed_size: true, no_dump: true, arena: None };

/// A value that nobody uses, and its door. `provider` tells the values of different providers apart.
///
/// # Errors
/// `WSAEMFILE`, `WSAENOBUFS`.
pub fn offer(provider: &str) -> Result<(NonZeroU32, Door), WsaError> {
    loop {
        let random = wsd_os::random::bytes().map_err(|_| WsaError::WSAENOBUFS)?;
        let Some(value) = NonZeroU32::new(u32::from_ne_bytes(random)) else { continue };
        match Door::open(&name(provider, value)) {
            Ok(door) => return Ok((value, door)),
            Err(Errno::ADDRINUSE) => {}
            Err(Errno::MFILE | Errno::NFILE) => return Err(WsaError::WSAEMFILE),
            Err(_) => return Err(WsaError::WSAENOBUFS),
        }
    }
}

/// The link to the process that gave this value to ours.
///
/// # Errors
/// `WSAENETDOWN` if no process of this user, or of root, offers it.
pub fn claim(provider: &str, value: NonZeroU32) -> Result<Link, WsaError> {
    let link = Link::connect(&name(provider, value)).map_err(|_| WsaError::WSAENETDOWN)?;
    let giver = link.peer_credentials().map_err(|_| WsaError::WSAENETDOWN)?;
    if giver.is_trusted() { Ok(link) } else { Err(WsaError::WSAENETDOWN) }
}

/// The process that a socket is for.
#[derive(Debug)]
pub struct NextProcess {
    number: u32,
    /// What tells of its end. `None`: it cannot be watched.
    end: Option<Tracked<OwnedFd>>,
}

impl NextProcess {
    /// The process with that number.
    #[must_use]
    pub fn new(number: u32) -> Self {
        let end = ProcessId::of(number).and_then(process::watch).ok().map(Tracked::new);
        Self { number, end }
    }

    /// The descriptor that becomes readable when it ends.
    #[must_use]
    pub fn end(&self) -> Option<RawFd> {
        self.end.as_ref().map(|end| end.as_fd().as_raw_fd())
    }

    /// Whether it is known to have ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.end().is_some_and(|end| {
            let mut end = [PollFd { fd: end, events: POLLIN, revents: 0 }];
            ppoll(&mut end, Some(Duration::ZERO), None) == Ok(1)
        })
    }

    /// The link to it, if it has claimed the socket. Others are turned away.
    #[must_use]
    pub fn claims(&self, door: &Door) -> Option<Link> {
        let mut claimant = None;
        while let Ok(link) = door.let_in() {
            if link.peer_credentials().is_ok_and(|peer| peer.pid == self.number) {
                claimant = Some(link);
            }
        }
        claimant
    }
}

fn name(provider: &str, value: NonZeroU32) -> Vec<u8> {
    format!("{provider}-swap-{value:08x}").into_bytes()
}

/// Messages that have arrived and go along, in memory that can be sent, and how many bytes of it they are. `None`
/// without messages.
///
/// # Errors
/// `EMFILE`, `ENFILE`, `ENOMEM`.
pub fn pack<'a>(messages: impl Iterator<Item = &'a [u8]>) -> Result<Option<(OwnedFd, u32)>, Errno> {
    let mut bytes = Vec::new();
    for message in messages {
        bytes.extend((message.len() as u32).to_ne_bytes());
        bytes.extend_from_slice(message);
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut region = SharedRegion::create(c"wsd-early", bytes.len(), SEGMENT)?;
    region.write_bytes(0, &bytes);
    Ok(region.take_fd().map(|memory| (memory, bytes.len() as u32)))
}

/// The messages of [`pack`]. `None` if they are not as it wrote them.
#[must_use]
pub fn unpack(packed: Option<(OwnedFd, u32)>) -> Option<Vec<Box<[u8]>>> {
    let Some((memory, length)) = packed else { return Some(Vec::new()) };
    let length = length as usize;
    let region =
        SharedRegion::from_fd(memory, length.checked_next_multiple_of(page_size())?, SEGMENT).ok()?;
    let mut bytes = vec![0; length];
    let mut rest = region.read_bytes(0, &mut bytes).then_some(bytes.as_slice())?;
    let mut messages = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let (message, behind) = behind.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
        messages.push(message.into());
        rest = behind;
    }
    rest.is_empty().then_some(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_journey_and_rubbish_is_refused() {
        let messages: [&[u8]; 3] = [b"one", b"", &[7; 9000]];
        let packed = pack(messages.into_iter()).expect("memory");
        let unpacked = unpack(packed).expect("messages");
        assert!(unpacked.iter().map(AsRef::as_ref).eq(messages));
        assert!(pack(std::iter::empty()).expect("nothing to send").is_none());
        assert!(unpack(None).expect("no messages").is_empty());
        let packed = pack([b"cut".as_slice()].into_iter()).expect("memory");
        assert!(unpack(packed.map(|(memory, length)| (memory, length - 1))).is_none());
        let (other, _) = Link::pair().expect("no memory");
        assert!(unpack(Some((other.into(), 8))).is_none());
    }

    /// SP-151: in the named process only.
    #[test]
    fn a_value_is_claimed_by_the_named_process_only() {
        let (value, door) = offer("wsd-engine-test").expect("a value");
        let link = claim("wsd-engine-test", value).expect("our own user's");
        assert!(NextProcess::new(1).claims(&door).is_none());
        drop(link);
        let _link = claim("wsd-engine-test", value).expect("our own user's");
        let own = NextProcess::new(std::process::id());
        assert!(own.claims(&door).is_some());
        assert!(!own.has_ended());
    }
}
