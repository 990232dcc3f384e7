//! Structures of section 2, with their layouts checked at compile time.

use core::ffi::c_char;

use super::macros::structures;
use super::types::*;

structures! {
    /// Layouts of the data structures.
    table LAYOUTS;

    /// What `WSPStartupEx` says about the provider (SP-031).
    struct WSPDATA = 516 {
        /// Version that the provider will use, 0x0202.
        wVersion: WORD = 0,
        /// Highest version that it knows, 0x0202.
        wHighVersion: WORD = 2,
        /// NUL-terminated description.
        szDescription: [WCHAR; 256] = 4,
    }

    /// Thread identity for APCs, unused.
    struct WSATHREADID = 16 {
        /// Thread.
        ThreadHandle: HANDLE = 0,
        /// Reserved.
        Reserved: DWORD_PTR = 8,
    }

    /// A 16-byte identifier in its in-memory form.
    struct GUID = 16 {
        /// First group of the text form.
        Data1: u32 = 0,
        /// Second group.
        Data2: u16 = 4,
        /// Third group.
        Data3: u16 = 6,
        /// Fourth and fifth group.
        Data4: [u8; 8] = 8,
    }

    /// A data buffer.
    struct WSABUF = 16 {
        /// Length in bytes.
        len: u32 = 0,
        /// Start.
        buf: *mut c_char = 8,
    }

    /// A data buffer with the handle of its registration (SP-133).
    struct WSABUFEX = 24 {
        /// Length in bytes.
        len: u32 = 0,
        /// Start.
        buf: *mut c_char = 8,
        /// Handle from `WSPRegisterMemory`.
        handle: HANDLE = 16,
    }

    /// State of one overlapped operation (SP-183).
    struct WSAOVERLAPPED = 32 {
        /// `WSS_OPERATION_IN_PROGRESS` while pending, anything else when done.
        Internal: ULONG_PTR = 0,
        /// Bytes transferred.
        InternalHigh: ULONG_PTR = 8,
        /// Flags of the operation.
        Offset: DWORD = 16,
        /// Winsock error of the operation, 0 for success.
        OffsetHigh: DWORD = 20,
        /// Bit 0 set: polled, no notification (SP-180); clear: notified (SP-181).
        hEvent: WSAEVENT = 24,
    }

    /// Record of network events (SP-060, SP-061).
    struct WSANETWORKEVENTS = 44 {
        /// Events that occurred.
        lNetworkEvents: LONG = 0,
        /// Error of each, valid only where its bit is set.
        iErrorCode: [INT; 10] = 4,
    }

    /// Protocol chain.
    struct WSAPROTOCOLCHAIN = 32 {
        /// 1 for a base provider.
        ChainLen: INT = 0,
        /// Catalogue entries.
        ChainEntries: [DWORD; 7] = 4,
    }

    /// Description of a protocol.
    struct WSAPROTOCOL_INFOW = 628 {
        /// `XP1_*`.
        dwServiceFlags1: DWORD = 0,
        /// 0.
        dwServiceFlags2: DWORD = 4,
        /// 0.
        dwServiceFlags3: DWORD = 8,
        /// 0.
        dwServiceFlags4: DWORD = 12,
        /// `PFL_*`.
        dwProviderFlags: DWORD = 16,
        /// Identity of the provider.
        ProviderId: GUID = 20,
        /// Number in the catalogue.
        dwCatalogEntryId: DWORD = 36,
        /// Base or layered.
        ProtocolChain: WSAPROTOCOLCHAIN = 40,
        /// Protocol version.
        iVersion: INT = 72,
        /// Address family.
        iAddressFamily: INT = 76,
        /// Longest address in bytes.
        iMaxSockAddr: INT = 80,
        /// Shortest address in bytes.
        iMinSockAddr: INT = 84,
        /// Socket type.
        iSocketType: INT = 88,
        /// Protocol number.
        iProtocol: INT = 92,
        /// Further protocol numbers.
        iProtocolMaxOffset: INT = 96,
        /// `BIGENDIAN` or `LITTLEENDIAN`.
        iNetworkByteOrder: INT = 100,
        /// `SECURITY_PROTOCOL_NONE`.
        iSecurityScheme: INT = 104,
        /// 0: not applicable; 1: see `SO_MAX_MSG_SIZE`; 0xFFFFFFFF: no limit.
        dwMessageSize: DWORD = 108,
        /// Value of `WSPDuplicateSocket` for adoption, else 0 (SP-041, SP-151).
        dwProviderReserved: DWORD = 112,
        /// NUL-terminated name.
        szProtocol: [WCHAR; 256] = 116,
    }

    /// Any address, seen through its family.
    struct SOCKADDR = 16 {
        /// Address family.
        sa_family: u16 = 0,
        /// The rest.
        sa_data: [u8; 14] = 2,
    }

    /// IPv4 address and port.
    struct SOCKADDR_IN = 16 {
        /// `AF_INET`.
        sin_family: u16 = 0,
        /// Port in network byte order.
        sin_port: u16 = 2,
        /// Address in network byte order.
        sin_addr: u32 = 4,
        /// Zero.
        sin_zero: [u8; 8] = 8,
    }

    /// IPv6 address and port (a declared extension, section 0.3).
    struct SOCKADDR_IN6 = 28 {
        /// `AF_INET6`, 23.
        sin6_family: u16 = 0,
        /// Port in network byte order.
        sin6_port: u16 = 2,
        /// Flow information.
        sin6_flowinfo: u32 = 4,
        /// Address.
        sin6_addr: [u8; 16] = 8,
        /// Scope, host byte order.
        sin6_scope_id: u32 = 24,
    }

    /// A pointer to an address, with its length.
    struct SOCKET_ADDRESS = 16 {
        /// The address.
        lpSockaddr: *mut SOCKADDR = 0,
        /// Its length in bytes.
        iSockaddrLength: INT = 8,
    }

    /// Head of an address list; `Address` really has `iAddressCount` entries (SP-102).
    struct SOCKET_ADDRESS_LIST = 24 {
        /// Number of entries.
        iAddressCount: INT = 0,
        /// The first entry.
        Address: [SOCKET_ADDRESS; 1] = 8,
    }

    /// Flow specification.
    struct FLOWSPEC = 32 {
        /// Bytes per second.
        TokenRate: u32 = 0,
        /// Bytes.
        TokenBucketSize: u32 = 4,
        /// Bytes per second.
        PeakBandwidth: u32 = 8,
        /// Microseconds.
        Latency: u32 = 12,
        /// Microseconds.
        DelayVariation: u32 = 16,
        /// Service type.
        ServiceType: u32 = 20,
        /// Bytes.
        MaxSduSize: u32 = 24,
        /// Bytes.
        MinimumPolicedSize: u32 = 28,
    }

    /// Quality of service in both directions.
    struct QOS = 80 {
        /// Towards the peer.
        SendingFlowspec: FLOWSPEC = 0,
        /// From the peer.
        ReceivingFlowspec: FLOWSPEC = 32,
        /// The provider's own part.
        ProviderSpecific: WSABUF = 64,
    }

    /// Value of `SO_LINGER`.
    struct LINGER = 4 {
        /// On or off.
        l_onoff: u16 = 0,
        /// Seconds.
        l_linger: u16 = 2,
    }

    /// Set of sockets of `WSPSelect`; `fd_array` really has `fd_count` entries, if these are more.
    struct WS_FD_SET = 520 {
        /// Number of sockets in the set.
        fd_count: UINT = 0,
        /// The sockets.
        fd_array: [SOCKET; 64] = 8,
    }

    /// Time limit of `WSPSelect`.
    struct WS_TIMEVAL = 8 {
        /// Seconds.
        tv_sec: LONG = 0,
        /// Microseconds.
        tv_usec: LONG = 4,
    }

    /// What `TransmitFile` sends before and after the file.
    struct TRANSMIT_FILE_BUFFERS = 32 {
        /// Sent first, or NULL.
        Head: LPVOID = 0,
        /// Its length in bytes.
        HeadLength: DWORD = 8,
        /// Sent last, or NULL.
        Tail: LPVOID = 16,
        /// Its length in bytes.
        TailLength: DWORD = 24,
    }
}

/// Pointer to a `GUID`.
pub type LPGUID = *mut GUID;
/// Pointer to a `WSPDATA`.
pub type LPWSPDATA = *mut WSPDATA;
/// Pointer to a `WSABUF` or an array of them.
pub type LPWSABUF = *mut WSABUF;
/// Pointer to a `WSABUFEX` or an array of them.
pub type LPWSABUFEX = *mut WSABUFEX;
/// Pointer to a `WSAOVERLAPPED`.
pub type LPWSAOVERLAPPED = *mut WSAOVERLAPPED;
/// Pointer to a `WSATHREADID`.
pub type LPWSATHREADID = *mut WSATHREADID;
/// Pointer to a `WSAPROTOCOL_INFOW`.
pub type LPWSAPROTOCOL_INFOW = *mut WSAPROTOCOL_INFOW;
/// Pointer to a `WSANETWORKEVENTS`.
pub type LPWSANETWORKEVENTS = *mut WSANETWORKEVENTS;
/// Pointer to a `QOS`.
pub type LPQOS = *mut QOS;
/// Pointer to a `TRANSMIT_FILE_BUFFERS`.
pub type LPTRANSMIT_FILE_BUFFERS = *mut TRANSMIT_FILE_BUFFERS;

macro_rules! zeroed {
    ($($name:ident),*) => {
        $(
            impl $name {
                /// The value whose bytes are all zero.
                pub const fn zeroed() -> Self {
                    // SAFETY: every field is an integer, a raw pointer or an array of integers; all zero is valid.
                    unsafe { ::core::mem::zeroed() }
                }
            }

            impl Default for $name {
                fn default() -> Self {
                    Self::zeroed()
                }
            }
        )*
    };
}

zeroed!(
    WSPDATA,
    WSATHREADID,
    GUID,
    WSABUF,
    WSABUFEX,
    WSAOVERLAPPED,
    WSANETWORKEVENTS,
    WSAPROTOCOLCHAIN,
    WSAPROTOCOL_INFOW,
    SOCKADDR,
    SOCKADDR_IN,
    SOCKADDR_IN6,
    SOCKET_ADDRESS,
    SOCKET_ADDRESS_LIST,
    FLOWSPEC,
    QOS,
    LINGER,
    WS_FD_SET,
    WS_TIMEVAL,
    TRANSMIT_FILE_BUFFERS
);

impl PartialEq for GUID {
    fn eq(&self, other: &Self) -> bool {
        (self.Data1, self.Data2, self.Data3, self.Data4)
            == (other.Data1, other.Data2, other.Data3, other.Data4)
    }
}

impl Eq for GUID {}

impl core::fmt::Debug for GUID {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, rest @ ..] = self.Data4;
        write!(f, "{:08X}-{:04X}-{:04X}-{a:02X}{b:02X}-", self.Data1, self.Data2, self.Data3)?;
        rest.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl WSAPROTOCOL_INFOW {
    /// Description of TCP over `family` (`AF_INET` or `AF_INET6`), as the switch passes it to `WSPStartupEx`
    /// (SP-023): a reliable byte stream, hidden from nobody, catalogue entry 0.
    pub fn tcp_ip(family: INT) -> Self {
        let mut info = Self::zeroed();
        info.dwServiceFlags1 = super::XP1_GUARANTEED_DELIVERY
            | super::XP1_GUARANTEED_ORDER
            | super::XP1_GRACEFUL_CLOSE
            | super::XP1_EXPEDITED_DATA
            | super::XP1_IFS_HANDLES;
        info.dwProviderFlags = super::PFL_MULTIPLE_PROTO_ENTRIES | super::PFL_MATCHES_PROTOCOL_ZERO;
        info.ProtocolChain.ChainLen = super::BASE_PROTOCOL;
        info.iVersion = 2;
        info.iAddressFamily = family;
        let length =
            if family == super::AF_INET6 { size_of::<SOCKADDR_IN6>() } else { size_of::<SOCKADDR_IN>() };
        info.iMaxSockAddr = length as INT;
        info.iMinSockAddr = length as INT;
        info.iSocketType = super::SOCK_STREAM;
        info.iProtocol = super::IPPROTO_TCP;
        info.iNetworkByteOrder = super::BIGENDIAN;
        info.iSecurityScheme = super::SECURITY_PROTOCOL_NONE;
        for (slot, unit) in info.szProtocol.iter_mut().zip("wsdirect TCP/IP".encode_utf16()) {
            *slot = unit;
        }
        info
    }
}
