//! Copying bytes between private memory and a data area, around the area's end.
//!
//! This is the only place that touches data bytes. Offsets and levels may be anything: the position is masked
//! into the area and the length is limited to the area's size, so a copy cannot leave the ring's memory.

use super::Ring;
use super::layout::Area;

/// A piece of a data area, for system calls that move bytes straight into or out of the ring.
///
/// The peer may change these bytes at any time, so they must not be looked at through references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub ptr: *mut u8,
    /// Number of bytes; may be zero.
    pub len: usize,
}

impl Ring {
    /// The bytes `[at, at + len)` of an area, in two pieces where they pass its end.
    #[inline]
    pub(super) fn spans(&self, level: u32, at: u64, len: usize) -> [Span; 2] {
        let area = Area::of(level);
        let len = len.min(area.bytes);
        let pos = at as usize & (area.bytes - 1);
        let first = len.min(area.bytes - pos);
        // SAFETY: `offset + pos` and `offset` are inside the ring, whose `BYTES` bytes are one mapping.
        let (ptr, begin) = unsafe { (self.as_ptr().add(area.offset + pos), self.as_ptr().add(area.offset)) };
        [Span { ptr, len: first }, Span { ptr: begin, len: len - first }]
    }

    /// Copies `src` to offset `at` of the stream, in the area of `level`.
    #[inline]
    pub(super) fn copy_in(&self, level: u32, at: u64, src: &[u8]) {
        let [a, b] = self.spans(level, at, src.len());
        // SAFETY: the spans lie in the ring and are together no longer than `src`; `src` is private memory, so
        // it does not overlap them. Nobody holds a reference to the ring's data.
        unsafe {
            core::ptr::copy_nonoverlapping(src.as_ptr(), a.ptr, a.len);
            if b.len != 0 {
                core::ptr::copy_nonoverlapping(src.as_ptr().add(a.len), b.ptr, b.len);
            }
        }
    }

    /// Copies the bytes from offset `at` of the stream, in the area of `level`, to `dst`.
    #[inline]
    pub(super) fn copy_out(&self, level: u32, at: u64, dst: &mut [u8]) {
        let [a, b] = self.spans(level, at, dst.len());
        // SAFETY: as in `copy_in`, with the directions exchanged. A peer that writes these bytes meanwhile makes
        // the copy a mixture, which is a valid value of `[u8]`.
        unsafe {
            core::ptr::copy_nonoverlapping(a.ptr, dst.as_mut_ptr(), a.len);
            if b.len != 0 {
                core::ptr::copy_nonoverlapping(b.ptr, dst.as_mut_ptr().add(a.len), b.len);
            }
        }
    }
}
