//! The functions of `WSPPROC_TABLE`, except for data transfer.

use core::ffi::c_int;
use core::ptr;

use wsd_spi::ffi::*;
use wsd_spi::{SOCKADDR_IN6_LEN, SockAddr};

use super::arguments::{Extras, Text};
use super::code::{Answer, Code};
use super::condition::{Asked, Decision, answering, condition};
use super::recorder::recorder;

/// A started provider's table. Calling an entry that is missing is a failure without a code.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    pub(super) procs: WSPPROC_TABLE,
}

/// Runs one call with a fresh `*lpErrno`; `returned` turns the return value into a result.
pub(super) fn call<R, T>(
    function: impl FnOnce(LPINT) -> R,
    returned: impl FnOnce(R) -> Option<Result<T, i32>>,
) -> Answer<T> {
    let mut errno: c_int = Code::UNTOUCHED;
    match returned(function(&raw mut errno)) {
        Some(Ok(value)) => Ok(value),
        Some(Err(odd)) => Err(Code::Odd(odd)),
        None => {
            let code = Code::after(errno);
            recorder().saw(code);
            Err(code)
        }
    }
}

/// 0 is success, `SOCKET_ERROR` failure, the rest wrong.
pub(super) fn zero(value: c_int) -> Option<Result<(), i32>> {
    match value {
        0 => Some(Ok(())),
        SOCKET_ERROR => None,
        odd => Some(Err(odd)),
    }
}

/// `TRUE` is success, `FALSE` failure, the rest wrong: -1 reads as true (SP-098).
pub(super) fn truth(value: BOOL) -> Option<Result<(), i32>> {
    match value {
        TRUE => Some(Ok(())),
        FALSE => None,
        odd => Some(Err(odd)),
    }
}

fn made(socket: SOCKET) -> Option<Result<usize, i32>> {
    (socket != INVALID_SOCKET).then_some(Ok(socket))
}

macro_rules! entry {
    ($self:ident.$name:ident) => {
        match $self.procs.$name {
            Some(function) => function,
            None => return Err(Code::Unset),
        }
    };
}
pub(super) use entry;

impl Table {
    pub(crate) fn new(procs: WSPPROC_TABLE) -> Self {
        Self { procs }
    }

    pub(crate) fn cleanup(&self) -> Answer<()> {
        let function = entry!(self.lpWSPCleanup);
        // SAFETY: `lpErrno` is to a local variable (module notes).
        call(|errno| unsafe { function(errno) }, zero)
    }

    pub(crate) fn socket(
        &self,
        [family, kind, protocol]: [i32; 3],
        info: Option<&WSAPROTOCOL_INFOW>,
        flags: u32,
    ) -> Answer<usize> {
        let function = entry!(self.lpWSPSocket);
        let mut info = info.copied();
        let info = info.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        // SAFETY: pointers are NULL or to local variables (module notes).
        call(|errno| unsafe { function(family, kind, protocol, info, 0, flags, errno) }, made)
    }

    pub(crate) fn close(&self, s: usize) -> Answer<()> {
        let function = entry!(self.lpWSPCloseSocket);
        // SAFETY: `lpErrno` is to a local variable (module notes).
        call(|errno| unsafe { function(s, errno) }, zero)
    }

    pub(crate) fn bind(&self, s: usize, name: Text<'_>) -> Answer<()> {
        let function = entry!(self.lpWSPBind);
        // SAFETY: the name is NULL or has at least the stated length (module notes).
        call(|errno| unsafe { function(s, name.pointer().cast(), name.stated, errno) }, zero)
    }

    pub(crate) fn connect(&self, s: usize, name: Text<'_>, extras: &Extras) -> Answer<()> {
        let function = entry!(self.lpWSPConnect);
        let mut data = extras.caller_data.clone();
        let mut data =
            data.as_mut().map(|bytes| WSABUF { len: bytes.len() as u32, buf: bytes.as_mut_ptr().cast() });
        let data = data.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        let mut qos = extras.qos;
        let qos = qos.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        call(
            // SAFETY: pointers are NULL or to local variables; the name has at least the stated length (module notes).
            |errno| unsafe {
                function(
                    s,
                    name.pointer().cast(),
                    name.stated,
                    data,
                    ptr::null_mut(),
                    qos,
                    ptr::null_mut(),
                    errno,
                )
            },
            zero,
        )
    }

    pub(crate) fn listen(&self, s: usize, backlog: i32) -> Answer<()> {
        let function = entry!(self.lpWSPListen);
        // SAFETY: `lpErrno` is to a local variable (module notes).
        call(|errno| unsafe { function(s, backlog, errno) }, zero)
    }

    /// `WSPAccept` with an address buffer of `room` bytes: the new socket, the peer's address as written, and how the
    /// condition function was asked. `during` runs inside the condition function.
    pub(crate) fn accept(
        &self,
        s: usize,
        room: i32,
        decision: Decision,
        callback_data: usize,
        during: Option<Box<dyn FnOnce()>>,
    ) -> (Answer<(usize, Vec<u8>)>, Vec<Asked>) {
        let Some(function) = self.procs.lpWSPAccept else { return (Err(Code::Unset), Vec::new()) };
        let mut address = [0u8; SOCKADDR_IN6_LEN];
        let mut length = room.min(SOCKADDR_IN6_LEN as i32);
        let (accepted, asked) = answering(decision, during, || {
            // SAFETY: the address buffer has at least the stated length (module notes).
            let accept = |errno| unsafe {
                function(
                    s,
                    address.as_mut_ptr().cast(),
                    &raw mut length,
                    Some(condition),
                    callback_data,
                    errno,
                )
            };
            call(accept, made)
        });
        let written = usize::try_from(length).unwrap_or(0).min(SOCKADDR_IN6_LEN);
        (accepted.map(|socket| (socket, address[..written].to_vec())), asked)
    }

    /// `WSPAccept` with NULL for everything that may be NULL in generic Winsock.
    pub(crate) fn accept_without_condition(&self, s: usize) -> Answer<usize> {
        let function = entry!(self.lpWSPAccept);
        // SAFETY: pointers are NULL (module notes).
        call(|errno| unsafe { function(s, ptr::null_mut(), ptr::null_mut(), None, 0, errno) }, made)
    }

    pub(crate) fn event_select(&self, s: usize, event: usize, mask: i32) -> Answer<()> {
        let function = entry!(self.lpWSPEventSelect);
        let event: WSAEVENT = ptr::without_provenance_mut(event);
        // SAFETY: an event is only a number to a provider (module notes).
        call(|errno| unsafe { function(s, event, mask, errno) }, zero)
    }

    /// `WSPEnumNetworkEvents`: the record as written over a pattern of 0x55 bytes in the error codes.
    pub(crate) fn enum_network_events(&self, s: usize, event: usize) -> Answer<WSANETWORKEVENTS> {
        let function = entry!(self.lpWSPEnumNetworkEvents);
        let event: WSAEVENT = ptr::without_provenance_mut(event);
        let mut record = WSANETWORKEVENTS { lNetworkEvents: 0, iErrorCode: [UNWRITTEN; 10] };
        // SAFETY: the record is a local variable (module notes).
        call(|errno| unsafe { function(s, event, &raw mut record, errno) }, zero)?;
        Ok(record)
    }

    /// `WSPEnumNetworkEvents` with NULL for the record.
    pub(crate) fn enum_without_record(&self, s: usize) -> Answer<()> {
        let function = entry!(self.lpWSPEnumNetworkEvents);
        // SAFETY: pointers are NULL (module notes).
        call(|errno| unsafe { function(s, ptr::null_mut(), ptr::null_mut(), errno) }, zero)
    }

    pub(crate) fn set_option(&self, s: usize, level: i32, name: i32, value: Text<'_>) -> Answer<()> {
        let function = entry!(self.lpWSPSetSockOpt);
        // SAFETY: the value is NULL or has at least the stated length (module notes).
        call(
            |errno| unsafe {
                function(s, level, name, value.pointer().cast_mut().cast(), value.stated, errno)
            },
            zero,
        )
    }

    /// `WSPGetSockOpt` with a buffer of `room` bytes (`None`: NULL and length 4): the value, or the code and the
    /// length that was asked for.
    pub(crate) fn get_option(
        &self,
        s: usize,
        level: i32,
        name: i32,
        room: Option<usize>,
    ) -> Result<Vec<u8>, (Code, i32)> {
        let Some(function) = self.procs.lpWSPGetSockOpt else { return Err((Code::Unset, 0)) };
        let mut value = vec![0u8; room.unwrap_or(0)];
        let mut length = room.map_or(4, |room| room as i32);
        let pointer = if room.is_some() { value.as_mut_ptr() } else { ptr::null_mut() };
        // SAFETY: the buffer is NULL or has the stated length (module notes).
        let got =
            call(|errno| unsafe { function(s, level, name, pointer.cast(), &raw mut length, errno) }, zero);
        got.map_err(|code| (code, length))?;
        value.truncate(usize::try_from(length).unwrap_or(0));
        Ok(value)
    }

    /// `WSPIoctl` with an output buffer of `room` bytes: what was written, or the code and `*lpcbBytesReturned`.
    pub(crate) fn ioctl(
        &self,
        s: usize,
        code: u32,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<u32, (Code, u32)> {
        let Some(function) = self.procs.lpWSPIoctl else { return Err((Code::Unset, 0)) };
        let mut returned = 0u32;
        let (into, room) = (output.as_mut_ptr(), output.len() as u32);
        let into = if room == 0 { ptr::null_mut() } else { into };
        let done = call(
            // SAFETY: both buffers have the stated lengths (module notes).
            |errno| unsafe {
                function(
                    s,
                    code,
                    input.as_ptr().cast_mut().cast(),
                    input.len() as u32,
                    into.cast(),
                    room,
                    &raw mut returned,
                    ptr::null_mut(),
                    None,
                    ptr::null_mut(),
                    errno,
                )
            },
            zero,
        );
        done.map(|()| returned).map_err(|code| (code, returned))
    }

    /// `WSPGetQOSByName`: whether it found the template, and the structure.
    pub(crate) fn get_qos_by_name(&self, s: usize, name: &mut [u16]) -> Answer<QOS> {
        let function = entry!(self.lpWSPGetQOSByName);
        let mut buffer = WSABUF { len: size_of_val(name) as u32, buf: name.as_mut_ptr().cast() };
        let mut qos = QOS::zeroed();
        // SAFETY: both pointers are to local variables, the name has its length (module notes).
        call(|errno| unsafe { function(s, &raw mut buffer, &raw mut qos, errno) }, truth)?;
        Ok(qos)
    }

    /// `WSPDuplicateSocket`: `dwProviderReserved`.
    pub(crate) fn duplicate(&self, s: usize, process: u32) -> Answer<u32> {
        let function = entry!(self.lpWSPDuplicateSocket);
        let mut info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
        // SAFETY: the structure is a local variable (module notes).
        call(|errno| unsafe { function(s, process, &raw mut info, errno) }, zero)?;
        Ok(info.dwProviderReserved)
    }

    /// `WSPDuplicateSocket` with NULL for the structure.
    pub(crate) fn duplicate_into_null(&self, s: usize) -> Answer<()> {
        let function = entry!(self.lpWSPDuplicateSocket);
        // SAFETY: the pointer is NULL (module notes).
        call(|errno| unsafe { function(s, 1, ptr::null_mut(), errno) }, zero)
    }

    /// `SIO_ADDRESS_LIST_QUERY`: the list as bytes, and the addresses that its pointers lead to. Pointers that do not
    /// lead into the buffer are not followed.
    pub(crate) fn address_list(&self, s: usize, room: usize) -> Result<AddressList, (Code, u32)> {
        // Words, so that the list is aligned.
        let mut words = vec![0u64; room.div_ceil(8)];
        // SAFETY: the words have at least that many bytes.
        let output = unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast::<u8>(), room) };
        let start = output.as_ptr().addr();
        let written = self.ioctl(s, SIO_ADDRESS_LIST_QUERY, &[], output)?;
        let count = output.first_chunk().map_or(0, |count| i32::from_ne_bytes(*count));
        let mut entries = Vec::new();
        for n in 0..usize::try_from(count).unwrap_or(0) {
            let entry = output.get(8 + 16 * n..8 + 16 * n + 12);
            let pointer = entry.and_then(<[u8]>::first_chunk).map(|bytes| usize::from_ne_bytes(*bytes));
            let length = entry.and_then(<[u8]>::last_chunk).map(|bytes| i32::from_ne_bytes(*bytes));
            let (Some(pointer), Some(length)) = (pointer, length) else { break };
            let offset = pointer.wrapping_sub(start);
            let bytes = usize::try_from(length)
                .ok()
                .and_then(|length| output.get(offset..offset.checked_add(length)?));
            entries.push((length, bytes.and_then(|bytes| SockAddr::decode(bytes).ok())));
        }
        Ok(AddressList { count, written, entries })
    }
}

/// Answer to an address list query.
#[derive(Debug)]
pub(crate) struct AddressList {
    pub(crate) count: i32,
    /// `*lpcbBytesReturned`.
    pub(crate) written: u32,
    /// Stated length, and the address if it lies in the buffer and is one.
    pub(crate) entries: Vec<(i32, Option<SockAddr>)>,
}

/// What the error codes of a record of events hold before the provider writes them.
pub(crate) const UNWRITTEN: i32 = 0x5555_5555;
