//! Which message is legal when: the life of one session (sections 1, 4, 5 and 8 to 10).
//!
//! The host (the service thread of a switch) owns a [`Session`] per companion and turns this crank:
//!
//! 1. [`Session::receives_posted`] once the WSPRecvs are posted;
//! 2. for each delivered buffer [`Session::receive`], act on the [`Event`], post the buffer again,
//!    [`Session::reposted`];
//! 3. commands as the host's own state moves;
//! 4. [`Session::next_message`] until `None`, then [`Session::data_message`] for a pump; each result goes to WSPSend
//!    in this order.
//!
//! Time-outs (SW-106) are the host's: it drops the session.

mod commands;
mod direction;
mod event;
mod lockstep;
mod moving;
mod outbox;
mod output;
mod pump_commands;
mod receive;
mod stream_proof;
mod suspension;

pub use direction::{Direction, ReceiveState, SendState};
pub use event::{Event, ProtocolError, WrongState};
pub use lockstep::{Lockstep, Standing};
pub use moving::{Move, pack};
pub use suspension::Suspension;

use crate::credit::Credit;
use crate::message::{DEFAULT_RECEIVES, Flow};
use crate::negotiation::{Agreement, NegotiationError, Parameters};
use direction::{ReceiveDirection, SendDirection};
use outbox::Outbox;
use stream_proof::StreamProof;

/// Which companion a session runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Its WSPConnect succeeded: speaks first (SW-101).
    Connecting,
    /// Its WSPAccept returned: says nothing before it has been spoken to (SW-105).
    Listening,
}

impl Role {
    fn other(self) -> Self {
        match self {
            Self::Connecting => Self::Listening,
            Self::Listening => Self::Connecting,
        }
    }
}

/// Where the negotiation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Connecting: `Negotiate` is to be sent.
    ToSpeak,
    /// Connecting: `Negotiate` is sent.
    AwaitAnswer,
    /// Listening: nothing has come.
    AwaitNegotiate,
    /// Listening: `Answer` is to be sent.
    ToAnswer,
    /// Negotiated; all other messages.
    Open,
    /// The peer broke the protocol.
    Failed,
}

/// Things that one side says at most once.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    proven: bool,
    reset: bool,
    bye: bool,
}

/// One session between two switches.
#[derive(Debug, Clone)]
pub struct Session {
    role: Role,
    phase: Phase,
    own: Parameters,
    nonce: u64,
    agreement: Option<Agreement>,
    credit: Credit,
    outbox: Outbox,
    said: Said,
    heard: Said,
    send: SendDirection,
    receive: ReceiveDirection,
    suspension: Suspension,
    stream_proof: StreamProof,
    lockstep: Lockstep,
    /// How often whose turn it is has said that its program still reads.
    readings: u8,
}

impl Session {
    /// Starts a session with this side's parameters (their `receives` is ignored: see
    /// [`Session::receives_posted`]) and 64 random bits.
    pub fn new(role: Role, mut own: Parameters, nonce: u64) -> Result<Self, NegotiationError> {
        own.receives = DEFAULT_RECEIVES;
        own.check()?;
        Ok(Self {
            role,
            phase: match role {
                Role::Connecting => Phase::ToSpeak,
                Role::Listening => Phase::AwaitNegotiate,
            },
            own,
            nonce,
            agreement: None,
            credit: Credit::default(),
            outbox: Outbox::default(),
            said: Said::default(),
            heard: Said::default(),
            send: SendDirection::default(),
            receive: ReceiveDirection::default(),
            suspension: Suspension::default(),
            stream_proof: StreamProof::default(),
            lockstep: Lockstep::default(),
            readings: 0,
        })
    }

    /// Tells that `count` receives have been posted for the first time. `Negotiate` and `Answer` wait for
    /// [`MIN_RECEIVES`](crate::negotiation::MIN_RECEIVES) of them (SW-101, SW-103).
    pub fn receives_posted(&mut self, count: u16) {
        self.credit.receives_posted(count);
    }

    /// Tells that `count` buffers whose messages went through [`Session::receive`] are posted again (SW-112).
    pub fn reposted(&mut self, count: u16) {
        self.credit.reposted(count);
    }

    /// The role given at the start.
    pub fn role(&self) -> Role {
        self.role
    }

    /// This side's random 64 bits; the peer's are in the agreement.
    pub fn nonce(&self) -> u64 {
        self.nonce
    }

    /// What both sides agreed on, once negotiated.
    pub fn agreement(&self) -> Option<&Agreement> {
        self.agreement.as_ref()
    }

    /// Whether each side has told the other that the proof holds: only then may rings be used (section 3).
    pub fn both_proven(&self) -> bool {
        self.said.proven && self.heard.proven
    }

    /// State of the direction from here to the peer.
    pub fn send_state(&self) -> SendState {
        self.send.state()
    }

    /// State of the direction from the peer.
    pub fn receive_state(&self) -> ReceiveState {
        self.receive.state()
    }

    /// Whether the session has ended because the peer broke the protocol.
    pub fn has_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Whether one of both programs has aborted the connection.
    pub fn is_reset(&self) -> bool {
        self.said.reset || self.heard.reset
    }

    /// Whether both sides have said `Bye` and nothing is left to send: the companion may be closed (SW-161).
    pub fn is_finished(&self) -> bool {
        self.said.bye && self.heard.bye && self.outbox.is_empty()
    }

    /// Whether messages wait for credit, or for the host to take them.
    pub fn has_queued(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// How messages name the direction from here to the peer, and the other one.
    pub fn flow(&self, direction: Direction) -> Flow {
        match (self.role, direction) {
            (Role::Connecting, Direction::Send) | (Role::Listening, Direction::Receive) => {
                Flow::FromConnecting
            }
            (Role::Connecting, Direction::Receive) | (Role::Listening, Direction::Send) => {
                Flow::FromListening
            }
        }
    }
}
