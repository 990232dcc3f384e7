//! Which epoll descriptors are sets with tracked sockets, and who is in them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ptr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use wsd_os::Errno;
use wsd_os::atomic::{AtomicU32, AtomicU64, Ordering};
use wsd_os::doorbell;
use wsd_os::fd::{AsRawFd, BorrowedFd};
use wsd_os::memory::{FdSlot, SharedSlot, SparseArray};
use wsd_os::poll::{PollFd, epoll_ctl_raw, ppoll};
use wsd_os::signal::{Critical, Mask};

use super::member::Member;
use crate::family;
use crate::family::layout::{DESCRIPTORS, RECORDS};
use crate::front::EpollEvent;
use crate::process;
use crate::reason::Reason;
use crate::stream::channel;
use crate::stream::state::Stream;
use crate::wait::bells;

/// Datum of the set's own wake-ups; the low half of a datum of ours is a descriptor number otherwise.
const BELL: u32 = u32::MAX;
const NUDGE: u32 = u32::MAX - 1;

/// An epoll set with tracked members.
pub(crate) struct Set {
    /// Lane, 0 if none was free: then the nudge alone wakes.
    lane: AtomicU32,
    nudge: FdSlot,
    /// A descriptor that names it.
    epfd: AtomicU32,
    /// Descriptors that name it.
    names: AtomicU32,
    /// Threads in (or about to enter) the kernel's wait.
    pub(super) sleepers: AtomicU32,
    /// Not zero: the parent's, used by a forked child.
    inherited: AtomicU32,
    /// Not zero: see [`Set::expose`].
    exposed: AtomicU32,
    /// Members that have, or had, a companion.
    companions: AtomicU32,
    /// When the kernel was asked last.
    pub(super) asked_kernel: AtomicU64,
    inner: Mutex<Inner>,
}

/// What the set's lock guards.
#[derive(Default)]
pub(super) struct Inner {
    /// By descriptor number.
    pub(super) members: Vec<Member>,
    /// Descriptors to look at.
    pub(super) ready: VecDeque<i32>,
    /// Counts the looks at the ready list.
    pub(super) round: u32,
}

impl Inner {
    /// Room for the descriptor, on the ready list too.
    pub(super) fn make_room(&mut self, number: usize) {
        if self.members.len() <= number {
            self.members.resize(number + 1, Member::default());
            let have = self.ready.len();
            self.ready.reserve((number + 1).saturating_sub(have));
        }
    }
}

/// The lock, with signal handlers deferred.
pub(super) struct Held<'a> {
    pub(super) inner: MutexGuard<'a, Inner>,
    _critical: Critical,
}

static SETS: OnceLock<SparseArray<SharedSlot<Set>>> = OnceLock::new();
/// Record -> descriptor of the one set it is in, + 1; `MANY`: look at all.
static WATCHERS: OnceLock<SparseArray<AtomicU32>> = OnceLock::new();
const MANY: u32 = u32::MAX;
/// One past the highest epoll descriptor with a set.
static HIGHEST: AtomicU32 = AtomicU32::new(0);
/// Upper half of our data: random, with a bit pattern that no pointer has.
static TAG: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static FORKING: RefCell<Vec<Held<'static>>> = const { RefCell::new(Vec::new()) };
}

/// Makes the tables.
pub(crate) fn start() -> Result<(), Errno> {
    let random = u32::from_le_bytes(wsd_os::random::bytes::<4>()?);
    TAG.store((random & 0x00FF_FFFF) | 0x5A00_0000, Ordering::Relaxed);
    SETS.set(SparseArray::new(DESCRIPTORS)?).map_err(|_| Errno::ALREADY)?;
    WATCHERS.set(SparseArray::new(RECORDS)?).map_err(|_| Errno::ALREADY)
}

pub(super) fn datum(low: u32) -> u64 {
    (u64::from(TAG.load(Ordering::Relaxed)) << 32) | u64::from(low)
}

/// The descriptor in a datum of ours.
pub(super) fn ours(data: u64) -> Option<u32> {
    ((data >> 32) as u32 == TAG.load(Ordering::Relaxed)).then_some(data as u32)
}

/// Whether a datum of ours is a wake-up.
pub(super) fn is_wakeup(low: u32) -> bool {
    low == BELL || low == NUDGE
}

fn slot(epfd: i32) -> Option<&'static SharedSlot<Set>> {
    SETS.get()?.get(usize::try_from(epfd).ok()?)
}

pub(super) fn find(epfd: i32) -> Option<&'static Set> {
    slot(epfd)?.load()
}

fn all() -> impl Iterator<Item = (i32, &'static Set)> {
    let highest = HIGHEST.load(Ordering::Acquire) as usize;
    SETS.get()
        .into_iter()
        .flat_map(|sets| sets.iter())
        .take(highest)
        .enumerate()
        .filter_map(|(epfd, slot)| Some((i32::try_from(epfd).ok()?, slot.load()?)))
}

/// Adds a wake-up to the kernel's set.
fn add(epfd: i32, fd: BorrowedFd<'_>, datum: u64) -> Result<(), Errno> {
    let event = EpollEvent { events: crate::stream::readiness::IN, u64: datum };
    epoll_ctl_raw(epfd, ADD, fd.as_raw_fd(), Some(event))
}

pub(super) const ADD: i32 = 1;
pub(super) const DEL: i32 = 2;
pub(super) const MODIFY: i32 = 3;

impl Set {
    /// Makes the set for `epfd` and adds its wake-ups to the kernel's set.
    pub(super) fn create(epfd: i32) -> Result<&'static Self, Errno> {
        let set: &'static Self = Box::leak(Box::new(Self {
            lane: AtomicU32::new(bells::take_lane().unwrap_or(0)),
            nudge: FdSlot::new(),
            epfd: AtomicU32::new(epfd as u32),
            names: AtomicU32::new(1),
            sleepers: AtomicU32::new(0),
            inherited: AtomicU32::new(0),
            exposed: AtomicU32::new(0),
            companions: AtomicU32::new(0),
            asked_kernel: AtomicU64::new(0),
            inner: Mutex::new(Inner::default()),
        }));
        let nudge = set.nudge.get_or_make(doorbell::event)?;
        add(epfd, nudge, datum(NUDGE))?;
        if let Some(bell) = (set.lane() != 0).then(|| bells::bell(set.lane())).flatten() {
            add(epfd, bell, datum(BELL))?;
        }
        slot(epfd).ok_or(Errno::BADF)?.store(set);
        HIGHEST.fetch_max(epfd as u32 + 1, Ordering::AcqRel);
        // Who waits already does not know of it.
        set.nudge();
        Ok(set)
    }

    pub(super) fn epfd(&self) -> i32 {
        self.epfd.load(Ordering::Relaxed) as i32
    }

    pub(super) fn lane(&self) -> u32 {
        self.lane.load(Ordering::Relaxed)
    }

    pub(super) fn hold(&self) -> Held<'_> {
        let critical = Critical::enter();
        Held { inner: self.inner.lock().unwrap_or_else(PoisonError::into_inner), _critical: critical }
    }

    #[inline]
    pub(super) fn has_companions(&self) -> bool {
        self.companions.load(Ordering::Acquire) != 0
    }

    /// The set itself is waited for, by poll or in another set. The kernel answers that, and knows of no ring: so the
    /// members stay on TCP, or go back.
    pub(super) fn expose(&self) {
        self.exposed.store(1, Ordering::Release);
        self.leave_all(|stream| {
            process::abandon(stream, Reason::KernelCall);
            let _ = process::leave(stream, Reason::KernelCall);
        });
    }

    /// Whether [`Set::expose`] was called.
    pub(super) fn is_exposed(&self) -> bool {
        self.exposed.load(Ordering::Acquire) != 0
    }

    /// Takes members to TCP by `leave`, then gives them to the kernel's set, for whose events alone some wait.
    fn leave_all(&self, leave: impl Fn(&Stream)) {
        let members: Vec<(i32, Member)> = {
            let held = self.hold();
            let numbered = held.inner.members.iter().enumerate();
            numbered.filter(|(_, member)| member.used).map(|(fd, member)| (fd as i32, *member)).collect()
        };
        for (fd, member) in members {
            if let Some(stream) = Stream::at(member.index).filter(|s| s.generation == member.generation) {
                leave(&stream.with(fd));
                self.settle(fd);
            }
        }
    }

    /// In a forked child: connections that the parent's companion serves come to TCP, where both can wait for them.
    pub(super) fn bring_home(&self) {
        if self.inherited.load(Ordering::Relaxed) != 0 && self.has_companions() {
            self.leave_all(process::bring_home);
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        self.has_companions() && !self.hold().inner.ready.is_empty()
    }

    /// Makes a thread that sleeps in the kernel's wait look again.
    pub(super) fn nudge(&self) {
        if let Ok(event) = self.nudge.get_or_make(doorbell::event) {
            doorbell::signal(event);
        }
    }

    /// Sleeps outside of a set that a fork has left to this process: the wake-ups in the kernel's set are the parent's. Whether the
    /// nudge came; `None`: the set is this process's own, and its wake-ups are in it.
    pub(super) fn sleep_beside(
        &self,
        epfd: i32,
        timeout: Option<Duration>,
        mask: Option<Mask>,
    ) -> Result<Option<bool>, Errno> {
        if self.inherited.load(Ordering::Relaxed) == 0 {
            return Ok(None);
        }
        let nudge = self.nudge.get_or_make(doorbell::event)?.as_raw_fd();
        let mut fds =
            [epfd, nudge].map(|fd| PollFd { fd, events: crate::stream::readiness::IN as i16, revents: 0 });
        ppoll(&mut fds, timeout, mask)?;
        let nudged = fds[1].revents != 0;
        if nudged {
            self.calm();
        }
        Ok(Some(nudged))
    }

    /// Silences the nudge.
    pub(super) fn calm(&self) {
        if let Ok(event) = self.nudge.get_or_make(doorbell::event) {
            doorbell::clear(event);
        }
    }

    /// More is ready than one thread takes: another one that sleeps gets the rest.
    pub(super) fn wake_others(&self) {
        if self.sleepers.load(Ordering::SeqCst) != 0 && self.has_ready() {
            self.nudge();
        }
    }
}

/// A connection has news: its members go to the ready lists, and whoever sleeps on their sets is woken.
pub(crate) fn news(index: u32) {
    let Some(watcher) = WATCHERS.get().and_then(|watchers| watchers.get(index as usize)) else { return };
    match watcher.load(Ordering::Acquire) {
        0 => {}
        MANY => {
            for (_, set) in all() {
                set.list(index);
            }
        }
        one => {
            if let Some(set) = find(one as i32 - 1) {
                set.list(index);
            }
        }
    }
}

impl Set {
    /// News of the record comes to this set.
    pub(super) fn watch(&self, epfd: i32, index: u32) {
        let Some(watcher) = WATCHERS.get().and_then(|watchers| watchers.get(index as usize)) else { return };
        let mine = epfd as u32 + 1;
        let before = watcher.load(Ordering::Acquire);
        if before == 0 {
            watcher.store(mine, Ordering::Release);
        } else if before != mine {
            watcher.store(MANY, Ordering::Release);
        }
        if let Some(channel) = channel::of(index) {
            channel.lanes.fetch_or(1 << self.lane(), Ordering::AcqRel);
        }
    }

    /// Whether a member of this record is armed for some of the events.
    fn waits_for(&self, index: u32, events: u32) -> bool {
        let armed = |member: &Member| {
            member.used && member.index == index && !member.spent && member.events & events != 0
        };
        self.hold().inner.members.iter().any(armed)
    }

    fn list(&self, index: u32) {
        let mut found = false;
        {
            let mut held = self.hold();
            let inner = &mut *held.inner;
            let hint =
                family::get().map(|family| family.record(index).descriptor.load(Ordering::Relaxed) as usize);
            let fits = |member: &Member| member.used && member.index == index;
            let first = hint.filter(|&number| inner.members.get(number).is_some_and(fits));
            let numbers = first.map_or(0..inner.members.len(), |number| number..number + 1);
            for number in numbers {
                let member = &mut inner.members[number];
                if !fits(member) {
                    continue;
                }
                member.fresh = true;
                found = true;
                if !member.listed {
                    member.listed = true;
                    inner.ready.push_back(number as i32);
                }
            }
        }
        if found {
            self.companions.store(1, Ordering::Release);
            if self.sleepers.load(Ordering::SeqCst) != 0 {
                self.nudge();
            }
        }
    }
}

/// Whether a set of this process is to tell when some of the events happen to a record.
pub(crate) fn waits_for(index: u32, events: u32) -> bool {
    let watcher = WATCHERS.get().and_then(|watchers| watchers.get(index as usize));
    match watcher.map_or(0, |watcher| watcher.load(Ordering::Acquire)) {
        0 => false,
        MANY => all().any(|(_, set)| set.waits_for(index, events)),
        one => find(one as i32 - 1).is_some_and(|set| set.waits_for(index, events)),
    }
}

/// Somebody waits for the descriptor other than by `epoll_wait`; see [`Set::expose`] if it is a set.
pub(crate) fn expose(fd: i32) {
    if let Some(set) = find(fd)
        && set.exposed.load(Ordering::Acquire) == 0
    {
        set.expose();
    }
}

/// A record's last descriptor in this process is gone.
pub(crate) fn gone(index: u32) {
    let Some(watcher) = WATCHERS.get().and_then(|watchers| watchers.get(index as usize)) else { return };
    let before = watcher.swap(0, Ordering::AcqRel);
    if let Some(channel) = channel::of(index) {
        channel.lanes.store(0, Ordering::Relaxed);
    }
    let forget = |set: &Set| {
        for member in set.hold().inner.members.iter_mut().filter(|member| member.index == index) {
            member.used = false;
        }
    };
    match before {
        0 => {}
        MANY => all().for_each(|(_, set)| forget(set)),
        one => {
            if let Some(set) = find(one as i32 - 1) {
                forget(set);
            }
        }
    }
}

/// An epoll descriptor is about to be closed.
pub(crate) fn closing(fd: i32) {
    let Some(slot) = slot(fd) else { return };
    let Some(set) = slot.load() else { return };
    slot.clear();
    if set.names.fetch_sub(1, Ordering::AcqRel) == 1 {
        let lane = set.lane.swap(0, Ordering::AcqRel);
        if lane != 0 {
            bells::drop_lane(lane);
        }
        set.nudge.close();
        let mut held = set.hold();
        held.inner.members.iter_mut().for_each(|member| member.used = false);
        held.inner.ready.clear();
    }
}

/// A second descriptor for the same epoll set.
pub(crate) fn duplicated(old: i32, new: i32) {
    if let (Some(set), Some(slot)) = (find(old), slot(new)) {
        set.names.fetch_add(1, Ordering::AcqRel);
        slot.store(set);
        set.epfd.store(new as u32, Ordering::Relaxed);
        HIGHEST.fetch_max(new as u32 + 1, Ordering::AcqRel);
    }
}

/// One past the highest epoll descriptor that is a set.
pub(crate) fn highest() -> u32 {
    HIGHEST.load(Ordering::Acquire)
}

/// Before a fork: no set may be in the middle of a change.
pub(crate) fn before_fork() {
    let mut sets: Vec<&'static Set> = all().map(|(_, set)| set).collect();
    // A set that several descriptors name is held once.
    sets.sort_unstable_by_key(|set| ptr::from_ref(*set));
    sets.dedup_by(|one, other| ptr::eq(*one, *other));
    FORKING.with_borrow_mut(|held| held.extend(sets.into_iter().map(Set::hold)));
}

/// After a fork, in both processes.
pub(crate) fn after_fork() {
    FORKING.with_borrow_mut(Vec::clear);
}

/// In the child of a fork, before [`after_fork`]: what the parent knows as the record `from` is this process's own one.
pub(crate) fn inherit(from: u32, to: &Stream) {
    FORKING.with_borrow_mut(|held| {
        let members = held.iter_mut().flat_map(|held| held.inner.members.iter_mut());
        for member in members.filter(|member| member.used && member.index == from) {
            (member.index, member.generation) = (to.index, to.generation);
        }
    });
    let watchers = |index: u32| WATCHERS.get().and_then(|watchers| watchers.get(index as usize));
    if let (Some(parents), Some(own)) = (watchers(from), watchers(to.index)) {
        let watcher = parents.swap(0, Ordering::AcqRel);
        own.store(watcher, Ordering::Release);
        if let Some(channel) = channel::of(to.index).filter(|_| watcher != 0) {
            // Inherited sets have no other lane.
            channel.lanes.store(1, Ordering::Release);
        }
    }
}

/// In the child: the sets are shared with the parent, whose wake-ups are in them.
pub(crate) fn in_child() {
    for (_, set) in all() {
        set.lane.store(0, Ordering::Relaxed);
        set.sleepers.store(0, Ordering::Relaxed);
        set.nudge.forget();
        set.inherited.store(1, Ordering::Relaxed);
    }
}
