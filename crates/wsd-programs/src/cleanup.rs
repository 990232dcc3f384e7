//! Process groups that must not outlive this process, also when it is interrupted or a test hangs.

use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Groups that a signal to this process ends. Zero is a free place. A signal handler may read it at any moment.
static GROUPS: [AtomicI32; 256] = [const { AtomicI32::new(0) }; 256];

static HANDLERS: Once = Once::new();

extern "C" fn end_groups(signal: libc::c_int) {
    for group in &GROUPS {
        let group = group.load(Ordering::Relaxed);
        if group != 0 {
            // SAFETY: kill takes two numbers and is async-signal-safe.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
    }
    // SAFETY: _exit is async-signal-safe and does not return.
    unsafe { libc::_exit(128 + signal) };
}

/// Remember a group until it is dropped.
pub(crate) fn remember(group: i32) {
    HANDLERS.call_once(|| {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            let handler: extern "C" fn(libc::c_int) = end_groups;
            // SAFETY: the handler only calls async-signal-safe functions and touches only atomics.
            unsafe { libc::signal(signal, handler as libc::sighandler_t) };
        }
    });
    let free =
        |place: &&AtomicI32| place.compare_exchange(0, group, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    assert!(GROUPS.iter().find(free).is_some(), "more process groups than a test has");
}

/// The group has ended.
pub(crate) fn forget(group: i32) {
    for place in &GROUPS {
        let _ = place.compare_exchange(group, 0, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Ends the processes of one test that takes too long, so that whoever waits for them fails instead of hanging.
#[derive(Debug)]
pub(crate) struct Watchdog {
    groups: Arc<Mutex<Vec<i32>>>,
    _calm: Sender<()>,
}

impl Watchdog {
    pub(crate) fn new(limit: Duration) -> Self {
        let groups = Arc::new(Mutex::new(Vec::new()));
        let (calm, alarm) = channel::<()>();
        let watched = Arc::clone(&groups);
        std::thread::spawn(move || {
            if alarm.recv_timeout(limit) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            eprintln!("this test takes longer than {limit:?}: ending its processes");
            for group in watched.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                // SAFETY: kill takes two numbers.
                unsafe { libc::kill(-group, libc::SIGKILL) };
            }
            if alarm.recv_timeout(Duration::from_secs(20)) == Err(RecvTimeoutError::Timeout) {
                eprintln!("and it still does not end");
                end_groups(libc::SIGALRM);
            }
        });
        Self { groups, _calm: calm }
    }

    pub(crate) fn watch(&self, group: i32) {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).push(group);
    }

    pub(crate) fn unwatch(groups: &Mutex<Vec<i32>>, group: i32) {
        groups.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| *known != group);
    }

    pub(crate) fn groups(&self) -> Arc<Mutex<Vec<i32>>> {
        Arc::clone(&self.groups)
    }
}
