//! Memory: segments shared with other processes, address ranges that stay valid for ever, large sparse tables.

mod arena;
mod fd_slot;
mod page_cell;
mod plain;
mod region;
mod shared_slot;
mod sparse;
mod typed;

pub use arena::AddressArena;
pub use fd_slot::FdSlot;
pub use page_cell::PageCell;
pub use plain::{CachePadded, Shared, Zeroable};
pub use region::{RegionOptions, SharedRegion};
pub use shared_slot::SharedSlot;
pub use sparse::SparseArray;

/// The size of a page in bytes.
pub fn page_size() -> usize {
    rustix::param::page_size()
}

/// Gives whole pages of private memory back; they are zeros afterwards. False: they are as they were.
///
/// # Safety
///
/// Nobody else uses them, and as zeros they are what their owner takes them for.
unsafe fn give_back(start: *mut u8, len: usize) -> bool {
    // SAFETY: the contract.
    unsafe { rustix::mm::madvise(start.cast(), len, rustix::mm::Advice::LinuxDontNeed) }.is_ok()
}

/// `len` rounded up to whole pages; `None` for 0 and on overflow.
fn whole_pages(len: usize) -> Option<usize> {
    let page = page_size();
    if len == 0 {
        None
    } else {
        len.checked_next_multiple_of(page).filter(|len| isize::try_from(*len).is_ok())
    }
}

#[cfg(test)]
mod tests;
