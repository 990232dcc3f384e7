//! Memory for providers.

use wsd_spi::WsaError;
use wsd_spi::client::{Buffer, MemoryExt, StableMemory};

/// A part of some whole pages that are never given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    buffer: &'static Buffer,
    offset: usize,
    length: usize,
}

impl Memory {
    /// `length` bytes, all 0.
    pub(crate) fn zeroed(length: usize) -> Result<Self, WsaError> {
        let buffer: &'static Buffer = Box::leak(Box::new(Buffer::new(length)?));
        Ok(Self { buffer, offset: 0, length })
    }

    /// A copy of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self, WsaError> {
        let memory = Self::zeroed(bytes.len())?;
        memory.write(0, bytes);
        Ok(memory)
    }

    /// `length` bytes of it, from `offset` on.
    ///
    /// # Panics
    /// If they are not all in it.
    pub(crate) fn part(&self, offset: usize, length: usize) -> Self {
        assert!(offset + length <= self.length, "{length} bytes at {offset} of {}", self.length);
        Self { buffer: self.buffer, offset: self.offset + offset, length }
    }

    /// Address of its first byte.
    pub(crate) fn start(&self) -> *mut u8 {
        self.buffer.as_ptr().as_ptr().wrapping_add(self.offset)
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Copies `bytes` into it.
    ///
    /// # Panics
    /// If they do not fit.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.length, "{} bytes at {offset} of {}", bytes.len(), self.length);
        self.buffer.write(self.offset + offset, bytes);
    }

    /// A copy of its bytes.
    pub(crate) fn read(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        self.buffer.read(self.offset, &mut bytes);
        bytes
    }
}
