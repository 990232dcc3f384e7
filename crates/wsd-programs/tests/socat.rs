//! socat to socat: one long stream in one direction.

use wsd_programs::{
    Expected, Program, RandomStream, Scene, Sides, copy_hashed, sha256_of, three_ways, wait_listening,
};

fn random_data_arrives(scene: &Scene) {
    let length: u64 = if scene.sides() == Sides::Both { 1 << 30 } else { 1 << 28 };
    let port = scene.port();
    let socat = Program::named("socat").args(["-u", "-b", "131072"]).piped();
    let listening = format!("TCP-LISTEN:{port},bind=127.0.0.1");
    let mut receiver = scene.server(&socat.clone().args([listening.as_str(), "STDOUT"]));
    wait_listening(port);
    let watch = scene.watch(&[port]);
    let mut sender = scene.client(&socat.arg("STDIN").arg(format!("TCP:127.0.0.1:{port}")));
    let (input, output) = (sender.take_input(), receiver.take_output());
    let source = RandomStream::new(u64::from(port), length);
    let feeding = std::thread::spawn(move || copy_hashed(source, input));
    let received = sha256_of(output).expect("a pipe");
    let sent = feeding.join().expect("no panic").expect("a pipe");
    let seen = watch.stop();
    sender.finish();
    receiver.finish();
    assert_eq!(received, sent);
    scene.judge(&seen, &Expected { connections: 1, busy: length / 4, payload: length });
}

three_ways!(random_data_arrives);
