//! One-sided access for programs that know wsdirect (`docs/one-sided.md`): the program's side. What providers are asked for is
//! in `service::access`.
//!
//! All functions may be called by any thread, not by signal handlers. None waits without limit.

mod desk;
mod error;
mod loan;
mod ready;
mod window;

use std::sync::Arc;
use std::time::Duration;

use wsd_os::atomic::Ordering;
use wsd_spi::MemoryAccess;
use wsd_spi::client::{LentMemory, MemorySlice, StableMemory};

pub use error::{ExposeError, ReadyError, TransferError, Unserved, WithdrawError};
pub use loan::Share;
pub use ready::{ready, why};
pub use window::{WINDOW, WindowError};

#[cfg(target_os = "linux")]
pub(crate) use desk::restart_in_child;
pub(crate) use desk::{Answer, Request, What, abandon, desk, start};
pub(crate) use loan::Loan;
pub(crate) use window::Window;

use crate::family::record::PEER_GONE;
use crate::family::{self, Attach, Life};
use crate::front::Socket;
use crate::reason::Reason;
use crate::stream::state::Stream;
use desk::Entry;
use loan::deadline;
use window::rights_of;

/// How long the service thread may be busy elsewhere before an exposure is given up.
const EXPOSE_WITHIN: Duration = Duration::from_secs(5);

/// Memory that a program lends for one exposure or one transfer.
pub type Lent = LentMemory<Share>;

/// What a transfer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer's memory to ours.
    Read,
    /// From our memory to the peer's.
    Write,
}

/// A transfer that was checked, on its way to the service thread.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) direction: Direction,
    pub(crate) memory: MemorySlice,
    pub(crate) window: Window,
    pub(crate) offset: u32,
    pub(crate) loan: Arc<Loan>,
}

/// The socket behind a descriptor.
///
/// # Errors
/// [`Unserved`].
pub fn find(fd: i32) -> Result<Socket, Unserved> {
    desk().ok_or(Unserved::NoService)?;
    crate::front::find(fd).ok_or(Unserved::Untracked)
}

/// Exposes memory to the peer of a connection; `rights` as in the window. Gives the exposure's number and its window.
///
/// After success the memory is lent until [`withdraw`] or [`wait`] says that it is not; after an error it is the program's.
///
/// # Errors
/// [`ExposeError`].
pub fn expose(socket: Socket, lent: Lent, rights: u8) -> Result<(u64, [u8; WINDOW]), ExposeError> {
    let access = rights_of(rights).ok_or(ExposeError::Rights)?;
    let (memory, loan) = whole(lent).ok_or(ExposeError::Length)?;
    let stream = served(socket)?;
    let desk = desk().ok_or(Unserved::NoService)?;
    let number = desk.number(Entry::exposure(&stream, loan));
    let (answer, told) = Answer::new();
    let request = Request::of(&stream, What::Expose { number, memory, access, answer });
    if !desk.ask(request) {
        desk.forget(number);
        return Err(Unserved::NoService.into());
    }
    let result = loop {
        if let Some(result) = told.wait(deadline(EXPOSE_WITHIN)) {
            break *result;
        }
        if desk.cancel(number) {
            desk.forget(number);
            return Err(ExposeError::Late);
        }
        // The service thread has the request in hand and answers it: providers do not block.
    };
    if result.is_err() {
        desk.forget(number);
    }
    result.map(|window| (number, window))
}

/// Ends an exposure. When it has succeeded, also if the exposure had ended by itself, the peer has no access and the memory is
/// the program's; the number means nothing then.
///
/// # Errors
/// [`WithdrawError`].
pub fn withdraw(exposure: u64, timeout: Duration) -> Result<(), WithdrawError> {
    let desk = desk().ok_or(WithdrawError::Unknown)?;
    let entry = desk.entry(exposure).ok_or(WithdrawError::Unknown)?;
    let (index, generation) = entry.exposed_on.ok_or(WithdrawError::Unknown)?;
    // Without a service thread there is no exposure either.
    desk.ask(Request { index, generation, what: What::Withdraw { number: exposure } });
    if !entry.loan.wait(deadline(timeout)) {
        return Err(WithdrawError::Pending);
    }
    desk.forget(exposure);
    Ok(())
}

/// Begins to read from, or to write to, the peer's memory at `offset` of its window. Gives the operation's number, for [`wait`].
///
/// After success the memory is lent until [`wait`] says that it is not; after an error it is the program's.
///
/// # Errors
/// [`TransferError`].
pub fn transfer(
    socket: Socket,
    direction: Direction,
    lent: Lent,
    window: &[u8; WINDOW],
    offset: u64,
) -> Result<u64, TransferError> {
    let (memory, loan) = whole(lent).ok_or(TransferError::Length)?;
    let window = Window::decode(window)?;
    let allowed = match direction {
        Direction::Read => window.access.reads(),
        Direction::Write => window.access.writes(),
    };
    if !allowed {
        return Err(TransferError::Rights);
    }
    let offset = window.place(offset, memory.len() as u64).ok_or(TransferError::Range)?;
    let stream = served(socket)?;
    let desk = desk().ok_or(Unserved::NoService)?;
    let number = desk.number(Entry::transfer(loan.clone()));
    let transfer = Transfer { direction, memory, window, offset, loan };
    if desk.ask(Request::of(&stream, What::Transfer(Box::new(transfer)))) {
        return Ok(number);
    }
    desk.forget(number);
    Err(Unserved::NoService.into())
}

/// The result of a transfer, or the end of an exposure that ended by itself; at most for `timeout`. Told once: unless it is
/// [`TransferError::Pending`] the number means nothing afterwards, and the memory is the program's.
///
/// # Errors
/// [`TransferError`].
pub fn wait(number: u64, timeout: Duration) -> Result<(), TransferError> {
    let desk = desk().ok_or(TransferError::Unknown)?;
    let entry = desk.entry(number).ok_or(TransferError::Unknown)?;
    if !entry.loan.wait(deadline(timeout)) {
        return Err(TransferError::Pending);
    }
    desk.forget(number);
    entry.loan.result()
}

/// Lent memory as providers take it, if it has a length that they can take.
fn whole(lent: Lent) -> Option<(MemorySlice, Arc<Loan>)> {
    let loan = lent.loan().loan();
    let memory = MemorySlice::whole(Arc::new(lent)).filter(|memory| !memory.is_empty())?;
    Some((memory, loan))
}

/// The connection, if its companion stands and is this process's.
fn served(socket: Socket) -> Result<Stream, Unserved> {
    let stream = Stream::of(socket).ok_or(Unserved::NoService)?;
    match standing(&stream)? {
        Standing::Up => Ok(stream),
        Standing::Idle | Standing::UnderWay => Err(Unserved::OnTcp(reason(&stream))),
    }
}

/// How far a connection's companion is.
enum Standing {
    /// Nobody has asked for one.
    Idle,
    /// It is being made, or taken apart.
    UnderWay,
    /// It stands.
    Up,
}

fn standing(stream: &Stream) -> Result<Standing, Unserved> {
    let record = stream.record;
    if !stream.is_current() || matches!(record.life(), Life::Free | Life::Closed | Life::Listening) {
        return Err(Unserved::NotConnected);
    }
    let controller = record.controller.load(Ordering::Acquire) as usize;
    if controller != 0 && controller != family::my_slot() + 1 {
        return Err(Unserved::OtherProcess);
    }
    match record.attach() {
        Attach::Attached if record.recv.common.flagged(PEER_GONE) => {
            Err(Unserved::OnTcp(Reason::CompanionLost))
        }
        Attach::Attached => Ok(Standing::Up),
        Attach::Wanted | Attach::Leaving => Ok(Standing::UnderWay),
        Attach::Never => Err(Unserved::OnTcp(reason(stream))),
        Attach::No => Ok(Standing::Idle),
    }
}

/// Why a connection has no companion. While one is being made: why the attempt before came to nothing.
pub(crate) fn reason(stream: &Stream) -> Reason {
    match stream.record.reason().unwrap_or(Reason::CompanionLost) {
        // The service thread has not come to it yet.
        Reason::LittleTraffic if stream.record.attach() == Attach::Wanted => Reason::Attaching,
        Reason::Attaching => desk().and_then(|desk| desk.noted(stream)).unwrap_or(Reason::Attaching),
        reason => reason,
    }
}

/// The access of the provider's own side for a transfer.
pub(crate) fn local_access(direction: Direction) -> MemoryAccess {
    match direction {
        Direction::Read => MemoryAccess::Write,
        Direction::Write => MemoryAccess::Read,
    }
}
