//! The provider as the SPI sees it: every call goes to the engine of this process.

use core::num::NonZeroU32;
use std::sync::atomic::{AtomicPtr, Ordering};

use wsd_engine::{Core as _, Sizes, close_inherited, set_option};
use wsd_spi::ffi::{AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, WSA_FLAG_OVERLAPPED};
use wsd_spi::provider::{
    Accepted, ConditionFunction, MemoryRange, RemoteBuffer, SanProvider, SocketRequest, Startup, Submission,
    UpCalls,
};
use wsd_spi::{
    Condition, Event, EventMask, ExtensionFunction, MemoryAccess, NetworkEvents, RegistrationHandle,
    SanSocket, SockAddr, WsaError,
};

use crate::adopt::adopt;
use crate::greeting::Refusal;
use crate::memory;
use crate::socket::{Socket, State};
use crate::state::{Engine, new_engine};
use crate::swap::duplicate;
use crate::transfer::{MAX_MESSAGE, MAX_RDMA};

/// The SAN provider over RDMA devices.
pub struct Verbs {
    engine: AtomicPtr<Engine>,
}

impl Verbs {
    /// The engine of this process. The child of a fork forgets its parent's, and begins anew.
    fn engine(&self) -> Result<&'static Engine, WsaError> {
        // SAFETY: always points at an engine, and engines are never freed.
        let engine = unsafe { &*self.engine.load(Ordering::Acquire) };
        if engine.is_ours() { Ok(engine) } else { self.begin_again(engine) }
    }

    #[cold]
    fn begin_again(&self, old: &'static Engine) -> Result<&'static Engine, WsaError> {
        close_inherited(false);
        let new = new_engine(old.upcalls())?;
        let (old, new) = (core::ptr::from_ref(old).cast_mut(), core::ptr::from_ref(new).cast_mut());
        match self.engine.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: as above.
            Ok(_) => Ok(unsafe { &*new }),
            // SAFETY: as above; another thread was first. What we made is unused.
            Err(first) => Ok(unsafe { &*first }),
        }
    }
}

/// Name of the engine's own thread.
const THREAD: &str = "wsd-verbs";
/// Early receives make messages cheap up to their length; what is longer goes by RDMA.
const SIZES: Sizes = Sizes { message: MAX_MESSAGE, threshold: MAX_MESSAGE, rdma: MAX_RDMA };

/// The engine's number of a socket.
fn number(s: SanSocket) -> Result<u32, WsaError> {
    u32::try_from(s.raw()).map_err(|_| WsaError::WSAENOTSOCK)
}

impl SanProvider for Verbs {
    const DESCRIPTION: &'static str = "wsdirect RDMA";
    const RDMA_DESCRIPTOR_LEN: usize = memory::DESCRIPTOR;
    const IPV6: bool = true;

    fn startup(_: &Startup, upcalls: UpCalls) -> Result<Self, WsaError> {
        let engine = new_engine(upcalls)?;
        Ok(Self { engine: AtomicPtr::new(core::ptr::from_ref(engine).cast_mut()) })
    }

    fn cleanup(&self) {
        if let Ok(engine) = self.engine() {
            engine.end();
        }
    }

    fn offers(&self, function: ExtensionFunction) -> bool {
        use ExtensionFunction::{Arm, MemoryRegistrationCacheCallback, Progress, RdmaRead};
        function.is_mandatory()
            || matches!(function, RdmaRead | MemoryRegistrationCacheCallback | Arm | Progress)
    }

    fn socket(&self, request: &SocketRequest) -> Result<SanSocket, WsaError> {
        if request.family != AF_INET && request.family != AF_INET6 {
            return Err(WsaError::WSAEAFNOSUPPORT);
        }
        if request.kind != SOCK_STREAM {
            return Err(WsaError::WSAESOCKTNOSUPPORT);
        }
        if request.protocol != IPPROTO_TCP {
            return Err(WsaError::WSAEPROTONOSUPPORT);
        }
        let engine = self.engine()?;
        if let Some(value) = request.adopt {
            engine.drive(THREAD)?;
            return adopt(engine, value);
        }
        if request.flags != WSA_FLAG_OVERLAPPED {
            return Err(WsaError::WSAEINVAL);
        }
        let id = engine.with(|core| Ok(core.new_id()))?;
        let handle = engine.upcalls().create_socket_handle(0, id as usize)?;
        engine.with(|core| {
            core.sockets.insert(id, Socket::new(handle, request.family));
            Ok(SanSocket::from_raw(id as usize))
        })
    }

    fn bind(&self, s: SanSocket, name: SockAddr) -> Result<(), WsaError> {
        self.engine()?.with(|core| core.bind(number(s)?, name))
    }

    fn set_option(&self, s: SanSocket, level: i32, name: i32, value: &[u8]) -> Result<(), WsaError> {
        self.engine()?.with(|core| set_option(&mut core.socket(number(s)?)?.debug, level, name, value))
    }

    fn get_option(&self, s: SanSocket, level: i32, name: i32) -> Result<Vec<u8>, WsaError> {
        self.engine()?.with(|core| SIZES.get_option(core.socket(number(s)?)?.debug, level, name))
    }

    fn event_select(&self, s: SanSocket, event: Option<Event>, mask: EventMask) -> Result<(), WsaError> {
        let engine = self.engine()?;
        engine.with(|core| {
            core.socket(number(s)?)?.events.select(event, mask, engine.upcalls());
            Ok(())
        })
    }

    fn enum_network_events(&self, s: SanSocket, event: Option<Event>) -> Result<NetworkEvents, WsaError> {
        let engine = self.engine()?;
        engine.with(|core| Ok(core.socket(number(s)?)?.events.take(event, engine.upcalls())))
    }

    fn connect(&self, s: SanSocket, name: SockAddr) -> Result<(), WsaError> {
        let engine = self.engine()?;
        engine.drive(THREAD)?;
        engine.with(|core| core.connect(number(s)?, name))
    }

    fn listen(&self, s: SanSocket, backlog: i32) -> Result<(), WsaError> {
        let engine = self.engine()?;
        engine.drive(THREAD)?;
        engine.with(|core| core.listen(number(s)?, backlog))
    }

    fn accept(&self, s: SanSocket, condition: ConditionFunction<'_>) -> Result<Accepted, WsaError> {
        let engine = self.engine()?;
        let id = number(s)?;
        let request = engine.with(|core| core.take_request(id))?;
        let refuse = |request: crate::socket::Request, why: Refusal| {
            engine.with(|core| {
                request.id.reject(&why.bytes());
                core.rearm(id);
                Ok(())
            })
        };
        match condition.ask(&request.caller, &request.callee) {
            Condition::Accept => {}
            Condition::Reject => {
                refuse(request, Refusal::Refused)?;
                return Err(WsaError::WSAECONNREFUSED);
            }
            Condition::Defer => {
                engine.with(|core| {
                    core.defer(id, request);
                    Ok(())
                })?;
                return Err(WsaError::WSATRY_AGAIN);
            }
        }
        let new = engine.with(|core| Ok(core.new_id()))?;
        match engine.upcalls().create_socket_handle(0, new as usize) {
            Ok(handle) => engine.with(|core| core.accept(id, request, new, handle)),
            Err(error) => {
                refuse(request, Refusal::Failed)?;
                Err(error)
            }
        }
    }

    fn send(&self, s: SanSocket, submission: Submission<'_>) -> Result<(), WsaError> {
        self.engine()?.with(|core| core.send(number(s)?, submission))
    }

    fn recv(&self, s: SanSocket, submission: Submission<'_>) -> Result<(), WsaError> {
        self.engine()?.with(|core| core.recv(number(s)?, submission))
    }

    fn progress(&self, s: SanSocket, pending: bool) -> Result<(), WsaError> {
        self.engine()?.with(|core| {
            match core.socket(number(s)?)?.state {
                State::Connected | State::Broken(_) | State::SwappedOut => {}
                _ => return Err(WsaError::WSAEINVAL),
            }
            if pending {
                core.pump();
            }
            Ok(())
        })
    }

    fn address_list(&self, s: SanSocket) -> Result<Vec<SockAddr>, WsaError> {
        self.engine()?.with(|core| {
            core.socket(number(s)?)?;
            let (channel, own) = core.channel()?;
            own.list(channel).map(<[SockAddr]>::to_vec)
        })
    }

    fn duplicate_socket(&self, s: SanSocket, process: u32) -> Result<NonZeroU32, WsaError> {
        duplicate(self.engine()?, number(s)?, process)
    }

    fn close_socket(&self, s: SanSocket) -> Result<(), WsaError> {
        self.engine()?.with(|core| core.close(number(s)?))
    }

    fn register_memory(
        &self,
        s: SanSocket,
        memory: MemoryRange,
        access: MemoryAccess,
    ) -> Result<RegistrationHandle, WsaError> {
        self.engine()?.with(|core| {
            let registration = core.new_registration();
            let connection = core.socket(number(s)?)?.connected().map_err(|_| WsaError::WSAENOTCONN)?;
            connection.memory.add(&connection.domain, registration, memory, access)?;
            RegistrationHandle::from_raw(registration).ok_or(WsaError::WSAENOBUFS)
        })
    }

    fn deregister_memory(&self, s: SanSocket, handle: RegistrationHandle) -> Result<(), WsaError> {
        self.engine()?.with(|core| core.socket(number(s)?)?.once_connected()?.memory.remove(handle))
    }

    fn register_rdma_memory(
        &self,
        s: SanSocket,
        memory: MemoryRange,
        access: MemoryAccess,
        descriptor: &mut [u8],
    ) -> Result<(), WsaError> {
        self.engine()?.with(|core| {
            let connection = core.socket(number(s)?)?.connected().map_err(|_| WsaError::WSAENOTCONN)?;
            connection.memory.expose(&connection.domain, &memory, access, descriptor)
        })
    }

    fn deregister_rdma_memory(&self, s: SanSocket, descriptor: &[u8]) -> Result<(), WsaError> {
        self.engine()?.with(|core| core.socket(number(s)?)?.once_connected()?.memory.conceal(descriptor))
    }

    fn rdma_write(
        &self,
        s: SanSocket,
        remote: RemoteBuffer<'_>,
        submission: Submission<'_>,
    ) -> Result<(), WsaError> {
        self.engine()?.with(|core| core.rdma(number(s)?, true, remote, submission))
    }

    fn rdma_read(
        &self,
        s: SanSocket,
        remote: RemoteBuffer<'_>,
        submission: Submission<'_>,
    ) -> Result<(), WsaError> {
        self.engine()?.with(|core| core.rdma(number(s)?, false, remote, submission))
    }

    fn memory_registration_cache_callback(&self, address: usize, length: usize) -> Result<(), WsaError> {
        // SAFETY: as in `engine`; but nothing may be allocated here, and a child of fork has registered nothing yet.
        let engine = unsafe { &*self.engine.load(Ordering::Acquire) };
        let dropped = engine.is_ours() && engine.outside().drop_overlapping(address, length);
        if dropped { Ok(()) } else { Err(WsaError::WSAEINVAL) }
    }

    fn arm(&self) -> Result<i32, WsaError> {
        self.engine()?.arm()
    }

    fn progress_all(&self) -> Result<(), WsaError> {
        self.engine()?.pump()
    }
}
