//! Small files.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::windows::io::IntoRawHandle;
use std::path::Path;
use std::sync::Arc;

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Storage::FileSystem::{LockFile, UnlockFile, WriteFile};
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
    // Who may not read it may not lock it.
    let file = OpenOptions::new().read(true).append(true).create(true).open(path);
    let file = file.map_err(|error| errno(&error))?;
    let number = file.into_raw_handle() as usize as u32;
    let handle = Handle::arrived(number).ok_or(Errno::BADF)?;
    Ok(OwnedFd(Object::Plain(Arc::new(handle))))
}

/// Writes one line, whole, to a file opened by [`append`]. Nobody waits for ever for others who write: if one is stopped in the midst
/// of it, lines may come to lie upon each other under Wine. On Windows they never do.
///
/// # Errors
///
/// `BADF`, `NFILE`.
pub fn write(file: &OwnedFd, line: &[u8]) -> Result<(), Errno> {
    let fd = file.as_fd();
    let Object::Plain(handle) = &fd.0 else { return Err(Errno::BADF) };
    let length = u32::try_from(line.len()).map_err(|_| Errno::INVAL)?;
    let mut written = 0;
    let _turn = Turn::take(handle.raw());
    // Behind what others have written meanwhile.
    let end = OVERLAPPED_0_0 { Offset: u32::MAX, OffsetHigh: u32::MAX };
    let mut place = OVERLAPPED { Anonymous: OVERLAPPED_0 { Anonymous: end }, ..OVERLAPPED::default() };
    // SAFETY: the handle is open while borrowed, and its calls wait; exactly the line is read.
    let done = unsafe { WriteFile(handle.raw(), line.as_ptr(), length, &raw mut written, &raw mut place) };
    if done == 0 { Err(Errno::last()) } else { Ok(()) }
}

/// Leave to write, for one at a time: Wine looks for the end of the file first and writes then, which others may do meanwhile.
struct Turn(HANDLE);

impl Turn {
    /// How often it is asked for.
    const TRIES: usize = 1000;

    /// A byte behind all that is ever written.
    const OFFSET: (u32, u32) = (0, 1 << 30);

    fn take(file: HANDLE) -> Option<Self> {
        let (low, high) = Self::OFFSET;
        (0..Self::TRIES).find_map(|_| {
            // SAFETY: takes integers; the caller has the file open.
            let taken = unsafe { LockFile(file, low, high, 1, 0) } != 0;
            if !taken {
                std::thread::yield_now();
            }
            taken.then_some(Self(file))
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (low, high) = Self::OFFSET;
        // SAFETY: as above; its maker borrows the file for longer.
        unsafe { UnlockFile(self.0, low, high, 1, 0) };
    }
}

fn errno(error: &io::Error) -> Errno {
    match error.kind() {
        io::ErrorKind::NotFound => Errno::NOENT,
        io::ErrorKind::PermissionDenied => Errno::ACCESS,
        _ => Errno::CONNABORTED,
    }
}

#[cfg(test)]
mod tests {
    use super::{append, read_to_string, write};

    /// As a trace is written: by all processes of a program.
    #[test]
    fn lines_of_several_writers_stay_whole() {
        const WRITERS: usize = 4;
        const LINES: usize = 300;
        let path = std::env::temp_dir().join(format!("wsd-lines-{}", std::process::id()));
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let path = &path;
                scope.spawn(move || {
                    let file = append(path).expect("a file");
                    for number in 0..LINES {
                        let line = format!("{writer} {number} {}\n", "x".repeat(number % 50));
                        write(&file, line.as_bytes()).expect("it is written");
                    }
                });
            }
        });
        let text = read_to_string(&path, 1 << 20).expect("what was written");
        std::fs::remove_file(&path).expect("it is there");
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), WRITERS * LINES);
        let length = |line: &str| line.rsplit(' ').next().map_or(0, str::len);
        assert!(lines.iter().all(|line| line.split(' ').count() == 3 && length(line) < 50));
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), WRITERS * LINES);
    }
}
