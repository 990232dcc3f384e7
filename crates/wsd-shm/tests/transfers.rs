//! Messages (SP-085..098), completion (SP-180..187), registration (SP-110..115), close (SP-170).

mod support;

use std::slice::from_ref;
use std::task::Poll;

use support::{Side, armed_sides, bytes, connect, memory, result, sides, wait_for};
use wsd_spi::client::{MemoryExt, MemorySlice, Registration, Socket};
use wsd_spi::ffi::SO_DEBUG;
use wsd_spi::{MemoryAccess, WsaError};

/// Registers memory as long as the result is kept.
#[must_use]
fn register(socket: &Socket, memory: &MemorySlice) -> Registration {
    socket.register_memory(memory, MemoryAccess::ReadWrite).expect("registers")
}

fn send(all: &[&Side], socket: &Socket, data: &[u8]) {
    let data = memory(data);
    let registered = socket.register_memory(&data, MemoryAccess::Read).expect("registers");
    let mut sent = socket.send(from_ref(&data)).expect("sends");
    assert_eq!(result(all, &mut sent).map(|sent| sent.bytes as usize), Ok(bytes(&data).len()));
    registered.deregister().expect("not in use any more");
}

/// SP-020, SP-090: boundaries and order, from and into several buffers, with and without the engine's thread.
#[test]
fn messages_keep_boundaries_and_order() {
    for [server, client] in [sides(), armed_sides()] {
        let all = [&server, &client];
        let (accepted, connected) = connect(&server, &client, "127.0.0.1:7001");
        for (to, from) in [(&accepted, &connected), (&connected, &accepted)] {
            let lengths = [1, 0, 100, 65_536, 7, 4096];
            let inbox = memory(&[0; 65_536 * 6]);
            let _kept1 = register(to, &inbox);
            let part = |n: u32, range: std::ops::Range<u32>| {
                inbox.slice(65_536 * n + range.start..65_536 * n + range.end).expect("a part")
            };
            let mut receives: Vec<_> =
                (0..6).map(|n| to.recv(&[part(n, 0..50), part(n, 50..65_536)]).expect("a receive")).collect();
            let data = memory(&(0..65_536).map(|n| (n % 251) as u8).collect::<Vec<_>>());
            let _kept2 = register(from, &data);
            let mut sends: Vec<_> = lengths
                .iter()
                .map(|length| {
                    let (head, tail) = (0..length / 3, length / 3..*length);
                    let pieces = [head, tail].map(|range| data.slice(range).expect("a part"));
                    from.send(&pieces).expect("sends")
                })
                .collect();
            for (n, length) in lengths.iter().enumerate() {
                assert_eq!(result(&all, &mut sends[n]).map(|sent| sent.bytes), Ok(*length));
                assert_eq!(result(&all, &mut receives[n]).map(|got| got.bytes), Ok(*length), "message {n}");
                let got = part(n as u32, 0..*length);
                assert_eq!(bytes(&got), bytes(&data)[..*length as usize]);
            }
        }
    }
}

/// SP-021: messages that arrive before a buffer is posted wait, in order (SP-088); too many end the connection.
#[test]
fn early_messages() {
    let [server, client] = armed_sides();
    let all = [&server, &client];
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:7011");
    for n in 0..100u8 {
        send(&all, &connected, &vec![n; n as usize]);
    }
    let inbox = memory(&[0; 256]);
    let _kept3 = register(&accepted, &inbox);
    for n in 0..100 {
        let mut receive = accepted.recv(from_ref(&inbox)).expect("a receive");
        assert_eq!(result(&all, &mut receive).map(|got| got.bytes), Ok(n));
        assert_eq!(bytes(&inbox)[..n as usize], vec![n as u8; n as usize]);
    }
    let data = memory(&[0; 65_536]);
    let _kept4 = register(&connected, &data);
    wait_for(&all, "overflow", || connected.send(from_ref(&data)).is_err());
    assert_eq!(connected.send(from_ref(&data)).map(drop), Err(WsaError::WSAECONNABORTED));
    // What had arrived is still delivered.
    let big = memory(&[0; 65_536]);
    assert_eq!(accepted.register_memory(&big, MemoryAccess::Write).map(drop), Err(WsaError::WSAENOTCONN));
    assert_eq!(accepted.send(from_ref(&inbox)).map(drop), Err(WsaError::WSAECONNABORTED));
}

/// More than the kernel's buffers hold, towards a peer that does not read for a while: nothing is lost, and other
/// connections of the pair go on afterwards.
#[test]
fn full_buffers() {
    let [server, client] = armed_sides();
    let all = [&server, &client];
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:7021");
    let (other, other_end) = connect(&server, &client, "127.0.0.1:7022");
    let data = memory(&[7; 65_536]);
    let _kept5 = register(&connected, &data);
    let mut sends: Vec<_> = (0..40).map(|_| connected.send(from_ref(&data)).expect("sends")).collect();
    (0..20).for_each(|_| client.step());
    assert_eq!(sends[39].poll(), Poll::Pending, "the kernel holds less");
    let inbox = memory(&vec![0; 40 * 65_536]);
    let _kept6 = register(&accepted, &inbox);
    let mut receives: Vec<_> = (0..40)
        .map(|n| {
            let part = inbox.slice(n * 65_536..(n + 1) * 65_536).expect("a part");
            accepted.recv(from_ref(&part)).expect("a receive")
        })
        .collect();
    send(&all, &other_end, b"between");
    for operation in sends.iter_mut().chain(&mut receives) {
        assert_eq!(result(&all, operation).map(|done| done.bytes), Ok(65_536));
    }
    assert!(bytes(&inbox).iter().all(|byte| *byte == 7));
    let inbox = memory(&[0; 7]);
    let _kept7 = register(&other, &inbox);
    let mut receive = other.recv(from_ref(&inbox)).expect("a receive");
    assert_eq!(result(&all, &mut receive).map(|got| got.bytes), Ok(7));
}

/// SP-085, SP-089, SP-092, SP-110, SP-111, SP-114.
#[test]
fn registration_and_sizes() {
    let [server, client] = armed_sides();
    let all = [&server, &client];
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:7031");
    let (other, _other_end) = connect(&server, &client, "127.0.0.1:7032");
    let data = memory(&vec![1; 70_000]);
    let part = data.slice(100..200).expect("a part");
    assert_eq!(accepted.send(from_ref(&part)).map(drop), Err(WsaError::WSAEFAULT), "not registered");
    let readable = accepted.register_memory(&part, MemoryAccess::Read).expect("registers");
    assert_eq!(other.send(from_ref(&part)).map(drop), Err(WsaError::WSAEFAULT), "SP-111: another socket");
    assert_eq!(accepted.recv(from_ref(&part)).map(drop), Err(WsaError::WSAEFAULT), "not for writing");
    for range in [99..150, 150..201] {
        let outside = data.slice(range).expect("a part");
        assert_eq!(accepted.send(from_ref(&outside)).map(drop), Err(WsaError::WSAEFAULT));
    }
    let inside = data.slice(120..130).expect("a part");
    let mut sent = accepted.send(from_ref(&inside)).expect("sends");
    assert_eq!(result(&all, &mut sent).map(|sent| sent.bytes), Ok(10));

    // Twice the same memory: each registration counts (SP-111).
    let again = accepted.register_memory(&part, MemoryAccess::ReadWrite).expect("registers");
    let mut receive = accepted.recv(from_ref(&inside)).expect("a receive");
    let table = accepted_deregister(&server, &accepted, again.handle().raw());
    assert_eq!(table, Err(WsaError::WSAEINVAL), "SP-114: in use");
    let table = accepted_deregister(&server, &other, readable.handle().raw());
    assert_eq!(table, Err(WsaError::WSAEINVAL), "SP-114: another socket's");
    readable.deregister().expect("not in use");
    assert_eq!(receive.poll(), Poll::Pending);
    let sent = accepted.send(from_ref(&inside)).map(drop);
    assert_eq!(sent, Ok(()), "the other registration stands");

    let whole = accepted.register_memory(&data, MemoryAccess::ReadWrite).expect("registers");
    let long = data.slice(0..65_537).expect("a part");
    assert_eq!(accepted.send(from_ref(&long)).map(drop), Err(WsaError::WSAEMSGSIZE), "SP-089");
    // SP-092.
    send(&all, &connected, &[3; 11]);
    assert_eq!(result(&all, &mut receive).map(drop), Err(WsaError::WSAEMSGSIZE));
    wait_for(&all, "protocol error", || accepted.send(from_ref(&inside)).is_err());
    wait_for(&all, "protocol error", || {
        connected.register_memory(&data, MemoryAccess::Read).map(drop) == Err(WsaError::WSAENOTCONN)
    });
    whole.deregister().expect("in state BROKEN, too");
    let late = accepted_deregister(&server, &accepted, 1 << 40);
    assert_eq!(late, Err(WsaError::WSAEINVAL));
}

/// WSPDeregisterMemory with any handle.
fn accepted_deregister(side: &Side, socket: &Socket, handle: usize) -> Result<(), WsaError> {
    let mut errno = 0;
    let function = side.san.table().extensions.deregister_memory;
    let handle = std::ptr::without_provenance_mut(handle);
    // SAFETY: the provider checks handles; `errno` is valid.
    let result = unsafe { function(socket.descriptor().raw(), handle, &raw mut errno) };
    if result == 0 { Ok(()) } else { Err(WsaError::reported(errno)) }
}

/// SP-170, SP-180, SP-181, SP-187: close completes what is pending, once, in order, before the handle goes; the peer's
/// receives are reset after what had been sent.
#[test]
fn closing() {
    let [server, client] = armed_sides();
    let all = [&server, &client];
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:7041");
    let inbox = memory(&[0; 16]);
    let _kept8 = register(&accepted, &inbox);
    let _kept9 = register(&connected, &inbox);
    for key in 0..10 {
        accepted.recv_notified(from_ref(&inbox), key).expect("a receive");
    }
    let mut polled = accepted.recv(from_ref(&inbox)).expect("a receive");
    let mut peers: Vec<_> = (0..3).map(|_| connected.recv(from_ref(&inbox)).expect("a receive")).collect();
    let last = inbox.slice(0..5).expect("a part");
    accepted.send_notified(from_ref(&last), 100).expect("sends");
    let handle = accepted.handle().expect("a handle");
    let descriptor = accepted.descriptor().raw();
    accepted.close().expect("closes");
    let completed = server.upcalls.completed.lock().expect("a lock").clone();
    let mut expected = vec![(handle, 100, Ok(()), 5)];
    expected.extend((0..10).map(|key| (handle, key, Err(WsaError::WSA_OPERATION_ABORTED), 0)));
    assert_eq!(completed, expected);
    assert_eq!(polled.poll(), Poll::Ready(Err(WsaError::WSA_OPERATION_ABORTED)));
    wait_for(&all, "listener's and accepted handle", || server.upcalls.open_handles() == 0);
    assert_eq!(result(&all, &mut peers[0]).map(|got| got.bytes), Ok(5), "sent before the close");
    for receive in &mut peers[1..] {
        assert_eq!(result(&all, receive).map(drop), Err(WsaError::WSAECONNRESET));
    }
    assert_eq!(connected.recv(from_ref(&inbox)).map(drop), Err(WsaError::WSAECONNRESET), "SP-093");
    assert_eq!(connected.send(from_ref(&inbox)).map(drop), Err(WsaError::WSAECONNRESET), "SP-093");
    // SP-013: the closed descriptor, and one that never was.
    for descriptor in [descriptor, 0, 1 << 40] {
        let mut errno = 0;
        let close = server.san.table().procs.lpWSPCloseSocket.expect("an entry");
        // SAFETY: the provider checks descriptors; `errno` is valid.
        assert_eq!(unsafe { close(descriptor, &raw mut errno) }, -1);
        assert_eq!(WsaError::reported(errno), WsaError::WSAENOTSOCK);
    }
}

/// SP-181: notified completions carry handle, key, status and length.
#[test]
fn notifications() {
    for [server, client] in [sides(), armed_sides()] {
        let all = [&server, &client];
        let (accepted, connected) = connect(&server, &client, "127.0.0.1:7051");
        let inbox = memory(&[0; 600]);
        let _kept10 = register(&accepted, &inbox);
        for key in 0..50 {
            accepted.recv_notified(from_ref(&inbox), key).expect("a receive");
        }
        for n in 0..50 {
            send(&all, &connected, &vec![0; n * 10]);
        }
        let handle = accepted.handle().expect("a handle");
        wait_for(&all, "completions", || server.upcalls.completed.lock().expect("a lock").len() == 50);
        for (n, completed) in server.upcalls.completed.lock().expect("a lock").iter().enumerate() {
            assert_eq!(*completed, (handle, n as u64, Ok(()), n as u32 * 10));
        }
    }
}

/// Section 13, column by column, for what needs a connection (SP-112), and options, which do not (SP-050).
#[test]
fn states() {
    let [side] = sides();
    let data = memory(&[0; 8]);
    let fresh = side.socket();
    let bound = side.bound("127.0.0.1:7061");
    let listening = side.listener("127.0.0.1:7062", 1);
    let connecting = side.connecting("127.0.0.1:7063", "127.0.0.1:7062", 2);
    for socket in [&fresh, &bound, &listening, &connecting] {
        let not_connected = Err(WsaError::WSAENOTCONN);
        assert_eq!(socket.register_memory(&data, MemoryAccess::Read).map(drop), not_connected);
        assert_eq!(socket.register_rdma_memory(&data, MemoryAccess::Read).map(drop), not_connected);
        assert_eq!(socket.send(from_ref(&data)).map(drop), not_connected);
        assert_eq!(socket.recv(from_ref(&data)).map(drop), not_connected);
        assert_eq!(socket.allocate(4096).map(drop), not_connected);
        assert_eq!(accepted_deregister(&side, socket, 5), Err(WsaError::WSAEINVAL));
        let kind = socket.descriptor();
        let expected = if kind == listening.descriptor() { None } else { Some(WsaError::WSAENOTCONN) };
        assert_eq!(socket.duplicate(1, 2).err(), expected);
        assert!(socket.address_list().is_ok());
        assert_eq!(socket.get_option_u32(SO_DEBUG), Ok(0));
    }
    data.write(0, b"12345678");
}
