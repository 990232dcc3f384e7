//! The provider as the SPI sees it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use wsd_spi::client::{San, SocketArguments};
use wsd_spi::ffi::{SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE, SOL_SOCKET};
use wsd_spi::provider::{
    Accepted, ConditionFunction, Mapping, MemoryRange, RemoteBuffer, SanProvider, SocketRequest, Startup,
    Submission, UpCalls,
};
use wsd_spi::{
    Event, EventMask, ExtensionFunction, MemoryAccess, NetworkEvents, RegistrationHandle, SanSocket,
    SockAddr, SwitchSocket, WsaError,
};

use crate::faults::Faults;
use crate::inner::{self, lock};
use crate::late::Completer;
use crate::operations::{Kind, Operations};
use crate::socket::{Companion, DESCRIPTOR, slices};

/// See the [crate](crate).
pub struct Faulty {
    faults: Faults,
    upcalls: UpCalls,
    operations: Arc<Operations>,
    /// Taken at the clean-up.
    inner: Mutex<Option<San>>,
    sockets: Mutex<HashMap<SanSocket, Arc<Companion>>>,
    made: AtomicU64,
    sent: AtomicU64,
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
        let handle = self.upcalls.create_socket_handle(0, s.raw())?;
        lock(&self.sockets).insert(s, Arc::new(Companion::new(socket, handle)));
        Ok(s)
    }

    /// The size that this provider tells for an option.
    fn size(&self, companion: &Companion, name: i32) -> Result<u32, WsaError> {
        Ok(self.faults.size(name, companion.socket.get_option_u32(name)?))
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
        let overlapped = submission.start(companion.handle);
        if self.faults.fail_rdma {
            let key = self.operations.begin(overlapped, companion.handle, Kind::Rdma, 1);
            self.operations.part_done(key, Err(WsaError::WSAENOBUFS), 0);
            return Ok(());
        }
        let key = self.operations.begin(overlapped, companion.handle, Kind::Rdma, parts.len() as u32);
        for part in &parts {
            if let Err(error) = companion.rdma(part, remote, write, key) {
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
        call: impl FnOnce(&[wsd_spi::client::MemorySlice], u64) -> Result<(), WsaError>,
    ) -> Result<(), WsaError> {
        let buffers = slices(submission.buffers())?;
        let key = self.operations.begin(submission.start(companion.handle), companion.handle, kind, 1);
        // A refusal is told by the completion, since the request is taken.
        if let Err(error) = call(&buffers, key) {
            self.operations.part_done(key, Err(error), 0);
        }
        Ok(())
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
        let operations = Operations::new(Completer::new(faults.late)?);
        let inner = inner::start(startup.version, &startup.protocol_info, upcalls, operations.clone())?;
        Ok(Self {
            faults,
            upcalls,
            operations,
            inner: Mutex::new(Some(inner)),
            sockets: Mutex::default(),
            made: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        })
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
        self.add(self.inner()?.socket(&arguments)?)
    }

    fn bind(&self, s: SanSocket, name: SockAddr) -> Result<(), WsaError> {
        if self.faults.fail_bind {
            return Err(WsaError::WSAEADDRNOTAVAIL);
        }
        self.find(s)?.socket.bind(&name)
    }

    fn set_option(&self, s: SanSocket, level: i32, name: i32, value: &[u8]) -> Result<(), WsaError> {
        self.find(s)?.socket.set_option(level, name, value)
    }

    fn get_option(&self, s: SanSocket, level: i32, name: i32) -> Result<Vec<u8>, WsaError> {
        let value = self.find(s)?.socket.get_option(level, name, 1024)?;
        match <[u8; 4]>::try_from(value.as_slice()) {
            Ok(told) if level == SOL_SOCKET => {
                Ok(self.faults.size(name, u32::from_ne_bytes(told)).to_ne_bytes().to_vec())
            }
            _ => Ok(value),
        }
    }

    fn event_select(&self, s: SanSocket, event: Option<Event>, mask: EventMask) -> Result<(), WsaError> {
        self.find(s)?.socket.event_select(event, mask)
    }

    fn enum_network_events(&self, s: SanSocket, event: Option<Event>) -> Result<NetworkEvents, WsaError> {
        self.find(s)?.socket.enum_network_events(event)
    }

    fn connect(&self, s: SanSocket, name: SockAddr) -> Result<(), WsaError> {
        let companion = self.find(s)?;
        if self.faults.fail_connect {
            return Err(WsaError::WSAENETUNREACH);
        }
        companion.socket.connect(&name)
    }

    fn listen(&self, s: SanSocket, backlog: i32) -> Result<(), WsaError> {
        self.find(s)?.socket.listen(backlog)
    }

    fn accept(&self, s: SanSocket, condition: ConditionFunction<'_>) -> Result<Accepted, WsaError> {
        let companion = self.find(s)?;
        let (socket, peer) = companion.socket.accept(|caller, callee| condition.ask(caller, callee))?;
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
        self.submit(&companion, submission, Kind::Send, |buffers, key| {
            companion.socket.send_notified(buffers, key)
        })
    }

    fn recv(&self, s: SanSocket, submission: Submission<'_>) -> Result<(), WsaError> {
        let companion = self.find(s)?;
        self.submit(&companion, submission, Kind::Receive, |buffers, key| {
            companion.socket.recv_notified(buffers, key)
        })
    }

    fn progress(&self, s: SanSocket, _pending: bool) -> Result<(), WsaError> {
        // The inner provider has a thread, or the switch calls `progress_all`.
        self.find(s).map(drop)
    }

    fn address_list(&self, s: SanSocket) -> Result<Vec<SockAddr>, WsaError> {
        self.find(s)?.socket.address_list()
    }

    fn duplicate_socket(&self, s: SanSocket, process_id: u32) -> Result<NonZeroU32, WsaError> {
        let info = self.find(s)?.socket.duplicate(process_id, 0)?;
        NonZeroU32::new(info.dwProviderReserved).ok_or(WsaError::WSASYSCALLFAILURE)
    }

    fn close_socket(&self, s: SanSocket) -> Result<(), WsaError> {
        let companion = lock(&self.sockets).remove(&s).ok_or(WsaError::WSAENOTSOCK)?;
        // The inner provider's completions of what is pending come in here.
        let closed = companion.socket.close();
        let handle: SwitchSocket = companion.handle;
        drop(companion);
        self.operations.forget(handle);
        closed.and(self.upcalls.close_socket_handle(handle))
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
