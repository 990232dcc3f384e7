//! Making sockets, also out of those that another process hands over.

use std::sync::Arc;

use wsd_os::tcp::State as Tcp;
use wsd_spi::WsaError;

use super::{Life, Settings, Socket};
use crate::handover;
use crate::process::{self, Running};
use crate::tcpip::{Kernel, Kind};

impl Socket {
    /// `WSPSocket`.
    pub(crate) fn create(process: Arc<Running>, kind: Kind, overlapped: bool) -> Result<Arc<Self>, WsaError> {
        let kernel = Kernel::open(kind)?;
        let settings = Settings::default();
        process::register(Self::new(process, kind, overlapped, kernel, Life::Idle, settings))
    }

    /// `WSPSocket` with the value of another process's `WSPDuplicateSocket` (SP-041): in the same state, of both processes
    /// from now on.
    ///
    /// # Errors
    /// As [`handover::fetch`]; `WSAEINVAL`: another kind of socket than the call says.
    pub(crate) fn adopt(process: Arc<Running>, kind: Kind, value: u32) -> Result<Arc<Self>, WsaError> {
        let kernel = handover::fetch(value)?;
        let name = kernel.local_name()?;
        if name.family() != kind.family || wsd_os::tcp::is_stream_tcp(kernel.fd()) != kind.is_stream() {
            return Err(WsaError::WSAEINVAL);
        }
        let life = match wsd_os::tcp::state(kernel.fd()) {
            Ok(Tcp::Listening) if kind.is_stream() => Life::Listening,
            Ok(Tcp::SynSent) if kind.is_stream() => Life::Connecting,
            _ if kernel.peer_name().is_ok() => Life::Connected,
            _ => Life::Idle,
        };
        let socket = Self::new(process, kind, true, kernel, life, Settings::default());
        socket.lock().bound = name.port() != 0;
        process::register(socket)
    }

    /// `WSPDuplicateSocket`: offers the kernel socket to another process, and returns the value that finds it there.
    pub(crate) fn offer(&self, receiver: u32) -> Result<u32, WsaError> {
        let kernel = Arc::clone(&self.open()?.kernel);
        if !std::path::Path::new(&format!("/proc/{receiver}")).exists() {
            return Err(WsaError::WSAEINVAL);
        }
        let (twin, shared) = kernel.duplicate()?;
        self.process.handovers.offer(twin, shared, receiver, &self.process.engine)
    }
}
