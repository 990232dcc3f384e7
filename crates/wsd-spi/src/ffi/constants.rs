//! Constants of section 3 that are neither options, nor control codes, nor error codes.

use super::macros::constants;

constants! {
    /// Constants whose names the Linux headers do not use.
    table BASIC prefix "";
    /// Family, type or protocol of `WSPSocket`: what the `WSAPROTOCOL_INFOW` says.
    FROM_PROTOCOL_INFO: i32 = -1;
    /// `WSPJoinLeaf`: only send to the group.
    JL_SENDER_ONLY: u32 = 0x01;
    /// `WSPJoinLeaf`: only receive what is sent to the group.
    JL_RECEIVER_ONLY: u32 = 0x02;
    /// `WSPJoinLeaf`: send and receive.
    JL_BOTH: u32 = 0x04;
    /// `TransmitFile`: shut the connection down when all is sent.
    TF_DISCONNECT: u32 = 0x01;
    /// `TransmitFile`: make the descriptor ready for another connection.
    TF_REUSE_SOCKET: u32 = 0x02;
    /// `TransmitFile`: may complete when all is handed to the transport.
    TF_WRITE_BEHIND: u32 = 0x04;
    /// Stop receiving.
    SD_RECEIVE: i32 = 0;
    /// Stop sending.
    SD_SEND: i32 = 1;
    /// Stop both.
    SD_BOTH: i32 = 2;
    /// Entries of a protocol chain.
    MAX_PROTOCOL_CHAIN: usize = 7;
    /// Characters of a protocol name, without the NUL.
    WSAPROTOCOL_LEN: usize = 255;
    /// Characters of a provider description, without the NUL.
    WSPDESCRIPTION_LEN: usize = 255;
    /// Chain length of a base provider.
    BASE_PROTOCOL: i32 = 1;
    /// Chain length of a layered provider.
    LAYERED_PROTOCOL: i32 = 0;
    /// Network byte order of the protocol is big-endian.
    BIGENDIAN: i32 = 0;
    /// Network byte order of the protocol is little-endian.
    LITTLEENDIAN: i32 = 1;
    /// No security scheme.
    SECURITY_PROTOCOL_NONE: i32 = 0;
    /// Condition function: take the connection.
    CF_ACCEPT: i32 = 0;
    /// Condition function: refuse it.
    CF_REJECT: i32 = 1;
    /// Condition function: ask again later.
    CF_DEFER: i32 = 2;
    /// Socket flag: overlapped operations; always passed by the switch.
    WSA_FLAG_OVERLAPPED: u32 = 0x01;
    /// Socket flag, unused.
    WSA_FLAG_MULTIPOINT_C_ROOT: u32 = 0x02;
    /// Socket flag, unused.
    WSA_FLAG_MULTIPOINT_C_LEAF: u32 = 0x04;
    /// Socket flag, unused.
    WSA_FLAG_MULTIPOINT_D_ROOT: u32 = 0x08;
    /// Socket flag, unused.
    WSA_FLAG_MULTIPOINT_D_LEAF: u32 = 0x10;
    /// Socket flag, unused.
    WSA_FLAG_ACCESS_SYSTEM_SECURITY: u32 = 0x40;
    /// Socket flag, unused.
    WSA_FLAG_NO_HANDLE_INHERIT: u32 = 0x80;
    /// Socket flag, unused.
    WSA_FLAG_REGISTERED_IO: u32 = 0x100;
    /// Registered memory may be read: locally by the provider, or remotely by the peer (SP-110, SP-121).
    MEM_READ: u32 = 1;
    /// Registered memory may be written: locally by the provider, or remotely by the peer (SP-110, SP-121).
    MEM_WRITE: u32 = 2;
    /// Registered memory may be read and written.
    MEM_READWRITE: u32 = 3;
    /// Value of `WSAOVERLAPPED::Internal` while the operation is pending (SP-086, SP-183).
    WSS_OPERATION_IN_PROGRESS: usize = 0x103;
}

constants! {
    /// Constants whose names the Linux headers use too, some of them with other values.
    table SHARED prefix "WS_";
    /// Unspecified address family.
    AF_UNSPEC: i32 = 0;
    /// IPv4.
    AF_INET: i32 = 2;
    /// IPv6 (23 in the SPI, unlike Linux).
    AF_INET6: i32 = 23;
    /// Stream socket.
    SOCK_STREAM: i32 = 1;
    /// Datagram socket.
    SOCK_DGRAM: i32 = 2;
    /// Raw socket.
    SOCK_RAW: i32 = 3;
    /// TCP, also the option level of `TCP_NODELAY`.
    IPPROTO_TCP: i32 = 6;
    /// UDP.
    IPPROTO_UDP: i32 = 17;
    /// IPv6, also the option level of `IPV6_V6ONLY`.
    IPPROTO_IPV6: i32 = 41;
    /// Sockets of one `WS_FD_SET` as declared.
    FD_SETSIZE: usize = 64;
    /// Backlog: the provider's own reasonable maximum (SP-070).
    SOMAXCONN: i32 = 0x7FFF_FFFF;
    /// Urgent data.
    MSG_OOB: u32 = 0x1;
    /// Look without taking.
    MSG_PEEK: u32 = 0x2;
    /// Do not route.
    MSG_DONTROUTE: u32 = 0x4;
    /// Wait for the whole length.
    MSG_WAITALL: u32 = 0x8;
    /// Send from interrupt context.
    MSG_INTERRUPT: u32 = 0x10;
    /// Do not delay completion of a receive.
    MSG_PUSH_IMMEDIATE: u32 = 0x20;
    /// Part of a message.
    MSG_PARTIAL: u32 = 0x8000;
}

constants! {
    /// Network events: masks, and their indexes in `WSANETWORKEVENTS::iErrorCode`.
    table EVENTS prefix "";
    /// Index of `FD_READ`.
    FD_READ_BIT: usize = 0;
    /// Data to read.
    FD_READ: i32 = 0x001;
    /// Index of `FD_WRITE`.
    FD_WRITE_BIT: usize = 1;
    /// Room to write.
    FD_WRITE: i32 = 0x002;
    /// Index of `FD_OOB`.
    FD_OOB_BIT: usize = 2;
    /// Urgent data.
    FD_OOB: i32 = 0x004;
    /// Index of `FD_ACCEPT`.
    FD_ACCEPT_BIT: usize = 3;
    /// A connection request is queued.
    FD_ACCEPT: i32 = 0x008;
    /// Index of `FD_CONNECT`.
    FD_CONNECT_BIT: usize = 4;
    /// A connect has finished.
    FD_CONNECT: i32 = 0x010;
    /// Index of `FD_CLOSE`.
    FD_CLOSE_BIT: usize = 5;
    /// The peer has closed.
    FD_CLOSE: i32 = 0x020;
    /// Index of `FD_QOS`.
    FD_QOS_BIT: usize = 6;
    /// Quality of service has changed.
    FD_QOS: i32 = 0x040;
    /// Index of `FD_GROUP_QOS`.
    FD_GROUP_QOS_BIT: usize = 7;
    /// Quality of service of the group has changed.
    FD_GROUP_QOS: i32 = 0x080;
    /// Index of `FD_ROUTING_INTERFACE_CHANGE`.
    FD_ROUTING_INTERFACE_CHANGE_BIT: usize = 8;
    /// Routing has changed.
    FD_ROUTING_INTERFACE_CHANGE: i32 = 0x100;
    /// Index of `FD_ADDRESS_LIST_CHANGE`.
    FD_ADDRESS_LIST_CHANGE_BIT: usize = 9;
    /// The address list has changed.
    FD_ADDRESS_LIST_CHANGE: i32 = 0x200;
    /// Number of events.
    FD_MAX_EVENTS: usize = 10;
    /// All events.
    FD_ALL_EVENTS: i32 = 0x3FF;
}

constants! {
    /// Flags of `WSAPROTOCOL_INFOW`.
    table SERVICES prefix "";
    /// One of several entries of the protocol.
    PFL_MULTIPLE_PROTO_ENTRIES: u32 = 0x01;
    /// The recommended one among them.
    PFL_RECOMMENDED_PROTO_ENTRY: u32 = 0x02;
    /// Not shown to programs; set for SAN providers (SP-024).
    PFL_HIDDEN: u32 = 0x04;
    /// Serves protocol number 0.
    PFL_MATCHES_PROTOCOL_ZERO: u32 = 0x08;
    /// A NetworkDirect provider.
    PFL_NETWORKDIRECT_PROVIDER: u32 = 0x10;
    /// Connectionless.
    XP1_CONNECTIONLESS: u32 = 0x1;
    /// Nothing is lost.
    XP1_GUARANTEED_DELIVERY: u32 = 0x2;
    /// Nothing is reordered.
    XP1_GUARANTEED_ORDER: u32 = 0x4;
    /// Message boundaries are kept.
    XP1_MESSAGE_ORIENTED: u32 = 0x8;
    /// Messages that may be read as a stream.
    XP1_PSEUDO_STREAM: u32 = 0x10;
    /// Graceful close.
    XP1_GRACEFUL_CLOSE: u32 = 0x20;
    /// Urgent data.
    XP1_EXPEDITED_DATA: u32 = 0x40;
    /// Data with connect.
    XP1_CONNECT_DATA: u32 = 0x80;
    /// Data with disconnect.
    XP1_DISCONNECT_DATA: u32 = 0x100;
    /// Broadcast.
    XP1_SUPPORT_BROADCAST: u32 = 0x200;
    /// Multipoint.
    XP1_SUPPORT_MULTIPOINT: u32 = 0x400;
    /// Multipoint control plane is rooted.
    XP1_MULTIPOINT_CONTROL_PLANE: u32 = 0x800;
    /// Multipoint data plane is rooted.
    XP1_MULTIPOINT_DATA_PLANE: u32 = 0x1000;
    /// Quality of service (SP-190).
    XP1_QOS_SUPPORTED: u32 = 0x2000;
    /// Reserved.
    XP1_INTERRUPT: u32 = 0x4000;
    /// Send only.
    XP1_UNI_SEND: u32 = 0x8000;
    /// Receive only.
    XP1_UNI_RECV: u32 = 0x10000;
    /// Descriptors are handles of the operating system.
    XP1_IFS_HANDLES: u32 = 0x20000;
    /// Partial messages.
    XP1_PARTIAL_MESSAGE: u32 = 0x40000;
    /// The SAN speaks SDP.
    XP1_SAN_SUPPORT_SDP: u32 = 0x80000;
}
