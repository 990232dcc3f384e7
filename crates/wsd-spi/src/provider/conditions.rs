//! The condition function of `WSPAccept`.

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr;

use crate::address::SockAddr;
use crate::ffi::{LPCONDITIONPROC, WSABUF};
use crate::value::Condition;

/// The switch's condition function, to be asked at most once (SP-076). Stays on the thread that is in `WSPAccept`.
pub struct ConditionFunction<'a> {
    function: LPCONDITIONPROC,
    data: usize,
    room: usize,
    needed: &'a Cell<usize>,
    _not_send: PhantomData<*mut ()>,
}

impl<'a> ConditionFunction<'a> {
    /// The function of the caller with its callback data. `room` is the length of the caller's address buffer;
    /// `needed` receives the length of the peer's address if that is longer.
    ///
    /// # Safety
    /// `function` may be called with `data` until the call that brought it returns.
    pub(super) unsafe fn new(
        function: LPCONDITIONPROC,
        data: usize,
        room: usize,
        needed: &'a Cell<usize>,
    ) -> Self {
        Self { function, data, room, needed, _not_send: PhantomData }
    }

    /// Asks whether the connection from `caller` (the peer) to `callee` (the local address) is wanted. Hold no lock:
    /// the switch may close the listener meanwhile (SP-211).
    ///
    /// If the caller of `WSPAccept` has no room for the address, the answer is to defer: the request stays queued,
    /// and the door answers `WSAEFAULT`.
    pub fn ask(self, caller: &SockAddr, callee: &SockAddr) -> Condition {
        self.ask_with(caller, callee, &mut [])
    }

    /// As [`ask`](Self::ask), with the connect data of the peer, if there are any.
    pub fn ask_with(self, caller: &SockAddr, callee: &SockAddr, caller_data: &mut [u8]) -> Condition {
        if caller.encoded_len() > self.room {
            self.needed.set(caller.encoded_len());
            return Condition::Defer;
        }
        let (mut caller, caller_len) = caller.encode();
        let (mut callee, callee_len) = callee.encode();
        let mut caller_id = WSABUF { len: caller_len as u32, buf: caller.as_mut_ptr().cast() };
        let mut callee_id = WSABUF { len: callee_len as u32, buf: callee.as_mut_ptr().cast() };
        let mut data = WSABUF { len: caller_data.len() as u32, buf: caller_data.as_mut_ptr().cast() };
        let data = if caller_data.is_empty() { ptr::null_mut() } else { &raw mut data };
        // SAFETY: the function is callable by the contract of `new`; addresses and data live until it returns, the
        // other pointers may be NULL (SP-076).
        let answer = unsafe {
            (self.function)(
                &raw mut caller_id,
                data,
                ptr::null_mut(),
                ptr::null_mut(),
                &raw mut callee_id,
                ptr::null_mut(),
                ptr::null_mut(),
                self.data,
            )
        };
        Condition::from_code(answer)
    }
}
