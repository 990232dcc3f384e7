//! poll(2) over descriptors of which some are connections with a companion.

use std::time::Duration;

use wsd_os::Errno;
use wsd_os::atomic::{AtomicU32, Ordering};
use wsd_os::clock;
use wsd_os::memory::FdSlot;
use wsd_os::poll::ppoll;
use wsd_os::signal::Mask;

use super::wake::lane_bit;
use super::{Timeout, bells, notice, pair, spin, watchers};
use crate::family::{self, Attach, First, Life, table};
use crate::front::{Outcome, PollFd, SignalMask};
use crate::process;
use crate::sharing;
use crate::stream::readiness::{self, ERR, HUP, IN};
use crate::stream::state::Stream;

/// Lanes held by threads in poll.
static POLLING: AtomicU32 = AtomicU32::new(0);
/// Threads in poll for which no lane was free; they wait on [`PARK`].
static PARKED: AtomicU32 = AtomicU32::new(0);
/// Event for those without a lane.
static PARK: FdSlot = FdSlot::new();

/// Entries handled without allocating.
const ON_STACK: usize = 64;
/// An entry that poll(2) ignores.
const NONE: PollFd = PollFd { fd: -1, events: 0, revents: 0 };

/// See [`crate::front::poll`].
pub(crate) fn poll(
    fds: &mut [PollFd],
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
) -> Outcome<usize> {
    for entry in fds.iter() {
        watchers::expose(entry.fd);
    }
    if !fds.iter().any(|entry| may_have_companion(entry.fd)) {
        return Outcome::Pass;
    }
    let mut few = [NONE; ON_STACK + 1];
    let mut many;
    let work = if fds.len() <= ON_STACK {
        &mut few[..fds.len() + 1]
    } else {
        many = vec![NONE; fds.len() + 1];
        &mut many[..]
    };
    for stream in fds.iter().filter_map(|entry| attached(entry.fd)) {
        process::bring_home(&stream);
    }
    let lane = Lane::take();
    let result = wait(fds, work, &lane, &Timeout::after(timeout), timeout, mask);
    sharing::listeners::wait_no_more(fds, lane.number);
    Outcome::Served(result)
}

fn may_have_companion(fd: i32) -> bool {
    stream_of(fd).is_some_and(|stream| {
        if stream.record.first() != First::No {
            return true;
        }
        matches!(stream.record.life(), Life::Connected | Life::Connecting)
            && stream.record.attach() != Attach::Never
    })
}

fn stream_of(fd: i32) -> Option<Stream> {
    let family = family::get()?;
    let index = table::find(family, fd)?;
    let record = family.record(index);
    Some(Stream { fd, index, record, generation: record.generation.load(Ordering::Acquire) })
}

fn attached(fd: i32) -> Option<Stream> {
    stream_of(fd).filter(|stream| stream.record.is_served())
}

fn wait(
    fds: &mut [PollFd],
    work: &mut [PollFd],
    lane: &Lane,
    end: &Timeout,
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
) -> Result<usize, Errno> {
    let count = fds.len();
    let began = clock::now_ns();
    let mut spun = false;
    loop {
        let ready = look(fds, work);
        let asked = ppoll(&mut work[..count], Some(Duration::ZERO), None)?;
        if ready + asked > 0 || timeout == Some(Duration::ZERO) {
            // The path may have changed since, and nothing be true of what was: then the wait goes on.
            let count = merge(fds, work);
            if count > 0 || timeout == Some(Duration::ZERO) {
                spin::learn(began);
                return Ok(count);
            }
        }
        let mut companions = false;
        for (stream, events) in companions_of(fds) {
            if events != 0 {
                sharing::wait_in_set(&stream, events, Some(lane.number));
            }
            readiness::arm(&stream, lane_bit(lane.number), events);
            companions = true;
        }
        if companions && !spun {
            spun = true;
            if look(fds, work) > 0 || lane.spins() {
                lane.clear();
                continue;
            }
        }
        if lane.before_sleep() {
            // Who has reported something has disarmed its ring, and may have done so for what is not to be had any more.
            for (stream, events) in companions_of(fds) {
                readiness::arm(&stream, lane_bit(lane.number), events);
            }
        }
        if look(fds, work) > 0 {
            continue;
        }
        work[count] = PollFd { fd: lane.bell(), events: IN as i16, revents: 0 };
        let Ok(left) = end.left() else {
            return Ok(merge(fds, work));
        };
        let woken = ppoll(work, left, mask.map(|bits| Mask::from_bits(*bits)))?;
        if work[count].revents != 0 {
            lane.woken();
        } else if woken == 0 {
            return Ok(merge(fds, work));
        }
    }
}

/// The tracked ones that may have something to tell, with what is asked of them.
fn companions_of(fds: &[PollFd]) -> impl Iterator<Item = (Stream, u32)> {
    fds.iter().filter_map(|entry| attached(entry.fd).map(|stream| (stream, u32::from(entry.events as u16))))
}

/// Fills in what the switch knows and prepares what the kernel is to be asked. How many entries are ready already.
fn look(fds: &mut [PollFd], work: &mut [PollFd]) -> usize {
    let mut count = 0;
    for (entry, work) in fds.iter_mut().zip(work) {
        entry.revents = 0;
        *work = PollFd { fd: entry.fd, events: entry.events, revents: 0 };
        let Some(stream) = attached(entry.fd) else { continue };
        let ready = readiness::of(&stream);
        let wanted = u32::from(entry.events as u16) | ERR | HUP;
        entry.revents = (ready.events & wanted) as i16;
        let ask = wanted & ready.kernel & !(ERR | HUP);
        *work = if ready.kernel & wanted == 0 {
            NONE
        } else {
            PollFd { fd: entry.fd, events: ask as i16, revents: 0 }
        };
        count += usize::from(entry.revents != 0);
    }
    count
}

/// Adds the kernel's answers.
fn merge(fds: &mut [PollFd], work: &[PollFd]) -> usize {
    let mut count = 0;
    for (entry, work) in fds.iter_mut().zip(work) {
        let mut answer = u32::from(work.revents as u16);
        if let Some(stream) = attached(entry.fd) {
            let ready = readiness::of(&stream);
            answer &= ready.kernel;
            entry.revents = (ready.events & (u32::from(entry.events as u16) | ERR | HUP)) as i16;
        }
        entry.revents |= answer as i16;
        count += usize::from(entry.revents != 0);
    }
    count
}

/// Waits until one of `events` may hold of a connection with a companion.
pub(crate) fn wait_for(stream: &Stream, events: u32, timeout: &Timeout) -> Result<(), Errno> {
    let left = timeout.left()?;
    let one = PollFd { fd: stream.fd, events: events as i16, revents: 0 };
    match poll(&mut [one], left, None) {
        Outcome::Served(Ok(0)) => Err(Errno::AGAIN),
        Outcome::Served(result) => result.map(|_| ()),
        Outcome::Pass => match ppoll(&mut [one], left, None)? {
            0 => Err(Errno::AGAIN),
            _ => Ok(()),
        },
    }
}

/// In the child of a fork: nobody polls.
#[cfg(target_os = "linux")]
pub(crate) fn restart_in_child() {
    POLLING.store(0, Ordering::SeqCst);
    PARKED.store(0, Ordering::SeqCst);
    PARK.forget();
}

/// Wakes all threads in poll; they look at everything again.
pub(crate) fn wake_pollers() {
    let lanes = POLLING.load(Ordering::SeqCst);
    for lane in pair::bits_of(u64::from(lanes)) {
        bells::ring_own(lane as u32);
    }
    wake_parked();
}

/// Wakes those who had no lane.
pub(crate) fn wake_parked() {
    if PARKED.load(Ordering::SeqCst) != 0
        && let Ok(event) = PARK.get_or_make(wsd_os::doorbell::event)
    {
        wsd_os::doorbell::signal(event);
    }
}

/// Where a thread in poll sleeps: a lane of its own, or the common event.
struct Lane {
    number: u32,
}

impl Lane {
    fn take() -> Self {
        match bells::take_lane() {
            Some(number) => {
                POLLING.fetch_or(1 << number, Ordering::SeqCst);
                Self { number }
            }
            None => {
                PARKED.fetch_add(1, Ordering::SeqCst);
                Self { number: 0 }
            }
        }
    }

    fn bell(&self) -> i32 {
        use wsd_os::fd::AsRawFd;
        let bell = match self.number {
            0 => PARK.get_or_make(wsd_os::doorbell::event).ok(),
            lane => bells::bell(lane),
        };
        bell.map_or(-1, |bell| bell.as_raw_fd())
    }

    /// Whether something came while it was looked for. Who is parked has no lane to look at.
    fn spins(&self) -> bool {
        self.number != 0 && spin::until(|| pair::any(self.number))
    }

    /// Takes what was reported for this lane, and nothing of the service thread's, which is for others too. Whether there was something.
    fn clear(&self) -> bool {
        let mut any = false;
        if self.number != 0 {
            pair::take(self.number, |_| any = true);
        }
        any
    }

    /// From now on peers ring the bell. Whether something was reported before.
    fn before_sleep(&self) -> bool {
        if self.number != 0 {
            pair::sleeping(self.number);
        }
        self.clear()
    }

    fn woken(&self) {
        match self.number {
            0 => {
                // Others may be parked on the same event: the last to leave silences it.
                if PARKED.load(Ordering::SeqCst) == 1
                    && let Ok(event) = PARK.get_or_make(wsd_os::doorbell::event)
                {
                    wsd_os::doorbell::clear(event);
                }
            }
            lane => {
                bells::drain(lane);
                notice::take_lane(lane);
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if self.number == 0 {
            PARKED.fetch_sub(1, Ordering::SeqCst);
        } else {
            POLLING.fetch_and(!(1 << self.number), Ordering::SeqCst);
            bells::drop_lane(self.number);
        }
    }
}
