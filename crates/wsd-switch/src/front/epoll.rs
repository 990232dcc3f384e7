//! epoll sets, as a front end reports them.

use std::time::Duration;

use wsd_os::Errno;
pub use wsd_os::poll::EpollEvent;

use super::{Outcome, SignalMask};
use crate::wait::epoll;

/// `epoll_ctl(2)`. `kernel` makes the kernel's call with the event it is given, which may carry another datum than the program's:
/// the switch translates it back in [`epoll_wait`].
///
/// # Errors
/// As `epoll_ctl(2)`.
pub fn epoll_ctl(
    epfd: i32,
    op: i32,
    fd: i32,
    event: Option<EpollEvent>,
    mut kernel: impl FnMut(Option<EpollEvent>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    epoll::control(epfd, op, fd, event, &mut kernel)
}

/// A descriptor that is not tracked is added to an epoll set: if it is an epoll set itself, the kernel alone must know what is ready in it.
pub fn watched(fd: i32) {
    epoll::expose(fd);
}

/// `epoll_wait(2)`, `epoll_pwait(2)`, `epoll_pwait2(2)`.
pub fn epoll_wait(
    epfd: i32,
    events: &mut [EpollEvent],
    timeout: Option<Duration>,
    mask: Option<&SignalMask>,
) -> Outcome<usize> {
    epoll::wait(epfd, events, timeout, mask)
}
