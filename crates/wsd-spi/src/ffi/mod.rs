//! The SPI exactly as a C program sees it: names, widths, layouts and calling convention (section 0.2, 1-4 of the
//! SPI reference).
//!
//! Names are spelled as in the Windows headers, widths are those of LLP64: `int`, `long`, `DWORD` and `BOOL` are 32
//! bits, `SOCKET` and handles are pointer-sized, `WCHAR` is 16 bits. The calling convention is `extern "system"`,
//! which is the C convention on every 64-bit target. Only 64-bit targets are supported: the 32-bit headers pack
//! their structures differently.
//!
//! The same definitions for C are in `include/wsdirect/ws2spi.h` and `include/wsdirect/ws2san.h`; a test compares the
//! two by way of [`LAYOUTS`], [`TABLE_LAYOUTS`] and [`CONSTANTS`].

#![allow(non_camel_case_types, non_snake_case, clippy::upper_case_acronyms)]

mod codes;
mod constants;
mod extensions;
mod functions;
mod guids;
mod macros;
mod options;
mod san;
mod structures;
mod tables;
mod types;
mod upcalls;

pub use codes::*;
pub use constants::*;
pub use extensions::*;
pub use functions::*;
pub use guids::*;
pub use options::*;
pub use san::*;
pub use structures::*;
pub use tables::*;
pub use types::*;
pub use upcalls::*;

/// Layout of one structure: what a C compiler must agree with.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Name of the structure, the same in Rust and C.
    pub name: &'static str,
    /// Size in bytes.
    pub size: usize,
    /// Field names with their offsets in bytes.
    pub fields: &'static [(&'static str, usize)],
}

/// One constant of the SPI, with the name that the C header gives it.
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    /// Name in Rust and in the Windows headers.
    pub name: &'static str,
    /// Name in our C headers: with the prefix `WS_` where the Linux headers use the plain name for something else.
    pub c_name: &'static str,
    /// The value, widened with its sign.
    pub value: i64,
}

/// All constants of this module, grouped as they are defined.
pub const CONSTANTS: &[&[Constant]] =
    &[BASIC, SHARED, EVENTS, SERVICES, OPTIONS, OPTIONS_WSD, CODES, CODES_SHARED];

const _: () = assert!(size_of::<usize>() == 8, "only 64-bit targets are supported");
