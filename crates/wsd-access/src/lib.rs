//! One-sided access: a program lets its peer read and write a buffer over an ordinary connected TCP socket, without taking part
//! in the transfer. `docs/one-sided.md` is the page about it.
//!
//! Nothing is linked: the switch is looked for in the running process, where `wsdirect run` has preloaded it. Without it, or
//! while the connection is on TCP, everything answers with an error that says so.
//!
//! One end [`expose`]s a [`Memory`] and sends the [`Exposure::window`] to the other, which [`read`]s and [`write()`]s through it.
//! Both call [`ready`] first.
//!
//! Memory is moved in and comes back with the result, so that nothing can free it, or hold a reference to it, while the switch
//! or the peer uses it. What is dropped too early goes on in the background, and its memory is never freed unless it has come
//! back by then.
//!
//! All functions may be called by any thread, and wait at most for the time that they are given.

mod error;
pub mod ffi;
mod memory;
mod transfer;

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

pub use error::{ExposeError, ReadyError, TransferError, winsock};
pub use memory::{Exposure, Memory, Rights, expose};
pub use transfer::{Done, Operation, Refused, read, write};

use ffi::{Table, table};

/// Bytes of a window.
pub const WINDOW: usize = ffi::WINDOW;

/// What the peer needs to know of exposed memory, to be sent to it by whatever means.
pub type Window = [u8; WINDOW];

/// Waits until the connection can be accessed one-sidedly, at most for `timeout`. Both ends have to call it.
///
/// # Errors
/// [`ReadyError`]: the program does not run under wsdirect, or why the connection is on TCP.
pub fn ready(socket: &impl AsFd, timeout: Duration) -> Result<(), ReadyError> {
    let table = table().ok_or(ReadyError::NotRunning)?;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: takes numbers only.
    match unsafe { (table.ready)(fd, milliseconds(timeout)) } {
        0 => Ok(()),
        error => Err(ReadyError::of(-error, why_of(table, fd))),
    }
}

/// In words: that the connection can be accessed one-sidedly, or why not.
pub fn why(socket: &impl AsFd) -> String {
    match table() {
        Some(table) => why_of(table, socket.as_fd().as_raw_fd()),
        None => ReadyError::NotRunning.to_string(),
    }
}

fn why_of(table: &Table, fd: i32) -> String {
    let mut text = [0u8; 256];
    // SAFETY: the buffer has the given length.
    let length = unsafe { (table.why)(fd, text.as_mut_ptr().cast(), text.len()) };
    String::from_utf8_lossy(&text[..length.min(text.len() - 1)]).into_owned()
}

fn milliseconds(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}
