//! A connection, used in one of the ways that Winsock has.

use core::ffi::c_void;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::windows::io::AsRawSocket;
use std::ptr::{null, null_mut};
use std::sync::{Condvar, Mutex};

use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE, WAIT_IO_COMPLETION};
use windows_sys::Win32::Networking::WinSock as ws;
use windows_sys::Win32::Storage::FileSystem::{ReadFileEx, WriteFileEx};
use windows_sys::Win32::System::IO::{
    BindIoCompletionCallback, CreateIoCompletionPort, GetQueuedCompletionStatus, OVERLAPPED,
};
use windows_sys::Win32::System::Threading::{
    CreateEventW, CreateThreadpoolIo, INFINITE, PTP_CALLBACK_INSTANCE, PTP_IO, SleepEx, StartThreadpoolIo,
};

/// How the program waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// In send and recv.
    Blocking,
    /// In select, with a non-blocking socket.
    Select,
    /// In WSAPoll, with a non-blocking socket.
    Poll,
    /// For events of overlapped operations.
    Events,
    /// At a completion port; a receive of no bytes is always pending, as libuv does it.
    Port,
    /// For routines, alertable.
    Routines,
    /// For routines of ReadFileEx and WriteFileEx, alertable.
    FileRoutines,
    /// For what a thread pool is told.
    Pool,
    /// For what a thread of BindIoCompletionCallback is told.
    Bound,
}

impl Way {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "blocking" => Self::Blocking,
            "select" => Self::Select,
            "poll" => Self::Poll,
            "events" => Self::Events,
            "port" => Self::Port,
            "routines" => Self::Routines,
            "file-routines" => Self::FileRoutines,
            "pool" => Self::Pool,
            "bound" => Self::Bound,
            _ => panic!("no way: {name}"),
        }
    }
}

/// The connection.
pub(crate) struct Peer {
    stream: TcpStream,
    way: Way,
    event: HANDLE,
    port: HANDLE,
    pool: PTP_IO,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream, way: Way) -> Self {
        stream.set_nonblocking(matches!(way, Way::Select | Way::Poll)).expect("an open socket");
        let handle = stream.as_raw_socket() as usize as HANDLE;
        let mut pool = 0;
        // SAFETY: no pointers but null; a socket's handle.
        let (event, port) = unsafe {
            match way {
                Way::Pool => pool = CreateThreadpoolIo(handle, Some(told_in_pool), null_mut(), null()),
                Way::Bound => assert_ne!(BindIoCompletionCallback(handle, Some(told_bound), 0), 0),
                _ => {}
            }
            let port = if way == Way::Port {
                let port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, null_mut(), 0, 0);
                CreateIoCompletionPort(handle, port, 7, 0)
            } else {
                null_mut()
            };
            (CreateEventW(null(), 1, 0, null()), port)
        };
        assert!(way != Way::Pool || pool != 0);
        Self { stream, way, event, port, pool }
    }

    fn socket(&self) -> ws::SOCKET {
        self.stream.as_raw_socket() as ws::SOCKET
    }

    fn wait(&self, writable: bool) {
        if self.way == Way::Select {
            let mut set = ws::FD_SET { fd_count: 1, fd_array: [0; 64] };
            set.fd_array[0] = self.socket();
            let place = &raw mut set;
            let (reads, writes) = if writable { (null_mut(), place) } else { (place, null_mut()) };
            // SAFETY: a set of one socket.
            let ready = unsafe { ws::select(0, reads, writes, null_mut(), null()) };
            assert_eq!((ready, set.fd_count), (1, 1));
        } else {
            let events = if writable { ws::POLLWRNORM } else { ws::POLLRDNORM };
            let mut one = ws::WSAPOLLFD { fd: self.socket(), events, revents: 0 };
            // SAFETY: an array of one.
            assert_eq!(unsafe { ws::WSAPoll(&raw mut one, 1, -1) }, 1);
            assert_ne!(one.revents, 0);
        }
    }

    /// An overlapped operation, to its end; the number of bytes.
    fn overlapped(&self, buffer: ws::WSABUF, sends: bool) -> io::Result<usize> {
        let mut overlapped = OVERLAPPED::default();
        let mut told = Told { done: false, error: 0, bytes: 0 };
        let routine: ws::LPWSAOVERLAPPED_COMPLETION_ROUTINE =
            if self.way == Way::Routines { Some(finished) } else { None };
        match self.way {
            Way::Events => overlapped.hEvent = self.event,
            Way::Routines | Way::FileRoutines => overlapped.hEvent = (&raw mut told).cast(),
            // SAFETY: the socket's own.
            Way::Pool => unsafe { StartThreadpoolIo(self.pool) },
            _ => {}
        }
        let (socket, place) = (self.socket(), &raw mut overlapped);
        let mut flags = 0;
        // SAFETY: all of it lives until the operation is over, which is waited for.
        let (begun, error) = unsafe {
            let begun = if self.way == Way::FileRoutines {
                let file = socket as HANDLE;
                let done = if sends {
                    WriteFileEx(file, buffer.buf, buffer.len, place, Some(finished_as_file))
                } else {
                    ReadFileEx(file, buffer.buf, buffer.len, place, Some(finished_as_file))
                };
                if done != 0 { 0 } else { -1 }
            } else if sends {
                ws::WSASend(socket, &raw const buffer, 1, null_mut(), 0, place, routine)
            } else {
                ws::WSARecv(socket, &raw const buffer, 1, null_mut(), &raw mut flags, place, routine)
            };
            (begun, ws::WSAGetLastError())
        };
        if begun != 0 && error != ws::WSA_IO_PENDING {
            return Err(io::Error::from_raw_os_error(error));
        }
        match self.way {
            Way::Events => {
                let mut bytes = 0;
                // SAFETY: as above.
                let done =
                    unsafe { ws::WSAGetOverlappedResult(socket, place, &raw mut bytes, 1, &raw mut flags) };
                if done == 0 { Err(io::Error::last_os_error()) } else { Ok(bytes as usize) }
            }
            Way::Port => {
                let (mut bytes, mut key, mut which) = (0, 0, null_mut());
                // SAFETY: local variables.
                let done = unsafe {
                    let (bytes, key, which) = (&raw mut bytes, &raw mut key, &raw mut which);
                    GetQueuedCompletionStatus(self.port, bytes, key, which, INFINITE)
                };
                assert_eq!((key, which), (7, place));
                if done == 0 { Err(io::Error::last_os_error()) } else { Ok(bytes as usize) }
            }
            Way::Pool | Way::Bound => {
                let (which, error, bytes) = told_by_pool();
                assert_eq!(which, place as usize);
                if error == 0 { Ok(bytes) } else { Err(io::Error::from_raw_os_error(error as i32)) }
            }
            _ => {
                // SAFETY: waits; the routine writes what `told` has.
                while !unsafe { (&raw const told.done).read_volatile() } {
                    // SAFETY: no pointers.
                    assert_eq!(unsafe { SleepEx(INFINITE, 1) }, WAIT_IO_COMPLETION);
                }
                if told.error == 0 { Ok(told.bytes) } else { Err(io::Error::from_raw_os_error(told.error)) }
            }
        }
    }
}

/// What a routine was told.
struct Told {
    done: bool,
    error: i32,
    bytes: usize,
}

/// # Safety
/// The event of the OVERLAPPED is a [`Told`].
unsafe extern "system" fn finished(error: u32, bytes: u32, overlapped: *mut OVERLAPPED, _: u32) {
    // SAFETY: the contract.
    unsafe {
        *(*overlapped).hEvent.cast::<Told>() = Told { done: true, error: error as i32, bytes: bytes as usize }
    };
}

/// # Safety
/// As [`finished`].
unsafe extern "system" fn finished_as_file(error: u32, bytes: u32, overlapped: *mut OVERLAPPED) {
    // SAFETY: the contract.
    unsafe { finished(error, bytes, overlapped, 0) };
}

/// What the pool's threads have been told, and not yet the program.
static POOL: (Mutex<Vec<Completion>>, Condvar) = (Mutex::new(Vec::new()), Condvar::new());
/// Which operation, its error, its bytes.
type Completion = (usize, u32, usize);

fn tell(overlapped: *mut OVERLAPPED, error: u32, bytes: usize) {
    POOL.0.lock().expect("no panic").push((overlapped as usize, error, bytes));
    POOL.1.notify_all();
}

fn told_by_pool() -> Completion {
    let told = POOL.0.lock().expect("no panic");
    let mut told = POOL.1.wait_while(told, |told| told.is_empty()).expect("no panic");
    told.remove(0)
}

unsafe extern "system" fn told_in_pool(
    _: PTP_CALLBACK_INSTANCE,
    _: *mut c_void,
    overlapped: *mut c_void,
    error: u32,
    bytes: usize,
    _: PTP_IO,
) {
    tell(overlapped.cast(), error, bytes);
}

unsafe extern "system" fn told_bound(error: u32, bytes: u32, overlapped: *mut OVERLAPPED) {
    tell(overlapped, error, bytes as usize);
}

impl Read for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.way {
            Way::Blocking => self.stream.read(buffer),
            Way::Select | Way::Poll => loop {
                match self.stream.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(false),
                    result => return result,
                }
            },
            Way::Events | Way::Routines | Way::FileRoutines | Way::Pool | Way::Bound => {
                self.overlapped(ws::WSABUF { len: buffer.len() as u32, buf: buffer.as_mut_ptr() }, false)
            }
            Way::Port => {
                let mut nothing = [0];
                self.overlapped(ws::WSABUF { len: 0, buf: nothing.as_mut_ptr() }, false)?;
                self.stream.read(buffer)
            }
        }
    }
}

impl Write for Peer {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.way {
            Way::Blocking => self.stream.write(buffer),
            Way::Select | Way::Poll => loop {
                match self.stream.write(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(true),
                    result => return result,
                }
            },
            _ => {
                let buffer = ws::WSABUF { len: buffer.len() as u32, buf: buffer.as_ptr().cast_mut() };
                self.overlapped(buffer, true)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
