//! Quality of service and connect data, which the inner provider does not have.

use std::collections::HashMap;
use std::sync::Mutex;

use wsd_spi::ffi::{FLOWSPEC, QOS};
use wsd_spi::provider::Qos;
use wsd_spi::{SanSocket, SockAddr, WsaError};

use crate::inner::lock;

/// Size of a `QOS` in bytes, and of the two flow specifications at its front.
const SIZE: usize = size_of::<QOS>();
const FLOWS: usize = 2 * size_of::<FLOWSPEC>();

/// The fastest flow that can be met, in bytes per second.
const FASTEST: u32 = 1_000_000_000;

/// The only template.
const TEMPLATE: &str = "BULK";

/// Whose quality of service is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    Socket,
    Group,
}

/// What is known of each socket.
#[derive(Default)]
pub(crate) struct Extras {
    sockets: Mutex<HashMap<SanSocket, Known>>,
    /// Connect data on its way, by the name of the socket that calls.
    data: Mutex<HashMap<SockAddr, Vec<u8>>>,
}

#[derive(Default)]
struct Known {
    name: Option<SockAddr>,
    priority: [u8; 4],
    flows: HashMap<Whose, [u8; FLOWS]>,
}

impl Extras {
    pub(crate) fn bound(&self, s: SanSocket, name: SockAddr) {
        lock(&self.sockets).entry(s).or_default().name = Some(name);
    }

    pub(crate) fn closed(&self, s: SanSocket) {
        let name = lock(&self.sockets).remove(&s).and_then(|known| known.name);
        name.map(|name| lock(&self.data).remove(&name));
    }

    /// Value of `SO_GROUP_PRIORITY`, or of `SO_GROUP_ID`: there are no groups.
    pub(crate) fn group_option(&self, s: SanSocket, priority: bool) -> [u8; 4] {
        let sockets = lock(&self.sockets);
        let known = sockets.get(&s).filter(|_| priority);
        known.map_or([0; 4], |known| known.priority)
    }

    /// # Errors
    /// `WSAEFAULT` for a wrong length (SP-052).
    pub(crate) fn set_priority(&self, s: SanSocket, value: &[u8]) -> Result<(), WsaError> {
        let value = value.try_into().map_err(|_| WsaError::WSAEFAULT)?;
        lock(&self.sockets).entry(s).or_default().priority = value;
        Ok(())
    }

    /// A `QOS` as it lies in memory.
    pub(crate) fn flows(&self, s: SanSocket, whose: Whose) -> Vec<u8> {
        let sockets = lock(&self.sockets);
        let flows = sockets.get(&s).and_then(|known| known.flows.get(&whose)).copied();
        let mut bytes = flows.unwrap_or([0; FLOWS]).to_vec();
        bytes.resize(SIZE, 0);
        bytes
    }

    /// Nothing is to be written to the output.
    ///
    /// # Errors
    /// `WSAEFAULT` if it is shorter than a `QOS`; `WSAEOPNOTSUPP` for a flow that is too fast (section 6.8).
    pub(crate) fn set_flows(&self, s: SanSocket, whose: Whose, qos: &[u8]) -> Result<Vec<u8>, WsaError> {
        let flows: [u8; FLOWS] = match qos.first_chunk() {
            Some(flows) if qos.len() >= SIZE => *flows,
            _ => return Err(WsaError::WSAEFAULT),
        };
        let rates =
            [0, size_of::<FLOWSPEC>()].map(|at| flows[at..].first_chunk().copied().map(u32::from_ne_bytes));
        if rates.into_iter().flatten().any(|rate| rate > FASTEST) {
            return Err(WsaError::WSAEOPNOTSUPP);
        }
        lock(&self.sockets).entry(s).or_default().flows.insert(whose, flows);
        Ok(Vec::new())
    }

    /// The next connect of `s` carries data.
    pub(crate) fn calls_with(&self, s: SanSocket, data: Vec<u8>) {
        let name = lock(&self.sockets).get(&s).and_then(|known| known.name);
        if let Some(name) = name {
            lock(&self.data).insert(name, data);
        }
    }

    /// The data of a connect that comes from that name; empty if there are none.
    pub(crate) fn data_of(&self, caller: &SockAddr) -> Vec<u8> {
        lock(&self.data).get(caller).cloned().unwrap_or_default()
    }
}

/// The two flow specifications, and zeros for the rest.
pub(crate) fn flow_bytes(qos: &QOS) -> Vec<u8> {
    let words = |flow: &FLOWSPEC| {
        [
            flow.TokenRate,
            flow.TokenBucketSize,
            flow.PeakBandwidth,
            flow.Latency,
            flow.DelayVariation,
            flow.ServiceType,
            flow.MaxSduSize,
            flow.MinimumPolicedSize,
        ]
    };
    let both = words(&qos.SendingFlowspec).into_iter().chain(words(&qos.ReceivingFlowspec));
    let mut bytes: Vec<u8> = both.flat_map(u32::to_ne_bytes).collect();
    bytes.resize(SIZE, 0);
    bytes
}

/// Answer to `WSPGetQOSByName` (section 6.15).
///
/// # Errors
/// `WSAEINVAL` for an unknown name.
pub(crate) fn template(name: &[u16]) -> Result<Qos, WsaError> {
    if name.is_empty() {
        return Ok(Qos::Names(TEMPLATE.encode_utf16().chain([0, 0]).collect()));
    }
    if !TEMPLATE.encode_utf16().eq(name.iter().copied()) {
        return Err(WsaError::WSAEINVAL);
    }
    let flow = FLOWSPEC { TokenRate: FASTEST, ..FLOWSPEC::zeroed() };
    Ok(Qos::Template(QOS { SendingFlowspec: flow, ReceivingFlowspec: flow, ..QOS::zeroed() }))
}
