//! An engine: its state behind one lock, the up-calls made without it, and the thread that drives it until somebody
//! else does.
//!
//! Every call takes the lock, changes the state, and notes the up-calls that are due. When the lock has been released
//! they are made, by one thread at a time, so that they come in the order in which they were noted (SP-018, SP-187).
//! If another thread is at it, or the call came from inside an up-call, that thread makes the new ones too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use wsd_os::Errno;
use wsd_os::clock::now_ns;
use wsd_os::doorbell::Eventfd;
use wsd_os::fd::{AsFd, AsRawFd, RawFd};
use wsd_os::poll::{EpollEvent, POLLIN, PollFd, epoll_pwait, ppoll};
use wsd_os::thread::{DEFAULT_STACK, fork_epoch, spawn_hidden, tid};
use wsd_spi::WsaError;
use wsd_spi::provider::UpCalls;

use crate::common::{Common, KICK};
use crate::descriptors::Tracked;

/// How long a wait lasts at most before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The state of a provider, all of it under the engine's one lock.
pub trait Core: Send + 'static {
    /// What can be used without the lock.
    type Outside: Send + Sync;

    /// The part that every engine has.
    fn common(&mut self) -> &mut Common;

    /// Does what there is to do, without blocking. A bounded amount: called again while the set is readable.
    fn pump(&mut self);

    /// Called before somebody sleeps: from now on the set is readable as soon as there is something to do, until the next
    /// [`pump`](Self::pump). Does itself what had come before.
    ///
    /// # Errors
    /// `WSAENOBUFS`: something can happen that the set does not tell.
    fn arm(&mut self) -> Result<(), WsaError> {
        Ok(())
    }

    /// Called before every piece of work, with the lock held: what was noted outside of it is done first.
    fn prepare(&mut self) {}

    /// Called after every piece of work, with the lock held.
    fn tidy(&mut self) {}

    /// Closes everything. Nothing can be done any more, except for the up-calls that are due.
    fn end(&mut self);
}

/// One engine. A process has one per running provider; engines of one process meet like those of two.
///
/// Never freed: a late call may still be in it, and a forked child forgets its parent's without touching it.
pub struct Engine<C: Core> {
    core: Mutex<C>,
    settled: Condvar,
    driver: Mutex<Driver>,
    stop: AtomicBool,
    outside: C::Outside,
    upcalls: UpCalls,
    /// The process that it belongs to.
    epoch: u64,
}

/// An engine that stands still, until dropped.
pub struct Held<C: Core> {
    _core: MutexGuard<'static, C>,
}

/// Who calls [`Core::pump`].
enum Driver {
    /// Nobody needs to yet.
    Nobody,
    /// A thread of ours.
    Thread(JoinHandle<()>),
    /// Whoever got the descriptor from `WsdArm`; or the engine has ended.
    Others,
}

impl<C: Core> Engine<C> {
    /// An engine of this process.
    pub fn new(mut core: C, outside: C::Outside) -> &'static Self {
        let upcalls = core.common().upcalls;
        Box::leak(Box::new(Self {
            core: Mutex::new(core),
            settled: Condvar::new(),
            driver: Mutex::new(Driver::Nobody),
            stop: AtomicBool::new(false),
            outside,
            upcalls,
            epoch: fork_epoch(),
        }))
    }

    /// Whether this process made it; otherwise it is the engine of a parent.
    pub fn is_ours(&self) -> bool {
        self.epoch == fork_epoch()
    }

    /// The switch.
    pub fn upcalls(&self) -> UpCalls {
        self.upcalls
    }

    /// What can be used without the lock.
    pub fn outside(&self) -> &C::Outside {
        &self.outside
    }

    /// Runs `work` with the state, then makes the up-calls that are due.
    ///
    /// # Errors
    /// What `work` answers; `WSAENETDOWN` if the engine has ended.
    pub fn with<T>(&self, work: impl FnOnce(&mut C) -> Result<T, WsaError>) -> Result<T, WsaError> {
        let mut core = self.lock();
        if core.common().ended {
            return Err(WsaError::WSAENETDOWN);
        }
        core.prepare();
        let result = work(&mut core);
        core.tidy();
        self.settle(core);
        result
    }

    /// Makes the up-calls that are due, unless another thread is at it.
    fn settle<'a>(&'a self, mut core: MutexGuard<'a, C>) {
        if core.common().settling.is_some() || core.common().actions.is_empty() {
            return;
        }
        core.common().settling = Some(tid());
        while let Some(action) = core.common().actions.next() {
            drop(core);
            action.run(self.upcalls);
            core = self.lock();
        }
        core.common().settling = None;
        // Only the end waits for that.
        let awaited = core.common().ended;
        drop(core);
        if awaited {
            self.settled.notify_all();
        }
    }

    /// Does what is to do, without blocking.
    ///
    /// # Errors
    /// `WSAENETDOWN` if the engine has ended.
    pub fn pump(&self) -> Result<(), WsaError> {
        self.with(|core| {
            core.pump();
            Ok(())
        })
    }

    /// As [`pump`](Self::pump); whether the set tells of whatever comes next.
    fn pump_and_arm(&self) -> Result<bool, WsaError> {
        self.with(|core| {
            core.pump();
            Ok(core.arm().is_ok())
        })
    }

    /// Waits until `look` finds something, and makes progress meanwhile: what is waited for may be this engine's work.
    /// `also`: a descriptor whose readiness is a reason to look. Hold no lock.
    ///
    /// # Errors
    /// What `look` answers; `WSAENETDOWN` if it finds nothing within `limit_ns`, or the engine has ended.
    pub fn wait<T>(
        &self,
        also: Option<RawFd>,
        limit_ns: u64,
        mut look: impl FnMut() -> Result<Option<T>, WsaError>,
    ) -> Result<T, WsaError> {
        let epoll = self.with(|core| Ok(core.common().epoll_fd()))?;
        let ready = |fd| PollFd { fd, events: POLLIN, revents: 0 };
        let mut fds = [ready(epoll), ready(also.unwrap_or(-1))];
        let start = now_ns();
        while now_ns() - start < limit_ns {
            self.pump_and_arm()?;
            if let Some(found) = look()? {
                return Ok(found);
            }
            // Who drives may have been faster. A signal only makes us look earlier.
            let _ = ppoll(&mut fds, Some(LOOK_AGAIN), None);
        }
        Err(WsaError::WSAENETDOWN)
    }

    /// Starts the engine's own thread, which bears that name, unless somebody drives already.
    ///
    /// # Errors
    /// `WSAENOBUFS`, `WSAEMFILE`.
    pub fn drive(&'static self, name: &'static str) -> Result<(), WsaError> {
        let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*driver, Driver::Nobody) {
            return Ok(());
        }
        let epoll = self.with(|core| {
            let kick = Tracked::new(Eventfd::new().map_err(|_| WsaError::WSAEMFILE)?);
            core.common().watch_new(kick.as_fd().as_raw_fd(), KICK).map_err(|_| WsaError::WSAENOBUFS)?;
            core.common().kick = Some(kick);
            Ok(core.common().epoll_fd())
        })?;
        let thread = spawn_hidden(name, DEFAULT_STACK, move || self.run(epoll));
        *driver = Driver::Thread(thread.map_err(|_| WsaError::WSAENOBUFS)?);
        Ok(())
    }

    fn run(&self, epoll: RawFd) {
        let mut event = [EpollEvent { events: 0, u64: 0 }];
        let mut limit = None;
        while !self.stop.load(Ordering::Acquire) {
            match epoll_pwait(epoll, &mut event, limit, None) {
                // The C library's own signals are not blocked in this thread.
                Ok(_) | Err(Errno::INTR) => {}
                // The program has closed our descriptor.
                Err(_) => return,
            }
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            let Ok(armed) = self.pump_and_arm() else { return };
            limit = (!armed).then_some(LOOK_AGAIN);
        }
    }

    /// Leaves driving to the caller from now on (`WsdArm`); the descriptor to wait for, armed.
    ///
    /// # Errors
    /// `WSAENETDOWN` if the engine has ended; those of [`Core::arm`]: ask again soon.
    pub fn arm(&self) -> Result<RawFd, WsaError> {
        let fd = self.with(|core| {
            core.arm()?;
            Ok(core.common().epoll_fd())
        })?;
        self.stop_thread();
        Ok(fd)
    }

    /// Ends the engine's own thread, for good, and waits for it (SP-212).
    fn stop_thread(&self) {
        let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *driver, Driver::Others);
        drop(driver);
        let Driver::Thread(thread) = before else { return };
        self.stop.store(true, Ordering::Release);
        if let Some(kick) = &self.lock().common().kick {
            kick.ring();
        }
        if thread.thread().id() != std::thread::current().id() {
            // A panic in it has been reported already.
            let _ = thread.join();
        }
        let mut core = self.lock();
        if let Some(kick) = core.common().kick.take() {
            core.common().unwatch(kick.as_fd().as_raw_fd());
        }
    }

    /// Has the engine stand still: nothing is under way in it, and other threads wait. `None` if a call does not end within
    /// `limit_ns`: perhaps the calling thread, in a signal handler, is in it itself.
    pub fn hold(&'static self, limit_ns: u64) -> Option<Held<C>> {
        let start = now_ns();
        loop {
            match self.core.try_lock() {
                Ok(core) => return Some(Held { _core: core }),
                Err(TryLockError::Poisoned(poisoned)) => return Some(Held { _core: poisoned.into_inner() }),
                Err(TryLockError::WouldBlock) if now_ns() - start < limit_ns => std::thread::yield_now(),
                Err(TryLockError::WouldBlock) => return None,
            }
        }
    }

    /// Ends everything (SP-035): closes all sockets, makes all up-calls, stops the thread.
    pub fn end(&self) {
        self.stop_thread();
        let mut core = self.lock();
        core.end();
        core.common().ended = true;
        self.settle(core);
        let mut core = self.lock();
        while core.common().settling.is_some_and(|thread| thread != tid()) {
            core = self.settled.wait(core).unwrap_or_else(PoisonError::into_inner);
        }
        // Called from inside an up-call: the rest has to be made here and now.
        while let Some(action) = core.common().actions.next() {
            drop(core);
            action.run(self.upcalls);
            core = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, C> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
