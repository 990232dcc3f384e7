//! Bells: wake-ups between processes that do not trust each other.
//!
//! A bell is an AF_UNIX datagram socket with an abstract name made of a process's random token and a number. Whoever knows
//! the token can ring it, which can do no more than wake. (A pipe or an eventfd that is handed out could be drained, filled
//! or switched to blocking by whoever has it, and a pipe without reader raises `SIGPIPE`.)

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, recv, sendto,
    socket_with,
};

use crate::fd::{BorrowedFd, OwnedFd, hidden};

/// Making, silencing and ringing bells.
#[derive(Debug)]
pub struct Bell;

impl Bell {
    /// A new bell. Readable while it rings.
    ///
    /// # Errors
    ///
    /// As socket(2) and bind(2); `EADDRINUSE` if the process has it already.
    pub fn bind(token: [u64; 2], number: u32) -> Result<OwnedFd, Errno> {
        let fd = socket()?;
        bind(&fd, &address(token, number)?)?;
        Ok(fd)
    }

    /// Silences a bell: takes all that was rung, at most as much as the queue holds.
    pub fn drain(bell: BorrowedFd<'_>) {
        let mut byte = [0u8; 1];
        for _ in 0..1024 {
            if recv(bell, &mut byte[..], RecvFlags::DONTWAIT).is_err() {
                return;
            }
        }
    }

    /// A descriptor to ring bells with; one serves a whole process.
    ///
    /// # Errors
    ///
    /// As socket(2).
    pub fn ringer() -> Result<OwnedFd, Errno> {
        socket()
    }

    /// Rings. Never blocks and raises no signal. A full queue means that it rings already; a bell that does not exist
    /// belongs to a process that is gone.
    pub fn ring(ringer: BorrowedFd<'_>, token: [u64; 2], number: u32) {
        if let Ok(address) = address(token, number) {
            let _ = sendto(ringer, &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &address);
        }
    }
}

fn socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    hidden(|| socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None))
}

fn address(token: [u64; 2], number: u32) -> Result<SocketAddrUnix, Errno> {
    let mut name = *b"wsd-bell-0000000000000000-0000000000000000-00000000";
    hex(&mut name[9..25], token[0]);
    hex(&mut name[26..42], token[1]);
    hex(&mut name[43..51], u64::from(number));
    SocketAddrUnix::new_abstract_name(&name)
}

fn hex(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::fd::{AsFd, AsRawFd};
    use crate::poll::{PollFd, ppoll};

    fn rings(bell: &OwnedFd) -> bool {
        let mut fds = [PollFd { fd: bell.as_raw_fd(), events: 1, revents: 0 }];
        ppoll(&mut fds, Some(Duration::ZERO), None) == Ok(1)
    }

    #[test]
    fn rings_until_drained_and_only_the_one_meant() {
        let token = [crate::clock::now_ns(), u64::from(crate::thread::tid())];
        let (one, two) = (Bell::bind(token, 1).expect("a bell"), Bell::bind(token, 2).expect("a bell"));
        let ringer = Bell::ringer().expect("a ringer");
        for _ in 0..2000 {
            Bell::ring(ringer.as_fd(), token, 2);
        }
        assert!(!rings(&one));
        assert!(rings(&two));
        Bell::drain(two.as_fd());
        assert!(!rings(&two));
        Bell::ring(ringer.as_fd(), token, 3);
        assert_eq!(Bell::bind(token, 1).map(drop), Err(Errno::ADDRINUSE));
    }
}
