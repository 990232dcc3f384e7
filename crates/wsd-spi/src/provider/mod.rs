//! Writing a SAN provider in safe Rust.
//!
//! Implement [`SanProvider`]; then [`san_provider!`](crate::san_provider) makes an [`Entry`] of the type, for a
//! provider that is linked into the switch, and [`export_san_provider!`](crate::export_san_provider) also exports
//! the C symbol `WSPStartupEx`, for one that is a shared library.
//!
//! Between the C interface and the trait stand the *doors*, one C function per entry of the interface. A door
//! checks what the caller passed (pointers for NULL, lengths, flags), captures it in owned values, calls the trait,
//! and writes the result where the interface wants it. A panic does not leave a door: the call fails with
//! `WSASYSCALLFAILURE`. Doors also count start-ups (SP-030), fill the table of functions (SP-001, SP-002), and
//! refuse calls with `WSANOTINITIALISED` outside of start-up and clean-up, and with `WSAENOTSOCK` for
//! `INVALID_SOCKET` (SP-013).

mod conditions;
mod door;
mod entry;
#[cfg(not(windows))]
mod events;
#[cfg(windows)]
#[path = "events_windows.rs"]
mod events;
mod memory;
mod overlapped;
mod request;
mod traits;
mod trampoline;
mod upcalls;

pub use conditions::ConditionFunction;
pub use door::{Door, Instance};
pub use entry::{Entry, startup_ex};
pub use memory::{MemoryRange, UserBuffer, UserBuffers};
pub(crate) use overlapped::internal;
pub use overlapped::{Overlapped, Submission};
pub use request::{Accepted, ConnectExtras, Mapping, Qos, RemoteBuffer, SocketRequest, Startup};
pub use traits::{MAX_DESCRIPTOR_LEN, SanProvider};
pub use upcalls::UpCalls;
