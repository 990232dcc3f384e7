//! Operations are taken back.

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::core::BOOL;
use wsd_os::thread::{self, Inside};
use wsd_switch::front::{self, Which};

use crate::result::number;
use crate::{original, staged};

/// # Safety
/// As CancelIoEx.
pub(crate) unsafe extern "system" fn cancel_ex(file: HANDLE, overlapped: *const OVERLAPPED) -> BOOL {
    let which = if overlapped.is_null() { Which::All } else { Which::Key(overlapped as usize) };
    let found = take_back(file, which);
    // SAFETY: the program's own arguments.
    let by_system = || unsafe { original::CancelIoEx(file, overlapped) };
    match which {
        Which::Key(_) if found => 1,
        // The system may have some of them; that it has none is no error then.
        _ => BOOL::from(by_system() != 0 || found),
    }
}

/// # Safety
/// As CancelIo, which means the calling thread's operations.
pub(crate) unsafe extern "system" fn cancel(file: HANDLE) -> BOOL {
    take_back(file, Which::Thread(thread::tid()));
    // SAFETY: the program's own argument.
    unsafe { original::CancelIo(file) }
}

/// Whether the switch had some.
fn take_back(file: HANDLE, which: Which) -> bool {
    let Some(socket) = front::find(number(file as usize)) else { return false };
    let cancel = || staged::cancel(socket.descriptor(), which) + front::cancel(socket, which);
    Inside::enter().is_some_and(|_inside| cancel() != 0)
}
