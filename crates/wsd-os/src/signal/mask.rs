//! Sets of signals, as the kernel has them.

use core::marker::PhantomData;

use crate::raw;

/// A set of signals 1 to 64 in the kernel's form (one bit each, signal 1 in bit 0).
///
/// The first eight bytes of libc's `sigset_t` are this set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Mask(u64);

/// Signals that the C library keeps for itself and that must reach every thread, or its `setuid`, `pthread_cancel` and
/// the like hang: 32 and 33 of glibc and musl, and musl's 34.
const OF_THE_C_LIBRARY: u64 = if cfg!(target_env = "musl") { 0b111 << 31 } else { 0b11 << 31 };

impl Mask {
    /// No signal.
    pub const EMPTY: Self = Self(0);
    /// What threads of our own block: everything but the C library's own signals.
    pub const HIDDEN_THREAD: Self = Self(!OF_THE_C_LIBRARY);

    /// The set with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits of the set.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set of `signal` alone; empty if it is not between 1 and 64.
    pub const fn only(signal: i32) -> Self {
        if signal >= 1 && signal <= 64 { Self(1 << (signal - 1)) } else { Self(0) }
    }

    /// Whether `signal` is in the set.
    pub const fn contains(self, signal: i32) -> bool {
        self.0 & Self::only(signal).0 != 0
    }

    /// The signals in this set or in `other`.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The signals that the calling thread blocks.
    pub fn current() -> Self {
        change(libc::SIG_BLOCK, Self::EMPTY)
    }

    /// Blocks these signals too in the calling thread until the guard is dropped (sigprocmask(2)).
    pub fn block(self) -> MaskGuard {
        MaskGuard { before: change(libc::SIG_BLOCK, self), _not_send: PhantomData }
    }

    /// Unblocks these signals in the calling thread. What was pending is delivered before this returns.
    pub(crate) fn unblock(self) {
        change(libc::SIG_UNBLOCK, self);
    }
}

/// Restores the signal mask of the thread that made it when dropped.
#[derive(Debug)]
#[must_use = "the mask is restored when this is dropped"]
pub struct MaskGuard {
    before: Mask,
    _not_send: PhantomData<*const ()>,
}

impl Drop for MaskGuard {
    fn drop(&mut self) {
        change(libc::SIG_SETMASK, self.before);
    }
}

/// rt_sigprocmask(2): changes the calling thread's mask and returns the one before.
fn change(how: i32, set: Mask) -> Mask {
    let mut before = Mask(0);
    let arguments =
        [how as usize, raw::address(&set), raw::address_mut(&mut before), size_of::<Mask>(), 0, 0];
    // SAFETY: both sets are live 8-byte kernel sets. It can only fail for a bad pointer, size or `how`.
    let _ = unsafe { raw::syscall(libc::SYS_rt_sigprocmask, arguments) };
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_blocks_and_restores() {
        let before = Mask::current();
        assert!(!before.contains(libc::SIGUSR2));
        {
            let _blocked = Mask::only(libc::SIGUSR2).block();
            assert!(Mask::current().contains(libc::SIGUSR2));
        }
        assert_eq!(Mask::current(), before);
        assert_eq!(Mask::only(0), Mask::EMPTY);
        assert_eq!(Mask::only(65), Mask::EMPTY);
    }
}
