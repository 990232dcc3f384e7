//! Options, control codes, quality of service.

use core::ffi::c_int;
use core::mem::offset_of;
use core::ptr;

use super::socket::Socket;
use super::table::zero;
use super::tracer::trace;
use crate::address::SockAddr;
use crate::error::WsaError;
use crate::ffi::{
    FALSE, QOS, SIO_ADDRESS_LIST_QUERY, SOCKET_ADDRESS, SOCKET_ADDRESS_LIST, SOL_SOCKET, WSABUF,
};

/// Most bytes of an address list: no provider serves that many addresses.
const LONGEST_LIST: usize = 1 << 20;

impl Socket {
    /// `WSPSetSockOpt`.
    ///
    /// # Errors
    /// Section 6.5.
    pub fn set_option(&self, level: i32, name: i32, value: &[u8]) -> Result<(), WsaError> {
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; the value has the given length; `errno` is valid.
        let result = unsafe {
            (self.inner.functions().set_sock_opt)(
                self.inner.open()?,
                level,
                name,
                value.as_ptr().cast(),
                c_int::try_from(value.len()).map_err(|_| WsaError::WSAEFAULT)?,
                &raw mut errno,
            )
        };
        let result = zero(result, errno);
        trace!(
            &self.inner.san.tracer,
            "WSPSetSockOpt",
            result,
            "{:?}, level={level:#x}, option={name:#x}, {value:02x?}",
            self.inner.descriptor
        );
        result
    }

    /// `WSPGetSockOpt` with a buffer of `room` bytes.
    ///
    /// # Errors
    /// Section 6.5; `WSAEFAULT` if the value is longer.
    pub fn get_option(&self, level: i32, name: i32, room: usize) -> Result<Vec<u8>, WsaError> {
        let mut value = vec![0u8; room];
        let mut length = c_int::try_from(room).map_err(|_| WsaError::WSAEFAULT)?;
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; the buffer has the given length; `errno` is valid.
        let result = unsafe {
            (self.inner.functions().get_sock_opt)(
                self.inner.open()?,
                level,
                name,
                value.as_mut_ptr().cast(),
                &raw mut length,
                &raw mut errno,
            )
        };
        let result = zero(result, errno).and_then(|()| {
            // More than there was room for cannot have been written.
            let length = usize::try_from(length).ok().filter(|length| *length <= room);
            value.truncate(length.ok_or(WsaError::WSAEFAULT)?);
            Ok(value)
        });
        trace!(
            &self.inner.san.tracer,
            "WSPGetSockOpt", result, "{:?}, level={level:#x}, option={name:#x}", self.inner.descriptor
        );
        result
    }

    /// `WSPGetSockOpt` of a 32-bit option at level `SOL_SOCKET`, such as `SO_MAX_MSG_SIZE`.
    ///
    /// # Errors
    /// Section 6.5; `WSAEFAULT` if the value has another length.
    pub fn get_option_u32(&self, name: i32) -> Result<u32, WsaError> {
        let value = self.get_option(SOL_SOCKET, name, size_of::<u32>())?;
        value.try_into().map(u32::from_ne_bytes).map_err(|_| WsaError::WSAEFAULT)
    }

    /// `WSPIoctl` with an output buffer of `room` bytes.
    ///
    /// # Errors
    /// Section 6.14.
    pub fn ioctl(&self, code: u32, input: &[u8], room: usize) -> Result<Vec<u8>, WsaError> {
        let mut buffer = OutputBuffer::new(room);
        let result = self.raw_ioctl(code, input, &mut buffer);
        result.map(|written| buffer.bytes()[..written.min(room)].to_vec()).map_err(|(error, _)| error)
    }

    /// `WSPIoctl(SIO_ADDRESS_LIST_QUERY)`: the addresses that the provider serves on this host as of now (SP-102,
    /// SP-103). Asks for the size first.
    ///
    /// # Errors
    /// `WSAEFAULT` if the provider's list makes no sense, and section 6.14.
    pub fn address_list(&self) -> Result<Vec<SockAddr>, WsaError> {
        let mut room = 0;
        for _ in 0..8 {
            let mut buffer = OutputBuffer::new(room);
            match self.raw_ioctl(SIO_ADDRESS_LIST_QUERY, &[], &mut buffer) {
                Ok(written) => {
                    let base = buffer.start().addr();
                    return decode_address_list(&buffer.bytes()[..written.min(room)], base)
                        .ok_or(WsaError::WSAEFAULT);
                }
                Err((WsaError::WSAEFAULT, needed)) if (room + 1..=LONGEST_LIST).contains(&needed) => {
                    room = needed;
                }
                Err((error, _)) => return Err(error),
            }
        }
        Err(WsaError::WSAEFAULT)
    }

    /// The number of bytes written, or the error with the number of bytes needed.
    fn raw_ioctl(
        &self,
        code: u32,
        input: &[u8],
        output: &mut OutputBuffer,
    ) -> Result<usize, (WsaError, usize)> {
        let plain = |error| (error, 0);
        let (mut written, mut errno) = (0, 0);
        let input_length = u32::try_from(input.len()).map_err(|_| plain(WsaError::WSAEFAULT))?;
        let output_length = u32::try_from(output.room).map_err(|_| plain(WsaError::WSAEFAULT))?;
        // SAFETY: the entry is of a started provider; both buffers have the given lengths, and the input is only
        // read; the others are local variables.
        let result = unsafe {
            (self.inner.functions().ioctl)(
                self.inner.open().map_err(plain)?,
                code,
                input.as_ptr().cast_mut().cast(),
                input_length,
                output.start().cast(),
                output_length,
                &raw mut written,
                ptr::null_mut(),
                None,
                ptr::null_mut(),
                &raw mut errno,
            )
        };
        let result = zero(result, errno).map(|()| written);
        trace!(
            &self.inner.san.tracer,
            "WSPIoctl",
            result,
            "{:?}, code={code:#x}, in={input_length}, out={output_length}",
            self.inner.descriptor
        );
        result.map(|written| written as usize).map_err(|error| (error, written as usize))
    }

    /// `WSPGetQOSByName`: the template with that name.
    ///
    /// # Errors
    /// Section 6.15; `WSAEOPNOTSUPP` without QoS.
    pub fn get_qos_by_name(&self, name: &str) -> Result<QOS, WsaError> {
        let mut text: Vec<u16> = name.encode_utf16().chain([0]).collect();
        let mut name_buffer = WSABUF { len: (text.len() * 2) as u32, buf: text.as_mut_ptr().cast() };
        let mut qos = QOS::zeroed();
        let mut errno = 0;
        // SAFETY: the entry is of a started provider; the name has the given length; the others are local variables.
        let result = unsafe {
            (self.inner.functions().get_qos_by_name)(
                self.inner.open()?,
                &raw mut name_buffer,
                &raw mut qos,
                &raw mut errno,
            )
        };
        let result = if result == FALSE { Err(WsaError::reported(errno)) } else { Ok(()) };
        trace!(&self.inner.san.tracer, "WSPGetQOSByName", result, "{:?}, {name:?}", self.inner.descriptor);
        result.map(|()| qos)
    }
}

/// Room for output, aligned for pointers.
struct OutputBuffer {
    words: Vec<u64>,
    room: usize,
}

impl OutputBuffer {
    fn new(room: usize) -> Self {
        Self { words: vec![0; room.div_ceil(8)], room }
    }

    fn start(&mut self) -> *mut u8 {
        self.words.as_mut_ptr().cast()
    }

    fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_ne_bytes()).take(self.room).collect()
    }
}

/// Reads a `SOCKET_ADDRESS_LIST` that was written to a buffer at `base`. `None` if it is cut short or points outside
/// of the buffer.
fn decode_address_list(bytes: &[u8], base: usize) -> Option<Vec<SockAddr>> {
    let entries = offset_of!(SOCKET_ADDRESS_LIST, Address);
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let count = usize::try_from(i32::from_ne_bytes(bytes.get(0..4)?.try_into().ok()?)).ok()?;
    (0..count)
        .map(|index| {
            let entry = bytes.get(entries + index * size_of::<SOCKET_ADDRESS>()..)?;
            let pointer = usize::from_ne_bytes(entry.get(0..8)?.try_into().ok()?);
            let at = offset_of!(SOCKET_ADDRESS, iSockaddrLength);
            let length = usize::try_from(i32::from_ne_bytes(entry.get(at..at + 4)?.try_into().ok()?)).ok()?;
            let start = pointer.checked_sub(base)?;
            SockAddr::decode(bytes.get(start..start.checked_add(length)?)?).ok()
        })
        .collect()
}
