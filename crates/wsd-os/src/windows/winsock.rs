//! Winsock's error numbers.

use std::sync::OnceLock;

use windows_sys::Win32::Networking::WinSock as ws;

use super::Errno;

/// Numbers and names that mean the same.
const SAME: &[(i32, Errno)] = &[
    (ws::WSAEACCES, Errno::ACCESS),
    (ws::WSAEADDRINUSE, Errno::ADDRINUSE),
    (ws::WSAEADDRNOTAVAIL, Errno::ADDRNOTAVAIL),
    (ws::WSAEAFNOSUPPORT, Errno::AFNOSUPPORT),
    (ws::WSAEWOULDBLOCK, Errno::AGAIN),
    (ws::WSAEALREADY, Errno::ALREADY),
    (ws::WSAEBADF, Errno::BADF),
    (ws::WSA_OPERATION_ABORTED, Errno::CANCELED),
    (ws::WSAECONNABORTED, Errno::CONNABORTED),
    (ws::WSAECONNREFUSED, Errno::CONNREFUSED),
    (ws::WSAECONNRESET, Errno::CONNRESET),
    (ws::WSAEFAULT, Errno::FAULT),
    (ws::WSAEHOSTUNREACH, Errno::HOSTUNREACH),
    (ws::WSAEINPROGRESS, Errno::INPROGRESS),
    (ws::WSAEINTR, Errno::INTR),
    (ws::WSAEINVAL, Errno::INVAL),
    (ws::WSAEISCONN, Errno::ISCONN),
    (ws::WSAEMFILE, Errno::MFILE),
    (ws::WSAEMSGSIZE, Errno::MSGSIZE),
    (ws::WSAENAMETOOLONG, Errno::NAMETOOLONG),
    (ws::WSAENETUNREACH, Errno::NETUNREACH),
    (ws::WSAENOBUFS, Errno::NOBUFS),
    (ws::WSAENOTCONN, Errno::NOTCONN),
    (ws::WSAENOTSOCK, Errno::NOTSOCK),
    (ws::WSAEOPNOTSUPP, Errno::OPNOTSUPP),
    (ws::WSAESHUTDOWN, Errno::PIPE),
    (ws::WSAESTALE, Errno::STALE),
    (ws::WSAETIMEDOUT, Errno::TIMEDOUT),
    (ws::WSAETOOMANYREFS, Errno::TOOMANYREFS),
];

impl Errno {
    /// The error that Winsock gives this number.
    pub fn from_raw_os_error(number: i32) -> Self {
        SAME.iter().find(|(other, _)| *other == number).map_or(Self::Winsock(number), |(_, error)| *error)
    }

    /// The number that Winsock gives this error; what it has no number for it says as "connection reset".
    pub fn raw_os_error(self) -> i32 {
        match self {
            Self::Winsock(number) => number,
            _ => {
                SAME.iter().find(|(_, error)| *error == self).map_or(ws::WSAECONNRESET, |(number, _)| *number)
            }
        }
    }

    /// Why the last call of Winsock by this thread failed.
    pub(super) fn last_of_winsock() -> Self {
        // SAFETY: reads a number of this thread.
        Self::from_raw_os_error(unsafe { ws::WSAGetLastError() })
    }
}

/// Sees to it that Winsock works as long as this process, whatever the program does.
pub(super) fn start() -> Result<(), Errno> {
    static STARTED: OnceLock<i32> = OnceLock::new();
    let result = *STARTED.get_or_init(|| {
        // SAFETY: integers and bytes, for which zero is valid.
        let mut facts: ws::WSADATA = unsafe { core::mem::zeroed() };
        // SAFETY: a local variable.
        unsafe { ws::WSAStartup(0x0202, &raw mut facts) }
    });
    if result == 0 { Ok(()) } else { Err(Errno::from_raw_os_error(result)) }
}

/// What a call of Winsock returned: 0, or an error of this thread.
pub(super) fn done(result: i32) -> Result<(), Errno> {
    if result == 0 { Ok(()) } else { Err(Errno::last_of_winsock()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_each_others() {
        for (number, error) in SAME {
            assert_eq!((Errno::from_raw_os_error(*number), error.raw_os_error()), (*error, *number));
        }
        assert_eq!(Errno::from_raw_os_error(ws::WSAEDISCON).raw_os_error(), ws::WSAEDISCON);
    }
}
