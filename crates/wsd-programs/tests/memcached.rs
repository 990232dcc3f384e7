//! memcached, which gives up root, with a client that speaks its protocol.

use wsd_programs::{Expected, Program, Scene, User, three_ways, wait_listening};

fn values_are_read_back(scene: &Scene) {
    let port = scene.port();
    let mut server = Program::named("memcached").args(["-l", "127.0.0.1", "-U", "0", "-m", "128", "-t", "4"]);
    if User::reachable("nobody").is_some() {
        server = server.args(["-u", "nobody"]);
    }
    let _server = scene.server(&server.arg("-p").arg(port));
    wait_listening(port);
    let watch = scene.watch(&[port]);
    let client = Program::python(include_str!("../scripts/memcached.py")).arg(port).arg(2000).piped();
    let mut client = scene.client(&client);
    let payload = client.hear().parse().expect("a count");
    watch.settle();
    let seen = watch.stop();
    client.finish();
    scene.judge(&seen, &Expected { connections: 8, busy: 1_000_000, payload });
}

three_ways!(values_are_read_back);
