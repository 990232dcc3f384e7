//! The names of other processes' TCP connections.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use wsd_os::diag::{self, HeldSocket};

/// The network namespaces seen so far, each read once: their tables may be long.
#[derive(Default)]
pub(super) struct Namespaces(HashMap<PathBuf, Sockets>);

impl Namespaces {
    /// The sockets in the process's namespace. As of a moment ago: a connection made meanwhile is not shown.
    pub(super) fn sockets(&mut self, pid: u32) -> &Sockets {
        // What ends meanwhile has no namespace; nobody else is taken to be in it.
        let name = namespace(&pid.to_string()).unwrap_or_else(|| pid.to_string().into());
        self.0.entry(name).or_insert_with_key(|name| {
            let own = namespace("self").as_ref() == Some(name);
            let held = own.then(diag::held_tcp).and_then(Result::ok);
            held.map_or_else(|| Sockets::of(pid), Sockets::from)
        })
    }
}

fn namespace(process: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/net")).ok()
}

/// Names of the TCP sockets in a network namespace that some process holds, by inode.
pub(super) struct Sockets(HashMap<u32, (SocketAddr, SocketAddr)>);

impl From<Vec<HeldSocket>> for Sockets {
    fn from(held: Vec<HeldSocket>) -> Self {
        Self(held.into_iter().map(|socket| (socket.inode, (socket.local, socket.peer))).collect())
    }
}

impl Sockets {
    /// From the process's view of its namespace, which need not be the caller's; slow where many connections are in `TIME_WAIT`.
    fn of(pid: u32) -> Self {
        let mut sockets = HashMap::new();
        for file in ["tcp", "tcp6"] {
            let text = fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default();
            sockets.extend(text.lines().skip(1).filter_map(socket_line));
        }
        Self(sockets)
    }

    pub(super) fn names(&self, pid: u32, fd: i32) -> Option<(SocketAddr, SocketAddr)> {
        let link = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        self.0.get(&inode).copied()
    }
}

/// `sl local remote state ... inode`, addresses in hexadecimal words of the host's byte order.
fn socket_line(line: &str) -> Option<(u32, (SocketAddr, SocketAddr))> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    // Those that wait for their time to pass are nobody's.
    let inode = fields.get(9)?.parse().ok().filter(|inode| *inode != 0)?;
    Some((inode, (address(fields.get(1)?)?, address(fields.get(2)?)?)))
}

fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words: Vec<u32> = (0..ip.len() / 8)
        .map(|n| u32::from_str_radix(&ip[n * 8..n * 8 + 8], 16).ok())
        .collect::<Option<_>>()?;
    let octets: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let ip = match octets.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?)),
        16 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    #[test]
    fn the_kernels_table_is_read() {
        let line = "   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 20";
        let (inode, (local, peer)) = socket_line(line).expect("a line");
        assert_eq!(inode, 4711);
        assert_eq!(local, "127.0.0.1:8080".parse().expect("an address"));
        assert_eq!(peer.port(), 0xD431);
        let mapped = address("0000000000000000FFFF00000100007F:0016").expect("an address");
        assert_eq!(mapped, "127.0.0.1:22".parse().expect("an address"));
        assert_eq!(socket_line(&line.replace("4711", "0")), None, "TIME_WAIT");
    }

    #[test]
    fn a_namespace_is_read_once() {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (mut namespaces, pid) = (Namespaces::default(), std::process::id());
        let first = listen();
        assert!(namespaces.sockets(pid).names(pid, first.as_raw_fd()).is_some());
        let later = listen();
        assert!(namespaces.sockets(pid).names(pid, first.as_raw_fd()).is_some());
        assert_eq!(namespaces.sockets(pid).names(pid, later.as_raw_fd()), None);
        assert!(Namespaces::default().sockets(pid).names(pid, later.as_raw_fd()).is_some());
        assert!(Sockets::of(pid).names(pid, later.as_raw_fd()).is_some(), "as for another namespace");
        assert_eq!(namespaces.0.len(), 1);
    }
}
