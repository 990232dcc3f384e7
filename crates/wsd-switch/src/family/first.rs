//! The SAN-first part of a record: its state, names, and the queue of a listener.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use wsd_os::Errno;
use wsd_os::atomic::{AtomicU32, Ordering};

use super::layout::{Name, Record, SanFirst};
use super::{Attach, Family, First};

impl Record {
    /// How far the SAN is with it.
    #[inline]
    pub(crate) fn first(&self) -> First {
        match self.first.state.load(Ordering::Acquire) {
            1 => First::Connecting,
            2 => First::Connected,
            3 => First::Failed,
            4 => First::Listening,
            _ => First::No,
        }
    }

    /// Changes the state. Release: who sees it sees the names, rings and gates that go with it.
    pub(crate) fn set_first(&self, first: First) {
        self.first.state.store(first as u32, Ordering::Release);
    }

    pub(crate) fn change_first(&self, from: First, to: First) -> bool {
        let state = &self.first.state;
        state.compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Whether the kernel alone cannot say what is ready: the connection has a companion, or is the SAN's.
    #[inline]
    pub(crate) fn is_served(&self) -> bool {
        matches!(self.attach(), Attach::Attached | Attach::Leaving) || self.first() != First::No
    }

    /// Takes the error of a connect that failed; the socket can be used for another.
    pub(crate) fn take_connect_error(&self) -> Option<Errno> {
        let number = self.first.error.load(Ordering::Acquire);
        self.change_first(First::Failed, First::No).then(|| Errno::from_raw_os_error(number as i32))
    }
}

impl SanFirst {
    pub(super) fn reset(&self) {
        for word in [
            &self.state,
            &self.error,
            &self.told,
            &self.listens,
            &self.backlog,
            &self.waiting,
            &self.turn,
            &self.queue_first,
            &self.queue_last,
            &self.next,
            &self.tcps_turn,
        ] {
            word.store(0, Ordering::Relaxed);
        }
        self.local.clear();
        self.peer.clear();
    }
}

impl Name {
    fn clear(&self) {
        self.version.store(0, Ordering::Relaxed);
    }

    /// Stores an address; published by what is stored after it.
    pub(crate) fn set(&self, address: SocketAddr) {
        let put = |word: &AtomicU32, value: u32| word.store(value, Ordering::Relaxed);
        let words: [u32; 4] = match address.ip() {
            IpAddr::V4(ip) => [u32::from(ip), 0, 0, 0],
            IpAddr::V6(ip) => {
                let number = u128::from(ip);
                [96, 64, 32, 0].map(|shift| (number >> shift) as u32)
            }
        };
        for (word, value) in self.address.iter().zip(words) {
            put(word, value);
        }
        let (flow, scope) = match address {
            SocketAddr::V4(_) => (0, 0),
            SocketAddr::V6(v6) => (v6.flowinfo(), v6.scope_id()),
        };
        put(&self.flow, flow);
        put(&self.scope, scope);
        put(&self.port, u32::from(address.port()));
        put(&self.version, if address.is_ipv4() { 4 } else { 6 });
    }

    pub(crate) fn get(&self) -> Option<SocketAddr> {
        let words = [&self.version, &self.port, &self.flow, &self.scope].map(|w| w.load(Ordering::Relaxed));
        let address = self.address.each_ref().map(|word| word.load(Ordering::Relaxed));
        decode(words, address)
    }
}

/// The address in the words of a [`Name`].
pub(crate) fn decode([version, port, flow, scope]: [u32; 4], address: [u32; 4]) -> Option<SocketAddr> {
    let port = u16::try_from(port).ok()?;
    match version {
        4 => Some(SocketAddr::new(Ipv4Addr::from(address[0]).into(), port)),
        6 => {
            let number = address.iter().fold(0u128, |number, word| (number << 32) | u128::from(*word));
            Some(SocketAddrV6::new(Ipv6Addr::from(number), port, flow, scope).into())
        }
        _ => None,
    }
}

/// Counts one more connection in a listener's backlog (SW-092); whether there was room.
pub(crate) fn take_place(listener: &Record) -> bool {
    let limit = listener.first.backlog.load(Ordering::Relaxed);
    let more = |waiting: u32| (waiting < limit).then_some(waiting + 1);
    listener.first.waiting.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).is_ok()
}

/// A connection does not wait any more.
pub(crate) fn give_place(listener: &Record) {
    let less = |waiting: u32| waiting.checked_sub(1);
    // Below zero only after the listener's record was used for another socket.
    let _ = listener.first.waiting.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less);
}

/// Whether connections wait in a listener's queue.
pub(crate) fn has_queued(listener: &Record) -> bool {
    listener.first.queue_first.load(Ordering::Acquire) != 0
}

/// Puts a connection behind the others.
pub(crate) fn push(family: &Family, listener: &Record, index: u32) -> Result<(), Errno> {
    let _guard = listener.recv.common.hold()?;
    let queue = &listener.first;
    family.record(index).first.next.store(0, Ordering::Relaxed);
    let last = queue.queue_last.swap(index + 1, Ordering::Relaxed);
    match last.checked_sub(1) {
        Some(last) => family.record(last).first.next.store(index + 1, Ordering::Release),
        None => queue.queue_first.store(index + 1, Ordering::Release),
    }
    Ok(())
}

/// Puts a connection before the others, from where it was taken.
pub(crate) fn put_back(family: &Family, listener: &Record, index: u32) -> Result<(), Errno> {
    let _guard = listener.recv.common.hold()?;
    let queue = &listener.first;
    let first = queue.queue_first.load(Ordering::Relaxed);
    family.record(index).first.next.store(first, Ordering::Relaxed);
    if first == 0 {
        queue.queue_last.store(index + 1, Ordering::Relaxed);
    }
    queue.queue_first.store(index + 1, Ordering::Release);
    Ok(())
}

/// Takes the oldest connection.
pub(crate) fn pop(family: &Family, listener: &Record) -> Result<Option<u32>, Errno> {
    if !has_queued(listener) {
        return Ok(None);
    }
    let _guard = listener.recv.common.hold()?;
    let queue = &listener.first;
    let Some(index) = queue.queue_first.load(Ordering::Relaxed).checked_sub(1) else { return Ok(None) };
    let next = family.record(index).first.next.load(Ordering::Relaxed);
    queue.queue_first.store(next, Ordering::Release);
    if next == 0 {
        queue.queue_last.store(0, Ordering::Relaxed);
    }
    Ok(Some(index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::record;

    fn family() -> Family {
        Family::create().expect("memory")
    }

    #[test]
    fn names_come_back_as_they_went() {
        let family = family();
        let name = &family.record(0).first.local;
        assert_eq!(name.get(), None);
        for text in ["127.0.0.1:80", "[::ffff:10.1.2.3]:65535", "[fe80::1%3]:1"] {
            let address: SocketAddr = text.parse().expect("an address");
            name.set(address);
            assert_eq!(name.get(), Some(address));
        }
    }

    #[test]
    fn the_queue_is_in_order_and_the_backlog_limits_it() {
        let family = family();
        let [listener, one, two] = [0; 3].map(|_| record::allocate(&family).expect("a record"));
        let listener = family.record(listener);
        listener.first.backlog.store(2, Ordering::Relaxed);
        assert!(take_place(listener) && take_place(listener) && !take_place(listener));
        push(&family, listener, one).expect("free");
        push(&family, listener, two).expect("free");
        assert_eq!(pop(&family, listener), Ok(Some(one)));
        put_back(&family, listener, one).expect("free");
        assert_eq!(pop(&family, listener), Ok(Some(one)));
        give_place(listener);
        assert!(take_place(listener));
        assert_eq!(pop(&family, listener), Ok(Some(two)));
        assert_eq!(pop(&family, listener), Ok(None));
        put_back(&family, listener, two).expect("free");
        push(&family, listener, one).expect("free");
        assert_eq!([pop(&family, listener), pop(&family, listener)], [Ok(Some(two)), Ok(Some(one))]);
        assert!(!has_queued(listener));
    }
}
