//! Loans of the program's memory: one value that everybody who may use the memory has a share of.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use wsd_os::atomic::{AtomicU32, Ordering};
use wsd_os::{clock, futex};

use super::error::TransferError;

/// What one loan is for came to this end; over when the memory is the program's again.
#[derive(Debug, Default)]
pub(crate) struct Loan {
    result: OnceLock<Result<(), TransferError>>,
    over: Told<()>,
}

impl Loan {
    /// How it ended; the first answer counts.
    pub(crate) fn settle(&self, result: Result<(), TransferError>) {
        let _ = self.result.set(result);
    }

    /// Waits for the end of the loan, until that moment; whether it is over.
    pub(super) fn wait(&self, until: u64) -> bool {
        self.over.wait(until).is_some()
    }

    /// The result of a loan that is over. One that nobody has settled ended with its companion.
    pub(super) fn result(&self) -> Result<(), TransferError> {
        self.result.get().copied().unwrap_or(Err(TransferError::Ended))
    }
}

/// Kept with lent memory: the loan is over when it is dropped.
#[derive(Debug)]
pub struct Share(Arc<Loan>);

impl Share {
    /// Of a new loan.
    #[expect(clippy::new_without_default, reason = "it stands for memory; nobody has it by default")]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    pub(super) fn loan(&self) -> Arc<Loan> {
        self.0.clone()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.over.tell(());
    }
}

/// A value that one thread tells and others wait for.
#[derive(Debug)]
pub(super) struct Told<T> {
    word: AtomicU32,
    value: OnceLock<T>,
}

impl<T> Default for Told<T> {
    fn default() -> Self {
        Self { word: AtomicU32::new(0), value: OnceLock::new() }
    }
}

impl<T> Told<T> {
    /// Tells it; the first value counts.
    pub(super) fn tell(&self, value: T) {
        let _ = self.value.set(value);
        // Release: pairs with the acquire in `wait`.
        self.word.store(1, Ordering::Release);
        let _ = futex::wake_private(&self.word, i32::MAX as u32);
    }

    /// Waits for it until that moment. Signal handlers do not end the wait.
    pub(super) fn wait(&self, until: u64) -> Option<&T> {
        while self.word.load(Ordering::Acquire) == 0 {
            let left = until.saturating_sub(clock::now_ns());
            if left == 0 {
                return None;
            }
            let _ = futex::wait_private(&self.word, 0, Some(Duration::from_nanos(left)));
        }
        self.value.get()
    }
}

/// The moment (monotonic nanoseconds) after that time.
pub(super) fn deadline(timeout: Duration) -> u64 {
    clock::now_ns().saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result is known before, but told only when nothing refers to the memory.
    #[test]
    fn a_loan_is_over_with_its_last_share() {
        let share = Share::new();
        let loan = share.loan();
        loan.settle(Ok(()));
        loan.settle(Err(TransferError::Stale));
        assert!(!loan.wait(deadline(Duration::ZERO)));
        let waiter = std::thread::spawn({
            let loan = loan.clone();
            move || loan.wait(deadline(Duration::from_secs(30)))
        });
        drop(share);
        assert!(waiter.join().expect("no panic"));
        assert_eq!(loan.result(), Ok(()));
    }

    #[test]
    fn a_loan_that_nobody_settled_ended_with_its_companion() {
        let share = Share::new();
        let loan = share.loan();
        drop(share);
        assert!(loan.wait(0));
        assert_eq!(loan.result(), Err(TransferError::Ended));
    }
}
