//! Facts about TCP sockets, and moving bytes through them without blocking.
//!
//! Every function borrows the program's descriptor and changes nothing about it unless it says so.

mod counts;
mod info;
mod io;
mod options;

pub use counts::{Counts, counts};
pub use info::{State, cookie, is_stream_tcp, local_name, netns_cookie, peer_name, state};
pub use io::{Flags, Received, Shutdown, abort, recv, send, shutdown};
pub use options::{
    Direction, is_corked, is_nonblocking, linger, out_of_band_inline, receive_buffer, receive_low_water,
    send_buffer, timeout, unread,
};

#[cfg(test)]
mod tests;
