//! Links, doors, sets and memory, within a process and between two.

use core::ptr::null;
use core::time::Duration;
use std::io::{BufRead, BufReader, Write};
use std::os::windows::io::AsRawHandle;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use windows_sys::Win32::System::Memory::{CreateFileMappingW, PAGE_READWRITE};

use super::Errno;
use super::clock::now_ns;
use super::doorbell::Eventfd;
use super::fd::{AsFd, AsRawFd, OwnedFd};
use super::handle::Handle;
use super::link::{Link, Listener, MAX_FDS};
use super::memory::{RegionOptions, SharedRegion, page_size};
use super::poll::{
    EPOLLIN, EPOLLOUT, EpollEvent, EpollOperation, POLLIN, PollFd, epoll_create, epoll_ctl, epoll_pwait,
    ppoll,
};
use super::process::{self, ProcessId};
use super::timer::Timer;

/// Longest wait.
const LIMIT: Duration = Duration::from_secs(20);
/// Where the other process finds the listener.
const NAME: &str = "WSD_OS_TEST_NAME";

/// A name that nothing else uses.
fn name() -> Vec<u8> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)).into_bytes()
}

/// This program again, to do what the test of that name says.
fn child(test: &str, name: &[u8]) -> Child {
    Command::new(std::env::current_exe().expect("own path"))
        .args(["--exact", &format!("windows::tests::{test}"), "--nocapture", "--ignored"])
        .env(NAME, String::from_utf8_lossy(name).as_ref())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child")
}

/// Waits until a descriptor is readable.
fn readable(fd: &impl AsFd) -> bool {
    let mut fds = [PollFd { fd: fd.as_fd().as_raw_fd(), events: POLLIN, revents: 0 }];
    ppoll(&mut fds, Some(LIMIT), None) == Ok(1)
}

/// Receives a packet that comes.
fn received(link: &Link) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
    assert!(readable(link), "time is up");
    let mut bytes = [0; 64];
    let packet = link.recv(&mut bytes, MAX_FDS).expect("a packet or the end")?;
    Some((bytes[..packet.len].to_vec(), packet.fds.into_iter().flatten().collect()))
}

/// Receives a packet without descriptors.
fn text(link: &Link) -> Option<Vec<u8>> {
    received(link).map(|(bytes, fds)| {
        assert!(fds.is_empty());
        bytes
    })
}

fn event(events: i32, datum: u64) -> EpollEvent {
    EpollEvent { events: events as u32, u64: datum }
}

#[test]
fn names_are_exclusive_and_become_free() {
    let name = name();
    assert_eq!(Link::connect(&name).map(drop), Err(Errno::CONNREFUSED));
    let listener = Listener::bind(&name, 4).expect("a free name");
    assert_eq!(Listener::bind(&name, 4).map(drop), Err(Errno::ADDRINUSE));
    assert_eq!(listener.accept().map(drop), Err(Errno::AGAIN));
    let visitor = Link::connect(&name).expect("a listener");
    drop(listener);
    assert_eq!(text(&visitor), None, "nobody lets it in any more");
    let again = Listener::bind(&name, 0).expect("the name is free again");
    let _first = Link::connect(&name).expect("one may wait");
    assert_eq!(Link::connect(&name).map(drop), Err(Errno::AGAIN));
    drop(again);
    assert_eq!(Listener::bind(&[b'x'; 300], 4).map(drop), Err(Errno::NAMETOOLONG));
    assert_eq!(Listener::bind(b"a\\b", 4).map(drop), Err(Errno::INVAL));
}

#[test]
fn packets_keep_their_bounds_and_what_was_sent_before_the_end_is_read() {
    let name = name();
    let listener = Listener::bind(&name, 4).expect("a free name");
    let one = Link::connect(&name).expect("a listener");
    one.send(b"before it is let in", &[]).expect("sent");
    let other = listener.accept().expect("a visitor");
    one.send(b"last words", &[]).expect("sent");
    let own = std::process::id();
    assert_eq!(one.peer_credentials().map(|peer| peer.pid), Ok(own));
    assert_eq!(other.peer_credentials().map(|peer| peer.pid), Ok(own));
    drop(one);
    assert_eq!(text(&other), Some(b"before it is let in".to_vec()));
    assert_eq!(text(&other), Some(b"last words".to_vec()));
    assert_eq!(text(&other), None);
    assert_eq!(other.send(b"x", &[]), Err(Errno::PIPE));
}

#[test]
fn queues_are_bounded_and_wrap() {
    let (one, other) = Link::pair().expect("a pair");
    let set = epoll_create().expect("a set");
    let number = one.as_fd().as_raw_fd();
    epoll_ctl(set.as_fd(), EpollOperation::Add, number, event(EPOLLOUT, 5)).expect("added");
    let mut events = [event(0, 0); 2];
    let look = |events: &mut [EpollEvent]| epoll_pwait(set.as_raw_fd(), events, Some(Duration::ZERO), None);
    let (mut sent, mut taken) = (0_u32, 0_u32);
    let mut bytes = [0; 2000];
    for _ in 0..20 {
        assert_eq!(look(&mut events), Ok(1));
        while one.send(&vec![sent as u8; 1 + sent as usize % 1999], &[]) == Ok(()) {
            sent += 1;
        }
        assert_eq!(one.send(&[0; 2000], &[]), Err(Errno::AGAIN));
        assert_eq!(look(&mut events), Ok(0), "no room");
        while let Ok(Some(packet)) = other.recv(&mut bytes, 0) {
            assert_eq!(packet.len, 1 + taken as usize % 1999);
            assert!(bytes[..packet.len].iter().all(|byte| *byte == taken as u8));
            taken += 1;
        }
        assert_eq!(sent, taken);
    }
    assert_eq!(one.send(b"", &[]), Err(Errno::INVAL), "would look like the end");
    assert_eq!(one.send(&vec![0; 1 << 20], &[]), Err(Errno::MSGSIZE));
    one.send(&[0; 5], &[]).expect("sent");
    assert_eq!(other.recv(&mut [0; 4], 0).map(drop), Err(Errno::MSGSIZE));
}

#[test]
fn set_tells_what_is_ready_as_long_as_it_is() {
    let set = epoll_create().expect("a set");
    let (one, other) = Link::pair().expect("a pair");
    let bell = Eventfd::new().expect("an event");
    let timer = Timer::new().expect("a timer");
    for (fd, datum) in [(one.as_fd(), 1), (bell.as_fd(), 2), (timer.as_fd(), 3)] {
        epoll_ctl(set.as_fd(), EpollOperation::Add, fd.as_raw_fd(), event(EPOLLIN, datum)).expect("added");
    }
    let again = epoll_ctl(set.as_fd(), EpollOperation::Add, one.as_fd().as_raw_fd(), event(EPOLLIN, 1));
    assert_eq!(again, Err(Errno::EXIST));
    let wait = |limit| {
        let mut events = [event(0, 0); 4];
        let count = epoll_pwait(set.as_raw_fd(), &mut events, limit, None).expect("a set");
        let mut data: Vec<u64> = events[..count].iter().map(|event| event.u64).collect();
        data.sort_unstable();
        data
    };
    let now = Some(Duration::ZERO);
    assert_eq!(wait(now), [0; 0]);
    other.send(b"x", &[]).expect("sent");
    assert_eq!((wait(None), wait(now)), (vec![1], vec![1]), "a level");
    assert!(readable(&set), "as a descriptor too");
    bell.ring();
    assert_eq!(wait(None), [1, 2]);
    one.recv(&mut [0; 4], 0).expect("a packet");
    assert_eq!(bell.drain(), 1);
    assert_eq!(wait(now), [0; 0]);
    for _ in 0..2 {
        let deadline = now_ns() + 20_000_000;
        timer.set(deadline).expect("set");
        assert_eq!(wait(None), [3]);
        assert!(now_ns() >= deadline);
        timer.silence();
        assert_eq!(wait(now), [0; 0]);
        bell.ring();
        assert_eq!(wait(None), [2], "again");
        bell.drain();
    }
    drop(other);
    assert_eq!(wait(None), [1], "the end");
    epoll_ctl(set.as_fd(), EpollOperation::Delete, one.as_fd().as_raw_fd(), event(0, 0)).expect("removed");
    assert_eq!(wait(now), [0; 0]);
}

/// What is closed leaves the set, and its number may come again at once.
#[test]
fn closed_ends_leave_the_set() {
    let set = epoll_create().expect("a set");
    let mut events = [event(0, 0); 2];
    for datum in 0..50 {
        let (one, other) = Link::pair().expect("a pair");
        let number = one.as_fd().as_raw_fd();
        epoll_ctl(set.as_fd(), EpollOperation::Add, number, event(EPOLLIN, datum)).expect("added");
        other.send(b"x", &[]).expect("sent");
        assert_eq!(epoll_pwait(set.as_raw_fd(), &mut events, None, None), Ok(1));
        assert_eq!(events[0].u64, datum);
    }
}

#[test]
fn memory_is_the_same_and_is_checked() {
    let options = RegionOptions { fixed_size: true, ..RegionOptions::default() };
    let mut region = SharedRegion::create(c"", 5000, options).expect("memory");
    assert_eq!(region.len(), 2 * page_size());
    assert!(region.write_bytes(4998, b"hello"));
    assert!(!region.write_bytes(8190, b"hello") && !region.write_bytes(usize::MAX, b"hello"));
    let (one, other) = Link::pair().expect("a pair");
    let fd = region.take_fd().expect("not taken");
    for length in [8192, 4096, 12_288, 8191] {
        one.send(b"take this", &[fd.as_fd()]).expect("sent");
        let (_, mut fds) = received(&other).expect("a packet");
        let mapped = SharedRegion::from_fd(fds.remove(0), length, options);
        assert_eq!(mapped.is_ok(), length == 8192);
        let mut bytes = [0; 5];
        assert!(mapped.is_err() || mapped.is_ok_and(|same| same.read_bytes(4998, &mut bytes)));
        assert!(length != 8192 || &bytes == b"hello");
    }
    let bell = Eventfd::new().expect("an event");
    one.send(b"an event", &[bell.as_fd()]).expect("sent");
    let (_, mut fds) = received(&other).expect("a packet");
    assert!(SharedRegion::from_fd(fds.remove(0), 4096, options).is_err());
}

/// A file may be on a disk that goes.
#[test]
fn memory_in_a_file_is_refused() {
    let path = std::env::temp_dir().join(format!("wsd-os-test-{}", std::process::id()));
    let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path);
    let file = file.expect("a new file");
    file.set_len(4096).expect("room");
    // SAFETY: an open file; no attributes, no name.
    let section = unsafe {
        Handle::returned(CreateFileMappingW(file.as_raw_handle(), null(), PAGE_READWRITE, 0, 4096, null()))
    };
    let section = OwnedFd::from(section.expect("a section"));
    let mapped = SharedRegion::from_fd(section, 4096, RegionOptions::default());
    assert_eq!(mapped.map(drop), Err(Errno::INVAL));
    drop(file);
    std::fs::remove_file(&path).expect("nothing has it open");
}

#[test]
fn ends_and_listeners_travel() {
    let (one, other) = Link::pair().expect("a pair");
    let (near, far) = Link::pair().expect("a pair");
    let name = name();
    let listener = Listener::bind(&name, 4).expect("a free name");
    let visitor = Link::connect(&name).expect("a listener");
    near.send(b"before it travels", &[]).expect("sent");
    one.send(b"take these", &[far.as_fd(), listener.as_fd()]).expect("sent");
    drop((far, listener));
    let (_, mut fds) = received(&other).expect("a packet");
    let listener = Listener::take_over(fds.remove(1), 4).expect("a listener");
    let far = Link::from_fd(fds.remove(0)).expect("an end");
    assert_eq!(text(&far), Some(b"before it travels".to_vec()));
    far.send(b"back", &[]).expect("sent");
    assert_eq!(text(&near), Some(b"back".to_vec()));
    let inside = listener.accept().expect("who knocked before");
    inside.send(b"come in", &[]).expect("sent");
    assert_eq!(text(&visitor), Some(b"come in".to_vec()));
    assert_eq!(Listener::bind(&name, 4).map(drop), Err(Errno::ADDRINUSE));
    // What cannot all be handed over is lost.
    let (kept, lost) = Link::pair().expect("a pair");
    let set = epoll_create().expect("a set");
    assert_eq!(one.send(b"no", &[lost.as_fd(), set.as_fd()]), Err(Errno::INVAL));
    assert_eq!(text(&kept), None);
    // What nobody takes out is closed with the end that it was sent to.
    one.send(b"and this", &[far.as_fd()]).expect("sent");
    drop(other);
    assert_eq!(text(&near), None);
}

/// Another process: credentials, descriptors both ways, its death.
#[test]
fn two_processes() {
    let name = name();
    let listener = Listener::bind(&name, 4).expect("a free name");
    let mut child = child("other_of_two", &name);
    assert!(readable(&listener), "it knocks");
    let link = listener.accept().expect("a visitor");
    assert_eq!(link.peer_credentials().map(|peer| peer.pid), Ok(child.id()));
    let (hello, mut fds) = received(&link).expect("a packet");
    assert_eq!(hello, b"hello");
    let end = Link::from_fd(fds.remove(1)).expect("an end");
    let options = RegionOptions { fixed_size: true, ..RegionOptions::default() };
    let region = SharedRegion::from_fd(fds.remove(0), page_size(), options).expect("memory");
    let mut bytes = [0; 6];
    assert!(region.read_bytes(7, &mut bytes));
    assert_eq!(&bytes, b"shared");
    assert!(region.write_bytes(7, b"seen"));
    end.send(b"look", &[]).expect("sent");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("text").ends_with("seen")), "the other process reads what we wrote");

    let id = ProcessId::of(child.id()).expect("it runs");
    let end_of_child = process::watch(id).expect("it runs");
    assert!(id.is_alive());
    child.kill().expect("it runs");
    assert!(readable(&end_of_child));
    assert_eq!(text(&end), Some(b"last words".to_vec()), "they outlive it");
    assert_eq!((text(&end), text(&link)), (None, None));
    assert_eq!(link.send(b"x", &[]), Err(Errno::PIPE));
    child.wait().expect("it has ended");
    assert!(!id.is_alive());
    assert!(region.read_bytes(7, &mut bytes), "its memory stays");
}

#[test]
#[ignore = "part of two_processes"]
fn other_of_two() {
    let Ok(name) = std::env::var(NAME) else { return };
    let link = Link::connect(name.as_bytes()).expect("a listener");
    let options = RegionOptions { fixed_size: true, ..RegionOptions::default() };
    let mut region = SharedRegion::create(c"", page_size(), options).expect("memory");
    assert!(region.write_bytes(7, b"shared"));
    let (near, far) = Link::pair().expect("a pair");
    let memory = region.take_fd().expect("not taken");
    link.send(b"hello", &[memory.as_fd(), far.as_fd()]).expect("sent");
    drop((memory, far));
    assert_eq!(text(&near), Some(b"look".to_vec()));
    near.send(b"last words", &[]).expect("sent");
    let mut bytes = [0; 4];
    assert!(region.read_bytes(7, &mut bytes));
    println!("\n{}", String::from_utf8_lossy(&bytes));
    std::io::stdout().flush().expect("a reader");
    std::thread::sleep(LIMIT);
}
