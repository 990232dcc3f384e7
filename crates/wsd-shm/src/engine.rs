//! An engine: its state behind one lock, the up-calls made without it, and the thread that drives it until somebody
//! else does.
//!
//! Every call takes the lock, changes the state, and notes the up-calls that are due. When the lock has been released
//! they are made, by one thread at a time, so that they come in the order in which they were noted (SP-018, SP-187).
//! If another thread is at it, or the call came from inside an up-call, that thread makes the new ones too.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use wsd_os::Errno;
use wsd_os::doorbell::Eventfd;
use wsd_os::fd::{AsFd, AsRawFd, RawFd};
use wsd_os::poll::{EpollEvent, epoll_pwait};
use wsd_os::thread::{DEFAULT_STACK, fork_epoch, spawn_hidden, tid};
use wsd_spi::WsaError;
use wsd_spi::provider::UpCalls;

use crate::descriptors::Tracked;
use crate::ranges::Ranges;
use crate::state::{Core, Token};

/// One engine. A process has one per running provider; engines of one process meet like those of two.
///
/// Never freed: a late call may still be in it, and a forked child forgets its parent's without touching it.
pub(crate) struct Engine {
    core: Mutex<Core>,
    settled: Condvar,
    driver: Mutex<Driver>,
    stop: AtomicBool,
    ranges: Arc<Ranges>,
    upcalls: UpCalls,
    /// The process that it belongs to.
    epoch: u64,
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

impl Engine {
    /// An engine of this process.
    ///
    /// # Errors
    /// `WSAEPROVIDERFAILEDINIT`.
    pub(crate) fn new(upcalls: UpCalls) -> Result<&'static Self, WsaError> {
        let ranges = Arc::new(Ranges::default());
        let core = Core::new(upcalls, ranges.clone()).map_err(|_| WsaError::WSAEPROVIDERFAILEDINIT)?;
        Ok(Box::leak(Box::new(Self {
            core: Mutex::new(core),
            settled: Condvar::new(),
            driver: Mutex::new(Driver::Nobody),
            stop: AtomicBool::new(false),
            ranges,
            upcalls,
            epoch: fork_epoch(),
        })))
    }

    /// Whether this process made it; otherwise it is the engine of a parent.
    pub(crate) fn is_ours(&self) -> bool {
        self.epoch == fork_epoch()
    }

    /// The switch.
    pub(crate) fn upcalls(&self) -> UpCalls {
        self.upcalls
    }

    /// Registered stretches of memory: usable without the engine's lock (SP-162).
    pub(crate) fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// Runs `work` with the state, then makes the up-calls that are due.
    ///
    /// # Errors
    /// What `work` answers; `WSAENETDOWN` if the engine has ended.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Core) -> Result<T, WsaError>) -> Result<T, WsaError> {
        let mut core = self.lock();
        if core.ended {
            return Err(WsaError::WSAENETDOWN);
        }
        let result = work(&mut core);
        core.bury();
        self.settle(core);
        result
    }

    /// Makes the up-calls that are due, unless another thread is at it.
    fn settle<'a>(&'a self, mut core: MutexGuard<'a, Core>) {
        if core.settling.is_some() || core.actions.is_empty() {
            return;
        }
        core.settling = Some(tid());
        while let Some(action) = core.actions.next() {
            drop(core);
            action.run(self.upcalls);
            core = self.lock();
        }
        core.settling = None;
        drop(core);
        self.settled.notify_all();
    }

    /// Does what is to do, without blocking.
    ///
    /// # Errors
    /// `WSAENETDOWN` if the engine has ended.
    pub(crate) fn pump(&self) -> Result<(), WsaError> {
        self.with(|core| {
            core.pump();
            Ok(())
        })
    }

    /// Starts the engine's own thread, unless somebody drives already.
    ///
    /// # Errors
    /// `WSAENOBUFS`, `WSAEMFILE`.
    pub(crate) fn drive(&'static self) -> Result<(), WsaError> {
        let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*driver, Driver::Nobody) {
            return Ok(());
        }
        let epoll = self.with(|core| {
            let kick = Tracked::new(Eventfd::new().map_err(|_| WsaError::WSAEMFILE)?);
            core.watch_new(kick.as_fd().as_raw_fd(), Token::Kick).map_err(|_| WsaError::WSAENOBUFS)?;
            core.kick = Some(kick);
            Ok(core.epoll_fd())
        })?;
        let thread = spawn_hidden("wsd-shm", DEFAULT_STACK, move || self.run(epoll));
        *driver = Driver::Thread(thread.map_err(|_| WsaError::WSAENOBUFS)?);
        Ok(())
    }

    fn run(&self, epoll: RawFd) {
        let mut event = [EpollEvent { events: 0, u64: 0 }];
        while !self.stop.load(Ordering::Acquire) {
            match epoll_pwait(epoll, &mut event, None, None) {
                // The C library's own signals are not blocked in this thread.
                Ok(_) | Err(Errno::INTR) => {}
                // The program has closed our descriptor.
                Err(_) => return,
            }
            if self.stop.load(Ordering::Acquire) || self.pump().is_err() {
                return;
            }
        }
    }

    /// Leaves driving to the caller from now on (`WsdArm`); the descriptor to wait for.
    ///
    /// # Errors
    /// `WSAENETDOWN` if the engine has ended.
    pub(crate) fn arm(&self) -> Result<RawFd, WsaError> {
        let fd = self.with(|core| Ok(core.epoll_fd()))?;
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
        if let Some(kick) = &self.lock().kick {
            kick.ring();
        }
        if thread.thread().id() != std::thread::current().id() {
            // A panic in it has been reported already.
            let _ = thread.join();
        }
        let mut core = self.lock();
        if let Some(kick) = core.kick.take() {
            core.unwatch(kick.as_fd().as_raw_fd());
        }
    }

    /// Ends everything (SP-035): closes all sockets, makes all up-calls, stops the thread.
    pub(crate) fn end(&self) {
        self.stop_thread();
        let mut core = self.lock();
        core.end();
        self.settle(core);
        let mut core = self.lock();
        while core.settling.is_some_and(|thread| thread != tid()) {
            core = self.settled.wait(core).unwrap_or_else(PoisonError::into_inner);
        }
        // Called from inside an up-call: the rest has to be made here and now.
        while let Some(action) = core.actions.next() {
            drop(core);
            action.run(self.upcalls);
            core = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
