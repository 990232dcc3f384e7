//! The end of a connection: what the peer is told before the kernel's FIN or RST goes out, and what readers and writers
//! here learn when the companion dies.

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::ring::Violation;
use wsd_os::signal::Critical;

use super::channel::Channel;
use super::gate::State;
use super::state::Stream;
use crate::family::record::{self, LINGER_ZERO, PEER_GONE, RESET, SHUT};
use crate::family::{Attach, Family, First, Life};
use crate::reason::Reason;
use crate::service::kick;
use crate::sharing;
use crate::wait::notice;
use crate::wait::wake::wake;

/// The last descriptor of a record is about to go (or went with a member that died).
pub(crate) fn last_descriptor_gone(family: &Family, index: u32) {
    let record = family.record(index);
    let stream = Stream { fd: -1, index, record, generation: record.generation.load(Ordering::Acquire) };
    record.set_life(Life::Closed);
    // Of a connection that other processes have too, the last of them says so: the service threads know who that is.
    if record.attach() == Attach::Attached
        && let Ok(channel) = stream.channel()
        && !sharing::is_shared(channel)
    {
        say_end(&stream, channel);
    }
    // Whoever frees the record may do so right after this; what is needed of it is read before.
    let controller = record.controller.load(Ordering::Acquire);
    match record.close_attach() {
        Attach::No | Attach::Never => record::free(family, index),
        _ => kick::kick_slot(family, controller, index),
    }
}

/// Resets a connection that never had a descriptor.
pub(crate) fn refuse(family: &Family, connection: &Stream) {
    connection.record.set_option(LINGER_ZERO, true);
    last_descriptor_gone(family, connection.index);
}

/// Tells the peer through the rings that this end is closed.
pub(crate) fn say_end(stream: &Stream, channel: &Channel) {
    let abort = stream.record.has(LINGER_ZERO) || has_unread(stream, channel);
    let _critical = Critical::enter();
    if let Some(ring) = channel.send.load() {
        let side = &stream.record.send;
        let guard = side.common.hold();
        if side.common.gate().state() == State::San && !side.common.flagged(SHUT) {
            side.common.flag(SHUT);
            if abort {
                ring.set_reset();
            } else {
                ring.set_fin(&side.ring);
            }
        } else if abort {
            ring.set_reset();
        }
        drop(guard);
        wake(ring.take_data_wait(), ring.data_wait_word(), channel, stream.index);
    }
    if let Some(ring) = channel.recv.load() {
        ring.set_reader_closed();
        wake(ring.take_space_wait(), ring.space_wait_word(), channel, stream.index);
    }
}

fn has_unread(stream: &Stream, channel: &Channel) -> bool {
    let side = &stream.record.recv;
    let Some(ring) = channel.recv.load() else { return false };
    let _guard = side.common.hold();
    let start = ring.started_at();
    match side.common.gate().state() {
        State::San => side.ring.begun() && ring.readable(&side.ring).unwrap_or(0) != 0,
        // Begun by the peer but never looked at: whatever is in it was not read.
        State::Agreed => {
            start.is_some()
                && ring.accept_begin(&side.ring, start.unwrap_or(0)).is_ok()
                && ring.readable(&side.ring).unwrap_or(0) != 0
        }
        _ => false,
    }
}

/// `shutdown(2)`.
pub(crate) fn shutdown(
    stream: &Stream,
    how: i32,
    kernel: &mut impl FnMut() -> Result<(), Errno>,
) -> Result<(), Errno> {
    let (read, write) = (how == 0 || how == 2, how == 1 || how == 2);
    match stream.record.first() {
        First::Connecting => return crate::first::connecting::cancel(stream),
        First::Listening => {
            kernel()?;
            if read {
                crate::first::listening::stop(stream);
            }
            return Ok(());
        }
        _ => {}
    }
    if stream.record.attach() == Attach::Attached || stream.record.attach() == Attach::Wanted {
        let channel = stream.channel()?;
        super::send::bring_here(stream)?;
        if write {
            shut_write(stream, channel);
        }
        if read {
            stream.record.recv.common.flag(SHUT);
            wake_all(stream, channel);
        }
        // The ring says where the stream ends. The kernel's FIN waits for the close, so that a demotion can still send.
        let in_ring = matches!(stream.record.send.common.gate().state(), State::San | State::Rewind);
        if (write && in_ring) || stream.record.first() == First::Connected {
            return Ok(());
        }
    } else {
        if write {
            stream.record.send.common.flag(SHUT);
        }
        if read {
            stream.record.recv.common.flag(SHUT);
        }
    }
    kernel()
}

fn shut_write(stream: &Stream, channel: &Channel) {
    let _critical = Critical::enter();
    let side = &stream.record.send;
    let guard = side.common.hold();
    let first = side.common.flag(SHUT);
    let Some(ring) = channel.send.load() else { return };
    if first && side.common.gate().state() == State::San {
        ring.set_fin(&side.ring);
    }
    drop(guard);
    wake(ring.take_data_wait(), ring.data_wait_word(), channel, stream.index);
}

/// The peer wrote the impossible: the connection is given up.
#[cold]
pub(crate) fn violated(stream: &Stream, violation: Violation) -> Errno {
    crate::trace::note(format_args!("connection {} reset: {violation}", stream.index));
    give_up(stream, Reason::CompanionLost);
    Errno::CONNRESET
}

/// Resets a connection whose bytes can no longer be carried. The caller may hold a direction's lock.
#[cold]
pub(crate) fn give_up(stream: &Stream, reason: Reason) {
    let _critical = Critical::enter();
    stream.record.set_reason(Some(reason));
    stream.record.recv.common.flag(RESET);
    stream.record.send.common.flag(RESET);
    if let Ok(channel) = stream.channel() {
        if let Some(ring) = channel.send.load() {
            ring.set_reset();
            wake(ring.take_data_wait(), ring.data_wait_word(), channel, stream.index);
        }
        if let Some(ring) = channel.recv.load() {
            ring.set_reader_closed();
            wake(ring.take_space_wait(), ring.space_wait_word(), channel, stream.index);
        }
    }
    mark_dead(stream);
    kick::kick(stream.index);
}

/// The companion is gone: both directions end with what is in the ring and what TCP says.
pub(crate) fn mark_dead(stream: &Stream) {
    sharing::ended(stream);
    // Who has read of the end must not be able to write any more.
    for common in [&stream.record.send.common, &stream.record.recv.common] {
        common.flag(PEER_GONE);
        let promoted = !matches!(common.gate().state(), State::Tcp);
        if promoted {
            common.gate().force(State::Dead);
        }
        common.announce_change();
    }
    if let Ok(channel) = stream.channel() {
        wake_all(stream, channel);
    }
}

/// Wakes every sleeper of this family on the connection, whatever it waits for.
pub(crate) fn wake_all(stream: &Stream, channel: &Channel) {
    if let Some(ring) = channel.recv.load() {
        ring.disarm_data_wait(u32::MAX);
    }
    if let Some(ring) = channel.send.load() {
        ring.disarm_space_wait(u32::MAX);
    }
    stream.record.recv.common.announce_change();
    stream.record.send.common.announce_change();
    notice::changed(stream.index);
}

/// Whether the peer had read everything sent to it when it died.
pub(crate) fn peer_had_read_all(stream: &Stream, channel: &Channel) -> bool {
    let side = &stream.record.send;
    let Some(ring) = channel.send.load() else { return true };
    if side.common.gate().state() != State::San {
        return true;
    }
    let _guard = side.common.hold();
    let _ = ring.writable(&side.ring);
    side.ring.known_head() == side.ring.tail()
}
