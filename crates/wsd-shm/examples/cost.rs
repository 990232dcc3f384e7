//! What the provider costs between two processes: a connection, a message's round trip, the first and a later shared
//! memory, RDMA. Run with `cargo run --release -p wsd-shm --example cost`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::process::Command;
use std::slice::from_ref;
use std::task::Poll;
use std::time::{Duration, Instant};

use support::{Side, address, armed_sides, memory};
use wsd_spi::client::{Operation, Remote, Socket};
use wsd_spi::{Condition, Event, EventMask, MemoryAccess, WsaError};

const SERVER: &str = "127.0.0.1:54001";
const CONNECTIONS: u32 = 2000;
const MESSAGES: u32 = 20_000;
const ALLOCATIONS: u32 = 200;
const RING: u32 = 9_500_000;

fn main() {
    let [side] = armed_sides();
    if std::env::args().nth(1).as_deref() == Some("server") {
        return serve(&side);
    }
    let mut server = Command::new(std::env::current_exe().expect("own path"));
    let mut server = server.arg("server").spawn().expect("a server");
    std::thread::sleep(Duration::from_millis(200));

    let first = Instant::now();
    drop(connect(&side));
    println!("first connection: {:?}", first.elapsed());
    let keep = connect(&side);
    report("connect and accept", CONNECTIONS, || drop(connect(&side)));

    let inbox = memory(&[0; 64]);
    let _inbox = keep.register_memory(&inbox, MemoryAccess::ReadWrite).expect("registers");
    report("message there and back", MESSAGES, || {
        let mut receive = keep.recv(from_ref(&inbox)).expect("a receive");
        wait(&side, &mut keep.send(from_ref(&inbox)).expect("sends"));
        wait(&side, &mut receive);
    });
    report("allocate and free 9.5 MB", ALLOCATIONS, || drop(keep.allocate(RING).expect("memory")));

    let exposed = memory(&vec![1; 1 << 20]);
    let local = keep.register_memory(&exposed, MemoryAccess::Read).expect("registers");
    let mut descriptor = [0; 32];
    let mut receive = keep.recv(from_ref(&inbox)).expect("a receive");
    wait(&side, &mut keep.send(&[inbox.slice(0..1).expect("a part")]).expect("sends"));
    wait(&side, &mut receive);
    descriptor.copy_from_slice(&support::bytes(&inbox)[..32]);
    let segment = local.segment(0..1 << 20).expect("a segment");
    report("RDMA write of 1 MiB", 500, || {
        let remote = Remote { descriptor: &descriptor, offset: 0 };
        wait(&side, &mut keep.rdma_write(from_ref(&segment), remote).expect("starts"));
    });
    drop(keep);
    server.kill().expect("kills");
    server.wait().expect("ends");
}

fn report(what: &str, count: u32, mut work: impl FnMut()) {
    let start = Instant::now();
    for _ in 0..count {
        work();
    }
    println!("{what}: {:?}", start.elapsed() / count);
}

fn connect(side: &Side) -> Socket {
    side.upcalls.events.lock().expect("a lock").clear();
    let socket = side.bound("127.0.0.1:1234");
    socket.event_select(Some(Event::from_raw(1)), EventMask::CONNECT).expect("selects");
    let mut result = socket.connect(&address(SERVER));
    while result == Err(WsaError::WSAEWOULDBLOCK) {
        side.step();
        if let Some(connected) = socket.enum_network_events(None).expect("a record").connect {
            result = connected;
        }
    }
    result.expect("connected");
    socket
}

fn wait(side: &Side, operation: &mut Operation) -> u32 {
    loop {
        if let Poll::Ready(result) = operation.poll() {
            return result.expect("no error").bytes;
        }
        side.step();
    }
}

/// Accepts, sends back what comes, and for a message of one byte the descriptor of exposed memory.
fn serve(side: &Side) {
    let listener = side.listener(SERVER, 1);
    let exposed = memory(&vec![0; 1 << 20]);
    let mut serving = Vec::new();
    loop {
        side.step();
        while let Ok((socket, _)) = listener.accept(|_, _| Condition::Accept) {
            let inbox = memory(&[0; 64]);
            let registered = socket.register_memory(&inbox, MemoryAccess::ReadWrite).expect("registers");
            let remote = socket.register_rdma_memory(&exposed, MemoryAccess::Write).expect("exposes");
            let receive = socket.recv(from_ref(&inbox)).expect("a receive");
            serving.push((socket, inbox, registered, remote, receive));
        }
        serving.retain_mut(|(socket, inbox, _, remote, receive)| match receive.poll() {
            Poll::Pending => true,
            Poll::Ready(Err(_)) => false,
            Poll::Ready(Ok(got)) => {
                if got.bytes == 1 {
                    wsd_spi::client::MemoryExt::write(inbox, 0, remote.descriptor());
                }
                let next = socket.recv(from_ref(inbox));
                let sent = socket.send(from_ref(inbox)).map(|mut sent| wait(side, &mut sent));
                next.map(|next| *receive = next).is_ok() && sent.is_ok()
            }
        });
    }
}
