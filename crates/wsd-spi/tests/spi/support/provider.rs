//! The provider of the tests.

use std::collections::{HashMap, VecDeque};
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wsd_spi::client::{Buffer, StableMemory};
use wsd_spi::ffi::{AF_INET, SO_DEBUG, SO_MAX_MSG_SIZE, SOL_SOCKET};
use wsd_spi::provider::{
    Accepted, ConditionFunction, Mapping, MemoryRange, Overlapped, RemoteBuffer, SanProvider, SocketRequest,
    Startup, Submission, UpCalls,
};
use wsd_spi::{
    Condition, Event, EventMask, ExtensionFunction, MemoryAccess, NetworkEvents, RegistrationHandle,
    SanSocket, SockAddr, SwitchSocket, WsaError,
};

use super::{Kind, address};

/// Longest message in bytes.
pub(crate) const MAX_MESSAGE: u32 = 1024;

/// Connects sockets of one process with each other.
pub(crate) struct Loop<K> {
    upcalls: UpCalls,
    state: Mutex<State>,
    kind: PhantomData<K>,
}

#[derive(Default)]
struct State {
    sockets: HashMap<SanSocket, Sock>,
    next: usize,
    late: Vec<Completion>,
}

struct Sock {
    handle: SwitchSocket,
    name: Option<SockAddr>,
    peer: Option<SanSocket>,
    connecting: bool,
    listening: bool,
    queue: VecDeque<(SanSocket, SockAddr)>,
    event: Option<(Event, EventMask)>,
    record: NetworkEvents,
    receives: VecDeque<Overlapped>,
    messages: VecDeque<Vec<u8>>,
    local: HashMap<RegistrationHandle, MemoryRange>,
    remote: HashMap<u64, (MemoryRange, MemoryAccess)>,
    shared: HashMap<u64, Buffer>,
    debug: u32,
}

/// A completion, to be delivered without a lock.
type Completion = (Overlapped, Result<(), WsaError>, u32);

impl<K: Kind> Loop<K> {
    fn state(&self) -> MutexGuard<'_, State> {
        K::before();
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, context: usize, sock: impl FnOnce(SwitchSocket) -> Sock) -> Result<SanSocket, WsaError> {
        let handle = self.upcalls.create_socket_handle(0, context)?;
        let mut state = self.state();
        state.next += 1;
        let s = SanSocket::from_raw(0x100 + state.next);
        state.sockets.insert(s, sock(handle));
        Ok(s)
    }

    fn complete(&self, completions: Vec<Completion>) {
        if K::LAZY {
            self.state().late.extend(completions);
        } else {
            deliver(completions);
        }
    }

    fn connected(
        &self,
        s: SanSocket,
        act: impl FnOnce(&mut Sock) -> Result<(), WsaError>,
    ) -> Result<(), WsaError> {
        let mut state = self.state();
        let sock = state.get(s)?;
        if sock.peer.is_none() { Err(WsaError::WSAENOTCONN) } else { act(sock) }
    }

    /// Moves bytes between local and remote memory; `write` is the direction.
    fn rdma(
        &self,
        s: SanSocket,
        remote: RemoteBuffer<'_>,
        submission: Submission<'_>,
        write: bool,
    ) -> Result<(), WsaError> {
        let completion = {
            let mut state = self.state();
            let sock = state.get(s)?;
            let (handle, peer) = (sock.handle, sock.peer.ok_or(WsaError::WSAENOTCONN)?);
            let known = |buffer: &wsd_spi::provider::UserBuffer| {
                buffer
                    .handle()
                    .and_then(|handle| sock.local.get(&handle))
                    .is_some_and(|range| range.contains(buffer.as_ptr(), buffer.len()))
            };
            if !submission.buffers().segments().iter().all(known) {
                return Err(WsaError::WSAEFAULT);
            }
            let id = u64::from_ne_bytes(remote.descriptor.try_into().expect("the door checks the length"));
            let (range, access) = state.get(peer)?.remote.get(&id).ok_or(WsaError::WSAEINVAL)?;
            let total = submission.buffers().total();
            let allowed = if write { access.writes() } else { access.reads() };
            let mut bytes = vec![0; total as usize];
            let operation = submission.start(handle);
            // SAFETY: ranges leave the map when they are deregistered or their socket is closed.
            let moved = allowed
                && unsafe {
                    if write {
                        operation.buffers().copy_to(0, &mut bytes);
                        range.copy_from(remote.offset, &bytes)
                    } else {
                        range.copy_to(remote.offset, &mut bytes)
                            && operation.buffers().copy_from(0, &bytes) == bytes.len()
                    }
                };
            if moved { (operation, Ok(()), total) } else { (operation, Err(WsaError::WSAECONNABORTED), 0) }
        };
        self.complete(vec![completion]);
        Ok(())
    }
}

fn deliver(completions: Vec<Completion>) {
    for (operation, status, bytes) in completions {
        operation.complete(status, bytes, 0);
    }
}

impl State {
    fn get(&mut self, s: SanSocket) -> Result<&mut Sock, WsaError> {
        self.sockets.get_mut(&s).ok_or(WsaError::WSAENOTSOCK)
    }
}

impl Sock {
    fn new(handle: SwitchSocket) -> Self {
        Self {
            handle,
            name: None,
            peer: None,
            connecting: false,
            listening: false,
            queue: VecDeque::new(),
            event: None,
            record: NetworkEvents::default(),
            receives: VecDeque::new(),
            messages: VecDeque::new(),
            local: HashMap::new(),
            remote: HashMap::new(),
            shared: HashMap::new(),
            debug: 0,
        }
    }

    /// Pairs messages with receives.
    fn arrivals(&mut self) -> Vec<Completion> {
        let mut completions = Vec::new();
        while !self.receives.is_empty() {
            let Some(message) = self.messages.pop_front() else { break };
            let receive = self.receives.pop_front().expect("checked above");
            let copied = receive.buffers().copy_from(0, &message) as u32;
            let status = if copied as usize == message.len() { Ok(()) } else { Err(WsaError::WSAEMSGSIZE) };
            completions.push((receive, status, copied));
        }
        completions
    }

    fn note(&mut self, upcalls: UpCalls, mask: EventMask, change: impl FnOnce(&mut NetworkEvents)) {
        change(&mut self.record);
        if let Some((event, selected)) = self.event
            && selected.contains(mask)
        {
            upcalls.set_event(event).expect("the switch knows its events");
        }
    }
}

impl<K: Kind> SanProvider for Loop<K> {
    const DESCRIPTION: &'static str = "connects sockets of one process";
    const RDMA_DESCRIPTOR_LEN: usize = 8;
    const ALLOCATION_DESCRIPTOR_LEN: usize = 8;

    fn startup(_startup: &Startup, upcalls: UpCalls) -> Result<Self, WsaError> {
        K::startup()?;
        Ok(Self { upcalls, state: Mutex::default(), kind: PhantomData })
    }

    fn cleanup(&self) {
        let open: Vec<_> = self.state().sockets.keys().copied().collect();
        for s in open {
            let _ = self.close_socket(s);
        }
        let late = std::mem::take(&mut self.state().late);
        deliver(late);
    }

    fn offers(&self, function: ExtensionFunction) -> bool {
        function != ExtensionFunction::MemoryRegistrationCacheCallback && !K::lacks(function)
    }

    fn socket(&self, request: &SocketRequest) -> Result<SanSocket, WsaError> {
        if request.family != AF_INET {
            return Err(WsaError::WSAEAFNOSUPPORT);
        }
        if let Some(reserved) = request.adopt {
            return Ok(SanSocket::from_raw(reserved.get() as usize));
        }
        self.create(77, Sock::new)
    }

    fn bind(&self, s: SanSocket, name: SockAddr) -> Result<(), WsaError> {
        if name.with_port(0) != address(0) {
            return Err(WsaError::WSAEADDRNOTAVAIL);
        }
        self.state().get(s)?.name = Some(name);
        Ok(())
    }

    fn set_option(&self, s: SanSocket, level: i32, name: i32, value: &[u8]) -> Result<(), WsaError> {
        let mut state = self.state();
        let sock = state.get(s)?;
        match (level, name) {
            (SOL_SOCKET, SO_DEBUG) => {
                sock.debug = u32::from_ne_bytes(value.try_into().map_err(|_| WsaError::WSAEFAULT)?);
                Ok(())
            }
            _ => Err(WsaError::WSAENOPROTOOPT),
        }
    }

    fn get_option(&self, s: SanSocket, level: i32, name: i32) -> Result<Vec<u8>, WsaError> {
        let mut state = self.state();
        let sock = state.get(s)?;
        match (level, name) {
            (SOL_SOCKET, SO_DEBUG) => Ok(sock.debug.to_ne_bytes().to_vec()),
            (SOL_SOCKET, SO_MAX_MSG_SIZE) => Ok(MAX_MESSAGE.to_ne_bytes().to_vec()),
            _ => Err(WsaError::WSAENOPROTOOPT),
        }
    }

    fn event_select(&self, s: SanSocket, event: Option<Event>, mask: EventMask) -> Result<(), WsaError> {
        self.state().get(s)?.event = event.map(|event| (event, mask));
        Ok(())
    }

    fn enum_network_events(&self, s: SanSocket, event: Option<Event>) -> Result<NetworkEvents, WsaError> {
        let mut state = self.state();
        let sock = state.get(s)?;
        if let Some(event) = event {
            self.upcalls.reset_event(event)?;
        }
        Ok(std::mem::take(&mut sock.record))
    }

    fn connect(&self, s: SanSocket, name: SockAddr) -> Result<(), WsaError> {
        let mut state = self.state();
        let own = state.get(s)?.name.ok_or(WsaError::WSAEINVAL)?;
        let listener = state.sockets.values_mut().find(|sock| sock.listening && sock.name == Some(name));
        let listener = listener.ok_or(WsaError::WSAETIMEDOUT)?;
        listener.queue.push_back((s, own));
        listener.note(self.upcalls, EventMask::ACCEPT, |record| record.accept = Some(Ok(())));
        state.get(s)?.connecting = true;
        Err(WsaError::WSAEWOULDBLOCK)
    }

    fn listen(&self, s: SanSocket, _backlog: i32) -> Result<(), WsaError> {
        let mut state = self.state();
        let sock = state.get(s)?;
        sock.name.ok_or(WsaError::WSAEINVAL)?;
        sock.listening = true;
        Ok(())
    }

    fn accept(&self, s: SanSocket, condition: ConditionFunction<'_>) -> Result<Accepted, WsaError> {
        let (caller, peer, own) = {
            let mut state = self.state();
            let sock = state.get(s)?;
            let own = sock.name.ok_or(WsaError::WSAEINVAL)?;
            let (caller, peer) = *sock.queue.front().ok_or(WsaError::WSAEWOULDBLOCK)?;
            (caller, peer, own)
        };
        let answer = condition.ask(&peer, &own);
        if answer == Condition::Defer {
            return Err(WsaError::WSATRY_AGAIN);
        }
        self.state().get(s)?.queue.pop_front();
        let (result, outcome) = match answer {
            Condition::Accept => (self.create(78, Sock::new), Ok(())),
            _ => (Err(WsaError::WSAECONNREFUSED), Err(WsaError::WSAECONNREFUSED)),
        };
        let mut state = self.state();
        if let Ok(new) = result {
            state.get(new)?.peer = Some(caller);
            state.get(caller)?.peer = Some(new);
        }
        let sock = state.get(caller)?;
        sock.note(self.upcalls, EventMask::CONNECT, |record| record.connect = Some(outcome));
        result.map(|socket| Accepted { socket, peer })
    }

    fn send(&self, s: SanSocket, submission: Submission<'_>) -> Result<(), WsaError> {
        let completions = {
            let mut state = self.state();
            let sock = state.get(s)?;
            let (handle, peer) = (sock.handle, sock.peer.ok_or(WsaError::WSAENOTCONN)?);
            let total = submission.buffers().total();
            if total > MAX_MESSAGE {
                return Err(WsaError::WSAEMSGSIZE);
            }
            let operation = submission.start(handle);
            K::started();
            let mut message = vec![0; total as usize];
            operation.buffers().copy_to(0, &mut message);
            let receiver = state.get(peer)?;
            receiver.messages.push_back(message);
            let mut completions = receiver.arrivals();
            completions.push((operation, Ok(()), total));
            completions
        };
        self.complete(completions);
        Ok(())
    }

    fn recv(&self, s: SanSocket, submission: Submission<'_>) -> Result<(), WsaError> {
        let completions = {
            let mut state = self.state();
            let sock = state.get(s)?;
            sock.peer.ok_or(WsaError::WSAENOTCONN)?;
            sock.receives.extend(K::receive(submission.start(sock.handle)));
            sock.arrivals()
        };
        self.complete(completions);
        Ok(())
    }

    fn progress(&self, s: SanSocket, pending: bool) -> Result<(), WsaError> {
        self.state().get(s)?;
        if pending {
            let late = std::mem::take(&mut self.state().late);
            deliver(late);
        }
        Ok(())
    }

    fn address_list(&self, s: SanSocket) -> Result<Vec<SockAddr>, WsaError> {
        self.state().get(s)?;
        Ok(vec![address(99), address(0)])
    }

    fn duplicate_socket(&self, s: SanSocket, _process_id: u32) -> Result<NonZeroU32, WsaError> {
        self.connected(s, |_| Ok(()))?;
        Ok(NonZeroU32::new(s.raw() as u32).expect("descriptors are not 0"))
    }

    fn close_socket(&self, s: SanSocket) -> Result<(), WsaError> {
        let mut completions: Vec<Completion> = Vec::new();
        let handle = {
            let mut state = self.state();
            let sock = state.sockets.remove(&s).ok_or(WsaError::WSAENOTSOCK)?;
            let aborted = sock.receives.into_iter();
            completions.extend(aborted.map(|operation| (operation, Err(WsaError::WSA_OPERATION_ABORTED), 0)));
            if let Some(peer) = sock.peer.and_then(|peer| state.sockets.get_mut(&peer)) {
                let reset = peer.receives.drain(..);
                completions.extend(reset.map(|operation| (operation, Err(WsaError::WSAECONNRESET), 0)));
            }
            sock.handle
        };
        deliver(completions);
        self.upcalls.close_socket_handle(handle)
    }

    fn register_memory(
        &self,
        s: SanSocket,
        memory: MemoryRange,
        _access: MemoryAccess,
    ) -> Result<RegistrationHandle, WsaError> {
        let handle = RegistrationHandle::from_raw(memory.as_ptr() as usize + 1).expect("not 0");
        self.connected(s, |sock| {
            sock.local.insert(handle, memory);
            Ok(())
        })?;
        Ok(handle)
    }

    fn deregister_memory(&self, s: SanSocket, handle: RegistrationHandle) -> Result<(), WsaError> {
        self.connected(s, |sock| sock.local.remove(&handle).map(|_| ()).ok_or(WsaError::WSAEINVAL))
    }

    fn register_rdma_memory(
        &self,
        s: SanSocket,
        memory: MemoryRange,
        access: MemoryAccess,
        descriptor: &mut [u8],
    ) -> Result<(), WsaError> {
        self.connected(s, |sock| {
            let id = sock.remote.len() as u64 + 1;
            sock.remote.insert(id, (memory, access));
            descriptor.copy_from_slice(&id.to_ne_bytes());
            Ok(())
        })
    }

    fn deregister_rdma_memory(&self, s: SanSocket, descriptor: &[u8]) -> Result<(), WsaError> {
        let id = u64::from_ne_bytes(descriptor.try_into().expect("the door checks the length"));
        self.connected(s, |sock| sock.remote.remove(&id).map(|_| ()).ok_or(WsaError::WSAEINVAL))
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

    fn allocate(&self, s: SanSocket, length: u32, descriptor: &mut [u8]) -> Result<NonNull<u8>, WsaError> {
        let buffer = Buffer::new(length as usize)?;
        let start = buffer.as_ptr();
        self.connected(s, |sock| {
            let id = sock.shared.len() as u64 + 1;
            sock.shared.insert(id, buffer);
            descriptor.copy_from_slice(&id.to_ne_bytes());
            Ok(())
        })?;
        Ok(start)
    }

    fn free(&self, s: SanSocket, memory: NonNull<u8>) -> Result<(), WsaError> {
        // The buffer stays, since the peer may have mapped it.
        self.connected(s, |sock| {
            let known = sock.shared.values().any(|buffer| buffer.as_ptr() == memory);
            if known { Ok(()) } else { Err(WsaError::WSAEINVAL) }
        })
    }

    fn map(&self, s: SanSocket, descriptor: &[u8]) -> Result<Mapping, WsaError> {
        let id = u64::from_ne_bytes(descriptor.try_into().map_err(|_| WsaError::WSAEINVAL)?);
        let mut state = self.state();
        let peer = state.get(s)?.peer.ok_or(WsaError::WSAENOTCONN)?;
        let buffer = state.get(peer)?.shared.get(&id).ok_or(WsaError::WSAEINVAL)?;
        Ok(Mapping { memory: buffer.as_ptr(), length: buffer.len() as u32 })
    }

    fn unmap(&self, s: SanSocket, _memory: NonNull<u8>) -> Result<(), WsaError> {
        self.connected(s, |_| Ok(()))
    }

    fn arm(&self) -> Result<i32, WsaError> {
        Ok(0)
    }

    fn progress_all(&self) -> Result<(), WsaError> {
        let late = std::mem::take(&mut self.state().late);
        deliver(late);
        Ok(())
    }
}
