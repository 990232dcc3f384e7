//! Overlapped operations: how their end is told, and in which order.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use crate::support::{Apcs, Event, Pending, Socket, call, connected_pair, eventually, this_thread, wsabuf};

/// SP-086, SP-183: pending until data comes; `Internal` says so; then event, byte count and result.
#[test]
fn receive_is_pending_until_data_comes() {
    let (client, server) = connected_pair();
    let mut receive = Pending::new(vec![0; 16]);
    assert_eq!(server.start_recv(&mut receive, 0), Ok(None));
    assert_eq!(receive.overlapped.Internal, WSS_OPERATION_IN_PROGRESS);
    let request = &raw mut *receive.overlapped;
    assert_eq!(server.overlapped_result(request, false), Err(WsaError::WSA_IO_INCOMPLETE));
    assert!(!receive.event.is_set());
    assert_eq!(client.send(b"word"), Ok(4));
    assert_eq!(receive.finish(&server), Ok(4));
    assert_eq!(&receive.buffer[..4], b"word");
    assert_eq!(receive.overlapped.InternalHigh, 4);
}

/// An operation that is done at once is told all the same: event and result.
#[test]
fn done_at_once() {
    let (client, server) = connected_pair();
    let mut send = Pending::new(b"now".to_vec());
    assert_eq!(client.start_send(&mut send), Ok(Some(3)));
    assert!(send.event.is_set());
    assert_eq!(client.overlapped_result(&raw mut *send.overlapped, false), Ok((3, 0)));
    assert_eq!(server.recv_all(3), b"now");
}

/// SP-097: waiting for the result of a request that has an event; one without cannot be waited for.
#[test]
fn waiting_for_a_result() {
    let (client, server) = connected_pair();
    let mut receive = Pending::new(vec![0; 4]);
    assert_eq!(server.start_recv(&mut receive, 0), Ok(None));
    let request = &raw mut *receive.overlapped;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(30));
            assert_eq!(client.send(b"late"), Ok(4));
        });
        assert_eq!(server.overlapped_result(request, true), Ok((4, 0)));
    });
    receive.overlapped.hEvent = ptr::null_mut();
    assert_eq!(server.start_recv(&mut receive, 0), Ok(None));
    let request = &raw mut *receive.overlapped;
    assert_eq!(server.overlapped_result(request, true), Err(WsaError::WSA_INVALID_HANDLE));
    server.close().expect("a socket");
    // The engine may still be at the first request: it tells the end of the second one, whose memory is ours only then.
    // SAFETY: valid and aligned; the field is written as an atomic until the request has ended.
    let internal = unsafe { AtomicUsize::from_ptr(&raw mut (*request).Internal) };
    eventually("an end", || (internal.load(Ordering::Acquire) != WSS_OPERATION_IN_PROGRESS).then_some(()));
}

/// A thousand receives and a thousand sends on one connection: each receive gets its bytes in the order in which they were
/// posted, whatever was pending when (SP-187).
#[test]
fn a_thousand_of_each_in_order() {
    const COUNT: usize = 1000;
    const SIZE: usize = 1500;
    let (client, server) = connected_pair();
    let block = |number: usize| (0..SIZE).map(|byte| (number * 7 + byte) as u8).collect::<Vec<_>>();
    let mut receives: Vec<Pending> = (0..COUNT).map(|_| Pending::new(vec![0; SIZE])).collect();
    for receive in &mut receives {
        assert_eq!(server.start_recv(receive, MSG_WAITALL), Ok(None));
    }
    let mut sends: Vec<Pending> = (0..COUNT).map(|number| Pending::new(block(number))).collect();
    for send in &mut sends {
        client.start_send(send).expect("connected");
    }
    for (number, receive) in receives.iter_mut().enumerate() {
        assert_eq!(receive.finish(&server), Ok(SIZE));
        assert!(receive.buffer == block(number), "receive {number} got another's bytes");
    }
    for send in &mut sends {
        assert_eq!(send.finish(&client), Ok(SIZE));
    }
}

/// A send that is larger than all buffers stays pending until the peer takes it, then is complete as a whole.
#[test]
fn large_send_is_complete_as_a_whole() {
    const SIZE: usize = 32 << 20;
    let (client, server) = connected_pair();
    let data: Vec<u8> = (0..SIZE).map(|byte| (byte / 3) as u8).collect();
    let mut send = Pending::new(data.clone());
    assert_eq!(client.start_send(&mut send), Ok(None));
    // In line behind it, though there is room for three bytes now and then.
    let mut next = Pending::new(b"end".to_vec());
    assert_eq!(client.start_send(&mut next), Ok(None));
    assert!(server.recv_all(SIZE) == data);
    assert_eq!(server.recv_all(3), b"end");
    assert_eq!(send.finish(&client), Ok(SIZE));
    assert_eq!(next.finish(&client), Ok(3));
}

/// Several buffers are one stream, also when they are filled in parts.
#[test]
fn scattered_buffers() {
    let (client, server) = connected_pair();
    let (mut a, mut b, mut c) = (*b"one ", *b"two ", *b"three");
    let mut parts = [wsabuf(&mut a), wsabuf(&mut b), wsabuf(&mut c)];
    let mut sent = 0;
    let none = ptr::null_mut::<WSAOVERLAPPED>();
    let thread = ptr::null_mut::<WSATHREADID>();
    call!(
        lpWSPSend(client.handle, parts.as_mut_ptr(), 3, &raw mut sent, 0, none, None, thread),
        SOCKET_ERROR
    )
    .expect("connected");
    assert_eq!(sent, 13);
    let (mut head, mut tail) = ([0; 6], [0; 7]);
    let mut parts = [wsabuf(&mut head), wsabuf(&mut tail)];
    let (mut received, mut flags) = (0, MSG_WAITALL);
    call!(
        lpWSPRecv(
            server.handle,
            parts.as_mut_ptr(),
            2,
            &raw mut received,
            &raw mut flags,
            none,
            None,
            thread
        ),
        SOCKET_ERROR
    )
    .expect("connected");
    assert_eq!((received, &head, &tail), (13, b"one tw", b"o three"));
}

/// SP-170: closing ends what is pending with `WSA_OPERATION_ABORTED`, before the descriptor goes back.
#[test]
fn close_aborts_what_is_pending() {
    let (_client, server) = connected_pair();
    let mut receives: Vec<Pending> = (0..3).map(|_| Pending::new(vec![0; 4])).collect();
    for receive in &mut receives {
        assert_eq!(server.start_recv(receive, 0), Ok(None));
    }
    server.close().expect("a socket");
    for receive in &receives {
        assert!(receive.event.is_set());
        assert_eq!(receive.overlapped.OffsetHigh, WsaError::WSA_OPERATION_ABORTED.code().cast_unsigned());
        assert_ne!(receive.overlapped.Internal, WSS_OPERATION_IN_PROGRESS);
    }
}

/// A pending receive ends with 0 bytes at the end of the stream, and with the error when the connection is reset.
#[test]
fn pending_receive_meets_the_end() {
    let (client, server) = connected_pair();
    let mut receive = Pending::new(vec![0; 4]);
    assert_eq!(server.start_recv(&mut receive, 0), Ok(None));
    client.shutdown(SD_SEND).expect("connected");
    assert_eq!(receive.finish(&server), Ok(0));

    let (client, server) = connected_pair();
    assert_eq!(server.start_recv(&mut receive, 0), Ok(None));
    receive.event.reset();
    client.set_option(SOL_SOCKET, SO_LINGER, LINGER { l_onoff: 1, l_linger: 0 }).expect("an option");
    client.close().expect("a socket");
    assert_eq!(receive.finish(&server), Err(WsaError::WSAECONNRESET));
}

/// A receive of nothing waits for data and takes none.
#[test]
fn empty_receive_waits() {
    let (client, server) = connected_pair();
    let mut receive = Pending::new(Vec::new());
    assert_eq!(server.start_recv(&mut receive, 0), Ok(None));
    client.send(b"x").expect("connected");
    assert_eq!(receive.finish(&server), Ok(0));
    assert_eq!(server.recv(4), Ok(b"x".to_vec()));
}

/// A blocking receive waits its turn behind pending ones.
#[test]
fn blocking_behind_pending() {
    let (client, server) = connected_pair();
    let mut receive = Pending::new(vec![0; 2]);
    assert_eq!(server.start_recv(&mut receive, MSG_WAITALL), Ok(None));
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| server.recv(2));
        client.send(b"ab").expect("connected");
        assert_eq!(receive.finish(&server), Ok(2));
        client.send(b"cd").expect("connected");
        assert_eq!(blocked.join().expect("no panic"), Ok(b"cd".to_vec()));
    });
    assert_eq!(receive.buffer, b"ab");
}

static ROUTINES: std::sync::Mutex<Vec<(usize, u32, u32)>> = std::sync::Mutex::new(Vec::new());

unsafe extern "system" fn routine(error: DWORD, bytes: DWORD, request: LPWSAOVERLAPPED, _flags: DWORD) {
    ROUTINES.lock().expect("no panic").push((request.addr(), error, bytes));
}

/// A completion routine runs in the thread that asked for it, once per operation, by WPUQueueApc; `hEvent` is the
/// program's own then.
#[test]
fn completion_routines() {
    let (client, server) = connected_pair();
    let event = Event::new();
    let mut thread = this_thread();
    let mut data = [0; 4];
    let mut request = WSAOVERLAPPED { hEvent: event.handle(), ..WSAOVERLAPPED::zeroed() };
    let (mut buffer, mut flags) = (wsabuf(&mut data), 0);
    let answer = call!(
        lpWSPRecv(
            server.handle,
            &raw mut buffer,
            1,
            ptr::null_mut(),
            &raw mut flags,
            &raw mut request,
            Some(routine),
            &raw mut thread
        ),
        SOCKET_ERROR
    );
    assert_eq!(answer, Err(WsaError::WSA_IO_PENDING));
    assert_eq!(Apcs::run(), 0);
    client.send(b"data").expect("connected");
    eventually("the routine is queued", || (Apcs::run() == 1).then_some(()));
    let told: Vec<_> = ROUTINES.lock().expect("no panic").drain(..).collect();
    assert_eq!(told, [((&raw mut request).addr(), 0, 4)]);
    assert!(!event.is_set());
    assert_eq!(&data, b"data");
    // A routine needs a thread to run in.
    let none = ptr::null_mut::<WSATHREADID>();
    let answer = call!(
        lpWSPRecv(
            server.handle,
            &raw mut buffer,
            1,
            ptr::null_mut(),
            &raw mut flags,
            &raw mut request,
            Some(routine),
            none
        ),
        SOCKET_ERROR
    );
    assert_eq!(answer, Err(WsaError::WSAEINVAL));
}

/// A socket that was not made for overlapped operations blocks, whatever it is passed.
#[test]
fn not_overlapped() {
    let socket = Socket::open(AF_INET, SOCK_DGRAM, 0, ptr::null_mut(), 0).expect("a socket");
    socket.bind(crate::support::loopback(0)).expect("a free port");
    let limit: INT = 50;
    socket.set_option(SOL_SOCKET, SO_RCVTIMEO, limit).expect("an option");
    let mut receive = Pending::new(vec![0; 4]);
    assert_eq!(socket.start_recv(&mut receive, 0), Err(WsaError::WSAETIMEDOUT));
}
