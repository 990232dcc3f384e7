//! Changing the path of a direction from TCP to the ring. Done by whoever finds nobody in the kernel path: the service
//! thread, or the program's thread that was the last to leave it.

use wsd_os::atomic::Ordering;
use wsd_os::ring::Ring;
use wsd_os::tcp;

use super::gate::State;
use super::state::Stream;
use crate::family::record::{self, SHUT, SWITCH_WANTED, URGENT};
use crate::family::{Attach, Role};
use crate::reason::Reason;
use crate::service::kick;
use crate::wait::wake::wake;

/// The receiver's consent (session protocol 4.2), if nobody waits in the kernel alone. The service thread is kicked to send it.
pub(crate) fn agree(stream: &Stream) {
    let common = &stream.record.recv.common;
    if stream.record.attach() == Attach::Attached
        && !common.flagged(URGENT)
        && common.gate().switch(State::Tcp, State::Agreed)
    {
        common.unflag(SWITCH_WANTED);
        let read = common.kernel_bytes.load(Ordering::Acquire);
        let connector = stream.record.role() == Role::Connector;
        if tcp::counts(stream.borrow(), connector).is_ok_and(|counts| counts.read != read) {
            // Somebody read around the switch: TCP bytes up to S could never be told from those behind it.
            common.gate().force_from(State::Agreed, State::Tcp);
            common.flag(URGENT);
            stream.record.set_reason(Some(Reason::BytesAround));
            return;
        }
        common.announce_change();
        kick::kick(stream.index);
    }
}

/// What came of an attempt to switch the send direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switched {
    /// Bytes from S on go into the ring.
    Yes,
    /// Not now: somebody is in the kernel path, or data is held back by a cork.
    Later,
    /// Never for this connection.
    Never,
}

/// The sender's switch (session protocol 4.3).
pub(crate) fn switch_send(stream: &Stream) -> Switched {
    let Ok(channel) = stream.channel() else { return Switched::Never };
    let Some(ring) = channel.send.load() else { return Switched::Later };
    let common = &stream.record.send.common;
    let Ok(guard) = common.hold() else { return Switched::Later };
    if stream.record.attach() != Attach::Attached || stream.record.has(record::CORKED) {
        return Switched::Later;
    }
    if !common.gate().switch(State::Tcp, State::San) {
        return Switched::Later;
    }
    if common.flagged(SHUT | URGENT) {
        common.gate().force(State::Tcp);
        common.unflag(SWITCH_WANTED);
        stream.record.set_reason(Some(if common.flagged(SHUT) {
            Reason::ShutDown
        } else {
            Reason::UrgentData
        }));
        return Switched::Never;
    }
    let written = common.kernel_bytes.load(Ordering::Acquire);
    let connector = stream.record.role() == Role::Connector;
    let kernel = tcp::counts(stream.borrow(), connector).map(|counts| counts.written);
    if kernel != Ok(written) {
        common.gate().force(State::Tcp);
        common.unflag(SWITCH_WANTED);
        stream.record.set_reason(Some(Reason::BytesAround));
        return Switched::Never;
    }
    common.unflag(SWITCH_WANTED);
    begin(stream, ring, written);
    drop(guard);
    wake(ring.take_data_wait(), ring.data_wait_word(), channel, stream.index);
    common.announce_change();
    kick::kick(stream.index);
    Switched::Yes
}

fn begin(stream: &Stream, ring: Ring, start: u64) {
    let side = &stream.record.send;
    ring.begin(&side.ring, start);
    side.common.promoted_at.store(start, Ordering::Release);
}

/// The receiver's step into the ring (session protocol 4.4), if the sender has named S: so that the change is complete also while
/// the program does not look.
pub(crate) fn enter_if_begun(stream: &Stream) -> Result<(), rustix::io::Errno> {
    let common = &stream.record.recv.common;
    if common.gate().state() != State::Agreed {
        return Ok(());
    }
    let Some(ring) = stream.channel()?.recv.load() else { return Ok(()) };
    let _guard = common.hold()?;
    match ring.started_at() {
        Some(start) if common.gate().state() == State::Agreed => super::recv::enter_ring(stream, ring, start),
        _ => Ok(()),
    }
}
