//! Calls that replace or start a program: connections that survive into it go back to TCP first.

use std::arch::naked_asm;
use std::ffi::{c_char, c_int};

use libc::{FILE, pid_t, posix_spawn_file_actions_t, posix_spawnattr_t};
use rustix::io::Errno;
use wsd_switch::reason::Reason;

use crate::real::{NEXT, name_of};
use crate::sys::{next, raw};
use crate::{errno, notice};

type Path = *const c_char;
type Array = *const *const c_char;
type Actions = *const posix_spawn_file_actions_t;
type Attributes = *const posix_spawnattr_t;

/// Defines functions that only return when they fail.
macro_rules! replaces_program {
    ($($name:ident($($argument:ident: $type:ty),*) $(or $number:ident($($raw:expr),*))?;)*) => {
        $(
            /// # Safety
            /// As exec(3).
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name($($argument: $type),*) -> c_int {
                notice::before_exec();
                notice::ending();
                let result = replaces_program!(@call $name($($argument),*) $($number($($raw),*))?);
                notice::exec_failed();
                result
            }
        )*
    };
    (@call $name:ident($($argument:ident),*) $number:ident($($raw:expr),*)) => {
        // SAFETY: the program's call, unchanged.
        unsafe { next!($name($($argument),*) or $number($($raw),*)) }
    };
    (@call $name:ident($($argument:ident),*)) => {
        match NEXT.$name.force(name_of(concat!(stringify!($name), "\0"))) {
            // SAFETY: the program's call, unchanged.
            Some(next) => unsafe { next($($argument),*) },
            None => errno::returned_int(Err(Errno::NOSYS)),
        }
    };
}

replaces_program! {
    execve(path: Path, arguments: Array, environment: Array) or SYS_execve(path, arguments, environment);
    execveat(folder: c_int, path: Path, arguments: Array, environment: Array, flags: c_int)
        or SYS_execveat(folder, path, arguments, environment, flags);
    execv(path: Path, arguments: Array);
    execvp(file: Path, arguments: Array);
    execvpe(file: Path, arguments: Array, environment: Array);
    fexecve(fd: c_int, arguments: Array, environment: Array);
}

/// # Safety
/// As execl(3), with the arguments as an array.
unsafe extern "C" fn execl_array(path: Path, arguments: Array) -> c_int {
    // SAFETY: the same call.
    unsafe { execv(path, arguments) }
}

/// # Safety
/// As execlp(3), with the arguments as an array.
unsafe extern "C" fn execlp_array(file: Path, arguments: Array) -> c_int {
    // SAFETY: the same call.
    unsafe { execvp(file, arguments) }
}

/// # Safety
/// As execle(3), with the arguments as an array; the environment follows its null.
unsafe extern "C" fn execle_array(path: Path, arguments: Array) -> c_int {
    // SAFETY: the arguments end with a null, and one more follows.
    unsafe {
        let mut end = arguments;
        while !(*end).is_null() {
            end = end.add(1);
        }
        execve(path, arguments, (*end.add(1)).cast())
    }
}

/// Calls `{list}` with the first argument and the address of an array of the others: those in registers are laid in front of
/// those on the stack. (On x86-64 the return address stands between the two and is moved for that time.)
macro_rules! with_array {
    ($list:ident) => {
        #[cfg(target_arch = "x86_64")]
        naked_asm!(
            "pop r11",
            "push r9",
            "push r8",
            "push rcx",
            "push rdx",
            "push rsi",
            "mov rsi, rsp",
            "push r11",
            "call {list}",
            "pop r11",
            "add rsp, 40",
            "push r11",
            "ret",
            list = sym $list,
        );
        #[cfg(target_arch = "aarch64")]
        naked_asm!(
            "sub sp, sp, #64",
            "stp x30, x1, [sp]",
            "stp x2, x3, [sp, #16]",
            "stp x4, x5, [sp, #32]",
            "stp x6, x7, [sp, #48]",
            "add x1, sp, #8",
            "bl {list}",
            "ldr x30, [sp]",
            "add sp, sp, #64",
            "ret",
            list = sym $list,
        );
    };
}

/// # Safety
/// As execl(3), with its arguments.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn execl() {
    with_array!(execl_array);
}

/// # Safety
/// As execlp(3), with its arguments.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn execlp() {
    with_array!(execlp_array);
}

/// # Safety
/// As execle(3), with its arguments.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn execle() {
    with_array!(execle_array);
}

/// Defines functions that start another process with a program.
macro_rules! starts_program {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty, $missing:expr;)*) => {
        $(
            /// # Safety
            /// As posix_spawn(3), system(3), popen(3).
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name($($argument: $type),*) -> $result {
                notice::before_exec();
                match NEXT.$name.force(name_of(concat!(stringify!($name), "\0"))) {
                    // SAFETY: the program's call, unchanged.
                    Some(next) => unsafe { next($($argument),*) },
                    None => $missing,
                }
            }
        )*
    };
}

starts_program! {
    posix_spawn(
        child: *mut pid_t, path: Path, actions: Actions, attributes: Attributes, arguments: Array, environment: Array
    ) -> c_int, libc::ENOSYS;
    posix_spawnp(
        child: *mut pid_t, path: Path, actions: Actions, attributes: Attributes, arguments: Array, environment: Array
    ) -> c_int, libc::ENOSYS;
    system(command: Path) -> c_int, errno::returned_int(Err(Errno::NOSYS));
    popen(command: Path, mode: Path) -> *mut FILE, std::ptr::null_mut();
}

/// A descriptor that a child is to get under another number survives into its program even if it is marked close-on-exec.
///
/// # Safety
/// As posix_spawn_file_actions_adddup2(3).
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn posix_spawn_file_actions_adddup2(
    actions: *mut posix_spawn_file_actions_t,
    fd: c_int,
    new: c_int,
) -> c_int {
    // A connection that had to be given up: the child learns it.
    let _ = notice::leave(fd, Reason::Exec);
    match NEXT.posix_spawn_file_actions_adddup2.force(c"posix_spawn_file_actions_adddup2") {
        // SAFETY: the program's call, unchanged.
        Some(next) => unsafe { next(actions, fd, new) },
        None => libc::ENOSYS,
    }
}
