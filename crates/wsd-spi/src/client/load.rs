//! Finding the start-up function of a provider.

use std::path::Path;
use std::sync::Arc;

use super::san::San;
use super::startup::{StartupError, start};
use super::tracer::Tracer;
use super::upcalls::UpCallHandler;
use crate::ffi::{LPWSPSTARTUPEX, WSAPROTOCOL_INFOW};
use crate::provider::Entry;

/// A provider that has not been started by this value.
#[derive(Clone, Debug)]
pub struct Provider {
    name: Arc<str>,
    entry: LPWSPSTARTUPEX,
}

/// Why a shared library is not a provider.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The library cannot be loaded.
    #[error("cannot load {path}: {source}")]
    Library {
        /// The library.
        path: String,
        /// What the loader says.
        source: libloading::Error,
    },
    /// The library is not a SAN provider.
    #[error("{path} does not export WSPStartupEx: {source}")]
    Entry {
        /// The library.
        path: String,
        /// What the loader says.
        source: libloading::Error,
    },
}

impl Provider {
    /// Loads a shared library that exports `WSPStartupEx` (section 1.1). The library stays loaded until the process
    /// ends: threads and thread-local values may run its code at any time later.
    ///
    /// # Errors
    /// The library cannot be loaded, or has no such function.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        // SAFETY: running the library's initialisers is what loading a provider means (see the module's notes).
        let library = unsafe { libloading::Library::new(path) }
            .map_err(|source| LoadError::Library { path: name.clone(), source })?;
        // SAFETY: the symbol of that name has this type by the SPI, and the library is never unloaded.
        let entry = unsafe { library.get::<LPWSPSTARTUPEX>(b"WSPStartupEx\0") }
            .map(|symbol| *symbol)
            .map_err(|source| LoadError::Entry { path: name.clone(), source })?;
        std::mem::forget(library);
        Ok(Self { name: name.into(), entry })
    }

    /// A provider that is linked into the program.
    pub fn builtin(name: &str, entry: Entry) -> Self {
        Self { name: name.into(), entry: entry.function() }
    }

    /// Path of the library, or name of the built-in provider.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The raw `WSPStartupEx`, for those who want to pass bad arguments (see also
    /// [`UpCallTable`](super::UpCallTable)).
    pub fn entry(&self) -> LPWSPSTARTUPEX {
        self.entry
    }

    /// Calls `WSPStartupEx` with SPI version `version` (0x0202 for 2.2) and checks what comes back: the version, the
    /// 17 required entries of the table (SP-001), and the mandatory extension functions (SW-022). What the provider
    /// calls up goes to `handler`, at the latest until the last `San`, socket and so on of this start-up is dropped;
    /// the handler itself is kept until the process ends, since a faulty provider may call up later.
    ///
    /// A provider copies the up-call table of its first start-up only (SP-003, SP-030). Therefore further start-ups
    /// of a running provider have to name the same handler.
    ///
    /// # Errors
    /// What the provider answered, or what is wrong with its answer; then the start-up has been taken back
    /// (SW-026).
    pub fn startup(
        &self,
        version: u16,
        protocol_info: &WSAPROTOCOL_INFOW,
        handler: Arc<dyn UpCallHandler>,
        tracer: Option<Arc<dyn Tracer>>,
    ) -> Result<San, StartupError> {
        start(&self.name, self.entry, version, protocol_info, handler, tracer)
    }
}
