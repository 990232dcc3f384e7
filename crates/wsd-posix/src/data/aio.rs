//! POSIX asynchronous I/O: threads of the C library read and write without our knowledge.

use std::ffi::{CStr, c_int};

use libc::{aiocb, sigevent};
use wsd_switch::reason::Reason;

use crate::real::Symbol;
use crate::{errno, notice};

type Start = unsafe extern "C-unwind" fn(*mut aiocb) -> c_int;
type StartList = unsafe extern "C-unwind" fn(c_int, *const *mut aiocb, c_int, *mut sigevent) -> c_int;

/// Takes the connection of a request to TCP.
///
/// # Safety
/// Null or a request of the program.
unsafe extern "C" fn prepare(request: *const aiocb) {
    if !request.is_null() {
        // A connection that had to be given up fails in the request itself.
        // SAFETY: not null, so a request.
        let _ = notice::leave(unsafe { (*request).aio_fildes }, Reason::KernelCall);
    }
}

/// # Safety
/// As aio_read(3).
unsafe fn start(next: &Symbol<Start>, name: &CStr, request: *mut aiocb) -> c_int {
    // SAFETY: the program's request.
    unsafe { prepare(request) };
    match next.force(name) {
        // SAFETY: the program's call, unchanged.
        Some(next) => unsafe { next(request) },
        None => missing(),
    }
}

/// # Safety
/// As lio_listio(3).
unsafe fn start_list(
    next: &Symbol<StartList>,
    name: &CStr,
    mode: c_int,
    list: *const *mut aiocb,
    count: c_int,
    event: *mut sigevent,
) -> c_int {
    for i in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the list has `count` entries.
        unsafe { prepare(*list.add(i)) };
    }
    match next.force(name) {
        // SAFETY: the program's call, unchanged.
        Some(next) => unsafe { next(mode, list, count, event) },
        None => missing(),
    }
}

fn missing() -> c_int {
    errno::set(rustix::io::Errno::NOSYS);
    -1
}

macro_rules! requests {
    ($($name:ident),*) => {
        $(
            /// # Safety
            /// As aio_read(3).
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name(request: *mut aiocb) -> c_int {
                static NEXT: Symbol<Start> = Symbol::new();
                let name = crate::real::name_of(concat!(stringify!($name), "\0"));
                // SAFETY: the program's call.
                unsafe { start(&NEXT, name, request) }
            }
        )*
    };
}

macro_rules! lists {
    ($($name:ident),*) => {
        $(
            /// # Safety
            /// As lio_listio(3).
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name(
                mode: c_int,
                list: *const *mut aiocb,
                count: c_int,
                event: *mut sigevent,
            ) -> c_int {
                static NEXT: Symbol<StartList> = Symbol::new();
                let name = crate::real::name_of(concat!(stringify!($name), "\0"));
                // SAFETY: the program's call.
                unsafe { start_list(&NEXT, name, mode, list, count, event) }
            }
        )*
    };
}

requests!(aio_read, aio_read64, aio_write, aio_write64);
lists!(lio_listio, lio_listio64);
