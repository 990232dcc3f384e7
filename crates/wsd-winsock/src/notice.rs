//! How the program learns that an operation is over: by its event, a packet at its completion port, or its routine.

use windows_sys::Win32::Foundation::{
    CloseHandle, HANDLE, STATUS_ACCESS_VIOLATION, STATUS_CANCELLED, STATUS_CONNECTION_ABORTED,
    STATUS_CONNECTION_INVALID, STATUS_CONNECTION_RESET, STATUS_INVALID_HANDLE, STATUS_IO_TIMEOUT,
    STATUS_PENDING, STATUS_PIPE_DISCONNECTED, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
};
use windows_sys::Win32::Networking::WinSock::LPWSAOVERLAPPED_COMPLETION_ROUTINE;
use windows_sys::Win32::System::IO::{LPOVERLAPPED_COMPLETION_ROUTINE, OVERLAPPED};
use windows_sys::Win32::System::Threading::{
    GetCurrentThreadId, OpenThread, QueueUserAPC, ResetEvent, SetEvent, THREAD_SET_CONTEXT,
};
use wsd_os::Errno;
use wsd_os::thread::outside;
use wsd_switch::front::{Operation, Socket};

use crate::ports::{self, Port};
use crate::waiters;

/// What the program wants to be called.
#[derive(Clone, Copy)]
pub(crate) enum Routine {
    /// Of Winsock's functions.
    Winsock(LPWSAOVERLAPPED_COMPLETION_ROUTINE),
    /// Of files' functions.
    File(LPOVERLAPPED_COMPLETION_ROUTINE),
}

impl Routine {
    fn is_some(self) -> bool {
        match self {
            Self::Winsock(routine) => routine.is_some(),
            Self::File(routine) => routine.is_some(),
        }
    }
}

/// A thread's handle.
struct Thread(HANDLE);

impl Thread {
    fn own() -> Self {
        // SAFETY: no pointers. The caller's own thread exists.
        Self(unsafe { OpenThread(THREAD_SET_CONTEXT, 0, GetCurrentThreadId()) })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: owned here alone; null is answered with an error.
        unsafe { CloseHandle(self.0) };
    }
}

/// What is to be done when an operation is over.
pub(crate) struct Notice {
    overlapped: *mut OVERLAPPED,
    asked_by: u32,
    event: HANDLE,
    port: Option<Port>,
    routine: Option<(Routine, Thread)>,
}

// SAFETY: the OVERLAPPED is the operation's until it is told of its end, whatever thread does that.
unsafe impl Send for Notice {}

impl Notice {
    /// The program's wish; the operation is pending from now on.
    ///
    /// # Safety
    ///
    /// `overlapped` stays the operation's until [`Notice::give`]; the routine is the program's.
    pub(crate) unsafe fn new(socket: i32, overlapped: *mut OVERLAPPED, routine: Routine) -> Self {
        // SAFETY: the contract.
        let event = unsafe {
            (*overlapped).Internal = STATUS_PENDING as usize;
            (*overlapped).InternalHigh = 0;
            (*overlapped).hEvent
        };
        // SAFETY: only returns a number.
        let asked_by = unsafe { GetCurrentThreadId() };
        if routine.is_some() {
            let routine = Some((routine, Thread::own()));
            return Self { overlapped, asked_by, event: core::ptr::null_mut(), port: None, routine };
        }
        // The lowest bit says that no port is to be told.
        let tells = event as usize & 1 == 0;
        let event = (event as usize & !1) as HANDLE;
        if !event.is_null() {
            // SAFETY: the program's event; what is none is answered with an error.
            unsafe { ResetEvent(event) };
        }
        let port = ports::of(socket).filter(|_| tells);
        Self { overlapped, asked_by, event, port, routine: None }
    }

    /// Whether the port is not told of what succeeds at once.
    pub(crate) fn port_skips(&self) -> bool {
        self.port.is_some_and(|port| port.skips)
    }

    /// By what the program knows the operation.
    pub(crate) fn key(&self) -> usize {
        self.overlapped as usize
    }

    /// The thread that has asked for it.
    pub(crate) fn thread(&self) -> u32 {
        self.asked_by
    }

    fn write(&self, status: i32, bytes: usize) {
        // SAFETY: the operation's until the status is written, which whoever waits sees last.
        unsafe {
            (&raw mut (*self.overlapped).InternalHigh).write_volatile(bytes);
            let place = &raw mut (*self.overlapped).Internal;
            core::sync::atomic::AtomicUsize::from_ptr(place)
                .store(status as u32 as usize, core::sync::atomic::Ordering::Release);
        }
    }

    /// Tells the program that the operation is over. From now on the OVERLAPPED is the program's again.
    pub(crate) fn give(self, result: Result<usize, Errno>, at_once: bool) {
        let (status, bytes) = match result {
            Ok(bytes) => (STATUS_SUCCESS, bytes),
            Err(error) => (status_of(error), 0),
        };
        let code = match self.routine {
            Some((Routine::Winsock(_), _)) => result.map_or_else(Errno::raw_os_error, |_| 0) as u32,
            // SAFETY: numbers only.
            _ => unsafe { RtlNtStatusToDosError(status) },
        };
        self.tell((status, code), bytes, at_once);
    }

    /// Tells of what the system has ended, as it calls the error.
    pub(crate) fn pass_on(self, status: i32) {
        // SAFETY: numbers only.
        let code = unsafe { RtlNtStatusToDosError(status) };
        self.tell((status, code), 0, false);
    }

    fn tell(self, (status, code): (i32, u32), bytes: usize, at_once: bool) {
        self.write(status, bytes);
        waiters::wake(self.key());
        if let Some((routine, thread)) = self.routine {
            let call = Box::new(Call { routine, code, bytes: bytes as u32, overlapped: self.overlapped });
            let place = Box::into_raw(call);
            // SAFETY: `run` takes the box back, unless the thread has ended: then nobody waits any more.
            unsafe {
                if QueueUserAPC(Some(run), thread.0, place as usize) == 0 {
                    drop(Box::from_raw(place));
                }
            }
            return;
        }
        if !self.event.is_null() {
            // SAFETY: as in `new`.
            unsafe { SetEvent(self.event) };
        }
        if let Some(port) = self.port.filter(|port| !(at_once && port.skips)) {
            port.post(self.overlapped as usize, status, bytes);
        }
    }
}

/// What an operation does before the program is told.
pub(crate) trait Work: Send {
    /// Does what can be done now; `AGAIN`: that is not all yet.
    fn go_on(&mut self, socket: Socket) -> Result<usize, Errno>;
}

/// An operation of whose end the program is told.
pub(crate) struct Told<W> {
    pub(crate) work: W,
    pub(crate) notice: Notice,
}

impl<W: Work> Operation for Told<W> {
    fn attempt(&mut self, socket: Socket) -> Option<Result<usize, Errno>> {
        let result = self.work.go_on(socket);
        (result != Err(Errno::AGAIN)).then_some(result)
    }

    fn finish(self: Box<Self>, result: Result<usize, Errno>, at_once: bool) {
        self.notice.give(result, at_once);
    }

    fn key(&self) -> usize {
        self.notice.key()
    }

    fn thread(&self) -> u32 {
        self.notice.thread()
    }
}

/// A routine that is to be called.
struct Call {
    routine: Routine,
    code: u32,
    bytes: u32,
    overlapped: *mut OVERLAPPED,
}

/// # Safety
/// `call` comes from [`Notice::give`], once.
unsafe extern "system" fn run(call: usize) {
    // SAFETY: the contract.
    let Call { routine, code, bytes, overlapped } = *unsafe { Box::from_raw(call as *mut Call) };
    // The thread may wait inside of the switch.
    outside(|| match routine {
        // SAFETY: the program's own, as it has asked for it.
        Routine::Winsock(Some(routine)) => unsafe { routine(code, bytes, overlapped, 0) },
        // SAFETY: as above.
        Routine::File(Some(routine)) => unsafe { routine(code, bytes, overlapped) },
        Routine::Winsock(None) | Routine::File(None) => {}
    });
}

/// Errors, and what the system calls them.
const STATUSES: [(Errno, i32); 8] = [
    (Errno::CONNRESET, STATUS_CONNECTION_RESET),
    (Errno::CONNABORTED, STATUS_CONNECTION_ABORTED),
    (Errno::PIPE, STATUS_PIPE_DISCONNECTED),
    (Errno::NOTCONN, STATUS_CONNECTION_INVALID),
    (Errno::NOTSOCK, STATUS_INVALID_HANDLE),
    (Errno::TIMEDOUT, STATUS_IO_TIMEOUT),
    (Errno::CANCELED, STATUS_CANCELLED),
    (Errno::FAULT, STATUS_ACCESS_VIOLATION),
];

/// What the system calls an error.
fn status_of(error: Errno) -> i32 {
    STATUSES.iter().find(|(other, _)| *other == error).map_or(STATUS_UNSUCCESSFUL, |(_, status)| *status)
}

/// The error that the system calls so.
pub(crate) fn error_of(status: i32) -> Errno {
    STATUSES.iter().find(|(_, other)| *other == status).map_or(Errno::CONNABORTED, |(error, _)| *error)
}

#[link(name = "ntdll")]
unsafe extern "system" {
    fn RtlNtStatusToDosError(status: i32) -> u32;
}
