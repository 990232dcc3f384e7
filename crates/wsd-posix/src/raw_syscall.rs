//! `syscall()`: programs and libraries that make system calls by number.

use std::ffi::{c_int, c_long, c_uint};
use std::ptr::{self, with_exposed_provenance as at, with_exposed_provenance_mut as at_mut};

use wsd_switch::front;

use crate::sys::{call, returned};
use crate::wait::{epoll, poll, select, time};
use crate::{data, descriptors, notice, process, sockets};

/// Declared with all the arguments that a system call can have: see the crate's rules on variadic functions.
///
/// # Safety
/// As the system call of this number.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let arguments = [a, b, c, d, e, f];
    // SAFETY: the program's own arguments.
    if let Some(result) = unsafe { handled(number, arguments) } {
        return result as c_long;
    }
    // SAFETY: the program's call, unchanged.
    returned(unsafe { call(number, arguments) }) as c_long
}

/// The result if the call is one that the switch must see.
///
/// # Safety
/// As the system call of this number.
unsafe fn handled(number: c_long, arguments: [usize; 6]) -> Option<isize> {
    // SAFETY: the caller's promise.
    unsafe {
        match number {
            libc::SYS_read
            | libc::SYS_write
            | libc::SYS_readv
            | libc::SYS_writev
            | libc::SYS_preadv2
            | libc::SYS_pwritev2
            | libc::SYS_recvfrom
            | libc::SYS_sendto
            | libc::SYS_sendfile
            | libc::SYS_shutdown
            | libc::SYS_setsockopt
            | libc::SYS_getsockopt
            | libc::SYS_getsockname
            | libc::SYS_getpeername
            | libc::SYS_ioctl => {
                front::find(arguments[0] as c_int).and_then(|_| on_socket(number, arguments))
            }
            libc::SYS_splice | libc::SYS_tee | libc::SYS_vmsplice | libc::SYS_copy_file_range => {
                inside_kernel(number, arguments)
            }
            libc::SYS_sendmsg | libc::SYS_recvmsg | libc::SYS_sendmmsg | libc::SYS_recvmmsg => {
                message(number, arguments)
            }
            libc::SYS_ppoll | libc::SYS_pselect6 | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => {
                waiting(number, arguments)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll | libc::SYS_select | libc::SYS_epoll_wait => waiting(number, arguments),
            _ => descriptor(number, arguments),
        }
    }
}

/// Calls on one tracked socket.
///
/// # Safety
/// As the system call of this number.
unsafe fn on_socket(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> Option<isize> {
    let fd = a as c_int;
    // SAFETY: the caller's promise.
    Some(unsafe {
        match number {
            libc::SYS_read => data::read(fd, at_mut(b), c),
            libc::SYS_write => data::write(fd, at(b), c),
            libc::SYS_readv => data::readv(fd, at(b), c as c_int),
            libc::SYS_writev => data::writev(fd, at(b), c as c_int),
            libc::SYS_preadv2 => data::preadv2(fd, at(b), c as c_int, d as i64, f as c_int),
            libc::SYS_pwritev2 => data::pwritev2(fd, at(b), c as c_int, d as i64, f as c_int),
            libc::SYS_recvfrom => data::recvfrom(fd, at_mut(b), c, d as c_int, at_mut(e), at_mut(f)),
            libc::SYS_sendto => data::sendto(fd, at(b), c, d as c_int, at(e), f as u32),
            libc::SYS_sendfile => data::sendfile64(fd, b as c_int, at_mut(c), d),
            libc::SYS_shutdown => sockets::shutdown(fd, b as c_int) as isize,
            libc::SYS_setsockopt => sockets::setsockopt(fd, b as c_int, c as c_int, at(d), e as u32) as isize,
            libc::SYS_getsockopt => {
                sockets::getsockopt(fd, b as c_int, c as c_int, at_mut(d), at_mut(e)) as isize
            }
            libc::SYS_getsockname => sockets::getsockname(fd, at_mut(b), at_mut(c)) as isize,
            libc::SYS_getpeername => sockets::getpeername(fd, at_mut(b), at_mut(c)) as isize,
            libc::SYS_ioctl => sockets::ioctl(fd, b as u64, c) as isize,
            _ => return None,
        }
    })
}

/// Calls that move bytes inside the kernel.
///
/// # Safety
/// As the system call of this number.
unsafe fn inside_kernel(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> Option<isize> {
    // SAFETY: the caller's promise.
    Some(unsafe {
        match number {
            libc::SYS_splice => data::splice(a as c_int, at_mut(b), c as c_int, at_mut(d), e, f as c_uint),
            libc::SYS_tee => data::tee(a as c_int, b as c_int, c, d as c_uint),
            libc::SYS_vmsplice => data::vmsplice(a as c_int, at(b), c, d as c_uint),
            _ => data::copy_file_range(a as c_int, at_mut(b), c as c_int, at_mut(d), e, f as c_uint),
        }
    })
}

/// Messages: on tracked sockets, and on others for the descriptors that they carry.
///
/// # Safety
/// As the system call of this number.
unsafe fn message(number: c_long, [a, b, c, d, e, _]: [usize; 6]) -> Option<isize> {
    let fd = a as c_int;
    // SAFETY: the caller's promise.
    Some(unsafe {
        match number {
            libc::SYS_sendmsg => data::sendmsg(fd, at(b), c as c_int),
            libc::SYS_recvmsg => data::recvmsg(fd, at_mut(b), c as c_int),
            libc::SYS_sendmmsg => data::sendmmsg(fd, at_mut(b), c as c_uint, d as c_int) as isize,
            _ => data::recvmmsg(fd, at_mut(b), c as c_uint, d as c_int, at_mut(e)) as isize,
        }
    })
}

/// Calls that wait, if the switch serves them.
///
/// # Safety
/// As the system call of this number.
unsafe fn waiting(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> Option<isize> {
    // SAFETY: the caller's promise. A signal mask of another size is the kernel's to refuse.
    let result = unsafe {
        match number {
            libc::SYS_ppoll if d == 0 || e == 8 => poll::ppoll_served(at_mut(a), b as u64, at(c), at(d)),
            libc::SYS_pselect6 => {
                // The last argument points at the mask's address and size.
                let mask: *const [usize; 2] = at(f);
                let [mask, size] = mask.as_ref().copied().unwrap_or([0, 8]);
                if mask != 0 && size != 8 {
                    return None;
                }
                select::pselect_served(a as c_int, at_mut(b), at_mut(c), at_mut(d), at(e), at(mask))
            }
            libc::SYS_epoll_pwait if e == 0 || f == 8 => {
                let timeout = time::of_milliseconds(d as c_int);
                epoll::served(a as c_int, at_mut(b), c as c_int, timeout, time::mask(at(e)))
            }
            libc::SYS_epoll_pwait2 if e == 0 || f == 8 => {
                epoll::pwait2_served(a as c_int, at_mut(b), c as c_int, at(d), at(e))
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => poll::served(at_mut(a), b as u64, time::of_milliseconds(c as c_int), None),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_select => select::select_served(a as c_int, at_mut(b), at_mut(c), at_mut(d), at_mut(e)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait => {
                epoll::served(a as c_int, at_mut(b), c as c_int, time::of_milliseconds(d as c_int), None)
            }
            _ => None,
        }
    };
    result.map(|result| result as isize)
}

/// Calls that make, copy and close descriptors, or replace the program.
///
/// # Safety
/// As the system call of this number.
unsafe fn descriptor(number: c_long, arguments: [usize; 6]) -> Option<isize> {
    let [a, b, c, d, e, _] = arguments;
    let fd = a as c_int;
    // SAFETY: the caller's promise.
    let result = unsafe {
        match number {
            libc::SYS_close => descriptors::close(fd),
            libc::SYS_close_range => descriptors::close_range(a as c_uint, b as c_uint, c as c_int),
            libc::SYS_dup => descriptors::dup(fd),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_dup2 => descriptors::dup2(fd, b as c_int),
            libc::SYS_dup3 => descriptors::dup3(fd, b as c_int, c as c_int),
            libc::SYS_fcntl => descriptors::raw_fcntl(fd, b as c_int, c),
            libc::SYS_socket => sockets::socket(fd, b as c_int, c as c_int),
            libc::SYS_socketpair => sockets::socketpair(fd, b as c_int, c as c_int, at_mut(d)),
            libc::SYS_accept => sockets::accept4(fd, at_mut(b), at_mut(c), 0),
            libc::SYS_accept4 => sockets::accept4(fd, at_mut(b), at_mut(c), d as c_int),
            libc::SYS_connect => sockets::connect(fd, at(b), c as u32),
            libc::SYS_listen => sockets::listen(fd, b as c_int),
            libc::SYS_epoll_ctl => epoll::epoll_ctl(fd, b as c_int, c as c_int, at_mut(d)),
            libc::SYS_execve => process::execve(at(a), at(b), at(c)),
            libc::SYS_execveat => process::execveat(fd, at(b), at(c), at(d), e as c_int),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open
            | libc::SYS_creat
            | libc::SYS_eventfd
            | libc::SYS_epoll_create
            | libc::SYS_signalfd
            | libc::SYS_inotify_init => made(number, arguments),
            libc::SYS_openat
            | libc::SYS_openat2
            | libc::SYS_eventfd2
            | libc::SYS_timerfd_create
            | libc::SYS_signalfd4
            | libc::SYS_inotify_init1
            | libc::SYS_memfd_create
            | libc::SYS_pidfd_open
            | libc::SYS_pidfd_getfd
            | libc::SYS_io_uring_setup
            | libc::SYS_epoll_create1 => made(number, arguments),
            libc::SYS_pipe2 => return Some(pipe(number, arguments)),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_pipe => return Some(pipe(number, arguments)),
            _ => return None,
        }
    };
    Some(result as isize)
}

/// # Safety
/// As the system call of this number, whose result is a new descriptor that is no tracked socket.
unsafe fn made(number: c_long, arguments: [usize; 6]) -> c_int {
    // SAFETY: the program's call, unchanged.
    notice::made(returned(unsafe { call(number, arguments) }) as c_int)
}

/// # Safety
/// As pipe(2).
unsafe fn pipe(number: c_long, arguments: [usize; 6]) -> isize {
    // SAFETY: the program's call, unchanged.
    let result = returned(unsafe { call(number, arguments) });
    let ends: *const [c_int; 2] = if result == 0 { at(arguments[0]) } else { ptr::null() };
    // SAFETY: null, or the kernel has just written two descriptors there.
    for &fd in unsafe { ends.as_ref() }.into_iter().flatten() {
        notice::reused(fd);
    }
    result
}
