//! Calls that make descriptors of other kinds, and that close descriptors.

use std::ffi::{c_char, c_int, c_uint};

use libc::{AT_FDCWD, O_CREAT, O_TRUNC, O_WRONLY, pid_t, sigset_t};
use rustix::io::Errno;
use wsd_os::fd::{is_hidden, while_unchanged};

use crate::sys::{next, raw};
use crate::{errno, notice};

/// `close_range` only marks the descriptors.
const CLOSE_RANGE_CLOEXEC: c_int = 4;
const CLOSE_RANGE_KNOWN: c_int = 2 | CLOSE_RANGE_CLOEXEC;
/// No descriptor of our own has a higher number.
const HIGHEST_PRIVATE: c_uint = 8191;

/// # Safety
/// As close(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn close(fd: c_int) -> c_int {
    if is_hidden(fd) {
        // A program that closes everything, also what it does not know.
        return errno::returned_int(Err(Errno::BADF));
    }
    notice::closing(fd);
    // SAFETY: the program's call, unchanged.
    unsafe { next!(close(fd) or SYS_close(fd)) }
}

/// # Safety
/// As close(2); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __close(fd: c_int) -> c_int {
    // SAFETY: the program's call.
    unsafe { close(fd) }
}

/// # Safety
/// As close_range(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    if first > last || flags & !CLOSE_RANGE_KNOWN != 0 || flags & CLOSE_RANGE_CLOEXEC != 0 {
        // SAFETY: the program's call, unchanged: it is refused, or closes nothing.
        return unsafe { next!(close_range(first, last, flags) or SYS_close_range(first, last, flags)) };
    }
    notice::closing_range(first, last);
    // SAFETY: the program's call.
    while_unchanged(|| unsafe { close_all_but_hidden(first, last, flags) })
}

/// # Safety
/// As close_range(2).
unsafe fn close_all_but_hidden(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    let mut begin = first;
    for fd in private_in(first, last) {
        if begin < fd {
            // SAFETY: a part of the program's call.
            let result =
                unsafe { next!(close_range(begin, fd - 1, flags) or SYS_close_range(begin, fd - 1, flags)) };
            if result != 0 {
                return result;
            }
        }
        begin = fd + 1;
    }
    if begin > last {
        return 0;
    }
    // SAFETY: the rest of the program's call.
    unsafe { next!(close_range(begin, last, flags) or SYS_close_range(begin, last, flags)) }
}

/// Our own descriptors among these.
fn private_in(first: c_uint, last: c_uint) -> impl Iterator<Item = c_uint> {
    (first..=last.min(HIGHEST_PRIVATE)).filter(|&fd| is_hidden(fd as c_int))
}

/// # Safety
/// As closefrom(3).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn closefrom(first: c_int) {
    let begin = first.max(0) as c_uint;
    // SAFETY: what closefrom does.
    if unsafe { close_range(begin, c_uint::MAX, 0) } == 0 {
        return;
    }
    // Kernels before 5.9 cannot: the C library knows another way.
    if let Some(next) = crate::real::NEXT.closefrom.get() {
        // SAFETY: the program's call, unchanged.
        unsafe { next(first) }
    }
}

/// Defines functions whose result, a descriptor, cannot be a tracked socket.
macro_rules! makes_descriptor {
    ($($name:ident($($argument:ident: $type:ty),*) or $number:ident($($raw:expr),*);)*) => {
        $(
            /// # Safety
            /// As the system call of this name. An argument that the program may leave out is declared here: see the
            /// crate's rules on variadic functions.
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name($($argument: $type),*) -> c_int {
                // SAFETY: the program's call, unchanged.
                notice::made(unsafe { next!($name($($argument),*) or $number($($raw),*)) })
            }
        )*
    };
}

type Path = *const c_char;

makes_descriptor! {
    open(path: Path, flags: c_int, mode: c_uint) or SYS_openat(AT_FDCWD, path, flags, mode);
    open64(path: Path, flags: c_int, mode: c_uint) or SYS_openat(AT_FDCWD, path, flags, mode);
    openat(folder: c_int, path: Path, flags: c_int, mode: c_uint) or SYS_openat(folder, path, flags, mode);
    openat64(folder: c_int, path: Path, flags: c_int, mode: c_uint) or SYS_openat(folder, path, flags, mode);
    __open_2(path: Path, flags: c_int) or SYS_openat(AT_FDCWD, path, flags);
    __open64_2(path: Path, flags: c_int) or SYS_openat(AT_FDCWD, path, flags);
    __openat_2(folder: c_int, path: Path, flags: c_int) or SYS_openat(folder, path, flags);
    __openat64_2(folder: c_int, path: Path, flags: c_int) or SYS_openat(folder, path, flags);
    creat(path: Path, mode: c_uint) or SYS_openat(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
    creat64(path: Path, mode: c_uint) or SYS_openat(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
    eventfd(value: c_uint, flags: c_int) or SYS_eventfd2(value, flags);
    timerfd_create(clock: c_int, flags: c_int) or SYS_timerfd_create(clock, flags);
    signalfd(fd: c_int, mask: *const sigset_t, flags: c_int) or SYS_signalfd4(fd, mask, 8, flags);
    inotify_init() or SYS_inotify_init1(0);
    inotify_init1(flags: c_int) or SYS_inotify_init1(flags);
    memfd_create(name: Path, flags: c_uint) or SYS_memfd_create(name, flags);
    pidfd_open(process: pid_t, flags: c_uint) or SYS_pidfd_open(process, flags);
    pidfd_getfd(process: c_int, fd: c_int, flags: c_uint) or SYS_pidfd_getfd(process, fd, flags);
    epoll_create(size: c_int) or SYS_epoll_create1((if size > 0 { 0 } else { -1 }));
    epoll_create1(flags: c_int) or SYS_epoll_create1(flags);
}

macro_rules! other_name {
    ($($name:ident($($argument:ident: $type:ty),*) = $same:ident;)*) => {
        $(
            /// # Safety
            /// The C library's own name for a function above.
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name($($argument: $type),*) -> c_int {
                // SAFETY: the program's call.
                unsafe { $same($($argument),*) }
            }
        )*
    };
}

other_name! {
    __open(path: Path, flags: c_int, mode: c_uint) = open;
    __open64(path: Path, flags: c_int, mode: c_uint) = open64;
    __pipe(ends: *mut c_int) = pipe;
}

/// # Safety
/// As pipe(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn pipe(ends: *mut c_int) -> c_int {
    // SAFETY: the program's call, unchanged.
    let result = unsafe { next!(pipe(ends) or SYS_pipe2(ends, 0)) };
    // SAFETY: as the kernel left them.
    unsafe { both_made(result, ends) }
}

/// # Safety
/// As pipe2(2).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn pipe2(ends: *mut c_int, flags: c_int) -> c_int {
    // SAFETY: the program's call, unchanged.
    let result = unsafe { next!(pipe2(ends, flags) or SYS_pipe2(ends, flags)) };
    // SAFETY: as the kernel left them.
    unsafe { both_made(result, ends) }
}

/// # Safety
/// If `result` is 0, `ends` must point at two descriptors.
unsafe fn both_made(result: c_int, ends: *const c_int) -> c_int {
    if result == 0 {
        for i in 0..2 {
            // SAFETY: the caller's promise.
            notice::reused(unsafe { ends.add(i).read() });
        }
    }
    result
}
