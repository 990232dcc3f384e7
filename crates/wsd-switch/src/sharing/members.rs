//! The processes that share a connection: entering, asking for control, being told.

use std::time::Duration;

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::process::{self, ProcessId};
use wsd_os::thread;
use wsd_os::{clock, futex};

use super::page::{Control, Member, Page};
use crate::wait::bells;

/// `pid` of an entry that is being filled in.
pub(crate) const ENTERING: u32 = u32::MAX;

/// Who has closed a connection has left within this time (nanoseconds).
const LEAVE_WITHIN: u64 = 5_000_000_000;

/// `reserved` of a member that control is going to, so that it must not leave; of one that has left; of a child of fork that has
/// the connection and cannot take control yet.
const NEXT: u32 = 1;
const LEFT: u32 = 2;
const CHILD: u32 = 3;

/// This process's entry, if it has one.
pub(crate) fn own(page: &Page) -> Option<u32> {
    of_token(page, bells::token())
}

fn of_token(page: &Page, token: [u64; 2]) -> Option<u32> {
    let its = |member: &Member| {
        member.pid.load(Ordering::Acquire) != 0
            && [0, 1].map(|half| member.token[half].load(Ordering::Relaxed)) == token
    };
    page.members.iter().position(its).map(|number| number as u32)
}

/// This process's entry, made if need be. `None`: there are too many already.
pub(crate) fn enter(page: &Page) -> Option<u32> {
    own(page).or_else(|| fill_in(page, bells::token(), 0, None))
}

/// An entry for another process, which will have the connection as soon as it takes it up ([`begin_child`]). `None`: there are too many,
/// or it has one, since it has yet to leave.
pub(crate) fn enter_heir(page: &Page, process: ProcessId, token: [u64; 2]) -> Option<u32> {
    if of_token(page, token).is_some() {
        return None;
    }
    fill_in(page, token, CHILD, Some(process))
}

/// Before a fork: an entry for the child, which will have that token. Until the child has written its own id ([`settle_child`]) the
/// entry has this process's, and nobody gives it control.
#[cfg(target_os = "linux")]
pub(crate) fn prepare_child(page: &Page, token: [u64; 2]) -> Option<u32> {
    fill_in(page, token, CHILD, None)
}

/// `process`: whose the entry is, if not this one's.
fn fill_in(page: &Page, token: [u64; 2], reserved: u32, process: Option<ProcessId>) -> Option<u32> {
    let controller = match page.control() {
        Control::Held(number) | Control::Offered(number) => Some(number as usize),
        Control::None | Control::Dead => None,
    };
    let free = |(number, member): (usize, &Member)| {
        let pid = member.pid.load(Ordering::Acquire);
        // What a member that died without leaving has left; but the death of the controller is not to be covered up.
        let stale = pid != 0 && controller != Some(number) && !is_alive(member);
        (pid == 0 || (stale && pid != ENTERING))
            && member.pid.compare_exchange(pid, ENTERING, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    let number = page.members.iter().enumerate().position(free)?;
    let member = &page.members[number];
    member.ticket.store(0, Ordering::Relaxed);
    member.reserved.store(reserved, Ordering::Relaxed);
    member.closed.store(0, Ordering::Relaxed);
    for (word, half) in member.token.iter().zip(token) {
        word.store(half, Ordering::Relaxed);
    }
    name_process(member, process.unwrap_or_else(this_process));
    u32::try_from(number).ok()
}

fn this_process() -> ProcessId {
    let pid = thread::pid();
    ProcessId { pid, start: process::start_time(pid).unwrap_or(0) }
}

/// Writes a process into an entry that is being filled in.
fn name_process(member: &Member, process: ProcessId) {
    member.start.store(process.start, Ordering::Relaxed);
    member.pid.store(process.pid, Ordering::Release);
}

/// In the child of a fork: the entry is this process's.
#[cfg(target_os = "linux")]
pub(crate) fn settle_child(page: &Page, number: u32) {
    let member = &page.members[number as usize];
    member.pid.store(ENTERING, Ordering::Release);
    name_process(member, this_process());
}

/// In the child of a fork: its service thread runs, so it can be given control.
pub(crate) fn begin_child(page: &Page, number: u32) {
    let reserved = &page.members[number as usize].reserved;
    if reserved.compare_exchange(CHILD, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
        && let Control::Held(controller) = page.control()
    {
        // It may be closing, and have waited for this.
        tell(page, controller);
    }
}

/// Whether the entry is that of a child of fork which cannot take control yet.
pub(crate) fn is_child(page: &Page, number: u32) -> bool {
    page.members[number as usize].reserved.load(Ordering::Acquire) == CHILD
}

/// This process has nothing to do with the connection any more; false: control is on its way to it, and has to be awaited.
pub(crate) fn leave(page: &Page, number: u32) -> bool {
    let member = &page.members[number as usize];
    // Against `reserve`: either the controller finds that it has left, or it stays.
    let left = |state| (state != NEXT).then_some(LEFT);
    if member.reserved.fetch_update(Ordering::AcqRel, Ordering::Acquire, left).is_err() {
        return false;
    }
    member.ticket.store(0, Ordering::Relaxed);
    member.pid.store(0, Ordering::Release);
    // A thread of this process may wait for it, to come back.
    let _ = futex::wake(&member.pid, i32::MAX as u32);
    true
}

/// Waits until this process, whose program has closed the connection, has left.
///
/// # Errors
/// `ECONNRESET`: that takes too long, since nobody takes control over.
pub(crate) fn await_parting(page: &Page) -> Result<(), Errno> {
    let end = clock::now_ns() + LEAVE_WITHIN;
    while let Some(number) = own(page) {
        let word = &page.members[number as usize].pid;
        let left = end.checked_sub(clock::now_ns()).ok_or(Errno::CONNRESET)?;
        let _ = futex::wait(word, thread::pid(), Some(Duration::from_nanos(left)));
    }
    Ok(())
}

/// This process's program has closed the connection: control does not come here any more, but for what was on its way.
pub(crate) fn close(page: &Page, number: u32) {
    page.members[number as usize].closed.store(1, Ordering::Release);
}

/// Whether a member's process lives, and its program has the connection.
fn is_using(member: &Member) -> bool {
    member.closed.load(Ordering::Acquire) == 0 && is_alive(member)
}

/// By the controller: control is going to this member, which from now on does not leave; false: it has left, or is dead.
fn reserve(member: &Member) -> bool {
    is_using(member) && member.reserved.compare_exchange(0, NEXT, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

/// Control does not go to the member, or has arrived there: it can leave.
pub(crate) fn release(page: &Page, number: u32) {
    let reserved = &page.members[number as usize].reserved;
    let _ = reserved.compare_exchange(NEXT, 0, Ordering::AcqRel, Ordering::Acquire);
}

/// Whether the program of another process has the connection.
pub(crate) fn has_others(page: &Page, me: u32) -> bool {
    page.members.iter().enumerate().any(|(number, member)| number != me as usize && is_using(member))
}

/// Whether the process behind an entry still runs.
pub(crate) fn is_alive(member: &Member) -> bool {
    match member.pid.load(Ordering::Acquire) {
        0 => false,
        // A child is writing its own id over its parent's.
        ENTERING => member.reserved.load(Ordering::Acquire) == CHILD,
        pid => process::is_alive(pid, member.start.load(Ordering::Relaxed)),
    }
}

/// Takes a ticket, unless the process waits with one already; whether it did.
pub(crate) fn take_ticket(page: &Page, number: u32) -> bool {
    let ticket = &page.members[number as usize].ticket;
    if ticket.load(Ordering::Acquire) != 0 {
        return false;
    }
    let next = page.tickets.fetch_add(1, Ordering::AcqRel) + 1;
    // If another thread of this process was faster, one ticket is enough.
    ticket.compare_exchange(0, next, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// Whoever has waited longest, of those that live (SW-181); it does not leave from now on. `anybody`: if nobody waits, any other.
/// None that has closed: two of those would hand control to each other for ever.
pub(crate) fn reserve_next(page: &Page, except: u32, anybody: bool) -> Option<u32> {
    let mut waiting: Vec<(u64, usize)> = page
        .members
        .iter()
        .enumerate()
        .map(|(number, member)| (member.ticket.load(Ordering::Acquire), number))
        .filter(|(ticket, number)| (*ticket != 0 || anybody) && *number != except as usize)
        .collect();
    waiting.sort_unstable_by_key(|(ticket, number)| (*ticket == 0, *ticket, *number));
    let first = waiting.into_iter().find(|(_, number)| reserve(&page.members[*number]))?;
    u32::try_from(first.1).ok()
}

/// Whether somebody wants control.
pub(crate) fn is_wanted(page: &Page) -> bool {
    page.members.iter().any(|member| member.ticket.load(Ordering::Acquire) != 0)
}

/// The service thread of a member shall look at the page.
pub(crate) fn tell(page: &Page, number: u32) {
    let member = &page.members[number as usize];
    if member.pid.load(Ordering::Acquire) != 0 {
        bells::ring([0, 1].map(|half| member.token[half].load(Ordering::Relaxed)), 0);
    }
}

/// All of them shall.
pub(crate) fn tell_all(page: &Page) {
    (0..page.members.len() as u32).for_each(|number| tell(page, number));
}

/// Whether control is with a process that is gone: then so is the connection (SW-188).
pub(crate) fn controller_is_gone(page: &Page) -> bool {
    match page.control() {
        Control::Held(number) | Control::Offered(number) => !is_alive(&page.members[number as usize]),
        Control::None | Control::Dead => false,
    }
}

#[cfg(test)]
mod tests {
    use wsd_os::memory::{RegionOptions, SharedRegion};

    use super::*;

    /// SW-181 (SAN first): whoever has waited longest is next, whatever its number; only who asked, as long as the controller's program
    /// has the connection; none that has closed or left, or is gone.
    #[test]
    fn the_line_is_first_in_first_out() {
        let region =
            SharedRegion::create(c"page", size_of::<Page>(), RegionOptions::default()).expect("memory");
        let page: &Page = region.at(0).expect("inside");
        let pid = thread::pid();
        let start = process::start_time(pid).expect("this process");
        for member in &page.members[..6] {
            member.pid.store(pid, Ordering::Relaxed);
            member.start.store(start, Ordering::Relaxed);
        }
        assert_eq!(reserve_next(page, 0, false), None);
        for asks in [4, 1, 5, 3] {
            take_ticket(page, asks);
        }
        // A second request of a process changes nothing.
        take_ticket(page, 4);
        page.members[5].start.store(start + 1, Ordering::Relaxed);
        close(page, 3);
        assert!(is_wanted(page) && has_others(page, 0));
        let mut line = std::iter::from_fn(|| reserve_next(page, 0, false));
        assert_eq!((line.next(), line.next(), line.next()), (Some(4), Some(1), None));
        assert!(!leave(page, 4), "control is on its way");
        release(page, 4);
        assert!(leave(page, 4) && leave(page, 2));
        assert_eq!(reserve_next(page, 0, true), None, "nobody is left that could have it");
    }
}
