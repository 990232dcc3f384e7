//! Why something failed, by the names that the rest of wsdirect knows.

use core::fmt;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_COMMITMENT_LIMIT, ERROR_FILE_NOT_FOUND, ERROR_INVALID_HANDLE,
    ERROR_INVALID_PARAMETER, ERROR_NO_SYSTEM_RESOURCES, ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY,
    GetLastError,
};

/// An error, named as on Linux.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(clippy::upper_case_acronyms, reason = "the names of errno.h")]
pub enum Errno {
    /// Not allowed.
    ACCESS,
    /// The name is taken.
    ADDRINUSE,
    /// Not now.
    AGAIN,
    /// No such descriptor.
    BADF,
    /// The other side has broken the rules, or its connection.
    CONNABORTED,
    /// Nobody has the name.
    CONNREFUSED,
    /// The other side has gone.
    CONNRESET,
    /// It is there already.
    EXIST,
    /// Interrupted; never given on Windows.
    INTR,
    /// Not valid.
    INVAL,
    /// No descriptor is free in this process.
    MFILE,
    /// The packet is too long, or brought too much.
    MSGSIZE,
    /// The name is too long.
    NAMETOOLONG,
    /// No descriptor is free in this system.
    NFILE,
    /// No room.
    NOBUFS,
    /// Not registered.
    NOENT,
    /// No memory.
    NOMEM,
    /// Windows cannot do that.
    OPNOTSUPP,
    /// Nobody reads any more.
    PIPE,
    /// No such process.
    SRCH,
    /// Too many descriptors are on their way.
    TOOMANYREFS,
}

impl fmt::Display for Errno {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "E{self:?}")
    }
}

impl core::error::Error for Errno {}

impl Errno {
    /// Why the last call of this thread failed.
    pub(super) fn last() -> Self {
        // SAFETY: reads a number of this thread.
        match unsafe { GetLastError() } {
            ERROR_ACCESS_DENIED => Self::ACCESS,
            ERROR_FILE_NOT_FOUND => Self::NOENT,
            ERROR_INVALID_HANDLE => Self::BADF,
            ERROR_NO_SYSTEM_RESOURCES => Self::NFILE,
            ERROR_COMMITMENT_LIMIT | ERROR_NOT_ENOUGH_MEMORY | ERROR_OUTOFMEMORY => Self::NOMEM,
            ERROR_INVALID_PARAMETER => Self::INVAL,
            _ => Self::CONNABORTED,
        }
    }
}
