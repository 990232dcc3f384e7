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
    /// Not an address of this host.
    ADDRNOTAVAIL,
    /// Not an internet address.
    AFNOSUPPORT,
    /// Not now.
    AGAIN,
    /// It is under way.
    ALREADY,
    /// No such descriptor.
    BADF,
    /// It was taken back before it was done.
    CANCELED,
    /// The other side has broken the rules, or its connection.
    CONNABORTED,
    /// Nobody has the name.
    CONNREFUSED,
    /// The other side has gone.
    CONNRESET,
    /// The caller has the lock.
    DEADLK,
    /// It is there already.
    EXIST,
    /// No such address.
    FAULT,
    /// The file is too long.
    FBIG,
    /// No way to that host.
    HOSTUNREACH,
    /// Not UTF-8.
    ILSEQ,
    /// The result follows.
    INPROGRESS,
    /// Interrupted; never given on Windows.
    INTR,
    /// Not valid.
    INVAL,
    /// It is connected.
    ISCONN,
    /// No descriptor is free in this process.
    MFILE,
    /// The packet is too long, or brought too much.
    MSGSIZE,
    /// The name is too long.
    NAMETOOLONG,
    /// No way to that network.
    NETUNREACH,
    /// No descriptor is free in this system.
    NFILE,
    /// No room.
    NOBUFS,
    /// Not registered.
    NOENT,
    /// No memory.
    NOMEM,
    /// It is not connected.
    NOTCONN,
    /// Not a socket.
    NOTSOCK,
    /// Windows cannot do that.
    OPNOTSUPP,
    /// Nobody reads any more.
    PIPE,
    /// The other side has broken the protocol.
    PROTO,
    /// No such process.
    SRCH,
    /// What was looked at has changed.
    STALE,
    /// The time is over.
    TIMEDOUT,
    /// Too many descriptors are on their way.
    TOOMANYREFS,
    /// An error of Winsock that has no other name here.
    Winsock(i32),
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
