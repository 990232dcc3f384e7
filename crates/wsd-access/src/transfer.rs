//! Reading from and writing to the peer's memory.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use crate::error::{ReadyError, TransferError, ended};
use crate::ffi::{Table, table};
use crate::memory::Memory;
use crate::{Window, milliseconds, why_of};

/// A transfer under way. Dropped before its end it goes on, and its memory is never freed.
#[derive(Debug)]
pub struct Operation {
    /// `None` once it was given back.
    memory: Option<Memory>,
    number: i64,
}

/// A transfer that has ended.
#[derive(Debug)]
pub struct Done {
    /// The local memory; after a failed read it may have been changed in part.
    pub memory: Memory,
    /// How it ended.
    pub result: Result<(), TransferError>,
}

/// A transfer that was not begun.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Refused {
    /// Why.
    #[source]
    pub error: TransferError,
    /// The local memory.
    pub memory: Memory,
}

/// Begins to read from the peer's memory, at `offset` of its window, as much as `memory` is long.
///
/// # Errors
/// [`Refused`].
pub fn read(socket: &impl AsFd, memory: Memory, window: &Window, offset: u64) -> Result<Operation, Refused> {
    begin(socket, memory, |table, fd, memory| {
        // SAFETY: the memory is valid, and stays so until `wait` says that the operation has ended: `Operation` frees it only
        // then. There are no references to it (`Memory`). The window is read before the call returns.
        unsafe { (table.read)(fd, memory.start(), memory.len(), window, offset) }
    })
}

/// Begins to write all of `memory` into the peer's memory, at `offset` of its window.
///
/// # Errors
/// [`Refused`].
pub fn write(socket: &impl AsFd, memory: Memory, window: &Window, offset: u64) -> Result<Operation, Refused> {
    begin(socket, memory, |table, fd, memory| {
        // SAFETY: as in `read`.
        unsafe { (table.write)(fd, memory.start(), memory.len(), window, offset) }
    })
}

fn begin(
    socket: &impl AsFd,
    memory: Memory,
    call: impl FnOnce(&Table, i32, &Memory) -> i64,
) -> Result<Operation, Refused> {
    let Some(table) = table() else {
        return Err(Refused { error: ReadyError::NotRunning.into(), memory });
    };
    let fd = socket.as_fd().as_raw_fd();
    match call(table, fd, &memory) {
        number @ 1.. => Ok(Operation { memory: Some(memory), number }),
        error => Err(Refused { error: TransferError::of(-(error as i32), || why_of(table, fd)), memory }),
    }
}

impl Operation {
    /// Waits for the end, at most for that time.
    ///
    /// # Errors
    /// The operation itself, which goes on.
    pub fn wait(mut self, timeout: Duration) -> Result<Done, Self> {
        let Some(result) = outcome(self.number, timeout) else { return Err(self) };
        let memory = self.memory.take().expect("it is there until the value is given away");
        Ok(Done { memory, result: result.map_err(TransferError::of_end) })
    }
}

fn outcome(number: i64, timeout: Duration) -> Option<Result<(), i32>> {
    let table = table()?;
    // SAFETY: takes numbers only.
    ended(unsafe { (table.wait)(number, milliseconds(timeout)) })
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take()
            && outcome(self.number, Duration::ZERO).is_none()
        {
            // The provider may still use it.
            std::mem::forget(memory);
        }
    }
}
