//! A wake-up that a thread of the same process can wait for together with other descriptors. (Between processes: [`bell`](crate::bell).)

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::fd::{AsFd, BorrowedFd, OwnedFd, hidden};

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
        let fd = hidden(|| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))?;
        Ok(Self { fd })
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
    use core::time::Duration;

    use super::*;
    use crate::fd::AsRawFd;
    use crate::poll::{PollFd, ppoll};

    fn readable(fd: BorrowedFd<'_>) -> bool {
        let mut fds = [PollFd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        ppoll(&mut fds, Some(Duration::ZERO), None).expect("a valid descriptor");
        fds[0].revents & libc::POLLIN != 0
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
