//! The service thread: one per process, made at the first attach, asleep in the kernel whenever nothing is to do. It alone
//! calls providers and owns companions and links, so there are no locks around them.

use std::collections::HashMap;
use std::time::Duration;

use rustix::io::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::clock;
use wsd_os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use wsd_os::net::AddressMonitor;
use wsd_os::poll::{self, EpollEvent, EpollOperation};

use super::companion::Companion;
use super::kick;
use super::links::{Arrival, Links, token_of};
use super::pump::Farewell;
use crate::family::{self, Family};
use crate::registry::Providers;
use crate::stream::close::give_up;
use crate::stream::state::Stream;
use crate::trace;
use crate::wait::{bells, notice, pair};

const IN: u32 = libc_events::IN;
const KICK: u64 = 1;
const BELL: u64 = 2;
const LISTENER: u64 = 3;
const ADDRESSES: u64 = 4;
const PROVIDER: u64 = 1 << 32;
const LINK: u64 = 2 << 32;
const TCP: u64 = 3 << 32;
const KIND: u64 = 0xFFFF_FFFF << 32;

mod libc_events {
    pub(super) const IN: u32 = 0x001;
    pub(super) const OUT: u32 = 0x004;
    pub(super) const RDHUP: u32 = 0x2000;
    pub(super) const ONESHOT: u32 = 1 << 30;
}

/// Everything that belongs to the service thread.
pub(super) struct Service {
    pub(super) family: &'static Family,
    epoll: OwnedFd,
    pub(super) providers: Providers,
    pub(super) links: Links,
    addresses: Option<AddressMonitor>,
    pub(super) companions: HashMap<u32, Companion>,
    /// Connection key -> record.
    pub(super) keys: HashMap<u64, u32>,
    /// Moments (monotonic nanoseconds) at which a record wants to be looked at again.
    pub(super) alarms: HashMap<u32, u64>,
    /// Records (with generation) that look for their peer's companion again soon, and how often they did.
    pub(super) soon: HashMap<u32, (u32, usize)>,
    /// Ports of closed companions whose last messages are under way.
    pub(super) farewells: Vec<Farewell>,
}

/// Makes the service thread of this process.
pub(super) fn start(family: &'static Family) {
    let run = move || match Service::new(family) {
        Ok(mut service) => service.run(),
        Err(error) => trace::note(format_args!("service thread cannot start: {error}")),
    };
    // Provider code and TOML run here, hence more than the smallest stack.
    match wsd_os::thread::spawn_hidden("wsd-service", 512 * 1024, run) {
        Ok(_) => family.me().served.store(1, Ordering::Release),
        Err(error) => trace::note(format_args!("no service thread: {error}")),
    }
}

impl Service {
    fn new(family: &'static Family) -> Result<Self, Errno> {
        let token = bells::token();
        for (word, value) in family.me().token.iter().zip(token) {
            word.store(value, Ordering::Release);
        }
        let service = Self {
            family,
            epoll: poll::epoll_create()?,
            providers: Providers::start(),
            links: Links::new(token_of(token))?,
            addresses: AddressMonitor::new().ok(),
            companions: HashMap::new(),
            keys: HashMap::new(),
            alarms: HashMap::new(),
            soon: HashMap::new(),
            farewells: Vec::new(),
        };
        service.watch(kick::event().ok_or(Errno::MFILE)?, KICK)?;
        bells::make_kept();
        service.watch(bells::bell(0).ok_or(Errno::MFILE)?, BELL)?;
        service.watch(service.links.listener(), LISTENER)?;
        if let Some(monitor) = &service.addresses {
            service.watch(monitor.as_fd(), ADDRESSES)?;
        }
        for (number, fd) in service.providers.armed() {
            service.watch(fd, PROVIDER | number as u64)?;
        }
        Ok(service)
    }

    fn watch(&self, fd: BorrowedFd<'_>, data: u64) -> Result<(), Errno> {
        poll::epoll_ctl(
            self.epoll.as_fd(),
            EpollOperation::Add,
            fd.as_raw_fd(),
            EpollEvent { events: IN, u64: data },
        )
    }

    /// Reports when the peer's kernel ends a promoted connection's TCP socket. The table lock is held.
    pub(super) fn watch_tcp(&self, fd: i32, index: u32) {
        let events = libc_events::RDHUP | libc_events::ONESHOT;
        let event = EpollEvent { events, u64: TCP | u64::from(index) };
        if poll::epoll_ctl(self.epoll.as_fd(), EpollOperation::Add, fd, event) == Err(Errno::EXIST) {
            let _ = poll::epoll_ctl(self.epoll.as_fd(), EpollOperation::Modify, fd, event);
        }
    }

    /// Reports when the kernel's socket takes bytes again. The table lock is held.
    pub(super) fn watch_writable(&self, fd: i32, index: u32) {
        let events = libc_events::OUT | libc_events::RDHUP | libc_events::ONESHOT;
        let event = EpollEvent { events, u64: TCP | u64::from(index) };
        let _ = poll::epoll_ctl(self.epoll.as_fd(), EpollOperation::Modify, fd, event);
    }

    fn run(&mut self) {
        let mut events = [EpollEvent { events: 0, u64: 0 }; 64];
        loop {
            pair::sleeping(0);
            self.kicked();
            notice::take_for_others();
            let wait = self.due();
            let count = match poll::epoll_pwait(self.epoll.as_raw_fd(), &mut events, wait, None) {
                Ok(count) => count,
                Err(Errno::INTR) => 0,
                Err(error) => {
                    trace::note(format_args!("service thread ends: {error}"));
                    self.abandon();
                    return;
                }
            };
            for event in &events[..count] {
                self.handle(event.u64);
            }
        }
    }

    fn handle(&mut self, data: u64) {
        match data & KIND {
            PROVIDER => self.providers.progress((data & !KIND) as usize),
            LINK => self.link_readable(data & !KIND),
            TCP => self.tcp_ended((data & !KIND) as u32),
            _ => match data {
                LISTENER => self.links_waiting(),
                ADDRESSES => {
                    if let Some(monitor) = &self.addresses {
                        let _ = monitor.drain();
                    }
                    self.providers.refresh_addresses();
                }
                // Kicks and bells are taken before every sleep.
                KICK | BELL => {}
                _ => {}
            },
        }
    }

    /// Up-calls kick too.
    fn kicked(&mut self) {
        let mut indexes = Vec::new();
        kick::take(|index| indexes.push(index));
        for index in indexes {
            self.look(index);
        }
    }

    fn link_readable(&mut self, id: u64) {
        let mut arrivals = Vec::new();
        self.links.read(id, &mut arrivals);
        self.arrived(arrivals);
    }

    fn links_waiting(&mut self) {
        for id in self.links.accept() {
            self.watch_link(id);
        }
    }

    pub(super) fn watch_link(&mut self, id: u64) {
        let watched = self.links.descriptor(id).map(|fd| self.watch(fd, LINK | id));
        if watched != Some(Ok(())) {
            self.link_readable(id);
        }
    }

    fn arrived(&mut self, arrivals: Vec<Arrival>) {
        for arrival in arrivals {
            match arrival {
                Arrival::Peer(token) => self.each_of_peer(token, |service, index| service.look(index)),
                Arrival::Hand { token, key, fd } => self.handed(token, key, fd),
                Arrival::GoFirst { token, key } => self.peer_waits(token, key),
                Arrival::NoProof { token, key } => self.peer_gives_up(token, key),
                Arrival::Lost(token) => self.each_of_peer(token, |service, index| service.peer_lost(index)),
            }
        }
    }

    fn each_of_peer(&mut self, token: super::links::Token, mut act: impl FnMut(&mut Self, u32)) {
        let of_peer = |companion: &Companion| companion.peer_token() == Some(token);
        let indexes: Vec<u32> = self
            .companions
            .iter()
            .filter(|(_, companion)| of_peer(companion))
            .map(|(index, _)| *index)
            .collect();
        for index in indexes {
            act(self, index);
        }
    }

    /// Time until the next alarm; none: sleep without limit.
    fn due(&mut self) -> Option<Duration> {
        let now = clock::now_ns();
        let mut arrivals = Vec::new();
        let mut next = self.links.expire(now, &mut arrivals);
        self.arrived(arrivals);
        let late: Vec<u32> =
            self.alarms.iter().filter(|(_, at)| **at <= now).map(|(index, _)| *index).collect();
        for index in late {
            self.alarms.remove(&index);
            self.alarm(index);
        }
        let farewells = self.see_off(now);
        next = next.into_iter().chain(self.alarms.values().copied()).chain(farewells).min();
        // What an alarm has caused must be seen before the sleep.
        if self.family.me().kick_pending.load(Ordering::SeqCst) != 0 {
            return Some(Duration::ZERO);
        }
        next.map(|at| Duration::from_nanos(at.saturating_sub(now)))
    }

    /// The thread cannot go on: no connection may wait for it.
    fn abandon(&mut self) {
        for index in self.companions.keys().copied().collect::<Vec<_>>() {
            if let Some(stream) = Stream::at(index) {
                give_up(&stream, crate::reason::Reason::CompanionLost);
            }
        }
        if let Some(family) = family::get() {
            family.me().served.store(0, Ordering::Release);
        }
    }
}
