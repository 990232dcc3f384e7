//! Loading a provider and starting it.

use core::ptr;
use std::path::Path;

use wsd_spi::client::UpCallTable;
use wsd_spi::ffi::{AF_INET, LPWSPSTARTUPEX, WSAPROTOCOL_INFOW, WSPDATA, WSPPROC_TABLE, WSPUPCALLTABLEEX};

/// A loaded provider.
#[derive(Clone, Copy)]
pub(crate) struct Library {
    entry: LPWSPSTARTUPEX,
}

/// Arguments of one `WSPStartupEx`, and what it wrote.
pub(crate) struct Startup {
    pub(crate) version: u16,
    /// `None`: NULL is passed.
    pub(crate) data: Option<WSPDATA>,
    /// `None`: NULL is passed.
    pub(crate) table: Option<WSPPROC_TABLE>,
}

impl Startup {
    /// As a switch passes them. The data are full of a pattern that a provider has to overwrite.
    pub(crate) fn usual() -> Self {
        let data = WSPDATA { wVersion: 0x7777, wHighVersion: 0x7777, szDescription: [0x7777; 256] };
        Self { version: wsd_spi::SPI_VERSION, data: Some(data), table: Some(WSPPROC_TABLE::empty()) }
    }
}

impl Library {
    /// Loads a provider, for as long as the process lives.
    ///
    /// # Errors
    /// What the dynamic linker says.
    pub(crate) fn load(path: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: running its code is what is asked for; the process is there for nothing else.
        let library = unsafe { libloading::Library::new(path) }?;
        // SAFETY: the symbol of that name has this type by the SPI, and the library is never unloaded.
        let entry = unsafe { library.get::<LPWSPSTARTUPEX>(b"WSPStartupEx\0") }.map(|symbol| *symbol)?;
        std::mem::forget(library);
        Ok(Self { entry })
    }

    /// Calls `WSPStartupEx`: the code that it returned. The up-call table that it is shown is emptied afterwards, and never
    /// freed: a provider that has not copied it finds nothing to call (SP-003).
    pub(crate) fn start(&self, startup: &mut Startup, upcalls: &UpCallTable) -> i32 {
        let shown: *mut WSPUPCALLTABLEEX = Box::leak(Box::new(*upcalls.table()));
        let mut info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
        let data = startup.data.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        let table = startup.table.as_mut().map_or(ptr::null_mut(), ptr::from_mut);
        // SAFETY: the pointers are NULL or to live variables; the functions of the up-call table live as long as the process.
        let code = unsafe { (self.entry)(startup.version, data, &raw mut info, shown, table) };
        // SAFETY: never freed; a provider that still reads it breaks the rules.
        unsafe { shown.write_volatile(WSPUPCALLTABLEEX::empty()) };
        code
    }
}
