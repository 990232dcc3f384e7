//! Limits to the time that other processes may take: a peer that is stopped answers nothing.

use std::collections::VecDeque;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use wsd_os::clock::now_ns;
use wsd_os::fd::{AsFd, AsRawFd, OwnedFd, move_high};
use wsd_spi::WsaError;

use crate::descriptors::Tracked;
use crate::socket::State;
use crate::state::{Core, Token};
use crate::wire::{Kind, Packet};

/// How long another process may take to answer.
const LIMIT_NS: u64 = if cfg!(test) { 200_000_000 } else { 20_000_000_000 };

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Awaited {
    /// The answer to a socket's wish to connect.
    Connection(u32),
    /// The process to which a socket is given.
    Claimant(u32),
}

/// What is waited for, oldest first, and a timer for the oldest. It runs out at most once per [`LIMIT_NS`].
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    timer: Option<Tracked<OwnedFd>>,
    armed: bool,
    wishes: VecDeque<(u64, Awaited)>,
}

impl Core {
    /// Something is waited for from now on.
    pub(crate) fn limit_time(&mut self, awaited: Awaited) {
        self.forget_answered();
        self.deadlines.wishes.push_back((now_ns() + LIMIT_NS, awaited));
        self.arm_timer();
    }

    /// Forgets the oldest wishes as long as they have been answered. Most are answered in order.
    fn forget_answered(&mut self) {
        while let Some((_, awaited)) = self.deadlines.wishes.front() {
            let open = match awaited {
                Awaited::Connection(id) => {
                    self.sockets.get(id).is_some_and(|socket| socket.state == State::Connecting)
                }
                Awaited::Claimant(value) => self.handovers.contains_key(value),
            };
            if open {
                return;
            }
            self.deadlines.wishes.pop_front();
        }
    }

    /// Sets the timer for the oldest wish, unless it runs. Without a timer there is no limit.
    fn arm_timer(&mut self) {
        let Some((deadline, _)) = self.deadlines.wishes.front() else { return };
        if self.deadlines.armed {
            return;
        }
        if self.deadlines.timer.is_none() {
            let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
            let Ok(timer) = timerfd_create(TimerfdClockId::Monotonic, flags) else { return };
            let timer = Tracked::new(move_high(timer.into()));
            if self.watch_new(timer.as_raw_fd(), Token::Timer).is_err() {
                return;
            }
            self.deadlines.timer = Some(timer);
        }
        let Some(timer) = &self.deadlines.timer else { return };
        let (tv_sec, tv_nsec) = ((deadline / 1_000_000_000) as i64, (deadline % 1_000_000_000) as i64);
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec { tv_sec, tv_nsec },
        };
        self.deadlines.armed = timerfd_settime(timer.as_fd(), TimerfdTimerFlags::ABSTIME, &once).is_ok();
    }

    /// The timer has run out.
    pub(crate) fn time_is_up(&mut self) {
        if let Some(timer) = &self.deadlines.timer {
            let _ = rustix::io::read(timer.as_fd(), &mut [0u8; 8][..]);
        }
        self.deadlines.armed = false;
        let now = now_ns();
        while let Some((_, awaited)) = self.deadlines.wishes.pop_front_if(|(deadline, _)| *deadline <= now) {
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
        self.arm_timer();
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
        let _silent = Listener::bind(b"wsd-shm-4-7f000001-dac1", 1).expect("a listener");
        let sockets = [1, 2].map(|event| side.connecting("127.0.0.1:56002", "127.0.0.1:56001", event));
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
        let (mine, theirs) = connect(&old, &peer, "127.0.0.1:56011");
        let inbox = memory(&[0; 8]);
        let _inbox = theirs.register_memory(&inbox, MemoryAccess::Write).expect("registers");
        let mut receive = theirs.recv(std::slice::from_ref(&inbox)).expect("a receive");
        mine.duplicate(std::process::id(), AF_INET).expect("a value");
        assert_eq!(result(&[&old, &peer], &mut receive).map(drop), Err(WsaError::WSAECONNRESET));
    }
}
