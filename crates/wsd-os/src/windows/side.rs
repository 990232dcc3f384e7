//! One side of a link or of a door: who has it, and how it is woken.

use std::sync::{Arc, Mutex, PoisonError};

use windows_sys::Win32::System::Threading::EVENT_MODIFY_STATE;

use super::Errno;
use super::handle::Handle;
use super::process::{Partner, ProcessId};
use super::registry::Watch;
use crate::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// What is in shared memory of one side.
#[repr(C, align(128))]
pub(super) struct Side {
    /// Process number and, below, part of its time of creation. 0: nobody.
    who: AtomicU64,
    /// Number of the event that wakes it, in its process; above, a number that no other event of that process had. 0: none.
    bell: AtomicU64,
    /// It has gone, and said so.
    closed: AtomicU32,
    /// It waits for room.
    pub(super) wants_room: AtomicU32,
}

impl Side {
    /// Who has it; 0 is nobody.
    pub(super) fn who(&self) -> u64 {
        self.who.load(Ordering::Acquire)
    }

    /// The number of the process that has it.
    pub(super) fn pid(&self) -> u32 {
        (self.who() >> 32) as u32
    }

    /// It is that process's from now on, which says later how it is woken.
    pub(super) fn give(&self, who: u64) {
        self.bell.store(0, Ordering::Release);
        self.who.store(who, Ordering::Release);
    }

    /// It goes.
    pub(super) fn close(&self) {
        self.closed.store(1, Ordering::SeqCst);
    }

    /// Whether it has gone.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst) != 0
    }
}

/// A process as a side names it.
pub(super) fn word(id: ProcessId) -> u64 {
    u64::from(id.pid) << 32 | (id.start & 0xffff_ffff)
}

/// The event that wakes our side: that of the set which it is in, or its own.
#[derive(Debug)]
pub(super) struct Bell {
    event: Mutex<Event>,
}

/// An event, and whether it is a set's.
#[derive(Clone, Debug)]
struct Event {
    handle: Arc<Handle>,
    shared: bool,
}

impl Bell {
    /// Wakes by an event of its own, and tells the other side.
    pub(super) fn new(side: &Side) -> Result<Self, Errno> {
        let bell = Self::unheard()?;
        publish(&bell.event(), side);
        Ok(bell)
    }

    /// A bell that nobody is told of.
    pub(super) fn unheard() -> Result<Self, Errno> {
        let handle = Arc::new(Handle::event()?);
        Ok(Self { event: Mutex::new(Event { handle, shared: false }) })
    }

    /// Wakes by the event of a set from now on, or without one by an event of its own; at once, since what happened
    /// meanwhile is to be looked at.
    pub(super) fn replace(&self, set: Option<&Arc<Handle>>, side: &Side) -> Result<(), Errno> {
        let handle = set.map_or_else(|| Handle::event().map(Arc::new), |event| Ok(event.clone()))?;
        publish(&handle, side);
        handle.set();
        let event = Event { handle, shared: set.is_some() };
        // The old one is closed only now, so that its number means nothing else as long as it was published.
        *self.event.lock().unwrap_or_else(PoisonError::into_inner) = event;
        Ok(())
    }

    /// The event.
    pub(super) fn event(&self) -> Arc<Handle> {
        self.event.lock().unwrap_or_else(PoisonError::into_inner).handle.clone()
    }

    /// The event, unless it is a set's, whose look is the only one that may reset it.
    pub(super) fn own_event(&self) -> Option<Arc<Handle>> {
        let event = self.event.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (!event.shared).then_some(event.handle)
    }
}

fn publish(event: &Handle, side: &Side) {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    side.bell.store(u64::from(number) << 32 | u64::from(event.number()), Ordering::SeqCst);
}

/// What this process knows of the other side.
#[derive(Debug, Default)]
pub(super) struct Neighbour {
    /// What [`Side::who`] said.
    who: u64,
    /// Present unless that process has ended, or is none of this user's.
    partner: Option<Arc<Partner>>,
    /// Rings our bell when it ends.
    watch: Option<Watch>,
    /// Its bell, and what it said of it.
    bell: Option<(u64, Handle)>,
}

impl Neighbour {
    /// Looks who has the side now, and watches that process.
    pub(super) fn look(&mut self, side: &Side, own: &Bell) {
        let who = side.who();
        if who == self.who {
            return;
        }
        *self = Self { who, ..Self::default() };
        let partner = Partner::with_number((who >> 32) as u32).ok();
        let Some(partner) = partner.filter(|partner| word(partner.id) == who) else { return };
        // Without a watch its end is noticed when somebody looks.
        self.watch = Watch::new(partner.handle(), own.event()).ok();
        self.partner = Some(Arc::new(partner));
    }

    /// Our bell is another one now.
    pub(super) fn watch_again(&mut self, own: &Bell) {
        if let Some(partner) = &self.partner {
            self.watch = Watch::new(partner.handle(), own.event()).ok();
        }
    }

    /// The process that has the side, to exchange handles with.
    pub(super) fn partner(&self) -> Option<Arc<Partner>> {
        self.partner.clone()
    }

    /// Whether nothing comes from that side any more.
    pub(super) fn is_gone(&self, side: &Side) -> bool {
        let ended = || match (&self.partner, &self.watch) {
            (Some(_), Some(watch)) => watch.is_over(),
            (Some(partner), None) => partner.handle().wait(0),
            (None, _) => self.who != 0,
        };
        side.is_closed() || ended()
    }

    /// Wakes that side.
    pub(super) fn ring(&mut self, side: &Side) {
        // What was written before is seen by whoever is woken.
        fence(Ordering::SeqCst);
        let bell = side.bell.load(Ordering::SeqCst);
        if bell == 0 {
            return;
        }
        if self.bell.as_ref().is_none_or(|(known, _)| *known != bell) {
            let taken = |partner: &Arc<Partner>| partner.take(bell as u32, Some(EVENT_MODIFY_STATE)).ok();
            self.bell = self.partner.as_ref().and_then(taken).map(|handle| (bell, handle));
        }
        if let Some((_, event)) = &self.bell {
            event.set();
        }
    }
}
