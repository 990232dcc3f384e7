//! Addresses of the host that come and go. The test that changes them runs in a network namespace of its own.

mod support;

use std::process::Command;

use support::{address, sides};
use wsd_spi::WsaError;

/// `ip` with these words; whether it did that.
fn ip(words: &str) -> bool {
    let status = Command::new("ip").args(words.split(' ')).status();
    status.is_ok_and(|status| status.success())
}

/// SP-200, SP-103: the provider serves what the host has at that moment.
#[test]
fn come_and_go() {
    let unshare = |program: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", program]);
        command
    };
    let possible = unshare("ip").args(["link", "set", "lo", "up"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no network namespace, or no ip");
        return;
    }
    let own = std::env::current_exe().expect("a test has a path");
    let inside = unshare(own.to_str().expect("text")).args(["--exact", "inside", "--ignored"]).output();
    let inside = inside.expect("unshare runs");
    let said = String::from_utf8_lossy(&inside.stdout);
    assert!(inside.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "runs in a namespace"]
fn inside() {
    let [side] = sides();
    let name = address("10.77.0.1:0");
    let asking = side.socket();
    let has = || asking.address_list().expect("a list").contains(&name);
    let bind = || side.socket().bind(&address("10.77.0.1:80"));
    let absent = Err(WsaError::WSAEADDRNOTAVAIL);
    assert_eq!((has(), bind()), (false, absent));
    assert!(ip("link set lo up") && ip("addr add 10.77.0.1/24 dev lo"));
    assert_eq!((has(), bind()), (true, Ok(())));
    assert!(ip("addr del 10.77.0.1/24 dev lo"));
    assert_eq!((has(), bind()), (false, absent));
}
