//! Bells: wake-ups between processes: events named by a process's random token and a number. Whoever knows the token can ring,
//! which can do no more than wake.

use core::ptr::null;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use windows_sys::Win32::System::Threading::{CreateEventW, EVENT_MODIFY_STATE, OpenEventW};

use super::Errno;
use super::fd::{BorrowedFd, Object, OwnedFd};
use super::handle::Handle;

/// Bells of others that stay open here. One that is kept open keeps its name: its owner finds it again.
static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
/// By tokens of processes and numbers of lanes.
type Known = HashMap<([u64; 2], u32), Handle>;
/// How many of them.
const MOST: usize = 1024;

/// Making, silencing and ringing bells.
#[derive(Debug)]
pub struct Bell;

impl Bell {
    /// A new bell. Readable while it rings.
    ///
    /// # Errors
    ///
    /// `NFILE`, `NOMEM`; `ACCESS` if another user has the name.
    pub fn bind(token: [u64; 2], number: u32) -> Result<OwnedFd, Errno> {
        let name = name(token, number);
        // SAFETY: no attributes; the name ends with a zero. What is returned is ours alone.
        let event = unsafe { Handle::returned(CreateEventW(null(), 1, 0, name.as_ptr())) }?;
        event.reset();
        Ok(event.into())
    }

    /// Silences a bell.
    pub fn drain(bell: BorrowedFd<'_>) {
        if let Object::Plain(event) = &bell.0 {
            event.reset();
        }
    }

    /// What bells are rung with; one serves a whole process.
    ///
    /// # Errors
    ///
    /// `NFILE`, `NOMEM`.
    pub fn ringer() -> Result<OwnedFd, Errno> {
        Handle::event().map(OwnedFd::from)
    }

    /// Rings. A bell that does not exist belongs to a process that is gone.
    pub fn ring(_ringer: BorrowedFd<'_>, token: [u64; 2], number: u32) {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        if let Some(event) = known.get(&(token, number)) {
            return event.set();
        }
        let name = name(token, number);
        // SAFETY: the name ends with a zero. What is returned is ours alone.
        if let Ok(event) = unsafe { Handle::returned(OpenEventW(EVENT_MODIFY_STATE, 0, name.as_ptr())) } {
            event.set();
            if known.len() >= MOST {
                known.clear();
            }
            known.insert((token, number), event);
        }
    }
}

fn name(token: [u64; 2], number: u32) -> Vec<u16> {
    let name = format!("Local\\wsd-bell-{:016x}-{:016x}-{number:08x}\0", token[0], token[1]);
    name.encode_utf16().collect()
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::fd::{AsFd, AsRawFd};
    use crate::poll::{POLLIN, PollFd, ppoll};

    fn rings(bell: &OwnedFd) -> bool {
        let mut fds = [PollFd { fd: bell.as_raw_fd(), events: POLLIN, revents: 0 }];
        ppoll(&mut fds, Some(Duration::ZERO), None) == Ok(1)
    }

    #[test]
    fn rings_until_drained_and_only_the_one_meant() {
        let token = [crate::clock::now_ns(), u64::from(crate::thread::tid())];
        let (one, two) = (Bell::bind(token, 1).expect("a bell"), Bell::bind(token, 2).expect("a bell"));
        let ringer = Bell::ringer().expect("a ringer");
        Bell::ring(ringer.as_fd(), token, 2);
        assert!(!rings(&one));
        assert!(rings(&two));
        Bell::drain(two.as_fd());
        assert!(!rings(&two));
        Bell::ring(ringer.as_fd(), token, 3);
        Bell::ring(ringer.as_fd(), token, 2);
        assert!(rings(&two));
    }
}
