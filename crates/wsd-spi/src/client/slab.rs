//! Where requests live: slots at fixed addresses, used again and again, never given back to the system. A provider
//! that touches a request too late therefore never touches memory of somebody else.

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::memory::StableMemory;
use super::socket::SocketInner;
use crate::error::WsaError;
use crate::ffi::{LPWSAOVERLAPPED, WSABUF, WSABUFEX, WSAOVERLAPPED, WSS_OPERATION_IN_PROGRESS};
use crate::provider::internal;

/// Most buffers of one operation.
pub(super) const SEGMENTS: usize = 4;

/// One request with everything that has to outlive it.
#[repr(C)]
pub(super) struct Slot {
    /// First, so that its address is the slot's.
    overlapped: UnsafeCell<WSAOVERLAPPED>,
    buffers: UnsafeCell<[WSABUFEX; SEGMENTS]>,
    content: UnsafeCell<Content>,
    state: AtomicU32,
    /// Number of the next free slot plus 1, while free.
    next: AtomicU32,
    number: u32,
}

struct Content {
    /// For polling; a notified request needs no socket.
    socket: Option<Arc<SocketInner>>,
    memory: [Option<Arc<dyn StableMemory>>; SEGMENTS],
    key: u64,
}

impl Content {
    const EMPTY: Self = Self { socket: None, memory: [const { None }; SEGMENTS], key: 0 };
}

const FREE: u32 = 0;
/// Owned by a [`Prepared`] or a [`Polled`].
const OWNED: u32 = 1;
/// Owned by whoever completes it.
const NOTIFIED: u32 = 2;

// SAFETY: what is not atomic belongs to the owner that `state` names; owners are handed over with release and
// acquire. The request itself is shared with the provider under the rules of the SPI.
unsafe impl Sync for Slot {}
// SAFETY: as above.
unsafe impl Send for Slot {}

/// A slot that is being filled.
pub(super) struct Prepared {
    slot: &'static Slot,
}

impl Prepared {
    /// A fresh slot with a polled request.
    pub(super) fn take() -> Result<Self, WsaError> {
        let slot = SLAB.take()?;
        slot.state.store(OWNED, Ordering::Relaxed);
        // SAFETY: the slot is ours.
        unsafe { slot.overlapped.get().write(WSAOVERLAPPED::zeroed()) };
        Ok(Self { slot })
    }

    /// Fills in buffers without handles: the array for the call.
    pub(super) fn plain(
        &mut self,
        buffers: impl Iterator<Item = (WSABUF, Arc<dyn StableMemory>)>,
    ) -> *mut WSABUF {
        let array = self.slot.buffers.get().cast::<WSABUF>();
        for (index, (buffer, memory)) in buffers.take(SEGMENTS).enumerate() {
            // SAFETY: the slot is ours; the array has room for `SEGMENTS` larger entries.
            unsafe {
                array.add(index).write(buffer);
                (*self.slot.content.get()).memory[index] = Some(memory);
            }
        }
        array
    }

    /// Fills in buffers with handles: the array for the call.
    pub(super) fn registered(
        &mut self,
        buffers: impl Iterator<Item = (WSABUFEX, Arc<dyn StableMemory>)>,
    ) -> *mut WSABUFEX {
        let array = self.slot.buffers.get().cast::<WSABUFEX>();
        for (index, (buffer, memory)) in buffers.take(SEGMENTS).enumerate() {
            // SAFETY: the slot is ours; the array has room for `SEGMENTS` entries.
            unsafe {
                array.add(index).write(buffer);
                (*self.slot.content.get()).memory[index] = Some(memory);
            }
        }
        array
    }

    /// Marks the request as polled (SP-180) and makes it an operation of `socket`.
    pub(super) fn polled(self, socket: Arc<SocketInner>) -> Polled {
        let slot = self.slot;
        core::mem::forget(self);
        // SAFETY: the slot is ours, and the provider has not seen it yet.
        unsafe {
            (*slot.overlapped.get()).Internal = WSS_OPERATION_IN_PROGRESS;
            (*slot.overlapped.get()).hEvent = ptr::without_provenance_mut(1);
            (*slot.content.get()).socket = Some(socket);
        }
        Polled { slot }
    }

    /// Marks the request as notified (SP-181) and gives it away: whoever calls [`Notified::take`] first owns it.
    pub(super) fn notified(self, key: u64) -> Notified {
        let slot = self.slot;
        core::mem::forget(self);
        // SAFETY: the slot is ours, and the provider has not seen it yet.
        unsafe {
            (*slot.overlapped.get()).Internal = WSS_OPERATION_IN_PROGRESS;
            (*slot.content.get()).key = key;
        }
        slot.state.store(NOTIFIED, Ordering::Release);
        Notified { slot }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: the slot is ours, and the provider has not seen it.
        unsafe { SLAB.give_back(self.slot) };
    }
}

/// The slot of a polled operation. Dropping it does not free the slot: see [`release`](Self::release).
pub(super) struct Polled {
    slot: &'static Slot,
}

impl Polled {
    /// The request.
    pub(super) fn overlapped(&self) -> LPWSAOVERLAPPED {
        self.slot.overlapped.get()
    }

    /// The socket of the operation.
    pub(super) fn socket(&self) -> &Arc<SocketInner> {
        // SAFETY: the slot is ours; nobody changes the content before `release`.
        let socket = unsafe { &(*self.slot.content.get()).socket };
        socket.as_ref().expect("set when the value was made")
    }

    /// Whether the provider has not completed the request. If it has, its results may be read.
    pub(super) fn is_pending(&self) -> bool {
        // SAFETY: slots live forever.
        unsafe { internal(self.overlapped()) }.load(Ordering::Acquire) == WSS_OPERATION_IN_PROGRESS
    }

    /// Bytes, flags and error that the provider wrote into the request (SP-183).
    pub(super) fn fields(&self) -> (u32, u32, i32) {
        // SAFETY: slots live forever; plain numbers are read from a request that is seen to be complete.
        let request = unsafe { self.overlapped().read() };
        (request.InternalHigh as u32, request.Offset, request.OffsetHigh as i32)
    }

    /// Frees the slot and the memory that it held. To be called when the request is complete or was refused.
    pub(super) fn release(self) {
        // SAFETY: the slot is ours and the provider is done with it.
        unsafe { SLAB.give_back(self.slot) };
    }
}

/// The slot of a notified operation, owned by nobody in particular.
pub(super) struct Notified {
    slot: &'static Slot,
}

impl Notified {
    /// The request.
    pub(super) fn overlapped(&self) -> LPWSAOVERLAPPED {
        self.slot.overlapped.get()
    }

    /// Completes the request at an address that a provider named: the key of the operation, once; `None` if there is
    /// no such pending operation.
    pub(super) fn take(request: LPWSAOVERLAPPED, bytes: u32) -> Option<u64> {
        let slot = SLAB.find(request)?;
        slot.state.compare_exchange(NOTIFIED, OWNED, Ordering::Acquire, Ordering::Relaxed).ok()?;
        // SAFETY: the exchange made the slot ours, and the provider does not use it any more (SP-185).
        unsafe {
            let key = (*slot.content.get()).key;
            (&raw mut (*request).InternalHigh).write(bytes as usize);
            internal(request).store(0, Ordering::Release);
            SLAB.give_back(slot);
            Some(key)
        }
    }

    /// The provider refused the request. False if it has completed it nevertheless.
    pub(super) fn refuse(self) -> bool {
        let ours =
            self.slot.state.compare_exchange(NOTIFIED, OWNED, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if ours {
            // SAFETY: the exchange made the slot ours, and the provider did not start anything (SP-086).
            unsafe { SLAB.give_back(self.slot) };
        }
        ours
    }
}

/// All slots of the process.
static SLAB: Slab = Slab {
    chunks: [const { AtomicPtr::new(ptr::null_mut()) }; Slab::CHUNKS],
    count: AtomicUsize::new(0),
    free: AtomicU64::new(0),
    growing: Mutex::new(()),
};

struct Slab {
    chunks: [AtomicPtr<Slot>; Self::CHUNKS],
    count: AtomicUsize,
    /// Upper half: a counter against reuse during an exchange. Lower half: number of the first free slot plus 1.
    free: AtomicU64,
    growing: Mutex<()>,
}

impl Slab {
    const CHUNKS: usize = 4096;
    const CHUNK_SLOTS: usize = 256;

    fn take(&'static self) -> Result<&'static Slot, WsaError> {
        loop {
            let head = self.free.load(Ordering::Acquire);
            let Some(number) = (head as u32).checked_sub(1) else {
                self.grow()?;
                continue;
            };
            let slot = self.slot(number as usize);
            let next = u64::from(slot.next.load(Ordering::Relaxed));
            let exchanged = self.free.compare_exchange_weak(
                head,
                bump(head) | next,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            if exchanged.is_ok() {
                return Ok(slot);
            }
        }
    }

    /// # Safety
    /// The slot belongs to the caller, and no provider uses it.
    unsafe fn give_back(&'static self, slot: &'static Slot) {
        // SAFETY: the slot belongs to the caller by the contract of this function.
        let content = unsafe { slot.content.get().replace(Content::EMPTY) };
        slot.state.store(FREE, Ordering::Release);
        self.push(slot);
        // Last, because giving up memory may call a provider.
        drop(content);
    }

    fn push(&self, slot: &Slot) {
        let mut head = self.free.load(Ordering::Relaxed);
        loop {
            slot.next.store(head as u32, Ordering::Relaxed);
            let new = bump(head) | u64::from(slot.number + 1);
            match self.free.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(current) => head = current,
            }
        }
    }

    fn grow(&'static self) -> Result<(), WsaError> {
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.free.load(Ordering::Acquire) as u32 != 0 {
            return Ok(());
        }
        let count = self.count.load(Ordering::Relaxed);
        if count == Self::CHUNKS {
            return Err(WsaError::WSAENOBUFS);
        }
        let first = count * Self::CHUNK_SLOTS;
        let slots: &'static mut [Slot] =
            Box::leak((first..first + Self::CHUNK_SLOTS).map(|number| Slot::new(number as u32)).collect());
        self.chunks[count].store(slots.as_mut_ptr(), Ordering::Release);
        self.count.store(count + 1, Ordering::Release);
        for number in (first..first + Self::CHUNK_SLOTS).rev() {
            self.push(self.slot(number));
        }
        Ok(())
    }

    fn slot(&self, number: usize) -> &'static Slot {
        let chunk = self.chunks[number / Self::CHUNK_SLOTS].load(Ordering::Acquire);
        // SAFETY: numbers of slots come from `grow`, whose chunks have `CHUNK_SLOTS` slots and live forever.
        unsafe { &*chunk.add(number % Self::CHUNK_SLOTS) }
    }

    /// The slot at an address, if there is one.
    fn find(&self, request: LPWSAOVERLAPPED) -> Option<&'static Slot> {
        let chunks = &self.chunks[..self.count.load(Ordering::Acquire)];
        chunks.iter().enumerate().find_map(|(index, chunk)| {
            let offset = request.addr().checked_sub(chunk.load(Ordering::Acquire).addr())?;
            let within = offset / size_of::<Slot>();
            (within < Self::CHUNK_SLOTS && offset % size_of::<Slot>() == 0)
                .then(|| self.slot(index * Self::CHUNK_SLOTS + within))
        })
    }
}

/// The counter of `head`, one further, with an empty lower half.
fn bump(head: u64) -> u64 {
    (head & 0xFFFF_FFFF_0000_0000).wrapping_add(1 << 32)
}

impl Slot {
    fn new(number: u32) -> Self {
        Self {
            overlapped: UnsafeCell::new(WSAOVERLAPPED::zeroed()),
            buffers: UnsafeCell::new([WSABUFEX::zeroed(); SEGMENTS]),
            content: UnsafeCell::new(Content::EMPTY),
            state: AtomicU32::new(FREE),
            next: AtomicU32::new(0),
            number,
        }
    }
}
