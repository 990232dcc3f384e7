//! A receive of the provider's own.

use core::cell::UnsafeCell;
use std::io;

use wsd_spi::MemoryAccess;

use super::ffi::Sge;
use super::pair::{Domain, Region, Rights};

/// Memory that the device writes.
pub(crate) struct Inbox {
    /// Dropped first: then the device writes no more.
    region: Region,
    memory: Box<[UnsafeCell<u8>]>,
}

impl Inbox {
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn new(domain: &Domain, length: u32) -> io::Result<Self> {
        let memory: Box<[UnsafeCell<u8>]> = (0..length).map(|_| UnsafeCell::new(0)).collect();
        let start = memory.as_ptr().cast_mut().cast::<u8>();
        let rights = Rights::Own(MemoryAccess::Write);
        let region = domain.register(start, length, start.expose_provenance() as u64, rights)?;
        Ok(Self { region, memory })
    }

    /// For the work request.
    pub(crate) fn segment(&self) -> Sge {
        let addr = self.memory.as_ptr().expose_provenance() as u64;
        Sge { addr, length: self.memory.len() as u32, lkey: self.region.local_key() }
    }

    /// What has arrived: the receive has completed with so many bytes.
    pub(crate) fn take(self, bytes: u32) -> Box<[u8]> {
        let Self { region, memory } = self;
        drop(region);
        memory.iter().take(bytes as usize).map(|byte| byte.get()).map(read).collect()
    }
}

fn read(byte: *mut u8) -> u8 {
    // SAFETY: called by `take` only: a byte of memory that lives, and that the device does not write any more.
    unsafe { *byte }
}
