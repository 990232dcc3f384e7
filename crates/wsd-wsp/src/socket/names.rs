//! Names: bind, and asking for them.

use wsd_spi::{SockAddr, WsaError};

use super::{Life, Socket};

impl Socket {
    /// `WSPBind`.
    pub(crate) fn bind(&self, name: SockAddr) -> Result<(), WsaError> {
        let mut state = self.open()?;
        if name.family() != self.kind.family {
            return Err(WsaError::WSAEFAULT);
        }
        if state.bound || state.life != Life::Idle {
            return Err(WsaError::WSAEINVAL);
        }
        state.kernel.bind(name)?;
        state.bound = true;
        state.look_for_events();
        self.settle(state);
        Ok(())
    }

    /// `WSPGetSockName`.
    pub(crate) fn local_name(&self) -> Result<SockAddr, WsaError> {
        let state = self.open()?;
        if state.bound { state.kernel.local_name() } else { Err(WsaError::WSAEINVAL) }
    }

    /// `WSPGetPeerName`.
    pub(crate) fn peer_name(&self) -> Result<SockAddr, WsaError> {
        let mut state = self.open()?;
        state.settle_connect();
        if state.life == Life::Connected { state.kernel.peer_name() } else { Err(WsaError::WSAENOTCONN) }
    }
}
