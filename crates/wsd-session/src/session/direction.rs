//! The states of the two directions and their legal changes (sections 4 and 5).
//!
//! Every method is one change. `Err(Illegal)` leaves all as it was.

/// A direction of the stream as seen from one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From here to the peer.
    Send,
    /// From the peer to here.
    Receive,
}

/// The change is not legal in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Illegal {
    /// At no offset.
    State,
    /// Not at this offset.
    Offset,
}

type Change = Result<(), Illegal>;

fn demand(legal: bool) -> Change {
    if legal { Ok(()) } else { Err(Illegal::State) }
}

/// What the sender of a direction knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SendState {
    /// TCP.
    #[default]
    Tcp,
    /// `Propose` sent.
    Proposed,
    /// The receiver cannot agree yet.
    Refused,
    /// The receiver agreed; the sender promotes when it can, or declines.
    Consented,
    /// On the companion from `start` on.
    Promoted {
        /// S.
        start: u64,
    },
    /// The receiver takes bytes from `at` on by TCP; the sender is writing them there.
    Rewinding {
        /// H.
        at: u64,
    },
}

/// What the receiver of a direction knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReceiveState {
    /// TCP.
    #[default]
    Tcp,
    /// The sender asks for consent.
    Asked,
    /// It was refused for now; the proposal stands.
    Refused,
    /// Consent given.
    Agreed,
    /// On the companion from `start` on.
    Promoted {
        /// S.
        start: u64,
    },
    /// Frozen at `at`; the sender is writing the rest to TCP.
    Frozen {
        /// H.
        at: u64,
    },
}

/// The ring of a direction, with mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Ring {
    #[default]
    None,
    Offered,
    Ready,
}

impl Ring {
    /// Before a promotion a ring may be replaced by a larger one, but no offer overtakes another.
    fn offer(&mut self, tcp: bool) -> Change {
        demand(tcp && *self != Self::Offered)?;
        *self = Self::Offered;
        Ok(())
    }

    fn ready(&mut self) -> Change {
        demand(*self == Self::Offered)?;
        *self = Self::Ready;
        Ok(())
    }
}

/// The direction from here to the peer.
#[derive(Debug, Clone, Default)]
pub(super) struct SendDirection {
    state: SendState,
    ring: Ring,
    finished: bool,
}

impl SendDirection {
    pub(super) fn state(&self) -> SendState {
        self.state
    }

    /// Whether the pump may send for this direction.
    pub(super) fn is_flowing(&self) -> bool {
        matches!(self.state, SendState::Promoted { .. }) && !self.finished
    }

    /// Whether the peer may answer what the pump sent.
    pub(super) fn is_promoted(&self) -> bool {
        matches!(self.state, SendState::Promoted { .. })
    }

    /// SAN first: the direction begins on the companion.
    pub(super) fn open(&mut self) {
        self.state = SendState::Promoted { start: 0 };
    }

    /// One that began in another process.
    pub(super) fn opened(finished: bool) -> Self {
        Self { state: SendState::Promoted { start: 0 }, finished, ..Self::default() }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn offer_ring(&mut self) -> Change {
        self.ring.offer(self.state == SendState::Tcp)
    }

    pub(super) fn ring_is_ready(&mut self) -> Change {
        self.ring.ready()
    }

    pub(super) fn propose(&mut self, mapping: bool) -> Change {
        demand(self.state == SendState::Tcp && !self.finished && (!mapping || self.ring == Ring::Ready))?;
        self.state = SendState::Proposed;
        Ok(())
    }

    pub(super) fn consented(&mut self) -> Change {
        demand(matches!(self.state, SendState::Proposed | SendState::Refused))?;
        self.state = SendState::Consented;
        Ok(())
    }

    pub(super) fn refused(&mut self) -> Change {
        demand(self.state == SendState::Proposed)?;
        self.state = SendState::Refused;
        Ok(())
    }

    pub(super) fn promote(&mut self, start: u64) -> Change {
        demand(self.state == SendState::Consented)?;
        self.state = SendState::Promoted { start };
        Ok(())
    }

    /// The receiver has frozen the direction.
    pub(super) fn frozen(&mut self, at: u64) -> Change {
        match self.state {
            SendState::Promoted { start } if at < start => Err(Illegal::Offset),
            SendState::Promoted { .. } => {
                self.state = SendState::Rewinding { at };
                Ok(())
            }
            _ => Err(Illegal::State),
        }
    }

    /// The rest is in TCP; or a consent is declined, at any offset.
    pub(super) fn demote(&mut self, at: u64) -> Change {
        match self.state {
            SendState::Rewinding { at: frozen } if at != frozen => Err(Illegal::Offset),
            SendState::Rewinding { .. } | SendState::Consented => {
                self.state = SendState::Tcp;
                Ok(())
            }
            _ => Err(Illegal::State),
        }
    }

    pub(super) fn finish(&mut self, offset: u64) -> Change {
        match self.state {
            SendState::Promoted { start } if offset < start => Err(Illegal::Offset),
            SendState::Promoted { .. } if !self.finished => {
                self.finished = true;
                Ok(())
            }
            _ => Err(Illegal::State),
        }
    }
}

/// What becomes of a message that belongs to a promoted receive direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The host gets it.
    Deliver,
    /// It crossed `Frozen` and comes again by TCP.
    Drop,
}

/// The direction from the peer to here.
#[derive(Debug, Clone, Default)]
pub(super) struct ReceiveDirection {
    state: ReceiveState,
    ring: Ring,
    finished: bool,
}

impl ReceiveDirection {
    pub(super) fn state(&self) -> ReceiveState {
        self.state
    }

    /// SAN first: the direction begins on the companion.
    pub(super) fn open(&mut self) {
        self.state = ReceiveState::Promoted { start: 0 };
    }

    /// One that began in another process.
    pub(super) fn opened(finished: bool) -> Self {
        Self { state: ReceiveState::Promoted { start: 0 }, finished, ..Self::default() }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn ring_offered(&mut self) -> Change {
        self.ring.offer(self.state == ReceiveState::Tcp)
    }

    pub(super) fn ring_is_ready(&mut self) -> Change {
        self.ring.ready()
    }

    pub(super) fn proposed(&mut self, mapping: bool) -> Change {
        let ring = !mapping || self.ring == Ring::Ready;
        demand(self.state == ReceiveState::Tcp && !self.finished && ring)?;
        self.state = ReceiveState::Asked;
        Ok(())
    }

    pub(super) fn consent(&mut self) -> Change {
        demand(matches!(self.state, ReceiveState::Asked | ReceiveState::Refused))?;
        self.state = ReceiveState::Agreed;
        Ok(())
    }

    pub(super) fn refuse(&mut self) -> Change {
        demand(self.state == ReceiveState::Asked)?;
        self.state = ReceiveState::Refused;
        Ok(())
    }

    /// The sender has promoted, by message or in the ring.
    pub(super) fn promoted(&mut self, start: u64) -> Change {
        demand(self.state == ReceiveState::Agreed)?;
        self.state = ReceiveState::Promoted { start };
        Ok(())
    }

    pub(super) fn freeze(&mut self, at: u64) -> Change {
        match self.state {
            ReceiveState::Promoted { start } if at < start => Err(Illegal::Offset),
            ReceiveState::Promoted { .. } => {
                self.state = ReceiveState::Frozen { at };
                Ok(())
            }
            _ => Err(Illegal::State),
        }
    }

    /// `Demoted` came: the answer to a freeze (`true`), or the consent is declined (`false`).
    pub(super) fn demoted(&mut self, at: u64) -> Result<bool, Illegal> {
        let answer = match self.state {
            ReceiveState::Frozen { at: frozen } if at != frozen => return Err(Illegal::Offset),
            ReceiveState::Frozen { .. } => true,
            ReceiveState::Agreed => false,
            _ => return Err(Illegal::State),
        };
        self.state = ReceiveState::Tcp;
        Ok(answer)
    }

    /// A message of the pump came.
    pub(super) fn arrival(&self) -> Result<Arrival, Illegal> {
        match self.state {
            _ if self.finished => Err(Illegal::State),
            ReceiveState::Promoted { .. } => Ok(Arrival::Deliver),
            ReceiveState::Frozen { .. } => Ok(Arrival::Drop),
            _ => Err(Illegal::State),
        }
    }

    /// `Fin` came. A dropped one binds too: the sender says nothing more over the companion.
    pub(super) fn finish(&mut self, offset: u64) -> Result<Arrival, Illegal> {
        let arrival = self.arrival()?;
        if let ReceiveState::Promoted { start } = self.state
            && offset < start
        {
            return Err(Illegal::Offset);
        }
        self.finished = true;
        Ok(arrival)
    }

    /// Whether a request of the sender to freeze means anything; an error if it cannot have been sent.
    pub(super) fn demote_requested(&self) -> Result<Arrival, Illegal> {
        match self.state {
            ReceiveState::Agreed | ReceiveState::Promoted { .. } => Ok(Arrival::Deliver),
            ReceiveState::Frozen { .. } => Ok(Arrival::Drop),
            _ => Err(Illegal::State),
        }
    }
}
