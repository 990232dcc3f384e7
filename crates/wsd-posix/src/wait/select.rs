//! `select` and `pselect`, in terms of `poll` as the kernel defines them.

use std::ffi::{c_int, c_short};
use std::time::{Duration, Instant};
use std::{ptr, slice};

use libc::{
    MAP_ANONYMOUS, MAP_PRIVATE, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDBAND, POLLRDNORM,
    POLLWRBAND, POLLWRNORM, PROT_READ, PROT_WRITE, fd_set, sigset_t, timespec, timeval,
};
use rustix::io::Errno;
use wsd_switch::front::{self, Outcome, PollFd, SignalMask};

use super::time;
use crate::errno;
use crate::process::cancel::point;
use crate::real::NEXT;
use crate::sys::{checked, next, raw, returned_int};

/// What each of the three sets asks for, and what makes its descriptors ready (fs/select.c).
const READ: c_short = POLLIN | POLLRDNORM | POLLRDBAND;
const WRITE: c_short = POLLOUT | POLLWRNORM | POLLWRBAND;
const ASKED: [c_short; 3] = [READ, WRITE, POLLPRI];
const READY: [c_short; 3] = [READ | POLLHUP | POLLERR, WRITE | POLLERR, POLLPRI];

const BITS: usize = usize::BITS as usize;
/// How many descriptors fit on the stack.
const FEW: usize = libc::FD_SETSIZE;

/// The program's three sets, each null or of `limit` bits.
#[derive(Clone, Copy)]
pub(crate) struct Sets {
    words: [*mut usize; 3],
    limit: usize,
}

impl Sets {
    pub(crate) fn new(limit: usize, read: *mut fd_set, write: *mut fd_set, except: *mut fd_set) -> Self {
        Self { words: [read.cast(), write.cast(), except.cast()], limit }
    }

    /// The word of each set that has descriptor `fd`.
    ///
    /// # Safety
    /// The sets must be the program's, and `fd` below the limit.
    unsafe fn word(&self, set: usize, fd: usize) -> usize {
        match self.words[set] {
            words if words.is_null() => 0,
            // SAFETY: the set has words for all descriptors below the limit.
            words => unsafe { words.add(fd / BITS).read_unaligned() },
        }
    }

    /// Calls `body` with every descriptor that is in a set and the events that are asked for it, until it says stop.
    ///
    /// # Safety
    /// The sets must be the program's.
    unsafe fn each(&self, mut body: impl FnMut(c_int, c_short) -> bool) {
        for base in (0..self.limit).step_by(BITS) {
            // SAFETY: `base` is below the limit.
            let words = unsafe { [self.word(0, base), self.word(1, base), self.word(2, base)] };
            let mut any = words[0] | words[1] | words[2];
            while any != 0 {
                let bit = any.trailing_zeros() as usize;
                any &= any - 1;
                if base + bit >= self.limit {
                    return;
                }
                let asked =
                    (0..3).filter(|&set| words[set] >> bit & 1 != 0).fold(0, |all, set| all | ASKED[set]);
                if !body((base + bit) as c_int, asked) {
                    return;
                }
            }
        }
    }

    /// Leaves in the sets what is ready and returns how many bits that are.
    ///
    /// # Safety
    /// The sets must be the program's.
    unsafe fn rewrite(&self, entries: &[PollFd]) -> usize {
        for words in self.words {
            if !words.is_null() {
                // SAFETY: the set has words for all descriptors below the limit.
                unsafe {
                    ptr::write_bytes(words.cast::<u8>(), 0, self.limit.div_ceil(BITS) * size_of::<usize>())
                };
            }
        }
        let mut bits = 0;
        for entry in entries {
            for set in 0..3 {
                if is_ready(entry, set) {
                    // SAFETY: the descriptor came from these sets.
                    unsafe {
                        let word = self.words[set].add(entry.fd as usize / BITS);
                        word.write_unaligned(word.read_unaligned() | 1 << (entry.fd as usize % BITS));
                    }
                    bits += 1;
                }
            }
        }
        bits
    }
}

fn is_ready(entry: &PollFd, set: usize) -> bool {
    entry.fd >= 0 && entry.events & ASKED[set] != 0 && entry.revents & READY[set] != 0
}

/// The result if the switch serves the call.
///
/// # Safety
/// The sets must be the program's.
pub(crate) unsafe extern "C" fn served(
    sets: Sets,
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
) -> Option<Result<usize, Errno>> {
    let (mut count, mut tracked) = (0, false);
    // SAFETY: the caller's promise.
    unsafe {
        sets.each(|fd, _| {
            count += 1;
            tracked |= front::find(fd).is_some();
            true
        });
    }
    if !tracked {
        return None;
    }
    if count <= FEW {
        let mut entries = [PollFd { fd: -1, events: 0, revents: 0 }; FEW];
        // SAFETY: the caller's promise.
        return unsafe { wait(sets, &mut entries[..count], timeout, mask) };
    }
    let bytes = count * size_of::<PollFd>();
    // SAFETY: fresh memory.
    let memory = checked(unsafe {
        raw!(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1_i32, 0)
    });
    let memory = match memory {
        Ok(address) => ptr::with_exposed_provenance_mut::<PollFd>(address),
        Err(error) => return Some(Err(error)),
    };
    // SAFETY: room for `count` entries, for which zero is a value.
    let entries = unsafe { slice::from_raw_parts_mut(memory, count) };
    // SAFETY: the caller's promise.
    let result = unsafe { wait(sets, entries, timeout, mask) };
    // SAFETY: nobody else knows this memory.
    unsafe { raw!(SYS_munmap, memory.expose_provenance(), bytes) };
    result
}

/// # Safety
/// The sets must be the program's; `entries` must have room for all their descriptors.
unsafe fn wait(
    sets: Sets,
    entries: &mut [PollFd],
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
) -> Option<Result<usize, Errno>> {
    let mut used = 0;
    // SAFETY: the caller's promise.
    unsafe {
        sets.each(|fd, events| match entries.get_mut(used) {
            Some(entry) => {
                *entry = PollFd { fd, events, revents: 0 };
                used += 1;
                true
            }
            None => false,
        });
    }
    let entries = entries.get_mut(..used)?;
    let begin = timeout.map(|_| Instant::now());
    loop {
        let left = timeout.zip(begin).map(|(timeout, begin)| timeout.saturating_sub(begin.elapsed()));
        match front::poll(entries, left, mask) {
            Outcome::Pass => return None,
            Outcome::Served(Err(error)) => return Some(Err(error)),
            Outcome::Served(Ok(_)) => {}
        }
        if entries.iter().any(|entry| entry.fd >= 0 && entry.revents & POLLNVAL != 0) {
            return Some(Err(Errno::BADF));
        }
        let mut others = false;
        let mut ready = false;
        for entry in entries.iter_mut() {
            if (0..3).any(|set| is_ready(entry, set)) {
                ready = true;
            } else if entry.fd >= 0 && entry.revents != 0 {
                // poll always tells of errors and hang-ups, select only those who asked: do not ask again.
                entry.fd = -1;
                others = true;
            }
        }
        if ready || !others || left == Some(Duration::ZERO) {
            // SAFETY: the caller's promise.
            return Some(Ok(unsafe { sets.rewrite(entries) }));
        }
    }
}

/// # Safety
/// As select(2); sets longer than `fd_set` are the program's business, as with the real function.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn select(
    limit: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    // SAFETY: the program's own arguments.
    if let Some(result) = point(|| unsafe { select_served(limit, read, write, except, timeout) }) {
        return result;
    }
    match NEXT.select.get() {
        // SAFETY: the program's call, unchanged.
        Some(next) => unsafe { next(limit, read, write, except, timeout) },
        None => {
            // SAFETY: the program's time.
            let left = unsafe { time::of_timeval(timeout) }.ok().flatten().map(time::timespec);
            let left = left.as_ref().map_or(ptr::null(), ptr::from_ref);
            // SAFETY: the same call by its newer name.
            returned_int(unsafe { raw!(SYS_pselect6, limit, read, write, except, left, 0) })
        }
    }
}

/// # Safety
/// As select(2).
pub(crate) unsafe extern "C" fn select_served(
    limit: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> Option<c_int> {
    let sets = Sets::new(usize::try_from(limit).ok()?, read, write, except);
    // SAFETY: the program's own arguments.
    let time = unsafe { time::of_timeval(timeout) }.ok()?;
    let begin = time.map(|_| Instant::now());
    // SAFETY: the program's sets.
    let result = unsafe { served(sets, time, None) }?;
    if let Some((time, begin)) = time.zip(begin) {
        // Linux tells how much time was left, also when a signal came.
        // SAFETY: the program gave a time-out.
        unsafe { timeout.write(time::timeval(time.saturating_sub(begin.elapsed()))) };
    }
    Some(errno::returned_int(result))
}

/// # Safety
/// As select(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __select(
    limit: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *mut timeval,
) -> c_int {
    // SAFETY: the program's call.
    unsafe { select(limit, read, write, except, timeout) }
}

/// # Safety
/// As pselect(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn pselect(
    limit: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    // SAFETY: the program's own arguments.
    if let Some(result) = point(|| unsafe { pselect_served(limit, read, write, except, timeout, mask) }) {
        return result;
    }
    let mask_and_size = [mask.expose_provenance(), 8];
    // The system call writes the time that was left, the function does not.
    // SAFETY: null or the program's time.
    let mut left = unsafe { timeout.as_ref() }.copied();
    let left = left.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: the program's call, unchanged.
    unsafe {
        next!(pselect(limit, read, write, except, timeout, mask)
            or SYS_pselect6(limit, read, write, except, left, mask_and_size.as_ptr()))
    }
}

/// # Safety
/// As pselect(2).
pub(crate) unsafe extern "C" fn pselect_served(
    limit: c_int,
    read: *mut fd_set,
    write: *mut fd_set,
    except: *mut fd_set,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> Option<c_int> {
    let sets = Sets::new(usize::try_from(limit).ok()?, read, write, except);
    // SAFETY: the program's own arguments.
    unsafe {
        if !time::valid(timeout) {
            return None;
        }
        served(sets, time::duration(timeout), time::mask(mask)).map(errno::returned_int)
    }
}
