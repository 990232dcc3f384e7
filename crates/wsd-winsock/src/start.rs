//! Setting up, when the library is loaded.

use core::ffi::c_void;

use windows_sys::Win32::Foundation::{HMODULE, TRUE};
use windows_sys::Win32::System::SystemServices::DLL_PROCESS_ATTACH;
use windows_sys::core::BOOL;
use wsd_os::thread::Inside;
use wsd_switch::front;
use wsd_switch::registry::BuiltIn;

use crate::{children, original};

/// What the loader calls.
///
/// # Safety
///
/// For the loader.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the loader's name for it")]
unsafe extern "system" fn DllMain(module: HMODULE, reason: u32, _: *mut c_void) -> BOOL {
    if reason == DLL_PROCESS_ATTACH {
        children::remember(module);
        start();
    }
    TRUE
}

/// The program runs as ever if something is wrong, and is told what.
fn start() {
    let Some(_inside) = Inside::enter() else { return };
    let built_in = [BuiltIn { name: "shm", entry: wsd_shm::SAN_PROVIDER_ENTRY }];
    if let Err(problem) = front::start(&built_in, |name| std::env::var(name).ok()) {
        return eprintln!("wsdirect: {problem}; this program runs over TCP");
    }
    let missing = original::put_all();
    if !missing.is_empty() {
        eprintln!("wsdirect: cannot hook {}; this program runs over TCP", missing.join(", "));
        return;
    }
    // SAFETY: all hooks have the types of what they are in front of.
    if let Err(problem) = unsafe { minhook::MinHook::enable_all_hooks() } {
        eprintln!("wsdirect: cannot put hooks in place ({problem:?}); this program runs over TCP");
    }
}
