//! One switch of the world, with the rings of its program.

use super::Sizes;
use std::collections::VecDeque;
use wsd_session::{Direction, Event, Piece, PumpLimits, PumpReceiver, PumpSender, Session};

/// A ring: bytes at their offset modulo its length.
pub struct Ring(pub Vec<u8>);

impl Ring {
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub fn put(&mut self, offset: u64, bytes: &[u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            let at = (at % self.len()) as usize;
            self.0[at] = *byte;
        }
    }

    pub fn get(&self, offset: u64, length: u64) -> Vec<u8> {
        (offset..offset + length).map(|at| self.0[(at % self.len()) as usize]).collect()
    }

    /// Bytes from `offset` to the end of the memory.
    pub fn contiguous(&self, offset: u64) -> u64 {
        self.len() - offset % self.len()
    }
}

/// What a switch has exposed to its peer: the descriptor is these two numbers.
pub type Exposure = Option<(u64, u32)>;

pub fn descriptor((offset, total): (u64, u32)) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&offset.to_le_bytes());
    bytes[8..].copy_from_slice(&total.to_le_bytes());
    bytes
}

/// One switch.
pub struct End {
    pub session: Session,
    pub inbox: VecDeque<Vec<u8>>,
    pub unposted: u16,
    pub max_rdma: u32,
    /// The program's side of the send direction.
    pub written: u64,
    pub send_ring: Ring,
    pub sender: PumpSender,
    pub exposed_source: Exposure,
    pub writes: VecDeque<Piece>,
    pub target: Vec<u8>,
    pub rewinding: Option<u64>,
    /// Bytes that went back to TCP.
    pub tcp: VecDeque<u8>,
    pub demoted: bool,
    /// The program's side of the receive direction.
    pub taken: u64,
    pub receive_ring: Ring,
    pub receiver: PumpReceiver,
    pub exposed_target: Exposure,
    pub reads: VecDeque<Piece>,
    pub source: Vec<u8>,
    pub frozen: bool,
    /// From here on the program reads TCP.
    pub from_tcp: bool,
    pub end: Option<u64>,
}

impl End {
    pub fn new(session: Session, sizes: &Sizes, send: u64, receive: u64) -> Self {
        let limits = |direction| {
            let agreed = session.agreement().expect("negotiated").pump_limits(direction);
            PumpLimits { max_data: sizes.max_data.min(agreed.max_data), ..agreed }
        };
        Self {
            sender: PumpSender::new(send, limits(Direction::Send)),
            receiver: PumpReceiver::new(receive, sizes.receive_ring as u64, limits(Direction::Receive)),
            max_rdma: session.agreement().expect("negotiated").max_rdma,
            session,
            inbox: VecDeque::new(),
            unposted: 0,
            written: send,
            send_ring: Ring(vec![0; sizes.send_ring]),
            exposed_source: None,
            writes: VecDeque::new(),
            target: Vec::new(),
            rewinding: None,
            tcp: VecDeque::new(),
            demoted: false,
            taken: receive,
            receive_ring: Ring(vec![0; sizes.receive_ring]),
            exposed_target: None,
            reads: VecDeque::new(),
            source: Vec::new(),
            frozen: false,
            from_tcp: false,
            end: None,
        }
    }

    pub fn on_event(&mut self, event: Event<'_>) {
        match event {
            Event::Data { offset, bytes } => {
                self.receiver.on_data(offset, bytes.len()).expect("in order");
                self.receive_ring.put(offset, bytes);
            }
            Event::RdmaOffered { offset, total, descriptor } => {
                self.receiver.on_offer(offset, total).expect("in order");
                self.source = descriptor.to_vec();
            }
            Event::RdmaAnnounced { offset, total } => {
                self.receiver.on_announce(offset, total).expect("in order");
            }
            Event::RdmaTarget { offset, total, descriptor } => {
                self.sender.on_target(offset, total).expect("announced");
                self.target = descriptor.to_vec();
            }
            Event::RdmaRead { offset } => {
                self.sender.on_read(offset).expect("offered");
                self.exposed_source = None;
            }
            Event::RdmaWritten { offset } => {
                self.receiver.on_written(offset).expect("exposed");
                self.exposed_target = None;
            }
            Event::Window { room, taken } => self.sender.on_window(room, taken).expect("grows"),
            Event::Frozen { at } => {
                self.sender.on_frozen(at).expect("between taken and sent");
                self.exposed_source = None;
                self.rewinding = Some(at);
            }
            Event::Demoted { at } => {
                assert_eq!(at, self.taken);
                self.exposed_target = None;
                self.from_tcp = true;
            }
            Event::Fin { offset } => {
                self.receiver.on_fin(offset).expect("after the last byte");
                self.end = Some(offset);
            }
            other => panic!("unexpected {other:?}"),
        }
    }
}
