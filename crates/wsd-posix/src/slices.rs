//! The program's memory as slices, checked as far as the kernel's own checks can be repeated here.

use std::ffi::c_void;
use std::io::{IoSlice, IoSliceMut};
use std::slice;

use libc::iovec;
use rustix::io::Errno;

/// The most that one call moves (the kernel's `MAX_RW_COUNT`).
pub(crate) const MOST: usize = 0x7fff_f000;
/// The longest list of buffers (`UIO_MAXIOV`).
pub(crate) const MOST_BUFFERS: usize = 1024;
/// Lists up to this length use little stack.
const FEW: usize = 8;

/// A buffer to send from.
///
/// # Errors
/// `EFAULT` for a null pointer with a length.
///
/// # Safety
/// `data` must be null or valid for reads of `length` bytes during `'a`.
#[inline]
pub(crate) unsafe fn source<'a>(data: *const c_void, length: usize) -> Result<IoSlice<'a>, Errno> {
    if length == 0 {
        return Ok(IoSlice::new(&[]));
    }
    if data.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: not null; valid by the contract. The length is below isize::MAX.
    Ok(IoSlice::new(unsafe { slice::from_raw_parts(data.cast(), length.min(MOST)) }))
}

/// A buffer to receive into.
///
/// # Errors
/// `EFAULT` for a null pointer with a length.
///
/// # Safety
/// `data` must be null or valid for writes of `length` bytes during `'a`, and not used otherwise meanwhile.
#[inline]
pub(crate) unsafe fn target<'a>(data: *mut c_void, length: usize) -> Result<IoSliceMut<'a>, Errno> {
    if length == 0 {
        return Ok(IoSliceMut::new(&mut []));
    }
    if data.is_null() {
        return Err(Errno::FAULT);
    }
    // SAFETY: not null; valid by the contract. The length is below isize::MAX. The bytes may be uninitialised, which
    // does no harm because the switch only writes them.
    Ok(IoSliceMut::new(unsafe { slice::from_raw_parts_mut(data.cast(), length.min(MOST)) }))
}

/// The sum of the lengths, as the kernel counts it.
///
/// # Errors
/// `EFAULT` for a null list, `EINVAL` for a length that is negative as `ssize_t`.
///
/// # Safety
/// `list` must be null or point at `count` entries.
pub(crate) unsafe fn total(list: *const iovec, count: usize) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    let list = unsafe { entries(list, count) }?;
    list.iter().try_fold(0_usize, |sum, entry| {
        if entry.iov_len > isize::MAX as usize {
            Err(Errno::INVAL)
        } else {
            Ok((sum + entry.iov_len).min(MOST))
        }
    })
}

/// # Safety
/// `list` must be null or point at `count` entries.
unsafe fn entries<'a>(list: *const iovec, count: usize) -> Result<&'a [iovec], Errno> {
    match count {
        0 => Ok(&[]),
        _ if list.is_null() => Err(Errno::FAULT),
        // SAFETY: not null, `count` entries by the contract; the program does not change them during the call.
        _ => Ok(unsafe { slice::from_raw_parts(list, count) }),
    }
}

/// Calls `body` with the buffers of a list to send from.
///
/// # Errors
/// Those of [`total`], of [`source`], and of `body`.
///
/// # Safety
/// Null, or `count` entries that are each valid as for [`source`], and `count` at most [`MOST_BUFFERS`].
#[inline]
pub(crate) unsafe fn with_sources(
    list: *const iovec,
    count: usize,
    body: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    let list = unsafe { entries(list, count) }?;
    if count <= FEW {
        // SAFETY: as above.
        unsafe { sources_on_stack::<FEW>(list, body) }
    } else {
        // SAFETY: as above.
        unsafe { many_sources(list, body) }
    }
}

/// # Safety
/// As [`with_sources`].
#[inline(never)]
unsafe fn many_sources(
    list: &[iovec],
    body: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    unsafe { sources_on_stack::<MOST_BUFFERS>(list, body) }
}

/// # Safety
/// As [`with_sources`].
#[inline]
unsafe fn sources_on_stack<const N: usize>(
    list: &[iovec],
    body: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut slices = [IoSlice::new(&[]); N];
    let (mut used, mut room) = (0, MOST);
    for entry in list {
        if entry.iov_len > isize::MAX as usize {
            return Err(Errno::INVAL);
        }
        let length = entry.iov_len.min(room);
        if let Some(slot) = slices.get_mut(used)
            && length != 0
        {
            // SAFETY: the entry is valid by the contract; the length only became smaller.
            *slot = unsafe { source(entry.iov_base, length) }?;
            used += 1;
            room -= length;
        }
    }
    body(slices.get(..used).unwrap_or_default())
}

/// Calls `body` with the buffers of a list to receive into.
///
/// # Errors
/// Those of [`total`], of [`target`], and of `body`.
///
/// # Safety
/// Null, or `count` entries that are each valid as for [`target`], and `count` at most [`MOST_BUFFERS`].
#[inline]
pub(crate) unsafe fn with_targets(
    list: *const iovec,
    count: usize,
    body: impl FnOnce(&mut [IoSliceMut<'_>]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    let list = unsafe { entries(list, count) }?;
    if count <= FEW {
        // SAFETY: as above.
        unsafe { targets_on_stack::<FEW>(list, body) }
    } else {
        // SAFETY: as above.
        unsafe { many_targets(list, body) }
    }
}

/// # Safety
/// As [`with_targets`].
#[inline(never)]
unsafe fn many_targets(
    list: &[iovec],
    body: impl FnOnce(&mut [IoSliceMut<'_>]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    // SAFETY: the caller's promise.
    unsafe { targets_on_stack::<MOST_BUFFERS>(list, body) }
}

/// # Safety
/// As [`with_targets`].
#[inline]
unsafe fn targets_on_stack<const N: usize>(
    list: &[iovec],
    body: impl FnOnce(&mut [IoSliceMut<'_>]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut slices: [IoSliceMut<'_>; N] = std::array::from_fn(|_| IoSliceMut::new(&mut []));
    let (mut used, mut room) = (0, MOST);
    for entry in list {
        if entry.iov_len > isize::MAX as usize {
            return Err(Errno::INVAL);
        }
        let length = entry.iov_len.min(room);
        if let Some(slot) = slices.get_mut(used)
            && length != 0
        {
            // SAFETY: the entry is valid by the contract; the length only became smaller.
            *slot = unsafe { target(entry.iov_base, length) }?;
            used += 1;
            room -= length;
        }
    }
    body(slices.get_mut(..used).unwrap_or_default())
}
