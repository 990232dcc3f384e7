use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::time::Duration;

use super::defer::intercept;
use super::*;
use crate::atomic::{AtomicU32, Ordering};
use crate::poll::ppoll;
use crate::testing::eventually;

/// The n-th real-time signal; each test has its own, since handlers belong to the whole process.
fn signal(n: i32) -> c_int {
    libc::SIGRTMIN() + 1 + n
}

/// What the handlers saw in this thread.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
struct Seen {
    calls: u32,
    value: usize,
    order: u64,
    mask: u64,
    critical: bool,
}

thread_local! {
    static SEEN: Cell<Seen> = const { Cell::new(Seen { calls: 0, value: 0, order: 0, mask: 0, critical: false }) };
}

extern "C" fn note(_signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel gives a siginfo_t; the value is there for signals sent by `send`.
    let value = unsafe { (*info).si_value().sival_ptr.addr() };
    let before = SEEN.get();
    SEEN.set(Seen {
        calls: before.calls + 1,
        value,
        order: before.order * 10 + value as u64 % 10,
        mask: Mask::current().bits(),
        critical: Critical::active(),
    });
}

extern "C" fn note_plain(signal: c_int) {
    SEEN.set(Seen { calls: SEEN.get().calls + 1, value: signal as usize, ..SEEN.get() });
}

/// A handler that uses a critical section, as one that calls send() does.
extern "C" fn use_critical(_signal: c_int) {
    drop(Critical::enter());
    SEEN.set(Seen { calls: SEEN.get().calls + 1, ..SEEN.get() });
}

fn action(handler: usize, flags: c_int, mask: &[c_int]) -> libc::sigaction {
    // SAFETY: all-zero bytes are a valid sigaction; the set is then filled by libc.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigemptyset(&mut action.sa_mask);
        for signal in mask {
            libc::sigaddset(&mut action.sa_mask, *signal);
        }
        action
    }
}

/// What the front end does for sigaction(signal, new, old).
fn sigaction(signal: c_int, new: Option<&libc::sigaction>) -> libc::sigaction {
    intercept(signal, new, |new| {
        let mut old = action(0, 0, &[]);
        let new = new.map_or(core::ptr::null(), core::ptr::from_ref);
        // SAFETY: both are null or live sigactions.
        if unsafe { libc::sigaction(signal, new, &mut old) } == 0 { Ok(old) } else { Err(()) }
    })
    .expect("sigaction")
}

fn install(signal: c_int, flags: c_int, mask: &[c_int]) {
    sigaction(signal, Some(&action(note as *const () as usize, libc::SA_SIGINFO | flags, mask)));
}

/// Sends a signal with a value to this thread.
fn send(signal: c_int, value: usize) {
    // SAFETY: pthread_sigqueue only reads its arguments.
    let result = unsafe {
        let value = libc::sigval { sival_ptr: core::ptr::without_provenance_mut(value) };
        pthread_sigqueue(libc::pthread_self(), signal, value)
    };
    assert_eq!(result, 0);
}

unsafe extern "C" {
    fn pthread_sigqueue(thread: libc::pthread_t, signal: c_int, value: libc::sigval) -> c_int;
}

#[test]
fn outside_of_critical_sections_handlers_run_at_once() {
    install(signal(0), 0, &[]);
    send(signal(0), 7);
    assert_eq!((SEEN.get().calls, SEEN.get().value), (1, 7));
    sigaction(signal(0), Some(&action(note_plain as *const () as usize, 0, &[])));
    send(signal(0), 1);
    assert_eq!((SEEN.get().calls, SEEN.get().value), (2, signal(0) as usize));
}

#[test]
fn inside_they_run_when_the_outermost_section_ends() {
    let before = Mask::current();
    install(signal(1), 0, &[signal(2)]);
    let outer = Critical::enter();
    let inner = Critical::enter();
    send(signal(1), 3);
    send(signal(1), 4);
    drop(inner);
    send(signal(1), 5);
    assert_eq!(SEEN.get().calls, 0);
    drop(outer);
    let seen = SEEN.get();
    assert_eq!((seen.calls, seen.order), (3, 345), "all, with their values, in order");
    assert!(!seen.critical);
    assert!(Mask::from_bits(seen.mask).contains(signal(1)), "blocks itself while it runs");
    assert!(Mask::from_bits(seen.mask).contains(signal(2)), "and what sa_mask says");
    assert_eq!(Mask::current(), before);
}

#[test]
fn nodefer_neither_recurses_nor_blocks() {
    install(signal(3), libc::SA_NODEFER, &[]);
    let critical = Critical::enter();
    send(signal(3), 1);
    send(signal(3), 2);
    assert_eq!(SEEN.get().calls, 0);
    drop(critical);
    assert_eq!(SEEN.get().calls, 2);
    assert!(!Mask::from_bits(SEEN.get().mask).contains(signal(3)));
}

#[test]
fn reset_handler_runs_once_also_when_deferred() {
    for deferred in [false, true] {
        install(signal(4), libc::SA_RESETHAND, &[]);
        let calls = SEEN.get().calls;
        let critical = deferred.then(Critical::enter);
        send(signal(4), 1);
        drop(critical);
        assert_eq!(SEEN.get().calls, calls + 1);
        assert_eq!(sigaction(signal(4), None).sa_sigaction, libc::SIG_DFL);
    }
}

#[test]
fn program_is_told_its_own_handlers() {
    let plain =
        action(note_plain as *const () as usize, libc::SA_RESETHAND | libc::SA_RESTART, &[libc::SIGHUP]);
    let first = sigaction(signal(5), Some(&plain));
    assert_eq!(first.sa_sigaction, libc::SIG_DFL);
    let asked = sigaction(signal(5), None);
    assert_eq!(asked.sa_sigaction, plain.sa_sigaction);
    assert_eq!(asked.sa_flags & !0x0400_0000, plain.sa_flags, "SA_RESTORER apart");
    // SAFETY: a set that libc filled.
    assert_eq!(unsafe { libc::sigismember(&asked.sa_mask, libc::SIGHUP) }, 1);
    let ignore = action(libc::SIG_IGN, 0, &[]);
    assert_eq!(sigaction(signal(5), Some(&ignore)).sa_sigaction, plain.sa_sigaction);
    assert_eq!(sigaction(signal(5), Some(&plain)).sa_sigaction, libc::SIG_IGN);
    let failed = intercept(signal(5), Some(&action(note as *const () as usize, 0, &[])), |_| Err(5));
    assert_eq!(failed.map(|_| ()), Err(5));
    assert_eq!(sigaction(signal(5), None).sa_sigaction, plain.sa_sigaction, "a failed call changes nothing");
}

#[test]
fn fault_handlers_are_installed_as_they_are() {
    let handler = note as *const () as usize;
    let mut installed = 0;
    let _ = intercept(libc::SIGSEGV, Some(&action(handler, libc::SA_SIGINFO, &[])), |new| {
        installed = new.map_or(0, |new| new.sa_sigaction);
        Err(())
    });
    assert_eq!(installed, handler);
    assert_eq!(intercept(0, None, |_| Err(1)).map(|_| ()), Err(1));
    assert_eq!(intercept(1000, None, |_| Err(2)).map(|_| ()), Err(2));
}

#[test]
fn handler_with_a_section_of_its_own_leaves_the_outer_one_alone() {
    sigaction(signal(6), Some(&action(use_critical as *const () as usize, 0, &[])));
    // As if the outermost section just ended, before it looked for what was deferred.
    let waiting = Mask::only(signal(7)).bits();
    assert_eq!(critical::swap_deferred(waiting), 0);
    send(signal(6), 0);
    assert_eq!(SEEN.get().calls, 1);
    assert_eq!(critical::swap_deferred(0), waiting);
}

#[test]
fn signal_that_the_program_blocks_stays_blocked() {
    install(signal(8), 0, &[]);
    let blocked = Mask::only(signal(8)).block();
    let critical = Critical::enter();
    send(signal(8), 9);
    // Delivered only while ppoll has another mask, inside the section.
    assert_eq!(ppoll(&mut [], Some(Duration::from_secs(10)), Some(Mask::EMPTY)), Err(crate::Errno::INTR));
    assert_eq!(SEEN.get().calls, 0);
    drop(critical);
    assert_eq!(SEEN.get().calls, 0, "the program blocks it");
    drop(blocked);
    assert_eq!((SEEN.get().calls, SEEN.get().value), (1, 9));
}

/// How often [`count`] was called.
static COUNT: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: c_int) {
    COUNT.fetch_add(1, Ordering::Relaxed);
}

/// Whether a thread of this process sleeps in a system call.
fn is_asleep(tid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/self/task/{tid}/stat"));
    status.is_ok_and(|status| status.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S')))
}

#[test]
fn futex_wait_is_interrupted_as_recv_is() {
    for restart in [false, true] {
        let number = signal(10 + i32::from(restart));
        let flags = if restart { libc::SA_RESTART } else { 0 };
        sigaction(number, Some(&action(count as *const () as usize, flags, &[])));
        COUNT.store(0, Ordering::Relaxed);
        let (word, tid) = (AtomicU32::new(0), AtomicU32::new(0));
        let result = std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                tid.store(crate::thread::tid(), Ordering::Release);
                crate::futex::wait(&word, 0, None)
            });
            assert!(eventually(|| tid.load(Ordering::Acquire) != 0));
            let tid = tid.load(Ordering::Acquire);
            assert!(eventually(|| is_asleep(tid)));
            // SAFETY: sends a signal that has a handler to a thread of this process.
            unsafe { libc::syscall(libc::SYS_tgkill, crate::thread::pid(), tid, number) };
            let interrupted = eventually(|| COUNT.load(Ordering::Relaxed) == 1);
            let settled = eventually(|| if restart { is_asleep(tid) } else { sleeper.is_finished() });
            let woken = crate::futex::wake(&word, 1).expect("a futex");
            assert!(interrupted && settled);
            assert_eq!(woken, usize::from(restart), "it sleeps again, on the same word");
            sleeper.join().expect("no panic")
        });
        assert_eq!(result, if restart { Ok(()) } else { Err(crate::Errno::INTR) });
        assert_eq!(COUNT.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn lock_defers_handlers() {
    install(signal(9), 0, &[]);
    let lock = crate::lock::FamilyLock::new();
    let guard = lock.lock().expect("free");
    send(signal(9), 1);
    assert_eq!(SEEN.get().calls, 0);
    drop(guard);
    assert_eq!(SEEN.get().calls, 1);
    assert_eq!(lock.owner(), 0);
}
