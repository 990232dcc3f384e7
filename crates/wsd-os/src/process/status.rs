//! Who a process is.

use core::mem::MaybeUninit;

use rustix::fs::{CWD, Mode, OFlags, RawDir, openat};
use rustix::io::Errno;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::fd::{OwnedFd, hidden};

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it started; see [`start_time`].
    pub start: u64,
}

impl ProcessId {
    /// The process that has the number `pid` now.
    ///
    /// # Errors
    ///
    /// As [`start_time`].
    pub fn of(pid: u32) -> Result<Self, Errno> {
        Ok(Self { pid, start: start_time(pid)? })
    }

    /// Whether it still runs; see [`is_alive`].
    pub fn is_alive(self) -> bool {
        is_alive(self.pid, self.start)
    }
}

/// A descriptor that becomes readable when the process ends (pidfd_open(2)).
///
/// # Errors
///
/// `ESRCH` if it has ended; `EMFILE`, `ENFILE`.
pub fn watch(process: ProcessId) -> Result<OwnedFd, Errno> {
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let fd = hidden(|| pidfd_open(pid, PidfdFlags::empty()))?;
    // The number may have been another process's by then; once open, the descriptor stays with its process.
    if process.is_alive() { Ok(fd) } else { Err(Errno::SRCH) }
}

/// The users of a process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// Real user: who started it.
    pub real: u32,
    /// Effective user: with whose rights it acts.
    pub effective: u32,
}

/// When process `pid` started, in clock ticks after boot (field 22 of `/proc/PID/stat`).
///
/// # Errors
///
/// `ENOENT` or `ESRCH` if there is no such process; `EACCES` where `/proc` hides it.
pub fn start_time(pid: u32) -> Result<u64, Errno> {
    stat(pid).map(|stat| stat.start)
}

/// Whether the process that had the number `pid` and started at `start` still runs. A zombie does not.
pub fn is_alive(pid: u32, start: u64) -> bool {
    stat(pid).is_ok_and(|stat| stat.start == start && !matches!(stat.state, b'Z' | b'X'))
}

/// The name of the process: the first 15 bytes of its program's file name, unless it changed it (`/proc/PID/comm`).
///
/// # Errors
///
/// As [`start_time`].
pub fn name(pid: u32) -> Result<String, Errno> {
    let bytes = read_file(&format!("/proc/{pid}/comm"))?;
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned())
}

/// The users of the process (`/proc/PID/status`).
///
/// # Errors
///
/// As [`start_time`].
pub fn owner(pid: u32) -> Result<Owner, Errno> {
    let bytes = read_file(&format!("/proc/{pid}/status"))?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().find_map(|line| line.strip_prefix("Uid:")).ok_or(Errno::INVAL)?;
    let mut numbers = line.split_ascii_whitespace().map_while(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(real), Some(effective)) => Ok(Owner { real, effective }),
        _ => Err(Errno::INVAL),
    }
}

/// The numbers of all processes that `/proc` shows.
///
/// # Errors
///
/// As open(2) if `/proc` is not mounted.
pub fn list() -> Result<Vec<u32>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = hidden(|| openat(CWD, c"/proc", flags, Mode::empty()))?;
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(&folder, &mut buffer);
    let mut pids = Vec::new();
    while let Some(entry) = entries.next() {
        pids.extend(entry?.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(pids)
}

/// The whole of a file of `/proc`.
pub(super) fn read_file(path: &str) -> Result<Vec<u8>, Errno> {
    let fd = hidden(|| openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()))?;
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match rustix::io::read(&fd, &mut chunk[..]) {
            Ok(0) => return Ok(bytes),
            Ok(got) => bytes.extend_from_slice(&chunk[..got]),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What we need of `/proc/PID/stat`.
struct Stat {
    state: u8,
    start: u64,
}

fn stat(pid: u32) -> Result<Stat, Errno> {
    parse_stat(&read_file(&format!("/proc/{pid}/stat"))?).ok_or(Errno::INVAL)
}

fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    // Field 2 is the name in parentheses, which may itself hold parentheses and blanks.
    let end = bytes.iter().rposition(|byte| *byte == b')')?;
    let rest = core::str::from_utf8(&bytes[end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    // That was field 3; the start time is field 22.
    let start = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_is_known() {
        let pid = std::process::id();
        let me = ProcessId::of(pid).expect("own process");
        assert!(me.start > 0 && me.is_alive());
        assert!(!is_alive(pid, me.start + 1), "another process with this number");
        assert!(list().expect("/proc").contains(&pid));
        let owner = owner(pid).expect("own process");
        // SAFETY: both only return numbers.
        assert_eq!((owner.real, owner.effective), unsafe { (libc::getuid(), libc::geteuid()) });
        let comm = std::fs::read_to_string("/proc/self/comm").expect("procfs");
        assert_eq!(name(pid).as_deref(), Ok(comm.trim_end()));
    }

    #[test]
    fn ended_process_is_not_alive() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().expect("sleep");
        let id = ProcessId::of(child.id()).expect("own child");
        assert!(id.is_alive());
        child.kill().expect("own child");
        let start = crate::clock::now();
        while id.is_alive() && crate::clock::now() - start < core::time::Duration::from_secs(10) {
            std::thread::yield_now();
        }
        assert!(!id.is_alive(), "not as a zombie either");
        child.wait().expect("own child");
        assert!(start_time(id.pid).is_err());
    }

    #[test]
    fn strange_names_do_not_confuse() {
        let line = b"12 (a) R (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        let stat = parse_stat(line).expect("well formed");
        assert_eq!((stat.state, stat.start), (b'S', 4711));
        assert!(parse_stat(b"12 (a) S 1 2").is_none());
        assert!(parse_stat(b"").is_none());
    }
}
