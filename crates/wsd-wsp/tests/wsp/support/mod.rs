//! A program written to the SPI: it plays the part of ws2_32.dll (events, descriptors, messages, APCs) and calls the table.

mod events;
mod program;
pub(crate) mod relay;
mod socket;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wsd_spi::ffi::{INT, LPWSAUSERAPC, SOCKADDR, WSPDATA, WSPPROC_TABLE};
use wsd_spi::{SockAddr, WsaError};

pub(crate) use events::Event;
pub(crate) use program::{
    Apcs, Message, blocking_callback, is_given_back, messages, protocol_info, this_thread, upcalls,
};
pub(crate) use socket::{Pending, Socket, call, connected_pair, listener, loopback, wsabuf};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The library, started once for all tests of this program.
pub(crate) fn table() -> &'static WSPPROC_TABLE {
    static TABLE: LazyLock<WSPPROC_TABLE> = LazyLock::new(start);
    &TABLE
}

/// One more start-up, to be balanced by a clean-up.
pub(crate) fn start() -> WSPPROC_TABLE {
    let (mut data, mut table) = (WSPDATA::zeroed(), WSPPROC_TABLE::empty());
    let mut info = protocol_info();
    // SAFETY: all are live variables; the up-calls are functions of this program.
    let code =
        unsafe { wsd_wsp::door::WSPStartup(0x0202, &raw mut data, &raw mut info, upcalls(), &raw mut table) };
    assert_eq!(code, 0);
    assert_eq!((data.wVersion, data.wHighVersion), (0x0202, 0x0202));
    table
}

/// The error of a call that answered `failed`.
pub(crate) fn result<T>(value: T, failed: bool, code: INT) -> Result<T, WsaError> {
    if failed {
        Err(WsaError::from_code(code).expect("a failed call leaves a code"))
    } else {
        assert_eq!(code, 0, "a call that succeeds leaves lpErrno alone");
        Ok(value)
    }
}

/// An address as the SPI has it.
pub(crate) struct Name {
    bytes: [u8; 28],
    pub(crate) length: INT,
}

impl Name {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let (bytes, length) = SockAddr::from(address).encode();
        Self { bytes, length: length as INT }
    }

    pub(crate) fn room() -> Self {
        Self { bytes: [0; 28], length: 28 }
    }

    pub(crate) fn pointer(&mut self) -> *mut SOCKADDR {
        self.bytes.as_mut_ptr().cast()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SockAddr::decode(&self.bytes).expect("an address").socket_addr()
    }
}

/// Looks until `look` finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until a process or thread, as a folder of procfs, is in this state (proc_pid_stat(5)).
pub(crate) fn await_state(task: &Path, state: char) {
    // Behind the program's name in parentheses.
    let is_in = |text: String| text.rsplit(") ").next().is_some_and(|rest| rest.starts_with(state));
    let status = Path::new("/proc").join(task).join("stat");
    eventually("a state", || std::fs::read_to_string(&status).is_ok_and(is_in).then_some(()));
}

/// An ignored test of this program, in a process of its own.
pub(crate) fn own_process(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--ignored", "--exact", "--nocapture", test]);
    command
}

/// Runs an ignored test in a process of its own, where it has to succeed.
pub(crate) fn in_own_process(test: &str) {
    let output = own_process(test).output().expect("this program");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{output:?}");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A queued call of a thread, and its argument.
type Apc = (LPWSAUSERAPC, usize);
