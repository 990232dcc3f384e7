//! The client with a well-behaved provider.

use std::sync::Arc;
use std::task::Poll;

use crate::support::{
    Lazy, Lines, Plain, Switch, address, contents, done, entry, listener, memory, pair, socket, start,
    startup,
};
use wsd_spi::client::{MemoryExt, Remote, StableMemory, Transfer};
use wsd_spi::ffi::{AF_INET, AF_INET6, SO_DEBUG, SO_MAX_MSG_SIZE, SOL_SOCKET};
use wsd_spi::{Condition, ExtensionFunction, MemoryAccess, NetworkEvents, WsaError};

#[test]
fn what_a_provider_says_about_itself() {
    let (san, _) = start(entry!(Plain));
    assert_eq!(san.description(), "connects sockets of one process");
    assert_eq!(san.high_version(), 0x0202);
    assert!(san.has(ExtensionFunction::RegisterMemory));
    assert!(san.has(ExtensionFunction::RdmaRead));
    assert!(!san.has(ExtensionFunction::MemoryRegistrationCacheCallback));
    assert_eq!(san.memory_is_changing(0x1000, 0x1000), Ok(()));
    assert_eq!(san.cleanup(), Some(Ok(())));
}

/// SP-102: ports are 0 and the addresses are those of the provider, in the layout that the client decodes.
#[test]
fn address_list() {
    let (san, _) = start(entry!(Plain));
    assert_eq!(socket(&san).address_list(), Ok(vec![address(0), address(0)]));
}

/// SP-076: the condition function sees both addresses; handles of the switch belong to their sockets.
#[test]
fn a_connection() {
    let (san, switch) = start(entry!(Plain));
    let listener = listener(&san, 10);
    let client = socket(&san);
    client.bind(&address(11)).expect("an own address");
    assert_eq!(client.connect(&address(10)), Err(WsaError::WSAEWOULDBLOCK));
    let events = listener.enum_network_events(None);
    assert_eq!(events, Ok(NetworkEvents { accept: Some(Ok(())), connect: None }));
    let mut asked = Vec::new();
    let result = listener.accept(|caller, callee| {
        asked.push((*caller, *callee));
        Condition::Defer
    });
    assert_eq!(result.expect_err("deferred"), WsaError::WSATRY_AGAIN);
    assert_eq!(asked, [(address(11), address(10))]);
    let (server, peer) = listener.accept(|_, _| Condition::Accept).expect("still queued");
    assert_eq!(peer, address(11));
    assert_eq!(listener.accept(|_, _| Condition::Accept).expect_err("none left"), WsaError::WSAEWOULDBLOCK);

    assert_eq!(switch.open_handles(), 3);
    let handle = server.handle().expect("made in the accept");
    assert_ne!(server.handle(), client.handle());
    server.close().expect("an open socket");
    assert_eq!(*switch.closed.lock().expect("no panics"), [handle]);
    drop((client, listener));
    assert_eq!(switch.open_handles(), 0);
}

/// A rejection reaches both ends. A condition function that panics rejects.
#[test]
fn a_refused_connection() {
    let (san, _) = start(entry!(Plain));
    let listener = listener(&san, 10);
    for panics in [false, true] {
        let client = socket(&san);
        client.bind(&address(11)).expect("an own address");
        assert_eq!(client.connect(&address(10)), Err(WsaError::WSAEWOULDBLOCK));
        let result = listener.accept(|_, _| {
            assert!(!panics, "asked to panic");
            Condition::Reject
        });
        assert_eq!(result.expect_err("rejected"), WsaError::WSAECONNREFUSED);
        let events = client.enum_network_events(None).expect("an open socket");
        assert_eq!(events.connect, Some(Err(WsaError::WSAECONNREFUSED)));
    }
}

#[test]
fn messages_by_polling() {
    let (san, switch) = start(entry!(Plain));
    let (client, server) = pair(&san, 10);
    let target = memory(&[0; 8]);
    let mut receive = server.recv(std::slice::from_ref(&target)).expect("a connected socket");
    assert_eq!(receive.poll(), Poll::Pending);
    let mut send = client.send(&[memory(b"abc"), memory(b"de")]).expect("a connected socket");
    assert_eq!(done(&mut send), Ok(Transfer { bytes: 5, flags: 0 }));
    assert_eq!(done(&mut receive), Ok(Transfer { bytes: 5, flags: 0 }));
    assert_eq!(done(&mut receive), Ok(Transfer { bytes: 5, flags: 0 }), "the result stays");
    assert_eq!(contents(&target), b"abcde\0\0\0");
    // SP-180: no notification of polled requests.
    assert_eq!(switch.take_completions(), []);
}

/// SP-181: a notified request is reported once, with the switch's handle, the status and the length (SP-184).
#[test]
fn messages_by_notification() {
    let (san, switch) = start(entry!(Plain));
    let (client, server) = pair(&san, 10);
    let target = memory(&[0; 8]);
    server.recv_notified(std::slice::from_ref(&target), 7).expect("a connected socket");
    assert_eq!(switch.take_completions(), []);
    client.send_notified(&[memory(b"abc")], 8).expect("a connected socket");
    let (client_handle, server_handle) = (client.handle().expect("made"), server.handle().expect("made"));
    assert_eq!(switch.take_completions(), [(server_handle, 7, Ok(()), 3), (client_handle, 8, Ok(()), 3)]);
    assert_eq!(contents(&target), b"abc\0\0\0\0\0");
}

/// A refused request is neither pending nor reported.
#[test]
fn refused_requests() {
    let (san, switch) = start(entry!(Plain));
    let (client, _server) = pair(&san, 10);
    let long = memory(&[0; 2000]);
    assert_eq!(client.send(std::slice::from_ref(&long)).expect_err("too long"), WsaError::WSAEMSGSIZE);
    assert_eq!(client.send_notified(&[long], 1).expect_err("too long"), WsaError::WSAEMSGSIZE);
    let many = vec![memory(b"x"); 5];
    assert_eq!(client.send(&many).expect_err("too many"), WsaError::WSAEINVAL);
    assert_eq!(socket(&san).recv(&[memory(b"x")]).expect_err("not connected"), WsaError::WSAENOTCONN);
    drop(client);
    assert_eq!(switch.take_completions(), []);
}

/// SP-095: asking for a result makes progress. So does `WsdProgress`.
#[test]
fn progress() {
    let (san, switch) = start(entry!(Lazy));
    let (client, server) = pair(&san, 10);
    let mut send = client.send(&[memory(b"abc")]).expect("a connected socket");
    assert_eq!(done(&mut send), Ok(Transfer { bytes: 3, flags: 0 }));
    server.recv_notified(&[memory(b"abc")], 1).expect("a connected socket");
    assert_eq!(switch.take_completions(), []);
    assert_eq!(san.arm(), Ok(0));
    assert_eq!(san.progress(), Ok(()));
    assert_eq!(switch.take_completions(), [(server.handle().expect("made"), 1, Ok(()), 3)]);
}

/// SW-162: at a close polled requests complete in place and notified ones by up-call, before the handle is closed.
#[test]
fn close_with_pending_receives() {
    let (san, switch) = start(entry!(Plain));
    let (client, server) = pair(&san, 10);
    let mut polled = server.recv(&[memory(b"x")]).expect("a connected socket");
    server.recv_notified(&[memory(b"x")], 5).expect("a connected socket");
    let mut peer = client.recv(&[memory(b"x")]).expect("a connected socket");
    let handle = server.handle().expect("made");
    server.close().expect("an open socket");
    assert_eq!(done(&mut polled), Err(WsaError::WSA_OPERATION_ABORTED));
    assert_eq!(switch.take_completions(), [(handle, 5, Err(WsaError::WSA_OPERATION_ABORTED), 0)]);
    assert_eq!(done(&mut peer), Err(WsaError::WSAECONNRESET));
    assert_eq!(server.close(), Err(WsaError::WSAENOTSOCK));
    assert_eq!(server.listen(1), Err(WsaError::WSAENOTSOCK));
}

/// An operation that is dropped goes on; its memory lives until it is complete.
#[test]
fn a_dropped_operation() {
    let (san, _) = start(entry!(Plain));
    let (client, server) = pair(&san, 10);
    let target = memory(b"...");
    let operation = server.recv(std::slice::from_ref(&target)).expect("a connected socket");
    let weak = Arc::downgrade(target.memory());
    drop((operation, target));
    assert!(weak.upgrade().is_some(), "the provider may still write to it");
    done(&mut client.send(&[memory(b"abc")]).expect("a connected socket")).expect("delivered");
    // Another test may be reaping at the same moment.
    for _ in 0..10_000 {
        wsd_spi::client::reap();
        if weak.upgrade().is_none() {
            break;
        }
        std::thread::yield_now();
    }
    assert!(weak.upgrade().is_none(), "the provider is done with it");
    assert_eq!(san.cleanup(), None, "sockets are left");
}

#[test]
fn rdma() {
    let (san, switch) = start(entry!(Plain));
    let (client, server) = pair(&san, 10);
    assert_eq!(server.rdma_descriptor_length(), Ok(8));
    let remote_memory = memory(b"0123456789");
    let remote = server.register_rdma_memory(&remote_memory, MemoryAccess::ReadWrite).expect("connected");
    let local = client.register_memory(&memory(b"abcdef"), MemoryAccess::ReadWrite).expect("connected");
    let descriptor = remote.descriptor().to_vec();
    let at = |offset| Remote { descriptor: &descriptor, offset };

    let segments = [local.segment(4..6).expect("within"), local.segment(0..1).expect("within")];
    let mut write = client.rdma_write(&segments, at(2)).expect("connected");
    assert_eq!(done(&mut write), Ok(Transfer { bytes: 3, flags: 0 }));
    assert_eq!(contents(&remote_memory), b"01efa56789");
    client.rdma_read_notified(&[local.segment(0..6).expect("within")], at(4), 3).expect("connected");
    assert_eq!(switch.take_completions(), [(client.handle().expect("made"), 3, Ok(()), 6)]);
    assert_eq!(contents(local.memory()), b"a56789");

    let bad = Remote { descriptor: &descriptor[1..], offset: 0 };
    assert_eq!(client.rdma_write(&segments, bad).expect_err("descriptor is short"), WsaError::WSAEINVAL);
    let mut beyond = client.rdma_write(&segments, at(8)).expect("connected");
    assert_eq!(done(&mut beyond), Err(WsaError::WSAECONNABORTED));
    assert!(local.segment(5..7).is_none());
    assert_eq!(local.deregister(), Ok(()));
    assert_eq!(remote.deregister(), Ok(()));
    assert_eq!(client.rdma_write(&segments, at(0)).expect_err("not registered"), WsaError::WSAEFAULT);
}

#[test]
fn shared_memory() {
    let (san, _) = start(entry!(Plain));
    let (client, server) = pair(&san, 10);
    let ours = server.allocate(5000).expect("connected");
    assert_eq!(ours.as_ptr().as_ptr() as usize % 4096, 0);
    let theirs = client.map(ours.descriptor().expect("allocated here")).expect("the peer's");
    assert_eq!(client.map(b"unknown!").expect_err("not the peer's"), WsaError::WSAEINVAL);
    ours.write(4990, b"abc");
    let mut seen = [0; 3];
    theirs.read(4990, &mut seen);
    assert_eq!(&seen, b"abc");
    theirs.atomic_u64(8).store(9, std::sync::atomic::Ordering::Release);
    assert_eq!(ours.atomic_u32(8).load(std::sync::atomic::Ordering::Acquire), 9);
}

#[test]
fn options() {
    let (san, _) = start(entry!(Plain));
    let s = socket(&san);
    assert_eq!(s.get_option_u32(SO_MAX_MSG_SIZE), Ok(1024));
    s.set_option(SOL_SOCKET, SO_DEBUG, &1u32.to_ne_bytes()).expect("a known option");
    assert_eq!(s.get_option_u32(SO_DEBUG), Ok(1));
    assert_eq!(s.get_option(SOL_SOCKET, SO_DEBUG, 16).map(|value| value.len()), Ok(4));
    // SP-051: too small a buffer.
    assert_eq!(s.get_option(SOL_SOCKET, SO_DEBUG, 3), Err(WsaError::WSAEFAULT));
    assert_eq!(s.get_qos_by_name("gold").err(), Some(WsaError::WSAEOPNOTSUPP));
    assert_eq!(s.ioctl(0x1234, &[], 16), Err(WsaError::WSAEINVAL));
    assert_eq!(
        san.socket(&wsd_spi::client::SocketArguments::tcp(AF_INET6)).expect_err("IPv4 only"),
        WsaError::WSAEAFNOSUPPORT
    );
}

#[test]
fn hand_over() {
    let (san, _) = start(entry!(Plain));
    let (client, _server) = pair(&san, 10);
    let info = client.duplicate(1234, AF_INET).expect("connected");
    assert_eq!(info.dwProviderReserved as usize, client.descriptor().raw());
    let adopted = san.adopt(&info).expect("usable once");
    assert_eq!(adopted.descriptor(), client.descriptor());
    assert_eq!(adopted.handle(), None, "the provider made no new handle");
    adopted.close().expect("open");
}

/// Up-calls that fail or panic do not get lost and do no harm.
#[test]
fn a_switch_in_trouble() {
    let (san, switch) = start(entry!(Plain));
    let arguments = wsd_spi::client::SocketArguments::tcp(AF_INET);
    switch.refuse_handles.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(san.socket(&arguments).expect_err("no handle"), WsaError::WSAENOBUFS);
    switch.panic.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(san.socket(&arguments).expect_err("no handle"), WsaError::WSASYSCALLFAILURE);
}

/// One line per call and up-call.
#[test]
fn a_trace() {
    let switch = Arc::new(Switch::default());
    let lines = Arc::new(Lines::default());
    let san = startup(entry!(Plain), switch, Some(lines.clone())).expect("it starts");
    drop(socket(&san));
    drop(san);
    let lines = lines.0.lock().expect("no panics").clone();
    let names: Vec<_> = lines.iter().map(|line| line.split('(').next().expect("a name")).collect();
    let mut expected = vec!["WSPStartupEx"];
    expected.extend(["WSPIoctl"; 13]);
    expected.extend([
        "WPUCreateSocketHandle",
        "WSPSocket",
        "WPUCloseSocketHandle",
        "WSPCloseSocket",
        "WSPCleanup",
    ]);
    assert_eq!(names, expected);
    assert!(lines[0].ends_with(" = 0"), "{}", lines[0]);
    assert!(lines.iter().any(|line| line.ends_with("WSPMemoryRegistrationCacheCallback) = WSAEOPNOTSUPP")));
}

#[test]
fn one_handler_per_running_provider() {
    let entry = entry!(Plain);
    let (san, _) = start(entry);
    let again = startup(entry, Arc::new(Switch::default()), None);
    assert_eq!(again.expect_err("another handler"), wsd_spi::client::StartupError::AlreadyStarted);
    drop(san);
    start(entry);
}

/// The last reference may go away inside an up-call; the clean-up waits then.
#[test]
fn a_provider_dropped_inside_an_up_call() {
    struct Dropper(std::sync::Mutex<Option<wsd_spi::client::San>>, Switch);
    impl wsd_spi::client::UpCallHandler for Dropper {
        fn create_socket_handle(
            &self,
            entry: u32,
            context: usize,
        ) -> Result<wsd_spi::SwitchSocket, WsaError> {
            self.1.create_socket_handle(entry, context)
        }
        fn close_socket_handle(&self, handle: wsd_spi::SwitchSocket) -> Result<(), WsaError> {
            drop(self.0.lock().expect("no panics").take());
            self.1.close_socket_handle(handle)
        }
        fn query_socket_handle_context(&self, handle: wsd_spi::SwitchSocket) -> Result<usize, WsaError> {
            self.1.query_socket_handle_context(handle)
        }
        fn set_event(&self, event: wsd_spi::Event) -> Result<(), WsaError> {
            self.1.set_event(event)
        }
        fn reset_event(&self, event: wsd_spi::Event) -> Result<(), WsaError> {
            self.1.reset_event(event)
        }
        fn complete(&self, _: wsd_spi::SwitchSocket, _: u64, _: Result<(), WsaError>, _: u32) {}
    }
    let dropper = Arc::new(Dropper(std::sync::Mutex::default(), Switch::default()));
    let entry = entry!(Plain);
    let san = startup(entry, dropper.clone(), None).expect("it starts");
    let s = socket(&san);
    *dropper.0.lock().expect("no panics") = Some(san);
    drop(s);
    wsd_spi::client::reap();
    // Another test may be doing the clean-up at this moment.
    let again = (0..10_000).any(|_| {
        std::thread::yield_now();
        startup(entry, Arc::<Switch>::default(), None).is_ok()
    });
    assert!(again, "the first start-up is over");
}

#[test]
fn too_late_for_a_closed_socket() {
    let (san, _) = start(entry!(Plain));
    let (client, _server) = pair(&san, 10);
    let registration = client.register_memory(&memory(b"abc"), MemoryAccess::Read).expect("connected");
    client.close().expect("open");
    assert_eq!(registration.deregister(), Err(WsaError::WSAENOTSOCK));
    assert_eq!(client.send(&[memory(b"abc")]).expect_err("closed"), WsaError::WSAENOTSOCK);
    assert_eq!(client.allocate(1).expect_err("closed"), WsaError::WSAENOTSOCK);
}
