//! Socket options (section 6.5): the sizes that a switch asks for, and `SO_DEBUG`.

use wsd_spi::WsaError;
use wsd_spi::ffi::{
    IPPROTO_TCP, SO_DEBUG, SO_MAX_MSG_SIZE, SO_MAX_RDMA_SIZE, SO_RDMA_THRESHOLD_SIZE, SOL_SOCKET,
};

/// A provider's sizes in bytes, which hold for all of its sockets, in any state (SP-050).
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// `SO_MAX_MSG_SIZE`.
    pub message: u32,
    /// `SO_RDMA_THRESHOLD_SIZE`: from here on RDMA is worth it.
    pub threshold: u32,
    /// `SO_MAX_RDMA_SIZE`.
    pub rdma: u32,
}

impl Sizes {
    /// `WSPGetSockOpt` on a socket whose `SO_DEBUG` is `debug`.
    ///
    /// # Errors
    /// `WSAENOPROTOOPT` for an option, `WSAEINVAL` for a level that is not known.
    pub fn get_option(&self, debug: bool, level: i32, name: i32) -> Result<Vec<u8>, WsaError> {
        check_level(level)?;
        let value = match name {
            SO_DEBUG => u32::from(debug),
            SO_MAX_MSG_SIZE => self.message,
            SO_MAX_RDMA_SIZE => self.rdma,
            SO_RDMA_THRESHOLD_SIZE => self.threshold,
            _ => return Err(WsaError::WSAENOPROTOOPT),
        };
        Ok(value.to_ne_bytes().to_vec())
    }
}

/// `WSPSetSockOpt` on a socket whose `SO_DEBUG` is `debug`: the only option that can be set (SP-052).
///
/// # Errors
/// As [`Sizes::get_option`]; `WSAEFAULT` if the value has not four bytes.
pub fn set_option(debug: &mut bool, level: i32, name: i32, value: &[u8]) -> Result<(), WsaError> {
    check_level(level)?;
    if name != SO_DEBUG {
        return Err(WsaError::WSAENOPROTOOPT);
    }
    let value: [u8; 4] = value.try_into().map_err(|_| WsaError::WSAEFAULT)?;
    *debug = u32::from_ne_bytes(value) != 0;
    Ok(())
}

/// All options that we know are at `SOL_SOCKET`; of those of TCP there is none.
fn check_level(level: i32) -> Result<(), WsaError> {
    match level {
        SOL_SOCKET => Ok(()),
        IPPROTO_TCP => Err(WsaError::WSAENOPROTOOPT),
        _ => Err(WsaError::WSAEINVAL),
    }
}
