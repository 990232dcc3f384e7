//! A tracked socket in an epoll set.

use crate::front::EpollEvent;
use crate::stream::state::Stream;

pub(super) const EDGE: u32 = 1 << 31;
pub(super) const ONESHOT: u32 = 1 << 30;
pub(super) const EXCLUSIVE: u32 = 1 << 28;
/// The events proper, without mode bits.
pub(super) const EVENTS: u32 = 0x0000_FFFF;

/// What the program registered, and where its delivery stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Member {
    /// In use.
    pub(super) used: bool,
    /// The kernel's set has it too.
    pub(super) in_kernel: bool,
    /// Record and its generation at registration.
    pub(super) index: u32,
    pub(super) generation: u32,
    /// As the program gave them.
    pub(super) events: u32,
    pub(super) data: u64,
    /// On the ready list.
    pub(super) listed: bool,
    /// Something came since the last report (edge-triggered members report once per coming).
    pub(super) fresh: bool,
    /// Round of the set in which the ready list reported it last.
    pub(super) reported: u32,
    /// One-shot and reported.
    pub(super) spent: bool,
    /// The switch has reported for it: when it is back on TCP the kernel's set needs a new edge.
    pub(super) served: bool,
    /// EPOLLOUT was taken out of the kernel's registration.
    pub(super) masked: bool,
}

impl Member {
    /// Whether it is this connection's registration.
    pub(super) fn is(&self, stream: &Stream) -> bool {
        self.used && self.index == stream.index && self.generation == stream.generation
    }

    /// What the program is told.
    pub(super) fn event(&self, events: u32) -> EpollEvent {
        EpollEvent { events, u64: self.data }
    }
}
