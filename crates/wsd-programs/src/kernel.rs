//! What the kernel's TCP carried, as `ss` tells of each socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;

/// Payload bytes of one kernel socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sent, with repetitions.
    pub sent: u64,
    /// Sent and acknowledged.
    pub acked: u64,
    /// Received.
    pub received: u64,
}

/// Kernel sockets by own and peer address.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    sockets: BTreeMap<(SocketAddr, SocketAddr), Counts>,
}

impl Kernel {
    /// The sockets with one of these ports at either end.
    ///
    /// # Errors
    ///
    /// What went wrong, for a test's message.
    pub fn now(ports: &[u16]) -> Result<Self, String> {
        let ends: Vec<String> =
            ports.iter().map(|port| format!("sport = :{port} or dport = :{port}")).collect();
        let filter = format!("( {} )", ends.join(" or "));
        let output =
            Command::new("ss").args(["-tinHO", &filter]).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!(
                "ss ended with {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        Ok(Self::read(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Read what `ss -tinHO` printed.
    #[must_use]
    pub fn read(printed: &str) -> Self {
        Self { sockets: printed.lines().filter_map(socket).collect() }
    }

    /// Take what a later look saw. A socket that is closing may tell less than it did.
    pub fn update(&mut self, later: Self) {
        for (ends, counts) in later.sockets {
            let known = self.sockets.entry(ends).or_default();
            known.sent = known.sent.max(counts.sent);
            known.acked = known.acked.max(counts.acked);
            known.received = known.received.max(counts.received);
        }
    }

    /// How many sockets were seen.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Bytes that went from one end to the other, over all connections and both directions.
    #[must_use]
    pub fn carried(&self) -> u64 {
        let mut flows: BTreeMap<(SocketAddr, SocketAddr), u64> = BTreeMap::new();
        for ((local, peer), counts) in &self.sockets {
            for (flow, bytes) in [((*local, *peer), counts.acked), ((*peer, *local), counts.received)] {
                let most = flows.entry(flow).or_default();
                *most = bytes.max(*most);
            }
        }
        flows.values().sum()
    }
}

/// One line: state, two queues, own address, peer address, then numbers with names.
fn socket(line: &str) -> Option<((SocketAddr, SocketAddr), Counts)> {
    let mut words = line.split_whitespace().skip(3);
    let local = address(words.next()?)?;
    let peer = address(words.next()?)?;
    let mut counts = Counts::default();
    for word in words {
        let Some((name, number)) = word.split_once(':') else { continue };
        let place = match name {
            "bytes_sent" => &mut counts.sent,
            "bytes_acked" => &mut counts.acked,
            "bytes_received" => &mut counts.received,
            _ => continue,
        };
        *place = number.parse().ok()?;
    }
    Some(((local, peer), counts))
}

/// An address, with IPv4 inside IPv6 taken as IPv4.
fn address(text: &str) -> Option<SocketAddr> {
    let address: SocketAddr = text.parse().ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn reads_what_ss_prints() {
        let printed = "ESTAB 0 0 127.0.0.1:40022 127.0.0.1:6379 cubic rtt:0.01/0.005 bytes_sent:2901 \
             bytes_retrans:1 bytes_acked:2900 bytes_received:41 segs_out:31 send 9362Mbps\n\
             TIME-WAIT 0 0 127.0.0.1:1 127.0.0.1:6379\n\
             ESTAB 0 0 [::ffff:127.0.0.1]:6379 [::ffff:127.0.0.1]:40022 bytes_received:2888 bytes_acked:99";
        let kernel = Kernel::read(printed);
        assert_eq!(kernel.sockets(), 3);
        assert_eq!(kernel.carried(), 2900 + 99);
    }

    #[test]
    fn counts_a_real_connection() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let mut one = TcpStream::connect(("127.0.0.1", port)).expect("a listener");
        let (mut other, _) = listener.accept().expect("a connection");
        one.write_all(&[7; 1000]).expect("room");
        other.read_exact(&mut [0; 1000]).expect("bytes");
        let kernel = Kernel::now(&[port]).expect("ss works");
        let carried = kernel.carried();
        assert!((1000..=1002).contains(&carried), "{carried} by {kernel:?}");
    }
}
