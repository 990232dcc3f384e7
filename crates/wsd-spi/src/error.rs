//! Error codes of the SPI (section 3).

use core::fmt;
use core::num::NonZeroI32;

/// An error code of the SPI: never 0, otherwise any number, since a provider may answer what it likes.
///
/// The named codes are associated constants, spelled as in the SPI.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct WsaError(NonZeroI32);

macro_rules! errors {
    ($( $name:ident = $code:literal, $errno:literal, $doc:literal; )*) => {
        #[allow(non_upper_case_globals)]
        impl WsaError {
            $(
                #[doc = $doc]
                pub const $name: Self = Self(match NonZeroI32::new($code) {
                    Some(code) => code,
                    None => panic!("no error code is 0"),
                });
            )*

            /// All named codes with their names, in the order of their numbers.
            pub const ALL: &'static [(&'static str, WsaError)] = &[ $( (stringify!($name), Self::$name), )* ];

            /// Its name, or `None` for a number without one.
            pub const fn name(self) -> Option<&'static str> {
                match self.code() {
                    $( $code => Some(stringify!($name)), )*
                    _ => None,
                }
            }

            /// The `errno` value that says the same to a Linux program (numbers of x86-64 and AArch64).
            pub const fn errno(self) -> i32 {
                match self.code() {
                    $( $code => $errno, )*
                    _ => EIO,
                }
            }

            /// Its meaning in a few words.
            pub const fn meaning(self) -> &'static str {
                match self.code() {
                    $( $code => $doc, )*
                    _ => "Unknown error.",
                }
            }
        }
    };
}

const EIO: i32 = 5;

errors! {
    WSA_INVALID_HANDLE = 6, 9, "Handle is not valid.";
    WSA_NOT_ENOUGH_MEMORY = 8, 12, "Not enough memory.";
    WSA_INVALID_PARAMETER = 87, 22, "Parameter is not valid.";
    WSA_OPERATION_ABORTED = 995, 125, "Operation was aborted by a local close.";
    WSA_IO_INCOMPLETE = 996, 11, "Operation has not completed yet.";
    WSA_IO_PENDING = 997, 115, "Operation has been started and will complete later.";
    WSAEINTR = 10004, 4, "Interrupted; never used by a SAN provider.";
    WSAEACCES = 10013, 13, "Permission denied.";
    WSAEFAULT = 10014, 14, "Address or length of an argument is not valid.";
    WSAEINVAL = 10022, 22, "Argument or state is not valid.";
    WSAEMFILE = 10024, 24, "No more descriptors.";
    WSAEWOULDBLOCK = 10035, 11, "Would block.";
    WSAEINPROGRESS = 10036, 115, "In progress; never used by a SAN provider.";
    WSAEALREADY = 10037, 114, "A connect is already in progress.";
    WSAENOTSOCK = 10038, 88, "Descriptor is not a socket.";
    WSAEDESTADDRREQ = 10039, 89, "Destination address is missing.";
    WSAEMSGSIZE = 10040, 90, "Message is too long.";
    WSAEPROTOTYPE = 10041, 91, "Protocol is of the wrong type for the socket.";
    WSAENOPROTOOPT = 10042, 92, "Option is not known.";
    WSAEPROTONOSUPPORT = 10043, 93, "Protocol is not supported.";
    WSAESOCKTNOSUPPORT = 10044, 94, "Socket type is not supported.";
    WSAEOPNOTSUPP = 10045, 95, "Operation is not supported.";
    WSAEPFNOSUPPORT = 10046, 96, "Protocol family is not supported.";
    WSAEAFNOSUPPORT = 10047, 97, "Address family is not supported.";
    WSAEADDRINUSE = 10048, 98, "Address is in use.";
    WSAEADDRNOTAVAIL = 10049, 99, "Address is not available.";
    WSAENETDOWN = 10050, 100, "Network is down.";
    WSAENETUNREACH = 10051, 101, "Network is unreachable.";
    WSAENETRESET = 10052, 102, "Keep-alive failed.";
    WSAECONNABORTED = 10053, 103, "Connection was aborted.";
    WSAECONNRESET = 10054, 104, "Connection was reset by the peer.";
    WSAENOBUFS = 10055, 105, "No buffer space.";
    WSAEISCONN = 10056, 106, "Socket is connected.";
    WSAENOTCONN = 10057, 107, "Socket is not connected.";
    WSAESHUTDOWN = 10058, 108, "Socket has been shut down.";
    WSAETOOMANYREFS = 10059, 109, "Too many references.";
    WSAETIMEDOUT = 10060, 110, "Timed out.";
    WSAECONNREFUSED = 10061, 111, "Connection was refused.";
    WSAEHOSTDOWN = 10064, 112, "Host is down.";
    WSAEHOSTUNREACH = 10065, 113, "Host is unreachable.";
    WSAEPROCLIM = 10067, 11, "Too many clients of the provider.";
    WSASYSNOTREADY = 10091, 100, "The underlying network is not ready.";
    WSAVERNOTSUPPORTED = 10092, 38, "Version is not supported.";
    WSANOTINITIALISED = 10093, 38, "No successful start-up.";
    WSAEDISCON = 10101, 108, "Peer has disconnected gracefully.";
    WSAENOMORE = 10102, 2, "No more results.";
    WSAECANCELLED = 10103, 125, "Call was cancelled.";
    WSAEINVALIDPROCTABLE = 10104, 80, "Table of functions is not valid.";
    WSAEINVALIDPROVIDER = 10105, 80, "Provider is not valid.";
    WSAEPROVIDERFAILEDINIT = 10106, 79, "Provider could not be initialised.";
    WSASYSCALLFAILURE = 10107, 5, "A call that should never fail has failed.";
    WSAEREFUSED = 10112, 111, "Query was refused.";
    WSATRY_AGAIN = 11002, 11, "Try again.";
    WSANO_RECOVERY = 11003, 121, "Failure without recovery.";
}

impl WsaError {
    /// The error with that number; `None` for 0, which is success.
    pub const fn from_code(code: i32) -> Option<Self> {
        match NonZeroI32::new(code) {
            Some(code) => Some(Self(code)),
            None => None,
        }
    }

    /// The error that a failed call reported: [`WSASYSCALLFAILURE`](Self::WSASYSCALLFAILURE) if it failed without
    /// setting a code.
    pub const fn reported(code: i32) -> Self {
        match Self::from_code(code) {
            Some(error) => error,
            None => Self::WSASYSCALLFAILURE,
        }
    }

    /// Its number.
    pub const fn code(self) -> i32 {
        self.0.get()
    }

    /// The number of a result as the SPI writes it: 0 for success.
    pub fn code_of(result: Result<(), Self>) -> i32 {
        result.map_or_else(Self::code, |()| 0)
    }

    /// The result that a number stands for: 0 is success.
    pub const fn result_of(code: i32) -> Result<(), Self> {
        match Self::from_code(code) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// The error that says the same as a Linux `errno` value;
    /// [`WSASYSCALLFAILURE`](Self::WSASYSCALLFAILURE) for values without a counterpart.
    pub fn from_errno(errno: i32) -> Self {
        match errno {
            1 => Self::WSAEACCES,
            11 => Self::WSAEWOULDBLOCK,
            12 => Self::WSAENOBUFS,
            22 => Self::WSAEINVAL,
            23 => Self::WSAEMFILE,
            32 => Self::WSAESHUTDOWN,
            115 => Self::WSAEINPROGRESS,
            125 => Self::WSA_OPERATION_ABORTED,
            4 | 13 | 14 | 24 | 88..=113 | 114 => Self::ALL
                .iter()
                .find(|(_, error)| error.errno() == errno)
                .map_or(Self::WSASYSCALLFAILURE, |(_, error)| *error),
            _ => Self::WSASYSCALLFAILURE,
        }
    }
}

impl fmt::Display for WsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error {}", self.code()),
        }
    }
}

impl fmt::Debug for WsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for WsaError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(WsaError::WSAEINVAL.code(), 10022);
        assert_eq!(WsaError::WSAEINVAL.to_string(), "WSAEINVAL");
        assert_eq!(WsaError::from_code(10022), Some(WsaError::WSAEINVAL));
        assert_eq!(WsaError::from_code(0), None);
        assert_eq!(WsaError::reported(0), WsaError::WSASYSCALLFAILURE);
        assert_eq!(WsaError::reported(4711).to_string(), "error 4711");
        assert!(WsaError::ALL.windows(2).all(|pair| pair[0].1 < pair[1].1), "sorted, without repetition");
    }

    #[test]
    fn errno_there_and_back() {
        // Every errno that a socket call of Linux gives, from ENOTSOCK to EALREADY.
        for errno in (88..=114).chain([4, 13, 14, 22, 24, 11, 115]) {
            assert_eq!(WsaError::from_errno(errno).errno(), errno);
        }
        assert_eq!(WsaError::from_errno(104), WsaError::WSAECONNRESET);
        assert_eq!(WsaError::from_errno(100), WsaError::WSAENETDOWN);
        assert_eq!(WsaError::from_errno(108), WsaError::WSAESHUTDOWN);
        assert_eq!(WsaError::from_errno(9999), WsaError::WSASYSCALLFAILURE);
    }
}
