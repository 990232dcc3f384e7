//! Control codes of `WSPIoctl` (section 3).

use super::macros::constants;

constants! {
    /// Control codes whose names only Winsock uses.
    table CODES prefix "";
    /// Class: Winsock 2.
    IOC_WS2: u32 = 0x0800_0000;
    /// Class: vendor.
    IOC_VENDOR: u32 = 0x1800_0000;
    /// Unused by SAN providers.
    SIO_ASSOCIATE_HANDLE: u32 = 0x8800_0001;
    /// Unused by SAN providers.
    SIO_ENABLE_CIRCULAR_QUEUEING: u32 = 0x2800_0002;
    /// Unused by SAN providers.
    SIO_FIND_ROUTE: u32 = 0x4800_0003;
    /// Unused by SAN providers.
    SIO_FLUSH: u32 = 0x2800_0004;
    /// Unused by SAN providers.
    SIO_GET_BROADCAST_ADDRESS: u32 = 0x4800_0005;
    /// GUID in, function pointer out (SP-100).
    SIO_GET_EXTENSION_FUNCTION_POINTER: u32 = 0xC800_0006;
    /// Quality of service of the socket.
    SIO_GET_QOS: u32 = 0xC800_0007;
    /// Quality of service of the group.
    SIO_GET_GROUP_QOS: u32 = 0xC800_0008;
    /// Unused by SAN providers.
    SIO_MULTIPOINT_LOOPBACK: u32 = 0x8800_0009;
    /// Unused by SAN providers.
    SIO_MULTICAST_SCOPE: u32 = 0x8800_000A;
    /// Set quality of service of the socket.
    SIO_SET_QOS: u32 = 0x8800_000B;
    /// Set quality of service of the group.
    SIO_SET_GROUP_QOS: u32 = 0x8800_000C;
    /// Unused by SAN providers.
    SIO_TRANSLATE_HANDLE: u32 = 0xC800_000D;
    /// Unused by SAN providers.
    SIO_ROUTING_INTERFACE_QUERY: u32 = 0xC800_0014;
    /// Unused by SAN providers.
    SIO_ROUTING_INTERFACE_CHANGE: u32 = 0x8800_0015;
    /// Out: `SOCKET_ADDRESS_LIST` of the provider's own interfaces (SP-102).
    SIO_ADDRESS_LIST_QUERY: u32 = 0x4800_0016;
    /// Unused by SAN providers.
    SIO_ADDRESS_LIST_CHANGE: u32 = 0x2800_0017;
    /// Unused by SAN providers.
    SIO_QUERY_TARGET_PNP_HANDLE: u32 = 0x4800_0018;
    /// Unused by SAN providers.
    SIO_ADDRESS_LIST_SORT: u32 = 0xC800_0019;
}

constants! {
    /// Control codes whose names Linux uses too.
    table CODES_SHARED prefix "WS_";
    /// No parameters.
    IOC_VOID: u32 = 0x2000_0000;
    /// Copies out.
    IOC_OUT: u32 = 0x4000_0000;
    /// Copies in.
    IOC_IN: u32 = 0x8000_0000;
    /// Non-blocking mode.
    FIONBIO: u32 = 0x8004_667E;
    /// Bytes to read.
    FIONREAD: u32 = 0x4004_667F;
    /// At the urgent mark.
    SIOCATMARK: u32 = 0x4004_7307;
}
