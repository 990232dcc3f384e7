//! The condition function that the client passes to `WSPAccept`.

use core::cell::Cell;
use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::address::SockAddr;
use crate::ffi::{CF_REJECT, DWORD_PTR, GROUP, LPQOS, LPWSABUF};
use crate::value::Condition;

type Ask<'a> = dyn FnMut(&SockAddr, &SockAddr) -> Condition + 'a;

/// One `WSPAccept` that is running on this thread.
struct Frame {
    key: usize,
    ask: Cell<Option<*mut Ask<'static>>>,
    outer: *const Frame,
}

thread_local! {
    static INNERMOST: Cell<*const Frame> = const { Cell::new(ptr::null()) };
}

/// Keys are never used twice, so that a provider which asks too late finds nothing.
static NEXT_KEY: AtomicUsize = AtomicUsize::new(1);

/// Runs `accept` with callback data for [`condition_door`] that leads to `ask`, as long as `accept` runs, on this
/// thread, once. Any other use is a rejection.
pub(super) fn with_condition<T>(ask: &mut Ask<'_>, accept: impl FnOnce(DWORD_PTR) -> T) -> T {
    // SAFETY: only the lifetime is changed; the pointer is out of reach when this function has returned.
    let ask = unsafe { core::mem::transmute::<*mut Ask<'_>, *mut Ask<'static>>(ask) };
    let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed);
    let frame = Frame { key, ask: Cell::new(Some(ask)), outer: INNERMOST.get() };
    INNERMOST.set(&raw const frame);
    let _restore = Restore(frame.outer);
    accept(key)
}

struct Restore(*const Frame);

impl Drop for Restore {
    fn drop(&mut self) {
        INNERMOST.set(self.0);
    }
}

/// The condition function itself (SP-076).
///
/// # Safety
/// `lpCallerId` and `lpCalleeId` are NULL or valid, with the address that they describe.
#[allow(non_snake_case, reason = "parameters are named as in the SPI")]
pub(super) unsafe extern "system" fn condition_door(
    lpCallerId: LPWSABUF,
    _lpCallerData: LPWSABUF,
    _lpSQOS: LPQOS,
    _lpGQOS: LPQOS,
    lpCalleeId: LPWSABUF,
    _lpCalleeData: LPWSABUF,
    _g: *mut GROUP,
    dwCallbackData: DWORD_PTR,
) -> c_int {
    // SAFETY: as the contract of this function says.
    let (caller, callee) = unsafe { (address(lpCallerId), address(lpCalleeId)) };
    let (Some(caller), Some(callee), Some(ask)) = (caller, callee, find(dwCallbackData)) else {
        return CF_REJECT;
    };
    // SAFETY: the frame was found on this thread, so `with_condition` is still running and holds the exclusive
    // borrow; it was taken out of the frame, so nobody else uses it.
    let answer = catch_unwind(AssertUnwindSafe(|| unsafe { (*ask)(&caller, &callee) }));
    answer.unwrap_or(Condition::Reject).code()
}

/// Takes the question of a running `WSPAccept` of this thread.
fn find(key: usize) -> Option<*mut Ask<'static>> {
    let mut frame = INNERMOST.get();
    // SAFETY: frames in the list belong to calls that are running on this thread.
    while let Some(current) = unsafe { frame.as_ref() } {
        if current.key == key {
            return current.ask.take();
        }
        frame = current.outer;
    }
    None
}

/// # Safety
/// `id` is NULL or valid, with the address that it describes.
unsafe fn address(id: LPWSABUF) -> Option<SockAddr> {
    // SAFETY: by the contract of this function.
    unsafe {
        let id = id.as_ref()?;
        if id.buf.is_null() {
            return None;
        }
        SockAddr::decode(core::slice::from_raw_parts(id.buf.cast::<u8>(), id.len as usize)).ok()
    }
}
