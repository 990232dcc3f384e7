//! What the processes that share a connection have in common: one page, in one segment of memory with both of the pump's rings.
//!
//! All of them have been given the connection on purpose, and each could end it at any time: they trust each other with it, and
//! with no more. Whatever is read here leads to nothing worse than the end of this connection.

use wsd_os::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use wsd_os::ring::{ConsumerState, ProducerState, Ring};

use crate::family::layout::{Name, PROVIDER_NAME};

/// Processes that share a connection at a time.
pub(crate) const MEMBERS: usize = 64;
/// Words of a parcel.
const PARCEL: usize = 128;
/// "wsdshar" and a version digit: a connection's page.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"wsdshar3");
/// A listener's, which has no rings: [`super::listeners`].
pub(crate) const LISTENER: u64 = u64::from_le_bytes(*b"wsdlist1");

wsd_os::shared! {
    /// A process that shares the connection.
    #[repr(align(64))]
    pub(crate) struct Member {
        /// Process id; 0: nobody, [`super::members::ENTERING`]: being filled in.
        pub pid: AtomicU32,
        /// Whether it can leave: [`super::members`].
        pub reserved: AtomicU32,
        /// When it started.
        pub start: AtomicU64,
        /// Its process token, by which its bells are rung.
        pub token: [AtomicU64; 2],
        /// Not 0: it wants control; the lowest comes first (SW-181).
        pub ticket: AtomicU64,
        /// Not 0: its program has closed the connection.
        pub closed: AtomicU64,
    }
}

wsd_os::shared! {
    /// See the [module](self).
    #[repr(align(4096))]
    pub(crate) struct Page {
        /// [`MAGIC`] or [`LISTENER`], once the page is filled in.
        pub magic: AtomicU64,
        /// Who controls the connection: [`Control`].
        pub control: AtomicU64,
        /// The last ticket.
        pub tickets: AtomicU64,
        /// Not 0: more than one process may have come to it.
        pub shared: AtomicU32,
        /// The value of WSPDuplicateSocket; of a listener its backlog.
        pub value: AtomicU32,
        /// Bytes of the parcel. 0: the peer has closed, and what is in the rings is all that there is.
        pub packed: AtomicU32,
        /// Flags of the send and the receive direction, as in a record.
        pub flags: [AtomicU32; 2],
        /// Not 0: somebody waits for control to be settled, so that it can leave.
        pub parting: AtomicU32,
        /// Offset after the urgent byte that was taken out of line.
        pub urgent_taken: AtomicU64,
        /// What the pump has told the peer of urgent bytes, and has heard: 0 for nothing.
        pub urgent: [AtomicU64; 2],
        /// Names of the connection, in the form of the program's socket.
        pub local: Name,
        pub peer: Name,
        /// Name of the provider, padded with zeros.
        pub provider: [AtomicU8; PROVIDER_NAME],
        /// A listener's random number, of which the names of its members' boxes are made.
        pub key: [AtomicU64; 2],
        /// What the session knows (SW-184); of a listener the values of WSPDuplicateSocket.
        pub parcel: [AtomicU64; PARCEL],
        /// The pump's ends of both rings.
        pub outlet: ConsumerState,
        pub inlet: ProducerState,
        /// The program's ends, while they are on their way from one process to another.
        pub writer: ProducerState,
        pub reader: ConsumerState,
        /// Who shares the connection.
        pub members: [Member; MEMBERS],
    }
}

/// Where in the segment the rings lie that the program writes and reads, and how long it is.
pub(crate) const WRITTEN_AT: usize = size_of::<Page>();
pub(crate) const READ_AT: usize = WRITTEN_AT + Ring::BYTES;
pub(crate) const SEGMENT: usize = READ_AT + Ring::BYTES;
/// How long a listener's segment is.
pub(crate) const LISTENER_SEGMENT: usize = size_of::<Page>();

const _: () = assert!(WRITTEN_AT.is_multiple_of(Ring::ALIGN) && Ring::BYTES.is_multiple_of(Ring::ALIGN));

/// Who controls the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Nobody shares it yet.
    None,
    /// This member: its service thread has the companion.
    Held(u32),
    /// On the way to this member: value and parcel are there (SW-183, step 7).
    Offered(u32),
    /// The connection is over (SW-188).
    Dead,
}

impl Control {
    fn encode(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Held(member) => 1 << 32 | u64::from(member),
            Self::Offered(member) => 2 << 32 | u64::from(member),
            Self::Dead => 3 << 32,
        }
    }

    fn decode(word: u64) -> Self {
        let member = word as u32 % MEMBERS as u32;
        match word >> 32 {
            0 => Self::None,
            1 => Self::Held(member),
            2 => Self::Offered(member),
            _ => Self::Dead,
        }
    }
}

impl Page {
    /// Acquire: pairs with the release in [`Page::change`], so what the one before has left is seen.
    pub(crate) fn control(&self) -> Control {
        Control::decode(self.control.load(Ordering::Acquire))
    }

    /// Hands control on, if it is where the caller believes it to be.
    pub(crate) fn change(&self, from: Control, to: Control) -> bool {
        let (from, to) = (from.encode(), to.encode());
        self.control.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The connection is over, for all; whether it was not before.
    pub(crate) fn end(&self) -> bool {
        self.control.swap(Control::Dead.encode(), Ordering::AcqRel) != Control::Dead.encode()
    }

    /// Leaves a parcel for the next process; false: too long. Published by [`Page::change`].
    pub(crate) fn pack(&self, bytes: &[u8]) -> bool {
        let (words, rest) = bytes.as_chunks::<8>();
        if words.len() + usize::from(!rest.is_empty()) > PARCEL {
            return false;
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        for (place, word) in self.parcel.iter().zip(words.iter().chain(std::iter::once(&last))) {
            place.store(u64::from_le_bytes(*word), Ordering::Relaxed);
        }
        self.packed.store(bytes.len() as u32, Ordering::Relaxed);
        true
    }

    /// The parcel.
    pub(crate) fn unpack(&self) -> Vec<u8> {
        let length = (self.packed.load(Ordering::Relaxed) as usize).min(PARCEL * 8);
        let mut bytes: Vec<u8> =
            self.parcel.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
        bytes.truncate(length);
        bytes
    }

    /// Notes which provider carries the connection.
    pub(crate) fn set_provider(&self, name: &str) {
        for (place, byte) in self.provider.iter().zip(name.bytes().chain(std::iter::repeat(0))) {
            place.store(byte, Ordering::Relaxed);
        }
    }

    /// Whether that is the provider of this name.
    pub(crate) fn is_of_provider(&self, name: &str) -> bool {
        let known = self.provider.iter().map(|byte| byte.load(Ordering::Relaxed));
        known.eq(name.bytes().chain(std::iter::repeat(0)).take(PROVIDER_NAME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wsd_os::memory::{RegionOptions, SharedRegion};

    fn page() -> SharedRegion {
        SharedRegion::create(c"page", size_of::<Page>(), RegionOptions::default()).expect("memory")
    }

    #[test]
    fn a_parcel_comes_out_as_it_went_in() {
        let region = page();
        let page: &Page = region.at(0).expect("inside");
        for length in [0, 1, 8, 9, PARCEL * 8] {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            assert!(page.pack(&bytes));
            assert_eq!(page.unpack(), bytes);
        }
        assert!(!page.pack(&[0; PARCEL * 8 + 1]));
        page.packed.store(u32::MAX, Ordering::Relaxed);
        assert_eq!(page.unpack().len(), PARCEL * 8);
    }

    #[test]
    fn control_changes_hands_once() {
        let region = page();
        let page: &Page = region.at(0).expect("inside");
        assert_eq!(page.control(), Control::None);
        assert!(page.change(Control::None, Control::Held(3)));
        assert!(page.change(Control::Held(3), Control::Offered(63)));
        assert!(!page.change(Control::Held(3), Control::Offered(1)));
        assert_eq!(page.control(), Control::Offered(63));
        assert!(page.end() && !page.end());
        assert!(!page.change(Control::Offered(63), Control::Held(63)));
        page.control.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(page.control(), Control::Dead);
    }

    #[test]
    fn providers_are_known_by_their_names() {
        let region = page();
        let page: &Page = region.at(0).expect("inside");
        page.set_provider("shm");
        assert!(page.is_of_provider("shm") && !page.is_of_provider("sh") && !page.is_of_provider("shm2"));
    }
}
