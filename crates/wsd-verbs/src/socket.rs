//! A socket as its engine knows it.

use std::collections::VecDeque;
use std::io;

use wsd_engine::Events;
use wsd_spi::{SockAddr, SwitchSocket, WsaError};

use crate::flow::{EARLY, Flow, Kind, Order, PairName};
use crate::greeting::{Greeting, Meeting};
use crate::memory::Registrations;
use crate::rdma::{Device, DeviceKey, Domain, Identifier, Inbox, Pair, Parameters};
use crate::transfer::MAX_MESSAGE;

/// Work requests that a queue holds, if the device can.
const DEPTH: u32 = 64;
/// Segments of a send, and of an RDMA operation: no switch uses more.
const SEND_SEGMENTS: u32 = 4;
/// Segments of a receive.
const RECEIVE_SEGMENTS: u32 = 2;

/// States of section 13.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Made.
    Fresh,
    /// Has a name.
    Bound,
    /// Looks for its peer, or waits for the answer.
    Connecting,
    /// Connected.
    Connected,
    /// Was connected; what every operation answers.
    Broken(WsaError),
    /// Listens.
    Listening,
    /// Has been given to another process.
    SwappedOut,
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
    /// What `WSPEventSelect` selected and what has happened.
    pub(crate) events: Events,
    /// `SO_DEBUG`.
    pub(crate) debug: bool,
    /// Most requests that wait (SP-070).
    pub(crate) backlog: usize,
    /// Requests that wait, oldest first.
    pub(crate) requests: VecDeque<Request>,
    /// From the queue pair's making on.
    pub(crate) connection: Option<Connection>,
    /// While listening, connecting, connected and broken. Dropped after the connection.
    pub(crate) id: Option<Identifier>,
    /// While connecting in place of another process's socket.
    pub(crate) rejoining: Option<Rejoining>,
}

/// A connection of another process that goes on here.
pub(crate) struct Rejoining {
    /// Where the peer is.
    pub(crate) peer: Meeting,
    /// Messages that have arrived there, and those sent from there that have.
    pub(crate) counts: [u16; 2],
    /// Messages that have arrived there and were not received.
    pub(crate) early: Vec<Box<[u8]>>,
}

/// A peer's wish to connect.
pub(crate) struct Request {
    pub(crate) id: Identifier,
    /// The peer's name.
    pub(crate) caller: SockAddr,
    /// The name that the peer connects to.
    pub(crate) callee: SockAddr,
    /// Where the peer is found again.
    pub(crate) from: Meeting,
}

/// What a connection has. Parts are dropped in this order: nothing is used by what comes before it any more.
pub(crate) struct Connection {
    /// Until the connection is over.
    pub(crate) pair: Option<Pair>,
    pub(crate) name: PairName,
    /// Where the peer finds this end again.
    pub(crate) meeting: Meeting,
    /// Where this end finds the peer again.
    pub(crate) peer: Meeting,
    /// The peer is in another process now, and waits for another queue pair.
    pub(crate) rejoin: Option<Rejoin>,
    pub(crate) flow: Flow,
    pub(crate) memory: Registrations,
    pub(crate) domain: Domain,
    pub(crate) device: DeviceKey,
    /// Entries of the completion queue that it may need.
    pub(crate) entries: u32,
    /// Work requests that the send queue and the receive queue hold.
    pub(crate) depths: [u32; 2],
    /// Segments of a send and of a receive.
    pub(crate) segments: [u32; 2],
    /// RDMA reads under way at once.
    pub(crate) reads: u8,
}

/// A request of the peer's next process.
pub(crate) struct Rejoin {
    pub(crate) id: Identifier,
    /// Where the peer is now.
    pub(crate) from: Meeting,
    /// How many of our messages have arrived there.
    pub(crate) arrived: u16,
}

impl Socket {
    /// A socket without a name.
    pub(crate) fn new(handle: SwitchSocket, family: i32) -> Self {
        Self {
            handle,
            family,
            state: State::Fresh,
            local: None,
            peer: None,
            events: Events::default(),
            debug: false,
            backlog: 0,
            requests: VecDeque::new(),
            connection: None,
            id: None,
            rejoining: None,
        }
    }

    /// The connection of a connected socket.
    ///
    /// # Errors
    /// What an operation that needs a connection answers in this state (section 13).
    pub(crate) fn connected(&mut self) -> Result<&mut Connection, WsaError> {
        match self.state {
            State::Connected => self.connection.as_mut().ok_or(WsaError::WSAENOTCONN),
            State::Broken(error) => Err(error),
            _ => Err(WsaError::WSAENOTCONN),
        }
    }

    /// The connection as far as its device goes: completions still come when it has been given away.
    pub(crate) fn carried(&mut self) -> Option<&mut Connection> {
        let carries = matches!(self.state, State::Connected | State::SwappedOut);
        self.connection.as_mut().filter(|_| carries)
    }

    /// The connection of a socket that is or was connected: for deregistering.
    ///
    /// # Errors
    /// `WSAEINVAL` in another state (section 13).
    pub(crate) fn once_connected(&mut self) -> Result<&mut Connection, WsaError> {
        match self.state {
            State::Connected | State::Broken(_) | State::SwappedOut => {
                self.connection.as_mut().ok_or(WsaError::WSAEINVAL)
            }
            _ => Err(WsaError::WSAEINVAL),
        }
    }
}

impl Connection {
    /// The device's part of a connection that can be found at `meeting`, whose early receives are posted.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn new(
        device: &mut Device,
        key: DeviceKey,
        id: &Identifier,
        meeting: Meeting,
        memory: Registrations,
    ) -> io::Result<Self> {
        let name = PairName::first(meeting.socket);
        let depths = [device.depth(DEPTH), device.depth(DEPTH)];
        let segments = [device.segments(SEND_SEGMENTS), device.segments(RECEIVE_SEGMENTS)];
        let entries = depths[0] + depths[1];
        device.reserve(entries)?;
        let made = Domain::new(device).and_then(|domain| {
            let pair = Pair::new(device, &domain, id, depths, segments)?;
            let mut flow = Flow::default();
            for _ in 0..EARLY {
                let inbox = Inbox::new(&domain, MAX_MESSAGE)?;
                let place = flow.order.post(Kind::Early);
                pair.post_receive(name.number(Kind::Early, place), &[inbox.segment()])?;
                flow.inboxes.push_back(inbox);
            }
            Ok((domain, pair, flow))
        });
        let (domain, pair, flow) = made.inspect_err(|_| device.release(entries))?;
        let reads = device.reads();
        let (pair, peer) = (Some(pair), Meeting::default());
        Ok(Self {
            pair,
            name,
            meeting,
            peer,
            rejoin: None,
            flow,
            memory,
            domain,
            device: key,
            entries,
            depths,
            segments,
            reads,
        })
    }

    /// What rdma_cm tells the peer's end, with that greeting.
    pub(crate) fn parameters(&self, greeting: Greeting) -> Parameters {
        let pair = self.pair.as_ref().map_or(0, Pair::number);
        Parameters { pair, reads: self.reads, data: greeting.encode() }
    }

    /// Stops the queue pair: what is at the device comes back, done or not.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        self.pair.as_ref().ok_or(io::ErrorKind::NotConnected)?.stop()?;
        self.flow.stopped = Some(0);
        Ok(())
    }

    /// Puts a queue pair for `id` in the place of the one that is drained, and gives it the early receives.
    ///
    /// # Errors
    /// Those of the device.
    pub(crate) fn renew(&mut self, device: &Device, id: &Identifier) -> io::Result<()> {
        self.name = self.name.next();
        let pair = Pair::new(device, &self.domain, id, self.depths, self.segments)?;
        self.flow.order = Order::default();
        for inbox in &self.flow.inboxes {
            let place = self.flow.order.post(Kind::Early);
            pair.post_receive(self.name.number(Kind::Early, place), &[inbox.segment()])?;
        }
        self.pair = Some(pair);
        Ok(())
    }
}
