//! The catalogue entries that this library would have, if Linux had a catalogue.

use wsd_spi::WsaError;
use wsd_spi::ffi::{
    AF_INET, AF_INET6, FROM_PROTOCOL_INFO, IPPROTO_TCP, IPPROTO_UDP, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM,
    WSAPROTOCOL_INFOW, XP1_CONNECTIONLESS, XP1_IFS_HANDLES, XP1_MESSAGE_ORIENTED, XP1_SUPPORT_BROADCAST,
    XP1_SUPPORT_MULTIPOINT,
};

use crate::tcpip::Kind;

/// The longest datagram of IPv4.
pub(crate) const MAX_DATAGRAM: u32 = 65_507;

/// The kind that `WSPSocket` asks for; what is `FROM_PROTOCOL_INFO`, or unspecified, comes from `info`.
///
/// # Errors
/// In this order: `WSAEAFNOSUPPORT`, `WSAESOCKTNOSUPPORT`, `WSAEPROTOTYPE` (a protocol of another type of socket),
/// `WSAEPROTONOSUPPORT`.
pub(crate) fn kind(
    family: i32,
    socket_type: i32,
    protocol: i32,
    info: Option<&WSAPROTOCOL_INFOW>,
) -> Result<Kind, WsaError> {
    let chosen = |asked: i32, unspecified: bool, entry: fn(&WSAPROTOCOL_INFOW) -> i32| match info {
        Some(info) if asked == FROM_PROTOCOL_INFO || unspecified => entry(info),
        _ => asked,
    };
    let family = chosen(family, family == 0, |info| info.iAddressFamily);
    if family != AF_INET && family != AF_INET6 {
        return Err(WsaError::WSAEAFNOSUPPORT);
    }
    let socket_type = chosen(socket_type, socket_type == 0, |info| info.iSocketType);
    let protocol = chosen(protocol, false, |info| info.iProtocol);
    let protocol = match (socket_type, protocol) {
        (SOCK_STREAM, 0 | IPPROTO_TCP) => IPPROTO_TCP,
        (SOCK_DGRAM, 0 | IPPROTO_UDP) => IPPROTO_UDP,
        (SOCK_STREAM, IPPROTO_UDP) | (SOCK_DGRAM, IPPROTO_TCP) => return Err(WsaError::WSAEPROTOTYPE),
        (SOCK_RAW, 1..=255) => protocol,
        (SOCK_STREAM | SOCK_DGRAM | SOCK_RAW, _) => return Err(WsaError::WSAEPROTONOSUPPORT),
        _ => return Err(WsaError::WSAESOCKTNOSUPPORT),
    };
    Ok(Kind { family, socket_type, protocol })
}

/// The catalogue entry of sockets of that kind.
pub(crate) fn protocol_info(kind: Kind) -> WSAPROTOCOL_INFOW {
    let mut info = WSAPROTOCOL_INFOW::tcp_ip(kind.family);
    info.dwServiceFlags1 &= !XP1_IFS_HANDLES;
    if !kind.is_stream() {
        info.dwServiceFlags1 =
            XP1_CONNECTIONLESS | XP1_MESSAGE_ORIENTED | XP1_SUPPORT_BROADCAST | XP1_SUPPORT_MULTIPOINT;
        info.iSocketType = kind.socket_type;
        info.iProtocol = kind.protocol;
        info.dwMessageSize = MAX_DATAGRAM;
        let name = if kind.socket_type == SOCK_DGRAM { "wsdirect UDP/IP" } else { "wsdirect RAW/IP" };
        info.szProtocol = [0; 256];
        info.szProtocol.iter_mut().zip(name.encode_utf16()).for_each(|(slot, unit)| *slot = unit);
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of the checks, and what a protocol entry fills in.
    #[test]
    fn kinds() {
        let kind = |family, socket_type, protocol| super::kind(family, socket_type, protocol, None);
        let tcp = Kind { family: AF_INET, socket_type: SOCK_STREAM, protocol: IPPROTO_TCP };
        assert_eq!(kind(AF_INET, SOCK_STREAM, 0), Ok(tcp));
        assert_eq!(kind(99, 99, 99), Err(WsaError::WSAEAFNOSUPPORT));
        assert_eq!(kind(AF_INET, 99, 99), Err(WsaError::WSAESOCKTNOSUPPORT));
        assert_eq!(kind(AF_INET6, SOCK_STREAM, 99), Err(WsaError::WSAEPROTONOSUPPORT));
        assert_eq!(kind(AF_INET, SOCK_STREAM, IPPROTO_UDP), Err(WsaError::WSAEPROTOTYPE));
        assert_eq!(kind(AF_INET, SOCK_RAW, 0), Err(WsaError::WSAEPROTONOSUPPORT));
        assert_eq!(kind(0, SOCK_STREAM, 0), Err(WsaError::WSAEAFNOSUPPORT));
        let info = protocol_info(Kind { family: AF_INET6, socket_type: SOCK_DGRAM, protocol: IPPROTO_UDP });
        let from_info = super::kind(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, Some(&info));
        assert_eq!(from_info.map(protocol_info).map(|entry| entry.iProtocol), Ok(IPPROTO_UDP));
    }
}
