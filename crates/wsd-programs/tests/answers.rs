//! A server that never blocks answers while its connections are being promoted: whoever waits until more can be sent is told of
//! the room in the ring (SW-172), whatever it waits by.

use wsd_programs::{Program, Scene, Sides, wait_listening};

/// Each is promoted at a moment of its own.
const CONNECTIONS: usize = 80;

fn answers(wait: &str) {
    let scene = Scene::new(Sides::Both);
    let port = scene.port();
    let server = Program::python(include_str!("../scripts/answering_server.py")).arg(port).arg(wait);
    let _server = scene.server(&server);
    wait_listening(port);
    let client = Program::python(include_str!("../scripts/asking_client.py")).arg(port).arg(CONNECTIONS);
    assert_eq!(scene.client(&client).finish_text(), "all answered\n");
}

#[test]
fn level_triggered() {
    answers("level");
}

#[test]
fn edge_triggered() {
    answers("edge");
}

#[test]
fn poll() {
    answers("poll");
}

#[test]
fn select() {
    answers("select");
}
