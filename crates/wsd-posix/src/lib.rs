//! `libwsdirect.so`: the switch under an unmodified Linux program's libc calls.
//!
//! The library is preloaded. It defines the libc functions that make, use, copy and close sockets. Each definition is a
//! short wrapper: a descriptor that the switch does not track goes to the function that the program would have reached
//! without us; a tracked one goes to the switch.
//!
//! # Rules of this crate
//!
//! - **Transparent to cancellation.** glibc's `pthread_cancel` unwinds out of `read` and its like. The exported functions
//!   are therefore `extern "C-unwind"`, and nothing that needs dropping lives in them while they call the real function.
//! - **No panic reaches the program.** What calls the switch is `extern "C"`, out of which Rust lets nothing unwind: a
//!   panic in it ends the process with its message. Costs nothing where nothing panics.
//! - **No allocation, no lock** of ours, no `std::io`, `std::fs`, `std::net`.
//! - **Variadic functions** (`ioctl`, `fcntl`, `open`, `syscall`) are defined with the largest fixed list of arguments
//!   that they take. In the x86-64 and aarch64 Linux conventions integer arguments of a variadic call travel as in any
//!   other call; an argument that the caller did not give is read as garbage and passed on as such, as glibc does too.
//!   Those that take any number, or floating point (`execl`, `dprintf`), begin with a few instructions of assembler.

#![cfg(target_os = "linux")]
// The `extern "C"` functions here are barriers against unwinding, not an interface: both sides are this crate.
#![allow(improper_ctypes_definitions)]
// What is `pub` is exported to the program by its symbol, not by a path.
#![allow(unreachable_pub)]

mod access;
mod data;
mod descriptors;
mod errno;
mod notice;
mod process;
mod raw_syscall;
mod real;
mod slices;
mod sockets;
mod start;
mod sys;
mod wait;
