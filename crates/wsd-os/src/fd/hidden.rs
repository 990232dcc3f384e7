//! Descriptors of our own, which the program does not know: at high numbers, marked, and never copied half made into the
//! child of a fork.
//!
//! The child closes its copies of all hidden descriptors ([`close_hidden_in_child`]), since a copy would keep alive what its
//! owner closes: a peer would wait for the end of a link in vain. The kernel copies descriptors and memory one after the
//! other, while other threads go on. So a fork waits until nobody is between the making of a descriptor and its mark, or
//! between the loss of the mark and the closing, and nobody gets there until it is over ([`hold_for_fork`]).

use core::cell::{Cell, RefCell};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::io::{self, Errno};
use rustix::process::{Resource, getrlimit};

use super::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use crate::atomic::{AtomicU64, Ordering};
use crate::signal::Critical;
use crate::thread::fork_epoch;

/// The highest number at which hidden descriptors start. The kernel's table of descriptors, which every fork copies,
/// is as long as the highest number in use, so numbers near a limit of a million would make forks slow.
const HIGHEST_START: u64 = 4096 - 256;

/// Held by who makes or closes a hidden descriptor, and by who forks for himself.
static CHANGES: RwLock<()> = RwLock::new(());

/// [`fork_epoch`] of the process that [`CHANGES`] belongs to, 0 before the first use. In a child that nobody announced it is a
/// copy, perhaps of a lock that a thread of the parent held.
static HOME: AtomicU64 = AtomicU64::new(0);

fn at_home() -> bool {
    let epoch = fork_epoch();
    if HOME.load(Ordering::Relaxed) == 0 {
        // Another thread of this process may be faster, with the same number.
        let _ = HOME.compare_exchange(0, epoch, Ordering::Relaxed, Ordering::Relaxed);
    }
    HOME.load(Ordering::Relaxed) == epoch
}

thread_local! {
    /// Whether this thread holds [`CHANGES`], in either way.
    static HOLDING: Cell<bool> = const { Cell::new(false) };
    static FORKING: RefCell<Option<Held<RwLockWriteGuard<'static, ()>>>> = const { RefCell::new(None) };
}

/// A hold on [`CHANGES`]; signal handlers, which might make or close descriptors or fork, are deferred meanwhile.
struct Held<G> {
    _guard: G,
    _critical: Critical,
}

impl<G> Held<G> {
    /// `None` if this thread has a hold already, or this process no lock.
    fn take(lock: impl FnOnce() -> G) -> Option<Self> {
        let critical = Critical::enter();
        (at_home() && !HOLDING.replace(true)).then(|| Self { _guard: lock(), _critical: critical })
    }
}

impl<G> Drop for Held<G> {
    fn drop(&mut self) {
        HOLDING.set(false);
    }
}

/// While it lives, no other thread forks. It must not live long: nobody blocks with one.
#[must_use = "the change ends when this is dropped"]
pub(crate) struct Change {
    _held: Option<Held<RwLockReadGuard<'static, ()>>>,
}

impl Change {
    pub(crate) fn begin() -> Self {
        Self { _held: Held::take(|| CHANGES.read().unwrap_or_else(PoisonError::into_inner)) }
    }
}

/// Before a fork: no other thread makes or closes a hidden descriptor until [`release_after_fork`], called by the same thread
/// in both processes.
pub fn hold_for_fork() {
    FORKING.set(Held::take(|| CHANGES.write().unwrap_or_else(PoisonError::into_inner)));
}

/// See [`hold_for_fork`].
pub fn release_after_fork() {
    if let Some(held) = FORKING.take() {
        // The child's now, where it was held by the one thread that is left.
        HOME.store(fork_epoch(), Ordering::Relaxed);
        drop(held);
    }
}

/// Calls `close`, which closes numbers that [`is_hidden`] does not name: meanwhile no other thread makes or closes hidden
/// descriptors, one of which would otherwise be closed by its number before it is hidden.
pub fn while_unchanged<T>(close: impl FnOnce() -> T) -> T {
    let _held = Held::take(|| CHANGES.write().unwrap_or_else(PoisonError::into_inner));
    close()
}

/// Makes a descriptor and moves it to a high number, as [`move_high`] does. `make` must not block, and gives a
/// close-on-exec descriptor.
///
/// # Errors
///
/// What `make` gives.
pub fn hidden<F: Into<OwnedFd>>(make: impl FnOnce() -> Result<F, Errno>) -> Result<OwnedFd, Errno> {
    let _change = Change::begin();
    Ok(move_high(make()?.into()))
}

/// The same for two descriptors at once.
///
/// # Errors
///
/// What `make` gives.
pub(crate) fn hidden_pair<F: Into<OwnedFd>>(
    make: impl FnOnce() -> Result<(F, F), Errno>,
) -> Result<(OwnedFd, OwnedFd), Errno> {
    let _change = Change::begin();
    let (one, other) = make()?;
    // Both are owned before one is moved, which may fail to find a number.
    let (one, other) = (one.into(), other.into());
    Ok((move_high(one), move_high(other)))
}

/// Moves `fd` to a number near the soft `RLIMIT_NOFILE` (at most about 4096), where programs that choose descriptor
/// numbers or expect low ones do not meet it, and makes it close-on-exec.
///
/// Where no high number is free, a lower one is taken; if none at all is free, `fd` itself is returned, close-on-exec.
pub fn move_high(fd: OwnedFd) -> OwnedFd {
    let _change = Change::begin();
    match duplicate_high(fd.as_fd()) {
        Ok(high) if high.as_raw_fd() > fd.as_raw_fd() => high,
        _ => {
            // The only failure of F_SETFD is EBADF, which an owned descriptor does not give.
            let _ = io::fcntl_setfd(&fd, io::FdFlags::CLOEXEC);
            mark(fd.as_raw_fd(), true);
            fd
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
    let _change = Change::begin();
    let mut high = Err(Errno::MFILE);
    for start in [top, top / 2, 64, 3] {
        high = high.or_else(|_| io::fcntl_dupfd_cloexec(fd, start as RawFd));
    }
    let high = OwnedFd::from(high?);
    mark(high.as_raw_fd(), true);
    Ok(high)
}

/// Hidden descriptors of this process, one bit each; higher numbers than these are not given out by [`move_high`].
static HIDDEN: [AtomicU64; 128] = [const { AtomicU64::new(0) }; 128];

fn mark(fd: RawFd, on: bool) {
    let Some(word) = HIDDEN.get(fd as usize / 64) else { return };
    let bit = 1 << (fd as usize % 64);
    if on {
        word.fetch_or(bit, Ordering::Relaxed);
    } else {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// Whether `fd` is a hidden descriptor of our own, which the program does not know and must not close.
pub fn is_hidden(fd: RawFd) -> bool {
    let word = usize::try_from(fd).ok().and_then(|fd| HIDDEN.get(fd / 64));
    word.is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (fd as usize % 64)) != 0)
}

/// `fd` is not hidden any more. Who closes it holds the result until that is done.
pub(super) fn show(fd: RawFd) -> Option<Change> {
    is_hidden(fd).then(|| {
        let change = Change::begin();
        mark(fd, false);
        change
    })
}

/// In the child of a fork: closes the copies of all hidden descriptors but those in `kept`. Links then belong to the parent
/// alone, whose death the peers notice. The values that owned them must be forgotten, not dropped.
pub fn close_hidden_in_child(kept: &[RawFd]) {
    for (number, word) in HIDDEN.iter().enumerate() {
        let mut bits = word.load(Ordering::Relaxed);
        while bits != 0 {
            let fd = (number * 64 + bits.trailing_zeros() as usize) as RawFd;
            bits &= bits - 1;
            if !kept.contains(&fd) {
                mark(fd, false);
                super::close(fd);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicBool;

    use rustix::event::{EventfdFlags, eventfd};
    use rustix::pipe::pipe;

    use super::*;
    use crate::testing::{Child, eventually};

    fn event() -> OwnedFd {
        hidden(|| eventfd(0, EventfdFlags::CLOEXEC)).expect("a descriptor")
    }

    fn is_open(fd: RawFd) -> bool {
        io::fcntl_getfd(crate::fd::borrow(fd)).is_ok()
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

    #[test]
    fn hidden_until_closed_or_given_away() {
        let (kept, given) = (event(), event());
        let numbers = [&kept, &given].map(AsRawFd::as_raw_fd);
        assert!(numbers.iter().all(|fd| is_hidden(*fd)));
        drop(kept);
        let raw = std::os::fd::OwnedFd::from(given);
        assert!(is_open(raw.as_raw_fd()) && numbers.iter().all(|fd| !is_hidden(*fd)));
    }

    /// In the child of a fork every mark has its descriptor, and once those are closed none is left, whatever other threads
    /// did meanwhile.
    #[test]
    fn forks_copy_whole_descriptors() {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(core::sync::atomic::Ordering::Relaxed) {
                        let (first, second) = (event(), event());
                        drop(first);
                        let third = second.duplicate();
                        drop((second, third));
                    }
                });
            }
            let whole = (0..300).all(|_| {
                hold_for_fork();
                let child = Child::fork(|| {
                    release_after_fork();
                    let whole = (0..4400).all(|fd| !is_hidden(fd) || is_open(fd));
                    close_hidden_in_child(&[]);
                    let is_event = |fd| {
                        std::fs::read_link(format!("/proc/self/fd/{fd}"))
                            .is_ok_and(|file| file.to_string_lossy().contains("eventfd"))
                    };
                    whole && !(3..4400).any(|fd| is_open(fd) && is_event(fd))
                });
                release_after_fork();
                child.succeeded()
            });
            stop.store(true, core::sync::atomic::Ordering::Relaxed);
            assert!(whole);
        });
    }

    /// A child that nobody announced does not wait for threads that it does not have.
    #[test]
    fn unannounced_child_holds_nothing() {
        let (begun, end) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let change = Change::begin();
                begun.wait();
                end.wait();
                drop(change);
            });
            begun.wait();
            let child = Child::fork(|| {
                hold_for_fork();
                let inner = Child::fork(|| {
                    release_after_fork();
                    hold_for_fork();
                    is_open(event().as_raw_fd())
                });
                release_after_fork();
                inner.succeeded()
            });
            let ended = eventually(|| !child.runs());
            end.wait();
            assert!(ended && child.succeeded());
        });
    }
}
