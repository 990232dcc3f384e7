//! Facts about TCP sockets, and moving bytes through them without blocking.
//!
//! Every function borrows the program's descriptor and changes nothing about it unless it says so.

mod counts;
mod info;
mod io;
mod options;
mod stand_in;

pub use counts::{Counts, counts, has_received, has_sent};
pub use info::{State, cookie, is_stream_tcp, local_name, netns_cookie, peer_name, same_stack, state};
pub use io::{Flags, Received, Shutdown, abort, recv, send, shutdown};
pub use options::{
    Direction, at_mark, is_corked, is_nonblocking, linger, out_of_band_inline, receive_buffer,
    receive_low_water, send_buffer, stop_lingering, timeout, unread,
};
pub use stand_in::{
    DescriptorFlags, connect_without_waiting, is_debugged, is_ipv6_only, like, name, set_debugged,
};

#[cfg(test)]
mod tests;
