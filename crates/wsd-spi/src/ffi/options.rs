//! Socket options and their level (section 3).

use super::macros::constants;

constants! {
    /// Options whose names Linux uses too.
    table OPTIONS prefix "WS_";
    /// Level of all options but `TCP_NODELAY`.
    SOL_SOCKET: i32 = 0xFFFF;
    /// Debug output; BOOL.
    SO_DEBUG: i32 = 0x0001;
    /// Listening; BOOL.
    SO_ACCEPTCONN: i32 = 0x0002;
    /// Reuse of addresses; BOOL.
    SO_REUSEADDR: i32 = 0x0004;
    /// Keep-alive; BOOL.
    SO_KEEPALIVE: i32 = 0x0008;
    /// Do not route; BOOL.
    SO_DONTROUTE: i32 = 0x0010;
    /// Broadcast; BOOL.
    SO_BROADCAST: i32 = 0x0020;
    /// Linger at close; `LINGER`.
    SO_LINGER: i32 = 0x0080;
    /// Urgent data in line; BOOL.
    SO_OOBINLINE: i32 = 0x0100;
    /// Send buffer in bytes; int.
    SO_SNDBUF: i32 = 0x1001;
    /// Receive buffer in bytes; int.
    SO_RCVBUF: i32 = 0x1002;
    /// Send time-out in milliseconds; int.
    SO_SNDTIMEO: i32 = 0x1005;
    /// Receive time-out in milliseconds; int.
    SO_RCVTIMEO: i32 = 0x1006;
    /// Pending error; int.
    SO_ERROR: i32 = 0x1007;
    /// Socket type; int.
    SO_TYPE: i32 = 0x1008;
    /// Level `IPPROTO_TCP`: no delay; BOOL.
    TCP_NODELAY: i32 = 0x0001;
    /// Level `IPPROTO_IPV6`: no IPv4 on this socket, on unless cleared; BOOL.
    IPV6_V6ONLY: i32 = 27;
}

constants! {
    /// Options that only Winsock knows.
    table OPTIONS_WSD prefix "";
    /// No linger at close; BOOL.
    SO_DONTLINGER: i32 = !0x80;
    /// Exclusive use of the address; BOOL.
    SO_EXCLUSIVEADDRUSE: i32 = !0x04;
    /// Group of the socket; `GROUP`. Sent to SAN providers with quality of service only.
    SO_GROUP_ID: i32 = 0x2001;
    /// Priority within the group; int. Sent to SAN providers with quality of service only.
    SO_GROUP_PRIORITY: i32 = 0x2002;
    /// Longest message of one `WSPSend` in bytes; u32. Sent to SAN providers.
    SO_MAX_MSG_SIZE: i32 = 0x2003;
    /// The protocol's `WSAPROTOCOL_INFOW`.
    SO_PROTOCOL_INFOW: i32 = 0x2005;
    /// The condition function decides before the handshake ends; BOOL.
    SO_CONDITIONAL_ACCEPT: i32 = 0x3002;
    /// Socket of the listener; SOCKET.
    SO_UPDATE_ACCEPT_CONTEXT: i32 = 0x700B;
    /// Seconds since the connect; DWORD.
    SO_CONNECT_TIME: i32 = 0x700C;
    /// Longest RDMA operation in bytes; u32. Sent to SAN providers.
    SO_MAX_RDMA_SIZE: i32 = 0x700D;
    /// Above this many bytes RDMA pays; u32. Sent to SAN providers.
    SO_RDMA_THRESHOLD_SIZE: i32 = 0x700E;
    /// Make a ConnectEx socket a full one; no value.
    SO_UPDATE_CONNECT_CONTEXT: i32 = 0x7010;
}
