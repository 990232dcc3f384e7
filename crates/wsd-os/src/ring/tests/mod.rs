//! Tests of the ring with real memory. The model of the wait protocol is in `loom_model`.

mod hostile;
mod model;
mod stress;
mod unit;

use std::alloc::{Layout, alloc, dealloc};

use super::{ConsumerState, ProducerState, Ring};

/// Value of the bytes around a ring's memory, which no test writes into a ring.
const CANARY: u8 = 0xC5;
/// Bytes of canaries on each side.
const MARGIN: usize = Ring::ALIGN;

/// A ring with both sides' states, in memory of its own between canaries.
struct Pair {
    ring: Ring,
    producer: ProducerState,
    consumer: ConsumerState,
    memory: *mut u8,
}

// SAFETY: the memory is owned by the pair and only touched through the ring and raw pointers.
unsafe impl Send for Pair {}
// SAFETY: as for `Send`; the states are atomics.
unsafe impl Sync for Pair {}

impl Pair {
    fn layout() -> Layout {
        Layout::from_size_align(Ring::BYTES + 2 * MARGIN, Ring::ALIGN).expect("constants")
    }

    /// Header zeroed, data areas not initialised by this (so that a test only touches what it uses).
    fn unused() -> Pair {
        // SAFETY: the size is not zero; all writes are inside the allocation.
        unsafe {
            let memory = alloc(Self::layout());
            assert!(!memory.is_null());
            memory.write_bytes(CANARY, MARGIN);
            memory.add(MARGIN + Ring::BYTES).write_bytes(CANARY, MARGIN);
            memory.add(MARGIN).write_bytes(0, Ring::ALIGN);
            let ring = Ring::from_raw(memory.add(MARGIN), Ring::BYTES).expect("aligned and long enough");
            Pair { ring, producer: ProducerState::default(), consumer: ConsumerState::default(), memory }
        }
    }

    /// Begun and accepted at `start`.
    fn begun(start: u64) -> Pair {
        let pair = Self::unused();
        pair.ring.begin(&pair.producer, start);
        assert_eq!(pair.ring.accept_begin(&pair.consumer, start), Ok(true));
        pair
    }

    fn assert_margins_untouched(&self) {
        for from in [0, MARGIN + Ring::BYTES] {
            // SAFETY: both ranges are inside the allocation, initialised, and nobody else uses them.
            let margin = unsafe { core::slice::from_raw_parts(self.memory.add(from), MARGIN) };
            assert!(margin.iter().all(|byte| *byte == CANARY));
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; tests do not use a ring longer than its pair.
        unsafe { dealloc(self.memory, Self::layout()) }
    }
}

/// The byte at an offset of the streams that tests send: differs between laps of every area.
fn byte_at(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// `n` bytes of that stream.
fn bytes_at(offset: u64, n: usize) -> Vec<u8> {
    (0..n as u64).map(|i| byte_at(offset + i)).collect()
}
