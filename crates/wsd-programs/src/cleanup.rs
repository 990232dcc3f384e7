//! What must not outlive a test, also when it hangs, is interrupted or killed: its processes and its folder.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A shell that stands beside the test and cleans up when its standard input ends, be it by the end of the test or of
/// the whole process.
#[derive(Debug)]
struct Reaper {
    shell: Child,
    groups: BTreeSet<i32>,
}

impl Reaper {
    fn new(folder: &Path) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", include_str!("reaper.sh")]).process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let shell = shell.spawn().expect("every machine has a shell");
        let mut reaper = Self { shell, groups: BTreeSet::new() };
        reaper.tell(&format!("folder {}", folder.display()));
        reaper
    }

    fn tell(&mut self, line: &str) {
        let told = self.shell.stdin.as_mut().map(|to| to.write_all(format!("{line}\n").as_bytes()));
        assert!(matches!(told, Some(Ok(()))), "the reaper does not listen: {told:?}");
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Watches over all process groups and the folder of one test. Groups that exist for too long are killed, so that
/// whoever waits for them fails instead of hanging.
#[derive(Debug)]
pub(crate) struct Watchdog {
    reaper: Arc<Mutex<Reaper>>,
    _calm: Sender<()>,
}

impl Watchdog {
    pub(crate) fn new(folder: &Path, limit: Duration) -> Self {
        let reaper = Arc::new(Mutex::new(Reaper::new(folder)));
        let (calm, alarm) = channel::<()>();
        let watched = Arc::downgrade(&reaper);
        std::thread::spawn(move || {
            let late = |limit| alarm.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if !late(limit) {
                return;
            }
            eprintln!("this test takes longer than {limit:?}: ending its processes");
            if let Some(reaper) = watched.upgrade() {
                locked(&reaper).groups.iter().for_each(|group| kill(*group));
            }
            if late(Duration::from_secs(20)) {
                eprintln!("and it still does not end");
                std::process::abort();
            }
        });
        Self { reaper, _calm: calm }
    }

    pub(crate) fn watch(&self, id: i32) -> Group {
        let mut reaper = locked(&self.reaper);
        reaper.groups.insert(id);
        reaper.tell(&format!("group {id}"));
        Group { id, reaper: Arc::clone(&self.reaper) }
    }
}

/// A process group that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    id: i32,
    reaper: Arc<Mutex<Reaper>>,
}

impl Drop for Group {
    fn drop(&mut self) {
        kill(self.id);
        let mut reaper = locked(&self.reaper);
        reaper.groups.remove(&self.id);
        reaper.tell(&format!("ended {}", self.id));
    }
}

fn locked(reaper: &Mutex<Reaper>) -> MutexGuard<'_, Reaper> {
    reaper.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill(group: i32) {
    // SAFETY: kill takes two numbers.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::until;

    fn gone(group: i32) -> bool {
        // SAFETY: kill with signal 0 only asks.
        unsafe { libc::kill(-group, 0) != 0 }
    }

    #[test]
    fn end_of_the_process_ends_groups_and_folder() {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let start = || Command::new("sleep").arg("60").process_group(0).spawn().expect("sleep is everywhere");
        let (mut one, mut other) = (start(), start());
        let number = |child: &Child| i32::try_from(child.id()).expect("small");
        let watchdog = Watchdog::new(&folder, Duration::from_secs(60));
        let (ended, killed) = (watchdog.watch(number(&one)), watchdog.watch(number(&other)));
        drop(ended);
        one.wait().expect("our own child");
        assert!(gone(number(&one)) && !gone(number(&other)));
        // As if this process had ended now: the reaper's input ends.
        drop(locked(&watchdog.reaper).shell.stdin.take());
        other.wait().expect("our own child");
        until(Duration::from_secs(5), "the folder's end", || (!folder.exists()).then_some(()));
        std::mem::forget(killed);
    }
}
