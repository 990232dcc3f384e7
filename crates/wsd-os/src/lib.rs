//! The operating-system layer of wsdirect.
//!
//! Everything that talks to the kernel is here, behind safe interfaces: futexes and locks that survive the death
//! of their owner, sealed shared memory, links between processes, readiness, facts about TCP sockets, netlink,
//! deferral of signal handlers.
//!
//! # Rules of this crate
//!
//! - **No libc call.** The library that uses this crate exports `read`, `write`, `close`, `poll` and so on to the
//!   program, so it must never call itself. System calls are made by rustix's `linux_raw` back end and by the few
//!   lines of assembler in `raw`. The one exception is [`thread::spawn_hidden`], which needs libc's threads.
//! - **No allocation** in the functions of the data path (send, receive, poll, futex, lock).
//! - **Usable at any time**: before `main`, in any thread, in a signal handler, after `fork`. Thread-local state is
//!   `const`-initialised and has no destructor.
//! - **Errors** are [`Errno`] values, as the system call gave them.
//!
//! On Windows there are those modules that are needed there, with the same interface (`windows`); there the library calls
//! the system as every other program does.

#[cfg(all(target_os = "linux", not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("wsd-os: write the system call instruction of this architecture in src/raw.rs");

pub mod atomic;
pub mod ring;

#[cfg(all(target_os = "linux", not(loom)))]
pub use rustix::io::Errno;

#[cfg(all(target_os = "linux", not(loom)))]
pub mod bell;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod clock;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod diag;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod doorbell;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod fd;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod file;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod futex;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod link;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod lock;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod memory;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod net;
#[cfg(all(target_os = "linux", not(loom)))]
mod netlink;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod poll;
#[cfg(all(target_os = "linux", not(loom)))]
mod prepare;
#[cfg(all(target_os = "linux", not(loom)))]
pub use prepare::prepare;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod process;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod random;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod raw;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod signal;
#[cfg(all(target_os = "linux", not(loom)))]
mod sockopt;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod tcp;
#[cfg(all(test, target_os = "linux", not(loom)))]
mod testing;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod thread;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod timer;

#[cfg(all(windows, not(loom)))]
mod windows;
#[cfg(all(windows, not(loom)))]
pub use windows::{
    Errno, bell, catalogue, clock, diag, doorbell, fd, file, futex, link, lock, memory, net, poll, process,
    processors, random, signal, tcp, thread, timer,
};
