//! The proof between hosts: marks in turn, then a proof each (section 9).

use super::commands::refuse_if;
use super::{Event, ProtocolError, Role, Session, WrongState};
use crate::message::{Kind, Message};
use crate::stream_hash::{Claim, Digest, FEWEST, Marks, Names};

/// How far the proof is.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamProof {
    /// Of the same round as the peer's, or the peer's are due.
    own: Option<Marks>,
    peer: Option<Marks>,
    /// What the peer has to say, once this end has said its own proof.
    expected: Option<blake3::Hash>,
    /// What it did say was right.
    heard: Option<bool>,
}

impl StreamProof {
    fn begun(&self) -> bool {
        self.own.is_some() || self.peer.is_some()
    }

    /// Whether this end may say `Proven`.
    pub(super) fn allows_proven(&self) -> bool {
        !self.begun() || self.heard == Some(true)
    }

    /// Whether the peer may: it proves itself before it judges.
    pub(super) fn peer_may_be_proven(&self) -> bool {
        !self.begun() || self.heard.is_some()
    }

    fn common(&self) -> Option<[u64; 2]> {
        let offsets = self.own?.common(self.peer?);
        (offsets[0].saturating_add(offsets[1]) >= FEWEST).then_some(offsets)
    }
}

impl Session {
    /// Tells the peer how far this end has hashed the stream. The connecting companion begins, instead of the proof of section 3,
    /// and may repeat it while the answer was too little; the listening one answers each [`Event::StreamMarks`]. From now on
    /// the session has no mapping.
    pub fn stream_marks(&mut self, marks: Marks) -> Result<(), WrongState> {
        const COMMAND: &str = "stream_marks";
        refuse_if(!self.talking(COMMAND)?.stream_hash || self.said.proven || self.heard.proven, COMMAND)?;
        let proof = &self.stream_proof;
        let turn = match self.role {
            Role::Connecting => proof.own.is_some() == proof.peer.is_some(),
            Role::Listening => proof.own.is_none() && proof.peer.is_some(),
        };
        refuse_if(!turn || self.common_offsets().is_some(), COMMAND)?;
        self.queue(Message::StreamMarks(marks), COMMAND)?;
        if self.role == Role::Connecting {
            self.stream_proof.peer = None;
        }
        self.stream_proof.own = Some(marks);
        self.forgo_mapping();
        Ok(())
    }

    /// Where both ends have checkpoints that are enough for a proof, of the directions from the connecting and from the
    /// listening companion. `None`: the marks of this round are not there yet, or are too little.
    pub fn common_offsets(&self) -> Option<[u64; 2]> {
        self.stream_proof.common()
    }

    /// Proves this end by the hashes of both directions up to [`Session::common_offsets`]. Once.
    pub fn stream_proof(&mut self, digests: [Digest; 2]) -> Result<(), WrongState> {
        const COMMAND: &str = "stream_proof";
        self.talking(COMMAND)?;
        let names = self.names(COMMAND)?;
        let offsets = self.common_offsets().ok_or(WrongState { command: COMMAND })?;
        refuse_if(self.stream_proof.expected.is_some(), COMMAND)?;
        let claim = Claim { flows: [(offsets[0], digests[0]), (offsets[1], digests[1])] };
        let (own, peer) = (self.role, self.role.other());
        self.queue(Message::StreamProof(*claim.of(own, &names).as_bytes()), COMMAND)?;
        self.stream_proof.expected = Some(claim.of(peer, &names));
        Ok(())
    }

    /// What is in the key, in the order of the roles.
    fn names(&self, command: &'static str) -> Result<Names, WrongState> {
        let agreement = self.alive(command)?;
        let (own, peer) = ((self.nonce, self.own.local), (agreement.peer_nonce, agreement.peer.local));
        let [connecting, listening] = match self.role {
            Role::Connecting => [own, peer],
            Role::Listening => [peer, own],
        };
        Ok(Names { nonces: [connecting.0, listening.0], ends: [connecting.1, listening.1] })
    }

    pub(super) fn stream_message<'a>(
        &mut self,
        kind: Kind,
        message: Message<'a>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        let legal = self.agreement.as_ref().is_some_and(|agreed| agreed.stream_hash)
            && !self.said.proven
            && !self.heard.proven;
        let proof = &mut self.stream_proof;
        match message {
            Message::StreamMarks(marks) if legal && proof.common().is_none() => {
                let turn = match self.role {
                    Role::Connecting => proof.own.is_some() && proof.peer.is_none(),
                    Role::Listening => proof.own.is_some() == proof.peer.is_some(),
                };
                if !turn {
                    return Err(ProtocolError::OutOfOrder(kind));
                }
                if self.role == Role::Listening {
                    proof.own = None;
                }
                proof.peer = Some(marks);
                self.forgo_mapping();
                Ok(Some(Event::StreamMarks))
            }
            // The comparison takes the same time whatever differs.
            Message::StreamProof(said) if proof.heard.is_none() => {
                let expected = proof.expected.ok_or(ProtocolError::OutOfOrder(kind))?;
                let right = expected == blake3::Hash::from_bytes(said);
                proof.heard = Some(right);
                Ok(Some(Event::StreamProof { right }))
            }
            _ => Err(ProtocolError::OutOfOrder(kind)),
        }
    }

    /// Without a link there are no pair pages, so nobody could wake a sleeper at a mapped ring.
    fn forgo_mapping(&mut self) {
        if let Some(agreement) = &mut self.agreement {
            agreement.mapping = false;
        }
    }
}
