//! AcceptEx, GetAcceptExSockaddrs, TransmitFile (SW-171).

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::ptr;

use wsd_spi::ffi::*;
use wsd_spi::{SockAddr, WsaError};

use crate::support::{Event, Pending, Socket, connected_pair, listener};

/// Length of an address area.
pub(crate) const AREA: usize = 16 + 16;

fn function(guid: GUID) -> usize {
    // SP-100: of no socket in particular.
    let anybody = Socket { handle: INVALID_SOCKET };
    let answer = anybody.ioctl(SIO_GET_EXTENSION_FUNCTION_POINTER, &bytes_of(guid), 8).expect("known");
    std::mem::forget(anybody);
    usize::from_ne_bytes(answer.try_into().expect("a pointer"))
}

fn bytes_of(guid: GUID) -> Vec<u8> {
    let head = [&guid.Data1.to_ne_bytes()[..], &guid.Data2.to_ne_bytes(), &guid.Data3.to_ne_bytes()].concat();
    [&head[..], &guid.Data4].concat()
}

pub(crate) fn accept_ex(
    listener: &Socket,
    target: &Socket,
    request: &mut Pending,
    data: usize,
) -> Result<(), WsaError> {
    let address = ptr::with_exposed_provenance::<()>(function(WSAID_ACCEPTEX));
    // SAFETY: the library says that this is AcceptEx.
    let call: LPFN_ACCEPTEX = unsafe { std::mem::transmute(address) };
    let buffer = request.buffer.as_mut_ptr().cast();
    let mut bytes = 0;
    // SAFETY: the buffer and the request live until the operation is done.
    let answer = unsafe {
        call(
            listener.handle,
            target.handle,
            buffer,
            data as DWORD,
            AREA as DWORD,
            AREA as DWORD,
            &raw mut bytes,
            &raw mut *request.overlapped,
        )
    };
    reported(answer)
}

fn reported(answer: BOOL) -> Result<(), WsaError> {
    match answer {
        FALSE => Err(WsaError::from_code(wsd_wsp::door::WSAGetLastError()).expect("a code")),
        _ => Ok(()),
    }
}

/// The local and the remote address in what AcceptEx filled.
pub(crate) fn sockaddrs(request: &mut Pending, data: usize) -> (SocketAddr, SocketAddr) {
    let address = ptr::with_exposed_provenance::<()>(function(WSAID_GETACCEPTEXSOCKADDRS));
    // SAFETY: the library says that this is GetAcceptExSockaddrs.
    let call: LPFN_GETACCEPTEXSOCKADDRS = unsafe { std::mem::transmute(address) };
    let (mut local, mut remote, mut lengths) = (ptr::null_mut(), ptr::null_mut(), [0; 2]);
    let [local_length, remote_length] = &mut lengths;
    // SAFETY: the buffer is filled; the answers point into it.
    let read = |at: *mut SOCKADDR| unsafe {
        SockAddr::decode(std::slice::from_raw_parts(at.cast(), 16)).expect("an address").socket_addr()
    };
    // SAFETY: as above.
    unsafe {
        call(
            request.buffer.as_mut_ptr().cast(),
            data as DWORD,
            AREA as DWORD,
            AREA as DWORD,
            &raw mut local,
            local_length,
            &raw mut remote,
            remote_length,
        );
    }
    assert_eq!(lengths, [16, 16]);
    (read(local), read(remote))
}

/// SW-095: without room for data AcceptEx ends with the connection.
#[test]
fn accept_without_data() {
    let (listener, address) = listener();
    let target = Socket::stream();
    let mut request = Pending::new(vec![0; 2 * AREA]);
    assert_eq!(accept_ex(&listener, &target, &mut request, 0), Err(WsaError::WSA_IO_PENDING));
    let client = Socket::stream();
    client.connect(address).expect("somebody listens");
    assert_eq!(request.finish(&target), Ok(0));
    assert_eq!(sockaddrs(&mut request, 0), (address, client.local_name().expect("connected")));
    target.set_option(SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, listener.handle).expect("its listener");
    assert_eq!(target.peer_name(), client.local_name());
    let other = Socket::stream();
    let answer = other.set_option(SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, listener.handle);
    assert_eq!(answer, Err(WsaError::WSAEINVAL));
    client.send(b"hello").expect("connected");
    assert_eq!(target.recv_all(5), b"hello");
}

/// SW-095: with room for data it ends with the first of it.
#[test]
fn accept_with_data() {
    const ROOM: usize = 64;
    let (listener, address) = listener();
    let target = Socket::stream();
    let mut request = Pending::new(vec![0; ROOM + 2 * AREA]);
    assert_eq!(accept_ex(&listener, &target, &mut request, ROOM), Err(WsaError::WSA_IO_PENDING));
    let client = Socket::stream();
    client.connect(address).expect("somebody listens");
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(!request.event.is_set(), "there is no data yet");
    client.send(b"first").expect("connected");
    assert_eq!(request.finish(&target), Ok(5));
    assert_eq!(&request.buffer[..5], b"first");
    assert_eq!(sockaddrs(&mut request, ROOM), (address, client.local_name().expect("connected")));
    client.send(b"second").expect("connected");
    assert_eq!(target.recv_all(6), b"second");
}

/// Several are served in their order; closing the listener ends those that are left.
#[test]
fn many_accepts() {
    let (listener, address) = listener();
    let mut waiting: Vec<(Socket, Pending)> =
        (0..5).map(|_| (Socket::stream(), Pending::new(vec![0; 2 * AREA]))).collect();
    for (target, request) in &mut waiting {
        assert_eq!(accept_ex(&listener, target, request, 0), Err(WsaError::WSA_IO_PENDING));
    }
    let clients: Vec<Socket> = (0..3)
        .map(|_| {
            let client = Socket::stream();
            client.connect(address).expect("somebody listens");
            client
        })
        .collect();
    for (client, (target, request)) in clients.iter().zip(&mut waiting) {
        assert_eq!(request.finish(target), Ok(0));
        assert_eq!(target.peer_name(), client.local_name());
    }
    listener.close().expect("a socket");
    for (_, request) in &waiting[3..] {
        request.event.wait();
        assert_eq!(request.overlapped.OffsetHigh, WsaError::WSA_OPERATION_ABORTED.code().cast_unsigned());
    }
}

#[test]
fn accept_refused() {
    let (listener, _) = listener();
    let (connected, _peer) = connected_pair();
    let mut request = Pending::new(vec![0; 2 * AREA]);
    assert_eq!(accept_ex(&listener, &connected, &mut request, 0), Err(WsaError::WSAEINVAL));
    assert_eq!(accept_ex(&listener, &Socket::datagram(), &mut request, 0), Err(WsaError::WSAEINVAL));
    let fresh = Socket::stream();
    assert_eq!(accept_ex(&connected, &fresh, &mut request, 0), Err(WsaError::WSAEINVAL));
    assert_eq!(accept_ex(&Socket::datagram(), &fresh, &mut request, 0), Err(WsaError::WSAEINVAL));
    let unknown = fresh.ioctl(SIO_GET_EXTENSION_FUNCTION_POINTER, &[1; 16], 8);
    assert_eq!(unknown.err(), Some(WsaError::WSAEINVAL));
    let guid = bytes_of(WSAID_ACCEPTEX);
    let answers = [
        fresh.ioctl(SIO_GET_EXTENSION_FUNCTION_POINTER, &guid[..15], 8).err(),
        fresh.ioctl(SIO_GET_EXTENSION_FUNCTION_POINTER, &guid, 7).err(),
    ];
    assert_eq!(answers, [Some(WsaError::WSAEFAULT); 2]);
}

pub(crate) fn transmit(
    socket: &Socket,
    file: Option<&File>,
    count: u32,
    request: Option<&mut WSAOVERLAPPED>,
    parts: Option<(&mut [u8], &mut [u8])>,
    flags: DWORD,
) -> Result<(), WsaError> {
    let address = ptr::with_exposed_provenance::<()>(function(WSAID_TRANSMITFILE));
    // SAFETY: the library says that this is TransmitFile.
    let call: LPFN_TRANSMITFILE = unsafe { std::mem::transmute(address) };
    let mut buffers = TRANSMIT_FILE_BUFFERS::zeroed();
    let buffers = parts.map_or(ptr::null_mut(), |(head, tail)| {
        buffers.Head = head.as_mut_ptr().cast();
        buffers.HeadLength = head.len() as DWORD;
        buffers.Tail = tail.as_mut_ptr().cast();
        buffers.TailLength = tail.len() as DWORD;
        &raw mut buffers
    });
    let handle = ptr::without_provenance_mut(file.map_or(0, |file| file.as_raw_fd() as usize));
    let request = request.map_or(ptr::null_mut(), ptr::from_mut);
    // SAFETY: what is named lives until the operation is done.
    reported(unsafe { call(socket.handle, handle, count, 0, request, buffers, flags) })
}

pub(crate) fn file_of(data: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(data).expect("written");
    std::io::Seek::rewind(&mut file).expect("rewound");
    file
}

/// Head, file and tail, much more than the socket takes at once; overlapped, and the end of the stream behind it.
#[test]
fn whole_file() {
    let data: Vec<u8> = (0..20_000_000_u32).map(|at| (at / 7) as u8).collect();
    let file = file_of(&data);
    let (client, server) = connected_pair();
    let (mut head, mut tail) = (*b"head", *b"tail");
    let event = Event::new();
    let mut request = WSAOVERLAPPED { hEvent: event.handle(), ..WSAOVERLAPPED::zeroed() };
    let parts = Some((&mut head[..], &mut tail[..]));
    let answer = transmit(&client, Some(&file), 0, Some(&mut request), parts, TF_DISCONNECT);
    assert_eq!(answer, Err(WsaError::WSA_IO_PENDING));
    assert_eq!(server.recv_all(4), b"head");
    assert!(server.recv_all(data.len()) == data);
    assert_eq!(server.recv_all(4), b"tail");
    assert_eq!(server.recv(1), Ok(Vec::new()));
    event.wait();
    let (bytes, _) = client.overlapped_result(&raw mut request, false).expect("done");
    assert_eq!(bytes as usize, data.len() + 8);
}

/// A part of a file from an offset; blocking from the file's own position; no file at all.
#[test]
fn parts_of_files() {
    let file = file_of(b"0123456789");
    let (client, server) = connected_pair();
    let event = Event::new();
    let mut request = WSAOVERLAPPED { hEvent: event.handle(), Offset: 3, ..WSAOVERLAPPED::zeroed() };
    assert_eq!(transmit(&client, Some(&file), 4, Some(&mut request), None, 0), Ok(()));
    assert_eq!(server.recv_all(4), b"3456");
    assert_eq!(transmit(&client, Some(&file), 2, None, None, 0), Ok(()));
    assert_eq!(transmit(&client, Some(&file), 0, None, None, 0), Ok(()));
    assert_eq!(server.recv_all(10), b"0123456789");
    let (mut head, mut tail) = (*b"only", *b"memory");
    assert_eq!(transmit(&client, None, 0, None, Some((&mut head, &mut tail)), 0), Ok(()));
    assert_eq!(server.recv_all(10), b"onlymemory");
    assert_eq!(transmit(&Socket::stream(), Some(&file), 0, None, None, 0), Err(WsaError::WSAENOTCONN));
    assert_eq!(transmit(&client, None, 0, None, None, TF_REUSE_SOCKET), Err(WsaError::WSAEOPNOTSUPP));
}
