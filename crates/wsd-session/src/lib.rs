//! The session protocol between two switches, as a pure state machine.
//!
//! Bytes and commands go in, bytes and events come out. Nothing here knows an operating system, a provider, a
//! clock or a thread, so every rule of `docs/session-protocol.md` can be tested alone.
//!
//! | module | idea |
//! |---|---|
//! | [`message`] | what one message looks like on the wire (section 1) |
//! | [`negotiation`] | what the two switches tell each other first, and what follows from both (section 2) |
//! | [`credit`] | when a message may be sent at all (SW-110..112) |
//! | [`session`] | which message is legal when (sections 1, 4, 5, 8 to 10) |
//! | [`stream_hash`] | what proves between hosts that both ends have the same connection (section 9) |
//! | [`pump`] | a direction's bytes over a provider without mapped memory (SW-113..118) |
//! | [`fail_over`] | how the streams go on when the companion has died (section 10) |
//!
//! A peer is hostile until it proves otherwise: every input ends in an event or in an error, never in a panic, and
//! after an error a session is dead.
#![forbid(unsafe_code)]

pub mod credit;
pub mod fail_over;
pub mod message;
pub mod negotiation;
pub mod pump;
pub mod session;
pub mod stream_hash;
mod wire;

pub use credit::{Credit, CreditError};
pub use fail_over::{FailOver, Found, Resumption};
pub use message::{DecodeError, EncodeError, Flow, Frame, HEADER_LENGTH, Kind, Message};
pub use negotiation::{Agreement, Capabilities, NegotiationError, Parameters, RdmaVariant};
pub use pump::{Piece, PumpError, PumpLimits, PumpReceiver, PumpSender, ReceiveStep, SendStep, Supply};
pub use session::{
    Direction, Event, Lockstep, Move, ProtocolError, ReceiveState, Role, SendState, Session, Standing,
    Suspension, WrongState, pack,
};
pub use stream_hash::{Checkpoints, Mark, Marks, StreamHash};
