//! A timer that can be waited for together with other descriptors (timerfd_create(2)).

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::fd::{AsFd, BorrowedFd, OwnedFd, hidden};

/// Runs out once, when it has been set.
#[derive(Debug)]
pub struct Timer {
    fd: OwnedFd,
}

impl Timer {
    /// One that does not run.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new() -> Result<Self, Errno> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let fd = hidden(|| timerfd_create(TimerfdClockId::Monotonic, flags))?;
        Ok(Self { fd })
    }

    /// Runs out at `deadline_ns` of [`now_ns`](crate::clock::now_ns).
    ///
    /// # Errors
    ///
    /// None that is documented.
    pub fn set(&self, deadline_ns: u64) -> Result<(), Errno> {
        let (tv_sec, tv_nsec) = ((deadline_ns / 1_000_000_000) as i64, (deadline_ns % 1_000_000_000) as i64);
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec, tv_nsec },
        };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &once).map(drop)
    }

    /// Is not readable any more until it has been set anew and runs out.
    pub fn silence(&self) {
        // The number of times that it ran out does not matter.
        let _ = rustix::io::read(&self.fd, &mut [0u8; 8][..]);
    }
}

impl AsFd for Timer {
    /// Readable when it has run out.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::clock::now_ns;
    use crate::fd::AsRawFd;
    use crate::poll::{POLLIN, PollFd, ppoll};

    #[test]
    fn runs_out_and_is_silenced() {
        let timer = Timer::new().expect("a timer");
        let mut fds = [PollFd { fd: timer.as_fd().as_raw_fd(), events: POLLIN, revents: 0 }];
        assert_eq!(ppoll(&mut fds, Some(Duration::ZERO), None), Ok(0));
        for _ in 0..2 {
            let deadline = now_ns() + 20_000_000;
            timer.set(deadline).expect("set");
            assert_eq!(ppoll(&mut fds, None, None), Ok(1));
            assert!(now_ns() >= deadline);
            timer.silence();
            assert_eq!(ppoll(&mut fds, Some(Duration::ZERO), None), Ok(0));
        }
    }
}
