//! What a set reports: its ready list, and the kernel's events made true.

use std::time::Duration;

use wsd_os::atomic::Ordering;
use wsd_os::poll::ppoll;

use super::member::{EDGE, EVENTS, Member, ONESHOT};
use super::registry::{Inner, Set, is_wakeup, ours};
use crate::family;
use crate::front::{EpollEvent, PollFd};
use crate::sharing;
use crate::stream::readiness::{self, ERR, HUP, SEND_EVENTS};
use crate::stream::state::Stream;
use crate::wait::wake::lane_bit;

impl Set {
    /// Moves what is true from the ready list into `events`; how many.
    pub(super) fn collect(&self, events: &mut [EpollEvent]) -> usize {
        let mut held = self.hold();
        let inner = &mut *held.inner;
        let mut count = 0;
        inner.round = inner.round.wrapping_add(1);
        // Each member is looked at once per call; level-triggered ones that stay ready go to the back.
        for _ in 0..inner.ready.len() {
            if count == events.len() {
                break;
            }
            let Some(fd) = inner.ready.pop_front() else { break };
            let again = self.report(inner, fd, &mut |event| {
                events[count] = event;
                count += 1;
            });
            inner.members[fd as usize].listed = again;
            if again {
                inner.ready.push_back(fd);
            }
        }
        count
    }

    /// Looks at one member; whether it stays on the list.
    fn report(&self, inner: &mut Inner, fd: i32, emit: &mut impl FnMut(EpollEvent)) -> bool {
        let member = &mut inner.members[fd as usize];
        let Some(stream) = live(member, fd) else { return false };
        let companion = stream.record.is_served();
        if !companion || member.spent {
            member.fresh = false;
            if !companion {
                self.give_to_kernel(fd, member);
            }
            return false;
        }
        member.served = true;
        let wanted = (member.events & EVENTS) | ERR | HUP;
        let edge = member.events & EDGE != 0;
        let ready = readiness::of(&stream);
        if ready.kernel != 0 && !member.in_kernel {
            self.give_to_kernel(fd, member);
        }
        let mut true_now = ready.events & wanted;
        if true_now == 0 || edge {
            let unready_send = if true_now & SEND_EVENTS == 0 { member.events & SEND_EVENTS } else { 0 };
            sharing::wait_in_set(&stream, member.events, None);
            readiness::arm(&stream, lane_bit(self.lane()), unready_send);
            if true_now == 0 {
                // What came before the arming is found now; what comes after it is notified.
                true_now = readiness::of(&stream).events & wanted;
            }
        }
        let fresh = std::mem::take(&mut member.fresh);
        if true_now == 0 || (edge && !fresh) {
            return false;
        }
        if edge {
            // An edge tells all that is true (epoll(7)), the other direction's part, too.
            true_now |= asked(fd, ready.kernel & wanted);
        }
        emit(member.event(true_now));
        member.reported = inner.round;
        if member.events & ONESHOT != 0 {
            member.spent = true;
            return false;
        }
        !edge
    }

    /// Translates the kernel's events in place and drops what is not true; how many are left, and whether to look again.
    pub(super) fn translate(&self, events: &mut [EpollEvent], beside: bool) -> (usize, bool) {
        let mut rung = false;
        let mut kept = 0;
        let mut held = None;
        for number in 0..events.len() {
            let event = events[number];
            let Some(low) = ours(event.u64) else {
                events[kept] = event;
                kept += 1;
                continue;
            };
            if is_wakeup(low) {
                rung = true;
                self.calm();
                continue;
            }
            let held = held.get_or_insert_with(|| self.hold());
            let round = held.inner.round;
            let Some(member) = held.inner.members.get_mut(low as usize).filter(|member| member.used) else {
                continue;
            };
            let true_now = self.true_part(low as i32, member, event.events);
            // What the ready list has just reported stands in the same answer already.
            if true_now != 0 && !(beside && member.reported == round) {
                events[kept] = member.event(true_now);
                kept += 1;
            }
        }
        (kept, rung)
    }

    /// What of a kernel event on a tracked socket is true.
    fn true_part(&self, fd: i32, member: &mut Member, events: u32) -> u32 {
        let Some(stream) = live(member, fd) else { return events };
        // Reported by the ready list already, while the kernel's set had it armed, too.
        if member.spent {
            return 0;
        }
        if !stream.record.is_served() {
            return events;
        }
        member.served = true;
        let ready = readiness::of(&stream);
        let wanted = (member.events & EVENTS) | ERR | HUP;
        let from_kernel = events & ready.kernel;
        if ready.kernel == 0 {
            self.take_from_kernel(fd, member);
        } else if events & SEND_EVENTS != 0
            && ready.kernel & SEND_EVENTS == 0
            && !member.masked
            && member.events & (EDGE | ONESHOT) == 0
        {
            // TCP is idle and would say "writable" for ever; whether the ring takes bytes the ready list tells.
            member.masked = true;
            self.ask_kernel_for(fd, member, member.events & !SEND_EVENTS);
        }
        let only_about_sending = events & !SEND_EVENTS == 0;
        let true_now =
            if from_kernel == 0 && only_about_sending { 0 } else { from_kernel | (ready.events & wanted) };
        if member.events & ONESHOT != 0 {
            if true_now == 0 && member.in_kernel {
                // The kernel has disarmed it for an event that the program never sees.
                self.ask_kernel_for(fd, member, member.events);
            } else if true_now != 0 {
                member.spent = true;
            }
        }
        true_now
    }
}

fn live(member: &Member, fd: i32) -> Option<Stream> {
    let family = family::get()?;
    let record = family.record(member.index);
    let generation = record.generation.load(Ordering::Acquire);
    (member.used && generation == member.generation).then_some(Stream {
        fd,
        index: member.index,
        record,
        generation,
    })
}

/// What of `events` the kernel says of a socket now.
fn asked(fd: i32, events: u32) -> u32 {
    if events == 0 {
        return 0;
    }
    let mut fds = [PollFd { fd, events: events as i16, revents: 0 }];
    match ppoll(&mut fds, Some(Duration::ZERO), None) {
        Ok(_) => u32::from(fds[0].revents as u16) & events,
        Err(_) => 0,
    }
}
