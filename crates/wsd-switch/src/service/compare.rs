//! The proof between hosts, step by step: both ends compare what they have hashed of the stream (session protocol, section 9).

use wsd_os::{clock, tcp};
use wsd_session::stream_hash::Digest;
use wsd_session::{Checkpoints, Direction, Marks, Role, Session};

use super::companion::Stage;
use super::steps::{Failure, Step, fail, on_descriptor};
use super::thread::Service;
use crate::reason::Reason;
use crate::stream::hashing;
use crate::stream::state::Stream;

/// How long the end that asks waits before it asks again, first (nanoseconds).
const FIRST_PAUSE: u64 = 10_000_000;

/// What this end compares with the other.
pub(super) struct Comparison {
    /// Towards the peer, from the peer: as they were when the peer was told.
    own: [Checkpoints; 2],
    /// When the time to negotiate ends.
    until: u64,
    /// Before the marks are told again.
    pause: u64,
}

impl Service {
    /// Whether this end can prove the connection by its stream.
    pub(super) fn can_compare(&self, stream: &Stream) -> bool {
        self.known(stream).is_some() || hashing::is_seen(stream)
    }

    /// The checkpoints by which the connection was proven before.
    fn known(&self, stream: &Stream) -> Option<&[Checkpoints; 2]> {
        self.proven
            .get(&stream.index)
            .filter(|(generation, _)| *generation == stream.generation)
            .map(|(_, c)| c)
    }

    /// Tells the peer how far the stream is hashed here.
    pub(super) fn tell_marks(&mut self, stream: &Stream) -> Step {
        let own = self.known(stream).cloned().or_else(|| hashing::checkpoints(stream));
        let own = own.ok_or(fail(Reason::StreamUnseen))?;
        let now = clock::now_ns();
        let until = self.alarms.get(&stream.index).copied().unwrap_or(now);
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let session = companion.session.as_mut().ok_or(fail(Reason::NegotiationFailed))?;
        let marks = Marks(in_flows(session, [own[0].mark(), own[1].mark()]));
        session.stream_marks(marks).map_err(|_| fail(Reason::NegotiationFailed))?;
        let (until, pause) = match &companion.comparison {
            Some(before) => (before.until, before.pause * 2),
            None => (until, FIRST_PAUSE),
        };
        companion.comparison = Some(Comparison { own, until, pause });
        Ok(())
    }

    /// The peer has told how far it is.
    pub(super) fn marks_arrived(&mut self, stream: &Stream) -> Step {
        let role = self.companions.get(&stream.index).and_then(|c| c.session.as_ref()).map(Session::role);
        if role == Some(Role::Listening) {
            self.tell_marks(stream)?;
        }
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let (Some(session), Some(comparison)) = (companion.session.as_mut(), &companion.comparison) else {
            return Ok(());
        };
        match session.common_offsets() {
            Some(offsets) => {
                let own = in_flows(session, [&comparison.own[0], &comparison.own[1]]);
                let digest = |flow: usize| own[flow].at(offsets[flow]).ok_or(fail(Reason::NoProof));
                let digests: [Digest; 2] = [digest(0)?, digest(1)?];
                session.stream_proof(digests).map_err(|_| fail(Reason::NegotiationFailed))?;
            }
            None if role == Some(Role::Connecting) => {
                let again = clock::now_ns() + comparison.pause;
                self.alarms.insert(stream.index, again.min(comparison.until));
            }
            None => {}
        }
        Ok(())
    }

    /// It is time to compare again; whether that was what the alarm was for.
    pub(super) fn compare_again(&mut self, stream: &Stream) -> bool {
        let Some(companion) = self.companions.get(&stream.index) else { return false };
        let Some(comparison) = companion.comparison.as_ref().filter(|c| c.until > clock::now_ns()) else {
            return false;
        };
        self.alarms.insert(stream.index, comparison.until);
        match self.tell_marks(stream) {
            Ok(()) => self.look(stream.index),
            Err(failure) => self.failed(stream, &failure),
        }
        true
    }

    /// The peer has proven, or not, that it has the same stream.
    pub(super) fn stream_compared(&mut self, stream: &Stream, right: bool) -> Step {
        if !right {
            // So that the peer finds the same.
            self.transmit(stream)?;
            return Err(fail(Reason::NoProof));
        }
        // Names and beginning can be those of an earlier connection, but only one of them is established.
        let state = on_descriptor(self.family, stream, |own| tcp::state(own.borrow()));
        if state != Some(Ok(tcp::State::Established)) {
            return Err(fail(Reason::ShutDown));
        }
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let session = companion.session.as_mut().ok_or(fail(Reason::NegotiationFailed))?;
        session.proven().map_err(|_| fail(Reason::NegotiationFailed))?;
        companion.stage = Stage::Rings;
        self.keep_proof(stream)
    }

    /// Both ends are proven: the checkpoints that have proven it are kept for the next time, and nothing else.
    pub(super) fn keep_proof(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        let Some(session) = companion.session.as_ref().filter(|session| session.both_proven()) else {
            return Ok(());
        };
        let Some(Comparison { own, .. }) = companion.comparison.take() else { return Ok(()) };
        let offsets = session.common_offsets().ok_or(fail(Reason::NegotiationFailed))?;
        let [send, receive] = [Direction::Send, Direction::Receive]
            .map(|direction| offsets[usize::from(session.flow(direction).number())]);
        if let (Some(send), Some(receive)) = (own[0].only(send), own[1].only(receive)) {
            self.proven.insert(stream.index, (stream.generation, [send, receive]));
            hashing::end(stream);
        }
        // Else the marks were told once more since, without those offsets: the next proof needs the hash as it goes on.
        Ok(())
    }

    /// Why there is no proof when the time to negotiate ends.
    pub(super) fn unproven(&self, stream: &Stream) -> Reason {
        let companion = self.companions.get(&stream.index);
        let compares = companion.is_some_and(|companion| companion.comparison.is_some());
        let session = companion.and_then(|companion| companion.session.as_ref());
        if compares && session.is_some_and(|session| session.common_offsets().is_none()) {
            Reason::LittleTraffic
        } else {
            Reason::NegotiationFailed
        }
    }
}

/// Why no link can be made, and no comparison instead of it.
pub(super) fn no_way(peer_compares: bool) -> Failure {
    fail(if peer_compares { Reason::StreamUnseen } else { Reason::NoProof })
}

/// What is known of the directions to and from the peer, in the order in which messages name them.
fn in_flows<T>(session: &Session, [send, receive]: [T; 2]) -> [T; 2] {
    match session.flow(Direction::Send).number() {
        0 => [send, receive],
        _ => [receive, send],
    }
}
