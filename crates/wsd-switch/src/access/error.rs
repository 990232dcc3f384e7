//! Why a call cannot be served, one enum per operation, and the `errno` that the program gets for it.

use thiserror::Error;
use wsd_os::Errno;
use wsd_spi::WsaError;

use super::window::{LONGEST_DESCRIPTOR, WindowError};
use crate::reason::Reason;

/// Why a connection cannot be used for one-sided access at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unserved {
    /// It has no companion.
    #[error("the connection is on TCP: {0} (docs/staying-on-tcp.md)")]
    OnTcp(Reason),
    /// The companion belongs to another process of the family.
    #[error("the connection's companion belongs to another process, which made it before the fork")]
    OtherProcess,
    /// The socket has no connection, or not any more.
    #[error("the socket is not connected")]
    NotConnected,
    /// The switch does not follow the descriptor.
    #[error("the descriptor is no TCP socket that the switch follows")]
    Untracked,
    /// No provider can be called in this process.
    #[error("this process has no service thread: no provider is configured, or there was no memory for it")]
    NoService,
}

/// Why [`ready`](super::ready) failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReadyError {
    /// See [`Unserved`].
    #[error(transparent)]
    Unserved(#[from] Unserved),
}

/// Why memory was not exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ExposeError {
    /// See [`Unserved`].
    #[error(transparent)]
    Unserved(#[from] Unserved),
    /// No byte, or more than 32 bits can count.
    #[error("a buffer has 1 to 4294967295 bytes")]
    Length,
    /// Neither reading nor writing, or something else.
    #[error("rights are 1 (read), 2 (write) or 3 (both)")]
    Rights,
    /// The provider's refusal.
    #[error("WSPRegisterRdmaMemory: {0}")]
    Provider(WsaError),
    /// The provider's descriptors do not fit in a window.
    #[error("the provider's descriptor has {0} bytes, a window has room for {LONGEST_DESCRIPTOR}")]
    Descriptor(usize),
    /// The companion ended meanwhile.
    #[error("the companion has ended")]
    Ended,
    /// The service thread did not come to it in time.
    #[error("the service thread is busy")]
    Late,
}

/// Why an exposure goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WithdrawError {
    /// There is none of that number in this process.
    #[error("no exposure of this process has that number")]
    Unknown,
    /// Not yet.
    #[error("the provider has not given the memory back yet")]
    Pending,
}

/// Why a transfer was not begun, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TransferError {
    /// See [`Unserved`].
    #[error(transparent)]
    Unserved(#[from] Unserved),
    /// No byte, or more than 32 bits can count.
    #[error("a transfer has 1 to 4294967295 bytes")]
    Length,
    /// See [`WindowError`].
    #[error(transparent)]
    Window(#[from] WindowError),
    /// The window was made for another companion.
    #[error("the window belongs to another connection, or to an earlier companion of this one")]
    Stale,
    /// The window does not allow it.
    #[error("the window does not allow this direction")]
    Rights,
    /// Not all of it is in the window.
    #[error("the range is not inside the window")]
    Range,
    /// The provider's refusal or failure.
    #[error("the provider: {0}")]
    Provider(WsaError),
    /// The companion ended, and with it what was under way.
    #[error("the companion has ended")]
    Ended,
    /// There is none of that number in this process, or its end was told already.
    #[error("no operation of this process has that number")]
    Unknown,
    /// Not yet.
    #[error("the operation goes on")]
    Pending,
}

impl TransferError {
    /// What a provider's answer means.
    pub(crate) fn of_provider(error: WsaError) -> Self {
        match error {
            WsaError::WSAENOTCONN
            | WsaError::WSAENOTSOCK
            | WsaError::WSAESHUTDOWN
            | WsaError::WSAECONNRESET
            | WsaError::WSAECONNABORTED
            | WsaError::WSA_OPERATION_ABORTED => Self::Ended,
            error => Self::Provider(error),
        }
    }

    /// The `errno` value.
    pub fn errno(self) -> Errno {
        match self {
            Self::Unserved(error) => error.errno(),
            Self::Length | Self::Window(_) | Self::Unknown => Errno::INVAL,
            Self::Stale => Errno::STALE,
            Self::Rights => Errno::ACCESS,
            Self::Range => Errno::FAULT,
            Self::Provider(error) => errno_of(error),
            Self::Ended => Errno::CONNABORTED,
            Self::Pending => Errno::TIMEDOUT,
        }
    }
}

/// What the system calls a provider's error.
fn errno_of(error: WsaError) -> Errno {
    Errno::from_raw_os_error(if cfg!(windows) { error.code() } else { error.errno() })
}

impl Unserved {
    /// The `errno` value.
    pub fn errno(self) -> Errno {
        match self {
            Self::NotConnected => Errno::NOTCONN,
            Self::Untracked => Errno::BADF,
            Self::OnTcp(_) | Self::OtherProcess | Self::NoService => Errno::OPNOTSUPP,
        }
    }
}

impl ReadyError {
    /// The `errno` value.
    pub fn errno(self) -> Errno {
        let Self::Unserved(error) = self;
        error.errno()
    }
}

impl ExposeError {
    /// The `errno` value.
    pub fn errno(self) -> Errno {
        match self {
            Self::Unserved(error) => error.errno(),
            Self::Length | Self::Rights => Errno::INVAL,
            Self::Provider(error) => TransferError::of_provider(error).errno(),
            Self::Descriptor(_) => Errno::OPNOTSUPP,
            Self::Ended => Errno::CONNABORTED,
            Self::Late => Errno::AGAIN,
        }
    }
}

impl WithdrawError {
    /// The `errno` value.
    pub fn errno(self) -> Errno {
        match self {
            Self::Unknown => Errno::INVAL,
            Self::Pending => Errno::TIMEDOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program tells "on TCP", "the companion is gone" and "the provider says" apart.
    #[test]
    fn failures_are_told_apart_by_errno() {
        let on_tcp = Unserved::OnTcp(Reason::PeerWithoutCompanion);
        assert_eq!(ReadyError::from(on_tcp).errno(), Errno::OPNOTSUPP);
        assert_eq!(TransferError::from(Unserved::NotConnected).errno(), Errno::NOTCONN);
        assert_eq!(TransferError::of_provider(WsaError::WSAEOPNOTSUPP).errno(), Errno::OPNOTSUPP);
        assert_eq!(TransferError::of_provider(WsaError::WSAENOBUFS).errno(), Errno::NOBUFS);
        for error in [WsaError::WSAECONNRESET, WsaError::WSA_OPERATION_ABORTED, WsaError::WSAENOTSOCK] {
            assert_eq!(TransferError::of_provider(error), TransferError::Ended);
        }
        assert_eq!(TransferError::Ended.errno(), Errno::CONNABORTED);
        assert_eq!(WithdrawError::Pending.errno(), Errno::TIMEDOUT);
    }

    /// The reason is in the words.
    #[test]
    fn the_reason_is_told() {
        let words = Unserved::OnTcp(Reason::NoProof).to_string();
        assert!(words.contains("on TCP: NoProof"), "{words}");
    }
}
