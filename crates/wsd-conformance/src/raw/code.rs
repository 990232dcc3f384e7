//! What a call answered.

use core::ffi::c_int;
use core::fmt;

use serde::{Deserialize, Serialize};
use wsd_spi::WsaError;

/// Result of a call: its value, or the code of its failure.
pub(crate) type Answer<T> = Result<T, Code>;

/// The code of a failure as the provider gave it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Code {
    /// A number in `*lpErrno`.
    Number(i32),
    /// The call failed and left `*lpErrno` alone.
    Unset,
    /// The call returned a value that is neither success nor failure.
    Odd(i32),
}

impl Code {
    /// What `*lpErrno` holds before a call: no code of the SPI.
    pub(super) const UNTOUCHED: c_int = 0x5E77_1E55;

    /// The code in `*lpErrno` after a failure.
    pub(super) fn after(errno: c_int) -> Self {
        if errno == Self::UNTOUCHED { Self::Unset } else { Self::Number(errno) }
    }

    /// Whether it is this error.
    pub(crate) fn is(self, error: WsaError) -> bool {
        self == Self::from(error)
    }
}

impl From<WsaError> for Code {
    fn from(error: WsaError) -> Self {
        Self::Number(error.code())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => match WsaError::from_code(*number).and_then(WsaError::name) {
                Some(name) => f.write_str(name),
                None => write!(f, "{number}"),
            },
            Self::Unset => f.write_str("a failure without a code"),
            Self::Odd(value) => write!(f, "return value {value}"),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
