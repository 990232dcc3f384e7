//! The provider that does the work, called as any switch would call it.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wsd_spi::client::{Provider, San, UpCallHandler};
use wsd_spi::ffi::WSAPROTOCOL_INFOW;
use wsd_spi::provider::UpCalls;
use wsd_spi::{Event, SwitchSocket, WsaError};

use crate::operations::Operations;

/// Where the inner provider is, if not beside this library.
const VARIABLE: &str = "WSD_FAULTY_INNER";
/// Its library.
const LIBRARY: &str = "libwsd_shm.so";

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the inner provider. Its events go straight to the switch, its completions to `operations`.
///
/// # Errors
/// `WSAEPROVIDERFAILEDINIT`, and a line on standard error that says why.
pub(crate) fn start(
    version: u16,
    info: &WSAPROTOCOL_INFOW,
    upcalls: UpCalls,
    operations: Arc<Operations>,
) -> Result<San, WsaError> {
    let handler = Arc::new(Handler { upcalls, operations });
    let tell = |what: String| {
        eprintln!("wsd-faulty: {what}");
        WsaError::WSAEPROVIDERFAILEDINIT
    };
    let provider = Provider::load(library()).map_err(|error| tell(error.to_string()))?;
    provider.startup(version, info, handler, None).map_err(|error| tell(error.to_string()))
}

fn library() -> PathBuf {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return path.into();
    }
    own_path().map_or_else(|| LIBRARY.into(), |path| path.with_file_name(LIBRARY))
}

/// The file that this code was loaded from.
fn own_path() -> Option<PathBuf> {
    let mut found = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: any address may be asked for; the structure is a local variable.
    let known = unsafe { libc::dladdr(own_path as *const libc::c_void, &raw mut found) };
    if known == 0 || found.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr gives a string that lives as long as the library is loaded.
    let name = unsafe { CStr::from_ptr(found.dli_fname) };
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

/// What the inner provider calls up. Its handles are the switch's: a switch that gives none is noticed before the peer of
/// an accepted connection is told anything (SP-077).
struct Handler {
    upcalls: UpCalls,
    operations: Arc<Operations>,
}

impl UpCallHandler for Handler {
    fn create_socket_handle(&self, _: u32, context: usize) -> Result<SwitchSocket, WsaError> {
        self.operations.open(context)
    }

    fn close_socket_handle(&self, handle: SwitchSocket) -> Result<(), WsaError> {
        self.operations.close(handle)
    }

    fn query_socket_handle_context(&self, handle: SwitchSocket) -> Result<usize, WsaError> {
        self.upcalls.query_context(handle)
    }

    fn set_event(&self, event: Event) -> Result<(), WsaError> {
        self.upcalls.set_event(event)
    }

    fn reset_event(&self, event: Event) -> Result<(), WsaError> {
        self.upcalls.reset_event(event)
    }

    fn complete(&self, _: SwitchSocket, key: u64, status: Result<(), WsaError>, bytes: u32) {
        self.operations.part_done(key, status, bytes);
    }
}
