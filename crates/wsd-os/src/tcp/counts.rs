//! How many bytes the kernel has moved on a TCP connection.

use rustix::io::Errno;

use super::info::State;
use crate::fd::BorrowedFd;
use crate::{raw, sockopt};

/// Positions in the two streams of a connection, in bytes from its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Bytes that were written into this end.
    pub written: u64,
    /// Bytes that were read from this end, or skipped.
    pub read: u64,
}

/// Whether the kernel, too, says that this end was given `bytes` bytes to send; see [`counts`].
///
/// # Errors
///
/// As [`counts`].
pub fn has_sent(fd: BorrowedFd<'_>, connected: bool, bytes: u64) -> Result<bool, Errno> {
    counts(fd, connected).map(|counts| counts.written == bytes)
}

/// Whether the kernel, too, says that `bytes` bytes were taken from this end; see [`counts`].
///
/// # Errors
///
/// As [`counts`].
pub fn has_received(fd: BorrowedFd<'_>, connected: bool, bytes: u64) -> Result<bool, Errno> {
    counts(fd, connected).map(|counts| counts.read == bytes)
}

/// Where `tcpi_bytes_acked` and `tcpi_bytes_received` are in the kernel's `struct tcp_info`.
const BYTES_ACKED: usize = 120;
const BYTES_RECEIVED: usize = 128;

/// How often the counts are read again when segments or acknowledgements arrive in between.
const TRIES: usize = 16;

/// Reads the positions of the connection. `connected` says that this end called connect(2), `false` that it was accepted.
///
/// `written` is `tcpi_bytes_acked`, less 1 for the SYN on the end that connected, plus what is queued or on its way
/// (`SIOCOUTQ`), less 1 if our FIN is among it. `read` is `tcpi_bytes_received`, less 1 if the peer's FIN came, less what
/// waits to be read (`SIOCINQ`) (tcp(7), TCP_INFO of Linux 4.2; seen on Linux 6.18). Urgent data that is not read inline
/// breaks the sum for `read`: it counts as received, never as waiting nor as read. Both ends of a simultaneous open
/// connected.
///
/// The caller must see to it that nobody reads or writes meanwhile; the kernel may go on sending and receiving.
///
/// # Errors
///
/// `EAGAIN` if the counts never stood still; `ENOTCONN` in a state in which they mean nothing; `EOPNOTSUPP` if the kernel
/// does not have them; else as getsockopt(2).
pub fn counts(fd: BorrowedFd<'_>, connected: bool) -> Result<Counts, Errno> {
    let mut before = Snapshot::take(fd)?;
    for _ in 0..TRIES {
        let unacknowledged = queued(fd, libc::TIOCOUTQ)?;
        let unread = queued(fd, libc::FIONREAD)?;
        let after = Snapshot::take(fd)?;
        if before == after {
            let written = (after.acked + unacknowledged)
                .checked_sub(u64::from(connected) + u64::from(after.state.fin_sent()));
            let read = after.received.checked_sub(unread + u64::from(after.state.fin_received()));
            return match (written, read) {
                (Some(written), Some(read)) => Ok(Counts { written, read }),
                _ => Err(Errno::NOTCONN),
            };
        }
        before = after;
    }
    Err(Errno::AGAIN)
}

/// What must not change while the queues are read.
#[derive(PartialEq, Eq)]
struct Snapshot {
    state: State,
    acked: u64,
    received: u64,
}

impl Snapshot {
    fn take(fd: BorrowedFd<'_>) -> Result<Self, Errno> {
        let mut info = [0; BYTES_RECEIVED + 8];
        if sockopt::get_bytes(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)? < info.len() {
            return Err(Errno::OPNOTSUPP);
        }
        let number = |at: usize| info[at..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        let state = State::from_number(info[0]).ok_or(Errno::NOTCONN)?;
        if matches!(state, State::Closed | State::Listening | State::SynSent | State::SynReceived) {
            return Err(Errno::NOTCONN);
        }
        Ok(Self { state, acked: number(BYTES_ACKED), received: number(BYTES_RECEIVED) })
    }
}

/// `SIOCOUTQ` or `SIOCINQ` (tcp(7)): bytes in the send or receive queue.
fn queued(fd: BorrowedFd<'_>, request: libc::Ioctl) -> Result<u64, Errno> {
    use crate::fd::AsRawFd;
    let mut bytes = 0_i32;
    let arguments = [fd.as_raw_fd() as usize, request as usize, raw::address_mut(&mut bytes), 0, 0, 0];
    // SAFETY: both requests write one int to the live `bytes`.
    unsafe { raw::syscall(libc::SYS_ioctl, arguments) }?;
    Ok(u64::from(bytes.max(0) as u32))
}
