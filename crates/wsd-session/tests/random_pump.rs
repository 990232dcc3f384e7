//! The stream through the pump: every byte in order and exactly once, whatever the sizes, delays and RDMA variant,
//! and never a standstill (SW-110..118, SW-160).

mod common;
mod pump_world;

use common::parameters;
use proptest::prelude::*;
use pump_world::{Sizes, World};
use wsd_session::{Capabilities, Parameters};

#[derive(Debug, Clone)]
enum Act {
    Write(u16),
    Take(u16),
    Serve,
    Deliver,
    Complete,
    Repost,
}

fn act() -> impl Strategy<Value = (bool, Act)> {
    let act = prop_oneof![
        3 => (1..900_u16).prop_map(Act::Write),
        3 => (1..900_u16).prop_map(Act::Take),
        6 => Just(Act::Serve),
        6 => Just(Act::Deliver),
        4 => Just(Act::Complete),
        4 => Just(Act::Repost),
    ];
    (any::<bool>(), act)
}

fn end_parameters() -> impl Strategy<Value = Parameters> {
    let rdma = (any::<bool>(), 1..200_u32, 0..300_u32, prop_oneof![4 => Just(12_u16), 1 => Just(0_u16)]);
    (rdma, 256..400_u16).prop_map(|((read, max_rdma, threshold, descriptor), buffer_length)| Parameters {
        capabilities: if read { Capabilities::RDMA_READ } else { Capabilities::default() },
        max_rdma,
        threshold,
        rdma_descriptor_length: descriptor,
        buffer_length,
        ..parameters()
    })
}

fn sizes() -> impl Strategy<Value = Sizes> {
    let rings = (500..2000_usize, 1..2000_usize);
    let own = (end_parameters(), end_parameters());
    (own, 4..9_u16, 1..400_usize, rings, 0..5000_u64, 0..5000_u64).prop_map(
        |((a, b), receives, max_data, (send_ring, receive_ring), s, t)| Sizes {
            own: [a, b],
            receives,
            max_data,
            send_ring,
            receive_ring,
            start: [s, t],
        },
    )
}

fn perform(world: &mut World, me: usize, act: &Act) {
    match *act {
        Act::Write(count) => world.write(me, u64::from(count)),
        Act::Take(count) => drop(world.take(me, u64::from(count))),
        Act::Serve => drop(world.serve(me)),
        Act::Deliver => drop(world.deliver(me)),
        Act::Complete => drop(world.complete(me)),
        Act::Repost => world.repost(me),
    }
}

fn all_arrived(world: &World) {
    let [x, y] = &world.ends;
    assert_eq!(x.written, y.taken, "bytes are stuck");
    assert_eq!(y.written, x.taken, "bytes are stuck");
    for end in &world.ends {
        assert!(end.session.may_send_data(), "out of credit for ever (SW-112)");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_arrive_in_order_and_once(
        sizes in sizes(),
        acts in prop::collection::vec(act(), 0..400),
    ) {
        let mut world = World::new(&sizes);
        for (side, act) in &acts {
            perform(&mut world, usize::from(*side), act);
        }
        world.settle();
        for me in [0, 1] {
            world.write_all(me, 3000);
            world.finish(me);
        }
        world.settle();
        all_arrived(&world);
        let [x, y] = &world.ends;
        prop_assert_eq!(x.end, Some(y.written), "SW-160");
        prop_assert_eq!(y.end, Some(x.written), "SW-160");
    }

    /// Section 6: the rest of the stream goes back to TCP, nothing is lost or doubled.
    #[test]
    fn demotion_keeps_the_stream(
        sizes in sizes(),
        before in prop::collection::vec(act(), 0..200),
        which in any::<bool>(),
        after in prop::collection::vec(act(), 0..100),
    ) {
        let mut world = World::new(&sizes);
        for (side, act) in &before {
            perform(&mut world, usize::from(*side), act);
        }
        let me = usize::from(which);
        world.freeze(me);
        for (side, act) in &after {
            perform(&mut world, usize::from(*side), act);
        }
        world.settle();
        all_arrived(&world);
        world.freeze(me);
        world.settle();
        prop_assert!(world.ends[1 - me].demoted);
        all_arrived(&world);
    }
}
