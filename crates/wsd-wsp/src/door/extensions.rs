//! `AcceptEx`, `GetAcceptExSockaddrs`, `TransmitFile` (SW-171).

use core::ptr;
use std::sync::Arc;

use wsd_os::fd::{borrow, duplicate_high};
use wsd_spi::ffi::*;
use wsd_spi::{SOCKADDR_IN_LEN, SOCKADDR_IN6_LEN, WsaError};

use super::arguments::{area, mode, put, socket as find, sources};
use super::extension;
use crate::convert;
use crate::extension::{ADDRESS_MARGIN, AcceptInto, FilePart, FileSend};
use crate::operation::{Sources, Work};
use crate::outcome::{Overlapped, Request};
use crate::socket::{Direction, Mode, Submitted};

/// The address of the function whose GUID the program gave.
///
/// # Errors
/// `WSAEFAULT`: not 16 bytes. `WSAEINVAL`: not one of ours.
pub(super) fn function(input: &[u8]) -> Result<usize, WsaError> {
    let accept_ex: LPFN_ACCEPTEX = accept_ex;
    let get_sockaddrs: LPFN_GETACCEPTEXSOCKADDRS = get_accept_ex_sockaddrs;
    let transmit_file: LPFN_TRANSMITFILE = transmit_file;
    let [a, b, c, d, e, f, g, h, tail @ ..] = *input.first_chunk::<16>().ok_or(WsaError::WSAEFAULT)?;
    let guid = GUID {
        Data1: u32::from_ne_bytes([a, b, c, d]),
        Data2: u16::from_ne_bytes([e, f]),
        Data3: u16::from_ne_bytes([g, h]),
        Data4: tail,
    };
    match guid {
        guid if guid == WSAID_ACCEPTEX => Ok((accept_ex as *const ()).expose_provenance()),
        guid if guid == WSAID_GETACCEPTEXSOCKADDRS => Ok((get_sockaddrs as *const ()).expose_provenance()),
        guid if guid == WSAID_TRANSMITFILE => Ok((transmit_file as *const ()).expose_provenance()),
        _ => Err(WsaError::WSAEINVAL),
    }
}

unsafe extern "system" fn accept_ex(
    sListenSocket: SOCKET,
    sAcceptSocket: SOCKET,
    lpOutputBuffer: LPVOID,
    dwReceiveDataLength: DWORD,
    dwLocalAddressLength: DWORD,
    dwRemoteAddressLength: DWORD,
    lpdwBytesReceived: LPDWORD,
    lpOverlapped: LPWSAOVERLAPPED,
) -> BOOL {
    // SAFETY: pointers are as the SPI says.
    extension(|| unsafe {
        let (listener, target) = (find(sListenSocket)?, find(sAcceptSocket)?);
        let overlapped = Overlapped::new(lpOverlapped).ok_or(WsaError::WSA_INVALID_PARAMETER)?;
        let address_len = if listener.kind.family == AF_INET6 { SOCKADDR_IN6_LEN } else { SOCKADDR_IN_LEN };
        let [data, local, remote] =
            [dwReceiveDataLength, dwLocalAddressLength, dwRemoteAddressLength].map(|length| length as usize);
        let shortest = local.min(remote);
        if lpOutputBuffer.is_null() || shortest < address_len + ADDRESS_MARGIN {
            return Err(WsaError::WSAEFAULT);
        }
        if listener.kind != target.kind || !target.open()?.is_fresh() {
            return Err(WsaError::WSAEINVAL);
        }
        let start = lpOutputBuffer.cast::<u8>();
        let request = Request::new(overlapped, None);
        let accept = AcceptInto::new(
            Arc::clone(&target),
            sListenSocket,
            area(start, data),
            area(start.add(data), local),
            area(start.add(data + local), remote),
            request,
        );
        match listener.submit(Direction::In, Work::Accept(accept), Mode::Request(request))? {
            Submitted::Pending => Err(WsaError::WSA_IO_PENDING),
            Submitted::Done(outcome) => {
                put(lpdwBytesReceived, outcome.bytes);
                Ok(())
            }
        }
    })
}

unsafe extern "system" fn get_accept_ex_sockaddrs(
    lpOutputBuffer: LPVOID,
    dwReceiveDataLength: DWORD,
    dwLocalAddressLength: DWORD,
    _dwRemoteAddressLength: DWORD,
    LocalSockaddr: *mut *mut SOCKADDR,
    LocalSockaddrLength: LPINT,
    RemoteSockaddr: *mut *mut SOCKADDR,
    RemoteSockaddrLength: LPINT,
) {
    if lpOutputBuffer.is_null() {
        return;
    }
    let start = lpOutputBuffer.cast::<u8>();
    // SAFETY: the buffer of an `AcceptEx` that is complete, with the same lengths, as the SPI says.
    unsafe {
        let local = start.add(dwReceiveDataLength as usize);
        let remote = local.add(dwLocalAddressLength as usize);
        for (at, address, length) in
            [(local, LocalSockaddr, LocalSockaddrLength), (remote, RemoteSockaddr, RemoteSockaddrLength)]
        {
            put(address, at.cast::<SOCKADDR>());
            let family = i32::from(at.cast::<u16>().read_unaligned());
            put(length, if family == AF_INET6 { SOCKADDR_IN6_LEN } else { SOCKADDR_IN_LEN } as INT);
        }
    }
}

unsafe extern "system" fn transmit_file(
    hSocket: SOCKET,
    hFile: HANDLE,
    nNumberOfBytesToWrite: DWORD,
    _nNumberOfBytesPerSend: DWORD,
    lpOverlapped: LPWSAOVERLAPPED,
    lpTransmitBuffers: LPTRANSMIT_FILE_BUFFERS,
    dwFlags: DWORD,
) -> BOOL {
    // SAFETY: pointers are as the SPI says.
    extension(|| unsafe {
        let socket = find(hSocket)?;
        if !socket.kind.is_stream() {
            return Err(WsaError::WSAEINVAL);
        }
        // A descriptor cannot be connected a second time here.
        if dwFlags & TF_REUSE_SOCKET != 0 {
            return Err(WsaError::WSAEOPNOTSUPP);
        }
        let (head, tail) = match lpTransmitBuffers.as_ref() {
            Some(buffers) => {
                (part(buffers.Head, buffers.HeadLength)?, part(buffers.Tail, buffers.TailLength)?)
            }
            None => (Sources::new(), Sources::new()),
        };
        let position = Overlapped::new(lpOverlapped).and_then(Overlapped::position);
        let file = match i32::try_from(hFile.addr()) {
            Ok(0) => None,
            Ok(fd) => {
                let file = duplicate_high(borrow(fd)).map_err(|error| match error {
                    rustix::io::Errno::BADF => WsaError::WSA_INVALID_HANDLE,
                    error => convert::error(error),
                })?;
                let left = (nNumberOfBytesToWrite > 0).then_some(u64::from(nNumberOfBytesToWrite));
                Some(FilePart::new(file, position, left))
            }
            Err(_) => return Err(WsaError::WSA_INVALID_HANDLE),
        };
        let work = Work::File(FileSend::new(head, file, tail));
        let mode = mode(&socket, lpOverlapped, None, ptr::null_mut())?;
        let submitted = socket.submit(Direction::Out, work, mode)?;
        if dwFlags & TF_DISCONNECT != 0 {
            // Behind what is queued.
            socket.shutdown(SD_SEND)?;
        }
        match submitted {
            Submitted::Pending => Err(WsaError::WSA_IO_PENDING),
            Submitted::Done(_) => Ok(()),
        }
    })
}

/// One piece of memory to send.
///
/// # Safety
/// NULL, or valid until the operation is done.
unsafe fn part(start: LPVOID, length: DWORD) -> Result<Sources, WsaError> {
    let mut buffer = WSABUF { len: length, buf: start.cast() };
    // SAFETY: the contract is the same.
    unsafe { sources(&raw mut buffer, 1) }
}
