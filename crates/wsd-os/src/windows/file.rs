//! Small files.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::windows::io::IntoRawHandle;
use std::path::Path;
use std::sync::Arc;

use windows_sys::Win32::Storage::FileSystem::WriteFile;
use windows_sys::Win32::System::IO::{OVERLAPPED, OVERLAPPED_0, OVERLAPPED_0_0};

use super::Errno;
use super::fd::{AsFd, Object, OwnedFd};
use super::handle::Handle;

/// The whole file as text.
///
/// # Errors
///
/// `NOENT`, `ACCESS`; `FBIG` if it is longer than `limit` bytes; `ILSEQ` if it is not UTF-8.
pub fn read_to_string(path: &Path, limit: usize) -> Result<String, Errno> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| errno(&error))?;
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| errno(&error))?;
    if bytes.len() > limit {
        return Err(Errno::FBIG);
    }
    String::from_utf8(bytes).map_err(|_| Errno::ILSEQ)
}

/// Opens a file for appending lines from several processes; made if it does not exist.
///
/// # Errors
///
/// `NOENT`, `ACCESS`.
pub fn append(path: &Path) -> Result<OwnedFd, Errno> {
    let file = OpenOptions::new().append(true).create(true).open(path).map_err(|error| errno(&error))?;
    let number = file.into_raw_handle() as usize as u32;
    let handle = Handle::arrived(number).ok_or(Errno::BADF)?;
    Ok(OwnedFd(Object::Plain(Arc::new(handle))))
}

/// Writes one line, whole, to a file opened by [`append`].
///
/// # Errors
///
/// `BADF`, `NFILE`.
pub fn write(file: &OwnedFd, line: &[u8]) -> Result<(), Errno> {
    let fd = file.as_fd();
    let Object::Plain(handle) = &fd.0 else { return Err(Errno::BADF) };
    let length = u32::try_from(line.len()).map_err(|_| Errno::INVAL)?;
    let mut written = 0;
    // Behind what others have written meanwhile.
    let end = OVERLAPPED_0_0 { Offset: u32::MAX, OffsetHigh: u32::MAX };
    let mut place = OVERLAPPED { Anonymous: OVERLAPPED_0 { Anonymous: end }, ..OVERLAPPED::default() };
    // SAFETY: the handle is open while borrowed, and its calls wait; exactly the line is read.
    let done = unsafe { WriteFile(handle.raw(), line.as_ptr(), length, &raw mut written, &raw mut place) };
    if done == 0 { Err(Errno::last()) } else { Ok(()) }
}

fn errno(error: &io::Error) -> Errno {
    match error.kind() {
        io::ErrorKind::NotFound => Errno::NOENT,
        io::ErrorKind::PermissionDenied => Errno::ACCESS,
        _ => Errno::CONNABORTED,
    }
}
