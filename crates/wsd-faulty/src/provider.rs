//! The provider as the SPI sees it.

use std::num::NonZeroU32;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wsd_spi::client::{MemoryExt, MemorySlice, San, SocketArguments, StableMemory};
use wsd_spi::ffi::{
    SIO_GET_GROUP_QOS, SIO_GET_QOS, SIO_SET_GROUP_QOS, SIO_SET_QOS, SO_GROUP_ID, SO_GROUP_PRIORITY,
    SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE, SOL_SOCKET,
};
use wsd_spi::provider::{
    Accepted, ConditionFunction, ConnectExtras, Mapping, MemoryRange, Qos, RemoteBuffer, SanProvider,
    SocketRequest, Startup, Submission, UpCalls,
};
use wsd_spi::{
    Event, EventMask, ExtensionFunction, MemoryAccess, NetworkEvents, RegistrationHandle, SanSocket,
    SockAddr, WsaError,
};

use crate::death::{self, Moment};
use crate::extras::{Whose, flow_bytes, template};
use crate::faults::Faults;
use crate::inner::lock;
use crate::operations::Kind;
use crate::socket::{Companion, DESCRIPTOR, Part, slices};
use crate::state::{PerProcess, State};

/// See the [crate](crate).
pub struct Faulty {
    faults: Faults,
    upcalls: UpCalls,
    own: PerProcess,
}

impl Deref for Faulty {
    type Target = State;

    fn deref(&self) -> &State {
        self.own.get()
    }
}

impl Faulty {
    fn inner(&self) -> Result<San, WsaError> {
        lock(&self.inner).clone().ok_or(WsaError::WSANOTINITIALISED)
    }

    fn find(&self, s: SanSocket) -> Result<Arc<Companion>, WsaError> {
        lock(&self.sockets).get(&s).cloned().ok_or(WsaError::WSAENOTSOCK)
    }

    /// Adds a socket of the inner provider, under the same number.
    fn add(&self, socket: wsd_spi::client::Socket) -> Result<SanSocket, WsaError> {
        let s = socket.descriptor();
        // The inner provider makes one for each socket, also at an adoption.
        let handle = socket.handle().ok_or(WsaError::WSASYSCALLFAILURE)?;
        lock(&self.sockets).insert(s, Arc::new(Companion::new(socket, handle)));
        Ok(s)
    }

    /// The size that this provider tells for an option.
    fn size(&self, companion: &Companion, name: i32) -> Result<u32, WsaError> {
        Ok(self.faults.size(name, companion.socket.get_option_u32(name)?))
    }

    /// Whether a connection breaks that is about to send this message, of that kind.
    fn breaks_at(&self, message: u64, kind: u8) -> bool {
        (self.faults.break_at == Some(message) || self.faults.break_before == Some(kind))
            && self.broken.fetch_add(1, Ordering::Relaxed) < self.faults.break_times.unwrap_or(1)
    }

    /// Whether nobody answers a WSPConnect; counts those after a break.
    fn is_in_vain(&self) -> bool {
        self.broken.load(Ordering::Relaxed) != 0
            && self.connects.fetch_add(1, Ordering::Relaxed) < self.faults.vain_connects
    }

    fn rdma(
        &self,
        s: SanSocket,
        remote: RemoteBuffer<'_>,
        submission: Submission<'_>,
        write: bool,
    ) -> Result<(), WsaError> {
        let companion = self.find(s)?;
        let total = submission.buffers().total();
        if total > self.size(&companion, SO_MAX_RDMA_SIZE)? {
            return Err(WsaError::WSAEMSGSIZE);
        }
        let most = if self.faults.split_rdma { total.div_ceil(3) } else { u32::MAX };
        let parts = companion.parts(submission.buffers(), remote.offset, most)?;
        let count = if self.faults.fail_rdma { 1 } else { parts.len() as u32 };
        let key = self.operations.begin(companion.handle, Kind::Rdma, count)?;
        if self.faults.fail_rdma {
            self.operations.part_done(key, Err(WsaError::WSAENOBUFS), 0);
        } else {
            self.start_parts(&companion, &parts, remote, write, key)?;
        }
        self.operations.taken(key, submission.start(companion.handle));
        Ok(())
    }

    /// Starts all parts; those that are refused after the first one have completed with an error.
    ///
    /// # Errors
    /// The first part was refused, and nothing was started.
    fn start_parts(
        &self,
        companion: &Companion,
        parts: &[Part],
        remote: RemoteBuffer<'_>,
        write: bool,
        key: u64,
    ) -> Result<(), WsaError> {
        for (number, part) in parts.iter().enumerate() {
            if let Err(error) = companion.rdma(part, remote, write, key) {
                if number == 0 {
                    self.operations.refused(key);
                    return Err(error);
                }
                self.operations.part_done(key, Err(error), 0);
            }
        }
        Ok(())
    }

    /// Hands over a message or a receive.
    fn submit(
        &self,
        companion: &Companion,
        submission: Submission<'_>,
        kind: Kind,
        call: impl FnOnce(&[MemorySlice], u64) -> Result<(), WsaError>,
    ) -> Result<(), WsaError> {
        let buffers = slices(submission.buffers())?;
        let key = self.operations.begin(companion.handle, kind, 1)?;
        call(&buffers, key).inspect_err(|_| self.operations.refused(key))?;
        self.operations.taken(key, submission.start(companion.handle));
        Ok(())
    }
}

/// Changes every byte.
fn garble(buffers: &[MemorySlice]) {
    for buffer in buffers {
        let mut bytes = vec![0; buffer.len()];
        buffer.read(0, &mut bytes);
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        buffer.write(0, &bytes);
    }
}

impl SanProvider for Faulty {
    const DESCRIPTION: &'static str = "wsdirect test provider with faults";
    const RDMA_DESCRIPTOR_LEN: usize = DESCRIPTOR;
    const ALLOCATION_DESCRIPTOR_LEN: usize = DESCRIPTOR;
    const IPV6: bool = true;

    fn startup(startup: &Startup, upcalls: UpCalls) -> Result<Self, WsaError> {
        let faults = Faults::from_environment();
        if faults.fail_startup {
            return Err(WsaError::WSASYSNOTREADY);
        }
        let own = PerProcess::new(startup, upcalls, &faults)?;
        Ok(Self { faults, upcalls, own })
    }

    fn cleanup(&self) {
        let open: Vec<SanSocket> = lock(&self.sockets).keys().copied().collect();
        for s in open {
            // Closed meanwhile by an up-call.
            let _ = self.close_socket(s);
        }
        drop(lock(&self.inner).take());
        self.operations.end();
    }

    fn offers(&self, function: ExtensionFunction) -> bool {
        let has = self.inner().is_ok_and(|inner| inner.has(function));
        has && !self.faults.conceals(function)
    }

    fn socket(&self, request: &SocketRequest) -> Result<SanSocket, WsaError> {
        // The first one is the switch's probe (SW-020).
        if self.faults.fail_socket && self.made.fetch_add(1, Ordering::Relaxed) > 0 {
            return Err(WsaError::WSAEMFILE);
        }
        let arguments = SocketArguments {
            family: request.family,
            kind: request.kind,
            protocol: request.protocol,
            protocol_info: request.protocol_info,
            group: request.group,
            flags: request.flags,
        };
        let adopts = request.protocol_info.is_some_and(|info| info.dwProviderReserved != 0);
        let moment = |moment| death::at(self.faults.fate.filter(|_| adopts), moment);
        moment(Moment::Adopt);
        let socket = self.inner()?.socket(&arguments)?;
        moment(Moment::Adopted);
        self.add(socket)
    }

    fn bind(&self, s: SanSocket, name: SockAddr) -> Result<(), WsaError> {
        if self.faults.fail_bind {
            return Err(WsaError::WSAEADDRNOTAVAIL);
        }
        self.find(s)?.socket.bind(&name)?;
        self.extras.bound(s, name);
        Ok(())
    }

    fn set_option(&self, s: SanSocket, level: i32, name: i32, value: &[u8]) -> Result<(), WsaError> {
        let companion = self.find(s)?;
        if self.faults.qos && level == SOL_SOCKET && name == SO_GROUP_PRIORITY {
            return self.extras.set_priority(s, value);
        }
        companion.socket.set_option(level, name, value)
    }

    fn get_option(&self, s: SanSocket, level: i32, name: i32) -> Result<Vec<u8>, WsaError> {
        let companion = self.find(s)?;
        if self.faults.qos && level == SOL_SOCKET && [SO_GROUP_ID, SO_GROUP_PRIORITY].contains(&name) {
            return Ok(self.extras.group_option(s, name == SO_GROUP_PRIORITY).to_vec());
        }
        let value = companion.socket.get_option(level, name, 1024)?;
        match <[u8; 4]>::try_from(value.as_slice()) {
            Ok(told) if level == SOL_SOCKET => {
                Ok(self.faults.size(name, u32::from_ne_bytes(told)).to_ne_bytes().to_vec())
            }
            _ => Ok(value),
        }
    }

    fn event_select(&self, s: SanSocket, event: Option<Event>, mask: EventMask) -> Result<(), WsaError> {
        let companion = self.find(s)?;
        if event.is_some() {
            companion.answers_to(event);
        }
        companion.socket.event_select(event, mask)
    }

    fn enum_network_events(&self, s: SanSocket, event: Option<Event>) -> Result<NetworkEvents, WsaError> {
        let companion = self.find(s)?;
        let events = companion.socket.enum_network_events(event)?;
        Ok(NetworkEvents { connect: events.connect.or(companion.take_answer().map(Err)), ..events })
    }

    fn connect(&self, s: SanSocket, name: SockAddr) -> Result<(), WsaError> {
        let companion = self.find(s)?;
        if self.faults.fail_connect {
            return Err(WsaError::WSAENETUNREACH);
        }
        if let Some(error) = self.faults.connect_fails {
            return Err(error);
        }
        let in_vain = self.is_in_vain().then_some(WsaError::WSAETIMEDOUT);
        if let Some(error) = self.faults.connect_told.or(in_vain) {
            if let Some(event) = companion.answer(error) {
                self.upcalls.set_event(event)?;
            }
            return Err(WsaError::WSAEWOULDBLOCK);
        }
        if self.faults.connect_silent {
            return Err(WsaError::WSAEWOULDBLOCK);
        }
        companion.socket.connect(&name)
    }

    fn connect_with(&self, s: SanSocket, name: SockAddr, extras: ConnectExtras) -> Result<(), WsaError> {
        self.find(s)?;
        if !extras.caller_data.is_empty() {
            if !self.faults.connect_data {
                return Err(WsaError::WSAEPROTONOSUPPORT);
            }
            self.extras.calls_with(s, extras.caller_data);
        }
        if let Some(qos) = extras.qos {
            if !self.faults.qos {
                return Err(WsaError::WSAEOPNOTSUPP);
            }
            self.extras.set_flows(s, Whose::Socket, &flow_bytes(&qos))?;
        }
        self.connect(s, name)
    }

    fn ioctl(&self, s: SanSocket, code: u32, input: &[u8]) -> Result<Vec<u8>, WsaError> {
        let companion = self.find(s)?;
        match code {
            SIO_GET_QOS if self.faults.qos => Ok(self.extras.flows(s, Whose::Socket)),
            SIO_GET_GROUP_QOS if self.faults.qos => Ok(self.extras.flows(s, Whose::Group)),
            SIO_SET_QOS if self.faults.qos => self.extras.set_flows(s, Whose::Socket, input),
            SIO_SET_GROUP_QOS if self.faults.qos => self.extras.set_flows(s, Whose::Group, input),
            code => companion.socket.ioctl(code, input, 1024),
        }
    }

    fn get_qos_by_name(&self, s: SanSocket, name: &[u16]) -> Result<Qos, WsaError> {
        self.find(s)?;
        if self.faults.qos { template(name) } else { Err(WsaError::WSAEOPNOTSUPP) }
    }

    fn listen(&self, s: SanSocket, backlog: i32) -> Result<(), WsaError> {
        if self.faults.fail_listen {
            return Err(WsaError::WSAENOBUFS);
        }
        self.find(s)?.socket.listen(backlog)
    }

    fn accept(&self, s: SanSocket, condition: ConditionFunction<'_>) -> Result<Accepted, WsaError> {
        let companion = self.find(s)?;
        if self.faults.vain_event
            && let Some(event) = companion.first_look()
        {
            self.upcalls.set_event(event)?;
            return Err(WsaError::WSAEWOULDBLOCK);
        }
        let (socket, peer) = companion.socket.accept(|caller, callee| {
            let mut data = self.extras.data_of(caller);
            condition.ask_with(caller, callee, &mut data)
        })?;
        if self.faults.slow_accept {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Accepted { socket: self.add(socket)?, peer })
    }

    fn send(&self, s: SanSocket, submission: Submission<'_>) -> Result<(), WsaError> {
        let companion = self.find(s)?;
        let sent = self.sent.fetch_add(1, Ordering::Relaxed);
        if self.faults.fail_send_after.is_some_and(|count| sent >= count) {
            return Err(WsaError::WSAECONNABORTED);
        }
        if submission.buffers().total() > self.size(&companion, SO_MAX_MSG_SIZE)? {
            return Err(WsaError::WSAEMSGSIZE);
        }
        let kind = death::kind_of(&slices(submission.buffers())?);
        if self.breaks_at(companion.next_message(), kind) {
            if self.faults.slow_break {
                std::thread::sleep(Duration::from_millis(200));
            }
            // It completes everything, and the other end learns of it.
            let _ = companion.socket.close();
            return Err(WsaError::WSAECONNABORTED);
        }
        let total = submission.buffers().total();
        self.submit(&companion, submission, Kind::Send, |buffers, key| {
            if self.faults.mute {
                self.operations.part_done(key, Ok(()), total);
                return Ok(());
            }
            if self.faults.garble == Some(sent) {
                garble(buffers);
            }
            self.faults.tamper(buffers);
            let kind = death::kind_of(buffers);
            death::at(self.faults.fate, Moment::Send(kind));
            companion.socket.send_notified(buffers, key)?;
            death::at(self.faults.fate, Moment::Sent(kind));
            Ok(())
        })
    }

    fn recv(&self, s: SanSocket, submission: Submission<'_>) -> Result<(), WsaError> {
        let companion = self.find(s)?;
        self.submit(&companion, submission, Kind::Receive, |buffers, key| {
            self.operations.receives_into(key, buffers);
            companion.socket.recv_notified(buffers, key)
        })
    }

    fn progress(&self, s: SanSocket, pending: bool) -> Result<(), WsaError> {
        self.find(s)?.progress(self.inner()?.table(), pending)
    }

    fn address_list(&self, s: SanSocket) -> Result<Vec<SockAddr>, WsaError> {
        let mut addresses = self.find(s)?.socket.address_list()?;
        addresses.retain(|address| !self.faults.ipv4 || address.socket_addr().is_ipv4());
        Ok(addresses)
    }

    fn duplicate_socket(&self, s: SanSocket, process_id: u32) -> Result<NonZeroU32, WsaError> {
        death::at(self.faults.fate, Moment::Duplicate);
        let companion = self.find(s)?;
        let info = companion.socket.duplicate(process_id, 0)?;
        companion.given.store(true, Ordering::Relaxed);
        death::at(self.faults.fate, Moment::Duplicated);
        NonZeroU32::new(info.dwProviderReserved).ok_or(WsaError::WSASYSCALLFAILURE)
    }

    fn close_socket(&self, s: SanSocket) -> Result<(), WsaError> {
        let companion = lock(&self.sockets).remove(&s).ok_or(WsaError::WSAENOTSOCK)?;
        self.extras.closed(s);
        let given = companion.given.load(Ordering::Relaxed);
        let moment = |moment| death::at(self.faults.fate.filter(|_| given), moment);
        moment(Moment::Close);
        // Completes what is pending, and then gives the handle back.
        let closed = companion.socket.close();
        moment(Moment::Closed);
        closed
    }

    fn register_memory(
        &self,
        s: SanSocket,
        memory: MemoryRange,
        access: MemoryAccess,
    ) -> Result<RegistrationHandle, WsaError> {
        self.find(s)?.register(&memory, access)
    }

    fn deregister_memory(&self, s: SanSocket, handle: RegistrationHandle) -> Result<(), WsaError> {
        self.find(s)?.deregister(handle)
    }

    fn register_rdma_memory(
        &self,
        s: SanSocket,
        memory: MemoryRange,
        access: MemoryAccess,
        descriptor: &mut [u8],
    ) -> Result<(), WsaError> {
        if self.faults.no_memory {
            return Err(WsaError::WSAENOBUFS);
        }
        self.find(s)?.expose(&memory, access, descriptor)
    }

    fn deregister_rdma_memory(&self, s: SanSocket, descriptor: &[u8]) -> Result<(), WsaError> {
        self.find(s)?.conceal(descriptor)
    }

    fn rdma_write(
        &self,
        s: SanSocket,
        remote: RemoteBuffer<'_>,
        submission: Submission<'_>,
    ) -> Result<(), WsaError> {
        self.rdma(s, remote, submission, true)
    }

    fn rdma_read(
        &self,
        s: SanSocket,
        remote: RemoteBuffer<'_>,
        submission: Submission<'_>,
    ) -> Result<(), WsaError> {
        self.rdma(s, remote, submission, false)
    }

    fn memory_registration_cache_callback(&self, address: usize, length: usize) -> Result<(), WsaError> {
        self.inner()?.memory_is_changing(address, length)
    }

    fn allocate(&self, s: SanSocket, length: u32, descriptor: &mut [u8]) -> Result<NonNull<u8>, WsaError> {
        self.find(s)?.allocate(length, descriptor)
    }

    fn free(&self, s: SanSocket, memory: NonNull<u8>) -> Result<(), WsaError> {
        self.find(s)?.unshare(memory)
    }

    fn map(&self, s: SanSocket, descriptor: &[u8]) -> Result<Mapping, WsaError> {
        let (memory, length) = self.find(s)?.map(descriptor)?;
        Ok(Mapping { memory, length })
    }

    fn unmap(&self, s: SanSocket, memory: NonNull<u8>) -> Result<(), WsaError> {
        self.find(s)?.unshare(memory)
    }

    fn arm(&self) -> Result<i32, WsaError> {
        self.inner()?.arm()
    }

    fn progress_all(&self) -> Result<(), WsaError> {
        self.inner()?.progress()
    }
}
