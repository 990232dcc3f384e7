//! Putting hooks in place, and getting at what they are in front of.

use core::ffi::{CStr, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};

use minhook::MinHook;
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress, LoadLibraryA};

/// The way to a function that is hooked.
pub(crate) struct Original(AtomicPtr<c_void>);

impl Original {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// Where it is. Hooks run only when this has been stored.
    #[inline]
    pub(crate) fn get(&self) -> *mut c_void {
        self.0.load(Ordering::Relaxed)
    }

    /// Hooks `name` of a library, which is loaded if need be. False: there is no such function, or it cannot be hooked.
    ///
    /// # Safety
    ///
    /// `hook` is a function of the same type.
    pub(crate) unsafe fn put(&self, library: &CStr, name: &CStr, hook: *const c_void) -> bool {
        let Some(function) = exported(library, name) else { return false };
        // SAFETY: a function's address; the rest is the contract.
        match unsafe { MinHook::create_hook(function, hook.cast_mut()) } {
            Ok(original) => {
                self.lead(original);
                true
            }
            Err(_) => false,
        }
    }

    /// Leads to a function that nobody hooks: `instead`, or that of the library. False: it has none of that name.
    pub(crate) fn pass(&self, library: &CStr, name: &CStr, instead: Option<*mut c_void>) -> bool {
        let function = instead.or_else(|| exported(library, name));
        function.map(|function| self.lead(function)).is_some()
    }

    fn lead(&self, function: *mut c_void) {
        self.0.store(function, Ordering::Relaxed);
    }
}

/// A function of a library, which is loaded if need be.
fn exported(library: &CStr, name: &CStr) -> Option<*mut c_void> {
    // SAFETY: both names end with a zero.
    let found = unsafe {
        let module = GetModuleHandleA(library.as_ptr().cast());
        let module = if module.is_null() { LoadLibraryA(library.as_ptr().cast()) } else { module };
        if module.is_null() { None } else { GetProcAddress(module, name.as_ptr().cast()) }
    };
    found.map(|function| function as *mut c_void)
}

/// The functions that are hooked: `original` has them as they were, and `put` puts the hooks in their place. What is named behind the
/// hook is called instead of the system's own where the switch is a layer of the catalogue.
macro_rules! hooks {
    ($($library:literal {
        $(fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty = $hook:path $(, $below:path)?;)*
    })*) => {
        #[allow(non_upper_case_globals, reason = "named as what they lead to")]
        mod places {
            $($(pub(super) static $name: $crate::hook::Original = $crate::hook::Original::new();)*)*
        }

        $($(
            /// The system's own.
            ///
            /// # Safety
            ///
            /// As that function.
            #[allow(non_snake_case, clippy::too_many_arguments, reason = "as it is")]
            #[inline]
            pub(crate) unsafe fn $name($($argument: $type),*) -> $result {
                type Function = unsafe extern "system" fn($($type),*) -> $result;
                // SAFETY: hooks run, and call this, only when it leads to a function of this type (`put`).
                let function: Function = unsafe { core::mem::transmute(places::$name.get()) };
                // SAFETY: the contract.
                unsafe { function($($argument),*) }
            }
        )*)*

        /// Hooks those of the libraries that are wanted; the others stay as they are, and `original` has what is below them. The names
        /// of those that could not be found or hooked.
        pub(crate) fn put(wanted: impl Fn(&core::ffi::CStr) -> bool) -> Vec<&'static str> {
            let mut missing = Vec::new();
            $($({
                type Function = unsafe extern "system" fn($($type),*) -> $result;
                let hook: Function = $hook;
                let below = None::<Function> $(.or(Some($below)))?;
                let (library, name) = ($library, concat!(stringify!($name), "\0"));
                let name = core::ffi::CStr::from_bytes_with_nul(name.as_bytes()).unwrap_or_default();
                let place = &places::$name;
                let led = if wanted(library) {
                    // SAFETY: the hook has the type that the function has.
                    unsafe { place.put(library, name, hook as *const core::ffi::c_void) }
                } else {
                    place.pass(library, name, below.map(|below| below as *mut core::ffi::c_void))
                };
                if !led {
                    missing.push(stringify!($name));
                }
            })*)*
            missing
        }
    };
}
pub(crate) use hooks;
