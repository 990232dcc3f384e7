//! Memory shared with other processes.

use core::ffi::CStr;
use core::ops::Range;
use core::ptr::{self, NonNull};
use std::mem::ManuallyDrop;
use std::sync::Arc;

#[path = "fd_slot.rs"]
mod fd_slot;
#[path = "../memory/page_cell.rs"]
mod page_cell;
#[path = "../memory/plain.rs"]
mod plain;
#[path = "../memory/shared_slot.rs"]
mod shared_slot;
#[path = "sparse.rs"]
mod sparse;
#[path = "../memory/typed.rs"]
mod typed;

pub use fd_slot::FdSlot;
pub use page_cell::PageCell;
pub use plain::{CachePadded, Shared, Zeroable};
pub use shared_slot::SharedSlot;
pub use sparse::SparseArray;

use super::Errno;
use super::fd::{BorrowedFd, Object, OwnedFd};
use super::handle::Handle;
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
    /// Of a section that is found by its name, which lasts as long as there is a handle.
    _shown: Option<Arc<Handle>>,
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

    /// As [`SharedRegion::create`]; whoever may look at this process finds the section by `name`
    /// ([`process::Visible`](crate::process::Visible)).
    ///
    /// # Errors
    ///
    /// As [`SharedRegion::create`]. If something has the name already, the section is not found.
    pub fn create_visible(name: &CStr, len: usize, options: RegionOptions) -> Result<Self, Errno> {
        let len = whole_pages(len).ok_or(Errno::INVAL)?;
        let name = visible_name(name, super::thread::pid());
        let view = match View::create(len, Some(&name)) {
            Err(Errno::ADDRINUSE) => View::create(len, None),
            made => made,
        };
        let mut region = Self::of(view?, len, options);
        region._shown = region.view.section().cloned();
        Ok(region)
    }

    /// The length in bytes of a section that another process has sent; it is mapped for that.
    ///
    /// # Errors
    ///
    /// `INVAL` if it is none.
    pub fn length_of(fd: &OwnedFd) -> Result<usize, Errno> {
        let Object::Plain(handle) = &fd.0 else { return Err(Errno::INVAL) };
        View::of(handle.clone()).map(|view| view.len())
    }

    fn of(view: View, len: usize, options: RegionOptions) -> Self {
        Self { view: ManuallyDrop::new(view), len, for_ever: options.arena.is_some(), _shown: None }
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
        let Some(place) = self.place_of_bytes(offset, bytes.len()) else { return false };
        // SAFETY: inside the mapping, of which no plain reference exists.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place.as_ptr(), bytes.len()) };
        true
    }

    /// Fills `bytes` from `offset`. False if they would not lie inside. See [`write_bytes`](Self::write_bytes).
    pub fn read_bytes(&self, offset: usize, bytes: &mut [u8]) -> bool {
        let Some(place) = self.place_of_bytes(offset, bytes.len()) else { return false };
        // SAFETY: as in `write_bytes`.
        unsafe { ptr::copy_nonoverlapping(place.as_ptr(), bytes.as_mut_ptr(), bytes.len()) };
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

    /// Whether its addresses stay valid for ever.
    fn is_for_ever(&self) -> bool {
        self.for_ever
    }

    fn place_of_bytes(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: `offset` is at most the length of the mapping.
        Some(unsafe { self.view.start().add(offset) })
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

/// Would give whole pages of private memory back; here it is too much work for what it saves.
///
/// # Safety
///
/// Nothing is done.
unsafe fn give_back(_start: *mut u8, _len: usize) -> bool {
    false
}

/// The name of a section that process `pid` shows, for the system.
pub(super) fn visible_name(name: &CStr, pid: u32) -> Vec<u16> {
    format!("Local\\{}-{pid}\0", name.to_string_lossy()).encode_utf16().collect()
}

/// `len` rounded up to whole pages; `None` for 0 and on overflow.
fn whole_pages(len: usize) -> Option<usize> {
    if len == 0 {
        return None;
    }
    len.checked_next_multiple_of(page_size()).filter(|len| isize::try_from(*len).is_ok())
}
