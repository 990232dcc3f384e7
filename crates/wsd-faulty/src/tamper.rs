//! What is done to messages of the session on their way.

use wsd_spi::client::{MemoryExt, MemorySlice};

use crate::death;
use crate::faults::Faults;

/// Kinds of messages, and where in them is what is changed (session protocol, sections 1, 2 and 9).
const NEGOTIATE: u8 = 1;
const ANSWER: u8 = 2;
const LINK_NAME: usize = 16 + 48;
const STREAM_PROOF: u8 = 28;
const PROOF: usize = 16;

impl Faults {
    /// Changes a message as the faults say.
    pub(crate) fn tamper(&self, buffers: &[MemorySlice]) {
        let Some(message) = buffers.first() else { return };
        match death::kind_of(buffers) {
            NEGOTIATE | ANSWER if self.no_link => flip(message, LINK_NAME),
            STREAM_PROOF if self.forge => flip(message, PROOF),
            _ => {}
        }
    }
}

/// Changes one bit.
fn flip(message: &MemorySlice, at: usize) {
    let mut byte = [0];
    message.read(at, &mut byte);
    message.write(at, &[byte[0] ^ 1]);
}
