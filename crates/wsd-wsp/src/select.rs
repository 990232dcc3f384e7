//! `WSPSelect`.

use core::time::Duration;
use std::sync::Arc;

use wsd_os::poll::PollFd;
use wsd_spi::WsaError;
use wsd_spi::ffi::SOCKET;

use crate::blocking::{Wait, Woken};
use crate::convert;
use crate::process::Running;
use crate::socket::{Life, NO_FD, Socket, State};
use crate::tcpip::{self, Kernel};

/// The three sets of one call; on return each holds what is ready.
pub(crate) struct Sets {
    pub(crate) read: Vec<SOCKET>,
    pub(crate) write: Vec<SOCKET>,
    pub(crate) except: Vec<SOCKET>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    Read,
    Write,
    Except,
}

struct Member {
    socket: Arc<Socket>,
    /// Kept open while it is waited for.
    kernel: Arc<Kernel>,
    set: Set,
}

/// Waits until a socket of a set is ready, at most for `limit`, and leaves those in the sets: how many.
///
/// # Errors
/// `WSAENOTSOCK`: a member is none. `WSAEINVAL`: all sets are empty. `WSAEINTR`: cancelled.
pub(crate) fn select(running: &Running, sets: &mut Sets, limit: Option<Duration>) -> Result<usize, WsaError> {
    let mut members = Vec::new();
    for (set, sockets) in [(Set::Read, &sets.read), (Set::Write, &sets.write), (Set::Except, &sets.except)] {
        for handle in sockets {
            let socket = running.find(*handle).ok_or(WsaError::WSAENOTSOCK)?;
            let kernel = Arc::clone(&socket.open()?.kernel);
            members.push(Member { socket, kernel, set });
        }
    }
    if members.is_empty() {
        return Err(WsaError::WSAEINVAL);
    }
    let ready = wait(running, &members, limit)?;
    let of = |set: Set| {
        let chosen = members.iter().zip(&ready).filter(move |(member, ready)| member.set == set && **ready);
        chosen.map(|(member, _)| member.socket.handle().raw()).collect::<Vec<_>>()
    };
    *sets = Sets { read: of(Set::Read), write: of(Set::Write), except: of(Set::Except) };
    Ok(ready.iter().filter(|ready| **ready).count())
}

/// Which members are ready; none when the time is over.
fn wait(running: &Running, members: &[Member], limit: Option<Duration>) -> Result<Vec<bool>, WsaError> {
    let mut fds: Vec<PollFd> = members.iter().map(Member::entry).chain([NO_FD]).collect();
    let look = |fds: &mut Vec<PollFd>| {
        tcpip::poll(&mut fds[..members.len()], Some(Duration::ZERO)).or_else(|error| match error {
            rustix::io::Errno::INTR => Ok(0),
            error => Err(convert::error(error)),
        })?;
        members.iter().zip(fds).map(|(member, fd)| member.is_ready(fd.revents)).collect::<Result<Vec<_>, _>>()
    };
    let ready = look(&mut fds)?;
    if ready.contains(&true) || limit.is_some_and(|limit| limit.is_zero()) {
        return Ok(ready);
    }
    let wait = Wait::begin(&running.upcalls, limit)?;
    for member in members {
        member.socket.open()?.bells.push(Arc::clone(wait.bell()));
    }
    let result = loop {
        let ready = look(&mut fds);
        if !ready.as_ref().is_ok_and(|ready| !ready.contains(&true)) {
            break ready;
        }
        match wait.sleep(&mut fds) {
            Ok(Woken::Look) => {}
            Ok(Woken::Late) => break ready,
            Err(error) => break Err(error),
        }
    };
    for member in members {
        if let Ok(mut state) = member.socket.open() {
            state.forget(wait.bell());
        }
    }
    result
}

impl Member {
    fn entry(&self) -> PollFd {
        let events = match self.set {
            Set::Read => libc::POLLIN | libc::POLLRDHUP,
            Set::Write => libc::POLLOUT,
            Set::Except => libc::POLLPRI,
        };
        PollFd { fd: self.kernel.raw_fd(), events, revents: 0 }
    }

    /// Whether what the kernel says of the socket is what the set asks for.
    fn is_ready(&self, revents: i16) -> Result<bool, WsaError> {
        let mut state = self.socket.open()?;
        let was_connecting = state.life == Life::Connecting;
        if was_connecting && revents != 0 {
            state.settle_connect();
        }
        let failed = state.connect_result.is_err();
        let ready = self.answers(&state, revents, failed);
        // A connect that has just ended is to be told.
        self.socket.settle(state);
        Ok(ready)
    }

    fn answers(&self, state: &State, revents: i16, failed: bool) -> bool {
        let stream = self.socket.kind.is_stream();
        let usable = state.life == Life::Connected || !stream;
        match self.set {
            Set::Read if state.life == Life::Listening => {
                revents & libc::POLLIN != 0 || !state.deferred.is_empty()
            }
            Set::Read => usable && revents != 0,
            Set::Write => usable && revents != 0 && (state.bound || !stream),
            Set::Except => failed || (usable && revents & libc::POLLPRI != 0),
        }
    }
}
