//! Limits to the time that other processes may take: a peer that is stopped answers nothing.

use wsd_spi::WsaError;

use crate::socket::State;
use crate::state::Core;
use crate::wire::{Kind, Packet};

/// How long another process may take to answer.
pub(crate) const LIMIT_NS: u64 = if cfg!(test) { 200_000_000 } else { 20_000_000_000 };

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Awaited {
    /// The answer to a socket's wish to connect.
    Connection(u32),
    /// The process to which a socket is given.
    Claimant(u32),
}

impl Core {
    /// Something is waited for from now on.
    pub(crate) fn limit_time(&mut self, awaited: Awaited) {
        self.forget_answered();
        self.deadlines.add(awaited, &self.common);
    }

    fn forget_answered(&mut self) {
        let (sockets, handovers) = (&self.sockets, &self.handovers);
        self.deadlines.forget(|awaited| match awaited {
            Awaited::Connection(id) => {
                sockets.get(id).is_some_and(|socket| socket.state == State::Connecting)
            }
            Awaited::Claimant(value) => handovers.contains_key(value),
        });
    }

    /// The timer has run out.
    pub(crate) fn time_is_up(&mut self) {
        self.deadlines.time_is_up();
        while let Some(awaited) = self.deadlines.expired() {
            let id = match awaited {
                Awaited::Connection(id) => id,
                Awaited::Claimant(value) => {
                    self.end_handover(value);
                    continue;
                }
            };
            let Some(socket) = self.sockets.get(&id) else { continue };
            if socket.state != State::Connecting {
                continue;
            }
            if let Some(wire) = socket.wire {
                self.say(wire.link, Packet::new(Kind::Withdraw, 0, id, 0));
            }
            self.not_connected(id, WsaError::WSAETIMEDOUT);
        }
        self.forget_answered();
        self.deadlines.arm(&self.common);
    }
}

#[cfg(test)]
mod tests {
    use wsd_os::link::Listener;
    use wsd_spi::ffi::AF_INET;
    use wsd_spi::{MemoryAccess, WsaError};

    use crate::support::{armed_sides, connect, memory, result, wait_event};

    /// SP-067: no answer says nothing about TCP.
    #[test]
    fn connect_without_answer_ends() {
        let [side] = armed_sides();
        let _silent = Listener::bind(b"wsd-shm-4-7f000001-a29", 1).expect("a listener");
        let sockets = [1, 2].map(|event| side.connecting("127.0.0.1:2602", "127.0.0.1:2601", event));
        for (event, socket) in [1, 2].into_iter().zip(&sockets) {
            wait_event(&[&side], &side, event);
            let events = socket.enum_network_events(None).expect("a record");
            assert_eq!(events.connect, Some(Err(WsaError::WSAETIMEDOUT)));
        }
    }

    /// SP-156: a socket that nobody claims.
    #[test]
    fn handover_without_claimant_ends() {
        let [old, peer] = armed_sides();
        let (mine, theirs) = connect(&old, &peer, "127.0.0.1:2611");
        let inbox = memory(&[0; 8]);
        let _inbox = theirs.register_memory(&inbox, MemoryAccess::Write).expect("registers");
        let mut receive = theirs.recv(std::slice::from_ref(&inbox)).expect("a receive");
        mine.duplicate(std::process::id(), AF_INET).expect("a value");
        assert_eq!(result(&[&old, &peer], &mut receive).map(drop), Err(WsaError::WSAECONNRESET));
    }
}
