//! Segments of memory shared with other processes: sealed memfds, passed by descriptor.

use core::ffi::CStr;
use core::ops::Range;
use core::ptr::{self, NonNull};

use rustix::fs::{self, FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, madvise, munmap};
use rustix::process::{Resource, getrlimit};

use super::arena::{AddressArena, map_shared};
use super::{page_size, whole_pages};
use crate::fd::{AsFd, BorrowedFd, OwnedFd, hidden};

/// How to make or map a [`SharedRegion`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RegionOptions {
    /// Seal the size for good: nobody can let the segment grow either, or add other seals.
    pub fixed_size: bool,
    /// Leave it out of core dumps (it may be large, and holds the program's data).
    pub no_dump: bool,
    /// Map it in this arena, so that its addresses stay valid for ever; see [`SharedRegion::at_forever`].
    pub arena: Option<&'static AddressArena>,
}

/// A mapped segment of memory that other processes may write at any time.
///
/// It is sealed against shrinking, so that touching it never raises `SIGBUS`. Pages cost memory only when they are
/// touched. Nothing is left behind when the last process that has it ends. Unmapped on drop (or retired to its arena).
/// A child of fork shares it.
#[derive(Debug)]
pub struct SharedRegion {
    start: NonNull<u8>,
    len: usize,
    fd: Option<OwnedFd>,
    arena: Option<&'static AddressArena>,
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for SharedRegion {}
// SAFETY: all safe access is through atomics, or copies bytes of which no reference is made.
unsafe impl Sync for SharedRegion {}

impl SharedRegion {
    /// Makes a segment of `len` zero bytes, rounded up to whole pages. `name` is shown in `/proc/PID/maps`, as
    /// `/memfd:name (deleted)`. Keeps a descriptor of it, to be sent to others and then dropped.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a length of 0 or a name beyond 249 bytes; `EFBIG` if the program's `RLIMIT_FSIZE` forbids the size
    /// (the kernel would send it `SIGXFSZ`); else as memfd_create(2), ftruncate(2), mmap(2): `EMFILE`, `ENOMEM`.
    pub fn create(name: &CStr, len: usize, options: RegionOptions) -> Result<Self, Errno> {
        let len = whole_pages(len).ok_or(Errno::INVAL)?;
        if getrlimit(Resource::Fsize).current.is_some_and(|limit| (len as u64) > limit) {
            return Err(Errno::FBIG);
        }
        let fd = hidden(|| fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING))?;
        fs::ftruncate(&fd, len as u64)?;
        let mut seals = SealFlags::SHRINK;
        if options.fixed_size {
            seals |= SealFlags::GROW | SealFlags::SEAL;
        }
        fs::fcntl_add_seals(&fd, seals)?;
        Self::map(fd, len, options)
    }

    /// As [`SharedRegion::create`]; whoever may look at this process finds the segment by `name`
    /// ([`process::Visible`](crate::process::Visible)).
    ///
    /// # Errors
    ///
    /// As [`SharedRegion::create`].
    pub fn create_visible(name: &CStr, len: usize, options: RegionOptions) -> Result<Self, Errno> {
        Self::create(name, len, options)
    }

    /// The length in bytes of a segment that another process has sent.
    ///
    /// # Errors
    ///
    /// As fstat(2).
    pub fn length_of(fd: &OwnedFd) -> Result<usize, Errno> {
        usize::try_from(fs::fstat(fd)?.st_size).map_err(|_| Errno::INVAL)
    }

    /// Maps a segment that another process made and announced as `len` bytes long.
    ///
    /// The descriptor is kept. With [`RegionOptions::fixed_size`] the segment must be sealed like that.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not a memfd in ordinary memory, of exactly that size, sealed against shrinking (then touching
    /// it could kill the program); else as mmap(2).
    pub fn from_fd(fd: OwnedFd, len: usize, options: RegionOptions) -> Result<Self, Errno> {
        check_foreign(fd.as_fd(), len, options)?;
        Self::map(fd, len, options)
    }

    fn map(fd: OwnedFd, len: usize, options: RegionOptions) -> Result<Self, Errno> {
        let start = match options.arena {
            Some(arena) => arena.map(fd.as_fd(), len)?,
            None => map_shared(ptr::null_mut(), len, MapFlags::empty(), &fd)?,
        };
        let region = Self { start, len, fd: Some(fd), arena: options.arena };
        if options.no_dump {
            // SAFETY: the advice is for our own mapping and changes nothing but core dumps.
            unsafe { madvise(start.as_ptr().cast(), len, Advice::LinuxDontDump) }?;
        }
        Ok(region)
    }

    /// The length in bytes, whole pages: what the other process must be told.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: a segment has at least one page.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The segment's descriptor, to be sent to another process, unless it was dropped.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Takes the descriptor out; the mapping stays.
    pub fn take_fd(&mut self) -> Option<OwnedFd> {
        self.fd.take()
    }

    /// The start of the mapping. What is read through it may change at any time; valid until `self` is dropped.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Copies `bytes` to `offset`. False if they would not lie inside.
    ///
    /// The caller and the other processes agree by atomics on who uses these bytes when; if a peer breaks the agreement,
    /// what ends up there is any mixture.
    pub fn write_bytes(&self, offset: usize, bytes: &[u8]) -> bool {
        let Some(place) = self.place_of_bytes(offset, bytes.len()) else { return false };
        // SAFETY: inside the mapping, of which no plain reference exists. (A write by another process at the same
        // time is outside of this program's memory model, and changes values only.)
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

    /// Gives the memory of whole pages back to the system; they read as zeros afterwards, for everybody.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the range does not consist of whole pages inside the segment; else as madvise(2), `MADV_REMOVE`.
    pub fn punch_hole(&self, range: Range<usize>) -> Result<(), Errno> {
        let page = page_size();
        if !range.start.is_multiple_of(page)
            || !range.end.is_multiple_of(page)
            || range.start >= range.end
            || range.end > self.len
        {
            return Err(Errno::INVAL);
        }
        if let Some(fd) = &self.fd {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            return fs::fallocate(fd, flags, range.start as u64, (range.end - range.start) as u64);
        }
        // SAFETY: inside our mapping; the bytes become zeros, as another process could make them too.
        unsafe {
            let start = self.start.as_ptr().add(range.start);
            madvise(start.cast(), range.end - range.start, Advice::LinuxRemove)
        }
    }

    /// Whether its addresses stay valid for ever.
    pub(super) fn is_for_ever(&self) -> bool {
        self.arena.is_some()
    }

    #[inline]
    pub(super) fn place_of_bytes(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: `offset` is at most the length of the mapping.
        Some(unsafe { self.start.add(offset) })
    }
}

impl Drop for SharedRegion {
    fn drop(&mut self) {
        match self.arena {
            // SAFETY: mapped by this arena with this length, and nobody borrows `self` any more.
            Some(arena) => unsafe { arena.retire(self.start, self.len) },
            None => {
                // SAFETY: our own mapping; references to it borrow `self`, so there are none.
                let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
            }
        }
    }
}

/// Checks that touching the first `len` bytes of a mapping of `fd` can never fault.
fn check_foreign(fd: BorrowedFd<'_>, len: usize, options: RegionOptions) -> Result<(), Errno> {
    let mut needed = SealFlags::SHRINK;
    if options.fixed_size {
        needed |= SealFlags::GROW | SealFlags::SEAL;
    }
    // Fails for everything but memfds and files of tmpfs and hugetlbfs.
    let seals = fs::fcntl_get_seals(fd).map_err(|_| Errno::INVAL)?;
    // Huge pages can run out when a hole that a peer punched is touched.
    let ordinary = fs::fstatfs(fd)?.f_type as i64 == libc::TMPFS_MAGIC;
    // Last: once sealed it can only grow.
    let size = fs::fstat(fd)?.st_size;
    let size_fits = whole_pages(len) == Some(len) && size as u64 == len as u64;
    if seals.contains(needed) && ordinary && size_fits { Ok(()) } else { Err(Errno::INVAL) }
}
