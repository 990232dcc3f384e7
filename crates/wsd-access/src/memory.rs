//! Memory that the peer may use.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use wsd_spi::client::{Buffer, MemoryExt, StableMemory};

use crate::error::{ExposeError, ReadyError, ended};
use crate::ffi::{self, table};
use crate::{WINDOW, Window, milliseconds, why_of};

/// Whole pages of memory, zero at first. No reference to its bytes exists: they are copied in and out, since the switch and
/// the peer may use them at the same time while they are lent.
pub struct Memory(Buffer);

impl Memory {
    /// Memory of `length` bytes; `None` if there is not so much.
    pub fn new(length: usize) -> Option<Self> {
        Buffer::new(length).ok().map(Self)
    }

    /// A copy of these bytes; `None` if there is no memory for it.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let memory = Self::new(bytes.len())?;
        memory.write(0, bytes);
        Some(memory)
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the length is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies from it.
    ///
    /// # Panics
    /// If the bytes are not all inside.
    pub fn read(&self, offset: usize, target: &mut [u8]) {
        self.0.read(offset, target);
    }

    /// Copies into it.
    ///
    /// # Panics
    /// If the bytes are not all inside.
    pub fn write(&self, offset: usize, source: &[u8]) {
        self.0.write(offset, source);
    }

    /// A copy of all of it.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.read(0, &mut bytes);
        bytes
    }

    pub(crate) fn start(&self) -> *mut core::ffi::c_void {
        self.0.as_ptr().as_ptr().cast()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} bytes)", self.len())
    }
}

/// What the peer may do with exposed memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rights {
    /// Read it.
    Read = ffi::READ,
    /// Write it.
    Write = ffi::WRITE,
    /// Both.
    ReadWrite = ffi::READ | ffi::WRITE,
}

/// Exposed memory. Dropped without [`withdraw`](Self::withdraw), it is withdrawn, and freed if it came back at once.
#[derive(Debug)]
pub struct Exposure {
    /// `None` once it was given back.
    memory: Option<Memory>,
    number: i64,
    /// Not in the value itself, which is an error of `withdraw` too.
    window: Box<Window>,
}

/// Lets the peer of the connection use the memory, until it is withdrawn, the socket is closed, or the connection goes back to
/// TCP.
///
/// # Errors
/// [`ExposeError`]; the memory is freed then.
pub fn expose(socket: &impl AsFd, memory: Memory, rights: Rights) -> Result<Exposure, ExposeError> {
    let table = table().ok_or(ReadyError::NotRunning)?;
    let fd = socket.as_fd().as_raw_fd();
    let mut window = Box::new([0; WINDOW]);
    // SAFETY: the memory is valid, and stays so until `withdraw` or `wait` says that the exposure has ended: `Exposure` frees it
    // only then. There are no references to it (`Memory`). The window is a local variable.
    let number = unsafe {
        (table.expose)(fd, memory.start(), memory.len(), rights as core::ffi::c_uint, &raw mut *window)
    };
    if number > 0 {
        return Ok(Exposure { memory: Some(memory), number, window });
    }
    Err(ExposeError::of(-(number as i32), || why_of(table, fd)))
}

impl Exposure {
    /// What the peer needs.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The memory, which the peer may be using: what is copied may be of different moments.
    pub fn memory(&self) -> &Memory {
        self.memory.as_ref().expect("it is there until the value is given away")
    }

    /// Whether it has ended by itself: the companion has, by whatever cause. [`withdraw`](Self::withdraw) gives the memory then.
    pub fn has_ended(&self) -> bool {
        // SAFETY: takes numbers only. The number means nothing once the end was told, and that is an end too.
        table().is_none_or(|table| ended(unsafe { (table.wait)(self.number, 0) }).is_some())
    }

    /// Ends the peer's access, at most in that time, and gives the memory back.
    ///
    /// # Errors
    /// The exposure itself, which goes on.
    pub fn withdraw(mut self, timeout: Duration) -> Result<Memory, Self> {
        if !withdrawn(self.number, timeout) {
            return Err(self);
        }
        Ok(self.memory.take().expect("it is there until the value is given away"))
    }
}

/// Whether the exposure has ended in that time.
fn withdrawn(number: i64, timeout: Duration) -> bool {
    // SAFETY: takes numbers only.
    let result = table().map(|table| unsafe { (table.withdraw)(number, milliseconds(timeout)) });
    // An unknown number: a forked child has a copy of its parent's memory that nobody else uses.
    result.is_none_or(|result| ended(result).is_some())
}

impl Drop for Exposure {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take()
            && !withdrawn(self.number, Duration::ZERO)
        {
            // The peer may still use it.
            std::mem::forget(memory);
        }
    }
}
