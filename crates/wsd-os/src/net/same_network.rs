//! Networks and their addresses.

use std::net::IpAddr;

/// Whether the first `prefix_len` bits of both addresses are the same.
pub fn same_network(one: IpAddr, other: IpAddr, prefix_len: u8) -> bool {
    let shared = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u32::from(one) ^ u32::from(other)).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (u128::from(one) ^ u128::from(other)).leading_zeros(),
        _ => return false,
    };
    shared >= u32::from(prefix_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn networks_are_told_by_their_leading_bits() {
        assert!(same_network(ip("127.0.0.1"), ip("127.9.8.7"), 8));
        assert!(!same_network(ip("10.0.0.1"), ip("10.0.1.1"), 24));
        assert!(same_network(ip("10.0.0.1"), ip("10.0.1.1"), 0));
        assert!(same_network(ip("fe80::1"), ip("fe80::2"), 64));
        assert!(!same_network(ip("::1"), ip("::2"), 128));
        assert!(!same_network(ip("::1"), ip("127.0.0.1"), 0));
    }
}
