//! `libwsd_wsp.so`: sockets for programs that are written to the Windows Sockets SPI.
//!
//! The library exports [`WSPStartup`](door::WSPStartup), which fills all 30 entries of the table of functions. The
//! program plays the part of ws2_32.dll: it brings an up-call table of its own, and its event objects, window
//! messages and threads are whatever the functions in that table make of them. The library waits for nothing of the
//! program's, and the program waits with its own means: its events are set with `WPUSetEvent`, its messages are posted with
//! `WPUPostMessage`, completion routines are run by `WPUQueueApc`; or it waits inside blocking calls, `WSPSelect` and
//! `WSPGetOverlappedResult`.
//!
//! * [`door`]: the C functions. Arguments are checked here, once; everything behind is safe Rust.
//! * `socket`: the application socket, its operations and network events.
//! * `tcpip`: the kernel socket under it, which never blocks; the switch lets a SAN carry what goes through it.
//! * `engine`: the one thread that moves what no call waits for.
//!
//! Sockets of TCP are connected and accepted by a SAN first ([`wsd_switch::front`]), the others belong to TCP/IP for good. A child of
//! `fork` has none of its parent's sockets, and no call but those of its own `WSPStartup` after `exec`.
//!
//! Descriptors are not handles of the operating system: they come from `WPUCreateSocketHandle`, and the catalogue entry of
//! this library does not have `XP1_IFS_HANDLES`.

pub mod door;

mod blocking;
mod catalog;
mod convert;
mod engine;
mod events;
mod extension;
mod handover;
mod ioctl;
mod operation;
mod options;
mod outcome;
mod place;
mod process;
mod select;
mod socket;
mod switch;
mod tcpip;
mod upcalls;
