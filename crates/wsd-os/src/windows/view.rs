//! Sections of memory without a file, mapped.

use core::mem::MaybeUninit;
use core::ptr::{NonNull, null};
use std::sync::Arc;

use windows_sys::Win32::Foundation::{
    ERROR_ALREADY_EXISTS, ERROR_BAD_LENGTH, ERROR_INSUFFICIENT_BUFFER, ERROR_MORE_DATA, GetLastError,
    INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEM_COMMIT, MEM_MAPPED, MEMORY_BASIC_INFORMATION,
    MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, OpenFileMappingW, PAGE_READWRITE, UnmapViewOfFile,
    VirtualQuery,
};
use windows_sys::Win32::System::ProcessStatus::K32GetMappedFileNameW;
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::{Errno, handle::Handle};

/// A section, whole, readable and writable, by this process and by others. Unmapped when dropped.
#[derive(Debug)]
pub(super) struct View {
    start: NonNull<u8>,
    len: usize,
    section: Option<Arc<Handle>>,
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for View {}
// SAFETY: what it holds is used by atomics, or copied without references.
unsafe impl Sync for View {}

impl View {
    /// A section of `len` zero bytes; with a name, which ends with a zero, a new one.
    ///
    /// # Errors
    ///
    /// `ADDRINUSE` if the name is taken; `NOMEM`.
    pub(super) fn create(len: usize, name: Option<&[u16]>) -> Result<Self, Errno> {
        let name = name.map_or(null(), <[u16]>::as_ptr);
        let (high, low) = ((len as u64 >> 32) as u32, len as u32);
        // SAFETY: no attributes; the name is null or ends with a zero.
        let raw =
            unsafe { CreateFileMappingW(INVALID_HANDLE_VALUE, null(), PAGE_READWRITE, high, low, name) };
        // SAFETY: reads a number of this thread.
        let exists = unsafe { GetLastError() } == ERROR_ALREADY_EXISTS;
        // SAFETY: just returned, ours alone.
        let section = unsafe { Handle::returned(raw) }.map_err(|error| match error {
            // The name is that of an object of another kind, or of another user.
            Errno::BADF | Errno::ACCESS => Errno::ADDRINUSE,
            other => other,
        })?;
        if exists { Err(Errno::ADDRINUSE) } else { Self::of(Arc::new(section)) }
    }

    /// The section with that name, which ends with a zero.
    ///
    /// # Errors
    ///
    /// `NOENT` if there is none, `ACCESS`.
    pub(super) fn open(name: &[u16]) -> Result<Self, Errno> {
        // SAFETY: the name ends with a zero.
        let raw = unsafe { OpenFileMappingW(FILE_MAP_READ | FILE_MAP_WRITE, 0, name.as_ptr()) };
        // SAFETY: just returned, ours alone.
        Self::of(Arc::new(unsafe { Handle::returned(raw) }?))
    }

    /// Maps a section.
    ///
    /// # Errors
    ///
    /// `INVAL` if it is none, or not all of it can be touched; `NOMEM`.
    pub(super) fn of(section: Arc<Handle>) -> Result<Self, Errno> {
        // SAFETY: a new mapping disturbs nothing; what is no section is answered with an error.
        let mapped = unsafe { MapViewOfFile(section.raw(), FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, 0) };
        let start = NonNull::new(mapped.Value.cast::<u8>()).ok_or_else(|| match Errno::last() {
            Errno::NOMEM => Errno::NOMEM,
            _ => Errno::INVAL,
        })?;
        let mut view = Self { start, len: 0, section: Some(section) };
        let mut facts = MaybeUninit::<MEMORY_BASIC_INFORMATION>::zeroed();
        // SAFETY: `facts` has room for what is asked.
        unsafe { VirtualQuery(mapped.Value, facts.as_mut_ptr(), size_of::<MEMORY_BASIC_INFORMATION>()) };
        // SAFETY: zeroed, and perhaps filled in: integers and pointers.
        let facts = unsafe { facts.assume_init() };
        view.len = facts.RegionSize;
        let fit = facts.State == MEM_COMMIT && facts.Type == MEM_MAPPED && facts.Protect == PAGE_READWRITE;
        if fit && !is_in_file(&view) { Ok(view) } else { Err(Errno::INVAL) }
    }

    /// The length in bytes: whole pages.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The first byte.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The section's handle, unless it was taken.
    pub(super) fn section(&self) -> Option<&Arc<Handle>> {
        self.section.as_ref()
    }

    /// Takes the handle out; the mapping stays.
    pub(super) fn take_section(&mut self) -> Option<Arc<Handle>> {
        self.section.take()
    }

    /// The `T` at the start. `None` if the section is shorter.
    ///
    /// # Safety
    ///
    /// `T` is made of atomics: valid with any bytes, and others may write it at any time.
    pub(super) unsafe fn header<T: Sync>(&self) -> Option<&T> {
        // SAFETY: views begin at a page, and it lies inside; the rest is the contract.
        (size_of::<T>() <= self.len).then(|| unsafe { self.start.cast::<T>().as_ref() })
    }
}

/// Whether a file is mapped there, of which it is not sure that it can be read when it is touched.
fn is_in_file(view: &View) -> bool {
    let mut path = [0; 4];
    // SAFETY: asks about our own mapping; the array has that length. The error is this thread's.
    let (named, error) = unsafe {
        let place = view.start.as_ptr().cast();
        let named = K32GetMappedFileNameW(GetCurrentProcess(), place, path.as_mut_ptr(), path.len() as u32);
        (named, GetLastError())
    };
    named != 0 || matches!(error, ERROR_INSUFFICIENT_BUFFER | ERROR_MORE_DATA | ERROR_BAD_LENGTH)
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: our own mapping; references to it borrow `self`, so there are none.
        unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.start.as_ptr().cast() }) };
    }
}
