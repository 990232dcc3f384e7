//! Fork and exec, as a front end reports them.

use crate::process::fork as process;

/// Before `fork(2)`: takes what must be consistent across it, and counts the child as a holder of what it will inherit.
pub fn before_fork() {
    process::before_fork();
}

/// After `fork(2)` in the parent. `failed`: there is no child.
pub fn after_fork_in_parent(failed: bool) {
    process::after_fork_in_parent(failed);
}

/// After `fork(2)` in the child.
pub fn after_fork_in_child() {
    process::after_fork_in_child();
}

/// In the child, after [`after_fork_in_child`], where threads may be made: the child takes its part in what it has inherited at once,
/// not when it first uses it.
pub fn serve_in_child() {
    process::serve_in_child();
}

/// After `fork(2)` in the child, for a front end whose sockets a child does not inherit, instead of the three calls above: the child
/// has none, and everything it does goes to the kernel. Descriptors of the switch's own are closed.
pub fn forget_in_child() {
    process::forget_in_child();
}

/// `execve(2)` returned: the process goes on.
pub fn exec_failed() {
    process::exec_failed();
}
