//! Which stretches of the program's memory are registered, in a table of its own.
//!
//! The program's memory management asks this table (`WSPMemoryRegistrationCacheCallback`) while it holds locks of its
//! own, so its lock is never held while anything is allocated or waited for (SP-162). Copies from and to registered
//! memory are made under it: when a stretch has been dropped, no copy reads or writes it any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wsd_os::signal::Critical;

/// The table of one engine.
#[derive(Debug, Default)]
pub struct Ranges {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    entries: Vec<Entry>,
    /// No entry before this one is free.
    first_free: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    length: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The entry may be used for another stretch.
    Free,
    /// Registered.
    Live,
    /// Registered, but its mappings have changed.
    Dropped,
}

/// One registered stretch; leaves the table when dropped.
#[derive(Debug)]
pub struct Range {
    table: Arc<Ranges>,
    index: usize,
}

impl Ranges {
    /// Enters a stretch: its address and its length in bytes.
    pub fn insert(self: &Arc<Self>, start: usize, length: usize) -> Range {
        let new = Entry { start, length, state: State::Live };
        let mut spare = Vec::new();
        loop {
            let critical = Critical::enter();
            let mut table = self.lock();
            let Table { entries, first_free } = &mut *table;
            while entries.get(*first_free).is_some_and(|entry| entry.state != State::Free) {
                *first_free += 1;
            }
            let index = *first_free;
            if let Some(free) = entries.get_mut(index) {
                *free = new;
                return Range { table: self.clone(), index };
            }
            // Room is made outside of the lock.
            if index == entries.capacity() && spare.capacity() > index {
                spare.extend_from_slice(entries);
                std::mem::swap(&mut spare, entries);
            }
            if index < entries.capacity() {
                entries.push(new);
                // What was replaced is freed last.
                drop(table);
                drop(critical);
                return Range { table: self.clone(), index };
            }
            drop(table);
            drop(critical);
            spare = Vec::with_capacity((2 * index).max(16));
        }
    }

    /// Drops all stretches that share a byte with this one (SP-160), and says how many there were.
    pub fn drop_overlapping(&self, start: usize, length: usize) -> usize {
        let _critical = Critical::enter();
        let end = start.saturating_add(length);
        let mut table = self.lock();
        let hit = table.entries.iter_mut().filter(|entry| {
            entry.state == State::Live
                && entry.start < end
                && start < entry.start.saturating_add(entry.length)
        });
        hit.map(|entry| entry.state = State::Dropped).count()
    }

    /// Runs `copy` if all these stretches are still registered, and keeps them so meanwhile. `copy` neither allocates
    /// nor waits.
    pub fn while_live<'a, T>(
        &self,
        mut ranges: impl Iterator<Item = &'a Range>,
        copy: impl FnOnce() -> T,
    ) -> Option<T> {
        let _critical = Critical::enter();
        let table = self.lock();
        ranges.all(|range| table.entries[range.index].state == State::Live).then(copy)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Range {
    /// Whether the stretch is still as it was when it was entered.
    pub fn is_live(&self) -> bool {
        self.table.while_live(std::iter::once(self), || ()).is_some()
    }
}

impl Drop for Range {
    fn drop(&mut self) {
        let _critical = Critical::enter();
        let mut table = self.table.lock();
        table.entries[self.index].state = State::Free;
        table.first_free = table.first_free.min(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SP-160: overlap counts, not containment.
    #[test]
    fn overlapping_stretches_are_dropped() {
        let table = Arc::new(Ranges::default());
        let ranges: Vec<_> = (0..40).map(|n| table.insert(n * 100, 100)).collect();
        assert_eq!(table.drop_overlapping(150, 100), 2);
        assert_eq!(table.drop_overlapping(150, 100), 0);
        let live = |n: usize| table.while_live([&ranges[n]].into_iter(), || ()).is_some();
        assert!(live(0) && !live(1) && !live(2) && live(3));
        assert!(ranges[0].is_live() && !ranges[1].is_live());
        assert!(table.while_live(ranges[3..].iter(), || ()).is_some());
        assert!(table.while_live(ranges.iter(), || ()).is_none());
        drop(ranges);
        let again = table.insert(100, 100);
        assert!(table.while_live([&again].into_iter(), || ()).is_some());
        assert_eq!(table.drop_overlapping(0, usize::MAX), 1);
    }
}
