//! A process whose connections are promoted forks.

use std::collections::BTreeSet;
use std::time::Duration;

use wsd_programs::{Program, Scene, Seen, Sides, until, wait_listening};

/// Longest wait for what needs no traffic any more.
const LIMIT: Duration = Duration::from_secs(60);

/// SP-213: the child starts its providers anew, and its own connections are promoted too.
#[test]
fn child_has_connections_of_its_own() {
    let scene = Scene::new(Sides::Both);
    let port = scene.port();
    let _server = scene.server(
        &Program::python(include_str!("../scripts/asyncio_server.py")).arg(scene.address()).arg(port),
    );
    wait_listening(port);
    let client =
        Program::python(include_str!("../scripts/forking_client.py")).arg(scene.address()).arg(port).piped();
    let mut client = scene.client(&client);
    scene.await_promotion(port, 2, || assert_eq!(client.ask("20"), "exchanged"));
    assert_eq!(client.ask("fork"), "forked");
    let watch = scene.watch(&[port]);
    until(LIMIT, "three promoted connections", || (promoted(&watch.so_far(), port).len() >= 3).then_some(()));
    watch.settle();
    let seen = watch.stop();
    client.tell("");
    client.finish();
    assert_eq!(promoted(&seen, port).len(), 3, "{:#?}", seen.connections);
}

/// The addresses of the clients' promoted connections.
fn promoted(seen: &Seen, port: u16) -> BTreeSet<&str> {
    seen.connections
        .values()
        .map(|observed| &observed.connection)
        .filter(|end| end.is_promoted() && end.comm == "python3" && !end.is_served_on(&[port]))
        .map(|end| end.local.as_str())
        .collect()
}
