//! Readiness of sockets, asked of the driver behind Winsock: the only question that neither changes a socket nor needs a thread of
//! its own. `WSAPoll`, `select` and the event loops of others ask the same way.

use core::ffi::c_void;
use core::ptr::{null, null_mut};
use std::sync::{Arc, OnceLock};

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{FILE_OPEN, NtCreateFile};
use windows_sys::Wdk::System::IO::NtDeviceIoControlFile;
use windows_sys::Win32::Foundation::{HANDLE, STATUS_PENDING, STATUS_SUCCESS, UNICODE_STRING};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_TYPE_PIPE, GetFileType, SYNCHRONIZE,
};
use windows_sys::Win32::System::IO::{CancelIoEx, IO_STATUS_BLOCK, IO_STATUS_BLOCK_0, OVERLAPPED};

use super::Errno;
use super::fd::RawFd;
use super::handle::Handle;

/// What readiness is told as: the events of poll(2), with Linux's values.
const IN: u32 = 0x001;
const PRI: u32 = 0x002;
const OUT: u32 = 0x004;
const ERR: u32 = 0x008;
const HUP: u32 = 0x010;
const RDNORM: u32 = 0x040;
const WRNORM: u32 = 0x100;
const RDHUP: u32 = 0x2000;
/// Bytes, the end of the stream or a connection can be taken without waiting.
pub(super) const READABLE: u32 = IN;
/// Bytes can be given without waiting.
pub(super) const WRITABLE: u32 = OUT;

/// The peer has ended its direction, or the connection was reset.
pub(super) const ENDED: u32 = RDHUP | HUP;

/// IOCTL_AFD_POLL.
const POLL: u32 = 0x0001_2024;

const RECEIVE: u32 = 0x1;
const EXPEDITED: u32 = 0x2;
const SEND: u32 = 0x4;
const DISCONNECT: u32 = 0x8;
const ABORT: u32 = 0x10;
const LOCAL_CLOSE: u32 = 0x20;
const ACCEPT: u32 = 0x80;
const CONNECT_FAIL: u32 = 0x100;

/// The driver's answer and what these events mean.
const MEANINGS: [(u32, u32); 7] = [
    (RECEIVE, IN | RDNORM),
    (EXPEDITED, PRI),
    (SEND, OUT | WRNORM),
    (DISCONNECT, IN | RDNORM | RDHUP),
    (ABORT, IN | RDNORM | RDHUP | OUT | ERR | HUP),
    (ACCEPT, IN | RDNORM),
    (CONNECT_FAIL, OUT | ERR | HUP),
];

/// AFD_POLL_INFO for one socket.
#[repr(C)]
#[derive(Clone, Copy)]
struct Question {
    timeout: i64,
    count: u32,
    exclusive: u32,
    socket: HANDLE,
    events: u32,
    status: i32,
}

/// What must not move while the driver has it.
#[repr(C)]
struct Place {
    status: IO_STATUS_BLOCK,
    question: Question,
}

/// A question about one socket that was asked, with an event that is set when it is answered. Taken back when dropped.
pub(super) struct Poll {
    place: *mut Place,
    event: Arc<Handle>,
    pending: bool,
}

// SAFETY: the memory is owned by this value, and the driver does not care which thread it is used by.
unsafe impl Send for Poll {}
// SAFETY: as for Send; nothing is changed through a shared reference but by the driver.
unsafe impl Sync for Poll {}

/// What was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Nothing yet.
    Pending,
    /// Events that hold.
    Ready(u32),
    /// The socket is closed, or was none.
    Gone,
}

/// The driver.
fn driver() -> Result<&'static Handle, Errno> {
    static DRIVER: OnceLock<Result<Handle, Errno>> = OnceLock::new();
    DRIVER.get_or_init(open).as_ref().map_err(|error| *error)
}

fn open() -> Result<Handle, Errno> {
    let mut name: Vec<u16> = r"\Device\Afd\wsdirect".encode_utf16().collect();
    let bytes = (name.len() * 2) as u16;
    let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: name.as_mut_ptr() };
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: null_mut(),
        ObjectName: &raw const name,
        Attributes: 0,
        SecurityDescriptor: null(),
        SecurityQualityOfService: null(),
    };
    let mut status = unasked();
    let mut opened: HANDLE = null_mut();
    // SAFETY: all that is pointed to lives for the call, which waits for its end.
    let result = unsafe {
        NtCreateFile(
            &raw mut opened,
            SYNCHRONIZE,
            &raw const attributes,
            &raw mut status,
            null(),
            0,
            FILE_SHARE_READ | FILE_SHARE_WRITE,
            FILE_OPEN,
            0,
            null(),
            0,
        )
    };
    if result != STATUS_SUCCESS {
        return Err(Errno::OPNOTSUPP);
    }
    // SAFETY: just opened, ours alone.
    unsafe { Handle::returned(opened) }
}

fn unasked() -> IO_STATUS_BLOCK {
    IO_STATUS_BLOCK { Anonymous: IO_STATUS_BLOCK_0 { Status: STATUS_PENDING }, Information: 0 }
}

impl Poll {
    /// Asks whether any of `events` holds for the socket, and sets `event` as soon as one does. `wait` false: only now.
    pub(super) fn ask(socket: RawFd, events: u32, event: Arc<Handle>, wait: bool) -> Result<Self, Errno> {
        let asked = MEANINGS.iter().filter(|(_, meaning)| meaning & events != 0);
        // Asked for or not, an end with an error is told, as poll(2) does.
        let asked = asked.fold(ABORT | CONNECT_FAIL | LOCAL_CLOSE, |asked, (bit, _)| asked | bit);
        let question = Question {
            timeout: if wait { i64::MAX } else { 0 },
            count: 1,
            exclusive: 0,
            socket: socket as u32 as usize as HANDLE,
            events: asked,
            status: 0,
        };
        let place = Box::into_raw(Box::new(Place { status: unasked(), question }));
        let mut poll = Self { place, event, pending: false };
        let length = size_of::<Question>() as u32;
        // SAFETY: the place lives until the driver has answered (see Drop); question and answer may be the same memory.
        let result = unsafe {
            let question = (&raw mut (*place).question).cast::<c_void>();
            let (driver, event) = (driver()?.raw(), poll.event.raw());
            let status = &raw mut (*place).status;
            NtDeviceIoControlFile(
                driver,
                event,
                None,
                null(),
                status,
                POLL,
                question,
                length,
                question,
                length,
            )
        };
        poll.pending = result == STATUS_PENDING;
        // Else the number is none of a socket.
        if result >= STATUS_SUCCESS { Ok(poll) } else { Err(Errno::NOTSOCK) }
    }

    /// What the driver says so far.
    pub(super) fn answer(&self) -> Answer {
        if self.status() == STATUS_PENDING {
            return Answer::Pending;
        }
        // SAFETY: answered, so the driver does not touch it any more.
        let question = unsafe { (*self.place).question };
        if question.count == 0 {
            return if self.status() >= STATUS_SUCCESS { Answer::Ready(0) } else { Answer::Gone };
        }
        if question.events & LOCAL_CLOSE != 0 {
            return Answer::Gone;
        }
        let meant = MEANINGS.iter().filter(|(bit, _)| question.events & bit != 0);
        Answer::Ready(meant.fold(0, |all, (_, meaning)| all | meaning))
    }

    fn status(&self) -> i32 {
        // SAFETY: a word that the driver writes once, after everything else of its answer.
        unsafe { (&raw const (*self.place).status.Anonymous.Status).read_volatile() }
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        if self.pending && self.status() == STATUS_PENDING {
            if let Ok(driver) = driver() {
                // SAFETY: the driver compares addresses only.
                unsafe { CancelIoEx(driver.raw(), self.place.cast::<OVERLAPPED>()) };
            }
            while self.status() == STATUS_PENDING {
                self.event.wait(1);
            }
        }
        // SAFETY: made by Box, given up here, answered.
        drop(unsafe { Box::from_raw(self.place) });
    }
}

impl core::fmt::Debug for Poll {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(formatter, "Poll {:?}", self.answer())
    }
}

/// Whether one of `events` holds now.
pub(super) fn is_ready(socket: RawFd, events: u32) -> Result<bool, Errno> {
    thread_local! {
        static EVENT: Result<Arc<Handle>, Errno> = Handle::event().map(Arc::new);
    }
    let event = EVENT.with(Clone::clone)?;
    let poll = Poll::ask(socket, events, event.clone(), false)?;
    loop {
        match poll.answer() {
            Answer::Ready(ready) => return Ok(ready & events != 0),
            Answer::Gone => return Err(Errno::NOTSOCK),
            Answer::Pending => drop(event.wait(1)),
        }
    }
}

/// Whether a handle is one of a socket; a pipe's counts too, and is found out by the driver.
pub(super) fn may_be_socket(number: RawFd) -> bool {
    // SAFETY: a number that is no handle is answered with "unknown".
    unsafe { GetFileType(number as u32 as usize as HANDLE) == FILE_TYPE_PIPE }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::windows::io::AsRawSocket;

    use super::*;

    #[test]
    fn questions_are_answered_when_something_happens() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut one = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let two = listener.accept().expect("accepted").0;
        let (one_number, two_number) = (one.as_raw_socket() as i32, two.as_raw_socket() as i32);
        assert_eq!(is_ready(two_number, READABLE), Ok(false));
        assert_eq!(is_ready(one_number, WRITABLE), Ok(true));
        let event = Arc::new(Handle::event().expect("an event"));
        let poll = Poll::ask(two_number, IN, event.clone(), true).expect("a socket");
        assert_eq!(poll.answer(), Answer::Pending);
        one.write_all(b"x").expect("connected");
        assert!(event.wait(5_000));
        assert_eq!(poll.answer(), Answer::Ready(IN | RDNORM));
        let waiting = Poll::ask(one_number, IN, event.clone(), true).expect("a socket");
        drop(waiting);
        drop(two);
        assert!(may_be_socket(one_number) && !may_be_socket(event.number() as i32));
    }
}
