//! The providers below this layer: one for each chain of the catalogue that was started.

use core::mem::transmute;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use windows_sys::Win32::Networking::WinSock::{
    INVALID_SOCKET, SOCKET, SOCKET_ERROR, WSAEINVALIDPROCTABLE, WSAEOPNOTSUPP, WSAEPROVIDERFAILEDINIT,
    WSANOTINITIALISED, WSAPROTOCOL_INFOW, WSPDATA, WSPPROC_TABLE, WSPUPCALLTABLE,
};
use windows_sys::Win32::System::Environment::ExpandEnvironmentStringsW;
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
    GetProcAddress, LoadLibraryW,
};
use wsd_os::catalogue;

use super::{VERSION, call, table};
use crate::start;

/// What is below one chain.
pub(crate) struct Lower {
    /// By which Winsock knows this layer there.
    pub(super) entry: WSAPROTOCOL_INFOW,
    /// With which the provider below was started.
    pub(super) below: WSAPROTOCOL_INFOW,
    pub(super) functions: WSPPROC_TABLE,
    /// Whether the switch is asked; else everything passes.
    pub(super) serves: bool,
    upcalls: WSPUPCALLTABLE,
    data: WSPDATA,
}

/// What Winsock gets.
pub(super) struct Started {
    pub(super) data: WSPDATA,
    pub(super) table: WSPPROC_TABLE,
}

struct Place {
    /// Never freed: a thread may be in its functions for ever.
    lower: AtomicPtr<Lower>,
    startups: AtomicUsize,
}

static PLACES: [Place; table::COUNT] =
    [const { Place { lower: AtomicPtr::new(null_mut()), startups: AtomicUsize::new(0) } }; table::COUNT];

/// That of a table, as long as it is started.
pub(super) fn of(number: usize) -> Option<&'static Lower> {
    let place = &PLACES[number];
    if place.startups.load(Ordering::Acquire) == 0 {
        return None;
    }
    // SAFETY: null, or never freed.
    unsafe { place.lower.load(Ordering::Acquire).as_ref() }
}

/// Starts what is below the chain, unless it is started. The provider below is called without a lock: it may use sockets.
///
/// # Errors
/// Winsock's error: there is nothing to pass calls on to.
pub(super) fn start(entry: &WSAPROTOCOL_INFOW, upcalls: &WSPUPCALLTABLE) -> Result<Started, i32> {
    if let Some(started) = once_more(&lock(), entry) {
        return Ok(started);
    }
    stay();
    let lower = Lower::start(entry, upcalls)?;
    let locked = lock();
    if let Some(started) = once_more(&locked, entry) {
        drop(locked);
        // Somebody else was quicker.
        lower.end(&mut 0);
        return Ok(started);
    }
    let free = || PLACES.iter().position(|place| place.lower.load(Ordering::Acquire).is_null());
    let Some(number) = known(entry).or_else(free) else {
        // The chain goes on without this layer.
        return Ok(Started { data: lower.data, table: lower.functions });
    };
    let started = Started { data: lower.data, table: table::of(number, &lower.functions) };
    PLACES[number].lower.store(Box::into_raw(Box::new(lower)), Ordering::Release);
    PLACES[number].startups.store(1, Ordering::Release);
    Ok(started)
}

/// Counts a startup of what is started.
fn once_more(_: &MutexGuard<'_, ()>, entry: &WSAPROTOCOL_INFOW) -> Option<Started> {
    let number = known(entry)?;
    let lower = of(number)?;
    PLACES[number].startups.fetch_add(1, Ordering::AcqRel);
    Some(Started { data: lower.data, table: table::of(number, &lower.functions) })
}

/// The number that a chain has got, be it started or not.
fn known(entry: &WSAPROTOCOL_INFOW) -> Option<usize> {
    PLACES.iter().position(|place| {
        // SAFETY: null, or never freed.
        let lower = unsafe { place.lower.load(Ordering::Acquire).as_ref() };
        lower.is_some_and(|lower| lower.entry.dwCatalogEntryId == entry.dwCatalogEntryId)
    })
}

/// Takes a startup back; the last ends what is below.
pub(super) fn cleanup(number: usize, errno: &mut i32) -> i32 {
    let locked = lock();
    let Some(lower) = of(number) else {
        *errno = WSANOTINITIALISED;
        return SOCKET_ERROR;
    };
    let left = PLACES[number].startups.fetch_sub(1, Ordering::AcqRel) - 1;
    drop(locked);
    if left == 0 { lower.end(errno) } else { 0 }
}

/// Startups are counted one after the other.
fn lock() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads of ours and hooks lead into this library: it is never unloaded.
fn stay() {
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
    let mut module = null_mut();
    // SAFETY: an address in this library; a local variable. It does not fail for what is loaded.
    unsafe { GetModuleHandleExW(flags, (&raw const PLACES).cast(), &raw mut module) };
}

impl Lower {
    fn start(entry: &WSAPROTOCOL_INFOW, upcalls: &WSPUPCALLTABLE) -> Result<Self, i32> {
        type Startup = unsafe extern "system" fn(
            u16,
            *mut WSPDATA,
            *const WSAPROTOCOL_INFOW,
            WSPUPCALLTABLE,
            *mut WSPPROC_TABLE,
        ) -> i32;
        let entries = catalogue::entries().map_err(|_| WSAEPROVIDERFAILEDINIT)?;
        let (id, below) = catalogue::below(&entries, entry).ok_or(WSAEPROVIDERFAILEDINIT)?;
        let path = path_of(&id, upcalls)?;
        // SAFETY: names that end with zeros.
        let function = unsafe {
            let module = LoadLibraryW(path.as_ptr());
            if module.is_null() {
                return Err(WSAEPROVIDERFAILEDINIT);
            }
            GetProcAddress(module, c"WSPStartup".as_ptr().cast()).ok_or(WSAEPROVIDERFAILEDINIT)?
        };
        // SAFETY: what a provider exports by that name.
        let startup = unsafe { transmute::<unsafe extern "system" fn() -> isize, Startup>(function) };
        let (mut data, mut functions) = (WSPDATA::default(), WSPPROC_TABLE::default());
        // SAFETY: local variables; the table of calls is Winsock's.
        let error =
            unsafe { startup(VERSION, &raw mut data, &raw const below, *upcalls, &raw mut functions) };
        if error != 0 {
            return Err(error);
        }
        if functions.lpWSPSocket.is_none() || functions.lpWSPCloseSocket.is_none() {
            return Err(WSAEINVALIDPROCTABLE);
        }
        Ok(Self { entry: *entry, below, functions, serves: serves(path), upcalls: *upcalls, data })
    }

    /// Takes its startup back.
    fn end(&self, errno: &mut i32) -> i32 {
        match self.functions.lpWSPCleanup {
            // SAFETY: a place for the error.
            Some(function) => unsafe { function(errno) },
            None => 0,
        }
    }

    /// A socket that the provider below has made is this layer's from now on, as far as Winsock knows.
    pub(super) fn adopt(&self, socket: SOCKET, errno: *mut i32) -> SOCKET {
        if socket == INVALID_SOCKET {
            return socket;
        }
        let adopted = match self.upcalls.lpWPUModifyIFSHandle {
            // SAFETY: numbers, and a place for the error.
            Some(modify) => unsafe { modify(self.entry.dwCatalogEntryId, socket, errno) },
            None => lacking(errno, INVALID_SOCKET),
        };
        if adopted == INVALID_SOCKET
            && let Some(close) = self.functions.lpWSPCloseSocket
        {
            let mut another = 0;
            // SAFETY: nobody has got it.
            unsafe { close(socket, &raw mut another) };
        }
        adopted
    }

    /// What a provider is told of sockets, as programs are to know it.
    pub(super) fn describe(&self, info: &mut WSAPROTOCOL_INFOW) {
        *info = WSAPROTOCOL_INFOW { dwProviderReserved: info.dwProviderReserved, ..self.entry };
    }
}

/// What calls fail with that the provider below does not have.
pub(super) fn lacking<T>(errno: *mut i32, failure: T) -> T {
    call::tell(errno, WSAEOPNOTSUPP);
    failure
}

/// Where a provider's library is, with a zero at the end.
fn path_of(id: &windows_sys::core::GUID, upcalls: &WSPUPCALLTABLE) -> Result<Vec<u16>, i32> {
    let ask = upcalls.lpWPUGetProviderPath.ok_or(WSAEPROVIDERFAILEDINIT)?;
    let (mut path, mut expanded) = (vec![0; 1024], vec![0; 1024]);
    let (mut length, mut errno) = (path.len() as i32, 0);
    // SAFETY: room for `length` units; local variables.
    let written = unsafe {
        if ask(id, path.as_mut_ptr(), &raw mut length, &raw mut errno) != 0 {
            return Err(WSAEPROVIDERFAILEDINIT);
        }
        ExpandEnvironmentStringsW(path.as_ptr(), expanded.as_mut_ptr(), expanded.len() as u32)
    };
    let fits = (1..=expanded.len()).contains(&(written as usize));
    expanded.truncate(written as usize);
    if fits { Ok(expanded) } else { Err(WSAEPROVIDERFAILEDINIT) }
}

/// Whether the switch serves what is above this library. The first is served: extension functions, of which there is one of each, and
/// calls without a socket of their own go there.
fn serves(path: Vec<u16>) -> bool {
    static SERVED: OnceLock<Option<Vec<u16>>> = OnceLock::new();
    let served = SERVED.get_or_init(|| start::as_layer().then(|| path.clone()));
    served.as_ref() == Some(&path)
}
