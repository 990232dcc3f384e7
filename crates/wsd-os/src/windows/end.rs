//! One end of a link: a section with two queues, and who is at each end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Errno;
use super::door::Door;
use super::fd::{Object, OwnedFd, RawFd};
use super::handle::Handle;
use super::link::{MAX_FDS, Packet};
use super::poll::{EPOLLIN, EPOLLOUT};
use super::process::{Partner, ProcessId};
use super::queue::{Broken, CAPACITY, Cursors, Queue};
use super::registry::{self, Entry};
use super::side::{Bell, Neighbour, Side, word};
use super::socket::Socket;
use super::view::View;
use crate::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Where the queues begin.
const DATA: usize = 4096;
/// What is in a section that holds a link.
const MAGIC: u64 = u64::from_ne_bytes(*b"wsdlink1");
/// Bytes before each packet: its length, and the number of its descriptors.
const HEAD: usize = 8;
/// Bytes of one descriptor that goes along.
const PASSENGER: usize = 16;
/// Longest packet: a queue always has room for two.
pub(super) const MAX_BYTES: usize = CAPACITY / 2 - HEAD - MAX_FDS * PASSENGER - 8;

/// What a descriptor is that goes along, in the packet.
const PLAIN: u32 = 1;
const END: u32 = 2;
const DOOR: u32 = 3;

#[repr(C)]
struct Header {
    magic: AtomicU64,
    /// The door at which the second side is to be had.
    offered_at: AtomicU64,
    /// Somebody has taken it.
    taken: AtomicU32,
    sides: [Side; 2],
    /// The first is written by the first side.
    cursors: [Cursors; 2],
}

/// One end of a link.
#[derive(Debug)]
pub(super) struct End {
    view: View,
    /// Which side is ours: 0 or 1.
    side: usize,
    number: RawFd,
    bell: Bell,
    neighbour: Mutex<Neighbour>,
    /// Where we put in.
    tail: Mutex<u64>,
    /// Where we take out.
    head: Mutex<u64>,
    /// It is another process's, or another value's, now.
    given: AtomicBool,
}

impl End {
    /// Both ends of a new link, of this process.
    pub(super) fn pair() -> Result<(Arc<Self>, Arc<Self>), Errno> {
        let first = View::create(DATA + 2 * CAPACITY, None)?;
        let second = View::of(Arc::new(first.section().ok_or(Errno::BADF)?.duplicate()?))?;
        header(&first)?.magic.store(MAGIC, Ordering::Release);
        Ok((Self::new(first, 0)?, Self::new(second, 1)?))
    }

    /// A new link whose other end is offered to the process `to` at the door with that identity.
    pub(super) fn offer(to: u64, door: u64) -> Result<Arc<Self>, Errno> {
        let view = View::create(DATA + 2 * CAPACITY, None)?;
        let shared = header(&view)?;
        shared.offered_at.store(door, Ordering::Release);
        shared.sides[1].give(to);
        shared.magic.store(MAGIC, Ordering::Release);
        Self::new(view, 0)
    }

    /// Takes the second side of a link that its maker, the process `maker`, offers at the door with that identity.
    pub(super) fn accept(section: Handle, maker: ProcessId, door: u64) -> Result<Arc<Self>, Errno> {
        let view = View::of(Arc::new(section))?;
        let shared = checked(&view)?;
        let offered = shared.offered_at.load(Ordering::Acquire) == door
            && shared.sides[0].who() == word(maker)
            && shared.taken.swap(1, Ordering::AcqRel) == 0;
        if offered { Self::new(view, 1) } else { Err(Errno::INVAL) }
    }

    /// Takes a side that another process, or this one, has handed to us.
    fn adopt(section: Handle, side: u32) -> Result<Arc<Self>, Errno> {
        let view = View::of(Arc::new(section))?;
        checked(&view)?;
        if side > 1 { Err(Errno::INVAL) } else { Self::new(view, side as usize) }
    }

    fn new(view: View, side: usize) -> Result<Arc<Self>, Errno> {
        let shared = header(&view)?;
        shared.sides[side].give(word(ProcessId::own()?));
        let bell = Bell::new(&shared.sides[side])?;
        let number = view.section().ok_or(Errno::BADF)?.number() as RawFd;
        let (tail, head) =
            (queue(&view, shared, side).positions().0, queue(&view, shared, 1 - side).positions().1);
        let end = Arc::new(Self {
            view,
            side,
            number,
            bell,
            neighbour: Mutex::default(),
            tail: Mutex::new(tail),
            head: Mutex::new(head),
            given: AtomicBool::new(false),
        });
        registry::enter(number, Entry::End(Arc::downgrade(&end)));
        // The other side watches us now.
        end.neighbour().ring(end.theirs());
        Ok(end)
    }

    /// Its number as a descriptor.
    pub(super) fn number(&self) -> RawFd {
        self.number
    }

    /// The number of the section's handle, for the process at a door.
    pub(super) fn section(&self) -> Result<&Handle, Errno> {
        self.view.section().map(AsRef::as_ref).ok_or(Errno::BADF)
    }

    /// The number of the process at the other end.
    pub(super) fn peer(&self) -> u32 {
        self.theirs().pid()
    }

    /// Wakes by the event of a set from now on, or by one of its own.
    pub(super) fn wake_by(&self, set: Option<&Arc<Handle>>) -> Result<(), Errno> {
        self.bell.replace(set, self.ours())?;
        self.neighbour().watch_again(&self.bell);
        Ok(())
    }

    /// The event that wakes it, if it is in no set.
    pub(super) fn own_event(&self) -> Option<Arc<Handle>> {
        self.bell.own_event()
    }

    /// What of `wanted` could be done without waiting.
    pub(super) fn ready(&self, wanted: u32) -> u32 {
        let gone = self.neighbour().is_gone(self.theirs());
        let mut ready = 0;
        let head = *self.head.lock().unwrap_or_else(PoisonError::into_inner);
        if gone || self.incoming().filled(head) != Ok(0) {
            ready |= EPOLLIN as u32;
        }
        if wanted & EPOLLOUT as u32 != 0 {
            let tail = *self.tail.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever has broken the queue is noticed when something is sent.
            let roomy = || self.outgoing().room(tail).map_or(true, |room| room >= CAPACITY / 2);
            if gone || roomy() || self.wait_for_room(roomy) {
                ready |= EPOLLOUT as u32;
            }
        }
        ready & wanted
    }

    /// Says that we wait for room; true if there is some by now.
    fn wait_for_room(&self, found: impl FnOnce() -> bool) -> bool {
        self.ours().wants_room.store(1, Ordering::SeqCst);
        found()
    }

    /// Sends one packet.
    pub(super) fn send(&self, bytes: &[u8], fds: &[&Object]) -> Result<(), Errno> {
        if bytes.is_empty() || fds.len() > MAX_FDS {
            return Err(Errno::INVAL);
        }
        if bytes.len() > MAX_BYTES {
            return Err(Errno::MSGSIZE);
        }
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let mut neighbour = self.neighbour();
        if self.given.load(Ordering::Acquire) || neighbour.is_gone(self.theirs()) {
            return Err(Errno::PIPE);
        }
        let needed = length(bytes.len(), fds.len());
        let queue = self.outgoing();
        let fits = || queue.room(*tail).map(|room| room >= needed);
        if !fits().map_err(|Broken| Errno::PIPE)? && !self.wait_for_room(|| fits() == Ok(true)) {
            return Err(Errno::AGAIN);
        }
        let passengers = if fds.is_empty() {
            Vec::new()
        } else {
            all_over(fds, &*neighbour.partner().ok_or(Errno::AGAIN)?)?
        };
        let mut at = *tail;
        let mut put = |bytes: &[u8]| {
            queue.put(at, bytes);
            at += bytes.len() as u64;
        };
        put(&(bytes.len() as u32).to_ne_bytes());
        put(&(fds.len() as u32).to_ne_bytes());
        for (kind, side, number) in passengers {
            [kind, side, number, 0].into_iter().for_each(|word| put(&word.to_ne_bytes()));
        }
        put(bytes);
        *tail += needed as u64;
        queue.publish(*tail);
        neighbour.ring(self.theirs());
        Ok(())
    }

    /// Receives one packet; `None` at the end.
    pub(super) fn receive(&self, bytes: &mut [u8], max_fds: usize) -> Result<Option<Packet>, Errno> {
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = self.incoming();
        let filled = || queue.filled(*head).map_err(|Broken| Errno::CONNABORTED);
        let mut available = filled()?;
        if available == 0 {
            if !self.neighbour().is_gone(self.theirs()) {
                return Err(Errno::AGAIN);
            }
            // What it said before it went.
            available = filled()?;
            if available == 0 {
                return Ok(None);
            }
        }
        let mut start = [0; HEAD];
        queue.get(*head, &mut start);
        let word = |bytes: &[u8], at: usize| {
            bytes[at..at + 4].iter().rev().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
        };
        let (long, count) = (word(&start, 0) as usize, word(&start, 4) as usize);
        if long > MAX_BYTES || count > MAX_FDS || length(long, count) > available {
            return Err(Errno::CONNABORTED);
        }
        let mut fds = [const { None }; MAX_FDS];
        for (index, place) in fds.iter_mut().enumerate().take(count) {
            let mut passenger = [0; PASSENGER];
            queue.get(*head + (HEAD + index * PASSENGER) as u64, &mut passenger);
            let [kind, side, number] = [0, 4, 8].map(|at| word(&passenger, at));
            *place = take_over(kind, side, number);
        }
        let copied = long.min(bytes.len());
        queue.get(*head + (HEAD + count * PASSENGER) as u64, &mut bytes[..copied]);
        *head += length(long, count) as u64;
        queue.release(*head);
        if self.theirs().wants_room.swap(0, Ordering::SeqCst) != 0 {
            self.neighbour().ring(self.theirs());
        }
        if copied < long || count > max_fds || fds.iter().take(count).any(Option::is_none) {
            return Err(Errno::MSGSIZE);
        }
        Ok(Some(Packet { len: long, fds }))
    }

    /// Hands this end to another process: number of the side, and its number of the section.
    fn hand_over(&self, to: &Partner) -> Result<(u32, u32), Errno> {
        let number = to.give(self.section()?.number())?;
        self.given.store(true, Ordering::Release);
        self.ours().give(word(to.id));
        // It watches that process now.
        self.neighbour().ring(self.theirs());
        Ok((self.side as u32, number))
    }

    /// Nothing comes from this end any more.
    fn close(&self) {
        self.ours().close();
        self.neighbour().ring(self.theirs());
    }

    fn header(&self) -> &Header {
        header(&self.view).expect("it was long enough when the end was made")
    }

    fn ours(&self) -> &Side {
        &self.header().sides[self.side]
    }

    fn theirs(&self) -> &Side {
        &self.header().sides[1 - self.side]
    }

    fn outgoing(&self) -> Queue<'_> {
        queue(&self.view, self.header(), self.side)
    }

    fn incoming(&self) -> Queue<'_> {
        queue(&self.view, self.header(), 1 - self.side)
    }

    /// What is known of the other side, up to date.
    fn neighbour(&self) -> MutexGuard<'_, Neighbour> {
        let mut neighbour = self.neighbour.lock().unwrap_or_else(PoisonError::into_inner);
        neighbour.look(self.theirs(), &self.bell);
        neighbour
    }
}

impl Drop for End {
    fn drop(&mut self) {
        registry::leave(self.number);
        if *self.given.get_mut() {
            return;
        }
        self.close();
        // Descriptors that were for us are ours to close.
        let mut nothing = [0; 1];
        while !matches!(self.receive(&mut nothing, 0), Ok(None) | Err(Errno::AGAIN | Errno::CONNABORTED)) {}
    }
}

/// Bytes of a packet in its queue.
fn length(bytes: usize, fds: usize) -> usize {
    (HEAD + fds * PASSENGER + bytes).next_multiple_of(8)
}

fn header(view: &View) -> Result<&Header, Errno> {
    let long_enough = view.len() >= DATA + 2 * CAPACITY;
    // SAFETY: all of `Header` is atomics.
    let header = unsafe { view.header::<Header>() };
    header.filter(|_| long_enough).ok_or(Errno::INVAL)
}

/// The header of a section that somebody else made.
fn checked(view: &View) -> Result<&Header, Errno> {
    header(view).and_then(|shared| {
        if shared.magic.load(Ordering::Acquire) == MAGIC { Ok(shared) } else { Err(Errno::INVAL) }
    })
}

/// The queue that a side writes.
fn queue<'a>(view: &'a View, shared: &'a Header, side: usize) -> Queue<'a> {
    // SAFETY: `header` has checked that both queues lie in the view.
    unsafe { Queue::new(&shared.cursors[side], view.start().add(DATA + side * CAPACITY)) }
}

/// Gives another process all of these, or ends what it has got.
fn all_over(objects: &[&Object], to: &Partner) -> Result<Vec<(u32, u32, u32)>, Errno> {
    let mut over = Vec::with_capacity(objects.len());
    for object in objects {
        match hand_over(object, to) {
            Ok(passenger) => over.push(passenger),
            Err(error) => {
                // Nobody has them: what is connected to them must not wait.
                objects[..over.len()].iter().for_each(|object| lose(object));
                return Err(error);
            }
        }
    }
    Ok(over)
}

/// Ends what was handed over in vain.
fn lose(object: &Object) {
    match object {
        Object::End(end) => end.close(),
        Object::Door(door) => door.close(),
        Object::Plain(_) | Object::Set(_) | Object::Socket(_) | Object::Number(_) => {}
    }
}

/// Gives another process a descriptor.
fn hand_over(object: &Object, to: &Partner) -> Result<(u32, u32, u32), Errno> {
    match object {
        Object::Plain(handle) => Ok((PLAIN, 0, to.give(handle.number())?)),
        Object::Number(number) => Ok((PLAIN, 0, to.give(*number as u32)?)),
        Object::Socket(socket) => Ok((PLAIN, 0, to.give(socket.number() as u32)?)),
        Object::End(end) => end.hand_over(to).map(|(side, number)| (END, side, number)),
        Object::Door(door) => Ok((DOOR, 0, door.hand_over(to)?)),
        Object::Set(_) => Err(Errno::INVAL),
    }
}

/// Takes a descriptor that another process gave us.
fn take_over(kind: u32, side: u32, number: u32) -> Option<OwnedFd> {
    let handle = || Handle::arrived(number);
    match kind {
        PLAIN => {
            let handle = handle()?;
            Some(Socket::of_stranger(&handle).map_or_else(|_| handle.into(), OwnedFd::from))
        }
        END => End::adopt(handle()?, side).ok().map(|end| OwnedFd(Object::End(end))),
        DOOR => Door::adopt(handle()?).ok().map(|door| OwnedFd(Object::Door(door))),
        _ => None,
    }
}

#[cfg(test)]
#[path = "end_hostile.rs"]
mod hostile;
