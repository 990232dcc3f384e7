//! Descriptors that a process has for the memory of its connections.

use super::{Other, duplicate, listeners};
use crate::support::eventually;

/// Connections of a test, one after the other.
const CONNECTIONS: usize = 40;
/// Those that may be ending at a time, and so have numbers of their own.
const ENDING: usize = 15;

fn memories(process: &Other) -> usize {
    let folder = std::fs::read_dir(format!("/proc/{}/fd", process.child.id())).expect("a process");
    let links = folder.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().contains("wsdirect-pump")).count()
}

/// Ends go on a moment after the programs have been told.
fn assert_few_left(process: &Other) {
    eventually("the memory of ended connections goes", || {
        (1..=ENDING).contains(&memories(process)).then_some(())
    });
}

/// A connection's memory goes with it, at the latest when another connection takes its number: at both ends.
#[test]
fn of_ended_connections() {
    let scene = listeners::Scene::new();
    let [mut server, mut client] = ["server", "client"].map(|name| scene.actor(name, ""));
    let address = server.does("listen");
    assert_eq!(server.does(format!("serve {CONNECTIONS}")), "serving");
    assert_eq!(client.does(format!("ask {address} {CONNECTIONS}")), "done");
    assert_eq!(server.hear(), "served");
    for process in [server, client] {
        assert_few_left(&process);
        process.end();
    }
}

/// Likewise of connections that a process got by duplication.
#[test]
fn of_duplicates() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mut one, mut two, mut peer] = duplicate::actors(folder.path());
    let address = peer.does("listen");
    assert_eq!(one.does(format!("connect {address}")), "done");
    assert_eq!(peer.does("accept"), "done");
    for _ in 0..CONNECTIONS {
        duplicate::duplicate(&mut one, &mut two);
        assert_eq!(two.does("close"), "done");
    }
    assert_few_left(&two);
    [one, two, peer].into_iter().for_each(Other::end);
}
