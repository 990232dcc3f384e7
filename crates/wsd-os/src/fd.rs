//! Owning file descriptors without libc, and keeping our own out of the program's way.

use core::fmt;
use core::mem::ManuallyDrop;
use std::os::fd as std_fd;

use rustix::io::{self, Errno};
use rustix::process::{Resource, getrlimit};

use crate::atomic::{AtomicU64, Ordering};

pub use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, RawFd};

/// A file descriptor that is closed, by a raw system call, when this value is dropped.
///
/// Unlike [`std::os::fd::OwnedFd`], whose destructor calls libc's `close`, a function that the library above replaces.
/// Has the same size and the same niche: `Option<OwnedFd>` is one `int`.
pub struct OwnedFd(ManuallyDrop<std_fd::OwnedFd>);

impl OwnedFd {
    /// Another descriptor of the same open file, close-on-exec, out of the program's way as [`move_high`] does.
    ///
    /// # Errors
    ///
    /// `EMFILE` if the process has no free descriptor number.
    pub fn duplicate(&self) -> Result<Self, Errno> {
        duplicate_high(self.as_fd())
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        private(self.0.as_raw_fd(), false);
        // SAFETY: this value owns the descriptor, and nobody uses it any more: it is being dropped.
        unsafe { io::close(self.0.as_raw_fd()) }
    }
}

impl From<std_fd::OwnedFd> for OwnedFd {
    fn from(fd: std_fd::OwnedFd) -> Self {
        Self(ManuallyDrop::new(fd))
    }
}

impl From<OwnedFd> for std_fd::OwnedFd {
    fn from(fd: OwnedFd) -> Self {
        let raw = fd.into_raw_fd();
        // SAFETY: into_raw_fd gave up the ownership of the open descriptor, which passes to the new value.
        unsafe { Self::from_raw_fd(raw) }
    }
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl IntoRawFd for OwnedFd {
    fn into_raw_fd(self) -> RawFd {
        ManuallyDrop::new(self).0.as_raw_fd()
    }
}

impl FromRawFd for OwnedFd {
    /// Takes ownership of `fd`.
    ///
    /// # Safety
    ///
    /// `fd` must be open and owned by nobody else.
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: the caller gives us an open descriptor that nobody else owns.
        Self::from(unsafe { std_fd::OwnedFd::from_raw_fd(fd) })
    }
}

impl fmt::Debug for OwnedFd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "fd {}", self.as_raw_fd())
    }
}

/// The program's own descriptor, for one call on the program's behalf: whatever the number stands for then, the kernel
/// answers as it would have answered the program.
pub fn borrow(number: RawFd) -> BorrowedFd<'static> {
    // -1 is the one number that the type forbids; no descriptor can have this one either.
    let number = if number < 0 { RawFd::MAX } else { number };
    // SAFETY: not -1. That the descriptor may be closed or reused meanwhile is the program's race, as in its own calls.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Whether exec closes the descriptor; yes too if there is none.
pub fn is_close_on_exec(fd: BorrowedFd<'_>) -> bool {
    io::fcntl_getfd(fd).is_ok_and(|flags| flags.contains(io::FdFlags::CLOEXEC))
        || io::fcntl_getfd(fd).is_err()
}

/// The highest number at which hidden descriptors start. The kernel's table of descriptors, which every fork copies,
/// is as long as the highest number in use, so numbers near a limit of a million would make forks slow.
const HIGHEST_START: u64 = 4096 - 256;

/// Moves `fd` to a number near the soft `RLIMIT_NOFILE` (at most about 4096), where programs that choose descriptor
/// numbers or expect low ones do not meet it, and makes it close-on-exec.
///
/// Where no high number is free, a lower one is taken; if none at all is free, `fd` itself is returned, close-on-exec.
pub fn move_high(fd: OwnedFd) -> OwnedFd {
    let high = match duplicate_high(fd.as_fd()) {
        Ok(high) if high.as_raw_fd() > fd.as_raw_fd() => high,
        _ => {
            // The only failure of F_SETFD is EBADF, which an owned descriptor does not give.
            let _ = io::fcntl_setfd(&fd, io::FdFlags::CLOEXEC);
            fd
        }
    };
    private(high.as_raw_fd(), true);
    high
}

/// Hidden descriptors of this process, one bit each; higher numbers than these are not given out by [`move_high`].
static PRIVATE: [AtomicU64; 128] = [const { AtomicU64::new(0) }; 128];

fn private(fd: RawFd, on: bool) {
    let Some(word) = PRIVATE.get(fd as usize / 64) else { return };
    let bit = 1 << (fd as usize % 64);
    if on {
        word.fetch_or(bit, Ordering::Relaxed);
    } else if word.load(Ordering::Relaxed) & bit != 0 {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Whether `fd` is a hidden descriptor of our own, which the program does not know and must not close.
pub fn is_private(fd: RawFd) -> bool {
    let word = usize::try_from(fd).ok().and_then(|fd| PRIVATE.get(fd / 64));
    word.is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (fd as usize % 64)) != 0)
}

/// In the child of a fork: closes the copies of all hidden descriptors but those in `kept`. Links then belong to the parent
/// alone, whose death the peers notice. The values that owned them must be forgotten, not dropped.
pub fn close_private_in_child(kept: &[RawFd]) {
    for (number, word) in PRIVATE.iter().enumerate() {
        let mut bits = word.load(Ordering::Relaxed);
        while bits != 0 {
            let fd = (number * 64 + bits.trailing_zeros() as usize) as RawFd;
            bits &= bits - 1;
            if !kept.contains(&fd) {
                private(fd, false);
                // SAFETY: a descriptor of ours, whose owner lives on only in the parent.
                unsafe { io::close(fd) };
            }
        }
    }
}

/// A close-on-exec duplicate of `fd` at a high number; see [`move_high`].
///
/// # Errors
///
/// `EMFILE` if the process has no free descriptor number at all.
pub fn duplicate_high(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let soft = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let top = soft.saturating_sub(64).min(HIGHEST_START);
    for start in [top, top / 2, 64] {
        if let Ok(high) = io::fcntl_dupfd_cloexec(fd, start as RawFd) {
            return Ok(high.into());
        }
    }
    io::fcntl_dupfd_cloexec(fd, 3).map(OwnedFd::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;

    #[test]
    fn dropped_descriptor_is_closed() {
        let (read, write) = pipe().expect("a pipe");
        let write = OwnedFd::from(write);
        drop(write);
        assert_eq!(io::read(&read, &mut [0; 1][..]), Ok(0), "end of file: the write end is closed");
        assert_eq!(size_of::<Option<OwnedFd>>(), 4);
    }

    #[test]
    fn moved_descriptor_is_high_and_close_on_exec() {
        let (read, write) = pipe().expect("a pipe");
        let before = read.as_raw_fd();
        let high = move_high(read.into());
        assert!(high.as_raw_fd() > before && high.as_raw_fd() >= 64, "{high:?}");
        assert_eq!(io::fcntl_getfd(&high), Ok(io::FdFlags::CLOEXEC));
        io::write(&write, b"x").expect("the pipe still has a reader");
        assert_eq!(io::read(&high, &mut [0; 1][..]), Ok(1));
    }
}
