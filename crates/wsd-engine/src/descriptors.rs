//! Every file descriptor of the providers, in a table that a forked child can read without any lock.
//!
//! A child of `fork` gets copies of all descriptors. As long as it keeps the copy of a link, the peer does not notice
//! the end of the parent. So the child closes them: those whose number still stands for the same file.

use core::ops::Deref;

use rustix::fs::{FileType, fstat};
use wsd_os::atomic::{AtomicU64, AtomicUsize, Ordering};
use wsd_os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use wsd_os::thread::fork_epoch;

/// Descriptors with higher numbers are not in the table; a forked child keeps its copies of them.
const LIMIT: usize = 65_536;

/// What is known of one descriptor number.
struct Entry {
    /// [`fork_epoch`] of the process that opened it; 0 if it is not ours.
    epoch: AtomicU64,
    /// Device and inode, mixed.
    file: AtomicU64,
}

static TABLE: [Entry; LIMIT] = [const { Entry { epoch: AtomicU64::new(0), file: AtomicU64::new(0) } }; LIMIT];
/// One more than the highest number that ever was in the table.
static HIGHEST: AtomicUsize = AtomicUsize::new(0);
/// The lowest such number, counted down from [`LIMIT`].
static LOWEST: AtomicUsize = AtomicUsize::new(0);

/// A value with a file descriptor, which is in the table as long as the value lives.
#[derive(Debug)]
pub struct Tracked<T: AsFd>(T);

impl<T: AsFd> Tracked<T> {
    /// Enters the descriptor into the table.
    pub fn new(value: T) -> Self {
        let fd = value.as_fd();
        if let (Some((number, entry)), Some(file)) = (entry(fd), identity(fd)) {
            HIGHEST.fetch_max(number + 1, Ordering::Relaxed);
            LOWEST.fetch_max(LIMIT - number, Ordering::Relaxed);
            entry.file.store(file, Ordering::Relaxed);
            entry.epoch.store(fork_epoch(), Ordering::Release);
        }
        Self(value)
    }
}

impl<T: AsFd> Deref for Tracked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: AsFd> Drop for Tracked<T> {
    fn drop(&mut self) {
        if let Some((_, entry)) = entry(self.0.as_fd()) {
            entry.epoch.store(0, Ordering::Release);
        }
    }
}

fn entry(fd: BorrowedFd<'_>) -> Option<(usize, &'static Entry)> {
    let number = usize::try_from(fd.as_raw_fd()).ok()?;
    Some((number, TABLE.get(number)?))
}

fn identity(fd: BorrowedFd<'_>) -> Option<u64> {
    let facts = fstat(fd).ok()?;
    Some(facts.st_ino ^ facts.st_dev.rotate_left(32))
}

fn is_socket(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|facts| FileType::from_raw_mode(facts.st_mode) == FileType::Socket)
}

/// Closes what this process inherited by `fork`. Called twice, or in the process that opened them, it does nothing.
///
/// `at_once`: the program has not run since the fork. Otherwise it may have used the numbers for files of its own,
/// which cannot be told from ours if they are no sockets; those are left open.
pub fn close_inherited(at_once: bool) {
    let epoch = fork_epoch();
    let lowest = LIMIT - LOWEST.load(Ordering::Relaxed).min(LIMIT);
    let highest = HIGHEST.load(Ordering::Relaxed);
    for (number, entry) in TABLE.iter().enumerate().take(highest).skip(lowest) {
        let opened = entry.epoch.load(Ordering::Acquire);
        if opened == 0
            || opened == epoch
            || entry.epoch.compare_exchange(opened, 0, Ordering::AcqRel, Ordering::Relaxed).is_err()
        {
            continue;
        }
        // SAFETY: only used to ask the kernel what it is; a number that is not open is answered with EBADF.
        let fd = unsafe { BorrowedFd::borrow_raw(number as i32) };
        if identity(fd) == Some(entry.file.load(Ordering::Relaxed)) && (at_once || is_socket(fd)) {
            // SAFETY: the copy of a descriptor of the parent's engine, whose values in this process are never used or
            // dropped again (see `engine`), so nobody else owns it.
            drop(unsafe { OwnedFd::from_raw_fd(number as i32) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wsd_os::link::Link;

    #[test]
    fn child_closes_its_copies_and_nothing_else() {
        let (one, other) = Link::pair().expect("a pair");
        let kept = one.as_fd().as_raw_fd();
        let (tracked, closed) = (Tracked::new(other), Link::pair().expect("a pair").0);
        let number = tracked.as_fd().as_raw_fd();
        let replaced = closed.as_fd().as_raw_fd();
        let other_file = Tracked::new(closed);
        close_inherited(true);
        assert!(identity(tracked.as_fd()).is_some(), "the process that opened it keeps it");
        // SAFETY: the child makes plain system calls only, and ends by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: numbers of this child's own copies; 0 is open in a test.
            unsafe { libc::dup2(0, replaced) };
            close_inherited(false);
            // SAFETY: asks about numbers.
            let open = |number| unsafe { libc::fcntl(number, libc::F_GETFD) } != -1;
            let good = open(kept) && !open(number) && open(replaced);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if good { 0 } else { 1 }) };
        }
        let mut status = -1;
        // SAFETY: waits for our own child.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(status, 0);
        drop(other_file);
    }
}
