//! `epoll_ctl`: who is in a set, and who of them is in the kernel's set too. A connection whose both directions are in
//! rings is not: the kernel has nothing to say of it, and its registrations cost no system call.

use wsd_os::Errno;
use wsd_os::poll::epoll_ctl_raw;

use super::member::{EXCLUSIVE, Member};
use super::registry::{ADD, DEL, MODIFY, Set, datum, expose, find, news};
use crate::family::{self, Attach, First, table};
use crate::front::EpollEvent;
use crate::process;
use crate::reason::Reason;
use crate::stream::readiness;
use crate::stream::state::Stream;

/// See [`crate::front::epoll_ctl`].
pub(crate) fn control(
    epfd: i32,
    op: i32,
    fd: i32,
    event: Option<EpollEvent>,
    kernel: &mut impl FnMut(Option<EpollEvent>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let tracked = family::get().and_then(|family| Some((family, table::find(family, fd)?)));
    let Some((family, index)) = tracked else {
        // A set within a set.
        if op == ADD {
            expose(fd);
        }
        return kernel(event);
    };
    let set = match find(epfd) {
        Some(set) => set,
        None if op == ADD => match Set::create(epfd) {
            Ok(set) => set,
            // The kernel cannot tell anything of it.
            Err(error) if family.record(index).first() != First::No => return Err(error),
            // No set of ours: the socket stays with the kernel.
            Err(_) => {
                family.record(index).set_attach(Attach::Never);
                return kernel(event);
            }
        },
        None => return kernel(event),
    };
    let Some(stream) = Stream::at(index).map(|stream| stream.with(fd)) else { return kernel(event) };
    match (op, event) {
        (ADD | MODIFY, Some(event)) => set.register(epfd, op, &stream, event, kernel),
        (DEL, _) => set.remove(&stream, kernel),
        _ => kernel(event),
    }
}

impl Set {
    fn register(
        &'static self,
        epfd: i32,
        op: i32,
        stream: &Stream,
        event: EpollEvent,
        kernel: &mut impl FnMut(Option<EpollEvent>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let first = stream.record.first();
        // One process at most waits for a connection that is the SAN's, so there is nobody to exclude.
        let exclusive = event.events & EXCLUSIVE != 0 && matches!(first, First::No | First::Listening);
        if exclusive || self.is_exposed() {
            stream.record.change_attach(Attach::No, Attach::Never);
        }
        // First of all: from here on news of the connection comes to this set.
        self.watch(epfd, stream.index);
        let number = stream.fd as usize;
        let ours = EpollEvent { events: event.events, u64: datum(stream.fd as u32) };
        {
            let mut held = self.hold();
            held.inner.make_room(number);
            let member = held.inner.members[number];
            let known = member.is(stream);
            let mut in_kernel = known && member.in_kernel;
            if !exclusive && in_rings(stream) {
                match (op, known) {
                    (ADD, true) => return Err(Errno::EXIST),
                    (MODIFY, false) => return Err(Errno::NOENT),
                    _ => {}
                }
                if in_kernel {
                    in_kernel = epoll_ctl_raw(epfd, DEL, stream.fd, None).is_err();
                }
            } else {
                match (op, known, in_kernel) {
                    (ADD, true, false) => return Err(Errno::EXIST),
                    (MODIFY, true, false) => epoll_ctl_raw(epfd, ADD, stream.fd, Some(ours))?,
                    _ => kernel(Some(ours))?,
                }
                in_kernel = true;
            }
            held.inner.members[number] = Member {
                used: true,
                in_kernel,
                index: stream.index,
                generation: stream.generation,
                events: event.events,
                data: event.u64,
                listed: member.listed,
                ..Member::default()
            };
        }
        if first != First::No {
            if exclusive || self.is_exposed() {
                process::abandon(stream, Reason::KernelCall);
            }
            news(stream.index);
            return Ok(());
        }
        match stream.record.attach() {
            Attach::Attached if exclusive || self.is_exposed() => {
                let _ = process::leave(stream, Reason::KernelCall);
                self.settle(stream.fd);
            }
            Attach::Attached => news(stream.index),
            _ => {}
        }
        Ok(())
    }

    fn remove(
        &self,
        stream: &Stream,
        kernel: &mut impl FnMut(Option<EpollEvent>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut held = self.hold();
        let member = held.inner.members.get_mut(stream.fd as usize).filter(|member| member.is(stream));
        if member.as_ref().is_none_or(|member| member.in_kernel) {
            kernel(None)?;
        }
        if let Some(member) = member {
            member.used = false;
        }
        Ok(())
    }

    /// The connection is on TCP, where the kernel's set alone tells what is true.
    pub(super) fn settle(&self, fd: i32) {
        let mut held = self.hold();
        if let Some(member) = held.inner.members.get_mut(fd as usize).filter(|member| member.used) {
            self.give_to_kernel(fd, member);
        }
    }

    /// Makes the kernel's set report the member, beginning with what is true now.
    pub(super) fn give_to_kernel(&self, fd: i32, member: &mut Member) {
        // A one-shot member that has been reported is silent until the program arms it again.
        if member.spent {
            return;
        }
        let event = EpollEvent { events: member.events, u64: datum(fd as u32) };
        if !member.in_kernel {
            member.in_kernel = self.control_kernel(ADD, fd, member, event).is_ok();
        } else if member.served || member.masked {
            let _ = self.control_kernel(MODIFY, fd, member, event);
        }
        (member.served, member.masked) = (false, false);
    }

    /// Takes the member out of the kernel's set, which would wake for nothing.
    pub(super) fn take_from_kernel(&self, fd: i32, member: &mut Member) {
        let event = EpollEvent { events: 0, u64: 0 };
        if member.in_kernel && self.control_kernel(DEL, fd, member, event).is_ok() {
            member.in_kernel = false;
        }
    }

    /// Changes the events that the kernel is asked for.
    pub(super) fn ask_kernel_for(&self, fd: i32, member: &Member, events: u32) {
        let event = EpollEvent { events, u64: datum(fd as u32) };
        let _ = self.control_kernel(MODIFY, fd, member, event);
    }

    /// The number may belong to another file by now, while copies of the member live on: then any of them is added.
    fn control_kernel(&self, op: i32, fd: i32, member: &Member, event: EpollEvent) -> Result<(), Errno> {
        let family = family::get().ok_or(Errno::BADF)?;
        let _still = table::lock();
        let named = if table::find(family, fd) == Some(member.index) {
            fd
        } else if op == ADD {
            table::descriptor_of(family, member.index).ok_or(Errno::BADF)?
        } else {
            return Err(Errno::BADF);
        };
        epoll_ctl_raw(self.epfd(), op, named, Some(event))
    }
}

/// Whether the kernel has no part in either direction.
fn in_rings(stream: &Stream) -> bool {
    let record = stream.record;
    (record.attach() == Attach::Attached || record.first() != First::No) && readiness::of(stream).kernel == 0
}
