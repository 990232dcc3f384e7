//! Waiting for descriptors: ppoll(2) and epoll(7), on the caller's arrays, without allocation.
//!
//! Descriptors are plain numbers here: they are the program's, which may pass any number and gets the kernel's answer.

use core::time::Duration;

use rustix::io::Errno;

use crate::atomic::{AtomicBool, Ordering};
use crate::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd, hidden};
use crate::signal::Mask;
use crate::{clock, raw};

/// One descriptor to wait for and the answer, laid out as poll(2) has it.
pub use libc::pollfd as PollFd;

/// One registration or event, laid out as epoll_ctl(2) has it (packed on x86-64: copy its fields).
pub use libc::epoll_event as EpollEvent;

/// Something can be read.
pub const POLLIN: i16 = libc::POLLIN;
/// Something can be read.
pub const EPOLLIN: i32 = libc::EPOLLIN;
/// Something can be written.
pub const EPOLLOUT: i32 = libc::EPOLLOUT;

/// What [`epoll_ctl`] does with a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum EpollOperation {
    /// Registers it.
    Add = libc::EPOLL_CTL_ADD,
    /// Changes its registration.
    Modify = libc::EPOLL_CTL_MOD,
    /// Removes it.
    Delete = libc::EPOLL_CTL_DEL,
}

/// Waits until a descriptor of `fds` is ready, at most for `timeout` (`None`: no limit), with `mask` as the thread's
/// signal mask meanwhile (`None`: unchanged). Returns how many have an answer in `revents`.
///
/// # Errors
///
/// As ppoll(2): `EINTR` after any signal handler, with or without `SA_RESTART`; `EINVAL` if `fds` is longer than
/// `RLIMIT_NOFILE`.
pub fn ppoll(fds: &mut [PollFd], timeout: Option<Duration>, mask: Option<Mask>) -> Result<usize, Errno> {
    // The kernel writes the time left into it.
    let mut limit = timeout.map(clock::timespec);
    let limit = limit.as_mut().map_or(0, raw::address_mut);
    let set = mask.as_ref().map_or(0, raw::address);
    let arguments = [fds.as_mut_ptr().expose_provenance(), fds.len(), limit, set, size_of::<Mask>(), 0];
    // SAFETY: the array is the caller's, exclusively; time-out and mask are null or live for the call.
    unsafe { raw::syscall(libc::SYS_ppoll, arguments) }
}

/// A new epoll set, close-on-exec, at a high descriptor number.
///
/// # Errors
///
/// As epoll_create1(2): `EMFILE`, `ENFILE`, `ENOMEM`.
pub fn epoll_create() -> Result<OwnedFd, Errno> {
    hidden(|| rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC))
}

/// Registers, changes or removes `fd` in the epoll set `epoll`. `event` is ignored for
/// [`Delete`](EpollOperation::Delete).
///
/// # Errors
///
/// As epoll_ctl(2): `EEXIST`, `ENOENT`, `EBADF`, `EPERM`, `ELOOP`, `ENOSPC`.
pub fn epoll_ctl(
    epoll: BorrowedFd<'_>,
    operation: EpollOperation,
    fd: RawFd,
    event: EpollEvent,
) -> Result<(), Errno> {
    epoll_ctl_raw(epoll.as_raw_fd(), operation as i32, fd, Some(event))
}

/// As [`epoll_ctl`] with whatever the program passed.
///
/// # Errors
///
/// As epoll_ctl(2).
pub fn epoll_ctl_raw(
    epoll: RawFd,
    operation: i32,
    fd: RawFd,
    event: Option<EpollEvent>,
) -> Result<(), Errno> {
    let event = event.as_ref().map_or(0, raw::address);
    let arguments = [epoll as usize, operation as usize, fd as usize, event, 0, 0];
    // SAFETY: the event is null (then the kernel gives EFAULT where it needs one) or lives for the call.
    unsafe { raw::syscall(libc::SYS_epoll_ctl, arguments) }.map(drop)
}

/// Waits for events of the set `epoll`, at most for `timeout` (`None`: no limit), with `mask` as the thread's signal mask
/// meanwhile (`None`: unchanged). Fills `events` from its start and returns how many.
///
/// Time-outs are exact where the kernel has epoll_pwait2 (5.11), else rounded up to milliseconds.
///
/// # Errors
///
/// As epoll_wait(2): `EINTR` after any signal handler; `EINVAL` if `events` is empty or `epoll` is something else.
pub fn epoll_pwait(
    epoll: RawFd,
    events: &mut [EpollEvent],
    timeout: Option<Duration>,
    mask: Option<Mask>,
) -> Result<usize, Errno> {
    static NO_PWAIT2: AtomicBool = AtomicBool::new(false);
    let count = events.len().min(i32::MAX as usize);
    let place = events.as_mut_ptr().expose_provenance();
    let set = mask.as_ref().map_or(0, raw::address);
    if !whole_milliseconds(timeout) && !NO_PWAIT2.load(Ordering::Relaxed) {
        let limit = timeout.map(clock::timespec);
        let limit = limit.as_ref().map_or(0, raw::address);
        let arguments = [epoll as usize, place, count, limit, set, size_of::<Mask>()];
        // SAFETY: the kernel writes at most `count` events to the caller's array; the rest is null or live.
        match unsafe { raw::syscall(libc::SYS_epoll_pwait2, arguments) } {
            // No such call, or a sandbox that does not know it.
            Err(Errno::NOSYS | Errno::PERM) => NO_PWAIT2.store(true, Ordering::Relaxed),
            result => return result,
        }
    }
    let arguments = [epoll as usize, place, count, milliseconds(timeout) as usize, set, size_of::<Mask>()];
    // SAFETY: as above.
    unsafe { raw::syscall(libc::SYS_epoll_pwait, arguments) }
}

fn whole_milliseconds(timeout: Option<Duration>) -> bool {
    timeout.is_none_or(|limit| limit.subsec_nanos() % 1_000_000 == 0)
}

/// `timeout` as epoll_wait(2) takes it: rounded up, -1 for no limit.
fn milliseconds(timeout: Option<Duration>) -> i32 {
    let Some(limit) = timeout else { return -1 };
    i32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fd::AsFd;
    use rustix::pipe::pipe;

    #[test]
    fn ppoll_tells_the_ready_descriptor() {
        let (read, write) = pipe().expect("a pipe");
        let poll = |fd: BorrowedFd<'_>| PollFd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let (other, _other_write) = pipe().expect("a pipe");
        let mut fds = [poll(other.as_fd()), poll(read.as_fd())];
        let start = clock::now();
        assert_eq!(ppoll(&mut fds, Some(Duration::from_millis(30)), None), Ok(0));
        assert!(clock::now() - start >= Duration::from_millis(30));
        rustix::io::write(&write, b"x").expect("a reader exists");
        assert_eq!(ppoll(&mut fds, None, Some(Mask::current())), Ok(1));
        assert_eq!((fds[0].revents, fds[1].revents), (0, libc::POLLIN));
    }

    #[test]
    fn epoll_gives_back_the_data() {
        let (read, write) = pipe().expect("a pipe");
        let epoll = epoll_create().expect("an epoll set");
        let registration = EpollEvent { events: libc::EPOLLIN as u32, u64: 0x1234_5678_9abc_def0 };
        epoll_ctl(epoll.as_fd(), EpollOperation::Add, read.as_raw_fd(), registration).expect("registered");
        let again = epoll_ctl(epoll.as_fd(), EpollOperation::Add, read.as_raw_fd(), registration);
        assert_eq!(again, Err(Errno::EXIST));
        let mut events = [EpollEvent { events: 0, u64: 0 }; 4];
        for timeout in [Duration::ZERO, Duration::from_micros(1500)] {
            let start = clock::now();
            assert_eq!(epoll_pwait(epoll.as_raw_fd(), &mut events, Some(timeout), None), Ok(0));
            assert!(clock::now() - start >= timeout);
        }
        rustix::io::write(&write, b"x").expect("a reader exists");
        assert_eq!(epoll_pwait(epoll.as_raw_fd(), &mut events, None, None), Ok(1));
        assert_eq!({ events[0].u64 }, 0x1234_5678_9abc_def0);
        epoll_ctl(epoll.as_fd(), EpollOperation::Delete, read.as_raw_fd(), registration).expect("removed");
        assert_eq!(epoll_pwait(epoll.as_raw_fd(), &mut events, Some(Duration::ZERO), None), Ok(0));
    }

    #[test]
    fn milliseconds_round_up() {
        assert_eq!(milliseconds(None), -1);
        assert_eq!(milliseconds(Some(Duration::from_nanos(1))), 1);
        assert_eq!(milliseconds(Some(Duration::from_millis(7))), 7);
        assert_eq!(milliseconds(Some(Duration::MAX)), i32::MAX);
    }
}
