//! How both sides' words combine, and who speaks when (section 2, SW-101..107).

mod common;

use common::{bytes, mapping_parameters, negotiated, next, parameters};
use wsd_session::{
    Agreement, Capabilities, CreditError, Event, Kind, Message, Parameters, ProtocolError, RdmaVariant, Role,
    Session,
};

#[test]
fn lower_version_smaller_sizes() {
    let own = Parameters { version: 3, buffer_length: 5000, threshold: 10, max_rdma: 7, ..parameters() };
    let peer = Parameters { version: 2, buffer_length: 300, threshold: 20, max_rdma: 9, ..parameters() };
    for (one, other) in [(&own, &peer), (&peer, &own)] {
        let agreed = Agreement::new(one, other.clone(), 0);
        assert_eq!(agreed.version, 2);
        assert_eq!(agreed.message_length, 300);
        assert_eq!(agreed.max_data(), 284);
        assert_eq!(agreed.threshold, 20);
        assert_eq!(agreed.max_rdma, 7);
    }
}

#[test]
fn mapping_only_if_both() {
    let both = Agreement::new(&mapping_parameters(), mapping_parameters(), 0);
    assert!(both.mapping && both.same_host_proof);
    let one = Agreement::new(&mapping_parameters(), parameters(), 0);
    assert!(!one.mapping && !one.same_host_proof);
    let useless = Parameters { allocation_descriptor_length: 0, ..mapping_parameters() };
    assert!(!Agreement::new(&mapping_parameters(), useless, 0).mapping);
}

/// SW-107: RDMA read switched off on one node alone must not break communication.
#[test]
fn the_receivers_provider_decides_the_variant() {
    let reader = parameters();
    let writer = Parameters { capabilities: Capabilities::default(), ..parameters() };
    let agreed = Agreement::new(&reader, writer.clone(), 0);
    assert_eq!(agreed.send_variant, Some(RdmaVariant::Write));
    assert_eq!(agreed.receive_variant, Some(RdmaVariant::Read));
    let mirrored = Agreement::new(&writer, reader.clone(), 0);
    assert_eq!(mirrored.send_variant, agreed.receive_variant);
    assert_eq!(mirrored.receive_variant, agreed.send_variant);
    let blind = Parameters { rdma_descriptor_length: 0, ..reader };
    assert_eq!(Agreement::new(&blind, writer, 0).send_variant, Some(RdmaVariant::Write));
    assert_eq!(Agreement::new(&blind, parameters(), 0).send_variant, None);
}

/// SW-101: the connecting side posts its receives, then speaks, and says how many.
#[test]
fn negotiate_waits_for_receives() {
    let mut session = Session::new(Role::Connecting, parameters(), 0).expect("parameters");
    assert_eq!(next(&mut session), None);
    session.receives_posted(3);
    assert_eq!(next(&mut session), None);
    session.receives_posted(4);
    let message = next(&mut session).expect("Negotiate");
    assert_eq!(message[0], Kind::Negotiate as u8);
    assert_eq!(message[16 + 14..][..2], [7, 0]);
    assert_eq!(next(&mut session), None, "nothing before the answer (SW-104)");
}

/// SW-105: the accepting side sends nothing before it has been spoken to; SW-103: and has its receives posted.
#[test]
fn listening_side_answers_only() {
    let mut session = Session::new(Role::Listening, parameters(), 0).expect("parameters");
    session.receives_posted(4);
    assert_eq!(next(&mut session), None);
    assert!(session.proven().is_err());
    let negotiate = bytes(0, Message::Negotiate { nonce: 5, parameters: parameters() });
    assert_eq!(session.receive(&negotiate), Ok(Some(Event::Negotiated)));
    assert_eq!(session.agreement().map(|agreed| agreed.peer_nonce), Some(5));
    assert_eq!(next(&mut session), None, "one receive is used");
    session.reposted(1);
    assert_eq!(next(&mut session).map(|message| message[0]), Some(Kind::Answer as u8));
}

/// SW-104, SW-105: any other order ends the session.
#[test]
fn wrong_first_messages_end_the_session() {
    let negotiate = bytes(0, Message::Negotiate { nonce: 5, parameters: parameters() });
    let answer = bytes(0, Message::Answer { nonce: 5, parameters: parameters() });
    let proven = bytes(0, Message::Proven);
    for (role, wrong) in [
        (Role::Listening, &answer),
        (Role::Listening, &proven),
        (Role::Connecting, &negotiate),
        (Role::Connecting, &proven),
        (Role::Connecting, &answer),
    ] {
        let mut session = Session::new(role, parameters(), 0).expect("parameters");
        session.receives_posted(12);
        assert!(matches!(session.receive(wrong), Err(ProtocolError::OutOfOrder(_))));
        assert!(session.has_failed());
        assert_eq!(next(&mut session), None);
        assert_eq!(session.receive(&negotiate), Err(ProtocolError::Dead));
    }
    let mut session = Session::new(Role::Listening, parameters(), 0).expect("parameters");
    session.receives_posted(12);
    session.receive(&negotiate).expect("legal");
    assert!(session.receive(&negotiate).is_err(), "twice");
}

/// SW-110: the peer may send so many messages as receives were announced, the last one only for credits (SW-112).
#[test]
fn credit_is_enforced_on_the_peer() {
    let (mut x, _) = negotiated(parameters(), parameters(), 4);
    x.receive(&bytes(0, Message::Proven)).expect("legal");
    x.reposted(1);
    let refuse = bytes(0, Message::DemoteRequest { flow: wsd_session::Flow::FromConnecting });
    x.receive(&refuse).expect("legal");
    x.reposted(1);
    assert_eq!(x.receive(&refuse), Err(CreditError::Exceeded.into()));
}

#[test]
fn own_parameters_are_checked() {
    let small = Parameters { buffer_length: 100, ..parameters() };
    assert!(Session::new(Role::Connecting, small, 0).is_err());
}
