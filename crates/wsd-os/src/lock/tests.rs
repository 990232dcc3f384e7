use super::*;
use crate::memory::{RegionOptions, SharedRegion};
use crate::testing::{Child, eventually};

crate::shared! {
    struct Family {
        lock: FamilyLock,
        ready: AtomicU32,
        counter: AtomicU32,
    }
}

fn family() -> SharedRegion {
    SharedRegion::create(c"lock-test", 4096, RegionOptions::default()).expect("a segment")
}

fn place(region: &SharedRegion) -> &Family {
    region.at(0).expect("inside")
}

/// A child that has taken the lock and waits to be killed.
fn child_holding(family: &Family) -> Child {
    let child = Child::fork(|| {
        let _held = family.lock.lock();
        family.ready.store(1, Ordering::Release);
        loop {
            let _ = futex::wait(&family.counter, 0, None);
        }
    });
    assert!(eventually(|| family.ready.load(Ordering::Acquire) == 1));
    child
}

#[test]
fn excludes_threads_and_processes() {
    const ROUNDS: u32 = 20_000;
    let region = family();
    let family = place(&region);
    let work = || {
        for _ in 0..ROUNDS {
            match family.lock.lock() {
                Ok(Acquired::Clean(_guard)) => {
                    // Not atomic as a whole: only the lock makes it right.
                    let seen = family.counter.load(Ordering::Relaxed);
                    if seen.is_multiple_of(64) {
                        thread::yield_now();
                    }
                    family.counter.store(seen + 1, Ordering::Relaxed);
                }
                _ => return false,
            }
        }
        true
    };
    let child = Child::fork(work);
    std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        assert!(threads.into_iter().all(|thread| thread.join().expect("no panic")));
    });
    assert!(child.succeeded());
    assert_eq!(family.counter.load(Ordering::Relaxed), 3 * ROUNDS);
    assert_eq!(family.lock.word.load(Ordering::Relaxed), 0, "free at the end");
}

#[test]
fn relock_by_the_same_thread_is_an_error() {
    let lock = FamilyLock::new();
    let guard = lock.lock().expect("free").into_guard();
    assert_eq!(lock.lock().map(|_| ()), Err(Errno::DEADLK));
    assert_eq!(lock.try_lock().map(|_| ()), Err(Errno::DEADLK));
    assert_eq!(lock.owner(), thread::tid());
    drop(guard);
    assert_eq!(lock.owner(), 0);
    assert!(matches!(lock.lock(), Ok(Acquired::Clean(_))));
    assert!(!Critical::active());
}

#[test]
fn held_lock_is_not_got_by_trying() {
    let lock = FamilyLock::new();
    let guard = lock.lock().expect("free");
    let other = std::thread::scope(|scope| scope.spawn(|| lock.try_lock().map(|_| ())).join());
    assert_eq!(other.expect("no panic"), Err(Errno::AGAIN));
    drop(guard);
    let other = std::thread::scope(|scope| scope.spawn(|| lock.try_lock().map(|_| ())).join());
    assert_eq!(other.expect("no panic"), Ok(()));
}

#[test]
fn killed_owner_is_noticed_by_the_next_locker() {
    for (reaped, tried) in [(false, false), (false, true), (true, false), (true, true)] {
        let region = family();
        let family = place(&region);
        let child = child_holding(family);
        assert_eq!(family.lock.owner(), child.pid() as u32);
        child.kill();
        child.wait_until_dead();
        if reaped {
            drop(child);
        }
        let acquired = if tried { family.lock.try_lock() } else { family.lock.lock() };
        assert!(acquired.expect("acquired").owner_died(), "reaped {reaped}, tried {tried}");
        assert!(matches!(family.lock.lock(), Ok(Acquired::Clean(_))), "told once");
    }
}

#[test]
fn killed_owner_is_noticed_by_all_who_sleep_for_it() {
    let region = family();
    let family = place(&region);
    let child = child_holding(family);
    let sleepers = [0, 1].map(|_| {
        Child::fork(|| {
            let Ok(acquired) = family.lock.lock() else { return false };
            if acquired.owner_died() {
                family.counter.fetch_add(1, Ordering::Relaxed);
            }
            true
        })
    });
    let asleep = || family.lock.word.load(Ordering::Relaxed) & libc::FUTEX_WAITERS != 0;
    assert!(eventually(asleep));
    std::thread::sleep(Duration::from_millis(20));
    child.kill();
    assert!(sleepers.into_iter().all(Child::succeeded));
    assert_eq!(family.counter.load(Ordering::Relaxed), 1, "the first is told, the second finds it clean");
    assert_eq!(family.lock.owner(), 0);
}

#[test]
fn lock_survives_any_number_of_killed_owners() {
    let region = family();
    let family = place(&region);
    // Two words that are equal whenever the lock is free.
    let (one, other) = (&family.counter, &family.ready);
    let work = || {
        loop {
            match family.lock.lock() {
                Ok(acquired) => {
                    if acquired.owner_died() {
                        other.store(one.load(Ordering::Relaxed), Ordering::Relaxed);
                    } else if one.load(Ordering::Relaxed) != other.load(Ordering::Relaxed) {
                        return false;
                    }
                    one.fetch_add(1, Ordering::Relaxed);
                    for _ in 0..50 {
                        pause();
                    }
                    other.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => return false,
            }
        }
    };
    let survivors = [(); 2].map(|()| Child::fork(work));
    for round in 0..200 {
        let victim = Child::fork(work);
        thread::sleep(Duration::from_micros(300 + 37 * (round % 20)));
        assert!(victim.runs(), "an error, or a broken invariant");
        drop(victim);
    }
    assert!(survivors.iter().all(Child::runs), "an error, or a broken invariant");
    drop(survivors);
    assert!(family.lock.lock().is_ok());
}

#[test]
fn ended_thread_is_noticed() {
    let lock = FamilyLock::new();
    std::thread::scope(|scope| scope.spawn(|| core::mem::forget(lock.lock())).join()).expect("no panic");
    assert!(lock.lock().expect("acquired").owner_died());
}

#[test]
fn owner_with_our_recycled_number_is_dead() {
    std::thread::spawn(|| {
        let lock = FamilyLock { word: AtomicU32::new(thread::tid()) };
        assert!(lock.lock().expect("acquired").owner_died());
        assert_eq!(lock.owner(), 0);
    })
    .join()
    .expect("no panic");
}

#[test]
fn guard_that_is_copied_by_fork_releases_nothing() {
    let region = family();
    let family = place(&region);
    let mut guard = core::mem::ManuallyDrop::new(family.lock.lock().expect("free"));
    let me = thread::tid();
    let child = Child::fork(|| {
        // SAFETY: the only drop in this process; the parent's is another copy.
        unsafe { core::mem::ManuallyDrop::drop(&mut guard) };
        family.lock.owner() == me && !Critical::active() && family.lock.try_lock().is_err()
    });
    assert!(child.succeeded());
    assert_eq!(family.lock.owner(), me);
    // SAFETY: the only drop in this process.
    unsafe { core::mem::ManuallyDrop::drop(&mut guard) };
    assert_eq!(family.lock.owner(), 0);
}
