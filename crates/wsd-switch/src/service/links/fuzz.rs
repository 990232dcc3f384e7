//! A process that may connect to the switch link and say anything there, with any descriptors.

use proptest::prelude::*;
use wsd_os::memory::SharedRegion;

use super::*;

/// What a hostile process sends.
#[derive(Clone, Debug)]
struct Said {
    bytes: Vec<u8>,
    carries: Carries,
}

#[derive(Clone, Copy, Debug)]
enum Carries {
    Nothing,
    /// A page as it has to be.
    Page,
    /// Memory that could be shortened.
    Unsealed,
    Short,
    /// No memory.
    Socket,
    Two,
}

fn carries() -> impl Strategy<Value = Carries> {
    use Carries::{Nothing, Page, Short, Socket, Two, Unsealed};
    prop_oneof![4 => Just(Nothing), 4 => Just(Page), 1 => Just(Unsealed), 1 => Just(Short), 1 => Just(Socket), 1 => Just(Two)]
}

/// A message that is right but for a few changes. Where the receiver's token belongs, there are zeros: see [`say`].
fn said() -> impl Strategy<Value = Said> {
    let hello = (prop_oneof![9 => Just(VERSION), 1 => any::<u32>()], 0..3_u8).prop_map(|(version, from)| {
        [&HELLO.to_le_bytes()[..], &version.to_le_bytes(), &[from; 16], &[0; 16]].concat()
    });
    let other = (0..6_u32, any::<u64>())
        .prop_map(|(kind, key)| [&kind.to_le_bytes()[..], &key.to_le_bytes()].concat());
    let rubbish = prop::collection::vec(any::<u8>(), 0..80);
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let cut = prop_oneof![9 => Just(usize::MAX), 1 => 0..40_usize];
    let bytes = prop_oneof![4 => hello, 6 => other, 1 => rubbish];
    (bytes, prop::option::weighted(0.1, change), cut, carries()).prop_map(
        |(mut bytes, change, cut, carries)| {
            if let Some((at, byte)) = change
                && !bytes.is_empty()
            {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut);
            Said { bytes, carries }
        },
    )
}

fn memory(length: usize, fixed_size: bool) -> OwnedFd {
    let options = RegionOptions { fixed_size, ..RegionOptions::default() };
    let mut region = SharedRegion::create(c"hostile", length, options).expect("memory");
    region.take_fd().expect("a new region has its descriptor")
}

/// Sends it, with the receiver's token at its place.
fn say(link: &Link, links: &Links, said: &Said) {
    let mut bytes = said.bytes.clone();
    if bytes.len() == 40 {
        bytes[24..].copy_from_slice(&links.own);
    }
    let fds = match said.carries {
        Carries::Nothing => vec![],
        Carries::Page => vec![memory(PAGE_BYTES, true)],
        Carries::Unsealed => vec![memory(PAGE_BYTES, false)],
        Carries::Short => vec![memory(4096, true)],
        Carries::Socket => vec![wsd_os::doorbell::event().expect("a descriptor")],
        Carries::Two => vec![memory(PAGE_BYTES, true), memory(PAGE_BYTES, true)],
    };
    let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(|fd| fd.as_fd()).collect();
    // The link may be over already.
    let _ = link.send(&bytes, &borrowed);
}

/// What is always true of the links, whatever was said.
fn check(links: &Links, arrivals: &[Arrival]) {
    for arrival in arrivals {
        let (Arrival::Peer(token)
        | Arrival::Hand { token, .. }
        | Arrival::GoFirst { token, .. }
        | Arrival::NoProof { token, .. }
        | Arrival::Lost(token)) = arrival;
        assert_ne!(*token, links.own, "nobody is taken for this process");
    }
    for open in links.open.values() {
        let known = open.token.is_some_and(|token| links.peers.contains_key(&token));
        assert!(!open.greeted || known, "who has introduced himself is known");
    }
    for (token, peer) in &links.peers {
        let own = links.open.values().filter(|open| open.token == Some(*token)).count();
        assert_eq!(own, peer.links as usize, "links are counted");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(300), failure_persistence: None, ..ProptestConfig::default() })]

    /// Session protocol, section 3: whatever strangers say on whatever links, in whatever order, they lose their own link
    /// at worst, nothing arrives before a Hello, and nothing is left of them.
    #[test]
    fn anything_may_be_said_on_links(all in prop::collection::vec((0..3_usize, said()), 1..30)) {
        // Another test of the process may have made the table.
        let _ = pair::start();
        let mut links = Links::new([0xAA; 16]).expect("a listener");
        let name = abstract_name(&links.name);
        let strangers: Vec<Link> = (0..3).map(|_| Link::connect(&name).expect("a listener")).collect();
        let ids = links.accept();
        prop_assert_eq!(ids.len(), 3);
        let mut arrivals = Vec::new();
        for (who, said) in &all {
            say(&strangers[*who], &links, said);
            let greeted: Vec<Token> =
                links.open.values().filter(|open| open.greeted).filter_map(|open| open.token).collect();
            let before = arrivals.len();
            links.read(ids[*who], &mut arrivals);
            for arrival in &arrivals[before..] {
                if let Arrival::Hand { token, .. } = arrival {
                    prop_assert!(greeted.contains(token), "a descriptor from a stranger");
                }
            }
            check(&links, &arrivals);
        }
        drop(strangers);
        for id in ids {
            links.read(id, &mut arrivals);
        }
        links.expire(u64::MAX, &mut arrivals);
        prop_assert!(links.open.is_empty() && links.peers.is_empty());
        let count = |peer: fn(&Arrival) -> bool| arrivals.iter().filter(|arrival| peer(arrival)).count();
        let made = count(|arrival| matches!(arrival, Arrival::Peer(_)));
        prop_assert!(count(|arrival| matches!(arrival, Arrival::Lost(_))) <= made + 3);
    }
}

/// A peer that says more than fits a turn is heard on, but not at the cost of others.
#[test]
fn a_turn_is_bounded() {
    let mut links = Links::new([0xBB; 16]).expect("a listener");
    let name = abstract_name(&links.name);
    let stranger = Link::connect(&name).expect("a listener");
    let id = links.accept()[0];
    // Known without a Hello, so that the test needs no pages.
    let open = links.open.get_mut(&id).expect("accepted");
    (open.token, open.greeted) = (Some([1; 16]), true);
    links.peer([1; 16]).expect("memory").links = 1;
    let message = [&GO_FIRST.to_le_bytes()[..], &[0; 8]].concat();
    let sent = (0..TURN * 2).take_while(|_| stranger.send(&message, &[]).is_ok()).count();
    assert!(sent > TURN, "the kernel's queue holds more than a turn");
    let mut arrivals = Vec::new();
    links.read(id, &mut arrivals);
    assert_eq!(arrivals.len(), TURN);
    while arrivals.len() < sent {
        links.read(id, &mut arrivals);
    }
}

/// Session protocol, section 3: a process whose thread is busy with other connections is no stranger who says nothing.
#[test]
fn busy_processes_meet() {
    // Another test of the process may have made the table.
    let _ = pair::start();
    let [mut one, mut other] = [0xC1, 0xC2].map(|own| Links::new([own; 16]).expect("a listener"));
    let mut arrivals = Vec::new();
    let to_other = one.connect(other.own, &other.name).expect("a listener").expect("a new link");
    let _silent = Link::connect(&abstract_name(&other.name)).expect("a listener");
    let late = clock::now_ns() + 3 * HELLO_WITHIN;
    // Neither thread has looked at its links meanwhile.
    one.expire(late, &mut arrivals);
    assert!(arrivals.is_empty(), "the other one has not had its time");
    let ids = other.accept();
    other.expire(late, &mut arrivals);
    assert!(matches!(arrivals[..], [Arrival::Peer(token)] if token == one.own));
    assert_eq!(other.open.keys().collect::<Vec<_>>(), [&ids[0]], "who is silent has gone");
    one.expire(u64::MAX, &mut arrivals);
    assert!(matches!(arrivals[1..], [Arrival::Peer(token)] if token == other.own));
    one.drop_link(to_other, &mut arrivals);
    other.read(ids[0], &mut arrivals);
    assert!(matches!(arrivals[2..], [Arrival::Lost(_), Arrival::Lost(_)]));
}
