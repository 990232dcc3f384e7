//! Signals, of which Windows has none that interrupt a thread.

/// Being in a critical section: a handler of the program would have to wait, if there were any.
#[derive(Debug)]
#[must_use = "the section ends when this is dropped"]
pub struct Critical(());

impl Critical {
    /// Enters a critical section.
    pub fn enter() -> Self {
        Self(())
    }
}

impl Drop for Critical {
    fn drop(&mut self) {}
}

/// A set of signals: there are none.
#[derive(Clone, Copy, Debug)]
pub struct Mask(());

impl Mask {
    /// The set with these bits, which mean nothing.
    pub const fn from_bits(_bits: u64) -> Self {
        Self(())
    }
}
