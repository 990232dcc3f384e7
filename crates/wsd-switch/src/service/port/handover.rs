//! Ports that go to another process, and come from one (SW-183).

use wsd_spi::WsaError;
use wsd_spi::client::Socket;
use wsd_spi::ffi::WSAPROTOCOL_INFOW;

use super::{Port, family_of};
use crate::registry::Providers;
use crate::service::port_failure::{PortFailure, broken};
use crate::service::proof::Names;

impl Port {
    /// Of a connection that another process has given here (SW-183, step 8).
    pub(in super::super) fn adopted(
        providers: &Providers,
        provider: usize,
        index: u32,
        names: Names,
        value: u32,
    ) -> Result<Self, PortFailure> {
        let started = providers.get(provider).ok_or(WsaError::WSAEINVALIDPROVIDER).map_err(broken)?;
        let mut info = WSAPROTOCOL_INFOW::tcp_ip(family_of(names.local));
        info.dwProviderReserved = value;
        let socket = started.san.adopt(&info).map_err(broken)?;
        Self::accepted(providers, provider, index, names, socket)
    }

    /// WSPDuplicateSocket (step 6): the value for the process. From now on the port can only be closed (SW-186). Everything was
    /// sent, and no memory is exposed.
    pub(in super::super) fn give(&mut self, process: u32) -> Result<u32, PortFailure> {
        let lost = || broken(WsaError::WSAENOTCONN);
        self.own_ring = None;
        self.peer_ring = None;
        let socket = self.socket.as_ref().ok_or_else(lost)?;
        let messages = self.messages.take().ok_or_else(lost)?;
        drop(messages.send_registration);
        let given = socket.duplicate(process, family_of(self.names.local));
        match given {
            Ok(info) => {
                // The provider has completed the receives and given their memory back (SP-150).
                if let Some(registration) = messages.receive_registration {
                    registration.surrender();
                }
                self.failed = Some(WsaError::WSAENOTCONN);
                Ok(info.dwProviderReserved)
            }
            Err(error) => {
                // The receives are still posted: their memory goes with the socket.
                let _ = socket.close();
                Err(broken(error))
            }
        }
    }

    /// A port that was given away is over, since the connection has come back in another one (step 9). A provider may have
    /// answered the very same socket, which then goes on.
    pub(in super::super) fn replaced_by(mut self, other: &mut Self) {
        let descriptor = |port: &Self| port.socket.as_ref().map(Socket::descriptor);
        if descriptor(&self) == descriptor(other)
            && let Some(again) = std::mem::replace(&mut other.socket, self.socket.take())
        {
            // A second owner of the one socket: dropped, it would close it.
            std::mem::forget(again);
        }
        self.close();
    }
}
