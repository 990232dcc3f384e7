//! Waiting for descriptors, in the way of poll(2) and epoll(7): readiness as a level, not as an event.
//!
//! A set has an event. What is in the set and can be woken by another process, an end or a door, is woken by that event;
//! everything else is watched by the system's thread pool, which sets it. The event stays set as long as something was ready
//! when somebody looked last.

use core::cell::Cell;
use core::time::Duration;
use std::collections::{BTreeMap, btree_map};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::Threading::{INFINITE, WaitForMultipleObjectsEx};

use super::Errno;
use super::afd::{self, Answer, Poll};
use super::clock::now_ns;
use super::door::Door;
use super::end::End;
use super::fd::{BorrowedFd, Object, OwnedFd, RawFd};
use super::handle::Handle;
use super::registry::{self, Entry, Watch};
use super::signal::Mask;
use super::thread::outside;

/// An event is told once, then the socket is forgotten until it is registered again. For sockets only.
const ONESHOT: u32 = 1 << 30;

/// How often, in milliseconds, [`ppoll`] looks at what wakes a set.
const LOOK_AGAIN: u32 = 1;

/// Something can be read.
pub const POLLIN: i16 = 1;
/// Something can be read.
pub const EPOLLIN: i32 = 1;
/// Something can be written.
pub const EPOLLOUT: i32 = 4;

/// One descriptor to wait for and the answer.
#[derive(Clone, Copy, Debug)]
pub struct PollFd {
    /// The descriptor; negative ones are never ready.
    pub fd: RawFd,
    /// What is waited for.
    pub events: i16,
    /// What is ready.
    pub revents: i16,
}

/// One registration or event.
#[derive(Clone, Copy, Debug)]
pub struct EpollEvent {
    /// What is waited for, or ready.
    pub events: u32,
    /// Given back with the event.
    pub u64: u64,
}

/// Told whether wanted or not: an error, and the end of both directions.
const ALWAYS: u32 = 0x018;

/// What [`epoll_ctl`] does with a descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EpollOperation {
    /// Registers it.
    Add,
    /// Changes its registration.
    Modify,
    /// Removes it.
    Delete,
}

/// A set of descriptors.
#[derive(Debug)]
pub(super) struct Set {
    event: Arc<Handle>,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    all: BTreeMap<RawFd, Member>,
    /// The last that was found ready: others have their turn first.
    last: RawFd,
}

#[derive(Debug)]
struct Member {
    source: Source,
    wanted: EpollEvent,
}

#[derive(Debug)]
enum Source {
    End(Weak<End>),
    Door(Weak<Door>),
    /// A kernel object, and what sets the set's event when it is signalled.
    Object(Handle, Option<Watch>),
    /// A socket, which is closed without notice, and the question that sets the set's event. None: it has gone, or nothing is wanted.
    Socket(RawFd, Option<Poll>),
}

impl Set {
    /// Its number as a descriptor.
    pub(super) fn number(&self) -> RawFd {
        self.event.number() as RawFd
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is ready: into `events`, and how many.
    fn look(&self, events: &mut [EpollEvent]) -> usize {
        let mut members = self.members();
        loop {
            // Whatever happens from here on sets it again.
            self.event.reset();
            let asked = Cell::new(false);
            let count = self.look_once(&mut members, events, &asked);
            if count != 0 {
                self.event.set();
            }
            // A question resets the event, too: what came meanwhile is found by looking again.
            if count != 0 || !asked.get() {
                return count;
            }
        }
    }

    /// `asked`: whether a question was put to the driver.
    fn look_once(&self, members: &mut Members, events: &mut [EpollEvent], asked: &Cell<bool>) -> usize {
        let Members { all, last } = members;
        let turn = *last;
        let behind = all.range_mut(turn + 1..).map(|(number, member)| (*number, member));
        let mut count = 0;
        let mut note = |(number, member): (RawFd, &mut Member), event: &Arc<Handle>| {
            let ready = if count < events.len() { member.ready(event, asked) } else { 0 };
            if ready != 0 {
                events[count] = EpollEvent { events: ready, u64: member.wanted.u64 };
                (*last, count) = (number, count + 1);
            }
        };
        behind.for_each(|member| note(member, &self.event));
        all.range_mut(..=turn).for_each(|(number, member)| note((*number, member), &self.event));
        count
    }
}

impl Member {
    fn ready(&mut self, event: &Arc<Handle>, asked: &Cell<bool>) -> u32 {
        match &mut self.source {
            Source::End(end) => end.upgrade().map_or(0, |end| end.ready(self.wanted.events)),
            Source::Door(door) => {
                door.upgrade().map_or(0, |door| u32::from(door.is_ready()) * EPOLLIN as u32)
            }
            Source::Object(object, watch) => {
                if object.wait(0) {
                    return self.wanted.events & EPOLLIN as u32;
                }
                // It was signalled, and has been reset.
                if watch.as_ref().is_none_or(Watch::is_over) {
                    *watch = Watch::new(object, event.clone()).ok();
                }
                0
            }
            Source::Socket(socket, poll) => {
                let ready = ask(*socket, &mut self.wanted, poll, event, asked);
                if ready != 0 && self.wanted.events & ONESHOT != 0 {
                    self.wanted.events = 0;
                    *poll = None;
                }
                ready
            }
        }
    }
}

/// What is ready of a socket in a set, and the next question about it.
fn ask(
    socket: RawFd,
    wanted: &mut EpollEvent,
    poll: &mut Option<Poll>,
    event: &Arc<Handle>,
    asked: &Cell<bool>,
) -> u32 {
    // More than once only if what was answered is not true any more.
    for _ in 0..2 {
        if wanted.events & !ONESHOT == 0 {
            return 0;
        }
        let answer = match poll {
            None => Answer::Ready(0),
            Some(poll) => poll.answer(),
        };
        match answer {
            Answer::Pending => return 0,
            Answer::Ready(0) => {}
            Answer::Ready(events) => {
                *poll = None;
                return events & (wanted.events | ALWAYS);
            }
            Answer::Gone => {
                (*poll, wanted.events) = (None, 0);
                return 0;
            }
        }
        asked.set(true);
        *poll = Poll::ask(socket, wanted.events, event.clone(), true).ok();
        if poll.is_none() {
            wanted.events = 0;
        }
    }
    0
}

impl Drop for Set {
    fn drop(&mut self) {
        registry::leave(self.number());
        let members = self.members.get_mut().unwrap_or_else(PoisonError::into_inner);
        for member in members.all.values() {
            member.source.leave();
        }
    }
}

impl Source {
    /// Whether the number can still mean it.
    fn is_open(&self) -> bool {
        match self {
            Self::End(end) => end.strong_count() != 0,
            Self::Door(door) => door.strong_count() != 0,
            Self::Object(..) => true,
            Self::Socket(_, poll) => poll.is_some(),
        }
    }

    /// Has it woken by an event of its own again.
    fn leave(&self) {
        let left = match self {
            Self::End(end) => end.upgrade().map(|end| end.wake_by(None)),
            Self::Door(door) => door.upgrade().map(|door| door.wake_by(None)),
            Self::Object(..) | Self::Socket(..) => None,
        };
        // Without an event it goes on waking the set, which does not know it any more.
        let _ = left;
    }
}

/// A new set.
///
/// # Errors
///
/// `NFILE`, `NOMEM`.
pub fn epoll_create() -> Result<OwnedFd, Errno> {
    let set = Arc::new(Set { event: Arc::new(Handle::event()?), members: Mutex::default() });
    registry::enter(set.number(), Entry::Set(Arc::downgrade(&set)));
    Ok(OwnedFd(Object::Set(set)))
}

/// Registers, changes or removes `fd` in the set `epoll`. `event` is ignored for [`Delete`](EpollOperation::Delete).
/// Links and listeners leave the set when they are closed; other descriptors are to be removed before.
///
/// # Errors
///
/// `EXIST`, `NOENT`, `BADF`, `NFILE`.
pub fn epoll_ctl(
    epoll: BorrowedFd<'_>,
    operation: EpollOperation,
    fd: RawFd,
    event: EpollEvent,
) -> Result<(), Errno> {
    let Object::Set(set) = &epoll.0 else { return Err(Errno::BADF) };
    let mut members = set.members();
    match operation {
        EpollOperation::Add if members.all.get(&fd).is_some_and(|member| member.source.is_open()) => {
            Err(Errno::EXIST)
        }
        EpollOperation::Add => {
            let source = Source::of(fd, &set.event)?;
            members.all.insert(fd, Member { source, wanted: event });
            set.event.set();
            Ok(())
        }
        EpollOperation::Modify => {
            let member = members.all.get_mut(&fd).ok_or(Errno::NOENT)?;
            member.wanted = event;
            if let Source::Socket(_, poll) = &mut member.source {
                // It has asked for other events.
                *poll = None;
            }
            set.event.set();
            Ok(())
        }
        EpollOperation::Delete => {
            let member = members.all.remove(&fd).ok_or(Errno::NOENT)?;
            member.source.leave();
            Ok(())
        }
    }
}

/// Waits for events of the set `epoll`, at most for `timeout` (`None`: no limit). Fills `events` from its start and
/// returns how many. `_mask`: there are no signals.
///
/// # Errors
///
/// `BADF` if `epoll` is something else; `INVAL` if `events` is empty.
pub fn epoll_pwait(
    epoll: RawFd,
    events: &mut [EpollEvent],
    timeout: Option<Duration>,
    _mask: Option<Mask>,
) -> Result<usize, Errno> {
    if events.is_empty() {
        return Err(Errno::INVAL);
    }
    let Some(Entry::Set(set)) = registry::find(epoll) else { return Err(Errno::BADF) };
    let limit = Limit::new(timeout);
    loop {
        let (event, count) = {
            let set = set.upgrade().ok_or(Errno::BADF)?;
            (set.event.clone(), set.look(events))
        };
        let left = limit.left();
        if count != 0 || left == 0 {
            return Ok(count);
        }
        event.wait(left);
    }
}

/// Waits until a descriptor of `fds` is ready, at most for `timeout` (`None`: no limit). Returns how many have an answer in
/// `revents`. `_mask`: there are no signals.
///
/// # Errors
///
/// `BADF` if a number is none of a descriptor; `INVAL` if there are more than 64.
pub fn ppoll(fds: &mut [PollFd], timeout: Option<Duration>, _mask: Option<Mask>) -> Result<usize, Errno> {
    let limit = Limit::new(timeout);
    let mut sockets = Sockets::default();
    loop {
        let mut waits: Vec<Arc<Handle>> = Vec::new();
        let mut count = 0;
        let mut longest = INFINITE;
        for (place, fd) in fds.iter_mut().enumerate().filter(|(_, fd)| fd.fd >= 0) {
            fd.revents = 0;
            if registry::find(fd.fd).is_none() && afd::may_be_socket(fd.fd) {
                fd.revents = sockets.ready(place, fd)?;
            } else {
                let (ready, event) = look(fd.fd)?;
                fd.revents = if ready { fd.events & POLLIN } else { 0 };
                match event {
                    Some(event) => waits.push(event),
                    None => longest = LOOK_AGAIN,
                }
            }
            count += usize::from(fd.revents != 0);
        }
        let left = limit.left();
        if count != 0 || left == 0 {
            return Ok(count);
        }
        // A question resets the event that tells of the others' answers.
        if core::mem::take(&mut sockets.has_asked) {
            continue;
        }
        waits.extend(sockets.event.clone());
        wait_for_any(waits, left.min(longest))?;
    }
}

/// The questions about sockets that a [`ppoll`] has asked.
#[derive(Default)]
struct Sockets {
    event: Option<Arc<Handle>>,
    /// By places in the array.
    asked: BTreeMap<usize, Poll>,
    /// Whether one of them was asked since somebody looked at the answers.
    has_asked: bool,
}

impl Sockets {
    fn ready(&mut self, place: usize, fd: &PollFd) -> Result<i16, Errno> {
        const INVALID: i16 = 0x20;
        let wanted = u32::from(fd.events as u16);
        if self.event.is_none() {
            self.event = Some(Arc::new(Handle::event()?));
        }
        let event = self.event.clone().ok_or(Errno::NFILE)?;
        if let btree_map::Entry::Vacant(entry) = self.asked.entry(place) {
            self.has_asked = true;
            match Poll::ask(fd.fd, wanted, event.clone(), true) {
                Ok(poll) => drop(entry.insert(poll)),
                Err(Errno::NOTSOCK) => return Ok(INVALID),
                Err(error) => return Err(error),
            }
        }
        let answer = self.asked.get(&place).map_or(Answer::Gone, Poll::answer);
        Ok(match answer {
            Answer::Pending => 0,
            Answer::Ready(events) => (events & (wanted | ALWAYS)) as i16,
            Answer::Gone => INVALID,
        })
    }
}

/// Waits until one of the handles is set, at most so many milliseconds.
fn wait_for_any(mut waits: Vec<Arc<Handle>>, milliseconds: u32) -> Result<(), Errno> {
    // The system wants every handle once.
    waits.sort_by_key(|handle| handle.number());
    waits.dedup_by_key(|handle| handle.number());
    let handles: Vec<HANDLE> = waits.iter().map(|handle| handle.raw()).collect();
    if handles.len() > 64 {
        return Err(Errno::INVAL);
    }
    if handles.is_empty() {
        std::thread::sleep(Duration::from_millis(milliseconds.into()));
    } else {
        // As blocking calls of Winsock do: routines that the program has queued to its thread run meanwhile.
        outside(|| {
            let count = handles.len() as u32;
            // SAFETY: open handles, as many as there are.
            unsafe { WaitForMultipleObjectsEx(count, handles.as_ptr(), 0, milliseconds, 1) }
        });
    }
    Ok(())
}

/// Whether a descriptor is readable, and what is signalled when it becomes so; nothing is for what is in a set.
fn look(fd: RawFd) -> Result<(bool, Option<Arc<Handle>>), Errno> {
    match registry::find(fd) {
        Some(Entry::End(end)) => {
            let end = end.upgrade().ok_or(Errno::BADF)?;
            let event = end.own_event();
            event.iter().for_each(|event| event.reset());
            Ok((end.ready(EPOLLIN as u32) != 0, event))
        }
        Some(Entry::Door(door)) => {
            let door = door.upgrade().ok_or(Errno::BADF)?;
            let event = door.own_event();
            event.iter().for_each(|event| event.reset());
            Ok((door.is_ready(), event))
        }
        Some(Entry::Set(set)) => {
            let set = set.upgrade().ok_or(Errno::BADF)?;
            let mut one = [EpollEvent { events: 0, u64: 0 }];
            Ok((set.look(&mut one) != 0, Some(set.event.clone())))
        }
        None => {
            let handle = Arc::new(Handle::of_program(fd)?);
            Ok((handle.wait(0), Some(handle)))
        }
    }
}

impl Source {
    fn of(fd: RawFd, event: &Arc<Handle>) -> Result<Self, Errno> {
        match registry::find(fd) {
            Some(Entry::End(end)) => {
                end.upgrade().ok_or(Errno::BADF)?.wake_by(Some(event))?;
                Ok(Self::End(end))
            }
            Some(Entry::Door(door)) => {
                door.upgrade().ok_or(Errno::BADF)?.wake_by(Some(event))?;
                Ok(Self::Door(door))
            }
            None if afd::may_be_socket(fd) => Ok(Self::Socket(fd, None)),
            // A set's number is that of its event, which stays set as long as something is ready.
            Some(Entry::Set(_)) | None => {
                let object = Handle::of_program(fd)?;
                let watch = Some(Watch::new(&object, event.clone())?);
                Ok(Self::Object(object, watch))
            }
        }
    }
}

/// When a wait ends.
struct Limit(Option<u64>);

impl Limit {
    fn new(timeout: Option<Duration>) -> Self {
        Self(
            timeout.map(|limit| now_ns().saturating_add(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX))),
        )
    }

    /// How many milliseconds are left, rounded up.
    fn left(&self) -> u32 {
        let Some(end) = self.0 else { return INFINITE };
        let left = end.saturating_sub(now_ns()).div_ceil(1_000_000);
        u32::try_from(left).unwrap_or(INFINITE - 1).min(INFINITE - 1)
    }
}
