//! Failures of a companion's socket, and what they mean for the connection.

use wsd_os::Errno;
use wsd_spi::WsaError;

use crate::reason::Reason;

/// An SPI call that failed, or a connection that broke.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortFailure {
    /// What the call answered.
    pub(super) error: WsaError,
    /// Whether the companions had yet to meet.
    pub(super) meeting: bool,
}

impl PortFailure {
    /// What the connection's owner is told.
    pub(super) fn reason(&self) -> Reason {
        match self.error {
            WsaError::WSAEADDRINUSE => Reason::AddressTaken,
            WsaError::WSAENOBUFS => Reason::NoMemory,
            _ if self.is_absent() => Reason::PeerWithoutCompanion,
            // The peer's companion may end between any two calls here.
            WsaError::WSAENOTCONN | WsaError::WSAECONNRESET | WsaError::WSAECONNABORTED if !self.meeting => {
                Reason::CompanionLost
            }
            _ => Reason::ProviderFailed,
        }
    }

    /// SW-063, SW-064: after these answers to a connect TCP would fail too; what the program is told.
    pub(super) fn forbids_tcp(&self) -> Option<Errno> {
        match self.error {
            _ if !self.meeting => None,
            WsaError::WSAECONNREFUSED | WsaError::WSAECONNRESET => Some(Errno::CONNREFUSED),
            WsaError::WSAEHOSTUNREACH => Some(Errno::HOSTUNREACH),
            _ => None,
        }
    }

    /// Whether another attempt makes sense: the peer's companion is not there yet, or another connection's companion has the name.
    /// That is one of the same local address and port to another peer, which listens only until it has met its own.
    pub(super) fn may_pass(&self) -> bool {
        self.is_absent() || self.error == WsaError::WSAEADDRINUSE
    }

    fn is_absent(&self) -> bool {
        let absent = [
            WsaError::WSAETIMEDOUT,
            WsaError::WSAECONNREFUSED,
            WsaError::WSAECONNRESET,
            WsaError::WSAEHOSTUNREACH,
        ];
        self.meeting && absent.contains(&self.error)
    }
}

/// The failure of a companion that had met its peer, or of a call that needs no peer.
pub(super) fn broken(error: WsaError) -> PortFailure {
    PortFailure { error, meeting: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A companion that the peer ended between the meeting and the first message is lost; the provider did what it should.
    #[test]
    fn a_reset_after_the_meeting_is_a_loss() {
        for error in [WsaError::WSAENOTCONN, WsaError::WSAECONNRESET, WsaError::WSAECONNABORTED] {
            assert_eq!(broken(error).reason(), Reason::CompanionLost);
        }
        assert_eq!(broken(WsaError::WSAEINVAL).reason(), Reason::ProviderFailed);
        let meeting = |error| PortFailure { error, meeting: true }.reason();
        assert_eq!(meeting(WsaError::WSAECONNRESET), Reason::PeerWithoutCompanion);
        assert_eq!(meeting(WsaError::WSAENOTCONN), Reason::ProviderFailed);
    }
}
