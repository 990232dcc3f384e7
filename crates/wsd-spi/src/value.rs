//! Small values that both sides of the SPI use.

use core::fmt;
use core::num::NonZeroUsize;
use core::ops::BitOr;

use crate::error::WsaError;
use crate::ffi::{
    CF_ACCEPT, CF_DEFER, CF_REJECT, FD_ACCEPT, FD_CONNECT, INVALID_SOCKET, MEM_READ, MEM_READWRITE,
    MEM_WRITE, WSAEVENT,
};

macro_rules! handles {
    ($( $(#[$meta:meta])* $name:ident; )*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
            #[repr(transparent)]
            pub struct $name(usize);

            impl $name {
                /// The handle with that value. Any value is safe: the owner of the handles checks it.
                pub const fn from_raw(raw: usize) -> Self {
                    Self(raw)
                }

                /// Its value.
                pub const fn raw(self) -> usize {
                    self.0
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, "{:#x}", self.0)
                }
            }
        )*
    };
}

handles! {
    /// Descriptor that the provider made: passed down by the switch, never up (SP-011).
    SanSocket;
    /// Handle that the switch made with `WPUCreateSocketHandle`: passed up by the provider, never down (SP-011).
    SwitchSocket;
    /// Event object of the switch; a provider may only set and reset it (see [`WSAEVENT`]).
    Event;
}

impl SanSocket {
    /// The value that is no socket.
    pub const INVALID: Self = Self(INVALID_SOCKET);
}

impl SwitchSocket {
    /// The value that is no socket.
    pub const INVALID: Self = Self(INVALID_SOCKET);
}

impl Event {
    /// The event behind a handle of the SPI; `None` for `WSA_INVALID_EVENT`.
    pub fn from_handle(handle: WSAEVENT) -> Option<Self> {
        (!handle.is_null()).then_some(Self(handle.addr()))
    }

    /// The handle as the SPI passes it.
    pub fn handle(self) -> WSAEVENT {
        core::ptr::without_provenance_mut(self.0)
    }
}

/// Handle of `WSPRegisterMemory`: made by the provider, never NULL, valid for one socket in one process (SP-111).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct RegistrationHandle(NonZeroUsize);

impl RegistrationHandle {
    /// The handle with that value; `None` for NULL.
    pub const fn from_raw(raw: usize) -> Option<Self> {
        match NonZeroUsize::new(raw) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }

    /// Its value.
    pub const fn raw(self) -> usize {
        self.0.get()
    }
}

impl fmt::Debug for RegistrationHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.raw())
    }
}

/// What registered memory is for: by the provider for `WSPRegisterMemory` (SP-110), by the peer for
/// `WSPRegisterRdmaMemory` (SP-121).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryAccess {
    /// Only read: source of a send or an RDMA write; the peer may read.
    Read,
    /// Only written: target of a receive or an RDMA read; the peer may write.
    Write,
    /// Both.
    ReadWrite,
}

impl MemoryAccess {
    /// `MEM_READ`, `MEM_WRITE` or `MEM_READWRITE`.
    pub const fn flags(self) -> u32 {
        match self {
            Self::Read => MEM_READ,
            Self::Write => MEM_WRITE,
            Self::ReadWrite => MEM_READWRITE,
        }
    }

    /// The access that flags stand for; `None` for anything else.
    pub const fn from_flags(flags: u32) -> Option<Self> {
        match flags {
            MEM_READ => Some(Self::Read),
            MEM_WRITE => Some(Self::Write),
            MEM_READWRITE => Some(Self::ReadWrite),
            _ => None,
        }
    }

    /// Whether reading is allowed.
    pub const fn reads(self) -> bool {
        !matches!(self, Self::Write)
    }

    /// Whether writing is allowed.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

/// A set of network events as `WSPEventSelect` takes it: `FD_ACCEPT` and `FD_CONNECT` in any combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct EventMask(i32);

impl EventMask {
    /// No event: stop notification (SP-058).
    pub const NONE: Self = Self(0);
    /// `FD_ACCEPT`.
    pub const ACCEPT: Self = Self(FD_ACCEPT);
    /// `FD_CONNECT`.
    pub const CONNECT: Self = Self(FD_CONNECT);

    /// The set with these bits; `None` if it has others than `FD_ACCEPT` and `FD_CONNECT`.
    pub const fn from_bits(bits: i32) -> Option<Self> {
        if bits & !(FD_ACCEPT | FD_CONNECT) == 0 { Some(Self(bits)) } else { None }
    }

    /// The bits as the SPI writes them.
    pub const fn bits(self) -> i32 {
        self.0
    }

    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for EventMask {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Record of network events that `WSPEnumNetworkEvents` takes and clears (SP-060): `None` where the event has not
/// occurred, else its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NetworkEvents {
    /// A connection request is queued; its result is always success.
    pub accept: Option<Result<(), WsaError>>,
    /// A connect has finished, with this result.
    pub connect: Option<Result<(), WsaError>>,
}

/// Answer of a condition function (SP-077..079).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Take the connection.
    Accept,
    /// Refuse it towards the peer.
    Reject,
    /// Leave it at the head of the queue; `WSPAccept` answers `WSATRY_AGAIN`.
    Defer,
}

impl Condition {
    /// `CF_ACCEPT`, `CF_REJECT` or `CF_DEFER`.
    pub const fn code(self) -> i32 {
        match self {
            Self::Accept => CF_ACCEPT,
            Self::Reject => CF_REJECT,
            Self::Defer => CF_DEFER,
        }
    }

    /// What a returned number means: any unknown value is a rejection (SP-079).
    pub const fn from_code(code: i32) -> Self {
        match code {
            CF_ACCEPT => Self::Accept,
            CF_DEFER => Self::Defer,
            _ => Self::Reject,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SP-079: any other answer is a rejection.
    #[test]
    fn answers_of_condition_functions() {
        for condition in [Condition::Accept, Condition::Reject, Condition::Defer] {
            assert_eq!(Condition::from_code(condition.code()), condition);
        }
        assert_eq!([-1, 3, 99].map(Condition::from_code), [Condition::Reject; 3]);
    }

    /// SP-110, SP-121: three values, no others.
    #[test]
    fn access_flags() {
        assert_eq!([0, 4, 5, u32::MAX].map(MemoryAccess::from_flags), [None; 4]);
        for flags in 1..=3 {
            assert_eq!(MemoryAccess::from_flags(flags).map(MemoryAccess::flags), Some(flags));
        }
    }
}
