//! The extension functions: registration of memory.

use core::ffi::c_void;
use core::ptr;

use wsd_spi::ExtensionFunction;
use wsd_spi::ffi::*;

use super::code::{Answer, Code};
use super::memory::Memory;
use super::table::{Table, call, zero};

/// The functions that `SIO_GET_EXTENSION_FUNCTION_POINTER` gave; calling one that is missing is a failure without a code.
#[derive(Clone, Copy, Default)]
pub(crate) struct Extensions {
    register: Option<LPFN_WSPREGISTERMEMORY>,
    deregister: Option<LPFN_WSPDEREGISTERMEMORY>,
    expose: Option<LPFN_WSPREGISTERRDMAMEMORY>,
    conceal: Option<LPFN_WSPDEREGISTERRDMAMEMORY>,
    pub(super) write: Option<LPFN_WSPRDMAWRITE>,
    pub(super) read: Option<LPFN_WSPRDMAREAD>,
    uncache: Option<LPFN_WSPMEMORYREGISTRATIONCACHECALLBACK>,
}

impl Extensions {
    /// Asks for all of them, naming a socket that is none (SP-100).
    pub(crate) fn of(table: &Table) -> Self {
        let ask = |function| pointer(table, INVALID_SOCKET, function).ok();
        // SAFETY: `transmute` turns a pointer that is not NULL into the type of the function that it was asked for.
        unsafe {
            Self {
                register: ask(ExtensionFunction::RegisterMemory).map(|p| core::mem::transmute(p)),
                deregister: ask(ExtensionFunction::DeregisterMemory).map(|p| core::mem::transmute(p)),
                expose: ask(ExtensionFunction::RegisterRdmaMemory).map(|p| core::mem::transmute(p)),
                conceal: ask(ExtensionFunction::DeregisterRdmaMemory).map(|p| core::mem::transmute(p)),
                write: ask(ExtensionFunction::RdmaWrite).map(|p| core::mem::transmute(p)),
                read: ask(ExtensionFunction::RdmaRead).map(|p| core::mem::transmute(p)),
                uncache: ask(ExtensionFunction::MemoryRegistrationCacheCallback)
                    .map(|p| core::mem::transmute(p)),
            }
        }
    }

    /// Whether there is a `WSPRdmaRead`.
    pub(crate) fn reads(&self) -> bool {
        self.read.is_some()
    }

    /// Whether there is a `WSPMemoryRegistrationCacheCallback`.
    pub(crate) fn uncaches(&self) -> bool {
        self.uncache.is_some()
    }

    /// `WSPRegisterMemory`; `None` is NULL with a length of 16.
    pub(crate) fn register(&self, s: usize, memory: Option<Memory>, flags: u32) -> Answer<usize> {
        let function = self.register.ok_or(Code::Unset)?;
        let (start, length) = range(memory);
        call(
            // SAFETY: the memory is NULL or never freed (module notes).
            |errno| unsafe { function(s, start, length, flags, errno) },
            |handle: HANDLE| (!handle.is_null()).then(|| Ok(handle.addr())),
        )
    }

    pub(crate) fn deregister(&self, s: usize, handle: usize) -> Answer<()> {
        let function = self.deregister.ok_or(Code::Unset)?;
        // SAFETY: a handle is the provider's to check (module notes).
        call(|errno| unsafe { function(s, ptr::without_provenance_mut(handle), errno) }, zero)
    }

    /// `WSPRegisterRdmaMemory` with room for `room` bytes of descriptor: the descriptor, or the code and the length
    /// that was asked for.
    pub(crate) fn expose(
        &self,
        s: usize,
        memory: Option<Memory>,
        flags: u32,
        room: usize,
    ) -> Result<Vec<u8>, (Code, u32)> {
        let function = self.expose.ok_or((Code::Unset, 0))?;
        let (start, size) = range(memory);
        let mut descriptor = vec![0u8; room];
        let mut length = room as u32;
        let into = if room == 0 { ptr::null_mut() } else { descriptor.as_mut_ptr() };
        let exposed = call(
            // SAFETY: the memory is NULL or never freed, the descriptor has the stated length (module notes).
            |errno| unsafe { function(s, start, size, flags, into.cast(), &raw mut length, errno) },
            zero,
        );
        exposed.map_err(|code| (code, length))?;
        descriptor.truncate(length as usize);
        Ok(descriptor)
    }

    pub(crate) fn conceal(&self, s: usize, descriptor: &[u8]) -> Answer<()> {
        let function = self.conceal.ok_or(Code::Unset)?;
        let mut descriptor = descriptor.to_vec();
        let length = descriptor.len() as u32;
        // SAFETY: the descriptor has the stated length (module notes).
        call(|errno| unsafe { function(s, descriptor.as_mut_ptr().cast(), length, errno) }, zero)
    }

    /// `WSPMemoryRegistrationCacheCallback`.
    pub(crate) fn uncache(&self, memory: Memory) -> Answer<()> {
        let function = self.uncache.ok_or(Code::Unset)?;
        // SAFETY: the memory is only a range of addresses here (module notes).
        call(|errno| unsafe { function(memory.start().cast(), memory.len(), errno) }, zero)
    }
}

fn range(memory: Option<Memory>) -> (*mut c_void, u32) {
    memory.map_or((ptr::null_mut(), 16), |memory| (memory.start().cast(), memory.len() as u32))
}

/// `SIO_GET_EXTENSION_FUNCTION_POINTER`; `WSAEOPNOTSUPP` as code for a NULL pointer.
pub(super) fn pointer(
    table: &Table,
    s: usize,
    function: ExtensionFunction,
) -> Result<*const c_void, (Code, u32)> {
    let guid = function.guid();
    let mut output = [0u8; 8];
    table.ioctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &guid_bytes(&guid), &mut output)?;
    let address = usize::from_ne_bytes(output);
    if address == 0 {
        return Err((wsd_spi::WsaError::WSAEOPNOTSUPP.into(), 0));
    }
    Ok(ptr::with_exposed_provenance(address))
}

/// A GUID as it lies in memory.
pub(crate) fn guid_bytes(guid: &GUID) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0..4].copy_from_slice(&guid.Data1.to_ne_bytes());
    bytes[4..6].copy_from_slice(&guid.Data2.to_ne_bytes());
    bytes[6..8].copy_from_slice(&guid.Data3.to_ne_bytes());
    bytes[8..16].copy_from_slice(&guid.Data4);
    bytes
}
