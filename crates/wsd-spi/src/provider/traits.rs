//! The trait that a provider implements.

use core::num::NonZeroU32;
use core::ptr::NonNull;

use super::{
    Accepted, ConditionFunction, ConnectExtras, Mapping, MemoryRange, Qos, RemoteBuffer, SocketRequest,
    Startup, Submission, UpCalls,
};
use crate::address::SockAddr;
use crate::error::WsaError;
use crate::extension::ExtensionFunction;
use crate::ffi::{SIO_GET_GROUP_QOS, SIO_GET_QOS, SIO_SET_GROUP_QOS, SIO_SET_QOS};
use crate::value::{Event, EventMask, MemoryAccess, NetworkEvents, RegistrationHandle, SanSocket};

/// Longest descriptor that a provider may declare, in bytes: descriptors travel in control messages (SP-122).
pub const MAX_DESCRIPTOR_LEN: usize = 256;

/// A SAN provider: one value per process, made by the first `WSPStartupEx` and told by [`cleanup`](Self::cleanup)
/// when the last `WSPCleanup` comes.
///
/// Methods are called on any thread, several at a time (SP-017), and also from inside the provider's own up-calls:
/// never call up while holding a lock that a method takes (SP-018), except for [`UpCalls::set_event`] and
/// [`UpCalls::reset_event`], from which no switch calls back. A descriptor that was closed, or never existed, is
/// answered with `WSAENOTSOCK` (SP-013). No method returns `WSAEINTR` or `WSAEINPROGRESS` (SP-016).
///
/// The value itself is kept in memory after the last clean-up, because a late call may still be running in it:
/// what must go then goes in `cleanup`.
pub trait SanProvider: Sized + Send + Sync + 'static {
    /// Description for `WSPDATA`, at most 255 UTF-16 code units; a longer one is cut.
    const DESCRIPTION: &'static str;
    /// Length in bytes of the descriptors of `WSPRegisterRdmaMemory`; constant, at most [`MAX_DESCRIPTOR_LEN`].
    const RDMA_DESCRIPTOR_LEN: usize;
    /// Length in bytes of the descriptors of `WsdAllocate`; constant, at most [`MAX_DESCRIPTOR_LEN`].
    const ALLOCATION_DESCRIPTOR_LEN: usize = 0;
    /// Whether IPv6 addresses are served (section 0.3). If not, the doors refuse them like any unknown family.
    const IPV6: bool = false;

    /// First `WSPStartupEx`: opens the transport. `startup` is what the switch passed, `upcalls` stays usable
    /// until `cleanup` has returned.
    ///
    /// # Errors
    /// `WSASYSNOTREADY`, `WSAEPROCLIM`, `WSAEPROVIDERFAILEDINIT`; nothing may be left behind then (SP-032).
    fn startup(startup: &Startup, upcalls: UpCalls) -> Result<Self, WsaError>;

    /// Last `WSPCleanup`: completes every pending operation with `WSA_OPERATION_ABORTED`, stops all threads
    /// (SP-212), frees all resources (SP-035). Other methods may still be called from the up-calls made here.
    fn cleanup(&self);

    /// Whether `SIO_GET_EXTENSION_FUNCTION_POINTER` gives this function; `WSAEOPNOTSUPP` if not (SP-101). The five
    /// mandatory ones by default.
    fn offers(&self, function: ExtensionFunction) -> bool {
        function.is_mandatory()
    }

    /// `WSPSocket`: a new socket, or the adoption of one that another process gave away (SP-153). Checks family,
    /// type, protocol, flags in this order; then calls [`UpCalls::create_socket_handle`] (SP-040).
    ///
    /// # Errors
    /// `WSAEAFNOSUPPORT`, `WSAESOCKTNOSUPPORT`, `WSAEPROTONOSUPPORT`, `WSAEPROTOTYPE`, `WSAEINVAL`, `WSAEMFILE`,
    /// `WSAENOBUFS`, `WSAENETDOWN`.
    fn socket(&self, request: &SocketRequest) -> Result<SanSocket, WsaError>;

    /// `WSPBind` (SP-045). The door has answered `WSAEFAULT` to bad names.
    ///
    /// # Errors
    /// `WSAEADDRNOTAVAIL`, `WSAEINVAL`, `WSAENOBUFS`, `WSAENOTSOCK`, `WSAENETDOWN`, and `WSAEFAULT` for a family
    /// other than that of the socket.
    fn bind(&self, s: SanSocket, name: SockAddr) -> Result<(), WsaError>;

    /// `WSPSetSockOpt` (SP-052). `value` has the length that the caller gave.
    ///
    /// # Errors
    /// `WSAEFAULT` for a wrong length, `WSAEINVAL` for an unknown level or a bad value, `WSAENOPROTOOPT`,
    /// `WSAENETRESET`, `WSAENOTCONN`, `WSAENOTSOCK`, `WSAENETDOWN`.
    fn set_option(&self, s: SanSocket, level: i32, name: i32, value: &[u8]) -> Result<(), WsaError>;

    /// `WSPGetSockOpt` (SP-050): the value in native byte order. The door answers `WSAEFAULT` if the caller's
    /// buffer is too small for it (SP-051).
    ///
    /// # Errors
    /// `WSAEINVAL` for an unknown level, `WSAENOPROTOOPT`, `WSAENOTSOCK`, `WSAENETDOWN`.
    fn get_option(&self, s: SanSocket, level: i32, name: i32) -> Result<Vec<u8>, WsaError>;

    /// `WSPEventSelect` (SP-055..058): sets the event at once if a selected event is already recorded. `event` is
    /// present if `mask` is not empty. The door has answered `WSAEINVAL` to other events.
    ///
    /// # Errors
    /// `WSAEINVAL` (state), `WSAENOTSOCK`, `WSAENETDOWN`.
    fn event_select(&self, s: SanSocket, event: Option<Event>, mask: EventMask) -> Result<(), WsaError>;

    /// `WSPEnumNetworkEvents`: resets `event` if present, then takes and clears the record, in this order (SP-060).
    ///
    /// # Errors
    /// `WSAEINVAL`, `WSAENOTSOCK`, `WSAENETDOWN`; then neither reset nor cleared.
    fn enum_network_events(&self, s: SanSocket, event: Option<Event>) -> Result<NetworkEvents, WsaError>;

    /// `WSPConnect` (SP-065..068), without connect data and flow specifications.
    ///
    /// # Errors
    /// `WSAEWOULDBLOCK` if the result follows by `FD_CONNECT`; otherwise section 6.8.
    fn connect(&self, s: SanSocket, name: SockAddr) -> Result<(), WsaError>;

    /// `WSPConnect` with connect data, flow specifications or both.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); by default `WSAEPROTONOSUPPORT` for connect data, `WSAEOPNOTSUPP` for flow
    /// specifications (section 6.8).
    fn connect_with(&self, s: SanSocket, name: SockAddr, extras: ConnectExtras) -> Result<(), WsaError> {
        let _ = (s, name);
        let data = !extras.caller_data.is_empty();
        Err(if data { WsaError::WSAEPROTONOSUPPORT } else { WsaError::WSAEOPNOTSUPP })
    }

    /// `WSPListen` (SP-070..072).
    ///
    /// # Errors
    /// `WSAEINVAL`, `WSAEISCONN`, `WSAEMFILE`, `WSAENOBUFS`, `WSAENOTSOCK`, `WSAENETDOWN`.
    fn listen(&self, s: SanSocket, backlog: i32) -> Result<(), WsaError>;

    /// `WSPAccept` (SP-075..080): takes the oldest request, asks `condition` before telling the peer anything,
    /// without holding a lock.
    ///
    /// # Errors
    /// `WSAEWOULDBLOCK` with nothing queued, `WSAECONNREFUSED` after a rejection, `WSATRY_AGAIN` after a deferral;
    /// otherwise section 6.10.
    fn accept(&self, s: SanSocket, condition: ConditionFunction<'_>) -> Result<Accepted, WsaError>;

    /// `WSPSend` (SP-085..089): one message. Checks everything that can fail, then takes the request with
    /// [`Submission::start`] and returns; an error before that means that nothing was started (SP-086).
    ///
    /// # Errors
    /// Section 6.12.
    fn send(&self, s: SanSocket, submission: Submission<'_>) -> Result<(), WsaError>;

    /// `WSPRecv` (SP-090..093): as [`send`](Self::send).
    ///
    /// # Errors
    /// Section 6.12.
    fn recv(&self, s: SanSocket, submission: Submission<'_>) -> Result<(), WsaError>;

    /// The provider's part of `WSPGetOverlappedResult`: checks that results can be asked of the socket in its state
    /// (section 13), and if `pending` makes progress, without blocking (SP-095). The door answers from the request
    /// (SP-096..098), and calls again and again if the caller wants to wait.
    ///
    /// # Errors
    /// `WSAENOTSOCK`, `WSAEINVAL`, `WSAENETDOWN`.
    fn progress(&self, s: SanSocket, pending: bool) -> Result<(), WsaError>;

    /// `WSPIoctl(SIO_ADDRESS_LIST_QUERY)`: the addresses of the provider's own interfaces as of now (SP-103). Ports
    /// are written as 0 (SP-102).
    ///
    /// # Errors
    /// `WSAENOTSOCK`, `WSAENETDOWN`.
    fn address_list(&self, s: SanSocket) -> Result<Vec<SockAddr>, WsaError>;

    /// `WSPIoctl` with any other code: what to write to the output buffer. By default the QoS codes are
    /// `WSAEOPNOTSUPP` and others `WSAEINVAL` (SP-104).
    ///
    /// # Errors
    /// As said, and `WSAEFAULT`, `WSAENOTSOCK`, `WSAENETDOWN`.
    fn ioctl(&self, s: SanSocket, code: u32, input: &[u8]) -> Result<Vec<u8>, WsaError> {
        let _ = (s, input);
        match code {
            SIO_GET_QOS | SIO_GET_GROUP_QOS | SIO_SET_QOS | SIO_SET_GROUP_QOS => Err(WsaError::WSAEOPNOTSUPP),
            _ => Err(WsaError::WSAEINVAL),
        }
    }

    /// `WSPGetQOSByName`: the template with that name, or the list of names if `name` is empty.
    ///
    /// # Errors
    /// `WSAEOPNOTSUPP` without QoS, which is the default (SP-191).
    fn get_qos_by_name(&self, s: SanSocket, name: &[u16]) -> Result<Qos, WsaError> {
        let _ = (s, name);
        Err(WsaError::WSAEOPNOTSUPP)
    }

    /// `WSPDuplicateSocket` (SP-150..156): the value for `dwProviderReserved` that works once, in process
    /// `process_id`.
    ///
    /// # Errors
    /// `WSAEINVAL`, `WSAEMFILE`, `WSAENOBUFS`, `WSAENOTCONN`, `WSAENOTSOCK`, `WSAENETDOWN`.
    fn duplicate_socket(&self, s: SanSocket, process_id: u32) -> Result<NonZeroU32, WsaError>;

    /// `WSPCloseSocket` (SP-170..174): completes what is pending, then [`UpCalls::close_socket_handle`]. All
    /// [`MemoryRange`]s of the socket are not to be touched afterwards.
    ///
    /// # Errors
    /// `WSAENOTSOCK`, `WSAENETDOWN`.
    fn close_socket(&self, s: SanSocket) -> Result<(), WsaError>;

    /// `WSPRegisterMemory` (SP-110..113).
    ///
    /// # Errors
    /// `WSAENOBUFS`, `WSAEFAULT`, `WSAENOTCONN`, `WSAENOTSOCK`; the door has answered `WSAEINVAL` to bad flags.
    fn register_memory(
        &self,
        s: SanSocket,
        memory: MemoryRange,
        access: MemoryAccess,
    ) -> Result<RegistrationHandle, WsaError>;

    /// `WSPDeregisterMemory` (SP-114).
    ///
    /// # Errors
    /// `WSAEINVAL` (unknown or in use), `WSAENOTSOCK`.
    fn deregister_memory(&self, s: SanSocket, handle: RegistrationHandle) -> Result<(), WsaError>;

    /// `WSPRegisterRdmaMemory` (SP-120..123): fills `descriptor`, which has
    /// [`RDMA_DESCRIPTOR_LEN`](Self::RDMA_DESCRIPTOR_LEN) bytes.
    ///
    /// # Errors
    /// `WSAENOBUFS`, `WSAEFAULT`, `WSAENOTCONN`, `WSAENOTSOCK`; the door has answered `WSAEINVAL` to bad flags and
    /// `WSAEFAULT` to the length probe.
    fn register_rdma_memory(
        &self,
        s: SanSocket,
        memory: MemoryRange,
        access: MemoryAccess,
        descriptor: &mut [u8],
    ) -> Result<(), WsaError>;

    /// `WSPDeregisterRdmaMemory` (SP-123, SP-124). `descriptor` has the right length.
    ///
    /// # Errors
    /// `WSAEINVAL` (unknown or in use), `WSAENOTSOCK`.
    fn deregister_rdma_memory(&self, s: SanSocket, descriptor: &[u8]) -> Result<(), WsaError>;

    /// `WSPRdmaWrite` (SP-130..133): local to remote. Starts as [`send`](Self::send) does.
    ///
    /// # Errors
    /// Section 6.12; `WSAEINVAL` for a wrong descriptor length is answered by the door.
    fn rdma_write(
        &self,
        s: SanSocket,
        remote: RemoteBuffer<'_>,
        submission: Submission<'_>,
    ) -> Result<(), WsaError>;

    /// `WSPRdmaRead` (SP-130..133): remote to local. Starts as [`send`](Self::send) does. Reached only if
    /// [`offers`](Self::offers) it.
    ///
    /// # Errors
    /// As [`rdma_write`](Self::rdma_write); `WSAEOPNOTSUPP` by default (SP-191).
    fn rdma_read(
        &self,
        s: SanSocket,
        remote: RemoteBuffer<'_>,
        submission: Submission<'_>,
    ) -> Result<(), WsaError> {
        let _ = (s, remote, submission);
        Err(WsaError::WSAEOPNOTSUPP)
    }

    /// `WSPMemoryRegistrationCacheCallback` (SP-160..162): the mappings of `length` bytes from `address` on are
    /// about to change. May run inside the program's memory management: allocates nothing, waits for nothing.
    ///
    /// # Errors
    /// `WSAEFAULT`, `WSAEINVAL`; `WSAEOPNOTSUPP` by default (SP-191).
    fn memory_registration_cache_callback(&self, address: usize, length: usize) -> Result<(), WsaError> {
        let _ = (address, length);
        Err(WsaError::WSAEOPNOTSUPP)
    }

    /// `WsdAllocate`: page-aligned memory of at least `length` bytes for the peer of `s`, and its descriptor, which
    /// has [`ALLOCATION_DESCRIPTOR_LEN`](Self::ALLOCATION_DESCRIPTOR_LEN) bytes. Lifetime: [`crate::extension`].
    ///
    /// # Errors
    /// `WSAENOBUFS`, `WSAENOTCONN`, `WSAENOTSOCK`; `WSAEOPNOTSUPP` by default.
    fn allocate(&self, s: SanSocket, length: u32, descriptor: &mut [u8]) -> Result<NonNull<u8>, WsaError> {
        let _ = (s, length, descriptor);
        Err(WsaError::WSAEOPNOTSUPP)
    }

    /// `WsdFree`.
    ///
    /// # Errors
    /// `WSAEINVAL` for other memory, `WSAENOTSOCK`; `WSAEOPNOTSUPP` by default.
    fn free(&self, s: SanSocket, memory: NonNull<u8>) -> Result<(), WsaError> {
        let _ = (s, memory);
        Err(WsaError::WSAEOPNOTSUPP)
    }

    /// `WsdMap`: the peer's allocated memory. `descriptor` has any length.
    ///
    /// # Errors
    /// `WSAEINVAL` for a descriptor that is not of this connection's peer, `WSAENOBUFS`, `WSAENOTCONN`,
    /// `WSAENOTSOCK`; `WSAEOPNOTSUPP` by default.
    fn map(&self, s: SanSocket, descriptor: &[u8]) -> Result<Mapping, WsaError> {
        let _ = (s, descriptor);
        Err(WsaError::WSAEOPNOTSUPP)
    }

    /// `WsdUnmap`.
    ///
    /// # Errors
    /// `WSAEINVAL` for other memory, `WSAENOTSOCK`; `WSAEOPNOTSUPP` by default.
    fn unmap(&self, s: SanSocket, memory: NonNull<u8>) -> Result<(), WsaError> {
        let _ = (s, memory);
        Err(WsaError::WSAEOPNOTSUPP)
    }

    /// `WsdArm`: a file descriptor, always the same, that stays the provider's own and is readable, level-triggered, as
    /// soon as [`progress_all`](Self::progress_all) has something to do, until that is called. From now on the provider
    /// runs no thread.
    ///
    /// # Errors
    /// `WSAEMFILE`, `WSAENOBUFS`; `WSAEOPNOTSUPP` by default.
    fn arm(&self) -> Result<i32, WsaError> {
        Err(WsaError::WSAEOPNOTSUPP)
    }

    /// `WsdProgress`: accepts, arrivals, completions and up-calls of all sockets, without blocking.
    ///
    /// # Errors
    /// `WSAENETDOWN`; `WSAEOPNOTSUPP` by default.
    fn progress_all(&self) -> Result<(), WsaError> {
        Err(WsaError::WSAEOPNOTSUPP)
    }
}
