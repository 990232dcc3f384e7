//! Descriptors: kernel handles, or handles with what this process knows of their object.

use core::fmt;
use core::marker::PhantomData;
use std::net::TcpStream;
use std::os::windows::io::AsRawSocket;
use std::sync::Arc;

use windows_sys::Win32::Foundation::{GetHandleInformation, HANDLE, HANDLE_FLAG_INHERIT};
use windows_sys::Win32::Networking::WinSock as ws;

use super::Errno;
use super::door::Door;
use super::end::End;
use super::handle::Handle;
use super::poll::Set;
use super::socket::Socket;

/// The number of a descriptor: that of its handle, whose upper half never matters. -1 is none.
pub type RawFd = i32;

/// A descriptor that is closed when this value is dropped.
pub struct OwnedFd(pub(super) Object);

/// What a descriptor is.
#[derive(Clone)]
pub(super) enum Object {
    /// Nothing but a handle: memory, a process, an event, a timer.
    Plain(Arc<Handle>),
    /// An end of a link.
    End(Arc<End>),
    /// A door.
    Door(Arc<Door>),
    /// A set.
    Set(Arc<Set>),
    /// A socket of our own.
    Socket(Arc<Socket>),
    /// A handle of the program, or of a table that answers for it: what the number stands for is known to the system alone.
    Number(RawFd),
}

/// A descriptor that is open as long as something is borrowed.
#[derive(Clone)]
pub struct BorrowedFd<'a>(pub(super) Object, PhantomData<&'a ()>);

/// What has a descriptor.
pub trait AsFd {
    /// The descriptor.
    fn as_fd(&self) -> BorrowedFd<'_>;
}

/// What has a number.
pub trait AsRawFd {
    /// The number of the descriptor.
    fn as_raw_fd(&self) -> RawFd;
}

impl Object {
    fn number(&self) -> RawFd {
        match self {
            Self::Plain(handle) => handle.number() as RawFd,
            Self::End(end) => end.number(),
            Self::Door(door) => door.number(),
            Self::Set(set) => set.number(),
            Self::Socket(socket) => socket.number(),
            Self::Number(number) => *number,
        }
    }
}

impl BorrowedFd<'_> {
    /// The descriptor of that.
    pub(super) fn of(object: Object) -> Self {
        Self(object, PhantomData)
    }
}

impl From<Handle> for OwnedFd {
    fn from(handle: Handle) -> Self {
        Self(Object::Plain(Arc::new(handle)))
    }
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        BorrowedFd::of(self.0.clone())
    }
}

impl AsFd for BorrowedFd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.clone()
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        borrow(self.as_raw_socket() as RawFd)
    }
}

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.number()
    }
}

impl AsRawFd for BorrowedFd<'_> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.number()
    }
}

impl fmt::Debug for OwnedFd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "handle {:#x}", self.as_raw_fd())
    }
}

/// The program's own handle, for one call on the program's behalf: whatever the number stands for then, the system answers as
/// it would have answered the program.
#[inline]
pub fn borrow(number: RawFd) -> BorrowedFd<'static> {
    BorrowedFd::of(Object::Number(number))
}

/// Another descriptor of the same object.
///
/// # Errors
///
/// `BADF`; `OPNOTSUPP` of a link, a listener, a set or a socket of our own.
pub fn duplicate_high(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    match &fd.0 {
        Object::Plain(handle) => handle.duplicate().map(OwnedFd::from),
        Object::Number(number) => match Socket::again(*number as u32 as ws::SOCKET) {
            Err(Errno::NOTSOCK) => Handle::of_program(*number).map(OwnedFd::from),
            socket => socket.map(OwnedFd::from),
        },
        Object::Socket(_) | Object::End(_) | Object::Door(_) | Object::Set(_) => Err(Errno::OPNOTSUPP),
    }
}

/// Whether processes that this one starts do not get the handle; yes too if there is none.
pub fn is_close_on_exec(fd: BorrowedFd<'_>) -> bool {
    let mut flags = 0;
    // SAFETY: a number that is no handle is answered with an error.
    let told = unsafe { GetHandleInformation(fd.as_raw_fd() as u32 as usize as HANDLE, &raw mut flags) };
    told == 0 || flags & HANDLE_FLAG_INHERIT == 0
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        Self(Object::Socket(Arc::new(socket)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Read, Write};
    use std::net::TcpListener;

    use super::super::tcp;
    use super::*;

    /// SW-161: what is kept of a closed connection can send what is left.
    #[test]
    fn a_second_descriptor_of_a_socket_outlives_the_first() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut one = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let mut two = listener.accept().expect("accepted").0;
        one.write_all(b"before ").expect("a reader");
        let kept = duplicate_high(borrow(one.as_raw_socket() as RawFd)).expect("a descriptor");
        drop(one);
        assert_eq!(tcp::send(kept.as_fd(), &[IoSlice::new(b"behind")], tcp::Flags::NONE), Ok(6));
        drop(kept);
        let mut all = String::new();
        two.read_to_string(&mut all).expect("a stream to its end");
        assert_eq!(all, "before behind");
    }
}
