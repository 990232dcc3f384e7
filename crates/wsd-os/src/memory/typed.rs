//! What lies in a [`SharedRegion`], by its type.

use core::ptr::NonNull;

use super::SharedRegion;
use super::plain::Shared;

impl SharedRegion {
    /// The `T` at `offset` bytes, or `None` if it would not lie inside or is not aligned.
    #[inline]
    pub fn at<T: Shared>(&self, offset: usize) -> Option<&T> {
        let place = self.place::<T>(offset, 1)?;
        // SAFETY: aligned, inside the mapping, which lives as long as `self`; T is valid with any bytes and made of
        // atomics, so writes by others at the same time are allowed.
        Some(unsafe { place.as_ref() })
    }

    /// The `count` consecutive `T`s at `offset` bytes, or `None` if they would not lie inside or are not aligned.
    #[inline]
    pub fn slice_at<T: Shared>(&self, offset: usize, count: usize) -> Option<&[T]> {
        let place = self.place::<T>(offset, count)?;
        // SAFETY: as in `at`, for `count` elements.
        Some(unsafe { core::slice::from_raw_parts(place.as_ptr(), count) })
    }

    /// As [`at`](Self::at), valid for ever; `None` also if the region is not in an arena.
    ///
    /// When the region has been dropped, the reference leads to zeros, and later perhaps to another segment's bytes.
    #[inline]
    pub fn at_forever<T: Shared>(&self, offset: usize) -> Option<&'static T> {
        let place = self.place::<T>(offset, 1).filter(|_| self.is_for_ever())?;
        // SAFETY: as in `at`, and ranges of an arena stay mapped, readable and writable, for ever.
        Some(unsafe { place.as_ref() })
    }

    #[inline]
    fn place<T>(&self, offset: usize, count: usize) -> Option<NonNull<T>> {
        let place = self.place_of_bytes(offset, size_of::<T>().checked_mul(count)?)?.cast::<T>();
        place.is_aligned().then_some(place)
    }
}
