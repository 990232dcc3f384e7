//! Two switches whose streams begin on TCP, are promoted together, and go back to TCP when the companion dies: what a host does with
//! the session's words, with queues instead of a kernel and a provider. Every byte knows its place in its stream, so a wrong one is
//! found at once.
#![allow(missing_docs, unreachable_pub)]

use crate::common::{carry, next, parameters, proven};
use std::collections::VecDeque;
use wsd_session::fail_over::FRAME_BYTES;
use wsd_session::{Capabilities, Event, FailOver, Found, Lockstep, Resumption, Role, Session, Standing};

/// The byte at a place of the stream that `writer` writes.
fn byte(writer: usize, place: u64) -> u8 {
    ((place + 7 * writer as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Tcp,
    /// Where the stream goes on is not known.
    Held,
    Ring,
}

/// One switch with its program.
pub struct End {
    pub session: Session,
    inbox: VecDeque<Vec<u8>>,
    writes: Path,
    reads: Path,
    /// Places in the streams.
    pub written: u64,
    pub taken: u64,
    /// Positions in TCP, where frames count, too.
    tcp_written: u64,
    tcp_taken: u64,
    /// Place in the stream of the first byte in the ring.
    base: u64,
    /// Offsets of the rings: handed over, arrived, taken.
    sent: u64,
    arrived_to: u64,
    head: u64,
    arrived: VecDeque<u8>,
    /// The companion is given up.
    pub given_up: Option<FailOver>,
    found: bool,
    owes_frame: bool,
    /// H of the peer, until the rest is pushed.
    push_from: Option<u64>,
    /// Of three times that it may not wait for its program, it says twice that the program still reads, and then steps back.
    readings: u32,
}

pub struct World {
    pub ends: [End; 2],
    /// TCP towards the end of that number.
    tcp: [VecDeque<u8>; 2],
    broken: bool,
}

/// Two sessions that can fail over: negotiated, proven, and both have agreed to receive.
pub fn agreed() -> (Session, Session) {
    let own = || wsd_session::Parameters {
        version: 4,
        capabilities: Capabilities::RDMA_READ.with(Capabilities::FAIL_OVER),
        ..parameters()
    };
    let (mut x, mut y) = proven(own(), own(), 12);
    let mut store = Vec::new();
    for say in [Session::propose, Session::consent] {
        say(&mut x).expect("legal");
        say(&mut y).expect("legal");
        carry(&mut x, &mut y, &mut store);
        carry(&mut y, &mut x, &mut store);
    }
    (x, y)
}

impl World {
    /// See [`agreed`].
    pub fn new() -> Self {
        let (x, y) = agreed();
        Self { ends: [End::new(x), End::new(y)], tcp: [VecDeque::new(), VecDeque::new()], broken: false }
    }

    pub fn write(&mut self, me: usize, count: u64) {
        let end = &mut self.ends[me];
        for _ in 0..count {
            match end.writes {
                Path::Held => return,
                Path::Tcp => {
                    self.tcp[1 - me].push_back(byte(me, end.written));
                    end.tcp_written += 1;
                }
                Path::Ring => {}
            }
            end.written += 1;
        }
    }

    pub fn take(&mut self, me: usize, count: u64) -> bool {
        let mut moved = false;
        for _ in 0..count {
            let end = &mut self.ends[me];
            let got = match end.reads {
                Path::Held => None,
                Path::Tcp => self.tcp[me].pop_front().inspect(|_| end.tcp_taken += 1),
                Path::Ring => end.arrived.pop_front().inspect(|_| end.head += 1),
            };
            let Some(got) = got else { break };
            assert_eq!(got, byte(1 - me, end.taken), "end {me} at {}", end.taken);
            end.taken += 1;
            moved = true;
        }
        moved
    }

    /// The service thread. `patient`: it waits for its program to read TCP to the peer's offset, if that is what it waits for.
    pub fn serve(&mut self, me: usize, patient: bool, last: bool) -> bool {
        if self.ends[me].given_up.is_some() {
            return self.look(me, last) | self.answer(me) | self.push(me);
        }
        let moved = self.ends[me].turn(patient);
        let messages = self.ends[me].messages(me);
        let sent = !messages.is_empty();
        if !self.broken {
            self.ends[1 - me].inbox.extend(messages);
        }
        moved | sent
    }

    /// One message arrives.
    pub fn deliver(&mut self, me: usize) -> bool {
        let end = &mut self.ends[me];
        if end.given_up.is_some() {
            return false;
        }
        let Some(message) = end.inbox.pop_front() else { return false };
        match end.session.receive(&message).expect("honest message") {
            Some(Event::Settled) => end.enter(),
            Some(Event::SteppedBack) => end.step_back(),
            Some(Event::Data { offset, bytes }) => {
                assert_eq!(offset, end.arrived_to, "in order");
                end.arrived_to += bytes.len() as u64;
                end.arrived.extend(bytes);
            }
            Some(Event::Promoted { .. } | Event::Reading) | None => {}
            other => panic!("unexpected {other:?}"),
        }
        end.session.reposted(1);
        true
    }

    pub fn break_companion(&mut self) {
        self.broken = true;
    }

    /// An end learns that the companion is dead: from the provider, or from bytes on TCP where there should be none.
    pub fn notice(&mut self, me: usize) -> bool {
        let spoken = !self.tcp[me].is_empty() && self.ends[me].session.standing() != Standing::Plain;
        let end = &mut self.ends[me];
        if end.given_up.is_some() || !(self.broken || spoken) {
            return false;
        }
        self.broken = true;
        end.inbox.clear();
        let part = FailOver::of(&end.session);
        match part.standing() {
            Standing::Plain => {
                (end.writes, end.reads) = (Path::Tcp, Path::Tcp);
                end.found = true;
            }
            Standing::Unsure { .. } => end.writes = Path::Tcp,
            Standing::Promoted { own, .. } => {
                (end.writes, end.reads) = (Path::Held, Path::Held);
                let word = Resumption {
                    received: end.head,
                    end: own + end.written - end.base,
                    has_end: false,
                    for_good: false,
                };
                self.tcp[1 - me].extend(part.frame(word));
                end.tcp_written += FRAME_BYTES as u64;
            }
        }
        end.given_up = Some(part);
        true
    }

    /// Looks at TCP where the peer's stream had left it.
    fn look(&mut self, me: usize, last: bool) -> bool {
        let end = &mut self.ends[me];
        let Some(part) = end.given_up.clone().filter(|_| !end.found) else { return false };
        let bytes: Vec<u8> = self.tcp[me].iter().copied().take(FRAME_BYTES).collect();
        let own = match part.standing() {
            Standing::Unsure { own, peer } | Standing::Promoted { own, peer, .. } => {
                assert_eq!(end.tcp_taken, peer, "something stands before the frame");
                own
            }
            Standing::Plain => unreachable!("found at once"),
        };
        match part.examine(&bytes, last).expect("an honest peer") {
            Found::More => return false,
            Found::Plain => end.push_from = part.speaks_first().then_some(own),
            Found::Frame(word) => {
                self.tcp[me].drain(..FRAME_BYTES);
                end.tcp_taken += FRAME_BYTES as u64;
                let top = own + end.written - end.base;
                if part.speaks_first() {
                    word.check(own, top, end.head).expect("an honest peer");
                    end.push_from = Some(word.received);
                } else {
                    assert_eq!(word.received, own, "it has sent nothing by the companion");
                    end.owes_frame = true;
                }
            }
        }
        end.found = true;
        end.reads = Path::Tcp;
        true
    }

    fn answer(&mut self, me: usize) -> bool {
        let end = &mut self.ends[me];
        if !std::mem::take(&mut end.owes_frame) {
            return false;
        }
        let Some(part) = &end.given_up else { return false };
        if let Standing::Unsure { own, peer } = part.standing()
            && end.tcp_written == own
        {
            let word = Resumption { received: peer, end: own, has_end: false, for_good: false };
            self.tcp[1 - me].extend(part.frame(word));
            end.tcp_written += FRAME_BYTES as u64;
        }
        true
    }

    fn push(&mut self, me: usize) -> bool {
        let end = &mut self.ends[me];
        let Some(from) = end.push_from.take() else { return false };
        let Lockstep::Settled { own, .. } = end.session.lockstep() else { panic!("nothing was promoted") };
        let first = end.base + (from - own);
        self.tcp[1 - me].extend((first..end.written).map(|place| byte(me, place)));
        end.tcp_written += end.written - first;
        end.writes = Path::Tcp;
        true
    }

    /// Everything moves until nothing does.
    pub fn quiet(&mut self) {
        for round in 0.. {
            assert!(round < 100_000, "for ever");
            let mut moved = false;
            for me in [0, 1] {
                moved |=
                    self.deliver(me) | self.notice(me) | self.take(me, 1000) | self.serve(me, true, false);
            }
            if !moved && !(self.serve(0, false, true) | self.serve(1, false, true)) {
                return;
            }
        }
    }
}

impl End {
    fn new(session: Session) -> Self {
        Self {
            session,
            inbox: VecDeque::new(),
            writes: Path::Tcp,
            reads: Path::Tcp,
            written: 0,
            taken: 0,
            tcp_written: 0,
            tcp_taken: 0,
            base: 0,
            sent: 0,
            arrived_to: 0,
            head: 0,
            arrived: VecDeque::new(),
            given_up: None,
            found: false,
            owes_frame: false,
            push_from: None,
            readings: 0,
        }
    }

    /// What the lockstep asks of this end now.
    fn turn(&mut self, patient: bool) -> bool {
        let at = self.tcp_taken;
        match (self.session.role(), self.session.lockstep()) {
            (Role::Connecting, Lockstep::Open) if self.session.may_fix() => {
                self.writes = Path::Held;
                self.session.promoted(self.tcp_written).expect("its turn");
            }
            (Role::Listening, Lockstep::Asked { peer }) if at == peer => {
                (self.writes, self.reads) = (Path::Held, Path::Held);
                self.session.promoted(self.tcp_written).expect("its turn");
            }
            (Role::Connecting, Lockstep::Both { peer, .. }) if at == peer => {
                self.session.settle().expect("its turn");
                self.enter();
            }
            (Role::Listening, Lockstep::Asked { .. }) | (Role::Connecting, Lockstep::Both { .. })
                if !patient && self.readings % 3 < 2 =>
            {
                self.readings += 1;
                self.session.reading().expect("its turn");
            }
            (Role::Listening, Lockstep::Asked { .. }) | (Role::Connecting, Lockstep::Both { .. })
                if !patient =>
            {
                self.readings += 1;
                self.session.step_back().expect("its turn");
                self.step_back();
            }
            _ => return false,
        }
        true
    }

    fn enter(&mut self) {
        let Lockstep::Settled { own, peer } = self.session.lockstep() else { panic!("not settled") };
        (self.writes, self.reads) = (Path::Ring, Path::Ring);
        self.base = self.written;
        (self.sent, self.arrived_to, self.head) = (own, peer, peer);
    }

    fn step_back(&mut self) {
        (self.writes, self.reads) = (Path::Tcp, Path::Tcp);
    }

    /// What the session has to say, and bytes of the ring.
    fn messages(&mut self, me: usize) -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = std::iter::from_fn(|| next(&mut self.session)).collect();
        let Lockstep::Settled { own, .. } = self.session.lockstep() else { return all };
        while self.session.may_send_data() && self.sent < own + self.written - self.base {
            let first = self.base + (self.sent - own);
            let bytes: Vec<u8> = (first..self.written.min(first + 10)).map(|place| byte(me, place)).collect();
            let mut buffer = vec![0; 4096];
            let length = self.session.data_message(&mut buffer, self.sent, [&bytes, &[]]).expect("promoted");
            buffer.truncate(length.expect("may_send_data said so"));
            self.sent += bytes.len() as u64;
            all.push(buffer);
        }
        all
    }
}
