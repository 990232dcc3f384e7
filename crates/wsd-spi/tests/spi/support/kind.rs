//! Variants of the provider of the tests.

use wsd_spi::provider::Overlapped;
use wsd_spi::{ExtensionFunction, WsaError};

/// How a provider of the tests differs from others.
pub(crate) trait Kind: Send + Sync + 'static {
    /// Whether requests complete only when the provider is asked to make progress.
    const LAZY: bool = false;

    /// May make the start-up fail.
    fn startup() -> Result<(), WsaError> {
        Ok(())
    }

    /// Called at the beginning of almost every method; may panic.
    fn before() {}

    /// Called when a send has been started; may panic.
    fn started() {}

    /// Called with a receive that has been started; may keep it.
    fn receive(operation: Overlapped) -> Option<Overlapped> {
        Some(operation)
    }

    /// Extension functions that it does not have.
    fn lacks(function: ExtensionFunction) -> bool {
        let _ = function;
        false
    }
}

/// Nothing special.
pub(crate) struct Plain;

impl Kind for Plain {}

/// Completes requests late.
pub(crate) struct Lazy;

impl Kind for Lazy {
    const LAZY: bool = true;
}
