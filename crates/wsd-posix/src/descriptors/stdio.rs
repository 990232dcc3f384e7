//! The C library's streams: they read, write and close without asking us.

use std::arch::naked_asm;
use std::ffi::{c_char, c_int, c_void};

use libc::FILE;
use rustix::io::Errno;
use wsd_switch::reason::Reason;

use crate::real::NEXT;
use crate::{errno, notice};

type Path = *const c_char;

/// The stream will use `fd` by itself from now on.
extern "C" fn streams(fd: c_int) {
    // A connection that had to be given up: the stream learns it.
    let _ = notice::leave(fd, Reason::Stdio);
}

/// The descriptor of a stream, -1 if it has none. Leaves `errno` alone.
///
/// # Safety
/// Null or an open stream.
unsafe fn descriptor(stream: *mut FILE) -> c_int {
    if stream.is_null() {
        return -1;
    }
    let before = errno::number();
    // SAFETY: an open stream by the contract.
    let fd = unsafe { libc::fileno(stream) };
    errno::restore(before);
    fd
}

fn missing<T>() -> *mut T {
    errno::set(Errno::NOSYS);
    std::ptr::null_mut()
}

/// # Safety
/// As fdopen(3).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn fdopen(fd: c_int, mode: Path) -> *mut FILE {
    streams(fd);
    match NEXT.fdopen.force(c"fdopen") {
        // SAFETY: the program's call, unchanged.
        Some(next) => unsafe { next(fd, mode) },
        None => missing(),
    }
}

/// # Safety
/// As fdopen(3); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn _IO_fdopen(fd: c_int, mode: Path) -> *mut FILE {
    // SAFETY: the program's call.
    unsafe { fdopen(fd, mode) }
}

/// # Safety
/// As fclose(3).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn fclose(stream: *mut FILE) -> c_int {
    // SAFETY: the program's stream.
    let fd = unsafe { descriptor(stream) };
    if fd >= 0 {
        notice::closing(fd);
    }
    match NEXT.fclose.force(c"fclose") {
        // SAFETY: the program's call, unchanged.
        Some(next) => unsafe { next(stream) },
        None => libc::EOF,
    }
}

/// # Safety
/// As fclose(3); the C library's own name for it.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn _IO_fclose(stream: *mut FILE) -> c_int {
    // SAFETY: the program's call.
    unsafe { fclose(stream) }
}

/// Defines functions that open a file as a stream.
macro_rules! opens {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            /// # Safety
            /// As fopen(3), popen(3).
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name($($argument: $type),*) -> *mut FILE {
                let name = crate::real::name_of(concat!(stringify!($name), "\0"));
                let stream = match NEXT.$name.force(name) {
                    // SAFETY: the program's call, unchanged.
                    Some(next) => unsafe { next($($argument),*) },
                    None => missing(),
                };
                // SAFETY: null or just opened.
                notice::made(unsafe { descriptor(stream) });
                stream
            }
        )*
    };
}

opens! {
    fopen(path: Path, mode: Path);
    fopen64(path: Path, mode: Path);
}

/// Defines functions that open another file in a stream.
macro_rules! reopens {
    ($($name:ident),*) => {
        $(
            /// # Safety
            /// As freopen(3).
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name(path: Path, mode: Path, stream: *mut FILE) -> *mut FILE {
                // SAFETY: the program's stream.
                let fd = unsafe { descriptor(stream) };
                if fd >= 0 {
                    notice::closing(fd);
                }
                let name = crate::real::name_of(concat!(stringify!($name), "\0"));
                let result = match NEXT.$name.force(name) {
                    // SAFETY: the program's call, unchanged.
                    Some(next) => unsafe { next(path, mode, stream) },
                    None => missing(),
                };
                // SAFETY: null or open.
                notice::made(unsafe { descriptor(result) });
                result
            }
        )*
    };
}

reopens!(freopen, freopen64);

/// # Safety
/// As vdprintf(3). A `va_list` travels as a pointer: it is an array on x86-64, and a structure that the aarch64
/// convention passes by reference.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn vdprintf(fd: c_int, format: Path, arguments: *mut c_void) -> c_int {
    streams(fd);
    match NEXT.vdprintf.force(c"vdprintf") {
        // SAFETY: the program's call, unchanged.
        Some(next) => unsafe { next(fd, format, arguments) },
        None => -1,
    }
}

/// # Safety
/// As vdprintf(3).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __vdprintf_chk(
    fd: c_int,
    level: c_int,
    format: Path,
    arguments: *mut c_void,
) -> c_int {
    streams(fd);
    match NEXT.__vdprintf_chk.force(c"__vdprintf_chk") {
        // SAFETY: the program's call, unchanged.
        Some(next) => unsafe { next(fd, level, format, arguments) },
        None => -1,
    }
}

/// Prepares a `dprintf` and returns the address of the real one.
extern "C" fn prepare_dprintf(fd: c_int) -> usize {
    streams(fd);
    NEXT.dprintf.force(c"dprintf").map_or(refuse as *const () as usize, |next| next as usize)
}

extern "C" fn prepare_dprintf_chk(fd: c_int) -> usize {
    streams(fd);
    NEXT.__dprintf_chk.force(c"__dprintf_chk").map_or(refuse as *const () as usize, |next| next as usize)
}

extern "C" fn refuse() -> c_int {
    -1
}

/// Calls `{prepare}` with the first argument, then jumps to the address that it returned with all registers that can carry
/// arguments, and the stack, as they were: so the real function gets its variable arguments.
macro_rules! then_jump {
    ($prepare:ident) => {
        #[cfg(target_arch = "x86_64")]
        naked_asm!(
            "push rbp",
            "mov rbp, rsp",
            "sub rsp, 192",
            "mov [rsp], rdi",
            "mov [rsp + 8], rsi",
            "mov [rsp + 16], rdx",
            "mov [rsp + 24], rcx",
            "mov [rsp + 32], r8",
            "mov [rsp + 40], r9",
            "mov [rsp + 48], rax",
            "movaps [rsp + 64], xmm0",
            "movaps [rsp + 80], xmm1",
            "movaps [rsp + 96], xmm2",
            "movaps [rsp + 112], xmm3",
            "movaps [rsp + 128], xmm4",
            "movaps [rsp + 144], xmm5",
            "movaps [rsp + 160], xmm6",
            "movaps [rsp + 176], xmm7",
            "call {prepare}",
            "mov r11, rax",
            "mov rdi, [rsp]",
            "mov rsi, [rsp + 8]",
            "mov rdx, [rsp + 16]",
            "mov rcx, [rsp + 24]",
            "mov r8, [rsp + 32]",
            "mov r9, [rsp + 40]",
            "mov rax, [rsp + 48]",
            "movaps xmm0, [rsp + 64]",
            "movaps xmm1, [rsp + 80]",
            "movaps xmm2, [rsp + 96]",
            "movaps xmm3, [rsp + 112]",
            "movaps xmm4, [rsp + 128]",
            "movaps xmm5, [rsp + 144]",
            "movaps xmm6, [rsp + 160]",
            "movaps xmm7, [rsp + 176]",
            "leave",
            "jmp r11",
            prepare = sym $prepare,
        );
        #[cfg(target_arch = "aarch64")]
        naked_asm!(
            "stp x29, x30, [sp, #-16]!",
            "mov x29, sp",
            "sub sp, sp, #208",
            "stp x0, x1, [sp]",
            "stp x2, x3, [sp, #16]",
            "stp x4, x5, [sp, #32]",
            "stp x6, x7, [sp, #48]",
            "str x8, [sp, #64]",
            "stp q0, q1, [sp, #80]",
            "stp q2, q3, [sp, #112]",
            "stp q4, q5, [sp, #144]",
            "stp q6, q7, [sp, #176]",
            "bl {prepare}",
            "mov x16, x0",
            "ldp x0, x1, [sp]",
            "ldp x2, x3, [sp, #16]",
            "ldp x4, x5, [sp, #32]",
            "ldp x6, x7, [sp, #48]",
            "ldr x8, [sp, #64]",
            "ldp q0, q1, [sp, #80]",
            "ldp q2, q3, [sp, #112]",
            "ldp q4, q5, [sp, #144]",
            "ldp q6, q7, [sp, #176]",
            "mov sp, x29",
            "ldp x29, x30, [sp], #16",
            "br x16",
            prepare = sym $prepare,
        );
    };
}

/// # Safety
/// As dprintf(3), with its arguments.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn dprintf() {
    then_jump!(prepare_dprintf);
}

/// # Safety
/// As dprintf(3), with a level of checking before the format.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __dprintf_chk() {
    then_jump!(prepare_dprintf_chk);
}
