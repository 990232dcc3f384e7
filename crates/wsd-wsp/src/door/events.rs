//! Waiting: `WSPEventSelect`, `WSPAsyncSelect`, `WSPEnumNetworkEvents`, `WSPSelect`, `WSPCancelBlockingCall`.

use core::ffi::c_int;
use core::ptr;
use core::slice;
use core::time::Duration;

use wsd_spi::ffi::*;
use wsd_spi::{Event, WsaError};

use super::arguments::{put, socket as find};
use super::{answer, status};
use crate::events::{Channel, Selection};
use crate::select::{self, Sets};
use crate::upcalls::Window;
use crate::{blocking, process};

/// Sockets that one set may have.
const MAX_SET: u32 = 65_536;

pub(super) unsafe extern "system" fn event_select(
    s: SOCKET,
    hEventObject: WSAEVENT,
    lNetworkEvents: LONG,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            if lNetworkEvents == 0 {
                return socket.select_events(None);
            }
            let event = Event::from_handle(hEventObject).ok_or(WsaError::WSAEINVAL)?;
            socket.select_events(Some(Selection::new(lNetworkEvents, Channel::Event(event))?))
        })
    }
}

pub(super) unsafe extern "system" fn async_select(
    s: SOCKET,
    hWnd: HWND,
    wMsg: UINT,
    lEvent: LONG,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            if lEvent == 0 {
                return socket.select_events(None);
            }
            let window = Window::new(hWnd).ok_or(WsaError::WSAEINVAL)?;
            if !socket.process.upcalls.posts_messages() {
                return Err(WsaError::WSAEOPNOTSUPP);
            }
            let channel = Channel::Messages { window, message: wMsg };
            socket.select_events(Some(Selection::new(lEvent, channel)?))
        })
    }
}

pub(super) unsafe extern "system" fn enum_network_events(
    s: SOCKET,
    hEventObject: WSAEVENT,
    lpNetworkEvents: LPWSANETWORKEVENTS,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            let socket = find(s)?;
            if lpNetworkEvents.is_null() {
                return Err(WsaError::WSAEFAULT);
            }
            let record = socket.take_events(Event::from_handle(hEventObject))?;
            // An error is written only where its event is set (SP-061).
            put(&raw mut (*lpNetworkEvents).lNetworkEvents, record.events);
            let errors = (&raw mut (*lpNetworkEvents).iErrorCode).cast::<INT>();
            for (index, error) in record.errors.iter().enumerate() {
                if record.events & 1 << index != 0 {
                    errors.add(index).write(*error);
                }
            }
            Ok(())
        })
    }
}

pub(super) unsafe extern "system" fn cancel_blocking_call(lpErrno: LPINT) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        status(lpErrno, || {
            process::running()?;
            blocking::cancel()
        })
    }
}

pub(super) unsafe extern "system" fn select(
    _nfds: c_int,
    readfds: *mut WS_FD_SET,
    writefds: *mut WS_FD_SET,
    exceptfds: *mut WS_FD_SET,
    timeout: *const WS_TIMEVAL,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: pointers are as the SPI says.
    unsafe {
        answer(lpErrno, SOCKET_ERROR, || {
            let running = process::running()?;
            let mut sets =
                Sets { read: members(readfds)?, write: members(writefds)?, except: members(exceptfds)? };
            let limit = timeout.as_ref().map(limit).transpose()?;
            let count = select::select(&running, &mut sets, limit)?;
            leave(readfds, &sets.read);
            leave(writefds, &sets.write);
            leave(exceptfds, &sets.except);
            Ok(count as c_int)
        })
    }
}

fn limit(timeout: &WS_TIMEVAL) -> Result<Duration, WsaError> {
    let seconds = u64::try_from(timeout.tv_sec).map_err(|_| WsaError::WSAEINVAL)?;
    let micros = u64::try_from(timeout.tv_usec).map_err(|_| WsaError::WSAEINVAL)?;
    Ok(Duration::from_secs(seconds) + Duration::from_micros(micros))
}

/// The sockets of a set, none for NULL.
///
/// # Safety
/// NULL, or valid with `fd_count` sockets.
unsafe fn members(set: *const WS_FD_SET) -> Result<Vec<SOCKET>, WsaError> {
    if set.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: not NULL, hence valid by the contract of this function. The program may have declared more room than the
    // type has.
    unsafe {
        let count = (&raw const (*set).fd_count).read();
        if count > MAX_SET {
            return Err(WsaError::WSAEINVAL);
        }
        Ok(slice::from_raw_parts((&raw const (*set).fd_array).cast(), count as usize).to_vec())
    }
}

/// Leaves `ready` in a set: no more sockets than it had.
///
/// # Safety
/// As [`members`], and valid for writes.
unsafe fn leave(set: *mut WS_FD_SET, ready: &[SOCKET]) {
    if set.is_null() {
        return;
    }
    // SAFETY: not NULL, hence valid by the contract of this function.
    unsafe {
        ptr::copy_nonoverlapping(ready.as_ptr(), (&raw mut (*set).fd_array).cast(), ready.len());
        (&raw mut (*set).fd_count).write(ready.len() as UINT);
    }
}
