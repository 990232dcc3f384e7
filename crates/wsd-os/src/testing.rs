//! What several tests need: child processes, and waiting for something to become true.
//!
//! Tests run at the same time, and children that one forks hold the descriptors of the others for a while: what needs the
//! last descriptor of something to be closed happens only [`eventually`].

use core::time::Duration;

use crate::clock;

/// A forked child of the test, killed at the end.
pub(crate) struct Child {
    pid: i32,
    waited: bool,
}

impl Child {
    /// Forks; the child runs `body`, which must not panic, and exits: successfully if it was true.
    pub(crate) fn fork(body: impl FnOnce() -> bool) -> Self {
        // SAFETY: the child runs only `body` and ends by _exit, so no other thread's state matters to it.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork");
        if pid == 0 {
            let status = if body() { 0 } else { 1 };
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(status) };
        }
        Self { pid, waited: false }
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Kills it as `kill -9` does, without taking its status: it stays a zombie.
    pub(crate) fn kill(&self) {
        // SAFETY: our own child, not waited for, so the number is still its.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// Waits until it is a zombie, which holds no resources any more.
    pub(crate) fn wait_until_dead(&self) {
        // SAFETY: all-zero bytes are a siginfo_t; the call fills it and leaves the child waitable.
        let result = unsafe {
            let mut info: libc::siginfo_t = core::mem::zeroed();
            libc::waitid(libc::P_PID, self.pid as u32, &mut info, libc::WEXITED | libc::WNOWAIT)
        };
        assert_eq!(result, 0);
    }

    /// Whether it still runs.
    pub(crate) fn runs(&self) -> bool {
        // SAFETY: all-zero bytes are a siginfo_t; the call fills it and leaves the child waitable.
        unsafe {
            let mut info: libc::siginfo_t = core::mem::zeroed();
            let options = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG;
            libc::waitid(libc::P_PID, self.pid as u32, &mut info, options) == 0 && info.si_pid() == 0
        }
    }

    /// Waits for it; true if `body` was true.
    pub(crate) fn succeeded(mut self) -> bool {
        self.wait() == 0
    }

    fn wait(&mut self) -> i32 {
        let mut status = -1;
        // SAFETY: waits for our own child.
        unsafe { libc::waitpid(self.pid, &mut status, 0) };
        self.waited = true;
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.waited {
            self.kill();
            self.wait();
        }
    }
}

/// Waits until `condition` is true, at most ten seconds; whether it is.
pub(crate) fn eventually(condition: impl Fn() -> bool) -> bool {
    let start = clock::now();
    while !condition() {
        if clock::now() - start > Duration::from_secs(10) {
            return false;
        }
        crate::thread::yield_now();
    }
    true
}
