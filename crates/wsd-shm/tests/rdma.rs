//! RDMA and exposed memory (SP-022, SP-120..133, SP-160).

mod support;

use std::slice::from_ref;

use support::{Side, armed_sides, bytes, connect, memory, result, sides, wait_for};
use wsd_spi::client::{MemoryExt, MemorySlice, Operation, Remote, Segment, Socket, StableMemory};
use wsd_spi::{MemoryAccess, WsaError};

use MemoryAccess::{Read, ReadWrite, Write};

fn all(registration: &wsd_spi::client::Registration) -> Segment {
    registration.segment(0..registration.memory().len() as u32).expect("a segment")
}

fn remote(descriptor: &[u8], offset: u32) -> Remote<'_> {
    Remote { descriptor, offset }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 249) as u8).collect()
}

/// A broken connection: every new operation is refused with that code.
fn is_broken(socket: &Socket, data: &MemorySlice) -> bool {
    socket.send(from_ref(data)).map(drop) == Err(WsaError::WSAECONNABORTED)
}

/// SP-131: data go both ways, of any length, from and to several segments, and nothing else is touched.
#[test]
fn data_go_both_ways() {
    for [server, client] in [sides(), armed_sides()] {
        let both = [&server, &client];
        let (accepted, connected) = connect(&server, &client, "127.0.0.1:8001");
        for length in [0, 1, 65_536, 65_537, 3_000_000] {
            let target = memory(&vec![0xee; length + 200]);
            let exposed = accepted.register_rdma_memory(&target, ReadWrite).expect("exposes");
            let source = memory(&pattern(length));
            let local = connected.register_memory(&source, Read).expect("registers");
            let pieces = [0..length as u32 / 3, length as u32 / 3..length as u32]
                .map(|range| local.segment(range).expect("a segment"));
            let place = remote(exposed.descriptor(), 100);
            let mut write = connected.rdma_write(&pieces, place).expect("starts");
            assert_eq!(result(&both, &mut write).map(|done| done.bytes), Ok(length as u32));
            let mut expected = vec![0xee; length + 200];
            expected[100..100 + length].copy_from_slice(&pattern(length));
            assert_eq!(bytes(&target), expected);

            let back = memory(&vec![0; length]);
            let local = connected.register_memory(&back, Write).expect("registers");
            let mut read = connected.rdma_read(&[all(&local)], place).expect("starts");
            assert_eq!(result(&both, &mut read).map(|done| done.bytes), Ok(length as u32));
            assert_eq!(bytes(&back), pattern(length));
        }
    }
}

/// SP-022: a message behind a write finds the data in place; a message behind a read comes after the read.
#[test]
fn order() {
    let [server, client] = armed_sides();
    let both = [&server, &client];
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:8011");
    let target = memory(&vec![0; 1 << 20]);
    let exposed = accepted.register_rdma_memory(&target, ReadWrite).expect("exposes");
    let inbox = memory(&[0; 8]);
    let _inbox = accepted.register_memory(&inbox, Write).expect("registers");
    let source = memory(&vec![5; 1 << 20]);
    let local = connected.register_memory(&source, ReadWrite).expect("registers");
    let message = source.slice(0..8).expect("a part");

    let mut receive = accepted.recv(from_ref(&inbox)).expect("a receive");
    let mut write = connected.rdma_write(&[all(&local)], remote(exposed.descriptor(), 0)).expect("starts");
    let mut sent = connected.send(from_ref(&message)).expect("sends");
    assert_eq!(result(&both, &mut receive).map(|got| got.bytes), Ok(8));
    assert!(bytes(&target).iter().all(|byte| *byte == 5), "all in place");
    assert!(result(&both, &mut write).is_ok() && result(&both, &mut sent).is_ok());

    // The switch that owns the memory may change it as soon as it gets the message.
    let mut receive = accepted.recv(from_ref(&inbox)).expect("a receive");
    target.write(0, &vec![6; 1 << 20]);
    let mut read = connected.rdma_read(&[all(&local)], remote(exposed.descriptor(), 0)).expect("starts");
    let mut sent = connected.send(from_ref(&message)).expect("sends");
    assert_eq!(result(&both, &mut receive).map(|got| got.bytes), Ok(8));
    exposed.deregister().expect("ends");
    target.write(0, &vec![7; 1 << 20]);
    assert_eq!(result(&both, &mut read).map(|done| done.bytes), Ok(1 << 20));
    assert!(bytes(&source).iter().all(|byte| *byte == 6), "not the later contents");
    assert!(result(&both, &mut sent).is_ok());
}

/// One attempt that has to fail, on a connection of its own; memory of the owner has to stay as it is.
fn refused(
    name: &str,
    granted: MemoryAccess,
    attempt: impl FnOnce(
        &Socket,
        &wsd_spi::client::Registration,
        &mut [u8],
        &dyn Fn(),
    ) -> Result<Operation, WsaError>,
) {
    let [server, client] = armed_sides();
    let both = [&server, &client];
    let (accepted, connected) = connect(&server, &client, name);
    let (other, other_end) = connect(&server, &client, &format!("{name}1"));
    let target = memory(&[0xee; 300]);
    let part = target.slice(100..200).expect("a part");
    let exposed = std::cell::Cell::new(Some(accepted.register_rdma_memory(&part, granted).expect("exposes")));
    let held = exposed.take().expect("there");
    let mut descriptor = held.descriptor().to_vec();
    exposed.set(Some(held));
    let conceal = || exposed.take().expect("there").deregister().expect("ends");
    let source = memory(&[1; 300]);
    let local = connected.register_memory(&source, ReadWrite).expect("registers");
    match attempt(&connected, &local, &mut descriptor, &conceal) {
        // Refused before it was started.
        Err(error) => assert!(matches!(error, WsaError::WSAEFAULT | WsaError::WSAEINVAL), "{error}"),
        Ok(mut operation) => {
            assert_eq!(result(&both, &mut operation).map(drop), Err(WsaError::WSAEFAULT));
            assert!(is_broken(&connected, &source.slice(0..1).expect("a part")));
            wait_for(&both, "broken", || {
                accepted.register_memory(&target, Read).map(drop) == Err(WsaError::WSAENOTCONN)
            });
        }
    }
    assert!(bytes(&target).iter().all(|byte| *byte == 0xee), "SP-132: nothing was written");
    assert!(bytes(&source).iter().all(|byte| *byte == 1), "SP-132: nothing was read");
    // Other connections of the two processes go on.
    let data = memory(&[1]);
    let _sends = other_end.register_memory(&data, Read).expect("registers");
    let _receives = other.register_memory(&data, Write).expect("registers");
    let mut receive = other.recv(from_ref(&data)).expect("a receive");
    let mut sent = other_end.send(from_ref(&data)).expect("sends");
    assert!(result(&both, &mut sent).is_ok() && result(&both, &mut receive).is_ok());
}

/// Makes the requester believe that it may do anything, so that the owner has to find out.
fn forge(descriptor: &mut [u8]) {
    descriptor[16..20].copy_from_slice(&u32::MAX.to_ne_bytes());
    descriptor[20..24].copy_from_slice(&ReadWrite.flags().to_ne_bytes());
}

/// SP-121, SP-132, SW-208: direction and range, with an honest and with a forged descriptor.
#[test]
fn violations() {
    refused("127.0.0.1:4801", Read, |socket, local, descriptor, _| {
        socket.rdma_write(&[local.segment(0..100).expect("a segment")], remote(descriptor, 0))
    });
    refused("127.0.0.1:4802", Read, |socket, local, descriptor, _| {
        forge(descriptor);
        socket.rdma_write(&[local.segment(0..100).expect("a segment")], remote(descriptor, 0))
    });
    refused("127.0.0.1:4803", Write, |socket, local, descriptor, _| {
        forge(descriptor);
        socket.rdma_read(&[local.segment(0..100).expect("a segment")], remote(descriptor, 0))
    });
    for offset in [1, 100, u32::MAX - 10, u32::MAX] {
        refused("127.0.0.1:4804", ReadWrite, |socket, local, descriptor, _| {
            forge(descriptor);
            socket.rdma_write(&[local.segment(0..100).expect("a segment")], remote(descriptor, offset))
        });
        refused("127.0.0.1:4805", ReadWrite, |socket, local, descriptor, _| {
            forge(descriptor);
            socket.rdma_read(&[local.segment(0..100).expect("a segment")], remote(descriptor, offset))
        });
    }
}

/// SP-122, SP-132: number and key count; rubbish is no descriptor.
#[test]
fn forged_descriptors() {
    for byte in [0, 7, 8, 15] {
        refused("127.0.0.1:4811", ReadWrite, |socket, local, descriptor, _| {
            descriptor[byte] ^= 0x40;
            socket.rdma_write(&[local.segment(0..10).expect("a segment")], remote(descriptor, 0))
        });
    }
    refused("127.0.0.1:4812", ReadWrite, |socket, local, descriptor, _| {
        descriptor.fill(0xff);
        socket.rdma_read(&[local.segment(0..10).expect("a segment")], remote(descriptor, 0))
    });
    refused("127.0.0.1:4813", ReadWrite, |socket, local, descriptor, _| {
        socket.rdma_read(&[local.segment(0..10).expect("a segment")], remote(&descriptor[1..], 0))
    });
}

/// SP-123, SP-164, SW-207: access ends when the deregistration returns.
#[test]
fn revoked() {
    refused("127.0.0.1:4821", ReadWrite, |socket, local, descriptor, conceal| {
        conceal();
        socket.rdma_write(&[local.segment(0..100).expect("a segment")], remote(descriptor, 0))
    });
    // While it is on its way.
    refused("127.0.0.1:4822", ReadWrite, |socket, local, descriptor, conceal| {
        let read = socket.rdma_read(&[local.segment(0..100).expect("a segment")], remote(descriptor, 0));
        conceal();
        read
    });
}

/// SP-123, SW-206: the descriptor is for the peer of that socket only.
#[test]
fn another_connection() {
    let [server, client] = armed_sides();
    let both = [&server, &client];
    let (accepted, _connected) = connect(&server, &client, "127.0.0.1:8301");
    let (_other, other_end) = connect(&server, &client, "127.0.0.1:8302");
    let target = memory(&[0xee; 100]);
    let exposed = accepted.register_rdma_memory(&target, ReadWrite).expect("exposes");
    let local = other_end.register_memory(&target, ReadWrite).expect("registers");
    let mut write = other_end.rdma_write(&[all(&local)], remote(exposed.descriptor(), 0)).expect("starts");
    assert_eq!(result(&both, &mut write).map(drop), Err(WsaError::WSAEFAULT));
}

/// SP-110, SP-133, SW-201: local segments are checked against the registration that they name.
#[test]
fn local_segments() {
    let [server, client] = armed_sides();
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:8311");
    let (_other, other_end) = connect(&server, &client, "127.0.0.1:8312");
    let target = memory(&[0xee; 100]);
    let exposed = accepted.register_rdma_memory(&target, ReadWrite).expect("exposes");
    let place = remote(exposed.descriptor(), 0);
    let readable = connected.register_memory(&target, Read).expect("registers");
    let writable = connected.register_memory(&target, Write).expect("registers");
    let foreign = other_end.register_memory(&target, ReadWrite).expect("registers");
    let fault = Err(WsaError::WSAEFAULT);
    assert_eq!(connected.rdma_write(&[all(&writable)], place).map(drop), fault);
    assert_eq!(connected.rdma_read(&[all(&readable)], place).map(drop), fault);
    assert_eq!(connected.rdma_read(&[all(&foreign)], place).map(drop), fault);
    assert_eq!(connected.rdma_write(&[all(&readable)], place).map(drop), Ok(()));
}

/// SP-160, SP-133: registrations whose memory goes away are not used any more, neither here nor by the peer.
#[test]
fn changing_memory() {
    let [server, client] = armed_sides();
    let both = [&server, &client];
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:8321");
    let data = memory(&[1; 8192]);
    let (front, back) = (data.slice(0..100).expect("a part"), data.slice(4096..8192).expect("a part"));
    let front_handle = accepted.register_memory(&front, ReadWrite).expect("registers");
    let back_handle = accepted.register_memory(&back, ReadWrite).expect("registers");
    let exposed = accepted.register_rdma_memory(&back, ReadWrite).expect("exposes");
    assert_eq!(server.san.memory_is_changing(8192, 4096), Err(WsaError::WSAEINVAL), "never registered");
    assert_eq!(server.san.memory_is_changing(back.start().addr() + 4000, 4096), Ok(()), "overlap");
    assert_eq!(accepted.send(from_ref(&back)).map(drop), Err(WsaError::WSAEFAULT));
    let mut sent = accepted.send(from_ref(&front)).expect("the other one stands");
    assert!(result(&both, &mut sent).is_ok());
    let local = connected.register_memory(&data, ReadWrite).expect("registers");
    let segment = local.segment(0..10).expect("a segment");
    let mut write = connected.rdma_write(&[segment], remote(exposed.descriptor(), 0)).expect("starts");
    assert_eq!(result(&both, &mut write).map(drop), Err(WsaError::WSAEFAULT));
    for ended in [front_handle.deregister(), back_handle.deregister(), exposed.deregister()] {
        // The last one is over with its connection.
        assert!(matches!(ended, Ok(()) | Err(WsaError::WSAEINVAL)));
    }
}

/// SP-120, SP-124: the length is probed, deregistration counts.
#[test]
fn descriptors() {
    let [server, client] = armed_sides();
    let (accepted, connected) = connect(&server, &client, "127.0.0.1:8331");
    assert_eq!(accepted.rdma_descriptor_length(), Ok(32));
    let data = memory(&[1; 100]);
    let first = accepted.register_rdma_memory(&data, Read).expect("exposes");
    let second = accepted.register_rdma_memory(&data, Read).expect("exposes");
    assert_ne!(first.descriptor(), second.descriptor());
    let deregister = |socket: &Socket, descriptor: &[u8]| {
        let mut errno = 0;
        let function = server.san.table().extensions.deregister_rdma_memory;
        let start = descriptor.as_ptr().cast_mut().cast();
        // SAFETY: the descriptor has the given length and is only read; `errno` is valid.
        let result =
            unsafe { function(socket.descriptor().raw(), start, descriptor.len() as u32, &raw mut errno) };
        if result == 0 { Ok(()) } else { Err(WsaError::reported(errno)) }
    };
    let invalid = Err(WsaError::WSAEINVAL);
    assert_eq!(deregister(&accepted, &first.descriptor()[1..]), invalid);
    let mut forged = first.descriptor().to_vec();
    forged[8] ^= 1;
    assert_eq!(deregister(&accepted, &forged), invalid);
    assert_eq!(deregister(&accepted, first.descriptor()), Ok(()));
    assert_eq!(deregister(&accepted, first.descriptor()), invalid);
    assert_eq!(first.deregister(), invalid);
    // SP-123: the connection ends.
    connected.close().expect("closes");
    let sides: [&Side; 2] = [&server, &client];
    wait_for(&sides, "reset", || accepted.register_memory(&data, Read).is_err());
    assert_eq!(second.deregister(), invalid);
}
