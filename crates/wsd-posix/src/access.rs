//! One-sided access for programs that know wsdirect (`include/wsdirect/access.h`): one exported function, which gives a table.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rustix::io::Errno;
use wsd_access::ffi::{Table, VERSION, WINDOW};
use wsd_switch::access::{self, Direction, Lent, Share};

static TABLE: Table = Table { version: VERSION, ready, why, expose, withdraw, read, write, wait };

/// The functions for one-sided access in that version of the interface, or null.
#[unsafe(no_mangle)]
pub extern "C" fn wsdirect_access(version: c_uint) -> *const Table {
    if version == VERSION { &raw const TABLE } else { ptr::null() }
}

/// # Safety
/// None: takes numbers only.
unsafe extern "C" fn ready(fd: c_int, timeout: c_int) -> c_int {
    let ready = |timeout| {
        let socket = access::find(fd).map_err(|error| error.errno())?;
        access::ready(socket, timeout).map_err(|error| error.errno())
    };
    status(time(timeout).and_then(ready))
}

/// # Safety
/// `text` has room for `size` bytes, or `size` is 0.
unsafe extern "C" fn why(fd: c_int, text: *mut c_char, size: usize) -> usize {
    let words = access::find(fd).map_or_else(|error| error.to_string(), access::why);
    if let Some(room) = size.checked_sub(1) {
        let length = words.len().min(room);
        // SAFETY: `length` bytes and the 0 have room, by the caller's promise.
        unsafe {
            ptr::copy_nonoverlapping(words.as_ptr(), text.cast(), length);
            text.add(length).write(0);
        }
    }
    words.len()
}

/// # Safety
/// `memory` is valid for reads and writes of `length` bytes until the exposure has ended, as `wsdirect_withdraw` or
/// `wsdirect_wait` tells. `window` is valid for writes.
unsafe extern "C" fn expose(
    fd: c_int,
    memory: *mut c_void,
    length: usize,
    rights: c_uint,
    window: *mut [u8; WINDOW],
) -> i64 {
    let expose = || {
        // SAFETY: the program's promise.
        let lent = unsafe { lend(memory, length) }?;
        let rights = u8::try_from(rights).unwrap_or(0);
        let socket = access::find(fd).map_err(|error| error.errno())?;
        let (number, bytes) = access::expose(socket, lent, rights).map_err(|error| error.errno())?;
        // SAFETY: as above.
        unsafe { window.write(bytes) };
        Ok(number)
    };
    number(if window.is_null() { Err(Errno::FAULT) } else { expose() })
}

/// # Safety
/// None: takes numbers only.
unsafe extern "C" fn withdraw(exposure: i64, timeout: c_int) -> c_int {
    let withdraw =
        |timeout| access::withdraw(exposure.cast_unsigned(), timeout).map_err(|error| error.errno());
    status(time(timeout).and_then(withdraw))
}

/// # Safety
/// `memory` is valid for writes of `length` bytes until the operation has ended, as `wsdirect_wait` tells. `window` is valid for
/// reads.
unsafe extern "C" fn read(
    fd: c_int,
    memory: *mut c_void,
    length: usize,
    window: *const [u8; WINDOW],
    offset: u64,
) -> i64 {
    // SAFETY: the program's promise.
    number(unsafe { transfer(fd, Direction::Read, memory, length, window, offset) })
}

/// # Safety
/// `memory` is valid for reads of `length` bytes until the operation has ended, as `wsdirect_wait` tells. `window` is valid for
/// reads.
unsafe extern "C" fn write(
    fd: c_int,
    memory: *const c_void,
    length: usize,
    window: *const [u8; WINDOW],
    offset: u64,
) -> i64 {
    // SAFETY: the program's promise; the source of a write is only read.
    number(unsafe { transfer(fd, Direction::Write, memory.cast_mut(), length, window, offset) })
}

/// # Safety
/// None: takes numbers only.
unsafe extern "C" fn wait(number: i64, timeout: c_int) -> c_int {
    let wait = |timeout| access::wait(number.cast_unsigned(), timeout).map_err(|error| error.errno());
    status(time(timeout).and_then(wait))
}

/// # Safety
/// As [`read`] and [`write`].
unsafe fn transfer(
    fd: c_int,
    direction: Direction,
    memory: *mut c_void,
    length: usize,
    window: *const [u8; WINDOW],
    offset: u64,
) -> Result<u64, Errno> {
    // SAFETY: null, or valid by the caller's promise.
    let window = unsafe { window.as_ref() }.ok_or(Errno::FAULT)?;
    // SAFETY: the caller's promise.
    let lent = unsafe { lend(memory, length) }?;
    let socket = access::find(fd).map_err(|error| error.errno())?;
    access::transfer(socket, direction, lent, window, offset).map_err(|error| error.errno())
}

/// # Safety
/// The memory is valid until the loan is over; for reading only if nothing but a write's source is made of it.
unsafe fn lend(memory: *mut c_void, length: usize) -> Result<Lent, Errno> {
    let start = NonNull::new(memory.cast::<u8>()).ok_or(Errno::FAULT)?;
    // SAFETY: the caller's promise; the bytes are the program's, of which Rust has no references here.
    Ok(unsafe { Lent::new(start, length, Share::new()) })
}

fn time(milliseconds: c_int) -> Result<Duration, Errno> {
    u64::try_from(milliseconds).map(Duration::from_millis).map_err(|_| Errno::INVAL)
}

fn status(result: Result<(), Errno>) -> c_int {
    result.map_or_else(|error| -error.raw_os_error(), |()| 0)
}

fn number(result: Result<u64, Errno>) -> i64 {
    result.map_or_else(|error| -i64::from(error.raw_os_error()), u64::cast_signed)
}
