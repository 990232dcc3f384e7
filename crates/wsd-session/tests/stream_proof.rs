//! The proof between hosts: whose turn it is, what is right, and what ends the session (section 9).
#![allow(missing_docs)]

mod common;

use std::net::SocketAddrV6;

use common::{between_hosts, bytes, carry, hex, mapping_parameters, negotiated, next};
use wsd_session::stream_hash::Digest;
use wsd_session::{
    Capabilities, Checkpoints, Event, Mark, Marks, Message, Parameters, ProtocolError, Session, StreamHash,
};

const REQUEST: &[u8] = b"request of 16 by";
const ANSWER: &[u8] = b"answer of 32 bytes, no less, yes";

/// The two ends of one connection, named by their addresses.
fn ends() -> [Parameters; 2] {
    let name = |host, port| {
        let ip = std::net::Ipv4Addr::new(10, 9, 0, host).to_ipv6_mapped();
        SocketAddrV6::new(ip, port, 0, 0)
    };
    let (one, other) = (name(1, 80), name(2, 40_000));
    [
        Parameters { local: one, peer: other, ..between_hosts() },
        Parameters { local: other, peer: one, ..between_hosts() },
    ]
}

fn sessions() -> (Session, Session) {
    let [connecting, listening] = ends();
    negotiated(connecting, listening, 12)
}

fn hashed(bytes: &[u8]) -> Checkpoints {
    let mut hash = StreamHash::default();
    hash.update(bytes);
    hash.checkpoints()
}

/// What an end knows of both directions: from the connecting companion, from the listening one.
struct Seen([Checkpoints; 2]);

impl Seen {
    fn of(first: &[u8], second: &[u8]) -> Self {
        Self([hashed(first), hashed(second)])
    }

    fn marks(&self) -> Marks {
        Marks([self.0[0].mark(), self.0[1].mark()])
    }

    fn prove(&self, session: &mut Session) {
        let offsets = session.common_offsets().expect("enough in common");
        let digest = |flow: usize| -> Digest { self.0[flow].at(offsets[flow]).expect("a checkpoint") };
        session.stream_proof([digest(0), digest(1)]).expect("legal");
    }
}

/// Both say their marks and, if they have enough in common, their proofs; what each thinks of the other's.
fn exchange(x: &mut Session, y: &mut Session, one: &Seen, other: &Seen) -> Option<[bool; 2]> {
    let mut store = Vec::new();
    x.stream_marks(one.marks()).expect("legal");
    assert_eq!(carry(x, y, &mut store), Some(Event::StreamMarks));
    y.stream_marks(other.marks()).expect("legal");
    assert_eq!(carry(y, x, &mut store), Some(Event::StreamMarks));
    assert_eq!(x.common_offsets(), y.common_offsets());
    x.common_offsets()?;
    one.prove(x);
    other.prove(y);
    let mut verdict = |from: &mut Session, to: &mut Session| match carry(from, to, &mut store) {
        Some(Event::StreamProof { right }) => right,
        other => panic!("{other:?}"),
    };
    let heard = [verdict(y, x), verdict(x, y)];
    Some(heard)
}

#[test]
fn the_same_stream_is_proven_at_different_offsets() {
    let (mut x, mut y) = sessions();
    let stream: Vec<u8> = (0..5_000_u32).map(|i| (i % 251) as u8).collect();
    let (one, other) = (Seen::of(&stream, &stream[..1_999]), Seen::of(&stream[..3_000], &stream[..2_100]));
    assert_eq!(exchange(&mut x, &mut y, &one, &other), Some([true, true]));
    assert!(!x.agreement().expect("negotiated").mapping, "no link, no pair pages, no rings (9, 5)");
    let mut store = Vec::new();
    x.proven().expect("legal");
    assert_eq!(carry(&mut x, &mut y, &mut store), Some(Event::PeerProven));
    y.proven().expect("legal");
    assert_eq!(carry(&mut y, &mut x, &mut store), Some(Event::PeerProven));
    assert!(x.both_proven() && y.both_proven());
}

/// Pinned: the values were computed by another implementation, from the text of section 9.
#[test]
fn a_proof_has_its_bytes() {
    let (mut x, mut y) = sessions();
    let seen = Seen::of(REQUEST, ANSWER);
    let mut store = Vec::new();
    x.stream_marks(seen.marks()).expect("legal");
    carry(&mut x, &mut y, &mut store);
    y.stream_marks(seen.marks()).expect("legal");
    carry(&mut y, &mut x, &mut store);
    seen.prove(&mut x);
    seen.prove(&mut y);
    let proof = |session: &mut Session| hex(&next(session).expect("a proof")[16..]);
    assert_eq!(proof(&mut x), "09e16da9595ca9cf074f10b039eb24fbd0cf353822974411d88f615205a066d0");
    assert_eq!(proof(&mut y), "812f6317a25ad093f0e49d471d678b0e77e2b0474f6de3673a78cd818684f7cb");
}

/// One byte differs: neither end believes the other, and neither can say that it did.
#[test]
fn another_stream_is_not_proven() {
    let (mut x, mut y) = sessions();
    let heard = exchange(&mut x, &mut y, &Seen::of(REQUEST, ANSWER), &Seen::of(b"request of 16 bY", ANSWER));
    assert_eq!(heard, Some([false, false]));
    assert!(x.proven().is_err() && y.proven().is_err());
}

/// The other end's own words are no proof, nor are those of an earlier session with the same names and stream.
#[test]
fn neither_reflection_nor_replay_proves_anything() {
    let seen = Seen::of(REQUEST, ANSWER);
    let ready = |nonce| {
        let [connecting, listening] = ends();
        let mut x = Session::new(wsd_session::Role::Connecting, connecting, nonce).expect("parameters");
        x.receives_posted(12);
        next(&mut x).expect("Negotiate");
        let answer = Message::Answer { nonce: 2, parameters: Parameters { receives: 12, ..listening } };
        x.receive(&bytes(0, answer)).expect("legal");
        x.reposted(1);
        x.stream_marks(seen.marks()).expect("legal");
        next(&mut x).expect("marks");
        x.receive(&bytes(0, Message::StreamMarks(seen.marks()))).expect("legal");
        x.reposted(1);
        seen.prove(&mut x);
        let own = next(&mut x).expect("a proof");
        (x, own)
    };
    let (mut x, own) = ready(1);
    assert_eq!(x.receive(&own), Ok(Some(Event::StreamProof { right: false })), "reflected");
    let (_, earlier) = ready(1);
    let listening = |nonce| {
        let [connecting, listening] = ends();
        let mut y = Session::new(wsd_session::Role::Listening, listening, 2).expect("parameters");
        y.receives_posted(12);
        let negotiate = Message::Negotiate { nonce, parameters: Parameters { receives: 12, ..connecting } };
        y.receive(&bytes(0, negotiate)).expect("legal");
        y.reposted(1);
        next(&mut y).expect("Answer");
        y.receive(&bytes(0, Message::StreamMarks(seen.marks()))).expect("legal");
        y.reposted(1);
        y.stream_marks(seen.marks()).expect("legal");
        seen.prove(&mut y);
        y
    };
    assert_eq!(listening(1).receive(&earlier), Ok(Some(Event::StreamProof { right: true })));
    assert_eq!(listening(9).receive(&earlier), Ok(Some(Event::StreamProof { right: false })), "replayed");
}

/// Too little in common: the connecting end asks again, the listening one answers, then it is enough.
#[test]
fn too_little_is_asked_for_again() {
    let (mut x, mut y) = sessions();
    let little = Seen::of(&REQUEST[..15], &ANSWER[..15]);
    assert_eq!(exchange(&mut x, &mut y, &little, &little), None);
    assert!(x.stream_proof([[0; 32]; 2]).is_err(), "nothing to prove by");
    assert!(y.stream_marks(little.marks()).is_err(), "not the listening end's turn");
    let enough = Seen::of(REQUEST, ANSWER);
    assert_eq!(exchange(&mut x, &mut y, &little, &enough), None);
    assert_eq!(exchange(&mut x, &mut y, &enough, &enough), Some([true, true]));
    assert!(x.stream_marks(enough.marks()).is_err(), "it is decided");
}

/// What is out of order ends the session.
#[test]
fn turns_are_kept() {
    let seen = Seen::of(REQUEST, ANSWER);
    let marks = || bytes(0, Message::StreamMarks(seen.marks()));
    let proof = || bytes(0, Message::StreamProof([1; 32]));
    let refused = |session: &mut Session, message: &[u8]| {
        assert!(matches!(session.receive(message), Err(ProtocolError::OutOfOrder(_))));
    };
    let (mut x, mut y) = sessions();
    refused(&mut x, &marks());
    refused(&mut y, &proof());
    let (_, mut y) = sessions();
    y.receive(&marks()).expect("legal");
    y.reposted(1);
    refused(&mut y.clone(), &marks());
    refused(&mut y.clone(), &proof());
    refused(&mut y, &bytes(0, Message::Proven));
    let (mut x, _) = sessions();
    x.stream_marks(seen.marks()).expect("legal");
    x.receive(&marks()).expect("legal");
    x.reposted(1);
    refused(&mut x.clone(), &marks());
    refused(&mut x, &proof());
}

/// Both ends offer it, in a version that has it; a SAN-first session has nothing to prove.
#[test]
fn takes_both_ends_and_version_4() {
    let agreed = |one: Parameters, other: Parameters| {
        let (mut x, y) = negotiated(one, other, 12);
        let of = |session: &Session| session.agreement().expect("negotiated").stream_hash;
        assert_eq!(of(&x), of(&y));
        let mark = Mark::new(16, 64).expect("a granule");
        assert_eq!(x.stream_marks(Marks([mark, mark])).is_ok(), of(&x));
        of(&x)
    };
    assert!(agreed(between_hosts(), between_hosts()));
    assert!(!agreed(between_hosts(), Parameters { version: 3, ..between_hosts() }));
    assert!(!agreed(between_hosts(), Parameters { version: 4, ..mapping_parameters() }));
    let own = between_hosts();
    let first = || Parameters { capabilities: own.capabilities.with(Capabilities::SAN_FIRST), ..own.clone() };
    assert!(!agreed(first(), first()));
}
