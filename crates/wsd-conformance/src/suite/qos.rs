//! Quality of service and connect data. Whether a provider has them, it says by its answers: all or nothing.

use wsd_spi::WsaError;
use wsd_spi::ffi::{
    CF_ACCEPT, FD_CONNECT, FLOWSPEC, QOS, SIO_GET_GROUP_QOS, SIO_GET_QOS, SIO_SET_GROUP_QOS, SIO_SET_QOS,
    SO_GROUP_ID, SO_GROUP_PRIORITY, SOL_SOCKET,
};

use crate::Check;
use crate::check::{Step, ensure, equal, fail, must, one_of, refuses, refuses_with, skip};
use crate::raw::{Answer, Extras, Text, recorder};
use crate::world::{Peer, Rig, Side, encoded, wait};

pub(super) const CHECKS: &[Check] = &[
    Check::new(&["SP-191"], "WSPGetQOSByName works, or is WSAEOPNOTSUPP", by_name),
    Check::new(&["SP-104"], "the control codes of QoS are WSAEOPNOTSUPP without it", codes_without),
    Check::new(&["SP-190"], "SIO_SET_QOS is read back by SIO_GET_QOS, for the group too", codes_with),
    Check::new(&["SP-190"], "SO_GROUP_ID is read, SO_GROUP_PRIORITY read and set", group_options),
    Check::new(&["SP-190"], "WSPGetQOSByName gives templates by name, and the names", templates),
    Check::new(
        &["SP-190"],
        "flow specifications in WSPConnect are met, or refused with WSAEOPNOTSUPP",
        flow_in_connect,
    ),
    Check::new(
        &["SP-076"],
        "connect data reaches the condition function, or is WSAEPROTONOSUPPORT",
        connect_data,
    ),
];

const WITHOUT: &str = "WSPGetQOSByName is WSAEOPNOTSUPP: no quality of service";

/// What a provider without QoS answers.
fn has_qos(side: Side) -> Step<bool> {
    let s = side.socket()?;
    let mut room = [0u16; 512];
    let asked = side.table.get_qos_by_name(s, &mut room);
    side.close(s)?;
    match asked {
        Ok(_) => Ok(true),
        Err(code) => one_of("WSPGetQOSByName", Some(code), &[WsaError::WSAEOPNOTSUPP]).map(|()| false),
    }
}

/// SP-191, SP-098's rule for BOOL.
fn by_name(rig: &Rig) -> Step {
    has_qos(rig.side()?).map(drop)
}

const CODES: [(u32, &str); 4] = [
    (SIO_GET_QOS, "SIO_GET_QOS"),
    (SIO_GET_GROUP_QOS, "SIO_GET_GROUP_QOS"),
    (SIO_SET_QOS, "SIO_SET_QOS"),
    (SIO_SET_GROUP_QOS, "SIO_SET_GROUP_QOS"),
];

/// SP-104.
fn codes_without(rig: &Rig) -> Step {
    let side = rig.side()?;
    if has_qos(side)? {
        return skip("the provider has quality of service");
    }
    let s = side.socket()?;
    for (code, name) in CODES {
        let mut output = [0; 80];
        let asked = side.table.ioctl(s, code, &[0; 80], &mut output).map_err(|(code, _)| code);
        refuses(name, asked, WsaError::WSAEOPNOTSUPP)?;
    }
    Ok(())
}

/// A specification with that rate, as it lies in memory.
fn flow(rate: u32) -> QOS {
    let spec = FLOWSPEC { TokenRate: rate, MaxSduSize: 1000, ..FLOWSPEC::zeroed() };
    QOS { SendingFlowspec: spec, ReceivingFlowspec: spec, ..QOS::zeroed() }
}

fn as_bytes(qos: &QOS) -> Vec<u8> {
    let spec = |spec: &FLOWSPEC| {
        [
            spec.TokenRate,
            spec.TokenBucketSize,
            spec.PeakBandwidth,
            spec.Latency,
            spec.DelayVariation,
            spec.ServiceType,
            spec.MaxSduSize,
            spec.MinimumPolicedSize,
        ]
    };
    let words = spec(&qos.SendingFlowspec).into_iter().chain(spec(&qos.ReceivingFlowspec));
    words.flat_map(u32::to_ne_bytes).chain([0; 16]).collect()
}

/// SP-190.
fn codes_with(rig: &Rig) -> Step {
    let side = rig.side()?;
    if !has_qos(side)? {
        return skip(WITHOUT);
    }
    let s = side.socket()?;
    for (set, get, rate) in
        [(SIO_SET_QOS, SIO_GET_QOS, 11_000), (SIO_SET_GROUP_QOS, SIO_GET_GROUP_QOS, 22_000)]
    {
        let wanted = as_bytes(&flow(rate));
        let answer = side.table.ioctl(s, set, &wanted, &mut []).map_err(|(code, _)| code);
        must("setting QoS", answer)?;
        let mut got = [0; 80];
        let answer = side.table.ioctl(s, get, &[], &mut got).map_err(|(code, _)| code);
        must("getting QoS", answer)?;
        equal("both flow specifications", &got[..64], &wanted[..64])?;
        let short = side.table.ioctl(s, get, &[], &mut [0; 79]).map_err(|(code, _)| code);
        refuses("getting QoS into 79 bytes", short, WsaError::WSAEFAULT)?;
        let short = side.table.ioctl(s, set, &wanted[..79], &mut []).map_err(|(code, _)| code);
        refuses("setting QoS from 79 bytes", short, WsaError::WSAEFAULT)?;
    }
    Ok(())
}

/// SP-190; without QoS the options are unknown.
fn group_options(rig: &Rig) -> Step {
    let side = rig.side()?;
    let s = side.socket()?;
    let get = |name| side.table.get_option(s, SOL_SOCKET, name, Some(4)).map_err(|(code, _)| code);
    let set = |name| side.table.set_option(s, SOL_SOCKET, name, Text::of(&7i32.to_ne_bytes()));
    if !has_qos(side)? {
        for name in [SO_GROUP_ID, SO_GROUP_PRIORITY] {
            refuses("a group option without QoS", get(name), WsaError::WSAENOPROTOOPT)?;
        }
        return Ok(());
    }
    equal("length of SO_GROUP_ID", must("SO_GROUP_ID", get(SO_GROUP_ID))?.len(), 4)?;
    refuses("setting SO_GROUP_ID", set(SO_GROUP_ID), WsaError::WSAENOPROTOOPT)?;
    must("setting SO_GROUP_PRIORITY", set(SO_GROUP_PRIORITY))?;
    equal(
        "SO_GROUP_PRIORITY",
        must("SO_GROUP_PRIORITY", get(SO_GROUP_PRIORITY))?,
        7i32.to_ne_bytes().to_vec(),
    )
}

/// SP-190, section 6.15: the names come as UTF-16 strings, each with its NUL.
fn templates(rig: &Rig) -> Step {
    let side = rig.side()?;
    if !has_qos(side)? {
        return skip(WITHOUT);
    }
    let s = side.socket()?;
    let mut room = [0u16; 512];
    must("WSPGetQOSByName without a name", side.table.get_qos_by_name(s, &mut room))?;
    let first: Vec<u16> = room.iter().copied().take_while(|unit| *unit != 0).chain([0]).collect();
    ensure(first.len() > 1, || "there are no templates".to_owned())?;
    must("WSPGetQOSByName of the first template", side.table.get_qos_by_name(s, &mut first.clone()))?;
    let mut unknown: Vec<u16> = "no such template\0".encode_utf16().collect();
    refuses(
        "WSPGetQOSByName of an unknown name",
        side.table.get_qos_by_name(s, &mut unknown),
        WsaError::WSAEINVAL,
    )
}

/// A connect to a listener of the other end.
struct Attempt {
    peer: Peer,
    listener: usize,
    s: usize,
    event: usize,
    connected: Answer<()>,
}

/// Connects with extras.
fn connect_with(rig: &Rig, extras: &Extras) -> Step<Attempt> {
    let side = rig.side()?;
    let mut peer = rig.peer()?;
    let (from, to) = (rig.name()?, rig.name()?);
    let listener = peer.listen(&to, 1)?;
    let s = side.bound(&from)?;
    let event = side.select(s, FD_CONNECT)?;
    let connected = side.table.connect(s, Text::of(&encoded(&to)), extras);
    Ok(Attempt { peer, listener, s, event, connected })
}

/// SP-190, errors of section 6.8. No provider can meet a flow of 4 GB/s within a microsecond with every byte policed.
fn flow_in_connect(rig: &Rig) -> Step {
    let side = rig.side()?;
    let extras = Extras { qos: Some(flow(1000)), ..Extras::default() };
    let Attempt { mut peer, listener, s, event, connected } = connect_with(rig, &extras)?;
    if !has_qos(side)? {
        return refuses(
            "WSPConnect with flow specifications, without QoS",
            connected,
            WsaError::WSAEOPNOTSUPP,
        );
    }
    if let Err(code) = connected {
        one_of("WSPConnect with a flow that can be met", Some(code), &[WsaError::WSAEWOULDBLOCK])?;
    }
    peer.accept(listener)?;
    wait("FD_CONNECT", || recorder().event(event).0.then_some(()))?;
    let mut got = [0; 80];
    must("SIO_GET_QOS", side.table.ioctl(s, SIO_GET_QOS, &[], &mut got).map_err(|(code, _)| code))?;
    equal("the flow of the connect", &got[..4], &1000u32.to_ne_bytes())?;
    let extras = Extras { qos: Some(flow(u32::MAX)), ..Extras::default() };
    let attempt = connect_with(rig, &extras)?;
    refuses("WSPConnect with a flow that cannot be met", attempt.connected, WsaError::WSAEOPNOTSUPP)
}

/// SP-076, errors of section 6.8.
fn connect_data(rig: &Rig) -> Step {
    let side = rig.side()?;
    let extras = Extras { caller_data: Some(b"who calls".to_vec()), ..Extras::default() };
    let (from, to) = (rig.name()?, rig.name()?);
    // A listener of this end: the condition function is to be looked at.
    let listener = side.listen(&to, 1)?;
    let s = side.bound(&from)?;
    side.select(s, FD_CONNECT)?;
    match side.table.connect(s, Text::of(&encoded(&to)), &extras) {
        Err(code) if !code.is(WsaError::WSAEWOULDBLOCK) => {
            let errors = [WsaError::WSAEPROTONOSUPPORT, WsaError::WSAEINVAL];
            refuses_with("WSPConnect with connect data", Err::<(), _>(code), &errors)?;
            return skip(format!("WSPConnect with connect data is {code}"));
        }
        _ => {}
    }
    side.await_request(&listener)?;
    let (accepted, asked) = side.answer(listener.s, CF_ACCEPT);
    must("WSPAccept", accepted)?;
    match asked.first().and_then(|asked| asked.caller_data.clone()) {
        Some(data) => equal("lpCallerData", data, b"who calls".to_vec()),
        None => fail("connect data was taken, but the condition function got none"),
    }
}
