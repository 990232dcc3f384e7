//! Data of one connection on their way: what is to be sent, what may be received, what has arrived early.

use std::collections::VecDeque;

use wsd_engine::Actions;
use wsd_spi::WsaError;
use wsd_spi::provider::Overlapped;

use crate::memory::{Registrations, Uses};
use crate::rdma::{Inbox, Work};

/// Most operations of one kind that wait on a socket.
pub(crate) const MAX_PENDING: usize = 4096;
/// Receives of the provider's own that a connection begins with (SP-021).
pub(crate) const EARLY: usize = 2;

/// Data of one connection.
pub(crate) struct Flow {
    /// Posted receives, in order: first those for early messages, then those at the device, then the others.
    pub(crate) receives: VecDeque<Posted>,
    /// How many of them are for early messages.
    pub(crate) for_early: usize,
    /// How many of them are at the device.
    pub(crate) at_device: usize,
    /// Sends and RDMA operations, in order; the first `sent` are at the device.
    pub(crate) outgoing: VecDeque<Outgoing>,
    pub(crate) sent: usize,
    /// How many of those are RDMA reads.
    pub(crate) reading: usize,
    /// Receives of ours at the device, oldest first.
    pub(crate) inboxes: VecDeque<Inbox>,
    /// Receives of the switch to come that are for early messages.
    pub(crate) still_early: usize,
    /// Messages that came before their receives.
    pub(crate) early: VecDeque<Box<[u8]>>,
    /// How many messages have arrived, and how many of those sent have, modulo 65,536: at a move both ends compare.
    pub(crate) arrived: u16,
    pub(crate) delivered: u16,
    /// Something has come back from the device since this was last looked at.
    pub(crate) heard: bool,
    /// A probe is at the device.
    pub(crate) probing: bool,
    /// Which work request completes next.
    pub(crate) order: Order,
    /// The queue pair is stopped: of the work requests at the device so many have come back undone.
    pub(crate) stopped: Option<usize>,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            receives: VecDeque::new(),
            for_early: 0,
            at_device: 0,
            outgoing: VecDeque::new(),
            sent: 0,
            reading: 0,
            inboxes: VecDeque::new(),
            still_early: EARLY,
            early: VecDeque::new(),
            arrived: 0,
            delivered: 0,
            heard: true,
            probing: false,
            order: Order::default(),
            stopped: None,
        }
    }
}

/// A posted receive.
pub(crate) struct Posted {
    pub(crate) overlapped: Overlapped,
    pub(crate) uses: Uses,
}

/// A send, an RDMA write or an RDMA read.
pub(crate) struct Outgoing {
    pub(crate) overlapped: Overlapped,
    pub(crate) uses: Uses,
    pub(crate) work: Work,
}

/// The kind of a work request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A receive of the switch.
    Receive,
    /// A receive of ours.
    Early,
    /// A send or an RDMA operation.
    Outgoing,
    /// A question whether the peer's host is there.
    Probe,
}

const KINDS: usize = 4;

/// Requests of one kind complete in the order in which the device got them. A completion that does not keep to it would be taken for
/// that of another request, whose bytes may not be there: so each is named by its place in the order.
#[derive(Default)]
pub(crate) struct Order {
    posted: [u16; KINDS],
    done: [u16; KINDS],
}

impl Order {
    /// The place of a request that the device gets now.
    pub(crate) fn post(&mut self, kind: Kind) -> u16 {
        let posted = &mut self.posted[kind as usize];
        *posted = posted.wrapping_add(1);
        *posted
    }

    /// A request was done; whether it was its turn.
    pub(crate) fn complete(&mut self, kind: Kind, place: u16) -> bool {
        let (posted, done) = (self.posted[kind as usize], &mut self.done[kind as usize]);
        let expected = posted != *done;
        *done = done.wrapping_add(1);
        expected && place == *done
    }
}

/// A queue pair: its socket, and which of the socket's it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PairName {
    pub(crate) socket: u32,
    generation: u32,
}

impl PairName {
    /// The first of a socket.
    pub(crate) fn first(socket: u32) -> Self {
        Self { socket, generation: 0 }
    }

    /// The one that takes its place.
    pub(crate) fn next(self) -> Self {
        Self { generation: (self.generation + 1) % (1 << 14), ..self }
    }

    /// The number under which a work request completes, with its place in the order of its kind.
    pub(crate) fn number(self, kind: Kind, place: u16) -> u64 {
        u64::from(self.socket) << 32 | u64::from(self.generation) << 18 | u64::from(place) << 2 | kind as u64
    }

    /// The queue pair, the kind and the place of a work request.
    pub(crate) fn of_number(number: u64) -> (Self, Kind, u16) {
        let kind = [Kind::Receive, Kind::Early, Kind::Outgoing, Kind::Probe][(number & 3) as usize];
        let name = Self { socket: (number >> 32) as u32, generation: number as u32 >> 18 };
        (name, kind, (number >> 2) as u16)
    }
}

/// The operation with which a connection ended, and its own error: the first of its kind at the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Culprit {
    pub(crate) receive: bool,
    pub(crate) error: WsaError,
}

impl Flow {
    /// Messages that had arrived in another process, which are the first to be received here.
    pub(crate) fn go_on(&mut self, early: Vec<Box<[u8]>>, [arrived, delivered]: [u16; 2]) {
        self.still_early += early.len();
        self.early = early.into();
        (self.arrived, self.delivered) = (arrived, delivered);
    }

    /// Whether everything that was at the device has come back.
    pub(crate) fn is_drained(&self) -> bool {
        let posted = self.at_device + self.inboxes.len() + self.sent + usize::from(self.probing);
        self.stopped.is_some_and(|undone| undone >= posted)
    }

    /// Of a drained flow: completes the sends that have reached the peer, at which so many messages have arrived. The
    /// others, and all receives, wait to be given to another queue pair. `None` if the number cannot be.
    pub(crate) fn resume(
        &mut self,
        arrived: u16,
        memory: &mut Registrations,
        actions: &mut Actions,
    ) -> Option<()> {
        let more = usize::from(arrived.wrapping_sub(self.delivered));
        let sends = self.outgoing.iter().take(self.sent).take_while(|next| matches!(next.work, Work::Send));
        if more > sends.count() {
            return None;
        }
        for operation in self.outgoing.drain(..more) {
            memory.end(&operation.uses);
            let bytes = operation.overlapped.buffers().total();
            actions.complete(operation.overlapped, Ok(()), bytes);
        }
        self.delivered = arrived;
        (self.at_device, self.sent, self.reading) = (0, 0, 0);
        (self.probing, self.stopped) = (false, None);
        Some(())
    }

    /// Completes the receives that are pending with nothing (SP-150).
    pub(crate) fn end_receives(&mut self, memory: &mut Registrations, actions: &mut Actions) {
        for posted in self.receives.drain(..) {
            memory.end(&posted.uses);
            actions.complete(posted.overlapped, Ok(()), 0);
        }
        (self.for_early, self.at_device) = (0, 0);
        self.inboxes.clear();
    }

    /// Completes everything that is pending with `error`, the culprit with its own.
    pub(crate) fn fail(
        &mut self,
        error: WsaError,
        culprit: Option<Culprit>,
        memory: &mut Registrations,
        actions: &mut Actions,
    ) {
        let mut own = culprit.filter(|culprit| culprit.receive).map(|culprit| culprit.error);
        for posted in self.receives.drain(..) {
            memory.end(&posted.uses);
            actions.complete(posted.overlapped, Err(own.take().unwrap_or(error)), 0);
        }
        let mut own = culprit.filter(|culprit| !culprit.receive).map(|culprit| culprit.error);
        for operation in self.outgoing.drain(..) {
            memory.end(&operation.uses);
            actions.complete(operation.overlapped, Err(own.take().unwrap_or(error)), 0);
        }
        (self.for_early, self.at_device, self.sent, self.reading) = (0, 0, 0, 0);
        (self.probing, self.stopped) = (false, None);
        self.inboxes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue pair is drained when as much has come back as was given to it, and not before it was stopped.
    #[test]
    fn drained_flow_has_everything_back() {
        let mut flow = Flow { at_device: 2, sent: 1, probing: true, ..Flow::default() };
        assert!(!flow.is_drained());
        flow.stopped = Some(3);
        assert!(!flow.is_drained());
        // One is done, the others come back undone.
        flow.sent = 0;
        assert!(flow.is_drained());
    }

    /// SP-154: a peer that counts messages which were never sent is believed nothing.
    #[test]
    fn counts_of_a_peer_are_checked() {
        let mut flow = Flow { at_device: 5, delivered: 65_535, stopped: Some(5), ..Flow::default() };
        let mut memory = Registrations::new(Default::default());
        let mut actions = Actions::default();
        for wrong in [0, 1, 65_534] {
            assert_eq!(flow.resume(wrong, &mut memory, &mut actions), None);
            assert!(flow.is_drained(), "nothing has changed");
        }
        assert_eq!(flow.resume(65_535, &mut memory, &mut actions), Some(()));
        assert_eq!((flow.at_device, flow.stopped), (0, None));
    }

    /// SP-153: what arrived in the other process is received first, then what the early receives here get.
    #[test]
    fn messages_go_along() {
        let mut flow = Flow::default();
        flow.go_on(vec![[1].into(), [2].into()], [7, 9]);
        assert_eq!((flow.still_early, flow.early.len()), (EARLY + 2, 2));
        assert_eq!((flow.arrived, flow.delivered), (7, 9));
    }

    #[test]
    fn numbers_name_queue_pair_and_kind() {
        for socket in [1, 7, u32::MAX] {
            let first = PairName::first(socket);
            let last = PairName { socket, generation: (1 << 14) - 1 };
            assert_eq!(last.next(), first);
            for name in [first, first.next(), last] {
                for kind in [Kind::Receive, Kind::Early, Kind::Outgoing, Kind::Probe] {
                    for place in [0, 1, u16::MAX] {
                        assert_eq!(PairName::of_number(name.number(kind, place)), (name, kind, place));
                    }
                }
            }
        }
    }

    /// A completion that is lost, doubled or invented is no other request's.
    #[test]
    fn completions_out_of_order_are_told() {
        let mut order = Order::default();
        for _ in 0..3 * (1 << 16) {
            let places = [order.post(Kind::Outgoing), order.post(Kind::Receive), order.post(Kind::Outgoing)];
            assert!(order.complete(Kind::Outgoing, places[0]));
            assert!(order.complete(Kind::Receive, places[1]), "kinds have orders of their own");
            assert!(order.complete(Kind::Outgoing, places[2]));
        }
        assert!(!order.complete(Kind::Probe, 1), "never posted");
        let [first, second] = [order.post(Kind::Early), order.post(Kind::Early)];
        assert!(!order.complete(Kind::Early, second), "the first one was lost");
        assert!(!order.complete(Kind::Early, first));
        let place = order.post(Kind::Receive);
        assert!(order.complete(Kind::Receive, place));
        assert!(!order.complete(Kind::Receive, place), "doubled");
    }
}
