//! A name that other processes connect to: a named section with places for visitors.

use std::sync::Arc;

use super::end::End;
use super::fd::RawFd;
use super::handle::Handle;
use super::process::{Partner, ProcessId};
use super::registry::{self, Entry};
use super::side::{Bell, Neighbour, Side, word};
use super::view::View;
use super::{Errno, random};
use crate::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

/// What is in a section that is a door.
const MAGIC: u64 = u64::from_ne_bytes(*b"wsddoor1");
/// Most visitors that wait.
const PLACES: usize = 448;
/// Longest name.
const LONGEST: usize = 200;

#[repr(C)]
struct Header {
    magic: AtomicU64,
    /// A random number.
    identity: AtomicU64,
    side: Side,
    /// How many places may be used.
    open: AtomicU32,
    /// Each with the visitor's process and, below, its number of the link's section. 0: free.
    places: [AtomicU64; PLACES],
}

/// A name that is ours.
#[derive(Debug)]
pub(super) struct Door {
    view: View,
    number: RawFd,
    bell: Bell,
    /// It is another process's, or another value's, now.
    given: AtomicBool,
}

impl Door {
    /// Takes a name; at most `waiting` visitors wait there, and one more.
    pub(super) fn open(name: &[u8], waiting: i32) -> Result<Arc<Self>, Errno> {
        let view = View::create(size_of::<Header>(), Some(&wide(name)?))?;
        let shared = header(&view)?;
        shared.identity.store(u64::from_ne_bytes(random::bytes()?), Ordering::Relaxed);
        let open = usize::try_from(waiting).unwrap_or(0).saturating_add(1).min(PLACES);
        shared.open.store(open as u32, Ordering::Relaxed);
        let door = Self::new(view)?;
        door.header().magic.store(MAGIC, Ordering::Release);
        Ok(door)
    }

    /// Takes a door that another process, or this one, has handed to us.
    pub(super) fn adopt(section: Handle) -> Result<Arc<Self>, Errno> {
        let view = View::of(Arc::new(section))?;
        if header(&view)?.magic.load(Ordering::Acquire) != MAGIC {
            return Err(Errno::INVAL);
        }
        Self::new(view)
    }

    fn new(view: View) -> Result<Arc<Self>, Errno> {
        let side = &header(&view)?.side;
        side.give(word(ProcessId::own()?));
        let bell = Bell::new(side)?;
        let number = view.section().ok_or(Errno::BADF)?.number() as RawFd;
        let door = Arc::new(Self { view, number, bell, given: AtomicBool::new(false) });
        registry::enter(number, Entry::Door(Arc::downgrade(&door)));
        Ok(door)
    }

    /// Connects to the door that has the name.
    pub(super) fn knock(name: &[u8]) -> Result<Arc<End>, Errno> {
        let view = View::open(&wide(name)?).map_err(|error| match error {
            Errno::NOENT => Errno::CONNREFUSED,
            other => other,
        })?;
        let shared = header(&view)?;
        if shared.magic.load(Ordering::Acquire) != MAGIC {
            return Err(Errno::CONNREFUSED);
        }
        let mut neighbour = Neighbour::default();
        let own = Bell::unheard()?;
        neighbour.look(&shared.side, &own);
        if neighbour.is_gone(&shared.side) {
            return Err(Errno::CONNREFUSED);
        }
        let end = End::offer(shared.side.who(), shared.identity.load(Ordering::Relaxed))?;
        let place = u64::from(ProcessId::own()?.pid) << 32 | u64::from(end.section()?.number());
        let free =
            |free: &&AtomicU64| free.compare_exchange(0, place, Ordering::SeqCst, Ordering::Relaxed).is_ok();
        let open = (shared.open.load(Ordering::Relaxed) as usize).min(PLACES);
        let taken = shared.places[..open].iter().find(free).ok_or(Errno::AGAIN)?;
        fence(Ordering::SeqCst);
        // It may have been closed meanwhile, and nobody looks at the places any more.
        if shared.side.is_closed()
            && taken.compare_exchange(place, 0, Ordering::SeqCst, Ordering::Relaxed).is_ok()
        {
            return Err(Errno::CONNREFUSED);
        }
        neighbour.look(&shared.side, &own);
        neighbour.ring(&shared.side);
        Ok(end)
    }

    /// Lets in one visitor.
    pub(super) fn let_in(&self) -> Result<Arc<End>, Errno> {
        let shared = self.header();
        let identity = shared.identity.load(Ordering::Relaxed);
        for place in &shared.places {
            let visitor = if place.load(Ordering::SeqCst) == 0 { 0 } else { place.swap(0, Ordering::SeqCst) };
            if visitor == 0 {
                continue;
            }
            let end = Partner::with_number((visitor >> 32) as u32).and_then(|partner| {
                // That the process has this handle proves that it is the one that knocked.
                let section = partner.take(visitor as u32, None)?;
                End::accept(section, partner.id, identity)
            });
            // Who has gone, or lies, is nobody.
            if let Ok(end) = end {
                return Ok(end);
            }
        }
        Err(Errno::AGAIN)
    }

    /// Whether a visitor waits.
    pub(super) fn is_ready(&self) -> bool {
        self.header().places.iter().any(|place| place.load(Ordering::SeqCst) != 0)
    }

    /// Its number as a descriptor.
    pub(super) fn number(&self) -> RawFd {
        self.number
    }

    /// Wakes by the event of a set from now on, or by one of its own.
    pub(super) fn wake_by(&self, set: Option<&Arc<Handle>>) -> Result<(), Errno> {
        self.bell.replace(set, &self.header().side)
    }

    /// The event that wakes it, if it is in no set.
    pub(super) fn own_event(&self) -> Option<Arc<Handle>> {
        self.bell.own_event()
    }

    /// Hands it to another process: its number there.
    pub(super) fn hand_over(&self, to: &Partner) -> Result<u32, Errno> {
        let number = to.give(self.view.section().ok_or(Errno::BADF)?.number())?;
        self.given.store(true, Ordering::Release);
        self.header().side.give(word(to.id));
        Ok(number)
    }

    /// Nobody is let in any more; whoever waits learns that.
    pub(super) fn close(&self) {
        self.header().side.close();
        fence(Ordering::SeqCst);
        while self.let_in().is_ok() {}
    }

    fn header(&self) -> &Header {
        header(&self.view).expect("it was long enough when the door was made")
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        registry::leave(self.number);
        if *self.given.get_mut() {
            return;
        }
        self.close();
    }
}

fn header(view: &View) -> Result<&Header, Errno> {
    // SAFETY: all of `Header` is atomics.
    unsafe { view.header::<Header>() }.ok_or(Errno::INVAL)
}

/// The name as the system gets it.
fn wide(name: &[u8]) -> Result<Vec<u16>, Errno> {
    if name.len() > LONGEST {
        return Err(Errno::NAMETOOLONG);
    }
    if !name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\') {
        return Err(Errno::INVAL);
    }
    Ok(b"Local\\wsdirect-".iter().chain(name).chain(&[0]).map(|byte| u16::from(*byte)).collect())
}
