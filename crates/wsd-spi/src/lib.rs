//! The provider interface of Windows Sockets Direct: between the switch and any SAN provider, ours or not.
//!
//! * [`ffi`] and [`extension`]: the interface as a C program sees it.
//! * [`provider`]: write a SAN provider as an implementation of the safe trait [`provider::SanProvider`].
//! * [`client`]: call any provider, a shared library or a built-in one, without unsafe code.
//! * The rest: values that both sides use, such as [`WsaError`] and [`SockAddr`].
//!
//! References such as `SP-085` and `SW-022` are to the project's requirements on providers and on the switch;
//! "section" means a section of the SPI reference.

pub mod client;
pub mod extension;
pub mod ffi;
pub mod provider;

mod address;
mod error;
mod value;

pub use address::{AddressError, SOCKADDR_IN_LEN, SOCKADDR_IN6_LEN, SockAddr};
pub use error::WsaError;
pub use extension::ExtensionFunction;
pub use value::{
    Condition, Event, EventMask, MemoryAccess, NetworkEvents, RegistrationHandle, SanSocket, SwitchSocket,
};

/// Version of the SPI that is spoken here: 2.2, major in the low byte (SP-031).
pub const SPI_VERSION: u16 = 0x0202;
