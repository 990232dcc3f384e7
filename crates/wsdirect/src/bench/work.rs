//! What a message makes the RDMA devices do, by their counters.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::pair::Pair;

const DEVICES: &str = "/sys/class/infiniband";

/// For each message of a program.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct PerMessage {
    /// Sends that completed. One-sided operations are not among them, but their packets are.
    pub(crate) sends: f64,
    /// Receives that completed.
    pub(crate) receives: f64,
    /// Packets sent, acknowledgements included.
    pub(crate) packets: f64,
}

/// Counters of soft RoCE, added up over the devices of this host, and the bytes that a pair has exchanged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    sends: u64,
    receives: u64,
    packets: u64,
    bytes: u64,
}

impl Counters {
    /// As they are; none where devices do not count these.
    pub(crate) fn now(pair: &Pair) -> Option<Self> {
        let bytes = pair.connections()?.iter().map(|connection| connection.san_bytes_sent).sum();
        let sum = |name| sum(Path::new(DEVICES), name);
        Some(Self {
            sends: sum("rdma_sends")?,
            receives: sum("rdma_recvs")?,
            packets: sum("sent_pkts")?,
            bytes,
        })
    }

    /// What messages of this size took from then to `later`.
    pub(crate) fn per_message(&self, later: &Self, size: usize) -> Option<PerMessage> {
        let messages = later.bytes.checked_sub(self.bytes)? as f64 / size as f64;
        let per =
            |before: u64, after: u64| (messages > 0.0).then(|| after.wrapping_sub(before) as f64 / messages);
        Some(PerMessage {
            sends: per(self.sends, later.sends)?,
            receives: per(self.receives, later.receives)?,
            packets: per(self.packets, later.packets)?,
        })
    }
}

/// The sum of a counter over all ports of all devices that have it.
fn sum(devices: &Path, name: &str) -> Option<u64> {
    let ports = fs::read_dir(devices)
        .ok()?
        .flatten()
        .filter_map(|device| fs::read_dir(device.path().join("ports")).ok());
    let counters = ports.flatten().flatten().filter_map(|port| {
        fs::read_to_string(port.path().join("hw_counters").join(name)).ok()?.trim().parse::<u64>().ok()
    });
    counters.reduce(u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_all_ports_are_added_up() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(sum(folder.path(), "rdma_sends"), None);
        for (device, count) in [("one", "5\n"), ("other", "7\n")] {
            let port = folder.path().join(device).join("ports/1/hw_counters");
            fs::create_dir_all(&port).expect("a folder");
            fs::write(port.join("rdma_sends"), count).expect("a file");
        }
        assert_eq!(sum(folder.path(), "rdma_sends"), Some(12));
        assert_eq!(sum(folder.path(), "rdma_recvs"), None);
    }

    #[test]
    fn one_send_and_one_receive_for_each_message() {
        let before = Counters { sends: 10, receives: 10, packets: 40, bytes: 640 };
        let later = Counters { sends: 110, receives: 110, packets: 240, bytes: 7040 };
        let expected = PerMessage { sends: 1.0, receives: 1.0, packets: 2.0 };
        assert_eq!(before.per_message(&later, 64), Some(expected));
        assert_eq!(before.per_message(&before, 64), None);
    }
}
