//! Watching connections while they are alive.

use crate::bed::Bed;
use crate::kernel::Kernel;
use crate::switch::{Connection, listed};
use crate::wait::until;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Looks after which a busy connection must have settled on its path.
pub(crate) const SETTLED: u32 = 4;

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(100);

/// A connection, as it was when last seen.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Its last state.
    pub connection: Connection,
    /// In how many looks it was there.
    pub looks: u32,
}

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Connections by process, descriptor, own and peer address.
    pub connections: BTreeMap<(u32, i32, String, String), Observed>,
    /// The kernel's sockets.
    pub kernel: Kernel,
    /// How often it was looked.
    pub looks: u32,
    /// The longest times that `wsdirect list` and `ss` took.
    pub slowest: [Duration; 2],
    /// What went wrong in looking.
    pub errors: Vec<String>,
    /// The ports that servers listen on.
    pub ports: Vec<u16>,
}

impl Seen {
    fn look(&mut self, bed: &Bed, wsdirect: &std::path::Path) {
        let begin = Instant::now();
        match listed(bed, wsdirect) {
            Ok(connections) => self.note(connections),
            Err(error) => self.errors.push(error),
        }
        let between = Instant::now();
        match Kernel::now(&self.ports) {
            Ok(kernel) => self.kernel.update(kernel),
            Err(error) => self.errors.push(error),
        }
        let took = [between - begin, between.elapsed()];
        self.slowest = [self.slowest[0].max(took[0]), self.slowest[1].max(took[1])];
        self.looks += 1;
    }

    fn note(&mut self, connections: Vec<Connection>) {
        for connection in connections.into_iter().filter(|connection| connection.touches(&self.ports)) {
            let key = (connection.pid, connection.fd, connection.local.clone(), connection.peer.clone());
            let looks = self.connections.get(&key).map_or(0, |observed| observed.looks) + 1;
            self.connections.insert(key, Observed { connection, looks });
        }
    }
}

/// Looks at connections and kernel sockets of some ports, ten times a second, until it is stopped or dropped.
#[derive(Debug)]
pub struct Sampler {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Start to watch.
    #[must_use]
    pub(crate) fn start(bed: Bed, wsdirect: PathBuf, ports: &[u16]) -> Self {
        let seen = Arc::new(Mutex::new(Seen { ports: ports.to_vec(), ..Seen::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, ending) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            hurry();
            while !ending.load(Ordering::Relaxed) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).look(&bed, &wsdirect);
                std::thread::park_timeout(PERIOD);
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    /// What was seen up to now.
    #[must_use]
    pub fn so_far(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wait until the connections that are there now have been seen often enough to be judged.
    ///
    /// # Panics
    ///
    /// When looking takes too long.
    pub fn settle(&self) {
        let now = self.so_far().looks;
        until(Duration::from_secs(60), "looks at the connections", || {
            (self.so_far().looks > now + SETTLED).then_some(())
        });
    }

    /// Stop, and give what was seen.
    #[must_use]
    pub fn stop(mut self) -> Seen {
        self.end();
        self.so_far()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Looking must not wait for the programs that are looked at. Whoever may not hurry goes on as ever.
fn hurry() {
    // SAFETY: setpriority takes numbers; 0 is this thread, whose children inherit the priority.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) };
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}
