//! Socket options (section 6.5): the sizes that a switch asks for, and `SO_DEBUG`.

use wsd_spi::WsaError;
use wsd_spi::ffi::{
    IPPROTO_TCP, SO_DEBUG, SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE, SO_RDMA_THRESHOLD_SIZE, SOL_SOCKET,
};

use crate::rdma::MAX_RDMA;
use crate::state::Core;
use crate::wire::MAX_MESSAGE;

/// Up to here sending is as cheap as RDMA, which needs more packets.
const THRESHOLD: u32 = MAX_MESSAGE as u32;

impl Core {
    /// `WSPGetSockOpt`: in any state (SP-050).
    pub(crate) fn get_option(&mut self, id: u32, level: i32, name: i32) -> Result<Vec<u8>, WsaError> {
        let socket = self.socket(id)?;
        check_level(level)?;
        let value = match name {
            SO_DEBUG => u32::from(socket.debug),
            SO_MAX_MSG_SIZE => MAX_MESSAGE as u32,
            SO_MAX_RDMA_SIZE => MAX_RDMA,
            SO_RDMA_THRESHOLD_SIZE => THRESHOLD,
            _ => return Err(WsaError::WSAENOPROTOOPT),
        };
        Ok(value.to_ne_bytes().to_vec())
    }

    /// `WSPSetSockOpt` (SP-052).
    pub(crate) fn set_option(
        &mut self,
        id: u32,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), WsaError> {
        let socket = self.socket(id)?;
        check_level(level)?;
        if name != SO_DEBUG {
            return Err(WsaError::WSAENOPROTOOPT);
        }
        let value: [u8; 4] = value.try_into().map_err(|_| WsaError::WSAEFAULT)?;
        socket.debug = u32::from_ne_bytes(value) != 0;
        Ok(())
    }
}

/// All options that we know are at `SOL_SOCKET`; of those of TCP there is none.
fn check_level(level: i32) -> Result<(), WsaError> {
    match level {
        SOL_SOCKET => Ok(()),
        IPPROTO_TCP => Err(WsaError::WSAENOPROTOOPT),
        _ => Err(WsaError::WSAEINVAL),
    }
}
