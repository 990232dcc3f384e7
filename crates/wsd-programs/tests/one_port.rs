//! Connections from one local address and port to different peers, as the kernel makes them when a host has many: both are
//! promoted (SW-043, SW-060: each companion has the name of its socket).

use wsd_programs::{Process, Program, Scene, Sides, wait_listening};

fn server(port: u16) -> Program {
    Program::python(include_str!("../scripts/idle_server.py")).arg(port)
}

/// A client of both servers, connected.
fn client(scene: &Scene, ports: [u16; 2]) -> Process {
    ports.iter().for_each(|port| wait_listening(*port));
    let client = Program::python(concat!(
        include_str!("../scripts/one_port_client.py"),
        include_str!("../scripts/exchange_for_lines.py")
    ));
    let mut client = scene.client(&client.args(ports.map(|port| port.to_string())).piped());
    assert_eq!(client.hear(), "connected");
    client
}

#[test]
fn both_are_promoted() {
    let scene = Scene::new(Sides::Both);
    let ports = [scene.port(), scene.port()];
    let _servers = ports.map(|port| scene.server(&server(port)));
    let mut client = client(&scene, ports);
    for port in ports {
        scene.await_promotion(port, 2, || assert_eq!(client.ask("2"), "exchanged"));
    }
}

/// The companion of the first waits for a while, since it has no peer, and has the name for so long.
#[test]
fn one_stays_on_tcp() {
    let scene = Scene::new(Sides::Both);
    let ports = [scene.port(), scene.port()];
    let _servers = [scene.plain(&server(ports[0])), scene.server(&server(ports[1]))];
    let mut client = client(&scene, ports);
    scene.await_promotion(ports[1], 2, || assert_eq!(client.ask("2"), "exchanged"));
}
