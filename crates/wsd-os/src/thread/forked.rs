//! Noticing that this process is the child of a fork.
//!
//! One page is marked `MADV_WIPEONFORK` (madvise(2), since Linux 4.14): a child finds zero there, however the fork was
//! made, also by a raw system call that no `pthread_atfork` handler sees. Kernels without it need
//! [`after_fork_child`].

use core::ptr;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

use crate::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::clock;

/// The word in the wiped page, null until the first use.
static WORD: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// Stands in for the page where there is none.
static PLAIN_WORD: AtomicU64 = AtomicU64::new(0);
/// Enough for the word; the kernel rounds it up to a page.
const MAPPED: usize = 4096;

/// A number, never 0, that stays the same for the life of this process and is different in each child that it forks.
///
/// Compare it with a stored one to notice that what was cached is from before a fork. A child of `vfork` shares its
/// parent's. No system call except the first time in each process.
#[inline]
pub fn fork_epoch() -> u64 {
    let word = word();
    match word.load(Ordering::Relaxed) {
        0 => begin(word),
        epoch => epoch,
    }
}

/// Must be called by the child after a fork on kernels before 4.14, and may always be: begins a new epoch.
///
/// Not in a child of `vfork` (that would be its parent's epoch).
pub fn after_fork_child() {
    word().store(0, Ordering::Relaxed);
}

#[cold]
fn begin(word: &AtomicU64) -> u64 {
    let new = u64::from(super::pid()) << 32 | clock::now_ns() & 0xffff_fffe | 1;
    match word.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => new,
        Err(other) => other,
    }
}

#[inline]
fn word() -> &'static AtomicU64 {
    let word = WORD.load(Ordering::Acquire);
    // SAFETY: WORD is null or points at an aligned u64 in memory that is never unmapped.
    match unsafe { word.as_ref() } {
        Some(word) => word,
        None => map(),
    }
}

#[cold]
fn map() -> &'static AtomicU64 {
    let page = wiped_page().unwrap_or(ptr::from_ref(&PLAIN_WORD).cast_mut());
    match WORD.compare_exchange(ptr::null_mut(), page, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: `page` is the static, or a fresh mapping that from now on is never unmapped.
        Ok(_) => unsafe { &*page },
        Err(first) => {
            if !ptr::eq(page, &PLAIN_WORD) {
                // SAFETY: another thread was first; nobody has seen this mapping of MAPPED bytes.
                let _ = unsafe { munmap(page.cast(), MAPPED) };
            }
            // SAFETY: `first` was published by another thread as above.
            unsafe { &*first }
        }
    }
}

fn wiped_page() -> Option<*mut AtomicU64> {
    // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
    let page = unsafe {
        mmap_anonymous(ptr::null_mut(), MAPPED, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    }
    .ok()?;
    // SAFETY: the advice is for the mapping just made, which nobody else knows.
    match unsafe { madvise(page, MAPPED, Advice::LinuxWipeOnFork) } {
        Ok(()) => Some(page.cast()),
        Err(_) => {
            // SAFETY: nobody has seen this mapping.
            let _ = unsafe { munmap(page, MAPPED) };
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread::tid;

    #[test]
    fn epoch_and_tid_change_in_a_child() {
        let (epoch, thread) = (fork_epoch(), tid());
        assert_eq!(epoch, fork_epoch());
        // SAFETY: the child only reads atomics and ends by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let good = fork_epoch() != epoch && tid() != thread && tid() == crate::thread::pid();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if good { 0 } else { 1 }) };
        }
        let mut status = -1;
        // SAFETY: waits for our own child.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(status, 0);
        assert_eq!((epoch, thread), (fork_epoch(), tid()), "the parent's stay");
    }
}
