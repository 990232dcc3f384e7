//! The beginning of a companion: whether a connection gets one, how the two meet, what their switches agree on.

use rustix::io::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::clock;
use wsd_session::{Capabilities, Parameters, Role as SessionRole, Session};

use super::companion::{Companion, Proof, Stage};
use super::port::Port;
use super::proof::Names;
use super::thread::Service;
use crate::family::record::{self, SHUT, URGENT};
use crate::family::{Attach, Life, Role, table};
use crate::reason::Reason;
use crate::stream::state::Stream;

use super::steps::{Failure, Step, fail};

/// A companion must have met its peer, then have its rings, within these times (nanoseconds).
const MEET_WITHIN: u64 = 1_500_000_000;
const TALK_WITHIN: u64 = 5_000_000_000;
/// When the end that accepted looks again for the other end's companion (nanoseconds).
const SOON: [u64; 3] = [1_000_000, 5_000_000, 25_000_000];

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
        match self.begin(stream) {
            Ok(companion) => {
                self.keys.insert(companion.key, stream.index);
                self.companions.insert(stream.index, companion);
                record.set_reason(Some(Reason::Attaching));
                self.alarms.insert(stream.index, clock::now_ns() + MEET_WITHIN);
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
        let names = {
            let _table = table::lock();
            let fd = table::descriptor_of(self.family, stream.index).ok_or(fail(Reason::HistoryUnknown))?;
            let stream = stream.with(fd);
            record.mirror(stream.borrow());
            Names::of(stream.borrow()).ok_or(fail(Reason::ShutDown))?
        };
        let provider = self.providers.for_addresses(names.local, names.peer);
        let provider = provider.ok_or(fail(if self.providers.is_empty() {
            Reason::NoProvider
        } else {
            Reason::NoProviderForAddress
        }))?;
        record.provider.store(provider as u32 + 1, Ordering::Relaxed);
        let port = match record.role() {
            Role::Connector => Port::listen(&self.providers, provider, stream.index, names),
            _ => Port::connect(&self.providers, provider, stream.index, names),
        };
        let key =
            wsd_os::random::bytes::<8>().map(u64::from_le_bytes).map_err(|_| fail(Reason::ProviderFailed))?;
        Ok(Companion {
            generation: stream.generation,
            stage: Stage::Meeting,
            names,
            port: port.map_err(|failure| Failure { reason: failure.reason(), again: failure.may_pass() })?,
            session: None,
            key,
            peer: None,
            proof: Proof::default(),
            pair: None,
            ring_taken: false,
            ring_mapped: false,
            pump: None,
            said_bye: false,
            peer_said_bye: false,
        })
    }

    /// The companions have met: negotiate (SW-100..105).
    pub(super) fn talk(&mut self, stream: &Stream) -> Step {
        self.soon.remove(&stream.index);
        if let Some(companion) = self.companions.get_mut(&stream.index) {
            companion.port.allocate_ring();
        }
        let parameters = self.parameters(stream)?;
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let nonce = wsd_os::random::bytes::<8>().map(u64::from_le_bytes).unwrap_or(0);
        let role = match stream.record.role() {
            Role::Connector => SessionRole::Listening,
            _ => SessionRole::Connecting,
        };
        let mut session =
            Session::new(role, parameters, nonce).map_err(|_| fail(Reason::NegotiationFailed))?;
        let posted = companion.port.open_messages().map_err(|failure| fail(failure.reason()))?;
        session.receives_posted(posted);
        companion.session = Some(session);
        companion.stage = Stage::Talking;
        self.alarms.insert(stream.index, clock::now_ns() + TALK_WITHIN);
        Ok(())
    }

    pub(super) fn parameters(&self, stream: &Stream) -> Result<Parameters, Failure> {
        let companion = self.companions.get(&stream.index).ok_or(fail(Reason::CompanionLost))?;
        let limits = companion.port.limits();
        let mut capabilities = Capabilities::SAME_HOST_PROOF;
        if limits.rdma_read {
            capabilities = capabilities.with(Capabilities::RDMA_READ);
        }
        if limits.maps {
            capabilities = capabilities.with(Capabilities::MAPPING);
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
        if !agreement.is_some_and(|agreement| agreement.same_host_proof) {
            return Err(fail(Reason::NegotiationFailed));
        }
        let (token, name) = (peer.process_token, peer.link_name);
        companion.peer = Some(peer);
        // The end that accepted connects the link (session protocol, section 3).
        if stream.record.role() == Role::Acceptor {
            match self.links.connect(token, &name) {
                Ok(Some(id)) => self.watch_link(id),
                Ok(None) => {}
                Err(Errno::AGAIN) => return Err(Failure { reason: Reason::NoProof, again: true }),
                Err(_) => return Err(fail(Reason::NoProof)),
            }
        }
        Ok(())
    }

    /// The other end's companion is not there yet: whether to look again soon, before anything else is concluded. Both ends see
    /// the same traffic, so they come within moments of each other.
    pub(super) fn look_again_soon(&mut self, stream: &Stream) -> bool {
        let meeting = self.companions.get(&stream.index).is_none_or(|c| c.stage == Stage::Meeting);
        if stream.record.role() != Role::Acceptor || !meeting || stream.record.attach() != Attach::Wanted {
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

fn mapped(address: std::net::SocketAddr) -> std::net::SocketAddrV6 {
    match address {
        std::net::SocketAddr::V4(v4) => {
            std::net::SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0)
        }
        std::net::SocketAddr::V6(v6) => std::net::SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0),
    }
}
