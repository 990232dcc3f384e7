//! Memory of the program that a provider reads and writes.

use core::fmt;

use crate::error::WsaError;
use crate::ffi::{HANDLE, LPVOID};
use crate::value::RegistrationHandle;

/// One data buffer of a pending operation.
///
/// Exists only inside the [`Submission`](super::Submission) or [`Overlapped`](super::Overlapped) it belongs to. Until
/// the operation completes, the caller of the SPI keeps the memory mapped and does not use it in a conflicting way
/// (section 14): that is what makes the methods safe. Write only to buffers of receives and RDMA reads.
pub struct UserBuffer {
    start: *mut u8,
    length: u32,
    handle: Option<RegistrationHandle>,
}

impl UserBuffer {
    /// A buffer of the caller.
    ///
    /// # Safety
    /// `length` bytes from `start` on are readable, and writable if the operation writes, until the operation that
    /// the value will belong to has completed or was refused.
    pub(super) unsafe fn new(start: LPVOID, length: u32, handle: HANDLE) -> Self {
        Self { start: start.cast(), length, handle: RegistrationHandle::from_raw(handle.addr()) }
    }

    const EMPTY: Self = Self { start: core::ptr::null_mut(), length: 0, handle: None };

    /// Start of the buffer, for system calls and hardware. The memory behind it is valid as long as this value is.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start
    }

    /// Length in bytes.
    pub fn len(&self) -> u32 {
        self.length
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The registration that the caller named: RDMA only.
    pub fn handle(&self) -> Option<RegistrationHandle> {
        self.handle
    }

    /// Copies from the buffer, beginning at `offset`, to `target`: the number of bytes copied, less than asked if
    /// the buffer ends.
    pub fn copy_to(&self, offset: u32, target: &mut [u8]) -> usize {
        let length = target.len().min(self.length.saturating_sub(offset) as usize);
        if length != 0 {
            // SAFETY: `offset + length` lies within the buffer, which is valid until completion (see `new`);
            // `target` is a distinct exclusive borrow.
            unsafe { core::ptr::copy(self.start.add(offset as usize), target.as_mut_ptr(), length) };
        }
        length
    }

    /// Copies `source` into the buffer, beginning at `offset`: the number of bytes copied, less than given if the
    /// buffer ends.
    pub fn copy_from(&self, offset: u32, source: &[u8]) -> usize {
        let length = source.len().min(self.length.saturating_sub(offset) as usize);
        if length != 0 {
            // SAFETY: `offset + length` lies within the buffer, which is valid until completion (see `new`).
            unsafe { core::ptr::copy(source.as_ptr(), self.start.add(offset as usize), length) };
        }
        length
    }
}

impl fmt::Debug for UserBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}+{}", self.start, self.length)
    }
}

/// The data buffers of one operation, captured at submission (SP-087).
pub struct UserBuffers {
    few: [UserBuffer; Self::INLINE],
    many: Vec<UserBuffer>,
    count: usize,
    total: u32,
}

// SAFETY: the pointers inside are to memory of the caller that is valid on every thread (section 14); the value owns
// the right to use it.
unsafe impl Send for UserBuffers {}

impl UserBuffers {
    const INLINE: usize = 4;

    /// Most buffers of one operation; more are `WSAEINVAL`.
    pub const MAX: usize = 64;

    /// Captures buffers.
    ///
    /// # Errors
    /// `WSAEFAULT` for a NULL buffer with a length, `WSAEMSGSIZE` if the sum does not fit 32 bits.
    pub(super) fn capture(buffers: impl ExactSizeIterator<Item = UserBuffer>) -> Result<Self, WsaError> {
        let mut captured =
            Self { few: [UserBuffer::EMPTY; 4], many: Vec::new(), count: buffers.len(), total: 0 };
        for (index, buffer) in buffers.enumerate() {
            if buffer.start.is_null() && buffer.length != 0 {
                return Err(WsaError::WSAEFAULT);
            }
            captured.total = captured.total.checked_add(buffer.length).ok_or(WsaError::WSAEMSGSIZE)?;
            if captured.count <= Self::INLINE {
                captured.few[index] = buffer;
            } else {
                captured.many.push(buffer);
            }
        }
        Ok(captured)
    }

    /// The buffers in order.
    pub fn segments(&self) -> &[UserBuffer] {
        if self.count <= Self::INLINE { &self.few[..self.count] } else { &self.many }
    }

    /// Sum of the lengths in bytes.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Copies from the buffers, taken as one run of bytes beginning at `offset`, to `target`: the number of bytes
    /// copied.
    pub fn copy_to(&self, offset: u32, target: &mut [u8]) -> usize {
        let mut done = 0;
        self.walk(offset, |buffer, within| {
            done += buffer.copy_to(within, &mut target[done..]);
            done < target.len()
        });
        done
    }

    /// Copies `source` into the buffers, taken as one run of bytes beginning at `offset`: the number of bytes copied.
    pub fn copy_from(&self, offset: u32, source: &[u8]) -> usize {
        let mut done = 0;
        self.walk(offset, |buffer, within| {
            done += buffer.copy_from(within, &source[done..]);
            done < source.len()
        });
        done
    }

    /// Calls `visit` with each buffer from `offset` on, and the offset within it, while `visit` wants more.
    fn walk<'a>(&'a self, offset: u32, mut visit: impl FnMut(&'a UserBuffer, u32) -> bool) {
        let mut skip = offset;
        for buffer in self.segments() {
            if skip >= buffer.length {
                skip -= buffer.length;
            } else {
                if !visit(buffer, skip) {
                    return;
                }
                skip = 0;
            }
        }
    }
}

impl fmt::Debug for UserBuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.segments()).finish()
    }
}

/// Memory that the switch registers: mapped until its deregistration, or `WSPCloseSocket`, has returned.
#[derive(Debug)]
pub struct MemoryRange {
    start: *mut u8,
    length: u32,
}

// SAFETY: the pointer is only a value here; whoever uses it takes over the obligations of the methods below.
unsafe impl Send for MemoryRange {}
// SAFETY: as above.
unsafe impl Sync for MemoryRange {}

impl MemoryRange {
    /// A range of the caller.
    ///
    /// # Errors
    /// `WSAEFAULT` for NULL, or a range that wraps around the address space.
    pub(super) fn new(start: LPVOID, length: u32) -> Result<Self, WsaError> {
        if start.is_null() || start.addr().checked_add(length as usize).is_none() {
            return Err(WsaError::WSAEFAULT);
        }
        Ok(Self { start: start.cast(), length })
    }

    /// Start of the range.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start
    }

    /// Length in bytes.
    pub fn len(&self) -> u32 {
        self.length
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether `length` bytes from `start` on lie in the range (SP-085).
    pub fn contains(&self, start: *const u8, length: u32) -> bool {
        let offset = start.addr().wrapping_sub(self.start.addr());
        start.addr() >= self.start.addr()
            && offset <= self.length as usize
            && length as usize <= self.length as usize - offset
    }

    /// Whether the range shares a byte with `length` bytes from `address` on (SP-160).
    pub fn overlaps(&self, address: usize, length: usize) -> bool {
        let (start, end) = (self.start.addr(), self.start.addr().saturating_add(self.length as usize));
        start < address.saturating_add(length) && address < end
    }

    /// Copies from the range, beginning at `offset`, to `target`. False, and nothing copied, if the range is shorter.
    ///
    /// # Safety
    /// The range is still registered, and its socket not closed.
    pub unsafe fn copy_to(&self, offset: u32, target: &mut [u8]) -> bool {
        let fits = self.fits(offset, target.len());
        if fits {
            // SAFETY: the bytes lie within the range, which is mapped by the contract of this function.
            unsafe { core::ptr::copy(self.start.add(offset as usize), target.as_mut_ptr(), target.len()) };
        }
        fits
    }

    /// Copies `source` into the range, beginning at `offset`. False, and nothing copied, if the range is shorter.
    ///
    /// # Safety
    /// The range is still registered for writing, and its socket not closed.
    pub unsafe fn copy_from(&self, offset: u32, source: &[u8]) -> bool {
        let fits = self.fits(offset, source.len());
        if fits {
            // SAFETY: the bytes lie within the range, which is mapped by the contract of this function.
            unsafe { core::ptr::copy(source.as_ptr(), self.start.add(offset as usize), source.len()) };
        }
        fits
    }

    fn fits(&self, offset: u32, length: usize) -> bool {
        (offset as usize).checked_add(length).is_some_and(|end| end <= self.length as usize)
    }
}
