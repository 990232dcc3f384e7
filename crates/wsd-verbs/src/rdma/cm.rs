//! Identifiers of rdma_cm and what the kernel tells about them.

use core::ffi::{c_int, c_void};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use wsd_engine::Tracked;
use wsd_os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::device::DeviceKey;
use super::ffi::{
    CmEvent, CmId, ConnParam, EventChannel, OPTION_ACK_TIMEOUT, OPTION_LEVEL_ID, OPTION_REUSEADDR, PS_TCP,
    QpAttr,
};
use super::library::{Library, library};
use super::{check, object};

/// How long an address or a route may take to resolve, in milliseconds.
const RESOLVE_MS: i32 = 2_000;
/// How long a queue pair waits for an acknowledgement before it sends again, at least: 4.096 us times two to the power of
/// this, 67 ms. rdma_cm would take eight times as long, and a stream stands still for it when its last packet is lost.
const ACK_TIMEOUT: u8 = 14;
/// How often it sends again without an answer before the connection has failed. One less than there could be: soft RoCE takes 7
/// for "without limit", as it is for the retries of a receiver that is not ready, and would never notice a dead host.
const RETRIES: u8 = 6;
/// Private data of a request, its answer or its refusal, in bytes.
const PRIVATE: usize = crate::greeting::LENGTH;

/// Where the kernel tells about identifiers; a descriptor to wait for.
pub(crate) struct Channel {
    library: &'static Library,
    raw: *mut EventChannel,
    tracked: Option<Tracked<BorrowedFd<'static>>>,
}

// SAFETY: the libraries may be called on any thread; all calls are made under one lock.
unsafe impl Send for Channel {}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EventKind {
    AddressResolved,
    RouteResolved,
    Request,
    Response,
    Rejected,
    /// Could not be resolved, or reached; or the connection did not come about.
    Failed,
    Established,
    Disconnected,
    DeviceRemoved,
    /// Of no interest.
    Other,
}

/// One event, copied.
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    /// The datum of the identifier, or of the listener for a request.
    pub(crate) datum: u32,
    /// Tells identifiers apart.
    pub(crate) key: usize,
    /// The new identifier of a request.
    pub(crate) new: Option<Identifier>,
    /// Private data; zeros where there are less.
    pub(crate) data: [u8; PRIVATE],
}

impl Channel {
    /// # Errors
    /// `ENOSYS` without the libraries; `ENODEV`, `ENOENT` without the kernel's part.
    pub(crate) fn new() -> io::Result<Self> {
        let library = library().ok_or(io::ErrorKind::Unsupported)?;
        // SAFETY: no arguments.
        let raw = object(unsafe { (library.rdma_create_event_channel)() })?;
        let mut channel = Self { library, raw, tracked: None };
        // SAFETY: the descriptor lives until the channel is dropped, which drops `tracked` first.
        let fd = unsafe { BorrowedFd::borrow_raw((*raw).fd) };
        let flags = rustix::fs::fcntl_getfl(fd)?;
        rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?;
        channel.tracked = Some(Tracked::new(fd));
        Ok(channel)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.tracked.as_ref().map_or(-1, |fd| fd.as_raw_fd())
    }

    /// The next event, if there is one.
    pub(crate) fn next_event(&self) -> Option<Event> {
        let mut raw: *mut CmEvent = core::ptr::null_mut();
        // SAFETY: the channel is valid; does not block, because the descriptor does not.
        check(unsafe { (self.library.rdma_get_cm_event)(self.raw, &raw mut raw) }).ok()?;
        // SAFETY: a valid event until it is acknowledged.
        let event = unsafe { &*raw };
        let kind = kind(event.event);
        let source = if kind == EventKind::Request { event.listen_id } else { event.id };
        let mut data = [0; PRIVATE];
        let length = PRIVATE.min(usize::from(event.conn.private_data_len));
        let told = matches!(kind, EventKind::Request | EventKind::Response | EventKind::Rejected);
        if told && !event.conn.private_data.is_null() {
            // SAFETY: so many bytes are there until the event is acknowledged; these kinds have the member `conn`.
            unsafe { data.as_mut_ptr().copy_from(event.conn.private_data.cast(), length) };
        }
        let event = Event {
            kind,
            // SAFETY: an identifier is valid while it has an event that is not acknowledged.
            datum: unsafe { (*source).context }.addr() as u32,
            key: event.id.addr(),
            new: (kind == EventKind::Request).then(|| Identifier { library: self.library, raw: event.id }),
            data,
        };
        if let Some(new) = &event.new {
            new.set_datum(0);
            new.limit_acknowledgement();
        }
        // SAFETY: acknowledged once.
        unsafe { (self.library.rdma_ack_cm_event)(raw) };
        Some(event)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.tracked = None;
        // SAFETY: made by `new`; its identifiers are gone (see `state`).
        unsafe { (self.library.rdma_destroy_event_channel)(self.raw) };
    }
}

/// The kind of an `rdma_cm_event_type`.
fn kind(number: u32) -> EventKind {
    match number {
        0 => EventKind::AddressResolved,
        2 => EventKind::RouteResolved,
        4 => EventKind::Request,
        5 => EventKind::Response,
        1 | 3 | 6 | 7 => EventKind::Failed,
        8 => EventKind::Rejected,
        9 => EventKind::Established,
        10 => EventKind::Disconnected,
        11 => EventKind::DeviceRemoved,
        _ => EventKind::Other,
    }
}

/// What two ends agree on when they connect.
#[derive(Clone, Copy)]
pub(crate) struct Parameters {
    pub(crate) pair: u32,
    /// RDMA reads under way at once, in each direction.
    pub(crate) reads: u8,
    pub(crate) data: [u8; PRIVATE],
}

impl Parameters {
    fn raw(&self) -> ConnParam {
        ConnParam {
            private_data: self.data.as_ptr().cast(),
            private_data_len: PRIVATE as u8,
            responder_resources: self.reads,
            initiator_depth: self.reads,
            flow_control: 1,
            retry_count: RETRIES,
            // Without limit.
            rnr_retry_count: 7,
            srq: 0,
            qp_num: self.pair,
        }
    }
}

/// An end of a connection, or a listener, as rdma_cm knows it.
pub(crate) struct Identifier {
    library: &'static Library,
    raw: *mut CmId,
}

// SAFETY: as for `Channel`.
unsafe impl Send for Identifier {}

impl Identifier {
    /// An identifier whose events have that datum.
    ///
    /// # Errors
    /// `ENOMEM` and the like.
    pub(crate) fn new(channel: &Channel, datum: u32) -> io::Result<Self> {
        let mut raw = core::ptr::null_mut();
        let context = core::ptr::without_provenance_mut::<c_void>(datum as usize);
        // SAFETY: the channel is valid, and outlives the identifier (see `state`).
        check(unsafe { (channel.library.rdma_create_id)(channel.raw, &raw mut raw, context, PS_TCP) })?;
        let id = Self { library: channel.library, raw };
        id.limit_acknowledgement();
        Ok(id)
    }

    /// Sets this end's [`ACK_TIMEOUT`], before its route and its queue pair are asked for.
    fn limit_acknowledgement(&self) {
        // Linux before 5.2 does not know the option, and keeps its own.
        let _ = self.set_option(OPTION_ACK_TIMEOUT, &ACK_TIMEOUT);
    }

    /// Tells identifiers apart.
    pub(crate) fn key(&self) -> usize {
        self.raw.addr()
    }

    /// Changes the datum of its events.
    pub(crate) fn set_datum(&self, datum: u32) {
        // SAFETY: the identifier is valid, and nobody else uses the member.
        unsafe { (*self.raw).context = core::ptr::without_provenance_mut(datum as usize) };
    }

    /// Others that share, too, may be bound to the same port.
    ///
    /// # Errors
    /// Those of `rdma_set_option`.
    pub(crate) fn share_port(&self) -> io::Result<()> {
        self.set_option(OPTION_REUSEADDR, &1_i32)
    }

    fn set_option<T>(&self, option: c_int, value: &T) -> io::Result<()> {
        let value = core::ptr::from_ref(value).cast_mut().cast();
        // SAFETY: the identifier is valid; the value is only read, and so long.
        check(unsafe {
            (self.library.rdma_set_option)(self.raw, OPTION_LEVEL_ID, option, value, size_of::<T>())
        })
    }

    /// # Errors
    /// `EADDRINUSE`, `EADDRNOTAVAIL`, `ENODEV`.
    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<()> {
        let mut name = encode(address);
        // SAFETY: the identifier and the name are valid.
        check(unsafe { (self.library.rdma_bind_addr)(self.raw, (&raw mut name).cast()) })
    }

    /// Whether it is bound to a device.
    pub(crate) fn device(&self) -> Option<DeviceKey> {
        // SAFETY: the identifier is valid; a context of the library is valid for ever.
        unsafe { (*self.raw).verbs.as_ref() }.map(|context| DeviceKey::new(context.device))
    }

    /// # Errors
    /// `EADDRINUSE`, `ENODEV`.
    pub(crate) fn listen(&self, backlog: i32) -> io::Result<()> {
        // SAFETY: the identifier is valid.
        check(unsafe { (self.library.rdma_listen)(self.raw, backlog) })
    }

    /// Begins to find the way, from where the kernel likes if it is not bound; events follow.
    ///
    /// # Errors
    /// `ENODEV`, `EADDRNOTAVAIL`.
    pub(crate) fn resolve(&self, to: SocketAddr) -> io::Result<()> {
        let mut to = encode(to);
        let from = core::ptr::null_mut();
        // SAFETY: the identifier and the name are valid.
        check(unsafe { (self.library.rdma_resolve_addr)(self.raw, from, (&raw mut to).cast(), RESOLVE_MS) })
    }

    /// # Errors
    /// Those of `rdma_resolve_route`.
    pub(crate) fn resolve_route(&self) -> io::Result<()> {
        // SAFETY: the identifier is valid and has a device.
        check(unsafe { (self.library.rdma_resolve_route)(self.raw, RESOLVE_MS) })
    }

    /// # Errors
    /// Those of `rdma_connect`.
    pub(crate) fn connect(&self, parameters: &Parameters) -> io::Result<()> {
        let mut raw = parameters.raw();
        // SAFETY: all valid during the call.
        check(unsafe { (self.library.rdma_connect)(self.raw, &raw mut raw) })
    }

    /// # Errors
    /// Those of `rdma_accept`.
    pub(crate) fn accept(&self, parameters: &Parameters) -> io::Result<()> {
        let mut raw = parameters.raw();
        // SAFETY: all valid during the call.
        check(unsafe { (self.library.rdma_accept)(self.raw, &raw mut raw) })
    }

    /// # Errors
    /// Those of `rdma_establish`.
    pub(crate) fn establish(&self) -> io::Result<()> {
        // SAFETY: the identifier is valid.
        check(unsafe { (self.library.rdma_establish)(self.raw) })
    }

    /// Refuses a request, and says why. A peer that has gone needs no answer.
    pub(crate) fn reject(&self, data: &[u8; PRIVATE]) {
        // SAFETY: all valid during the call.
        unsafe { (self.library.rdma_reject)(self.raw, data.as_ptr().cast(), PRIVATE as u8) };
    }

    /// Ends the connection. One that has ended needs no end.
    pub(crate) fn disconnect(&self) {
        // SAFETY: the identifier is valid.
        unsafe { (self.library.rdma_disconnect)(self.raw) };
    }

    /// Attributes that bring a queue pair to a state, and which of them count.
    pub(super) fn attributes(&self, state: u32) -> io::Result<(QpAttr, i32)> {
        let (mut attributes, mut mask) = (QpAttr::default(), 0);
        attributes.qp_state = state;
        // SAFETY: all valid during the call.
        check(unsafe { (self.library.rdma_init_qp_attr)(self.raw, &raw mut attributes, &raw mut mask) })?;
        Ok((attributes, mask))
    }

    /// The own name.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        // SAFETY: the identifier is valid.
        decode(unsafe { &(*self.raw).source })
    }

    /// The peer's name; its port is rdma_cm's own.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        // SAFETY: the identifier is valid.
        decode(unsafe { &(*self.raw).destination })
    }
}

impl Drop for Identifier {
    fn drop(&mut self) {
        // SAFETY: destroyed once. All its events are acknowledged, so this does not wait.
        unsafe { (self.library.rdma_destroy_id)(self.raw) };
    }
}

fn encode(address: SocketAddr) -> libc::sockaddr_storage {
    // SAFETY: any bytes are one.
    let mut name: libc::sockaddr_storage = unsafe { core::mem::zeroed() };
    match address {
        SocketAddr::V4(v4) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: the storage is larger, and aligned for all kinds.
            unsafe { (&raw mut name).cast::<libc::sockaddr_in>().write(raw) };
        }
        SocketAddr::V6(v6) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as u16,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            unsafe { (&raw mut name).cast::<libc::sockaddr_in6>().write(raw) };
        }
    }
    name
}

fn decode(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is one, and the storage is large enough.
            let raw = unsafe { &*core::ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(raw.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let raw = unsafe { &*core::ptr::from_ref(name).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(raw.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(raw.sin6_port), 0, raw.sin6_scope_id).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_to_the_library_and_back() {
        for text in ["10.9.0.1:80", "[fd09::1]:443", "[fe80::1%7]:1"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(decode(&encode(address)), Some(address));
        }
        // SAFETY: any bytes are one.
        assert_eq!(decode(&unsafe { core::mem::zeroed() }), None);
    }
}
