//! Cheap random data, and its hashes.

use sha2::{Digest, Sha256};
use std::io::{Read, Result, Write};

/// So many random bytes, the same for the same seed.
#[derive(Clone, Debug)]
pub struct RandomStream {
    state: u64,
    left: u64,
}

impl RandomStream {
    /// A stream of `length` bytes.
    #[must_use]
    pub fn new(seed: u64, length: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, left: length }
    }

    /// All its bytes.
    #[must_use]
    pub fn bytes(mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.read_to_end(&mut all).expect("it never fails");
        all
    }
}

impl Read for RandomStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let mut state = self.state;
        for chunk in buffer[..length].chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
        }
        self.state = state;
        self.left -= length as u64;
        Ok(length)
    }
}

/// The hash of these bytes, in hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The hash of all that can be read, and how much that was.
///
/// # Errors
///
/// What reading gives.
pub fn sha256_of(reader: impl Read) -> Result<(String, u64)> {
    copy_hashed(reader, std::io::sink())
}

/// Copy all that can be read; gives its hash and length.
///
/// # Errors
///
/// What reading or writing gives.
pub fn copy_hashed(mut from: impl Read, mut to: impl Write) -> Result<(String, u64)> {
    let mut hash = Sha256::new();
    let mut length = 0;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        to.write_all(&buffer[..read])?;
        hash.update(&buffer[..read]);
        length += read as u64;
    }
    to.flush()?;
    Ok((hex(&hash.finalize()), length))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_stream() {
        let (hash, length) = sha256_of(RandomStream::new(1, 100_000)).expect("never fails");
        assert_eq!(length, 100_000);
        assert_eq!(hash, sha256(&RandomStream::new(1, 100_000).bytes()));
        assert_ne!(hash, sha256(&RandomStream::new(2, 100_000).bytes()));
    }

    #[test]
    fn hash_of_nothing_is_the_known_one() {
        assert!(sha256(b"").starts_with("e3b0c44298fc1c149afbf4c8996fb924"));
    }
}
