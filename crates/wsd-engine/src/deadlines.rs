//! Limits to the time that others may take: a peer that is stopped answers nothing.

use std::collections::VecDeque;

use wsd_os::clock::now_ns;
use wsd_os::fd::{AsFd, AsRawFd};
use wsd_os::timer::Timer;

use crate::common::Common;
use crate::descriptors::Tracked;

/// What is waited for, oldest first, and a timer for the oldest. It runs out at most once per limit.
#[derive(Debug)]
pub struct Deadlines<T> {
    limit_ns: u64,
    /// The timer's datum in the epoll set.
    datum: u64,
    timer: Option<Tracked<Timer>>,
    armed: bool,
    awaited: VecDeque<(u64, T)>,
}

impl<T> Deadlines<T> {
    /// Nothing is waited for. Everything will have that limit, in nanoseconds; `datum` is the timer's in the epoll set.
    pub fn new(limit_ns: u64, datum: u64) -> Self {
        Self { limit_ns, datum, timer: None, armed: false, awaited: VecDeque::new() }
    }

    /// Whether nothing is waited for.
    pub fn is_empty(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Something is waited for from now on.
    pub fn add(&mut self, awaited: T, common: &Common) {
        self.awaited.push_back((now_ns() + self.limit_ns, awaited));
        self.arm(common);
    }

    /// Forgets the oldest as long as they are not `open` any more. Most are answered in order.
    pub fn forget(&mut self, open: impl Fn(&T) -> bool) {
        while self.awaited.pop_front_if(|(_, awaited)| !open(awaited)).is_some() {}
    }

    /// The timer has run out: now ask for what is [`expired`](Self::expired), then [`arm`](Self::arm) it again.
    pub fn time_is_up(&mut self) {
        if let Some(timer) = &self.timer {
            timer.silence();
        }
        self.armed = false;
    }

    /// The oldest, if its time is up.
    pub fn expired(&mut self) -> Option<T> {
        let now = now_ns();
        self.awaited.pop_front_if(|(deadline, _)| *deadline <= now).map(|(_, awaited)| awaited)
    }

    /// Sets the timer for the oldest, unless it runs. Without a timer there is no limit.
    pub fn arm(&mut self, common: &Common) {
        let Some((deadline, _)) = self.awaited.front() else { return };
        if self.armed {
            return;
        }
        if self.timer.is_none() {
            let Ok(timer) = Timer::new().map(Tracked::new) else { return };
            if common.watch_new(timer.as_fd().as_raw_fd(), self.datum).is_err() {
                return;
            }
            self.timer = Some(timer);
        }
        let Some(timer) = &self.timer else { return };
        self.armed = timer.set(*deadline).is_ok();
    }

    /// Forgets everything, and closes the timer.
    pub fn clear(&mut self) {
        (self.timer, self.armed) = (None, false);
        self.awaited.clear();
    }
}
