//! Operations of a program on a connection that a SAN carries: how their end is told, and how they are cancelled.

use std::ptr;
use std::sync::Mutex;

use wsd_spi::WsaError;
use wsd_spi::ffi::*;

use super::peer::accepted;
use super::{calls, served, traced};
use crate::support::{Apcs, Pending, call, eventually, this_thread, wsabuf};

/// How the provider tells of completions: on a thread of its own, and inside the switch's calls.
const WAYS: [&str; 2] = ["plain", ""];

/// SW-132: several requests of one connection are each told of their own bytes, in the way that each has chosen: an event, a
/// completion routine, a wait for the result, a blocking call.
#[test]
fn matched() {
    for faults in WAYS {
        let trace = traced(served("san_first::operations::matched_itself", faults));
        assert!(
            calls(&trace, "wsd_faulty").any(|call| call.starts_with("WSPAccept(") && call.contains("= 0x"))
        );
    }
}

static TOLD: Mutex<Vec<(usize, u32, u32)>> = Mutex::new(Vec::new());

unsafe extern "system" fn routine(error: DWORD, bytes: DWORD, request: LPWSAOVERLAPPED, _flags: DWORD) {
    TOLD.lock().expect("no panic").push((request.addr(), error, bytes));
}

#[test]
#[ignore = "needs a process of its own: matched runs it"]
fn matched_itself() {
    let (mut peer, socket) = accepted(&std::env::var("WSD_FAULTY").expect("set"));
    let mut by_event = Pending::new(vec![0; 3]);
    assert_eq!(socket.start_recv(&mut by_event, MSG_WAITALL), Ok(None));
    let mut by_routine = [0; 4];
    let (mut buffer, mut flags, mut thread) = (wsabuf(&mut by_routine), MSG_WAITALL, this_thread());
    let mut request = WSAOVERLAPPED::zeroed();
    let answer = call!(
        lpWSPRecv(
            socket.handle,
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
    let mut by_result = Pending::new(vec![0; 5]);
    assert_eq!(socket.start_recv(&mut by_result, MSG_WAITALL), Ok(None));
    peer.begin("later onefourfive.");
    let pointer = &raw mut *by_result.overlapped;
    assert_eq!(socket.overlapped_result(pointer, true), Ok((5, 0)));
    assert_eq!(by_event.finish(&socket), Ok(3));
    eventually("the routine is queued", || (Apcs::run() == 1).then_some(()));
    assert_eq!(*TOLD.lock().expect("no panic"), [((&raw mut request).addr(), 0, 4)]);
    assert_eq!([&by_event.buffer[..], &by_routine, &by_result.buffer], [&b"one"[..], b"four", b"five."]);
    assert_eq!(peer.hear(), "12");
    peer.begin("later six");
    assert_eq!(socket.recv_all(3), b"six");
    assert_eq!(peer.hear(), "3");
}

/// SW-133: completions come on a thread of the provider's, or, from one that can be asked for progress, on the switch's own while it
/// is inside that call; both ways they only leave a note, so that bytes go on moving in both directions.
#[test]
fn completions_on_any_thread() {
    for (faults, is_asked) in WAYS.into_iter().zip([false, true]) {
        let trace = traced(served("san_first::operations::moving_itself", faults));
        let has = |function: &str| calls(&trace, "wsd_faulty").any(|call| call.starts_with(function));
        assert!(has("WPUCompleteOverlappedRequest("), "{trace}");
        assert_eq!(has("WsdArm("), is_asked, "{trace}");
    }
}

#[test]
#[ignore = "needs a process of its own: completions_on_any_thread runs it"]
fn moving_itself() {
    let (mut peer, socket) = accepted(&std::env::var("WSD_FAULTY").expect("set"));
    for _ in 0..20 {
        peer.begin("pour 200000");
        assert_eq!(socket.recv_all(200_000).len(), 200_000);
        assert_eq!(peer.hear(), "200000");
        peer.begin("take 200000");
        assert_eq!(socket.send(&vec![1; 200_000]), Ok(200_000));
        assert_eq!(peer.hear(), "200000");
    }
}

/// SW-152: transfers that are cancelled by closing the socket fail at once, and their memory is the program's again: what it puts
/// there afterwards never reaches the peer.
#[test]
fn cancelled() {
    for faults in WAYS {
        traced(served("san_first::operations::cancelled_itself", faults));
    }
}

#[test]
#[ignore = "needs a process of its own: cancelled runs it"]
fn cancelled_itself() {
    const SIZE: usize = 32 << 20;
    let (mut peer, socket) = accepted(&std::env::var("WSD_FAULTY").expect("set"));
    let mut receive = Pending::new(vec![7; 16]);
    assert_eq!(socket.start_recv(&mut receive, 0), Ok(None));
    let mut send = Pending::new(vec![1; SIZE]);
    assert_eq!(socket.start_send(&mut send), Ok(None));
    assert_eq!(peer.ask("take 100000"), "100000");
    socket.close().expect("a socket");
    for operation in [&send, &receive] {
        assert!(operation.event.is_set());
        assert_eq!(operation.overlapped.OffsetHigh, WsaError::WSA_OPERATION_ABORTED.code().cast_unsigned());
    }
    assert_eq!(receive.buffer, [7; 16]);
    send.buffer.fill(2);
    let drained = peer.ask("drain");
    let (count, bytes) = drained.split_once(' ').expect("count and bytes");
    let count: usize = count.parse().expect("a number");
    assert!(count < SIZE - 100_000 && ["[1]", "[]"].contains(&bytes), "{drained}");
}
