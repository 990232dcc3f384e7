//! One process's use of a provider: sockets and connections. What a method here does is expected to succeed; checks of
//! failures call the table themselves.

use std::sync::atomic::{AtomicUsize, Ordering};

use wsd_spi::SockAddr;
use wsd_spi::ffi::{
    AF_INET, AF_INET6, CF_ACCEPT, FD_ACCEPT, FD_ACCEPT_BIT, FD_CONNECT, FD_CONNECT_BIT, IPPROTO_TCP,
    SOCK_STREAM, WSA_FLAG_OVERLAPPED,
};

use super::{encoded, wait};
use crate::check::{Step, fail, must};
use crate::raw::{Answer, Asked, Code, Decision, Extensions, Extras, Table, Text, UpCall, recorder};

/// A started provider.
#[derive(Clone, Copy)]
pub(crate) struct Side {
    pub(crate) table: &'static Table,
    pub(crate) extensions: &'static Extensions,
}

/// A listening socket with the event that `FD_ACCEPT` sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listener {
    pub(crate) s: usize,
    pub(crate) event: usize,
}

/// A socket that connects, with the event that `FD_CONNECT` sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connecting {
    pub(crate) s: usize,
    pub(crate) event: usize,
    /// What `WSPConnect` answered if it did not answer `WSAEWOULDBLOCK`: `Some(None)` is success at once.
    at_once: Option<Option<Code>>,
}

impl Connecting {
    /// The code that `WSPConnect` itself failed with.
    pub(crate) fn refused_at_once(&self) -> Option<Code> {
        self.at_once.flatten()
    }

    /// Whether the result comes later.
    pub(crate) fn is_pending(&self) -> bool {
        self.at_once.is_none()
    }
}

/// Room for the address of `WSPAccept`.
const ADDRESS_ROOM: i32 = 28;

/// An event object of the suite: no two are equal.
pub(crate) fn new_event() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0x40_0000);
    NEXT.fetch_add(0x10, Ordering::Relaxed)
}

impl Side {
    /// `WSPSocket` as the switch calls it.
    pub(crate) fn socket_of(&self, family: i32) -> Answer<usize> {
        self.table.socket([family, SOCK_STREAM, IPPROTO_TCP], None, WSA_FLAG_OVERLAPPED)
    }

    /// A fresh IPv4 socket.
    pub(crate) fn socket(&self) -> Step<usize> {
        must("WSPSocket", self.socket_of(AF_INET))
    }

    /// A fresh IPv4 socket, and the handle that the provider asked for meanwhile.
    pub(crate) fn socket_with_handle(&self) -> Step<(usize, usize)> {
        let before = recorder().count();
        let s = self.socket()?;
        match recorder().since(before).iter().find_map(|(up_call, _)| match up_call {
            UpCall::Create(handle) => *handle,
            _ => None,
        }) {
            Some(handle) => Ok((s, handle)),
            None => fail("WSPSocket made no handle with WPUCreateSocketHandle"),
        }
    }

    pub(crate) fn bind(&self, s: usize, name: &SockAddr) -> Answer<()> {
        self.table.bind(s, Text::of(&encoded(name)))
    }

    pub(crate) fn connect(&self, s: usize, name: &SockAddr) -> Answer<()> {
        self.table.connect(s, Text::of(&encoded(name)), &Extras::default())
    }

    /// A fresh socket with that name.
    pub(crate) fn bound(&self, name: &SockAddr) -> Step<usize> {
        let family = if encoded(name).len() == 16 { AF_INET } else { AF_INET6 };
        let s = must("WSPSocket", self.socket_of(family))?;
        must(&format!("WSPBind {name}"), self.bind(s, name))?;
        Ok(s)
    }

    /// Has an event of its own set for `mask`.
    pub(crate) fn select(&self, s: usize, mask: i32) -> Step<usize> {
        let event = new_event();
        must("WSPEventSelect", self.table.event_select(s, event, mask))?;
        Ok(event)
    }

    /// A socket that listens at `name`.
    pub(crate) fn listen(&self, name: &SockAddr, backlog: i32) -> Step<Listener> {
        let s = self.bound(name)?;
        must("WSPListen", self.table.listen(s, backlog))?;
        Ok(Listener { s, event: self.select(s, FD_ACCEPT)? })
    }

    /// A socket at `from` that begins to connect to `to`.
    pub(crate) fn start_connect(&self, from: &SockAddr, to: &SockAddr) -> Step<Connecting> {
        let s = self.bound(from)?;
        let event = self.select(s, FD_CONNECT)?;
        let at_once = match self.connect(s, to) {
            Ok(()) => Some(None),
            Err(code) if code.is(wsd_spi::WsaError::WSAEWOULDBLOCK) => None,
            Err(code) => Some(Some(code)),
        };
        Ok(Connecting { s, event, at_once })
    }

    /// The result of a connect (SP-065): `None` is success.
    pub(crate) fn connected(&self, connecting: &Connecting) -> Step<Option<Code>> {
        if let Some(result) = connecting.at_once {
            return Ok(result);
        }
        wait("FD_CONNECT (WPUSetEvent)", || recorder().event(connecting.event).0.then_some(()))?;
        let record =
            must("WSPEnumNetworkEvents", self.table.enum_network_events(connecting.s, connecting.event))?;
        if record.lNetworkEvents & FD_CONNECT == 0 {
            return fail(format!("the event is set, but the record is {:#x}", record.lNetworkEvents));
        }
        let code = record.iErrorCode[FD_CONNECT_BIT];
        Ok((code != 0).then_some(Code::Number(code)))
    }

    /// Waits until a request is queued.
    pub(crate) fn await_request(&self, listener: &Listener) -> Step {
        wait("FD_ACCEPT (WPUSetEvent)", || recorder().event(listener.event).0.then_some(()))?;
        let record =
            must("WSPEnumNetworkEvents", self.table.enum_network_events(listener.s, listener.event))?;
        if record.lNetworkEvents & FD_ACCEPT == 0 || record.iErrorCode[FD_ACCEPT_BIT] != 0 {
            return fail(format!(
                "the event is set, but the record is {:#x} with error {}",
                record.lNetworkEvents, record.iErrorCode[FD_ACCEPT_BIT]
            ));
        }
        Ok(())
    }

    /// `WSPAccept` of what is queued: the new socket and the peer's address, and how the condition was asked.
    pub(crate) fn answer(
        &self,
        listener: usize,
        decision: Decision,
    ) -> (Answer<(usize, Vec<u8>)>, Vec<Asked>) {
        self.table.accept(listener, ADDRESS_ROOM, decision, 0x1234_5678_9ABC, None)
    }

    /// Accepts a request that is known to be queued.
    pub(crate) fn accept_queued(&self, listener: usize) -> Step<usize> {
        must("WSPAccept", self.answer(listener, CF_ACCEPT).0).map(|(s, _)| s)
    }

    /// Waits for a request and accepts it.
    pub(crate) fn accept(&self, listener: &Listener) -> Step<usize> {
        self.await_request(listener)?;
        self.accept_queued(listener.s)
    }

    pub(crate) fn close(&self, s: usize) -> Step {
        must("WSPCloseSocket", self.table.close(s))
    }
}
