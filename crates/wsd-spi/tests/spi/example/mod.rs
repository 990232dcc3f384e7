//! The example provider in C, `examples/provider-c`, between two processes.

mod child;
mod end;

use wsd_spi::client::{MemoryExt, Remote, Transfer};
use wsd_spi::ffi::AF_INET;
use wsd_spi::{Condition, Event, EventMask, ExtensionFunction, MemoryAccess, WsaError};

use child::{CASES, Case};
use end::{Child, End, address, receive, result, wait_for};

use crate::support::{contents, memory};

/// What the child writes.
const WRITTEN: usize = 150_000;

/// SP-021, SP-022, SP-101, SP-170: a message that comes before its receive, RDMA that is complete before the message
/// behind it, and the end of the connection.
#[test]
fn two_processes() {
    let end = End::build();
    assert!(!end.san.has(ExtensionFunction::RdmaRead) && !end.san.has(ExtensionFunction::Allocate));
    let listener = end.listener(1);
    let mut child = Child::start("talks", &end);
    let accepted = end.accept(&listener, 2);
    assert_eq!(child.line(), "greeted");

    let target = memory(&[0; WRITTEN + 10]);
    let remote = accepted.register_rdma_memory(&target, MemoryAccess::Write).expect("exposed");
    let inbox = memory(&[0; 4096]);
    let registered = accepted.register_memory(&inbox, MemoryAccess::ReadWrite).expect("registered");
    let mut early = accepted.recv(std::slice::from_ref(&inbox)).expect("posted");
    assert_eq!(result(&mut early), Ok(Transfer { bytes: 256, flags: 0 }));
    assert_eq!(contents(&inbox)[..256], [7; 256]);

    // SP-181: the next receive is notified, once.
    let length = remote.descriptor().len();
    inbox.write(0, remote.descriptor());
    accepted.recv_notified(&[inbox.slice(1024..2048).expect("within")], 5).expect("posted");
    let mut sent = accepted.send(&[inbox.slice(0..length as u32).expect("within")]).expect("sent");
    assert_eq!(result(&mut sent), Ok(Transfer { bytes: length as u32, flags: 0 }));
    wait_for("notification", || !end.switch.completions.lock().expect("no panics").is_empty());
    let expected: Vec<u8> = (0..WRITTEN).map(|at| at as u8).collect();
    assert_eq!(contents(&target)[5..WRITTEN + 5], expected);
    assert_eq!(end.switch.take_completions(), [(accepted.handle().expect("made"), 5, Ok(()), 4)]);
    assert_eq!(contents(&inbox)[1024..1028], *b"done");

    assert_eq!((remote.deregister(), registered.deregister()), (Ok(()), Ok(())));
    assert_eq!((accepted.close(), listener.close()), (Ok(()), Ok(())));
    assert_eq!(child.line(), "reset");
    child.ends();
    wait_for("handles", || end.switch.open_handles() == 0);
    assert!(end.switch.foreign.lock().expect("no panics").is_empty());
}

/// SP-123, SP-132: the peer reaches only what is registered on its own connection, for writing, within it.
#[test]
fn refused_accesses() {
    let end = End::build();
    let listener = end.listener(1);
    let mut child = Child::start("reaches", &end);
    let other = end.accept(&listener, 2);
    for case in CASES {
        let accepted = end.accept(&listener, 2);
        let target = memory(&[0; 4096]);
        let (owner, access) = match case {
            Case::Stranger => (&other, MemoryAccess::Write),
            Case::ReadOnly => (&accepted, MemoryAccess::Read),
            _ => (&accepted, MemoryAccess::Write),
        };
        let remote = owner.register_rdma_memory(&target, access).expect("exposed");
        let descriptor = memory(remote.descriptor());
        let registered = accepted.register_memory(&descriptor, MemoryAccess::ReadWrite).expect("registered");
        let kept = if case == Case::Deregistered {
            assert_eq!(remote.deregister(), Ok(()));
            None
        } else {
            Some(remote)
        };
        let mut sent = accepted.send(std::slice::from_ref(&descriptor)).expect("sent");
        result(&mut sent).expect("sent");
        assert_eq!(child.line(), "refused");
        let mut receive = match accepted.recv(std::slice::from_ref(&descriptor)) {
            Ok(receive) => result(&mut { receive }).err(),
            Err(error) => Some(error),
        };
        assert_eq!(receive.take(), Some(WsaError::WSAECONNABORTED), "{case:?}");
        assert!(contents(&target).iter().all(|byte| *byte == 0), "{case:?}");
        drop((kept, registered));
    }
    child.ends();
}

/// SP-085, SP-110, SP-112, SP-114, SP-120, SP-124: registrations are looked at.
#[test]
fn registrations() {
    let end = End::build();
    let listener = end.listener(1);
    let (client, server) = end.pair(&listener, 1, 2);
    let data = memory(&[1; 64]);
    assert_eq!(client.send(std::slice::from_ref(&data)).err(), Some(WsaError::WSAEFAULT));
    let readable = client.register_memory(&data, MemoryAccess::Read).expect("registered");
    assert_eq!(client.recv(std::slice::from_ref(&data)).err(), Some(WsaError::WSAEFAULT));
    let refused = listener.register_memory(&data, MemoryAccess::Read).err();
    assert_eq!(refused, Some(WsaError::WSAENOTCONN));
    assert_eq!(client.rdma_descriptor_length(), Ok(24));

    // A write whose source is not registered for reading.
    let target = server.register_rdma_memory(&memory(&[0; 64]), MemoryAccess::Write).expect("exposed");
    let place = Remote { descriptor: target.descriptor(), offset: 0 };
    let writable = client.register_memory(&memory(&[2; 8]), MemoryAccess::Write).expect("registered");
    let segment = writable.segment(0..8).expect("within");
    assert_eq!(client.rdma_write(&[segment], place).err(), Some(WsaError::WSAEFAULT));
    let mut sound = client.rdma_write(&[readable.segment(8..16).expect("within")], place).expect("started");
    assert_eq!(result(&mut sound), Ok(Transfer { bytes: 8, flags: 0 }));
    assert_eq!(contents(target.memory())[..9], [1, 1, 1, 1, 1, 1, 1, 1, 0]);

    // SP-114: in use.
    let inbox = memory(&[0; 8]);
    let used = server.register_memory(&inbox, MemoryAccess::Write).expect("registered");
    let pending = server.recv(std::slice::from_ref(&inbox)).expect("posted");
    assert_eq!(used.deregister(), Err(WsaError::WSAEINVAL));
    assert_eq!((readable.deregister(), writable.deregister(), target.deregister()), (Ok(()), Ok(()), Ok(())));
    drop(pending);
}

/// SP-067, SP-071, SP-072, SP-078, SP-079: how connections are not made.
#[test]
fn refused_connections() {
    let end = End::build();
    let alone = end.bound(3);
    assert_eq!(alone.connect(&address(9)), Err(WsaError::WSAETIMEDOUT));
    let listener = end.listener(1);
    assert_eq!(listener.listen(1), Ok(()));
    assert_eq!(listener.accept(|_, _| Condition::Accept).err(), Some(WsaError::WSAEWOULDBLOCK));

    let first = end.connecting(4, 1, 4);
    wait_for("request", || end.is_set(1));
    let second = end.connecting(5, 1, 5);
    assert_eq!(end.outcome(&second, 5), Err(WsaError::WSAECONNREFUSED), "the queue is full");
    assert_eq!(listener.accept(|_, _| Condition::Defer).err(), Some(WsaError::WSATRY_AGAIN));
    let rejected = listener.accept(|caller, callee| {
        assert_eq!((*caller, *callee), (address(4), address(1)));
        Condition::Reject
    });
    assert_eq!(rejected.err(), Some(WsaError::WSAECONNREFUSED));
    assert_eq!(end.outcome(&first, 4), Err(WsaError::WSAECONNREFUSED));

    // SP-172: a listener that closes refuses who waits.
    let third = end.connecting(6, 1, 6);
    wait_for("request", || end.is_set(1));
    assert_eq!(listener.close(), Ok(()));
    assert_eq!(end.outcome(&third, 6), Err(WsaError::WSAECONNREFUSED));
}

/// SP-150..154: a connection moves to another process, and to no other; its peer notices nothing.
#[test]
fn socket_moves() {
    let end = End::build();
    let listener = end.listener(1);
    let (client, server) = end.pair(&listener, 1, 2);
    let mut child = Child::start("adopts", &end);
    let inbox = memory(&[0; 64]);
    let registered = server.register_memory(&inbox, MemoryAccess::ReadWrite).expect("registered");
    let mut pending = server.recv(std::slice::from_ref(&inbox)).expect("posted");
    let info = server.duplicate(child.id(), AF_INET).expect("on its way");
    assert_eq!(result(&mut pending), Ok(Transfer { bytes: 0, flags: 0 }));
    assert_eq!(end.san.adopt(&info).err(), Some(WsaError::WSAENETDOWN), "not for this process");

    let answer = memory(&[0; 64]);
    let posted = client.register_memory(&answer, MemoryAccess::ReadWrite).expect("registered");
    let mut hello = client.recv(std::slice::from_ref(&answer)).expect("posted");
    child.say(&info.dwProviderReserved.to_string());
    assert_eq!(result(&mut hello), Ok(Transfer { bytes: 5, flags: 0 }));
    assert_eq!(contents(&answer)[..5], *b"hello");
    drop(registered);
    assert_eq!(server.close(), Ok(()));
    assert_eq!(receive(&client, &answer), Ok(4), "the close of the old one means nothing");
    assert_eq!(receive(&client, &answer), Err(WsaError::WSAECONNRESET));
    child.ends();
    drop(posted);
}

/// SP-055..061, SP-080: events are recorded once, and set again while requests wait.
#[test]
fn events() {
    let end = End::build();
    let listener = end.bound(1);
    listener.listen(8).expect("listens");
    let first = end.connecting(4, 1, 4);
    let second = end.connecting(5, 1, 5);
    // SP-057: what happened before the registration is told.
    wait_for("request", || {
        listener.event_select(Some(Event::from_raw(1)), EventMask::ACCEPT).expect("selects");
        end.is_set(1)
    });
    let (one, _) = listener.accept(|_, _| Condition::Accept).expect("a request");
    wait_for("the second request", || end.is_set(1));
    let (other, _) = listener.accept(|_, _| Condition::Accept).expect("a request");
    assert!(!end.is_set(1));
    assert_eq!((end.outcome(&first, 4), end.outcome(&second, 5)), (Ok(()), Ok(())));
    let events = first.enum_network_events(Some(Event::from_raw(4))).expect("a record");
    assert_eq!((events.connect, events.accept), (None, None));
    drop((one, other));
}
