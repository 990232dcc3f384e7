//! Small files, read and written without libc.

use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use crate::fd::{OwnedFd, hidden};

/// The whole file as text.
///
/// # Errors
///
/// As open(2) and read(2); `EFBIG` if it is longer than `limit` bytes; `EILSEQ` if it is not UTF-8.
pub fn read_to_string(path: &Path, limit: usize) -> Result<String, Errno> {
    // A pipe does not wait for its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = hidden(|| open(path, flags, Mode::empty()))?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match rustix::io::read(&fd, &mut chunk[..]) {
            Ok(0) => return String::from_utf8(bytes).map_err(|_| Errno::ILSEQ),
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        if bytes.len() > limit {
            return Err(Errno::FBIG);
        }
    }
}

/// Writes one line, whole, to a file opened by [`append`].
///
/// # Errors
///
/// As write(2).
pub fn write(file: &OwnedFd, line: &[u8]) -> Result<(), Errno> {
    rustix::io::write(file, line).map(drop)
}

/// Opens a file for appending lines from several processes, at a high descriptor number; made if it does not exist.
///
/// # Errors
///
/// As open(2).
pub fn append(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
    hidden(|| open(path, flags, Mode::from_raw_mode(0o644)))
}
