//! Memory: segments shared with other processes, address ranges that stay valid for ever, large sparse tables.

mod arena;
mod page_cell;
mod plain;
mod region;
mod slots;
mod sparse;

pub use arena::AddressArena;
pub use page_cell::PageCell;
pub use plain::{CachePadded, Shared, Zeroable};
pub use region::{RegionOptions, SharedRegion};
pub use slots::{FdSlot, SharedSlot};
pub use sparse::SparseArray;

/// The size of a page in bytes.
pub fn page_size() -> usize {
    rustix::param::page_size()
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
