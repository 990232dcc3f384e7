//! The work of the service thread, which no fork copies.

/// The work, until dropped.
pub(super) struct Working(());

impl Working {
    pub(super) fn begin() -> Self {
        Self(())
    }

    /// Rests from it while `sleep` runs.
    pub(super) fn rest<T>(&self, sleep: impl FnOnce() -> T) -> T {
        sleep()
    }
}
