//! The connecting end: which provider, the steps of SW-043 and SW-061, and TCP where SW-063 allows it.

use std::net::SocketAddr;

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::net::source_address;
use wsd_os::{clock, tcp};

use super::super::attach::random_number;
use super::super::companion::Companion;
use super::super::port::Port;
use super::super::proof::{Names, canonical};
use super::super::steps::{Failure, fail, on_descriptor};
use super::super::thread::Service;
use crate::family::record;
use crate::family::{Attach, Life, Role};
use crate::first::connecting;
use crate::first::listening::in_form_of;
use crate::reason::Reason;
use crate::stream::state::Stream;
use crate::trace;

/// A provider must have connected within this time (nanoseconds): a fallback comes after it (SW-068).
const CONNECT_WITHIN: u64 = 1_500_000_000;

impl Service {
    /// The program has called connect.
    pub(super) fn connect_first(&mut self, stream: &Stream) {
        match self.begin_first(stream) {
            Ok(companion) => {
                self.keys.insert(companion.key, stream.index);
                self.companions.insert(stream.index, companion);
                self.alarms.insert(stream.index, clock::now_ns() + CONNECT_WITHIN);
                self.look(stream.index);
            }
            Err(failure) => self.failed_first(stream, &failure),
        }
    }

    fn begin_first(&mut self, stream: &Stream) -> Result<Companion, Failure> {
        let peer = stream.record.first.peer.get().ok_or(fail(Reason::HistoryUnknown))?;
        if self.listens_here(canonical(peer)) {
            return Err(fail(Reason::SameProcess));
        }
        let prepared = on_descriptor(self.family, stream, |own| self.prepare(own, peer));
        let (provider, local, debug) = prepared.ok_or(fail(Reason::HistoryUnknown))??;
        let names = Names { local: canonical(local), peer: canonical(peer) };
        stream.record.first.local.set(in_form_of(peer, local));
        stream.record.provider.store(provider as u32 + 1, Ordering::Relaxed);
        let port = Port::connect(&self.providers, provider, stream.index, names, debug)?;
        Ok(Companion::new(stream.generation, names, random_number()?, port))
    }

    /// The provider and the local name (SW-045, SW-060). Binds the program's socket if it has no name yet: TCP picks the port.
    fn prepare(&self, own: &Stream, peer: SocketAddr) -> Result<(usize, SocketAddr, bool), Failure> {
        let none = || {
            fail(if self.providers.is_empty() { Reason::NoProvider } else { Reason::NoProviderForAddress })
        };
        let bound = tcp::local_name(own.borrow()).map_err(|_| fail(Reason::HistoryUnknown))?;
        let mapped = peer.is_ipv6() && canonical(peer).is_ipv4();
        let unfit = bound.is_ipv4() != peer.is_ipv4();
        if unfit || (mapped && tcp::is_ipv6_only(own.borrow()) == Ok(true)) {
            // TCP says what is wrong with it.
            return Err(none());
        }
        let route = || source_address(peer).map_err(|_| none());
        let address = if bound.ip().is_unspecified() { route()? } else { bound.ip() };
        let provider = self.providers.for_destination(address, peer.ip()).ok_or_else(none)?;
        let local = in_form_of(bound, SocketAddr::new(address, bound.port()));
        let debug = tcp::is_debugged(own.borrow()).unwrap_or(false);
        if local.port() != 0 {
            return Ok((provider, local, debug));
        }
        tcp::name(own.borrow(), local).map_err(|_| fail(Reason::AddressTaken))?;
        let local = tcp::local_name(own.borrow()).map_err(|_| fail(Reason::HistoryUnknown))?;
        Ok((provider, local, debug))
    }

    /// A connection did not come to stand: TCP's turn, if SW-063 allows it and the program is the one that connects.
    pub(in super::super) fn failed_first(&mut self, stream: &Stream, failure: &Failure) {
        if stream.record.role() == Role::Acceptor {
            return self.dropped_before_accept(stream, failure.reason);
        }
        // Always, and before anything else (SW-063).
        self.forget(stream.index);
        let record = stream.record;
        if record.life() == Life::Closed {
            return record::companion_done(self.family, stream.index, Attach::Never);
        }
        record.set_reason(Some(failure.reason));
        let next = match failure.refused {
            Some(error) => {
                trace::note(format_args!("connection {}: refused, TCP is not tried", stream.index));
                connecting::fail(stream, error);
                Attach::No
            }
            None => self.fall_back(stream, failure.reason),
        };
        record::companion_done(self.family, stream.index, next);
        connecting::announce(stream);
    }

    /// TCP's connect with the program's own arguments.
    fn fall_back(&self, stream: &Stream, reason: Reason) -> Attach {
        let Some(peer) = stream.record.first.peer.get() else { return Attach::Never };
        let result =
            on_descriptor(self.family, stream, |own| tcp::connect_without_waiting(own.borrow(), peer));
        let result = result.unwrap_or(Err(Errno::BADF));
        trace::note(format_args!(
            "connection {}: {reason}; TCP connects to {peer}: {result:?}",
            stream.index
        ));
        match result {
            Ok(()) => connecting::hand_to_tcp(stream, Life::Connected),
            Err(Errno::INPROGRESS) => connecting::hand_to_tcp(stream, Life::Connecting),
            Err(error) => {
                connecting::fail(stream, error);
                return Attach::No;
            }
        }
        stream.record.first.tcps_turn.store(1, Ordering::Relaxed);
        Attach::Never
    }

    /// The program ends its connect.
    pub(super) fn cancelled(&mut self, stream: &Stream) {
        let failure = Failure { refused: Some(Errno::CONNABORTED), ..fail(Reason::ShutDown) };
        self.failed_first(stream, &failure);
    }
}
