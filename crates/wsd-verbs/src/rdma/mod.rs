//! libibverbs and librdmacm behind safe types: each object is destroyed when its value is dropped.
//!
//! All calls are made under the engine's lock. Pointers of the libraries never leave this module.

mod cm;
mod device;
mod ffi;
mod inbox;
mod library;
mod pair;

use std::io;

pub(crate) use cm::{Channel, Event, EventKind, Identifier, Parameters};
pub(crate) use device::{Completion, Device, DeviceKey, Outcome};
pub(crate) use ffi::Sge;
pub(crate) use inbox::Inbox;
pub(crate) use pair::{Domain, Pair, Region, Rights, Work};

/// Of functions that return -1 and set errno.
fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Of functions that return an error number.
fn check_number(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}

/// Of functions that return NULL and set errno.
fn object<T>(pointer: *mut T) -> io::Result<*mut T> {
    if pointer.is_null() { Err(io::Error::last_os_error()) } else { Ok(pointer) }
}
