//! A window: what the peer needs to know of exposed memory, in 256 bytes that the programs hand over (`docs/one-sided.md`).

use thiserror::Error;
use wsd_spi::MemoryAccess;

/// Bytes of a window.
pub const WINDOW: usize = 256;
/// Longest descriptor of a provider that fits.
pub(crate) const LONGEST_DESCRIPTOR: usize = 224;

const MAGIC: [u8; 4] = *b"WSDW";
const VERSION: u16 = 1;
const DESCRIPTOR_AT: usize = 32;

/// Why bytes are no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WindowError {
    /// They begin otherwise.
    #[error("the bytes are no window of wsdirect")]
    Magic,
    /// A later wsdirect made it.
    #[error("the window has version {0}, this end knows version {VERSION}")]
    Version(u16),
    /// A field has a value that it cannot have.
    #[error("the window's bytes are damaged")]
    Damaged,
}

/// A window that was read and is well-formed. Its descriptor is the provider's to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// What the peer may do.
    pub(crate) access: MemoryAccess,
    /// Of the exposing end in the session negotiation.
    pub(crate) nonce: u64,
    /// Bytes of memory, not 0.
    pub(crate) length: u32,
    descriptor: [u8; LONGEST_DESCRIPTOR],
    used: usize,
}

/// The access that a window's number of rights stands for.
pub(crate) fn rights_of(number: u8) -> Option<MemoryAccess> {
    match number {
        1 => Some(MemoryAccess::Read),
        2 => Some(MemoryAccess::Write),
        3 => Some(MemoryAccess::ReadWrite),
        _ => None,
    }
}

fn number_of(access: MemoryAccess) -> u8 {
    u8::from(access.reads()) | u8::from(access.writes()) << 1
}

impl Window {
    /// The window of `length` bytes; `None` if the descriptor is too long.
    pub(crate) fn new(access: MemoryAccess, nonce: u64, length: u32, descriptor: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONGEST_DESCRIPTOR];
        bytes.get_mut(..descriptor.len())?.copy_from_slice(descriptor);
        Some(Self { access, nonce, length, descriptor: bytes, used: descriptor.len() })
    }

    /// The provider's descriptor.
    pub(crate) fn descriptor(&self) -> &[u8] {
        &self.descriptor[..self.used]
    }

    /// The offset as providers take it, if so many bytes from there on are inside.
    pub(crate) fn place(&self, offset: u64, length: u64) -> Option<u32> {
        let end = offset.checked_add(length)?;
        (end <= u64::from(self.length)).then(|| u32::try_from(offset).ok()).flatten()
    }

    pub(crate) fn encode(&self) -> [u8; WINDOW] {
        let mut bytes = [0; WINDOW];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_be_bytes());
        bytes[6] = number_of(self.access);
        bytes[8..16].copy_from_slice(&self.nonce.to_be_bytes());
        bytes[16..24].copy_from_slice(&u64::from(self.length).to_be_bytes());
        bytes[24..26].copy_from_slice(&(self.used as u16).to_be_bytes());
        bytes[DESCRIPTOR_AT..].copy_from_slice(&self.descriptor);
        bytes
    }

    /// Reads what a peer's program says that a window is.
    ///
    /// # Errors
    /// [`WindowError`].
    pub(crate) fn decode(bytes: &[u8; WINDOW]) -> Result<Self, WindowError> {
        let number = |from: usize, to: usize| {
            bytes[from..to].iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
        };
        if bytes[..4] != MAGIC {
            return Err(WindowError::Magic);
        }
        let version = number(4, 6) as u16;
        if version != VERSION {
            return Err(WindowError::Version(version));
        }
        let access = rights_of(bytes[6]).ok_or(WindowError::Damaged)?;
        let length = u32::try_from(number(16, 24)).map_err(|_| WindowError::Damaged)?;
        let used = number(24, 26) as usize;
        let descriptor = bytes.get(DESCRIPTOR_AT..DESCRIPTOR_AT + used).ok_or(WindowError::Damaged)?;
        let window = Self::new(access, number(8, 16), length, descriptor).ok_or(WindowError::Damaged)?;
        // Everything else is 0: whoever gives it a meaning raises the version.
        if length == 0 || window.encode() != *bytes {
            return Err(WindowError::Damaged);
        }
        Ok(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The bytes of version 1, as the page describes them.
    #[test]
    fn the_bytes_are_as_described() {
        let window = Window::new(MemoryAccess::Write, 0x0102_0304_0506_0708, 0x0a0b_0c0d, &[0xee; 3]);
        let mut expected = [0; WINDOW];
        expected[..12].copy_from_slice(b"WSDW\x00\x01\x02\x00\x01\x02\x03\x04");
        expected[12..26].copy_from_slice(b"\x05\x06\x07\x08\x00\x00\x00\x00\x0a\x0b\x0c\x0d\x00\x03");
        expected[32..35].fill(0xee);
        assert_eq!(window.expect("fits").encode(), expected);
    }

    #[test]
    fn a_descriptor_that_does_not_fit_is_refused() {
        assert!(Window::new(MemoryAccess::Read, 0, 1, &[1; LONGEST_DESCRIPTOR]).is_some());
        assert_eq!(Window::new(MemoryAccess::Read, 0, 1, &[1; LONGEST_DESCRIPTOR + 1]), None);
    }

    #[test]
    fn ranges_end_inside() {
        let window = Window::new(MemoryAccess::Read, 0, u32::MAX, &[]).expect("fits");
        assert_eq!(window.place(0, u64::from(u32::MAX)), Some(0));
        assert_eq!(window.place(1, u64::from(u32::MAX)), None);
        assert_eq!(window.place(u64::MAX, 1), None);
        assert_eq!(window.place(u64::from(u32::MAX) - 1, 1), Some(u32::MAX - 1));
    }

    #[test]
    fn other_versions_and_other_bytes_are_told_apart() {
        let good = Window::new(MemoryAccess::ReadWrite, 7, 5, &[1, 2]).expect("fits").encode();
        let changed = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            Window::decode(&bytes)
        };
        assert_eq!(changed(0, b'X'), Err(WindowError::Magic));
        assert_eq!(changed(5, 2), Err(WindowError::Version(2)));
        for (at, byte) in [(6, 0), (6, 4), (7, 1), (16, 1), (23, 0), (24, 1), (25, 225), (26, 1), (255, 1)] {
            assert_eq!(changed(at, byte), Err(WindowError::Damaged), "byte {at} = {byte}");
        }
    }

    proptest! {
        #[test]
        fn windows_survive_the_journey(
            nonce: u64,
            length in 1u32..,
            rights in 1u8..=3,
            descriptor in proptest::collection::vec(any::<u8>(), 0..=LONGEST_DESCRIPTOR),
        ) {
            let access = rights_of(rights).expect("1 to 3");
            let window = Window::new(access, nonce, length, &descriptor).expect("fits");
            prop_assert_eq!(Window::decode(&window.encode()), Ok(window));
            prop_assert_eq!(window.descriptor(), &descriptor[..]);
        }

        /// A peer's program sends anything.
        #[test]
        fn rubbish_is_refused_or_says_what_it_says(
            mut bytes in proptest::collection::vec(any::<u8>(), WINDOW),
            honest in 0usize..=26,
        ) {
            let good = Window::new(MemoryAccess::Read, 1, 100, &[]).expect("fits").encode();
            bytes[..honest].copy_from_slice(&good[..honest]);
            let bytes: [u8; WINDOW] = bytes.try_into().expect("the length was asked for");
            if let Ok(window) = Window::decode(&bytes) {
                prop_assert_eq!(window.encode(), bytes);
            }
        }
    }
}
