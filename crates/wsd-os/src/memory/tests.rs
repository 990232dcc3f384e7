use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::Errno;

use super::*;
use crate::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::fd::{AsFd, OwnedFd};
use crate::testing::Child;

fn region(pages: usize, options: RegionOptions) -> SharedRegion {
    SharedRegion::create(c"memory-test", pages * page_size(), options).expect("a segment")
}

fn memfd(len: u64, seals: SealFlags) -> OwnedFd {
    let fd = memfd_create(c"memory-test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("a memfd");
    ftruncate(&fd, len).expect("its size");
    fcntl_add_seals(&fd, seals).expect("its seals");
    fd.into()
}

#[test]
fn segment_is_shared_through_its_descriptor_and_by_fork() {
    let mine = region(2, RegionOptions { no_dump: true, ..RegionOptions::default() });
    let fd = mine.fd().and_then(|fd| crate::fd::duplicate_high(fd).ok()).expect("the descriptor");
    let theirs = SharedRegion::from_fd(fd, mine.len(), RegionOptions::default()).expect("the same segment");
    let word = mine.at::<AtomicU64>(4096).expect("inside");
    word.store(77, Ordering::Relaxed);
    assert_eq!(theirs.at::<AtomicU64>(4096).expect("inside").load(Ordering::Relaxed), 77);
    assert!(Child::fork(|| theirs.write_bytes(4096, &[1; 8])).succeeded());
    assert_eq!(word.load(Ordering::Relaxed), 0x0101_0101_0101_0101);
    let mut bytes = [0; 4];
    assert!(mine.read_bytes(4100, &mut bytes));
    assert_eq!(bytes, [1; 4]);
}

#[test]
fn size_is_sealed() {
    let growing = region(1, RegionOptions::default());
    let fd = growing.fd().expect("kept");
    assert_eq!(ftruncate(fd, 100), Err(Errno::PERM));
    assert_eq!(ftruncate(fd, 3 * 4096), Ok(()));
    let fixed = region(1, RegionOptions { fixed_size: true, ..RegionOptions::default() });
    let fd = fixed.fd().expect("kept");
    assert_eq!(ftruncate(fd, 3 * 4096), Err(Errno::PERM));
    assert_eq!(fcntl_add_seals(fd, SealFlags::WRITE), Err(Errno::PERM));
}

#[test]
fn unsuitable_descriptors_are_refused() {
    let page = page_size();
    let map = |fd, len, options| SharedRegion::from_fd(fd, len, options).map(|region| region.len());
    let plain = RegionOptions::default();
    assert_eq!(map(memfd(page as u64, SealFlags::SHRINK), page, plain), Ok(page));
    assert_eq!(map(memfd(page as u64, SealFlags::empty()), page, plain), Err(Errno::INVAL), "may shrink");
    assert_eq!(map(memfd(2 * page as u64, SealFlags::SHRINK), page, plain), Err(Errno::INVAL), "longer");
    assert_eq!(map(memfd(page as u64, SealFlags::SHRINK), 2 * page, plain), Err(Errno::INVAL), "shorter");
    assert_eq!(map(memfd(100, SealFlags::SHRINK), 100, plain), Err(Errno::INVAL), "no whole pages");
    assert_eq!(map(memfd(0, SealFlags::SHRINK), 0, plain), Err(Errno::INVAL), "empty");
    let fixed = RegionOptions { fixed_size: true, ..plain };
    assert_eq!(map(memfd(page as u64, SealFlags::SHRINK), page, fixed), Err(Errno::INVAL), "may grow");
    let (read, _write) = rustix::pipe::pipe().expect("a pipe");
    assert_eq!(map(read.into(), page, plain), Err(Errno::INVAL), "a pipe");
    let huge = memfd_create(c"huge", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB);
    if let Ok(huge) = huge {
        let sealed = ftruncate(&huge, 2 << 20).and_then(|()| fcntl_add_seals(&huge, SealFlags::SHRINK));
        if sealed.is_ok() {
            assert_eq!(map(huge.into(), 2 << 20, plain), Err(Errno::INVAL), "huge pages");
        }
    }
    assert_eq!(SharedRegion::create(c"x", 0, plain).map(|_| ()), Err(Errno::INVAL));
    assert_eq!(SharedRegion::create(c"x", usize::MAX - 5, plain).map(|_| ()), Err(Errno::INVAL));
}

#[test]
fn file_size_limit_is_an_error_not_a_signal() {
    let child = Child::fork(|| {
        let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
        // SAFETY: a live rlimit.
        unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) };
        let options = RegionOptions::default();
        SharedRegion::create(c"x", 2 << 20, options).map(|_| ()) == Err(Errno::FBIG)
            && SharedRegion::create(c"x", 1 << 20, options).is_ok()
    });
    assert!(child.succeeded(), "SIGXFSZ would have killed it");
}

#[test]
fn access_is_bounded_and_aligned() {
    let region = region(1, RegionOptions::default());
    let len = region.len();
    assert!(region.at::<AtomicU64>(len - 8).is_some());
    assert!(region.at::<AtomicU64>(len - 4).is_none());
    assert!(region.at::<AtomicU64>(len).is_none());
    assert!(region.at::<AtomicU64>(4).is_none(), "not aligned");
    assert!(region.at::<AtomicU64>(usize::MAX).is_none());
    assert!(region.at::<AtomicU64>(usize::MAX - 7).is_none());
    assert_eq!(region.slice_at::<AtomicU32>(0, len / 4).map(<[_]>::len), Some(len / 4));
    assert!(region.slice_at::<AtomicU32>(4, len / 4).is_none());
    assert!(region.slice_at::<AtomicU32>(0, usize::MAX / 2).is_none());
    assert!(!region.write_bytes(len - 1, &[0; 2]) && !region.read_bytes(len, &mut [0; 1]));
    assert!(region.at_forever::<AtomicU64>(0).is_none(), "not in an arena");
}

#[test]
fn hole_gives_memory_back() {
    let page = page_size();
    for with_fd in [true, false] {
        let mut region = region(4, RegionOptions::default());
        let fd = region.take_fd().expect("kept");
        let blocks = || rustix::fs::fstat(&fd).expect("own memfd").st_blocks;
        assert_eq!(blocks(), 0, "sparse");
        assert!(region.write_bytes(0, &vec![9; 4 * page]));
        let full = blocks();
        let region = if with_fd {
            let fd = crate::fd::duplicate_high(fd.as_fd()).expect("a duplicate");
            SharedRegion::from_fd(fd, region.len(), RegionOptions::default()).expect("mapped again")
        } else {
            region
        };
        assert_eq!(region.punch_hole(page..3 * page), Ok(()));
        assert_eq!(blocks(), full / 2);
        let mut bytes = vec![1; 4 * page];
        assert!(region.read_bytes(0, &mut bytes));
        assert!(
            bytes
                .iter()
                .enumerate()
                .all(|(at, byte)| { *byte == if (page..3 * page).contains(&at) { 0 } else { 9 } })
        );
        assert_eq!(region.punch_hole(0..page - 1), Err(Errno::INVAL));
        assert_eq!(region.punch_hole(0..5 * page), Err(Errno::INVAL));
    }
}

#[test]
fn retired_range_reads_zeros_and_is_reused() {
    static ARENA: AddressArena = AddressArena::new();
    let options = RegionOptions { arena: Some(&ARENA), ..RegionOptions::default() };
    let first = region(3, options);
    let start = first.as_ptr();
    let late = first.at_forever::<AtomicU64>(4096).expect("in an arena");
    late.store(5, Ordering::Relaxed);
    let fd = first.fd().and_then(|fd| crate::fd::duplicate_high(fd).ok()).expect("the descriptor");
    drop(first);
    assert_eq!(late.load(Ordering::Relaxed), 0, "zeros, and no fault");
    late.store(6, Ordering::Relaxed);
    let kept = SharedRegion::from_fd(fd, 3 * page_size(), RegionOptions::default()).expect("still a segment");
    let elsewhere = kept.at::<AtomicU64>(4096).expect("inside");
    assert_eq!(elsewhere.load(Ordering::Relaxed), 5, "a late writer does not reach the old segment");
    assert_eq!(ARENA.retired(), 1);
    let other_size = region(2, options);
    assert_ne!(other_size.as_ptr(), start);
    let second = region(3, options);
    assert_eq!((second.as_ptr(), ARENA.retired()), (start, 0));
    second.at::<AtomicU64>(4096).expect("inside").store(8, Ordering::Relaxed);
    assert_eq!(late.load(Ordering::Relaxed), 8, "the new segment");
}

#[test]
fn arena_serves_threads_at_once() {
    static ARENA: AddressArena = AddressArena::new();
    let options = RegionOptions { arena: Some(&ARENA), ..RegionOptions::default() };
    std::thread::scope(|scope| {
        for number in 1..=4_u64 {
            scope.spawn(move || {
                for _ in 0..200 {
                    let region = region(1, options);
                    let word = region.at::<AtomicU64>(0).expect("inside");
                    assert_eq!(word.swap(number, Ordering::Relaxed), 0, "nobody else's");
                    crate::thread::yield_now();
                    assert_eq!(word.load(Ordering::Relaxed), number);
                }
            });
        }
    });
    assert!((1..=4).contains(&ARENA.retired()));
}

#[test]
fn sparse_array_is_zero_and_costs_only_what_is_touched() {
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs");
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number")
    };
    let before = resident();
    let array = SparseArray::<CachePadded<AtomicU32>>::new(1 << 24).expect("2 GiB of addresses");
    assert_eq!(array.len(), 1 << 24);
    for at in [0, 1, 1 << 20, (1 << 24) - 1] {
        assert_eq!(array[at].swap(3, Ordering::Relaxed), 0);
    }
    assert_eq!(array[0].load(Ordering::Relaxed), 3);
    assert!(resident() < before + 10_000, "some pages, not 524288 (other tests run too)");
    assert_eq!(SparseArray::<AtomicU32>::new(0).map(|_| ()), Err(Errno::INVAL));
    assert_eq!(SparseArray::<AtomicU32>::new(usize::MAX).map(|_| ()), Err(Errno::INVAL));
}
