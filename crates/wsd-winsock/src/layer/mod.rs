//! The switch as a layered provider of Winsock's catalogue, which gives programs the handles of the provider below: Winsock calls the
//! functions of a table, which ask the switch as hooks do; `original` leads to the provider below.

pub(crate) mod below;
mod call;
mod lower;
mod table;

use windows_sys::Win32::Networking::WinSock::{
    WSAEFAULT, WSAPROTOCOL_INFOW, WSAVERNOTSUPPORTED, WSPDATA, WSPPROC_TABLE, WSPUPCALLTABLE,
};

const VERSION: u16 = 0x0202;

/// What Winsock calls first, for each chain of the catalogue.
///
/// # Safety
///
/// As WSPStartup.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "Winsock's name for it")]
unsafe extern "system" fn WSPStartup(
    version: u16,
    data: *mut WSPDATA,
    entry: *const WSAPROTOCOL_INFOW,
    upcalls: WSPUPCALLTABLE,
    table: *mut WSPPROC_TABLE,
) -> i32 {
    // The newest version comes in the lower byte first.
    if version.swap_bytes() < VERSION {
        return WSAVERNOTSUPPORTED;
    }
    // SAFETY: Winsock's own, or null.
    let (Some(entry), false, false) = (unsafe { entry.as_ref() }, data.is_null(), table.is_null()) else {
        return WSAEFAULT;
    };
    match lower::start(entry, &upcalls) {
        Ok(started) => {
            // SAFETY: Winsock's places for them.
            unsafe {
                data.write(started.data);
                table.write(started.table);
            }
            0
        }
        Err(error) => error,
    }
}
