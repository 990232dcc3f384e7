//! The test bed itself: clients run where they should, and RDMA reaches them.
//!
//! In beds of `cargo xtask rdma`, by `cargo xtask test --only rdma`.

use std::time::Duration;
use wsd_programs::{Program, Scene, Sides, until, wait_listening};

#[test]
fn conversation_between_both_places() {
    // Clients are plain, the server is helped by nobody.
    let scene = Scene::new(Sides::Server);
    let port = scene.port();
    let puppet = Program::at(env!("CARGO_BIN_EXE_wsd-puppet").as_ref());
    let puppet = puppet.arg(scene.address()).arg(port).piped();
    let (mut server, mut client) = (scene.plain(&puppet), scene.client(&puppet));
    assert_eq!(server.ask("listen"), "listening");
    wait_listening(port);
    assert!(client.ask("connect").starts_with("connected"));
    assert_eq!(server.ask("accept"), "accepted");
    for end in [&mut server, &mut client] {
        end.tell("both 5000000");
    }
    for end in [&mut server, &mut client] {
        assert_eq!(end.hear(), "exchanged 5000000 ok");
    }
    assert!(client.finish().is_empty());
}

/// A client's output, errors and exit status come from where it ran.
#[test]
fn outcome_of_a_client_is_seen() {
    let scene = Scene::new(Sides::Server);
    let script = |text: &str| Program::named("sh").args(["-c", text]).env("WORD", "two words");
    assert_eq!(scene.client(&script("echo \"$WORD\"")).finish_text(), "two words\n");
    let mut failing = scene.client(&script("echo complaint >&2; exit 3"));
    assert_eq!(failing.wait(Duration::from_secs(20)).code(), Some(3));
    until(Duration::from_secs(5), "what it complained of", || {
        failing.log().contains("complaint").then_some(())
    });
}

#[test]
#[ignore = "needs an RDMA device: `cargo xtask test --only rdma` has one"]
fn rdma_reaches_clients() {
    let scene = Scene::new(Sides::Server);
    let rping = Program::named("rping").arg("-a").arg(scene.address()).arg("-p").arg(scene.port());
    let _server = scene.plain(&rping.clone().args(["-s", "-P"]));
    // It does not tell when it listens; who comes before is refused.
    until(Duration::from_secs(60), "RDMA", || {
        let mut client = scene.client(&rping.clone().args(["-c", "-C", "5"]));
        client.wait(Duration::from_secs(60)).success().then_some(())
    });
}
