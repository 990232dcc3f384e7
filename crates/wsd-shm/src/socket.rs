//! A socket as its engine knows it.

use std::collections::VecDeque;

use wsd_engine::{Door, Events};
use wsd_spi::{SockAddr, SwitchSocket, WsaError};

use crate::address::Name;
use crate::flow::Flow;
use crate::pool::held::Held;
use crate::registrations::Registrations;

/// States of section 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Made.
    Fresh,
    /// Has a name.
    Bound,
    /// Waits for the answer to a wish to connect.
    Connecting,
    /// Connected.
    Connected,
    /// Was connected; what every operation answers.
    Broken(WsaError),
    /// Listens.
    Listening,
    /// Given to another process.
    SwappedOut,
}

/// The way to the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wire {
    /// Our number of the link.
    pub(crate) link: u32,
    /// The peer's number of its socket; 0 while connecting.
    pub(crate) remote: u32,
    /// While connecting: the link existed before, so that the listener may be in another engine of that process.
    pub(crate) guessed: bool,
}

/// Where a connecting socket looks for its listener.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Search {
    /// Which of the peer's names is next, or is being asked.
    pub(crate) position: usize,
    /// A listener has refused.
    pub(crate) refused: bool,
}

/// A socket.
pub(crate) struct Socket {
    /// The switch's handle.
    pub(crate) handle: SwitchSocket,
    /// `AF_INET` or `AF_INET6`.
    pub(crate) family: i32,
    /// What may be done with it.
    pub(crate) state: State,
    /// Own name.
    pub(crate) local: Option<SockAddr>,
    /// The peer's name, from `WSPConnect` on.
    pub(crate) peer: Option<SockAddr>,
    /// Present while connecting, connected, and broken as long as the link lives.
    pub(crate) wire: Option<Wire>,
    /// While connecting.
    pub(crate) search: Search,
    /// What `WSPEventSelect` selected and what has happened.
    pub(crate) events: Events,
    /// `SO_DEBUG`.
    pub(crate) debug: bool,
    /// Present while listening.
    pub(crate) listening: Option<Listening>,
    /// Data on their way.
    pub(crate) flow: Flow,
    /// Registered memory.
    pub(crate) memory: Registrations,
    /// Shared memory.
    pub(crate) held: Held,
}

/// What a listener has.
pub(crate) struct Listening {
    /// The name that it is found by.
    pub(crate) name: Name,
    /// Keeps the name; peers without a link connect to it.
    pub(crate) door: Door,
    /// Most requests that wait (SP-070).
    pub(crate) backlog: usize,
    /// Requests that wait, oldest first.
    pub(crate) requests: VecDeque<Request>,
}

/// A peer's wish to connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    /// Our number of the link that it came by.
    pub(crate) link: u32,
    /// The peer's number of its socket.
    pub(crate) remote: u32,
    /// The peer's name.
    pub(crate) caller: SockAddr,
    /// The name that the peer connects to.
    pub(crate) callee: SockAddr,
}

impl Socket {
    /// A socket without a name.
    pub(crate) fn new(handle: SwitchSocket, family: i32, memory: Registrations) -> Self {
        Self {
            handle,
            family,
            state: State::Fresh,
            local: None,
            peer: None,
            wire: None,
            search: Search::default(),
            events: Events::default(),
            debug: false,
            listening: None,
            flow: Flow::default(),
            memory,
            held: Held::default(),
        }
    }

    /// The way to the peer of a connected socket.
    ///
    /// # Errors
    /// What an operation that needs a connection answers in this state (section 13).
    pub(crate) fn connected(&self) -> Result<Wire, WsaError> {
        match self.state {
            State::Connected => self.wire.ok_or(WsaError::WSAENOTCONN),
            State::Broken(error) => Err(error),
            _ => Err(WsaError::WSAENOTCONN),
        }
    }
}
