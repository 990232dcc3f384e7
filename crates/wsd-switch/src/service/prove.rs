//! The proof of the same connection over the switch link (session protocol, section 3), step by step.

use wsd_os::Errno;
use wsd_os::fd::OwnedFd;

use super::companion::{Companion, Stage};
use super::links::Token;
use super::proof::{self};
use super::thread::{IN, OUT, Service};
use crate::family::First;
use crate::reason::Reason;
use crate::stream::state::Stream;
use crate::wait::pair;

use super::steps::{Step, fail, fail_for_now, on_descriptor};

impl Service {
    /// Hands over and verifies descriptors as far as the rules allow now.
    pub(super) fn prove(&mut self, stream: &Stream) -> Step {
        let Some(companion) = self.companions.get_mut(&stream.index) else { return Ok(()) };
        if companion.stage != Stage::Talking || companion.comparison.is_some() {
            return Ok(());
        }
        if stream.record.first() != First::No {
            return self.ready_first(stream);
        }
        let Some(peer) = companion.peer.as_ref() else { return Ok(()) };
        let (token, key) = (peer.process_token, peer.connection_key);
        let (Some(pair), Some(partner)) = (self.links.pair(&token), self.links.credentials(&token)) else {
            return Ok(());
        };
        if let Some(fd) = companion.proof.early.take() {
            let right = on_descriptor(self.family, stream, |own| proof::is_other_end(&own.borrow(), &fd));
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
                match handed {
                    Some(Ok(())) => proof.handed = true,
                    Some(Err(Errno::AGAIN)) => {
                        self.await_room(&token);
                        return Ok(());
                    }
                    // Too many descriptors of this user are on their way.
                    Some(Err(Errno::TOOMANYREFS)) => return Err(fail_for_now(Reason::NoProof)),
                    _ => return Err(fail(Reason::NoProof)),
                }
            } else if proof.peer_waits {
                let _ = self.links.no_proof(&token, key);
                return Err(fail(Reason::NoProof));
            } else if !proof.waiting {
                match self.links.go_first(&token, key) {
                    Ok(()) => proof.waiting = true,
                    Err(Errno::AGAIN) => {
                        self.await_room(&token);
                        return Ok(());
                    }
                    Err(_) => return Err(fail(Reason::NoProof)),
                }
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

    /// The link to this peer takes no more for now: its connections are looked at when it does. A peer that never reads is given
    /// up when their time to negotiate ends.
    fn await_room(&mut self, token: &Token) {
        if let Some(id) = self.links.set_full(token) {
            self.watch_link_again(id, IN | OUT);
        }
    }

    /// A link takes messages again.
    pub(super) fn has_room(&mut self, id: u64) {
        let Some(token) = self.links.take_full(id) else { return };
        self.watch_link_again(id, IN);
        self.each_of_peer(token, |service, index| service.look(index));
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
            (Some(_), Some(_)) => {
                proof::close_foreign(fd);
                let _ = self.links.no_proof(&token, key);
            }
            // Its companion has ended meanwhile, which the peer's learns by itself.
            _ => proof::close_foreign(fd),
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

    pub(super) fn with_key(&mut self, token: Token, key: u64, act: impl FnOnce(&mut Self, u32)) {
        let index = self.keys.get(&key).copied();
        let of_peer = |companion: &Companion| companion.peer_token() == Some(token);
        if let Some(index) = index.filter(|index| self.companions.get(index).is_some_and(of_peer)) {
            act(self, index);
        }
    }
}
