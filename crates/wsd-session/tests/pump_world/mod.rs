//! Two switches with a pump in each direction: rings that wrap, memory that the peer reads and writes, completions
//! that come late, demotion in the middle. Every byte knows its offset, so a wrong one is found at once.
#![allow(missing_docs, unreachable_pub)]

use crate::common::{carry, negotiated, next};
mod end;

use end::{End, descriptor};
use wsd_session::{Parameters, Piece, ReceiveStep, SendStep, Session, Supply};

/// The byte at an offset.
pub fn byte(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
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
            assert!(u64::from(piece.length) <= end.receive_ring.contiguous(piece.offset), "wraps");
            let bytes = peer.send_ring.get(piece.offset, u64::from(piece.length));
            end.receive_ring.put(piece.offset, &bytes);
            end.receiver.read_completed(piece.length).expect("issued");
            return true;
        }
        if let Some(piece) = end.writes.pop_front() {
            let exposed = peer.exposed_target.expect("nothing is exposed for writing");
            check_exposure(exposed, &end.target, piece);
            assert!(u64::from(piece.length) <= end.send_ring.contiguous(piece.offset), "wraps");
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

    /// The program writes `count` bytes, blocking as write(2) does, while the peer's program reads.
    pub fn write_all(&mut self, me: usize, count: u64) {
        let goal = self.ends[me].written + count;
        while self.ends[me].written < goal {
            let before = self.ends[me].written;
            self.write(me, goal - before);
            assert!(self.ends[me].written > before, "the writer waits for ever");
            self.settle();
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
                assert!(u64::from(total) <= contiguous, "wraps");
                end.exposed_source = Some((offset, total));
                end.session.rdma_offer(offset, total, &descriptor((offset, total))).expect("legal");
            }
            SendStep::Announce { offset, total } => end.session.rdma_announce(offset, total).expect("legal"),
            SendStep::Write(piece) => {
                assert!(piece.length <= end.max_rdma, "SW-113");
                end.writes.push_back(piece);
            }
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
            ReceiveStep::Read(piece) => {
                assert!(piece.length <= end.max_rdma, "SW-113");
                end.reads.push_back(piece);
            }
            ReceiveStep::ReadDone { offset } => end.session.rdma_read(offset).expect("legal"),
            ReceiveStep::Expose { offset, total } => {
                assert!(u64::from(total) <= end.receive_ring.contiguous(offset), "wraps");
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
