//! Memory shared with other processes.

use core::ffi::CStr;
use core::ops::Range;
use core::ptr;
use std::mem::ManuallyDrop;

#[path = "../memory/plain.rs"]
mod plain;

pub use plain::{CachePadded, Shared, Zeroable};

use super::Errno;
use super::fd::{BorrowedFd, Object, OwnedFd};
use super::view::View;

/// The size of a page in bytes.
pub fn page_size() -> usize {
    4096
}

/// Address ranges that are never given back to the system. Windows cannot put anything in the place of a mapping without
/// a moment in between, so that what was mapped there stays, until the process ends.
#[derive(Debug)]
pub struct AddressArena(());

impl AddressArena {
    /// An arena without ranges.
    #[expect(clippy::new_without_default, reason = "only for statics, as on Linux")]
    pub const fn new() -> Self {
        Self(())
    }
}

/// How to make or map a [`SharedRegion`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RegionOptions {
    /// The size stays as it is; always so here.
    pub fixed_size: bool,
    /// Leave it out of dumps; whoever dumps a process decides that here.
    pub no_dump: bool,
    /// Its addresses stay valid for ever.
    pub arena: Option<&'static AddressArena>,
}

/// A mapped section that other processes may write at any time.
///
/// It cannot shrink. Pages cost physical memory only when they are touched. Nothing is left behind when the last process that has
/// it ends.
#[derive(Debug)]
pub struct SharedRegion {
    view: ManuallyDrop<View>,
    len: usize,
    for_ever: bool,
}

impl SharedRegion {
    /// Makes a section of `len` zero bytes, rounded up to whole pages. It has no name; `_name` is for Linux. Keeps a
    /// descriptor of it, to be sent to others and then dropped.
    ///
    /// # Errors
    ///
    /// `INVAL` for a length of 0; `NOMEM`.
    pub fn create(_name: &CStr, len: usize, options: RegionOptions) -> Result<Self, Errno> {
        let len = whole_pages(len).ok_or(Errno::INVAL)?;
        Ok(Self::of(View::create(len, None)?, len, options))
    }

    /// Maps a section that another process made and announced as `len` bytes long. The descriptor is kept.
    ///
    /// # Errors
    ///
    /// `INVAL` if it is no section without a file, of exactly that size; `NOMEM`.
    pub fn from_fd(fd: OwnedFd, len: usize, options: RegionOptions) -> Result<Self, Errno> {
        let Object::Plain(handle) = fd.0 else { return Err(Errno::INVAL) };
        let view = View::of(handle)?;
        if whole_pages(len) == Some(len) && view.len() == len {
            Ok(Self::of(view, len, options))
        } else {
            Err(Errno::INVAL)
        }
    }

    fn of(view: View, len: usize, options: RegionOptions) -> Self {
        Self { view: ManuallyDrop::new(view), len, for_ever: options.arena.is_some() }
    }

    /// The length in bytes, whole pages: what the other process must be told.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a section has at least one page.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The section's descriptor, to be sent to another process, unless it was dropped.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.view.section().map(|section| BorrowedFd::of(Object::Plain(section.clone())))
    }

    /// Takes the descriptor out; the mapping stays.
    pub fn take_fd(&mut self) -> Option<OwnedFd> {
        self.view.take_section().map(|section| OwnedFd(Object::Plain(section)))
    }

    /// The start of the mapping. What is read through it may change at any time; valid until `self` is dropped.
    pub fn as_ptr(&self) -> *mut u8 {
        self.view.start().as_ptr()
    }

    /// Copies `bytes` to `offset`. False if they would not lie inside.
    ///
    /// The caller and the other processes agree by atomics on who uses these bytes when; if a peer breaks the agreement,
    /// what ends up there is any mixture.
    pub fn write_bytes(&self, offset: usize, bytes: &[u8]) -> bool {
        let Some(place) = self.place(offset, bytes.len()) else { return false };
        // SAFETY: inside the mapping, of which no plain reference exists.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        true
    }

    /// Fills `bytes` from `offset`. False if they would not lie inside. See [`write_bytes`](Self::write_bytes).
    pub fn read_bytes(&self, offset: usize, bytes: &mut [u8]) -> bool {
        let Some(place) = self.place(offset, bytes.len()) else { return false };
        // SAFETY: as in `write_bytes`.
        unsafe { ptr::copy_nonoverlapping(place, bytes.as_mut_ptr(), bytes.len()) };
        true
    }

    /// Would give memory back to the system, which sections cannot.
    ///
    /// # Errors
    ///
    /// Always `OPNOTSUPP`.
    pub fn punch_hole(&self, _range: Range<usize>) -> Result<(), Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn place(&self, offset: usize, len: usize) -> Option<*mut u8> {
        let end = offset.checked_add(len)?;
        (end <= self.len).then(|| self.as_ptr().wrapping_add(offset))
    }
}

impl Drop for SharedRegion {
    fn drop(&mut self) {
        drop(self.view.take_section());
        if !self.for_ever {
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.view) };
        }
    }
}

/// `len` rounded up to whole pages; `None` for 0 and on overflow.
fn whole_pages(len: usize) -> Option<usize> {
    if len == 0 {
        return None;
    }
    len.checked_next_multiple_of(page_size()).filter(|len| isize::try_from(*len).is_ok())
}
