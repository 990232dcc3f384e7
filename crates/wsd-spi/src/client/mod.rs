//! Calling a SAN provider, any provider, without unsafe code: what a switch and a conformance suite use.
//!
//! [`Provider`] is a provider that can be started: a shared library or a built-in [`Entry`](crate::provider::Entry).
//! [`Provider::startup`] gives a [`San`], from which [`Socket`]s are made. The provider's up-calls go to an
//! [`UpCallHandler`], every call and up-call can be watched by a [`Tracer`], and [`San::table`] has the raw functions
//! for those who want to pass bad arguments.
//!
//! Using a provider means trusting its code as one's own, as with any library: it runs in the same process and gets
//! pointers. What this module does guarantee is its own side of the interface: memory that the provider was given
//! stays valid for as long as section 14 of the SPI reference asks, whatever safe code does with sockets and
//! operations meanwhile.
//!
//! No lock of this module is held while a provider is called, since providers call up from inside calls (SP-018).

mod condition;
mod connection;
mod lent;
mod load;
mod memory;
mod operation;
mod options;
mod registration;
mod san;
mod shared;
mod slab;
mod socket;
mod startup;
mod table;
mod tracer;
mod transfer;
mod upcall_doors;
mod upcalls;

pub use lent::LentMemory;
pub use load::{LoadError, Provider};
pub use memory::{Buffer, ForeverMemory, MemoryExt, MemorySlice, StableMemory};
pub use operation::{Operation, Transfer, reap};
pub use registration::{RdmaRegistration, Registration, Segment};
pub use san::{San, SocketArguments};
pub use shared::SharedMemory;
pub use socket::Socket;
pub use startup::StartupError;
pub use table::{ExtensionTable, Table};
pub use tracer::Tracer;
pub use transfer::Remote;
pub use upcalls::{UpCallHandler, UpCallTable};
