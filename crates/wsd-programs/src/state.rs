//! What a process holds and what it does, as the kernel tells.

use crate::process::stat_field;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a process holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Descriptors, by kind of what they refer to.
    pub descriptors: BTreeMap<String, usize>,
    /// Mappings.
    pub mappings: usize,
    /// Threads.
    pub threads: usize,
    /// Memory of its own, in KiB.
    pub memory: u64,
}

impl Holdings {
    /// What that process holds now.
    ///
    /// # Panics
    ///
    /// When the process has ended.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let mut descriptors = BTreeMap::new();
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a running process").flatten() {
            // It may be closed by now.
            let Ok(target) = std::fs::read_link(entry.path()) else { continue };
            let target = target.to_string_lossy().into_owned();
            let kind = target.split_once(":[").map_or(target.as_str(), |(kind, _)| kind).to_owned();
            *descriptors.entry(kind).or_default() += 1;
        }
        let mappings = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("a running process");
        Self {
            descriptors,
            mappings: mappings.lines().count(),
            threads: tasks(pid).len(),
            memory: memory(pid),
        }
    }
}

/// What a process has done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Processor time, user and system, in ticks.
    pub ticks: u64,
    /// How often each thread went to sleep.
    pub sleeps: BTreeMap<String, u64>,
}

impl Effort {
    /// What that process has done until now.
    ///
    /// # Panics
    ///
    /// When the process has ended.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let ticks = |field| stat_field(pid, field).expect("a running process");
        let sleeps =
            tasks(pid).iter().map(|task| (task.to_string_lossy().into_owned(), sleeps(task))).collect();
        // User and system time are fields 14 and 15, the state is field 3.
        Self { ticks: ticks(11) + ticks(12), sleeps }
    }
}

fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    number(&status, "RssAnon:")
}

/// The number after that name in a status file.
fn number(status: &str, name: &str) -> u64 {
    let rest = status.lines().find_map(|line| line.strip_prefix(name));
    rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn tasks(pid: u32) -> Vec<PathBuf> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    tasks.flatten().map(|entry| entry.path()).collect()
}

fn sleeps(task: &Path) -> u64 {
    let status = std::fs::read_to_string(task.join("status")).unwrap_or_default();
    number(&status, "voluntary_ctxt_switches:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_descriptors_threads_and_sleep() {
        let own = std::process::id();
        let before = Holdings::of(own);
        assert!(before.mappings > 0 && before.threads > 0 && before.memory > 0);
        let (reader, _writer) = std::io::pipe().expect("a pipe");
        assert!(Holdings::of(own).descriptors["pipe"] >= 2);
        let efforts = Effort::of(own);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_ne!(Effort::of(own).sleeps, efforts.sleeps);
        drop(reader);
    }
}
