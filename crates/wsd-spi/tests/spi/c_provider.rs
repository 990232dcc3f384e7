//! A provider written in C against the headers, loaded as a shared library.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::task::Poll;

use wsd_spi::client::{Provider, Remote, San, Transfer};
use wsd_spi::ffi::{AF_INET, SO_MAX_MSG_SIZE, SOMAXCONN, WSAPROTOCOL_INFOW};
use wsd_spi::{
    Condition, Event, EventMask, ExtensionFunction, MemoryAccess, NetworkEvents, SPI_VERSION, SockAddr,
    WsaError,
};

use crate::headers::include_folder;
use crate::support::{Switch, address, contents, done, memory, patiently, socket};

/// Compiles, loads and starts it.
fn start(folder: &Path) -> (San, Arc<Switch>) {
    let library = folder.join("libprovider.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spi/provider.c");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-I"])
        .arg(include_folder());
    assert!(compiler.arg("-o").arg(&library).arg(source).status().expect("a C compiler").success());
    let switch = Arc::new(Switch::default());
    let info = WSAPROTOCOL_INFOW::tcp_ip(AF_INET);
    let provider = Provider::load(&library).expect("a provider");
    let san = patiently(|| provider.startup(SPI_VERSION, &info, switch.clone(), None));
    (san.expect("it starts"), switch)
}

/// Every function of the table and most of the others, called through the client.
#[test]
fn every_function() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (san, switch) = start(folder.path());
    assert_eq!(san.description(), "C");
    assert!(!san.has(ExtensionFunction::RdmaRead) && !san.has(ExtensionFunction::Allocate));
    let s = socket(&san);
    let handle = s.handle().expect("made");
    assert_eq!(s.bind(&address(1)), Ok(()));
    assert_eq!(s.connect(&address(2)), Err(WsaError::WSAEHOSTUNREACH));
    assert_eq!(s.listen(SOMAXCONN), Ok(()));
    assert_eq!(s.listen(1), Err(WsaError::WSAEINVAL));
    assert_eq!(s.event_select(Some(Event::from_raw(9)), EventMask::ACCEPT), Ok(()));
    let events = NetworkEvents { accept: Some(Ok(())), connect: Some(Err(WsaError::WSAECONNREFUSED)) };
    assert_eq!(s.enum_network_events(Some(Event::from_raw(9))), Ok(events));
    let noted = [(Event::from_raw(9), true), (Event::from_raw(9), false)];
    assert_eq!(*switch.events.lock().expect("no panics"), noted);
    assert_eq!(s.get_option_u32(SO_MAX_MSG_SIZE), Ok(4096));
    assert_eq!(s.set_option(1, 2, &[]), Err(WsaError::WSAENOPROTOOPT));
    assert_eq!(s.get_qos_by_name("").err(), Some(WsaError::WSAEOPNOTSUPP));
    assert_eq!(s.duplicate(1, AF_INET).err(), Some(WsaError::WSAENOTCONN));
    assert_eq!(s.ioctl(5, &[], 0), Err(WsaError::WSAEINVAL));

    let (accepted, peer) = s.accept(|_, _| Condition::Accept).expect("accepted");
    let loopback: std::net::SocketAddr = "127.0.0.1:1".parse().expect("valid");
    assert_eq!(peer, SockAddr::from(loopback));
    // It is the same descriptor, so only one of the two may close it.
    std::mem::forget(accepted);
    assert_eq!(s.accept(|_, _| Condition::Defer).expect_err("deferred"), WsaError::WSATRY_AGAIN);

    let target = memory(b"......");
    let mut receive = s.recv(std::slice::from_ref(&target)).expect("started");
    assert_eq!(receive.poll(), Poll::Pending);
    s.send_notified(&[memory(b"abc")], 3).expect("started");
    assert_eq!(done(&mut receive), Ok(Transfer { bytes: 3, flags: 0 }));
    assert_eq!(contents(&target), b"abc...");
    assert_eq!(switch.take_completions(), [(handle, 3, Ok(()), 3)]);

    // SP-120: longer descriptors than usual.
    let remote = s.register_rdma_memory(&target, MemoryAccess::Write).expect("registered");
    assert_eq!(remote.descriptor(), [0x5a; 300]);
    assert_eq!(s.rdma_descriptor_length(), Ok(300));
    let local = s.register_memory(&memory(b"xyz"), MemoryAccess::Read).expect("registered");
    let place = Remote { descriptor: remote.descriptor(), offset: 2 };
    let mut write = s.rdma_write(&[local.segment(1..3).expect("within")], place).expect("started");
    assert_eq!(done(&mut write), Ok(Transfer { bytes: 2, flags: 0 }));
    assert_eq!(contents(&target), b"abyz..");
    assert_eq!((local.deregister(), remote.deregister()), (Ok(()), Ok(())));

    s.recv_notified(&[target], 4).expect("started");
    assert_eq!(s.close(), Ok(()));
    assert_eq!(switch.take_completions(), [(handle, 4, Err(WsaError::WSA_OPERATION_ABORTED), 0)]);
    assert_eq!(switch.open_handles(), 0);
    drop((write, receive, s));
}
