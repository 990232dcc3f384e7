//! Looking at other processes, for tools that inspect a running program from outside (proc(5)). Allocates freely.

mod maps;
mod memory;
mod status;
mod visible;

pub use maps::{Mapping, mappings};
pub use memory::read_memory;
pub use status::{Owner, ProcessId, is_alive, list, name, owner, start_time, watch};
pub use visible::Visible;
