//! The beginning of a companion: whether a connection gets one, how the two meet, what their switches agree on.

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::{clock, tcp};
use wsd_session::{Capabilities, Parameters, Role as SessionRole, Session};

use super::companion::{Companion, Stage};
use super::compare::no_way;
use super::patience::{MEET_WITHIN, STEP_WITHIN};
use super::port::Port;
use super::proof::Names;
use super::pump::LONGEST_PAUSE;
use super::thread::Service;
use crate::family::record::{self, SHUT, URGENT};
use crate::family::{Attach, First, Life, Role, table};
use crate::reason::Reason;
use crate::stream::state::Stream;

use super::steps::{Failure, Step, fail, fail_for_now};

/// As [`STEP_WITHIN`], for a program's connect that waits for it (nanoseconds; SW-106): sooner than the other end gives up.
const CONNECT_WITHIN: u64 = 3_000_000_000;
/// How long the end that connected waits for its peer where they have had a companion before (nanoseconds). Each end tries again at
/// its own pace, as slow as [`LONGEST_PAUSE`]: the one that waits has to wait for longer than the other one pauses, or they would
/// miss each other for ever. An attempt of the other one, whose peer is known to be able to answer, takes [`STEP_WITHIN`].
const MEET_AGAIN_WITHIN: u64 = 2 * LONGEST_PAUSE;
/// When an end looks again for the other end's companion, or for its own name to be free (nanoseconds).
const SOON: [u64; 7] = [1_000_000, 2_000_000, 4_000_000, 8_000_000, 16_000_000, 64_000_000, 256_000_000];

impl Service {
    /// A connection without companion.
    pub(super) fn consider(&mut self, stream: &Stream) {
        let record = stream.record;
        if record.attach() == Attach::Leaving {
            return self.leave(stream);
        }
        if record.attach() != Attach::Wanted {
            return;
        }
        if record.life() == Life::Closed {
            return record::companion_done(self.family, stream.index, Attach::Never);
        }
        let waits =
            self.soon.get(&stream.index).is_some_and(|(generation, _)| *generation == stream.generation);
        if waits && self.alarms.contains_key(&stream.index) {
            // The moment to look again has not come; the program's traffic says nothing of the other end.
            return;
        }
        match self.begin(stream) {
            Ok(companion) => {
                self.keys.insert(companion.key, stream.index);
                self.companions.insert(stream.index, companion);
                record.set_reason(Some(Reason::Attaching));
                let limit = match record.role() {
                    _ if record.breaks.load(Ordering::Relaxed) == 0 => MEET_WITHIN,
                    Role::Connector => MEET_AGAIN_WITHIN,
                    _ => STEP_WITHIN,
                };
                self.alarms.insert(stream.index, clock::now_ns() + limit);
                self.look(stream.index);
            }
            Err(failure) => self.failed(stream, &failure),
        }
    }

    pub(super) fn begin(&mut self, stream: &Stream) -> Result<Companion, Failure> {
        let record = stream.record;
        if record.holders.load(Ordering::Acquire) != 1 {
            return Err(fail(Reason::SharedByProcesses));
        }
        for common in [&record.send.common, &record.recv.common] {
            if common.flagged(URGENT) {
                return Err(fail(Reason::UrgentData));
            }
            if common.flagged(SHUT) {
                return Err(fail(Reason::ShutDown));
            }
        }
        let (names, debug) = {
            let _table = table::lock();
            let fd = table::descriptor_of(self.family, stream.index).ok_or(fail(Reason::HistoryUnknown))?;
            let stream = stream.with(fd);
            record.mirror(&stream.borrow());
            let names = Names::of(&stream.borrow()).ok_or(fail(Reason::ShutDown))?;
            (names, tcp::is_debugged(stream.borrow()).unwrap_or(false))
        };
        let provider = self.provider(stream, names)?;
        record.provider.store(provider as u32 + 1, Ordering::Relaxed);
        let port = match record.role() {
            Role::Connector => Port::listen(&self.providers, provider, stream.index, names, debug),
            _ => Port::connect(&self.providers, provider, stream.index, names, debug),
        };
        let key = random_number()?;
        Ok(Companion::new(stream.generation, names, key, port?))
    }

    /// The provider by which the connection gets a companion.
    fn provider(&self, stream: &Stream, names: Names) -> Result<usize, Failure> {
        if let Some(here) = self.providers.for_addresses(names.local, names.peer) {
            return Ok(here);
        }
        let there = self.providers.between_hosts(names.local, names.peer);
        let there = there.ok_or(fail(if self.providers.is_empty() {
            Reason::NoProvider
        } else {
            Reason::NoProviderForAddress
        }))?;
        if self.can_compare(stream) { Ok(there) } else { Err(fail(Reason::StreamUnseen)) }
    }

    /// The companions have met: negotiate (SW-100..105).
    pub(super) fn talk(&mut self, stream: &Stream) -> Step {
        self.soon.remove(&stream.index);
        if let Some(companion) = self.companions.get_mut(&stream.index) {
            companion.port.allocate_ring();
        }
        let parameters = self.parameters(stream)?;
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let nonce = random_number()?;
        // With TCP first the roles are turned.
        let role = match (stream.record.role(), stream.record.first()) {
            (Role::Connector, First::No) | (Role::Acceptor | Role::None, First::Connecting) => {
                SessionRole::Listening
            }
            _ => SessionRole::Connecting,
        };
        let mut session =
            Session::new(role, parameters, nonce).map_err(|_| fail(Reason::NegotiationFailed))?;
        let posted = companion.port.open_messages().map_err(|failure| fail(failure.reason()))?;
        session.receives_posted(posted);
        companion.session = Some(session);
        companion.stage = Stage::Talking;
        let connects = (stream.record.role(), stream.record.first()) == (Role::Connector, First::Connecting);
        let limit = if connects { CONNECT_WITHIN } else { STEP_WITHIN };
        let now = clock::now_ns();
        self.patience.stepped(now);
        self.alarms.insert(stream.index, now + limit);
        Ok(())
    }

    pub(super) fn parameters(&self, stream: &Stream) -> Result<Parameters, Failure> {
        let companion = self.companions.get(&stream.index).ok_or(fail(Reason::CompanionLost))?;
        let limits = companion.port.limits();
        let mut capabilities = Capabilities::SAME_HOST_PROOF;
        if limits.rdma_read {
            capabilities = capabilities.with(Capabilities::RDMA_READ);
        }
        if stream.record.first() != First::No {
            capabilities = capabilities.with(Capabilities::SAN_FIRST);
        }
        if limits.maps {
            capabilities = capabilities.with(Capabilities::MAPPING);
        }
        if self.can_compare(stream) {
            capabilities = capabilities.with(Capabilities::STREAM_HASH);
        }
        if stream.record.first() == First::No {
            capabilities = capabilities.with(Capabilities::FAIL_OVER);
        }
        Ok(Parameters {
            version: wsd_session::negotiation::VERSION,
            capabilities,
            buffer_length: u16::try_from(limits.max_message)
                .unwrap_or(u16::MAX)
                .min(wsd_session::message::DEFAULT_BUFFER_LENGTH),
            receives: 0,
            threshold: limits.threshold,
            max_rdma: limits.max_rdma,
            rdma_descriptor_length: limits.rdma_descriptor,
            allocation_descriptor_length: limits.allocation_descriptor,
            pid: wsd_os::thread::pid(),
            process_token: self.links.own,
            link_name: self.links.name,
            connection_key: companion.key,
            local: mapped(companion.names.local),
            peer: mapped(companion.names.peer),
        })
    }

    pub(super) fn negotiated(&mut self, stream: &Stream) -> Step {
        self.patience.stepped(clock::now_ns());
        let own = self.links.own;
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let agreement = companion.session.as_ref().and_then(Session::agreement);
        let peer =
            agreement.map(|agreement| agreement.peer.clone()).ok_or(fail(Reason::NegotiationFailed))?;
        let mirrored = companion.names.mirrored();
        let same_names = peer.local == mapped(mirrored.local) && peer.peer == mapped(mirrored.peer);
        if !same_names {
            return Err(fail(Reason::NoProof));
        }
        if peer.process_token == own {
            return Err(fail(Reason::SameProcess));
        }
        let compares = agreement.is_some_and(|agreement| agreement.stream_hash);
        let same_host = agreement.is_some_and(|agreement| agreement.same_host_proof);
        if !same_host && !compares {
            return Err(fail(Reason::NegotiationFailed));
        }
        let first = stream.record.first() != First::No;
        if agreement.is_some_and(|agreement| agreement.san_first) != first {
            return Err(fail(Reason::NegotiationFailed));
        }
        let (token, name) = (peer.process_token, peer.link_name);
        let peer_compares = peer.capabilities.has(Capabilities::STREAM_HASH);
        companion.peer = Some(peer);
        // Rings that nobody else maps need no pair pages.
        let linked = !first || agreement.is_some_and(|agreement| agreement.mapping);
        let connects = companion.session.as_ref().is_some_and(|s| s.role() == SessionRole::Connecting);
        if !linked || !connects {
            return Ok(());
        }
        let link = if same_host { self.links.connect(token, &name) } else { Err(Errno::CONNREFUSED) };
        match link {
            Ok(Some(id)) => self.watch_link(id),
            Ok(None) => {}
            Err(Errno::AGAIN) => return Err(fail_for_now(Reason::NoProof)),
            // Nobody listens there: the peer is on another host, or in another network namespace.
            Err(Errno::CONNREFUSED) if compares => return self.tell_marks(stream),
            Err(_) => return Err(no_way(peer_compares)),
        }
        Ok(())
    }

    /// The other end's companion is not there yet, or cannot have its name yet: whether to look again soon, before anything else
    /// is concluded. Both ends see the same traffic, so they come within moments of each other.
    pub(super) fn look_again_soon(&mut self, stream: &Stream, reason: Reason) -> bool {
        let meeting = self.companions.get(&stream.index).is_none_or(|c| c.stage == Stage::Meeting);
        let waits = stream.record.role() == Role::Acceptor || reason == Reason::AddressTaken;
        if !waits || !meeting || stream.record.attach() != Attach::Wanted {
            return false;
        }
        let tries = self.soon.entry(stream.index).or_insert((stream.generation, 0));
        if tries.0 != stream.generation {
            *tries = (stream.generation, 0);
        }
        let Some(delay) = SOON.get(tries.1) else {
            self.soon.remove(&stream.index);
            return false;
        };
        tries.1 += 1;
        self.forget(stream.index);
        self.alarms.insert(stream.index, clock::now_ns() + delay);
        true
    }
}

/// A key, which names a connection on the link, or a nonce.
pub(super) fn random_number() -> Result<u64, Failure> {
    wsd_os::random::bytes::<8>().map(u64::from_le_bytes).map_err(|_| fail(Reason::ProviderFailed))
}

fn mapped(address: std::net::SocketAddr) -> std::net::SocketAddrV6 {
    match address {
        std::net::SocketAddr::V4(v4) => {
            std::net::SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0)
        }
        std::net::SocketAddr::V6(v6) => std::net::SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0),
    }
}
