//! The service thread: one per process, made at the first attach, asleep in the kernel whenever nothing is to do. It alone
//! calls providers and owns companions and links, so there are no locks around them.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use wsd_os::Errno;
use wsd_os::atomic::Ordering;
use wsd_os::clock;
use wsd_os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use wsd_os::net::AddressMonitor;
use wsd_os::poll::{self, EpollEvent, EpollOperation};
use wsd_session::Checkpoints;

use super::companion::Companion;
use super::first::SanListener;
use super::kick;
use super::links::{Arrival, Links, token_of};
use super::patience::Patience;
use super::pump::Farewell;
use super::scratch::Scratch;
use super::swap::Sharer;
use super::working::Working;
use crate::access;
use crate::family::{self, Family};
use crate::first::connecting;
use crate::registry::Providers;
use crate::stream::close::give_up;
use crate::stream::state::Stream;
use crate::trace;
use crate::wait::{bells, notice, pair, spin};

pub(super) const IN: u32 = libc_events::IN;
pub(super) const OUT: u32 = libc_events::OUT;
const KICK: u64 = 1;
const BELL: u64 = 2;
const LISTENER: u64 = 3;
const ADDRESSES: u64 = 4;
const PROVIDER: u64 = 1 << 32;
const LINK: u64 = 2 << 32;
const TCP: u64 = 3 << 32;
const SHARER: u64 = 4 << 32;
const KIND: u64 = 0xFFFF_FFFF << 32;
/// However much there is to move, the kernel is asked so often (nanoseconds).
const LISTEN_EVERY: u64 = 1_000_000;
/// A provider that cannot tell when it has something to do is asked so often.
const ASK_UNARMED: Duration = Duration::from_millis(1);

mod libc_events {
    pub(super) const IN: u32 = 0x001;
    pub(super) const OUT: u32 = 0x004;
    pub(super) const RDHUP: u32 = 0x2000;
    pub(super) const ONESHOT: u32 = 1 << 30;
    pub(super) const EDGE: u32 = 1 << 31;
}

/// Everything that belongs to the service thread.
pub(super) struct Service {
    pub(super) family: &'static Family,
    epoll: OwnedFd,
    pub(super) providers: Providers,
    pub(super) links: Links,
    addresses: Option<AddressMonitor>,
    pub(super) companions: HashMap<u32, Companion>,
    /// Listeners of the program that the SAN has too, by their records.
    pub(super) listeners: HashMap<u32, SanListener>,
    /// Connection key -> record.
    pub(super) keys: HashMap<u64, u32>,
    /// Moments (monotonic nanoseconds) at which a record wants to be looked at again.
    pub(super) alarms: HashMap<u32, u64>,
    /// How long companions that are being made are waited for.
    pub(super) patience: Patience,
    /// Records (with generation) that look for their peer's companion again soon, and how often they did.
    pub(super) soon: HashMap<u32, (u32, usize)>,
    /// By what connections between hosts were proven, by their records, with their generations: towards the peer, from it.
    pub(super) proven: HashMap<u32, (u32, [Checkpoints; 2])>,
    /// Connections that several processes have, by their records.
    pub(super) sharers: HashMap<u32, Sharer>,
    /// Ports of closed companions whose last messages are under way.
    pub(super) farewells: Vec<Farewell>,
    /// Connections with exposures or transfers, by their records.
    pub(super) accessed: HashSet<u32>,
    pub(super) scratch: Scratch,
    /// When a pump last moved bytes (monotonic nanoseconds).
    pub(super) moved: u64,
}

/// Makes the service thread of this process.
pub(super) fn start(family: &'static Family) {
    let run = move || {
        let working = Working::begin();
        match Service::new(family) {
            Ok(mut service) => service.run(&working),
            Err(error) => {
                trace::note(format_args!("service thread cannot start: {error}"));
                without_service(family);
            }
        }
    };
    // Provider code and TOML run here, hence more than the smallest stack.
    match wsd_os::thread::spawn_hidden("wsd-service", 512 * 1024, run) {
        Ok(_) => family.me().served.store(1, Ordering::Release),
        Err(error) => {
            trace::note(format_args!("no service thread: {error}"));
            without_service(family);
        }
    }
}

/// Nobody is to wait for a service thread that is not there.
fn without_service(family: &'static Family) {
    connecting::fail_all(family);
    access::abandon();
}

impl Service {
    fn new(family: &'static Family) -> Result<Self, Errno> {
        let token = bells::token();
        for (word, value) in family.me().token.iter().zip(token) {
            word.store(value, Ordering::Release);
        }
        let mut service = Self {
            family,
            epoll: poll::epoll_create()?,
            providers: Providers::start(),
            links: Links::new(token_of(token))?,
            addresses: AddressMonitor::new().ok(),
            companions: HashMap::new(),
            listeners: HashMap::new(),
            keys: HashMap::new(),
            alarms: HashMap::new(),
            patience: Patience::default(),
            soon: HashMap::new(),
            proven: HashMap::new(),
            sharers: HashMap::new(),
            farewells: Vec::new(),
            accessed: HashSet::new(),
            scratch: Scratch::default(),
            moved: 0,
        };
        service.watch(kick::event().ok_or(Errno::MFILE)?, KICK)?;
        bells::make_kept();
        service.watch(bells::bell(0).ok_or(Errno::MFILE)?, BELL)?;
        service.watch(service.links.listener(), LISTENER)?;
        if let Some(monitor) = &service.addresses {
            service.watch(monitor.as_fd(), ADDRESSES)?;
        }
        for fd in service.providers.arm() {
            service.watch(fd, PROVIDER)?;
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
        self.watch_socket(fd, index, libc_events::RDHUP | libc_events::ONESHOT);
    }

    /// Reports when the kernel's socket takes bytes again. The table lock is held.
    pub(super) fn watch_writable(&self, fd: i32, index: u32) {
        self.watch_socket(fd, index, libc_events::OUT | libc_events::RDHUP | libc_events::ONESHOT);
    }

    /// Reports all that happens to the kernel's socket while the path is changed; whether it takes bytes if `writes`. The table
    /// lock is held.
    pub(super) fn watch_mend(&self, fd: i32, index: u32, writes: bool) {
        let out = if writes { libc_events::OUT } else { 0 };
        self.watch_socket(fd, index, libc_events::IN | out | libc_events::RDHUP | libc_events::EDGE);
    }

    /// Reports nothing more of the kernel's socket. The table lock is held.
    pub(super) fn unwatch(&self, fd: i32) {
        let nothing = EpollEvent { events: 0, u64: 0 };
        let _ = poll::epoll_ctl(self.epoll.as_fd(), EpollOperation::Delete, fd, nothing);
    }

    fn watch_socket(&self, fd: i32, index: u32, events: u32) {
        let event = EpollEvent { events, u64: TCP | u64::from(index) };
        if poll::epoll_ctl(self.epoll.as_fd(), EpollOperation::Add, fd, event) == Err(Errno::EXIST) {
            let _ = poll::epoll_ctl(self.epoll.as_fd(), EpollOperation::Modify, fd, event);
        }
    }

    fn run(&mut self, working: &Working) {
        let mut events = [EpollEvent { events: 0, u64: 0 }; 64];
        let mut heard = 0;
        loop {
            pair::sleeping(0);
            // Before anything is looked at: who rings from now on is heard by the next sleep.
            notice::take_for_others();
            self.kicked();
            let mut wait = self.due(heard);
            self.serve_access();
            if self.stay_awake(working, heard + LISTEN_EVERY) {
                continue;
            }
            if spin::expects(self.moved) {
                wait = Some(Duration::ZERO);
            } else {
                if !self.providers.rearm() {
                    wait = Some(wait.unwrap_or(ASK_UNARMED).min(ASK_UNARMED));
                }
                // What has been caused until now, by alarms and by providers, must be seen before the sleep.
                if !kick::may_sleep(self.family.me()) {
                    wait = Some(Duration::ZERO);
                }
            }
            heard = clock::now_ns();
            let sleep = || poll::epoll_pwait(self.epoll.as_raw_fd(), &mut events, wait, None);
            let slept = working.rest(sleep);
            kick::awake(self.family.me());
            let count = match slept {
                Ok(count) => count,
                Err(Errno::INTR) => 0,
                Err(error) => {
                    trace::note(format_args!("service thread ends: {error}"));
                    self.abandon();
                    return;
                }
            };
            for event in &events[..count] {
                let (events, data) = (event.events, event.u64);
                self.handle(data);
                if data & KIND == LINK && events & OUT != 0 {
                    self.has_room(data & !KIND);
                }
            }
        }
    }

    /// Where bytes have just been moved, more are to be expected soon: looks for them for a while, instead of having everybody make
    /// system calls to wake it, until it is time to ask the kernel. Whether something came.
    fn stay_awake(&self, working: &Working, until: u64) -> bool {
        let me = self.family.me();
        spin::work_until(self.moved, until, || {
            self.providers.progress();
            // A fork may be waiting.
            working.rest(|| ());
            kick::any(me) || pair::any(0)
        })
    }

    fn handle(&mut self, data: u64) {
        match data & KIND {
            PROVIDER => self.providers.progress(),
            LINK => self.link_readable(data & !KIND),
            TCP => self.tcp_ended((data & !KIND) as u32),
            SHARER => self.look((data & !KIND) as u32),
            _ => match data {
                LISTENER => self.links_waiting(),
                ADDRESSES => {
                    if let Some(monitor) = &self.addresses {
                        let _ = monitor.drain();
                    }
                    self.providers.refresh_addresses();
                    self.extend_listeners();
                }
                KICK => kick::silence(),
                BELL => bells::drain(0),
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
        self.look_at_pages();
    }

    /// Reports the end of a process that controls a connection of this one.
    pub(super) fn watch_controller(&self, process: BorrowedFd<'_>, index: u32) -> Result<(), Errno> {
        self.watch(process, SHARER | u64::from(index))
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

    pub(super) fn watch_link_again(&self, id: u64, events: u32) {
        if let Some(fd) = self.links.descriptor(id) {
            let event = EpollEvent { events, u64: LINK | id };
            let _ = poll::epoll_ctl(self.epoll.as_fd(), EpollOperation::Modify, fd.as_raw_fd(), event);
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

    pub(super) fn each_of_peer(&mut self, token: super::links::Token, mut act: impl FnMut(&mut Self, u32)) {
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

    /// Time until the next alarm; none: sleep without limit. What was due after `heard`, the moment up to which everything that
    /// came was heard, has to wait: this thread may have been late, not the peer.
    fn due(&mut self, heard: u64) -> Option<Duration> {
        let mut arrivals = Vec::new();
        let mut next = self.links.expire(heard, &mut arrivals);
        self.arrived(arrivals);
        let late: Vec<u32> =
            self.alarms.iter().filter(|(_, at)| **at <= heard).map(|(index, _)| *index).collect();
        for index in late {
            self.alarms.remove(&index);
            self.alarm(index);
        }
        let farewells = self.see_off(heard);
        let now = clock::now_ns();
        next = next.into_iter().chain(self.alarms.values().copied()).chain(farewells).min();
        next.map(|at| Duration::from_nanos(at.saturating_sub(now)))
    }

    /// The thread cannot go on: no connection may wait for it.
    fn abandon(&mut self) {
        for index in self.companions.keys().copied().collect::<Vec<_>>() {
            if let Some(stream) = Stream::at(index) {
                give_up(&stream, crate::reason::Reason::CompanionLost);
            }
        }
        without_service(self.family);
        if let Some(family) = family::get() {
            family.me().served.store(0, Ordering::Release);
        }
    }
}
