//! Two switches with a pump in each direction: rings that wrap, memory that the peer reads and writes, completions
//! that come late, demotion in the middle. Every byte knows its offset, so a wrong one is found at once.
#![allow(missing_docs, unreachable_pub)]

use crate::common::{carry, negotiated, next};
use std::collections::VecDeque;
use wsd_session::{
    Direction, Event, Parameters, Piece, PumpLimits, PumpReceiver, PumpSender, ReceiveStep, SendStep,
    Session, Supply,
};

/// The byte at an offset.
pub fn byte(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

/// A ring: bytes at their offset modulo its length.
pub struct Ring(pub Vec<u8>);

impl Ring {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) {
        for (at, byte) in (offset..).zip(bytes) {
            let at = (at % self.len()) as usize;
            self.0[at] = *byte;
        }
    }

    fn get(&self, offset: u64, length: u64) -> Vec<u8> {
        (offset..offset + length).map(|at| self.0[(at % self.len()) as usize]).collect()
    }

    /// Bytes from `offset` to the end of the memory.
    fn contiguous(&self, offset: u64) -> u64 {
        self.len() - offset % self.len()
    }
}

/// What a switch has exposed to its peer: the descriptor is these two numbers.
type Exposure = Option<(u64, u32)>;

fn descriptor((offset, total): (u64, u32)) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&offset.to_le_bytes());
    bytes[8..].copy_from_slice(&total.to_le_bytes());
    bytes
}

/// One switch.
pub struct End {
    pub session: Session,
    inbox: VecDeque<Vec<u8>>,
    unposted: u16,
    /// The program's side of the send direction.
    pub written: u64,
    send_ring: Ring,
    sender: PumpSender,
    exposed_source: Exposure,
    writes: VecDeque<Piece>,
    target: Vec<u8>,
    rewinding: Option<u64>,
    /// Bytes that went back to TCP.
    tcp: VecDeque<u8>,
    pub demoted: bool,
    /// The program's side of the receive direction.
    pub taken: u64,
    receive_ring: Ring,
    receiver: PumpReceiver,
    exposed_target: Exposure,
    reads: VecDeque<Piece>,
    source: Vec<u8>,
    frozen: bool,
    /// From here on the program reads TCP.
    from_tcp: bool,
    pub end: Option<u64>,
}

/// Sizes of a world.
#[derive(Debug, Clone)]
pub struct Sizes {
    pub own: [Parameters; 2],
    pub receives: u16,
    pub max_data: usize,
    pub send_ring: usize,
    pub receive_ring: usize,
    pub start: [u64; 2],
}

/// Both switches; messages in flight lie in the inboxes.
pub struct World {
    pub ends: [End; 2],
}

impl World {
    /// Negotiated, proven and promoted in both directions.
    pub fn new(sizes: &Sizes) -> Self {
        let [a, b] = sizes.own.clone();
        let (mut x, mut y) = negotiated(a, b, sizes.receives);
        let mut store = Vec::new();
        x.proven().expect("legal");
        y.proven().expect("legal");
        carry(&mut x, &mut y, &mut store);
        carry(&mut y, &mut x, &mut store);
        promote(&mut x, &mut y, sizes.start[0]);
        promote(&mut y, &mut x, sizes.start[1]);
        let ends = [
            End::new(x, sizes, sizes.start[0], sizes.start[1]),
            End::new(y, sizes, sizes.start[1], sizes.start[0]),
        ];
        Self { ends }
    }

    /// The program of an end writes up to `count` bytes.
    pub fn write(&mut self, me: usize, count: u64) {
        let end = &mut self.ends[me];
        if end.demoted || end.rewinding.is_some() {
            return;
        }
        let room = end.send_ring.len() - (end.written - end.sender.keep_from());
        for _ in 0..count.min(room) {
            end.send_ring.put(end.written, &[byte(end.written)]);
            end.written += 1;
        }
    }

    /// The program of an end reads up to `count` bytes and checks them.
    pub fn take(&mut self, me: usize, count: u64) -> bool {
        let mut moved = false;
        for _ in 0..count {
            let end = &mut self.ends[me];
            let got = if end.from_tcp {
                self.ends[1 - me].tcp.pop_front()
            } else if end.taken < end.receiver.received() && !end.frozen {
                Some(end.receive_ring.get(end.taken, 1)[0])
            } else {
                None
            };
            let end = &mut self.ends[me];
            let Some(got) = got else { break };
            assert_eq!(got, byte(end.taken), "byte at {}", end.taken);
            end.taken += 1;
            if !end.from_tcp {
                end.receiver.taken(end.taken).expect("received");
            }
            moved = true;
        }
        moved
    }

    /// The service thread: one step of each pump, then all messages that may go.
    pub fn serve(&mut self, me: usize) -> bool {
        let moved = self.receive_step(me) | self.send_step(me);
        self.rewind(me);
        let mut sent = false;
        while let Some(message) = next(&mut self.ends[me].session) {
            self.ends[1 - me].inbox.push_back(message);
            sent = true;
        }
        moved | sent
    }

    /// The oldest RDMA operation of an end is done.
    pub fn complete(&mut self, me: usize) -> bool {
        let [a, b] = &mut self.ends;
        let (end, peer) = if me == 0 { (a, b) } else { (b, a) };
        if let Some(piece) = end.reads.pop_front() {
            let exposed = peer.exposed_source.expect("nothing is exposed for reading");
            check_exposure(exposed, &end.source, piece);
            let bytes = peer.send_ring.get(piece.offset, u64::from(piece.length));
            end.receive_ring.put(piece.offset, &bytes);
            end.receiver.read_completed(piece.length).expect("issued");
            return true;
        }
        if let Some(piece) = end.writes.pop_front() {
            let exposed = peer.exposed_target.expect("nothing is exposed for writing");
            check_exposure(exposed, &end.target, piece);
            let bytes = end.send_ring.get(piece.offset, u64::from(piece.length));
            peer.receive_ring.put(piece.offset, &bytes);
            end.sender.write_completed(piece.length).expect("issued");
            return true;
        }
        false
    }

    /// One message arrives.
    pub fn deliver(&mut self, me: usize) -> bool {
        let Some(message) = self.ends[me].inbox.pop_front() else { return false };
        let end = &mut self.ends[me];
        end.unposted += 1;
        let event = end.session.receive(&message).expect("honest message");
        if let Some(event) = event {
            end.on_event(event);
        }
        true
    }

    /// All used buffers are posted again.
    pub fn repost(&mut self, me: usize) {
        let count = std::mem::take(&mut self.ends[me].unposted);
        self.ends[me].session.reposted(count);
    }

    /// The receive direction of an end is to leave the companion.
    pub fn freeze(&mut self, me: usize) {
        let end = &mut self.ends[me];
        if end.frozen {
            return;
        }
        let Ok(at) = end.receiver.freeze() else { return };
        assert_eq!(at, end.taken);
        end.session.frozen(at).expect("promoted");
        end.frozen = true;
    }

    /// The program has shut down sending.
    pub fn finish(&mut self, me: usize) {
        let end = &mut self.ends[me];
        if !end.demoted && end.rewinding.is_none() {
            end.sender.finish(end.written).expect("once");
        }
    }

    /// Everything moves until nothing does.
    pub fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 1_000_000, "for ever");
            let mut moved = false;
            for me in [0, 1] {
                moved |= self.deliver(me);
                self.repost(me);
                moved |= self.complete(me);
                moved |= self.take(me, 1000);
                moved |= self.serve(me);
            }
            if !moved {
                return;
            }
        }
    }

    fn send_step(&mut self, me: usize) -> bool {
        let end = &mut self.ends[me];
        let offset = end.sender.offset();
        let available = end.written - offset;
        let contiguous = available.min(end.send_ring.contiguous(offset));
        let supply = Supply { available, contiguous, may_send: end.session.may_send_data() };
        let step = end.sender.plan(supply);
        match step {
            SendStep::Wait => return false,
            SendStep::Data { offset, length } => {
                let bytes = end.send_ring.get(offset, length as u64);
                let (head, tail) = bytes.split_at(length.min(contiguous as usize));
                let mut buffer = vec![0; 4096];
                let sent = end.session.data_message(&mut buffer, offset, [head, tail]).expect("legal");
                buffer.truncate(sent.expect("may_send_data said so"));
                self.ends[1 - me].inbox.push_back(buffer);
            }
            SendStep::Offer { offset, total } => {
                end.exposed_source = Some((offset, total));
                end.session.rdma_offer(offset, total, &descriptor((offset, total))).expect("legal");
            }
            SendStep::Announce { offset, total } => end.session.rdma_announce(offset, total).expect("legal"),
            SendStep::Write(piece) => end.writes.push_back(piece),
            SendStep::Written { offset } => end.session.rdma_written(offset).expect("legal"),
            SendStep::Fin { offset } => end.session.fin(offset).expect("legal"),
        }
        self.ends[me].sender.record(step).expect("as planned");
        true
    }

    fn receive_step(&mut self, me: usize) -> bool {
        let end = &mut self.ends[me];
        if end.frozen {
            return false;
        }
        let from = end.receiver.fill_from();
        let room = end.receive_ring.len() - (from - end.taken);
        let step = end.receiver.plan(room.min(end.receive_ring.contiguous(from)));
        match step {
            ReceiveStep::Wait => return false,
            ReceiveStep::Read(piece) => end.reads.push_back(piece),
            ReceiveStep::ReadDone { offset } => end.session.rdma_read(offset).expect("legal"),
            ReceiveStep::Expose { offset, total } => {
                end.exposed_target = Some((offset, total));
                end.session.rdma_target(offset, total, &descriptor((offset, total))).expect("legal");
            }
            ReceiveStep::Window { room, taken } => end.session.window(room, taken).expect("legal"),
        }
        end.receiver.record(step).expect("as planned");
        true
    }

    /// Section 5, step 2: the rest of the ring goes to TCP.
    fn rewind(&mut self, me: usize) {
        let end = &mut self.ends[me];
        let Some(at) = end.rewinding.filter(|_| !end.sender.is_busy() && end.writes.is_empty()) else {
            return;
        };
        end.tcp.extend(end.send_ring.get(at, end.written - at));
        end.session.demoted(at).expect("rewinding");
        end.rewinding = None;
        end.demoted = true;
    }
}

impl End {
    fn new(session: Session, sizes: &Sizes, send: u64, receive: u64) -> Self {
        let limits = |direction| {
            let agreed = session.agreement().expect("negotiated").pump_limits(direction);
            PumpLimits { max_data: sizes.max_data.min(agreed.max_data), ..agreed }
        };
        Self {
            sender: PumpSender::new(send, limits(Direction::Send)),
            receiver: PumpReceiver::new(receive, sizes.receive_ring as u64, limits(Direction::Receive)),
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

    fn on_event(&mut self, event: Event<'_>) {
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

fn promote(x: &mut Session, y: &mut Session, start: u64) {
    let mut store = Vec::new();
    x.propose().expect("legal");
    carry(x, y, &mut store);
    y.consent().expect("legal");
    carry(y, x, &mut store);
    x.promoted(start).expect("legal");
    carry(x, y, &mut store);
}

fn check_exposure(exposed: (u64, u32), told: &[u8], piece: Piece) {
    assert_eq!(told, descriptor(exposed), "an old descriptor is used");
    let (offset, total) = exposed;
    assert_eq!(piece.offset, offset + u64::from(piece.within));
    assert!(piece.within + piece.length <= total, "outside of the exposed memory");
}
