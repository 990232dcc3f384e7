//! Names, connections, events.

use super::condition::{condition_door, with_condition};
use super::san::made;
use super::socket::Socket;
use super::table::zero;
use super::tracer::trace;
use super::upcall_doors::watching_handles;
use crate::address::{SOCKADDR_IN6_LEN, SockAddr};
use crate::error::WsaError;
use crate::ffi::{
    FD_ACCEPT, FD_ACCEPT_BIT, FD_CONNECT, FD_CONNECT_BIT, SOCKADDR, WSA_INVALID_EVENT, WSANETWORKEVENTS,
};
use crate::value::{Condition, Event, EventMask, NetworkEvents};

use core::ptr;

impl Socket {
    /// `WSPBind`.
    ///
    /// # Errors
    /// Section 6.4.
    pub fn bind(&self, name: &SockAddr) -> Result<(), WsaError> {
        let (bytes, length) = name.encode();
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; the name has the given length; `errno` is valid.
        let result = unsafe {
            (self.inner.functions().bind)(
                self.inner.open()?,
                bytes.as_ptr().cast::<SOCKADDR>(),
                length as i32,
                &raw mut errno,
            )
        };
        let result = zero(result, errno);
        trace!(&self.inner.san.tracer, "WSPBind", result, "{:?}, {name}", self.inner.descriptor);
        result
    }

    /// `WSPConnect`, without connect data and QoS. `WSAEWOULDBLOCK`: the result follows by `FD_CONNECT` (SP-065).
    ///
    /// # Errors
    /// Section 6.8; the three codes of SP-067 forbid trying TCP.
    pub fn connect(&self, name: &SockAddr) -> Result<(), WsaError> {
        let (bytes, length) = name.encode();
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; the name has the given length; `errno` is valid.
        let result = unsafe {
            (self.inner.functions().connect)(
                self.inner.open()?,
                bytes.as_ptr().cast::<SOCKADDR>(),
                length as i32,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
                &raw mut errno,
            )
        };
        let result = zero(result, errno);
        trace!(&self.inner.san.tracer, "WSPConnect", result, "{:?}, {name}", self.inner.descriptor);
        result
    }

    /// `WSPListen`.
    ///
    /// # Errors
    /// Section 6.9.
    pub fn listen(&self, backlog: i32) -> Result<(), WsaError> {
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; `errno` is valid.
        let result = unsafe { (self.inner.functions().listen)(self.inner.open()?, backlog, &raw mut errno) };
        let result = zero(result, errno);
        trace!(&self.inner.san.tracer, "WSPListen", result, "{:?}, backlog={backlog}", self.inner.descriptor);
        result
    }

    /// `WSPAccept`: the new socket and the peer's address. `condition` is asked with the addresses of the peer and
    /// of this side, on this thread, at most once (SP-076); if it panics, the connection is refused.
    ///
    /// # Errors
    /// Section 6.10.
    pub fn accept(
        &self,
        condition: impl FnOnce(&SockAddr, &SockAddr) -> Condition,
    ) -> Result<(Socket, SockAddr), WsaError> {
        let mut condition = Some(condition);
        let mut ask = |caller: &SockAddr, callee: &SockAddr| {
            condition.take().map_or(Condition::Reject, |condition| condition(caller, callee))
        };
        let mut address = [0u8; SOCKADDR_IN6_LEN];
        let mut length = SOCKADDR_IN6_LEN as i32;
        let mut errno = 0;
        let s = self.inner.open()?;
        let (descriptor, handle) = watching_handles(|| {
            with_condition(&mut ask, |data| {
                // SAFETY: the entry is of a started provider; the address buffer has the given length; the condition
                // function takes any callback data; `errno` is valid.
                unsafe {
                    (self.inner.functions().accept)(
                        s,
                        address.as_mut_ptr().cast::<SOCKADDR>(),
                        &raw mut length,
                        Some(condition_door),
                        data,
                        &raw mut errno,
                    )
                }
            })
        });
        let result = made(descriptor, errno);
        trace!(&self.inner.san.tracer, "WSPAccept", result, "{:?}", self.inner.descriptor);
        let socket = Socket::new(self.inner.san.clone(), result?, handle);
        let length = usize::try_from(length).unwrap_or(0).min(SOCKADDR_IN6_LEN);
        // An address that cannot be read is the provider's fault; the socket is closed on return.
        let peer = SockAddr::decode(&address[..length]).map_err(|_| WsaError::WSASYSCALLFAILURE)?;
        Ok((socket, peer))
    }

    /// `WSPEventSelect`: the provider sets `event` when one of `mask` occurs, and makes the socket non-blocking
    /// (SP-055..058).
    ///
    /// # Errors
    /// Section 6.6.
    pub fn event_select(&self, event: Option<Event>, mask: EventMask) -> Result<(), WsaError> {
        let handle = event.map_or(WSA_INVALID_EVENT, Event::handle);
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; the event is only a number to it; `errno` is valid.
        let result = unsafe {
            (self.inner.functions().event_select)(self.inner.open()?, handle, mask.bits(), &raw mut errno)
        };
        let result = zero(result, errno);
        trace!(
            &self.inner.san.tracer,
            "WSPEventSelect",
            result,
            "{:?}, {:#x}, {:#x}",
            self.inner.descriptor,
            handle.addr(),
            mask.bits()
        );
        result
    }

    /// `WSPEnumNetworkEvents`: takes the record of events, and resets `event` (SP-060).
    ///
    /// # Errors
    /// Section 6.7.
    pub fn enum_network_events(&self, event: Option<Event>) -> Result<NetworkEvents, WsaError> {
        let handle = event.map_or(WSA_INVALID_EVENT, Event::handle);
        let mut record = WSANETWORKEVENTS::zeroed();
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; the event is only a number to it; the other pointers are to
        // local variables.
        let result = unsafe {
            (self.inner.functions().enum_network_events)(
                self.inner.open()?,
                handle,
                &raw mut record,
                &raw mut errno,
            )
        };
        let of = |mask: i32, bit: usize| {
            (record.lNetworkEvents & mask != 0).then(|| WsaError::result_of(record.iErrorCode[bit]))
        };
        let result = zero(result, errno).map(|()| NetworkEvents {
            accept: of(FD_ACCEPT, FD_ACCEPT_BIT),
            connect: of(FD_CONNECT, FD_CONNECT_BIT),
        });
        trace!(
            &self.inner.san.tracer,
            "WSPEnumNetworkEvents",
            result,
            "{:?}, {:#x}",
            self.inner.descriptor,
            handle.addr()
        );
        result
    }
}
