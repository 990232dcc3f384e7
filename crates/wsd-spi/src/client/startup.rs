//! Starting a provider and checking what it hands over.

use std::sync::Arc;

use super::operation::reap;
use super::san::{San, Started};
use super::table::{ExtensionTable, Functions, Table};
use super::tracer::{Tracer, trace};
use super::upcalls::{UpCallHandler, UpCallTable};
use crate::SPI_VERSION;
use crate::error::WsaError;
use crate::ffi::{LPWSPSTARTUPEX, WSAPROTOCOL_INFOW, WSPDATA, WSPPROC_TABLE};

/// Why a provider is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartupError {
    /// `WSPStartupEx` failed.
    #[error("WSPStartupEx: {0}")]
    Refused(WsaError),
    /// The provider wants to speak another version of the SPI.
    #[error("the provider speaks version {0:#06x} of the interface")]
    Version(u16),
    /// A required entry of the table is missing (SP-001).
    #[error("the table of functions has no {0}")]
    MissingEntry(&'static str),
    /// A mandatory extension function is missing (SW-022).
    #[error("no {0}: {1}")]
    MissingExtension(&'static str, WsaError),
    /// The provider is running with another handler.
    #[error("the provider has been started with another up-call handler")]
    AlreadyStarted,
    /// Too many providers are running.
    #[error("too many providers")]
    TooMany,
}

/// See [`Provider::startup`](super::Provider::startup).
pub(super) fn start(
    name: &Arc<str>,
    entry: LPWSPSTARTUPEX,
    version: u16,
    protocol_info: &WSAPROTOCOL_INFOW,
    handler: Arc<dyn UpCallHandler>,
    tracer: Option<Arc<dyn Tracer>>,
) -> Result<San, StartupError> {
    reap();
    let upcalls = UpCallTable::for_provider(entry, handler, tracer.clone())?;
    let mut upcall_table = *upcalls.table();
    let mut data = WSPDATA::zeroed();
    let mut info = *protocol_info;
    let mut procs = WSPPROC_TABLE::empty();
    // SAFETY: all pointers are to local variables; the functions of the up-call table live as long as the process;
    // the code behind `entry` stays loaded (see `Provider`).
    let code = unsafe { entry(version, &raw mut data, &raw mut info, &raw mut upcall_table, &raw mut procs) };
    let result = WsaError::result_of(code);
    let WSAPROTOCOL_INFOW { iAddressFamily: family, iSocketType: kind, iProtocol: protocol, .. } =
        *protocol_info;
    trace!(
        &tracer,
        "WSPStartupEx",
        result,
        "version={version:#06x}, af={family}, type={kind}, protocol={protocol}, provider={name}"
    );
    result.map_err(StartupError::Refused)?;

    match check(&data, procs, &tracer) {
        Ok(table) => Ok(San::new(Started {
            name: name.clone(),
            data,
            table,
            tracer,
            armed: false.into(),
            _upcalls: upcalls,
        })),
        Err(error) => {
            take_back(&procs, &tracer);
            Err(error)
        }
    }
}

fn check(
    data: &WSPDATA,
    procs: WSPPROC_TABLE,
    tracer: &Option<Arc<dyn Tracer>>,
) -> Result<Table, StartupError> {
    if data.wVersion != SPI_VERSION {
        return Err(StartupError::Version(data.wVersion));
    }
    let functions = Functions::of(&procs)
        .ok_or_else(|| StartupError::MissingEntry(procs.missing_entry().unwrap_or("required entry")))?;
    let extensions = ExtensionTable::ask(functions.ioctl, tracer)?;
    Ok(Table { procs, extensions, functions })
}

/// Balances a successful start-up of a provider that is not used (SW-026).
fn take_back(procs: &WSPPROC_TABLE, tracer: &Option<Arc<dyn Tracer>>) {
    let Some(cleanup) = procs.lpWSPCleanup else { return };
    let mut errno = 0;
    // SAFETY: the entry is of the provider that was just started; `errno` is valid.
    let result = unsafe { cleanup(&raw mut errno) };
    let result = if result == 0 { Ok(()) } else { Err(WsaError::reported(errno)) };
    trace!(tracer, "WSPCleanup", result, "");
}
