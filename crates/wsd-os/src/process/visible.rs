//! Segments of other processes, found by their names.

use core::ffi::CStr;

use super::{mappings, read_memory};

/// A segment that another process shows by name ([`SharedRegion::create_visible`](crate::memory::SharedRegion::create_visible)).
#[derive(Debug)]
pub struct Visible {
    pid: u32,
    base: u64,
}

impl Visible {
    /// That of process `pid`. `None`: there is none, or it may not be looked at.
    pub fn of(pid: u32, name: &CStr) -> Option<Self> {
        let mapping = mappings(pid, name.to_str().ok()?).ok()?.into_iter().next()?;
        Some(Self { pid, base: mapping.start })
    }

    /// `length` bytes from `offset`, as they are at some moment. `None` if they cannot be read whole.
    pub fn read(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        let whole =
            length == 0 || read_memory(self.pid, self.base.checked_add(offset)?, &mut bytes).ok()? == length;
        whole.then_some(bytes)
    }
}
