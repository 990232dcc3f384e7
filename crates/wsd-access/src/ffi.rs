//! The interface as it is: what `include/wsdirect/access.h` says in C. `libwsdirect.so` exports `wsdirect_access`, which gives
//! a table of functions.

use core::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

/// Version of the table.
pub const VERSION: c_uint = 1;
/// Bytes of a window.
pub const WINDOW: usize = 256;
/// `rights`: the peer may read.
pub const READ: c_uint = 1;
/// `rights`: the peer may write.
pub const WRITE: c_uint = 2;
/// Name of the exported function, of type [`Lookup`].
pub const NAME: &core::ffi::CStr = c"wsdirect_access";

/// `wsdirect_access`: the table of that version, or null.
pub type Lookup = unsafe extern "C" fn(version: c_uint) -> *const Table;

/// The functions. Failures are given as negative values of `errno`; time-outs are in milliseconds, 0 does not wait, and less is
/// `EINVAL`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Table {
    /// [`VERSION`].
    pub version: c_uint,
    /// `wsdirect_ready`.
    pub ready: unsafe extern "C" fn(fd: c_int, timeout: c_int) -> c_int,
    /// `wsdirect_why`: writes a terminated text, cut to `size`; gives its whole length, as snprintf(3).
    pub why: unsafe extern "C" fn(fd: c_int, text: *mut c_char, size: usize) -> usize,
    /// `wsdirect_expose`: the exposure's number, greater than 0.
    pub expose: unsafe extern "C" fn(
        fd: c_int,
        memory: *mut c_void,
        length: usize,
        rights: c_uint,
        window: *mut [u8; WINDOW],
    ) -> i64,
    /// `wsdirect_withdraw`.
    pub withdraw: unsafe extern "C" fn(exposure: i64, timeout: c_int) -> c_int,
    /// `wsdirect_read`: the operation's number, greater than 0.
    pub read: unsafe extern "C" fn(
        fd: c_int,
        memory: *mut c_void,
        length: usize,
        window: *const [u8; WINDOW],
        offset: u64,
    ) -> i64,
    /// `wsdirect_write`: likewise.
    pub write: unsafe extern "C" fn(
        fd: c_int,
        memory: *const c_void,
        length: usize,
        window: *const [u8; WINDOW],
        offset: u64,
    ) -> i64,
    /// `wsdirect_wait`.
    pub wait: unsafe extern "C" fn(number: i64, timeout: c_int) -> c_int,
}

/// The table of the switch in this process; `None` if the program does not run under wsdirect, or under one without it.
pub fn table() -> Option<&'static Table> {
    static FOUND: OnceLock<Option<&'static Table>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        // SAFETY: a name that ends with 0; looking it up runs no code of anybody else's.
        let symbol = unsafe { libc::dlsym(libc::RTLD_DEFAULT, NAME.as_ptr()) };
        if symbol.is_null() {
            return None;
        }
        // SAFETY: only libwsdirect.so defines a function of this name, and with this type.
        let lookup = unsafe { core::mem::transmute::<*mut c_void, Lookup>(symbol) };
        // SAFETY: takes a number; gives null or a table that lives as long as the library, which is never unloaded.
        unsafe { lookup(VERSION).as_ref() }
    })
}
