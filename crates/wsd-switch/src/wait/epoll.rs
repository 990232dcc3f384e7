//! epoll sets. For tracked sockets the kernel's set carries a datum of ours, which is translated back, and only while the kernel has
//! something to say of them. What happens on rings comes in through the set's ready list.

mod collect;
mod member;
mod membership;
mod registry;

use std::time::Duration;

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::clock;
use wsd_os::poll::epoll_pwait;
use wsd_os::signal::Mask;

use super::{Timeout, bells, notice, pair, spin};
use crate::front::{EpollEvent, Outcome, SignalMask};

pub(crate) use membership::control;
pub(crate) use registry::{
    after_fork, before_fork, closing, duplicated, expose, gone, highest, in_child, inherit, news, start,
    waits_for,
};

use registry::Set;

/// How long kernel descriptors may wait while connections of the set are ready all the time.
const KERNEL_CHECK: u64 = 20_000;

/// See [`crate::front::epoll_wait`].
pub(crate) fn wait(
    epfd: i32,
    events: &mut [EpollEvent],
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
) -> Outcome<usize> {
    if events.is_empty() || crate::family::get().is_none() {
        return Outcome::Pass;
    }
    Outcome::Served(match registry::find(epfd) {
        Some(set) => wait_on(set, epfd, events, timeout, mask),
        None => wait_before(epfd, events, timeout, mask),
    })
}

/// Waits on a set without tracked sockets. Another thread may add the first one meanwhile: what the kernel says then is no
/// longer the program's to read.
fn wait_before(
    epfd: i32,
    events: &mut [EpollEvent],
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
) -> Result<usize, Errno> {
    let end = Timeout::after(timeout);
    let count = epoll_pwait(epfd, events, timeout, mask.map(|bits| Mask::from_bits(*bits)))?;
    let Some(set) = registry::find(epfd).filter(|_| count > 0) else { return Ok(count) };
    let (true_count, _) = set.translate(&mut events[..count], false);
    match (true_count, end.left()) {
        (0, Ok(left)) => wait_on(set, epfd, events, left, mask),
        _ => Ok(true_count),
    }
}

fn wait_on(
    set: &'static Set,
    epfd: i32,
    events: &mut [EpollEvent],
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
) -> Result<usize, Errno> {
    set.bring_home();
    let end = Timeout::after(timeout);
    let began = clock::now_ns();
    let lane = set.lane();
    let mut spun = false;
    loop {
        if set.has_companions() {
            notice::take_lane(lane);
            let ready = set.collect(events);
            if ready > 0 {
                spin::learn(began);
                return Ok(ready + beside(set, epfd, &mut events[ready..]));
            }
            let from_kernel = ask_kernel(set, epfd, events, Some(Duration::ZERO), None)?;
            if from_kernel > 0 || timeout == Some(Duration::ZERO) {
                return Ok(from_kernel);
            }
            if !spun && lane != 0 {
                spun = true;
                if spin::until(|| pair::any(lane)) {
                    continue;
                }
            }
            if lane != 0 {
                pair::sleeping(lane);
            }
            notice::take_lane(lane);
        }
        set.sleepers.fetch_add(1, Ordering::SeqCst);
        let result = if set.has_ready() {
            Ok(Asked { count: 0, rung: true })
        } else {
            end.left().or(Ok(Some(Duration::ZERO))).and_then(|left| {
                let sleep = if timeout == Some(Duration::ZERO) { Some(Duration::ZERO) } else { left };
                ask(set, epfd, events, sleep, mask, false)
            })
        };
        set.sleepers.fetch_sub(1, Ordering::SeqCst);
        let asked = result?;
        if asked.count > 0 {
            return Ok(asked.count);
        }
        if !asked.rung && end.left().is_err() {
            return Ok(0);
        }
    }
}

struct Asked {
    count: usize,
    /// A bell of the set rang, or what came was not true: look again.
    rung: bool,
}

/// Looks at the kernel's side now and then while the ready list alone keeps the program busy.
fn beside(set: &'static Set, epfd: i32, rest: &mut [EpollEvent]) -> usize {
    let now = clock::now_ns();
    if rest.is_empty() || now.saturating_sub(set.asked_kernel.load(Ordering::Relaxed)) < KERNEL_CHECK {
        set.wake_others();
        return 0;
    }
    set.asked_kernel.store(now, Ordering::Relaxed);
    ask(set, epfd, rest, Some(Duration::ZERO), None, true).map_or(0, |asked| asked.count)
}

fn ask_kernel(
    set: &'static Set,
    epfd: i32,
    events: &mut [EpollEvent],
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
) -> Result<usize, Errno> {
    set.asked_kernel.store(clock::now_ns(), Ordering::Relaxed);
    ask(set, epfd, events, timeout, mask, false).map(|asked| asked.count)
}

fn ask(
    set: &'static Set,
    epfd: i32,
    events: &mut [EpollEvent],
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
    beside: bool,
) -> Result<Asked, Errno> {
    let mask = mask.map(|bits| Mask::from_bits(*bits));
    let nudged = set.sleep_beside(epfd, timeout, mask)?;
    let timeout = if nudged.is_some() { Some(Duration::ZERO) } else { timeout };
    let count = epoll_pwait(epfd, events, timeout, mask)?;
    let (true_count, rung) = set.translate(&mut events[..count], beside);
    let rung = rung || nudged == Some(true);
    if rung && set.lane() != 0 {
        bells::drain(set.lane());
        if set.sleepers.load(Ordering::SeqCst) > 1 {
            // The flag was taken by the peer that rang; other threads still sleep here.
            pair::sleeping(set.lane());
        }
        notice::take_lane(set.lane());
    }
    Ok(Asked { count: true_count, rung: rung || count > 0 })
}
