//! A running program that ends, with all it started, when its guard is dropped.

use crate::cleanup;
use crate::program::Program;
use crate::wait::until;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A running program.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    stop: libc::c_int,
    /// How long its end may take.
    patience: Duration,
    output: PathBuf,
    errors: PathBuf,
    to: Option<ChildStdin>,
    from: Option<BufReader<ChildStdout>>,
    _group: cleanup::Group,
}

impl Process {
    /// Start `command`, the way `program` wants, with files for its output in `folder`.
    pub(crate) fn start(
        program: &Program,
        mut command: Command,
        folder: &Path,
        watchdog: &cleanup::Watchdog,
        patience: Duration,
    ) -> Self {
        let name = program.name();
        let (output, errors) = files(folder, &name);
        let create = |path: &Path| File::create(path).expect("a file in the test's folder");
        command.stderr(create(&errors));
        if program.piped {
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        } else {
            let input = program.input.as_deref().unwrap_or(Path::new("/dev/null"));
            command.stdin(File::open(input).expect("an input file")).stdout(create(&output));
        }
        if let Some(user) = &program.user {
            command.uid(user.uid).gid(user.gid);
        }
        command.process_group(0);
        let parent = std::process::id();
        let die_with_parent = move || {
            // SAFETY: prctl and getppid take numbers and are async-signal-safe.
            let orphaned = unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                u32::try_from(libc::getppid()) != Ok(parent)
            };
            if orphaned { Err(std::io::Error::from_raw_os_error(libc::ESRCH)) } else { Ok(()) }
        };
        // SAFETY: between fork and exec only async-signal-safe functions run.
        unsafe { command.pre_exec(die_with_parent) };
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let group = watchdog.watch(number_of(&child));
        let (to, from) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Self { child, name, stop: program.stop, patience, output, errors, to, from, _group: group }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Send it a signal, and nobody else.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: kill takes two numbers; the child is not yet waited for, so that the number is its own.
        let sent = unsafe { libc::kill(number_of(&self.child), signal) };
        assert_eq!(sent, 0, "{} has ended already", self.name);
    }

    /// Write a line to its standard input (it must be piped).
    pub fn tell(&mut self, line: &str) {
        let to = self.to.as_mut().expect("a piped program");
        let told = to.write_all(format!("{line}\n").as_bytes()).and_then(|()| to.flush());
        told.unwrap_or_else(|error| panic!("{} does not listen any more: {error}", self.name));
    }

    /// The next line of its standard output (it must be piped).
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        let heard = self.from.as_mut().expect("a piped program").read_line(&mut line);
        let heard = heard.unwrap_or_else(|error| panic!("{} cannot be heard: {error}", self.name));
        assert!(heard > 0, "{} has ended instead of answering", self.name);
        line.trim_end().to_owned()
    }

    /// Write a line and wait for the answer.
    pub fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }

    /// Take its standard input, to write to it or to close it.
    ///
    /// # Panics
    ///
    /// When it is not piped, or taken already.
    pub fn take_input(&mut self) -> ChildStdin {
        self.to.take().expect("a piped program")
    }

    /// Take its standard output.
    ///
    /// # Panics
    ///
    /// When it is not piped, or taken already.
    pub fn take_output(&mut self) -> BufReader<ChildStdout> {
        self.from.take().expect("a piped program")
    }

    /// Wait for its end.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        until(limit, &what, || self.child.try_wait().expect("our own child"))
    }

    /// Wait for its successful end, and give what it printed.
    ///
    /// # Panics
    ///
    /// When it fails or does not end in time.
    pub fn finish(mut self) -> Vec<u8> {
        drop(self.to.take());
        let mut printed = Vec::new();
        if let Some(mut from) = self.from.take() {
            from.read_to_end(&mut printed).expect("a pipe");
        }
        let status = self.wait(self.patience);
        assert!(status.success(), "{} ended with {status}", self.name);
        if printed.is_empty() {
            printed = std::fs::read(&self.output).unwrap_or_default();
        }
        printed
    }

    /// Like [`Self::finish`], as text.
    #[must_use]
    pub fn finish_text(self) -> String {
        String::from_utf8_lossy(&self.finish()).into_owned()
    }

    /// What it wrote to its standard error so far, and to its standard output if that is not piped.
    #[must_use]
    pub fn log(&self) -> String {
        let text = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        text(&self.output) + &text(&self.errors)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let ended = self.child.try_wait().ok().flatten();
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
            eprintln!("--- {} (pid {}, {ended:?}):\n{}", self.name, self.pid(), &log[tail..]);
        }
        if ended.is_none() {
            end(&mut self.child, self.stop);
        }
    }
}

/// End a child and all its descendants, and wait until they are gone.
fn end(child: &mut Child, stop: libc::c_int) {
    let mut family = descendants(child.id());
    // SAFETY: kill takes two numbers; the child is not yet waited for.
    unsafe { libc::kill(number_of(child), stop) };
    let begin = Instant::now();
    while stop != libc::SIGKILL && begin.elapsed() < Duration::from_secs(5) {
        if child.try_wait().ok().flatten().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    family.extend(descendants(child.id()));
    // It may have ended already.
    let _ = child.kill();
    for (pid, started) in &family {
        if start_time(*pid) == Some(*started) {
            // SAFETY: kill takes two numbers.
            unsafe { libc::kill(i32::try_from(*pid).unwrap_or(i32::MAX), libc::SIGKILL) };
        }
    }
    let _ = child.wait();
    let begin = Instant::now();
    let alive = |(pid, started): &(u32, u64)| start_time(*pid) == Some(*started);
    while family.iter().any(alive) && begin.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The processes that it started, and those that they started, with their start times.
fn descendants(pid: u32) -> Vec<(u32, u64)> {
    let processes: Vec<(u32, u32, u64)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, stat_field(pid, 1)?.try_into().ok()?, start_time(pid)?))
        })
        .collect();
    let mut family = vec![pid];
    let mut found = Vec::new();
    while let Some(parent) = family.pop() {
        for (child, _, started) in processes.iter().filter(|(_, of, _)| *of == parent) {
            family.push(*child);
            found.push((*child, *started));
        }
    }
    found
}

fn start_time(pid: u32) -> Option<u64> {
    stat_field(pid, 19)
}

/// A number of `/proc/PID/stat`, counted after the state, which follows the name in parentheses.
pub(crate) fn stat_field(pid: u32, after_state: usize) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(after_state)?.parse().ok()
}

fn number_of(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("process ids are small")
}

/// New files for what a program prints.
fn files(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let number = (0..).find(|number| !folder.join(format!("{name}.{number}.log")).exists()).unwrap_or(0);
    (folder.join(format!("{name}.{number}.out")), folder.join(format!("{name}.{number}.log")))
}
