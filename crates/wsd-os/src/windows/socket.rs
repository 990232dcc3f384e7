//! Sockets of our own, as Winsock knows sockets.

use windows_sys::Win32::Networking::WinSock as ws;
use windows_sys::Win32::System::Threading::GetCurrentProcessId;

use super::Errno;
use super::afd;
use super::fd::RawFd;
use super::handle::Handle;
use super::winsock::{done, start};

/// A socket that is closed when it is dropped.
#[derive(Debug)]
pub(super) struct Socket(ws::SOCKET);

impl Socket {
    /// Takes over what a call returned.
    ///
    /// # Errors
    ///
    /// Why the call failed, if it returned no socket.
    pub(super) fn returned(raw: ws::SOCKET) -> Result<Self, Errno> {
        if raw == ws::INVALID_SOCKET { Err(Errno::last_of_winsock()) } else { Ok(Self(raw)) }
    }

    /// A socket of this process for one that another process has put here, of which Winsock does not know. Whether it is one, only
    /// the system knows.
    ///
    /// # Errors
    ///
    /// `NOTSOCK`.
    pub(super) fn of_stranger(handle: &Handle) -> Result<Self, Errno> {
        if !afd::may_be_socket(handle.number() as RawFd) {
            return Err(Errno::NOTSOCK);
        }
        Self::again(handle.raw() as ws::SOCKET)
    }

    /// Another socket of this process for the same connection, which goes on when the other is closed. Not a duplicated handle, which
    /// Winsock need not know.
    ///
    /// # Errors
    ///
    /// `NOTSOCK`.
    pub(super) fn again(socket: ws::SOCKET) -> Result<Self, Errno> {
        start()?;
        // SAFETY: integers and arrays of them, for which zero is valid.
        let mut info: ws::WSAPROTOCOL_INFOW = unsafe { core::mem::zeroed() };
        // SAFETY: `info` has room for what is told.
        done(unsafe { ws::WSADuplicateSocketW(socket, GetCurrentProcessId(), &raw mut info) })?;
        let any = ws::FROM_PROTOCOL_INFO;
        // SAFETY: just filled in.
        Self::returned(unsafe { ws::WSASocketW(any, any, any, &raw const info, 0, ws::WSA_FLAG_OVERLAPPED) })
    }

    /// Its number.
    pub(super) fn number(&self) -> RawFd {
        self.0 as RawFd
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: owned here alone.
        unsafe { ws::closesocket(self.0) };
    }
}
