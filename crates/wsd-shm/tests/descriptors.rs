//! How many file descriptors are used. The only test of its file, since it counts those of the process.
#![cfg(target_os = "linux")]

mod support;

use support::{connect, memory, result, sides};
use wsd_spi::MemoryAccess;

/// Many connections of a pair share few descriptors; a link that leads to the wrong engine of a process is not used.
#[test]
fn connections_share_a_link() {
    let [one, two, three] = sides();
    let all = [&one, &two, &three];
    let mut sockets = Vec::new();
    for (server, client) in [(&one, &two), (&three, &two), (&one, &three), (&two, &one), (&one, &one)] {
        sockets.push(connect(server, client, "127.0.0.1:6081"));
    }
    let before = descriptors();
    for _ in 0..20 {
        sockets.push(connect(&one, &two, "127.0.0.1:6081"));
    }
    assert_eq!(descriptors(), before);
    for (n, (accepted, connected)) in sockets.iter().enumerate() {
        let (inbox, data) = (memory(&[0; 1]), memory(&[n as u8]));
        let _registered = accepted.register_memory(&inbox, MemoryAccess::Write).expect("registers");
        let _sends = connected.register_memory(&data, MemoryAccess::Read).expect("registers");
        let mut receive = accepted.recv(std::slice::from_ref(&inbox)).expect("a receive");
        let mut sent = connected.send(std::slice::from_ref(&data)).expect("sends");
        result(&all, &mut sent).expect("sent");
        result(&all, &mut receive).expect("received");
        assert_eq!(support::bytes(&inbox), [n as u8]);
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}
