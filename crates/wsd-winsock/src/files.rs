//! Files' functions for reading and writing, of sockets.

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::Networking::WinSock::{SOCKET, WSA_IO_PENDING, WSABUF};
use windows_sys::Win32::Storage::FileSystem::FILE_SEGMENT_ELEMENT;
use windows_sys::Win32::System::IO::{LPOVERLAPPED_COMPLETION_ROUTINE, OVERLAPPED};
use windows_sys::core::BOOL;
use wsd_os::Errno;
use wsd_switch::front::Way;

use crate::data::{recv_tracked, send_tracked};
use crate::extensions::leave;
use crate::messages::{sources, targets, told};
use crate::notice::Routine;
use crate::original;
use crate::overlapped::Transfer;
use crate::result::{answer_bool, succeeded, tracked};

/// ReadFile or WriteFile of a socket, to complete later. `None`: it is not tracked.
///
/// # Safety
/// As ReadFile, for [`Way::Receive`], or WriteFile.
unsafe fn file_operation(
    socket: SOCKET,
    way: Way,
    data: *mut u8,
    length: u32,
    moved: *mut u32,
    overlapped: *mut OVERLAPPED,
) -> Option<BOOL> {
    let buffer = WSABUF { len: length, buf: data };
    let begin = |found| {
        // SAFETY: the contract: the memory is the operation's until it is over. The buffer's description is read at once.
        unsafe { Transfer::new(found, way, &raw const buffer, 1, 0, overlapped, Routine::File(None)) }
            .and_then(|transfer| transfer.begin(found))
    };
    // SAFETY: the program's place for it.
    tracked(socket, |found, _| answer_bool(begin(found).map(|bytes| unsafe { told(moved, bytes) })))
}

/// # Safety
/// As ReadFile.
pub(crate) unsafe extern "system" fn read_file(
    file: HANDLE,
    data: *mut u8,
    length: u32,
    read: *mut u32,
    overlapped: *mut OVERLAPPED,
) -> BOOL {
    let socket = file as SOCKET;
    // SAFETY: the program's own arguments.
    let kernel = |read| unsafe { original::ReadFile(file, data, length, read, overlapped) };
    if !overlapped.is_null() {
        // SAFETY: the program's own arguments.
        let begun = unsafe { file_operation(socket, Way::Receive, data, length, read, overlapped) };
        return begun.unwrap_or_else(|| kernel(read));
    }
    let by_kernel = || {
        let mut bytes = 0;
        succeeded(kernel(&raw mut bytes)).map(|()| bytes as usize)
    };
    let buffer = WSABUF { len: length, buf: data };
    let serve = |found| {
        // SAFETY: the program's buffer.
        unsafe { targets(&raw const buffer, 1) }
            .and_then(|mut data| recv_tracked(found, &mut data, 0, by_kernel))
    };
    // SAFETY: the program's place for it.
    let served =
        tracked(socket, |found, _| answer_bool(serve(found).map(|bytes| unsafe { told(read, bytes) })));
    served.unwrap_or_else(|| kernel(read))
}

/// # Safety
/// As WriteFile.
pub(crate) unsafe extern "system" fn write_file(
    file: HANDLE,
    data: *const u8,
    length: u32,
    written: *mut u32,
    overlapped: *mut OVERLAPPED,
) -> BOOL {
    let socket = file as SOCKET;
    // SAFETY: the program's own arguments.
    let kernel = |written| unsafe { original::WriteFile(file, data, length, written, overlapped) };
    if !overlapped.is_null() {
        // SAFETY: the program's own arguments.
        let begun =
            unsafe { file_operation(socket, Way::Send, data.cast_mut(), length, written, overlapped) };
        return begun.unwrap_or_else(|| kernel(written));
    }
    let by_kernel = || {
        let mut bytes = 0;
        succeeded(kernel(&raw mut bytes)).map(|()| bytes as usize)
    };
    let buffer = WSABUF { len: length, buf: data.cast_mut() };
    let serve = |found| {
        // SAFETY: the program's buffer.
        unsafe { sources(&raw const buffer, 1) }.and_then(|data| send_tracked(found, &data, 0, by_kernel))
    };
    // SAFETY: the program's place for it.
    let served =
        tracked(socket, |found, _| answer_bool(serve(found).map(|bytes| unsafe { told(written, bytes) })));
    served.unwrap_or_else(|| kernel(written))
}

/// ReadFileEx or WriteFileEx of a socket. `None`: it is not tracked.
///
/// # Safety
/// As ReadFileEx, for [`Way::Receive`], or WriteFileEx.
unsafe fn with_routine(
    file: HANDLE,
    way: Way,
    data: *mut u8,
    length: u32,
    overlapped: *mut OVERLAPPED,
    routine: LPOVERLAPPED_COMPLETION_ROUTINE,
) -> Option<BOOL> {
    let buffer = WSABUF { len: length, buf: data };
    let begin = |found| {
        // SAFETY: the contract: the memory is the operation's until it is over. The buffer's description is read at once.
        let transfer = unsafe {
            let routine = Routine::File(routine);
            Transfer::new(found, way, &raw const buffer, 1, 0, overlapped, routine)
        };
        // That it is pending is success here.
        match transfer.and_then(|transfer| transfer.begin(found)) {
            Ok(_) | Err(Errno::Winsock(WSA_IO_PENDING)) => Ok(()),
            Err(error) => Err(error),
        }
    };
    tracked(file as SOCKET, |found, _| answer_bool(begin(found)))
}

/// # Safety
/// As ReadFileEx.
pub(crate) unsafe extern "system" fn read_file_ex(
    file: HANDLE,
    data: *mut u8,
    length: u32,
    overlapped: *mut OVERLAPPED,
    routine: LPOVERLAPPED_COMPLETION_ROUTINE,
) -> BOOL {
    // SAFETY: the program's own arguments.
    unsafe {
        with_routine(file, Way::Receive, data, length, overlapped, routine)
            .unwrap_or_else(|| original::ReadFileEx(file, data, length, overlapped, routine))
    }
}

/// # Safety
/// As WriteFileEx.
pub(crate) unsafe extern "system" fn write_file_ex(
    file: HANDLE,
    data: *const u8,
    length: u32,
    overlapped: *mut OVERLAPPED,
    routine: LPOVERLAPPED_COMPLETION_ROUTINE,
) -> BOOL {
    // SAFETY: the program's own arguments.
    unsafe {
        with_routine(file, Way::Send, data.cast_mut(), length, overlapped, routine)
            .unwrap_or_else(|| original::WriteFileEx(file, data, length, overlapped, routine))
    }
}

/// # Safety
/// As ReadFileScatter, which is for files; what it moves of a socket is not counted.
pub(crate) unsafe extern "system" fn read_file_scatter(
    file: HANDLE,
    pieces: *const FILE_SEGMENT_ELEMENT,
    length: u32,
    reserved: *const u32,
    overlapped: *mut OVERLAPPED,
) -> BOOL {
    leave(file as SOCKET);
    // SAFETY: the program's own arguments.
    unsafe { original::ReadFileScatter(file, pieces, length, reserved, overlapped) }
}

/// # Safety
/// As WriteFileGather, which is for files; what it moves of a socket is not counted.
pub(crate) unsafe extern "system" fn write_file_gather(
    file: HANDLE,
    pieces: *const FILE_SEGMENT_ELEMENT,
    length: u32,
    reserved: *const u32,
    overlapped: *mut OVERLAPPED,
) -> BOOL {
    leave(file as SOCKET);
    // SAFETY: the program's own arguments.
    unsafe { original::WriteFileGather(file, pieces, length, reserved, overlapped) }
}
