//! Calls of the kernel's that end a direction, made when it is their turn: behind the operations that are pending.

use windows_sys::Win32::Networking::WinSock::WSA_IO_PENDING;
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::core::BOOL;
use wsd_os::Errno;
use wsd_switch::front::{self, Operation, Socket, Way};

use crate::notice::{Notice, Routine};
use crate::result::last;

/// A shutdown.
struct Shutdown<F> {
    how: i32,
    kernel: F,
}

impl<F: FnMut() -> Result<(), Errno> + Send> Operation for Shutdown<F> {
    fn attempt(&mut self, socket: Socket) -> Option<Result<usize, Errno>> {
        Some(front::shutdown(socket, self.how, &mut self.kernel).map(|()| 0))
    }

    fn finish(self: Box<Self>, _: Result<usize, Errno>, _: bool) {}

    fn key(&self) -> usize {
        0
    }

    fn thread(&self) -> u32 {
        0
    }
}

/// Shuts the sending direction down, or both, when what was sent before has been; the call does not wait for that.
pub(crate) fn shutdown(
    socket: Socket,
    how: i32,
    kernel: impl FnMut() -> Result<(), Errno> + Send + 'static,
) -> Result<(), Errno> {
    front::submit(socket, Way::Send, Box::new(Shutdown { how, kernel })).unwrap_or(Ok(0)).map(drop)
}

/// An overlapped call of the kernel's, which tells the program of its end unless it fails at once.
struct Handover<F> {
    call: F,
    notice: Notice,
}

impl<F: FnMut() -> BOOL + Send> Operation for Handover<F> {
    /// 1: done; 0: the kernel has it.
    fn attempt(&mut self, _: Socket) -> Option<Result<usize, Errno>> {
        let done = (self.call)();
        Some(match (done, last()) {
            (0, Errno::Winsock(WSA_IO_PENDING)) => Ok(0),
            (0, error) => Err(error),
            _ => Ok(1),
        })
    }

    fn finish(self: Box<Self>, result: Result<usize, Errno>, at_once: bool) {
        match result {
            Err(_) => self.notice.give(result.map(|_| 0), false),
            // The kernel has told nobody, as it was done at once.
            Ok(1) if !at_once && self.notice.port_skips() => self.notice.give(Ok(0), false),
            Ok(_) => {}
        }
    }

    fn key(&self) -> usize {
        self.notice.key()
    }

    fn thread(&self) -> u32 {
        self.notice.thread()
    }
}

/// Makes an overlapped call of the kernel's behind what is being sent. What the call returns, the error being that it is pending.
///
/// # Safety
///
/// `overlapped` is the operation's until the program is told of its end.
pub(crate) unsafe fn hand_over(
    socket: Socket,
    overlapped: *mut OVERLAPPED,
    call: impl FnMut() -> BOOL + Send + 'static,
) -> Result<(), Errno> {
    // SAFETY: the contract.
    let notice = unsafe { Notice::new(socket.descriptor(), overlapped, Routine::Winsock(None)) };
    match front::submit(socket, Way::Send, Box::new(Handover { call, notice })) {
        Some(Ok(1)) => Ok(()),
        None | Some(Ok(_)) => Err(Errno::Winsock(WSA_IO_PENDING)),
        Some(Err(error)) => Err(error),
    }
}
