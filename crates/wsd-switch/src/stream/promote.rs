//! Changing the path of a direction from TCP to the ring. Done by whoever finds nobody in the kernel path: the service
//! thread, or the program's thread that was the last to leave it.

use wsd_os::atomic::Ordering;
use wsd_os::ring::Ring;
use wsd_os::tcp;

use super::gate::State;
use super::state::Stream;
use crate::family::record::{self, FIX_WANTED, SHUT, SWITCH_WANTED, URGENT, WRITE_WANTED};
use crate::family::{Attach, Life, Role};
use crate::reason::Reason;
use crate::service::kick;
use crate::wait::notice;
use crate::wait::wake::wake;

/// The receiver's consent (session protocol 4.2), if it is wanted and nobody waits in the kernel alone. The service thread is kicked to
/// send it.
pub(crate) fn agree(stream: &Stream) {
    let common = &stream.record.recv.common;
    // Held from the change of the gate on: nobody takes bytes as `Agreed` before they are compared.
    let Ok(_guard) = common.hold() else { return };
    if stream.record.attach() == Attach::Attached
        && common.flagged(SWITCH_WANTED)
        && !common.flagged(URGENT)
        && common.gate().switch(State::Tcp, State::Agreed)
    {
        common.unflag(SWITCH_WANTED);
        let read = common.kernel_bytes.load(Ordering::Acquire);
        let connector = stream.record.role() == Role::Connector;
        if tcp::has_received(stream.borrow(), connector, read) == Ok(false) {
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

/// The consent counts for nothing, and no thread gives one any more: the receive direction goes on by TCP alone, and whoever waits for it
/// learns of that.
pub(crate) fn disagree(stream: &Stream) {
    let common = &stream.record.recv.common;
    common.unflag(SWITCH_WANTED);
    // Whoever agrees looks at the flag with the lock held: he has agreed by now, or will not.
    let guard = common.hold();
    let agreed = common.gate().force_from(State::Agreed, State::Tcp);
    drop(guard);
    if agreed {
        common.announce_change();
        notice::changed(stream.index);
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
    let written = match leave_tcp(stream, State::San) {
        Ok(written) => written,
        Err(switched) => return switched,
    };
    common.unflag(SWITCH_WANTED);
    begin(stream, ring, written);
    drop(guard);
    wake(ring.take_data_wait(), ring.data_wait_word(), channel, stream.index);
    common.announce_change();
    kick::kick(stream.index);
    Switched::Yes
}

/// Fixes the offset at which the send direction leaves TCP, if it can (session protocol 10): nobody writes until [`let_go`] or
/// [`enter_send`].
pub(crate) fn hold_send(stream: &Stream) -> Result<u64, Switched> {
    let common = &stream.record.send.common;
    let guard = common.hold().map_err(|_| Switched::Later)?;
    common.unflag(WRITE_WANTED);
    let held = leave_tcp(stream, State::Rewind);
    drop(guard);
    held
}

/// Takes the send direction off TCP where it stands, for `to`. The lock is held.
fn leave_tcp(stream: &Stream, to: State) -> Result<u64, Switched> {
    let common = &stream.record.send.common;
    if stream.record.attach() != Attach::Attached || stream.record.has(record::CORKED) {
        return Err(Switched::Later);
    }
    let never = |reason| {
        common.unflag(SWITCH_WANTED | FIX_WANTED);
        stream.record.set_reason(Some(reason));
        Err(Switched::Never)
    };
    // Before the gate changes: who shuts down, and finds the direction off TCP, leaves the FIN to others.
    if common.gate().state() == State::Tcp && common.flagged(SHUT) {
        return never(Reason::ShutDown);
    }
    if !common.gate().switch(State::Tcp, to) {
        return Err(Switched::Later);
    }
    let written = common.kernel_bytes.load(Ordering::Acquire);
    let connector = stream.record.role() == Role::Connector;
    let left = if common.flagged(URGENT) {
        never(Reason::UrgentData)
    } else {
        match tcp::has_sent(stream.borrow(), connector, written) {
            Ok(true) => Ok(written),
            Err(wsd_os::Errno::AGAIN) => Err(Switched::Later),
            _ => never(Reason::BytesAround),
        }
    };
    if left.is_err() {
        common.gate().force(State::Tcp);
        // Who came to write while the kernel was asked waits for this, perhaps in a set.
        common.announce_change();
        notice::changed(stream.index);
    }
    left
}

/// The promotion came to nothing: the send direction goes on by TCP.
pub(crate) fn let_go(stream: &Stream) {
    let common = &stream.record.send.common;
    // Whoever shuts down from now on asks the kernel himself.
    let guard = common.hold();
    let held = common.gate().state() == State::Rewind;
    if held && common.flagged(SHUT) {
        let _ = tcp::shutdown(stream.borrow(), tcp::Shutdown::Write);
    }
    common.gate().force_from(State::Rewind, State::Tcp);
    drop(guard);
    common.announce_change();
}

/// The promotion is settled: bytes from the fixed offset on go into the ring.
pub(crate) fn enter_send(stream: &Stream, ring: Ring, start: u64) -> Result<(), wsd_os::Errno> {
    let side = &stream.record.send;
    let guard = side.common.hold()?;
    begin(stream, ring, start);
    if side.common.flagged(SHUT) || stream.record.life() == Life::Closed {
        ring.set_fin(&side.ring);
    }
    side.common.gate().force_from(State::Rewind, State::San);
    drop(guard);
    side.common.announce_change();
    Ok(())
}

/// Stops the receive direction where the sender has fixed its offset; false: TCP was not read up to there, or not consented.
pub(crate) fn hold_recv(stream: &Stream, at: u64) -> Result<bool, wsd_os::Errno> {
    let common = &stream.record.recv.common;
    let _guard = common.hold()?;
    Ok(common.kernel_bytes.load(Ordering::Acquire) == at
        && (common.gate().state() == State::Rewind || common.gate().force_from(State::Agreed, State::Rewind)))
}

/// The receive direction, stopped by [`hold_recv`], goes on in the ring, which the service thread has begun at `start`.
pub(crate) fn enter_recv(stream: &Stream, ring: Ring, start: u64) -> Result<(), wsd_os::Errno> {
    let side = &stream.record.recv;
    let guard = side.common.hold()?;
    side.ring.clear();
    if ring.accept_begin(&side.ring, start) != Ok(true) {
        return Err(wsd_os::Errno::CONNRESET);
    }
    side.common.promoted_at.store(start, Ordering::Release);
    side.common.gate().force_from(State::Rewind, State::San);
    drop(guard);
    side.common.announce_change();
    Ok(())
}

fn begin(stream: &Stream, ring: Ring, start: u64) {
    let side = &stream.record.send;
    ring.begin(&side.ring, start);
    side.common.promoted_at.store(start, Ordering::Release);
}

/// The receiver's step into the ring (session protocol 4.4), if the sender has named S: so that the change is complete also while
/// the program does not look.
pub(crate) fn enter_if_begun(stream: &Stream) -> Result<(), wsd_os::Errno> {
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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::family::Family;

    /// Session protocol, 4.2: consent that is taken back stays so, also if a thread was about to give it.
    #[test]
    fn nobody_agrees_behind_a_disagreement() {
        let family: &'static Family = Box::leak(Box::new(Family::create().expect("memory")));
        let record = family.record(0);
        record.set_attach(Attach::Attached);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let socket = TcpStream::connect(listener.local_addr().expect("bound")).expect("a listener");
        let stream = Stream { fd: raw(&socket), index: 0, record, generation: 0 };
        let gate = record.recv.common.gate();
        agree(&stream);
        assert_eq!(gate.state(), State::Tcp, "nobody has asked");
        record.recv.common.flag(SWITCH_WANTED);
        agree(&stream);
        assert_eq!(gate.state(), State::Agreed);
        disagree(&stream);
        assert_eq!(gate.state(), State::Tcp);

        record.recv.common.flag(SWITCH_WANTED);
        disagree(&stream);
        agree(&stream);
        assert_eq!(gate.state(), State::Tcp, "it has seen the wish before it was taken back");
    }

    #[cfg(unix)]
    fn raw(socket: &TcpStream) -> i32 {
        std::os::fd::AsRawFd::as_raw_fd(socket)
    }

    #[cfg(windows)]
    fn raw(socket: &TcpStream) -> i32 {
        std::os::windows::io::AsRawSocket::as_raw_socket(socket) as i32
    }
}
