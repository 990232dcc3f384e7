//! Wake-ups that a thread can wait for together with other descriptors.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{self, FileType, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

use crate::atomic::{AtomicBool, Ordering};
use crate::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, move_high};
use crate::poll::{PollFd, ppoll};
use crate::raw;
use crate::signal::Mask;

use core::time::Duration;

/// The side of a doorbell that is woken: the read end of a pipe.
///
/// A pipe and not an eventfd, because its owner alone can read: a hostile ringer cannot take a wake-up away, and the
/// pipe hangs up (`POLLHUP`) when no process can ring any more.
#[derive(Debug)]
pub struct Doorbell {
    read: OwnedFd,
}

/// The side of a doorbell that rings: the write end of the pipe, which may be sent to another process.
#[derive(Debug)]
pub struct Bell {
    write: OwnedFd,
}

/// A doorbell and its bell. Both are non-blocking, close-on-exec and at high descriptor numbers.
///
/// # Errors
///
/// `EMFILE`, `ENFILE` (pipe(2)).
pub fn pair() -> Result<(Doorbell, Bell), Errno> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let (read, write) = (OwnedFd::from(read), OwnedFd::from(write));
    let (read, write) = (move_high(read), move_high(write));
    // Best effort: a smaller buffer counts less against the user's limit of pipe memory (pipe(7)).
    let _ = fcntl_setpipe_size(&read, 4096);
    Ok((Doorbell { read }, Bell { write }))
}

impl Doorbell {
    /// Takes all rings so far; true if there was one.
    ///
    /// # Errors
    ///
    /// `EPIPE` if nobody can ring any more and nothing is left to take.
    pub fn drain(&self) -> Result<bool, Errno> {
        let mut rung = false;
        let mut bytes = [0_u8; 256];
        loop {
            match rustix::io::read(&self.read, &mut bytes[..]) {
                Ok(0) if rung => return Ok(true),
                Ok(0) => return Err(Errno::PIPE),
                Ok(got) if got < bytes.len() => return Ok(true),
                Ok(_) => rung = true,
                Err(Errno::AGAIN) => return Ok(rung),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Doorbell {
    /// The descriptor that is readable when the bell was rung.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl Bell {
    /// Takes a bell that another process sent.
    ///
    /// # Errors
    ///
    /// `EINVAL` if `fd` is not the write end of a pipe.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, Errno> {
        let is_pipe = FileType::from_raw_mode(fs::fstat(&fd)?.st_mode) == FileType::Fifo;
        let writes = fs::fcntl_getfl(&fd)? & OFlags::RWMODE == OFlags::WRONLY;
        if !(is_pipe && writes) {
            return Err(Errno::INVAL);
        }
        fs::fcntl_setfl(&fd, OFlags::NONBLOCK)?;
        Ok(Self { write: move_high(fd) })
    }

    /// Rings: wakes who waits for the doorbell. Never blocks, never raises `SIGPIPE`. A bell that was rung and not yet
    /// drained may absorb it.
    ///
    /// # Errors
    ///
    /// `EPIPE` if nobody can hear it any more.
    pub fn ring(&self) -> Result<(), Errno> {
        /// Whether the kernel has no `RWF_NOSIGNAL` (Linux 6.18), or a sandbox forbids pwritev2.
        static PLAIN_WRITES: AtomicBool = AtomicBool::new(false);
        loop {
            let result = if PLAIN_WRITES.load(Ordering::Relaxed) {
                write_quietly(self.as_fd())
            } else {
                match write_without_signal(self.as_fd()) {
                    Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                        PLAIN_WRITES.store(true, Ordering::Relaxed);
                        continue;
                    }
                    result => result,
                }
            };
            match result {
                Ok(_) | Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Bell {
    /// The descriptor to be sent to another process.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.write.as_fd()
    }
}

/// Writes one byte by a call that neither blocks, although the pipe's other users may have cleared `O_NONBLOCK`, nor
/// raises a signal.
fn write_without_signal(pipe: BorrowedFd<'_>) -> Result<usize, Errno> {
    const RWF_NOSIGNAL: usize = 0x100;
    let byte = 1_u8;
    let piece = libc::iovec { iov_base: core::ptr::from_ref(&byte).cast_mut().cast(), iov_len: 1 };
    let flags = libc::RWF_NOWAIT as usize | RWF_NOSIGNAL;
    // Offset -1 (in two halves): the current position, as write(2) has it.
    let arguments = [pipe.as_raw_fd() as usize, raw::address(&piece), 1, usize::MAX, usize::MAX, flags];
    // SAFETY: the kernel reads the one byte that the live iovec names.
    unsafe { raw::syscall(libc::SYS_pwritev2, arguments) }
}

/// The same for older kernels: blocks `SIGPIPE` and takes it away if the write raised it. Looks first whether the pipe has
/// room, for the case that somebody cleared `O_NONBLOCK`.
fn write_quietly(pipe: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut room = [PollFd { fd: pipe.as_raw_fd(), events: libc::POLLOUT, revents: 0 }];
    ppoll(&mut room, Some(Duration::ZERO), None)?;
    if room[0].revents == 0 {
        return Err(Errno::AGAIN);
    }
    let sigpipe = Mask::only(libc::SIGPIPE);
    let _blocked = sigpipe.block();
    let pending_before = Mask::pending().contains(libc::SIGPIPE);
    let result = rustix::io::write(pipe, &[1]);
    if result == Err(Errno::PIPE) && !pending_before {
        sigpipe.discard_pending();
    }
    result
}

/// A wake-up between threads of one process.
#[derive(Debug)]
pub struct Eventfd {
    fd: OwnedFd,
}

/// A new event for in-process wake-ups, as a bare descriptor: for tables that outlive any owner.
///
/// # Errors
///
/// `EMFILE`, `ENFILE` (eventfd(2)).
pub fn event() -> Result<OwnedFd, Errno> {
    Eventfd::new().map(|event| event.fd)
}

/// Rings an event made by [`event`].
pub fn signal(event: BorrowedFd<'_>) {
    while rustix::io::write(event, &1_u64.to_ne_bytes()) == Err(Errno::INTR) {}
}

/// Silences an event made by [`event`].
pub fn clear(event: BorrowedFd<'_>) {
    let _ = rustix::io::read(event, &mut [0u8; 8][..]);
}

impl Eventfd {
    /// A new one, not rung: non-blocking, close-on-exec, at a high descriptor number.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE` (eventfd(2)).
    pub fn new() -> Result<Self, Errno> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { fd: move_high(fd.into()) })
    }

    /// Wakes who waits for it.
    pub fn ring(&self) {
        // EAGAIN: rung 2^64 - 2 times already. Nothing else can happen to a descriptor of our own.
        while rustix::io::write(&self.fd, &1_u64.to_ne_bytes()) == Err(Errno::INTR) {}
    }

    /// Takes all rings so far and returns how many there were.
    pub fn drain(&self) -> u64 {
        let mut count = [0; 8];
        match rustix::io::read(&self.fd, &mut count[..]) {
            Ok(8) => u64::from_ne_bytes(count),
            _ => 0,
        }
    }
}

impl AsFd for Eventfd {
    /// The descriptor that is readable when it was rung.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(fd: BorrowedFd<'_>) -> bool {
        let mut fds = [PollFd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        ppoll(&mut fds, Some(Duration::ZERO), None).expect("a valid descriptor");
        fds[0].revents & libc::POLLIN != 0
    }

    #[test]
    fn rings_are_heard_once_drained_and_never_block() {
        let (doorbell, bell) = pair().expect("a pipe");
        assert!(!readable(doorbell.as_fd()));
        assert_eq!(doorbell.drain(), Ok(false));
        for _ in 0..10_000 {
            bell.ring().expect("the doorbell listens");
        }
        assert!(readable(doorbell.as_fd()));
        assert_eq!(doorbell.drain(), Ok(true));
        assert!(!readable(doorbell.as_fd()));
        bell.ring().expect("the doorbell listens");
        drop(bell);
        assert_eq!(doorbell.drain(), Ok(true));
        assert!(crate::testing::eventually(|| doorbell.drain() == Err(Errno::PIPE)));
    }

    #[test]
    fn ringing_in_vain_raises_no_signal() {
        // SAFETY: the default action would end the test; Rust's runtime ignores SIGPIPE, so undo that in a child.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: single-threaded child; SIG_DFL needs no function.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            let good = pair().is_ok_and(|(doorbell, bell)| {
                drop(doorbell);
                bell.ring() == Err(Errno::PIPE) && write_quietly(bell.as_fd()) == Err(Errno::PIPE)
            });
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(if good { 0 } else { 1 }) };
        }
        let mut status = -1;
        // SAFETY: waits for our own child.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(status, 0);
    }

    #[test]
    fn full_blocking_pipe_does_not_block_the_ringer() {
        let (doorbell, bell) = pair().expect("a pipe");
        fs::fcntl_setfl(&doorbell.read, OFlags::empty()).expect("flags");
        for write in [write_without_signal, write_quietly] {
            fs::fcntl_setfl(&bell.write, OFlags::empty()).expect("flags");
            let full = (0..100_000).find(|_| write(bell.as_fd()) == Err(Errno::AGAIN));
            assert!(full.is_some() || write(bell.as_fd()) == Err(Errno::OPNOTSUPP));
        }
    }

    #[test]
    fn only_the_write_end_of_a_pipe_is_a_bell() {
        let (doorbell, bell) = pair().expect("a pipe");
        assert!(Bell::from_fd(doorbell.read).is_err());
        assert!(Bell::from_fd(Eventfd::new().expect("an eventfd").fd).is_err());
        assert!(Bell::from_fd(bell.write).is_ok());
    }

    #[test]
    fn eventfd_counts() {
        let event = Eventfd::new().expect("an eventfd");
        assert_eq!(event.drain(), 0);
        event.ring();
        event.ring();
        assert!(readable(event.as_fd()));
        assert_eq!(event.drain(), 2);
        assert!(!readable(event.as_fd()));
    }
}
