//! What may go wrong, one enum per operation. Each knows the `errno` value that the C interface gives, and [`winsock`] the code
//! of Winsock for that.

use libc::{EACCES, ECONNABORTED, EFAULT, EINVAL, ENOTCONN, EOPNOTSUPP, ESTALE, ETIMEDOUT};
use thiserror::Error;
use wsd_spi::WsaError;

/// WSAESTALE, which no SAN provider answers.
const WSAESTALE: i32 = 10070;
/// WSAEBADF, likewise.
const WSAEBADF: i32 = 10009;

/// The code of Winsock that says the same as an `errno` value.
pub fn winsock(errno: i32) -> i32 {
    match errno {
        ESTALE => WSAESTALE,
        libc::EBADF => WSAEBADF,
        errno => WsaError::from_errno(errno).code(),
    }
}

/// Why [`ready`](crate::ready) failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadyError {
    /// There is no switch in this process.
    #[error("the program does not run under wsdirect")]
    NotRunning,
    /// The reason in words.
    #[error("{0}")]
    OnTcp(String),
    /// The socket is not connected, or not a TCP socket that the switch follows.
    #[error("{why}")]
    NotConnected {
        /// `ENOTCONN` or `EBADF`.
        errno: i32,
        /// In words.
        why: String,
    },
}

impl ReadyError {
    pub(crate) fn of(errno: i32, why: String) -> Self {
        match errno {
            EOPNOTSUPP => Self::OnTcp(why),
            errno => Self::NotConnected { errno, why },
        }
    }

    /// The `errno` value.
    pub fn errno(&self) -> i32 {
        match self {
            Self::NotRunning | Self::OnTcp(_) => EOPNOTSUPP,
            Self::NotConnected { errno, .. } => *errno,
        }
    }
}

/// Why memory was not exposed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExposeError {
    /// The connection cannot be used.
    #[error(transparent)]
    Unready(#[from] ReadyError),
    /// The switch's or the provider's answer.
    #[error("the memory is not exposed: {}", std::io::Error::from_raw_os_error(*.0))]
    Failed(i32),
}

impl ExposeError {
    pub(crate) fn of(errno: i32, why: impl FnOnce() -> String) -> Self {
        match errno {
            EOPNOTSUPP | ENOTCONN | libc::EBADF => Self::Unready(ReadyError::of(errno, why())),
            errno => Self::Failed(errno),
        }
    }

    /// The `errno` value.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Unready(error) => error.errno(),
            Self::Failed(errno) => *errno,
        }
    }
}

/// Why a transfer was not begun, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransferError {
    /// The connection cannot be used.
    #[error(transparent)]
    Unready(#[from] ReadyError),
    /// No byte, too many, or bytes that are no window.
    #[error("not a window, or not a length")]
    Invalid,
    /// The window was made for another companion.
    #[error("the window belongs to another connection, or to an earlier companion of this one")]
    Stale,
    /// The window does not allow it.
    #[error("the window does not allow this direction")]
    Rights,
    /// Not all of it is in the window.
    #[error("the range is not inside the window")]
    Range,
    /// The provider has no function for it.
    #[error("the provider has no such function")]
    Unsupported,
    /// The companion ended, and with it what was under way.
    #[error("the companion has ended")]
    Ended,
    /// The provider's failure.
    #[error("the provider: {}", std::io::Error::from_raw_os_error(*.0))]
    Failed(i32),
}

impl TransferError {
    /// Of a transfer that was not begun.
    pub(crate) fn of(errno: i32, why: impl FnOnce() -> String) -> Self {
        match errno {
            EOPNOTSUPP | ENOTCONN | libc::EBADF => Self::Unready(ReadyError::of(errno, why())),
            errno => Self::of_end(errno),
        }
    }

    /// Of one that has ended.
    pub(crate) fn of_end(errno: i32) -> Self {
        match errno {
            EINVAL => Self::Invalid,
            ESTALE => Self::Stale,
            EACCES => Self::Rights,
            EFAULT => Self::Range,
            EOPNOTSUPP => Self::Unsupported,
            ECONNABORTED => Self::Ended,
            errno => Self::Failed(errno),
        }
    }

    /// The `errno` value.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Unready(error) => error.errno(),
            Self::Invalid => EINVAL,
            Self::Stale => ESTALE,
            Self::Rights => EACCES,
            Self::Range => EFAULT,
            Self::Unsupported => EOPNOTSUPP,
            Self::Ended => ECONNABORTED,
            Self::Failed(errno) => *errno,
        }
    }
}

/// What a wait that gave this says: `None` while it goes on.
pub(crate) fn ended(result: i32) -> Option<Result<(), i32>> {
    match -result {
        ETIMEDOUT => None,
        0 => Some(Ok(())),
        errno => Some(Err(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn winsock_codes_stand_beside_errno() {
        let pairs = [
            (EOPNOTSUPP, 10045),
            (ENOTCONN, 10057),
            (libc::EBADF, 10009),
            (EINVAL, 10022),
            (ESTALE, 10070),
            (EACCES, 10013),
            (EFAULT, 10014),
            (libc::ENOBUFS, 10055),
            (ETIMEDOUT, 10060),
            (ECONNABORTED, 10053),
        ];
        for (errno, code) in pairs {
            assert_eq!(winsock(errno), code);
        }
    }
}
