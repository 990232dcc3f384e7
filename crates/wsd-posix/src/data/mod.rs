//! Calls that move bytes.

mod aio;
mod messages;
mod pass_by;
mod read_write;
mod send_recv;
mod sendfile;

pub(crate) use messages::{recvmmsg, recvmsg, sendmmsg, sendmsg};
pub(crate) use pass_by::{copy_file_range, splice, tee, vmsplice};
pub(crate) use read_write::{preadv2, pwritev2, read, readv, write, writev};
pub(crate) use send_recv::{recvfrom, sendto};
pub(crate) use sendfile::sendfile64;
