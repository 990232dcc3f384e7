//! A companion: the SAN socket beside a connection, its session, and how far both are.

use wsd_os::clock;
use wsd_os::fd::OwnedFd;
use wsd_session::{Parameters, Session};

use super::compare::Comparison;
use super::links::Token;
use super::port::Port;
use super::proof::Names;
use super::pump::Pump;
use super::swap::Leaving;

/// How far a companion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its socket listens or connects.
    Meeting,
    /// The session negotiates, then both ends prove the connection.
    Talking,
    /// Rings are being exchanged.
    Rings,
    /// Both rings stand: directions can be promoted.
    Up,
    /// The companion broke, or is given up: the streams are going back to TCP.
    Mending,
    /// The peer or its companion is gone; rings stay mapped until the program closes.
    Lost,
}

/// See the [module](self).
pub(super) struct Companion {
    pub(super) generation: u32,
    pub(super) stage: Stage,
    /// When it was begun (monotonic nanoseconds).
    pub(super) begun: u64,
    pub(super) names: Names,
    pub(super) port: Port,
    pub(super) session: Option<Session>,
    /// Names this connection on the link, to the peer.
    pub(super) key: u64,
    pub(super) peer: Option<Parameters>,
    pub(super) proof: Proof,
    /// The proof between hosts, instead.
    pub(super) comparison: Option<Comparison>,
    /// A bit in our page of the pair.
    pub(super) pair: Option<(u32, u32)>,
    /// The peer has mapped our ring.
    pub(super) ring_taken: bool,
    /// We have mapped the peer's ring.
    pub(super) ring_mapped: bool,
    /// Without mapped memory: our own rings, and who moves their bytes.
    pub(super) pump: Option<Pump>,
    /// The end of the kernel's socket is asked for.
    pub(super) end_watched: bool,
    pub(super) said_bye: bool,
    pub(super) peer_said_bye: bool,
    /// SAN first: record and generation of the listener in whose queue the connection goes.
    pub(super) listener: Option<(u32, u32)>,
    /// On its way to another process that shares the connection.
    pub(super) leaving: Option<Leaving>,
    /// The peer's end moves: by then it must be there again.
    pub(super) resume_by: Option<u64>,
}

/// How far the proof of the same connection is (session protocol, section 3).
#[derive(Default)]
pub(super) struct Proof {
    /// Our descriptor was handed over.
    pub(super) handed: bool,
    /// The peer's descriptor was right.
    pub(super) verified: bool,
    /// We told the peer that we may not go first.
    pub(super) waiting: bool,
    /// The peer told us so.
    pub(super) peer_waits: bool,
    /// The peer's descriptor came before its parameters.
    pub(super) early: Option<OwnedFd>,
}

impl Companion {
    /// One whose socket has just begun to meet its peer's.
    pub(super) fn new(generation: u32, names: Names, key: u64, port: Port) -> Self {
        Self {
            generation,
            stage: Stage::Meeting,
            begun: clock::now_ns(),
            names,
            port,
            session: None,
            key,
            peer: None,
            proof: Proof::default(),
            comparison: None,
            pair: None,
            ring_taken: false,
            ring_mapped: false,
            pump: None,
            end_watched: false,
            said_bye: false,
            peer_said_bye: false,
            listener: None,
            leaving: None,
            resume_by: None,
        }
    }

    /// Whether the connection goes on by TCP when this companion breaks (session protocol, section 10).
    pub(super) fn fails_over(&self) -> bool {
        let agreement = self.session.as_ref().and_then(Session::agreement);
        self.pump.is_some() && agreement.is_some_and(|agreed| agreed.fails_over())
    }

    /// The process at the other end, once it has introduced itself.
    pub(super) fn peer_token(&self) -> Option<Token> {
        self.peer.as_ref().map(|peer| peer.process_token)
    }
}
