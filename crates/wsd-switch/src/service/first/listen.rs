//! Listeners: a companion on every provider that fits (SW-081), and what they accept (SW-091..094).

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use wsd_os::atomic::Ordering;
use wsd_os::{clock, tcp};
use wsd_spi::client::Socket;
use wsd_spi::{Condition, EventMask, SockAddr, WsaError};

use super::super::attach::random_number;
use super::super::companion::Companion;
use super::super::port::{Port, companion_socket};
use super::super::proof::{Names, canonical};
use super::super::steps::{Failure, on_descriptor};
use super::super::thread::Service;
use super::shared::Share;
use crate::family::first::{give_place, has_queued, take_place};
use crate::family::record;
use crate::family::{self, Attach, First, Life, Role};
use crate::first::listening::{self, in_form_of};
use crate::reason::Reason;
use crate::service::kick;
use crate::sharing::page::Control;
use crate::stream::gate::State;
use crate::stream::state::Stream;
use crate::trace;
use crate::upcalls::event_of;

/// Negotiation and rings of an accepted connection must stand within this time (nanoseconds).
const STAND_WITHIN: u64 = 5_000_000_000;
/// What waits at a listener that other processes have too is reset after this time (nanoseconds): perhaps they alone accept.
const SHARED_WITHIN: u64 = 5_000_000_000;
/// Requests taken before other connections have their turn.
const AT_ONCE: usize = 64;

/// A companion of a listener.
pub(super) struct Own {
    pub(super) provider: usize,
    /// The name that the provider was asked for first.
    pub(super) asked: SocketAddr,
    pub(super) socket: Socket,
}

/// A listener of the program that the SAN has.
pub(in super::super) struct SanListener {
    pub(super) generation: u32,
    /// As TCP has it.
    local: SocketAddr,
    ipv6_only: bool,
    debug: bool,
    /// The companions.
    pub(super) sockets: Vec<Own>,
    /// Providers that were asked to listen, and the names that they were asked for first, whatever they answered.
    pub(super) asked: HashSet<(usize, SocketAddr)>,
    /// The backlog that the providers know.
    pub(super) backlog: u32,
    /// A child of fork got the listener: when what waits is reset.
    inherited: Option<u64>,
    /// Other processes have the listener, and control of it goes to who uses it.
    pub(super) share: Option<Share>,
}

impl Service {
    /// Something was asked of a listener, or has happened at it.
    pub(super) fn look_at_listener(&mut self, stream: &Stream) {
        let index = stream.index;
        let known = self.listeners.get(&index).map(|listener| listener.generation);
        if known.is_some_and(|generation| generation != stream.generation) {
            self.listeners.remove(&index);
        }
        let record = stream.record;
        let closed = record.first() != First::Listening || record.life() == Life::Closed;
        if !self.listeners.contains_key(&index) && (!closed || Self::is_shared_listener(stream)) {
            let listener = self.open_listener(stream);
            self.listeners.insert(index, listener);
            record.first.listens.store(1, Ordering::Release);
            record.recv.common.announce_change();
        }
        self.begin_share(stream);
        if closed {
            if self.part_listener(stream) {
                self.close_listener(stream);
            }
            return;
        }
        if record.first.backlog.load(Ordering::Relaxed) == 0 && !self.part_listener(stream) {
            return;
        }
        let accepts = self.look_at_share(stream);
        self.keep_backlog(stream);
        self.keep_to_one_process(stream);
        if accepts {
            self.accept_in_turn(stream);
        }
    }

    fn open_listener(&mut self, stream: &Stream) -> SanListener {
        let found = on_descriptor(self.family, stream, |own| {
            let flags = (tcp::is_ipv6_only(own.borrow()), tcp::is_debugged(own.borrow()));
            (tcp::local_name(own.borrow()), flags.0.unwrap_or(false), flags.1.unwrap_or(false))
        });
        let (local, ipv6_only, debug) = match found {
            Some((Ok(local), ipv6_only, debug)) => (local, ipv6_only, debug),
            _ => (SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0), true, false),
        };
        let backlog = stream.record.first.backlog.load(Ordering::Relaxed);
        let generation = stream.generation;
        let (sockets, asked) = (Vec::new(), HashSet::new());
        let mut listener = SanListener {
            generation,
            local,
            ipv6_only,
            debug,
            sockets,
            asked,
            backlog,
            inherited: None,
            share: None,
        };
        if !Self::is_shared_listener(stream) {
            self.ask_providers(stream, &mut listener);
        }
        listener
    }

    /// Asks every provider that fits and was not asked before (SW-081); one that fails is left out of this listener (SW-082).
    pub(super) fn ask_providers(&self, stream: &Stream, listener: &mut SanListener) {
        let local = listener.local;
        if local.port() == 0 {
            return;
        }
        for provider in self.providers.for_listener(local.ip()) {
            let names = names_of(local, listener.ipv6_only, self.providers.addresses(provider));
            for choice in names {
                if !listener.asked.insert((provider, choice[0])) {
                    continue;
                }
                let asked = choice[0];
                let mut tries =
                    choice.into_iter().map(|name| self.listen_on(stream, provider, name, listener.debug));
                let socket = tries.find_map(Result::ok);
                listener.sockets.extend(socket.map(|socket| Own { provider, asked, socket }));
            }
        }
    }

    /// SW-033: what an address change has given to a provider is served by it from now on. A wildcard that a provider knows needs
    /// nothing.
    pub(in super::super) fn extend_listeners(&mut self) {
        let mut listeners = std::mem::take(&mut self.listeners);
        for (index, listener) in &mut listeners {
            let current = current_listener((*index, listener.generation));
            let here = listener.inherited.is_none() && listener.is_controlled_here();
            if let Some(stream) = current.filter(|_| here && listener.backlog != 0) {
                self.ask_providers(&stream, listener);
            }
        }
        self.listeners = listeners;
    }

    fn listen_on(
        &self,
        stream: &Stream,
        provider: usize,
        name: SocketAddr,
        debug: bool,
    ) -> Result<Socket, WsaError> {
        let socket = companion_socket(&self.providers, provider, name, debug)?;
        let backlog = stream.record.first.backlog.load(Ordering::Relaxed);
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        socket.event_select(Some(event_of(stream.index)), EventMask::ACCEPT)?;
        Ok(socket)
    }

    /// Whether a listener of this process has this name: such a connection stays on TCP.
    pub(super) fn listens_here(&self, peer: SocketAddr) -> bool {
        self.listeners.values().any(|listener| {
            let own = canonical(listener.local);
            let same = own.ip() == peer.ip() || own.ip().is_unspecified();
            own.port() == peer.port() && same && !listener.sockets.is_empty()
        })
    }

    /// A second listen(2) has changed it.
    fn keep_backlog(&mut self, stream: &Stream) {
        let backlog = stream.record.first.backlog.load(Ordering::Relaxed);
        let Some(listener) = self.listeners.get_mut(&stream.index) else { return };
        if backlog == 0 {
            listener.sockets.clear();
        } else if listener.backlog != backlog {
            listener.backlog = backlog;
            if let Some(share) = &listener.share {
                share.page.value.store(backlog, Ordering::Relaxed);
            }
            for own in &listener.sockets {
                // A provider that refuses keeps the old one.
                let _ = own.socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX));
            }
        }
    }

    /// A connection waits for one process; when several have the listener nobody knows which of them accepts.
    fn keep_to_one_process(&mut self, stream: &Stream) {
        let alone = stream.record.holders.load(Ordering::Acquire) <= 1;
        let Some(listener) = self.listeners.get_mut(&stream.index) else { return };
        if alone && listener.inherited.is_none() {
            return;
        }
        listener.sockets.clear();
        stream.record.set_reason(Some(Reason::SharedByProcesses));
        let now = clock::now_ns();
        let until = *listener.inherited.get_or_insert(now + SHARED_WITHIN);
        if alone || !has_queued(stream.record) {
            return;
        }
        if until <= now {
            listening::refuse_all(self.family, stream, Reason::SharedByProcesses);
        } else {
            self.alarms.insert(stream.index, until);
        }
    }

    fn close_listener(&mut self, stream: &Stream) {
        self.alarms.remove(&stream.index);
        if self.listeners.remove(&stream.index).is_some() {
            listening::ended();
        }
        if stream.record.first() != First::Listening {
            return;
        }
        listening::refuse_all(self.family, stream, Reason::ShutDown);
        record::companion_done(self.family, stream.index, Attach::Never);
    }

    /// SW-091, SW-093: takes the requests that wait.
    pub(super) fn accept_waiting(&mut self, stream: &Stream) {
        let count = self.listeners.get(&stream.index).map_or(0, |listener| listener.sockets.len());
        for number in 0..count {
            for _ in 0..AT_ONCE {
                match self.accept_one(stream, number) {
                    // Refused for want of room; the next one waits perhaps.
                    Ok(()) | Err(WsaError::WSAECONNREFUSED) => {}
                    Err(_) => break,
                }
            }
        }
    }

    /// Takes one request, wherever it waits.
    pub(super) fn accept_one_of_all(&mut self, stream: &Stream) {
        let count = self.listeners.get(&stream.index).map_or(0, |listener| listener.sockets.len());
        let taken = |service: &mut Self, number| service.accept_one(stream, number).is_ok();
        let _ = (0..count).find(|number| taken(self, *number));
    }

    fn accept_one(&mut self, stream: &Stream, number: usize) -> Result<(), WsaError> {
        let listener = self.listeners.get(&stream.index).ok_or(WsaError::WSAENOTSOCK)?;
        let Own { provider, socket, .. } = listener.sockets.get(number).ok_or(WsaError::WSAENOTSOCK)?;
        let (provider, local) = (*provider, listener.local);
        let _ = socket.enum_network_events(Some(event_of(stream.index)));
        let mut names = None;
        let accepted = socket.accept(|caller, callee| {
            if !take_place(stream.record) {
                return Condition::Reject;
            }
            names = Some(names_at(caller, callee));
            Condition::Accept
        });
        match (accepted, names) {
            (Ok((socket, _)), Some(names)) => {
                self.accepted_first(stream, provider, local, names, socket);
                Ok(())
            }
            (result, names) => {
                if names.is_some() {
                    give_place(stream.record);
                }
                result.map(drop)
            }
        }
    }

    /// A record and a companion for what a provider has accepted; it is shown to the program when its rings stand.
    fn accepted_first(
        &mut self,
        listener: &Stream,
        provider: usize,
        form: SocketAddr,
        names: Names,
        socket: Socket,
    ) {
        let Some(stream) = record::allocate(self.family).and_then(Stream::at) else {
            return give_place(listener.record);
        };
        let record = stream.record;
        record.role.store(Role::Acceptor as u32, Ordering::Release);
        record.controller.store(family::my_slot() as u32 + 1, Ordering::Release);
        record.provider.store(provider as u32 + 1, Ordering::Relaxed);
        record.first.local.set(in_form_of(form, names.local));
        record.first.peer.set(in_form_of(form, names.peer));
        for common in [&record.send.common, &record.recv.common] {
            common.gate().force(State::Opening);
        }
        record.set_life(Life::Connecting);
        record.set_attach(Attach::Wanted);
        record.set_reason(Some(Reason::Attaching));
        record.set_first(First::Connecting);
        let port = Port::accepted(&self.providers, provider, stream.index, names, socket);
        let companion: Result<Companion, Failure> = port
            .map_err(Failure::from)
            .and_then(|port| Ok(Companion::new(stream.generation, names, random_number()?, port)));
        match companion {
            Ok(mut companion) => {
                companion.listener = Some((listener.index, listener.generation));
                self.keys.insert(companion.key, stream.index);
                self.companions.insert(stream.index, companion);
                self.alarms.insert(stream.index, clock::now_ns() + STAND_WITHIN);
                // Not now: the provider is asked for the other requests first.
                kick::kick(stream.index);
            }
            Err(_) => {
                give_place(listener.record);
                record.close_attach();
                record::companion_done(self.family, stream.index, Attach::Never);
            }
        }
    }

    /// An accepted connection came to nothing before the program knew of it.
    pub(super) fn dropped_before_accept(&mut self, stream: &Stream, reason: Reason) {
        let listener = self.companions.get(&stream.index).and_then(|companion| companion.listener);
        trace::note(format_args!("connection {} ends before it was accepted: {reason}", stream.index));
        self.forget(stream.index);
        if let Some(listener) = listener.and_then(|listener| self.queue_of(listener)) {
            give_place(listener.record);
        }
        stream.record.set_life(Life::Closed);
        stream.record.close_attach();
        record::companion_done(self.family, stream.index, Attach::Never);
    }
}

impl SanListener {
    /// Whether its SAN sockets are this process's.
    fn is_controlled_here(&self) -> bool {
        let held = |share: &Share| share.page.control() == Control::Held(share.me);
        self.share.as_ref().is_none_or(held)
    }
}

/// The listener with this index and generation, if it still listens.
pub(super) fn current_listener((index, generation): (u32, u32)) -> Option<Stream> {
    let listens = |listener: &Stream| {
        listener.generation == generation
            && listener.record.first() == First::Listening
            && listener.record.life() == Life::Listening
    };
    Stream::at(index).filter(listens)
}

/// The names under which a provider with these addresses is asked to listen; of each choice one, best first. The wildcard of
/// IPv6 means IPv4 too, and a provider may know IPv4 only (SP-010). Providers know no IPV6_V6ONLY, so such a wildcard becomes
/// single addresses: the SAN must not refuse what another listener would get.
fn names_of(local: SocketAddr, ipv6_only: bool, addresses: &[IpAddr]) -> Vec<Vec<SocketAddr>> {
    let at = |ip: IpAddr| SocketAddr::new(ip, local.port());
    match (local.ip(), ipv6_only) {
        (IpAddr::V6(ip), true) if ip.is_unspecified() => {
            addresses.iter().filter(|ip| ip.is_ipv6()).map(|ip| vec![at(*ip)]).collect()
        }
        (IpAddr::V6(ip), false) if ip.is_unspecified() => vec![vec![local, at(Ipv4Addr::UNSPECIFIED.into())]],
        _ => vec![vec![canonical(local)]],
    }
}

fn names_at(caller: &SockAddr, callee: &SockAddr) -> Names {
    Names { local: canonical(callee.socket_addr()), peer: canonical(caller.socket_addr()) }
}
