//! What every engine has beside its own state.

use core::time::Duration;

use wsd_os::Errno;
use wsd_os::doorbell::Eventfd;
use wsd_os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use wsd_os::poll::{EPOLLIN, EpollEvent, EpollOperation, epoll_create, epoll_ctl, epoll_pwait};
use wsd_spi::provider::UpCalls;

use crate::action::Actions;
use crate::descriptors::Tracked;

/// The datum of the descriptor that wakes the engine's own thread; a provider's own data are others.
pub const KICK: u64 = 0;

/// The up-calls that are due, and the epoll set with everything that may happen.
pub struct Common {
    /// The switch.
    pub upcalls: UpCalls,
    /// What is to be called up when the lock has been released.
    pub actions: Actions,
    /// Whether the engine has ended.
    pub(crate) ended: bool,
    /// The thread that makes the up-calls that are due.
    pub(crate) settling: Option<u32>,
    /// Wakes the engine's own thread.
    pub(crate) kick: Option<Tracked<Eventfd>>,
    /// Until the engine ends.
    epoll: Option<Tracked<OwnedFd>>,
}

impl Common {
    /// An empty set.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new(upcalls: UpCalls) -> Result<Self, Errno> {
        Ok(Self {
            upcalls,
            actions: Actions::default(),
            ended: false,
            settling: None,
            kick: None,
            epoll: Some(Tracked::new(epoll_create()?)),
        })
    }

    /// The descriptor that is readable while the engine has something to do.
    pub fn epoll_fd(&self) -> RawFd {
        self.epoll.as_ref().map_or(-1, |epoll| epoll.as_raw_fd())
    }

    /// Closes the set.
    pub fn close(&mut self) {
        self.epoll = None;
    }

    /// Starts to watch a descriptor that is to be read.
    ///
    /// # Errors
    /// Those of `epoll_ctl`.
    pub fn watch_new(&self, fd: RawFd, datum: u64) -> Result<(), Errno> {
        self.watch(EpollOperation::Add, fd, datum, EPOLLIN)
    }

    /// Stops watching a descriptor.
    pub fn unwatch(&self, fd: RawFd) {
        // A descriptor that is not in the set is not watched.
        let _ = self.watch(EpollOperation::Delete, fd, KICK, 0);
    }

    /// Changes what is watched.
    ///
    /// # Errors
    /// Those of `epoll_ctl`.
    pub fn watch(&self, operation: EpollOperation, fd: RawFd, datum: u64, events: i32) -> Result<(), Errno> {
        let event = EpollEvent { events: events as u32, u64: datum };
        let epoll = self.epoll.as_ref().ok_or(Errno::BADF)?;
        epoll_ctl(epoll.as_fd(), operation, fd, event)
    }

    /// What may be done now: events into `events`, and how many. A kick is one of them, and is silent afterwards.
    pub fn ready(&self, events: &mut [EpollEvent]) -> usize {
        let count = epoll_pwait(self.epoll_fd(), events, Some(Duration::ZERO), None).unwrap_or(0);
        for event in &events[..count] {
            if let (KICK, Some(kick)) = (event.u64, &self.kick) {
                kick.drain();
            }
        }
        count
    }
}
