//! Socket options that rustix does not know.

use rustix::io::Errno;

use crate::fd::{AsRawFd, BorrowedFd};
use crate::raw;

/// Reads option `name` of `level` into `value` and returns how many bytes the kernel filled (getsockopt(2)).
pub(crate) fn get_bytes(fd: BorrowedFd<'_>, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno> {
    let mut len = u32::try_from(value.len()).unwrap_or(u32::MAX);
    let place = value.as_mut_ptr().expose_provenance();
    let arguments =
        [fd.as_raw_fd() as usize, level as usize, name as usize, place, raw::address_mut(&mut len), 0];
    // SAFETY: the kernel writes at most `len` bytes at `place`, which is as long, and `len` itself.
    unsafe { raw::syscall(libc::SYS_getsockopt, arguments) }?;
    Ok((len as usize).min(value.len()))
}

/// Sets option `name` of `level` to `value` (setsockopt(2)).
pub(crate) fn set_bytes(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let place = value.as_ptr().expose_provenance();
    let arguments = [fd.as_raw_fd() as usize, level as usize, name as usize, place, value.len(), 0];
    // SAFETY: the kernel reads `value.len()` bytes at `place`.
    unsafe { raw::syscall(libc::SYS_setsockopt, arguments) }.map(|_| ())
}

/// An option of exactly `N` bytes.
pub(crate) fn get<const N: usize>(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<[u8; N], Errno> {
    let mut value = [0; N];
    if get_bytes(fd, level, name, &mut value)? == N { Ok(value) } else { Err(Errno::INVAL) }
}

/// An option that is an `int`.
pub(crate) fn get_int(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32, Errno> {
    get(fd, level, name).map(i32::from_ne_bytes)
}

/// An option that is a 64-bit number.
pub(crate) fn get_u64(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<u64, Errno> {
    get(fd, level, name).map(u64::from_ne_bytes)
}
