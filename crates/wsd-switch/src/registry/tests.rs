//! Which provider serves which address, with providers whose addresses are the test's.

mod provider;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use provider::{ENTRIES, World};

/// Providers of the test, in the order of a configuration.
fn providers(worlds: &[&'static World]) -> Providers {
    let names = ["first", "second"];
    let built_in = names.into_iter().zip(ENTRIES).collect();
    let listed: Vec<ProviderEntry> = worlds
        .iter()
        .map(|world| ProviderEntry { name: names[world.number].to_owned(), library: None })
        .collect();
    Providers::of(listed.iter(), &built_in)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn name(text: &str) -> SocketAddr {
    SocketAddr::new(ip(text), 80)
}

/// SW-023.
#[test]
fn failing_one_is_left_out() {
    let ([first, second], _turn) = provider::worlds();
    first.serves(&["10.0.0.1"]);
    second.serves(&["10.0.0.1"]);
    for fails in [&first.fails_to_start, &first.fails_to_list] {
        fails.store(true, Relaxed);
        let providers = providers(&[first, second]);
        fails.store(false, Relaxed);
        assert_eq!(providers.list.len(), 1);
        assert_eq!(providers.get(0).map(|started| started.name.as_str()), Some("second"));
    }
}

/// SW-030.
#[test]
fn masks_are_those_of_tcp() {
    let ([first, _], _turn) = provider::worlds();
    first.serves(&["127.0.0.1", "10.1.2.3"]);
    let providers = providers(&[first]);
    let reached = |local, peer| providers.for_destination(ip(local), ip(peer)).is_some();
    assert!(reached("127.0.0.1", "127.7.7.7"), "TCP has eight bits there");
    assert!(!reached("127.0.0.1", "128.0.0.1"));
    assert!(reached("10.1.2.3", "10.1.2.3"));
    assert!(!reached("10.1.2.3", "10.1.2.4"), "TCP does not have the address");
    assert!(!reached("10.9.9.9", "127.0.0.1"), "not the provider's");
}

/// Another host is reached through a NIC on its network, by a provider that maps no memory.
#[test]
fn hosts_are_reached_on_the_networks_of_nics() {
    let ([first, second], _turn) = provider::worlds();
    // TCP has eight bits of this one.
    first.serves(&["127.0.0.1"]);
    second.serves(&["10.1.2.3"]);
    let providers = providers(&[first, second]);
    let reached = |local, peer| providers.between_hosts(name(local), name(peer));
    assert_eq!(reached("127.0.0.1", "127.7.7.7"), Some(0));
    assert_eq!(reached("127.0.0.1", "10.1.2.4"), None, "another network");
    assert_eq!(
        reached("10.1.2.3", "10.1.2.4"),
        None,
        "of an address that TCP does not have nothing is known"
    );
    assert_eq!(reached("10.9.9.9", "127.7.7.7"), None, "not from an address of the provider's");
}

/// SW-031, SW-033: a vanished address gets no new connections, a new one does.
#[test]
fn everybody_is_asked_after_a_change() {
    let ([first, second], _turn) = provider::worlds();
    first.serves(&["10.0.0.1"]);
    second.serves(&["10.0.0.2"]);
    let mut providers = providers(&[first, second]);
    let asked = [first, second].map(|world| world.asked.load(Relaxed));
    first.serves(&["10.0.0.3"]);
    second.serves(&["10.0.0.2", "10.0.0.4"]);
    providers.refresh_addresses();
    for (world, before) in [first, second].iter().zip(asked) {
        assert!(world.asked.load(Relaxed) > before);
    }
    let serving = |text| providers.for_addresses(name(text), name(text));
    assert_eq!(
        ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"].map(serving),
        [None, Some(1), Some(0), Some(1)]
    );
    assert_eq!(providers.for_listener(ip("10.0.0.1")), [0; 0]);
    assert_eq!(providers.for_listener(ip("10.0.0.4")), [1]);
}

/// SW-034.
#[test]
fn first_in_the_list_is_chosen() {
    let ([first, second], _turn) = provider::worlds();
    first.serves(&["10.0.0.1"]);
    second.serves(&["10.0.0.1"]);
    for (list, chosen) in [([first, second], "first"), ([second, first], "second")] {
        let providers = providers(&list);
        let found = [
            providers.for_addresses(name("10.0.0.1"), name("10.0.0.1")),
            providers.for_destination(ip("10.0.0.1"), ip("10.0.0.1")),
            providers.for_listener(ip("10.0.0.1")).first().copied(),
        ];
        assert_eq!(found, [Some(0); 3]);
        assert_eq!(providers.get(0).map(|started| started.name.as_str()), Some(chosen));
    }
}
