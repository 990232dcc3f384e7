//! What two engines say to each other over a link: one packet, a header of 16 bytes and a body, per thing said.
//!
//! Numbers are in the byte order of the host, since both ends are on it. Everything that is read here was written by
//! another process, perhaps a hostile one: [`Header::decode`] and the `*_at` functions check lengths, whoever uses the
//! values checks the rest.

use wsd_spi::SockAddr;

/// Longest message of one `WSPSend`, and most bytes of an RDMA operation in one packet.
pub(crate) const MAX_MESSAGE: usize = 64 * 1024;
/// Length of a header.
pub(crate) const HEADER: usize = 16;
/// Length of what a [`Kind::Write`] says between the header and its data.
pub(crate) const WRITE_BODY: usize = 24;
/// Longest packet.
pub(crate) const MAX_PACKET: usize = HEADER + WRITE_BODY + MAX_MESSAGE;
/// Says that this is our protocol, in this version.
const MAGIC: u64 = u64::from_le_bytes(*b"wsd-shm2");
/// Length of an address in a packet: that of a `sockaddr_in6`.
const ADDRESS: usize = 28;

/// What a packet says. `to` is the receiver's number of the socket that it is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Kind {
    /// First packet of the process that connected the link; body: the magic number.
    Hello = 1,
    /// A connection is wanted. `from`: the sender's socket; `arg`: the position of the listener's name among those of the
    /// wanted address; body: the sender's address and the wanted one.
    Connect,
    /// The connection exists. `to`: the socket that wanted it; `from`: the sender's socket.
    Accept,
    /// The connection is refused. `to`: the socket that wanted it; `arg`: a [`Refusal`].
    Refuse,
    /// The connection is not wanted any more. `from`: the sender's socket.
    Withdraw,
    /// The connection is over. `arg`: an [`Ending`].
    Close,
    /// One message of `WSPSend`, the body.
    Message,
    /// Part of an RDMA write. `from`: number of the operation; `arg`: offset in the exposed memory; body: registration,
    /// key, whether it is the last part (64 bits each), data.
    Write,
    /// All parts of the RDMA write `from` are in place.
    Written,
    /// An RDMA read. `from`: number of the operation; `arg`: offset in the exposed memory; body: registration, key,
    /// length (64 bits each).
    Read,
    /// Part of the answer. `from`: number of the operation; `arg`: offset within the operation; body: data.
    Data,
    /// The RDMA operation `from` broke the rules; the connection is over.
    Failed,
    /// A chunk of the sender's memory, as a descriptor. `from`: its number; `arg`: how many slots it has; body: length
    /// of a slot (64 bits).
    Chunk,
    /// The sender has given a slot back. `from`: number of the chunk; `arg`: the slot; body: generation (64 bits).
    Freed,
    /// The sender will not use that slot of the receiver's chunk any more, in that generation. As [`Kind::Freed`].
    Released,
    /// The connection goes on by another link, whose end comes as a descriptor, with a process that is still to come.
    Move,
    /// Nothing more of the sender's end of the connection will come by this link.
    Parted,
    /// The process that was to come is here. `from`: its socket.
    Joined,
    /// To that process, from the one that gives a socket away: see `swap`.
    Parcel,
}

impl Kind {
    fn from_number(number: u8) -> Option<Self> {
        const ALL: [Kind; 19] = [
            Kind::Hello,
            Kind::Connect,
            Kind::Accept,
            Kind::Refuse,
            Kind::Withdraw,
            Kind::Close,
            Kind::Message,
            Kind::Write,
            Kind::Written,
            Kind::Read,
            Kind::Data,
            Kind::Failed,
            Kind::Chunk,
            Kind::Freed,
            Kind::Released,
            Kind::Move,
            Kind::Parted,
            Kind::Joined,
            Kind::Parcel,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Why a connection was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Refusal {
    /// By the application, or because its queue is full.
    Refused = 1,
    /// Nobody listens there in this process.
    NotHere,
    /// For lack of resources.
    Failed,
    /// Another process listens there now.
    Moved,
}

impl Refusal {
    /// What a number stands for; unknown ones are failures.
    pub(crate) fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Refused,
            2 => Self::NotHere,
            4 => Self::Moved,
            _ => Self::Failed,
        }
    }
}

/// Why a connection is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Ending {
    /// The other end was closed.
    Closed = 0,
    /// The other end found the rules broken.
    Aborted = 1,
}

/// The header of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// What it says.
    pub(crate) kind: Kind,
    /// The receiver's socket, or 0.
    pub(crate) to: u32,
    /// See [`Kind`].
    pub(crate) from: u32,
    /// See [`Kind`].
    pub(crate) arg: u32,
}

impl Header {
    /// The header as bytes.
    pub(crate) fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = self.kind as u8;
        bytes[4..8].copy_from_slice(&self.to.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.from.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.arg.to_ne_bytes());
        bytes
    }

    /// Splits a packet into header and body; `None` if it is none.
    pub(crate) fn decode(packet: &[u8]) -> Option<(Self, &[u8])> {
        let (header, body) = packet.split_at_checked(HEADER)?;
        let kind = Kind::from_number(header[0])?;
        let word = |at| u32_at(header, at);
        Some((Self { kind, to: word(4)?, from: word(8)?, arg: word(12)? }, body))
    }
}

/// A packet without data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    bytes: [u8; HEADER + 2 * ADDRESS],
    length: usize,
}

impl Packet {
    /// A header alone.
    pub(crate) fn new(kind: Kind, to: u32, from: u32, arg: u32) -> Self {
        let mut packet = Self { bytes: [0; HEADER + 2 * ADDRESS], length: 0 };
        packet.push(&Header { kind, to, from, arg }.encode());
        packet
    }

    /// The first packet of a link.
    pub(crate) fn hello() -> Self {
        Self::new(Kind::Hello, 0, 0, 0).with(MAGIC)
    }

    /// A wish to connect `socket`, at `local`, with the listener of that `position` at `peer`.
    pub(crate) fn connect(socket: u32, position: u32, local: &SockAddr, peer: &SockAddr) -> Self {
        Self::new(Kind::Connect, 0, socket, position).with_addresses(local, peer)
    }

    /// With two addresses behind what it has.
    pub(crate) fn with_addresses(mut self, one: &SockAddr, other: &SockAddr) -> Self {
        self.push(&one.encode().0);
        self.push(&other.encode().0);
        self
    }

    /// With a number behind what it has.
    pub(crate) fn with(mut self, number: u64) -> Self {
        self.push(&number.to_ne_bytes());
        self
    }

    /// The whole packet.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }
}

/// Whether the body of a [`Kind::Hello`] is of our protocol.
pub(crate) fn is_hello(body: &[u8]) -> bool {
    body.len() == 8 && u64_at(body, 0) == Some(MAGIC)
}

/// The two addresses that are all of a body.
pub(crate) fn addresses(body: &[u8]) -> Option<(SockAddr, SockAddr)> {
    if body.len() != 2 * ADDRESS {
        return None;
    }
    let (local, peer) = body.split_at(ADDRESS);
    Some((SockAddr::decode(local).ok()?, SockAddr::decode(peer).ok()?))
}

/// The 32-bit number at `offset`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset + 4)?.try_into().ok()?))
}

/// The 64-bit number at `offset`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(offset..offset + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv6Addr, SocketAddr};

    #[test]
    fn packets_survive_the_journey() {
        let local = SockAddr::from(SocketAddr::from(([127, 0, 0, 2], 80)));
        let peer = SockAddr::from(SocketAddr::from((Ipv6Addr::LOCALHOST, 8080)));
        let packet = Packet::connect(7, 9, &local, &peer);
        let (header, body) = Header::decode(packet.bytes()).expect("a header");
        assert_eq!(header, Header { kind: Kind::Connect, to: 0, from: 7, arg: 9 });
        assert_eq!(addresses(body), Some((local, peer)));
        let hello = Packet::hello();
        let (header, body) = Header::decode(hello.bytes()).expect("a header");
        assert!(header.kind == Kind::Hello && is_hello(body));
        for number in 1..=19 {
            assert_eq!(Kind::from_number(number).map(|kind| kind as u8), Some(number));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), failure_persistence: None, ..ProptestConfig::default() })]

        /// What is a packet says so in its first byte, and its header is all that is read of it.
        #[test]
        fn any_bytes_are_a_packet_or_none(
            mut packet in prop::collection::vec(any::<u8>(), 0..100),
            kind in 0..24_u8,
        ) {
            if let Some(first) = packet.first_mut() {
                *first = kind;
            }
            let Some((header, body)) = Header::decode(&packet) else {
                prop_assert!(packet.len() < HEADER || Kind::from_number(kind).is_none());
                return Ok(());
            };
            prop_assert_eq!(body, &packet[HEADER..]);
            prop_assert_eq!(&header.encode()[4..], &packet[4..HEADER]);
            prop_assert_eq!(header.kind as u8, kind);
            prop_assert!(!is_hello(body) || body == MAGIC.to_ne_bytes());
            let numbers = (u32_at(body, 80).is_some(), u64_at(body, 80).is_some());
            prop_assert_eq!(numbers, (body.len() >= 84, body.len() >= 88));
        }

        /// Two addresses are read only from exactly two, and come out as they went in.
        #[test]
        fn any_body_is_addresses_or_not(
            mut body in prop::collection::vec(any::<u8>(), 2 * ADDRESS - 1..2 * ADDRESS + 2),
            families in (0..30_u8, 0..30_u8),
        ) {
            (body[0], body[1], body[ADDRESS], body[ADDRESS + 1]) = (families.0, 0, families.1, 0);
            if let Some((local, peer)) = addresses(&body) {
                prop_assert_eq!(body.len(), 2 * ADDRESS);
                let packet = Packet::connect(1, 0, &local, &peer);
                prop_assert_eq!(addresses(&packet.bytes()[HEADER..]), Some((local, peer)));
            }
        }
    }

    #[test]
    fn rubbish_is_no_packet() {
        assert_eq!(Header::decode(&[1; HEADER - 1]), None);
        assert_eq!(Header::decode(&[0; HEADER]), None);
        assert_eq!(Header::decode(&[20; HEADER]), None);
        assert!(!is_hello(&[0; 8]) && !is_hello(b"wsd-shm2x"));
        assert_eq!(addresses(&[0; 2 * ADDRESS]), None, "family 0");
        assert_eq!(addresses(&[2; 2 * ADDRESS - 1]), None);
    }
}
