use super::*;
use crate::testing::{Child, eventually};

fn name(of: &str) -> Vec<u8> {
    format!("wsd-os-test-{of}-{}", std::process::id()).into_bytes()
}

#[test]
fn connect_accept_and_credentials() {
    let name = name("connect");
    assert_eq!(Link::connect(&name).map(|_| ()), Err(Errno::CONNREFUSED));
    let listener = Listener::bind(&name, 4).expect("a free name");
    assert_eq!(Listener::bind(&name, 4).map(|_| ()), Err(Errno::ADDRINUSE));
    assert_eq!(listener.accept().map(|_| ()), Err(Errno::AGAIN));
    let child = Child::fork(|| {
        let Ok(link) = Link::connect(&name) else { return false };
        let sent = link.send(b"hello", &[]);
        // Stays until the other side has looked at it.
        while matches!(link.recv(&mut [0; 4], 0), Err(Errno::AGAIN)) {}
        sent.is_ok()
    });
    let link = loop {
        match listener.accept() {
            Err(Errno::AGAIN) => crate::thread::yield_now(),
            link => break link.expect("the child connects"),
        }
    };
    let peer = link.peer_credentials().expect("connected");
    // SAFETY: both only return numbers.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    assert_eq!(peer, PeerCredentials { pid: child.pid() as u32, uid, gid });
    let mut bytes = [0; 16];
    let packet = loop {
        match link.recv(&mut bytes, 0) {
            Err(Errno::AGAIN) => crate::thread::yield_now(),
            packet => break packet.expect("the child sends").expect("open"),
        }
    };
    assert_eq!(&bytes[..packet.len], b"hello");
    drop(link);
    assert!(child.succeeded());
    drop(listener);
    assert!(eventually(|| Listener::bind(&name, 4).is_ok()), "the name is free again");
    assert_eq!(Listener::bind(&[1; 200], 4).map(|_| ()), Err(Errno::NAMETOOLONG));
}

#[test]
fn what_was_sent_before_the_end_is_read() {
    let (one, other) = Link::pair().expect("a pair");
    other.send(b"never read", &[]).expect("sent");
    one.send(b"last words", &[]).expect("sent");
    drop(one);
    let mut bytes = [0; 16];
    let packet = other.recv(&mut bytes, 0).expect("no error hides it").expect("a packet");
    assert_eq!(&bytes[..packet.len], b"last words");
    assert!(other.recv(&mut bytes, 0).expect("the end").is_none());
}

#[test]
fn full_queue_of_connections_does_not_block() {
    let name = name("backlog");
    let _listener = Listener::bind(&name, 0).expect("a free name");
    let _first = Link::connect(&name).expect("one may wait");
    assert_eq!(Link::connect(&name).map(|_| ()), Err(Errno::AGAIN));
}

#[test]
fn descriptors_travel_in_order() {
    let (one, other) = Link::pair().expect("a pair");
    let pipes = [(); MAX_FDS].map(|()| rustix::pipe::pipe().expect("a pipe"));
    let writes = pipes.each_ref().map(|(_, write)| write.as_fd());
    one.send(b"take these", &writes).expect("sent");
    assert_eq!(one.send(b"x", &[writes[0]; MAX_FDS + 1]), Err(Errno::INVAL));
    let mut bytes = [0; 10];
    let packet = other.recv(&mut bytes, MAX_FDS).expect("received").expect("open");
    assert_eq!((packet.len, &bytes), (10, b"take these"));
    for (number, (fd, (read, _))) in packet.fds.iter().zip(&pipes).enumerate() {
        let fd = fd.as_ref().expect("all came");
        assert_eq!(rustix::io::fcntl_getfd(fd), Ok(rustix::io::FdFlags::CLOEXEC));
        rustix::io::write(fd, &[number as u8]).expect("the pipe is open");
        let mut got = [0xff];
        rustix::io::read(read, &mut got[..]).expect("just written");
        assert_eq!(usize::from(got[0]), number);
    }
    one.send(b"none", &[]).expect("sent");
    let packet = other.recv(&mut bytes, MAX_FDS).expect("received").expect("open");
    assert!(packet.fds.iter().all(Option::is_none));
}

#[test]
fn truncation_is_an_error_and_leaks_nothing() {
    let (one, other) = Link::pair().expect("a pair");
    let mut bytes = [0; 4];
    for (sent, fds, max_fds, good) in
        [(5, 1, MAX_FDS, false), (4, 2, 1, false), (4, 1, 0, false), (4, 8, 8, true), (4, 0, 0, true)]
    {
        let (read, write) = rustix::pipe::pipe().expect("a pipe");
        one.send(&[7; 5][..sent], &vec![write.as_fd(); fds]).expect("sent");
        let result = other.recv(&mut bytes, max_fds);
        if good {
            assert_eq!(result.map(|packet| packet.map(|packet| packet.len)), Ok(Some(4)));
        } else {
            assert_eq!(
                result.map(|_| ()),
                Err(Errno::MSGSIZE),
                "{sent} bytes, {fds} of {max_fds} descriptors"
            );
        }
        drop(write);
        assert_eq!(rustix::io::read(&read, &mut [0; 1][..]), Ok(0), "end of file: no descriptor was leaked");
    }
}

#[test]
fn more_descriptors_than_fit_are_an_error() {
    let (one, other) = Link::pair().expect("a pair");
    let (read, write) = rustix::pipe::pipe().expect("a pipe");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(20))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [write.as_fd(); 20];
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(&one, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).expect("sent");
    assert_eq!(other.recv(&mut [0; 4], MAX_FDS).map(|_| ()), Err(Errno::MSGSIZE));
    drop(write);
    assert_eq!(rustix::io::read(&read, &mut [0; 1][..]), Ok(0), "no descriptor was leaked");
}

#[test]
fn descriptors_for_which_the_process_has_no_number_are_an_error() {
    let (one, other) = Link::pair().expect("a pair");
    let (_read, write) = rustix::pipe::pipe().expect("a pipe");
    one.send(b"x", &[write.as_fd()]).expect("sent");
    let child = Child::fork(|| {
        let limit = libc::rlimit { rlim_cur: 3, rlim_max: 3 };
        // SAFETY: a live rlimit.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
        matches!(other.recv(&mut [0; 4], MAX_FDS), Err(Errno::MSGSIZE))
    });
    assert!(child.succeeded());
}

#[test]
fn end_and_full_queue_are_told() {
    let (one, other) = Link::pair().expect("a pair");
    assert_eq!(other.recv(&mut [0; 4], 0).map(|_| ()), Err(Errno::AGAIN));
    assert_eq!(one.send(b"", &[]), Err(Errno::INVAL), "would look like the end");
    let full = (0..1_000_000).map(|_| one.send(&[0; 1000], &[])).find(Result::is_err);
    assert_eq!(full, Some(Err(Errno::AGAIN)));
    drop(one);
    let at_end = || matches!(other.recv(&mut [0; 1000], 0), Ok(None));
    assert!(eventually(at_end));
    assert_eq!(other.send(b"x", &[]), Err(Errno::PIPE), "and no SIGPIPE");
}

#[test]
fn only_such_sockets_are_links() {
    let (one, _other) = Link::pair().expect("a pair");
    assert!(Link::from_fd(one.fd).is_ok());
    let (read, _write) = rustix::pipe::pipe().expect("a pipe");
    assert!(Link::from_fd(read.into()).is_err());
}
