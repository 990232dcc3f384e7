//! The condition function that is passed to `WSPAccept`.

use core::ffi::c_int;
use core::slice;
use std::cell::RefCell;
use std::thread::{self, ThreadId};

use wsd_spi::SockAddr;
use wsd_spi::ffi::{CF_REJECT, DWORD_PTR, GROUP, LPQOS, LPWSABUF};

/// What the condition function is to answer: a `CF_` value, or any other number.
pub(crate) type Decision = i32;

/// One call of the condition function.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Address in `lpCallerId`, and its length in bytes; `None` if there is none that can be read.
    pub(crate) caller: Option<(SockAddr, u32)>,
    /// The same of `lpCalleeId`.
    pub(crate) callee: Option<(SockAddr, u32)>,
    /// Bytes of `lpCallerData`, if not NULL.
    pub(crate) caller_data: Option<Vec<u8>>,
    /// `dwCallbackData`.
    pub(crate) callback_data: usize,
    /// The thread that it was called on.
    pub(crate) thread: ThreadId,
}

struct Frame {
    decision: Decision,
    asked: Vec<Asked>,
    during: Option<Box<dyn FnOnce()>>,
}

thread_local! {
    static FRAME: RefCell<Option<Frame>> = const { RefCell::new(None) };
}

/// Runs `accept` with [`condition`] answering `decision`: what it returned, and how the function was called on this
/// thread. `during` runs inside the first call.
pub(super) fn answering<T>(
    decision: Decision,
    during: Option<Box<dyn FnOnce()>>,
    accept: impl FnOnce() -> T,
) -> (T, Vec<Asked>) {
    FRAME.set(Some(Frame { decision, asked: Vec::new(), during }));
    let result = accept();
    (result, FRAME.take().map(|frame| frame.asked).unwrap_or_default())
}

/// # Safety
/// `id` is NULL or valid, with the bytes that it describes.
unsafe fn bytes(id: LPWSABUF) -> Option<Vec<u8>> {
    // SAFETY: by the contract of this function.
    unsafe {
        let id = id.as_ref()?;
        (!id.buf.is_null()).then(|| slice::from_raw_parts(id.buf.cast::<u8>(), id.len as usize).to_vec())
    }
}

/// Refuses on any thread other than the one in [`answering`].
///
/// # Safety
/// As the SPI says: pointers are NULL or valid while the function runs.
pub(super) unsafe extern "system" fn condition(
    caller_id: LPWSABUF,
    caller_data: LPWSABUF,
    _: LPQOS,
    _: LPQOS,
    callee_id: LPWSABUF,
    _: LPWSABUF,
    _: *mut GROUP,
    callback_data: DWORD_PTR,
) -> c_int {
    // SAFETY: by the contract of this function.
    let (caller, callee, caller_data) = unsafe { (bytes(caller_id), bytes(callee_id), bytes(caller_data)) };
    let address = |bytes: Option<Vec<u8>>| {
        let bytes = bytes?;
        SockAddr::decode(&bytes).ok().map(|address| (address, bytes.len() as u32))
    };
    let asked = Asked {
        caller: address(caller),
        callee: address(callee),
        caller_data,
        callback_data,
        thread: thread::current().id(),
    };
    let (decision, during) = FRAME.with_borrow_mut(|frame| match frame {
        Some(frame) => {
            frame.asked.push(asked);
            (frame.decision, frame.during.take())
        }
        None => (CF_REJECT, None),
    });
    if let Some(during) = during {
        during();
    }
    decision
}
