//! Judging what was seen: which way the data went, and whether the reasons were given.

use crate::sampler::{Observed, SETTLED, Seen};
use crate::switch::{Connection, Sides, plain_only};
use std::collections::BTreeMap;

/// What a workload must have shown.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// At least so many busy connections.
    pub connections: usize,
    /// A connection is busy, and must be promoted, that carried more bytes than this.
    pub busy: u64,
    /// At least so many payload bytes went over all connections.
    pub payload: u64,
}

impl Seen {
    /// Judge a whole workload, of which the kernel may carry less than so many percent until it is promoted.
    pub(crate) fn judge(&self, sides: Sides, expected: &Expected, percent: u64) {
        assert!(self.errors.is_empty(), "looking failed: {:?}", self.errors);
        assert!(
            self.kernel.sockets() > 0,
            "ss saw no socket in {} looks, the slowest took {:?}",
            self.looks,
            self.slowest
        );
        if !plain_only() && sides == Sides::Both {
            assert_promoted(self, expected);
            assert_kernel_carried_less_than(self, percent, expected.payload);
        } else {
            // This also shows that the measuring sees what it must see.
            let carried = self.kernel.carried();
            assert!(
                carried > expected.payload / 4,
                "the kernel carried {carried} of {} bytes",
                expected.payload
            );
            assert_reasons(self, expected);
        }
    }

    /// How many ends there were of each path and reason, and one of each.
    fn summary(&self) -> String {
        let mut kinds: BTreeMap<(&str, &str), (usize, &Connection)> = BTreeMap::new();
        for observed in self.connections.values() {
            let end = &observed.connection;
            let kind = (end.path.as_str(), end.reason.as_deref().unwrap_or("no reason"));
            kinds.entry(kind).or_insert((0, end)).0 += 1;
        }
        format!("{} looks, the slowest took {:?}; {kinds:#?}", self.looks, self.slowest)
    }

    /// Connections that carried more than so many bytes.
    fn busy(&self, bytes: u64) -> Vec<&Observed> {
        self.connections.values().filter(|seen| seen.connection.carried() > bytes).collect()
    }
}

/// Both ends of all busy connections travel by a provider.
pub fn assert_promoted(seen: &Seen, expected: &Expected) {
    let (promoted, others): (Vec<_>, Vec<_>) =
        seen.busy(expected.busy).into_iter().partition(|observed| observed.connection.is_promoted());
    let served = promoted.iter().filter(|observed| observed.connection.is_served_on(&seen.ports)).count();
    for (end, count) in [("accepting", served), ("connecting", promoted.len() - served)] {
        assert!(
            count >= expected.connections,
            "{count} of {} promoted {end} ends seen among {} in {}",
            expected.connections,
            seen.connections.len(),
            seen.summary(),
        );
    }
    let stayed: Vec<_> = others.iter().filter(|observed| observed.looks >= SETTLED).collect();
    assert!(stayed.is_empty(), "{} stayed on TCP in {}", stayed.len(), seen.summary());
}

/// What was promoted travels by that provider, not by another one that serves these addresses too.
pub fn assert_travelled_by(seen: &Seen, provider: &str) {
    let promoted = seen.connections.values().map(|observed| &observed.connection).filter(|c| c.is_promoted());
    let others: Vec<_> = promoted.filter(|connection| connection.path != provider).collect();
    assert!(others.is_empty(), "not by {provider}: {others:#?}");
}

/// The kernel carried less than so many percent of the payload.
pub fn assert_kernel_carried_less_than(seen: &Seen, percent: u64, payload: u64) {
    let carried = seen.kernel.carried();
    println!("the kernel carried {carried} of {payload} bytes, {} per mille", carried * 1000 / payload);
    assert!(
        carried * 100 < payload * percent,
        "the kernel carried {carried} bytes, {percent} percent or more of {payload}, in {}\n{:#?}",
        seen.summary(),
        seen.connections.values().map(|observed| &observed.connection).collect::<Vec<_>>(),
    );
}

/// No connection travels by shared memory, and each busy one has a reason.
pub fn assert_reasons(seen: &Seen, expected: &Expected) {
    if plain_only() {
        return;
    }
    let promoted = seen.connections.values().find(|observed| observed.connection.is_promoted());
    assert!(promoted.is_none(), "promoted with one end only: {promoted:#?}");
    let (explained, silent): (Vec<_>, Vec<_>) =
        seen.busy(expected.busy).into_iter().partition(|observed| observed.connection.reason.is_some());
    let silent = silent.iter().find(|observed| observed.looks >= SETTLED);
    assert!(silent.is_none(), "on TCP without a reason: {silent:#?}");
    assert!(
        explained.len() >= expected.connections,
        "{} of {} busy ends seen with a reason in {}",
        explained.len(),
        expected.connections,
        seen.summary(),
    );
}
