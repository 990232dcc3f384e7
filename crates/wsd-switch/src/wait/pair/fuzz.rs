//! A peer that writes anything into the page that it shares with us, at any time.

use std::collections::HashSet;

use proptest::prelude::*;
use wsd_os::memory::{AddressArena, RegionOptions, SharedRegion};

use super::{
    CONNECTIONS, LANES, Ordering, PAGE_BYTES, Page, add, drop_bit, remove, sleeping, start, take, take_bit,
};

static ARENA: AddressArena = AddressArena::new();

fn page() -> (SharedRegion, &'static Page) {
    let options = RegionOptions { fixed_size: true, arena: Some(&ARENA), ..RegionOptions::default() };
    let region = SharedRegion::create(c"page", PAGE_BYTES, options).expect("memory");
    let page = region.at_forever::<Page>(0).expect("as long as a page");
    (region, page)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(500), failure_persistence: None, ..ProptestConfig::default() })]

    /// Only connections of this pair are reported, each once per look; the work is bounded by the page's size.
    #[test]
    fn any_page_reports_own_connections_only(
        known in prop::collection::hash_set(0..60_000_u32, 0..20),
        pokes in prop::collection::vec((0..LANES, 0..CONNECTIONS / 64, any::<u64>(), any::<u64>(), any::<u32>()), 0..40),
        given_back in any::<prop::sample::Index>(),
    ) {
        // Another test of the process may have made the table.
        let _ = start();
        let (outgoing, incoming) = (page(), page());
        let number = add(outgoing.1, incoming.1, [1, 2]).expect("a free pair");
        let mut known: Vec<u32> = known.into_iter().collect();
        let bits: Vec<u32> =
            known.iter().map(|index| take_bit(number, *index).expect("a free bit")).collect();
        if !known.is_empty() {
            let gone = given_back.index(known.len());
            drop_bit(number, bits[gone]);
            known.remove(gone);
        }
        for (lane, word, bits, summary, asleep) in pokes {
            let lane = &incoming.1.lanes[lane];
            lane.bits[word].store(bits, Ordering::Relaxed);
            lane.summary.store(summary, Ordering::Relaxed);
            lane.sleeping.store(asleep, Ordering::Relaxed);
        }
        for lane in 0..LANES as u32 {
            let mut seen = HashSet::new();
            take(lane, |index| {
                assert!(known.contains(&index), "not of this pair");
                assert!(seen.insert(index), "twice");
            });
            prop_assert!(!super::any(lane), "what was taken is gone");
            sleeping(lane);
        }
        take(u32::MAX, |_| unreachable!("no such lane"));
        remove(number);
    }
}
