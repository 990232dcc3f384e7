//! Requests: modes, the one completion, results. The requests are raw, so that every field can be looked at.

use std::ptr::{null_mut, without_provenance_mut};
use std::sync::{Arc, Mutex};

use wsd_spi::client::UpCallTable;
use wsd_spi::ffi::*;
use wsd_spi::provider::Overlapped;
use wsd_spi::{SPI_VERSION, WsaError};

use crate::support::{
    Kind, Lazy, Lines, Plain, Raw, Switch, call, done, entry, memory, pair, patiently, startup,
};

const PENDING: (i32, i32) = (SOCKET_ERROR, WsaError::WSA_IO_PENDING.code());

/// One receive with everything that has to stay in place.
struct Receive {
    request: Box<WSAOVERLAPPED>,
    data: Box<[u8; 4]>,
}

impl Receive {
    /// Posts a receive whose event is `event`.
    fn post(raw: &Raw, s: SOCKET, event: usize) -> Self {
        let mut request = Box::new(WSAOVERLAPPED::zeroed());
        request.hEvent = without_provenance_mut(event);
        let mut data = Box::new([0; 4]);
        // SP-087: the array is gone when the call returns.
        let mut buffer = WSABUF { len: 4, buf: data.as_mut_ptr().cast() };
        let (mut bytes, mut flags) = (0, 0);
        let recv = raw.procs.lpWSPRecv.expect("filled");
        let posted = call!(
            recv,
            s,
            &raw mut buffer,
            1,
            &raw mut bytes,
            &raw mut flags,
            &raw mut *request,
            None,
            null_mut(),
        );
        assert_eq!(posted, PENDING);
        Self { request, data }
    }

    fn address(&self) -> usize {
        (&raw const *self.request).addr()
    }

    /// `WSPGetOverlappedResult`: return value, error, bytes, flags.
    fn result(&mut self, raw: &Raw, s: SOCKET, wait: BOOL) -> (BOOL, i32, u32, u32) {
        let (mut bytes, mut flags) = (99, 99);
        let get = raw.procs.lpWSPGetOverlappedResult.expect("filled");
        let (done, errno) = call!(get, s, &raw mut *self.request, &raw mut bytes, wait, &raw mut flags);
        (done, errno, bytes, flags)
    }
}

fn send(raw: &Raw, s: SOCKET, message: &[u8], event: usize) -> Box<WSAOVERLAPPED> {
    let mut request = Box::new(WSAOVERLAPPED::zeroed());
    request.hEvent = without_provenance_mut(event);
    let mut buffer = WSABUF { len: message.len() as u32, buf: message.as_ptr().cast_mut().cast() };
    let mut bytes = 0;
    let function = raw.procs.lpWSPSend.expect("filled");
    let sent = call!(function, s, &raw mut buffer, 1, &raw mut bytes, 0, &raw mut *request, None, null_mut());
    assert_eq!(sent, PENDING);
    request
}

/// SP-086, SP-180, SP-183, SP-095, SP-096: a polled request from submission to result.
#[test]
fn polled() {
    let raw = Raw::start(entry!(Plain), SPI_VERSION).expect("it starts");
    let (client, server) = raw.pair();
    let mut receive = Receive::post(&raw, server, 1);
    assert_eq!(receive.request.Internal, WSS_OPERATION_IN_PROGRESS);
    let incomplete = WsaError::WSA_IO_INCOMPLETE.code();
    assert_eq!(receive.result(&raw, server, FALSE), (FALSE, incomplete, 99, 99));
    let sent = send(&raw, client, b"abc", 1);
    assert_ne!(sent.Internal, WSS_OPERATION_IN_PROGRESS);
    assert_ne!(receive.request.Internal, WSS_OPERATION_IN_PROGRESS);
    assert_eq!((receive.request.InternalHigh, receive.request.OffsetHigh), (3, 0));
    assert_eq!(receive.result(&raw, server, FALSE), (TRUE, 0, 3, 0));
    assert_eq!(&*receive.data, b"abc\0");
    assert!(raw.switch.foreign.lock().expect("no panics").is_empty(), "no up-call");
}

/// SP-181, SP-184: a notified request leads to one up-call, with the length; `Internal` is left to it (SP-183).
#[test]
fn notified() {
    let raw = Raw::start(entry!(Plain), SPI_VERSION).expect("it starts");
    let (client, server) = raw.pair();
    let receive = Receive::post(&raw, server, 0);
    assert!(raw.switch.foreign.lock().expect("no panics").is_empty());
    let sent = send(&raw, client, b"abc", 1);
    let calls = raw.switch.foreign.lock().expect("no panics").clone();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].1, calls[0].2, calls[0].3), (receive.address(), Ok(()), 3));
    assert_eq!(receive.request.Internal, WSS_OPERATION_IN_PROGRESS);
    assert_eq!(receive.request.InternalHigh, 3);
    drop(sent);
}

unsafe extern "system" fn never(_: DWORD, _: DWORD, _: LPWSAOVERLAPPED, _: DWORD) {
    panic!("a provider calls no completion routine");
}

/// SP-015: a thread's identifier changes nothing; a completion routine is refused, and nothing is started.
#[test]
fn routine_and_thread() {
    let raw = Raw::start(entry!(Plain), SPI_VERSION).expect("it starts");
    let (client, server) = raw.pair();
    let mut receive = Receive::post(&raw, server, 1);
    let mut request = Box::new(WSAOVERLAPPED::zeroed());
    let mut thread = WSATHREADID { ThreadHandle: without_provenance_mut(usize::MAX), Reserved: usize::MAX };
    let mut buffer = WSABUF { len: 3, buf: b"abc".as_ptr().cast_mut().cast() };
    let function = raw.procs.lpWSPSend.expect("filled");
    let mut send = |routine| {
        let mut bytes = 0;
        let (buffer, request, thread) = (&raw mut buffer, &raw mut *request, &raw mut thread);
        call!(function, client, buffer, 1, &raw mut bytes, 0, request, routine, thread)
    };
    assert_eq!(send(Some(never)), (SOCKET_ERROR, WsaError::WSAEOPNOTSUPP.code()));
    assert!(receive.result(&raw, server, FALSE).0 == FALSE, "nothing was sent");
    assert_eq!(send(None), PENDING);
    assert_eq!(receive.result(&raw, server, FALSE), (TRUE, 0, 3, 0));
    assert_eq!(raw.switch.foreign.lock().expect("no panics").len(), 1, "told as ever");
}

/// SP-182: the mode is that of the submission. An abort is a completion like others.
#[test]
fn mode_and_abort() {
    let raw = Raw::start(entry!(Plain), SPI_VERSION).expect("it starts");
    let (_client, server) = raw.pair();
    let mut polled = Receive::post(&raw, server, 1);
    let mut notified = Receive::post(&raw, server, 0);
    polled.request.hEvent = null_mut();
    notified.request.hEvent = without_provenance_mut(1);
    assert_eq!(call!(raw.procs.lpWSPCloseSocket.expect("filled"), server), (0, 0));
    let aborted = WsaError::WSA_OPERATION_ABORTED;
    assert_eq!(polled.request.OffsetHigh, aborted.code() as u32);
    assert_ne!(polled.request.Internal, WSS_OPERATION_IN_PROGRESS);
    let calls = raw.switch.foreign.lock().expect("no panics").clone();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].1, calls[0].2, calls[0].3), (notified.address(), Err(aborted), 0));
}

/// SP-097: waiting makes progress until the request is complete.
#[test]
fn waiting() {
    let raw = Raw::start(entry!(Lazy), SPI_VERSION).expect("it starts");
    let (client, server) = raw.pair();
    let mut receive = Receive::post(&raw, server, 1);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            Sent(send(&raw, client, b"abcd", 1))
        });
        assert_eq!(receive.result(&raw, server, TRUE), (TRUE, 0, 4, 0));
        sender.join().expect("no panics")
    });
    assert_ne!(sent.0.Internal, WSS_OPERATION_IN_PROGRESS, "progress is made for all");
}

/// A request that changes threads.
struct Sent(Box<WSAOVERLAPPED>);

// SAFETY: its event is only a number.
unsafe impl Send for Sent {}

/// An error of the operation, as against an error of the call (SP-096).
#[test]
fn failed_operation() {
    let raw = Raw::start(entry!(Plain), SPI_VERSION).expect("it starts");
    let (client, server) = raw.pair();
    let mut receive = Receive::post(&raw, server, 1);
    let _sent = send(&raw, client, b"abcdef", 1);
    let too_long = WsaError::WSAEMSGSIZE.code();
    assert_eq!(receive.result(&raw, server, FALSE), (FALSE, too_long, 4, 0));
    let get = raw.procs.lpWSPGetOverlappedResult.expect("filled");
    let (mut bytes, mut flags) = (0, 0);
    let fault = (FALSE, WsaError::WSAEFAULT.code());
    assert_eq!(call!(get, server, null_mut(), &raw mut bytes, FALSE, &raw mut flags), fault);
    let request = &raw mut *receive.request;
    assert_eq!(call!(get, server, request, null_mut(), FALSE, &raw mut flags), fault);
    assert_eq!(call!(get, server, request, &raw mut bytes, FALSE, null_mut()), fault);
}

/// SW-135: success is counted when the completion comes, once; a second completion of a request is not delivered as one.
#[test]
fn completed_twice() {
    let (switch, lines) = (Arc::new(Switch::default()), Arc::new(Lines::default()));
    let san = startup(entry!(Plain), switch.clone(), Some(lines.clone())).expect("it starts");
    let (client, server) = pair(&san, 10);
    server.recv_notified(&[memory(b"....")], 42).expect("connected");
    let mut send = client.send(&[memory(b"ab")]).expect("connected");
    done(&mut send).expect("delivered");
    let handle = server.handle().expect("made");
    assert_eq!(switch.take_completions(), [(handle, 42, Ok(()), 2)]);

    let lines = lines.0.lock().expect("no panics").clone();
    let line = lines.iter().find(|line| line.starts_with("WPUCompleteOverlappedRequest")).expect("traced");
    let address = line.split(", ").nth(1).and_then(|text| text.strip_prefix("0x")).expect("an address");
    let request = usize::from_str_radix(address, 16).expect("hexadecimal");
    let table = patiently(|| UpCallTable::new(switch.clone(), None)).expect("a table");
    let complete = table.table().lpWPUCompleteOverlappedRequest.expect("filled");
    for address in [request, request + 8, 0x1000, 0] {
        assert_eq!(call!(complete, handle.raw(), without_provenance_mut(address), 0, 2), (0, 0));
    }
    assert_eq!(switch.take_completions(), []);
    assert_eq!(switch.foreign.lock().expect("no panics").len(), 4);
}

static KEPT: Mutex<Vec<Overlapped>> = Mutex::new(Vec::new());

struct Hoarding;

impl Kind for Hoarding {
    fn receive(operation: Overlapped) -> Option<Overlapped> {
        KEPT.lock().expect("no panics").push(operation);
        None
    }
}

/// A token that is dropped is completed, unless the last clean-up is over: then no up-call gets through.
#[test]
fn dropped_tokens() {
    let raw = Raw::start(entry!(Hoarding), SPI_VERSION).expect("it starts");
    let (_client, server) = raw.pair();
    let (first, _second) = (Receive::post(&raw, server, 0), Receive::post(&raw, server, 0));
    drop(KEPT.lock().expect("no panics").remove(0));
    let calls = raw.switch.foreign.lock().expect("no panics").clone();
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].1, calls[0].2), (first.address(), Err(WsaError::WSA_OPERATION_ABORTED)));
    assert_eq!(raw.cleanup(), (0, 0));
    KEPT.lock().expect("no panics").clear();
    assert_eq!(raw.switch.foreign.lock().expect("no panics").len(), 1);
}
