//! What a process that gives a socket away tells the next one, on the same host: numbers in the host's order.

use wsd_spi::SockAddr;
use wsd_spi::ffi::SOCKADDR_IN6;

use crate::greeting::Meeting;

/// Length of one, in bytes.
pub(crate) const LENGTH: usize = 40 + 2 * ADDRESS;
const VERSION: u32 = 1;
/// Room for one address.
const ADDRESS: usize = size_of::<SOCKADDR_IN6>();

/// Flags.
pub(crate) const LISTENER: u32 = 1;
pub(crate) const IPV6: u32 = 2;
pub(crate) const DEBUG: u32 = 4;

/// See the [module](self).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Parcel {
    pub(crate) flags: u32,
    /// Of a listener.
    pub(crate) backlog: u32,
    /// Bytes in the memory that comes along, with messages that have arrived.
    pub(crate) early: u32,
    /// Where the peer is.
    pub(crate) meeting: Meeting,
    /// Messages that have arrived, and those sent that have.
    pub(crate) counts: [u16; 2],
    pub(crate) local: SockAddr,
    pub(crate) peer: SockAddr,
}

impl Parcel {
    /// As it is sent.
    pub(crate) fn encode(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        for (at, word) in [VERSION, self.flags, self.backlog, self.early].into_iter().enumerate() {
            put(4 * at, &word.to_ne_bytes());
        }
        put(16, &self.meeting.socket.to_ne_bytes());
        put(20, &self.meeting.port.to_ne_bytes());
        put(22, &self.counts[0].to_ne_bytes());
        put(24, &self.meeting.secret.to_ne_bytes());
        put(32, &self.counts[1].to_ne_bytes());
        put(40, &self.local.encode().0);
        put(40 + ADDRESS, &self.peer.encode().0);
        bytes
    }

    /// Reads one; `None` if it is none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LENGTH] = bytes.try_into().ok()?;
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let short = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let secret = u64::from_ne_bytes(*bytes[24..].first_chunk()?);
        let (local, peer) = bytes[40..].split_at(ADDRESS);
        (word(0) == VERSION).then_some(Self {
            flags: word(4),
            backlog: word(8),
            early: word(12),
            meeting: Meeting { port: short(20), socket: word(16), secret },
            counts: [short(22), short(32)],
            local: SockAddr::decode(local).ok()?,
            peer: SockAddr::decode(peer).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn parcels_survive_the_journey_and_rubbish_is_refused() {
        let name = |text: &str| SockAddr::from(text.parse::<SocketAddr>().expect("an address"));
        let parcel = Parcel {
            flags: DEBUG,
            backlog: 5,
            early: 77,
            meeting: Meeting { port: 1234, socket: u32::MAX - 1, secret: u64::MAX - 7 },
            counts: [65_535, 3],
            local: name("10.9.0.1:80"),
            peer: name("[fd09::1]:443"),
        };
        let bytes = parcel.encode();
        assert_eq!(Parcel::decode(&bytes), Some(parcel));
        assert_eq!(Parcel::decode(&bytes[1..]), None);
        assert_eq!(Parcel::decode(&[0; LENGTH]), None);
        let mut wrong = bytes;
        wrong[40] = 0xff;
        assert_eq!(Parcel::decode(&wrong), None, "no address");
    }
}
