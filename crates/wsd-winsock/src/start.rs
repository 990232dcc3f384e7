//! Setting up: when the library is loaded into a program by another one, or asked for as a layered provider.

use core::ffi::{CStr, c_void};
use core::sync::atomic::{AtomicBool, Ordering};

use windows_sys::Win32::Foundation::{HMODULE, TRUE};
use windows_sys::Win32::System::Diagnostics::Debug::OutputDebugStringW;
use windows_sys::Win32::System::SystemServices::DLL_PROCESS_ATTACH;
use windows_sys::core::BOOL;
use wsd_os::process;
use wsd_os::thread::Inside;
use wsd_switch::config::{CONNECT_VARIABLE, MAP_VARIABLE, PROVIDER_VARIABLE};
use wsd_switch::front;
use wsd_switch::registry::BuiltIn;

use crate::{children, original};

const BUILT_IN: &str = "shm";

/// Whether the hooks were to be put before Winsock's functions: those serve, if anything does.
static IN_FRONT: AtomicBool = AtomicBool::new(false);

/// Whether the switch serves as a layer.
static LAYER: AtomicBool = AtomicBool::new(false);

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
        // Winsock, which loads its providers, asks for what it wants (`layer`).
        if process::is_loaded_into() {
            in_front();
        }
    }
    TRUE
}

/// The program runs as ever if something is wrong, and is told what.
fn in_front() {
    IN_FRONT.store(true, Ordering::Relaxed);
    if let Err(problem) = start(|_| true, |name| std::env::var(name).ok()) {
        eprintln!("wsdirect: {problem}; this program runs over TCP");
    }
}

/// Serves as a layer from now on, if possible: what comes by Winsock's interface for providers needs no hooks. A program that has
/// nothing to do with wsdirect is not told what is wrong; debuggers are.
pub(crate) fn as_layer() -> bool {
    if IN_FRONT.load(Ordering::Relaxed) {
        return false;
    }
    let result = start(|library| library != c"ws2_32.dll", harmless);
    if let Err(problem) = &result {
        let text = format!("wsdirect: {problem}; this program runs over TCP\n\0");
        let text: Vec<u16> = text.encode_utf16().collect();
        // SAFETY: a text that ends with a zero.
        unsafe { OutputDebugStringW(text.as_ptr()) };
    }
    LAYER.store(result.is_ok(), Ordering::Relaxed);
    result.is_ok()
}

/// What every program takes from its environment, also one with more rights than who has set that: nothing that names a file.
fn harmless(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    let is_harmless = match name {
        CONNECT_VARIABLE | MAP_VARIABLE => true,
        PROVIDER_VARIABLE => value == "tcp" || value == BUILT_IN,
        _ => false,
    };
    is_harmless.then_some(value)
}

/// Whether it does: the programs that this one starts get the library by the catalogue.
pub(crate) fn is_layer() -> bool {
    LAYER.load(Ordering::Relaxed)
}

/// Starts the switch, and hooks the functions of these libraries. A process has one switch: with a copy of this library it fails.
fn start(hooked: impl Fn(&CStr) -> bool, variable: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let Some(_inside) = Inside::enter() else { return Err("it starts itself".to_owned()) };
    let built_in = [BuiltIn { name: BUILT_IN, entry: wsd_shm::SAN_PROVIDER_ENTRY }];
    front::start(&built_in, variable)?;
    let missing = original::put(hooked);
    if !missing.is_empty() {
        return Err(format!("cannot hook {}", missing.join(", ")));
    }
    // SAFETY: all hooks have the types of what they are in front of.
    unsafe { minhook::MinHook::enable_all_hooks() }
        .map_err(|problem| format!("cannot put hooks in place ({problem:?})"))
}
