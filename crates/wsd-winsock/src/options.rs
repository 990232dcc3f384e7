//! Options and requests of sockets.

use core::ffi::c_void;

use windows_sys::Win32::Networking::WinSock::{
    FIONBIO, FIONREAD, LPWSAOVERLAPPED_COMPLETION_ROUTINE, SIO_BASE_HANDLE, SIO_BSP_HANDLE,
    SIO_BSP_HANDLE_POLL, SIO_BSP_HANDLE_SELECT, SIO_GET_EXTENSION_FUNCTION_POINTER, SIOCATMARK, SO_ERROR,
    SO_SNDBUF, SO_UPDATE_ACCEPT_CONTEXT, SO_UPDATE_CONNECT_CONTEXT, SOCKET, SOL_SOCKET,
};
use windows_sys::Win32::System::IO::OVERLAPPED;
use wsd_os::Errno;
use wsd_switch::front::{self, Socket};
use wsd_switch::reason::Reason;

use crate::result::{answer, done, tracked};
use crate::{connect, events, extensions, original};

/// What the switch knows better than the kernel.
fn asked(socket: Socket, code: i32) -> Option<u32> {
    match code {
        FIONREAD => front::readable_bytes(socket).map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX)),
        SIOCATMARK => front::at_mark(socket).map(u32::from),
        _ => None,
    }
}

/// # Safety
/// As ioctlsocket.
pub(crate) unsafe extern "system" fn ioctlsocket(socket: SOCKET, command: i32, argument: *mut u32) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || done(unsafe { original::ioctlsocket(socket, command, argument) });
    let serve = |found| {
        // SAFETY: the program's place for it, or null.
        let argument = unsafe { argument.as_mut() };
        match (asked(found, command), argument) {
            (Some(known), Some(place)) => {
                *place = known;
                Ok(())
            }
            (_, wanted) => {
                let wanted = wanted.map(|value| *value);
                if command == FIONBIO && wanted == Some(0) && events::are_told(found) {
                    return Err(Errno::INVAL);
                }
                kernel().inspect(|()| noted(found, command, wanted))
            }
        }
    };
    answer(tracked(socket, |found, _| serve(found)).unwrap_or_else(kernel))
}

/// A request has succeeded: what follows for the switch.
fn noted(socket: Socket, code: i32, argument: Option<u32>) {
    if code == FIONBIO
        && let Some(on) = argument
    {
        front::nonblocking_changed(socket, on != 0);
    }
}

/// Requests for a handle by which a program asks the driver itself what is ready, where bytes that come by the SAN do not show.
const FOR_THE_DRIVER: [u32; 4] =
    [SIO_BASE_HANDLE, SIO_BSP_HANDLE, SIO_BSP_HANDLE_POLL, SIO_BSP_HANDLE_SELECT];

/// # Safety
/// As WSAIoctl.
pub(crate) unsafe extern "system" fn wsa_ioctl(
    socket: SOCKET,
    code: u32,
    input: *const c_void,
    input_length: u32,
    output: *mut c_void,
    output_length: u32,
    returned: *mut u32,
    overlapped: *mut OVERLAPPED,
    routine: LPWSAOVERLAPPED_COMPLETION_ROUTINE,
) -> i32 {
    let kernel = || {
        // SAFETY: the program's own arguments.
        done(unsafe {
            original::WSAIoctl(
                socket,
                code,
                input,
                input_length,
                output,
                output_length,
                returned,
                overlapped,
                routine,
            )
        })
    };
    let (asks, sets) = (output_length >= 4 && !output.is_null(), input_length >= 4 && !input.is_null());
    let serve = |found| match asked(found, code as i32).filter(|_| asks && overlapped.is_null()) {
        Some(known) => {
            // SAFETY: the program's place for it, of four bytes at least.
            unsafe { output.cast::<u32>().write_unaligned(known) };
            // SAFETY: the program's place for it, or null.
            if let Some(returned) = unsafe { returned.as_mut() } {
                *returned = 4;
            }
            Ok(())
        }
        None => {
            // SAFETY: the program's own, of four bytes at least.
            let wanted = sets.then(|| unsafe { input.cast::<u32>().read_unaligned() });
            let answered = kernel();
            if FOR_THE_DRIVER.contains(&code) {
                // Also who is refused: the socket itself may be what the driver knows. A connection that cannot go back to TCP
                // is reset, which the driver tells.
                let _ = front::leave(found, Reason::DriverAsked);
            }
            answered.inspect(|()| {
                noted(found, code as i32, wanted);
                if code == SIO_GET_EXTENSION_FUNCTION_POINTER && overlapped.is_null() {
                    // SAFETY: the kernel has just read the one and written the other.
                    unsafe { extensions::stand_before(input.cast(), output.cast()) };
                }
            })
        }
    };
    answer(tracked(socket, |found, _| serve(found)).unwrap_or_else(kernel))
}

/// What a program's SO_SNDBUF of 0 is to the kernel. With 0 each send waits for the peer, on a blocking socket in the call; with anything
/// else the kernel takes one send while it holds nothing, so that what can be written to can be written to without waiting.
static BUFFERED: i32 = 1;

/// Whether the program wants the kernel to hold nothing that is sent.
///
/// # Safety
///
/// `length` bytes can be read at `value`, or it is null.
unsafe fn is_unbuffered(level: i32, name: i32, value: *const u8, length: i32) -> bool {
    let known = level == SOL_SOCKET && name == SO_SNDBUF && length >= size_of::<i32>() as i32;
    // SAFETY: the contract.
    known && !value.is_null() && unsafe { value.cast::<i32>().read_unaligned() } == 0
}

/// # Safety
/// As setsockopt.
pub(crate) unsafe extern "system" fn setsockopt(
    socket: SOCKET,
    level: i32,
    name: i32,
    value: *const u8,
    length: i32,
) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || done(unsafe { original::setsockopt(socket, level, name, value, length) });
    // SAFETY: the program's own argument, of that length.
    let unbuffered = unsafe { is_unbuffered(level, name, value, length) };
    let serve = |found| {
        if unbuffered {
            let (value, length) = ((&raw const BUFFERED).cast(), size_of::<i32>() as i32);
            // SAFETY: exactly the value is read.
            done(unsafe { original::setsockopt(socket, level, name, value, length) })?;
        } else {
            kernel()?;
        }
        match (level, name) {
            (SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT) => {
                // SAFETY: the kernel has just read a socket there.
                connect::accepted_by(unsafe { value.cast::<SOCKET>().read_unaligned() }, found)
            }
            (SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT) => front::connected(found, Ok(())),
            _ => front::option_changed(found, level, name),
        }
        Ok(())
    };
    answer(tracked(socket, |found, _| serve(found)).unwrap_or_else(kernel))
}

/// # Safety
/// As getsockopt.
pub(crate) unsafe extern "system" fn getsockopt(
    socket: SOCKET,
    level: i32,
    name: i32,
    value: *mut u8,
    length: *mut i32,
) -> i32 {
    // SAFETY: the program's own arguments.
    let kernel = || done(unsafe { original::getsockopt(socket, level, name, value, length) });
    let serve = |found| {
        kernel()?;
        if level == SOL_SOCKET
            && name == SO_ERROR
            && let Some(error) = front::take_error(found)
        {
            // SAFETY: the kernel has just written an int there.
            unsafe { value.cast::<i32>().write_unaligned(error.raw_os_error()) };
        }
        if level == SOL_SOCKET && name == SO_SNDBUF {
            // SAFETY: as above.
            let place = unsafe { &mut *value.cast::<[u8; 4]>() };
            if *place == BUFFERED.to_ne_bytes() {
                *place = [0; 4];
            }
        }
        Ok::<(), Errno>(())
    };
    answer(tracked(socket, |found, _| serve(found)).unwrap_or_else(kernel))
}
