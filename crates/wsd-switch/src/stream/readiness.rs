//! What poll, select and epoll may say of a connection whose directions are not (or not only) on kernel TCP.

use super::gate::State;
use super::recv::enter_ring;
use super::state::Stream;
use crate::family::First;
use crate::family::record::{RESET, SHUT};
use crate::first::listening;

pub(crate) const IN: u32 = 0x001;
pub(crate) const PRI: u32 = 0x002;
pub(crate) const OUT: u32 = 0x004;
pub(crate) const ERR: u32 = 0x008;
pub(crate) const HUP: u32 = 0x010;
pub(crate) const RDNORM: u32 = 0x040;
pub(crate) const WRNORM: u32 = 0x100;
pub(crate) const RDHUP: u32 = 0x2000;
/// Events about receiving.
pub(crate) const RECV_EVENTS: u32 = IN | PRI | RDNORM | RDHUP;
/// Events about sending.
pub(crate) const SEND_EVENTS: u32 = OUT | WRNORM;

/// Readiness as far as the switch knows it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ready {
    /// Events that hold.
    pub events: u32,
    /// Events for which the kernel's answer counts.
    pub kernel: u32,
}

/// Readiness now. Takes the directions' locks for a moment.
pub(crate) fn of(stream: &Stream) -> Ready {
    let first = stream.record.first();
    match first {
        First::No | First::Connected => {}
        _ => return without_stream(stream, first),
    }
    let mut ready = Ready::default();
    receive_side(stream, &mut ready);
    send_side(stream, &mut ready);
    if first == First::Connected {
        // The kernel's socket was never connected: what it says means nothing.
        ready.kernel = 0;
        return ready;
    }
    if ready.kernel == RECV_EVENTS | SEND_EVENTS {
        ready.kernel |= ERR | HUP;
    }
    ready
}

/// Of a socket that the SAN connects or listens for.
fn without_stream(stream: &Stream, first: First) -> Ready {
    const FAILED: u32 = RECV_EVENTS & !PRI | SEND_EVENTS | ERR | HUP;
    match first {
        First::Failed => Ready { events: FAILED, kernel: 0 },
        First::Listening => {
            let events = if listening::has_waiting(stream) { IN | RDNORM } else { 0 };
            Ready { events, kernel: RECV_EVENTS | SEND_EVENTS | ERR | HUP }
        }
        _ => Ready::default(),
    }
}

fn receive_side(stream: &Stream, ready: &mut Ready) {
    let side = &stream.record.recv;
    let (state, ring, _guard) = loop {
        let state = side.common.gate().state();
        let ring = stream.channel().ok().and_then(|channel| channel.recv.load());
        if state == State::Rewind {
            // Where the stream goes on is told when it is known.
            return;
        }
        let (State::Agreed | State::San | State::Dead, Some(ring)) = (state, ring) else {
            if state == State::Dead && stream.record.first() == First::Connected {
                // Another process that shares the connection had the rings: what is left is to learn of the end.
                ready.events |= IN | RDNORM | RDHUP | ERR | HUP;
            }
            ready.kernel |= RECV_EVENTS;
            return;
        };
        let Ok(guard) = side.common.hold() else { return };
        // Before the lock was held the promotion may have ended, and the next one begun.
        let now = stream.channel().ok().and_then(|channel| channel.recv.load());
        if side.common.gate().state() == state && now == Some(ring) {
            break (state, ring, guard);
        }
    };
    if state == State::Agreed
        && let Some(start) = ring.started_at()
        && enter_ring(stream, ring, start).is_err()
    {
        ready.events |= IN | RDNORM | ERR;
        return;
    }
    if !side.ring.begun() {
        ready.kernel |= RECV_EVENTS;
        return;
    }
    let control = ring.writer_control();
    let enough = stream.record.low_water.load(wsd_os::atomic::Ordering::Relaxed).max(1) as usize;
    if ring.readable(&side.ring).unwrap_or(usize::MAX) >= enough {
        ready.events |= IN | RDNORM;
    }
    if super::urgent::pending(stream, control.urgent) {
        ready.events |= PRI;
    }
    if control.fin.is_some() {
        ready.events |= IN | RDNORM | RDHUP;
        if stream.record.send.common.flagged(SHUT) {
            ready.events |= HUP;
        }
    }
    if control.reset || side.common.flagged(RESET) {
        ready.events |= IN | RDNORM | RDHUP | ERR | HUP;
    }
    if side.common.flagged(SHUT) {
        ready.events |= IN | RDNORM | RDHUP;
    }
    if side.common.rest() != 0 || state == State::Dead {
        ready.kernel |= RECV_EVENTS;
    }
}

fn send_side(stream: &Stream, ready: &mut Ready) {
    let side = &stream.record.send;
    let (ring, _guard) = loop {
        match side.common.gate().state() {
            State::Tcp | State::Agreed | State::Rest => {
                ready.kernel |= SEND_EVENTS;
                return;
            }
            State::Rewind | State::Opening => return,
            State::Dead => {
                ready.events |= SEND_EVENTS;
                return;
            }
            State::San => {}
        }
        let Ok(guard) = side.common.hold() else { return };
        // Before the lock was held the promotion may have ended, and the next one begun, in another ring.
        if side.common.gate().state() != State::San {
            continue;
        }
        let Some(ring) = stream.channel().ok().and_then(|channel| channel.send.load()) else {
            ready.events |= SEND_EVENTS | ERR;
            return;
        };
        break (ring, guard);
    };
    let room = ring.writable(&side.ring).unwrap_or(usize::MAX);
    if room >= ring.low_water(&side.ring)
        || side.common.flagged(SHUT)
        || ring.reader_control().closed
        || ring.grow(&side.ring)
    {
        ready.events |= SEND_EVENTS;
    }
}

/// Asks the peer to notify `bits` when `events` may have come. Ask [`of`] again afterwards: what came before the
/// asking is not notified.
pub(crate) fn arm(stream: &Stream, bits: u32, events: u32) {
    let Ok(channel) = stream.channel() else { return };
    let receive = &stream.record.recv;
    if matches!(receive.common.gate().state(), State::Agreed | State::San)
        && let Some(ring) = channel.recv.load()
    {
        ring.arm_data_wait(&receive.ring, bits);
    }
    let send = &stream.record.send;
    if events & SEND_EVENTS != 0
        && send.common.gate().state() == State::San
        && let Some(ring) = channel.send.load()
    {
        ring.arm_space_wait(&send.ring, bits);
    }
}
