//! Many threads on few engines at the same time (SP-017).

mod support;

use std::slice::from_ref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use support::{LIMIT, Side, bytes, memory, sides};
use wsd_spi::client::{MemoryExt, Operation, Remote, Socket};
use wsd_spi::{Condition, MemoryAccess, WsaError};

/// The result of an operation, while the engines' own threads make progress.
fn result(operation: &mut Operation) -> Result<u32, WsaError> {
    let start = Instant::now();
    loop {
        if let Poll::Ready(result) = operation.poll() {
            return result.map(|done| done.bytes);
        }
        assert!(start.elapsed() < LIMIT, "time is up");
        std::thread::yield_now();
    }
}

/// Connects, exchanges messages, memory and RDMA with an echo, and closes at any moment.
fn client(side: &Side, port: u16, seed: u64, rounds: &AtomicUsize, until: Instant) {
    let mut random = seed;
    let mut next = move |limit: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % limit
    };
    let event = 1000 + seed as usize;
    while Instant::now() < until {
        side.upcalls.events.lock().expect("a lock").remove(&event);
        let socket = side.connecting("127.0.0.1:2599", &format!("127.0.0.1:{port}"), event);
        if next(10) == 0 {
            continue;
        }
        let start = Instant::now();
        while !side.upcalls.is_set(event) {
            assert!(start.elapsed() < LIMIT, "time is up");
            std::thread::yield_now();
        }
        match socket.enum_network_events(None).expect("a record").connect {
            Some(Ok(())) => {}
            // The queue was full.
            Some(Err(WsaError::WSAECONNREFUSED)) => continue,
            other => panic!("{other:?}"),
        }
        let (data, inbox) = (memory(&[seed as u8; 5000]), memory(&[0; 5000]));
        let exposed = memory(&[0; 100_000]);
        let _data = socket.register_memory(&data, MemoryAccess::Read).expect("registers");
        let _inbox = socket.register_memory(&inbox, MemoryAccess::Write).expect("registers");
        let remote = socket.register_rdma_memory(&exposed, MemoryAccess::Write).expect("exposes");
        for round in 0..next(20) {
            let length = 32 + next(4000) as u32;
            data.write(0, remote.descriptor());
            data.write(32, &[round as u8]);
            let mut receive = socket.recv(from_ref(&inbox)).expect("a receive");
            let part = data.slice(0..length + 1).expect("a part");
            assert_eq!(result(&mut socket.send(from_ref(&part)).expect("sends")), Ok(length + 1));
            assert_eq!(result(&mut receive), Ok(length + 1));
            assert_eq!(bytes(&inbox)[..length as usize], bytes(&data)[..length as usize]);
            assert!(bytes(&exposed).iter().all(|byte| *byte == round as u8), "written before the answer");
            let shared = socket.allocate(1 + next(200_000) as u32).expect("memory");
            shared.write(0, b"x");
            if next(2) == 0 {
                std::thread::yield_now();
            }
            rounds.fetch_add(1, Ordering::Relaxed);
        }
        if next(2) == 0 {
            drop(socket.recv(from_ref(&inbox)).expect("a receive"));
        }
    }
}

/// Accepts, writes 100,000 times the round into the memory that a message names, and sends the message back.
fn echo(side: &Side, port: u16, over: &AtomicBool) {
    let listener = side.listener(&format!("127.0.0.1:{port}"), port.into());
    std::thread::scope(|scope| {
        while !over.load(Ordering::Relaxed) {
            match listener.accept(|_, _| Condition::Accept) {
                Ok((socket, _)) => drop(scope.spawn(move || answer(&socket))),
                Err(WsaError::WSAEWOULDBLOCK) => std::thread::yield_now(),
                // Closed by the client, before or after the answer.
                Err(WsaError::WSAECONNRESET) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
}

fn answer(socket: &Socket) -> Option<()> {
    let (inbox, fill) = (memory(&[0; 5000]), memory(&[0; 100_000]));
    let _inbox = socket.register_memory(&inbox, MemoryAccess::ReadWrite).ok()?;
    let fill_handle = socket.register_memory(&fill, MemoryAccess::Read).ok()?;
    loop {
        let length = result(&mut socket.recv(from_ref(&inbox)).ok()?).ok()?;
        let mut head = [0; 33];
        inbox.read(0, &mut head);
        fill.write(0, &[head[32]; 100_000]);
        let segment = fill_handle.segment(0..100_000).expect("a segment");
        let remote = Remote { descriptor: &head[..32], offset: 0 };
        let _write = socket.rdma_write(from_ref(&segment), remote).ok()?;
        let part = inbox.slice(0..length).expect("a part");
        result(&mut socket.send(from_ref(&part)).ok()?).ok()?;
    }
}

#[test]
fn everything_at_once() {
    let [one, two] = sides();
    let (rounds, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let until = Instant::now() + Duration::from_secs(3);
    std::thread::scope(|scope| {
        let (rounds, over) = (&rounds, &over);
        for (side, port) in [(&one, 2501), (&two, 2502)] {
            scope.spawn(move || echo(side, port, over));
        }
        std::thread::sleep(Duration::from_millis(50));
        // Each engine talks to the other and to itself.
        let clients = [(1, &one, 2501), (2, &one, 2502), (3, &two, 2501), (4, &two, 2502)];
        let clients =
            clients.map(|(seed, side, port)| scope.spawn(move || client(side, port, seed, rounds, until)));
        let ended = clients.map(std::thread::ScopedJoinHandle::join);
        over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a client failed");
    });
    assert!(rounds.load(Ordering::Relaxed) > 100, "{rounds:?}");
    for side in [&one, &two] {
        let start = Instant::now();
        while side.upcalls.open_handles() != 0 {
            assert!(start.elapsed() < LIMIT, "handles are left: {}", side.upcalls.open_handles());
            std::thread::yield_now();
        }
    }
}
