//! Room for messages on their way, made once: to clear it for each costs more than a small message takes.

use wsd_session::message::DEFAULT_BUFFER_LENGTH;

/// Longest message, and most data of one.
pub(super) const BUFFER: usize = DEFAULT_BUFFER_LENGTH as usize;

/// What is in it is nobody's.
#[derive(Default)]
pub(super) struct Scratch {
    arrived: Vec<u8>,
    leaving: [Vec<u8>; 2],
}

impl Scratch {
    /// For a message that has arrived. To be given back.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut room = std::mem::take(&mut self.arrived);
        room.resize(BUFFER, 0);
        room
    }

    /// Gives it back.
    pub(super) fn give(&mut self, room: Vec<u8>) {
        self.arrived = room;
    }

    /// For a message that is being made, and for its data.
    pub(super) fn leaving(&mut self) -> [&mut [u8]; 2] {
        self.leaving.each_mut().map(|room| {
            room.resize(BUFFER, 0);
            &mut room[..]
        })
    }
}
