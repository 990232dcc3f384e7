//! What the service thread does with a connection, step by step: attach, proof, rings, promotion, close.

use rustix::io::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::clock;
use wsd_os::fd::{AsFd, OwnedFd};
use wsd_os::ring::Ring;
use wsd_session::{Capabilities, Event, Parameters, ReceiveState, Role as SessionRole, SendState, Session};

use super::companion::{Companion, Proof, Stage};
use super::links::Token;
use super::port::{Port, PortState};
use super::proof::{self, Names};
use super::thread::Service;
use crate::family::record::{self, RESET, SHUT, SWITCH_WANTED, URGENT};
use crate::family::{Attach, Life, Role, table};
use crate::reason::Reason;
use crate::stream::close::{give_up, mark_dead, peer_had_read_all};
use crate::stream::gate::State;
use crate::stream::promote::{self, Switched};
use crate::stream::state::Stream;
use crate::trace;
use crate::wait::wake::lane_bit;
use crate::wait::{notice, pair};

/// Attempts to find the other end's companion.
const TRIES: u32 = 6;
/// Highest score that triggers the last attempt.
const FIRST_TRIGGER: u32 = 8;
/// A companion must have met its peer, then have its rings, within these times (nanoseconds).
const MEET_WITHIN: u64 = 500_000_000;
const TALK_WITHIN: u64 = 5_000_000_000;
/// When the end that accepted looks again for the other end's companion (nanoseconds).
const SOON: [u64; 3] = [1_000_000, 5_000_000, 25_000_000];
/// What TCP has to say after the companion's death.
const LAST_WORD: u64 = 1_000_000_000;

/// A companion's end: why, and whether another attempt makes sense.
pub(super) struct Failure {
    reason: Reason,
    again: bool,
}

pub(super) fn fail(reason: Reason) -> Failure {
    Failure { reason, again: false }
}

pub(super) type Step = Result<(), Failure>;

impl Service {
    /// Looks at a connection: something was asked for or has happened.
    pub(super) fn look(&mut self, index: u32) {
        let Some(stream) = self.current(index) else { return };
        if !self.companions.contains_key(&index) {
            return self.consider(&stream);
        }
        if stream.record.life() == Life::Closed {
            return self.close(&stream);
        }
        if stream.record.attach() == Attach::Leaving {
            return self.leave(&stream);
        }
        if stream.record.recv.common.flagged(RESET) && stream.record.attach() == Attach::Attached {
            self.abort(index);
            self.set_stage(index, Stage::Lost);
            return;
        }
        if let Err(failure) = self.advance(&stream) {
            self.failed(&stream, &failure);
        }
    }

    /// The connection with this index. A companion that belonged to an earlier one is taken apart.
    fn current(&mut self, index: u32) -> Option<Stream> {
        let stream = Stream::at(index)?;
        if self.companions.get(&index).is_some_and(|companion| companion.generation != stream.generation) {
            self.forget(index);
        }
        Some(stream)
    }

    fn set_stage(&mut self, index: u32, stage: Stage) {
        if let Some(companion) = self.companions.get_mut(&index) {
            companion.stage = stage;
        }
    }

    /// A connection without companion.
    fn consider(&mut self, stream: &Stream) {
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

    fn begin(&mut self, stream: &Stream) -> Result<Companion, Failure> {
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

    /// Drives a companion as far as it goes now.
    fn advance(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        match companion.port.advance() {
            PortState::Waiting => return Ok(()),
            PortState::Failed(failure) if companion.stage == Stage::Meeting => {
                return Err(Failure { reason: failure.reason(), again: failure.may_pass() });
            }
            PortState::Failed(_) => {
                self.receive(stream)?;
                return self.companion_lost(stream);
            }
            PortState::Connected => {}
        }
        if companion.stage == Stage::Meeting {
            self.talk(stream)?;
        }
        self.receive(stream)?;
        if self.companions.get(&stream.index).is_some_and(|companion| companion.port.has_failed()) {
            return self.companion_lost(stream);
        }
        self.prove(stream)?;
        self.promote(stream)?;
        self.rewind(stream)?;
        self.pump(stream)?;
        self.transmit(stream)?;
        self.after_bye(stream);
        Ok(())
    }

    /// The peer's companion says nothing any more: either its program has closed, or it went back to TCP.
    fn after_bye(&mut self, stream: &Stream) {
        let Some(companion) = self.companions.get_mut(&stream.index).filter(|c| c.peer_said_bye) else {
            return;
        };
        let commons = [&stream.record.send.common, &stream.record.recv.common];
        if commons.iter().any(|common| common.gate().state() != State::Tcp) {
            companion.stage = Stage::Lost;
        } else if stream.record.attach() == Attach::Attached {
            stream.record.set_reason(Some(Reason::PeerWentToTcp));
            stream.record.set_attach(Attach::Leaving);
            super::kick::kick(stream.index);
        }
    }

    /// The companions have met: negotiate (SW-100..105).
    fn talk(&mut self, stream: &Stream) -> Step {
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

    fn parameters(&self, stream: &Stream) -> Result<Parameters, Failure> {
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

    /// Takes the messages that have arrived.
    pub(super) fn receive(&mut self, stream: &Stream) -> Step {
        for _ in 0..64 {
            let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
            let (Some(session), port) = (companion.session.as_mut(), &mut companion.port) else {
                return Ok(());
            };
            catch_up(session, stream);
            let mut buffer = [0u8; 4096];
            let Some(length) = port.receive(&mut buffer) else { return Ok(()) };
            let event = match session.receive(&buffer[..length]) {
                Ok(event) => event,
                Err(error) => {
                    trace::note(format_args!("connection {}: {error}", stream.index));
                    return Err(fail(Reason::NegotiationFailed));
                }
            };
            session.reposted(port.repost());
            if let Some(event) = event {
                self.on_event(stream, event)?;
            }
        }
        // More may wait: come back after the others.
        super::kick::kick(stream.index);
        Ok(())
    }

    fn on_event(&mut self, stream: &Stream, event: Event<'_>) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let (record, index) = (stream.record, stream.index);
        match event {
            Event::Negotiated => self.negotiated(stream)?,
            Event::PeerProven => {}
            Event::RingOffered { length, notify_slot, descriptor } => {
                let ring = companion.port.map(descriptor, length).ok_or(fail(Reason::NoMemory))?;
                let channel = stream.channel().map_err(|_| fail(Reason::NoMemory))?;
                channel.peer_bit.store(notify_slot % pair::CONNECTIONS as u32, Ordering::Relaxed);
                channel.recv.store(ring);
                companion.ring_mapped = true;
                let session = companion.session.as_mut().ok_or(fail(Reason::NegotiationFailed))?;
                session.ring_ready().map_err(|_| fail(Reason::NegotiationFailed))?;
            }
            Event::RingReady => companion.ring_taken = true,
            Event::Proposed => {
                record.recv.common.flag(SWITCH_WANTED);
                promote::agree(stream);
            }
            Event::Consented => {
                record.send.common.flag(SWITCH_WANTED);
            }
            Event::Refused { .. } => {}
            Event::DemoteRequested { direction } => self.demotion_wanted(stream, direction)?,
            // `rewind` follows in the same round.
            Event::Frozen { .. } if companion.pump.is_none() => {}
            Event::Declined | Event::Demoted { .. } => self.receive_is_on_tcp(stream)?,
            Event::Bye => {
                companion.peer_said_bye = true;
                self.pump_bye(stream);
                trace::note(format_args!("connection {index}: the peer's companion is done"));
            }
            Event::Reset => {
                give_up(stream, Reason::CompanionLost);
            }
            event => self.pump_event(stream, event)?,
        }
        Ok(())
    }

    fn negotiated(&mut self, stream: &Stream) -> Step {
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

    /// Hands over and verifies descriptors as far as the rules allow now.
    fn prove(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        if companion.stage != Stage::Talking {
            return Ok(());
        }
        let Some(peer) = companion.peer.as_ref() else { return Ok(()) };
        let (token, key) = (peer.process_token, peer.connection_key);
        let (Some(pair), Some(partner)) = (self.links.pair(&token), self.links.credentials(&token)) else {
            return Ok(());
        };
        if let Some(fd) = companion.proof.early.take() {
            let right =
                on_descriptor(self.family, stream, |own| proof::is_other_end(own.borrow(), fd.as_fd()));
            proof::close_foreign(fd);
            if right != Some(true) {
                let _ = self.links.no_proof(&token, key);
                return Err(fail(Reason::NoProof));
            }
            companion.proof.verified = true;
        }
        let proof = &mut companion.proof;
        if !proof.handed {
            if proof.verified || proof::may_go_first(partner, companion.names) {
                let links = &self.links;
                let handed = on_descriptor(self.family, stream, |own| links.hand(&token, key, own.borrow()));
                if handed != Some(Ok(())) {
                    return Err(fail(Reason::NoProof));
                }
                proof.handed = true;
            } else if proof.peer_waits {
                let _ = self.links.no_proof(&token, key);
                return Err(fail(Reason::NoProof));
            } else if !proof.waiting {
                proof.waiting = true;
                self.links.go_first(&token, key).map_err(|_| fail(Reason::NoProof))?;
            }
        }
        if proof.verified && proof.handed {
            let session = companion.session.as_mut().ok_or(fail(Reason::NegotiationFailed))?;
            session.proven().map_err(|_| fail(Reason::NegotiationFailed))?;
            let bit = pair::take_bit(pair, stream.index).ok_or(fail(Reason::NoMemory))?;
            companion.pair = Some((pair, bit));
            companion.stage = Stage::Rings;
        }
        Ok(())
    }

    /// A descriptor for the connection that we know by `key`.
    pub(super) fn handed(&mut self, token: Token, key: u64, fd: OwnedFd) {
        let index = self.keys.get(&key).copied();
        let companion = index.and_then(|index| self.companions.get_mut(&index));
        match (index, companion) {
            (Some(index), Some(companion))
                if companion.stage == Stage::Talking && !companion.proof.verified =>
            {
                if companion.peer_token().is_none_or(|known| known == token)
                    && companion.proof.early.is_none()
                {
                    companion.proof.early = Some(fd);
                    return self.look(index);
                }
                proof::close_foreign(fd);
            }
            _ => {
                proof::close_foreign(fd);
                let _ = self.links.no_proof(&token, key);
            }
        }
    }

    pub(super) fn peer_waits(&mut self, token: Token, key: u64) {
        self.with_key(token, key, |service, index| {
            if let Some(companion) = service.companions.get_mut(&index) {
                companion.proof.peer_waits = true;
            }
            service.look(index);
        });
    }

    pub(super) fn peer_gives_up(&mut self, token: Token, key: u64) {
        self.with_key(token, key, |service, index| {
            if let Some(stream) = service.current(index) {
                service.failed(&stream, &fail(Reason::NoProof));
            }
        });
    }

    fn with_key(&mut self, token: Token, key: u64, act: impl FnOnce(&mut Self, u32)) {
        let index = self.keys.get(&key).copied();
        let of_peer = |companion: &Companion| companion.peer_token() == Some(token);
        if let Some(index) = index.filter(|index| self.companions.get(index).is_some_and(of_peer)) {
            act(self, index);
        }
    }

    /// Exchanges rings, then changes the path of each direction when the other end agrees.
    fn promote(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let Some(session) = companion.session.as_mut() else { return Ok(()) };
        let channel = stream.channel().map_err(|_| fail(Reason::NoMemory))?;
        if companion.stage == Stage::Rings && session.both_proven() {
            if !session.agreement().is_some_and(|agreement| agreement.mapping) {
                self.open_pump(stream)?;
                self.attached(stream)?;
                return self.switch(stream);
            }
            if channel.send.load().is_none() {
                let (ring, descriptor) = companion.port.own_ring().ok_or(fail(Reason::NoMemory))?;
                ring.reset();
                let (pair, bit) = companion.pair.ok_or(fail(Reason::NoMemory))?;
                channel.own_bit.store(bit, Ordering::Relaxed);
                channel.pair.store(pair + 1, Ordering::Release);
                channel.send.store(ring);
                session
                    .offer_ring(Ring::BYTES as u32, bit, descriptor)
                    .map_err(|_| fail(Reason::NegotiationFailed))?;
            }
            if companion.ring_taken && companion.ring_mapped {
                self.attached(stream)?;
            }
        }
        self.switch(stream)
    }

    /// Both rings stand.
    fn attached(&mut self, stream: &Stream) -> Step {
        {
            // A fork holds the table: either it comes after this, and the child inherits the mapped rings, or before, and
            // the connection has two holders.
            let _table = table::lock();
            if stream.record.holders.load(Ordering::Acquire) != 1 {
                return Err(fail(Reason::SharedByProcesses));
            }
            if !stream.record.change_attach(Attach::Wanted, Attach::Attached) {
                return Ok(());
            }
            if let Some(fd) = table::descriptor_of(self.family, stream.index) {
                self.watch_tcp(fd, stream.index);
            }
        }
        stream.record.set_reason(Some(Reason::AwaitingConsent));
        self.alarms.remove(&stream.index);
        if let Some(companion) = self.companions.get_mut(&stream.index) {
            companion.stage = Stage::Up;
            if let Some(session) = companion.session.as_mut() {
                session.propose().map_err(|_| fail(Reason::NegotiationFailed))?;
            }
        }
        notice::changed(stream.index);
        // Closed meanwhile: whoever closed saw the attach under way and left the rest to us.
        if stream.record.life() == Life::Closed {
            super::kick::kick(stream.index);
        }
        Ok(())
    }

    fn switch(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let (Stage::Up, Some(session)) = (companion.stage, companion.session.as_mut()) else { return Ok(()) };
        let record = stream.record;
        if matches!(session.receive_state(), ReceiveState::Asked | ReceiveState::Refused) {
            if record.recv.common.gate().state() == State::Tcp {
                record.recv.common.flag(SWITCH_WANTED);
                promote::agree(stream);
            }
            if record.recv.common.gate().state() == State::Agreed {
                session.consent().map_err(|_| fail(Reason::NegotiationFailed))?;
                notice::changed(stream.index);
                if let Some(ring) = stream.channel().ok().and_then(|channel| channel.recv.load()) {
                    ring.arm_data_wait(&record.recv.ring, lane_bit(0));
                }
            }
        }
        promote::enter_if_begun(stream).map_err(|_| fail(Reason::CompanionLost))?;
        if session.send_state() == SendState::Consented {
            let switched = if record.send.common.gate().state() == State::Tcp {
                record.send.common.flag(SWITCH_WANTED);
                on_descriptor(self.family, stream, promote::switch_send).unwrap_or(Switched::Later)
            } else {
                Switched::Yes
            };
            if switched == Switched::Never {
                let written = record.send.common.kernel_bytes.load(Ordering::Acquire);
                session.demoted(written).map_err(|_| fail(Reason::NegotiationFailed))?;
            }
        }
        catch_up(session, stream);
        let promoted = |common: &crate::family::layout::Common| common.gate().state() == State::San;
        if promoted(&record.send.common) && promoted(&record.recv.common) {
            record.set_reason(None);
        }
        Ok(())
    }

    /// Hands what the session has to say to the provider.
    pub(super) fn transmit(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let Some(session) = companion.session.as_mut() else { return Ok(()) };
        let port = &mut companion.port;
        while port.can_send() {
            let mut buffer = [0u8; 4096];
            let Some(length) = session.next_message(&mut buffer) else { break };
            if port.send(&buffer[..length]).is_err() {
                return self.companion_lost(stream);
            }
        }
        Ok(())
    }

    /// The companion's connection is gone, or the peer's process is.
    pub(super) fn companion_lost(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        if stream.record.attach() != Attach::Attached {
            return Err(fail(Reason::CompanionLost));
        }
        companion.stage = Stage::Lost;
        let Ok(channel) = stream.channel() else { return Ok(()) };
        let (record, recv, send) = (stream.record, channel.recv.load(), channel.send.load());
        let ended =
            recv.is_some_and(|ring| ring.writer_control().fin.is_some() || ring.writer_control().reset);
        let closed = send.is_some_and(|ring| ring.reader_control().closed);
        if ended && closed {
            // An orderly end: everything that matters is in the rings.
            return Ok(());
        }
        // What the pump had not brought here yet died with the peer.
        let cut = companion.pump.is_some() && !ended && record.recv.common.gate().state() == State::San;
        if cut || (companion.pump.is_none() && !peer_had_read_all(stream, channel)) {
            record.recv.common.flag(RESET);
        }
        record.set_reason(Some(Reason::CompanionLost));
        mark_dead(stream);
        self.alarms.insert(stream.index, clock::now_ns() + LAST_WORD);
        Ok(())
    }

    pub(super) fn peer_lost(&mut self, index: u32) {
        if self.pump_outlives_link(index) {
            return;
        }
        if let Some(stream) = self.current(index)
            && let Err(failure) = self.companion_lost(&stream)
        {
            self.failed(&stream, &failure);
        }
    }

    /// The kernel's connection has ended under a promoted connection. Without an end in the ring the peer was killed, or
    /// somebody used the socket around the switch.
    pub(super) fn tcp_ended(&mut self, index: u32) {
        let stream = self.current(index);
        let Some(companion) = self.companions.get(&index) else { return };
        if stream.is_some_and(|stream| stream.record.send.common.gate().state() == State::Rewind) {
            return self.look(index);
        }
        if companion.stage == Stage::Up {
            self.alarms.entry(index).or_insert(clock::now_ns() + LAST_WORD);
        }
    }

    pub(super) fn alarm(&mut self, index: u32) {
        let Some(stream) = self.current(index) else { return };
        let Some(stage) = self.companions.get(&index).map(|companion| companion.stage) else {
            return self.look(index);
        };
        if self.pump_alarm(&stream) {
            return;
        }
        match stage {
            Stage::Meeting => {
                self.failed(&stream, &Failure { reason: Reason::PeerWithoutCompanion, again: true });
            }
            Stage::Talking | Stage::Rings => self.failed(&stream, &fail(Reason::NegotiationFailed)),
            Stage::Up => {
                // The kernel saw the end of the connection a second ago, and the peer's ring still has none.
                let ring = stream.channel().ok().and_then(|channel| channel.recv.load());
                let ended = ring.is_some_and(|ring| ring.writer_control().fin.is_some());
                if !ended && stream.record.recv.common.gate().state() == State::San {
                    mark_dead(&stream);
                    stream.record.set_reason(Some(Reason::CompanionLost));
                }
            }
            Stage::Lost => {
                // TCP had its time to say something.
                if stream.record.recv.common.gate().state() == State::Dead {
                    let _ = on_descriptor(self.family, &stream, |own| {
                        let silent = wsd_os::tcp::state(own.borrow()) == Ok(wsd_os::tcp::State::Established);
                        if silent {
                            own.record.recv.common.flag(RESET);
                            let _ = wsd_os::tcp::shutdown(own.borrow(), wsd_os::tcp::Shutdown::Both);
                        }
                    });
                    notice::changed(index);
                }
            }
        }
    }

    /// The program has closed.
    pub(super) fn close(&mut self, stream: &Stream) {
        if self.drains(stream) {
            return;
        }
        let Some(companion) = self.companions.get_mut(&stream.index) else { return };
        if let Some(session) = companion.session.as_mut()
            && !companion.said_bye
        {
            companion.said_bye = true;
            catch_up(session, stream);
            let _ = session.bye();
            let _ = self.transmit(stream);
        }
        if self.last_words_wait(stream) {
            return;
        }
        self.forget(stream.index);
        record::companion_done(self.family, stream.index, Attach::Never);
    }

    /// Takes a companion apart.
    pub(super) fn forget(&mut self, index: u32) {
        self.alarms.remove(&index);
        let Some(mut companion) = self.companions.remove(&index) else { return };
        self.keys.remove(&companion.key);
        if let Some(stream) = Stream::at(index)
            && let Ok(channel) = stream.channel()
        {
            channel.clear();
        }
        if let Some((pair, bit)) = companion.pair {
            pair::drop_bit(pair, bit);
        }
        if let Some(pump) = &mut companion.pump {
            pump.withdraw();
        }
        self.part(companion.port, companion.pump);
    }

    /// The other end's companion is not there yet: whether to look again soon, before anything else is concluded. Both ends see
    /// the same traffic, so they come within moments of each other.
    fn look_again_soon(&mut self, stream: &Stream) -> bool {
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

    /// An attach came to nothing: the stream stays on TCP.
    pub(super) fn failed(&mut self, stream: &Stream, failure: &Failure) {
        let record = stream.record;
        if failure.again && record.life() != Life::Closed && self.look_again_soon(stream) {
            return;
        }
        trace::note(format_args!("connection {} stays on TCP: {}", stream.index, failure.reason));
        if record.attach() == Attach::Attached {
            return give_up(stream, failure.reason);
        }
        self.forget(stream.index);
        record.set_reason(Some(failure.reason));
        let trigger = record.trigger.load(Ordering::Relaxed);
        let again = failure.again && trigger < FIRST_TRIGGER << TRIES;
        if again {
            record.trigger.store(trigger * 2, Ordering::Relaxed);
        }
        let next = if again && record.life() != Life::Closed { Attach::No } else { Attach::Never };
        record::companion_done(self.family, stream.index, next);
    }
}

/// Tells the session what the program's threads have done to the gates meanwhile.
pub(super) fn catch_up(session: &mut Session, stream: &Stream) {
    let (send, recv) = (&stream.record.send.common, &stream.record.recv.common);
    if session.send_state() == SendState::Consented
        && send.gate().state() == State::San
        // The lock is held from the change of the gate until S is settled.
        && let Ok(_guard) = send.hold()
        && send.gate().state() == State::San
    {
        let _ = session.promoted(send.promoted_at.load(Ordering::Acquire));
    }
    if session.receive_state() == ReceiveState::Agreed && recv.gate().state() == State::San {
        let _ = session.start_seen(recv.promoted_at.load(Ordering::Acquire));
    }
}

/// Does something with the program's descriptor while it cannot be closed and reused.
pub(super) fn on_descriptor<T>(
    family: &crate::family::Family,
    stream: &Stream,
    act: impl FnOnce(&Stream) -> T,
) -> Option<T> {
    let _table = table::lock();
    let fd = table::descriptor_of(family, stream.index)?;
    Some(act(&stream.with(fd)))
}

fn mapped(address: std::net::SocketAddr) -> std::net::SocketAddrV6 {
    match address {
        std::net::SocketAddr::V4(v4) => {
            std::net::SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0)
        }
        std::net::SocketAddr::V6(v6) => std::net::SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0),
    }
}
