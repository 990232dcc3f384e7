//! The `MSG_` flags that the data path knows, with Linux's values.

pub(crate) const OOB: u32 = 0x1;
pub(crate) const PEEK: u32 = 0x2;
pub(crate) const TRUNC: u32 = 0x20;
pub(crate) const DONTWAIT: u32 = 0x40;
pub(crate) const WAITALL: u32 = 0x100;
pub(crate) const ERRQUEUE: u32 = 0x2000;
pub(crate) const NOSIGNAL: u32 = 0x4000;
pub(crate) const MORE: u32 = 0x8000;
