//! What a connection does and costs while nothing is said, on an RDMA device whose address is 10.9.0.1: `cargo xtask rdma`.

mod support;

use std::time::{Duration, Instant};

use support::{connect, receive, send, sides};

fn number(file: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(file).expect("a file of the kernel");
    let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("a line with the key");
    line.split_whitespace().find_map(|word| word.parse().ok()).expect("a number")
}

/// SP-093: the peer of a connection on which nothing is sent is asked whether it is there, so that its end is noticed; and
/// the connection is as good as before.
#[test]
#[ignore = "needs an RDMA device"]
fn idle_connection_is_asked() {
    let [server, client] = sides();
    let (mine, theirs) = connect(&server, &client, "10.9.0.1:53001");
    let packets = || number("/sys/class/infiniband/rxe0/ports/1/hw_counters/sent_pkts", "");
    let before = packets();
    let start = Instant::now();
    while packets() == before {
        assert!(start.elapsed() < Duration::from_secs(60), "nobody asks");
        std::thread::sleep(Duration::from_millis(100));
    }
    send(&[&server, &client], &mine, b"still here");
    assert_eq!(receive(&[&server, &client], &theirs), b"still here");
}

/// What an idle end of a connection needs of the host's memory, in the process and in the kernel.
#[test]
#[ignore = "needs an RDMA device"]
fn memory_of_idle_connections() {
    const MANY: u16 = 50;
    let [server, client] = sides();
    let all: Vec<_> =
        (0..2).map(|n| connect(&server, &client, &format!("10.9.0.1:{}", 53_010 + n))).collect();
    let available = || number("/proc/meminfo", "MemAvailable:");
    let before = available();
    let more: Vec<_> =
        (0..MANY).map(|n| connect(&server, &client, &format!("10.9.0.1:{}", 53_100 + n))).collect();
    let each = before.saturating_sub(available()) / (2 * u64::from(MANY));
    println!("{each} KiB for each end");
    assert!(each < 256, "{each} KiB for each end of an idle connection");
    drop((all, more));
}
