//! How many bytes the system says that a connection has carried, where it says so: from Windows 10 on (SIO_TCP_INFO).

use core::mem::MaybeUninit;

use windows_sys::Win32::Networking::WinSock as ws;

use super::Errno;
use super::fd::BorrowedFd;
use super::tcp::{socket, unread};
use super::winsock::done;

/// How often the counts are read again when bytes arrive in between.
const TRIES: usize = 16;

/// What the system has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Counts {
    /// Bytes sent, some of them more than once.
    out: u64,
    /// Bytes sent again.
    again: u64,
    /// Bytes received, also those that wait to be read.
    came: u64,
}

impl Counts {
    /// `None`: the system does not tell.
    fn of(fd: &BorrowedFd<'_>) -> Option<Self> {
        let version = 0_u32;
        let mut info = MaybeUninit::<ws::TCP_INFO_v0>::zeroed();
        let mut length = 0;
        // SAFETY: exactly the version is read and at most the facts are written.
        let told = done(unsafe {
            ws::WSAIoctl(
                socket(fd),
                ws::SIO_TCP_INFO,
                (&raw const version).cast(),
                size_of::<u32>() as u32,
                info.as_mut_ptr().cast(),
                size_of::<ws::TCP_INFO_v0>() as u32,
                &raw mut length,
                core::ptr::null_mut(),
                None,
            )
        });
        let complete = told.is_ok() && length as usize == size_of::<ws::TCP_INFO_v0>();
        let info = info.as_ptr();
        // SAFETY: integers, zero or written; what else is in it is left alone.
        let (out, again, came) = unsafe {
            (&raw const (*info).BytesOut, &raw const (*info).BytesRetrans, &raw const (*info).BytesIn)
        };
        // SAFETY: as above.
        complete.then(|| unsafe { Self { out: out.read(), again: again.read().into(), came: came.read() } })
    }

    /// Whether this end can have been given so many bytes to send, of which some may wait to be sent.
    fn allow_sent(self, bytes: u64) -> bool {
        self.out.saturating_sub(self.again) <= bytes
    }

    /// Whether so many bytes can have been taken from this end, while others wait.
    fn allow_received(self, bytes: u64, unread: u64) -> bool {
        self.came <= bytes.saturating_add(unread)
    }
}

/// Whether `bytes` may be how much this end has sent: false if the system has sent more, which somebody has given it around the
/// caller. Where it does not tell, the answer is the caller's own count: a front end sees all calls of its process.
///
/// # Errors
///
/// None.
pub fn has_sent(fd: BorrowedFd<'_>, _connected: bool, bytes: u64) -> Result<bool, Errno> {
    Ok(Counts::of(&fd).is_none_or(|counts| counts.allow_sent(bytes)))
}

/// Whether `bytes` may be how much this end has received; see [`has_sent`].
///
/// # Errors
///
/// `AGAIN` if the counts never stood still; as [`unread`].
pub fn has_received(fd: BorrowedFd<'_>, _connected: bool, bytes: u64) -> Result<bool, Errno> {
    let Some(mut before) = Counts::of(&fd) else { return Ok(true) };
    for _ in 0..TRIES {
        let waiting = unread(fd.clone())? as u64;
        let after = Counts::of(&fd).ok_or(Errno::NOTCONN)?;
        if after.came == before.came {
            return Ok(after.allow_received(bytes, waiting));
        }
        before = after;
    }
    Err(Errno::AGAIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SW-110: bytes that went around the switch contradict its count.
    #[test]
    fn more_than_was_counted_is_a_contradiction() {
        let counts = Counts { out: 120, again: 20, came: 70 };
        assert!(counts.allow_sent(100));
        assert!(counts.allow_sent(130), "30 wait to be sent");
        assert!(!counts.allow_sent(99));
        assert!(counts.allow_received(50, 20));
        assert!(!counts.allow_received(50, 19));
    }
}
