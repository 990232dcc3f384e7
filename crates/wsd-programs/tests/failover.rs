//! Fail-over: while both ends send, the link between them is cut and restored, again and again.

use std::time::Duration;
use wsd_programs::{Process, Program, Scene, Sides, until, wait_listening};

/// What arrives at either end of the link is thrown away, without a word to anybody, by a filter for which the bed has a place. (Soft
/// RoCE's queue pair for rdma_cm does not survive the first packet that the sender's own kernel refuses, be it that an interface which
/// is down has no route, or that its queueing discipline is being exchanged.)
const CUT: &str = "tc filter add dev rdma0 ingress pref 1 matchall action drop";
const RESTORE: &str = "tc filter del dev rdma0 ingress pref 1";
/// Soft RoCE repeats slowly: with a hundredth of the packets lost a gigabyte takes six minutes. What loss does to the bytes is the
/// other tests' matter.
const LOSSLESS: &str = "tc qdisc change dev rdma0 root netem loss 0%";
const LOSSY: &str = "tc qdisc change dev rdma0 root netem loss 1%";
const CUTS: u64 = 5;
/// Bytes in each direction around each cut: 1 GB each way in all.
const LENGTH: u64 = 200_000_000;
/// The device repeats for so long before it gives a connection up, and then some.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// At both ends of the link.
fn link(scene: &Scene, what: &str) {
    let change = Program::named("sh").args(["-c", what]);
    for end in [scene.plain(&change), scene.plain_client(&change)] {
        end.finish();
    }
}

/// Bytes that both ends have received, in both directions.
fn carried(scene: &Scene, port: u16) -> u64 {
    scene.ends(port).iter().map(|end| end.san_bytes_received + end.tcp_bytes_received).sum()
}

/// Until both ends are promoted.
fn converse(scene: &Scene, port: u16, server: &mut Process, client: &mut Process) {
    scene.await_promotion(port, 2, || {
        server.tell("echo 20");
        assert_eq!(client.ask("ping 20"), "exchanged 20 ok");
        assert_eq!(server.hear(), "exchanged 20 ok");
    });
}

/// Nothing is lost or doubled, whichever way it went.
#[test]
#[ignore = "needs a link to cut: `cargo xtask test --only rdma` has one"]
fn link_is_cut_five_times() {
    let scene = Scene::new(Sides::Both);
    let port = scene.port();
    let puppet = Program::at(env!("CARGO_BIN_EXE_wsd-puppet").as_ref());
    let puppet = puppet.arg(scene.address()).arg(port).piped();
    let (mut server, mut client) = (scene.server(&puppet), scene.client(&puppet));
    assert_eq!(server.ask("listen"), "listening");
    wait_listening(port);
    assert!(client.ask("connect").starts_with("connected"));
    assert_eq!(server.ask("accept"), "accepted");
    converse(&scene, port, &mut server, &mut client);
    link(&scene, LOSSLESS);
    for cut in 1..=CUTS {
        let before = carried(&scene, port);
        for end in [&mut server, &mut client] {
            end.tell(&format!("both {LENGTH}"));
        }
        until(Duration::from_secs(300), "the midst of the streams", || {
            (carried(&scene, port) > before + LENGTH).then_some(())
        });
        link(&scene, CUT);
        // An end that has nothing under way learns of it later, by itself if it must: the first time both have to.
        let wanted = if cut == 1 { 2 } else { 1 };
        let stopped = until(GIVEN_UP, "the way back to TCP", || {
            let mut ends = scene.ends(port);
            ends.retain(|end| !end.is_promoted());
            (ends.len() >= wanted).then_some(ends)
        });
        assert!(stopped.iter().all(|end| end.reason.is_some()), "no reason: {stopped:?}");
        link(&scene, RESTORE);
        for end in [&mut server, &mut client] {
            assert_eq!(end.hear(), format!("exchanged {LENGTH} ok"), "cut {cut}");
        }
        converse(&scene, port, &mut server, &mut client);
    }
    link(&scene, LOSSY);
}
