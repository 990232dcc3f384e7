//! One word per direction that says which path its bytes take and how many threads are in the kernel on its behalf.
//!
//! A thread enters the kernel path by adding one; the state it gets back decides whether it may stay. The path changes
//! only while nobody is inside, by one compare-and-swap, so no lock is held across a call that may block.

use wsd_os::atomic::{AtomicU32, Ordering};

/// Which path a direction takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Kernel TCP.
    Tcp,
    /// Receive only: kernel TCP, but the ring may begin at any moment; every wait includes it.
    Agreed,
    /// The ring (receive: after the rest of TCP up to S).
    San,
    /// The service thread changes the path, and nobody else touches the direction. Send: it pushes what the reader left in the
    /// ring into TCP, or the offset of a promotion is fixed that is not settled. Receive: it looks for the place at which the
    /// stream goes on.
    Rewind,
    /// The companion is gone.
    Dead,
    /// Receive only: kernel TCP. The bytes up to `promoted_at` were in the sender's ring when the companion died, and must all come.
    Rest,
    /// SAN first: the connection is being made, or controlled by another process; whoever needs it waits.
    Opening,
}

impl State {
    /// Whether the direction's bytes come and go by TCP for good, whatever becomes of the companion.
    pub(crate) fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Rest)
    }
}

const COUNT: u32 = 0x00FF_FFFF;

/// View of a direction's gate word.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'a>(pub &'a AtomicU32);

impl Gate<'_> {
    /// Path at this moment.
    #[inline]
    pub(crate) fn state(self) -> State {
        decode(self.0.load(Ordering::Acquire))
    }

    /// Enters the kernel path; refused with the state if the direction is elsewhere.
    /// Acquire pairs with the release in [`Gate::switch`].
    #[inline]
    pub(crate) fn enter(self) -> Result<(), State> {
        // A look before the leap: a promoted direction is not disturbed by two writes per call.
        let state = self.state();
        if state != State::Tcp {
            return Err(state);
        }
        let state = decode(self.0.fetch_add(1, Ordering::AcqRel));
        if state == State::Tcp {
            return Ok(());
        }
        self.0.fetch_sub(1, Ordering::AcqRel);
        Err(state)
    }

    /// Leaves the kernel path; whether nobody is in it any more. Release pairs with the acquire in [`Gate::switch`],
    /// which then sees the byte counts of all who left.
    #[inline]
    pub(crate) fn leave(self) -> bool {
        (self.0.fetch_sub(1, Ordering::AcqRel) & COUNT) == 1
    }

    /// Changes the path if it is `from` and nobody is in the kernel path.
    pub(crate) fn switch(self, from: State, to: State) -> bool {
        self.0.compare_exchange(encode(from), encode(to), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Changes the path from `from` whoever is inside.
    pub(crate) fn force_from(self, from: State, to: State) -> bool {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (decode(word) == from).then_some(encode(to) | (word & COUNT))
            })
            .is_ok()
    }

    /// Changes the path whatever it was; the state it was.
    pub(crate) fn force(self, to: State) -> State {
        let old = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| Some(encode(to) | (word & COUNT)))
            .unwrap_or_else(|word| word);
        decode(old)
    }
}

fn encode(state: State) -> u32 {
    let number: u32 = match state {
        State::Tcp => 0,
        State::Agreed => 1,
        State::San => 2,
        State::Rewind => 3,
        State::Dead => 4,
        State::Opening => 5,
        State::Rest => 6,
    };
    number << 24
}

/// The state in a gate's word.
#[inline]
pub(crate) fn decode(word: u32) -> State {
    match word >> 24 {
        0 => State::Tcp,
        1 => State::Agreed,
        2 => State::San,
        3 => State::Rewind,
        5 => State::Opening,
        6 => State::Rest,
        _ => State::Dead,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_changes_only_while_nobody_is_in_the_kernel() {
        let word = AtomicU32::new(0);
        let gate = Gate(&word);
        assert_eq!(gate.enter(), Ok(()));
        assert!(!gate.switch(State::Tcp, State::Agreed));
        assert!(gate.leave());
        assert!(gate.switch(State::Tcp, State::Agreed));
        assert_eq!(gate.enter(), Err(State::Agreed));
        assert_eq!(gate.state(), State::Agreed);
    }

    #[test]
    fn force_keeps_the_count_of_those_inside() {
        let word = AtomicU32::new(0);
        let gate = Gate(&word);
        gate.enter().expect("a fresh gate is on TCP");
        assert_eq!(gate.force(State::Dead), State::Tcp);
        assert!(gate.leave());
        assert_eq!(gate.state(), State::Dead);
    }
}
