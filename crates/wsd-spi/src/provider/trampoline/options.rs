//! Doors of options and of quality of service.

use core::ffi::{c_char, c_int};

use super::{answer, bytes, descriptor, output, status, store};
use crate::error::WsaError;
use crate::ffi::{BOOL, DWORD, FALSE, LPCSTR, LPINT, LPQOS, LPWSABUF, SOCKET, TRUE};
use crate::provider::{Instance, Qos, SanProvider};

/// Longest option value that is read, in bytes; a longer one is a wrong length for every option.
const LONGEST_OPTION: usize = 4096;

/// `WSPSetSockOpt` (section 6.5).
pub(super) unsafe extern "system" fn set_sock_opt<I: Instance>(
    s: SOCKET,
    level: c_int,
    optname: c_int,
    optval: LPCSTR,
    optlen: c_int,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: all pointers are as the SPI says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            let length = usize::try_from(optlen).map_err(|_| WsaError::WSAEFAULT)?;
            if optval.is_null() || length > LONGEST_OPTION {
                return Err(WsaError::WSAEFAULT);
            }
            let value = bytes(optval.cast(), length)?;
            started.provider.set_option(s, level, optname, &value)
        })
    }
}

/// `WSPGetSockOpt` (section 6.5): stores the needed size if the buffer is too small (SP-051).
pub(super) unsafe extern "system" fn get_sock_opt<I: Instance>(
    s: SOCKET,
    level: c_int,
    optname: c_int,
    optval: *mut c_char,
    optlen: LPINT,
    lpErrno: LPINT,
) -> c_int {
    // SAFETY: all pointers are as the SPI says.
    unsafe {
        status::<I>(lpErrno, |started| {
            let s = descriptor(s)?;
            if optlen.is_null() {
                return Err(WsaError::WSAEFAULT);
            }
            let room = usize::try_from(optlen.read_unaligned()).unwrap_or(0);
            let value = started.provider.get_option(s, level, optname)?;
            output(&value, optval.cast(), room, optlen.cast::<DWORD>())
        })
    }
}

/// `WSPGetQOSByName` (section 6.15). The provider is asked first, since without QoS the answer is `WSAEOPNOTSUPP`
/// whatever the arguments.
pub(super) unsafe extern "system" fn get_qos_by_name<I: Instance>(
    s: SOCKET,
    lpQOSName: LPWSABUF,
    lpQOS: LPQOS,
    lpErrno: LPINT,
) -> BOOL {
    // SAFETY: all pointers are as the SPI says.
    unsafe {
        answer::<I, _>(FALSE, lpErrno, |started| {
            let s = descriptor(s)?;
            let name = if lpQOSName.is_null() { None } else { Some(lpQOSName.read_unaligned()) };
            let text = match name {
                Some(name) => utf16(&bytes(name.buf.cast(), name.len as usize)?),
                None => Vec::new(),
            };
            match started.provider.get_qos_by_name(s, &text)? {
                Qos::Template(_) if lpQOS.is_null() => return Err(WsaError::WSAEFAULT),
                Qos::Template(qos) => store(lpQOS, qos),
                Qos::Names(names) => {
                    let name = name.ok_or(WsaError::WSAEFAULT)?;
                    let list: Vec<u8> = names.iter().flat_map(|unit| unit.to_ne_bytes()).collect();
                    let mut written = 0;
                    output(&list, name.buf.cast(), name.len as usize, &raw mut written)?;
                    (&raw mut (*lpQOSName).len).write_unaligned(written);
                }
            }
            Ok(TRUE)
        })
    }
}

/// UTF-16 text up to its NUL.
fn utf16(bytes: &[u8]) -> Vec<u16> {
    bytes
        .chunks_exact(2)
        .map(|pair| u16::from_ne_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0)
        .collect()
}
