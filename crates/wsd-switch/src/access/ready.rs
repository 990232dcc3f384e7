//! Asking for a companion now, instead of waiting for traffic that is worth one.

use std::time::Duration;

use wsd_os::atomic::Ordering;
use wsd_os::{clock, tcp};

use super::desk::desk;
use super::error::{ReadyError, Unserved};
use super::loan::deadline;
use super::{Standing, reason, standing};
use crate::family::record::FIRST_TRIGGER;
use crate::family::{First, Life, Role};
use crate::front::Socket;
use crate::reason::Reason;
use crate::stream::state::Stream;

/// When to look again without having been told of anything: an attempt that failed is repeated then.
const PACE: Duration = Duration::from_millis(20);

/// Waits until the connection's companion stands, at most for `timeout`, and asks for it. Both ends' programs have to.
///
/// # Errors
/// [`ReadyError`]: with the reason of the last attempt when the time is over.
pub fn ready(socket: Socket, timeout: Duration) -> Result<(), ReadyError> {
    let until = deadline(timeout);
    let stream = Stream::of(socket).ok_or(Unserved::NoService)?;
    let desk = desk().ok_or(Unserved::NoService)?;
    let watch = desk.watch();
    connected(&stream)?;
    loop {
        let seen = watch.seen();
        match standing(&stream)? {
            Standing::Up => return Ok(()),
            Standing::UnderWay => {}
            Standing::Idle => {
                if stream.record.role() == Role::None {
                    return Err(Unserved::OnTcp(Reason::HistoryUnknown).into());
                }
                if has_ended(&stream) {
                    return Err(Unserved::OnTcp(Reason::ShutDown).into());
                }
                // While the next attempt is made, this is what is known.
                if reason(&stream) != Reason::LittleTraffic {
                    desk.note(&stream, reason(&stream));
                }
                // The program has asked and sets the limit: attempts are not counted.
                stream.record.trigger.store(FIRST_TRIGGER, Ordering::Relaxed);
                stream.want_companion();
            }
        }
        let left = Duration::from_nanos(until.saturating_sub(clock::now_ns()));
        if left.is_zero() {
            return Err(Unserved::OnTcp(reason(&stream)).into());
        }
        watch.next(seen, left.min(PACE));
    }
}

/// A connect that was under way when the program last asked may have ended.
fn connected(stream: &Stream) -> Result<(), Unserved> {
    let record = stream.record;
    let established = || tcp::state(stream.borrow()) == Ok(tcp::State::Established);
    match (record.life(), record.first()) {
        (Life::Connected, _) | (_, First::Connecting | First::Connected) => Ok(()),
        (Life::Connecting, _) if established() => Ok(()),
        _ => Err(Unserved::NotConnected),
    }
}

/// Whether an end of the kernel's connection was said already: there will be no companion then.
fn has_ended(stream: &Stream) -> bool {
    stream.record.first() == First::No && tcp::state(stream.borrow()) != Ok(tcp::State::Established)
}

/// In words: that the connection can be accessed one-sidedly, or why not.
pub fn why(socket: Socket) -> String {
    let Some(stream) = Stream::of(socket) else { return Unserved::NoService.to_string() };
    match connected(&stream).and_then(|()| standing(&stream)) {
        Ok(Standing::Up) => "the connection has a companion on the SAN".to_owned(),
        Ok(Standing::Idle | Standing::UnderWay) => Unserved::OnTcp(reason(&stream)).to_string(),
        Err(error) => error.to_string(),
    }
}
