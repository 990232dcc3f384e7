//! The switch in front of Winsock: a library that is loaded into a program, and hooks the functions by which that uses sockets; or
//! that Winsock loads as a layered provider of its catalogue (docs/windows.md).
//!
//! A hook is a few lines around a safe function: it finds out whether the socket is tracked, and passes the call on if not.
#![cfg(windows)]

mod cancel;
mod children;
mod connect;
mod data;
mod events;
mod extensions;
mod files;
mod hook;
mod layer;
mod messages;
mod notice;
mod options;
mod original;
mod overlapped;
mod own_event;
mod ports;
mod result;
mod sockets;
mod staged;
mod start;
mod transmit;
mod turns;
mod wait;
mod waiters;
